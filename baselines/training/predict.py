"""``imageclef predict``: predict a split with a trained model, or an ensemble of them, and write the run file."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from baselines.core.config import Config
from baselines.core.findings import UsageError, invalid
from baselines.core.outputs import check_outputs
from baselines.core.paths import RUN_FILES, SCORES, TRUTH, file_for
from baselines.core.tasks import TaskCard, get_task, tasks_fitted_by
from baselines.training import checkpoints
from baselines.training.callbacks import RunWriter
from baselines.training.data import BaselineDataModule
from baselines.training.exhausted import Remedies, explained
from baselines.training.loop import make_trainer, predict_split, restore_inference, tell_findings
from baselines.training.module import BaselineModule

Accelerator = Literal["auto", "cpu", "gpu"]
REMEDIES = Remedies(
    space="prepared samples are kept here meanwhile: make room, or let TMPDIR name a folder that exists on another disk",
    memory="close other programs, lower --batch-size, or choose another --device",
    loaders="lower --batch-size: memory, or /dev/shm, ran out in a loader process",
)
OUT_REMEDIES = replace(REMEDIES, space="make room, or name a file on another disk as --out")


def predict(args: argparse.Namespace) -> int:
    """Predict ``args.split`` of the data root ``args.data`` with the models of ``args.run_dir`` into ``args.out``.

    Several run folders are an ensemble: the task's ``score.combine`` makes one run of their predictions.

    Prepared samples are kept in a temporary folder meanwhile, below ``TMPDIR``.

    Optional are ``args.task`` (another task that the fit serves, whose run is written), ``args.batch_size`` (``None``: the
    run's own), ``args.format`` (of the run file, where a task has several) and ``args.device`` (``auto``, ``cpu``, ``cuda`` or
    ``cuda:N``).

    Raises:
        InvalidInput: If a run folder or the data can't be used, the folders are of different tasks or classes, the run file
            can't be written where it should, or memory or disk ran out.
        UsageError: If the task has no such split or can't combine runs, the fit serves no such task, the device is
            none, the task has no such run format, or the run file would take the place of something of value.
    """
    folders = [Path(folder) for folder in args.run_dir]
    cards = [checkpoints.read_card(folder) for folder in folders]
    (first, classes), card = cards[0], get_task(cards[0][0].task)
    if args.split not in card.splits:
        raise UsageError(f"task {card.id} has no split {args.split!r}: it has {', '.join(card.splits)}")
    if len(folders) > 1 and not hasattr(card.module("score"), "combine"):
        raise UsageError(f"task {card.id} can't combine runs: give one run folder")
    for folder, (config, others) in zip(folders, cards, strict=True):
        if (config.task, others) != (first.task, classes):
            hint = f"an ensemble has one task and one set of classes: here {first.task}, as in {folders[0]}"
            raise invalid("RUN-OTHER-TASK", "predicts another task or other classes", file=folder, value=config.task, hint=hint)
    target = _target(first.task, getattr(args, "task", None))
    options, out = _run_options(target, getattr(args, "format", None)), Path(args.out)
    _check_output(out, folders, Path(args.data), card)
    accelerator, devices = _device(getattr(args, "device", None) or "auto")
    runs = []
    with _temporary_folder() as name:  # one, so that all models share prepared samples
        for folder, (config, _) in zip(folders, cards, strict=True):
            batch_size = getattr(args, "batch_size", None)
            adapted = _for_prediction(config, Path(args.data), batch_size, accelerator, cache=Path(name))
            with explained(folder, REMEDIES, disk=Path(name).parent):
                truth_set, predictions = _predict_one(adapted, classes, folder, args.split, devices, target)
            runs.append(predictions)
    predictions = runs[0] if len(runs) == 1 else card.module("score").combine(runs)
    # The class names are the model's: a root with a test set alone has none, and another root may have others.
    if classes and hasattr(truth_set, "classes"):  # the classes of vqa are answers, which its truths have none of
        truth_set = replace(truth_set, classes=classes)
    with explained(out, OUT_REMEDIES):
        target.module("runs").write_run(out, list(predictions.values()), truth_set, **options)
    sys.stderr.write(f"{len(predictions)} predictions written to {out}\n")
    return 0


def _target(fitted: str, asked: str | None) -> TaskCard:
    """Return the card of the task to write a run of: the one fitted, or another that its fit serves."""
    served = {card.id: card for card in tasks_fitted_by(fitted)}
    if asked and asked not in served:
        raise UsageError(f"a fit of {fitted} serves {', '.join(served)}, not {asked!r}")
    return served[asked or fitted]


def _run_options(target: TaskCard, run_format: str | None) -> dict[str, str]:
    """Return the options of the task's ``write_run``; raise :class:`UsageError` for a format that it hasn't."""
    if run_format is None:
        return {}
    formats = getattr(target.module("runs"), "FORMATS", ())
    if run_format not in formats:
        known = f"the formats are {' and '.join(formats)}" if formats else f"runs of {target.id} have one format, leave it out"
        raise UsageError(f"no run format {run_format!r}: {known}")
    return {"run_format": run_format}


def _check_output(out: Path, folders: list[Path], root: Path, card: TaskCard) -> None:
    """Make sure, before the work is done, that the run file can be written, and over nothing of value.

    Raises:
        InvalidInput: If its folder is missing, or takes no files.
        UsageError: If it is a folder, a file of a run folder, or among the campaign's files.
    """
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file in it, such as {out / card.run_file}")
    served = tasks_fitted_by(card.fitted_by)
    by_task = [file_for(name, each.id, card.fitted_by) for name in (TRUTH, SCORES) for each in served]
    kept = (*RUN_FILES, *by_task, *(each.run_file for each in served))
    check_outputs(((str(folder / name), folder / name) for folder in folders for name in kept), [("--out", out)])
    for family in {Path(name).parts[0] for name in card.files}:
        if out.resolve().is_relative_to((root / family).resolve()):
            raise UsageError(f"--out {out} is among the campaign's files, in {root / family}: write it elsewhere")


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Make the folder for prepared samples.

    Raises:
        InvalidInput: If there is no place where it can be made.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="imageclef-predict-")
    except OSError as error:
        hint = "make room, or let TMPDIR name a folder that exists and can be written to"
        raise invalid("RUN-NO-SPACE", "no temporary folder can be made", value=str(error), hint=hint) from error


def _predict_one(
    config: Config, classes: dict[int, str], folder: Path, split_name: str, devices: int | list[int], target: TaskCard
) -> tuple[Any, dict[str, Any]]:
    """Return the truth set of a split for a task, and its predictions by the model of a run folder."""
    card, work = get_task(config.task), Path(str(config.data.cache_dir))
    weights = checkpoints.read_weights(folder)
    data: BaselineDataModule = card.module("data").build_data(config, classes)
    split = data.split(split_name)
    tell_findings(data)
    data.require_samples(split_name)
    module: BaselineModule = card.module("model").build_module(config, data)
    restore_inference(module, weights, folder)
    trainer = make_trainer(config, work, [RunWriter(work)], devices=devices)
    truth_set = split.truth_set if target.id == config.task else data.truths_of(target.id, split_name)
    return truth_set, predict_split(trainer, module, data, split_name, work)


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
        trainer=replace(config.trainer, devices=1, nodes=1, accelerator=accelerator, compile=False),
    )


def _device(name: str) -> tuple[Accelerator, int | list[int]]:
    """Return Lightning's accelerator and devices for a device's name."""
    kind, _, index = name.partition(":")
    accelerators: dict[str, Accelerator] = {"auto": "auto", "cpu": "cpu", "cuda": "gpu"}
    if kind in accelerators and (not index or (kind == "cuda" and index.isdecimal())):
        return accelerators[kind], [int(index)] if index else 1
    raise UsageError(f"no device {name!r}: give auto, cpu, cuda or cuda:N")
