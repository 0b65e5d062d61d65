"""Truths and predictions of the caption tasks, and the reader of the concept and caption files as distributed.

Of the caption files of 2021 neither the names nor a line are known: that they look like the concept files, with a caption in
the second field, is inferred.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path

from baselines.core.files import Report, read_text, show_id, sniff_separator, write_atomic
from baselines.core.findings import Findings, shorten
from baselines.core.forms import Form, form_of
from baselines.core.metrics.text import content_words

CONCEPTS = "caption-concepts"
CAPTIONS = "caption-prediction"

SEPARATORS = "\t|,"  # between id and content; TAB is the campaign's
CONCEPT_FORM = re.compile(r"C[0-9]{7}")

_LISTED_IDS = 10
_SNIFFED_LINES, _SNIFFED_LENGTH = 2000, 1000
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_SPREADSHEETS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # how .xlsx and .xls start
_FIRST_CONCEPT = re.compile(r"\s*C[0-9]{7}\s*(;|$)", re.IGNORECASE)
_HEADER_IDS = frozenset("id ids image images imageid image_id img imgid img_id file filename file_name name".split())
_UNWRITABLE = re.compile("[\r\n\0\ud800-\udfff]")  # line ends, and what UTF-8 or a reader of text doesn't take


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
    """

    id: str
    concepts: tuple[str, ...] = ()
    caption: str = ""


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by id, and the task, which says whether concepts or captions count."""

    truths: Mapping[str, Truth]
    task: str


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
    report = Report(findings, str(path), "DATA")
    if _is_spreadsheet(path):
        report.error("XLSX", "this is a spreadsheet, not text", hint="export it as UTF-8 text with TAB between the columns")
        return TruthSet({}, task)
    separator = sniff_separator(path, SEPARATORS, _fits_concepts if task == CONCEPTS else _fits_caption)
    if not _is_own(path, task, report):
        return TruthSet({}, task)
    reader = _Reader(task, separator, _find_images(path.parent), report)
    for number, line in read_text(path, findings, "DATA"):
        reader.read(line, number)
    reader.finish()
    return TruthSet(reader.truths, task)


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
    if name[:80].strip(' \t"').lower().replace(" ", "_") in _HEADER_IDS:
        return True
    return bool(content.strip()) and not re.search("[0-9]", name[:200]) and not re.search("[0-9]", content)


def is_quoted(field: str) -> bool:
    """Whether a field has quotes around it."""
    return len(field) > 1 and field[0] == field[-1] == '"'


def is_writable(name: str, content: str) -> bool:
    """Whether an id and a content can stand in a line: no line ends, no NUL, nothing that UTF-8 can't hold; ids as usual."""
    has_name = bool(name) and not name.startswith("\N{ZERO WIDTH NO-BREAK SPACE}") and not re.search(r"[\s|,]", name)
    return has_name and not _UNWRITABLE.search(name + content)


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
        report.warning("NO-TRUTH", what, hint="the scores mean nothing if it isn't")
    return not is_other


class _Reader:
    """Collects the truths of a file, line by line."""

    def __init__(self, task: str, separator: str, images: Mapping[str, list[str]], report: Report) -> None:
        self.task, self.separator, self.report = task, separator, report
        self.folders, self.images = images, frozenset(name for names in images.values() for name in names)
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
            if is_header(name, looked_at, known=self.images):
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

    def finish(self) -> None:
        """Compare the ids with the images beside the file, where there are some."""
        if not self.images:
            return
        hint = "it is scored, but can't be predicted"
        for name in self.truths.keys() - self.images:
            self.report.warning("ID-NO-IMAGE", "the image is missing", line=self.lines[name], id=show_id(name), hint=hint)
        without = sorted(self.images - self.truths.keys())
        if without and len(self.folders) == 1:  # of several folders some belong to other files
            what = f"no line for {len(without)} of the images in {show_id(*self.folders)}"
            listed = ", ".join(map(show_id, without[:_LISTED_IDS])) + (", …" if len(without) > _LISTED_IDS else "")
            self.report.warning("ID-NO-LABEL", what, value=listed, hint="they don't count")

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
    suffix = next((each for each in _IMAGE_SUFFIXES if bare.lower().endswith(each)), "")
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
        found = {
            each.name: [file.stem for file in each.iterdir() if file.suffix.lower() in _IMAGE_SUFFIXES] for each in folders
        }
    except (OSError, ValueError):
        return {}
    return {name: ids for name, ids in found.items() if ids}
