"""``imageclef bench score`` and ``bench check``: how fast runs are scored and data sets checked, without torch.

Where another engine computes the same numbers, both take the same files in turn (A B A B …), and the ratio of the medians is
what carries over to another machine. The inputs are made anew, seeded, in a temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import baselines
from baselines.core import report
from baselines.core.checks import NEAR_DISTANCE
from baselines.core.findings import UsageError
from baselines.core.images import near_pairs
from baselines.core.outputs import check_outputs, write_json_atomic
from baselines.core.scorer import Scorer, Settings, score_files
from baselines.core.tasks import get_task

ROUNDS = 5
SEED = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result.

    Attributes:
        what: What was measured.
        seconds: The median over the rounds.
        ratio: The same over what it is compared with, below 1 where it is faster; ``None`` without a comparison.
        to: What it is compared with.
        memory: The most memory the process took, in MiB; ``None`` where it isn't measured.
    """

    what: str
    seconds: float
    ratio: float | None = None
    to: str = ""
    memory: float | None = None


def bench(args: argparse.Namespace) -> int:
    """Measure scoring or checking and print the figures, or leave it to :mod:`baselines.training.bench`.

    Args:
        args: ``what``, where anything but ``score`` and ``check`` needs torch; ``task``, a task id or ``None`` for all that are
            measured; ``overrides``, which these two don't take; ``json``, a file to write the figures to, or ``None``.

    Raises:
        InvalidInput: If the file can't be written where it should.
        UsageError: If there is no such task, nothing is measured for it, or there are overrides.
    """
    measures = {"score": MEASURES, "check": CHECK_MEASURES}.get(args.what)
    if measures is None:
        code: int = importlib.import_module("baselines.training.bench").bench(args)
        return code
    if args.overrides:
        raise UsageError(f"bench {args.what} takes no overrides (saw {' '.join(args.overrides)})")
    if args.task is not None and get_task(args.task).id not in measures:
        raise UsageError(f"nothing is measured for {args.task}: the tasks are {', '.join(measures)}")
    check_outputs([], [("--json", args.json)])
    figures: list[Figure] = []
    for task in [args.task] if args.task else measures:
        if sys.stderr.isatty():
            sys.stderr.write(f"measuring {task} …\n")
        with tempfile.TemporaryDirectory() as folder:
            figures += measures[task](Path(folder))
    table = report.cells_table(
        ("what", "seconds", "ratio", "to", "MiB"),
        [
            (
                figure.what,
                f"{figure.seconds:.3f}",
                report.NOTHING if figure.ratio is None else f"{figure.ratio:.3f}",
                figure.to or report.NOTHING,
                report.NOTHING if figure.memory is None else f"{figure.memory:.0f}",
            )
            for figure in figures
        ],
        prose=("what", "to"),
    )
    report.show(table)
    if args.json is not None:
        results = {
            "device": f"{platform.machine()}, {platform.platform()}",
            "results": [asdict(figure) for figure in figures],
        }
        write_json_atomic(args.json, {"what": args.what, **provenance(("numpy",)), **results})
    return 0


def provenance(packages: Sequence[str]) -> dict[str, Any]:
    """Return what figures mean nothing without: command, date, and the versions of these packages."""
    versions = {"imageclef-baselines": baselines.__version__, "python": platform.python_version()}
    return {
        "command": " ".join(("imageclef", *sys.argv[1:])),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions | {name: version(name) for name in packages},
    }


def time_in_turn(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each side's calls, one in each round; a first call of each isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, call in sides.items():
            start = time.perf_counter()
            call()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


# ------------------------------------------------------------------------------------------------------------ detection

IMAGES, BOXES = 1818, 100  # of a truth and a run of drawnui-wireframe
SIDE = 1000


def _measure_detection(folder: Path) -> Iterator[Figure]:
    """Score boxes against each COCO library that is installed, parse included; and time the bootstrap."""
    truth, run = folder / "truth.json", folder / "run.json"
    generator = np.random.default_rng(SEED)
    boxes = [_boxes(generator) for _ in range(IMAGES)]
    labels = [generator.integers(1, 22, BOXES) for _ in range(IMAGES)]
    names = get_task("drawnui-wireframe").classes
    _write_pages(truth, boxes, labels, [np.ones(BOXES)] * IMAGES, names)
    moved = [np.clip(each + generator.normal(0, 0.01, each.shape), 0.001, 0.5) for each in boxes]
    _write_pages(run, moved, labels, list(generator.random((IMAGES, BOXES))), names)

    sides: dict[str, Callable[[], object]] = {"imageclef": lambda: score_files("drawnui-wireframe", truth, run)}
    sides |= {name: _coco_side(name, truth, run) for name in COCO_LIBRARIES if importlib.util.find_spec(name)}
    seconds = {name: statistics.median(each) for name, each in time_in_turn(sides, ROUNDS).items()}
    what = f"drawnui-wireframe, {IMAGES} images of {BOXES} boxes in truth and run, parse included"
    for other in [name for name in seconds if name != "imageclef"] or [""]:
        yield Figure(what, seconds["imageclef"], seconds["imageclef"] / seconds[other] if other else None, other)

    scorer = Scorer("drawnui-wireframe", truth, None, Settings())
    predictions = scorer.card.module("runs").read_run(run, scorer.truth_set, scorer.about_truth)
    evaluation = scorer.evaluate(scorer.truth_set, predictions)
    weights = np.random.default_rng(SEED).multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), 1000)
    both = time_in_turn(
        {"one": lambda: scorer.evaluate(scorer.truth_set, predictions), "many": lambda: evaluation.resample(weights)}, rounds=3
    )
    one, many = (statistics.median(both[name]) for name in ("one", "many"))
    yield Figure("1,000 resamples of its metrics", many, many / one, "a single evaluation")


def _boxes(generator: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return ``(BOXES, 4)`` relative ``[y, x, height, width]`` that stay inside the image after a small move."""
    return np.hstack([generator.uniform(0.05, 0.45, (BOXES, 2)), generator.uniform(0.05, 0.45, (BOXES, 2))])


def _write_pages(path: Path, boxes: Sequence[Any], labels: Sequence[Any], scores: Sequence[Any], names: Any) -> None:
    pages = [
        {
            "file": f"{number:05d}.jpg",
            "width": SIDE,
            "height": SIDE,
            "annotations": [
                {"box": box, "detectionClass": label, "detectionString": names[label], "score": score}
                for box, label, score in zip(mine.tolist(), classes.tolist(), sure.tolist(), strict=True)
            ],
        }
        for number, (mine, classes, sure) in enumerate(zip(boxes, labels, scores, strict=True))
    ]
    path.write_text(json.dumps(pages))


COCO_LIBRARIES = {  # by package: the modules and names of its COCO and COCOeval
    "pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "COCO", "COCOeval"),
    "faster_coco_eval": ("faster_coco_eval", "faster_coco_eval", "COCO", "COCOeval_faster"),
    "hotcoco": ("hotcoco", "hotcoco", "COCO", "COCOeval"),
}


def _coco_side(library: str, truth: Path, run: Path) -> Callable[[], object]:
    """Return a call that reads both files and has a COCO library compute AP and recall at IoU 0.5."""
    coco_module, eval_module, coco_name, eval_name = COCO_LIBRARIES[library]

    def evaluate() -> object:
        coco_class = getattr(importlib.import_module(coco_module), coco_name)
        eval_class = getattr(importlib.import_module(eval_module), eval_name)
        dataset, detections = _as_coco(truth, run)
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                coco = coco_class(dataset)
            except (TypeError, AttributeError):
                coco = coco_class()
                coco.dataset = dataset
                coco.createIndex()
            evaluation = eval_class(coco, coco.loadRes(detections), "bbox")
            evaluation.params.iouThrs = np.array([0.5])
            evaluation.params.maxDets = [300]
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation

    return evaluate


def _as_coco(truth: Path, run: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    pages = json.loads(truth.read_text())
    images = [{"id": number, "width": SIDE, "height": SIDE} for number in range(1, len(pages) + 1)]
    annotations = [
        {"id": 0, "image_id": number, "category_id": each["detectionClass"], "bbox": _xywh(each["box"]), "iscrowd": 0}
        for number, page in enumerate(pages, start=1)
        for each in page["annotations"]
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation |= {"id": number, "area": annotation["bbox"][2] * annotation["bbox"][3]}
        annotations[number - 1] = annotation
    numbers = {page["file"]: number for number, page in enumerate(pages, start=1)}
    detections = [
        {
            "image_id": numbers[page["file"]],
            "category_id": each["detectionClass"],
            "bbox": _xywh(each["box"]),
            "score": each["score"],
        }
        for page in json.loads(run.read_text())
        for each in page["annotations"]
    ]
    categories = [{"id": label, "name": name} for label, name in get_task("drawnui-wireframe").classes.items()]
    return {"images": images, "annotations": annotations, "categories": categories}, detections


def _xywh(box: list[float]) -> list[float]:
    y, x, height, width = (value * SIDE for value in box)
    return [x, y, width, height]


# ----------------------------------------------------------------------------------------------------------------- text

CAPTIONS, ANSWERS = 10_000, 500
WORDS = (
    "chest x-ray showing a large pleural effusion on the left side with mild cardiomegaly and no evidence of pneumothorax "
    "axial contrast enhanced computed tomography scan of abdomen demonstrates well defined hypodense lesion in right lobe liver"
).split()


def _sentences(generator: np.random.Generator, count: int, length: int) -> list[str]:
    return [" ".join(words) for words in generator.choice(WORDS, (count, length)).tolist()]


def _measure_captions(folder: Path) -> Iterator[Figure]:
    """Score captions, reading included."""
    generator = np.random.default_rng(SEED)
    truth, run = folder / "truth.txt", folder / "run.csv"
    for path, separator in ((truth, "\t"), (run, "|")):
        sentences = _sentences(generator, CAPTIONS, 20)
        path.write_text("".join(f"synpic{number}{separator}{text}\n" for number, text in enumerate(sentences)))
    seconds = time_in_turn({"": lambda: score_files("caption-prediction", truth, run)}, rounds=3)[""]
    yield Figure(f"caption-prediction, {CAPTIONS:,} captions of 20 words, parse included", statistics.median(seconds))


def _measure_answers(folder: Path) -> Iterator[Figure]:
    """Time `imageclef score vqa` from start to exit."""
    generator = np.random.default_rng(SEED)
    truth, run = folder / "truth.txt", folder / "run.txt"
    for path in (truth, run):
        answers = _sentences(generator, ANSWERS, 3)
        path.write_text("".join(f"synpic{number}|{text}\n" for number, text in enumerate(answers)))
    yield _command(f"`imageclef score vqa`, {ANSWERS} answers, 1,000 resamples, start to exit", "vqa", truth, run, ROUNDS)


def _command(what: str, task: str, truth: Path, run: Path, rounds: int) -> Figure:
    """Time the command in a process of its own, and take its peak memory."""
    command = [sys.executable, "-c", _COMMAND, "score", task, "--truth", str(truth), "--run", str(run)]
    seconds, peak = [], ""
    for _ in range(rounds):
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  our own interpreter and package
        seconds.append(time.perf_counter() - start)
        peak = done.stderr.splitlines()[-1]
    return Figure(what, statistics.median(seconds), memory=float(peak) / 2**10 if peak.isdigit() else None)


# Prints its seconds of a core, and its own peak in KiB: on Linux what getrusage says of a child includes the parent's size
# before exec.
_COMMAND = """
import re, sys, time
from pathlib import Path
from baselines.cli import main
code = main(sys.argv[1:])
status = Path("/proc/self/status")
peak = re.search(r"VmHWM:\\s*(\\d+)", status.read_text()) if status.exists() else None
print(time.process_time(), file=sys.stderr)
print(peak[1] if peak else "unknown", file=sys.stderr)
sys.exit(code)
"""


# ------------------------------------------------------------------------------------------------------------- polygons


REEFS = 485  # images of a truth and a run of coral-parsing


def _measure_polygons(folder: Path) -> Iterator[Figure]:
    """Score images of 20 polygons each, of the size and the roughness of real ones."""
    generator = np.random.default_rng(SEED)
    truth, run = folder / "truth.txt", folder / "run.txt"
    substrates = list(get_task("coral-parsing").classes.values())
    with truth.open("w") as truths, run.open("w") as predictions:
        for number in range(REEFS):
            blocks: dict[str, list[str]] = {}
            for index in range(20):
                ring, substrate = _ring(generator), substrates[int(generator.integers(len(substrates)))]
                truths.write(f"img{number:04d} {index} {substrate} 1 {' '.join(map(str, ring.ravel()))}\n")
                moved = ring + generator.integers(-40, 41, 2)
                detection = f"{generator.random():.6f}:{'+'.join(map(str, moved.ravel()))}"
                blocks.setdefault(substrate, []).append(detection)
            predictions.write(f"img{number:04d};{';'.join(f'{name} {chr(44).join(each)}' for name, each in blocks.items())}\n")
    yield _command(
        f"`imageclef score coral-parsing`, {REEFS} images of 20 polygons, start to exit", "coral-parsing", truth, run, 1
    )


def _ring(generator: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a star-shaped ring ``(40, 2)`` of integer x and y that stays inside 4032 by 3024 after a move by 40."""
    angles = np.sort(generator.uniform(0, 2 * np.pi, 40))
    radii = generator.uniform(60, 400) * generator.uniform(0.7, 1.0, 40)
    centre = generator.uniform([450, 450], [4032 - 450, 3024 - 450])
    return np.rint(centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]).astype(np.int64)


MEASURES: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "drawnui-wireframe": _measure_detection,
    "caption-prediction": _measure_captions,
    "vqa": _measure_answers,
    "coral-parsing": _measure_polygons,
}


# --------------------------------------------------------------------------------------------------------------- checks

PHOTOS, PHOTO_SIDE = 1000, 1000  # JPEG files of 1 megapixel, with the grain of photographs
HASHES = 10_000  # images among which near duplicates are looked for


def _measure_check(folder: Path) -> Iterator[Figure]:
    """Check a set of images of 1 megapixel in a process of its own, and look for near duplicates among ten times as many."""
    generator = np.random.default_rng(SEED)
    images = folder / "medical" / "caption" / "Training-Set" / "Training-Images"
    images.mkdir(parents=True)
    grain = generator.integers(0, 60, (PHOTO_SIDE, PHOTO_SIDE, 3), np.uint8)
    lines = []
    for number in range(PHOTOS):
        coarse = Image.fromarray(generator.integers(0, 190, (25, 25, 3), np.uint8))
        picture = np.asarray(coarse.resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BICUBIC)) // 2 + np.roll(grain, number)
        Image.fromarray(picture).save(images / f"synpic{number}.jpg", quality=88)
        lines.append(f"synpic{number}\tC{number % 5:07d}\n")
    (images.parent / "Training_Set_Concepts.csv").write_text("".join(lines))
    command = [sys.executable, "-c", _COMMAND, "check", "caption-concepts", str(folder), "--no-cache"]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  our own interpreter and package
    seconds = time.perf_counter() - start
    peak, core = done.stderr.splitlines()[-1], float(done.stderr.splitlines()[-2])
    memory = float(peak) / 2**10 if peak.isdigit() else None
    what = f"`imageclef check caption-concepts`, {PHOTOS:,} images of {PHOTO_SIDE**2 / 1e6:.0f} MP"
    yield Figure(f"{what}, start to exit", seconds, memory=memory)
    yield Figure(f"{what}, seconds of a core", core)
    hashes = generator.integers(0, 2**63, (HASHES, 4), np.int64).astype(np.uint64)
    start = time.process_time()
    near_pairs(hashes, NEAR_DISTANCE)
    yield Figure(f"caption-concepts, near duplicates among {HASHES:,} images, seconds of a core", time.process_time() - start)


CHECK_MEASURES: dict[str, Callable[[Path], Iterator[Figure]]] = {"caption-concepts": _measure_check}
