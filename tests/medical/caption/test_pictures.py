"""Pictures of predicted and true concepts and captions."""

import numpy as np
import pytest
from PIL import Image

from baselines.medical.caption.records import Prediction, Sample, Truth
from baselines.medical.caption.score import _BLUE, _GREEN, _RED, PANEL_SIDE, _concept_sections, draw

CLASSES = {1: "mass", 2: "chest", 3: "CT of chest"}


@pytest.fixture
def sample(tmp_path):
    Image.new("L", (60, 40), 128).save(tmp_path / "a.jpg")
    return Sample("a", tmp_path / "a.jpg", Truth("a", ("C0000001", "c0000002"), "A mass of the chest"))


def has(picture, colour):
    return (abs(np.asarray(picture).astype(int) - colour).sum(-1) < 60).sum() > 20


def test_concepts_are_divided_by_whether_they_are_predicted_and_true(sample):
    prediction = Prediction("a", concepts=("C0000002", "C0000003"))
    sections = _concept_sections(sample, prediction, CLASSES)
    assert [lines for _, _, lines in sections] == [["C0000002  chest"], ["C0000003  CT of chest"], ["C0000001  mass"]]
    picture = draw(sample, prediction, CLASSES)
    assert picture.width > PANEL_SIDE
    assert all(has(picture, colour) for colour in (_GREEN, _RED, _BLUE))


def test_of_a_test_set_there_is_the_prediction_alone(sample):
    unlabelled = Sample("a", sample.image, None)
    picture = draw(unlabelled, Prediction("a", concepts=("C0000002", "C0000009")), CLASSES)
    assert has(picture, _BLUE)
    assert not has(picture, _RED)


def test_captions_of_any_length_have_room(sample):
    short = draw(sample, Prediction("a", caption=""), {})
    long = draw(sample, Prediction("a", caption="a chest with a mass " * 40), {})
    assert long.height > short.height
    assert has(short, _GREEN)
