"""``imageclef results``: what came of many runs, a line for each configuration, over its seeds.

Everything is read from the run folders, so that it doesn't matter where and when the runs were carried out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from baselines.core import report, tables
from baselines.core.config import NEUTRAL_KEYS, flatten
from baselines.core.files import MAX_FILE_BYTES
from baselines.core.findings import Finding, Findings, InvalidInput, Severity, UsageError, invalid
from baselines.core.outputs import check_outputs, refuse_within, write_atomic
from baselines.core.paths import CARD, SCORES, STATUS
from baselines.core.results import Scores
from baselines.core.tasks import get_task

# What the runs of one configuration may differ in: the seed, and what is only shown.
FREE_KEYS = frozenset({"seed", "pictures", "bootstrap", "trainer.log_every"})
MAX_NUMBER = 1e18  # of seconds, bytes or devices


@dataclass(frozen=True, slots=True)
class Run:
    """What a run folder says.

    Attributes:
        folder: The folder.
        state: As in ``status.json``; a run that says it is running may have been killed.
        seconds: Time of all attempts together.
        gpu_seconds: The same times the number of GPUs.
        peak_memory: Most memory, in bytes: of the GPU where there was one, else of the host.
        config: Its configuration, flattened; empty if it isn't finished.
        scores: Its scores, if it is finished.
    """

    folder: Path
    state: str
    seconds: float
    gpu_seconds: float
    peak_memory: int
    config: Mapping[str, Any]
    scores: Scores | None


@dataclass(frozen=True, slots=True)
class Row:
    """A configuration and what its runs reached.

    Attributes:
        task: Task id.
        name: In what it differs from the others.
        metric: The primary metric.
        scores: The defined scores of its runs.
        interval: 95 % interval: of the mean over two or more runs (Student's t), of a single run its bootstrap interval.
        runs: Its runs.
        is_best: Whether it has the best mean of its task.
    """

    task: str
    name: str
    metric: str
    scores: tuple[float, ...]
    interval: tuple[float, float] | None
    runs: tuple[Run, ...]
    is_best: bool = False

    @property
    def mean(self) -> float | None:
        """Mean over the runs."""
        return math.fsum(self.scores) / len(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over two or more runs, with one degree of freedom less."""
        if len(self.scores) < 2:
            return None
        mean = math.fsum(self.scores) / len(self.scores)
        return math.sqrt(math.fsum((score - mean) ** 2 for score in self.scores) / (len(self.scores) - 1))


def results(args: argparse.Namespace) -> int:
    """Print what came of the runs under a folder.

    Args:
        args: ``folder``; ``format``, one of :data:`WRITERS`; ``out``, a file or ``None``.

    Returns:
        0 if all runs are finished, else 1.

    Raises:
        InvalidInput: If there are no runs, one of their files can't be read, or the table can't be written.
    """
    check_outputs([], [("--out", args.out)])
    runs = read_runs(args.folder)
    rows = summarise(runs)
    if args.out is not None:
        for run in runs:
            refuse_within(run.folder, [("--out", args.out)])
        write_atomic(args.out, WRITERS[args.format](rows))
    elif args.format == "table":
        report.show(as_table(rows))
    else:
        sys.stdout.write(WRITERS[args.format](rows))
    sys.stderr.writelines(f"{run.folder}: {why}\n" for run, why in left_out(runs))
    return 1 if any(run.scores is None for run in runs) else 0


def read_runs(folder: Path) -> list[Run]:
    """Read every run folder under a folder, itself included.

    Raises:
        InvalidInput: If there is none, or the files of a finished run can't be read.
    """
    findings = Findings()
    runs = []
    if not folder.is_dir():
        what = "this is a file, not a folder" if folder.exists() else "there is no such folder"
        raise invalid("RESULTS-NONE", what, file=folder, hint="give a run folder, or one above, such as runs/vqa/vqa")
    for path in sorted(folder.rglob(STATUS)):
        try:
            runs.append(_read_run(path.parent))
        except InvalidInput as error:
            findings.extend(error.findings)
    if not runs and not findings.error_count:
        hint = "give the folder of a sweep, such as runs/vqa/vqa"
        findings.add(Finding("RESULTS-NONE", Severity.ERROR, "there are no runs here", file=str(folder), hint=hint))
    findings.raise_errors()
    return runs


def _read_run(folder: Path) -> Run:
    status = read_json(folder / STATUS)
    seconds = number_of(status, "seconds")
    gpu_memory = int(number_of(status, "peak_gpu_memory"))
    gpu_seconds = seconds * (number_of(status, "devices") or 1) if gpu_memory else 0.0
    memory = gpu_memory or int(number_of(status, "peak_memory"))
    state = str(status.get("state"))
    config: Mapping[str, Any] = {}
    scores = None
    if state == "finished":
        found = read_json(folder / CARD).get("config")
        config = flatten(found) if isinstance(found, Mapping) else {}
        read_json(folder / SCORES)  # bounds its size and depth
        scores = Scores.from_json((folder / SCORES).read_text(encoding="utf-8"), str(folder / SCORES))
        _refuse_unknown(scores.task, folder / SCORES)
    return Run(folder, state, seconds, gpu_seconds, memory, config, scores)


def number_of(status: Mapping[str, Any], key: str) -> float:
    """Return a number of ``status.json``; 0 where it has none, or none that a run could have written.

    >>> number_of({"seconds": 2}, "seconds"), number_of({"seconds": "two"}, "seconds"), number_of({}, "seconds")
    (2.0, 0.0, 0.0)
    """
    value = status.get(key)
    return float(value) if isinstance(value, int | float) and 0 <= value < MAX_NUMBER else 0.0


def _refuse_unknown(task: str, path: Path) -> None:
    try:
        get_task(task)
    except UsageError as error:
        raise invalid("RESULTS-UNREADABLE", str(error), file=path, value=task) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of a run folder that holds an object.

    Raises:
        InvalidInput: If it can't be read, is too large, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise invalid("RESULTS-UNREADABLE", "is too large", file=path)
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message, hint = "can't be read", "the same training command repairs the run's folder"
        raise invalid("RESULTS-UNREADABLE", message, file=path, value=str(error), hint=hint) from error
    if not isinstance(value, dict):
        raise invalid("RESULTS-UNREADABLE", "is not an object", file=path, value=value)
    return value


def summarise(runs: Sequence[Run]) -> list[Row]:
    """Return a row for each configuration of the finished runs, by task, the best first, without :func:`left_out`."""
    by_task: dict[str, list[Run]] = defaultdict(list)
    uncounted = {run.folder for run, _ in left_out(runs)}
    for run in runs:
        if run.scores is not None and run.folder not in uncounted:
            by_task[run.scores.task].append(run)
    return [row for task, members in sorted(by_task.items()) for row in _rows_of_task(task, members)]


def left_out(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    """Return the runs that no row counts, each with the reason: its state, if it isn't finished, or the run that it repeats.

    One with configuration and seed of one before, as with ``seed=0``, the default, says nothing of how scores vary with seeds.
    """
    first: dict[str, Path] = {}
    found = []
    for run in runs:
        decisive = sorted(run.config.keys() - NEUTRAL_KEYS - (FREE_KEYS - {"seed"}))
        key = repr([(name, run.config[name]) for name in decisive])
        if run.scores is None:
            found.append((run, run.state))
        elif first.setdefault(key, run.folder) != run.folder:
            found.append((run, f"not counted, it has configuration and seed of {first[key]}"))
    return found


def varying_keys(runs: Sequence[Run]) -> list[str]:
    """Return the keys in which the configurations of runs differ, without those that can't change results, and seeds."""
    keys = sorted({key for run in runs for key in run.config} - NEUTRAL_KEYS - FREE_KEYS)
    return [key for key in keys if len({repr(run.config.get(key)) for run in runs}) > 1]


def _rows_of_task(task: str, runs: Sequence[Run]) -> Iterator[Row]:
    varying = varying_keys(runs)
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[", ".join(f"{key}={run.config.get(key)}" for key in varying) or "all runs"].append(run)
    metric = get_task(task).primary
    rows = [_row(task, name, metric.name, members) for name, members in groups.items()]
    sign = -1.0 if metric.higher_is_better else 1.0
    rows.sort(key=lambda row: (row.mean is None, sign * (row.mean or 0.0), row.name))
    for place, row in enumerate(rows):
        yield Row(row.task, row.name, row.metric, row.scores, row.interval, row.runs, place == 0 and row.mean is not None)


def _row(task: str, name: str, metric: str, runs: Sequence[Run]) -> Row:
    found = [run.scores for run in runs if run.scores is not None]
    scores = tuple(each.score for each in found if each.score is not None)
    interval = found[0].intervals.get(metric) if len(scores) == 1 else student_interval(scores)
    return Row(task, name, metric, scores, interval, tuple(runs))


def student_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return Student's t interval of the mean of two or more values; of fewer there is none.

    >>> [round(end, 3) for end in student_interval([0.4, 0.5, 0.6])]
    [0.252, 0.748]
    """
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    error = float(stats.sem(values))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return mean - reach, mean + reach


HEAD = ("task", "configuration", "runs", "metric", "mean", "std", "95 % interval", "hours", "GPU hours", "memory", "best")
TEXT = ("task", "configuration", "metric", "best")


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """Return the cells of the table; its head is :data:`HEAD`."""
    return [
        [
            row.task,
            row.name,
            str(len(row.runs)),
            row.metric,
            report.format_number(row.mean),
            report.format_number(row.deviation),
            report.format_interval(row.interval),
            f"{sum(run.seconds for run in row.runs) / 3600:.2f}",
            f"{sum(run.gpu_seconds for run in row.runs) / 3600:.2f}",
            f"{max(run.peak_memory for run in row.runs) / 2**30:.1f} GiB",
            "best" if row.is_best else "",
        ]
        for row in rows
    ]


def as_table(rows: Sequence[Row]) -> Any:
    """Return the table for the console."""
    return report.cells_table(HEAD, cells(rows), prose=("configuration",), whole=("task", "metric", "best"))


def as_json(rows: Sequence[Row]) -> str:
    """Return the rows with their runs as JSON."""
    values = [
        {
            "task": row.task,
            "configuration": row.name,
            "metric": row.metric,
            "mean": row.mean,
            "std": row.deviation,
            "interval": row.interval and list(row.interval),
            "best": row.is_best,
            "runs": [
                {
                    "folder": str(run.folder),
                    "seed": run.config.get("seed"),
                    "score": run.scores and run.scores.score,
                    "seconds": run.seconds,
                    "gpu_seconds": run.gpu_seconds,
                    "peak_memory": run.peak_memory,
                }
                for run in row.runs
            ],
        }
        for row in rows
    ]
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Return a line for each run, in full precision."""
    lines = [
        (
            row.task,
            row.name,
            run.config.get("seed"),
            run.scores and run.scores.score,
            run.seconds,
            run.gpu_seconds,
            run.peak_memory,
        )
        for row in rows
        for run in row.runs
    ]
    return tables.as_csv(("task", "configuration", "seed", "score", "seconds", "gpu_seconds", "peak_memory"), lines)


WRITERS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": lambda rows: report.as_text(as_table(rows)),
    "markdown": lambda rows: tables.as_markdown(HEAD, cells(rows), TEXT),
    "latex": lambda rows: tables.as_latex(HEAD, cells(rows), TEXT, [place for place, row in enumerate(rows) if row.is_best]),
    "csv": as_csv,
    "json": as_json,
}
