"""What the jobs of a sweep ask their launcher for, and what is told where a launcher is missing or has too little."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from baselines.core.findings import InvalidInput, UsageError
from baselines.core.paths import conf_dir
from baselines.training import sweep
from baselines.training.compose import compose, register_schemas, whole_to_config
from hydra_plugins.imageclef import ray_launcher, slurm_launcher

ROOT = Path(__file__).resolve().parents[2]
TOY = Path(__file__).parent / "toy"


def composed(*overrides):
    register_schemas()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("config", ["experiment=coral", "preset=debug", *overrides], return_hydra_config=True)


def job(whole):
    asks = {name: whole.hydra.launcher[name] for name in sweep.RESOURCES if name in whole.hydra.launcher}
    return sweep.Job((), whole_to_config(whole), Path("run"), asks)


def check(launcher, *overrides):
    whole = [composed(f"hydra/launcher={launcher}", each) for each in overrides]
    sweep.check_resources([job(each) for each in whole], whole[0].hydra.launcher)


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ("trainer.devices=1", "trainer.devices=2", "tasks_per_node 2 where the launcher asks for 1"),
        ("trainer.nodes=1", "trainer.nodes=2", "nodes 2"),
        ("data.workers=1", "data.workers=3", "cpus_per_task"),
        ("trainer.threads=1", "trainer.threads=4", "cpus_per_task"),
        ("trainer=cpu", "trainer=gpu", "gpus_per_node"),
    ],
)
def test_jobs_of_an_array_want_the_same_resources(one, other, names):
    check("slurm", one, one)
    with pytest.raises(InvalidInput, match="SWEEP-RESOURCES") as caught:
        check("slurm", one, other)
    assert names in str(caught.value)


def test_resources_set_by_hand_can_not_disagree_with_the_trainer():
    check("slurm", "hydra.launcher.cpus_per_task=16")
    with pytest.raises(InvalidInput, match="tasks_per_node 1"):
        check("slurm", "hydra.launcher.tasks_per_node=4")


@pytest.mark.parametrize("launcher", ["local", "local_jobs", "ray"])
def test_a_job_of_several_processes_needs_a_launcher_that_starts_them(launcher):
    check(launcher, "trainer.devices=1", "data.workers=3")
    with pytest.raises(InvalidInput, match="SWEEP-DEVICES"):
        check(launcher, "trainer.devices=2")


def test_a_run_asks_ray_for_what_its_own_recipe_needs():
    overrides = ("hydra/launcher=ray", "data.workers=3", "trainer.threads=2", "hydra.launcher.mem_gb=0.5")
    cpu, gpu = (ray_launcher.resources(composed(*overrides, each).hydra.launcher) for each in ("trainer=cpu", "trainer=gpu"))
    assert cpu == {"num_cpus": 5, "num_gpus": 0, "memory": 2**29, "max_retries": 20}
    assert gpu == {**cpu, "num_gpus": 1}


def test_what_this_machine_has_too_little_of_is_told_and_not_waited_for():
    wanted = [{"num_cpus": 1, "num_gpus": each, "memory": 2**30} for each in (0, 1)]
    ray_launcher.refuse_too_much(wanted, {"CPU": 1.0, "GPU": 1.0, "memory": 2.0**30})
    with pytest.raises(InvalidInput, match=r"more GPU than Ray has here .saw '1 of 0';"):
        ray_launcher.refuse_too_much(wanted, {"CPU": 1.0, "memory": 2.0**30})
    with pytest.raises(InvalidInput, match=r"'1 of 0.5 GiB'"):
        ray_launcher.refuse_too_much(wanted, {"CPU": 1.0, "GPU": 1.0, "memory": 2.0**29})


def test_without_ray_the_way_to_install_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    launcher = hydra.utils.instantiate(composed("hydra/launcher=ray").hydra.launcher)
    with pytest.raises(UsageError, match=r"pip install .*\[ray\]"):
        sweep.launch([SimpleNamespace(config=SimpleNamespace(overwrite=True), overrides=())], launcher)


def fake_squeue(folder, monkeypatch, *answers):
    """Put a ``squeue`` on the path that gives one answer after another, and fails where one is ``None``."""
    for number, answer in enumerate(answers):
        (folder / f"answer{number}").write_text("exit 1" if answer is None else f"echo '{answer}'")
    script = folder / "squeue"
    script.write_text(f"#!/bin/sh\ncd {folder}\nset -- answer*\nsh $1\nstatus=$?\nrm $1\nexit $status\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm_launcher.time, "sleep", lambda _seconds: None)


def test_slurm_s_jobs_are_waited_for_until_none_is_in_the_queue(tmp_path, monkeypatch):
    fake_squeue(tmp_path, monkeypatch, "7_0\n7_1\n9", "7_1\n9", None, "7_1", "9")
    slurm_launcher.wait({"7_0", "7_1"})
    assert not list(tmp_path.glob("answer*"))  # a controller that is away has not lost a job; another sweep's is not waited for


class EndedJob:
    """A job of submitit's that is over, of two processes, each with a result unless it was killed."""

    num_tasks = 2

    def __init__(self, folder, job_id, killed=(), error=None):
        self.folder, self.job_id, self.error = folder, job_id, error
        for number in {0, 1} - set(killed):
            (folder / f"{job_id}_{number}.pkl").touch()

    def task(self, number):
        name = f"{self.job_id}_{number}"
        return SimpleNamespace(paths=SimpleNamespace(result_pickle=self.folder / f"{name}.pkl", stderr=f"{name}.err"))

    def exception(self):
        return self.error


def test_of_slurm_s_jobs_those_are_told_that_left_no_result_or_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_launcher.time, "sleep", lambda _seconds: None)
    assert slurm_launcher.trouble([EndedJob(tmp_path, "3_0")]) == ""
    jobs = [EndedJob(tmp_path, "4_0"), EndedJob(tmp_path, "4_1", killed=[1]), EndedJob(tmp_path, "4_2", error="no such module")]
    told = slurm_launcher.trouble(jobs)
    assert told.startswith("job 4_1 ended without a result")
    assert told.endswith("See 4_1_1.err; no such module")


@pytest.mark.parametrize(("option", "plugin"), [("slurm", "submitit_slurm"), ("local_jobs", "joblib")])
def test_without_a_plugin_the_way_to_install_it_is_told(monkeypatch, option, plugin):
    composed()  # which finds the plugins
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], f"{plugin}.yaml")
    with pytest.raises(InvalidInput, match=r'CONFIG-NOT-INSTALLED .*pip install "imageclef-baselines\[slurm\]"'):
        compose(["experiment=coral", f"hydra/launcher={option}"])


def on_ray(folder, points, *overrides):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(TOY), *sys.path)), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "baselines", "train", "--config-dir", str(TOY / "conf"), "experiment=toy"]
    line += [f"data.root={points}", "trainer.max_steps=8", "hydra/launcher=ray", "+hydra.launcher.init.num_cpus=2"]
    line += ["hydra.launcher.mem_gb=0.5", *overrides]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (the extra [ray])")
def test_a_sweep_on_ray_goes_on_after_a_failing_run_and_is_resumed(tmp_path, points):
    sweep = ("seed=1,2", f"init_from=null,{tmp_path}/nothing")
    done = on_ray(tmp_path, points, *sweep, "-m")
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs are finished" in done.stdout
    assert "WEIGHTS-MISSING" in done.stderr
    again = on_ray(tmp_path, points, *sweep, "-m")
    assert again.returncode == 1
    attempts = [json.loads(path.read_text())["attempt"] for path in tmp_path.glob("runs/toy/toy/*/status.json")]
    assert sorted(attempts) == [1, 1, 2, 2]
