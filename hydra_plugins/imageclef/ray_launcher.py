"""The launcher ``hydra/launcher=ray``: each run of a sweep is a task of Ray.

Hydra's own plugin, hydra-ray-launcher 1.2.2, is not used: it holds cloudpickle below 3, where the lock file and the other
launchers are above, it gives all runs the resources of the first, and gives all of them up when one dies.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

LOCAL = "local"
NAMES = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}  # what Ray calls on a node what a task asks for


class RayLauncher(Launcher):
    """Launches runs as tasks of Ray, which starts those again, on another node if need be, whose node or process dies.

    Args:
        address: Of a running cluster; ``auto`` for the one that this machine is part of; ``local`` for one of this machine
            alone, which ends with the sweep.
        init: More arguments of :func:`ray.init`.
        resources: What a run asks for. Each run's own configuration says it, so it isn't read here.
    """

    def __init__(self, address: str, init: Mapping[str, Any], **resources: Any) -> None:
        del resources
        self.address, self.init = address, dict(init)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the runs need."""
        self.context, self.function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch the runs and wait for all of them.

        Raises:
            UsageError: If Ray is not installed.
            InvalidInput: If a run asks for more than this machine has.
            RuntimeError: If the processes of runs died more often than Ray starts them again; the others are carried out.
        """
        from baselines.core.findings import UsageError

        try:
            import ray
        except ModuleNotFoundError as error:
            raise UsageError('hydra/launcher=ray needs Ray: pip install "imageclef-baselines[ray]"') from error
        # A small store, since runs exchange nothing; each run has a log of its own.
        here = {"include_dashboard": False, "object_store_memory": 80 << 20} if self.address == LOCAL else {}
        ray.init(address=self.address, **{**here, "log_to_driver": False, "logging_level": "ERROR", **self.init})
        try:
            composed = [self.context.config_loader.load_sweep_config(self.config, list(each)) for each in job_overrides]
            wanted = [resources(each.hydra.launcher) for each in composed]
            if self.address == LOCAL:
                refuse_too_much(wanted, next(node["Resources"] for node in ray.nodes() if node["Alive"]))
            tasks, launch = [], uuid.uuid4().hex
            for number, (config, asked) in enumerate(zip(composed, wanted, strict=True), initial_job_idx):
                OmegaConf.update(config, "hydra.job.num", number)
                OmegaConf.update(config, "hydra.job.id", str(number))
                # A process for each run, as its own leaves nothing behind in another.
                task = ray.remote(**asked, max_calls=1)(_run)
                tasks.append(task.remote(self.context, config, self.function, Singleton.get_state(), str(Path.cwd()), launch))
            _wait(ray, tasks)
        finally:
            ray.shutdown()
        return []  # the sweeper reads the run folders


def resources(launcher: DictConfig) -> dict[str, Any]:
    """Return what a run asks Ray for: CPUs, GPUs, bytes of memory, and how often it may be started again."""
    return {
        "num_cpus": launcher.num_cpus,
        "num_gpus": launcher.num_gpus or 0,
        "memory": int(launcher.mem_gb * 2**30),
        "max_retries": launcher.max_retries,
    }


def refuse_too_much(wanted: Sequence[Mapping[str, Any]], there: Mapping[str, float]) -> None:
    """Make sure that every run can start: Ray would let it wait for a node that never comes.

    Args:
        wanted: What each run asks for.
        there: What the machine has, under Ray's names.

    Raises:
        InvalidInput: If a run asks for more.
    """
    from baselines.core.findings import invalid

    for name, asked in NAMES.items():
        most, has = max(each[asked] for each in wanted), there.get(name, 0)
        if most > has:
            unit = 2**30 if name == "memory" else 1
            raise invalid(
                "SWEEP-RESOURCES",
                f"a run asks for more {name} than Ray has here",
                file="command line",
                value=f"{most / unit:g} of {has / unit:.3g}{' GiB' if name == 'memory' else ''}",
                hint="set hydra.launcher.mem_gb, data.workers, trainer.threads or trainer; or use a cluster",
            )


def _run(context: HydraContext, config: DictConfig, function: TaskFunction, state: Any, folder: str, launch: str) -> None:
    from baselines.training.callbacks import LAUNCH  # here, since it takes seconds

    os.chdir(folder)  # paths are meant from where the command was started, as in a job of Slurm
    os.environ[LAUNCH] = launch  # tells a run that is started again from one that somebody asks for again
    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(config)
    run_job(function, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)


def _wait(ray: Any, tasks: Sequence[Any]) -> None:
    lost = []
    for task in tasks:
        try:
            ray.get(task)
        except ray.exceptions.RayError as error:
            lost.append(str(error).strip().splitlines()[0])
    if lost:
        raise RuntimeError("; ".join(lost))
