"""Pictures of a run: one for each of some samples, and what a task draws of all of them."""

from PIL import Image

from baselines.core.tasks import get_task
from baselines.training import loop


def test_a_task_draws_pictures_of_the_whole_run(toy_config, tmp_path, monkeypatch):
    seen = []

    def draw_run(split, predictions, classes):
        seen.append((len(split.samples), len(predictions), dict(classes)))
        return {"confusion": Image.new("RGB", (8, 8))}

    monkeypatch.setattr(get_task("toy").module("score"), "draw_run", draw_run, raising=False)
    config = toy_config(trainer__max_steps=1)
    loop.run(config, tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run" / "pictures").iterdir())
    assert names[-1] == "confusion.png"
    assert len(names) == config.pictures + 1
    assert seen[0][:2] == (13, 13)
    assert seen[0][2]
