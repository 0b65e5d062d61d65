"""``imageclef bench``: what the Trainer costs over a plain loop, and what a cache gains over decoding at each access.

Both compare two sides within one process, in turn (A B A B …) and in blocks of equal length, since a machine's speed drifts
with its temperature and its other users: the ratio of the medians is meant to be quoted, speeds only with their device.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.table import Table
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from baselines.core.bench import provenance
from baselines.core.config import Config
from baselines.core.findings import Findings, InvalidInput, UsageError
from baselines.core.outputs import check_outputs, write_json_atomic
from baselines.core.paths import STATUS, cache_dir
from baselines.core.report import show
from baselines.core.tasks import all_tasks, get_task
from baselines.training.arrays import ArrayCache, cached_arrays, measured, original_arrays
from baselines.training.cache import Picture
from baselines.training.callbacks import Journal, Status
from baselines.training.checkpoints import git_revision
from baselines.training.compose import compose
from baselines.training.data import BaselineDataModule
from baselines.training.devices import device_name, precision_of
from baselines.training.exhausted import Remedies, explained
from baselines.training.loop import build, make_trainer
from baselines.training.module import lr_factor, make_optimizer, update_average

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "numpy", "albumentations", "pillow", "monai", "nibabel")
REMEDIES = Remedies(
    space="make room here and in the temporary folder, or name others by data.cache_dir=… and the variable TMPDIR",
    memory="close other programs, or lower data.batch_size",
    loaders="lower data.workers or data.batch_size: memory, or /dev/shm, ran out in a loader process",
)
EXTRA_STEPS = 3  # of the plain loop after the rounds: one to count operations, the others to time kernels
# Dense bfloat16 FLOP/s by the name CUDA gives, from NVIDIA's data sheets; those that quote sparse figures are halved.
PEAK_FLOPS = {
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989.5e12,
    "NVIDIA H100 PCIe": 756.5e12,
    "NVIDIA H200": 989.5e12,
    "NVIDIA L4": 121e12,
    "NVIDIA L40S": 362e12,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure: untimed steps of each side first, then so many rounds of a block of each side."""

    warmup: int = 8
    block: int = 4
    rounds: int = 16


def bench(args: argparse.Namespace) -> int:
    """Measure a task's recipe, or that of every task with a baseline, and print the figures.

    Args:
        args: ``what``, ``step`` or ``data``; ``task``, a task id or ``None``; ``overrides`` of the configuration; ``json``, a
            file to write the figures to or ``None``.

    Raises:
        InvalidInput: If a configuration or data set can't be used, or memory or disk ran out; the figures of the others are
            printed and written before.
        UsageError: If there is no such task, or it has no baseline or nothing to compare.
    """
    measure = {"step": measure_step, "data": measure_data}[args.what]
    check_outputs([], [("--json", args.json)])
    results: dict[str, Any] = {}
    findings = Findings()
    for config in _configurations(args.task, args.overrides):
        try:
            with explained(config.task, REMEDIES, disk=cache_dir(config)):
                results[config.task] = measure(config)
        except InvalidInput as error:
            findings.extend(error.findings)
    if results:
        show(_table(args.what, results))
        if args.json:
            write_json_atomic(args.json, {"what": args.what, "git": git_revision(), **provenance(PACKAGES), "results": results})
    findings.raise_errors()
    return 0


def _configurations(task: str | None, overrides: Sequence[str]) -> list[Config]:
    """Compose the configuration of each task to measure."""
    if any(override.startswith("experiment=") for override in overrides):
        if task:
            raise UsageError("give a task or experiment=NAME, not both")
        return [compose(overrides)]
    cards = [
        card for card in all_tasks().values() if (task in (card.id, card.experiment) if task else card.state == "baseline")
    ]
    for card in cards or [get_task(str(task))]:
        card.module("model")  # says so if there is no such task, or no baseline
    return [
        compose([f"experiment={experiment}", *overrides]) for experiment in dict.fromkeys(card.experiment for card in cards)
    ]


# ---- the training step


def measure_step(config: Config, plan: Plan | None = None) -> dict[str, Any]:
    """Compare training steps through the Lightning Trainer with those of a hand-written loop.

    Both have the same network, data, precision, optimiser, schedule, clipping and moving average, and a loader each. The
    Trainer's side also writes the metrics as a run does; validation and checkpoints are left out. One device is measured.
    A loader works ahead while it is the other side's turn, so that a slow one hardly shows here: see :func:`measure_data`.

    Args:
        config: The recipe; ``max_steps`` and ``devices`` are replaced.
        plan: How long to measure.

    Returns:
        ``trainer`` and ``loop``, each with the median ``step_seconds`` and ``images_per_second``; ``ratio`` of the two step
        times and its ``quartiles`` over the rounds; ``flops_per_step`` of the forward and backward passes; and on a CUDA
        device ``busy``, ``peak_memory_bytes`` and ``flops_share`` (else ``None``): kernel time over the Trainer's step
        time, most memory PyTorch had allocated, and FLOP/s over the card's dense bfloat16 peak.

    Raises:
        InvalidInput: If the data can't be used.
    """
    plan = plan or Plan()
    steps = plan.warmup + plan.block * plan.rounds
    limits: dict[str, Any] = {"max_steps": steps, "validate_every": steps, "devices": 1, "progress": "none"}
    config = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, **limits), logger="csv")
    data, module = _build(config)
    duel = Duel(dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, max_steps=steps + EXTRA_STEPS)), plan)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder, config, Status(folder / STATUS, steps, writes=False))
        trainer = make_trainer(config, folder, [journal, duel])
        trainer.limit_val_batches = 0
        trainer.fit(module, datamodule=data)
    assert duel.loop is not None
    images = config.data.batch_size * config.trainer.accumulate
    ours, plain = (np.array(seconds) / plan.block for seconds in (duel.trainer_seconds, duel.loop_seconds))
    figures = {
        name: {"step_seconds": float(np.median(seconds)), "images_per_second": float(images / np.median(seconds))}
        for name, seconds in (("trainer", ours), ("loop", plain))
    }
    return {
        "device": device_name(duel.loop.device),
        **figures,
        **_ratio(ours, plain),
        **_device_figures(duel, figures["trainer"]["step_seconds"]),
    }


class PlainLoop:
    """The hand-written training loop that the Trainer is compared with.

    Args:
        config: The run's configuration.
        device: The device to train on.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device, self.steps = config, device, 0
        self.is_bfloat16 = precision_of(config.trainer) == "bf16"  # once, not in the steps that are timed
        data, module = build(config)
        self.module = module.to(device).train()
        self.batches = iter(data.train_dataloader())
        settings = config.optimizer
        self.optimizer = make_optimizer(settings, module.network, fused=device.type == "cuda")
        self.schedule = LambdaLR(
            self.optimizer,
            lambda step: lr_factor(step, config.trainer.max_steps, settings.warmup_steps, settings.final_lr_ratio),
        )

    def run(self, steps: int) -> None:
        """Train for so many steps."""
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        """Take one optimisation step."""
        settings, accumulate = self.config.optimizer, self.config.trainer.accumulate
        for batch in islice(self.batches, accumulate):
            moved = move_data_to_device(batch, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bfloat16):
                loss = torch.stack(list(self.module.losses(moved).values())).sum() / accumulate
            loss.backward()
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.module.network.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        if self.module.averaged is not None:
            assert settings.ema_decay
            update_average(self.module.averaged, self.module.network, settings.ema_decay, self.steps)
        self.steps += 1


class Duel(Callback):
    """Lets the plain loop run a block whenever the Trainer has done one, and times both.

    A block of the Trainer lasts from the end of the plain loop's last one to the end of its own last step, so that whatever
    the Trainer does between steps counts. The plain loop is made after the Trainer's warm-up, whose memory is then known.

    Args:
        config: The configuration of the plain loop.
        plan: How long to measure.
    """

    def __init__(self, config: Config, plan: Plan) -> None:
        self.config, self.plan = config, plan
        self.loop: PlainLoop | None = None
        self.trainer_seconds: list[float] = []
        self.loop_seconds: list[float] = []
        self.peak_memory: int | None = None
        self._since = 0.0

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the time, and turns."""
        batches, accumulate = batch_idx + 1, self.config.trainer.accumulate
        done = batches // accumulate - self.plan.warmup
        if batches % accumulate or done < 0 or done % self.plan.block:
            return
        device = pl_module.device
        if self.loop is None:
            self.peak_memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
            self.loop = PlainLoop(self.config, device)
            self.loop.run(self.plan.warmup)
        else:
            _wait(device)
            start = time.perf_counter()
            self.trainer_seconds.append(start - self._since)
            self.loop.run(self.plan.block)
            _wait(device)
            self.loop_seconds.append(time.perf_counter() - start)
        _wait(device)
        self._since = time.perf_counter()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _device_figures(duel: Duel, step_seconds: float) -> dict[str, Any]:
    """Count the operations of a step and, on a CUDA device, the time its kernels take."""
    loop = duel.loop
    assert loop is not None
    with FlopCounterMode(display=False) as counter:
        loop.step()
    flops = counter.get_total_flops()
    cuda = loop.device.type == "cuda"
    peak = PEAK_FLOPS.get(device_name(loop.device)) if loop.is_bfloat16 else None
    return {
        "flops_per_step": flops,
        "flops_share": flops / step_seconds / peak if peak else None,
        "busy": kernel_seconds(loop, EXTRA_STEPS - 1) / (EXTRA_STEPS - 1) / step_seconds if cuda else None,
        "peak_memory_bytes": duel.peak_memory,
    }


def kernel_seconds(loop: PlainLoop, steps: int) -> float:
    """Return how long the CUDA kernels of some steps take together; the same ones run under the Trainer."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        loop.run(steps)
        _wait(loop.device)
    kernels = (
        event
        for event in profiler.events() or ()
        if event.device_type.name == "CUDA"
        and not event.is_user_annotation  # the profiler repeats these on the device, around the kernels
        and not event.name.startswith(("Memcpy", "Memset"))
    )
    return sum(event.time_range.elapsed_us() for event in kernels) / 1e6


# ---- the loader


def measure_data(config: Config, plan: Plan | None = None) -> dict[str, Any]:
    """Compare the training loader on cached pictures or arrays with one that prepares the original files at each access.

    Augmentation, batches and loader processes are the same. Filling the cache doesn't count; that of arrays, which are slow to
    prepare, is measured by itself, into an empty folder.

    Args:
        config: The recipe; ``max_steps`` is replaced.
        plan: How long to measure; with many loader processes blocks become longer.

    Returns:
        ``cached`` and ``decoding``, each with the median ``samples_per_second``; the ``ratio`` of the two and its
        ``quartiles`` over the rounds; and of arrays ``filling``: the ``items`` prepared, ``items_per_minute``, and
        ``peak_bytes``, the most memory that a process took.

    Raises:
        InvalidInput: If the data can't be used.
        UsageError: If the task keeps no cache.
    """
    module = get_task(config.task).module("data")
    if hasattr(module, "cached_pictures"):
        return _compare_loaders(config, module, "cached_pictures", OriginalPictures.in_place_of_cache, plan or Plan())
    if not hasattr(module, "cached_arrays"):
        raise UsageError(f"task {config.task} keeps no cache of pictures or arrays: there is nothing to compare")
    filling = Filling()
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, cache_dir=folder))
        with patch.object(module, "cached_arrays", filling):
            _build(config)
        compared = _compare_loaders(config, module, "cached_arrays", original_arrays, plan or Plan(warmup=2, rounds=4))
    return compared | {"filling": filling.figures()}


class Filling:
    """Takes the place of :func:`~baselines.training.arrays.cached_arrays`, and measures what it does."""

    def __init__(self) -> None:
        self.items, self.seconds, self.peak = 0, 0.0, 0

    def __call__(self, root: Path, items: Any, recipe: str, prepare: Any, **options: Any) -> ArrayCache:
        """Fill a cache."""
        start = time.perf_counter()
        arrays = cached_arrays(root, items, recipe, partial(measured, prepare), **options)
        self.seconds += time.perf_counter() - start
        self.items += len(items)
        self.peak = max([self.peak, *(facts.get("peak_bytes") or 0 for facts in arrays.facts.values())])
        return arrays

    def figures(self) -> dict[str, Any]:
        """Return what was measured; the memory is ``None`` where the system doesn't say it."""
        return {"items": self.items, "items_per_minute": 60 * self.items / self.seconds, "peak_bytes": self.peak or None}


def _compare_loaders(config: Config, module: ModuleType, cache: str, original: Any, plan: Plan) -> dict[str, Any]:
    """Compare the loader of a task's data module with one where ``original`` takes the place of its cache."""
    workers = config.data.workers
    # What a loader prepared while it was not its turn is thrown away: twice the two batches that each process is ahead.
    block, ahead = max(plan.block, 4 * workers), 4 * workers
    steps = plan.warmup + plan.rounds * (ahead + block)
    config = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, max_steps=steps, accumulate=1))
    data, _ = _build(config)
    data.prepare_data()
    loaders: list[DataLoader[Any]] = [data.train_dataloader()]
    with patch.object(module, cache, original):
        other, _ = _build(config)
        loaders.append(other.train_dataloader())
    sides = [iter(loader) for loader in loaders]
    seconds: tuple[list[float], list[float]] = ([], [])
    for side in sides:
        _take(side, plan.warmup)
    for _ in range(plan.rounds):
        for side, times in zip(sides, seconds, strict=True):
            _take(side, ahead)
            start = time.perf_counter()
            _take(side, block)
            times.append(time.perf_counter() - start)
    samples = block * config.data.batch_size
    cached, decoding = (np.array(times) for times in seconds)
    return {
        "device": device_name(torch.device("cpu")),
        "workers": workers,
        "cached": {"samples_per_second": float(samples / np.median(cached))},
        "decoding": {"samples_per_second": float(samples / np.median(decoding))},
        **_ratio(decoding, cached),
    }


class OriginalPictures:
    """Pictures by id like those of a :class:`~baselines.training.cache.PictureCache`, but prepared anew at each access.

    Args:
        files: Image files by id.
        prepare: Reads a file and returns its picture ``(H, W, C) uint8``.
    """

    def __init__(self, files: Mapping[str, Path], prepare: Callable[[Path], Picture]) -> None:
        self.files, self.prepare = files, prepare

    @classmethod
    def in_place_of_cache(
        cls, root: Path, files: Mapping[str, Path], recipe: str, prepare: Callable[[Path], Picture], workers: int = 4
    ) -> OriginalPictures:
        """Take the arguments of :func:`~baselines.training.cache.cached_pictures`."""
        del root, recipe, workers  # those of the cache
        return cls(files, prepare)

    def __getitem__(self, key: str) -> Picture:
        """Decode and resize a picture."""
        return self.prepare(self.files[key])


def _take(batches: Iterator[Any], count: int) -> None:
    for _ in islice(batches, count):
        pass


# ---- what both share


def _build(config: Config) -> tuple[BaselineDataModule, Any]:
    data, module = build(config)
    data.require_samples("train", "val")  # preparing fills the cache of both
    return data, module


def _ratio(first: Any, second: Any) -> dict[str, Any]:
    """Return the ratio of the medians of two sides' times, and the quartiles of the rounds' own ratios."""
    return {
        "ratio": float(np.median(first) / np.median(second)),
        "quartiles": [float(value) for value in np.quantile(first / second, (0.25, 0.75))],
        "rounds": len(first),
    }


def _table(what: str, results: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = _step_rows if what == "step" else _data_rows
    table = Table("task", "figure", "value")
    for task, figures in results.items():
        low, high = figures["quartiles"]
        ratio = f"{figures['ratio']:.3f} (quartiles {low:.3f} to {high:.3f} of {figures['rounds']} rounds)"
        for name, value in (("device", figures["device"]), *rows(figures, ratio)):
            table.add_row(task, name, value)
        table.add_section()
    return table


def _step_rows(figures: Mapping[str, Any], ratio: str) -> Iterable[tuple[str, str]]:
    for side in ("trainer", "loop"):
        speed = figures[side]
        yield side, f"{speed['images_per_second']:.1f} images/s, {1e3 * speed['step_seconds']:.1f} ms a step"
    yield "step time, trainer / loop", ratio
    yield "operations", f"{figures['flops_per_step'] / 1e9:.2f} GFLOP a step"
    if figures["flops_share"] is not None:
        yield "share of the card's peak", f"{figures['flops_share']:.1%}"
    if figures["busy"] is not None:
        yield "device busy", f"{figures['busy']:.1%}"
        yield "peak memory", f"{figures['peak_memory_bytes'] / 2**30:.2f} GiB"


def _data_rows(figures: Mapping[str, Any], ratio: str) -> Iterable[tuple[str, str]]:
    yield "loader processes", str(figures["workers"])
    for side in ("cached", "decoding"):
        yield side, f"{figures[side]['samples_per_second']:.1f} samples/s"
    yield "samples/s, cached / decoding", ratio
    if "filling" in figures:
        filling = figures["filling"]
        yield "filling the cache", f"{filling['items_per_minute']:.1f} items/min, {filling['items']} items"
        if filling["peak_bytes"]:
            yield "most memory of a process", f"{filling['peak_bytes'] / 2**20:.0f} MiB"
