"""The label file: what is tolerated, what is an error, and round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.findings import Findings
from baselines.medical.tuberculosis.records import Truth, TruthSet, read_truth, truths_of_ids, write_truth
from baselines.medical.tuberculosis.task import TYPES

LINES = "FileName,TypeOfTB\nTRN_0001.nii.gz,1\nTRN_0002.nii.gz,1\nTRN_0007.nii.gz,4\n"
LABELS = {"TRN_0001.nii.gz": 1, "TRN_0002.nii.gz": 1, "TRN_0007.nii.gz": 4}


@pytest.fixture
def read(tmp_path):
    def write_and_read(content):
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_truth(path, "tuberculosis", findings), findings

    return write_and_read


def labels(truth_set):
    return {name: truth.label for name, truth in truth_set.truths.items()}


def said(findings):
    return [(finding.code, finding.severity.value, finding.line) for finding in findings]


def test_the_file_as_distributed(read):
    truth_set, findings = read(LINES)
    assert labels(truth_set) == LABELS
    assert list(truth_set.truths) == list(LABELS)
    assert truth_set.classes == TYPES
    assert len(findings) == 0


@pytest.mark.parametrize(
    ("content", "code", "severity", "line"),
    [
        (LINES.replace(",", "\t"), "DATA-SEPARATOR", "warning", 1),
        (LINES.replace(",", ";"), "DATA-SEPARATOR", "warning", 1),
        (LINES.split("\n", 1)[1], "DATA-HEADER", "warning", 1),
        (LINES.replace("TRN_0002.nii.gz", "TRN_0002"), "DATA-NAME", "info", 3),
        (LINES.replace("TRN_0002.nii.gz", "TRN_0002.nii"), "DATA-NAME", "info", 3),
        (LINES.replace(",4", ", 4"), "DATA-NAME", "info", 4),
        (LINES.replace("TRN_0002.nii.gz,1", '"TRN_0002.nii.gz",1'), "DATA-QUOTING", "warning", 3),
        (LINES + "\n", "DATA-BLANK-LINE", "info", 5),
        (LINES.replace("\n", "\r\n"), "DATA-CRLF", "info", None),
        (LINES[:-1], "DATA-NO-FINAL-NEWLINE", "info", None),
        (b"\xef\xbb\xbf" + LINES.encode(), "DATA-BOM", "info", 1),
    ],
)
def test_what_is_tolerated_is_reported(read, content, code, severity, line):
    truth_set, findings = read(content)
    assert labels(truth_set) == LABELS
    assert said(findings) == [(code, severity, line)]


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ("TRN_0009.nii.gz", "DATA-FIELDS", "1 fields"),
        ("TRN_0009.nii.gz,1,2", "DATA-FIELDS", "3 fields (saw 'TRN_0009.nii.gz,1,2'; a line is FILE,CLASS"),
        (",1", "DATA-FIELDS", "the file name is empty"),
        ("TRN_0009.nii.gz,", "DATA-CLASS-UNKNOWN", "not an integer from 1 to 5 (saw ''; the classes are 1 Infiltrative"),
        ("TRN_0009.nii.gz,6", "DATA-CLASS-UNKNOWN", "saw '6'; the classes are 1 Infiltrative"),
        ("TRN_0009.nii.gz,3.0", "DATA-CLASS-UNKNOWN", "saw '3.0'; write 3"),
        ("TRN_0009.nii.gz,Fibro-Cavernous", "DATA-CLASS-UNKNOWN", "write 5"),
        ("TRN_0009.nii.gz,nan", "DATA-CLASS-UNKNOWN", "saw 'nan'"),
        ("TRN_0009.nii.gz," + "9" * 10**6, "DATA-CLASS-UNKNOWN", "TRN_0009.nii.gz: the class"),
        ("TRN_0002.nii.gz,1", "DATA-ID-DUPLICATE", "TRN_0002.nii.gz: the scan is on line 3, too"),
        ("TRN_0002,1", "DATA-ID-DUPLICATE", "TRN_0002.nii.gz: the scan is on line 3, too"),
        ("TRN_0002.nii.gz,2", "DATA-LABEL-CONFLICT", "another label on line 3 (saw 2, and 1 there"),
    ],
)
def test_errors(read, row, code, message):
    truth_set, findings = read(LINES + row + "\n")
    assert labels(truth_set) == LABELS
    (found,) = (finding for finding in findings if finding.severity == "error")
    assert (found.code, found.line) == (code, 5)
    assert message in str(found)
    assert len(str(found)) < 500


def test_separators_and_names_are_shown_in_print(read):
    findings = read("\x01\t1\n\x01\t2\n\x01\n")[1]
    assert {finding.code for finding in findings} >= {"DATA-SEPARATOR", "DATA-LABEL-CONFLICT", "DATA-FIELDS"}
    assert all(str(finding).isprintable() for finding in findings)


def test_a_file_that_cannot_be_read(tmp_path):
    findings = Findings()
    assert read_truth(tmp_path / "no", "tuberculosis", findings).truths == {}
    assert said(findings) == [("DATA-FILE-MISSING", "error", None)]


def test_truths_of_ids_have_no_label():
    truth_set = truths_of_ids(["b", "a"], "tuberculosis")
    assert labels(truth_set) == {"b": 0, "a": 0}
    assert truth_set.classes == TYPES


@pytest.mark.parametrize("truth", [Truth("TRN_0001.nii.gz", 0), Truth("TRN_0001", 1), Truth("a,b.nii.gz", 1), Truth("", 1)])
def test_what_is_no_truth_is_not_written(tmp_path, truth):
    with pytest.raises(ValueError, match="can't be written"):
        write_truth(tmp_path / "x", TruthSet({truth.id: truth}, TYPES))


names = st.text(st.characters(blacklist_categories=["C", "Z"], blacklist_characters=",;\"'"), min_size=1).map(
    "{}.nii.gz".format
)


@given(st.dictionaries(names, st.sampled_from(list(TYPES))))
def test_truths_survive_writing_and_reading(tmp_path_factory, drawn):
    path = tmp_path_factory.getbasetemp() / "truth.csv"
    truth_set = TruthSet({name: Truth(name, label) for name, label in drawn.items()}, TYPES)
    write_truth(path, truth_set)
    findings = Findings()
    assert read_truth(path, "tuberculosis", findings) == truth_set
    assert len(findings) == 0


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text(alphabet="TRN_01.nigz,;\t 12345\"'\n\r", max_size=80).map(str.encode)
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "garbage.csv"
    path.write_bytes(content)
    findings = Findings()
    for name, truth in read_truth(path, "tuberculosis", findings).truths.items():
        assert name == truth.id
        assert truth.label in TYPES
    assert all(str(finding).isprintable() for finding in findings)
