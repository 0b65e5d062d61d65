"""The ground truth of aware: the layout of 2022 and 2023, what is tolerated, what is an error, and round trips."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.aware.records import ALIASES, Truth, TruthSet, is_complete, read_truth, truths_of_ids, write_truth
from baselines.aware.task import SITUATIONS
from baselines.core.findings import Findings

USER = {"acc": -0.4411019324926313, "bank": -0.39257818739948896, "it": -0.3758335753726486, "wait": -0.840127819705136}
OTHER = {"it": 1, "wait": 0, "bank": 2.5e-3, "acc": -2}
LERVUP = ("accommodation_search", "bank_credit", "job_search_IT", "job_search_waiter_waitress")


@pytest.fixture
def read(tmp_path):
    def write_and_read(content):
        path = tmp_path / "gt_val.json"
        if not isinstance(content, str | bytes):
            content = json.dumps(content, indent=1)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_truth(path, "aware", findings), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value, finding.line) for finding in findings]


def test_the_layout_of_2022_and_2023(read):
    truth_set, findings = read({"pmod0my3lhbq5btb": USER, "b04bqghczktsjki8": OTHER})
    assert truth_set.truths["pmod0my3lhbq5btb"] == Truth("pmod0my3lhbq5btb", USER)
    assert truth_set.truths["b04bqghczktsjki8"].ratings == OTHER
    assert list(truth_set.truths["b04bqghczktsjki8"].ratings) == list(SITUATIONS)
    assert list(truth_set.truths) == ["pmod0my3lhbq5btb", "b04bqghczktsjki8"]
    assert len(findings) == 0


def test_ratings_that_are_strings_are_told_once(read):
    truth_set, findings = read({name: {key: str(value) for key, value in USER.items()} for name in "abc"})
    assert truth_set.truths["b"].ratings == USER
    (found,) = findings
    assert (found.code, found.severity, found.line) == ("DATA-NUMBER", "info", 3)
    assert found.message == "12 ratings are strings"


@pytest.mark.parametrize("names", [LERVUP, ("ACCOM", "BANK", "IT", "WAIT"), ("ACC", "bank", "IT", "wait")])
def test_the_names_of_lervup_are_told_once(read, names):
    truth_set, findings = read({user: dict(zip(names, USER.values(), strict=True)) for user in "ab"})
    assert truth_set.truths["b"].ratings == USER
    (found,) = findings
    assert (found.code, found.severity, found.line) == ("DATA-LAYOUT-UNVERIFIED", "warning", 3)
    assert "names of LERVUP's situations" in found.message
    assert "read as acc, bank, it and wait" in found.hint


def test_keys_that_are_no_situation_are_not_used(read):
    truth_set, findings = read({user: USER | {"life_insurance": 1} for user in "ab"})
    assert truth_set.truths["a"].ratings == USER
    (found,) = findings
    assert (found.code, found.severity) == ("DATA-LAYOUT-UNVERIFIED", "warning")
    assert "2 keys are no situation (saw 'life_insurance'" in str(found)


def test_every_alias_means_a_situation():
    assert set(ALIASES.values()) == SITUATIONS.keys()
    assert not ALIASES.keys() & SITUATIONS.keys()


def without(key):
    return {name: value for name, value in USER.items() if name != key}


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        (without("it"), "DATA-FIELDS", "b: no rating for it (saw"),
        ({}, "DATA-FIELDS", "b: no rating for acc, bank, it, wait"),
        (None, "DATA-FIELDS", "b: this is no user with ratings (saw null"),
        ([1, 2, 3, 4], "DATA-FIELDS", "this is no user with ratings (saw [ 1, 2, 3, 4 ]"),
        (USER | {"IT": 1}, "DATA-FIELDS", "it is there under two names"),
        (USER | {"acc": "0,5"}, "DATA-NUMBER", 'acc is no finite number (saw "0,5"; write a decimal point and no quotes'),
        (USER | {"acc": "high"}, "DATA-NUMBER", 'acc is no finite number (saw "high"; write a finite number'),
        (USER | {"acc": "1e999"}, "DATA-NUMBER", 'saw "1e999"'),
        (USER | {"acc": "NaN"}, "DATA-NUMBER", 'saw "NaN"'),
        (USER | {"acc": float("nan")}, "DATA-NUMBER", "saw NaN"),
        (USER | {"acc": float("-inf")}, "DATA-NUMBER", "saw -Infinity"),
        (USER | {"acc": 10**400}, "DATA-NUMBER", "saw 1000"),
        (USER | {"acc": True}, "DATA-NUMBER", "saw true"),
        (USER | {"acc": None}, "DATA-NUMBER", "saw null"),
        (USER | {"job_search_IT": [1]}, "DATA-NUMBER", "the rating for job_search_IT is no finite number"),
        ({"img": ["VC10 0.33 0 0 1 1"]}, "DATA-FIELDS", "no rating for acc, bank, it, wait"),
    ],
)
def test_errors(read, entry, code, message):
    truth_set, findings = read({"a": USER, "b": entry, "c": USER})
    assert truth_set.truths.keys() == {"a", "c"}
    (found,) = (finding for finding in findings if finding.severity == "error")
    assert (found.code, found.id) == (code, "b")
    assert found.line >= 8
    assert message in str(found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": ' + json.dumps(USER) + ',\n"a": ' + json.dumps(OTHER) + "}", [("DATA-ID-DUPLICATE", "error", 2)]),
        ('{"a": ' + json.dumps(USER)[:-1] + ',\n"it": 1}}', [("DATA-DUPLICATE-KEY", "error", 2)]),
        ('{"a": {"acc": 1 "it": 2}}', [("DATA-JSON", "error", 1)]),
        ('{"a": {"acc": 1, "it": 2,}}', [("DATA-JSON", "error", 1)]),
        ("[]", [("DATA-LAYOUT-UNVERIFIED", "warning", 1), ("DATA-FIELDS", "error", 1)]),
        ("book 0.385\ncar 0.1\n", [("DATA-LAYOUT-UNVERIFIED", "warning", 1), ("DATA-JSON", "error", 1)]),
        (json.dumps({"acc": {"a": 1, "b": 2}}), [("DATA-FIELDS", "error", 1)]),
        (json.dumps({"job_search_IT": {"a": 1}}), [("DATA-FIELDS", "error", 1)]),
        (b"\xef\xbb\xbf" + json.dumps({"a": USER}).encode(), [("DATA-BOM", "info", 1)]),
        ("", [("DATA-FILE-EMPTY", "error", None)]),
    ],
)
def test_files(read, content, expected):
    assert said(read(content)[1]) == expected


def test_the_broken_example_of_the_release_is_only_a_finding(read):
    (found,) = read('{\n "a": {"acc": 1.5 "it": 2.5, "bank": 3.5, "wait": 4.5,},\n "b": {}\n}\n')[1]
    assert (found.code, found.line, found.hint) == ("DATA-JSON", 2, "a comma missing?")
    assert "in column 19" in found.message


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, code in (
        (tmp_path / "no", "DATA-FILE-MISSING"),
        (tmp_path, "DATA-FILE-UNREADABLE"),
        (tmp_path / "pipe", "DATA-FILE-UNREADABLE"),
        (tmp_path / "a\0b", "DATA-FILE-UNREADABLE"),
    ):
        findings = Findings()
        assert read_truth(path, "aware", findings).truths == {}
        assert said(findings) == [(code, "error", None)]


def test_truths_of_ids_have_no_ratings():
    assert truths_of_ids(["b", "a"], "aware").truths == {"b": Truth("b", {}), "a": Truth("a", {})}


@pytest.mark.parametrize("ratings", [{}, without("it"), USER | {"it": float("nan")}, USER | {"IT": 1}])
def test_what_is_no_truth_is_not_written(tmp_path, ratings):
    with pytest.raises(ValueError, match="has not four finite ratings"):
        write_truth(tmp_path / "x", TruthSet({"a": Truth("a", ratings)}))


numbers = st.floats(allow_nan=False, allow_infinity=False)
ids = st.text(min_size=0, max_size=8).filter(lambda name: name not in SITUATIONS and name not in ALIASES)


@given(st.dictionaries(ids, st.fixed_dictionaries(dict.fromkeys(SITUATIONS, numbers)), max_size=5))
def test_truths_survive_writing_and_reading(tmp_path_factory, drawn):
    path = tmp_path_factory.getbasetemp() / "gt.json"
    truth_set = TruthSet({name: Truth(name, ratings) for name, ratings in drawn.items()})
    write_truth(path, truth_set)
    findings = Findings()
    assert read_truth(path, "aware", findings) == truth_set
    assert len(findings) == 0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["0,5", "1", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SITUATIONS, *LERVUP, "x"]), inner),
    max_leaves=12,
)


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.dictionaries(st.text(max_size=3), values).map(lambda value: json.dumps(value).encode())
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "garbage.json"
    path.write_bytes(content)
    findings = Findings()
    for name, truth in read_truth(path, "aware", findings).truths.items():
        assert name == truth.id
        assert is_complete(truth.ratings)
    assert all(str(finding).isprintable() for finding in findings)
