"""The sample data set of both caption tasks, generated in the layout of the campaign's archives of 2021.

Pictures and words are those of :mod:`baselines.medical.phantoms` and :mod:`baselines.medical.reports`. A picture depends on the
seed, its part and its number alone, so a larger sample begins with the pictures of a smaller one. The campaign's names of the
caption files and of a file of concept names are not known: those here are invented, and so is the truth of the test set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from baselines.core.sample_sets import spread, write_sample_sets
from baselines.medical.clean_samples import Job, draw_apart
from baselines.medical.phantoms import draw_study, render
from baselines.medical.reports import CODES, draw_caption, draw_concepts

_Row = tuple[int, str, tuple[str, ...], str]  # part, id, concepts and caption of a picture

VERSION = 2  # of the generator; a change of what it draws counts up, and older samples are replaced
SIZE = 480  # training images
NOTE = "A generated sample, not data of the campaign. Its concept codes belong to no concept of UMLS."
JPEG_QUALITY = 90
TRAIN, VAL = "ImageCLEF2021_ConceptDetection_Training-Set", "ImageCLEF2021_ConceptDetection_Validation-Set"
TEST = "ImageCLEF2021_CaptionConceptsTasks_TestSet_444_Images"
NAMES_FILE = "concept_names.txt"  # in the training folder, TAB-separated as that of 2019
# Folder, its folder of images, its concept and caption files, and how many images it has per training image.
PARTS = (
    (TRAIN, "Training-Images", "Training_Set_Concepts.csv", "Training_Set_Captions.csv", 1.0),
    (VAL, "Validation-Images", "Validation_Set_Concepts.csv", "Validation_Set_Captions.csv", 0.3),
    (TEST, ".", "sample_truth_concepts.csv", "sample_truth_captions.csv", 0.3),
)


def generate(
    root: Path,
    task: str,  # noqa: ARG001  # both tasks have the same
    size: int | None = None,
    seed: int = 0,
    *,
    quirks: bool = True,
) -> None:
    """Write the sample data set under ``root/medical/caption``.

    The same request again changes nothing; another size or seed replaces what an earlier one wrote, whole or not at all.

    Args:
        root: The data root; made where it is missing.
        task: ``caption-concepts`` or ``caption-prediction``; both have the same data.
        size: Number of training images; three tenths as many are for validation, and as many for the test. The default of 480
            shows every view many times and has concepts that occur once.
        seed: Seed of everything random, not negative. The same seed and size give the same bytes.
        quirks: Whether concepts may be rare or new in validation, and pictures of two parts look alike, as in real data.

    Raises:
        UsageError: If ``size`` is less than 1 or ``seed`` is negative.
        InvalidInput: If a folder to be written exists and does not hold a sample.
    """
    size = SIZE if size is None else size
    request = {"note": NOTE, "size": size, "seed": seed, "version": VERSION}
    request |= {} if quirks else {"quirks": False}
    names = (TRAIN, VAL, TEST)
    write_sample_sets(root / "medical" / "caption", names, request, lambda folder: _write(folder, size, seed, quirks=quirks))


def _write(folder: Path, size: int, seed: int, *, quirks: bool) -> None:
    jobs = []
    for part, (name, images, _, _, share) in enumerate(PARTS):
        (folder / name / images).mkdir(parents=True)
        jobs += [(part, number) for number in range(max(1, round(size * share)))]

    def write_picture(job: Job, attempt: int) -> tuple[Path, _Row]:
        part, number = job
        rng = np.random.default_rng([seed, part, number, *([attempt] if attempt else [])])
        study = draw_study(rng)
        name = f"synpic{10_000 + 10 * number + part}"
        path = folder / PARTS[part][0] / PARTS[part][1] / f"{name}.jpg"
        render(study, rng).save(path, quality=JPEG_QUALITY)
        return path, (part, name, tuple(draw_concepts(study, rng)), draw_caption(study, rng))

    title = "sample of the caption tasks"
    if quirks:
        rows = [row for _, row in spread(jobs, lambda job: write_picture(job, 0), title)]
    else:
        rows = _without_rare_concepts(draw_apart(jobs, write_picture, title))
    for part, (name, _, concepts, captions, _) in enumerate(PARTS):
        mine = [row[1:] for row in rows if row[0] == part]
        encoding = "utf-8-sig" if part == 0 else "utf-8"  # participants met a byte order mark in the training file
        _write_lines(folder / name / concepts, [f"{image}\t{';'.join(codes)}" for image, codes, _ in mine], encoding)
        _write_lines(folder / name / captions, [f"{image}\t{caption}" for image, _, caption in mine], "utf-8")
    _write_lines(folder / TRAIN / NAMES_FILE, [f"{code}\t{name}" for name, code in CODES.items()], "utf-8")


def _without_rare_concepts(rows: Sequence[_Row]) -> list[_Row]:
    """Leave out the concepts of a single training image, or of none; an image with nothing else gets the most frequent one."""
    counts = Counter(concept for part, _, concepts, _ in rows if part == 0 for concept in concepts)
    usual = counts.most_common(1)[0][0]
    kept = [tuple(concept for concept in concepts if counts[concept] > 1) or (usual,) for _, _, concepts, _ in rows]
    return [(part, name, concepts, caption) for (part, name, _, caption), concepts in zip(rows, kept, strict=True)]


def _write_lines(path: Path, lines: list[str], encoding: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding)
