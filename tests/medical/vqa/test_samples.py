"""The generated VQA-Med samples: the campaign's layout, readable, deterministic, all kinds of questions."""

import hashlib

import pytest

from baselines.core.findings import Findings, Severity
from baselines.medical.vqa.records import read_split, read_truth
from baselines.medical.vqa.samples import ANSWERING_TEST, GENERATION_TEST, PARTS, generate


def hashes(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("vqa")
    generate(root, "vqa", size=24)
    return root


def test_layout_is_the_campaigns(root):
    family = root / "medical" / "vqa"
    for part in PARTS:
        folder = family / part.folder
        assert all((folder / name).is_file() for name in part.files)
        images = len(list((folder / part.images).glob("synpic*.jpg")))
        assert images == max(1, round(24 * part.share))


@pytest.mark.parametrize(("task", "counts"), [("vqa", (27, 7, 4)), ("vqg", (14, 10, 12))])
def test_the_readers_take_every_image_without_a_warning(root, task, counts):
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        findings = Findings()
        read = read_split(root, task, split, findings)
        assert len(read.samples) == len(read.truth_set.truths) == count
        assert not findings.count(Severity.ERROR) + findings.count(Severity.WARNING)
        for sample in read.samples:
            assert bool(sample.question) == (task == "vqa")
            assert (sample.truth is None) == (split == "test")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("vqa", f"{ANSWERING_TEST}/Task1-VQA-2021-TestSet-ReferenceAnswers.txt"),
        ("vqg", f"{GENERATION_TEST}/Task2-VQGeneration2021-TestSet-ReferenceQuestions.txt"),
    ],
)
def test_the_references_of_the_test_sets_are_those_of_its_images(root, task, name):
    path = root / "medical" / "vqa" / name
    assert not path.read_text(encoding="utf-8").endswith("\n")  # as distributed
    findings = Findings()
    truths = read_truth(path, task, findings).truths
    assert truths.keys() == read_split(root, task, "test", Findings()).truth_set.truths.keys()
    assert not findings.error_count


def test_the_same_request_gives_the_same_bytes_for_both_tasks_and_another_seed_others(root, tmp_path):
    generate(tmp_path / "again", "vqg", size=24)
    assert hashes(tmp_path / "again") == hashes(root)
    generate(tmp_path / "other", "vqa", size=2, seed=1)
    pictures = {digest for name, digest in hashes(root).items() if name.endswith(".jpg")}
    assert not set(hashes(tmp_path / "other").values()) & pictures
