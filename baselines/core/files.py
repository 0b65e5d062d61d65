r"""Text files to read: line by line, with every fault reported; and their hashes.

The readers, those of :mod:`baselines.core.json_stream` among them, stream. They hold one record or line at a time, whatever
the size of the file, tell data sets from runs by a prefix of the codes (``DATA`` or ``RUN``), go on behind a fault where that
can be done safely, and stop after ``MAX_ERRORS`` errors. Lines end at ``\n``, ``\r\n`` or ``\r`` and at nothing else.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from baselines.core.findings import Finding, Findings, Severity, shorten

Prefix = Literal["DATA", "RUN"]

MAX_FILE_BYTES = 512 * 2**20
MAX_RECORD_LENGTH = 8 * 2**20  # characters of a line, or of one element of a JSON list
MAX_ERRORS = 10_000
CHUNK = 2**20
SNIFFED_LINES, SNIFFED_LENGTH = 50, 20_000  # a separator shows in the first lines, and in their first characters

_UNWRITABLE = re.compile("[\r\n\0\ud800-\udfff]")
_ID_COLUMNS = frozenset(
    "id ids image images imageid image_id image-id imageids image_ids img imgid img_id file filename file_name name qid".split()
)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path) -> str:
    """Return what tells a file from others, and from itself before a change: path, links followed, size and modification time.

    Raises:
        OSError: If there is none, or it is no regular file: reading a pipe might wait for ever.
        ValueError: If no file can have such a name.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("this is no regular file")
    return f"{path.resolve()}\t{status.st_size}\t{status.st_mtime_ns}"


@dataclass(frozen=True, slots=True)
class Report:
    """Adds findings about one file.

    Attributes:
        findings: Where they go.
        file: The file, as the user named it.
        prefix: What the codes start with: ``DATA`` in data sets, ``RUN`` in runs.
    """

    findings: Findings
    file: str
    prefix: Prefix

    def add(self, severity: Severity, rule: str, message: str, *, line: int | None = None, **details: Any) -> None:
        """Add a finding whose code is the prefix and ``rule``; ``details`` are its ``id``, ``value`` and ``hint``."""
        self.findings.add(Finding(f"{self.prefix}-{rule}", severity, message, file=self.file, line=line, **details))

    def error(self, rule: str, message: str, *, line: int | None = None, **details: str) -> None:
        """Add an error."""
        self.add(Severity.ERROR, rule, message, line=line, **details)

    def warning(self, rule: str, message: str, *, line: int | None = None, **details: str) -> None:
        """Add a warning."""
        self.add(Severity.WARNING, rule, message, line=line, **details)

    def info(self, rule: str, message: str, *, line: int | None = None, **details: str) -> None:
        """Add something worth knowing."""
        self.add(Severity.INFO, rule, message, line=line, **details)

    def is_full(self) -> bool:
        """Whether there are so many errors that more would help nobody."""
        return self.findings.error_count >= MAX_ERRORS

    def stops(self, line: int) -> bool:
        """Whether reading stops behind a line, because there are too many errors; says so then."""
        if not self.is_full():
            return False
        self.error("TOO-MANY-ERRORS", f"reading stopped after {MAX_ERRORS} errors", line=line, hint="repair those listed first")
        return True


@dataclass(slots=True)
class Tally:
    """Counts something that many places of a file have in common, to be told once, at the first of them."""

    count: int = 0
    line: int = 0
    value: str = ""

    def add(self, line: int, value: str) -> None:
        """Count a place; the line and the value of the first are kept."""
        if not self.count:
            self.line, self.value = line, value
        self.count += 1

    def tell(self, report: Report, severity: Severity, rule: str, message: str, hint: str) -> None:
        """Report the places, if there are any; ``message`` says how many."""
        if self.count:
            report.add(severity, rule, message, line=self.line, value=self.value, hint=hint)


@dataclass(frozen=True, slots=True)
class TextKind:
    """What a first pass over a text file found out.

    Attributes:
        encoding: What to decode it by; bytes that don't fit have been reported.
        has_carriage_returns: Whether there are any.
        has_final_newline: Whether the last line ends.
    """

    encoding: str
    has_carriage_returns: bool
    has_final_newline: bool


def read_text(
    path: Path, findings: Findings, prefix: Prefix, *, final_newline: Severity = Severity.INFO
) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file, without their ends, with their 1-based numbers.

    Findings: ``FILE-MISSING``, ``FILE-UNREADABLE``, ``FILE-EMPTY``, ``TOO-LARGE``, ``ENCODING``, ``BOM``, ``CRLF``,
    ``NO-FINAL-NEWLINE``, ``TOO-MANY-ERRORS``, each behind the prefix. Bytes that are not UTF-8 come out as U+FFFD.

    Args:
        path: The file.
        findings: Where faults are reported, also those of the caller; reading stops when they hold ``MAX_ERRORS`` errors.
        prefix: What the codes start with.
        final_newline: How bad it is if the last line doesn't end.
    """
    report = Report(findings, str(path), prefix)
    kind = examine(path, report)
    if kind is None:
        return
    if kind.has_carriage_returns:
        severity = Severity.INFO if prefix == "DATA" else Severity.WARNING
        report.add(severity, "CRLF", "lines end with carriage returns", hint="end them with a line feed alone")
    if not kind.has_final_newline:
        report.add(final_newline, "NO-FINAL-NEWLINE", "the last line doesn't end with a line feed", hint="add one at the end")
    with path.open(encoding=kind.encoding, errors="replace") as file:
        number = 0
        while line := file.readline(MAX_RECORD_LENGTH + 1):
            number += 1
            if len(line) > MAX_RECORD_LENGTH:
                report.error("TOO-LARGE", f"the line is longer than {MAX_RECORD_LENGTH} characters", line=number)
                return
            yield number, line.removesuffix("\n")
            if report.stops(number):
                return


def examine(path: Path, report: Report) -> TextKind | None:
    """Check, in one pass over its bytes, that a file can be read as text; ``None`` if it can't.

    Findings: ``FILE-MISSING``, ``FILE-UNREADABLE``, ``FILE-EMPTY``, ``TOO-LARGE``, ``ENCODING``, ``BOM``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            report.error("FILE-UNREADABLE", "this is no file", hint="name a file; pipes and devices are not read")
        elif status.st_size == 0:
            report.error("FILE-EMPTY", "the file is empty", hint="is it the right file, or was writing it cut off?")
        elif status.st_size > MAX_FILE_BYTES:
            megabytes = f"{status.st_size / 2**20:.0f} MiB"
            most = f"the file is over {MAX_FILE_BYTES // 2**20} MiB"
            report.error("TOO-LARGE", most, value=megabytes, hint="is it the right file? else split it")
        else:
            return _examine_bytes(path, report)
    except FileNotFoundError:
        report.error("FILE-MISSING", "there is no such file", hint="check the path")
    except (OSError, ValueError) as error:
        seen = getattr(error, "strerror", None) or str(error)
        report.error("FILE-UNREADABLE", "the file can't be read", value=seen, hint="check the path and its permissions")
    return None


_BYTE_ORDER_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def _examine_bytes(path: Path, report: Report) -> TextKind | None:
    """Find out the encoding and the line ends; ``None`` if this is no text."""
    with path.open("rb") as file:
        encoding = _encoding_by_mark(file.read(4), report)
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        line, last, has_carriage_returns = 1, "", False
        try:
            while chunk := file.read(CHUNK):
                if b"\0" in chunk and encoding.startswith("utf-8"):
                    line += _count_line_ends(chunk[: chunk.index(0)].decode("latin-1"), last)
                    report.error("ENCODING", "a NUL byte: the file is binary, or UTF-16", line=line, hint="save it as UTF-8")
                    return None
                text = decoder.decode(chunk)
                line += _count_line_ends(text, last)
                has_carriage_returns |= "\r" in text
                last = text[-1:] or last
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += _count_line_ends(error.object[: error.start].decode("latin-1"), last)
            seen = shorten(error.object[error.start : error.start + 8])
            report.error("ENCODING", f"this is not {encoding.upper()}", line=line, value=seen, hint="save the file as UTF-8")
            last = "\n"  # nobody looked
    return TextKind(encoding, has_carriage_returns, last in {"\n", "\r"})


def _encoding_by_mark(head: bytes, report: Report) -> str:
    """Return the encoding by the byte order mark, UTF-8 without one; report what is not plain UTF-8."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), "utf-8")
    if encoding == "utf-8-sig":
        severity = Severity.INFO if report.prefix == "DATA" else Severity.ERROR
        report.add(severity, "BOM", "the file starts with a byte order mark", line=1, hint="save it as UTF-8 without one")
    elif encoding != "utf-8":
        report.error("ENCODING", f"the file is {encoding.upper()}", line=1, hint="save it as UTF-8")
    return encoding


def _count_line_ends(text: str, before: str) -> int:
    """Count the line ends of a piece of text that follows the character ``before``."""
    if "\r" not in text and before != "\r":
        return text.count("\n")
    return text.count("\n") + text.count("\r") - text.count("\r\n") - (before == "\r" and text.startswith("\n"))


def sniff_separator(path: Path, candidates: Sequence[str], fits: Callable[[list[str]], bool]) -> str:
    """Return which separator the first lines of a text file are split by; data sets come as copies with different ones.

    Args:
        path: The file; one that can't be read gives the first candidate, and reading it says what is wrong.
        candidates: The separators, the expected one first.
        fits: Whether the fields of a line look right.

    Returns:
        The candidate that the most of the first lines fit, of equals the first.
    """
    text = islice(read_text(path, Findings(), "DATA"), SNIFFED_LINES)
    lines = [line[:SNIFFED_LENGTH] for _, line in text if line.strip()]
    return max(candidates, key=lambda candidate: sum(fits(line.split(candidate)) for line in lines))


def fits_line(text: str, separators: str = "") -> bool:
    r"""Whether a text can stand in a line, or in one of its fields: no line end, no NUL, nothing that UTF-8 can't hold.

    Args:
        text: The text.
        separators: Characters that end a field.

    >>> [fits_line(text, "|") for text in ("a b", "a|b", "a\nb", "\ud800")]
    [True, False, False, False]
    """
    return _UNWRITABLE.search(text) is None and not set(separators) & set(text)


def names_ids(field: str) -> bool:
    """Whether a field is what files call the column of their ids.

    >>> [names_ids(field) for field in ("ID", '"image id"', "synpic1")]
    [True, True, False]
    """
    return field[:80].strip(' \t"').lower().replace(" ", "_") in _ID_COLUMNS
