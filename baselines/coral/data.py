"""Images to tensors: decoding, colour correction, crops with their targets, data sets and the data module."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from baselines.coral import records
from baselines.coral.records import Sample, Split, Truth, TruthSet
from baselines.coral.task import SUBSTRATES, DataConfig
from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.core.images import read_header
from baselines.core.paths import cache_dir
from baselines.training.augment import A, cv2
from baselines.training.cache import Picture, PictureCache, cached_pictures
from baselines.training.data import BaselineDataModule, Draw

STRIDE = 32  # the sides of a network's input are multiples of this
IGNORED = 255  # class of a pixel that nothing is learnt from
RECIPE = 1  # counts up when the same image would be prepared in another way, so that older caches are not used
TASK = "coral-parsing"  # whose polygons both tasks are trained on

# OpenCV decodes a JPEG at 1/2, 1/4 or 1/8 for much less than at full size (docs/benchmarks.md has the times).
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2, 1: cv2.IMREAD_COLOR}

Points = NDArray[np.float64]


class TrainBatch(TypedDict):
    """Crops with their targets.

    Attributes:
        ids: Images that the crops are of.
        images: ``(B, 3, S, S) uint8``.
        classes: ``(B, S, S) uint8`` campaign index, 0 for background, :data:`IGNORED` where nothing is known.
        depths: ``(B, S, S) float32`` in [0, 1], see :func:`depth_map`.
    """

    ids: list[str]
    images: Tensor
    classes: Tensor
    depths: Tensor


class WholeBatch(TypedDict):
    """Whole images.

    Attributes:
        ids: Images.
        pictures: Of each image ``(H, W, 3) uint8``, resized.
        sizes: ``(width, height)`` of the image files.
        truths: Of each image the points ``(P, 2)`` and offsets ``(N + 1,)`` of its rings, and its labels ``(N,)``.
    """

    ids: list[str]
    pictures: list[Tensor]
    sizes: list[tuple[int, int]]
    truths: list[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]]


# ------------------------------------------------------------------------------------------------------------- pictures


def fitted_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the size of an image whose longer side is ``side``.

    >>> fitted_size(4032, 3024, 504)
    (504, 378)
    """
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def load_picture(path: Path, side: int, colour: str) -> Picture:
    """Decode an image with its longer side at ``side`` pixels, and correct its colours; ``(H, W, 3) uint8`` RGB.

    Raises:
        OSError: If the file can't be decoded, or ends early.
    """
    header = read_header(path)
    size = fitted_size(header.width, header.height, side)
    factor = max(factor for factor in _REDUCED if factor == 1 or factor * max(size) <= max(header.width, header.height))
    content = np.fromfile(path, np.uint8)
    if content[:2].tobytes() == b"\xff\xd8" and b"\xff\xd9" not in content[-4096:].tobytes():
        raise OSError("the JPEG ends early")  # OpenCV would fill the rest with grey
    decoded = cv2.imdecode(content, _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
    if decoded is None:
        raise OSError("not an image that OpenCV knows")
    if (decoded.shape[1], decoded.shape[0]) != size:
        shrinks = decoded.shape[1] > size[0]
        decoded = cv2.resize(decoded, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return CORRECTIONS[colour](np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8))


def grey_world(picture: Picture) -> Picture:
    """Scale each channel so that its mean is that of all three: water has taken the red (Buchsbaum 1980).

    >>> grey_world(np.array([[[20, 80, 80], [40, 160, 160]]], np.uint8)).tolist()
    [[[60, 60, 60], [120, 120, 120]]]
    """
    means = picture.reshape(-1, 3).mean(axis=0)
    return _through_tables(picture, np.arange(256)[:, None] * (means.mean() / np.maximum(means, 1.0)))


def stretch(picture: Picture) -> Picture:
    """Spread each channel linearly from its 1st to its 99th percentile (simplest colour balance, Limare et al. 2011).

    >>> stretch(np.array([[[20, 80, 7], [40, 160, 7]]], np.uint8)).tolist()
    [[[0, 0, 7], [255, 255, 7]]]
    """
    low, high = np.percentile(picture.reshape(-1, 3), (1, 99), axis=0)
    is_flat = high - low < 1
    table = (np.arange(256)[:, None] - low) * 255 / np.where(is_flat, 1, high - low)
    return _through_tables(picture, np.where(is_flat, np.arange(256)[:, None], table))


def _through_tables(picture: Picture, tables: NDArray[np.float64]) -> Picture:
    """Map each channel by a column of ``tables (256, 3)``."""
    rounded = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
    return np.stack([rounded[picture[..., channel], channel] for channel in range(3)], axis=-1)


def _as_it_is(picture: Picture) -> Picture:
    return picture


CORRECTIONS = {"none": _as_it_is, "grey_world": grey_world, "stretch": stretch}


# ------------------------------------------------------------------------------------------------------------- targets


def paint(rings: Sequence[Points], labels: Sequence[int], size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the class and the object of each pixel, where rings overlap those of the smaller object.

    Args:
        rings: Outlines ``(n, 2)`` x, y in pixels.
        labels: Their campaign indices.
        size: Width and height.

    Returns:
        ``(H, W) uint8`` with 0 for background, and ``(H, W) int32`` with the place in ``rings`` counted from 1, 0 for none.
    """
    objects = np.zeros((size[1], size[0]), np.int32)
    areas = [abs(cv2.contourArea(ring.astype(np.float32))) for ring in rings]
    for index in np.argsort(areas, kind="stable")[::-1].tolist():
        cv2.fillPoly(objects, [np.rint(rings[index]).astype(np.int32)], index + 1)
    return np.array([0, *labels], np.uint8)[objects], objects


def depth_map(objects: NDArray[np.int32], full: float) -> NDArray[np.float32]:
    """Return how far inside its object each pixel is: 0 at the outline and outside, 1 from ``full`` pixels on.

    In an object that is thinner than that everywhere, the deepest pixel has 1. The distance ends at ``full`` so that a
    tile, which doesn't see the whole of a large object, can tell it; the idea of energies whose basins are the objects is
    the deep watershed transform's (Bai and Urtasun 2017, arXiv:1611.08303).

    Args:
        objects: ``(H, W)`` the object of each pixel, 0 for none.
        full: Pixels.

    >>> line = np.array([[0, 1, 1, 1, 1, 1, 2, 2, 2, 0]], np.int32).repeat(9, axis=0)
    >>> depth_map(line, 2.0)[4].tolist()
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0, 0.0]
    """
    inside = (objects > 0).astype(np.uint8)
    inside[:, :-1][objects[:, :-1] != objects[:, 1:]] = 0
    inside[:-1][objects[:-1] != objects[1:]] = 0
    distances = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    deepest = np.zeros(int(objects.max(initial=0)) + 1, np.float32)
    np.maximum.at(deepest, objects.ravel(), distances.ravel())
    return np.minimum(distances / np.maximum(np.minimum(deepest, full), 1e-6)[objects], 1).astype(np.float32)


class Images(Dataset[dict[str, Any]]):
    """The images of a split, whole when asked for by index, an augmented crop when asked for by a :class:`Draw`.

    Args:
        samples: The images.
        pictures: Their cached pictures.
        sizes: ``(width, height)`` of their files.
        config: The data configuration.
    """

    def __init__(
        self, samples: Sequence[Sample], pictures: PictureCache, sizes: Mapping[str, tuple[int, int]], config: DataConfig
    ) -> None:
        self.samples, self.pictures, self.sizes, self.config = samples, pictures, sizes, config
        self.colours = photometric(config.jitter)
        truths = [sample.truth for sample in samples if sample.truth is not None]
        labels = np.concatenate([np.zeros(0, np.int64), *(truth.labels for truth in truths)])
        places = [
            (index, number)
            for index, sample in enumerate(samples)
            if sample.truth
            for number in range(len(sample.truth.labels))
        ]
        counts = np.bincount(labels, minlength=1).astype(np.float64)
        self.objects = places  # (image, object) of each object
        weights = counts[labels] ** -config.balance if len(labels) else np.zeros(0)
        self.chances = np.cumsum(weights / weights.sum()) if len(labels) else weights

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.samples)

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        """Return one item of a batch, as NumPy arrays; a draw's seed decides all of its augmentation."""
        if isinstance(key, Draw):
            return self._crop(key)
        sample = self.samples[key]
        truth = sample.truth
        rings = (
            (truth.shapes.points, truth.shapes.offsets, truth.labels)
            if truth
            else (np.zeros((0, 2)), np.zeros(1, np.int64), np.zeros(0, np.int64))
        )
        return {"id": sample.id, "picture": self.pictures[sample.id], "size": self.sizes[sample.id], "truth": rings}

    def _crop(self, draw: Draw) -> dict[str, Any]:
        rng, config = np.random.default_rng(draw.seed), self.config
        index, target = draw.index, None
        if len(self.objects) and rng.random() < config.oversample:
            index, target = self.objects[min(int(np.searchsorted(self.chances, rng.random())), len(self.objects) - 1)]
        sample = self.samples[index]
        picture, size = self.pictures[sample.id], self.sizes[sample.id]
        factor = picture.shape[1] / size[0]
        matrix = random_affine(rng, self._center(rng, sample, target, factor), config)
        # Of the file's pixels: the one at x has its middle at x + 0.5.
        to_crop = matrix @ np.array([[factor, 0, factor / 2 - 0.5], [0, factor, factor / 2 - 0.5], [0, 0, 1]])
        side = config.crop
        image = cv2.warpAffine(
            np.asarray(picture), matrix[:2], (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        rings = [moved(ring, to_crop) for ring in sample.truth.shapes] if sample.truth else []
        visible = [
            number for number, ring in enumerate(rings) if (ring.max(axis=0) >= 0).all() and (ring.min(axis=0) < side).all()
        ]
        labels = sample.truth.labels[visible].tolist() if sample.truth else []
        classes, objects = paint([rings[number] for number in visible], labels, (side, side))
        classes[~self._annotated(size, to_crop)] = IGNORED
        self.colours.set_random_seed(draw.seed)
        return {
            "id": sample.id,
            "image": self.colours(image=image)["image"],
            "classes": classes,
            "depths": depth_map(objects, config.depth),
        }

    def _center(self, rng: np.random.Generator, sample: Sample, target: int | None, factor: float) -> Points:
        """Return the point of the cached picture that a crop is centred on: near an object's middle, or anywhere."""
        height, width = self.pictures[sample.id].shape[:2]
        if target is None or sample.truth is None:
            # Where the crop lies in the image, as far as it is smaller.
            least = np.minimum(self.config.crop / 2, [width / 2, height / 2])
            return rng.uniform(least, np.array([width, height]) - least)
        ring = sample.truth.shapes[target] * factor
        low, high = ring.min(axis=0), ring.max(axis=0)
        return (low + high) / 2 + rng.uniform(-0.3, 0.3, 2) * np.maximum(high - low, self.config.crop / 2)

    def _annotated(self, size: tuple[int, int], to_crop: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which pixels of a crop ``(S, S)`` the annotators looked at: not the border, nor what is outside."""
        left, right, bottom = self.config.border, size[0] - 1 - self.config.border, size[1] - 1 - self.config.border
        corners = np.array([[left, left], [right, left], [right, bottom], [left, bottom]], np.float64)
        mask = np.zeros((self.config.crop, self.config.crop), np.uint8)
        cv2.fillPoly(mask, [np.rint(moved(corners, to_crop)).astype(np.int32)], 1)
        return mask.astype(bool)


def random_affine(rng: np.random.Generator, center: Points, config: DataConfig) -> NDArray[np.float64]:
    """Return a random ``(3, 3)`` map from pixels of a picture to those of a crop that has ``center`` in its middle.

    It scales, turns a little and by quarters, and mirrors.
    """
    low, high = config.scale
    scale = math.exp(rng.uniform(math.log(low), math.log(high)))
    turn = math.radians(rng.uniform(-config.rotate, config.rotate) + 90 * int(rng.integers(4)))
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ np.diag([mirror, 1.0])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (config.crop - 1) / 2 - linear @ center
    return matrix


def moved(points: NDArray[Any], matrix: NDArray[np.float64]) -> Points:
    """Return points ``(n, 2)`` under an affine map ``(3, 3)``."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2], np.float64)


def photometric(strength: float) -> A.Compose:
    """Return the augmentations that leave outlines alone: colour, brightness, contrast, blur and noise."""
    if not strength:
        return A.Compose([])
    return A.Compose(
        [
            A.RGBShift(*(round(40 * strength),) * 3, p=0.7),
            A.HueSaturationValue(round(20 * strength), round(50 * strength), 0, p=0.5),
            A.RandomBrightnessContrast(0.4 * strength, 0.5 * strength, p=0.8),
            A.RandomGamma((round(100 - 50 * strength), round(100 + 80 * strength)), p=0.4),
            A.GaussianBlur((3, 5), p=0.3 * strength),
            A.GaussNoise((0.01, 0.06), noise_scale_factor=0.5, p=0.4 * strength),
        ]
    )


def collate(items: list[dict[str, Any]]) -> TrainBatch | WholeBatch:
    """Put crops, or whole images, into a batch; the crops are ``(B, 3, S, S)`` views in channels-last memory order."""
    if "picture" in items[0]:
        return {
            "ids": [item["id"] for item in items],
            "pictures": [torch.from_numpy(np.array(item["picture"])) for item in items],
            "sizes": [item["size"] for item in items],
            "truths": [item["truth"] for item in items],
        }
    stacked = {key: torch.from_numpy(np.stack([item[key] for item in items])) for key in ("image", "classes", "depths")}
    return {
        "ids": [item["id"] for item in items],
        "images": stacked["image"].permute(0, 3, 1, 2),
        "classes": stacked["classes"],
        "depths": stacked["depths"],
    }


# ------------------------------------------------------------------------------------------------------------- the module


class CoralData(BaselineDataModule):
    """Splits, cached pictures and loaders of both coral tasks; trained is on polygons.

    Args:
        config: The run's configuration.
        classes: Class names by campaign id, where a trained model says them; the substrates are always the 13.

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
        self.images = config.data
        self.classes = dict(SUBSTRATES)
        self.predicts_only = classes is not None  # then there may be no training set
        self.data_hash = "" if self.predicts_only else self._hash()

    def split(self, name: str) -> Split:
        """Return a split of polygons: ``train``, ``val``, ``all`` or ``test``."""
        return self._split_of(TASK, name)

    def truths_of(self, task: str, split: str) -> TruthSet:
        """Return the truth of a split for either task, of the images that :meth:`split` has."""
        truths, size = self._split_of(task, split).truth_set, self.split(split).truth_set
        nothing = records.truths_of_ids(size.truths, task).truths
        return TruthSet({name: truths.truths.get(name, nothing[name]) for name in size.truths}, records.KINDS[task])

    def _split_of(self, task: str, name: str) -> Split:
        settings = self.images
        reader = partial(
            records.read_split,
            Path(settings.root),
            task,
            name,
            split_seed=settings.split_seed,
            val_share=settings.val_share,
            by_place=settings.split_by == "place",
        )
        split: Split = self.read_once((task, name), reader)
        return split

    def train_dataset(self) -> Images:
        """Return the training images."""
        return self.predict_dataset("train")

    def collate(self, items: list[dict[str, Any]]) -> TrainBatch | WholeBatch:
        """Put items together; see :func:`collate`."""
        return collate(items)

    def predict_dataset(self, split: str) -> Images:
        """Return the images of a split; they are cropped and augmented when asked for by a :class:`Draw`."""
        read = self.split(split)
        side, colour = self.images.side, self.images.colour
        pictures = cached_pictures(
            cache_dir(self.config),
            self.sources(split),
            f"coral {RECIPE} side {side} {colour}",
            lambda path: load_picture(path, side, colour),
        )
        truths: Mapping[str, Truth] = read.truth_set.truths
        return Images(
            read.samples, pictures, {name: (truth.width, truth.height) for name, truth in truths.items()}, self.images
        )

    def _hash(self) -> str:
        digest = hashlib.sha256()
        for name in ("train", "val"):
            for key, truth in sorted(self.split(name).truth_set.truths.items()):
                digest.update(f"\n{name}\t{key}\t{truth.width}x{truth.height}".encode())
                digest.update(truth.shapes.points.tobytes() + truth.shapes.offsets.tobytes() + truth.labels.tobytes())
        return digest.hexdigest()


def build_data(config: Config, classes: Mapping[int, str] | None = None) -> CoralData:
    """Return the data module of a configuration; see :class:`CoralData`."""
    return CoralData(config, classes)
