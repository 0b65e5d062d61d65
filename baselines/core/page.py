"""Pages of HTML that are one file: no request leaves them, so that they open from a mail attachment as from a disk.

Whatever is not :class:`Markup` is text and is escaped; there is no other way into a page. Behind that stands the page's
content security policy: it runs the one script whose hash it names, and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Literal

from PIL import Image

from baselines import __version__
from baselines.core.findings import printable

CELL_LENGTH = 240  # characters of a text that a cell shows
PICTURE_SIDE = 640  # pixels of the longer side of an embedded picture
PICTURE_BYTES = 5_000_000  # of all pictures of a page together
WIDE = 5  # columns of a table from which on it scrolls on a narrow screen
ROW_BYTES = 2_500_000  # of all rows of a table together


class Markup(str):
    """Markup, as :func:`element` makes it; any other string is text."""

    __slots__ = ()


Content = str | int | float | None


def element(name: str, *content: Content | Iterable[Content], **attributes: Content | bool) -> Markup:
    """Return an element of HTML or SVG.

    Args:
        name: Its name.
        content: Markup, and text, which is escaped; ``None`` is nothing.
        attributes: ``_`` stands for ``-``, one at the end for nothing (``class_``); ``True`` is an attribute without a value,
            ``None`` and ``False`` are none.

    >>> element("p", "a < b", element("br"), class_="x", hidden=True, id=None)
    '<p class="x" hidden>a &lt; b<br></p>'
    """
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(start) if name in _VOID else Markup(f"{start}{join(*content)}</{name}>")


_VOID = frozenset({"br", "img", "input", "link", "meta"})


def _attribute(key: str, value: Content | bool) -> str:
    if value is None or value is False:
        return ""
    named = key.rstrip("_").replace("_", "-")
    return f" {named}" if value is True else f' {named}="{escape(value)}"'


def escape(value: Content) -> str:
    r"""Return a value as text of HTML, on one line; characters that can't be seen, or that turn a line around, show as codes.

    >>> escape("<b> & \u202e")
    '&lt;b&gt; &amp; \\u202e'
    """
    text = str(value)
    return html.escape(text if text.isprintable() else printable(text))


def join(*content: Content | Iterable[Content]) -> Markup:
    """Return markup and escaped text behind each other."""
    parts: list[str] = []
    for part in content:
        if isinstance(part, Markup):
            parts.append(part)
        elif isinstance(part, str | int | float):
            parts.append(escape(part))
        elif part is not None:
            parts.append(join(*part))
    return Markup("".join(parts))


def cut(text: str, length: int = CELL_LENGTH) -> str:
    """Return a text, shortened to ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def preformatted(text: str) -> Markup:
    """Return a text of several lines as it is."""
    lines = [escape(line) for line in text.splitlines()]
    return element("pre", Markup("\n".join(lines)), tabindex=0)


# ------------------------------------------------------------------------------------------------------------------ page


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page, which its table of contents lists."""

    id: str
    title: str
    content: Markup


def render(title: str, lead: Markup, sections: Sequence[Section]) -> str:
    """Return a page.

    Args:
        title: Its title.
        lead: What stands below the title.
        sections: Its parts.
    """
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        Markup(f"<style>{style}</style>"),
    )
    body = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        _header(title, lead, sections),
        element("main", (_section(each) for each in sections), id="content", tabindex=-1),
        element("footer", element("p", f"imageclef-baselines {__version__}, {datetime.now(UTC):%Y-%m-%d} (UTC)")),
        Markup(f"<script>{script}</script>"),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _header(title: str, lead: Markup, sections: Sequence[Section]) -> Markup:
    themes = (("", "as the system"), ("light", "light"), ("dark", "dark"))
    options = (element("option", text, value=value) for value, text in themes)
    switch = element("label", "Theme ", element("select", options, id="theme", autocomplete="off"), class_="theme", hidden=True)
    links = (element("li", element("a", each.title, href=f"#{each.id}")) for each in sections)
    contents = element("nav", element("ul", links), aria_label="Contents")
    return element("header", element("div", element("h1", title), switch, class_="bar"), lead, contents)


def _section(section: Section) -> Markup:
    heading = f"{section.id}-heading"
    return element(
        "section",
        element("h2", section.title, id=heading),
        section.content,
        id=section.id,
        aria_labelledby=heading,
        tabindex=-1,
    )


@cache
def _resource(name: str) -> str:
    return (files("baselines.core") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# ---------------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its head.
        kind: ``text``; ``number``, set flush right; or ``rank``, text that is sorted by a number.
    """

    name: str
    kind: Literal["text", "number", "rank"] = "text"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell whose place in the order is not that of its text.

    Attributes:
        content: What it shows.
        value: The number that it is sorted by; without one it comes last.
    """

    content: Content
    value: float | None = None


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Content | Cell]], id_: str | None = None) -> Markup:
    """Return a table that a click on a head sorts; a region of its own, which scrolls where it is too wide.

    Args:
        caption: What it shows.
        columns: Its columns.
        rows: Its rows; the first cell is the head of its row.
        id_: Its id, by which :func:`filters` names it.
    """
    head = element("tr", (_head(column) for column in columns))
    body = [element("tr", _cells(columns, row)) for row in rows]
    parts = (element("caption", caption), element("thead", head), element("tbody", body))
    content = element("table", *parts, id=id_, class_="wide" if len(columns) >= WIDE else None)
    return element("div", content, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _head(column: Column) -> Markup:
    order = "text" if column.kind == "text" else "number"
    return element("th", column.name, scope="col", data_order=order, class_="number" if column.kind == "number" else None)


def _cells(columns: Sequence[Column], row: Sequence[Content | Cell]) -> Iterable[Markup]:
    for place, (column, cell) in enumerate(zip(columns, row, strict=True)):
        is_cell = isinstance(cell, Cell)
        content = cell.content if isinstance(cell, Cell) else cell
        value = cell.value if isinstance(cell, Cell) else None
        kind = "number" if column.kind == "number" else None
        if place == 0:
            yield element("th", content, scope="row", class_=kind, data_value=value if is_cell else None)
        else:
            yield element("td", content, class_=kind, data_value=value if is_cell else None)


def filters(table_id: str, choices: Sequence[tuple[int, str, Sequence[str]]], noun: str) -> Markup:
    """Return the form that filters a table.

    Args:
        table_id: Id of the table.
        choices: For each list to choose from: its column, counted from 0, its label and the texts.
        noun: What a row is, in the plural.
    """
    lists = []
    for column, label, texts in choices:
        options = [element("option", "all", value=""), *(element("option", text) for text in texts)]
        lists.append(element("label", f"{label} ", element("select", options, data_column=column, autocomplete="off")))
    search = element("label", "Text ", element("input", type_="search", autocomplete="off"))
    count = element("output", aria_live="polite", data_noun=noun)
    return element(
        "form", *lists, search, element("button", "Show all", type_="reset"), count, class_="filters", data_table=table_id,
        role="search", aria_label=f"Filter of the {noun}", hidden=True,
    )  # fmt: skip


def within_bytes(rows: Iterable[Sequence[Content | Cell]], limit: int = ROW_BYTES) -> list[Sequence[Content | Cell]]:
    """Return the first rows, as many as stay under a number of bytes with the texts of all of them escaped."""
    kept, used = [], 0
    for row in rows:
        contents = (cell.content if isinstance(cell, Cell) else cell for cell in row)
        used += sum(30 + len((each if isinstance(each, Markup) else escape(each)).encode()) for each in contents)
        if used > limit:
            break
        kept.append(row)
    return kept


def facts(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """Return names and what they stand for, as a list of terms; without those that stand for nothing."""
    return element(
        "dl", (element("div", element("dt", name), element("dd", value)) for name, value in pairs if value not in (None, ""))
    )


def more(summary: str, content: Markup) -> Markup:
    """Return content that opens on demand."""
    return element("details", element("summary", summary), content)


# -------------------------------------------------------------------------------------------------------------- pictures


class Album:
    """Embeds pictures in a page until their bytes are used up, and counts those for which there is no room.

    Args:
        limit: Bytes of all pictures together.
    """

    def __init__(self, limit: int = PICTURE_BYTES) -> None:
        self.left, self.omitted = limit, 0

    def add(self, picture: Image.Image, text: str, side: int = PICTURE_SIDE) -> Markup | None:
        """Return a picture that opens large, or ``None`` where there is no room.

        Args:
            picture: The picture.
            text: What it shows, for those who can't see it.
            side: Most pixels of its longer side; a larger one is reduced.
        """
        small = picture.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=72, method=4)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        if len(encoded) > self.left:
            self.omitted += 1
            return None
        self.left -= len(encoded)
        image = element("img", src=f"data:image/webp;base64,{encoded}", alt=text, width=small.width, height=small.height)
        return element("button", image, type_="button", class_="zoom", aria_label=f"Enlarge: {text}")

    def note(self) -> Markup:
        """Return how many pictures were left out, if any."""
        if not self.omitted:
            return Markup()
        return element("p", f"{self.omitted} more pictures are left out: the page would become too large.", class_="note")


def figure(content: Markup, caption: Content | Iterable[Content], class_: str | None = None) -> Markup:
    """Return content with a caption below."""
    return element("figure", content, element("figcaption", caption), class_=class_)


def gallery(figures: Sequence[Markup], *, wide: bool = False) -> Markup:
    """Return figures as a list, beside and below each other."""
    return element("ul", (element("li", each) for each in figures), class_="gallery wide" if wide else "gallery")
