"""The array cache: made once, item by item, by processes that may die; what failed is told, what is finished stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from baselines.training.arrays import ERROR, cached_arrays, measured, original_arrays


def prepare(files, log=None):
    """Count the bytes of the files; the content says what goes wrong."""
    content = files[0].read_bytes()
    if log is not None:
        with log.open("a") as lines:
            lines.write(f"{files[0].name}\n")
    if content == b"useless":
        return None, {ERROR: "of no use"}
    if content == b"raises":
        raise MemoryError("too large")
    if content == b"dies":
        os._exit(1)
    return np.frombuffer(content, np.uint8), {"bytes": sum(path.stat().st_size for path in files)}


@pytest.fixture
def items(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    found = {}
    for name in ("a", "b", "c"):
        (folder / name).write_bytes(name.encode() * 5)
        found[name] = (folder / name,)
    return found


def test_arrays_come_back_mapped_and_are_prepared_once(items, tmp_path):
    log = tmp_path / "log"
    for _ in range(2):
        arrays = cached_arrays(tmp_path / "cache", items, "plain", partial(prepare, log=log), workers=0)
        assert bytes(arrays["b"]) == b"bbbbb"
        assert isinstance(arrays["b"], np.memmap)
        assert arrays.facts["b"] == {"bytes": 5}
        assert "b" in arrays
        assert "other" not in arrays
    assert sorted(log.read_text().split()) == ["a", "b", "c"]


def test_a_changed_file_and_a_new_recipe_cost_their_own_preparation(items, tmp_path):
    log = tmp_path / "log"
    cached_arrays(tmp_path / "cache", items, "plain", partial(prepare, log=log), workers=0)
    log.unlink()
    items["b"][0].write_bytes(b"changed")
    assert bytes(cached_arrays(tmp_path / "cache", items, "plain", partial(prepare, log=log), workers=0)["b"]) == b"changed"
    assert log.read_text().split() == ["b"]
    cached_arrays(tmp_path / "cache", items, "other", partial(prepare, log=log), workers=0)
    assert sorted(log.read_text().split()) == ["a", "b", "b", "c"]


def test_what_was_cut_off_is_made_again_and_what_is_finished_stays(items, tmp_path):
    log = tmp_path / "log"
    cached_arrays(tmp_path / "cache", items, "plain", partial(prepare, log=log), workers=0)
    (folder,) = (tmp_path / "cache").iterdir()
    facts, *_ = sorted(folder.glob("*.json"))
    facts.unlink()  # as if killed between array and facts
    log.unlink()
    arrays = cached_arrays(tmp_path / "cache", items, "plain", partial(prepare, log=log), workers=0)
    assert len(log.read_text().split()) == 1
    assert all(name in arrays for name in items)


def test_what_a_killed_process_was_writing_is_removed_once_nobody_can_be_at_it(items, tmp_path):
    cached_arrays(tmp_path / "cache", items, "plain", prepare, workers=0)
    (folder,) = (tmp_path / "cache").iterdir()
    old, new = folder / ".a.npy.0badcafe.tmp", folder / ".b.npy.0badcafe.tmp"
    for path in (old, new):
        path.write_bytes(b"half an array")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    arrays = cached_arrays(tmp_path / "cache", items, "plain", prepare, workers=0)
    assert not old.exists()
    assert new.exists()
    assert all(name in arrays for name in items)


def test_what_is_of_no_use_is_remembered_and_what_failed_is_tried_again(items, tmp_path):
    log = tmp_path / "log"
    items["a"][0].write_bytes(b"useless")
    items["b"][0].write_bytes(b"raises")
    for _ in range(2):
        arrays = cached_arrays(tmp_path / "cache", items, "plain", partial(prepare, log=log), workers=0)
        assert "a" not in arrays
        assert "b" not in arrays
        assert "c" in arrays
        assert arrays.facts["a"] == {ERROR: "of no use"}
        assert arrays.facts["b"] == {ERROR: "MemoryError: too large"}
    assert sorted(log.read_text().split()) == ["a", "b", "b", "c"]


def test_a_file_that_is_gone_costs_its_own_item_and_names_need_not_be_utf8(items, tmp_path):
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.write_bytes(b"odd")
    items |= {"a": (tmp_path / "gone",), "odd": (odd,)}
    arrays = cached_arrays(tmp_path / "cache", items, "plain", prepare, workers=0)
    assert arrays.facts["a"][ERROR].startswith("FileNotFoundError")
    assert [key in arrays for key in items] == [False, True, True, True]
    assert bytes(arrays["odd"]) == b"odd"


@pytest.mark.slow
def test_a_process_that_dies_takes_one_item_with_it(items, tmp_path):
    items["b"][0].write_bytes(b"dies")
    before = dict(os.environ)
    arrays = cached_arrays(tmp_path / "cache", items, "plain", prepare, workers=2)
    assert bytes(arrays["a"]) == b"aaaaa"
    assert bytes(arrays["c"]) == b"ccccc"
    assert "ended" in arrays.facts["b"][ERROR]
    assert dict(os.environ) == before


def test_progress_is_a_few_lines_in_a_file(items, tmp_path, capsys):
    cached_arrays(tmp_path / "cache", items, "plain", prepare, workers=0, progress="lines")
    assert capsys.readouterr().err.splitlines()[-1] == "prepared 3 of 3"
    cached_arrays(tmp_path / "cache", items, "other", prepare, workers=0, progress="none")
    assert capsys.readouterr().err == ""


def test_measuring_adds_the_memory(items):
    array, facts = measured(prepare, items["a"])
    assert bytes(array) == b"aaaaa"
    assert facts["peak_bytes"] is None or facts["peak_bytes"] > 2**20


def test_originals_are_prepared_at_each_access(items, tmp_path):
    log = tmp_path / "log"
    items["b"][0].write_bytes(b"useless")
    originals = original_arrays(tmp_path / "cache", items, "plain", partial(prepare, log=log), workers=0, progress="none")
    assert "a" in originals
    assert "b" not in originals
    log.unlink()
    assert bytes(originals["a"]) == bytes(originals["a"]) == b"aaaaa"
    assert log.read_text().split() == ["a", "a"]
    with pytest.raises(ValueError, match="of no use"):
        originals["b"]


def test_the_module_brings_no_torch():
    code = "import baselines.training.arrays, baselines.medical.tuberculosis.volumes, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
