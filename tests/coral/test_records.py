"""The coral annotation files: both kinds, every release's order of corners, and a finding for every oddity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.coral.records import Truth, TruthSet, read_truth, truths_of_ids, write_truth
from baselines.coral.shapes import Shapes, are_flat
from baselines.coral.task import SUBSTRATES
from baselines.core.findings import Findings

BOXES, POLYGONS = "coral-annotation", "coral-parsing"
ASSUMED = ("DATA-IMAGE-SIZE-ASSUMED", "info")


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, task=BOXES, **options):
        path = tmp_path / "annotations.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_truth(path, task, findings, **options), findings

    return write_and_read


def said(findings):
    """Codes and severities, but for the size that is assumed every time."""
    return [(finding.code, finding.severity.value) for finding in findings if finding.code != ASSUMED[0]]


REAL_BOXES = """\
2018_0712_073641_101 0 c_sponge_barrel 1 594 1609 1023 2043
2018_0712_073641_101 1 c_soft_coral 1 488 276 941 539
02_2017_0803_132731_098 0 c_sponge_barrel 1 1343 877 1945 1516
"""
REAL_POLYGON = "2018_0712_074204_208 0 c_hard_coral_submassive 1 23 1298 29 1622 158 1575 111 1445 94 1369\n"


class TestReading:
    def test_boxes(self, read):
        truth_set, findings = read(REAL_BOXES)
        truth = truth_set.truths["2018_0712_073641_101"]
        assert truth.shapes.boxes().tolist() == [[594, 1609, 1023, 2043], [488, 276, 941, 539]]
        assert truth.labels.tolist() == [13, 10]
        assert truth.numbers.tolist() == [0, 1]
        assert (truth.width, truth.height) == (4032, 3024)
        assert truth_set.kind == "boxes"
        assert truth_set.classes == SUBSTRATES
        assert list(truth_set.truths) == ["2018_0712_073641_101", "02_2017_0803_132731_098"]
        assert [(finding.code, finding.severity.value) for finding in findings] == [ASSUMED]

    def test_polygons(self, read):
        truth_set, findings = read(REAL_POLYGON, POLYGONS)
        (ring,) = truth_set.truths["2018_0712_074204_208"].shapes
        assert ring.tolist() == [[23, 1298], [29, 1622], [158, 1575], [111, 1445], [94, 1369]]
        assert said(findings) == []

    def test_the_corners_of_boxes_are_a_ring(self, read):
        (ring,) = read("a 0 c_sponge 1 1 2 3 4\n")[0].truths["a"].shapes
        assert ring.tolist() == [[1, 2], [1, 4], [3, 4], [3, 2]]

    def test_corners_in_the_order_of_2020(self, read):
        truth_set, findings = read("2018_0714_112502_024 0 c_sponge_barrel 1 1336 2648 2249 1948\n")
        assert truth_set.truths["2018_0714_112502_024"].shapes.boxes().tolist() == [[1336, 1948, 2249, 2648]]
        assert said(findings) == [("DATA-BOX-ORDER", "warning")]

    def test_width_height_xmin_ymin_is_refused(self, read):
        findings = read(REAL_BOXES + "b 0 c_sponge 1 429 434 100 1609\nb 1 c_sponge 1 20 10 10 100\n")[1]
        (error,) = findings.of("error")
        assert error.code == "DATA-BOX-ORDER"
        assert error.message.startswith("2 lines")
        assert error.line == 4
        assert "width, height" in error.hint

    def test_another_size(self, read):
        truth_set, findings = read("a 0 c_sponge 1 1 2 300 40\n", size=(100, 50))
        assert truth_set.truths["a"].shapes.boxes().tolist() == [[1, 2, 100, 40]]
        assert truth_set.truths["a"].width == 100
        assert "100x50" in next(finding.hint for finding in findings if finding.code == ASSUMED[0])

    def test_lines_of_an_image_need_not_follow_each_other(self, read):
        truth_set = read("a 0 c_sponge 1 1 1 3 3\nb 0 c_sponge 1 1 1 3 3\na 1 c_sponge 1 5 5 9 9\n")[0]
        assert len(truth_set.truths["a"].shapes) == 2

    def test_a_file_of_the_other_kind(self, read):
        for content, task, kind in ((REAL_BOXES, POLYGONS, "boxes"), (REAL_POLYGON, BOXES, "polygons")):
            truth_set, findings = read(content, task)
            assert said(findings) == [("DATA-FIELDS", "error")]
            assert f"a file of {kind}" in next(iter(findings)).message
            assert truth_set.truths == {}

    def test_a_polygon_of_two_points_does_not_make_a_file_of_boxes(self, read):
        truth_set, findings = read(REAL_POLYGON * 2 + "a 0 c_sponge 1 5 5 9 9\n", POLYGONS)
        assert ("DATA-POLY-FEW-POINTS", "warning") in said(findings)
        assert len(truth_set.truths["a"].shapes) == 0

    def test_only_lf_and_cr_end_lines(self, read):
        assert list(read("a\u2028b 0 c_sponge 1 1 1 3 3\n")[0].truths) == ["a\u2028b"]

    def test_a_class_that_is_no_substrate_is_one_error(self, read):
        lines = ["a 0 soft_coral 1 1 1 3 3", "a 1 soft_coral 1 1 1 3 3", "a 2 c_spnge 1 1 1 3 3", "b 0 c_sponge 1 1 1 9 9"]
        errors = read("\n".join(lines) + "\n")[1].of("error")
        assert [(finding.code, finding.line) for finding in errors] == [("DATA-CLASS-UNKNOWN", 1), ("DATA-CLASS-UNKNOWN", 3)]
        assert "saw 'soft_coral 1 1 3 3'; did you mean c_soft_coral?" in str(errors[0])
        assert "did you mean c_sponge?" in str(errors[1])

    def test_images_whose_objects_are_all_left_out_stay(self, read):
        assert len(read("a 0 c_sponge 1 5 5 5 9\n")[0].truths["a"].labels) == 0


# Code, severity, task, what has it; and whether it has nothing else.
PLANTED = [
    ("DATA-FILE-EMPTY", "error", BOXES, ""),
    ("DATA-ENCODING", "error", BOXES, REAL_BOXES.encode("utf-16")),
    ("DATA-ENCODING", "error", BOXES, REAL_BOXES.encode() + b"\xff\n"),
    ("DATA-BOM", "info", BOXES, b"\xef\xbb\xbf" + REAL_BOXES.encode()),
    ("DATA-CRLF", "info", BOXES, REAL_BOXES.replace("\n", "\r\n")),
    ("DATA-NO-FINAL-NEWLINE", "info", BOXES, REAL_BOXES[:-1]),
    ("DATA-BLANK-LINE", "info", BOXES, REAL_BOXES + "\n"),
    ("DATA-SEPARATOR", "warning", BOXES, REAL_BOXES.replace(" 1 ", "  1 ")),
    ("DATA-SEPARATOR", "warning", BOXES, REAL_BOXES.replace(" ", "\t")),
    ("DATA-SEPARATOR", "warning", BOXES, REAL_BOXES.replace(" ", ",")),
    ("DATA-SEPARATOR", "warning", BOXES, " " + REAL_BOXES),
    ("DATA-FIELDS", "error", BOXES, REAL_BOXES + "a 0 c_sponge 1 5 5 9\n"),
    ("DATA-FIELDS", "error", BOXES, REAL_BOXES + "a 0 c_sponge 1 5 5 9 9 9\n"),
    ("DATA-FIELDS", "error", POLYGONS, REAL_POLYGON + "a 0 c_sponge 1 5\n"),
    ("DATA-FIELDS", "error", BOXES, REAL_BOXES + "a;b 0 c_sponge 1 5 5 9 9\n"),
    ("DATA-NUMBER", "error", BOXES, REAL_BOXES + "a 0 c_sponge 1 5 5 9 9.5\n"),
    ("DATA-NUMBER", "error", BOXES, REAL_BOXES + "a x c_sponge 1 5 5 9 9\n"),
    ("DATA-NUMBER", "error", BOXES, REAL_BOXES + "a 0 c_sponge 1 5 5 9 nan\n"),
    ("DATA-NUMBER", "error", BOXES, REAL_BOXES + f"a 0 c_sponge 1 5 5 9 {'9' * 100_000}\n"),
    ("DATA-NUMBER", "error", BOXES, "image seq substrate confidence xmin ymin xmax ymax\n" + REAL_BOXES),
    ("DATA-CONFIDENCE", "warning", BOXES, "a 0 c_sponge 0.9 5 5 9 9\n"),
    ("DATA-CLASS-UNKNOWN", "error", BOXES, "a 0 sponge 1 5 5 9 9\n"),
    ("DATA-BOX-ORDER", "warning", BOXES, "a 0 c_sponge 1 5 9 9 5\n"),
    ("DATA-BOX-ORDER", "error", BOXES, "a 0 c_sponge 1 9 5 5 9\n"),
    ("DATA-BOX-ZERO", "warning", BOXES, "a 0 c_sponge 1 5 5 9 5\n"),
    ("DATA-BOX-ZERO", "warning", BOXES, "a 0 c_sponge 1 5000 5 5001 9\n"),
    ("DATA-BOX-ZERO", "warning", POLYGONS, "a 0 c_sponge 1 5000 5 5001 9 5002 5\n"),
    ("DATA-BOX-ZERO", "warning", POLYGONS, "a 0 c_sponge 1 5 5 6 5 7 5\n"),
    ("DATA-OUT-OF-IMAGE", "warning", BOXES, "2018_0714_112502_024 0 c_soft_coral 1 -1 1802 194 1907\n"),
    ("DATA-OUT-OF-IMAGE", "warning", POLYGONS, "a 0 c_soft_coral 1 4000 3000 4032 3010 4000 3010\n"),
    ("DATA-POLY-FEW-POINTS", "warning", POLYGONS, "2018_0714_112534_047 0 c_hard_coral_boulder 1 3262 883\n"),
    ("DATA-POLY-FEW-POINTS", "warning", POLYGONS, "a 0 c_sponge 1 5 5 9 9 5 5 9 9\n"),
    ("DATA-POLY-FEW-POINTS", "error", POLYGONS, "a 0 c_sponge 1 5 5 9 9 5 9 9\n"),
    ("DATA-POLY-REPEATED", "info", POLYGONS, "a 0 c_sponge 1 5 5 9 5 9 5 5 9\n"),
    ("DATA-POLY-REPEATED", "info", POLYGONS, "a 0 c_sponge 1 5 5 9 5 5 9 5 5\n"),
    ("DATA-POLY-SELF-INTERSECT", "warning", POLYGONS, "a 0 c_sponge 1 10 10 40 40 40 10 10 40\n"),
    ("DATA-DUPLICATE-OBJECT", "warning", BOXES, "a 0 c_sponge 1 5 5 9 9\na 1 c_sponge 1 5 5 9 9\n"),
    ("DATA-TOO-LARGE", "error", BOXES, "a 0 c_sponge 1 5 5 9 9\n" + 100_000 * "\n"),
    ("DATA-TOO-LARGE", "error", POLYGONS, "a 0 c_sponge 1" + " 5" * 600_000 + "\n"),
    (
        "DATA-TOO-LARGE",
        "error",
        POLYGONS,
        "".join(
            f"a {seq} c_sponge 1 " + " ".join(f"{8 * tooth + seq} 0 {8 * tooth + seq + 4} 3000" for tooth in range(250)) + "\n"
            for seq in range(4)
        ),
    ),
    ("DATA-SEQ-GAP", "info", BOXES, "a 0 c_sponge 1 5 5 9 9\na 2 c_sponge 1 5 5 8 8\n"),
    ("DATA-SEQ-GAP", "info", BOXES, "a 0 c_sponge 1 5 5 9 9\na 0 c_sponge 1 5 5 8 8\n"),
]


@pytest.mark.parametrize(("code", "severity", "task", "content"), PLANTED)
def test_planted_fault(read, code, severity, task, content):
    findings = read(content, task)[1]
    assert (code, severity) in said(findings)
    assert {found for found, _ in said(findings)} <= {code, "DATA-ENCODING", "DATA-NUMBER", "DATA-FIELDS", "DATA-BLANK-LINE"}
    assert all(str(finding).isprintable() for finding in findings)
    for finding in findings:
        if finding.code == code:
            assert finding.hint


def test_every_code_of_the_module_is_planted():
    import re
    from pathlib import Path

    from baselines.coral import records

    rules = set(re.findall(r'"([A-Z]+(?:-[A-Z]+)*)"', Path(records.__file__).read_text().partition("read_split")[0]))
    planted = {code.removeprefix("DATA-") for code, *_ in PLANTED}
    assert rules - {"DATA", "IMAGE-SIZE-ASSUMED", *records.CODES} <= planted


def test_the_quirks_of_2020_are_tolerated(read):
    lines = [
        "2018_0714_112534_047 17 c_hard_coral_boulder 1 3262 883",
        "2018_0714_112502_024 10 c_soft_coral 1 -1 1802 194 1802 194 1207 -1 1207",
        "2018_0712_074204_208 19 c_hard_coral_submassive 1 23 1298 29 1622 158 1575 158 1575 111 1445 94 1369",
    ]
    truth_set, findings = read("\r\n".join(lines), POLYGONS)
    assert findings.error_count == 0
    assert len(truth_set.truths) == 3
    assert truth_set.truths["2018_0714_112502_024"].shapes.boxes().tolist() == [[0, 1207, 194, 1802]]
    assert len(truth_set.truths["2018_0712_074204_208"].shapes[0]) == 6  # repeated points are kept


def test_out_of_image_objects_are_clipped_to_their_kinds_limits(read):
    truth = read("a 0 c_sponge 1 4000 3000 6081 4333\n")[0].truths["a"]
    assert truth.shapes.boxes().tolist() == [[4000, 3000, 4032, 3024]]
    truth = read("a 0 c_sponge 1 4000 3000 6081 3000 6081 4333\n", POLYGONS)[0].truths["a"]
    assert truth.shapes.boxes().tolist() == [[4000, 3000, 4031, 3023]]


def test_missing_file(tmp_path):
    findings = Findings()
    assert read_truth(tmp_path / "no", BOXES, findings).truths == {}
    assert said(findings) == [("DATA-FILE-MISSING", "error")]


def test_truths_of_ids():
    truth_set = truths_of_ids(["b", "a"], POLYGONS)
    assert list(truth_set.truths) == ["b", "a"]
    assert truth_set.kind == "polygons"
    assert (truth_set.truths["a"].width, truth_set.truths["a"].height, len(truth_set.truths["a"].shapes)) == (4032, 3024, 0)


boxes = st.tuples(st.integers(0, 4031), st.integers(0, 3023), st.integers(1, 500), st.integers(1, 500)).map(
    lambda box: [box[0], box[1], min(box[0] + box[2], 4032), min(box[1] + box[3], 3024)]
)
rings = st.lists(st.tuples(st.integers(0, 4031), st.integers(0, 3023)), min_size=3, max_size=9, unique=True).filter(
    lambda ring: not are_flat(Shapes.of_rings([ring])).any()
)
names = st.text(st.characters(exclude_characters=" \t\r\n;,|\0\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=9)


@st.composite
def truth_sets(draw, kind):
    truths = {}
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        shapes = draw(st.lists(boxes if kind == "boxes" else rings, min_size=1, max_size=4))
        made = Shapes.of_boxes(shapes) if kind == "boxes" else Shapes.of_rings(shapes)
        labels = draw(st.lists(st.sampled_from(sorted(SUBSTRATES)), min_size=len(made), max_size=len(made)))
        numbers = draw(st.lists(st.integers(0, 999), min_size=len(made), max_size=len(made)))
        truths[name] = Truth(name, 4032, 3024, made, np.array(labels), np.array(numbers))
    return TruthSet(truths, kind)


def assert_same(read, written):
    assert list(read.truths) == list(written.truths)
    for name, truth in read.truths.items():
        other = written.truths[name]
        assert np.array_equal(truth.shapes.points, other.shapes.points)
        assert np.array_equal(truth.shapes.offsets, other.shapes.offsets)
        assert np.array_equal(truth.labels, other.labels)
        assert np.array_equal(truth.numbers, other.numbers)


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_round_trip(tmp_path_factory, task):
    path = tmp_path_factory.mktemp("truth") / "annotations.txt"

    @given(truth_sets("boxes" if task == BOXES else "polygons"))
    def check(written):
        write_truth(path, written)
        findings = Findings()
        assert_same(read_truth(path, task, findings), written)
        assert findings.error_count == 0

    check()


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_whatever_the_file_holds_is_findings(tmp_path_factory, task):
    path = tmp_path_factory.mktemp("truth") / "annotations.txt"
    words = st.sampled_from(
        ["a", "0", "c_sponge", "1", "-5", "9" * 400, "x", "", " ", "\t", "\n", ";", "\0", "\u2028", "é", "1e5"]
    )

    @given(st.one_of(st.binary(max_size=200), st.lists(words, max_size=40).map(lambda parts: " ".join(parts).encode())))
    def check(content):
        path.write_bytes(content)
        findings = Findings()
        truth_set = read_truth(path, task, findings)
        for truth in truth_set.truths.values():
            assert len(truth.shapes) == len(truth.labels) == len(truth.numbers)
        assert all(line.isprintable() for line in findings.lines())

    check()


def test_lone_surrogates_of_bad_utf8(read):
    findings = read(b"\xed\xa0\x80 0 c_sponge 1 1 1 3 3\n")[1]
    assert findings.error_count == 1
