"""The run format of the tuberculosis task: one line a scan, its file name and its class, as in ``TST_0001.nii.gz,2``.

A run is held to every rule of :data:`CODES`, all at once. They follow the organisers' evaluator of 2018; that of 2021 is not
known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from baselines.core.files import Report
from baselines.core.findings import Findings, Severity, shorten, show_id
from baselines.core.outputs import write_atomic
from baselines.core.runs import FILE_CODES, ID_CODES, LINE_CODES, Code, IdCheck, read_run_lines
from baselines.medical.tuberculosis.records import SUFFIX, Prediction, TruthSet, is_header, is_writable, label_hint, parse_label
from baselines.medical.tuberculosis.task import TYPES

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

# Every code a run can get: how bad it is, what it means, and an example of what is wrong.
CODES: dict[str, Code] = {
    **FILE_CODES,
    **ID_CODES,
    **LINE_CODES,
    "RUN-FIELDS": Code(_ERROR, "the line is not two fields with a comma between them", "TST_0001.nii.gz;2"),
    "RUN-HEADER": Code(_ERROR, "a header", "FileName,TypeOfTB"),
    "RUN-CLASS": Code(_ERROR, "the class is not an integer from 1 to 5", "TST_0001.nii.gz,2.0"),
    "RUN-SPACE": Code(_WARNING, "blanks around a field", "TST_0001.nii.gz, 2"),
    "RUN-CONSTANT": Code(_WARNING, "one class for all scans: kappa is 0", "2 in every line"),
}

_CONSEQUENCE = "a missing scan scores as the worst wrong class"


def read_run(path: Path, truth_set: TruthSet, findings: Findings, *, allow_missing: bool = False) -> dict[str, Prediction]:
    """Read a run and report everything that is wrong with it.

    Args:
        path: The run file.
        truth_set: The scans; labels are not looked at.
        findings: Where everything is reported; the codes are in :data:`CODES`.
        allow_missing: Whether scans without a line are a warning, not an error; they score as the worst wrong class then.

    Returns:
        The predictions of the lines that are in order, by id, in the order of the file. If there are errors it is not the whole
        run.
    """
    report = Report(findings, str(path), "RUN")
    ids = IdCheck(
        truth_set.truths, report, unit="scan", entry="line", hint=lambda name: _unknown_id_hint(name, truth_set.truths)
    )
    predictions: dict[str, Prediction] = {}
    for number, line in read_run_lines(path, findings):
        fields = _split(line, number, report)
        if fields is None:
            continue
        name, label_text = fields
        is_accepted = ids.accepts(name, number)
        label = parse_label(label_text)
        if label is None:
            what, shown = "the class is not an integer from 1 to 5", show_id(name)
            report.error("CLASS", what, line=number, id=shown, value=shorten(label_text), hint=label_hint(label_text))
        elif is_accepted:
            predictions[name] = Prediction(name, label)
    ids.finish(severity=_WARNING if allow_missing else _ERROR, consequence=_CONSEQUENCE)
    labels = {prediction.label for prediction in predictions.values()}
    if len(labels) == 1 and len(predictions) > 1:
        what, hint = "all scans have one and the same class", "kappa is 0 then; did the training collapse?"
        report.warning("CONSTANT", what, value=str(*labels), hint=hint)
    return predictions


def write_run(path: Path, predictions: Iterable[Prediction], truth_set: TruthSet) -> None:
    """Write a run, whole or not at all; its lines follow the order of ``truth_set``.

    Args:
        path: The run file to make or replace.
        predictions: Exactly one of each scan.
        truth_set: The scans.

    Raises:
        InvalidInput: If a scan is unknown, missing or there twice, or a class is none; it lists all of them.
    """
    report = Report(Findings(), str(path), "RUN")
    ids = IdCheck(truth_set.truths, report, unit="scan", entry="prediction")
    labels: dict[str, int] = {}
    for prediction in predictions:
        if ids.accepts(prediction.id, None):
            labels[prediction.id] = prediction.label
        shown = show_id(prediction.id)
        if prediction.label not in TYPES:
            hint = label_hint(str(prediction.label))
            report.error("CLASS", "the predicted class is none", id=shown, value=shorten(prediction.label), hint=hint)
        if not is_writable(prediction.id):
            report.error("FIELDS", "a line can't hold this file name", id=shown, hint="rename the scan")
    ids.finish()
    report.findings.raise_errors()
    write_atomic(path, "".join(f"{name},{labels[name]}\n" for name in truth_set.truths))


def example_run(truth_set: TruthSet) -> str:
    """Return the text of a valid run: the classes in turn."""
    classes = list(TYPES)
    return "".join(f"{name},{classes[place % len(classes)]}\n" for place, name in enumerate(truth_set.truths))


def _split(line: str, number: int, report: Report) -> tuple[str, str] | None:
    """Return the two fields of a line without blanks around them; ``None``, with an error, if there are not two."""
    if is_header(line):
        report.error("HEADER", "a run has no header", line=number, value=shorten(line), hint="delete the line")
        return None
    commas = line.count(",")
    if commas != 1:
        other = next((name for mark, name in ((";", "semicolon"), ("\t", "TAB")) if mark in line), "")
        hint = f"write FILE{SUFFIX},CLASS" + (f", with a comma, not a {other}" if other and not commas else "")
        what = f"{commas + 1} field{'s' if commas else ''} between commas, not two"
        report.error("FIELDS", what, line=number, value=shorten(line), hint=hint)
        return None
    name, label = line.split(",")
    if name != name.strip() or label != label.strip():
        report.warning("SPACE", "blanks around a field", line=number, value=shorten(line), hint="write none")
    return name.strip(), label.strip()


def _unknown_id_hint(name: str, expected: Collection[str]) -> str:
    """Say what is wrong with an id that differs from one of the set by its suffix, its digits or its split."""
    match = re.fullmatch(r"(TRN|TST)_?([0-9]{1,9})(\.nii(\.gz)?)?", name[:100], re.IGNORECASE)
    if match is None:
        return ""
    split, number = match[1].upper(), int(match[2])
    candidate = f"{split}_{number:04d}{SUFFIX}"
    if candidate in expected:
        return f"write {candidate}: TST_ or TRN_, four digits, {SUFFIX}"
    other = {"TST": "TRN", "TRN": "TST"}[split]
    if f"{other}_{number:04d}{SUFFIX}" in expected:
        return f"the ids of the set start with {other}_: is this a run on the other split?"
    return ""
