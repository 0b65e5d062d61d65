"""Words above the places that the model looked at."""

import numpy as np
from PIL import Image

from baselines.medical.drawings import MAX_WORDS, SIDE, word_maps


def test_each_word_has_an_image_coloured_where_the_model_looked():
    page = Image.new("RGB", (200, 200), (90, 90, 90))
    attention = np.zeros((2, 4, 4), np.float16)
    attention[0, 0, 0] = attention[1, 3, 3] = 0.2
    picture = word_maps(page, "left lung", attention, 300)
    pixels = np.asarray(picture).astype(int)
    assert picture.width == 300
    top = picture.height - 8 - SIDE  # of the images; the words are above
    reddish = pixels[..., 0] - pixels[..., 2] > 60
    first, second = reddish[top : top + SIDE, :SIDE], reddish[top : top + SIDE, SIDE + 8 : 2 * SIDE + 8]
    assert first[:20, :20].mean() > 0.5 > first[-30:, -30:].mean()
    assert second[-20:, -20:].mean() > 0.5 > second[:30, :30].mean()


def test_long_and_empty_texts_have_a_picture():
    page = Image.new("RGB", (50, 200))
    many = word_maps(page, " ".join(["incomprehensibilities"] * 60), np.ones((60, 2, 2)), 400)
    few = word_maps(page, " ".join(["a"] * MAX_WORDS), np.ones((MAX_WORDS, 2, 2)), 400)
    assert many.size == few.size
    assert word_maps(page, "", np.zeros((0, 2, 2)), 100).size == (100, 1)
    assert word_maps(page, "a", np.zeros((1, 2, 2)), 10).width == 10  # narrower than one image, and nowhere looked at
