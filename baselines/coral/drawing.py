"""Pictures of a coral run: outlines of predicted and true objects, a table of the substrates, a confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from baselines.coral.records import Prediction, Sample, Truth
from baselines.coral.shapes import Shapes
from baselines.core import pictures
from baselines.core.pictures import Style

PANEL_SIDE = 1000  # longer side of each of the two panels of a picture, in pixels
SHOWN_SCORE = 0.3  # least score of an object that is drawn
FILL = 56  # of 255, how much of an object its colour covers
MATRIX_SIDE = 1008  # longer side at which pixels are compared for the confusion matrix
CELL = 46  # of the confusion matrix, in pixels
NAMES = 210  # width of a column of substrate names, in pixels


def short_name(substrate: str) -> str:
    """Return a substrate's name without what most of them share.

    >>> short_name("c_hard_coral_boulder"), short_name("c_soft_coral")
    ('boulder', 'soft_coral')
    """
    return substrate.removeprefix("c_").removeprefix("hard_coral_")


def draw(
    sample: Sample, prediction: Prediction, classes: Mapping[int, str], *, least_score: float = SHOWN_SCORE
) -> Image.Image:
    """Draw the prediction beside the truth, under a title each, above a legend of the substrates with their counts.

    Args:
        sample: The image, and its truth where it has one.
        prediction: The objects found in it.
        classes: Class names by campaign id.
        least_score: Objects with lower scores are not drawn.

    Raises:
        OSError: If the image can't be read.
    """
    with Image.open(sample.image) as image:
        size = image.size
        page = pictures.shrink(image, PANEL_SIDE)
    scale = page.width / size[0]
    shown = np.flatnonzero(prediction.scores >= least_score)
    shown = shown[np.argsort(-prediction.scores[shown], kind="stable")]
    labels = prediction.labels[shown].tolist()
    captions = [
        f"{short_name(classes[label])} {score:.2f}" for label, score in zip(labels, prediction.scores[shown], strict=True)
    ]
    title = f"prediction: {len(shown)} of {len(prediction.scores)} objects have a score of at least {least_score:g}"
    panels = [(title, _panel(page, prediction.shapes.take(shown), scale, labels, captions))]
    counts = {"predicted": Counter(labels)}
    if sample.truth is not None:
        labels = sample.truth.labels.tolist()
        counts = {"true": Counter(labels)} | counts
        captions = [short_name(classes[label]) for label in labels]
        panel = _panel(page, sample.truth.shapes, scale, labels, captions)
        panels.insert(0, (f"truth: {len(labels)} objects, {sample.id}", panel))
    return pictures.beside_with_counts(panels, counts, classes)


def _panel(page: Image.Image, shapes: Shapes, scale: float, labels: Sequence[int], captions: Sequence[str]) -> Image.Image:
    """Return a page with outlines on it, each filled faintly with its colour and named in its middle."""
    tint = Image.new("RGBA", page.size)
    rings = [np.asarray(ring, np.float64) * scale for ring in shapes]
    styles = [pictures.style_of(label) for label in labels]
    pen = ImageDraw.Draw(tint)
    for ring, style in zip(rings, styles, strict=True):
        pen.polygon([tuple(point) for point in ring.tolist()], fill=(*style.colour, FILL))
    picture = Image.alpha_composite(page.convert("RGBA"), tint).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for ring, style in zip(rings, styles, strict=True):
        for start, end in _dashes(ring, style):
            pen.line((*start, *end), fill=style.colour, width=2)
    for ring, style, caption in zip(rings, styles, captions, strict=True):
        middle = (ring.min(axis=0) + ring.max(axis=0)) / 2
        place = tuple(middle.tolist())
        pen.text(
            place, caption, style.ink, pictures.font(pictures.LABEL_SIZE), anchor="mm", stroke_width=2, stroke_fill=style.colour
        )
    return picture


def _dashes(ring: NDArray[np.float64], style: Style) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Yield the ends of the pieces of a ring's outline that are drawn."""
    closed = np.vstack([ring, ring[:1]])
    lengths = np.hypot(*np.diff(closed, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    period = (style.dash + style.gap) if style.gap else max(float(along[-1]), 1e-9) + 1
    cuts = np.unique(
        np.concatenate(
            [along, np.arange(0, along[-1], period), np.arange(style.dash if style.gap else period, along[-1], period)]
        )
    )
    points = np.stack([np.interp(cuts, along, closed[:, axis]) for axis in (0, 1)], axis=1).tolist()
    for index, middle in enumerate((cuts[:-1] + cuts[1:]) / 2):
        if not style.gap or middle % period < style.dash:
            yield tuple(points[index]), tuple(points[index + 1])


# ------------------------------------------------------------------------------------------------------------- of a whole run


def draw_table(rows: Mapping[str, Mapping[str, float | int | None]]) -> Image.Image:
    """Draw the numbers of each substrate as a table.

    Args:
        rows: Of each substrate its numbers by name; ``None`` is drawn as a dash.
    """
    columns = list(next(iter(rows.values())))
    height, width = pictures.LABEL_SIZE + 10, 90
    picture = Image.new("RGB", (NAMES + width * len(columns) + pictures.MARGIN, height * (len(rows) + 1)), pictures.WHITE)
    pen, font = ImageDraw.Draw(picture), pictures.font(pictures.LABEL_SIZE)
    for line, (name, numbers) in enumerate((("substrate", dict.fromkeys(columns)), *rows.items())):
        y = line * height + height / 2
        if line % 2:
            pen.rectangle((0, line * height, picture.width, (line + 1) * height), fill=(240, 240, 240))
        pen.text((pictures.MARGIN, y), name, pictures.BLACK, font, anchor="lm")
        for column, (key, number) in enumerate(numbers.items()):
            text = key if not line else "-" if number is None else f"{number:.3f}" if isinstance(number, float) else str(number)
            pen.text((NAMES + (column + 1) * width - pictures.MARGIN, y), text, pictures.BLACK, font, anchor="rm")
    return picture


def confusion(truths: Mapping[str, Truth], predictions: Mapping[str, Prediction], classes: int) -> NDArray[np.int64]:
    """Count the pixels of each true and predicted substrate, ``(K + 1, K + 1)``; the first row and column are background.

    Pixels are those of the image reduced to :data:`MATRIX_SIDE`. Where objects of different substrates overlap the higher
    index counts, as in the organisers' score (M7 step 4).
    """
    counts = np.zeros((classes + 1) ** 2, np.int64)
    for name, truth in truths.items():
        size = truth.width, truth.height
        found = predictions.get(name)
        seen = (
            _painted(found.shapes, found.labels, size) if found else np.zeros_like(_painted(truth.shapes, truth.labels, size))
        )
        pairs = _painted(truth.shapes, truth.labels, size).astype(np.int64) * (classes + 1) + seen
        counts += np.bincount(pairs.ravel(), minlength=len(counts))
    return counts.reshape(classes + 1, classes + 1)


def _painted(shapes: Shapes, labels: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
    scale = min(1.0, MATRIX_SIDE / max(size))
    picture = Image.new("L", (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))
    pen = ImageDraw.Draw(picture)
    for index in np.argsort(labels, kind="stable").tolist():
        ring = np.asarray(shapes[index], np.float64) * scale
        if len(ring) > 1:
            pen.polygon([tuple(point) for point in ring.tolist()], fill=int(labels[index]))
    return np.asarray(picture)


def draw_confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix ``(K, K)``, a row for each true class, in percent of the row; rows without pixels stay empty."""
    side = CELL * len(names)
    picture = Image.new("RGB", (NAMES + side + pictures.MARGIN, side + NAMES), pictures.WHITE)
    pen, font = ImageDraw.Draw(picture), pictures.font(pictures.LABEL_SIZE)
    top = NAMES - pictures.MARGIN
    pen.text((pictures.MARGIN, pictures.MARGIN), "percent of a true class's pixels", pictures.BLACK, font)
    for row, name in enumerate(names):
        y = top + row * CELL + CELL / 2
        pen.text((NAMES - pictures.MARGIN, y), f"true {short_name(name)}", pictures.BLACK, font, anchor="rm")
        label = Image.new("RGB", (NAMES - pictures.MARGIN, CELL), pictures.WHITE)
        ImageDraw.Draw(label).text((pictures.MARGIN, CELL / 2), short_name(name), pictures.BLACK, font, anchor="lm")
        picture.paste(label.rotate(90, expand=True), (NAMES + row * CELL, 0))
        total = int(counts[row].sum())
        for column, count in enumerate(counts[row].tolist()):
            if not total:
                continue
            share = count / total
            shade = tuple(round(255 + share * (part - 255)) for part in (0, 84, 140))
            x = NAMES + column * CELL
            pen.rectangle((x, y - CELL / 2, x + CELL - 2, y + CELL / 2 - 2), fill=shade)
            if share >= 0.005:
                ink = pictures.WHITE if share > 0.5 else pictures.BLACK
                pen.text((x + CELL / 2, y), f"{100 * share:.0f}", ink, font, anchor="mm")
    pen.text((pictures.MARGIN, pictures.MARGIN + 16), "predicted, across", pictures.BLACK, font)
    return picture
