"""The checks that hold for every task: each finding has its planted fault."""

import json
import shutil
from argparse import Namespace
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from baselines.cli import main
from baselines.core import check as checking
from baselines.core.check import check_data_set, read_accepted
from baselines.core.checks import CODES, Checks, DataSet, Settings, histogram, tally
from baselines.core.common_checks import common_distributions, common_rules
from baselines.core.findings import InvalidInput, Severity
from baselines.core.images import EXIF_ORIENTATION, examine_images
from baselines.core.tasks import get_task


@dataclass
class Sample:
    id: str
    image: Path | None = None
    truth: Any = None
    patient: str = ""


@dataclass
class Split:
    samples: list[Sample] = field(default_factory=list)


def picture(path: Path, seed: int, size=(64, 48)) -> Path:
    """Write a textured picture, another one for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def splits(tmp_path):
    """Return two splits of twenty sound pictures each, with two classes and no patient in both."""
    made = {}
    for number, name in enumerate(("train", "test")):
        samples = []
        for index in range(20):
            seed = 100 * number + index
            path = picture(tmp_path / f"{name}{index:02d}.png", seed)
            samples.append(Sample(path.name, path, "ab"[index % 2], f"patient {seed}"))
        made[name] = Split(samples)
    return made


CLASSES = Checks(
    classes=lambda _, sample: [sample.truth] if isinstance(sample.truth, str) else sample.truth,
    class_names=lambda _: ["a", "b"],
    label=lambda sample: ("", tuple(sample.truth)),
    group=lambda sample: sample.patient,
)


def look(splits):
    """Return splits as a data set whose images were looked at."""
    paths = [sample.image for split in splits.values() for sample in split.samples if sample.image]
    return DataSet(get_task("drawnui-wireframe"), Path("root"), splits, examine_images(paths, None, 1), Settings())


def since(splits, before, checks=CLASSES):
    """Return the findings of the common rules, compared with an earlier release."""
    data_set = replace(look(splits), earlier=before)
    return [finding for rule in common_rules(checks) for finding in rule(data_set)]


def found(splits, checks=CLASSES):
    """Return the findings of the common rules by code."""
    data_set = look(splits)
    findings: dict[str, Any] = {}
    for rule in common_rules(checks):
        for finding in rule(data_set):
            findings.setdefault(finding.code, []).append(finding)
    return findings


def rotate_tag(path):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 8
    with Image.open(path) as image:
        image.save(path, exif=exif)


def plant_image(make):
    return lambda splits: make(splits["train"].samples[3].image)


def rename(splits, suffix):
    sample = splits["train"].samples[3]
    sample.image = sample.image.rename(sample.image.with_suffix(suffix))


def copy(splits, source, target):
    (one, first), (other, second) = source, target
    splits[other].samples[second].image.write_bytes(splits[one].samples[first].image.read_bytes())


def rescale(splits, other):
    with Image.open(splits["train"].samples[0].image) as image:
        image.resize((60, 45)).resize((64, 48)).save(splits[other].samples[5].image)


def set_sample(split, index, **fields):
    def plant(splits):
        for name, value in fields.items():
            setattr(splits[split].samples[index], name, value)

    return plant


def set_truths(split, truth):
    def plant(splits):
        for sample in splits[split].samples:
            sample.truth = truth

    return plant


PLANTED = {
    "DATA-FILE-EMPTY": plant_image(lambda path: path.write_bytes(b"")),
    "DATA-FILE-UNREADABLE": plant_image(lambda path: path.write_bytes(b"<html>")),
    "DATA-IMAGE-TRUNCATED": plant_image(lambda path: path.write_bytes(path.read_bytes()[:-200])),
    "DATA-IMAGE-HUGE": plant_image(lambda path: Image.new("1", (10_000, 10_000)).save(path)),
    "DATA-IMAGE-TYPE": lambda splits: rename(splits, ".jpg"),
    "DATA-IMAGE-EXIF": plant_image(rotate_tag),
    "DATA-IMAGE-MODE": plant_image(lambda path: Image.open(path).convert("L").save(path)),
    "DATA-IMAGE-BLANK": plant_image(lambda path: Image.new("RGB", (64, 48), "white").save(path)),
    "DATA-IMAGE-SIZE": plant_image(lambda path: picture(path, 7, (48, 64))),
    "DATA-FILE-CASE": lambda splits: rename(splits, ".PNG"),
    "DATA-ID-CASE": set_sample("train", 0, id="TRAIN01.jpg"),
    "DATA-SPLIT-ID": set_sample("train", 0, id="test03.png"),
    "DATA-SPLIT-CONTENT": lambda splits: copy(splits, ("train", 0), ("test", 4)),
    "DATA-CONTENT-DUPLICATE": lambda splits: copy(splits, ("train", 0), ("train", 4)),
    "DATA-SPLIT-NEAR": lambda splits: rescale(splits, "test"),
    "DATA-NEAR-DUPLICATE": lambda splits: rescale(splits, "train"),
    "DATA-SPLIT-GROUP": set_sample("train", 0, patient="patient 104"),
    "DATA-CLASS-UNUSED": set_truths("test", "a"),
    "DATA-CLASS-RARE": set_sample("train", 0, truth=["a"] * 2000),
    "DATA-CLASS-SHIFT": set_sample("train", 0, truth=["a"] * 30),
    "DATA-LABEL-CONSTANT": set_truths("train", "b"),
    "DATA-LABEL-CONFLICT": lambda splits: copy(splits, ("train", 0), ("train", 1)),
    "DATA-COUNT": lambda _: None,
}
RELEASES = {
    "DATA-RELEASE-ID": lambda splits: splits["train"].samples.pop(),
    "DATA-RELEASE-SPLIT": lambda splits: splits["test"].samples.append(splits["train"].samples.pop()),
    "DATA-RELEASE-LABEL": set_sample("train", 0, truth="b"),
}
# What readers report is planted in the tests of the tasks; the rest below.
READERS = {
    "DATA-" + rule
    for rule in (
        "FILE-MISSING IMAGE-SIZE-ASSUMED JUNK NESTED ENCODING BOM CRLF NO-FINAL-NEWLINE SEPARATOR SEPARATOR-IN-FIELD QUOTING "
        "HEADER FIELDS JSON DUPLICATE-KEY ID-DUPLICATE ID-NO-IMAGE ID-NO-LABEL CLASS-UNKNOWN NUMBER TOO-LARGE TOO-MANY-ERRORS "
        "BLANK-LINE EMPTY FILE-AMBIGUOUS ID-UNKNOWN LAYOUT-UNVERIFIED NO-TRUTH OTHER-TASK"
    ).split()
}


@pytest.mark.parametrize(("code", "plant"), PLANTED.items(), ids=PLANTED)
def test_every_planted_fault_is_found(splits, code, plant):
    plant(splits)
    findings = found(splits)
    assert code in findings
    assert {finding.severity for finding in findings[code]} == {CODES[code].severity}
    assert all(finding.message for finding in findings[code])


@pytest.mark.parametrize(("code", "plant"), RELEASES.items(), ids=RELEASES)
def test_what_changed_since_an_earlier_release_is_told(splits, code, plant):
    before = deepcopy(splits)
    plant(splits)
    told = [finding for finding in since(splits, before) if finding.code.startswith("DATA-RELEASE")]
    assert [(finding.code, finding.severity) for finding in told] == [(code, CODES[code].severity)]


def test_changes_are_said_in_the_terms_of_the_task(splits):
    before = deepcopy(splits)
    splits["train"].samples[0].truth = ["b", "b"]
    (told,) = (finding for finding in since(splits, before) if finding.code == "DATA-RELEASE-LABEL")
    assert (told.id, told.value) == ("train00.png", "'a -1, b +2'")
    texts = replace(CLASSES, classes=None)
    (told,) = (finding for finding in since(splits, before, texts) if finding.code == "DATA-RELEASE-LABEL")
    assert "now" in told.value


def test_changed_questions_are_told_where_copies_may_differ_in_them(splits):
    before = deepcopy(splits)
    for number, release in enumerate((before, splits)):
        release["train"].samples[0].truth = Namespace(texts=(f"question {number}",))
    told = since({"train": Split(splits["train"].samples[:1])}, {"train": Split(before["train"].samples[:1])}, Checks())
    (change,) = (finding.value for finding in told if finding.code == "DATA-RELEASE-LABEL")
    assert "question 0" in change
    assert "question 1" in change


def test_a_release_is_as_it_was(splits):
    assert not [finding for finding in since(splits, deepcopy(splits)) if "RELEASE" in finding.code]


def test_samples_whose_truth_is_secret_in_one_release_are_not_compared(splits):
    before = deepcopy(splits)
    set_truths("test", None)(before)
    assert not [finding for finding in since(splits, before) if "RELEASE" in finding.code]


def test_every_code_has_a_fault_and_an_example():
    assert PLANTED.keys() | RELEASES.keys() | READERS | {"DATA-SPLIT-MISSING", "DATA-TRIVIAL"} == CODES.keys()
    assert all(code.meaning and code.example for code in CODES.values())


def test_a_clean_set_yields_counts_alone(splits):
    assert found(splits).keys() == {"DATA-COUNT"}


def test_a_near_duplicate_is_named_from_both_sides(splits):
    rescale(splits, "test")
    (finding,) = found(splits)["DATA-SPLIT-NEAR"]
    assert {finding.id, finding.value.partition(",")[0]} == {"train00.png", "test05.png"}


# ------------------------------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def wireframes(tmp_path_factory):
    root = tmp_path_factory.mktemp("wireframes")
    get_task("drawnui-wireframe").module("samples").generate(root, "drawnui-wireframe", 12, 0)
    return root


def run(*arguments):
    return main(["check", *map(str, arguments), "--no-cache"])


def test_the_command_tells_and_counts(wireframes, tmp_path, capsys):
    code = run("drawnui-wireframe", wireframes, "--json", tmp_path / "f.json")
    report = json.loads((tmp_path / "f.json").read_text())
    assert code == (1 if report["counts"]["error"] else 0)
    assert sum(report["counts"].values()) == sum(entry["count"] for entry in report["codes"].values())
    assert report["trivial"]["all"]["map50"] < 0.5
    told = capsys.readouterr().out
    assert all(name in told for name in report["codes"])
    assert "DATA-TRIVIAL" in report["codes"]


def test_what_is_ignored_or_accepted_does_not_count(wireframes, tmp_path, capsys):
    folder = wireframes / "drawnui" / "wireframe_development_set" / "images"
    extra = picture(folder / "extra.jpg", 5)
    try:
        assert run("drawnui-wireframe", wireframes) == 1
        assert run("drawnui-wireframe", wireframes, "--ignore", "DATA-ID-NO-LABEL") == 0
        accepted = tmp_path / "accepted.json"
        assert run("drawnui-wireframe", wireframes, "--write-accepted", accepted) == 1
        assert "the 1 error of this check among them" in capsys.readouterr().out
        assert run("drawnui-wireframe", wireframes, "--accept", accepted) == 0
        picture(folder / "other.jpg", 6)
        assert run("drawnui-wireframe", wireframes, "--accept", accepted) == 1
        assert "1 error" in capsys.readouterr().out.splitlines()[-1]
    finally:
        extra.unlink()
        (folder / "other.jpg").unlink(missing_ok=True)


def test_images_of_few_sizes_are_counted_by_size_and_of_many_by_side_and_shape(splits):
    def shown():
        return {each.title: each for each in common_distributions(look(splits), CLASSES)}

    assert shown()["image sizes"].series == {"train": (20,), "test": (20,)}
    for index, sample in enumerate(splits["train"].samples):
        picture(sample.image, index, (300 + index, 40))
    wide = shown()
    assert wide.keys() == {"items by class", "longer side of images, pixels", "width to height of images"}
    sides = wide["longer side of images, pixels"]
    assert sides.series["train"][sides.labels.index("256–384")] == 20
    assert wide["width to height of images"].series["train"][-1] == 20


@pytest.fixture
def many_faults(tmp_path):
    """Return a data set in which 1,200 images have no record: more than are kept of a code."""
    folder = tmp_path / "many" / "drawnui" / "wireframe_development_set"
    (folder / "images").mkdir(parents=True)
    data = picture(folder / "images" / "0.png", 0, (8, 8)).read_bytes()
    for number in range(1, 1201):
        (folder / "images" / f"{number}.png").write_bytes(data)
    records = [{"file": "0.png", "width": 8, "height": 8, "annotations": []}]
    (folder / "development_set.json").write_text(json.dumps(records))
    return tmp_path / "many"


def test_everything_is_counted_and_accepted_though_a_part_is_kept(many_faults, tmp_path, capsys):
    report, accepted = tmp_path / "f.json", tmp_path / "accepted.json"
    assert run("drawnui-wireframe", many_faults, "--json", report, "--write-accepted", accepted) == 1
    found = json.loads(report.read_text())
    assert found["codes"]["DATA-ID-NO-LABEL"]["count"] == 1200
    assert sum(finding["code"] == "DATA-ID-NO-LABEL" for finding in found["findings"]) == 1000
    assert len(json.loads(accepted.read_text())["accepted"]) == found["counts"]["error"] + found["counts"]["warning"] == 1200
    assert run("drawnui-wireframe", many_faults, "--accept", accepted) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out.splitlines()[-1]


def test_more_than_can_be_accepted_is_refused(many_faults, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checking, "MAX_ACCEPTED", 1100)
    accepted = tmp_path / "accepted.json"
    assert run("drawnui-wireframe", many_faults, "--write-accepted", accepted) == 1
    assert "CHECK-ACCEPTED" in capsys.readouterr().err
    assert not accepted.exists()


def test_what_is_accepted_replaces_nothing_else(wireframes, tmp_path, capsys):
    truth = tmp_path / "truth.csv"
    truth.write_text("kept")
    assert run("drawnui-wireframe", wireframes, "--truth", truth, "--write-accepted", truth) == 2
    assert run("drawnui-wireframe", wireframes, "--json", tmp_path / "a", "--write-accepted", tmp_path / "a") == 2
    assert "--write-accepted would overwrite --truth" in capsys.readouterr().err
    assert truth.read_text() == "kept"


def test_a_reader_s_tolerance_is_no_release_s(wireframes):
    """A label without image is a warning when training, and an error in a set to be released."""
    (image,) = list((wireframes / "drawnui" / "wireframe_development_set" / "images").iterdir())[:1]
    data = image.read_bytes()
    image.unlink()
    try:
        outcome = check_data_set(get_task("drawnui-wireframe"), wireframes, Settings())
        (finding,) = [finding for finding in outcome.findings if finding.code == "DATA-ID-NO-IMAGE"]
        assert finding.severity is Severity.ERROR
    finally:
        image.write_bytes(data)


def test_roots_are_folders(wireframes, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    for place, said in ((tmp_path / "none", "there is no such folder"), (file, "a folder is due, and this is a file")):
        for name, roots in (("ROOT", [place]), ("--earlier", [wireframes, "--earlier", place])):
            assert run("aware", *roots) == 1
            hint = f"{name} is a data root, laid out as data/README.md says"
            assert capsys.readouterr().err == f"{place}: DATA-FILE-MISSING {said} ({hint})\n"


@pytest.mark.parametrize("text", [None, "", "["])
def test_a_truth_that_cannot_be_read_is_told_alone(wireframes, tmp_path, text):
    truth = tmp_path / "truth.json"
    if text is not None:
        truth.write_text(text)
    outcome = check_data_set(get_task("drawnui-wireframe"), wireframes, Settings(truth=truth))
    assert [finding.severity for finding in outcome.findings if finding.file == str(truth)] == [Severity.ERROR]


def test_a_report_on_standard_output_is_alone_there(wireframes, capfd):
    code = run("drawnui-wireframe", wireframes, "--json", "-")
    output = capfd.readouterr()
    assert json.loads(output.out)["task"] == "drawnui-wireframe"
    assert code == (1 if json.loads(output.out)["counts"]["error"] else 0)
    assert "DATA-TRIVIAL" in output.err


def test_missing_splits(wireframes, tmp_path, capsys):
    assert run("drawnui-wireframe", tmp_path / "nothing") == 1
    assert "DATA-FILE-MISSING" in capsys.readouterr().err
    (tmp_path / "drawnui").mkdir()
    (tmp_path / "drawnui" / "wireframe_development_set").symlink_to(wireframes / "drawnui" / "wireframe_development_set")
    outcome = check_data_set(get_task("drawnui-wireframe"), tmp_path, Settings())
    assert outcome.findings.counts["DATA-SPLIT-MISSING"] == 1
    assert outcome.trivial.keys() == {"all"}


def test_the_secret_truth_of_the_test_set(wireframes, tmp_path):
    records = get_task("drawnui-wireframe").module("records")
    development = wireframes / "drawnui" / "wireframe_development_set" / "development_set.json"
    outcome = check_data_set(get_task("drawnui-wireframe"), wireframes, Settings(truth=development))
    test = records.read_split(wireframes, "drawnui-wireframe", "test", checking.Findings())
    assert outcome.findings.counts["DATA-ID-NO-LABEL"] == len(test.samples)
    assert outcome.findings.counts["DATA-ID-NO-IMAGE"] > 0


def test_a_data_set_is_not_overwritten_by_its_check(wireframes, capsys):
    truth = wireframes / "drawnui" / "wireframe_development_set" / "development_set.json"
    before = truth.read_bytes()
    for option in ("--json", "--html", "--write-accepted"):
        assert run("drawnui-wireframe", wireframes, option, truth) == 2
        assert f"{option} would overwrite" in capsys.readouterr().err
    assert truth.read_bytes() == before


def test_a_code_that_is_none_is_not_ignored_silently(wireframes, capsys):
    assert run("drawnui-wireframe", wireframes, "--ignore", "DATA-IMAGE-BLNK") == 2
    assert "did you mean DATA-IMAGE-BLANK?" in capsys.readouterr().err
    assert run("drawnui-wireframe", wireframes, "--ignore", "NOPE") == 2
    said = capsys.readouterr().err
    assert "the nearest are DATA-" in said
    assert "docs/data-codes.md lists all" in said
    assert said.count("DATA-") == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"accepted": 3}', "\xff"])
def test_accepted_findings_that_cannot_be_read(tmp_path, text):
    path = tmp_path / "accepted.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidInput, match="CHECK-ACCEPTED"):
        read_accepted(path)


def test_outputs_do_not_overwrite_inputs(wireframes, tmp_path, capsys):
    accepted = tmp_path / "accepted.json"
    accepted.write_text('{"accepted": []}')
    assert run("drawnui-wireframe", wireframes, "--accept", accepted, "--json", accepted) == 2
    assert accepted.read_text() == '{"accepted": []}'
    assert "--json would overwrite" in capsys.readouterr().err


def test_two_releases_through_the_command(wireframes, tmp_path, capsys):
    later = tmp_path / "later"
    shutil.copytree(wireframes, later)
    (truth,) = later.rglob("development_set.json")
    records = json.loads(truth.read_text())
    dropped = records[0]["annotations"].pop()
    truth.write_text(json.dumps(records))
    run("drawnui-wireframe", later, "--earlier", wireframes, "--json", tmp_path / "found.json")
    findings = json.loads((tmp_path / "found.json").read_text())["findings"]
    (told,) = (finding for finding in findings if finding["code"] == "DATA-RELEASE-LABEL")
    assert told["id"] == records[0]["file"]
    assert f"{dropped['detectionString']} -1" in told["value"]
    capsys.readouterr()
    assert run("drawnui-wireframe", later, "--earlier", tmp_path / "none") == 1
    assert "DATA-FILE-MISSING" in capsys.readouterr().err
    truth.write_text("no JSON")
    assert run("drawnui-wireframe", wireframes, "--earlier", later) == 1
    assert str(truth) in capsys.readouterr().err


def test_a_task_without_checks_says_so(monkeypatch):
    from baselines.core.findings import UsageError

    card = get_task("drawnui-wireframe")
    monkeypatch.setattr(type(card), "has", lambda *_: False)
    files = dict.fromkeys(("truth", "earlier", "json", "html", "accept", "write_accepted"))
    arguments = files | {"ignore": [], "cache": False, "near_distance": 1, "workers": 1}
    with pytest.raises(UsageError, match="no checks"):
        checking.check(Namespace(task=card.id, root=Path(), **arguments))


def test_distributions():
    counted = tally("items", {"train": Counter(a=2, b=1), "test": Counter(b=5)})
    assert (counted.labels, counted.series) == (("b", "a"), {"train": (1, 2), "test": (5, 0)})
    assert histogram("n", {"x": [-1, 0, 3, 3, 99]}, (0, 2, 4)).series == {"x": (2, 3)}
