"""The generated data set: in the distributed layout, with what real data have, repeatable, and types that differ."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.medical.tuberculosis.chests import Geometry, draw_chest
from baselines.medical.tuberculosis.records import read_split
from baselines.medical.tuberculosis.samples import AGAIN, UNREADABLE, WITH_NAN, generate, labels_of
from baselines.medical.tuberculosis.volumes import prepare_files, read_header

FOLDER = "medical/tuberculosis"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    generate(root, "tuberculosis", size=8)
    return root


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_it_is_read_and_its_faults_are_found(root):
    findings = Findings()
    split = read_split(root, "tuberculosis", "all", findings)
    assert len(split.samples) == 8
    assert all(len(sample.masks) == 2 for sample in split.samples)
    unreadable, again = f"TRN_{UNREADABLE:04d}.nii.gz", f"TRN_{AGAIN + 1:04d}.nii.gz"
    assert {(each.code, each.id) for each in findings} == {("DATA-FILE-UNREADABLE", unreadable), ("DATA-SPLIT-GROUP", again)}
    for sample in split.samples:
        array, facts = prepare_files((sample.ct, *sample.masks), (16, 24, 24))
        assert (array is None) == (sample.id == unreadable)
        with_nan = sample.id == f"TRN_{WITH_NAN:04d}.nii.gz"
        assert [rule for rule, _, _ in facts.get("notes", ())] == (["VOXEL-NAN"] if with_nan else [])
    assert len(read_split(root, "tuberculosis", "test", findings).samples) == 2


def test_scans_differ_as_real_ones_do(root):
    headers = [read_header(path) for path in sorted((root / FOLDER / "train").iterdir())]
    assert len({header.shape for header in headers}) > 3
    assert len({np.sign(np.diag(header.affine[:3, :3])).tobytes() for header in headers}) > 1
    assert len({(header.dtype, header.intercept) for header in headers}) > 1


def test_the_same_request_gives_the_same_bytes_and_changes_nothing(root, tmp_path):
    generate(tmp_path, "tuberculosis", size=8)
    assert files(tmp_path) == files(root)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    generate(tmp_path, "tuberculosis", size=8)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    generate(tmp_path, "tuberculosis", size=1, seed=1)
    assert len(list((tmp_path / FOLDER / "train").iterdir())) == 1
    assert [path.name for path in (tmp_path / "medical").iterdir()] == ["tuberculosis"]


def test_foreign_data_are_left_alone_and_nonsense_is_refused(tmp_path):
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "TrainSet_metaData.csv").write_text("mine")
    with pytest.raises(InvalidInput, match="SAMPLE-FOREIGN-DATA"):
        generate(tmp_path, "tuberculosis", size=1)
    assert (tmp_path / FOLDER / "TrainSet_metaData.csv").read_text() == "mine"
    with pytest.raises(UsageError):
        generate(tmp_path, "tuberculosis", size=0)


def test_types_are_as_unequally_frequent_as_the_campaigns():
    assert Counter(labels_of(917, 0, 0)) == {1: 420, 2: 226, 3: 101, 4: 100, 5: 70}
    assert set(labels_of(10, 0, 0)) == {1, 2, 3, 4, 5}
    assert all(len(labels_of(size, 0, 0)) == size for size in range(1, 40))


def test_each_type_shows_what_defines_it():
    geometry = Geometry((70, 70, 36), (5.0, 5.0, 7.6))
    dense, compact, empty, speckled = {}, {}, {}, {}
    for kind in range(1, 6):
        found = []
        for seed in range(2):
            drawn = draw_chest(kind, geometry, np.random.default_rng(seed))
            inside = ndimage.binary_erosion(drawn.lungs > 0)
            values = drawn.hu[inside]
            solid = ndimage.binary_opening((drawn.hu > -200) & inside)
            speckles = (values > -800) & (values < -550)
            found.append(((values > -500).mean(), solid.sum(), (values < -940).mean(), speckles.mean()))
        dense[kind], compact[kind], empty[kind], speckled[kind] = np.mean(found, 0)
    assert min(dense[1], dense[5]) > max(dense[2], dense[3], dense[4])  # consolidation and ground glass
    assert compact[3] > 3 * max(compact[2], compact[4])  # one solid nodule, but foci and seeds are small
    assert empty[5] == max(empty.values())  # the air of the cavity
    assert speckled[4] == max(speckled.values())  # seeds fill a part of many voxels
