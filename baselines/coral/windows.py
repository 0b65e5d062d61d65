"""Predicting an image of any size in overlapping tiles, blended so that no seam shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA_SHARE = 1 / 8  # standard deviation of a tile's weights, in tiles (nnU-Net, Isensee et al. 2021)
LEAST_WEIGHT = 1e-3  # of a tile's corner, of that of its middle

Predict = Callable[[Tensor], Tensor]


def starts(length: int, window: int, overlap: float) -> list[int]:
    """Return where tiles start along an axis: evenly spread, the first at 0 and the last at the end.

    >>> starts(100, 40, 0.25), starts(40, 40, 0.25)
    ([0, 30, 60], [0])
    """
    step = max(1, int(window * (1 - overlap)))
    count = -(-max(length - window, 0) // step) + 1
    return [round(place * (length - window) / max(count - 1, 1)) for place in range(count)]


def gaussian(window: int, device: torch.device) -> Tensor:
    """Return the weights of a tile's pixels ``(S, S)``, 1 in the middle."""
    along = torch.arange(window, device=device) - (window - 1) / 2
    bump = torch.exp(-((along / (window * SIGMA_SHARE)) ** 2) / 2)
    return (bump[:, None] * bump[None]).clamp(min=LEAST_WEIGHT)


@torch.no_grad()
def slide(picture: Tensor, predict: Predict, window: int, overlap: float, tiles: int) -> Tensor:
    """Predict an image tile by tile, and average where tiles overlap.

    Args:
        picture: ``(H, W, 3) uint8``.
        predict: Maps tiles ``(B, 3, S, S) uint8`` to ``(B, C, S, S)``.
        window: Side S of a tile.
        overlap: Least share of a tile that the next one covers again.
        tiles: Tiles at a time.

    Returns:
        ``(C, H, W) float32``.
    """
    height, width = picture.shape[:2]
    image = picture.permute(2, 0, 1)
    short = (0, max(0, window - width), 0, max(0, window - height))
    if any(short):  # the outside is black, and what is predicted there is cut off
        image = F.pad(image, short)
    weights = gaussian(window, picture.device)
    total: Tensor | None = None
    weight = torch.zeros(image.shape[1:], device=picture.device)
    places = list(product(starts(image.shape[1], window, overlap), starts(image.shape[2], window, overlap)))
    for first in range(0, len(places), tiles):
        batch = places[first : first + tiles]
        stack = torch.stack([image[:, y : y + window, x : x + window] for y, x in batch])
        for (y, x), found in zip(batch, predict(stack), strict=True):
            if total is None:
                total = torch.zeros((len(found), *image.shape[1:]), device=picture.device)
            total[:, y : y + window, x : x + window].addcmul_(found.float(), weights)
            weight[y : y + window, x : x + window] += weights
    assert total is not None
    return total.div_(weight)[:, :height, :width]


def predict_picture(
    picture: Tensor,
    predict: Predict,
    *,
    window: int,
    overlap: float,
    tiles: int,
    flips: bool = False,
    scales: Sequence[float] = (1.0,),
) -> Tensor:
    """Predict an image as :func:`slide` does, averaged over its mirrors and over scales.

    Args:
        picture: ``(H, W, 3) uint8``.
        predict: See :func:`slide`.
        window: See :func:`slide`.
        overlap: See :func:`slide`.
        tiles: See :func:`slide`.
        flips: Whether to average over the four mirror images.
        scales: Scales of the image.

    Returns:
        ``(C, H, W) float32``.
    """
    mirrors = ((), (0,), (1,), (0, 1)) if flips else ((),)
    size = (picture.shape[0], picture.shape[1])
    views = [(scale, mirror) for scale in scales for mirror in mirrors]
    total: Tensor | None = None
    for scale, mirror in views:
        seen = _rescaled(picture, scale).flip(mirror)
        found = slide(seen, predict, window, overlap, tiles).flip([axis + 1 for axis in mirror])
        if found.shape[1:] != size:
            found = F.interpolate(found[None], size, mode="bilinear", align_corners=False)[0]
        total = found if total is None else total.add_(found)
    assert total is not None
    return total.div_(len(views))


def _rescaled(picture: Tensor, scale: float) -> Tensor:
    """Return a picture ``(H, W, 3) uint8`` at another scale."""
    if scale == 1:
        return picture
    size = [max(1, round(side * scale)) for side in picture.shape[:2]]
    image = picture.permute(2, 0, 1)[None].float()
    resized = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=scale < 1)
    return resized[0].round().clamp(0, 255).byte().permute(1, 2, 0)
