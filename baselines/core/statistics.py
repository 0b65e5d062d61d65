"""How sure a score is: bootstrap intervals and paired tests over the units of a task (images, questions, scans, users).

A resample is a vector of weights, how often each unit was drawn. A metric that is a function of such weights is evaluated on
many resamples at once and never reads its input again (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

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


def bootstrap_values(resample: Resample, units: int, resamples: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Evaluate metrics on resamples; runs on the same units get the same resamples from the same seed, so they are paired.

    Args:
        resample: Evaluates the metrics on resamples.
        units: How many units there are; fewer than two give nothing, because they say nothing about the spread.
        resamples: How many resamples to draw; 0 gives nothing.
        seed: Seed of the resamples.

    Returns:
        The values ``(resamples,)`` by metric name, NaN where a resample leaves the metric undefined.
    """
    if units < 2 or resamples == 0:
        return {}
    blocks = [resample(weights) for weights in draw_resamples(units, resamples, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def percentile_intervals(
    values: Mapping[str, NDArray[np.float64]], confidence: float = CONFIDENCE
) -> dict[str, tuple[float, float]]:
    """Return the percentile bootstrap interval of every metric.

    Resamples that leave a metric undefined, such as those without a truth of a rare class, don't count for it.

    Args:
        values: What :func:`bootstrap_values` gives.
        confidence: Share of the resamples inside an interval.

    Returns:
        Lower and upper end by metric name, without the metrics that no resample defines.

    >>> answers = resample_means({"accuracy": np.array([1.0, 1.0, 0.0, 1.0])})
    >>> percentile_intervals(bootstrap_values(answers, units=4, resamples=1000, seed=0))
    {'accuracy': (0.25, 1.0)}
    """
    tail = (1 - confidence) / 2
    intervals = {}
    for name, drawn in values.items():
        defined = drawn[np.isfinite(drawn)]
        if len(defined):
            low, high = np.quantile(defined, (tail, 1 - tail))
            intervals[name] = (float(low), float(high))
    return intervals


def paired_p_value(better: NDArray[np.float64], worse: NDArray[np.float64], units: int) -> float | None:
    """Return how often chance alone would turn the order of two runs around: a two-sided paired bootstrap test.

    Twice the share of the resamples on which the run with the higher score is not ahead, with one more on each side of the
    fraction, so that it is never 0 (Efron and Tibshirani, ch. 15; Davison and Hinkley, Bootstrap Methods and their Application,
    1997, sec. 4.2). Few units say less than their resamples seem to: chance alone gives all of ``n`` the same order with the
    probability ``2 / 2**n`` (the sign test), and no p-value is below that.

    Args:
        better: Values ``(R,)`` of the run with the better score on the resamples, higher ones better.
        worse: Values ``(R,)`` of the other run on the same resamples.
        units: How many units were resampled.

    Returns:
        A probability above 0 and up to 1; ``None`` if no resample defines both.

    >>> paired_p_value(np.array([0.5, 0.6, 0.7]), np.array([0.4, 0.6, 0.5]), units=20)
    1.0
    >>> [paired_p_value(np.full(999, 0.6), np.full(999, 0.5), units) for units in (3, 20)]
    [0.25, 0.002]
    """
    differences = better - worse
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return None
    share = 2 * (1 + int((differences <= 0).sum())) / (len(differences) + 1)
    return min(1.0, max(share, 2.0 ** (1 - units)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests so that the chance of any false alarm stays bounded (Holm, Scand. J. Stat. 6, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def resample_means(values: Mapping[str, NDArray[np.float64]]) -> Resample:
    """Return the resampling function of metrics that are means over units.

    Args:
        values: The unit's values of each metric, ``(units,)``.

    >>> means = resample_means({"f1": np.array([0.0, 1.0])})
    >>> means(np.array([[1, 1], [0, 2]]))["f1"].tolist()
    [0.5, 1.0]
    """
    table = np.stack([*values.values()], axis=1)

    def resample(weights: Weights) -> dict[str, NDArray[np.float64]]:
        means = weights.astype(np.float64) @ table / weights.sum(1)[:, None]  # in floats, which BLAS multiplies
        return {name: means[:, column] for column, name in enumerate(values)}

    return resample
