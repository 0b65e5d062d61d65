"""A run: ``id,class,score of class 1`` a line, the score in full precision, so that runs are equal when models are."""

from pathlib import Path

import numpy as np

from baselines.core.outputs import write_atomic
from imageclef_toy.records import Prediction


def write_run(path, predictions, truth_set, run_format=None):
    write_atomic(path, "".join(f"{p.id},{p.label},{float(p.scores[0])!r}\n" for p in predictions))


def read_run(path, truth_set, findings, run_format=None):
    rows = [line.split(",") for line in Path(path).read_text().splitlines()]
    return {name: Prediction(name, int(label), np.array([float(score)])) for name, label, score in rows}
