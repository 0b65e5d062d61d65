"""From a truth file and a run file to scores, the same way for every task.

The numbers are the task's own (``score.evaluate``); reading with all errors listed, intervals and the signature are done here.
"""

from __future__ import annotations

import dataclasses
import inspect
import platform
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import baselines
from baselines.core.files import Report, read_text, sha256_of
from baselines.core.findings import Finding, Findings, Severity, UsageError, invalid, shorten
from baselines.core.results import Evaluation, Scores
from baselines.core.runs import list_ids
from baselines.core.statistics import bootstrap_values, percentile_intervals
from baselines.core.tasks import TaskCard, get_task

SCORER_VERSION = "1.0.0"  # a change of any number that the scorer gives needs a new one
HASH_LENGTH = 16  # hexadecimal digits of a file's hash in the signature; ``inputs`` holds them all
WARNINGS_PER_CODE = 3  # in the scores; `imageclef validate` lists all

FileName = str | PathLike[str]


_WARNS_ONLY = ("vocabulary",)  # run options that change no number


@dataclass(frozen=True, slots=True)
class Settings:
    """How runs are read and scored.

    Attributes:
        bootstrap: How many resamples the intervals are made of; 0 gives none.
        seed: Seed of the resamples.
        run_options: What the task's ``runs.read_run`` takes beside the run, by name, such as ``run_format``.
    """

    bootstrap: int = 0
    seed: int = 0
    run_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bootstrap < 0 or self.seed < 0:
            raise UsageError(f"bootstrap and seed are at least 0 (saw {self.bootstrap} and {self.seed})")

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the numbers, without the options that are off."""
        options = {name.removeprefix("run_"): value for name, value in self.run_options.items() if name not in _WARNS_ONLY}
        return options | ({"bootstrap": self.bootstrap, "seed": self.seed} if self.bootstrap else {})


def score_files(
    task: str,
    truth: FileName,
    run: FileName,
    *,
    ids: FileName | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    **run_options: Any,
) -> Scores:
    """Score a run file against a truth file.

    Args:
        task: Task id.
        truth: The ground truth, as distributed.
        run: The run, in the campaign's submission format.
        ids: A file of ids of the truth, one a line, that are scored alone; what the run says about the others is not used.
        bootstrap: How many resamples the intervals are made of; 0 gives none.
        seed: Seed of the resamples.
        run_options: What the task's ``runs.read_run`` takes beside the run, such as ``allow_missing=True``.

    Raises:
        InvalidInput: If a file has errors; it holds all of them.
        UsageError: If there is no such task or option, the task has no scorer yet, or a number is negative.
    """
    return Scorer(task, truth, ids, Settings(bootstrap, seed, run_options)).score(run).scores


@dataclass(frozen=True, slots=True)
class Scored:
    """A run's scores, and the values of its metrics on the resamples ``(bootstrap,)``, from which runs can be compared."""

    scores: Scores
    resampled: Mapping[str, NDArray[np.float64]]


class Scorer:
    """Scores runs against one truth, which is read once.

    Args:
        task: Task id.
        truth: The ground truth, as distributed.
        ids: A file of ids of the truth, one a line, that are scored alone. A run is read as one of the whole truth, may lack
            the others, and what it says about them is not used.
        settings: How runs are read and scored.

    Raises:
        InvalidInput: If the truth or the file of ids has errors; it holds all of them.
        UsageError: If there is no such task, the task has no scorer yet, or it has not all the options.
    """

    def __init__(self, task: str, truth: FileName, ids: FileName | None, settings: Settings) -> None:
        self.card, self.settings = get_task(task), settings
        self.evaluate = self.card.module("score").evaluate
        check_run_options(self.card, settings.run_options)
        self.about_truth = Findings()
        self.whole = read_truth(self.card, truth, self.about_truth)
        self.truth_set = self.whole if ids is None else restrict(self.whole, ids, self.about_truth)
        self.run_options = read_options(self.card, settings.run_options, self.about_truth)
        self.inputs = {"truth": _describe(truth)} | ({} if ids is None else {"ids": _describe(ids)})

    def score(self, run: FileName) -> Scored:
        """Score a run file.

        Raises:
            InvalidInput: If the run has errors; it holds all of them.
        """
        findings = Findings()
        predictions = read_run(self.card, run, self.whole, findings, self.run_options)
        if self.truth_set is not self.whole:
            predictions = _keep_part(predictions, self.truth_set.truths, self.card.unit, findings)
        findings.raise_errors()
        evaluation: Evaluation = self.evaluate(self.truth_set, predictions)
        resampled: dict[str, NDArray[np.float64]] = {}
        if evaluation.resample is not None:
            units, settings = len(evaluation.units), self.settings
            resampled = bootstrap_values(evaluation.resample, units, settings.bootstrap, settings.seed)
        intervals = percentile_intervals(resampled)
        files = self.inputs | {"run": _describe(run)}
        inputs = files | {"options": self.settings.to_dict(), "versions": _versions(self.card)}
        scores = Scores(
            task=self.card.id,
            scorer=SCORER_VERSION,
            primary=self.card.primary.name,
            metrics=dict(evaluation.metrics),
            undefined=dict(evaluation.undefined),
            per_class={name: dict(numbers) for name, numbers in evaluation.per_class.items()},
            intervals={
                name: intervals[name] for name, value in evaluation.metrics.items() if name in intervals and value is not None
            },
            n=evaluation.n,
            warnings=(*evaluation.warnings, *_summarise(self.about_truth), *_summarise(findings)),
            signature=_sign(self.card.id, inputs, files),
            inputs=inputs,
        )
        return Scored(scores, resampled)


def check_run_options(card: TaskCard, options: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` for options that the task's run reader doesn't take."""
    known = inspect.signature(card.module("runs").read_run).parameters
    for name in options:
        if name not in known:
            flag = "--" + name.removeprefix("run_").replace("_", "-")
            raise UsageError(f"runs of {card.id} have no option {flag}")


def read_options(card: TaskCard, options: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """Return the options of a run reader with the concepts of ``vocabulary`` in the place of the files that hold them.

    Raises:
        InvalidInput: If one of the files has errors.
        UsageError: If the task has not all the options.
    """
    check_run_options(card, options)
    if "vocabulary" not in options:
        return dict(options)
    given = options["vocabulary"]
    files = [given] if isinstance(given, str | PathLike) else given
    known = card.module("records").read_vocabulary(files, findings)
    findings.raise_errors()
    return {**options, "vocabulary": known}


def read_truth(card: TaskCard, truth: FileName, findings: Findings) -> Any:
    """Read a truth file.

    Returns:
        The task's ``TruthSet``.

    Raises:
        InvalidInput: If there are errors, or no samples.
    """
    truth_set = card.module("records").read_truth(Path(truth), card.id, findings)
    findings.raise_errors()
    if not truth_set.truths:
        raise invalid("DATA-EMPTY", f"no {card.unit} to score", file=truth, hint=f"is it the ground truth of {card.id}?")
    return truth_set


def restrict(truth_set: Any, ids: FileName, findings: Findings) -> Any:
    """Return a ``TruthSet`` of the samples alone that a file of ids names.

    Raises:
        InvalidInput: If the file has errors, or ids that the truth hasn't.
    """
    wanted = read_ids(ids, findings)
    report = Report(findings, str(ids), "DATA")
    for name, line in wanted.items():
        if name not in truth_set.truths:
            hint = f"the truth's are such as {shorten(next(iter(truth_set.truths)))}"
            report.error("ID-UNKNOWN", "the truth has no such id", line=line, value=shorten(name), hint=hint)
    findings.raise_errors()
    return dataclasses.replace(truth_set, truths={name: truth_set.truths[name] for name in wanted})


def _keep_part(predictions: Mapping[str, Any], wanted: Collection[str], unit: str, findings: Findings) -> dict[str, Any]:
    """Return the predictions of the wanted ids; that ids are missing is then only said of these."""
    missing = [name for name in wanted if name not in predictions]
    for finding in findings.take("RUN-MISSING-ID"):
        if missing:
            message = f"{len(missing)} of the {len(wanted)} {unit}s to score are missing: {list_ids(missing)}"
            findings.add(dataclasses.replace(finding, message=message))
    return {name: predictions[name] for name in wanted if name in predictions}


def read_ids(path: FileName, findings: Findings) -> dict[str, int]:
    """Read a file of ids, one a line; blank lines and blanks around an id don't count.

    Returns:
        The line of each id, in the order of the file.

    Raises:
        InvalidInput: If the file can't be read or holds no id.
    """
    report = Report(findings, str(path), "DATA")
    lines: dict[str, int] = {}
    for number, line in read_text(Path(path), findings, "DATA"):
        name = line.strip()
        if name in lines:
            report.warning("ID-DUPLICATE", f"the id is on line {lines[name]}, too", line=number, value=shorten(name))
        elif name:
            lines[name] = number
    if not lines and not findings.error_count:
        report.error("EMPTY", "the file holds no id", hint="write one id a line")
    findings.raise_errors()
    return lines


def read_run(
    card: TaskCard, run: FileName, truth_set: Any, findings: Findings, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a run file; everything that is wrong with it goes to the findings.

    Args:
        card: The task.
        run: The run file.
        truth_set: The task's ``TruthSet``.
        findings: Where faults are reported.
        options: What the task's ``runs.read_run`` takes beside, by name.

    Returns:
        The task's ``Prediction`` of each id that the run has. If there are errors it is not the whole run.

    Raises:
        UsageError: If the task has no such option or run format.
    """
    check_run_options(card, options or {})
    predictions: dict[str, Any] = card.module("runs").read_run(Path(run), truth_set, findings, **(options or {}))
    return predictions


def _describe(file: FileName) -> dict[str, Any]:
    """Name a file by what doesn't change when it is moved."""
    path = Path(file)
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _versions(card: TaskCard) -> dict[str, str]:
    return {
        "task": card.version,
        "baselines": baselines.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _sign(task: str, inputs: Mapping[str, Any], roles: Iterable[str]) -> str:
    """Say in one line what decides the numbers: the task and its version, the scorer, the files, the options, NumPy."""
    parts = {"version": inputs["versions"]["task"], "scorer": SCORER_VERSION}
    parts |= {role: inputs[role]["sha256"][:HASH_LENGTH] for role in roles}
    parts |= inputs["options"] | {"numpy": inputs["versions"]["numpy"]}
    return "|".join([task, *(f"{name}:{value}" for name, value in parts.items())])


def _summarise(findings: Findings) -> list[str]:
    """Return the warnings, a few of each code and the number of the others; files by name alone, without their folders."""
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings.of(Severity.WARNING):
        by_code[finding.code].append(finding)
    lines = []
    for code, mine in by_code.items():
        lines += [str(dataclasses.replace(finding, file=Path(finding.file).name)) for finding in mine[:WARNINGS_PER_CODE]]
        if findings.counts[code] > WARNINGS_PER_CODE:
            lines.append(f"{code} {findings.counts[code] - WARNINGS_PER_CODE} more; `imageclef validate` lists them")
    return lines
