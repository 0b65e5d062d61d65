"""Reading a coral data set: every release's names, a finding for everything tolerated, and the division by place."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from baselines.coral import archive, records
from baselines.coral.archive import hold_out, kind_of, place_of
from baselines.coral.records import read_split
from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.core.images import PROBLEMS, report_rotation

BOXES, POLYGONS = "coral-annotation", "coral-parsing"
A, B, C = "2018_0712_074204_208", "2018_0729_112409_029", "02_2017_0803_132731_098"
RING = "23 98 29 122 158 115 111 45 94 69"
SIZE = (200, 150)


def image(path, size=SIZE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path, "JPEG", **options)


def polygons(*names):
    return "".join(f"{name} 0 c_sponge 1 {RING}\n" for name in names)


def boxes(*names):
    return "".join(f"{name} 0 c_sponge 1 23 45 158 122\n" for name in names)


@pytest.fixture
def root(tmp_path):
    """A data set of 2021 with three images, each in its subset's folder."""
    folder = tmp_path / "coral" / "training"
    for name, place in ((A, "K1-20180712-01"), (B, "PK-20180729-02"), (C, "20170803-dominica-cabrits")):
        image(folder / place / f"{name}.JPG")
    (folder / "polygons.csv").write_text(polygons(A, B, C))
    (folder / "boxes.csv").write_text(boxes(A, B, C))
    return tmp_path


def read(root, task=POLYGONS, split="all", **options):
    findings = Findings()
    return read_split(root, task, split, findings, **options), findings


def codes(findings):
    return {finding.code for finding in findings if not finding.code.startswith("DATA-IMAGE-SIZE")}


def test_a_clean_set_gives_no_finding_but_for_the_size(root):
    for task, points in ((POLYGONS, 5), (BOXES, 4)):
        split, findings = read(root, task)
        assert [sample.id for sample in split.samples] == sorted((A, B, C))
        assert codes(findings) == set()
        truth = split.truth_set.truths[A]
        assert (truth.width, truth.height) == SIZE
        assert len(truth.shapes[0]) == points
        assert truth.shapes.boxes().tolist() == [[23, 45, 158, 122]]


@pytest.mark.parametrize(
    ("images", "file"),
    [
        ("imageCLEFcoral2019_training", "imageCLEFcoral2019_annotations_training_task_2"),
        ("imageCLEFcoral2020_training_v4", "annotations_train_2020_polygons.cvs.txt"),
        ("training_set_2021_02_04/images", "training_set_2021_02_04/training_set_task_2.csv"),
        ("latest/images", "latest/polygons.txt"),
    ],
)
def test_every_release_is_found_by_content_and_a_test_set_beside_it_is_not(tmp_path, images, file):
    image(tmp_path / "coral" / images / f"{A}.jpg")
    image(tmp_path / "coral" / "imageCLEFcoral2020_test_v4" / f"{B}.jpg")
    (tmp_path / "coral" / "imageCLEFCORAL2020_GT").mkdir()
    (tmp_path / "coral" / "imageCLEFCORAL2020_GT" / "place.txt").write_text(polygons(B))
    (tmp_path / "coral" / "README.txt").write_text("An image has many colonies, and a line of words is no annotation.\n" * 9)
    (tmp_path / "coral" / file).write_text(polygons(A))
    assert [sample.id for sample in read(tmp_path)[0].samples] == [A]
    split, findings = read(tmp_path, split="test")
    assert [(sample.id, sample.truth) for sample in split.samples] == [(B, None)]
    assert len(split.truth_set.truths[B].shapes) == 0
    assert codes(findings) == set()
    assert [sample.image for sample in read(tmp_path / "coral")[0].samples] == [tmp_path / "coral" / images / f"{A}.jpg"]


def test_a_file_is_known_by_its_lines(tmp_path):
    path = tmp_path / "file"
    for content, kind in (
        (boxes(A, B), "boxes"),
        (polygons(A, B).replace("\n", "\r\n"), "polygons"),
        (boxes(A) + polygons(A, B, C), "polygons"),
        ("one two three four five six seven eight\n", None),
        ("", None),
    ):
        path.write_bytes(content.encode())
        assert kind_of(path) == kind


def junk(root):
    (root / "coral" / ".DS_Store").write_bytes(b"\0")
    (root / "coral" / "__MACOSX").mkdir()
    image(root / "coral" / "__MACOSX" / "._x.jpg")


def mixed_extensions(root):
    image(root / "coral" / "training" / "more" / "2019_0417_100000_001.jpg")
    add_line(root, polygons("2019_0417_100000_001"))


def add_line(root, text):
    path = root / "coral" / "training" / "polygons.csv"
    path.write_text(path.read_text() + text)


def rotated(root):
    exif = Image.Exif()
    exif[0x0112] = 3
    image(next(root.rglob(f"{A}.JPG")), exif=exif)


def renamed(root):
    path = next(root.rglob(f"{C}.JPG"))
    path.rename(path.with_name(f"{C}x.JPG"))
    add_line(root, polygons(f"{C}X"))


# What is planted, and the severity, id and value of the finding.
PLANTED = {
    "DATA-JUNK": ("info", junk),
    "DATA-FILE-CASE": ("info", mixed_extensions),
    "DATA-ID-DUPLICATE": ("warning", lambda root: image(root / "coral" / "training" / "other" / f"{A}.JPG")),
    "DATA-ID-NO-IMAGE": ("warning", lambda root: add_line(root, polygons("2018_0712_000000_000"))),
    "DATA-ID-NO-LABEL": ("warning", lambda root: image(root / "coral" / "training" / "more" / "2019_0417_1_1.JPG")),
    "DATA-ID-CASE": ("warning", renamed),
    "DATA-IMAGE-EXIF": ("warning", rotated),
    "DATA-FILE-EMPTY": ("error", lambda root: next(root.rglob(f"{A}.JPG")).write_bytes(b"")),
    "DATA-FILE-UNREADABLE": ("error", lambda root: next(root.rglob(f"{A}.JPG")).write_bytes(b"no image")),
    "DATA-IMAGE-HUGE": ("error", lambda root: next(root.rglob(f"{A}.JPG")).write_bytes(b"P6 20000 20000 255\n")),
    "DATA-IMAGE-SIZE": ("warning", lambda root: image(next(root.rglob(f"{A}.JPG")), (300, 200))),
}


@pytest.mark.parametrize("code", PLANTED)
def test_planted_fault(root, code):
    severity, plant = PLANTED[code]
    plant(root)
    findings = read(root)[1]
    (found, *_) = findings.of(severity)
    assert code in {finding.code for finding in findings.of(severity)}
    assert codes(findings) - {code} <= {"DATA-ID-NO-IMAGE"}  # which a renamed image also is
    assert found.file
    assert found.value or found.hint


def test_every_code_of_reading_a_split_is_planted():
    splits = Path(records.__file__).read_text().partition("def read_split")[2]
    sources = Path(archive.__file__).read_text(), splits, inspect.getsource(report_rotation)
    rules = {f"DATA-{rule}" for source in sources for rule in re.findall(r'"([A-Z]+(?:-[A-Z]+)*)"', source)}
    rules |= {f"DATA-{rule}" for problem, (rule, _) in PROBLEMS.items() if problem != "truncated"}  # which no header tells
    raised = {"DATA-DATA-FILE-AMBIGUOUS", "DATA-DATA-FILE-MISSING"}
    assert rules - raised - {"DATA-BOXES-DERIVED", "DATA-DATA", "DATA-GT"} == set(PLANTED)


def test_boxes_are_the_extremes_of_polygons_where_there_is_no_file_of_boxes(root):
    (root / "coral" / "training" / "boxes.csv").unlink()
    split, findings = read(root, BOXES)
    assert codes(findings) == {"DATA-BOXES-DERIVED"}
    assert split.truth_set.kind == "boxes"
    assert split.truth_set.truths[A].shapes.boxes().tolist() == [[23, 45, 158, 122]]


def test_boxes_alone_are_no_truth_for_parsing(root):
    (root / "coral" / "training" / "polygons.csv").unlink()
    with pytest.raises(InvalidInput, match="DATA-FILE-MISSING no file of polygons"):
        read(root)


def test_of_two_releases_none_is_chosen(root):
    (root / "coral" / "older").mkdir()
    (root / "coral" / "older" / "polygons.txt").write_text(polygons(A))
    with pytest.raises(InvalidInput, match=r"DATA-FILE-AMBIGUOUS 2 files of polygons .*older/polygons.txt"):
        read(root)


def test_what_is_missing_is_said_with_where_it_was_looked_for(tmp_path):
    with pytest.raises(InvalidInput, match="imageclef sample coral-parsing"):
        read(tmp_path)
    with pytest.raises(InvalidInput, match="there is no such folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="train, val, all, test"):
        read(tmp_path, split="validation")


def test_clipping_is_to_the_size_of_the_file(root):
    add_line(root, f"{A} 1 c_sponge 1 150 100 260 100 260 140 150 140\n")
    split, findings = read(root)
    assert split.truth_set.truths[A].shapes[1].max(axis=0).tolist() == [199, 140]
    assert "DATA-OUT-OF-IMAGE" in codes(findings)


def test_places_are_known_by_date_or_folder():
    assert place_of("2018_0407_100000_001", "x") == place_of("2018_0406_100000_001", "y") == "20180406-spermonde-keke"
    assert place_of("DSC_0001", "somewhere") == "somewhere"


NAMES = [
    f"{place}{number}" for place, count in (("p", 17), ("q", 23), ("r", 17), ("s", 10), ("t", 10)) for number in range(count)
]
PLACES = {name: name[0] for name in NAMES}


def test_by_place_a_place_is_held_out_whole():
    held_out = hold_out(PLACES, 0.22, 0, by_place=True)
    kept = {PLACES[name] for name in NAMES if name not in held_out}
    assert kept.isdisjoint(PLACES[name] for name in held_out)
    assert abs(len(held_out) / len(NAMES) - 0.22) < 0.05
    assert len({frozenset(hold_out(PLACES, 0.22, seed, by_place=True)) for seed in range(8)}) > 1


def test_at_random_every_place_gives_its_share():
    counts = Counter(PLACES[name] for name in hold_out(PLACES, 0.2, 0, by_place=False))
    assert all(abs(counts[place] - 0.2 * list(PLACES.values()).count(place)) < 1 for place in "pqrst")
    assert hold_out(PLACES, 0.2, 0, by_place=False) != hold_out(PLACES, 0.2, 1, by_place=False)


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=5), st.sampled_from("xyz"), min_size=2),
    st.floats(0, 1),
    st.booleans(),
    st.integers(0, 9),
)
def test_a_division_is_one_whatever_the_order(places, share, by_place, seed):
    held_out = hold_out(places, share, seed, by_place=by_place)
    assert held_out == hold_out(dict(reversed(places.items())), share, seed, by_place=by_place)
    assert held_out <= set(places)
    if 0 < share < 1:
        assert 0 < len(held_out) < len(places)


def test_both_tasks_are_divided_alike(root):
    for split in ("train", "val"):
        one, other = read(root, POLYGONS, split)[0], read(root, BOXES, split)[0]
        assert [sample.id for sample in one.samples] == [sample.id for sample in other.samples]
        assert one.samples
