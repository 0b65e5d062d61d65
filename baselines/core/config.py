"""The configuration of a training run: every key with its type, range and default.

conf/ holds the numbers of the recipes; this module and each task's ``task.py`` hold the names. A composed configuration is a
plain dictionary until :func:`parse_config` has checked it against these dataclasses and listed everything that is wrong.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from baselines.core.findings import Finding, Findings, Severity, UsageError, nearest, shorten
from baselines.core.tasks import get_task


@dataclass(frozen=True, slots=True)
class Range:
    """The values a number may take, both ends included; used as ``Annotated[int, Range(1)]``."""

    least: float = -math.inf
    most: float = math.inf

    def __str__(self) -> str:
        """Say the range in words."""
        return f"at least {self.least}" if self.most == math.inf else f"from {self.least} to {self.most}"


Count = Annotated[int, Range(0)]
PositiveInt = Annotated[int, Range(1)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
BatchSize = Annotated[int, Range(1, 4096)]  # more is a typing error, which would show minutes later as a lack of memory


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to read and how to batch it; a task adds its own keys in a subclass of the same name in its ``task.py``.

    Attributes:
        root: Data root that holds the campaign's folders as distributed.
        cache_dir: Folder of prepared copies (decoded, resized); ``None`` is ``<runs_dir>/cache``.
        batch_size: Samples per device and optimisation step, times ``trainer.accumulate``.
        eval_batch_size: Samples per device when validating and predicting.
        workers: Loader processes per device; 0 loads in the training process.
        split_seed: Seed of the split where the campaign has no validation set.
        val_share: Share of the training samples held out for validation, where the campaign has no validation set.
    """

    root: str = "data"
    cache_dir: str | None = None
    batch_size: BatchSize = 16
    eval_batch_size: BatchSize = 16
    workers: Count = 8
    split_seed: Count = 0
    val_share: Annotated[float, Range(0.01, 0.9)] = 0.2


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network; a task adds its own keys in a subclass of the same name in its ``task.py``.

    Attributes:
        name: Name of the network in the task's ``model.py``.
        weights: Weights of the backbone: ``None`` (random), a local file, or ``"pretrained"`` (published ones, from the cache
            that ``imageclef fetch`` fills, or downloaded).
    """

    name: str = ""
    weights: str | None = None


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How weights move.

    Attributes:
        name: ``adamw`` or ``sgd`` (with Nesterov momentum).
        lr: Highest learning rate, reached after the warm-up.
        weight_decay: Decay of weights of two or more dimensions; biases and norms have none.
        momentum: Momentum of SGD; AdamW doesn't use it.
        warmup_steps: Steps of linear warm-up.
        final_lr_ratio: Where the cosine ends, as a share of ``lr``.
        clip_norm: Largest norm of the gradient; ``None`` doesn't clip.
        ema_decay: Decay of the moving average of the weights, which then validates and predicts; ``None`` keeps none.
    """

    name: Literal["adamw", "sgd"] = "adamw"
    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.05
    momentum: Share = 0.9
    warmup_steps: Count = 0
    final_lr_ratio: Share = 0.0
    clip_norm: NonNegative | None = 1.0
    ema_decay: Annotated[float, Range(0, 0.999999)] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long and on what to train.

    Attributes:
        max_steps: Optimisation steps of the whole training; 0 for models that are fitted without gradients.
        validate_every: Optimisation steps between validations; the last step is always followed by one.
        precision: ``32``, or ``bf16`` for bfloat16 autocast; ``auto`` is ``bf16`` where the device has units
            for it, else ``32``.
        channels_last: Whether the network's weights are laid out channels last.
        compile: Whether to use ``torch.compile``.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: Devices on each machine; each is a process with its own batches.
        nodes: Machines; more than one needs a launcher that starts the processes on all of them, such as Slurm's.
        accumulate: Batches per optimisation step.
        checkpoint_seconds: Least seconds between two saves of ``last.ckpt``; after each validation it is saved anyway.
        threads: Threads of PyTorch on the CPU; ``None`` leaves PyTorch's choice. Another number may round differently.
        progress: ``bar`` draws a bar, ``lines`` prints a line every ``log_every`` steps, ``none`` prints nothing; ``auto`` is
            ``bar`` on a terminal and ``lines`` elsewhere.
        log_every: Optimisation steps that one row of ``metrics.csv`` is the mean over.
    """

    max_steps: Count = 10_000
    validate_every: PositiveInt = 1_000
    precision: Literal["32", "bf16", "auto"] = "32"
    channels_last: bool = False
    compile: bool = False
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    accumulate: PositiveInt = 1
    checkpoint_seconds: NonNegative = 600.0
    threads: PositiveInt | None = None
    progress: Literal["auto", "bar", "lines", "none"] = "auto"
    log_every: PositiveInt = 50


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a run.

    Attributes:
        task: Task id.
        experiment: Name of the recipe, a file of ``conf/experiment``.
        preset: Size of the run, a file of ``conf/preset``.
        seed: Seed of weights, order of the samples, augmentation and dropout.
        runs_dir: Folder of all runs.
        overwrite: Whether to delete what the run folder holds and start again; once in a job that a cluster starts again.
        init_from: Run folder or ``.safetensors`` file whose weights training starts from.
        pictures: How many pictures of predictions to draw.
        bootstrap: Resamplings of the intervals in ``scores.json``; 0 leaves them out.
        logger: ``csv`` (``metrics.csv``, always written), or ``tensorboard``, ``mlflow`` or ``wandb`` beside it.
        data: See :class:`DataConfig`.
        model: See :class:`ModelConfig`.
        optimizer: See :class:`OptimizerConfig`.
        trainer: See :class:`TrainerConfig`.
    """

    task: str
    experiment: str
    preset: str = "full"
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    runs_dir: str = "runs"
    overwrite: bool = False
    init_from: str | None = None
    pictures: Count = 16
    bootstrap: Count = 1000
    logger: Literal["csv", "tensorboard", "mlflow", "wandb"] = "csv"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


# Keys that say where and how a run is carried out, not what comes out of it: they name no folder and may change on a resume.
NEUTRAL_KEYS = frozenset(
    {
        "runs_dir",
        "overwrite",
        "logger",
        "data.cache_dir",
        "data.workers",
        "trainer.checkpoint_seconds",
        "trainer.progress",
    }
)


def section_types(task: str) -> dict[str, type]:
    """Return the dataclass of each section of a task's configuration by its name.

    Raises:
        UsageError: If there is no such task.
    """
    module = get_task(task).module("task")
    return {
        "data": getattr(module, "DataConfig", DataConfig),
        "model": getattr(module, "ModelConfig", ModelConfig),
        "optimizer": OptimizerConfig,
        "trainer": TrainerConfig,
    }


def defaults(task: str) -> dict[str, Any]:
    """Return every key of a task's configuration with its default, as a plain dictionary; keys without one are left out."""
    top = {
        item.name: item.default
        for item in dataclasses.fields(Config)
        if item.default is not dataclasses.MISSING and item.name != "preset"
    }
    return top | {name: to_plain(section()) for name, section in section_types(task).items()}


def to_plain(value: Any) -> Any:
    """Turn dataclasses into dictionaries and tuples into lists, as YAML and JSON have them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def parse_config(plain: Mapping[str, Any], source: str = "configuration") -> Config:
    """Check a composed configuration and make it a :class:`Config`.

    Args:
        plain: The composed configuration.
        source: What findings name as the file.

    Raises:
        baselines.core.findings.InvalidInput: With every unknown key, wrong type and value out of range.
    """
    findings = Findings()
    reader = _Reader(source, findings)
    task = plain.get("task")
    try:
        sections = section_types(str(task))
    except UsageError as error:
        reader.complain("CONFIG-VALUE", "task", str(error), task)
        findings.raise_errors()
        raise
    config = reader.read_dataclass(Config, plain, "", sections)
    findings.raise_errors()
    assert isinstance(config, Config)
    return config


def flatten(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as dotted paths.

    >>> flatten({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


class _Reader:
    """Reads plain values as types and collects what doesn't fit; a value that doesn't fit becomes ``None``."""

    def __init__(self, source: str, findings: Findings) -> None:
        self.source = source
        self.findings = findings

    def complain(self, code: str, path: str, message: str, value: object = "", hint: str = "") -> None:
        seen = "" if isinstance(value, str) and not value else shorten(value)
        self.findings.add(Finding(code, Severity.ERROR, message, file=self.source, id=path, value=seen, hint=hint))

    def read_dataclass(self, kind: type, plain: Mapping[str, Any], path: str, sections: Mapping[str, type]) -> Any:
        hints = get_type_hints(kind, include_extras=True) | dict(sections)
        prefix = f"{path}." if path else ""
        values = {}
        for key, value in plain.items():
            if key in hints:
                values[key] = self.read(hints[key], value, prefix + key)
            else:
                known = [f"{prefix}{name}" for name in hints]
                hint = nearest(f"{prefix}{key}", known, f"{path or 'the top level'} has")
                self.complain("CONFIG-UNKNOWN-KEY", f"{prefix}{key}", "no such key", hint=hint)
        for item in dataclasses.fields(kind):
            required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            if required and item.name not in plain:
                self.complain("CONFIG-MISSING-KEY", prefix + item.name, "this key has to be given")
        return None if self.findings.error_count else kind(**values)

    def read(self, kind: Any, value: Any, path: str) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self._in_range(self.read(arguments[0], value, path), arguments[1], path)
        if origin in (Union, types.UnionType):
            return self._read_union(arguments, value, path)
        if origin is Literal:
            return self._read_choice(arguments, value, path)
        if origin is tuple:
            return self._read_tuple(arguments, value, path)
        if isinstance(kind, type) and is_dataclass(kind):
            if isinstance(value, Mapping):
                return self.read_dataclass(kind, value, path, {})
            return self.complain("CONFIG-TYPE", path, "has to be a section with keys", value)
        return self._read_plain(kind, value, path)

    def _read_plain(self, kind: type, value: Any, path: str) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        # A bool is an int to Python, but `max_steps: true` is a mistake.
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            if isinstance(value, float) and not math.isfinite(value):
                return self.complain("CONFIG-VALUE", path, "has to be a finite number", value)
            return value
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        return self.complain("CONFIG-TYPE", path, f"has to be {names.get(kind, kind.__name__)}", value)

    def _read_union(self, kinds: tuple[Any, ...], value: Any, path: str) -> Any:
        if value is None and type(None) in kinds:
            return None
        return self.read(next(kind for kind in kinds if kind is not type(None)), value, path)

    def _read_choice(self, choices: tuple[Any, ...], value: Any, path: str) -> Any:
        # YAML and the command line read 32 as a number, although it names a choice.
        for choice in choices:
            if value == choice or (isinstance(value, int) and not isinstance(value, bool) and str(value) == choice):
                return choice
        return self.complain("CONFIG-VALUE", path, f"has to be one of {', '.join(map(str, choices))}", value)

    def _read_tuple(self, kinds: tuple[Any, ...], value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            return self.complain("CONFIG-TYPE", path, "has to be a list", value)
        if len(kinds) == 2 and kinds[1] is ...:
            kinds = (kinds[0],) * len(value)
        if len(kinds) != len(value):
            return self.complain("CONFIG-VALUE", path, f"has to be a list of {len(kinds)}", value)
        return tuple(
            self.read(kind, item, f"{path}[{index}]") for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )

    def _in_range(self, value: Any, allowed: Range, path: str) -> Any:
        if value is not None and not allowed.least <= value <= allowed.most:
            self.complain("CONFIG-VALUE", path, f"has to be {allowed}", value)
        return value
