"""The skeleton of pages: what is text stays text, nothing is loaded, and a page has a bounded size."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from baselines.core import charts
from baselines.core.checks import Distribution
from baselines.core.page import (
    Album,
    Cell,
    Column,
    Markup,
    Section,
    cut,
    element,
    facts,
    filters,
    join,
    preformatted,
    render,
    table,
    within_bytes,
)

HOSTILE = "<script>alert(1)</script>"


class Parsed(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.data = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []  # every element is closed

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@given(st.text())
def test_text_comes_back_as_text(text):
    parsed = Parsed(element("p", text, title=text))
    assert [name for name, _ in parsed.elements] == ["p"]
    shown = "".join(parsed.data)
    assert shown == parsed.elements[0][1]["title"]
    assert all(character.isprintable() for character in shown)
    if text.isprintable():
        assert shown == text


def test_markup_is_kept_and_nothing_left_out():
    assert join("<", element("b", 1, None, [2, "&"]), None) == "&lt;<b>12&amp;</b>"
    assert element("input", hidden=True, value=None, disabled=False, data_x=0) == '<input hidden data-x="0">'


def test_a_page_is_one_file_that_loads_nothing_and_runs_its_own_script_alone():
    text = render(HOSTILE, facts([("name", HOSTILE), ("none", None)]), [Section("one", HOSTILE, element("p", HOSTILE))])
    parsed = Parsed(text)
    assert len(parsed.all("script")) == 1
    assert "src" not in parsed.all("script")[0]
    policy = next(each["content"] for each in parsed.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"https?://|url\(|@import", text)
    assert [each["href"] for each in parsed.all("link")] == ["data:,"]


def test_landmarks_headings_and_a_way_past_the_links():
    parsed = Parsed(render("page", Markup(), [Section("one", "One", Markup()), Section("two", "Two", Markup())]))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(parsed.all(landmark)) == 1
    assert [name for name, _ in parsed.elements if re.fullmatch(r"h\d", name)] == ["h1", "h2", "h2"]
    ids = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    assert {each["href"].removeprefix("#") for each in parsed.all("a")} <= ids
    assert {each["aria-labelledby"] for each in parsed.all("section")} <= ids
    assert parsed.all("html") == [{"lang": "en"}]


def test_tables_have_heads_a_caption_and_the_numbers_to_sort_by():
    parsed = Parsed(table("what", [Column("name"), Column("n", "number")], [("a", Cell("1,000", 1000)), ("b", Cell("-"))]))
    assert [each.get("scope") for each in parsed.all("th")] == ["col", "col", "row", "row"]
    assert [each.get("data-value") for each in parsed.all("td")] == ["1000", None]
    assert parsed.all("div")[0] == {"class": "scroll", "role": "region", "aria-label": "what", "tabindex": "0"}


def test_filters_label_their_fields():
    parsed = Parsed(filters("t", [(1, "Code", [HOSTILE])], "findings"))
    assert len(parsed.all("label")) == 2
    assert parsed.all("form")[0]["data-table"] == "t"
    assert "hidden" in parsed.all("form")[0]  # until the script can serve it
    assert parsed.all("output")[0]["aria-live"] == "polite"


def test_rows_stop_before_they_make_the_page_too_large():
    rows = [["&" * 100]] * 50
    assert len(within_bytes(rows, 10_000)) == 18  # 500 bytes escaped, 30 for the cell
    assert within_bytes(rows) == rows


def test_an_album_embeds_until_it_is_full_and_says_what_it_left_out():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 900, 3), np.uint8))
    whole = Album()
    first = whole.add(noise, HOSTILE)
    image = Parsed(first).all("img")[0]
    assert (image["width"], image["height"], image["alt"]) == ("640", "213", HOSTILE)
    assert image["src"].startswith("data:image/webp;base64,")
    assert whole.note() == ""
    small = Album(len(first))
    made = [small.add(noise, "a") for _ in range(3)]
    assert [each is None for each in made] == [False, True, True]
    assert "2 more pictures are left out" in small.note()


def test_preformatted_text_keeps_its_lines():
    assert "".join(Parsed(preformatted(f"a\n{HOSTILE}\x1b[2J")).data) == f"a\n{HOSTILE}\\x1b[2J"


def test_cut_says_that_it_cut():
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")


# ---------------------------------------------------------------------------------------------------------------- charts


def test_bars_are_shares_of_their_split_and_the_table_has_the_counts():
    parsed = Parsed(charts.bars(Distribution("boxes", ("0–1", HOSTILE), {"train": (1, 3), "test": (2, 0)})))
    widths = [float(each["width"]) for each in parsed.all("rect") if each.get("x")]
    assert widths[0] == pytest.approx(86, abs=0.1)  # a quarter of 344 units, which are the largest share, all of test
    assert [each["data-value"] for each in parsed.all("td")] == ["1.0", "2.0", "3.0", "0.0"]
    assert "train, 0–1: 25.0%" in parsed.data
    assert parsed.all("svg")[-1]["role"] == "img"
    assert "script" not in {name for name, _ in parsed.elements}


def test_numbers_that_are_no_counts_are_shown_as_they_are():
    parsed = Parsed(charts.bars(Distribution("mean", ("a", "b"), {"all": (0.5, float("nan"))})))
    assert "all, a: 0.5000" in parsed.data
    assert all(float(each["width"]) >= 0 for each in parsed.all("rect"))


def test_curves_go_through_finite_points_alone():
    parsed = Parsed(charts.curves("loss", {"train": [(0, 2.0), (10, float("inf")), (20, 1.0)], "val": [(20, 1.5)]}))
    lines = [each["points"].split() for each in parsed.all("polyline")]
    assert [len(line) for line in lines] == [2, 1]
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in lines[0])
    assert x0 < x1
    assert y0 < y1  # downwards is lower
    assert len(parsed.all("circle")) == 1  # a line of one point would not be seen
    assert "No number is finite" in charts.curves("loss", {"train": [(0, float("nan"))]})


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.1, 0.9), (-3, 5), (0, 1234), (1e-5, 3e-5)])
def test_ticks_are_few_and_on_the_axis(low, high):
    ticks = charts.Scale(low, high, 0, 100).ticks()
    assert 3 <= len(ticks) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_axes_of_numbers_names_and_magnitudes():
    numbers = charts.Axis.of("n", [1, 2, 3], 0, 100)
    assert [numbers.place(value) for value in (1, 2, 3)] == pytest.approx([0, 50, 100])
    rates = charts.Axis.of("lr", [1e-4, 1e-3, 1e-2], 0, 100)
    assert [rates.place(value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 50, 100])
    names = charts.Axis.of("model", ["b", None, "a"], 0, 90)
    assert [names.place(value) for value in (None, "a", "b")] == pytest.approx([15, 45, 75])
    assert [mark for _, mark in names.marks()] == ["None", "a", "b"]
    alone = charts.Axis.of("n", [7, 7], 0, 100)
    assert alone.place(7) == pytest.approx(50)


def test_intervals_of_negative_scores_stay_in_the_picture():
    parsed = Parsed(charts.intervals("kappa", [("kappa", -0.2, (-0.5, 0.1)), ("accuracy", 0.4, None)]))
    for bar in parsed.all("rect"):
        assert float(bar["x"]) >= charts.LABELS
        assert float(bar["x"]) + float(bar["width"]) <= charts.WIDTH
    assert len(parsed.all("path")) == 1
