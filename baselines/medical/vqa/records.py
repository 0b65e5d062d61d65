"""Truths and predictions of the VQA-Med tasks, and the reader of the text files as distributed.

The files come in several layouts that only their content tells apart; the reader says which it took a file for. Texts are kept
as written: normalising belongs to the score.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.core.files import Report, Tally, fits_line, names_ids, read_text, sniff_separator
from baselines.core.findings import Findings, Severity, UsageError, invalid, shorten, show_id
from baselines.core.forms import Form, form_of, is_question
from baselines.core.outputs import write_atomic
from baselines.core.runs import Code
from baselines.medical import splits
from baselines.medical.archives import Archive, ambiguous, images_of, missing, open_archive
from baselines.medical.signs import SIGNS

SEPARATORS = ("|", "\t", ",")  # the campaign's own first; copies have the others
ALTERNATIVES = "#"  # between the answers of an image, in files of 2019 alone

_SNIFFED_LINES, _SNIFFED_LENGTH = 2000, 1000
_COMMA = re.compile(r",(?![ \u00a0])")  # a comma before a blank belongs to the text

# What the reader finds beside what all readers do; of several severities the one that a release is held to.
CODES: dict[str, Code] = {
    "DATA-DIVIDED": Code(
        Severity.INFO, "a part of training is held out, since there is no validation set", "the training set alone"
    ),
    "DATA-ID-BLANKS": Code(Severity.WARNING, "blanks around an id; they are left out", "synpic1 |x"),
    "DATA-ID-REPEATED": Code(
        Severity.INFO, "several lines of an image; their questions are collected (vqg)", "two lines of one image"
    ),
    "DATA-LAYOUT": Code(Severity.INFO, "the file has another layout than that of 2021", "questions and answers as in 2019"),
    "DATA-OTHER-YEAR": Code(Severity.INFO, "a file of another year is left out", "VQA-Med-2018"),
    "DATA-QUESTION-DUPLICATE": Code(Severity.WARNING, "a question twice for an image; it counts once", "a?|a?"),
    "DATA-QUESTION-FORM": Code(Severity.INFO, "questions without question mark", "is this a ct"),
    "DATA-TEXT": Code(
        Severity.ERROR, "a truth that can't be written: a text is empty or holds a separator", "a|b as an answer"
    ),
    "DATA-TEXT-CASE": Code(Severity.INFO, "capital letters in answers", "a CT"),
    "DATA-TEXT-CHAR": Code(
        Severity.INFO, "no-break spaces, curly quotes, control characters, double or outer blanks, final periods", "hodgkin’s"
    ),
    "DATA-EMPTY-REFERENCE": Code(
        Severity.WARNING, "a text that is empty, or empty when cleaned; for the reader an error where none is left", "synpic1|"
    ),
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one image.

    Attributes:
        id: Image id, without extension.
        texts: Reference answers (``vqa``) or reference questions (``vqg``), as written.
        question: The question that is answered, where the file has it.
        category: The category of the question, in files of 2019.
    """

    id: str
    texts: tuple[str, ...]
    question: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run says about one image.

    Attributes:
        id: Image id.
        texts: One answer (``vqa``), or any number of questions (``vqg``), as written.
        attention: Where the model looked for each word between blanks of the first question, ``(words, h, w)`` (``vqg``), or
            what speaks for the answer as a whole, ``(1, h, w)`` (``vqa``): a grid over the image in the middle of a square; for
            the pictures alone, and not part of a run.
    """

    id: str
    texts: tuple[str, ...]
    attention: NDArray[np.float16] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TruthSet:
    """The ground truth of a split: truths by id, and the task, which decides what a run may hold."""

    truths: Mapping[str, Truth]
    task: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and, where the split has them, its question and what is true.

    Attributes:
        id: Image id, without extension.
        image: Path of the image file; decoded without EXIF rotation.
        question: The question to answer (``vqa``); empty where no file has it, and for ``vqg``.
        truth: What is true of it; ``None`` in a test set.
    """

    id: str
    image: Path
    question: str
    truth: Truth | None


Split = splits.Split[Sample, TruthSet]


class Layout(StrEnum):
    """What a file can be; the value says it in words."""

    PAIRS = "questions with an answer each (id|question|answer)"
    REFERENCES = "reference answers (id|answer|…)"
    CATEGORIES = "questions and answers as in 2019 (id|category|question|answer#…)"
    QUESTIONS = "questions (id|question|…)"
    IDS = "ids alone, one a line"
    JSON = "JSON"


class _Fields(NamedTuple):
    """How many fields a line has, and where its question and its first text are."""

    least: int
    most: int | None
    question: int | None
    texts: int


_FIELDS = {
    Layout.PAIRS: _Fields(3, 3, 1, 2),
    Layout.CATEGORIES: _Fields(4, 4, 2, 3),
    Layout.REFERENCES: _Fields(2, None, None, 1),
    Layout.QUESTIONS: _Fields(2, None, None, 1),
}


def is_writable(text: str) -> bool:
    """Whether a text can stand in a field."""
    return fits_line(text, "|")


# ------------------------------------------------------------------------------------------------------------- reading


def read_truth(path: Path, task: str, findings: Findings) -> TruthSet:
    """Read a ground-truth file, whichever of the campaign's layouts it has.

    For ``vqa`` these are reference answers, questions with answers (also with the categories of 2019); for ``vqg`` reference
    questions, on one line an image or several. Copies with TAB or comma are read, too.

    Args:
        path: The file.
        task: ``vqa`` or ``vqg``.
        findings: Where everything noteworthy is reported, with ``DATA`` codes; errors mean that the truths are not to be used.

    Returns:
        The truths in the order of the file.
    """
    report = Report(findings, str(path), "DATA")
    separator = sniff_separator(path, SEPARATORS, lambda fields: len(fields) > 1)
    lines = _first_lines(path, separator)
    layout = _sniff_layout(lines)
    if layout is not None:
        if not (_is_truth(layout, task, report) and _is_own(lines, layout, task, report)):
            return TruthSet({}, task)
        _tell_layout(layout, task, report)
    if separator != SEPARATORS[0]:
        hint = "commas before a blank are taken as text; better get the original" if separator == "," else ""
        report.warning("SEPARATOR", "the fields are not separated by |", value=shorten(separator), hint=hint)
    reader = _Reader(layout or Layout.REFERENCES, task, separator, report)
    for number, line in read_text(path, findings, "DATA"):
        reader.read_line(number, line)
    reader.tell()
    return TruthSet(reader.truths, task)


def _splitter(separator: str) -> Callable[[str], list[str]]:
    return _COMMA.split if separator == "," else lambda line: line.split(separator)


def _first_lines(path: Path, separator: str) -> list[list[str]]:
    """Return the fields of the first lines, but for a header, empty lines and what is far behind in a line."""
    split = _splitter(separator)
    found = islice(read_text(path, Findings(), "DATA"), _SNIFFED_LINES)
    lines = [split(line[:_SNIFFED_LENGTH]) for _, line in found if line.strip()]
    return (lines[names_ids(lines[0][0]) :] or lines) if lines else []


def _sniff_layout(lines: list[list[str]]) -> Layout | None:
    """Return the layout of most of the first lines; ``None`` if there are none."""
    if not lines:
        return None
    if lines[0][0].lstrip().startswith(("{", "[")):
        return Layout.JSON
    counts = Counter(map(_layout_of, lines))
    return max(Layout, key=lambda layout: counts[layout])  # of equals the first


def _layout_of(fields: list[str]) -> Layout:
    """Return what a line alone would be taken for."""
    asks = [is_question(field) for field in fields[1:]]
    if not asks:
        return Layout.IDS
    if asks == [False, True, False]:
        return Layout.CATEGORIES
    if len(asks) > 1 and asks[0] and not any(asks[1:]):
        return Layout.PAIRS
    return Layout.QUESTIONS if 2 * sum(asks) > len(asks) else Layout.REFERENCES


def _is_truth(layout: Layout, task: str, report: Report) -> bool:
    """Whether a file of this layout holds a truth of the task; says so if not."""
    if layout in {Layout.IDS, Layout.JSON} or (task, layout) == ("vqa", Layout.QUESTIONS):
        wanted = "the reference answers, or questions with answers" if task == "vqa" else "the reference questions"
        report.error("NO-TRUTH", f"the file holds no truth of {task}: this looks like {layout}", hint=f"give {wanted}, as text")
        return False
    return True


def _is_own(lines: list[list[str]], layout: Layout, task: str, report: Report) -> bool:
    """Whether the texts may be the task's; says so where they are another's, for sure or in all likelihood."""
    if layout == Layout.REFERENCES:
        texts = [text for fields in lines for text in fields[1:]]
        form = form_of(texts)
        if task == "vqg" and not any(map(is_question, texts)):
            what = f"none of the texts is a question: these look like {form or 'reference answers'}"
            report.error("NO-TRUTH", what, hint="give the reference questions, as text")
            return False
        if form == Form.CONCEPTS:
            report.error("NO-TRUTH", f"these are {form}, as in caption-concepts", hint=f"give the truth of {task}")
            return False
        if task == "vqa" and form in {Form.NUMBERS, Form.CAPTIONS}:
            what = f"the texts look like {form}, not like answers: is this the truth of {task}?"
            report.warning("OTHER-TASK", what, hint="the scores mean nothing if it isn't")
    return True


def _tell_layout(layout: Layout, task: str, report: Report) -> None:
    """Say what the file is taken for, where it isn't the usual one."""
    if layout == Layout.CATEGORIES:
        report.info("LAYOUT", f"the file is taken for {layout}")
    if task == "vqg" and layout != Layout.QUESTIONS:
        hint = "the texts are taken as questions" if layout == Layout.REFERENCES else "answers are left out"
        report.warning("LAYOUT-UNVERIFIED", "not a layout of the campaign's question files that is known", hint=hint)


class _Reader:
    """Collects the truths of a file line by line."""

    def __init__(self, layout: Layout, task: str, separator: str, report: Report) -> None:
        self.layout, self.task, self.report = layout, task, report
        self.split = _splitter(separator)
        self.truths: dict[str, Truth] = {}
        self.oddities = _Oddities()
        self._folded: dict[str, str] = {}
        self._repeated = 0
        self._is_first = True

    def read_line(self, number: int, line: str) -> None:
        """Add the truth of one line, or report why there is none."""
        if not line.strip():
            self.report.info("BLANK-LINE", "an empty line is skipped", line=number)
            return
        fields, is_first, self._is_first = self.split(line), self._is_first, False
        if is_first and names_ids(fields[0]):
            self.report.warning("HEADER", "the first line is taken for a header and skipped", line=number, value=shorten(line))
            return
        truth = self._truth(number, fields)
        if truth is not None and self._is_new(number, truth):
            self.truths[truth.id] = truth

    def _truth(self, number: int, fields: list[str]) -> Truth | None:
        form, name = _FIELDS[self.layout], self._name(number, fields[0])
        if len(fields) < form.least:
            expected = f"expected {form.least}{'' if form.most else ' or more'}, as in {self.layout}"
            what = f"the line has {len(fields)} of its fields" if len(fields) > 1 else "the line has one field"
            self.report.error("FIELDS", what, line=number, id=show_id(name), hint=expected)
            return None
        if form.most and len(fields) > form.most:
            what = f"the line has {len(fields)} fields"
            hint = f"expected {form.most}, as in {self.layout}: is there a separator inside the question or the answer?"
            self.report.error("SEPARATOR-IN-FIELD", what, line=number, id=show_id(name), hint=hint)
            return None
        question = "" if form.question is None else fields[form.question]
        category = fields[1] if self.layout == Layout.CATEGORIES else ""
        if self.task == "vqg" and form.question is not None:
            written, question, category = [question], "", ""
        else:
            written = fields[form.texts].split(ALTERNATIVES) if self.layout == Layout.CATEGORIES else fields[form.texts :]
        texts = tuple(text if self.layout == Layout.PAIRS else text.strip() for text in written if text.strip())
        if len(texts) < len(written):
            severity = Severity.WARNING if texts else Severity.ERROR
            hint = "it is left out" if texts else f"an image without {self._noun} can't be scored"
            self.report.add(severity, "EMPTY-REFERENCE", f"an empty {self._noun}", line=number, id=show_id(name), hint=hint)
        for text in written:
            self.oddities.add(number, text, is_question=self.task == "vqg")
        return Truth(name, texts, question, category) if texts else None

    @property
    def _noun(self) -> str:
        return "answer" if self.task == "vqa" else "question"

    def _name(self, number: int, written: str) -> str:
        name = written.strip()
        if name != written:
            self.report.warning("ID-BLANKS", "blanks around the id are left out", line=number, value=shorten(written))
        return name

    def _is_new(self, number: int, truth: Truth) -> bool:
        """Whether the id is new; if not, an error, or (``vqg``) its questions join those that it has."""
        known = self.truths.get(truth.id)
        same = self._folded.setdefault(_fold(truth.id), truth.id)
        if same != truth.id:
            what = "the id differs from another only in case or extension"
            self.report.warning("ID-CASE", what, line=number, id=show_id(truth.id), value=shorten(same))
        if known is None:
            return True
        if self.task == "vqg":
            self.truths[truth.id] = replace(known, texts=known.texts + truth.texts)
            self._repeated += 1
        else:
            hint = "keep one of the lines"
            self.report.error("ID-DUPLICATE", "the image has an answer already", line=number, id=show_id(truth.id), hint=hint)
        return False

    def tell(self) -> None:
        """Report what is said once a file."""
        self.oddities.tell(self.report)
        if self._repeated:
            what = f"{self._repeated} lines repeat an id"
            self.report.info("ID-REPEATED", what, hint="the questions of an image are collected")
        if self.task == "vqg":
            for truth in self.truths.values():
                if len({_plain_text(text) for text in truth.texts}) < len(truth.texts):
                    hint = "it counts once"
                    self.report.warning("QUESTION-DUPLICATE", "the same question twice", id=show_id(truth.id), hint=hint)


def _fold(name: str) -> str:
    return re.sub(r"\.[a-z]{3,4}$", "", name.lower())


def _plain_text(text: str) -> str:
    return " ".join(text.lower().split())


class _Oddities:
    """Counts texts that are odd but usable, and says once a file how many there are of each kind and where the first is."""

    _SIGNS = (
        ("QUOTING", Severity.WARNING, "quotes left over from CSV", re.compile(r'^\s*".*"\s*$|""', re.DOTALL)),
        *SIGNS,
        ("TEXT-CHAR", Severity.INFO, "a final period", re.compile(r"\.\s*$")),
    )
    _CASE = ("TEXT-CASE", Severity.INFO, "capital letters", re.compile("[A-Z]"))
    _FORM = ("QUESTION-FORM", Severity.INFO, "no question mark at the end", re.compile(r"[^?\s]\s*$"))

    def __init__(self) -> None:
        self.tallies: defaultdict[tuple[str, Severity, str], Tally] = defaultdict(Tally)

    def add(self, number: int, text: str, *, is_question: bool) -> None:
        """Count a text."""
        for rule, severity, what, sign in (*self._SIGNS, self._FORM if is_question else self._CASE):
            if sign.search(text):
                self.tallies[rule, severity, what].add(number, shorten(text))

    def tell(self, report: Report) -> None:
        """Report the counts."""
        for (rule, severity, what), texts in self.tallies.items():
            message = f"{texts.count} {'text has' if texts.count == 1 else 'texts have'} {what}"
            texts.tell(report, severity, rule, message, "kept as written")


# -------------------------------------------------------------------------------------------------------------- splits

ARCHIVE_MARKS = re.compile("vqa|vqg|imageclef", re.IGNORECASE)
_TASKS = {
    "vqg": re.compile("vqg|generation|task-?2"),
    "vqa": re.compile("answer|qa_?pairs|task-?1|vqa-500|c[1-4]_"),
}
_SETS = {
    "train": re.compile("train"),
    "val": re.compile("valid|(^|[^a-z])val([^a-z]|$)"),
    "test": re.compile("test|vqa-500"),
}
_YEARS = {year: re.compile(f"{year}|newvalidation" if year == "2021" else year) for year in ("2018", "2019", "2020", "2021")}
_TRUTH_LAYOUTS = {"vqa": {Layout.PAIRS, Layout.CATEGORIES}, "vqg": {Layout.QUESTIONS}}
_LOOKED_AT = 50  # lines that say what a file holds


@dataclass(frozen=True, slots=True)
class _File:
    """A text file: what its path says of the task, the set and the year, and its layout."""

    path: Path
    set: str
    year: str
    layout: Layout


def read_split(root: Path, task: str, split: str, findings: Findings, *, split_seed: int = 0, val_share: float = 0.2) -> Split:
    """Read one split of the campaign of 2021, from archives that may be nested, renamed or copied without their folders.

    Training are the training and the validation set of 2020, validation is that of 2021. What a file holds is told by its
    content; the task, the set and the year by the words of its path, the deepest first. Sets of other years are left out, and
    of the training images those that are in validation, too.

    Args:
        root: The data root, which holds ``medical/vqa``; that folder itself will do.
        task: ``vqa`` or ``vqg``.
        split: ``train``, ``val`` or ``test``.
        findings: Where everything noteworthy is reported, as by :func:`read_truth`.
        split_seed: Seed of the division where there is no validation set of 2021: what there is of 2020 is then divided.
        val_share: Share of the images that this holds out.

    Raises:
        InvalidInput: If the files are not there, or several could be meant; the message says what to do.
        UsageError: If there is no such split.
    """
    if split not in _SETS:
        raise UsageError(f"no split {split!r}: the splits are {', '.join(_SETS)}")
    archive = open_archive(root, task, "vqa", ARCHIVE_MARKS, findings)
    files = _files_of(archive, task, findings)
    if split == "test":
        return _read_test(root, archive, files, task, findings)
    development = [file for file in files if file.set != "test" and file.layout in _TRUTH_LAYOUTS[task]]
    train = [file for file in development if (file.year, file.set) != ("2021", "val")]
    held_out = [file for file in development if (file.year, file.set) == ("2021", "val")]
    if not train:
        raise missing(root, task, f"no {'questions with answers' if task == 'vqa' else 'questions'} to train on", "vqa")
    _refuse_copies(archive, [*train, *held_out])
    truths, images = _read_files(archive, held_out if split == "val" and held_out else train, task, findings)
    if not held_out:
        hint = "data.split_seed and data.val_share decide which images are held out"
        what = "no validation set of 2021: what is there of 2020 is divided"
        Report(findings, str(archive.folder), "DATA").info("DIVIDED", what, hint=hint)
        truths = {name: truths[name] for name in splits.divide(list(truths), val_share, split_seed)[split == "val"]}
    elif split == "train":
        held_out_ids = _read_files(archive, held_out, task, Findings())[0].keys()
        truths = splits.without_held_out(truths, held_out_ids, train[0].path, findings)
    samples = tuple(
        Sample(name, images[name], truth.question, truth) for name, truth in sorted(truths.items()) if name in images
    )
    return Split(split, samples, TruthSet(truths, task))


def _files_of(archive: Archive, task: str, findings: Findings) -> list[_File]:
    """Return the text files of a task, but for those of other years, which are reported."""
    found = []
    for path in archive.texts:
        year = archive.first_match(path, _YEARS)
        if archive.first_match(path, _TASKS) not in (task, ""):
            continue
        if year in {"2018", "2019"}:
            what = f"a file of {year} is left out: the campaign of 2021 builds on 2020"
            Report(findings, str(path), "DATA").info("OTHER-YEAR", what)
            continue
        separator = sniff_separator(path, SEPARATORS, lambda fields: len(fields) > 1)
        layout = _sniff_layout(_first_lines(path, separator)[:_LOOKED_AT])
        if layout is not None:
            found.append(_File(path, archive.first_match(path, _SETS), year, layout))
    return found


def _refuse_copies(archive: Archive, files: Iterable[_File]) -> None:
    """Raise ``InvalidInput`` if a set has several files that could be meant."""
    sets: dict[tuple[str, str], list[Path]] = {}
    for file in files:
        sets.setdefault((file.year, file.set), []).append(file.path)
    for (year, name), paths in sets.items():
        if len(paths) > 1:
            raise ambiguous(archive, " ".join(f"files of the {name} set {year}".split()), paths)


def _read_files(
    archive: Archive, files: Iterable[_File], task: str, findings: Findings
) -> tuple[dict[str, Truth], dict[str, Path]]:
    """Return the truths of some files and the images of those that have one; an id in two files is reported."""
    truths: dict[str, Truth] = {}
    images: dict[str, Path] = {}
    for file in files:
        read = read_truth(file.path, task, findings).truths
        named = {name: truth for name, truth in read.items() if name not in truths}
        for name in read.keys() - named.keys():
            what = "the image is in an earlier file, too"
            report = Report(findings, str(file.path), "DATA")
            report.warning("SPLIT-ID", what, id=show_id(name), hint="the earlier file counts")
        truths |= named
        images |= images_of(archive, named, file.path, findings)
    return truths, images


def _read_test(root: Path, archive: Archive, files: Iterable[_File], task: str, findings: Findings) -> Split:
    """Read the test set of 2021: the ids of its file of questions (``vqa``) or of ids (``vqg``), or of its references."""
    wanted = (Layout.QUESTIONS, Layout.REFERENCES) if task == "vqa" else (Layout.IDS, Layout.QUESTIONS)
    tests = [file for file in files if file.set == "test" and file.year != "2020" and file.layout in wanted]
    if not tests:
        raise missing(root, task, f"no {'questions' if task == 'vqa' else 'ids'} of the test set", "vqa")
    chosen = min(tests, key=lambda file: wanted.index(file.layout))
    questions = _read_test_file(chosen, findings)
    images = images_of(archive, questions, chosen.path, findings)
    samples = tuple(
        Sample(name, images[name], question if task == "vqa" else "", None)
        for name, question in sorted(questions.items())
        if name in images
    )
    return Split("test", samples, truths_of_ids(questions, task))


def _read_test_file(file: _File, findings: Findings) -> dict[str, str]:
    """Return the question of each id of a file, empty where it has none."""
    report = Report(findings, str(file.path), "DATA")
    separator = sniff_separator(file.path, SEPARATORS, lambda fields: len(fields) > 1)
    split = _splitter(separator)
    questions: dict[str, str] = {}
    for number, line in read_text(file.path, findings, "DATA"):
        name, *texts = split(line)
        name = name.strip()
        if not name or (not questions and names_ids(name)):
            continue
        if name in questions:
            hint = "the first line counts"
            report.warning("ID-DUPLICATE", "the image is on an earlier line", line=number, id=show_id(name), hint=hint)
        else:
            questions[name] = texts[0] if texts and file.layout == Layout.QUESTIONS else ""
    return questions


# ------------------------------------------------------------------------------------------------------------- writing


def truths_of_ids(ids: Iterable[str], task: str) -> TruthSet:
    """Return truths without texts, to hold a run against ids alone."""
    return TruthSet({name: Truth(name, ()) for name in ids}, task)


def write_truth(path: Path, truth_set: TruthSet) -> None:
    """Write a ground-truth file, whole or not at all, in the layout that holds the most: references if there are no questions.

    Raises:
        InvalidInput: If an id or text can't stand in the file, such as one with a separator or without content.
    """
    truths = list(truth_set.truths.values())
    has_questions = any(truth.question for truth in truths)
    is_2019 = any(truth.category or (truth.question and len(truth.texts) > 1) for truth in truths)
    lines = []
    for truth in truths:
        fields = [truth.id, *truth.texts]
        if is_2019:
            fields = [truth.id, truth.category, truth.question, ALTERNATIVES.join(truth.texts)]
        elif has_questions:
            fields = [truth.id, truth.question, *truth.texts]
        texts_fit = truth.texts and all(text.strip() and not (is_2019 and ALTERNATIVES in text) for text in truth.texts)
        if not (texts_fit and all(map(is_writable, fields))):
            hint = "a text is not empty and holds no separator and no line end"
            raise invalid("DATA-TEXT", f"the truth of {shorten(truth.id)} can't be written", file=path, hint=hint)
        lines.append("|".join(fields) + "\n")
    write_atomic(path, "".join(lines))
