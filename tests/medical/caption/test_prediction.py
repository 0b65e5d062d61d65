"""Captions from a run to a submission: every model, and a trained one that finds nothing but images where it predicts."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from baselines.core.config import defaults, parse_config
from baselines.core.findings import InvalidInput
from baselines.medical.caption.records import CAPTIONS
from baselines.medical.captioner import train_tokenizer
from baselines.training.loop import run
from baselines.training.predict import predict


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(caption_root, tmp_path):
    def make(name, steps, **text):
        plain = defaults(CAPTIONS) | {"task": CAPTIONS, "experiment": "caption", "pictures": 2, "bootstrap": 10}
        plain["data"] |= {"root": str(caption_root), "cache_dir": str(tmp_path / "cache"), "image_side": 64}
        plain["data"] |= {"batch_size": 4, "eval_batch_size": 8, "workers": 0}
        small = {"vocabulary": 300, "width": 32, "layers": 1, "heads": 4, "max_tokens": 16, "samples": 3, "decoding": "climb"}
        plain["model"] |= {"name": name, "backbone": "test_resnet", "text": plain["model"]["text"] | small | text}
        plain["trainer"] |= {"max_steps": steps, "validate_every": max(1, steps), "accelerator": "cpu", "threads": 1}
        return parse_config(plain | {"runs_dir": str(tmp_path / "runs")})

    return make


def only_the_test_images(root, folder):
    """A data root without any text."""
    (images,) = (root / "medical" / "caption").glob("*TestSet*")
    shutil.copytree(
        images, folder / "medical" / "caption" / images.name, ignore=lambda _, names: [n for n in names if "csv" in n]
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [("captioner", 2), ("words", 2), ("retrieval", 0), ("constant", 0)])
def test_a_model_trains_and_predicts_where_there_are_images_alone(config, caption_root, tmp_path, name, steps):
    folder = tmp_path / "run"
    result = run(config(name, steps), folder)
    assert result.scores.metrics["bleu"] is not None
    pictures = sorted((folder / "pictures").glob("*.png"))
    assert len(pictures) == 2
    Image.open(pictures[0]).verify()
    out = tmp_path / "run.csv"
    root = only_the_test_images(caption_root, tmp_path / "test")
    assert predict(argparse.Namespace(run_dir=[folder], data=root, split="test", out=out, task=None)) == 0
    lines = out.read_text().splitlines()
    assert len(lines) == len(list(Path(root).rglob("*.jpg")))
    if name == "constant":
        assert len({line.partition("|")[2] for line in lines}) == 1
    if name == "retrieval":
        captions = (next(caption_root.rglob("Training_Set_Captions.csv"))).read_text(encoding="utf-8-sig")
        assert all(line.partition("|")[2] in captions for line in lines)


@pytest.mark.slow
def test_a_published_decoder_is_needed_for_training_alone(config, caption_root, tmp_path):
    source = tmp_path / "decoder"
    tokenizer = train_tokenizer(["axial ct of the chest"] * 3, 300)
    special = {"bos_token": "<begin>", "eos_token": "<end>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(source)
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 40, "vocab_size": 300}
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(source)
    folder = tmp_path / "run"
    run(config("captioner", 1, decoder=str(source), decoding="beam"), folder)
    shutil.rmtree(source)
    out = tmp_path / "run.csv"
    root = only_the_test_images(caption_root, tmp_path / "test")
    assert predict(argparse.Namespace(run_dir=[folder], data=root, split="test", out=out, task=None)) == 0
    assert json.loads((folder / "card.json").read_text())["config"]["model"]["text"]["decoder"] == str(source)


def test_a_constant_has_nothing_to_train(config, tmp_path):
    with pytest.raises(InvalidInput, match=r"trainer\.max_steps=0"):
        run(config("constant", 5), tmp_path / "run")
