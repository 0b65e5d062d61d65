"""The segmentation model and the module that trains it: which substrate is where, and how far inside an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.coral import instances, windows
from baselines.coral.data import IGNORED, STRIDE, CoralData, TrainBatch, WholeBatch
from baselines.coral.records import Prediction, Truth
from baselines.coral.score import pair_ious
from baselines.coral.shapes import Shapes
from baselines.coral.task import MAX_DETECTIONS, SUBSTRATES, ModelConfig
from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.core.metrics.detection import match_shapes
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule
from baselines.training.streaming import HistogramAveragePrecision
from baselines.training.weights import PRETRAINED, load_backbone, network_errors_explained

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = len(SUBSTRATES) + 1  # the first is the background


def build_module(config: Config, data: BaselineDataModule) -> CoralModule:
    """Return the module that trains the model of the configuration."""
    assert isinstance(data, CoralData)
    return CoralModule(config)


def pretrained_weights(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    assert isinstance(config.model, ModelConfig)
    return [f"timm/{config.model.encoder}"]


class CoralNetwork(nn.Module):
    """An encoder and decoder whose last layer says the substrate and the depth of each pixel.

    Args:
        segmenter: A model of segmentation-models-pytorch with :data:`CLASSES` + 1 output channels.
    """

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images ``(B, 3, H, W)``, sides multiples of 32, to logits ``(B, 14, H, W)`` and depth logits ``(B, H, W)``."""
        maps = self.segmenter(images).float()
        return maps[:, :CLASSES], maps[:, CLASSES]


def build_network(model: ModelConfig, experiment: str = "EXPERIMENT") -> CoralNetwork:
    """Return the network of the configuration.

    Raises:
        InvalidInput: If the weights can't be had, or the encoder doesn't exist or doesn't fit the architecture.
    """
    if not timm.is_model(model.encoder):
        near = timm.list_models(f"*{model.encoder.partition('.')[0]}*")[:5]
        hint = f"similar ones: {', '.join(near)}" if near else ""
        raise invalid("MODEL-NAME", "timm has no such model", value=model.encoder, hint=hint)
    published_config = timm.models.get_pretrained_cfg(model.encoder)
    if published_config and published_config.fixed_input_size:
        hint = "tiles have another one: choose a convolutional encoder, or a transformer such as pvt_v2_b2"
        raise invalid("CONFIG-VALUE", "the encoder takes pictures of one size only", value=model.encoder, hint=hint)
    published = "imagenet" if model.weights == PRETRAINED else None
    with network_errors_explained(f"timm/{model.encoder}", experiment):
        try:
            segmenter = smp.create_model(
                model.name,
                encoder_name=f"tu-{model.encoder}",
                encoder_weights=published,
                in_channels=3,
                classes=CLASSES + 1,
                **_decoder_options(model),
            )
        except (ValueError, KeyError, TypeError, AssertionError, IndexError) as error:
            hint = "choose another architecture or encoder, such as model.name=unet with model.encoder=resnet50"
            value = f"model.name={model.name}, model.encoder={model.encoder}"
            raise invalid("CONFIG-VALUE", f"they don't fit together: {error}", value=value, hint=hint) from error
    if model.weights not in (None, PRETRAINED):
        load_backbone(segmenter.encoder.model, Path(model.weights))
    return CoralNetwork(segmenter)


def _decoder_options(model: ModelConfig) -> dict[str, Any]:
    """Return what the architectures call the width of their decoder; 256 gives each one's own default."""
    width = model.decoder
    if model.name in ("unet", "unetplusplus"):
        # Fewer than 16 in the last layers can't hold what tells 13 substrates apart.
        return {"decoder_channels": [max(16, width >> step) for step in range(5)]}
    if model.name == "fpn":
        return {"decoder_pyramid_channels": width, "decoder_segmentation_channels": -(-width // 64) * 32}  # norms of 32 groups
    if model.name == "segformer":
        return {"decoder_segmentation_channels": width}
    return {"decoder_channels": width}


class CoralModule(BaselineModule):
    """Trains the segmentation model; validates with an average precision that needs bounded memory.

    The loss is the sum of three parts, over the pixels that the annotators looked at: cross-entropy, a mean over all of them;
    Dice, which weighs substrates alike however few pixels they have; and the binary cross-entropy of the depth per pixel
    of an object, since the valleys between neighbours are a small part of an image.

    Args:
        config: The run's configuration.

    Raises:
        InvalidInput: If a size doesn't fit the network, or the weights can't be had.
    """

    def __init__(self, config: Config) -> None:
        assert isinstance(config.model, ModelConfig)
        if config.model.window % STRIDE:
            raise invalid("CONFIG-VALUE", "model.window has to be a multiple of 32", value=config.model.window)
        super().__init__(config, build_network(config.model, config.experiment))
        self.settings = config.model
        self.counts = HistogramAveragePrecision(CLASSES - 1)

    def losses(self, batch: TrainBatch) -> dict[str, Tensor]:
        """Return the parts of the loss."""
        logits, depths = self(normalised(batch["images"]))
        classes = batch["classes"].long()
        known = classes != IGNORED
        with torch.autocast(logits.device.type, enabled=False):
            likelihoods = logits.log_softmax(dim=1)
            cross_entropy = F.nll_loss(likelihoods, classes, ignore_index=IGNORED, reduction="sum") / known.sum().clamp(min=1)
            errors = F.binary_cross_entropy_with_logits(depths, batch["depths"], reduction="none")
            inside = (known & (classes > 0)).sum().clamp(min=1)
            depth = (errors * known).sum() / inside
            return {"classes": cross_entropy, "dice": dice_loss(likelihoods, classes), "depth": depth}

    def maps(self, picture: Tensor) -> Tensor:
        """Return the probabilities of background and substrates, and the depth, of a picture.

        Args:
            picture: ``(H, W, 3) uint8``.

        Returns:
            ``(15, H, W) float32``.
        """

        def predict(tiles: Tensor) -> Tensor:
            tiles = tiles.contiguous(memory_format=torch.channels_last)
            logits, depths = self(normalised(tiles))
            return torch.cat([logits.softmax(dim=1), depths.sigmoid()[:, None]], dim=1)

        settings = self.settings
        return windows.predict_picture(
            picture,
            predict,
            window=settings.window,
            overlap=settings.overlap,
            tiles=settings.tile_batch,
            flips=settings.flips,
            scales=settings.scales,
        )

    def decode(self, batch: WholeBatch) -> list[Prediction]:
        """Return the objects in each image, in pixels of its file; the best :data:`MAX_DETECTIONS` of each substrate count."""
        predictions = []
        for name, picture, size in zip(batch["ids"], batch["pictures"], batch["sizes"], strict=True):
            maps = self.maps(picture).cpu().numpy()
            found = instances.find_instances(maps[:CLASSES], maps[CLASSES], size, self.settings)
            if not len(found.labels):  # an image without any detection makes a run invalid: the least sure are better
                lenient = replace(self.settings, min_score=0.0, foreground=0.1, marker=0.1)
                found = instances.find_instances(maps[:CLASSES], maps[CLASSES], size, lenient)
            predictions.append(Prediction(name, found.shapes, found.labels, found.scores))
        return predictions

    def reset_validation(self) -> None:
        """Forget all counts."""
        self.counts.reset()

    def update_validation(self, batch: WholeBatch, predictions: Sequence[Prediction]) -> None:
        """Match a batch's objects with its truth and count the hits and misses."""
        for size, (points, offsets, labels), found in zip(batch["sizes"], batch["truths"], predictions, strict=True):
            truth = Truth(found.id, *size, Shapes(points, offsets), labels, labels)
            shapes = Shapes(np.rint(found.shapes.points).astype(np.int64), found.shapes.offsets)
            ious = pair_ious(shapes, truth, "polygons")
            (matches,) = match_shapes(ious, labels - 1, found.labels - 1, found.scores, limit=MAX_DETECTIONS)
            self.counts.update(matches)

    def compute_validation(self) -> dict[str, float]:
        """Return ``map50`` of the polygons, an approximation of the official one to the width of a score bin."""
        return {"map50": self.counts.compute(self.sum_over_processes)}


def dice_loss(likelihoods: Tensor, classes: Tensor) -> Tensor:
    """Return 1 - Dice, of the classes that occur and on average over them (Milletari et al. 2016, arXiv:1606.04797).

    Equal to the loss of segmentation-models-pytorch in a quarter of its time: nothing is made one-hot.

    Args:
        likelihoods: ``(B, K, H, W)`` logarithms of probabilities.
        classes: ``(B, H, W) int64``, :data:`IGNORED` where nothing is known.
    """
    known = classes != IGNORED
    probabilities = likelihoods.exp() * known[:, None]
    target = classes.masked_fill(~known, 0)
    hits = probabilities.gather(1, target[:, None])[:, 0]
    shared = hits.new_zeros(likelihoods.shape[1]).scatter_add_(0, target.flatten(), hits.flatten())
    counts = hits.new_zeros(likelihoods.shape[1]).scatter_add_(0, target.flatten(), known.to(hits.dtype).flatten())
    losses = 1 - 2 * shared / (probabilities.sum(dim=(0, 2, 3)) + counts).clamp(min=1e-7)
    occurs = counts > 0
    return (losses * occurs).sum() / occurs.sum().clamp(min=1)


def normalised(images: Tensor) -> Tensor:
    """Return images ``(B, 3, H, W) uint8`` as the encoders were trained on, ``float32``."""
    scaled = images.float() / 255
    mean, std = (scaled.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (scaled - mean) / std
