"""The picture cache: same pictures, made once, nothing half-made, broken files named."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baselines.core.findings import InvalidInput
from baselines.training import cache
from baselines.training.cache import cached_pictures, content_hash, decode_rgb


@pytest.fixture
def files(tmp_path):
    paths = {}
    for number, size in enumerate([(40, 30), (20, 50), (10, 10)]):
        pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)
        paths[f"{number}.png"] = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(paths[f"{number}.png"])
    return paths


def test_pictures_come_back_as_prepared_and_are_prepared_once(files, tmp_path):
    seen = []

    def prepare(path):
        seen.append(path)
        return decode_rgb(path)

    pictures = cached_pictures(tmp_path / "cache", files, "plain", prepare)
    again = cached_pictures(tmp_path / "cache", files, "plain", prepare)
    assert len(seen) == len(pictures) == len(again) == 3
    for key, path in files.items():
        np.testing.assert_array_equal(again[key], decode_rgb(path))


def test_another_recipe_or_a_changed_file_makes_another_cache(files, tmp_path):
    first = cached_pictures(tmp_path / "cache", files, "plain", decode_rgb)
    assert cached_pictures(tmp_path / "cache", files, "other", decode_rgb).folder != first.folder
    Image.new("RGB", (5, 5)).save(files["0.png"])
    assert cached_pictures(tmp_path / "cache", files, "plain", decode_rgb)["0.png"].shape == (5, 5, 3)


def test_every_broken_image_is_named_and_nothing_stays(files, tmp_path):
    files["0.png"].write_bytes(b"no image")
    files["2.png"].write_bytes(files["2.png"].read_bytes()[:60])
    with pytest.raises(InvalidInput) as error:
        cached_pictures(tmp_path / "cache", files, "plain", decode_rgb)
    assert [finding.code for finding in error.value.findings] == ["DATA-FILE-UNREADABLE"] * 2
    assert {finding.file for finding in error.value.findings} == {str(files["0.png"]), str(files["2.png"])}
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_hash_of_a_content_is_of_names_and_bytes_and_computed_once(files, tmp_path, monkeypatch):
    first = content_hash(tmp_path / "cache", files)
    moved = {key: Path(shutil.copy(path, tmp_path / f"moved-{key}")) for key, path in files.items()}
    assert content_hash(tmp_path / "cache", dict(reversed(moved.items()))) == first
    exchanged = files | {"0.png": files["1.png"], "1.png": files["0.png"]}
    assert content_hash(tmp_path / "cache", exchanged) != first
    with monkeypatch.context() as patched:
        patched.delattr(cache, "sha256_of")
        assert content_hash(tmp_path / "cache", files) == first
    Image.new("RGB", (5, 5)).save(files["0.png"])
    assert content_hash(tmp_path / "cache", files) != first


def test_every_file_that_can_not_be_hashed_is_named(files, tmp_path):
    for key in ("0.png", "2.png"):
        files[key].unlink()
        files[key].mkdir()
    with pytest.raises(InvalidInput) as error:
        content_hash(tmp_path / "cache", files)
    assert [finding.code for finding in error.value.findings] == ["DATA-FILE-UNREADABLE"] * 2
    assert {finding.file for finding in error.value.findings} == {str(files["0.png"]), str(files["2.png"])}
    assert not (tmp_path / "cache").exists()


def test_a_cache_travels_to_a_worker_as_its_folder(files, tmp_path):
    pictures = cached_pictures(tmp_path / "cache", files, "plain", decode_rgb)
    data = pickle.dumps(pictures)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data)["1.png"], pictures["1.png"])


def test_decoding_reduces_the_longer_side_and_never_enlarges(tmp_path):
    Image.new("RGB", (400, 100), "red").save(tmp_path / "a.jpg")
    assert decode_rgb(tmp_path / "a.jpg", 100).shape == (25, 100, 3)
    assert decode_rgb(tmp_path / "a.jpg", 1000).shape == (100, 400, 3)
    assert decode_rgb(tmp_path / "a.jpg", 100)[10, 50, 0] > 250
