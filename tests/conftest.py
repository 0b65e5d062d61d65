"""What the tests share: where the real data are, and which tests this machine can't run."""

import os
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no failure
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent


def _data_root():
    """Return the data root with real data: IMAGECLEF_DATA_ROOT, or the folder beside the project; None if neither is there."""
    named = os.environ.get("IMAGECLEF_DATA_ROOT")
    candidate = Path(named) if named else ROOT.parent / "shared" / "data"
    return candidate if candidate.is_dir() else None


@pytest.fixture(scope="session")
def data_root():
    """The data root with real data; a test that uses it is marked ``data``."""
    root = _data_root()
    if root is None:
        pytest.skip("no real data: set IMAGECLEF_DATA_ROOT")
    return root


def _has_gpu():
    import torch

    return torch.cuda.is_available()


NEEDS = {
    "data": (lambda: _data_root() is not None, "no real data: set IMAGECLEF_DATA_ROOT"),
    "gpu": (_has_gpu, "no CUDA device"),
    "slurm": (lambda: shutil.which("sbatch") is not None, "no sbatch"),
}


def pytest_collection_modifyitems(items):
    """Skip, with the reason, what this machine can't run; the files that take longest come first, so that none is left over."""
    marks = defaultdict(set)
    for item in items:
        marks[item.path] |= {mark.name for mark in item.iter_markers()}
    items.sort(key=lambda item: ("slurm" not in marks[item.path], "slow" not in marks[item.path]))
    for marker, (is_there, reason) in NEEDS.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not is_there():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))
