"""The VQA-Med archives as distributed and as copied: odd capitals, nested folders, quirks of text, planted faults."""

import pytest
from PIL import Image

from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.medical.vqa.records import Truth, read_split

TRAINVAL = "VQA-Med-2020-Task1-VQAnswering-TrainVal-Sets"
TRAIN = f"{TRAINVAL}/VQAMed2020-VQAnswering-TrainingSet"
VAL_2020 = f"{TRAINVAL}/VQAMed2020-VQAnswering-ValidationSet"
VAL = "VQA-Med-2021-Tasks-1-2-NewValidationSets"
TEST = "Task1-VQA-2021-TestSet-w-GroundTruth"
VQG = "VQA-Med-2020-Task2-VQGeneration-TrainVal-Sets"
VQG_TEST = "Task2-VQG-2021-TestSet-w-GroundTruth"

TRAIN_FILE, TEST_FILE = f"{TRAIN}/VQAnswering_2020_Train_QA_pairs.txt", f"{TEST}/Task1-VQA-2021-TestSet-Questions.txt"
PAIRS = """\
synpic1|what abnormality is seen in the image?|zenker's diverticulum
synpic2|is this a normal chest image?|yes
"""
FILES = {
    TRAIN_FILE: PAIRS,
    f"{TRAIN}/image_IDs.txt": "synpic1\nsynpic2\n",
    f"{VAL_2020}/VQAnswering_2020_Val_QA_Pairs.txt": "synpic3|what is abnormal in the mri?|orbit, \u00a0hemangioma\n",
    f"{VAL_2020}/image_IDs.txt": "synpic3\n",
    f"{VAL}/VQA-Med-2021-VQAnswering-Task1-New-ValidationSet.txt": """\
synpic4|what is most alarming about this x-ray?|pneumothorax
synpic5|what is abnormal in the ct scan?|hodgkin’s lymphoma
""",
    f"{VAL}/VQG-2021-validation.txt": "synpic14|Is the rib normal?|Where is the lesion?\n",
    TEST_FILE: "synpic6|what abnormality is seen in the image?\nsynpic7|what is abnormal in the mri?\n",
    f"{TEST}/Task1-VQA-2021-TestSet-ReferenceAnswers.txt": 'synpic6|near drowning|"a ""drowned"" lung"\nsynpic7|glioma',
    f"{VQG}/VQAMed2020-VQGeneration-TrainingSet/questions.txt": """\
synpic11|Is it normal?
synpic11|What’s seen?
synpic12|Is it normal?
""",
    f"{VQG}/VQAMed2020-VQGeneration-ValidationSet/questions.txt": "synpic13|Is it normal?\n",
    f"{VQG_TEST}/Task2-VQGeneration2021-TestSet.txt": "synpic15\nsynpic16\n",
    f"{VQG_TEST}/Task2-VQGeneration2021-TestSet-ReferenceQuestions.txt": "synpic15|Is it normal?|Where?\nsynpic16|Why so dark?",
}
IMAGES = {
    f"{TRAIN}/VQAnswering_2020_Train_images": ("synpic1", "synpic2"),
    f"{VAL_2020}/VQAnswering_2020_Val_images": ("synpic3",),
    f"{VAL}/ImageCLEF-2021-VQA-Med-New-Validation-Images": ("synpic4", "synpic5"),
    f"{VAL}/VQG-images": ("synpic14",),
    f"{TEST}/VQA-500-Images": ("synpic6", "synpic7"),
    f"{VQG}/VQAMed2020-VQGeneration-TrainingSet/VQGeneration_2020_Train_images": ("synpic11", "synpic12"),
    f"{VQG}/VQAMed2020-VQGeneration-ValidationSet/VQGeneration_2020_Validation_images": ("synpic13",),
    f"{VQG_TEST}/Task2-VQGeneration2021-TestSet-Images": ("synpic15", "synpic16"),
}


@pytest.fixture
def family(tmp_path):
    """The folder ``medical/vqa`` of a data root, as distributed."""
    family = tmp_path / "medical" / "vqa"
    for name, content in FILES.items():
        (family / name).parent.mkdir(parents=True, exist_ok=True)
        (family / name).write_text(content, encoding="utf-8")
    for folder, names in IMAGES.items():
        (family / folder).mkdir(parents=True)
        for name in names:
            Image.new("L", (8, 8)).save(family / folder / f"{name}.jpg", "JPEG")
    return family


def read(family, split="train", task="vqa", **options):
    findings = Findings()
    return read_split(family.parent.parent, task, split, findings, **options), findings


def warnings(findings):
    return {finding.code for finding in findings if finding.severity != "info"}


def ids(split):
    return [sample.id for sample in split.samples]


def test_as_distributed(family):
    split, findings = read(family)
    assert ids(split) == ["synpic1", "synpic2", "synpic3"]  # training and validation of 2020
    assert split.samples[2].truth == Truth("synpic3", ("orbit, \u00a0hemangioma",), "what is abnormal in the mri?")
    assert split.samples[2].question == "what is abnormal in the mri?"
    assert split.samples[2].image.parent.name == "VQAnswering_2020_Val_images"
    assert not warnings(findings)
    split, findings = read(family, "val")
    assert ids(split) == ["synpic4", "synpic5"]
    assert split.samples[1].truth.texts == ("hodgkin’s lymphoma",)
    assert not warnings(findings)
    split, findings = read(family, "test")
    assert [(sample.id, sample.question, sample.truth) for sample in split.samples] == [
        ("synpic6", "what abnormality is seen in the image?", None),
        ("synpic7", "what is abnormal in the mri?", None),
    ]
    assert not warnings(findings)


def test_questions_to_generate(family):
    split, findings = read(family, task="vqg")
    assert {sample.id: sample.truth.texts for sample in split.samples} == {
        "synpic11": ("Is it normal?", "What’s seen?"),
        "synpic12": ("Is it normal?",),
        "synpic13": ("Is it normal?",),
    }
    assert not warnings(findings)
    assert ids(read(family, "val", "vqg")[0]) == ["synpic14"]
    assert [(sample.id, sample.question) for sample in read(family, "test", "vqg")[0].samples] == [
        ("synpic15", ""),
        ("synpic16", ""),
    ]


def test_files_without_their_folders_are_known_by_their_names(family):
    for name in FILES:
        if "image_IDs" not in name and "questions.txt" not in name and "validation.txt" not in name:
            (family / name).rename(family / name.rpartition("/")[2].upper().replace(".TXT", ".txt"))
    assert ids(read(family)[0]) == ["synpic1", "synpic2", "synpic3"]
    assert ids(read(family, "val")[0]) == ["synpic4", "synpic5"]
    assert ids(read(family, "test")[0]) == ["synpic6", "synpic7"]
    assert ids(read(family, "test", "vqg")[0]) == ["synpic15", "synpic16"]


def test_nested_archives_junk_and_extensions_in_capitals(family):
    (family / "x").mkdir()
    (family / TRAINVAL).rename(family / "x" / TRAINVAL)
    (family / "x").rename(family / TRAINVAL)
    for junk in ("__MACOSX/._a.txt", f"{VAL}/._b.txt", f"{VAL}/.DS_Store"):
        (family / junk).parent.mkdir(exist_ok=True)
        (family / junk).write_bytes(b"\0")
    image = family / TRAINVAL / TRAIN / "VQAnswering_2020_Train_images" / "synpic1.jpg"
    image.rename(image.with_suffix(".JPG"))
    split, findings = read(family)
    assert ids(split) == ["synpic1", "synpic2", "synpic3"]
    assert findings.counts["DATA-JUNK"] == 1
    assert not warnings(findings)


def test_before_the_answers_were_released(family):
    (family / TEST / "Task1-VQA-2021-TestSet-ReferenceAnswers.txt").unlink()
    (family / TEST).rename(family / "x")
    (family / "x" / "VQA-500-Images").rename(family / "Task1-VQA-2021-TestSet-Images")
    (family / "x" / "Task1-VQA-2021-TestSet-Questions.txt").rename(family / "Task1-VQA-2021-TestSet-Questions.txt")
    assert ids(read(family, "test")[0]) == ["synpic6", "synpic7"]


def test_references_alone_give_the_ids_of_the_test_set(family):
    (family / TEST / "Task1-VQA-2021-TestSet-Questions.txt").unlink()
    split, _ = read(family, "test")
    assert [(sample.id, sample.question) for sample in split.samples] == [("synpic6", ""), ("synpic7", "")]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        (TRAIN_FILE, PAIRS.replace("|", "\t"), "DATA-SEPARATOR"),
        (TRAIN_FILE, "synpic1|what is it?|cyst\n", "DATA-ID-NO-LABEL"),
        (TRAIN_FILE, PAIRS + "synpic9|what is it?|cyst\n", "DATA-ID-NO-IMAGE"),
        (f"{VAL_2020}/VQAnswering_2020_Val_QA_Pairs.txt", PAIRS + "synpic3|what is it?|cyst\n", "DATA-SPLIT-ID"),
        (TEST_FILE, FILES[TEST_FILE] + "synpic6|what is it?\n", "DATA-ID-DUPLICATE"),
    ],
)
def test_tolerated_faults_are_told(family, name, content, code):
    (family / name).write_text(content, encoding="utf-8")
    _, findings = read(family, "test" if "Test" in name else "train")
    assert warnings(findings) == {code}
    assert not findings.error_count


@pytest.mark.parametrize(
    ("task", "name", "content", "shared", "left"),
    [
        (
            *("vqa", "VQA-Med-2021-VQAnswering-Task1-New-ValidationSet.txt"),
            "synpic4|what is it?|cyst\nsynpic5|what is it?|cyst\nsynpic3|what is it?|cyst\nsynpic1|what is it?|cyst\n",
            *("synpic1, synpic3", ["synpic2"]),
        ),
        ("vqg", "VQG-2021-validation.txt", "synpic14|Where?\nsynpic12|Where?\n", "synpic12", ["synpic11", "synpic13"]),
    ],
)
def test_images_of_both_sets_are_held_out_and_not_trained_on(family, task, name, content, shared, left):
    (family / VAL / name).write_text(content, encoding="utf-8")
    train, findings = read(family, "train", task)
    assert ids(train) == list(train.truth_set.truths) == left
    (finding,) = (each for each in findings if each.severity != "info")
    assert (finding.code, finding.value) == ("DATA-SPLIT-ID", shared)
    assert f"{3 - len(left)} of 3 training images" in finding.message
    assert "left out of training" in finding.hint
    held_out, findings = read(family, "val", task)
    assert set(shared.split(", ")) < set(ids(held_out))
    assert not findings.counts["DATA-SPLIT-ID"]


def test_other_years_are_left_out_and_told(family):
    folder = family / "ImageClef-2019-VQA-Med-Training"
    folder.mkdir()
    (folder / "C4_Abnormality_train.txt").write_text("synpic1|what is it?|cyst\n")
    split, findings = read(family)
    assert split.samples[0].truth.texts == ("zenker's diverticulum",)
    assert findings.counts["DATA-OTHER-YEAR"] == 1


def test_without_the_validation_set_of_2021_that_of_2020_is_divided(family):
    (family / VAL / "VQA-Med-2021-VQAnswering-Task1-New-ValidationSet.txt").unlink()
    parts = [read(family, name, val_share=0.3) for name in ("train", "val")]
    assert sorted(ids(parts[0][0]) + ids(parts[1][0])) == ["synpic1", "synpic2", "synpic3"]
    assert len(parts[1][0].samples) == 1
    assert all(findings.counts["DATA-DIVIDED"] == 1 for _, findings in parts)


def test_copies_of_a_file_are_refused_by_name(family):
    (family / TRAIN / "VQAnswering_2020_Train_QA_pairs (2).txt").write_text("synpic1|what is it?|cyst\n")
    with pytest.raises(InvalidInput, match=r"DATA-FILE-AMBIGUOUS.*\(2\)\.txt"):
        read(family)


def test_what_is_not_there_says_what_to_do(family, tmp_path):
    for task, split in (("vqa", "train"), ("vqg", "train"), ("vqa", "test"), ("vqg", "test")):
        with pytest.raises(InvalidInput, match=f"DATA-FILE-MISSING.*imageclef sample {task}"):
            read_split(tmp_path / "nowhere", task, split, Findings())
    for name in FILES:
        (family / name).unlink()
    for task, split in (("vqa", "train"), ("vqg", "train"), ("vqa", "test"), ("vqg", "test")):
        with pytest.raises(InvalidInput, match=f"DATA-FILE-MISSING.*imageclef sample {task}"):
            read(family, split, task)
    with pytest.raises(UsageError, match="train, val, test"):
        read(family, "dev")
