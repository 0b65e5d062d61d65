"""What the run formats of all tasks have in common: the codes of faults, and how the ids of a run are held to those of the set.

A code says the same in every format. A task's ``runs.CODES`` holds these and its own; ``docs/run-codes.md`` is made from them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from baselines.core.files import Report, read_text
from baselines.core.findings import Findings, Severity, show_id

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Code(NamedTuple):
    """What a code of a run's findings means.

    Attributes:
        severity: How bad it is; where it depends, the worst.
        meaning: What is wrong, in one clause.
        example: A piece of a run that gets it.
    """

    severity: Severity
    meaning: str
    example: str


FILE_CODES = {
    "RUN-FILE-MISSING": Code(_ERROR, "there is no such file", "a path with a typing error"),
    "RUN-FILE-UNREADABLE": Code(_ERROR, "the file can't be read", "a folder"),
    "RUN-FILE-EMPTY": Code(_ERROR, "the file is empty", "0 bytes"),
    "RUN-TOO-LARGE": Code(_ERROR, "the file is over 512 MiB, or a record or line over 8 MiB", "a run pasted onto one line"),
    "RUN-TOO-MANY-ERRORS": Code(_ERROR, "reading stopped after 10,000 errors", "the run of another task"),
    "RUN-ENCODING": Code(_ERROR, "the file is not UTF-8", "UTF-16, Latin-1, a ZIP archive"),
    "RUN-BOM": Code(_ERROR, "the file starts with a byte order mark", "as some editors save it"),
}

ID_CODES = {
    "RUN-UNKNOWN-ID": Code(_ERROR, "the id is not in the set", "synpic123.jpg for synpic123"),
    "RUN-DUPLICATE-ID": Code(_ERROR, "the id occurs a second time", "two lines of one image"),
    "RUN-MISSING-ID": Code(_ERROR, "ids of the set that the run says nothing about", "a run of another split"),
}

LINE_CODES = {
    "RUN-CRLF": Code(_WARNING, "lines end with carriage returns", "as Windows saves text"),
    "RUN-NO-FINAL-NEWLINE": Code(_WARNING, "the last line doesn't end with a line feed", "lines joined with \\n"),
    "RUN-BLANK-LINE": Code(_ERROR, "an empty line", "two line feeds at the end"),
}

# After these the rest of the file has not been read, so nobody knows which ids it lacks.
_CUT_SHORT = ("RUN-FILE-MISSING", "RUN-FILE-UNREADABLE", "RUN-FILE-EMPTY", "RUN-TOO-LARGE", "RUN-TOO-MANY-ERRORS", "RUN-JSON")
_LISTED_IDS = 10  # of those that are missing
_SUGGESTED_IDS = 20  # unknown ids for which the nearest one is looked up, which takes a while


def read_run_lines(path: Path, findings: Findings, *, final_newline: Severity = _WARNING) -> Iterator[tuple[int, str]]:
    """Yield the lines of a run that are not blank, with their 1-based numbers; see :func:`baselines.core.files.read_text`.

    Args:
        path: The run file.
        findings: Where faults are reported; the codes are in :data:`FILE_CODES` and :data:`LINE_CODES`.
        final_newline: How bad it is if the last line doesn't end.
    """
    report = Report(findings, str(path), "RUN")
    for number, line in read_text(path, findings, "RUN", final_newline=final_newline):
        if line.strip():
            yield number, line
        else:
            report.error("BLANK-LINE", "the line is empty", line=number, hint="delete it")


# Numbers in the text formats of detections. So few digits that every match is a finite number: float() takes much more, such as
# nan, 1_0 and blanks.
SCORE_FORM = r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,2})?"
INTEGER_FORM = r"-?[0-9]{1,9}"
DECIMAL_FORM = r"-?(?:[0-9]+\.[0-9]*|\.[0-9]+)"


class TextBudget:
    """Bounds the texts of a run: cleaning words that are all different takes a second for some 100,000 characters.

    The longest captions have about 2,000 characters, and most a tenth of that.

    Args:
        images: How many images the set has.
    """

    LEAST = 1_000_000  # characters, however few images there are
    EACH = 2_000  # characters for each image

    def __init__(self, images: int) -> None:
        self.limit, self.used = max(self.LEAST, self.EACH * images), 0

    def why_over(self, text: str) -> str:
        """Count a text; say what is too much, if anything is."""
        self.used += len(text)
        if self.used <= self.limit:
            return ""
        return f"up to here the texts have {self.used:,} characters, more than {self.limit:,}"


TEXTS_TOO_LARGE = Code(
    _ERROR,
    f"the file is over 512 MiB, a line over 8 MiB, or the texts have over {TextBudget.LEAST:,} characters and "
    f"{TextBudget.EACH:,} for each image",
    "a dictionary as one caption",
)


def list_ids(names: Sequence[str]) -> str:
    """Return the first of some ids as text.

    >>> list_ids(["a", "b"])
    'a, b'
    """
    return ", ".join(map(show_id, names[:_LISTED_IDS])) + (", …" if len(names) > _LISTED_IDS else "")


class IdCheck:
    """Holds the ids of a run to those of the set, each to occur exactly once.

    Args:
        expected: The ids of the set.
        report: Where faults are reported; the codes are in :data:`ID_CODES`.
        unit: What an id stands for, as in "image".
        entry: What the run should have of each, as in "line".
        hint: Says what is wrong with an unknown id, where the task knows; if it says nothing, the nearest id is suggested.
    """

    def __init__(
        self, expected: Collection[str], report: Report, *, unit: str, entry: str, hint: Callable[[str], str] = lambda _: ""
    ) -> None:
        self.expected, self.report = expected, report
        self.unit, self.entry, self.hint = unit, entry, hint
        self.lines: dict[str, int | None] = {}
        self._by_plain: dict[str, str] | None = None

    def accepts(self, name: str, line: int | None) -> bool:
        """Whether an id is in the set and new; reports it if not."""
        if name in self.lines:
            first = self.lines[name]
            hint = f"put everything about the {self.unit} in one {self.entry}"
            what = f"the {self.unit} has a {self.entry} already" + ("" if first is None else f", on line {first}")
            self.report.error("DUPLICATE-ID", what, line=line, id=show_id(name), hint=hint)
            return False
        if name not in self.expected:
            what = f"the {self.unit} is not in the set"
            self.report.error("UNKNOWN-ID", what, line=line, id=show_id(name), hint=self.hint(name) or self._suggest(name))
            return False
        self.lines[name] = line
        return True

    def finish(self, *, severity: Severity = _ERROR, consequence: str = "") -> None:
        """Report the ids that never came, all in one finding, unless the reading ended early.

        Args:
            severity: How bad that is.
            consequence: What becomes of them where they may be missing; in a run that is written they never may.
        """
        missing = [name for name in self.expected if name not in self.lines]
        counts = self.report.findings.counts
        is_binary = bool(counts["RUN-ENCODING"]) and not self.lines
        if not missing or is_binary or any(counts[code] for code in _CUT_SHORT):
            return
        what = f"{len(missing)} of {len(self.expected)} {self.unit}s have no {self.entry}: {list_ids(missing)}"
        hint = f"predict every {self.unit} of the set"
        if consequence:
            hint = consequence if severity != _ERROR else f"{hint}, or give --allow-missing: {consequence}"
        self.report.add(severity, "MISSING-ID", what, hint=hint)

    def _suggest(self, name: str) -> str:
        if self.report.findings.counts["RUN-UNKNOWN-ID"] >= _SUGGESTED_IDS:
            return ""
        if name.lstrip()[:1] in ("{", "["):
            return "this looks like JSON: is it the run of another task?"
        first, *rest = re.split(r"[\s,;|:]", name.strip(), maxsplit=1)
        if rest and first in self.expected:
            return f"it begins with the id {show_id(first)}: is the separator behind it the right one?"
        if self._by_plain is None:
            self._by_plain = {_plain(each): each for each in self.expected}
        plain = _plain(name)
        near = [plain] if plain in self._by_plain else difflib.get_close_matches(plain, self._by_plain, n=1)
        return f"did you mean {show_id(self._by_plain[near[0]])}?" if near else "is it the right set?"


_EXTENSION = re.compile(r"(\.nii)?\.[a-z]{2,4}$")


def _plain(name: str) -> str:
    """Return an id without what people get wrong: blanks, quotes, folders, case, extension."""
    last = name.strip(" \t\"'\N{ZERO WIDTH NO-BREAK SPACE}").replace("\\", "/").rsplit("/", 1)[-1]
    return _EXTENSION.sub("", last[:200].lower())
