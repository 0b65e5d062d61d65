"""The cards of the tasks, and the registry that finds them.

A task package is a folder under ``baselines`` with a ``task.py`` that holds ``CARDS``. The registry looks for such files by
name, so that adding a task edits nothing here, and imports nothing but the cards. Another distribution adds its tasks with an
entry point of the group ``imageclef.tasks`` that names its ``task.py``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from baselines.core.findings import UsageError, nearest

ENTRY_POINTS = "imageclef.tasks"
PACKAGE_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of ``scores.json``: its name, what it says in one line, and which direction is better."""

    name: str
    description: str
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class TaskCard:
    """What there is to know about a task without importing anything heavy.

    Attributes:
        id: The task id of the command line, such as ``drawnui-wireframe``.
        package: Import path of the task package, such as ``baselines.drawnui``.
        version: Version of the task definition (formats and metrics); it goes into the signature of a score.
        predicts: What is predicted, in a few words.
        baseline: The reference model, in a few words.
        unit: What one sample is; intervals resample these.
        resamples: How many resamples the commands make intervals of, unless told otherwise.
        splits: Names of the splits that can be read and predicted.
        metrics: The metrics, the primary one first.
        run_file: File name of a run, as submitted.
        secondary: The metric of AIcrowd's second column; none gives 0 there, as the official evaluators do.
        class_metrics: Metrics of single classes, named by what stands before the dot in ``ap50.<class>``.
        classes: Class names by campaign id, where they are known beforehand; readers take the names from the data.
        files: The files as distributed that the readers look for, as paths below the data root.
        example_ids: Two invented ids of the campaign's form, for examples.
        example_truth: A truth of these two, as distributed; shown to users, who try commands on it.
        experiment: Name of the reference recipe, a file of ``conf/experiment``, which several tasks may share; left out, it is
            the id with ``_`` for ``-``.
        fitted_by: The task whose fit serves this one too: a run folder of that task also holds a run and the scores of this
            one. Left out, the task is fitted by itself.
    """

    id: str
    package: str
    version: str
    predicts: str
    baseline: str
    unit: str
    splits: tuple[str, ...]
    metrics: tuple[Metric, ...]
    run_file: str
    resamples: int = 1000
    secondary: str = ""
    class_metrics: tuple[Metric, ...] = ()
    classes: Mapping[int, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    example_ids: tuple[str, ...] = ("a", "b")
    example_truth: str = ""
    experiment: str = ""
    fitted_by: str = ""

    def __post_init__(self) -> None:
        if not self.experiment:
            object.__setattr__(self, "experiment", self.id.replace("-", "_"))
        if not self.fitted_by:
            object.__setattr__(self, "fitted_by", self.id)

    @property
    def primary(self) -> Metric:
        """The metric that ranks runs."""
        return self.metrics[0]

    def has(self, module: str) -> bool:
        """Whether the task package has a module of this name (one of the eight files), without importing it."""
        return importlib.util.find_spec(f"{self.package}.{module}") is not None

    @property
    def state(self) -> str:
        """What works today: ``baseline`` (trains and scores), ``scorer`` (scores runs) or ``planned``."""
        if self.has("model"):
            return "baseline"
        return "scorer" if self.has("score") else "planned"

    def module(self, name: str) -> ModuleType:
        """Import one of the task package's eight files.

        Raises:
            UsageError: If the task has no such file yet.
        """
        if not self.has(name):
            raise UsageError(f"task {self.id} has no {name} yet (`imageclef tasks` lists what works)")
        return importlib.import_module(f"{self.package}.{name}")


@cache
def all_tasks() -> dict[str, TaskCard]:
    """Return the cards of all tasks by id, in the order of their packages' names, those of other distributions last."""
    own = (
        ".".join(("baselines", *path.relative_to(PACKAGE_ROOT).with_suffix("").parts))
        for path in sorted(PACKAGE_ROOT.glob("**/task.py"))
    )
    others = sorted(entry.value for entry in entry_points(group=ENTRY_POINTS))
    return {card.id: card for name in (*own, *others) for card in importlib.import_module(name).CARDS}


def get_task(task: str) -> TaskCard:
    """Return the card of a task.

    Raises:
        UsageError: If there is no such task; the message suggests the nearest id.

    >>> get_task("drawnui-wireframe").primary.name
    'map50'
    """
    cards = all_tasks()
    if task in cards:
        return cards[task]
    raise UsageError(f"no task {task!r}: {nearest(task, cards, 'the tasks are')}")


def tasks_fitted_by(task: str) -> list[TaskCard]:
    """Return the cards of the tasks that a fit of a task serves: its own first.

    >>> [card.id for card in tasks_fitted_by("coral-parsing")]
    ['coral-parsing', 'coral-annotation']
    """
    return [get_task(task), *(card for card in all_tasks().values() if card.id != task and card.fitted_by == task)]
