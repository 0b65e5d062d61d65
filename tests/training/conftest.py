"""The toy task for the tests of the loop: a distribution of its own, found through its entry point as any other would be."""

import random
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parent / "toy"

collect_ignore = ["toy", "moments.py"]


def write_points(root: Path) -> Path:
    """Write 60 points in the toy task's layout and return their folder."""
    draw = random.Random(0)
    rows = []
    for index in range(60):
        x, y = draw.uniform(-1, 1), draw.uniform(-1, 1)
        split = "train" if index < 40 else "val" if index < 53 else "test"
        rows.append(f"p{index:02d},{split},{x!r},{y!r},{1 if x * x + y * y < 0.6 else 2}\n")
    root.mkdir(parents=True, exist_ok=True)
    (root / "points.csv").write_text("".join(rows))
    return root


@pytest.fixture(scope="session")
def points(tmp_path_factory):
    return write_points(tmp_path_factory.mktemp("points"))


@pytest.fixture
def toy(monkeypatch):
    """Let this process find the toy task."""
    from baselines.core.tasks import all_tasks

    monkeypatch.syspath_prepend(str(TOY))
    all_tasks.cache_clear()
    yield
    all_tasks.cache_clear()
    for name in [name for name in sys.modules if name.startswith("imageclef_toy")]:
        del sys.modules[name]


@pytest.fixture
def toy_config(toy, points, tmp_path):
    """Return a function that makes the toy task's configuration, changed by dotted keys."""
    from imageclef_toy import settings

    from baselines.core.config import parse_config

    def make(**changes):
        plain = settings(points) | {"runs_dir": str(tmp_path / "runs")}
        for key, value in changes.items():
            section, _, name = key.rpartition("__")
            (plain[section] if section else plain)[name] = value
        return parse_config(plain)

    return make
