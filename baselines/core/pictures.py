"""Drawing boxes on images so that a person can read them: class styles, labels that keep clear of each other, legends, panels.

Seven colours that colour-blind people tell apart (Okabe and Ito, https://jfly.uni-koeln.de/color, with maroon for their yellow,
which is lost on paper) times three line patterns give 21 styles. All colours stand out from white, and every line and label has
a thin white edge, so that they show on any background. Lengths are in pixels of the picture.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

BLACK: Colour = (17, 17, 17)
WHITE: Colour = (255, 255, 255)
MARGIN = 8
TITLE_SIZE = 18
LABEL_SIZE = 12
TEXT_SIZE = 14
HEAT = 0.6  # how much of the colour covers the hottest place
DENSE = 40  # boxes from which on lines are thin and labels small


@dataclass(frozen=True, slots=True)
class Style:
    """How the boxes of a class are drawn: a colour, and the lengths of dash and gap (no gap: a solid line)."""

    colour: Colour
    dash: int = 1
    gap: int = 0

    @property
    def ink(self) -> Colour:
        """The colour of text on a label of this style, black or white, whichever is easier to read."""
        return BLACK if _luminance(self.colour) > 0.18 else WHITE


def _luminance(colour: Colour) -> float:
    """Return the relative luminance in [0, 1] (WCAG 2.1)."""
    linear = [part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


_COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (0, 158, 115),  # green
    (204, 121, 167),  # pink
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (110, 0, 20),  # maroon
)
STYLES = tuple(Style(colour, *pattern) for pattern in ((1, 0), (9, 5), (3, 3)) for colour in _COLOURS)


def style_of(number: int) -> Style:
    """Return the style of a class by its number, the same in every picture; there are 21, then they repeat.

    >>> style_of(1) == style_of(22)
    True
    """
    return STYLES[(number - 1) % len(STYLES)]


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that comes with Pillow."""
    return ImageFont.load_default(size)


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Return an RGB copy whose longer side is at most ``side``; a JPEG is decoded no larger than needed."""
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image.convert("RGB")


def draw_boxes(
    image: Image.Image, boxes: NDArray[np.floating], styles: Sequence[Style], labels: Sequence[str], *, line: int | None = None
) -> Image.Image:
    """Return a copy of an image with boxes on it.

    Larger boxes are drawn first, so that a container doesn't cover what it holds. A label for which there is no room that is
    free of other labels is left out; the style still tells the class.

    Args:
        image: RGB.
        boxes: ``(N, 4)`` xyxy in pixels of the image.
        styles: One for each box.
        labels: One for each box, the most important first.
        line: Width of the lines; by default 2, and 1 on dense pages.
    """
    picture = image.copy()
    pen = ImageDraw.Draw(picture)
    dense = len(boxes) >= DENSE
    width = line or (1 if dense else 2)
    sides = np.asarray(boxes, np.float64).reshape(-1, 4)
    areas = (sides[:, 2:] - sides[:, :2]).prod(-1)
    for index in np.argsort(-areas, kind="stable"):
        _rectangle(pen, sides[index].tolist(), styles[index], width)
    taken: list[Rectangle] = []
    for box, style, label in zip(sides.tolist(), styles, labels, strict=True):
        _label(pen, box, style, label, LABEL_SIZE - 2 if dense else LABEL_SIZE, taken)
    return picture


def draw_outlines(
    image: Image.Image,
    outlines: Sequence[NDArray[np.floating]],
    styles: Sequence[Style],
    labels: Sequence[str],
    marked: Collection[int] = (),
) -> Image.Image:
    """Return a copy of an image with outlines on it: closed lines, thin, some of which are marked.

    Args:
        image: RGB.
        outlines: ``(K, 2)`` x and y in pixels of the image, the corners of each.
        styles: One for each outline; only the colours are used.
        labels: One for each outline; where some are marked, these alone have labels.
        marked: Places of the outlines that are marked: they are thick and black.
    """
    picture = image.copy()
    pen = ImageDraw.Draw(picture)
    for place in sorted(range(len(outlines)), key=lambda place: place in marked):
        line = [tuple(corner) for corner in outlines[place].tolist()]
        width, colour = (3, BLACK) if place in marked else (1, styles[place].colour)
        pen.line([*line, *line[:2]], WHITE, width + 2, joint="curve")
        pen.line([*line, *line[:2]], colour, width, joint="curve")
    taken: list[Rectangle] = []
    for place in [place for place in range(len(outlines)) if place in marked or not marked]:
        low, high = outlines[place].min(axis=0), outlines[place].max(axis=0)
        style = Style(BLACK) if marked else styles[place]
        _label(pen, (*low.tolist(), *high.tolist()), style, labels[place], LABEL_SIZE, taken)
    return picture


def _rectangle(pen: ImageDraw.ImageDraw, box: Sequence[float], style: Style, width: int) -> None:
    left, top, right, bottom = (round(side) for side in box)
    for inset in range(-1, width + 1):  # the edge shows on both sides of the line and in its gaps
        if left + inset <= right - inset and top + inset <= bottom - inset:
            pen.rectangle((left + inset, top + inset, right - inset, bottom - inset), outline=WHITE)
    for start, end in _dashes(left, right, style):
        for y in (top, bottom - width + 1):
            pen.rectangle((start, y, end, y + width - 1), fill=style.colour)
    for start, end in _dashes(top, bottom, style):
        for x in (left, right - width + 1):
            pen.rectangle((x, start, x + width - 1, end), fill=style.colour)


def _dashes(start: int, end: int, style: Style) -> Iterator[tuple[int, int]]:
    """Yield where the dashes of a line begin and end, both pixels included."""
    if not style.gap:
        yield start, end
        return
    for dash in range(start, end + 1, style.dash + style.gap):
        yield dash, min(dash + style.dash - 1, end)


def _label(pen: ImageDraw.ImageDraw, box: Sequence[float], style: Style, text: str, size: int, taken: list[Rectangle]) -> None:
    """Write a label at a corner of its box, in the first place that is free of other labels."""
    if not text:
        return
    width, height = pen.textlength(text, font(size)) + 4, size + 3
    left, top, right, bottom = box
    limits = pen.im.size
    for x, y in (
        (left, top - height - 1),
        (left, bottom + 2),
        (right - width, top - height - 1),
        (right - width, bottom + 2),
        (left + 2, top + 2),
        (right - width - 2, bottom - height - 2),
    ):
        place = (x, y, x + width, y + height)
        if x >= 0 and y >= 0 and place[2] < limits[0] and place[3] < limits[1] and not any(_overlap(place, it) for it in taken):
            taken.append(place)
            pen.rectangle(place, fill=style.colour, outline=WHITE)
            pen.text((x + 2, y + height / 2), text, style.ink, font(size), anchor="lm")
            return


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def legend(entries: Sequence[tuple[Style, str]], width: int) -> Image.Image:
    """Draw a legend of styles and their names, in as many columns as fit into ``width``."""
    sample, height = 26, LABEL_SIZE + 8
    column = sample + 3 * MARGIN + max((math.ceil(font(LABEL_SIZE).getlength(name)) for _, name in entries), default=0)
    columns = max(1, (width - MARGIN) // column)
    rows = math.ceil(len(entries) / columns)
    picture = Image.new("RGB", (width, rows * height), WHITE)
    pen = ImageDraw.Draw(picture)
    for place, (style, name) in enumerate(entries):
        x, y = MARGIN + place % columns * column, place // columns * height
        _rectangle(pen, (x, y + 4, x + sample, y + height - 5), style, 2)
        pen.text((x + sample + MARGIN, y + height / 2), name, BLACK, font(LABEL_SIZE), anchor="lm")
    return picture


def beside(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Put images of one size beside each other, wide ones below each other, each under its title."""
    first = panels[0][1]
    across = first.width <= 1.5 * first.height
    bar = TITLE_SIZE + MARGIN
    step = (first.width + MARGIN, 0) if across else (0, first.height + bar + MARGIN)
    count = len(panels) - 1
    picture = Image.new("RGB", (first.width + count * step[0], first.height + bar + count * step[1]), WHITE)
    pen = ImageDraw.Draw(picture)
    for place, (title, image) in enumerate(panels):
        x, y = place * step[0], place * step[1]
        pen.text((x + 2, y + bar / 2), title, BLACK, font(TITLE_SIZE - 3), anchor="lm")
        picture.paste(image, (x, y + bar))
    return picture


def beside_with_counts(
    panels: Sequence[tuple[str, Image.Image]], counts: Mapping[str, Counter[int]], classes: Mapping[int, str]
) -> Image.Image:
    """Put images beside each other as :func:`beside`, above a legend of the classes that are on them.

    Args:
        panels: Titles and images.
        counts: How often each class is there, by what is counted, such as ``predicted``.
        classes: Class names by number; a class without one goes by its number.
    """
    picture = beside(panels)
    entries = []
    for label in sorted(set().union(*counts.values())):
        found = ", ".join(f"{count[label]} {kind}" for kind, count in counts.items())
        entries.append((style_of(label), f"{classes.get(label, label)}: {found}"))
    return below([picture, legend(entries, picture.width)] if entries else [picture])


def below(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures below each other on white."""
    height = sum(picture.height for picture in pictures) + MARGIN * (len(pictures) - 1)
    page = Image.new("RGB", (max(picture.width for picture in pictures), height), WHITE)
    y = 0
    for picture in pictures:
        page.paste(picture, (0, y))
        y += picture.height + MARGIN
    return page


def heat(image: Image.Image, grid: NDArray[np.floating]) -> Image.Image:
    """Return a copy of an image, coloured where a grid over it is high.

    Args:
        image: RGB.
        grid: ``(h, w)`` in [0, 1] over the square in whose middle the image lies; smoothed between its cells.
    """
    side = max(image.size)
    shares = Image.fromarray((np.clip(grid, 0, 1) * 255 * HEAT).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    shares = shares.crop((left, top, left + image.width, top + image.height))
    return Image.composite(Image.new("RGB", image.size, STYLES[1].colour), image.convert("RGB"), shares)


def lines(rows: Sequence[tuple[str, Colour]], width: int) -> Image.Image:
    """Write texts below each other on white, each in its colour, wrapped to about ``width``."""
    columns = max(1, int((width - 2 * MARGIN) / (1.1 * font(TEXT_SIZE).getlength("n"))))
    wrapped = [(part, colour) for row, colour in rows for part in textwrap.wrap(row, columns) or [""]]
    step = TEXT_SIZE + 6
    picture = Image.new("RGB", (width, len(wrapped) * step + MARGIN), WHITE)
    pen = ImageDraw.Draw(picture)
    for place, (part, colour) in enumerate(wrapped):
        pen.text((MARGIN, MARGIN / 2 + place * step), part, colour, font(TEXT_SIZE))
    return picture
