"""``imageclef train``: Hydra composes the configuration, the loop carries it out.

Run as a file it is the same command without its verb: that is how Lightning starts the other processes of a run on several
devices.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from baselines.core.findings import UsageError
from baselines.core.paths import conf_dir, run_folder
from baselines.core.results import Scores
from baselines.core.tasks import all_tasks, get_task
from baselines.training import sweep
from baselines.training.compose import composition_errors_explained, quoted, register_schemas, to_config

LAUNCHER = "hydra/launcher="
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
LOCAL_CONF = Path("conf_local")  # of the user's own options, such as a cluster's partition and account; git ignores it


def train(argv: list[str]) -> int:
    """Run ``imageclef train`` with these arguments: overrides, and flags of Hydra such as ``-m``.

    Returns:
        0; of a sweep also 1 if runs are not finished, 3 if one of them failed of a bug.

    Raises:
        InvalidInput: If the configuration can't be composed or used, or a run failed for a reason outside of this project.
        UsageError: If the task has no baseline yet, or an argument can't mean what it says.
        KeyboardInterrupt: If the user stopped it.
    """
    _refuse_misleading(argv)
    register_schemas()
    single.reset()
    sweep.outcome.reset()
    arguments = sorted(map(quoted, argv), key=_is_override)  # argparse wants all flags on one side
    if any(argument.startswith(LAUNCHER) and argument != f"{LAUNCHER}local" for argument in arguments):
        arguments.insert(0, "--multirun")  # the other launchers are for sweeps, of which a single run is one
    if LOCAL_CONF.is_dir() and not any(argument.startswith(("--config-dir", "-cd")) for argument in arguments):
        arguments = ["--config-dir", str(LOCAL_CONF), *arguments]
    _refuse_unknown_flags(arguments)
    with _as_script(arguments), composition_errors_explained():
        hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")(job)()
    return sweep.report() if sweep.outcome.jobs else single.report()


def _refuse_misleading(argv: Sequence[str]) -> None:
    """Raise :class:`UsageError`, saying what was meant, for a name alone, a slip, several experiments, or Hydra's folder."""
    experiments = {card.id: card.experiment for card in all_tasks().values() if card.has("model")}
    experiments |= {path.stem: path.stem for path in (conf_dir() / "experiment").glob("*.yaml")}
    for before, argument in zip(("", *argv), argv, strict=False):
        is_value = before.startswith("-") and before not in ("-m", "--multirun")  # as of --config-dir
        if argument in experiments and not is_value:
            raise UsageError(f"{argument!r} is no override: give experiment={experiments[argument]}")
        key = argument.lstrip("+").partition("=")[0]
        # Else its absence alone would be told.
        if not is_value and key != "experiment" and get_close_matches(key, ["experiment"], cutoff=0.8):
            raise UsageError(f"{argument}: no such key; did you mean experiment=NAME?")
        if key == "experiment" and "," in argument:
            raise UsageError(f"{argument}: a sweep has one experiment, so give a command for each")
        # Else the same command would not find its run again. (Lightning repeats Hydra's folder to the processes it starts.)
        if key in FOLDERS and "LOCAL_RANK" not in os.environ:
            raise UsageError(f"{argument}: a run's folder is named after its overrides; give runs_dir=FOLDER, where it is made")


def _refuse_unknown_flags(arguments: Sequence[str]) -> None:
    """Exit with Hydra's usage, as Hydra would under the name of this file, if a flag isn't one of its own."""
    parser = get_args_parser()
    parser.prog = "imageclef train"
    parser.parse_args(arguments)


def _is_override(argument: str) -> bool:
    return "=" in argument and not argument.startswith("-")


def job(composed: DictConfig) -> None:
    """Carry out a run; Hydra, or a cluster's launcher in another process, calls this for each."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        sweep.carry_out(composed)
    else:
        single.carry_out(composed)


class Single:
    """The one run of a command, and what came of it: Hydra would print an error in its own way."""

    line: str
    error: Exception | None

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget an earlier run."""
        self.line, self.error = "", None

    def carry_out(self, composed: DictConfig) -> None:
        """Carry it out, and keep what it raises."""
        context = HydraConfig.get()
        try:
            config = to_config(composed, context.runtime.choices)
            from baselines.training.loop import run  # here, since it takes seconds

            folder = run_folder(config, context.overrides.task)
            result = run(config, folder, keep_refused=False)
            if result.scores:
                numbers = "  ".join(_in_words(result.scores, metric.name) for metric in get_task(config.task).metrics)
                note = "  (finished before; overwrite=true starts again)" if result.skipped else ""
                self.line = f"{folder}  {numbers}{note}"
        except Exception as error:  # noqa: BLE001  raised again by `report`
            self.error = error
            with contextlib.suppress(OSError):
                Path(context.runtime.output_dir).rmdir()  # Hydra made it; it goes if it is empty

    def report(self) -> int:
        """Print the line, or raise the error."""
        if self.error:
            raise self.error
        if self.line:
            Console(soft_wrap=True, highlight=False).print(self.line, markup=False)
        return 0


single = Single()


def _in_words(scores: Scores, metric: str) -> str:
    value, interval = scores.metrics.get(metric), scores.intervals.get(metric)
    text = f"{metric} {'undefined' if value is None else f'{value:.4f}'}"
    return f"{text} [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else text


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


if __name__ == "__main__":
    from baselines.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
