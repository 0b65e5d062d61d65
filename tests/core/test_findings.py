"""Findings: their text, their order, their bound, and what is raised of them."""

import json

import pytest

from baselines.core.findings import (
    MAX_KEPT_PER_CODE,
    DistinctFindings,
    Finding,
    Findings,
    InvalidInput,
    Severity,
    invalid,
    shorten,
)


def finding(code="RUN-BOX", severity=Severity.ERROR, **details):
    return Finding(code, severity, "not four numbers", **details)


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({}, "RUN-BOX not four numbers"),
        ({"file": "a.json"}, "a.json: RUN-BOX not four numbers"),
        ({"file": "a.json", "line": 7}, "a.json:7: RUN-BOX not four numbers"),
        ({"line": 7}, "7: RUN-BOX not four numbers"),
        ({"id": "a.jpg"}, "RUN-BOX a.jpg: not four numbers"),
        ({"value": "[1]"}, "RUN-BOX not four numbers (saw [1])"),
        ({"hint": "write four"}, "RUN-BOX not four numbers (write four)"),
        ({"value": "[1]", "hint": "write four"}, "RUN-BOX not four numbers (saw [1]; write four)"),
    ],
)
def test_text_leaves_out_what_is_absent(details, text):
    assert str(finding(**details)) == text


def test_a_finding_becomes_json():
    record = json.loads(json.dumps(finding(file="a", line=3).to_dict()))
    assert record["code"] == "RUN-BOX"
    assert record["severity"] == "error"
    assert record["line"] == 3


def test_sorted_by_file_and_line_then_as_found():
    findings = Findings(
        [
            finding(file="b", line=1),
            finding(file="a", line=9, value="first"),
            finding(file="a", line=9, value="second"),
            finding(file="a"),
        ]
    )
    assert [(entry.file, entry.line, entry.value) for entry in findings] == [
        ("a", None, ""),
        ("a", 9, "first"),
        ("a", 9, "second"),
        ("b", 1, ""),
    ]


def test_all_are_counted_and_the_first_of_each_code_kept():
    findings = Findings(finding(line=line) for line in range(1, MAX_KEPT_PER_CODE + 6))
    findings.add(finding("RUN-SCORE", Severity.WARNING))
    assert len(findings) == MAX_KEPT_PER_CODE + 6
    assert findings.error_count == MAX_KEPT_PER_CODE + 5
    assert len(list(findings)) == MAX_KEPT_PER_CODE + 1
    assert findings.lines()[-1] == "RUN-BOX 5 more, not listed"


def test_whether_one_more_would_be_kept():
    findings = Findings([Finding("RUN-A", Severity.ERROR, "wrong")] * (MAX_KEPT_PER_CODE - 1))
    assert findings.keeps("RUN-A")
    findings.add(Finding("RUN-A", Severity.ERROR, "wrong"))
    assert not findings.keeps("RUN-A")
    assert findings.keeps("RUN-B")


def test_what_is_found_again_is_taken_once():
    once = DistinctFindings()
    found = [finding(file="a", line=line) for line in range(MAX_KEPT_PER_CODE + 5)]
    for _ in range(2):
        once.extend(found)
    once.extend([finding(file="a", id="x"), finding(file="a", value="y"), finding("RUN-SCORE", file="a")])
    assert once.counts == {"RUN-BOX": MAX_KEPT_PER_CODE + 7, "RUN-SCORE": 1}


def test_what_is_only_counted_is_passed_on_too():
    once = DistinctFindings()
    findings = Findings(pass_on=once.add)
    findings.extend(finding(line=line) for line in range(MAX_KEPT_PER_CODE + 5))
    assert len(findings) == len(once) == MAX_KEPT_PER_CODE + 5


def test_of_one_severity():
    findings = Findings([finding(), finding("RUN-SCORE", Severity.WARNING)])
    assert [entry.code for entry in findings.of(Severity.WARNING)] == ["RUN-SCORE"]


def test_warnings_and_infos_are_not_raised():
    Findings([finding(severity=Severity.WARNING), finding(severity=Severity.INFO)]).raise_errors()


def test_raised_with_everything_that_was_found():
    findings = Findings([finding(severity=Severity.WARNING), finding("RUN-SCORE")])
    with pytest.raises(InvalidInput, match="RUN-BOX") as raised:
        findings.raise_errors()
    assert raised.value.findings is findings
    assert "RUN-SCORE" in str(raised.value)


def test_invalid_is_one_error():
    error = invalid("DATA-FILE-MISSING", "there is no such file", file="a.json", value=3, hint="look again")
    assert str(error) == "a.json: DATA-FILE-MISSING there is no such file (saw 3; look again)"
    assert error.findings.error_count == 1


@pytest.mark.parametrize("value", ["a\nb\x1b[2J", b"\xff\x00", "x" * 10**6, "\ud800", ["a\n"], None])
def test_shortened_values_are_short_and_printable(value):
    text = shorten(value)
    assert len(text) <= 80
    assert text.isprintable()
