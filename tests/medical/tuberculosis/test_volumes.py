"""CT volumes: orientation, windows, masks, what no CT is, and everything hostile."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest
from scans import SHAPE, SPACING, chest, lungs, write_nifti

from baselines.medical.tuberculosis.volumes import (
    UnreadableVolume,
    check_whole,
    prepare,
    prepare_files,
    read_header,
    voxel_digest,
)

GRID = (16, 20, 24)


def rules(prepared):
    return [rule for rule, _, _ in prepared.notes]


@pytest.fixture
def mask(tmp_path):
    return write_nifti(tmp_path / "masks1" / "a.nii.gz", lungs(), dtype=np.uint8)


@pytest.mark.parametrize("axes", ["LPS", "LAS", "RPI", "SAR", "PIR"])
def test_orientation_and_axes_of_the_file_make_no_difference(tmp_path, axes):
    volume = chest()
    volume[9, 3, 4] = 400  # a mark that no mirror image has
    plain = prepare(
        write_nifti(tmp_path / "a.nii.gz", volume), [write_nifti(tmp_path / "m" / "a.nii.gz", lungs(), dtype=np.uint8)], GRID
    )
    ct = write_nifti(tmp_path / "b.nii.gz", volume, axes=axes, origin=-300.0)
    turned = prepare(ct, [write_nifti(tmp_path / "m" / "b.nii.gz", lungs(), axes=axes, dtype=np.uint8)], GRID)
    np.testing.assert_allclose(turned.array.astype(int), plain.array.astype(int), atol=1)
    assert turned.spacing == pytest.approx(plain.spacing)
    assert read_header(ct).spacing.tolist() == pytest.approx([SPACING["RLAPIS".index(axis) // 2] for axis in axes])


def test_the_crop_is_the_lungs_with_a_margin_and_their_places_are_right(tmp_path, mask):
    prepared = prepare(write_nifti(tmp_path / "a.nii.gz", chest()), [mask], GRID, margin=0.0)
    # The longer right lung fills the box: x 2 to 11, y 2 to 9, z 2 to 7.
    assert prepared.spacing == pytest.approx((6 * 25 / 16, 8 * 21 / 20, 10 * 20 / 24))
    assert prepared.array.shape == (2, *GRID)
    ct, covered = prepared.array
    assert covered[8, 10, 20] == 255  # right
    assert covered[8, 10, 3] == 255  # left
    assert covered[8, 10, 12] == 0  # between them
    assert covered[15, 10, 3] == 0  # above the shorter left lung
    assert covered[15, 10, 20] == 255
    assert ct[8, 10, 20] == pytest.approx(150 / 1400 * 255, abs=2)
    assert ct[8, 10, 12] == pytest.approx(1040 / 1400 * 255, abs=2)
    wider = prepare(tmp_path / "a.nii.gz", [mask], GRID, margin=25.0)
    assert wider.spacing == pytest.approx((8 * 25 / 16, 10 * 21 / 20, 12 * 20 / 24))


def test_values_are_clipped_scaled_and_filled(tmp_path, mask):
    volume = chest()
    volume[7, 6, 5], volume[7, 7, 5] = 3000, -3000
    plain = prepare(write_nifti(tmp_path / "a.nii.gz", volume), [mask], GRID)
    shifted = write_nifti(tmp_path / "b.nii.gz", (volume + 1024) / 2, slope=(2.0, -1024.0))
    assert rules(plain) == []
    np.testing.assert_allclose(prepare(shifted, [mask], GRID).array.astype(int), plain.array.astype(int), atol=1)
    volume[7, 6, 5], volume[7, 7, 5], volume[7, 8, 5] = np.inf, -np.inf, np.nan
    filled = prepare(write_nifti(tmp_path / "c.nii.gz", volume, dtype=np.float32), [mask], GRID)
    assert filled.notes == (
        ("VOXEL-NAN", "voxels are no numbers: NaN and -inf become -1000 HU, inf 400", "1 NaN, 1 -inf, 1 inf"),
    )
    volume[7, 6, 5], volume[7, 7, 5], volume[7, 8, 5] = 400, -1000, -1000
    np.testing.assert_array_equal(prepare(write_nifti(tmp_path / "d.nii.gz", volume), [mask], GRID).array, filled.array)


def test_values_that_no_float_holds_are_counted(tmp_path, mask):
    volume = chest().astype(np.float64)
    volume[7, 6, 5], volume[7, 7, 5] = 1e300, -1e300
    huge = prepare(write_nifti(tmp_path / "a.nii.gz", volume, dtype=np.float64), [mask], GRID)
    assert huge.notes[0][2] == "1 -inf, 1 inf"
    sloped = prepare(write_nifti(tmp_path / "b.nii.gz", chest(), scl_slope=3e38, scl_inter=0.0), [mask], GRID)
    assert rules(sloped) == ["VOXEL-NAN"]


def test_masks_are_united_matched_by_shape_and_compared_with_their_corner(tmp_path, mask):
    ct = write_nifti(tmp_path / "a.nii.gz", chest())
    right = lungs()
    right[:7] = False
    half = write_nifti(tmp_path / "masks1" / "half.nii.gz", np.where(right, 5, 3), dtype=np.uint8, spacing=(1, 1, 1))
    rest = write_nifti(tmp_path / "masks2" / "half.nii.gz", np.where(lungs() & ~right, 2, 0), dtype=np.int16)
    united = prepare(ct, [half, rest], GRID)
    np.testing.assert_array_equal(united.array, prepare(ct, [mask], GRID).array)
    assert united.notes[0][0] == "MASK-VALUES"
    assert united.notes[0][2] == "3.0"
    other = write_nifti(tmp_path / "masks2" / "other.nii.gz", np.ones((14, 12, 9)), dtype=np.uint8)
    broken = tmp_path / "masks2" / "broken.nii.gz"
    broken.write_bytes(b"nothing")
    left_over = prepare(ct, [mask, other, broken], GRID)
    assert rules(left_over) == ["MASK-SHAPE", "MASK-UNREADABLE"]
    np.testing.assert_array_equal(left_over.array, united.array)


@pytest.mark.parametrize(
    ("content", "rule"),
    [(np.zeros(SHAPE), "MASK-SIZE"), (np.arange(np.prod(SHAPE)).reshape(SHAPE) == 7, "MASK-SIZE"), (None, "MASK-MISSING")],
)
def test_without_a_sensible_mask_the_lungs_are_found(tmp_path, mask, content, rule):
    ct = write_nifti(tmp_path / "a.nii.gz", chest())
    masks = [] if content is None else [write_nifti(tmp_path / "m" / "a.nii.gz", content, dtype=np.uint8)]
    found = prepare(ct, masks, GRID)
    assert rules(found) == [rule]
    expected = prepare(ct, [mask], GRID)
    np.testing.assert_array_equal(found.array[0], expected.array[0])
    covered, wanted = found.array[1].astype(int), expected.array[1].astype(int)
    assert (covered <= wanted + 1).all()  # edges of these small boxes are lost
    assert covered.sum() > wanted.sum() / 2


def test_where_there_are_no_lungs_all_is_kept(tmp_path):
    found = prepare(write_nifti(tmp_path / "a.nii.gz", np.full(SHAPE, 40)), [], GRID)
    assert found.spacing == pytest.approx((10 * 25 / 16, 12 * 21 / 20, 14 * 20 / 24))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dim": [3, 32000, 32000, 32000, 1, 1, 1, 1]}, "no CT has 32000 by 32000 by 32000 voxels"),
        ({"dim": [3, 4000, 4000, 4000, 1, 1, 1, 1]}, "no CT has"),
        ({"dim": [3, 14, 12, -10, 1, 1, 1, 1]}, "no CT has"),
        ({"dim": [3, 14, 12, 0, 1, 1, 1, 1]}, "no CT has"),
        ({"dim": [2, 14, 120, 1, 1, 1, 1, 1]}, "three dimensions"),
        ({"dim": [4, 14, 12, 5, 2, 1, 1, 1]}, "three dimensions"),
        ({"dim": [30000, 14, 12, 10, 1, 1, 1, 1]}, "three dimensions|header"),
        ({"datatype": 32}, "type complex64"),
        ({"datatype": 128}, "type"),
        ({"datatype": 9999}, "header"),
        ({"vox_offset": np.nan}, "begin at byte"),
        ({"vox_offset": 1e20}, "begin at byte"),
        ({"vox_offset": 0}, "begin at byte"),
        ({"magic": b"ni1"}, "not in this file"),
    ],
)
def test_what_no_ct_is(tmp_path, fields, reason):
    path = write_nifti(tmp_path / "a.nii.gz", chest(), **fields)
    with pytest.raises(UnreadableVolume, match=reason):
        prepare(path, [], GRID)
    assert prepare_files((path,), GRID)[0] is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"no gzip at all, but text" * 40,
        lambda content: content[:300],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-99] + bytes([content[-99] ^ 255]) + content[-98:],
        lambda content: content[:-6] + b"\0\0" + content[-4:],
        lambda content: gzip.compress(gzip.decompress(content)[:200]),
        lambda content: gzip.compress(gzip.decompress(content)[:-1]),
    ],
    ids=["empty", "text", "cut early", "cut in the middle", "flipped bits", "checksum", "short header", "one byte short"],
)
def test_damaged_files_are_unreadable(tmp_path, spoil):
    path = write_nifti(tmp_path / "a.nii.gz", chest())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UnreadableVolume):
        prepare(path, [], GRID)


def test_a_promise_of_much_costs_little(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", chest(), dim=[3, 1024, 1024, 256, 1, 1, 1, 1])
    tracemalloc.start()
    with pytest.raises(UnreadableVolume, match=r"ends|decompress"):
        check_whole(path, read_header(path))
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


def test_files_that_are_not_compressed_or_longer_are_read(tmp_path, mask):
    plain = write_nifti(tmp_path / "a.nii.gz", chest())
    expected = prepare(plain, [mask], GRID).array
    content = gzip.decompress(plain.read_bytes())
    for path, stored in ((tmp_path / "b.nii.gz", content), (tmp_path / "c.nii.gz", gzip.compress(content + b"more"))):
        path.write_bytes(stored)
        check_whole(path, read_header(path))
        np.testing.assert_array_equal(prepare(path, [mask], GRID).array, expected)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sform_code": 0, "qform_code": 0, "pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, "1 mm is assumed"),
        ({"sform_code": 1, "srow_x": np.nan, "pixdim": [1, 20, 21, 25, 0, 0, 0, 0]}, "affine can't be used"),
        ({"xyzt_units": 1, "srow_x": [0.02, 0, 0, 0], "srow_y": [0, 0.021, 0, 0], "srow_z": [0, 0, 0.025, 0]}, "not in mm"),
    ],
)
def test_geometry_that_has_to_be_assumed_is_noted(tmp_path, mask, fields, said):
    prepared = prepare(write_nifti(tmp_path / "a.nii.gz", chest(), **fields), [mask], GRID)
    assert any(rule == "GEOMETRY" and said in message for rule, message, _ in prepared.notes)
    assert prepared.array.any()


def test_headers_tell_scans_apart_and_voxels_what_is_in_them(tmp_path):
    first = write_nifti(tmp_path / "a.nii.gz", chest())
    moved = write_nifti(tmp_path / "b.nii.gz", chest(), origin=1.0)
    other = write_nifti(tmp_path / "c.nii.gz", chest() + 1)
    fingerprints = [read_header(path).fingerprint for path in (first, moved, other)]
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]
    assert voxel_digest(first) == voxel_digest(moved) != voxel_digest(other)
