"""What a drawnUI data set can have wrong with it, beyond what its reader and the common checks tell."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.core import pictures
from baselines.core.checks import Checks, DataSet, Distribution, histogram
from baselines.core.findings import Finding, Severity
from baselines.core.images import map_parallel
from baselines.core.metrics.detection import box_iou
from baselines.core.runs import Code
from baselines.drawnui.records import Sample, Split, Truth

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

NEAR_IOU = 0.95  # from which two boxes of a class are one element annotated twice
EXTREME_ASPECT = 60.0  # of the longer to the shorter side; a line across a page has about 40
FLAT_SPREAD = 1.5  # standard deviation of grey values under which nothing is to be seen in a box
MIN_FLAT_SIDE = 4  # pixels; smaller boxes hold too little to tell
PAGE_SIDE = 640  # pixels of the longer side of a page in the report
# Images per split (page `drawnui` of the specification).
PUBLISHED = {
    "drawnui-wireframe": {"all": 3218, "test": 1073},
    "drawnui-screenshot": {"train": 6555, "val": 903, "test": 1818},
}


def _classes(split: Split, sample: Sample) -> Iterator[str]:
    """Yield the class name of every box."""
    if sample.truth is not None:
        yield from (split.truth_set.classes[label] for label in sample.truth.labels.tolist())


def _class_names(data_set: DataSet) -> Sequence[str]:
    names = dict(data_set.card.classes)
    for split in data_set.splits.values():
        names |= split.truth_set.classes
    return [names[label] for label in sorted(names)]


def _labelled(data_set: DataSet) -> Iterator[tuple[str, Sample, Truth]]:
    for split, sample in data_set.samples():
        if sample.truth is not None:
            yield split, sample, sample.truth


def empty_records(data_set: DataSet) -> Iterator[Finding]:
    """Tell images without boxes."""
    for _, sample, truth in _labelled(data_set):
        if not len(truth.boxes):
            yield Finding("DATA-EMPTY-RECORD", _INFO, "the image has no boxes", str(sample.image), id=sample.id)


def duplicate_objects(data_set: DataSet) -> Iterator[Finding]:
    """Tell boxes of one class that cover the same element."""
    for _, sample, truth in _labelled(data_set):
        iou = np.triu(box_iou(truth.boxes, truth.boxes), k=1)
        same = (truth.labels[:, None] == truth.labels) & (iou > NEAR_IOU)
        for first, second in islice(np.argwhere(same).tolist(), 20):
            value = f"boxes {first} and {second}, IoU {iou[first, second]:.3f}"
            what = "two boxes of one class cover the same element"
            yield Finding(
                "DATA-DUPLICATE-OBJECT",
                _WARNING,
                what,
                str(sample.image),
                id=sample.id,
                value=value,
                objects=(first, second),
            )


def extreme_aspects(data_set: DataSet) -> Iterator[Finding]:
    """Tell boxes that are far longer than wide, or under a pixel."""
    for _, sample, truth in _labelled(data_set):
        sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
        ratio = sides.max(axis=1, initial=0) / np.maximum(sides.min(axis=1, initial=np.inf), 1e-9)
        for index in np.flatnonzero((ratio > EXTREME_ASPECT) | (sides < 1).any(axis=1)).tolist():
            value = "box {}, {:.1f}×{:.1f} pixels".format(index, *sides[index])
            what = "a box is under a pixel, or far longer than wide"
            hint = "look at it"
            yield Finding(
                "DATA-BOX-ASPECT", _INFO, what, str(sample.image), id=sample.id, value=value, hint=hint, objects=(index,)
            )


def counts(data_set: DataSet) -> Iterator[Finding]:
    """Compare the number of images with what the campaign published."""
    for name, published in PUBLISHED[data_set.card.id].items():
        found = len(data_set.splits[name].samples) if name in data_set.splits else published
        if found != published:
            what = f"the campaign's {name} set has {published} images"
            value = f"{found}, published {published}"
            yield Finding("DATA-COUNT", _INFO, what, str(data_set.root), id=name, value=value)


def invisible_boxes(data_set: DataSet) -> Iterator[Finding]:
    """Tell boxes with nothing in them, as generated annotations have for hidden elements."""
    work = functools.partial(_flat_boxes, data_set)
    labelled = [(sample, truth) for _, sample, truth in _labelled(data_set)]
    for (sample, _), flat in map_parallel(work, labelled, data_set.settings.workers, "looking into boxes", len(labelled)):
        for index, spread in flat:
            value = f"box {index}, standard deviation of grey {spread:.2f}"
            what = "nothing is to be seen in a box"
            yield Finding("DATA-BOX-INVISIBLE", _INFO, what, str(sample.image), id=sample.id, value=value, objects=(index,))


def _flat_boxes(data_set: DataSet, labelled: tuple[Sample, Truth]) -> list[tuple[int, float]]:
    """Return the boxes of an image, with their spread, that are of almost one colour."""
    sample, truth = labelled
    facts = data_set.image_of(sample)
    if facts is None or facts.problem:
        return []
    grey = _grey(sample.image)
    flat = []
    for index, (x0, y0, x1, y1) in enumerate(truth.boxes.round().astype(int).tolist()):
        inside = grey[y0:y1, x0:x1]
        if min(inside.shape) >= MIN_FLAT_SIDE and (spread := float(inside.std())) < FLAT_SPREAD:
            flat.append((index, spread))
    return flat


def _grey(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _distributions(data_set: DataSet) -> Sequence[Distribution]:
    boxes: dict[str, list[float]] = {}
    widths: dict[str, list[float]] = {}
    aspects: dict[str, list[float]] = {}
    for split, _, truth in _labelled(data_set):
        sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
        boxes.setdefault(split, []).append(len(truth.boxes))
        widths.setdefault(split, []).extend((np.sqrt(sides.prod(axis=1) / max(truth.width * truth.height, 1))).tolist())
        aspects.setdefault(split, []).extend((sides[:, 0] / np.maximum(sides[:, 1], 1e-9)).tolist())
    return (
        histogram("boxes per image", boxes, (0, 1, 5, 10, 20, 40, 80, 160, 1000)),
        histogram("square root of a box's share of the page", widths, (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.01)),
        histogram("width to height of boxes", aspects, (0, 0.1, 0.25, 0.5, 1, 2, 4, 10, 40, 1000)),
    )


def _draw(split: Split, sample: Sample, marked: frozenset[int]) -> Image.Image:
    """Draw a page with its true boxes."""
    with Image.open(sample.image) as image:
        width, height = image.size
        page = pictures.shrink(image, PAGE_SIDE)
    if sample.truth is None:
        return page
    scale = np.array([page.width / width, page.height / height])
    corners = sample.truth.boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] * scale
    labels = sample.truth.labels.tolist()
    styles = [pictures.style_of(label) for label in labels]
    return pictures.draw_outlines(page, list(corners), styles, [split.truth_set.classes[label] for label in labels], marked)


CHECKS = Checks(
    rules=(empty_records, duplicate_objects, extreme_aspects, counts, invisible_boxes),
    splits={"drawnui-wireframe": ("all", "test")},
    classes=_classes,
    class_names=_class_names,
    distributions=_distributions,
    draw=_draw,
    codes={
        "DATA-OUT-OF-IMAGE": Code(_WARNING, "a box leaves the image by more than a thousandth of a pixel", "x + w = 1.02"),
        "DATA-BOX-ZERO": Code(_ERROR, "a box without width or height", "[0.1, 0.1, 0, 0.2]"),
        "DATA-BOX-ABSOLUTE": Code(_ERROR, "boxes in pixels where shares are due", "[20, 30, 100, 40]"),
        "DATA-BOX-ORDER": Code(_WARNING, "most boxes fit only if their numbers are corners", "[y0, x0, y1, x1]"),
        "DATA-BOX-ASPECT": Code(_INFO, "a box under a pixel, or far longer than wide", "a box of 900×4 pixels"),
        "DATA-BOX-INVISIBLE": Code(_INFO, "nothing is to be seen in a box", "a hidden element of a web page"),
        "DATA-CLASS-MISMATCH": Code(
            _ERROR, "an id with two names, or a name with two ids; a warning if not the usual id", "7 button, 7 link"
        ),
        "DATA-SCORE": Code(_WARNING, "a true box has another score than 1", '"score": 0.9'),
        "DATA-EMPTY-RECORD": Code(_INFO, "an image without boxes", '"annotations": []'),
        "DATA-DUPLICATE-OBJECT": Code(_WARNING, "two boxes of one class cover the same element", "a box twice"),
    },
)
