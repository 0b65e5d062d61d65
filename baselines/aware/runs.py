"""The run format of the aware task: one JSON object of users, each with a number for ``acc``, ``bank``, ``it`` and ``wait``.

A run is held to every rule of :data:`CODES`, all at once. They are those of the official evaluator of 2022 and 2023, and
stricter where it lets pass what it can't score: NaN, infinities, constant columns, keys that occur twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from baselines.aware.records import ALIASES, NUMBER, Prediction, TruthSet, as_float, format_ratings
from baselines.aware.task import SITUATIONS
from baselines.core.files import Report
from baselines.core.findings import Findings, Severity, show_id
from baselines.core.json_stream import JsonMember, read_json_members
from baselines.core.outputs import write_atomic
from baselines.core.runs import FILE_CODES, ID_CODES, Code, IdCheck

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

# Every code a run can get: how bad it is, what it means, and an example of what is wrong.
CODES: dict[str, Code] = {
    **FILE_CODES,
    **ID_CODES,
    "RUN-JSON": Code(_ERROR, "not valid JSON", '{"u1": {"acc": 1 "it": 2}}'),
    "RUN-STRUCTURE": Code(_ERROR, "no object of users, or a user without an object of ratings", '[{"u1": {}}]'),
    "RUN-DUPLICATE-KEY": Code(_ERROR, "a situation occurs twice in one user", '{"acc": 1, "acc": 2}'),
    "RUN-SITUATION": Code(_ERROR, "a situation is missing, or a key is none", '"ACCOM": 0.5'),
    "RUN-QUOTED-NUMBER": Code(_ERROR, "a number in quotes", '"acc": "0.5"'),
    "RUN-NOT-A-NUMBER": Code(_ERROR, "a rating is a boolean, null, text, a list or an object", '"acc": null'),
    "RUN-NOT-FINITE": Code(_ERROR, "a rating is NaN, an infinity, or too large for a float", '"acc": NaN'),
    "RUN-CONSTANT": Code(_ERROR, "all ratings of a situation are equal: no correlation is defined", '"it": 0 for all users'),
    "RUN-LOW-VARIANCE": Code(_WARNING, "all ratings of a situation but one are equal", '"it": 0 for all users but one'),
}

_USER = 'a user is "id": {"acc": 0.1, "bank": 0.2, "it": 0.3, "wait": 0.4}'


def read_run(path: Path, truth_set: TruthSet, findings: Findings, *, allow_missing: bool = False) -> dict[str, Prediction]:
    """Read a run and report everything that is wrong with it.

    Args:
        path: The run file.
        truth_set: The users; their ratings are not looked at.
        findings: Where everything is reported; the codes are in :data:`CODES`.
        allow_missing: Whether users that are missing are a warning, not an error; the scores are undefined then.

    Returns:
        The predictions that are in order, by user, in the order of the file. If there are errors it is not the whole run.
    """
    report = Report(findings, str(path), "RUN")
    ids = IdCheck(truth_set.truths, report, unit="user", entry="record")
    predictions: dict[str, Prediction] = {}
    columns: dict[str, list[float]] = {key: [] for key in SITUATIONS}
    for member in read_json_members(path, findings, "RUN"):
        is_accepted = ids.accepts(member.key, member.key_line)
        ratings = _ratings(member, report)
        if is_accepted:
            for key, value in ratings.items():
                columns[key].append(value)
            if ratings.keys() == SITUATIONS.keys():
                predictions[member.key] = Prediction(member.key, ratings)
    severity = _WARNING if allow_missing else _ERROR
    ids.finish(severity=severity, consequence="without a rating of every user no score is defined")
    _check_spread(columns, report)
    return predictions


def write_run(path: Path, predictions: Iterable[Prediction], truth_set: TruthSet) -> None:
    """Write a run, whole or not at all, one user a line in the order of ``truth_set``.

    Args:
        path: The run file to make or replace.
        predictions: Exactly one of each user, with a finite number for each situation.
        truth_set: The users.

    Raises:
        InvalidInput: If a user is unknown, missing or there twice, a rating is missing or not finite, or the ratings of a
            situation are all equal; it lists all of them.
    """
    report = Report(Findings(), str(path), "RUN")
    ids = IdCheck(truth_set.truths, report, unit="user", entry="prediction")
    ratings: dict[str, Mapping[str, float]] = {}
    for prediction in predictions:
        if not ids.accepts(prediction.id, None):
            continue
        ratings[prediction.id] = prediction.ratings
        shown = show_id(prediction.id)
        if prediction.ratings.keys() != SITUATIONS.keys():
            seen = show_id(", ".join(prediction.ratings))
            report.error("SITUATION", "not the four situations are predicted", id=shown, value=seen, hint=_USER)
        for key, value in prediction.ratings.items():
            if not math.isfinite(value):
                what, hint = f"the rating predicted for {key} is not finite", "did the training diverge?"
                report.error("NOT-FINITE", what, id=shown, value=str(value), hint=hint)
    ids.finish()
    report.findings.raise_errors()
    _check_spread({key: [float(mine[key]) for mine in ratings.values()] for key in SITUATIONS}, report)
    report.findings.raise_errors()
    write_atomic(path, format_ratings({name: ratings[name] for name in truth_set.truths}))


def example_run(truth_set: TruthSet) -> str:
    """Return the text of a valid run: numbers that differ between users."""
    return format_ratings(
        {name: dict.fromkeys(SITUATIONS, float(place % 7 - 3)) for place, name in enumerate(truth_set.truths)}
    )


def _ratings(member: JsonMember, report: Report) -> dict[str, float]:
    """Return the ratings of a user that are in order, by situation; report everything else."""
    shown = show_id(member.key)
    if type(member.value) is not dict:
        what = "the user has no object of ratings"
        report.error("STRUCTURE", what, line=member.line, id=shown, value=member.source(), hint=_USER)
        return {}
    ratings: dict[str, float] = {}
    for key, value in member.value.items():
        if report.is_full():
            break
        number = as_float(value)
        if key not in SITUATIONS:
            what = f"{show_id(key)} is no situation"
            report.error("SITUATION", what, line=member.line_of(key), id=shown, hint=_situation_hint(key))
        elif number is None:
            _tell_no_number(key, value, member, report)
        elif not math.isfinite(number):
            what, hint = f"the rating for {key} is not finite", "write a finite number"
            report.error("NOT-FINITE", what, line=member.line_of(key), id=shown, value=member.source(key), hint=hint)
        else:
            ratings[key] = number
    missing = [key for key in SITUATIONS if key not in member.value]
    if missing:
        report.error("SITUATION", f"no rating for {', '.join(missing)}", line=member.line, id=shown, hint=_USER)
    return ratings


def _tell_no_number(key: str, value: object, member: JsonMember, report: Report) -> None:
    """Report a rating of another type."""
    rule, what, hint = "NOT-A-NUMBER", f"the rating for {key} is no number", "write a finite number"
    if isinstance(value, str) and NUMBER.fullmatch(value):
        rule, what, hint = "QUOTED-NUMBER", f"the rating for {key} is in quotes", "remove the quotes"
        hint += ", and write a decimal point" if "," in value else ""
    shown = show_id(member.key)
    report.error(rule, what, line=member.line_of(key), id=shown, value=member.source(key), hint=hint)


def _situation_hint(key: str) -> str:
    """Say which situation a key means.

    >>> _situation_hint("job_search_IT"), _situation_hint(" Bank")
    ('write it', 'write bank')
    """
    plain = key[:100].strip()
    meant = ALIASES.get(plain, plain.lower())
    return f"write {meant}" if meant in SITUATIONS else "the situations are " + ", ".join(SITUATIONS)


def _check_spread(columns: Mapping[str, list[float]], report: Report) -> None:
    """Report situations whose ratings are all equal, or all but one; of a single user nothing can be said."""
    for key, values in columns.items():
        if len(values) < 2:
            continue
        (common, count), *_ = Counter(values).most_common(1)
        if count == len(values):
            what, hint = f"all ratings for {key} are equal", "no correlation is defined then; did the training collapse?"
            report.error("CONSTANT", what, value=f"{common:g}", hint=hint)
        elif count == len(values) - 1 > 1:
            what, hint = f"all ratings for {key} but one are equal", "one user alone decides the correlation"
            report.warning("LOW-VARIANCE", what, value=f"{common:g}", hint=hint)
