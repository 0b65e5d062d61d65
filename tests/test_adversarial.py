"""Runs that must not score well, of all ten tasks, from files to scores; order, and the scores of single items."""

import json
from pathlib import Path

import numpy as np
import pytest

import baselines
from baselines.core.findings import Findings, InvalidInput
from baselines.core.tasks import all_tasks
from baselines.drawnui.task import WIREFRAME_CLASSES

NAMES = [f"img{number}" for number in range(8)]
SCANS = [f"TST_{number:04d}.nii.gz" for number in range(1, 9)]
SUBSTRATES = ["c_sponge", "c_soft_coral", "c_hard_coral_table"]
CONCEPTS = [f"C00{number:05d}" for number in range(24)]
WORDS = (
    "appendix enlarged stranding calcified deposits thrombus heart lung mass node liver kidney spleen fracture rib femur skull "
    "orbit sinus tendon bursa meniscus carotid aorta pleura duct cyst polyp ulcer hernia stent graft valve lobe"
).split()


class Detections:
    """Two objects an image, in places of their own; a run's part is (place, class, score)."""

    everything = tuple((place, label, 1.0) for place in range(16) for label in range(3))

    def truth(self):
        return {
            name: [(2 * number, number % 3, 1.0), (2 * number + 1, (number + 1) % 3, 1.0)] for number, name in enumerate(NAMES)
        }

    def perfect(self):
        return {name: [(place, label, 0.9 - place / 100) for place, label, _ in parts] for name, parts in self.truth().items()}


class Coral(Detections):
    def __init__(self, task):
        self.is_boxes = task == "coral-annotation"

    def write_truth(self, path):
        lines = []
        for name, parts in self.truth().items():
            for number, (place, label, _) in enumerate(parts):
                x0, y0, x1, y1 = 200 * place, 50, 200 * place + 90, 150
                points = (x0, y0, x1, y1) if self.is_boxes else (x0, y0, x0, y1, x1, y1, x1, y0)
                lines.append(f"{name} {number} {SUBSTRATES[label]} 1 {' '.join(map(str, points))}\n")
        path.write_text("".join(lines))

    def write_run(self, path, parts):
        lines = []
        for name, mine in parts.items():
            blocks = {}
            for place, label, score in mine:
                x, box = 200 * place, f"90x100+{200 * place}+50"
                ring = f"{x}+50+{x}+150+{x + 90}+150+{x + 90}+50"
                blocks.setdefault(SUBSTRATES[label], []).append(f"{score:.6f}:{box if self.is_boxes else ring}")
            lines.append(";".join([name, *(f"{label} {','.join(each)}" for label, each in blocks.items())]) + "\n")
        path.write_text("".join(lines))


class Drawings(Detections):
    def _write(self, path, images):
        def record(name, parts):
            boxes = [
                {
                    "box": [0.25, place / 16, 0.5, 0.05],
                    "detectionClass": label + 1,
                    "detectionString": WIREFRAME_CLASSES[label + 1],
                    "score": score,
                }
                for place, label, score in parts
            ]
            return {"file": f"{name}.jpg", "width": 800, "height": 400, "annotations": boxes}

        path.write_text(json.dumps([record(name, parts) for name, parts in images.items()]))

    def write_truth(self, path):
        self._write(path, self.truth())

    def write_run(self, path, parts):
        self._write(path, parts)


class Lines:
    """A line an image; the parts are joined."""

    def __init__(self, names, perfect, everything, between, joint="|"):
        self.names, self.everything, self.between, self.joint = names, everything, between, joint
        self.parts = perfect

    def perfect(self):
        return dict(zip(self.names, self.parts, strict=True))

    def _write(self, path, images):
        path.write_text("".join(f"{name}{self.joint}{self.between.join(parts)}\n" for name, parts in images.items()))

    def write_truth(self, path):
        self._write(path, self.perfect())

    def write_run(self, path, parts):
        self._write(path, parts)


class Ratings:
    def perfect(self):
        values = np.random.default_rng(0).normal(size=(8, 4)).round(3).tolist()
        return {name: [row] for name, row in zip(NAMES, values, strict=True)}

    everything = ((0.5, 0.5, 0.5, 0.5),)

    def write_truth(self, path):
        self.write_run(path, self.perfect())

    def write_run(self, path, parts):
        path.write_text(
            json.dumps({name: dict(zip(("acc", "bank", "it", "wait"), mine[-1], strict=True)) for name, mine in parts.items()})
        )


SENTENCES = [[" ".join(WORDS[4 * number : 4 * number + 4])] for number in range(8)]
TASKS = {
    "coral-annotation": Coral("coral-annotation"),
    "coral-parsing": Coral("coral-parsing"),
    "drawnui-wireframe": Drawings(),
    "drawnui-screenshot": Drawings(),
    "caption-concepts": Lines(NAMES, [CONCEPTS[3 * n : 3 * n + 3] for n in range(8)], CONCEPTS, ";"),
    "caption-prediction": Lines(NAMES, SENTENCES, [" ".join(WORDS)], " "),
    "vqa": Lines(NAMES, SENTENCES, [" ".join(WORDS)], " "),
    "vqg": Lines(NAMES, [[f"{text}?"] for (text,) in SENTENCES], [f"is the {word} seen?" for word in WORDS], "|"),
    "tuberculosis": Lines(SCANS, [[str(number % 5 + 1)] for number in range(8)], ["1"], "", ","),
    "aware": Ratings(),
}
MEANS = {"f1", "bleu", "bleu_nltk33", "rouge1_f", "accuracy"}  # over items


def rotated(parts):
    """The right predictions, each of another image."""
    names = list(parts)
    return {name: parts[other] for name, other in zip(names, [*names[3:], *names[:3]], strict=True)}


# From the task and its perfect run, and the most that the primary metric may be then.
RUNS = {
    "constant": (lambda _, parts: dict.fromkeys(parts, next(iter(parts.values()))), 0.2),
    "shuffled": (lambda _, parts: rotated(parts), 0.25),
    "everything everywhere": (lambda task, parts: dict.fromkeys(parts, task.everything), 0.4),
    "one image alone": (lambda _, parts: dict(list(parts.items())[:1]), 0.3),
}
# Runs that are as good as their best part, and may be no better for saying it again.
AGAIN = {
    "duplicated": lambda parts: {name: mine * 2 for name, mine in parts.items()},
    "one detection 10,000 times": lambda parts: parts | {name: mine[:1] * 10_000 for name, mine in list(parts.items())[:1]},
}


@pytest.fixture
def score(tmp_path):
    """Score a run of a task, also what the validator refuses: by the predictions that it makes out."""

    def write_and_score(name, parts, **options):
        task, card = TASKS[name], all_tasks()[name]
        truth, run = tmp_path / "truth", tmp_path / "run"
        task.write_truth(truth)
        task.write_run(run, parts)
        try:
            return baselines.score(name, truth, run, **options)
        except InvalidInput:
            truth_set = card.module("records").read_truth(truth, name, Findings())
            predictions = card.module("runs").read_run(run, truth_set, Findings())
            return card.module("score").evaluate(truth_set, predictions)

    return write_and_score


def primary(name, scores):
    return scores.metrics[all_tasks()[name].primary.name]


def test_every_task_is_here():
    assert TASKS.keys() == all_tasks().keys()


@pytest.mark.parametrize("name", TASKS)
def test_a_perfect_run_scores_one(score, name):
    assert primary(name, score(name, TASKS[name].perfect())) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", TASKS)
def test_adversarial_runs_score_little(score, name, run):
    make, most = RUNS[run]
    value = primary(name, score(name, make(TASKS[name], TASKS[name].perfect())))
    assert value is None or value < most


@pytest.mark.parametrize("run", AGAIN)
@pytest.mark.parametrize("name", TASKS)
def test_saying_it_again_is_never_better(score, name, run):
    # Half of the images right, the others wrong, so that there is something to gain.
    right = TASKS[name].perfect()
    parts = rotated(right) | dict(list(right.items())[:4])
    once = primary(name, score(name, parts))
    again = primary(name, score(name, AGAIN[run](parts)))
    assert again is None or again <= once + 1e-12


@pytest.mark.parametrize("name", TASKS)
def test_the_order_of_a_run_never_matters(score, name):
    right = TASKS[name].perfect()
    parts = rotated(right) | dict(list(right.items())[:4])
    before = score(name, parts, bootstrap=20)
    after = score(name, dict(reversed(parts.items())), bootstrap=20)
    assert (after.metrics, after.intervals, after.per_class) == (before.metrics, before.intervals, before.per_class)


@pytest.mark.parametrize("name", TASKS)
def test_metrics_that_are_means_are_those_of_the_items(tmp_path, name):
    task, card = TASKS[name], all_tasks()[name]
    right = task.perfect()
    task.write_truth(tmp_path / "truth")
    task.write_run(tmp_path / "run", rotated(right) | dict(list(right.items())[:5]))
    truth_set = card.module("records").read_truth(tmp_path / "truth", name, Findings())
    evaluation = card.module("score").evaluate(truth_set, card.module("runs").read_run(tmp_path / "run", truth_set, Findings()))
    ids, items = evaluation.per_item()
    assert ids == evaluation.units
    assert sorted(ids) == sorted(truth_set.truths)
    for metric in MEANS & evaluation.metrics.keys():
        assert np.mean(items[metric]) == pytest.approx(evaluation.metrics[metric], abs=1e-12)
    if name != "aware":  # one user has no correlation
        found = dict(zip(ids, items[card.primary.name], strict=True))
        best = [value for name, value in sorted(found.items())][:5]
        assert np.nan_to_num(best, nan=1.0) == pytest.approx(np.ones(5), abs=1e-9)
    assert all(values.shape == (8,) for values in items.values())


@pytest.mark.parametrize("name", TASKS)
def test_every_task_plants_a_fault_for_every_code(name):
    package = all_tasks()[name].package.removeprefix("baselines.").split(".")
    tests = Path(__file__).parent.joinpath(*package, "test_runs.py").read_text()
    assert "def test_every_code_is_planted_and_described(" in tests
