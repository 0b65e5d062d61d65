"""The generated drawnUI samples: layout, determinism, classes, boxes, and the rules about existing files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from baselines.core.findings import InvalidInput, UsageError
from baselines.core.sample_sets import MARKER
from baselines.drawnui import elements, pen, samples, sketches, webpages
from baselines.drawnui.samples import generate
from baselines.drawnui.task import WIREFRAME_CLASSES

WIREFRAMES, SCREENSHOTS = "drawnui-wireframe", "drawnui-screenshot"
TRUTHS = {
    WIREFRAMES: {
        "wireframe_development_set/development_set.json": "wireframe_development_set/images",
        "wireframe_test_set/sample_truth.json": "wireframe_test_set/test",
    },
    SCREENSHOTS: {
        "screenshot_development_set/train/train_set.json": "screenshot_development_set/train/images",
        "screenshot_development_set/validation/val_set.json": "screenshot_development_set/validation/images",
        "screenshot_test_set/sample_truth.json": "screenshot_test_set/test/images",
    },
}


def hashes(root: Path) -> dict[str, str]:
    """Return the hash of every file by its relative path."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=[WIREFRAMES, SCREENSHOTS])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A sample of three pages of each task; tests must not change it."""
    root = tmp_path_factory.mktemp("sample")
    generate(root, request.param, size=3)
    return request.param, root


def test_layout_is_the_campaigns(sample: tuple[str, Path]) -> None:
    task, root = sample
    for truth, images in TRUTHS[task].items():
        listed = {record["file"] for record in read(root / "drawnui" / truth)}
        assert listed == {path.name for path in (root / "drawnui" / images).iterdir()}
        assert listed


def test_records_have_the_keys_sizes_and_boxes_of_the_format(sample: tuple[str, Path]) -> None:
    task, root = sample
    for truth, images in TRUTHS[task].items():
        for record in read(root / "drawnui" / truth):
            with Image.open(root / "drawnui" / images / record["file"]) as image:
                assert (image.mode, image.format) == ("RGB", "JPEG")
                assert image.size == (record["width"], record["height"])
            assert set(record) == {"file", "width", "height", "annotations"}
            for annotation in record["annotations"]:
                assert set(annotation) == {"box", "detectionClass", "detectionString", "score"}
                y, x, height, width = annotation["box"]
                assert min(y, x) >= 0
                assert min(height, width) > 0
                assert (x + width - 1) * record["width"] <= 0.001
                assert (y + height - 1) * record["height"] <= 0.001


def test_no_image_is_blank_in_the_clean_parts(sample: tuple[str, Path]) -> None:
    task, root = sample
    for images in list(TRUTHS[task].values())[1:]:
        for path in (root / "drawnui" / images).iterdir():
            assert np.asarray(Image.open(path)).std() > 2


def test_same_seed_gives_the_same_bytes_and_another_seed_others(sample: tuple[str, Path], tmp_path: Path) -> None:
    task, root = sample
    generate(tmp_path / "again", task, size=3)
    assert hashes(tmp_path / "again") == hashes(root)
    generate(tmp_path / "other", task, size=3, seed=1)
    assert not set(hashes(tmp_path / "other").values()) & set(hashes(root).values())


def test_larger_sample_begins_with_the_smaller_one(sample: tuple[str, Path], tmp_path: Path) -> None:
    task, root = sample
    generate(tmp_path, task, size=4)
    for truth, images in TRUTHS[task].items():
        small, large = read(root / "drawnui" / truth), read(tmp_path / "drawnui" / truth)
        assert large[: len(small)] == small
        for record in small:
            name = Path("drawnui", images, record["file"])
            assert (tmp_path / name).read_bytes() == (root / name).read_bytes()


QUIRKS = (True,)  # what a recipe's `draw` takes last


def test_pages_do_not_depend_on_the_order_they_are_drawn_in() -> None:
    draw = samples.RECIPES[WIREFRAMES].draw
    alone = draw(0, 0, 2, *QUIRKS)
    draw(0, 0, 1, *QUIRKS)
    again = draw(0, 0, 2, *QUIRKS)
    assert alone.image.tobytes() == again.image.tobytes()
    assert np.array_equal(alone.boxes, again.boxes)


def test_every_fourth_wireframe_captures_the_sketch_before_it_once_more() -> None:
    before, again = (samples.RECIPES[WIREFRAMES].draw(0, 0, number, *QUIRKS) for number in (2, 3))
    assert before.image.size == again.image.size
    assert before.image.tobytes() != again.image.tobytes()
    # Boxes pushed out of the picture may be missing in one of the two.
    common = Counter(before.names) & Counter(again.names)
    assert common.total() >= 0.7 * max(len(before.names), len(again.names))


def test_default_size_shows_every_wireframe_class_several_times() -> None:
    counts: Counter[str] = Counter()
    for number in range(samples.RECIPES[WIREFRAMES].default_size):
        if number % 4 != 3:  # these show the sketch before them
            sketch = sketches.draw_sketch(np.random.default_rng([0, 0, number]), number)
            counts.update(name for name, _, _ in sketch.marked)
    assert set(counts) == set(WIREFRAME_CLASSES.values())
    assert min(counts.values()) >= 3
    rare = ("stepperinput", "table", "textarea", "slider", "rating", "datepicker")
    assert max(counts[name] for name in rare) * 5 < counts["button"]


def test_screenshots_show_every_class() -> None:
    pages = [webpages.draw_webpage(np.random.default_rng(seed)) for seed in range(8)]
    assert {name for page in pages for name in page.names} == set(webpages.CLASSES)


def test_uncleaned_screenshots_miss_boxes_have_invisible_ones_and_blank_images() -> None:
    clean = webpages.draw_webpage(np.random.default_rng(3))
    spoilt = [webpages.spoil(clean, np.random.default_rng(seed), number=0) for seed in range(12)]
    true_boxes = {tuple(box) for box in clean.boxes}
    found = [{tuple(box) for box in page.boxes} for page in spoilt]
    assert any(true_boxes - boxes for boxes in found)
    assert any(boxes - true_boxes for boxes in found)
    blank = webpages.spoil(clean, np.random.default_rng(0), number=webpages.BLANK_FIRST)
    assert blank.image.getextrema() == ((255, 255),) * 3
    assert len(blank.boxes) == len(blank.names) > 0


def test_same_request_again_changes_nothing(tmp_path: Path) -> None:
    generate(tmp_path, WIREFRAMES, size=1)
    paths = sorted(tmp_path.rglob("*"))
    times = [path.stat().st_mtime_ns for path in paths]
    generate(tmp_path, WIREFRAMES, size=1)
    assert [path.stat().st_mtime_ns for path in paths] == times


def test_another_request_replaces_the_earlier_sample(tmp_path: Path) -> None:
    generate(tmp_path / "a", WIREFRAMES, size=2)
    generate(tmp_path / "a", WIREFRAMES, size=1, seed=5)
    generate(tmp_path / "b", WIREFRAMES, size=1, seed=5)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_the_two_tasks_live_side_by_side_and_leave_no_temporary_files(tmp_path: Path) -> None:
    generate(tmp_path, WIREFRAMES, size=1)
    generate(tmp_path, SCREENSHOTS, size=1)
    assert {path.name for path in (tmp_path / "drawnui").iterdir()} == {
        *("wireframe_development_set", "wireframe_test_set", "screenshot_development_set", "screenshot_test_set")
    }


@pytest.mark.parametrize("marker", [None, "", "[]", "{}", '{"version": ', "\0"])
def test_foreign_data_is_left_alone(tmp_path: Path, marker: str | None) -> None:
    for name in ("wireframe_development_set", "wireframe_test_set"):
        folder = tmp_path / "drawnui" / name
        folder.mkdir(parents=True)
        (folder / "mine.txt").write_text("precious")
        if marker is not None:
            (folder / MARKER).write_text(marker)
    before = hashes(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        generate(tmp_path, WIREFRAMES, size=1)
    assert caught.value.findings.counts == {"SAMPLE-FOREIGN-DATA": 2}
    assert "wireframe_test_set" in str(caught.value)
    assert "move this one away" in str(caught.value)
    assert hashes(tmp_path) == before


def test_a_failure_leaves_the_earlier_sample_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, WIREFRAMES, size=1)
    before = hashes(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(samples, "_record", fail)
    with pytest.raises(OSError, match="no space"):
        generate(tmp_path, WIREFRAMES, size=2)
    assert hashes(tmp_path) == before


@pytest.mark.parametrize(("size", "seed"), [(0, 0), (-3, 0), (1, -1)])
def test_impossible_requests_are_refused(tmp_path: Path, size: int, seed: int) -> None:
    with pytest.raises(UsageError, match="at least"):
        generate(tmp_path, WIREFRAMES, size=size, seed=seed)
    assert not list(tmp_path.iterdir())


def test_the_alphabet_can_write_every_text() -> None:
    texts = (
        *elements.TITLES,
        *elements.LABELS,
        *elements.OPTIONS,
        *elements.ACTIONS,
        *elements.LINKS,
        *elements.HINTS,
        *elements.WORDS,
    )
    letters = {letter for text in texts for letter in text + text.upper()} - {" "}
    assert letters <= set(pen.ALPHABET)


def test_ink_lies_where_the_stroke_is() -> None:
    rng = np.random.default_rng(0)
    hand = pen.Hand.draw(rng, scale=1.0)
    ink = pen.lay_ink([np.array([(10.0, 20.0), (50.0, 20.0)])], 60, 40, hand, rng)
    rows, columns = np.nonzero(ink > 0.2)
    assert 0 < ink.max() <= 1
    assert (abs(rows - 20) <= 5).all()
    assert columns.min() >= 5
    assert columns.max() <= 55
