r"""Files: written whole or not at all, hashed, and read with every fault reported.

The readers stream. They hold one record or line at a time, whatever the size of the file, tell data sets from runs by a prefix
of the codes (``DATA`` or ``RUN``), go on behind a fault where that can be done safely, and stop after ``MAX_ERRORS`` errors.
Lines end at ``\n``, ``\r\n`` or ``\r`` and at nothing else.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

from baselines.core.findings import MAX_VALUE_LENGTH, Finding, Findings, Severity, UsageError, shorten

Prefix = Literal["DATA", "RUN"]

MAX_FILE_BYTES = 512 * 2**20
MAX_RECORD_LENGTH = 8 * 2**20  # characters of a line, or of one element of a JSON list
MAX_ERRORS = 10_000
CHUNK = 2**20
STDOUT = Path("/dev/stdout")  # as a file to write: the process's own standard output, whatever ``sys.stdout`` is meanwhile
SNIFFED_LINES, SNIFFED_LENGTH = 50, 20_000  # a separator shows in the first lines, and in their first characters


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file under a temporary name, make sure it is on the disk, and rename it to ``path``.

    A reader, and a job that was killed and started again, sees the old file or the new one, never a part. A link stays a link,
    a file keeps its permissions, and what is no file (a device, a pipe) is written to as it is.

    Args:
        path: The file to make or replace; its folder is made too.
        write: Gets the temporary path to write to.
    """
    if path.is_dir():  # "." has no name to write beside
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path == STDOUT or (path.exists() and not path.is_file()):
        _write_through(path, write)
        return
    final = path.resolve() if path.is_symlink() else path
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if final.is_file():
            shutil.copymode(final, temporary)
        os.replace(temporary, final)
    except OSError as error:
        if error.filename is not None:
            error.filename, error.filename2 = str(path), None  # the temporary name tells the user nothing
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _write_through(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file elsewhere, and copy its bytes to a device or a pipe, which must not be replaced."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "file"
        write(temporary)
        # Opened by its name, standard output would lose what a file it is appended to holds.
        with temporary.open("rb") as source, os.fdopen(os.dup(1), "wb") if path == STDOUT else path.open("wb") as target:
            shutil.copyfileobj(source, target)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all; see :func:`write_atomically`.

    Args:
        path: The file to make or replace; its folder is made too.
        content: Bytes, or text that is written as UTF-8 without changing its line ends.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def write_json_atomic(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    Raises:
        ValueError: If the value holds NaN or an infinity, which JSON doesn't have.
    """
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def check_outputs(inputs: Iterable[tuple[str, Path | None]], outputs: Iterable[tuple[str, Path | None]]) -> None:
    """Make sure, before anything is read or written, that files can be written: into folders that are there, over no input.

    Args:
        inputs: What the user calls each file to read, such as ``--truth``, and the file; ``None`` where it isn't given.
        outputs: The same of the files to write.

    Raises:
        InvalidInput: If the folder of a file to write is missing, or takes no files: a misspelt one is not made.
        UsageError: If two names, links followed, lead to one file.
    """
    given = [(name, path) for name, path in outputs if path is not None]
    taken = [(name, path) for name, path in inputs if path is not None]
    for name, path in given:
        other = next((label for label, each in taken if _is_same_file(path, each)), None)
        if other is not None:
            raise UsageError(f"{name} would overwrite {other}, they are the same file: {path}; name another file to write")
        taken.append((name, path))
    Findings(finding for name, path in given for finding in _why_unwritable(name, path)).raise_errors()


def _why_unwritable(name: str, path: Path) -> Iterator[Finding]:
    """Say what stands in the way of a file to write, if anything does."""

    def told(place: Path, message: str, hint: str) -> Finding:
        return Finding("OUTPUT-PATH", Severity.ERROR, f"{name} {message}", str(place), hint=hint)

    if path == STDOUT:
        return
    folder = path.resolve().parent if path.is_symlink() else path.parent
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if path.is_dir():
        yield told(path, "needs a file, and this is a folder", "name a file in it")
    elif not there.is_dir():
        yield told(there, "needs a folder here, and this is a file", "check the path")
    elif there != folder:
        yield told(folder, "needs this folder, and there is none", "make it, or check the path")
    elif not os.access(folder, os.W_OK) and (path.is_file() or not path.exists()):  # into devices one writes as they are
        yield told(folder, "needs a folder that can be written to", "check its permissions, or name another")


def refuse_within(folder: Path, outputs: Iterable[tuple[str, Path | None]]) -> None:
    """Make sure that no file to write replaces one that is in a folder whose files are read.

    Raises:
        UsageError: If one does.
    """
    for name, path in outputs:
        if path is not None and path.exists() and path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{name} would overwrite a file of {folder}, which is read: {path}; name another file to write")


def _is_same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which needn't exist; links of both kinds are seen through."""
    try:
        return os.path.realpath(path) == os.path.realpath(other) or path.samefile(other)
    except (OSError, ValueError):
        return False  # one of them doesn't exist, or can't: reading or writing it says why


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
class _TextKind:
    """What a first pass over a text file found out."""

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
    kind = _examine(path, report)
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
            if _stops(report, number):
                return


def read_json_records(path: Path, findings: Findings, prefix: Prefix) -> Iterator[JsonRecord]:
    """Yield the elements of a JSON file that holds one list, decoded one by one.

    Findings: those of :func:`read_text` on files and encodings; ``STRUCTURE`` (in data sets ``FIELDS``) if there is no list;
    ``JSON`` for what is not JSON, which ends the reading; and for what ``json.load`` would let pass or die of: a key twice
    (``DATA-DUPLICATE-KEY``), the literals NaN and Infinity, integers of a thousand digits (``DATA-NUMBER``); in runs these are
    ``RUN-JSON``. Of keys that occur twice the last one counts.

    Args:
        path: The file.
        findings: Where faults are reported, also those of the caller; reading stops when they hold ``MAX_ERRORS`` errors.
        prefix: What the codes start with.
    """
    yield from _read_json(path, Report(findings, str(path), prefix), _JsonStream.records)


def read_json_members(path: Path, findings: Findings, prefix: Prefix) -> Iterator[JsonMember]:
    """Yield the members of a JSON file that holds one object, decoded one by one.

    Findings: those of :func:`read_text` on files and encodings; ``STRUCTURE`` (in data sets ``FIELDS``) if there is no object;
    ``JSON`` for what is not JSON, which ends the reading; ``DUPLICATE-KEY`` for a key twice in an object within a member, of
    which the last one counts. What only the caller can name is left to it: a key of the top level twice gives two members;
    NaN, infinities, and numbers too large for a float (of which integers of many digits come out as infinities) are in the
    values, and :meth:`JsonRecord.source` says what was written.

    Args:
        path: The file.
        findings: Where faults are reported, also those of the caller; reading stops when they hold ``MAX_ERRORS`` errors.
        prefix: What the codes start with.
    """
    yield from _read_json(path, Report(findings, str(path), prefix), _JsonStream.members)


_Record = TypeVar("_Record", bound="JsonRecord")


def _read_json(path: Path, report: Report, parts: Callable[[_JsonStream], Iterator[_Record]]) -> Iterator[_Record]:
    """Yield the parts of a JSON file, each behind its faults."""
    kind = _examine(path, report)
    if kind is None:
        return
    with path.open(encoding=kind.encoding, errors="replace") as file:
        try:
            for record in parts(_JsonStream(file)):
                for fault in record.faults():
                    fault.tell(report)
                    if report.is_full():
                        break
                yield record
                if _stops(report, record.line):
                    return
        except _Fault as fault:
            fault.tell(report)


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


def _stops(report: Report, line: int) -> bool:
    """Whether to stop reading; says so."""
    if report.is_full():
        report.error(
            "TOO-MANY-ERRORS", f"reading stopped after {MAX_ERRORS} errors", line=line, hint="repair those listed first"
        )
    return report.is_full()


def _examine(path: Path, report: Report) -> _TextKind | None:
    """Check that a file can be read as text; ``None`` if it can't."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            report.error("FILE-UNREADABLE", "this is no file", hint="name a file; pipes and devices are not read")
        elif status.st_size == 0:
            report.error("FILE-EMPTY", "the file is empty", hint="is it the right file, or was writing it cut off?")
        elif status.st_size > MAX_FILE_BYTES:
            megabytes = f"{status.st_size / 2**20:.0f} MiB"
            report.error("TOO-LARGE", "the file is over 512 MiB", value=megabytes, hint="is it the right file? else split it")
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


def _examine_bytes(path: Path, report: Report) -> _TextKind | None:
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
    return _TextKind(encoding, has_carriage_returns, last in {"\n", "\r"})


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


_JSON: dict[Prefix, str] = {"DATA": "JSON", "RUN": "JSON"}
_STRUCTURE: dict[Prefix, str] = {"DATA": "FIELDS", "RUN": "STRUCTURE"}
_DUPLICATE: dict[Prefix, str] = {"DATA": "DUPLICATE-KEY", "RUN": "JSON"}
_DUPLICATE_IN_MEMBER: dict[Prefix, str] = {"DATA": "DUPLICATE-KEY", "RUN": "DUPLICATE-KEY"}
_NUMBER: dict[Prefix, str] = {"DATA": "NUMBER", "RUN": "JSON"}
_TOO_LARGE: dict[Prefix, str] = {"DATA": "TOO-LARGE", "RUN": "TOO-LARGE"}


@dataclass(eq=False)
class _Fault(Exception):
    """What is wrong with a JSON text, and where; raised where reading can't go on behind it."""

    rule: dict[Prefix, str]
    message: str
    line: int
    value: str = ""
    hint: str = ""
    id: str = ""

    def tell(self, report: Report) -> None:
        """Report it as an error."""
        rule = self.rule[report.prefix]
        report.error(rule, self.message, line=self.line, id=self.id, value=self.value, hint=self.hint)


_CONTAINERS = {"[": "list", "{": "object"}
_TOP_LEVELS = {
    "[": ("a list", "write one list of records: [ {…}, {…} ]"),
    "{": ("an object", 'write one object: { "id": {…}, "id": {…} }'),
}
_LONG_NUMBER = 640  # digits; the lowest limit that Python can be set to
# Strings that a colon follows are keys; other strings are matched so that nothing in them is taken for a token.
_TOKENS = re.compile(
    r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")(?P<colon>[ \n\t]*:)?'
    r"|(?P<brace>[{}])"
    r"|(?P<constant>NaN|-?Infinity)"
    rf"|(?P<long>(?<![\d.eE+-])-?\d{{{_LONG_NUMBER},}}(?![\d.eE]))",
    re.DOTALL,
)
_SPACE = re.compile(r"[ \t\n\r]*")
# Decodes whatever a record may hold, to find out where values end.
_locator = json.JSONDecoder(parse_int=float)


class JsonRecord:
    """One element of a JSON list.

    Attributes:
        value: The decoded element; any JSON value. NaN and infinities may be in it, a finding has said so then.
        number: Its 0-based place in the list.
        line: The 1-based line it starts on.
    """

    def __init__(self, value: Any, number: int, line: int, text: str, *, is_suspicious: bool) -> None:
        self.value, self.number, self.line = value, number, line
        self._text, self._is_suspicious = text, is_suspicious
        self._places: dict[int, dict[str | int, int]] = {}
        self._told: set[int] = set()  # where values start that a fault was about

    def line_of(self, *keys: str | int) -> int:
        """Return the line of the value that keys and indices lead to, or of the last one on the way that exists."""
        return self._line_at(self._start_of(keys))

    def source(self, *keys: str | int, length: int = 80) -> str:
        """Return a value as it stands in the file, on one line of printable characters, shortened."""
        start = self._start_of(keys)
        piece = self._text[start : start + 8 * length]
        with suppress(RecursionError):
            piece = self._text[start : min(_locator.raw_decode(self._text, start)[1], start + 8 * length)]
        text = printable(" ".join(piece.split()))
        return text if len(text) <= length else text[: length - 1] + "…"

    def is_told(self, *keys: str | int) -> bool:
        """Whether a finding already says of the value that keys and indices lead to that it is no proper JSON."""
        return self._start_of(keys) in self._told

    def faults(self) -> Iterator[_Fault]:
        """Yield what decoding let pass though it isn't proper JSON."""
        if not self._is_suspicious:
            return
        keys: list[set[str]] = []
        for token in _TOKENS.finditer(self._text):
            if token["brace"] == "{":
                keys.append(set())
            elif token["brace"]:
                keys.pop()
            elif token["colon"]:
                key = json.loads(token["string"])
                if key in keys[-1]:
                    yield self._fault(token, _DUPLICATE, "a key occurs twice in one object", "keep one of the two")
                keys[-1].add(key)
            elif token["constant"]:
                yield self._fault(token, _NUMBER, f"{token[0]} is no JSON", "write a finite number")
            elif token["long"]:
                digits = len(token[0].removeprefix("-"))
                yield self._fault(token, _NUMBER, f"an integer of {digits} digits", "write a sensible number")

    def _fault(self, token: re.Match[str], rule: dict[Prefix, str], message: str, hint: str) -> _Fault:
        value = printable(token[0])
        self._told.add(token.start())
        return _Fault(rule, message, self._line_at(token.start()), value[:40] + "…" if len(value) > 40 else value, hint)

    def _start_of(self, keys: tuple[str | int, ...]) -> int:
        start = 0
        for key in keys:
            inner = self._starts_in(start).get(key)
            if inner is None:
                break
            start = inner
        return start

    def _starts_in(self, start: int) -> dict[str | int, int]:
        """Return where the values in the object or array at ``start`` start; for other values nothing."""
        if start not in self._places:
            self._places[start] = dict(self._walk(start)) if self._text[start] in "{[" else {}
        return self._places[start]

    def _walk(self, start: int) -> Iterator[tuple[str | int, int]]:
        text, is_object = self._text, self._text[start] == "{"
        position, index = self._skip_space(start + 1), 0
        try:
            while text[position] not in "]}":
                key: str | int = index
                if is_object:
                    key, position = _locator.raw_decode(text, position)
                    position = self._skip_space(self._skip_space(position) + 1)  # over the colon
                yield key, position
                position = self._skip_space(_locator.raw_decode(text, position)[1])
                if text[position] == ",":
                    position = self._skip_space(position + 1)
                index += 1
        except RecursionError:  # the record could be decoded, but not from this much deeper in the stack
            return

    def _skip_space(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        assert match is not None
        return match.end()

    def _line_at(self, position: int) -> int:
        return self.line + bisect_left(self._line_ends, position)

    @cached_property
    def _line_ends(self) -> list[int]:
        return [match.start() for match in re.finditer("\n", self._text)]


class JsonMember(JsonRecord):
    """One member of a JSON object.

    Attributes:
        key: Its key.
        key_line: The 1-based line of the key.
    """

    def __init__(self, value: Any, number: int, line: int, text: str, *, is_suspicious: bool) -> None:
        super().__init__(value, number, line, text, is_suspicious=is_suspicious)
        self.key, self.key_line = "", line

    def faults(self) -> Iterator[_Fault]:
        """Yield the keys that occur twice; numbers are left to the caller."""
        for fault in super().faults():
            if fault.rule is _DUPLICATE:
                fault.rule, fault.id = _DUPLICATE_IN_MEMBER, show_id(self.key)
                yield fault


class _JsonStream:
    """Decodes the elements of a list, or the members of an object, from a window that moves along a text."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.window, self.position, self.line = "", 0, 1
        self.column = 1  # of the position
        self.is_suspicious = False
        self.decoder = json.JSONDecoder(parse_constant=self._constant)

    def records(self) -> Iterator[JsonRecord]:
        """Yield the elements of a list; raise :class:`_Fault` where the text can't be read on."""
        for number in self._steps("[", "]"):
            yield self._record(JsonRecord, number)

    def members(self) -> Iterator[JsonMember]:
        """Yield the members of an object; raise :class:`_Fault` where the text can't be read on."""
        for number in self._steps("{", "}"):
            key_line, key = self.line, self._key()
            member = self._record(JsonMember, number)
            member.key, member.key_line = key, key_line
            yield member

    def _steps(self, opening: str, closing: str) -> Iterator[int]:
        """Step from element to element, each of which has to be read before the next step; yield their numbers."""
        start = self._next()
        if start != opening:
            raise self._other_top_level(start, opening)
        self._advance(self.position + 1)
        number = 0
        is_open = self._next() != closing
        while is_open:
            yield number
            number += 1
            is_open = self._next() == ","
            if is_open:
                self._advance(self.position + 1)
                self._next()
            elif self._next() != closing:
                raise self._syntax_error(f"expected a comma or the end of the {_CONTAINERS[opening]}")
        self._advance(self.position + 1)
        if self._next():
            raise self._syntax_error(f"there is more behind the end of the {_CONTAINERS[opening]}")

    def _record(self, kind: type[_Record], number: int) -> _Record:
        line, self.is_suspicious = self.line, False
        value, end = self._decode()
        text = self.window[self.position : end]
        self._advance(end)
        return kind(value, number, line, text, is_suspicious=self.is_suspicious or not _has_distinct_keys(value, text))

    def _key(self) -> str:
        """Read a key and the colon behind it."""
        if self._next() != '"':
            raise self._syntax_error("expected a key in double quotes")
        key, end = self._decode()
        self._advance(end)
        if self._next() != ":":
            raise self._syntax_error("expected a colon behind the key")
        self._advance(self.position + 1)
        self._next()
        return str(key)

    def _other_top_level(self, start: str, opening: str) -> _Fault:
        """Say that the file holds something else than a list or an object, whichever is due."""
        if not start:
            return self._syntax_error("the file holds nothing but white space")
        due, hint = _TOP_LEVELS[opening]
        if start in _CONTAINERS:
            if opening == "[":
                hint += "; neither COCO's object nor one record per line is meant"
            return _Fault(_STRUCTURE, f"the top level is {_TOP_LEVELS[start][0]}, not {due}", self.line, hint=hint)
        if start in '"-0123456789tfn':
            return _Fault(_STRUCTURE, f"the top level is not {due}", self.line, self._excerpt(self.position), hint)
        return self._syntax_error("this is no JSON")

    def _constant(self, name: str) -> float:
        self.is_suspicious = True
        return float(name.replace("Infinity", "inf"))

    def _integer(self, digits: str) -> int | float:
        """Decode an integer; one with so many digits that Python refuses becomes an infinity."""
        if len(digits) < _LONG_NUMBER:
            return int(digits)
        self.is_suspicious = True
        return math.copysign(math.inf, -1 if digits[0] == "-" else 1)

    def _decode(self) -> tuple[Any, int]:
        """Decode the value at the position, reading on as far as needed; return it and where it ends."""
        while True:
            failure: json.JSONDecodeError | None = None
            try:
                value, end = self.decoder.raw_decode(self.window, self.position)
                if end < len(self.window):
                    return value, end
            except RecursionError:
                raise _Fault(
                    _JSON, "nested too deeply", self.line, hint="a record is an object with lists of numbers"
                ) from None
            except json.JSONDecodeError as error:
                failure = error
            except ValueError:  # more digits than Python turns into an integer
                self.decoder = json.JSONDecoder(parse_constant=self._constant, parse_int=self._integer)
                continue
            length = len(self.window) - self.position
            offset = _noticed_at(failure) - self.position if failure else length
            in_string = failure is not None and failure.msg.startswith("Unterminated string")
            may_be_cut_off = in_string or offset >= length - len("-Infinity")
            room = MAX_RECORD_LENGTH + 1 - length
            if may_be_cut_off and room > 0 and self._read_on(min(max(CHUNK, length), room)):
                continue
            if may_be_cut_off and not in_string and room <= 0:
                raise _Fault(_TOO_LARGE, f"a record is longer than {MAX_RECORD_LENGTH} characters", self.line)
            if failure is None:  # a value at the very end of the file
                return value, len(self.window)
            message = failure.msg[:1].lower() + failure.msg[1:].removesuffix(" starting at")
            raise self._syntax_error(message, self.position + offset)

    def _read_on(self, size: int) -> bool:
        """Move the window to the position and lengthen it; whether there was more to read."""
        more = self.file.read(size)
        self.window, self.position = self.window[self.position :] + more, 0
        return bool(more)

    def _advance(self, position: int) -> None:
        self.line, self.column = self._place(position)
        self.position = position

    def _place(self, position: int) -> tuple[int, int]:
        """Return the line and the column of a place in the window at or behind the position."""
        ends = self.window.count("\n", self.position, position)
        if not ends:
            return self.line, self.column + position - self.position
        return self.line + ends, position - self.window.rfind("\n", self.position, position)

    def _next(self) -> str:
        """Skip white space; return the character then at the position, and nothing at the end of the file."""
        while True:
            match = _SPACE.match(self.window, self.position)
            assert match is not None
            self._advance(match.end())
            if self.position < len(self.window):
                return self.window[self.position]
            if not self._read_on(CHUNK):
                return ""

    def _excerpt(self, position: int) -> str:
        return printable(self.window[position : position + 20].split("\n")[0])

    def _syntax_error(self, message: str, position: int | None = None) -> _Fault:
        position = self.position if position is None else position
        line, column = self._place(position)
        excerpt = self._excerpt(position)
        hint = _syntax_hint(message, excerpt, at_end=position >= len(self.window))
        return _Fault(_JSON, f"not valid JSON in column {column}: {message}", line, excerpt, hint)


def _noticed_at(error: json.JSONDecodeError) -> int:
    """Return where decoding stopped: from Python 3.13 on, the error's place is a comma too many, not the bracket behind it."""
    if not error.msg.startswith("Illegal trailing comma"):
        return error.pos
    space = _SPACE.match(error.doc, error.pos + 1)
    assert space is not None
    return space.end()


def _has_distinct_keys(value: Any, text: str) -> bool:
    """Whether it is certain, without visiting every value, that no object has a key twice.

    Every key has a colon, and colons within strings only make their number larger: there is no key twice if the objects that
    decoding left have as many keys as the text has colons.
    """
    if type(value) is not dict:
        return ":" not in text
    objects = [value, *chain.from_iterable(inner for inner in value.values() if type(inner) is list)]
    # Where a list holds something else, or there are objects further down, looking closely is left to the caller.
    return set(map(type, objects)) == {dict} and sum(map(len, objects)) == text.count(":")


def _syntax_hint(message: str, excerpt: str, *, at_end: bool) -> str:
    """Say what to do about a syntax error, by what is wrong and what stands where it was noticed."""
    if at_end:
        return "the file ends too early: was writing it cut off?"
    if excerpt.startswith(("]", "}", ",")):
        return "a comma too many?"
    if excerpt.startswith("'"):
        return "JSON has double quotes; write the file with json.dump"
    if excerpt.startswith(("None", "True", "False")):
        return "JSON has null, true and false; write the file with json.dump"
    if "comma" in message or "',' delimiter" in message:
        return "a comma missing?"
    return "write the file with json.dump"


_UNWRITABLE = re.compile("[\r\n\0\ud800-\udfff]")
_ID_COLUMNS = frozenset(
    "id ids image images imageid image_id image-id imageids image_ids img imgid img_id file filename file_name name qid".split()
)


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


def printable(text: str, length: int | None = None) -> str:
    r"""Return text with everything that would upset a terminal escaped, cut behind ``length`` characters of the original.

    >>> printable("a\x1b[2J é")
    'a\\x1b[2J é'
    >>> printable("abcdef", 3)
    'abc…'
    """
    if length is not None and len(text) > length:
        return printable(text[:length]) + "…"
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def show_id(name: str) -> str:
    """Return an id or a name from a file as findings show it: printable and of bounded length."""
    return printable(name, MAX_VALUE_LENGTH)
