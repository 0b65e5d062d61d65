"""The script that writes a split as a COCO file."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from baselines.core.findings import Findings
from baselines.drawnui.records import read_split
from baselines.drawnui.samples import generate

SCRIPT = Path(__file__).parents[2] / "scripts" / "drawnui_coco.py"
TASK = "drawnui-wireframe"


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], int]:
    """The script's entry."""
    spec = importlib.util.spec_from_file_location("drawnui_coco", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of a few generated pages."""
    root = tmp_path_factory.mktemp("pages")
    generate(root, TASK, 5)
    return root


def test_pycocotools_reads_what_the_reader_reads(main, root, tmp_path, capsys):
    assert main([TASK, str(root), "train", str(tmp_path / "train.json")]) == 0
    split = read_split(root, TASK, "train", Findings())
    coco = COCO(str(tmp_path / "train.json"))
    assert [image["file_name"] for image in coco.dataset["images"]] == [sample.id for sample in split.samples]
    for image, sample in zip(coco.dataset["images"], split.samples, strict=True):
        found = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert [entry["category_id"] for entry in found] == sample.truth.labels.tolist()
    assert f"{len(split.samples)} images, {len(coco.anns)} boxes" in capsys.readouterr().out


def test_what_is_not_there_is_said_and_nothing_written(main, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    assert main([TASK, str(tmp_path / "data"), "train", str(tmp_path / "train.json")]) == 1
    assert str(tmp_path / "data") in capsys.readouterr().err
    assert not (tmp_path / "train.json").exists()


def test_a_missing_folder_is_not_made(main, root, tmp_path, capsys):
    assert main([TASK, str(root), "train", str(tmp_path / "missing" / "train.json")]) == 1
    assert f"{tmp_path / 'missing'}: OUTPUT-PATH OUT needs this folder, and there is none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_data_set_is_not_replaced(main, root, capsys):
    truth = next(root.rglob("*.json"))
    before = truth.read_bytes()
    assert main([TASK, str(root), "train", str(truth)]) == 2
    assert "overwrite" in capsys.readouterr().err
    assert truth.read_bytes() == before
