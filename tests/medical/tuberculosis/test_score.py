"""Kappa and accuracy of tuberculosis runs, the trivial run, and whole scorings of files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score

import baselines
from baselines.core.findings import InvalidInput
from baselines.medical.tuberculosis.records import Prediction, Truth, TruthSet, truths_of_ids, write_truth
from baselines.medical.tuberculosis.runs import write_run
from baselines.medical.tuberculosis.score import evaluate, trivial_predictions
from baselines.medical.tuberculosis.task import TYPES


def scans(labels):
    return {f"TST_{number:04d}.nii.gz": label for number, label in enumerate(labels, start=1)}


def truths(labels):
    return TruthSet({name: Truth(name, label) for name, label in scans(labels).items()}, TYPES)


def run(labels):
    return {name: Prediction(name, label) for name, label in scans(labels).items() if label}


def test_check_values_of_the_spec():
    result = evaluate(truths([1, 1, 2, 2, 3]), run([1, 2, 2, 2, 3]))
    assert result.metrics == {"kappa": pytest.approx(0.6875, abs=1e-15), "accuracy": 0.8}
    assert result.undefined == {}
    assert result.n == {"expected": 5, "scored": 5, "missing": 0}
    assert evaluate(truths([1, 1, 2, 2, 3]), run([1, 1, 2, 2, 3])).metrics == {"kappa": 1.0, "accuracy": 1.0}
    assert evaluate(truths([1, 1, 2, 2, 3]), run([2] * 5)).metrics == {"kappa": 0.0, "accuracy": 0.4}


def test_one_class_in_truth_and_run_is_undefined():
    result = evaluate(truths([2, 2, 2]), run([2, 2, 2]))
    assert result.metrics == {"kappa": None, "accuracy": 1.0}
    assert result.undefined.keys() == {"kappa"}
    assert "one class" in result.undefined["kappa"]


def test_by_class_recall_counts_and_the_confusion_matrix():
    per_class = evaluate(truths([1, 1, 2, 2, 3]), run([1, 2, 2, 2, 4])).per_class
    assert list(per_class) == list(TYPES.values())
    assert per_class["Infiltrative"] == {
        "recall": 0.5,
        "truths": 2,
        "predictions": 1,
        "predicted_as Infiltrative": 1,
        "predicted_as Focal": 1,
        "predicted_as Tuberculoma": 0,
        "predicted_as Miliary": 0,
        "predicted_as Fibro-cavernous": 0,
    }
    assert per_class["Tuberculoma"]["recall"] == 0.0
    assert per_class["Tuberculoma"]["predicted_as Miliary"] == 1
    assert per_class["Miliary"]["recall"] is None
    assert per_class["Miliary"]["predictions"] == 1


@pytest.mark.parametrize(
    ("labels", "own", "filled"),
    [
        ([1, 1, 2, 2, 2, 3], 1, 2),
        ([1, 1, 2, 2, 2, 3], 2, 1),
        ([1, 1, 2, 2, 2, 3], 3, 2),
        ([2, 2, 3, 3, 4], 4, 2),  # equally frequent: the lowest
        ([3, 3, 3], 3, 1),  # no other class in the truth
    ],
)
def test_a_missing_scan_is_the_most_frequent_other_class(labels, own, filled):
    place = labels.index(own)
    given_labels = list(labels)
    given_labels[place] = 0
    result = evaluate(truths(labels), run(given_labels))
    given_labels[place] = filled
    assert result.metrics == evaluate(truths(labels), run(given_labels)).metrics
    assert result.n == {"expected": len(labels), "scored": len(labels) - 1, "missing": 1}


labelled = st.lists(st.tuples(st.sampled_from(list(TYPES)), st.sampled_from([0, *TYPES])), min_size=1, max_size=30)


@given(labelled, st.sampled_from(list(TYPES)))
def test_leaving_a_scan_out_is_never_better_than_its_true_class_or_guessing_wrong(pairs, guess):
    truth, answers = [true for true, _ in pairs], [answer or 1 for _, answer in pairs]
    truth_set = truths(truth)
    with_gap = evaluate(truth_set, run([0, *answers[1:]])).metrics
    guessed = evaluate(truth_set, run([guess, *answers[1:]])).metrics
    assert with_gap["accuracy"] <= guessed["accuracy"]
    right = evaluate(truth_set, run([truth[0], *answers[1:]])).metrics["kappa"]
    assert right is None or with_gap["kappa"] <= right


@given(labelled)
def test_equals_scikit_learn(pairs):
    truth, answers = [true for true, _ in pairs], [answer or 1 for _, answer in pairs]
    result = evaluate(truths(truth), run(answers)).metrics
    assert result["accuracy"] == accuracy_score(truth, answers)
    if result["kappa"] is None:
        assert len({*truth, *answers}) == 1
    else:
        assert result["kappa"] == pytest.approx(cohen_kappa_score(truth, answers), abs=1e-14)


ADVERSARIAL = {
    "empty": lambda _: {},
    "constant": lambda labels: run([1] * len(labels)),
    "other scans": lambda labels: {f"TRN_{name}": prediction for name, prediction in run(labels).items()},
    "always wrong": lambda labels: run([label % 5 + 1 for label in labels]),
    "shuffled": lambda labels: run(np.random.default_rng(0).permutation(labels).tolist()),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_runs_score_nothing(name):
    labels = np.random.default_rng(1).choice([1, 2, 3, 4, 5], 400, p=[0.46, 0.25, 0.11, 0.11, 0.07]).tolist()
    assert evaluate(truths(labels), ADVERSARIAL[name](labels)).metrics["kappa"] < 0.06


def test_order_makes_no_difference():
    labels, answers = [1, 2, 3, 4, 5, 1, 1], [1, 1, 3, 3, 5, 2, 1]
    truth_set, found = truths(labels), run(answers)
    turned = TruthSet(dict(reversed(truth_set.truths.items())), TYPES)
    result, other = evaluate(truth_set, found), evaluate(turned, dict(reversed(found.items())))
    assert (result.metrics, result.units, result.per_class) == (other.metrics, other.units, other.per_class)


def test_scans_that_the_truth_does_not_have_are_not_looked_at():
    found = run([1, 2, 3]) | {"x": Prediction("x", 5)}
    assert evaluate(truths([1, 2, 4]), found).metrics == evaluate(truths([1, 2, 4]), run([1, 2, 3])).metrics


def test_the_set_itself_is_among_the_resamples():
    result = evaluate(truths([1, 1, 2, 2, 3]), run([1, 2, 2, 2, 0]))
    again = result.resample(np.array([[1, 1, 1, 1, 1], [5, 0, 0, 0, 0], [1, 0, 4, 0, 0]]))
    assert again["kappa"][0] == result.metrics["kappa"]
    assert again["accuracy"].tolist() == [0.6, 1.0, 1.0]
    assert np.isnan(again["kappa"][1])
    assert again["kappa"][2] == 1.0


@pytest.mark.parametrize("truth_set", [TruthSet({}, TYPES), truths_of_ids(["a", "b"], "tuberculosis")])
def test_without_labels_nothing_is_defined(truth_set):
    result = evaluate(truth_set, {})
    assert result.metrics == {"kappa": None, "accuracy": None}
    assert result.undefined.keys() == result.metrics.keys()


def test_the_trivial_run_is_the_most_frequent_class():
    test = truths([4, 4, 1])
    assert {each.label for each in trivial_predictions(truths([3, 2, 2, 3, 5]), test).values()} == {2}
    assert trivial_predictions(truths([3]), test).keys() == test.truths.keys()
    assert {each.label for each in trivial_predictions(TruthSet({}, TYPES), test).values()} == {1}
    assert evaluate(test, trivial_predictions(truths([1]), test)).metrics["kappa"] == 0.0


class TestFiles:
    def test_scores(self, tmp_path):
        labels, answers = [1, 1, 2, 2, 3], [1, 2, 2, 2, 3]
        write_truth(tmp_path / "truth.csv", truths(labels))
        write_run(tmp_path / "run.txt", run(answers).values(), truths(labels))
        scores = baselines.score("tuberculosis", tmp_path / "truth.csv", tmp_path / "run.txt", bootstrap=200)
        assert scores.metrics["kappa"] == pytest.approx(0.6875)
        assert scores.primary == "kappa"
        low, high = scores.intervals["kappa"]
        assert low < 0.6875 < high
        assert scores.warnings == ()

    def test_an_invalid_run_is_not_scored_and_all_its_errors_are_listed(self, tmp_path):
        write_truth(tmp_path / "truth.csv", truths([1, 2]))
        (tmp_path / "run.txt").write_text("TST_0001.nii.gz,6\nTST_0003.nii.gz,1\n")
        with pytest.raises(InvalidInput) as raised:
            baselines.score("tuberculosis", tmp_path / "truth.csv", tmp_path / "run.txt")
        assert set(raised.value.findings.counts) == {"RUN-CLASS", "RUN-UNKNOWN-ID", "RUN-MISSING-ID"}
