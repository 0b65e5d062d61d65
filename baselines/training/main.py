"""``imageclef train``: Hydra composes the configuration, the loop carries it out.

Run as a file it is the same command without its verb: that is how Lightning starts the other processes of a run on several
devices.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from baselines.core.config import Config, defaults, flatten, nearest, parse_config
from baselines.core.findings import Finding, InvalidInput, Severity, invalid
from baselines.core.paths import conf_dir, run_name
from baselines.core.results import Scores
from baselines.core.tasks import all_tasks, get_task

CHOICES = ("experiment", "preset")  # keys of the configuration that Hydra's choices of groups say
COMMAND_LINE = "command line"


def train(argv: list[str]) -> int:
    """Run ``imageclef train`` with these arguments: overrides, and flags of Hydra such as ``-m``.

    Returns:
        0, or 1 if runs of a sweep failed.

    Raises:
        InvalidInput: If the configuration can't be composed or used, or the run failed for a reason outside of this project.
        UsageError: If the task has no baseline yet.
        KeyboardInterrupt: If the user stopped it.
    """
    register_schemas()
    sweep = Sweep()

    @hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")
    def job(composed: DictConfig) -> None:
        sweep.carry_out(composed)

    with _as_script([quoted(argument) for argument in argv]), composition_errors_explained():
        job()
    return sweep.report()


@dataclass
class Sweep:
    """The jobs of one command: one, or those of a multirun, where a failing one doesn't stop the others.

    Attributes:
        lines: What to say of each job in the end.
        errors: What the failed jobs raised.
    """

    lines: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def carry_out(self, composed: DictConfig) -> None:
        """Carry out one job; what it raises is kept, since Hydra would print it in its own way."""
        context = HydraConfig.get()
        name = run_name(context.overrides.task)
        try:
            config = to_config(composed, context.runtime.choices)
            _refuse_devices(config, context)
            self._carry_out(config, name)
        except Exception as error:  # noqa: BLE001  raised again by `report`
            self.errors.append(error)
            self.lines.append(f"{name}: failed: {error}")
            with contextlib.suppress(OSError):
                Path(context.runtime.output_dir).rmdir()  # Hydra made it; it goes if it is empty

    def _carry_out(self, config: Config, name: str) -> None:
        from baselines.training.loop import run  # here, since it takes seconds

        folder = Path(config.runs_dir) / config.task / config.experiment / name
        result = run(config, folder)
        if result.scores:
            numbers = "  ".join(_in_words(result.scores, metric.name) for metric in get_task(config.task).metrics)
            note = "  (finished before; overwrite=true starts again)" if result.skipped else ""
            self.lines.append(f"{folder}  {numbers}{note}")

    def report(self) -> int:
        """Print a line for each job and return the exit code; raise what a single job raised, and a bug after all the lines."""
        if len(self.lines) == len(self.errors) == 1:
            raise self.errors[0]
        console = Console(soft_wrap=True, highlight=False)
        for line in self.lines:
            console.print(line, markup=False)
        for error in self.errors:
            if not isinstance(error, InvalidInput):
                raise error
        return 1 if self.errors else 0


def _in_words(scores: Scores, metric: str) -> str:
    value, interval = scores.metrics.get(metric), scores.intervals.get(metric)
    text = f"{metric} {'undefined' if value is None else f'{value:.4f}'}"
    return f"{text} [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else text


def _refuse_devices(config: Config, context: Any) -> None:
    """Refuse several devices in a sweep that runs in this process."""
    if context.mode == RunMode.RUN or config.trainer.devices == 1 or "BasicLauncher" not in context.launcher._target_:
        return
    ways = (
        "set trainer.devices=1",
        "leave out -m and give one command a run",
        "choose a launcher that gives each run its own job",
    )
    hint = "; or ".join(ways)
    message = "a sweep can't use several devices: each of their processes would start the whole sweep again"
    value = f"trainer.devices={config.trainer.devices}"
    raise invalid("SWEEP-DEVICES", message, file=COMMAND_LINE, value=value, hint=hint)


def register_schemas() -> None:
    """Tell Hydra every key of every task with its default, as the options of the group ``task``."""
    store = ConfigStore.instance()
    for task in all_tasks():
        store.store(group="task", name=task, node={"task": task, **defaults(task)}, package="_global_")
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def to_config(composed: DictConfig, choices: Mapping[str, Any]) -> Config:
    """Check a composed configuration.

    Args:
        composed: What Hydra composed.
        choices: The option chosen of each group.

    Raises:
        InvalidInput: With everything that is wrong with it.
    """
    # The sections are composed of several groups; interpolations between them are resolved here.
    plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return parse_config({str(key): value for key, value in plain.items()} | {name: choices[name] for name in CHOICES})


def compose(overrides: Sequence[str]) -> Config:
    """Compose the configuration that ``imageclef train`` would run with these overrides.

    Raises:
        InvalidInput: If it can't be composed or used.
    """
    register_schemas()
    GlobalHydra.instance().clear()
    with composition_errors_explained(), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = hydra.compose("config", [quoted(override) for override in overrides], return_hydra_config=True)
        choices = composed.hydra.runtime.choices
        with_sections = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        return to_config(with_sections, choices)


def quoted(argument: str) -> str:
    """Quote the value of an override that holds ``=``, as the names of run folders do: Hydra's grammar refuses it bare.

    >>> quoted("init_from=runs/preset=demo,seed=1"), quoted("seed=1,2"), quoted("init_from='a=b'"), quoted("-m")
    ("init_from='runs/preset=demo,seed=1'", 'seed=1,2', "init_from='a=b'", '-m')
    """
    key, _, value = argument.partition("=")
    if "=" not in value or key.startswith("-") or set(value) & set("'\"[]{}()"):
        return argument
    return f"{key}='{value}'"


@contextlib.contextmanager
def _as_script(argv: Sequence[str]) -> Iterator[None]:
    """Make the process look as if this file had been called with ``argv``, as Hydra and Lightning expect it.

    Lightning starts further processes with ``sys.argv``, or with ``-m`` and the main module where the process was started so:
    either would lack the verb. Hydra would print errors itself and exit.
    """
    main_module = sys.modules["__main__"]
    before = sys.argv, getattr(main_module, "__spec__", None), os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [__file__, *argv]
    main_module.__spec__ = None
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv, main_module.__spec__, full_error = before
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


@contextlib.contextmanager
def composition_errors_explained() -> Iterator[None]:
    """Turn what Hydra raises while composing into findings that suggest the nearest name."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise InvalidInput(_explain(error)) from error
    except ValueError as error:
        # Hydra uses it for some mistakes in overrides; one from anywhere else is a bug and stays one.
        if "hydra" not in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parts:
            raise
        raise InvalidInput(_explain(error)) from error


def _explain(error: Exception) -> Finding:
    def finding(code: str, message: str, subject: str = "", hint: str = "") -> Finding:
        return Finding(code, Severity.ERROR, message, file=COMMAND_LINE, id=subject, hint=hint)

    text = str(error) or str(error.__cause__)
    if isinstance(error, OverrideParseException):
        return finding(
            "CONFIG-SYNTAX",
            "can't be read as key=value",
            error.override,
            "quote values with special characters twice: 'key=\"a b\"'",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.partition("/")
        return finding(
            "CONFIG-UNKNOWN-OPTION", "no such option", f"{group}={option}", nearest(option, list(error.options or ()))
        )
    if match := re.search(r"You must specify '([^']+)'", text):
        options = re.findall(r"^\t(\S+)", text, re.MULTILINE)
        return finding(
            "CONFIG-MISSING-KEY", "has to be chosen", match[1], f"give {match[1]}=NAME; the choices are {', '.join(options)}"
        )
    if match := re.search(r"Could not (?:override|append to config[^']*|delete[^']*) ?'([^']+)'", text):
        known = {key for task in all_tasks() for key in flatten(defaults(task))} | {
            "experiment",
            "preset",
            "model",
            "optimizer",
            "trainer",
        }
        return finding("CONFIG-UNKNOWN-KEY", "no such key", match[1], nearest(match[1], sorted(known)))
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return finding(
            "CONFIG-SYNTAX", "has several values", match[1], "add -m for a run of each; or quote a value that has commas"
        )
    lines = [line for line in text.splitlines() if line.strip()]
    return finding("CONFIG-COMPOSE", lines[0] if lines else type(error).__name__)


if __name__ == "__main__":
    from baselines.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
