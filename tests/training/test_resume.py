"""A run killed at any moment and started again ends with what an uninterrupted run ends with, to the bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "moments.py"
TOY = SCRIPT.parent / "toy"
ROOT = SCRIPT.parents[2]


def results_of(points, folder, **changes):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(TOY))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(points), str(folder)]
    done = subprocess.run(command, input=json.dumps(changes), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def same(results):
    reference = results.pop("uninterrupted")
    assert reference["state"] == "finished"
    assert results.pop("again") == reference
    for name, result in results.items():
        assert result.pop("killed"), f"{name}: that moment never came"
        for key, value in reference.items():
            assert result[key] == value, f"killed at {name}: another {key}"


@pytest.mark.slow
def test_killed_at_every_step_and_stage(points, tmp_path):
    same(results_of(points, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {"trainer": {"accumulate": 2}},
        {"data": {"workers": 2}},
        {"optimizer": {"ema_decay": None, "name": "sgd"}},
        {"trainer": {"validate_every": 100}},
        {"trainer": {"validate_every": 5}},
    ],
    ids=str,
)
def test_other_recipes(points, tmp_path, config):
    moments = ["step 3", "step 12", "write 9", "validation 1", "predict"]
    same(results_of(points, tmp_path, config=config, moments=moments))


@pytest.mark.slow
def test_the_number_of_loader_processes_changes_nothing(points, tmp_path):
    one = results_of(points, tmp_path / "0", moments=["predict"])
    two = results_of(points, tmp_path / "2", moments=["predict"], config={"data": {"workers": 2}})
    assert one == two
