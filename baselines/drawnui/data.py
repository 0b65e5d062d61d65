"""Pages to tensors: contrast normalisation, box-aware augmentation, data sets and the data module."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.core.images import read_header
from baselines.core.paths import cache_dir
from baselines.drawnui.records import Sample
from baselines.drawnui.task import DataConfig
from baselines.training.augment import A, cv2
from baselines.training.cache import Picture, PictureCache, cached_pictures, decode_rgb
from baselines.training.data import BaselineDataModule, Draw

STRIDE = 32  # the sides of a network's input are multiples of this
PAPER = {"ink": 0, "rgb": 124}  # what fills the outside of a page: no ink; the mean of ImageNet
LONGEST = 4  # times ``page_side`` is the most that a page's longer side has
RECIPE = 2  # counts up when the same page would be prepared in another way, so that older caches are not used
MIN_VISIBLE = 0.5  # a box of which less than this is left in the crop is dropped


class Batch(TypedDict):
    """Pages in pictures of one size.

    Attributes:
        ids: File names.
        images: ``(B, C, H, W) uint8``.
        scales: Network pixels per pixel of the image file along x and y; NaN where augmented.
        sizes: ``(width, height)`` of the image files.
        boxes: For each page ``(N, 4) float32`` xyxy in network pixels.
        labels: For each page ``(N,) int64`` class indices from 0.
    """

    ids: list[str]
    images: Tensor
    scales: list[tuple[float, float]]
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


def page_size(width: int, height: int, side: float) -> tuple[int, int]:
    """Return the size in pixels at which a page has the area of a square of ``side``, within ``LONGEST`` sides.

    By area and not by the longer side: on a long strip of a page the elements are as large as on a whole one.

    >>> page_size(1200, 900, 300), page_size(1600, 400, 300), page_size(1, 1000, 300)
    ((346, 260), (600, 150), (1, 1200))
    """
    scale = min(side / math.sqrt(width * height), LONGEST * side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def load_page(path: Path, side: float, mode: str) -> Picture:
    """Decode a page at the size that :func:`page_size` says and return it as ``(H, W, 1)`` ink or ``(H, W, 3)`` RGB, uint8."""
    size = page_size(*read_header(path).size, side)
    picture = resized(decode_rgb(path, max(size)), size)
    return ink(picture) if mode == "ink" else picture


def resized(page: Picture, size: tuple[int, int]) -> Picture:
    """Return a page ``(H, W, C)`` at another size, ``(width, height)``."""
    if size == (page.shape[1], page.shape[0]):
        return page
    shrinks = size[0] < page.shape[1]
    changed = cv2.resize(page, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(changed, np.uint8).reshape(size[1], size[0], page.shape[2])


def cached_side(config: DataConfig) -> float:
    """Return ``page_side`` of a cached picture: as large as the augmentation enlarges a page, so that nothing blurs."""
    return config.page_side * config.scale[1]


def crop_size(sizes: Sequence[tuple[int, int]], side: float) -> tuple[int, int]:
    """Return ``(width, height)`` of what a training page is cropped or padded to: a square's area in the pages' usual shape.

    A square around pages that all lie or all stand would be padding to a quarter. It is one shape for all batches, since
    libraries of kernels, oneDNN among them, prepare anew for each.

    Args:
        sizes: ``(width, height)`` of the training pages; the median of width / height is the shape.
        side: Side of the square; width and height are rounded to multiples of 32.

    >>> crop_size([(1200, 900), (800, 600), (100, 900)], 320), crop_size([(500, 500)], 1024)
    ((384, 288), (1024, 1024))
    """
    # The logarithm, so that as many lying as standing pages have a square.
    shape = math.exp(np.median([math.log(width / height) for width, height in sizes]))
    stretch = min(max(math.sqrt(shape), 1 / LONGEST), LONGEST)
    width, height = (max(1, round(length / STRIDE)) * STRIDE for length in (side * stretch, side / stretch))
    return width, height


def geometric(config: DataConfig, crop: tuple[int, int]) -> A.Compose:
    """Return the augmentations that move boxes: scale, position, a little rotation, shear and aspect; never a mirror."""
    width, height = crop
    fill = PAPER[config.input]
    smallest, largest = (bound / config.scale[1] for bound in config.scale)
    aspect = (1 - config.aspect, 1 + config.aspect)
    return A.Compose(
        [
            A.RandomScale((smallest - 1, largest - 1), p=1),
            A.PadIfNeeded(height, width, position="random", border_mode=cv2.BORDER_CONSTANT, fill=fill),
            A.RandomCrop(height, width),
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
    """Return the augmentations that leave boxes alone: brightness, contrast, colour, stroke width, blur, noise and cutout."""
    jitter = config.jitter
    # Half to one and a half times the saturation, in half of the pages, as the team that won 2021 did (spec page, section 5).
    saturation = A.ColorJitter((1, 1), (1, 1), (1 - 0.5 * jitter, 1 + 0.5 * jitter), (0, 0), p=0.5)
    colour = [saturation] if config.input == "rgb" else []
    return A.Compose(
        [
            *colour,
            A.RandomGamma((100 - 40 * jitter, 100 + 60 * jitter), p=0.8),
            A.RandomBrightnessContrast(0.3 * jitter, 0.3 * jitter, p=0.8),
            A.GaussianBlur((3, 5), p=0.3 * jitter),
            A.Morphological(scale=(2, 2), operation="dilation" if config.input == "ink" else "erosion", p=0.15 * jitter),
            A.GaussNoise((0.02, 0.08), noise_scale_factor=0.5, p=0.4 * jitter),
            A.CoarseDropout((1, 4), (0.02, 0.08), (0.02, 0.08), fill=PAPER[config.input], p=config.cutout),
        ]
    )


class Pages(Dataset[dict[str, Any]]):
    """The pages of a split, whole when asked for by index, augmented when asked for by a :class:`Draw`.

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

    @cached_property
    def augmentations(self) -> tuple[A.Compose, A.Compose]:
        """What moves boxes, and what leaves them alone."""
        crop = crop_size([self._size(sample) for sample in self.samples], self.config.crop)
        return geometric(self.config, crop), photometric(self.config)

    @staticmethod
    def _size(sample: Sample) -> tuple[int, int]:
        """Return width and height of a page's file."""
        return (sample.truth.width, sample.truth.height) if sample.truth else read_header(sample.image).size

    def __len__(self) -> int:
        """Return the number of pages."""
        return len(self.samples)

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        """Return one page in the terms of :class:`Batch`, as NumPy arrays; a draw's seed decides all of its augmentation."""
        sample = self.samples[key.index if isinstance(key, Draw) else key]
        page = self.pictures[sample.id]
        size = self._size(sample)
        if not isinstance(key, Draw):
            page = resized(page, page_size(*size, self.config.page_side))
        scale = page.shape[1] / size[0], page.shape[0] / size[1]
        boxes, labels = self._truth_of(sample, *scale)
        if isinstance(key, Draw):
            page, boxes, labels = self._augment(page, boxes, labels, key.seed)
            scale = math.nan, math.nan
        return {"id": sample.id, "image": page, "boxes": boxes, "labels": labels, "scale": scale, "size": size}

    def _truth_of(self, sample: Sample, scale_x: float, scale_y: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return boxes in pixels of the cached picture, and class indices; boxes of classes that the model lacks go."""
        if sample.truth is None:
            return np.zeros((0, 4)), np.zeros(0, np.int64)
        labels = np.array([self.class_index.get(label, -1) for label in sample.truth.labels.tolist()], np.int64)
        known = labels >= 0
        return sample.truth.boxes[known] * [scale_x, scale_y, scale_x, scale_y], labels[known]

    def _augment(
        self, page: Picture, boxes: NDArray[np.float64], labels: NDArray[np.int64], seed: int
    ) -> tuple[Picture, NDArray[np.float64], NDArray[np.int64]]:
        moves, looks = self.augmentations
        moves.set_random_seed(seed)
        looks.set_random_seed(seed)
        moved = moves(image=np.array(page), bboxes=boxes, labels=labels)
        page = looks(image=moved["image"])["image"]
        return page, np.asarray(moved["bboxes"], np.float64).reshape(-1, 4), np.asarray(moved["labels"], np.int64)


def collate(items: list[dict[str, Any]], fill: int) -> Batch:
    """Put pages together, each in the top left of a picture that has room for all, its sides multiples of 32.

    The images are ``(B, C, H, W)`` views in channels-last memory order, as the network wants them.
    """
    height, width = (-(-max(item["image"].shape[axis] for item in items) // STRIDE) * STRIDE for axis in (0, 1))
    images = np.full((len(items), height, width, items[0]["image"].shape[2]), fill, np.uint8)
    for image, item in zip(images, items, strict=True):
        page = item["image"]
        image[: page.shape[0], : page.shape[1]] = page
    return {
        "ids": [item["id"] for item in items],
        "images": torch.from_numpy(images).permute(0, 3, 1, 2),
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
        InvalidInput: If the data can't be read, no training page has a box, or the scales are the wrong way round.
    """

    def __init__(self, config: Config, classes: Mapping[int, str] | None = None) -> None:
        super().__init__(config)
        assert isinstance(config.data, DataConfig)
        if config.data.scale[0] > config.data.scale[1]:
            raise invalid("CONFIG-VALUE", "data.scale has to be the least and then the largest scale", value=config.data.scale)
        self.pages = config.data
        self.predicts_only = classes is not None
        self.classes = dict(classes or self._trained_classes())
        self.class_index = {label: index for index, label in enumerate(sorted(self.classes))}
        self.data_hash = "" if self.predicts_only else self._hash()

    def _trained_classes(self) -> Mapping[int, str]:
        self.require_samples("train")
        truth_set = self.split("train").truth_set
        if not any(len(truth.labels) for truth in truth_set.truths.values()):
            hint = 'every record names its boxes under "annotations"'
            raise invalid("DATA-EMPTY", "no training page has a box", file=self.config.data.root, hint=hint)
        classes: Mapping[int, str] = truth_set.classes
        return classes

    def train_dataset(self) -> Pages:
        """Return the training pages."""
        return self.predict_dataset("train")

    def collate(self, items: list[dict[str, Any]]) -> Batch:
        """Put pages together; see :func:`collate`."""
        return collate(items, PAPER[self.pages.input])

    def predict_dataset(self, split: str) -> Pages:
        """Return the pages of a split; they are augmented when asked for by a :class:`Draw`."""
        samples = self.split(split).samples
        side, mode = cached_side(self.pages), self.pages.input
        recipe = f"drawnui {RECIPE} side {side:g} {mode}"
        if self.predicts_only:  # without the pixels that augmentation wants, reduced as they would be later
            recipe += f" shown at {self.pages.page_side}"

        def load(path: Path) -> Picture:
            page = load_page(path, side, mode)
            return resized(page, page_size(*read_header(path).size, self.pages.page_side)) if self.predicts_only else page

        pictures = cached_pictures(cache_dir(self.config), self.sources(split), recipe, load)
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
