"""The module that trains the fusion network to choose among the training answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.core.metrics.answers import matches
from baselines.medical.evidence import grad_cam
from baselines.medical.images import normalised
from baselines.medical.vqa.data import Batch, VqaData
from baselines.medical.vqa.fusion import FusionNetwork
from baselines.medical.vqa.questions import FORMS, MODALITIES, form_table, kind_of, modality_table
from baselines.medical.vqa.records import Prediction
from baselines.medical.vqa.task import DataConfig, ModelConfig
from baselines.medical.vqa.text import TextEncoder, described_encoder, pretrained_encoder, small_encoder
from baselines.training.module import BaselineModule
from baselines.training.weights import PRETRAINED, timm_backbone

IMPOSSIBLE = -1e4  # score of an answer that doesn't fit the question; finite, so that 0 times it is 0


def build_fusion(config: Config, data: VqaData, answers: int) -> FusionNetwork:
    """Return the network that fuses image and question.

    Where a trained model only predicts, the question encoder is a stand-in: that of the model comes with its weights.

    Args:
        config: The run's configuration.
        data: The data module, for the training questions.
        answers: Number of answers to classify; 0 makes no classifier.

    Raises:
        InvalidInput: If weights can't be had, or the configuration's numbers don't fit together.
    """
    model = config.model
    assert isinstance(model, ModelConfig)
    backbone = _image_encoder(config, model) if model.inputs != "question" else None
    try:
        return FusionNetwork(
            backbone,
            _question_encoder(config, model, data) if model.inputs != "image" else None,
            channels=0 if backbone is None else cast("Any", backbone).feature_info.channels()[-1],
            answers=answers,
            width=model.width,
            layers=model.layers,
            heads=model.heads,
            dropout=model.dropout,
        )
    except ValueError as error:
        raise invalid("CONFIG-VALUE", f"model.width and model.heads don't fit: {error}", value=model.width) from error


def _build_classifier(config: Config, data: VqaData) -> FusionNetwork:
    """Return the network that classifies over the answers of the data, with tables of what training has seen of them."""
    if not len(data.answers):
        hint = "an answer needs a letter or digit"
        raise invalid("DATA-EMPTY", "there is no answer to learn", file=config.data.root, hint=hint)
    network = build_fusion(config, data, len(data.answers))
    shape = (len(FORMS), len(MODALITIES), len(data.answers))
    # They are of the training data, which prediction hasn't: a file of weights brings them.
    network.register_buffer("answer_counts", torch.zeros(shape, dtype=torch.int64))
    network.register_buffer("form_fits", torch.ones(shape[0], shape[2], dtype=torch.bool))
    network.register_buffer("modality_fits", torch.ones(shape[1], shape[2], dtype=torch.bool))
    return network


def _image_encoder(config: Config, model: ModelConfig) -> nn.Module:
    data = config.data
    assert isinstance(data, DataConfig)
    options: dict[str, Any] = {"features_only": True, "out_indices": (-model.level,)}
    published = timm.get_pretrained_cfg(model.backbone)
    if published is not None and published.fixed_input_size:  # vision transformers have positions for one size
        options["img_size"] = data.image_side
    try:
        return timm_backbone(model.backbone, model.weights, config.experiment, **options)
    except (IndexError, AssertionError, AttributeError, RuntimeError) as error:
        hint = "choose model.level=1, or a backbone such as resnet50"
        message = f"{model.backbone} can't be had as features"
        raise invalid("CONFIG-VALUE", message, value=f"model.level={model.level}: {error}", hint=hint) from error


def _question_encoder(config: Config, model: ModelConfig, data: VqaData) -> TextEncoder:
    if model.question_encoder is not None and not data.predicts_only:
        may_download = model.weights == PRETRAINED
        return pretrained_encoder(model.question_encoder, may_download=may_download, experiment=config.experiment)
    questions = [] if data.predicts_only else [truth.question for truth in data.train_truths()]
    return small_encoder(questions, model.width, model.question_layers, model.heads, model.dropout)


class VqaModule(BaselineModule):
    """What the modules that answer have in common: accuracy as the validation metric, and a question encoder from a file.

    A subclass sets :attr:`prefix`, and gives the network that fuses image and question as :attr:`fusion`.

    Args:
        config: The run's configuration.
        network: The network.

    Attributes:
        prefix: What the names of the fusion's weights begin with.
    """

    prefix = ""

    def __init__(self, config: Config, network: nn.Module) -> None:
        super().__init__(config, network)
        assert isinstance(config.model, ModelConfig)
        self.model = config.model
        self._sums = torch.zeros(2, dtype=torch.float64)  # right answers, answers

    def fusion_of(self, network: nn.Module) -> FusionNetwork:
        """Return the part of a network that fuses image and question."""
        raise NotImplementedError

    @override
    def fit_shapes(self, weights: Mapping[str, Tensor]) -> None:
        """Build the question encoder that a file describes, where it isn't the own one."""
        fusion, start = self.fusion_of(self.network), f"{self.prefix}text."
        if fusion.text is None:
            return
        described = {name.removeprefix(start): tensor for name, tensor in weights.items() if name.startswith(start)}
        own = {name: fusion.text.get_buffer(name).cpu() for name in ("architecture", "tokenizer_json")}
        if not all(name in described and tensor.equal(described[name]) for name, tensor in own.items()):
            fusion.attach(described_encoder(described, Path("model.safetensors")))

    @override
    def reset_validation(self) -> None:
        """Forget all counts."""
        self._sums.zero_()

    @override
    def update_validation(self, batch: Batch, predictions: Sequence[Prediction]) -> None:
        """Count a batch's right answers."""
        right = sum(matches(found.texts[0], texts) for found, texts in zip(predictions, batch["texts"], strict=True))
        self._sums += torch.tensor([right, len(predictions)], dtype=torch.float64)

    @override
    def compute_validation(self) -> dict[str, float]:
        """Return ``accuracy`` as the scorer computes it."""
        right, count = self.sum_over_processes(self._sums).tolist()
        return {"accuracy": right / count if count else 0.0}


class AnsweringModule(VqaModule):
    """Trains the fusion network to choose among the training answers.

    Answers that don't have the form that the question wants (yes or no, or anything else) are never chosen. Where the best
    answer is doubtful, and the question names a modality, the first of the best answers is taken that was seen with it, as the
    team that won 2021 did (spec page vqa.md 7). Neither looks at the question where the network doesn't.

    Args:
        config: The run's configuration.
        data: The data module, for the answers and the training questions.

    Raises:
        InvalidInput: If the network can't be had.
    """

    # What depends on the answers, and on the words of the training questions.
    class_dependent = ("head.", "answer_counts", "form_fits", "modality_fits", "text.")

    def __init__(self, config: Config, data: VqaData) -> None:
        super().__init__(config, _build_classifier(config, data))
        self.answers = data.answers
        self._truths = () if data.predicts_only else tuple(data.train_truths())
        self._describe()

    @property
    def fusion(self) -> FusionNetwork:
        """The network in use."""
        return self.fusion_of(self.active)

    @override
    def fusion_of(self, network: nn.Module) -> FusionNetwork:
        """Return the network itself."""
        return cast("FusionNetwork", network)

    @override
    def setup(self, stage: str) -> None:
        """Count the training answers again: the weights that a training starts from may have brought other counts."""
        if stage == "fit":
            self._describe()

    def _describe(self) -> None:
        """Write into the network what training has seen of the answers; without a question nothing tells which of them fit."""
        if self._truths:
            counts = self.answers.count(self._truths)
            tables = {"answer_counts": counts, "form_fits": form_table(counts), "modality_fits": modality_table(counts)}
            for name, table in tables.items():
                if name == "answer_counts" or self.model.inputs != "image":
                    self.network.get_buffer(name).copy_(torch.from_numpy(table))

    # ---- training

    @override
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy with the mixed and smoothed answers."""
        fits = self._fitting(batch["questions"])
        targets = self._targets(batch["texts"])
        smoothing = self.model.label_smoothing
        targets = (1 - smoothing) * targets + smoothing * fits / fits.sum(1, keepdim=True)
        images, targets = self._mixed(normalised(batch["images"]), targets, batch["questions"])
        scores = self(images, batch["questions"]).float()
        if self.model.balance:
            scores = scores + self.model.balance * self._log_frequencies()
        likelihoods = scores.masked_fill(~fits, IMPOSSIBLE).log_softmax(1)
        return {"answer": -(targets * likelihoods).sum(1).mean()}

    def _targets(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """Return ``(B, answers)``, the share of each answer in the references of each image."""
        targets = np.zeros((len(texts), len(self.answers)), np.float32)
        for row, references in zip(targets, texts, strict=True):
            found = self.answers.indices_of(references)
            row[found] = 1 / max(1, len(found))
        return torch.from_numpy(targets).to(self.device)

    def _mixed(self, images: Tensor, targets: Tensor, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Mix images and their answers in pairs (Zhang and others 2018, arXiv:1710.09412).

        The question stays, so the partner's has to want the same form of answer, and the own image is the larger part.
        """
        if not self.model.mixup or self.model.inputs == "question":
            return images, targets
        partners = torch.arange(len(questions))
        forms = torch.tensor(self._kinds(questions)[0])
        for form in forms.unique():
            places = (forms == form).nonzero()[:, 0]
            partners[places] = places[torch.randperm(len(places))]
        share = torch.distributions.Beta(self.model.mixup, self.model.mixup).sample((len(questions),))
        share = torch.maximum(share, 1 - share).to(images.device)
        partners = partners.to(images.device)
        mixed = images.lerp(images[partners], (1 - share)[:, None, None, None])
        return mixed, targets.lerp(targets[partners], (1 - share)[:, None])

    def _log_frequencies(self) -> Tensor:
        """Return the logs of the answers' shares in training, to adjust logits (Menon and others 2021, arXiv:2007.07314)."""
        counts = self.fusion.get_buffer("answer_counts").sum((0, 1)).float()
        return (counts / counts.sum()).clamp_min(1e-9).log()

    # ---- prediction

    @override
    def decode(self, batch: Batch) -> list[Prediction]:
        """Return the answer to each question, as the training data write it."""
        return self._decode(batch)[0]

    def _decode(self, batch: Batch) -> tuple[list[Prediction], Tensor | None, Tensor]:
        """Return the predictions, with the features they come from and the indices of the answers ``(B,) int64``."""
        features = self.fusion.features(normalised(batch["images"]))
        chosen = self._choose(self.fusion.scores(features, batch["questions"]), batch["questions"])
        texts = [self.answers.answers[index] for index in chosen.tolist()]
        return [Prediction(name, (text,)) for name, text in zip(batch["ids"], texts, strict=True)], features, chosen

    def _choose(self, scores: Tensor, questions: Sequence[str]) -> Tensor:
        """Return the index of the answer to each question, ``(B,) int64``, for scores ``(B, answers)``."""
        likely = scores.float().masked_fill(~self._fitting(questions), IMPOSSIBLE).softmax(1)
        candidates = max(1, min(self.model.modality_candidates, len(self.answers)))
        probabilities, best = likely.topk(candidates, dim=1)
        modalities = torch.tensor(self._kinds(questions)[1], device=scores.device)
        # No answer that has no probability at all, such as one that doesn't fit the form.
        seen = self.fusion.get_buffer("modality_fits")[modalities].gather(1, best) & (probabilities > 0)
        first = seen.int().argmax(1)  # 0 if none was seen
        place = torch.where(probabilities[:, 0] <= self.model.modality_doubt, first, 0)
        return best.gather(1, place[:, None])[:, 0]

    def _fitting(self, questions: Sequence[str]) -> Tensor:
        """Return which answers have the form that each question wants, ``(B, answers) bool``."""
        forms = torch.tensor(self._kinds(questions)[0], device=self.device)
        return self.fusion.get_buffer("form_fits")[forms]

    def _kinds(self, questions: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the forms and the modalities of questions as indices; of all the same where the network sees no question."""
        if self.model.inputs == "image":
            return [0] * len(questions), [0] * len(questions)
        kinds = [kind_of(question) for question in questions]
        return [kind.form for kind in kinds], [kind.modality for kind in kinds]

    # ---- pictures

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> list[Prediction]:
        """Return the answers of a batch with the evidence for them."""
        predictions, features, chosen = self._decode(batch)
        if features is None:
            return predictions
        evidence = self.evidence(features, batch["questions"], chosen)
        return [replace(found, attention=grid[None]) for found, grid in zip(predictions, evidence, strict=True)]

    def evidence(self, features: Tensor, questions: Sequence[str], answers: Tensor) -> NDArray[np.float16]:
        """Return where in each image the evidence for an answer is, by Grad-CAM for its score.

        Args:
            features: Of the images, ``(B, C, h, w)``, by the network in use.
            questions: The question of each image.
            answers: ``(B,) int64``, the index of the answer to each.

        Returns:
            ``(B, h, w)`` in [0, 1].
        """
        seen = grad_cam(features, lambda each: self.fusion.scores(each, questions).gather(1, answers.clone()[:, None]))
        return seen.half().cpu().numpy()
