"""The detector's training, cut off and started again, with the loader, threads and precision that the demo has."""

from __future__ import annotations

import pytest

from baselines.drawnui.model import DetectorModule
from baselines.drawnui.samples import generate
from baselines.training import loop
from baselines.training.compose import compose, register_schemas


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    generate(root, "drawnui-wireframe", size=10, seed=1)
    register_schemas()
    small = ["data.page_side=96", "data.crop=96", "data.batch_size=2", "model.min_score=0.001"]
    steps = ["trainer.max_steps=7", "trainer.validate_every=3", "optimizer.warmup_steps=2", "pictures=0", "bootstrap=0"]
    return compose(
        ["experiment=drawnui_wireframe", "preset=demo", f"data.root={root}", f"runs_dir={root}/runs", *small, *steps]
    )


class PowerCut(Exception):
    pass


def left_by(folder):
    """What a run ends with: its predictions, its weights and every row of numbers but the speeds."""
    rows = (folder / "metrics.csv").read_text().splitlines()
    return {
        "run": (folder / "submission.json").read_bytes(),
        "weights": (folder / "model.safetensors").read_bytes(),
        "metrics": [row for row in rows if "per_second" not in row],
    }


@pytest.mark.slow
def test_a_training_that_is_cut_off_ends_as_one_that_is_not_and_a_repeated_one_too(settings, tmp_path, monkeypatch):
    folders = [tmp_path / name for name in ("whole", "again", "cut")]
    for folder in folders[:2]:
        loop.run(settings, folder)
    losses, calls = DetectorModule.losses, 0

    def cut_off_at_the_sixth_step(self, batch):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise PowerCut
        return losses(self, batch)

    monkeypatch.setattr(DetectorModule, "losses", cut_off_at_the_sixth_step)
    with pytest.raises(PowerCut):
        loop.run(settings, folders[2])
    assert not (folders[2] / "submission.json").exists()
    loop.run(settings, folders[2])
    assert calls == 6 + 4  # from the checkpoint of the third step
    whole, again, cut = map(left_by, folders)
    assert b'"score"' in whole["run"]  # something was found to compare
    assert again == whole
    assert cut == whole
