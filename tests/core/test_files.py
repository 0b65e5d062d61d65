"""Files: atomic writing, hashing, and readers that report every fault with its line and never raise."""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core import files
from baselines.core.files import (
    STDOUT,
    check_outputs,
    names_ids,
    read_json_members,
    read_json_records,
    read_text,
    sha256_of,
    sniff_separator,
    write_atomic,
    write_json_atomic,
)
from baselines.core.findings import Findings, InvalidInput, Severity


def seen(findings):
    return [(finding.code, finding.line) for finding in findings]


def codes(findings):
    return {finding.code for finding in findings}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


class TestWriting:
    def test_text_is_utf_8_with_its_own_line_ends(self, path):
        write_atomic(path, "é\r\n\n")
        assert path.read_bytes() == "é\r\n\n".encode()

    def test_bytes_and_missing_folders(self, tmp_path):
        write_atomic(tmp_path / "a" / "b" / "file", b"\0\xff")
        assert (tmp_path / "a" / "b" / "file").read_bytes() == b"\0\xff"

    def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(self, path, monkeypatch):
        path.write_text("old")

        def interrupt(descriptor):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_atomic(path, "new")
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]
        assert path.read_text() == "old"

    def test_others_may_read_what_they_could_read_of_a_plain_file(self, tmp_path):
        (tmp_path / "plain").write_text("")
        write_atomic(tmp_path / "atomic", "")
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
        assert len(modes) == 1

    def test_json(self, path):
        write_json_atomic(path, {"a": [1, None, "é"]})
        assert json.loads(path.read_text(encoding="utf-8")) == {"a": [1, None, "é"]}
        assert path.read_text(encoding="utf-8").endswith("}\n")

    def test_nan_is_refused_and_the_old_file_stays(self, path):
        path.write_text("old")
        with pytest.raises(ValueError, match="JSON"):
            write_json_atomic(path, [float("nan")])
        assert path.read_text() == "old"


def test_sha256(path):
    path.write_bytes(b"abc" * 10**6)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 10**6).hexdigest()


def text_lines(path, content, prefix="DATA", **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = Findings()
    return list(read_text(path, findings, prefix, **options)), findings


def json_records(path, content, prefix="RUN"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = Findings()
    return list(read_json_records(path, findings, prefix)), findings


def json_members(path, content, prefix="RUN"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = Findings()
    return list(read_json_members(path, findings, prefix)), findings


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


RECORDS = """[
 {"file": "a",
  "box": [1,
   2.5]},

 {"file": "b"}
]
"""


_NAMES = st.sampled_from(["a", "b", "a:", '\\"', ':"', "\u00e9", ""])


def _object(members):
    """Return the text of an object, with blanks as writers may set them, and how often a key occurs again in it and within."""
    text = ",".join(f"{json.dumps(key)}{' ' * (len(key) % 2)}:{inner}" for key, (inner, _) in members)
    return f"{{{text}}}", len(members) - len({key for key, _ in members}) + sum(repeats for _, (_, repeats) in members)


# Texts of JSON values whose objects may have a key twice, with how often they do.
JSON_WITH_REPEATS = st.recursive(
    st.one_of(_NAMES, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.none(), st.booleans()).map(
        lambda value: (json.dumps(value), 0)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: (f"[{','.join(text for text, _ in parts)}]", sum(n for _, n in parts))),
        st.lists(st.tuples(_NAMES, inner), max_size=4).map(_object),
    ),
    max_leaves=12,
)


class TestJson:
    def test_records_with_their_lines(self, path):
        records, findings = json_records(path, RECORDS)
        assert [(record.number, record.line, record.value) for record in records] == [
            (0, 2, {"file": "a", "box": [1, 2.5]}),
            (1, 6, {"file": "b"}),
        ]
        assert len(findings) == 0

    def test_values_have_lines_and_texts(self, path):
        record = json_records(path, RECORDS)[0][0]
        assert record.line_of() == 2
        assert record.line_of("box") == 3
        assert record.line_of("box", 1) == 4
        assert record.source("box", 1) == "2.5"
        assert record.source("box") == "[1, 2.5]"

    def test_of_a_value_that_is_not_there_the_place_where_it_should_be(self, path):
        record = json_records(path, RECORDS)[0][0]
        assert record.line_of("box", 7) == 3
        assert record.line_of("missing", "deeper") == 2
        assert record.line_of("file", "deeper") == 2

    @pytest.mark.parametrize("ends", ["\r", "\r\n"])
    def test_other_line_ends_count_the_same(self, path, ends):
        records, findings = json_records(path, RECORDS.replace("\n", ends).encode())
        assert [record.line for record in records] == [2, 6]
        assert records[0].line_of("box", 1) == 4
        assert len(findings) == 0

    def test_texts_are_short_and_printable(self, path):
        record = json_records(path, '[["' + "x" * 1000 + '", "\x7f\u202e"]]')[0][0]
        assert len(record.source(0)) == 80
        assert record.source(1).isprintable()

    @pytest.mark.parametrize("chunk", [1, 2, 7, 64])
    def test_chunks_make_no_difference(self, path, monkeypatch, chunk):
        content = '[\n{"a": "é\\u00e9\\"", "b": [-1.5e-7, true, null]},\n 12345 ,\n"x"\n,\n[]]\n\n'
        whole = [(record.line, record.value) for record in json_records(path, content)[0]]
        monkeypatch.setattr(files, "CHUNK", chunk)
        records, findings = json_records(path, content)
        assert [(record.line, record.value) for record in records] == whole
        assert [record.value for record in records] == json.loads(content)
        assert len(findings) == 0

    @pytest.mark.parametrize("content", ["[]", " [ ] \n", "[\n]"])
    def test_no_records(self, path, content):
        records, findings = json_records(path, content)
        assert records == []
        assert len(findings) == 0

    @pytest.mark.parametrize("content", ['{"a": 1}', "3", '"x"', "null", "-1"])
    @pytest.mark.parametrize(("prefix", "code"), [("RUN", "RUN-STRUCTURE"), ("DATA", "DATA-FIELDS")])
    def test_no_list(self, path, content, prefix, code):
        records, findings = json_records(path, "\n" + content, prefix)
        assert records == []
        assert seen(findings) == [(code, 2)]

    @pytest.mark.parametrize(
        ("content", "line", "hint"),
        [
            ("  \n", 2, "too early"),
            ("nothing", 1, ""),
            ("<html>", 1, ""),
            ("[1,\n2", 2, "too early"),
            ("[1,\n", 2, "too early"),
            ('[{"a":\n', 2, "too early"),
            ("[1,\n]", 2, "comma"),
            ("[1\n2]", 2, ""),
            ('[{"a": 1,\n}]', 2, "comma"),
            ("[{'a': 1}]", 1, "double quotes"),
            ('[{"a":\nTrue}]', 2, "null, true"),
            ("[1]\n]", 2, "comma"),
            ("[1]\n[2]", 2, ""),
            ('["a\nb"]', 1, ""),
            ('["a', 1, ""),
            ("[01]", 1, ""),
            ("[nope]", 1, ""),
        ],
    )
    def test_syntax_errors_have_a_line_and_end_the_reading(self, path, content, line, hint):
        findings = json_records(path, content)[1]
        found = list(findings)
        assert len(found) == 1
        if content == "nothing":
            assert found[0].code == "RUN-STRUCTURE"
        else:
            assert found[0].code == "RUN-JSON"
        assert hint in found[0].hint
        assert found[0].line == line

    def test_what_stands_before_a_syntax_error_is_read(self, path):
        records, findings = json_records(path, "[1,\n2,\n}]")
        assert [record.value for record in records] == [1, 2]
        assert seen(findings) == [("RUN-JSON", 3)]

    @pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
    @pytest.mark.parametrize(("prefix", "code"), [("RUN", "RUN-JSON"), ("DATA", "DATA-NUMBER")])
    def test_literals_that_are_no_json(self, path, literal, prefix, code):
        records, findings = json_records(path, f'[{{"a": "NaN Infinity \\" NaN",\n"b": [1,\n {literal}]}}, 5]', prefix)
        assert seen(findings) == [(code, 3)]
        assert records[1].value == 5

    @pytest.mark.parametrize(("prefix", "code"), [("RUN", "RUN-JSON"), ("DATA", "DATA-DUPLICATE-KEY")])
    def test_keys_that_occur_twice(self, path, prefix, code):
        content = '[{"a": {"a": 1}, "b": {"a": "a"},\n"\\u0061": 2},\n{"c": [{"x": 1,\n"x": 2}, {"x": 3}]}]'
        records, findings = json_records(path, content, prefix)
        assert seen(findings) == [(code, 2), (code, 4)]
        assert [record.value for record in records] == json.loads(content)
        assert records[0].line_of("a") == 2

    @given(JSON_WITH_REPEATS)
    def test_no_key_that_occurs_twice_is_missed(self, pair):
        text, repeats = pair
        with tempfile.TemporaryDirectory() as folder:
            _, findings = json_records(Path(folder) / "x.json", f"[{text}]", "DATA")
        assert findings.counts["DATA-DUPLICATE-KEY"] == repeats

    @pytest.mark.parametrize(("prefix", "code"), [("RUN", "RUN-JSON"), ("DATA", "DATA-NUMBER")])
    def test_integers_longer_than_python_takes(self, path, prefix, code):
        digits = "9" * (sys.get_int_max_str_digits() + 1)
        records, findings = json_records(path, f'[1,\n{{"a":\n-{digits}}}, {{"b": 0.{digits}, "c": "{digits}"}}, 2]', prefix)
        assert seen(findings) == [(code, 3)]
        assert records[1].value["a"] == float("-inf")
        assert records[1].source("a").startswith("-999")
        assert records[3].value == 2

    @pytest.mark.parametrize("content", ["[" * 10**5, '[{"a": ' + "[" * 10**5 + "]" * 10**5 + "}]", '[{"a":' * 10**5])
    def test_absurd_nesting(self, path, content):
        assert seen(json_records(path, content)[1]) == [("RUN-JSON", 1)]

    def test_deep_nesting_can_be_looked_at(self, path):
        for depth in range(900, 1000, 7):
            for record in json_records(path, f'[{{"a": {"[" * depth}{"]" * depth}, "b": 1}}]')[0]:
                assert record.source("a").startswith("[[[")
                assert record.line_of("b") == 1

    def test_deep_nesting_can_be_looked_at_from_deep_within_a_program(self, path):
        record = json_records(path, f'[\n{{"a": {"[" * 900}{"]" * 900},\n"b": 1}}]')[0][0]

        def deeper(steps):
            return deeper(steps - 1) if steps else (record.source("a"), record.line_of("b"))

        for steps in range(0, 60, 3):
            source, line = deeper(steps)
            assert source.startswith("[[[")
            assert line in {2, 3}

    def test_too_long_a_record(self, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_RECORD_LENGTH", 50)
        monkeypatch.setattr(files, "CHUNK", 8)
        records, findings = json_records(path, '[{"a": 1},\n{"a": [' + "1, " * 100 + "1]}]")
        assert [record.value for record in records] == [{"a": 1}]
        assert seen(findings) == [("RUN-TOO-LARGE", 2)]

    def test_too_many_errors_end_the_reading(self, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_ERRORS", 3)
        records, findings = json_records(path, "[NaN, 1, [" + "NaN," * 50 + "NaN], 2]")
        assert findings.counts == {"RUN-JSON": 3, "RUN-TOO-MANY-ERRORS": 1}
        assert len(records) == 3

    def test_a_byte_order_mark_is_reported_and_read_over(self, path):
        records, findings = json_records(path, b"\xef\xbb\xbf[1]")
        assert [record.value for record in records] == [1]
        assert seen(findings) == [("RUN-BOM", 1)]

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                        | st.text(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)),
           st.sampled_from([None, 1]))  # fmt: skip
    def test_reads_what_the_standard_library_writes(self, tmp_path_factory, value, indent):
        path = tmp_path_factory.getbasetemp() / "records.json"
        content = json.dumps([value, value], indent=indent)
        records, findings = json_records(path, content)
        assert [record.value for record in records] == [value, value]
        assert len(findings) == 0
        if indent:
            lines = content.split("\n")
            assert all(lines[record.line - 1].strip()[:1] == json.dumps(value)[:1] for record in records)

    @given(st.binary(max_size=100) | st.text(alphabet='[]{}",:0.9eE-+NaInfity\\u \n\r', max_size=60).map(str.encode))
    def test_garbage_is_only_ever_a_finding(self, tmp_path_factory, content):
        path = tmp_path_factory.getbasetemp() / "garbage.json"
        records, findings = json_records(path, content)
        if not findings.error_count:
            assert [record.value for record in records] == json.loads(content)
        for record in records:
            record.source()


MEMBERS = """{
 "a": {"x": 1,
   "y": [1,
    2]},
 "b"
 :
 5,
 "a": null
}
"""


class TestJsonMembers:
    def test_members_with_their_lines_also_of_equal_keys(self, path):
        members, findings = json_members(path, MEMBERS)
        assert [(each.number, each.key, each.key_line, each.line, each.value) for each in members] == [
            (0, "a", 2, 2, {"x": 1, "y": [1, 2]}),
            (1, "b", 5, 7, 5),
            (2, "a", 8, 8, None),
        ]
        assert len(findings) == 0
        assert members[0].line_of("y", 1) == 4
        assert members[0].source("y") == "[1, 2]"

    @pytest.mark.parametrize("chunk", [1, 2, 7, 64])
    def test_chunks_make_no_difference(self, path, monkeypatch, chunk):
        content = '{\n"é\\u00e9\\"": [-1.5e-7, true, null], "" \n:\n 12345 ,\n"x":"x"\n,\n"\\ud800":{}}\n\n'
        whole = [(each.line, each.key_line, each.key, each.value) for each in json_members(path, content)[0]]
        monkeypatch.setattr(files, "CHUNK", chunk)
        members, findings = json_members(path, content)
        assert [(each.line, each.key_line, each.key, each.value) for each in members] == whole
        assert {each.key: each.value for each in members} == json.loads(content)
        assert len(findings) == 0

    @pytest.mark.parametrize("content", ["{}", " { } \n", "{\n}"])
    def test_no_members(self, path, content):
        members, findings = json_members(path, content)
        assert members == []
        assert len(findings) == 0

    @pytest.mark.parametrize("content", ['[{"a": 1}]', "3", '"x"', "null", "-1"])
    @pytest.mark.parametrize(("prefix", "code"), [("RUN", "RUN-STRUCTURE"), ("DATA", "DATA-FIELDS")])
    def test_no_object(self, path, content, prefix, code):
        members, findings = json_members(path, "\n" + content, prefix)
        assert members == []
        assert seen(findings) == [(code, 2)]

    @pytest.mark.parametrize(
        ("content", "line", "column", "hint"),
        [
            ("  \n", 2, 1, "too early"),
            ("<html>", 1, 1, ""),
            ('{"a": 1,\n', 2, 1, "too early"),
            ('{"a": 1,\n "b"', 2, 5, "too early"),
            ('{"a": 1,\n "b":', 2, 6, "too early"),
            ('{"a": 1,\n "b": {"c": 2', 2, 14, "too early"),
            ('{"a": 1,\n}', 2, 1, "comma too many"),
            ('{,"a": 1}', 1, 2, "comma too many"),
            (
                '{"a": {"b": 1,}}',
                1,
                None,
                "comma too many",
            ),  # Python 3.13 names the place of the comma, older ones what follows
            ('{"a": 1\n "b": 2}', 2, 2, "comma missing"),
            ('{"a": {"b": 1\n  "c": 2}}', 2, 3, "comma missing"),
            ("{'a': 1}", 1, 2, "double quotes"),
            ("{a: 1}", 1, 2, "json.dump"),
            ("{1: 1}", 1, 2, "json.dump"),
            ('{"a" 1}', 1, 6, "json.dump"),
            ('{"a": None}', 1, 7, "null"),
            ('{"a": 1]', 1, 8, ""),
            ('{"a": 1}\n}', 2, 1, ""),
            ('{"a": 1}\n{"b": 2}', 2, 1, ""),
            ('{"a": "x\ny"}', 1, 9, ""),
        ],
    )
    def test_syntax_errors_have_line_and_column_and_end_the_reading(self, path, content, line, column, hint):
        (found,) = json_members(path, content)[1]
        assert (found.code, found.line) == ("RUN-JSON", line)
        assert "in column " + (f"{column}:" if column else "1") in found.message
        assert hint in found.hint

    @pytest.mark.parametrize("chunk", [1, 3, 50])
    def test_columns_dont_depend_on_chunks(self, path, monkeypatch, chunk):
        monkeypatch.setattr(files, "CHUNK", chunk)
        line = '  "bbbbbbbbbbbbbbbbbbbbb": [1, 2, 3], "c": {"d": 1 "e": 2}}'
        (found,) = json_members(path, '{"a": 1,\n' + line)[1]
        assert found.line == 2
        assert f"in column {line.index('e')}:" in found.message

    @pytest.mark.parametrize("prefix", ["RUN", "DATA"])
    def test_keys_that_occur_twice_within_a_member(self, path, prefix):
        content = '{"u": {"a": {"a": 1},\n"b": NaN,\n"\\u0061": 2},\n"v": {"c": [{"x": 1,\n"x": 2}, {"x": 3}]}, "u": 1}'
        members, findings = json_members(path, content, prefix)
        code = f"{prefix}-DUPLICATE-KEY"
        assert [(each.code, each.line, each.id) for each in findings] == [(code, 3, "u"), (code, 5, "v")]
        assert members[1].value == {"c": [{"x": 2}, {"x": 3}]}

    def test_numbers_that_are_no_numbers_are_left_to_the_caller(self, path):
        digits = "9" * (sys.get_int_max_str_digits() + 1)
        content = f'{{"a": NaN, "b": -Infinity,\n"c": {{"d": 1e999, "e": -{digits}}}}}'
        members, findings = json_members(path, content)
        assert len(findings) == 0
        assert [members[0].source(), members[1].source(), members[2].source("d")] == ["NaN", "-Infinity", "1e999"]
        assert members[2].value == {"d": float("inf"), "e": float("-inf")}
        assert len(members[2].source("e")) == 80

    @pytest.mark.parametrize("content", ['{"a":' * 10**5, '{"a": ' + "[" * 10**5 + "]" * 10**5 + "}", "{" * 10**5])
    def test_absurd_nesting(self, path, content):
        assert seen(json_members(path, content)[1]) == [("RUN-JSON", 1)]

    def test_too_long_a_member(self, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_RECORD_LENGTH", 50)
        monkeypatch.setattr(files, "CHUNK", 8)
        members, findings = json_members(path, '{"a": 1,\n"b": [' + "1, " * 100 + "1]}")
        assert [each.value for each in members] == [1]
        assert seen(findings) == [("RUN-TOO-LARGE", 2)]

    def test_too_long_a_key(self, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_RECORD_LENGTH", 50)
        monkeypatch.setattr(files, "CHUNK", 8)
        members, findings = json_members(path, '{"a": 1,\n"' + "b" * 1000 + '": 1}')
        assert [each.value for each in members] == [1]
        assert seen(findings) == [("RUN-JSON", 2)]

    def test_too_many_errors_end_the_reading(self, path, monkeypatch):
        monkeypatch.setattr(files, "MAX_ERRORS", 3)
        twice = '{"x": 1, "x": 2}'
        members, findings = json_members(path, "{" + ", ".join(f'"{number}": {twice}' for number in range(20)) + "}")
        assert findings.counts == {"RUN-DUPLICATE-KEY": 3, "RUN-TOO-MANY-ERRORS": 1}
        assert len(members) == 3

    def test_a_byte_order_mark_is_reported_and_read_over(self, path):
        members, findings = json_members(path, b'\xef\xbb\xbf{"a": 1}')
        assert [each.value for each in members] == [1]
        assert seen(findings) == [("RUN-BOM", 1)]

    @given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.dictionaries(st.text(), st.booleans())),
           st.sampled_from([None, 1]))  # fmt: skip
    def test_reads_what_the_standard_library_writes(self, tmp_path_factory, value, indent):
        path = tmp_path_factory.getbasetemp() / "members.json"
        members, findings = json_members(path, json.dumps(value, indent=indent))
        assert {each.key: each.value for each in members} == value
        assert len(findings) == 0

    @given(st.binary(max_size=100) | st.text(alphabet='[]{}",:0.9eE-+NaInfity\\u \n\r', max_size=60).map(str.encode)
           | st.text(alphabet='{}",:1a ', max_size=30).map(lambda text: f'{{"a":{text}'.encode()))  # fmt: skip
    def test_garbage_is_only_ever_a_finding(self, tmp_path_factory, content):
        path = tmp_path_factory.getbasetemp() / "garbage.json"
        members, findings = json_members(path, content)
        if not findings.error_count:
            expected = json.loads(content)
            assert repr({each.key: each.value for each in members}) == repr(expected)
        for member in members:
            member.source()


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


def test_links_permissions_and_devices_outlive_writing(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "latest.json"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o600
    write_atomic(Path(os.devnull), "gone")
    assert Path(os.devnull).is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "real.json"]


def test_a_pipe_gets_what_is_written(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomic(pipe, "through")
        assert os.read(reader, 100) == b"through"
        assert pipe.is_fifo()
    finally:
        os.close(reader)


def test_standard_output_is_appended_to_where_the_shell_appends(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("before\n")
    program = "from baselines.core.files import STDOUT, write_atomic; write_atomic(STDOUT, 'after')"
    with kept.open("a") as output:
        subprocess.run([sys.executable, "-c", program], stdout=output, check=True)
    assert kept.read_text() == "before\nafter"


def test_outputs_have_a_folder(tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("")
    folder.mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone" / "x")
    check_outputs([], [("--a", folder / "new"), ("--b", file), ("--c", Path(os.devnull)), ("--d", STDOUT), ("--e", None)])
    for path, place, said in (
        (file / "x" / "y", file, "--json needs a folder here, and this is a file"),
        (folder / "no" / "such" / "x", folder / "no" / "such", "--json needs this folder, and there is none"),
        (tmp_path / "link", tmp_path / "gone", "--json needs this folder, and there is none"),
        (folder, folder, "--json needs a file, and this is a folder"),
    ):
        with pytest.raises(InvalidInput, match=f"^{re.escape(str(place))}: OUTPUT-PATH {said}"):
            check_outputs([], [("--json", path)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_outputs_have_a_folder_that_takes_files(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidInput, match="can be written to"):
        check_outputs([], [("--json", tmp_path / "x")])


def test_a_folder_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), tmp_path):
        with pytest.raises(IsADirectoryError):
            write_atomic(folder, "text")
    assert not list(tmp_path.iterdir())
