"""Concept and caption files: every quirk is a finding, and what is written is read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.findings import Findings
from baselines.medical.caption.records import (
    CAPTIONS,
    CONCEPTS,
    Truth,
    TruthSet,
    read_truth,
    read_vocabulary,
    truths_of_ids,
    write_truth,
)

CONCEPT_FILE = "synpic1\tC0040398;C0006141\nsynpic2\tC0024485\n"
CAPTION_FILE = "synpic1\tChest x-ray, frontal view.\nsynpic2\tAxial CT of the lung\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, task=CONCEPTS):
        path = tmp_path / "truth.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_truth(path, task, findings), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value, finding.line) for finding in findings]


def contents(truth_set):
    return {name: list(truth.concepts) or truth.caption for name, truth in truth_set.truths.items()}


class TestConcepts:
    def test_the_native_form(self, read):
        truth_set, findings = read(CONCEPT_FILE)
        assert contents(truth_set) == {"synpic1": ["C0040398", "C0006141"], "synpic2": ["C0024485"]}
        assert truth_set.task == CONCEPTS
        assert not len(findings)

    @pytest.mark.parametrize("separator", ["|", ","])
    def test_other_separators(self, read, separator):
        truth_set, findings = read(CONCEPT_FILE.replace("\t", separator))
        assert contents(truth_set) == {"synpic1": ["C0040398", "C0006141"], "synpic2": ["C0024485"]}
        assert said(findings) == [("DATA-SEPARATOR", "warning", 1)]

    def test_a_byte_order_mark_and_carriage_returns(self, read):
        truth_set, findings = read(b"\xef\xbb\xbf" + CONCEPT_FILE.replace("\n", "\r\n").encode())
        assert list(truth_set.truths) == ["synpic1", "synpic2"]
        assert {code for code, *_ in said(findings)} == {"DATA-BOM", "DATA-CRLF"}
        assert not findings.error_count

    def test_images_without_concepts(self, read):
        truth_set, findings = read("synpic1\tC0040398\nsynpic2\nsynpic3\t\nsynpic4\t;\n")
        assert contents(truth_set) == {"synpic1": ["C0040398"], "synpic2": "", "synpic3": "", "synpic4": ""}
        assert said(findings) == [("DATA-EMPTY-CONCEPT", "warning", line) for line in (2, 3, 4)]

    def test_case_is_kept(self, read):
        truth_set, findings = read("synpic1\tc0040398; C0006141\n")
        assert contents(truth_set) == {"synpic1": ["c0040398", "C0006141"]}
        assert said(findings) == [("DATA-CONCEPT-FORM", "warning", 1)]


class TestCaptions:
    def test_a_file_like_that_of_concepts(self, read):
        truth_set, findings = read(CAPTION_FILE, CAPTIONS)
        assert contents(truth_set) == {"synpic1": "Chest x-ray, frontal view.", "synpic2": "Axial CT of the lung"}
        assert not len(findings)

    @pytest.mark.parametrize("separator", ["|", ","])
    def test_other_separators_split_once(self, read, separator):
        truth_set, findings = read(CAPTION_FILE.replace("\t", separator), CAPTIONS)
        assert contents(truth_set) == {"synpic1": "Chest x-ray, frontal view.", "synpic2": "Axial CT of the lung"}
        assert said(findings) == [("DATA-SEPARATOR", "warning", 1)]

    def test_captions_with_the_separators_of_others(self, read):
        text = "synpic1\tone, two | three\tfour\nsynpic2\tlung\n"
        assert contents(read(text, CAPTIONS)[0])["synpic1"] == "one, two | three\tfour"
        text = text.replace("1\t", "1|").replace("2\t", "2|")
        assert contents(read(text, CAPTIONS)[0])["synpic1"] == "one, two | three\tfour"


# What is planted, its severity, its line, the file, the task, and what the message says.
PLANTED = [
    ("DATA-XLSX", "error", None, b"PK\3\4\0\0", CONCEPTS, "a spreadsheet, not text (export it as UTF-8 text with TAB"),
    ("DATA-SEPARATOR", "warning", 1, "a1,x, y\n", CAPTIONS, "',' separates id and content, where the campaign has TAB"),
    ("DATA-BLANK-LINE", "info", 2, "a1\tC0040398\n \n", CONCEPTS, "an empty line is skipped"),
    ("DATA-HEADER", "warning", 1, "ID\tCUIs\na1\tC0040398\n", CONCEPTS, "a header is skipped (saw 'ID\\tCUIs'; delete it)"),
    ("DATA-HEADER", "warning", 1, "Bild\tKonzepte\na1\tC0040398\n", CONCEPTS, "a header is skipped"),
    ("DATA-HEADER", "warning", 1, "image_id\tcaption\na1\tlung\n", CAPTIONS, "a header is skipped"),
    ("DATA-FIELDS", "error", 2, "a1\tC0040398\na2,C0040398\na3\tC0040398\n", CONCEPTS, "no id, or another separator behind it"),
    ("DATA-FIELDS", "error", 1, "\tC0040398\n", CONCEPTS, "no id, or another separator"),
    ("DATA-FIELDS", "error", 2, "a1\tlung\na2\n", CAPTIONS, "a2: there is no caption (write the id, '\\t' and the caption)"),
    (
        "DATA-ID-DUPLICATE",
        "error",
        3,
        "a1\tC0040398\na2\tC0040398\na1\tC0006141\n",
        CONCEPTS,
        "a1: the image is on line 1, too",
    ),
    (
        "DATA-ID-CASE",
        "warning",
        1,
        "a1.JPG\tC0040398\n",
        CONCEPTS,
        "blanks or an extension on the id (saw 'a1.JPG'; taken for a1)",
    ),
    ("DATA-ID-CASE", "warning", 1, " a1\tC0040398\n", CONCEPTS, "blanks or an extension on the id"),
    ("DATA-QUOTING", "warning", 1, '"a1"\tC0040398\n', CONCEPTS, "quotes around the id are ignored"),
    ("DATA-QUOTING", "warning", 1, 'a1\t"C0040398;C0006141"\n', CONCEPTS, "a1: quotes around the concepts are ignored"),
    ("DATA-QUOTING", "warning", 1, 'a1\t"lung, left"\n', CAPTIONS, "a1: quotes around the caption (they stay"),
    ("DATA-CAPTION-EMPTY", "warning", 1, "a1\tThe.\n", CAPTIONS, "a1: no content word in the caption"),
    ("DATA-EMPTY-CONCEPT", "warning", 1, "a1\tC0040398;;C0006141\n", CONCEPTS, "a1: an empty concept is ignored"),
    ("DATA-EMPTY-CONCEPT", "warning", 1, "a1\t\n", CONCEPTS, "a1: no concept (the image doesn't count for the score)"),
    ("DATA-CONCEPT-FORM", "error", 1, "a1\tC0040398,C0006141\n", CONCEPTS, "a1: not a concept (saw 'C0040398,C0006141'"),
    (
        "DATA-CONCEPT-FORM",
        "error",
        1,
        "a1\tC0040398;C004\n",
        CONCEPTS,
        "not a concept (saw 'C004'; concepts are C and 7 digits",
    ),
    ("DATA-CONCEPT-FORM", "warning", 1, "a1\tc0040398\n", CONCEPTS, "a1: lower case (saw 'c0040398'"),
    ("DATA-DUPLICATE-CONCEPT", "warning", 1, "a1\tC0040398;c0040398\n", CONCEPTS, "a1: 1 repeated concept"),
]


@pytest.mark.parametrize(("code", "severity", "line", "content", "task", "message"), PLANTED)
def test_planted_fault(read, code, severity, line, content, task, message):
    findings = read(content, task)[1]
    (found,) = (finding for finding in findings if finding.code == code)
    beside = {"DATA-CONCEPT-FORM"} if "c0040398" in str(content) else set()
    assert {finding.code for finding in findings} <= beside | {code}
    assert (found.severity, found.line) == (severity, line)
    assert message in str(found)
    assert str(found).isprintable()


QUESTIONS = "synpic1|what is seen in this image?|a cyst\nsynpic2|is this a ct?|yes\n"
ANSWERS = "".join(f"synpic{number}|renal cyst\n" for number in range(10))
OTHER_TASKS = [
    ("error", CONCEPT_FILE, CAPTIONS, "no truth of caption-prediction: these are UMLS concepts (give the captions"),
    ("error", CONCEPT_FILE.replace("\t", "|"), CAPTIONS, "these are UMLS concepts"),
    ("error", "ID\tCUIs\n" + CONCEPT_FILE, CAPTIONS, "these are UMLS concepts"),
    ("error", QUESTIONS, CAPTIONS, "these are questions"),
    ("error", QUESTIONS, CONCEPTS, "no truth of caption-concepts: these are questions (give the concepts"),
    ("error", "".join(f"s{n}\tAxial view of a chest with a mass\n" for n in range(10)), CONCEPTS, "these are captions"),
    ("warning", ANSWERS, CAPTIONS, "the texts look like short answers, not like captions: is this the truth of caption-predic"),
    ("warning", "".join(f"TRN_{n:04},{n % 5}\n" for n in range(10)), CAPTIONS, "look like numbers"),
]


@pytest.mark.parametrize(("severity", "content", "task", "message"), OTHER_TASKS)
def test_the_truth_of_another_task_is_told(read, severity, content, task, message):
    truth_set, findings = read(content, task)
    (found,) = (finding for finding in findings if finding.code in {"DATA-NO-TRUTH", "DATA-OTHER-TASK"})
    assert found.severity == severity
    assert message in str(found)
    assert bool(truth_set.truths) == (severity == "warning")


class TestImagesBesideTheFile:
    @pytest.fixture
    def images(self, tmp_path):
        folder = tmp_path / "Training-Images"
        folder.mkdir()
        for name in ("synpic1.jpg", "synpic3.jpg", "notes.txt"):
            (folder / name).touch()

    @pytest.mark.usefixtures("images")
    def test_ids_and_images_are_compared(self, read):
        truth_set, findings = read(CONCEPT_FILE)
        assert list(truth_set.truths) == ["synpic1", "synpic2"]
        assert said(findings) == [("DATA-ID-NO-LABEL", "warning", None), ("DATA-ID-NO-IMAGE", "warning", 2)]
        assert "no line for 1 of the images in Training-Images (saw synpic3;" in str(next(iter(findings)))

    @pytest.mark.usefixtures("images")
    def test_of_several_folders_some_belong_to_other_files(self, read, tmp_path):
        (tmp_path / "Validation-Images").mkdir()
        (tmp_path / "Validation-Images" / "synpic2.jpg").touch()
        assert not len(read(CONCEPT_FILE)[1])

    def test_an_image_is_no_header(self, read, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "image.png").touch()
        assert list(read("image\tlung\n", CAPTIONS)[0].truths) == ["image"]


def test_no_such_file(tmp_path):
    findings = Findings()
    assert read_truth(tmp_path / "no", CONCEPTS, findings).truths == {}
    assert said(findings) == [("DATA-FILE-MISSING", "error", None)]


def test_the_vocabulary_is_that_of_all_files(tmp_path):
    (tmp_path / "train").write_text(CONCEPT_FILE)
    (tmp_path / "val").write_text("synpic9,c0000001\n")
    found = read_vocabulary([tmp_path / "train", str(tmp_path / "val")], Findings())
    assert found == {"C0040398", "C0006141", "C0024485", "C0000001"}


def test_truths_of_ids_have_no_content():
    truth_set = truths_of_ids(["a", "b"], CAPTIONS)
    assert truth_set == TruthSet({"a": Truth("a"), "b": Truth("b")}, CAPTIONS)


@pytest.mark.parametrize(
    "truth",
    [Truth(name) for name in ("", "a b", "a\n", "a|b", "a,b", "a.jpg", "image", "\ufeffa", "\ud800", '"a"')]
    + [Truth("a1", concepts=concepts) for concepts in ((";",), ("C1", ""), (" C1",), ("C1\n",))],
)
def test_what_cant_be_written_is_a_bug(tmp_path, truth):
    with pytest.raises(ValueError, match="can't be written"):
        write_truth(tmp_path / "truth", TruthSet({truth.id: truth}, CONCEPTS))


ids = st.from_regex(r"[a-zA-Zé_-]{0,5}[0-9]{1,6}", fullmatch=True)
concept_lists = st.lists(st.from_regex(r"[Cc][0-9]{7}", fullmatch=True), max_size=4, unique_by=str.upper)
captions = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=30)


@given(st.dictionaries(ids, concept_lists, min_size=1))
def test_concepts_survive_writing_and_reading(tmp_path_factory, drawn):
    path = tmp_path_factory.getbasetemp() / "caption_round_trips" / "concepts"
    truth_set = TruthSet({name: Truth(name, concepts=tuple(concepts)) for name, concepts in drawn.items()}, CONCEPTS)
    write_truth(path, truth_set)
    findings = Findings()
    assert read_truth(path, CONCEPTS, findings) == truth_set
    assert set(findings.counts) <= {"DATA-EMPTY-CONCEPT", "DATA-CONCEPT-FORM"}
    assert not findings.error_count


@given(st.dictionaries(ids, captions, min_size=1))
def test_captions_survive_writing_and_reading(tmp_path_factory, drawn):
    path = tmp_path_factory.getbasetemp() / "caption_round_trips" / "captions"
    truth_set = TruthSet({name: Truth(name, caption=caption) for name, caption in drawn.items()}, CAPTIONS)
    write_truth(path, truth_set)
    findings = Findings()
    assert read_truth(path, CAPTIONS, findings) == truth_set
    assert not findings.error_count


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text(alphabet='aID1C\t|,;"\n\r 0', max_size=80).map(str.encode),
    st.sampled_from([CONCEPTS, CAPTIONS]),
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content, task):
    path = tmp_path_factory.getbasetemp() / "caption_round_trips" / "garbage-truth"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    findings = Findings()
    truth_set = read_truth(path, task, findings)
    assert all(name == truth.id for name, truth in truth_set.truths.items())
    assert all(str(finding).isprintable() for finding in findings)
