"""Backbone weights: never a download without asking, and a way out where there is no network."""

from argparse import Namespace

import pytest
import timm
import torch
from safetensors.torch import save_file

from baselines.core.findings import InvalidInput, UsageError
from baselines.training import weights
from baselines.training.weights import fetch, fetch_weights, load_backbone, timm_backbone

TINY = "test_resnet.r160_in1k"


def finding(caught):
    return next(iter(caught.value.findings))


@pytest.fixture
def no_network(monkeypatch):
    """Let every attempt to connect fail as it does on a compute node."""

    def refuse(*arguments, **keywords):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the attempts


def test_random_weights_need_no_network(no_network):
    assert isinstance(timm_backbone(TINY, None, features_only=True), torch.nn.Module)


def test_offline_message_says_both_ways_out(monkeypatch):
    def offline(*arguments, pretrained, **keywords):
        assert pretrained
        raise weights.hub_errors.LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InvalidInput) as caught:
        timm_backbone(TINY, "pretrained", experiment="drawnui_wireframe")
    assert finding(caught).code == "WEIGHTS-OFFLINE"
    assert "imageclef fetch drawnui_wireframe" in finding(caught).hint
    assert "model.weights=null" in finding(caught).hint


@pytest.mark.slow
@pytest.mark.parametrize("source", [f"timm/{TINY}", "torchvision/resnet18", "transformers/nobody/nothing"])
def test_fetch_without_a_network(no_network, monkeypatch, tmp_path, source):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InvalidInput) as caught:
        fetch_weights(source, "e")
    assert finding(caught).code == "WEIGHTS-OFFLINE"


def test_unknown_backbone():
    with pytest.raises(InvalidInput) as caught:
        timm_backbone("resnet18000", None)
    assert finding(caught).code == "MODEL-NAME"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_local_file_of_the_whole_model_fits_its_features(tmp_path, suffix):
    torch.manual_seed(0)
    whole = timm.create_model(TINY, pretrained=False)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(whole.state_dict(), path)
    else:
        save_file(whole.state_dict(), path)
    images = torch.rand(1, 3, 64, 64)
    features = timm_backbone(TINY, str(path), features_only=True).eval()
    assert torch.allclose(features(images)[-1], whole.eval().forward_features(images), atol=1e-5)


def test_a_local_file_for_rgb_is_summed_for_one_channel(tmp_path):
    whole = timm.create_model(TINY, pretrained=False)
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    grey = timm_backbone(TINY, str(tmp_path / "weights.safetensors"), features_only=True, in_chans=1).eval()
    images = torch.rand(1, 1, 64, 64)
    expected = whole.eval().forward_features(images.expand(1, 3, 64, 64))
    assert torch.allclose(grey(images)[-1], expected, atol=1e-4)


def test_local_file_of_another_model(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InvalidInput) as caught:
        timm_backbone(TINY, str(path))
    assert finding(caught).code == "WEIGHTS-MISMATCH"


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04\x95"])
def test_damaged_local_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        load_backbone(torch.nn.Linear(1, 1), tmp_path / name)
    assert finding(caught).code == "WEIGHTS-DAMAGED"


def test_missing_local_file(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        timm_backbone(TINY, str(tmp_path / "none.pth"))
    assert finding(caught).code == "WEIGHTS-MISSING"


def test_fetch_asks_the_task_what_to_fetch(monkeypatch):
    fetched = []
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(weights, "fetch_weights", lambda source, experiment: fetched.append((source, experiment)))
    assert fetch(Namespace(experiment="drawnui_wireframe")) == 0
    assert fetched
    assert all(source.startswith("timm/") and experiment == "drawnui_wireframe" for source, experiment in fetched)


def test_fetch_where_downloads_are_forbidden(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError):
        fetch(Namespace(experiment="drawnui_wireframe"))


def test_fetch_of_no_experiment(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(InvalidInput) as caught:
        fetch(Namespace(experiment="drawnui_wirefram"))
    assert "drawnui_wireframe" in finding(caught).hint
