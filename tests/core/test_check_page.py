"""The page of a check: its parts, what is escaped, and its size."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from baselines.core import check_page as page_module
from baselines.core.check import Outcome
from baselines.core.check_page import check_page
from baselines.core.checks import DataSet, Settings, histogram, tally
from baselines.core.findings import Finding, Findings, Severity
from baselines.core.images import examine_images
from baselines.core.page import Album
from baselines.core.pictures import draw_outlines, style_of
from baselines.core.tasks import get_task
from baselines.drawnui.checks import CHECKS
from baselines.drawnui.records import Sample, Split, Truth, TruthSet

HOSTILE = "<script>alert(1)</script>"
ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def picture(path, seed, size=(300, 200)):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)).resize(size).save(path)
    return path


@pytest.fixture
def outcome(tmp_path):
    """Return a check of four pictures, one of which can't be decoded, with two boxes each and hostile names."""
    names = (f"{HOSTILE.replace('/', '')}.png", "b.png", "c.png", "broken.png")
    samples = []
    for seed, name in enumerate(names):
        path = picture(tmp_path / "images" / name, seed)
        boxes = np.array([[10.0, 10, 100, 60], [50, 50, 250, 190]])
        samples.append(Sample(name, path, Truth(name, 300, 200, boxes, np.array([1, 2]))))
    samples[3].image.write_bytes(b"no picture")
    truth_set = TruthSet({sample.id: sample.truth for sample in samples}, {1: HOSTILE, 2: "image"})
    images = examine_images([sample.image for sample in samples], None, 1)
    split = Split("all", tuple(samples), truth_set)
    data_set = DataSet(get_task("drawnui-wireframe"), tmp_path, {"all": split}, images, Settings())
    first, second, _, broken = (str(sample.image) for sample in samples)
    findings = Findings(
        [
            Finding("DATA-FILE-UNREADABLE", ERROR, "can't be decoded", broken, value=HOSTILE),
            Finding("DATA-DUPLICATE-OBJECT", WARNING, "twice", first, id=samples[0].id, value="boxes 0 and 1", objects=(0, 1)),
            Finding("DATA-SPLIT-NEAR", WARNING, "alike", first, id=samples[0].id, value="b.png", other=second),
            Finding("DATA-COUNT", INFO, "the split has 4", str(tmp_path), id="all", value="4", hint=HOSTILE),
        ]
    )
    shown = (tally("items by class", {"all": Counter({HOSTILE: 3, "image": 1})}),)
    return Outcome(data_set, findings, CHECKS.codes, {"DATA-BOM": 2}, {"all": {"map50": 0.25, "recall50": None}}, shown)


def test_every_part_is_there_and_nothing_is_markup(outcome):
    text = check_page(outcome)
    for part in ("codes", "findings", "pictures", "pairs", "trivial", "distributions"):
        assert f'<section id="{part}"' in text
    assert text.count("<script>") == 1  # the page's own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "accepted before</dt><dd>2</dd>" in text
    assert '<td class="number" data-value="0.25">0.2500</td>' in text
    assert "1 error<" in text
    assert "2 warnings<" in text


def test_a_picture_is_drawn_for_what_can_be_drawn_and_pairs_have_two(outcome):
    text = check_page(outcome)
    drawn, pairs = (text.split(f'<section id="{part}"')[1].split("</section>")[0] for part in ("pictures", "pairs"))
    assert drawn.count("<img") == 1  # of the duplicate; what can't be decoded has none, and a pair has its own part
    assert "DATA-DUPLICATE-OBJECT" in drawn
    assert pairs.count("<img") == 2
    assert "1 of 1 pairs" in pairs


def test_marked_objects_are_drawn_otherwise(outcome):
    split = outcome.data_set.splits["all"]
    plain, marked = (CHECKS.draw(split, split.samples[1], each) for each in (frozenset(), frozenset({1})))
    changed = ImageChops.difference(plain, marked).getbbox()
    assert changed is not None
    assert marked.getpixel((250, 120)) == (17, 17, 17)
    assert plain.getpixel((250, 120)) == style_of(2).colour


def test_outlines_are_closed():
    page = draw_outlines(Image.new("RGB", (50, 50), "grey"), [np.array([[5, 5], [40, 5], [40, 40]])], [style_of(1)], [""])
    assert page.getpixel((22, 22)) == style_of(1).colour  # on the line from the last corner to the first


def test_ten_thousand_equal_findings_are_one_row_of_codes_and_a_few_of_findings(outcome):
    many = Findings(Finding("DATA-BOX-ASPECT", INFO, "odd", "a.json", line=line) for line in range(10_000))
    text = check_page(replace(outcome, findings=many))
    assert text.split('<section id="codes"')[1].split("</section>")[0].count("<tr>") == 2  # the head and a row
    assert text.count("a.json:") == page_module.LISTED_PER_CODE + page_module.EXAMPLES
    assert "9,800 of 10,000 findings are not listed here" in text
    assert '<td class="number" data-value="10000">10,000</td>' in text


def test_a_page_of_the_worst_data_set_stays_small(outcome, monkeypatch):
    monkeypatch.setattr(page_module, "PICTURES_PER_CODE", 100)
    worst = "&" * 1000
    codes = [f"DATA-{number}" for number in range(100)]
    findings = Findings(
        Finding(code, ERROR, worst, worst, id=worst, value=worst, hint=worst) for code in codes for _ in range(300)
    )
    shown = tuple(tally(worst, {"all": Counter({f"{worst}{number}": 1 for number in range(60)})}) for _ in range(8))
    text = check_page(replace(outcome, findings=findings, distributions=shown))
    assert len(text.encode()) < 10_000_000
    assert "findings are not listed here" in text


def test_pictures_stay_within_their_bytes(outcome, monkeypatch):
    monkeypatch.setattr(page_module, "Album", lambda _: Album(20_000))
    samples = outcome.data_set.splits["all"].samples
    findings = Findings(
        Finding(f"DATA-{code}", ERROR, "odd", str(sample.image), id=sample.id) for code in range(9) for sample in samples[:3]
    )
    text = check_page(replace(outcome, findings=findings))
    assert "more pictures are left out" in text
    assert sum(len(part) for part in text.split("data:image/webp;base64,")[1:]) < 60_000


def test_nothing_found_is_said(outcome):
    data_set = replace(outcome.data_set, splits={}, images={})
    text = check_page(Outcome(data_set, Findings(), {}, {}, {}, ()))
    assert text.count("Nothing was found.") == 2
    assert "No two images are alike." in text
    assert "nothing can be scored" in text


def test_images_that_vanish_meanwhile_are_left_out(outcome):
    for sample in outcome.data_set.splits["all"].samples:
        Path(sample.image).unlink()
    text = check_page(outcome)
    assert "<img" not in text.split('<section id="pictures"')[1].split("<script>")[0]


def test_empty_bars_at_the_ends_of_a_chart_are_left_out(outcome):
    shown = (histogram("sides", {"all": [25, 45]}, range(0, 100, 10)), histogram("nothing", {"all": []}, [0, 1]))
    text = check_page(replace(outcome, distributions=shown)).split('<section id="distributions"')[1]
    assert [label in text for label in ("10–20", "20–30", "30–40", "40–50", "50–60")] == [False, True, True, True, False]
    assert "nothing" not in text
