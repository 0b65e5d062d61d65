"""What a check finds in tuberculosis data sets beyond the common rules: each finding has its planted fault."""

import gzip
import json
import shutil

import numpy as np
import pytest
from scans import chest, lungs, write_nifti

from baselines.core.check import check_data_set
from baselines.core.checks import Settings
from baselines.core.findings import Severity
from baselines.core.tasks import get_task
from baselines.medical.tuberculosis import checks
from baselines.medical.tuberculosis.checks import CHECKS, examine_scan
from baselines.medical.tuberculosis.samples import generate

SHAPE, SPACING = (14, 12, 24), (9.9, 9.9, 9.9)
FOLDER = "medical/tuberculosis"
A, B = "TRN_0001.nii.gz", "TRN_0002.nii.gz"
ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


@pytest.fixture
def root(tmp_path):
    """Return a data set of six scans, a generated sample by its marker, so that slices may be small."""
    folder = tmp_path / FOLDER
    parts = {"train": [f"TRN_{number:04d}.nii.gz" for number in range(1, 6)], "test": ["TST_0001.nii.gz"]}
    for part, names in parts.items():
        for name in names:
            number = int(name[4:8]) + 10 * (part == "test")
            write_nifti(folder / part / name, chest(SHAPE) + number, spacing=SPACING, origin=number)
            for masks in ("masks1", "masks2"):
                write_nifti(folder / f"{part}-{masks}" / name, lungs(SHAPE), spacing=SPACING, origin=number)
    rows = [f"{name},{number}\n" for number, name in enumerate(parts["train"], start=1)]
    (folder / "TrainSet_metaData.csv").write_text("FileName,TypeOfTB\n" + "".join(rows))
    (folder / "sample.json").write_text(json.dumps({"version": 1}))
    return tmp_path


def scan(array, **options):
    return lambda folder: write_nifti(folder / "train" / A, array, **{"spacing": SPACING, "origin": 1, **options})


def mask(array, name="masks1", **options):
    return lambda folder: write_nifti(folder / f"train-{name}" / A, array, **{"spacing": SPACING, "origin": 1, **options})


def labels(change):
    def plant(folder):
        path = folder / "TrainSet_metaData.csv"
        path.write_text(change(path.read_text()))

    return plant


def not_a_number(shape=SHAPE):
    array = chest(shape)
    array[3, 4, 5] = np.nan
    return array


def one_lung():
    inside = lungs(SHAPE)
    inside[:7] = False
    return inside


def copy(source, target):
    return lambda folder: shutil.copy(folder / source, folder / target)


def copied_with_other_header(folder):
    write_nifti(folder / "train" / B, chest(SHAPE) + 1, spacing=SPACING, origin=99)


def small(folder):
    (folder / "sample.json").unlink()


PLANTED = {
    "DATA-FILE-REPEATED": (copy(f"train/{A}", "test"), WARNING),
    "DATA-MASK-AFFINE": (mask(lungs(SHAPE), origin=5), INFO),
    "DATA-MASK-DISAGREE": (mask(np.roll(lungs(SHAPE), 5, axis=1)), WARNING),
    "DATA-MASK-EMPTY": (mask(np.zeros(SHAPE)), WARNING),
    "DATA-MASK-MISSING": (lambda folder: (folder / "train-masks1" / A).unlink(), WARNING),
    "DATA-MASK-SHAPE": (mask(lungs((14, 12, 20))), ERROR),
    "DATA-MASK-SIZE": (mask(lungs(SHAPE) & (np.arange(24) < 3)), WARNING),
    "DATA-MASK-UNREADABLE": (lambda folder: (folder / "train-masks1" / A).write_bytes(b"nothing"), WARNING),
    "DATA-MASK-VALUES": (mask(lungs(SHAPE) + 1), WARNING),
    "DATA-NAME": (
        lambda folder: (folder / "train" / A).rename(folder / f"train/{'0a1b2c3d-' + '-'.join(['1a2b'] * 3)}-0a1b2c3d4e5f_{A}"),
        INFO,
    ),
    "DATA-ORIENTATION": (scan(chest(SHAPE), axes="LPS"), INFO),
    "DATA-SHAPE": (small, WARNING),
    "DATA-SPACING": (scan(chest(SHAPE), pixdim=[1, 0, 1, 1, 0, 0, 0, 0]), ERROR),
    "DATA-SPLIT-GROUP": (copied_with_other_header, ERROR),
    "DATA-VOXEL-NAN": (scan(not_a_number(), dtype=np.float32), ERROR),
    "DATA-VOXEL-RANGE": (scan(chest(SHAPE) - 2000), WARNING),
    # Of all tasks, with what is particular here.
    "DATA-CLASS-UNKNOWN": (labels(lambda text: text.replace(f"{A},1", f"{A},6")), ERROR),
    "DATA-COUNT": (lambda folder: (folder / "train" / A).write_bytes(b"nothing"), WARNING),
    "DATA-FILE-UNREADABLE": (lambda folder: (folder / "train" / A).write_bytes(b"nothing"), ERROR),
    "DATA-ID-NO-IMAGE": (lambda folder: (folder / "train" / A).unlink(), ERROR),
    "DATA-LABEL-CONFLICT": (copied_with_other_header, ERROR),
}


def check(root, **settings):
    return check_data_set(get_task("tuberculosis"), root, Settings(**settings)).findings


@pytest.mark.parametrize(("code", "fault"), PLANTED.items(), ids=PLANTED)
def test_every_planted_fault_is_found(root, code, fault):
    plant, severity = fault
    plant(root / FOLDER)
    assert severity in {finding.severity for finding in check(root) if finding.code == code}


def test_every_code_has_a_fault_and_an_example():
    assert CHECKS.codes.keys() <= PLANTED.keys()
    assert all(code.meaning and code.example for code in CHECKS.codes.values())


def test_a_sound_set_yields_nothing_above_info(root):
    found = list(check(root))
    assert [finding for finding in found if finding.severity is not INFO] == []
    assert {finding.code for finding in found} == {"DATA-COUNT", "DATA-TRIVIAL"}


@pytest.mark.parametrize(
    ("plant", "code", "value"),
    [
        (scan(not_a_number(), dtype=np.float32), "DATA-VOXEL-NAN", "1 NaN"),
        (scan(chest(SHAPE) + 1024), "DATA-VOXEL-RANGE", "169 to 1069"),
        (scan(np.full(SHAPE, 7)), "DATA-VOXEL-RANGE", "7 to 7"),
        (scan(chest((14, 12, 12))), "DATA-SHAPE", "14×12×12"),
        (mask(one_lung()), "DATA-MASK-EMPTY", "100% in one half"),
        (scan(chest(SHAPE), srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4), "DATA-ORIENTATION", ""),
    ],
)
def test_what_was_seen_is_told(root, plant, code, value):
    plant(root / FOLDER)
    found = [finding for finding in check(root) if finding.code == code]
    assert value in [finding.value for finding in found]
    assert A in {finding.id for finding in found}


def test_one_header_in_two_splits_is_one_patient(root):
    write_nifti(root / FOLDER / "test" / "TST_0001.nii.gz", chest(SHAPE) + 40, spacing=SPACING, origin=1)
    (found,) = [finding for finding in check(root) if finding.code == "DATA-SPLIT-GROUP"]
    assert (found.severity, found.message) == (ERROR, "the group is in all and test")


def test_values_are_those_behind_slope_and_intercept(tmp_path):
    path = write_nifti(tmp_path / A, chest(SHAPE) + 1024, slope=(1, -1024))
    facts = examine_scan(path, ())
    assert (facts["lowest"], facts["highest"]) == (-855, 45)
    assert facts["shape"] == list(SHAPE)


def test_a_scan_that_ends_early_is_unreadable_also_where_its_length_says_otherwise(root):
    path = root / FOLDER / "train" / A
    content = bytearray(gzip.decompress(path.read_bytes()))
    packed = bytearray(gzip.compress(bytes(content), 1, mtime=0))
    packed[200] ^= 0xFF
    path.write_bytes(bytes(packed))
    assert {each.id for each in check(root) if each.code == "DATA-FILE-UNREADABLE"} == {A}


def test_a_scan_is_read_once_and_again_when_its_mask_changes(root, tmp_path, monkeypatch):
    read = []

    def examine(ct, masks):
        read.append(ct.name)
        return examine_scan(ct, masks)

    monkeypatch.setattr(checks, "examine_scan", examine)
    first = list(check(root, store=tmp_path / "memory"))
    assert len(read) == 6
    assert list(check(root, store=tmp_path / "memory")) == first
    assert len(read) == 6
    (root / FOLDER / "train-masks2" / A).unlink()
    check(root, store=tmp_path / "memory")
    assert read[6:] == [A]


def test_counts_are_held_against_those_of_the_campaign(root):
    (root / FOLDER / "sample.json").unlink()
    values = {each.value: each.severity for each in check(root) if each.code == "DATA-COUNT"}
    assert values["5, published 917"] == values["1, published 421"] == WARNING


def test_distributions_count_what_is_there(root):
    shown = {each.title: each for each in check_data_set(get_task("tuberculosis"), root, Settings()).distributions}
    assert sum(shown["slices per scan"].series["all"]) == 5
    assert shown["orientation"].series == {"all": (5,), "test": (1,)}


@pytest.mark.slow
def test_a_generated_sample_is_clean_without_its_quirks_and_found_out_with_them(tmp_path):
    generate(tmp_path, "tuberculosis", size=12, quirks=False)
    assert [finding for finding in check(tmp_path) if finding.severity is not INFO] == []
    generate(tmp_path, "tuberculosis", size=12)
    codes = {"DATA-FILE-UNREADABLE", "DATA-VOXEL-NAN", "DATA-SPLIT-GROUP", "DATA-VOXEL-RANGE"}
    assert codes <= check(tmp_path).counts.keys()
