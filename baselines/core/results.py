"""What scoring a run gives: the task's :class:`Evaluation`, and the :class:`Scores` that ``scores.json`` holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from baselines.core.findings import Finding, Findings, InvalidInput, Severity, shorten
from baselines.core.statistics import BLOCK, Resample

Number = float | int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a task's ``score.evaluate`` returns.

    Attributes:
        metrics: The metrics by name, the primary one first; ``None`` where undefined.
        undefined: Why, for every metric that is ``None``.
        units: Ids of the units that intervals resample, in the order of the weights that ``resample`` takes.
        missing: How many of the units the run says nothing about; they are scored as the worst.
        per_class: Numbers by class name.
        resample: Evaluates metrics on resamples of the units; ``None`` where intervals make no sense.
        warnings: What a reader of the scores should know, a line each.
    """

    metrics: Mapping[str, float | None]
    undefined: Mapping[str, str]
    units: tuple[str, ...]
    missing: int = 0
    per_class: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    resample: Resample | None = None
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> dict[str, int]:
        """How many units were expected, how many the run has, and how many it lacks."""
        expected = len(self.units)
        return {"expected": expected, "scored": expected - self.missing, "missing": self.missing}

    def per_item(self) -> tuple[tuple[str, ...], dict[str, NDArray[np.float64]]]:
        """Return each metric of every unit by itself: what the set would score if it held this unit alone.

        Of a metric that is a mean over units, such as BLEU or accuracy, these are the values whose mean it is. Of others, such
        as an average precision, they tell good units from bad ones, but their mean is another number.

        Returns:
            The units, and by metric name the values ``(units,)``; NaN where a unit alone leaves a metric undefined: it has no
            truth of the class, or the metric compares units with each other, as a correlation does. Without metrics if none
            can be resampled.

        >>> from baselines.core.statistics import resample_means
        >>> values = {"f1": np.array([0.0, 1.0, 1.0, 1.0])}
        >>> ids, metrics = Evaluation({"f1": 0.75}, {}, tuple("abcd"), resample=resample_means(values)).per_item()
        >>> dict(zip(ids, metrics["f1"].tolist()))
        {'a': 0.0, 'b': 1.0, 'c': 1.0, 'd': 1.0}
        """
        count = len(self.units)
        if self.resample is None or not count:
            return self.units, {}
        rows = max(1, BLOCK // count)
        parts = [self.resample(np.eye(min(rows, count - first), count, first, np.int64)) for first in range(0, count, rows)]
        names = [name for name in self.metrics if name in parts[0]]
        return self.units, {name: np.concatenate([part[name] for part in parts]) for name in names}


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a run; as JSON the contract of ``scores.json``.

    Attributes:
        task: Task id.
        scorer: Version of the scorer; another one may give other numbers.
        primary: Name of the metric that ranks runs.
        metrics: The metrics by name; ``None`` where undefined.
        undefined: Why, for exactly the metrics that are ``None``.
        per_class: Numbers by class name.
        intervals: Lower and upper end of the 95 % interval by metric name.
        n: How many units were ``expected``, ``scored`` and ``missing``.
        warnings: A line each.
        signature: All that decides the numbers, in one line.
        inputs: The files with their hashes, the options and the versions, in full.

    Raises:
        ValueError: If a number is NaN or infinite, or an undefined metric has no reason: a bug in a task's ``score.py``.
    """

    task: str
    scorer: str
    primary: str
    metrics: Mapping[str, float | None]
    undefined: Mapping[str, str]
    per_class: Mapping[str, Mapping[str, Number]]
    intervals: Mapping[str, tuple[float, float]]
    n: Mapping[str, int]
    warnings: tuple[str, ...]
    signature: str
    inputs: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not _is_finite(asdict(self)):
            raise ValueError(f"a score of {self.task} is not finite")
        if self.undefined.keys() != {name for name, value in self.metrics.items() if value is None}:
            raise ValueError(f"undefined metrics and reasons of {self.task} don't belong together")

    @property
    def score(self) -> float | None:
        """The primary metric."""
        return self.metrics[self.primary]

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as JSON-ready values."""
        return asdict(self) | {
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "warnings": list(self.warnings),
        }

    def to_json(self) -> str:
        """Return the text of ``scores.json``; it never holds NaN or infinity."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_codabench(self) -> str:
        """Return the ``scores.json`` of Codabench: defined metrics by name and nothing else.

        Raises:
            InvalidInput: If the primary metric is undefined: a leaderboard could rank what isn't there first.
        """
        self._require_primary("Codabench")
        defined = {name: value for name, value in self.metrics.items() if value is not None}
        return json.dumps(defined, indent=2, allow_nan=False) + "\n"

    def to_aicrowd(self, secondary: str = "") -> str:
        """Return AIcrowd's pair: the primary metric as ``score``, another one, else 0, as ``score_secondary``.

        Args:
            secondary: Name of the second metric; 0 stands for none, and for an undefined one, as the official evaluators do.

        Raises:
            InvalidInput: If the primary metric is undefined.
        """
        self._require_primary("AIcrowd")
        return json.dumps({"score": self.score, "score_secondary": self.metrics.get(secondary) or 0.0}, allow_nan=False) + "\n"

    def _require_primary(self, platform: str) -> None:
        if self.score is None:
            message = f"{self.primary} is undefined ({self.undefined[self.primary]}), and {platform} takes numbers alone"
            raise InvalidInput(
                Finding("SCORES-UNDEFINED", Severity.ERROR, message, hint="no file is written for it; --json takes it")
            )

    @classmethod
    def from_json(cls, text: str, file: str = "") -> Self:
        """Read the text of a ``scores.json``.

        Args:
            text: The text.
            file: Where it is from, for the findings.

        Raises:
            InvalidInput: If it isn't what :meth:`to_json` writes; it names every key that is wrong.
        """
        findings = Findings()
        values = _checked(text, file, findings)
        findings.raise_errors()
        intervals = {name: (low, high) for name, (low, high) in values["intervals"].items()}
        try:
            return cls(**values | {"intervals": intervals, "warnings": tuple(values["warnings"])})
        except ValueError as error:
            raise InvalidInput(_broken(file, str(error))) from error


def _is_finite(value: object) -> bool:
    """Whether no number in nested dictionaries and lists is NaN or infinite."""
    if isinstance(value, Mapping):
        return all(_is_finite(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(_is_finite(inner) for inner in value)
    return not isinstance(value, float) or math.isfinite(value)


def _broken(file: str, message: str, value: object = "") -> Finding:
    hint = "score the run again"
    return Finding("SCORES-FORM", Severity.ERROR, message, file, value=shorten(value) if value != "" else "", hint=hint)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_mapping_of(value: object, accepts: Any) -> bool:
    return isinstance(value, dict) and all(accepts(inner) for inner in value.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number_or_none(value: object) -> bool:
    return value is None or _is_number(value)


_FORMS = {
    "metrics": lambda value: _is_mapping_of(value, _is_number_or_none),
    "undefined": lambda value: _is_mapping_of(value, _is_text),
    "per_class": lambda value: _is_mapping_of(value, lambda inner: _is_mapping_of(inner, _is_number_or_none)),
    "intervals": lambda value: _is_mapping_of(
        value, lambda inner: isinstance(inner, list) and len(inner) == 2 and all(map(_is_number, inner))
    ),
    "n": lambda value: _is_mapping_of(value, lambda inner: isinstance(inner, int)),
    "warnings": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "inputs": lambda value: isinstance(value, dict),
}


def _checked(text: str, file: str, findings: Findings) -> dict[str, Any]:
    """Parse the text; report every key that is missing, unknown or of the wrong form."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        findings.add(_broken(file, f"not valid JSON: {error}"))
        return {}
    if not isinstance(values, dict):
        findings.add(_broken(file, "the top level is not an object", values))
        return {}
    names = [each.name for each in fields(Scores)]
    for name in sorted(values.keys() - set(names)):
        findings.add(_broken(file, f"unknown key {shorten(name)}"))
    for name in names:
        if name not in values:
            findings.add(_broken(file, f"no {name}"))
        elif not _FORMS.get(name, _is_text)(values[name]):
            findings.add(_broken(file, f"{name} has not the form of scores.json", values[name]))
    if not findings.error_count and values["primary"] not in values["metrics"]:
        findings.add(_broken(file, "the primary metric is not among the metrics", values["primary"]))
    return values
