"""The pages in a real browser: they open without a complaint, load nothing, and can be used by mouse and by keyboard."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from baselines.cli import main
from baselines.core.check import check_data_set
from baselines.core.check_page import check_page
from baselines.core.checks import Settings
from baselines.core.page import Cell, Column, Section, filters, join, render, table
from baselines.core.tasks import get_task

pytestmark = pytest.mark.slow
TASK = "drawnui-wireframe"
HOSTILE_CLASS, HOSTILE_FILE = "<script>document.title='broken'</script>", "<img src=x onerror=document.title='broken'>.jpg"


def plant_faults(root):
    """Write samples with a hostile class name and file name, and a box twice."""
    get_task(TASK).module("samples").generate(root, TASK, 12, 0)
    truth = next(root.rglob("development_set.json"))
    records = json.loads(truth.read_text())
    records[0]["annotations"][0]["detectionString"] = HOSTILE_CLASS
    for record in records[1:3]:
        record["annotations"].append(dict(record["annotations"][0]))
    images = truth.parent / "images"
    (images / records[1]["file"]).rename(images / HOSTILE_FILE)
    records[1]["file"] = HOSTILE_FILE
    with Image.open(images / records[3]["file"]) as image:
        half = image.resize((image.width // 2, image.height // 2))
    half.resize(image.size).save(images / records[4]["file"])
    truth.write_text(json.dumps(records))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    plant_faults(folder / "data")
    outcome = check_data_set(get_task(TASK), folder / "data", Settings())
    text = check_page(outcome)
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, page):
    browser.resize(1280, 900)
    browser.open(page)
    yield browser
    assert browser.complaints == []
    assert browser.requests == [page.as_uri()]
    assert browser.run("document.title") == f"Check of {TASK}"  # no text of the data set became a script


def shown(browser):
    """Return the texts of the first two cells of the rows of findings that are to be seen."""
    script = """[...document.querySelectorAll('#findings-table tbody tr')].filter((row) => row.getClientRects().length)
        .map((row) => [row.cells[0].textContent, row.cells[1].textContent])"""
    return [tuple(row) for row in browser.run(script)]


def set_field(browser, selector, value):
    script = f"""(() => {{ const field = document.querySelector({json.dumps(selector)}); field.value = {json.dumps(value)};
        field.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"""
    browser.run(script)


def test_what_is_hostile_is_shown_as_text(opened):
    text = opened.run("document.getElementById('findings').textContent")
    assert HOSTILE_CLASS in text
    assert HOSTILE_FILE in text
    assert opened.run("document.querySelectorAll('script').length") == 1
    assert opened.run("[...document.querySelectorAll('main img')].every((image) => image.complete && image.naturalWidth > 0)")


def test_filters_leave_what_was_asked_for_and_say_how_much(opened):
    everything = shown(opened)
    set_field(opened, "#findings select[data-column='1']", "error")
    errors = shown(opened)
    assert errors == [row for row in everything if row[1] == "error"]
    assert 0 < len(errors) < len(everything)
    assert opened.run("document.querySelector('output').textContent") == f"{len(errors)} of {len(everything)} findings"
    opened.run("document.querySelector('#findings form').reset()")
    set_field(opened, "#findings input", "ONERROR duplicate")
    assert {code for code, _ in shown(opened)} == {"DATA-DUPLICATE-OBJECT"}
    assert len(shown(opened)) == 1
    opened.run("document.querySelector('#findings button[type=reset]').click()")
    opened.run("new Promise((done) => setTimeout(done))")  # the fields are empty only after the event
    assert shown(opened) == everything


def test_a_code_leads_to_its_findings(opened):
    opened.run("document.querySelector('a[data-choose=DATA-DUPLICATE-OBJECT]').click()")
    opened.run("new Promise((done) => setTimeout(done))")
    assert {code for code, _ in shown(opened)} == {"DATA-DUPLICATE-OBJECT"}
    assert opened.run("location.hash") == "#findings"


def test_heads_sort_by_keyboard_and_say_how(opened):
    opened.run("document.querySelectorAll('#findings-table thead button')[1].focus()")
    opened.press("Enter")
    rank = ["error", "warning", "info"].index
    ascending = [rank(severity) for _, severity in shown(opened)]
    assert ascending == sorted(ascending)
    assert len(set(ascending)) == 3
    opened.press("Enter")
    assert [rank(severity) for _, severity in shown(opened)] == sorted(ascending, reverse=True)
    heads = "[...document.querySelectorAll('#findings-table thead th')].map((head) => head.getAttribute('aria-sort'))"
    assert opened.run(heads) == [None, "descending", None, None, None, None, None]


def test_numbers_sort_by_size_and_what_has_none_comes_last(browser, tmp_path):
    cells = [("a", "9"), ("b", "10"), ("c", "-"), ("d", "1,000")]
    rows = [(name, Cell(text, None if text == "-" else float(text.replace(",", "")))) for name, text in cells]
    path = tmp_path / "page.html"
    text = table("numbers", [Column("name"), Column("n", "number")], rows, "t")
    path.write_text(
        render("numbers", join(), [Section("s", "numbers", join(filters("t", [], "rows"), text))]), encoding="utf-8"
    )
    browser.open(path)
    order = "[...document.querySelectorAll('tbody th')].map((cell) => cell.textContent).join('')"
    sort = "document.querySelectorAll('thead button')[1].click()"
    orders = []
    for _ in range(2):
        browser.run(sort)
        orders.append(browser.run(order))
    assert orders == ["abdc", "dbac"]


def test_pictures_enlarge_in_a_dialog_that_the_keyboard_leaves(opened):
    opened.run("document.querySelector('button.zoom').focus()")
    opened.press("Enter")
    assert opened.run("document.querySelector('dialog').open")
    assert opened.run("document.activeElement.textContent") == "Close"
    assert opened.run("document.querySelector('dialog').getAttribute('aria-label')")
    opened.press("Enter")
    assert not opened.run("document.querySelector('dialog').open")
    assert opened.run("document.activeElement.className") == "zoom"


def test_pairs_are_side_by_side(opened):
    lefts = opened.run(
        "[...document.querySelector('#pairs .pair').querySelectorAll('img')].map((i) => i.getBoundingClientRect().x)"
    )
    tops = opened.run(
        "[...document.querySelector('#pairs .pair').querySelectorAll('img')].map((i) => i.getBoundingClientRect().y)"
    )
    assert lefts[0] < lefts[1]
    assert tops[0] == tops[1]


# Of every text: its colour and the background behind it, as the browser computes them.
COLOURS = """(() => {
  const pairs = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const clear = 'rgba(0, 0, 0, 0)';
    let behind = element, back = clear;
    for (; behind && back === clear; behind = behind.parentElement) back = getComputedStyle(behind).backgroundColor;
    const style = getComputedStyle(element);
    pairs.add(`${element.namespaceURI.includes('svg') ? style.fill : style.color}/${back}`);
  }
  return [...pairs];
})()"""


def contrast(one, other):
    """Return the contrast ratio of two colours (WCAG 2.1)."""
    parts = [np.array([int(number) for number in re.findall(r"\d+", colour)[:3]]) / 255 for colour in (one, other)]
    linear = [np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) for part in parts]
    dark, light = sorted(float(part @ [0.2126, 0.7152, 0.0722]) for part in linear)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("how", ["system", "switch"])
def test_light_and_dark_are_readable(opened, how):
    backs = set()
    for scheme in ("light", "dark"):
        opened.prefer(scheme if how == "system" else {"light": "dark", "dark": "light"}[scheme])
        if how == "switch":
            opened.run(
                f"(() => {{ const field = document.getElementById('theme'); field.value = '{scheme}';"
                "field.dispatchEvent(new Event('change')); })()"
            )
        pairs = [pair.split("/") for pair in opened.run(COLOURS)]
        assert len(pairs) >= 5
        assert min(contrast(ink, back) for ink, back in pairs) >= 4.5
        backs.add(opened.run("getComputedStyle(document.body).backgroundColor"))
    assert len(backs) == 2
    opened.prefer("light")


def test_a_telephone_shows_it_without_scrolling_sideways(opened):
    opened.resize(390, 800)
    assert opened.run("document.documentElement.scrollWidth <= innerWidth")
    opened.resize(1280, 900)


def test_the_keyboard_reaches_the_content_first(opened):
    opened.press("Tab")
    assert opened.run("document.activeElement.textContent") == "Skip to the content"
    assert opened.run("document.activeElement.getBoundingClientRect().left") >= 0


def test_the_command_writes_the_page(tmp_path, browser):
    main(["sample", TASK, "--out", str(tmp_path / "data"), "--size", "6"])
    path = tmp_path / "page.html"
    assert main(["check", TASK, str(tmp_path / "data"), "--no-cache", "--html", str(path)]) == 0
    browser.open(path)
    assert browser.complaints == []
    assert browser.run("document.querySelector('h1').textContent") == f"Check of {TASK}"
