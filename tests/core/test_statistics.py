"""Bootstrap intervals: right on cases with a known answer, and repeatable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from baselines.core import statistics
from baselines.core.statistics import (
    bootstrap_values,
    draw_resamples,
    holm,
    paired_p_value,
    percentile_intervals,
    resample_means,
)


def bootstrap_intervals(resample, units, resamples, seed, **options):
    return percentile_intervals(bootstrap_values(resample, units, resamples, seed), **options)


def test_resamples_draw_as_many_units_as_there_are():
    weights = np.concatenate(list(draw_resamples(7, 100, seed=0)))
    assert weights.shape == (100, 7)
    assert (weights.sum(1) == 7).all()
    assert weights.min() >= 0


def test_the_same_seed_draws_the_same_resamples_in_blocks_of_any_size(monkeypatch):
    whole = np.concatenate(list(draw_resamples(7, 100, seed=3)))
    monkeypatch.setattr(statistics, "BLOCK", 20)
    blocks = list(draw_resamples(7, 100, seed=3))
    assert len(blocks) > 1
    np.testing.assert_array_equal(whole, np.concatenate(blocks))


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(5, 2, 2000)
    low, high = bootstrap_intervals(resample_means({"f1": values}), 2000, 4000, seed=0)["f1"]
    margin = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - margin, abs=0.006)
    assert high == pytest.approx(values.mean() + margin, abs=0.006)


def test_intervals_depend_on_the_seed_alone():
    means = resample_means({"f1": np.arange(10.0)})
    first, again, other = (bootstrap_intervals(means, 10, 200, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("units", "resamples"), [(1, 100), (0, 100), (10, 0)])
def test_no_intervals_from_nothing(units, resamples):
    assert bootstrap_intervals(resample_means({"f1": np.ones(units)}), units, resamples, seed=0) == {}


def test_resamples_that_leave_a_metric_undefined_do_not_count():
    def resample(weights):
        return {
            "rare": np.where(weights[:, 0] > 0, 0.5, np.nan),
            "never": np.full(len(weights), np.nan),
        }

    assert bootstrap_intervals(resample, 3, 100, seed=0) == {"rare": (0.5, 0.5)}


def test_another_confidence_gives_a_narrower_interval():
    means = resample_means({"f1": np.arange(50.0)})
    wide = bootstrap_intervals(means, 50, 500, 0)["f1"]
    narrow = bootstrap_intervals(means, 50, 500, 0, confidence=0.5)["f1"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_p_value_of_two_equal_runs_is_1():
    values = np.linspace(0, 1, 50)
    assert paired_p_value(values, values, units=50) == 1.0


def test_the_p_value_of_a_mean_difference_is_that_of_the_normal_distribution():
    generator = np.random.default_rng(0)
    gain = generator.normal(0.08, 1, 1000)
    worse = generator.normal(0, 1, 1000)
    means = bootstrap_values(resample_means({"better": worse + gain, "worse": worse}), 1000, 4000, seed=0)
    z = gain.mean() / (gain.std() / np.sqrt(1000))
    assert 0.001 < 2 * norm.sf(z) < 0.5
    assert paired_p_value(means["better"], means["worse"], units=1000) == pytest.approx(2 * norm.sf(z), rel=0.25)


def test_no_p_value_without_a_resample_that_defines_both():
    assert paired_p_value(np.array([np.nan, 1.0]), np.array([1.0, np.nan]), units=9) is None


@given(st.lists(st.floats(0.001, 1), max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
    if p_values:
        assert min(adjusted) == pytest.approx(min(1.0, min(p_values) * len(p_values)))
