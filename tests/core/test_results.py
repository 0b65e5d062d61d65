"""``scores.json``: what is written can be read, and nothing that isn't finite gets out or in."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.findings import InvalidInput
from baselines.core.results import Evaluation, Scores

VALUES = {
    "task": "vqa",
    "scorer": "1.0.0",
    "primary": "accuracy",
    "metrics": {"accuracy": 0.382, "bleu": None},
    "undefined": {"bleu": "no references"},
    "per_class": {"yes": {"recall": 0.5, "truths": 4, "precision": None}},
    "intervals": {"accuracy": (0.34, 0.42)},
    "n": {"expected": 500, "scored": 499, "missing": 1},
    "warnings": ("one is missing",),
    "signature": "vqa|scorer:1.0.0",
    "inputs": {"run": {"sha256": "00", "bytes": 3}},
}
CONTRACT = {
    *("task", "scorer", "primary", "metrics", "undefined", "per_class", "intervals", "n", "warnings", "signature", "inputs"),
}


def test_the_keys_are_those_of_the_contract():
    assert json.loads(Scores(**VALUES).to_json()).keys() == CONTRACT


def test_what_is_written_can_be_read():
    scores = Scores(**VALUES)
    assert Scores.from_json(scores.to_json()) == scores
    assert scores.to_dict() == json.loads(scores.to_json())
    assert scores.score == 0.382


names = st.text(min_size=1, max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(names, st.none() | finite, min_size=1), st.dictionaries(names, st.tuples(finite, finite)))
def test_any_scores_can_be_read(metrics, intervals):
    undefined = {name: "a reason" for name, value in metrics.items() if value is None}
    values = {"metrics": metrics, "undefined": undefined, "intervals": intervals, "primary": next(iter(metrics))}
    scores = Scores(**VALUES | values)
    assert Scores.from_json(scores.to_json()) == scores


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_leaves(bad):
    for broken in (
        {"metrics": {"accuracy": bad, "bleu": None}},
        {"intervals": {"accuracy": (0.1, bad)}},
        {"per_class": {"yes": {"recall": bad}}},
        {"inputs": {"options": [bad]}},
    ):
        with pytest.raises(ValueError, match="not finite"):
            Scores(**VALUES | broken)


@pytest.mark.parametrize("undefined", [{}, {"accuracy": "why?", "bleu": "no references"}])
def test_undefined_metrics_and_reasons_belong_together(undefined):
    with pytest.raises(ValueError, match="undefined"):
        Scores(**VALUES | {"undefined": undefined})


def test_counts_add_up():
    assert Evaluation({}, {}, ("a", "b", "c"), missing=1).n == {"expected": 3, "scored": 2, "missing": 1}


def broken(**changes):
    return json.dumps(json.loads(Scores(**VALUES).to_json()) | changes)


PLANTED = {
    "not JSON": ("{", "not valid JSON"),
    "nested too deeply": ("[" * 100_000, "not valid JSON"),
    "a list": ("[]", "the top level is not an object"),
    "no keys": ("{}", "no signature"),
    "an unknown key": (broken(extra=1), "unknown key 'extra'"),
    "a text for a number": (broken(metrics={"accuracy": "0.4", "bleu": None}), "metrics has not the form"),
    "a bool for a number": (broken(metrics={"accuracy": True, "bleu": None}), "metrics has not the form"),
    "a NaN": (broken(metrics={"accuracy": math.nan, "bleu": None}), "not finite"),
    "an overflow": (broken().replace("0.382", "1e999"), "not finite"),
    "half an interval": (broken(intervals={"accuracy": [0.1]}), "intervals has not the form"),
    "no reason": (broken(undefined={}), "undefined metrics and reasons"),
    "a number for a text": (broken(task=1), "task has not the form"),
    "warnings in one text": (broken(warnings="none"), "warnings has not the form"),
    "a foreign primary": (broken(primary="kappa"), "the primary metric is not among the metrics"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_what_was_not_written_by_us_is_refused(fault):
    text, message = PLANTED[fault]
    with pytest.raises(InvalidInput) as caught:
        Scores.from_json(text, "scores.json")
    lines = str(caught.value).splitlines()
    assert any(message in line for line in lines)
    assert all(line.startswith("scores.json: SCORES-FORM") for line in lines)


def test_every_wrong_key_is_named_at_once():
    with pytest.raises(InvalidInput) as caught:
        Scores.from_json(broken(task=1, n=[], more=2))
    assert caught.value.findings.error_count == 3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted(CONTRACT)), json_values))
def test_garbage_is_nothing_but_a_finding(changes):
    try:
        Scores.from_json(broken(**changes))
    except InvalidInput as error:
        assert error.findings.error_count  # noqa: PT017  the other outcome is fine, too
