"""Leaderboards: the order and what it is worth, runs that can't be ranked, and the output formats."""

import csv
import json
from pathlib import Path

import pytest

from baselines.cli import main
from baselines.core.compare import LEVEL, as_csv, as_latex, as_markdown, compare_runs, short_names
from baselines.core.scorer import Scorer, Settings, score_files

TASK = "drawnui-wireframe"
IMAGES = 40


def page(number, boxes):
    annotations = [
        {"box": [0.1, x, 0.2, 0.1], "detectionClass": 16, "detectionString": "button", "score": score} for x, score in boxes
    ]
    return {"file": f"{number}.jpg", "width": 100, "height": 100, "annotations": annotations}


def write(path, pages):
    path.write_text(json.dumps(pages))
    return path


@pytest.fixture
def truth(tmp_path):
    return write(tmp_path / "truth.json", [page(number, [(0.1, 1)]) for number in range(IMAGES)])


def found(path, count):
    """Write a run that finds the box of the first so many images."""
    return write(path, [page(number, [(0.1, 0.9)]) for number in range(count)])


@pytest.fixture
def runs(tmp_path):
    return [
        found(tmp_path / f"{name}.json", count) for name, count in (("poor", 10), ("best", 40), ("close", 39), ("same", 40))
    ]


def board(truth, runs, bootstrap=500):
    return compare_runs(Scorer(TASK, truth, None, Settings(bootstrap)), runs)


def test_runs_are_ranked_and_told_from_the_best(truth, runs):
    rows = {row.name: row for row in board(truth, runs)}
    assert list(rows) == ["best", "same", "close", "poor"]
    assert [row.rank for row in rows.values()] == [1, 1, 3, 4]
    assert rows["best"].p_value is None
    assert rows["same"].p_value == 1.0
    assert rows["close"].p_value > LEVEL > rows["poor"].p_value
    verdicts = [row.verdict for row in rows.values()]
    assert verdicts == ["best", "tied with the best, equal score", "tied with the best", "worse than the best"]


def test_the_order_of_the_arguments_does_not_matter(truth, runs):
    assert board(truth, runs) == board(truth, runs[::-1])


def test_each_row_has_the_scores_of_the_run_alone(truth, runs):
    for row in board(truth, runs):
        assert row.scores == score_files(TASK, truth, row.path, bootstrap=500)


def test_p_values_are_adjusted_for_the_number_of_runs(truth, runs, tmp_path):
    alone = {row.name: row.p_value for row in board(truth, [runs[1], runs[0]])}
    more = [found(tmp_path / f"poor{number}.json", 10) for number in range(3)]
    together = {row.name: row.p_value for row in board(truth, [runs[1], runs[0], *more])}
    assert together["poor"] == pytest.approx(4 * alone["poor"])


def test_many_runs_get_enough_resamples_to_be_told_apart(truth, tmp_path, capsys):
    runs = [found(tmp_path / f"{count}.json", count) for count in (40, *range(27))]
    arguments = [str(each) for each in ("compare", TASK, "--truth", truth, *runs, "--format", "csv")]
    assert main(arguments) == 0
    verdicts = [line["verdict"] for line in csv.DictReader(capsys.readouterr().out.splitlines())]
    assert verdicts == ["best", *["worse than the best"] * 27]
    assert main([*arguments, "--bootstrap", "1000"]) == 2
    assert "give at least 1080" in capsys.readouterr().err


def test_without_resamples_there_are_no_tests(truth, runs):
    rows = board(truth, runs, bootstrap=0)
    assert [row.p_value for row in rows] == [None] * 4
    assert [row.verdict for row in rows] == ["best", "tied with the best, equal score", "", ""]


def test_invalid_runs_come_last_and_hide_nothing(truth, runs, tmp_path, capsys):
    broken, missing = tmp_path / "broken.json", tmp_path / "missing.json"
    broken.write_text("[{]")
    arguments = ["compare", TASK, "--truth", truth, broken, *runs, missing, "--bootstrap", "200", "--format", "csv"]
    assert main([str(argument) for argument in arguments]) == 1
    output = capsys.readouterr()
    assert f"{broken}:1: RUN-JSON" in output.err
    assert f"{missing}: RUN-FILE-MISSING" in output.err
    lines = list(csv.DictReader(output.out.splitlines()))
    assert [line["run"] for line in lines] == ["best", "same", "close", "poor", "broken", "missing"]
    assert [line["verdict"] for line in lines[-2:]] == ["invalid: 1 error"] * 2
    assert lines[-1]["map50"] == lines[-1]["rank"] == ""
    assert float(lines[2]["map50"]) == score_files(TASK, truth, runs[2]).score


def test_a_run_s_name_is_no_formula_in_a_spreadsheet(truth, tmp_path):
    names = ("=1+1", "+1", "-1", "@x", "＝1", "team 1")
    rows = board(truth, [found(tmp_path / f"{name}.json", 40) for name in names], bootstrap=0)
    table = list(csv.DictReader(as_csv(rows).splitlines()))
    assert {line["run"] for line in table} == {*(f"'{name}" for name in names[:-1]), "team 1"}
    assert [line["map50"] for line in table] == ["1.0"] * len(names)


def test_undefined_scores_come_behind_the_others_but_before_invalid_runs(tmp_path, runs):
    empty = write(tmp_path / "truth.json", [page(number, []) for number in range(IMAGES)])
    broken = tmp_path / "a.json"
    broken.write_text("")
    rows = board(empty, [broken, *runs])
    assert [row.verdict for row in rows] == ["undefined: no box in the truth"] * 4 + ["invalid: 1 error"]
    assert all(row.rank is None for row in rows)
    assert "undefined" in as_markdown(rows)


def test_only_invalid_runs_still_make_a_board(truth, tmp_path, capsys):
    assert main(["compare", TASK, "--truth", str(truth), str(tmp_path / "none.json")]) == 1
    assert "invalid: 1 error" in capsys.readouterr().out


def test_a_table_names_each_run_with_interval_and_verdict(truth, runs, capsys):
    assert main([str(each) for each in ("compare", TASK, "--truth", truth, *runs, "--bootstrap", "200")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "95 % interval" in lines[1]
    assert "p (Holm)" in lines[1]
    assert any("close" in line and "0.9703" in line and "tied with the best" in line for line in lines)


def test_json_holds_full_scores(truth, runs, tmp_path, capsys):
    out = tmp_path / "board.json"
    arguments = ["compare", TASK, "--truth", truth, *runs, "--bootstrap", "200", "--format", "json", "--out", out]
    assert main([str(each) for each in arguments]) == 0
    assert capsys.readouterr().out == ""
    rows = json.loads(out.read_text())
    assert rows[0]["scores"]["metrics"]["map50"] == pytest.approx(1.0)
    assert rows[0]["errors"] == []


def test_latex_escapes_what_it_would_choke_on(truth, tmp_path):
    rows = board(truth, [found(tmp_path / "50%_a&b#{1}~^|\\.json", 40), found(tmp_path / "x.json", 20)], bootstrap=50)
    text = as_latex(rows)
    assert r"\textbf{50\%\_a\&b\#\{1\}\textasciitilde{}\textasciicircum{}\textbar{}\textbackslash{}}" in text
    body = text.split("\\midrule")[1].split("\\bottomrule")[0].strip().splitlines()
    columns = text.splitlines()[0].split("{")[-1].rstrip("}")
    assert all(line.replace(r"\&", "").count("&") == len(columns) - 1 for line in body)


def test_markdown_escapes_bars(truth, tmp_path):
    text = as_markdown(board(truth, [found(tmp_path / "a|b.json", 40)], bootstrap=0))
    assert r"a\|b" in text
    lines = text.splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.txt", "b/c.json"], ["a", "c"]),
        (["a/run.txt", "b/run.txt", "c.txt"], ["a/run.txt", "b/run.txt", "c.txt"]),
        (["run.txt", "run.json"], ["run.txt", "run.json"]),
        (["a.txt", "a.txt"], ["a (1)", "a (2)"]),
        (["a.txt", "b.txt", "a.txt", "c.txt"], ["a (1)", "b", "a (2)", "c"]),
        (["a.txt", "a.txt", "a (1).txt"], ["a.txt (1)", "a.txt (2)", "a (1).txt (3)"]),
        (["x/a.txt", "y/a.txt", "x/a.txt"], ["x/a.txt (1)", "y/a.txt", "x/a.txt (2)"]),
        ([], []),
    ],
)
def test_runs_get_the_shortest_names_that_differ(paths, expected):
    assert short_names([Path(path) for path in paths]) == expected
