"""Images to tensors: decoding, colour correction, crops that keep outlines on their objects, the long tail."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.coral.data import IGNORED, build_data, depth_map, grey_world, load_picture, moved, paint, random_affine, stretch
from baselines.coral.samples import generate
from baselines.coral.task import DataConfig, ModelConfig
from baselines.core.config import Config
from baselines.core.findings import InvalidInput
from baselines.training.cache import decode_rgb
from baselines.training.data import Draw


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(folder, "coral-parsing", size=13, seed=3)
    return folder


def config(root, **data):
    sizes = {"side": 252, "crop": 128, "workers": 0} | data
    settings = DataConfig(root=str(root), cache_dir=str(root / "cache"), **sizes)
    return Config(task="coral-parsing", experiment="coral", data=settings, model=ModelConfig())


@pytest.mark.parametrize("side", [1008, 504, 400, 252, 100])
def test_a_picture_is_what_pillow_makes_of_it(root, side):
    path = next(root.rglob("*.JPG"))
    picture = load_picture(path, side, "none")
    assert picture.shape == (side * 3 // 4, side, 3)
    assert picture.dtype == np.uint8
    with Image.open(path) as image:
        expected = np.asarray(image.resize((side, side * 3 // 4), Image.Resampling.BOX), float)
    assert np.abs(picture - expected).mean() < 4
    assert np.abs(picture.mean(axis=(0, 1)) - decode_rgb(path).mean(axis=(0, 1))).max() < 2  # red is red


def test_damaged_images_are_refused_and_exif_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(pixels).save(path, exif=exif)
    assert load_picture(path, 64, "none").shape == (48, 64, 3)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(OSError, match="ends early"):
        load_picture(path, 64, "none")
    path.write_bytes(b"no image")
    with pytest.raises(OSError, match="image"):
        load_picture(path, 64, "none")


def test_damaged_images_are_a_finding_of_the_cache(root, tmp_path):
    generate(tmp_path, "coral-parsing", size=3, seed=1)
    path = min((tmp_path / "coral").rglob("training*/**/*.JPG"))
    path.write_bytes(path.read_bytes()[:5000])
    data = build_data(config(tmp_path, val_share=0.34))
    with pytest.raises(InvalidInput, match="DATA-FILE-UNREADABLE can't be read"):
        data.prepare_data()


def test_corrections_take_the_cast_away():
    rng = np.random.default_rng(0)
    grey = rng.integers(60, 200, (40, 50, 1)) * np.array([0.3, 0.9, 1.0])
    picture = grey.astype(np.uint8)
    for correct in (grey_world, stretch):
        means = correct(picture).reshape(-1, 3).mean(axis=0)
        assert np.ptp(means) < 3 < np.ptp(picture.reshape(-1, 3).mean(axis=0))
    flat = np.full((4, 4, 3), 90, np.uint8)
    np.testing.assert_array_equal(stretch(flat), flat)


def test_of_two_rings_the_smaller_one_is_on_top():
    large, small = (np.array([[0, 0], [side, 0], [side, side], [0, side]], float) for side in (30, 9))
    classes, objects = paint([small, large], [5, 12], (40, 40))
    assert (classes[4, 4], classes[20, 20], classes[38, 38]) == (5, 12, 0)
    assert (objects[4, 4], objects[20, 20]) == (1, 2)


def test_depth_is_zero_between_touching_objects_and_one_in_the_core_of_each():
    objects = np.zeros((40, 60), np.int32)
    objects[5:35, 5:30] = 1
    objects[5:35, 30:55] = 2
    objects[37, 2:5] = 3  # thinner than the full depth
    depth = depth_map(objects, 5.0)
    assert depth[20, 29:31].min() == 0
    assert depth[20, 15] == depth[20, 42] == 1
    assert (depth[objects == 0] == 0).all()
    assert depth[20, 25] == pytest.approx(4 / 5, abs=0.05)


def test_the_edge_of_a_crop_is_no_outline():
    assert (depth_map(np.ones((20, 20), np.int32), 4.0) == 1).all()


def test_a_draw_decides_its_crop_and_its_targets_fit(root):
    images = build_data(config(root)).train_dataset()
    first, again, other = images[Draw(0, 5)], images[Draw(0, 5)], images[Draw(0, 6)]
    for key in ("image", "classes", "depths"):
        np.testing.assert_array_equal(first[key], again[key])
    assert not np.array_equal(first["image"], other["image"])
    for seed in range(20):
        item = images[Draw(seed % len(images), seed)]
        assert item["image"].shape == (128, 128, 3)
        assert item["classes"].shape == item["depths"].shape == (128, 128)
        assert set(np.unique(item["classes"]).tolist()) <= {*range(14), IGNORED}
        assert (item["depths"][item["classes"] == 0] == 0).all()


def test_outlines_move_with_the_picture():
    rng = np.random.default_rng(0)
    settings = DataConfig(crop=64, scale=(0.8, 1.3), rotate=30)
    for _ in range(20):
        center = rng.uniform(0, 100, 2)
        matrix = random_affine(rng, center, settings)
        np.testing.assert_allclose(moved(center[None], matrix), [[31.5, 31.5]], atol=1e-9)
        assert 0.8 <= np.sqrt(abs(np.linalg.det(matrix[:2, :2]))) <= 1.3


def test_objects_lie_on_their_pixels_whatever_the_crop(tmp_path):
    """A bright square with a known outline: in every crop the pixels of its class are the bright ones."""
    folder = tmp_path / "coral" / "train"
    folder.mkdir(parents=True)
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[101:200, 121:260] = 255
    for number in range(2):
        Image.fromarray(pixels).save(folder / f"a{number}.png")
    (folder / "p.csv").write_text("".join(f"a{number} 0 c_sponge 1 121 101 259 101 259 199 121 199\n" for number in range(2)))
    images = build_data(
        config(tmp_path, side=200, crop=96, jitter=0.0, oversample=1.0, border=0, val_share=0.5)
    ).train_dataset()
    for seed in range(15):
        item = images[Draw(0, seed)]
        bright, marked = item["image"][..., 0] > 127, item["classes"] == 12
        known = item["classes"] != IGNORED
        assert (bright & marked & known).sum() / max((bright | marked)[known].sum(), 1) > 0.9


def test_what_the_annotators_left_out_is_not_trained_on(root):
    images = build_data(config(root, crop=448, scale=(1.0, 1.0), rotate=0.0, oversample=0.0, border=40)).train_dataset()
    classes = images[Draw(0, 1)]["classes"]
    known = (classes != IGNORED).sum()
    assert known == pytest.approx((252 - 20) * (189 - 20), rel=0.03)


def test_rare_substrates_are_drawn_more_often_than_they_occur(root):
    def shares(**options):
        images = build_data(config(root, split_by="random", **options)).train_dataset()
        counts = Counter()
        for seed in range(150):
            counts.update(np.unique(images[Draw(seed % len(images), seed)]["classes"]).tolist())
        return counts

    plain, balanced = shares(oversample=0.0), shares(oversample=1.0, balance=1.0)
    rare = [label for label in range(1, 14) if 0 < plain[label] < 20]
    assert sum(balanced[label] for label in rare) > 1.5 * sum(plain[label] for label in rare)


def test_batches_of_crops_and_of_whole_images(root):
    data = build_data(config(root))
    crops = data.collate([data.train_dataset()[Draw(0, seed)] for seed in range(2)])
    assert crops["images"].shape == (2, 3, 128, 128)
    assert crops["images"].stride(1) == 1
    assert crops["classes"].dtype == torch.uint8
    images = data.predict_dataset("val")
    whole = data.collate([images[0], images[1]])
    assert whole["pictures"][0].shape == (189, 252, 3)
    assert whole["sizes"][0] == (1008, 756)
    points, offsets, labels = whole["truths"][0]
    assert len(offsets) - 1 == len(labels)
    assert offsets[-1] == len(points)


def test_images_of_the_test_set_have_no_objects(root):
    item = build_data(config(root)).predict_dataset("test")[0]
    assert len(item["truth"][2]) == 0


def test_the_other_tasks_truth_is_of_the_same_images(root):
    data = build_data(config(root))
    boxes = data.truths_of("coral-annotation", "val")
    assert boxes.kind == "boxes"
    assert list(boxes.truths) == [sample.id for sample in data.split("val").samples]
    for name, truth in boxes.truths.items():
        np.testing.assert_array_equal(truth.shapes.boxes(), data.split("val").truth_set.truths[name].shapes.boxes())


def test_the_same_data_have_the_same_hash_and_another_split_another(root):
    assert build_data(config(root)).data_hash == build_data(config(root)).data_hash
    assert build_data(config(root)).data_hash != build_data(config(root, split_by="random")).data_hash


@pytest.mark.parametrize("wrong", [{"crop": 100}, {"scale": (1.5, 0.5)}])
def test_sizes_that_do_not_fit_are_refused(root, wrong):
    with pytest.raises(InvalidInput, match="CONFIG-VALUE"):
        build_data(config(root, **wrong))
