"""The digest of image and volume files that a run's card has, for every task that has such files."""

from __future__ import annotations

from collections import defaultdict

import pytest
from PIL import Image

from baselines.core.config import parse_config
from baselines.core.tasks import get_task

TASKS = ("caption-concepts", "coral-parsing", "drawnui-wireframe", "tuberculosis", "vqa")


def kind_of(task, name, path):
    """Return what files share whose exchange leaves truth and split as they are; ``None`` for scans, which have headers."""
    if task == "tuberculosis":
        place = name.rpartition(" ")[2]
        return None if place == "0" else place  # behind the scan come its masks
    if task in ("caption-concepts", "vqa"):
        return "image"
    with Image.open(path) as image:
        return image.size  # a part of the truth


def two_of_a_kind(task, sources):
    kinds = defaultdict(list)
    for name, path in sources.items():
        kinds[kind_of(task, name, path)].append(path)
    return next(paths[:2] for kind, paths in kinds.items() if kind and len(paths) > 1)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_exchanged_files_have_another_hash(tmp_path, task):
    card = get_task(task)
    card.module("samples").generate(tmp_path / "data", task, size=8)
    small = {"grid": [16, 24, 24], "workers": 0} if task == "tuberculosis" else {}
    plain = {"task": task, "experiment": "x", "runs_dir": str(tmp_path), "trainer": {"progress": "none"}}
    config = parse_config(plain | {"data": {"root": str(tmp_path / "data")} | small})
    data = card.module("data").build_data(config)
    before = data.files_hash
    sources = data.sources("train")
    first, second = two_of_a_kind(task, sources)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    exchanged = card.module("data").build_data(config)
    assert exchanged.sources("train") == sources
    assert exchanged.data_hash == data.data_hash
    assert exchanged.files_hash != before
