"""The digest of image and volume files that a run's card has, for every task that has such files."""

from __future__ import annotations

import pytest

from baselines.core.config import parse_config
from baselines.core.tasks import get_task

TASKS = ("caption-concepts", "coral-parsing", "drawnui-wireframe", "tuberculosis", "vqa")


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
    folder = next(iter(sources.values())).parent
    first, second = [path for path in sources.values() if path.parent == folder][:2]  # of one kind: no scan against a mask
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    exchanged = card.module("data").build_data(config)
    assert exchanged.sources("train") == sources
    assert exchanged.data_hash == data.data_hash
    assert exchanged.files_hash != before
