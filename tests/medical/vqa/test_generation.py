"""Questions from a run to a run file: one or several an image, distinct, never none."""

from __future__ import annotations

import pytest
import torch

from baselines.core.config import defaults, parse_config
from baselines.core.findings import Findings, InvalidInput
from baselines.core.metrics.text import clean
from baselines.medical.vqa.generation import FALLBACK, _prediction
from baselines.medical.vqa.records import read_truth
from baselines.medical.vqa.runs import read_run
from baselines.medical.vqa.samples import generate
from baselines.training.loop import run


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vqg")
    generate(folder, "vqg", size=12)
    return folder


def make_config(root, folder, task="vqg", name="captioner", **text):
    plain = defaults(task) | {"task": task, "experiment": task, "pictures": 1, "bootstrap": 10, "runs_dir": str(folder)}
    plain["data"] |= {"root": str(root), "cache_dir": str(folder / "cache"), "image_side": 64, "batch_size": 4, "workers": 0}
    small = {"vocabulary": 300, "width": 32, "layers": 1, "heads": 4, "max_tokens": 8, "samples": 12, "decoding": "risk"}
    plain["model"] |= {"name": name, "backbone": "test_resnet", "text": plain["model"]["text"] | small | text}
    steps = 0 if name == "constant" else 2
    plain["trainer"] |= {"max_steps": steps, "validate_every": 2, "accelerator": "cpu", "threads": 1}
    return parse_config(plain)


def asked(config, folder):
    run(config, folder)
    findings = Findings()
    truth = read_truth(folder / "truth.json", "vqg", findings)
    predictions = read_run(folder / "run.txt", truth, findings)
    findings.raise_errors()
    assert predictions.keys() == truth.truths.keys()
    return [prediction.texts for prediction in predictions.values()]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "decoding"), [("captioner", "risk"), ("captioner", "beam"), ("constant", "beam")])
def test_several_distinct_questions_are_asked(root, tmp_path, name, decoding):
    questions = asked(make_config(root, tmp_path, name=name, decoding=decoding, beams=5), tmp_path / "run")
    assert max(map(len, questions)) > 1
    for texts in questions:
        assert len(texts) <= (5 if decoding == "beam" and name == "captioner" else 7)
        assert len({clean(text) for text in texts}) == len(texts)
    if name == "constant":
        assert len(set(questions)) == 1


@pytest.mark.slow
def test_one_question_if_one_is_wanted(root, tmp_path):
    assert {len(texts) for texts in asked(make_config(root, tmp_path, questions=1), tmp_path / "run")} == {1}


def test_about_no_image_is_nothing_asked():
    assert _prediction("a", ["", ""], None).texts == (FALLBACK,)
    assert _prediction("a", ["", "is it a ct?"], None).texts == ("is it a ct?",)


@pytest.mark.parametrize(("task", "name"), [("vqg", "fusion"), ("vqa", "captioner")])
def test_a_model_of_the_other_task_is_refused(root, tmp_path, task, name):
    with pytest.raises(InvalidInput, match="model of the other task"):
        run(make_config(root, tmp_path, task=task, name=name), tmp_path / "run")
