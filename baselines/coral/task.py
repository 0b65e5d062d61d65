"""The cards of the two coral tasks, and their part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from baselines.core import config
from baselines.core.config import Count, NonNegative, PositiveInt, Range, Share
from baselines.core.tasks import Metric, TaskCard

# The organisers' spelling and index. The index decides which substrate a pixel counts for where two overlap.
SUBSTRATES = dict(
    enumerate(
        (
            *("c_algae_macro_or_leaves", "c_fire_coral_millepora", "c_hard_coral_boulder", "c_hard_coral_branching"),
            *("c_hard_coral_encrusting", "c_hard_coral_foliose", "c_hard_coral_mushroom", "c_hard_coral_submassive"),
            *("c_hard_coral_table", "c_soft_coral", "c_soft_coral_gorgonian", "c_sponge", "c_sponge_barrel"),
        ),
        start=1,
    )
)

IMAGE_SIZE = (4032, 3024)  # all images that are known; the annotation files don't say, and that all have it is not verified
MAX_DETECTIONS = 300  # per image and substrate; further ones don't count for the average precision
MAX_POINTS = 500  # of a ring in a run

_METRICS = (
    Metric("map50", "mean over substrates of the average precision at IoU 0.5"),
    Metric("recall50", "mean over substrates of the recall at IoU 0.5"),
    Metric("map0", 'map50 with any overlap as a match: our reading of "without localisation"'),
    Metric("iou.overall", "pixels with the same substrate in truth and run over pixels in either, all substrates together"),
)
_CLASS_METRICS = (
    Metric("iou", "pixels of a substrate in both truth and run over those in either"),
    Metric("ap50", "average precision of a substrate at IoU 0.5"),
)
_FILES = (  # under these or other names: the reader knows them by content
    "coral/training_set_2021_02_04/training_set_task_2_2021_02_04.csv",
    "coral/training_set_2021_02_04/annotations_boxes_training.csv",
    "coral/training_set_2021_02_04/*/*.JPG",
    "coral/test_set_2021_05_11/*/*.JPG",
)
_EXAMPLE_IDS = ("2018_0712_000000_001", "2018_0712_000000_002")

CARDS = (
    TaskCard(
        id="coral-annotation",
        package="baselines.coral",
        version="2021.1",
        predicts="boxes of 13 substrates",
        baseline="segmentation model, boxes from its instances",
        unit="image",
        splits=("train", "val", "all", "test"),
        metrics=_METRICS,
        run_file="run-boxes.txt",  # this project's name: the campaign prescribed none that is known
        secondary="recall50",
        class_metrics=_CLASS_METRICS,
        classes=SUBSTRATES,
        files=_FILES,
        example_ids=_EXAMPLE_IDS,
        example_truth=(
            "2018_0712_000000_001 0 c_algae_macro_or_leaves 1 1008 756 3024 2268\n"
            "2018_0712_000000_002 0 c_sponge 1 310 420 1890 1505\n"
            "2018_0712_000000_002 1 c_algae_macro_or_leaves 1 900 700 3100 2300\n"
        ),
        experiment="coral",
        fitted_by="coral-parsing",
    ),
    TaskCard(
        id="coral-parsing",
        package="baselines.coral",
        version="2021.1",
        predicts="polygons of 13 substrates",
        baseline="the same segmentation model",
        unit="image",
        splits=("train", "val", "all", "test"),
        metrics=_METRICS,
        run_file="run-polygons.txt",  # this project's name, as above
        secondary="recall50",
        class_metrics=_CLASS_METRICS,
        classes=SUBSTRATES,
        files=_FILES,
        example_ids=_EXAMPLE_IDS,
        example_truth=(
            "2018_0712_000000_001 0 c_algae_macro_or_leaves 1 1008 756 1008 2268 3024 2268 3024 756\n"
            "2018_0712_000000_002 0 c_sponge 1 310 420 290 1505 1100 1490 1890 640\n"
            "2018_0712_000000_002 1 c_algae_macro_or_leaves 1 900 700 950 2300 3100 2250 3000 800\n"
        ),
        experiment="coral",
    ),
)


@dataclass(frozen=True, kw_only=True)
class DataConfig(config.DataConfig):
    """How images become tensors. Lengths are in pixels of the network's input unless something else is said.

    Attributes:
        side: Longer side that images are resized to, once, for the cache; predictions are made at this size.
        crop: Side of the square that training sees of an image; a multiple of 32.
        scale: Least and largest random scale of a crop.
        rotate: Largest random rotation, in degrees; quarter turns and mirrors come on top.
        oversample: Share of the crops that are centred on an object drawn by substrate, rare ones more often; the others are
            anywhere in the image whose turn it is.
        balance: How much rarer substrates gain there: a substrate of n objects is drawn in proportion to n ** (1 - balance);
            1 draws all alike, 0 as they come.
        jitter: Strength of random colours, contrast and blur, from 0 to 1.
        colour: Underwater colour correction: ``none``; ``grey_world`` makes the channels' means equal; ``stretch`` spreads each
            channel from its 1st to its 99th percentile.
        border: Pixels of the image file along its border that the annotators left out; not trained on.
        depth: Distance from its outline at which the inside of an object counts as fully inside.
        split_by: ``place`` holds whole places out for validation, ``random`` images of all places.
    """

    side: Annotated[int, Range(64, 8192)] = 2016
    crop: Annotated[int, Range(64, 4096)] = 768
    scale: tuple[Annotated[float, Range(0.2, 5)], Annotated[float, Range(0.2, 5)]] = (0.7, 1.4)
    rotate: Annotated[float, Range(0, 180)] = 20.0
    oversample: Share = 0.5
    balance: Share = 0.5
    jitter: Share = 0.5
    colour: Literal["none", "grey_world", "stretch"] = "none"
    border: Count = 10
    depth: Annotated[float, Range(1, 200)] = 12.0
    split_by: Literal["place", "random"] = "place"


@dataclass(frozen=True, kw_only=True)
class ModelConfig(config.ModelConfig):
    """The segmentation model, and how its maps become objects.

    Attributes:
        name: Architecture of segmentation-models-pytorch.
        encoder: Name of a timm backbone.
        decoder: Channels of the decoder, where it is widest.
        window: Side of the tiles that an image is predicted in; a multiple of 32.
        overlap: Share of a tile that the next one covers again.
        tile_batch: Tiles at a time.
        flips: Whether to average over the image and its mirrors when predicting.
        scales: Scales of the image to average over when predicting.
        instances: ``cores`` separates touching objects by what lies deep inside each; ``components`` takes the connected parts
            of each substrate.
        marker: Depth from which on a pixel belongs to an object's core.
        foreground: Probability of any substrate from which on a pixel belongs to an object.
        min_area: Least area of an object, in pixels of the network's input.
        min_score: Least score of an object.
        tolerance: How far a polygon may be from the outline, in pixels of the image file.
        hole: A hole of at least this share of an object's area is opened by a slit, since a polygon has none; smaller ones are
            filled.
    """

    name: Literal["unet", "unetplusplus", "fpn", "deeplabv3plus", "segformer", "upernet"] = "unet"
    encoder: str = "resnet50"
    decoder: Annotated[int, Range(16, 2048)] = 256
    window: Annotated[int, Range(64, 4096)] = 768
    overlap: Annotated[float, Range(0, 0.9)] = 0.25
    tile_batch: PositiveInt = 8
    flips: bool = False
    scales: tuple[Annotated[float, Range(0.2, 5)], ...] = (1.0,)
    instances: Literal["cores", "components"] = "cores"
    marker: Share = 0.8
    foreground: Share = 0.5
    min_area: Count = 40
    min_score: Share = 0.05
    tolerance: NonNegative = 2.0
    hole: Share = 0.1
