"""The detectors by name, and the module that trains either of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from timm.models import is_model_in_modules
from torch import Tensor, nn

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.core.metrics.detection import match_boxes
from baselines.drawnui.center import CenterDetector
from baselines.drawnui.data import Batch, DrawnuiData
from baselines.drawnui.records import Prediction
from baselines.drawnui.task import DataConfig, ModelConfig
from baselines.drawnui.two_stage import TwoStageDetector
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule
from baselines.training.streaming import HistogramAveragePrecision
from baselines.training.weights import PRETRAINED, timm_backbone

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build_module(config: Config, data: BaselineDataModule) -> DetectorModule:
    """Return the module that trains the detector of the configuration on the classes of the data."""
    assert isinstance(data, DrawnuiData)
    return DetectorModule(config, data)


def pretrained_weights(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    assert isinstance(config.model, ModelConfig)
    return [f"timm/{config.model.backbone}"]


def build_network(data: DataConfig, model: ModelConfig, classes: int, experiment: str = "EXPERIMENT") -> nn.Module:
    """Return the detector of the configuration.

    Raises:
        InvalidInput: If the weights can't be had, or the backbone doesn't exist or offers other strides.
    """
    own = {"channels": model.widths, "stem_width": model.stem_width}
    own = {key: value for key, value in own.items() if value is not None}
    if own:
        _check_fits(model)
    channels = 1 if data.input == "ink" else 3
    backbone = timm_backbone(model.backbone, model.weights, experiment, in_chans=channels, features_only=True, **own)
    limits: dict[str, Any] = {"limit": model.max_detections, "iou": model.nms_iou, "floor": model.min_score}
    try:
        if model.name == "two_stage":
            return TwoStageDetector(backbone, classes, model.channels, anchor_sizes=model.anchor_sizes, **limits)
        return CenterDetector(backbone, classes, model.channels, tower=model.tower, **limits)
    except ValueError as error:
        hint = "choose a backbone such as resnet50"
        raise invalid("CONFIG-VALUE", f"model.backbone doesn't fit: {error}", value=model.backbone, hint=hint) from error


def _check_fits(model: ModelConfig) -> None:
    """Refuse widths of one's own where they can't be had, or would throw away published weights."""
    if not is_model_in_modules(model.backbone, ["resnet"]) or model.weights == PRETRAINED:
        message = "model.widths and model.stem_width fit a ResNet without published weights alone"
        value = f"model.weights={model.weights}, model.backbone={model.backbone}"
        hint = "leave these keys out, or set model.weights=null and a ResNet, such as resnet18, as model.backbone"
        raise invalid("CONFIG-VALUE", message, value=value, hint=hint)


class DetectorModule(BaselineModule):
    """Trains a detector; validates with an average precision that needs bounded memory.

    Args:
        config: The run's configuration.
        data: The data module, for the classes.
    """

    # The parameters whose shape depends on the classes.
    class_dependent = ("peaks.", "extents.", "detector.roi_heads.box_predictor.")

    def __init__(self, config: Config, data: DrawnuiData) -> None:
        assert isinstance(config.data, DataConfig)
        assert isinstance(config.model, ModelConfig)
        super().__init__(config, build_network(config.data, config.model, len(data.classes), config.experiment))
        self.rgb = config.data.input == "rgb"
        self.campaign_ids = np.array(sorted(data.classes), np.int64)
        self.counts = HistogramAveragePrecision(len(data.classes))

    def images(self, batch: Batch) -> Tensor:
        """Return the batch's images as the network wants them, ``(B, C, H, W) float32``: ink in [0, 1], or normalised RGB."""
        images = batch["images"].float() / 255
        if self.rgb:
            mean, std = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
            images = (images - mean) / std
        return images

    @property
    def detector(self) -> CenterDetector | TwoStageDetector:
        """The detector in use."""
        return cast("CenterDetector | TwoStageDetector", self.active)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the parts of the detector's loss."""
        return self.detector.losses(self.images(batch), batch["boxes"], batch["labels"])

    def decode(self, batch: Batch) -> list[Prediction]:
        """Return the detections of each page, in pixels of its image file and clipped to it."""
        predictions = []
        found = self.detector.detect(self.images(batch))
        for name, scale, (width, height), (boxes, labels, scores) in zip(
            batch["ids"], batch["scales"], batch["sizes"], found, strict=True
        ):
            pixels = (boxes.double().cpu().numpy() / (scale * 2)).clip(0, [width, height, width, height])
            solid = (pixels[:, 2] > pixels[:, 0]) & (pixels[:, 3] > pixels[:, 1])
            campaign = self.campaign_ids[labels.cpu().numpy()]
            predictions.append(Prediction(name, pixels[solid], campaign[solid], scores.double().cpu().numpy()[solid]))
        return predictions

    def reset_validation(self) -> None:
        """Forget all counts."""
        self.counts.reset()

    def update_validation(self, batch: Batch, predictions: Sequence[Prediction]) -> None:
        """Match a batch's detections with its truth and count the hits and misses."""
        for boxes, labels, scale, prediction in zip(batch["boxes"], batch["labels"], batch["scales"], predictions, strict=True):
            truth = boxes.double().cpu().numpy() / (scale * 2)
            found = np.searchsorted(self.campaign_ids, prediction.labels)
            self.counts.update(match_boxes(truth, labels.cpu().numpy(), prediction.boxes, found, prediction.scores))

    def compute_validation(self) -> dict[str, float]:
        """Return ``map50``, an approximation of the official one to the width of a score bin."""
        return {"map50": self.counts.compute(self.sum_over_processes)}
