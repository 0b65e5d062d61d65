"""Hostile, damaged and foreign checkpoints end in findings."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from baselines.core.findings import InvalidInput
from baselines.core.paths import BEST, CARD, MODEL
from baselines.training.checkpoints import load_weights, read_card, read_checkpoint, read_weights


def code(caught):
    return next(iter(caught.value.findings)).code


class Evil:
    def __reduce__(self):
        return eval, ("open('pwned', 'w')",)


def test_pickled_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / BEST)
    with pytest.raises(InvalidInput) as caught:
        read_checkpoint(tmp_path / BEST)
    assert code(caught) == "CKPT-UNSAFE"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 600])
def test_truncated(tmp_path, keep):
    path = tmp_path / BEST
    torch.save({"state_dict": {"a": torch.zeros(100)}}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InvalidInput) as caught:
        read_checkpoint(path)
    assert code(caught) in ("CKPT-DAMAGED", "CKPT-UNSAFE")


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1]), b"\x80\x04", b"PK\x03\x04"])
def test_garbage(tmp_path, content):
    path = tmp_path / BEST
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        read_checkpoint(path)
    with pytest.raises(InvalidInput) as caught:
        read_weights(path)
    assert code(caught) == "WEIGHTS-DAMAGED"


def test_no_weights(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        read_weights(tmp_path)
    assert code(caught) == "WEIGHTS-MISSING"


def test_every_difference_is_named():
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    weights = {"0.weight": torch.zeros(3, 5), "0.bias": torch.zeros(3), "1.weight": torch.zeros(4, 3), "2.bias": torch.zeros(1)}
    with pytest.raises(InvalidInput) as caught:
        load_weights(network, weights, "file")
    text = str(caught.value)
    assert "weights are missing: 1.bias" in text
    assert "unexpected weights: 2.bias" in text
    assert "0.weight (3, 5) instead of (3, 2)" in text


def test_class_dependent_shapes_may_differ():
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    before = network[1].weight.clone()
    weights = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(3), "1.weight": torch.ones(9, 3), "1.bias": torch.ones(9)}
    with pytest.raises(InvalidInput):
        load_weights(network, weights, "file")
    assert load_weights(network, weights, "file", may_differ=["1."]) == ["1.bias", "1.weight"]
    assert torch.equal(network[0].weight, torch.ones(3, 2))
    assert torch.equal(network[1].weight, before)


def test_round_trip(tmp_path):
    network = nn.Linear(2, 3)
    save_file(network.state_dict(), tmp_path / MODEL)
    other = nn.Linear(2, 3)
    assert load_weights(other, read_weights(tmp_path), tmp_path) == []
    assert torch.equal(other.weight, network.weight)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "RUN-NOT-FINISHED"),
        ("", "RUN-CARD"),
        ("[" * 100_000, "RUN-CARD"),
        ("[]", "RUN-CARD"),
        ('{"config": {}}', "RUN-CARD"),
        ('{"config": 3, "classes": {}}', "RUN-CARD"),
        ('{"config": {}, "classes": {"x": "y"}}', "RUN-CARD"),
        (json.dumps({"config": {"task": "nothing"}, "classes": {}}), "CONFIG-VALUE"),
    ],
    ids=range(8),
)
def test_cards_that_cannot_be_used(tmp_path, content, expected):
    if content is not None:
        (tmp_path / CARD).write_text(content)
    with pytest.raises(InvalidInput) as caught:
        read_card(tmp_path)
    assert code(caught) == expected
