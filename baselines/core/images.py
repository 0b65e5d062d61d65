"""What a check has to know of every image file: read once, in parallel, remembered on the disk.

A large data set takes minutes to read. What is found of a file is kept, keyed by its path, size and time of change, so that a
check that was interrupted goes on where it stopped, and a second check takes seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from baselines.core.files import Report, stamp_of
from baselines.core.report import draws_bars

MAX_FILE_BYTES = 512 * 2**20  # read as a whole, by several threads
MAX_PIXELS = 89_478_485  # Pillow's own limit, behind which it suspects a decompression bomb
EXIF_ORIENTATION = 0x0112
HASH_SIDE = 16  # of the difference hash; its square is the number of bits
MAX_PARTNERS = 50  # images that one is told to look like: 10,000 that are all alike are 50 million pairs
DECODED_SIDE = 256  # least shorter side to decode a JPEG file at; hashes and spread need no more
LINES_EVERY = 1000  # files between two lines of progress where the output is no terminal

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image file says of itself: width and height in pixels as stored, and the EXIF orientation, 1 if upright."""

    width: int
    height: int
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def read_header(path: Path) -> ImageHeader:
    """Read an image file's header alone; nothing is decoded.

    Raises:
        OSError: If the file is missing, or is no image.
    """
    with warnings.catch_warnings(action="ignore"):  # Pillow warns of corrupt EXIF data and of very large images
        try:
            with Image.open(path) as image:
                return ImageHeader(*image.size, _orientation(image))
        except OSError:
            raise
        except Exception as error:  # whatever a decoder stumbles over in a broken file
            raise OSError(f"not a readable image: {error}") from error


# Rule, which is a code without what it starts with, and message of the findings about an image that can't be used.
PROBLEMS = {
    "empty": ("FILE-EMPTY", "the file has 0 bytes"),
    "unreadable": ("FILE-UNREADABLE", "can't be decoded"),
    "truncated": ("IMAGE-TRUNCATED", "the image's data end early"),
    "huge": ("IMAGE-HUGE", "the image has more pixels, or bytes, than is safe to read"),
}


def why_unreadable(path: Path, error: OSError) -> tuple[str, str]:
    """Return rule and message of a finding that :func:`read_header` failed, as in :data:`PROBLEMS`."""
    if isinstance(error.__cause__, Image.DecompressionBombError):
        return PROBLEMS["huge"]
    if path.is_file() and not path.stat().st_size:
        return PROBLEMS["empty"]
    return PROBLEMS["unreadable"][0], str(error)[:80]


def report_rotation(header: ImageHeader, report: Report, *, id: str, line: int | None = None) -> None:  # noqa: A002  as findings call it
    """Warn of an image whose EXIF data ask for a rotation: annotations are in the coordinates of the stored pixels."""
    if header.orientation != 1:
        what = "the image's EXIF data ask for a rotation, which is not done"
        report.warning("IMAGE-EXIF", what, line=line, id=id, value=f"orientation {header.orientation}")


def _orientation(image: Image.Image) -> int:
    exif = image.getexif() if "exif" in image.info else {}  # without the test, a PNG would be decoded
    return int(exif.get(EXIF_ORIENTATION, 1) or 1)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image file.

    Attributes:
        problem: Why it can't be used, a key of :data:`PROBLEMS`; ``""`` if it can.
        detail: What the decoder said about the problem.
        format: Its format by content, in Pillow's names, such as ``JPEG``.
        mode: Its colour mode, in Pillow's names, such as ``RGB`` or ``L``.
        width: Width in pixels as stored, without EXIF rotation.
        height: Height in pixels.
        orientation: EXIF orientation; 1 is upright.
        file_hash: BLAKE2b of its bytes, in hexadecimal.
        pixel_hash: BLAKE2b of its pixels, those of a large JPEG file decoded at a reduced size.
        difference_hash: 256 bits in hexadecimal, equal in most bits for images that look alike: whether each of 16×16 cells
            is darker than its right neighbour (Krawetz 2013, "Kind of like that").
        spread: Standard deviation of the grey values, 0 to 127.5; an image of one colour has 0.
    """

    problem: str = ""
    detail: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 1
    file_hash: str = ""
    pixel_hash: str = ""
    difference_hash: str = ""
    spread: float = 0.0


def examine_image(path: Path) -> ImageFacts:
    """Read an image file and return what is known of it; whatever is wrong with it is in ``problem``, nothing is raised."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return ImageFacts(problem="huge", detail=f"{path.stat().st_size:,} bytes")
        data = path.read_bytes()
    except OSError as error:
        return ImageFacts(problem="unreadable", detail=error.strerror or type(error).__name__)
    if not data:
        return ImageFacts(problem="empty")
    known: dict[str, Any] = {"file_hash": _digest(data)}
    with warnings.catch_warnings(action="ignore"):  # Pillow warns of corrupt EXIF data and of very large images
        try:
            with Image.open(path) as image:
                known |= {"format": image.format or "", "mode": image.mode, "width": image.width, "height": image.height}
                known["orientation"] = _orientation(image)
                if image.width * image.height > MAX_PIXELS:
                    return ImageFacts(**known, problem="huge", detail=f"{image.width}×{image.height} pixels")
                image.draft(image.mode, (DECODED_SIDE, DECODED_SIDE))
                known |= _look(image)
        except Image.DecompressionBombError as error:
            return ImageFacts(**known, problem="huge", detail=str(error)[:80])
        except Exception as error:  # noqa: BLE001  whatever a decoder stumbles over in a broken file
            problem = "truncated" if "truncated" in str(error) or isinstance(error, EOFError) else "unreadable"
            return ImageFacts(**known, problem=problem, detail=str(error)[:80] or type(error).__name__)
    return ImageFacts(**known)


def _look(image: Image.Image) -> dict[str, Any]:
    """Decode an image; return its hashes and its spread."""
    pixels = np.asarray(image)
    grey = image.convert("L")
    small = np.asarray(grey.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX), np.int16)
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    return {
        "pixel_hash": _digest(f"{image.mode}{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()),
        "difference_hash": bits.tobytes().hex(),
        "spread": round(float(np.asarray(grey).std()), 3),
    }


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def near_pairs(hashes: NDArray[np.uint64], distance: int, block: int = 512, most: int = MAX_PARTNERS) -> NDArray[np.int64]:
    """Return the pairs of hashes that differ in few bits.

    All pairs are compared, in blocks: 10,000 hashes of 256 bits take about a second, and time grows with the square.

    Args:
        hashes: ``(N, W) uint64``, a hash of 64·W bits a row.
        distance: Most bits that may differ.
        block: Rows compared at a time; memory is ``block × N × W × 8`` bytes.
        most: Pairs of a hash with those behind it, the nearest in order. Of many that are all alike, each still is in a pair
            with the next one, and there are no more than ``N × most`` pairs.

    Returns:
        ``(P, 2) int64``, indices ``i < j``, ascending.

    >>> near_pairs(np.array([[0b1111], [0b1110], [0b0001]], np.uint64), distance=1).tolist()
    [[0, 1]]
    """
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(hashes), block):
        rows = hashes[start : start + block]
        differing = np.bitwise_count(rows[:, None, 0] ^ hashes[None, start:, 0]).astype(np.int32)
        for word in range(1, hashes.shape[1]):
            differing += np.bitwise_count(rows[:, None, word] ^ hashes[None, start:, word])
        first, second = np.nonzero(differing <= distance)
        later = second > first
        pairs = np.stack([first[later], second[later]], axis=1)
        rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
        found.append(pairs[rank < most] + start)
    return np.concatenate(found)


def hash_words(hashes: Iterable[str]) -> NDArray[np.uint64]:
    """Return hashes in hexadecimal, all of one length, as ``(N, W) uint64``.

    >>> hash_words(["00000000000000ff", "0000000000000100"]).tolist()
    [[255], [256]]
    """
    rows = [bytes.fromhex(each) for each in hashes]
    return np.frombuffer(b"".join(rows), ">u8").astype(np.uint64).reshape(len(rows), -1 if rows else 1)


# --------------------------------------------------------------------------------------------------------------- parallel


def map_parallel(
    work: Callable[[_Item], _Found], items: Iterable[_Item], workers: int, description: str, total: int
) -> Iterator[tuple[_Item, _Found]]:
    """Yield ``(item, work(item))`` in order, worked on by threads, with a progress bar, or lines where output is no terminal.

    Only a few results wait at any time, so that memory stays bounded.

    Args:
        work: Runs in threads; it has to release the interpreter's lock (decoding, reading) for them to be of use.
        items: What to work on.
        workers: Threads.
        description: What is done, in a word or two, for the progress.
        total: How many items there are.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(workers) as pool, show_progress(description, total) as advance:
        waiting = [(item, pool.submit(work, item)) for item in islice(remaining, 8 * workers)]
        try:
            while waiting:
                item, future = waiting.pop(0)
                yield item, future.result()
                advance()
                waiting.extend((following, pool.submit(work, following)) for following in islice(remaining, 1))
        finally:
            for _, future in waiting:
                future.cancel()


@contextlib.contextmanager
def show_progress(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Show progress on standard error, a bar or a line every ``LINES_EVERY``; yield what counts one."""
    if draws_bars() and total:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(description, total=total)
            yield lambda: bar.advance(task)
        return
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done % LINES_EVERY == 0:
            sys.stderr.write(f"{description}: {done} of {total}\n")

    yield count


# ----------------------------------------------------------------------------------------------------------------- memory


class FactStore:
    """Facts of files that were examined before, in a file of JSON lines that only grows.

    A line that is damaged, as a kill may leave the last, is skipped: its file is examined again.

    Args:
        path: The file; ``None`` remembers nothing.
        kind: What was found and by which version of the code; facts of another kind are not used.
    """

    def __init__(self, path: Path | None, kind: str) -> None:
        self.kind = kind
        self._known: dict[str, dict[str, Any]] = {}
        self._file: TextIO | None = None
        if path is None:
            return
        with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    record = json.loads(line)
                    if record["kind"] == kind:
                        self._known[str(record["key"])] = dict(record["facts"])
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._file.write("\n")  # behind half a line, if there is one

    def get(self, path: Path) -> dict[str, Any] | None:
        """Return what is known of a file as it is now."""
        return self._known.get(_file_key(path))

    def put(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Remember what was found."""
        if self._file:
            self._file.write(json.dumps({"kind": self.kind, "key": _file_key(path), "facts": facts}) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


def _file_key(path: Path) -> str:
    try:
        return stamp_of(path)
    except OSError:
        return f"{path.resolve()}\t-"


def cache_folder() -> Path:
    """Return the user's cache folder of this project."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "imageclef-baselines"


def examine_images(paths: Iterable[Path], store: Path | None, workers: int) -> dict[Path, ImageFacts]:
    """Return the facts of image files, from memory where they were examined before.

    Args:
        paths: The files.
        store: File of the memory; ``None`` for none.
        workers: Threads.
    """
    memory = FactStore(store, "image 1")
    facts: dict[Path, ImageFacts] = {}
    try:
        unknown: list[Path] = []
        for path in sorted(set(paths)):
            known = memory.get(path)
            try:
                facts[path] = ImageFacts(**known or {"no": "facts"})
            except TypeError:
                unknown.append(path)
        for path, found in map_parallel(examine_image, unknown, workers, "examining images", len(unknown)):
            facts[path] = found
            memory.put(path, asdict(found))
    finally:
        memory.close()
    return facts
