"""The run formats of drawnUI: a planted fault for every code, round trips, garbage, and runs against ids alone."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core import files
from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.drawnui import records, runs
from baselines.drawnui.records import Prediction, Truth, TruthSet
from baselines.drawnui.runs import CODES, example_run, read_run, write_run
from baselines.drawnui.task import MAX_DETECTIONS, WIREFRAME_CLASSES


def truths_of(sizes, classes=WIREFRAME_CLASSES):
    empty = np.zeros((0, 4)), np.zeros(0, dtype=np.int64)
    return TruthSet({name: Truth(name, *size, *empty) for name, size in sizes.items()}, classes)


TRUTHS = truths_of({"a.jpg": (200, 100), "b.jpg": (300, 400)})
IDS_ONLY = truths_of({"a.jpg": (0, 0), "b.jpg": (0, 0)}, {})


def annotation(box=(0.1, 0.2, 0.3, 0.4), label=16, name="button", score=0.5, **more):
    return {"box": list(box), "detectionClass": label, "detectionString": name, "score": score} | more


def record(file="a.jpg", width=200, height=100, annotations=None, **more):
    boxes = [annotation()] if annotations is None else annotations
    return {"file": file, "width": width, "height": height, "annotations": boxes} | more


OTHER = record("b.jpg", 300, 400)
EMPTY = record("b.jpg", 300, 400, [])


def without(mapping, key):
    return {name: value for name, value in mapping.items() if name != key}


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, truth_set=TRUTHS, run_format="2021"):
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path = tmp_path / "run"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_run(path, truth_set, findings, run_format), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value) for finding in findings]


class TestReading:
    def test_boxes_are_pixels_of_the_image(self, read):
        predictions, findings = read([record(), OTHER])
        prediction = predictions["a.jpg"]
        np.testing.assert_allclose(prediction.boxes, [[40, 10, 120, 40]])
        assert prediction.boxes.dtype == np.float64
        assert prediction.labels.tolist() == [16]
        assert prediction.scores.tolist() == [0.5]
        assert len(findings) == 0

    def test_the_order_of_the_file_is_kept(self, read):
        boxes = [annotation(label=label, name=WIREFRAME_CLASSES[label], score=0.5) for label in (3, 1, 2)]
        assert read([OTHER, record(annotations=boxes)])[0]["a.jpg"].labels.tolist() == [3, 1, 2]
        assert list(read([OTHER, record()])[0]) == ["b.jpg", "a.jpg"]

    def test_noise_beyond_the_edge_is_allowed(self, read):
        assert len(read([record(annotations=[annotation((0.5, 0.5, 0.5 + 4e-6, 0.5 + 4e-6))]), OTHER])[1]) == 0

    def test_further_keys_are_allowed(self, read):
        assert len(read([record(annotations=[annotation(area=5)], team="x"), OTHER])[1]) == 0

    def test_all_known_wireframe_classes_are_allowed_where_the_truth_has_some(self, read):
        some = TruthSet(TRUTHS.truths, {12: "label"})
        assert len(read([record(), OTHER], some)[1]) == 0

    def test_other_classes_are_those_of_the_truth_alone(self, read):
        screenshots = TruthSet(TRUTHS.truths, {1: "button", 2: "text"})
        boxes = [annotation(label=1), annotation((0, 0, 1, 1), label=2, name="text")]
        assert len(read([record(annotations=boxes), record("b.jpg", 300, 400, [])], screenshots)[1]) == 0
        assert said(read([record(), OTHER], screenshots)[1])[0] == ("RUN-UNKNOWN-CLASS", "error")

    def test_detections_that_are_in_order_are_returned_beside_errors(self, read):
        boxes = [annotation((0, 0, 0, 1)), annotation(score=0.25), annotation(name="x"), annotation((9, 9, 9, 9)), 5]
        assert read([record(annotations=boxes)])[0]["a.jpg"].scores.tolist() == [0.25]

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "9" * 5000, "-" + "9" * 5000], ids=range(5))
    @pytest.mark.parametrize("place", ["0.125", '"score": 0.5', '"width": 200', '"detectionClass": 16'])
    def test_what_is_no_json_is_told_once(self, read, value, place):
        content = json.dumps([record(annotations=[annotation((0.125, 0.1, 0.2, 0.2), score=0.5)]), EMPTY])
        assert content.count(place) == 1
        key = place.rpartition(" ")[0]
        assert said(read(content.replace(place, f"{key} {value}"))[1]) == [("RUN-JSON", "error")]

    @pytest.mark.parametrize("value", ["1e308", "-1e308", "9" * 305])
    def test_a_number_that_is_finite_is_not_called_anything_else(self, read, value):
        content = json.dumps([record(annotations=[annotation(score=0.5)]), EMPTY])
        (finding,) = read(content.replace('"score": 0.5', f'"score": {value}'))[1]
        assert (finding.code, finding.message) == ("RUN-SCORE", "the score is a number beyond 1e+300")

    def test_an_unknown_format(self, tmp_path):
        with pytest.raises(UsageError, match="2021 and 2020"):
            read_run(tmp_path / "x", TRUTHS, Findings(), "2019")
        with pytest.raises(UsageError, match="2021 and 2020"):
            write_run(tmp_path / "x", [], TRUTHS, "coco")


LINES = "a.jpg;button 0.5:20x10+30+40,0.25:5x5+0+0;label 1:200x100+0+0\nb.jpg;link 1e-3:1x1+1+1\n"


class TestReading2020:
    def test_boxes(self, read):
        predictions, findings = read(LINES, run_format="2020")
        assert predictions["a.jpg"].boxes.tolist() == [[30, 40, 50, 50], [0, 0, 5, 5], [0, 0, 200, 100]]
        assert predictions["a.jpg"].labels.tolist() == [16, 16, 12]
        assert predictions["b.jpg"].scores.tolist() == [0.001]
        assert len(findings) == 0

    def test_image_without_detections(self, read):
        predictions, findings = read("a.jpg\n" + LINES.splitlines()[1] + "\n", run_format="2020")
        assert predictions["a.jpg"].boxes.shape == (0, 4)
        assert len(findings) == 0

    def test_a_real_run_of_2020(self, read):
        line = (
            "d40b5e1a014ef68b.jpg;paragraph 0.945055365562439:411x90+584+1546;header 0.74:477x79+575+536;"
            "button 1.0:141x68+326+1813,1.0:156x70+1153+1859;image 1.0:205x100+698+1060;"
            "container 0.9914913177490234:1186x1732+250+363\n"
        )
        predictions, findings = read(line, truths_of({"d40b5e1a014ef68b.jpg": (1512, 2160)}), "2020")
        prediction = predictions["d40b5e1a014ef68b.jpg"]
        assert prediction.boxes[0].tolist() == [584, 1546, 995, 1636]
        assert prediction.labels.tolist() == [1, 15, 16, 16, 17, 19]
        assert prediction.scores[-1] == 0.9914913177490234
        assert len(findings) == 0


def one(code, *contents, severity="error", alone=True):
    """Cases: a code, and contents that have it."""
    return [pytest.param(code, severity, content, alone, id=f"{code}-{index}") for index, content in enumerate(contents)]


def boxes(*annotations):
    return [record(annotations=list(annotations)), OTHER]


PLANTED = [
    *one("RUN-FILE-EMPTY", ""),
    *one("RUN-ENCODING", json.dumps([record(), OTHER]).encode("utf-16"), b"[\xe9]", b"PK\3\4\0", alone=False),
    *one("RUN-BOM", b"\xef\xbb\xbf" + json.dumps([record(), OTHER]).encode()),
    *one("RUN-JSON", "[", "[{]", '[{"file": "a.jpg",}]', json.dumps([record(), OTHER])[:-1], "[]]", "[" * 9999),
    *one("RUN-JSON", json.dumps(boxes(annotation(score=float("nan")))), alone=False),
    *one("RUN-JSON", json.dumps([record(), OTHER]).replace('"file"', '"file": 1, "file"')),
    *one("RUN-JSON", "[" + json.dumps(OTHER) + ',{"file": ' + "1" * 5000 + "}]", alone=False),
    *one("RUN-STRUCTURE", {"annotations": []}, "3"),
    *one("RUN-STRUCTURE", [record(), OTHER, None], [record(), OTHER, [1]], [record(), OTHER, "a.jpg"]),
    *one("RUN-STRUCTURE", *([without(record(), key), OTHER] for key in ("width", "height", "annotations"))),
    *one("RUN-STRUCTURE", *([record(), OTHER, other] for other in (without(record(), "file"), record(file=5)))),
    *one("RUN-STRUCTURE", *([record(**{key: value}), OTHER] for key in ("width", "height") for value in ("9", 0, 1.5, None))),
    *one("RUN-STRUCTURE", *([record() | {"annotations": value}, OTHER] for value in (None, {}, "x"))),
    *one("RUN-STRUCTURE", *(boxes(without(annotation(), key)) for key in annotation())),
    *one("RUN-STRUCTURE", boxes(annotation(label="16")), boxes(annotation(label=16.5)), boxes(annotation(label=True))),
    *one("RUN-STRUCTURE", boxes(annotation(label=2**80)), boxes(annotation(name=16)), boxes(None), boxes([])),
    *one("RUN-UNKNOWN-ID", *([record(), OTHER, record(name)] for name in ("c.jpg", "a.JPG", "a", "b/a.jpg", "../a.jpg", ""))),
    *one("RUN-DUPLICATE-ID", [record(), OTHER, record()]),
    *one("RUN-MISSING-ID", [record()], [], severity="warning"),
    *one("RUN-BOX", *(boxes(annotation(box)) for box in ((), (0.1,) * 3, (0.1,) * 5, ("0.1",) * 4, (True,) * 4, (None,) * 4))),
    *one("RUN-BOX", boxes(annotation() | {"box": 5}), boxes(annotation() | {"box": {}}), boxes(annotation((10**400, 0, 0, 0)))),
    *one("RUN-BOX", boxes(annotation((10**400, -(10**400), 0, 0))), json.dumps([record()]).replace("0.1", "1e999")),
    *one("RUN-BOX-ABSOLUTE", boxes(annotation((10, 20, 30, 40))), boxes(annotation((-10, 0.1, 0.1, 0.1)))),
    *one("RUN-BOX-ORDER", boxes(*[annotation((0.5, 0.6, 0.9, 0.8))] * 3), severity="warning", alone=False),
    *one("RUN-ZERO-SIZE", *(boxes(annotation((0.1, 0.1, *size))) for size in ((0, 0.1), (0.1, 0), (-0.1, 0.1)))),
    *one("RUN-OUT-OF-IMAGE", *(boxes(annotation(box)) for box in ((-0.1, 0.1, 0.3, 0.3), (0.9, 0.1, 0.2, 0.2)))),
    *one("RUN-OUT-OF-IMAGE", boxes(annotation((0.1, 0.5, 0.1, 0.500006)))),
    *one("RUN-UNKNOWN-CLASS", boxes(annotation(name="Button")), boxes(annotation(name="")), boxes(annotation(label=99))),
    *one("RUN-CLASS-MISMATCH", boxes(annotation(label=15)), boxes(annotation(label=3))),
    *one("RUN-CLASS-MISMATCH", boxes(annotation(label=0, name="paragraph"))),
    *one("RUN-SCORE", *(boxes(annotation(score=score)) for score in ("0.5", None, True, [], 10**400))),
    *one("RUN-SCORE", boxes(annotation(score=1.5)), boxes(annotation(score=-0.1)), severity="warning"),
    *one("RUN-SIZE-MISMATCH", [record(width=100), OTHER], severity="warning"),
    *one(
        "RUN-MANY-DETECTIONS",
        boxes(*(annotation((0, 0, 0.5, 0.5 + index / 1000)) for index in range(301))),
        severity="warning",
    ),
    *one("RUN-DUPLICATE-DETECTION", boxes(annotation(), annotation(score=0.25)), severity="warning"),
    *one("RUN-STRUCTURE", LINES),
]  # fmt: skip


def one_line(code, *lines, severity="error", alone=True):
    """Cases of 2020: a code, and lines that have it."""
    return one(code, *(f"b.jpg;link 1:1x1+1+1\n{line}\n" for line in lines), severity=severity, alone=alone)


PLANTED_2020 = [
    *one("RUN-STRUCTURE", [record(), OTHER], "{}"),
    *one("RUN-FILE-EMPTY", ""),
    *one("RUN-ENCODING", LINES.encode("utf-16"), LINES.encode() + b"\xff", alone=False),
    *one("RUN-BOM", b"\xef\xbb\xbf" + LINES.encode()),
    *one("RUN-CRLF", LINES.replace("\n", "\r\n"), severity="warning"),
    *one("RUN-NO-FINAL-NEWLINE", LINES[:-1], severity="info"),
    *one("RUN-BLANK-LINE", LINES + "\n", "\n" + LINES, LINES.replace("\n", "\n \n")),
    *one_line("RUN-TRAILING-SEPARATOR", "a.jpg;", "a.jpg;button 1:1x1+1+1;", "a.jpg;;button 1:1x1+1+1"),
    *one_line("RUN-TRAILING-SEPARATOR", "a.jpg;button 1:1x1+1+1,", "a.jpg;button 1:1x1+1+1,,1:2x2+2+2"),
    *one_line("RUN-BLOCK", "a.jpg;button", "a.jpg;button  1:1x1+1+1", "a.jpg; button 1:1x1+1+1", "a.jpg;a b 1:1x1+1+1"),
    *one_line("RUN-GEOMETRY", *(f"a.jpg;button 1:{box}" for box in ("1x1+1", "1x1+1+1+1", "1+1+1+1", "axb+c+d", "1x1+1e1+1"))),
    *one_line("RUN-GEOMETRY", f"a.jpg;button 1:{'9' * 10}x1+1+1", "a.jpg;button 1:1x1++1+1", "a.jpg;button 1:١x1+1+1"),
    *one_line("RUN-NOT-INTEGER", "a.jpg;button 1:1.5x1+1+1", "a.jpg;button 1:1x1+1+1.0"),
    *one_line("RUN-SCORE", *(f"a.jpg;button {score}:1x1+1+1" for score in ("", "nan", "inf", "x", "1_0", "1e999"))),
    *one_line("RUN-SCORE", "a.jpg;button 0,5:1x1+1+1", alone=False),
    *one_line("RUN-SCORE", "a.jpg;button 1x1+1+1"),
    *one_line("RUN-SCORE", "a.jpg;button 1.5:1x1+1+1", severity="warning"),
    *one_line("RUN-ZERO-SIZE", "a.jpg;button 1:0x1+1+1", "a.jpg;button 1:1x-1+1+5"),
    *one_line("RUN-OUT-OF-IMAGE", "a.jpg;button 1:200x1+1+1", "a.jpg;button 1:1x1+-1+1"),
    *one_line("RUN-UNKNOWN-CLASS", "a.jpg;Buton 1:1x1+1+1"),
    *one_line("RUN-UNKNOWN-ID", "c.jpg;button 1:1x1+1+1", "images/a.jpg;button 1:1x1+1+1", ";", alone=False),
    *one_line("RUN-DUPLICATE-ID", "a.jpg\nb.jpg;link 1:1x1+1+1"),
    *one_line("RUN-MISSING-ID", "b.jpg", severity="warning", alone=False),
    *one_line("RUN-DUPLICATE-DETECTION", "a.jpg;button 1:1x1+1+1,0.5:1x1+1+1", severity="warning"),
    *one_line(
        "RUN-MANY-DETECTIONS",
        "a.jpg;button " + ",".join(f"1:1x1+{index % 100}+{index // 100}" for index in range(301)),
        severity="warning",
    ),
]  # fmt: skip


def check_planted(read, code, severity, content, alone, run_format):
    findings = read(content, run_format=run_format)[1]
    assert (code, severity) in said(findings)
    if alone:
        assert {found for found, _ in said(findings)} - {"RUN-MISSING-ID"} <= {code}
    assert all(finding.hint for finding in findings if finding.code == code)
    assert all(str(finding).isprintable() for finding in findings)


@pytest.mark.parametrize(("code", "severity", "content", "alone"), PLANTED)
def test_planted_fault(read, code, severity, content, alone):
    check_planted(read, code, severity, content, alone, "2021")


@pytest.mark.parametrize(("code", "severity", "content", "alone"), PLANTED_2020)
def test_planted_fault_of_2020(read, code, severity, content, alone):
    check_planted(read, code, severity, content, alone, "2020")


@pytest.mark.parametrize("run_format", ["2021", "2020"])
def test_a_wrong_id_hides_nothing_else_of_its_image(read, run_format):
    bad = [annotation(name="Buton"), annotation((0.9, 0, 0.2, 1))]
    content = [record(), OTHER, record(annotations=bad), record("c.jpg", annotations=bad)]
    if run_format == "2020":
        bad_blocks = "Buton 1:1x1+1+1;button 1:0x1+1+1,1:10x1+195+1"
        content = f"a.jpg;button 1:1x1+1+1\nb.jpg\na.jpg;{bad_blocks}\nc.jpg;{bad_blocks}\n"
    predictions, findings = read(content, run_format=run_format)
    assert [len(predictions[name].boxes) for name in ("a.jpg", "b.jpg")] == [1, int(run_format == "2021")]
    codes = [finding.code for finding in findings if finding.id == "c.jpg"]
    assert set(codes) >= {"RUN-UNKNOWN-ID", "RUN-UNKNOWN-CLASS"}
    assert "RUN-OUT-OF-IMAGE" in {finding.code for finding in findings if finding.id == "a.jpg"}


@pytest.mark.parametrize("content", [b"PK\3\4\0;\0", "a.jpg;button 1:1x1+1+1\n".encode("utf-16-le")])
def test_a_binary_file_is_told_as_such(read, content):
    assert said(read(content)[1]) == [("RUN-ENCODING", "error")]


def test_no_such_file_and_no_file(tmp_path):
    for path, code in ((tmp_path / "no", "RUN-FILE-MISSING"), (tmp_path, "RUN-FILE-UNREADABLE")):
        findings = Findings()
        assert read_run(path, TRUTHS, findings) == {}
        assert said(findings) == [(code, "error")]


def test_bounds(read, monkeypatch):
    monkeypatch.setattr(files, "MAX_ERRORS", 5)
    findings = read([record(f"{index}.jpg") for index in range(20)])[1]
    assert findings.counts == {"RUN-UNKNOWN-ID": 5, "RUN-TOO-MANY-ERRORS": 1}
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    assert said(read([record()])[1]) == [("RUN-TOO-LARGE", "error")]


@pytest.mark.parametrize(
    ("content", "run_format"),
    [
        ([record(annotations=[5] * 20)], "2021"),
        ([record(annotations=[annotation((0, 0, 0, 1))] * 20)], "2021"),
        ("a.jpg" + ";" * 20 + "\n", "2020"),
        ("a.jpg;button " + "," * 20 + "\n", "2020"),
    ],
)
def test_errors_within_a_record_are_bounded_too(read, monkeypatch, content, run_format):
    monkeypatch.setattr(files, "MAX_ERRORS", 5)
    findings = read(content, run_format=run_format)[1]
    assert findings.counts["RUN-TOO-MANY-ERRORS"] == 1
    assert findings.error_count <= 6


def test_every_code_is_planted_and_described():
    planted = {case.values[0] for case in (*PLANTED, *PLANTED_2020)}
    elsewhere = {"RUN-FILE-MISSING", "RUN-FILE-UNREADABLE", "RUN-TOO-LARGE", "RUN-TOO-MANY-ERRORS", "RUN-UNCHECKED"}
    assert planted | elsewhere == CODES.keys()
    for case in (*PLANTED, *PLANTED_2020):
        code, severity, *_ = case.values
        assert severity == CODES[code][0] or code == "RUN-SCORE"


def test_all_faults_at_once_each_with_its_line(tmp_path):
    bad = [annotation((0.1, 0.1, 0, 0.1)), annotation(name="Buton"), annotation(score="high"), annotation((0.9, 0, 0.5, 0.5))]
    path = tmp_path / "run.json"
    path.write_text(json.dumps([record(annotations=bad), OTHER, record("c.jpg")], indent=1))
    findings = Findings()
    read_run(path, TRUTHS, findings)
    lines = path.read_text().splitlines()
    found = {finding.code: (lines[finding.line - 1].strip(), finding.value) for finding in findings}
    assert found["RUN-ZERO-SIZE"] == ('"box": [', "[ 0.1, 0.1, 0, 0.1 ]")
    assert found["RUN-UNKNOWN-CLASS"] == ('"detectionString": "Buton",', '"Buton"')
    assert found["RUN-SCORE"] == ('"score": "high"', '"high"')
    assert found["RUN-OUT-OF-IMAGE"] == ('"box": [', "[ 0.9, 0, 0.5, 0.5 ]")
    assert found["RUN-UNKNOWN-ID"] == ("{", "")
    assert all(finding.file == str(path) for finding in findings)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (boxes(annotation(name="Buton")), "did you mean button?"),
        (boxes(annotation(name=" BUTTON")), "did you mean button?"),
        (boxes(annotation(name="zzz")), "the classes are paragraph, dropdown"),
        (boxes(annotation(label=15)), "not from 0 as in 2020"),
        (boxes(annotation(label=3)), "button is 16"),
        ([record("a.JPG"), OTHER], "did you mean a.jpg?"),
        ([record("a"), OTHER], "did you mean a.jpg?"),
        ([record("images/a.jpg"), OTHER], "bare file name, a.jpg"),
        ([record(r"C:\images\a.jpg"), OTHER], "bare file name, a.jpg"),
        ([record("zebra.png"), OTHER], "right set"),
        (boxes(annotation((10, 20, 30, 40))), "divide"),
        (boxes(annotation((0.9, 0.1, 0.2, 0.2))), "y 90 to 110; the image ends at 200, 100"),
        ('{"images": [], "annotations": []}', "COCO"),
        (LINES, "--format 2020"),
    ],
)
def test_hints_say_what_to_do(read, content, hint):
    assert any(hint in finding.hint for finding in read(content)[1])


def test_missing_images_are_counted_and_some_are_named(read):
    many = truths_of({f"{index}.jpg": (9, 9) for index in range(50)})
    finding = next(iter(read([], many)[1]))
    assert finding.message.startswith("50 of 50 images")
    assert "0.jpg, 1.jpg" in str(finding)
    assert str(finding).count(".jpg") == 10


def test_a_broken_file_doesnt_also_miss_images(read):
    assert said(read("[" + json.dumps(record()) + ",")[1]) == [("RUN-JSON", "error")]


class TestIdsAlone:
    def test_what_cant_be_checked_is_said_once(self, read):
        predictions, findings = read([record(annotations=[annotation(label=5, name="whatever")]), OTHER], IDS_ONLY)
        assert said(findings) == [("RUN-UNCHECKED", "info")] * 2
        assert predictions["a.jpg"].labels.tolist() == [5]

    def test_boxes_are_held_against_the_declared_size(self, read):
        found = said(
            read(boxes(annotation((0.9, 0, 0.2, 0.2)), annotation((0, 0, 0, 1)), annotation((50, 0, 9, 9))), IDS_ONLY)[1]
        )
        assert {code for code, _ in found} == {"RUN-UNCHECKED", "RUN-OUT-OF-IMAGE", "RUN-ZERO-SIZE", "RUN-BOX-ABSOLUTE"}

    def test_ids_are_checked(self, read):
        found = said(read([record("c.jpg"), record(), record()], IDS_ONLY)[1])
        assert {"RUN-UNKNOWN-ID", "RUN-DUPLICATE-ID", "RUN-MISSING-ID"} <= {code for code, _ in found}

    def test_2020_knows_its_classes_but_not_the_edges(self, read):
        found = said(read("a.jpg;Buton 1:1x1+1+1;link 1:9999x1+1+1,1:1x1+-5+1\nb.jpg\n", IDS_ONLY, "2020")[1])
        assert sorted(found) == [("RUN-OUT-OF-IMAGE", "error"), ("RUN-UNCHECKED", "info"), ("RUN-UNKNOWN-CLASS", "error")]


# ------------------------------------------------------------------------------------------------------------- writing


def prediction(name="a.jpg", boxes=((1, 2, 30, 40),), labels=(16,), scores=(0.5,)):
    return Prediction(
        name, np.array(boxes, dtype=np.float32).reshape(-1, 4), np.array(labels, dtype=np.int64), np.array(scores)
    )


@pytest.fixture
def written(tmp_path):
    def write_and_read(predictions, truth_set=TRUTHS, run_format="2021"):
        write_run(tmp_path / "run", predictions, truth_set, run_format)
        findings = Findings()
        read = read_run(tmp_path / "run", truth_set, findings, run_format)
        assert {code for code, _ in said(findings)} <= {"RUN-MISSING-ID", "RUN-DUPLICATE-DETECTION", "RUN-FILE-EMPTY"}
        return read

    return write_and_read


class TestWriting:
    def test_the_strongest_come_first_and_no_more_than_allowed(self, written):
        scores = np.linspace(0, 1, 400)
        read = written(
            [prediction(boxes=[(0, 0, 1 + index / 10, 9) for index in range(400)], labels=[16] * 400, scores=scores)]
        )
        assert read["a.jpg"].scores.tolist() == scores[::-1][:MAX_DETECTIONS].tolist()

    def test_equal_scores_keep_their_order(self, written):
        read = written([prediction(boxes=[(0, 0, 5, 5)] * 3, labels=[3, 1, 2], scores=[0.5, 0.5, 0.7])])
        assert read["a.jpg"].labels.tolist() == [2, 3, 1]

    def test_images_without_detections_are_left_out(self, written, tmp_path):
        assert list(written([prediction(boxes=(), labels=(), scores=()), prediction("b.jpg")])) == ["b.jpg"]
        assert "a.jpg" not in (tmp_path / "run").read_text()

    @pytest.mark.parametrize("run_format", ["2021", "2020"])
    def test_boxes_are_clipped_and_left_out_if_nothing_remains(self, written, run_format):
        boxes = [(-50, -50, 999, 999), (250, 10, 300, 20), (50, 50, 50, 60), (60, 60, 50, 90)]
        read = written([prediction(boxes=boxes, labels=[1, 2, 3, 4], scores=[0.1] * 4)], run_format=run_format)
        assert read["a.jpg"].boxes.tolist() == [[0, 0, 200, 100]]

    def test_2020_rounds_to_pixels_within_the_image(self, written):
        boxes = [(1.4, 2.6, 30.4, 40.6), (199.9, 99.9, 200, 100), (10.1, 10.1, 10.2, 30)]
        read = written([prediction(boxes=boxes, labels=[1] * 3, scores=[0.9, 0.8, 1e-7])], run_format="2020")
        assert read["a.jpg"].boxes.tolist() == [[1, 3, 30, 41], [199, 99, 200, 100], [10, 10, 11, 30]]
        assert read["a.jpg"].scores.tolist() == [0.9, 0.8, 1e-7]

    def test_2020_has_no_exponents_and_ends_its_lines(self, tmp_path):
        write_run(tmp_path / "run", [prediction(scores=[1e-7]), prediction("b.jpg", scores=[1])], TRUTHS, "2020")
        assert (tmp_path / "run").read_text() == "a.jpg;button 0.0000001:29x38+1+2\nb.jpg;button 1.0:29x38+1+2\n"

    def test_the_order_is_that_of_the_set_and_one_record_is_one_line(self, tmp_path):
        write_run(tmp_path / "run", [prediction("b.jpg"), prediction()], TRUTHS)
        lines = (tmp_path / "run").read_text().splitlines()
        assert [line[:15] for line in lines] == ["[", '{"file": "a.jpg', '{"file": "b.jpg', "]"]

    @pytest.mark.parametrize("run_format", ["2021", "2020"])
    def test_nothing_predicted(self, written, run_format):
        assert written([], run_format=run_format) == {}

    @pytest.mark.parametrize(
        ("predictions", "code"),
        [
            ([prediction("c.jpg")], "RUN-UNKNOWN-ID"),
            ([prediction(), prediction()], "RUN-DUPLICATE-ID"),
            ([prediction(boxes=[(np.nan, 0, 1, 1)])], "RUN-BOX"),
            ([prediction(boxes=[(0, 0, np.inf, 1)])], "RUN-BOX"),
            ([prediction(scores=[np.nan])], "RUN-SCORE"),
            ([prediction(scores=[1.1])], "RUN-SCORE"),
            ([prediction(labels=[22])], "RUN-UNKNOWN-CLASS"),
        ],
    )
    def test_what_cant_be_written_is_listed_and_the_old_file_stays(self, tmp_path, predictions, code):
        (tmp_path / "run").write_text("old")
        with pytest.raises(InvalidInput) as raised:
            write_run(tmp_path / "run", [prediction("b.jpg"), *predictions], TRUTHS)
        assert [finding.code for finding in raised.value.findings] == [code]
        assert (tmp_path / "run").read_text() == "old"

    def test_sizes_have_to_be_known(self, tmp_path):
        with pytest.raises(InvalidInput, match="size is not known"):
            write_run(tmp_path / "run", [prediction()], truths_of({"a.jpg": (0, 0)}))

    def test_names_that_the_text_cant_hold(self, tmp_path):
        with pytest.raises(InvalidInput, match="RUN-BLOCK"):
            write_run(tmp_path / "run", [prediction("a;b.jpg")], truths_of({"a;b.jpg": (9, 9)}), "2020")

    def test_a_prediction_that_contradicts_itself_is_a_bug(self, tmp_path):
        with pytest.raises(ValueError, match=r"a\.jpg"):
            write_run(tmp_path / "run", [prediction(labels=[1, 2])], TRUTHS)


shares = st.floats(0, 1)
corners = st.tuples(shares, shares, shares, shares).map(lambda v: [*np.minimum(v[:2], v[2:]), *np.maximum(v[:2], v[2:])])
detections = st.lists(st.tuples(corners, st.integers(1, 21), shares), max_size=6)


@given(
    st.dictionaries(st.from_regex(r"[a-zé0-9 ]{1,9}\.jpg", fullmatch=True), detections, max_size=4),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_runs_survive_writing_and_reading(tmp_path_factory, images, width, height):
    predictions = []
    for name, drawn in images.items():
        found = [entry for entry in drawn if min(entry[0][2] - entry[0][0], entry[0][3] - entry[0][1]) > 1e-6]
        found.sort(key=lambda entry: -entry[2])
        boxes = np.array([entry[0] for entry in found]).reshape(-1, 4) * [width, height, width, height]
        labels = np.array([entry[1] for entry in found], dtype=np.int64)
        predictions.append(Prediction(name, boxes, labels, np.array([entry[2] for entry in found])))
    truth_set = truths_of(dict.fromkeys(images, (width, height)))
    path = tmp_path_factory.getbasetemp() / "run.json"
    write_run(path, predictions, truth_set)
    findings = Findings()
    read = read_run(path, truth_set, findings)
    assert {code for code, _ in said(findings)} <= {"RUN-MISSING-ID", "RUN-DUPLICATE-DETECTION"}
    for prediction in predictions:
        if len(prediction.scores):
            np.testing.assert_allclose(read[prediction.id].boxes, prediction.boxes, atol=5000 * 1e-9, rtol=0)
            np.testing.assert_array_equal(read[prediction.id].labels, prediction.labels)
            np.testing.assert_array_equal(read[prediction.id].scores, prediction.scores)
        else:
            assert prediction.id not in read
    write_run(path, predictions, truth_set, "2020")
    findings = Findings()
    again = read_run(path, truth_set, findings, "2020")
    assert not findings.error_count or not path.stat().st_size
    assert again.keys() == read.keys()
    for name in read:
        assert sorted(again[name].scores) == sorted(read[name].scores)
        moved = np.abs(np.sort(again[name].boxes, axis=0) - np.sort(read[name].boxes, axis=0))
        assert moved.max() <= 1.5  # a start is rounded by up to half a pixel, and a side is at least 1


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, "button", 16]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["box", "score", "detectionClass", "detectionString", "width"]), inner)
    ),
    max_leaves=12,
)
keys = {"width": json_like, "height": json_like, "annotations": json_like | st.lists(json_like, max_size=3)}


@given(
    st.lists(st.fixed_dictionaries({"file": st.just("a.jpg") | json_like}, optional=keys) | json_like).map(json.dumps)
    | st.text(max_size=80)
    | st.text(alphabet="ab.jpg;, :x+-0123456789\n", max_size=60).map(lambda text: "a.jpg;" + text)
    | st.text(alphabet=":x+-.0123456789,", max_size=30).map(lambda text: f"a.jpg;button {text}\n"),
    st.sampled_from(["2021", "2020"]),
    st.sampled_from([TRUTHS, IDS_ONLY]),
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content, run_format, truth_set):
    path = tmp_path_factory.getbasetemp() / "garbage-run"
    path.write_bytes(content.encode("utf-8", errors="surrogatepass"))
    findings = Findings()
    for prediction in read_run(path, truth_set, findings, run_format).values():
        assert np.isfinite(prediction.boxes).all()
        assert np.isfinite(prediction.scores).all()
        assert (prediction.boxes[:, 2:] > prediction.boxes[:, :2]).all()
        assert len(prediction.boxes) == len(prediction.labels) == len(prediction.scores)
    assert {finding.code for finding in findings} <= CODES.keys()
    assert all(line.isprintable() for line in findings.lines())
    json.dumps([finding.to_dict() for finding in findings], allow_nan=False)


@pytest.mark.parametrize("truth_set", [TRUTHS, TruthSet(TRUTHS.truths, {7: "window"}), IDS_ONLY])
def test_the_example_is_a_valid_run(read, truth_set):
    predictions, findings = read(example_run(truth_set), truth_set)
    assert list(predictions) == ["a.jpg", "b.jpg"]
    assert {code for code, _ in said(findings)} <= {"RUN-UNCHECKED"}


@pytest.mark.data
@pytest.mark.parametrize("run_format", ["2021", "2020"])
def test_the_truth_of_the_real_wireframes_as_a_run(data_root, tmp_path, run_format):
    truth_set = records.read_split(data_root, "drawnui-wireframe", "all", Findings()).truth_set
    predictions = [
        Prediction(truth.id, truth.boxes, truth.labels, np.ones(len(truth.labels))) for truth in truth_set.truths.values()
    ]
    write_run(tmp_path / "run", predictions, truth_set, run_format)
    findings = Findings()
    read = runs.read_run(tmp_path / "run", truth_set, findings, run_format)
    assert findings.error_count == 0
    assert sum(len(prediction.boxes) for prediction in read.values()) == 1518
