"""Every experiment with every preset, for one step through the real command, up to its scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from baselines.core.paths import conf_dir
from baselines.core.tasks import all_tasks

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
PRESETS = sorted(path.stem for path in (conf_dir() / "preset").glob("*.yaml"))
# What makes a step of the largest recipe short; everything else is the recipe's own.
SMALL = ["trainer=cpu", "trainer.max_steps=1", "trainer.validate_every=1", "trainer.threads=2", "data.workers=0"]
SMALL += ["data.batch_size=2", "data.eval_batch_size=2", "model.weights=null"]
SMALL += ["optimizer.warmup_steps=0", "pictures=1", "bootstrap=10"]
# And what an experiment needs besides.
TEXT = ["data.image_side=64", "model.backbone=test_resnet", "model.text.width=32", "model.text.layers=1"]
TEXT += ["model.text.samples=2", "model.text.max_tokens=12"]
OWN = {
    "aware": ["model.trees=3", "model.width=4"],
    "caption": TEXT,
    "concepts": ["data.image_side=64"],
    "coral": ["data.side=128", "data.crop=96", "model.window=96", "model.encoder=resnet10t", "model.decoder=16"],
    "drawnui_screenshot": ["data.page_side=96", "data.crop=96"],
    "drawnui_wireframe": ["data.page_side=96", "data.crop=96"],
    "vqa": ["data.image_side=64", "model.question_encoder=null"],
    "vqg": TEXT,
    "tuberculosis": ["data.grid=[16,32,32]", "model.depth=10", "model.width=4"],
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    for card in all_tasks().values():
        if card.state == "baseline" and card.package.startswith("baselines."):
            card.module("samples").generate(root, card.id, size=8)
    return root


def train(*arguments, cwd):
    """Train, and return the run folders by preset."""
    command = [sys.executable, "-m", "baselines", "train", *arguments]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    folders = [path.parent for path in Path(cwd, "runs").rglob("config.yaml")]
    return {OmegaConf.load(folder / "config.yaml").preset: folder for folder in folders}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_runs_for_a_step_with_every_preset(samples, tmp_path, experiment):
    # As one sweep, since starting a process takes longer than the step.
    presets = f"preset={','.join(PRESETS)}"
    folders = train(
        "-m", f"experiment={experiment}", presets, f"data.root={samples}", *SMALL, *OWN.get(experiment, []), cwd=tmp_path
    )
    assert sorted(folders) == PRESETS
    for folder in folders.values():
        assert json.loads((folder / "status.json").read_text())["state"] == "finished"
        assert json.loads((folder / "scores.json").read_text())["n"]["missing"] == 0


@pytest.mark.slow
def test_the_other_detector_trains_and_a_run_starts_from_a_run_folder(samples, tmp_path):
    common = ["experiment=drawnui_wireframe", "preset=debug", f"data.root={samples}", *SMALL, *OWN["drawnui_wireframe"]]
    first = train(*common, "model=drawnui_two_stage", "model.backbone=resnet10t", cwd=tmp_path)["debug"]
    assert "=" in first.name  # as the names of run folders have: it is given without quotes all the same
    (tmp_path / "second").mkdir()
    train(*common, "model=drawnui_two_stage", "model.backbone=resnet10t", f"init_from={first}", cwd=tmp_path / "second")
