"""The encoder-decoder: decoding that its batch doesn't change, decoders of three kinds, and files that lie."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional as F
from transformers import BertConfig, GPT2Config, GPTNeoXConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from baselines.core.findings import InvalidInput
from baselines.medical.captioner import (
    IGNORED,
    Captioner,
    GumbelNoise,
    described_decoder,
    published_decoder,
    small_decoder,
)
from baselines.medical.described import to_bytes, to_text
from baselines.medical.options import TextConfig

TEXTS = ["axial ct of the chest", "coronal mri", "x-ray of the left hand with a fracture", "frontal x-ray", "œdème, 3,5 cm"]
STEPS = 80
OPTIONS = TextConfig(vocabulary=320, width=32, layers=2, heads=4, max_tokens=24, beams=3, dropout=0.0, samples=5)
IDS = [f"synpic{number}" for number in range(7)]


def make_captioner(backbone="test_resnet"):
    torch.manual_seed(0)
    return Captioner(timm.create_model(backbone, num_classes=0), 0.0, small_decoder(TEXTS, OPTIONS))


@pytest.fixture(scope="module")
def images():
    return torch.randn(len(IDS), 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def captioner(images):
    """One that has learnt a text for each of the first five images, so that texts differ and end at different lengths."""
    captioner = make_captioner()
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=3e-3)
    tokens, labels = captioner.decoder.encode(TEXTS, OPTIONS.max_tokens)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(captioner(images[:5], tokens).transpose(1, 2), labels, ignore_index=IGNORED)
        loss.backward()
        optimizer.step()
    return captioner.eval()


def test_it_overfits_a_few_images(captioner, images):
    found = captioner.search(images[:5], OPTIONS, 1)
    assert [texts[0].text for texts in found] == TEXTS


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_the_batch_an_image_is_in_changes_nothing_that_is_found(captioner, images, beams, length_penalty):
    options = replace(OPTIONS, beams=beams, length_penalty=length_penalty)
    together = captioner.search(images, options, beams)
    lengths = {len(each.text) for found in together for each in found}
    assert len(lengths) > 3  # or ending early is not tested
    for size in (1, 2, 3):
        parts = [
            found
            for start in range(0, len(images), size)
            for found in captioner.search(images[start : start + size], options, beams)
        ]
        assert [[each.text for each in found] for found in parts] == [[each.text for each in found] for found in together]
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    shuffled = captioner.search(images[order], options, beams)
    assert [[each.text for each in found] for found in shuffled] == [[each.text for each in together[index]] for index in order]


def test_the_batch_an_image_is_in_changes_nothing_that_is_drawn(captioner, images):
    together = captioner.sample(images, IDS, OPTIONS)
    assert [len(drawn) for drawn in together] == [5] * len(IDS)
    assert len({text for drawn in together for text in drawn}) > len(IDS)
    alone = [captioner.sample(images[place : place + 1], [name], OPTIONS)[0] for place, name in enumerate(IDS)]
    assert alone == together
    # Of an image it has learnt, every draw may be the same; of all of them, other ids draw other texts.
    assert captioner.sample(images, [f"other {name}" for name in IDS], OPTIONS) != together


def test_draws_follow_the_distribution():
    scores = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]]).repeat(4000, 1)
    drawn = GumbelNoise(["a"], 4000)(torch.zeros(4000, 1), scores).argmax(1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert shares.tolist() == pytest.approx(scores[0].softmax(0).tolist(), abs=0.03)
    assert shares[3] == 0


def test_the_cache_changes_nothing(captioner, images):
    memory, _ = captioner.look(images[:3])
    found = captioner.search(images[:3], replace(OPTIONS, beams=1), 1)
    for place in range(3):
        tokens = [captioner.decoder.begin]
        while len(tokens) <= OPTIONS.max_tokens and tokens[-1] != captioner.decoder.end:
            logits = captioner.decoder(torch.tensor([tokens]), memory[place : place + 1], use_cache=False).logits[0, -1]
            if len(tokens) == 1:
                logits[captioner.decoder.end] = -torch.inf  # min_tokens is 1
            tokens.append(int(logits.argmax()))
        assert captioner.decoder.text(tokens[1:]) == found[place][0].text


def test_scores_are_log_probabilities_and_wider_beams_find_no_worse(captioner, images):
    options = replace(OPTIONS, length_penalty=0.0)
    memory, _ = captioner.look(images)
    best = {}
    for beams in (2, 8):
        found = captioner.decoder.generate(
            memory, options, num_beams=beams, num_return_sequences=1, length_penalty=0.0, output_scores=True
        )
        tokens, labels = found.sequences[:, :-1], found.sequences[:, 1:]
        log = captioner.decoder(tokens, memory, use_cache=False).logits.log_softmax(2).gather(2, labels[..., None])[..., 0]
        ended = (labels == captioner.decoder.end).cumsum(1) - (labels == captioner.decoder.end).long() > 0
        assert found.sequences_scores.tolist() == pytest.approx(log.masked_fill(ended, 0).sum(1).tolist(), abs=1e-3)
        best[beams] = found.sequences_scores
    assert (best[8] >= best[2] - 1e-4).float().mean() > 0.8


def test_length_control(captioner, images):
    def words(**changes):
        return [len(found[0].text) for found in captioner.search(images, replace(OPTIONS, beams=4, **changes), 1)]

    assert sum(words(length_penalty=3.0)) > sum(words(length_penalty=0.0))
    long = captioner.decoder.generate(captioner.look(images)[0], replace(OPTIONS, min_tokens=9)).sequences[:, 1:9]
    assert (long != captioner.decoder.end).all()
    assert captioner.decoder.generate(captioner.look(images)[0], replace(OPTIONS, max_tokens=4)).sequences.shape[1] <= 5


def test_padding_changes_no_likelihood(captioner, images):
    def losses(places):
        tokens, labels = captioner.decoder.encode([TEXTS[place % 5] for place in places], OPTIONS.max_tokens)
        logits = captioner(images[places], tokens)
        return F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none").sum(1)

    together = losses([0, 1, 2, 3, 4])
    assert torch.cat([losses([place]) for place in range(5)]).tolist() == pytest.approx(together.tolist(), rel=1e-5)


def test_a_tokenizer_knows_every_character_and_takes_special_tokens_for_text(captioner):
    for text in ("œdème <end> 5 µm — ‘x’", "<begin>ct<pad>"):
        _, labels = captioner.decoder.encode([text], 100)
        assert not {captioner.decoder.begin, captioner.decoder.pad} & set(labels[0, :-1].tolist())
        ids = captioner.decoder.tokenizer.encode(text, add_special_tokens=False).ids
        assert captioner.decoder.text(ids) == text
    tokens, labels = captioner.decoder.encode(["", "a " * 50], 6)
    assert tokens.shape == (2, 6)
    assert labels[0].tolist() == [captioner.decoder.end] + [IGNORED] * 5
    assert labels[1, -1] == captioner.decoder.end


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_attention_is_a_grid_for_each_word(backbone):
    captioner = make_captioner(backbone).eval()
    size = 160 if "vit" in backbone else 64
    images = torch.randn(3, 3, size, size)
    texts = ["frontal x-ray, of œdème", "", "ct"]
    maps = captioner.attention(images, texts, 40)
    assert [len(each) for each in maps] == [4, 0, 1]
    assert maps[0].shape[1:] == captioner.look(images)[1]
    sums = maps[0].astype(float).sum((1, 2))
    assert (sums <= 1.01).all()
    assert (sums > 0.2).all()
    alone = captioner.attention(images[:1], texts[:1], 40)[0]
    assert alone == pytest.approx(maps[0], abs=2e-3)


# ----------------------------------------------------------------------------------------------- where decoders come from


def published(folder, config):
    decoder = small_decoder(TEXTS, OPTIONS)
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=decoder.tokenizer, bos_token="<begin>", eos_token="<end>", pad_token="<pad>"
    )
    tokenizer.save_pretrained(folder)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return str(folder)


# The tokenizer has some 320 tokens.
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 320}
PUBLISHED = {
    "bert": BertConfig(**SIZES, max_position_embeddings=32),
    "gpt2": GPT2Config(n_embd=32, n_layer=1, n_head=4, vocab_size=320, n_positions=32),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_published_decoder_generates_and_travels_with_its_weights(tmp_path, images, kind):
    source = published(tmp_path, PUBLISHED[kind])
    torch.manual_seed(0)
    captioner = Captioner(
        timm.create_model("test_resnet", num_classes=0), 0.0, published_decoder(source, may_download=False)
    ).eval()
    assert captioner.decoder.longest(100) == 30
    texts = [[each.text for each in found] for found in captioner.search(images, OPTIONS, 3)]
    alone = [[each.text for each in captioner.search(images[place : place + 1], OPTIONS, 3)[0]] for place in range(len(images))]
    assert texts == alone
    weights = captioner.state_dict()
    again = Captioner(
        captioner.encoder, 0.0, described_decoder({name.removeprefix("decoder."): tensor for name, tensor in weights.items()})
    )
    again.load_state_dict(weights)
    assert [[each.text for each in found] for found in again.eval().search(images, OPTIONS, 3)] == texts


def test_what_can_be_no_decoder_is_a_finding(tmp_path):
    with pytest.raises(InvalidInput, match="WEIGHTS-OFFLINE"):
        published_decoder(str(tmp_path / "missing" / "model"), may_download=False)
    blind = published(tmp_path / "blind", GPTNeoXConfig(**SIZES))
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*can't be used as a decoder"):
        published_decoder(blind, may_download=False)
    narrow = published(tmp_path / "narrow", BertConfig(**(SIZES | {"vocab_size": 100}), max_position_embeddings=32))
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*more tokens than the model"):
        published_decoder(narrow, may_download=False)
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*multiple of the heads"):
        small_decoder(TEXTS, replace(OPTIONS, heads=5))


def test_files_that_lie_about_their_decoder_are_findings(captioner):
    weights = captioner.decoder.state_dict()
    plain = json.loads(to_text(weights["architecture"]))
    for lie in (
        {"architecture": to_bytes(json.dumps(plain | {"n_embd": 40_000, "n_layer": 400}))},
        {"architecture": to_bytes(json.dumps(plain | {"add_cross_attention": False}))},
        {"architecture": to_bytes(json.dumps(plain | {"n_layer": 10**8}))},
        {"architecture": to_bytes(json.dumps({"model_type": "none"}))},
        {"architecture": to_bytes(json.dumps({"model_type": "git"}))},
        {"architecture": to_bytes("[" * 10_000)},
        {"architecture": torch.tensor([255, 254], dtype=torch.uint8)},
        {"tokenizer_json": to_bytes('{"model": 1}')},
    ):
        with pytest.raises(InvalidInput, match="WEIGHTS-DAMAGED"):
            described_decoder(weights | lie)
    with pytest.raises(InvalidInput, match="WEIGHTS-DAMAGED"):
        described_decoder({})


def test_the_tokenizer_is_the_same_each_time():
    first, second = (small_decoder(iter(TEXTS * 20), OPTIONS) for _ in range(2))
    assert to_text(first.tokenizer_json) == to_text(second.tokenizer_json)
    assert np.array_equal(first.tokenizer_json, second.tokenizer_json)
