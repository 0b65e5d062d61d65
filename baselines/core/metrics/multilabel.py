"""Scores of label sets: the F1 between the concepts of an image and those predicted (metrics.md M2)."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet


def concept_set(concepts: Iterable[str]) -> frozenset[str]:
    """Return concepts as they are compared: in upper case, without blanks around them, empty ones left out.

    >>> sorted(concept_set(["c0040398 ", "C0040398", "C0006141", ""]))
    ['C0006141', 'C0040398']
    """
    return frozenset(concept.strip().upper() for concept in concepts if concept.strip())


def set_f1(truth: AbstractSet[str], predicted: AbstractSet[str]) -> float | None:
    """Compute the F1 between two sets, 2TP / (2TP + FP + FN).

    Args:
        truth: What is true.
        predicted: What was predicted.

    Returns:
        A number in [0, 1]; ``None`` if nothing is true, whatever was predicted.

    >>> set_f1({"C1", "C2", "C3"}, {"C1", "C9"})
    0.4
    """
    if not truth:
        return None
    return 2 * len(truth & predicted) / (len(truth) + len(predicted))
