"""Runs in their folders: finished, resumed, refused, and ended by what can go wrong."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines.core.findings import InvalidInput, UsageError
from baselines.core.paths import CONFIG, LAST, MODEL
from baselines.training import loop
from baselines.training.callbacks import LAUNCH
from baselines.training.module import BaselineModule
from baselines.training.predict import predict

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
FILES = """log.txt best.ckpt card.json config.yaml last.ckpt metrics.csv model.safetensors pictures run.csv scores.json
    split.json status.json truth.json .lock"""


def finding(caught):
    return next(iter(caught.value.findings))


def status(folder):
    return json.loads((folder / "status.json").read_text())


def forbid(*arguments, **keywords):
    raise AssertionError("must not be called")


@pytest.fixture
def finished(toy_config, tmp_path):
    """A finished run of three steps."""
    config = toy_config(trainer__max_steps=3)
    loop.run(config, tmp_path / "run")
    return config, tmp_path / "run"


def test_a_run_leaves_its_files_and_is_then_skipped(finished, monkeypatch):
    config, folder = finished
    assert {path.name for path in folder.iterdir()} == {*FILES.split()}
    assert status(folder)["state"] == "finished"
    assert json.loads((folder / "split.json").read_text())["val"] == [f"p{index}" for index in range(40, 53)]
    assert len(list((folder / "pictures").iterdir())) == 2
    monkeypatch.setattr(loop, "build", forbid)
    result = loop.run(config, folder)
    assert result.skipped
    assert result.scores.metrics == json.loads((folder / "scores.json").read_text())["metrics"]


def test_a_run_without_scores_is_scored_without_training(finished, monkeypatch):
    config, folder = finished
    before = (folder / "scores.json").read_text()
    (folder / "scores.json").unlink()
    monkeypatch.setattr(BaselineModule, "training_step", forbid)
    loop.run(config, folder)
    assert json.loads((folder / "scores.json").read_text())["metrics"] == json.loads(before)["metrics"]


def test_another_configuration_is_refused_with_what_differs(finished, toy_config):
    _, folder = finished
    other = toy_config(trainer__max_steps=4, optimizer__lr=0.5, data__workers=1)
    with pytest.raises(InvalidInput) as caught:
        loop.run(other, folder)
    assert [f.id for f in caught.value.findings] == ["optimizer.lr", "trainer.max_steps"]
    assert "overwrite=true" in finding(caught).hint
    assert status(folder)["state"] == "finished"
    loop.run(toy_config(trainer__max_steps=4, optimizer__lr=0.5, overwrite=True), folder)
    assert status(folder)["of"] == 4


def test_a_key_that_is_newer_than_the_run_stands_for_its_default(finished, toy_config):
    config, folder = finished
    kept = (folder / "config.yaml").read_text()
    older = "".join(line for line in kept.splitlines(keepends=True) if "clip_norm" not in line)
    assert older != kept
    (folder / "config.yaml").write_text(older)
    before = (folder / "scores.json").stat().st_mtime_ns
    loop.run(config, folder)
    assert (folder / "scores.json").stat().st_mtime_ns == before  # finished, and left as it was
    with pytest.raises(InvalidInput) as caught:
        loop.run(toy_config(trainer__max_steps=3, optimizer__clip_norm=3.5), folder)
    assert [f.id for f in caught.value.findings] == ["optimizer.clip_norm"]


def cut_off(config, folder, monkeypatch):
    """Begin a run of a few steps that gets as far as its first validation."""
    with monkeypatch.context() as patch:
        patch.setattr(BaselineModule, "validation_step", forbid)
        with pytest.raises(AssertionError):
            loop.run(config, folder)


def in_job(monkeypatch, environment):
    for name in (LAUNCH, "SLURM_JOB_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


SLURM, SLURM_AGAIN = {"SLURM_JOB_ID": "7"}, {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"}


@pytest.mark.parametrize(
    ("begun", "again", "attempt"),
    [
        pytest.param({}, {}, 1, id="at a terminal"),
        pytest.param(SLURM, SLURM, 1, id="at a terminal within a job"),
        pytest.param(SLURM, SLURM_AGAIN, 2, id="requeued"),
        pytest.param(SLURM_AGAIN, {**SLURM_AGAIN, "SLURM_RESTART_COUNT": "2"}, 2, id="requeued twice"),
        pytest.param({"SLURM_JOB_ID": "6"}, SLURM_AGAIN, 1, id="requeued before it began"),
        pytest.param({LAUNCH: "a"}, {LAUNCH: "a"}, 2, id="retried by Ray"),
        pytest.param({LAUNCH: "a", **SLURM}, {LAUNCH: "b", **SLURM}, 1, id="asked of Ray again"),
    ],
)
def test_a_job_overwrites_once_however_often_it_is_started(toy_config, tmp_path, monkeypatch, begun, again, attempt):
    folder, config = tmp_path / "run", toy_config(trainer__max_steps=3, overwrite=True)
    in_job(monkeypatch, {})
    cut_off(toy_config(trainer__max_steps=2), folder, monkeypatch)
    in_job(monkeypatch, begun)
    cut_off(config, folder, monkeypatch)
    assert status(folder)["attempt"] == 1
    in_job(monkeypatch, again)
    loop.run(config, folder)
    assert status(folder)["attempt"] == attempt


def test_another_process_does_not_look_at_what_the_first_one_is_about_to_overwrite(finished, toy_config, monkeypatch):
    _, folder = finished
    monkeypatch.setattr(loop, "process_index", lambda: 1)
    carry_out = Mock(return_value=None)
    monkeypatch.setattr(loop, "_carry_out", carry_out)
    in_job(monkeypatch, SLURM)
    for steps in (3, 4):
        config = toy_config(trainer__max_steps=steps, overwrite=True)
        assert not loop.run(config, folder).skipped
        assert carry_out.call_args.args[:3] == (config, folder, None)


def test_processes_of_a_job_that_is_started_again_agree_on_what_it_had_finished(toy_config, tmp_path, monkeypatch):
    folder, config = tmp_path / "run", toy_config(trainer__max_steps=3, overwrite=True)
    in_job(monkeypatch, SLURM)
    loop.run(config, folder)
    in_job(monkeypatch, SLURM_AGAIN)
    for process in (0, 1):
        monkeypatch.setattr(loop, "process_index", lambda process=process: process)
        assert loop.run(config, folder).skipped


def test_two_processes_can_not_share_a_folder(toy_config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    hold = f"import fcntl; lock = open({str(folder / loop.LOCK)!r}, 'w'); fcntl.lockf(lock, fcntl.LOCK_EX); print(); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(InvalidInput) as caught:
            loop.run(toy_config(), folder)
        holder.communicate(b"\n")
    assert finding(caught).code == "RUN-BUSY"
    loop.run(toy_config(trainer__max_steps=1), folder)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "RUN-NO-SPACE"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "RUN-NO-SPACE"),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . PytorchStreamWriter failed writing file data/0"),
            "RUN-NO-SPACE",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), "RUN-NO-MEMORY"),
        (MemoryError(), "RUN-NO-MEMORY"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "RUN-NO-MEMORY"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "RUN-NO-MEMORY"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer."), "RUN-LOST-PROCESS"),
        (torch.distributed.DistBackendError("NCCL error: remote process exited"), "RUN-LOST-PROCESS"),
    ],
    ids=str,
)
def test_exhausted_resources_say_how_to_go_on(toy_config, tmp_path, monkeypatch, error, code):
    def fail(*arguments):
        raise error

    config = toy_config(trainer__max_steps=3)
    with monkeypatch.context() as patch:
        patch.setattr(BaselineModule, "training_step", fail)
        with pytest.raises(InvalidInput) as caught:
            loop.run(config, tmp_path / "run")
    assert finding(caught).code == code
    assert "the same command goes on" in finding(caught).hint
    assert status(tmp_path / "run")["state"] == "failed"
    loop.run(config, tmp_path / "run")
    assert status(tmp_path / "run")["state"] == "finished"


def test_a_bug_stays_a_bug(toy_config, tmp_path, monkeypatch):
    monkeypatch.setattr(BaselineModule, "training_step", forbid)
    with pytest.raises(AssertionError):
        loop.run(toy_config(), tmp_path / "run")
    assert status(tmp_path / "run")["error"] == "AssertionError: must not be called"


def test_an_interrupt_is_told_and_resumed(toy_config, tmp_path, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(*arguments):
        raise KeyboardInterrupt

    config = toy_config(trainer__max_steps=3)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(BaselineModule, "validation_step", interrupt)
            with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
                loop.run(config, tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert status(tmp_path / "run")["state"] == "interrupted"
    assert "goes on after" not in (tmp_path / "run" / "log.txt").read_text()
    loop.run(config, tmp_path / "run")
    assert status(tmp_path / "run")["state"] == "finished"
    assert "goes on after step" in (tmp_path / "run" / "log.txt").read_text()


def test_a_loss_that_is_not_finite_ends_the_run(toy_config, tmp_path, monkeypatch):
    from imageclef_toy.model import ToyModule

    monkeypatch.setattr(ToyModule, "losses", lambda self, _: {"class": self.network.head.weight.sum() * float("nan")})
    with pytest.raises(InvalidInput) as caught:
        loop.run(toy_config(), tmp_path / "run")
    assert finding(caught).code == "TRAIN-DIVERGED"
    assert "optimizer.lr" in finding(caught).hint


def test_a_damaged_last_checkpoint(toy_config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LAST).write_bytes(b"garbage")
    with pytest.raises(InvalidInput) as caught:
        loop.run(toy_config(), folder)
    assert finding(caught).code in ("CKPT-DAMAGED", "CKPT-UNSAFE")


def test_a_config_that_is_no_yaml(toy_config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / CONFIG).write_text("a: [")
    with pytest.raises(InvalidInput) as caught:
        loop.run(toy_config(), folder)
    assert finding(caught).code == "RUN-CONFIG"


def test_missing_data(toy_config, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        loop.run(toy_config(data__root=str(tmp_path / "nowhere")), tmp_path / "run")
    assert finding(caught).code == "DATA-MISSING"
    assert status(tmp_path / "run")["state"] == "failed"


def test_what_is_refused_before_the_first_step_leaves_nothing_where_somebody_reads_it(toy_config, tmp_path, monkeypatch):
    folder, nowhere = tmp_path / "run", str(tmp_path / "nowhere")
    no_device = [] if torch.cuda.is_available() else [{"trainer__accelerator": "gpu"}]
    for wrong in ({"data__root": nowhere}, {"init_from": nowhere}, *no_device):
        with pytest.raises(InvalidInput):
            loop.run(toy_config(**wrong), folder, keep_refused=False)
        assert not folder.exists()
    folder.mkdir()
    (folder / "notes.txt").write_text("of somebody")
    with pytest.raises(InvalidInput):
        loop.run(toy_config(data__root=nowhere), folder, keep_refused=False)
    assert (folder / "notes.txt").exists()
    shutil.rmtree(folder)

    def fail(*arguments):
        raise MemoryError

    # A run that has begun says how it ended; one that was there stays.
    with monkeypatch.context() as patch:
        patch.setattr(BaselineModule, "training_step", fail)
        with pytest.raises(InvalidInput):
            loop.run(toy_config(), folder, keep_refused=False)
    assert status(folder)["state"] == "failed"
    with pytest.raises(InvalidInput):
        loop.run(toy_config(data__root=nowhere), folder, keep_refused=False)
    assert status(folder)["state"] == "failed"


def test_init_from_a_run_and_from_other_classes(finished, toy_config, tmp_path, capsys):
    _, folder = finished
    weights = load_file(folder / MODEL)
    _, module = loop.build(toy_config())
    loop._initialise(module, folder)
    for name, tensor in module.network.state_dict().items():
        assert torch.equal(tensor, weights[name])
        assert torch.equal(module.averaged.state_dict()[name], weights[name])
    weights |= {"head.weight": torch.zeros(7, 8), "head.bias": torch.zeros(7)}
    save_file(weights, tmp_path / "other.safetensors")
    loop._initialise(module, tmp_path / "other.safetensors")
    assert "head.bias, head.weight" in capsys.readouterr().err
    with pytest.raises(InvalidInput) as caught:
        loop.run(toy_config(init_from=str(folder), model__width=9), tmp_path / "wider")
    assert "body.0.weight (8, 2) instead of (9, 2)" in str(caught.value)


def test_a_training_goes_on_without_what_it_started_from(finished, toy_config, tmp_path, monkeypatch):
    _, source = finished
    config = toy_config(trainer__max_steps=5, init_from=str(source))
    loop.run(config, tmp_path / "whole")
    cut_off(config, tmp_path / "cut off", monkeypatch)
    shutil.rmtree(source)
    loop.run(config, tmp_path / "cut off")
    for name in ("run.csv", MODEL):
        assert (tmp_path / "cut off" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(InvalidInput, match="WEIGHTS-MISSING"):
        loop.run(config, tmp_path / "new")


def test_weights_are_kept_that_a_fit_without_steps_is_initialised_with(finished, toy_config, tmp_path):
    _, source = finished
    loop.run(toy_config(trainer__max_steps=0, init_from=str(source)), tmp_path / "kept")
    weights, expected = (load_file(folder / MODEL) for folder in (tmp_path / "kept", source))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_predict_repeats_the_run_file_and_predicts_other_splits(finished, points, tmp_path):
    _, folder = finished
    arguments = {"run_dir": [folder], "data": points, "device": "cpu"}
    assert predict(Namespace(**arguments, split="val", out=tmp_path / "val.csv", batch_size=None)) == 0
    assert (tmp_path / "val.csv").read_bytes() == (folder / "run.csv").read_bytes()
    assert predict(Namespace(**arguments, split="test", out=tmp_path / "test.csv", batch_size=3)) == 0
    assert [line[:3] for line in (tmp_path / "test.csv").read_text().splitlines()] == [f"p{index}" for index in range(53, 60)]


def test_a_fit_without_steps_is_calibrated_and_kept(toy_config, points, tmp_path):
    config = toy_config(model__name="nearest", trainer__max_steps=0)
    result = loop.run(config, tmp_path / "run")
    assert result.scores.score > 0.8
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["step"], card["validation"]) == (0, {})
    arguments = Namespace(run_dir=[tmp_path / "run"], data=points, device="cpu", split="val", out=tmp_path / "out.csv")
    assert predict(arguments) == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "run" / "run.csv").read_bytes()
    with pytest.raises(InvalidInput, match=r"trainer\.devices=1"):
        loop.run(toy_config(trainer__max_steps=0, trainer__devices=2), tmp_path / "two")


def test_several_run_folders_are_an_ensemble(finished, toy_config, points, tmp_path):
    loop.run(toy_config(model__name="nearest", trainer__max_steps=0), tmp_path / "nearest")
    arguments = {"data": points, "device": "cpu", "split": "val", "out": tmp_path / "out.csv"}
    assert predict(Namespace(run_dir=[finished[1], tmp_path / "nearest"], **arguments)) == 0
    # The neighbour is sure of itself, the perceptron never quite: together they say what the neighbour says.
    runs = (arguments["out"], tmp_path / "nearest" / "run.csv")
    labels = [[line.split(",")[:2] for line in path.read_text().splitlines()] for path in runs]
    assert labels[0] == labels[1]
    assert runs[0].read_bytes() != runs[1].read_bytes()
    card = json.loads((tmp_path / "nearest" / "card.json").read_text())
    (tmp_path / "nearest" / "card.json").write_text(json.dumps(card | {"classes": {"1": "only"}}))
    with pytest.raises(InvalidInput, match="RUN-OTHER-TASK"):
        predict(Namespace(run_dir=[finished[1], tmp_path / "nearest"], **arguments))


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"device": "tpu"}, {"device": "cpu:1"}, {"device": "cuda:x"}], ids=str)
def test_predict_called_wrongly(finished, points, tmp_path, wrong):
    arguments = {
        "run_dir": [finished[1]],
        "data": points,
        "split": "val",
        "out": tmp_path / "out",
        "batch_size": None,
        "device": "cpu",
    }
    with pytest.raises(UsageError):
        predict(Namespace(**arguments | wrong))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "is a folder: name a file in it"),
        ("run/model.safetensors", "would overwrite"),
        ("run/best.ckpt", "would overwrite"),
        ("run/log.txt", "would overwrite"),
        ("run/run.csv", "would overwrite"),
        ("link", "would overwrite"),
        ("data/points.csv", "among the campaign's files"),
    ],
)
def test_predict_refuses_to_overwrite_before_it_predicts(finished, points, tmp_path, monkeypatch, out, said):
    shutil.copytree(points, tmp_path / "data")
    (tmp_path / "link").symlink_to(tmp_path / "run" / "card.json")
    monkeypatch.setattr("baselines.training.predict._predict_one", lambda *_: pytest.fail("predicted"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = {"run_dir": [finished[1]], "data": tmp_path / "data", "split": "val", "out": tmp_path / out}
    with pytest.raises(UsageError, match=said):
        predict(Namespace(**arguments, device="cpu"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_predict_knows_the_format_before_it_predicts(finished, points, tmp_path, monkeypatch):
    monkeypatch.setattr("baselines.training.predict._predict_one", lambda *_: pytest.fail("predicted"))
    arguments = {"run_dir": [finished[1]], "data": points, "split": "val", "out": tmp_path / "out", "device": "cpu"}
    with pytest.raises(UsageError, match="runs of toy have one format"):
        predict(Namespace(**arguments, format="2020"))


def test_predict_is_quiet_about_lightning(finished, points, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(TOY))), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "baselines", "predict", str(finished[1]), "--data", str(points), "--split", "val"]
    line += ["--out", str(tmp_path / "out"), "--device", "cpu"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert [text for text in done.stderr.splitlines() if " times DATA-" not in text] == [
        f"13 predictions written to {tmp_path / 'out'}"
    ]


def command(folder, points, *overrides, toy=TOY):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(toy))), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "baselines", "train", "--config-dir", str(toy / "conf"), "experiment=toy"]
    line += [f"data.root={points}", "trainer.max_steps=8", *overrides]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run_file(folder, part=""):
    (found,) = (path for path in folder.glob("runs/toy/toy/*/run.csv") if part in str(path))
    return found.read_text()


def validations(folder):
    (found,) = folder.glob("runs/toy/toy/*/metrics.csv")
    return [row for row in found.read_text().splitlines() if row.split(",")[1] == "val"]


@pytest.mark.slow
def test_the_command_line_is_repeatable_and_ends_in_one_line(tmp_path, points):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        done = command(tmp_path / name, points)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 1
        assert "accuracy" in done.stdout
    assert run_file(tmp_path / "one") == run_file(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local", "local_jobs"])
def test_a_sweep_goes_on_after_a_failing_run_and_is_resumed(tmp_path, points, launcher):
    sweep = ("seed=1,2", f"init_from=null,{tmp_path}/nothing", "-m", f"hydra/launcher={launcher}")
    done = command(tmp_path, points, *sweep)
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs are finished" in done.stdout
    assert done.stdout.count(" failed ") == 2
    assert "WEIGHTS-MISSING" in done.stderr
    assert "Traceback" not in done.stderr
    logs = [path.read_text() for path in tmp_path.glob("runs/toy/toy/*/log.txt")]
    assert sum("WEIGHTS-MISSING" in log for log in logs) == 2
    # Again: what is finished stays as it is, what failed is tried once more.
    again = command(tmp_path, points, *sweep)
    assert again.returncode == 1
    attempts = [json.loads(path.read_text())["attempt"] for path in sorted(tmp_path.glob("runs/toy/toy/*/status.json"))]
    assert sorted(attempts) == [1, 1, 2, 2]


@pytest.mark.slow
def test_a_bug_ends_a_sweep_with_its_own_code_and_a_log(tmp_path, points):
    # A picture that can't be drawn: nothing in the configuration is wrong.
    broken = tmp_path / "broken"
    shutil.copytree(TOY, broken)
    score = broken / "imageclef_toy" / "score.py"
    score.write_text(score.read_text().replace("return Image.new", "return 1 / 0, Image.new"))
    done = command(tmp_path, points, "seed=1", "-m", toy=broken)
    assert done.returncode == 3
    (log,) = tmp_path.glob("runs/toy/toy/*/log.txt")
    assert "ZeroDivisionError" in log.read_text()
    assert "ZeroDivisionError" in json.loads((log.parent / "status.json").read_text())["traceback"]


@pytest.mark.slow
def test_ready_made_sweeps_and_mistakes_before_anything_starts(tmp_path, points):
    done = command(tmp_path, points, "+sweep=seeds", "seed=1,2", "trainer.max_steps=2", "-m")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs are finished" in done.stdout
    shutil.rmtree(tmp_path / "runs")
    done = command(tmp_path, points, "seed=1,x", "-m")
    assert (done.returncode, done.stdout) == (1, "")
    assert "CONFIG-TYPE seed" in done.stderr
    done = command(tmp_path, points, "trainer.devices=2", "seed=1,2", "-m")
    assert (done.returncode, done.stderr.count("SWEEP-DEVICES")) == (1, 1)
    assert not (tmp_path / "runs" / "toy").exists()


@pytest.mark.slow
def test_a_typing_mistake_is_one_line(tmp_path, points):
    done = command(tmp_path, tmp_path / "nowhere")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert not list(tmp_path.glob("runs/toy/toy/*"))
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    done = command(tmp_path, points, "trainer.max_stps=3")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "command line: CONFIG-UNKNOWN-KEY trainer.max_stps: no such key (did you mean trainer.max_steps?)"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_predict_everything_once(tmp_path, points):
    done = command(tmp_path, points, "trainer.devices=2")
    assert done.returncode == 0, done.stderr
    assert [line[:3] for line in run_file(tmp_path).splitlines()] == [f"p{index}" for index in range(40, 53)]


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_train_as_one_does_on_batches_twice_as_large(tmp_path, points):
    plain = ("model.name=plain", "trainer.max_steps=20", "optimizer.lr=0.05")
    # The second process has a validation batch fewer, and gets one that isn't to be counted.
    shapes = {"one": ("data.batch_size=8",), "two": ("data.batch_size=4", "data.eval_batch_size=6", "trainer=ddp_cpu")}
    for name, overrides in shapes.items():
        (tmp_path / name).mkdir()
        done = command(tmp_path / name, points, *plain, *overrides)
        assert done.returncode == 0, done.stderr
    one, two = ([line.split(",") for line in run_file(tmp_path / name).splitlines()] for name in ("one", "two"))
    assert [row[:2] for row in one] == [row[:2] for row in two]
    # Gradients are summed in another order: equal to the rounding of float32, not to the bit.
    assert [float(row[2]) for row in one] == pytest.approx([float(row[2]) for row in two], abs=1e-5)
    assert validations(tmp_path / "one") == validations(tmp_path / "two")


def test_a_device_that_is_not_there_is_a_finding(toy_config, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(InvalidInput, match=r"TRAINER-DEVICE.*trainer=cpu"):
        loop.run(toy_config(trainer__accelerator="gpu"), tmp_path / "run")


def test_a_training_does_not_go_on_on_other_data(toy_config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "split.json").write_text(json.dumps({"train": [], "val": [], "data_hash": "of other data"}))
    with pytest.raises(InvalidInput, match=r"RUN-OTHER-DATA.*overwrite=true"):
        loop.run(toy_config(), folder)
    assert loop.run(toy_config(overwrite=True), folder).scores
    split = json.loads((folder / "split.json").read_text())
    (folder / "scores.json").unlink()
    words = {"train": "training samples", "files_hash": "image or volume files"}
    for key, value in {"train": split["train"][1:], "files_hash": "of other files"}.items():
        (folder / "split.json").write_text(json.dumps(split | {key: value}))
        with pytest.raises(InvalidInput, match=rf"RUN-OTHER-DATA.*'different {words[key]}'; .*overwrite=true"):
            loop.run(toy_config(), folder)


def test_a_file_that_fails_while_it_is_hashed_does_not_skip_the_check(finished, monkeypatch):
    config, folder = finished
    (folder / "scores.json").unlink()
    (folder / "split.json").write_text(json.dumps({"train": ["another"]}))
    monkeypatch.setattr(loop, "_identity", Mock(side_effect=[OSError("the disk"), {}]))
    with pytest.raises(OSError, match="the disk"):
        loop.run(config, folder)


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_damaged_split_is_written_again(finished, content):
    config, folder = finished
    (folder / "scores.json").unlink()
    (folder / "split.json").write_text(content)
    assert loop.run(config, folder).scores
    assert json.loads((folder / "split.json").read_text())["train"]


def test_a_training_goes_on_that_began_before_files_had_a_hash(finished):
    config, folder = finished
    (folder / "scores.json").unlink()
    split = json.loads((folder / "split.json").read_text())
    del split["files_hash"]
    (folder / "split.json").write_text(json.dumps(split))
    assert loop.run(config, folder).scores
