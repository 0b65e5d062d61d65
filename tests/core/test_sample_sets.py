"""Generated folders: whole or not at all, nothing foreign replaced, the same request does nothing."""

import json

import pytest

from baselines.core.findings import InvalidInput, UsageError
from baselines.core.sample_sets import MARKER, spread, write_sample_sets

REQUEST = {"note": "a sample", "size": 2, "seed": 0, "version": 1}


def writer(content):
    def write(folder):
        for name in ("a", "b"):
            (folder / name).mkdir()
            (folder / name / "file.txt").write_text(content)

    return write


def test_folders_are_written_with_a_marker_and_nothing_else(tmp_path):
    write_sample_sets(tmp_path / "family", ("a", "b"), REQUEST, writer("x"))
    assert sorted(path.name for path in (tmp_path / "family").iterdir()) == ["a", "b"]
    assert json.loads((tmp_path / "family" / "a" / MARKER).read_text()) == REQUEST


def test_the_same_request_writes_nothing_and_another_replaces_all(tmp_path):
    write_sample_sets(tmp_path, ("a", "b"), REQUEST, writer("x"))

    def fail(folder):
        raise AssertionError

    write_sample_sets(tmp_path, ("a", "b"), REQUEST, fail)
    write_sample_sets(tmp_path, ("a", "b"), REQUEST | {"size": 3}, writer("y"))
    assert (tmp_path / "a" / "file.txt").read_text() == "y"


@pytest.mark.parametrize("marker", [None, "", "[]", "{}", '{"version": ', "\0"])
def test_foreign_folders_are_left_alone_and_all_are_named(tmp_path, marker):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        if marker is not None:
            (tmp_path / name / MARKER).write_text(marker)
    with pytest.raises(InvalidInput) as caught:
        write_sample_sets(tmp_path, ("a", "b", "c"), REQUEST, writer("x"))
    assert caught.value.findings.counts == {"SAMPLE-FOREIGN-DATA": 2}
    assert not (tmp_path / "a" / "file.txt").exists()


def test_a_failure_leaves_what_was_there(tmp_path):
    write_sample_sets(tmp_path, ("a", "b"), REQUEST, writer("x"))

    def fail(folder):
        writer("y")(folder)
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_sample_sets(tmp_path, ("a", "b"), REQUEST | {"seed": 1}, fail)
    assert (tmp_path / "b" / "file.txt").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": -1}, {"seed": -1}])
def test_impossible_requests_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="at least"):
        write_sample_sets(tmp_path / "x", ("a",), REQUEST | wrong, writer("x"))
    assert not (tmp_path / "x").exists()


def test_results_come_in_the_order_of_the_jobs():
    assert spread(list(range(50)), lambda number: number * number, "squares") == [number**2 for number in range(50)]
