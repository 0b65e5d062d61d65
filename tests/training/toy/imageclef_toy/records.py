"""Points as distributed: ``points.csv`` with ``id,split,x,y,class``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.core.findings import invalid
from baselines.core.outputs import write_atomic

CLASSES = {1: "inside", 2: "outside"}


@dataclass(frozen=True)
class Sample:
    id: str
    point: tuple[float, float]
    truth: int | None


@dataclass(frozen=True)
class Prediction:
    id: str
    label: int
    scores: np.ndarray


@dataclass(frozen=True)
class TruthSet:
    truths: Mapping[str, int]
    classes: Mapping[int, str]


@dataclass(frozen=True)
class Split:
    samples: list[Sample]
    truth_set: TruthSet


def read_split(root, split):
    path = Path(root) / "points.csv"
    if not path.exists():
        raise invalid("DATA-MISSING", "there is no data here", file=path)
    rows = [line.split(",") for line in path.read_text().splitlines()]
    samples = [
        Sample(name, (float(x), float(y)), int(label) if label else None) for name, part, x, y, label in rows if part == split
    ]
    return Split(samples, TruthSet({sample.id: sample.truth for sample in samples if sample.truth}, CLASSES))


def write_truth(path, truth_set):
    write_atomic(path, "".join(f"{name},{label}\n" for name, label in truth_set.truths.items()))


def read_truth(path, task, findings):
    rows = [line.split(",") for line in Path(path).read_text().splitlines()]
    return TruthSet({name: int(label) for name, label in rows}, CLASSES)
