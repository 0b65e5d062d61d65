"""The run formats of the VQA-Med tasks: ``id|answer`` and ``id|question|question…``, one line an image.

A run is held to every rule of :data:`CODES`, all at once. Those of the official evaluators are among them, with their severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from baselines.core.files import MAX_RECORD_LENGTH, Report, names_ids
from baselines.core.findings import Findings, Severity, shorten, show_id
from baselines.core.metrics.text import clean
from baselines.core.outputs import write_atomic
from baselines.core.runs import FILE_CODES, ID_CODES, LINE_CODES, TEXTS_TOO_LARGE, Code, IdCheck, TextBudget, read_run_lines
from baselines.medical.vqa.records import Prediction, TruthSet, is_writable

MAX_QUESTIONS = 7  # the baseline writes no more of them for an image
RUN_QUESTIONS = 100_000  # of all images together; the score holds each of an image against each of its references

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

# Every code a run can get: how bad it is, what it means, and an example of what is wrong.
CODES: dict[str, Code] = {
    **FILE_CODES,
    **ID_CODES,
    **LINE_CODES,
    "RUN-TOO-LARGE": TEXTS_TOO_LARGE._replace(
        meaning=f"{TEXTS_TOO_LARGE.meaning}; vqg: or there are more than {RUN_QUESTIONS:,} questions",
        example="a question repeated a million times",
    ),
    "RUN-FIELDS": Code(_ERROR, "vqa: not exactly two fields; vqg: fewer than two", "synpic123,pulmonary embolism"),
    "RUN-HEADER": Code(_ERROR, "the first line looks like a header", "image_id|answer"),
    "RUN-EMPTY-ANSWER": Code(_ERROR, "vqa: the answer is blank", "synpic123|"),
    "RUN-EMPTY-QUESTION": Code(_ERROR, "vqg: all questions of the image are blank", "synpic123||"),
    "RUN-BLANK-QUESTION": Code(_WARNING, "vqg: one of the questions is blank", "synpic123|is this a ct scan?|"),
    "RUN-DUPLICATE-QUESTION": Code(
        _WARNING, "vqg: the same question twice for an image, compared as the score does", "synpic123|is it a ct?|Is it a CT"
    ),
    "RUN-MANY-QUESTIONS": Code(
        _INFO, f"vqg: more than {MAX_QUESTIONS} questions for an image", "synpic123|…?|…?|…?|…?|…?|…?|…?|…?"
    ),
    "RUN-NOT-A-QUESTION": Code(_INFO, "vqg: a question doesn't end with a question mark", "synpic123|is this a ct scan"),
}


def read_run(path: Path, truth_set: TruthSet, findings: Findings, *, allow_missing: bool = False) -> dict[str, Prediction]:
    """Read a run and report everything that is wrong with it.

    Args:
        path: The run file.
        truth_set: The images, and the task.
        findings: Where everything is reported; the codes are in :data:`CODES`.
        allow_missing: Whether images that the run lacks are a warning; they score 0.

    Returns:
        The predictions by image id, in the order of the file. If there are errors it is not the whole run.
    """
    report = Report(findings, str(path), "RUN")
    ids = IdCheck(truth_set.truths, report, unit="image", entry="line")
    judge = _Judge(truth_set.task, len(truth_set.truths), report)
    predictions: dict[str, Prediction] = {}
    is_first = True
    for number, line in read_run_lines(path, findings):
        name, texts = _split(line)
        if is_first and name not in truth_set.truths and names_ids(name):
            report.error("HEADER", "the first line looks like a header", line=number, value=shorten(line), hint="delete it")
        else:
            is_accepted = ids.accepts(name, number)
            found = judge.texts(number, name, texts, line)
            if is_accepted and found is not None:
                predictions[name] = Prediction(name, found)
        is_first = False
        if judge.is_over:
            break
    ids.finish(severity=_WARNING if allow_missing else _ERROR, consequence="they score 0")
    return predictions


def _split(line: str) -> tuple[str, str | None]:
    """Return the id, and what is behind the first separator; of a line with another separator the id alone."""
    name, separator, texts = line.partition("|")
    if separator:
        return name, texts
    return line.partition("\t" if "\t" in line else ",")[0], None


class _Judge:
    """Holds the answers or questions of a run to the rules.

    Attributes:
        is_over: Whether there was so much text that reading has to stop.
    """

    def __init__(self, task: str, images: int, report: Report) -> None:
        self.task, self.report = task, report
        self.is_over = False
        self._questions = 0
        self._budget = TextBudget(images)

    def texts(self, line: int, name: str, text: str | None, whole: str) -> tuple[str, ...] | None:
        """Return what the line, ``whole``, says about its image, or ``None``, after an error, if that can't be used."""
        expected = "id|answer" if self.task == "vqa" else "id|question|question…"
        if text is None:
            self._tell(
                _ERROR, "FIELDS", "the line has no |", line, name, whole, f"write {expected}, without TAB or comma between them"
            )
            return None
        over = self._budget.why_over(text)
        if over:
            self._tell(_ERROR, "TOO-LARGE", over, line, name, "", f"write {expected}, each of them short")
            self.is_over = True
            return None
        if self.task == "vqg":
            return self._questions_of(line, name, text)
        if "|" in text:
            what = f"the line has {text.count('|') + 2} fields"
            self._tell(_ERROR, "FIELDS", what, line, name, text, f"write {expected}; an answer holds no |")
        elif not text.strip():
            self._tell(_ERROR, "EMPTY-ANSWER", "the answer is blank", line, name, "", "give an answer to every question")
        else:
            return (text,)
        return None

    def _questions_of(self, line: int, name: str, text: str) -> tuple[str, ...] | None:
        self._questions += text.count("|") + 1
        if self._questions > RUN_QUESTIONS:
            hint = f"give a few questions for an image, such as {MAX_QUESTIONS}"
            self._tell(_ERROR, "TOO-LARGE", f"the run has more than {RUN_QUESTIONS:,} questions", line, name, "", hint)
            self.is_over = True
            return None
        questions = tuple(text.split("|"))
        given = [question for question in questions if question.strip()]
        if not given:
            self._tell(_ERROR, "EMPTY-QUESTION", "all questions are blank", line, name, "", "ask something about every image")
            return None
        if len(given) < len(questions):
            what = f"{len(questions) - len(given)} of the questions are blank"
            self._tell(_WARNING, "BLANK-QUESTION", what, line, name, "", "is there a | at the end, or two in a row?")
        self._forms(line, name, given)
        if len(given) > MAX_QUESTIONS:
            hint = "the score is that of the best pair of a question and a reference"
            self._tell(_INFO, "MANY-QUESTIONS", f"{len(given)} questions for an image", line, name, "", hint)
        return questions

    def _forms(self, line: int, name: str, given: Sequence[str]) -> None:
        """Report questions without question mark, and questions that occur twice."""
        statements = [question for question in given if not question.rstrip().endswith("?")]
        if statements:
            what = f"{len(statements)} of {len(given)} questions don't end with a question mark"
            self._tell(_INFO, "NOT-A-QUESTION", what, line, name, statements[0], "the score doesn't look at it")
        if len(given) == 1:
            return
        seen: set[tuple[str, ...]] = set()
        repeated = []
        for question in given:
            words = clean(question)
            if words in seen:
                repeated.append(question)
            seen.add(words)
        if repeated:
            what = f"{len(repeated)} of {len(given)} questions repeat another"
            self._tell(
                _WARNING, "DUPLICATE-QUESTION", what, line, name, repeated[0], "they count once: write distinct questions"
            )

    def _tell(self, severity: Severity, rule: str, message: str, line: int, name: str, value: str, hint: str) -> None:
        seen = shorten(value) if value else ""
        self.report.add(severity, rule, message, line=line, id=show_id(name), value=seen, hint=hint)


# ------------------------------------------------------------------------------------------------------------- writing


def write_run(path: Path, predictions: Iterable[Prediction], truth_set: TruthSet) -> None:
    """Write a run, whole or not at all; what is written validates, and reads as the same predictions.

    The images follow the order of ``truth_set``.

    Args:
        path: The run file to make or replace.
        predictions: Exactly one of every image of ``truth_set``.
        truth_set: The images, and the task.

    Raises:
        InvalidInput: If a prediction is missing, of an unknown image, blank, or can't stand in a line.
    """
    report = Report(Findings(), str(path), "RUN")
    ids = IdCheck(truth_set.truths, report, unit="image", entry="prediction")
    by_id = {each.id: each for each in predictions if ids.accepts(each.id, None) and _is_sound(each, truth_set.task, report)}
    ids.finish()
    report.findings.raise_errors()
    write_atomic(path, "".join(_format_line(by_id[name]) for name in truth_set.truths))


def _is_sound(prediction: Prediction, task: str, report: Report) -> bool:
    """Whether a prediction can be written; reports it if not."""
    name, texts = show_id(prediction.id), prediction.texts
    if task == "vqa" and len(texts) != 1:
        report.error("FIELDS", f"{len(texts)} answers", id=name, hint="give exactly one")
    elif not any(text.strip() for text in texts):
        report.error("EMPTY-ANSWER" if task == "vqa" else "EMPTY-QUESTION", "nothing but blanks is predicted", id=name)
    elif not all(map(is_writable, (prediction.id, *texts))) or prediction.id.startswith("\ufeff"):
        hint = "ids and texts hold no separator, no line end and no NUL"
        report.error("FIELDS", "the id or a text can't stand in a line", id=name, value=shorten(texts), hint=hint)
    elif len(_format_line(prediction)) > MAX_RECORD_LENGTH:
        report.error("TOO-LARGE", f"the line would be longer than {MAX_RECORD_LENGTH} characters", id=name)
    else:
        return True
    return False


def _format_line(prediction: Prediction) -> str:
    return "|".join((prediction.id, *prediction.texts)) + "\n"


def example_run(truth_set: TruthSet) -> str:
    """Return the text of a valid run: the same answer, or the same two questions, for every image."""
    texts = ("pulmonary embolism",) if truth_set.task == "vqa" else ("is this a ct scan?", "what is shown in the image?")
    return "".join(_format_line(Prediction(name, texts)) for name in truth_set.truths)
