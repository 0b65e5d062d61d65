"""What the checks of the caption and the question tasks have in common: words, characters, ids of the same collection."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from baselines.core import pictures
from baselines.core.checks import DataSet
from baselines.core.findings import Finding, Findings, InvalidInput, Severity, shorten, show_id
from baselines.core.metrics.text import clean
from baselines.core.runs import Code, list_ids
from baselines.medical.archives import open_archive
from baselines.medical.signs import SIGNS

_WARNING, _INFO = Severity.WARNING, Severity.INFO

FREQUENT = 10  # times that a word occurs so that another may be a slip of it
LEAST_LETTERS = 5  # of such words: shorter ones are too near to each other
SHORT = 4  # words after cleaning, under which BLEU of four words is about 0 in NLTK from 3.3 on
PICTURE_SIDE = 480  # pixels of the longer side of an image in the report
MAX_TEXTS, MAX_SHOWN = 6, 200  # texts below it, and characters of each

_WORD = re.compile(f"[a-z]{{{LEAST_LETTERS},}}")

CODES: dict[str, Code] = {
    "DATA-SHORT-REFERENCE": Code(_INFO, f"texts of fewer than {SHORT} words after cleaning", "372 of 878"),
    "DATA-TEXT-CHAR": Code(
        _INFO, "no-break spaces, curly quotes, control characters, double or outer blanks, final periods", "hodgkin’s"
    ),
    "DATA-TEXT-TYPO": Code(_INFO, "a word seen once that is one letter from a frequent one", "cytsic"),
}


def odd_characters(root: Path, split: str, texts: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Count texts with odd characters, once for each kind; ``texts`` are ids with a text each."""
    found: defaultdict[tuple[str, Severity, str], list[tuple[str, str]]] = defaultdict(list)
    for name, text in texts:
        for rule, severity, what, sign in SIGNS:
            if sign.search(text):
                found[f"DATA-{rule}", severity, what].append((name, text))
    for (code, severity, what), where in found.items():
        name, text = where[0]
        message = f"{len(where)} texts of {split} have {what}"
        yield Finding(code, severity, message, str(root), id=show_id(name), value=shorten(text))


def typos(root: Path, texts: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Tell words that occur once and are one letter away from a frequent one; words of other forms are not slips.

    Args:
        root: The data root.
        texts: Ids with a text each.
    """
    counts: Counter[str] = Counter()
    places: dict[str, str] = {}
    for name, text in texts:
        for word in _WORD.findall(text.lower()):
            counts[word] += 1
            places.setdefault(word, name)
    near: defaultdict[str, set[str]] = defaultdict(set)
    for word, count in counts.items():
        if count >= FREQUENT:
            for gap in _with_gaps(word):
                near[gap].add(word)
    for word, count in counts.items():
        candidates = set[str]().union(*(near.get(gap, ()) for gap in _with_gaps(word))) if count == 1 else ()
        meant = sorted(each for each in candidates if _is_slip(word, each))
        if meant:
            what, hint = "a word that occurs once, one letter from a frequent one", f"is {meant[0]} meant?"
            yield Finding("DATA-TEXT-TYPO", _INFO, what, str(root), id=show_id(places[word]), value=word, hint=hint)


def _with_gaps(word: str) -> set[str]:
    """Return a word, and what is left of it without one letter: words one letter apart share one of these."""
    return {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}


def _is_slip(word: str, meant: str) -> bool:
    """Whether a word is another with one letter more, less, changed, or exchanged with the next, but for a plural.

    >>> [_is_slip(word, "cystic") for word in ("cytsic", "cysic", "cystick", "cystac", "cystics", "cavity")]
    [True, True, True, True, False, False]
    """
    if word == meant or word.removesuffix("s") == meant or meant.removesuffix("s") == word:
        return False
    if len(word) == len(meant):
        places = [place for place, (one, other) in enumerate(zip(word, meant, strict=True)) if one != other]
        swapped = len(places) == 2 and places[1] == places[0] + 1 and sorted(word) == sorted(meant)
        return len(places) == 1 or swapped
    shorter, longer = sorted((word, meant), key=len)
    return len(longer) == len(shorter) + 1 and shorter in _with_gaps(longer)


def short_texts(root: Path, split: str, texts: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Count texts with too few words for BLEU of four words."""
    short = [(name, text) for name, text in texts if len(clean(text)) < SHORT]
    if short:
        what = f"texts of {split} have fewer than {SHORT} words after cleaning: bleu_nltk33 is about 0 for them"
        value = f"{len(short)} of {len(texts)}, such as {shorten(short[0][1])}"
        yield Finding("DATA-SHORT-REFERENCE", _INFO, what, str(root), id=split, value=value)


def shared_ids(data_set: DataSet, family: str, marks: str) -> Iterator[Finding]:
    """Tell images whose ids are also in another family's sets, where these are in the same data root.

    Args:
        data_set: The data set.
        family: Folder of the other family below ``medical``.
        marks: Pattern of the names of its folders.
    """
    if not (data_set.root / "medical" / family).is_dir():
        return
    try:
        others = open_archive(data_set.root, data_set.card.id, family, re.compile(marks), Findings()).images
    except InvalidInput:
        return
    for split, part in data_set.splits.items():
        shared = [sample.id for sample in part.samples if sample.id in others]
        if shared:
            what = f"images of {split} are also in medical/{family}"
            hint = "don't train on them for this task without saying so"
            value = f"{len(shared)}: {list_ids(shared)}"
            yield Finding("DATA-SPLIT-ID", _WARNING, what, str(data_set.root), id=split, value=value, hint=hint)


def draw_with_texts(image: Path, texts: Sequence[str]) -> Image.Image:
    """Draw an image with texts below, of which the first are shown, cut where they are long."""
    with Image.open(image) as opened:
        page = pictures.shrink(opened, PICTURE_SIDE)
    rows = [(shorten(text, MAX_SHOWN).strip("'\""), pictures.BLACK) for text in texts[:MAX_TEXTS]]
    return pictures.below([page, pictures.lines(rows, max(page.width, PICTURE_SIDE // 2))]) if rows else page


def words_of(texts: Iterable[str]) -> list[float]:
    """Return how many words each text has, by its blanks."""
    return [len(text.split()) for text in texts]


WORD_EDGES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)
