"""The cards of the two drawnUI tasks, and their part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from baselines.core import config
from baselines.core.config import PositiveInt, Range, Share
from baselines.core.tasks import Metric, TaskCard

# Names and ids of the organisers' detection API; that the 2021 files use the same ids is inferred, so readers take both from
# the data and only compare them with this list. The names of the six screenshot classes are not known.
WIREFRAME_CLASSES = dict(
    enumerate(
        (
            *("paragraph", "dropdown", "checkbox", "radiobutton", "rating", "toggle", "textarea"),
            *("datepicker", "stepperinput", "slider", "video", "label", "table", "list"),
            *("header", "button", "image", "linebreak", "container", "link", "textinput"),
        ),
        start=1,
    )
)

MAX_DETECTIONS = 300  # a run holds at most this many boxes per image

_METRICS = (
    Metric("map50", "mean over classes of the average precision at IoU 0.5"),
    Metric("recall50", "mean over classes of the recall at IoU 0.5"),
)
_CLASS_METRICS = (Metric("ap50", "average precision of a class at IoU 0.5"),)
_EXAMPLE_IDS = ("0a1b2c3d.jpg", "4e5f6a7b.jpg")
_EXAMPLE_TRUTH = """[
{"file": "0a1b2c3d.jpg", "width": 400, "height": 600, "annotations": [
 {"box": [0.25, 0.25, 0.5, 0.5], "detectionClass": 1, "detectionString": "paragraph", "score": 1}]},
{"file": "4e5f6a7b.jpg", "width": 400, "height": 600, "annotations": [
 {"box": [0.5, 0.1, 0.4, 0.8], "detectionClass": 1, "detectionString": "paragraph", "score": 1},
 {"box": [0.1, 0.1, 0.2, 0.3], "detectionClass": 16, "detectionString": "button", "score": 1}]}
]
"""

CARDS = (
    TaskCard(
        id="drawnui-wireframe",
        package="baselines.drawnui",
        version="2021.1",
        predicts="boxes of UI elements in a hand drawing",
        baseline="detector",
        unit="image",
        splits=("train", "val", "all", "test"),
        metrics=_METRICS,
        run_file="submission.json",
        secondary="recall50",
        class_metrics=_CLASS_METRICS,
        classes=WIREFRAME_CLASSES,
        files=(
            "drawnui/wireframe_development_set/development_set.json",
            "drawnui/wireframe_development_set/images/*.jpg",
            "drawnui/wireframe_test_set/test/*.jpg",
        ),
        example_ids=_EXAMPLE_IDS,
        example_truth=_EXAMPLE_TRUTH,
    ),
    TaskCard(
        id="drawnui-screenshot",
        package="baselines.drawnui",
        version="2021.1",
        predicts="boxes of UI elements in a web page",
        baseline="the same detector",
        unit="image",
        splits=("train", "val", "all", "test"),
        metrics=_METRICS,
        run_file="submission.json",
        secondary="recall50",
        class_metrics=_CLASS_METRICS,
        files=(
            "drawnui/screenshot_development_set/train/train_set.json",
            "drawnui/screenshot_development_set/train/images/*.jpg",
            "drawnui/screenshot_development_set/validation/val_set.json",
            "drawnui/screenshot_development_set/validation/images/*.jpg",
            "drawnui/screenshot_test_set/test/images/*.jpg",
        ),
        example_ids=_EXAMPLE_IDS,
        example_truth=_EXAMPLE_TRUTH,
    ),
)


@dataclass(frozen=True, kw_only=True)
class DataConfig(config.DataConfig):
    """How pages become tensors.

    Attributes:
        input: ``ink`` reduces a page to one channel of contrast-normalised ink; ``rgb`` keeps the colours.
        page_side: Square root of a page's area at scale 1, in pixels; pages are validated and predicted at this size.
        crop: Square root of the area that a training page is cropped or padded to, in pixels; its shape is the usual one of the
            training pages, and its sides are rounded to multiples of 32.
        scale: Least and largest random scale of a training page.
        shift: Largest random shift, as a share of the crop's sides.
        rotate: Largest random rotation, in degrees.
        aspect: Largest random stretch of either axis, as a share.
        jitter: Strength of random changes of brightness, contrast, colour, strokes, blur and noise; 0 leaves them out.
        cutout: Probability of cutting small rectangles out.
    """

    input: Literal["ink", "rgb"] = "ink"
    page_side: Annotated[int, Range(32, 8192)] = 1100
    crop: Annotated[int, Range(32, 8192)] = 1024
    scale: tuple[Annotated[float, Range(0.1, 4)], Annotated[float, Range(0.1, 4)]] = (0.75, 1.25)
    shift: Share = 0.1
    rotate: Annotated[float, Range(0, 45)] = 2.0
    aspect: Annotated[float, Range(0, 0.5)] = 0.1
    jitter: Share = 1.0
    cutout: Share = 0.5


@dataclass(frozen=True, kw_only=True)
class ModelConfig(config.ModelConfig):
    """The detector.

    Attributes:
        name: ``center`` is the dense one (``center.py``), ``two_stage`` is Faster R-CNN (``two_stage.py``).
        backbone: Name of a timm backbone with features at strides 4, 8, 16 and 32.
        widths: Channels of a ResNet's four stages, where they are not the backbone's own (then no published weights fit).
        stem_width: Width of a ResNet's stem, likewise.
        channels: Width of the pyramid and head.
        tower: Number of 3 × 3 convolutions at stride 4 before the heads of ``center``.
        anchor_sizes: Anchor sides of the five levels of ``two_stage``, in pixels of the network's input.
        max_detections: Most detections of a page; a run holds 300.
        nms_iou: Of two detections of a class that overlap more than this, the weaker one goes.
        min_score: Least score of a detection.
    """

    name: Literal["center", "two_stage"] = "center"
    backbone: str = "resnet50"
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] | None = None
    stem_width: PositiveInt | None = None
    channels: PositiveInt = 128
    tower: PositiveInt = 2
    anchor_sizes: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (16, 32, 64, 128, 256)
    max_detections: PositiveInt = MAX_DETECTIONS
    nms_iou: Share = 0.6
    min_score: Annotated[float, Range(0.0001, 0.9)] = 0.01
