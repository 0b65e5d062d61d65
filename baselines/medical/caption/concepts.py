"""Concept detection: a multi-label classifier, the concepts of the nearest training images, and their mixture.

The classifier gives each concept a probability; retrieval gives it the share of the nearest training images that have it, by
the cosine of the classifier's features (a single neighbour on DenseNet features scored 0.469 in 2021, spec page caption.md 4).
What is predicted are the concepts whose mixed score reaches a threshold. Neighbours, mixture and thresholds are tuned after
training, for the F1 of images that the campaign ranks by, on training images that the classifier has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from baselines.core.config import Config
from baselines.medical.caption.data import Batch, CaptionData
from baselines.medical.caption.records import Prediction, concept_code, concept_number
from baselines.medical.caption.task import ModelConfig
from baselines.medical.images import normalised
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule
from baselines.training.weights import timm_backbone

Scores = NDArray[np.float32]  # (N, K) in [0, 1]: of each concept in each image
Labels = NDArray[np.bool_]  # (N, K): whether the image has the concept

THRESHOLDS = np.arange(0.02, 0.99, 0.02, dtype=np.float32)
NEIGHBOURS = (1, 2, 3, 5, 8, 12, 20, 32, 50)  # numbers of neighbours that are tried
MIXTURES = np.arange(0, 1.01, 0.1)  # shares of the classifier that are tried
OFTEN_ENOUGH = 5  # tuning images with a concept, to give it a threshold of its own


class ConceptNetwork(nn.Module):
    """A backbone, the classifier on its features, and what is tuned: an index of training images and a rule.

    Args:
        backbone: Returns the features ``(B, D)`` of images; has ``num_features``.
        concepts: Number of concepts K.
        dropout: Dropout before the classifier.
    """

    index_features: Tensor  # (N, D) float32 of length 1: the training images
    index_labels: Tensor  # (N, K) uint8
    rule_share: Tensor  # of the classifier in the mixture; the rest is retrieval's
    rule_neighbours: Tensor
    rule_thresholds: Tensor  # (K,)
    rule_at_least: Tensor  # 1 where an image gets its best concept if none reaches its threshold, else 0

    def __init__(self, backbone: nn.Module, concepts: int, dropout: float) -> None:
        super().__init__()
        width = int(cast("Any", backbone).num_features)
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, concepts)
        self.register_buffer("index_features", torch.zeros(0, width))
        self.register_buffer("index_labels", torch.zeros(0, concepts, dtype=torch.uint8))
        self.register_buffer("rule_share", torch.tensor(1.0))
        self.register_buffer("rule_neighbours", torch.tensor(1))
        self.register_buffer("rule_thresholds", torch.full((concepts,), 0.5))
        self.register_buffer("rule_at_least", torch.tensor(0))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features ``(B, D)`` and the logits ``(B, K)`` of images ``(B, 3, H, W)``."""
        features = self.backbone(images)
        return features, self.classifier(self.dropout(features))

    def score(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the mixed score ``(B, K)`` of each concept, in [0, 1]."""
        scores = logits.float().sigmoid()
        if not len(self.index_features):  # nothing is tuned before training ends
            return scores
        found = nearest(features, self.index_features, int(self.rule_neighbours))
        return self.rule_share * scores + (1 - self.rule_share) * vote(found, self.index_labels)


def nearest(features: Tensor, index: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the cosines and the rows in ``index`` of the nearest ``count``, both ``(B, count)``, the nearest first.

    Args:
        features: ``(B, D)``.
        index: ``(N, D)``, of length 1.
        count: How many; fewer if the index has fewer.
    """
    with torch.autocast(features.device.type, enabled=False):  # bfloat16 has three digits: neighbours would tie
        similarity = F.normalize(features.float(), dim=1) @ index.T
        cosines, rows = similarity.topk(min(count, len(index)), dim=1)
    return cosines, rows


def vote(found: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
    """Return the share of the neighbours that have each concept, weighted by cosine, ``(B, K)`` in [0, 1].

    >>> vote((torch.tensor([[0.9, 0.3]]), torch.tensor([[1, 0]])), torch.tensor([[1, 0], [1, 1]]))
    tensor([[1.0000, 0.7500]])
    """
    cosines, rows = found
    weights = cosines.clamp(min=1e-6)
    weights = weights / weights.sum(1, keepdim=True)
    votes = torch.zeros(len(rows), labels.shape[1], device=labels.device)
    for place in range(rows.shape[1]):  # one after the other: all at once would take B x n x K
        votes += weights[:, place, None] * labels[rows[:, place]]
    return votes


def multilabel_loss(logits: Tensor, labels: Tensor, model: ModelConfig) -> Tensor:
    """Return the loss of a batch, summed over concepts and averaged over images.

    The asymmetric loss is that of Ridnik and others (2021, arXiv:2009.14119): ``(1 - p)^g+ log p`` of a present concept, and
    ``q^g- log(1 - q)`` of an absent one, where ``q = max(p - margin, 0)``. With equal exponents and without margin it is the
    focal loss of Lin and others (2017, arXiv:1708.02002), and with exponents of 0 binary cross-entropy.

    Args:
        logits: ``(B, K)``.
        labels: ``(B, K)`` of 0 and 1.
        model: Says which loss, and its exponents and margin.
    """
    if model.loss == "bce":
        return F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="sum") / len(labels)
    focal = model.loss == "focal"
    positive, margin = (model.focus_negative, 0.0) if focal else (model.focus_positive, model.margin)
    probability = logits.float().sigmoid()
    shifted = (probability - margin).clamp(min=0)
    present = (1 - probability) ** positive * F.logsigmoid(logits.float())
    # Without margin by the logits: the logarithm of 1 - p is inaccurate where p is near 1.
    absent_log = torch.log1p(-shifted) if margin else F.logsigmoid(-logits.float())
    absent = shifted**model.focus_negative * absent_log
    return -(labels * present + (1 - labels) * absent).sum() / len(labels)


# ------------------------------------------------------------------------------------------------------------------ rule


@dataclass(frozen=True, slots=True)
class Rule:
    """How scores become concepts, and how well it does on the tuning images.

    Attributes:
        share: The classifier's share in the mixture.
        neighbours: Number of neighbours.
        threshold: Least score of a concept that is predicted.
        at_least: Whether an image gets its best concept where none reaches the threshold.
        f1: Mean F1 over the tuning images.
    """

    share: float
    neighbours: int
    threshold: float
    at_least: bool
    f1: float


def example_f1(predicted: Labels, truth: Labels) -> float:
    """Return the mean over images of the F1 between predicted and true concepts; images without a true one don't count.

    >>> example_f1(np.array([[True, True, False]]), np.array([[True, False, False]]))
    0.6666666666666666
    """
    counted = truth.any(axis=1)
    hits = (predicted & truth).sum(axis=1)[counted]
    return float((2 * hits / (predicted.sum(axis=1) + truth.sum(axis=1))[counted]).mean()) if counted.any() else 0.0


def choose(scores: Scores, thresholds: NDArray[np.float32] | float, *, at_least: bool) -> Labels:
    """Return which concepts reach their threshold; with ``at_least``, the best one of an image where none does, too."""
    chosen = scores >= thresholds
    if at_least and scores.shape[1]:
        empty = ~chosen.any(axis=1)
        chosen[empty, scores[empty].argmax(axis=1)] = True
    return chosen


def tune_threshold(scores: Scores, truth: Labels) -> tuple[float, bool, float]:
    """Return the threshold, whether to predict at least one concept, and the F1 that is best with them."""
    tried = [
        (example_f1(choose(scores, float(threshold), at_least=at_least), truth), at_least, float(threshold))
        for threshold in THRESHOLDS
        for at_least in (False, True)
    ]
    f1, at_least, threshold = max(tried)
    return threshold, at_least, f1


def tune_rule(classified: Scores, voted: dict[int, Scores], truth: Labels, predict_by: str) -> Rule:
    """Return the best rule for some images.

    Args:
        classified: The classifier's probabilities.
        voted: The shares of neighbours with each concept, by the number of neighbours.
        truth: What is true.
        predict_by: ``classifier``, ``nearest`` or ``both``, as the configuration has it.
    """
    mixtures = {"classifier": [1.0], "nearest": [0.0]}.get(predict_by, MIXTURES.tolist())
    best = Rule(mixtures[0], 1, 0.5, at_least=False, f1=-1.0)
    for neighbours, votes in voted.items():
        for share in mixtures:
            threshold, at_least, f1 = tune_threshold((share * classified + (1 - share) * votes).astype(np.float32), truth)
            if f1 > best.f1:
                best = Rule(share, neighbours, threshold, at_least, f1)
        if mixtures == [1.0]:  # the neighbours play no part
            break
    return best


def tune_per_label(scores: Scores, truth: Labels, threshold: float, *, at_least: bool) -> NDArray[np.float32]:
    """Return a threshold for each concept, ``(K,)``: the global one, moved where that raises the F1 of the images.

    One concept after the other, the frequent ones first, is given the threshold that is best while the others stay. Rare ones
    keep the global threshold: a few images say nothing about them.
    """
    thresholds = np.full(scores.shape[1], threshold, np.float32)
    counts = truth.sum(axis=0)
    best = example_f1(choose(scores, thresholds, at_least=at_least), truth)
    for label in np.argsort(-counts, kind="stable")[: int((counts >= OFTEN_ENOUGH).sum())]:
        for candidate in THRESHOLDS:
            trial = thresholds.copy()
            trial[label] = candidate
            f1 = example_f1(choose(scores, trial, at_least=at_least), truth)
            if f1 > best:
                best, thresholds = f1, trial
    return thresholds


# ---------------------------------------------------------------------------------------------------------------- module


class ConceptModule(BaselineModule):
    """Trains the classifier; afterwards builds the index and tunes the rule.

    Args:
        config: The run's configuration.
        data: The data module, for the concepts.
    """

    class_dependent = ("classifier.",)
    fitted = ("index_", "rule_")

    def __init__(self, config: Config, data: CaptionData) -> None:
        assert isinstance(config.model, ModelConfig)
        model = config.model
        backbone = timm_backbone(model.backbone, model.weights, config.experiment, num_classes=0)
        network = ConceptNetwork(backbone, len(data.columns), model.dropout)
        if not data.predicts_only:
            network.classifier.bias.data.copy_(prior(data))
        super().__init__(config, network)
        self.options = model
        self.codes = [concept_code(number) for number in data.columns]
        self._scores = torch.zeros(0, len(self.codes))  # of the latest batch that was decoded
        self._sums = torch.zeros(len(THRESHOLDS) + 1, dtype=torch.float64)  # of F1 at each threshold, and of images

    @property
    def concepts(self) -> ConceptNetwork:
        """The network in use."""
        return cast("ConceptNetwork", self.active)

    @override
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the configuration."""
        _, logits = self(normalised(batch["images"]))
        return {self.options.loss: multilabel_loss(logits, batch["labels"], self.options)}

    @override
    def decode(self, batch: Batch) -> list[Prediction]:
        """Return the concepts of each image in falling score."""
        self._scores = self.concepts.score(*self(normalised(batch["images"])))
        scores = self._scores.cpu().numpy()
        thresholds = self.concepts.rule_thresholds.cpu().numpy()
        chosen = choose(scores, thresholds, at_least=bool(self.concepts.rule_at_least))
        order = np.argsort(-scores, axis=1, kind="stable")
        return [
            Prediction(name, concepts=tuple(self.codes[column] for column in ranked if kept[column]))
            for name, ranked, kept in zip(batch["ids"], order.tolist(), chosen, strict=True)
        ]

    @override
    def reset_validation(self) -> None:
        """Forget all sums."""
        self._sums.zero_()

    @override
    def update_validation(self, batch: Batch, predictions: Sequence[Any]) -> None:
        """Add up a batch's F1 at each threshold."""
        truth = batch["labels"].to(self._scores.device) > 0
        counted = truth.any(1)
        scores, truth = self._scores[counted], truth[counted]
        for place, threshold in enumerate(THRESHOLDS.tolist()):
            predicted = scores >= threshold
            f1 = 2 * (predicted & truth).sum(1) / (predicted.sum(1) + truth.sum(1))
            self._sums[place] += float(f1.double().sum())
        self._sums[-1] += len(truth)

    @override
    def compute_validation(self) -> dict[str, float]:
        """Return the F1 of the classifier at the threshold that is best on the validation images."""
        sums = self.sum_over_processes(self._sums).cpu()
        return {"f1": float(sums[:-1].max() / sums[-1].clamp(min=1))}

    @override
    def calibrate(self, data: BaselineDataModule) -> None:
        """Tune the rule on the training images set aside, and index all training images."""
        assert isinstance(data, CaptionData)
        features, scores, labels, names = self._all_training_images(data)
        aside = data.set_aside()
        is_aside = torch.tensor([name in aside for name in names], device=features.device)
        truth: Labels = labels[is_aside].bool().cpu().numpy()
        counts = sorted({count for count in NEIGHBOURS if count < self.options.neighbours} | {self.options.neighbours})
        cosines, rows = nearest(features[is_aside], features[~is_aside], counts[-1])
        voted = {count: vote((cosines[:, :count], rows[:, :count]), labels[~is_aside]).cpu().numpy() for count in counts}
        classified: Scores = scores[is_aside].cpu().numpy()
        rule = tune_rule(classified, voted, truth, self.options.predict_by)
        self._adopt(rule, classified, voted[rule.neighbours], truth)
        network = cast("ConceptNetwork", self.network)
        network.index_features, network.index_labels = features, labels.to(torch.uint8)
        if rule.share == 1:  # nothing is looked up
            network.index_features, network.index_labels = features[:0], network.index_labels[:0]
        what = f"tuned on {len(truth)} training images set aside: F1 {rule.f1:.3f} with a threshold of {rule.threshold:.2f}, "
        what += f"{rule.share:.0%} classifier, {rule.neighbours} neighbours, at least one concept: {rule.at_least}"
        Console(stderr=True, soft_wrap=True).print(what, markup=False, highlight=False)

    def _all_training_images(self, data: CaptionData) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        """Return the features of length 1, the classifier's scores, the labels and the ids of all training images."""
        features, scores, labels = [], [], []
        names: list[str] = []
        for batch in map(self.to_device, data.loader(data.predict_dataset("train"))):
            found, logits = self(normalised(batch["images"]))
            features.append(F.normalize(found.float(), dim=1))
            scores.append(logits.float().sigmoid())
            labels.append(batch["labels"])
            names += batch["ids"]
        return torch.cat(features), torch.cat(scores), torch.cat(labels), names

    def _adopt(self, rule: Rule, classified: Scores, votes: Scores, truth: Labels) -> None:
        """Keep a rule in the network's buffers."""
        network = cast("ConceptNetwork", self.network)
        thresholds = np.full(len(self.codes), rule.threshold, np.float32)
        if self.options.thresholds == "per_label":
            mixed = (rule.share * classified + (1 - rule.share) * votes).astype(np.float32)
            thresholds = tune_per_label(mixed, truth, rule.threshold, at_least=rule.at_least)
        network.rule_share.fill_(rule.share)
        network.rule_neighbours.fill_(rule.neighbours)
        network.rule_thresholds.copy_(torch.from_numpy(thresholds))
        network.rule_at_least.fill_(int(rule.at_least))


def prior(data: CaptionData) -> Tensor:
    """Return the log-odds ``(K,)`` of each concept in the training images: where the classifier starts from."""
    counts = np.zeros(len(data.columns))
    truths = data.truths("train")
    for truth in truths:
        counts[[data.columns[number] for number in map(concept_number, truth.concepts)]] += 1
    share = np.clip(counts / max(1, len(truths)), 1e-4, 1 - 1e-4)
    return torch.from_numpy(np.log(share / (1 - share))).float()
