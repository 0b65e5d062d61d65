"""Hand-drawn wireframe pages with their true boxes, for the sample data set.

Three layers: an *element* draws one UI element the way designers sketch it and records its box; a *block* arranges elements
(a form field, a row of cards); a page stacks blocks in columns until the paper is full. Drawing conventions and the habits of
the annotators (a checkbox's box covers its caption, a header's its rule, boxes are a little loose) follow real wireframes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.drawnui import pen as drawing

PAGE_SIZES = ((1200, 900), (1200, 900), (1200, 900), (900, 1200), (900, 1200), (900, 1260), (1600, 560), (1600, 400), (780, 1600))
CAPTURE_SHARES = (0.5, 0.22, 0.28)  # photographs, scans, black-and-white scans

TITLES = (
    "Shipping Info|Your Cart|Checkout|Sign Up|Login|Our Team|Product Page|Payment|Contact us|Search results|My Account|Settings|"
    "Latest News|Write Review|Order Summary|Dashboard|Gallery|About us|Pricing|Blog|Book a room|Delivery options|Welcome back|"
    "User Accounts|Edit profile|Messages|Weekly report|Language options|What do you like?|Buscar vuelos|Datos personales|Features"
).split("|")
LABELS = (
    "First Name|Last Name|E-mail|Phone|Password|Address|City|Country|Zip Code|Company|Date|Price|Quantity|Total|Subtotal|Item|"
    "Card number|Description|Product 1|Product 2|$10.00|$24.9|$ 99.99|2 items|1 item|5-6 days|Status|Source|Name:|Age:|Color|Size|"
    "Manufacturer|Job Title|Category|45 reviews|10% off|How old are you?|Where do you live?|Nombre|Pais|Hora|Title|Author|Tags:|"
    "Free delivery|Promo code|Discount|Rooms|From|To|Step 2 of 3|20/12/2020|Remember|In stock|User 1|Mate Two|Subject|Message"
).split("|")
OPTIONS = (
    "Red|Blue|White|Express|Standard|Free|Credit card|Paypal|Bank transfer|English|French|German|Spanish|Remember me|I agree|"
    "Option 1|Option 2|Option 3|Single|Double|Football|Tennis|Chess|Coding|Reading|Comedy|Action|Java|PHP|Python|Item A|Item B|"
    "Check item 1|Choice 4|Subscribe|Yes|No|Maybe|Male|Female|Small|Large|Terms and conditions|Accept cookies|Never|Always"
).split("|")
ACTIONS = (
    "Submit|Login|Sign up|Buy now|Add to cart|Next|Back|Cancel|OK|Save|Delete|Search|Send|Continue|Subscribe|Read more|Find out more|"
    "Next step|Proceed to checkout|Apply|Upload|Register|Accept|Details|Book|Edit|Get started|Download|Pay|Aceptar|Siguiente|Filter"
).split("|")
LINKS = (
    "Details|More|Edit|Home|About|Contact|View all|Forgot password?|Help|My Account|Blog|News|Terms|Products|Services|Delete|Prices|"
    "Sign in|Log out|Privacy|Go to details|Share|FAQ|See map|Change|Menu|Shop|Back to top"
).split("|")
HINTS = "Your e-mail|Type your name...|Search|United States|Choose|Select|YYYY|MM|Madrid|Today|Select range|All|Price|2020".split("|")
WORDS = (
    "this is the best team ever we work on web pages and draw them by hand amazing deals every week in your inbox with a short "
    "text about our product that you can read in one minute the order will arrive soon thank you for your visit more to come"
).split()


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


class Sketch:
    """A page while it is drawn: the pen, the text size, and which strokes belong to which element."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.rng = rng
        self.width, self.height = width, height
        scale = max(width, height) / 1200
        self.unit = scale * rng.uniform(23, 46) * (0.8 if width < height else 1.0)  # height of a capital of a label
        self.pen = drawing.Pen(drawing.Hand.draw(rng, scale), rng)
        self.marked: list[tuple[str, int, int]] = []  # class name, first stroke, stroke after the last

    @contextmanager
    def element(self, name: str) -> Iterator[None]:
        """Record that the strokes drawn inside belong to one element; elements may be nested."""
        start = len(self.pen.strokes)
        yield
        self.marked.append((name, start, len(self.pen.strokes)))

    def pick(self, texts: Sequence[str], max_width: float, size: float) -> str:
        """Pick a text that fits without squeezing much, in this person's way of writing."""
        for _ in range(4):
            text = texts[self.rng.integers(len(texts))]
            if self.pen.text_width(text, size) <= 1.1 * max_width:
                break
        return text.upper() if self.rng.random() < self.pen.hand.capitals else text

    def chance(self, probability: float) -> bool:
        """Toss a coin."""
        return bool(self.rng.random() < probability)

    def undo(self, strokes: int, marked: int) -> None:
        """Take back everything after the given numbers of strokes and elements."""
        del self.pen.strokes[strokes:]
        del self.marked[marked:]


# --- Elements. Each draws at (x, y), keeps to `width` pixels, and returns the width and height it used. -------------------------

Extent = tuple[float, float]


def draw_label(s: Sketch, x: float, y: float, width: float, texts: Sequence[str] = LABELS, name: str = "label") -> Extent:
    size = s.unit * s.rng.uniform(0.9, 1.1)
    with s.element(name):
        used = s.pen.text(x, y, s.pick(texts, width, size), size, width)
    return used, size * 1.3


def draw_header(s: Sketch, x: float, y: float, width: float) -> Extent:
    size = s.unit * s.rng.uniform(1.15, 1.7)
    with s.element("header"):
        used = s.pen.text(x, y, s.pick(TITLES, width, size), size, width)
        style = s.rng.random()
        if style < 0.3:  # a rule over the whole width belongs to the header
            s.pen.line(x, y + size * 1.6, x + width, y + size * 1.6)
            used = width
        elif style < 0.45:
            s.pen.line(x, y + size * 1.5, x + used, y + size * 1.5)
    return used, size * 1.7


def draw_paragraph(s: Sketch, x: float, y: float, width: float, lines: int | None = None) -> Extent:
    lines = lines or int(s.rng.integers(2, 6))
    pitch = s.unit * s.rng.uniform(0.7, 1.15)
    style = s.rng.choice(["rules", "words", "scribble"], p=[0.62, 0.26, 0.12])
    with s.element("paragraph"):
        if style == "words":
            size = s.unit * 0.8
            pitch = size * 1.7
            for number in range(lines):
                words: list[str] = []
                while s.pen.text_width(" ".join(words), size) < width * (0.8 if number < lines - 1 else 0.4):
                    words.append(WORDS[s.rng.integers(len(WORDS))])
                s.pen.text(x, y + number * pitch, " ".join(words), size, width)
        else:
            for number in range(lines):
                end = width * (s.rng.uniform(0.86, 1) if number < lines - 1 else s.rng.uniform(0.4, 1))
                line_y = y + (number + 0.4) * pitch
                if style == "rules":
                    s.pen.line(x + s.rng.normal(0, 0.01) * width, line_y, x + end, line_y)
                else:
                    across = np.arange(0, max(end, s.unit), s.unit * 0.32)
                    waves = line_y + 0.16 * s.unit * np.where(np.arange(len(across)) % 2, 1, -1)
                    s.pen.curve(np.stack([x + across, waves], axis=1), jitter=0.05 * s.unit)
    return width, lines * pitch


def draw_link(s: Sketch, x: float, y: float, width: float) -> Extent:
    size = s.unit * s.rng.uniform(0.85, 1.05)
    with s.element("link"):
        used = s.pen.text(x, y, s.pick(LINKS, width * 0.9, size), size, width * 0.9)
        style = s.rng.random()
        if style < 0.85:
            s.pen.line(x, y + size * 1.35, x + used, y + size * 1.35)
        else:
            s.pen.text(x + used + 0.3 * size, y, ">", size)
            used += 0.8 * size
    return used, size * 1.5


def draw_button(s: Sketch, x: float, y: float, width: float, texts: Sequence[str] = ACTIONS) -> Extent:
    size = s.unit * s.rng.uniform(0.85, 1.05)
    text = s.pick(texts, width * 0.8, size)
    text_width = min(s.pen.text_width(text, size), width * 0.85)
    box_width = min(width, text_width + size * s.rng.uniform(0.8, 5)) if s.chance(0.8) else width
    height = size * s.rng.uniform(1.7, 2.6)
    with s.element("button"):
        if s.chance(0.2):
            _rounded_box(s, x, y, box_width, height)
        else:
            s.pen.box(x, y, box_width, height)
        if s.chance(0.08):  # a second outline, or a shadow
            s.pen.line(x + 4, y + height + 5, x + box_width + 4, y + height + 5)
        left = x + (box_width - text_width) / 2 + s.rng.normal(0, 0.15) * size
        s.pen.text(max(left, x + 0.2 * size), y + (height - size) / 2 - 0.05 * size, text, size, text_width)
    return box_width, height


def _rounded_box(s: Sketch, x: float, y: float, width: float, height: float) -> None:
    corner = 0.5 * min(width, height) * s.rng.uniform(0.5, 1)
    left, right, top, bottom = x, x + width, y, y + height
    ring = [
        *((left + corner, top), ((left + right) / 2, top), (right - corner, top), (right - corner * 0.3, top + corner * 0.3)),
        *((right, top + corner), (right, bottom - corner), (right - corner * 0.3, bottom - corner * 0.3)),
        *((right - corner, bottom), ((left + right) / 2, bottom), (left + corner, bottom)),
        *((left + corner * 0.3, bottom - corner * 0.3), (left, bottom - corner), (left, top + corner)),
        *((left + corner * 0.3, top + corner * 0.3), (left + corner * 1.2, top - 1)),
    ]
    s.pen.curve(ring, jitter=0.012 * height)


def draw_textinput(s: Sketch, x: float, y: float, width: float) -> Extent:
    height = s.unit * s.rng.uniform(1.3, 2.2)
    with s.element("textinput"):
        s.pen.box(x, y, width, height)
        if s.chance(0.3):
            size = min(s.unit * 0.8, height * 0.55)
            s.pen.text(x + 0.5 * size, y + (height - size) / 2, s.pick(HINTS, width * 0.8, size), size, width * 0.8)
        if s.chance(0.08):  # a magnifying glass
            lens = height * 0.4
            s.pen.ellipse(x + width - 2 * lens, y + 0.2 * height, lens, lens)
            s.pen.line(x + width - 1.1 * lens, y + 0.2 * height + lens, x + width - 0.6 * lens, y + 0.2 * height + 1.4 * lens)
    return width, height


def draw_textarea(s: Sketch, x: float, y: float, width: float) -> Extent:
    height = s.unit * s.rng.uniform(3.5, 6)
    with s.element("textarea"):
        s.pen.box(x, y, width, height)
        for offset in range(int(s.rng.integers(1, 4))):  # the grip in the lower right corner
            grip = s.unit * (0.35 + 0.3 * offset)
            s.pen.line(x + width - grip, y + height - 3, x + width - 3, y + height - grip)
        if s.chance(0.5):
            s.pen.text(x + 0.5 * s.unit, y + 0.5 * s.unit, s.pick(HINTS, width * 0.8, s.unit), 0.8 * s.unit, width * 0.8)
    return width, height


def _triangle(s: Sketch, x: float, y: float, size: float) -> None:
    """A triangle that points down, or a tick in its place, in a square of the given size."""
    corners = [(x, y + 0.1 * size), (x + size, y + 0.1 * size), (x + size / 2, y + 0.9 * size)]
    style = s.rng.random()
    if style < 0.25:
        s.pen.line(*corners[0], *corners[2])
        s.pen.line(*corners[2], *corners[1])
        return
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        s.pen.line(*start, *end)
    if style > 0.7:
        for level in np.linspace(0.2, 0.8, max(2, int(size / (2 * s.pen.hand.radius)))):
            s.pen.line(x + size * level / 2, y + size * level, x + size * (1 - level / 2), y + size * level)


def draw_dropdown(s: Sketch, x: float, y: float, width: float) -> Extent:
    height = s.unit * s.rng.uniform(1.3, 2.0)
    with s.element("dropdown"):
        s.pen.box(x, y, width, height)
        if s.chance(0.85):
            s.pen.line(x + width - height, y, x + width - height, y + height)
        mark = height * s.rng.uniform(0.35, 0.55)
        _triangle(s, x + width - (height + mark) / 2, y + (height - mark) / 2, mark)
        if s.chance(0.65):
            size = min(s.unit * 0.85, height * 0.55)
            room = width - height - size
            s.pen.text(x + 0.5 * size, y + (height - size) / 2, s.pick(HINTS + OPTIONS, room, size), size, max(room, size))
    return width, height


def draw_datepicker(s: Sketch, x: float, y: float, width: float) -> Extent:
    height = s.unit * s.rng.uniform(1.6, 2.1)
    icon = height * 0.6
    left, top = x + width - 1.25 * icon, y + 0.2 * height
    with s.element("datepicker"):
        s.pen.box(x, y, width, height)
        s.pen.box(left, top, icon, icon)
        s.pen.line(left, top + icon * 0.3, left + icon, top + icon * 0.3)
        for share in (0.3, 0.7):
            s.pen.line(left + share * icon, top - 0.15 * icon, left + share * icon, top + 0.12 * icon)
        for row in (0.5, 0.75):
            for column in (0.25, 0.5, 0.75):
                s.pen.line(left + column * icon - 1, top + row * icon, left + column * icon + 1, top + row * icon + 1)
        size = s.unit * 0.8
        text = s.pick(("dd/mm/yyyy", "12/05/2020", "01/01/21", "Date"), width - 2 * icon, size)
        s.pen.text(x + 0.4 * size, y + (height - size) / 2, text, size, max(width - 2 * icon, size))
    return width, height


def draw_stepperinput(s: Sketch, x: float, y: float, width: float) -> Extent:
    height = s.unit * s.rng.uniform(1.5, 2)
    width = min(width, height * s.rng.uniform(3, 4.5))
    size = s.unit * 0.85
    text = str(s.rng.integers(0, 13))
    with s.element("stepperinput"):
        s.pen.box(x, y, width, height)
        s.pen.line(x + height, y, x + height, y + height)
        s.pen.line(x + width - height, y, x + width - height, y + height)
        for sign, left in (("-", x + 0.3 * height), ("+", x + width - 0.7 * height)):
            s.pen.text(left, y + (height - size) / 2, sign, size, 0.5 * height)
        s.pen.text(x + (width - s.pen.text_width(text, size)) / 2, y + (height - size) / 2, text, size)
    return width, height


def draw_checkbox(s: Sketch, x: float, y: float, width: float) -> Extent:
    size = s.unit * s.rng.uniform(0.9, 1.05)
    side = size * s.rng.uniform(0.9, 1.3)
    with s.element("checkbox"):
        s.pen.box(x, y, side, side)
        if s.chance(0.35):
            if s.chance(0.75):
                s.pen.curve([(x + 0.2 * side, y + 0.5 * side), (x + 0.45 * side, y + 0.85 * side), (x + 1.1 * side, y - 0.05 * side)])
            else:
                s.pen.line(x + 0.15 * side, y + 0.15 * side, x + 0.85 * side, y + 0.85 * side)
                s.pen.line(x + 0.85 * side, y + 0.15 * side, x + 0.15 * side, y + 0.85 * side)
        gap = size * s.rng.uniform(0.5, 0.9)
        used = s.pen.text(x + side + gap, y, s.pick(OPTIONS, width - side - gap, size), size, width - side - gap)
    return side + gap + used, max(side, size * 1.3)


def draw_radiobutton(s: Sketch, x: float, y: float, width: float) -> Extent:
    size = s.unit * s.rng.uniform(0.9, 1.05)
    side = size * s.rng.uniform(0.7, 1.1)
    top = y + (size - side) / 2
    with s.element("radiobutton"):
        s.pen.ellipse(x, top, side * s.rng.uniform(1, 1.2), side)
        if s.chance(0.35):
            s.pen.fill(x + 0.3 * side, top + 0.3 * side, 0.45 * side, 0.45 * side)
        gap = size * s.rng.uniform(0.5, 0.9)
        used = s.pen.text(x + side + gap, y, s.pick(OPTIONS, width - side - gap, size), size, width - side - gap)
    return side + gap + used, max(side, size * 1.3)


def draw_toggle(s: Sketch, x: float, y: float, width: float) -> Extent:
    height = s.unit * s.rng.uniform(1, 1.35)
    length = height * s.rng.uniform(1.8, 2.3)
    with s.element("toggle"):
        _rounded_box(s, x, y, length, height)
        knob = x + (length - height if s.chance(0.5) else 0)
        s.pen.ellipse(knob + 0.08 * height, y + 0.08 * height, 0.84 * height, 0.84 * height)
        if s.chance(0.4):
            s.pen.fill(knob + 0.12 * height, y + 0.12 * height, 0.76 * height, 0.76 * height)
    return length, height


def draw_slider(s: Sketch, x: float, y: float, width: float) -> Extent:
    knob = s.unit * s.rng.uniform(0.6, 0.95)
    middle, share = y + knob / 2, s.rng.uniform(0.15, 0.85)
    with s.element("slider"):
        centre = x + share * width
        s.pen.line(x, middle, centre - knob / 2, middle)
        s.pen.line(centre + knob / 2, middle, x + width, middle)
        s.pen.ellipse(centre - knob / 2, y, knob, knob)
        if s.chance(0.4):
            s.pen.fill(centre - knob / 2, y, knob, knob)
        if s.chance(0.4):
            for end in (x, x + width):
                s.pen.line(end, middle - 0.3 * knob, end, middle + 0.3 * knob)
    return width, knob


def draw_rating(s: Sketch, x: float, y: float, width: float) -> Extent:
    size = min(s.unit * s.rng.uniform(1.1, 1.6), width / 6)
    filled = s.rng.integers(0, 6)
    with s.element("rating"):
        for number in range(5):
            _star(s, x + number * 1.2 * size + size / 2, y + size / 2, size / 2, filled=number < filled)
    return 5.8 * size, size


def _star(s: Sketch, x: float, y: float, radius: float, *, filled: bool) -> None:
    angles = np.arange(11) * math.pi / 5 - math.pi / 2 + s.rng.normal(0, 0.06)
    radii = np.where(np.arange(11) % 2, 0.45, 1.0) * radius
    points = np.stack([x + np.cos(angles) * radii, y + np.sin(angles) * radii], axis=1)
    s.pen.strokes.append(points + s.rng.normal(0, 0.05 * radius, points.shape))
    if filled:
        s.pen.fill(x - 0.6 * radius, y - 0.55 * radius, 1.2 * radius, 1.15 * radius)


def draw_image(s: Sketch, x: float, y: float, width: float, height: float | None = None) -> Extent:
    height = height or min(width * s.rng.uniform(0.6, 1.2), s.unit * 9)
    style = s.rng.random()
    with s.element("image"):
        if style < 0.1 and width < s.unit * 9:  # a portrait
            side = min(width, height)
            s.pen.ellipse(x, y, side, side)
            if s.chance(0.6):
                s.pen.ellipse(x + 0.35 * side, y + 0.18 * side, 0.3 * side, 0.32 * side)
                s.pen.curve([(x + 0.2 * side, y + 0.9 * side), (x + 0.35 * side, y + 0.58 * side), (x + 0.65 * side, y + 0.58 * side), (x + 0.82 * side, y + 0.88 * side)])
            return side, side
        s.pen.box(x, y, width, height)
        if style < 0.88:
            inset = s.rng.uniform(0, 0.06)
            s.pen.line(x + inset * width, y + inset * height, x + (1 - inset) * width, y + (1 - inset) * height)
            s.pen.line(x + (1 - inset) * width, y + inset * height, x + inset * width, y + (1 - inset) * height)
        else:  # mountains and a sun
            peaks = [(0.02, 0.8), (0.3, 0.4), (0.5, 0.7), (0.7, 0.5), (0.98, 0.85)]
            s.pen.strokes.append(np.array([(x + px * width, y + py * height) for px, py in peaks]))
            sun = 0.18 * min(width, height)
            s.pen.ellipse(x + 0.7 * width, y + 0.12 * height, sun, sun)
    return width, height


def draw_video(s: Sketch, x: float, y: float, width: float) -> Extent:
    height = min(width * s.rng.uniform(0.5, 0.75), s.unit * 10)
    side = min(width, height) * s.rng.uniform(0.22, 0.36)
    left, top = x + (width - side) / 2, y + (height - side) / 2
    with s.element("video"):
        s.pen.box(x, y, width, height)
        corners = [(left + 0.15 * side, top), (left + side, top + side / 2), (left + 0.15 * side, top + side)]
        for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
            s.pen.line(*start, *end)
        if s.chance(0.4):
            s.pen.ellipse(left - 0.4 * side, top - 0.4 * side, 1.8 * side, 1.8 * side)
        if s.chance(0.3):  # the bar with the position
            s.pen.line(x + 0.06 * width, y + 0.9 * height, x + 0.94 * width, y + 0.9 * height)
    return width, height


def draw_list(s: Sketch, x: float, y: float, width: float) -> Extent:
    count, pitch = int(s.rng.integers(3, 6)), s.unit * s.rng.uniform(1.4, 1.9)
    numbered, written = s.chance(0.3), s.chance(0.6)
    size, used = s.unit * 0.85, 0.0
    with s.element("list"):
        for number in range(count):
            top = y + number * pitch
            if numbered:
                s.pen.text(x, top, f"{number + 1}.", size)
            else:
                s.pen.fill(x, top + 0.35 * size, 0.28 * size, 0.28 * size)
            room = width - 1.4 * size
            if written:
                length = s.pen.text(x + 1.4 * size, top, s.pick(LABELS + OPTIONS, room, size), size, room)
            else:
                length = room * s.rng.uniform(0.6, 1)
                s.pen.line(x + 1.4 * size, top + 0.5 * size, x + 1.4 * size + length, top + 0.5 * size)
            used = max(used, length + 1.4 * size)
    return used, count * pitch


def draw_table(s: Sketch, x: float, y: float, width: float) -> Extent:
    columns, rows = int(s.rng.integers(2, 5)), int(s.rng.integers(3, 6))
    pitch, cell, size = s.unit * s.rng.uniform(1.6, 2.2), width / columns, s.unit * 0.8
    with s.element("table"):
        s.pen.box(x, y, width, rows * pitch)
        for row in range(1, rows):
            s.pen.line(x, y + row * pitch, x + width, y + row * pitch)
        for column in range(1, columns):
            s.pen.line(x + column * cell, y, x + column * cell, y + rows * pitch)
        for row in range(rows):
            for column in range(columns):
                left, middle = x + column * cell + 0.3 * size, y + (row + 0.5) * pitch
                if row == 0 or s.chance(0.25):
                    s.pen.text(left, middle - size / 2, s.pick(LABELS, 0.8 * cell, size), size, cell - 0.7 * size)
                elif s.chance(0.7):
                    s.pen.line(left, middle, left + cell * s.rng.uniform(0.4, 0.8), middle)
    return width, rows * pitch


def draw_linebreak(s: Sketch, x: float, y: float, width: float) -> Extent:
    with s.element("linebreak"):
        s.pen.line(x, y + 0.2 * s.unit, x + width, y + 0.2 * s.unit)
    return width, 0.4 * s.unit


# --- Blocks. Each fills a column from (x, y) downwards and returns the y where it ends. -----------------------------------------

Block = Callable[[Sketch, float, float, float], float]


def stack(s: Sketch, x: float, y: float, width: float, *elements: Callable[..., Extent]) -> float:
    for element in elements:
        y += element(s, x, y, width)[1] + s.unit * s.rng.uniform(0.5, 1.0)
    return y


def block_title(s: Sketch, x: float, y: float, width: float) -> float:
    return y + draw_header(s, x, y, width)[1] + s.unit * s.rng.uniform(0.5, 1.2)


def block_text(s: Sketch, x: float, y: float, width: float) -> float:
    if s.chance(0.4):
        y += (draw_header if s.chance(0.6) else draw_label)(s, x, y, width)[1] + 0.5 * s.unit
    return stack(s, x, y, width * s.rng.uniform(0.7, 1), draw_paragraph)


def block_rule(s: Sketch, x: float, y: float, width: float) -> float:
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


block_field = _field(draw_textinput, draw_textinput, draw_textinput, draw_dropdown)


def block_two_fields(s: Sketch, x: float, y: float, width: float) -> float:
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
    count = min(int(s.rng.integers(1, 4)), max(1, int(width / (s.unit * 8))))
    slot, bottom = width / count, y
    for number in range(count):
        _, height = draw_button(s, x + number * slot, y, slot - 0.8 * s.unit)
        bottom = max(bottom, y + height)
    return bottom + s.unit * s.rng.uniform(0.6, 1.2)


def block_links(s: Sketch, x: float, y: float, width: float) -> float:
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


def block_rows(s: Sketch, x: float, y: float, width: float) -> float:
    """Rows of labels in columns, perhaps with a picture in front, a link at the end and rules between."""
    columns = max(1, min(int(s.rng.integers(2, 4)), int(width / (s.unit * 7))))
    picture, ruled, last_is_link = s.chance(0.3), s.chance(0.4), s.chance(0.3)
    for _ in range(int(s.rng.integers(2, 5))):
        left, height = x, 2 * s.unit
        if picture:
            _, height = draw_image(s, x, y, 3 * s.unit, 3 * s.unit)
            left += 4 * s.unit
        cell = (x + width - left) / columns
        for column in range(columns):
            draw = draw_link if last_is_link and column == columns - 1 else draw_label
            draw(s, left + column * cell, y + 0.3 * s.unit, cell - s.unit)
        y += height + 0.4 * s.unit
        if ruled:
            y = block_rule(s, x, y, width)
    return y + 0.4 * s.unit


def block_image(s: Sketch, x: float, y: float, width: float) -> float:
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
    (block_field, 1.8),
    (block_two_fields, 1.6),
    (_choices(draw_checkbox), 1.4),
    (_choices(draw_radiobutton), 1.2),
    (block_buttons, 2.2),
    (block_links, 1.2),
    (block_media, 1.4),
    (block_cards, 2.2),
    (block_dialog, 0.7),
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
    while misses < 3 and bottom - y > 2 * s.unit:
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
    width, height = PAGE_SIZES[rng.integers(len(PAGE_SIZES))]
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
        return (centred @ turn.T) / depth + centre + shift

    return apply


def capture(s: Sketch, rng: np.random.Generator) -> Page:
    """Photograph or scan a sketch, and annotate it as people do: boxes a little loose, at most to the edge of the picture."""
    tilt = _tilt(rng, s.width, s.height)
    strokes = [tilt(stroke) for stroke in s.pen.strokes]
    ink = drawing.lay_ink(strokes, s.width, s.height, s.pen.hand, rng)
    camera = drawing.CAPTURES[rng.choice(len(drawing.CAPTURES), p=CAPTURE_SHARES)]
    image = camera(ink, rng)
    slack = s.unit * rng.uniform(0.08, 0.42)
    boxes, names = [], []
    for name, start, stop in s.marked:
        points = np.concatenate(strokes[start:stop])
        low, high = points.min(axis=0), points.max(axis=0)
        room = slack * np.abs(rng.normal(1, 0.35, 4))
        box = np.array([low[0] - room[0], low[1] - room[1], high[0] + room[2], high[1] + room[3]])
        clipped = np.clip(box, 0, [s.width, s.height, s.width, s.height])
        if np.prod(clipped[2:] - clipped[:2]) > 0.5 * np.prod(box[2:] - box[:2]):  # else too much of it is outside
            boxes.append(clipped)
            names.append(name)
    return Page(image, np.array(boxes, dtype=np.float64).reshape(-1, 4), tuple(names))
