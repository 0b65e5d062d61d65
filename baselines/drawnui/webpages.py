"""Rendered web pages with their true boxes, for the sample of the screenshot task.

The campaign's six class names are not known; those here are the sample's own, and no other code relies on them. A page is a
stack of sections (navigation, hero, cards, article, form, footer, …) in one theme, drawn straight at its final size with the
font that comes with Pillow, so that it looks the same on every machine.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from baselines.drawnui.pen import soft_noise
from baselines.drawnui.sketches import Page

CLASSES = {name: number for number, name in enumerate(("button", "heading", "image", "input", "link", "text"), start=1)}
WIDTHS = (1366, 1280, 1200, 1024, 1024, 900, 768, 640, 414)
MAX_HEIGHT = 1800
BLANK_EVERY, BLANK_FIRST = 24, 7  # pages of an uncleaned part that are blank: 7, 31, 55, …

HEADINGS = (
    "Build better products together|Our services|Latest articles|Why people choose us|A simple plan for every team|"
    "Get in touch|Meet the people behind it|Fresh bread, every morning|Explore the old town|Recent projects|"
    "What our guests say|Opening hours|Handmade furniture since 1978|Learn at your own pace|Plan your next trip|"
    "How it works|Frequently asked questions|New arrivals|The annual report is here|Weekend in the mountains|"
    "Your health, our mission|Start your free trial|From our kitchen|Events"
).split("|")
SHORT = (
    "Fast delivery|Fair prices|Open source|Oak table|Blue lamp|Running shoes|City tour|Harbour view|Green tea|Design|"
    "Support|Team|Security|Analytics|Wool scarf|Garden chair|Photography|Basic|Professional|Consulting|Accounting|"
    "Workshops|Quiet rooms|Travel bag"
).split("|")
SENTENCES = (
    "We help small companies tell their story on the web.|Every order leaves our workshop within two days.|"
    "Our guides know every street and every good bakery.|You can change or cancel your booking at any time.|"
    "The new version is faster and much easier to use.|Ask us anything, we usually answer within an hour.|"
    "All furniture is made from local oak and beech.|Read how three teams cut their costs by a third.|"
    "Children under twelve travel free on all lines.|The course takes six weeks and needs no experience.|"
    "Sign up and get ten percent off your first order.|Each room has a desk, a balcony and fast internet.|"
    "Our clinic is open from Monday to Saturday.|We publish our figures every year, good or bad.|"
    "Nothing beats a fresh loaf on a cold morning.|The museum opens its doors again in spring.|"
    "Save your work and carry on from any device.|Prices include breakfast and all local taxes."
).split("|")
LINKS = (
    "Home|About us|Services|Products|Blog|Contact|Careers|Press|Help center|Pricing|Privacy|Terms of use|Sign in|Gallery|"
    "Events|News|Locations|Partners|Imprint|Newsletter|Sitemap|Returns|Shipping|Documentation|Community|Read more|"
    "Learn more|See all"
).split("|")
ACTIONS = (
    "Get started|Buy now|Learn more|Sign up|Book a room|Contact us|Add to cart|Subscribe|Send message|Try it free|Download|"
    "Search|View details|Reserve a table|Log in|Submit|Order online|Continue"
).split("|")
FORM_TITLES = (
    "Contact us|Book your stay|Create an account|Request a quote|Leave a message|Reserve a table|Join the course".split("|")
)
FORM_ACTIONS = "Send|Submit|Sign up|Continue|Send message|Register".split("|")
FIELDS = (
    "Name|E-mail address|Phone number|Company|Subject|Password|City|Postal code|Date of arrival|Number of guests|Search".split(
        "|"
    )
)
BRANDS = "northwind|Halden & Co|Lumio|KORALLE|Papaya|stonebridge|Ostra|Fennel|BRIGHTSIDE|Marlow".split("|")

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours and measures of a site; lengths in pixels."""

    background: Colour
    surface: Colour
    ink: Colour
    muted: Colour
    accent: Colour
    dark: Colour
    border: Colour
    font: int
    corner: int
    air: int

    @classmethod
    def draw(cls, rng: np.random.Generator, width: int) -> Theme:
        """Draw a theme at random."""
        hue = rng.random()
        accent = _hue(hue, rng.uniform(0.55, 0.85), rng.uniform(0.55, 0.85))
        if rng.random() < 0.15:  # a dark site
            base = _hue(hue, 0.25, rng.uniform(0.08, 0.16))
            lifted = (min(base[0] + 16, 255), min(base[1] + 16, 255), min(base[2] + 20, 255))
            background, surface, ink, muted, border = base, lifted, (238, 238, 240), (168, 170, 178), (70, 72, 80)
        else:
            background = ((255, 255, 255), (255, 255, 255), (250, 250, 248), (246, 248, 251))[rng.integers(4)]
            surface = _hue(hue, rng.uniform(0.02, 0.07), rng.uniform(0.94, 0.98))
            ink, muted, border = ((28, 30, 36), (51, 51, 51), (20, 33, 61))[rng.integers(3)], (112, 117, 126), (216, 219, 224)
        return cls(
            *(background, surface, ink, muted, accent, _hue(hue, 0.35, 0.2), border),
            font=int(rng.integers(13, 18)) if width > 500 else int(rng.integers(13, 16)),
            corner=int(rng.choice([0, 3, 6, 24])),
            air=int(rng.integers(18, 44)) if width > 500 else int(rng.integers(12, 22)),
        )


def _hue(hue: float, saturation: float, value: float) -> Colour:
    """Convert HSV in [0, 1] to bytes."""
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class Canvas:
    """A page while it is drawn, from top to bottom."""

    def __init__(self, rng: np.random.Generator, width: int) -> None:
        self.rng = rng
        self.width = width
        self.theme = Theme.draw(rng, width)
        self.brand = BRANDS[rng.integers(len(BRANDS))]
        self.image = Image.new("RGB", (width, MAX_HEIGHT + 1200), self.theme.background)
        self.pen = ImageDraw.Draw(self.image)
        self.marked: list[tuple[str, tuple[float, float, float, float]]] = []
        self.inset = max(self.theme.air, int((width - 1140) / 2)) if width > 700 else self.theme.air

    def mark(self, name: str, x0: float, y0: float, x1: float, y1: float) -> None:
        """Record the box of an element."""
        self.marked.append((name, (x0, y0, x1, y1)))

    def pick(self, texts: Sequence[str]) -> str:
        """Pick a text."""
        return texts[int(self.rng.integers(len(texts)))]

    def chance(self, probability: float) -> bool:
        """Toss a coin."""
        return bool(self.rng.random() < probability)

    def write(self, x: float, y: float, text: str, size: int, colour: Colour, *, bold: bool = False) -> tuple[float, ...]:
        """Write one line with its top at ``y`` and return the box of its ink, ``(x0, y0, x1, y1)``."""
        font = _font(size)
        x, y = round(x), round(y)
        for shift in range(1 + (max(1, size // 24) if bold else 0)):  # the font has one weight: bold is written more than once
            self.pen.text((x + shift, y), text, font=font, fill=colour)
        return tuple(self.pen.textbbox((x, y), text, font=font))

    def lines(
        self,
        name: str,
        x: float,
        y: float,
        width: float,
        text: str,
        size: int,
        colour: Colour,
        *,
        bold: bool = False,
        centred: bool = False,
    ) -> float:
        """Write a text in as many lines as it needs, record its box, and return the y below it."""
        font, spacing = _font(size), 1.25 if bold else 1.5
        rows, row = [], ""
        for word in text.split():
            longer = f"{row} {word}".strip()
            if row and font.getlength(longer) > width:
                rows.append(row)
                row = word
            else:
                row = longer
        boxes = []
        for number, line in enumerate([*rows, row]):
            left = x + (width - font.getlength(line)) / 2 if centred else x
            boxes.append(self.write(left, y + number * size * spacing, line, size, colour, bold=bold))
        ink = np.array(boxes)
        self.mark(name, *ink[:, :2].min(axis=0), *ink[:, 2:].max(axis=0))
        return y + (len(rows) + 1) * size * spacing

    def heading(
        self, x: float, y: float, width: float, size: int, colour: Colour | None = None, *, centred: bool = False
    ) -> float:
        """Write a heading; return the y below it."""
        size = min(size, max(self.theme.font + 2, int(width / 9)))
        return (
            self.lines("heading", x, y, width, self.pick(HEADINGS), size, colour or self.theme.ink, bold=True, centred=centred)
            + size * 0.35
        )

    def text(
        self, x: float, y: float, width: float, sentences: int, colour: Colour | None = None, *, centred: bool = False
    ) -> float:
        """Write a paragraph; return the y below it."""
        chosen = self.rng.choice(len(SENTENCES), sentences, replace=False)
        text = " ".join(SENTENCES[index] for index in chosen)
        return (
            self.lines("text", x, y, width, text, self.theme.font, colour or self.theme.muted, centred=centred)
            + self.theme.font * 0.7
        )

    def link(self, x: float, y: float, text: str, colour: Colour | None = None, *, underlined: bool = False) -> float:
        """Write a link; return the x behind it."""
        x0, y0, x1, y1 = self.write(x, y, text, self.theme.font, colour or self.theme.accent)
        if underlined:
            self.pen.line((x0, y1 + 2, x1, y1 + 2), fill=colour or self.theme.accent)
        self.mark("link", x0, y0, x1, y1 + (3 if underlined else 0))
        return x1

    def button(
        self, x: float, y: float, text: str | None = None, width: float = 0, *, ghost: bool = False
    ) -> tuple[float, float]:
        """Draw a button, as wide as its text needs or wider; return its right and lower ends."""
        theme, text = self.theme, text or self.pick(ACTIONS)
        size = theme.font
        length, height = _font(size).getlength(text), round(size * 2.6)
        width = max(width, length + 2.4 * size)
        fill, ink = (None, theme.accent) if ghost else (theme.accent, _readable_on(theme.accent))
        box = (round(x), round(y), round(x + width), round(y) + height)
        self.pen.rounded_rectangle(box, min(theme.corner, height // 2), fill=fill, outline=theme.accent, width=2)
        self.write(x + (width - length) / 2, y + (height - 1.2 * size) / 2, text, size, ink, bold=not ghost)
        self.mark("button", *box)
        return box[2] + 1, box[3] + 1

    def input(self, x: float, y: float, width: float, hint: str, rows: int = 1) -> float:
        """Draw an input field; return the y below it."""
        theme = self.theme
        box = (round(x), round(y), round(x + width), round(y + theme.font * (0.9 + 1.5 * rows)))
        self.pen.rounded_rectangle(
            box, min(theme.corner, 8), fill=_mix(theme.background, (255, 255, 255), 0.06), outline=theme.border
        )
        self.write(x + 0.8 * theme.font, y + 0.55 * theme.font, hint, theme.font, _mix(theme.muted, theme.background, 0.35))
        self.mark("input", *box)
        return box[3]

    def picture(self, x: float, y: float, width: float, height: float, *, round_corners: bool = False) -> float:
        """Place a picture; return the y below it."""
        box = (round(x), round(y), round(x + width), round(y + height))
        picture = draw_picture(self.rng, max(8, box[2] - box[0]), max(8, box[3] - box[1]))
        mask = Image.new("L", picture.size, 0)
        corner = min(picture.size) // 2 if round_corners else self.theme.corner // 3
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), corner, fill=255)
        self.image.paste(picture, box[:2], mask)
        self.mark("image", box[0], box[1], box[0] + picture.width, box[1] + picture.height)
        return box[1] + picture.height

    def band(self, y0: float, y1: float, colour: Colour) -> None:
        """Colour the page over its whole width; call it before drawing on it."""
        self.pen.rectangle((0, y0, self.width, y1), fill=colour)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour ``share`` of the way from ``a`` to ``b``."""
    red, green, blue = (round(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return red, green, blue


def _readable_on(colour: Colour) -> Colour:
    """Return white or near black, whichever reads better (weights of ITU-R BT.601 luma)."""
    return (255, 255, 255) if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 165 else (24, 26, 30)


def draw_picture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Paint something that passes for a photograph or an illustration of the given size."""
    hue = rng.random()
    top = np.array(_hue(hue, rng.uniform(0.2, 0.6), rng.uniform(0.6, 0.95)), dtype=np.float32)
    low = np.array(_hue((hue + rng.uniform(-0.15, 0.2)) % 1, rng.uniform(0.1, 0.5), rng.uniform(0.7, 1)), dtype=np.float32)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    field = np.broadcast_to(top * (1 - down) + low * down, (height, width, 3)).copy()
    style = rng.choice(["hills", "portrait", "shapes", "blur", "still"], p=[0.4, 0.18, 0.14, 0.1, 0.18])
    if style == "blur":
        for _ in range(2):
            tint = np.array(_hue(rng.random(), 0.5, rng.uniform(0.2, 0.9)), dtype=np.float32)
            share = np.clip(0.5 + 0.5 * soft_noise(rng, width, height, int(rng.integers(2, 5))), 0, 1)[..., None]
            field = field * (1 - share) + tint * share
    image = Image.fromarray(np.uint8(field))
    pen = ImageDraw.Draw(image)
    if style == "hills":
        _hills(pen, rng, width, height, hue)
    elif style == "portrait":
        _portrait(pen, rng, width, height)
    elif style == "shapes":
        for _ in range(int(rng.integers(4, 10))):
            radius = rng.uniform(0.08, 0.35) * min(width, height)
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            pen.ellipse(
                (x - radius, y - radius, x + radius, y + radius),
                fill=_hue((hue + rng.normal(0, 0.12)) % 1, 0.6, rng.uniform(0.5, 1)),
            )
    elif style == "still":
        _still_life(pen, rng, width, height)
    image = image.filter(ImageFilter.GaussianBlur(0.7))
    texture = (
        np.asarray(image, dtype=np.float32) * (1 + 0.012 * soft_noise(rng, width, height, max(width, height) // 2))[..., None]
    )
    return Image.fromarray(np.uint8(np.clip(texture, 0, 255)))


def _hills(pen: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, hue: float) -> None:
    sun, x, y = rng.uniform(0.05, 0.12) * height, rng.uniform(0.1, 0.9) * width, rng.uniform(0.12, 0.4) * height
    pen.ellipse((x - sun, y - sun, x + sun, y + sun), fill=(255, 246, 220))
    across = np.linspace(0, width, 40)
    for layer, share in enumerate(np.linspace(0.45, 0.85, 4)):
        ridge = share * height
        for wave in range(1, 4):
            ridge = ridge + rng.normal(0, 0.07 / wave) * height * np.sin(
                across / width * wave * rng.uniform(3, 7) + rng.uniform(0, 6)
            )
        colour = _hue((hue + 0.25 + 0.05 * layer) % 1, 0.3 + 0.1 * layer, 0.75 - 0.15 * layer)
        pen.polygon([*zip(across.tolist(), ridge.tolist(), strict=True), (width, height), (0, height)], fill=colour)


def _portrait(pen: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    side = min(width, height)
    x, y = width * rng.uniform(0.4, 0.6), height - 0.62 * side
    skin = ((236, 198, 170), (205, 154, 120), (140, 96, 70), (246, 214, 190))[rng.integers(4)]
    hair, shirt = _hue(rng.uniform(0.02, 0.12), 0.5, rng.uniform(0.1, 0.6)), _hue(rng.random(), 0.5, rng.uniform(0.3, 0.8))
    pen.ellipse((x - 0.42 * side, height - 0.32 * side, x + 0.42 * side, height + 0.5 * side), fill=shirt)
    pen.rectangle((x - 0.08 * side, y + 0.1 * side, x + 0.08 * side, height - 0.28 * side), fill=_mix(skin, (0, 0, 0), 0.12))
    pen.ellipse((x - 0.21 * side, y - 0.25 * side, x + 0.21 * side, y + 0.14 * side), fill=hair)
    pen.ellipse((x - 0.17 * side, y - 0.18 * side, x + 0.17 * side, y + 0.22 * side), fill=skin)


def _still_life(pen: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
    """A bottle, a cup or a box on a table."""
    table = _hue(rng.uniform(0.04, 0.12), 0.35, rng.uniform(0.5, 0.85))
    pen.rectangle((0, 0.72 * height, width, height), fill=table)
    side, colour = min(width, height), _hue(rng.random(), 0.55, rng.uniform(0.4, 0.9))
    for place in (0.5,) if width < 1.4 * height else (0.25, 0.5, 0.75):
        x, base = place * width, 0.84 * height
        body, tall = side * rng.uniform(0.14, 0.24), side * rng.uniform(0.3, 0.6)
        pen.ellipse((x - 1.2 * body, base - 0.06 * side, x + 1.4 * body, base + 0.06 * side), fill=_mix(table, (0, 0, 0), 0.25))
        pen.rounded_rectangle((x - body, base - tall, x + body, base), side * 0.05, fill=colour)
        pen.rounded_rectangle(
            (x - body, base - tall, x - 0.4 * body, base), side * 0.05, fill=_mix(colour, (255, 255, 255), 0.3)
        )
        if rng.random() < 0.5:
            pen.rectangle(
                (x - 0.35 * body, base - 1.35 * tall, x + 0.35 * body, base - 0.95 * tall), fill=_mix(colour, (0, 0, 0), 0.3)
            )
        colour = _hue(rng.random(), 0.5, rng.uniform(0.4, 0.9))


# --- Sections. Each draws over the page's width from y downwards and returns the y where it ends. ---


def navigation(c: Canvas, y: float) -> float:
    """A logo, the site's name, links and perhaps a button."""
    t = c.theme
    height = round(t.font * c.rng.uniform(3.6, 5.2))
    dark = c.chance(0.3)
    colour = t.dark if dark else t.background
    ink = (240, 240, 244) if dark else t.ink
    c.band(y, y + height, colour)
    if not dark:
        c.pen.line((0, y + height, c.width, y + height), fill=t.border)
    middle = y + (height - 1.2 * t.font) / 2
    x = float(c.inset)
    if c.chance(0.6):
        side = height * 0.5
        c.picture(x, y + (height - side) / 2, side, side, round_corners=True)
        x += side + 0.7 * t.font
    x = c.write(x, middle - 0.25 * t.font, c.brand, round(t.font * 1.4), ink, bold=True)[2] + 3 * t.font
    right = float(c.width - c.inset)
    if c.chance(0.6) and c.width > 600:
        text = c.pick(ACTIONS)
        wide = _font(t.font).getlength(text) + 2.4 * t.font
        right -= wide
        c.button(right, y + (height - 2.6 * t.font) / 2, text)
        right -= 1.5 * t.font
    names = [LINKS[index] for index in c.rng.choice(16, int(c.rng.integers(4, 8)), replace=False)]
    gap = t.font * c.rng.uniform(1.5, 2.4)
    total = sum(_font(t.font).getlength(name) + gap for name in names) - gap
    while names and total > right - x:
        total -= _font(t.font).getlength(names.pop()) + gap
    if c.chance(0.6):
        x = right - total
    for name in names:
        x = c.link(x, middle, name, ink) + gap
    return y + height


def hero(c: Canvas, y: float) -> float:
    """The opening: big words and a button beside or over a picture, or on a plain band."""
    t = c.theme
    height = min(c.width * c.rng.uniform(0.3, 0.5), 520)
    big = max(22, int(min(c.width / 24, 52)))
    if c.chance(0.45) and c.width > 600:  # text beside a picture
        half = (c.width - 2 * c.inset - 2 * t.air) / 2
        swap = c.chance(0.3)
        c.picture(c.inset + (0 if swap else half + 2 * t.air), y + t.air, half, height - 2 * t.air)
        x = c.inset + (half + 2 * t.air if swap else 0)
        below = c.text(x, c.heading(x, y + 0.18 * height, half, big), half, 2)
        end, bottom = c.button(x, below + 0.5 * t.font)
        if c.chance(0.5):
            c.button(end + t.font, below + 0.5 * t.font, ghost=True)
        return max(y + height, bottom + t.air)
    if c.chance(0.55):  # text over a darkened picture
        c.picture(0, y, c.width, height)
        area = (0, round(y), c.width, round(y + height))
        shade = Image.new("RGB", (c.width, area[3] - area[1]), (12, 14, 24))
        c.image.paste(Image.blend(c.image.crop(area), shade, 0.5), area[:2])
        ink: Colour = (255, 255, 255)
    else:
        c.band(y, y + height, t.surface)
        ink = t.ink
    inner = min(c.width - 2 * c.inset, 760)
    x = (c.width - inner) / 2
    below = c.text(x, c.heading(x, y + 0.2 * height, inner, big, ink, centred=True), inner, 1, ink, centred=True)
    text = c.pick(ACTIONS)
    wide = _font(t.font).getlength(text) + 2.4 * t.font
    _, bottom = c.button((c.width - wide) / 2, below + 0.4 * t.font, text)
    return max(y + height, bottom + t.air)


def _columns(c: Canvas, count: int) -> tuple[list[float], float]:
    """Return the left ends and the width of as many columns as fit."""
    inner = c.width - 2 * c.inset
    count = max(1, min(count, int(inner / 170)))
    width = (inner - (count - 1) * c.theme.air) / count
    return [c.inset + number * (width + c.theme.air) for number in range(count)], width


def cards(c: Canvas, y: float) -> float:
    """Cards of one kind beside each other: a picture or an icon, a title, a text or a price, a button or a link."""
    t = c.theme
    y += t.air
    if c.chance(0.7):
        y = c.heading(c.inset, y, c.width - 2 * c.inset, round(t.font * 1.9), centred=c.chance(0.5)) + 0.5 * t.air
    lefts, width = _columns(c, int(c.rng.integers(2, 5)))
    framed, pictured, priced, ending = c.chance(0.6), c.chance(0.75), c.chance(0.3), int(c.rng.integers(3))
    shape = c.rng.uniform(0.5, 0.9)
    inset = t.font if framed else 0
    bottom = max(_card(c, x + inset, y + inset, width - 2 * inset, pictured, shape, ending, priced) for x in lefts) + inset
    if framed:
        for x in lefts:
            c.pen.rounded_rectangle((x, y, x + width, bottom), min(t.corner, 10), outline=t.border)
    return bottom + t.air


def _card(c: Canvas, x: float, y: float, width: float, pictured: bool, shape: float, ending: int, priced: bool) -> float:
    t = c.theme
    if pictured:
        y = c.picture(x, y, width, width * shape) + 0.8 * t.font
    else:
        y = c.picture(x, y, 2.6 * t.font, 2.6 * t.font, round_corners=True) + 0.8 * t.font
    y = c.lines("heading", x, y, width, c.pick(SHORT), round(t.font * 1.25), t.ink, bold=True) + 0.3 * t.font
    if priced:
        y = (
            c.lines("text", x, y, width, f"{c.rng.integers(4, 300)}.{c.rng.integers(10):d}0 EUR", t.font, t.muted)
            + 0.4 * t.font
        )
    else:
        y = c.text(x, y, width, int(c.rng.integers(1, 3)))
    if ending == 0:
        _, y = c.button(x, y, width=width if c.chance(0.3) else 0)
    elif ending == 1:
        c.link(x, y, c.pick(LINKS[-3:]), underlined=c.chance(0.5))
        y += 1.6 * t.font
    return y


def article(c: Canvas, y: float) -> float:
    """A headline, a date, and paragraphs with pictures and subheadings between."""
    t = c.theme
    y += t.air
    inner = min(c.width - 2 * c.inset, 780)
    left: float = c.inset
    y = c.heading(left, y, inner, round(t.font * 2.2))
    if c.chance(0.6):
        y = (
            c.lines("text", left, y, inner, f"{c.rng.integers(1, 29)} May 2021, by the editors", t.font - 2, t.muted)
            + 0.8 * t.font
        )
    for _ in range(int(c.rng.integers(1, 4))):
        if c.chance(0.35):
            y = c.picture(left, y, inner, inner * c.rng.uniform(0.3, 0.5)) + t.font
        if c.chance(0.3):
            y = c.heading(left, y, inner, round(t.font * 1.5))
        y = c.text(left, y, inner, int(c.rng.integers(3, 8)), t.ink)
    if c.chance(0.6):
        c.link(left, y, c.pick(LINKS[-3:]), underlined=True)
        y += 2 * t.font
    return y + 0.5 * t.air


def media(c: Canvas, y: float) -> float:
    """A picture beside a title, a text and a button or a link; one below the other on a phone."""
    t = c.theme
    y += t.air
    if c.width < 600:
        y = c.picture(c.inset, y, c.width - 2 * c.inset, c.width * 0.5) + t.font
        return (
            c.text(c.inset, c.heading(c.inset, y, c.width - 2 * c.inset, round(t.font * 1.6)), c.width - 2 * c.inset, 3) + t.air
        )
    inner = c.width - 2 * c.inset
    side, right = inner * c.rng.uniform(0.35, 0.5), c.chance(0.5)
    bottom = c.picture(c.inset + (inner - side if right else 0), y, side, side * c.rng.uniform(0.55, 0.8))
    x, room = (c.inset if right else c.inset + side + t.air), inner - side - t.air
    below = c.text(x, c.heading(x, y + t.font, room, round(t.font * 1.9)), room, int(c.rng.integers(2, 5)))
    if c.chance(0.5):
        _, below = c.button(x, below)
    else:
        c.link(x, below, c.pick(LINKS[-3:]), underlined=c.chance(0.5))
        below += 2 * t.font
    return max(bottom, below) + t.air


def form(c: Canvas, y: float) -> float:
    """Input fields, labelled or with hints, in one or two columns, and the button that sends them."""
    t = c.theme
    y += t.air
    inner = min(c.width - 2 * c.inset, 620)
    x = (c.width - inner) / 2 if c.chance(0.5) else float(c.inset)
    title = c.pick(FORM_TITLES)
    y = c.lines("heading", x, y, inner, title, round(t.font * 1.9), t.ink, bold=True) + 0.7 * t.font
    if c.chance(0.5):
        y = c.text(x, y, inner, 1)
    names = [FIELDS[index] for index in c.rng.choice(len(FIELDS) - 1, int(c.rng.integers(2, 6)), replace=False)]
    labelled, paired = c.chance(0.6), c.chance(0.4) and inner > 400
    width = (inner - t.font) / 2 if paired else inner
    for number, name in enumerate(names):
        left = x + (width + t.font) * (number % 2 if paired else 0)
        top = c.lines("text", left, y, width, name, t.font - 1, t.ink) if labelled else y
        below = c.input(left, top, width, "" if labelled else name)
        if not paired or number % 2 or number == len(names) - 1:
            y = below + 0.9 * t.font
    if c.chance(0.5):
        y = c.input(x, y, inner, "Your message", rows=int(c.rng.integers(3, 6))) + 0.9 * t.font
    _, y = c.button(x, y, c.pick(FORM_ACTIONS), inner if c.chance(0.3) else 0)
    return y + t.air


def newsletter(c: Canvas, y: float) -> float:
    """One input field and a button on a band."""
    t = c.theme
    height = round(t.font * c.rng.uniform(9, 12))
    c.band(y, y + height, t.surface)
    inner = min(c.width - 2 * c.inset, 560)
    x = (c.width - inner) / 2
    below = c.heading(x, y + 1.5 * t.font, inner, round(t.font * 1.6), centred=True) + 0.4 * t.font
    text = c.pick(("Subscribe", "Search", "Sign up"))
    wide = _font(t.font).getlength(text) + 2.4 * t.font
    c.input(x, below, inner - wide - 0.6 * t.font, "E-mail address")
    c.button(x + inner - wide, below, text)
    return max(y + height, below + 4 * t.font)


def gallery(c: Canvas, y: float) -> float:
    """Pictures in a grid."""
    y += c.theme.air
    lefts, width = _columns(c, int(c.rng.integers(3, 6)))
    gap, height = c.theme.air * 0.6, width * c.rng.uniform(0.6, 1)
    for _ in range(int(c.rng.integers(1, 3))):
        for x in lefts:
            c.picture(x, y, width, height)
        y += height + gap
    return y + c.theme.air - gap


def news(c: Canvas, y: float) -> float:
    """A list of links with dates and rules between."""
    t = c.theme
    y = c.heading(c.inset, y + t.air, c.width - 2 * c.inset, round(t.font * 1.7)) + 0.3 * t.font
    for _ in range(int(c.rng.integers(3, 7))):
        c.lines(
            "text", c.inset, y, 7 * t.font, f"{c.rng.integers(1, 29):02d}.0{c.rng.integers(1, 10)}.2021", t.font - 1, t.muted
        )
        c.link(c.inset + 7 * t.font, y, c.pick(HEADINGS), underlined=c.chance(0.2))
        y += 2 * t.font
        c.pen.line((c.inset, y, c.width - c.inset, y), fill=t.border)
        y += 0.8 * t.font
    return y + 0.5 * t.air


def footer(c: Canvas, y: float) -> float:
    """Columns of links and the site's name on a band."""
    t = c.theme
    lefts, width = _columns(c, int(c.rng.integers(2, 5)))
    rows = int(c.rng.integers(3, 6))
    height = round(t.font * (rows * 1.9 + 7))
    dark = c.chance(0.7)
    c.band(y, y + height, t.dark if dark else t.surface)
    ink: Colour = (214, 216, 224) if dark else t.muted
    for x in lefts:
        c.lines("heading", x, y + 1.6 * t.font, width, c.pick(SHORT), t.font, (255, 255, 255) if dark else t.ink, bold=True)
        for row in range(rows):
            c.link(x, y + (3.8 + 1.9 * row) * t.font, c.pick(LINKS[:-3]), ink)
    c.lines("text", c.inset, y + height - 2.4 * t.font, c.width - 2 * c.inset, f"© 2021 {c.brand}", t.font - 2, ink)
    return y + height


SECTIONS: tuple[Callable[[Canvas, float], float], ...] = (cards, cards, article, media, media, form, newsletter, gallery, news)


def draw_webpage(rng: np.random.Generator) -> Page:
    """Draw a whole page, or a section or two of one."""
    c = Canvas(rng, int(rng.choice(WIDTHS)))
    y: float = 0.0
    whole = c.chance(0.55)
    opening = [navigation, hero] if c.chance(0.75) else [navigation]
    middle = [
        SECTIONS[index] for index in rng.integers(len(SECTIONS), size=rng.integers(1, 5) if whole else rng.integers(1, 3))
    ]
    for section in [*opening, *middle, footer] if whole else middle:
        if y > MAX_HEIGHT * 0.75 and section is not footer:
            continue
        y = section(c, y)
    height = min(math.ceil(y), MAX_HEIGHT)
    limits = [c.width, height, c.width, height]
    marked = [(name, np.clip(np.array(box, dtype=np.float64), 0, limits)) for name, box in c.marked]
    marked = [(name, box) for name, box in marked if (box[2:] - box[:2]).min() >= 2]  # the rest is cut off
    boxes = np.array([box for _, box in marked], dtype=np.float64).reshape(-1, 4)
    return Page(c.image.crop((0, 0, c.width, height)), boxes, tuple(name for name, _ in marked))


def spoil(page: Page, rng: np.random.Generator, number: int) -> Page:
    """Give a page the faults of the uncleaned part: missing boxes, boxes of invisible elements, blank images."""
    width, height = page.image.size
    kept = rng.random(len(page.names)) > 0.06
    names = [name for name, keep in zip(page.names, kept, strict=True) if keep]
    boxes = [page.boxes[kept]]
    if rng.random() < 0.35:  # the entries of a menu that is not open
        x, y = rng.uniform(0, 0.8) * width, rng.uniform(0, 0.4) * height
        for row in range(int(rng.integers(1, 5))):
            box = np.clip([x, y + row * 24, x + 0.18 * width, y + row * 24 + 16], 0, [width, height, width, height])
            if box[3] > box[1]:
                boxes.append(box[None])
                names.append("link")
    image = page.image
    if number % BLANK_EVERY == BLANK_FIRST:
        image = Image.new("RGB", image.size, (255, 255, 255))
    return Page(image, np.concatenate(boxes), tuple(names))
