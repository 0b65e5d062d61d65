"""Correlations of aware runs, the trivial run, and whole scorings of files."""

import json
import math

import numpy as np
import pytest
from scipy import stats

import baselines
from baselines.aware.records import Prediction, Truth, TruthSet, truths_of_ids, write_truth
from baselines.aware.runs import read_run, write_run
from baselines.aware.score import evaluate, trivial_predictions
from baselines.aware.task import CARDS, SITUATIONS
from baselines.core.findings import Findings, InvalidInput

KEYS = tuple(SITUATIONS)


def rows(*columns):
    """Return ratings by user from one column for each situation; a single column is that of all situations."""
    columns = columns * (4 // len(columns))
    return {f"u{place}": dict(zip(KEYS, map(float, row), strict=True)) for place, row in enumerate(zip(*columns, strict=True))}


def truths(*columns):
    return TruthSet({name: Truth(name, ratings) for name, ratings in rows(*columns).items()})


def run(*columns):
    return {name: Prediction(name, ratings) for name, ratings in rows(*columns).items()}


def random_columns(seed, users=200):
    return np.random.default_rng(seed).normal(size=(4, users))


def test_check_values_of_the_spec():
    metrics = evaluate(truths([1, 3, 2, 4]), run([1, 2, 3, 4])).metrics
    assert metrics["pearson.mean"] == pytest.approx(0.8, abs=1e-15)
    assert metrics["spearman.mean"] == pytest.approx(0.8, abs=1e-15)
    assert evaluate(truths([1, 3, 2, 4]), run([1, 2, 2, 4])).metrics["spearman.it"] == pytest.approx(0.948683, abs=1e-6)


def test_the_metrics_are_those_of_the_card():
    result = evaluate(truths([1, 3, 2, 4]), run([1, 2, 3, 4]))
    assert list(result.metrics) == [metric.name for metric in CARDS[0].metrics]
    assert result.undefined == {}
    assert result.n == {"expected": 4, "scored": 4, "missing": 0}


def test_the_mean_is_plain():
    result = evaluate(truths([1, 2, 3, 4]), run([1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4], [1, 2, 3, 4]))
    values = [result.metrics[f"pearson.{key}"] for key in KEYS]
    assert values == pytest.approx([1.0, -1.0, 0.8, 1.0])
    assert result.metrics["pearson.mean"] == pytest.approx(0.45)


@pytest.mark.parametrize("seed", range(20))
def test_equals_scipy(seed):
    truth, found = random_columns(seed), np.round(random_columns(seed + 1000) + random_columns(seed), 1)
    metrics = evaluate(truths(*truth), run(*found)).metrics
    for kind, reference in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        expected = [reference(mine, theirs)[0] for mine, theirs in zip(found, truth, strict=True)]
        assert [metrics[f"{kind}.{key}"] for key in KEYS] == pytest.approx(expected, abs=1e-12)
        assert metrics[f"{kind}.mean"] == pytest.approx(np.mean(expected), abs=1e-12)


def test_scale_and_order_make_no_difference_and_a_negative_scale_turns_the_sign():
    truth, found = random_columns(0), random_columns(0) + random_columns(1)
    truth_set, predictions = truths(*truth), run(*found)
    expected = evaluate(truth_set, predictions)
    turned = evaluate(TruthSet(dict(reversed(truth_set.truths.items()))), dict(reversed(predictions.items())))
    assert (turned.metrics, turned.units) == (expected.metrics, expected.units)
    assert evaluate(truth_set, run(*(20 * found + 3))).metrics == pytest.approx(expected.metrics, abs=1e-14)
    negative = evaluate(truth_set, run(*(-found))).metrics
    assert negative == pytest.approx({name: -value for name, value in expected.metrics.items()}, abs=1e-14)


class TestUndefined:
    def test_a_constant_column_of_the_run(self):
        result = evaluate(truths([1, 2, 3]), run([1, 2, 3], [5, 5, 5], [1, 2, 3], [3, 1, 2]))
        undefined = {"pearson.mean", "pearson.bank", "spearman.mean", "spearman.bank"}
        assert {name for name, value in result.metrics.items() if value is None} == undefined
        assert result.undefined == dict.fromkeys(undefined, "all ratings for bank in the run are equal")
        assert result.metrics["pearson.acc"] == pytest.approx(1.0)

    def test_constant_columns_of_truth_and_run(self):
        result = evaluate(truths([1, 1, 1]), run([0.1, 0.1, 0.1]))
        assert set(result.metrics.values()) == {None}
        assert result.undefined["spearman.it"] == "all ratings for it in the truth and the run are equal"

    @pytest.mark.parametrize("change", [{}, {"acc": math.nan}, {"acc": math.inf}, {"acc": None, "x": 1.0}])
    def test_users_that_are_missing_or_incomplete(self, change):
        predictions = run([1, 2, 3])
        if change:
            ratings = {key: value for key, value in (predictions["u1"].ratings | change).items() if value is not None}
            predictions["u1"] = Prediction("u1", ratings)
        else:
            del predictions["u1"]
        result = evaluate(truths([1, 2, 3]), predictions)
        assert set(result.metrics.values()) == {None}
        assert set(result.undefined.values()) == {
            "the run has not four finite ratings of every user: 1 of 3 are missing",
        }
        assert result.n == {"expected": 3, "scored": 2, "missing": 1}
        assert result.resample is None

    @pytest.mark.parametrize("truth_set", [TruthSet({}), truths_of_ids(["u0", "u1"], "aware"), truths([1])])
    def test_truths_that_say_too_little(self, truth_set):
        result = evaluate(truth_set, run([1, 2]))
        assert set(result.metrics.values()) == {None}
        assert result.undefined.keys() == result.metrics.keys()
        assert all(result.undefined.values())


def test_users_that_the_truth_does_not_have_are_not_looked_at():
    assert evaluate(truths([1, 2, 3]), run([1, 3, 2, 99])).metrics == evaluate(truths([1, 2, 3]), run([1, 3, 2])).metrics


ADVERSARIAL = {
    "shuffled": lambda truth: np.random.default_rng(5).permuted(truth, axis=1),
    "noise": lambda _: random_columns(9),
    "one user alone": lambda truth: np.eye(4, truth.shape[1]),
    "another situation's column": lambda truth: np.roll(truth, 1, axis=0),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_runs_score_little(name):
    truth = random_columns(2)
    metrics = evaluate(truths(*truth), run(*ADVERSARIAL[name](truth))).metrics
    assert abs(metrics["pearson.mean"]) < 0.15
    assert abs(metrics["spearman.mean"]) < 0.15


def test_resamples_equal_scipy_on_repeated_users():
    truth, found = np.round(random_columns(3, 30), 1), np.round(random_columns(4, 30), 1)
    result = evaluate(truths(*truth), run(*found))
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), 50)
    weights[0] = 1
    weights[1] = [30] + [0] * 29
    values = result.resample(weights)
    assert values.keys() == result.metrics.keys()
    assert {name: value[0] for name, value in values.items()} == pytest.approx(result.metrics, abs=1e-14)
    assert all(np.isnan(value[1]) for value in values.values())
    order = [int(name[1:]) for name in result.units]
    for place, row in enumerate(weights[2:], start=2):
        for mine, theirs, key in zip(found[:, order], truth[:, order], KEYS, strict=True):
            repeated = np.repeat(mine, row), np.repeat(theirs, row)
            assert values[f"pearson.{key}"][place] == pytest.approx(stats.pearsonr(*repeated)[0], abs=1e-12)
            assert values[f"spearman.{key}"][place] == pytest.approx(stats.spearmanr(*repeated)[0], abs=1e-12)


class TestTrivial:
    def test_it_has_mean_and_spread_of_the_training_ratings_and_scores_about_0(self):
        train, test = truths(*(random_columns(0, 600) * 0.5 + 3)), truths(*random_columns(1))
        found = trivial_predictions(train, test)
        assert abs(np.mean([each.ratings["it"] for each in found.values()]) - 3) < 0.1
        assert abs(evaluate(test, found).metrics["pearson.mean"]) < 0.1

    @pytest.mark.parametrize("train", [TruthSet({}), truths([1]), truths([2, 2]), truths_of_ids("ab", "aware")])
    def test_it_is_a_valid_run_whatever_it_is_made_from(self, tmp_path, train):
        test = truths_of_ids(["a", "b", "\ud800"], "aware")
        write_run(tmp_path / "run", trivial_predictions(train, test).values(), test)
        findings = Findings()
        assert read_run(tmp_path / "run", test, findings) == trivial_predictions(train, test)
        assert len(findings) == 0


class TestFiles:
    def test_scores(self, tmp_path):
        truth = random_columns(0)
        write_truth(tmp_path / "gt_test.json", truths(*truth))
        write_run(tmp_path / "run.json", run(*(truth + random_columns(1))).values(), truths(*truth))
        scores = baselines.score("aware", tmp_path / "gt_test.json", tmp_path / "run.json", bootstrap=500)
        assert scores.primary == "pearson.mean"
        low, high = scores.intervals["pearson.mean"]
        assert low < scores.metrics["pearson.mean"] < high
        assert high - low < 0.2
        assert scores.intervals.keys() == scores.metrics.keys()
        assert scores.warnings == ()

    def test_an_invalid_run_is_not_scored_and_all_its_errors_are_listed(self, tmp_path):
        write_truth(tmp_path / "gt_test.json", truths([1, 2, 3]))
        ratings = dict.fromkeys(KEYS, 1.0)
        (tmp_path / "run.json").write_text(json.dumps({"u0": ratings | {"it": "1"}, "u1": ratings, "u9": ratings}))
        with pytest.raises(InvalidInput) as raised:
            baselines.score("aware", tmp_path / "gt_test.json", tmp_path / "run.json")
        codes = {"RUN-QUOTED-NUMBER", "RUN-UNKNOWN-ID", "RUN-MISSING-ID", "RUN-CONSTANT"}
        assert set(raised.value.findings.counts) == codes

    def test_a_truth_that_cannot_be_read(self, tmp_path):
        (tmp_path / "gt").write_text("[]")
        with pytest.raises(InvalidInput, match="DATA-LAYOUT-UNVERIFIED"):
            baselines.score("aware", tmp_path / "gt", tmp_path / "run.json")
