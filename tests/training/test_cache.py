"""The picture cache: same pictures, made once, nothing half-made, broken files named."""

from __future__ import annotations

import os
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


@pytest.mark.parametrize("kept", ["", "x" * 64, "\udcff"])
def test_a_kept_hash_that_is_none_is_computed_again(files, tmp_path, kept):
    first = content_hash(tmp_path / "cache", files)
    (place,) = (tmp_path / "cache").glob("content-*")
    place.write_bytes(kept.encode("utf-8", "surrogateescape"))
    assert content_hash(tmp_path / "cache", files) == first == place.read_text()


def test_a_hash_that_can_not_be_kept_is_computed_all_the_same(files, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert content_hash(tmp_path / "cache", files) == content_hash(tmp_path / "other", files)


def test_every_file_that_can_not_be_read_is_named_and_a_pipe_is_not_waited_for(files, tmp_path):
    files = dict(files)
    files["gone"] = tmp_path / "gone.png"
    files["link"] = tmp_path / "link.png"
    files["link"].symlink_to("nowhere")
    files["pipe"] = tmp_path / "pipe.png"
    os.mkfifo(files["pipe"])
    files["0.png"].unlink()
    files["0.png"].mkdir()
    for read in (
        lambda: content_hash(tmp_path / "cache", files),
        lambda: cached_pictures(tmp_path / "cache", files, "", decode_rgb),
    ):
        with pytest.raises(InvalidInput) as error:
            read()
        assert {finding.code for finding in error.value.findings} == {"DATA-FILE-UNREADABLE"}
        assert {finding.file for finding in error.value.findings} == {
            str(files[key]) for key in ("gone", "link", "pipe", "0.png")
        }
        assert not (tmp_path / "cache").exists()


def test_what_is_said_of_a_file_is_utf8_and_names_it_once(tmp_path):
    gone = {"a": tmp_path / os.fsdecode(b"\xff.png"), "b": tmp_path / "no\ud800name.png", "c": tmp_path / "c.png"}
    with pytest.raises(InvalidInput) as error:
        content_hash(tmp_path / "cache", gone)
    told = str(error.value).encode().decode()
    assert [told.count(name) for name in ("\\udcff.png: ", "\\ud800name.png: ", "c.png")] == [1, 1, 1]


def test_names_that_are_no_utf8_are_hashed(files, tmp_path):
    odd = tmp_path / os.fsdecode(b"\xff.png")
    shutil.copy(files["0.png"], odd)
    assert content_hash(tmp_path / "cache", {"\udcff": odd}) != content_hash(tmp_path / "cache", {"0.png": files["0.png"]})


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
