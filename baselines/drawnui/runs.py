"""The run formats of the drawnUI tasks: the JSON of 2021 and the text of 2020.

A run is held to every rule of :data:`CODES`, all at once. The campaign's own rules are not known: what counts as an error is
this project's decision (spec page 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baselines.core.files import Report
from baselines.core.findings import Findings, Severity, UsageError, nearest, show_id
from baselines.core.outputs import write_atomic
from baselines.core.runs import FILE_CODES, ID_CODES, LINE_CODES, Code, IdCheck
from baselines.drawnui.formats import (
    ABSOLUTE_ABOVE,
    FORMATS,
    TOLERANCE,
    Entry,
    OrderCheck,
    format_records,
    make_record,
    read_entries,
    sniff_format,
)
from baselines.drawnui.records import Prediction, Truth, TruthSet
from baselines.drawnui.task import MAX_DETECTIONS, WIREFRAME_CLASSES

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

# Every code a run can get: how bad it is, what it means, and an example of what is wrong.
CODES: dict[str, Code] = {
    **FILE_CODES,
    **ID_CODES,
    **LINE_CODES,
    # An image without a record is one without detections; the run that the campaign accepted had such images.
    "RUN-MISSING-ID": ID_CODES["RUN-MISSING-ID"]._replace(severity=_WARNING),
    "RUN-NO-FINAL-NEWLINE": LINE_CODES["RUN-NO-FINAL-NEWLINE"]._replace(severity=_INFO),
    "RUN-JSON": Code(_ERROR, "2021: not valid JSON; NaN or Infinity; a key twice in one object", '"score": NaN'),
    "RUN-STRUCTURE": Code(
        _ERROR, "no list of records; a key is missing or of the wrong type; the other format", '{"images": []}'
    ),
    "RUN-BOX": Code(_ERROR, "2021: the box is not four finite numbers", '"box": [0.1, 0.1, 0.2]'),
    "RUN-BOX-ABSOLUTE": Code(_ERROR, "2021: values far over 1, in pixels it seems", '"box": [100, 20, 50, 80]'),
    "RUN-BOX-ORDER": Code(
        _WARNING, "2021: most boxes would fit their image if they were corners", '"box": [0.5, 0.5, 0.9, 0.9]'
    ),
    "RUN-ZERO-SIZE": Code(_ERROR, "the box has no width or no height", '"box": [0.1, 0.1, 0, 0.2]'),
    "RUN-OUT-OF-IMAGE": Code(_ERROR, "the box leaves the image by more than 0.001 pixels", '"box": [0.9, 0, 0.2, 1]'),
    "RUN-UNKNOWN-CLASS": Code(_ERROR, "the class name or id is not that of any class", '"detectionString": "Buton"'),
    "RUN-CLASS-MISMATCH": Code(_ERROR, "2021: id and name do not belong together", '15 and "button"'),
    "RUN-SCORE": Code(_ERROR, "the score is not a finite number; outside 0 to 1 it is a warning", '"score": "0.9"'),
    "RUN-SIZE-MISMATCH": Code(_WARNING, "2021: width or height is not the image's", "the size of a thumbnail"),
    "RUN-MANY-DETECTIONS": Code(_WARNING, f"more than {MAX_DETECTIONS} boxes in an image", "all boxes before suppression"),
    "RUN-DUPLICATE-DETECTION": Code(_WARNING, "the same class and box twice in an image", "two models joined"),
    "RUN-UNCHECKED": Code(
        _INFO, "class names or boxes can't be checked, since only ids are at hand", "--ids instead of --truth"
    ),
    "RUN-TRAILING-SEPARATOR": Code(_ERROR, "2020: nothing between or behind semicolons or commas", "a.jpg;"),
    "RUN-BLOCK": Code(_ERROR, "2020: a block is not a class name, one blank and detections", "a.jpg;button"),
    "RUN-GEOMETRY": Code(_ERROR, "2020: the box is not WIDTHxHEIGHT+XMIN+YMIN", "0.9:5+6+7+8"),
    "RUN-NOT-INTEGER": Code(_ERROR, "2020: the box has decimals", "0.9:5.5x6+7+8"),
}


def read_run(path: Path, truth_set: TruthSet, findings: Findings, run_format: str = "2021") -> dict[str, Prediction]:
    """Read a run and report everything that is wrong with it.

    Args:
        path: The run file.
        truth_set: The images. Where truths have no size (0) and there are no classes, since only ids are at hand, boxes are
            held against the sizes that the run declares and class names are not checked; an info says so.
        findings: Where everything is reported; the codes are in :data:`CODES`.
        run_format: ``2021`` or ``2020``.

    Returns:
        The well-formed detections by image id, in the order of the file, in pixels (of the declared size, or relative, where
        the true one is not known). If there are errors it is not the whole run.

    Raises:
        UsageError: If there is no such format.
    """
    _check_format(run_format)
    report = Report(findings, str(path), "RUN")
    looks_like = sniff_format(path, default=run_format)
    if looks_like != run_format:
        hint = f"validate and score it as such (--format {looks_like}), or write the run anew"
        report.error("STRUCTURE", f"this looks like the format of {looks_like}, not of {run_format}", line=1, hint=hint)
        return {}
    judge = _Judge(truth_set, report, run_format)
    ids = IdCheck(truth_set.truths, report, unit="image", entry="record")
    predictions = {}
    for entry in read_entries(path, run_format, findings, "RUN"):
        prediction = judge.prediction(entry, truth_set.truths.get(entry.id))
        if ids.accepts(entry.id, entry.line):
            predictions[entry.id] = prediction
    judge.order.tell(report)
    ids.finish(severity=_WARNING, consequence="they score as images without detections")
    return predictions


def write_run(path: Path, predictions: Iterable[Prediction], truth_set: TruthSet, run_format: str = "2021") -> None:
    """Write a run, whole or not at all.

    Of an image, the at most ``MAX_DETECTIONS`` boxes with the highest scores are written, highest first; boxes are clipped to
    the image and left out if nothing remains; images without detections are left out. Images follow the order of ``truth_set``.
    Reading the run gives the same scores and labels; the boxes differ by less than 1e-9 of the image's size (2021), or are
    rounded to whole pixels, at least one pixel wide and high, and grouped by class (2020).

    Args:
        path: The run file to make or replace.
        predictions: At most one of an image; images without one count as without detections.
        truth_set: The images with their sizes, and the class names.
        run_format: ``2021`` or ``2020``.

    Raises:
        InvalidInput: If a prediction is of an unknown image or class, holds NaN or an infinity, or a score outside 0 to 1.
        UsageError: If there is no such format.
    """
    _check_format(run_format)
    by_id = _checked(predictions, truth_set, run_format, str(path))
    ordered = [(truth, _strongest(by_id[key], truth)) for key, truth in truth_set.truths.items() if key in by_id]
    write_atomic(path, _format_run([pair for pair in ordered if len(pair[1].scores)], truth_set, run_format))


def example_run(truth_set: TruthSet) -> str:
    """Return the text of a valid run, in the format of 2021: one box in the middle of every image, of the first class."""
    label = min(_classes(truth_set, "2020"))
    examples = []
    for truth in truth_set.truths.values():
        width, height = truth.width or 1, truth.height or 1
        box = np.array([[width / 4, height / 4, width * 3 / 4, height * 3 / 4]])
        example = Prediction(truth.id, box, np.array([label]), np.array([0.5]))
        examples.append((Truth(truth.id, width, height, truth.boxes, truth.labels), example))
    return _format_run(examples, truth_set, "2021")


def _check_format(run_format: str) -> None:
    if run_format not in FORMATS:
        raise UsageError(f"no run format {run_format!r}: the formats are {' and '.join(FORMATS)}")


def _classes(truth_set: TruthSet, run_format: str) -> Mapping[int, str]:
    """Return the class names a run may use, by id: those of the truths.

    A set of wireframes needn't show all their 21 classes, and a run may find all of them. The text of 2020 has no ids, and
    was used for wireframes alone: there they are the classes also if the truths have none.
    """
    is_wireframes = truth_set.classes.items() <= WIREFRAME_CLASSES.items()
    if is_wireframes and (truth_set.classes or run_format == "2020"):
        return WIREFRAME_CLASSES
    return truth_set.classes


class _Judge:
    """Holds the records of a run to the rules."""

    def __init__(self, truth_set: TruthSet, report: Report, run_format: str) -> None:
        self.truth_set, self.report = truth_set, report
        self.names = _classes(truth_set, run_format)
        self.ids = {name: label for label, name in self.names.items()}
        self.order = OrderCheck()
        if not self.names:
            report.info("UNCHECKED", "the truth has no class names, so those of the run are not checked")
        if not all(truth.width and truth.height for truth in truth_set.truths.values()):
            report.info("UNCHECKED", "the images' sizes are not known, so boxes are held against the sizes the run declares")

    def prediction(self, entry: Entry, truth: Truth | None) -> Prediction:
        """Return the detections of an image that are in order; without a truth the size is the declared one."""
        known = (truth.width, truth.height) if truth is not None and truth.width and truth.height else None
        size = known or entry.size or (1, 1)
        if known is not None and entry.size is not None and entry.size != size:
            seen = "declared {}x{}, image {}x{}".format(*entry.size, *size)
            hint = "relative boxes are not affected"
            self.report.warning(
                "SIZE-MISMATCH", "not the image's size", line=entry.line, id=show_id(entry.id), value=seen, hint=hint
            )
        labels, has_class = self._labels(entry)
        corners, areas = entry.in_pixels(*size)
        limits = np.array(size if known is not None or entry.is_relative else (np.inf, np.inf))
        usable = self._boxes(entry, corners, limits) & has_class
        self._scores(entry)
        self._counts(entry)
        return Prediction(entry.id, corners[usable], labels[usable], entry.scores[usable], areas[usable])

    def _labels(self, entry: Entry) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the class ids of all boxes ``(N,)``, and which of them are known."""
        if not self.names and entry.class_ids is not None:
            return np.array(entry.class_ids, dtype=np.int64), np.ones(len(entry.names), dtype=bool)
        expected = list(map(self.ids.get, entry.names))
        given = expected if entry.class_ids is None else entry.class_ids
        is_known = np.ones(len(given), dtype=bool)
        if expected != given or None in expected:
            for index, (true_id, class_id) in enumerate(zip(expected, given, strict=True)):
                if true_id is None or true_id != class_id:
                    is_known[index] = False
                    self._wrong_class(entry, index, true_id, class_id)
        return np.array([label or 0 for label in expected], dtype=np.int64), is_known

    def _wrong_class(self, entry: Entry, index: int, true_id: int | None, class_id: int | None) -> None:
        """Report a class name that is unknown or does not go with its id."""
        name = entry.names[index]
        if true_id is None:
            hint = nearest(name, self.ids, "the classes are")
            self._tell(_ERROR, "UNKNOWN-CLASS", "there is no such class", entry, index, "class", hint)
        elif class_id in self.names or class_id == true_id - 1:
            hint = f"{name} is {true_id}" + (": ids count from 1, not from 0 as in 2020" if class_id == true_id - 1 else "")
            self._tell(_ERROR, "CLASS-MISMATCH", f"class id and name {name} do not belong together", entry, index, "id", hint)
        else:
            self._tell(_ERROR, "UNKNOWN-CLASS", "there is no class with this id", entry, index, "id", f"{name} is {true_id}")

    def _boxes(self, entry: Entry, corners: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which boxes ``(N,)`` are in order; ``corners (N, 4)`` and ``limits`` (width, height) are in pixels."""
        usable = np.ones(len(corners), dtype=bool)
        if entry.is_relative:
            self.order.add(entry.boxes)
            absolute = np.flatnonzero((np.abs(entry.boxes) > ABSOLUTE_ABOVE).any(axis=1)).tolist()
            if absolute:
                hint = "write [y, x, height, width]; divide y and height by the image's height, x and width by its width"
                what = f"values far over 1 in {len(absolute)} boxes: these look like pixels"
                self._tell(_ERROR, "BOX-ABSOLUTE", what, entry, absolute[0], "box", hint)
                usable[absolute] = False
        for index in np.flatnonzero(usable & (entry.boxes[:, 2:] <= 0).any(axis=1)).tolist():
            self._tell(_ERROR, "ZERO-SIZE", "width or height is not positive", entry, index, "box", "leave the box out")
            usable[index] = False
        outside = (corners[:, :2] < -TOLERANCE).any(axis=1) | (corners[:, 2:] > limits + TOLERANCE).any(axis=1)
        for index in np.flatnonzero(usable & outside).tolist():
            x0, y0, x1, y1 = corners[index]
            hint = f"it spans x {x0:g} to {x1:g} and y {y0:g} to {y1:g}; the image ends at {limits[0]:g}, {limits[1]:g}"
            self._tell(_ERROR, "OUT-OF-IMAGE", "the box leaves the image", entry, index, "box", hint)
            usable[index] = False
        return usable

    def _scores(self, entry: Entry) -> None:
        outside = np.flatnonzero((entry.scores < 0) | (entry.scores > 1)).tolist()
        if outside:
            what = f"{len(outside)} scores outside 0 to 1"
            self._tell(_WARNING, "SCORE", what, entry, outside[0], "score", "only their order counts")

    def _counts(self, entry: Entry) -> None:
        """Report too many boxes, and boxes that occur twice."""
        if len(entry.boxes) > MAX_DETECTIONS:
            what = f"{len(entry.boxes)} boxes in an image"
            hint = f"only the {MAX_DETECTIONS} of a class with the highest scores count"
            self.report.warning("MANY-DETECTIONS", what, line=entry.line, id=show_id(entry.id), hint=hint)
        rows = list(zip(entry.names, *entry.boxes.T.tolist(), strict=True))
        if len(set(rows)) < len(rows):
            first = {row: index for index, row in reversed(list(enumerate(rows)))}
            repeated = [index for index, row in enumerate(rows) if first[row] != index]
            what = f"{len(repeated)} boxes with the same class and place as another"
            self._tell(_WARNING, "DUPLICATE-DETECTION", what, entry, repeated[0], "box", "the second one counts as wrong")

    def _tell(self, severity: Severity, rule: str, message: str, entry: Entry, index: int, part: str, hint: str) -> None:
        if self.report.is_full():
            return
        line, value = entry.locate(index, part) if self.report.findings.keeps(f"RUN-{rule}") else (entry.line, "")
        self.report.add(severity, rule, message, line=line, id=show_id(entry.id), value=value, hint=hint)


# ------------------------------------------------------------------------------------------------------------- writing


def _checked(predictions: Iterable[Prediction], truth_set: TruthSet, run_format: str, file: str) -> dict[str, Prediction]:
    """Return predictions by id.

    Raises:
        InvalidInput: If one can't be written.
    """
    report = Report(Findings(), file, "RUN")
    names = _classes(truth_set, run_format)
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if len(prediction.boxes) != len(prediction.labels) or len(prediction.labels) != len(prediction.scores):
            raise ValueError(f"{prediction.id}: boxes, labels and scores differ in number")
        truth = truth_set.truths.get(prediction.id)
        if truth is None:
            report.error("UNKNOWN-ID", "a prediction of an image that is not in the set", id=prediction.id)
        elif not (truth.width and truth.height):
            report.error("UNCHECKED", "the image's size is not known", id=prediction.id, hint="read the set with its images")
        if prediction.id in by_id:
            report.error("DUPLICATE-ID", "two predictions of one image", id=prediction.id)
        if not np.isfinite(prediction.boxes).all():
            hint = "did the training diverge?"
            report.error("BOX", "a predicted box holds NaN or an infinity", id=prediction.id, hint=hint)
        if not ((prediction.scores >= 0) & (prediction.scores <= 1)).all():
            report.error("SCORE", "a predicted score is not a number from 0 to 1", id=prediction.id)
        if run_format == "2020" and set(prediction.id) & set(";\r\n"):
            report.error("BLOCK", "the text of 2020 can't hold this file name", id=prediction.id)
        if unknown := sorted(set(prediction.labels.tolist()) - set(names)):
            hint = f"the set's ids are {sorted(names)}"
            report.error(
                "UNKNOWN-CLASS", "a predicted class id without a name", id=prediction.id, value=str(unknown), hint=hint
            )
        by_id[prediction.id] = prediction
    report.findings.raise_errors()
    return by_id


def _strongest(prediction: Prediction, truth: Truth) -> Prediction:
    """Return the boxes to write: clipped, not empty, the strongest ones first."""
    boxes = np.clip(np.asarray(prediction.boxes, dtype=np.float64).reshape(-1, 4), 0, [truth.width, truth.height] * 2)
    order = np.argsort(-prediction.scores, kind="stable")
    order = order[(boxes[order, 2:] > boxes[order, :2]).all(axis=1)][:MAX_DETECTIONS]
    return Prediction(prediction.id, boxes[order], prediction.labels[order], prediction.scores[order])


def _format_run(pairs: list[tuple[Truth, Prediction]], truth_set: TruthSet, run_format: str) -> str:
    classes = dict(_classes(truth_set, "2020"))
    if run_format == "2020":
        return "".join(_format_line(truth, prediction, classes) for truth, prediction in pairs)
    return format_records(
        make_record(truth.id, (truth.width, truth.height), prediction.boxes, prediction.labels, prediction.scores, classes)
        for truth, prediction in pairs
    )


def _format_line(truth: Truth, prediction: Prediction, classes: dict[int, str]) -> str:
    """Return the line of an image in the format of 2020: a block for every class, by ascending id."""
    limits = np.array([truth.width, truth.height])
    low = np.minimum(np.rint(prediction.boxes[:, :2]), limits - 1)
    extent = np.maximum(np.rint(prediction.boxes[:, 2:]) - low, 1)
    blocks: dict[int, list[str]] = {label: [] for label in sorted(set(prediction.labels.tolist()))}
    for label, score, (x, y), (width, height) in zip(
        prediction.labels.tolist(), prediction.scores, low.astype(int).tolist(), extent.astype(int).tolist(), strict=True
    ):
        confidence = np.format_float_positional(np.float64(score), trim="0")  # all digits, and no exponent
        blocks[label].append(f"{confidence}:{width}x{height}+{x}+{y}")
    return ";".join([truth.id, *(f"{classes[label]} {','.join(detections)}" for label, detections in blocks.items())]) + "\n"
