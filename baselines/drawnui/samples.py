"""The sample data sets of both drawnUI tasks, generated in the layout of the campaign's archive.

The pages come from :mod:`baselines.drawnui.sketches` (wireframes) and :mod:`baselines.drawnui.webpages` (screenshots). A page
depends on the seed, its set and its number alone, so a larger sample begins with the pages of a smaller one.

The campaign kept the truth of its test sets. The samples come with theirs, in ``sample_truth.json`` beside the ``test`` folder,
a file the real archive does not have; ``sample.json`` in each set says that a sample it is, and how it was made.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from baselines.core.sample_sets import spread, write_sample_sets
from baselines.drawnui import sketches, webpages
from baselines.drawnui.sketches import Page
from baselines.drawnui.task import WIREFRAME_CLASSES

VERSION = 3  # of the generator; a change of what it draws counts up, and older samples are replaced
JPEG_QUALITY = 88
NOTE = (
    "A generated sample, not data of the campaign. Where there is a sample_truth.json, it holds the truth of the test images; "
    "the campaign never published such a file."
)


@dataclass(frozen=True, slots=True)
class Part:
    """One split of a set: where its files lie under ``drawnui``, and how many pages it has per page of ``size``."""

    set: str
    images: str
    truth: str
    share: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the sample of a task is made."""

    classes: dict[str, int]
    default_size: int
    parts: tuple[Part, ...]
    draw: Callable[[int, int, int, bool], Page]  # (seed, index of the part, number of the page, whether with quirks)


def _draw_wireframe(seed: int, part: int, number: int, quirks: bool) -> Page:
    """Draw a page; every fourth is the sketch of the page before it, photographed or scanned once more, as in the real data."""
    sketch = number - 1 if quirks and number % 4 == 3 else number
    return sketches.capture(
        sketches.draw_sketch(np.random.default_rng([seed, part, sketch]), sketch),
        np.random.default_rng([seed, part, number, 1]),
    )


def _draw_screenshot(seed: int, part: int, number: int, quirks: bool) -> Page:
    """Draw a page; in the training part, as distributed, not cleaned of its faults."""
    rng = np.random.default_rng([seed, part, number])
    page = webpages.draw_webpage(rng)
    return webpages.spoil(page, rng, number) if quirks and part == 0 else page


RECIPES = {
    "drawnui-wireframe": Recipe(
        classes={name: number for number, name in WIREFRAME_CLASSES.items()},
        default_size=96,
        parts=(
            Part("wireframe_development_set", "images", "development_set.json", 1.0),
            Part("wireframe_test_set", "test", "sample_truth.json", 0.25),
        ),
        draw=_draw_wireframe,
    ),
    "drawnui-screenshot": Recipe(
        classes=webpages.CLASSES,
        default_size=64,
        parts=(
            Part("screenshot_development_set", "train/images", "train/train_set.json", 1.0),
            Part("screenshot_development_set", "validation/images", "validation/val_set.json", 0.375),
            Part("screenshot_test_set", "test/images", "sample_truth.json", 0.25),
        ),
        draw=_draw_screenshot,
    ),
}


def generate(root: Path, task: str, size: int | None = None, seed: int = 0, *, quirks: bool = True) -> None:
    """Write the sample data set of a task under ``root/drawnui`` in the campaign's layout (spec pages 1.1 and 1.2).

    The same request again changes nothing; another size or seed replaces what an earlier one wrote. Every file is finished in a
    temporary folder first, so an interrupted call leaves no half-written set.

    Args:
        root: The data root; made where it is missing.
        task: ``drawnui-wireframe`` or ``drawnui-screenshot``.
        size: Number of development wireframes, or of training screenshots; the test sets hold a quarter as many, the
            screenshots' validation part three eighths. The defaults, 96 and 64, show every class several times.
        seed: Seed of everything random, not negative. The same seed and size give the same bytes.
        quirks: Whether sketches are captured twice, and training screenshots blank or annotated wrongly, as in the real data.

    Raises:
        UsageError: If ``size`` is less than 1 or ``seed`` is negative.
        InvalidInput: If a folder to be written exists and does not hold a sample.
    """
    recipe = RECIPES[task]
    size = recipe.default_size if size is None else size
    request = {"note": NOTE, "task": task, "size": size, "seed": seed, "version": VERSION}
    request |= {} if quirks else {"quirks": False}
    sets = tuple(dict.fromkeys(part.set for part in recipe.parts))
    write_sample_sets(
        root / "drawnui", sets, request, lambda folder: _write_parts(folder, recipe, size, seed, task, quirks=quirks)
    )


def _write_parts(folder: Path, recipe: Recipe, size: int, seed: int, task: str, *, quirks: bool) -> None:
    """Write the images and truths of all parts below an empty folder."""
    jobs: list[tuple[int, int]] = []
    for index, part in enumerate(recipe.parts):
        (folder / part.set / part.images).mkdir(parents=True)
        jobs += [(index, number) for number in range(max(1, round(size * part.share)))]

    def write_page(job: tuple[int, int]) -> dict[str, Any]:
        index, number = job
        part = recipe.parts[index]
        page = recipe.draw(seed, index, number, quirks)
        name = f"{np.random.default_rng([seed, index, number, 2]).integers(2**63):016x}.jpg"
        page.image.save(folder / part.set / part.images / name, quality=JPEG_QUALITY)
        return _record(name, page, recipe.classes)

    records: dict[int, list[dict[str, Any]]] = {index: [] for index in range(len(recipe.parts))}
    for (index, _), record in zip(jobs, spread(jobs, write_page, f"sample of {task}"), strict=True):
        records[index].append(record)
    for index, part in enumerate(recipe.parts):
        (folder / part.set / part.truth).write_text(json.dumps(records[index], indent=1) + "\n", encoding="utf-8")


def _record(name: str, page: Page, classes: dict[str, int]) -> dict[str, Any]:
    """Return the campaign's record of an image: boxes as ``[y, x, height, width]`` relative to its size."""
    width, height = page.image.size
    annotations = [
        {
            "box": [round(float(v), 9) for v in (y0 / height, x0 / width, (y1 - y0) / height, (x1 - x0) / width)],
            "detectionClass": classes[label],
            "detectionString": label,
            "score": 1,
        }
        for (x0, y0, x1, y1), label in zip(page.boxes, page.names, strict=True)
    ]
    return {"file": name, "width": width, "height": height, "annotations": annotations}
