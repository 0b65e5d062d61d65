"""``imageclef predict``: predict a split with a trained model and write the run file."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from baselines.core.config import Config
from baselines.core.findings import UsageError, invalid
from baselines.core.tasks import get_task
from baselines.training import checkpoints
from baselines.training.callbacks import RunWriter
from baselines.training.data import BaselineDataModule
from baselines.training.loop import make_trainer, predict_split, restore_inference, tell_findings
from baselines.training.module import BaselineModule

Accelerator = Literal["auto", "cpu", "gpu"]


def predict(args: argparse.Namespace) -> int:
    """Predict ``args.split`` of the data root ``args.data`` with the model of ``args.run_dir`` into ``args.out``.

    Optional are ``args.batch_size`` (``None``: the run's own), ``args.format`` (of the run file, where a task has several) and
    ``args.device`` (``auto``, ``cpu``, ``cuda`` or ``cuda:N``).

    Raises:
        InvalidInput: If the run folder or the data can't be used.
        UsageError: If the task has no such split, or the device is none.
    """
    config, classes = checkpoints.read_card(Path(args.run_dir))
    card = get_task(config.task)
    if args.split not in card.splits:
        raise UsageError(f"task {config.task} has no split {args.split!r}: it has {', '.join(card.splits)}")
    accelerator, devices = _device(getattr(args, "device", None) or "auto")
    weights = checkpoints.read_weights(Path(args.run_dir))
    out = Path(args.out)
    with tempfile.TemporaryDirectory(prefix="imageclef-predict-") as name:
        config = _for_prediction(config, Path(args.data), getattr(args, "batch_size", None), accelerator, cache=Path(name))
        data: BaselineDataModule = card.module("data").build_data(config, classes)
        split = data.split(args.split)
        tell_findings(data)
        if not split.samples:
            raise invalid("DATA-EMPTY", f"the {args.split} split has no samples", file=args.data)
        module: BaselineModule = card.module("model").build_module(config, data)
        restore_inference(module, weights, Path(args.run_dir))
        trainer = make_trainer(config, Path(name), [RunWriter(Path(name))], devices=devices)
        predictions = predict_split(trainer, module, data, args.split, Path(name))
    # The class names are the model's: a root with a test set alone has none, and another root may have others.
    truth_set = replace(split.truth_set, classes=classes)
    options = {"run_format": args.format} if getattr(args, "format", None) else {}
    card.module("runs").write_run(out, list(predictions.values()), truth_set, **options)
    Console(stderr=True).print(f"{len(predictions)} predictions written to {out}", markup=False, highlight=False)
    return 0


def _for_prediction(config: Config, root: Path, batch_size: int | None, accelerator: Accelerator, cache: Path) -> Config:
    """Return the configuration with everything that only training needs switched off."""
    return replace(
        config,
        init_from=None,
        data=replace(
            config.data, root=str(root), cache_dir=str(cache), eval_batch_size=batch_size or config.data.eval_batch_size
        ),
        model=replace(config.model, weights=None),
        optimizer=replace(config.optimizer, ema_decay=None),
        trainer=replace(config.trainer, devices=1, accelerator=accelerator, compile=False),
    )


def _device(name: str) -> tuple[Accelerator, int | list[int]]:
    """Return Lightning's accelerator and devices for a device's name."""
    kind, _, index = name.partition(":")
    accelerators: dict[str, Accelerator] = {"auto": "auto", "cpu": "cpu", "cuda": "gpu"}
    if kind in accelerators and (not index or (kind == "cuda" and index.isdecimal())):
        return accelerators[kind], [int(index)] if index else 1
    raise UsageError(f"no device {name!r}: give auto, cpu, cuda or cuda:N")
