"""Where things are: the shipped configuration, run folders, the cache."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from baselines.core.config import NEUTRAL_KEYS, Config
from baselines.core.tasks import PACKAGE_ROOT

MAX_NAME_LENGTH = 120  # file systems take 255 bytes; sweeps add to it
DEFAULT_NAME = "default"  # of a run without overrides
# The files of a run folder, beside the run file, which the task names.
CONFIG, SPLIT, TRUTH, SCORES, PICTURES = "config.yaml", "split.json", "truth.json", "scores.json", "pictures"
STATUS, LOG, METRICS = "status.json", "log.txt", "metrics.csv"
LAST, BEST, MODEL, CARD = "last.ckpt", "best.ckpt", "model.safetensors", "card.json"
RUN_FILES = (CONFIG, SPLIT, TRUTH, SCORES, STATUS, LOG, METRICS, LAST, BEST, MODEL, CARD)


def conf_dir() -> Path:
    """Return the folder of the shipped configuration: ``conf/`` of a checkout, ``baselines/conf`` of an installed wheel."""
    installed = PACKAGE_ROOT / "conf"
    return installed if installed.is_dir() else PACKAGE_ROOT.parent / "conf"


def run_name(overrides: Iterable[str]) -> str:
    """Name a run by what was asked for on the command line.

    Overrides that choose the experiment (a folder above), Hydra's own, and those that can't change results are left out; the
    order doesn't matter. What a file name can't hold is replaced and a digest of the original is appended.

    Args:
        overrides: Overrides as typed, such as ``seed=1``.

    >>> run_name(["experiment=vqa", "seed=1", "preset=demo", "trainer.progress=none"])
    'preset=demo,seed=1'
    >>> run_name(["data.root=/mnt/data"])
    'data.root=_mnt_data-0f13534b'
    """
    kept = sorted(override for override in overrides if _names_a_run(override))
    full = ",".join(kept) or DEFAULT_NAME
    name = re.sub(r"[^A-Za-z0-9._=,-]", "_", full)
    if name == full and len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[: MAX_NAME_LENGTH - 9]}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"


def _names_a_run(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    # A ready-made sweep names its runs by what it varies.
    return key not in NEUTRAL_KEYS | {"experiment", "sweep"} and not key.startswith(("hydra.", "hydra/"))


def run_folder(config: Config, overrides: Iterable[str]) -> Path:
    """Return the folder of a run, named by its overrides."""
    return Path(config.runs_dir) / config.task / config.experiment / run_name(overrides)


def file_for(name: str, task: str, trained: str) -> str:
    """Return the name of a run folder's file for a task that its fit serves: with the task's id, if another task trained it.

    Args:
        name: Of the file for the task that trained it, such as ``SCORES``.
        task: Id of the task in question.
        trained: Id of the task that trained the run.

    >>> file_for("scores.json", "coral-annotation", trained="coral-parsing"), file_for("scores.json", "vqa", trained="vqa")
    ('scores-coral-annotation.json', 'scores.json')
    """
    path = Path(name)
    return name if task == trained else f"{path.stem}-{task}{path.suffix}"


def cache_dir(config: Config) -> Path:
    """Return the folder of prepared copies of the data."""
    return Path(config.data.cache_dir) if config.data.cache_dir else Path(config.runs_dir) / "cache"
