"""The files of VQA-Med: every layout told by its content, every quirk reported, round trips and garbage."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.findings import Findings, InvalidInput
from baselines.medical.signs import SIGNS
from baselines.medical.vqa import records
from baselines.medical.vqa.records import Truth, TruthSet, is_question, read_truth, truths_of_ids, write_truth

REFERENCES = """\
synpic42072|avascular necrosis|extensive degenerative changes.|Avascular Necrosis of femoral heads
synpic37231|pulmonary embolism
synpic100585|internal fixation device|placement of thoracic hardware at the T1 level
"""
PAIRS = """\
synpic1|what abnormality is seen in the image?|pulmonary embolism
synpic2|is this a normal gastrointestinal image?|yes
"""
CATEGORIES = """\
synpic54143|abnormality|what is the primary abnormality in this image?|anaplastic oligodendroglioma#multi-cystic complex mass
synpic2|modality|what is this?|ct (with contrast)
"""
QUESTIONS = """\
synpic23572|Is the appendix enlarged?|Is the appendix fully visible?|What calcified deposits are seen in the CT?
synpic16878|Do all medicinal organs have normal appearance?|Which blood vessels demonstrate thickening?
synpic3|What is this?
"""


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, task="vqa"):
        path = tmp_path / "truth.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_truth(path, task, findings), findings

    return write_and_read


def said(findings):
    return {(finding.code, finding.severity.value) for finding in findings}


def codes(findings):
    return {finding.code for finding in findings if finding.severity != "info"}


class TestLayouts:
    def test_references(self, read):
        truth_set, findings = read(REFERENCES)
        assert truth_set.task == "vqa"
        assert truth_set.truths["synpic37231"] == Truth("synpic37231", ("pulmonary embolism",))
        assert truth_set.truths["synpic42072"].texts[1:] == (
            "extensive degenerative changes.",
            "Avascular Necrosis of femoral heads",
        )
        assert codes(findings) == set()

    def test_pairs(self, read):
        truth_set, findings = read(PAIRS)
        assert truth_set.truths["synpic2"] == Truth("synpic2", ("yes",), "is this a normal gastrointestinal image?")
        assert said(findings) == set()

    def test_files_of_2019(self, read):
        truth_set, findings = read(CATEGORIES)
        first = truth_set.truths["synpic54143"]
        assert first.texts == ("anaplastic oligodendroglioma", "multi-cystic complex mass")
        assert (first.category, first.question) == ("abnormality", "what is the primary abnormality in this image?")
        assert truth_set.truths["synpic2"].texts == ("ct (with contrast)",)
        assert any(finding.code == "DATA-LAYOUT" and "2019" in finding.message for finding in findings)

    def test_a_number_sign_means_nothing_elsewhere(self, read):
        assert read("a|fracture #2\n")[0].truths["a"].texts == ("fracture #2",)
        assert read(PAIRS.replace("pulmonary", "lung #1"))[0].truths["synpic1"].texts == ("lung #1 embolism",)

    def test_questions(self, read):
        truth_set, findings = read(QUESTIONS, "vqg")
        assert [len(truth.texts) for truth in truth_set.truths.values()] == [3, 2, 1]
        assert truth_set.truths["synpic3"].texts == ("What is this?",)
        assert codes(findings) == set()

    def test_questions_on_several_lines_are_collected(self, read):
        truth_set, findings = read("a|what is it?\nb|is it a ct?\na|where is it?|is it large?\n", "vqg")
        assert truth_set.truths["a"].texts == ("what is it?", "where is it?", "is it large?")
        assert ("DATA-ID-REPEATED", "info") in said(findings)
        assert list(truth_set.truths) == ["a", "b"]

    def test_majority_decides(self, read):
        lines = [f"s{index}|what is seen in image {index}?|cyst\n" for index in range(20)]
        lines[3] = "s3|name the organ|liver\n"
        assert read("".join(lines))[0].truths["s3"] == Truth("s3", ("liver",), "name the organ")

    @pytest.mark.parametrize("layout", [PAIRS, CATEGORIES])
    def test_questions_with_answers_serve_vqg_as_unverified(self, read, layout):
        truth_set, findings = read(layout, "vqg")
        assert all(is_question(truth.texts[0]) and not truth.question for truth in truth_set.truths.values())
        assert ("DATA-LAYOUT-UNVERIFIED", "warning") in said(findings)

    def test_few_questions_among_other_texts_are_unverified(self, read):
        truth_set, findings = read(REFERENCES + "synpic9|what is this?\n", "vqg")
        assert len(truth_set.truths) == 4
        assert ("DATA-LAYOUT-UNVERIFIED", "warning") in said(findings)

    @pytest.mark.parametrize(
        ("content", "task", "severity", "named"),
        [
            (REFERENCES, "vqg", "error", "none of the texts is a question: these look like reference answers"),
            ("".join(f"s{number}|renal cyst\n" for number in range(10)), "vqg", "error", "these look like short answers"),
            ("a\tC0040398;C0006141\nb\tC0024485\n", "vqg", "error", "these look like UMLS concepts"),
            ("a\tC0040398;C0006141\nb\tC0024485\n", "vqa", "error", "these are UMLS concepts, as in caption-concepts"),
            ("a|C0040398;C0006141\nb|C0024485\n", "vqa", "error", "these are UMLS concepts, as in caption-concepts"),
            (
                "".join(f"s{number}\tAxial view of a chest with a large mass on the left\n" for number in range(10)),
                *("vqa", "warning", "look like captions, not like answers"),
            ),
            ("".join(f"TRN_{number:04}.nii.gz,{number % 5}\n" for number in range(10)), "vqa", "warning", "look like numbers"),
        ],
    )
    def test_the_truth_of_another_task_is_told(self, read, content, task, severity, named):
        truth_set, findings = read(content, task)
        (finding,) = [finding for finding in findings if finding.code in {"DATA-NO-TRUTH", "DATA-OTHER-TASK"}]
        assert finding.severity == severity
        assert named in finding.message
        assert bool(truth_set.truths) == (severity == "warning")

    @pytest.mark.parametrize(
        ("content", "task", "named"),
        [
            ("synpic1|what is abnormal in the mri?\nsynpic2|is it a ct?\n", "vqa", "questions (id|question|…)"),
            (QUESTIONS, "vqa", "questions (id|question|…)"),
            ("synpic1\nsynpic2\n", "vqa", "ids alone"),
            ("synpic1\nsynpic2\n", "vqg", "ids alone"),
            ('{"annotations": []}', "vqa", "JSON"),
            ("[]", "vqg", "JSON"),
        ],
    )
    def test_files_without_truth_say_what_they_are(self, read, content, task, named):
        truth_set, findings = read(content, task)
        assert truth_set.truths == {}
        (finding,) = [finding for finding in findings if finding.severity == "error"]
        assert finding.code == "DATA-NO-TRUTH"
        assert named in finding.message
        assert finding.hint.startswith("give the reference ")


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize(("layout", "task"), [(REFERENCES, "vqa"), (PAIRS, "vqa"), (CATEGORIES, "vqa"), (QUESTIONS, "vqg")])
def test_copies_with_other_separators(read, separator, layout, task):
    original, _ = read(layout, task)
    copy, findings = read(layout.replace("|", separator), task)
    assert copy == original
    assert ("DATA-SEPARATOR", "warning") in said(findings)


def test_commas_of_the_text_stay_in_copies_with_commas(read):
    truths = read("a,aortic dissection, aortic tear\nb,orbit, \u00a0hemangioma\n")[0].truths
    assert truths["a"].texts == ("aortic dissection, aortic tear",)
    assert truths["b"].texts == ("orbit, \u00a0hemangioma",)


def test_texts_are_kept_as_written(read):
    odd = "dural \u00a0fistula, avf|hodgkin\u2019s  lymphoma.|none|nan|NULL|3,500"
    assert read(f"a|{odd}\n")[0].truths["a"].texts == tuple(odd.split("|"))
    assert read("a|what is it?|  a cyst. \n")[0].truths["a"].texts == ("  a cyst. ",)
    assert read("a|  a cyst. | b\n")[0].truths["a"].texts == ("a cyst.", "b")  # references are stripped
    assert read("a|x\u2028y\x0cz\x85\n")[0].truths["a"].texts == ("x\u2028y\x0cz",)


PLANTED = [
    ("DATA-FILE-EMPTY", "error", "vqa", b""),
    ("DATA-ENCODING", "error", "vqa", b"a|caf\xe9\n"),
    ("DATA-ENCODING", "warning", "vqa", "a|hodgkin\u00e2\u20ac\u2122s\n"),
    ("DATA-ENCODING", "warning", "vqa", "a|hodgkin鈥檚\n"),
    ("DATA-BOM", "info", "vqa", b"\xef\xbb\xbfa|x\n"),
    ("DATA-CRLF", "info", "vqa", "a|x\r\n"),
    ("DATA-NO-FINAL-NEWLINE", "info", "vqa", "a|x"),
    ("DATA-LAYOUT", "info", "vqa", CATEGORIES),
    ("DATA-LAYOUT-UNVERIFIED", "warning", "vqg", REFERENCES + "a|is it a ct?\n"),
    ("DATA-NO-TRUTH", "error", "vqa", "a\n"),
    ("DATA-OTHER-TASK", "warning", "vqa", "".join(f"s{number}|{number}\n" for number in range(10))),
    ("DATA-SEPARATOR", "warning", "vqa", "a\tx\n"),
    ("DATA-HEADER", "warning", "vqa", "image_id|answer\na|x\n"),
    ("DATA-HEADER", "warning", "vqa", "ID|question|answer\n" + PAIRS),
    ("DATA-BLANK-LINE", "info", "vqa", "a|x\n\nb|y\n"),
    ("DATA-FIELDS", "error", "vqa", PAIRS + "synpic3|what is it?\n"),
    ("DATA-FIELDS", "error", "vqa", REFERENCES + "synpic3\n"),
    ("DATA-FIELDS", "error", "vqg", QUESTIONS + "synpic4\n"),
    ("DATA-SEPARATOR-IN-FIELD", "error", "vqa", PAIRS + "synpic3|what is it?|a|b\n"),
    ("DATA-SEPARATOR-IN-FIELD", "error", "vqa", CATEGORIES + "synpic3|plane|what is it?|a|b\n"),
    ("DATA-EMPTY-REFERENCE", "error", "vqa", "a|x\nb|\n"),
    ("DATA-EMPTY-REFERENCE", "error", "vqa", PAIRS + "synpic3|what is it?| \n"),
    ("DATA-EMPTY-REFERENCE", "warning", "vqa", "a|x|\n"),
    ("DATA-EMPTY-REFERENCE", "warning", "vqg", "a|is it a ct?||is it?\n"),
    ("DATA-QUOTING", "warning", "vqa", 'a|"the ""drowned"" lung"\n'),
    ("DATA-ID-BLANKS", "warning", "vqa", "a |x\n"),
    ("DATA-ID-CASE", "warning", "vqa", "synpic1|x\nSynpic1|x\n"),
    ("DATA-ID-CASE", "warning", "vqa", "synpic1|x\nsynpic1.jpg|x\n"),
    ("DATA-ID-DUPLICATE", "error", "vqa", "a|x\nb|y\na|x\n"),
    ("DATA-ID-REPEATED", "info", "vqg", "a|is it?\na|what is it?\n"),
    ("DATA-QUESTION-DUPLICATE", "warning", "vqg", "a|is it a  ct?|Is it a CT?\n"),
    ("DATA-QUESTION-FORM", "info", "vqg", "a|what is it\n"),
    ("DATA-TEXT-CASE", "info", "vqa", "a|CT\n"),
    *(
        ("DATA-TEXT-CHAR", "info", "vqa", f"a|{text}\n")
        for text in ("x\u00a0y", "x\u2019s", "x\x07", "x  y", " x", "x.", "x\u2028")
    ),
]


@pytest.mark.parametrize(("code", "severity", "task", "content"), PLANTED)
def test_planted_fault(read, code, severity, task, content):
    _, findings = read(content, task)
    assert (code, severity) in said(findings)
    if severity != "info":
        assert codes(findings) == {code}
    assert all(str(finding).isprintable() for finding in findings)


def test_every_code_of_the_reader_is_planted():
    source = Path(records.__file__).read_text()
    named = set(re.findall('"([A-Z][A-Z-]+)"', source)) - {"DATA", "JSON", "DATA-TEXT", *records.CODES}
    named |= {rule for rule, *_ in SIGNS}
    of_all_files = {"FILE-EMPTY", "BOM", "CRLF", "NO-FINAL-NEWLINE"}
    of_splits = {"DIVIDED", "OTHER-YEAR", "SPLIT-ID"}  # planted in test_splits.py
    assert {code.removeprefix("DATA-") for code, *_ in PLANTED} == (named - of_splits) | of_all_files


def test_files_in_order_say_little(read):
    assert said(read("a|x\nb|y\n")[1]) == set()
    assert said(read(PAIRS)[1]) == set()
    assert said(read(QUESTIONS, "vqg")[1]) == set()


def test_oddities_are_counted_and_the_first_is_shown(read):
    (finding,) = [each for each in read("a|x\nb|x  y\nc|x  z\n")[1] if each.code == "DATA-TEXT-CHAR"]
    assert (finding.line, finding.value) == (2, "'x  y'")
    assert finding.message == "2 texts have double blanks"


def test_messages_name_line_and_id(read):
    _, findings = read(PAIRS + "synpic3|what is it?\nsynpic1|what is it?|a cyst\n")
    fields, duplicate = (str(finding).split(": ", 1)[1] for finding in findings if finding.severity == "error")
    assert fields.startswith("DATA-FIELDS synpic3: the line has 2 of its fields (expected 3, as in questions with an answer")
    assert duplicate.startswith("DATA-ID-DUPLICATE synpic1: the image has an answer already (keep one")
    assert [finding.line for finding in findings if finding.severity == "error"] == [3, 4]


def test_no_file(tmp_path):
    findings = Findings()
    assert read_truth(tmp_path / "no", "vqa", findings).truths == {}
    assert said(findings) == {("DATA-FILE-MISSING", "error")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("is it a ct", True), ("Where", True), ("x?", True), ("x? ", True), ("", False), (" ", False), ("isolated cyst", False)],
)
def test_is_question(text, expected):
    assert is_question(text) is expected


# ------------------------------------------------------------------------------------------------------------- writing

TEXTS = st.text(st.characters(exclude_characters="|#?\r\n\0", codec="utf-8"), min_size=1, max_size=20).map(
    lambda text: f"cyst{text}".strip()
)
IDS = st.from_regex(r"synpic[0-9]{1,5}", fullmatch=True)


def sets_of(task, **texts):
    return st.dictionaries(IDS, st.fixed_dictionaries(texts), min_size=1, max_size=6).map(
        lambda found: TruthSet({name: Truth(name, **fields) for name, fields in found.items()}, task)
    )


def several(texts):
    return st.lists(texts, min_size=1, max_size=4).map(tuple)


ASKED = TEXTS.map(lambda text: f"what is {text}?")


@given(
    st.one_of(
        sets_of("vqa", texts=several(TEXTS)),
        sets_of("vqa", texts=TEXTS.map(lambda text: (f" {text}\u00a0",)), question=ASKED),
        sets_of("vqa", texts=several(TEXTS), question=ASKED, category=st.sampled_from(["organ", "plane"])),
        sets_of("vqg", texts=several(ASKED)),
    )
)
def test_what_is_written_reads_the_same(tmp_path_factory, truth_set):
    path = tmp_path_factory.mktemp("truth") / "truth.txt"
    write_truth(path, truth_set)
    findings = Findings()
    assert read_truth(path, truth_set.task, findings) == truth_set
    assert findings.error_count == 0


@pytest.mark.parametrize(
    "truth",
    [
        Truth("a", ()),
        Truth("a", ("",)),
        Truth("a", ("x", " ")),
        Truth("a", ("x|y",)),
        Truth("a", ("x\ny",)),
        Truth("a", ("x\ry",)),
        Truth("a", ("x\0",)),
        Truth("a", ("\ud800",)),
        Truth("a|b", ("x",)),
        Truth("a", ("x",), "what|is?"),
        Truth("a", ("x#y",), "what?", "organ"),
    ],
)
def test_what_cant_be_written_is_refused(tmp_path, truth):
    path = tmp_path / "truth.txt"
    with pytest.raises(InvalidInput, match=r"DATA-TEXT .*can't be written"):
        write_truth(path, TruthSet({truth.id: truth}, "vqa"))
    assert not path.exists()


def test_truths_of_ids():
    assert truths_of_ids(["b", "a"], "vqg") == TruthSet({"b": Truth("b", ()), "a": Truth("a", ())}, "vqg")


@given(
    st.one_of(st.binary(max_size=200), st.text("ab?|,#\t\n\r \"'{id", max_size=120).map(str.encode)),
    st.sampled_from(["vqa", "vqg"]),
)
def test_garbage_gives_findings_alone(tmp_path_factory, content, task):
    path = tmp_path_factory.mktemp("truth") / "truth.txt"
    path.write_bytes(content)
    findings = Findings()
    truth_set = read_truth(path, task, findings)
    assert all(str(finding).isprintable() for finding in findings)
    assert all(truth.texts and all(text.strip() for text in truth.texts) for truth in truth_set.truths.values())
