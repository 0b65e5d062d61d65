"""The module that chooses answers: that it learns, what it may answer, what each input is for, and what a run keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines.core.config import Config, OptimizerConfig, TrainerConfig
from baselines.core.findings import InvalidInput
from baselines.medical.options import TextConfig
from baselines.medical.vqa.answering import AnsweringModule
from baselines.medical.vqa.data import Images, collate
from baselines.medical.vqa.generating import GeneratingModule
from baselines.medical.vqa.model import pretrained_weights
from baselines.medical.vqa.questions import AnswerVocabulary
from baselines.medical.vqa.records import Sample, Truth
from baselines.medical.vqa.task import DataConfig, ModelConfig
from baselines.medical.vqa.text import small_encoder
from baselines.training.data import Draw
from baselines.training.loop import _initialise, restore_inference
from baselines.training.module import make_optimizer

SIDE = 32
WHERE = "where is the mass?"
PAIRS = (
    ("what is abnormal in the ct scan?", "mass"),
    (WHERE, "left"),
    ("what is abnormal in the ct scan?", "cyst"),
    (WHERE, "right"),
    ("is this ct scan normal?", "no"),
    ("is this a normal mri?", "yes"),
    ("what is abnormal in the mri?", "glioma"),
)


def picture(number):
    """A bright spot whose place says the number."""
    image = np.full((SIDE, SIDE, 3), 20, np.uint8)
    top, left = 8 * (number // 4), 8 * (number % 4)
    image[top : top + 8, left : left + 8] = 230
    return image


TRUTHS = tuple(Truth(f"id{number}", (answer,), question) for number, (question, answer) in enumerate(PAIRS))
SAMPLES = tuple(Sample(truth.id, Path(truth.id), truth.question, truth) for truth in TRUTHS)
PICTURES = {truth.id: picture(number) for number, truth in enumerate(TRUTHS)} | {"a": picture(7), "b": picture(8)}


class Data(SimpleNamespace):
    def train_truths(self):
        return list(TRUTHS)


def config(**model):
    settings = {
        "backbone": "resnet10t",
        "level": 3,
        "width": 32,
        "heads": 4,
        "layers": 1,
        "dropout": 0.0,
        "mixup": 0.0,
        "label_smoothing": 0.0,
    }
    return Config(
        task="vqa",
        experiment="vqa",
        data=DataConfig(image_side=SIDE),
        model=ModelConfig(**(settings | model)),
        trainer=TrainerConfig(max_steps=60),
    )


def data(**changes):
    answers = AnswerVocabulary.from_truths(TRUTHS)
    return Data(**({"answers": answers, "predicts_only": False} | changes))


def build(**model):
    torch.manual_seed(0)
    kind = GeneratingModule if model.get("name") == "generative" else AnsweringModule
    return kind(config(**model), data())


def batch(samples=SAMPLES):
    images = Images(samples, PICTURES, DataConfig(image_side=SIDE))
    return collate([images[number] for number in range(len(samples))])


def train(module, steps=60, lr=3e-3):
    optimizer = make_optimizer(OptimizerConfig(lr=lr, weight_decay=0.0), module.network, fused=False)
    module.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = module.losses(batch())["answer"]
        loss.backward()
        optimizer.step()
    module.eval()
    return float(loss.detach())


def answers_of(module, samples=SAMPLES):
    with torch.no_grad():
        return [prediction.texts[0] for prediction in module.decode(batch(samples))]


TRUE = [answer for _, answer in PAIRS]


@pytest.fixture(scope="module")
def trained():
    module = build()
    train(module)
    return module


def test_it_learns_a_few_samples_by_heart(trained):
    assert answers_of(trained) == TRUE
    trained.reset_validation()
    with torch.no_grad():
        trained.update_validation(batch(), trained.decode(batch()))
    trained.sum_over_processes = lambda tensor: tensor
    assert trained.compute_validation() == {"accuracy": 1.0}


def test_the_question_decides_what_is_said_of_an_image(trained):
    asked = [replace(sample, question=WHERE) for sample in SAMPLES]
    changed = answers_of(trained, asked)
    assert sum(before != after for before, after in zip(TRUE, changed, strict=True)) >= 2
    assert changed[1] == "left"


def test_yes_and_no_are_for_questions_that_want_them_whatever_the_scores(trained):
    scores = torch.randn(50, len(trained.answers)) * 100
    questions = ["is this image normal?", "what is the primary abnormality in this image?"] * 25
    chosen = [trained.answers.answers[index] for index in trained._choose(scores, questions).tolist()]
    assert set(chosen[::2]) == {"yes", "no"}
    assert not {"yes", "no"} & set(chosen[1::2])


def test_a_doubtful_answer_gives_way_to_one_seen_with_the_modality_and_a_sure_one_does_not(trained):
    index = {answer: number for number, answer in enumerate(trained.answers.answers)}
    scores = torch.full((1, len(index)), -9.0)
    # Glioma was seen with mri alone, mass and cyst with ct.
    scores[0, index["glioma"]], scores[0, index["mass"]], scores[0, index["cyst"]] = 1.0, 0.9, 0.8
    assert trained._choose(scores, ["what is abnormal in the ct scan?"]).tolist() == [index["mass"]]
    assert trained._choose(scores, ["what is abnormal in the mri?"]).tolist() == [index["glioma"]]
    assert trained._choose(scores, ["what is abnormal in this image?"]).tolist() == [index["glioma"]]
    scores[0, index["glioma"]] = 9.0
    assert trained._choose(scores, ["what is abnormal in the ct scan?"]).tolist() == [index["glioma"]]
    blind = build(modality_candidates=0)
    scores[0, index["glioma"]] = 1.0
    assert blind._choose(scores, ["what is abnormal in the ct scan?"]).tolist() == [index["glioma"]]


def scores_of(module, images, questions):
    with torch.no_grad():
        return module(images, questions)


@pytest.mark.parametrize("inputs", ["both", "image", "question"])
def test_each_ablation_sees_what_it_says(inputs):
    module = build(inputs=inputs).eval()
    images, others = torch.rand(2, 3, SIDE, SIDE), torch.rand(2, 3, SIDE, SIDE)
    questions, other_questions = ["what is abnormal in the ct scan?"] * 2, ["is this a normal mri?"] * 2
    base = scores_of(module, images, questions)
    assert torch.allclose(scores_of(module, others, questions), base) == (inputs == "question")
    assert torch.allclose(scores_of(module, images, other_questions), base) == (inputs == "image")
    # What follows the network must not look either.
    asked = module._choose(
        torch.randn(9, len(module.answers), generator=torch.Generator().manual_seed(1)), ["is it normal?"] * 9
    )
    words = {module.answers.answers[index] for index in asked.tolist()}
    assert (words <= {"yes", "no"}) == (inputs != "image")


@pytest.mark.parametrize(("inputs", "most"), [("image", 7), ("question", 4)])
def test_an_ablation_learns_what_its_input_tells(inputs, most):
    module = build(inputs=inputs)
    train(module)
    right = sum(found == true for found, true in zip(answers_of(module), TRUE, strict=True))
    # The images all differ; three questions are asked once, and two of them twice with other answers.
    assert right == (most if inputs == "image" else 5)


def test_mixing_keeps_to_the_form_of_the_question_and_weights_sum_to_one():
    module = build(mixup=1.0)
    targets = module._targets([sample.truth.texts for sample in SAMPLES])
    questions = [sample.question for sample in SAMPLES]
    images = torch.stack([torch.full((3, 4, 4), float(number)) for number in range(len(SAMPLES))])
    fits = module._fitting(questions)
    changed = 0
    for seed in range(20):
        torch.manual_seed(seed)
        mixed, shares = module._mixed(images, targets, questions)
        torch.testing.assert_close(shares.sum(1), torch.ones(len(SAMPLES)))
        assert not shares[~fits].any()
        own = (shares * targets).sum(1)
        assert (own >= 0.5 - 1e-6).all()
        changed += int((own < 0.999).sum())
        # The image is mixed in the same proportion: with a partner of value p it is own * n + (1 - own) * p.
        partner = (mixed[:, 0, 0, 0] - own * torch.arange(7.0)) / (1 - own).clamp_min(1e-9)
        is_mixed = own < 0.99
        torch.testing.assert_close(partner[is_mixed], partner[is_mixed].round(), atol=0.05, rtol=0)
    assert changed > 20


@pytest.mark.parametrize("model", [{"mixup": 0.4, "dropout": 0.2}, {"name": "generative", "dropout": 0.2}])
def test_the_seed_of_a_step_decides_all_that_is_random_in_it(model):
    module = build(**model).train()

    def loss(seed):
        torch.manual_seed(seed)
        return module.losses(batch())["answer"].item()

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)


def test_smoothing_and_balance_change_the_loss_as_they_should():
    plain, smooth = build(), build(label_smoothing=0.2)
    train(plain, 20)
    smooth.network.load_state_dict(plain.network.state_dict())
    assert smooth.eval().losses(batch())["answer"] > plain.losses(batch())["answer"] + 0.05
    balanced = build(balance=1.0)
    frequencies = balanced._log_frequencies().exp()
    torch.testing.assert_close(frequencies.sum(), torch.tensor(1.0))
    torch.testing.assert_close(frequencies, torch.full((7,), 1 / 7))


def test_several_references_share_the_target():
    module = build()
    targets = module._targets([("mass", "cyst", "something never seen"), ("Mass.",), ()])
    index = {answer: number for number, answer in enumerate(module.answers.answers)}
    assert targets[0, index["mass"]] == targets[0, index["cyst"]] == 0.5
    assert targets[1, index["mass"]] == 1.0
    assert targets[2].sum() == 0


def test_a_model_predicts_from_its_file_alone(trained, tmp_path):
    """Neither training data nor the question encoder's source are there: words, counts and masks come with the weights."""
    save_file({name: tensor.contiguous() for name, tensor in trained.network.state_dict().items()}, tmp_path / "m.safetensors")
    again = AnsweringModule(config(), data(predicts_only=True, train_truths=None))
    assert not again.network.answer_counts.any()
    restore_inference(again, load_file(tmp_path / "m.safetensors"), tmp_path / "m.safetensors")
    again.eval()
    assert answers_of(again) == TRUE
    assert again.network.answer_counts.sum() == len(PAIRS)
    assert again._fitting(["is it normal?"]).sum() == 2


def test_a_model_with_a_published_question_encoder_predicts_without_it(tmp_path):
    published = small_encoder([question for question, _ in PAIRS], width=24, layers=1, heads=2)
    published.model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(bytes(published.tokenizer_json.tolist()))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(special))
    module = build(question_encoder=str(tmp_path))
    assert module.network.text.width == 24
    again = AnsweringModule(config(question_encoder="/no/such/folder"), data(predicts_only=True))
    restore_inference(again, module.network.state_dict(), Path("x"))
    sample = batch()
    torch.testing.assert_close(
        scores_of(again.eval(), sample["images"].float(), sample["questions"]),
        scores_of(module.eval(), sample["images"].float(), sample["questions"]),
    )


def test_a_training_can_start_from_a_model_of_other_answers_and_other_words(trained, tmp_path):
    truths = [Truth("a", ("abscess",), "which disease does the patient suffer from?"), Truth("b", ("yes",), "is it normal?")]
    other = data(answers=AnswerVocabulary.from_truths(truths))
    other.train_truths = lambda: truths
    module = AnsweringModule(config(), other)
    save_file({name: tensor.clone() for name, tensor in trained.network.state_dict().items()}, tmp_path / "m.safetensors")
    start = module.network.head[2].weight.clone()
    _initialise(module, tmp_path / "m.safetensors")
    module.setup("fit")
    torch.testing.assert_close(module.network.backbone.conv1[0].weight, trained.network.backbone.conv1[0].weight)
    torch.testing.assert_close(module.network.head[2].weight, start)
    assert module.network.answer_counts.sum() == 2
    assert module.losses(batch([Sample(truth.id, Path(truth.id), truth.question, truth) for truth in truths]))[
        "answer"
    ].isfinite()


WRITER = {"name": "generative", "text": TextConfig(width=32, layers=1, heads=4, dropout=0.0, label_smoothing=0.0, beams=2)}


def test_answers_are_written_word_by_word_and_a_file_brings_all_that_this_needs():
    module = build(**WRITER)
    train(module, 120)
    assert answers_of(module) == TRUE
    asked = [replace(sample, question=WHERE) for sample in SAMPLES]
    assert answers_of(module, asked)[1] == "left"
    assert answers_of(module, SAMPLES[3:4]) == TRUE[3:4]  # whatever lies beside it in a batch
    again = GeneratingModule(config(**WRITER), data(predicts_only=True, train_truths=None))
    restore_inference(again, module.network.state_dict(), Path("x"))
    assert answers_of(again.eval()) == TRUE


@pytest.mark.parametrize("inputs", ["image", "question"])
def test_written_answers_come_from_the_input_that_is_there(inputs):
    module = build(**WRITER, inputs=inputs).eval()
    images, questions = torch.rand(2, 3, SIDE, SIDE), ["what is abnormal in the ct scan?"] * 2
    with torch.no_grad():
        base = module.network.memory(images, questions)
        assert torch.allclose(module.network.memory(1 - images, questions), base) == (inputs == "question")
        assert torch.allclose(module.network.memory(images, ["is this a normal mri?"] * 2), base) == (inputs == "image")


def test_training_that_starts_from_another_run_counts_its_own_answers():
    module = build()
    module.network.answer_counts.fill_(9)
    module.network.form_fits.fill_(value=True)
    module.setup("fit")
    assert module.network.answer_counts.sum() == len(PAIRS)
    assert not module.network.form_fits.all()


def test_evidence_lies_on_the_image_and_there_is_none_without_one(trained):
    with torch.inference_mode():
        predictions = trained.predict_step(batch(), 0)
    assert [prediction.texts[0] for prediction in predictions] == TRUE
    for prediction in predictions:
        assert prediction.attention.shape == (1, 4, 4)
        assert 0 <= prediction.attention.min() <= prediction.attention.max() <= 1
    blind = build(inputs="question").eval()
    with torch.inference_mode():
        assert blind.predict_step(batch(), 0)[0].attention is None
    assert all(parameter.grad is None for parameter in blind.parameters())


def test_evidence_is_where_the_answer_comes_from():
    """A network whose score is the brightness of the left half has its evidence there."""
    module = build().eval()
    module.fusion.backbone = torch.nn.Identity()
    module.fusion.features = lambda images: torch.nn.functional.adaptive_avg_pool2d(images, 4)
    module.fusion.scores = lambda features, _: features[:, :, :, :2].sum((1, 2, 3))[:, None].expand(-1, 7)
    images = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    images[..., : SIDE // 2] = 255
    features = module.fusion.features(images.float())
    found = module.evidence(features, ["what is abnormal?"], torch.tensor([0]))
    assert found[0, :, :2].min() > 0.9
    assert found[0, :, 2:].max() == 0


def test_a_draw_decides_its_augmentation():
    images = Images(SAMPLES, PICTURES, DataConfig(image_side=SIDE))
    np.testing.assert_array_equal(images[Draw(0, 5)]["image"], images[Draw(0, 5)]["image"])
    assert not np.array_equal(images[Draw(0, 5)]["image"], images[Draw(0, 6)]["image"])
    np.testing.assert_array_equal(images[0]["image"], PICTURES["id0"])


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"width": 30}, "model.width"),
        ({"level": 3, "backbone": "vit_tiny_patch16_224"}, None),
        ({"backbone": "resnet_none"}, "MODEL-NAME"),
        ({"question_encoder": "nobody/nothing"}, "imageclef fetch vqa"),
    ],
)
def test_what_does_not_fit_is_a_finding(wrong, what, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    if what is None:
        assert build(**wrong).network.features(torch.zeros(1, 3, SIDE, SIDE)).shape == (1, 192, 2, 2)
        return
    with pytest.raises(InvalidInput, match=what):
        build(**wrong)


def test_without_an_answer_there_is_nothing_to_learn():
    with pytest.raises(InvalidInput, match="DATA-EMPTY"):
        AnsweringModule(config(), data(answers=AnswerVocabulary(())))


@pytest.mark.parametrize(
    ("model", "sources"),
    [
        ({}, ["timm/resnet10t"]),
        ({"question_encoder": "org/name"}, ["timm/resnet10t", "transformers/org/name"]),
        ({"question_encoder": "org/name", "inputs": "image"}, ["timm/resnet10t"]),
        ({"question_encoder": "org/name", "inputs": "question"}, ["transformers/org/name"]),
        ({"name": "generative", "text": TextConfig(decoder="org/words")}, ["timm/resnet10t", "transformers/org/words"]),
    ],
)
def test_published_weights_are_those_that_are_used(model, sources):
    assert pretrained_weights(config(**model)) == sources
