"""What a check finds in aware data sets beyond the common rules: each finding has its planted fault."""

import functools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from baselines.aware.checks import CHECKS, FRAME_SIDE
from baselines.aware.profiles import Profile
from baselines.aware.records import Sample
from baselines.aware.samples import generate
from baselines.cli import main
from baselines.core.check import check_data_set
from baselines.core.checks import Settings
from baselines.core.findings import Severity
from baselines.core.pictures import style_of
from baselines.core.tasks import get_task


@pytest.fixture(scope="module")
def clean_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean")
    generate(root, "aware", size=45, quirks=False)
    return root


@pytest.fixture
def root(clean_root, tmp_path):
    return shutil.copytree(clean_root, tmp_path / "root")


def edit(name):
    """Return a decorator that has a function change what a JSON file holds."""

    def decorate(change):
        def plant(root):
            path = root / "aware" / name
            content = json.loads(path.read_text())
            change(content)
            path.write_text(json.dumps(content))

        return plant

    return decorate


def first(content):
    """Return what the first key of an object holds."""
    return content[next(iter(content))]


def on_photo(change):
    return edit("predictions_train.json")(lambda users: change(first(first(users))))


@edit("predictions_train.json")
def one_photo(users):
    photos = first(users)
    for name in list(photos)[1:]:
        del photos[name]


@edit("predictions_train.json")
def large_boxes(users):
    first(first(users))[0] = "VC1 0.5 0 0 1 1"


@edit("gt_train.json")
def swapped(users):
    for ratings in users.values():
        ratings["acc"], ratings["wait"] = ratings["wait"], ratings["acc"]


@edit("gt_train.json")
def copied(users):
    for ratings in users.values():
        ratings["it"] = ratings["bank"]


@edit("gt_train.json")
def percent(users):
    for ratings in users.values():
        ratings["it"] = 50 + 20 * ratings["it"]


@edit("gt_train.json")
def tie(users):
    one, other = list(users.values())[:2]
    one["acc"] = other["acc"]


def by_length(root):
    users = json.loads((root / "aware" / "predictions_train.json").read_text())
    edit("gt_train.json")(lambda ratings: [mine.update(acc=len(users[name]) / 50) for name, mine in ratings.items()])(root)


def same_photo(*, renamed):
    def plant(root):
        photos = json.loads((root / "aware" / "predictions_train.json").read_text())
        name, found = next(iter(first(photos).items()))

        def add(users):
            first(users)["copy" if renamed else name] = found

        edit("predictions_val.json")(add)(root)

    return plant


def example(text):
    return lambda root: (root / "aware" / "dummy_run.json").write_text(text)


@edit("predictions_train.json")
def account(users):
    photos = first(users)
    photos["7051592189_0a1b2c3d4e_z"] = photos.pop(next(iter(photos)))


@edit("predictions_val.json")
def nothing_found(users):
    name = next(iter(users))
    users[name] = {}


def other_layout(root):
    edit("gt_val.json")(lambda users: first(users).update(life_insurance=1.0))(root)


PLANTED = {
    "DATA-BOX-LARGE": (large_boxes, Severity.INFO),
    "DATA-COLUMN-SWAP": (swapped, Severity.INFO),
    "DATA-CONCEPT-NO-RATING": (on_photo(lambda photo: photo.append("VC999 0.5 0 0 0.5 0.5")), Severity.WARNING),
    "DATA-CONCEPT-UNUSED": (
        edit("class_scores.json")(lambda concepts: concepts.update(VC999=first(concepts))),
        Severity.INFO,
    ),
    "DATA-DETECTION-FORM": (on_photo(lambda photo: photo.append("VC1 0,5 0 0 1 1")), Severity.ERROR),
    "DATA-DUPLICATE-OBJECT": (on_photo(lambda photo: photo.append(photo[0])), Severity.WARNING),
    "DATA-EMPTY-RECORD": (nothing_found, Severity.INFO),
    "DATA-EXAMPLE-IDS": (example('{"nobody": {"acc": 1}}'), Severity.WARNING),
    "DATA-FEW-IMAGES": (one_photo, Severity.WARNING),
    "DATA-LENGTH-BIAS": (by_length, Severity.INFO),
    "DATA-PRIVACY": (account, Severity.ERROR),
    "DATA-RATING-CORRELATION": (copied, Severity.WARNING),
    "DATA-RATING-RANGE": (tie, Severity.WARNING),
    "DATA-RATING-SCALE": (percent, Severity.INFO),
    # Of all tasks, with what is particular here.
    "DATA-FILE-CASE": (
        lambda root: (root / "aware" / "predictions_val.json").rename(root / "aware" / "prediction_val.json"),
        Severity.INFO,
    ),
    "DATA-ID-NO-IMAGE": (edit("predictions_val.json")(lambda users: users.pop(next(iter(users)))), Severity.ERROR),
    "DATA-ID-NO-LABEL": (edit("gt_val.json")(lambda users: users.pop(next(iter(users)))), Severity.ERROR),
    "DATA-JSON": (example('{"a": {"acc": 1 "it": 2}}'), Severity.ERROR),
    "DATA-LAYOUT-UNVERIFIED": (other_layout, Severity.WARNING),
    "DATA-NUMBER": (edit("gt_train.json")(lambda users: first(users).update(acc="0.1")), Severity.INFO),
    "DATA-SPLIT-CONTENT": (same_photo(renamed=True), Severity.ERROR),
    "DATA-SPLIT-ID": (same_photo(renamed=False), Severity.ERROR),
}


def check(root):
    return check_data_set(get_task("aware"), root, Settings()).findings


check_once = functools.cache(check)  # of what doesn't change


@pytest.mark.parametrize(("code", "fault"), PLANTED.items(), ids=PLANTED)
def test_every_planted_fault_is_found(root, clean_root, code, fault):
    plant, severity = fault
    before = {(finding.id, finding.value) for finding in check_once(clean_root) if finding.code == code}
    plant(root)
    found = [finding for finding in check(root) if finding.code == code and (finding.id, finding.value) not in before]
    assert {finding.severity for finding in found} == {severity}


def test_every_code_has_a_fault_and_an_example():
    assert CHECKS.codes.keys() <= PLANTED.keys()
    assert all(code.meaning and code.example for code in CHECKS.codes.values())


def test_a_clean_set_yields_nothing_above_info(clean_root):
    assert [finding for finding in check(clean_root) if finding.severity is not Severity.INFO] == []


@pytest.mark.parametrize(("value", "severity"), [("0,1", Severity.ERROR), ("0.1", Severity.INFO)])
def test_a_decimal_comma_is_worse_than_quotes(root, value, severity):
    edit("gt_train.json")(lambda users: first(users).update(acc=value))(root)
    assert {finding.severity for finding in check(root) if finding.code == "DATA-NUMBER"} == {severity}


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (lambda concepts: first(concepts).update(it="3.5"), "3.5"),
        (lambda concepts: [mine.update(it="1") for mine in concepts.values()], ""),
    ],
)
def test_concepts_are_rated_on_the_raters_scale_and_not_all_alike(root, change, value):
    edit("class_scores.json")(change)(root)
    assert [finding.value for finding in check(root) if finding.code == "DATA-RATING-RANGE"] == [value]


def test_the_command_writes_the_clean_set_which_passes(clean_root, tmp_path):
    assert main(["sample", "aware", "--size", "45", "--clean", "--out", str(tmp_path)]) == 0
    for path in (clean_root / "aware").iterdir():
        assert (tmp_path / "aware" / path.name).read_bytes() == path.read_bytes()
    assert main(["check", "aware", str(tmp_path), "--no-cache"]) == 0
    assert main(["sample", "aware", "--size", "45", "--out", str(tmp_path)]) == 0
    assert main(["check", "aware", str(tmp_path), "--no-cache"]) == 1  # dummy_run.json is no JSON


def test_the_quirks_of_the_real_data_are_found_in_the_sample(aware_root):
    findings = check(aware_root)
    assert {"DATA-JSON", "DATA-EXAMPLE-IDS", "DATA-DUPLICATE-OBJECT", "DATA-FEW-IMAGES"} <= findings.counts.keys()
    (broken,) = [finding for finding in findings if finding.code == "DATA-JSON"]
    assert (broken.line, "column" in broken.message) == (1, True)


def test_counts_are_held_against_the_release_of_2023_but_for_samples(root):
    assert [finding.value for finding in check(root) if finding.code == "DATA-COUNT"] == ["45", "15", "15"]
    (root / "aware" / "sample.json").unlink()
    assert "45, published 600" in [finding.value for finding in check(root) if finding.code == "DATA-COUNT"]


def test_distributions_count_what_is_there(clean_root):
    shown = {each.title: each for each in check_data_set(get_task("aware"), clean_root, Settings()).distributions}
    assert sum(shown["ratings for acc"].series["train"]) == sum(shown["photos per user"].series["train"]) == 45
    assert shown["correlation of situations"].labels[0] == "acc–bank"
    assert 0.4 < shown["correlation of situations"].series["train"][0] < 0.95


@pytest.fixture
def user():
    """A user with a photo of two concepts, one of a third, and one of nothing."""
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.2, 0.6, 0.9, 0.9], [0.0, 0.0, 1.0, 1.0]])
    profile = Profile(("p1", "p2", "p3"), ("cat", "dog", "x" * 300), np.array([0, 0, 1]), np.array([0.9, 0.8, 0.7]), boxes)
    return Sample("u1", profile, None)


def test_a_user_is_drawn_as_frames_with_the_boxes_of_the_detector(user):
    picture = np.asarray(CHECKS.draw(None, user, frozenset()))
    for number in (1, 2, 3):
        assert (picture == style_of(number).colour).all(axis=-1).any()
    assert not (picture == style_of(4).colour).all(axis=-1).any()
    assert picture.shape[1] >= 3 * FRAME_SIDE


def test_a_user_of_many_photos_is_drawn_in_a_picture_of_a_bounded_size(user):
    photos, count = 500, 20_000
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((count, 2, 2)), axis=1).reshape(count, 4)
    places = np.sort(rng.integers(0, photos, count))
    profile = Profile(tuple(map(str, range(photos))), ("cat",) * count, places, rng.random(count), corners)
    picture = CHECKS.draw(None, replace(user, profile=profile), frozenset())
    assert picture.width < 4 * FRAME_SIDE
    assert picture.height < 3 * FRAME_SIDE


def test_a_user_without_photos_is_not_drawn(user):
    assert CHECKS.draw(None, replace(user, profile=Profile.empty()), frozenset()) is None
