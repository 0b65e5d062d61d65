"""The run formats of the drawnUI tasks: the JSON of 2021 and the text of 2020."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from baselines.core.findings import Findings
from baselines.drawnui.records import Prediction, TruthSet


def read_run(path: Path, truth_set: TruthSet, findings: Findings, run_format: str = "2021") -> dict[str, Prediction]:
    """Read a run and report everything that is wrong with it."""
    raise NotImplementedError


def write_run(path: Path, predictions: Iterable[Prediction], truth_set: TruthSet, run_format: str = "2021") -> None:
    """Write a run."""
    raise NotImplementedError


def example_run(truth_set: TruthSet) -> str:
    """Return the text of a valid run."""
    raise NotImplementedError
