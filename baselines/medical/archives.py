"""Unpacked archives of the medical tasks: their text files and images, wherever in the folder they lie.

Copies differ: folders are nested twice, files renamed, an archive's macOS entries unpacked. So nothing is expected at a path:
text files are told by their content, the set a file belongs to by the words of its path, the deepest first, and an image by its
id, which is its name without extension.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.core.files import Report
from baselines.core.findings import Findings, InvalidInput, invalid, printable
from baselines.core.runs import list_ids

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
TEXT_SUFFIXES = (".txt", ".csv", ".tsv")
SPREADSHEET_SUFFIXES = (".xlsx", ".xls")

_DEPTH = 8  # folders below the archive's that are looked into
_JUNK_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_LISTED, _LONGEST = 10, 300  # files in a message, and characters of a path


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of a family of tasks.

    Attributes:
        folder: Their folder.
        texts: The text files, in the order of their paths.
        spreadsheets: Files that are not read, but may be what a text file was exported from.
        images: Image files by id; an id can occur in several folders.
    """

    folder: Path
    texts: tuple[Path, ...]
    spreadsheets: tuple[Path, ...]
    images: Mapping[str, tuple[Path, ...]]

    def image(self, name: str, text: Path) -> Path | None:
        """Return the image of an id; of several the one that lies nearest to a text file."""
        found = self.images.get(name, ())
        return max(found, key=lambda path: len(os.path.commonpath([path, text])), default=None)

    def parts(self, path: Path) -> Iterator[str]:
        """Yield a path's parts below the archive's folder, the deepest first."""
        yield from reversed(path.relative_to(self.folder).parts)

    def first_match(self, path: Path, meanings: Mapping[str, re.Pattern[str]]) -> str:
        """Return what the deepest part of a path means that means anything; empty if none does."""
        for part in self.parts(path):
            for meaning, pattern in meanings.items():
                if pattern.search(part.lower()):
                    return meaning
        return ""


def open_archive(root: Path, task: str, family: str, marks: re.Pattern[str], findings: Findings) -> Archive:
    """Index the files of a family.

    Args:
        root: The data root with ``medical/FAMILY``; that folder itself, or one that holds the archive's folders, will do.
        task: The task's id, for messages.
        family: Name of the folder, such as ``caption``.
        marks: What is in the names of the archive's folders and files, by which another folder is known to hold them.
        findings: Where junk and folders nested in their like are reported.

    Raises:
        InvalidInput: If there is no such folder; the message says where it was looked for.
    """
    places = (root / "medical" / family, root / family)
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None and root.is_dir() and any(marks.search(path.name) for path in root.iterdir()):
        folder = root
    if folder is None:
        raise missing(root, task, f"no {places[0].relative_to(root)} here", family)
    texts, spreadsheets, junk = [], [], []
    images: dict[str, tuple[Path, ...]] = {}
    for path in _files(folder, 0, set()):
        suffix = path.suffix.lower()
        if path.name in _JUNK_NAMES or path.name.startswith("._") or "__MACOSX" in path.parts:
            junk.append(path)
        elif suffix in IMAGE_SUFFIXES:
            images[path.stem] = (*images.get(path.stem, ()), path)
        elif suffix in TEXT_SUFFIXES:
            texts.append(path)
        elif suffix in SPREADSHEET_SUFFIXES:
            spreadsheets.append(path)
    report = Report(findings, str(folder), "DATA")
    if junk:
        what = f"{len(junk)} files that a desktop left behind"
        report.info("JUNK", what, value=junk[0].name, hint="they are ignored")
    nested = sorted({path.parent for path in texts if path.parent.name == path.parent.parent.name})
    for path in nested:
        Report(findings, str(path), "DATA").info("NESTED", "the folder is nested in one of its own name")
    return Archive(folder, tuple(texts), tuple(spreadsheets), images)


def _files(folder: Path, depth: int, seen: set[Path]) -> Iterator[Path]:
    """Yield the files below a folder by their paths; links are followed, but no folder is entered twice."""
    real = folder.resolve()
    if real in seen or depth > _DEPTH:
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry, depth + 1, seen)
        elif entry.is_file():
            yield entry


def missing(root: Path, task: str, message: str, family: str) -> InvalidInput:
    """Return the error that something isn't there, with the place where it was looked for and what to do."""
    looked = "there is no such folder" if not root.is_dir() else f"looked below {root / 'medical' / family} and {root}"
    hint = f"{looked}; point data.root, or --data, at the folder that holds medical/, or run `imageclef sample {task}`"
    return invalid("DATA-FILE-MISSING", message, file=root, hint=hint)


def ambiguous(archive: Archive, what: str, paths: Sequence[Path]) -> InvalidInput:
    """Return the error that there are several of what there should be one of."""
    listed = ", ".join(printable(str(path.relative_to(archive.folder)), _LONGEST) for path in paths[:_LISTED])
    hint = "keep one, or move the others out of this folder"
    return invalid("DATA-FILE-AMBIGUOUS", f"several {what}: {listed}", file=archive.folder, hint=hint)


def images_of(archive: Archive, names: Iterable[str], text: Path, findings: Findings) -> dict[str, Path]:
    """Return the image of each id of a text file that has one; report the ids without, and the images without a line.

    The latter are looked for in the folder that holds most of the file's images.

    Args:
        archive: The family's files.
        names: The ids of the file.
        text: The file.
        findings: Where this is reported.
    """
    found: dict[str, Path] = {}
    lost: list[str] = []
    for name in names:
        image = archive.image(name, text)
        if image is None:
            lost.append(name)
        else:
            found[name] = image
    if lost:
        hint = "they are scored, but can be neither trained on nor predicted"
        what = f"{len(lost)} of {len(found) + len(lost)} ids have no image"
        Report(findings, str(text), "DATA").warning("ID-NO-IMAGE", what, value=list_ids(lost), hint=hint)
    folder = next((path for path, _ in Counter(path.parent for path in found.values()).most_common(1)), None)
    unnamed = sorted(
        name for name, paths in archive.images.items() if name not in found and any(path.parent == folder for path in paths)
    )
    if unnamed:
        what = f"{len(unnamed)} images beside those of the file have no line"
        Report(findings, str(text), "DATA").warning("ID-NO-LABEL", what, value=list_ids(unnamed), hint="they are left out")
    return found
