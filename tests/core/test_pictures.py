"""Pictures: styles that can be told apart, labels that are readable and don't cover each other."""

import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from baselines.core import pictures


def luminance(colour):
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in np.array(colour) / 255]
    return np.array([0.2126, 0.7152, 0.0722]) @ linear


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


DICHROMATS = {  # what linear RGB becomes (Viénot, Brettel and Mollon 1999)
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "neither": np.eye(3),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of linear sRGB


def lab(colour, eyes):
    """Return a colour in CIELAB as it is seen with these eyes."""
    linear = np.clip(np.array(DICHROMATS[eyes]) @ (np.array(colour) / 255) ** 2.2, 0, 1)
    x, y, z = np.cbrt(XYZ @ linear / XYZ.sum(1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_colours_differ_for_the_colour_blind(eyes):
    colours = {style.colour for style in pictures.STYLES}
    assert len(colours) == 7
    for one, other in itertools.combinations(colours, 2):
        assert np.linalg.norm(lab(one, eyes) - lab(other, eyes)) > 15


def test_there_are_21_styles():
    assert len({pictures.style_of(number) for number in range(1, 22)}) == 21


@pytest.mark.parametrize("style", pictures.STYLES)
def test_labels_are_readable_and_lines_stand_out_from_paper(style):
    assert contrast(style.colour, style.ink) >= 4.5
    assert contrast(style.colour, pictures.WHITE) >= 1.9


BACKGROUNDS = {
    "white": np.full((200, 200, 3), 255),
    "black": np.zeros((200, 200, 3)),
    "noise": np.random.default_rng(0).integers(0, 256, (200, 200, 3)),
}


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_boxes_are_drawn_where_they_are(background):
    image = Image.fromarray(BACKGROUNDS[background].astype(np.uint8))
    style = pictures.style_of(2)
    picture = np.asarray(pictures.draw_boxes(image, np.array([[50, 60, 150, 160]]), [style], [""]))
    is_drawn = (picture == style.colour).all(-1)
    rows, columns = np.flatnonzero(is_drawn.any(1)), np.flatnonzero(is_drawn.any(0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 160, 50, 150)
    assert (picture[75:145, 65:135] == np.asarray(image)[75:145, 65:135]).all()


def test_the_image_itself_is_left_as_it_is():
    image = Image.new("RGB", (50, 50))
    pictures.draw_boxes(image, np.array([[5, 5, 20, 20]]), [pictures.style_of(1)], ["button"])
    assert image.getextrema() == ((0, 0),) * 3


def test_labels_keep_clear_of_each_other():
    style = pictures.style_of(1)
    white = Image.new("RGB", (400, 400), "white")
    boxes = np.array([[100, 100, 300, 300]] * 40)

    def inked(count):
        drawn = pictures.draw_boxes(white, boxes[:count], [style] * count, ["button 0.99"] * count, line=1)
        return (np.asarray(drawn) == style.colour).all(-1).sum()

    assert inked(1) < inked(2) < inked(6) == inked(20)  # six places in and around a box, and no label on another


@pytest.mark.parametrize("box", [[-50, -50, 0.2, 0.2], [0, 0, 0, 0], [90, 90, 400, 400], [0, 0, 99, 99], [50, 50, 50.4, 80]])
def test_boxes_at_and_over_the_edge_are_drawn_as_far_as_they_go(box):
    image = Image.new("RGB", (100, 100))
    assert pictures.draw_boxes(image, np.array([box]), [pictures.style_of(9)], ["button"]).size == (100, 100)


def test_no_boxes_no_change():
    image = Image.new("RGB", (30, 30), "red")
    assert pictures.draw_boxes(image, np.empty((0, 4)), [], []).tobytes() == image.tobytes()


def test_tall_panels_stand_beside_and_wide_ones_below_each_other():
    tall, wide = (Image.new("RGB", size) for size in ((100, 200), (400, 100)))
    assert pictures.beside([("a", tall), ("b", tall)]).width > 200
    assert pictures.beside([("a", wide), ("b", wide)]).width == 400


def test_a_legend_wraps_into_the_width():
    entries = [(pictures.style_of(number), f"class {number}") for number in range(1, 22)]
    narrow, broad = pictures.legend(entries, 300), pictures.legend(entries, 1500)
    assert (narrow.width, broad.width) == (300, 1500)
    assert narrow.height > broad.height


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_images_of_any_mode_become_rgb(mode):
    small = pictures.shrink(Image.new(mode, (400, 100)), 200)
    assert (small.mode, small.size) == ("RGB", (200, 50))


def test_heat_colours_what_lies_under_the_grid():
    image = Image.new("RGB", (100, 50), "black")  # in the middle of a square of 100: rows 25 to 75
    grid = np.zeros((4, 4))
    grid[1, 3] = 1.0  # the square's rows 25 to 50 at its right edge
    drawn = np.asarray(pictures.heat(image, grid)).astype(int)
    assert drawn[12, 90, 0] > 80
    assert drawn[:, :40].max() == 0
    assert drawn[45, 90, 0] < drawn[12, 90, 0] / 2
    assert pictures.heat(image, np.zeros((1, 1))).tobytes() == image.tobytes()


def test_lines_wrap_into_the_width_and_keep_their_colours():
    rows = [
        ("what is the primary abnormality in this image? " * 3, pictures.BLACK),
        ("", pictures.BLACK),
        ("yes", (213, 94, 0)),
    ]
    narrow, broad = pictures.lines(rows, 200), pictures.lines(rows, 800)
    assert (narrow.width, broad.width) == (200, 800)
    assert narrow.height > broad.height
    assert (np.asarray(narrow)[:, -4:] == 255).all()
    assert (np.asarray(narrow) == (213, 94, 0)).all(-1).any()


def test_a_legend_tells_the_classes_that_are_counted_and_nothing_where_there_are_none():
    panel = ("title", Image.new("RGB", (300, 200)))
    plain = pictures.beside([panel])
    counted = pictures.beside_with_counts([panel], {"true": Counter([2]), "predicted": Counter([2, 9])}, {2: "button"})
    expected = [(pictures.style_of(2), "button: 1 true, 1 predicted"), (pictures.style_of(9), "9: 0 true, 1 predicted")]
    assert counted.tobytes() == pictures.below([plain, pictures.legend(expected, 300)]).tobytes()
    assert pictures.beside_with_counts([panel], {"predicted": Counter()}, {}).tobytes() == plain.tobytes()
