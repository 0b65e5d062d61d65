"""Pages to tensors: ink, letterboxing, augmentation that keeps boxes on their elements."""

from __future__ import annotations

import json

import numpy as np
import pytest

from baselines.core.config import Config
from baselines.core.findings import InvalidInput
from baselines.drawnui.data import build_data, collate, crop_size, ink, page_size
from baselines.drawnui.samples import generate
from baselines.drawnui.task import DataConfig, ModelConfig
from baselines.training.augment import A
from baselines.training.data import Draw


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(folder, "drawnui-wireframe", size=20, seed=3)
    return folder


def config(root, **data):
    sizes = {"page_side": 112, "crop": 128, "workers": 0} | data
    settings = DataConfig(root=str(root), cache_dir=str(root / "cache"), **sizes)
    return Config(task="drawnui-wireframe", experiment="x", data=settings, model=ModelConfig())


def test_ink_is_the_same_under_a_shadow_and_zero_on_bare_paper():
    page = np.full((120, 160, 3), 230, np.uint8)
    page[40:43, 20:140] = 40
    shadow = np.linspace(1, 0.5, 160)[None, :, None]
    bright, dark = ink(page), ink((page * shadow).astype(np.uint8))
    assert bright.shape == (120, 160, 1)
    assert bright[41, 80] > 200
    assert bright[90, 80] == 0
    assert dark[41, 25] > 100
    assert dark[41, 135] > 100
    assert dark[90].max() < 30
    assert ink(np.full((50, 50, 3), 200, np.uint8)).max() == 0


def test_pages_of_any_shape_come_to_the_same_area_and_none_gets_too_long():
    for width, height in [(1200, 900), (900, 1200), (1600, 270), (40, 30)]:
        found = page_size(width, height, 336)
        assert found[0] * found[1] == pytest.approx(336**2, rel=0.02)
        assert found[0] / found[1] == pytest.approx(width / height, rel=0.02)
    assert max(page_size(2, 100_000, 336)) == 4 * 336


def test_crops_have_the_area_of_a_square_and_the_shape_that_most_pages_have():
    lying, standing = [(1600, 1200)] * 3, [(300, 400)] * 3
    assert crop_size([*lying, (10, 900)], 512) == (576, 448)
    assert crop_size([*standing, (900, 10)], 512) == (448, 576)
    assert crop_size(lying + standing, 500) == (512, 512)  # a multiple of 32
    assert crop_size([(1, 100_000)], 64) == (32, 256)  # as long as a page gets, and never nothing


def test_pages_of_different_shapes_share_a_picture_from_the_top_left():
    shape = {"id": "a", "boxes": np.zeros((0, 4)), "labels": np.zeros(0, np.int64), "scale": (1.0, 1.0), "size": (1, 1)}
    pages = [np.full((50, 100, 1), 9, np.uint8), np.full((64, 20, 1), 8, np.uint8)]
    images = collate([shape | {"image": page} for page in pages], fill=3)["images"].numpy()
    assert images.shape == (2, 1, 64, 128)
    assert (images[0, 0, :50, :100] == 9).all()
    assert (images[1, 0, :64, :20] == 8).all()
    assert (images[0, 0, 50:] == 3).all()
    assert (images[1, 0, :, 20:] == 3).all()


def test_a_draw_decides_its_augmentation_and_boxes_stay_inside(root):
    pages = build_data(config(root)).train_dataset()
    first, again, other = pages[Draw(0, 5)], pages[Draw(0, 5)], pages[Draw(0, 6)]
    np.testing.assert_array_equal(first["image"], again["image"])
    np.testing.assert_array_equal(first["boxes"], again["boxes"])
    assert not np.array_equal(first["image"], other["image"])
    for seed in range(20):
        item = pages[Draw(seed % len(pages), seed)]
        height, width, _ = item["image"].shape
        assert (width, height) == crop_size([(s.truth.width, s.truth.height) for s in pages.samples], 128)
        assert len(item["boxes"]) == len(item["labels"])
        assert (item["boxes"] >= 0).all()
        assert (item["boxes"] <= [width, height, width, height]).all()
        assert (item["boxes"][:, 2:] > item["boxes"][:, :2]).all()


def test_without_random_changes_augmentation_leaves_boxes_where_they_are(root):
    still = {"scale": (1.0, 1.0), "shift": 0.0, "rotate": 0.0, "aspect": 0.0, "cutout": 0.0, "crop": 512}
    data = build_data(config(root, **still))
    pages = data.train_dataset()
    plain, drawn = pages[0], pages[Draw(0, 1)]
    # The page may lie elsewhere in its crop, but every box has moved by the same amount.
    shift = drawn["boxes"] - plain["boxes"]
    assert np.abs(shift - shift[0]).max() < 1.5


def test_saturation_is_augmented_where_pages_have_colours(root):
    _, of_ink = build_data(config(root)).train_dataset().augmentations
    assert not any(isinstance(each, A.ColorJitter) for each in of_ink.transforms)
    _, of_rgb = build_data(config(root, input="rgb")).train_dataset().augmentations
    for each in of_rgb.transforms:
        each.p = float(isinstance(each, A.ColorJitter))
    page = np.zeros((8, 8, 3), np.uint8) + np.array([180, 90, 90], np.uint8)
    spread = set()
    for seed in range(20):
        of_rgb.set_random_seed(seed)
        red, green, _ = of_rgb(image=page)["image"][0, 0].tolist()
        spread.add(red - green)
    assert len(spread) > 10
    assert min(spread) < 70
    assert max(spread) > 110


def test_without_jitter_and_cutout_pixels_stay_as_they_are(root):
    page = np.random.default_rng(0).integers(0, 256, (64, 96, 1), np.uint8)
    _, still = build_data(config(root, jitter=0.0, cutout=0.0)).train_dataset().augmentations
    _, usual = build_data(config(root)).train_dataset().augmentations
    changes = 0
    for seed in range(10):
        still.set_random_seed(seed)
        usual.set_random_seed(seed)
        assert np.abs(still(image=page)["image"].astype(int) - page).max() <= 1  # a gamma of 1 rounds
        changes += not np.array_equal(usual(image=page)["image"], page)
    assert changes > 5  # each change has its probability


def test_what_only_predicts_keeps_pages_at_the_size_they_are_shown_at(root):
    trained, predicts = build_data(config(root)), build_data(config(root), classes={12: "label"})
    kept, shown = (data.predict_dataset("val") for data in (trained, predicts))
    for index, sample in enumerate(shown.samples):
        assert shown.pictures[sample.id].shape[1::-1] == page_size(sample.truth.width, sample.truth.height, 112)
        assert kept.pictures[sample.id].size > 1.3 * shown.pictures[sample.id].size
        np.testing.assert_array_equal(shown[index]["image"], kept[index]["image"])


def test_boxes_of_a_page_divided_by_its_scale_are_those_of_the_file(root):
    data = build_data(config(root))
    pages = data.predict_dataset("val")
    for index, sample in enumerate(pages.samples):
        item = pages[index]
        np.testing.assert_allclose(item["boxes"] / (item["scale"] * 2), sample.truth.boxes, atol=1e-6)
        assert item["size"] == (sample.truth.width, sample.truth.height)


def test_a_batch_is_channels_last_and_holds_the_ids(root):
    data = build_data(config(root))
    pages = data.predict_dataset("val")
    batch = data.collate([pages[0], pages[0]])
    assert batch["images"].shape[:2] == (2, 1)
    assert all(side % 32 == 0 for side in batch["images"].shape[2:])
    assert batch["images"].stride(1) == 1
    assert batch["ids"] == [pages.samples[0].id] * 2


def test_pages_of_the_test_set_have_no_boxes_and_the_size_of_the_file(root):
    data = build_data(config(root), classes={1: "paragraph"})
    item = data.predict_dataset("test")[0]
    assert item["boxes"].shape == (0, 4)
    assert item["size"][0] > 128


def test_a_root_with_a_test_set_alone_is_enough_to_predict(root, tmp_path):
    family = tmp_path / "drawnui"
    family.mkdir()
    (family / "wireframe_test_set").symlink_to(root / "drawnui" / "wireframe_test_set")
    data = build_data(config(tmp_path), classes={12: "label"})
    data.predict_split = "test"
    data.prepare_data()
    assert len(data.predict_dataset("test")) > 0


def test_boxes_of_classes_that_the_model_lacks_are_left_out(root):
    pages = build_data(config(root), classes={12: "label"}).predict_dataset("all")
    assert {label for index in range(len(pages)) for label in pages[index]["labels"].tolist()} == {0}


def test_the_same_data_have_the_same_hash_and_another_split_another(root):
    assert build_data(config(root)).data_hash == build_data(config(root)).data_hash
    assert build_data(config(root)).data_hash != build_data(config(root, split_seed=1, val_share=0.5)).data_hash


def test_training_pages_without_any_box_are_refused_whatever_the_held_out_ones_have(tmp_path):
    generate(tmp_path, "drawnui-screenshot", size=4)
    truth = tmp_path / "drawnui" / "screenshot_development_set" / "train" / "train_set.json"
    settings = DataConfig(root=str(tmp_path), cache_dir=str(tmp_path / "cache"), page_side=112, crop=128, workers=0)
    screenshots = Config(task="drawnui-screenshot", experiment="x", data=settings, model=ModelConfig())
    assert build_data(screenshots).classes
    truth.write_text(json.dumps([record | {"annotations": []} for record in json.loads(truth.read_text())]))
    with pytest.raises(InvalidInput, match="DATA-EMPTY no training page has a box"):
        build_data(screenshots)


def test_a_range_of_scales_the_wrong_way_round_is_refused(root):
    with pytest.raises(InvalidInput, match="CONFIG-VALUE"):
        build_data(config(root, scale=(1.5, 0.5)))
