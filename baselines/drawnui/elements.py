"""The 21 elements of a hand-drawn wireframe, the way designers sketch them, for the sample data set.

Conventions follow real wireframes: a checkbox or radio button comes with its caption, a header with its rule, a dropdown's box
holds the triangle, a picture is a box with a cross.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from baselines.drawnui import pen as drawing

TITLES = (
    "Shipping Info|Your Cart|Checkout|Sign Up|Login|Our Team|Product Page|Payment|Contact us|Search results|My Account|"
    "Settings|Latest News|Write Review|Order Summary|Dashboard|Gallery|About us|Pricing|Blog|Book a room|Delivery options|"
    "Welcome back|User Accounts|Edit profile|Messages|Weekly report|Language options|What do you like?|Buscar vuelos|"
    "Datos personales|Features"
).split("|")
LABELS = (
    "First Name|Last Name|E-mail|Phone|Password|Address|City|Country|Zip Code|Company|Date|Price|Quantity|Total|Subtotal|"
    "Item|Card number|Description|Product 1|Product 2|$10.00|$24.9|$ 99.99|2 items|1 item|5-6 days|Status|Source|Name:|"
    "Age:|Color|Size|Manufacturer|Job Title|Category|45 reviews|10% off|How old are you?|Where do you live?|Nombre|Pais|"
    "Hora|Title|Author|Tags:|Free delivery|Promo code|Discount|Rooms|From|To|Step 2 of 3|20/12/2020|Remember|In stock|"
    "User 1|Mate Two|Subject|Message"
).split("|")
OPTIONS = (
    "Red|Blue|White|Express|Standard|Free|Credit card|Paypal|Bank transfer|English|French|German|Spanish|Remember me|"
    "I agree|Option 1|Option 2|Option 3|Single|Double|Football|Tennis|Chess|Coding|Reading|Comedy|Action|Java|PHP|Python|"
    "Item A|Item B|Check item 1|Choice 4|Subscribe|Yes|No|Maybe|Male|Female|Small|Large|Terms and conditions|"
    "Accept cookies|Never|Always"
).split("|")
ACTIONS = (
    "Submit|Login|Sign up|Buy now|Add to cart|Next|Back|Cancel|OK|Save|Delete|Search|Send|Continue|Subscribe|Read more|"
    "Find out more|Next step|Proceed to checkout|Apply|Upload|Register|Accept|Details|Book|Edit|Get started|Download|Pay|"
    "Aceptar|Siguiente|Filter"
).split("|")
LINKS = (
    "Details|More|Edit|Home|About|Contact|View all|Forgot password?|Help|My Account|Blog|News|Terms|Products|Services|"
    "Delete|Prices|Sign in|Log out|Privacy|Go to details|Share|FAQ|See map|Change|Menu|Shop|Back to top"
).split("|")
HINTS = (
    "Your e-mail|Type your name...|Search|United States|Choose|Select|YYYY|MM|Madrid|Today|Select range|All|Price|2020".split(
        "|"
    )
)
WORDS = (
    "this is the best team ever we work on web pages and draw them by hand amazing deals every week in your inbox with a "
    "short text about our product that you can read in one minute the order will arrive soon thank you for your visit more "
    "to come"
).split()


# Least and largest height of a capital of a label on a page of 1200 pixels. Sizes, gaps and the room in boxes are about those
# of the development set's pages at the same area: what a detector learns on other sizes serves it less there.
UNITS = (28, 68)


class Sketch:
    """A page while it is drawn: the pen, the text size, and which strokes belong to which element."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.rng = rng
        self.width, self.height = width, height
        scale = max(width, height) / 1200
        self.unit = scale * math.exp(rng.uniform(*np.log(UNITS))) * (1.0 if 600 < height <= width else 0.8)  # of a capital
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
        tries = [texts[int(number)] for number in self.rng.integers(len(texts), size=4)]
        fitting = (text for text in tries if self.pen.text_width(text, size) <= 1.1 * max_width)
        text = next(fitting, min(tries, key=len))
        return text.upper() if self.rng.random() < self.pen.hand.capitals else text

    def chance(self, probability: float) -> bool:
        """Toss a coin."""
        return bool(self.rng.random() < probability)

    def undo(self, strokes: int, marked: int) -> None:
        """Take back everything after the given numbers of strokes and elements."""
        del self.pen.strokes[strokes:]
        del self.marked[marked:]


# --- Elements. Each draws at (x, y), keeps to `width` pixels, and returns the width and height it used. ---

Extent = tuple[float, float]


def draw_label(s: Sketch, x: float, y: float, width: float, texts: Sequence[str] = LABELS, name: str = "label") -> Extent:
    """A few words beside or above an input."""
    size = s.unit * s.rng.uniform(0.9, 1.1)
    with s.element(name):
        used = s.pen.text(x, y, s.pick(texts, width, size), size, width)
    return used, size * 1.3


def draw_header(s: Sketch, x: float, y: float, width: float) -> Extent:
    """Big words, in a third of the cases over a rule that counts as part of them."""
    size = s.unit * s.rng.uniform(1.0, 1.6)
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
    """Lines of text: ruled, written out, or scribbled."""
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
    """A word that is underlined or followed by an arrow."""
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
    """A box with a word in its middle."""
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
    """An empty box, or one with a hint or a magnifying glass."""
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
    """A tall box with the grip of a resizable field in its corner."""
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
    """A box with a triangle at its right end."""
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
    """A box with a date and a small calendar."""
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
    """A minus, a number and a plus in one box with dividers."""
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
    """A small square, empty or ticked, and its caption."""
    size = s.unit * s.rng.uniform(0.9, 1.05)
    side = size * s.rng.uniform(0.9, 1.6)
    with s.element("checkbox"):
        s.pen.box(x, y, side, side)
        if s.chance(0.35):
            if s.chance(0.75):
                s.pen.curve(
                    [(x + 0.2 * side, y + 0.5 * side), (x + 0.45 * side, y + 0.85 * side), (x + 1.1 * side, y - 0.05 * side)]
                )
            else:
                s.pen.line(x + 0.15 * side, y + 0.15 * side, x + 0.85 * side, y + 0.85 * side)
                s.pen.line(x + 0.85 * side, y + 0.15 * side, x + 0.15 * side, y + 0.85 * side)
        gap = size * s.rng.uniform(0.4, 1.5)
        used = s.pen.text(x + side + gap, y, s.pick(OPTIONS, width - side - gap, size), size, width - side - gap)
    return side + gap + used, max(side, size * 1.3)


def draw_radiobutton(s: Sketch, x: float, y: float, width: float) -> Extent:
    """A small circle, empty or with a dot, and its caption."""
    size = s.unit * s.rng.uniform(0.9, 1.05)
    side = size * s.rng.uniform(0.7, 1.1)
    top = y + (size - side) / 2
    with s.element("radiobutton"):
        s.pen.ellipse(x, top, side * s.rng.uniform(1, 1.2), side)
        if s.chance(0.35):
            s.pen.fill(x + 0.3 * side, top + 0.3 * side, 0.45 * side, 0.45 * side)
        gap = size * s.rng.uniform(0.4, 1.5)
        used = s.pen.text(x + side + gap, y, s.pick(OPTIONS, width - side - gap, size), size, width - side - gap)
    return side + gap + used, max(side, size * 1.3)


def draw_toggle(s: Sketch, x: float, y: float, width: float) -> Extent:
    """A pill with a knob at one end."""
    height = s.unit * s.rng.uniform(1, 1.35)
    length = min(height * s.rng.uniform(1.8, 2.3), width)
    with s.element("toggle"):
        _rounded_box(s, x, y, length, height)
        knob = x + (length - height if s.chance(0.5) else 0)
        s.pen.ellipse(knob + 0.08 * height, y + 0.08 * height, 0.84 * height, 0.84 * height)
        if s.chance(0.4):
            s.pen.fill(knob + 0.12 * height, y + 0.12 * height, 0.76 * height, 0.76 * height)
    return length, height


def draw_slider(s: Sketch, x: float, y: float, width: float) -> Extent:
    """A line with a knob on it."""
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
    """Five stars, some of them filled."""
    size = min(s.unit * s.rng.uniform(1.1, 1.6), width / 6)
    filled = int(s.rng.integers(0, 6))
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
    """A box with a cross, a landscape or an envelope in it, or a portrait in a circle."""
    height = height or min(width * s.rng.uniform(0.6, 1.2), s.unit * 9)
    style = s.rng.random()
    with s.element("image"):
        if style < 0.1 and width < s.unit * 9:  # a portrait
            side = min(width, height)
            s.pen.ellipse(x, y, side, side)
            if s.chance(0.6):
                s.pen.ellipse(x + 0.35 * side, y + 0.18 * side, 0.3 * side, 0.32 * side)
                s.pen.curve(
                    [
                        (x + 0.2 * side, y + 0.9 * side),
                        (x + 0.35 * side, y + 0.58 * side),
                        (x + 0.65 * side, y + 0.58 * side),
                        (x + 0.82 * side, y + 0.88 * side),
                    ]
                )
            return side, side
        s.pen.box(x, y, width, height)
        if style < 0.14:  # an envelope
            s.pen.line(x, y, x + width / 2, y + height * 0.55)
            s.pen.line(x + width / 2, y + height * 0.55, x + width, y)
        elif style < 0.88:
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
    """A box with a play triangle, perhaps in a ring."""
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
    """Lines or words behind bullets or numbers."""
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
    """A grid; words in its first row."""
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
    """A rule that stands alone."""
    with s.element("linebreak"):
        s.pen.line(x, y + 0.2 * s.unit, x + width, y + 0.2 * s.unit)
    return width, 0.4 * s.unit
