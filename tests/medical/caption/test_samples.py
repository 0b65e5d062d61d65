"""The generated caption samples: the campaign's layout, readable without a warning, deterministic."""

import hashlib

import pytest
from PIL import Image

from baselines.core.findings import Findings
from baselines.medical.caption.records import CAPTIONS, CONCEPTS, read_split, read_truth
from baselines.medical.caption.samples import NAMES_FILE, TEST, TRAIN, VAL, generate


def hashes(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("caption")
    generate(root, CONCEPTS, size=20)
    return root


def test_layout_is_the_campaigns(root):
    family = root / "medical" / "caption"
    assert {path.name for path in family.iterdir()} == {TRAIN, VAL, TEST}
    assert len(list((family / TRAIN / "Training-Images").glob("synpic*.jpg"))) == 20
    assert len(list((family / VAL / "Validation-Images").glob("synpic*.jpg"))) == 6
    assert len(list((family / TEST).glob("synpic*.jpg"))) == 6
    for path in family.rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert 96 <= min(image.size) <= max(image.size) <= 256


@pytest.mark.parametrize("task", [CONCEPTS, CAPTIONS])
def test_the_readers_take_every_image_and_find_no_fault_but_the_byte_order_mark(root, task):
    for split, count in (("train", 20), ("val", 6), ("test", 6)):
        findings = Findings()
        read = read_split(root, task, split, findings)
        assert len(read.samples) == len(read.truth_set.truths) == count
        assert set(findings.counts) <= {"DATA-BOM"}
        if split != "test":
            assert all(sample.truth.concepts if task == CONCEPTS else sample.truth.caption for sample in read.samples)


def test_the_test_set_comes_with_its_truth(root):
    findings = Findings()
    truth_set = read_truth(root / "medical" / "caption" / TEST / "sample_truth_concepts.csv", CONCEPTS, findings)
    assert len(truth_set.truths) == 6
    assert not len(findings)


def test_every_concept_has_a_name(root):
    classes = read_split(root, CONCEPTS, "train", Findings()).truth_set.classes
    assert all(not name.startswith("C99") for name in classes.values())
    assert (root / "medical" / "caption" / TRAIN / NAMES_FILE).is_file()


def test_the_same_request_gives_the_same_bytes_for_both_tasks_and_a_larger_one_begins_with_them(root, tmp_path):
    generate(tmp_path / "again", CAPTIONS, size=20)
    assert hashes(tmp_path / "again") == hashes(root)
    generate(tmp_path / "larger", CONCEPTS, size=21)
    small, large = hashes(root), hashes(tmp_path / "larger")
    assert all(large[name] == digest for name, digest in small.items() if name.endswith(".jpg"))
    generate(tmp_path / "other", CONCEPTS, size=2, seed=1)
    assert not set(hashes(tmp_path / "other").values()) & {digest for name, digest in small.items() if name.endswith(".jpg")}
