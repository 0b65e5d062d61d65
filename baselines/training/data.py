"""The base of the tasks' data modules: which sample at which step, and the loaders.

Training is counted in optimisation steps. What a step sees is a pure function of the seed and the step, so that a run that was
killed and started again sees exactly what an uninterrupted one sees, whatever the number of loader processes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from baselines.core.config import Config
from baselines.core.findings import DistinctFindings, Findings, invalid
from baselines.core.paths import cache_dir
from baselines.core.tasks import get_task
from baselines.training.cache import content_hash


class Draw(NamedTuple):
    """A training sample to fetch: its index, and the seed of its augmentation, another one in every epoch."""

    index: int  # type: ignore[assignment]  # a tuple has a method of this name, which nobody needs here
    seed: int


class Split(Protocol):
    """Samples and, where the split is labelled, their truth; what a task's ``records.read_split`` returns."""

    @property
    def samples(self) -> Sequence[Any]:
        """The samples, each with an ``id``."""
        raise NotImplementedError

    @property
    def truth_set(self) -> Any:
        """Their truth."""
        raise NotImplementedError


class StepBatches(Sampler[list[Draw]]):
    """The batches of one process from a given step on.

    The samples of all epochs form one endless sequence, each epoch a permutation seeded by (seed, epoch). Step ``s`` of
    process ``r`` of ``R`` takes the ``batch_size`` places from ``(s * R + r) * batch_size`` on; a batch may reach into the
    next epoch, so that no sample is left out and every batch has the same size.

    Args:
        count: Number of samples, at least 1.
        batch_size: Samples per batch and process.
        batches: Batches of the whole training, from step 0.
        seed: Seed of the run.
        first: The batch to start with.
        rank: Index of this process.
        world_size: Number of processes.
    """

    def __init__(
        self, count: int, batch_size: int, batches: int, seed: int, first: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.count, self.batch_size, self.batches, self.seed = count, batch_size, batches, seed
        self.first, self.rank, self.world_size = first, rank, world_size
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return the batches of the whole training: Lightning counts those before ``first`` as done."""
        return self.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the remaining batches."""
        for batch in range(self.first, self.batches):
            start = (batch * self.world_size + self.rank) * self.batch_size
            yield [self.draw(place) for place in range(start, start + self.batch_size)]

    def draw(self, place: int) -> Draw:
        """Return the draw at a place of the endless sequence."""
        epoch, position = divmod(place, self.count)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, epoch)).permutation(self.count)
        index = int(self._order[position])
        return Draw(index, int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1)[0]))


class ValidationBatches(Sampler[list[int]]):
    """The batches of the validation set that one process evaluates; every sample is one process's.

    Every process gets equally many batches, as collective operations need it: one that would have fewer gets the first sample
    again, in a last batch that is not to be counted.

    Args:
        count: Number of samples.
        batch_size: Samples per batch.
        rank: Index of this process.
        world_size: Number of processes.

    Attributes:
        counted: How many batches, from the first, are to be counted.

    >>> [(list(batches), batches.counted) for batches in (ValidationBatches(5, 2, rank, 4) for rank in (0, 3))]
    [([[0, 4]], 1), ([[3]], 1)]
    >>> batches = ValidationBatches(5, 2, rank=1, world_size=2)
    >>> list(batches), batches.counted
    ([[1, 3], [0]], 1)
    """

    def __init__(self, count: int, batch_size: int, rank: int, world_size: int) -> None:
        own, most = range(rank, count, world_size), range(0, count, world_size)
        self._batches = [list(own[first : first + batch_size]) for first in range(0, len(own), batch_size)]
        self.counted = len(self._batches)
        self._batches += [[0]] * (-(-len(most) // batch_size) - self.counted)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches."""
        yield from self._batches


def padded_shard(count: int, rank: int, world_size: int) -> list[int]:
    """Return the sample indices one process predicts.

    Every process gets equally many, at least one; the first samples fill up the last round. Predictions are merged by id, where
    such duplicates fall away.

    >>> padded_shard(5, rank=1, world_size=2)
    [1, 3, 0]
    """
    total = -(-count // world_size) * world_size
    return [place % count for place in range(rank, total, world_size)]


def one_thread(_worker: int) -> None:
    """Keep a loader process to one thread: the processes are the parallelism."""
    torch.set_num_threads(1)


class BaselineDataModule(LightningDataModule):
    """Splits, data sets and loaders of a run.

    A subclass sets :attr:`classes` and :attr:`data_hash` in its constructor and provides the methods that raise
    ``NotImplementedError`` here.

    Args:
        config: The run's configuration.

    Attributes:
        classes: Class names by campaign id, as the data has them; empty for tasks without classes.
        findings: What the readers of the splits tolerated, each told once.
        data_hash: Digest of ids, truth and division of the training and held-out samples; of image and volume files it covers
            no bytes, as :attr:`files_hash` does.
        predict_split: The split that the prediction loader gives.
        predicts_only: Whether the module serves a trained model: then there may be no training set.
    """

    classes: Mapping[int, str]
    data_hash: str
    predict_split: str = "val"
    predicts_only: bool = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.findings = DistinctFindings()
        self._read_already: dict[Hashable, Any] = {}

    def split(self, name: str) -> Any:
        """Return a :class:`Split` by its name (``train``, ``val`` or another of the task card's), as the task's reader has it.

        Raises:
            InvalidInput: If it can't be read.
        """
        config, data = self.config, self.config.data
        reader = get_task(config.task).module("records").read_split
        options = {"split_seed": data.split_seed, "val_share": data.val_share}
        return self.read_once(name, lambda findings: reader(Path(data.root), config.task, name, findings, **options))

    def require_samples(self, *names: str) -> None:
        """Refuse to go on with a split that has no samples.

        Raises:
            InvalidInput: If one of the splits has none.
        """
        hint = "" if self.predicts_only else "see data.val_share"
        for name in names:
            if not self.split(name).samples:
                raise invalid("DATA-EMPTY", f"the {name} split has no samples", file=self.config.data.root, hint=hint)

    def read_once(self, key: Hashable, read: Callable[[Findings], Any]) -> Any:
        """Return what ``read`` gave at the first call with this key; what it tolerated is then in :attr:`findings`.

        Raises:
            InvalidInput: If it found errors.
        """
        if key not in self._read_already:
            findings = Findings(pass_on=self.findings.add)
            value = read(findings)
            findings.raise_errors()
            self._read_already[key] = value
        return self._read_already[key]

    def sources(self, split: str) -> Mapping[str, Path]:
        """Return by name the files that a split's samples are decoded from: the image by id, where samples have one."""
        return {sample.id: sample.image for sample in self.split(split).samples if hasattr(sample, "image")}

    @cached_property
    def files_hash(self) -> str:
        """Digest of names and bytes of all :meth:`sources` of the training and the held-out samples; empty if there are none.

        With the same one and the same :attr:`data_hash`, two runs saw the same data. The files are read for it once, so what
        doesn't train should not ask; bytes exchanged later go unseen where path, size and modification time stay.

        Raises:
            InvalidInput: With a finding for every file that can't be read.
        """
        splits = {name: self.sources(name) for name in ("train", "val")}
        files = {f"{name}/{key}": path for name, sources in splits.items() for key, path in sources.items()}
        return content_hash(cache_dir(self.config), files) if files else ""

    def truths_of(self, task: str, split: str) -> Any:
        """Return the truth set of a split for a task that the fit of this one serves too (``TaskCard.fitted_by``)."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Fill the caches of the data sets to come, on one process of the machine."""
        for name in (self.predict_split,) if self.predicts_only else ("train", "val"):
            self.predict_dataset(name)

    def train_dataset(self) -> Dataset[Any]:
        """Return the training set; its ``__getitem__`` takes a :class:`Draw` and augments by ``draw.seed`` alone."""
        raise NotImplementedError

    def val_dataset(self) -> Dataset[Any]:
        """Return the validation set; its ``__getitem__`` takes an index."""
        return self.predict_dataset("val")

    def predict_dataset(self, split: str) -> Dataset[Any]:
        """Return the data set of a split without augmentation; its ``__getitem__`` takes an index."""
        raise NotImplementedError

    def collate(self, items: list[Any]) -> Any:
        """Make a batch of what the data sets return; it has the ids of its samples under ``"ids"``."""
        raise NotImplementedError

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the remaining training batches, from the trainer's current step on."""
        dataset, accumulate = self.train_dataset(), self.config.trainer.accumulate
        rank, world_size = self._process()
        batches = StepBatches(
            len(dataset),  # type: ignore[arg-type]
            self.config.data.batch_size,
            self.config.trainer.max_steps * accumulate,
            self.config.seed,
            first=self.trainer.global_step * accumulate if self.trainer else 0,
            rank=rank,
            world_size=world_size,
        )
        return DataLoader(dataset, batch_sampler=batches, **self._loading())

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the validation set."""
        dataset = self.val_dataset()
        batches = ValidationBatches(len(dataset), self.config.data.eval_batch_size, *self._process())  # type: ignore[arg-type]
        return DataLoader(dataset, batch_sampler=batches, **self._loading())

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the split to predict."""
        dataset = self.predict_dataset(self.predict_split)
        shard = padded_shard(len(dataset), *self._process())  # type: ignore[arg-type]
        return DataLoader(dataset, batch_size=self.config.data.eval_batch_size, sampler=shard, **self._loading())

    def loader(self, dataset: Dataset[Any]) -> DataLoader[Any]:
        """Return the loader of a whole data set in its order, on one process, for :meth:`BaselineModule.calibrate`."""
        return DataLoader(dataset, batch_size=self.config.data.eval_batch_size, **self._loading())

    def _process(self) -> tuple[int, int]:
        """Return the index of this process, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loading(self) -> dict[str, Any]:
        workers = self.config.data.workers
        return {
            "collate_fn": self.collate,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": torch.cuda.is_available() and self.config.trainer.accelerator != "cpu",
            "worker_init_fn": one_thread,
            # Loaders draw a base seed from the global generator otherwise, which a resume would see shifted.
            "generator": torch.Generator().manual_seed(self.config.seed),
        }
