"""The run format of the coral tasks: a line for each image, in it a block for each substrate, in that the detections.

A run is held to every rule of :data:`CODES`, all at once. The campaign's own rules are not known: what counts as an error is
this project's decision (spec page 3.2).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.coral.archive import Kind
from baselines.coral.records import Prediction, Truth, TruthSet, nearest_substrate
from baselines.coral.shapes import (
    MAX_PAIRS,
    NO_SHAPES,
    Budget,
    Shapes,
    are_flat,
    are_repeated,
    cross_themselves,
    have_repeats,
    shorten_ring,
    tidy_ring,
)
from baselines.coral.task import IMAGE_SIZE, MAX_DETECTIONS, MAX_POINTS, SUBSTRATES
from baselines.core.files import Report
from baselines.core.findings import Findings, Severity, printable, shorten
from baselines.core.metrics.detection import rank_detections
from baselines.core.outputs import write_atomic
from baselines.core.runs import (
    DECIMAL_FORM,
    FILE_CODES,
    ID_CODES,
    INTEGER_FORM,
    LINE_CODES,
    SCORE_FORM,
    Code,
    IdCheck,
    read_run_lines,
)

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

# Every code a run can get: how bad it is, what it means, and an example of what is wrong.
CODES: dict[str, Code] = {
    **FILE_CODES,
    **ID_CODES,
    **LINE_CODES,
    "RUN-TOO-LARGE": Code(
        _ERROR,
        "the file is over 512 MiB, or a line over 8 MiB; or the edges of all outlines cross more than "
        f"{Budget.IMAGE:,} rows of pixels in an image, or {Budget.FILE:,} in the run",
        "a thousand zigzags from top to bottom",
    ),
    # The organisers' scorer cuts the last character of the last line.
    "RUN-NO-FINAL-NEWLINE": LINE_CODES["RUN-NO-FINAL-NEWLINE"]._replace(severity=_ERROR),
    "RUN-NO-DETECTION": Code(_ERROR, "an image without any detection; a warning where images may be missing", "2018_0712_0001"),
    "RUN-TRAILING-SEPARATOR": Code(_ERROR, "nothing behind or between semicolons or commas", "2018_0712_0001;"),
    "RUN-BLOCK": Code(
        _ERROR, "a block is not a substrate, one blank and detections; or far too many blocks", "c_sponge  0.5:9x9+0+0"
    ),
    "RUN-UNKNOWN-CLASS": Code(_ERROR, "the substrate is none of the 13", "sponge 0.5:9x9+0+0"),
    "RUN-DUPLICATE-CLASS": Code(_ERROR, "a substrate has two blocks in a line", "c_sponge 1:9x9+0+0;c_sponge 1:9x9+20+20"),
    "RUN-NO-CONFIDENCE": Code(_ERROR, "a detection without confidence and colon", "c_sponge 9x9+0+0"),
    "RUN-CONFIDENCE": Code(
        _ERROR,
        "the confidence is not a finite number; outside 0 to 1, or not a decimal of at most 6 digits, it is a warning",
        "c_sponge high:9x9+0+0",
    ),
    "RUN-GEOMETRY": Code(
        _ERROR, "not a box where one is due, or not the x and y of points; not whole numbers of at most 9 digits", "0.5:9x9+0"
    ),
    "RUN-NOT-INTEGER": Code(_ERROR, "a coordinate has decimals", "0.5:9.5x9+0+0"),
    "RUN-ZERO-SIZE": Code(_ERROR, "a box without width or height; a ring with all points on one line", "0.5:0x9+0+0"),
    "RUN-OUT-OF-IMAGE": Code(_ERROR, "the box or ring leaves the image", "0.5:9x9+4030+0"),
    "RUN-REPEATED-POINT": Code(
        _WARNING, "the ring repeats a point, returns to its first one or goes back its way", "0.5:0+0+9+0+9+0+9+9"
    ),
    "RUN-TOO-MANY-POINTS": Code(_ERROR, f"the ring has more than {MAX_POINTS} points", "an outline of every border pixel"),
    "RUN-SELF-INTERSECTION": Code(_WARNING, "the ring meets itself", "0.5:0+0+9+9+9+0+0+9"),
    "RUN-DUPLICATE-DETECTION": Code(
        _WARNING, "the same substrate and geometry twice in an image: in the pixel score they cancel", "1:9x9+0+0,0.5:9x9+0+0"
    ),
    "RUN-MANY-DETECTIONS": Code(
        _WARNING,
        f"more than {MAX_DETECTIONS} detections of a substrate in an image: the average precision counts the best of them",
        "a block of 301 detections",
    ),
}

_DETECTION: dict[Kind, str] = {
    "boxes": rf"{SCORE_FORM}:{INTEGER_FORM}x{INTEGER_FORM}\+{INTEGER_FORM}\+{INTEGER_FORM}",
    "polygons": rf"{SCORE_FORM}:{INTEGER_FORM}\+{INTEGER_FORM}(?:\+{INTEGER_FORM}\+{INTEGER_FORM})*+",
}
_ONE = {kind: re.compile(pattern) for kind, pattern in _DETECTION.items()}
# Possessive, so that a long list costs no memory for ways back.
_LIST = {kind: re.compile(rf"{pattern}(?:,{pattern})*+") for kind, pattern in _DETECTION.items()}
_SCORE_ALONE, _INTEGER = re.compile(SCORE_FORM), re.compile(INTEGER_FORM)
_DECIMAL = re.compile(DECIMAL_FORM)
_BOX = re.compile(r"([^x+]*)x([^x+]*)\+([^x+]*)\+([^x+]*)")
_SHORT_SCORE = re.compile(r"[+-]?[0-9]*\.?[0-9]{0,6}")
_SEPARATORS = re.compile("[:,]")
_TO_BLANKS = str.maketrans(",x+", "   ")
_LINE_HINT = "write image;substrate detection,detection;substrate detection"
_HINTS: dict[Kind, str] = {
    "boxes": "write confidence:WIDTHxHEIGHT+XMIN+YMIN in whole pixels",
    "polygons": "write confidence:x1+y1+x2+y2+x3+y3 and so on in whole pixels",
}
_MOST_BLOCKS = 2 * len(SUBSTRATES)  # of a line that are looked at
_LABELS = {name: label for label, name in SUBSTRATES.items()}


# ------------------------------------------------------------------------------------------------------------- reading


def read_run(path: Path, truth_set: TruthSet, findings: Findings, *, allow_missing: bool = False) -> dict[str, Prediction]:
    """Read a run and report everything that is wrong with it.

    Args:
        path: The run file.
        truth_set: The images that belong in it, with their sizes and the kind of objects.
        findings: Where everything is reported; the codes are in :data:`CODES`.
        allow_missing: Whether images without a line, or without a detection, are only worth a warning.

    Returns:
        The detections in order, by image id, in the order of the file. If there are errors it is not the whole run.
    """
    report = Report(findings, str(path), "RUN")
    missing = _WARNING if allow_missing else _ERROR
    judge = _Judge(truth_set, report, missing)
    ids = IdCheck(truth_set.truths, report, unit="image", entry="line")
    predictions: dict[str, Prediction] = {}
    for number, line in read_run_lines(path, findings, final_newline=_ERROR):
        name, *blocks = line.split(";")
        prediction = judge.prediction(number, name, blocks)
        if ids.accepts(name, number):
            predictions[name] = prediction
        if judge.is_over:
            break
    ids.finish(severity=missing, consequence="they score as images without detections")
    return predictions


@dataclass(frozen=True, slots=True)
class _Block:
    """The detections of a substrate in a line, as far as they are well formed.

    Attributes:
        name: The substrate.
        confidences: N texts.
        geometries: N texts.
        scores: ``(N,)``.
        shapes: N rings.
    """

    name: str
    confidences: list[str]
    geometries: list[str]
    scores: NDArray[np.float64]
    shapes: Shapes

    def item(self, index: int) -> str:
        """Return the text of a detection, shortened."""
        return _excerpt(f"{self.confidences[index]}:{self.geometries[index]}")


def _excerpt(text: str) -> str:
    return printable(text, 60)


class _Judge:
    """Holds the lines of a run to the rules."""

    def __init__(self, truth_set: TruthSet, report: Report, missing: Severity) -> None:
        self.truths, self.kind = truth_set.truths, truth_set.kind
        self.report, self.missing = report, missing
        self.pairs, self.budget = MAX_PAIRS, Budget()
        self.is_over = False  # so many outlines that nobody should fill them, or go on reading
        self.line, self.id = 0, ""  # where we are

    def prediction(self, line: int, name: str, texts: list[str]) -> Prediction:
        """Return the detections of an image that are in order."""
        self.line, self.id = line, printable(name, 80)
        if not texts:
            hint = "add the best detection there is, whatever its confidence"
            self._tell(self.missing, "NO-DETECTION", "an image without any detection", "", hint)
        if len(texts) > _MOST_BLOCKS:
            what = f"{len(texts):,} blocks, though there are {len(SUBSTRATES)} substrates"
            self._tell(
                _ERROR, "BLOCK", what, "", f"write one of each; those behind the first {_MOST_BLOCKS} were not looked at"
            )
            del texts[_MOST_BLOCKS:]
        truth = self.truths.get(name)
        limits = np.array(IMAGE_SIZE if truth is None else (truth.width, truth.height), np.int64)
        blocks = [block for text in texts if not self.report.is_full() for block in self._blocks(text)]
        for substrate, count in Counter(block.name for block in blocks).items():
            if count > 1 and not self.report.is_full():
                hint = "put all detections of the substrate into one block"
                self._tell(_ERROR, "DUPLICATE-CLASS", f"{count} blocks of one substrate", _excerpt(substrate), hint)
        usable = [self._usable(block, limits) for block in blocks if not self.report.is_full()]
        parts = [(_LABELS[block.name], block) for block in usable if block.name in _LABELS]
        shapes = Shapes.joined([block.shapes for _, block in parts])
        labels = np.repeat(
            np.array([label for label, _ in parts], np.int64), np.array([len(block.shapes) for _, block in parts], np.int64)
        )
        over = self.budget.why_over(shapes)
        if over:
            self.is_over = True
            self._tell(_ERROR, "TOO-LARGE", over, "", "write fewer detections, or simpler outlines")
        return Prediction(name, shapes, labels, np.concatenate([np.zeros(0), *(block.scores for _, block in parts)]))

    def _blocks(self, text: str) -> Iterator[_Block]:
        """Take a block apart; nothing comes of it if it has no detections."""
        if not text:
            what = "nothing between or behind semicolons"
            self._tell(_ERROR, "TRAILING-SEPARATOR", what, "", "end the line without a semicolon")
            return
        fields = text.split(" ")
        if len(fields) != 2 or not all(fields):
            what = "a block is not a substrate, one blank and detections"
            self._tell(_ERROR, "BLOCK", what, _excerpt(text), _LINE_HINT)
            return
        name, detections = fields
        if not _LIST[self.kind].fullmatch(detections):
            detections = self._well_formed(detections)
        yield _parse(name, detections, self.kind)

    def _well_formed(self, detections: str) -> str:
        """Return the detections that are well formed, and report the others."""
        kept, matches = [], _ONE[self.kind].fullmatch
        for item in detections.split(","):
            if matches(item):
                kept.append(item)
            elif self.report.is_full():
                break
            else:
                for rule, message, hint in _faults(item, self.kind):
                    self._tell(_ERROR, rule, message, _excerpt(item), hint)
        return ",".join(kept)

    def _usable(self, block: _Block, limits: NDArray[np.int64]) -> _Block:
        """Return the detections of a block that are in order."""
        if block.name not in _LABELS:
            what = "there is no such substrate"
            self._tell(_ERROR, "UNKNOWN-CLASS", what, _excerpt(block.name), nearest_substrate(block.name))
        self._look_at_scores(block)
        if len(block.scores) > MAX_DETECTIONS:
            hint = f"the average precision counts the {MAX_DETECTIONS} with the highest confidence"
            what = f"{len(block.scores)} detections of a substrate in an image"
            self._tell(_WARNING, "MANY-DETECTIONS", what, _excerpt(block.name), hint)
        kept = np.flatnonzero(~self._wrong(block, limits))
        shapes = block.shapes.take(kept)
        again = kept[are_repeated(shapes, np.zeros(len(shapes), np.int64))]
        hint = "write it once: the second one counts as wrong, and in the pixel score the two cancel"
        self._tell_some(block, again, "DUPLICATE-DETECTION", "the same substrate and geometry as another", hint)
        if self.kind == "polygons":
            self._look_at_rings(block, shapes, kept)
        return _Block(block.name, [], [], block.scores[kept], Shapes(shapes.points.astype(np.int32), shapes.offsets))

    def _look_at_scores(self, block: _Block) -> None:
        outside = np.flatnonzero((block.scores < 0) | (block.scores > 1))
        self._tell_some(block, outside, "CONFIDENCE", "a confidence outside 0 to 1", "only their order counts")
        long = {text for text in set(block.confidences) if not _SHORT_SCORE.fullmatch(text)}
        if long:
            indices = np.array([index for index, text in enumerate(block.confidences) if text in long], np.int64)
            what = "a confidence that is not a decimal of at most 6 digits"
            self._tell_some(block, indices, "CONFIDENCE", what, "round it")

    def _wrong(self, block: _Block, limits: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Report the shapes that have no size, leave the image or have too many points; return which these are, ``(N,)``."""
        shapes = block.shapes
        flat, many = self._flat(shapes), shapes.counts > MAX_POINTS
        self._tell_each(block, flat, "ZERO-SIZE", "no width, no height, or all points on one line", "leave it out")
        self._tell_each(block, many, "TOO-MANY-POINTS", f"a ring of more than {MAX_POINTS} points", "simplify the ring")
        highest = limits if self.kind == "boxes" else limits - 1
        outside = shapes.any_point(np.asarray(((shapes.points < 0) | (shapes.points > highest)).any(axis=1))) & ~flat
        for index in np.flatnonzero(outside).tolist():
            if self.report.is_full():
                break
            (x0, y0), (x1, y1) = shapes[index].min(axis=0).tolist(), shapes[index].max(axis=0).tolist()
            hint = f"it spans x {x0} to {x1} and y {y0} to {y1}; allowed are 0 to {highest[0]} and 0 to {highest[1]}"
            self._tell(_ERROR, "OUT-OF-IMAGE", "the box or ring leaves the image", block.item(index), hint)
        return flat | many | outside

    def _flat(self, shapes: Shapes) -> NDArray[np.bool_]:
        if self.kind == "polygons":
            return are_flat(shapes)
        corners = shapes.points.reshape(-1, 4, 2)
        return np.asarray((corners[:, 2] <= corners[:, 0]).any(axis=1))

    def _look_at_rings(self, block: _Block, shapes: Shapes, kept: NDArray[np.int64]) -> None:
        repeats = kept[have_repeats(shapes)]
        what, hint = "the ring repeats a point, is closed or goes back its way", "leave such points out"
        self._tell_some(block, repeats, "REPEATED-POINT", what, hint)
        if self.pairs > 0:
            found, pairs = cross_themselves(shapes, self.pairs)
            self.pairs -= pairs
            hint = "what it encloses twice counts as outside"
            self._tell_some(block, kept[found], "SELF-INTERSECTION", "the ring meets itself", hint)

    def _tell_each(self, block: _Block, flags: NDArray[np.bool_], rule: str, message: str, hint: str) -> None:
        """Report an error for each detection with a flag."""
        for index in np.flatnonzero(flags).tolist():
            if self.report.is_full():
                return
            self._tell(_ERROR, rule, message, block.item(index), hint)

    def _tell_some(self, block: _Block, indices: NDArray[np.int64], rule: str, message: str, hint: str) -> None:
        """Report a warning for all these detections of a block together, with the first of them."""
        if len(indices):
            what = message if len(indices) == 1 else f"{len(indices)} detections: {message}"
            self._tell(_WARNING, rule, what, block.item(int(indices[0])), hint)

    def _tell(self, severity: Severity, rule: str, message: str, value: str, hint: str) -> None:
        self.report.add(severity, rule, message, line=self.line, id=self.id, value=value, hint=hint)


def _parse(name: str, detections: str, kind: Kind) -> _Block:
    """Return the detections of a list that is well formed."""
    if not detections:
        return _Block(name, [], [], np.zeros(0), NO_SHAPES)
    parts = _SEPARATORS.split(detections)  # confidence and geometry by turns
    confidences, geometries = parts[::2], parts[1::2]
    text = ",".join(geometries)
    # As integers, which takes a seventh of the time that floats take.
    numbers = np.fromstring(text.translate(_TO_BLANKS), np.int64, sep=" ")
    if kind == "boxes":
        width, height, x, y = numbers.reshape(-1, 4).T
        shapes = Shapes.of_boxes(np.stack([x, y, x + width, y + height], axis=1))
    else:
        characters = np.frombuffer(text.encode("ascii"), np.uint8)
        ends = np.append(np.flatnonzero(characters == ord(",")), len(characters))
        signs = np.cumsum(characters == ord("+"))[ends - 1]  # up to the end of each ring: one fewer than values in each
        rings = np.arange(1, len(ends) + 1)
        shapes = Shapes(numbers.reshape(-1, 2), np.concatenate([[0], (signs + rings) // 2]))
    return _Block(name, confidences, geometries, np.array(list(map(float, confidences))), shapes)


def _faults(item: str, kind: Kind) -> Iterator[tuple[str, str, str]]:
    """Yield rule, message and hint for every fault of a detection."""
    hint = _HINTS[kind]
    if not item:
        yield "TRAILING-SEPARATOR", "nothing between or behind commas", "end the list without a comma"
        return
    confidence, colon, geometry = item.partition(":")
    if not colon:
        yield "NO-CONFIDENCE", "a detection has no confidence and colon", hint
        geometry = item
    elif not _SCORE_ALONE.fullmatch(confidence):
        yield "CONFIDENCE", "the confidence is not a finite decimal number", hint
    yield from _geometry_faults(geometry, kind)


def _geometry_faults(geometry: str, kind: Kind) -> Iterator[tuple[str, str, str]]:
    hint = _HINTS[kind]
    match = _BOX.fullmatch(geometry)
    if kind == "boxes" and match is None:
        is_ring = "x" not in geometry and geometry.count("+") >= 3
        yield "GEOMETRY", "a polygon where a box is due" if is_ring else "the box is not WIDTHxHEIGHT+XMIN+YMIN", hint
        return
    if kind == "polygons" and match is not None:
        yield "GEOMETRY", "a box where a polygon is due", hint
        return
    values = list(match.groups()) if match is not None else geometry.split("+")
    if not all(values):
        yield "GEOMETRY", "a value is missing", hint
    elif not all(_INTEGER.fullmatch(value) or _DECIMAL.fullmatch(value) for value in values):
        yield "GEOMETRY", "a value is not an integer of at most 9 digits", hint
    elif not all(map(_INTEGER.fullmatch, values)):
        yield "NOT-INTEGER", "a coordinate has decimals", "round to whole pixels"
    if len(values) % 2:
        yield "GEOMETRY", "an odd number of values", hint


# ------------------------------------------------------------------------------------------------------------- writing


def write_run(
    path: Path,
    predictions: Iterable[Prediction],
    truth_set: TruthSet,
    *,
    least_score: float = 0.0,
    one_each: bool = True,
) -> None:
    """Write a run, whole or not at all.

    Shapes are rounded to whole pixels and clipped to the image. Rings lose repeated points and ways that are gone there and
    back, and long ones points until they have ``MAX_POINTS``; what then has no size is left out, and so are copies of another
    detection and all but the ``MAX_DETECTIONS`` best of a substrate. Images are in ascending order, substrates in that of
    their index, detections by falling confidence, which has 6 digits. Reading the run gives what was written.

    Args:
        path: The run file to make or replace.
        predictions: At most one of an image; images without one count as without detections.
        truth_set: The images with their sizes, and the kind of objects.
        least_score: Detections with lower scores are left out.
        one_each: Whether every image gets a detection, as the validator asks: where all scores are too low the best one, and
            where there is nothing to detect the smallest shape there is, of the run's most frequent substrate, with
            confidence 0. Without it such images get a line without detections.

    Raises:
        InvalidInput: If a prediction is of an unknown image or substrate, holds NaN or an infinity, or a score outside 0 to 1.
    """
    by_id = _checked(predictions, truth_set, str(path))
    found = {name: _ready(by_id[name], truth_set) for name in sorted(truth_set.truths) if name in by_id}
    labels = Counter(label for prediction in found.values() for label in prediction.labels.tolist())
    usual = max(sorted(labels), key=labels.__getitem__, default=min(SUBSTRATES))
    lines = []
    for name in sorted(truth_set.truths):
        prediction = found.get(name)
        if prediction is not None:
            enough = prediction.scores >= least_score
            enough[:1] |= one_each  # it is the best one
            prediction = _select(prediction, enough)
        if one_each and (prediction is None or not len(prediction.shapes)):
            prediction = _least(name, usual, truth_set.kind)
        lines.append(_format_line(name, prediction, truth_set.kind))
    write_atomic(path, "".join(lines))


def example_run(truth_set: TruthSet) -> str:
    """Return the text of a valid run: in the middle of every image an object of the first substrate."""
    label, lines = min(SUBSTRATES), []
    for name, truth in sorted(truth_set.truths.items()):
        width, height = truth.width // 4, truth.height // 4
        box = [width, height, 3 * width, 3 * height]
        lines.append(_format_line(name, _one(name, label, 0.5, Shapes.of_boxes([box])), truth_set.kind))
    return "".join(lines)


def _one(name: str, label: int, score: float, shapes: Shapes) -> Prediction:
    return Prediction(name, shapes, np.array([label], np.int64), np.array([score]))


def _least(name: str, label: int, kind: Kind) -> Prediction:
    """Return the smallest detection that is valid."""
    shapes = Shapes.of_boxes([[0, 0, 1, 1]]) if kind == "boxes" else Shapes.of_rings([[[0, 0], [1, 0], [0, 1]]])
    return _one(name, label, 0.0, shapes)


def _checked(predictions: Iterable[Prediction], truth_set: TruthSet, file: str) -> dict[str, Prediction]:
    """Return predictions by id.

    Raises:
        InvalidInput: If one can't be written.
    """
    report = Report(Findings(), file, "RUN")
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if not len(prediction.shapes) == len(prediction.labels) == len(prediction.scores):
            raise ValueError(f"{prediction.id}: shapes, labels and scores differ in number")
        if prediction.id not in truth_set.truths:
            report.error("UNKNOWN-ID", "a prediction of an image that is not in the set", id=prediction.id)
        if prediction.id in by_id:
            report.error("DUPLICATE-ID", "two predictions of one image", id=prediction.id)
        if not np.isfinite(prediction.shapes.points).all():
            hint = "did the training diverge?"
            report.error("GEOMETRY", "a predicted shape holds NaN or an infinity", id=prediction.id, hint=hint)
        if not ((prediction.scores >= 0) & (prediction.scores <= 1)).all():
            report.error("CONFIDENCE", "a predicted score is not a number from 0 to 1", id=prediction.id)
        if unknown := sorted(set(prediction.labels.tolist()) - set(SUBSTRATES)):
            hint = f"the substrates are {min(SUBSTRATES)} to {max(SUBSTRATES)}"
            report.error("UNKNOWN-CLASS", "a predicted index of no substrate", id=prediction.id, value=str(unknown), hint=hint)
        by_id[prediction.id] = prediction
    for name in truth_set.truths:
        if set(name) & set(";\r\n"):
            report.error("BLOCK", "a run can't hold this name of an image", value=shorten(name))
    report.findings.raise_errors()
    return by_id


def _ready(prediction: Prediction, truth_set: TruthSet) -> Prediction:
    """Return the detections to write, the best ones first."""
    truth = truth_set.truths[prediction.id]
    kept = rank_detections(prediction.labels, prediction.scores, MAX_DETECTIONS)
    kept = kept[np.argsort(-prediction.scores[kept], kind="stable")]
    ranked = _select(prediction, kept)
    mend = _mended_boxes if truth_set.kind == "boxes" else _mended_rings
    shapes, whole = mend(ranked.shapes, truth)
    ranked = _select(ranked, whole)
    new = ~are_repeated(shapes, ranked.labels)
    return Prediction(ranked.id, shapes.take(new), ranked.labels[new], ranked.scores[new])


def _select(prediction: Prediction, which: NDArray[Any]) -> Prediction:
    return Prediction(prediction.id, prediction.shapes.take(which), prediction.labels[which], prediction.scores[which])


def _mended_boxes(shapes: Shapes, truth: Truth) -> tuple[Shapes, NDArray[np.bool_]]:
    """Return the boxes that have a size after rounding and clipping, and which these are, ``(N,)``."""
    boxes = np.clip(np.rint(shapes.boxes()), 0, [truth.width, truth.height] * 2).astype(np.int64)
    whole = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    return Shapes.of_boxes(boxes[whole]), whole


def _mended_rings(shapes: Shapes, truth: Truth) -> tuple[Shapes, NDArray[np.bool_]]:
    """Return the rings that enclose something after rounding, clipping and shortening, and which these are, ``(N,)``."""
    highest = [truth.width - 1, truth.height - 1]
    points = np.clip(np.rint(np.asarray(shapes.points, np.float64)), 0, highest).astype(np.int64)
    shapes = _tidied(Shapes(points, shapes.offsets))
    if (shapes.counts > MAX_POINTS).any():
        shapes = _tidied(Shapes.of_rings(shorten_ring(ring, MAX_POINTS) for ring in shapes))
    whole = ~are_flat(shapes)
    return shapes.take(whole), whole


def _tidied(shapes: Shapes) -> Shapes:
    untidy = have_repeats(shapes).tolist()
    if not any(untidy):
        return shapes
    return Shapes.of_rings(tidy_ring(ring) if wrong else ring for ring, wrong in zip(shapes, untidy, strict=True))


def _format_line(name: str, prediction: Prediction | None, kind: Kind) -> str:
    """Return the line of an image: a block for every substrate, by ascending index."""
    if prediction is None:
        return f"{name}\n"
    blocks: dict[int, list[str]] = {label: [] for label in sorted(set(prediction.labels.tolist()))}
    boxes = prediction.shapes.boxes().astype(np.int64).tolist()
    for index, (label, score) in enumerate(zip(prediction.labels.tolist(), prediction.scores.tolist(), strict=True)):
        if kind == "boxes":
            x0, y0, x1, y1 = boxes[index]
            geometry = f"{x1 - x0}x{y1 - y0}+{x0}+{y0}"
        else:
            geometry = "+".join(map(str, prediction.shapes[index].ravel().tolist()))
        blocks[label].append(f"{_format_score(score)}:{geometry}")
    return ";".join([name, *(f"{SUBSTRATES[label]} {','.join(items)}" for label, items in blocks.items())]) + "\n"


def _format_score(score: float) -> str:
    """Write a score with at most 6 digits behind the point, and without an exponent.

    >>> [_format_score(score) for score in (1.0, 0.25, 0.1234567, 1e-9)]
    ['1', '0.25', '0.123457', '0']
    """
    return f"{score:.6f}".rstrip("0").rstrip(".")
