"""Dividing scans into parts with equal shares of every class, where what belongs to one patient stays together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np


def divide(labels: Mapping[str, int], groups: Mapping[str, str], shares: Sequence[float], seed: int) -> list[tuple[str, ...]]:
    """Divide samples into parts.

    Groups are dealt out in a seeded order, those of several samples first: each goes to the part that lacks most of its
    classes, of equal ones to the part that lacks most samples. The result depends on the arguments alone, not on their order.

    Args:
        labels: Class by sample id.
        groups: Group by sample id, such as the patient.
        shares: Share of the samples that each part gets; they add up to 1.
        seed: Seed of the order.

    Returns:
        The ids of each part, ascending.

    >>> labels = {name: int(name in "ab") for name in "abcdef"}
    >>> divide(labels, {name: name for name in labels} | {"d": "c"}, [0.5, 0.5], seed=0)
    [('a', 'c', 'd'), ('b', 'e', 'f')]
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name in sorted(labels):
        members[groups[name]].append(name)
    classes = sorted(set(labels.values()))
    counts = {
        group: np.array([sum(labels[name] == label for name in names) for label in classes]) for group, names in members.items()
    }
    order = np.random.default_rng(seed).permutation(len(members))
    dealt = sorted(zip(order.tolist(), sorted(members), strict=True), key=lambda pair: (-len(members[pair[1]]), pair[0]))
    missing = np.outer(shares, sum(counts.values())) if members else np.zeros((len(shares), 0))
    parts: list[list[str]] = [[] for _ in shares]
    for _, group in dealt:
        lacking = [(float(row @ counts[group]), float(row.sum()), -place) for place, row in enumerate(missing)]
        chosen = -max(lacking)[2]
        parts[chosen] += members[group]
        missing[chosen] -= counts[group]
    return [tuple(sorted(part)) for part in parts]
