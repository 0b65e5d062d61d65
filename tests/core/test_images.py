"""What is found out about image files, and remembered."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from baselines.core import images
from baselines.core.images import examine_image, examine_images, hash_words, map_parallel, near_pairs, read_header


@pytest.fixture
def photo(tmp_path):
    """Return a textured JPEG file."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    path = tmp_path / "a.jpg"
    coarse.resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=92)
    return path


def words(*paths):
    return hash_words(examine_image(path).difference_hash for path in paths)


def test_a_sound_image(photo):
    facts = examine_image(photo)
    assert (facts.problem, facts.format, facts.mode) == ("", "JPEG", "RGB")
    assert (facts.width, facts.height, facts.orientation) == (320, 240, 1)
    assert facts.spread > 20


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda _: b"", "empty"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda _: b"<html>not found</html>", "unreadable"),
        (lambda data: data[:30], "unreadable"),
    ],
)
def test_damaged_files(photo, damage, problem):
    photo.write_bytes(damage(photo.read_bytes()))
    assert examine_image(photo).problem == problem


def test_a_missing_file_and_a_folder(tmp_path):
    assert examine_image(tmp_path / "none.jpg").problem == "unreadable"
    assert examine_image(tmp_path).problem == "unreadable"


@pytest.mark.parametrize("side", [10_000, 20_000])  # over Pillow's limit, where it warns, and where it refuses
def test_a_decompression_bomb_is_not_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(path)
    assert path.stat().st_size < 100_000
    assert examine_image(path).problem == "huge"


def test_a_header_of_absurd_size_is_refused(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 10**5, 10**5, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "a.png").write_bytes(start + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    with pytest.raises(OSError, match="exceeds limit"):
        read_header(tmp_path / "a.png")


def test_the_header_alone_gives_the_size(tmp_path):
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    assert read_header(tmp_path / "a.png").size == (300, 200)


def test_orientation_is_told_and_not_followed(photo):
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6
    with Image.open(photo) as image:
        image.save(photo, exif=exif)
    facts = examine_image(photo)
    assert (facts.orientation, facts.width, facts.height) == (6, 320, 240)


def test_hashes_see_content_and_not_the_container(photo, tmp_path):
    with Image.open(photo) as image:
        image.save(tmp_path / "same.png")
        image.resize((300, 230)).save(tmp_path / "near.jpg", quality=60)
        image.rotate(180).save(tmp_path / "other.jpg")
        Image.fromarray(np.asarray(image)).save(tmp_path / "copy.png")
    assert examine_image(tmp_path / "same.png").pixel_hash == examine_image(tmp_path / "copy.png").pixel_hash
    hashes = words(photo, tmp_path / "near.jpg", tmp_path / "other.jpg")
    assert near_pairs(hashes, 24).tolist() == [[0, 1]]


def test_near_pairs_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, (70, 4)).astype(np.uint64)
    hashes[50] = hashes[3] ^ np.uint64(5)
    hashes[69] = hashes[68]
    expected = [
        [first, second]
        for first in range(70)
        for second in range(first + 1, 70)
        if sum(int(a ^ b).bit_count() for a, b in zip(hashes[first], hashes[second], strict=True)) <= 110
    ]
    assert [3, 50] in expected
    assert near_pairs(hashes, 110, block=16).tolist() == sorted(expected)
    assert near_pairs(np.zeros((0, 4), np.uint64), 3).tolist() == []


def test_of_many_that_are_alike_each_is_paired_with_the_next_ones():
    pairs = near_pairs(np.zeros((40, 4), np.uint64), 24, block=16, most=3).tolist()
    assert pairs == [[first, second] for first in range(40) for second in range(first + 1, min(first + 4, 40))]


def test_what_was_examined_is_remembered(photo, tmp_path, monkeypatch):
    store = tmp_path / "facts.jsonl"
    first = examine_images([photo], store, workers=1)
    with store.open("a") as file:
        file.write('{"kind": "image 1", "key": "half a li')  # as a kill leaves it
    asked = []
    monkeypatch.setattr(images, "examine_image", lambda path: asked.append(path) or images.ImageFacts())
    assert examine_images([photo], store, workers=1) == first
    assert not asked
    photo.write_bytes(photo.read_bytes() + b"changed")
    assert examine_images([photo], store, workers=1)[photo] == images.ImageFacts()
    assert asked == [photo]
    assert examine_images([photo], None, workers=1)
    assert len(asked) == 2


def test_work_in_parallel_keeps_its_order(capsys):
    squares = dict(map_parallel(lambda number: number**2, range(1500), 4, "squaring", 1500))
    assert list(squares.items()) == [(number, number**2) for number in range(1500)]
    assert capsys.readouterr().err == "squaring: 1000 of 1500\n"
