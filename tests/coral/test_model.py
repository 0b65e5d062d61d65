"""The model by name, what it learns, what it predicts, and one fit for both subtasks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from segmentation_models_pytorch.losses import MULTICLASS_MODE, DiceLoss

from baselines.cli import main
from baselines.coral.data import IGNORED, build_data
from baselines.coral.model import CLASSES, CoralModule, build_network, dice_loss
from baselines.coral.records import Prediction
from baselines.coral.samples import TRAIN, generate
from baselines.coral.shapes import Shapes
from baselines.coral.task import DataConfig, ModelConfig
from baselines.core.config import Config, OptimizerConfig, TrainerConfig
from baselines.core.findings import InvalidInput, UsageError
from baselines.training.data import Draw
from baselines.training.loop import run

SMALL = {"encoder": "resnet10t", "decoder": 16, "window": 96}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(folder, "coral-parsing", size=6, seed=4)
    return folder


def config(root, **sections):
    data = {"side": 192, "crop": 96, "workers": 0, "batch_size": 2, "eval_batch_size": 2, "depth": 3.0}
    return Config(
        task="coral-parsing",
        experiment="coral",
        pictures=1,
        bootstrap=10,
        runs_dir=str(root / "runs"),
        data=DataConfig(root=str(root), cache_dir=str(root / "cache"), **(data | sections.get("data", {}))),
        model=ModelConfig(**(SMALL | sections.get("model", {}))),
        optimizer=OptimizerConfig(**({"lr": 3e-3} | sections.get("optimizer", {}))),
        trainer=TrainerConfig(accelerator="cpu", precision="32", max_steps=2, validate_every=2, threads=1),
    )


@pytest.mark.parametrize("name", ["unet", "unetplusplus", "fpn", "deeplabv3plus", "segformer", "upernet"])
def test_every_architecture_builds_and_gives_maps_of_the_pictures_size(name):
    network = build_network(ModelConfig(name=name, **SMALL)).eval()
    with torch.no_grad():
        logits, depths = network(torch.zeros(1, 3, 64, 96))
    assert logits.shape == (1, CLASSES, 64, 96)
    assert depths.shape == (1, 64, 96)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoder"), [("unet", "resnet50"), ("fpn", "convnext_tiny"), ("segformer", "pvt_v2_b0")])
def test_other_encoders_fit(name, encoder):
    network = build_network(ModelConfig(name=name, encoder=encoder, decoder=16)).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 64, 64))[1].shape == (1, 64, 64)


def test_a_wrong_encoder_window_or_weights_file_is_a_finding(root, tmp_path):
    with pytest.raises(InvalidInput, match=r"MODEL-NAME.*resnet"):
        build_network(ModelConfig(encoder="resnet51"))
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE the encoder takes pictures of one size only"):
        build_network(ModelConfig(encoder="swin_tiny_patch4_window7_224"))
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE they don't fit together"):
        build_network(ModelConfig(name="deeplabv3plus", encoder="pvt_v2_b0", decoder=16))
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE model.window .*saw 100"):
        CoralModule(config(root, model={"window": 100}))
    with pytest.raises(InvalidInput, match="WEIGHTS-MISSING"):
        build_network(ModelConfig(**SMALL, weights=str(tmp_path / "none.safetensors")))


def test_an_encoder_starts_from_a_local_file(tmp_path):
    donor = build_network(ModelConfig(**SMALL))
    path = tmp_path / "encoder.pth"
    torch.save(donor.segmenter.encoder.model.state_dict(), path)
    network = build_network(ModelConfig(**SMALL, weights=str(path)))
    for one, other in zip(donor.segmenter.encoder.parameters(), network.segmenter.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("present", [range(14), (0, 3)])
def test_the_dice_loss_is_that_of_the_library(present):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 14, 20, 24, generator=generator)
    classes = torch.tensor(present)[torch.randint(0, len(present), (2, 20, 24), generator=generator)]
    classes[:, :5] = IGNORED
    expected = DiceLoss(MULTICLASS_MODE, ignore_index=IGNORED)(logits, classes) * 14 / len(present)  # it averages over all
    torch.testing.assert_close(dice_loss(logits.log_softmax(1), classes), expected)


def test_nothing_is_learnt_where_nothing_is_known(root):
    torch.manual_seed(0)
    data = build_data(config(root))
    module = CoralModule(config(root)).eval()
    batch = data.collate([data.train_dataset()[Draw(0, seed)] for seed in range(2)])
    batch["classes"][:, :, :48] = IGNORED
    before = {name: part.item() for name, part in module.losses(batch).items()}
    batch["depths"][:, :, :48] = 1 - batch["depths"][:, :, :48]
    assert {name: part.item() for name, part in module.losses(batch).items()} == before
    assert before.keys() == {"classes", "dice", "depth"}
    batch["classes"][:] = IGNORED
    assert all(np.isfinite(part.item()) for part in module.losses(batch).values())


@pytest.mark.slow
def test_it_overfits_two_crops(root):
    torch.manual_seed(0)
    settings = config(root, data={"jitter": 0.0, "crop": 64})
    data, module = build_data(settings), CoralModule(settings).train()
    images = data.train_dataset()
    batch = data.collate([images[Draw(0, 2)], images[Draw(1, 3)]])
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=3e-3)
    first = last = None
    for _ in range(35):
        loss = torch.stack(list(module.losses(batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = first or loss.item()
        last = loss.item()
    assert last < 0.5 * first
    logits, _ = module.network(torch.zeros(1, 3, 64, 64))
    assert torch.isfinite(logits).all()


def test_every_image_gets_an_object_within_its_file(root):
    torch.manual_seed(0)
    settings = config(root)
    data, module = build_data(settings), CoralModule(settings).eval()
    images = data.predict_dataset("val")
    batch = data.collate([images[index] for index in range(len(images))])
    with torch.no_grad():
        predictions = module.decode(batch)
    assert [prediction.id for prediction in predictions] == batch["ids"]
    for prediction in predictions:
        assert len(prediction.labels) == len(prediction.shapes) == len(prediction.scores) > 0
        assert set(prediction.labels.tolist()) <= set(range(1, 14))
        assert (prediction.shapes.points >= 0).all()
        assert (prediction.shapes.points <= [1008, 756]).all()


def test_the_truth_itself_validates_at_one(root):
    settings = config(root)
    data, module = build_data(settings), CoralModule(settings)
    images = data.predict_dataset("val")
    batch = data.collate([images[index] for index in range(len(images))])
    module.reset_validation()
    perfect = [
        Prediction(name, Shapes(points, offsets), labels, np.full(len(labels), 0.9))
        for name, (points, offsets, labels) in zip(batch["ids"], batch["truths"], strict=True)
    ]
    module.update_validation(batch, perfect)
    assert module.counts.compute(lambda tensor: tensor) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_one_fit_serves_both_subtasks(tmp_path):
    root = tmp_path / "data"
    generate(root, "coral-parsing", size=6, seed=4)
    folder = tmp_path / "run"
    run(config(root, model={"foreground": 0.2}), folder)
    for name, task, kind in (
        ("scores.json", "coral-parsing", "run-polygons.txt"),
        ("scores-coral-annotation.json", "coral-annotation", "run-boxes.txt"),
    ):
        scores = json.loads((folder / name).read_text())
        assert scores["task"] == task
        assert scores["n"]["missing"] == 0
        truth = folder / name.replace("scores", "truth")
        assert main(["validate", task, "--truth", str(truth), "--run", str(folder / kind)]) == 0
    assert {path.stem for path in (folder / "pictures").iterdir()} >= {"confusion", "substrates"}
    shutil.rmtree(root / "coral" / TRAIN)  # a test set alone is enough
    for task in ("coral-parsing", "coral-annotation"):
        out = tmp_path / f"{task}.txt"
        assert main(["predict", str(folder), "--data", str(root), "--task", task, "--out", str(out), "--device", "cpu"]) == 0
        (tmp_path / "ids").write_text("".join(f"{line.partition(';')[0]}\n" for line in out.read_text().splitlines()))
        assert main(["validate", task, "--ids", str(tmp_path / "ids"), "--run", str(out)]) == 0
    assert "x" in (tmp_path / "coral-annotation.txt").read_text().partition(":")[2].partition("+")[0]
    assert main(["predict", str(folder), "--data", str(root), "--task", "aware", "--out", str(tmp_path / "x")]) == 2


def test_the_task_that_another_fit_serves_is_not_trained_by_itself(root, tmp_path):
    with pytest.raises(UsageError, match="a fit of coral-parsing serves coral-annotation"):
        run(replace(config(root), task="coral-annotation"), tmp_path / "run")
