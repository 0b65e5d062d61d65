"""The two formats of drawnUI files, the JSON of 2021 and the text of 2020, as truths and runs share them.

This module knows how the files are written. It says nothing of what makes sense in an image: :mod:`records` judges truths, and
:mod:`runs` judges runs.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.core.files import Prefix, Report, read_text
from baselines.core.findings import Findings, Severity, printable, shorten
from baselines.core.json_stream import JsonRecord, read_json_records
from baselines.core.runs import DECIMAL_FORM, INTEGER_FORM, SCORE_FORM

FORMATS = ("2021", "2020")
MAX_SIDE = 1_000_000  # pixels; what declares more is no image
TOLERANCE = 0.001  # pixels by which a box may leave its image: rounding noise of relative values
ABSOLUTE_ABOVE = 2.0  # relative values over this are taken for pixels
NO_BOXES = np.zeros((0, 4))
NO_BOXES.flags.writeable = False

_SHORT_EXCERPT = 40


@dataclass(slots=True)
class Entry:
    """What a file says about one image, as far as it is well formed; the rest has been reported.

    Attributes:
        id: The image's file name, as written.
        line: 1-based line of its record.
        size: Declared width and height in pixels; ``None`` where there is none.
        is_relative: Whether the boxes are relative to the image's size (2021), not in pixels (2020).
        boxes: ``(N, 4) float64`` x, y, width, height; finite, else unchecked.
        names: Class name of each box.
        class_ids: Class id of each box; ``None`` in 2020, which has none.
        scores: ``(N,) float64``; finite, else unchecked. Truths without scores have 1.
        locate: Gives the line and the text of a part of box ``i``: ``box``, ``class``, ``id`` or ``score``.
    """

    id: str
    line: int
    size: tuple[int, int] | None
    is_relative: bool
    boxes: NDArray[np.float64]
    names: list[str]
    class_ids: list[int] | None
    scores: NDArray[np.float64]
    locate: Callable[[int, str], tuple[int, str]]

    def in_pixels(self, width: float, height: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the boxes in an image of this size as ``(N, 4) float64`` xyxy, and their areas ``(N,)``: width times height.

        Scaling comes before adding and multiplying, as where a file is turned into COCO's pixels: what rounding then makes of
        an IoU of 0.5 is the same.
        """
        boxes = self.boxes * np.array([width, height] * 2) if self.is_relative else self.boxes
        return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1), boxes[:, 2] * boxes[:, 3]


def sniff_format(path: Path, default: str = "2021") -> str:
    """Return which format a file seems to be in, by its first characters, and ``default`` if they don't say."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except (OSError, ValueError):
        return default  # whose reader reports what is the matter
    first = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if first[:1] in {b"[", b"{"}:
        return "2021"
    return "2020" if b";" in first and b"\0" not in head else default  # a NUL: an archive or UTF-16, as its reader will say


def read_entries(path: Path, file_format: str, findings: Findings, prefix: Prefix) -> Iterator[Entry]:
    """Yield the images of a file and report what is not well formed.

    Args:
        path: A truth or run.
        file_format: ``2021`` or ``2020``.
        findings: Where faults are reported.
        prefix: ``RUN`` holds the file to everything a run has to have; ``DATA`` allows records without declared size,
            annotations and scores.
    """
    report = Report(findings, str(path), prefix)
    if file_format == "2021":
        for record in read_json_records(path, findings, prefix):
            entry = _read_record(record, report)
            if entry is not None:
                yield entry
    else:
        for number, line in read_text(path, findings, prefix):
            entry = _read_line(number, line, report)
            if entry is not None:
                yield entry


# ------------------------------------------------------------------------------------------------------------ 2021: JSON

_PARTS = {"box": "box", "class": "detectionString", "id": "detectionClass", "score": "score"}
_RECORD_HINT = 'a record is {"file": …, "width": …, "height": …, "annotations": […]}'
_BOX_HINT = "write [y, x, height, width], each relative to the image"
_NUMBERS = frozenset((int, float))
_LARGEST = 1e300  # sums and products of smaller values are finite
_SURELY_SMALL = 1e290


def _read_record(record: JsonRecord, report: Report) -> Entry | None:
    """Take a record apart; ``None`` if it doesn't say which image it is about."""
    structure = "STRUCTURE" if report.prefix == "RUN" else "FIELDS"
    value = record.value
    if type(value) is not dict:
        report.error(structure, "a record is not an object", line=record.line, value=record.source(), hint=_RECORD_HINT)
        return None
    name = value.get("file")
    if type(name) is not str:
        seen = record.source("file") if "file" in value else ""
        what = "the file name is not a string" if "file" in value else 'a record has no "file"'
        report.error(structure, what, line=record.line_of("file"), value=seen, hint=_RECORD_HINT)
        return None
    if not is_file_name(name):
        rule = "UNKNOWN-ID" if report.prefix == "RUN" else "ID-PATH"
        hint = "write the image's bare file name" + (f", {plain}" if (plain := _last_part(name)) else "")
        report.error(rule, "this is no file name", line=record.line_of("file"), value=shorten(name), hint=hint)
        return None
    size = _declared_size(record, name, report)
    annotations = value.get("annotations")
    if type(annotations) is not list:
        if report.prefix == "RUN" or annotations is not None:
            what = '"annotations" is not a list' if "annotations" in value else 'the record has no "annotations"'
            report.error(structure, what, line=record.line_of("annotations"), id=name, hint=_RECORD_HINT)
        annotations = []
    kept: Sequence[int] = range(len(annotations))
    columns = _columns(annotations, report.prefix)
    if columns is None:
        kept = [index for index in kept if _is_well_formed(annotations[index], report.prefix)]
        if len(kept) < len(annotations):
            _explain(record, name, report)
        annotations = [annotations[index] for index in kept]
        columns = _Columns(
            [annotation["detectionClass"] for annotation in annotations],
            [annotation["detectionString"] for annotation in annotations],
            np.array([annotation["box"] for annotation in annotations], dtype=np.float64).reshape(-1, 4),
            np.array([_score(annotation) for annotation in annotations], dtype=np.float64),
        )
    return Entry(
        id=name,
        line=record.line,
        size=size,
        is_relative=True,
        boxes=columns.boxes[:, [1, 0, 3, 2]],
        names=columns.names,
        class_ids=columns.class_ids,
        scores=columns.scores,
        locate=lambda index, part: _locate(record, kept[index], part),
    )


def is_file_name(name: str) -> bool:
    r"""Whether a name is a bare file name: no path, nothing that can't be printed.

    >>> [is_file_name(name) for name in ("a.jpg", "../a.jpg", r"C:\a.jpg", "..", "", "a\n")]
    [True, False, False, False, False, False]
    """
    return 0 < len(name) <= 255 and name.isprintable() and not set(name) & set("/\\") and name not in {".", ".."}


def _last_part(name: str) -> str:
    last = re.split(r"[/\\]", name)[-1]
    return last if is_file_name(last) else ""


def _is_number(value: object) -> bool:
    return type(value) in _NUMBERS and -_LARGEST < value < _LARGEST  # type: ignore[operator]


def _is_box(box: object) -> bool:
    if type(box) is not list or len(box) != 4 or not _NUMBERS.issuperset(map(type, box)):
        return False
    try:
        return math.hypot(*box) < _LARGEST
    except OverflowError:  # an integer that is no float
        return False


class _Columns(NamedTuple):
    """The annotations of a record, N of each; the boxes ``(N, 4)`` in the order of the file."""

    class_ids: list[int]
    names: list[str]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


def _columns(annotations: list[Any], prefix: Prefix) -> _Columns | None:
    """Return annotations that are surely all well formed, which most are; ``None`` if each has to be looked at."""
    try:
        class_ids = [annotation["detectionClass"] for annotation in annotations]
        names = [annotation["detectionString"] for annotation in annotations]
        boxes = [annotation["box"] for annotation in annotations]
        scores = [annotation["score"] if prefix == "RUN" else annotation.get("score", 1) for annotation in annotations]
        numbers = [*chain.from_iterable(boxes), *scores]
        values = np.array(numbers, dtype=np.float64)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return None
    has_types = (
        {int}.issuperset(map(type, class_ids))
        and {str}.issuperset(map(type, names))
        and {list}.issuperset(map(type, boxes))
        and {4}.issuperset(map(len, boxes))
        and _NUMBERS.issuperset(map(type, numbers))
    )
    if not has_types or not (np.abs(values) < _SURELY_SMALL).all() or max(map(abs, class_ids), default=0) >= 2**31:
        return None
    return _Columns(class_ids, names, values[: 4 * len(boxes)].reshape(-1, 4), values[4 * len(boxes) :])


def _is_well_formed(annotation: Any, prefix: Prefix) -> bool:
    """Whether an annotation has no fault that :func:`_faults` would find."""
    return (
        type(annotation) is dict
        and _is_box(annotation.get("box"))
        and type(class_id := annotation.get("detectionClass")) is int
        and abs(class_id) < 2**31
        and type(annotation.get("detectionString")) is str
        and (prefix == "DATA" or _is_number(annotation.get("score")))
    )


def _score(annotation: dict[str, Any]) -> float:
    """Return the score; in truths, where it may be anything, 1 if there is none and -1 if it is no number."""
    score = annotation.get("score", 1)
    return float(score) if _is_number(score) else -1.0


def _explain(record: JsonRecord, name: str, report: Report) -> None:
    """Report what is wrong with annotations that are not well formed."""
    for index, annotation in enumerate(record.value["annotations"]):
        if report.is_full():
            return
        for rule, message, keys, hint in _faults(annotation, report.prefix):
            place = ("annotations", index, *keys)
            if not record.is_told(*place):  # as a NaN is
                report.error(rule, message, line=record.line_of(*place), id=name, value=record.source(*place), hint=hint)


def _faults(annotation: Any, prefix: Prefix) -> Iterator[tuple[str, str, tuple[str | int, ...], str]]:
    """Yield rule, message, keys to the place and hint for every fault of an annotation."""
    structure = "STRUCTURE" if prefix == "RUN" else "FIELDS"
    if type(annotation) is not dict:
        yield structure, "an annotation is not an object", (), 'write {"box": …, "detectionClass": …, …}'
        return
    needed = ("box", "detectionClass", "detectionString") + (("score",) if prefix == "RUN" else ())
    for key in needed:
        if key not in annotation:
            yield structure, f'an annotation has no "{key}"', (), f"every annotation has {', '.join(needed)}"
    yield from _box_faults(annotation.get("box", [0, 0, 0, 0]), "BOX" if prefix == "RUN" else "NUMBER")
    class_id = annotation.get("detectionClass", 1)
    if type(class_id) is not int or abs(class_id) >= 2**31:
        yield structure, "a class id is not an integer", ("detectionClass",), "write it without quotes and decimals"
    if type(annotation.get("detectionString", "")) is not str:
        yield structure, "a class name is not a string", ("detectionString",), "write it in quotes"
    if prefix == "RUN" and not _is_number(score := annotation.get("score", 1)):
        yield "SCORE", f"the score is {_not_a_number(score)}", ("score",), "write the confidence as a number from 0 to 1"


def _box_faults(box: Any, rule: str) -> Iterator[tuple[str, str, tuple[str | int, ...], str]]:
    if type(box) is not list or len(box) != 4:
        yield rule, "a box is not four numbers", ("box",), _BOX_HINT
        return
    for index, value in enumerate(box):
        if not _is_number(value):
            yield rule, f"a value of a box is {_not_a_number(value)}", ("box", index), _BOX_HINT


def _not_a_number(value: object) -> str:
    if type(value) is str:
        return "a string, not a number"
    if type(value) not in _NUMBERS:
        return "not a number"
    # Also an integer that no float holds.
    return f"a number beyond {_LARGEST:g}" if abs(value) < math.inf else "not a finite number"  # type: ignore[arg-type]


def _declared_size(record: JsonRecord, name: str, report: Report) -> tuple[int, int] | None:
    """Return the declared width and height, ``None`` where either is missing or makes no sense."""
    sides = []
    for key in ("width", "height"):
        side = record.value.get(key)
        if type(side) is int and 0 < side <= MAX_SIDE:
            sides.append(side)
        elif report.prefix == "RUN" and key not in record.value:
            report.error("STRUCTURE", f'the record has no "{key}"', line=record.line, id=name, hint=_RECORD_HINT)
        elif key in record.value and not record.is_told(key):
            report.add(
                *((Severity.ERROR, "STRUCTURE") if report.prefix == "RUN" else (Severity.WARNING, "IMAGE-SIZE")),
                f"the {key} is not a positive integer",
                line=record.line_of(key),
                id=name,
                value=record.source(key),
                hint="write the image's size in pixels",
            )
    return (sides[0], sides[1]) if len(sides) == 2 else None


def _locate(record: JsonRecord, index: int, part: str) -> tuple[int, str]:
    keys = ("annotations", index, _PARTS[part])
    return record.line_of(*keys), record.source(*keys)


def format_records(records: Iterable[dict[str, Any]]) -> str:
    """Return records as the text of a 2021 file, one record a line.

    Raises:
        ValueError: If a record holds NaN or an infinity.
    """
    lines = ",\n".join(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


def make_record(
    name: str,
    size: tuple[int, int],
    boxes: NDArray[np.floating],
    labels: NDArray[np.int64],
    scores: NDArray[np.floating] | None,
    classes: dict[int, str],
) -> dict[str, Any]:
    """Return the 2021 record of an image; without scores that of a truth, whose scores are 1.

    Args:
        name: File name of the image.
        size: Its width and height in pixels.
        boxes: ``(N, 4)`` xyxy in pixels.
        labels: ``(N,)`` class ids.
        scores: ``(N,)`` confidences.
        classes: Class names by id.
    """
    width, height = size
    relative = np.asarray(boxes, dtype=np.float64) / np.array([width, height] * 2)
    ordered = np.stack(
        (relative[:, 1], relative[:, 0], relative[:, 3] - relative[:, 1], relative[:, 2] - relative[:, 0]), axis=1
    )
    annotations = [
        {"box": box, "detectionClass": label, "detectionString": classes[label], "score": score}
        for box, label, score in zip(
            ordered.tolist(), labels.tolist(), [1] * len(labels) if scores is None else scores.tolist(), strict=True
        )
    ]
    return {"file": name, "width": width, "height": height, "annotations": annotations}


# ------------------------------------------------------------------------------------------------------------ 2020: text

_SCORE, _INTEGER, _DECIMAL = map(re.compile, (SCORE_FORM, INTEGER_FORM, DECIMAL_FORM))
_DETECTION = re.compile(rf"({SCORE_FORM}):({INTEGER_FORM})x({INTEGER_FORM})\+({INTEGER_FORM})\+({INTEGER_FORM})")
_GEOMETRY = re.compile(r"([^x+]+)x([^x+]+)\+([^x+]+)\+([^x+]+)")
_DETECTION_HINT = "write score:WIDTHxHEIGHT+XMIN+YMIN in whole pixels"
_LINE_HINT = "write image.jpg;class detection,detection;class detection"


def _read_line(number: int, line: str, report: Report) -> Entry | None:
    """Take a line apart; ``None`` if it doesn't say which image it is about."""
    if not line.strip():
        report.error(_text_rule("BLANK-LINE", report), "an empty line", line=number, hint="leave it out")
        return None
    name, *blocks = line.split(";")
    if not is_file_name(name):
        rule = "UNKNOWN-ID" if report.prefix == "RUN" else "ID-PATH"
        report.error(rule, "this is no file name", line=number, value=shorten(name), hint="write the image's bare file name")
        return None
    boxes: list[tuple[int, ...]] = []
    scores: list[float] = []
    names: list[str] = []
    items: list[str] = []
    for block in blocks:
        if report.is_full():
            return None
        class_name, detections = _split_block(block, number, name, report)
        for item in detections:
            detection = None if report.is_full() else _read_detection(item, number, name, report)
            if detection is not None:
                scores.append(detection[0])
                boxes.append(detection[1])
                names.append(class_name)
                items.append(item)
    return Entry(
        id=name,
        line=number,
        size=None,
        is_relative=False,
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4)[:, [2, 3, 0, 1]],
        names=names,
        class_ids=None,
        scores=np.array(scores, dtype=np.float64),
        locate=lambda index, part: (number, _excerpt(names[index] if part == "class" else items[index])),
    )


def _text_rule(rule: str, report: Report) -> str:
    """Return the rule's name; in data sets all faults of a line are ``FIELDS``."""
    return rule if report.prefix == "RUN" else "FIELDS"


def _excerpt(text: str) -> str:
    return printable(text) if len(text) <= _SHORT_EXCERPT else printable(text[:_SHORT_EXCERPT]) + "…"


def _split_block(block: str, number: int, name: str, report: Report) -> tuple[str, list[str]]:
    """Return the class name of a block and the texts of its detections."""
    if not block:
        rule = _text_rule("TRAILING-SEPARATOR", report)
        report.error(rule, "nothing between or behind semicolons", line=number, id=name, hint="end the line without one")
        return "", []
    parts = block.split(" ")
    if len(parts) != 2 or not all(parts):
        rule = _text_rule("BLOCK", report)
        what = "a block is not a class name, one blank and detections"
        report.error(rule, what, line=number, id=name, value=_excerpt(block), hint=_LINE_HINT)
        return "", []
    return parts[0], parts[1].split(",")


def _read_detection(item: str, number: int, name: str, report: Report) -> tuple[float, tuple[int, ...]] | None:
    """Return score and (width, height, x, y) of a detection; ``None`` if it is not well formed."""
    match = _DETECTION.fullmatch(item)
    if match is not None:
        score, *geometry = match.groups()
        return float(score), tuple(map(int, geometry))
    for rule, message, hint in _detection_faults(item):
        report.error(_text_rule(rule, report), message, line=number, id=name, value=_excerpt(item), hint=hint)
    return None


def _detection_faults(item: str) -> Iterator[tuple[str, str, str]]:
    """Yield rule, message and hint for every fault of a detection."""
    if not item:
        yield "TRAILING-SEPARATOR", "nothing between or behind commas", "end the list without a comma"
        return
    confidence, colon, geometry = item.partition(":")
    if not colon:
        yield "SCORE", "a detection has no confidence and colon", _DETECTION_HINT
        geometry = item
    elif not _SCORE.fullmatch(confidence):
        yield "SCORE", "the confidence is not a finite decimal number", _DETECTION_HINT
    match = _GEOMETRY.fullmatch(geometry)
    if match is None:
        yield "GEOMETRY", "the box is not WIDTHxHEIGHT+XMIN+YMIN", _DETECTION_HINT
    elif not all(_INTEGER.fullmatch(value) for value in match.groups()):
        if all(_INTEGER.fullmatch(value) or _DECIMAL.fullmatch(value) for value in match.groups()):
            yield "NOT-INTEGER", "the box has decimals", "round to whole pixels"
        else:
            yield "GEOMETRY", "a value of the box is not an integer of at most 9 digits", _DETECTION_HINT


# ---------------------------------------------------------------------------------------------- order of a box's values


class OrderCheck:
    """Finds files whose boxes are corners ``[y0, x0, y1, x1]`` where ``[y, x, height, width]`` is due.

    Boxes written as ``[x, y, width, height]`` can't be told by looking: relative values fit the image in either order.
    """

    def __init__(self) -> None:
        self.boxes = self.leaving = self.fit_as_corners = 0

    def add(self, boxes: NDArray[np.float64]) -> None:
        """Count relative boxes ``(N, 4)`` x, y, width, height."""
        if not len(boxes):
            return
        ends = boxes[:, :2] + boxes[:, 2:]
        leaving = (ends > 1.001).any(axis=1)  # noise and loose boxes apart
        corners = (boxes[:, :2] < boxes[:, 2:]).all(axis=1) & (boxes >= 0).all(axis=1) & (boxes <= 1).all(axis=1)
        self.boxes += len(boxes)
        self.leaving += int(leaving.sum())
        self.fit_as_corners += int(corners.sum())

    def tell(self, report: Report) -> None:
        """Warn if most boxes leave their image unless they are read as corners."""
        if 2 * self.leaving > self.boxes and 10 * self.fit_as_corners >= 9 * self.boxes:
            report.warning(
                "BOX-ORDER",
                "most boxes leave their image, but would fit if they were corners",
                value=f"{self.leaving} of {self.boxes} boxes leave the image",
                hint="the order is [y, x, height, width], not [y0, x0, y1, x1]",
            )
