"""Sweeps: which runs a command asks for, which of them are left to do, and what became of each.

A run's folder says what state it is in, whoever carried it out: this process, another one, or a job of a cluster. So a sweep
that was cut off is started again by the same command, which skips what is finished.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from baselines.core.config import Config
from baselines.core.findings import Finding, Findings, InvalidInput, UsageError, invalid
from baselines.core.paths import LOG, SCORES, STATUS, run_folder, run_name
from baselines.core.report import cells_table, format_interval, make_console, show
from baselines.core.results import Scores
from baselines.training.compose import COMMAND_LINE, composition_errors_explained, register_schemas, to_config, whole_to_config

RESOURCES = ("nodes", "tasks_per_node", "gpus_per_node", "cpus_per_task", "mem_gb", "timeout_min")

# A job of a cluster is unpickled in a process that has composed nothing yet.
register_schemas()


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: Its overrides.
        config: Its configuration.
        folder: Its run folder.
        asks: What it would ask a cluster for, by the launcher's names.
    """

    overrides: tuple[str, ...]
    config: Config
    folder: Path
    asks: Mapping[str, Any]


@dataclass(slots=True)
class Outcome:
    """What the sweeper of this process planned and launched.

    Attributes:
        jobs: All jobs of the sweep.
        trouble: What the launcher said where it could not see a job to its end.
    """

    jobs: Sequence[Job] = ()
    trouble: str = ""

    def reset(self) -> None:
        """Forget an earlier sweep."""
        self.jobs, self.trouble = (), ""


outcome = Outcome()


def plan(combinations: Sequence[Sequence[str]], compose: Callable[[Sequence[str]], DictConfig]) -> list[Job]:
    """Compose every job of a sweep.

    Args:
        combinations: The overrides of each job.
        compose: Makes the configuration of one of them.

    Raises:
        InvalidInput: With everything that is wrong with any of them.
    """
    jobs: list[Job] = []
    found: dict[Finding, None] = {}  # once each: the same mistake is in many jobs
    for overrides in combinations:
        try:
            with composition_errors_explained():
                composed = compose(overrides)
            config = whole_to_config(composed)
        except InvalidInput as error:
            found |= dict.fromkeys(error.findings)
        else:
            folder = run_folder(config, composed.hydra.overrides.task)
            jobs.append(Job(tuple(overrides), config, folder, _asks(composed.hydra.launcher)))
    Findings(found).raise_errors()
    return jobs


def _asks(launcher: DictConfig) -> dict[str, Any]:
    return {name: launcher[name] for name in RESOURCES if name in launcher}


def check_resources(jobs: Sequence[Job], launcher: DictConfig) -> None:
    """Make sure that every job gets what it needs from the launcher.

    Args:
        jobs: The jobs of the sweep.
        launcher: What the launcher asks for, of which a job array is made for all of them.

    Raises:
        InvalidInput: If several processes of a job would each start the whole sweep, or a cluster's jobs want different
            resources.
    """
    if "tasks_per_node" not in launcher:
        _refuse_several_devices(jobs)
        return
    for job in jobs:
        settings = job.config.trainer
        needed = {**job.asks, "tasks_per_node": settings.devices, "nodes": settings.nodes}
        if different := {name: value for name, value in needed.items() if value != launcher[name]}:
            message = "the jobs of one sweep get the same resources, and this one wants others"
            value = ", ".join(
                f"{name} {value} where the launcher asks for {launcher[name]}" for name, value in different.items()
            )
            raise invalid("SWEEP-RESOURCES", message, file=COMMAND_LINE, value=value, hint="give one sweep for each")


def _refuse_several_devices(jobs: Sequence[Job]) -> None:
    ways = "set trainer.devices=1; or leave out -m and give one command a run; or hydra/launcher=slurm, a job for each run"
    for job in jobs:
        devices, nodes = job.config.trainer.devices, job.config.trainer.nodes
        if devices * nodes > 1:
            message = "a sweep can't use several devices: each of their processes would start the whole sweep again"
            value = f"trainer.devices={devices}, trainer.nodes={nodes}"
            raise invalid("SWEEP-DEVICES", message, file=COMMAND_LINE, value=value, hint=ways)


def launch(jobs: Sequence[Job], launcher: Any) -> None:
    """Launch the jobs that are not finished, and wait for them.

    Raises:
        InvalidInput: If the launcher can't give a job what it asks for.
        UsageError: If the launcher isn't installed.
    """
    outcome.reset()
    outcome.jobs = jobs
    left = [job for job in jobs if job.config.overwrite or state_of(job.folder) != "finished"]
    if not left:
        return
    try:
        launcher.launch([list(job.overrides) for job in left], initial_job_idx=0)
    except (InvalidInput, UsageError):
        raise
    except Exception as error:  # noqa: BLE001  a job that was killed; the folders say what became of the others
        outcome.trouble = f"{type(error).__name__}: {str(error).strip()}"


def carry_out(composed: DictConfig) -> None:
    """Carry out one job of a sweep, in whatever process; what it raises is in its folder, and must not stop the others."""
    from baselines.training.loop import run  # here, since it takes seconds

    overrides = HydraConfig.get().overrides.task
    config = to_config(composed, HydraConfig.get().runtime.choices)
    folder = run_folder(config, overrides)
    try:
        run(config, folder)
    except (InvalidInput, UsageError) as error:
        sys.stderr.write(f"{error}\n")
    except Exception:  # noqa: BLE001
        sys.stderr.write(f"a bug in imageclef-baselines, told in full in {folder / 'log.txt'}\n")


def state_of(folder: Path) -> str:
    """Return the state of a run: ``finished``, ``failed``, ``interrupted``, ``cut off``, or ``not started``."""
    from baselines.training.callbacks import Status

    state = str(Status.read(folder / STATUS).get("state") or "not started")
    if state == "finished":
        return state if (folder / SCORES).exists() else "cut off"
    return "cut off" if state == "running" else state


def report() -> int:
    """Print a table of the jobs of the sweep.

    Returns:
        The exit code: 3 if one failed of a bug, 1 if one is not finished for another reason, else 0.
    """
    from baselines.training.callbacks import Status

    states = [state_of(job.folder) for job in outcome.jobs]
    rows = [
        (run_name(job.overrides), state, _score(job) if state == "finished" else "", str(job.folder / LOG))
        for job, state in zip(outcome.jobs, states, strict=True)
    ]
    show(cells_table(("run", "state", "score", "log"), rows, prose=("score", "log"), whole=("run", "state")))
    console = make_console()
    failed = [job for job, state in zip(outcome.jobs, states, strict=True) if state != "finished"]
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    for job in failed:
        error = Status.read(job.folder / STATUS).get("error")
        errors.print(f"{run_name(job.overrides)}: {error or 'ended without a word; its launcher may know why'}", markup=False)
    if outcome.trouble:
        errors.print(f"the launcher said: {outcome.trouble}", markup=False)
    done = f"{len(outcome.jobs) - len(failed)} of {len(outcome.jobs)} runs are finished"
    console.print(f"{done}; the same command goes on with the others" if failed else done)
    if any(Status.read(job.folder / STATUS).get("traceback") for job in failed):
        return 3
    return 1 if failed else 0


def _score(job: Job) -> str:
    scores = Scores.from_json((job.folder / SCORES).read_text(encoding="utf-8"), str(job.folder / SCORES))
    number = "undefined" if scores.score is None else f"{scores.score:.4f}"
    return f"{scores.primary} {number} {format_interval(scores.intervals.get(scores.primary))}".strip()
