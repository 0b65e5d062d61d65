"""What a drawnUI data set can have wrong with it, beyond what its reader and the common checks tell."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.core import pictures
from baselines.core.checks import Checks, DataSet, Distribution, alike_boxes, histogram, row_blocks
from baselines.core.findings import Finding, Severity, shorten, show_id
from baselines.core.images import map_parallel
from baselines.core.metrics.detection import box_iou
from baselines.core.runs import Code
from baselines.drawnui.records import Sample, Split, Truth

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

NEAR_IOU = 0.95  # from which two boxes of a class are one element annotated twice
EXTREME_ASPECT = 60.0  # of the longer to the shorter side; a line across a page has about 40
FLAT_SPREAD = 1.5  # standard deviation of grey values under which nothing is to be seen in a box
MIN_FLAT_SIDE = 4  # pixels; smaller boxes hold too little to tell
INSIDE = 0.98  # share of a box from which it is inside of another; people draw a pixel too far
CUT = 0.1  # share of a box that must be inside of a container, and out of it, for its border to cut the box
NESTED_IOU = 0.8  # from which a box in another of its class is odd even where the class may hold its like
HOLDERS = frozenset({"container", "list", "table", "image"})  # classes of wireframes that hold other elements
MAX_TOLD = 20  # findings of a kind in an image
ROUNDED = 2.0  # pixels by which the mean box of an image may differ in a COCO file of whole pixels
MAX_COCO_BYTES = 2**26
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
        for first, second, iou in islice(alike_boxes(truth.boxes, truth.labels, NEAR_IOU), MAX_TOLD):
            value = f"boxes {first} and {second}, IoU {iou:.3f}"
            what, file, both = "two boxes of one class cover the same element", str(sample.image), (first, second)
            yield Finding("DATA-DUPLICATE-OBJECT", _WARNING, what, file, id=sample.id, value=value, objects=both)


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


def nested_boxes(data_set: DataSet) -> Iterator[Finding]:
    """Tell boxes inside others that hold nothing of their kind, and those that the border of a container cuts."""
    known = set(data_set.card.classes.values())
    for split, sample, truth in _labelled(data_set):
        classes = data_set.splits[split].truth_set.classes
        names = [classes[label] for label in truth.labels.tolist()]
        for inner, outer, share, code, what in islice(_odd_pairs(truth.boxes, names, known), MAX_TOLD):
            value = f"box {inner} {names[inner]}, {share:.0%} of it in box {outer} {names[outer]}"
            file, both, hint = str(sample.image), (inner, outer), "look at both"
            yield Finding(code, _INFO, what, file, id=sample.id, value=value, hint=hint, objects=both)


def _odd_pairs(boxes: NDArray[np.float64], names: Sequence[str], known: Set[str]) -> Iterator[tuple[int, int, float, str, str]]:
    """Yield an inner and an outer box, which share of the inner one is inside, and the code and the text of what is odd.

    Args:
        boxes: ``(N, 4)`` xyxy.
        names: Their classes.
        known: The names of which it is known what elements hold; others may hold anything.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for rows in row_blocks(len(boxes)):
        shares, iou = _shares(boxes[rows], boxes), box_iou(boxes[rows], boxes)
        is_later = np.arange(len(boxes)) > rows[:, None]
        is_larger = (areas > areas[rows, None]) | ((areas == areas[rows, None]) & is_later)
        for row, outer in np.argwhere(is_larger & (shares > CUT)).tolist():
            inner, share = int(rows[row]), float(shares[row, outer])
            one, other = names[inner], names[outer]
            holds = other in HOLDERS or other not in known
            if share < INSIDE:
                if other == "container" and share < 1 - CUT:
                    yield inner, outer, share, "DATA-BOX-CROSSING", "a box sticks out of a container"
            elif one == other and NESTED_IOU * holds < iou[row, outer] <= NEAR_IOU:
                yield inner, outer, share, "DATA-BOX-NESTED", "a box is inside another of its class"
            elif one == "container" and not holds:
                yield inner, outer, share, "DATA-BOX-NESTED", "a container is inside an element that holds none"


def _shares(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(N, M)``: which share of each box is inside of each of the others."""
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray((high - low).clip(0).prod(axis=-1) / np.maximum(areas, 1e-9)[:, None])


def coco_files(data_set: DataSet) -> Iterator[Finding]:
    """Tell what is wrong with the ids of COCO files beside the images, which detectors read in place of the campaign's."""
    images = [sample.image for _, sample in data_set.samples()]
    folders = {folder for image in images for folder in (image.parent, image.parent.parent)}
    truths = {sample.id: truth for _, sample, truth in _labelled(data_set)}
    for path in sorted(path for folder in folders for path in folder.glob("*.json")):
        if not _holds_object(path):  # the campaign's files are lists
            continue
        if (size := path.stat().st_size) > MAX_COCO_BYTES:
            what, hint = "too large for a COCO file of this set, so it was not looked at", "export it again, or take it out"
            yield Finding("DATA-TOO-LARGE", _ERROR, what, str(path), value=f"{size / 2**20:.0f} MiB", hint=hint)
            continue
        content = _read_coco(path)
        for what, value, hint in _odd_ids(content, truths) if content else ():
            yield Finding("DATA-ANNOTATION-ID", _ERROR, what, str(path), value=value, hint=hint)


def _holds_object(path: Path) -> bool:
    """Whether a file begins as a JSON object does."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def _read_coco(path: Path) -> dict[str, list[dict[str, Any]]] | None:
    """Return the images and annotations of a COCO file; ``None`` if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    parts = {key: content.get(key) for key in ("images", "annotations")}
    if not all(isinstance(part, list) and all(isinstance(each, dict) for each in part) for part in parts.values()):
        return None
    return parts


def _odd_ids(content: Mapping[str, Sequence[dict[str, Any]]], truths: Mapping[str, Truth]) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with a COCO file's ids, what was seen, and what to do."""
    images, annotations = content["images"], content["annotations"]
    for key, entries in (("image", images), ("annotation", annotations)):
        ids = [entry.get("id") for entry in entries]
        least = 0 if key == "image" else 1
        odd = [name for name in ids if type(name) is not int or name < least]
        if odd:
            hint = "count from 1" + (": pycocotools takes an annotation 0 for no match" if key == "annotation" else "")
            yield f"{key} ids that are no integers from {least} on", f"{len(odd)}, such as {shorten(odd[0])}", hint
        repeated = [name for name, count in Counter(map(str, ids)).items() if count > 1]
        if repeated:
            hint = "number them through all images"
            yield f"{key} ids that occur several times", f"{len(repeated)}, such as {shorten(repeated[0])}", hint
    files = {str(entry.get("id")): PurePosixPath(str(entry.get("file_name"))).name for entry in images}
    boxes: dict[str, list[Any]] = {file: [] for file in files.values()}
    lost = [entry for entry in annotations if str(entry.get("image_id")) not in files]
    for entry in annotations:
        boxes.get(files.get(str(entry.get("image_id")), ""), []).append(entry.get("bbox"))
    if lost:
        value = f"{len(lost)}, such as image {shorten(lost[0].get('image_id'))}"
        yield "annotations of images that the file doesn't list", value, "export the file again"
    moved = [(file, owner) for file, found in boxes.items() if (owner := _owner(file, found, truths))]
    if moved:
        value = f"{len(moved)}, such as {show_id(moved[0][0])} with those of {show_id(moved[0][1])}"
        hint = "were the images numbered again, without those that are missing?"
        yield "images with the boxes of another one", value, hint


def _owner(file: str, found: Sequence[Any], truths: Mapping[str, Truth]) -> str | None:
    """Return whose boxes an image has in a COCO file, if they are not its own."""
    if file not in truths or not found:
        return None
    try:
        boxes = np.array(found, np.float64).reshape(len(found), 4)
    except (TypeError, ValueError, OverflowError):
        return None
    centre = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).mean(axis=0)

    def fits(truth: Truth) -> bool:
        return len(truth.boxes) == len(boxes) and bool(np.abs(truth.boxes.mean(axis=0) - centre).max() <= ROUNDED)

    return None if fits(truths[file]) else next((name for name, truth in truths.items() if fits(truth)), None)


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
    rules=(empty_records, duplicate_objects, extreme_aspects, nested_boxes, coco_files, counts, invisible_boxes),
    splits={"drawnui-wireframe": ("all", "test")},
    classes=_classes,
    class_names=_class_names,
    distributions=_distributions,
    draw=_draw,
    codes={
        "DATA-ANNOTATION-ID": Code(
            _ERROR, "ids of a COCO file that don't count from 1, repeat, or have shifted against the images", "annotation 0"
        ),
        "DATA-ID-PATH": Code(_ERROR, "an image's name that is no bare file name", "images/a.jpg"),
        "DATA-OUT-OF-IMAGE": Code(_WARNING, "a box leaves the image by more than a thousandth of a pixel", "x + w = 1.02"),
        "DATA-BOX-ZERO": Code(_ERROR, "a box without width or height", "[0.1, 0.1, 0, 0.2]"),
        "DATA-BOX-ABSOLUTE": Code(_ERROR, "boxes in pixels where shares are due", "[20, 30, 100, 40]"),
        "DATA-BOX-ORDER": Code(_WARNING, "most boxes fit only if their numbers are corners", "[y0, x0, y1, x1]"),
        "DATA-BOX-ASPECT": Code(_INFO, "a box under a pixel, or far longer than wide", "a box of 900×4 pixels"),
        "DATA-BOX-CROSSING": Code(_INFO, "a box sticks out of a container", "a button on the edge of a container"),
        "DATA-BOX-NESTED": Code(
            _INFO, "a box in another of its class, or a container in an element that holds none", "a header in a header"
        ),
        "DATA-BOX-INVISIBLE": Code(_INFO, "nothing is to be seen in a box", "a hidden element of a web page"),
        "DATA-CLASS-MISMATCH": Code(
            _ERROR, "an id with two names, or a name with two ids; a warning if not the usual id", "7 button, 7 link"
        ),
        "DATA-SCORE": Code(_WARNING, "a true box has another score than 1", '"score": 0.9'),
        "DATA-EMPTY-RECORD": Code(_INFO, "an image without boxes", '"annotations": []'),
        "DATA-DUPLICATE-OBJECT": Code(_WARNING, "two boxes of one class cover the same element", "a box twice"),
    },
)
