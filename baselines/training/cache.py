"""What is computed once of the files of a data set: pictures, decoded and resized, and a digest of the bytes.

Decoding a photograph at each access is what starves a GPU, so pictures are kept uncompressed in one memory-mapped file. What is
kept is found by the recipe that made it, and the name, size and modification time of every file: another recipe or a changed
file gives another cache, but bytes exchanged behind the same size and time go unseen. All of it may be deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from baselines.core.files import sha256_of, stamp_of
from baselines.core.findings import Finding, Findings, Severity, printable
from baselines.core.images import map_parallel
from baselines.core.outputs import write_atomic

Picture = NDArray[np.uint8]

INDEX, PICTURES = "index.json", "pictures.bin"
DAY = 24 * 3600.0  # whoever is alive has written something within one

_Read = TypeVar("_Read")
_PARTIAL = f"partial-{platform.node()}"  # and a random end: a folder that this machine fills
_filling: set[str] = set()  # those that this process fills: a lock doesn't stop who holds it


class PictureCache:
    """Pictures by id, each an ``(H, W, C) uint8`` view into a memory-mapped file.

    Args:
        folder: Folder of the finished cache, with ``pictures.bin`` and ``index.json``.
    """

    def __init__(self, folder: Path) -> None:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        self.folder = folder
        self._places: dict[str, tuple[int, tuple[int, int, int]]] = {
            key: (offset, tuple(shape)) for key, (offset, shape) in index.items()
        }
        self._bytes = np.memmap(folder / PICTURES, dtype=np.uint8, mode="r")

    def __getitem__(self, key: str) -> Picture:
        """Return a picture; it is read-only and reads from the disk only what is touched."""
        offset, shape = self._places[key]
        return self._bytes[offset : offset + int(np.prod(shape))].reshape(shape)

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return len(self._places)

    def __reduce__(self) -> tuple[type[PictureCache], tuple[Path]]:
        """Pickle as the folder's name, so that a loader's worker maps the file itself instead of getting a copy."""
        return PictureCache, (self.folder,)


def cached_pictures(
    root: Path, files: Mapping[str, Path], recipe: str, prepare: Callable[[Path], Picture], workers: int = 4
) -> PictureCache:
    """Open the cache of these files, and make it first where it doesn't exist.

    Args:
        root: Folder of all caches.
        files: Image files by id.
        recipe: Says everything that ``prepare`` depends on; a part of the cache's key.
        prepare: Reads a file and returns its picture ``(H, W, C) uint8``; runs in threads.
        workers: Number of threads.

    Raises:
        baselines.core.findings.InvalidInput: With a finding for every image that can't be read or decoded.
    """
    folder = root / f"pictures-{_key(files, recipe)}"
    _remove_abandoned(root)
    if not (folder / INDEX).exists():
        root.mkdir(parents=True, exist_ok=True)
        # Made under another name and renamed: a killed job leaves no half cache, and two jobs can't mix theirs.
        with _partial_folder(root) as (partial, out):
            _fill(partial, out, files, prepare, workers)
            try:
                partial.rename(folder)
            except OSError:
                if not (folder / INDEX).exists():
                    raise
    return PictureCache(folder)


def content_hash(root: Path, files: Mapping[str, Path], workers: int = 4) -> str:
    """Return the SHA-256 of files' names and bytes, wherever they lie; it is kept beside the caches, and found by the same key.

    So files are read once, and again when the path, size or modification time of one has changed; other bytes behind the same
    three go unseen. Where the digest can't be kept, they are read each time.

    Args:
        root: Folder of all caches.
        files: Files by the name that stands for each.
        workers: Number of threads.

    Raises:
        baselines.core.findings.InvalidInput: With a finding for every file that can't be read.
    """
    place = root / f"content-{_key(files, 'content')}.sha256"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if re.fullmatch("[0-9a-f]{64}", kept := place.read_text(encoding="ascii")):
            return kept
    digest, findings = hashlib.sha256(), Findings()
    hashes = map_parallel(lambda name: _try_read(sha256_of, files[name]), sorted(files), workers, "hashing", len(files))
    for name, found in hashes:
        if isinstance(found, Finding):
            findings.add(found)
        else:
            digest.update(f"{name}\t{found}\n".encode("utf-8", "surrogatepass"))
    findings.raise_errors()
    with contextlib.suppress(OSError):  # a cache that others have filled may be read-only
        root.mkdir(parents=True, exist_ok=True)
        write_atomic(place, digest.hexdigest())
    return digest.hexdigest()


def decode_rgb(path: Path, long_side: int | None = None) -> Picture:
    """Decode an image to ``(H, W, 3) uint8 RGB`` without EXIF rotation, its longer side reduced to ``long_side`` at most.

    JPEG files are decoded at the nearest power of two that is large enough, which skips most of the work.
    """
    with Image.open(path) as image:
        width, height = image.size
        scale = min(1.0, long_side / max(width, height)) if long_side else 1.0
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if scale < 1:
            image.draft("RGB", (2 * size[0], 2 * size[1]))
        picture = image.convert("RGB")
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
        return np.asarray(picture)


def _key(files: Mapping[str, Path], recipe: str) -> str:
    digest, findings = hashlib.sha256(recipe.encode()), Findings()
    for key in sorted(files):
        stamp = _try_read(stamp_of, files[key])
        if isinstance(stamp, Finding):
            findings.add(stamp)
        else:
            digest.update(f"\n{key}\t{stamp}".encode("utf-8", "surrogatepass"))
    findings.raise_errors()
    return digest.hexdigest()[:20]


@contextlib.contextmanager
def _partial_folder(root: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Make a folder to fill, and the file for its pictures; what is not renamed by then is removed.

    The file is locked as long as it is open. The operating system gives up the lock however the process ends, and forked loader
    processes don't inherit it.
    """
    partial = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}-", dir=root))
    _filling.add(partial.name)
    try:
        with (partial / "new").open("wb") as out:
            with contextlib.suppress(OSError):  # of a file system without locks, where nobody can tell what is abandoned
                fcntl.lockf(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (partial / "new").rename(partial / PICTURES)  # locked before anybody looks for it
            yield partial, out
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _filling.discard(partial.name)


def _remove_abandoned(root: Path) -> None:
    """Remove what killed processes were filling."""
    for partial in root.glob("partial-*"):
        if _is_abandoned(partial):
            shutil.rmtree(partial, ignore_errors=True)


def _is_abandoned(partial: Path) -> bool:
    """Whether no process fills a folder any more: the lock is free, and was taken on this machine.

    Some file systems keep the locks of each machine to themselves. There a folder of another one also has to be a day old.
    """
    if partial.name in _filling:  # opening and closing its file here would give up the lock
        return False
    try:
        with (partial / PICTURES).open("r+b") as pictures:
            fcntl.lockf(pictures, fcntl.LOCK_EX | fcntl.LOCK_NB)
            age = time.time() - os.fstat(pictures.fileno()).st_mtime
    except OSError:  # locked, not locked yet, or another user's
        return False
    return partial.name.rpartition("-")[0] == _PARTIAL or age > DAY


def _fill(folder: Path, out: BinaryIO, files: Mapping[str, Path], prepare: Callable[[Path], Picture], workers: int) -> None:
    index: dict[str, tuple[int, tuple[int, ...]]] = {}
    findings = Findings()
    offset = 0
    for key, picture in map_parallel(lambda key: _try_read(prepare, files[key]), files, workers, "decoding", len(files)):
        if isinstance(picture, Finding):
            findings.add(picture)
            continue
        index[key] = (offset, picture.shape)
        offset += out.write(np.ascontiguousarray(picture).data)
    out.flush()
    os.fsync(out.fileno())
    findings.raise_errors()
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _try_read(read: Callable[[Path], _Read], path: Path) -> _Read | Finding:
    try:
        return read(path)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)  # the path is told before it
        hint = "copy the file again, or leave it out of the data set"
        # Printable: status.json tells the finding, and takes UTF-8 alone.
        message = f"can't be read: {printable(reason)}"
        return Finding("DATA-FILE-UNREADABLE", Severity.ERROR, message, file=str(path), hint=hint)
