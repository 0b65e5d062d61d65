"""What a check finds in caption data sets beyond the common rules: each finding has its planted fault."""

import functools
import re
import shutil
from dataclasses import replace

import pytest

from baselines.core import check as checking
from baselines.core.check import check_data_set
from baselines.core.checks import Settings
from baselines.core.findings import Findings, Severity
from baselines.core.tasks import get_task
from baselines.medical.caption.checks import CHECKS
from baselines.medical.caption.records import read_split
from baselines.medical.caption.samples import NAMES_FILE, TRAIN, VAL, generate

CONCEPTS, CAPTIONS = "caption-concepts", "caption-prediction"
ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


@pytest.fixture(scope="module")
def clean_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean")
    generate(root, CONCEPTS, size=24, quirks=False)
    return root


@pytest.fixture
def root(clean_root, tmp_path):
    return shutil.copytree(clean_root, tmp_path / "root")


def edit(change, file=f"{TRAIN}/Training_Set_Concepts.csv"):
    """Return what changes the lines of a file below ``medical/caption``."""

    def plant(root):
        path = root / "medical" / "caption" / file
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        change(lines)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    return plant


def first(pattern, new, file=f"{TRAIN}/Training_Set_Concepts.csv"):
    def change(lines):
        lines[0] = re.sub(pattern, lambda _: new, lines[0], count=1)

    return edit(change, file)


def caption(text, times=1):
    def change(lines):
        for place in range(times):
            lines[place] = f"{lines[place].partition(chr(9))[0]}\t{text}"

    return edit(change, f"{TRAIN}/Training_Set_Captions.csv")


def typo(lines):
    for place in range(12):
        lines[place] += " cystic"
    lines[13] += " cytsic"


def spreadsheet(root):
    path = root / "medical" / "caption" / TRAIN / "Training_Set_Concepts.csv"
    path.write_bytes(b"PK\3\4" + b"\0" * 20)
    path.rename(path.with_suffix(".xlsx"))


def no_validation(root):
    shutil.rmtree(root / "medical" / "caption" / VAL)


def shared_with_vqa(root):
    image = next((root / "medical" / "caption" / TRAIN / "Training-Images").iterdir())
    (root / "medical" / "vqa" / "images").mkdir(parents=True)
    shutil.copy(image, root / "medical" / "vqa" / "images")


def copied(target):
    """Return what makes an image of another folder the copy of one of training; their labels stay as they are."""

    def plant(root):
        folder = root / "medical" / "caption"
        source, *_, last = sorted((folder / TRAIN / "Training-Images").iterdir())
        shutil.copy(source, last if target == TRAIN else next((folder / VAL / "Validation-Images").iterdir()))

    return plant


PLANTED = {
    "DATA-CAPTION-DUPLICATE": (CAPTIONS, caption("chest x-ray with a mass.", times=2), INFO),
    "DATA-CAPTION-EMPTY": (CAPTIONS, caption("The."), WARNING),
    "DATA-CONCEPT-FORM": (CONCEPTS, first(r"\tC\d+", "\tc123"), ERROR),
    "DATA-CONCEPT-NEW": (CONCEPTS, first(r"$", ";C1234567", f"{VAL}/Validation_Set_Concepts.csv"), WARNING),
    "DATA-CONCEPT-NO-NAME": (CONCEPTS, first(r"$", ";C1234567"), INFO),
    "DATA-DIVIDED": (CONCEPTS, no_validation, INFO),
    "DATA-DUPLICATE-CONCEPT": (CONCEPTS, first(r"\t(C\d+)", "\tC9900001;c9900001"), WARNING),
    "DATA-EMPTY-CONCEPT": (CONCEPTS, first(r"$", ";"), WARNING),
    "DATA-SHORT-REFERENCE": (CAPTIONS, caption("a mass"), INFO),
    "DATA-TEXT-CHAR": (CAPTIONS, caption("a mass of the\u00a0lung"), INFO),
    "DATA-TEXT-TYPO": (CAPTIONS, edit(typo, f"{TRAIN}/Training_Set_Captions.csv"), INFO),
    "DATA-XLSX": (CONCEPTS, spreadsheet, ERROR),
    # Of all tasks, with what is particular here.
    "DATA-ENCODING": (CAPTIONS, caption("hodgkin\u00e2\u20ac\u2122s lymphoma"), WARNING),
    "DATA-ID-NO-IMAGE": (CONCEPTS, edit(lambda lines: lines.append("synpic1\tC9900001")), ERROR),
    "DATA-ID-NO-LABEL": (CONCEPTS, edit(lambda lines: lines.pop()), ERROR),
    "DATA-LABEL-CONFLICT": (CAPTIONS, copied(TRAIN), ERROR),
    "DATA-QUOTING": (CAPTIONS, caption('"a mass of the lung"'), WARNING),
    "DATA-SEPARATOR": (
        CONCEPTS,
        edit(lambda lines: lines.__setitem__(slice(None), [x.replace("\t", ",") for x in lines])),
        WARNING,
    ),
    "DATA-SPLIT-ID": (CONCEPTS, shared_with_vqa, WARNING),
}


def check(root, task=CONCEPTS):
    return check_data_set(get_task(task), root, Settings()).findings


check_once = functools.cache(check)  # of what doesn't change


@pytest.mark.parametrize(("code", "fault"), PLANTED.items(), ids=PLANTED)
def test_every_planted_fault_is_found(root, clean_root, monkeypatch, code, fault):
    monkeypatch.setattr(checking, "_score_trivial", lambda _: {})  # takes seconds: a search for the best constant caption
    task, plant, severity = fault
    before = {(finding.id, finding.value) for finding in check_once(clean_root, task) if finding.code == code}
    plant(root)
    found = [finding for finding in check(root, task) if finding.code == code and (finding.id, finding.value) not in before]
    assert {finding.severity for finding in found} == {severity}


def test_every_code_has_a_fault_and_an_example():
    assert CHECKS.codes.keys() <= PLANTED.keys()
    assert all(code.meaning and code.example for code in CHECKS.codes.values())


@pytest.mark.parametrize("task", [CONCEPTS, CAPTIONS])
def test_a_clean_set_yields_nothing_above_info(clean_root, task):
    assert [finding for finding in check(clean_root, task) if finding.severity is not INFO] == []


@pytest.mark.parametrize("task", [CONCEPTS, CAPTIONS])
def test_copies_in_two_splits_must_have_one_label(root, task):
    copied(VAL)(root)
    (found,) = [finding for finding in check(root, task) if finding.code == "DATA-LABEL-CONFLICT"]
    truth_sets = [read_split(root, task, name, Findings()).truth_set for name in ("train", "val")]
    one, other = truth_sets[0].truths[found.id], truth_sets[1].truths[found.value.partition(":")[0]]
    assert (one.concepts, one.caption) != (other.concepts, other.caption)
    assert found.other.endswith(f"{other.id}.jpg")


def test_copies_of_one_label_are_no_conflict(root):
    copied(TRAIN)(root)
    lines = sorted((root / "medical" / "caption" / TRAIN / "Training_Set_Captions.csv").read_text().splitlines())
    same = {lines[place].partition("\t")[0]: text for place, text in ((0, "A mass of the lung"), (-1, "a  mass of the lung"))}
    edit(
        lambda all_lines: all_lines.__setitem__(
            slice(None), [f"{name}\t{same.get(name, text)}" for name, _, text in (each.partition("\t") for each in all_lines)]
        ),
        f"{TRAIN}/Training_Set_Captions.csv",
    )(root)
    counts = check(root, CAPTIONS).counts
    assert counts["DATA-CONTENT-DUPLICATE"] == 1
    assert "DATA-LABEL-CONFLICT" not in counts


def test_a_slip_names_what_may_be_meant(root):
    edit(typo, f"{TRAIN}/Training_Set_Captions.csv")(root)
    (found,) = [finding for finding in check(root, CAPTIONS) if finding.value == "cytsic"]
    assert found.hint == "is cystic meant?"


def test_a_set_that_is_divided_has_a_label_for_every_image(root):
    no_validation(root)
    assert not check(root).error_count


def test_without_a_file_of_names_none_is_missed(root):
    (root / "medical" / "caption" / TRAIN / NAMES_FILE).unlink()
    assert "DATA-CONCEPT-NO-NAME" not in check(root).counts


def test_counts_are_held_against_those_of_the_campaign(root):
    for marker in root.rglob("sample.json"):
        marker.unlink()
    values = [finding.value for finding in check(root) if finding.code == "DATA-COUNT"]
    assert "24, published 2756" in values
    assert any(value.endswith(", published 1585") for value in values)


def test_distributions_count_what_is_there(clean_root):
    outcomes = [check_data_set(get_task(task), clean_root, Settings()) for task in (CONCEPTS, CAPTIONS)]
    shown = {each.title: each for outcome in outcomes for each in outcome.distributions}
    assert sum(shown["concepts per image"].series["train"]) == 24
    assert sum(shown["words per caption"].series["val"]) == 7
    assert max(shown["images by concept"].series["train"]) <= 24


@pytest.mark.parametrize("task", [CONCEPTS, CAPTIONS])
def test_an_image_is_drawn_with_its_text(clean_root, task):
    split = read_split(clean_root, task, "train", Findings())
    sample = split.samples[0]
    odd = replace(sample, truth=replace(sample.truth, concepts=("", "c12", "C1234567", "X" * 5000), caption="\0 word " * 5000))
    alone, told, strange = (CHECKS.draw(split, each, frozenset()) for each in (replace(sample, truth=None), sample, odd))
    assert alone.height < told.height < strange.height < alone.height + 400
    assert told.crop((0, 0, *alone.size)).tobytes() == alone.tobytes()
