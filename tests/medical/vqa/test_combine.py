"""Votes over several runs, and pictures of answers and questions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from baselines.medical.vqa.records import Prediction, Sample, Truth
from baselines.medical.vqa.runs import MAX_QUESTIONS
from baselines.medical.vqa.score import combine, draw


def runs(*texts):
    return [{"a": Prediction("a", (each,) if isinstance(each, str) else each)} for each in texts]


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["cyst"], "cyst"),
        (["cyst", "mass", "mass"], "mass"),
        (["cyst", "mass"], "cyst"),  # a draw: the first run's
        (["cyst", "ACL tear", "an acl tear.", "mass"], "ACL tear"),  # compared as the accuracy does, written as first
        (["cyst", "mass", "mass", "cyst", "cyst"], "cyst"),
    ],
)
def test_the_answer_of_most_runs_wins(answers, winner):
    assert combine(runs(*answers))["a"].texts == (winner,)


def test_a_vote_is_taken_for_each_image_by_its_id():
    first = {"a": Prediction("a", ("cyst",)), "b": Prediction("b", ("mass",))}
    second = {"b": Prediction("b", ("mass",)), "a": Prediction("a", ("cyst",))}
    assert combine([first, second]) == first


def test_questions_that_more_runs_ask_come_first_and_none_twice():
    asked = combine(
        runs(
            ("is the heart enlarged?", "where is the fracture?"),
            ("where is the fracture ?", "which plane is it?", "Is the Heart enlarged?"),
            ("where is a fracture?",),
        )
    )
    assert asked["a"].texts == ("where is the fracture ?", "is the heart enlarged?", "which plane is it?")


def test_a_vote_keeps_no_more_questions_than_a_run_may_have():
    many = tuple(f"is there finding number {number}?" for number in range(20))
    assert combine(runs(many, ("is this a ct?",)))["a"].texts[0] == many[0]
    assert len(combine(runs(many, ("is this a ct?",)))["a"].texts) == MAX_QUESTIONS


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("L", (200, 100), 90).save(path)
    return path


def test_a_right_answer_and_a_wrong_one_are_drawn_apart_and_evidence_beside_the_image(image):
    sample = Sample("a", image, "what is abnormal in the ct scan?", Truth("a", ("cyst",), "what is abnormal in the ct scan?"))
    evidence = np.zeros((1, 3, 3), np.float16)
    evidence[0, 1, 0] = 1
    right, wrong = (draw(sample, Prediction("a", (text,)), {}) for text in ("Cyst.", "mass"))
    shown = draw(sample, Prediction("a", ("Cyst.",), evidence), {})
    assert right.tobytes() != wrong.tobytes()
    assert shown.height > right.height  # wide panels stand below each other
    red = np.asarray(shown).astype(int)[..., 0] - np.asarray(shown).astype(int)[..., 2]
    assert (red > 60).any()
    draw(Sample("a", image, sample.question, None), Prediction("a", ("mass",)), {})


def test_questions_are_drawn_with_the_true_ones(image):
    sample = Sample("a", image, "", Truth("a", ("is this a ct?", "where is the mass?")))
    alone = draw(Sample("a", image, "", None), Prediction("a", ("is this an mri?",)), {})
    assert draw(sample, Prediction("a", ("is this an mri?",)), {}).height > alone.height
