"""Pages to tensors: contrast normalisation, box-aware augmentation, data sets and the data module."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or importing it asks the network for a newer version

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from baselines.core.config import Config
from baselines.core.findings import Findings
from baselines.drawnui import records
from baselines.drawnui.records import Sample, Split
from baselines.drawnui.task import DataConfig
from baselines.training.cache import Picture, PictureCache, cached_pictures, decode_rgb
from baselines.training.data import BaselineDataModule, Draw

STRIDE = 32  # the sides of a network's input are multiples of this
PAPER = {"ink": 0, "rgb": 124}  # what fills the outside of a page: no ink; the mean of ImageNet
MIN_VISIBLE = 0.5  # a box of which less than this is left in the crop is dropped

cv2.setNumThreads(1)  # the loader's workers are the threads


class Batch(TypedDict):
    """Pages of one square size.

    ``ids``: file names; ``images``: ``(B, C, S, S) uint8``; ``scales``: network pixels per pixel of the image file;
    ``sizes``: ``(width, height)`` of the image files; ``boxes``: for each page ``(N, 4) float32`` xyxy in network pixels;
    ``labels``: for each page ``(N,) int64`` class indices from 0.
    """

    ids: list[str]
    images: Tensor
    scales: list[float]
    sizes: list[tuple[int, int]]
    boxes: list[Tensor]
    labels: list[Tensor]


def ink(picture: Picture) -> Picture:
    """Reduce a page ``(H, W, 3) uint8`` to how much ink there is, ``(H, W, 1) uint8``, 0 for bare paper.

    The paper's brightness is what remains after closing the strokes and blurring; what is darker is ink, scaled by its own
    99th percentile. Photographs with shadows, scans and thresholded copies of one drawing come out nearly the same.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    paper = cv2.GaussianBlur(cv2.dilate(grey, np.ones((7, 7), np.uint8)), (0, 0), max(grey.shape) / 24)
    darkness = np.clip(paper - grey, 0, None)
    darkness -= np.median(darkness)
    strongest = max(float(np.percentile(darkness, 99)), 8.0)  # of 255: on a blank page noise isn't ink
    return (np.clip(darkness / strongest, 0, 1) * 255).astype(np.uint8)[..., None]


def load_page(path: Path, long_side: int, mode: str) -> Picture:
    """Decode a page at most ``long_side`` long and return it as ``(H, W, 1)`` ink or ``(H, W, 3)`` RGB, uint8."""
    picture = decode_rgb(path, long_side)
    return ink(picture) if mode == "ink" else picture


def geometric(config: DataConfig, cached_side: int) -> A.Compose:
    """Return the augmentations that move boxes: scale, position, a little rotation, shear and aspect; never a mirror."""
    fill = PAPER[config.input]
    scale = config.long_side / cached_side
    side = config.crop
    return A.Compose(
        [
            A.RandomScale((config.scale[0] * scale - 1, config.scale[1] * scale - 1), p=1),
            A.PadIfNeeded(side, side, position="random", border_mode=cv2.BORDER_CONSTANT, fill=fill),
            A.RandomCrop(side, side),
            A.Affine(
                scale={"x": (1 - config.aspect, 1 + config.aspect), "y": (1 - config.aspect, 1 + config.aspect)},
                translate_percent=(-config.shift, config.shift),
                rotate=(-config.rotate, config.rotate),
                shear=(-config.rotate / 2, config.rotate / 2),
                rotate_method="ellipse",  # the corners' box of a flat element grows far too high
                border_mode=cv2.BORDER_CONSTANT,
                fill=fill,
                p=1,
            ),
        ],
        bbox_params=A.BboxParams(
            "pascal_voc", label_fields=["labels"], min_visibility=MIN_VISIBLE, clip=True, filter_invalid_bboxes=True
        ),
    )


def photometric(config: DataConfig) -> A.Compose:
    """Return the augmentations that leave boxes alone: brightness, contrast, stroke width, blur, noise and cutout."""
    return A.Compose(
        [
            A.RandomGamma((60, 160), p=0.8),
            A.RandomBrightnessContrast(0.3, 0.3, p=0.8),
            A.GaussianBlur((3, 5), p=0.3),
            A.Morphological(scale=(2, 2), operation="dilation" if config.input == "ink" else "erosion", p=0.15),
            A.GaussNoise((0.02, 0.08), noise_scale_factor=0.5, p=0.4),
            A.CoarseDropout((1, 4), (0.02, 0.08), (0.02, 0.08), fill=PAPER[config.input], p=config.cutout),
        ]
    )


def letterbox(page: Picture, side: int, fill: int) -> tuple[Picture, float]:
    """Fit a page into the top left of a ``(side, side, C)`` square; also return the scale it was resized by."""
    height, width = page.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        resized = cv2.resize(page, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        page = resized.reshape(size[1], size[0], page.shape[2])
    square = np.full((side, side, page.shape[2]), fill, np.uint8)
    square[: size[1], : size[0]] = page
    return square, scale


class Pages(Dataset[dict[str, Any]]):
    """The pages of a split, letterboxed when asked for by index, augmented when asked for by a :class:`Draw`.

    Args:
        samples: The pages.
        pictures: Their cached pictures.
        class_index: Class index from 0 by campaign id.
        config: The data configuration.
    """

    def __init__(
        self, samples: Sequence[Sample], pictures: PictureCache, class_index: dict[int, int], config: DataConfig
    ) -> None:
        self.samples, self.pictures, self.class_index, self.config = samples, pictures, class_index, config
        self.geometric, self.photometric = geometric(config), photometric(config)

    def __len__(self) -> int:
        """Return the number of pages."""
        return len(self.samples)

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        """Return one page in the terms of :class:`Batch`, as NumPy arrays; a draw's seed decides all of its augmentation."""
        sample = self.samples[key.index if isinstance(key, Draw) else key]
        page = self.pictures[sample.id]
        boxes, labels = self._truth_of(sample, page)
        if isinstance(key, Draw):
            page, boxes, labels = self._augment(page, boxes, labels, key.seed)
            scale = 1.0
        else:
            page, scale = letterbox(page, input_side(self.config), self.config.long_side, PAPER[self.config.input])
            boxes = boxes * scale
        scales = scale * self.pictures[sample.id].shape[1] / sample.width, scale * self.pictures[sample.id].shape[0] / sample.height
        return {"id": sample.id, "image": page, "boxes": boxes, "labels": labels, "scales": scales, "size": (sample.width, sample.height)}

    def _truth_of(self, sample: Sample, page: Picture) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the boxes in pixels of the cached picture, and class indices."""
        if sample.truth is None:
            return np.zeros((0, 4)), np.zeros(0, np.int64)
        scale = np.array([page.shape[1] / sample.width, page.shape[0] / sample.height] * 2)
        return sample.truth.boxes * scale, np.array([self.class_index[label] for label in sample.truth.labels.tolist()], np.int64)

    def _augment(
        self, page: Picture, boxes: NDArray[np.float64], labels: NDArray[np.int64], seed: int
    ) -> tuple[Picture, NDArray[np.float64], NDArray[np.int64]]:
        self.geometric.set_random_seed(seed)
        self.photometric.set_random_seed(seed)
        moved = self.geometric(image=np.array(page), bboxes=boxes, labels=labels)
        page = self.photometric(image=moved["image"])["image"]
        return page, np.asarray(moved["bboxes"], np.float64).reshape(-1, 4), np.asarray(moved["labels"], np.int64)


def collate(items: list[dict[str, Any]]) -> Batch:
    """Put pages together; images become ``(B, C, S, S)`` views in channels-last memory order, as the network wants them."""
    return {
        "ids": [item["id"] for item in items],
        "images": torch.from_numpy(np.stack([item["image"] for item in items])).permute(0, 3, 1, 2),
        "scales": torch.tensor([item["scales"] for item in items], dtype=torch.float64),
        "sizes": [item["size"] for item in items],
        "boxes": [torch.from_numpy(item["boxes"]).float() for item in items],
        "labels": [torch.from_numpy(item["labels"]) for item in items],
    }
