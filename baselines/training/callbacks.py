"""What a run writes while it goes: its status, its metrics, its progress, and its predictions."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import math
import os
import platform
import resource
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO, get_type_hints

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from typing_extensions import override

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.core.outputs import write_atomic, write_json_atomic
from baselines.core.paths import LOG, METRICS
from baselines.core.report import draws_bars
from baselines.training.module import BaselineModule

METRICS_HEADER = ["step", "part", "name", "value"]
FLUSH_SECONDS = 10.0
LAUNCH = "IMAGECLEF_LAUNCH"  # environment variable of a run on Ray: the id of the command that launched it


class PrunedRun(Exception):
    """A search ended this run, because others did better."""


class Status:
    """``status.json`` of a run folder, what state the run is in, for people and scripts; and ``log.txt`` beside it.

    Time is summed over all attempts at the run, those that were cut off included.

    Args:
        path: The file.
        steps: Steps of the whole training.
        devices: Devices that the run holds.
        writes: Whether this process writes it; of several processes one does.
    """

    def __init__(self, path: Path, steps: int, *, devices: int = 1, writes: bool = True) -> None:
        self.path, self.writes = path, writes
        before = self.read(path)
        self._seconds_before = float(before.get("seconds") or 0.0)
        self._started = time.monotonic()
        self.fields: dict[str, Any] = {
            "state": "running",
            "phase": "prepare",
            "step": 0,
            "of": steps,
            "attempt": int(before.get("attempt") or 0) + 1,
            "started": _now(),
            "updated": _now(),
            "seconds": self._seconds_before,
            "devices": devices,
            "host": platform.node(),
            "job": cluster_job(),
            "peak_memory": 0,
            "peak_gpu_memory": 0,
            "best": None,
            "error": None,
            "traceback": None,
        }

    def update(self, **fields: Any) -> None:
        """Change fields and write the file; a new state or phase also is a line of the log."""
        known = {name: self.fields[name] for name in ("state", "phase")}
        seconds = round(self._seconds_before + time.monotonic() - self._started, 1)
        self.fields |= fields | {"updated": _now(), "seconds": seconds} | peak_memory()
        if not self.writes:
            return
        write_json_atomic(self.path, self.fields)
        if known != {name: self.fields[name] for name in known} or not fields:
            self.note("{state}: {phase}, attempt {attempt} on {host}".format(**self.fields))
            if self.fields["error"]:
                self.note(self.fields["traceback"] or self.fields["error"])

    def note(self, text: str) -> None:
        """Append to the log."""
        if self.writes:
            with (self.path.parent / LOG).open("a", encoding="utf-8") as log:
                log.writelines(f"{_now()} {line}\n" for line in text.splitlines())

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """Return what the file says; nothing if there is none or it can't be read."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return fields if isinstance(fields, dict) else {}


def cluster_job() -> str | None:
    """Return the id of the cluster's job that this process belongs to; it stays the same when the job is started again."""
    return os.environ.get(LAUNCH) or os.environ.get("SLURM_JOB_ID")


def peak_memory() -> dict[str, int]:
    """Return the most memory this process has held, in bytes, on the host and on its CUDA device."""
    gpu = torch.cuda.max_memory_reserved() if torch.cuda.is_initialized() else 0
    return {"peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "peak_gpu_memory": gpu}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class MetricsFile:
    """``metrics.csv``: one number a row, ``step,part,name,value``, so that later rows may bring new names.

    Opening it keeps the rows up to the step a resume starts from: what came after is done again.

    Args:
        path: The file.
        step: The step to go on from.
    """

    def __init__(self, path: Path, step: int) -> None:
        kept = [row for row in _rows(path) if int(row[0]) <= step]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([METRICS_HEADER, *kept])
        write_atomic(path, text.getvalue())
        self._file: TextIO = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._flushed = time.monotonic()

    def add(self, step: int, part: str, numbers: dict[str, float]) -> None:
        """Append numbers; they reach the disk within seconds."""
        self._writer.writerows([step, part, name, repr(value)] for name, value in numbers.items())
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _rows(path: Path) -> Iterator[list[str]]:
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            # A kill may leave half a row at the end.
            yield from (row for row in csv.reader(file) if len(row) == len(METRICS_HEADER) and row[0].isdecimal())


class ClosingCallback(Callback):
    """A callback that holds something open, and closes it however the stage ends."""

    def close(self) -> None:
        """Close what is open; called once or more."""
        raise NotImplementedError

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close at the end of a stage."""
        self.close()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close after an error, when Lightning calls no teardown."""
        self.close()


class Journal(ClosingCallback):
    """Keeps ``metrics.csv`` and ``status.json`` up to date and shows progress.

    Losses are summed on the device and read every ``log_every`` steps, since reading one waits for the device. The sums are
    part of a checkpoint, so that a resumed run writes the rows an uninterrupted one writes.

    Args:
        folder: The run folder.
        config: The run's configuration.
        status: The run's status.
    """

    def __init__(self, folder: Path, config: Config, status: Status) -> None:
        self.folder, self.config, self.status = folder, config, status
        self._names: list[str] = []
        self._sums: Tensor | None = None
        self._count = 0
        self._file: MetricsFile | None = None
        self._display: Display | None = None
        self._since = (0, 0.0)  # step and time of the last row, for the speed

    def state_dict(self) -> dict[str, Any]:
        """Return the sums since the last row, and the best validation so far."""
        sums = None if self._sums is None else self._sums.tolist()
        return {"best": self.status.fields["best"], "names": self._names, "sums": sums, "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the sums of an earlier process."""
        self.status.fields["best"] = state_dict["best"]
        self._names, self._count = state_dict["names"], state_dict["count"]
        self._sums = None if state_dict["sums"] is None else torch.tensor(state_dict["sums"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the file and the display."""
        self._since = (trainer.global_step, time.monotonic())
        if self._sums is not None:
            self._sums = self._sums.to(pl_module.device)
        if trainer.is_global_zero:
            self._file = MetricsFile(self.folder / METRICS, trainer.global_step)
            self._display = Display(self.config.trainer.progress, self.config.trainer.max_steps, trainer.global_step)
            self.status.update(phase="fit", step=trainer.global_step)
            if trainer.global_step:
                told = f"goes on after step {trainer.global_step}"
                self._display.line(told)
                self.status.note(told)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Sum the losses; every ``log_every`` steps write their means."""
        assert isinstance(pl_module, BaselineModule)
        parts = torch.stack([part.float() for part in pl_module.parts.values()])
        self._names = list(pl_module.parts)
        self._sums = parts if self._sums is None else self._sums + parts
        self._count += 1
        if (batch_idx + 1) % self.config.trainer.accumulate:
            return
        step = trainer.global_step
        if step % self.config.trainer.log_every == 0 or step == self.config.trainer.max_steps:
            self._log(trainer, step)
        elif self._display:
            self._display.advance(step)

    def _log(self, trainer: Trainer, step: int) -> None:
        assert self._sums is not None
        means = dict(zip(self._names, (self._sums / self._count).tolist(), strict=True))
        self._sums, self._count = None, 0
        loss = sum(means.values())
        if not math.isfinite(loss):
            hint = "lower optimizer.lr, lengthen optimizer.warmup_steps, or set trainer.precision=32"
            raise invalid("TRAIN-DIVERGED", f"the loss is not finite at step {step}", value=means, hint=hint)
        if not self._file or not self._display:
            return
        before, then = self._since
        now = time.monotonic()
        self._since = (step, now)
        numbers = {"loss": loss, **(means if len(means) > 1 else {}), "lr": float(trainer.optimizers[0].param_groups[0]["lr"])}
        numbers["steps_per_second"] = (step - before) / max(now - then, 1e-9)
        self._file.add(step, "train", numbers)
        if trainer.logger:
            trainer.logger.log_metrics({f"train/{name}": value for name, value in numbers.items()}, step)
        self._display.row(step, numbers)
        self.status.note(row_text(step, self.config.trainer.max_steps, numbers))
        self.status.update(step=step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the validation's numbers."""
        assert isinstance(pl_module, BaselineModule)
        if not self._file or not self._display:
            return
        step, numbers = trainer.global_step, pl_module.validation
        self._file.add(step, "val", numbers)
        # What the checkpoint saved next claims to have written has to be there after a kill.
        self._file.flush()
        if trainer.logger:
            trainer.logger.log_metrics({f"val/{name}": value for name, value in numbers.items()}, step)
        self._display.row(step, numbers)
        self.status.note(row_text(step, self.config.trainer.max_steps, numbers))
        name, score = next(iter(numbers.items()))
        best = self.status.fields["best"]
        if best is None or score >= best["score"]:
            self.status.fields["best"] = {"name": name, "score": score, "step": step}
        self.status.update(step=step)

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Bring the rows to the disk that the checkpoint will not write again."""
        if self._file:
            self._file.flush()

    @override
    def close(self) -> None:
        """Close the file and the display."""
        if self._file:
            self._file.close()
        if self._display:
            self._display.close()
        self._file = self._display = None


class Display:
    """Progress on standard error: a bar on a terminal, a line per row of metrics elsewhere, or nothing.

    Args:
        kind: ``auto``, ``bar``, ``lines`` or ``none``.
        steps: Steps of the whole training.
        step: The step to start from.
    """

    def __init__(self, kind: str, steps: int, step: int) -> None:
        if kind == "auto":
            kind = "bar" if draws_bars() else "lines"
        self.kind, self.steps = kind, steps
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        if kind == "bar":
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, refresh_per_second=2)
            self._bar.start()
            self._task = self._bar.add_task("training", total=steps, completed=step)

    def advance(self, step: int) -> None:
        """Move the bar."""
        if self._bar:
            self._bar.update(self._task, completed=step)

    def row(self, step: int, numbers: dict[str, float]) -> None:
        """Show a row of metrics."""
        if self._bar:
            self._bar.update(self._task, completed=step, description=numbers_text(numbers))
        else:
            self.line(row_text(step, self.steps, numbers))

    def line(self, text: str) -> None:
        """Show a line, above the bar where there is one."""
        if self.kind != "none":
            self._console.print(text, markup=False)

    def close(self) -> None:
        """Take the bar down."""
        if self._bar:
            self._bar.stop()


def row_text(step: int, steps: int, numbers: dict[str, float]) -> str:
    """Return a row of metrics as a line.

    >>> row_text(20, 100, {"loss": 0.5})
    'step 20/100  loss 0.5'
    """
    return f"step {step}/{steps}  {numbers_text(numbers)}"


def numbers_text(numbers: dict[str, float]) -> str:
    """Return names and values in a line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())


class RunWriter(ClosingCallback):
    """Writes each process's predictions to a file of its own as they come; :func:`merge_shards` puts them together.

    Args:
        folder: Folder of the shards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: TextIO | None = None

    @override
    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the shard afresh."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = shard_path(self.folder, trainer.global_rank).open("w", encoding="utf-8")

    @override
    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Append a batch's predictions."""
        assert self._file
        self._file.writelines(encode_prediction(prediction) + "\n" for prediction in outputs)

    @override
    def close(self) -> None:
        """Close the shard."""
        if self._file:
            self._file.close()
            self._file = None


def shard_path(folder: Path, process: int) -> Path:
    """Return the shard of a process."""
    return folder / f"predictions-{process}.jsonl"


def merge_shards(folder: Path, processes: int, kind: type, ids: Sequence[str]) -> dict[str, Any]:
    """Put the shards of all processes together.

    Args:
        folder: Folder of the shards.
        processes: How many there are.
        kind: The task's ``Prediction`` class.
        ids: The ids predicted, in the order the result has; each must be there.

    Returns:
        The predictions by id; where padding made a process predict a sample again, the first one.
    """
    found: dict[str, Any] = {}
    for process in range(processes):
        with shard_path(folder, process).open(encoding="utf-8") as lines:
            for line in lines:
                prediction = decode_prediction(line, kind)
                found.setdefault(prediction.id, prediction)
    missing = [key for key in ids if key not in found]
    if missing:
        raise RuntimeError(f"{len(missing)} samples were not predicted, such as {missing[0]}")
    return {key: found[key] for key in ids}


def encode_prediction(prediction: Any) -> str:
    """Write a dataclass of JSON values, arrays and other such dataclasses as one line of JSON, bit for bit."""
    return json.dumps(_encode(prediction))


def decode_prediction(line: str, kind: type) -> Any:
    """Read what :func:`encode_prediction` wrote."""
    return _decode(json.loads(line), kind)


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if dataclasses.is_dataclass(value):
        return {item.name: _encode(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return value


def _decode(value: Any, kind: Any) -> Any:
    if _is_array(value):
        return _decode_array(value)
    if isinstance(value, dict) and dataclasses.is_dataclass(kind):
        kinds = get_type_hints(kind)
        return kind(**{name: _decode(item, kinds[name]) for name, item in value.items()})  # type: ignore[operator]
    return value


def _encode_array(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"dtype": array.dtype.str, "shape": array.shape, "base64": data}


def _is_array(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"dtype", "shape", "base64"}


def _decode_array(value: dict[str, Any]) -> np.ndarray[Any, Any]:
    flat = np.frombuffer(base64.b64decode(value["base64"]), np.dtype(value["dtype"]))
    return flat.reshape(value["shape"]).copy()
