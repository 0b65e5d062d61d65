"""How sure a score is: percentile bootstrap intervals over the units of a task (images, questions, scans, users).

A resample is a vector of weights, how often each unit was drawn. A metric that is a function of such weights is evaluated on
many resamples at once and never reads its input again (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
BLOCK = 1 << 22  # weights held at a time

Weights = NDArray[np.int64]
Resample = Callable[[Weights], Mapping[str, NDArray[np.float64]]]
"""Takes weights ``(R, units)``; returns each metric's values ``(R,)``, NaN where a resample leaves it undefined."""


def draw_resamples(units: int, resamples: int, seed: int) -> Iterator[Weights]:
    """Draw the weights of bootstrap resamples: as many units as there are, with replacement.

    Args:
        units: How many units there are.
        resamples: How many resamples to draw.
        seed: Seed of the random generator; the same seed draws the same resamples.

    Yields:
        ``(r, units) int64``, rows that sum up to ``units``; the r of all blocks add up to ``resamples``.
    """
    generator = np.random.default_rng(seed)
    step = max(1, BLOCK // max(1, units))
    for start in range(0, resamples, step):
        yield generator.multinomial(units, np.full(units, 1 / units), min(step, resamples - start))


def bootstrap_intervals(
    resample: Resample, units: int, resamples: int, seed: int, confidence: float = CONFIDENCE
) -> dict[str, tuple[float, float]]:
    """Return the percentile bootstrap interval of every metric.

    Resamples that leave a metric undefined, such as those without a truth of a rare class, don't count for it.

    Args:
        resample: Evaluates the metrics on resamples.
        units: How many units there are; fewer than two have no intervals, because they say nothing about the spread.
        resamples: How many resamples to draw; 0 gives no intervals.
        seed: Seed of the resamples.
        confidence: Share of the resamples inside an interval.

    Returns:
        Lower and upper end by metric name, without the metrics that no resample defines.

    >>> answers = resample_means({"accuracy": np.array([1.0, 1.0, 0.0, 1.0])})
    >>> bootstrap_intervals(answers, units=4, resamples=1000, seed=0)
    {'accuracy': (0.25, 1.0)}
    """
    if units < 2 or resamples == 0:
        return {}
    blocks = [resample(weights) for weights in draw_resamples(units, resamples, seed)]
    values = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    tail = (1 - confidence) / 2
    intervals = {}
    for name, drawn in values.items():
        defined = drawn[np.isfinite(drawn)]
        if len(defined):
            low, high = np.quantile(defined, (tail, 1 - tail))
            intervals[name] = (float(low), float(high))
    return intervals


def resample_means(values: Mapping[str, NDArray[np.float64]]) -> Resample:
    """Return the resampling function of metrics that are means over units.

    Args:
        values: The unit's values of each metric, ``(units,)``.

    >>> means = resample_means({"f1": np.array([0.0, 1.0])})
    >>> means(np.array([[1, 1], [0, 2]]))["f1"].tolist()
    [0.5, 1.0]
    """

    def resample(weights: Weights) -> dict[str, NDArray[np.float64]]:
        return {name: weights @ mine / weights.sum(1) for name, mine in values.items()}

    return resample
