"""Accuracy and kappa: the check values of the spec, and equality with scikit-learn."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix

from baselines.core.metrics.agreement import accuracy, cohen_kappa, confusion_matrices


def scores_of(truth, predicted, classes=6):
    matrices = confusion_matrices(truth, predicted, classes)
    return accuracy(matrices).item(), cohen_kappa(matrices).item()


def test_check_values_of_the_spec():
    assert scores_of([1, 1, 2, 2, 3], [1, 2, 2, 2, 3]) == (0.8, pytest.approx(0.6875, abs=1e-15))
    assert scores_of([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) == (1.0, 1.0)


def test_a_constant_labelling_has_no_agreement_beyond_chance_exactly():
    rng = np.random.default_rng(0)
    for items in range(2, 200):
        truth = rng.integers(0, 5, items)
        truth[:2] = 0, 1
        assert scores_of(truth, np.full(items, 3))[1] == 0.0


def test_one_and_the_same_class_is_undefined_and_two_classes_are_not():
    agreed, kappa = scores_of([2, 2, 2], [2, 2, 2])
    assert agreed == 1.0
    assert np.isnan(kappa)
    assert scores_of([2, 2, 2], [3, 3, 3]) == (0.0, 0.0)


def test_nothing_is_undefined():
    assert np.isnan(scores_of([], [])).all()


def test_the_worst_possible():
    assert scores_of([0, 1], [1, 0]) == (0.0, -1.0)


def random_case(rng):
    items, classes = rng.integers(1, 40), rng.integers(1, 6)
    truth = rng.integers(0, classes, items)
    predicted = np.where(rng.random(items) < rng.random(), truth, rng.integers(0, classes, items))
    return truth, predicted


def reference_kappa(truth, predicted):
    with warnings.catch_warnings(action="ignore"):  # one class alone: 0/0, which scikit-learn may warn of
        return cohen_kappa_score(truth, predicted)


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        truth, predicted = random_case(rng)
        agreed, kappa = scores_of(truth, predicted)
        assert agreed == accuracy_score(truth, predicted)
        assert (confusion_matrices(truth, predicted, 6)[0] == confusion_matrix(truth, predicted, labels=range(6))).all()
        np.testing.assert_allclose(kappa, reference_kappa(truth, predicted), rtol=0, atol=5e-15)


@pytest.mark.slow
def test_equals_scikit_learn_on_thousands_of_cases():
    rng = np.random.default_rng(99)
    for _ in range(5000):
        truth, predicted = random_case(rng)
        np.testing.assert_allclose(scores_of(truth, predicted)[1], reference_kappa(truth, predicted), rtol=0, atol=5e-15)


def test_resamples_are_sets_with_repeated_items():
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 4, 30), rng.integers(0, 4, 30)
    weights = rng.multinomial(30, np.full(30, 1 / 30), 500)
    matrices = confusion_matrices(truth, predicted, 4, weights)
    assert matrices.shape == (500, 4, 4)
    for row, agreed, kappa in zip(weights, accuracy(matrices), cohen_kappa(matrices), strict=True):
        repeated = np.repeat(truth, row), np.repeat(predicted, row)
        assert (agreed, kappa) == scores_of(*repeated, classes=4)
