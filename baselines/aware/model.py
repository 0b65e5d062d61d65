"""The ensemble of regressors, and the module that trains the network among them and fits the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn
from typing_extensions import override

from baselines.aware.classical import Array, Integers, Regressor, as_arrays, build_regressor
from baselines.aware.data import AwareData, Batch, Item, collate, without
from baselines.aware.network import SetNetwork, set_losses
from baselines.aware.records import Prediction
from baselines.aware.task import SITUATIONS, DataConfig, ModelConfig
from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule

SET = "set"
CHUNK = 256  # profiles without one of their concepts that are predicted at once


def build_module(config: Config, data: BaselineDataModule) -> AwareModule:
    """Return the module of a configuration.

    Raises:
        InvalidInput: If the bases and the number of steps don't go together, or a backbone or its weights are named.
    """
    assert isinstance(data, AwareData)
    assert isinstance(config.model, ModelConfig)
    if config.model.name or config.model.weights is not None:
        value = f"model.name={config.model.name}, model.weights={config.model.weights}"
        raise invalid(
            "CONFIG-VALUE", "there is no backbone", value=value, hint="leave both out; model.bases names what is fitted"
        )
    bases = config.model.bases
    if not bases or len(set(bases)) < len(bases):
        hint = "name at least one, each once"
        raise invalid("CONFIG-VALUE", "model.bases has to be a list of different bases", value=list(bases), hint=hint)
    if (SET in bases) != (config.trainer.max_steps > 0):
        hint = "set trainer.max_steps=0 where `set` is not among model.bases, and above 0 where it is"
        value = f"model.bases={list(bases)}, trainer.max_steps={config.trainer.max_steps}"
        raise invalid("CONFIG-VALUE", "`set` alone is trained by steps", value=value, hint=hint)
    return AwareModule(config, data)


class Ensemble(nn.Module):
    """The regressors, and how their predictions are combined: z-scores, weighted by situation.

    Args:
        ratings: ``(C, 4)`` ratings of the concepts, NaN where there is none.
        folds: Number of folds.
        config: The model's configuration.
    """

    set: SetNetwork
    ratings: Tensor
    means: Tensor
    deviations: Tensor
    weights: Tensor
    target_means: Tensor
    target_deviations: Tensor

    def __init__(self, ratings: Tensor, folds: int, config: ModelConfig) -> None:
        super().__init__()
        self.bases, self.folds = config.bases, folds
        if SET in self.bases:
            members = folds * config.seeds
            self.set = SetNetwork(ratings, members, config.width, config.heads, config.dropout)
        self.regressors = nn.ModuleDict({name: build_regressor(name, ratings, config) for name in self.bases if name != SET})
        count = len(self.bases)
        self.register_buffer("ratings", ratings.clone())
        for name, fill in (("means", 0.0), ("deviations", 1.0), ("weights", 1 / count)):  # of each base and situation
            self.register_buffer(name, torch.full((count, 4), fill, dtype=torch.float64))
        self.register_buffer("target_means", torch.zeros(4, dtype=torch.float64))
        self.register_buffer("target_deviations", torch.ones(4, dtype=torch.float64))

    def forward(self, batch: Batch) -> Tensor:
        """Return ``(B, 4) float64`` ratings."""
        scores = torch.stack([self.base(name, batch) for name in self.bases])
        z = (scores - self.means[:, None]) / self.deviations[:, None]
        return (z * self.weights[:, None]).sum(0) * self.target_deviations + self.target_means

    def base(self, name: str, batch: Batch) -> Tensor:
        """Return what one base says, ``(B, 4) float64``."""
        if name == SET:
            return cast("Tensor", self.set(batch)).double().mean(0)
        return cast("Tensor", self.regressors[name](batch))

    def held_out(self, batch: Batch) -> Tensor:
        """Return what the network's members say of users of the fold they never learnt from, ``(B, 4) float64``."""
        said = cast("Tensor", self.set(batch)).double()
        knows = self.members_that_learn(batch["folds"])
        return (said * ~knows[..., None]).sum(0) / (~knows).sum(0).clamp(min=1)[:, None]

    def members_that_learn(self, folds: Tensor) -> Tensor:
        """Return ``(M, B) bool``: which members learn from users of these folds."""
        return torch.arange(self.set.members, device=folds.device)[:, None] % self.folds != folds


class AwareModule(BaselineModule):
    """Trains the network on sets and fits the other regressors.

    While fitting it validates on the training users, each predicted by the members that never learnt from them: the validation
    split is not looked at before the end.

    Args:
        config: The run's configuration.
        data: The data module, for the concepts, their ratings and the moments of the truth.
    """

    fitted = ("regressors.",)
    class_dependent = ("set.concepts", "set.ratings", "ratings")
    network: Ensemble

    def __init__(self, config: Config, data: AwareData) -> None:
        assert isinstance(config.model, ModelConfig)
        assert isinstance(config.data, DataConfig)
        super().__init__(config, Ensemble(data.ratings, config.data.folds, config.model))
        self.model = config.model
        self.names = [name for _, name in sorted(data.classes.items())]
        if data.folds:
            truths = data.split("train").truth_set.truths.values()
            ratings = torch.tensor([[truth.ratings[key] for key in SITUATIONS] for truth in truths], dtype=torch.float64)
            for network in filter(None, (self.network, self.averaged)):
                assert isinstance(network, Ensemble)
                network.target_means.copy_(ratings.mean(0))
                network.target_deviations.copy_(ratings.std(0, correction=0).clamp(min=1e-6))
        self.reset_validation()

    @property
    def ensemble(self) -> Ensemble:
        """The ensemble in use."""
        return cast("Ensemble", self.active)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the parts of the network's loss."""
        ensemble = self.ensemble
        targets = ((batch["targets"] - ensemble.target_means) / ensemble.target_deviations).to(batch["targets"].dtype)
        predicted = ensemble.set(batch).float()
        return set_losses(predicted, targets, ensemble.members_that_learn(batch["folds"]), self.model.pearson)

    def decode(self, batch: Batch) -> list[Prediction]:
        """Return the ratings of each user."""
        return [
            Prediction(name, dict(zip(SITUATIONS, row, strict=True)))
            for name, row in zip(batch["ids"], self.ensemble(batch).tolist(), strict=True)
        ]

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> list[Prediction]:
        """Return the ratings of each user, and what each concept of the profile does to them if pictures are to be drawn."""
        predictions = self.decode(batch)
        if not self.config.pictures:
            return predictions
        return [
            Prediction(prediction.id, prediction.ratings, self._effects(batch, row, prediction))
            for row, prediction in enumerate(predictions)
        ]

    def _effects(self, batch: Batch, row: int, prediction: Prediction) -> dict[str, list[float]]:
        """Predict a profile without each of its concepts in turn; the differences are the concepts' effects."""
        exists = batch["places"][row] >= 0
        item: Item = {name: batch[name][row][exists].cpu().numpy() for name in ("concepts", "confidences", "boxes", "places")}
        item |= {"id": "", "images": float(batch["images"][row]), "targets": np.full(4, np.nan), "fold": -1}
        concepts = [int(concept) for concept in np.unique(item["concepts"]) if concept < len(self.names)]
        full = np.array([prediction.ratings[key] for key in SITUATIONS])
        effects: dict[str, list[float]] = {}
        for start in range(0, len(concepts), CHUNK):
            part = concepts[start : start + CHUNK]
            fewer = self.ensemble(self.to_device(collate([without(item, concept) for concept in part])))
            changes = (full - fewer.cpu().numpy()) / self.ensemble.target_deviations.cpu().numpy()
            effects |= {self.names[concept]: change for concept, change in zip(part, changes.tolist(), strict=True)}
        return effects

    # ---- validation while fitting

    def reset_validation(self) -> None:
        """Forget the sums."""
        self.moments = torch.zeros(4, 6, dtype=torch.float64)

    @override
    def validate_batch(self, batch: Batch) -> None:
        """Account for training users, each predicted by the members that never learnt from them."""
        predicted = self.ensemble.held_out(batch).cpu()
        target = ((batch["targets"] - self.ensemble.target_means) / self.ensemble.target_deviations).double().cpu()
        sums = (torch.ones_like(target), predicted, target, predicted**2, target**2, predicted * target)
        self.moments += torch.stack([part.sum(0) for part in sums], 1)

    def update_validation(self, batch: Any, predictions: Sequence[Any]) -> None:
        """Do nothing: :meth:`validate_batch` has accounted for the batch."""

    def compute_validation(self) -> dict[str, float]:
        """Return ``pearson.mean`` over the folds of the training users; an undefined correlation counts as 0."""
        count, x, y, xx, yy, xy = self.sum_over_processes(self.moments).cpu().numpy().T
        with np.errstate(all="ignore"):
            r = (xy - x * y / count) / np.sqrt(np.maximum(xx - x * x / count, 0) * np.maximum(yy - y * y / count, 0))
        return {"pearson.mean": float(np.where(np.isfinite(r), r, 0).mean())}

    # ---- what follows training

    def calibrate(self, data: BaselineDataModule) -> None:
        """Fit the regressors on the training users, and the weights of all bases on what each says of users it didn't see."""
        assert isinstance(data, AwareData)
        dataset = data.predict_dataset("train")
        batch: Batch = self.to_device(collate(dataset.items))
        folds = batch["folds"].cpu().numpy()
        unseen = np.stack([self._fit_base(name, batch, folds) for name in self.ensemble.bases])
        ensemble = self.ensemble
        means, deviations = unseen.mean(1), np.maximum(unseen.std(1), 1e-9)
        z = (unseen - means[:, None]) / deviations[:, None]
        (targets,) = as_arrays((batch["targets"] - ensemble.target_means) / ensemble.target_deviations)
        for buffer, values in (
            (ensemble.means, means),
            (ensemble.deviations, deviations),
            (ensemble.weights, combination(z, targets)),
        ):
            buffer.copy_(torch.from_numpy(values))

    def _fit_base(self, name: str, batch: Batch, folds: Integers) -> Array:
        """Fit one base on all training users; return what it says of each ``(N, 4)`` when fitted on the other folds."""
        everyone = np.arange(len(folds))
        if name == SET:
            return self._by_parts(self.ensemble.held_out, batch, everyone)
        unseen = np.zeros((len(folds), 4))
        regressor = cast("Regressor", self.ensemble.regressors[name])
        for fold in np.unique(folds) if len(self.ensemble.bases) > 1 else ():
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            if len(inside):
                regressor.fit(rows_of(batch, inside), folds[inside], self.config.seed)
                unseen[outside] = self._by_parts(regressor, batch, outside)
        regressor.fit(batch, folds, self.config.seed)
        return unseen if len(self.ensemble.bases) > 1 else self._by_parts(regressor, batch, everyone)

    def _by_parts(self, predict: Callable[[Batch], Tensor], batch: Batch, rows: Integers) -> Array:
        """Return what is predicted of some users ``(rows, 4)``, a batch at a time, which bounds the memory it takes."""
        size = self.config.data.eval_batch_size
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        return np.concatenate([as_arrays(predict(rows_of(batch, part)))[0] for part in parts])


def rows_of(batch: Batch, rows: Integers) -> Batch:
    """Return some of a batch's profiles."""
    index = torch.from_numpy(rows).to(batch["images"].device)
    picked = {name: value[index] for name, value in batch.items() if isinstance(value, Tensor)}
    return cast("Batch", {"ids": [batch["ids"][row] for row in rows.tolist()], **picked})


def combination(z: Array, targets: Array) -> Array:
    """Return weights of the bases, ``(bases, 4)``, half way between equal ones and the best non-negative ones.

    Of a few hundred users the best weights are mostly noise; equal ones take no account of a base that is worth nothing. Both
    have the same sum, so that the half way is one between directions.

    Args:
        z: ``(bases, N, 4)`` z-scores that the bases predicted for users they were not fitted on.
        targets: ``(N, 4)`` true z-scores.

    >>> good = np.array([[-1.0], [0.0], [1.0]]).repeat(4, 1)
    >>> combination(np.stack([good, -good]), good)[:, 0].tolist()
    [0.75, 0.25]
    """
    count = len(z)
    weights = np.full((count, z.shape[2]), 1 / count)
    for column in range(z.shape[2]):
        found, _ = nnls(z[:, :, column].T, targets[:, column])
        if found.sum() > 0:
            weights[:, column] = (weights[:, column] + found / found.sum()) / 2
    return weights
