"""Rendered web pages with their true boxes, for the sample of the screenshot task.

The campaign's six class names are not known. Those here are the sample's own; no other code relies on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from baselines.drawnui.sketches import Page

CLASSES = {name: number for number, name in enumerate(("button", "heading", "image", "input", "link", "text"), start=1)}

Colour = tuple[int, int, int]


def draw_webpage(rng: np.random.Generator) -> Page:
    raise NotImplementedError


def spoil(page: Page, rng: np.random.Generator, number: int) -> Page:
    raise NotImplementedError
