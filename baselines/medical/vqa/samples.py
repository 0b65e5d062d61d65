"""The sample data sets of ``vqa`` and ``vqg``, generated in the layout of the campaign's archives of 2020 and 2021.

The pictures are those of the caption samples' world, :mod:`baselines.medical.phantoms`; questions and answers come from
:mod:`baselines.medical.reports`. All four kinds of questions occur in every part, where the campaign's of 2020 and 2021 ask for
abnormalities alone. The names of the question files of ``vqg`` that the campaign published before the test are not known: those
here are invented. A picture depends on the seed, its part and its number alone, so a larger sample begins with a smaller one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from baselines.core.metrics.text import content_words
from baselines.core.sample_sets import spread, write_sample_sets
from baselines.medical.clean_samples import Job, draw_apart
from baselines.medical.phantoms import Study, draw_study, render
from baselines.medical.reports import draw_answered_question, draw_questions

VERSION = 3  # of the generator; a change of what it draws counts up, and older samples are replaced
SIZE = 480  # images of the training set of 2020
NOTE = "A generated sample, not data of the campaign."
JPEG_QUALITY = 90
ANSWERING = "VQA-Med-2020-Task1-VQAnswering-TrainVal-Sets"
GENERATION = "VQA-Med-2020-Task2-VQGeneration-TrainVal-Sets"
VALIDATION = "VQA-Med-2021-Tasks-1-2-NewValidationSets"
ANSWERING_TEST, GENERATION_TEST = "Task1-VQA-2021-TestSet-w-GroundTruth", "Task2-VQG-2021-TestSet-w-GroundTruth"


@dataclass(frozen=True, slots=True)
class Part:
    """A set of images with its text files.

    Attributes:
        folder: Where it lies.
        images: Its folder of images.
        share: How many images it has per image of the training set.
        kind: ``pairs`` is a file of questions with answers; ``test`` one of questions and one of references; ``questions`` one
            of an image's questions; ``test questions`` one of ids and one of questions.
        files: The names of the files.
        ids: Name of a list of the ids, where there is one.
    """

    folder: str
    images: str
    share: float
    kind: Literal["pairs", "test", "questions", "test questions"]
    files: tuple[str, ...]
    ids: str = ""


PARTS = (
    Part(
        f"{ANSWERING}/VQAMed2020-VQAnswering-TrainingSet",
        "VQAnswering_2020_Train_images",
        1.0,
        "pairs",
        ("VQAnswering_2020_Train_QA_pairs.txt",),
        "image_IDs.txt",
    ),
    Part(
        f"{ANSWERING}/VQAMed2020-VQAnswering-ValidationSet",
        "VQAnswering_2020_Val_images",
        0.125,
        "pairs",
        ("VQAnswering_2020_Val_QA_Pairs.txt",),  # with a capital P, as distributed
        "image_IDs.txt",
    ),
    Part(
        VALIDATION,
        "ImageCLEF-2021-VQA-Med-New-Validation-Images",
        0.3,
        "pairs",
        ("VQA-Med-2021-VQAnswering-Task1-New-ValidationSet.txt",),
    ),
    Part(
        ANSWERING_TEST,
        "VQA-500-Images",
        0.15,
        "test",
        ("Task1-VQA-2021-TestSet-Questions.txt", "Task1-VQA-2021-TestSet-ReferenceAnswers.txt"),
    ),
    Part(
        f"{GENERATION}/VQAMed2020-VQGeneration-TrainingSet",
        "VQGeneration_2020_Train_images",
        0.5,
        "questions",
        ("VQGeneration_2020_Train_questions.txt",),
    ),
    Part(
        f"{GENERATION}/VQAMed2020-VQGeneration-ValidationSet",
        "VQGeneration_2020_Validation_images",
        0.1,
        "questions",
        ("VQGeneration_2020_Validation_questions.txt",),
    ),
    Part(
        VALIDATION,
        "ImageCLEF-2021-VQG-Med-New-Validation-Images",
        0.4,
        "questions",
        ("VQA-Med-2021-VQGeneration-Task2-New-ValidationSet.txt",),
    ),
    Part(
        GENERATION_TEST,
        "Task2-VQGeneration2021-TestSet-Images",
        0.5,
        "test questions",
        ("Task2-VQGeneration2021-TestSet.txt", "Task2-VQGeneration2021-TestSet-ReferenceQuestions.txt"),
    ),
)


def generate(
    root: Path,
    task: str,  # noqa: ARG001  # one archive has both
    size: int | None = None,
    seed: int = 0,
    *,
    quirks: bool = True,
) -> None:
    """Write the sample data sets of both tasks under ``root/medical/vqa``.

    The same request again changes nothing; another size or seed replaces what an earlier one wrote, whole or not at all.

    Args:
        root: The data root; made where it is missing.
        task: ``vqa`` or ``vqg``; an archive of the campaign holds parts of both, so both are written.
        size: Number of images in the training set of 2020. The other sets are in the campaign's order of size, but those
            that ``vqg`` is scored on are larger: else the intervals would be too wide to tell models apart.
        seed: Seed of everything random, not negative. The same seed and size give the same bytes.
        quirks: Whether pictures of two parts may look alike, and answers be words that the score leaves out, as in real data.

    Raises:
        UsageError: If ``size`` is less than 1 or ``seed`` is negative.
        InvalidInput: If a folder to be written exists and does not hold a sample.
    """
    size = SIZE if size is None else size
    request = {"note": NOTE, "size": size, "seed": seed, "version": VERSION}
    request |= {} if quirks else {"quirks": False}
    names = (ANSWERING, GENERATION, VALIDATION, ANSWERING_TEST, GENERATION_TEST)
    write_sample_sets(root / "medical" / "vqa", names, request, lambda folder: _write(folder, size, seed, quirks=quirks))


def _write(folder: Path, size: int, seed: int, *, quirks: bool) -> None:
    jobs = []
    for index, part in enumerate(PARTS):
        (folder / part.folder / part.images).mkdir(parents=True)
        jobs += [(index, number) for number in range(max(1, round(size * part.share)))]

    def write_picture(job: Job, attempt: int) -> tuple[Path, tuple[int, str, list[str]]]:
        index, number = job
        rng = np.random.default_rng([seed, index, number, *([attempt] if attempt else [])])
        study, part, name = draw_study(rng), PARTS[index], f"synpic{20_000 + 10 * number + index}"
        path = folder / part.folder / part.images / f"{name}.jpg"
        render(study, rng).save(path, quality=JPEG_QUALITY)
        texts = _TEXTS[part.kind](study, rng)
        while not quirks and part.kind in ("pairs", "test") and not content_words(texts[-1].rpartition("|")[2]):
            texts = _TEXTS[part.kind](study, rng)
        return path, (index, name, texts)

    title = "sample of the VQA-Med tasks"
    if quirks:
        rows = [row for _, row in spread(jobs, lambda job: write_picture(job, 0), title)]
    else:
        rows = draw_apart(jobs, write_picture, title)
    for index, part in enumerate(PARTS):
        mine = [(name, texts) for where, name, texts in rows if where == index]
        for column, file in enumerate(part.files):
            lines = [f"{name}|{texts[column]}" if texts[column] else name for name, texts in mine]
            # The campaign's reference files end without a newline.
            end = "" if "Reference" in file else "\n"
            (folder / part.folder / file).write_text("\n".join(lines) + end, encoding="utf-8")
        if part.ids:
            (folder / part.folder / part.ids).write_text("".join(f"{name}\n" for name, _ in mine), encoding="utf-8")


def _pair(study: Study, rng: np.random.Generator) -> list[str]:
    _, question, answers = draw_answered_question(study, rng)
    return [f"{question}|{answers[0]}"]


def _test(study: Study, rng: np.random.Generator) -> list[str]:
    _, question, answers = draw_answered_question(study, rng, references=True)
    return [question, "|".join(answers)]


def _questions(study: Study, rng: np.random.Generator) -> list[str]:
    return ["|".join(draw_questions(study, rng))]


# What stands behind an image's id in each file of a kind of part; nothing is an id alone.
_TEXTS: dict[str, Callable[[Study, np.random.Generator], list[str]]] = {
    "pairs": _pair,
    "test": _test,
    "questions": _questions,
    "test questions": lambda study, rng: ["", *_questions(study, rng)],
}
