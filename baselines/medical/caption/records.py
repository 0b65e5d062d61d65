"""Truths and predictions of the caption tasks, and the reader of the concept and caption files as distributed.

Of the caption files of 2021 neither the names nor a line are known: that they look like the concept files, with a caption in
the second field, is inferred.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baselines.core.files import Report, fits_line, names_ids, read_text, sniff_separator
from baselines.core.findings import Findings, Severity, UsageError, shorten, show_id
from baselines.core.forms import Form, form_of
from baselines.core.metrics.text import content_words
from baselines.core.outputs import write_atomic
from baselines.core.runs import Code, list_ids
from baselines.medical import splits
from baselines.medical.archives import IMAGE_SUFFIXES, Archive, ambiguous, images_of, missing, open_archive

CONCEPTS = "caption-concepts"
CAPTIONS = "caption-prediction"

SEPARATORS = "\t|,"  # between id and content; TAB is the campaign's
CONCEPT_FORM = re.compile(r"C[0-9]{7}")

_SNIFFED_LINES, _SNIFFED_LENGTH = 2000, 1000
_NOT_TEXT, _EXPORT = "this is a spreadsheet, not text", "export it as UTF-8 text with TAB between the columns"
_SPREADSHEETS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # how .xlsx and .xls start
_FIRST_CONCEPT = re.compile(r"\s*C[0-9]{7}\s*(;|$)", re.IGNORECASE)

# What the reader finds beside what all readers do; of several severities the one that a release is held to.
CODES: dict[str, Code] = {
    "DATA-CAPTION-EMPTY": Code(Severity.WARNING, "a caption without content word", "The."),
    "DATA-CONCEPT-FORM": Code(Severity.ERROR, "not C and 7 digits; for lower case the reader warns", "C004"),
    "DATA-DIVIDED": Code(
        Severity.INFO, "a part of training is held out, since there is no validation set", "the training set alone"
    ),
    "DATA-DUPLICATE-CONCEPT": Code(Severity.WARNING, "a concept twice in an image; it counts once", "C0040398;c0040398"),
    "DATA-EMPTY-CONCEPT": Code(Severity.WARNING, "an empty concept, or an image without any", "C0040398;"),
    "DATA-XLSX": Code(Severity.ERROR, "a spreadsheet where text is due", "the concepts as .xlsx"),
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one image.

    Attributes:
        id: Image id, without extension.
        concepts: Its concepts, as written, none twice (``caption-concepts``).
        caption: Its caption, as written (``caption-prediction``).
    """

    id: str
    concepts: tuple[str, ...] = ()
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run says about one image.

    Attributes:
        id: Image id, without extension.
        concepts: The predicted concepts in falling confidence (``caption-concepts``).
        caption: The predicted caption (``caption-prediction``).
        attention: Where the model looked for each word between blanks of the caption, ``(words, h, w)``: a grid over the image
            in the middle of a square; for the pictures alone, and not part of a run.
    """

    id: str
    concepts: tuple[str, ...] = ()
    caption: str = ""
    attention: NDArray[np.float16] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by id, and the task, which says whether concepts or captions count.

    Attributes:
        truths: The truths by id.
        task: ``caption-concepts`` or ``caption-prediction``.
        classes: Of a split for ``caption-concepts`` the names of its concepts by the number in their code (40398 is C0040398),
            ascending; a concept whose name is in no file has its code for it.
    """

    truths: Mapping[str, Truth]
    task: str
    classes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and, where the split has them, its concepts or its caption.

    Attributes:
        id: Image id, without extension.
        image: Path of the image file; decoded without EXIF rotation.
        truth: What is true of it; ``None`` in a test set.
    """

    id: str
    image: Path
    truth: Truth | None


Split = splits.Split[Sample, TruthSet]


def read_truth(path: Path, task: str, findings: Findings) -> TruthSet:
    """Read a concept file or a caption file; a line is the image's id, a separator and the content.

    Tolerated, with a finding: ``|`` or comma for the TAB, a header, empty lines, blanks, quotes and extensions around ids,
    empty and repeated concepts, concepts in lower case, images without content, ids without image and images without line
    (where a folder of images lies beside the file). Lines are split once, so captions may hold the separator.

    Args:
        path: The file.
        task: ``caption-concepts`` or ``caption-prediction``.
        findings: Where everything noteworthy is reported, with ``DATA`` codes; errors mean that the truths are not to be used.

    Returns:
        The truths in the order of the file. Lines with an error are left out.
    """
    folders = _find_images(path.parent)
    truths = _read_file(path, task, frozenset(name for names in folders.values() for name in names), findings)
    if truths is not None:
        truths.compare(folders)
    return TruthSet(truths.truths if truths else {}, task)


def _read_file(path: Path, task: str, known: Collection[str], findings: Findings) -> _Reader | None:
    """Read a file as :func:`read_truth`, without a look at images; ``None`` if it can't be the task's. ``known`` ids exist."""
    report = Report(findings, str(path), "DATA")
    if _is_spreadsheet(path):
        report.error("XLSX", _NOT_TEXT, hint=_EXPORT)
        return None
    separator = sniff_separator(path, SEPARATORS, _fits_concepts if task == CONCEPTS else _fits_caption)
    if not _is_own(path, task, report):
        return None
    reader = _Reader(task, separator, known, report)
    for number, line in read_text(path, findings, "DATA"):
        reader.read(line, number)
    return reader


def read_vocabulary(paths: Iterable[str | PathLike[str]], findings: Findings) -> frozenset[str]:
    """Return all concepts of concept files, in upper case: the vocabulary of the development set, given its files."""
    truth_sets = [read_truth(Path(path), CONCEPTS, findings) for path in paths]
    return frozenset(
        concept.upper() for truth_set in truth_sets for truth in truth_set.truths.values() for concept in truth.concepts
    )


def truths_of_ids(ids: Iterable[str], task: str) -> TruthSet:
    """Return truths without content, to hold a run against ids alone."""
    return TruthSet({name: Truth(name) for name in ids}, task)


def write_truth(path: Path, truth_set: TruthSet) -> None:
    """Write a concept file or a caption file with TAB, whole or not at all.

    Raises:
        ValueError: If an id, a concept or a caption can't be written so that it is read again as it is.
    """
    lines = []
    for truth in truth_set.truths.values():
        content = ";".join(truth.concepts) if truth_set.task == CONCEPTS else truth.caption
        is_same = truth_set.task != CONCEPTS or split_concepts(content) == ([*truth.concepts], 0) or not content
        if not is_same or not is_writable(truth.id, content) or _bare_id(truth.id) != truth.id or is_header(truth.id, "x"):
            raise ValueError(f"the truth of {truth.id!r} can't be written")
        lines.append(f"{truth.id}\t{content}\n")
    write_atomic(path, "".join(lines))


def split_concepts(field: str) -> tuple[list[str], int]:
    """Split a field of concepts; return those that are not empty, without blanks around them, and how many were empty.

    >>> split_concepts("C0040398; C0006141;"), split_concepts("")
    ((['C0040398', 'C0006141'], 1), ([], 1))
    """
    pieces = field.split(";")
    concepts = [piece for piece in map(str.strip, pieces) if piece]
    return concepts, len(pieces) - len(concepts)


def without_repeats(concepts: Sequence[str]) -> list[str]:
    """Return concepts without those that differ from an earlier one in case at most."""
    first: dict[str, str] = {}
    for concept in concepts:
        first.setdefault(concept.upper(), concept)
    return list(first.values())


def concept_number(concept: str) -> int:
    """Return the number in a concept's code.

    >>> concept_number("C0040398"), concept_code(40398)
    (40398, 'C0040398')
    """
    return int(concept[1:])


def concept_code(number: int) -> str:
    """Return the code of a concept with this number; see :func:`concept_number`."""
    return f"C{number:07d}"


def is_header(name: str, content: str, *, known: Collection[str] = ()) -> bool:
    """Whether a file's first line is a header: its id is a column's name, or neither id nor content has a digit in it.

    Args:
        name: The first field.
        content: The second field; that of a caption is not looked at and may be left out.
        known: Ids that exist.

    >>> is_header("ID", "CUIs"), is_header("Bild", "Konzepte"), is_header("synpic1", "C0040398"), is_header("synpic1", "")
    (True, True, False, False)
    """
    if name in known:
        return False
    if names_ids(name):
        return True
    return bool(content.strip()) and not re.search("[0-9]", name[:200]) and not re.search("[0-9]", content)


def is_quoted(field: str) -> bool:
    """Whether a field has quotes around it."""
    return len(field) > 1 and field[0] == field[-1] == '"'


def is_writable(name: str, content: str) -> bool:
    """Whether an id and a content can stand in a line; ids hold no blank and no separator."""
    has_name = bool(name) and not name.startswith("\N{ZERO WIDTH NO-BREAK SPACE}") and not re.search(r"[\s|,]", name)
    return has_name and fits_line(name + content)


# -------------------------------------------------------------------------------------------------------------- splits

_MARKS = re.compile("imageclef|caption|concept", re.IGNORECASE)
_SETS = {
    "train": re.compile("train"),
    "val": re.compile("valid|(^|[^a-z])val([^a-z]|$)"),
    "test": re.compile("test"),
}
_CODE = re.compile(r"C([0-9]{7})", re.IGNORECASE)
_LOOKED_AT = 50  # lines that say what a file holds


def read_split(root: Path, task: str, split: str, findings: Findings, *, split_seed: int = 0, val_share: float = 0.2) -> Split:
    """Read one split of a data set in the campaign's layout, or in a copy's: file names and nesting are free.

    A file's words say whether it is of the training, the validation or the test set; if it has none, its folder's do. What
    it holds is told by its content: concepts, captions, or names of concepts. Images of the training and of the validation set
    are not trained on.

    Args:
        root: The data root, which holds ``medical/caption``; that folder itself will do.
        task: ``caption-concepts`` or ``caption-prediction``.
        split: ``train``, ``val`` or ``test``.
        findings: Where everything noteworthy is reported, as by :func:`read_truth`.
        split_seed: Seed of the division where there is no validation file: the training file is then divided.
        val_share: Share of the training images that this holds out.

    Raises:
        InvalidInput: If the files are not there, or several could be meant; the message says what to do.
        UsageError: If there is no such split.
    """
    if split not in _SETS:
        raise UsageError(f"no split {split!r}: the splits are {', '.join(_SETS)}")
    archive = open_archive(root, task, "caption", _MARKS, findings)
    if split == "test":
        return _read_test(root, archive, task)
    files = {name: _find_file(archive, task, name, findings) for name in ("train", "val")}
    if files["train"] is None:
        wanted = "concept" if task == CONCEPTS else "caption"
        raise missing(root, task, f"no {wanted} file of the training set", "caption")
    chosen = files[split] or files["train"]
    truths = _truths(archive, chosen, task, findings)
    images = images_of(archive, truths, chosen, findings)
    if files["val"] is None:
        hint = "data.split_seed and data.val_share decide which images are held out"
        Report(findings, str(archive.folder), "DATA").info(
            "DIVIDED", "no validation file: the training set is divided", hint=hint
        )
        train, held_out = splits.divide(list(truths), val_share, split_seed)
        truths = {name: truths[name] for name in (train if split == "train" else held_out)}
    elif split == "train":
        truths = splits.without_held_out(truths, _truths(archive, files["val"], task, Findings()).keys(), chosen, findings)
    samples = tuple(Sample(name, images[name], truth) for name, truth in sorted(truths.items()) if name in images)
    classes = _classes(archive, truths.values()) if task == CONCEPTS else {}
    return Split(split, samples, TruthSet(truths, task, classes))


def _truths(archive: Archive, path: Path, task: str, findings: Findings) -> dict[str, Truth]:
    reader = _read_file(path, task, archive.images, findings)
    return reader.truths if reader else {}


def _find_file(archive: Archive, task: str, split: str, findings: Findings) -> Path | None:
    """Return the file of a split that holds what the task needs; ``None`` if there is none.

    Raises:
        InvalidInput: If there are several, or a spreadsheet alone.
    """
    kind = "concepts" if task == CONCEPTS else "captions"
    own = [path for path in archive.texts if archive.first_match(path, _SETS) == split]
    found = [path for path in own if _kind_of(path) == kind]
    if len(found) > 1:
        raise ambiguous(archive, f"{kind} files of the {split} set", found)
    if not found:
        for path in archive.spreadsheets:
            if archive.first_match(path, _SETS) == split:
                Report(findings, str(path), "DATA").error("XLSX", _NOT_TEXT, hint=_EXPORT)
    return found[0] if found else None


def _kind_of(path: Path) -> str:
    """Return what a text file holds by its first lines: ``concepts``, ``captions``, ``names``, or nothing of these."""
    lines = [line for _, line in islice(read_text(path, Findings(), "DATA"), _LOOKED_AT) if line.strip()]
    fields = [re.split(f"[{SEPARATORS}]", line[:_SNIFFED_LENGTH], maxsplit=1) for line in lines]
    pairs = [(pair[0].strip(' "'), pair[1].strip(' "')) for pair in fields if len(pair) == 2]
    if 2 * len(pairs) <= len(lines) and not any(_FIRST_CONCEPT.match(content) for _, content in pairs):
        return ""
    if 2 * sum(_CODE.fullmatch(name) is not None for name, _ in pairs) > len(pairs):
        return "names"
    is_concepts = any(_FIRST_CONCEPT.match(content) for _, content in pairs)
    return "concepts" if is_concepts else "captions"


def _classes(archive: Archive, truths: Iterable[Truth]) -> dict[int, str]:
    """Return the concepts of some truths by number, with the names that a file of names gives them."""
    concepts = (concept for truth in truths for concept in truth.concepts if CONCEPT_FORM.fullmatch(concept.upper()))
    numbers = set(map(concept_number, concepts))
    names: dict[int, str] = {}
    for path in archive.texts:
        if _kind_of(path) == "names":
            for _, line in read_text(path, Findings(), "DATA"):
                code, _, name = re.sub(f"[{SEPARATORS}]", "\t", line, count=1).partition("\t")
                match = _CODE.fullmatch(code.strip(' "'))
                if match and name.strip(' "'):
                    names.setdefault(int(match[1]), name.strip(' "'))
    return {number: names.get(number, concept_code(number)) for number in sorted(numbers)}


def _read_test(root: Path, archive: Archive, task: str) -> Split:
    """Read a test set: every image in its folder."""
    images = {
        name: path
        for name, paths in sorted(archive.images.items())
        for path in paths
        if archive.first_match(path.parent, _SETS) == "test"
    }
    if not images:
        raise missing(root, task, "no folder of test images", "caption")
    samples = tuple(Sample(name, path, None) for name, path in images.items())
    return Split("test", samples, truths_of_ids(images, task))


# ------------------------------------------------------------------------------------------------------------- reading


def _is_own(path: Path, task: str, report: Report) -> bool:
    """Whether the contents may be the task's; says so where they are another's, for sure or in all likelihood."""
    lines = islice(read_text(path, Findings(), "DATA"), _SNIFFED_LINES)
    contents = [re.split(f"[{SEPARATORS}]", line[:_SNIFFED_LENGTH], maxsplit=1)[-1] for _, line in lines]
    form = form_of([content.partition("|")[0] for content in contents])  # of a question and its answer the question
    if task == CONCEPTS:
        is_other = form in {Form.QUESTIONS, Form.CAPTIONS} and not any(map(_FIRST_CONCEPT.match, contents))
    else:
        is_other = form in {Form.CONCEPTS, Form.QUESTIONS}
    wanted = "concepts" if task == CONCEPTS else "captions"
    if is_other:
        hint = f"give the {wanted}: an image's id, TAB and its {wanted} on a line"
        report.error("NO-TRUTH", f"the file holds no truth of {task}: these are {form}", hint=hint)
    elif task == CAPTIONS and form in {Form.NUMBERS, Form.ANSWERS}:
        what = f"the texts look like {form}, not like captions: is this the truth of {task}?"
        report.warning("OTHER-TASK", what, hint="the scores mean nothing if it isn't")
    return not is_other


class _Reader:
    """Collects the truths of a file, line by line."""

    def __init__(self, task: str, separator: str, known: Collection[str], report: Report) -> None:
        self.task, self.separator, self.known, self.report = task, separator, known, report
        self.truths: dict[str, Truth] = {}
        self.lines: dict[str, int] = {}
        self.is_first = True

    def read(self, line: str, number: int) -> None:
        """Take one line."""
        if not line.strip():
            self.report.info("BLANK-LINE", "an empty line is skipped", line=number)
            return
        name, found, content = line.partition(self.separator)
        is_first, self.is_first = self.is_first, False
        if is_first:
            self._tell_separator(number)
            looked_at = content if self.task == CONCEPTS else ""
            if is_header(name, looked_at, known=self.known):
                self.report.warning("HEADER", "a header is skipped", line=number, value=shorten(line), hint="delete it")
                return
        name = self._id(name, number)
        if not name or re.search(r"[\t|,]", name):
            hint = f"a line is the id, {shorten(self.separator)} and the content, as the other lines are"
            self.report.error("FIELDS", "no id, or another separator behind it", line=number, value=shorten(line), hint=hint)
        elif self.task != CONCEPTS and not found:
            hint = f"write the id, {shorten(self.separator)} and the caption"
            self.report.error("FIELDS", "there is no caption", line=number, id=show_id(name), hint=hint)
        elif name in self.truths:
            hint = "keep one of the lines"
            what = f"the image is on line {self.lines[name]}, too"
            self.report.error("ID-DUPLICATE", what, line=number, id=show_id(name), hint=hint)
        else:
            self.lines[name] = number
            self.truths[name] = self._truth(name, content, number)

    def compare(self, folders: Mapping[str, list[str]]) -> None:
        """Compare the ids with the images in the folders beside the file, where there are some."""
        images = {name for names in folders.values() for name in names}
        if not images:
            return
        hint = "it is scored, but can't be predicted"
        for name in self.truths.keys() - images:
            self.report.warning("ID-NO-IMAGE", "the image is missing", line=self.lines[name], id=show_id(name), hint=hint)
        without = sorted(images - self.truths.keys())
        if without and len(folders) == 1:  # of several folders some belong to other files
            what = f"no line for {len(without)} of the images in {show_id(*folders)}"
            self.report.warning("ID-NO-LABEL", what, value=list_ids(without), hint="they don't count")

    def _tell_separator(self, number: int) -> None:
        if self.separator != SEPARATORS[0]:
            what = f"{shorten(self.separator)} separates id and content, where the campaign has TAB"
            hint = "lines are split at the first one" if self.task != CONCEPTS else "better get the original"
            self.report.warning("SEPARATOR", what, line=number, hint=hint)

    def _id(self, name: str, number: int) -> str:
        bare = _bare_id(name)
        if is_quoted(name.strip()):
            self.report.warning("QUOTING", "quotes around the id are ignored", line=number, value=shorten(name))
        elif bare != name:
            hint = f"taken for {show_id(bare)}"
            self.report.warning("ID-CASE", "blanks or an extension on the id", line=number, value=shorten(name), hint=hint)
        return bare

    def _truth(self, name: str, content: str, number: int) -> Truth:
        if self.task == CONCEPTS:
            return Truth(name, concepts=tuple(self._concepts(name, content, number)))
        if is_quoted(content):
            hint = "they stay; scores don't look at punctuation"
            self.report.warning("QUOTING", "quotes around the caption", line=number, id=show_id(name), hint=hint)
        if not content_words(content):
            hint = "a run scores 1 here if its caption has none either"
            self.report.warning("CAPTION-EMPTY", "no content word in the caption", line=number, id=show_id(name), hint=hint)
        return Truth(name, caption=content)

    def _concepts(self, name: str, field: str, number: int) -> list[str]:
        """Return the concepts of a line, without repeats."""
        shown = show_id(name)
        if is_quoted(field.strip()):
            self.report.warning("QUOTING", "quotes around the concepts are ignored", line=number, id=shown)
            field = field.strip()[1:-1]
        concepts, empty = split_concepts(field)
        if not concepts:
            hint = "the image doesn't count for the score"
            self.report.warning("EMPTY-CONCEPT", "no concept", line=number, id=shown, hint=hint)
        elif empty:
            hint = "delete the semicolon"
            self.report.warning("EMPTY-CONCEPT", "an empty concept is ignored", line=number, id=shown, hint=hint)
        odd = [concept for concept in concepts if not CONCEPT_FORM.fullmatch(concept)]
        wrong = next((concept for concept in odd if not CONCEPT_FORM.fullmatch(concept.upper())), None)
        if wrong is not None:
            hint = "concepts are C and 7 digits, with semicolons between them"
            self.report.error("CONCEPT-FORM", "not a concept", line=number, id=shown, value=shorten(wrong), hint=hint)
        elif odd:
            hint = "case makes no difference to the score"
            self.report.warning("CONCEPT-FORM", "lower case", line=number, id=shown, value=shorten(odd[0]), hint=hint)
        kept = without_repeats(concepts)
        if len(kept) < len(concepts):
            count = len(concepts) - len(kept)
            what = f"{count} repeated concept{'s' if count > 1 else ''}"
            self.report.warning("DUPLICATE-CONCEPT", what, line=number, id=shown, hint="each counts once")
        return kept


def _bare_id(name: str) -> str:
    """Return an id without blanks, quotes and the extension of an image."""
    bare = name.strip()
    if is_quoted(bare):
        bare = bare[1:-1].strip()
    suffix = next((each for each in IMAGE_SUFFIXES if bare.lower().endswith(each)), "")
    return bare[: len(bare) - len(suffix)]


def _fits_concepts(fields: list[str]) -> bool:
    return len(fields) == 2 and _fits_caption(fields) and _FIRST_CONCEPT.match(fields[1].lstrip('"')) is not None


def _fits_caption(fields: list[str]) -> bool:
    return len(fields) > 1 and re.fullmatch(r"\S+", fields[0].strip()) is not None


def _is_spreadsheet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in _SPREADSHEETS
    except (OSError, ValueError):
        return False  # reading it says what is wrong


def _find_images(folder: Path) -> dict[str, list[str]]:
    """Return the ids of the images in each folder of images beside a file."""
    try:
        folders = [each for each in folder.iterdir() if "images" in each.name.lower() and each.is_dir()]
        found = {each.name: [file.stem for file in each.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES] for each in folders}
    except (OSError, ValueError):
        return {}
    return {name: ids for name, ids in found.items() if ids}
