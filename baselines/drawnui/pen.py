"""Pen and paper for the generated wireframes: a single-stroke alphabet, a shaky hand, ink, and three kinds of capture.

Everything a hand draws is a list of strokes, arrays of points in page pixels; the page's tilt is applied to the points, and the
ink is laid down once, at the final resolution. No stroke is ever resampled, which keeps a page at about a tenth of a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Points = NDArray[np.float64]

# One word per stroke, one pair of hexadecimal digits per point: x to the right, y upwards. The baseline is y = 4, small letters
# end at 9, capitals at d (13), descenders at 0. Strokes are smooth curves through their points; "|" makes them straight.
ALPHABET = {
    "a": "4829070514344649 |4944",
    "b": "|0d04 072948452405",
    "c": "4839190705143445",
    "d": "48290705143446 |4d44",
    "e": "06464839190705143445",
    "f": "4c3d1c14 |0838",
    "g": "482907062546 49422001",
    "h": "|0d04 06294844",
    "i": "|0904 |0b0c",
    "j": "29221001 |2b2c",
    "k": "|0d04 |490644",
    "l": "0d0514",
    "m": "|0904 07293734 37596764",
    "n": "|0904 06294844",
    "o": "29070524454729",
    "p": "|0900 072948462405",
    "q": "482907052446 |494051",
    "r": "|0904 062939",
    "s": "4839181736453404",
    "t": "1c152435 |0939",
    "u": "09052446 |4944",
    "v": "|092449",
    "w": "|0914385479",
    "x": "|0944 |4904",
    "y": "|0925 |4900",
    "z": "|09490444",
    "A": "|043d64 |1858",
    "B": "|0d04 0d4d5b3909 0939563404",
    "C": "6c4d1c09154465",
    "D": "|0d04 0d3d693404",
    "E": "|5d0d0454 |0949",
    "F": "|5d0d04 |0949",
    "G": "6c4d1c08144466 |386864",
    "H": "|0d04 |6d64 |0969",
    "I": "|2d24 |0d4d |0444",
    "J": "5d56341406",
    "K": "|0d04 |6d0864",
    "L": "|0d0454",
    "M": "|040d488d84",
    "N": "|040d646d",
    "O": "3d1c071444676b3d",
    "P": "|040d 0d4d5b4808",
    "Q": "3d1c071444676b3d |4663",
    "R": "|040d 0d4d5b4808 |2864",
    "S": "6c3d0b29486634 3405",
    "T": "|0d6d |3d34",
    "U": "0d062444666d",
    "V": "|0d346d",
    "W": "|0d244b648d",
    "X": "|0d64 |6d04",
    "Y": "|0d386d |3834",
    "Z": "|0d6d0464",
    "0": "2d0a0624464a2d",
    "1": "|0b2d24",
    "2": "0b2d4b3804 |0444",
    "3": "0c2d4b29 29462405",
    "4": "|2d0757 |4a44",
    "5": "|4d0d09 0929462405",
    "6": "4d190624462806",
    "7": "|0d4d14",
    "8": "2d0b28462406284b2d",
    "9": "4b2d0b194a |4b34",
    ".": "|0405",
    ",": "|1402",
    ":": "|0405 |0809",
    "!": "|0d07 |0405",
    "?": "0b2d4b2726 |2425",
    "-": "|0838",
    "+": "|0848 |2a26",
    "/": "|034d",
    "(": "2d0823",
    ")": "0d2803",
    "'": "|0d0b",
    "&": "641b2d3b062457",
    "$": "6c3d0b29486634 3405 |3e33",
    "@": "5829384767 6a3d0a065365",
    "%": "|044d |0c0b |4645",
    "#": "|1d04 |4d34 |0a5a |0757",
    ">": "|0a3704",
    "*": "|2d29 |0c4a |4c0a",
}
UNITS_PER_SIZE = 9.0  # grid units from the baseline to the top of a capital
CURVE_STEPS = 5  # points per control point of a smooth stroke


@cache
def _spline_matrix(count: int) -> NDArray[np.float64]:
    """Return the matrix that turns ``count`` control points into the points of a Catmull-Rom curve through them."""
    rows = []
    for segment in range(count - 1):
        before, start, end, after = (min(max(segment + offset, 0), count - 1) for offset in (-1, 0, 1, 2))
        for t in np.arange(CURVE_STEPS) / CURVE_STEPS:
            row = np.zeros(count)
            row[before] += (-t + 2 * t**2 - t**3) / 2
            row[start] += (2 - 5 * t**2 + 3 * t**3) / 2
            row[end] += (t + 4 * t**2 - 3 * t**3) / 2
            row[after] += (-(t**2) + t**3) / 2
            rows.append(row)
    rows.append(np.eye(count)[-1])
    return np.stack(rows)


def _smooth(control: Points) -> Points:
    """Return the points of a smooth curve through the control points, ``(N, 2)``."""
    return _spline_matrix(len(control)) @ control


@cache
def _glyph(letter: str) -> tuple[float, tuple[tuple[bool, Points], ...]]:
    """Return the width of a letter in grid units and its strokes as ``(is_straight, (N, 2) control points)``."""
    strokes = []
    for word in ALPHABET[letter].split():
        digits = [int(digit, 16) for digit in word.lstrip("|")]
        strokes.append((word[0] == "|", np.array(digits, dtype=np.float64).reshape(-1, 2)))
    return max(float(points[:, 0].max()) for _, points in strokes), tuple(strokes)


@dataclass(frozen=True, slots=True)
class Hand:
    """How a person writes and draws; lengths are in shares of the text size unless they say otherwise.

    Attributes:
        slant: Sideways shift per unit of height; positive leans to the right.
        stretch: Width of a letter relative to the alphabet's.
        spacing: Gap between letters.
        word_gap: Gap between words.
        jitter: Standard deviation of a letter's points.
        wander: Standard deviation of a letter's height above the line.
        style: Standard deviation of this person's own form of a letter around the alphabet's, in grid units.
        capitals: Probability that a text is written in capitals.
        small_capitals: Size of the other letters of a word in capitals, relative to its first.
        wobble: How far a ruled line strays, in pixels per square root of a pixel.
        overshoot: How far lines miss the corners of a box, in pixels.
        radius: Half the width of the pen's line, in pixels.
        pressure: Relative variation of width and darkness along a stroke.
    """

    slant: float
    stretch: float
    spacing: float
    word_gap: float
    jitter: float
    wander: float
    style: float
    capitals: float
    small_capitals: float
    wobble: float
    overshoot: float
    radius: float
    pressure: float

    @classmethod
    def draw(cls, rng: np.random.Generator, scale: float) -> Hand:
        """Draw a person at random; ``scale`` is the long side of the page in units of 1200 pixels."""
        return cls(
            slant=rng.normal(0.08, 0.12),
            stretch=rng.uniform(0.75, 1.2),
            spacing=rng.choice([rng.uniform(0.14, 0.34), rng.uniform(0.3, 0.7)], p=[0.6, 0.4]),
            word_gap=rng.uniform(0.5, 1.6),
            jitter=rng.uniform(0.018, 0.05),
            wander=rng.uniform(0.01, 0.05),
            style=rng.uniform(0.1, 0.45),
            capitals=rng.choice([0.0, 0.15, 0.5, 1.0], p=[0.4, 0.3, 0.15, 0.15]),
            small_capitals=rng.choice([1.0, 0.78]),
            wobble=rng.uniform(0.02, 0.13),
            overshoot=rng.uniform(0.5, 5.0) * scale,
            radius=rng.choice([rng.uniform(0.7, 1.4), rng.uniform(1.3, 2.4)], p=[0.65, 0.35]) * scale,
            pressure=rng.uniform(0.1, 0.35),
        )


class Pen:
    """Draws strokes with one person's hand.

    Attributes:
        strokes: What was drawn so far: ``(N, 2)`` points in page pixels, y downwards.
    """

    def __init__(self, hand: Hand, rng: np.random.Generator) -> None:
        self.hand = hand
        self.rng = rng
        self.strokes: list[Points] = []
        self._forms: dict[str, tuple[tuple[bool, Points], ...]] = {}  # this person's letters

    def _form(self, letter: str) -> tuple[tuple[bool, Points], ...]:
        """Return the strokes of a letter as this person always writes it."""
        if letter not in self._forms:
            self._forms[letter] = tuple(
                (is_straight, control + self.rng.normal(0, self.hand.style, control.shape))
                for is_straight, control in _glyph(letter)[1]
            )
        return self._forms[letter]

    def curve(self, points: Sequence[Sequence[float]] | Points, jitter: float = 0.0) -> None:
        """Draw a smooth stroke through the points; ``jitter`` is the standard deviation of each in pixels."""
        control = np.asarray(points, dtype=np.float64)
        self.strokes.append(_smooth(control + self.rng.normal(0, jitter, control.shape) if jitter else control))

    def line(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Draw a line by hand: it starts and ends nearly where it should, bends a little and trembles."""
        rng = self.rng
        length = math.hypot(x1 - x0, y1 - y0)
        count = 3 + int(length / 45)
        path = np.linspace((x0, y0), (x1, y1), count) + rng.normal(0, self.hand.overshoot * 0.3, 2)
        stray = self.hand.wobble * math.sqrt(length)
        bend = np.sin(np.linspace(0, math.pi, count)) * rng.normal(0, 1.2 * stray) + rng.normal(0, 0.35 * stray, count)
        across = np.array([y0 - y1, x1 - x0]) / max(length, 1e-9)
        path += bend[:, None] * across
        path[-1] += (path[-1] - path[-2]) / max(length / (count - 1), 1e-9) * rng.normal(0.3, 1.0) * self.hand.overshoot
        self.curve(path)

    def box(self, x: float, y: float, width: float, height: float) -> None:
        """Draw a rectangle: as one stroke round the corners, or as four lines that miss them."""
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        jitter = min(self.hand.overshoot * 0.6, 0.06 * min(width, height))
        corners = [(cx + self.rng.normal(0, jitter), cy + self.rng.normal(0, jitter)) for cx, cy in corners]
        start = len(self.strokes)
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            self.line(x0, y0, x1, y1)
        if self.rng.random() < 0.4:
            sides = self.strokes[start:]
            self.strokes[start:] = [np.concatenate(sides)]

    def ellipse(self, x: float, y: float, width: float, height: float) -> None:
        """Draw an ellipse in the rectangle, a little open or overlapping at its end."""
        start = self.rng.uniform(0, 2 * math.pi)
        angles = start + np.linspace(0, 2 * math.pi + self.rng.uniform(-0.15, 0.5), 12)
        radii = 0.5 * (1 + self.rng.normal(0, 0.03, 12))
        centre = np.array([x + width / 2, y + height / 2])
        self.curve(centre + np.stack([np.cos(angles) * width, np.sin(angles) * height], axis=1) * radii[:, None])

    def fill(self, x: float, y: float, width: float, height: float) -> None:
        """Hatch an ellipse in the rectangle densely with one zigzag stroke."""
        rows = max(3, int(height / (1.3 * self.hand.radius)))
        heights = np.linspace(-0.95, 0.95, rows)
        reach = np.sqrt(1 - heights**2) * np.where(np.arange(rows) % 2, 1, -1)
        self.strokes.append(np.stack([x + width / 2 * (1 + reach), y + height / 2 * (1 + heights)], axis=1))

    def text_width(self, text: str, size: float) -> float:
        """Return about how wide a text comes out, in pixels; ``size`` is the height of a capital."""
        hand = self.hand
        return size * sum(
            hand.word_gap if letter == " " else _glyph(letter)[0] / UNITS_PER_SIZE * hand.stretch + hand.spacing
            for letter in text
        )

    def text(self, x: float, y: float, text: str, size: float, max_width: float = math.inf) -> float:
        """Write a text whose capitals span ``y`` to ``y + size``; narrower letters if it gets too wide. Return its width."""
        hand, rng = self.hand, self.rng
        squeeze = min(1.0, max_width / max(self.text_width(text, size), 1e-9))
        start, tilt = x, rng.normal(0, 0.006)
        for before, letter in zip(" " + text, text, strict=False):
            if letter == " ":
                x += hand.word_gap * size * squeeze * rng.uniform(0.85, 1.2)
                continue
            width = _glyph(letter)[0]
            scale = size / UNITS_PER_SIZE * rng.normal(1, 0.04)
            scale *= hand.small_capitals if letter.isupper() and before.isupper() else 1
            across = scale * hand.stretch * squeeze * rng.normal(1, 0.06)
            baseline = y + size + (x - start) * tilt + rng.normal(0, hand.wander * size)
            for is_straight, control in self._form(letter):
                points = control + rng.normal(0, hand.jitter * UNITS_PER_SIZE, control.shape)
                points = points if is_straight else _smooth(points)
                up = points[:, 1] - 4
                placed = np.stack([x + (points[:, 0] + hand.slant * up) * across, baseline - up * scale], axis=1)
                self.strokes.append(placed)
            x += width * across + hand.spacing * size * squeeze * rng.uniform(0.8, 1.2)
        return x - start


def lay_ink(strokes: Sequence[Points], width: int, height: int, hand: Hand, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how much of each pixel the ink of the strokes covers, ``(height, width) float32`` in [0, 1].

    A stroke is a row of round dots, so close that they merge; their radius and darkness follow the hand's pressure.
    """
    coverage = np.zeros(height * width, dtype=np.float32)
    step = max(0.6 * hand.radius, 0.5)
    starts = np.concatenate([stroke[:-1] for stroke in strokes])
    spans = np.concatenate([np.diff(stroke, axis=0) for stroke in strokes])
    owner = np.repeat(np.arange(len(strokes)), [len(stroke) - 1 for stroke in strokes])
    counts = np.ceil(np.hypot(spans[:, 0], spans[:, 1]) / step).astype(np.int64) + 1
    index = np.repeat(np.arange(len(counts)), counts)
    along = (np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[index]
    dots = starts[index] + spans[index] * along[:, None]
    owner = owner[index]

    travelled = np.arange(len(index)) * step  # pressure is a slow wave along the stroke with a phase of its own
    wave = np.sin(travelled / rng.uniform(25, 70, len(strokes))[owner] + rng.uniform(0, 2 * math.pi, len(strokes))[owner])
    heaviness = rng.normal(0, 0.5, len(strokes))[owner]
    radius = (hand.radius * np.clip(1 + 0.5 * hand.pressure * (wave + heaviness), 0.5, 1.6)).astype(np.float32)
    darkness = np.clip(1 + hand.pressure * (0.9 * wave + heaviness - 1.1) * 0.6, 0.3, 1).astype(np.float32)

    x, y = dots[:, 0].astype(np.float32), dots[:, 1].astype(np.float32)
    reach = math.ceil(float(radius.max()) + 0.5)
    kept = (x > reach) & (x < width - reach - 1) & (y > reach) & (y < height - reach - 1)
    x, y, radius, darkness = x[kept], y[kept], radius[kept], darkness[kept]
    column, row = x.astype(np.int64), y.astype(np.int64)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if math.hypot(max(abs(dx) - 1, 0), max(abs(dy) - 1, 0)) > reach + 0.5:
                continue
            distance = np.hypot(column + (dx + 0.5) - x, row + (dy + 0.5) - y)
            amount = np.clip(radius + 0.5 - distance, 0, 1) * darkness
            np.maximum.at(coverage, (row + dy) * width + column + dx, amount.astype(np.float32))
    return coverage.reshape(height, width)


def soft_noise(rng: np.random.Generator, width: int, height: int, cells: int) -> NDArray[np.float32]:
    """Return smooth noise with about ``cells`` bumps along the long side, ``(height, width) float32``, deviation about 1."""
    grid = max(width, height) / cells
    coarse = rng.standard_normal((max(2, round(height / grid) + 1), max(2, round(width / grid) + 1))).astype(np.float32)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def _compose(ink: NDArray[np.float32], paper: NDArray[np.float32], colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let the paper show through the ink: ``(H, W, 3) float32`` in 0..255."""
    return np.asarray(paper * (1 - ink[..., None] * (1 - colour / 255)), dtype=np.float32)


INKS = ((38, 38, 120), (30, 32, 90), (60, 70, 150), (28, 28, 34), (45, 45, 52), (20, 24, 60), (70, 40, 120))


def photograph(ink: NDArray[np.float32], rng: np.random.Generator) -> Image.Image:
    """Photograph the page with a phone: tinted paper, uneven light, a shadow, the dark table beyond an edge, noise, blur."""
    height, width = ink.shape
    tone = np.array(
        [(228, 205, 202), (205, 200, 192), (176, 172, 168), (165, 168, 178), (215, 214, 208), (236, 224, 220), (140, 138, 132)],
        dtype=np.float32,
    )[rng.integers(7)] * np.float32(rng.uniform(0.88, 1.05))
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0.02, 0.16)
    light = 1 + strength * (math.cos(angle) * x + math.sin(angle) * y) - rng.uniform(0.02, 0.13) * (x * x + y * y)
    if rng.random() < 0.5:  # the photographer's own shadow, from one side
        angle, offset, softness = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 1.0), rng.uniform(0.05, 0.5)
        depth = (math.cos(angle) * x + math.sin(angle) * y - offset) / softness
        light *= 1 - rng.uniform(0.1, 0.35) / (1 + np.exp(-np.clip(4 * depth, -30, 30)))
    light *= 1 + 0.012 * soft_noise(rng, width, height, 8) + 0.006 * soft_noise(rng, width, height, 90)
    paper = light[..., None] * tone
    if rng.random() < 0.3:
        _rule(paper, rng)
    colour = np.array(INKS[rng.integers(len(INKS))], dtype=np.float32) * np.float32(rng.uniform(0.8, 1.5))
    ink = _defocus(ink, rng.uniform(0.3, 1.2)) * np.float32(rng.uniform(0.65, 0.95))
    image = _compose(ink, paper, np.clip(colour, 0, 190))
    if rng.random() < 0.3:
        _table_edge(image, rng)
    return _expose(image, rng, noise=rng.uniform(0.5, 2.5))


def scan(ink: NDArray[np.float32], rng: np.random.Generator) -> Image.Image:
    """Scan the page in colour: white, slightly washed out paper, thin pale ink, hardly any noise."""
    height, width = ink.shape
    white = np.array([250, 248, 249], dtype=np.float32) + rng.uniform(-6, 5, 3).astype(np.float32)
    paper = (1 + 0.002 * soft_noise(rng, width, height, 60))[..., None] * white
    if rng.random() < 0.25:
        _rule(paper, rng)
    colour = np.array(INKS[rng.integers(len(INKS))], dtype=np.float32)
    ink = _defocus(ink, rng.uniform(0.2, 0.8)) * np.float32(rng.uniform(0.4, 0.95))
    image = _compose(ink, paper, colour * np.float32(rng.uniform(0.9, 1.6)))
    if rng.random() < 0.35:
        _table_edge(image, rng, thickness=0.02)
    return _expose(image, rng, noise=rng.uniform(0.2, 0.9))


def threshold_scan(ink: NDArray[np.float32], rng: np.random.Generator) -> Image.Image:
    """Scan the page in black and white: ragged lines, specks, and ragged black where the paper ends."""
    height, width = ink.shape
    grain = soft_noise(rng, width, height, max(width, height) // 3)
    black = _defocus(ink, rng.uniform(0.5, 1.0)) + 0.06 * grain > rng.uniform(0.18, 0.4)
    black |= soft_noise(rng, width, height, max(width, height) // 4) > rng.uniform(3.4, 4.6)
    if rng.random() < 0.5:
        ragged = 2 * soft_noise(rng, width, height, 60) + 1.5 * soft_noise(rng, width, height, 500)
        ragged += np.where(soft_noise(rng, width, height, 5) > rng.normal(0, 0.7), 0, 40)  # with gaps
        for axis in rng.choice(4, size=rng.integers(1, 3), replace=False):
            depth = np.arange(height)[:, None] if axis % 2 else np.arange(width)[None, :]
            depth = depth if axis < 2 else depth[::-1, ::-1]
            black |= depth + ragged < rng.uniform(2, 14)
    grey = np.where(black, np.uint8(rng.integers(0, 21)), np.uint8(rng.integers(250, 256)))
    return Image.fromarray(grey).filter(ImageFilter.GaussianBlur(rng.uniform(0.15, 0.5))).convert("RGB")


CAPTURES = (photograph, scan, threshold_scan)


def _rule(paper: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Print faint squares or lines on the paper, in place."""
    pitch, faint = int(rng.integers(18, 46)), np.array([0.93, 0.95, 0.985], dtype=np.float32) - np.float32(rng.uniform(0, 0.04))
    paper[int(rng.integers(pitch)) :: pitch] *= faint
    if rng.random() < 0.7:
        paper[:, int(rng.integers(pitch)) :: pitch] *= faint


def _table_edge(image: NDArray[np.float32], rng: np.random.Generator, thickness: float = 0.05) -> None:
    """Let the dark table (or the scanner's lid) show beyond one edge of the paper, in place."""
    height, width, _ = image.shape
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    depth = (x, y, width - 1 - x, height - 1 - y)[rng.integers(4)]
    slope = (x - width / 2 if depth.shape[0] > 1 else y - height / 2) * np.float32(rng.normal(0, 0.015))
    inside = np.clip((depth + slope - rng.uniform(0.2, 1) * thickness * min(width, height)) / 3, 0, 1)[..., None]
    table = np.array([(70, 62, 55), (35, 35, 38), (120, 98, 78), (150, 150, 152)], dtype=np.float32)[rng.integers(4)]
    image *= inside
    image += (1 - inside) * table


def _defocus(ink: NDArray[np.float32], blur: float) -> NDArray[np.float32]:
    """Blur the ink by a Gaussian of ``blur`` pixels; the paper is smooth already."""
    picture = Image.fromarray(np.uint8(ink * 255)).filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def _expose(image: NDArray[np.float32], rng: np.random.Generator, noise: float) -> Image.Image:
    """Add the sensor's noise, of ``noise`` grey levels, and round to bytes."""
    image = image + (rng.standard_normal(image.shape[:2], dtype=np.float32) * np.float32(noise))[..., None]
    return Image.fromarray(np.uint8(np.clip(image + 0.5, 0, 255)))
