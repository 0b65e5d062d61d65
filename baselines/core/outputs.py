"""Files to write: whole or not at all, into folders that are there, and over nothing that is read."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from baselines.core.findings import Finding, Findings, Severity, UsageError

STDOUT = Path("/dev/stdout")  # as a file to write: the process's own standard output, whatever ``sys.stdout`` is meanwhile


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file under a temporary name, make sure it is on the disk, and rename it to ``path``.

    A reader, and a job that was killed and started again, sees the old file or the new one, never a part. A link stays a link,
    a file keeps its permissions, and what is no file (a device, a pipe) is written to as it is.

    Args:
        path: The file to make or replace; its folder is made too.
        write: Gets the temporary path to write to.
    """
    if path.is_dir():  # "." has no name to write beside
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path == STDOUT or (path.exists() and not path.is_file()):
        _write_through(path, write)
        return
    final = path.resolve() if path.is_symlink() else path
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if final.is_file():
            shutil.copymode(final, temporary)
        os.replace(temporary, final)
    except OSError as error:
        if error.filename is not None:
            error.filename, error.filename2 = str(path), None  # the temporary name tells the user nothing
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _write_through(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file elsewhere, and copy its bytes to a device or a pipe, which must not be replaced."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "file"
        write(temporary)
        # Opened by its name, standard output would lose what a file it is appended to holds.
        with temporary.open("rb") as source, os.fdopen(os.dup(1), "wb") if path == STDOUT else path.open("wb") as target:
            shutil.copyfileobj(source, target)


def write_atomic(path: Path, content: bytes | str) -> None:
    r"""Write a file whole or not at all; see :func:`write_atomically`.

    Args:
        path: The file to make or replace; its folder is made too.
        content: Bytes, or text that is written as UTF-8 without changing its line ends. What stands for a byte of a file name
            that is not UTF-8, a lone surrogate, is escaped (``\udcff``), which in JSON gives the same text when it is read.
    """
    data = content.encode("utf-8", errors="backslashreplace") if isinstance(content, str) else content
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def write_json_atomic(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    Raises:
        ValueError: If the value holds NaN or an infinity, which JSON doesn't have.
    """
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def check_outputs(inputs: Iterable[tuple[str, Path | None]], outputs: Iterable[tuple[str, Path | None]]) -> None:
    """Make sure, before anything is read or written, that files can be written: into folders that are there, over no input.

    Args:
        inputs: What the user calls each file to read, such as ``--truth``, and the file; ``None`` where it isn't given.
        outputs: The same of the files to write.

    Raises:
        InvalidInput: If the folder of a file to write is missing, or takes no files: a misspelt one is not made.
        UsageError: If two names, links followed, lead to one file.
    """
    given = [(name, path) for name, path in outputs if path is not None]
    taken = [(name, path) for name, path in inputs if path is not None]
    for name, path in given:
        other = next((label for label, each in taken if _is_same_file(path, each)), None)
        if other is not None:
            raise UsageError(f"{name} would overwrite {other}, they are the same file: {path}; name another file to write")
        taken.append((name, path))
    Findings(finding for name, path in given for finding in _why_unwritable(name, path)).raise_errors()


def _why_unwritable(name: str, path: Path) -> Iterator[Finding]:
    """Say what stands in the way of a file to write, if anything does."""

    def told(place: Path, message: str, hint: str) -> Finding:
        return Finding("OUTPUT-PATH", Severity.ERROR, f"{name} {message}", str(place), hint=hint)

    if path == STDOUT:
        return
    folder = path.resolve().parent if path.is_symlink() else path.parent
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if path.is_dir():
        yield told(path, "needs a file, and this is a folder", "name a file in it")
    elif not there.is_dir():
        yield told(there, "needs a folder here, and this is a file", "check the path")
    elif there != folder:
        yield told(folder, "needs this folder, and there is none", "make it, or check the path")
    elif not os.access(folder, os.W_OK) and (path.is_file() or not path.exists()):  # into devices one writes as they are
        yield told(folder, "needs a folder that can be written to", "check its permissions, or name another")


def refuse_within(folder: Path, outputs: Iterable[tuple[str, Path | None]]) -> None:
    """Make sure that no file to write replaces one that is in a folder whose files are read.

    Raises:
        UsageError: If one does.
    """
    for name, path in outputs:
        if path is not None and path.exists() and path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{name} would overwrite a file of {folder}, which is read: {path}; name another file to write")


def _is_same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which needn't exist; links of both kinds are seen through."""
    try:
        return os.path.realpath(path) == os.path.realpath(other) or path.samefile(other)
    except (OSError, ValueError):
        return False  # one of them doesn't exist, or can't: reading or writing it says why
