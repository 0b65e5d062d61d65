"""Text files: readers that report every fault with its line and never raise; hashes."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core import files
from baselines.core.files import names_ids, read_text, sha256_of, sniff_separator
from baselines.core.findings import Findings, Severity
from baselines.core.json_stream import read_json_members, read_json_records


def seen(findings):
    return [(finding.code, finding.line) for finding in findings]


def codes(findings):
    return {finding.code for finding in findings}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def test_sha256(path):
    path.write_bytes(b"abc" * 10**6)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 10**6).hexdigest()


def text_lines(path, content, prefix="DATA", **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = Findings()
    return list(read_text(path, findings, prefix, **options)), findings


@pytest.mark.parametrize("reader", [read_text, read_json_records, read_json_members])
@pytest.mark.parametrize("prefix", ["DATA", "RUN"])
class TestFilesThatCantBeRead:
    def read(self, reader, path, prefix):
        findings = Findings()
        assert list(reader(path, findings, prefix)) == []
        return [(finding.code, finding.severity) for finding in findings]

    def test_missing(self, reader, prefix, path):
        assert self.read(reader, path, prefix) == [(f"{prefix}-FILE-MISSING", Severity.ERROR)]

    def test_empty(self, reader, prefix, path):
        path.write_bytes(b"")
        assert self.read(reader, path, prefix) == [(f"{prefix}-FILE-EMPTY", Severity.ERROR)]

    def test_folder(self, reader, prefix, tmp_path):
        assert self.read(reader, tmp_path, prefix) == [(f"{prefix}-FILE-UNREADABLE", Severity.ERROR)]

    def test_pipe_is_not_waited_for(self, reader, prefix, path):
        os.mkfifo(path)
        assert self.read(reader, path, prefix) == [(f"{prefix}-FILE-UNREADABLE", Severity.ERROR)]

    def test_below_a_file(self, reader, prefix, path):
        path.write_text("x")
        assert self.read(reader, path / "below", prefix) == [(f"{prefix}-FILE-UNREADABLE", Severity.ERROR)]

    def test_name_with_nul(self, reader, prefix, tmp_path):
        assert self.read(reader, tmp_path / "a\0b", prefix) == [(f"{prefix}-FILE-UNREADABLE", Severity.ERROR)]

    def test_too_large(self, reader, prefix, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
        path.write_text("x" * 11)
        assert self.read(reader, path, prefix) == [(f"{prefix}-TOO-LARGE", Severity.ERROR)]

    def test_binary(self, reader, prefix, path):
        path.write_bytes(b"PK\3\4\n\n\0\0\xff")
        assert self.read(reader, path, prefix) == [(f"{prefix}-ENCODING", Severity.ERROR)]


class TestText:
    def test_lines_end_at_three_things_only(self, path):
        lines, findings = text_lines(path, "a\rb\r\nc\nd\x0be\x85f\u2028g\n")
        assert lines == [(1, "a"), (2, "b"), (3, "c"), (4, "d\x0be\x85f\u2028g")]
        assert codes(findings) == {"DATA-CRLF"}

    @pytest.mark.parametrize(("prefix", "severity"), [("DATA", Severity.INFO), ("RUN", Severity.WARNING)])
    def test_carriage_returns(self, path, prefix, severity):
        findings = text_lines(path, "a\r\n", prefix)[1]
        assert [(finding.code, finding.severity) for finding in findings] == [(f"{prefix}-CRLF", severity)]

    @pytest.mark.parametrize("severity", list(Severity))
    def test_last_line_without_an_end(self, path, severity):
        lines, findings = text_lines(path, "a\nb", final_newline=severity)
        assert lines == [(1, "a"), (2, "b")]
        assert [(finding.code, finding.severity) for finding in findings] == [("DATA-NO-FINAL-NEWLINE", severity)]

    def test_empty_lines_are_lines(self, path):
        assert text_lines(path, "\n\na\n")[0] == [(1, ""), (2, ""), (3, "a")]

    @pytest.mark.parametrize(("prefix", "severity"), [("DATA", Severity.INFO), ("RUN", Severity.ERROR)])
    def test_byte_order_mark_is_no_part_of_the_text(self, path, prefix, severity):
        lines, findings = text_lines(path, b"\xef\xbb\xbfa\n", prefix)
        assert lines == [(1, "a")]
        assert [(finding.code, finding.severity) for finding in findings] == [(f"{prefix}-BOM", severity)]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
    def test_other_encodings_are_errors_but_are_read(self, path, encoding):
        lines, findings = text_lines(path, "aé\nb\n".encode(encoding))
        assert lines == [(1, "aé"), (2, "b")]
        assert seen(findings) == [("DATA-ENCODING", 1)]

    def test_bytes_that_are_not_utf_8_have_a_line(self, path):
        lines, findings = text_lines(path, b"a\r\nb\rc\xe9d\n")
        assert lines == [(1, "a"), (2, "b"), (3, "c\ufffdd")]
        assert ("DATA-ENCODING", 3) in seen(findings)

    def test_cut_off_character(self, path):
        assert ("DATA-ENCODING", 2) in seen(text_lines(path, b"a\n\xc3")[1])

    @pytest.mark.parametrize("chunk", [1, 2, 3, 5])
    def test_chunks_make_no_difference(self, path, monkeypatch, chunk):
        content = "a\r\né\r\r\n\n\U0001f600\n".encode()
        whole = text_lines(path, content)
        broken = text_lines(path, content + b"\xff")
        monkeypatch.setattr(files, "CHUNK", chunk)
        assert text_lines(path, content)[0] == whole[0]
        assert ("DATA-ENCODING", 6) in seen(broken[1])
        assert ("DATA-ENCODING", 6) in seen(text_lines(path, content + b"\xff")[1])

    def test_too_long_a_line_ends_the_reading(self, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_RECORD_LENGTH", 5)
        lines, findings = text_lines(path, "abcd\nabcdefgh\nx\n")
        assert lines == [(1, "abcd")]
        assert seen(findings) == [("DATA-TOO-LARGE", 2)]

    def test_too_many_errors_end_the_reading(self, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_ERRORS", 3)
        path.write_text("x\n" * 10)
        findings = Findings()
        report = files.Report(findings, "x", "RUN")
        for number, _ in read_text(path, findings, "RUN"):
            report.error("BOX", "bad", line=number)
        assert findings.counts["RUN-BOX"] == 3
        assert ("RUN-TOO-MANY-ERRORS", 3) in seen(findings)

    @given(st.binary(max_size=200))
    def test_garbage_is_only_ever_a_finding(self, tmp_path_factory, content):
        path = tmp_path_factory.getbasetemp() / "garbage.txt"
        lines, findings = text_lines(path, content)
        assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
        try:
            expected = content.decode("utf-8")
        except UnicodeDecodeError:
            assert "DATA-ENCODING" in codes(findings)
        else:
            if content and "\0" not in expected and not findings.error_count and "DATA-BOM" not in codes(findings):
                ends = expected.replace("\r\n", "\n").replace("\r", "\n")
                assert "\n".join(line for _, line in lines) == ends.removesuffix("\n")


@pytest.mark.parametrize(("text", "expected"), [("a|1\nb|2\n", "|"), ("a\t1,2\nb\t2\n", "\t"), ("a,1\n", ","), ("?\n", "|")])
def test_the_separator_is_the_one_that_most_lines_fit(tmp_path, text, expected):
    path = tmp_path / "file"
    path.write_text(text)
    assert sniff_separator(path, "|\t,", lambda fields: len(fields) == 2 and fields[1][:1].isdigit()) == expected


def test_a_file_that_cannot_be_read_has_the_expected_separator(tmp_path):
    assert sniff_separator(tmp_path / "none", "|,", bool) == "|"


def test_names_of_columns_of_ids():
    assert all(map(names_ids, ("ID", "image_id", "Image ID", '"id"', " filename ")))
    assert not any(map(names_ids, ("synpic1", "", "id1", "image " * 10**6)))
