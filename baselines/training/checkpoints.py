"""Checkpoints that are whole, loadable without pickle, and say what is wrong when they can't be used.

A run folder holds three: ``last.ckpt`` (all that resuming needs), ``best.ckpt`` (the weights of the best validation) and, at
the end, ``model.safetensors`` with ``card.json``: the weights to keep and to pass on, and where they come from.
"""

from __future__ import annotations

import json
import pickle
import platform
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typing_extensions import override

from baselines import __version__
from baselines.core.config import Config, parse_config, to_plain
from baselines.core.findings import Finding, Findings, InvalidInput, Severity, invalid
from baselines.core.outputs import write_atomically, write_json_atomic
from baselines.core.paths import BEST, CARD, LAST, MODEL
from baselines.core.tasks import PACKAGE_ROOT, get_task
from baselines.training.devices import device_name, precision_of
from baselines.training.module import BaselineModule

CARD_PACKAGES = ("numpy", "torch", "torchvision", "pytorch-lightning", "timm", "transformers", "albumentations", "monai")
MAX_LISTED = 20  # weights listed by name in a message
MAX_CARD_BYTES = 10_000_000


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written beside their place and renamed, read without pickle.

    Lightning's own writes to the system's temporary folder first, and moving from there to another file system is a copy, which
    a kill can cut short.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        write_atomically(Path(path), lambda temporary: torch.save(checkpoint, temporary))

    @override
    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a ``.ckpt`` file onto the CPU, tensors and plain values only.

    Raises:
        InvalidInput: If it is damaged, or holds anything but tensors and plain values.
    """
    hint = "delete it to start again from the beginning, or restore it from a copy"
    try:
        checkpoint = load_tensors(path)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        message = "holds pickled objects, which could run code, or is damaged"
        raise invalid("CKPT-UNSAFE", message, file=path, value=reason, hint=hint) from error
    except Exception as error:  # PyTorch raises many kinds on damaged files; all of them mean the same to a user
        raise invalid("CKPT-DAMAGED", "can't be read as a checkpoint", file=path, value=str(error), hint=hint) from error
    if not isinstance(checkpoint, dict):
        raise invalid("CKPT-DAMAGED", "is not a checkpoint of this project", file=path, value=type(checkpoint), hint=hint)
    return checkpoint


def load_tensors(path: Path) -> Any:
    """Read what ``torch.save`` wrote onto the CPU, tensors and plain values only; raises many kinds of errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about files that end in an error anyway
        return torch.load(path, map_location="cpu", weights_only=True)


class Checkpoints(Callback):
    """Saves ``last.ckpt`` by the clock and after each validation, and ``best.ckpt`` when a validation was the best so far.

    A validation that is due after a step belongs to that step: nothing is saved between the two, or a resume would skip it.

    Args:
        folder: The run folder.
        config: The run's configuration.
        clock: Where the time comes from, in seconds.
    """

    def __init__(self, folder: Path, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.config, self.clock = folder, config, clock
        self.best: dict[str, Any] | None = None  # {"name", "score", "step"}
        self._saved_at = clock()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs to know."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what an earlier process knew."""
        self.best = state_dict["best"]

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where the clock says so; after the last step ask for the validation that ends the training."""
        settings = self.config.trainer
        if (batch_idx + 1) % settings.accumulate:
            return
        step = trainer.global_step
        if step >= settings.max_steps:
            trainer.should_stop = True  # Lightning validates before it stops, due or not
        elif step % settings.validate_every and self._is_time(trainer, step):
            self._save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the weights if they are the best so far, then the state of the training."""
        assert isinstance(pl_module, BaselineModule)
        name, score = next(iter(pl_module.validation.items()))
        if self.best is None or score >= self.best["score"]:  # of equal ones the later, which has learned longer
            self.best = {"name": name, "score": score, "step": trainer.global_step}
            if trainer.is_global_zero:
                best = {"state_dict": inference_weights(pl_module), **self.best}
                write_atomically(self.folder / BEST, lambda temporary: torch.save(best, temporary))
        self._save_last(trainer)

    def _is_time(self, trainer: Trainer, step: int) -> bool:
        # Processes have to agree, and agreeing costs a synchronisation: not at every step.
        if trainer.world_size > 1 and step % self.config.trainer.log_every:
            return False
        due = self.clock() - self._saved_at >= self.config.trainer.checkpoint_seconds
        return bool(trainer.strategy.broadcast(due)) if trainer.world_size > 1 else due

    def _save_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / LAST, weights_only=False)
        self._saved_at = self.clock()


def inference_weights(module: BaselineModule) -> dict[str, Tensor]:
    """Return the weights that predict: the average where there is one; names are those of the network."""
    network = module.network if module.averaged is None else module.averaged
    return {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def write_untrained(folder: Path, module: BaselineModule) -> None:
    """Write ``best.ckpt`` of a training without steps: the weights it starts with, which no validation has seen."""
    best = {"state_dict": inference_weights(module), "name": None, "score": None, "step": 0}
    write_atomically(folder / BEST, lambda temporary: torch.save(best, temporary))


def export(folder: Path, config: Config, data: Any, module: BaselineModule, best: Mapping[str, Any]) -> None:
    """Write ``model.safetensors`` and ``card.json`` of a module that has the best weights and is calibrated.

    Args:
        folder: The run folder.
        config: The run's configuration.
        data: The data module.
        module: The module.
        best: What ``best.ckpt`` holds.
    """
    # Clones, since safetensors refuses weights that share memory, as tied ones do.
    weights = {name: tensor.clone() for name, tensor in inference_weights(module).items()}
    write_atomically(folder / MODEL, lambda temporary: save_file(weights, temporary))
    card = {
        "task": config.task,
        "task_version": get_task(config.task).version,
        "config": to_plain(config),
        "classes": {str(key): name for key, name in data.classes.items()},
        "data_hash": data.data_hash,
        "files_hash": data.files_hash,
        "step": best["step"],
        "validation": {best["name"]: best["score"]} if best["step"] else {},
        "versions": {"imageclef-baselines": __version__, "python": platform.python_version(), **_versions(CARD_PACKAGES)},
        "git": git_revision(),
        "device": device_name(module.device),
        "precision": precision_of(config.trainer),
    }
    write_json_atomic(folder / CARD, card)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """Return the commit of the checkout the code runs from, with ``+`` where files differ from it; ``None`` outside of one."""
    if not (PACKAGE_ROOT.parent / ".git").exists():
        return None
    command = ["git", "-C", str(PACKAGE_ROOT.parent), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None


def read_card(folder: Path) -> tuple[Config, dict[int, str]]:
    """Read the configuration and the class names (by campaign id) of a trained model.

    Raises:
        InvalidInput: If the folder is not a finished run, or its card can't be used.
    """
    path = folder / CARD
    hint = "give a run folder whose training has finished (its status.json says so)"
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise invalid("RUN-CARD", "is too large for a model card", file=path, hint=hint)
        card = json.loads(path.read_text(encoding="utf-8"))
        plain, classes = card["config"], {int(key): str(name) for key, name in card["classes"].items()}
    except FileNotFoundError as error:
        raise invalid("RUN-NOT-FINISHED", "there is no trained model here", file=path, hint=hint) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise invalid("RUN-CARD", "can't be read as a model card", file=path, value=str(error), hint=hint) from error
    if not isinstance(plain, dict):
        raise invalid("RUN-CARD", "holds no configuration", file=path, value=plain, hint=hint)
    return parse_config(plain, source=str(path)), classes


def read_weights(source: Path) -> dict[str, Tensor]:
    """Read the weights of a run folder, or of a ``.safetensors`` file.

    Raises:
        InvalidInput: If there are none, or the file is damaged or of another format.
    """
    path = source / MODEL if source.is_dir() else source
    if not path.is_file():
        hint = "give the folder of a finished run, or a .safetensors file"
        raise invalid("WEIGHTS-MISSING", "there are no weights here", file=path, hint=hint)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        hint = "only the safetensors format is read: it can't run code"
        raise invalid("WEIGHTS-DAMAGED", "can't be read as safetensors", file=path, value=str(error), hint=hint) from error


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], source: Path, may_differ: Sequence[str] = ()) -> list[str]:
    """Copy weights into a network.

    Args:
        network: The network.
        weights: Tensors by the network's names.
        source: What messages name as the file.
        may_differ: Prefixes of names whose shape may differ (they depend on the classes); those are left as they are.

    Returns:
        The names that were left as they are.

    Raises:
        InvalidInput: If names are missing, unexpected, or of another shape.
    """
    own = network.state_dict()
    different = [name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape]
    skipped = sorted(name for name in different if name.startswith(tuple(may_differ)) and may_differ)
    misshapen = sorted(
        f"{name} {tuple(weights[name].shape)} instead of {tuple(own[name].shape)}" for name in different if name not in skipped
    )
    findings = Findings()
    hint = "these weights are of another network: check model.* against its card.json"
    for message, names in (
        ("weights are missing", sorted(own.keys() - weights.keys())),
        ("unexpected weights", sorted(weights.keys() - own.keys())),
        ("weights of another shape", misshapen),
    ):
        if names:
            listed = ", ".join(names[:MAX_LISTED]) + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")
            findings.add(Finding("WEIGHTS-MISMATCH", Severity.ERROR, f"{message}: {listed}", file=str(source), hint=hint))
    if findings.error_count:
        raise InvalidInput(findings)
    network.load_state_dict({name: own[name] if name in skipped else weights[name] for name in own})
    return skipped
