"""The torch-free verbs through the command line: exit codes, what goes to stdout and what to stderr."""

import json

import pytest

from baselines.cli import main
from baselines.core.results import Scores

TASK = "drawnui-wireframe"
BOX = {"box": [0.1, 0.1, 0.2, 0.2], "detectionClass": 16, "detectionString": "button", "score": 1}


@pytest.fixture
def files(tmp_path):
    records = [{"file": f"{name}.jpg", "width": 100, "height": 100, "annotations": [BOX]} for name in "abcd"]
    for name, content in (("truth", records), ("run", records[:3])):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "ids.txt").write_text("a.jpg\nb.jpg\nc.jpg\n")
    return tmp_path


def spoil(path, **changes):
    records = json.loads(path.read_text())
    for record in records[:2]:
        record["annotations"][0] = BOX | changes
    path.write_text(json.dumps(records))


def test_tasks_lists_ten(capsys):
    assert main(["tasks"]) == 0
    output = capsys.readouterr().out
    assert sum(line.split()[-1:] in (["baseline"], ["scorer"], ["planned"]) for line in output.splitlines()) == 10


def test_the_example_of_a_card_is_a_valid_run(capsys, tmp_path):
    assert main(["tasks", TASK]) == 0
    output = capsys.readouterr().out
    example = output[output.index("\n  [\n") :]
    (tmp_path / "run.json").write_text(example)
    (tmp_path / "ids.txt").write_text("".join(f"{record['file']}\n" for record in json.loads(example)))
    assert main(["validate", TASK, "--run", str(tmp_path / "run.json"), "--ids", str(tmp_path / "ids.txt")]) == 0


def test_a_task_without_scorer_is_wrong_usage(capsys, files):
    assert main(["tasks", "coral-annotations"]) == 2
    assert "did you mean coral-annotation?" in capsys.readouterr().err


def test_validate_accepts_a_run_and_tells_its_warnings(capsys, files):
    assert main(["validate", TASK, "--run", str(files / "run.json"), "--truth", str(files / "truth.json")]) == 0
    output = capsys.readouterr()
    assert "acceptable, with 3 of 4 images; 0 errors, 1 warning" in output.out
    assert output.err.startswith(f"{files / 'run.json'}: RUN-MISSING-ID")


@pytest.mark.parametrize("known", [["--truth", "truth.json"], ["--ids", "ids.txt"]])
def test_validate_refuses_a_run_with_every_error(capsys, files, known):
    spoil(files / "run.json", detectionString="buton")
    assert main(["validate", TASK, "--run", str(files / "run.json"), known[0], str(files / known[1])]) == 1
    output = capsys.readouterr()
    assert "not acceptable; 2 errors" in output.out
    assert output.err.count("RUN-UNKNOWN-CLASS") == 2
    assert "did you mean button?" in output.err


def test_validate_tells_a_broken_truth_from_a_broken_run(capsys, files):
    (files / "truth.json").write_text("{")
    assert main(["validate", TASK, "--run", str(files / "run.json"), "--truth", str(files / "truth.json")]) == 1
    assert "truth.json" in capsys.readouterr().err


def test_score_prints_a_table_and_writes_scores(capsys, files):
    target = files / "made" / "scores.json"
    arguments = ["score", TASK, "--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--json", str(target)]
    assert main([*arguments, "--bootstrap", "20", "--seed", "5"]) == 0
    output = capsys.readouterr()
    assert "map50" in output.out
    assert not output.err
    scores = Scores.from_json(target.read_text())
    assert scores.metrics["recall50"] == 0.75
    assert scores.intervals
    assert scores.inputs["options"] == {"bootstrap": 20, "seed": 5}


def test_score_restricts_the_truth_to_ids(capsys, files):
    arguments = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--ids", str(files / "ids.txt")]
    assert main(["score", TASK, *arguments]) == 0
    assert "3 expected, 3 scored, 0 missing" in capsys.readouterr().out


def test_an_invalid_run_gets_errors_and_no_scores(capsys, files):
    spoil(files / "run.json", score="high")
    target = files / "scores.json"
    arguments = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--json", str(target)]
    assert main(["score", TASK, *arguments]) == 1
    output = capsys.readouterr()
    assert not output.out
    assert output.err.count("RUN-") >= 2
    assert not target.exists()


def test_an_unknown_format_is_wrong_usage(capsys, files):
    arguments = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--format", "1999"]
    assert main(["score", TASK, *arguments]) == 2
    assert "1999" in capsys.readouterr().err


def test_sample_writes_what_can_be_scored(capsys, tmp_path):
    assert main(["sample", TASK, "--out", str(tmp_path), "--size", "2"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    truth = str(tmp_path / "drawnui" / "wireframe_development_set" / "development_set.json")
    assert main(["score", TASK, "--truth", truth, "--run", truth, "--bootstrap", "0"]) == 0  # the truth is its own best run
    assert "1.0000" in capsys.readouterr().out


def test_nothing_is_written_if_one_task_has_no_samples(capsys, tmp_path):
    assert main(["sample", TASK, "nosuchtask", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
