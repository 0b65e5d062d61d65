"""What predicting does when memory or disk runs out; what it predicts is tested with the loop."""

from __future__ import annotations

import errno
import tempfile

import pytest
import torch

from baselines.cli import main
from baselines.training import loop
from baselines.training.module import BaselineModule


@pytest.fixture
def command(toy_config, points, tmp_path, monkeypatch):
    """Return a function that predicts with a short training's run, and its run folder."""
    folder, scratch = tmp_path / "run", tmp_path / "scratch"
    loop.run(toy_config(trainer__max_steps=1), folder)
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def predict(out=tmp_path / "out.csv"):
        return main(["predict", str(folder), "--data", str(points), "--out", str(out), "--device", "cpu"])

    return predict, folder


def failing(error):
    def fail(*arguments, **keywords):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "RUN-NO-MEMORY", "--batch-size"),
        (MemoryError(), "RUN-NO-MEMORY", "--batch-size"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "RUN-NO-MEMORY", "--batch-size"),
        (OSError(errno.ENOSPC, "No space left on device"), "RUN-NO-SPACE", "TMPDIR"),
    ],
    ids=str,
)
def test_what_runs_out_is_told_with_what_to_do(command, tmp_path, monkeypatch, capsys, error, code, said):
    predict, folder = command
    monkeypatch.setattr(BaselineModule, "predict_step", failing(error))
    assert predict() == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "RUN-NO" in line]
    place = tmp_path / "scratch" if code == "RUN-NO-SPACE" else folder
    assert line.startswith(f"{place}: {code}")
    assert said in line
    assert "the same command" not in line
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not (tmp_path / "out.csv").exists()


def test_a_full_disk_of_the_run_file_is_told_from_that_of_the_samples(command, tmp_path, monkeypatch, capsys):
    from imageclef_toy import runs

    monkeypatch.setattr(runs, "write_run", failing(OSError(errno.ENOSPC, "No space left on device")))
    assert command[0]() == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "RUN-NO" in line]
    assert line.startswith(f"{tmp_path / 'out.csv'}: RUN-NO-SPACE")
    assert "--out" in line


def test_no_place_for_prepared_samples_is_told(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert command[0]() == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "RUN-NO" in line]
    assert "RUN-NO-SPACE no temporary folder can be made" in line
    assert "TMPDIR" in line


def test_help_says_where_prepared_samples_are_kept(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    assert "TMPDIR" in capsys.readouterr().out
