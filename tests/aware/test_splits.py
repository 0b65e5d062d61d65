"""Reading profiles: the layout of 2022 and 2023, a planted fault for every finding, other layouts."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.aware.profiles import parse_detection
from baselines.aware.records import read_split
from baselines.core.findings import Findings, InvalidInput, UsageError

RATINGS = {"acc": 0.1, "bank": 0.2, "it": 0.3, "wait": -0.4}
SCORES = {
    "VC4": {"acc": "-0.6", "it": "0.0", "bank": "-1.5", "wait": "0.5"},
    "VC10": {"acc": "1", "it": "0.2", "bank": "0", "wait": "2"},
}
DOG, CAT = "VC10 0.5 0.1 0.2 0.5 0.75", "VC4 0.9 0.0 0.0 1.0 1.0"
PHOTOS = {"u1": {"b": [DOG], "a": [DOG, CAT]}, "u2": {"c": [CAT]}}


@pytest.fixture
def write(tmp_path):
    def write_and_read(photos=PHOTOS, scores=SCORES, truth=None, split="train", name="predictions_{}.json"):
        folder = tmp_path / "aware"
        folder.mkdir(exist_ok=True)
        truth = dict.fromkeys(photos, RATINGS) if truth is None else truth
        for file, content in ((name.format(split), photos), ("class_scores.json", scores), (f"gt_{split}.json", truth)):
            text = content if isinstance(content, str) else json.dumps(content, indent=1)
            (folder / file).write_text(text)
        findings = Findings()
        return read_split(tmp_path, "aware", split, findings), findings

    return write_and_read


def only(findings, code):
    (found,) = findings
    assert found.code == code
    return found


def test_a_split_as_released(write):
    split, findings = write()
    assert [sample.id for sample in split.samples] == ["u1", "u2"]
    profile = split.samples[0].profile
    assert profile.images == ("a", "b")
    assert profile.concepts == ("VC4", "VC10", "VC10")
    assert profile.places.tolist() == [0, 0, 1]
    assert profile.confidences.tolist() == [0.9, 0.5, 0.5]
    assert profile.boxes[1].tolist() == [0.1, 0.2, 0.5, 0.75]
    assert split.samples[0].truth.ratings == RATINGS
    assert split.ratings["VC4"] == {"acc": -0.6, "bank": -1.5, "it": 0.0, "wait": 0.5}
    assert split.truth_set.classes == {0: "VC10", 1: "VC4"}
    assert len(findings) == 0


def test_the_order_of_users_photos_and_detections_has_no_meaning(write):
    first, _ = write()
    turned = {
        user: {image: found[::-1] for image, found in reversed(images.items())} for user, images in reversed(PHOTOS.items())
    }
    second, _ = write(photos=turned)
    for one, other in zip(first.samples, second.samples, strict=True):
        assert (one.id, one.profile.images, one.profile.concepts) == (other.id, other.profile.images, other.profile.concepts)
        np.testing.assert_array_equal(one.profile.boxes, other.profile.boxes)


def test_the_file_name_of_the_readme_and_the_folder_itself_work(write, tmp_path):
    split, _ = write(name="prediction_{}.json")
    assert len(split.samples) == 2
    assert len(read_split(tmp_path / "aware", "aware", "train", Findings()).samples) == 2


def test_a_test_split_has_no_truth(write):
    split, _ = write(split="test")
    assert [sample.truth for sample in split.samples] == [None, None]
    assert split.truth_set.truths["u1"].ratings == {}


@pytest.mark.parametrize(
    "bad",
    ["VC4 0.5 0 0 1", "VC4 0,5 0 0 1 1", "VC4 0.5 0 0 1 1 1", "VC4 nan 0 0 1 1", "VC4 0.5 0 0 1 one", "", 7, None, ["VC4"]],
)
def test_a_detection_that_is_none_is_left_out(write, bad):
    split, findings = write(photos={"u1": {"a": [DOG, bad]}, "u2": {"c": [CAT, bad]}})
    found = only(findings, "DATA-DETECTION-FORM")
    assert (found.severity, found.line) == ("warning", 5)
    assert "2 detections" in found.message
    assert found.value.startswith("u1")
    assert split.samples[0].profile.concepts == ("VC10",)


def test_a_concept_without_rating_is_counted_and_has_none(write):
    split, findings = write(photos={"u1": {"a": ["VC9 0.5 0 0 1 1", "VC9 0.6 0 0 1 1", "VC8 0.5 0 0 1 1"]}})
    assert "3 detections are of 2 concepts" in only(findings, "DATA-CONCEPT-NO-RATING").message
    assert "VC9" not in split.ratings
    assert "VC9" in split.truth_set.classes.values()


def test_an_exact_duplicate_counts_once(write):
    split, findings = write(photos={"u1": {"a": [DOG, DOG], "b": [DOG]}})
    assert "1 detections" in only(findings, "DATA-DUPLICATE-OBJECT").message
    assert split.samples[0].profile.places.tolist() == [0, 1]


@pytest.mark.parametrize("bad", ["VC4 1.5 0 0 1 1", "VC4 0.5 -0.1 0 1 1", "VC4 0.5 0 0 1 1.2", "VC4 0.5 0.5 0 0.5 1"])
def test_what_leaves_its_range_is_clipped(write, bad):
    split, findings = write(photos={"u1": {"a": [bad]}})
    only(findings, "DATA-DETECTION-FORM")
    profile = split.samples[0].profile
    assert 0 <= profile.confidences.min() <= profile.confidences.max() <= 1
    assert 0 <= profile.boxes.min() <= profile.boxes.max() <= 1


@pytest.mark.parametrize(
    ("photos", "code"),
    [
        ({"u1": [DOG]}, "DATA-FIELDS"),
        ({"u1": {"a": DOG}}, "DATA-FIELDS"),
        ('{"u1": {"a": []}, "u1": {}}', "DATA-ID-DUPLICATE"),
        ('{"u1": {"a": [], "a": []}}', "DATA-DUPLICATE-KEY"),
        ('{"u1": {"a": []} "u2"', "DATA-JSON"),
        ([PHOTOS], "DATA-FIELDS"),
    ],
)
def test_errors(write, photos, code):
    _, findings = write(photos=photos, truth={"u1": RATINGS})
    assert code in {finding.code for finding in findings if finding.severity == "error"}


def test_users_with_photos_or_ratings_alone(write):
    split, findings = write(truth={"u1": RATINGS, "u3": RATINGS})
    assert {(finding.code, finding.id) for finding in findings} == {("DATA-ID-NO-IMAGE", "u3"), ("DATA-ID-NO-LABEL", "u2")}
    assert [sample.id for sample in split.samples] == ["u1", "u3"]
    assert split.samples[1].profile.images == ()


def test_a_user_without_detections_is_told(write):
    split, findings = write(photos={"u1": {"a": []}})
    assert only(findings, "DATA-EMPTY-RECORD").id == "u1"
    assert split.samples[0].profile.images == ("a",)


def test_a_rating_of_a_concept_that_is_no_number(write):
    _, findings = write(scores={"VC4": SCORES["VC4"] | {"acc": "-0,6"}, "VC10": SCORES["VC10"]})
    codes = {(finding.code, finding.id) for finding in findings}
    assert ("DATA-NUMBER", "VC4") in codes
    assert any(code == "DATA-CONCEPT-NO-RATING" for code, _ in codes)


def test_lervup_is_recognised_and_refused(tmp_path):
    (tmp_path / "aware").mkdir()
    (tmp_path / "aware" / "bank_credit.txt").write_text("book 0.385\n")
    with pytest.raises(InvalidInput, match=r"DATA-LAYOUT-UNVERIFIED.*LERVUP.*bank_credit"):
        read_split(tmp_path, "aware", "train", Findings())


def test_an_unknown_layout_is_recognised_and_refused(tmp_path):
    (tmp_path / "aware").mkdir()
    (tmp_path / "aware" / "profiles_2021.csv").write_text("user,concept\n")
    with pytest.raises(InvalidInput, match=r"DATA-LAYOUT-UNVERIFIED.*2021 is not known.*profiles_2021"):
        read_split(tmp_path, "aware", "train", Findings())


def test_missing_files_are_named(tmp_path, write):
    with pytest.raises(InvalidInput, match=r"DATA-FILE-MISSING.*class_scores.json"):
        read_split(tmp_path / "nowhere", "aware", "train", Findings())
    write()
    with pytest.raises(InvalidInput, match=r"DATA-FILE-MISSING.*predictions_val.json"):
        read_split(tmp_path, "aware", "val", Findings())
    with pytest.raises(UsageError, match="no split 'dev'"):
        read_split(tmp_path, "aware", "dev", Findings())


def test_the_broken_dummy_run_does_not_disturb(write, tmp_path):
    (tmp_path / "aware").mkdir()
    shutil.copy(__file__, tmp_path / "aware" / "dummy_run.json")
    split, findings = write()
    assert len(split.samples) == 2
    assert len(findings) == 0


@given(
    concept=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=5, max_size=5),
)
def test_a_detection_comes_back_as_written(concept, numbers):
    assert parse_detection(" ".join([concept, *map(repr, numbers)])) == (concept, *numbers)
