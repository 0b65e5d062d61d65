"""Arrays prepared once by worker processes, each kept uncompressed in a file of its own and mapped into memory.

For what takes seconds to prepare, such as a CT volume. An array is keyed by content: by the recipe, and by name, size and
modification time of the files it is made of. Whatever is finished stays, so an interrupted preparation goes on where it was,
and a new or changed file costs its own preparation alone. An item that fails, or takes its process with it, doesn't stop the
others.

This module must not import torch: the worker processes import it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from baselines.core.files import stamp_of
from baselines.core.outputs import write_atomically, write_json_atomic
from baselines.core.report import draws_bars
from baselines.training.cache import DAY

Files = tuple[Path, ...]
Facts = dict[str, Any]
Made = tuple[NDArray[Any] | None, Facts]  # an array, or none if the files are of no use, and what there is to say about it
Prepare = Callable[[Files], Made]

ERROR = "error"  # the fact that says why there is no array
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ArrayCache:
    """Arrays by id, each mapped into memory read-only when it is asked for.

    Args:
        places: The file of each array.
        facts: What was found out about each item, as JSON; ``error`` in it means that there is no array.
    """

    def __init__(self, places: Mapping[str, Path], facts: Mapping[str, Facts]) -> None:
        self._places, self.facts = places, facts

    def __getitem__(self, key: str) -> NDArray[Any]:
        """Return an array; only what is touched is read from the disk."""
        return np.load(self._places[key], mmap_mode="r", allow_pickle=False)

    def __contains__(self, key: object) -> bool:
        """Whether there is an array of this id."""
        return key in self.facts and ERROR not in self.facts[str(key)]


def cached_arrays(
    root: Path, items: Mapping[str, Files], recipe: str, prepare: Prepare, *, workers: int = 1, progress: str = "auto"
) -> ArrayCache:
    """Open the arrays of these items, and prepare first what is missing.

    Args:
        root: Folder of all caches.
        items: By id the files that each array is made of.
        recipe: Says everything that ``prepare`` depends on besides the files.
        prepare: Makes an array of an item's files; a function of a module, or a ``partial`` of one, since worker processes
            import it. What it raises is taken for a passing failure and tried again at the next start.
        workers: Number of processes; with 0 this one does it.
        progress: As ``trainer.progress``: ``none`` shows nothing.
    """
    folder = root / f"arrays-{hashlib.sha256(recipe.encode()).hexdigest()[:20]}"
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    places: dict[str, Path] = {}
    facts: dict[str, Facts] = {}
    for key, files in items.items():
        try:
            places[key] = folder / f"{_digest(files)}.npy"
        except (OSError, ValueError) as error:  # a file that is gone, or has a name that no file can have
            facts[key] = _failed(error)
    facts |= {key: found for key, place in places.items() if (found := _read_facts(place)) is not None}
    missing = [key for key in items if key not in facts]
    results = _results(partial(_make, prepare), {key: (items[key], places[key]) for key in missing}, workers)
    facts.update(_shown(results, len(missing), progress))
    return ArrayCache(places, facts)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes were writing: an array is written in seconds, so a day is far too long for a living one."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):  # another process was faster, or it is another user's
            if time.time() - path.stat().st_mtime > DAY:
                path.unlink()


def _digest(files: Files) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{stamp_of(path)}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def _facts_of(place: Path) -> Path:
    return place.with_suffix(".json")


def _read_facts(place: Path) -> Facts | None:
    """Return the facts that end a finished preparation; ``None`` without them, or without the array they tell of."""
    try:
        facts = json.loads(_facts_of(place).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and (ERROR in facts or place.exists()) else None


def _make(prepare: Prepare, job: tuple[Files, Path]) -> Facts:
    """Prepare one item and write it: the array first, then the facts, which say that it is complete."""
    files, place = job
    try:
        array, facts = prepare(files)
    except Exception as error:  # noqa: BLE001  one item must not stop the others
        return _failed(error)
    if array is not None:
        write_atomically(place, lambda temporary: _save(temporary, array))
    write_json_atomic(_facts_of(place), facts)
    return facts


def _failed(error: Exception) -> Facts:
    return {ERROR: f"{type(error).__name__}: {error}"}


def _save(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:  # given a path, NumPy would append .npy to its name
        np.save(file, array, allow_pickle=False)


def _results(
    make: Callable[[tuple[Files, Path]], Facts], jobs: Mapping[str, tuple[Files, Path]], workers: int
) -> Iterator[tuple[str, Facts]]:
    """Yield the facts of each job as they come.

    When a process dies, nobody knows of which item. Then one process goes on alone, in order, until it dies of an item, which
    is given up, or all are done.
    """
    if workers == 0:
        yield from ((key, make(job)) for key, job in jobs.items())
        return
    waiting, size = list(jobs), workers
    while waiting:
        with _pool(min(size, len(waiting))) as pool:
            futures = {pool.submit(make, jobs[key]): key for key in waiting}
            with contextlib.suppress(BrokenProcessPool):
                for future in as_completed(futures):
                    facts = future.result()
                    waiting.remove(futures[future])
                    yield futures[future], facts
        if waiting and size == 1:
            yield waiting.pop(0), {ERROR: "the process that prepared it ended; did it run out of memory?"}
        size = workers if size == 1 else 1


@contextlib.contextmanager
def _pool(size: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes, not forks, whose memory would be this one's, with a thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # NumPy reads them when it is imported
    pool = ProcessPoolExecutor(
        size, multiprocessing.get_context("spawn"), initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _shown(results: Iterator[tuple[str, Facts]], total: int, progress: str) -> Iterator[tuple[str, Facts]]:
    """Show how far it is: a bar on a terminal, some ten lines in a file."""
    if progress == "auto":
        progress = "bar" if draws_bars() else "lines"
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if progress == "bar" and total:
        yield from track(results, "preparing", total, console=console, transient=True)
        return
    for done, result in enumerate(results, start=1):
        yield result
        if progress == "lines" and (done == total or done * 10 // total > (done - 1) * 10 // total):
            console.print(f"prepared {done} of {total}", markup=False)


def peak_bytes() -> int | None:
    """Return the most memory that this process has held; ``None`` where the system doesn't say so."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return None


def measured(prepare: Prepare, files: Files) -> Made:
    """Prepare an item, and add to the facts the most memory that the process has held so far, as ``peak_bytes``."""
    array, facts = prepare(files)
    return array, facts | {"peak_bytes": peak_bytes()}


def original_arrays(
    root: Path, items: Mapping[str, Files], recipe: str, prepare: Prepare, *, workers: int = 1, progress: str = "auto"
) -> OriginalArrays:
    """Take the place of :func:`cached_arrays`, to compare with: every access prepares anew, what the cache says is known."""
    return OriginalArrays(items, prepare, cached_arrays(root, items, recipe, prepare, workers=workers, progress=progress).facts)


class OriginalArrays:
    """Arrays by id like those of an :class:`ArrayCache`, but prepared at each access.

    Args:
        items: By id the files that each array is made of.
        prepare: As :func:`cached_arrays` has it.
        facts: As an :class:`ArrayCache` has them.
    """

    def __init__(self, items: Mapping[str, Files], prepare: Prepare, facts: Mapping[str, Facts]) -> None:
        self.items, self.prepare, self.facts = items, prepare, facts

    def __contains__(self, key: object) -> bool:
        """Whether there is an array of this id."""
        return key in self.facts and ERROR not in self.facts[str(key)]

    def __getitem__(self, key: str) -> NDArray[Any]:
        """Prepare an array."""
        array, facts = self.prepare(self.items[key])
        if array is None:
            raise ValueError(f"{key}: {facts[ERROR]}")
        return array
