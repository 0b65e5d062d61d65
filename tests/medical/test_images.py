"""Radiology images to squares, their augmentation, and the numbers that a network sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.medical.images import augmentation, augmented, load_square, normalised, square, square_recipe, stack
from baselines.medical.options import ImageDataConfig


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"), [(100, 50, 64, 32), (20, 40, 32, 64), (64, 64, 64, 64), (1, 500, 1, 64)]
)
def test_an_image_of_any_shape_lies_in_the_middle_of_a_black_square(height, width, rows, columns):
    page = square(np.full((height, width, 3), 200, np.uint8), 64)
    assert page.shape == (64, 64, 3)
    assert page.dtype == np.uint8
    inside = (page[..., 0] > 0).nonzero()
    assert (np.ptp(inside[0]) + 1, np.ptp(inside[1]) + 1) == (rows, columns)
    assert abs(int(inside[0].min()) - (63 - int(inside[0].max()))) <= 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16", "P"])
def test_files_of_any_mode_become_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode in {"L", "CMYK"} else "a.png")
    Image.new(mode, (90, 30)).save(path)
    assert load_square(path, 32).shape == (32, 32, 3)


def test_squares_of_other_sizes_have_other_caches():
    assert square_recipe(96) != square_recipe(384)


def test_without_changes_asked_for_nothing_changes_and_each_change_changes_something():
    page = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    still = {"scale": 0.0, "shift": 0.0, "rotate": 0.0, "flip": 0.0, "contrast": 0.0, "cutout": 0.0}
    np.testing.assert_array_equal(augmented(augmentation(ImageDataConfig(**still)), page, 1), page)
    for name in still:
        transform = augmentation(ImageDataConfig(**(still | {name: 0.5 if name != "flip" else 1.0})))
        assert any(not np.array_equal(augmented(transform, page, seed), page) for seed in range(9)), name
    mirrored = augmented(augmentation(ImageDataConfig(**(still | {"flip": 1.0}))), page, 1)
    np.testing.assert_array_equal(mirrored, page[:, ::-1])


def test_a_seed_decides_all_of_the_augmentation():
    page = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    one, other = (augmentation(ImageDataConfig(cutout=1.0, flip=0.5)) for _ in range(2))
    for seed in range(5):
        np.testing.assert_array_equal(augmented(one, page, seed), augmented(other, page, seed))
    assert not np.array_equal(augmented(one, page, 1), augmented(one, page, 2))


def test_a_batch_is_channels_last_and_normalised_as_published_weights_want_it():
    images = stack([np.full((8, 8, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8)])
    assert images.shape == (2, 3, 8, 8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    found = normalised(images)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]))
    torch.testing.assert_close(found[1, 0, 0, 0], torch.tensor(-0.485 / 0.229))
