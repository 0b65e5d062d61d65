"""Pictures of where a model looked for each word of a text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from baselines.core import pictures

SIDE = 104  # of an image above a word, in pixels
MAX_WORDS = 24  # the first of a text
_WORD_SIZE = 12


def word_maps(page: Image.Image, text: str, attention: NDArray[np.floating], width: int) -> Image.Image:
    """Draw an image for each word of a text, coloured where the model looked when it wrote the word.

    Each word's colours are relative to its own highest place, since a word's weights sum up to 1 over the whole grid.

    Args:
        page: RGB.
        text: The text, words between blanks.
        attention: ``(words, h, w)``, not negative, over the square in whose middle the image lies.
        width: Width of the picture in pixels.
    """
    small = ImageOps.contain(page, (SIDE, SIDE))
    column, row = SIDE + pictures.MARGIN, small.height + _WORD_SIZE + pictures.MARGIN
    columns = max(1, width // column)
    words = text.split(" ")[: min(MAX_WORDS, len(attention))]
    picture = Image.new("RGB", (width, max(1, -(-len(words) // columns) * row)), pictures.WHITE)
    pen = ImageDraw.Draw(picture)
    for place, (word, grid) in enumerate(zip(words, np.asarray(attention, np.float64), strict=False)):
        x, y = place % columns * column, place // columns * row
        picture.paste(pictures.heat(small, grid / max(float(grid.max()), 1e-12)), (x, y + _WORD_SIZE + 2))
        shown = word if len(word) <= 16 else f"{word[:15]}…"
        pen.text((x + 2, y + _WORD_SIZE / 2 + 1), shown, pictures.BLACK, pictures.font(_WORD_SIZE), anchor="lm")
    return picture
