"""JSON files of any size, read one element or member at a time, with every fault reported by its line.

Reading stops where the text is no JSON. The readers of :mod:`baselines.core.files` say what holds of all of them.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, TypeVar

from baselines.core.files import CHUNK, MAX_RECORD_LENGTH, Prefix, Report, examine
from baselines.core.findings import Findings, printable, show_id

_Record = TypeVar("_Record", bound="JsonRecord")

# What faults are called, by the prefix.
_JSON: dict[Prefix, str] = {"DATA": "JSON", "RUN": "JSON"}
_STRUCTURE: dict[Prefix, str] = {"DATA": "FIELDS", "RUN": "STRUCTURE"}
_DUPLICATE: dict[Prefix, str] = {"DATA": "DUPLICATE-KEY", "RUN": "JSON"}
_DUPLICATE_IN_MEMBER: dict[Prefix, str] = {"DATA": "DUPLICATE-KEY", "RUN": "DUPLICATE-KEY"}
_NUMBER: dict[Prefix, str] = {"DATA": "NUMBER", "RUN": "JSON"}
_TOO_LARGE: dict[Prefix, str] = {"DATA": "TOO-LARGE", "RUN": "TOO-LARGE"}

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


def read_json_records(path: Path, findings: Findings, prefix: Prefix) -> Iterator[JsonRecord]:
    """Yield the elements of a JSON file that holds one list, decoded one by one.

    Findings: those of :func:`baselines.core.files.examine`; ``TOO-MANY-ERRORS``; ``STRUCTURE`` (in data sets ``FIELDS``) if
    there is no list; ``JSON`` for what is not JSON and ``TOO-LARGE`` for too long an element, which end the reading; and for
    what ``json.load`` would let pass or die of: a key twice (``DATA-DUPLICATE-KEY``), the literals NaN and Infinity, integers
    of a thousand digits (``DATA-NUMBER``); in runs these are ``RUN-JSON``. Of keys that occur twice the last one counts.

    Args:
        path: The file.
        findings: Where faults are reported, also those of the caller; reading stops when they hold ``MAX_ERRORS`` errors.
        prefix: What the codes start with.
    """
    return _read_json(path, Report(findings, str(path), prefix), _JsonStream.records)


def read_json_members(path: Path, findings: Findings, prefix: Prefix) -> Iterator[JsonMember]:
    """Yield the members of a JSON file that holds one object, decoded one by one.

    Findings: those of :func:`baselines.core.files.examine`; ``TOO-MANY-ERRORS``; ``STRUCTURE`` (in data sets ``FIELDS``) if
    there is no object; ``JSON`` for what is not JSON and ``TOO-LARGE`` for too long a member, which end the reading;
    ``DUPLICATE-KEY`` for a key twice in an object within a member, of which the last one counts. What only the caller can name
    is left to it: a key of the top level twice gives two members; NaN, infinities, and numbers too large for a float (of which
    integers of many digits come out as infinities) are in the values, and :meth:`JsonRecord.source` says what was written.

    Args:
        path: The file.
        findings: Where faults are reported, also those of the caller; reading stops when they hold ``MAX_ERRORS`` errors.
        prefix: What the codes start with.
    """
    return _read_json(path, Report(findings, str(path), prefix), _JsonStream.members)


def _read_json(path: Path, report: Report, parts: Callable[[_JsonStream], Iterator[_Record]]) -> Iterator[_Record]:
    """Yield the parts of a JSON file, each behind its faults."""
    kind = examine(path, report)
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
                if report.stops(record.line):
                    return
        except _Fault as fault:
            fault.tell(report)


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
        value = value[:40] + "…" if len(value) > 40 else value
        # A file often is one line, and the record may not be one that has a name.
        return _Fault(rule, message, self._line_at(token.start()), value, hint, id=f"record {self.number + 1}")

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
        position, index = _skip_space(text, start + 1), 0
        try:
            while text[position] not in "]}":
                key: str | int = index
                if is_object:
                    key, position = _locator.raw_decode(text, position)
                    position = _skip_space(text, _skip_space(text, position) + 1)  # over the colon
                yield key, position
                position = _skip_space(text, _locator.raw_decode(text, position)[1])
                if text[position] == ",":
                    position = _skip_space(text, position + 1)
                index += 1
        except RecursionError:  # the record could be decoded, but not from this much deeper in the stack
            return

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
            self._advance(_skip_space(self.window, self.position))
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
    return _skip_space(error.doc, error.pos + 1) if error.msg.startswith("Illegal trailing comma") else error.pos


def _skip_space(text: str, position: int) -> int:
    """Return where the white space at a position, if any, ends."""
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


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
