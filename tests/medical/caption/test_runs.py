"""The run formats of the caption tasks: a planted fault for every code, round trips, garbage and hostile files."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core import files
from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.core.runs import TextBudget
from baselines.medical.caption.records import CAPTIONS, CONCEPTS, Prediction, TruthSet, read_vocabulary, truths_of_ids
from baselines.medical.caption.runs import CODES, MAX_CONCEPTS, example_run, read_run, write_run

IDS = ("synpic1", "synpic2", "synpic3")
SETS = {task: truths_of_ids(IDS, task) for task in (CONCEPTS, CAPTIONS)}
RUN = "synpic1|C0040398;C0006141\nsynpic2|C0024485\nsynpic3|C0032743\n"
CAPTION_RUN = "synpic1|a chest x-ray, frontal\nsynpic2|axial CT\nsynpic3|MRI; the spine\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, task=CONCEPTS, truth_set=None, **options):
        path = tmp_path / "run.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_run(path, truth_set or SETS[task], findings, **options), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value, finding.line) for finding in findings]


def concepts(predictions):
    return {name: list(prediction.concepts) for name, prediction in predictions.items()}


class TestReading:
    def test_concepts(self, read):
        predictions, findings = read(RUN)
        assert concepts(predictions) == {"synpic1": ["C0040398", "C0006141"], "synpic2": ["C0024485"], "synpic3": ["C0032743"]}
        assert all(name == prediction.id for name, prediction in predictions.items())
        assert not len(findings)

    def test_captions(self, read):
        predictions, findings = read(CAPTION_RUN, CAPTIONS)
        assert predictions["synpic1"] == Prediction("synpic1", caption="a chest x-ray, frontal")
        assert predictions["synpic3"].caption == "MRI; the spine"
        assert not len(findings)

    def test_images_without_concepts(self, read):
        predictions, findings = read(RUN.replace("|C0024485", "").replace("C0032743", ""))
        assert concepts(predictions) == {"synpic1": ["C0040398", "C0006141"], "synpic2": [], "synpic3": []}
        assert said(findings) == [("RUN-NO-CONCEPT", "warning", 2), ("RUN-NO-CONCEPT", "warning", 3)]

    @pytest.mark.parametrize(("run", "task"), [(RUN, CONCEPTS), (CAPTION_RUN, CAPTIONS)])
    def test_tabs_are_accepted(self, read, run, task):
        predictions, findings = read(run.replace("|", "\t"), task)
        assert predictions == read(run, task)[0]
        assert said(findings) == [("RUN-SEPARATOR", "warning", 1)]

    def test_a_tab_within_a_caption_is_no_separator(self, read):
        predictions, findings = read(CAPTION_RUN.replace("axial CT", "axial\tCT"), CAPTIONS)
        assert predictions["synpic2"].caption == "axial\tCT"
        assert not len(findings)

    def test_unusual_line_ends_belong_to_the_caption(self, read):
        predictions, findings = read(CAPTION_RUN.replace("axial CT", "axial\u2028CT\x0c\x85"), CAPTIONS)
        assert predictions["synpic2"].caption == "axial\u2028CT\x0c\x85"
        assert not len(findings)

    def test_an_image_that_is_called_like_a_column(self, read):
        assert not len(read("image|lung\n", truth_set=truths_of_ids(["image"], CAPTIONS))[1])

    @pytest.mark.parametrize(("run", "task"), [(RUN, CONCEPTS), (CAPTION_RUN, CAPTIONS)])
    def test_the_order_of_lines_makes_no_difference(self, read, run, task):
        assert read("".join(reversed(run.splitlines(keepends=True))), task)[0] == read(run, task)[0]


def changed(old, new, run=RUN):
    assert old in run
    return run.replace(old, new)


MANY = ";".join(f"C{number:07}" for number in range(MAX_CONCEPTS + 1))

# What is planted, its severity, its line, the run and what the message says.
PLANTED = [
    ("RUN-FILE-EMPTY", "error", None, "", "the file is empty"),
    ("RUN-ENCODING", "error", 2, changed("pic2", "pic\xe9").encode("latin-1"), "this is not UTF-8"),
    ("RUN-ENCODING", "error", 2, changed("pic2", "pic2\0"), "a NUL byte"),
    ("RUN-ENCODING", "error", 1, RUN.encode("utf-16"), "the file is UTF-16"),
    ("RUN-BOM", "error", 1, b"\xef\xbb\xbf" + RUN.encode(), "starts with a byte order mark"),
    ("RUN-CRLF", "warning", None, changed("\n", "\r\n"), "lines end with carriage returns"),
    ("RUN-NO-FINAL-NEWLINE", "warning", None, RUN[:-1], "the last line doesn't end"),
    ("RUN-BLANK-LINE", "error", 4, RUN + "\n", "the line is empty (delete it)"),
    ("RUN-SEPARATOR", "warning", 2, changed("2|", "2\t"), "a TAB behind the id in 1 line (write | as in 2021)"),
    ("RUN-FIELDS", "error", 2, changed("C0024485", "C0024485|0.9"), "more than two fields (saw 'synpic2|C0024485|0.9'"),
    ("RUN-HEADER", "error", 1, "ID|CUIs\n" + RUN, "a run has no header (saw 'ID|CUIs'; delete the line)"),
    ("RUN-HEADER", "error", 1, "Bild|Konzepte\n" + RUN, "a run has no header"),
    ("RUN-HEADER", "error", 1, "ID,CUIs\n" + RUN, "a run has no header (saw 'ID,CUIs'; delete the line)"),
    ("RUN-FIELDS", "error", 2, changed("synpic2|", "synpic2,"), "there is no separator (saw 'synpic2,C0024485'; write ID"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "synpic4|C0040398\n", "synpic4: the image is not in the set (did you mean synpic"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "synpic2.jpg|C0040398\n", "did you mean synpic2?"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "synpic2 |C0040398\n", "did you mean synpic2?"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "Synpic2|C0040398\n", "did you mean synpic2?"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "synpic2;C0040398\n", "is not in the set"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "|C0040398\n", "the image is not in the set"),
    ("RUN-DUPLICATE-ID", "error", 4, RUN + "synpic2|C0040398\n", "synpic2: the image has a line already, on line 2"),
    ("RUN-MISSING-ID", "error", None, RUN[:26], "2 of 3 images have no line: synpic2, synpic3 (predict every image"),
    ("RUN-QUOTED", "warning", 2, changed("C0024485", '"C0024485"'), "synpic2: quotes around a field"),
    ("RUN-EMPTY-CONCEPT", "error", 2, changed("C0024485", "C0024485;"), "synpic2: 1 empty concept (saw 'C0024485;'; write ;"),
    ("RUN-EMPTY-CONCEPT", "error", 2, changed("C0024485", ";;C0024485"), "synpic2: 2 empty concepts"),
    ("RUN-EMPTY-CONCEPT", "error", 2, changed("C0024485", ";"), "synpic2: 2 empty concepts"),
    *(
        ("RUN-CONCEPT-FORM", "warning", 2, changed("C0024485", odd), f"1 concept not of the form C and 7 digits (saw {odd!r}")
        for odd in ("c0024485", "C024485", "C00244855", "lung", " C0024485", "C002448٥", "1" * 40)
    ),
    ("RUN-CONCEPT-FORM", "warning", 2, changed("C0024485", "C" + "1" * 10**6), "synpic2: 1 concept not of the form"),
    ("RUN-DUPLICATE-CONCEPT", "error", 2, changed("C0024485", "C0024485;C0024485"), "1 repeated concept (saw 'C0024485'"),
    ("RUN-DUPLICATE-CONCEPT", "error", 2, changed("C0024485", "C0024485;c0024485"), "synpic2: 1 repeated concept"),
    ("RUN-DUPLICATE-CONCEPT", "error", 2, changed("C0024485", "C0024485; C0024485"), "synpic2: 1 repeated concept"),
    ("RUN-TOO-MANY-CONCEPTS", "error", 2, changed("C0024485", MANY), "101 concepts (an image may have 100: keep the surest)"),
    ("RUN-NO-CONCEPT", "warning", 2, changed("|C0024485", ""), "synpic2: the image has no concept (the image scores 0 if it"),
    ("RUN-NO-CONCEPT", "warning", 2, changed("C0024485", " "), "synpic2: the image has no concept"),
]  # fmt: skip

PLANTED_CAPTIONS = [
    ("RUN-FIELDS", "error", 2, changed("axial CT", "axial|CT", CAPTION_RUN), "more than two fields (saw 'synpic2|axial|CT'"),
    ("RUN-FIELDS", "error", 2, changed("|axial CT", "", CAPTION_RUN), "there is no separator (saw 'synpic2'; write"),
    ("RUN-FIELDS", "error", 2, changed("|axial", "\taxial\t", CAPTION_RUN), "more than two fields"),
    ("RUN-HEADER", "error", 1, "image_id|caption\n" + CAPTION_RUN, "a run has no header"),
    ("RUN-HEADER", "error", 1, "ID,caption\n" + CAPTION_RUN, "a run has no header (saw 'ID,caption'"),
    ("RUN-FIELDS", "error", 2, changed("synpic2|", "synpic2,", CAPTION_RUN), "(saw 'synpic2,axial CT'; write ID|CAPTION, with"),
    ("RUN-SEPARATOR", "warning", 2, changed("2|", "2\t", CAPTION_RUN), "a TAB behind the id in 1 line"),
    ("RUN-QUOTED", "warning", 2, changed("axial CT", '"axial CT"', CAPTION_RUN), "synpic2: quotes around a field"),
    ("RUN-EMPTY-CAPTION", "warning", 2, changed("axial CT", "", CAPTION_RUN), "synpic2: the caption is empty (it scores 0"),
    ("RUN-EMPTY-CAPTION", "warning", 2, changed("axial CT", " \u00a0", CAPTION_RUN), "synpic2: the caption is empty"),
    ("RUN-DUPLICATE-ID", "error", 4, CAPTION_RUN + "synpic2|lung\n", "synpic2: the image has a line already, on line 2"),
    ("RUN-UNKNOWN-ID", "error", 4, CAPTION_RUN + "synpic2.jpg|lung\n", "did you mean synpic2?"),
]  # fmt: skip

ALONGSIDE = {
    "RUN-ENCODING": {"RUN-CRLF", "RUN-UNKNOWN-ID"},
    "RUN-QUOTED": {"RUN-CONCEPT-FORM"},
    "RUN-DUPLICATE-CONCEPT": {"RUN-CONCEPT-FORM"},
    "RUN-UNKNOWN-ID": {"RUN-NO-CONCEPT"},
    "RUN-FIELDS": {"RUN-SEPARATOR"},
}


def check_planted(findings, code, severity, line, message):
    (found,) = (finding for finding in findings if finding.code == code)
    assert {finding.code for finding in findings} <= {"RUN-MISSING-ID", code} | ALONGSIDE.get(code, set())
    assert (found.severity, found.line) == (severity, line)
    assert message in str(found)
    assert str(found).isprintable()
    assert len(str(found)) < 500


@pytest.mark.parametrize(("code", "severity", "line", "content", "message"), PLANTED)
def test_planted_fault(read, code, severity, line, content, message):
    check_planted(read(content)[1], code, severity, line, message)


@pytest.mark.parametrize(("code", "severity", "line", "content", "message"), PLANTED_CAPTIONS)
def test_planted_fault_of_captions(read, code, severity, line, content, message):
    check_planted(read(content, CAPTIONS)[1], code, severity, line, message)


def test_the_length_of_all_captions_is_bounded(read, monkeypatch):
    content = "".join(f"{name}|a lung\n" for name in IDS)
    monkeypatch.setattr(TextBudget, "LEAST", 12)
    monkeypatch.setattr(TextBudget, "EACH", 6)
    assert len(read(content, CAPTIONS)[1]) == 0
    monkeypatch.setattr(TextBudget, "EACH", 5)
    (finding,) = read(content, CAPTIONS)[1]
    assert (finding.code, finding.line) == ("RUN-TOO-LARGE", 3)
    assert "18 characters, more than 15" in finding.message


def test_every_code_is_planted_and_described():
    planted = [*PLANTED, *PLANTED_CAPTIONS]
    elsewhere = {"RUN-FILE-MISSING", "RUN-FILE-UNREADABLE", "RUN-TOO-LARGE", "RUN-TOO-MANY-ERRORS", "RUN-UNKNOWN-CONCEPT"}
    assert {code for code, *_ in planted} | elsewhere == CODES.keys()
    assert all(CODES[code].severity == severity for code, severity, *_ in planted)
    assert all(code.meaning and code.example for code in CODES.values())


class TestVocabulary:
    @pytest.fixture
    def development(self, tmp_path):
        (tmp_path / "train").write_text("synpic8\tc0040398;C0006141\n")
        (tmp_path / "val").write_text("synpic9,C0024485\n")
        return read_vocabulary([tmp_path / "train", tmp_path / "val"], Findings())

    def test_concepts_that_it_lacks_are_a_warning(self, read, development):
        predictions, findings = read(RUN, vocabulary=development)
        found = [finding for finding in findings if finding.code.startswith("RUN")]
        assert said(found) == [("RUN-UNKNOWN-CONCEPT", "warning", 3)]
        assert "synpic3: 1 concept that the development set doesn't have (saw 'C0032743'; is it a typing error?)" in str(
            found[0]
        )
        assert len(predictions) == 3

    def test_without_it_no_concept_is_unknown(self, read):
        assert not len(read(RUN)[1])


class TestOptions:
    def test_missing_images_can_be_allowed(self, read):
        predictions, findings = read(RUN[:26], allow_missing=True)
        assert list(predictions) == ["synpic1"]
        assert said(findings) == [("RUN-MISSING-ID", "warning", None)]

    def test_the_greatest_number_of_concepts(self, read):
        assert not len(read(changed("C0024485", MANY), max_concepts=MAX_CONCEPTS + 1)[1])
        assert said(read(RUN, max_concepts=1)[1]) == [("RUN-TOO-MANY-CONCEPTS", "error", 1)]

    def test_what_makes_no_sense(self, read):
        with pytest.raises(UsageError, match="max_concepts is at least 1"):
            read(RUN, max_concepts=0)
        for options in ({"max_concepts": 5}, {"vocabulary": {"C0000001"}}):
            with pytest.raises(UsageError, match="caption-prediction have no options"):
                read(CAPTION_RUN, CAPTIONS, **options)


def test_no_such_file_and_no_file(tmp_path):
    for path, code in ((tmp_path / "no", "RUN-FILE-MISSING"), (tmp_path, "RUN-FILE-UNREADABLE")):
        findings = Findings()
        assert read_run(path, SETS[CONCEPTS], findings) == {}
        assert said(findings) == [(code, "error", None)]


def test_bounds(read, monkeypatch):
    monkeypatch.setattr(files, "MAX_ERRORS", 5)
    assert read("x1|C0040398\n" * 20)[1].counts == {"RUN-UNKNOWN-ID": 5, "RUN-TOO-MANY-ERRORS": 1}
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    assert said(read(RUN)[1]) == [("RUN-TOO-LARGE", "error", None)]


def test_all_faults_at_once(read):
    content = "ID|CUIs\nsynpic1|C0040398;C0040398;\n\nsynpic9|c1\nsynpic2|C0024485|x\nsynpic1|;"
    predictions, findings = read(content)
    assert concepts(predictions) == {"synpic1": ["C0040398"]}
    assert said(findings) == [
        ("RUN-NO-FINAL-NEWLINE", "warning", None),
        ("RUN-MISSING-ID", "error", None),
        ("RUN-HEADER", "error", 1),
        ("RUN-EMPTY-CONCEPT", "error", 2),
        ("RUN-DUPLICATE-CONCEPT", "error", 2),
        ("RUN-BLANK-LINE", "error", 3),
        ("RUN-UNKNOWN-ID", "error", 4),
        ("RUN-CONCEPT-FORM", "warning", 4),
        ("RUN-FIELDS", "error", 5),
        ("RUN-DUPLICATE-ID", "error", 6),
        ("RUN-EMPTY-CONCEPT", "error", 6),
    ]


# ------------------------------------------------------------------------------------------------------------- writing


class TestWriting:
    def test_the_order_is_that_of_the_set(self, tmp_path):
        found = [Prediction(name, concepts=("C0040398", "C0006141")) for name in reversed(IDS)]
        write_run(tmp_path / "run", found, SETS[CONCEPTS])
        assert (tmp_path / "run").read_text() == "".join(f"{name}|C0040398;C0006141\n" for name in IDS)

    def test_concepts_are_written_once_and_no_more_than_allowed(self, tmp_path):
        truth_set = truths_of_ids(["a"], CONCEPTS)
        found = [f"C{number:07}" for number in (*range(150), *range(150))]
        write_run(tmp_path / "run", [Prediction("a", concepts=("C0000001", "c0000001", *found))], truth_set)
        assert read_run(tmp_path / "run", truth_set, Findings())["a"].concepts == (found[1], found[0], *found[2:100])
        write_run(tmp_path / "run", [Prediction("a", concepts=("C0000001", "C0000002"))], truth_set, max_concepts=1)
        assert (tmp_path / "run").read_text() == "a|C0000001\n"

    def test_captions_on_one_line(self, tmp_path):
        found = [Prediction("a", caption="a\tchest|x-ray\r\nfrontal\0\ud800 ö")]
        write_run(tmp_path / "run", found, truths_of_ids(["a"], CAPTIONS))
        assert (tmp_path / "run").read_text(encoding="utf-8") == "a|a chest x-ray  frontal   ö\n"

    @pytest.mark.parametrize(
        ("predictions", "code"),
        [
            ([Prediction("synpic4")], "RUN-UNKNOWN-ID"),
            ([Prediction("synpic1")], "RUN-DUPLICATE-ID"),
            ([], "RUN-MISSING-ID"),
            *(([Prediction("synpic3", concepts=(odd,))], "RUN-CONCEPT-FORM") for odd in ("", ";", "a|b", "\n", " a", "\ud800")),
        ],
    )  # fmt: skip
    def test_what_cant_be_written_is_listed_and_the_old_file_stays(self, tmp_path, predictions, code):
        (tmp_path / "run").write_text("old")
        with pytest.raises(InvalidInput) as raised:
            write_run(tmp_path / "run", [*map(Prediction, IDS[:2]), *predictions], SETS[CONCEPTS])
        assert code in raised.value.findings.counts
        assert set(raised.value.findings.counts) <= {code, "RUN-MISSING-ID"}
        assert (tmp_path / "run").read_text() == "old"

    @pytest.mark.parametrize("name", ["a|b", "a b", "a\n", "", "\ud800", "\ufeffa"])
    def test_ids_that_a_line_cant_hold(self, tmp_path, name):
        with pytest.raises(InvalidInput, match="RUN-FIELDS"):
            write_run(tmp_path / "run", [Prediction(name)], truths_of_ids([name], CAPTIONS))


@pytest.mark.parametrize("task", [CONCEPTS, CAPTIONS])
def test_the_example_is_valid(read, task):
    for truth_set in (SETS[task], truths_of_ids(["image", "ö-1"], task)):
        predictions, findings = read(example_run(truth_set), truth_set=truth_set)
        assert predictions.keys() == truth_set.truths.keys()
        assert not len(findings)
    assert example_run(TruthSet({}, task)) == ""


ids = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="|,"), min_size=1)
drawn_concepts = st.lists(st.from_regex(r"[Cc][0-9]{7}", fullmatch=True), max_size=4, unique_by=str.upper).map(tuple)
captions = st.text(st.characters(exclude_characters="\t\r\n\0|", exclude_categories=["Cs"]), max_size=30)


@given(st.sampled_from([CONCEPTS, CAPTIONS]), st.dictionaries(ids, st.tuples(drawn_concepts, captions), min_size=1))
def test_runs_survive_writing_and_reading(tmp_path_factory, task, drawn):
    path = tmp_path_factory.getbasetemp() / "run"
    predictions = {
        name: Prediction(name, concepts=found) if task == CONCEPTS else Prediction(name, caption=caption)
        for name, (found, caption) in drawn.items()
    }
    truth_set = truths_of_ids(sorted(drawn), task)
    write_run(path, predictions.values(), truth_set)
    findings = Findings()
    assert read_run(path, truth_set, findings) == predictions
    assert not findings.error_count


@given(st.text(), st.lists(st.text(min_size=1)))
def test_any_caption_can_be_written(tmp_path_factory, caption, others):
    path = tmp_path_factory.getbasetemp() / "captions"
    truth_set = truths_of_ids(["a", *(f"b{number}" for number in range(len(others)))], CAPTIONS)
    found = [Prediction(name, caption=text) for name, text in zip(truth_set.truths, [caption, *others], strict=True)]
    write_run(path, found, truth_set)
    findings = Findings()
    assert read_run(path, truth_set, findings).keys() == truth_set.truths.keys()
    assert set(findings.counts) <= {"RUN-EMPTY-CAPTION", "RUN-QUOTED"}


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text(alphabet='synpic12Cc0;|\t"\n\r ', max_size=80).map(lambda text: f"synpic1|{text}".encode()),
    st.sampled_from([CONCEPTS, CAPTIONS]),
    st.booleans(),
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content, task, allow_missing):
    path = tmp_path_factory.getbasetemp() / "garbage-run"
    path.write_bytes(content)
    findings = Findings()
    for name, prediction in read_run(path, SETS[task], findings, allow_missing=allow_missing).items():
        assert name == prediction.id in IDS
        assert all(prediction.concepts)
    assert {finding.code for finding in findings} <= CODES.keys()
    assert all(str(finding).isprintable() for finding in findings)


@pytest.mark.slow
@pytest.mark.parametrize("task", [CONCEPTS, CAPTIONS])
@pytest.mark.parametrize(
    "line",
    [
        "x|y\n",
        "synpic1|C0040398\n",
        "|\t",
        ";",
        "a",
        "\n",
        "synpic1|\n",
        "synpic1\tc1;;c1\n",
        "synpic1|" + "ab;" * 2**20 + "\n",
    ],
)
def test_hostile_files_of_100_mb_are_read_in_seconds(tmp_path, line, task):
    path = tmp_path / "run"
    path.write_text(line * (100 * 2**20 // len(line)), encoding="utf-8")
    start = time.perf_counter()
    findings = Findings()
    read_run(path, SETS[task], findings)
    assert findings.error_count
    assert time.perf_counter() - start < 10
