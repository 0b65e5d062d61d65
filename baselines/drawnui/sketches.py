"""Hand-drawn wireframe pages with their true boxes, for the sample data set.

A *block* arranges elements (a form field, a row of cards); a page stacks blocks in columns until the paper is full, and is then
photographed or scanned. The habits of annotators are kept too: boxes are a little loose and end at the edge of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.drawnui import pen as drawing
from baselines.drawnui.elements import (
    Extent,
    Sketch,
    draw_button,
    draw_checkbox,
    draw_datepicker,
    draw_dropdown,
    draw_header,
    draw_image,
    draw_label,
    draw_linebreak,
    draw_link,
    draw_list,
    draw_paragraph,
    draw_radiobutton,
    draw_rating,
    draw_slider,
    draw_stepperinput,
    draw_table,
    draw_textarea,
    draw_textinput,
    draw_toggle,
    draw_video,
)

PAGE_SIZES = ((1200, 900), (900, 1200), (900, 1260), (1600, 560), (1600, 400), (780, 1600))
PAGE_SHARES = (0.45, 0.19, 0.11, 0.08, 0.08, 0.09)
CAPTURE_SHARES = (0.5, 0.22, 0.28)  # photographs, scans, black-and-white scans


@dataclass(frozen=True, slots=True)
class Page:
    """A finished picture and its boxes.

    Attributes:
        image: The picture, RGB.
        boxes: ``(N, 4) float64`` xyxy in pixels, inside the image.
        names: ``N`` class names.
    """

    image: Image.Image
    boxes: NDArray[np.float64]
    names: tuple[str, ...]


# --- Blocks. Each fills a column from (x, y) downwards and returns the y where it ends. ---

Block = Callable[[Sketch, float, float, float], float]


def stack(s: Sketch, x: float, y: float, width: float, *elements: Callable[..., Extent]) -> float:
    """Draw elements below each other and return the y below the last."""
    for element in elements:
        y += element(s, x, y, width)[1] + s.unit * s.rng.uniform(0.5, 1.0)
    return y


def block_title(s: Sketch, x: float, y: float, width: float) -> float:
    """A header."""
    return y + draw_header(s, x, y, width)[1] + s.unit * s.rng.uniform(0.5, 1.2)


def block_text(s: Sketch, x: float, y: float, width: float) -> float:
    """A paragraph, perhaps under a title."""
    if s.chance(0.4):
        y += (draw_header if s.chance(0.6) else draw_label)(s, x, y, width)[1] + 0.5 * s.unit
    return stack(s, x, y, width * s.rng.uniform(0.7, 1), draw_paragraph)


def block_rule(s: Sketch, x: float, y: float, width: float) -> float:
    """A rule."""
    return stack(s, x, y, width, draw_linebreak)


def _field(*inputs: Callable[..., Extent]) -> Block:
    """Make a block: a label above or before one of the inputs."""

    def block(s: Sketch, x: float, y: float, width: float) -> float:
        draw = inputs[s.rng.integers(len(inputs))]
        if s.chance(0.62) or width < s.unit * 14:
            y += draw_label(s, x, y, width)[1] + 0.35 * s.unit
            return y + draw(s, x, y, width * s.rng.uniform(0.6, 1))[1] + s.unit * s.rng.uniform(0.6, 1.1)
        used, _ = draw_label(s, x, y + 0.3 * s.unit, width * 0.4)
        left = max(used + 0.7 * s.unit, width * 0.35)
        _, height = draw(s, x + left, y, (width - left) * s.rng.uniform(0.6, 1))
        return y + max(height, 1.4 * s.unit) + s.unit * s.rng.uniform(0.6, 1.1)

    return block


block_field = _field(draw_textinput, draw_textinput, draw_dropdown)


def block_two_fields(s: Sketch, x: float, y: float, width: float) -> float:
    """Two fields beside each other, where there is room."""
    if width < s.unit * 18:
        return block_field(s, x, y, width)
    half = (width - 1.5 * s.unit) / 2
    return max(block_field(s, x, y, half), block_field(s, x + half + 1.5 * s.unit, y, half))


def _choices(draw: Callable[..., Extent]) -> Block:
    """Make a block: a question and its options, below or beside each other."""

    def block(s: Sketch, x: float, y: float, width: float) -> float:
        if s.chance(0.75):
            y += (draw_label if s.chance(0.7) else draw_header)(s, x, y, width)[1] + 0.5 * s.unit
        count = int(s.rng.integers(2, 6))
        if s.chance(0.45):
            indent, pitch = x + s.rng.uniform(0, 2) * s.unit, s.unit * s.rng.uniform(1.6, 2.2)
            for _ in range(count):
                draw(s, indent, y, width - (indent - x))
                y += pitch
            return y + 0.5 * s.unit
        columns = max(1, min(count, int(width / (s.unit * 7))))
        cell, pitch = width / columns, s.unit * s.rng.uniform(1.7, 2.6)
        for number in range(count):
            draw(s, x + number % columns * cell, y + number // columns * pitch, cell - s.unit)
        return y + math.ceil(count / columns) * pitch + 0.4 * s.unit

    return block


def block_buttons(s: Sketch, x: float, y: float, width: float) -> float:
    """A row of up to three buttons."""
    count = min(int(s.rng.integers(1, 4)), max(1, int(width / (s.unit * 8))))
    slot, bottom = width / count, y
    for number in range(count):
        _, height = draw_button(s, x + number * slot, y, slot - 0.8 * s.unit)
        bottom = max(bottom, y + height)
    return bottom + s.unit * s.rng.uniform(0.6, 1.2)


def block_links(s: Sketch, x: float, y: float, width: float) -> float:
    """A row of links."""
    count = max(1, min(int(s.rng.integers(2, 6)), int(width / (s.unit * 5))))
    for number in range(count):
        draw_link(s, x + number * width / count, y, width / count - s.unit)
    return y + 2.4 * s.unit


def block_navigation(s: Sketch, x: float, y: float, width: float) -> float:
    """A logo, links, and perhaps a search field or a button, over a rule."""
    logo, height = draw_image(s, x, y, 2.6 * s.unit, 2 * s.unit) if s.chance(0.6) else draw_header(s, x, y, width * 0.25)
    left, right = x + logo + 1.5 * s.unit, x + width
    if s.chance(0.6) and width > s.unit * 22:
        action = draw_button if s.chance(0.6) else draw_textinput
        right -= 6.5 * s.unit
        action(s, right + 0.5 * s.unit, y, 6 * s.unit)
    count = max(1, min(5, int((right - left) / (4.5 * s.unit))))
    slot = (right - left) / count
    if slot > 2 * s.unit:
        for number in range(count):
            draw_link(s, left + number * slot, y + 0.4 * s.unit, slot - 0.8 * s.unit)
    y += max(height, 2.2 * s.unit) + 0.7 * s.unit
    return block_rule(s, x, y, width) if s.chance(0.6) else y


def block_media(s: Sketch, x: float, y: float, width: float) -> float:
    """A picture beside a title and some text."""
    side = min(width * 0.4, s.unit * s.rng.uniform(4, 8))
    right = s.chance(0.3)
    _, height = draw_image(s, x + (width - side if right else 0), y, side, side * s.rng.uniform(0.75, 1.2))
    left, room = (x if right else x + side + s.unit), width - side - s.unit
    bottom = stack(s, left, y, room, draw_header if s.chance(0.5) else draw_label, draw_paragraph)
    if s.chance(0.4):
        bottom = stack(s, left, bottom, room, draw_link if s.chance(0.6) else draw_button)
    return max(bottom, y + height) + s.unit * s.rng.uniform(0.5, 1)


def _card(s: Sketch, x: float, y: float, width: float, parts: Sequence[Callable[..., Extent]], *, framed: bool) -> float:
    inset = 0.7 * s.unit if framed else 0.0
    if not framed:
        return stack(s, x, y, width, *parts)
    with s.element("container"):
        bottom = stack(s, x + inset, y + inset, width - 2 * inset, *parts)
        s.pen.box(x, y, width, bottom - y)
    return bottom + s.unit * 0.8


CARD_PARTS = (
    (draw_image, draw_label, draw_paragraph, draw_button),
    (draw_image, draw_header, draw_paragraph),
    (draw_image, draw_label, draw_label),
    (draw_image, draw_label, draw_paragraph, draw_link),
    (draw_label, draw_paragraph, draw_button),
    (draw_header, draw_paragraph, draw_link),
    (draw_image, draw_paragraph),
)


def block_cards(s: Sketch, x: float, y: float, width: float) -> float:
    """Up to four cards of the same kind beside each other."""
    count = max(1, min(int(s.rng.integers(2, 5)), int(width / (s.unit * 7))))
    gap, framed = s.unit * s.rng.uniform(0.8, 1.6), s.chance(0.55)
    parts = CARD_PARTS[s.rng.integers(len(CARD_PARTS))]
    cell = (width - gap * (count - 1)) / count
    return max(_card(s, x + number * (cell + gap), y, cell, parts, framed=framed) for number in range(count)) + 0.5 * s.unit


def block_dialog(s: Sketch, x: float, y: float, width: float) -> float:
    """A framed form."""
    inner = width * s.rng.uniform(0.6, 1)
    with s.element("container"):
        bottom = block_title(s, x + s.unit, y + s.unit, inner - 2 * s.unit)
        for _ in range(int(s.rng.integers(1, 4))):
            bottom = block_field(s, x + s.unit, bottom, inner - 2 * s.unit)
        bottom = block_buttons(s, x + s.unit, bottom, inner - 2 * s.unit)
        s.pen.box(x, y, inner, bottom - y)
    return bottom + s.unit


def _quantity(s: Sketch, x: float, y: float, width: float) -> Extent:
    """A number between two small buttons."""
    side = min(s.unit * s.rng.uniform(1.1, 1.5), width / 4.2)
    for place, sign in ((0.0, "-"), (3.2 * side, "+")):
        with s.element("button"):
            s.pen.box(x + place, y, side, side)
            s.pen.text(x + place + 0.25 * side, y + 0.1 * side, sign, 0.8 * side, 0.5 * side)
    with s.element("label"):
        s.pen.text(x + 1.9 * side, y + 0.1 * side, str(s.rng.integers(1, 10)), 0.8 * side)
    return 4.2 * side, side


def block_rows(s: Sketch, x: float, y: float, width: float) -> float:
    """Rows of labels in columns, perhaps with a picture in front, a link at the end and rules between."""
    columns = max(1, min(int(s.rng.integers(2, 4)), int(width / (s.unit * 7))))
    picture, ruled = s.chance(0.3), s.chance(0.4)
    draws: list[Callable[..., Extent]] = [draw_label] * columns
    if columns > 1 and s.chance(0.5):
        draws[-1] = draw_link if s.chance(0.6) else _quantity
    for _ in range(int(s.rng.integers(2, 5))):
        left, height = x, 2 * s.unit
        if picture:
            _, height = draw_image(s, x, y, 3 * s.unit, 3 * s.unit)
            left += 4 * s.unit
        cell = (x + width - left) / columns
        for column, draw in enumerate(draws):
            draw(s, left + column * cell, y + 0.3 * s.unit, cell - s.unit)
        y += height + 0.4 * s.unit
        if ruled:
            y = block_rule(s, x, y, width)
    return y + 0.4 * s.unit


def block_image(s: Sketch, x: float, y: float, width: float) -> float:
    """A picture."""
    return stack(s, x, y, min(width, s.unit * s.rng.uniform(6, 16)), draw_image)


def _single(draw: Callable[..., Extent], least: float, most: float) -> Block:
    """Make a block of one element whose width is between ``least`` and ``most`` text sizes."""

    def block(s: Sketch, x: float, y: float, width: float) -> float:
        return stack(s, x, y, min(width, s.unit * s.rng.uniform(least, most)), draw)

    return block


COMMON: tuple[tuple[Block, float], ...] = (
    (block_title, 1.0),
    (block_text, 2.2),
    (block_rule, 1.4),
    (block_field, 2.6),
    (block_two_fields, 2.0),
    (_choices(draw_checkbox), 2.2),
    (_choices(draw_radiobutton), 1.8),
    (block_buttons, 2.2),
    (block_links, 0.6),
    (block_media, 1.4),
    (block_cards, 3.0),
    (block_dialog, 1.6),
    (block_rows, 1.4),
    (block_image, 0.9),
)
# Every second sketch shows one of these, in turn, so that a small set holds every class; the order fixes their frequency.
RARE: tuple[Block, ...] = (
    _single(draw_list, 8, 16),
    _single(draw_video, 9, 16),
    _field(draw_toggle),
    _field(draw_rating),
    _field(draw_slider),
    _field(draw_datepicker),
    _field(draw_stepperinput),
    _field(draw_textarea),
    _single(draw_table, 14, 30),
)


def _fill(s: Sketch, x: float, y: float, width: float, bottom: float, first: Sequence[Block]) -> None:
    """Stack blocks in a column until it is full: the given ones, then common ones at random."""
    weights = np.array([weight for _, weight in COMMON])
    queue = list(first)
    misses = 0
    while misses < 5 and bottom - y > 2 * s.unit:
        block = queue.pop(0) if queue else COMMON[s.rng.choice(len(COMMON), p=weights / weights.sum())][0]
        mark = len(s.pen.strokes), len(s.marked)
        end = block(s, x, y, width)
        if end > bottom + s.unit:
            s.undo(*mark)
            misses += 1
        else:
            y = end


def draw_sketch(rng: np.random.Generator, number: int) -> Sketch:
    """Draw the sketch with this number: its size, its hand and its content come from ``rng``."""
    width, height = PAGE_SIZES[rng.choice(len(PAGE_SIZES), p=PAGE_SHARES)]
    s = Sketch(rng, width, height)
    margin_x, margin_y = rng.uniform(0.03, 0.13) * width, rng.uniform(0.03, 0.11) * height
    x, y = margin_x, margin_y
    inner, bottom = width - 2 * margin_x, height - margin_y * rng.choice([1.0, 3.0], p=[0.75, 0.25])
    rare = [RARE[number // 2 % len(RARE)]] if number % 2 == 0 else []
    if s.chance(0.65) and height > 500:
        y = (block_navigation if s.chance(0.35) else block_title)(s, x, y, inner)
    most = max(1, min(4, int(inner / (15 * s.unit))))
    columns = int(rng.integers(max(1, most - 1), most + 1))
    gap = s.unit * rng.uniform(1.5, 3)
    shares = rng.uniform(1, 1.5, columns)
    widths = shares / shares.sum() * (inner - gap * (columns - 1))
    place = rng.integers(columns)
    for column, column_width in enumerate(widths):
        _fill(s, x, y, float(column_width), bottom, rare if column == place else [])
        x += column_width + gap
        if column < columns - 1 and s.chance(0.12):  # a line between columns is no element
            s.pen.line(x - gap / 2, y, x - gap / 2, bottom)
    if not s.marked:
        block_title(s, margin_x, margin_y, inner)
    return s


def _tilt(rng: np.random.Generator, width: int, height: int) -> Callable[[drawing.Points], drawing.Points]:
    """Return how points of the page map to the picture: a small turn, shift and perspective."""
    angle = rng.normal(0, 0.012)
    scale = rng.uniform(0.94, 1.04)
    lean_x, lean_y = rng.normal(0, 0.02, 2)
    shift = rng.normal(0, 0.012, 2) * (width, height)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.array([width / 2, height / 2])

    def apply(points: drawing.Points) -> drawing.Points:
        centred = points - centre
        depth = 1 + centred[:, :1] * (lean_x / centre[0]) + centred[:, 1:] * (lean_y / centre[1])
        return np.asarray((centred @ turn.T) / depth + centre + shift)

    return apply


def capture(s: Sketch, rng: np.random.Generator) -> Page:
    """Photograph or scan a sketch, and annotate it as people do: boxes a little loose, at most to the edge of the picture."""
    tilt = _tilt(rng, s.width, s.height)
    strokes = [tilt(stroke) for stroke in s.pen.strokes]
    ink = drawing.lay_ink(strokes, s.width, s.height, s.pen.hand, rng)
    camera = drawing.CAPTURES[rng.choice(len(drawing.CAPTURES), p=CAPTURE_SHARES)]
    image = camera(ink, rng)
    slack = s.unit * rng.uniform(0.08, 0.46)
    boxes, names = [], []
    for name, start, stop in s.marked:
        points = np.concatenate(strokes[start:stop])
        low, high = points.min(axis=0), points.max(axis=0)
        room = slack * np.abs(rng.normal((0.9, 0.75, 1.3, 0.75), 0.35))
        box = np.array([low[0] - room[0], low[1] - room[1], high[0] + room[2], high[1] + room[3]])
        clipped = np.clip(box, 0, [s.width, s.height, s.width, s.height])
        if np.prod(clipped[2:] - clipped[:2]) > 0.5 * np.prod(box[2:] - box[:2]):  # else too much of it is outside
            boxes.append(clipped)
            names.append(name)
    return Page(image, np.array(boxes, dtype=np.float64).reshape(-1, 4), tuple(names))
