"""Samples, truths and predictions of the tuberculosis task, and the reader of the files as distributed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baselines.core.files import Report, read_text, sniff_separator
from baselines.core.findings import Findings, InvalidInput, Severity, UsageError, invalid, shorten, show_id
from baselines.core.outputs import write_atomic
from baselines.core.runs import Code
from baselines.core.tasks import get_task
from baselines.medical.tuberculosis.folds import divide
from baselines.medical.tuberculosis.task import TYPES
from baselines.medical.tuberculosis.volumes import Header, UnreadableVolume, check_whole, read_header, voxel_digest

HEADER = ("FileName", "TypeOfTB")
SUFFIX = ".nii.gz"
UNKNOWN = 0  # the label of a scan of which only the id is known

# What the reader finds beside what all readers do; of several severities the one that a release is held to.
CODES: dict[str, Code] = {
    "DATA-FILE-REPEATED": Code(
        Severity.WARNING, "two files of one id, or two label files; one is used", "a copy in another folder"
    ),
    "DATA-MASK-MISSING": Code(Severity.WARNING, "a scan without one of its two masks", "no file in masks2"),
    "DATA-MASK-SHAPE": Code(Severity.ERROR, "a mask of another shape than its CT; it is not used", "256 for 512 slices"),
    "DATA-MASK-SIZE": Code(Severity.WARNING, "the lungs of a mask are too small or too large", "0.2 litres"),
    "DATA-MASK-UNREADABLE": Code(Severity.WARNING, "a mask that can't be read; it is not used", "a truncated .nii.gz"),
    "DATA-MASK-VALUES": Code(
        Severity.WARNING, "a mask with values other than 0, 1 and 2, or a background that is not 0", "a mask of 1 and 2"
    ),
    "DATA-NAME": Code(
        Severity.INFO, "an id without .nii.gz, blanks around it, a UUID before it, or names out of sequence", "TRN_0001"
    ),
    "DATA-SPLIT-GROUP": Code(
        Severity.ERROR, "scans with the same header, or the same voxels, in one split or in two", "a scan of 2020 once more"
    ),
    "DATA-VOXEL-NAN": Code(Severity.ERROR, "voxels that are no finite number", "1024 NaN"),
}


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
        probabilities: ``(C,)`` in [0, 1], by ascending class id, how likely each class is; ``None`` in a run that was read.
        votes: ``(C,)``, the same weighed by the decision rule; the label has the highest.
        evidence: ``(d, h, w)`` in [0, 1], what in the prepared scan speaks for the label, towards head, front and right.
    """

    id: str
    label: int
    probabilities: NDArray[np.float64] | None = None
    votes: NDArray[np.float64] | None = None
    evidence: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by id, and class names by campaign id."""

    truths: Mapping[str, Truth]
    classes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One scan.

    Attributes:
        id: File name of the scan, with ``.nii.gz``.
        ct: Its file.
        masks: Files of its lung masks, none to two.
        patient: What scans of one patient have in common: the fingerprint of the header; without one, the id.
        truth: Its label; ``None`` in a test set.
        is_readable: Whether header and length of the file are those of a volume; voxels may still turn out to be damaged.
    """

    id: str
    ct: Path
    masks: tuple[Path, ...]
    patient: str
    truth: Truth | None
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a data set.

    Attributes:
        name: ``train``, ``val``, ``all`` or ``test``.
        samples: Its scans, by ascending id, with those that can't be read, since a run needs every id.
        truth_set: Their truths; of a test set truths without labels.
    """

    name: str
    samples: tuple[Sample, ...]
    truth_set: TruthSet


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

    >>> label_hint("2.0"), label_hint('"3"'), label_hint("fibrocavernous")
    ('write 2', 'write 3', 'write 5')
    >>> label_hint("6")
    'the classes are 1 Infiltrative, 2 Focal, 3 Tuberculoma, 4 Miliary, 5 Fibro-cavernous'
    """
    plain = re.sub(r"[\W_]", "", text[:100].lower())
    by_name = {re.sub(r"\W", "", name.lower()): label for label, name in TYPES.items()}
    number = re.fullmatch(r"\+?0{0,9}([1-5])(?:\.0{0,9})?", text.strip("\"'"))
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


# -------------------------------------------------------------------------------------------------------------- splits

FAMILY = Path("medical") / "tuberculosis"
UUID_PREFIX = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}_", re.IGNORECASE)  # the platform's UUID
_LABEL_FILE = "trainset_metadata.csv"
_MASKS = re.compile(r"masks?[-_ ]?([12])", re.IGNORECASE)
_TEST = "TST_"
_ARCHIVE = re.compile(r"(TRN|TST)_.*\.nii\.gz$|TrainSet_metaData\.csv$", re.IGNORECASE)
_DEPTH = 6  # folders below the family's that are looked into


def read_split(
    root: Path,
    task: str,
    split: str,
    findings: Findings,
    *,
    split_seed: int = 0,
    val_share: float = 0.2,
    folds: int | None = None,
    fold: int = 0,
) -> Split:
    """Read one split of a data set in the campaign's layout.

    The campaign made no validation set: ``train`` and ``val`` are what :func:`~baselines.medical.tuberculosis.folds.divide`
    makes of the labelled scans, which keeps the scans of a patient, known by equal headers, together.

    A scan that can't be read, or has no file, is a warning. Only headers and lengths are looked at here; what is wrong with
    voxels comes out when they are prepared.

    Args:
        root: The data root, which holds ``medical/tuberculosis``; that folder itself will do.
        task: The task's id.
        split: ``train``, ``val``, ``all`` (both) or ``test``.
        findings: Where everything noteworthy is reported, with ``DATA`` codes.
        split_seed: Seed of the division.
        val_share: Share of the labelled scans in ``val``, from 0 to 1, if there are no folds.
        folds: Into how many equal parts to divide instead; ``val`` is then one of them.
        fold: Which one, from 0.

    Raises:
        InvalidInput: If the files are not there; the message says where they were looked for and what to do.
        UsageError: If there is no such split.
    """
    if split not in ("train", "val", "all", "test"):
        raise UsageError(f"no split {split!r}: the splits are train, val, all and test")
    files = _find_files(root, task, findings)
    if split == "test":
        names = sorted(name for name in files.cts if name.startswith(_TEST))
        if not names:
            raise _missing(root, task, f"no {_TEST}*{SUFFIX} here")
        samples = _samples(names, files, {}, findings)
        return Split("test", samples, truths_of_ids(names, task))
    if files.labels is None:
        raise _missing(root, task, "no TrainSet_metaData.csv here")
    truth_set = read_truth(files.labels, task, findings)
    report = Report(findings, str(files.labels), "DATA")
    for name in truth_set.truths:
        if name not in files.cts:
            report.warning("ID-NO-IMAGE", "the scan's file is missing", id=show_id(name), hint="the row is left out")
    for name in sorted(files.cts):
        if name not in truth_set.truths and not name.startswith(_TEST):
            text, hint = "the scan has no label", "it is left out"
            Report(findings, str(files.cts[name]), "DATA").warning("ID-NO-LABEL", text, id=show_id(name), hint=hint)
    names = sorted(name for name in truth_set.truths if name in files.cts)
    samples = _samples(names, files, truth_set.truths, findings)
    _tell_repeated(samples, findings)
    if split != "all":
        shares = [1 - val_share, val_share] if folds is None else [1 / folds] * folds
        labels = {name: truth_set.truths[name].label for name in names}
        parts = divide(labels, {sample.id: sample.patient for sample in samples}, shares, split_seed)
        held_out = set(parts[1 if folds is None else fold])
        samples = tuple(sample for sample in samples if (sample.id in held_out) == (split == "val"))
    truths = {sample.id: truth_set.truths[sample.id] for sample in samples}
    return Split(split, samples, TruthSet(truths, truth_set.classes))


@dataclass(slots=True)
class _Files:
    """The files of the archive: CTs and masks by id, and the label file."""

    cts: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, dict[str, Path]] = field(default_factory=dict)
    labels: Path | None = None


def _find_files(root: Path, task: str, findings: Findings) -> _Files:
    """Index the files, in whatever folders below the family's they lie.

    A file in a folder called ``masks1`` or the like is a mask; a UUID before a name is left out.
    """
    places = (root / FAMILY, root / FAMILY.name, *((root,) if _holds_archive(root) else ()))
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise _missing(root, task, "the files of tuberculosis are not here")
    files, junk, seen = _Files(), 0, set()
    for place, folders, names in os.walk(folder, followlinks=True):
        inner = Path(place)
        parts = inner.relative_to(folder).parts
        if (real := os.path.realpath(place)) in seen or len(parts) > _DEPTH:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        mask_set = next((match[1] for part in reversed(parts) if (match := _MASKS.search(part))), "")
        for name in sorted(names):
            own = UUID_PREFIX.sub("", name)
            if own.startswith("._"):
                junk += 1
            elif own.lower() == _LABEL_FILE and files.labels is None:
                files.labels = inner / name
            elif own.lower() == _LABEL_FILE:
                hint = f"{files.labels} is used"
                Report(findings, str(inner / name), "DATA").warning("FILE-REPEATED", "there is another label file", hint=hint)
            elif own.endswith(SUFFIX):
                kind = files.masks.setdefault(mask_set, {}) if mask_set else files.cts
                _add_file(kind, own, inner / name, findings)
    if junk:
        Report(findings, str(folder), "DATA").info("JUNK", f"{junk} files that a desktop left behind", hint="they are ignored")
    return files


def _holds_archive(folder: Path) -> bool:
    """Whether the files lie in this folder or one below it: another one is not searched, it may be a whole file system."""
    inner = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()] if folder.is_dir() else []
    for place in (folder, *inner):
        with suppress(OSError), os.scandir(place) as entries:
            if any(_ARCHIVE.match(UUID_PREFIX.sub("", entry.name)) for entry in entries):
                return True
    return False


def _add_file(kind: dict[str, Path], name: str, path: Path, findings: Findings) -> None:
    if name in kind:
        hint = f"{kind[name]} is used"
        Report(findings, str(path), "DATA").warning("FILE-REPEATED", "there is another file of this id", id=name, hint=hint)
    else:
        kind[name] = path


def _missing(root: Path, task: str, message: str) -> InvalidInput:
    looked = "there is no such folder" if not root.is_dir() else f"looked in {root / FAMILY}, {root / FAMILY.name} and {root}"
    hint = f"{looked}; point data.root, or --data, at the folder that holds medical/, or run `imageclef sample {task}`"
    return invalid("DATA-FILE-MISSING", message, file=root, hint=hint)


def _samples(names: Iterable[str], files: _Files, truths: Mapping[str, Truth], findings: Findings) -> tuple[Sample, ...]:
    """Return the samples of these ids, each with what its header says; unreadable ones are warnings."""
    samples = []
    for name in names:
        path = files.cts[name]
        masks = tuple(found[name] for _, found in sorted(files.masks.items()) if name in found)
        header = _header_of(path, name, findings)
        patient = header.fingerprint if header else name
        samples.append(Sample(name, path, masks, patient, truths.get(name), is_readable=header is not None))
    return tuple(samples)


def _header_of(path: Path, name: str, findings: Findings) -> Header | None:
    try:
        header = read_header(path)
        check_whole(path, header)
    except UnreadableVolume as error:
        tell_unreadable(path, name, error, findings)
        return None
    return header


def tell_unreadable(path: Path, name: str, error: object, findings: Findings) -> None:
    """Warn of a scan that can't be read."""
    hint = "fetch it again; until then it is not trained on, and where a run needs it, it gets the most frequent class"
    Report(findings, str(path), "DATA").warning(
        "FILE-UNREADABLE", f"the scan can't be used: {error}", id=show_id(name), hint=hint
    )


def _tell_repeated(samples: Iterable[Sample], findings: Findings) -> None:
    """Warn of scans with equal headers, and of those whose voxels are equal, too."""
    first: dict[str, Sample] = {}
    for sample in samples:
        other = first.setdefault(sample.patient, sample)
        if other is sample:
            continue
        report, value = Report(findings, str(sample.ct), "DATA"), show_id(other.id)
        try:
            is_same = _digest_of(sample.ct, sample.ct.stat().st_mtime_ns) == _digest_of(other.ct, other.ct.stat().st_mtime_ns)
        except (UnreadableVolume, OSError):
            is_same = False
        if is_same:
            labels = [each.truth.label for each in (other, sample) if each.truth]
            text = "the scan is there twice" + (", with different labels" if len(set(labels)) > 1 else "")
            report.warning("SPLIT-GROUP", text, id=show_id(sample.id), value=value, hint="keep one of them")
        else:
            hint = "taken for the same patient: a split keeps them together"
            report.warning("SPLIT-GROUP", "another scan has the same header", id=show_id(sample.id), value=value, hint=hint)


@lru_cache(maxsize=4096)
def _digest_of(path: Path, changed: int) -> str:
    """Return the digest of a volume's voxels; ``changed`` is when the file was."""
    del changed  # a part of the cache's key
    return voxel_digest(path)
