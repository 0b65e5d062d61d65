"""`imageclef bench score` and `bench check`: they measure what they say, on inputs that are valid."""

import json

import pytest

from baselines.cli import main
from baselines.core import bench


def test_sides_are_timed_in_turn_and_the_first_call_of_each_does_not_count():
    calls = []
    seconds = bench.time_in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert {name: len(each) for name, each in seconds.items()} == {"a": 3, "b": 3}
    assert all(second >= 0 for each in seconds.values() for second in each)


@pytest.fixture
def small(monkeypatch):
    for name, value in {"IMAGES": 3, "BOXES": 4, "CAPTIONS": 5, "ANSWERS": 5, "REEFS": 2, "ROUNDS": 1}.items():
        monkeypatch.setattr(bench, name, value)


@pytest.mark.parametrize("task", bench.MEASURES)
def test_figures_of_each_task(task, small, capsys, tmp_path):
    assert main(["bench", "score", task, "--json", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["what"] == "score"
    assert figures["command"].startswith("imageclef")
    assert figures["results"]
    for figure in figures["results"]:
        assert figure["seconds"] > 0
        assert task in figure["what"] or figure["to"] == "a single evaluation"
    assert task in capsys.readouterr().out


def test_checking_is_measured_on_a_set_without_errors(monkeypatch, tmp_path):
    for name, value in {"PHOTOS": 6, "PHOTO_SIDE": 40, "HASHES": 20}.items():
        monkeypatch.setattr(bench, name, value)
    assert main(["bench", "check", "--json", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["what"] == "check"
    assert [figure["seconds"] > 0 for figure in figures["results"]] == [True] * 3
    assert main(["bench", "check", "vqa"]) == 2


def test_every_coco_library_that_is_installed_is_a_side_with_the_same_score(small, tmp_path):
    list(bench._measure_detection(tmp_path))
    ours = bench.score_files("drawnui-wireframe", tmp_path / "truth.json", tmp_path / "run.json").metrics["map50"]
    evaluation = bench._coco_side("pycocotools", tmp_path / "truth.json", tmp_path / "run.json")()
    precision = evaluation.eval["precision"]
    assert precision[precision > -1].mean() == pytest.approx(ours, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["aware"], "nothing is measured for aware"), (["trainer.max_steps=3"], "no overrides"), (["vqaa"], "did you mean vqa")],
)
def test_wrong_usage(arguments, said, capsys):
    assert main(["bench", "score", *arguments]) == 2
    assert said in capsys.readouterr().err
