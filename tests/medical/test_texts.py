"""The modules that write texts: what each learns, what it has to beat, and that each travels with its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.core.config import parse_config
from baselines.core.findings import InvalidInput
from baselines.core.metrics.text import bleu, clean
from baselines.medical.captioner import Hypothesis, to_bytes
from baselines.medical.language import constant_caption
from baselines.medical.texts import TextTask, build_text_module, published_sources

IDS = [f"synpic{number}" for number in range(12)]
CAPTIONS = ["axial ct of the chest", "coronal mri of the knee", "frontal x-ray with fracture"]
TRUE = {name: (CAPTIONS[number % 3],) for number, name in enumerate(IDS)}


class Images(torch.utils.data.Dataset):
    """Images of one colour for each caption, with a little noise."""

    def __len__(self):
        return len(IDS)

    def __getitem__(self, index):
        colour = np.zeros((3, 1, 1)) + np.eye(3)[index % 3][:, None, None] * 200
        noise = np.random.default_rng(index).uniform(0, 30, (3, 32, 32))
        return IDS[index], torch.tensor(colour + noise).byte()


class Data:
    def predict_dataset(self, _split):
        return Images()

    def loader(self, dataset):
        return torch.utils.data.DataLoader(dataset, batch_size=5, collate_fn=collate)


def collate(items):
    return {"ids": [name for name, _ in items], "images": torch.stack([image for _, image in items])}


ALL = collate([Images()[index] for index in range(len(IDS))])


def make(name, count=1, train=TRUE, **text):
    small = {
        "vocabulary": 300,
        "width": 32,
        "layers": 1,
        "heads": 4,
        "max_tokens": 24,
        "dropout": 0.0,
        "samples": 8,
        "set_aside": 0.3,
    }
    plain = {
        "task": "caption-prediction",
        "experiment": "caption",
        "model": {"name": name, "backbone": "test_resnet", "text": small | text},
        "optimizer": {"lr": 3e-3, "ema_decay": None},
        "trainer": {"max_steps": 0 if name == "constant" else 100},
    }
    task = TextTask(
        train=train,
        val=train,
        count=count,
        constant=lambda captions: [constant_caption([text for texts in captions for text in texts])],
        prediction=lambda *each: each,
        written=lambda prediction: prediction[1],
    )
    torch.manual_seed(0)
    return build_text_module(parse_config(plain), task)


def fit(module, steps):
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=3e-3)
    module.train()
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        sum(module.losses(ALL).values()).backward()
        optimizer.step()
    module.eval()
    with torch.no_grad():
        module.calibrate(Data())
    return module


def written(module, batch=ALL):
    with torch.no_grad():
        return [texts[0] for texts in module.write(batch)]


@pytest.fixture(scope="module")
def captioner():
    return fit(make("captioner", label_smoothing=0.0), 100)


@pytest.mark.parametrize("name", ["words", "retrieval"])
def test_what_looks_at_images_learns_their_words(name):
    module = fit(make(name), 30 if name == "words" else 0)
    expected = [texts[0] for texts in TRUE.values()]
    if name == "retrieval":
        assert written(module) == expected
    else:
        assert [set(clean(text)) for text in written(module)] == [set(clean(text)) for text in expected]
        assert clean(written(module)[0]) == clean(expected[0])  # in their order
    again = make(name, train={})
    weights = module.network.state_dict()
    again.fit_shapes(weights)
    again.network.load_state_dict(weights)
    assert written(again.eval()) == written(module)


def test_words_are_tuned_on_images_that_are_not_trained_on():
    module = make("words")
    aside = [name for name in IDS if module.is_set_aside(name)]
    assert 0 < len(aside) < len(IDS)
    rows = [place for place, name in enumerate(IDS) if name in aside]
    only = {"ids": aside, "images": ALL["images"][rows]}
    assert float(module.losses(only)["words"].detach()) == 0
    assert not make("retrieval").is_set_aside(aside[0])


def test_the_constant_is_that_of_the_training_texts():
    module = make("constant")
    module.calibrate(None)
    assert set(written(module)) == {constant_caption([texts[0] for texts in TRUE.values()])}
    with_steps = replace(module.config, trainer=replace(module.config.trainer, max_steps=5))
    with pytest.raises(InvalidInput, match=r"trainer\.max_steps=0"):
        build_text_module(with_steps, module.task)


def test_several_neighbours_agree_on_a_text():
    module = fit(make("retrieval", neighbours=4), 0)
    assert written(module) == [texts[0] for texts in TRUE.values()]
    module.remember("memory_texts", [["one two three four"], ["one two three four"], ["five"]] * 4)
    assert set(written(module)) <= {"one two three four", "five"}


def test_the_captioner_learns_and_every_decoding_says_so(captioner, monkeypatch):
    expected = [texts[0] for texts in TRUE.values()]
    for decoding in ("beam", "risk", "climb"):
        monkeypatch.setattr(captioner, "options", replace(captioner.options, decoding=decoding))
        scores = [bleu(clean(true), clean(text)).bleu for true, text in zip(expected, written(captioner), strict=True)]
        assert np.mean(scores) > 0.9
    monkeypatch.undo()
    predictions = captioner.predict_step(ALL, 0)
    assert [each[1][0] for each in predictions] == expected
    assert [len(each[2]) for each in predictions] == [len(text.split()) for text in expected]


@pytest.mark.parametrize("decoding", ["risk", "climb"])
def test_validations_while_training_search_with_beams(captioner, monkeypatch, decoding):
    searched = written(captioner)
    monkeypatch.setattr(captioner, "options", replace(captioner.options, decoding=decoding))
    monkeypatch.setattr(type(captioner), "is_validating", True)
    monkeypatch.setattr(type(captioner.captioner), "sample", None)  # drawing would fail
    assert written(captioner) == searched


def test_validation_is_the_mean_bleu(captioner, monkeypatch):
    monkeypatch.setattr(captioner, "sum_over_processes", lambda values: values)
    captioner.reset_validation()
    assert captioner.compute_validation() == {"bleu": 0.0}
    captioner.update_validation({"ids": IDS[:2]}, [(IDS[0], [CAPTIONS[0]], None), (IDS[1], ["nothing"], None)])
    assert captioner.compute_validation() == {"bleu": 0.5}


def test_the_decoder_of_a_file_is_built_before_its_weights_are_loaded(captioner):
    again = make("captioner", train={}, width=64)
    assert not hasattr(again.network, "decoder")
    weights = captioner.network.state_dict()
    again.fit_shapes(weights)
    again.network.load_state_dict(weights)
    assert written(again.eval()) == written(captioner)


def test_several_questions_differ_for_the_score(captioner):
    found = [Hypothesis(text, 0.0) for text in ("is it a ct?", "Is it a CT", "which organ?")]
    assert captioner._distinct(found) == ["is it a ct?", "which organ?"]
    module = make("captioner", count=3, decoding="risk")
    assert module._choose(["is it a ct?"] * 4 + ["Is it the CT", "which organ?", "which organ?"]) == [
        "is it a ct?",
        "which organ?",
    ]
    with pytest.raises(InvalidInput, match="climb writes one text"):
        make("captioner", count=2, decoding="climb")


def test_one_of_several_true_texts_is_trained_on_at_random():
    several = dict.fromkeys(IDS, ("axial", "coronal image of the knee joint"))
    module = make("captioner", train=several)
    losses = set()
    for step in range(6):
        torch.manual_seed(step)
        losses.add(round(float(module.losses(ALL)["text"].detach()), 4))
    torch.manual_seed(0)
    assert round(float(module.losses(ALL)["text"].detach()), 4) in losses
    assert len(losses) > 2


def test_a_file_that_holds_no_texts_is_a_finding():
    module = make("constant")
    for value in (
        to_bytes("[1]"),
        to_bytes("[" * 100_000),
        torch.tensor([255], dtype=torch.uint8),
        to_bytes("3"),
        to_bytes('[["a", 2]]'),
    ):
        module.network.memory_texts = value
        with pytest.raises(InvalidInput, match="WEIGHTS-DAMAGED"):
            module.write(ALL)


def test_published_weights_are_those_of_backbone_and_decoder(tmp_path):
    config = make("captioner", train={}).config
    assert published_sources(config) == ["timm/test_resnet"]
    named = replace(config, model=replace(config.model, text=replace(config.model.text, decoder="gpt2")))
    assert published_sources(named) == ["timm/test_resnet", "transformers/gpt2"]
    local = replace(config, model=replace(config.model, text=replace(config.model.text, decoder=str(tmp_path))))
    assert published_sources(local) == ["timm/test_resnet"]
    assert published_sources(make("constant").config) == []
