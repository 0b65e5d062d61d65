"""The data module and the module: what is trained on, augmentation by seed, decision rule, evidence, overfitting."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scans import chest, lungs, write_nifti

from baselines.core.config import parse_config
from baselines.core.findings import InvalidInput
from baselines.core.metrics.agreement import cohen_kappa, confusion_matrices
from baselines.medical.tuberculosis.data import TuberculosisData, balanced_order
from baselines.medical.tuberculosis.model import (
    Augmentation,
    TuberculosisModule,
    class_weights,
    fit_exponent,
    fit_temperature,
    softmax,
)
from baselines.medical.tuberculosis.networks import build_network
from baselines.medical.tuberculosis.task import DataConfig, ModelConfig
from baselines.training.bench import Plan, _data_rows, measure_data
from baselines.training.data import Draw

GRID = (16, 24, 24)
SMALL = ModelConfig(depth=10, width=4, stem_pool=False, mixup=0, dropout=0.0, label_smoothing=0.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Twenty scans of two types, told apart by their density; the last is cut off, the one before it has damaged voxels."""
    root = tmp_path_factory.mktemp("root")
    folder, rows = root / "medical" / "tuberculosis", []
    for number in range(20):
        label = 1 if number % 3 else 4
        volume = chest() + np.random.default_rng(number).normal(0, 20, chest().shape) + 300 * (label == 4) * lungs()
        path = write_nifti(folder / "train" / f"TRN_{number:04d}.nii.gz", volume, origin=float(number))
        write_nifti(folder / "masks1" / path.name, lungs(), dtype=np.uint8)
        rows.append(f"{path.name},{label}")
        content = path.read_bytes()
        if number == 19:
            path.write_bytes(content[:200])
        if number == 18:
            path.write_bytes(content[:-300] + bytes([content[-300] ^ 255]) + content[-299:])
    (folder / "TrainSet_metaData.csv").write_text("\n".join(["FileName,TypeOfTB", *rows]) + "\n")
    return root


@pytest.fixture
def make(root, tmp_path):
    """Return a function that makes the task's configuration."""

    def config(model=SMALL, **data):
        plain = {"task": "tuberculosis", "experiment": "tuberculosis", "runs_dir": str(tmp_path)}
        made = parse_config(plain | {"data": {"root": str(root), "grid": list(GRID), "workers": 0, "batch_size": 4} | data})
        return replace(made, model=model, trainer=replace(made.trainer, progress="none", accelerator="cpu"))

    return config


def test_broken_scans_are_told_and_not_trained_on_but_predicted(make):
    data = TuberculosisData(make(val_share=0.5))
    broken = {"TRN_0018.nii.gz", "TRN_0019.nii.gz"}
    assert {each.id for each in data.findings if each.code == "DATA-FILE-UNREADABLE"} == broken
    assert not broken & {sample.id for sample in data.split("train").samples}
    everything = TuberculosisData(make(val_share=0.9, tune_share=0.5))
    assert broken <= {sample.id for sample in everything.split("val").samples}
    module = TuberculosisModule(make(), everything)
    module.eval()
    module.classifier.rule_prior.copy_(torch.tensor([0.2, 0.5, 0.1, 0.1, 0.1]))
    everything.predict_split = "val"
    with torch.inference_mode():
        predictions = [each for batch in everything.predict_dataloader() for each in module.predict_step(batch, 0)]
    assert {each.id for each in predictions} == set(everything.split("val").truth_set.truths)
    for prediction in predictions:
        if prediction.id in broken:
            assert prediction.label == 2
            assert prediction.probabilities.tolist() == pytest.approx([0.2, 0.5, 0.1, 0.1, 0.1])
            assert prediction.evidence is None
        else:
            assert prediction.evidence.max() <= 1
            assert prediction.evidence.min() >= 0


def test_nothing_is_chosen_on_what_is_reported(make):
    data = TuberculosisData(make(tune_share=0.3))
    reported = {sample.id for sample in data.split("val").samples}
    fit, tune = (data.train_dataset(), data.val_dataset())
    fitted, tuned = ({dataset.samples[place].id for place in dataset.order} for dataset in (fit, tune))
    assert fitted | tuned == {sample.id for sample in data.split("train").samples}
    assert not fitted & tuned
    assert not reported & (fitted | tuned)
    assert tuned


def test_folds_are_chosen_by_configuration(make):
    held_out = [{sample.id for sample in TuberculosisData(make(folds=3, fold=fold)).split("val").samples} for fold in range(3)]
    assert sum(map(len, held_out)) == len(set().union(*held_out)) == 20
    with pytest.raises(InvalidInput, match=r"data\.fold=3, data\.folds=3"):
        TuberculosisData(make(folds=3, fold=3))
    with pytest.raises(InvalidInput, match=r"data\.fold=1"):
        TuberculosisData(make(fold=1))


def test_rare_types_are_drawn_more_often():
    labels = [1] * 16 + [4] * 4
    assert Counter(labels[place] for place in balanced_order(labels, 0.0, 0)) == {1: 16, 4: 4}
    assert Counter(labels[place] for place in balanced_order(labels, 0.5, 0)) == {1: 16, 4: 8}
    assert Counter(labels[place] for place in balanced_order(labels, 1.0, 0)) == {1: 16, 4: 16}
    assert set(balanced_order(labels, 0.3, 0)) == set(range(20))


def test_the_seed_decides_the_augmentation_and_nothing_else():
    volume = torch.rand(2, *GRID, generator=torch.Generator().manual_seed(0))
    augment = Augmentation(DataConfig(grid=GRID))
    first = augment(volume, 7)
    augment(volume, 8)
    torch.manual_seed(3)
    assert torch.equal(first, augment(volume, 7))
    assert torch.equal(first, Augmentation(DataConfig(grid=GRID))(volume, 7))
    assert not torch.equal(first, augment(volume, 8))
    assert first.shape == volume.shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_without_augmentation_a_volume_stays_as_it_is():
    volume = torch.rand(2, *GRID)
    still = DataConfig(grid=GRID, mirror=False, rotate=0.0, scale=0.0, shift=0.0, gamma=1.0, noise=0.0, blur=0.0)
    torch.testing.assert_close(Augmentation(still)(volume, 1), volume, atol=1e-4, rtol=0)
    mirrored = {torch.allclose(Augmentation(replace(still, mirror=True))(volume, s), volume, atol=1e-4) for s in range(9)}
    assert mirrored == {True, False}


@pytest.mark.parametrize(
    "model",
    [
        SMALL,
        replace(SMALL, depth=50, mask_channel=False),
        replace(SMALL, name="densenet", depth=121, width=8),
        ModelConfig(name="slices", backbone="resnet10t", heads=4, layers=1),
    ],
    ids=["resnet10", "resnet50", "densenet", "slices"],
)
def test_a_network_sees_the_volume_and_says_where(model):
    network = build_network(model, (32, 48, 48), 5).eval()
    volumes = torch.rand(2, 2, 32, 48, 48)
    features = network.features(volumes)
    assert features.ndim == 5
    assert network.classify(features).shape == (2, 5)
    torch.testing.assert_close(network(volumes), network.classify(features))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (replace(SMALL, depth=19), "10, 18, 34, 50"),
        (replace(SMALL, name="densenet"), "121, 169"),
        (replace(SMALL, weights="pretrained"), "model=tuberculosis_slices"),
        (replace(SMALL, weights="/nowhere.safetensors"), "WEIGHTS-MISSING"),
        (replace(SMALL, name="slices", stack=30), "model.stack"),
        (replace(SMALL, name="slices", backbone="resnet999"), "MODEL-NAME"),
    ],
)
def test_what_cannot_be_built_is_a_finding(model, said):
    with pytest.raises(InvalidInput, match=said):
        build_network(model, GRID, 5)


def test_evidence_is_where_the_class_is_seen(make):
    module = TuberculosisModule(make(), TuberculosisData(make())).eval()
    width = module.classifier.head[1].in_features
    features = torch.zeros(1, width, 2, 3, 4)
    features[0, 5, 1, 2, 3] = 2.0
    with torch.no_grad():
        module.classifier.head[1].weight.zero_()
        module.classifier.head[1].weight[3, 5] = 1.0
    seen = module.evidence(features, torch.tensor([3]))[0]
    assert seen[1, 2, 3] == 1
    assert seen.sum() == 1
    assert module.evidence(features, torch.tensor([2])).abs().sum() == 0


def test_a_temperature_makes_probabilities_honest():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    assert fit_temperature(logits, labels) == pytest.approx(1.0, abs=0.1)
    assert fit_temperature(logits * 2, labels) == pytest.approx(2.0, abs=0.15)


def test_the_rule_raises_kappa_of_a_model_that_prefers_frequent_classes():
    rng = np.random.default_rng(0)
    frequency = np.array([0.8, 0.15, 0.05])
    labels = rng.choice(3, 600, p=frequency)
    logits = np.eye(3)[labels] * 1.2 + rng.normal(0, 1, (600, 3)) + 1.5 * np.log(frequency)
    probabilities = softmax(logits)
    tau = fit_exponent(probabilities, labels, frequency)

    def kappa(weights):
        return cohen_kappa(confusion_matrices(labels, (probabilities * weights).argmax(1), 3))[0]

    assert tau > 0
    assert kappa(class_weights(frequency, tau)) > kappa(np.ones(3)) + 0.1
    assert fit_exponent(np.eye(3)[labels], labels, frequency) == 0


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_it_overfits_a_few_scans_and_calibrates_itself(make, mixup):
    torch.manual_seed(0)
    config = make(replace(SMALL, mixup=mixup), tune_share=0.3)
    data = TuberculosisData(config)
    module = TuberculosisModule(config, data).train()
    dataset = data.train_dataset()
    batch = data.collate([dataset[place] for place in range(4)] + [dataset[len(dataset) - 1 - place] for place in range(4)])
    assert {sample.truth.label for sample in data.split("train").samples} == {1, 4}
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        loss = sum(module.losses(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.75 * losses[0]
    module.eval()
    with torch.no_grad():
        module.calibrate(data)
        module.update_validation(batch, module.decode(batch))
    assert module.classifier.rule_prior.tolist()[1] == 0
    assert module.classifier.rule_prior.sum() == pytest.approx(1.0)
    assert torch.isfinite(module.classifier.rule_weights).all()
    assert module.counts.sum() == 8
    if not mixup:
        assert module.counts.trace() >= 7


def test_a_draw_is_a_function_of_its_seed(make):
    data = TuberculosisData(make())
    module = TuberculosisModule(make(), data)
    dataset = data.train_dataset()
    one, two, other = (module.inputs(data.collate([dataset[Draw(0, seed)]])) for seed in (5, 5, 6))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_bench_compares_cache_and_files_and_measures_the_filling(make):
    figures = measure_data(make(batch_size=1), Plan(warmup=1, block=2, rounds=2))
    assert figures["filling"]["items"] == 19  # all but the one that is cut off
    assert figures["filling"]["items_per_minute"] > 0
    assert figures["cached"]["samples_per_second"] > 0
    assert figures["ratio"] > 0
    table = dict(_data_rows(figures, "1"))
    assert table["filling the cache"].endswith("19 items")
