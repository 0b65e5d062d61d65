"""Truths and predictions of the aware task, and the reader of the ground truth as distributed in 2022 and 2023."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from baselines.aware.task import SITUATIONS
from baselines.core.files import JsonMember, Report, Tally, read_json_members, show_id, write_atomic
from baselines.core.findings import Findings, Severity, shorten

# The names of LERVUP, the data set behind the campaign of 2021. Truths may have them, with a finding; runs may not.
ALIASES = {
    "accommodation_search": "acc",
    "ACCOM": "acc",
    "ACC": "acc",
    "bank_credit": "bank",
    "BANK": "bank",
    "job_search_IT": "it",
    "IT": "it",
    "job_search_waiter_waitress": "wait",
    "WAIT": "wait",
}
NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)

_LAYOUT = 'the layout of 2022 and 2023 is { "user": {"acc": 0.1, "bank": 0.2, "it": 0.3, "wait": 0.4}, … }'


@dataclass(frozen=True, slots=True)
class Truth:
    """How one user's photos were rated.

    Attributes:
        id: The user's id.
        ratings: A number by situation (``acc``, ``bank``, ``it``, ``wait``); empty where only the id is at hand.
    """

    id: str
    ratings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The ratings predicted for one user.

    Attributes:
        id: The user's id.
        ratings: A number by situation; their scale has no meaning, only the order and the distances within a situation have.
    """

    id: str
    ratings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by user id."""

    truths: Mapping[str, Truth]


def read_truth(path: Path, task: str, findings: Findings) -> TruthSet:  # noqa: ARG001 (there is one task)
    """Read a file of ratings, such as ``gt_train.json`` of 2022 or 2023.

    Tolerated, with a finding: ratings that are strings, the situations' names of LERVUP, further keys. The layout of 2021 is
    not known; whatever is no object of users is reported as ``DATA-LAYOUT-UNVERIFIED``, beside what prevents reading it.

    Args:
        path: The file.
        task: The task's id.
        findings: Where everything noteworthy is reported, with ``DATA`` codes.

    Returns:
        The truths in the order of the file. Users without four numbers are left out, with an error.
    """
    report = Report(findings, str(path), "DATA")
    if _starts_otherwise(path):
        report.warning("LAYOUT-UNVERIFIED", "this is no JSON object", line=1, hint=_LAYOUT)
    reader = _Reader(report)
    truths: dict[str, Truth] = {}
    for member in read_json_members(path, findings, "DATA"):
        if member.key in truths:
            shown = show_id(member.key)
            report.error("ID-DUPLICATE", "the user has ratings already", line=member.key_line, id=shown, hint="keep one entry")
            continue
        ratings = reader.ratings(member)
        if ratings is not None:
            truths[member.key] = Truth(member.key, ratings)
    reader.tell()
    return TruthSet(truths)


def truths_of_ids(ids: Iterable[str], task: str) -> TruthSet:  # noqa: ARG001 (there is one task)
    """Return truths without ratings, to hold a run against ids alone."""
    return TruthSet({name: Truth(name, {}) for name in ids})


def write_truth(path: Path, truth_set: TruthSet) -> None:
    """Write a ground-truth file in the layout of 2022 and 2023, whole or not at all.

    Raises:
        ValueError: If a rating is missing or not finite: that's no truth.
    """
    for truth in truth_set.truths.values():
        if not is_complete(truth.ratings):
            raise ValueError(f"{truth.id!r} has not four finite ratings")
    write_atomic(path, format_ratings({name: truth.ratings for name, truth in truth_set.truths.items()}))


def format_ratings(ratings: Mapping[str, Mapping[str, float]]) -> str:
    """Return ratings by user and situation as JSON, one user a line; the form that truths and runs share."""
    rows = (
        f"{json.dumps(name)}: {json.dumps({key: float(mine[key]) for key in SITUATIONS}, allow_nan=False)}"
        for name, mine in ratings.items()
    )
    return "{\n" + ",\n".join(rows) + "\n}\n"


def is_complete(ratings: Mapping[str, float]) -> bool:
    """Whether there is a finite number for every situation, and nothing else."""
    return ratings.keys() == SITUATIONS.keys() and all(math.isfinite(value) for value in ratings.values())


def as_float(value: object) -> float | None:
    """Return a decoded JSON number as a float, one that is too large as an infinity; ``None`` for what is no number.

    >>> [as_float(value) for value in (1, 0.5, -(10**400), "1", True, None)]
    [1.0, 0.5, -inf, None, None, None]
    """
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _starts_otherwise(path: Path) -> bool:
    """Whether a file has text that doesn't start like a JSON object."""
    try:
        if not path.is_file():
            return False
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(4096).lstrip()[:1] not in {"", "{"}
    except (OSError, ValueError):
        return False  # the reader reports what is the matter


class _Reader:
    """Reads the ratings of users; what concerns many of them is counted, and told once."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.strings, self.aliases, self.others = Tally(), Tally(), Tally()

    def ratings(self, member: JsonMember) -> dict[str, float] | None:
        """Return a user's ratings by situation; ``None``, with an error, if they are not four numbers."""
        shown = show_id(member.key)
        if type(member.value) is not dict or member.key in SITUATIONS or member.key in ALIASES:
            what, seen = "this is no user with ratings", member.source()
            self.report.error("FIELDS", what, line=member.line, id=shown, value=seen, hint=_LAYOUT)
            return None
        ratings: dict[str, float] = {}
        faults = 0
        for key, value in member.value.items():
            situation = self._situation(key, member)
            if situation is None:
                continue
            number = self._number(key, value, member, shown)
            if number is None:
                faults += 1
            elif situation in ratings:
                faults += 1
                what = f"{situation} is there under two names"
                self.report.error("FIELDS", what, line=member.line_of(key), id=shown, hint="keep one of the two")
            else:
                ratings[situation] = number
        missing = [key for key in SITUATIONS if key not in ratings]
        if missing and not faults:
            what = f"no rating for {', '.join(missing)}"
            self.report.error("FIELDS", what, line=member.line, id=shown, value=member.source(), hint=_LAYOUT)
        return None if missing or faults else {key: ratings[key] for key in SITUATIONS}

    def tell(self) -> None:
        """Report what was counted."""
        what, hint = f"{self.strings.count} ratings are strings", "they are read as numbers"
        self.strings.tell(self.report, Severity.INFO, "NUMBER", what, hint)
        what, hint = f"{self.aliases.count} keys are names of LERVUP's situations", "they are read as acc, bank, it and wait"
        self.aliases.tell(self.report, Severity.WARNING, "LAYOUT-UNVERIFIED", what, hint)
        what = f"{self.others.count} keys are no situation"
        self.others.tell(self.report, Severity.WARNING, "LAYOUT-UNVERIFIED", what, "they are not used")

    def _situation(self, key: str, member: JsonMember) -> str | None:
        """Return the situation that a key names."""
        if key in SITUATIONS:
            return key
        keys = self.aliases if key in ALIASES else self.others
        keys.add(member.line_of(key), shorten(key))
        return ALIASES.get(key)

    def _number(self, key: str, value: object, member: JsonMember, shown: str) -> float | None:
        """Return a rating; ``None``, with an error, if it is no finite number."""
        number = as_float(value)
        hint = "write a finite number"
        if isinstance(value, str) and NUMBER.fullmatch(value):
            if "," in value:
                hint = "write a decimal point and no quotes"
            else:
                self.strings.add(member.line_of(key), member.source(key))
                number = float(value)
        if number is not None and math.isfinite(number):
            return number
        what = f"the rating for {show_id(key)} is no finite number"
        self.report.error("NUMBER", what, line=member.line_of(key), id=shown, value=member.source(key), hint=hint)
        return None
