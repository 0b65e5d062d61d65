"""Bootstrap intervals: right on cases with a known answer, and repeatable."""

import numpy as np
import pytest

from baselines.core import statistics
from baselines.core.statistics import bootstrap_intervals, draw_resamples, resample_means


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
