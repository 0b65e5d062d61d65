"""The scores of the tuberculosis task (spec page metrics.md M4), its trivial run, its ensembles and its pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from baselines.core import pictures
from baselines.core.metrics.agreement import accuracy, cohen_kappa, confusion_matrices
from baselines.core.results import Evaluation, Number
from baselines.core.statistics import Weights
from baselines.medical.tuberculosis.records import UNKNOWN, Prediction, Sample, Split, TruthSet
from baselines.medical.tuberculosis.task import TYPES
from baselines.medical.tuberculosis.volumes import Prepared, UnreadableVolume, prepare

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


def combine(runs: Sequence[Mapping[str, Prediction]]) -> dict[str, Prediction]:
    """Make one run of an ensemble's, such as the models of all folds: the mean of what each makes of a scan decides.

    Args:
        runs: Predictions of the same scans by several models, with probabilities and votes.

    Returns:
        Predictions whose probabilities and votes are the models' mean, and whose label has the most votes. The evidence is the
        mean over the models that decided alike, as far as their maps are of one shape.
    """
    return {name: _combined([run[name] for run in runs]) for name in runs[0]}


def _combined(predictions: Sequence[Prediction]) -> Prediction:
    probabilities, votes = (
        np.mean([getattr(each, what) for each in predictions], axis=0) for what in ("probabilities", "votes")
    )
    label = sorted(TYPES)[int(votes.argmax())]
    maps = [each.evidence for each in predictions if each.label == label and each.evidence is not None]
    evidence = np.mean(maps, axis=0) if maps and len({each.shape for each in maps}) == 1 else None
    return Prediction(predictions[0].id, label, probabilities, votes, evidence)


# ------------------------------------------------------------------------------------------------------------ pictures

SHOWN_GRID = (96, 160, 192)  # what a scan is resampled to for a picture
SHOWN_SLICES = 5
PANEL_WIDTH = 240  # of a slice, in pixels
BINS = 10  # of the calibration plot
_MASK_COLOUR, _EVIDENCE_COLOUR = np.array([86, 180, 233]), np.array([213, 94, 0])


def draw(sample: Sample, prediction: Prediction, classes: Mapping[int, str]) -> Image.Image:
    """Draw slices of a scan: the CT above; below it the lung mask; then what speaks for the predicted class.

    The slices are those with the most evidence, and such as stand apart, from the base to the apex of the lungs. The patient's
    right is on the left, his front above, as radiologists look at it.

    Args:
        sample: The scan, and its label where it has one.
        prediction: What was predicted; without evidence the lowest row is missing.
        classes: Class names by campaign id.
    """
    lines = _captions(sample, prediction, classes)
    try:
        scan = prepare(sample.ct, sample.masks, SHOWN_GRID)
    except UnreadableVolume as error:
        return pictures.below([_text([*lines, f"the scan can't be read: {error}"], PANEL_WIDTH * SHOWN_SLICES)])
    evidence = None if prediction.evidence is None else _enlarged(prediction.evidence)
    slices = _chosen_slices(scan, evidence)
    rows = [("CT, -1000 to 400 HU", [_slice(scan, place) for place in slices])]
    covers = scan.array[1] / 255
    rows.append(("lung mask, blue", [_slice(scan, place, covers[place] * 0.5, _MASK_COLOUR) for place in slices]))
    if evidence is not None:
        named = f"evidence for {classes.get(prediction.label, prediction.label)}, orange"
        rows.append((named, [_slice(scan, place, evidence[place] * 0.7, _EVIDENCE_COLOUR) for place in slices]))
    heights = [f"{(place + 0.5) / SHOWN_GRID[0]:.0%} of the height" for place in slices]
    page = [_text(lines, PANEL_WIDTH * SHOWN_SLICES)]
    for number, (title, row) in enumerate(rows):
        titles = heights if number == 0 else [""] * len(row)
        page += [_text([title], PANEL_WIDTH), pictures.beside(list(zip(titles, row, strict=True)))]
    return pictures.below(page)


def _captions(sample: Sample, prediction: Prediction, classes: Mapping[int, str]) -> list[str]:
    lines = [sample.id, f"predicted: {classes.get(prediction.label, prediction.label)}"]
    if sample.truth is not None:
        lines[1] += f"; true: {classes.get(sample.truth.label, sample.truth.label)}"
    if prediction.probabilities is not None:
        shares = zip(sorted(classes), prediction.probabilities.tolist(), strict=True)
        lines.append("probabilities: " + ", ".join(f"{classes[label]} {share:.2f}" for label, share in shares))
    return lines


def _text(lines: Sequence[str], width: int) -> Image.Image:
    size = pictures.LABEL_SIZE + 2
    picture = Image.new("RGB", (width, len(lines) * (size + 6)), pictures.WHITE)
    pen = ImageDraw.Draw(picture)
    for place, line in enumerate(lines):
        pen.text((2, place * (size + 6)), line, pictures.BLACK, pictures.font(size))
    return picture


def _enlarged(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return evidence ``(d, h, w)`` on the grid of the pictures, by linear interpolation along one axis after another."""
    for axis, size in enumerate(SHOWN_GRID):
        centres = (np.arange(size) + 0.5) * evidence.shape[axis] / size - 0.5
        low = np.clip(np.floor(centres).astype(int), 0, evidence.shape[axis] - 1)
        high = np.minimum(low + 1, evidence.shape[axis] - 1)
        share = np.clip(centres - low, 0, 1).reshape([-1 if other == axis else 1 for other in range(3)])
        evidence = evidence.take(low, axis) * (1 - share) + evidence.take(high, axis) * share
    return np.asarray(evidence, np.float32)


def _chosen_slices(scan: Prepared, evidence: NDArray[np.float32] | None) -> list[int]:
    """Return the places of the slices to show: in each fifth of the height the one with the most evidence, else most lung."""
    weight = (scan.array[1] if evidence is None else evidence).sum((1, 2), dtype=np.float64)
    edges = np.linspace(0, len(weight), SHOWN_SLICES + 1).astype(int)
    return [int(low + weight[low:high].argmax()) for low, high in pairwise(edges.tolist())]


def _slice(
    scan: Prepared, place: int, cover: NDArray[np.floating] | None = None, colour: NDArray[np.int64] | None = None
) -> Image.Image:
    """Return a slice as it is looked at, as wide as a panel and in its true proportions, perhaps with a colour over it."""
    grey = np.repeat(scan.array[0, place, ..., None].astype(np.float64), 3, axis=-1)
    if cover is not None and colour is not None:
        grey += cover[..., None] * (colour - grey)
    _, height, width = SHOWN_GRID
    tall = round(PANEL_WIDTH * height * scan.spacing[1] / (width * scan.spacing[2]))
    turned = Image.fromarray(grey[::-1, ::-1].round().astype(np.uint8))
    return turned.resize((PANEL_WIDTH, max(1, tall)), Image.Resampling.BILINEAR)


def draw_run(split: Split, predictions: Mapping[str, Prediction], classes: Mapping[int, str]) -> dict[str, Image.Image]:
    """Draw how far the probabilities of a run can be trusted; nothing if there are no labels or no probabilities.

    Args:
        split: The scans with their labels.
        predictions: Predictions by id.
        classes: Class names by campaign id.
    """
    order = sorted(classes)
    known = [
        (prediction.probabilities, order.index(truth.label))
        for name, truth in sorted(split.truth_set.truths.items())
        if truth.label in classes and (prediction := predictions.get(name)) and prediction.probabilities is not None
    ]
    if not known:
        return {}
    probabilities, labels = np.array([each for each, _ in known]), np.array([label for _, label in known])
    return {"calibration": _calibration_plot(probabilities, labels)}


def calibration(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = BINS
) -> list[tuple[float, float, int]]:
    """Compare how sure a model is with how often it is right (reliability, Guo et al. 2017, arXiv:1706.04599).

    Args:
        probabilities: ``(N, C)``.
        labels: ``(N,)`` class indices.
        bins: Into how many equal intervals the highest probabilities are sorted.

    Returns:
        Of each interval with scans the mean highest probability, the share of them that are right, and their number.

    >>> calibration(np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6]]), np.array([0, 1, 1]), bins=5)
    [(0.6, 1.0, 1), (0.925, 0.5, 2)]
    """
    sure, right = probabilities.max(1), probabilities.argmax(1) == labels
    places = np.minimum((sure * bins).astype(int), bins - 1)
    return [
        (float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for place in range(bins)
        if (inside := places == place).any()
    ]


def calibration_error(found: Sequence[tuple[float, float, int]]) -> float:
    """Return the expected calibration error of what :func:`calibration` gives: the mean gap, weighed by the number of scans.

    >>> round(calibration_error([(0.6, 1.0, 1), (0.9, 0.5, 3)]), 3)
    0.4
    """
    return sum(abs(sure - right) * count for sure, right, count in found) / sum(count for *_, count in found)


def _calibration_plot(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Image.Image:
    """Plot the share of right answers over the probability, with 95 % intervals, and how many scans each point stands for."""
    found, side, left, top = calibration(probabilities, labels), 420, 60, 70
    picture = Image.new("RGB", (left + side + 30, top + side + 60), pictures.WHITE)
    pen, small = ImageDraw.Draw(picture), pictures.font(pictures.LABEL_SIZE)
    title = f"{len(labels)} scans; expected calibration error {calibration_error(found):.3f}"
    pen.text(
        (left, 12), "Calibration: how often the likeliest class is right", pictures.BLACK, pictures.font(pictures.TITLE_SIZE)
    )
    pen.text((left, 38), title, pictures.BLACK, small)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * side, top + (1 - y) * side

    for tick in np.linspace(0, 1, 6):
        pen.line([at(tick, 0), at(tick, 1)], (225, 225, 225))
        pen.line([at(0, tick), at(1, tick)], (225, 225, 225))
        pen.text((at(tick, 0)[0], top + side + 8), f"{tick:.1f}", pictures.BLACK, small, anchor="mt")
        pen.text((left - 8, at(0, tick)[1]), f"{tick:.1f}", pictures.BLACK, small, anchor="rm")
    pen.line([at(0, 0), at(1, 1)], (130, 130, 130), 2)
    pen.text((left + side / 2, top + side + 30), "probability of the likeliest class", pictures.BLACK, small, anchor="mt")
    colour = pictures.style_of(1).colour
    for sure, right, count in found:
        low, high = _wilson(right, count)
        pen.line([at(sure, low), at(sure, high)], colour, 2)
        x, y = at(sure, right)
        pen.ellipse((x - 5, y - 5, x + 5, y + 5), colour)
        pen.text((x + 9, y), str(count), pictures.BLACK, small, anchor="lm")
    pen.line([at(0, 1), at(0, 0), at(1, 0)], pictures.BLACK, 2)
    return picture


def _wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share of ``count`` trials (Wilson 1927).

    >>> [round(end, 2) for end in _wilson(0.5, 10)]
    [0.24, 0.76]
    """
    middle = share + z**2 / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (middle - reach) / (1 + z**2 / count), (middle + reach) / (1 + z**2 / count)
