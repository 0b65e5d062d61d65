"""Profiles, truths and predictions of the aware task, and the reader of the files as distributed in 2022 and 2023."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baselines.aware.profiles import Profile, read_profiles
from baselines.aware.task import SITUATIONS
from baselines.core.files import Report, Tally
from baselines.core.findings import Findings, Severity, UsageError, invalid, shorten, show_id
from baselines.core.json_stream import JsonMember, read_json_members
from baselines.core.outputs import write_atomic
from baselines.core.runs import Code

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

_NATIVE = (
    "class_scores.json",
    *(f"{kind}_{split}.json" for kind in ("predictions", "gt") for split in ("train", "val", "test")),
)
_LAYOUT = 'the layout of 2022 and 2023 is { "user": {"acc": 0.1, "bank": 0.2, "it": 0.3, "wait": 0.4}, … }'

# What the reader finds beside what all readers do; of several severities the one that a release is held to.
CODES: dict[str, Code] = {
    "DATA-CONCEPT-NO-RATING": Code(
        Severity.WARNING, "detections of concepts without rating", "a concept that class_scores.json lacks"
    ),
    "DATA-DETECTION-FORM": Code(
        Severity.ERROR,
        "a detection is not six fields, or leaves its range; the reader leaves it out, or clips it",
        "car 0,9 0 0 1 1",
    ),
    "DATA-DUPLICATE-OBJECT": Code(Severity.WARNING, "a detection twice in an image; it counts once", "two equal lines"),
    "DATA-EMPTY-RECORD": Code(Severity.INFO, "a user without detections", '"u1": {}'),
}


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
        effects: By concept of the profile, how much higher it makes the rating of each situation, in the order of the ratings
            and in standard deviations of the true ratings; empty where nobody asked. A run file doesn't hold them.
    """

    id: str
    ratings: Mapping[str, float]
    effects: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by user id.

    Attributes:
        truths: The truths.
        classes: The names of the detector's concepts by number, from 0, in the order of their names; empty where only ratings
            were read.
    """

    truths: Mapping[str, Truth]
    classes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """A user.

    Attributes:
        id: The user's id.
        profile: What the detector found in the user's photos.
        truth: How the photos were rated; ``None`` in a test set.
    """

    id: str
    profile: Profile
    truth: Truth | None


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a data set.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        samples: Its users, by ascending id.
        truth_set: Their truths, of a test set without ratings.
        ratings: How the crowd rated each concept, by situation; concepts that nobody rated are not there.
    """

    name: str
    samples: tuple[Sample, ...]
    truth_set: TruthSet
    ratings: Mapping[str, Mapping[str, float]]


def read_split(
    root: Path,
    task: str,
    split: str,
    findings: Findings,
    *,
    split_seed: int = 0,  # noqa: ARG001 (the campaign divided the users)
    val_share: float = 0.2,  # noqa: ARG001
) -> Split:
    """Read one split of a data set in the layout of 2022 and 2023: ``class_scores.json``, ``predictions_*`` and ``gt_*``.

    Other layouts are recognised and refused, as nobody here has seen such files. ``dummy_run.json`` is not read: as released
    it is broken.

    Args:
        root: The data root, which holds ``aware``; the ``aware`` folder itself will do.
        task: The task's id.
        split: ``train``, ``val`` or ``test``.
        findings: Where everything noteworthy is reported, with ``DATA`` codes. Of users with ratings and no photos there is a
            sample without detections; users with photos and no ratings are left out.
        split_seed: Not used here: the campaign divided the users. The folds of training go by it.
        val_share: Not used, and refused where it is set (``build_data``).

    Raises:
        InvalidInput: If the files are not there, or are those of another layout.
        UsageError: If there is no such split.
    """
    if split not in ("train", "val", "test"):
        raise UsageError(f"no split {split!r}: the splits are train, val and test")
    folder = folder_of(root)
    scores = _find(folder, task, "class_scores.json")
    detections = _find(folder, task, f"predictions_{split}.json", f"prediction_{split}.json")
    ratings = _read_ratings(scores, findings, "concept")
    profiles = read_profiles(detections, ratings, findings)
    if split == "test":
        truths = dict(truths_of_ids(profiles, task).truths)
    else:
        path = _find(folder, task, f"gt_{split}.json")
        truths = dict(read_truth(path, task, findings).truths)
        _compare(truths, profiles, path, detections, findings)
    users = sorted(truths)
    samples = tuple(
        Sample(name, profiles.get(name, Profile.empty()), None if split == "test" else truths[name]) for name in users
    )
    concepts = sorted({*ratings, *(concept for sample in samples for concept in sample.profile.concepts)})
    return Split(split, samples, TruthSet({name: truths[name] for name in users}, dict(enumerate(concepts))), ratings)


def folder_of(root: Path) -> Path:
    """Return the folder of the files: ``aware`` in the data root, or the root itself."""
    return root / "aware" if (root / "aware").is_dir() else root


def _find(folder: Path, task: str, *names: str) -> Path:
    """Return the first of some files that exists; else say what there is instead."""
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is not None:
        return found
    there = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    lervup = [name for name in there if name.removesuffix(".txt") in ALIASES and name.endswith(".txt")]
    hint = f"point data.root, or --data, at the folder that holds aware/, or run `imageclef sample {task}`"
    native = "class_scores.json, predictions_*.json and gt_*.json, as released in 2022 and 2023"
    if lervup:
        what = "this looks like LERVUP, a text file per situation, which is not read: its layout and scale are unverified"
        raise invalid("DATA-LAYOUT-UNVERIFIED", what, file=folder, value=", ".join(lervup), hint=f"the files read are {native}")
    if there and not any(name in there for name in _NATIVE):
        what = "no file has the name of one of 2022 and 2023; the layout of 2021 is not known, and others are unverified"
        raise invalid("DATA-LAYOUT-UNVERIFIED", what, file=folder, value=", ".join(there[:5]), hint=f"{native}; {hint}")
    raise invalid("DATA-FILE-MISSING", f"there is no {names[0]}", file=folder / names[0], hint=hint)


def _compare(
    truths: dict[str, Truth], profiles: Mapping[str, Profile], path: Path, detections: Path, findings: Findings
) -> None:
    """Report users with ratings or photos alone."""
    for file, rule, names, what, hint in (
        (path, "ID-NO-IMAGE", truths.keys() - profiles.keys(), "ratings and no photos", "a profile without detections is used"),
        (detections, "ID-NO-LABEL", profiles.keys() - truths.keys(), "photos and no ratings", "the user is left out"),
    ):
        for name in sorted(names):
            Report(findings, str(file), "DATA").warning(rule, f"the user has {what}", id=show_id(name), hint=hint)


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
    return TruthSet({name: Truth(name, ratings) for name, ratings in _read_ratings(path, findings, "user").items()})


def _read_ratings(path: Path, findings: Findings, unit: str) -> dict[str, dict[str, float]]:
    """Read an object of objects with four ratings each, of users or concepts; those of concepts are strings as released."""
    report = Report(findings, str(path), "DATA")
    if _starts_otherwise(path):
        report.warning("LAYOUT-UNVERIFIED", "this is no JSON object", line=1, hint=_LAYOUT)
    reader = _Reader(report, unit)
    rated: dict[str, dict[str, float]] = {}
    for member in read_json_members(path, findings, "DATA"):
        if member.key in rated:
            shown = show_id(member.key)
            report.error(
                "ID-DUPLICATE", f"the {unit} has ratings already", line=member.key_line, id=shown, hint="keep one entry"
            )
            continue
        ratings = reader.ratings(member)
        if ratings is not None:
            rated[member.key] = ratings
    reader.tell()
    return rated


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
    """Reads the ratings of users or concepts; what concerns many of them is counted, and told once."""

    def __init__(self, report: Report, unit: str) -> None:
        self.report, self.unit = report, unit
        self.strings, self.aliases, self.others = Tally(), Tally(), Tally()

    def ratings(self, member: JsonMember) -> dict[str, float] | None:
        """Return a user's ratings by situation; ``None``, with an error, if they are not four numbers."""
        shown = show_id(member.key)
        if type(member.value) is not dict or member.key in SITUATIONS or member.key in ALIASES:
            what, seen = f"this is no {self.unit} with ratings", member.source()
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
        if self.unit == "user":
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
