"""The card of the aware task, and its part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from baselines.core import config
from baselines.core.config import NonNegative, PositiveInt, Range, Share
from baselines.core.tasks import Metric, TaskCard

# Situations in which somebody else rates a user's photos, by the key of the files.
SITUATIONS = {
    "acc": "searching for accommodation",
    "bank": "asking for a bank loan",
    "it": "applying for an IT job",
    "wait": "applying as a waiter or waitress",
}

CARDS = (
    TaskCard(
        id="aware",
        package="baselines.aware",
        version="2021.1",
        predicts="four ratings of a photo profile",
        baseline="multimodal regressor",
        unit="user",
        resamples=2000,  # spec page aware.md, section 5
        splits=("train", "val", "test"),
        metrics=(
            Metric("pearson.mean", "mean over situations of Pearson's correlation"),
            *(Metric(f"pearson.{key}", f"Pearson's correlation, {words}") for key, words in SITUATIONS.items()),
            Metric("spearman.mean", "mean over situations of Spearman's rank correlation"),
            *(Metric(f"spearman.{key}", f"Spearman's rank correlation, {words}") for key, words in SITUATIONS.items()),
        ),
        run_file="run.json",  # this project's name: the campaign prescribed none that is known
        files=(
            "aware/class_scores.json",
            *(f"aware/predictions_{split}.json" for split in ("train", "val", "test")),
            *(f"aware/gt_{split}.json" for split in ("train", "val")),
        ),
        example_ids=("0a1b2c3d4e5f6a7b", "8c9d0e1f2a3b4c5d"),
        example_truth=(
            "{\n"
            '"0a1b2c3d4e5f6a7b": {"acc": -1.2, "bank": -0.4, "it": 0.25, "wait": -0.8},\n'
            '"8c9d0e1f2a3b4c5d": {"acc": 0.5, "bank": 0.1, "it": -0.75, "wait": 1.1}\n'
            "}\n"
        ),
    ),
)

Base = Literal["ratings", "ridge", "svr", "forest", "extra_trees", "focal", "set"]


@dataclass(frozen=True, kw_only=True)
class DataConfig(config.DataConfig):
    """How profiles become tensors.

    Attributes:
        folds: Parts of the training users for cross-validation, by which everything is chosen; the validation split isn't used.
            ``split_seed`` divides them. ``val_share`` has no meaning here and is refused.
        image_dropout: Largest share of a training profile's photos that is left out at a step.
        mixup: Probability that a training profile is mixed with another of its fold: photos of both, ratings in proportion.
    """

    folds: Annotated[int, Range(2, 20)] = 5
    image_dropout: Annotated[float, Range(0, 0.9)] = 0.4
    mixup: Share = 0.3


@dataclass(frozen=True, kw_only=True)
class ModelConfig(config.ModelConfig):
    """The regressors whose predictions are combined; one alone is itself. No backbone: ``name`` and ``weights`` are refused.

    Attributes:
        bases: Which of them: ``ratings`` (the concepts' ratings, weighted by confidence; no training), ``ridge``, ``svr``,
            ``forest`` and ``extra_trees`` on the bag of concepts, ``focal`` (the method of LERVUP), ``set`` (a network on sets,
            the only one that takes steps).
        trees: Trees per situation of ``forest``, ``extra_trees`` and ``focal``.
        leaf: Least number of users in a tree's leaf, in ``forest`` and ``extra_trees``.
        split_share: Share of the features that a split of a tree chooses from, in ``forest`` and ``extra_trees``.
        seeds: Networks per fold of ``set``: each fold is held out by this many of them.
        width: Features of a detection, a photo and a profile within ``set``.
        heads: Attention heads of ``set`` over the photos.
        dropout: Dropout of ``set``.
        pearson: Weight of one minus Pearson's correlation in the loss of ``set``, beside the squared error of z-scores.
    """

    bases: tuple[Base, ...] = ("ridge", "svr", "forest", "extra_trees", "focal", "set")
    trees: PositiveInt = 300
    leaf: PositiveInt = 3
    split_share: Annotated[float, Range(0.01, 1)] = 0.33
    seeds: PositiveInt = 2
    width: PositiveInt = 32
    heads: PositiveInt = 4
    dropout: Annotated[float, Range(0, 0.9)] = 0.3
    pearson: NonNegative = 1.0
