"""Accuracy, and a picture of a point."""

import numpy as np
from PIL import Image

from baselines.core.results import Evaluation
from imageclef_toy.records import Prediction


def evaluate(truth_set, predictions):
    right = np.array([name in predictions and predictions[name].label == label for name, label in truth_set.truths.items()])
    return Evaluation(
        metrics={"accuracy": float(right.mean())},
        undefined={},
        units=tuple(truth_set.truths),
        missing=sum(name not in predictions for name in truth_set.truths),
        resample=lambda weights: {"accuracy": (weights * right).sum(1) / weights.sum(1)},
    )


def draw(sample, prediction, classes):
    return Image.new("RGB", (8, 8), "green" if prediction.label == sample.truth else "red")


def combine(runs):
    sums = {name: sum(run[name].scores for run in runs) for name in runs[0]}
    return {name: Prediction(name, int(scores.argmax()) + 1, scores / len(runs)) for name, scores in sums.items()}
