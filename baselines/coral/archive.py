"""Finding a coral data set's files under whatever names they came with, and dividing its images.

The releases of 2019 to 2021 differ in names and folders (spec page coral.md 1.1). So images are known by their extension,
annotation files by their content, and what belongs to the test set by a folder's or file's name.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from baselines.core.files import Report
from baselines.core.findings import Findings
from baselines.core.images import ImageHeader

Kind = Literal["boxes", "polygons"]

IMAGE_EXTENSIONS = {".jpg", ".jpeg", ".png"}
TEXT_EXTENSIONS = {".csv", ".txt", ""}
JUNK = {".ds_store", "thumbs.db", "desktop.ini"}
DRAWS = 64  # of places to hold out
NEAR = 0.05  # of the share to hold out, which a draw has to come

_HEAD = 40  # lines that are looked at
_TEST = re.compile(r"(?<![A-Za-z])(?i:test)|Test|(?<![A-Za-z])(?i:gt)(?![A-Za-z])")  # but not what is the latest
_ANNOTATION = re.compile(r"\S+ +-?\d+ +\S+ +\S+((?: +-?\d+)+) *\r?\n?")
_DATE = re.compile(r"(?:\d{2}_)?(\d{4}_\d{4})_")
# Subset by the date in the id (spec page coral.md 1.3).
_PLACES = {
    "2018_0712": "K1-20180712-01",
    "2018_0714": "PK-20180714-01",
    "2018_0729": "PK-20180729-02",
    "2017_0803": "20170803-dominica-cabrits",
    "2018_0406": "20180406-spermonde-keke",
    "2018_0407": "20180406-spermonde-keke",
    "2019_0417": "20190417-seychelles-BL",
}


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of one part of a data set.

    Attributes:
        folder: Where they are.
        images: Image files by their name without extension in lower case.
        texts: Annotation files of each kind.
    """

    folder: Path
    images: dict[str, Path]
    texts: dict[Kind, list[Path]] = field(default_factory=lambda: {"boxes": [], "polygons": []})


def family_folder(root: Path) -> Path:
    """Return the folder of the coral files: ``coral`` in the data root, also nested in one of its own name, or the root."""
    for folder in (root / "coral" / "coral", root / "coral"):
        if folder.is_dir():
            return folder
    return root


def find_files(root: Path, findings: Findings, *, test: bool) -> Archive:
    """Find the files of the development set, or of the test set: what has "test" or "GT" in its path.

    Args:
        root: The data root.
        findings: Where odd files are reported.
        test: Which of the two is wanted.
    """
    folder = family_folder(root)
    report = Report(findings, str(folder), "DATA")
    images: dict[str, Path] = {}
    found = Archive(folder, images)
    junk, extensions = [], Counter[str]()
    for path in sorted(_walk(folder)):
        within = path.relative_to(folder)
        if path.name.startswith("._") or path.name.lower() in JUNK or "__MACOSX" in within.parts:
            junk.append(path.name)
        elif bool(_TEST.search(str(within))) is not test:
            continue
        elif path.suffix.lower() in IMAGE_EXTENSIONS:
            extensions[path.suffix] += 1
            if images.setdefault(path.stem.lower(), path) is not path:
                hint = f"{images[path.stem.lower()]} is used"
                Report(findings, str(path), "DATA").warning(
                    "ID-DUPLICATE", "another file has this name", id=path.stem, hint=hint
                )
        elif path.suffix.lower() in TEXT_EXTENSIONS and (kind := kind_of(path)) is not None:
            found.texts[kind].append(path)
    if junk:
        report.info("JUNK", f"{len(junk)} files that a desktop left behind", value=junk[0], hint="they are ignored")
    if len(extensions) > 1:
        seen = ", ".join(f"{count} {name}" for name, count in sorted(extensions.items()))
        report.info("FILE-CASE", "the images' extensions differ", value=seen, hint="upper and lower case are the same here")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]  # such as a sample that is being written
        yield from (Path(place, name) for name in names)


def kind_of(path: Path) -> Kind | None:
    """Return what kind of annotations a file holds, by most of its first lines; ``None`` if it holds none.

    A line of 8 fields can be a polygon of two points, but most are not.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = [line for _ in range(_HEAD) if (line := file.readline(20_000))]
    except OSError:
        return None
    counts = [len(match[1].split()) for line in lines if (match := _ANNOTATION.fullmatch(line))]
    if 2 * len(counts) <= len(lines):
        return None
    return "boxes" if 2 * counts.count(4) > len(counts) else "polygons"


def place_of(name: str, folder: str) -> str:
    """Return the subset that an image belongs to: by the date in its id if that is known, else by its folder.

    >>> place_of("02_2017_0803_132731_098", "images"), place_of("2020_0101_000000_001", "20200101-aqaba")
    ('20170803-dominica-cabrits', '20200101-aqaba')
    """
    match = _DATE.match(name)
    return _PLACES.get(match[1], folder) if match else folder


def hold_out(places: Mapping[str, str], share: float, seed: int, *, by_place: bool) -> set[str]:
    """Choose the images to validate on.

    By place, whole places are held out, as many as come nearest to the share, at least one and never all: validation then is
    on water, light and species that training hasn't seen. Otherwise it is the share of every place, at random.

    Args:
        places: The place of every image, by id.
        share: Share of the images to hold out, from 0 to 1; in between, of two images at least one is held out and one isn't.
        seed: Seed of the choice.
        by_place: Which of the two. With a single place there is only the random one.

    Returns:
        The ids of the held-out images; they depend on the arguments alone, not on the order of ``places``.

    >>> sorted(hold_out({"a": "x", "b": "x", "c": "y", "d": "x"}, 0.25, 0, by_place=True))
    ['c']
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[str]] = {}
    for name in sorted(places):
        groups.setdefault(places[name], []).append(name)
    if not 0 < share < 1:
        return set(places) if share >= 1 else set()
    if by_place and len(groups) > 1:
        return {name for place in _draw_places(groups, share * len(places), rng) for name in groups[place]}
    names = [name for _, members in sorted(groups.items()) for name in rng.permutation(members).tolist()]
    # Every n-th of all, so that each place gives its share also where that is no whole number.
    total = min(max(1, round(share * len(names))), len(names) - 1)
    return {names[int((number + 0.5) * len(names) / total)] for number in range(total)}


def _draw_places(groups: Mapping[str, Sequence[str]], goal: float, rng: np.random.Generator) -> list[str]:
    """Return places with about ``goal`` images: the first of some random draws that comes near, else the nearest."""
    total, names = sum(map(len, groups.values())), sorted(groups)
    best: tuple[float, list[str]] = (np.inf, [])
    for _ in range(DRAWS):
        order = [names[index] for index in rng.permutation(len(names))]
        sizes = np.cumsum([len(groups[name]) for name in order[:-1]])  # never all
        count = int(np.abs(sizes - goal).argmin())
        error = float(abs(sizes[count] - goal))
        if error < best[0]:
            best = error, order[: count + 1]
        if error <= NEAR * total:
            break
    return best[1]


def report_sizes(headers: Iterable[ImageHeader], usual: tuple[int, int], report: Report) -> None:
    """Warn of images of another size than the campaign's, once for each size."""
    others = Counter((header.width, header.height) for header in headers if (header.width, header.height) != usual)
    for (width, height), count in sorted(others.items()):
        hint = "the size in the file counts"
        what = f"{count} images are not {usual[0]}x{usual[1]} as those of the campaign that are known"
        report.warning("IMAGE-SIZE", what, value=f"{width}x{height}", hint=hint)
