"""The module that trains a classifier of scans: augmentation on the device, mixup, a decision rule for kappa, evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from monai.transforms import Compose, RandAffine, RandFlip, RandGaussianSmooth
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from baselines.core.config import Config
from baselines.core.metrics.agreement import cohen_kappa, confusion_matrices
from baselines.medical.evidence import grad_cam
from baselines.medical.tuberculosis.data import Batch, TuberculosisData
from baselines.medical.tuberculosis.networks import Classifier, build_network
from baselines.medical.tuberculosis.records import Prediction
from baselines.medical.tuberculosis.task import DataConfig, ModelConfig
from baselines.medical.tuberculosis.volumes import HIGHEST, LOWEST
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule

TEMPERATURES = np.geomspace(0.5, 4, 43)
EXPONENTS = np.linspace(-0.5, 1.5, 21)
RESAMPLES = 200  # of the scans set aside, over which kappa is averaged


def build_module(config: Config, data: BaselineDataModule) -> TuberculosisModule:
    """Return the module that trains the network of the configuration."""
    assert isinstance(data, TuberculosisData)
    return TuberculosisModule(config, data)


def pretrained_weights(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    assert isinstance(config.model, ModelConfig)
    return [f"timm/{config.model.backbone}"] if config.model.name == "slices" else []


class Augmentation:
    """Moves, mirrors, blurs and disturbs one volume at a time, by a seed of its own, where the volume is.

    Args:
        config: The data configuration.
    """

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self._spatial = cache(self._make_spatial)  # the grid that MONAI resamples on belongs to a device

    def _make_spatial(self, device: torch.device) -> Compose:
        config = self.config
        angle = math.radians(config.rotate)
        shifts = [config.shift * side for side in config.grid]
        return Compose(
            [
                RandFlip(0.5 if config.mirror else 0.0, spatial_axis=2),
                RandAffine(
                    1.0,
                    rotate_range=[angle] * 3,
                    translate_range=shifts,
                    scale_range=[config.scale] * 3,
                    mode="bilinear",
                    padding_mode="border",
                    cache_grid=True,
                    spatial_size=config.grid,
                    device=device,
                ),
                RandGaussianSmooth(*[(0.0, max(config.blur, 1e-3))] * 3, prob=0.3 if config.blur else 0.0),
            ]
        )

    def __call__(self, volume: Tensor, seed: int) -> Tensor:
        """Return a volume ``(2, D, H, W)`` in [0, 1] changed by a seed; the same seed always changes it alike."""
        rng = np.random.default_rng(seed)
        spatial = self._spatial(volume.device)
        spatial.set_random_state(seed=int(rng.integers(2**32)))
        with torch.autocast(volume.device.type, enabled=False):  # bfloat16 is too coarse for places
            ct, mask = torch.as_tensor(spatial(volume)).as_subclass(Tensor)
        ct = ct.clamp(0, 1) ** float(np.exp(rng.uniform(-1, 1) * np.log(self.config.gamma)))
        generator = torch.Generator(volume.device).manual_seed(int(rng.integers(2**63)))
        spread = float(rng.uniform(0, self.config.noise)) / (HIGHEST - LOWEST)
        noise = torch.randn(ct.shape, generator=generator, device=ct.device, dtype=ct.dtype)
        return torch.stack([(ct + spread * noise).clamp(0, 1), mask.clamp(0, 1)])


class TuberculosisModule(BaselineModule):
    """Trains a classifier of scans.

    Predictions are averaged over views of a scan. After training, on the scans set aside, a temperature is fitted to the
    probabilities (Guo et al. 2017, arXiv:1706.04599), and the decision is tuned for kappa: the class with the highest
    probability times its frequency to the power of ``-tau`` wins (logit adjustment, Menon et al. 2021, arXiv:2007.07314). One
    number is all that some hundred scans can tell.

    Args:
        config: The run's configuration.
        data: The data module.
    """

    class_dependent = ("head.", "rule_")

    def __init__(self, config: Config, data: TuberculosisData) -> None:
        assert isinstance(config.data, DataConfig)
        assert isinstance(config.model, ModelConfig)
        self.settings = config.model
        super().__init__(config, build_network(config.model, config.data.grid, len(data.classes), config.experiment))
        self.augmentation = Augmentation(config.data)
        self.labels = np.array(sorted(data.classes), np.int64)
        self.reset_validation()

    @property
    def classifier(self) -> Classifier:
        """The network in use."""
        return cast("Classifier", self.active)

    def inputs(self, batch: Batch) -> Tensor:
        """Return the batch's volumes ``(B, 2, D, H, W)`` in [-1, 1], augmented by their seeds where they have some."""
        volumes = batch["volumes"].float() / 255
        seeds = [seed for seed in batch["seeds"] if seed is not None]
        if seeds:
            volumes = torch.stack([self.augmentation(volume, seed) for volume, seed in zip(volumes, seeds, strict=True)])
        return volumes * 2 - 1

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy, of pairs of scans that are mixed."""
        volumes = self.inputs(batch)
        targets = F.one_hot(batch["labels"], len(self.labels)).float()
        if self.settings.mixup:
            share = float(torch.distributions.Beta(self.settings.mixup, self.settings.mixup).sample())
            partners = torch.randperm(len(volumes)).to(volumes.device)
            volumes = share * volumes + (1 - share) * volumes[partners]
            targets = share * targets + (1 - share) * targets[partners]
        return {"class": F.cross_entropy(self(volumes), targets, label_smoothing=self.settings.label_smoothing)}

    # ---- predictions

    def decode(self, batch: Batch) -> list[Prediction]:
        """Return the prediction of each scan; one that couldn't be read gets what is most frequent in training."""
        return self._predict(batch, explain=False)

    @override
    def predict_step(self, batch: Any, batch_idx: int) -> list[Prediction]:
        """Return the predictions of a batch, with their evidence."""
        return self._predict(batch, explain=True)

    def _predict(self, batch: Batch, *, explain: bool) -> list[Prediction]:
        features, logits = self._see(batch)
        network = self.classifier
        probabilities = (logits / network.rule_temperature).softmax(1)
        prior = network.rule_prior.expand_as(probabilities)
        usable = batch["usable"][:, None]
        probabilities = torch.where(usable, probabilities, prior)
        votes = torch.where(usable, probabilities * network.rule_weights, prior)
        votes = votes / votes.sum(1, keepdim=True)
        evidence = self.evidence(features, votes.argmax(1)).cpu().numpy() if explain else [None] * len(votes)
        rows = zip(
            *(batch["ids"], probabilities.double().cpu().numpy(), votes.double().cpu().numpy(), evidence),
            batch["usable"].tolist(),
            strict=True,
        )
        return [
            Prediction(name, int(self.labels[vote.argmax()]), probability, vote, seen if is_usable else None)
            for name, probability, vote, seen, is_usable in rows
        ]

    def _see(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the features of scans, and their logits ``(B, classes) float32`` averaged over the views."""
        volumes, network = self.inputs(batch), self.classifier
        features = network.features(volumes)
        logits = [network.classify(features).float()]
        if self.settings.views == 2:
            logits.append(network(volumes.flip(-1)).float())
        return features, torch.stack(logits).mean(0)

    def evidence(self, features: Tensor, classes: Tensor) -> Tensor:
        """Return where in the volume a class is seen, ``(B, d, h, w) float32``, the most evident place 1, nothing 0.

        Grad-CAM on the last map of features: what raises the class's logit.

        Args:
            features: ``(B, F, d, h, w)`` of the network in use.
            classes: ``(B,)`` class indices.
        """
        return grad_cam(features, lambda each: self.classifier.classify(each).float().gather(1, classes.clone()[:, None]))

    # ---- validation and decision rule

    def reset_validation(self) -> None:
        """Forget all counts."""
        self.counts = np.zeros((len(self.labels), len(self.labels)))

    def update_validation(self, batch: Batch, predictions: Sequence[Prediction]) -> None:
        """Count which class was taken for which."""
        predicted = np.searchsorted(self.labels, [prediction.label for prediction in predictions])
        self.counts += confusion_matrices(batch["labels"].cpu().numpy(), predicted, len(self.labels))[0]

    def compute_validation(self) -> dict[str, float]:
        """Return ``kappa`` on the scans set aside, without decision rule; 0 where it is undefined."""
        counts = self.sum_over_processes(torch.from_numpy(self.counts)).cpu().numpy()
        kappa = float(cohen_kappa(counts[None])[0])
        return {"kappa": kappa if math.isfinite(kappa) else 0.0}

    def calibrate(self, data: BaselineDataModule) -> None:
        """Fit temperature and decision rule on the training scans set aside, and count how frequent each class is."""
        assert isinstance(data, TuberculosisData)
        batches = [self.to_device(batch) for batch in data.loader(data.val_dataset())]
        logits = torch.cat([self._see(batch)[1] for batch in batches]).double().cpu().numpy()
        labels = torch.cat([batch["labels"] for batch in batches]).cpu().numpy()
        trained = [sample.truth.label for sample in data.split("train").samples if sample.truth]
        frequency = np.bincount(np.searchsorted(self.labels, trained), minlength=len(self.labels)) / len(trained)
        temperature = fit_temperature(logits, labels)
        tau = fit_exponent(softmax(logits / temperature), labels, frequency)
        network = self.classifier
        network.rule_temperature.fill_(temperature)
        network.rule_prior.copy_(torch.from_numpy(frequency))
        network.rule_weights.copy_(torch.from_numpy(class_weights(frequency, tau)))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities ``(N, C)`` of logits ``(N, C)``."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return what logits ``(N, C)`` are to be divided by so that class indices ``(N,)`` are likeliest, from 0.5 to 4."""

    def surprise(temperature: float) -> float:
        likelihood = softmax(logits / temperature)[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(likelihood, 1e-12)).mean())

    return float(min(TEMPERATURES, key=surprise))


def class_weights(frequency: NDArray[np.float64], tau: float) -> NDArray[np.float64]:
    """Return the weights ``(C,)`` of classes by their frequency ``(C,)``; a class that never occurred counts as the rarest.

    >>> class_weights(np.array([0.5, 0.25, 0.25]), 1.0).tolist()
    [2.0, 4.0, 4.0]
    """
    rarest = frequency[frequency > 0].min()
    return np.asarray(np.maximum(frequency, rarest) ** -tau)


def fit_exponent(probabilities: NDArray[np.float64], labels: NDArray[np.int64], frequency: NDArray[np.float64]) -> float:
    """Return the tau nearest to 0 whose kappa is not worse than the best tau's by more than a standard error.

    Both are taken over resamples of the scans, the standard error that of the difference between the two: a few scans can't ask
    for much (the one-standard-error rule of Breiman et al., Classification and regression trees, 1984).

    Args:
        probabilities: ``(N, C)``.
        labels: ``(N,)`` class indices.
        frequency: ``(C,)``, share of each class in training.
    """
    count, classes = probabilities.shape
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)

    def agreements(tau: float) -> NDArray[np.float64]:
        predicted = (probabilities * class_weights(frequency, tau)).argmax(1)
        return np.nan_to_num(cohen_kappa(confusion_matrices(labels, predicted, classes, weights)))

    kappas = {tau: agreements(tau) for tau in sorted(EXPONENTS.tolist(), key=abs)}
    best = max(kappas.values(), key=lambda each: round(float(each.mean()), 9))
    return next(tau for tau, each in kappas.items() if (best - each).mean() <= (best - each).std())
