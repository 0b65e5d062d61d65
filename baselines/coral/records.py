"""Truths and predictions of the coral tasks, and the reader of the annotation files as distributed."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from baselines.coral.shapes import NO_SHAPES, Shapes, are_repeated, cross_themselves, have_repeats
from baselines.coral.task import IMAGE_SIZE, SUBSTRATES
from baselines.core.files import Report, Tally, read_text, show_id, sniff_separator, write_atomic
from baselines.core.findings import Findings, Severity, shorten

Kind = Literal["boxes", "polygons"]
KINDS: dict[str, Kind] = {"coral-annotation": "boxes", "coral-parsing": "polygons"}

_BOX_FIELDS = 8
_LEAST_FIELDS = 6  # of a polygon with a single point
_LABELS = {name: label for label, name in SUBSTRATES.items()}
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_LINE_HINT: dict[Kind, str] = {
    "boxes": "a line is: image seq substrate 1 xmin ymin xmax ymax",
    "polygons": "a line is: image seq substrate 1 x1 y1 x2 y2 …",
}


@dataclass(frozen=True, slots=True)
class Truth:
    """The objects of one image.

    Attributes:
        id: The image's name, without extension.
        width: Width in pixels.
        height: Height in pixels.
        shapes: N outlines in whole pixels within the image; those of boxes are their four corners.
        labels: ``(N,) int64`` campaign index of each substrate.
        numbers: ``(N,) int64`` what the file calls ``seq``; it can have gaps and means nothing here.
    """

    id: str
    width: int
    height: int
    shapes: Shapes
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Detections in one image.

    Attributes:
        id: The image's name, without extension.
        shapes: N outlines in pixels of the image file; those of boxes are their four corners (:meth:`Shapes.of_boxes`).
        labels: ``(N,) int64`` campaign index of each substrate.
        scores: ``(N,)`` float in [0, 1].
    """

    id: str
    shapes: Shapes
    labels: NDArray[np.int64]
    scores: NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split.

    Attributes:
        truths: The truths by id.
        kind: Whether the objects are boxes or polygons.
        classes: The substrates by campaign index.
    """

    truths: Mapping[str, Truth]
    kind: Kind
    classes: Mapping[int, str] = field(default_factory=lambda: SUBSTRATES)


def read_truth(path: Path, task: str, findings: Findings, *, size: tuple[int, int] = IMAGE_SIZE) -> TruthSet:
    """Read an annotation file of 2019, 2020 or 2021, of boxes or of polygons.

    What is tolerated is a warning or an info; errors mean that the truths are not to be used. Boxes are read as the extremes of
    two corners, whichever these are. That is wrong for files of width, height, xmin and ymin; they show by a first number over
    the third and are refused.

    Args:
        path: The file, under any name.
        task: The task's id; its kind of objects is due.
        findings: Where everything noteworthy is reported, with ``DATA`` codes.
        size: Width and height of the images, which the file doesn't say.

    Returns:
        A truth for every image that has a line, in the order of the file. Objects are clipped to the image; those without size,
        and rings of fewer than three distinct points, are left out.
    """
    report, kind = Report(findings, str(path), "DATA"), KINDS[task]
    separator = sniff_separator(path, (" ", "\t", ",", ";", "|"), lambda fields: len(fields) >= _LEAST_FIELDS)
    found = _recognise(path, separator)
    if found is not None and found != kind:
        hint = f"give the file of {kind}"
        report.error("FIELDS", f"this is a file of {found}, and {task} needs {kind}", hint=hint)
        return TruthSet({}, kind)
    judge = _Judge(report, kind, size)
    for number, line in read_text(path, findings, "DATA"):
        if not report.is_full():
            judge.add(number, line, separator)
    return judge.finish()


def truths_of_ids(ids: Iterable[str], task: str) -> TruthSet:
    """Return truths without objects, to hold a run against ids alone; images are of the usual size."""
    nothing = np.zeros(0, np.int64)
    return TruthSet({name: Truth(name, *IMAGE_SIZE, NO_SHAPES, nothing, nothing) for name in ids}, KINDS[task])


def write_truth(path: Path, truth_set: TruthSet) -> None:
    """Write an annotation file as it was distributed in 2021, whole or not at all.

    Reading it gives the same truths, but for images without objects: the format has no place for them.
    """
    lines = [line for truth in truth_set.truths.values() for line in _lines_of(truth, truth_set)]
    write_atomic(path, "".join(lines))


def _lines_of(truth: Truth, truth_set: TruthSet) -> Iterator[str]:
    corners = truth.shapes.boxes().astype(np.int64)
    for index, (label, number) in enumerate(zip(truth.labels.tolist(), truth.numbers.tolist(), strict=True)):
        values = corners[index] if truth_set.kind == "boxes" else truth.shapes[index].ravel()
        yield " ".join([truth.id, str(number), truth_set.classes[label], "1", *map(str, values.tolist())]) + "\n"


def nearest_substrate(name: str) -> str:
    """Say which substrate a wrong name may mean."""
    plain = name.strip().lower()[:100]
    near = difflib.get_close_matches(plain if plain.startswith("c_") else f"c_{plain}", _LABELS, n=1)
    return f"did you mean {near[0]}?" if near else "the substrates are " + ", ".join(_LABELS)


# ------------------------------------------------------------------------------------------------------------- reading


def _recognise(path: Path, separator: str) -> Kind | None:
    """Return what most lines of a file hold; a line of 8 fields can be a polygon of two points, but most are not."""
    fields = Counter(len(_split(line, separator)) for _, line in read_text(path, Findings(), "DATA"))
    boxes, all_lines = fields[_BOX_FIELDS], sum(count for number, count in fields.items() if number >= _LEAST_FIELDS)
    if not all_lines:
        return None  # whose lines say what is wrong
    return "boxes" if 2 * boxes > all_lines else "polygons"


def _split(line: str, separator: str) -> list[str]:
    """Return the fields of a line; ``str.split`` without an argument would also cut at characters such as U+2028."""
    return [part for part in line.replace(separator, " ").replace("\t", " ").split(" ") if part]


@dataclass(frozen=True, slots=True)
class _Line:
    """One object as its line has it."""

    number: int  # of the line
    id: str
    seq: int
    name: str
    excerpt: str


@dataclass(slots=True)
class _Objects:
    """The objects of an image so far, with the lines that they are from."""

    lines: list[_Line] = field(default_factory=list)
    rings: list[NDArray[np.int32]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # also those of objects that were left out


class _Judge:
    """Takes lines apart, collects the objects of each image, and reports what is odd about them."""

    def __init__(self, report: Report, kind: Kind, size: tuple[int, int]) -> None:
        self.report, self.kind, self.size = report, kind, size
        # Boxes end at the edge behind the last pixel; the points of a ring are pixels.
        limits = (size[0], size[1]) if kind == "boxes" else (size[0] - 1, size[1] - 1)
        self.limits = np.array(limits, np.int64)
        self.images: dict[str, _Objects] = {}
        self.unknown: set[str] = set()
        self.separators, self.flipped, self.swapped, self.repeats = Tally(), Tally(), Tally(), Tally()

    def add(self, number: int, line: str, separator: str) -> None:
        """Take a line."""
        fields = _split(line, separator)
        if line != " ".join(fields):
            self.separators.add(number, shorten(line))
        if not fields:
            self.report.info("BLANK-LINE", "an empty line", line=number, hint="it is ignored")
            return
        read = self._read(number, fields)
        if read is None:
            return
        image = self.images.setdefault(read.id, _Objects())
        image.numbers.append(read.seq)
        if read.name not in _LABELS:
            if read.name not in self.unknown:
                self.unknown.add(read.name)
                what = "no such substrate, told once for all lines that have it"
                self._tell(Severity.ERROR, "CLASS-UNKNOWN", what, read, nearest_substrate(read.name))
            return
        ring = self._clip(read, np.array(fields[4:], np.int64).reshape(-1, 2))
        if ring is not None:
            image.lines.append(read)
            image.rings.append(ring)

    def finish(self) -> TruthSet:
        """Report what only shows in the whole file, and return the truths."""
        if self.images:
            hint = "taken to be {}x{}, as all that are known".format(*self.size)
            self.report.info("IMAGE-SIZE-ASSUMED", "the file doesn't say how large the images are", hint=hint)
        warning, hint = Severity.WARNING, "single blanks are due; it is read all the same"
        self._tell_lines(self.separators, warning, "SEPARATOR", "separated by more, or by other than one blank", hint)
        hint = "as in 2020; the lesser one is taken for ymin"
        self._tell_lines(self.flipped, warning, "BOX-ORDER", "ymax before ymin", hint)
        hint = "in every known order of corners it comes last: is this width, height, xmin, ymin? Convert the file"
        self._tell_lines(self.swapped, Severity.ERROR, "BOX-ORDER", "xmax before xmin", hint)
        truths = {name: self._truth(name, image) for name, image in self.images.items()}
        what, hint = "the ring repeats points or goes back its way", "they are kept as they are"
        self._tell_lines(self.repeats, Severity.INFO, "POLY-REPEATED", what, hint)
        return TruthSet(truths, self.kind)

    def _read(self, number: int, fields: list[str]) -> _Line | None:
        """Check the form of a line; ``None`` if nothing can be made of it."""
        name, *rest = fields
        hint = _LINE_HINT[self.kind]
        if (len(fields) != _BOX_FIELDS) if self.kind == "boxes" else (len(fields) < _LEAST_FIELDS):
            seen = shorten(" ".join(fields[:12]))
            self.report.error("FIELDS", f"a line of {len(fields)} fields", line=number, value=seen, hint=hint)
            return None
        seq, substrate, confidence, *texts = rest
        if ";" in name:
            hint = "in a run a semicolon ends the image's name"
            self.report.error("FIELDS", "an image's name with a semicolon", line=number, value=shorten(name), hint=hint)
            return None
        wrong = next((text for text in (seq, *texts) if not _INTEGER.fullmatch(text)), None)
        if wrong is not None:
            what = "not an integer of at most 9 digits"
            self.report.error("NUMBER", what, line=number, id=show_id(name), value=shorten(wrong), hint=hint)
            return None
        line = _Line(number, name, int(seq), substrate, shorten(" ".join([substrate, *texts[:12]])))
        if len(texts) % 2:
            hint = "x and y come in pairs"
            self._tell(Severity.ERROR, "POLY-FEW-POINTS", "an odd number of coordinates", line, hint)
            return None
        if confidence != "1":
            hint = "of truths it is always 1, and it is not used"
            what = f"the confidence is {shorten(confidence)}"
            self._tell(Severity.WARNING, "CONFIDENCE", what, line, hint)
        return line

    def _clip(self, line: _Line, points: NDArray[np.int64]) -> NDArray[np.int32] | None:
        """Return the ring of an object within the image; ``None``, with a finding, if nothing is left of it."""
        if self.kind == "boxes":
            self._look_at_order(line, points)
        elif len(np.unique(points, axis=0)) < 3:
            self._tell(Severity.WARNING, "POLY-FEW-POINTS", "fewer than 3 distinct points", line, "the object is left out")
            return None
        clipped = np.clip(points, 0, self.limits)
        low, high = clipped.min(axis=0), clipped.max(axis=0)
        if not (low < high).all():
            what = "no width or no height" + ("" if (points == clipped).all() else " within the image")
            self._tell(Severity.WARNING, "BOX-ZERO", what, line, "the object is left out")
            return None
        if (points != clipped).any():
            hint = f"it is clipped to 0 to {self.limits[0]} in x and 0 to {self.limits[1]} in y"
            self._tell(Severity.WARNING, "OUT-OF-IMAGE", "the object leaves the image", line, hint)
        if self.kind == "boxes":
            return Shapes.of_boxes(np.concatenate([low, high])).points.astype(np.int32)
        return clipped.astype(np.int32)

    def _look_at_order(self, line: _Line, corners: NDArray[np.int64]) -> None:
        is_before = corners[1] < corners[0]
        if is_before[1]:
            self.flipped.add(line.number, line.excerpt)
        if is_before[0]:
            self.swapped.add(line.number, line.excerpt)

    def _truth(self, name: str, image: _Objects) -> Truth:
        """Make the truth of an image, and report what is odd about its objects together."""
        shapes = Shapes.of_rings(image.rings)
        labels = np.array([_LABELS[line.name] for line in image.lines], np.int64)
        warning = Severity.WARNING
        for index in np.flatnonzero(are_repeated(shapes, labels)).tolist():
            what, hint = "an earlier object of the image has the same substrate and place", "both count"
            self._tell(warning, "DUPLICATE-OBJECT", what, image.lines[index], hint)
        if self.kind == "polygons":
            for index in np.flatnonzero(have_repeats(shapes)).tolist():
                self.repeats.add(image.lines[index].number, image.lines[index].excerpt)
            for index in np.flatnonzero(cross_themselves(shapes)[0]).tolist():
                self._tell(warning, "POLY-SELF-INTERSECT", "the ring meets itself", image.lines[index], "it is kept as it is")
        if sorted(image.numbers) != list(range(len(image.numbers))):
            hint = "seq is a label only"
            self.report.info("SEQ-GAP", "seq doesn't count from 0 without gaps", id=show_id(name), hint=hint)
        numbers = np.array([line.seq for line in image.lines], np.int64)
        return Truth(name, *self.size, shapes, labels, numbers)

    def _tell_lines(self, lines: Tally, severity: Severity, rule: str, message: str, hint: str) -> None:
        lines.tell(self.report, severity, rule, f"{lines.count} lines, from this one on: {message}", hint)

    def _tell(self, severity: Severity, rule: str, message: str, line: _Line, hint: str) -> None:
        name = show_id(line.id)
        self.report.add(severity, rule, message, line=line.number, id=name, value=line.excerpt, hint=hint)
