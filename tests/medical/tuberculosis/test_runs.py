"""The run format of the tuberculosis task: a planted fault for every code, round trips and garbage."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core import files
from baselines.core.findings import Findings, InvalidInput
from baselines.medical.tuberculosis.records import Prediction, Truth, TruthSet, truths_of_ids
from baselines.medical.tuberculosis.runs import CODES, example_run, read_run, write_run
from baselines.medical.tuberculosis.task import TYPES

TRUTHS = TruthSet({f"TST_{n:04d}.nii.gz": Truth(f"TST_{n:04d}.nii.gz", label) for n, label in enumerate((2, 1, 5), 1)}, TYPES)
RUN = "TST_0001.nii.gz,2\nTST_0002.nii.gz,1\nTST_0003.nii.gz,5\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, truth_set=TRUTHS, **options):
        path = tmp_path / "run.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_run(path, truth_set, findings, **options), findings

    return write_and_read


def labels(predictions):
    return {name: prediction.label for name, prediction in predictions.items()}


def said(findings):
    return [(finding.code, finding.severity.value, finding.line) for finding in findings]


def test_the_accepted_run(read):
    predictions, findings = read(RUN)
    assert labels(predictions) == {"TST_0001.nii.gz": 2, "TST_0002.nii.gz": 1, "TST_0003.nii.gz": 5}
    assert all(name == prediction.id for name, prediction in predictions.items())
    assert len(findings) == 0


def changed(old, new):
    return RUN.replace(old, new)


PLANTED = [
    ("RUN-FILE-EMPTY", "error", None, "", "the file is empty"),
    ("RUN-ENCODING", "error", 2, changed("0002", "000\xe9").encode("latin-1"), "this is not UTF-8"),
    ("RUN-ENCODING", "error", 1, RUN.encode("utf-16"), "the file is UTF-16"),
    ("RUN-BOM", "error", 1, b"\xef\xbb\xbf" + RUN.encode(), "starts with a byte order mark"),
    ("RUN-CRLF", "warning", None, changed("\n", "\r\n"), "lines end with carriage returns"),
    ("RUN-NO-FINAL-NEWLINE", "warning", None, RUN[:-1], "the last line doesn't end"),
    ("RUN-BLANK-LINE", "error", 4, RUN + "\n", "the line is empty (delete it)"),
    ("RUN-BLANK-LINE", "error", 1, " \n" + RUN, "the line is empty (delete it)"),
    ("RUN-FIELDS", "error", 2, changed("0002.nii.gz,1", "0002.nii.gz"), "1 field between commas, not two"),
    ("RUN-FIELDS", "error", 2, changed("0002.nii.gz,1", "0002.nii.gz;1"), "with a comma, not a semicolon"),
    ("RUN-FIELDS", "error", 2, changed("0002.nii.gz,1", "0002.nii.gz\t1"), "with a comma, not a TAB"),
    ("RUN-FIELDS", "error", 2, changed(",1", ",1,0.5"), "3 fields between commas, not two (saw 'TST_0002.nii.gz,1,0.5'"),
    ("RUN-HEADER", "error", 1, "FileName,TypeOfTB\n" + RUN, "a run has no header (saw 'FileName,TypeOfTB'; delete the line)"),
    ("RUN-HEADER", "error", 1, "filename;typeoftb\n" + RUN, "a run has no header"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "TST_0004.nii.gz,1\n", "TST_0004.nii.gz: the scan is not in the set (did you mean"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "TST_0002,1\n", "write TST_0002.nii.gz: TST_ or TRN_, four digits, .nii.gz"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "tst_002.nii.gz,1\n", "write TST_0002.nii.gz"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "TRN_0002.nii.gz,1\n", "start with TST_: is this a run on the other split?"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + "ct/TST_0002.nii.gz,1\n", "did you mean TST_0002.nii.gz?"),
    ("RUN-UNKNOWN-ID", "error", 4, RUN + ",1\n", "is it the right set?"),
    ("RUN-DUPLICATE-ID", "error", 4, RUN + "TST_0002.nii.gz,1\n", "has a line already, on line 2"),
    (
        "RUN-MISSING-ID",
        "error",
        None,
        RUN[:36],
        "1 of 3 scans have no line: TST_0003.nii.gz (predict every scan of the set, or give --allow-missing: a missing scan",
    ),
    *(
        ("RUN-CLASS", "error", 2, changed(",1", f",{text}"), f"not an integer from 1 to 5 (saw {text!r}; {hint}")
        for text, hint in (
            ("1.0", "write 1"),
            ("01", "write 1"),
            ("+1", "write 1"),
            ("6", "the classes are"),
            ("0", "the classes are"),
            ("-1", "the classes are"),
            ("", "the classes are"),
            ("nan", "the classes are"),
            ("1_0", "the classes are"),
            ("focal", "write 2"),
            ("Fibro cavernous", "write 5"),
            ("١", "the classes are"),
        )
    ),
    ("RUN-CLASS", "error", 2, changed(",1", "," + "1" * 10**6), "TST_0002.nii.gz: the class is not an integer"),
    ("RUN-SPACE", "warning", 2, changed(",1", ", 1"), "blanks around a field (saw 'TST_0002.nii.gz, 1'; write none)"),
    ("RUN-SPACE", "warning", 2, changed("TST_0002.nii.gz", " TST_0002.nii.gz\t"), "blanks around a field"),
    ("RUN-CONSTANT", "warning", None, changed(",1", ",2").replace(",5", ",2"), "one and the same class (saw 2; kappa is 0"),
]


@pytest.mark.parametrize(("code", "severity", "line", "content", "message"), PLANTED)
def test_planted_fault(read, code, severity, line, content, message):
    findings = read(content)[1]
    others = {"RUN-MISSING-ID"} | ({"RUN-CRLF", "RUN-UNKNOWN-ID"} if code == "RUN-ENCODING" else set())
    (found,) = (finding for finding in findings if finding.code == code)
    assert {finding.code for finding in findings} <= others | {code}
    assert (found.severity, found.line) == (severity, line)
    assert message in str(found)
    assert str(found).isprintable()
    assert len(str(found)) < 500


def test_every_code_is_planted_and_described():
    elsewhere = {"RUN-FILE-MISSING", "RUN-FILE-UNREADABLE", "RUN-TOO-LARGE", "RUN-TOO-MANY-ERRORS"}
    assert {code for code, *_ in PLANTED} | elsewhere == CODES.keys()
    assert all(CODES[code].severity == severity for code, severity, *_ in PLANTED)
    assert all(code.meaning and code.example for code in CODES.values())


def test_no_such_file_and_no_file(tmp_path):
    for path, code in ((tmp_path / "no", "RUN-FILE-MISSING"), (tmp_path, "RUN-FILE-UNREADABLE")):
        findings = Findings()
        assert read_run(path, TRUTHS, findings) == {}
        assert said(findings) == [(code, "error", None)]


def test_bounds(read, monkeypatch):
    monkeypatch.setattr(files, "MAX_ERRORS", 5)
    assert read("x,1\n" * 20)[1].counts == {"RUN-UNKNOWN-ID": 5, "RUN-TOO-MANY-ERRORS": 1}
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    assert said(read(RUN)[1]) == [("RUN-TOO-LARGE", "error", None)]


def test_all_faults_at_once(read):
    content = "FileName,TypeOfTB\nTST_0001.nii.gz,7\n\nTST_0002,2\nTST_0003.nii.gz;1\nTST_0001.nii.gz,1,\nTST_0001.nii.gz,x"
    predictions, findings = read(content)
    assert predictions == {}
    assert said(findings) == [
        ("RUN-NO-FINAL-NEWLINE", "warning", None),
        ("RUN-MISSING-ID", "error", None),
        ("RUN-HEADER", "error", 1),
        ("RUN-CLASS", "error", 2),
        ("RUN-BLANK-LINE", "error", 3),
        ("RUN-UNKNOWN-ID", "error", 4),
        ("RUN-FIELDS", "error", 5),
        ("RUN-FIELDS", "error", 6),
        ("RUN-DUPLICATE-ID", "error", 7),
        ("RUN-CLASS", "error", 7),
    ]


def test_missing_scans_can_be_allowed(read):
    predictions, findings = read(RUN[:36], allow_missing=True)
    assert len(predictions) == 2
    assert said(findings) == [("RUN-MISSING-ID", "warning", None)]


def test_the_order_of_lines_makes_no_difference(read):
    turned = "".join(reversed(RUN.splitlines(keepends=True)))
    assert labels(read(turned)[0]) == labels(read(RUN)[0])


@pytest.mark.parametrize("truth_set", [TRUTHS, truths_of_ids(["TST_0001.nii.gz", "b"], "tuberculosis"), TruthSet({}, TYPES)])
def test_the_example_is_valid(read, truth_set):
    predictions, findings = read(example_run(truth_set), truth_set)
    assert predictions.keys() == truth_set.truths.keys()
    assert len(findings) == (not truth_set.truths)  # nothing for no scans: an empty file


@pytest.mark.parametrize(
    ("predictions", "code"),
    [
        ([Prediction("TST_0004.nii.gz", 1)], "RUN-UNKNOWN-ID"),
        ([Prediction("TST_0001.nii.gz", 1)], "RUN-DUPLICATE-ID"),
        ([Prediction("TST_0003.nii.gz", 6)], "RUN-CLASS"),
        ([], "RUN-MISSING-ID"),
    ],
)
def test_what_cant_be_written_is_listed_and_the_old_file_stays(tmp_path, predictions, code):
    (tmp_path / "run").write_text("old")
    others = [Prediction("TST_0001.nii.gz", 1), Prediction("TST_0002.nii.gz", 2)]
    with pytest.raises(InvalidInput) as raised:
        write_run(tmp_path / "run", [*others, *predictions], TRUTHS)
    assert {finding.code for finding in raised.value.findings} <= {code, "RUN-MISSING-ID"}
    assert code in raised.value.findings.counts
    assert (tmp_path / "run").read_text() == "old"


def test_names_that_a_line_cant_hold(tmp_path):
    for name in ("a,b", " a", "a\n", '"a"', "", "\ud800"):
        with pytest.raises(InvalidInput, match="RUN-FIELDS"):
            write_run(tmp_path / "run", [Prediction(name, 1)], truths_of_ids([name], "tuberculosis"))


names = st.text(st.characters(blacklist_categories=["C", "Z"], blacklist_characters=",\"'"), min_size=1)


@given(st.dictionaries(names, st.sampled_from(list(TYPES)), min_size=1), st.randoms())
def test_runs_survive_writing_and_reading(tmp_path_factory, drawn, random):
    path = tmp_path_factory.getbasetemp() / "run.txt"
    truth_set = truths_of_ids(drawn, "tuberculosis")
    predictions = {name: Prediction(name, label) for name, label in drawn.items()}
    shuffled = random.sample(sorted(predictions.values(), key=lambda each: each.id), len(predictions))
    write_run(path, shuffled, truth_set)
    findings = Findings()
    assert read_run(path, truth_set, findings) == predictions
    assert set(findings.counts) <= {"RUN-CONSTANT"}


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text(alphabet="TST_0123.nigz,;\t 45\n\r", max_size=80).map(str.encode),
    st.booleans(),
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content, allow_missing):
    path = tmp_path_factory.getbasetemp() / "garbage-run"
    path.write_bytes(content)
    findings = Findings()
    for name, prediction in read_run(path, TRUTHS, findings, allow_missing=allow_missing).items():
        assert name in TRUTHS.truths
        assert prediction.label in TYPES
    assert {finding.code for finding in findings} <= CODES.keys()
    assert all(str(finding).isprintable() for finding in findings)


@pytest.mark.slow
@pytest.mark.parametrize("content", ["TST_0001.nii.gz, 1\n", "x,1\n", ",", "a", "TST_0001.nii.gz,1\u2028", "\n"])
def test_hostile_files_of_100_mb_are_read_in_seconds(tmp_path, content):
    path = tmp_path / "run"
    path.write_text(content * (100 * 2**20 // len(content.encode())), encoding="utf-8")
    start = time.perf_counter()
    findings = Findings()
    read_run(path, TRUTHS, findings)
    assert findings.error_count
    assert time.perf_counter() - start < 10
