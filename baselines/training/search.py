"""``imageclef sweep``: search for a recipe's best values with Optuna, by any number of processes that share one study.

Optuna is used itself rather than through Hydra's plugin for it, which holds Optuna below 3. The space is written in Hydra's
own grammar. A trial is a run like any other, in a folder named by its overrides, so that one that was killed goes on from its
last checkpoint. The study is a journal, a file that only grows and that many processes may append to.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from baselines.core.config import Config
from baselines.core.findings import InvalidInput, UsageError
from baselines.core.paths import run_folder
from baselines.core.report import cells_table, format_number, make_console, show
from baselines.core.tasks import get_task
from baselines.training.callbacks import PrunedRun
from baselines.training.compose import compose
from baselines.training.loop import run
from baselines.training.module import BaselineModule, mix_seed

FOLDER = "folder"  # attribute of a trial: its run folder
TWIN = "twin"  # attribute of a trial: the number of another one with the same run folder
DRAWS = 20  # so often are values drawn that another process is trying, before there is nothing left for this one
GRAMMAR = "a space is written choice(a, b), range(1, 9), interval(0.1, 0.9), int(interval(1, 9)), tag(log, interval(1e-5, 0.1))"


def search(args: argparse.Namespace) -> int:
    """Carry out trials until the study has as many as asked for, then print them.

    Args:
        args: ``overrides``, of which those with several values span the space; ``trials``, how many the study shall have,
            those of other processes counted; ``study``, its file, or ``None``; ``prune``, whether to end trials early that do
            worse than the median.

    Returns:
        0, or 1 if no trial was finished.

    Raises:
        InvalidInput: If the configuration can't be used.
        UsageError: If the overrides span no space.
    """
    fixed, space = split_space(args.overrides)
    config = compose([*fixed, *_first(space)])
    path = args.study or Path(config.runs_dir) / config.task / config.experiment / "study.journal"
    study = open_study(path, config, prune=args.prune)
    with path.with_name(f"{path.name}.running").open("ab") as file:
        locks = TrialLocks(file)
        while trial := _next_trial(study, fixed, space, args.trials, locks):
            _carry_out(study, trial, _overrides(fixed, trial), prune=args.prune)
            locks.release(trial.number)
    return _report(study, path)


def split_space(overrides: Sequence[str]) -> tuple[list[str], dict[str, BaseDistribution]]:
    """Tell fixed overrides from those with several values.

    Raises:
        UsageError: If none has several values, or a space is of a kind that can't be searched.

    >>> split_space(["seed=1", "model.channels=32,64"])[1]
    {'model.channels': CategoricalDistribution(choices=(32, 64))}
    """
    fixed, space = [], {}
    for each in OverridesParser.create().parse_overrides(list(overrides)):
        if each.is_sweep_override():
            space[each.get_key_element()] = distribution(each)
        else:
            fixed.append(str(each.input_line))
    if not space:
        raise UsageError(f"no override has several values: there is nothing to search; {GRAMMAR}")
    return fixed, space


def distribution(given: Override) -> BaseDistribution:
    """Return the values of an override as Optuna has them.

    Raises:
        UsageError: If it is none of the kinds that can be searched.
    """
    sweep = given.value()
    if isinstance(sweep, ChoiceSweep):
        return CategoricalDistribution([_plain(value) for value in sweep.list])
    if isinstance(sweep, RangeSweep) and sweep.start is not None and sweep.stop is not None:
        if all(isinstance(end, int) for end in (sweep.start, sweep.stop, sweep.step)):
            step = int(sweep.step)
            count = len(range(int(sweep.start), int(sweep.stop), step))
            return IntDistribution(int(sweep.start), int(sweep.start) + (count - 1) * step, step=step)
        return FloatDistribution(float(sweep.start), float(sweep.stop), step=float(sweep.step))
    if isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None:
        is_log = "log" in sweep.tags
        if isinstance(sweep.start, int) and isinstance(sweep.end, int):  # written int(interval(1, 9))
            return IntDistribution(sweep.start, sweep.end, log=is_log)
        return FloatDistribution(float(sweep.start), float(sweep.end), log=is_log)
    raise UsageError(f"{given.input_line}: this can't be searched; {GRAMMAR}")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) or value is None else str(value)


def _first(space: Mapping[str, BaseDistribution]) -> list[str]:
    """Return some value of each, to see whether the configuration can be used at all."""
    return [
        f"{name}={each.choices[0] if isinstance(each, CategoricalDistribution) else each.low}"  # type: ignore[attr-defined]
        for name, each in space.items()
    ]


def open_study(path: Path, config: Config, *, prune: bool) -> optuna.Study:
    """Open the study of a file, and make it where there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    higher = get_task(config.task).primary.higher_is_better
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=config.experiment,
        direction="maximize" if higher else "minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner(),
    )
    study.sampler = TrialSampler(config.seed)
    return study


class TrialSampler(TPESampler):
    """Optuna's estimator, seeded anew by the number of each trial: processes that share a study never try the same values.

    Args:
        seed: Seed of the search.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed % 2**32, constant_liar=True)
        self.seed = seed

    @override
    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed what the trial's values are drawn with."""
        TPESampler.__init__(self, seed=mix_seed(self.seed, trial.number, 0) % 2**32, constant_liar=True)
        super().before_trial(study, trial)


def _count(study: optuna.Study) -> int:
    """Return how many trials are finished or under way; those that failed or wait to be asked for don't count."""
    left_out = (TrialState.FAIL, TrialState.WAITING)
    return sum(trial.state not in left_out for trial in study.get_trials(deepcopy=False))


class TrialLocks:
    """Locks on the bytes of one file, which the operating system releases however a process ends, on any machine.

    Byte 0 is held while a trial is handed out, byte n + 1 while trial n is carried out.

    Args:
        file: Open for writing, and by nothing else in this process: closing it anywhere would release all.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    @contextlib.contextmanager
    def handing_out(self) -> Iterator[None]:
        """Let no other process hand out a trial meanwhile."""
        fcntl.lockf(self.file, fcntl.LOCK_EX, 1, 0)
        try:
            yield
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, 0)

    def take(self, trial: int) -> bool:
        """Hold a trial, or return False if another process does."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, trial + 1)
        except (BlockingIOError, PermissionError):  # which of them is up to the file system
            return False
        return True

    def release(self, trial: int) -> None:
        """Let go of a trial that has been told."""
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, trial + 1)


def _next_trial(
    study: optuna.Study, fixed: Sequence[str], space: Mapping[str, BaseDistribution], trials: int, locks: TrialLocks
) -> optuna.Trial | None:
    """Hand out a trial to this process, first those of processes that were killed; ``None`` if there are enough.

    A trial with the values of another one would have the same run folder: it gets what became of the other at once. While
    the other is still under way there is nothing to get, so other values are drawn.
    """
    with locks.handing_out():
        _ask_again_for_abandoned(study, locks)
        draws = 0
        while _count(study) < trials and draws < DRAWS:
            trial = study.ask(dict(space))
            overrides = _overrides(fixed, trial)
            trial.set_user_attr(FOLDER, str(run_folder(compose(overrides), overrides)))
            twin = _twin(study, trial)
            if twin is None:
                locks.take(trial.number)
                return trial
            _tell_like(study, trial, twin)
            draws += twin.state == TrialState.RUNNING
    return None


def _overrides(fixed: Sequence[str], trial: optuna.Trial) -> list[str]:
    return [*fixed, *(f"{name}={value}" for name, value in trial.params.items())]


def _twin(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial | None:
    """Return the trial that is at work in the same run folder, or has finished it; one that failed may be tried again."""
    states = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
    others = (other for other in study.get_trials(deepcopy=False, states=states) if other.number != trial.number)
    return next((other for other in others if other.user_attrs.get(FOLDER) == trial.user_attrs[FOLDER]), None)


def _tell_like(study: optuna.Study, trial: optuna.Trial, twin: FrozenTrial) -> None:
    trial.set_user_attr(TWIN, twin.number)
    if twin.state == TrialState.COMPLETE:
        study.tell(trial, twin.value)
    else:  # the sampler learns nothing from one that failed, which is right while the other's result is unknown
        study.tell(trial, state=TrialState.FAIL if twin.state == TrialState.RUNNING else TrialState.PRUNED)


def _ask_again_for_abandoned(study: optuna.Study, locks: TrialLocks) -> None:
    """Queue the trials of processes that were killed; their run folders then go on from their last checkpoints."""
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if locks.take(trial.number):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params, skip_if_exists=False)
            locks.release(trial.number)


def _carry_out(study: optuna.Study, trial: optuna.Trial, overrides: Sequence[str], *, prune: bool) -> None:
    config = compose(overrides)
    folder = Path(trial.user_attrs[FOLDER])
    callbacks = [Pruning(trial)] if prune else []
    try:
        result = run(config, folder, callbacks)
    except PrunedRun:
        study.tell(trial, state=TrialState.PRUNED)
    except InvalidInput as error:
        sys.stderr.write(f"{error}\n")
        study.tell(trial, state=TrialState.FAIL)
        if _keeps_failing(study):
            raise
    else:
        value = result.scores.score if result.scores else None
        study.tell(trial, value, state=None if value is not None else TrialState.FAIL)


def _keeps_failing(study: optuna.Study) -> bool:
    """Whether the last three trials that were carried out failed: then it isn't the values."""
    last = [trial for trial in study.get_trials(deepcopy=False) if TWIN not in trial.user_attrs][-3:]
    return len(last) == 3 and all(trial.state == TrialState.FAIL for trial in last)


class Pruning(Callback):
    """Ends a run whose validation is worse than the median of earlier trials at the same step."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the monitored number and ask whether to go on."""
        assert isinstance(pl_module, BaselineModule)
        step, score = trainer.global_step, next(iter(pl_module.validation.values()))
        self.trial.report(score, step)
        if self.trial.should_prune():
            raise PrunedRun(f"worse than the median of earlier trials at step {step}: {score:.4f}")


def _report(study: optuna.Study, path: Path) -> int:
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    key: Callable[[FrozenTrial], float] = lambda trial: trial.value or 0.0  # noqa: E731
    done.sort(key=key, reverse=study.direction == optuna.study.StudyDirection.MAXIMIZE)
    others = [trial for trial in trials if trial.state != TrialState.COMPLETE and TWIN not in trial.user_attrs]
    rows = [
        (
            str(trial.number),
            " ".join(f"{name}={value}" for name, value in trial.params.items()),
            trial.state.name.lower(),
            format_number(trial.value),
            str(trial.user_attrs.get(FOLDER, "")),
        )
        for trial in (*done, *others)
    ]
    show(cells_table(("trial", "values", "state", "score", "folder"), rows, prose=("folder",), whole=("values", "state")))
    best = " ".join(f"{name}={value}" for name, value in done[0].params.items()) if done else "none was finished"
    make_console().print(f"best: {best}; the study is {path}")
    return 0 if done else 1
