"""``imageclef report``: what there is to know of a run, or of the runs of a sweep, from their folders alone.

A run folder may come from another machine, or from somebody else: everything in it is read as text, JSON, CSV or a picture, and
what is missing or damaged is said, not raised.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

from baselines.core import report, sweeps
from baselines.core.charts import Point
from baselines.core.files import MAX_FILE_BYTES
from baselines.core.findings import Findings, InvalidInput, UsageError, printable, show_id
from baselines.core.outputs import check_outputs, write_atomic
from baselines.core.paths import CARD, METRICS, PICTURES, SCORES, STATUS, TRUTH, file_for
from baselines.core.results import Evaluation, Scores
from baselines.core.scorer import read_run, read_truth
from baselines.core.tasks import TaskCard, get_task, tasks_fitted_by

TAIL_BYTES, TAIL_LINES = 1 << 16, 60
NAMED = 3  # best and worst samples that the terminal shows


@dataclass(frozen=True, slots=True)
class Ranking:
    """The samples of a run by how well they are predicted.

    Attributes:
        metric: The metric of each sample by itself: the primary one, or the first that is defined for single samples.
        best_first: Id and value, the best first; samples that leave the metric undefined are left out.
    """

    metric: str
    best_first: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A run with its truth: what the scorer reads.

    Attributes:
        card: The task.
        truth_set: The truth.
        predictions: The run.
        evaluation: What the task's scorer says of it.
    """

    card: TaskCard
    truth_set: Any
    predictions: Mapping[str, Any]
    evaluation: Evaluation

    def ranking(self) -> Ranking | None:
        """Return the samples in order; ``None`` if no metric is defined for single samples."""
        units, metrics = self.evaluation.per_item()
        directions = {metric.name: metric.higher_is_better for metric in self.card.metrics}
        for name in sorted(metrics, key=lambda name: name != self.card.primary.name):
            found = [(unit, value) for unit, value in zip(units, metrics[name].tolist(), strict=True) if math.isfinite(value)]
            if found:
                sign = -1 if directions.get(name, True) else 1
                return Ranking(name, tuple(sorted(found, key=lambda each: (sign * each[1], each[0]))))
        return None


class RunFolder:
    """A run folder; each part is read when it is asked for.

    Args:
        folder: The folder.

    Raises:
        InvalidInput: If it has no ``status.json`` that can be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = sweeps.read_json(folder / STATUS)
        self.problems: list[str] = []  # what could not be read, a line each

    @cached_property
    def card(self) -> dict[str, Any]:
        """``card.json``; empty where the run has none yet."""
        return self._json(CARD)

    @cached_property
    def scores(self) -> list[Scores]:
        """The scores: those of the run's own task first, then those of others that its fit serves."""
        own = self._scores(self.folder / SCORES)
        if own is None:
            return []
        others = (self._scores(self.folder / file_for(SCORES, card.id, own.task)) for card in tasks_fitted_by(own.task)[1:])
        return [own, *(each for each in others if each is not None)]

    @cached_property
    def curves(self) -> dict[str, dict[str, list[Point]]]:
        """The numbers of ``metrics.csv``: step and value by name and part."""
        found: dict[str, dict[str, list[Point]]] = {}
        for step, part, name, value in self._metrics():
            found.setdefault(name, {}).setdefault(part, []).append((step, value))
        return found

    @cached_property
    def evaluated(self) -> Evaluated | None:
        """The run with its truth, scored again; ``None`` where it isn't finished, or a file can't be read."""
        if not self.scores:
            return None
        card = get_task(self.scores[0].task)
        findings = Findings()
        try:
            truth_set = read_truth(card, self.folder / TRUTH, findings)
            predictions = read_run(card, self.folder / card.run_file, truth_set, findings)
            findings.raise_errors()
        except InvalidInput as error:
            self._tell(f"samples can't be ranked: {next(iter(error.findings))}")
            return None
        return Evaluated(card, truth_set, predictions, card.module("score").evaluate(truth_set, predictions))

    def samples(self, ids: set[str]) -> tuple[dict[str, Any], Any]:
        """Return the samples of these ids from the data that the run was trained on, where they still are, and their split."""
        config = self.card.get("config") or {}
        data = config.get("data") if isinstance(config, Mapping) else None
        if self.evaluated is None or not isinstance(data, Mapping) or not isinstance(data.get("root"), str):
            return {}, None
        read_split = self.evaluated.card.module("records").read_split
        options = {name: data[name] for name in signature(read_split).parameters if name in data and name != "root"}
        for split in ("val", "all"):
            try:
                found = read_split(Path(data["root"]), self.evaluated.card.id, split, Findings(), **options)
            except Exception as error:  # noqa: BLE001  such as another split_seed: null, or val_share: Infinity
                self._tell(f"the data are not to be had, so fewer pictures are shown: {(str(error).splitlines() or ['?'])[0]}")
                return {}, None
            samples = {sample.id: sample for sample in found.samples if sample.id in ids}
            if samples:
                return samples, found
        return {}, None

    def pictures(self) -> list[Path]:
        """Return the pictures, in the order of their names."""
        folder = self.folder / PICTURES
        return [path for path in sorted(folder.glob("*.png")) if path.is_file() and not path.is_symlink()]

    def text(self, name: str) -> str:
        """Return the end of a text file, at most ``TAIL_LINES`` lines; of one that is not there, nothing."""
        try:
            with (self.folder / name).open("rb") as file:
                file.seek(max(0, (self.folder / name).stat().st_size - TAIL_BYTES))
                lines = file.read(TAIL_BYTES).decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-TAIL_LINES:])

    def _json(self, name: str) -> dict[str, Any]:
        if not (self.folder / name).exists():
            return {}
        try:
            return sweeps.read_json(self.folder / name)
        except InvalidInput as error:
            self._tell(str(error))
            return {}

    def _scores(self, path: Path) -> Scores | None:
        if not path.exists():
            return None
        try:
            sweeps.read_json(path)  # bounds its size and depth
            scores = Scores.from_json(path.read_text(encoding="utf-8"), str(path))
            get_task(scores.task)
        except (InvalidInput, UsageError, OSError, UnicodeDecodeError) as error:
            self._tell(f"{path.name}: {error}")
            return None
        return scores

    def _metrics(self) -> Iterator[tuple[int, str, str, float]]:
        """Yield the rows; those that a kill, or somebody else, has damaged are skipped."""
        path = self.folder / METRICS
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                return self._tell(f"{METRICS} is too large to be shown")
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                for row in csv.reader(file):
                    try:
                        step, part, name, value = row
                        yield int(step), part, name, float(value)
                    except ValueError:
                        continue
        except (OSError, csv.Error) as error:
            self._tell(f"{METRICS}: {error}")

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def report_folder(args: argparse.Namespace) -> int:
    """Print a summary of a run, or of the runs below a folder; with ``html``, write the page of it.

    Args:
        args: ``folder``; ``html``, a file to write or ``None``.

    Raises:
        InvalidInput: If there is no run, the files of a finished run of a sweep can't be read, or the page can't be written.
        UsageError: If the page would replace a file of the runs.
    """
    if args.html:
        files = [("a run's file", path) for status in args.folder.rglob(STATUS) for path in status.parent.iterdir()]
        check_outputs(files, [("--html", args.html)])
    if (args.folder / STATUS).exists():
        single = RunFolder(args.folder)
        if args.html:
            from baselines.core.run_page import run_page

            write_atomic(args.html, run_page(single))
        _show_run(single)
        return 0
    runs = sweeps.read_runs(args.folder)
    if args.html:
        from baselines.core.sweep_page import sweep_page

        write_atomic(args.html, sweep_page(args.folder, runs))
    report.show(sweeps.as_table(sweeps.summarise(runs)))
    console = report.make_console()
    for run, why in sweeps.left_out(runs):
        console.print(f"{run.folder}: {why}")
    return 0


def _show_run(run: RunFolder) -> None:
    console = report.make_console()
    console.print(f"{run.folder}: {state_line(run.status)}")
    for scores in run.scores:
        report.show(report.scores_table(scores))
    ranking = run.evaluated.ranking() if run.evaluated else None
    if ranking:
        parts = (("best", ranking.best_first[:NAMED]), ("worst", ranking.best_first[::-1][:NAMED]))
        for what, found in parts:
            listed = ", ".join(f"{show_id(name)} {value:.4f}" for name, value in found)
            console.print(f"{what} by {ranking.metric}: {listed}")
    for problem in run.problems:
        console.print(f"not shown: {printable(problem)}")


def state_line(status: Mapping[str, Any]) -> str:
    r"""Return in a line how far a run got, and why no further; what would upset a terminal is escaped.

    >>> state_line({"state": "failed", "phase": "fit", "step": 5, "of": 9, "error": "no memory"})
    'failed: fit, step 5 of 9: no memory'
    >>> state_line({"state": "failed", "phase": "fit", "step": 5, "of": 9, "error": "\x1b[2J"})
    'failed: fit, step 5 of 9: \\x1b[2J'
    """
    state, phase = str(status.get("state")), str(status.get("phase"))
    at = f", step {status.get('step')} of {status.get('of')}"
    error = status.get("error")
    return printable(f"{state}{'' if phase == state else ': ' + phase}{at}{f': {error}' if error else ''}")
