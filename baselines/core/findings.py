"""What a reader, a validator or a check has to say about its input.

A finding names the file, the line or the id, what was expected, what was seen and what to do. Readers never stop at the
first one: they collect all of them in a :class:`Findings` and the caller decides whether the input is usable.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

MAX_KEPT_PER_CODE = 1000
MAX_VALUE_LENGTH = 80
MAX_LISTED = 30  # names that a hint lists where none is near what was given


class Severity(StrEnum):
    """How bad a finding is: an ``error`` makes the input unusable."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing, about an input.

    Attributes:
        code: Stable upper-case code; once released it never changes its meaning.
        severity: Error, warning or info.
        message: What is wrong, in one clause.
        file: The file it is in, as the user named it.
        line: 1-based line, where there is one.
        id: The sample it concerns, where there is one.
        value: What was seen, as text, shortened by :func:`shorten`.
        hint: What was expected and what to do about it.
        other: Another file that it concerns, such as the second of two that are alike.
        objects: Places, from 0, of the sample's objects that it concerns, such as its boxes.
    """

    code: str
    severity: Severity
    message: str
    file: str = ""
    line: int | None = None
    id: str = ""
    value: str = ""
    hint: str = ""
    other: str = ""
    objects: tuple[int, ...] = ()

    def __str__(self) -> str:
        r"""Format as ``FILE:LINE: CODE message (value seen; what to do)``, parts that are absent left out.

        What is no error says so behind the code.

        >>> print(Finding("RUN-BOX", Severity.ERROR, "not four numbers", "r.json", 7, "a.jpg", "[1, 2]", "write [y, x, h, w]"))
        r.json:7: RUN-BOX a.jpg: not four numbers (saw [1, 2]; write [y, x, h, w])
        >>> print(Finding("RUN-BOM", Severity.INFO, "begins with a byte order mark", "r.json"))
        r.json: RUN-BOM info: begins with a byte order mark

        A file name that would upset a terminal is escaped.

        >>> print(Finding("DATA-JUNK", Severity.INFO, "is ignored", "\x1b[2J.jpg"))
        \x1b[2J.jpg: DATA-JUNK info: is ignored
        """
        place = ":".join(str(part) for part in (printable(self.file), self.line) if part not in ("", None))
        severity = "" if self.severity is Severity.ERROR else f"{self.severity}: "
        subject = f"{printable(self.id)}: " if self.id else ""
        details = "; ".join(part for part in (f"saw {self.value}" if self.value else "", self.hint) if part)
        return (
            f"{place + ': ' if place else ''}{self.code} {severity}{subject}{self.message}{f' ({details})' if details else ''}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)


def worst_severity(findings: Iterable[Finding]) -> Severity:
    """Return the severity of the worst of some findings."""
    return min((finding.severity for finding in findings), key=list(Severity).index)


class Findings:
    """Collects findings with bounded memory: at most ``MAX_KEPT_PER_CODE`` of each code are kept, all are counted.

    Args:
        findings: The first ones.
        pass_on: Takes every finding, too, also those that are counted and not kept.
    """

    def __init__(self, findings: Iterable[Finding] = (), pass_on: Callable[[Finding], None] | None = None) -> None:
        self._pass_on = pass_on
        self._kept: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self._by_severity: Counter[Severity] = Counter()
        self.extend(findings)

    def add(self, finding: Finding) -> None:
        """Record a finding."""
        self.counts[finding.code] += 1
        self._by_severity[finding.severity] += 1
        if self.counts[finding.code] <= MAX_KEPT_PER_CODE:
            self._kept.append(finding)
        if self._pass_on:
            self._pass_on(finding)

    def keeps(self, code: str) -> bool:
        """Whether one more finding of a code would be kept, not only counted; of others the place needn't be looked for."""
        return self.counts[code] < MAX_KEPT_PER_CODE

    def extend(self, findings: Iterable[Finding]) -> None:
        """Record several findings."""
        for finding in findings:
            self.add(finding)

    def take(self, code: str) -> list[Finding]:
        """Take out the findings of a code that is found a few times at most, and return them.

        >>> found = Findings([Finding("RUN-A", Severity.ERROR, "wrong"), Finding("RUN-B", Severity.ERROR, "odd")])
        >>> [finding.message for finding in found.take("RUN-A")], found.error_count, found.lines()
        (['wrong'], 1, ['RUN-B odd'])
        """
        taken = [finding for finding in self._kept if finding.code == code]
        if taken:
            self._kept = [finding for finding in self._kept if finding.code != code]
            self._by_severity -= Counter(finding.severity for finding in taken)
            del self.counts[code]
        return taken

    def __iter__(self) -> Iterator[Finding]:
        """Iterate over the kept findings by file and line, then in the order they were found."""
        return iter(sorted(self._kept, key=lambda finding: (finding.file, finding.line or 0)))

    def __len__(self) -> int:
        """Return how many findings there were, kept or not."""
        return self.counts.total()

    @property
    def error_count(self) -> int:
        """How many findings are errors."""
        return self._by_severity[Severity.ERROR]

    def count(self, severity: Severity) -> int:
        """Return how many findings of one severity there were, kept or not."""
        return self._by_severity[severity]

    def of(self, severity: Severity) -> list[Finding]:
        """Return the kept findings of one severity."""
        return [finding for finding in self if finding.severity == severity]

    def by_code(self) -> dict[str, list[Finding]]:
        """Return the kept findings of each code, the worst codes first.

        >>> found = Findings([Finding("DATA-A", Severity.INFO, "odd"), Finding("DATA-B", Severity.ERROR, "wrong")])
        >>> list(found.by_code())
        ['DATA-B', 'DATA-A']
        """
        groups: dict[str, list[Finding]] = defaultdict(list)
        for finding in self:
            groups[finding.code].append(finding)
        order = list(Severity)
        return dict(sorted(groups.items(), key=lambda group: (order.index(worst_severity(group[1])), group[0])))

    def first_lines(self, most: int) -> list[str]:
        """Return one line for each of the first findings, errors first; how many were left out is ``len`` less their number."""
        return [str(finding) for severity in Severity for finding in self.of(severity)][:most]

    def lines(self) -> list[str]:
        """Return one line a finding, and for codes that overflowed a line that says how many were left out."""
        listed = [str(finding) for finding in self]
        return listed + [
            f"{code} {count - MAX_KEPT_PER_CODE} more, not listed"
            for code, count in sorted(self.counts.items())
            if count > MAX_KEPT_PER_CODE
        ]

    def summary(self) -> list[str]:
        """Return one line a code: how often, and the first of them.

        >>> said = Findings([Finding("DATA-X", Severity.WARNING, "odd", id=name) for name in "ab"])
        >>> said.summary()
        ['2 times DATA-X, first: DATA-X warning: a: odd']
        """
        first = {finding.code: finding for finding in reversed(list(self))}
        return [f"{self.counts[code]} times {code}, first: {finding}" for code, finding in sorted(first.items())]

    def raise_errors(self) -> None:
        """Raise :class:`InvalidInput` with all findings if any of them is an error."""
        if self.error_count:
            raise InvalidInput(self)


class DistinctFindings(Findings):
    """Findings of several readings, each taken once: the readers of two splits may read one file.

    Whether it has been taken is told by its code, place, id and value; of each, 16 bytes are remembered.

    >>> found = [Finding("DATA-X", Severity.WARNING, "odd", "a.csv", line) for line in (1, 2)]
    >>> len(DistinctFindings(found + found))
    2
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._taken: set[bytes] = set()
        super().__init__(findings)

    def add(self, finding: Finding) -> None:
        """Record a finding, unless it has been."""
        key = repr((finding.code, finding.file, finding.line, finding.id, finding.value))
        digest = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()
        if digest not in self._taken:
            self._taken.add(digest)
            super().add(finding)


class InvalidInput(Exception):
    """The user's run, data set, configuration or checkpoint can't be used; exit code 1."""

    def __init__(self, findings: Findings | Finding) -> None:
        self.findings = findings if isinstance(findings, Findings) else Findings([findings])
        super().__init__("\n".join(self.findings.lines()))


class UsageError(Exception):
    """The command was called in a way it doesn't take; exit code 2."""


def invalid(code: str, message: str, *, file: object = "", value: object = "", hint: str = "") -> InvalidInput:
    """Make the exception for an input with exactly one error."""
    seen = shorten(value) if value != "" else ""
    return InvalidInput(Finding(code, Severity.ERROR, message, file=str(file), value=seen, hint=hint))


def nearest(name: str, known: Iterable[str], otherwise: str = "the choices are") -> str:
    """Return a hint that names the nearest of the known names; where none is near all of them, if they are few.

    Args:
        name: What was given; case and what is behind 100 characters make no difference.
        known: The names that there are.
        otherwise: What to say before all of them.

    >>> nearest("max_step", ["max_steps", "devices"]), nearest("x", ["a", "b"], "the tasks are")
    ('did you mean max_steps?', 'the tasks are a, b')
    >>> nearest("odd", [f"{word}-{number}" for word in ("odd-box", "rare-class") for number in range(16)])
    'the nearest are odd-box-9, odd-box-8, odd-box-7'
    """
    by_case = {each.lower(): each for each in known}
    plain = name.strip().lower()[:100]
    if near := difflib.get_close_matches(plain, by_case, n=1):
        return f"did you mean {by_case[near[0]]}?"
    if len(by_case) <= MAX_LISTED:
        return f"{otherwise} {', '.join(by_case.values())}"
    return f"the nearest are {', '.join(by_case[each] for each in difflib.get_close_matches(plain, by_case, cutoff=0))}"


def shorten(value: object, length: int = MAX_VALUE_LENGTH) -> str:
    r"""Return ``value`` as printable text on one line of at most ``length`` characters.

    >>> shorten("a\nb")
    "'a\\nb'"
    >>> shorten("x" * 100, 10)
    "'xxxxxxxx…"
    """
    text = repr(value[: 4 * length]) if isinstance(value, str | bytes) else repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"


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
