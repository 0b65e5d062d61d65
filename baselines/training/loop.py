"""A run from its configuration to its scores: fit, predict, run file, score, pictures.

Every stage leaves a file when it is done and starts from the files of the stage before, so that the same command goes on where
it was cut off. What a run folder holds is listed in ``docs/architecture.md``.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import os
import re
import shutil
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from rich.console import Console

from baselines.core.config import NEUTRAL_KEYS, Config, defaults, flatten, to_plain
from baselines.core.findings import Finding, Findings, InvalidInput, Severity, UsageError, invalid, shorten
from baselines.core.outputs import write_atomic, write_json_atomic
from baselines.core.paths import BEST, CONFIG, LAST, PICTURES, SCORES, SPLIT, STATUS, TRUTH, file_for
from baselines.core.results import Scores
from baselines.core.scorer import score_files
from baselines.core.tasks import TaskCard, get_task, tasks_fitted_by
from baselines.training import checkpoints
from baselines.training.callbacks import LAUNCH, Journal, PrunedRun, RunWriter, Status, cluster_job, merge_shards
from baselines.training.checkpoints import AtomicCheckpointIO, Checkpoints
from baselines.training.data import BaselineDataModule
from baselines.training.devices import precision_of
from baselines.training.exhausted import Remedies, explained
from baselines.training.module import BaselineModule
from baselines.training.trackers import make_tracker

SHARDS, LOCK = "shards", ".lock"  # of a run folder, too, but of no use to anybody else
RESUME = "the same command goes on from here"
REMEDIES = Remedies(
    space=f"make room; {RESUME}",
    memory=f"close other programs and {RESUME}; or lower data.batch_size and raise trainer.accumulate, which is another run",
    loaders=f"lower data.workers (memory, or /dev/shm, ran out in a loader process); {RESUME}",
    process=f"its node failed, or it was killed, for too little memory perhaps: its own log may tell; {RESUME}",
)
DATA_PARTS = {  # what split.json has, in words
    "train": "training samples",
    "val": "held-out samples",
    "data_hash": "truth",
    "files_hash": "image or volume files",
}
PRECISION = {"32": "32-true", "bf16": "bf16-mixed"}


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run: its folder, whether it had been finished before, and its scores on the first process."""

    folder: Path
    skipped: bool
    scores: Scores | None


def process_index() -> int:
    """Return which of a run's processes this is; the first one, 0, writes what is written once."""
    return int(getattr(rank_zero_only, "rank", 0))


def run(config: Config, folder: Path, watchers: Sequence[Callback] = (), *, keep_refused: bool = True) -> RunResult:
    """Carry out a run in its folder, or what is left of it.

    Args:
        config: The run's configuration.
        folder: The run folder; made if it isn't there.
        watchers: Further callbacks of the training, after the run's own; one may end the run with :class:`PrunedRun`.
        keep_refused: Whether a new folder stays where its configuration or data turn out to be unusable before the first step.
            A job of a sweep tells it there; a person at a terminal has read it, and wants no failed run.

    Raises:
        InvalidInput: If the configuration, the data or a checkpoint can't be used, another process is at work in the folder,
            or memory or disk ran out.
        UsageError: If the task has no baseline yet, or is served by the fit of another.
        KeyboardInterrupt: If the user stopped it; ``status.json`` then says so.
    """
    card = get_task(config.task)
    if card.fitted_by != card.id:
        raise UsageError(f"a fit of {card.fitted_by} serves {card.id} too: leave task=… out, its scores are in that run folder")
    for name in ("data", "model", "runs", "score"):
        card.module(name)
    if not config.trainer.max_steps and config.trainer.devices * config.trainer.nodes > 1:
        hint = "set trainer.devices=1, or trainer.max_steps above 0"
        raise invalid("CONFIG-VALUE", "a fit without steps takes one device", value=config.trainer.devices, hint=hint)
    first = process_index() == 0
    with _alone_in(folder) if first else contextlib.nullcontext():
        anew = _begins_anew(config, folder)
        if first:
            _clean(folder, everything=anew)
        if not anew:  # other processes may look before the first has removed what is overwritten
            _check_same_config(config, folder)
            if Status.read(folder / STATUS).get("state") == "finished" and (folder / SCORES).exists():
                return RunResult(folder, skipped=True, scores=_read_scores(folder / SCORES))
        settings = config.trainer
        status = Status(folder / STATUS, settings.max_steps, devices=settings.devices * settings.nodes, writes=first)
        refused = contextlib.nullcontext() if keep_refused or not first else _removed_if_refused(folder, status)
        with refused, _told_in(status, folder):
            if first:
                write_atomic(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(to_plain(config))))
            status.update()
            last = None if anew or not (folder / LAST).exists() else folder / LAST
            scores = _carry_out(config, folder, last, status, watchers)
            status.update(state="finished", phase="finished", step=config.trainer.max_steps)
    return RunResult(folder, skipped=False, scores=scores)


def _carry_out(config: Config, folder: Path, last: Path | None, status: Status, watchers: Sequence[Callback]) -> Scores | None:
    data, module = build(config)
    if config.init_from and last is None:  # a checkpoint holds all weights: what training once started from may be gone
        _initialise(module, Path(config.init_from))
    first = process_index() == 0
    if first:
        _check_same_data(folder, data)
        write_split(folder, config, data)
        tell_findings(data)
    fit(config, folder, data, module, last, status, watchers)
    best = checkpoints.read_checkpoint(folder / BEST)
    restore_inference(module, best["state_dict"], folder / BEST)
    trainer = make_trainer(config, folder, [RunWriter(folder / SHARDS)])
    if first:
        status.update(phase="calibrate")
        calibrate(trainer, module, data)
        checkpoints.export(folder, config, data, module, best)
    if trainer.world_size > 1:
        torch.distributed.barrier()  # of the fit; this trainer has not started its own processes yet
        restore_inference(module, checkpoints.read_weights(folder), folder)
    status.update(phase="predict", best={name: best[name] for name in ("name", "score", "step")} if best["step"] else None)
    predictions = predict_split(trainer, module, data, "val", folder / SHARDS)
    if not first:
        return None
    for card in tasks_fitted_by(config.task):
        card.module("runs").write_run(folder / card.run_file, list(predictions.values()), _held_out(data, card))
    shutil.rmtree(folder / SHARDS)
    status.update(phase="score")
    # The task's own scores come last: with them the run is finished.
    *_, scores = (score(config, folder, card) for card in reversed(tasks_fitted_by(config.task)))
    draw_pictures(config, folder, data, predictions)
    return scores


def build(config: Config) -> tuple[BaselineDataModule, BaselineModule]:
    """Build the data module and the module of a configuration, seeded; the weights of ``init_from`` are not in it yet.

    Raises:
        InvalidInput: If the data or the weights of a backbone can't be used.
    """
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    seed_everything(config.seed, verbose=False)
    card = get_task(config.task)
    data: BaselineDataModule = card.module("data").build_data(config)
    return data, card.module("model").build_module(config, data)


def _initialise(module: BaselineModule, source: Path) -> None:
    weights = checkpoints.read_weights(source)
    prefixes = (*module.class_dependent, *module.fitted)
    skipped = checkpoints.load_weights(module.network, weights, source, prefixes)
    if module.averaged is not None:
        module.averaged.load_state_dict(module.network.state_dict())
    if skipped:
        listed = ", ".join(skipped)
        text = f"init_from: the classes differ, so these keep their random start: {listed}"
        Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)


def restore_inference(module: BaselineModule, weights: Mapping[str, torch.Tensor], source: Path) -> None:
    """Give a module the weights to predict with; they take the place of a moving average."""
    module.fit_shapes(weights)
    checkpoints.load_weights(module.network, weights, source)
    module.averaged = None


def make_trainer(
    config: Config, folder: Path, callbacks: list[Any], logger: Any = False, devices: list[int] | int | None = None
) -> Trainer:
    """Return the Lightning trainer of a configuration, on other devices where ``devices`` names some.

    Validation comes every ``validate_every`` steps, counted over the whole training: one of Lightning's epochs is all of it.

    Raises:
        InvalidInput: If the machine lacks the device.
    """
    _quieten()
    settings = config.trainer
    try:
        return _trainer(config, folder, callbacks, logger, devices or settings.devices)
    except MisconfigurationException as error:
        hint = "name what this machine has: trainer=cpu, trainer.devices=…, or --device of predict"
        value = f"trainer.accelerator={settings.accelerator}, trainer.devices={devices or settings.devices}"
        message = f"this machine lacks the device that the configuration asks for: {str(error).partition(chr(10))[0]}"
        raise invalid("TRAINER-DEVICE", message, value=value, hint=hint) from error


def _trainer(config: Config, folder: Path, callbacks: list[Any], logger: Any, devices: list[int] | int) -> Trainer:
    settings = config.trainer
    return Trainer(
        accelerator=settings.accelerator,
        devices=devices,
        num_nodes=settings.nodes,
        strategy="ddp" if settings.devices * settings.nodes > 1 else "auto",
        precision=PRECISION[precision_of(settings)],  # type: ignore[arg-type]
        max_steps=settings.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        val_check_interval=settings.validate_every * settings.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        plugins=[AtomicCheckpointIO(), *_environment()],
        callbacks=callbacks,
        logger=logger,
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _environment() -> list[ClusterEnvironment]:
    """Return where a job of Slurm gets its ranks from; its launcher alone requeues it, so Lightning must not."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def fit(
    config: Config,
    folder: Path,
    data: BaselineDataModule,
    module: BaselineModule,
    last: Path | None,
    status: Status,
    watchers: Sequence[Callback] = (),
) -> None:
    """Train to the last step from the checkpoint ``last``, or from the start; leaves ``last.ckpt`` and ``best.ckpt``.

    Without steps there is nothing to resume, and ``best.ckpt`` holds the weights as they are.
    """
    if not config.trainer.max_steps:
        if process_index() == 0:
            checkpoints.write_untrained(folder, module)
        return
    tracker = make_tracker(config, folder) if process_index() == 0 else None
    # The journal comes first: a checkpoint has to find the step's numbers in it.
    callbacks = [Journal(folder, config, status), Checkpoints(folder, config), *watchers]
    trainer = make_trainer(config, folder, callbacks, tracker or False)
    trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)


def calibrate(trainer: Trainer, module: BaselineModule, data: BaselineDataModule) -> None:
    """Fit what follows training, on the trainer's device and in its precision."""
    seed_everything(data.config.seed, verbose=False)
    module.to(trainer.strategy.root_device).eval()
    with torch.no_grad(), trainer.precision_plugin.predict_step_context():
        module.calibrate(data)


def predict_split(
    trainer: Trainer, module: BaselineModule, data: BaselineDataModule, split: str, shards: Path
) -> dict[str, Any]:
    """Predict a split; the trainer has a :class:`RunWriter` that writes to ``shards``.

    Returns:
        The predictions by id on the first process, nothing on the others.
    """
    data.predict_split = split
    trainer.predict(module, datamodule=data, return_predictions=False)
    trainer.strategy.barrier("predictions are written")
    if not trainer.is_global_zero:
        return {}
    kind = get_task(data.config.task).module("records").Prediction
    return merge_shards(shards, trainer.world_size, kind, [sample.id for sample in data.split(split).samples])


def write_split(folder: Path, config: Config, data: BaselineDataModule) -> None:
    """Write which samples are trained on and which are held out, and the truth of the held-out ones."""
    data.require_samples("train", "val")
    write_json_atomic(folder / SPLIT, _identity(data))
    for card in tasks_fitted_by(config.task):
        card.module("records").write_truth(folder / file_for(TRUTH, card.id, config.task), _held_out(data, card))


def _identity(data: BaselineDataModule) -> dict[str, Any]:
    """Return the ids of the training and of the held-out samples, in their order, and the digests of the data."""
    ids = {name: [sample.id for sample in data.split(name).samples] for name in ("train", "val")}
    return ids | {"data_hash": data.data_hash, "files_hash": data.files_hash}


def _held_out(data: BaselineDataModule, card: TaskCard) -> Any:
    """Return the truth set of the held-out samples for the run's own task, or another that its fit serves."""
    return data.split("val").truth_set if card.id == data.config.task else data.truths_of(card.id, "val")


def tell_findings(data: BaselineDataModule) -> None:
    """Print what the reader tolerated, a line a code: a data set that has lost half of its images must not train silently."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in data.findings.summary():
        console.print(line, markup=False)


def score(config: Config, folder: Path, card: TaskCard) -> Scores:
    """Score a task's run file of a folder as ``imageclef score`` does, and write ``scores.json``, or that of the other task."""
    truth, run_file = folder / file_for(TRUTH, card.id, config.task), folder / card.run_file
    scores = score_files(card.id, truth, run_file, bootstrap=config.bootstrap, seed=config.seed)
    write_atomic(folder / file_for(SCORES, card.id, config.task), scores.to_json())
    return scores


def draw_pictures(config: Config, folder: Path, data: BaselineDataModule, predictions: Mapping[str, Any]) -> None:
    """Draw predictions beside the truth, evenly spread over the validation samples, and what the task shows of a whole run."""
    split, package = data.split("val"), get_task(config.task).module("score")
    count = min(config.pictures, len(split.samples))
    for place in range(count):
        sample = split.samples[place * len(split.samples) // count]
        name = re.sub(r"[^A-Za-z0-9._-]", "_", sample.id)[:80]
        _write_picture(
            folder / PICTURES / f"{place:03d}-{name}.png", package.draw(sample, predictions[sample.id], data.classes)
        )
    if count and hasattr(package, "draw_run"):
        for name, picture in package.draw_run(split, predictions, data.classes).items():
            _write_picture(folder / PICTURES / f"{name}.png", picture)


def _write_picture(path: Path, picture: Any) -> None:
    png = io.BytesIO()
    picture.save(png, "PNG")
    write_atomic(path, png.getvalue())


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the operating system releases however the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            # Not `flock`: forked loader processes would inherit it and outlive a killed run by seconds.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # which of them is up to the file system
            hint = "wait for it, or end it first"
            raise invalid("RUN-BUSY", "another process is at work in this run folder", file=folder, hint=hint) from error
        yield


def _begins_anew(config: Config, folder: Path) -> bool:
    """Whether to overwrite the folder: once for each job of a cluster, however often that is started again.

    A restart has the overrides and the id of the job's first start, which the status of what that has begun names. In a job of
    Slurm that has not been restarted, giving the same command again is somebody who means it.
    """
    restarted = LAUNCH in os.environ or os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
    return config.overwrite and not (restarted and Status.read(folder / STATUS).get("job") == cluster_job())


def _clean(folder: Path, *, everything: bool) -> None:
    """Remove what a killed process was writing, or everything; the lock stays."""
    if not everything:
        for path in folder.rglob(".*.tmp"):
            path.unlink()
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _check_same_config(config: Config, folder: Path) -> None:
    """Refuse a folder that another configuration has written, and list what differs."""
    path = folder / CONFIG
    if not path.exists():
        return
    try:
        earlier = flatten(OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]
    except Exception as error:
        hint = "overwrite=true deletes what the folder holds and starts again"
        raise invalid("RUN-CONFIG", "can't be read", file=path, value=str(error), hint=hint) from error
    now = flatten(to_plain(config))
    findings = Findings()
    # A key that the version which began the run did not have yet stands for its default, with which nothing changes.
    new = flatten(defaults(config.task))
    for key in sorted(earlier.keys() | now.keys()):
        before, after = earlier.get(key, new.get(key)), now.get(key)
        if before != after and key not in NEUTRAL_KEYS:
            hint = f"now {shorten(after)}; overwrite=true deletes what the folder holds and starts again"
            message = "the run in this folder has another value"
            findings.add(
                Finding("RUN-OTHER-CONFIG", Severity.ERROR, message, str(path), id=key, value=shorten(before), hint=hint)
            )
    findings.raise_errors()


def _check_same_data(folder: Path, data: BaselineDataModule) -> None:
    """Refuse to go on with a training that began on other data."""
    path = folder / SPLIT
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(before, dict):
        return
    # The digests leave out the order, which decides what each step draws. A digest that an earlier version did not write is
    # not compared, so that its runs can go on.
    others = [DATA_PARTS[key] for key, value in _identity(data).items() if before.get(key) and before[key] != value]
    if others:
        hint = "bring the old data back, or overwrite=true deletes what the folder holds and starts again"
        message = "the run in this folder began on other data, or on another split of them"
        raise invalid("RUN-OTHER-DATA", message, file=path, value=f"different {', '.join(others)}", hint=hint)


@contextlib.contextmanager
def _removed_if_refused(folder: Path, status: Status) -> Iterator[None]:
    """Remove a folder that is new if its configuration or data can't be used, as shows before the first step."""
    is_new = all(path.name == LOCK for path in folder.iterdir())
    try:
        yield
    except (InvalidInput, UsageError):
        if is_new and status.fields["phase"] == "prepare":
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _told_in(status: Status, folder: Path) -> Iterator[None]:
    """Write how a run ended to ``status.json``, and turn what the machines lack into findings that say how to go on."""

    def tell(state: str, error: object, trace: str | None = None) -> None:
        with contextlib.suppress(OSError):  # a full disk has no room for the status either
            status.update(state=state, error=str(error) or type(error).__name__, traceback=trace)

    try:
        with explained(folder, REMEDIES):
            yield
    except (KeyboardInterrupt, SystemExit) as error:
        # Lightning turns an interrupt into an exit.
        tell("interrupted", f"interrupted; {RESUME}")
        raise KeyboardInterrupt(f"interrupted; {RESUME}") from error
    except PrunedRun as error:
        tell("pruned", error)
        raise
    except (InvalidInput, UsageError) as error:
        tell("failed", error)
        raise
    except Exception as error:
        tell("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
        raise


def _quieten() -> None:
    """Keep what Lightning says to what a user can act on."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*resuming from a checkpoint that ended before the epoch ended.*",  # the batches are a function of the step
        ".*does not have many workers.*",  # the number of workers is the user's choice
        ".*in eval mode at the start of training.*",  # the moving average
        ".*`srun` command is available.*",  # a login node, or a job whose launcher runs one process
        ".*LeafSpec.*",  # Lightning 2.6 calls what torch 2.14 deprecates
    ):
        warnings.filterwarnings("ignore", message)


def _read_scores(path: Path) -> Scores:
    return Scores.from_json(path.read_text(encoding="utf-8"), str(path))
