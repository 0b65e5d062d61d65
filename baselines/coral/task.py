"""The cards of the two coral tasks."""

from __future__ import annotations

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
        run_file="run.txt",  # this project's name: the campaign prescribed none that is known
        secondary="recall50",
        class_metrics=_CLASS_METRICS,
        classes=SUBSTRATES,
        example_ids=_EXAMPLE_IDS,
        example_truth=(
            "2018_0712_000000_001 0 c_algae_macro_or_leaves 1 1008 756 3024 2268\n"
            "2018_0712_000000_002 0 c_sponge 1 310 420 1890 1505\n"
            "2018_0712_000000_002 1 c_algae_macro_or_leaves 1 900 700 3100 2300\n"
        ),
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
        run_file="run.txt",  # this project's name, as above
        secondary="recall50",
        class_metrics=_CLASS_METRICS,
        classes=SUBSTRATES,
        example_ids=_EXAMPLE_IDS,
        example_truth=(
            "2018_0712_000000_001 0 c_algae_macro_or_leaves 1 1008 756 1008 2268 3024 2268 3024 756\n"
            "2018_0712_000000_002 0 c_sponge 1 310 420 290 1505 1100 1490 1890 640\n"
            "2018_0712_000000_002 1 c_algae_macro_or_leaves 1 900 700 950 2300 3100 2250 3000 800\n"
        ),
    ),
)
