"""Samples, truths and predictions of the drawnUI tasks, and the reader of the files as distributed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.files import Report
from baselines.core.findings import Findings, InvalidInput, Severity, UsageError, invalid, nearest, shorten
from baselines.core.images import read_header, report_rotation, why_unreadable
from baselines.core.metrics.detection import box_areas
from baselines.core.outputs import write_atomic
from baselines.core.tasks import get_task
from baselines.drawnui.formats import (
    ABSOLUTE_ABOVE,
    NO_BOXES,
    TOLERANCE,
    Entry,
    OrderCheck,
    format_records,
    make_record,
    read_entries,
    sniff_format,
)

IMAGE_EXTENSIONS = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class Truth:
    """The boxes of one image.

    Attributes:
        id: File name of the image.
        width: Width in pixels: the image file's where it exists, else as declared.
        height: Height in pixels.
        boxes: ``(N, 4) float64`` xyxy in pixels, clipped to the image.
        labels: ``(N,) int64`` campaign class ids (``detectionClass``).
        areas: ``(N,) float64`` in square pixels, width times height as the file has them; ``None`` for those between the
            corners, from which these may differ in the last bit.
    """

    id: str
    width: int
    height: int
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    areas: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and, where the split has them, its boxes.

    Attributes:
        id: File name of the image.
        image: Path of the image file; decoded without EXIF rotation.
        truth: Its boxes; ``None`` in a test set.
    """

    id: str
    image: Path
    truth: Truth | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Detections in one image.

    Attributes:
        id: File name of the image.
        boxes: ``(N, 4)`` float xyxy in pixels of the image file.
        labels: ``(N,) int64`` campaign class ids.
        scores: ``(N,)`` float in [0, 1].
        areas: As of a :class:`Truth`.
    """

    id: str
    boxes: NDArray[np.floating]
    labels: NDArray[np.int64]
    scores: NDArray[np.floating]
    areas: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by id, and class names by campaign id, both taken from the data."""

    truths: Mapping[str, Truth]
    classes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a data set.

    Attributes:
        name: ``train``, ``val``, ``test`` or ``all``.
        samples: Its images that exist on disk, by ascending id.
        truth_set: Its truths, also those whose image is missing; of a test set truths without boxes, for the sizes.
            The classes are those of the whole development set.
    """

    name: str
    samples: tuple[Sample, ...]
    truth_set: TruthSet


# -------------------------------------------------------------------------------------------------------------- truths


def read_truth(path: Path, task: str, findings: Findings) -> TruthSet:
    """Read a ground-truth file, 2021 JSON or 2020 text, whichever it is.

    Images that lie beside the file (in ``images``, ``test/images`` or ``test``) give the sizes; without images the declared
    ones are used. What is tolerated is a warning or an info; errors mean that the truths are not to be used.

    Args:
        path: The file.
        task: The task's id; its known classes are the check list, the names and ids come from the file.
        findings: Where everything noteworthy is reported, with ``DATA`` codes.

    Returns:
        The truths in the order of the file. Boxes are clipped to the image; those without size are left out.
    """
    images: dict[str, Path] = {}
    for folder in ("images", "test/images", "test"):
        images = images or _index_images(path.parent / folder, findings)
    classes = _ClassList(get_task(task).classes)
    truths, _ = _read_truths(path, findings, images, classes)
    classes.tell()
    if truths and not images:
        message = "there are no images beside the file: the declared sizes are used"
        Report(findings, str(path), "DATA").info("IMAGE-SIZE-ASSUMED", message)
    return TruthSet(truths, classes.sorted_names())


def truths_of_ids(ids: Iterable[str], task: str) -> TruthSet:
    """Return truths without content (size 0, no boxes), to hold a run against ids alone; classes are those known beforehand."""
    return TruthSet({name: Truth(name, 0, 0, NO_BOXES, np.zeros(0, dtype=np.int64)) for name in ids}, get_task(task).classes)


def write_truth(path: Path, truth_set: TruthSet) -> None:
    """Write a ground-truth file in the 2021 format, whole or not at all.

    Reading it gives the same ids, sizes and labels, and the same boxes up to 1e-9 of the image's size.
    """
    classes = dict(truth_set.classes)
    write_atomic(
        path,
        format_records(
            make_record(truth.id, (truth.width, truth.height), truth.boxes, truth.labels, None, classes)
            for truth in truth_set.truths.values()
        ),
    )


def export_coco(truth_set: TruthSet) -> dict[str, Any]:
    """Return the truths as a COCO data set, ready for ``json.dump`` or ``pycocotools``.

    Image and annotation ids count from 1 (pycocotools takes an annotation 0 for no match), categories keep the campaign's ids.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, truth in enumerate(truth_set.truths.values(), start=1):
        images.append({"id": image_id, "file_name": truth.id, "width": truth.width, "height": truth.height})
        for (x0, y0, x1, y1), label in zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": label, "name": name} for label, name in sorted(truth_set.classes.items())]
    return {"images": images, "annotations": annotations, "categories": categories}


def _read_truths(
    path: Path, findings: Findings, images: Mapping[str, Path], classes: _ClassList
) -> tuple[dict[str, Truth], dict[str, Path]]:
    """Read a truth file, with sizes from ``images``; return the truths and the readable image files, both by id."""
    report = Report(findings, str(path), "DATA")
    truths: dict[str, Truth] = {}
    files: dict[str, Path] = {}
    order = OrderCheck()
    for entry in read_entries(path, sniff_format(path), findings, "DATA"):
        if entry.id in truths:
            hint = "keep one of the records"
            report.error("ID-DUPLICATE", "the image has a record already", line=entry.line, id=entry.id, hint=hint)
            continue
        file, size = _true_image(entry, images, report)
        if size is None:
            continue
        if file is not None:
            files[entry.id] = file
        if entry.is_relative:
            order.add(entry.boxes)
        kept, boxes, areas = _true_boxes(entry, size, report)
        labels = classes.labels(entry, kept, report)
        has_label = np.array([label is not None for label in labels], dtype=bool)
        truths[entry.id] = Truth(
            entry.id,
            *size,
            boxes[has_label],
            np.array([label for label in labels if label is not None], dtype=np.int64),
            areas[has_label],
        )
    order.tell(report)
    return truths, files


def _true_image(entry: Entry, images: Mapping[str, Path], report: Report) -> tuple[Path | None, tuple[int, int] | None]:
    """Return an entry's image, where it can be read, and its size; no size, with an error, if nothing says it."""
    path = _find_image(entry.id, images)
    if path is not None:
        if path.name != entry.id:
            report.warning("ID-CASE", f"the image's file is called {path.name}", line=entry.line, id=entry.id)
        try:
            header = read_header(path)
        except OSError as error:
            hint = "fetch the image again; until then it is not used for training"
            rule, message = why_unreadable(path, error)
            report.warning(rule, message, line=entry.line, id=entry.id, hint=hint)
        else:
            report_rotation(header, report, id=entry.id, line=entry.line)
            _compare_sizes(entry, header.size, report)
            return path, header.size
    elif images:
        hint = "the record is used for scoring, with its declared size, and not for training"
        report.warning("ID-NO-IMAGE", "the image is missing", line=entry.line, id=entry.id, hint=hint)
    if entry.size is None:
        hint = "put the images beside the file, or declare width and height"
        report.error("IMAGE-SIZE", "neither an image nor the file says the size", line=entry.line, id=entry.id, hint=hint)
    return None, entry.size


def _compare_sizes(entry: Entry, size: tuple[int, int], report: Report) -> None:
    if entry.size is not None and entry.size != size:
        report.warning(
            "IMAGE-SIZE",
            "the declared size is not that of the image",
            line=entry.line,
            id=entry.id,
            value="declared {}x{}, image {}x{}".format(*entry.size, *size),
            hint="the image's is used",
        )


def _true_boxes(
    entry: Entry, size: tuple[int, int], report: Report
) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Return the indices of an entry's usable boxes, these in pixels ``(N, 4)`` xyxy, clipped to the image, and their areas."""
    if not len(entry.boxes):
        return [], NO_BOXES, NO_BOXES[:, 0]

    def tell(severity: Severity, rule: str, message: str, index: int, hint: str) -> None:
        line, value = entry.locate(index, "box")
        report.add(severity, rule, message, line=line, id=entry.id, value=value, hint=hint)

    usable = np.ones(len(entry.boxes), dtype=bool)
    if entry.is_relative:
        absolute = np.flatnonzero((np.abs(entry.boxes) > ABSOLUTE_ABOVE).any(axis=1))
        if len(absolute):
            hint = "divide y and height by the image's height, x and width by its width"
            tell(Severity.ERROR, "BOX-ABSOLUTE", f"{len(absolute)} boxes look like pixels", int(absolute[0]), hint)
            usable[absolute] = False
    for index in np.flatnonzero(usable & (entry.boxes[:, 2:] <= 0).any(axis=1)).tolist():
        tell(Severity.WARNING, "BOX-ZERO", "a box without width or height", index, "it is left out")
        usable[index] = False
    corners, areas = entry.in_pixels(*size)
    limits = np.array(size * 2)
    clipped = np.clip(corners, 0, limits)
    leaves = ((corners < -TOLERANCE) | (corners > limits + TOLERANCE)).any(axis=1)
    vanishes = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
    for index in np.flatnonzero(usable & leaves & ~vanishes).tolist():
        tell(Severity.WARNING, "OUT-OF-IMAGE", "a box leaves the image", index, "it is clipped")
    for index in np.flatnonzero(usable & vanishes).tolist():
        tell(Severity.WARNING, "BOX-ZERO", "a box has no size within the image", index, "it is left out")
    unusual = np.flatnonzero(entry.scores != 1)
    if len(unusual):
        line, value = entry.locate(int(unusual[0]), "score")
        what = f"{len(unusual)} boxes have another score than 1"
        report.warning("SCORE", what, line=line, id=entry.id, value=value, hint="scores of truths are not used")
    kept = np.flatnonzero(usable & ~vanishes)
    is_whole = (clipped == corners).all(axis=1)
    return kept.tolist(), clipped[kept], np.where(is_whole, areas, box_areas(clipped))[kept]


class _ClassList:
    """Collects class names by id, and compares them with each other and with the known ones."""

    def __init__(self, known: Mapping[int, str]) -> None:
        self.known = known
        self.ids_of_known = {name: label for label, name in known.items()}
        self.names: dict[int, str] = {}
        self.first: dict[tuple[int, str], tuple[Report, int]] = {}  # file and line where a pair occurs first

    def labels(self, entry: Entry, indices: list[int], report: Report) -> Sequence[int | None]:
        """Return the class ids of boxes, ``None`` for those that have none."""
        if entry.class_ids is not None and self.first.keys() >= set(zip(entry.class_ids, entry.names, strict=True)):
            return [entry.class_ids[index] for index in indices]
        return [self.label(entry, index, report) for index in indices]

    def label(self, entry: Entry, index: int, report: Report) -> int | None:
        """Return the class id of a box; ``None`` if it has none."""
        name = entry.names[index]
        label = self.ids_of_known.get(name) if entry.class_ids is None else entry.class_ids[index]
        if label is None:
            line, value = entry.locate(index, "class")
            what = "the class is not known, and the text of 2020 has no ids"
            hint = nearest(name, self.ids_of_known, "the classes are")
            report.error("CLASS-UNKNOWN", what, line=line, id=entry.id, value=value, hint=hint)
        elif (label, name) not in self.first:
            self.first[label, name] = report, entry.locate(index, "class")[0]
            self.names.setdefault(label, name)
        return label

    def sorted_names(self) -> dict[int, str]:
        """Return the class names by ascending id."""
        return dict(sorted(self.names.items()))

    def tell(self) -> None:
        """Report pairs of id and name that contradict each other or the known ones."""
        ids: dict[str, int] = {}
        for (label, name), (report, line) in self.first.items():
            pair = f"{label} {shorten(name)}"
            if self.names[label] != name:
                hint = f"it was {self.names[label]} before: give every id one name"
                report.error("CLASS-MISMATCH", "one class id with two names", line=line, value=pair, hint=hint)
            elif ids.setdefault(name, label) != label:
                hint = f"it was {ids[name]} before: give every name one id"
                report.error("CLASS-MISMATCH", "one class name with two ids", line=line, value=pair, hint=hint)
            elif self.known and name not in self.ids_of_known:
                hint = nearest(name, self.ids_of_known, "the classes are")
                report.error("CLASS-UNKNOWN", "the task has no such class", line=line, value=pair, hint=hint)
            elif self.known and self.known.get(label) != name:
                hint = f"known as {self.ids_of_known[name]}; the file's id is used"
                report.warning("CLASS-MISMATCH", "the class has another id than usual", line=line, value=pair, hint=hint)


# -------------------------------------------------------------------------------------------------------------- images


def _index_images(folder: Path, findings: Findings) -> dict[str, Path]:
    """Return the image files directly in a folder by name, ascending; nothing if there is no such folder."""
    if not folder.is_dir():
        return {}
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    junk = [name for name in names if name.startswith("._") or name in {".DS_Store", "Thumbs.db", "desktop.ini"}]
    if junk:
        report = Report(findings, str(folder), "DATA")
        report.info("JUNK", f"{len(junk)} files that a desktop left behind", value=junk[0], hint="they are ignored")
    ignored = set(junk)
    return {name: folder / name for name in names if name not in ignored and Path(name).suffix.lower() in IMAGE_EXTENSIONS}


def _find_image(name: str, images: Mapping[str, Path]) -> Path | None:
    """Return the file of an image, also where the extension is in another case (``.JPG``)."""
    if name in images or not images:
        return images.get(name)
    extension = Path(name).suffix
    stem = name.removesuffix(extension)
    return next((images[other] for other in (stem + extension.lower(), stem + extension.upper()) if other in images), None)


# -------------------------------------------------------------------------------------------------------------- splits


@dataclass(frozen=True, slots=True)
class _Part:
    """Where a part of the archive lies (spec page 1.1).

    Attributes:
        folder: The set's folder, in the family's.
        images: Folder of the images in it; where there are several, the first that exists.
        truth: The truth file in it, likewise; a test set has none.
    """

    folder: str
    images: tuple[str, ...]
    truth: tuple[str, ...] = ()


_DEVELOPMENT = {
    # The second truth is that of 2020 (1.3), in a place of the project's choice: in which folders it came is not known.
    "drawnui-wireframe": {"all": _Part("wireframe_development_set", ("images",), ("development_set.json", "train-set.csv"))},
    "drawnui-screenshot": {
        "train": _Part("screenshot_development_set", ("train/images", "train"), ("train/train_set.json",)),
        "val": _Part("screenshot_development_set", ("validation/images", "validation"), ("validation/val_set.json",)),
    },
}
_TEST = {
    "drawnui-wireframe": _Part("wireframe_test_set", ("test/images", "test")),
    "drawnui-screenshot": _Part("screenshot_test_set", ("test/images", "test")),
}


def read_split(root: Path, task: str, split: str, findings: Findings, *, split_seed: int = 0, val_share: float = 0.2) -> Split:
    """Read one split of a data set in the campaign's layout.

    The campaign divided the screenshots, not the wireframes: there ``train`` and ``val`` are what :func:`split_ids` makes of
    the development set. A screenshot that the campaign has in both is in ``val`` alone.

    Args:
        root: The data root, which holds ``drawnui``; the ``drawnui`` folder itself will do.
        task: The task's id.
        split: ``train``, ``val``, ``all`` (the whole development set) or ``test``.
        findings: Where everything noteworthy is reported, as by :func:`read_truth`.
        split_seed: Seed of the wireframes' division.
        val_share: Share of the wireframes in ``val``, from 0 to 1.

    Raises:
        InvalidInput: If the files are not there; the message says where they were looked for and what to do.
        UsageError: If there is no such split.
    """
    if split not in ("train", "val", "all", "test"):
        raise UsageError(f"no split {split!r}: the splits are train, val, all and test")
    if split == "test":
        return _read_test(root, task, findings)
    classes = _ClassList(get_task(task).classes)
    # All of them, whatever the split: for the classes, and for what is in two.
    parts = {name: _read_part(root, task, part, classes, findings) for name, part in _DEVELOPMENT[task].items()}
    classes.tell()
    _leave_out_held_out(parts, root, findings)
    truths: dict[str, Truth] = {}
    images: dict[str, Path] = {}
    for name in [split] if split in parts else parts:
        truths |= parts[name][0]
        images |= parts[name][1]
    truth_set = TruthSet(dict(sorted(truths.items())), classes.sorted_names())
    if split != "all" and split not in parts:
        train, held_out = split_ids(truth_set, val_share, split_seed)
        ids = train if split == "train" else held_out
        truth_set = TruthSet({key: truth_set.truths[key] for key in ids}, truth_set.classes)
    samples = tuple(Sample(key, images[key], truth) for key, truth in truth_set.truths.items() if key in images)
    return Split(split, samples, truth_set)


def _read_part(
    root: Path, task: str, part: _Part, classes: _ClassList, findings: Findings
) -> tuple[dict[str, Truth], dict[str, Path]]:
    """Read truths and image files of a part of the development set."""
    folder, truth = _find_set(root, task, part, findings)
    images: dict[str, Path] = {}
    for name in part.images:
        images = images or _index_images(folder / name, findings)
    if not images:
        raise _incomplete(folder, part.images)
    truths, files = _read_truths(truth, findings, images, classes)
    named = {path.name for path in files.values()}
    for name in sorted(images.keys() - named - truths.keys()):
        Report(findings, str(images[name]), "DATA").warning(
            "ID-NO-LABEL", "the image has no record", id=name, hint="it is left out"
        )
    return truths, files


def _read_test(root: Path, task: str, findings: Findings) -> Split:
    """Read a test set: images without boxes; class names are those of the development set, where it is there."""
    part = _TEST[task]
    folder, _ = _find_set(root, task, part, findings)
    samples: list[Sample] = []
    truths: dict[str, Truth] = {}
    images = next(filter(None, (_index_images(folder / name, findings) for name in part.images)), {})
    for name, path in images.items():
        report = Report(findings, str(path), "DATA")
        try:
            header = read_header(path)
        except OSError as error:
            report.error(*why_unreadable(path, error), id=name, hint="fetch the image again: a run needs it")
            continue
        report_rotation(header, report, id=name)
        samples.append(Sample(name, path, None))
        truths[name] = Truth(name, *header.size, NO_BOXES, np.zeros(0, dtype=np.int64))
    return Split("test", tuple(samples), TruthSet(truths, _development_classes(root, task)))


def _development_classes(root: Path, task: str) -> dict[int, str]:
    """Return the classes of the development set, without looking at images; none if there is no such set."""
    classes, untold = _ClassList(get_task(task).classes), Findings()
    for part in _DEVELOPMENT[task].values():
        truth = next(filter(None, (_first_of(folder, part.truth) for folder in _places(root, part))), None)
        for entry in read_entries(truth, sniff_format(truth), untold, "DATA") if truth else ():
            classes.labels(entry, list(range(len(entry.names))), Report(untold, str(truth), "DATA"))
    return classes.sorted_names()


def _leave_out_held_out(parts: Mapping[str, tuple[dict[str, Truth], dict[str, Path]]], root: Path, findings: Findings) -> None:
    """Take images that are in validation, too, out of the truths and files of training, with a warning."""
    if "val" not in parts:
        return
    (truths, files), (held_out, _) = parts["train"], parts["val"]
    for key in sorted(truths.keys() & held_out.keys()):
        what, hint = "the image is in train and in validation", "keep it in one; training leaves it out"
        Report(findings, str(root), "DATA").warning("SPLIT-ID", what, id=key, hint=hint)
        del truths[key]
        files.pop(key, None)


def _places(root: Path, part: _Part) -> Iterator[Path]:
    """Yield where a set may lie: below the data root or the family's folder, perhaps nested in a folder of its own name."""
    if root.name == part.folder:
        yield root
    for family in (root / "drawnui", root, root / "drawnui" / "drawnui"):
        yield family / part.folder
        yield family / part.folder / part.folder


def _first_of(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of some files or folders that is in a folder."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def _find_set(root: Path, task: str, part: _Part, findings: Findings) -> tuple[Path, Path]:
    """Return the folder of a set, and its truth file; of a test set the folder of its images.

    Raises:
        InvalidInput: If it is nowhere; or if its folder is there and lacks it, which the finding names as its file then.
    """
    wanted = part.truth or part.images
    for folder in _places(root, part):
        if found := _first_of(folder, wanted):
            if folder.parent.name in {folder.name, folder.parent.parent.name}:
                Report(findings, str(folder), "DATA").info("NESTED", "the folder is nested in one of its own name")
            return folder, found
    if begun := next((folder for folder in _places(root, part) if folder.is_dir()), None):
        raise _incomplete(begun, wanted)
    raise _missing(root, task, f"no {' or '.join(f'{part.folder}/{name}' for name in wanted)} here")


def _incomplete(folder: Path, wanted: Sequence[str]) -> InvalidInput:
    what = f"no {' or '.join(wanted)} in this folder, or nothing in it"
    return invalid("DATA-FILE-MISSING", what, file=folder, hint="copy the set again, whole")


def _missing(root: Path, task: str, message: str) -> InvalidInput:
    looked = "there is no such folder" if not root.is_dir() else f"looked in {root / 'drawnui'} and in {root}"
    hint = f"{looked}; point data.root, or --data, at the folder that holds drawnui/, or run `imageclef sample {task}`"
    return invalid("DATA-FILE-MISSING", message, file=root, hint=hint)


def split_ids(truth_set: TruthSet, share: float, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide images so that both parts have all classes in about the same shares.

    The held-out part grows image by image: of a few drawn at random, the one goes in that brings the number of images and the
    number of boxes of every class nearest to their shares. Before that, every class with at least two images gets one in; no
    class loses its last image to the held-out part. Where these two don't go together the draw is repeated, a few times. The
    result depends on the truths, share and seed alone, not on their order. This is a stratification of multi-label data in the
    spirit of Sechidis et al. 2011 (ECML PKDD).

    Args:
        truth_set: The truths.
        share: Share of the images to hold out, from 0 to 1. A part that isn't to be empty gets at least one of two images;
            many rare classes may make the held-out part larger.
        seed: Seed of the draw.

    Returns:
        The training and the held-out ids, both ascending.

    >>> boxes, labels = np.array([[0.0, 0, 9, 9]]), np.array([1])
    >>> truths = {name: Truth(name, 20, 20, boxes, labels) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")}
    >>> [len(part) for part in split_ids(TruthSet(truths, {1: "button"}), 0.25, seed=0)]
    [3, 1]
    """
    ids = sorted(truth_set.truths)
    labels = np.array(sorted(truth_set.classes), dtype=np.int64)
    counts = np.zeros((len(ids), len(labels)), dtype=np.int64)
    for row, key in enumerate(ids):
        counts[row] = (truth_set.truths[key].labels[:, None] == labels).sum(axis=0)
    held_out = np.full(len(ids), share >= 1)
    if 0 < share < 1:
        rng = np.random.default_rng(seed)
        draws = (_hold_out(counts, share, rng) for _ in range(_DRAWS))
        held_out = _first_complete(draws, counts > 0)
    train = tuple(key for key, is_out in zip(ids, held_out, strict=True) if not is_out)
    return train, tuple(key for key, is_out in zip(ids, held_out, strict=True) if is_out)


_DRAWS = 10
_CANDIDATES = 16  # images among which the best is chosen; more of them make better strata and less chance


def _first_complete(draws: Iterable[NDArray[np.bool_]], has: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the first draw that holds out an image of every class with at least two, else the one that lacks fewest."""
    divisible = has.sum(axis=0) >= 2
    fewest, best = has.shape[1] + 1, np.zeros(len(has), dtype=bool)
    for draw in draws:
        lacking = int((divisible & ~has[draw].any(axis=0)).sum())
        if lacking < fewest:
            fewest, best = lacking, draw
        if not fewest:
            break
    return best


def _hold_out(counts: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose the rows of ``counts (N, K)``, boxes by image and class, to hold out; see :func:`split_ids`."""
    total = len(counts)
    has = counts > 0
    shares = np.concatenate((counts / np.maximum(counts.sum(axis=0), 1), np.full((total, 1), 1 / max(total, 1))), axis=1)
    goal = np.where(shares.sum(axis=0) > 0, share, 0.0)
    held_out = np.zeros(total, dtype=bool)

    def take(candidates: NDArray[np.int64]) -> bool:
        """Hold out the best of some random candidates that leave every class an image; whether there was one."""
        left = has[~held_out].sum(axis=0)
        allowed = candidates[~(has[candidates] & (left == 1)).any(axis=1)]
        if not len(allowed):
            return False
        drawn = rng.permutation(allowed)[:_CANDIDATES]
        error = np.square(shares[held_out].sum(axis=0) + shares[drawn] - goal).sum(axis=1)
        held_out[drawn[error.argmin()]] = True
        return True

    for label in np.argsort(has.sum(axis=0), kind="stable"):  # rare classes first
        if not has[held_out, label].any():
            take(np.flatnonzero(has[:, label]))
    size = min(max(round(share * total), 1), total - 1)
    while held_out.sum() < size and take(np.flatnonzero(~held_out)):
        pass
    return held_out
