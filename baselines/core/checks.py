"""What a task's ``checks.py`` is made of: rules that look at a whole data set and yield findings.

Source of the codes and severities: page ``dataset-checks`` of the specification.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.core.findings import Finding, Severity
from baselines.core.images import ImageFacts
from baselines.core.metrics.detection import box_iou
from baselines.core.runs import Code
from baselines.core.sample_sets import is_sample
from baselines.core.tasks import TaskCard

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

RARE = 0.03  # a class with less than this share of an equal share of the training items is rare
NEAR_DISTANCE = 24  # of 256 bits; real photographs of one drawing differ in 4 to 32


@dataclass(frozen=True, slots=True)
class Settings:
    """How to check.

    Attributes:
        near_distance: Most of the 256 bits in which the hashes of two near duplicates differ.
        workers: Threads that read images.
        store: File that remembers what was found in each image; ``None`` for none.
        truth: File with the truth of the test split, which is secret and so not in the data root.
        earlier: Data root of an earlier release to compare with; ``None`` for none.
    """

    near_distance: int = NEAR_DISTANCE
    workers: int = 2
    store: Path | None = None
    truth: Path | None = None
    earlier: Path | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set as a rule sees it.

    Attributes:
        card: The task.
        root: The data root.
        splits: What ``records.read_split`` returned, by name; only the splits that are there.
        images: What is known of each image file.
        settings: How to check.
        earlier: The splits of an earlier release; empty where none is compared with.
    """

    card: TaskCard
    root: Path
    splits: Mapping[str, Any]
    images: Mapping[Path, ImageFacts]
    settings: Settings
    earlier: Mapping[str, Any] = field(default_factory=dict)

    def samples(self) -> Iterator[tuple[str, Any]]:
        """Yield every sample with the name of its split."""
        for name, split in self.splits.items():
            for sample in split.samples:
                yield name, sample

    def image_of(self, sample: Any) -> ImageFacts | None:
        """Return what is known of a sample's image; ``None`` if it has none."""
        return self.images.get(getattr(sample, "image", None) or Path())


Rule = Callable[[DataSet], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Numbers to look at: a bar per label, with a value for each split.

    Attributes:
        title: What is counted, such as ``boxes per image``.
        labels: What each bar stands for.
        series: The bars' values by split.
    """

    title: str
    labels: tuple[str, ...]
    series: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What a task package adds to the common checks; its ``checks.py`` holds one as ``CHECKS``.

    Attributes:
        rules: The rules that the task's data set can break.
        codes: What they can find, with the severity that the specification gives it.
        graded: Those of all codes whose severity depends on the case, so that what the reader says of it holds.
        splits: Names of the splits as released, by task; left out, ``train``, ``val`` and ``test``.
        classes: Returns the class names of a sample, given its split, one for each item; ``None`` if the task has no classes.
        class_names: Returns the names of all classes of a data set.
        label: Returns what copies of a sample's image must agree on: what is asked of it, empty if nothing is, and what is
            true; ``None`` where that isn't known. Left out, copies may differ, as boxes drawn twice by hand do.
        group: Returns what a sample must not share with one of another split, such as a patient; ``None`` if it isn't known.
        distributions: Returns what the report shows of the task's own numbers.
        draw: Draws a sample of a split with its truth, and marks those of its objects whose places, from 0, are given; ``None``
            where nothing can be drawn. Left out, the report shows the image alone.
    """

    rules: tuple[Rule, ...] = ()
    codes: Mapping[str, Code] = field(default_factory=dict)
    graded: frozenset[str] = frozenset()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classes: Callable[[Any, Any], Iterable[str]] | None = None
    class_names: Callable[[DataSet], Sequence[str]] | None = None
    label: Callable[[Any], tuple[str, tuple[str, ...]] | None] | None = None
    group: Callable[[Any], str] | None = None
    distributions: Callable[[DataSet], Sequence[Distribution]] | None = None
    draw: Callable[[Any, Any, frozenset[int]], Image.Image | None] | None = None


def row_blocks(count: int, size: int = 256) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of ``count`` rows in blocks, so that all can be compared with all in bounded memory.

    >>> [block.tolist() for block in row_blocks(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    yield from (np.arange(start, min(start + size, count)) for start in range(0, count, size))


def alike_boxes(boxes: NDArray[np.float64], labels: NDArray[np.int64], least_iou: float) -> Iterator[tuple[int, int, float]]:
    """Yield two boxes with one label that cover nearly the same, the earlier first, and their IoU, which is over ``least_iou``.

    Args:
        boxes: ``(N, 4)`` xyxy.
        labels: ``(N,)``.
        least_iou: From 0 to 1.
    """
    for rows in row_blocks(len(boxes)):
        iou = box_iou(boxes[rows], boxes)
        is_later = np.arange(len(boxes)) > rows[:, None]
        alike = is_later & (labels[rows, None] == labels) & (iou > least_iou)
        yield from ((int(rows[row]), second, float(iou[row, second])) for row, second in np.argwhere(alike).tolist())


def compare_counts(
    data_set: DataSet, published: Mapping[str, int], severity: Severity = _INFO, release: str = "the campaign"
) -> Iterator[Finding]:
    """Compare the number of samples with what the campaign published; a generated sample makes no such claim.

    Args:
        data_set: The data set.
        published: The number of samples by split; splits that are not there are left out.
        severity: How bad another number is.
        release: Whose numbers these are.
    """
    if is_generated(data_set):
        return
    for name, expected in published.items():
        found = len(data_set.splits[name].samples) if name in data_set.splits else expected
        if found != expected:
            what = f"the {name} set of {release} has {expected} {data_set.card.unit}s"
            value = f"{found}, published {expected}"
            yield Finding("DATA-COUNT", severity, what, str(data_set.root), id=name, value=value)


def is_generated(data_set: DataSet) -> bool:
    """Whether the data set says that it is a generated sample: it is not held against figures of the campaign's data."""
    files = (getattr(sample, "image", None) or getattr(sample, "ct", None) for _, sample in data_set.samples())
    places = {file.parent for file in files if file} | {data_set.root, data_set.root / data_set.card.id}
    return any(is_sample(place, data_set.root) for place in places)


def histogram(title: str, values: Mapping[str, Sequence[float]], edges: Sequence[float]) -> Distribution:
    """Return a histogram of numbers by split.

    Args:
        title: What the numbers are.
        values: The numbers by split.
        edges: Ascending edges of the bins; numbers outside fall into the outer bins.

    >>> histogram("boxes", {"train": [0, 1, 5]}, [0, 2, 4]).series
    {'train': (2, 1)}
    """
    labels = tuple(f"{low:g}–{high:g}" for low, high in pairwise(edges))
    series = {}
    for name, numbers in values.items():
        bins = Counter(min(max(sum(edge <= number for edge in edges) - 1, 0), len(labels) - 1) for number in numbers)
        series[name] = tuple(bins[index] for index in range(len(labels)))
    return Distribution(title, labels, series)


def tally(title: str, counts: Mapping[str, Counter[str]], limit: int = 60) -> Distribution:
    """Return counts of names by split, the most frequent first, at most ``limit`` of them."""
    total: Counter[str] = sum(counts.values(), Counter())
    labels = tuple(name for name, _ in total.most_common(limit))
    return Distribution(title, labels, {split: tuple(counter[name] for name in labels) for split, counter in counts.items()})


CODES: dict[str, Code] = {
    "DATA-FILE-MISSING": Code(_ERROR, "a file is not there", "no development_set.json"),
    "DATA-FILE-EMPTY": Code(_ERROR, "a file has 0 bytes", "an image whose copy failed"),
    "DATA-FILE-UNREADABLE": Code(_ERROR, "a file can't be read or decoded", "an HTML page saved as a.jpg"),
    "DATA-IMAGE-TRUNCATED": Code(_ERROR, "an image's data end early", "half of a JPEG file"),
    "DATA-IMAGE-HUGE": Code(_ERROR, "an image has more pixels than is safe to decode", "a PNG of 20000×20000 black pixels"),
    "DATA-IMAGE-TYPE": Code(_WARNING, "the content is not what the extension says", "a PNG called a.jpg"),
    "DATA-IMAGE-EXIF": Code(_WARNING, "an orientation tag other than 1, which readers treat differently", "orientation 6"),
    "DATA-IMAGE-MODE": Code(_INFO, "an image in another colour mode than most", "one grey image among colour ones"),
    "DATA-IMAGE-BLANK": Code(_WARNING, "an image of (almost) one colour", "a white page"),
    "DATA-IMAGE-SIZE": Code(_WARNING, "the size differs from the declared or the usual one", "declared 10x10, image 20x10"),
    "DATA-IMAGE-SIZE-ASSUMED": Code(_INFO, "no image says the size: the declared one is used", "a truth file alone"),
    "DATA-FILE-CASE": Code(_INFO, "names that differ from their like in case", "one .JPG among .jpg"),
    "DATA-JUNK": Code(_INFO, "files that a desktop left behind", ".DS_Store"),
    "DATA-NESTED": Code(_INFO, "a folder nested in one of its own name", "set/set/images"),
    "DATA-ENCODING": Code(_ERROR, "a text is not UTF-8", "a file in Latin-1"),
    "DATA-BOM": Code(_INFO, "a text begins with a byte order mark", "a file saved by a spreadsheet"),
    "DATA-CRLF": Code(_INFO, "lines end with carriage returns", "a file saved under Windows"),
    "DATA-NO-FINAL-NEWLINE": Code(_INFO, "the last line doesn't end with a line feed", "a file cut short, or edited"),
    "DATA-SEPARATOR": Code(_WARNING, "another separator than the native one, or several", "commas for tabs"),
    "DATA-SEPARATOR-IN-FIELD": Code(_ERROR, "a separator inside a text field", "id|a|b where an answer holds |"),
    "DATA-QUOTING": Code(_WARNING, "fields that still carry CSV quotes", '""drowned""'),
    "DATA-HEADER": Code(_WARNING, "a header where none is due, or the reverse", "ID,caption"),
    "DATA-BLANK-LINE": Code(_INFO, "an empty line, which is skipped", "a line feed too many"),
    "DATA-EMPTY": Code(_ERROR, "no sample, or no id", "a file with nothing but a header"),
    "DATA-FILE-AMBIGUOUS": Code(_ERROR, "several files where there should be one", "two releases in one folder"),
    "DATA-NO-TRUTH": Code(
        _ERROR, "the truth of another task, or no truth at all", "concepts as the truth of caption-prediction"
    ),
    "DATA-OTHER-TASK": Code(_WARNING, "texts that look like those of another task", "long captions as answers"),
    "DATA-LAYOUT-UNVERIFIED": Code(_WARNING, "a layout that is not known to be the campaign's", "another year's names"),
    "DATA-ID-UNKNOWN": Code(_ERROR, "an id that the truth doesn't have, in a file of ids", "synpic1.jpg for synpic1"),
    "DATA-FIELDS": Code(_ERROR, "a wrong number of fields", "a line without a separator"),
    "DATA-JSON": Code(_ERROR, "a text that is not JSON", "a comma too many"),
    "DATA-DUPLICATE-KEY": Code(_ERROR, "a JSON key twice", '{"a": 1, "a": 2}'),
    "DATA-ID-DUPLICATE": Code(_ERROR, "an id twice", "two lines of one image"),
    "DATA-ID-NO-IMAGE": Code(_ERROR, "a label without image", "a record of a file that isn't there"),
    "DATA-ID-NO-LABEL": Code(_ERROR, "an image without label", "a file that no record names"),
    "DATA-ID-CASE": Code(_WARNING, "ids equal up to case, blanks or extension", "a.jpg and A.jpg"),
    "DATA-SPLIT-MISSING": Code(_INFO, "a split is not in the data root", "no test set yet"),
    "DATA-SPLIT-ID": Code(_ERROR, "an id in two splits", "one image in train and in test"),
    "DATA-SPLIT-CONTENT": Code(_ERROR, "the same content in two splits", "a copy under another name"),
    "DATA-CONTENT-DUPLICATE": Code(_WARNING, "the same content twice in a split", "a copy under another name"),
    "DATA-SPLIT-NEAR": Code(_WARNING, "images of two splits look alike", "two photographs of one drawing"),
    "DATA-NEAR-DUPLICATE": Code(_INFO, "images of one split look alike: keep them together when dividing it", "as before"),
    "DATA-SPLIT-GROUP": Code(_ERROR, "a group (patient, place) in two splits", "two scans of one patient"),
    "DATA-CLASS-UNKNOWN": Code(_ERROR, "a class that is not in the list", "c_hard_corl_boulder"),
    "DATA-CLASS-UNUSED": Code(_WARNING, "a class without items in a split", "no box of 21 classes is a slider"),
    "DATA-CLASS-RARE": Code(
        _WARNING, f"a class has under {RARE:.0%} of an equal share of the training items", "13 of 66,000 boxes"
    ),
    "DATA-CLASS-SHIFT": Code(_INFO, "class shares differ strongly between splits", "28 % and 2 %"),
    "DATA-LABEL-CONSTANT": Code(_ERROR, "every item has the same class", "a column filled in by mistake"),
    "DATA-LABEL-CONFLICT": Code(
        _ERROR, "different labels, captions or answers for the same content", "one scan, twice, of type 1 and of type 3"
    ),
    "DATA-RELEASE-ID": Code(_INFO, "an id that only one of two releases has, compared by --earlier", "an image left out"),
    "DATA-RELEASE-SPLIT": Code(_WARNING, "an id that an earlier release has in another split", "from train to test"),
    "DATA-RELEASE-LABEL": Code(
        _WARNING, "other classes or texts of a sample than in an earlier release", "a coral that changed its substrate"
    ),
    "DATA-NUMBER": Code(_ERROR, "not a finite number where one is due; info where text is its native form", "0,5"),
    "DATA-COUNT": Code(_INFO, "how many samples a split has, and how many were published", "3218"),
    "DATA-TRIVIAL": Code(_INFO, "what the run scores that predicts what is most frequent in training", "map50 0.05"),
    "DATA-TOO-LARGE": Code(_ERROR, "a file, a record or a line is too large to be right", "a line of 9 MiB"),
    "DATA-TOO-MANY-ERRORS": Code(_ERROR, "reading stopped after 10,000 errors", "another task's file"),
}
