"""What a coral data set can have wrong with it, beyond what its reader and the common checks tell."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from baselines.coral.archive import find_files
from baselines.coral.drawing import short_name
from baselines.coral.records import CODES, Sample, Split, Truth, read_split
from baselines.coral.shapes import are_repeated
from baselines.coral.task import SUBSTRATES
from baselines.core import pictures
from baselines.core.checks import (
    Checks,
    DataSet,
    Distribution,
    alike_boxes,
    compare_counts,
    histogram,
    is_generated,
    row_blocks,
    tally,
)
from baselines.core.files import read_text
from baselines.core.findings import Finding, Findings, InvalidInput, Severity, show_id
from baselines.core.images import FactStore, map_parallel
from baselines.core.metrics.raster import rasterise_classes
from baselines.core.runs import Code

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

NEAR_IOU = 0.95  # from which two boxes of a substrate may be one object annotated twice
INSIDE = 0.9  # share of an outline's corners in another from which it lies in it; some may be on the edge of both
EXTREME_ASPECT = 25.0  # of the longer to the shorter side
CLIPPED = 1.0  # pixels by which boxes and outlines may differ, since each is clipped to its own edge of the image
MAX_TOLD = 10  # findings of a kind in an image

# Images and boxes (page `coral` of the specification, 1.1); the boxes are those of the training set.
PUBLISHED = {"all": 879, "test": 485}
PUBLISHED_BOXES = 21_749

PICTURE_SIDE = 640  # pixels of the longer side of an image in the report
EDGE_SIDE = 1024  # longer side at which outlines are held against an image's edges
LEAST_OUTLINES = 3  # of which most have to fit better
CLEARLY = 1.15  # how much stronger the edges under the turned outlines have to be
MOST = 0.7  # share of the outlines that lie on stronger edges when turned

_DATE = re.compile(r"(?:\d{2}_)?(\d{4}_\d{4})_")
_FOLDER_DATE = re.compile(r"(?<!\d)(20\d{2})(\d{4})(?!\d)")


def _labelled(data_set: DataSet) -> Iterator[tuple[str, Sample, Truth]]:
    for split, sample in data_set.samples():
        if sample.truth is not None:
            yield split, sample, sample.truth


def _classes(split: Split, sample: Sample) -> Iterator[str]:
    """Yield the substrate of every object."""
    if sample.truth is not None:
        yield from (split.truth_set.classes[label] for label in sample.truth.labels.tolist())


def same_place(data_set: DataSet) -> Iterator[Finding]:
    """Tell objects that have the outline of another substrate's, and those whose boxes nearly are one."""
    for _, sample, truth in _labelled(data_set):
        file, labels = str(sample.image), truth.labels
        twice = are_repeated(truth.shapes, np.zeros_like(labels)) & ~are_repeated(truth.shapes, labels)
        for index in np.flatnonzero(twice).tolist():
            what, value = "an object of another substrate has the same outline", _described(truth, index)
            hint = "decide which of the two it is"
            marks = (index,)
            yield Finding("DATA-DUPLICATE-OBJECT", _WARNING, what, file, id=sample.id, value=value, hint=hint, objects=marks)
        for first, second, iou in islice(_near(truth), MAX_TOLD):
            value = f"{_described(truth, first)} and {_described(truth, second)}, IoU {iou:.3f}"
            what, hint, both = "two objects of a substrate cover nearly the same box", "look at them", (first, second)
            yield Finding("DATA-NEAR-OBJECT", _INFO, what, file, id=sample.id, value=value, hint=hint, objects=both)


def _near(truth: Truth) -> Iterator[tuple[int, int, float]]:
    """Yield two objects of a substrate with nearly the same box, and their IoU, without repetitions."""
    is_repeated = are_repeated(truth.shapes, truth.labels)
    pairs = alike_boxes(truth.shapes.boxes(), truth.labels, NEAR_IOU)
    return (pair for pair in pairs if not is_repeated[pair[1]])


def nested(data_set: DataSet) -> Iterator[Finding]:
    """Tell outlines that lie in another of their substrate: filled together, they cut a hole into it."""
    if data_set.card.id != "coral-parsing":
        return  # boxes of neighbours often lie in each other
    for _, sample, truth in _labelled(data_set):
        for inner, outer in islice(_nested(truth), MAX_TOLD):
            value, file = f"{_described(truth, inner)} in {_described(truth, outer)}", str(sample.image)
            what, hint = "an object lies in another of its substrate", "is one of them a hole, or annotated twice?"
            both = (inner, outer)
            yield Finding("DATA-BOX-NESTED", _INFO, what, file, id=sample.id, value=value, hint=hint, objects=both)


def _nested(truth: Truth) -> Iterator[tuple[int, int]]:
    """Yield objects all of whose corners, but for those on its edge, lie in another of the substrate."""
    boxes, labels, is_repeated = truth.shapes.boxes(), truth.labels, are_repeated(truth.shapes, truth.labels)
    for rows in row_blocks(len(boxes)):
        is_in = (boxes[rows, None, :2] >= boxes[:, :2]).all(axis=-1) & (boxes[rows, None, 2:] <= boxes[:, 2:]).all(axis=-1)
        is_other = rows[:, None] != np.arange(len(boxes))
        fits = is_in & is_other & (labels[rows, None] == labels) & ~is_repeated[rows, None] & ~is_repeated
        for row, outer in np.argwhere(fits).tolist():
            inner = int(rows[row])
            if share_inside(truth.shapes[inner], truth.shapes[outer]) >= INSIDE:
                yield inner, outer


def share_inside(points: NDArray[Any], ring: NDArray[Any]) -> float:
    """Return which share of some points lies within a ring, by the even-odd rule; of those on its edge some do.

    Args:
        points: ``(N, 2)`` x and y.
        ring: ``(K, 2)``, the corners of a closed line.

    >>> square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
    >>> share_inside(np.array([[1, 1], [2, 3], [5, 1], [-1, 2]]), square)
    0.5
    """
    inside = np.zeros(len(points), bool)
    x, y = points.T.astype(np.float64)
    for (x0, y0), (x1, y1) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return float(inside.mean())


def _described(truth: Truth, index: int) -> str:
    return f"seq {truth.numbers[index]} {SUBSTRATES[int(truth.labels[index])]}"


def odd_shapes(data_set: DataSet) -> Iterator[Finding]:
    """Tell objects that are far longer than wide."""
    for _, sample, truth in _labelled(data_set):
        boxes = truth.shapes.boxes()
        sides = boxes[:, 2:] - boxes[:, :2]
        ratio = sides.max(axis=1, initial=0) / np.maximum(sides.min(axis=1, initial=np.inf), 1)
        for index in np.flatnonzero(ratio > EXTREME_ASPECT).tolist():
            value = "{}, {:.0f}×{:.0f} pixels".format(_described(truth, index), *sides[index])
            what, hint, file = "an object is far longer than wide", "look at it", str(sample.image)
            yield Finding("DATA-BOX-ASPECT", _INFO, what, file, id=sample.id, value=value, hint=hint, objects=(index,))


def overlaps(data_set: DataSet) -> Iterator[Finding]:
    """Count where objects of one substrate overlap, so that they cancel each other where rings are filled together."""
    pairs = changed = whole = lost = 0
    for _, _, truth in _labelled(data_set):
        numbers, classes = np.unique(truth.labels, return_inverse=True)
        size = (truth.width, truth.height)
        rings, together = rasterise_classes(truth.shapes.points, truth.shapes.offsets, classes, len(numbers), size)
        union = rings.joined(classes, len(numbers)).areas
        pairs, changed = pairs + len(numbers), changed + int((together.areas != union).sum())
        whole, lost = whole + int(union.sum()), lost + int((union - together.areas).sum())
    if changed:
        what = "objects of one substrate overlap: the overlap is lost where they are filled together by the even-odd rule"
        value = f"{changed} of {pairs} pairs of image and substrate, {lost / whole:.1%} of their area"
        yield Finding("DATA-OVERLAP", _INFO, what, str(data_set.root), value=value)


# ------------------------------------------------------------------------------------------------ boxes against polygons


def boxes_and_polygons(data_set: DataSet) -> Iterator[Finding]:
    """Compare the file of boxes with that of polygons, where both are there, object by object by image and seq."""
    archive = find_files(data_set.root, Findings(), test=False)
    if not archive.texts["boxes"] or not archive.texts["polygons"]:
        return
    file = archive.texts["boxes"][0]
    try:
        found = [read_split(data_set.root, task, "all", Findings()).truth_set for task in ("coral-annotation", "coral-parsing")]
    except InvalidInput:
        return  # which was told when the splits were read
    boxes, polygons = ({name: _objects(truth) for name, truth in truths.truths.items()} for truths in found)
    swapped = _stored_as_sizes(file, polygons)
    if swapped:
        what = "boxes equal the extremes of the polygons only if they are width, height, xmin and ymin"
        yield Finding("DATA-BOX-ORDER", _ERROR, what, str(file), value=f"{swapped} boxes", hint="write xmin ymin xmax ymax")
        return
    for name in sorted(boxes.keys() | polygons.keys()):
        for difference, seq in islice(_differences(boxes.get(name, {}), polygons.get(name, {})), MAX_TOLD):
            what = f"boxes and polygons differ: {difference}"
            hint = "make the boxes from the polygons again"
            value = f"seq {seq}"
            yield Finding("DATA-BOX-POLYGON-MISMATCH", _ERROR, what, str(file), id=show_id(name), value=value, hint=hint)


def _objects(truth: Truth) -> Mapping[int, tuple[int, NDArray[np.float64]]]:
    """Return the substrate and the extremes of each object by its number."""
    rows = zip(truth.numbers.tolist(), truth.labels.tolist(), truth.shapes.boxes(), strict=True)
    return {number: (label, box) for number, label, box in rows}


def _differences(boxes: Mapping[int, Any], polygons: Mapping[int, Any]) -> Iterator[tuple[str, int]]:
    for seq in sorted(boxes.keys() | polygons.keys()):
        if seq not in boxes or seq not in polygons:
            yield f"there is no {'box' if seq not in boxes else 'polygon'}", seq
        elif boxes[seq][0] != polygons[seq][0]:
            yield f"{SUBSTRATES[boxes[seq][0]]} and {SUBSTRATES[polygons[seq][0]]}", seq
        elif np.abs(boxes[seq][1] - polygons[seq][1]).max() > CLIPPED:
            yield (
                "the box is {} {} {} {}, the polygon's {} {} {} {}".format(
                    *(f"{value:g}" for value in (*boxes[seq][1], *polygons[seq][1]))
                ),
                seq,
            )


def _stored_as_sizes(file: Path, polygons: Mapping[str, Mapping[int, Any]]) -> int:
    """Return how many boxes are width, height, xmin and ymin, by the polygons; 0 unless more are so than are corners."""
    sizes = corners = 0
    for _, line in read_text(file, Findings(), "DATA"):
        fields = line.split()
        if len(fields) != 8 or not all(re.fullmatch(r"-?\d{1,9}", text) for text in (fields[1], *fields[4:])):
            continue
        known = polygons.get(fields[0], {}).get(int(fields[1]))
        if known is not None:
            a, b, c, d = map(int, fields[4:])
            as_sizes, as_corners = np.array([c, d, c + a, d + b]), np.array([min(a, c), min(b, d), max(a, c), max(b, d)])
            sizes += bool(np.abs(as_sizes - known[1]).max() <= CLIPPED)
            corners += bool(np.abs(as_corners - known[1]).max() <= CLIPPED)
    return sizes if sizes > corners else 0


# ---------------------------------------------------------------------------------------------- outlines against images


def turned_images(data_set: DataSet) -> Iterator[Finding]:
    """Tell images whose outlines lie on clearly stronger edges when they are turned by 180 degrees."""
    if data_set.card.id != "coral-parsing":
        return  # boxes follow no edge
    fitting = [(sample, truth) for _, sample, truth in _labelled(data_set) if len(truth.shapes) >= LEAST_OUTLINES]
    readable = [each for each in fitting if each[0].image in data_set.images and not data_set.images[each[0].image].problem]
    with closing(FactStore(data_set.settings.store, "coral edges 1")) as store:
        work = functools.partial(_edges_remembered, store)
        found = map_parallel(work, readable, data_set.settings.workers, "holding outlines against edges", len(readable))
        for (sample, truth), (facts, is_new) in found:
            if is_new:
                store.put(sample.image, facts)
            upright, turned = np.array(facts["upright"]), np.array(facts["turned"])
            better = float((turned > upright).mean())
            if turned.mean() > CLEARLY * upright.mean() and better >= MOST:
                what = "the outlines lie on stronger edges when the image is turned by 180 degrees"
                value = f"{turned.mean() / max(upright.mean(), 1e-9):.2f} times as strong, {better:.0%} of {len(truth.shapes)}"
                hint = "look at it: has the image been turned since it was annotated?"
                yield Finding("DATA-ROTATED", _WARNING, what, str(sample.image), id=sample.id, value=value, hint=hint)


def _edges_remembered(store: FactStore, labelled: tuple[Sample, Truth]) -> tuple[dict[str, Any], bool]:
    """Return how strong the edges under an image's outlines are, and whether that had to be measured."""
    sample, truth = labelled
    key = hashlib.blake2b(truth.shapes.points.tobytes() + truth.shapes.offsets.tobytes(), digest_size=8).hexdigest()
    known = store.get(sample.image)
    if known is not None and known.get("outlines") == key:
        return known, False
    upright, turned = edge_strengths(sample.image, truth)
    return {"outlines": key, "upright": upright.round(3).tolist(), "turned": turned.round(3).tolist()}, True


def edge_strengths(image: Path, truth: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how strong the image's edges under each outline are: of the outlines as they are, and turned by 180 degrees.

    The strength is the mean, along the outline, of how much the smoothed grey values change across it.

    Args:
        image: The image file.
        truth: Its objects.

    Returns:
        Twice ``(N,)``, in grey values per pixel of an image reduced to ``EDGE_SIDE``.
    """
    with Image.open(image) as opened:
        opened.draft("L", (EDGE_SIDE, EDGE_SIDE))
        reduced = opened.convert("L")
        reduced.thumbnail((EDGE_SIDE, EDGE_SIDE))
        grey = ndimage.gaussian_filter(np.asarray(reduced, np.float32), 1.0)
    gradient = np.stack([ndimage.sobel(grey, axis=1), ndimage.sobel(grey, axis=0)], axis=-1) / 8
    height, width = grey.shape
    scale = np.array([width / truth.width, height / truth.height])
    strengths = [[_strength(gradient, ring * scale, flip=flip) for ring in truth.shapes] for flip in (False, True)]
    return np.array(strengths[0]), np.array(strengths[1])


def _strength(gradient: NDArray[np.floating], ring: NDArray[np.float64], *, flip: bool) -> float:
    """Return the mean change across a ring's sides, which are sampled every pixel."""
    height, width = gradient.shape[:2]
    sides = np.roll(ring, -1, axis=0) - ring
    lengths = np.linalg.norm(sides, axis=1)
    counts = np.maximum(lengths.astype(int), 1)
    side = np.repeat(np.arange(len(ring)), counts)
    step = np.concatenate([np.arange(count) / count for count in counts])
    points = ring[side] + sides[side] * step[:, None]
    if flip:
        points = np.array([width - 1, height - 1]) - points
    columns, rows = points.round().astype(int).T
    across = np.stack([-sides[side, 1], sides[side, 0]], axis=-1) / np.maximum(lengths[side], 1e-9)[:, None]
    found = gradient[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return float(np.abs((found * across).sum(axis=1)).mean())


# ------------------------------------------------------------------------------------------------------ names and counts


def names(data_set: DataSet) -> Iterator[Finding]:
    """Tell ids without a date, and those whose date is not that of their folder."""
    undated: list[Sample] = []
    others: dict[Path, list[Sample]] = {}
    for _, sample in data_set.samples():
        date, folder = _DATE.match(sample.id), _FOLDER_DATE.search(sample.image.parent.name)
        if date is None or not sample.id[:4].isdigit():
            undated.append(sample)
        if date and folder and date[1] != f"{folder[1]}_{folder[2]}":
            others.setdefault(sample.image.parent, []).append(sample)
    if undated:
        what, value = "ids that don't begin with a date", f"{len(undated)}, such as {undated[0].id}"
        yield Finding("DATA-NAME", _INFO, what, str(data_set.root), value=value)
    for place, samples in sorted(others.items()):
        what, value = "ids of another date than their folder's", f"{len(samples)}, such as {samples[0].id}"
        yield Finding("DATA-NAME", _INFO, what, str(place), value=value)


def counts(data_set: DataSet) -> Iterator[Finding]:
    """Tell how many objects there are, and compare the numbers with those of 2021."""
    yield from compare_counts(data_set, PUBLISHED)
    objects = sum(len(truth.shapes) for split, _, truth in _labelled(data_set) if split == "all")
    is_other = data_set.card.id == "coral-annotation" and objects != PUBLISHED_BOXES and not is_generated(data_set)
    published = f", published {PUBLISHED_BOXES}" if is_other else ""
    what = "the training set has this many objects"
    yield Finding("DATA-COUNT", _INFO, what, str(data_set.root), id="objects", value=f"{objects}{published}")


def _distributions(data_set: DataSet) -> Sequence[Distribution]:
    per_image: dict[str, list[float]] = {}
    sizes: dict[str, list[float]] = {}
    points: dict[str, list[float]] = {}
    for split, _, truth in _labelled(data_set):
        boxes = truth.shapes.boxes()
        sides = boxes[:, 2:] - boxes[:, :2]
        per_image.setdefault(split, []).append(len(boxes))
        sizes.setdefault(split, []).extend(np.sqrt(sides.prod(axis=1) / (truth.width * truth.height)).tolist())
        points.setdefault(split, []).extend(truth.shapes.counts.tolist())
    places = {split: Counter(sample.place for sample in part.samples) for split, part in data_set.splits.items()}
    return (
        histogram("objects per image", per_image, (1, 5, 10, 20, 30, 40, 60, 80, 160)),
        histogram("square root of a box's share of the image", sizes, (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.01)),
        histogram("points per outline", points, (3, 5, 10, 20, 50, 100, 200, 500, 5000)),
        tally("images by place", places),
    )


def _draw(split: Split, sample: Sample, marked: frozenset[int]) -> Image.Image:
    """Draw an image with its true outlines."""
    with Image.open(sample.image) as image:
        width = image.width
        page = pictures.shrink(image, PICTURE_SIDE)
    if sample.truth is None:
        return page
    outlines = [ring * (page.width / width) for ring in sample.truth.shapes]
    labels = sample.truth.labels.tolist()
    styles, names = (
        [pictures.style_of(label) for label in labels],
        [short_name(split.truth_set.classes[label]) for label in labels],
    )
    return pictures.draw_outlines(page, outlines, styles, names, marked)


CHECKS = Checks(
    rules=(same_place, nested, odd_shapes, overlaps, boxes_and_polygons, turned_images, names, counts),
    graded=frozenset({"DATA-BOX-ORDER"}),  # a flipped y is a warning
    splits={"coral-annotation": ("all", "test"), "coral-parsing": ("all", "test")},
    classes=_classes,
    class_names=lambda _: list(SUBSTRATES.values()),
    group=lambda sample: str(sample.place),
    distributions=_distributions,
    draw=_draw,
    codes={
        **CODES,
        "DATA-BOX-ASPECT": Code(_INFO, "an object far longer than wide", "900×20 pixels"),
        "DATA-BOX-NESTED": Code(_INFO, "an outline that lies in another of its substrate", "a hole, or one object twice"),
        "DATA-BOX-POLYGON-MISMATCH": Code(
            _ERROR, "boxes and polygons differ in objects, substrate or extremes", "a box that was moved"
        ),
        "DATA-NAME": Code(_INFO, "ids without a date, or of another date than their folder's", "02_2017_0803_132731_098"),
        "DATA-NEAR-OBJECT": Code(_INFO, "two objects of a substrate with nearly the same box", "IoU 0.97"),
        "DATA-OVERLAP": Code(_INFO, "objects of one substrate overlap", "175 of 2,428 pairs of image and substrate"),
        "DATA-ROTATED": Code(
            _WARNING, "outlines that fit the image only when it is turned by 180 degrees; a hint", "2018_0712_* of 2020"
        ),
        "DATA-SPLIT-GROUP": Code(_INFO, "a place in two splits, as in the campaign's data", "Dominica"),
    },
)
