"""What several families of metrics do with arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def divide(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ratios, elementwise; NaN where the whole is 0: undefined, and known to be so.

    >>> divide(np.array([1.0, 0.0]), np.array([4.0, 0.0])).tolist()
    [0.25, nan]
    """
    ratios = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=ratios, where=whole != 0)
    return ratios


def offsets_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each of several lists starts when they stand one behind the other, and where the last one ends.

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the integers ``start, start + 1, …`` of several ranges, one range after the other.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    first = offsets_of(counts)
    return np.arange(first[-1]) + np.repeat(starts - first[:-1], counts)


def blocks(work: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Divide items, in order, among blocks: of at most so much work, or of one item that has more.

    Args:
        work: ``(N,)`` how much work each item is.
        limit: The most of a block.

    Returns:
        Where each block starts, and the item behind it.

    >>> blocks(np.array([2, 2, 9, 0, 1]), 4)
    [(0, 2), (2, 3), (3, 5)]
    """
    done = np.cumsum(work)
    found, start = [], 0
    while start < len(done):
        before = int(done[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(done, before + limit, side="right")))
        found.append((start, stop))
        start = stop
    return found
