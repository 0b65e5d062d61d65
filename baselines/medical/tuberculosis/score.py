"""The scores of the tuberculosis task (spec page metrics.md M4), and its trivial run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from baselines.core.metrics.agreement import accuracy, cohen_kappa, confusion_matrices
from baselines.core.results import Evaluation, Number
from baselines.core.statistics import Weights
from baselines.medical.tuberculosis.records import UNKNOWN, Prediction, TruthSet
from baselines.medical.tuberculosis.task import TYPES

_ONE_CLASS = "truth and run are all of one class: agreement beyond chance is 0/0"


def evaluate(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    """Compute ``kappa`` and ``accuracy``; by class the recall and the row of the confusion matrix.

    A scan without prediction counts as the most frequent true class other than its own: leaving it out, or giving it a class of
    its own, would lower the agreement by chance and so raise kappa.

    Args:
        truth_set: The truths; every scan of it counts.
        predictions: The predictions by id; scans that the truth set doesn't have are not looked at.

    >>> from baselines.medical.tuberculosis.records import Truth
    >>> truths = {name: Truth(name, label) for name, label in zip("abcde", (1, 1, 2, 2, 3))}
    >>> run = {name: Prediction(name, label) for name, label in zip("abcde", (1, 2, 2, 2, 3))}
    >>> evaluate(TruthSet(truths, TYPES), run).metrics
    {'kappa': 0.6875, 'accuracy': 0.8}
    """
    ids = tuple(sorted(truth_set.truths))
    missing = sum(name not in predictions for name in ids)
    truth = [truth_set.truths[name].label for name in ids]
    if not ids or UNKNOWN in truth:
        why = "the truth has no scan" if not ids else "the truth has no labels"
        return Evaluation({"kappa": None, "accuracy": None}, {"kappa": why, "accuracy": why}, ids, missing)
    run = [predictions[name].label if name in predictions else 0 for name in ids]
    worst = _worst_answers(truth, truth_set.classes)
    run = [label or worst[true] for label, true in zip(run, truth, strict=True)]
    classes = sorted({*truth_set.classes, *truth, *run})
    places = {label: place for place, label in enumerate(classes)}
    rows = np.array([places[label] for label in truth])
    columns = np.array([places[label] for label in run])

    def measure(weights: Weights | None = None) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
        matrices = confusion_matrices(rows, columns, len(classes), weights)
        return matrices, {"kappa": cohen_kappa(matrices), "accuracy": accuracy(matrices)}

    matrices, values = measure()
    kappa, agreed = (float(values[name][0]) for name in ("kappa", "accuracy"))
    is_defined = bool(np.isfinite(kappa))
    names = [truth_set.classes.get(label, str(label)) for label in classes]
    return Evaluation(
        metrics={"kappa": kappa if is_defined else None, "accuracy": agreed},
        undefined={} if is_defined else {"kappa": _ONE_CLASS},
        units=ids,
        missing=missing,
        per_class=_per_class(matrices[0].astype(np.int64), names),
        resample=lambda weights: measure(weights)[1],
    )


def _worst_answers(truth: list[int], classes: Mapping[int, str]) -> dict[int, int]:
    """Return by class the most frequent true class other than it, of equally frequent ones the lowest."""
    counts = Counter(dict.fromkeys({*classes, *TYPES}, 0))
    counts.update(truth)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    return {label: next(other for other in ranked if other != label) for label in counts}


def _per_class(matrix: NDArray[np.int64], names: list[str]) -> dict[str, dict[str, Number]]:
    """Return recall, counts and the row of the confusion matrix ``(C, C)`` of each class."""
    per_class: dict[str, dict[str, Number]] = {}
    for place, name in enumerate(names):
        row = matrix[place].tolist()
        numbers: dict[str, Number] = {
            "recall": row[place] / sum(row) if sum(row) else None,
            "truths": sum(row),
            "predictions": int(matrix[:, place].sum()),
        }
        per_class[name] = numbers | {f"predicted_as {other}": count for other, count in zip(names, row, strict=True)}
    return per_class


def trivial_predictions(train: TruthSet, test: TruthSet) -> dict[str, Prediction]:
    """Predict the most frequent class of the training scans, of equally frequent ones the lowest; kappa is 0.

    Args:
        train: The truths to count.
        test: The scans to predict.
    """
    counts = Counter(dict.fromkeys(TYPES, 0))
    counts.update(truth.label for truth in train.truths.values() if truth.label != UNKNOWN)
    label = min(counts, key=lambda each: (-counts[each], each))
    return {name: Prediction(name, label) for name in test.truths}
