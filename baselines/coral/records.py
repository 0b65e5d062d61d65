"""Truths and predictions of the coral tasks, and the reader of the annotation files as distributed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baselines.coral.archive import (
    Archive,
    Kind,
    find_files,
    hold_out,
    place_of,
    report_sizes,
)
from baselines.coral.shapes import MAX_PAIRS, NO_SHAPES, Budget, Shapes, are_repeated, cross_themselves, have_repeats
from baselines.coral.task import IMAGE_SIZE, SUBSTRATES
from baselines.core.files import SNIFFED_LENGTH, Report, Tally, read_text, sniff_separator
from baselines.core.findings import Findings, InvalidInput, Severity, UsageError, invalid, nearest, shorten, show_id
from baselines.core.images import ImageHeader, read_header, report_rotation, why_unreadable
from baselines.core.outputs import write_atomic
from baselines.core.runs import Code
from baselines.core.sample_sets import is_sample

MAX_LINES = 100_000  # of a file: over four times those of the largest that is known
MAX_LINE_LENGTH = 1_000_000  # characters; an outline of 100,000 points

KINDS: dict[str, Kind] = {"coral-annotation": "boxes", "coral-parsing": "polygons"}

_LOOKED_AT = 10_000  # lines that tell boxes from polygons
_BOX_FIELDS = 8
_LEAST_FIELDS = 6  # of a polygon with a single point
_LABELS = {name: label for label, name in SUBSTRATES.items()}
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_LINE_HINT: dict[Kind, str] = {
    "boxes": "a line is: image seq substrate 1 xmin ymin xmax ymax",
    "polygons": "a line is: image seq substrate 1 x1 y1 x2 y2 …",
}

# What the reader finds beside what all readers do; of several severities the one that a release is held to.
CODES: dict[str, Code] = {
    "DATA-BOX-ORDER": Code(
        Severity.ERROR, "xmax before xmin; a warning where only ymax is before ymin", "width, height, xmin and ymin in the file"
    ),
    "DATA-BOX-ZERO": Code(
        Severity.ERROR, "an object without width or height, or outside of the image; the reader leaves it out", "5 5 9 5"
    ),
    "DATA-BOXES-DERIVED": Code(
        Severity.INFO, "there is no file of boxes: they are made from the polygons", "a release of polygons alone"
    ),
    "DATA-CONFIDENCE": Code(Severity.WARNING, "the confidence of a truth is not 1", "c_sponge 0.9 5 5 9 9"),
    "DATA-DUPLICATE-OBJECT": Code(Severity.WARNING, "the same substrate and geometry twice in an image", "two equal lines"),
    "DATA-OUT-OF-IMAGE": Code(Severity.WARNING, "an object leaves the image; the reader clips it", "x of 6081"),
    "DATA-POLY-FEW-POINTS": Code(
        Severity.ERROR, "fewer than 3 distinct points, or an odd number of coordinates", "c_sponge 1 5 5"
    ),
    "DATA-POLY-REPEATED": Code(Severity.INFO, "a ring repeats points or goes back its way", "5 5 5 5 9 9"),
    "DATA-POLY-SELF-INTERSECT": Code(Severity.WARNING, "a ring meets itself", "a bow tie"),
    "DATA-SEQ-GAP": Code(Severity.INFO, "seq doesn't count from 0 without gaps", "0, 1, 3"),
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
class Sample:
    """One image and, where the split has them, its objects.

    Attributes:
        id: The image's name, without extension.
        image: Path of the image file; decoded without EXIF rotation.
        truth: Its objects; ``None`` in a test set.
        place: The subset that it belongs to.
    """

    id: str
    image: Path
    truth: Truth | None
    place: str


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


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a data set.

    Attributes:
        name: ``train``, ``val``, ``all`` or ``test``.
        samples: Its images, by ascending id.
        truth_set: Their truths; of a test set truths without objects, for the sizes.
    """

    name: str
    samples: tuple[Sample, ...]
    truth_set: TruthSet


def read_truth(
    path: Path,
    task: str,
    findings: Findings,
    *,
    size: tuple[int, int] = IMAGE_SIZE,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> TruthSet:
    """Read an annotation file of 2019, 2020 or 2021, of boxes or of polygons.

    What is tolerated is a warning or an info; errors mean that the truths are not to be used. Boxes are read as the extremes of
    two corners, whichever these are. That is wrong for files of width, height, xmin and ymin; they show by a first number over
    the third and are refused.

    Args:
        path: The file, under any name.
        task: The task's id; its kind of objects is due.
        findings: Where everything noteworthy is reported, with ``DATA`` codes.
        size: Width and height of the images, which the file doesn't say.
        sizes: Those of single images by id, where they are known.

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
    judge = _Judge(report, kind, size, sizes or {})
    for number, line in read_text(path, findings, "DATA"):
        if number > MAX_LINES:
            report.error("TOO-LARGE", f"the file has more than {MAX_LINES:,} lines", line=number, hint="is it the right file?")
            break
        if len(line) > MAX_LINE_LENGTH:
            hint = "is it an outline?"
            report.error("TOO-LARGE", f"the line is longer than {MAX_LINE_LENGTH:,} characters", line=number, hint=hint)
        elif not report.is_full():
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
    return nearest(plain if plain.startswith("c_") else f"c_{plain}", _LABELS, "the substrates are")


# ------------------------------------------------------------------------------------------------------------- reading


def _recognise(path: Path, separator: str) -> Kind | None:
    """Return what most of a file's first lines hold; a line of 8 fields can be a polygon of two points, but most are not."""
    fields = Counter(
        len(_split(line[:SNIFFED_LENGTH], separator)) for _, line in islice(read_text(path, Findings(), "DATA"), _LOOKED_AT)
    )
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

    def __init__(self, report: Report, kind: Kind, size: tuple[int, int], sizes: Mapping[str, tuple[int, int]]) -> None:
        self.report, self.kind, self.size, self.sizes = report, kind, size, sizes
        self.images: dict[str, _Objects] = {}
        self.unknown: set[str] = set()
        self.separators, self.flipped, self.swapped, self.repeats = Tally(), Tally(), Tally(), Tally()
        self.pairs, self.budget = MAX_PAIRS, Budget()

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
        if self.images.keys() - self.sizes.keys():
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
        # Boxes end at the edge behind the last pixel; the points of a ring are pixels.
        limits = np.array(self.sizes.get(line.id, self.size), np.int64) - (self.kind == "polygons")
        clipped = np.clip(points, 0, limits)
        low, high = clipped.min(axis=0), clipped.max(axis=0)
        if not (low < high).all():
            what = "no width or no height" + ("" if (points == clipped).all() else " within the image")
            self._tell(Severity.WARNING, "BOX-ZERO", what, line, "the object is left out")
            return None
        if (points != clipped).any():
            hint = f"it is clipped to 0 to {limits[0]} in x and 0 to {limits[1]} in y"
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
        over = self.budget.why_over(shapes)
        if over:
            self._tell(Severity.ERROR, "TOO-LARGE", over, image.lines[0], "is it the right file?")
        elif self.kind == "polygons":
            for index in np.flatnonzero(have_repeats(shapes)).tolist():
                self.repeats.add(image.lines[index].number, image.lines[index].excerpt)
            crossing, pairs = cross_themselves(shapes, self.pairs)
            self.pairs -= pairs
            for index in np.flatnonzero(crossing).tolist():
                self._tell(warning, "POLY-SELF-INTERSECT", "the ring meets itself", image.lines[index], "it is kept as it is")
        if sorted(image.numbers) != list(range(len(image.numbers))):
            hint = "seq is a label only"
            self.report.info("SEQ-GAP", "seq doesn't count from 0 without gaps", id=show_id(name), hint=hint)
        numbers = np.array([line.seq for line in image.lines], np.int64)
        return Truth(name, *self.sizes.get(name, self.size), shapes, labels, numbers)

    def _tell_lines(self, lines: Tally, severity: Severity, rule: str, message: str, hint: str) -> None:
        lines.tell(self.report, severity, rule, f"{lines.count} lines, from this one on: {message}", hint)

    def _tell(self, severity: Severity, rule: str, message: str, line: _Line, hint: str) -> None:
        name = show_id(line.id)
        self.report.add(severity, rule, message, line=line.number, id=name, value=line.excerpt, hint=hint)


# -------------------------------------------------------------------------------------------------------------- splits

SPLITS = ("train", "val", "all", "test")


def read_split(
    root: Path,
    task: str,
    split: str,
    findings: Findings,
    *,
    split_seed: int = 0,
    val_share: float = 0.2,
    by_place: bool = True,
) -> Split:
    """Read one split of a data set of 2019, 2020 or 2021, under whatever names its files have.

    The campaign made no validation set: ``train`` and ``val`` are what :func:`baselines.coral.archive.hold_out` makes of the
    development set. Images without annotations, and annotations without an image, are left out with a warning. Where there
    is no file of boxes, they are the extremes of the polygons, which is how the organisers made theirs.

    Args:
        root: The data root, which holds ``coral``; the ``coral`` folder itself will do.
        task: The task's id; its kind of objects is read.
        split: ``train``, ``val``, ``all`` (the whole development set) or ``test``.
        findings: Where everything noteworthy is reported, as by :func:`read_truth`.
        split_seed: Seed of the division.
        val_share: Share of the images in ``val``, from 0 to 1.
        by_place: Whether whole places are held out; else images of all of them.

    Raises:
        InvalidInput: If the files are not there, or there are several to choose from.
        UsageError: If there is no such split.
    """
    if split not in SPLITS:
        raise UsageError(f"no split {split!r}: the splits are {', '.join(SPLITS)}")
    archive = find_files(root, findings, test=split == "test")
    if not archive.images:
        raise _missing(archive, root, task, f"no images of the {'test' if split == 'test' else 'training'} set")
    headers = _read_headers(archive, findings)
    if split == "test":
        names = {path.stem: path for key, path in archive.images.items() if key in headers}
        return _as_split(split, names, _empty_truths(names, headers, task), task)
    truths = _read_truths(archive, root, task, headers, findings)
    names = {name: archive.images[name.lower()] for name in sorted(truths)}
    if split != "all":
        places = {name: place_of(name, path.parent.name) for name, path in names.items()}
        held_out = hold_out(places, val_share, split_seed, by_place=by_place)
        names = {name: path for name, path in names.items() if (name in held_out) == (split == "val")}
    return _as_split(split, names, truths, task)


def _as_split(split: str, images: Mapping[str, Path], truths: Mapping[str, Truth], task: str) -> Split:
    kept = {name: truths[name] for name in sorted(images)}
    samples = tuple(
        Sample(name, images[name], None if split == "test" else truth, place_of(name, images[name].parent.name))
        for name, truth in kept.items()
    )
    return Split(split, samples, TruthSet(kept, KINDS[task]))


def _empty_truths(names: Mapping[str, Path], headers: Mapping[str, ImageHeader], task: str) -> dict[str, Truth]:
    empty = truths_of_ids(names, task).truths
    sizes = {name: headers[name.lower()] for name in names}
    return {name: replace(truth, width=sizes[name].width, height=sizes[name].height) for name, truth in empty.items()}


def _read_headers(archive: Archive, findings: Findings) -> dict[str, ImageHeader]:
    """Return the headers of the images that can be read, and report what is odd about them."""
    headers: dict[str, ImageHeader] = {}
    for key, path in archive.images.items():
        report = Report(findings, str(path), "DATA")
        try:
            headers[key] = read_header(path)
        except OSError as error:
            report.error(*why_unreadable(path, error), id=path.stem, hint="fetch the image again, or remove it")
            continue
        report_rotation(headers[key], report, id=path.stem)
    if not any(is_sample(folder, archive.folder) for folder in {path.parent for path in archive.images.values()}):
        report_sizes(headers.values(), IMAGE_SIZE, Report(findings, str(archive.folder), "DATA"))
    return headers


def _read_truths(
    archive: Archive, root: Path, task: str, headers: Mapping[str, ImageHeader], findings: Findings
) -> dict[str, Truth]:
    """Read the annotations of the images that are there."""
    kind = KINDS[task]
    path = _only(archive, kind) or (_only(archive, "polygons") if kind == "boxes" else None)
    if path is None:
        raise _missing(archive, root, task, f"no file of {kind}")
    sizes = {image.stem: (headers[key].width, headers[key].height) for key, image in archive.images.items() if key in headers}
    derived = path not in archive.texts[kind]
    source = "coral-parsing" if derived else task
    truths = read_truth(path, source, findings, sizes=_by_any_case(sizes, path)).truths
    report = Report(findings, str(path), "DATA")
    if derived:
        report.info("BOXES-DERIVED", "there is no file of boxes", hint="they are the extremes of the polygons")
        truths = {name: replace(truth, shapes=Shapes.of_boxes(truth.shapes.boxes())) for name, truth in truths.items()}
    stems = {key: image.stem for key, image in archive.images.items()}
    for name in truths:
        if name.lower() not in stems:
            report.warning("ID-NO-IMAGE", "the image is missing", id=show_id(name), hint="its objects are left out")
        elif stems[name.lower()] != name:
            seen, hint = stems[name.lower()], "they are taken for the same"
            report.warning("ID-CASE", "the image file's name has other letters", id=show_id(name), value=seen, hint=hint)
    named = {name.lower() for name in truths}
    for key in sorted(stems.keys() - named):
        what, hint = "the image has no annotations", "it is left out"
        Report(findings, str(archive.images[key]), "DATA").warning("ID-NO-LABEL", what, id=stems[key], hint=hint)
    return {name: truth for name, truth in truths.items() if name.lower() in headers}


def _by_any_case(sizes: Mapping[str, tuple[int, int]], path: Path) -> dict[str, tuple[int, int]]:
    """Return sizes by the ids as an annotation file spells them."""
    lower = {name.lower(): size for name, size in sizes.items()}
    names = {line.split(" ", 1)[0] for _, line in read_text(path, Findings(), "DATA")}
    return {name: lower[name.lower()] for name in names if name.lower() in lower}


def _only(archive: Archive, kind: Kind) -> Path | None:
    """Return the one file of a kind, or ``None``.

    Raises:
        InvalidInput: If there are several.
    """
    found = archive.texts[kind]
    if len(found) > 1:
        seen = ", ".join(str(path.relative_to(archive.folder)) for path in found[:4])
        hint = "point data.root, or --data, at the folder of one release, or move the others away"
        raise invalid("DATA-FILE-AMBIGUOUS", f"{len(found)} files of {kind}", file=archive.folder, value=seen, hint=hint)
    return found[0] if found else None


def _missing(archive: Archive, root: Path, task: str, message: str) -> InvalidInput:
    looked = f"looked in {archive.folder} and below" if root.is_dir() else "there is no such folder"
    hint = f"{looked}; point data.root, or --data, at the folder that holds coral/, or run `imageclef sample {task}`"
    return invalid("DATA-FILE-MISSING", message, file=root, hint=hint)
