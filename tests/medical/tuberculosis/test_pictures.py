"""Ensembles, calibration and the pictures of scans and runs."""

from __future__ import annotations

import numpy as np
import pytest
from scans import chest, lungs, write_nifti

from baselines.medical.tuberculosis.records import Prediction, Sample, Split, Truth, TruthSet
from baselines.medical.tuberculosis.score import (
    PANEL_WIDTH,
    SHOWN_GRID,
    SHOWN_SLICES,
    calibration,
    calibration_error,
    combine,
    draw,
    draw_run,
)
from baselines.medical.tuberculosis.task import TYPES


def prediction(name, label, votes, evidence=None):
    shares = np.array(votes) / sum(votes)
    return Prediction(name, label, shares, shares, evidence)


@pytest.fixture
def sample(tmp_path):
    ct = write_nifti(tmp_path / "a.nii.gz", chest())
    return Sample(ct.name, ct, (write_nifti(tmp_path / "m" / ct.name, lungs(), dtype=np.uint8),), "p", Truth(ct.name, 2))


def test_an_ensemble_decides_by_the_mean_of_what_each_makes_of_a_scan():
    maps = [np.full((2, 2, 2), value, np.float32) for value in (0.2, 0.4, 1.0)]
    runs = [
        {"a": prediction("a", 1, [4, 3, 1, 1, 1], maps[0])},
        {"a": prediction("a", 1, [4, 3, 1, 1, 1], maps[1])},
        {"a": prediction("a", 2, [1, 7, 0, 1, 1], maps[2])},
    ]
    both = combine(runs)["a"]
    assert both.label == 2
    assert both.probabilities.tolist() == pytest.approx([0.3, 13 / 30, 2 / 30, 0.1, 0.1])
    assert both.evidence.max() == 1
    first = combine(runs[:2])["a"]
    assert first.label == 1
    assert first.evidence.max() == pytest.approx(0.3)
    other = {"a": prediction("a", 1, [4, 3, 1, 1, 1], np.ones((3, 2, 2), np.float32))}
    assert combine([runs[0], other])["a"].evidence is None


def test_calibration_compares_certainty_with_hits():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 5000)
    probabilities, labels = np.stack([sure, 1 - sure], 1), (rng.random(5000) > sure).astype(int)
    assert calibration_error(calibration(probabilities, labels)) < 0.03
    assert calibration_error(calibration(probabilities, np.ones(5000, int))) > 0.6
    assert sum(count for *_, count in calibration(probabilities, labels)) == 5000
    assert calibration(np.eye(2), np.array([0, 1])) == [(1.0, 1.0, 2)]


def test_a_picture_shows_the_scan_its_mask_and_the_evidence_where_they_are(sample):
    evidence = np.zeros((2, 2, 2), np.float32)
    evidence[1, 1, 1] = 1.0  # towards the head, the front and the right
    picture = np.asarray(draw(sample, prediction(sample.id, 1, [1, 0, 0, 0, 0], evidence), TYPES)).astype(int)
    plain = np.asarray(draw(sample, prediction(sample.id, 1, [1, 0, 0, 0, 0]), TYPES)).astype(int)
    assert picture.shape[0] > plain.shape[0]  # a row more
    assert picture.shape[1] >= SHOWN_SLICES * PANEL_WIDTH
    lowest = picture[plain.shape[0] + 50 :]
    orange = lowest[..., 0] - lowest[..., 2]
    last = orange[:, -PANEL_WIDTH:]  # the slice that is nearest to the head
    half = last.shape[0] // 2, PANEL_WIDTH // 2
    assert last[: half[0], : half[1]].mean() > 20 + last[half[0] :, half[1] :].mean()
    assert SHOWN_GRID[0] >= SHOWN_SLICES
    blue = plain[..., 2] - plain[..., 0]
    assert (blue > 40).mean() > 0.02


def test_a_scan_that_cannot_be_read_is_told_in_its_picture(sample):
    sample.ct.write_bytes(b"nothing")
    assert draw(sample, Prediction(sample.id, 1), TYPES).width == PANEL_WIDTH * SHOWN_SLICES


def test_the_pictures_of_a_run_need_labels_and_probabilities():
    truths = TruthSet({name: Truth(name, label) for name, label in (("a", 1), ("b", 2))}, TYPES)
    split = Split("val", (), truths)
    run = {name: prediction(name, 1, [6, 1, 1, 1, 1]) for name in "ab"}
    assert draw_run(split, run, TYPES).keys() == {"calibration"}
    assert draw_run(split, {name: Prediction(name, 1) for name in "ab"}, TYPES) == {}
    assert draw_run(Split("test", (), TruthSet({"a": Truth("a", 0)}, TYPES)), run, TYPES) == {}
