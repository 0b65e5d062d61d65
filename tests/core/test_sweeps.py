"""What came of many runs: read from their folders, grouped over seeds."""

import csv
import io
import json
import math
from argparse import Namespace

import pytest
from scipy import stats

from baselines.core import sweeps
from baselines.core.findings import InvalidInput, UsageError
from baselines.core.results import Scores


def write_run(folder, score, seed, state="finished", **config):
    folder.mkdir(parents=True)
    status = {"state": state, "seconds": 1800.0, "devices": 2, "peak_gpu_memory": 0, "peak_memory": 2**30}
    (folder / "status.json").write_text(json.dumps(status | config.pop("status", {})))
    if state != "finished":
        return
    plain = {"task": "vqa", "seed": seed, "runs_dir": str(folder), **config}
    (folder / "card.json").write_text(json.dumps({"config": plain}))
    scores = Scores(
        task="vqa",
        scorer="1",
        primary="accuracy",
        metrics={"accuracy": score, "bleu": None},
        undefined={"bleu": "no words"} | ({"accuracy": "no questions"} if score is None else {}),
        per_class={},
        intervals={} if score is None else {"accuracy": (score - 0.1, score + 0.1)},
        n={"expected": 1, "scored": 1, "missing": 0},
        warnings=(),
        signature="",
        inputs={},
    )
    (folder / "scores.json").write_text(scores.to_json())


@pytest.fixture
def folder(tmp_path):
    for seed, score in enumerate((0.5, 0.6, 0.7)):
        write_run(tmp_path / f"a{seed}", score, seed, optimizer={"lr": 0.1})
    write_run(tmp_path / "deep" / "b", 0.65, 0, optimizer={"lr": 0.2}, status={"peak_gpu_memory": 3 * 2**30})
    return tmp_path


def test_what_is_no_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for name, said in (
        ("none", "there is no such folder"),
        ("file", "this is a file, not a folder"),
        ("", "there are no runs"),
    ):
        with pytest.raises(InvalidInput, match=f"^{tmp_path / name}: RESULTS-NONE {said}"):
            sweeps.read_runs(tmp_path / name)


def test_one_line_a_configuration_over_its_seeds(folder):
    first, second = sweeps.summarise(sweeps.read_runs(folder))
    assert (first.name, first.scores, first.is_best) == ("optimizer.lr=0.2", (0.65,), True)
    assert first.interval == pytest.approx((0.55, 0.75))
    assert first.deviation is None
    assert second.name == "optimizer.lr=0.1"
    assert second.mean == pytest.approx(0.6)
    assert second.deviation == pytest.approx(0.1)
    expected = stats.t.interval(0.95, 2, loc=0.6, scale=0.1 / math.sqrt(3))
    assert second.interval == pytest.approx(expected)


def test_a_seed_counts_once(folder, capsys):
    write_run(folder / "again", 0.9, 1, optimizer={"lr": 0.1}, pictures=3)
    rows = {row.name: row for row in sweeps.summarise(sweeps.read_runs(folder))}
    assert sorted(rows["optimizer.lr=0.1"].scores) == [0.5, 0.6, 0.7]
    sweeps.results(Namespace(folder=folder, format="csv", out=None))
    told = f"{folder / 'again'}: not counted, it has configuration and seed of {folder / 'a1'}\n"
    assert capsys.readouterr().err == told


def test_hours_and_memory(folder):
    rows = {cells[1]: cells for cells in sweeps.cells(sweeps.summarise(sweeps.read_runs(folder)))}
    assert rows["optimizer.lr=0.1"][7:10] == ["1.50", "0.00", "1.0 GiB"]
    assert rows["optimizer.lr=0.2"][7:10] == ["0.50", "1.00", "3.0 GiB"]


def test_undefined_scores_come_last(folder):
    write_run(folder / "c", None, 0, optimizer={"lr": 0.3})
    last = sweeps.summarise(sweeps.read_runs(folder))[-1]
    assert (last.mean, last.interval, last.is_best) == (None, None, False)


def test_every_format_has_every_configuration(folder):
    rows = sweeps.summarise(sweeps.read_runs(folder))
    for name, write in sweeps.WRITERS.items():
        text = write(rows)
        assert text.endswith("\n")
        assert all(number in text for number in ("0.1", "0.2")), name
    assert [row["mean"] for row in json.loads(sweeps.WRITERS["json"](rows))] == pytest.approx([0.65, 0.6])
    lines = list(csv.DictReader(io.StringIO(sweeps.WRITERS["csv"](rows))))
    assert [float(line["score"]) for line in lines] == [0.65, 0.5, 0.6, 0.7]
    assert r"\textbf{0.6500}" in sweeps.WRITERS["latex"](rows)


def results(folder, **changes):
    return sweeps.results(Namespace(**{"folder": folder, "format": "table", "out": None} | changes))


def test_unfinished_runs_are_named_and_fail_the_command(folder, capsys):
    assert results(folder) == 0
    write_run(folder / "d", None, 0, state="failed")
    assert results(folder) == 1
    assert f"{folder / 'd'}: failed" in capsys.readouterr().err


def test_folders_that_cannot_be_read(tmp_path, folder):
    with pytest.raises(InvalidInput, match="RESULTS-NONE"):
        results(tmp_path / "nothing")
    (folder / "a0" / "card.json").write_text("{")
    (folder / "a1" / "scores.json").write_text("[]")
    (folder / "a2" / "status.json").write_text("[]")
    with pytest.raises(InvalidInput) as caught:
        results(folder)
    assert all(name in str(caught.value) for name in ("a0/card.json", "a1/scores.json", "a2/status.json"))


def test_folders_that_somebody_else_wrote(folder):
    scores = folder / "a1" / "scores.json"
    (folder / "a0" / "scores.json").unlink()
    scores.write_text(json.dumps(json.loads(scores.read_text()) | {"task": "nothing"}))
    with pytest.raises(InvalidInput) as caught:
        results(folder)
    assert all(f"{name}/scores.json: RESULTS-UNREADABLE" in str(caught.value) for name in ("a0", "a1"))
    (folder / "a0" / "status.json").unlink()
    (folder / "a1" / "status.json").unlink()
    write_run(folder / "c0", 0.5, 0, status={"seconds": "long", "peak_memory": [1], "devices": 10**400})
    write_run(folder / "c1", 0.6, 1, status={"seconds": float("nan"), "peak_gpu_memory": float("inf")})
    (folder / "c1" / "card.json").write_text('{"config": "none"}')
    assert results(folder) == 0


def test_the_table_goes_to_a_file(folder, tmp_path):
    assert results(folder, format="markdown", out=tmp_path / "table.md") == 0
    assert (tmp_path / "table.md").read_text().startswith("| task | configuration |")


def test_a_table_does_not_replace_a_file_of_a_run(folder):
    before = (folder / "a0" / "card.json").read_text()
    with pytest.raises(UsageError, match="would overwrite"):
        results(folder, out=folder / "a0" / "card.json")
    assert (folder / "a0" / "card.json").read_text() == before
