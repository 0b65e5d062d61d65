"""Tiles: every pixel is covered, seams don't show, mirrors and scales come back to their place."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.coral.windows import predict_picture, slide, starts


def picture(height, width):
    return torch.randint(0, 256, (height, width, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def colours(tiles):
    """A model that looks at single pixels: what it says of a picture doesn't depend on the tiles."""
    return tiles.float() / 255


@given(st.integers(1, 300), st.integers(8, 128), st.floats(0, 0.9))
def test_tiles_cover_an_axis_and_overlap_enough(length, window, overlap):
    places = starts(length, window, overlap)
    assert places[0] == 0
    assert places[-1] == max(length - window, 0)
    step = max(1, int(window * (1 - overlap)))
    assert all(0 < after - before <= step for before, after in pairwise(places))


@pytest.mark.parametrize("size", [(40, 70), (16, 16), (90, 33), (7, 100)])
@pytest.mark.parametrize("tiles", [1, 5])
def test_no_seam_shows(size, tiles):
    image = picture(*size)
    found = slide(image, colours, window=32, overlap=0.25, tiles=tiles)
    torch.testing.assert_close(found, image.permute(2, 0, 1).float() / 255)


def test_the_middle_of_a_tile_counts_more_than_its_rim():
    def place(tiles):
        """Says 1 on the left edge of each tile, where a model sees least."""
        found = torch.zeros(len(tiles), 1, *tiles.shape[2:])
        found[..., :2] = 1
        return found

    found = slide(picture(32, 96), place, window=32, overlap=0.5, tiles=4)
    assert found[0, 16, 0] == 1  # no other tile sees it
    assert found[0, 16, 16] < 0.2


def test_mirrors_are_turned_back_and_average():
    image = picture(24, 40)
    plain = predict_picture(image, colours, window=32, overlap=0.25, tiles=4, flips=True)
    torch.testing.assert_close(plain, image.permute(2, 0, 1).float() / 255)

    def columns(tiles):
        return torch.arange(tiles.shape[3]).float().expand(len(tiles), 1, *tiles.shape[2:])

    found = predict_picture(picture(32, 32), columns, window=32, overlap=0.0, tiles=1, flips=True)
    torch.testing.assert_close(found, torch.full((1, 32, 32), 15.5))


def test_scales_come_back_to_the_pictures_size():
    image = torch.full((24, 40, 3), 128, dtype=torch.uint8)
    found = predict_picture(image, colours, window=32, overlap=0.25, tiles=4, scales=(0.5, 1.0, 1.7))
    assert found.shape == (3, 24, 40)
    # A tile that reaches over the picture's end is black there, and a look at single pixels doesn't see it.
    torch.testing.assert_close(found[:, 4:-4, 4:-4], torch.full((3, 16, 32), 128 / 255), atol=1e-3, rtol=0)
