"""The picture cache: same pictures, made once, nothing half-made, broken files named."""

from __future__ import annotations

import errno
import os
import pickle
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
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


FILLER = """
import os, sys
from pathlib import Path
from baselines.training.cache import cached_pictures

def prepare(path):
    if os.fork() == 0:  # as a loader process, it has what is open and may live longer
        sys.stdin.read()
        os._exit(0)
    print(flush=True)
    sys.stdin.read()

cached_pictures(Path(sys.argv[1]), {"a": Path(sys.argv[2])}, "of another process", prepare, workers=1)
"""


def partial_folders(root):
    return sorted(root.glob("partial-*"))


def test_what_a_killed_process_was_filling_is_removed_and_what_a_living_one_fills_is_not(files, tmp_path):
    root = tmp_path / "cache"
    line = [sys.executable, "-c", FILLER, str(root), str(files["0.png"])]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as filler:
        try:
            filler.stdout.readline()
            cached_pictures(root, files, "plain", decode_rgb)
            assert len(partial_folders(root)) == 1
        finally:
            filler.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, filler.pid, os.WEXITED | os.WNOWAIT)
        cached_pictures(root, files, "plain", decode_rgb)  # while the fork lives on
        assert partial_folders(root) == []


def test_a_thread_leaves_what_another_one_fills(files, tmp_path):
    root, go_on = tmp_path / "cache", threading.Event()

    def prepare(path):
        assert go_on.wait(60)
        return decode_rgb(path)

    filler = threading.Thread(target=cached_pictures, args=(root, files, "slow", prepare))
    filler.start()
    try:
        while not partial_folders(root):
            assert filler.is_alive()
            time.sleep(0.01)
        cached_pictures(root, files, "plain", decode_rgb)
        assert len(partial_folders(root)) == 1
    finally:
        go_on.set()
        filler.join()
    assert partial_folders(root) == []
    assert len(list(root.glob("pictures-*"))) == 2


@pytest.mark.parametrize(
    ("machine", "days", "stays"),
    [(platform.node(), 0, False), ("another", 0, True), (f"{platform.node()}-another", 0, True), ("another", 2, False)],
)
def test_locks_of_another_machine_need_not_be_seen(files, tmp_path, machine, days, stays):
    partial = tmp_path / "cache" / f"partial-{machine}-ab12_xyz"
    partial.mkdir(parents=True)
    (partial / "pictures.bin").write_bytes(b"half a cache")
    os.utime(partial / "pictures.bin", (time.time() - days * 24 * 3600,) * 2)
    cached_pictures(tmp_path / "cache", files, "plain", decode_rgb)
    assert partial.exists() == stays


def test_what_is_not_locked_yet_stays_and_nothing_needs_locks(files, tmp_path, monkeypatch):
    def without_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    partial = tmp_path / "cache" / f"partial-{platform.node()}-ab12_xyz"
    partial.mkdir(parents=True)
    cached_pictures(tmp_path / "cache", files, "plain", decode_rgb)
    assert partial.exists()
    (partial / "pictures.bin").touch()
    monkeypatch.setattr(cache.fcntl, "lockf", without_locks)
    assert len(cached_pictures(tmp_path / "cache", files, "other", decode_rgb)) == 3
    assert partial.exists()


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
