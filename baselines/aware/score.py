"""The scores of the aware task (spec page metrics.md M5), its trivial run, ensembles of runs, and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.aware import drawings
from baselines.aware.records import Prediction, Sample, Split, TruthSet, is_complete
from baselines.aware.task import SITUATIONS
from baselines.core.metrics.correlation import pearson, spearman
from baselines.core.results import Evaluation
from baselines.core.statistics import Weights

_CORRELATIONS = {"pearson": pearson, "spearman": spearman}
_NAMES = tuple(f"{kind}.{key}" for kind in _CORRELATIONS for key in ("mean", *SITUATIONS))


def evaluate(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    """Compute ``pearson`` and ``spearman`` for each situation and their plain means over the situations.

    Without four finite ratings of every user nothing is scored. Where all ratings of a situation are equal, in the truth or in
    the run, its correlation and the mean are undefined.

    Args:
        truth_set: The truths; every user of it counts.
        predictions: The predictions by user; users that the truth set doesn't have are not looked at.

    >>> from baselines.aware.records import Truth
    >>> rows = {name: dict.fromkeys(SITUATIONS, value) for name, value in zip("abcd", (1.0, 2.0, 3.0, 4.0))}
    >>> run = {name: dict.fromkeys(SITUATIONS, value) for name, value in zip("abcd", (1.0, 3.0, 2.0, 4.0))}
    >>> truths = TruthSet({name: Truth(name, ratings) for name, ratings in rows.items()})
    >>> round(evaluate(truths, {name: Prediction(name, ratings) for name, ratings in run.items()}).metrics["pearson.mean"], 6)
    0.8
    """
    ids = tuple(sorted(truth_set.truths))
    missing = sum(name not in predictions or not is_complete(predictions[name].ratings) for name in ids)
    unscored = _why_unscored(ids, truth_set, missing)
    if unscored:
        return Evaluation(dict.fromkeys(_NAMES), dict.fromkeys(_NAMES, unscored), ids, missing)
    truth, run = (
        {key: np.array([source[name].ratings[key] for name in ids], dtype=np.float64) for key in SITUATIONS}
        for source in (truth_set.truths, predictions)
    )

    def measure(weights: Weights | None = None) -> dict[str, NDArray[np.float64]]:
        values: dict[str, NDArray[np.float64]] = {}
        for kind, correlate in _CORRELATIONS.items():
            columns = [correlate(run[key], truth[key], weights) for key in SITUATIONS]
            values[f"{kind}.mean"] = np.mean(columns, axis=0)
            values |= {f"{kind}.{key}": column for key, column in zip(SITUATIONS, columns, strict=True)}
        return values

    metrics = {name: float(value[0]) if np.isfinite(value[0]) else None for name, value in measure().items()}
    reasons = {key: _why_undefined(key, truth[key], run[key]) for key in SITUATIONS}
    undefined = {
        name: reasons[key]
        if (key := name.split(".")[1]) in reasons
        else "; ".join(dict.fromkeys(filter(None, reasons.values())))
        for name, value in metrics.items()
        if value is None
    }
    return Evaluation(metrics, undefined, ids, missing, resample=measure)


def _why_unscored(ids: tuple[str, ...], truth_set: TruthSet, missing: int) -> str:
    """Say why there is nothing to correlate."""
    if not ids:
        return "the truth has no user"
    if not all(is_complete(truth.ratings) for truth in truth_set.truths.values()):
        return "the truth has not four ratings of every user"
    return f"the run has not four finite ratings of every user: {missing} of {len(ids)} are missing" if missing else ""


def _why_undefined(key: str, truth: NDArray[np.float64], run: NDArray[np.float64]) -> str:
    """Say why a correlation is undefined, if it is."""
    if len(truth) < 2:
        return "there is only one user"
    constant = [name for name, values in (("truth", truth), ("run", run)) if (values == values[0]).all()]
    return f"all ratings for {key} in the {' and the '.join(constant)} are equal" if constant else ""


def trivial_predictions(train: TruthSet, test: TruthSet) -> dict[str, Prediction]:
    """Predict noise around the mean rating of each situation: what a run scores that looks at no photo, about 0.

    The mean alone would be a constant, which has no correlation and is no valid run. The noise comes from a hash of the user's
    id, so that it is the same everywhere and depends on no order.

    Args:
        train: The truths whose means and standard deviations are taken.
        test: The users to predict.
    """
    moments: dict[str, tuple[float, float]] = {}
    for key in SITUATIONS:
        values = np.array([truth.ratings[key] for truth in train.truths.values() if key in truth.ratings])
        moments[key] = (float(values.mean()), float(values.std()) or 1.0) if len(values) else (0.0, 1.0)
    return {
        name: Prediction(name, {key: mean + spread * _noise(f"{key}/{name}") for key, (mean, spread) in moments.items()})
        for name in test.truths
    }


def _noise(text: str) -> float:
    """Return a number from -1 to 1 that depends on the text alone."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**47 - 1


def combine(runs: Sequence[Mapping[str, Prediction]]) -> dict[str, Prediction]:
    """Return the run of an ensemble: the mean of each situation's z-scores over the runs, as their scales have no meaning.

    Args:
        runs: Predictions by user, of the same users.

    >>> def run(a, b):
    ...     return {name: Prediction(name, dict.fromkeys(SITUATIONS, value)) for name, value in (("a", a), ("b", b))}
    >>> combine([run(0, 1), run(9, 5)])["a"].ratings["acc"]
    0.0
    """
    names = list(runs[0])
    scores = np.array([[[run[name].ratings[key] for key in SITUATIONS] for name in names] for run in runs], dtype=np.float64)
    z = (scores - scores.mean(1, keepdims=True)) / np.maximum(scores.std(1, keepdims=True), np.finfo(np.float64).tiny)
    return {
        name: Prediction(name, dict(zip(SITUATIONS, row, strict=True)))
        for name, row in zip(names, z.mean(0).tolist(), strict=True)
    }


def draw(sample: Sample, prediction: Prediction, classes: Mapping[int, str]) -> Image.Image:  # noqa: ARG001 (concepts have names)
    """Draw why a user's photos are rated as predicted: the concepts that move each rating most. There are no pixels to show."""
    return drawings.explanation(sample, prediction)


def draw_run(
    split: Split,
    predictions: Mapping[str, Prediction],
    classes: Mapping[int, str],  # noqa: ARG001 (concepts have names)
) -> dict[str, Image.Image]:
    """Draw predicted against true ratings, and the concepts that move ratings up and down over all users."""
    return {"ratings": drawings.scatter(split, predictions), "concepts": drawings.concepts(predictions)}
