"""The regressors that scikit-learn fits, kept as tensors and evaluated without it: no pickle, one format for all models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.svm import SVR
from torch import Tensor, nn

from baselines.aware.data import Batch
from baselines.aware.features import bag, focal_rating, photo_features, profile_features, rating_sums
from baselines.aware.task import SITUATIONS, ModelConfig
from baselines.core.metrics.correlation import pearson

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

ALPHAS = (0.03, 0.1, 0.3, 1.0, 3.0)  # of ridge
COSTS = (0.1, 0.3, 1.0)  # of SVR
POWERS = (1.0, 0.5)  # of the bag: a square root lets the tenth photo of a dog say less than the first
FOCAL = ((10.0, 0.0), (10.0, 2.0), (10.0, 4.0), (4.0, 1.0), (4.0, 2.0))  # (K, gamma)
THRESHOLDS = np.arange(0.30, 0.51, 0.01)
CLUSTERS = 4
FOCAL_LEAF, FOCAL_DEPTH = 5, 7
CHOICE_TREES = 40  # of the forests that choose K and gamma


class Regressor(nn.Module):
    """Four ratings of each profile. ``fit`` replaces the buffers by what scikit-learn found."""

    def fit(self, batch: Batch, folds: Integers, seed: int) -> None:
        """Fit to profiles with ratings.

        Args:
            batch: The profiles.
            folds: ``(B,)`` folds for what is chosen by cross-validation.
            seed: Seed of everything random.
        """

    def forward(self, batch: Batch) -> Tensor:
        """Return ``(B, 4) float64``."""
        raise NotImplementedError


class RatingSum(Regressor):
    """The ratings of what is detected, weighted by confidence: nothing to fit.

    Args:
        ratings: ``(C, 4)`` ratings of the concepts.
    """

    ratings: Tensor

    def __init__(self, ratings: Tensor) -> None:
        super().__init__()
        self.register_buffer("ratings", ratings.clone())

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean over photos of the sums; unlike the others, on no scale of ratings."""
        return rating_sums(batch, self.ratings)


class LinearRegressor(Regressor):
    """Ridge regression on the bag of concepts.

    Args:
        concepts: Number of concepts.
    """

    weight: Tensor
    bias: Tensor
    power: Tensor

    def __init__(self, concepts: int) -> None:
        super().__init__()
        self.concepts = concepts
        self.register_buffer("weight", torch.zeros(concepts, 4, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(4, dtype=torch.float64))
        self.register_buffer("power", torch.ones(4, dtype=torch.float64))

    def fit(self, batch: Batch, folds: Integers, seed: int) -> None:  # noqa: ARG002 (nothing is random)
        """Choose the power of the bag and the penalty of each situation by cross-validation, then fit."""
        bags, targets = as_arrays(bag(batch, self.concepts), batch["targets"])
        for column in range(len(SITUATIONS)):
            y = targets[:, column]
            power, alpha = best(
                ((power, alpha) for power in POWERS for alpha in ALPHAS),
                lambda choice, y=y: cross_validate(Ridge(choice[1]), bags ** choice[0], y, folds),
            )
            model = Ridge(alpha).fit(bags**power, y)
            self.weight[:, column] = torch.from_numpy(model.coef_)
            self.bias[column], self.power[column] = float(model.intercept_), power

    def forward(self, batch: Batch) -> Tensor:
        """Return the weighted sums."""
        bags = bag(batch, self.concepts)
        columns = [bags ** self.power[column] @ self.weight[:, column] for column in range(len(SITUATIONS))]
        return torch.stack(columns, 1) + self.bias


class KernelRegressor(Regressor):
    """Support vector regression with a Gaussian kernel on the bag of concepts.

    Args:
        concepts: Number of concepts.
    """

    support: Tensor
    dual: Tensor
    bias: Tensor
    gamma: Tensor
    power: Tensor

    def __init__(self, concepts: int) -> None:
        super().__init__()
        self.concepts = concepts
        self.register_buffer("support", torch.zeros(0, concepts, dtype=torch.float64))
        self.register_buffer("dual", torch.zeros(0, 4, dtype=torch.float64))
        for name in ("bias", "gamma", "power"):
            self.register_buffer(name, torch.zeros(4, dtype=torch.float64))

    def fit(self, batch: Batch, folds: Integers, seed: int) -> None:  # noqa: ARG002 (nothing is random)
        """Choose the power of the bag and the cost of each situation by cross-validation, then fit."""
        bags, targets = as_arrays(bag(batch, self.concepts), batch["targets"])
        targets = targets / np.maximum(targets.std(0), 1e-9)  # the margin of 0.1 is a share of the deviation
        dual = np.zeros((len(bags), 4))
        for column in range(len(SITUATIONS)):
            y = targets[:, column]
            power, cost = best(
                ((power, cost) for power in POWERS for cost in COSTS),
                lambda choice, y=y: cross_validate(SVR(C=choice[1]), bags ** choice[0], y, folds),
            )
            model = SVR(C=cost, gamma=_gamma(bags**power)).fit(bags**power, y)
            dual[model.support_, column] = model.dual_coef_[0]
            self.bias[column], self.gamma[column], self.power[column] = float(model.intercept_[0]), model.gamma, power
        self.support, self.dual = torch.from_numpy(bags).to(self.bias.device), torch.from_numpy(dual).to(self.bias.device)

    def forward(self, batch: Batch) -> Tensor:
        """Return the kernel expansions."""
        bags = bag(batch, self.concepts)
        columns = []
        for column, power in enumerate(self.power):
            distances = torch.cdist(bags**power, self.support**power, compute_mode="donot_use_mm_for_euclid_dist")
            columns.append((-self.gamma[column] * distances**2).exp() @ self.dual[:, column])
        return torch.stack(columns, 1) + self.bias


def _gamma(features: Array) -> float:
    """Return scikit-learn's ``gamma="scale"`` as a number."""
    return 1.0 / max(features.shape[1] * float(features.var()), 1e-12)


class Trees(nn.Module):
    """The trees of one forest for each situation, their nodes in one table; leaves point at themselves."""

    feature: Tensor
    left: Tensor
    right: Tensor
    threshold: Tensor
    value: Tensor
    roots: Tensor
    depth: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int32))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        self.register_buffer("roots", torch.zeros(4, 0, dtype=torch.int32))
        self.register_buffer("depth", torch.zeros((), dtype=torch.int32))

    def set(self, forests: list[Any]) -> None:
        """Take over the trees of four fitted forests of equal size."""
        trees = [tree.tree_ for forest in forests for tree in forest.estimators_]
        sizes = np.array([tree.node_count for tree in trees])
        roots = np.concatenate([[0], sizes.cumsum()[:-1]])
        own = [np.arange(size) for size in sizes]
        table: dict[str, Any] = {
            "feature": np.concatenate([np.maximum(tree.feature, 0) for tree in trees]).astype(np.int32),
            "threshold": np.concatenate([tree.threshold for tree in trees]),
            "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]),
            "roots": roots.reshape(len(forests), -1).astype(np.int32),
            "depth": np.array(max(tree.max_depth for tree in trees), np.int32),
        }
        for name, children in (("left", "children_left"), ("right", "children_right")):
            rows = [getattr(tree, children) for tree in trees]
            table[name] = np.concatenate(
                [np.where(row < 0, nodes, row) + root for row, nodes, root in zip(rows, own, roots, strict=True)]
            ).astype(np.int32)
        for name, array in table.items():
            setattr(self, name, torch.from_numpy(array).to(self.roots.device))

    def forward(self, features: Tensor, situation: int) -> Tensor:
        """Return the mean over a situation's trees, ``(B,) float64``, of ``(B, F)`` features, rounded as scikit-learn does."""
        features = features.float().double()
        nodes = self.roots[situation].expand(len(features), -1)
        for _ in range(int(self.depth)):
            goes_left = features.gather(1, self.feature[nodes].long()) <= self.threshold[nodes]
            nodes = torch.where(goes_left, self.left[nodes], self.right[nodes])
        return self.value[nodes].mean(1)


class ForestRegressor(Regressor):
    """A random forest, or extremely randomised trees, on the bag of concepts, with the sums of ratings as further columns.

    Args:
        ratings: ``(C, 4)`` ratings of the concepts.
        config: The model's configuration.
        extra: Whether the trees are extremely randomised.
    """

    ratings: Tensor

    def __init__(self, ratings: Tensor, config: ModelConfig, *, extra: bool) -> None:
        super().__init__()
        self.config, self.extra = config, extra
        self.register_buffer("ratings", ratings.clone())
        self.trees = Trees()

    def features(self, batch: Batch) -> Tensor:
        """Return ``(B, C + 5)``: the bag, the sums of ratings and the number of photos."""
        sums = rating_sums(batch, self.ratings)
        return torch.cat([bag(batch, len(self.ratings)), sums, batch["images"].double()[:, None]], 1)

    def fit(self, batch: Batch, folds: Integers, seed: int) -> None:  # noqa: ARG002 (nothing is chosen)
        """Grow a forest for each situation."""
        features, targets = as_arrays(self.features(batch), batch["targets"])
        settings: dict[str, Any] = {
            "n_estimators": self.config.trees,
            "min_samples_leaf": self.config.leaf,
            "max_features": self.config.split_share,
        }
        kind = ExtraTreesRegressor if self.extra else RandomForestRegressor
        self.trees.set([kind(random_state=seed + column, **settings).fit(features, y) for column, y in enumerate(targets.T)])

    def forward(self, batch: Batch) -> Tensor:
        """Return the forests' means."""
        features = self.features(batch)
        return torch.stack([self.trees(features, column) for column in range(len(SITUATIONS))], 1)


class FocalRegressor(Regressor):
    """The method of LERVUP (Nguyen et al. 2020, arXiv:2012.13180): focal ratings, clusters of photos, a forest per situation.

    The threshold of the detector is the one whose sum of ratings correlates best with the training ratings; ``K`` and ``gamma``
    are chosen by cross-validation. Not done: thresholds of single concepts, a subset of concepts, removal of outlying users.

    Args:
        ratings: ``(C, 4)`` ratings of the concepts.
        config: The model's configuration.
    """

    ratings: Tensor
    threshold: Tensor
    limit: Tensor
    gamma: Tensor
    centres: Tensor

    def __init__(self, ratings: Tensor, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("ratings", ratings.clone())
        for name in ("threshold", "limit", "gamma"):
            self.register_buffer(name, torch.ones(4, dtype=torch.float64))
        self.register_buffer("centres", torch.zeros(4, CLUSTERS, 3, dtype=torch.float64))
        self.trees = Trees()

    def photos(self, batch: Batch, column: int) -> tuple[Tensor, Tensor]:
        """Return the features of photos for a situation, and their owners; see :func:`photo_features`."""
        ratings = self.ratings[:, column].double()
        # The campaign's ratings stay below 3 in size; another scale must not reach the pole.
        limit = self.limit[column].clamp(min=1.05 * float(ratings.abs().nan_to_num().max()))
        return photo_features(batch, focal_rating(ratings, limit, self.gamma[column]), float(self.threshold[column]))

    def features(self, batch: Batch, column: int) -> Tensor:
        """Return ``(B, 16)`` features of the profiles for a situation."""
        photos, owners = self.photos(batch, column)
        return profile_features(photos, owners, len(batch["ids"]), self.centres[column])

    def fit(self, batch: Batch, folds: Integers, seed: int) -> None:
        """Choose threshold and focal rating, find the clusters, grow the forests."""
        targets = batch["targets"].double().cpu().numpy()
        forests = []
        for column in range(len(SITUATIONS)):
            y = targets[:, column]
            self.threshold[column] = best(THRESHOLDS, lambda value, y=y, c=column: self._agreement(batch, value, c, y))
            found: dict[tuple[float, float], Array] = {}
            for choice in FOCAL:
                self._cluster(batch, column, choice, seed)
                found[choice] = self.features(batch, column).cpu().numpy()
            quick = self._forest(min(CHOICE_TREES, self.config.trees), seed + column)
            choice = best(FOCAL, lambda choice, y=y, found=found, quick=quick: cross_validate(quick, found[choice], y, folds))
            self._cluster(batch, column, choice, seed)
            forests.append(self._forest(self.config.trees, seed + column).fit(found[choice], y))
        self.trees.set(forests)

    def forward(self, batch: Batch) -> Tensor:
        """Return the forests' means."""
        return torch.stack([self.trees(self.features(batch, column), column) for column in range(len(SITUATIONS))], 1)

    def _agreement(self, batch: Batch, threshold: float, column: int, y: Array) -> float:
        sure = batch["confidences"] * (batch["confidences"] >= threshold)
        return correlation(rating_sums({**batch, "confidences": sure}, self.ratings)[:, column].cpu().numpy(), y)

    def _cluster(self, batch: Batch, column: int, choice: tuple[float, float], seed: int) -> None:
        self.limit[column], self.gamma[column] = choice
        photos = self.photos(batch, column)[0].cpu().numpy()
        distinct = len(np.unique(photos, axis=0))
        if distinct:
            means = KMeans(min(CLUSTERS, distinct), n_init=1, random_state=seed).fit(photos)
            # Fewer photos than clusters: the last centre stands for those that are missing, and the first of equals is nearest.
            rows = np.minimum(np.arange(CLUSTERS), len(means.cluster_centers_) - 1)
            self.centres[column] = torch.from_numpy(means.cluster_centers_[rows])

    def _forest(self, trees: int, seed: int) -> RandomForestRegressor:
        return RandomForestRegressor(
            trees, max_depth=FOCAL_DEPTH, min_samples_leaf=FOCAL_LEAF, max_features=0.5, random_state=seed
        )


def build_regressor(name: str, ratings: Tensor, config: ModelConfig) -> Regressor:
    """Return the regressor of a name, not fitted.

    Args:
        name: One of the bases of the configuration but ``set``.
        ratings: ``(C, 4)`` ratings of the concepts.
        config: The model's configuration.
    """
    if name == "ratings":
        return RatingSum(ratings)
    if name == "ridge":
        return LinearRegressor(len(ratings))
    if name == "svr":
        return KernelRegressor(len(ratings))
    if name == "focal":
        return FocalRegressor(ratings, config)
    return ForestRegressor(ratings, config, extra=name == "extra_trees")


def as_arrays(*tensors: Tensor) -> tuple[Array, ...]:
    """Return tensors as float64 arrays."""
    return tuple(tensor.double().cpu().numpy() for tensor in tensors)


def correlation(x: Array, y: Array) -> float:
    """Return Pearson's correlation; 0 where it isn't defined, so that choices can be compared."""
    return float(np.nan_to_num(pearson(x, y)[0])) if len(x) > 1 else 0.0


def cross_validate(model: Any, features: Array, y: Array, folds: Integers) -> float:
    """Return the correlation of what a model predicts for each fold, fitted on the others, with the truth."""
    predicted = np.zeros(len(y))
    for fold in np.unique(folds):
        held_out = folds == fold
        if held_out.all():
            return 0.0
        predicted[held_out] = model.fit(features[~held_out], y[~held_out]).predict(features[held_out])
    return correlation(predicted, y)


def best(choices: Iterable[Any], quality: Any) -> Any:
    """Return the choice of the highest quality, the first of equals."""
    return max(choices, key=quality)
