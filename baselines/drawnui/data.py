"""Pages to tensors: contrast normalisation, box-aware augmentation, data sets and the data module."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
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
from baselines.core.findings import Findings, invalid
from baselines.core.paths import cache_dir
from baselines.drawnui import records
from baselines.drawnui.records import Sample, Split
from baselines.drawnui.task import DataConfig
from baselines.training.cache import Picture, PictureCache, cached_pictures, decode_rgb
from baselines.training.data import BaselineDataModule, Draw

STRIDE = 32  # the sides of a network's input are multiples of this
PAPER = {"ink": 0, "rgb": 124}  # what fills the outside of a page: no ink; the mean of ImageNet
RECIPE = 1  # counts up when the same page would be prepared in another way, so that older caches are not used
MIN_VISIBLE = 0.5  # a box of which less than this is left in the crop is dropped

cv2.setNumThreads(1)  # the loader's workers are the threads


class Batch(TypedDict):
    """Pages of one square size.

    Attributes:
        ids: File names.
        images: ``(B, C, S, S) uint8``.
        scales: Network pixels per pixel of the image file; NaN where augmented.
        sizes: ``(width, height)`` of the image files.
        boxes: For each page ``(N, 4) float32`` xyxy in network pixels.
        labels: For each page ``(N,) int64`` class indices from 0.
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


def cached_side(config: DataConfig) -> int:
    """Return the longer side of a cached picture: as large as the augmentation enlarges a page, so that nothing blurs."""
    return round(config.long_side * config.scale[1])


def input_side(config: DataConfig) -> int:
    """Return the side of the square a page is letterboxed to: the page's longer side, rounded up to the stride."""
    return -(-config.long_side // STRIDE) * STRIDE


def geometric(config: DataConfig) -> A.Compose:
    """Return the augmentations that move boxes: scale, position, a little rotation, shear and aspect; never a mirror."""
    fill = PAPER[config.input]
    smallest, largest = (bound * config.long_side / cached_side(config) for bound in config.scale)
    aspect = (1 - config.aspect, 1 + config.aspect)
    return A.Compose(
        [
            A.RandomScale((smallest - 1, largest - 1), p=1),
            A.PadIfNeeded(config.crop, config.crop, position="random", border_mode=cv2.BORDER_CONSTANT, fill=fill),
            A.RandomCrop(config.crop, config.crop),
            A.Affine(
                scale={"x": aspect, "y": aspect},
                translate_percent=(-config.shift, config.shift),
                rotate=(-config.rotate, config.rotate),
                shear=(-config.rotate / 2, config.rotate / 2),
                rotate_method="ellipse",  # the box around a flat element's turned corners is far too high
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


def letterbox(page: Picture, side: int, long_side: int, fill: int) -> Picture:
    """Resize a page to ``long_side`` and put it into the top left of a ``(side, side, C)`` square."""
    height, width = page.shape[:2]
    scale = long_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        resized = cv2.resize(page, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        page = np.asarray(resized, np.uint8).reshape(size[1], size[0], page.shape[2])
    square = np.full((side, side, page.shape[2]), fill, np.uint8)
    square[: size[1], : size[0]] = page
    return square


def page_size(sample: Sample) -> tuple[int, int]:
    """Return width and height of the image file in pixels, from its header where no truth says them."""
    if sample.truth:
        return sample.truth.width, sample.truth.height
    return records.image_size(sample.image)


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
        size = page_size(sample)
        boxes, labels = self._truth_of(sample, page.shape[1] / size[0], page.shape[0] / size[1])
        if isinstance(key, Draw):
            page, boxes, labels = self._augment(page, boxes, labels, key.seed)
            return {"id": sample.id, "image": page, "boxes": boxes, "labels": labels, "scale": math.nan, "size": size}
        scale = self.config.long_side / max(size)
        square = letterbox(page, input_side(self.config), self.config.long_side, PAPER[self.config.input])
        boxes = boxes * (self.config.long_side / max(page.shape[:2]))
        return {"id": sample.id, "image": square, "boxes": boxes, "labels": labels, "scale": scale, "size": size}

    def _truth_of(self, sample: Sample, scale_x: float, scale_y: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the boxes in pixels of the cached picture, and class indices."""
        if sample.truth is None:
            return np.zeros((0, 4)), np.zeros(0, np.int64)
        labels = [self.class_index[label] for label in sample.truth.labels.tolist()]
        return sample.truth.boxes * [scale_x, scale_y, scale_x, scale_y], np.array(labels, np.int64)

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
        "scales": [item["scale"] for item in items],
        "sizes": [item["size"] for item in items],
        "boxes": [torch.from_numpy(item["boxes"]).float() for item in items],
        "labels": [torch.from_numpy(item["labels"]) for item in items],
    }


class DrawnuiData(BaselineDataModule):
    """Splits, cached pictures and loaders of a drawnUI task.

    Args:
        config: The run's configuration.
        classes: Class names by campaign id, where a trained model says them; else those of the training data.

    Raises:
        InvalidInput: If the data can't be read, or a size in the configuration doesn't fit the network.
    """

    def __init__(self, config: Config, classes: Mapping[int, str] | None = None) -> None:
        super().__init__(config)
        assert isinstance(config.data, DataConfig)
        if config.data.crop % STRIDE:
            raise invalid("CONFIG-VALUE", "data.crop has to be a multiple of 32", value=config.data.crop)
        if config.data.scale[0] > config.data.scale[1]:
            raise invalid("CONFIG-VALUE", "data.scale has to be the least and then the largest scale", value=config.data.scale)
        self.pages = config.data
        self._splits: dict[str, Split] = {}
        self.classes = dict(classes or self.split("train").truth_set.classes)
        self.class_index = {label: index for index, label in enumerate(sorted(self.classes))}
        self.data_hash = "" if classes else self._hash()

    def split(self, name: str) -> Split:
        """Return a split: ``train``, ``val``, ``test``, or ``all`` development pages where the campaign made no split."""
        if name not in self._splits:
            findings = Findings()
            self._splits[name] = records.read_split(
                Path(self.pages.root),
                self.config.task,
                name,
                findings,
                split_seed=self.pages.split_seed,
                val_share=self.pages.val_share,
            )
            findings.raise_errors()
        return self._splits[name]

    def train_dataset(self) -> Pages:
        """Return the training pages."""
        return self.predict_dataset("train")

    def collate(self, items: list[dict[str, Any]]) -> Batch:
        """See :func:`collate`."""
        return collate(items)

    def prepare_data(self) -> None:
        """Fill the cache, on one process of the machine."""
        self.predict_dataset("train")
        self.predict_dataset("val")

    def predict_dataset(self, split: str) -> Pages:
        """Return the pages of a split; they are augmented when asked for by a :class:`Draw`."""
        samples = self.split(split).samples
        side, mode = cached_side(self.pages), self.pages.input
        pictures = cached_pictures(
            cache_dir(self.config),
            {sample.id: sample.image for sample in samples},
            f"drawnui {RECIPE} long side {side} {mode}",
            lambda path: load_page(path, side, mode),
        )
        return Pages(samples, pictures, self.class_index, self.pages)

    def _hash(self) -> str:
        digest = hashlib.sha256(repr(sorted(self.classes.items())).encode())
        for name in ("train", "val"):
            for key, truth in sorted(self.split(name).truth_set.truths.items()):
                digest.update(f"\n{name}\t{key}\t{truth.width}x{truth.height}".encode())
                digest.update(truth.boxes.tobytes() + truth.labels.tobytes())
        return digest.hexdigest()


def build_data(config: Config, classes: Mapping[int, str] | None = None) -> DrawnuiData:
    """Return the data module of a configuration; see :class:`DrawnuiData`."""
    return DrawnuiData(config, classes)
