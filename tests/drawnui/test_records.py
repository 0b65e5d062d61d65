"""The reader of drawnUI truths and splits: both formats, the layout, every quirk of the real data, and the division."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from baselines.core.findings import Findings, InvalidInput, Severity, UsageError
from baselines.core.images import read_header
from baselines.core.tasks import get_task
from baselines.drawnui import records
from baselines.drawnui.records import (
    Truth,
    TruthSet,
    export_coco,
    read_split,
    read_truth,
    split_ids,
    truths_of_ids,
    write_truth,
)
from baselines.drawnui.task import WIREFRAME_CLASSES

WIREFRAME, SCREENSHOT = "drawnui-wireframe", "drawnui-screenshot"


def annotation(box=(0.1, 0.2, 0.3, 0.4), label=16, name="button", **more):
    return {"box": list(box), "detectionClass": label, "detectionString": name, "score": 1} | more


def record(file="a.jpg", width=200, height=100, annotations=None, **more):
    boxes = [annotation()] if annotations is None else annotations
    return {"file": file, "width": width, "height": height, "annotations": boxes} | more


def picture(path, size=(200, 100), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path, **options)


@pytest.fixture
def read(tmp_path):
    """Write records beside images of some names, read them, and return the truths and findings."""

    def write_and_read(content, images=("a.jpg",), task=WIREFRAME):
        for name in images:
            picture(tmp_path / "images" / name)
        path = tmp_path / "truth"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        findings = Findings()
        return read_truth(path, task, findings), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value, finding.id) for finding in findings]


class TestTruth:
    def test_boxes_are_pixels_of_the_image(self, read):
        truth_set, findings = read([record()])
        truth = truth_set.truths["a.jpg"]
        np.testing.assert_allclose(truth.boxes, [[40, 10, 120, 40]])
        assert truth.boxes.dtype == np.float64
        assert truth.labels.tolist() == [16]
        assert truth.labels.dtype == np.int64
        assert (truth.width, truth.height) == (200, 100)
        assert truth_set.classes == {16: "button"}
        assert len(findings) == 0

    @pytest.mark.parametrize("empty", [{"annotations": []}, {"annotations": None}])
    def test_image_without_objects(self, read, empty):
        truth_set, findings = read([record() | empty])
        assert truth_set.truths["a.jpg"].boxes.shape == (0, 4)
        assert len(findings) == 0

    def test_record_without_annotations_size_and_scores(self, read):
        boxes = [{key: value for key, value in annotation().items() if key != "score"}]
        truth_set, findings = read([{"file": "a.jpg"}, {"file": "b.jpg", "annotations": boxes}], images=("a.jpg", "b.jpg"))
        assert [len(truth.boxes) for truth in truth_set.truths.values()] == [0, 1]
        assert len(findings) == 0

    def test_rounding_noise_is_clipped_silently(self, read):
        truth_set, findings = read([record(annotations=[annotation((0.5, 0.5, 0.5 + 1e-6, 0.5 + 1e-6))])])
        assert truth_set.truths["a.jpg"].boxes.tolist() == [[100, 50, 200, 100]]
        assert len(findings) == 0

    def test_without_images_the_declared_size_is_used(self, read):
        truth_set, findings = read([record(width=400)], images=())
        assert truth_set.truths["a.jpg"].width == 400
        assert said(findings) == [("DATA-IMAGE-SIZE-ASSUMED", "info", "")]

    def test_classes_come_from_the_data(self, read):
        boxes = [annotation(label=2, name="link"), annotation(label=1, name="text")]
        truth_set, findings = read([record(annotations=boxes)], task=SCREENSHOT)
        assert list(truth_set.classes.items()) == [(1, "text"), (2, "link")]
        assert len(findings) == 0

    @pytest.mark.parametrize("folder", ["images", "test/images", "test"])
    def test_where_images_may_lie(self, tmp_path, folder):
        picture(tmp_path / folder / "a.jpg")
        (tmp_path / "truth.json").write_text(json.dumps([record(width=9)]))
        assert read_truth(tmp_path / "truth.json", WIREFRAME, Findings()).truths["a.jpg"].width == 200


def planted(records, finding, *, kept=1, images=("a.jpg",), task=WIREFRAME):
    code, severity, key = finding
    return pytest.param(records, images, task, (code, severity, key), kept, id=f"{code} {kept} kept {len(images)} images")


@pytest.mark.parametrize(
    ("content", "images", "task", "finding", "kept"),
    [
        planted([record(width=201)], ("DATA-IMAGE-SIZE", "warning", "a.jpg")),
        planted([record(width=-1)], ("DATA-IMAGE-SIZE", "warning", "a.jpg")),
        planted([record(width="200")], ("DATA-IMAGE-SIZE", "warning", "a.jpg")),
        planted([record(width="200")], ("DATA-IMAGE-SIZE", "error", "a.jpg"), images=(), kept=None),
        planted([{"file": "a.jpg"}], ("DATA-IMAGE-SIZE", "error", "a.jpg"), images=(), kept=None),
        planted([record(), record("b.jpg")], ("DATA-ID-NO-IMAGE", "warning", "b.jpg")),
        planted([record("A.JPG")], ("DATA-ID-NO-IMAGE", "warning", "A.JPG"), kept=None),
        planted([record()], ("DATA-ID-CASE", "warning", "a.jpg"), images=("a.JPG",)),
        planted([record(), record()], ("DATA-ID-DUPLICATE", "error", "a.jpg")),
        *(
            planted([record(name), record()], ("DATA-ID-PATH", "error", ""))
            for name in ("../../x.jpg", "/etc/passwd", "images/a.jpg", r"c:\a.jpg", "..", "", "a\n", "x" * 256, "\ud800.jpg")
        ),
        planted([record(annotations=[annotation((0.5, 0.5, 0.6, 0.1))])], ("DATA-OUT-OF-IMAGE", "warning", "a.jpg")),
        planted([record(annotations=[annotation((-0.1, 0.5, 0.3, 0.1))])], ("DATA-OUT-OF-IMAGE", "warning", "a.jpg")),
        planted([record(annotations=[annotation((0.5, 0.5, 0, 0.1))])], ("DATA-BOX-ZERO", "warning", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((0.5, 0.5, 0.1, -0.1))])], ("DATA-BOX-ZERO", "warning", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((1.5, 0.5, 0.1, 0.1))])], ("DATA-BOX-ZERO", "warning", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((50, 50, 10, 10))])], ("DATA-BOX-ABSOLUTE", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((0.5, 0.5, 0.9, 0.9))] * 3)], ("DATA-BOX-ORDER", "warning", ""), kept=3),
        planted([record(annotations=[annotation(score=0.5)])], ("DATA-SCORE", "warning", "a.jpg")),
        planted([record(annotations=[annotation(score="1")])], ("DATA-SCORE", "warning", "a.jpg")),
        planted([record(annotations=[annotation(("0.1", 0.1, 0.1, 0.1))])], ("DATA-NUMBER", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((0.1, 0.1, 0.1))])], ("DATA-NUMBER", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((10**400, 0.1, 0.1, 0.1))])], ("DATA-NUMBER", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((True, 0.1, 0.1, 0.1))])], ("DATA-NUMBER", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation((None, 0.1, 0.1, 0.1))])], ("DATA-NUMBER", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation(label="16")])], ("DATA-FIELDS", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation(label=2**70)])], ("DATA-FIELDS", "error", "a.jpg"), kept=0),
        planted([record(annotations=[annotation(name=16)])], ("DATA-FIELDS", "error", "a.jpg"), kept=0),
        planted([record(annotations=[{"box": [0, 0, 1, 1]}])], ("DATA-FIELDS", "error", "a.jpg"), kept=0),
        planted([record(annotations=[[]])], ("DATA-FIELDS", "error", "a.jpg"), kept=0),
        planted([record(annotations={})], ("DATA-FIELDS", "error", "a.jpg"), kept=0),
        planted([record(), 3], ("DATA-FIELDS", "error", "")),
        planted([record(), {"width": 1}], ("DATA-FIELDS", "error", "")),
        planted([record(), record(None)], ("DATA-FIELDS", "error", "")),
        planted({"images": []}, ("DATA-FIELDS", "error", ""), kept=None),
        planted([record(annotations=[annotation(name="Buton")])], ("DATA-CLASS-UNKNOWN", "error", "")),
        planted([record(annotations=[annotation(label=15)])], ("DATA-CLASS-MISMATCH", "warning", "")),
        *(
            planted([record(annotations=[annotation(), other])], ("DATA-CLASS-MISMATCH", "error", ""), kept=2, task=SCREENSHOT)
            for other in (annotation(label=15), annotation(name="knob"))
        ),
    ],
)
def test_planted_fault(read, content, images, task, finding, kept):
    truth_set, findings = read(content, images, task)
    assert finding in said(findings)
    assert {code for code, *_ in said(findings)} <= {finding[0], "DATA-IMAGE-SIZE-ASSUMED", "DATA-OUT-OF-IMAGE"}
    if kept is not None:
        assert len(truth_set.truths["a.jpg"].boxes) == kept


def test_a_fault_has_its_line_and_what_stands_there(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps([record(), record("b.jpg", annotations=[annotation(), annotation((0.5, 0.5, 0, 1))])], indent=1))
    findings = Findings()
    read_truth(path, WIREFRAME, findings)
    found = next(finding for finding in findings if finding.code == "DATA-BOX-ZERO")
    assert path.read_text().splitlines()[found.line - 1].strip() == '"box": ['
    assert found.value == "[ 0.5, 0.5, 0, 1 ]"
    assert found.file == str(path)


def test_a_rotation_by_exif_is_reported_and_not_done(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "images" / "a.jpg", exif=exif)
    (tmp_path / "truth.json").write_text(json.dumps([record()]))
    findings = Findings()
    truth_set = read_truth(tmp_path / "truth.json", WIREFRAME, findings)
    assert said(findings) == [("DATA-IMAGE-EXIF", "warning", "a.jpg")]
    assert truth_set.truths["a.jpg"].width == 200


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0broken", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"])
def test_an_image_that_cant_be_read_counts_as_missing(tmp_path, content):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(content)
    (tmp_path / "truth.json").write_text(json.dumps([record()]))
    findings = Findings()
    assert read_truth(tmp_path / "truth.json", WIREFRAME, findings).truths["a.jpg"].width == 200
    assert said(findings) == [("DATA-FILE-UNREADABLE" if content else "DATA-FILE-EMPTY", "warning", "a.jpg")]
    with pytest.raises(OSError, match=r"."):
        read_header(tmp_path / "images" / "a.jpg")


class TestTextOf2020:
    LINE = "a.jpg;button 1:20x10+30+40,1:5x5+0+0;label 1:200x100+0+0\n"

    def test_is_known_by_its_content(self, read):
        truth_set, findings = read(self.LINE + "b.jpg;link 1:1x1+1+1\n", images=("a.jpg", "b.jpg"))
        assert truth_set.truths["a.jpg"].boxes.tolist() == [[30, 40, 50, 50], [0, 0, 5, 5], [0, 0, 200, 100]]
        assert truth_set.truths["a.jpg"].labels.tolist() == [16, 16, 12]
        assert truth_set.classes == {12: "label", 16: "button", 20: "link"}
        assert len(findings) == 0

    def test_needs_images_since_it_declares_no_sizes(self, read):
        assert ("DATA-IMAGE-SIZE", "error", "a.jpg") in said(read(self.LINE, images=())[1])

    def test_has_no_class_ids(self, read):
        assert said(read(self.LINE, task=SCREENSHOT)[1]) == [("DATA-CLASS-UNKNOWN", "error", "a.jpg")] * 3

    @pytest.mark.parametrize(
        ("line", "code"),
        [
            ("a.jpg;Buton 1:1x1+1+1", "DATA-CLASS-UNKNOWN"),
            ("a.jpg;button 1:1x1+1+1;", "DATA-FIELDS"),
            ("a.jpg;button 1:1x1+1+1,", "DATA-FIELDS"),
            ("a.jpg;button", "DATA-FIELDS"),
            ("a.jpg;button  1:1x1+1+1", "DATA-FIELDS"),
            ("a.jpg;button 1x1+1+1", "DATA-FIELDS"),
            ("a.jpg;button 1:1x1+1", "DATA-FIELDS"),
            ("a.jpg;button 1:1.5x1+1+1", "DATA-FIELDS"),
            ("\n;", "DATA-FIELDS"),
            (";button 1:1x1+1+1", "DATA-ID-PATH"),
        ],
    )  # fmt: skip
    def test_planted_fault(self, read, line, code):
        findings = read("b.jpg;link 1:1x1+1+1\n" + line + "\n", images=("a.jpg", "b.jpg"))[1]
        assert code in {finding.code for finding in findings}
        assert all(finding.line == 2 for finding in findings if finding.code == code and finding.id)


shares = st.floats(0, 1, width=32)
corners = st.tuples(shares, shares, shares, shares).map(lambda v: [*np.minimum(v[:2], v[2:]), *np.maximum(v[:2], v[2:])])
boxes_in_image = st.lists(corners, max_size=5)


@given(
    st.dictionaries(st.from_regex(r"[a-zé0-9 ]{1,9}\.jpg", fullmatch=True), boxes_in_image, max_size=4), st.integers(1, 5000)
)
def test_truths_survive_writing_and_reading(tmp_path_factory, images, width):
    size = np.array([width, 777] * 2)
    truths = {}
    for name, relative in images.items():
        boxes = np.array(relative, dtype=np.float64).reshape(-1, 4)
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2] > 1e-6).all(axis=1)] * size
        truths[name] = Truth(name, width, 777, boxes, np.arange(len(boxes)) % 21 + 1)
    folder = tmp_path_factory.getbasetemp() / "round-trip-truths"
    folder.mkdir(exist_ok=True)
    write_truth(folder / "truth.json", TruthSet(truths, WIREFRAME_CLASSES))
    findings = Findings()
    read = read_truth(folder / "truth.json", WIREFRAME, findings)
    assert said(findings) == ([("DATA-IMAGE-SIZE-ASSUMED", "info", "")] if images else [])
    assert list(read.truths) == list(truths)
    for name, truth in truths.items():
        np.testing.assert_allclose(read.truths[name].boxes, truth.boxes, atol=1e-9 * 5000, rtol=0)
        np.testing.assert_array_equal(read.truths[name].labels, truth.labels)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["file", "width", "height", "annotations", "box", "score", "detectionClass"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.lists(json_like | st.fixed_dictionaries({"file": st.just("a"), "annotations": json_like})).map(json.dumps) | st.text()
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "garbage-truths"
    folder.mkdir(exist_ok=True)
    (folder / "truth").write_bytes(content.encode("utf-8", errors="surrogatepass"))
    findings = Findings()
    for truth in read_truth(folder / "truth", WIREFRAME, findings).truths.values():
        assert np.isfinite(truth.boxes).all()
        assert len(truth.boxes) == len(truth.labels)
    assert all("\n" not in line for line in findings.lines())
    json.dumps([finding.to_dict() for finding in findings], allow_nan=False)


def test_truths_of_ids_alone():
    truth_set = truths_of_ids(["b.jpg", "a.jpg"], WIREFRAME)
    assert list(truth_set.truths) == ["b.jpg", "a.jpg"]
    assert truth_set.truths["a.jpg"].width == 0
    assert truth_set.classes == WIREFRAME_CLASSES


def test_coco_export():
    boxes = np.array([[1.0, 2.0, 4.0, 8.0], [0.0, 0.0, 1.0, 1.0]])
    truths = {
        "b.jpg": Truth("b.jpg", 10, 20, boxes, np.array([16, 12])),
        "a.jpg": Truth("a.jpg", 30, 40, boxes[:1], np.array([12])),
    }
    coco = json.loads(json.dumps(export_coco(TruthSet(truths, {16: "button", 12: "label"}))))
    assert [(image["id"], image["file_name"], image["width"]) for image in coco["images"]] == [
        (1, "b.jpg", 10),
        (2, "a.jpg", 30),
    ]
    assert [(entry["id"], entry["image_id"], entry["category_id"]) for entry in coco["annotations"]] == [
        (1, 1, 16),
        (2, 1, 12),
        (3, 2, 12),
    ]
    assert coco["annotations"][0]["bbox"] == [1, 2, 3, 6]
    assert coco["annotations"][0]["area"] == 18
    assert coco["categories"] == [{"id": 12, "name": "label"}, {"id": 16, "name": "button"}]


# -------------------------------------------------------------------------------------------------------------- splits


def write_set(folder, truth, images, names, boxes=None):
    for name in names:
        picture(folder / images / name)
    (folder / truth).write_text(json.dumps([record(name, annotations=boxes) for name in names]))


@pytest.fixture
def root(tmp_path):
    """A data root with ten wireframes and their test set, four screenshots for training, two for validation and one test."""
    family = tmp_path / "drawnui"
    write_set(family / "wireframe_development_set", "development_set.json", "images", [f"w{index}.jpg" for index in range(10)])
    picture(family / "wireframe_test_set" / "test" / "t.jpg", (50, 60))
    screenshots = family / "screenshot_development_set"
    link = [annotation(label=2, name="link")]
    write_set(screenshots, "train/train_set.json", "train/images", [f"s{index}.jpg" for index in range(4)])
    write_set(screenshots, "validation/val_set.json", "validation/images", ["v0.jpg", "v1.jpg"], link)
    picture(family / "screenshot_test_set" / "test" / "images" / "t.jpg")
    return tmp_path


def split_of(root, task, name, **options):
    findings = Findings()
    return read_split(root, task, name, findings, **options), findings


def ids_of(split):
    return [sample.id for sample in split.samples]


class TestSplits:
    def test_wireframes_are_divided(self, root):
        train, val, everything = (split_of(root, WIREFRAME, name)[0] for name in ("train", "val", "all"))
        assert len(train.samples) == 8
        assert len(val.samples) == 2
        assert sorted(ids_of(train) + ids_of(val)) == ids_of(everything) == [f"w{index}.jpg" for index in range(10)]
        assert list(train.truth_set.truths) == ids_of(train)
        assert train.name == "train"

    def test_the_division_is_that_of_split_ids(self, root):
        everything = split_of(root, WIREFRAME, "all")[0]
        train, val = split_ids(everything.truth_set, 0.4, 7)
        assert ids_of(split_of(root, WIREFRAME, "train", split_seed=7, val_share=0.4)[0]) == list(train)
        assert ids_of(split_of(root, WIREFRAME, "val", split_seed=7, val_share=0.4)[0]) == list(val)

    @pytest.mark.parametrize("task", [WIREFRAME, SCREENSHOT])
    def test_every_split_on_the_card_can_be_read(self, root, task):
        for name in get_task(task).splits:
            assert split_of(root, task, name)[0].samples

    def test_screenshots_are_divided_already(self, root):
        assert ids_of(split_of(root, SCREENSHOT, "train")[0]) == ["s0.jpg", "s1.jpg", "s2.jpg", "s3.jpg"]
        assert ids_of(split_of(root, SCREENSHOT, "val")[0]) == ["v0.jpg", "v1.jpg"]
        assert len(split_of(root, SCREENSHOT, "all")[0].samples) == 6

    @pytest.mark.parametrize("name", ["train", "val", "all", "test"])
    def test_all_splits_have_the_classes_of_the_development_set(self, root, name):
        split, findings = split_of(root, SCREENSHOT, name)
        assert split.truth_set.classes == {2: "link", 16: "button"}
        assert len(findings) == 0

    def test_samples_hold_image_and_truth(self, root):
        split = split_of(root, WIREFRAME, "all")[0]
        for sample in split.samples:
            assert sample.image.name == sample.id
            assert sample.image.is_file()
            assert sample.truth is split.truth_set.truths[sample.id]

    def test_test_images_have_a_size_and_no_truth(self, root):
        split = split_of(root, WIREFRAME, "test")[0]
        assert [sample.truth for sample in split.samples] == [None]
        truth = split.truth_set.truths["t.jpg"]
        assert (truth.width, truth.height, truth.boxes.shape) == (50, 60, (0, 4))
        assert split.truth_set.classes == {16: "button"}

    def test_a_test_set_alone_has_no_classes(self, root):
        (root / "drawnui" / "wireframe_development_set").rename(root / "elsewhere")
        assert split_of(root, WIREFRAME, "test")[0].truth_set.classes == {}

    def test_a_broken_test_image_is_an_error(self, root):
        (root / "drawnui" / "wireframe_test_set" / "test" / "u.jpg").write_bytes(b"x")
        split, findings = split_of(root, WIREFRAME, "test")
        assert ids_of(split) == ["t.jpg"]
        assert said(findings) == [("DATA-FILE-UNREADABLE", "error", "u.jpg")]

    def test_rotated_test_images_are_reported(self, root):
        exif = Image.Exif()
        exif[0x0112] = 8
        picture(root / "drawnui" / "wireframe_test_set" / "test" / "t.jpg", exif=exif)
        assert said(split_of(root, WIREFRAME, "test")[1]) == [("DATA-IMAGE-EXIF", "warning", "t.jpg")]

    def test_records_without_image_are_kept_for_scoring_alone(self, root):
        images = root / "drawnui" / "wireframe_development_set" / "images"
        (images / "w3.jpg").unlink()
        (images / "w4.jpg").write_bytes(b"x")
        split, findings = split_of(root, WIREFRAME, "all")
        assert {"w3.jpg", "w4.jpg"} <= split.truth_set.truths.keys()
        assert not {"w3.jpg", "w4.jpg"} & set(ids_of(split))
        assert said(findings) == [
            ("DATA-ID-NO-IMAGE", "warning", "w3.jpg"),
            ("DATA-FILE-UNREADABLE", "warning", "w4.jpg"),
        ]

    def test_missing_images_dont_move_the_others_between_the_parts(self, root):
        before = ids_of(split_of(root, WIREFRAME, "val")[0])
        train = ids_of(split_of(root, WIREFRAME, "train")[0])
        (root / "drawnui" / "wireframe_development_set" / "images" / train[0]).unlink()
        assert ids_of(split_of(root, WIREFRAME, "val")[0]) == before

    def test_images_without_record_are_left_out(self, root):
        picture(root / "drawnui" / "wireframe_development_set" / "images" / "extra.png")
        split, findings = split_of(root, WIREFRAME, "all")
        assert "extra.png" not in ids_of(split)
        assert said(findings) == [("DATA-ID-NO-LABEL", "warning", "extra.png")]

    def test_junk_is_ignored(self, root):
        images = root / "drawnui" / "wireframe_development_set" / "images"
        for name in ("._w1.jpg", ".DS_Store", "Thumbs.db"):
            (images / name).write_bytes(b"x")
        (images.parent.parent / "__MACOSX").mkdir()
        findings = split_of(root, WIREFRAME, "all")[1]
        assert said(findings) == [("DATA-JUNK", "info", "")]

    def test_extensions_in_another_case(self, root):
        images = root / "drawnui" / "wireframe_development_set" / "images"
        (images / "w1.jpg").rename(images / "w1.JPG")
        split, findings = split_of(root, WIREFRAME, "all")
        assert {sample.id: sample.image.name for sample in split.samples}["w1.jpg"] == "w1.JPG"
        assert said(findings) == [("DATA-ID-CASE", "warning", "w1.jpg")]

    def test_an_image_of_both_parts_is_held_out_and_not_trained_on(self, root):
        folder = root / "drawnui" / "screenshot_development_set" / "validation"
        write_set(folder, "val_set.json", "images", ["s0.jpg", "v0.jpg"], [annotation(label=2, name="link")])
        (folder / "images" / "v1.jpg").unlink()
        splits = {}
        for name in ("train", "val", "all"):
            splits[name], findings = split_of(root, SCREENSHOT, name)
            assert said(findings) == [("DATA-SPLIT-ID", "warning", "s0.jpg")]
            assert "training leaves it out" in next(iter(findings)).hint
        assert ids_of(splits["train"]) == list(splits["train"].truth_set.truths) == ["s1.jpg", "s2.jpg", "s3.jpg"]
        assert ids_of(splits["val"]) == ["s0.jpg", "v0.jpg"]
        assert ids_of(splits["all"]) == ["s0.jpg", "s1.jpg", "s2.jpg", "s3.jpg", "v0.jpg"]
        assert splits["all"].truth_set.truths["s0.jpg"].labels.tolist() == [2]
        assert splits["all"].samples[0].image.parent.parent == folder

    def test_the_image_of_training_does_not_stand_in_for_one_that_validation_lacks(self, root):
        folder = root / "drawnui" / "screenshot_development_set" / "validation"
        write_set(folder, "val_set.json", "images", ["s0.jpg", "v0.jpg", "v1.jpg"])
        (folder / "images" / "s0.jpg").unlink()
        for name in ("train", "val", "all"):
            assert "s0.jpg" not in ids_of(split_of(root, SCREENSHOT, name)[0])

    def test_parts_that_disagree_on_a_class(self, root):
        folder = root / "drawnui" / "screenshot_development_set" / "validation"
        write_set(folder, "val_set.json", "images", ["v0.jpg"], [annotation(name="link")])
        findings = split_of(root, SCREENSHOT, "train")[1]
        assert ("DATA-CLASS-MISMATCH", "error", "") in said(findings)
        assert next(iter(findings.of(Severity.ERROR))).file.endswith("val_set.json")

    def test_an_unknown_split_is_named(self, root):
        with pytest.raises(UsageError, match=r"dev.*train, val, all and test"):
            split_of(root, WIREFRAME, "dev")


class TestRoots:
    @pytest.mark.parametrize("below", ["", "drawnui", "drawnui/wireframe_development_set"])
    def test_the_data_root_or_a_folder_below(self, root, below):
        assert len(split_of(root / below, WIREFRAME, "all")[0].samples) == 10

    def test_a_folder_nested_in_its_own_name(self, root):
        folder = root / "drawnui" / "wireframe_development_set"
        folder.rename(root / "moved")
        folder.mkdir()
        (root / "moved").rename(folder / folder.name)
        split, findings = split_of(root, WIREFRAME, "all")
        assert len(split.samples) == 10
        assert said(findings) == [("DATA-NESTED", "info", "")]

    def test_the_truth_of_2020_is_read_where_that_of_2021_is_not_there(self, root):
        folder = root / "drawnui" / "wireframe_development_set"
        lines = [f"w{index}.jpg;{'label' if index % 2 else 'link'} 1:20x10+30+40\n" for index in range(10)]
        (folder / "train-set.csv").write_text("".join(lines))
        assert split_of(root, WIREFRAME, "all")[0].truth_set.classes == {16: "button"}
        (folder / "development_set.json").unlink()
        for name, count in {"train": 8, "val": 2, "all": 10, "test": 1}.items():
            split, findings = split_of(root, WIREFRAME, name)
            assert (len(split.samples), split.truth_set.classes) == (count, {12: "label", 20: "link"})
            assert len(findings) == 0
        assert split_of(root, WIREFRAME, "all")[0].truth_set.truths["w0.jpg"].boxes.tolist() == [[30, 40, 50, 50]]

    def test_a_family_nested_in_its_own_name(self, root):
        (root / "drawnui").rename(root / "moved")
        (root / "drawnui").mkdir()
        (root / "moved").rename(root / "drawnui" / "drawnui")
        assert len(split_of(root, WIREFRAME, "all")[0].samples) == 10

    @pytest.mark.parametrize("name", ["train", "val", "all", "test"])
    @pytest.mark.parametrize("task", [WIREFRAME, SCREENSHOT])
    def test_nothing_there_says_where_it_looked_and_what_to_do(self, tmp_path, task, name):
        with pytest.raises(InvalidInput) as raised:
            split_of(tmp_path, task, name)
        text = str(raised.value)
        assert str(tmp_path / "drawnui") in text
        assert "data.root, or --data" in text
        assert f"imageclef sample {task}" in text
        assert len(raised.value.findings) == 1

    def test_no_such_root(self, tmp_path):
        with pytest.raises(InvalidInput, match="no such folder"):
            split_of(tmp_path / "nowhere", WIREFRAME, "train")

    def test_truth_without_images(self, root):
        images = root / "drawnui" / "wireframe_development_set" / "images"
        images.rename(root / "elsewhere")
        with pytest.raises(InvalidInput, match=r"wireframe_development_set: DATA-FILE-MISSING no images in this folder"):
            split_of(root, WIREFRAME, "train")


# ------------------------------------------------------------------------------------------------------------ division


def made_set(rng, images, classes):
    """Truths with a few boxes of long-tailed classes."""
    truths = {}
    for index in range(images):
        labels = np.unique(np.minimum(rng.geometric(0.4, size=rng.integers(0, 6)), classes))
        truths[f"{index}.jpg"] = Truth(f"{index}.jpg", 10, 10, np.zeros((len(labels), 4)), labels.astype(np.int64))
    return TruthSet(truths, {label: str(label) for label in range(1, classes + 1)})


def images_with(truth_set, ids, label):
    return sum(label in truth_set.truths[key].labels for key in ids)


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 12), st.floats(0.05, 0.95))
def test_no_class_is_lost_to_training(seed, images, classes, share):
    truth_set = made_set(np.random.default_rng(seed), images, classes)
    train, held_out = split_ids(truth_set, share, seed)
    assert sorted(train + held_out) == sorted(truth_set.truths)
    assert train == tuple(sorted(train))
    for label in truth_set.classes:
        if images_with(truth_set, truth_set.truths, label) >= 1:
            assert images_with(truth_set, train, label) >= 1


def test_rare_classes_are_in_both_parts():
    truth_set = made_set(np.random.default_rng(1), 400, 9)
    for seed in range(20):
        train, held_out = split_ids(truth_set, 0.2, seed)
        for label in truth_set.classes:
            if images_with(truth_set, truth_set.truths, label) >= 2:
                assert images_with(truth_set, train, label) >= 1
                assert images_with(truth_set, held_out, label) >= 1


def test_parts_have_the_shares_asked_for():
    truth_set = made_set(np.random.default_rng(2), 500, 6)
    held_out = split_ids(truth_set, 0.2, 0)[1]
    assert len(held_out) == 100
    for label in truth_set.classes:
        count = images_with(truth_set, truth_set.truths, label)
        assert images_with(truth_set, held_out, label) == pytest.approx(0.2 * count, abs=1 + 0.05 * count)


def test_the_division_depends_on_the_seed_and_not_on_the_order():
    truth_set = made_set(np.random.default_rng(3), 100, 5)
    shuffled = list(truth_set.truths.items())
    random.Random(0).shuffle(shuffled)
    again = TruthSet(dict(shuffled), truth_set.classes)
    assert split_ids(truth_set, 0.2, 5) == split_ids(again, 0.2, 5)
    assert split_ids(truth_set, 0.2, 5) != split_ids(truth_set, 0.2, 6)


@pytest.mark.parametrize(("share", "sizes"), [(0, (4, 0)), (1, (0, 4)), (0.01, (3, 1)), (0.99, (1, 3))])
def test_extreme_shares(share, sizes):
    box = np.array([[0.0, 0, 1, 1]])
    truths = {key: Truth(key, 9, 9, box, np.array([1])) for key in "abcd"}
    assert tuple(map(len, split_ids(TruthSet(truths, {1: "x"}), share, 0))) == sizes


@pytest.mark.parametrize("images", [0, 1])
def test_too_few_to_divide(images):
    truths = {key: Truth(key, 9, 9, np.zeros((0, 4)), np.zeros(0, dtype=np.int64)) for key in "a"[:images]}
    assert tuple(map(len, split_ids(TruthSet(truths, {}), 0.2, 0))) == (images, 0)


@pytest.mark.data
def test_real_wireframes(data_root):
    findings = Findings()
    everything = read_split(data_root, WIREFRAME, "all", findings)
    assert len(everything.samples) == 111
    assert sum(len(truth.boxes) for truth in everything.truth_set.truths.values()) == 1518
    assert len(everything.truth_set.classes) == 10
    assert everything.truth_set.classes.items() <= WIREFRAME_CLASSES.items()
    assert findings.error_count == 0
    parts = [read_split(data_root, WIREFRAME, name, findings) for name in ("train", "val")]
    assert [len(part.samples) for part in parts] == [89, 22]
    for part in parts:
        present = np.unique(np.concatenate([truth.labels for truth in part.truth_set.truths.values()]))
        assert len(present) == 10
        assert part.truth_set.classes == everything.truth_set.classes


def test_records_knows_every_task_of_the_family():
    assert records._DEVELOPMENT.keys() == records._TEST.keys() == {WIREFRAME, SCREENSHOT}
