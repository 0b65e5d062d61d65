"""The data module, the network on sets and the ensemble: folds apart, learning, runs that are whole and predicted again."""

import json
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch

from baselines.aware import drawings
from baselines.aware.data import build_data, collate, folds_of, mix, without
from baselines.aware.model import build_module, combination
from baselines.aware.network import SetNetwork, set_losses
from baselines.aware.records import Prediction, read_split
from baselines.aware.score import combine, draw, draw_run
from baselines.aware.task import SITUATIONS
from baselines.core.config import parse_config
from baselines.core.findings import Findings, InvalidInput
from baselines.training import loop
from baselines.training.data import Draw
from baselines.training.predict import predict


@pytest.fixture
def config(aware_root, tmp_path):
    def make(**changes):
        plain = {
            "task": "aware",
            "experiment": "aware",
            "runs_dir": str(tmp_path),
            "bootstrap": 20,
            "pictures": 1,
            "data": {"root": str(aware_root), "batch_size": 16, "eval_batch_size": 16, "workers": 0, "folds": 3},
            "model": {"bases": ["ridge", "set"], "trees": 3, "seeds": 1, "width": 8, "heads": 2},
            "optimizer": {"lr": 5e-3, "weight_decay": 0.0},
            "trainer": {"max_steps": 2, "validate_every": 1, "accelerator": "cpu", "threads": 1, "progress": "none"},
        }
        for key, value in changes.items():
            section, _, name = key.rpartition("__")
            (plain[section] if section else plain)[name] = value
        return parse_config(plain)

    return make


def item(concepts, places, images, fold=0, rating=0.0):
    return {
        "id": "u",
        "concepts": np.array(concepts, np.int64),
        "confidences": np.full(len(concepts), 0.5),
        "boxes": np.zeros((len(concepts), 4)),
        "places": np.array(places, np.int64),
        "images": images,
        "targets": np.full(4, rating),
        "fold": fold,
    }


def test_folds_are_even_and_depend_on_ids_alone():
    ids = [f"u{index}" for index in range(32)]
    folds = folds_of(ids, 5, seed=0)
    assert folds == folds_of(ids[::-1], 5, seed=0)
    assert folds != folds_of(ids, 5, seed=1)
    assert sorted(np.bincount(list(folds.values())).tolist()) == [6, 6, 6, 7, 7]


def test_the_seed_of_the_split_decides_the_folds_and_no_share_is_held_out(config):
    folds = [build_data(config(data__split_seed=seed)).folds for seed in (0, 0, 1)]
    assert folds[0] == folds[1] != folds[2]
    with pytest.raises(InvalidInput, match="the campaign has a validation split"):
        build_data(config(data__val_share=0.3))


def test_a_draw_replays_and_differs_by_seed(config):
    dataset = build_data(config(data__mixup=0.5)).train_dataset()
    first, again, other = (dataset[Draw(4, seed)] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first["confidences"], again["confidences"])
    assert first["concepts"].tolist() != other["concepts"].tolist()
    for seed in range(30):
        drawn = dataset[Draw(4, seed)]
        assert drawn["places"].max() < drawn["images"]


def test_profiles_are_mixed_within_their_fold_and_rated_in_proportion(config):
    dataset = build_data(config(data__mixup=1.0)).train_dataset()
    assert all(dataset.items[mate]["fold"] == fold for fold, mates in dataset.mates.items() for mate in mates)
    assert len(dataset.mates) == 3
    one, other = item([1] * 40, range(40), 40, rating=1.0), item([2] * 40, range(40), 40, rating=0.0)
    mixed = mix(one, other, np.random.default_rng(1))
    assert mixed["targets"][0] == pytest.approx((mixed["concepts"] == 1).sum() / mixed["images"])
    assert len(set(mixed["places"].tolist())) == mixed["images"]


def test_a_profile_without_a_concept_keeps_its_photos():
    fewer = without(item([1, 2, 1], [0, 0, 1], 2), 1)
    assert fewer["concepts"].tolist() == [2]
    assert fewer["images"] == 2


def test_the_network_knows_no_order_and_members_don_t_meet():
    torch.manual_seed(0)
    network = SetNetwork(torch.randn(6, 4), members=3, width=8, heads=2, dropout=0.5).eval()
    straight = network(collate([item([1, 2, 3], [0, 0, 1], 2), item([4], [0], 1)]))
    turned = network(collate([item([4], [0], 1), item([3, 2, 1], [0, 1, 1], 2)]))
    torch.testing.assert_close(straight[:, [1, 0]], turned)
    assert straight.shape == (3, 2, 4)
    network(collate([item([1, 2, 3], [0, 0, 1], 2)]))[0].sum().backward()
    for parameter in (network.photo.weight, network.profile.weight):
        assert parameter.grad[0].abs().sum() > 0
        assert parameter.grad[1:].abs().sum() == 0
    grad = network.concepts.weight.grad.unflatten(1, (3, 8))
    assert grad[:, 1:].abs().sum() == 0


def test_a_profile_without_detections_is_predicted():
    network = SetNetwork(torch.randn(6, 4), members=2, width=8, heads=2, dropout=0.0).eval()
    assert torch.isfinite(network(collate([item([], [], 0)]))).all()


def test_a_member_learns_nothing_from_its_own_fold(config):
    settings = config(data__mixup=0.0)
    data = build_data(settings)
    module = build_module(settings, data).train()
    batch = data.collate([data.train_dataset()[Draw(index, 0)] for index in range(12)])
    shifted = {**batch, "targets": torch.where(batch["folds"][:, None] == 1, batch["targets"] + 9, batch["targets"])}
    grads = []
    for each in (batch, shifted):
        module.zero_grad()
        torch.manual_seed(0)
        torch.stack(list(module.losses(each).values())).sum().backward()
        grads.append(module.network.set.ratings_out.weight.grad.clone())
    torch.testing.assert_close(grads[0][1], grads[1][1], rtol=0, atol=0)
    assert (grads[0][0] != grads[1][0]).any()


def test_the_loss_is_least_for_the_truth_and_pearson_knows_no_scale():
    torch.manual_seed(0)
    targets, learns = torch.randn(8, 4), torch.ones(1, 8, dtype=torch.bool)
    right = set_losses(targets[None], targets, learns, 1.0)
    assert right["error"].item() == 0
    assert right["pearson"].item() == pytest.approx(0, abs=1e-6)
    scaled = set_losses(3 * targets[None] + 1, targets, learns, 1.0)
    assert float(scaled["pearson"]) == pytest.approx(0, abs=1e-5)
    assert float(scaled["error"]) > 1


def test_the_network_overfits_a_few_users(config):
    settings = config(data__mixup=0.0, data__image_dropout=0.0, model__dropout=0.0, model__bases=["set"])
    data = build_data(settings)
    torch.manual_seed(0)
    module = build_module(settings, data).train()
    batch = {**data.collate(data.train_dataset().items[:6]), "folds": torch.full((6,), -1)}
    optimizer = torch.optim.Adam(module.network.parameters(), lr=2e-2)
    for _ in range(80):
        loss = torch.stack(list(module.losses(batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_weights_favour_the_better_base_and_count_as_one():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 4))
    z = np.stack([truth + rng.normal(size=truth.shape), rng.normal(size=truth.shape)])
    weights = combination(z, truth)
    assert (weights[0] > 0.7).all()
    np.testing.assert_allclose(weights.sum(0), 1)
    np.testing.assert_allclose(combination(-z[:1], truth), 1)


@pytest.mark.parametrize(
    ("bases", "steps", "message"),
    [
        ([], 1, "different bases"),
        (["ridge", "ridge"], 0, "different bases"),
        (["ridge"], 1, "max_steps=0"),
        (["set"], 0, "max_steps=0"),
    ],
)
def test_bases_that_don_t_go_with_the_steps_are_refused(config, bases, steps, message):
    settings = config(model__bases=bases, trainer__max_steps=steps)
    with pytest.raises(InvalidInput, match=message):
        build_module(settings, build_data(settings))


@pytest.mark.parametrize(("key", "value"), [("model__weights", "pretrained"), ("model__name", "resnet50")])
def test_backbones_are_refused(config, key, value):
    settings = config(**{key: value})
    with pytest.raises(InvalidInput, match="there is no backbone"):
        build_module(settings, build_data(settings))


def test_what_is_held_out_is_not_looked_at_while_fitting(config):
    settings = config()
    data = build_data(settings)
    validated = {each["id"] for each in data.val_dataset().items}
    assert validated == {sample.id for sample in data.split("train").samples}


def read_run(path):
    return json.loads(path.read_text())


def test_a_run_is_whole_and_predicts_the_same_again(config, aware_root, tmp_path):
    settings = config(model__bases=["ridge", "svr", "forest", "focal", "set"])
    folder = tmp_path / "run"
    loop.run(settings, folder)
    names = {path.name for path in (folder / "pictures").iterdir()}
    assert {"ratings.png", "concepts.png"} < names
    assert len(names) == 3
    out = tmp_path / "again.json"
    arguments = {"data": str(aware_root), "split": "val", "out": str(out), "device": "cpu"}
    predict(Namespace(run_dir=[str(folder)], **arguments))
    first, again = read_run(folder / "run.json"), read_run(out)
    assert first.keys() == again.keys()
    for user, ratings in first.items():
        np.testing.assert_allclose([ratings[key] for key in SITUATIONS], [again[user][key] for key in SITUATIONS], rtol=1e-9)
    ensemble = tmp_path / "ensemble.json"
    predict(Namespace(run_dir=[str(folder), str(folder)], **(arguments | {"split": "test", "out": str(ensemble)})))
    assert len(read_run(ensemble)) == 15


@pytest.mark.parametrize("base", ["ratings", "extra_trees"])
def test_a_base_alone_is_fitted_without_steps(config, tmp_path, base):
    settings = config(model__bases=[base], trainer__max_steps=0, pictures=0)
    scores = loop.run(settings, tmp_path / "run").scores
    assert scores.metrics["pearson.mean"] is not None
    assert not (tmp_path / "run" / "pictures").exists()


def test_a_run_repeats_bit_for_bit(config, tmp_path):
    runs = []
    for name in ("one", "two"):
        loop.run(config(pictures=0), tmp_path / name)
        runs.append((tmp_path / name / "run.json").read_text())
    assert runs[0] == runs[1]


def test_an_ensemble_of_runs_takes_no_account_of_their_scales():
    rows = {"a": 1.0, "b": 2.0, "c": 4.0}
    run = {name: Prediction(name, dict.fromkeys(SITUATIONS, value)) for name, value in rows.items()}
    scaled = {name: Prediction(name, dict.fromkeys(SITUATIONS, 50 * value - 7)) for name, value in rows.items()}
    single, double = combine([run]), combine([run, scaled])
    for name in rows:
        np.testing.assert_allclose(double[name].ratings["it"], single[name].ratings["it"])


def test_pictures_show_what_they_are_given(aware_root):
    split = read_split(aware_root, "aware", "val", Findings())
    rng = np.random.default_rng(0)
    predictions = {
        sample.id: Prediction(
            sample.id,
            dict(zip(SITUATIONS, rng.normal(size=4).tolist(), strict=True)),
            {name: rng.normal(size=4).tolist() for name in sample.profile.concepts},
        )
        for sample in split.samples
    }
    pictures = draw_run(split, predictions, {})
    assert set(pictures) == {"ratings", "concepts"}
    sample = split.samples[0]
    with_bars = draw(sample, predictions[sample.id], {})
    without_bars = draw(sample, Prediction(sample.id, predictions[sample.id].ratings), {})
    blue = [(np.asarray(picture) == drawings.UP).all(-1).sum() for picture in (with_bars, without_bars)]
    assert blue[0] > 500
    assert blue[1] == 0
    assert (np.asarray(pictures["ratings"]) != 255).any()


@pytest.mark.slow
def test_the_command_refuses_a_base_with_steps(aware_root, tmp_path):
    command = [sys.executable, "-m", "baselines", "train", "experiment=aware", "model=aware_ridge", f"data.root={aware_root}"]
    ended = subprocess.run([*command, f"runs_dir={tmp_path}"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "set trainer.max_steps=0" in ended.stderr
    assert "Traceback" not in ended.stderr
