"""What the generators of sample data sets share: whole folders or none, nothing foreign replaced, work spread over threads."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from baselines.core.findings import Finding, Findings, Severity, UsageError

MARKER = "sample.json"  # in every generated folder; says how it was made

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def write_sample_sets(family: Path, names: Sequence[str], request: Mapping[str, Any], write: Callable[[Path], object]) -> None:
    """Write generated folders below a family's folder, whole or not at all.

    The same request again changes nothing; another one replaces what an earlier one wrote.

    Args:
        family: The family's folder in the data root; made where it is missing.
        names: The folders that ``write`` makes.
        request: What decides the bytes: size, seed and version of the generator. It goes into each folder's marker.
        write: Makes the folders below the empty one that it is given.

    Raises:
        UsageError: If ``size`` of the request is less than 1 or its ``seed`` is negative.
        InvalidInput: If one of the folders exists and was not generated; it lists all.
    """
    if request["size"] < 1 or request["seed"] < 0:
        what = f"saw size {request['size']}, seed {request['seed']}"
        raise UsageError(f"a sample needs a size of at least 1 and a seed of at least 0 ({what})")
    _refuse_foreign([family / name for name in names])
    if all(_read_marker(family / name) == request for name in names):
        return
    family.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sample-", dir=family) as temporary:
        fresh, old = Path(temporary) / "new", Path(temporary) / "old"
        fresh.mkdir()
        old.mkdir()
        write(fresh)
        for name in names:
            (fresh / name / MARKER).write_text(json.dumps(request, indent=1) + "\n", encoding="utf-8")
            if (family / name).exists():
                os.replace(family / name, old / name)
            os.replace(fresh / name, family / name)


def spread(jobs: Sequence[_Job], work: Callable[[_Job], _Result], title: str, threads: int = 4) -> list[_Result]:
    """Return ``work(job)`` of all jobs in their order, done in threads; shows a bar while a person waits at a terminal."""
    console = Console(stderr=True)
    with ThreadPoolExecutor(min(threads, os.cpu_count() or 1)) as pool:
        results = pool.map(work, jobs)
        return list(track(results, title, len(jobs), console=console, transient=True, disable=not console.is_terminal))


def is_sample(folder: Path, root: Path) -> bool:
    """Whether a folder lies in a generated sample: it, or one above it up to the data root, has the marker."""
    places = (place for place in (folder, *folder.parents) if place.is_relative_to(root))
    return any(_read_marker(place) is not None for place in places)


def _read_marker(folder: Path) -> dict[str, Any] | None:
    """Return what the marker of a generated folder says; ``None`` where there is none or it can't be read."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and "version" in marker else None


def _refuse_foreign(folders: Sequence[Path]) -> None:
    Findings(
        Finding(
            "SAMPLE-FOREIGN-DATA",
            Severity.ERROR,
            "this folder exists and holds no generated sample, so it is left alone",
            file=str(folder),
            hint="write the sample to another folder, or move this one away",
        )
        for folder in folders
        if folder.exists() and _read_marker(folder) is None
    ).raise_errors()
