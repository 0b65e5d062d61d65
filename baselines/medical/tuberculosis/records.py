"""Truths and predictions of the tuberculosis task, and the reader of the label file as distributed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from baselines.core.files import Report, read_text, show_id, sniff_separator, write_atomic
from baselines.core.findings import Findings, shorten
from baselines.core.tasks import get_task
from baselines.medical.tuberculosis.task import TYPES

HEADER = ("FileName", "TypeOfTB")
SUFFIX = ".nii.gz"
UNKNOWN = 0  # the label of a scan of which only the id is known


@dataclass(frozen=True, slots=True)
class Truth:
    """The label of one scan.

    Attributes:
        id: File name of the scan, with ``.nii.gz``.
        label: Campaign class id, 1 to 5; ``UNKNOWN`` where only the id is at hand.
    """

    id: str
    label: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """The class predicted for one scan.

    Attributes:
        id: File name of the scan, with ``.nii.gz``.
        label: Campaign class id, 1 to 5.
    """

    id: str
    label: int


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by id, and class names by campaign id."""

    truths: Mapping[str, Truth]
    classes: Mapping[int, str]


def read_truth(path: Path, task: str, findings: Findings) -> TruthSet:
    """Read a label file, ``TrainSet_metaData.csv`` or one of its form.

    Tolerated, with a finding: TAB or semicolon for the comma, no header, ids without ``.nii.gz``, quotes and blanks around
    fields, empty lines.

    Args:
        path: The file.
        task: The task's id.
        findings: Where everything noteworthy is reported, with ``DATA`` codes.

    Returns:
        The truths in the order of the file. Rows with an error are left out.
    """
    report = Report(findings, str(path), "DATA")
    separator = sniff_separator(path, ",\t;", _looks_like_a_row)
    truths: dict[str, Truth] = {}
    lines: dict[str, int] = {}
    is_first = True
    for number, line in read_text(path, findings, "DATA"):
        if not line.strip():
            report.info("BLANK-LINE", "an empty line is skipped", line=number)
            continue
        if is_first:
            is_first = False
            if separator != ",":
                what, hint = f"fields are separated by {separator!r}", "the campaign's file has commas"
                report.warning("SEPARATOR", what, line=number, hint=hint)
            if is_header(line):
                continue
            what, hint = f"the header {','.join(HEADER)} is missing", "the first line is taken for a scan"
            report.warning("HEADER", what, line=number, hint=hint)
        truth = _read_row(line, separator, number, report)
        if truth is None:
            continue
        if truth.id in truths:
            _tell_duplicate(truth, truths[truth.id], lines[truth.id], number, report)
        else:
            truths[truth.id], lines[truth.id] = truth, number
    return TruthSet(truths, get_task(task).classes)


def truths_of_ids(ids: Iterable[str], task: str) -> TruthSet:
    """Return truths without labels, to hold a run against ids alone."""
    return TruthSet({name: Truth(name, UNKNOWN) for name in ids}, get_task(task).classes)


def write_truth(path: Path, truth_set: TruthSet) -> None:
    """Write a label file as the campaign distributed it, whole or not at all; its ids have to end in ``.nii.gz``.

    Raises:
        ValueError: If a scan has no label, or its id can't be written: that's no truth.
    """
    for truth in truth_set.truths.values():
        if truth.label not in TYPES or _normalise(truth.id) != truth.id or not is_writable(truth.id):
            raise ValueError(f"{truth.id!r} with the label {truth.label} can't be written")
    rows = [HEADER, *((truth.id, str(truth.label)) for truth in truth_set.truths.values())]
    write_atomic(path, "".join(f"{name},{label}\n" for name, label in rows))


def is_header(line: str) -> bool:
    """Whether a line is a header, by whichever separator.

    >>> [is_header(line) for line in ("FileName,TypeOfTB", "filename; typeoftb", "TST_0001.nii.gz,1")]
    [True, True, False]
    """
    fields = [field.strip(" \"'").lower() for field in re.split(r"[,;\t]", line[:100])]
    return fields[0] == HEADER[0].lower() or HEADER[1].lower() in fields


def is_writable(name: str) -> bool:
    """Whether an id can stand in a line of text and be read again: printable, no comma, no quotes or blanks around it."""
    return bool(name) and name.isprintable() and "," not in name and name == name.strip(" \"'")


def parse_label(text: str) -> int | None:
    """Return the class id that a field holds: a digit from 1 to 5 and nothing else; ``None`` for everything else.

    >>> [parse_label(text) for text in ("1", "5", "0", "6", "1.0", "Focal", "")]
    [1, 5, None, None, None, None, None]
    """
    return int(text) if len(text) == 1 and text in "12345" else None


def label_hint(text: str) -> str:
    """Say what to write for a field that is no class id.

    >>> label_hint("2.0"), label_hint("fibrocavernous")
    ('write 2', 'write 5')
    >>> label_hint("6")
    'the classes are 1 Infiltrative, 2 Focal, 3 Tuberculoma, 4 Miliary, 5 Fibro-cavernous'
    """
    plain = re.sub(r"[\W_]", "", text[:100].lower())
    by_name = {re.sub(r"\W", "", name.lower()): label for label, name in TYPES.items()}
    number = re.fullmatch(r"\+?0{0,9}([1-5])(?:\.0{0,9})?", text)
    if number or plain in by_name:
        return f"write {number[1] if number else by_name[plain]}"
    return "the classes are " + ", ".join(f"{label} {name}" for label, name in TYPES.items())


def _looks_like_a_row(fields: list[str]) -> bool:
    return len(fields) == len(HEADER)


def _read_row(line: str, separator: str, number: int, report: Report) -> Truth | None:
    """Read one line; ``None``, with an error, if it is not a scan and its class."""
    if line.count(separator) != 1:
        what, hint = f"{line.count(separator) + 1} fields", "a line is FILE,CLASS, as in TrainSet_metaData.csv"
        report.error("FIELDS", what, line=number, value=shorten(line), hint=hint)
        return None
    name, label_text = (_unwrap(field, number, report) for field in line.split(separator))
    if not name:
        report.error("FIELDS", "the file name is empty", line=number, value=shorten(line))
        return None
    full = _normalise(name)
    if full != name:
        what = f"the id lacks {SUFFIX}"
        report.info("NAME", what, line=number, value=shorten(name), hint=f"taken for {show_id(full)}")
    label = parse_label(label_text)
    if label is None:
        what, shown = "the class is not an integer from 1 to 5", show_id(full)
        report.error("CLASS-UNKNOWN", what, line=number, id=shown, value=shorten(label_text), hint=label_hint(label_text))
        return None
    return Truth(full, label)


def _unwrap(field: str, number: int, report: Report) -> str:
    """Take blanks and quotes off a field."""
    bare = field.strip()
    if bare != field:
        report.info("NAME", "blanks around a field are ignored", line=number, value=shorten(field))
    if len(bare) >= 2 and bare[0] == bare[-1] and bare[0] in "\"'":
        report.warning("QUOTING", "quotes around a field are ignored", line=number, value=shorten(field))
        bare = bare[1:-1].strip()
    return bare


def _normalise(name: str) -> str:
    """Complete the suffix of an id."""
    return name if name.endswith(SUFFIX) else name.removesuffix(".nii") + SUFFIX


def _tell_duplicate(truth: Truth, other: Truth, other_line: int, number: int, report: Report) -> None:
    shown = show_id(truth.id)
    if truth.label == other.label:
        what = f"the scan is on line {other_line}, too"
        report.error("ID-DUPLICATE", what, line=number, id=shown, hint="keep one of the lines")
    else:
        what = f"the scan has another label on line {other_line}"
        seen, hint = f"{truth.label}, and {other.label} there", "keep the line that is right"
        report.error("LABEL-CONFLICT", what, line=number, id=shown, value=seen, hint=hint)
