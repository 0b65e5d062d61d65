"""The cards of the two drawnUI tasks."""

from __future__ import annotations

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

CARDS = (
    TaskCard(
        id="drawnui-wireframe",
        package="baselines.drawnui",
        version="2021.1",
        predicts="boxes of UI elements in a hand drawing",
        baseline="detector",
        unit="image",
        splits=("train", "val", "test"),
        metrics=_METRICS,
        run_file="submission.json",
        classes=WIREFRAME_CLASSES,
    ),
    TaskCard(
        id="drawnui-screenshot",
        package="baselines.drawnui",
        version="2021.1",
        predicts="boxes of UI elements in a web page",
        baseline="the same detector",
        unit="image",
        splits=("train", "val", "test"),
        metrics=_METRICS,
        run_file="submission.json",
    ),
)
