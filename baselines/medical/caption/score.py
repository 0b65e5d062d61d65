"""The scores of the caption tasks (spec page metrics.md M1, M2 and M8), and their trivial runs."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from baselines.core import pictures
from baselines.core.metrics.multilabel import concept_set, set_f1
from baselines.core.metrics.text import bleu, clean, content_words, rouge1_f
from baselines.core.results import Evaluation
from baselines.core.statistics import Weights, resample_means
from baselines.medical.caption.records import CONCEPTS, Prediction, Sample, TruthSet, concept_number
from baselines.medical.drawings import word_maps
from baselines.medical.language import constant_caption

PANEL_SIDE = 400  # longer side of the image in a picture, in pixels
TEXT_SIZE, TEXT_WIDTH, TEXT_COLUMNS = 14, 460, 58  # of the text beside it; columns are the characters that fit

_GREEN, _RED, _BLUE = (0, 110, 80), (180, 60, 0), (0, 90, 150)
_CAPTION_METRICS = ("bleu", "bleu_nltk33", "rouge1_f")


def evaluate(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    """Compute ``f1`` (``caption-concepts``), or ``bleu``, ``bleu_nltk33`` and ``rouge1_f`` (``caption-prediction``).

    All are means over images; an image without prediction scores 0. Images without a true concept are left out of ``f1``, as in
    2018; what was done in 2021 is not known.

    Args:
        truth_set: The truths.
        predictions: The predictions by image id; images that the truth set doesn't have are not looked at.

    >>> from baselines.medical.caption.records import Truth
    >>> truth_set = TruthSet({"a": Truth("a", ("C1", "C2", "C3")), "b": Truth("b")}, CONCEPTS)
    >>> evaluate(truth_set, {"a": Prediction("a", ("C1", "C9"))}).metrics
    {'f1': 0.4}
    """
    if truth_set.task == CONCEPTS:
        return _evaluate_concepts(truth_set, predictions)
    return _evaluate_captions(truth_set, predictions)


def _evaluate_concepts(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    ids, missing = _units(truth_set, predictions)
    scores = [
        set_f1(
            concept_set(truth_set.truths[name].concepts),
            concept_set(predictions[name].concepts if name in predictions else ()),
        )
        for name in ids
    ]
    counts = np.array([score is not None for score in scores], dtype=bool)
    values = np.array([score for score in scores if score is not None])

    def resample(weights: Weights) -> dict[str, NDArray[np.float64]]:
        kept = weights[:, counts]
        totals = kept.sum(1)
        means = np.full(len(weights), np.nan)
        np.divide(kept @ values, totals, out=means, where=totals > 0)
        return {"f1": means}

    left_out = len(ids) - len(values)
    return Evaluation(
        metrics={"f1": float(values.mean()) if len(values) else None},
        undefined={} if len(values) else {"f1": "no image of the truth has a concept"},
        units=ids,
        missing=missing,
        resample=resample if len(values) else None,
        warnings=(f"{left_out} of {len(ids)} images have no concept in the truth and are left out",) if left_out else (),
    )


def _evaluate_captions(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    ids, missing = _units(truth_set, predictions)
    if not ids:
        return Evaluation(dict.fromkeys(_CAPTION_METRICS), dict.fromkeys(_CAPTION_METRICS, "the truth has no image"), ids)
    table = np.zeros((len(ids), len(_CAPTION_METRICS)))
    for row, name in enumerate(ids):
        if name in predictions:  # a missing one scores 0 even where the truth is empty
            reference, candidate = truth_set.truths[name].caption, predictions[name].caption
            table[row] = (*bleu(clean(reference), clean(candidate)), rouge1_f(reference, candidate))
    columns = dict(zip(_CAPTION_METRICS, table.T, strict=True))
    means: dict[str, float | None] = {name: float(values.mean()) for name, values in columns.items()}
    return Evaluation(means, {}, ids, missing, resample=resample_means(columns))


def _units(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> tuple[tuple[str, ...], int]:
    """Return the ids in ascending order, and how many of them have no prediction."""
    return tuple(sorted(truth_set.truths)), sum(name not in predictions for name in truth_set.truths)


def trivial_predictions(train: TruthSet, test: TruthSet) -> dict[str, Prediction]:
    """Predict the same for every image: what a run scores that looks at no image.

    These are the concepts that most training images have, as many as a training image has on average, of equally frequent ones
    the first in the alphabet; or the caption of the highest expected BLEU over the training captions that a search finds
    (:func:`baselines.medical.language.constant_caption`), a list of frequent words.

    Args:
        train: The truths to count.
        test: The images to predict.
    """
    truths = train.truths.values()
    if test.task == CONCEPTS:
        concepts = tuple(_most_frequent(concept_set(truth.concepts) for truth in truths))
        return {name: Prediction(name, concepts=concepts) for name in test.truths}
    captions = [truth.caption for truth in truths if content_words(truth.caption)]
    caption = constant_caption(captions) if captions else ""
    return {name: Prediction(name, caption=caption) for name in test.truths}


def _most_frequent(sets: Iterable[frozenset[str]]) -> list[str]:
    """Return the entries that are in most sets, as many as the sets that are not empty have on average."""
    filled = [each for each in sets if each]
    counts = Counter(entry for each in filled for entry in each)
    length = round(counts.total() / len(filled)) if filled else 0
    return sorted(counts, key=lambda entry: (-counts[entry], entry))[:length]


def combine(runs: Sequence[Mapping[str, Prediction]]) -> dict[str, Prediction]:
    """Return what several runs agree on, image by image.

    A concept is taken if at least half of the runs have it, or if it is the one that most of them have; the most votes come
    first. Of captions the one with the highest mean BLEU against the others is taken, the first of equally good ones.

    Args:
        runs: The predictions of each run by image id, all of the same images.

    >>> votes = combine([{"a": Prediction("a", concepts)} for concepts in (("C1", "C2"), ("C2",), ("C3", "C2"))])
    >>> votes["a"].concepts
    ('C2',)
    """
    return {name: _agree(name, [run[name] for run in runs]) for name in runs[0]}


def _agree(name: str, predictions: Sequence[Prediction]) -> Prediction:
    votes = Counter(concept for prediction in predictions for concept in concept_set(prediction.concepts))
    if votes:
        order = {concept.upper(): None for prediction in predictions for concept in prediction.concepts}
        ranked = sorted(order, key=lambda concept: -votes[concept])
        return Prediction(name, concepts=tuple(c for c in ranked if 2 * votes[c] >= len(predictions)) or (ranked[0],))
    cleaned = [clean(prediction.caption) for prediction in predictions]
    agreement = [sum(bleu(other, mine).bleu for other in cleaned) for mine in cleaned]  # with itself, too: no difference
    return Prediction(name, caption=predictions[agreement.index(max(agreement))].caption)


# -------------------------------------------------------------------------------------------------------------- pictures

Section = tuple[str, pictures.Colour, Sequence[str]]  # a heading, its colour, and the lines below it


def draw(sample: Sample, prediction: Prediction, classes: Mapping[int, str]) -> Image.Image:
    """Draw an image beside what was predicted for it and what is true, and below it where the model looked for each word.

    Args:
        sample: The image, and its truth where it has one.
        prediction: Its concepts or its caption.
        classes: Names of the concepts by the number in their code; empty for captions.

    Raises:
        OSError: If the image can't be read.
    """
    with Image.open(sample.image) as image:
        page = ImageOps.contain(image.convert("RGB"), (PANEL_SIDE, PANEL_SIDE))
    sections = _concept_sections(sample, prediction, classes) if classes else _caption_sections(sample, prediction)
    drawn = _beside_text(page, sample.id, sections)
    if prediction.attention is None or not len(prediction.attention):
        return drawn
    return pictures.below([drawn, word_maps(page, prediction.caption, prediction.attention, drawn.width)])


def _concept_sections(sample: Sample, prediction: Prediction, classes: Mapping[int, str]) -> list[Section]:
    """Return the concepts, divided by whether they are predicted and true; in a test set all are just predicted."""
    predicted = [concept.upper() for concept in prediction.concepts]

    def named(concepts: Iterable[str]) -> list[str]:
        return [f"{concept}  {classes.get(concept_number(concept), '')}".rstrip() for concept in concepts]

    if sample.truth is None:
        return [("predicted", _BLUE, named(predicted))]
    true = [concept.upper() for concept in sample.truth.concepts]
    return [
        ("predicted and true", _GREEN, named(concept for concept in predicted if concept in true)),
        ("predicted, but not true", _RED, named(concept for concept in predicted if concept not in true)),
        ("true, but not predicted", _BLUE, named(concept for concept in true if concept not in predicted)),
    ]


def _caption_sections(sample: Sample, prediction: Prediction) -> list[Section]:
    """Return the predicted and the true caption."""
    true = [] if sample.truth is None else [("true", _GREEN, [sample.truth.caption])]
    return [*true, ("predicted", _BLUE, [prediction.caption])]


def _beside_text(page: Image.Image, title: str, sections: Sequence[Section]) -> Image.Image:
    """Put sections of text to the right of an image, as far down as they go."""
    wide = pictures.font(TEXT_SIZE)
    rows: list[tuple[str, pictures.Colour]] = []
    for heading, colour, lines in sections:
        rows.append((f"{heading}: {len(lines)}" if len(sections) > 2 else f"{heading}:", colour))
        rows += [(f"  {part}", pictures.BLACK) for line in lines for part in textwrap.wrap(line, TEXT_COLUMNS) or ["(nothing)"]]
    step = TEXT_SIZE + 6
    text = Image.new("RGB", (TEXT_WIDTH, max(page.height, step * len(rows) + pictures.MARGIN)), pictures.WHITE)
    pen = ImageDraw.Draw(text)
    for place, (row, colour) in enumerate(rows):
        pen.text((pictures.MARGIN, pictures.MARGIN + place * step), row, colour, wide)
    left = Image.new("RGB", (page.width, text.height), pictures.WHITE)
    left.paste(page)
    both = Image.new("RGB", (page.width + text.width, text.height), pictures.WHITE)
    both.paste(left)
    both.paste(text, (page.width, 0))
    return pictures.beside([(title, both)])
