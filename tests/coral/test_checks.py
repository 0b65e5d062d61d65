"""What a check finds in coral data sets beyond the common rules: each finding has its planted fault."""

import re

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from baselines.coral import checks
from baselines.coral.checks import CHECKS
from baselines.coral.samples import generate
from baselines.coral.task import SUBSTRATES
from baselines.core.check import check_data_set
from baselines.core.checks import Settings
from baselines.core.findings import Severity
from baselines.core.tasks import get_task

SIZE = (400, 300)
IMAGES = (
    ("K1-20180712-01", "2018_0712_074204_208"),
    ("PK-20180729-02", "2018_0729_112409_029"),
    ("PK-20180729-02", "2018_0729_112442_045"),
)
TEST_IMAGE = ("20190417-seychelles-BL", "2019_0417_100000_001")
BOXES, POLYGONS = "boxes.csv", "polygons.csv"


@pytest.fixture
def root(tmp_path):
    """Return a data set with five colonies in each of three images, one of every substrate but the last ones twice."""
    rng = np.random.default_rng(0)
    train = tmp_path / "coral" / "training"
    lines = {BOXES: [], POLYGONS: []}
    for number, (place, name) in enumerate((*IMAGES, TEST_IMAGE)):
        folder = train if (place, name) != TEST_IMAGE else tmp_path / "coral" / "test_set"
        (folder / place).mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(rng.integers(90, 130, (30, 40, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(noise)
        for seq in range(5):
            x, y = 12 + 75 * seq + int(rng.integers(9)), 20 + 40 * (seq % 3) + int(rng.integers(40))
            ring = [(x, y), (x + 31, y + 11), (x + 57, y + 37), (x + 40, y + 73), (x + 9, y + 60)]
            draw.polygon(ring, fill=tuple(rng.integers(160, 250, 3).tolist()))
            head = f"{name} {seq} {SUBSTRATES[(number * 5 + seq) % 13 + 1]} 1"
            points = np.array(ring)
            lines[POLYGONS].append(" ".join([head, *map(str, points.ravel())]))
            lines[BOXES].append(" ".join([head, *map(str, [*points.min(axis=0), *points.max(axis=0)])]))
        noise.save(folder / place / f"{name}.JPG", quality=95)
    for file, content in lines.items():
        (train / file).write_text("".join(f"{line}\n" for line in content[:15]))
    return tmp_path


def edit(change, file=POLYGONS):
    """Return what changes the lines of a file of annotations."""

    def plant(root):
        path = root / "coral" / "training" / file
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("".join(f"{line}\n" for line in lines))

    return plant


def alone(change):
    """Return what changes the polygons where there are no boxes to compare them with."""

    def plant(root):
        (root / "coral" / "training" / BOXES).unlink()
        edit(change)(root)

    return plant


def replace_first(pattern, new):
    def change(lines):
        lines[0] = re.sub(pattern, new, lines[0])

    return change


def add(geometry, substrate="c_sponge", seq=5):
    return alone(lambda lines: lines.append(f"{IMAGES[0][1]} {seq} {substrate} 1 {geometry}"))


def copied(substrate):
    def change(lines):
        _, _, name, _, *points = lines[0].split()
        lines.append(" ".join([IMAGES[0][1], "5", substrate or name, "1", *points]))

    return alone(change)


def nearly_copied(lines):
    _, _, name, _, *points = lines[0].split()
    lines.append(" ".join([IMAGES[0][1], "5", name, "1", *points[:-2], str(int(points[-2]) + 1), points[-1]]))


def within(substrate=""):
    """Return what puts a smaller colony into the first one, of its substrate or of another."""

    def change(lines):
        _, _, name, _, *numbers = lines[0].split()
        ring = np.array(numbers, float).reshape(-1, 2)
        small = (ring.mean(axis=0) + 0.4 * (ring - ring.mean(axis=0))).astype(int)
        lines.append(" ".join([IMAGES[0][1], "5", substrate or name, "1", *map(str, small.ravel())]))

    return alone(change)


def as_sizes(lines):
    for number, line in enumerate(lines):
        *head, x0, y0, x1, y1 = line.split()
        lines[number] = " ".join([*head, str(int(x1) - int(x0)), str(int(y1) - int(y0)), x0, y0])


def flipped(lines):
    *head, x0, y0, x1, y1 = lines[0].split()
    lines[0] = " ".join([*head, x0, y1, x1, y0])


def turned(root):
    path = next(root.rglob(f"{IMAGES[0][1]}.JPG"))
    with Image.open(path) as image:
        image.rotate(180).save(path, quality=95)


def rename(place, name):
    def plant(root):
        path = next(root.rglob(f"{place}/{name}.JPG"))
        path.rename(path.with_name("reef.JPG"))
        for file in (BOXES, POLYGONS):
            edit(lambda lines: lines.__setitem__(slice(None), [line.replace(name, "reef") for line in lines]), file)(root)

    return plant


def move_test_image(root):
    place, name = TEST_IMAGE
    folder = root / "coral" / "test_set"
    (folder / IMAGES[0][0]).mkdir()
    (folder / place / f"{name}.JPG").rename(folder / IMAGES[0][0] / "2018_0712_100000_001.JPG")


ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
PLANTED = {
    "DATA-BOX-ASPECT": (add("20 280 320 280 320 287 20 287"), INFO),
    "DATA-BOX-NESTED": (within(), INFO),
    "DATA-BOX-ORDER": (edit(as_sizes, BOXES), ERROR),
    "DATA-BOX-POLYGON-MISMATCH": (edit(replace_first(r"\d+$", "250"), BOXES), ERROR),
    "DATA-BOX-ZERO": (add("5 5 90 5 50 5"), ERROR),
    "DATA-BOXES-DERIVED": (lambda root: (root / "coral" / "training" / BOXES).unlink(), INFO),
    "DATA-CONFIDENCE": (edit(replace_first(r" 1 ", " 0.9 ")), WARNING),
    "DATA-DUPLICATE-OBJECT": (copied(""), WARNING),
    "DATA-NAME": (rename(*IMAGES[0]), INFO),
    "DATA-NEAR-OBJECT": (alone(nearly_copied), INFO),
    "DATA-OUT-OF-IMAGE": (add("-1 5 40 5 40 60"), WARNING),
    "DATA-OVERLAP": (add("12 20 200 20 200 150 12 150", SUBSTRATES[1]), INFO),
    "DATA-POLY-FEW-POINTS": (add("5 5 9 9"), ERROR),
    "DATA-POLY-REPEATED": (add("5 5 5 5 60 5 60 60"), INFO),
    "DATA-POLY-SELF-INTERSECT": (add("5 250 60 295 60 250 5 295"), WARNING),
    "DATA-ROTATED": (turned, WARNING),
    "DATA-SEQ-GAP": (add("5 250 60 250 60 295", seq=9), INFO),
    "DATA-SPLIT-GROUP": (move_test_image, INFO),
    # Of all tasks, with what is particular here.
    "DATA-CLASS-UNKNOWN": (edit(replace_first(" c_", " ")), ERROR),
    "DATA-FILE-CASE": (lambda root: next(root.rglob("*.JPG")).rename(next(root.rglob("*.JPG")).with_suffix(".jpg")), INFO),
    "DATA-CRLF": (
        lambda root: (root / "coral/training" / POLYGONS).write_text(
            (root / "coral/training" / POLYGONS).read_text(), newline="\r\n"
        ),
        INFO,
    ),
}
OF_BOXES = {"DATA-BOX-ORDER", "DATA-BOX-POLYGON-MISMATCH", "DATA-BOXES-DERIVED"}


def check(root, task="coral-parsing", **settings):
    return check_data_set(get_task(task), root, Settings(**settings)).findings


@pytest.mark.parametrize(("code", "fault"), PLANTED.items(), ids=PLANTED)
def test_every_planted_fault_is_found(root, code, fault):
    plant, severity = fault
    plant(root)
    found = check(root, "coral-annotation" if code in OF_BOXES else "coral-parsing")
    assert severity in {finding.severity for finding in found if finding.code == code}


def test_every_code_has_a_fault_and_an_example():
    assert CHECKS.codes.keys() <= PLANTED.keys()
    assert all(code.meaning and code.example for code in CHECKS.codes.values())


@pytest.mark.parametrize("task", ["coral-annotation", "coral-parsing"])
def test_a_sound_set_yields_nothing_that_is_planted(root, task):
    found = check(root, task)
    assert not found.counts.keys() & PLANTED.keys()
    assert [finding.code for finding in found.of(ERROR)] == []


def test_y_flipped_is_a_warning(root):
    edit(flipped, BOXES)(root)
    assert {each.severity for each in check(root, "coral-annotation") if each.code == "DATA-BOX-ORDER"} == {WARNING}


def test_another_substrate_at_the_same_place_is_told_apart(root):
    copied(SUBSTRATES[7])(root)
    assert ["another substrate" in each.message for each in check(root) if each.code == "DATA-DUPLICATE-OBJECT"] == [True]


def test_an_object_of_another_substrate_may_lie_in_an_object(root):
    within(SUBSTRATES[7])(root)
    assert "DATA-BOX-NESTED" not in check(root).counts


def test_an_object_beside_a_bent_one_is_not_in_it_though_its_box_is():
    bent = np.array([[0, 0], [90, 0], [90, 90], [80, 90], [80, 10], [0, 10]])
    beside = np.array([[20, 30], [40, 30], [40, 60]])
    assert checks.share_inside(beside, bent) == 0
    assert checks.share_inside(beside[::-1], np.array([[0, 0], [90, 0], [90, 90], [0, 90]])) == 1


def test_an_edge_is_measured_once_and_again_when_the_outline_changes(root, tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(checks, "edge_strengths", lambda *args: measured.append(args) or (np.ones(5), np.ones(5)))
    for expected in (3, 3):
        check(root, store=tmp_path / "memory")
        assert len(measured) == expected
    edit(replace_first(r"\d+$", "99"))(root)
    check(root, store=tmp_path / "memory")
    assert len(measured) == 4


def test_counts_are_held_against_those_of_2021(root):
    values = {each.value for each in check(root, "coral-annotation") if each.code == "DATA-COUNT"}
    assert {"3, published 879", "1, published 485", "15, published 21749"} <= values


def test_distributions_count_what_is_there(root):
    shown = {each.title: each for each in check_data_set(get_task("coral-parsing"), root, Settings()).distributions}
    assert sum(shown["objects per image"].series["all"]) == 3
    assert sum(shown["points per outline"].series["all"]) == 15
    assert shown["images by place"].series == {"all": (2, 1, 0), "test": (0, 0, 1)}


@pytest.mark.slow
def test_a_generated_sample_yields_nothing_above_info(tmp_path):
    generate(tmp_path, "coral-parsing", size=26)
    for task in ("coral-annotation", "coral-parsing"):
        found = check(tmp_path, task)
        assert [finding for finding in found if finding.severity is not INFO] == []
        assert "DATA-SPLIT-GROUP" in found.counts


def test_the_report_draws_outlines_and_marks_some(root):
    outcome = check_data_set(get_task("coral-parsing"), root, Settings())
    split = outcome.data_set.splits["all"]
    sample = next(sample for sample in split.samples if len(sample.truth.labels))
    plain, marked = (CHECKS.draw(split, sample, each) for each in (frozenset(), frozenset({0})))
    assert max(plain.size) <= 640
    assert ImageChops.difference(plain, marked).getbbox() is not None
