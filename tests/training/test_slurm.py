"""Sweeps on a real Slurm: queue, failure, preemption, time limit, drained nodes; runs on two nodes."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
TOY = Path(__file__).parent / "toy"
SCRIPT = ROOT / "scripts" / "local_slurm.sh"
SHORT = ("model.name=plain", "trainer.max_steps=20", "optimizer.lr=0.05")
LONG = ("trainer.max_steps=1500", "trainer.validate_every=500", "trainer.checkpoint_seconds=0.5")


@pytest.fixture(scope="module")
def slurm():
    """A Slurm that is up; started here, and stopped, where none was."""
    if subprocess.run([SCRIPT, "status"], capture_output=True, check=False).returncode == 0:
        yield
        return
    for nodes in ("2", "1"):  # one, where the network namespaces can't be made that several need
        started = subprocess.run([SCRIPT, "start", "--nodes", nodes], capture_output=True, text=True, check=False)
        if not started.returncode:
            break
    else:
        pytest.skip(f"Slurm can't be started here: {started.stderr.strip()[-300:]}")
    yield
    subprocess.run([SCRIPT, "stop"], capture_output=True, check=False)


@pytest.fixture
def two_nodes(slurm):
    """Skip where the Slurm has one node."""
    listed = subprocess.run(["sinfo", "-h", "-N", "-o", "%N"], capture_output=True, text=True, check=True).stdout.split()
    if len(listed) < 2:
        pytest.skip("the Slurm here has one node: several need network namespaces (ip netns)")


def environment():
    """Return the environment of a process that is in no job and finds the toy task."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return outside | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(TOY))), "OMP_NUM_THREADS": "1"}


def start(folder, points, *overrides):
    line = [
        sys.executable,
        "-m",
        "baselines",
        "train",
        "--config-dir",
        str(TOY / "conf"),
        "experiment=toy",
        f"data.root={points}",
    ]
    line += ["hydra/launcher=slurm", "hydra.launcher.mem_gb=1", *overrides]
    return subprocess.Popen(line, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=900)
    return process.returncode, out, err


def statuses(folder):
    return [json.loads(path.read_text()) for path in folder.glob("runs/toy/toy/*/status.json")]


def run_file(folder):
    (found,) = folder.glob("runs/toy/toy/*/run.csv")
    return found.read_text()


def wait_for(condition):
    deadline = time.monotonic() + 600
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
    return value


def queue(*fields):
    listed = subprocess.run(["squeue", "-h", "-o", " ".join(fields)], capture_output=True, text=True, check=True)
    return [line.split() for line in listed.stdout.splitlines()]


def control(*arguments):
    subprocess.run(["scontrol", *arguments], check=True, capture_output=True)


def start_again_soon(job, *changes):
    """Start a requeued job, which Slurm holds back for two minutes, after changing what else is given."""
    wait_for(lambda: [job, "PENDING"] in queue("%A", "%T"))
    # Later than the second in which the job was requeued, or Slurm refuses to start it: "Job credential revoked".
    control("update", f"jobid={job}", "starttime=now+3", *changes)


@pytest.fixture(scope="module")
def uninterrupted(slurm, points, tmp_path_factory):
    """The run file of the long run, carried out in this process's Slurm without interruption."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    code, _, err = finish(start(folder, points, *LONG))
    assert code == 0, err
    assert len(statuses(folder)) == 1
    return run_file(folder)


def test_a_sweep_of_four_jobs_one_of_them_failing(slurm, points, tmp_path):
    sweep = ("seed=1,2", "init_from=null,/nothing", "trainer.max_steps=8")
    code, out, err = finish(start(tmp_path, points, *sweep, "-m"))
    assert code == 1
    assert sorted(status["state"] for status in statuses(tmp_path)) == ["failed", "failed", "finished", "finished"]
    assert "2 of 4 runs are finished" in out
    assert err.count("WEIGHTS-MISSING") >= 2
    logs = [path.read_text() for path in tmp_path.glob("runs/toy/toy/*/log.txt")]
    assert sum("WEIGHTS-MISSING" in log for log in logs) == 2
    assert all(status["job"] for status in statuses(tmp_path))
    # The same command again: what is finished is not even queued, what failed is tried again.
    code, out, _ = finish(start(tmp_path, points, *sweep, "-m"))
    assert code == 1
    assert sorted(status["attempt"] for status in statuses(tmp_path)) == [1, 1, 2, 2]


@pytest.mark.parametrize(
    "interrupt",
    [("scancel", "--signal=USR2"), ("scontrol", "requeue")],
    ids=["preempted", "requeued by Slurm, as where a node fails"],
)
def test_an_interrupted_job_ends_as_if_nothing_had_been(slurm, points, tmp_path, uninterrupted, interrupt):
    sweep = start(tmp_path, points, *LONG, "overwrite=true")  # which only the first start of the job does
    wait_for(lambda: any(status["step"] >= 100 for status in statuses(tmp_path)))
    ((job,),) = queue("%A")
    subprocess.run([*interrupt, job], check=True)
    start_again_soon(job)
    code, _, err = finish(sweep)
    assert code == 0, err
    assert run_file(tmp_path) == uninterrupted
    (status,) = statuses(tmp_path)
    assert status["attempt"] == 2
    assert len(list(tmp_path.glob("runs/toy/toy/*/last.ckpt"))) == 1


def test_a_job_that_reaches_its_time_limit_goes_on_in_another(slurm, points, tmp_path):
    # The limit is lifted until the job is at work and again once it is requeued, so that no machine is too slow for this test.
    # Slurm looks every half minute and sends the signal up to half a minute early: with this delay at its next look.
    limit = ("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=53")
    longer = ("trainer.max_steps=20000", "trainer.validate_every=10000", "trainer.checkpoint_seconds=0.5")
    with drained_nodes():
        sweep = start(tmp_path, points, *longer, *limit)
        ((job,),) = wait_for(lambda: queue("%A"))
        control("update", f"jobid={job}", "timelimit=60")
    wait_for(lambda: any(status["step"] >= 100 for status in statuses(tmp_path)))
    control("update", f"jobid={job}", "timelimit=1")
    start_again_soon(job, "timelimit=60")
    code, _, err = finish(sweep)
    assert code == 0, err
    (status,) = statuses(tmp_path)
    assert (status["state"], status["attempt"]) == ("finished", 2)


@contextlib.contextmanager
def drained_nodes():
    """Let no job start meanwhile."""
    control("update", "nodename=ALL", "state=drain", "reason=test")
    try:
        yield
    finally:
        control("update", "nodename=ALL", "state=resume")


def test_a_drained_node_holds_the_job_until_it_is_resumed(slurm, points, tmp_path):
    with drained_nodes():
        sweep = start(tmp_path, points, "trainer.max_steps=8")
        wait_for(lambda: queue("%T") == [["PENDING"]])
        assert not statuses(tmp_path)
    assert finish(sweep)[0] == 0
    assert statuses(tmp_path)[0]["state"] == "finished"


def test_two_processes_of_a_job_predict_everything_once(slurm, points, tmp_path):
    code, _, err = finish(start(tmp_path, points, "trainer.max_steps=8", "trainer.devices=2"))
    assert code == 0, err
    assert [line[:3] for line in run_file(tmp_path).splitlines()] == [f"p{index}" for index in range(40, 53)]


@pytest.mark.ddp
def test_two_nodes_train_as_one_process_does_on_all_their_samples(two_nodes, points, tmp_path):
    shapes = {
        "alone": ("data.batch_size=8",),
        "one node": ("data.batch_size=4", "trainer.devices=2"),
        "two nodes": ("data.batch_size=4", "trainer.nodes=2"),
        "two on each of two": ("data.batch_size=2", "trainer.devices=2", "trainer.nodes=2"),
    }
    found = {}
    for name, shape in shapes.items():
        (tmp_path / name).mkdir()
        code, _, err = finish(start(tmp_path / name, points, *SHORT, *shape))
        assert code == 0, err
        found[name] = run_file(tmp_path / name)
    assert found["two nodes"] == found["one node"]
    (run,) = (tmp_path / "two nodes").glob("runs/toy/toy/*")
    command = [
        sys.executable,
        "-m",
        "baselines",
        "predict",
        run,
        "--data",
        points,
        "--split",
        "val",
        "--out",
        tmp_path / "p.csv",
    ]
    subprocess.run(command, env=environment(), check=True, capture_output=True)  # one process serves what several trained
    assert (tmp_path / "p.csv").read_text() == found["two nodes"]
    alone, *others = ([line.split(",") for line in each.splitlines()] for each in found.values())
    for other in others:
        assert [row[:2] for row in other] == [row[:2] for row in alone]
        # Gradients are summed in another order: equal to the rounding of float32, not to the bit.
        assert [float(row[2]) for row in other] == pytest.approx([float(row[2]) for row in alone], abs=1e-5)


def test_a_job_that_is_killed_is_told_when_the_others_have_ended(slurm, points, tmp_path):
    sweep = start(tmp_path, points, *LONG, "seed=1,2", "-m")
    first = wait_for(lambda: [status["job"] for status in statuses(tmp_path) if status["step"] >= 100])[0]
    subprocess.run(["scancel", "--signal=KILL", f"{first}.0"], check=True)  # its processes, as where memory runs out
    code, out, err = finish(sweep)
    assert code == 1
    assert "1 of 2 runs are finished" in out
    assert "ended without a result" in err
    assert sorted(status["state"] for status in statuses(tmp_path)) == ["finished", "running"]


def test_jobs_of_one_sweep_want_the_same_resources(slurm, points, tmp_path):
    code, _, err = finish(start(tmp_path, points, "trainer.devices=1,2", "-m"))
    assert code == 1
    assert "SWEEP-RESOURCES" in err
    assert not (tmp_path / "runs").exists()
