"""Unpacked archives: files wherever they lie, junk left out, images by id, all of it reported."""

import re

import pytest

from baselines.core.findings import Findings, InvalidInput
from baselines.medical.archives import images_of, open_archive

MARKS = re.compile("imageclef", re.IGNORECASE)
SETS = {"train": re.compile("train"), "test": re.compile("test")}


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def open_caption(root, findings=None):
    return open_archive(root, "caption-concepts", "caption", MARKS, Findings() if findings is None else findings)


@pytest.mark.parametrize("place", ["medical/caption", "caption", "."])
def test_the_folder_is_the_data_roots_or_its_own(tmp_path, place):
    touch(tmp_path / place, "ImageCLEF2021/a.txt", "ImageCLEF2021/images/synpic1.JPG", "table.xlsx")
    archive = open_caption(tmp_path)
    assert [path.name for path in archive.texts] == ["a.txt"]
    assert [path.name for path in archive.spreadsheets] == ["table.xlsx"]
    assert list(archive.images) == ["synpic1"]


def test_a_folder_of_other_things_is_not_taken_for_it(tmp_path):
    touch(tmp_path, "drawnui/a.txt")
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidInput, match=r"DATA-FILE-MISSING.*medical/caption.*imageclef sample caption-concepts"):
            open_caption(root)


def test_junk_of_desktops_is_left_out_and_told(tmp_path):
    folder = tmp_path / "medical/caption"
    touch(folder, "__MACOSX/._a.txt", "__MACOSX/b.jpg", "._c.jpg", ".DS_Store", "d.jpg", "d.txt")
    findings = Findings()
    archive = open_caption(tmp_path, findings)
    assert ([path.name for path in archive.texts], list(archive.images)) == (["d.txt"], ["d"])
    assert [(finding.code, finding.message.split()[0]) for finding in findings] == [("DATA-JUNK", "4")]


def test_nested_folders_are_told_and_links_that_turn_back_are_left(tmp_path):
    folder = tmp_path / "medical/caption"
    touch(folder, "Training/Training/a.txt")
    (folder / "Training" / "again").symlink_to(folder)
    findings = Findings()
    assert len(open_caption(tmp_path, findings).texts) == 1
    assert findings.counts == {"DATA-NESTED": 1}


def test_the_deepest_words_of_a_path_count(tmp_path):
    folder = tmp_path / "medical/caption"
    touch(folder, "train/test.txt", "Test-Set/a/b.txt", "c.txt")
    archive = open_caption(tmp_path)
    assert {path.name: archive.first_match(path, SETS) for path in archive.texts} == {
        "test.txt": "test",
        "b.txt": "test",
        "c.txt": "",
    }


def test_of_images_with_one_id_the_nearest_is_taken(tmp_path):
    folder = tmp_path / "medical/caption"
    touch(folder, "train/images/a.jpg", "test/images/a.png", "train/t.txt", "test/t.txt")
    archive = open_caption(tmp_path)
    assert archive.image("a", folder / "train/t.txt") == folder / "train/images/a.jpg"
    assert archive.image("a", folder / "test/t.txt") == folder / "test/images/a.png"
    assert archive.image("b", folder / "test/t.txt") is None


def test_ids_without_image_and_images_without_line_are_counted(tmp_path):
    folder = tmp_path / "medical/caption"
    touch(folder, "images/a.jpg", "images/b.jpg", "others/c.jpg", "t.txt")
    findings = Findings()
    found = images_of(open_caption(tmp_path), ["a", "x"], folder / "t.txt", findings)
    assert found == {"a": folder / "images/a.jpg"}
    assert [(finding.code, finding.value) for finding in findings] == [("DATA-ID-NO-IMAGE", "x"), ("DATA-ID-NO-LABEL", "b")]
