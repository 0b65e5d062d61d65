"""Charts as inline SVG, each beside a table of its numbers, so that nothing is told by a picture, or by a colour, alone.

Colours come from the page's style sheet, which has them for light and dark. Lengths are in units of the view box.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.core.checks import Distribution
from baselines.core.page import Cell, Column, Content, Markup, cut, element, join, more, table
from baselines.core.report import NOTHING, format_number

WIDTH, HEIGHT = 560, 240
LABELS = 160  # width of the labels beside bars
BAR = 12  # height of a bar
BARS_SHOWN = 25  # labels of a bar chart; its table has all
POINTS_SHOWN = 300  # of a line
POINTS_LISTED = 40  # of a line, in the table
COLOURS = 6
LINES_SHOWN = 200  # of parallel coordinates
AXIS_GAP = 130  # between their axes
MARKED = 8  # numbers on an axis that are each marked; of more, round ones between are

Point = tuple[float, float]


def _svg(title: str, height: float, content: Iterable[Markup], width: float = WIDTH) -> Markup:
    """Return a drawing that a screen reader announces by its title."""
    drawing = element("svg", *content, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=title)
    kind = "chart wide" if width > WIDTH else "chart"
    return element("div", drawing, class_=kind, tabindex=0, role="group", aria_label=f"Chart: {title}")


def _text(content: str, x: float, y: float, class_: str | None = None) -> Markup:
    return element("text", content, x=_number(x), y=_number(y), class_=class_)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=_number(x1), y1=_number(y1), x2=_number(x2), y2=_number(y2), class_=class_)


def _number(value: float) -> str:
    return f"{value:.1f}"


def _tip(text: str) -> Markup:
    return element("title", text)


def key(names: Sequence[str], *, lines: bool = False) -> Markup:
    """Return what the colours stand for, those of lines with their dashes."""
    entries = []
    for place, name in enumerate(names):
        style = place % COLOURS
        mark = (
            _line(0, 6, 26, 6, f"line l{style} dash{place % 4}")
            if lines
            else element("rect", width=12, height=12, class_=f"f{style}")
        )
        swatch = element("svg", mark, width=26 if lines else 12, height=12, aria_hidden="true")
        entries.append(element("li", swatch, cut(name, 60)))
    return element("ul", entries, class_="key")


def chart(title: str, drawing: Markup, numbers: Markup, names: Sequence[str] = (), *, lines: bool = False) -> Markup:
    """Return a chart under its title, above what its colours stand for and the table of its numbers."""
    return element(
        "div",
        element("h3", title),
        key(names, lines=lines) if names else None,
        drawing,
        more(f"The numbers of “{title}”", numbers),
    )


# ------------------------------------------------------------------------------------------------------------------ bars


def bars(distribution: Distribution) -> Markup:
    """Return a bar chart by label and split; where values are counts, bars are shares of their split, which can be compared."""
    is_counts = all(float(value).is_integer() for values in distribution.series.values() for value in values)
    totals = {name: sum(values) if is_counts else 1 for name, values in distribution.series.items()}
    shares = {
        name: [_finite(value) / (totals[name] or 1) for value in values[:BARS_SHOWN]]
        for name, values in distribution.series.items()
    }
    largest = max((share for values in shares.values() for share in values), default=0) or 1
    step = len(shares) * BAR + 8
    drawn = []
    for place, label in enumerate(distribution.labels[:BARS_SHOWN]):
        top = place * step + 4
        named = join(_tip(label), cut(label, 24))
        drawn.append(element("text", named, x=LABELS - 8, y=_number(top + (step - 8) / 2 + 4), class_="end"))
        for row, (name, values) in enumerate(shares.items()):
            told = f"{values[place]:.1%}" if is_counts else format_number(values[place])
            drawn += _bar(f"{name}, {label}: {told}", told, values[place] / largest, top + row * BAR, row)
    title = distribution.title + (", share of each split" if is_counts else "")
    count = len(distribution.labels)
    parts = [_svg(title, min(count, BARS_SHOWN) * step + 4, drawn)]
    if count > BARS_SHOWN:
        parts.append(element("p", f"{count - BARS_SHOWN} more are in the table.", class_="note"))
    return chart(title, join(*parts), _bars_table(distribution), list(shares) if len(shares) > 1 else ())


def _bar(tip: str, told: str, share: float, y: float, place: int) -> list[Markup]:
    width = max(share, 0) * (WIDTH - LABELS - 56)
    bar = element("rect", _tip(tip), x=LABELS, y=_number(y), width=_number(width), height=BAR - 1, class_=f"f{place % COLOURS}")
    return [bar, element("text", told, x=_number(LABELS + width + 5), y=_number(y + BAR - 2), class_="faint small")]


def _bars_table(distribution: Distribution) -> Markup:
    columns = [Column("label"), *(Column(name, "number") for name in distribution.series)]
    rows: Iterable[list[Content | Cell]] = (
        [label, *(Cell(_told(values[place]), _finite(values[place])) for values in distribution.series.values())]
        for place, label in enumerate(distribution.labels)
    )
    return table(distribution.title, columns, rows)


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0


def _told(value: float) -> str:
    if not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() else format_number(float(value))


def intervals(title: str, rows: Sequence[tuple[str, float, tuple[float, float] | None]]) -> Markup:
    """Return bars of scores with their 95 % intervals; negative ones go to the left of zero."""
    ends = [end for _, value, interval in rows for end in (value, *(interval or ()))]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (WIDTH - LABELS - 60) / ((high - low) or 1)
    step, drawn = 20, []
    for place, (name, value, interval) in enumerate(rows):
        y = place * step + 3
        start, end = sorted((0.0, value))
        label = join(_tip(name), cut(name, 24))
        drawn.append(element("text", label, x=LABELS - 8, y=y + 12, class_="end"))
        x, width = LABELS + (start - low) * scale, (end - start) * scale
        told = f"{name}: {format_number(value)}" + (f", {interval[0]:.4f} to {interval[1]:.4f}" if interval else "")
        drawn.append(element("rect", _tip(told), x=_number(x), y=y, width=_number(width), height=13, class_="f0"))
        if interval:
            left, right = (LABELS + (end - low) * scale for end in interval)
            path = f"M{left:.1f},{y + 2}v9M{right:.1f},{y + 2}v9M{left:.1f},{y + 6.5}H{right:.1f}"
            drawn.append(element("path", d=path, class_="whisker"))
        right = LABELS + (max(end, *(interval or (end,))) - low) * scale
        drawn.append(_text(format_number(value), right + 6, y + 11, "faint"))
    return _svg(title, len(rows) * step + 4, drawn)


# ----------------------------------------------------------------------------------------------------------------- curves


@dataclass(frozen=True, slots=True)
class Scale:
    """Where numbers lie on an axis.

    Attributes:
        low: The number at ``start``.
        high: The number at ``end``.
        start: A place.
        end: Another place.
        is_log: Whether equal factors are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return where a number lies."""
        low, high, value = (math.log10(each) if self.is_log else each for each in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return three to six round numbers on the axis."""
        if self.is_log:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [10.0**power for power in powers] if len(powers) > 1 else [self.low, self.high]
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        step = 10.0 ** math.floor(math.log10(span))
        step = next(factor * step for factor in (0.2, 0.25, 0.5, 1, 2) if span / (factor * step) <= 6)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _scale(values: Sequence[float], start: float, end: float, *, is_log: bool = False) -> Scale:
    low, high = min(values), max(values)
    if low == high:
        margin = abs(low) / 2 or 0.5
        return Scale(low - margin, high + margin, start, end)
    return Scale(low, high, start, end, is_log)


def _frame(x: Scale, y: Scale, name: str) -> list[Markup]:
    """Return the axes with their numbers, and the name of the horizontal one."""
    drawn = []
    for tick in y.ticks():
        drawn += [
            _line(x.start, y.place(tick), x.end, y.place(tick), "grid"),
            _text(f"{tick:.4g}", x.start - 6, y.place(tick) + 4, "end"),
        ]
    for tick in x.ticks():
        drawn.append(_text(f"{tick:.6g}", x.place(tick), y.start + 16, "middle"))
    drawn += [_line(x.start, y.start, x.end, y.start, "axis"), _text(name, x.end, y.start + 32, "end faint")]
    return drawn


def curves(title: str, series: Mapping[str, Sequence[Point]], across: str = "step") -> Markup:
    """Return lines through points.

    Args:
        title: What the numbers are.
        series: ``(x, y)`` by name, ascending; points that are not finite are left out.
        across: What the horizontal axis is.
    """
    finite = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in series.items()}
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return element("div", element("h3", title), element("p", "No number is finite.", class_="note"))
    xs, ys = zip(*(point for points in finite.values() for point in points), strict=True)
    x, y = _scale(xs, 60, WIDTH - 12), _scale(ys, HEIGHT - 40, 10)
    drawn = _frame(x, y, across)
    for place, (name, points) in enumerate(finite.items()):
        shown = [f"{x.place(one):.1f},{y.place(other):.1f}" for one, other in thin(points, POINTS_SHOWN)]
        style = f"l{place % COLOURS} dash{place % 4}"
        drawn.append(element("polyline", _tip(name), points=" ".join(shown), class_=f"line {style}"))
        if len(shown) == 1:
            left, top = shown[0].split(",")
            drawn.append(element("circle", _tip(name), cx=left, cy=top, r=4, class_=f"f{place % COLOURS}"))
    numbers = table(title, (Column("part"), Column(across, "number"), Column("value", "number")), _listed(finite))
    return chart(title, _svg(title, HEIGHT, drawn), numbers, list(finite), lines=True)


def _listed(series: Mapping[str, Sequence[Point]]) -> Iterable[tuple[str, Cell, Cell]]:
    for name, points in series.items():
        for x, y in thin(points, POINTS_LISTED):
            yield name, Cell(f"{x:g}", x), Cell(f"{y:.6g}", y)


def thin(points: Sequence[Point], count: int) -> list[Point]:
    """Return at most ``count`` points, evenly spread, the first and the last among them.

    >>> thin([(x, 0) for x in range(10)], 4)
    [(0, 0), (3, 0), (6, 0), (9, 0)]
    """
    if len(points) <= count:
        return list(points)
    return [points[place * (len(points) - 1) // (count - 1)] for place in range(count)]


# ----------------------------------------------------------------------------------------------------------------- sweeps


@dataclass(frozen=True, slots=True)
class Axis:
    """Where the values of a key lie, from ``start`` to ``end``: by size if all are numbers, else each at a place of its own."""

    name: str
    scale: Scale
    names: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, values: Sequence[Any], start: float, end: float) -> Axis:
        """Return the axis of a key; positive numbers that span a factor of 20 are on a logarithmic one."""
        numbers = [value for value in values if _is_number(value)]
        if len(numbers) == len(values):
            low, high = min(numbers), max(numbers)
            distinct = tuple(sorted(set(numbers)))
            marked = distinct if len(distinct) <= MARKED else ()
            return cls(name, _scale(numbers, start, end, is_log=low > 0 and high / low >= 20), numbers=marked)
        names = tuple(sorted({str(value) for value in values}))
        return cls(name, Scale(-0.5, len(names) - 0.5, start, end), names)

    def place(self, value: Any) -> float:
        """Return where a value lies."""
        return self.scale.place(self.names.index(str(value)) if self.names else float(value))

    def marks(self) -> list[tuple[float, str]]:
        """Return the places to mark, with what is there."""
        if self.names:
            return [(self.scale.place(place), cut(name, 16)) for place, name in enumerate(self.names)][:20]
        return [(self.scale.place(tick), f"{tick:.4g}") for tick in self.numbers or self.scale.ticks()]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def scatter(name: str, metric: str, points: Sequence[tuple[object, float, str]]) -> Markup:
    """Return scores by the values of a key.

    Args:
        name: The key.
        metric: The metric.
        points: Value, score, and what the point is, for each run.
    """
    across = Axis.of(name, [value for value, _, _ in points], 60, WIDTH - 12)
    y = _scale([score for _, score, _ in points], HEIGHT - 44, 14)
    drawn = []
    for tick in y.ticks():
        drawn += [
            _line(60, y.place(tick), WIDTH - 12, y.place(tick), "grid"),
            _text(f"{tick:.4g}", 54, y.place(tick) + 4, "end"),
        ]
    marks = across.marks()
    room = max(3, 70 // max(len(marks), 1))  # characters below each other's marks
    drawn += [_text(cut(mark, room), x, HEIGHT - 28, "middle") for x, mark in marks]
    drawn += [
        _line(60, HEIGHT - 44, WIDTH - 12, HEIGHT - 44, "axis"),
        _text(cut(name, 60), WIDTH - 12, HEIGHT - 8, "end faint"),
    ]
    drawn += [
        element(
            "circle", _tip(tip), cx=_number(across.place(value)), cy=_number(y.place(score)), r=4.5, class_="f0", opacity=0.75
        )
        for value, score, tip in points
    ]
    title = f"{metric} by {name}"
    return element("div", element("h3", title), _svg(f"{title}; the table above has the numbers", HEIGHT, drawn))


def parallel(keys: Sequence[str], metric: str, rows: Sequence[tuple[Mapping[str, object], float]]) -> Markup:
    """Return a line for each run across the axes of all keys and the metric; the better its score, the further its colour.

    Args:
        keys: The keys.
        metric: The metric, the last axis.
        rows: The values and the score of each run, the best first; of many runs, evenly spread ones are drawn.
    """
    count = len(keys)
    width = max(WIDTH, 150 + AXIS_GAP * count)
    lefts = [50 + place * (width - 150) / count for place in range(count + 1)]
    axes = [Axis.of(name, [values.get(name) for values, _ in rows], HEIGHT - 20, 34) for name in keys]
    axes.append(Axis(metric, _scale([score for _, score in rows], HEIGHT - 20, 34)))
    shown = (
        rows
        if len(rows) <= LINES_SHOWN
        else [rows[place * (len(rows) - 1) // (LINES_SHOWN - 1)] for place in range(LINES_SHOWN)]
    )
    drawn = []
    for place, (values, score) in reversed(list(enumerate(shown))):  # the best are drawn last, above the others
        heights = [axis.place(score if axis is axes[-1] else values.get(axis.name)) for axis in axes]
        path = " ".join(f"{left:.1f},{height:.1f}" for left, height in zip(lefts, heights, strict=True))
        told = ", ".join(f"{name}={values.get(name)}" for name in keys)
        third = 3 * place // len(shown)
        drawn.append(
            element("polyline", _tip(f"{metric} {score:.4f}: {told}"), points=path, class_=f"thin l{third} dash{third}")
        )
    for place, (axis, left) in enumerate(zip(axes, lefts, strict=True)):
        drawn.append(_line(left, 34, left, HEIGHT - 20, "axis"))
        drawn.append(_text(cut(axis.name.rpartition(".")[2], 14), left, 14 if place % 2 == 0 else 27, "middle"))
        drawn += [_text(mark, left + 5, height + 4, "faint") for height, mark in axis.marks()]
    title = f"{' × '.join(keys)} → {metric}"
    thirds = key(("best third of the runs", "middle third", "last third"), lines=True)
    note = f"{len(shown)} of {len(rows)} runs are drawn." if len(shown) < len(rows) else None
    return element(
        "div",
        element("h3", title),
        thirds,
        _svg(title, HEIGHT, drawn, width),
        element("p", note, class_="note") if note else None,
    )
