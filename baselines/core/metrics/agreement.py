"""How well two labellings of the same items agree: the confusion matrix, accuracy and Cohen's kappa (spec page metrics.md M4).

Everything is counted on whole sets of resamples at once: a resample weighs the items, and one product of matrices gives the
confusion matrices of all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.core.metrics.arrays import divide


def confusion_matrices(
    truth: ArrayLike, predicted: ArrayLike, classes: int, weights: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Count which class is taken for which.

    Args:
        truth: ``(N,)`` integers from 0 to ``classes`` - 1.
        predicted: ``(N,)``, likewise.
        classes: How many classes there are, C.
        weights: ``(R, N)``, how often each item counts in each resample; without them every item counts once, and R is 1.

    Returns:
        ``(R, C, C)`` whole numbers, rows by true class and columns by predicted class.

    >>> confusion_matrices([0, 0, 1], [0, 1, 1], 2).tolist()
    [[[1.0, 1.0], [0.0, 1.0]]]
    """
    cells = np.asarray(truth, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    if weights is None:
        counts = np.bincount(cells, minlength=classes**2).astype(np.float64)
    else:
        # As float64, because only products of floats are fast; counts below 2**53 are exact.
        counts = weights.astype(np.float64) @ (cells[:, None] == np.arange(classes**2)).astype(np.float64)
    return counts.reshape(-1, classes, classes)


def accuracy(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of items on the diagonal ``(R,)`` of confusion matrices ``(R, C, C)``, NaN without items.

    >>> accuracy(np.array([[[2.0, 0.0], [1.0, 1.0]]])).tolist()
    [0.75]
    """
    return divide(np.trace(matrices, axis1=1, axis2=2), matrices.sum((1, 2)))


def cohen_kappa(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Cohen's kappa, unweighted: the agreement beyond chance, as a share of what is possible beyond it.

    With p_o the share of equal labels and p_e the share that two independent labellings with these class counts have in
    common, kappa is (p_o - p_e) / (1 - p_e) (Cohen, A coefficient of agreement for nominal scales, 1960). Both shares are
    taken times the squared number of items, so that a constant labelling gives 0 exactly and not about 0.

    Args:
        matrices: ``(R, C, C)`` whole numbers; a class that neither labelling has makes no difference.

    Returns:
        ``(R,)`` from -1 to 1; NaN where both labellings are one and the same class, or there are no items.

    >>> cohen_kappa(confusion_matrices([0, 0, 1, 1, 2], [0, 1, 1, 1, 2], 3)).tolist()
    [0.6875]
    """
    items = matrices.sum((1, 2))
    agreement = items * np.trace(matrices, axis1=1, axis2=2)
    chance = (matrices.sum(1) * matrices.sum(2)).sum(1)
    return divide(agreement - chance, items**2 - chance)
