"""The dense, anchor-free detector: every element is a peak at its centre, on a map at stride 4.

The idea is CenterNet's (Zhou et al. 2019, arXiv:1904.07850) with the elliptical Gaussians and the regression from a whole
central region of TTFNet (Liu et al. 2020, arXiv:1909.00700), which make it train fast. Two things are fitted to user
interfaces: the Gaussians follow the shape of the box, since elements are wide and flat, and each class has its own box
channels, since a container and the element it holds may have the same centre.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms, generalized_box_iou_loss

STRIDE = 4
# Typical half extents of an element in pixels of the network's input: where box regression starts from.
PRIOR_HALF_EXTENTS = (48.0, 14.0)
PRIOR_PROBABILITY = 0.01  # of a peak at any cell before training (RetinaNet, Lin et al. 2017, section 4.1)
# Standard deviations of the Gaussians as a share of the box's sides (TTFNet's alpha = 0.54, sigma = alpha * side / 6).
SIGMA_SHARE = 0.54 / 6
REGRESSION_LEVEL = 0.3  # cells where an element's Gaussian is at least this learn its box
MAX_LOG_EXTENT = 8.0

Detections = tuple[Tensor, Tensor, Tensor]  # boxes (N, 4) xyxy in input pixels, class indices (N,), scores (N,), best first


def conv_norm(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU that keep the size."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def head_conv(channels: int, bias: Tensor) -> nn.Conv2d:
    """Return the 1 × 1 convolution of a head, which says ``bias`` for whatever it sees until it has learnt."""
    conv = nn.Conv2d(channels, len(bias), 1)
    nn.init.normal_(conv.weight, std=0.01)
    conv.bias = nn.Parameter(bias)
    return conv


def pyramid_channels(backbone: Any) -> list[int]:
    """Return the channels of a timm backbone's last four features.

    Raises:
        ValueError: If these are not at strides 4, 8, 16 and 32.
    """
    strides: list[int] = backbone.feature_info.reduction()
    if strides[-4:] != [4, 8, 16, 32]:
        raise ValueError(f"the backbone has features at strides {strides}, not at 4, 8, 16, 32")
    channels: list[int] = backbone.feature_info.channels()[-4:]
    return channels


class FeaturePyramid(nn.Module):
    """Bring features of strides 4, 8, 16, 32 together at stride 4, top down (FPN, Lin et al. 2017, arXiv:1612.03144)."""

    def __init__(self, channels_in: list[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(conv_norm(count, channels, 1) for count in channels_in)
        self.smooth = nn.ModuleList(conv_norm(channels, channels, 3) for _ in channels_in[1:])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map features, finest first, to one ``(B, C, H, W)`` map of the finest's size."""
        merged = self.lateral[-1](features[-1])
        for lateral, smooth, feature in zip(self.lateral[-2::-1], self.smooth[::-1], features[-2::-1], strict=True):
            merged = F.interpolate(smooth(merged), size=feature.shape[-2:], mode="nearest") + lateral(feature)
        return merged


class CenterDetector(nn.Module):
    """A timm backbone, a feature pyramid at stride 4, and per class a peak map and box extents.

    Args:
        backbone: A timm backbone that offers features at strides 4, 8, 16 and 32.
        classes: Number of classes.
        channels: Width of pyramid and head.
        limit: Most detections of an image.
        iou: Of two detections of a class that overlap more than this, the weaker one goes.
        floor: Least score of a detection.
        tower: Number of 3 × 3 convolutions between the pyramid and the heads.
    """

    def __init__(
        self, backbone: Any, classes: int, channels: int, limit: int, iou: float, floor: float, tower: int = 2
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classes = classes
        self.limit, self.iou, self.floor = limit, iou, floor
        self.pyramid = FeaturePyramid(pyramid_channels(backbone), channels)
        self.tower = nn.Sequential(*(conv_norm(channels, channels, 3) for _ in range(tower)))
        self.peaks = head_conv(channels, torch.full((classes,), -math.log(1 / PRIOR_PROBABILITY - 1)))
        self.extents = head_conv(channels, torch.tensor(PRIOR_HALF_EXTENTS * 2).div(STRIDE).log().repeat(classes))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images ``(B, C, H, W)`` to logits and log extents.

        Returns:
            Peak logits ``(B, K, H/4, W/4)`` and the logarithms of the distances left, top, right, bottom from the cell's
            centre to the box's sides, in cells, ``(B, K, 4, H/4, W/4)``; both float32.
        """
        features = self.tower(self.pyramid(self.backbone(images)[-4:]))
        extents = self.extents(features)
        return self.peaks(features).float(), extents.unflatten(1, (self.classes, 4)).float()

    def losses(self, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
        """Return the parts of the loss; see :func:`detection_losses`."""
        logits, extents = self(images)
        with torch.autocast(images.device.type, enabled=False):
            return detection_losses(logits, extents, boxes, labels)

    def detect(self, images: Tensor) -> list[Detections]:
        """Return the detections of each image; see :func:`decode`."""
        logits, extents = self(images)
        return decode(logits, extents, self.limit, self.iou, self.floor)


def cell_centers(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x ``(W,)`` and y ``(H,)`` of the cells' centres in input pixels."""
    xs = (torch.arange(width, device=device) + 0.5) * STRIDE
    ys = (torch.arange(height, device=device) + 0.5) * STRIDE
    return xs, ys


def gaussians(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return each box's elliptical Gaussian on the cells, 1 at the cell that holds its centre.

    Args:
        boxes: ``(N, 4)`` xyxy in input pixels.
        height: Rows of the map.
        width: Columns of the map.

    Returns:
        ``(N, H, W)`` in [0, 1].
    """
    xs, ys = cell_centers(height, width, boxes.device)
    center_x = (((boxes[:, 0] + boxes[:, 2]) / 2 / STRIDE).floor().clamp(0, width - 1) + 0.5) * STRIDE
    center_y = (((boxes[:, 1] + boxes[:, 3]) / 2 / STRIDE).floor().clamp(0, height - 1) + 0.5) * STRIDE
    # A Gaussian narrower than a cell would leave the neighbours of the peak as plain negatives.
    sigma_x = ((boxes[:, 2] - boxes[:, 0]) * SIGMA_SHARE).clamp(min=STRIDE / 2)
    sigma_y = ((boxes[:, 3] - boxes[:, 1]) * SIGMA_SHARE).clamp(min=STRIDE / 2)
    along_x = torch.exp(-(((xs[None] - center_x[:, None]) / sigma_x[:, None]) ** 2) / 2)
    along_y = torch.exp(-(((ys[None] - center_y[:, None]) / sigma_y[:, None]) ** 2) / 2)
    return along_y[:, :, None] * along_x[:, None, :]


def peak_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of CenterNet (equation 1, alpha 2, beta 4), summed.

    Args:
        logits: ``(…)`` peak logits.
        target: Same shape, in [0, 1], exactly 1 at centres.
    """
    # At a centre the factor (1 - target) is 0, so that, for finite logits, the sum over all cells needs no mask.
    elsewhere = F.softplus(logits) * logits.sigmoid() ** 2 * ((1 - target) ** 2) ** 2
    centers = logits[target == 1]
    return elsewhere.sum() - (F.logsigmoid(centers) * (1 - centers.sigmoid()) ** 2).sum()


def detection_losses(logits: Tensor, extents: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
    """Return the two parts of the loss, each per element of the batch.

    Args:
        logits: ``(B, K, H, W)``.
        extents: ``(B, K, 4, H, W)``.
        boxes: For each image ``(N, 4)`` xyxy in input pixels.
        labels: For each image ``(N,)`` class indices from 0.
    """
    classes, height, width = logits.shape[1:]
    xs, ys = cell_centers(height, width, logits.device)
    target = torch.zeros_like(logits)
    cells, wanted, weights = [], [], []
    for index, (image_boxes, image_labels) in enumerate(zip(boxes, labels, strict=True)):
        if not len(image_boxes):
            continue
        bumps = gaussians(image_boxes, height, width)
        target[index].scatter_reduce_(0, image_labels[:, None, None].expand_as(bumps), bumps, "amax")
        element, row, column = torch.nonzero(bumps >= REGRESSION_LEVEL, as_tuple=True)
        weight = bumps[element, row, column]
        weights.append(weight / torch.zeros(len(image_boxes), device=weight.device).index_add_(0, element, weight)[element])
        cells.append(torch.stack((torch.full_like(element, index), row, column, image_labels[element])))
        wanted.append(image_boxes[element])
    count = max(1, sum(len(image_boxes) for image_boxes in boxes))
    peaks = peak_loss(logits, target) / count
    if not cells:
        return {"peaks": peaks, "boxes": extents.sum() * 0}
    # From the whole batch at once, since the gradient is as large as all extents. An embedding adds up the gradients of a cell
    # that several elements share in a fixed order, as indexing does not, and channels last it needs no copy.
    image, row, column, label = torch.cat(cells, dim=1)
    at_cells = F.embedding(
        ((image * height + row) * width + column) * classes + label, extents.permute(0, 3, 4, 1, 2).reshape(-1, 4)
    )
    predicted = boxes_at(at_cells, xs[column], ys[row])
    box_losses = generalized_box_iou_loss(predicted, torch.cat(wanted), reduction="none")
    return {"peaks": peaks, "boxes": 2 * (box_losses * torch.cat(weights)).sum() / count}


def boxes_at(extents: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the boxes ``(N, 4)`` xyxy in input pixels that log extents ``(N, 4)`` give at cells centred on x and y."""
    left, top, right, bottom = (extents.clamp(max=MAX_LOG_EXTENT).exp() * STRIDE).unbind(1)
    return torch.stack((x - left, y - top, x + right, y + bottom), dim=1)


def decode(logits: Tensor, extents: Tensor, limit: int, iou: float, floor: float) -> list[Detections]:
    """Turn the maps into detections.

    Args:
        logits: ``(B, K, H, W)``.
        extents: ``(B, K, 4, H, W)``.
        limit: Most detections of an image.
        iou: Of two detections of a class that overlap more than this, the weaker one goes.
        floor: Least score of a detection.

    Returns:
        For each image boxes ``(N, 4)`` xyxy in input pixels, class indices ``(N,)`` and scores ``(N,)``, best first.
    """
    scores = logits.sigmoid()
    scores = scores * (scores == F.max_pool2d(scores, 3, stride=1, padding=1))
    xs, ys = cell_centers(logits.shape[-2], logits.shape[-1], logits.device)
    detections = []
    for image_scores, image_extents in zip(scores, extents, strict=True):
        # Twice the limit goes into the suppression, so that what it removes doesn't shorten the list.
        best, order = image_scores.flatten().topk(min(2 * limit, image_scores.numel()))
        order, best = order[best >= floor], best[best >= floor]
        label, row, column = torch.unravel_index(order, image_scores.shape)
        boxes = boxes_at(image_extents[label, :, row, column], xs[column], ys[row])
        kept = batched_nms(boxes, best, label, iou)[:limit]
        detections.append((boxes[kept], label[kept], best[kept]))
    return detections
