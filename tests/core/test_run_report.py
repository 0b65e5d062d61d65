"""Reports of runs and sweeps, from folders that may hold anything."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from baselines.cli import main
from baselines.core import run_report
from baselines.core.findings import Findings
from baselines.core.run_page import run_page
from baselines.core.run_report import RunFolder
from baselines.core.scorer import score_files
from baselines.core.sweep_page import sweep_page
from baselines.core.sweeps import read_runs
from baselines.core.tasks import get_task

HOSTILE = "<script>alert(1)</script>"
TASK = "vqa"


def write_status(folder, **values):
    folder.mkdir(parents=True, exist_ok=True)
    status = {"state": "finished", "phase": "finished", "step": 9, "of": 9, "seconds": 60.0, "devices": 1, "peak_memory": 2**30}
    (folder / "status.json").write_text(json.dumps(status | values))


def write_run(folder, seed=0, right=3, **config):
    """Write a finished run of four questions, the first ``right`` of which are answered as they should be."""
    write_status(folder)
    answers = ["axial", "no", "us", "ct"]
    truth = "".join(f"q{place}|{answer}\n" for place, answer in enumerate(answers))
    (folder / "truth.json").write_text(truth)
    given = "".join(f"q{place}|{answer if place < right else HOSTILE}\n" for place, answer in enumerate(answers))
    (folder / "run.txt").write_text(given)
    scores = score_files(TASK, folder / "truth.json", folder / "run.txt", bootstrap=100)
    (folder / "scores.json").write_text(scores.to_json())
    plain = {"task": TASK, "seed": seed, "data": {"root": "/nowhere"}, "note": HOSTILE, **config}
    card = {"config": plain, "classes": {"1": HOSTILE}, "versions": {"numpy": "2"}, "git": "abc"}
    (folder / "card.json").write_text(json.dumps(card))
    with (folder / "metrics.csv").open("w", newline="") as file:
        rows = [
            ("step", "part", "name", "value"),
            (1, "train", "loss", 2.0),
            (2, "train", "loss", "nan"),
            (3, HOSTILE, "loss", 1.0),
        ]
        csv.writer(file).writerows([*rows, ("half", "a", "row")])
    (folder / "log.txt").write_text("".join(f"line {number} {HOSTILE}\n" for number in range(200)))
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("000-q0.png", "confusion.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(pictures / name)
    return folder


def part(text, name):
    return text.split(f'<section id="{name}"')[1].split("</section>")[0]


def test_the_page_of_a_run_has_all_parts_and_nothing_is_markup(tmp_path):
    text = run_page(RunFolder(write_run(tmp_path / "run")))
    assert text.count("<script>") == 1
    scores = part(text, "scores")
    assert "0.7500" in scores
    assert "4 expected, 4 scored, 0 missing" in scores
    assert part(text, "curves").count("<polyline") == 2
    samples = part(text, "samples")
    assert [name in samples for name in ("q0", "q3")] == [True, True]
    assert samples.index("q3") < samples.index("q0")  # the worst come first
    pictures = part(text, "pictures")
    assert pictures.index("confusion") < pictures.index("000-q0")
    assert pictures.count("<img") == 2
    assert "&lt;script&gt;" in part(text, "configuration")
    assert "vqa|version" in part(text, "provenance")
    log = part(text, "log")
    assert "line 199" in log
    assert "line 139" not in log
    assert "the data are not to be had" in part(text, "problems")


def test_samples_without_their_data_show_the_picture_that_training_left(tmp_path):
    samples = part(run_page(RunFolder(write_run(tmp_path / "run"))), "samples")
    assert samples.count("<img") == 1
    assert samples.count("no picture") == 3


def test_samples_are_drawn_from_the_data_where_they_are(tmp_path):
    main(["sample", TASK, "--out", str(tmp_path / "data"), "--size", "20"])
    card = get_task(TASK)
    split = card.module("records").read_split(tmp_path / "data", TASK, "val", Findings())
    folder = write_run(tmp_path / "run", data={"root": str(tmp_path / "data"), "split_seed": 0})
    card.module("records").write_truth(folder / "truth.json", split.truth_set)
    (folder / "run.txt").write_text("".join(f"{sample.id}|no\n" for sample in split.samples))
    shutil.rmtree(folder / "pictures")
    text = run_page(RunFolder(folder))
    assert part(text, "samples").count("<img") == min(12, len(split.samples))
    assert 'id="problems"' not in text


def test_a_run_that_is_not_finished_says_how_far_it_got(tmp_path, capsys):
    write_status(tmp_path, state="failed", phase="fit", step=3, error=f"no memory {HOSTILE}")
    (tmp_path / "config.yaml").write_text("task: vqa\n")
    assert main(["report", str(tmp_path), "--html", str(tmp_path.parent / "page.html")]) == 0
    assert "failed: fit, step 3 of 9: no memory" in capsys.readouterr().out
    text = (tmp_path.parent / "page.html").read_text()
    assert text.count("<script>") == 1
    assert "There are no scores yet." in text
    assert "task: vqa" in text


@pytest.mark.parametrize("name", ["card.json", "scores.json", "metrics.csv", "run.txt", "truth.json", "pictures/confusion.png"])
def test_a_damaged_file_costs_its_own_part_alone(tmp_path, name):
    folder = write_run(tmp_path / "run")
    (folder / name).write_bytes(b"\x00\xff{")
    text = run_page(RunFolder(folder))
    assert "<h1>" in text
    if name in ("card.json", "scores.json", "run.txt", "truth.json"):
        assert "What could not be shown" in text
    assert "line 199" in part(text, "log")


def test_a_folder_that_is_no_run_is_invalid(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "RESULTS-NONE" in capsys.readouterr().err
    (tmp_path / "status.json").write_text("[]")
    assert main(["report", str(tmp_path)]) == 1


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "pictures" / "secret.png").symlink_to(folder / "pictures" / "confusion.png")
    assert [path.name for path in RunFolder(folder).pictures()] == ["000-q0.png", "confusion.png"]


def test_the_terminal_shows_scores_and_the_best_and_worst(tmp_path, capsys):
    write_run(tmp_path / "run")
    assert main(["report", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "best by accuracy: q0 1.0000" in out
    assert "worst by accuracy: q3 0.0000" in out


def test_a_page_never_replaces_a_file_of_the_run(tmp_path, capsys):
    folder = write_run(tmp_path / "run")
    before = (folder / "scores.json").read_text()
    assert main(["report", str(folder), "--html", str(folder / "scores.json")]) == 2
    assert main(["report", str(tmp_path), "--html", str(folder / "scores.json")]) == 2
    assert (folder / "scores.json").read_text() == before


def test_where_a_page_goes_is_looked_at_before_the_runs_are_read(tmp_path, capsys):
    folder = write_run(tmp_path / "run")
    (folder / "scores.json").write_text("{")
    assert main(["report", str(tmp_path), "--html", str(tmp_path / "typo" / "page.html")]) == 1
    said = capsys.readouterr().err
    assert "OUTPUT-PATH --html needs this folder" in said
    assert "RESULTS" not in said
    assert main(["report", str(tmp_path), "--html", str(folder / "log.txt")]) == 2
    error = capsys.readouterr().err
    assert "--html would overwrite a run's file" in error
    assert error.count("log.txt") == 1


def test_without_a_page_nothing_is_looked_at_for_it(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    monkeypatch.delattr(run_report, "check_outputs")
    assert main(["report", str(tmp_path / "run")]) == 0
    assert main(["report", str(tmp_path)]) == 0


def test_what_a_card_leaves_empty_is_left_out_of_the_page(tmp_path):
    folder = write_run(tmp_path / "run")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"git": None, "data_hash": "abc", "files_hash": ""}))
    provenance = part(run_page(RunFolder(folder)), "provenance")
    assert "data_hash" in provenance
    assert "files_hash" not in provenance
    assert "git" not in provenance


def test_the_page_of_a_sweep(tmp_path, capsys):
    for seed in range(2):
        for lr, right in ((1e-4, 1), (1e-3, 2), (1e-2, 4)):
            write_run(
                tmp_path / f"{lr}-{seed}", seed, right, optimizer={"lr": lr}, model={"name": HOSTILE if right > 1 else "a"}
            )
    write_status(tmp_path / "late", state="running", phase="fit")
    assert main(["report", str(tmp_path), "--html", str(tmp_path / "page.html")]) == 0
    assert "late: running" in capsys.readouterr().out
    text = (tmp_path / "page.html").read_text()
    assert text.count("<script>") == 1
    assert text.count("<circle") == 2 * 6  # a chart for each key that varies, a point for each run
    assert text.count("<polyline") == 6
    assert "optimizer.lr</th>" in text
    assert text.count("<strong>1.0000</strong>") == 1
    assert "late" in part(text, "uncounted")


def test_a_run_that_repeats_another_is_told_on_terminal_and_page(tmp_path, capsys):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b")
    assert main(["report", str(tmp_path), "--html", str(tmp_path / "page.html")]) == 0
    told = f"not counted, it has configuration and seed of {tmp_path / 'a'}"
    assert f"{tmp_path / 'b'}: {told}" in capsys.readouterr().out
    assert told in part((tmp_path / "page.html").read_text(), "uncounted")


def test_a_sweep_in_which_nothing_varies_has_a_table_alone(tmp_path):
    write_run(tmp_path / "a")
    text = sweep_page(tmp_path, read_runs(tmp_path))
    assert "all runs" in text
    assert "<svg" not in text
