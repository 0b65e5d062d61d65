"""The run formats of VQA-Med: a planted fault for every code, round trips, garbage, hostile files."""

import re
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core import files
from baselines.core.findings import Findings, InvalidInput
from baselines.core.runs import TextBudget
from baselines.medical.vqa import runs
from baselines.medical.vqa.records import Prediction, Truth, TruthSet, truths_of_ids
from baselines.medical.vqa.runs import CODES, MAX_QUESTIONS, example_run, read_run, write_run

IDS = ("synpic1", "synpic2")
ANSWERS = "synpic1|avascular necrosis\nsynpic2|pulmonary embolism\n"
QUESTIONS = "synpic1|is it a ct?|what is shown?\nsynpic2|where is the mass?\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, task="vqa", ids=IDS, **options):
        path = tmp_path / "run.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_run(path, truths_of_ids(ids, task), findings, **options), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value) for finding in findings]


class TestReading:
    def test_answers(self, read):
        predictions, findings = read(ANSWERS)
        assert predictions["synpic1"] == Prediction("synpic1", ("avascular necrosis",))
        assert len(findings) == 0

    def test_questions(self, read):
        predictions, findings = read(QUESTIONS, "vqg")
        assert predictions["synpic1"].texts == ("is it a ct?", "what is shown?")
        assert len(findings) == 0

    def test_the_order_is_free(self, read):
        backwards = "".join(reversed(ANSWERS.splitlines(keepends=True)))
        predictions, findings = read(backwards)
        assert list(predictions) == ["synpic2", "synpic1"]
        assert predictions == read(ANSWERS)[0]
        assert len(findings) == 0

    def test_texts_are_kept_as_written(self, read):
        text = " Dural \u00a0fistula,  avf\u2028\x0b\x85. "
        assert read(f"synpic1|{text}\nsynpic2|x\n")[0]["synpic1"].texts == (text,)

    def test_blank_questions_are_kept(self, read):
        assert read("synpic1|| |what?\nsynpic2|is it?|\n", "vqg")[0]["synpic1"].texts == ("", " ", "what?")

    def test_missing_images_may_be_allowed(self, read):
        predictions, findings = read("synpic1|x\n", allow_missing=True)
        assert list(predictions) == ["synpic1"]
        assert said(findings) == [("RUN-MISSING-ID", "warning")]

    def test_an_id_that_looks_like_a_header_is_an_id_where_the_set_has_it(self, read):
        assert len(read("image|x\n", ids=["image"])[1]) == 0


def one(code, *contents, task="vqa", alone=True):
    """Cases: a code, and contents that have it."""
    return [pytest.param(code, task, each, alone, id=f"{code}-{task}-{place}") for place, each in enumerate(contents)]


def with_first(line):
    return f"{line}\nsynpic2|is it a ct?\n"


MANY = "|".join(f"is it number{number}?" for number in range(MAX_QUESTIONS + 1))
PLANTED = [
    *one("RUN-FILE-EMPTY", ""),
    *one("RUN-ENCODING", ANSWERS.encode("utf-16"), b"synpic1|caf\xe9\nsynpic2|x\n", b"synpic1|\xed\xa0\x80\nsynpic2|x\n"),
    *one("RUN-ENCODING", b"PK\3\4\0", b"synpic1|a\0b\nsynpic2|x\n", alone=False),
    *one("RUN-BOM", b"\xef\xbb\xbf" + ANSWERS.encode()),
    *one("RUN-CRLF", ANSWERS.replace("\n", "\r\n")),
    *one("RUN-NO-FINAL-NEWLINE", ANSWERS[:-1]),
    *one("RUN-BLANK-LINE", ANSWERS + "\n", "\n" + ANSWERS, ANSWERS.replace("\n", "\n \n", 1)),
    *one("RUN-FIELDS", *map(with_first, ("synpic1", "synpic1\tx", "synpic1,x", "synpic1|x|y", "synpic1|x|", "synpic1||x"))),
    *one("RUN-FIELDS", *map(with_first, ("synpic1", "synpic1\tis it?", "synpic1,is it?")), task="vqg"),
    *one("RUN-HEADER", "image_id|answer\n" + ANSWERS, "ID,Answer\n" + ANSWERS),
    *one("RUN-HEADER", "id|question\n" + QUESTIONS, task="vqg"),
    *one("RUN-UNKNOWN-ID", *(f"{ANSWERS}{name}|x\n" for name in ("synpic1 ", " synpic2", "a", "synpic1.jpg", "SYNPIC1", ""))),
    *one("RUN-DUPLICATE-ID", ANSWERS + "synpic1|x\n"),
    *one("RUN-DUPLICATE-ID", QUESTIONS + "synpic1|is it?\n", task="vqg"),
    *one("RUN-MISSING-ID", "synpic1|x\n"),
    *one("RUN-EMPTY-ANSWER", *map(with_first, ("synpic1|", "synpic1| ", "synpic1|\u00a0\t"))),
    *one("RUN-EMPTY-QUESTION", *map(with_first, ("synpic1|", "synpic1||", "synpic1| |\u00a0| ")), task="vqg"),
    *one("RUN-BLANK-QUESTION", *map(with_first, ("synpic1|is it?|", "synpic1||is it?", "synpic1|is it?| |b?")), task="vqg"),
    *one("RUN-DUPLICATE-QUESTION", *map(with_first, ("synpic1|is it an image?|Is it an image?", "synpic1|image?|THE images!?")),
         task="vqg"),
    *one("RUN-MANY-QUESTIONS", with_first(f"synpic1|{MANY}"), task="vqg"),
    *one("RUN-NOT-A-QUESTION", with_first("synpic1|is it a ct"), with_first("synpic1|mass?|liver ? ?x"), task="vqg"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "task", "content", "alone"), PLANTED)
def test_planted_fault(read, code, task, content, alone):
    findings = read(content, task)[1]
    assert (code, CODES[code].severity) in said(findings)
    assert {found for found, _ in said(findings)} <= {code} | (set() if alone else {"RUN-MISSING-ID"})
    assert all(finding.hint for finding in findings)
    assert all(str(finding).isprintable() for finding in findings)


@pytest.mark.parametrize(
    ("task", "lines", "codes"),
    [
        ("vqa", "synpic1|x\nsynpic1|\nsynpic9|a|b\nsynpic8\n", ["DUPLICATE-ID", "EMPTY-ANSWER", "UNKNOWN-ID", "FIELDS"]),
        ("vqg", "synpic1|x?\nsynpic1||\nsynpic9\n", ["DUPLICATE-ID", "EMPTY-QUESTION", "UNKNOWN-ID", "FIELDS"]),
    ],
)
def test_a_wrong_id_hides_nothing_else_of_its_line(read, task, lines, codes):
    predictions, findings = read(lines, task)
    assert list(predictions) == ["synpic1"]
    assert {f"RUN-{code}" for code in codes} | {"RUN-MISSING-ID"} == {finding.code for finding in findings}


def test_every_code_is_planted_and_described():
    elsewhere = {"RUN-FILE-MISSING", "RUN-FILE-UNREADABLE", "RUN-TOO-LARGE", "RUN-TOO-MANY-ERRORS"}
    assert {case.values[0] for case in PLANTED} | elsewhere == CODES.keys()
    assert all(code.meaning and code.example for code in CODES.values())


def test_no_such_file_and_no_file(tmp_path):
    for path, code in ((tmp_path / "no", "RUN-FILE-MISSING"), (tmp_path, "RUN-FILE-UNREADABLE")):
        findings = Findings()
        assert read_run(path, truths_of_ids(IDS, "vqa"), findings) == {}
        assert said(findings) == [(code, "error")]


def test_all_faults_at_once_each_with_its_line(read):
    content = "image|answer\nsynpic1 |x\nsynpic2\t y\n\nsynpic3|a|b|c\nsynpic4|\nsynpic5|ok\nsynpic5|ok\n"
    findings = read(content, ids=[f"synpic{number}" for number in range(1, 8)])[1]
    found = [(finding.code, finding.line) for finding in findings]
    assert found == [
        ("RUN-MISSING-ID", None),
        ("RUN-HEADER", 1),
        ("RUN-UNKNOWN-ID", 2),
        ("RUN-FIELDS", 3),
        ("RUN-BLANK-LINE", 4),
        ("RUN-FIELDS", 5),
        ("RUN-EMPTY-ANSWER", 6),
        ("RUN-DUPLICATE-ID", 8),
    ]
    assert next(iter(findings)).message.endswith(": synpic1, synpic6, synpic7")  # those with a fault have come


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        (
            "vqa",
            "synpic1\tx",
            "RUN-FIELDS synpic1: the line has no | (saw 'synpic1\\tx'; write id|answer, without TAB or comma between them)",
        ),
        ("vqa", "synpic1|x|y", "RUN-FIELDS synpic1: the line has 3 fields (saw 'x|y'; write id|answer; an answer holds no |)"),
        (
            "vqg",
            "synpic1,a?",
            "RUN-FIELDS synpic1: the line has no | (saw 'synpic1,a?'; write id|question|question…, without TAB",
        ),
        ("vqa", "synpic1| ", "RUN-EMPTY-ANSWER synpic1: the answer is blank (give an answer to every question)"),
        ("vqg", "synpic1||", "RUN-EMPTY-QUESTION synpic1: all questions are blank (ask something about every image)"),
        (
            "vqg",
            "synpic1|a?||",
            "RUN-BLANK-QUESTION warning: synpic1: 2 of the questions are blank (is there a | at the end, or",
        ),
        (
            "vqg",
            "synpic1|ct?|CT?|x?",
            "RUN-DUPLICATE-QUESTION warning: synpic1: 1 of 3 questions repeat another (saw 'CT?'; they count once",
        ),
        (
            "vqg",
            f"synpic1|{MANY}",
            "RUN-MANY-QUESTIONS info: synpic1: 8 questions for an image (the score is that of the best pair",
        ),
        (
            "vqg",
            "synpic1|ct?|x y",
            "RUN-NOT-A-QUESTION info: synpic1: 1 of 2 questions don't end with a question mark (saw 'x y'; the",
        ),
        ("vqa", "synpic1.jpg|x", "RUN-UNKNOWN-ID synpic1.jpg: the image is not in the set (did you mean synpic1?)"),
        (
            "vqa",
            "synpic1;x",
            "synpic1;x: the image is not in the set (it begins with the id synpic1: is the separator behind it the right",
        ),
        ("vqa", '{"synpic1": "x"}', "(this looks like JSON: is it the run of another task?)"),
        ("vqa", "synpic1 |x", "RUN-UNKNOWN-ID synpic1 : the image is not in the set (did you mean synpic1?)"),
        ("vqa", "id|answer", "RUN-HEADER the first line looks like a header (saw 'id|answer'; delete it)"),
    ],
)
def test_messages(read, task, line, message):
    assert any(message in str(finding) for finding in read(line + "\n", task)[1])


# ------------------------------------------------------------------------------------------------------------- bounds


def test_errors_are_bounded(read, monkeypatch):
    monkeypatch.setattr(files, "MAX_ERRORS", 5)
    findings = read("".join(f"x{number}|y\n" for number in range(20)))[1]
    assert findings.counts == {"RUN-UNKNOWN-ID": 5, "RUN-TOO-MANY-ERRORS": 1}


def test_questions_are_bounded(read, monkeypatch):
    monkeypatch.setattr(runs, "RUN_QUESTIONS", 10)
    predictions, findings = read(f"synpic1|{MANY}\nsynpic2|{MANY}\n", "vqg")
    assert list(predictions) == ["synpic1"]
    assert said(findings) == [("RUN-MANY-QUESTIONS", "info"), ("RUN-TOO-LARGE", "error")]
    (finding,) = (each for each in findings if each.code == "RUN-TOO-LARGE")
    assert str(finding).endswith(
        "RUN-TOO-LARGE synpic2: the run has more than 10 questions (give a few questions for an image, such as 7)"
    )


@pytest.mark.parametrize("task", ["vqa", "vqg"])
def test_the_length_of_all_texts_is_bounded(read, monkeypatch, task):
    content = "synpic1|is it?\nsynpic2|is it b?\n"
    monkeypatch.setattr(TextBudget, "LEAST", 10)
    monkeypatch.setattr(TextBudget, "EACH", 7)
    assert len(read(content, task)[1]) == 0  # two images: 14 characters
    monkeypatch.setattr(TextBudget, "EACH", 1)
    predictions, findings = read(content, task)
    assert list(predictions) == ["synpic1"]
    (finding,) = findings
    assert "RUN-TOO-LARGE synpic2: up to here the texts have 14 characters, more than 10 (write id|" in str(finding)


WIDE = 2_000_000  # characters of a line


HOSTILE = [
    "synpic{}|" + "|" * WIDE,
    "synpic{}|" + "ab|" * (WIDE // 3),
    "synpic{}|" + "9" * WIDE,
    "synpic{}|" + " " * WIDE,
    "synpic{}|" + "\x01\u2028" * (WIDE // 2),
    "synpic{}," + "x,\t" * (WIDE // 3),
    "9" * WIDE + "{}|x",
]


@pytest.mark.parametrize("task", ["vqa", "vqg"])
@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lines_give_findings_in_bounded_time(read, task, line):
    start = time.monotonic()
    findings = read("".join(line.format(number) + "\n" for number in (1, 2, 3)), task)[1]
    assert time.monotonic() - start < 5
    assert len(findings) > 0
    assert all(len(str(finding)) < 1000 and str(finding).isprintable() for finding in findings)


@pytest.mark.slow
@pytest.mark.parametrize("question", ["ab", "x" * 50, "a b c?"], ids=["short", "long", "questions"])
def test_a_hostile_file_of_100_mb(tmp_path, question):
    path, ids = tmp_path / "run.txt", [f"synpic{number}" for number in range(76)]
    with path.open("w") as file:
        for name in ids:
            file.write(
                f"{name}|" + "|".join(question + f"{number:x}" for number in range(1_300_000 // (len(question) + 6))) + "\n"
            )
    tracemalloc.start()
    start, findings = time.monotonic(), Findings()
    read_run(path, truths_of_ids(ids, "vqg"), findings)
    seconds, (_, peak) = time.monotonic() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert findings.counts["RUN-TOO-LARGE"] == 1
    assert seconds < 20  # tracing memory doubles it
    assert peak < 400 * 2**20


# ------------------------------------------------------------------------------------------------------------- writing


@pytest.fixture
def written(tmp_path):
    def write_and_read(predictions, truth_set):
        write_run(tmp_path / "run.txt", predictions, truth_set)
        findings = Findings()
        found = read_run(tmp_path / "run.txt", truth_set, findings)
        assert findings.error_count == 0
        return found

    return write_and_read


def test_the_order_is_that_of_the_set(written, tmp_path):
    written([Prediction("synpic2", ("b",)), Prediction("synpic1", ("a",))], truths_of_ids(IDS, "vqa"))
    assert (tmp_path / "run.txt").read_text() == "synpic1|a\nsynpic2|b\n"


def test_questions_are_written_in_their_order(written, tmp_path):
    predictions = [Prediction("synpic1", ("b?", "", "a?")), Prediction("synpic2", ("c?",))]
    assert list(written(predictions, truths_of_ids(IDS, "vqg")).values()) == predictions
    assert (tmp_path / "run.txt").read_text() == "synpic1|b?||a?\nsynpic2|c?\n"


SOUND = Prediction("synpic2", ("x",))


@pytest.mark.parametrize(
    ("task", "predictions", "code"),
    [
        ("vqa", [SOUND], "RUN-MISSING-ID"),
        ("vqa", [], "RUN-MISSING-ID"),
        ("vqa", [SOUND, SOUND], "RUN-DUPLICATE-ID"),
        ("vqa", [Prediction("synpic3", ("x",))], "RUN-UNKNOWN-ID"),
        ("vqa", [Prediction("synpic1", ())], "RUN-FIELDS"),
        ("vqa", [Prediction("synpic1", ("x", "y"))], "RUN-FIELDS"),
        *(("vqa", [Prediction("synpic1", (f"x{mark}y",))], "RUN-FIELDS") for mark in ("|", "\n", "\r", "\0", "\ud800")),
        ("vqa", [Prediction("synpic1", (" \u00a0",))], "RUN-EMPTY-ANSWER"),
        ("vqa", [Prediction("synpic1", ("x" * 2**23,))], "RUN-TOO-LARGE"),
        ("vqg", [Prediction("synpic1", ())], "RUN-EMPTY-QUESTION"),
        ("vqg", [Prediction("synpic1", ("", " "))], "RUN-EMPTY-QUESTION"),
        ("vqg", [Prediction("synpic1", ("x?", "y|z?"))], "RUN-FIELDS"),
    ],
)
def test_what_cant_be_written_is_refused(tmp_path, task, predictions, code):
    path = tmp_path / "run.txt"
    with pytest.raises(InvalidInput, match=code):
        write_run(path, predictions, truths_of_ids(IDS, task))
    assert not path.exists()


@pytest.mark.parametrize("name", ["a|b", "\ufeffa", "a\n", "\ud800"])
def test_an_id_that_a_line_cant_hold_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="RUN-FIELDS"):
        write_run(tmp_path / "run.txt", [Prediction(name, ("x",))], truths_of_ids([name], "vqa"))


FIELD = st.text(st.characters(exclude_characters="|\r\n\0", codec="utf-8"), max_size=20)
NAMES = FIELD.filter(lambda name: not name.startswith("\ufeff"))


@given(st.dictionaries(NAMES, FIELD.filter(str.strip), min_size=1, max_size=5))
def test_written_answers_read_the_same(tmp_path_factory, answers):
    check_round_trip(tmp_path_factory, "vqa", {name: (answer,) for name, answer in answers.items()})


@given(
    st.dictionaries(NAMES, st.lists(FIELD, min_size=1).filter(lambda texts: any(map(str.strip, texts))), min_size=1, max_size=5)
)
def test_written_questions_read_the_same(tmp_path_factory, questions):
    check_round_trip(tmp_path_factory, "vqg", {name: tuple(texts) for name, texts in questions.items()})


def check_round_trip(tmp_path_factory, task, texts):
    path, truth_set, findings = tmp_path_factory.mktemp("run") / "run.txt", truths_of_ids(texts, task), Findings()
    predictions = {name: Prediction(name, mine) for name, mine in texts.items()}
    write_run(path, predictions.values(), truth_set)
    assert read_run(path, truth_set, findings) == predictions
    assert findings.error_count == 0


@given(
    st.one_of(st.binary(max_size=200), st.text('synpic12|?, \t\n\ra"', max_size=120).map(str.encode)),
    st.sampled_from(["vqa", "vqg"]),
)
def test_garbage_gives_findings_alone(tmp_path_factory, content, task):
    path, findings = tmp_path_factory.mktemp("run") / "run.txt", Findings()
    path.write_bytes(content)
    predictions = read_run(path, truths_of_ids(IDS, task), findings)
    assert all(finding.code in CODES for finding in findings)
    assert all(str(finding).isprintable() for finding in findings)
    assert predictions.keys() == set(IDS) or findings.error_count


@pytest.mark.parametrize("task", ["vqa", "vqg"])
def test_the_example_is_valid_for_ids_and_truths(read, task):
    from baselines.core.tasks import get_task

    for truth_set in (truths_of_ids(get_task(task).example_ids, task), TruthSet({"a": Truth("a", ("x",))}, task)):
        text = example_run(truth_set)
        assert len(read(text, task, tuple(truth_set.truths))[1]) == 0
        assert re.fullmatch(r"(\S+\|.+\n)+", text)
