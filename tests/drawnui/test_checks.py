"""What a check finds in drawnUI data sets beyond the common rules: each finding has its planted fault."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from baselines.cli import main
from baselines.core.check import check_data_set
from baselines.core.checks import Settings
from baselines.core.findings import Findings, Severity, printable
from baselines.core.tasks import get_task
from baselines.drawnui import checks
from baselines.drawnui.checks import CHECKS
from baselines.drawnui.records import export_coco, read_split
from baselines.drawnui.samples import generate

TASK = "drawnui-wireframe"
SET = "drawnui/wireframe_development_set"


@pytest.fixture
def root(tmp_path):
    """Return a root with six textured pages, five buttons and a link on each."""
    rng = np.random.default_rng(0)
    folder = tmp_path / SET / "images"
    folder.mkdir(parents=True)
    records = []
    for index in range(6):
        noise = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize((400, 300), Image.Resampling.BICUBIC)
        noise.save(folder / f"{index}.jpg")
        ids = {name: label for label, name in get_task(TASK).classes.items()}
        names = [(ids["button"], "button")] * 5 + [(ids["link"], "link")]
        boxes = [[0.1 + 0.13 * place, 0.1, 0.1, 0.5] for place in range(6)]
        annotations = [
            {"box": box, "detectionClass": label, "detectionString": name, "score": 1}
            for box, (label, name) in zip(boxes, names, strict=True)
        ]
        records.append({"file": f"{index}.jpg", "width": 400, "height": 300, "annotations": annotations})
    write(tmp_path, records)
    return tmp_path


def write(root, records):
    (root / SET / "development_set.json").write_text(json.dumps(records))


def read(root):
    return json.loads((root / SET / "development_set.json").read_text())


def first_box(key, value):
    def plant(records, _):
        records[0]["annotations"][0][key] = value

    return plant


def duplicate(records, _):
    records[0]["annotations"].append(records[0]["annotations"][0])


def all_in_pixels(records, _):
    for annotation in records[0]["annotations"]:
        annotation["box"] = [30, 40, 30, 200]


def corners(records, _):
    for record in records:
        for annotation in record["annotations"]:
            annotation["box"] = [0.6, 0.5, 0.9, 0.9]  # y0, x0, y1, x1


def empty(records, _):
    records[0]["annotations"] = []


def hide(_, root):
    path = root / SET / "images" / "0.jpg"
    with Image.open(path) as image:
        image.paste((200, 200, 200), (0, 0, 400, 150))
        image.save(path, quality=95)


def nest(inner, outer, *names):
    """Return what replaces the boxes of the first page by two, of the named classes."""
    ids = {name: label for label, name in get_task(TASK).classes.items()}

    def plant(records, _):
        records[0]["annotations"] = [
            {"box": box, "detectionClass": ids[name], "detectionString": name, "score": 1}
            for box, name in zip((inner, outer), names, strict=True)
        ]

    return plant


def export(change):
    """Return what puts a COCO file beside the campaign's, with a fault in it."""

    def plant(_, root):
        content = export_coco(read_split(root, TASK, "all", Findings()).truth_set)
        change(content)
        (root / SET / "coco.json").write_text(json.dumps(content))

    return plant


def count_from_0(content):
    for annotation in content["annotations"]:
        annotation["id"] -= 1


PLANTED = {
    "DATA-ANNOTATION-ID": (export(count_from_0), Severity.ERROR),
    "DATA-BOX-CROSSING": (nest([0.1, 0.4, 0.2, 0.2], [0.1, 0.1, 0.5, 0.4], "button", "container"), Severity.INFO),
    "DATA-BOX-NESTED": (nest([0.12, 0.12, 0.2, 0.2], [0.1, 0.1, 0.5, 0.4], "button", "button"), Severity.INFO),
    "DATA-OUT-OF-IMAGE": (first_box("box", [0.1, 0.7, 0.1, 0.4]), Severity.WARNING),
    "DATA-BOX-ZERO": (first_box("box", [0.1, 0.1, 0, 0.4]), Severity.ERROR),
    "DATA-BOX-ABSOLUTE": (all_in_pixels, Severity.ERROR),
    "DATA-BOX-ORDER": (corners, Severity.WARNING),
    "DATA-BOX-ASPECT": (first_box("box", [0.1, 0.0, 0.003, 1.0]), Severity.INFO),
    "DATA-BOX-INVISIBLE": (hide, Severity.INFO),
    "DATA-CLASS-MISMATCH": (first_box("detectionString", "link"), Severity.ERROR),
    "DATA-CLASS-UNKNOWN": (first_box("detectionString", "buttn"), Severity.ERROR),
    "DATA-SCORE": (first_box("score", 0.5), Severity.WARNING),
    "DATA-EMPTY-RECORD": (empty, Severity.INFO),
    "DATA-DUPLICATE-OBJECT": (duplicate, Severity.WARNING),
    "DATA-IMAGE-SIZE": (lambda records, _: records[0].update(width=100), Severity.WARNING),
    "DATA-ID-DUPLICATE": (lambda records, _: records.append(records[0]), Severity.ERROR),
    "DATA-ID-NO-IMAGE": (lambda _, root: (root / SET / "images" / "0.jpg").unlink(), Severity.ERROR),
    "DATA-ID-PATH": (lambda records, _: records[0].update(file="images/0.jpg"), Severity.ERROR),
    "DATA-ID-NO-LABEL": (lambda records, _: records.pop(), Severity.ERROR),
    "DATA-JUNK": (lambda _, root: (root / SET / "images" / ".DS_Store").touch(), Severity.INFO),
}


def check(root):
    return check_data_set(get_task(TASK), root, Settings()).findings


@pytest.mark.parametrize("part", ["development_set.json", "images"])
def test_a_set_that_lost_a_part_is_an_error_and_one_that_is_not_out_yet_is_none(root, part):
    test_set = root / "drawnui" / "wireframe_test_set" / "test"
    test_set.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(test_set / "t.jpg")
    assert not check(root).error_count
    (root / SET / part).rename(root / part)
    (found,) = [finding for finding in check(root) if finding.severity is Severity.ERROR]
    assert (found.code, found.file) == ("DATA-FILE-MISSING", str(root / SET))
    shutil.rmtree(root / SET)
    assert not check(root).error_count


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "DATA-FILE-EMPTY"), (b"P6 20000 20000 255\n", "DATA-IMAGE-HUGE"), (b"no image", "DATA-FILE-UNREADABLE")],
)
def test_an_image_that_can_t_be_used_is_told_by_what_is_wrong(root, content, code):
    (root / SET / "images" / "0.jpg").write_bytes(content)
    assert [finding.code for finding in check(root) if finding.severity is Severity.ERROR] == [code]


@pytest.mark.parametrize("name", ["a\nb\x1b[31m.jpg", "\udcff\udcfe.jpg"])
def test_a_file_name_that_upsets_terminals_or_utf_8_is_escaped(root, tmp_path, capsys, name):
    shutil.copy(root / SET / "images" / "0.jpg", root / SET / "images" / name)
    out = [tmp_path / "found.json", tmp_path / "accepted.json"]
    assert main(["check", TASK, str(root), "--json", str(out[0]), "--write-accepted", str(out[1]), "--no-cache"]) == 1
    shown = capsys.readouterr().out
    assert printable(name) in "".join(shown.split())
    assert "\x1b" not in shown
    assert name in {finding["id"] for finding in json.loads(out[0].read_text())["findings"]}
    assert main(["check", TASK, str(root), "--accept", str(out[1]), "--no-cache"]) == 0


@pytest.mark.parametrize(("code", "fault"), PLANTED.items(), ids=PLANTED)
def test_every_planted_fault_is_found(root, code, fault):
    plant, severity = fault
    records = read(root)
    plant(records, root)
    write(root, records)
    severities = {finding.severity for finding in check(root) if finding.code == code}
    assert severities == {severity}


def test_every_code_has_a_fault_and_an_example():
    assert CHECKS.codes.keys() <= PLANTED.keys()
    assert all(code.meaning and code.example for code in CHECKS.codes.values())


def test_a_clean_set_yields_nothing_above_info(root):
    assert {finding.code for finding in check(root) if finding.severity is not Severity.INFO} == set()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["drawnui-wireframe", "drawnui-screenshot"])
def test_a_generated_sample_without_quirks_yields_nothing_above_info(tmp_path, task):
    generate(tmp_path, task, size=40, quirks=False)
    findings = check_data_set(get_task(task), tmp_path, Settings()).findings
    assert [finding for finding in findings if finding.severity is not Severity.INFO] == []


def test_a_screenshot_in_both_parts_is_an_error_told_once(tmp_path):
    generate(tmp_path, "drawnui-screenshot", size=6, quirks=False)
    parts = tmp_path / "drawnui" / "screenshot_development_set"
    train, held_out = parts / "train" / "train_set.json", parts / "validation" / "val_set.json"
    shared = json.loads(train.read_text())[0]
    held_out.write_text(json.dumps([*json.loads(held_out.read_text()), shared]))
    shutil.copy(train.parent / "images" / shared["file"], held_out.parent / "images")
    findings = check_data_set(get_task("drawnui-screenshot"), tmp_path, Settings()).findings
    found = [finding for finding in findings if finding.code.startswith("DATA-SPLIT")]
    assert [(finding.code, finding.severity, finding.id) for finding in found] == [
        ("DATA-SPLIT-ID", Severity.ERROR, shared["file"])
    ]


def told(root, code):
    return [finding for finding in check(root) if finding.code == code]


@pytest.mark.parametrize(
    ("inner", "outer", "nested"),
    [
        ("container", "button", 1),  # a button holds nothing
        ("container", "container", 0),
        ("button", "container", 0),
        ("label", "paragraph", 0),
        ("header", "header", 1),
    ],
)
def test_what_may_hold_what(root, inner, outer, nested):
    records = read(root)
    nest([0.12, 0.12, 0.2, 0.2], [0.1, 0.1, 0.5, 0.4], inner, outer)(records, root)
    write(root, records)
    found = told(root, "DATA-BOX-NESTED")
    assert [finding.objects for finding in found] == [(0, 1)] * nested
    assert not told(root, "DATA-BOX-CROSSING")


def test_two_containers_of_nearly_one_size_are_nested(root):
    records = read(root)
    nest([0.11, 0.11, 0.47, 0.37], [0.1, 0.1, 0.5, 0.4], "container", "container")(records, root)
    write(root, records)
    (found,) = told(root, "DATA-BOX-NESTED")
    assert found.value == "box 0 container, 100% of it in box 1 container"


def shift(content):
    """Number the images again, without the first one, as a converter does that takes it for missing."""
    del content["images"][0]
    for number, image in enumerate(content["images"], start=1):
        image["id"] = number
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] <= len(content["images"])]


def lose(content):
    content["images"].pop()


def repeat(content):
    content["annotations"][1]["id"] = 1


def shift_in_folder(content):
    shift(content)
    for image in content["images"]:
        image["file_name"] = f"images/{image['file_name']}"


def name_by_text(content):
    content["annotations"][0]["id"] = "1a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shift, "images with the boxes of another one"),
        (shift_in_folder, "images with the boxes of another one"),
        (lose, "annotations of images that the file doesn't list"),
        (repeat, "annotation ids that occur several times"),
        (name_by_text, "annotation ids that are no integers from 1 on"),
        (lambda content: content["images"].append(content["images"][0]), "image ids that occur several times"),
    ],
)
def test_ids_of_a_coco_file_fit_the_images(root, change, message):
    records = read(root)
    for index, record in enumerate(records):
        for annotation in record["annotations"]:
            annotation["box"][1] += 0.05 * index  # no two pages alike
    write(root, records)
    export(change)(records, root)
    assert [finding.message for finding in told(root, "DATA-ANNOTATION-ID")] == [message]


@pytest.mark.parametrize(
    "content",
    ["{", '{"images": 1, "annotations": []}', '{"images": [], "annotations": [3]}', "[" * 10**5],
    ids=["broken", "number", "entry", "deep"],
)
def test_what_is_no_coco_file_is_left_alone(root, content):
    (root / SET / "other.json").write_text(content)
    assert not told(root, "DATA-ANNOTATION-ID")


def test_a_coco_file_that_is_too_large_to_be_looked_at_is_told(root, monkeypatch):
    export(lambda _: None)([], root)
    monkeypatch.setattr(checks, "MAX_COCO_BYTES", 100)
    (finding,) = told(root, "DATA-TOO-LARGE")
    assert finding.file == str(root / SET / "coco.json")


def test_odd_boxes_of_a_coco_file_do_no_harm(root):
    def spoil(content):
        for place, box in enumerate((None, [1], ["a"] * 4, [10**400] * 4, {"a": 1})):
            content["annotations"][place]["bbox"] = box

    export(spoil)([], root)
    assert not told(root, "DATA-ANNOTATION-ID")


def test_a_sound_coco_file_is_no_finding(root):
    export(lambda _: None)([], root)
    assert not told(root, "DATA-ANNOTATION-ID")


def test_published_counts_are_told(root):
    values = [finding.value for finding in check(root) if finding.code == "DATA-COUNT"]
    assert values == ["6", "6, published 3218"]


def test_distributions_count_what_is_there(root):
    outcome = check_data_set(get_task(TASK), root, Settings())
    shown = {distribution.title: distribution for distribution in outcome.distributions}
    assert shown["items by class"].series["all"] == (30, 6)
    assert sum(shown["boxes per image"].series["all"]) == 6
    assert shown["image sizes"].labels == ("400×300",)


@pytest.mark.data
def test_real_pages_have_near_duplicates(data_root):
    findings = check(data_root)
    assert not findings.error_count
    assert findings.counts["DATA-NEAR-DUPLICATE"] >= 17
