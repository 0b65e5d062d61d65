"""JSON files: read part by part, with every fault reported by its line, and never raised."""

import json
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core import files, json_stream
from baselines.core.findings import Findings
from baselines.core.json_stream import read_json_members, read_json_records


def seen(findings):
    return [(finding.code, finding.line) for finding in findings]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def json_records(path, content, prefix="RUN"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = Findings()
    return list(read_json_records(path, findings, prefix)), findings


def json_members(path, content, prefix="RUN"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = Findings()
    return list(read_json_members(path, findings, prefix)), findings


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
        monkeypatch.setattr(json_stream, "CHUNK", chunk)
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
        assert [finding.id for finding in findings] == ["record 1", "record 2"]
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
        monkeypatch.setattr(json_stream, "MAX_RECORD_LENGTH", 50)
        monkeypatch.setattr(json_stream, "CHUNK", 8)
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
        monkeypatch.setattr(json_stream, "CHUNK", chunk)
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
        monkeypatch.setattr(json_stream, "CHUNK", chunk)
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
        monkeypatch.setattr(json_stream, "MAX_RECORD_LENGTH", 50)
        monkeypatch.setattr(json_stream, "CHUNK", 8)
        members, findings = json_members(path, '{"a": 1,\n"b": [' + "1, " * 100 + "1]}")
        assert [each.value for each in members] == [1]
        assert seen(findings) == [("RUN-TOO-LARGE", 2)]

    def test_too_long_a_key(self, path, monkeypatch):
        monkeypatch.setattr(json_stream, "MAX_RECORD_LENGTH", 50)
        monkeypatch.setattr(json_stream, "CHUNK", 8)
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
