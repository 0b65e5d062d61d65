"""The caption data sets as distributed and as copied: every layout the spec names, a planted fault for every finding."""

from collections import Counter

import pytest
from PIL import Image

from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.medical.caption.records import CAPTIONS, CONCEPTS, Truth, read_split

TRAIN, VAL = "ImageCLEF2021_ConceptDetection_Training-Set", "ImageCLEF2021_ConceptDetection_Validation-Set"
TEST = "ImageCLEF2021_CaptionConceptsTasks_TestSet_444_Images"
CONCEPT_LINES = {"synpic1": "C0040398;C0006141", "synpic2": "C0024485", "synpic3": "C2456881;C0041618"}
CAPTION_LINES = {
    "synpic1": "Chest x-ray, frontal view.",
    "synpic2": "Axial CT of the lung",
    "synpic3": "Normal MRI of the knee",
}


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(path, "JPEG")


def lines(contents, separator="\t", end="\n"):
    return "".join(f"{name}{separator}{content}{end}" for name, content in contents.items())


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def root(tmp_path):
    """The data set as distributed: three images to train on, two to validate, two to test."""
    family = tmp_path / "medical" / "caption"
    for name in CONCEPT_LINES:
        image(family / TRAIN / "Training-Images" / f"{name}.jpg")
    write(family / TRAIN / "Training_Set_Concepts.csv", lines(CONCEPT_LINES))
    write(family / TRAIN / "Training_Set_Captions.csv", lines(CAPTION_LINES))
    for name in ("synpic7", "synpic8"):
        image(family / VAL / "Validation-Images" / f"{name}.jpg")
        image(family / TEST / f"{name}9.jpg")
    write(family / VAL / "Validation_Set_Concepts.csv", "synpic7\tC0040398\nsynpic8\tC9999999;C0024485\n")
    write(family / VAL / "Validation_Set_Captions.csv", "synpic7\tMRI of the left knee\nsynpic8\tAxial CT, normal lung\n")
    return tmp_path


def read(root, split="train", task=CONCEPTS, **options):
    findings = Findings()
    return read_split(root, task, split, findings, **options), findings


def concept_file(root):
    return root / "medical" / "caption" / TRAIN / "Training_Set_Concepts.csv"


def test_as_distributed(root):
    split, findings = read(root)
    assert [sample.id for sample in split.samples] == ["synpic1", "synpic2", "synpic3"]
    assert split.samples[0].truth == Truth("synpic1", ("C0040398", "C0006141"))
    assert split.samples[0].image.name == "synpic1.jpg"
    assert split.truth_set.classes[6141] == "C0006141"
    assert list(split.truth_set.classes) == sorted(split.truth_set.classes)
    assert not len(findings)
    split, findings = read(root, "val")
    assert list(split.truth_set.truths) == ["synpic7", "synpic8"]
    assert not len(findings)
    split, findings = read(root, "test")
    assert [(sample.id, sample.truth) for sample in split.samples] == [("synpic79", None), ("synpic89", None)]
    assert not len(findings)


def test_captions_come_from_the_caption_files(root):
    split, findings = read(root, task=CAPTIONS)
    assert {sample.id: sample.truth.caption for sample in split.samples} == CAPTION_LINES
    assert not split.truth_set.classes
    assert not len(findings)


@pytest.mark.parametrize("separator", ["\t", "|", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("extension", ["", ".jpg", ".JPG"])
def test_copies_with_other_separators_marks_and_extensions_are_the_same(root, separator, end, mark, extension):
    expected, _ = read(root)
    contents = {name + extension: concepts for name, concepts in CONCEPT_LINES.items()}
    write(concept_file(root), mark + lines(contents, separator, end).encode())
    split, findings = read(root)
    assert split == expected
    wanted = {
        "DATA-SEPARATOR": separator != "\t",
        "DATA-CRLF": end != "\n",
        "DATA-BOM": bool(mark),
        "DATA-ID-CASE": bool(extension),
    }
    assert set(findings.counts) == {code for code, is_there in wanted.items() if is_there}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("ID\tCUIs\n" + lines(CONCEPT_LINES), "DATA-HEADER"),
        (lines(CONCEPT_LINES) + "\n", "DATA-BLANK-LINE"),
        (lines(CONCEPT_LINES | {"synpic2": ""}), "DATA-EMPTY-CONCEPT"),
        (lines(CONCEPT_LINES | {"synpic2": "C0024485;"}), "DATA-EMPTY-CONCEPT"),
        (lines(CONCEPT_LINES | {"synpic2": "C0024485;C0024485"}), "DATA-DUPLICATE-CONCEPT"),
        (lines(CONCEPT_LINES | {"synpic2": "c0024485"}), "DATA-CONCEPT-FORM"),
        (lines(CONCEPT_LINES | {"synpic2": '"C0024485"'}), "DATA-QUOTING"),
        (lines(CONCEPT_LINES | {"synpic4": "C0024485"}), "DATA-ID-NO-IMAGE"),
        ("".join(lines(CONCEPT_LINES).splitlines(keepends=True)[:2]), "DATA-ID-NO-LABEL"),
        (lines(CONCEPT_LINES)[:-1], "DATA-NO-FINAL-NEWLINE"),
    ],
)
def test_tolerated_faults_are_told(root, content, code):
    write(concept_file(root), content)
    split, findings = read(root)
    assert set(findings.counts) == {code}
    assert not findings.error_count
    assert len(split.samples) >= 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lines(CONCEPT_LINES | {"synpic2": "X123"}), "DATA-CONCEPT-FORM"),
        (lines(CONCEPT_LINES) + "synpic1\tC0024485\n", "DATA-ID-DUPLICATE"),
        (lines(CONCEPT_LINES) + "synpic9|C0024485\n", "DATA-FIELDS"),
        (lines(CONCEPT_LINES).encode() + b"synpic9\tC00\xff\n", "DATA-ENCODING"),
    ],
)
def test_what_cant_be_used_is_an_error(root, content, code):
    write(concept_file(root), content)
    _, findings = read(root)
    assert code in {finding.code for finding in findings if finding.severity == "error"}


def test_a_folder_nested_twice_and_junk(root):
    family = root / "medical" / "caption"
    (family / TRAIN).rename(family / "x")
    (family / TRAIN).mkdir()
    (family / "x").rename(family / TRAIN / TRAIN)
    write(family / "__MACOSX" / TRAIN / "._Training_Set_Concepts.csv", b"\0")
    write(family / TRAIN / TRAIN / "Training-Images" / "._synpic1.jpg", b"\0")
    write(family / ".DS_Store", b"\0")
    split, findings = read(root)
    assert len(split.samples) == 3
    assert findings.counts == Counter({"DATA-NESTED": 1, "DATA-JUNK": 1})


def test_other_names_as_those_of_2022(root):
    family = root / "medical" / "caption"
    concept_file(root).rename(family / "concept_detection_train.csv")
    (family / TRAIN / "Training_Set_Captions.csv").rename(family / "caption_prediction_train.csv")
    (family / TRAIN / "Training-Images").rename(family / "train")
    split, findings = read(root)
    assert len(split.samples) == 3
    assert not len(findings)
    assert len(read(root, task=CAPTIONS)[0].samples) == 3


@pytest.mark.parametrize("separator", ["\t", ",", "|"])
def test_names_of_concepts_come_from_a_file_of_names(root, separator):
    names = f"C0006141{separator}Breast, both\nC0024485{separator}Magnetic Resonance Imaging\n"
    write(root / "medical" / "caption" / "concept_names.txt", names)
    split, _ = read(root)
    assert split.truth_set.classes[6141] == "Breast, both"
    assert split.truth_set.classes[40398] == "C0040398"
    assert 24485 in split.truth_set.classes


def test_a_spreadsheet_alone_is_an_error_and_beside_the_text_none(root):
    spreadsheet = concept_file(root).with_suffix(".xlsx")
    write(spreadsheet, b"PK\3\4")
    assert not len(read(root)[1])
    concept_file(root).unlink()
    findings = Findings()
    with pytest.raises(InvalidInput, match="no concept file"):
        read_split(root, CONCEPTS, "train", findings)
    assert [finding.code for finding in findings] == ["DATA-XLSX"]


def test_several_files_of_a_set_are_refused_by_name(root):
    write(concept_file(root).with_name("Training_Set_Concepts (1).csv"), lines(CONCEPT_LINES))
    with pytest.raises(InvalidInput, match=r"DATA-FILE-AMBIGUOUS.*\(1\)\.csv"):
        read(root)


def test_without_validation_set_the_training_set_is_divided(root):
    for path in (root / "medical" / "caption" / VAL).iterdir():
        if path.is_file():
            path.unlink()
    parts = [read(root, name, val_share=0.3, split_seed=5) for name in ("train", "val")]
    train, held_out = ([sample.id for sample in split.samples] for split, _ in parts)
    assert (len(train), len(held_out)) == (2, 1)
    assert sorted(train + held_out) == sorted(CONCEPT_LINES)
    assert all(findings.counts["DATA-DIVIDED"] == 1 for _, findings in parts)


@pytest.mark.parametrize("task", [CONCEPTS, CAPTIONS])
def test_an_image_of_both_sets_is_held_out_and_not_trained_on(root, task):
    validation = root / "medical" / "caption" / VAL
    write(validation / "Validation_Set_Concepts.csv", "synpic1.jpg\tC0040398\nsynpic7\tC0040398\nsynpic8\tC0024485\n")
    write(validation / "Validation_Set_Captions.csv", "synpic1.jpg\tCT\nsynpic7\tMRI of the knee\nsynpic8\tAxial CT\n")
    train, findings = read(root, task=task)
    assert [sample.id for sample in train.samples] == list(train.truth_set.truths) == ["synpic2", "synpic3"]
    (finding,) = findings
    assert (finding.code, finding.severity, finding.value) == ("DATA-SPLIT-ID", "warning", "synpic1")
    assert "1 of 3 training images" in finding.message
    assert "left out of training" in finding.hint
    held_out, findings = read(root, "val", task)
    assert [sample.id for sample in held_out.samples] == ["synpic1", "synpic7", "synpic8"]
    assert not findings.counts["DATA-SPLIT-ID"]


def test_what_is_not_there_says_where_it_was_looked_for(tmp_path, root):
    with pytest.raises(InvalidInput, match="imageclef sample caption-prediction"):
        read(tmp_path / "nowhere", task=CAPTIONS)
    with pytest.raises(UsageError, match="train, val, test"):
        read(root, "dev")
    for path in (root / "medical" / "caption" / TEST).iterdir():
        path.unlink()
    with pytest.raises(InvalidInput, match="no folder of test images"):
        read(root, "test")
