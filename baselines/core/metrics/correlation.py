"""Pearson's and Spearman's correlation, on whole sets of resamples at once (spec page metrics.md M5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = NDArray[np.int64]


def pearson(x: ArrayLike, y: ArrayLike, weights: Weights | None = None) -> NDArray[np.float64]:
    """Return Pearson's correlation r: the mean product of the standardised values.

    Args:
        x: ``(N,)`` finite numbers of any size.
        y: ``(N,)``, likewise.
        weights: ``(R, N)``, how often each item counts in each resample; without them every item counts once, and R is 1.

    Returns:
        ``(R,)`` from -1 to 1; NaN where all values of x, or all of y, that count are equal: r is not defined there.

    >>> pearson([1, 2, 3, 4], [1, 3, 2, 4]).round(6).tolist()
    [0.8]
    >>> pearson([1, 2, 3], [7, 7, 7]).tolist()
    [nan]
    """
    left, right = (_moderate(np.asarray(values, dtype=np.float64))[None] for values in (x, y))
    return _correlate(left, right, _or_ones(weights, left.shape[1]))


def spearman(x: ArrayLike, y: ArrayLike, weights: Weights | None = None) -> NDArray[np.float64]:
    """Return Spearman's rank correlation: Pearson's of the ranks, where equal values share the mean of their ranks.

    Args:
        x: ``(N,)`` finite numbers.
        y: ``(N,)``, likewise.
        weights: As for :func:`pearson`; an item that counts twice is two items with equal values.

    Returns:
        As :func:`pearson`.

    >>> spearman([1, 2, 2, 4], [1, 3, 2, 4]).round(6).tolist()
    [0.948683]
    """
    values = [np.asarray(each, dtype=np.float64) for each in (x, y)]
    weights = _or_ones(weights, len(values[0]))
    return _correlate(mean_ranks(values[0], weights), mean_ranks(values[1], weights), weights)


def mean_ranks(values: ArrayLike, weights: Weights) -> NDArray[np.float64]:
    """Rank the items of every resample from 1; equal values share the mean of their ranks.

    Args:
        values: ``(N,)`` finite numbers.
        weights: ``(R, N)``, how often each item counts in each resample.

    Returns:
        ``(R, N)``; of an item that doesn't count the rank says nothing.

    >>> mean_ranks([5, 3, 5, 9], np.array([[1, 1, 1, 1], [3, 0, 0, 1]])).tolist()
    [[2.5, 1.0, 2.5, 4.0], [2.0, 0.5, 2.0, 4.0]]
    """
    distinct, groups = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    if not len(distinct):
        return np.zeros(weights.shape)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(len(distinct)))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = counts.cumsum(axis=1) - (counts - 1) / 2
    return np.asarray(ranks[:, groups], dtype=np.float64)


def _or_ones(weights: Weights | None, items: int) -> Weights:
    return np.ones((1, items), dtype=np.int64) if weights is None else weights


def _moderate(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale values down by a power of two if differences of theirs could overflow."""
    return values / 4 if np.abs(values).max(initial=0.0) > 1e307 else values


def _correlate(x: NDArray[np.float64], y: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """Return the correlations ``(R,)`` of values ``(R or 1, N)``, weighted by ``(R, N)``."""
    if not weights.shape[1]:
        return np.full(len(weights), np.nan)
    products: NDArray[np.float64] = np.einsum("rn,rn->r", _standardise(x, weights) * weights, _standardise(y, weights))
    return products.clip(-1.0, 1.0)


def _standardise(values: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """Return deviations from the weighted mean ``(R, N)`` whose weighted squares sum up to 1; NaN in constant rows.

    The values that count are mapped onto 0 to 1 before: then nothing over- or underflows, and a constant row is told exactly,
    which rounding prevents behind the mean.
    """
    counts = weights > 0
    low = np.where(counts, values, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    high = np.where(counts, values, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    is_constant = high <= low
    extent = np.where(is_constant, np.nan, high - low)
    with np.errstate(invalid="ignore", over="ignore"):  # of values that don't count
        shares = np.where(counts, (values - low) / extent, 0.0)
    means = np.einsum("rn,rn->r", shares, weights) / np.maximum(weights.sum(axis=1), 1)
    deviations = shares - means[:, None]
    norms = np.sqrt(np.einsum("rn,rn->r", deviations**2, weights))
    return np.asarray(deviations / np.where(is_constant[:, 0], np.nan, norms)[:, None])
