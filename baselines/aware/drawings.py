"""Pictures of the aware task: predicted against true ratings, and why: the concepts that move ratings up and down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from baselines.aware.records import Prediction, Sample, Split
from baselines.aware.task import SITUATIONS
from baselines.core.metrics.correlation import pearson
from baselines.core.pictures import BLACK, LABEL_SIZE, MARGIN, TITLE_SIZE, WHITE, Colour, below, beside, font

SIDE = 360  # of a panel, in pixels
ROW = LABEL_SIZE + 8
SHOWN = 8  # concepts up, and as many down
UP: Colour = (0, 114, 178)  # blue and vermilion, which colour-blind people tell apart
DOWN: Colour = (213, 94, 0)
GREY: Colour = (150, 150, 150)
MIN_USERS = 5  # that show a concept, for its mean effect to be drawn


def scatter(split: Split, predictions: Mapping[str, Prediction]) -> Image.Image:
    """Draw a panel for each situation: a point per user, the true rating to the right, the predicted one upwards."""
    panels = []
    for key in SITUATIONS:
        points = np.array(
            [[truth.ratings[key], predictions[name].ratings[key]] for name, truth in split.truth_set.truths.items()]
        )
        r = float(pearson(points[:, 0], points[:, 1])[0]) if len(points) > 1 else np.nan
        title = f"{key}: r is not defined" if np.isnan(r) else f"{key}: r = {r:.3f}, {len(points)} users"
        panels.append((title, _points(points)))
    return below([beside(panels[:2]), beside(panels[2:])])


def _points(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), WHITE)
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = 50, MARGIN, SIDE - MARGIN, SIDE - 36
    low, high = points.min(0), points.max(0)
    span = np.where(high > low, high - low, 1.0)
    pen.rectangle((left, top, right, bottom), outline=GREY)
    places = (points - low) / span * [right - left - 12, -(bottom - top - 12)] + [left + 6, bottom - 6]
    for x, y in places.tolist():
        pen.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), outline=UP)
    small = font(LABEL_SIZE - 1)
    for value, x in ((low[0], left + 6), (high[0], right - 6)):
        pen.text((x, bottom + 4), f"{value:.1f}", BLACK, small, anchor="lt" if x < SIDE / 2 else "rt")
    for value, y in ((low[1], bottom - 6), (high[1], top + 6)):
        pen.text((left - 4, y), f"{value:.1f}", BLACK, small, anchor="rm")
    pen.text(((left + right) / 2, bottom + 20), "true rating", BLACK, small, anchor="mm")
    pen.text((4, (top + bottom) / 2), "pred.", BLACK, small, anchor="lm")
    return picture


def concepts(predictions: Mapping[str, Prediction]) -> Image.Image:
    """Draw for each situation the concepts with the largest mean effects over the users whose photos show them."""
    effects: dict[str, list[Sequence[float]]] = defaultdict(list)
    for prediction in predictions.values():
        for name, changes in prediction.effects.items():
            effects[name].append(changes)
    panels = []
    for column, key in enumerate(SITUATIONS):
        means = {
            name: float(np.mean([row[column] for row in rows])) for name, rows in effects.items() if len(rows) >= MIN_USERS
        }
        captions = {name: f"{name} ({len(effects[name])})" for name in means}
        panels.append((key, _bars({captions[name]: value for name, value in means.items()})))
    text = (
        "What the model's ratings lose without a concept: mean over the users who show it (how many), "
        "in standard deviations of true ratings."
    )
    return below([_note(text, panels), beside(panels[:2]), beside(panels[2:])])


def explanation(sample: Sample, prediction: Prediction) -> Image.Image:
    """Draw why a user is rated so: the user's concepts with the largest effects, for each situation."""
    counts: dict[str, int] = defaultdict(int)
    for name in sample.profile.concepts:
        counts[name] += 1
    panels = []
    for column, key in enumerate(SITUATIONS):
        title = f"{key}: predicted {prediction.ratings[key]:+.2f}"
        title += f", true {sample.truth.ratings[key]:+.2f}" if sample.truth else ""
        effects = {f"{name} ({counts[name]})": changes[column] for name, changes in prediction.effects.items()}
        panels.append((title, _bars(effects)))
    text = (
        f"User {sample.id}: {len(sample.profile.images)} photos, {len(sample.profile.concepts)} detections. "
        "What the rating would lose without a concept (detected how often), in standard deviations of true ratings."
    )
    return below([_note(text, panels), beside(panels[:2]), beside(panels[2:])])


def _note(text: str, panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Return a line or two of text as wide as two panels."""
    width = 2 * panels[0][1].width + MARGIN
    lines, line = [], ""
    for word in text.split():
        if font(LABEL_SIZE).getlength(f"{line} {word}") > width - 2 * MARGIN:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    picture = Image.new("RGB", (width, (len(lines) + 1) * ROW), WHITE)
    pen = ImageDraw.Draw(picture)
    for place, each in enumerate([*lines, line]):
        pen.text((MARGIN, place * ROW + ROW / 2), each, BLACK, font(LABEL_SIZE), anchor="lm")
    return picture


def _bars(values: Mapping[str, float]) -> Image.Image:
    """Draw the largest positive and negative values as bars to the right and to the left of a line."""
    ranked = sorted(values.items(), key=lambda pair: -pair[1])
    up = [pair for pair in ranked[:SHOWN] if pair[1] > 0]
    down = [pair for pair in ranked[::-1][:SHOWN] if pair[1] < 0][::-1]
    picture = Image.new("RGB", (SIDE, 2 * SHOWN * ROW + TITLE_SIZE), WHITE)
    pen = ImageDraw.Draw(picture)
    if not up and not down:
        pen.text((MARGIN, ROW), "no effects", BLACK, font(LABEL_SIZE), anchor="lm")
        return picture
    middle, longest = SIDE / 2, max(abs(value) for _, value in up + down)
    reach = SIDE / 2 - 40 - MARGIN
    pen.line((middle, 0, middle, picture.height), fill=GREY)
    for place, (name, value) in enumerate(up + down):
        y, end = place * ROW + ROW / 2, middle + value / longest * reach
        pen.rectangle((min(middle, end), y - 5, max(middle, end), y + 5), fill=UP if value > 0 else DOWN)
        pen.text(
            (middle - 6 if value > 0 else middle + 6, y), name, BLACK, font(LABEL_SIZE - 1), anchor="rm" if value > 0 else "lm"
        )
        pen.text(
            (end + 4 if value > 0 else end - 4, y),
            f"{value:+.2f}",
            BLACK,
            font(LABEL_SIZE - 2),
            anchor="lm" if value > 0 else "rm",
        )
    return picture
