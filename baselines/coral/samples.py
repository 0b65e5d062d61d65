"""The sample data set of both coral tasks, generated in the layout of the campaign of 2021.

The reefs are those of :mod:`baselines.coral.reefs`. The six subsets differ in water, light and in what grows there, and hold
images in the campaign's proportions: the test set comes from four of them alone, mostly from those with few training images.
The campaign kept the truth of its test set at first; the sample comes with it, under the organisers' names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.coral.reefs import PLACES, Place, draw_reef
from baselines.coral.task import IMAGE_SIZE, SUBSTRATES
from baselines.core.sample_sets import spread, write_sample_sets

VERSION = 1  # of the generator; a change of what it draws counts up, and older samples are replaced
NOTE = "A generated sample, not data of the campaign."
SIZE = 60  # training images
TEST_SHARE = 0.4  # test images for each training image; the campaign had 485 for 879
SMALL = (1008, 756)  # a quarter of the campaign's image size: what a demo can afford
JPEG_QUALITY = 90

TRAIN, TEST = "training_set_2021_02_04", "test_set_2021_05_11"
# The annotation files of each set, boxes and polygons. The polygons' and the test set's have the organisers' names, the
# boxes' that of a participant's copy (spec page coral.md 1.1).
FILES = {
    TRAIN: ("annotations_boxes_training.csv", "training_set_task_2_2021_02_04.csv"),
    TEST: ("2021_annotations_test_task_1.csv", "2021_annotations_test_task_2.csv"),
}


def generate(root: Path, task: str, size: int | None = None, seed: int = 0, *, full: bool = False) -> None:
    """Write the sample data set of both tasks under ``root/coral``.

    The same request again changes nothing; another one replaces what an earlier one wrote. Every file is finished in a
    temporary folder first, so an interrupted call leaves no half-written set.

    Args:
        root: The data root; made where it is missing.
        task: ``coral-annotation`` or ``coral-parsing``; both have the same data.
        size: Number of training images; the test set holds four tenths as many. With the default of 60 every substrate occurs.
        seed: Seed of everything random, not negative. The same seed, size and ``full`` give the same bytes.
        full: Whether images have the campaign's 4032 × 3024 pixels; else 1008 × 756.

    Raises:
        UsageError: If ``size`` is less than 1 or ``seed`` is negative.
        InvalidInput: If a folder to be written exists and does not hold a sample.
    """
    del task
    size = SIZE if size is None else size
    request = {"note": NOTE, "size": size, "seed": seed, "full": full, "version": VERSION}
    pixels = IMAGE_SIZE if full else SMALL

    def write(folder: Path) -> None:
        for index, (name, count) in enumerate(((TRAIN, size), (TEST, max(1, round(size * TEST_SHARE))))):
            _write_set(folder / name, index, count, seed, pixels)

    write_sample_sets(root / "coral", tuple(FILES), request, write)


def places_of(count: int, index: int) -> list[Place]:
    """Return the subset of each image of a set: in the campaign's proportions, spread evenly over the set.

    >>> [place.name[:2] for place in places_of(6, 0)]
    ['K1', 'PK', 'PK', '20', '20', '20']
    """
    shares = np.array([place.images[index] for place in PLACES], np.float64)
    taken = np.zeros(len(PLACES))
    chosen = []
    for _ in range(count):
        # The subset that has come least, of its share; what is equal, as at the start, goes by the order of PLACES.
        due = np.where(shares > 0, (taken + 0.5) / np.maximum(shares, 1e-9), np.inf)
        if index == 0 and (taken == 0).any():
            due = np.where(taken == 0, due - 1, due)  # each training subset has an image before one has two
        best = int(due.argmin())
        taken[best] += 1
        chosen.append(best)
    return [PLACES[number] for number in sorted(chosen)]


def _write_set(folder: Path, index: int, count: int, seed: int, size: tuple[int, int]) -> None:
    """Write images and annotations of the training set (``index`` 0) or the test set (1) into a new folder."""
    jobs = [(number, place) for number, place in enumerate(places_of(count, index))]
    for place in {place.name for _, place in jobs}:
        (folder / place).mkdir(parents=True)

    def draw(job: tuple[int, Place]) -> tuple[str, list[NDArray[np.int64]], list[int]]:
        number, place = job
        rng = np.random.default_rng([seed, index, number])
        reef = draw_reef(rng, place, size, also=number % 13 + 1)
        name = _name(rng, place, number)
        Image.fromarray(reef.picture).save(folder / place.name / f"{name}{place.extension}", "JPEG", quality=JPEG_QUALITY)
        return name, reef.rings, reef.labels  # without the picture, which is on the disk

    lines: tuple[list[str], list[str]] = [], []
    for name, rings, labels in spread(jobs, draw, "sample of coral", threads=2):  # each holds a picture of full size
        for seq, (ring, label) in enumerate(zip(rings, labels, strict=True)):
            head = f"{name} {seq} {SUBSTRATES[label]} 1 "
            corners = [*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()]
            for kind, values in zip(lines, (corners, ring.ravel().tolist()), strict=True):
                kind.append(head + " ".join(map(str, values)) + "\n")
    for file, content in zip(FILES[folder.name], lines, strict=True):
        (folder / file).write_text("".join(content), encoding="utf-8")


def _name(rng: np.random.Generator, place: Place, number: int) -> str:
    """Return an id of the campaign's form: a date, a time and a number."""
    date = place.dates[number % len(place.dates)]
    seconds = int(rng.integers(3600))
    return f"{date}_{11 + number % 5:02d}{seconds // 60:02d}{seconds % 60:02d}_{number:03d}"
