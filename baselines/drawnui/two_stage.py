"""The two-stage detector: Faster R-CNN with a feature pyramid (Ren et al. 2015, arXiv:1506.01497; Lin et al. 2017).

Ratios and sizes of the anchors are those of the team that won drawnUI 2021 (spec page drawnui.md, section 5). It kept 320
detections a page, where a run of ours holds 300.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from baselines.drawnui.center import Detections, pyramid_channels

ANCHOR_RATIOS = (0.1, 0.5, 1.0, 1.5)  # height over width: elements are flat
NAMES = ("0", "1", "2", "3")  # what torchvision pools regions from: strides 4 to 32


class PyramidBackbone(nn.Module):
    """A timm backbone and a feature pyramid, as torchvision's detectors want it: levels by name, ``out_channels``."""

    def __init__(self, backbone: Any, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = FeaturePyramidNetwork(pyramid_channels(backbone), channels, extra_blocks=LastLevelMaxPool())
        self.out_channels = channels
        self.autocast = False

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Map images ``(B, C, H, W)`` to the levels of strides 4 to 64, float32."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.autocast):
            levels = self.pyramid(OrderedDict(zip(NAMES, self.backbone(images)[-4:], strict=True)))
        return OrderedDict((name, level.float()) for name, level in levels.items())


class TwoStageDetector(nn.Module):
    """Faster R-CNN on a timm backbone.

    Args:
        backbone: A timm backbone that offers features at strides 4, 8, 16 and 32.
        classes: Number of classes.
        channels: Width of the pyramid.
        anchor_sizes: Side of the square anchor of each of the five levels, in input pixels.
        limit: Most detections of an image.
        iou: Of two detections of a class that overlap more than this, the weaker one goes.
        floor: Least score of a detection.
    """

    def __init__(
        self,
        backbone: Any,
        classes: int,
        channels: int,
        anchor_sizes: tuple[int, ...],
        limit: int,
        iou: float,
        floor: float,
    ) -> None:
        super().__init__()
        self.detector = FasterRCNN(
            PyramidBackbone(backbone, channels),
            num_classes=classes + 1,  # torchvision's class 0 is the background
            rpn_anchor_generator=AnchorGenerator(tuple((size,) for size in anchor_sizes), (ANCHOR_RATIOS,) * len(anchor_sizes)),
            box_detections_per_img=limit,
            box_nms_thresh=iou,
            box_score_thresh=floor,
            image_mean=[0.0],  # images arrive normalised and of the right size
            image_std=[1.0],
            _skip_resize=True,
        )

    def losses(self, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
        """Return the four parts of the loss.

        Args:
            images: ``(B, C, H, W)``, normalised.
            boxes: For each image ``(N, 4)`` xyxy in input pixels.
            labels: For each image ``(N,)`` class indices from 0.
        """
        return self(images, [{"boxes": box, "labels": label + 1} for box, label in zip(boxes, labels, strict=True)])

    def detect(self, images: Tensor) -> list[Detections]:
        """Return the detections of each image, best first."""
        return [(found["boxes"], found["labels"] - 1, found["scores"]) for found in self(images, None)]

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None) -> Any:
        """Run torchvision's detector with autocast on the backbone and pyramid alone: boxes in bfloat16 are some pixels off."""
        device = images.device.type
        self.detector.backbone.autocast = torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False):
            return self.detector(list(images), targets)
