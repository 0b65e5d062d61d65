"""The scorer's self-test: the check values of the metrics, held against what this installation gives.

They are those of spec page metrics.md, which measured them on the official code; those on the campaign's own test sets are left
out, since the sets are not here. The unit tests have their own copy of the values, so that a slip in one of the two is found.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.core.findings import InvalidInput
from baselines.core.metrics.agreement import accuracy, cohen_kappa, confusion_matrices
from baselines.core.metrics.answers import normalise_answer
from baselines.core.metrics.correlation import pearson, spearman
from baselines.core.metrics.detection import DetectionStatistics, ImageBoxes, match_images
from baselines.core.metrics.multilabel import set_f1
from baselines.core.metrics.raster import rasterise
from baselines.core.metrics.stemmer import stem
from baselines.core.metrics.text import bleu, content_words, unigram_f1
from baselines.core.scorer import score_files

Value = float | str
Box = tuple[int, int, int, int]
Point = tuple[int, int]

UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class CheckValue:
    """A number or a text that the scorer has to give.

    Attributes:
        name: What is measured, and of what.
        expected: The value.
        seen: What the scorer gives.
        tolerance: How far a number may be off: what its digits leave open.
    """

    name: str
    expected: Value
    seen: Value
    tolerance: float = 1e-6

    @property
    def holds(self) -> bool:
        """Whether the scorer gives the expected value."""
        if isinstance(self.seen, str) or isinstance(self.expected, str):
            return self.seen == self.expected
        return abs(self.seen - self.expected) <= self.tolerance


def check_values() -> Iterator[CheckValue]:
    """Measure the check values of all metrics."""
    yield from _texts()
    yield from _labels()
    yield from _detections()
    yield from _pixels()


# ------------------------------------------------------------------------------------------------- texts: M1, M2, M3, M8

_STEMS = (
    "abnormality abnorm, images imag, hemorrhages hemorrhag, hodgkin’s hodgkin, radiographic radiograph, dying die, skis ski, "
    "effusions effus, internal intern, lateral later"
)
_BLEU = (  # reference, candidate, the value of NLTK up to 3.2.5, that from 3.3 on
    ("a", "a", 1, 1.8e-231),
    ("a b", "a", 0.367879, 6.7e-232),
    ("a", "a b", 0.840896, 1.5e-231),
    ("a b c d e", "a b c x y", 0.562341, 6.9e-78),
    ("a b c d e", "a x b y c", 0.880112, 1.6e-231),
    ("a b c d", "a b c d", 1, 1),
    ("a b c d e f", "a b c d", 0.606531, 0.606531),
    ("a b", "c d", 0, 0),
)
_ANSWERS = (
    ("ACL Injury", "acl injury"),
    ("acl injury.", "acl injury"),
    ("an acl injury", "acl injury"),
    ("x-ray", "x ray"),
    ("x - ray", "x ray"),
    ("crohn's", "crohn's"),
    ("crohns", "crohns"),
    ("dural \u00a0fistula, avf", "dural fistula avf"),
    ("none", "0"),
    ("a.b", "ab"),
    ("3.5 cm", "3.5 cm"),
    ("3,500 cells", "3500 cells"),
    ("The two-view x-ray (AP)", "2 view x ray ap"),
    ("3,500 x-ray", "3500 xray"),
)
_CONCEPTS = (({"C1", "C2", "C3"}, {"C1", "C9"}), ({"C4"}, {"C4", "C8"}), ({"C5", "C6"}, {"C7"}))


def _texts() -> Iterator[CheckValue]:
    for pair in _STEMS.split(", "):
        word, expected = pair.split()
        yield CheckValue(f"stem of {word}", expected, stem(word))
    for text, words in (("x-ray 3.5", "xray 35"), ("cannot gimme lemme", "gim lem")):
        yield CheckValue(f"words of {text}", words, " ".join(content_words(text)))
    for reference, candidate, old, new in _BLEU:
        scores, pair = bleu(reference.split(), candidate.split()), f"{candidate!r} for {reference!r}"
        yield CheckValue(f"bleu of {pair}", old, scores.bleu)
        # Of the tiny ones the spec gives two digits.
        yield CheckValue(f"bleu_nltk33 of {pair}", new, scores.bleu_nltk33, 1e-6 if new > 0.1 else 0.03 * new)
    for text, normalised in _ANSWERS:
        yield CheckValue(f"answer {text!r} normalised", normalised, normalise_answer(text))
    for reference, candidate, f_score in (("a b c d e", "a b c x y", 0.6), ("a b", "a b b b", 0.666667), ("a", "", 0.0)):
        name = f"rouge1_f of {candidate!r} for {reference!r}"
        yield CheckValue(name, f_score, unigram_f1(reference.split(), candidate.split()))
    yield CheckValue("f1 of three images", 0.355556, sum(set_f1(*pair) or 0 for pair in _CONCEPTS) / len(_CONCEPTS))


# --------------------------------------------------------------------------------------------- labels and ratings: M4, M5


def _or_undefined(value: float) -> Value:
    return value if np.isfinite(value) else UNDEFINED


def _labels() -> Iterator[CheckValue]:
    five = [1, 1, 2, 2, 3]
    for name, labels, agreed, kappa in (
        ("five scans", [1, 2, 2, 2, 3], 0.8, 0.6875),
        ("a perfect run", five, 1.0, 1.0),
        ("a constant run", [2] * 5, 0.4, 0.0),
    ):
        matrices = confusion_matrices(five, labels, 6)
        yield CheckValue(f"accuracy of {name}", agreed, accuracy(matrices).item(), 1e-15)
        yield CheckValue(f"kappa of {name}", kappa, cohen_kappa(matrices).item(), 1e-15)
    alone = confusion_matrices([2, 2], [2, 2], 6)
    yield CheckValue("kappa of one class alone", UNDEFINED, _or_undefined(cohen_kappa(alone).item()))
    ratings = [1, 3, 2, 4]
    for name, measure, other, expected in (
        ("pearson", pearson, [1, 2, 3, 4], 0.8),
        ("spearman", spearman, [1, 2, 3, 4], 0.8),
        ("spearman", spearman, [1, 2, 2, 4], 0.948683),
        ("pearson", pearson, [5, 5, 5, 5], UNDEFINED),
    ):
        yield CheckValue(f"{name} of {other} and {ratings}", expected, _or_undefined(measure(other, ratings).item()))


# ------------------------------------------------------------------------------------------------------- detections: M6

_BOX, _FAR = (10, 10, 20, 20), (500, 500, 20, 20)  # x, y, width, height
_HIT = [(_BOX, 0.9)]
_BURIED = [[(_FAR, 0.9)] * 150 + [(_BOX, 0.1)]]
_DETECTIONS: tuple[tuple[str, Sequence[Sequence[tuple[Box, float]]], int, float, float, float], ...] = (
    # The detections of each image, each with one truth; how many count; ap50, recall50, map0.
    ("one hit", [_HIT], 300, 1.0, 1.0, 1.0),
    ("one of two images found", [_HIT, []], 300, 51 / 101, 0.5, 51 / 101),
    ("equal scores, miss first", [[(_FAR, 0.9), (_BOX, 0.9)]], 300, 0.5, 1.0, 0.5),
    ("equal scores, hit first", [[(_BOX, 0.9), (_FAR, 0.9)]], 300, 1.0, 1.0, 1.0),
    ("the hit behind 150 misses, 100 count", _BURIED, 100, 0.0, 0.0, 0.0),
    ("the hit behind 150 misses, 300 count", _BURIED, 300, 1 / 151, 1.0, 1 / 151),
    ("an IoU of exactly 0.5", [[((10, 10, 20, 10), 0.9)]], 300, 1.0, 1.0, 1.0),
    ("an IoU of 1/3", [[((20, 10, 20, 20), 0.9)]], 300, 0.0, 0.0, 1.0),
    ("a hit and its duplicate", [[(_BOX, 0.9), (_BOX, 0.8)]], 300, 1.0, 1.0, 1.0),
    ("a duplicate before another hit", [[(_BOX, 0.9), (_BOX, 0.8)], [(_BOX, 0.7)]], 300, 0.834983, 1.0, 0.834983),
)


def _corners(boxes: Sequence[Box]) -> list[Box]:
    return [(x, y, x + width, y + height) for x, y, width, height in boxes]


def _precision_and_recall(images: Sequence[Sequence[tuple[Box, float]]], limit: int, threshold: float) -> tuple[float, float]:
    """Return both for class 1, where every image has one truth, ``_BOX``."""
    boxes = [
        ImageBoxes(_corners([_BOX]), [1], _corners([box for box, _ in found]), [1] * len(found), [score for _, score in found])
        for found in images
    ]
    matches = match_images(boxes, threshold=threshold, limit=limit)
    precision, recall = DetectionStatistics({str(place): match for place, match in enumerate(matches)}).evaluate()
    return precision.item(), recall.item()


def _detections() -> Iterator[CheckValue]:
    for name, images, limit, ap50, recall50, map0 in _DETECTIONS:
        precision, recall = _precision_and_recall(images, limit, 0.5)
        yield CheckValue(f"ap50 of {name}", ap50, precision)
        yield CheckValue(f"recall50 of {name}", recall50, recall)
        yield CheckValue(f"map0 of {name}", map0, _precision_and_recall(images, limit, 0.0)[0])


# ----------------------------------------------------------------------------------------------------------- pixels: M7

_SQUARE = ((100, 100), (199, 100), (199, 199), (100, 199))
_SHIFTED = ((150, 100), (249, 100), (249, 199), (150, 199))
_TRIANGLE = ((300, 300), (399, 300), (300, 399))
_RIGHT = ((3100, 100), (3199, 100), (3199, 199), (3100, 199))
_FILLED: tuple[tuple[str, Sequence[Sequence[Point]], int], ...] = (
    ("a square", [_SQUARE], 10_000),
    ("a triangle", [_TRIANGLE], 5_050),
    ("a slanted quadrilateral", [((10, 10), (30, 20), (20, 40), (5, 30))], 466),
    ("a small triangle", [((10, 10), (40, 10), (10, 40))], 496),
    ("a bow-tie", [((10, 10), (40, 40), (40, 10), (10, 40))], 511),
    ("two points", [((5, 5), (15, 8))], 11),
    ("one point", [((5, 5),)], 1),
    ("the square twice", [_SQUARE, _SQUARE], 396),
    ("the square and the square shifted", [_SQUARE, _SHIFTED], 10_296),
)


def _count_pixels(rings: Sequence[Sequence[Point]]) -> float:
    points = [point for ring in rings for point in ring]
    return int(rasterise(points, np.cumsum([0, *map(len, rings)]), [0] * len(rings), 1, (4032, 3024)).areas[0])


def _ring(points: Sequence[Point], separator: str = "+") -> str:
    return separator.join(str(value) for point in points for value in point)


_ONE = f"img;c_sponge 0.5:{_ring(_SQUARE)}\n"
_CORAL: tuple[tuple[str, str, Sequence[Point], str, Value], ...] = (
    # The truth's substrate and ring, the run, iou.overall or the errors.
    ("the same square", "c_sponge", _SQUARE, _ONE, 1.0),
    ("an extra image", "c_sponge", _SQUARE, _ONE + _ONE.replace("img", "other"), "RUN-UNKNOWN-ID"),
    ("the square twice", "c_sponge", _SQUARE, f"{_ONE[:-1]},0.4:{_ring(_SQUARE)}\n", 0.0396),
    ("the square and the square shifted", "c_sponge", _SQUARE, f"{_ONE[:-1]},0.4:{_ring(_SHIFTED)}\n", 0.353067),
    ("two substrates", "c_sponge", _SQUARE, f"{_ONE[:-1]};c_soft_coral 0.9:{_ring(_SQUARE)}\n", 1.0),
    ("the lower of two substrates", "c_soft_coral", _SQUARE, f"{_ONE[:-1]};c_soft_coral 0.9:{_ring(_SQUARE)}\n", 0.0),
    ("a triangle beside it", "c_sponge", _SQUARE, f"{_ONE[:-1]};c_soft_coral 0.9:{_ring(_TRIANGLE)}\n", 0.664452),
    ("the right of the image", "c_sponge", _RIGHT, f"img;c_sponge 0.5:{_ring(_RIGHT)}\n", 1.0),
    ("an id on two lines", "c_sponge", _SQUARE, f"{_ONE}img;c_soft_coral 1:{_ring(_TRIANGLE)}\n", "RUN-DUPLICATE-ID"),
    ("no line feed at the end", "c_sponge", _SQUARE, _ONE[:-1], "RUN-NO-FINAL-NEWLINE"),
    ("a semicolon at the end", "c_sponge", _SQUARE, f"{_ONE[:-1]};\n", "RUN-TRAILING-SEPARATOR"),
    ("an id alone", "c_sponge", _SQUARE, "img\n", "RUN-NO-DETECTION"),
    ("no confidence", "c_sponge", _SQUARE, f"img;c_sponge {_ring(_SQUARE)}\n", "RUN-NO-CONFIDENCE"),
    ("decimals", "c_sponge", _SQUARE, f"{_ONE[:-1]}.5\n", "RUN-NOT-INTEGER"),
)


def _score(task: str, truth: str, run: str) -> Value:
    """Return iou.overall of texts of a truth and a run, through files as `imageclef score` does; or the codes of the errors."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("truth", "run")]
        for path, text in zip(paths, (truth, run), strict=True):
            path.write_text(text, encoding="utf-8", newline="")
        try:
            value = score_files(task, *paths).metrics["iou.overall"]
        except InvalidInput as error:
            return ", ".join(sorted(error.findings.counts))
    return UNDEFINED if value is None else value


def _pixels() -> Iterator[CheckValue]:
    for name, rings, pixels in _FILLED:
        yield CheckValue(f"pixels of {name}", pixels, _count_pixels(rings), 0)
    for name, substrate, ring, run, expected in _CORAL:
        truth = f"img 0 {substrate} 1 {_ring(ring, ' ')}\n"
        yield CheckValue(f"iou.overall of {name}", expected, _score("coral-parsing", truth, run))
    box, found = "img 0 c_sponge 1 100 100 199 199\n", "img;c_sponge 0.5:99x99+100+100\n"
    yield CheckValue("iou.overall of a box", 1.0, _score("coral-annotation", box, found))
