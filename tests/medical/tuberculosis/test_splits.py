"""The splits: files wherever they lie, what is odd about them, repeated patients, stratified parts."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scans import chest, lungs, write_nifti

from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.medical.tuberculosis.folds import divide
from baselines.medical.tuberculosis.records import read_split

UUID = "4231cdb3-af46-4674-be08-95b904a62093_"


@pytest.fixture
def root(tmp_path):
    """A data root with ten labelled and two test scans, each a patient of its own, all with one mask and the first with two."""
    folder = tmp_path / "medical" / "tuberculosis"
    rows = ["FileName,TypeOfTB"]
    for part, names in (("train", [f"TRN_{n:04d}" for n in range(1, 11)]), ("test", ["TST_0001", "TST_0002"])):
        for number, name in enumerate(names):
            volume = chest() + number
            write_nifti(folder / part / f"{name}.nii.gz", volume, origin=float(number))
            write_nifti(folder / f"{part}-masks1" / f"{name}.nii.gz", lungs(), dtype=np.uint8)
            if part == "train":
                rows.append(f"{name}.nii.gz,{1 + number % 2}")
    shutil.copytree(folder / "train-masks1", folder / "train-masks2", ignore=lambda _, names: names[1:])
    (folder / "TrainSet_metaData.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def read(root, split="all", **options):
    findings = Findings()
    return read_split(root, "tuberculosis", split, findings, **options), findings


def codes(findings):
    return sorted(finding.code for finding in findings)


def test_the_layout_as_distributed(root):
    split, findings = read(root)
    assert codes(findings) == []
    assert [sample.id for sample in split.samples] == [f"TRN_{n:04d}.nii.gz" for n in range(1, 11)]
    assert sorted(len(sample.masks) for sample in split.samples) == [1] * 9 + [2]
    assert [sample.truth.label for sample in split.samples] == [1, 2] * 5
    test, _ = read(root, "test")
    assert [sample.id for sample in test.samples] == ["TST_0001.nii.gz", "TST_0002.nii.gz"]
    assert all(sample.truth is None and len(sample.masks) == 1 for sample in test.samples)
    assert list(test.truth_set.truths) == [sample.id for sample in test.samples]


def test_another_layout_prefixes_and_junk_make_no_difference(root):
    folder = root / "medical" / "tuberculosis"
    expected, _ = read(root)
    moved = root / "elsewhere" / "tuberculosis"
    (moved / "CT" / "part 1").mkdir(parents=True)
    (folder / "TrainSet_metaData.csv").rename(moved / f"{UUID}TrainSet_metaData.csv")
    for path in (folder / "train").iterdir():
        path.rename(moved / "CT" / "part 1" / f"{UUID}{path.name}")
    (folder / "train-masks1").rename(moved / f"{UUID}train-masks1")
    (folder / "train-masks2").rename(moved / "Mask 2")
    (moved / "__MACOSX").mkdir()
    (moved / "__MACOSX" / "TRN_0001.nii.gz").write_bytes(b"junk")
    (moved / "CT" / "._TRN_0001.nii.gz").write_bytes(b"junk")
    (moved / "CT" / "loop").symlink_to(moved)
    split, findings = read(root / "elsewhere")
    assert codes(findings) == ["DATA-JUNK"]
    assert [(s.id, len(s.masks), s.truth) for s in split.samples] == [(s.id, len(s.masks), s.truth) for s in expected.samples]


@pytest.mark.parametrize(
    ("spoil", "code", "left"),
    [
        (lambda folder: (folder / "train/TRN_0004.nii.gz").unlink(), "DATA-ID-NO-IMAGE", 9),
        (
            lambda folder: shutil.copy(folder / "train/TRN_0004.nii.gz", folder / "train/TRN_0999.nii.gz"),
            "DATA-ID-NO-LABEL",
            10,
        ),
        (lambda folder: (folder / "train/TRN_0004.nii.gz").write_bytes(b"nothing"), "DATA-FILE-UNREADABLE", 10),
        (lambda folder: shutil.copy(folder / "train/TRN_0004.nii.gz", folder / "test"), "DATA-FILE-REPEATED", 10),
        (
            lambda folder: shutil.copy(folder / "TrainSet_metaData.csv", folder / f"{UUID}TrainSet_metaData.csv"),
            "DATA-FILE-REPEATED",
            10,
        ),
        (
            lambda folder: shutil.copy(folder / "train/TRN_0004.nii.gz", folder / "train/TRN_0006.nii.gz"),
            "DATA-SPLIT-GROUP",
            10,
        ),
        (
            lambda folder: write_nifti(folder / "train/TRN_0006.nii.gz", chest(), origin=3.0),
            "DATA-SPLIT-GROUP",
            10,
        ),
    ],
)
def test_what_is_odd_is_a_warning(root, spoil, code, left):
    spoil(root / "medical" / "tuberculosis")
    split, findings = read(root)
    assert codes(findings) == [code]
    assert findings.error_count == 0
    assert len(split.samples) == len(split.truth_set.truths) == left


def test_a_cut_off_scan_is_known_before_it_is_decompressed_as_a_whole(root):
    path = root / "medical/tuberculosis/train/TRN_0004.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])
    split, findings = read(root)
    assert codes(findings) == ["DATA-FILE-UNREADABLE"]
    assert [sample.id for sample in split.samples if not sample.is_readable] == ["TRN_0004.nii.gz"]
    assert split.samples[3].patient == "TRN_0004.nii.gz"


def test_duplicates_with_another_label_say_so(root):
    folder = root / "medical/tuberculosis/train"
    shutil.copy(folder / "TRN_0004.nii.gz", folder / "TRN_0007.nii.gz")
    assert "different labels" in str(next(iter(read(root)[1])))


def test_scans_of_a_patient_stay_together(root):
    folder = root / "medical/tuberculosis/train"
    for name in ("TRN_0003", "TRN_0005", "TRN_0009"):
        write_nifti(folder / f"{name}.nii.gz", chest() + 3, origin=0.0)  # as TRN_0001
    for fold in range(4):
        held_out = {sample.id for sample in read(root, "val", folds=4, fold=fold)[0].samples}
        assert len(held_out & {f"TRN_{n:04d}.nii.gz" for n in (1, 3, 5, 9)}) in (0, 4)


def test_train_and_validation_make_up_the_whole(root):
    both = [read(root, name, val_share=0.4, split_seed=3)[0] for name in ("train", "val")]
    assert sorted(s.id for part in both for s in part.samples) == [s.id for s in read(root)[0].samples]
    assert [Counter(s.truth.label for s in part.samples) for part in both] == [{1: 3, 2: 3}, {1: 2, 2: 2}]
    folds = [read(root, "val", folds=5, fold=fold)[0] for fold in range(5)]
    assert sorted(s.id for part in folds for s in part.samples) == [s.id for s in read(root)[0].samples]
    assert all(Counter(s.truth.label for s in part.samples) == {1: 1, 2: 1} for part in folds)


def test_the_folder_of_the_files_will_do_and_another_is_not_searched(root):
    folder = root / "medical" / "tuberculosis"
    expected, _ = read(root)
    assert read(folder)[0].samples == read(folder.parent)[0].samples == expected.samples
    folder.rename(root / "medical" / "other")
    with pytest.raises(InvalidInput, match="not here"):
        read(root)


def test_missing_files_say_where_they_were_looked_for(tmp_path, root):
    with pytest.raises(InvalidInput, match=r"data\.root.*imageclef sample tuberculosis"):
        read(tmp_path / "nowhere")
    shutil.rmtree(root / "medical/tuberculosis/test")
    with pytest.raises(InvalidInput, match="TST_"):
        read(root, "test")
    (root / "medical/tuberculosis/TrainSet_metaData.csv").unlink()
    with pytest.raises(InvalidInput, match="TrainSet_metaData"):
        read(root)
    with pytest.raises(UsageError, match="train, val, all and test"):
        read(root, "dev")


@given(
    labels=st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(1, 5), max_size=40),
    patients=st.integers(1, 40),
    parts=st.integers(2, 5),
    seed=st.integers(0, 9),
)
def test_parts_are_a_division_that_keeps_groups(labels, patients, parts, seed):
    groups = {name: str(sum(map(ord, name)) % patients) for name in labels}
    divided = divide(labels, groups, [1 / parts] * parts, seed)
    assert sorted(name for part in divided for name in part) == sorted(labels)
    assert len({(groups[name], place) for place, part in enumerate(divided) for name in part}) == len(set(groups.values()))
    shuffled = dict(reversed(labels.items()))
    assert divide(shuffled, groups, [1 / parts] * parts, seed) == divided


def test_every_class_is_shared_out_evenly():
    labels = {f"{n:03d}": label for n, label in enumerate(np.repeat([1, 2, 3, 4, 5], [420, 226, 101, 100, 70]).tolist())}
    for part in divide(labels, {name: name for name in labels}, [0.2] * 5, seed=1):
        counts = Counter(labels[name] for name in part)
        assert all(abs(counts[label] - total / 5) < 1.5 for label, total in Counter(labels.values()).items())
        assert len(part) in (183, 184)
