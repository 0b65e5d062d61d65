"""Correlations: the check values of the spec, and equality with SciPy on random, tied, huge and tiny values."""

import warnings

import numpy as np
import pytest
from scipy import stats

from baselines.core.metrics.correlation import mean_ranks, pearson, spearman


def test_check_values_of_the_spec():
    assert pearson([1, 2, 3, 4], [1, 3, 2, 4]).item() == pytest.approx(0.8, abs=1e-15)
    assert spearman([1, 2, 3, 4], [1, 3, 2, 4]).item() == pytest.approx(0.8, abs=1e-15)
    assert spearman([1, 2, 2, 4], [1, 3, 2, 4]).item() == pytest.approx(0.948683, abs=1e-6)


@pytest.mark.parametrize("correlation", [pearson, spearman])
class TestBoth:
    def test_scale_offset_and_order_make_no_difference(self, correlation):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(2, 200))
        expected = correlation(x, y).item()
        order = rng.permutation(200)
        for changed in (3.7 * x + 1.3, 1e-200 * x, 1e200 * x, x[order]):
            other = y[order] if changed[0] == x[order][0] else y
            assert correlation(changed, other).item() == pytest.approx(expected, abs=1e-14)
        assert correlation(-2 * x + 5, y).item() == pytest.approx(-expected, abs=1e-14)

    @pytest.mark.parametrize("value", [0.0, 0.1, -1e308, 5e-324])
    def test_a_constant_is_undefined(self, correlation, value):
        constant, other = [value] * 7, [1.0, 2, 3, 4, 5, 6, 0]
        assert np.isnan(correlation(constant, other)).all()
        assert np.isnan(correlation(other, constant)).all()
        assert np.isnan(correlation(constant, constant)).all()

    def test_fewer_than_two_items_are_undefined(self, correlation):
        assert np.isnan(correlation([], [])).all()
        assert np.isnan(correlation([1.0], [2.0])).all()

    def test_perfect(self, correlation):
        x = np.random.default_rng(0).normal(size=50)
        assert correlation(x, x).item() == pytest.approx(1.0, abs=1e-15)
        assert correlation(x, x).item() <= 1.0
        assert correlation(x, -x).item() >= -1.0

    def test_resamples_are_sets_with_repeated_items(self, correlation):
        rng = np.random.default_rng(1)
        x, y = rng.integers(0, 6, 25) / 10, rng.normal(size=25)
        weights = rng.multinomial(25, np.full(25, 1 / 25), 500)
        values = correlation(x, y, weights)
        assert values.shape == (500,)
        for row, value in zip(weights, values, strict=True):
            expected = correlation(np.repeat(x, row), np.repeat(y, row)).item()
            assert value == pytest.approx(expected, abs=1e-13)

    def test_a_resample_can_be_constant_though_the_set_is_not(self, correlation):
        x, y = np.array([0.1] * 9 + [1e6]), np.arange(10.0)
        values = correlation(x, y, np.array([[2] * 5 + [0] * 5, [1] * 10]))
        assert np.isnan(values[0])
        assert np.isfinite(values[1])


def test_values_of_very_different_sizes():
    x = np.array([1e-300, 2e-300, 4e-300, 1e300])
    y = np.array([1.0, 2.0, 4.0, 0.0])
    assert pearson(x, y, np.array([[1, 1, 1, 0]])).item() == pytest.approx(1.0, abs=1e-15)
    assert pearson([1.7e308, -1.7e308, 0], [1, -1, 0]).item() == pytest.approx(1.0, abs=1e-15)
    assert pearson([5e-324, 0, 1e-323], [1, 0, 2]).item() == pytest.approx(1.0, abs=1e-15)


def random_case(rng):
    items = rng.integers(2, 30)
    x, y = rng.normal(size=(2, items))
    y = y + rng.normal() * x
    if rng.random() < 0.5:
        x, y = np.round(x), np.round(2 * y)
    return x * 10.0 ** rng.integers(-5, 6), y + 10.0 ** rng.integers(-3, 4)


def check(rng, cases):
    for _ in range(cases):
        x, y = random_case(rng)
        with warnings.catch_warnings(action="ignore"):  # of constant input
            expected = stats.pearsonr(x, y)[0], stats.spearmanr(x, y)[0]
        if np.ptp(x) and np.ptp(y):
            np.testing.assert_allclose((pearson(x, y).item(), spearman(x, y).item()), expected, rtol=0, atol=1e-11)
        else:
            assert np.isnan([pearson(x, y), spearman(x, y)]).all()


@pytest.mark.parametrize("seed", range(5))
def test_equals_scipy(seed):
    check(np.random.default_rng(seed), 60)


@pytest.mark.slow
def test_equals_scipy_on_thousands_of_cases():
    check(np.random.default_rng(99), 5000)


def test_resamples_equal_scipy_on_repeated_items():
    rng = np.random.default_rng(2)
    x, y = np.round(rng.normal(size=(2, 40)), 1)
    weights = rng.multinomial(40, np.full(40, 1 / 40), 200)
    for row, r, rho, ranks in zip(
        weights, pearson(x, y, weights), spearman(x, y, weights), mean_ranks(x, weights), strict=True
    ):
        repeated = np.repeat(x, row), np.repeat(y, row)
        np.testing.assert_allclose((r, rho), (stats.pearsonr(*repeated)[0], stats.spearmanr(*repeated)[0]), rtol=0, atol=1e-12)
        np.testing.assert_array_equal(np.repeat(ranks, row), stats.rankdata(repeated[0]))
