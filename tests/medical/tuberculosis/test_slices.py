"""The pictures of scans in a check's page: how slices are turned, and what lies on them."""

import shutil

import numpy as np
import pytest
from scans import lungs, write_nifti

from baselines.core.check import check_data_set
from baselines.core.check_page import check_page
from baselines.core.checks import Settings
from baselines.core.tasks import get_task
from baselines.medical.tuberculosis.records import Sample
from baselines.medical.tuberculosis.samples import generate
from baselines.medical.tuberculosis.slices import MASK_STYLES, PANEL_SIDE, STRANGE, draw_slices
from baselines.medical.tuberculosis.volumes import UnreadableVolume

BAR = 30  # height that a title has at most
SHAPE = (20, 20, 10)


def marked_corner():
    """Return air with bone where the patient's right front is, as an array that runs to right, front and head."""
    array = np.full(SHAPE, -1000, np.int16)
    array[14:, 14:] = 400
    return array


def scan(folder, array, masks=(), **options):
    options = {"spacing": (1, 1, 5), **options}
    ct = write_nifti(folder / "a.nii.gz", array, **options)
    files = tuple(write_nifti(folder / f"masks{place}" / "a.nii.gz", mask, **options) for place, mask in enumerate(masks, 1))
    return Sample(ct.name, ct, files, "p", None)


def colours(picture):
    return {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3).tolist()}


def share(picture, colour):
    return float((np.asarray(picture) == colour).all(axis=-1).mean())


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PLS"])
def test_the_patient_s_right_is_left_and_the_front_on_top(tmp_path, axes):
    picture = np.asarray(draw_slices(scan(tmp_path, marked_corner(), axes=axes)))
    panel = picture[-PANEL_SIDE:, :PANEL_SIDE]
    assert panel[10, 10].tolist() == [255] * 3
    assert all(panel[place].tolist() == [0] * 3 for place in ((10, -10), (-10, 10), (-10, -10)))


def test_pixels_are_square_whatever_the_voxels_are(tmp_path):
    picture = draw_slices(scan(tmp_path, marked_corner(), spacing=(2, 1, 5)))
    assert PANEL_SIDE + 3 * BAR > picture.height > PANEL_SIDE  # two of half the height, below each other
    assert np.asarray(picture)[-PANEL_SIDE // 2 + 5, 10].tolist() == [255] * 3


def test_masks_are_outlined_each_in_its_colour_and_thicker_where_marked(tmp_path):
    inside = np.zeros(SHAPE)
    inside[4:10, 4:10] = 1
    sample = scan(tmp_path, marked_corner(), (inside, np.roll(inside, 5, axis=0)))
    plain, marked = draw_slices(sample), draw_slices(sample, {1})
    for style in MASK_STYLES:
        assert style.colour in colours(plain)
    first, second = (style.colour for style in MASK_STYLES)
    assert share(marked, second) > 1.3 * share(plain, second)
    assert share(marked, first) <= share(plain, first)


def test_voxels_that_are_no_numbers_show(tmp_path):
    array = marked_corner().astype(np.float32)
    assert STRANGE not in colours(draw_slices(scan(tmp_path, array, dtype=np.float32)))
    array[2:6, 2:6] = np.nan
    assert STRANGE in colours(draw_slices(scan(tmp_path, array, dtype=np.float32)))


def test_a_mask_that_fits_nothing_is_left_out(tmp_path):
    sample = scan(tmp_path, marked_corner(), (np.ones((20, 20, 9)), np.ones(SHAPE)))
    sample.masks[1].write_bytes(b"nothing")
    assert colours(draw_slices(sample)).isdisjoint({style.colour for style in MASK_STYLES})


def test_a_scan_of_one_slice_has_one_panel(tmp_path):
    assert draw_slices(scan(tmp_path, marked_corner()[:, :, :1], (lungs(SHAPE)[:, :, :1],))).width == PANEL_SIDE


def test_a_scan_that_can_not_be_read_is_no_picture(tmp_path):
    sample = scan(tmp_path, marked_corner())
    sample.ct.write_bytes(sample.ct.read_bytes()[:200])
    with pytest.raises(UnreadableVolume):
        draw_slices(sample)


def test_the_page_shows_slices_of_what_was_found(tmp_path):
    generate(tmp_path, "tuberculosis", size=8)
    scans = sorted((tmp_path / "medical/tuberculosis/train").iterdir())
    shutil.copy(scans[0], scans[1])
    page = check_page(check_data_set(get_task("tuberculosis"), tmp_path, Settings()))
    drawn = page.split('<section id="pictures"')[1].split("</section>")[0]
    assert "DATA-VOXEL-NAN" in drawn
    assert drawn.count("<img") >= 3
    pairs = page.split('<section id="pairs"')[1].split("</section>")[0]
    assert pairs.count("<img") >= 2
    assert f"{scans[1].name} (all) and {scans[0].name} (all)" in pairs
    assert len(page.encode()) < 10_000_000
