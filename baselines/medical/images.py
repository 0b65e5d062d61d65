"""Radiology images to squares of pixels, and the augmentation that they stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from baselines.medical.options import ImageDataConfig
from baselines.training.augment import A, cv2
from baselines.training.cache import Picture, PictureCache, decode_rgb
from baselines.training.data import Draw

RECIPE = 1  # counts up when the same image would be prepared in another way, so that older caches are not used
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def square(picture: Picture, side: int) -> Picture:
    """Scale an image ``(H, W, 3)`` so that its longer side is ``side``, and put it in the middle of a black square."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        picture = np.asarray(
            cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8
        )
    page = np.zeros((side, side, 3), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] = picture
    return page


def load_square(path: Path, side: int) -> Picture:
    """Decode an image to :func:`square`, ``(side, side, 3) uint8``.

    Raises:
        OSError: If the file is missing, or can't be decoded.
    """
    return square(decode_rgb(path, side), side)


def square_recipe(side: int) -> str:
    """Return what names the cache of such squares, for :func:`~baselines.training.cache.cached_pictures`."""
    return f"medical {RECIPE} side {side}"


def augmentation(config: ImageDataConfig) -> A.Compose:
    """Return the augmentation of training images; ``set_random_seed`` decides all of it."""
    return A.Compose(
        [
            A.Affine(
                scale=(1 - config.scale, 1 + config.scale),
                translate_percent=(-config.shift, config.shift),
                rotate=(-config.rotate, config.rotate),
                border_mode=cv2.BORDER_CONSTANT,
                fill=0,
                p=1,
            ),
            A.HorizontalFlip(p=config.flip),
            A.RandomBrightnessContrast(config.contrast, config.contrast, p=1),
            A.CoarseDropout((1, 4), (0.05, 0.2), (0.05, 0.2), fill=0, p=config.cutout),
        ]
    )


def augmented(transform: A.Compose, picture: Picture, seed: int) -> Picture:
    """Return an augmented copy of an image; the seed decides all of it."""
    transform.set_random_seed(seed)
    return np.asarray(transform(image=np.array(picture))["image"])


class Squares(Dataset[dict[str, Any]]):
    """Images, as they are when asked for by index, augmented when asked for by a :class:`Draw`.

    A subclass says in :meth:`truth` what goes with an image.

    Args:
        samples: The images, each with an ``id``.
        pictures: Their cached squares.
        config: The data configuration.
    """

    def __init__(self, samples: Sequence[Any], pictures: PictureCache, config: ImageDataConfig) -> None:
        self.samples, self.pictures = samples, pictures
        self.transform = augmentation(config)

    def truth(self, sample: Any) -> dict[str, Any]:
        """Return what a batch holds of a sample beside its id and image."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        """Return one image, ``(side, side, 3) uint8``, and what goes with it; a draw's seed decides its augmentation."""
        sample = self.samples[key.index if isinstance(key, Draw) else key]
        picture = self.pictures[sample.id]
        if isinstance(key, Draw):
            picture = augmented(self.transform, picture, key.seed)
        return {"id": sample.id, "image": picture, **self.truth(sample)}


def stack(pictures: list[Picture]) -> Tensor:
    """Return images ``(H, W, 3)`` of one size as ``(B, 3, H, W) uint8``, a view in channels-last order."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def normalised(images: Tensor) -> Tensor:
    """Return images ``(B, 3, H, W) uint8`` as published weights want them, ``float32`` with ImageNet's mean and deviation."""
    mean, std = (images.new_tensor(values, dtype=torch.float32)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images.float() / 255 - mean) / std
