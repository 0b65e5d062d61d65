"""The run formats of the caption tasks: one line an image, ``synpic100132|C0040398;C0006141`` or ``synpic100132|a caption``.

A run is held to every rule of :data:`CODES`, all at once. They follow the organisers' evaluators of 2018 and 2022; that of 2021
is not public, and its greatest number of concepts is not known: 100 is that of 2022.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from baselines.core.files import Report
from baselines.core.findings import Findings, Severity, UsageError, shorten, show_id
from baselines.core.outputs import write_atomic
from baselines.core.runs import FILE_CODES, ID_CODES, LINE_CODES, TEXTS_TOO_LARGE, Code, IdCheck, TextBudget, read_run_lines
from baselines.medical.caption.records import (
    CAPTIONS,
    CONCEPT_FORM,
    CONCEPTS,
    Prediction,
    TruthSet,
    is_header,
    is_quoted,
    is_writable,
    split_concepts,
    without_repeats,
)

MAX_CONCEPTS = 100

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

# Every code a run can get: how bad it is, what it means, and an example of what is wrong.
CODES: dict[str, Code] = {
    **FILE_CODES,
    **ID_CODES,
    **LINE_CODES,
    "RUN-TOO-LARGE": TEXTS_TOO_LARGE,
    "RUN-SEPARATOR": Code(_WARNING, "TAB where | belongs", "synpic00001\\tC0040398"),
    "RUN-FIELDS": Code(_ERROR, "concepts: more than two fields; captions: not two, the rest would be cut", "synpic00001|a|b"),
    "RUN-HEADER": Code(_ERROR, "the first line is a header", "ID|CUIs"),
    "RUN-QUOTED": Code(_WARNING, "quotes around a field", 'synpic00001|"a caption"'),
    "RUN-EMPTY-CONCEPT": Code(_ERROR, "concepts: nothing between or behind semicolons", "synpic00001|C0040398;"),
    "RUN-CONCEPT-FORM": Code(_WARNING, "concepts: not C and 7 digits, in upper case and without blanks", "synpic00001|c40398"),
    "RUN-DUPLICATE-CONCEPT": Code(_ERROR, "concepts: one twice in an image, also by case", "synpic00001|C0040398;c0040398"),
    "RUN-TOO-MANY-CONCEPTS": Code(_ERROR, f"concepts: more than {MAX_CONCEPTS} (or --max-concepts) in an image", "101 of them"),
    "RUN-UNKNOWN-CONCEPT": Code(
        _WARNING, "concepts: not in the development set; looked at only if its concept files are given", "synpic00001|C9999999"
    ),
    "RUN-NO-CONCEPT": Code(_WARNING, "concepts: the image has none; it scores 0", "synpic00001|"),
    "RUN-EMPTY-CAPTION": Code(_WARNING, "captions: an empty one; it scores 0 unless the truth is empty, too", "synpic00001|"),
}

_REPLACED = re.compile("[\t\r\n\0|\ud800-\udfff]")  # characters that a caption can't hold


def read_run(
    path: Path,
    truth_set: TruthSet,
    findings: Findings,
    *,
    allow_missing: bool = False,
    max_concepts: int = MAX_CONCEPTS,
    vocabulary: Collection[str] | None = None,
) -> dict[str, Prediction]:
    """Read a run and report everything that is wrong with it.

    Args:
        path: The run file.
        truth_set: The images; their concepts and captions are not looked at.
        findings: Where everything is reported; the codes are in :data:`CODES`.
        allow_missing: Whether images without a line are a warning, not an error; they score 0 then.
        max_concepts: How many concepts an image may have (``caption-concepts``).
        vocabulary: The concepts of the development set, in upper case (``caption-concepts``); see
            :func:`~baselines.medical.caption.records.read_vocabulary`. Others are reported only where it is given: the truth
            can't say, since it needn't show all concepts.

    Returns:
        The predictions of the lines whose id and fields are in order, by id, in the order of the file. If there are errors it
        is not the whole run.

    Raises:
        UsageError: If ``max_concepts`` is no positive number, or an option of concepts is given for captions.
    """
    if max_concepts < 1:
        raise UsageError(f"max_concepts is at least 1 (saw {max_concepts})")
    if truth_set.task != CONCEPTS and (max_concepts != MAX_CONCEPTS or vocabulary is not None):
        raise UsageError(f"runs of {truth_set.task} have no options --max-concepts and --vocabulary")
    report = Report(findings, str(path), "RUN")
    judge = _Judge(truth_set, report, max_concepts, vocabulary)
    for number, line in read_run_lines(path, findings):
        judge.read(line, number)
        if judge.is_over:
            break
    judge.finish(allow_missing=allow_missing)
    return judge.predictions


class _Judge:
    """Holds the lines of a run to the rules, and keeps the predictions."""

    def __init__(self, truth_set: TruthSet, report: Report, max_concepts: int, vocabulary: Collection[str] | None) -> None:
        self.truths, self.task, self.report = truth_set.truths, truth_set.task, report
        self.max_concepts, self.vocabulary = max_concepts, vocabulary
        self.ids = IdCheck(self.truths, report, unit="image", entry="line")
        self.predictions: dict[str, Prediction] = {}
        self.budget, self.is_over = TextBudget(len(self.truths)), False
        self.is_first = True
        self.tab_lines = 0
        self.first_tab_line = 0

    def read(self, line: str, number: int) -> None:
        """Take one line."""
        is_first, self.is_first = self.is_first, False
        separator = self._separator(line, number)
        fields = line.split(separator, 2)
        # Behind a comma there is no content, but what is before it is the id that was meant.
        name, content = fields[:2] if len(fields) > 1 else line.partition(",")[::2]
        if is_first and is_header(name, content if self.task == CONCEPTS else "", known=self.truths):
            self.report.error("HEADER", "a run has no header", line=number, value=shorten(line), hint="delete the line")
            return
        is_accepted = self.ids.accepts(name, number)
        if not self._has_fields(fields, line, number):
            return
        if any(map(is_quoted, fields)):
            hint = "the campaign's format has none, they are part of the field"
            self.report.warning("QUOTED", "quotes around a field", line=number, id=show_id(name), hint=hint)
        prediction = self._prediction(name, content, number)
        if is_accepted:
            self.predictions[name] = prediction

    def finish(self, *, allow_missing: bool) -> None:
        """Report what only the whole run shows."""
        if self.tab_lines:
            what = f"a TAB behind the id in {self.tab_lines} line{'s' if self.tab_lines > 1 else ''}"
            self.report.warning("SEPARATOR", what, line=self.first_tab_line, hint="write | as in 2021")
        self.ids.finish(severity=_WARNING if allow_missing else _ERROR, consequence="they score 0")

    def _separator(self, line: str, number: int) -> str:
        """Return what stands behind the id: whichever of ``|`` and TAB comes first."""
        tab, bar = line.find("\t"), line.find("|")
        if tab < 0 or 0 <= bar < tab:
            return "|"
        self.first_tab_line = self.first_tab_line or number
        self.tab_lines += 1
        return "\t"

    def _has_fields(self, fields: list[str], line: str, number: int) -> bool:
        if len(fields) > 2:
            what = "more than two fields"
            hint = "concepts are separated by ;" if self.task == CONCEPTS else "the rest would be cut: write a blank instead"
        elif len(fields) < 2 and (self.task != CONCEPTS or "," in line):
            what = "there is no separator"
            hint = f"write {'ID|CONCEPT;CONCEPT' if self.task == CONCEPTS else 'ID|CAPTION'}"
            hint += ", with | for the comma" if "," in line else ""
        else:
            return True
        self.report.error("FIELDS", what, line=number, value=shorten(line), hint=hint)
        return False

    def _prediction(self, name: str, content: str, number: int) -> Prediction:
        if self.task == CONCEPTS:
            return Prediction(name, concepts=self._concepts(name, content, number))
        over = self.budget.why_over(content)
        if over:
            self.is_over = True
            self.report.error("TOO-LARGE", over, line=number, id=show_id(name), hint="write shorter captions")
        if not content.strip():
            hint = "it scores 0 unless the truth is empty, too"
            self.report.warning("EMPTY-CAPTION", "the caption is empty", line=number, id=show_id(name), hint=hint)
        return Prediction(name, caption=content)

    def _concepts(self, name: str, field: str, number: int) -> tuple[str, ...]:
        """Return the concepts of a line, without repeats and those beyond the greatest number, which are not looked at."""
        shown = show_id(name)
        if not field.strip():
            hint = "the image scores 0 if it has a concept"
            self.report.warning("NO-CONCEPT", "the image has no concept", line=number, id=shown, hint=hint)
            return ()
        count = field.count(";") + 1
        if count > self.max_concepts:
            what, hint = f"{count} concepts", f"an image may have {self.max_concepts}: keep the surest"
            self.report.error("TOO-MANY-CONCEPTS", what, line=number, id=shown, hint=hint)
            field = ";".join(field.split(";", self.max_concepts)[: self.max_concepts])  # the rest may be huge
        concepts, empty = split_concepts(field)
        if empty:
            what = f"{empty} empty concept{'s' if empty > 1 else ''}"
            hint = "write ; between two concepts only"
            self.report.error("EMPTY-CONCEPT", what, line=number, id=shown, value=shorten(field), hint=hint)
        self._tell_form(shown, field, number)
        return tuple(self._distinct(shown, concepts, number))

    def _tell_form(self, shown: str, field: str, number: int) -> None:
        odd = [piece for piece in field.split(";") if piece and not CONCEPT_FORM.fullmatch(piece)]
        if odd:
            what = f"{len(odd)} concept{'s' if len(odd) > 1 else ''} not of the form C and 7 digits"
            hint = "case and blanks around it make no difference to the score here, but may do so elsewhere"
            self.report.warning("CONCEPT-FORM", what, line=number, id=shown, value=shorten(odd[0]), hint=hint)

    def _distinct(self, shown: str, concepts: list[str], number: int) -> list[str]:
        kept = without_repeats(concepts)
        if len(kept) < len(concepts):
            count = len(concepts) - len(kept)
            what = f"{count} repeated concept{'s' if count > 1 else ''}"
            first = Counter(map(str.upper, concepts)).most_common(1)[0][0]
            self.report.error(
                "DUPLICATE-CONCEPT",
                what,
                line=number,
                id=shown,
                value=shorten(first),
                hint="write each once; case doesn't count",
            )
        if self.vocabulary is not None:
            unknown = [concept for concept in kept if concept.upper() not in self.vocabulary]
            if unknown:
                what = f"{len(unknown)} concept{'s' if len(unknown) > 1 else ''} that the development set doesn't have"
                hint = "is it a typing error?"
                self.report.warning("UNKNOWN-CONCEPT", what, line=number, id=shown, value=shorten(unknown[0]), hint=hint)
        return kept


# ------------------------------------------------------------------------------------------------------------- writing


def write_run(path: Path, predictions: Iterable[Prediction], truth_set: TruthSet, *, max_concepts: int = MAX_CONCEPTS) -> None:
    """Write a run, whole or not at all; its lines follow the order of ``truth_set``.

    Of the concepts of an image those that differ in case at most are written once, and the first ``max_concepts``. In captions
    line ends, TAB, ``|`` and what UTF-8 can't hold become blanks.

    Args:
        path: The run file to make or replace.
        predictions: Exactly one of each image.
        truth_set: The images, and the task.
        max_concepts: How many concepts an image may have.

    Raises:
        InvalidInput: If an image is unknown, missing or there twice, or an id or a concept can't stand in a line; it lists all.
    """
    report = Report(Findings(), str(path), "RUN")
    ids = IdCheck(truth_set.truths, report, unit="image", entry="prediction")
    contents: dict[str, str] = {}
    for prediction in predictions:
        is_accepted = ids.accepts(prediction.id, None)
        content = _content(prediction, truth_set.task, max_concepts, report)
        if not is_writable(prediction.id, ""):
            report.error("FIELDS", "a line can't hold this id", id=show_id(prediction.id), hint="rename the image")
        if is_accepted:
            contents[prediction.id] = content
    ids.finish()
    report.findings.raise_errors()
    write_atomic(path, "".join(f"{name}|{contents[name]}\n" for name in truth_set.truths))


def _content(prediction: Prediction, task: str, max_concepts: int, report: Report) -> str:
    """Return what stands behind the separator."""
    if task == CAPTIONS:
        return _REPLACED.sub(" ", prediction.caption)
    for concept in prediction.concepts:
        if not concept or concept != concept.strip() or _REPLACED.search(concept) or ";" in concept:
            what, hint = "a line can't hold this concept", "write C and 7 digits"
            report.error("CONCEPT-FORM", what, id=show_id(prediction.id), value=shorten(concept), hint=hint)
    return ";".join(without_repeats(prediction.concepts)[:max_concepts])


def example_run(truth_set: TruthSet) -> str:
    """Return the text of a valid run: the same two concepts, or the same caption, for every image."""
    content = "C0040398;C0006141" if truth_set.task == CONCEPTS else "axial computed tomography of the chest"
    return "".join(f"{name}|{content}\n" for name in truth_set.truths)
