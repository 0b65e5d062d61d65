"""The scores of the caption tasks (spec page metrics.md M1, M2 and M8), and their trivial runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from baselines.core.metrics.multilabel import concept_set, set_f1
from baselines.core.metrics.text import bleu, clean, content_words, rouge1_f
from baselines.core.results import Evaluation
from baselines.core.statistics import Weights, resample_means
from baselines.medical.caption.records import CONCEPTS, Prediction, TruthSet

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
    """Predict for every image what most training images have: what a run scores that looks at no image.

    These are the most frequent concepts, as many as a training image has on average; or the most frequent words of captions, as
    many as an average caption has, the most frequent first. Of equally frequent ones the first in the alphabet is taken.

    Args:
        train: The truths to count.
        test: The images to predict.
    """
    truths = train.truths.values()
    if test.task == CONCEPTS:
        concepts = tuple(_most_frequent(concept_set(truth.concepts) for truth in truths))
        return {name: Prediction(name, concepts=concepts) for name in test.truths}
    caption = " ".join(_most_frequent(frozenset(content_words(truth.caption)) for truth in truths))
    return {name: Prediction(name, caption=caption) for name in test.truths}


def _most_frequent(sets: Iterable[frozenset[str]]) -> list[str]:
    """Return the entries that are in most sets, as many as the sets that are not empty have on average."""
    filled = [each for each in sets if each]
    counts = Counter(entry for each in filled for entry in each)
    length = round(counts.total() / len(filled)) if filled else 0
    return sorted(counts, key=lambda entry: (-counts[entry], entry))[:length]
