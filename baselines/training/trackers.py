"""Where a run's numbers go beside ``metrics.csv``: TensorBoard, MLflow or Weights & Biases, all without a network by default.

The libraries are imported when a configuration asks for them. A run that is resumed goes on in the same record, whose id is in
``tracker.json`` of its folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from baselines.core.config import Config, flatten, to_plain
from baselines.core.outputs import write_json_atomic

TRACKER = "tracker.json"
PROJECT = "imageclef-baselines"


def make_tracker(config: Config, folder: Path) -> Logger | None:
    """Return the logger that the configuration asks for, with the configuration in it; ``None`` for ``metrics.csv`` alone.

    MLflow writes to ``MLFLOW_TRACKING_URI``, else to ``mlflow.db`` among the runs. Weights & Biases works offline, into the run
    folder, unless ``WANDB_MODE`` says otherwise.

    Args:
        config: The run's configuration.
        folder: The run folder.

    Raises:
        ModuleNotFoundError: If the library is not installed.
    """
    if config.logger == "csv":
        return None
    tracker = _MAKERS[config.logger](config, folder)
    tracker.log_hyperparams(flatten(to_plain(config)))
    return tracker


def _tensorboard(_: Config, folder: Path) -> Logger:
    return TensorBoardLogger(folder, name="tensorboard", version="")


def _mlflow(config: Config, folder: Path) -> Logger:
    for name in ("mlflow", "alembic"):  # both tell of every table they make
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(config.runs_dir).resolve() / 'mlflow.db'}"
    experiment = f"{config.task}/{config.experiment}"
    known = _remembered(folder).get("run_id")
    tracker = MLFlowLogger(experiment, folder.name, uri, run_id=known)
    _remember(folder, {"tracker": "mlflow", "uri": uri, "run_id": tracker.run_id})
    return tracker


def _wandb(config: Config, folder: Path) -> Logger:
    mode = os.environ.get("WANDB_MODE", "offline")
    # An id of its own making, since one from the service would need the network.
    run_id = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    _remember(folder, {"tracker": "wandb", "mode": mode, "run_id": run_id})
    name = f"{config.task}/{config.experiment}/{folder.name}"[:128]
    return WandbLogger(
        name=name, save_dir=folder, id=run_id, project=PROJECT, offline=mode != "online", resume="allow", log_model=False
    )


_MAKERS: dict[str, Callable[[Config, Path], Any]] = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}


def _remembered(folder: Path) -> dict[str, Any]:
    try:
        value = json.loads((folder / TRACKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _remember(folder: Path, what: dict[str, Any]) -> None:
    write_json_atomic(folder / TRACKER, what)
