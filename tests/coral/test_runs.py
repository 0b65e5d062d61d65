"""The coral run format: a planted fault for every code, what the writer mends, round trips and hostile files."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.coral import runs
from baselines.coral.records import Prediction, truths_of_ids
from baselines.coral.runs import CODES, example_run, read_run, write_run
from baselines.coral.shapes import NO_SHAPES, Budget, Shapes, are_flat, are_repeated, have_repeats
from baselines.coral.task import MAX_DETECTIONS, MAX_POINTS, SUBSTRATES
from baselines.core import files
from baselines.core.findings import Findings, InvalidInput

BOXES, POLYGONS = "coral-annotation", "coral-parsing"
TRUTHS = {task: truths_of_ids(["a", "b"], task) for task in (BOXES, POLYGONS)}
BOX, RING = "c_sponge 0.5:20x10+30+40", "c_sponge 0.5:10+10+30+20+20+40"


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, task=BOXES, truth_set=None, **options):
        path = tmp_path / "run.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_run(path, truth_set or TRUTHS[task], findings, **options), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value) for finding in findings]


class TestReading:
    def test_boxes(self, read):
        line = "2018_0712_073328_036;c_soft_coral 0.738213:1660x1487+70+434,0.810019:1668x1701+129+295\n"
        predictions, findings = read(line, truth_set=truths_of_ids(["2018_0712_073328_036"], BOXES))
        (prediction,) = predictions.values()
        assert prediction.shapes.boxes().tolist() == [[70, 434, 1730, 1921], [129, 295, 1797, 1996]]
        assert prediction.labels.tolist() == [10, 10]
        assert prediction.scores.tolist() == [0.738213, 0.810019]
        assert len(findings) == 0

    def test_a_run_of_an_organiser(self, read):
        line = (
            "2018_0714_112604_057;c_hard_coral_branching 0.6:1757+833+1645+705+1559+598+1442+540+1249+593+1121+679+1020+705+998"
            "+844+891+967+966+1122+1137+1143+1324+1122+1468+1074+1655+978;c_soft_coral 0.7:2804+1368+2745+1368+2724+1427+2729"
            "+1507+2809+1507+2825+1453,0.3:2697+1576+2638+1592+2638+1608+2622+1667+2654+1694+2713+1731+2777+1731+2777+1635\n"
        )
        predictions, findings = read(line, truth_set=truths_of_ids(["2018_0714_112604_057"], POLYGONS))
        (prediction,) = predictions.values()
        assert prediction.shapes.counts.tolist() == [14, 6, 8]
        assert prediction.shapes[1].ravel().tolist() == [2804, 1368, 2745, 1368, 2724, 1427, 2729, 1507, 2809, 1507, 2825, 1453]
        assert prediction.labels.tolist() == [4, 10, 10]
        assert prediction.scores.tolist() == [0.6, 0.7, 0.3]
        assert len(findings) == 0

    def test_signs_and_exponents_of_confidences(self, read):
        detections = "+5e-1:0+0+9+0+0+9,2.5E+2:0+0+8+0+0+8,-.5:0+0+7+0+0+7,1.:0+0+6+0+0+6"
        predictions, findings = read(f"b;{RING}\na;c_sponge {detections}\n", POLYGONS)
        assert predictions["a"].scores.tolist() == [0.5, 250, -0.5, 1]
        assert [ring[1].tolist() for ring in predictions["a"].shapes] == [[9, 0], [8, 0], [7, 0], [6, 0]]
        assert set(said(findings)) == {("RUN-CONFIDENCE", "warning")}

    def test_the_edges_of_the_image(self, read):
        assert said(read(f"b;{BOX}\na;c_sponge 1:4032x3024+0+0\n")[1]) == []
        assert said(read(f"b;{RING}\na;c_sponge 1:0+0+4031+0+0+3023\n", POLYGONS)[1]) == []
        assert said(read(f"b;{RING}\na;c_sponge 1:0+0+4032+0+0+3023\n", POLYGONS)[1]) == [("RUN-OUT-OF-IMAGE", "error")]

    def test_what_is_in_order_is_returned_beside_errors(self, read):
        blocks = "c_sponge 1:1x1+0+0,x:1x1+0+0,0.5:0x1+0+0,0.25:2x2+1+1;sponge 1:1x1+0+0;c_soft_coral 1:9x9+5000+0"
        predictions = read(f"a;{blocks}\n")[0]
        assert predictions["a"].scores.tolist() == [1, 0.25]
        assert predictions["a"].shapes.boxes().tolist() == [[0, 0, 1, 1], [1, 1, 3, 3]]

    def test_bow_ties_are_allowed(self, read):
        found = said(read(f"b;{RING}\na;c_sponge 1:10+10+40+40+40+10+10+40\n", POLYGONS)[1])
        assert found == [("RUN-SELF-INTERSECTION", "warning")]

    def test_missing_images_may_be_allowed(self, read):
        assert said(read(f"a;{BOX}\n")[1]) == [("RUN-MISSING-ID", "error")]
        assert said(read(f"a;{BOX}\n", allow_missing=True)[1]) == [("RUN-MISSING-ID", "warning")]
        assert said(read(f"a;{BOX}\nb\n")[1]) == [("RUN-NO-DETECTION", "error")]
        predictions, findings = read(f"a;{BOX}\nb\n", allow_missing=True)
        assert said(findings) == [("RUN-NO-DETECTION", "warning")]
        assert len(predictions["b"].shapes) == 0


def one(code, *lines, task=BOXES, severity="error", alone=True):
    """Cases: a code, and lines of image a that have it."""
    other = BOX if task == BOXES else RING
    return [
        pytest.param(code, severity, f"b;{other}\n{line}\n", task, alone, id=f"{code}-{task}-{index}")
        for index, line in enumerate(lines)
    ]


def whole(code, *contents, severity="error", alone=True):
    return [pytest.param(code, severity, content, BOXES, alone, id=f"{code}-{index}") for index, content in enumerate(contents)]


GOOD = f"a;{BOX}\nb;{BOX}\n"
CIRCLE = "+".join(f"{x}+{y}" for x, y in zip(range(501), [*range(0, 502, 2), *range(501, 1, -2)], strict=False))
ZIGZAGS = [
    "+".join(f"{8 * tooth + start}+0+{8 * tooth + start + 4}+3000" for tooth in range(250)) for start in range(4)
]  # each crosses 1.5 million rows
PLANTED = [
    *whole("RUN-FILE-EMPTY", ""),
    *one("RUN-TOO-LARGE", "a;c_sponge " + ",".join(f"1:{ring}" for ring in ZIGZAGS), task=POLYGONS, alone=False),
    *whole("RUN-ENCODING", GOOD.encode("utf-16"), GOOD.encode() + b"\xff", b"PK\3\4\0", alone=False),
    *whole("RUN-BOM", b"\xef\xbb\xbf" + GOOD.encode()),
    *whole("RUN-CRLF", GOOD.replace("\n", "\r\n"), severity="warning"),
    *whole("RUN-NO-FINAL-NEWLINE", GOOD[:-1]),
    *whole("RUN-BLANK-LINE", GOOD + "\n", "\n" + GOOD, GOOD.replace("\n", "\n \n")),
    *whole("RUN-MISSING-ID", f"a;{BOX}\n"),
    *whole("RUN-DUPLICATE-ID", GOOD + f"a;{BOX}\n"),
    *whole("RUN-UNKNOWN-ID", *(GOOD + f"{name};{BOX}\n" for name in ("c", "A", "a.JPG", " a", "images/a.jpg", ""))),
    *one("RUN-NO-DETECTION", "a"),
    *one("RUN-TRAILING-SEPARATOR", "a;", f"a;{BOX};", f"a;;{BOX}", f"a;{BOX},", f"a;{BOX},,1:1x1+0+0", f"a;{BOX};;"),
    *one("RUN-BLOCK", "a;" + ";".join(["c_sponge 1:1x1+0+0"] * 27), alone=False),
    *one("RUN-BLOCK", "a;c_sponge", f"a; {BOX}", f"a;{BOX} ", "a;c_sponge  1:1x1+0+0", "a;c_sponge 1:1x1+0+0 1:2x2+0+0"),
    *one("RUN-UNKNOWN-CLASS", "a;sponge 1:1x1+0+0", "a;C_SPONGE 1:1x1+0+0", "a;c_sponge\t 1:1x1+0+0", "a;0 1:1x1+0+0"),
    *one("RUN-DUPLICATE-CLASS", f"a;{BOX};c_soft_coral 1:1x1+0+0;{BOX}"),
    *one("RUN-NO-CONFIDENCE", "a;c_sponge 1x1+0+0"),
    *one("RUN-NO-CONFIDENCE", "a;c_sponge 0+0+9+0+0+9", task=POLYGONS),
    *one(
        "RUN-CONFIDENCE", *(f"a;c_sponge {score}:1x1+0+0" for score in ("", "nan", "inf", "x", "1_0", "1e999", "٣", "9" * 500))
    ),
    *one(
        "RUN-CONFIDENCE", *(f"a;c_sponge {score}:1x1+0+0" for score in ("1.5", "-1", "0.1234567", "1e-3")), severity="warning"
    ),
    *one("RUN-GEOMETRY", *(f"a;c_sponge 1:{box}" for box in ("1x1+1", "1x1+1+1+1", "axb+c+d", "1x1+1e1+1", "1x1++1", "x", ""))),
    *one(
        "RUN-GEOMETRY",
        f"a;c_sponge 1:{'9' * 10}x1+1+1",
        "a;c_sponge 1:1x1+1+١",
        "a;c_sponge 1:0+0+9+0+0+9",
        "a;c_sponge 1:1:1x1+1+1",
    ),
    *one(
        "RUN-GEOMETRY",
        *(f"a;c_sponge 1:{ring}" for ring in ("1x1+1+1", "0+0+9+0+0", "0+0+9+0++9", "0+0+9+0+0+9+", "0+0+9+0+0+a", "0-0", "")),
        task=POLYGONS,
    ),
    *one("RUN-NOT-INTEGER", "a;c_sponge 1:1.5x1+0+0", "a;c_sponge 1:1x1+0+.0", "a;c_sponge 1:1x1+0+1."),
    *one("RUN-NOT-INTEGER", "a;c_sponge 1:0+0+9.5+0+0+9", task=POLYGONS),
    *one("RUN-ZERO-SIZE", "a;c_sponge 1:0x1+0+0", "a;c_sponge 1:1x-1+5+5"),
    *one("RUN-ZERO-SIZE", "a;c_sponge 1:5+5", "a;c_sponge 1:5+5+9+9", "a;c_sponge 1:5+5+7+7+9+9", task=POLYGONS),
    *one("RUN-ZERO-SIZE", "a;c_sponge 1:5+5+5+5+9+9+5+5", task=POLYGONS),
    *one(
        "RUN-OUT-OF-IMAGE",
        "a;c_sponge 1:2x2+-1+0",
        "a;c_sponge 1:2x2+4031+0",
        "a;c_sponge 1:2x2+0+3023",
        "a;c_sponge 1:1x1+0+999999999",
    ),
    *one("RUN-OUT-OF-IMAGE", "a;c_sponge 1:-1+0+9+0+0+9", "a;c_sponge 1:0+0+9+0+0+3024", task=POLYGONS),
    *one(
        "RUN-REPEATED-POINT",
        *(f"a;c_sponge 1:{ring}" for ring in ("0+0+9+0+9+0+0+9", "0+0+9+0+0+9+0+0")),
        task=POLYGONS,
        severity="warning",
    ),
    *one("RUN-REPEATED-POINT", "a;c_sponge 1:0+0+9+0+15+0+9+0+0+9", task=POLYGONS, severity="warning", alone=False),
    *one("RUN-TOO-MANY-POINTS", f"a;c_sponge 1:{CIRCLE}", task=POLYGONS),
    *one("RUN-SELF-INTERSECTION", "a;c_sponge 1:0+0+9+9+9+0+0+9", task=POLYGONS, severity="warning"),
    *one("RUN-DUPLICATE-DETECTION", f"a;{BOX},0.25:20x10+30+40", "a;c_sponge 1:1x1+0+0,1:01x1+0+0", severity="warning"),
    *one("RUN-DUPLICATE-DETECTION", f"a;{RING},0.25:10+10+30+20+20+40", task=POLYGONS, severity="warning"),
    *one("RUN-MANY-DETECTIONS", "a;c_sponge " + ",".join(f"1:1x1+{index}+0" for index in range(301)), severity="warning"),
]


@pytest.mark.parametrize(("code", "severity", "content", "task", "alone"), PLANTED)
def test_planted_fault(read, code, severity, content, task, alone):
    findings = read(content, task)[1]
    assert (code, severity) in said(findings)
    if alone:
        assert {found for found, _ in said(findings)} <= {code}
    for finding in findings:
        assert str(finding).isprintable()
        if finding.code == code:
            assert finding.hint
            assert finding.line or code in {"RUN-FILE-EMPTY", "RUN-NO-FINAL-NEWLINE", "RUN-CRLF", "RUN-MISSING-ID"}


def test_every_code_is_planted_and_described():
    planted = {case.values[0] for case in PLANTED}
    elsewhere = {"RUN-FILE-MISSING", "RUN-FILE-UNREADABLE", "RUN-TOO-MANY-ERRORS"}
    assert planted | elsewhere == CODES.keys()
    for case in PLANTED:
        code, severity, *_ = case.values
        assert severity == CODES[code].severity or code == "RUN-CONFIDENCE"
    assert all(code.meaning and code.example for code in CODES.values())


def test_no_such_file_and_no_file(tmp_path):
    for path, code in ((tmp_path / "no", "RUN-FILE-MISSING"), (tmp_path, "RUN-FILE-UNREADABLE")):
        findings = Findings()
        assert read_run(path, TRUTHS[BOXES], findings) == {}
        assert said(findings) == [(code, "error")]


def test_all_faults_at_once_each_with_its_line(read):
    lines = [
        "a;sponge 1:1x1+0+0;c_soft_coral 1:0x1+0+0,x:1x1+0+0,1x1+0+0,1:1.5x1+0+0,1:1x1+9999+0;",
        "a;c_sponge 1:1x1+0+0",
        "",
        "c.JPG;c_sponge 1:1x1+0+0",
    ]
    findings = read("\n".join(lines) + "\n")[1]
    assert sorted((finding.line or 0, finding.code.removeprefix("RUN-")) for finding in findings) == [
        (0, "MISSING-ID"),
        *((1, code) for code in ("CONFIDENCE", "NO-CONFIDENCE", "NOT-INTEGER", "OUT-OF-IMAGE", "TRAILING-SEPARATOR")),
        *((1, code) for code in ("UNKNOWN-CLASS", "ZERO-SIZE")),
        (2, "DUPLICATE-ID"),
        (3, "BLANK-LINE"),
        (4, "UNKNOWN-ID"),
    ]


@pytest.mark.parametrize(
    ("line", "task", "message"),
    [
        ("a;sponge 1:1x1+0+0", BOXES, "RUN-UNKNOWN-CLASS a: there is no such substrate (saw sponge; did you mean c_sponge?)"),
        (
            "a;c_sponge 1:30x10+4010+5",
            BOXES,
            (
                "RUN-OUT-OF-IMAGE a: the box or ring leaves the image (saw 1:30x10+4010+5; "
                "it spans x 4010 to 4040 and y 5 to 15; allowed are 0 to 4032 and 0 to 3024)"
            ),
        ),
        (
            "a;c_sponge 1:1.5x1+0+0",
            BOXES,
            "RUN-NOT-INTEGER a: a coordinate has decimals (saw 1:1.5x1+0+0; round to whole pixels)",
        ),
        (
            "a;c_sponge 1:0+0+9+0+0+9",
            BOXES,
            (
                "RUN-GEOMETRY a: a polygon where a box is due (saw 1:0+0+9+0+0+9; "
                "write confidence:WIDTHxHEIGHT+XMIN+YMIN in whole pixels)"
            ),
        ),
        (
            "a;c_sponge 1:9x9+0+0",
            POLYGONS,
            (
                "RUN-GEOMETRY a: a box where a polygon is due (saw 1:9x9+0+0; "
                "write confidence:x1+y1+x2+y2+x3+y3 and so on in whole pixels)"
            ),
        ),
        (
            "a",
            BOXES,
            "RUN-NO-DETECTION a: an image without any detection (add the best detection there is, whatever its confidence)",
        ),
        (
            f"a;{BOX},0.25:20x10+30+40",
            BOXES,
            (
                "RUN-DUPLICATE-DETECTION warning: a: the same substrate and geometry as another (saw 0.25:20x10+30+40; "
                "write it once: the second one counts as wrong, and in the pixel score the two cancel)"
            ),
        ),
        (
            "a;c_sponge 2:1x1+0+0,3:2x2+0+0",
            BOXES,
            "RUN-CONFIDENCE warning: a: 2 detections: a confidence outside 0 to 1 (saw 2:1x1+0+0; only their order counts)",
        ),
    ],
)
def test_messages_say_what_is_wrong_and_what_to_do(read, line, task, message):
    other = BOX if task == BOXES else RING
    (finding,) = read(f"b;{other}\n{line}\n", task)[1]
    assert str(finding).endswith(f"run.txt:2: {message}")


@pytest.mark.parametrize("name", ["a.JPG", "A", "images/a.jpg"])
def test_nearly_right_ids_get_a_hint(read, name):
    findings = read(GOOD + f"{name};{BOX}\n")[1]
    assert "did you mean a?" in next(iter(findings)).hint


def test_missing_images_are_counted_and_some_are_named(read):
    finding = next(iter(read(GOOD, truth_set=truths_of_ids(["a", "b", *map(str, range(50))], BOXES))[1]))
    assert finding.message.startswith("50 of 52 images have no line: 0, 1, 2")


# --------------------------------------------------------------------------------------------------------- hostile files


@pytest.mark.parametrize(
    "content",
    [
        "a" + ";" * 50 + "\n",
        "a;c_sponge " + "," * 50 + "\n",
        "a;c_sponge " + ",".join(["1:0x1+0+0"] * 50) + "\n",
        "a;c_sponge " + ",".join(["1:9x9+5000+0"] * 50) + "\n",
        "a;c_sponge 1:1x1+0+0\n" * 50,
        "z;c_sponge 1:1x1+0+0\n" * 50,
    ],
)
def test_errors_are_bounded(read, monkeypatch, content):
    monkeypatch.setattr(files, "MAX_ERRORS", 5)
    findings = read(content)[1]
    assert findings.error_count <= 8
    assert findings.counts["RUN-TOO-MANY-ERRORS"] == 1


HOSTILE = {
    "boxes": (BOXES, ",".join(["1:1x1+0+0"] * 100_000)),
    "rings": (POLYGONS, ",".join(["1:0+0+9+0+0+9"] * 60_000)),
    "bad boxes": (BOXES, ",".join(["1:1x1+0+a"] * 100_000)),
    "long ring": (POLYGONS, "1:" + "+".join(["1+2"] * 200_000)),
    "star": (POLYGONS, ",".join(["1:" + "+".join(map(str, np.random.default_rng(0).integers(0, 3000, 1000)))] * 100)),
    "number": (BOXES, "1:" + "9" * 1_000_000 + "x1+0+0"),
    "confidence": (BOXES, "9" * 1_000_000 + ":1x1+0+0"),
    "signs": (POLYGONS, "1:" + "+" * 1_000_000),
    "decimals": (POLYGONS, "1:" + "+".join(["." * 3] * 200_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_megabyte_takes_little_time(read, name):
    task, detections = HOSTILE[name]
    started = time.process_time()
    findings = read(f"a;c_sponge {detections}\n", task, allow_missing=True)[1]
    assert time.process_time() - started < 5  # alone, a tenth of that
    assert len(findings) > 0
    assert all(len(line) < 1000 for line in findings.lines())


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_a_run_that_would_take_minutes_to_fill_is_refused_with_the_numbers(read, monkeypatch, task):
    monkeypatch.setattr(Budget, "FILE", 60)
    triangle, box = "c_sponge 1:0+0+9+0+0+9", "c_sponge 1:4x9+0+0"
    line = triangle if task == POLYGONS else box
    rows = 21 if task == POLYGONS else 22
    truth_set = truths_of_ids("abcde", task)
    predictions, findings = read("".join(f"{name};{line}\n" for name in "abcde"), task, truth_set)
    (finding,) = findings
    assert (finding.code, finding.line, finding.id) == ("RUN-TOO-LARGE", 3, "c")
    assert f"{3 * rows} rows of pixels, more than 60" in finding.message
    assert list(predictions) == ["a", "b", "c"]  # nobody reads on
    monkeypatch.setattr(Budget, "IMAGE", 20)
    (finding,) = read(f"b;{line}\na;{line}\n", task)[1]
    assert (finding.line, f"{rows} rows of pixels, more than 20" in finding.message) == (1, True)


def test_rings_beyond_the_budget_count_as_sound(read, monkeypatch):
    monkeypatch.setattr(runs, "MAX_PAIRS", 0)
    assert said(read(f"b;{RING}\na;c_sponge 1:0+0+9+9+9+0+0+9\n", POLYGONS)[1]) == []


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_whatever_the_file_holds_is_findings(tmp_path_factory, task):
    path = tmp_path_factory.mktemp("run") / "run.txt"
    parts = [
        "a",
        "b",
        "c_sponge",
        "c_soft_coral",
        *(";: ,+x\n\r\t\0"),
        "1",
        "0.5",
        "-5",
        "9" * 700,
        "1e5",
        "é",
        "\u2028",
        BOX,
        RING,
    ]
    text = st.lists(st.sampled_from(parts), max_size=40).map("".join).map(str.encode)

    @given(st.one_of(st.binary(max_size=200), text))
    def check(content):
        path.write_bytes(content)
        findings = Findings()
        for prediction in read_run(path, TRUTHS[task], findings).values():
            assert len(prediction.shapes) == len(prediction.labels) == len(prediction.scores)
            assert np.isfinite(prediction.scores).all()
            assert prediction.shapes.points.dtype == np.int32
        assert {finding.code for finding in findings} <= CODES.keys()
        assert all(line.isprintable() for line in findings.lines())

    check()


# --------------------------------------------------------------------------------------------------------------- writing


def prediction(name, *detections, task=BOXES):
    shapes = [shape for shape, _, _ in detections]
    made = Shapes.of_boxes(np.array(shapes).reshape(-1, 4)) if task == BOXES else Shapes.of_rings(shapes)
    return Prediction(
        name,
        made,
        np.array([label for _, label, _ in detections], int),
        np.array([score for _, _, score in detections], float),
    )


@pytest.fixture
def write(tmp_path):
    def write_and_check(predictions, task=BOXES, **options):
        path = tmp_path / "written" / "run.txt"
        write_run(path, predictions, TRUTHS[task], **options)
        findings = Findings()
        read = read_run(path, TRUTHS[task], findings, allow_missing=not options.get("one_each", True))
        assert findings.error_count == 0
        return path.read_text().splitlines(), read

    return write_and_check


TRIANGLE = [(0, 0), (9, 0), (0, 9)]


class TestWriting:
    def test_images_substrates_and_detections_are_in_order(self, write):
        lines, _ = write(
            [
                prediction("b", ([0, 0, 5, 5], 1, 0.5)),
                prediction("a", ([0, 0, 5, 5], 12, 0.25), ([0, 0, 6, 6], 10, 0.5), ([0, 0, 7, 7], 12, 0.75)),
            ]
        )
        assert lines == [
            "a;c_soft_coral 0.5:6x6+0+0;c_sponge 0.75:7x7+0+0,0.25:5x5+0+0",
            "b;c_algae_macro_or_leaves 0.5:5x5+0+0",
        ]

    def test_boxes_are_rounded_and_clipped_and_left_out_if_nothing_remains(self, write):
        found = ([-5.4, 1.4, 5000, 9.6], 1, 0.5), ([5, 5, 5.4, 9], 1, 0.4), ([5000, 0, 6000, 9], 1, 0.3)
        assert write([prediction("a", *found)])[0][0] == "a;c_algae_macro_or_leaves 0.5:4032x9+0+1"

    def test_rings_are_rounded_and_clipped(self, write):
        ring = [(-3.2, 0), (5000.0, 0.4), (5000, 4000)]
        line = write([prediction("a", (ring, 1, 0.5), task=POLYGONS)], POLYGONS)[0][0]
        assert line == "a;c_algae_macro_or_leaves 0.5:0+0+4031+0+4031+3023"

    def test_rings_lose_repeated_points_and_ways_back(self, write):
        ring = [(0, 0), (9, 0), (9, 0.2), (20, 0), (9, 0), (0, 9), (0, 0)]
        line = write([prediction("a", (ring, 1, 0.5), task=POLYGONS)], POLYGONS)[0][0]
        numbers = list(map(int, line.partition(":")[2].split("+")))
        assert set(zip(numbers[::2], numbers[1::2], strict=True)) == set(TRIANGLE)
        assert len(numbers) == 6

    def test_flat_rings_are_left_out(self, write):
        found = ([(0, 0), (5, 5), (9, 9)], 1, 0.9), ([(3, 3)], 1, 0.8), (TRIANGLE, 1, 0.5)
        assert write([prediction("a", *found, task=POLYGONS)], POLYGONS)[0][0] == "a;c_algae_macro_or_leaves 0.5:0+0+9+0+0+9"

    def test_long_rings_are_shortened(self, write):
        angles = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
        ring = 1500 + 1000 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        (short,) = write([prediction("a", (ring, 1, 0.5), task=POLYGONS)], POLYGONS)[1]["a"].shapes
        assert 100 < len(short) <= MAX_POINTS

    def test_confidences_have_six_digits_and_no_exponent(self, write):
        found = [([0, 0, index + 1, 5], 1, score) for index, score in enumerate((1.0, 1 / 3, 1e-9))]
        line = write([prediction("a", *found)])[0][0]
        assert line == "a;c_algae_macro_or_leaves 1:1x5+0+0,0.333333:2x5+0+0,0:3x5+0+0"

    def test_copies_and_all_but_the_best_300_are_left_out(self, write):
        found = [([0, 0, index + 1, 5], 1, index / 1000) for index in range(400)] + [([0, 0, 400, 5], 1, 0.9)]
        scores = write([prediction("a", *found)])[1]["a"].scores
        assert len(scores) == MAX_DETECTIONS - 1  # the best 300, of which one was a copy
        assert scores[0] == 0.9

    def test_below_the_threshold_the_best_one_stays(self, write):
        found = [prediction("a", ([0, 0, 5, 5], 1, 0.1), ([0, 0, 6, 6], 1, 0.2)), prediction("b", ([0, 0, 7, 7], 2, 0.6))]
        assert write(found, least_score=0.5)[0] == [
            "a;c_algae_macro_or_leaves 0.2:6x6+0+0",
            "b;c_fire_coral_millepora 0.6:7x7+0+0",
        ]
        assert write(found, least_score=0.5, one_each=False)[0][0] == "a"

    def test_images_without_anything_get_the_least_there_is(self, write):
        some = [prediction("a", ([0, 0, 5, 5], 4, 0.5))]
        assert write(some)[0][1] == "b;c_hard_coral_branching 0:1x1+0+0"
        assert write([])[0] == ["a;c_algae_macro_or_leaves 0:1x1+0+0", "b;c_algae_macro_or_leaves 0:1x1+0+0"]
        assert write([], POLYGONS)[0][0] == "a;c_algae_macro_or_leaves 0:0+0+1+0+0+1"
        assert write([], one_each=False)[0] == ["a", "b"]
        assert write([prediction("a")], one_each=False)[0] == ["a", "b"]

    @pytest.mark.parametrize(
        ("found", "code"),
        [
            (prediction("c", ([0, 0, 5, 5], 1, 0.5)), "RUN-UNKNOWN-ID"),
            (prediction("a", ([0, 0, np.nan, 5], 1, 0.5)), "RUN-GEOMETRY"),
            (prediction("a", ([0, 0, np.inf, 5], 1, 0.5)), "RUN-GEOMETRY"),
            (prediction("a", ([0, 0, 5, 5], 1, np.nan)), "RUN-CONFIDENCE"),
            (prediction("a", ([0, 0, 5, 5], 1, 1.5)), "RUN-CONFIDENCE"),
            (prediction("a", ([0, 0, 5, 5], 14, 0.5)), "RUN-UNKNOWN-CLASS"),
        ],
    )
    def test_what_cannot_be_written(self, tmp_path, found, code):
        with pytest.raises(InvalidInput, match=code):
            write_run(tmp_path / "run.txt", [found], TRUTHS[BOXES])
        assert list(tmp_path.iterdir()) == []

    def test_two_predictions_of_an_image(self, tmp_path):
        with pytest.raises(InvalidInput, match="RUN-DUPLICATE-ID"):
            write_run(tmp_path / "run.txt", [prediction("a"), prediction("a")], TRUTHS[BOXES])

    def test_names_that_a_line_cannot_hold(self, tmp_path):
        with pytest.raises(InvalidInput, match="RUN-BLOCK"):
            write_run(tmp_path / "run.txt", [], truths_of_ids(["a;b"], BOXES))

    def test_parts_that_differ_in_number(self, tmp_path):
        wrong = Prediction("a", NO_SHAPES, np.array([1]), np.zeros(0))
        with pytest.raises(ValueError, match="differ in number"):
            write_run(tmp_path / "run.txt", [wrong], TRUTHS[BOXES])


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_examples_are_valid(read, task):
    for truth_set in (TRUTHS[task], truths_of_ids(["2018_0712_073641_101"], task)):
        assert said(read(example_run(truth_set), task, truth_set)[1]) == []


floats = st.floats(-100, 5000, width=32)
labels, scores = st.sampled_from(sorted(SUBSTRATES)), st.floats(0, 1)
any_box = st.tuples(floats, floats, floats, floats)
any_ring = st.lists(st.tuples(floats, floats), min_size=1, max_size=9)


@pytest.mark.parametrize("task", [BOXES, POLYGONS])
def test_what_is_written_is_valid_and_written_again_the_same(tmp_path_factory, task):
    first, second = (tmp_path_factory.mktemp("run") / name for name in ("first", "second"))
    detection = st.tuples(any_box if task == BOXES else any_ring, labels, scores)

    @given(st.lists(detection, max_size=6), st.lists(detection, max_size=6))
    def check(one, other):
        write_run(first, [prediction("a", *one, task=task), prediction("b", *other, task=task)], TRUTHS[task])
        findings = Findings()
        read = read_run(first, TRUTHS[task], findings)
        assert set(said(findings)) <= {("RUN-SELF-INTERSECTION", "warning")}
        for found in read.values():
            assert not have_repeats(found.shapes).any()
            assert not are_flat(found.shapes).any()
            assert not are_repeated(found.shapes, found.labels).any()
        write_run(second, read.values(), TRUTHS[task])
        assert second.read_bytes() == first.read_bytes()

    check()
