"""The card of the toy task."""

from dataclasses import dataclass

from baselines.core import config
from baselines.core.config import PositiveInt
from baselines.core.tasks import Metric, TaskCard

CARDS = (
    TaskCard(
        id="toy",
        package="imageclef_toy",
        version="1",
        predicts="the class of a point",
        baseline="a perceptron",
        unit="point",
        splits=("train", "val", "test"),
        metrics=(Metric("accuracy", "share of points with the right class"),),
        run_file="run.csv",
        files=("points.csv",),
        classes={1: "inside", 2: "outside"},
    ),
)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(config.ModelConfig):
    """Width of the hidden layer."""

    width: PositiveInt = 8
