"""The launcher ``hydra/launcher=slurm``: each run of a sweep is a job of Slurm.

Jobs are queued and requeued by submitit, through Hydra's own plugin. How they are waited for is this project's: the plugin,
hydra-submitit-launcher 1.2.0, stops at the first job that was killed though others still run, and learns of it from ``sacct``
alone, so that it waits for ever on a cluster without accounting.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

LONGEST = 30  # seconds between two looks at the queue
RESULT_DELAY = 15  # seconds that a file written on another node may take to be seen here


class SlurmLauncher(Launcher):
    """Launches runs as one job array and waits until Slurm has none of its jobs left.

    Args:
        parameters: Those of Hydra's plugin for submitit.
    """

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the runs need, in the object of Hydra's plugin that is sent to the jobs and that requeues them."""
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as Runner  # an extra installs it

        self.runner = Runner(**self.parameters)
        self.runner.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Queue the runs and wait for all of them.

        Raises:
            RuntimeError: If jobs ended without a result, as those do that are killed; after the others have ended, too.
        """
        calls = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        jobs = _executor(self.runner.params).map_array(self.runner, *zip(*calls, strict=True))
        wait({job.job_id for job in jobs})
        if told := trouble(jobs):
            raise RuntimeError(told)
        return []  # the sweeper reads the run folders


def _executor(parameters: dict[str, Any]) -> Any:
    """Return submitit's executor; it wants the parameters that only Slurm has marked as such."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    left = dict(parameters)
    folder, limit = left.pop("submitit_folder"), left.pop("max_num_timeout")
    executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=limit)
    shared = {field.name for field in dataclasses.fields(BaseQueueConf)}
    executor.update_parameters(**{name if name in shared else f"slurm_{name}": value for name, value in left.items()})
    return executor


def wait(jobs: set[str]) -> None:
    """Wait until none of the jobs is in the queue; a requeued one is, from its end to its next start."""
    for look in itertools.count(1):
        if not jobs & _queued():
            return
        time.sleep(min(LONGEST, look))


def _queued() -> set[str]:
    """Return the ids of this user's jobs that wait or run, as ``12`` or, of an array, ``12_3``."""
    command = ["squeue", "--all", "--noheader", "--array", "--format=%i", f"--user={os.getuid()}"]
    while True:
        listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if listed.returncode == 0:
            return set(listed.stdout.split())
        time.sleep(LONGEST)  # a controller that is away for a while has not lost the jobs


def trouble(jobs: Sequence[Any]) -> str:
    """Return what to tell of jobs that are over and left no result of each of their processes, or an error instead."""
    missing = {job.job_id: _missing(job) for job in jobs}
    for _ in range(RESULT_DELAY):
        if not any(missing.values()):
            break
        time.sleep(1)
        missing = {job.job_id: _missing(job) for job in jobs}
    killed = "ended without a result; was it killed, for too little memory perhaps?"
    told = [f"job {job} {killed} See {', '.join(logs)}" for job, logs in missing.items() if logs]
    told += [str(error) for job in jobs if not missing[job.job_id] and (error := job.exception())]
    return "; ".join(told)


def _missing(job: Any) -> list[str]:
    """Return the logs of the processes of a job that left no result."""
    paths = [job.task(number).paths for number in range(job.num_tasks)]
    return [str(each.stderr) for each in paths if not each.result_pickle.exists()]
