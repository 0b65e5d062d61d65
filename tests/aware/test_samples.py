"""The generated profiles: layout, quirks and statistics of the release of 2023, the same bytes from the same seed."""

import hashlib
import json

import numpy as np
import pytest

from baselines.aware.profiles import parse_detection
from baselines.aware.records import read_split
from baselines.aware.samples import SHARES, generate, make_world
from baselines.core.findings import Findings, InvalidInput, UsageError

FILES = {
    *("class_scores.json", "dummy_run.json", "gt_train.json", "gt_val.json", "sample.json", "sample_truth.json"),
    *(f"predictions_{split}.json" for split in SHARES),
}


def load(root, name):
    return json.loads((root / "aware" / name).read_text())


def digests(root):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (root / "aware").iterdir()}


def test_layout_and_quirks(aware_root):
    assert {path.name for path in (aware_root / "aware").iterdir()} == FILES
    scores = load(aware_root, "class_scores.json")
    assert len(scores) == 236
    assert all(
        list(row) == ["acc", "it", "bank", "wait"] and all(isinstance(x, str) for x in row.values()) for row in scores.values()
    )
    with pytest.raises(ValueError, match="delimiter"):
        load(aware_root, "dummy_run.json")
    users = {split: set(load(aware_root, f"predictions_{split}.json")) for split in SHARES}
    assert not users["train"] & users["val"] | users["train"] & users["test"] | users["val"] & users["test"]
    assert users["train"] == set(load(aware_root, "gt_train.json"))
    dummy = (aware_root / "aware" / "dummy_run.json").read_text()
    assert not any(user in dummy for ids in users.values() for user in ids)
    assert min(len(images) for images in load(aware_root, "predictions_test.json").values()) == 3


def test_detections_are_six_fields_in_their_ranges(aware_root):
    for images in load(aware_root, "predictions_train.json").values():
        for image, found in images.items():
            assert len(image) == 16
            assert 1 <= len(found) <= 9
            for text in found:
                concept, confidence, x0, y0, x1, y1 = parse_detection(text)
                assert concept.startswith("VC")
                assert 0.3 <= confidence <= 0.844
                assert 0 <= x0 < x1 <= 1
                assert 0 <= y0 < y1 <= 1
                assert (x0 * 256) % 1 == (x1 * 256) % 1 == 0


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(aware_root, tmp_path):
    generate(tmp_path, "aware", size=45)
    assert digests(tmp_path) == digests(aware_root)
    generate(tmp_path, "aware", size=3, seed=1)
    assert len(load(tmp_path, "gt_train.json")) == 3
    assert digests(tmp_path)["predictions_test.json"] != digests(aware_root)["predictions_test.json"]


def test_foreign_data_are_left_alone(tmp_path):
    (tmp_path / "aware").mkdir()
    with pytest.raises(InvalidInput, match="no generated sample"):
        generate(tmp_path, "aware")
    with pytest.raises(UsageError):
        generate(tmp_path / "other", "aware", size=0)


def test_concepts_that_are_rated_well_do_well_but_for_waiting(tmp_path):
    worlds = [make_world(np.random.default_rng(seed)) for seed in range(8)]
    r = np.mean([[np.corrcoef(w.ratings[:, k], w.effects[:, k])[0, 1] for k in range(4)] for w in worlds], 0)
    assert (r[:3] > 0.3).all()
    assert abs(r[3]) < 0.2


def test_strong_ratings_good_or_bad_matter(tmp_path):
    worlds = [make_world(np.random.default_rng(seed)) for seed in range(8)]
    r = np.mean([[np.corrcoef(np.abs(w.ratings[:, k]), w.effects[:, k])[0, 1] for k in range(4)] for w in worlds], 0)
    assert (r > 0.4).all()


@pytest.mark.slow
def test_statistics_of_the_release(tmp_path):
    generate(tmp_path, "aware")
    findings = Findings()
    split = read_split(tmp_path, "aware", "train", findings)
    profiles = [sample.profile for sample in split.samples]
    photos = np.array([len(profile.images) for profile in profiles])
    detections = sum(len(profile.concepts) for profile in profiles)
    ratings = np.array([list(sample.truth.ratings.values()) for sample in split.samples])
    assert len(profiles) == 600
    assert 34 < photos.mean() < 37
    assert photos.min() >= 13
    assert photos.max() <= 68
    assert 1.15 < detections / photos.sum() < 1.28  # 25,978 of 21,365 photos
    sides = np.concatenate([profile.boxes for profile in profiles])
    assert 0.1 < ((sides[:, 2:] - sides[:, :2]).prod(1) > 0.9).mean() < 0.16
    r = np.corrcoef(ratings.T)
    np.testing.assert_allclose([r[0, 1], r[0, 2], r[1, 2]], [0.77, 0.51, 0.52], atol=0.12)
    assert (np.abs(r[3, :3] - 0.13) < 0.15).all()
    assert ((ratings.std(0) > 0.4) & (ratings.std(0) < 0.62)).all()
    assert np.abs(ratings.mean(0)).max() < 0.1
    assert {finding.code for finding in findings} == {"DATA-DUPLICATE-OBJECT"}
