"""``imageclef check --html``: what a check found, as one page for people who look at the data together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from baselines.core import pictures
from baselines.core.charts import bars
from baselines.core.check import Outcome
from baselines.core.checks import Distribution
from baselines.core.findings import Finding, Severity, worst_severity
from baselines.core.page import (
    PICTURE_BYTES,
    PICTURE_SIDE,
    Album,
    Cell,
    Column,
    Content,
    Markup,
    Section,
    cut,
    element,
    facts,
    figure,
    filters,
    gallery,
    join,
    render,
    table,
    within_bytes,
)
from baselines.core.report import format_number

EXAMPLES = 3  # findings of a code in the overview
LISTED_PER_CODE = 200  # findings of a code in the table
PICTURES_PER_CODE = 4
PICTURES = 48
PAIRS = 30
ORDER = list(Severity)
FINDINGS = "findings-table"


def check_page(outcome: Outcome) -> str:
    """Return the page of a check.

    Args:
        outcome: What the check found. Ids, class names and texts of a data set may be anything: all of them are escaped.
    """
    card = outcome.data_set.card
    album, beside = Album(PICTURE_BYTES // 2), Album(PICTURE_BYTES // 2)
    parts = (
        ("codes", "What was found", _codes(outcome)),
        ("findings", "Findings", _findings(outcome)),
        ("pictures", "Pictures of findings", _pictures(outcome, album)),
        ("pairs", "Images that are alike", _pairs(outcome, beside)),
        ("trivial", "Scores of the trivial run", _trivial(outcome)),
        ("distributions", "Distributions", _distributions(outcome)),
    )
    return render(f"Check of {card.id}", _lead(outcome), [Section(*part) for part in parts])


def _lead(outcome: Outcome) -> Markup:
    badges = (
        element("li", f"{count} {severity}{'s' * (count != 1 and severity != 'info')}", class_=severity)
        for severity, count in outcome.counts.items()
    )
    sizes = ", ".join(f"{name} {len(split.samples)}" for name, split in outcome.data_set.splits.items())
    accepted = sum(outcome.accepted.values())
    about = facts(
        (
            ("data root", cut(str(outcome.data_set.root))),
            (f"{outcome.data_set.card.unit}s by split", sizes),
            ("image files", str(len(outcome.data_set.images))),
            ("accepted before", str(accepted) if accepted else None),
        )
    )
    return join(element("ul", badges, class_="badges"), about)


def _severity(severity: Severity) -> Cell:
    return Cell(element("span", severity.value, class_=f"severity {severity.value}"), ORDER.index(severity))


def _codes(outcome: Outcome) -> Markup:
    by_code = outcome.findings.by_code()
    if not by_code:
        return element("p", "Nothing was found.")
    columns = (Column("code"), Column("severity", "rank"), Column("count", "number"), Column("what"), Column("such as"))
    rows = []
    for code, findings in by_code.items():
        link = element(
            "a", code, href="#findings", class_="code", data_choose=code, data_table=FINDINGS, data_column=0
        )  # with the script, it also filters the table that it leads to
        count = outcome.findings.counts[code]
        examples = join(*(element("div", _subject(outcome, each)) for each in findings[:EXAMPLES]))
        rows.append((link, _severity(worst_severity(findings)), Cell(f"{count:,}", count), outcome.meaning(code), examples))
    return table("Findings by code", columns, rows)


def _place(outcome: Outcome, finding: Finding) -> str:
    """Return file and line of a finding, as seen from the data root."""
    file = finding.file.removeprefix(f"{outcome.data_set.root}/")
    return cut(":".join(str(part) for part in (file, finding.line) if part not in ("", None)))


def _subject(outcome: Outcome, finding: Finding) -> str:
    """Return what a finding is about, and what was seen."""
    subject = finding.id or _place(outcome, finding)
    return cut(": ".join(part for part in (subject, finding.value) if part), 120)


def _findings(outcome: Outcome) -> Markup:
    if not outcome.findings:
        return element("p", "Nothing was found.")
    columns = [Column("code"), Column("severity", "rank"), *map(Column, ("id", "place", "what", "seen", "hint"))]
    rows = within_bytes(_rows(outcome))
    codes = list(outcome.findings.by_code())
    severities = [each.value for each in Severity if outcome.findings.count(each)]
    form = filters(FINDINGS, [(1, "Severity", severities), (0, "Code", codes)], "findings")
    left_out = len(outcome.findings) - len(rows)
    note = (
        f"{left_out:,} of {len(outcome.findings):,} findings are not listed here: at most {LISTED_PER_CODE} of a code are. The "
        "counts above are of all of them; --json writes more."
    )
    told = element("p", note, class_="note") if left_out else None
    return join(told, form, table("Findings, the worst first", columns, rows, FINDINGS))


def _rows(outcome: Outcome) -> Iterator[Sequence[Content | Cell]]:
    for code, findings in outcome.findings.by_code().items():
        for finding in findings[:LISTED_PER_CODE]:
            texts = (finding.id, _place(outcome, finding), finding.message, finding.value, finding.hint)
            yield (element("span", code, class_="code"), _severity(finding.severity), *map(cut, texts))


# -------------------------------------------------------------------------------------------------------------- pictures


@dataclass(frozen=True, slots=True)
class _Shown:
    """A sample with the findings of one code in it."""

    split: str
    sample: Any
    findings: tuple[Finding, ...]


def _pictures(outcome: Outcome, album: Album) -> Markup:
    figures = [made for shown in islice(_to_show(outcome), PICTURES) if (made := _figure(outcome, shown, album))]
    if not figures:
        return element("p", "No finding is about a single image that can be drawn.")
    note = (
        f"At most {PICTURES_PER_CODE} images of a code, the worst codes first. Objects that a finding names are marked, in "
        "black or by a thicker line."
    )
    return join(element("p", note), gallery(figures), album.note())


def _to_show(outcome: Outcome) -> Iterator[_Shown]:
    """Yield the samples to draw, the worst first, some of each code."""
    samples = _samples(outcome)
    for of_code in outcome.findings.by_code().values():
        groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in of_code:
            name = finding.file if finding.file in samples else finding.id
            if name in samples and not finding.other:
                split, sample = samples[name]
                groups[split, sample.id].append(finding)
        for (_, name), findings in islice(groups.items(), PICTURES_PER_CODE):
            yield _Shown(*samples[name], tuple(findings))


def _samples(outcome: Outcome) -> dict[str, tuple[str, Any]]:
    """Return the samples, with their splits, by id and by the file of the image or the CT."""
    found: dict[str, tuple[str, Any]] = {}
    for split, sample in outcome.data_set.samples():
        found.setdefault(sample.id, (split, sample))
        if file := getattr(sample, "image", None) or getattr(sample, "ct", None):
            found[str(file)] = split, sample
    return found


def _figure(outcome: Outcome, shown: _Shown, album: Album) -> Markup | None:
    marked = frozenset(place for finding in shown.findings for place in finding.objects)
    picture = _draw(outcome, shown.split, shown.sample, marked)
    if picture is None:
        return None
    first = shown.findings[0]
    embedded = album.add(picture, cut(f"{shown.sample.id} of {shown.split}: {first.message}", 160))
    if embedded is None:
        return None
    others = len(shown.findings) - 1
    caption = (
        element("span", first.code, class_=f"code severity {first.severity.value}"),
        f" {cut(shown.sample.id, 80)} ({shown.split}): {first.message}",
        f" (saw {cut(first.value, 100)})" if first.value else None,
        f"; {others} more of this code in it" if others else None,
    )
    return figure(embedded, caption)


def _draw(outcome: Outcome, split: str, sample: Any, marked: frozenset[int]) -> Image.Image | None:
    """Draw a sample as its task does, else its image; ``None`` where neither can be done."""
    data_set = outcome.data_set
    facts_ = data_set.image_of(sample)
    if facts_ is not None and facts_.problem:
        return None
    draw = data_set.card.module("checks").CHECKS.draw
    try:
        if draw is not None:
            drawn: Image.Image | None = draw(data_set.splits[split], sample, marked)
            return drawn
        return None if facts_ is None else _thumbnail(sample.image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _draw_alone(outcome: Outcome, split: str, sample: Any) -> Image.Image | None:
    """Draw a sample's image as it is; a sample without one, such as a CT, as its task does."""
    facts_ = outcome.data_set.image_of(sample)
    if facts_ is None:
        return _draw(outcome, split, sample, frozenset())
    try:
        return None if facts_.problem else _thumbnail(sample.image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _thumbnail(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return pictures.shrink(image, PICTURE_SIDE)


def _pairs(outcome: Outcome, album: Album) -> Markup:
    """Show the two images of each finding about two, the worst first."""
    samples = _samples(outcome)
    alike = [finding for finding in outcome.findings if finding.other]
    alike.sort(key=lambda finding: ORDER.index(finding.severity))
    if not alike:
        return element("p", "No two images are alike.")
    figures = [made for finding in alike[:PAIRS] if (made := _pair(outcome, finding, samples, album))]
    kept = outcome.findings.by_code()
    count = len(alike) + sum(outcome.findings.counts[code] - len(kept[code]) for code in {finding.code for finding in alike})
    shown = element("p", f"{len(figures)} of {count:,} pairs are shown, those of two splits first.")
    return join(shown, gallery(figures, wide=True), album.note())


def _pair(outcome: Outcome, finding: Finding, samples: dict[str, tuple[str, Any]], album: Album) -> Markup | None:
    embedded = []
    for name in (finding.file, finding.other):
        if name not in samples:
            return None
        split, sample = samples[name]
        picture = _draw_alone(outcome, split, sample)
        if picture is None:
            return None
        embedded.append(album.add(picture, cut(f"{sample.id} of {split}", 120)))
    if None in embedded:
        return None
    (split, sample), (other_split, other) = samples[finding.file], samples[finding.other]
    caption = (
        element("span", finding.code, class_=f"code severity {finding.severity.value}"),
        f" {cut(sample.id, 80)} ({split}) and {cut(other.id, 80)} ({other_split}): {finding.message}",
        f"; {cut(finding.value, 100)}" if finding.value else None,
    )
    return figure(element("div", embedded, class_="pair"), caption)


# --------------------------------------------------------------------------------------------------------------- numbers


def _trivial(outcome: Outcome) -> Markup:
    if not outcome.trivial:
        return element("p", "There is no split with a truth beside a training set: nothing can be scored.")
    primary = outcome.data_set.card.primary.name
    names = list(dict.fromkeys(name for metrics in outcome.trivial.values() for name in metrics))
    names.sort(key=lambda name: name != primary)
    columns = [Column("metric"), *(Column(split, "number") for split in outcome.trivial)]
    rows: Iterable[list[Content | Cell]] = (
        [name, *(Cell(format_number(each.get(name)), each.get(name)) for each in outcome.trivial.values())] for name in names
    )
    text = (
        "The trivial run predicts for every sample what is most frequent in training, without looking at it. A high score says "
        f"that a split is too easy, or broken. The primary metric is {primary}."
    )
    return join(element("p", text), table("Metrics of the trivial run by split", columns, rows))


def _distributions(outcome: Outcome) -> Markup:
    if not outcome.distributions:
        return element("p", "This task has no distributions.")
    return element("div", map(bars, _drawable(outcome)), class_="charts")


def _drawable(outcome: Outcome) -> Iterator[Distribution]:
    """Yield the distributions with something in them, their labels cut, without the empty bars at either end."""
    for each in outcome.distributions:
        used = [place for place, values in enumerate(zip(*each.series.values(), strict=True)) if any(values)]
        if used:
            kept = slice(used[0], used[-1] + 1)
            series = {name: values[kept] for name, values in each.series.items()}
            yield replace(each, labels=tuple(cut(label, 100) for label in each.labels[kept]), series=series)
