"""The parts of a data set of single radiology images, and which images belong to which."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from baselines.core.files import Report
from baselines.core.findings import Findings
from baselines.core.runs import list_ids

_Sample = TypeVar("_Sample")
_TruthSet = TypeVar("_TruthSet")
_Truth = TypeVar("_Truth")


@dataclass(frozen=True)  # without slots, which a frozen generic class can't have in Python 3.11
class Split(Generic[_Sample, _TruthSet]):
    """One part of a data set.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        samples: Its images that exist on disk, by ascending id.
        truth_set: Its truths, also those whose image is missing; of a test set truths without content.
    """

    name: str
    samples: tuple[_Sample, ...]
    truth_set: _TruthSet


def without_held_out(
    truths: Mapping[str, _Truth], held_out: Collection[str], text: Path, findings: Findings
) -> dict[str, _Truth]:
    """Return the truths to train on without those of images that are held out, too; report how many are left out.

    Args:
        truths: What is true of the training images, by id.
        held_out: The ids of the validation set.
        text: The file of the training set.
        findings: Where this is reported.
    """
    shared = sorted(truths.keys() & held_out)
    if shared:
        what = f"{len(shared)} of {len(truths)} training images are in the validation set, too"
        hint = "they are left out of training, and stay in validation"
        Report(findings, str(text), "DATA").warning("SPLIT-ID", what, value=list_ids(shared), hint=hint)
    return {name: truth for name, truth in truths.items() if name not in held_out}


def divide(names: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Divide ids into those to train on and those to hold out, at random but the same for the same ids, share and seed.

    >>> [len(part) for part in divide(["a", "b", "c", "d", "e"], 0.2, seed=0)]
    [4, 1]
    """
    ordered = sorted(names)
    count = min(max(1, round(share * len(ordered))), len(ordered) - 1) if len(ordered) > 1 else 0
    held_out = set(np.random.default_rng(seed).permutation(len(ordered))[:count].tolist())
    parts: tuple[list[str], list[str]] = ([], [])
    for index, name in enumerate(ordered):
        parts[index in held_out].append(name)
    return parts
