"""``imageclef report RUN_DIR --html``: a run as one page for people who want to know what the model does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from baselines.core.charts import curves, intervals
from baselines.core.config import flatten
from baselines.core.findings import printable
from baselines.core.images import MAX_PIXELS
from baselines.core.page import (
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
    gallery,
    join,
    more,
    preformatted,
    render,
    table,
    within_bytes,
)
from baselines.core.paths import CONFIG, LOG
from baselines.core.report import format_interval, format_number
from baselines.core.results import Scores
from baselines.core.run_report import RunFolder, state_line
from baselines.core.sweeps import number_of

SHOWN = 6  # best samples, and worst
LISTED = 25  # best samples, and worst, in the table
CHARTS = 40
CLASSES_CHARTED = 60
PICTURE_SIDE = 900  # of pictures of a run, which hold text
_SAMPLE_PICTURE = re.compile(r"\d{3,}-")  # how the names begin of pictures of single samples


def run_page(run: RunFolder) -> str:
    """Return the page of a run.

    Args:
        run: Its folder. Whatever is in it may be anything: all of it is escaped.
    """
    album = Album()
    parts = [
        ("scores", "Scores", join(*map(_scores, run.scores)) if run.scores else element("p", "There are no scores yet.")),
        ("curves", "Training", _curves(run)),
        ("samples", "Best and worst samples", _samples(run, album)),
        ("pictures", "Pictures of the run", _pictures(run, album)),
        ("configuration", "Configuration", _configuration(run)),
        ("provenance", "Versions and signature", _provenance(run)),
        ("log", "End of the log", preformatted(run.text(LOG)) if run.text(LOG) else element("p", "There is no log.")),
    ]
    if run.problems:
        problems = element("ul", (element("li", cut(problem)) for problem in run.problems))
        parts.append(("problems", "What could not be shown", problems))
    return render(f"Run {cut(run.folder.resolve().name, 120)}", _lead(run), [Section(*part) for part in parts])


def _lead(run: RunFolder) -> Markup:
    status = run.status
    first = run.scores[0] if run.scores else None
    state = str(status.get("state"))
    kind = {"finished": "info", "failed": "error"}.get(state, "warning")
    badges = [element("li", state, class_=kind)]
    if first is not None:
        interval = first.intervals.get(first.primary)
        told = f"{first.primary} {format_number(first.score)}" + (f" ({format_interval(interval)})" if interval else "")
        badges.append(element("li", told))
    seconds = number_of(status, "seconds")
    memory = number_of(status, "peak_gpu_memory") or number_of(status, "peak_memory")
    about = facts(
        (
            ("task", first.task if first else _text(run.card.get("task"))),
            ("folder", cut(str(run.folder))),
            ("progress", cut(state_line(status))),
            ("time of all attempts", f"{seconds:,.0f} s" if seconds else None),
            ("most memory", f"{memory / 2**30:.1f} GiB" if memory else None),
            ("last change", _text(status.get("updated"))),
        )
    )
    return join(element("ul", badges, class_="badges"), about)


def _text(value: Any) -> str | None:
    return None if value is None else cut(str(value))


# ---------------------------------------------------------------------------------------------------------------- scores


def _scores(scores: Scores) -> Markup:
    by_class = {f"{column}.{name}" for name, numbers in scores.per_class.items() for column in numbers}
    names = sorted(scores.metrics.keys() - by_class, key=[scores.primary, *scores.metrics].index)
    columns = (Column("metric"), Column("score", "number"), Column("95 % interval", "rank"))
    rows = []
    for name in names:
        interval, value = scores.intervals.get(name), scores.metrics[name]
        rows.append((name, Cell(format_number(value), value), Cell(format_interval(interval), interval and interval[0])))
    counts = ", ".join(f"{count} {what}" for what, count in scores.n.items())
    told = [f"undefined: {name}: {reason}" for name, reason in scores.undefined.items() if name not in by_class]
    told += [f"warning: {line}" for line in scores.warnings]
    defined = [(name, value, scores.intervals.get(name)) for name in names if (value := scores.metrics[name]) is not None]
    return join(
        element("h3", f"{scores.task}: {counts}"),
        table("Metrics, the primary one first", columns, rows),
        intervals(f"Metrics of {scores.task} with 95 % intervals", defined) if defined else None,
        element("ul", (element("li", cut(line)) for line in told)) if told else None,
        _classes(scores) if scores.per_class else None,
    )


def _classes(scores: Scores) -> Markup:
    """Show the numbers of each class: a table of all, a chart of the first number."""
    names = list(dict.fromkeys(name for numbers in scores.per_class.values() for name in numbers))
    columns = [Column("class"), *(Column(name, "number") for name in names)]
    rows = within_bytes(
        [cut(label), *(Cell(format_number(numbers.get(name)), numbers.get(name)) for name in names)]
        for label, numbers in scores.per_class.items()
    )
    first = names[0]
    charted = [
        (label, float(value), scores.intervals.get(f"{first}.{label}"))
        for label, numbers in scores.per_class.items()
        if (value := numbers.get(first)) is not None
    ]
    charted.sort(key=lambda each: -each[1])
    title = f"{first} by class" + (f", the {CLASSES_CHARTED} highest" if len(charted) > CLASSES_CHARTED else "")
    return join(
        element("h3", f"{scores.task} by class"),
        table(f"Numbers of each class of {scores.task}", columns, rows),
        intervals(title, charted[:CLASSES_CHARTED]) if charted else None,
    )


def _curves(run: RunFolder) -> Markup:
    if not run.curves:
        return element("p", "There are no numbers of the training.")
    drawn = (curves(cut(name, 60), _shortened(parts)) for name, parts in islice(run.curves.items(), CHARTS))
    left_out = len(run.curves) - CHARTS
    note = element("p", f"{left_out} more are in metrics.csv.", class_="note") if left_out > 0 else None
    return join(element("div", drawn, class_="charts"), note)


def _shortened(parts: dict[str, list[tuple[float, float]]]) -> dict[str, Sequence[tuple[float, float]]]:
    return {cut(name, 40): points for name, points in islice(parts.items(), 8)}


# --------------------------------------------------------------------------------------------------------------- samples


def _samples(run: RunFolder, album: Album) -> Markup:
    ranking = run.evaluated.ranking() if run.evaluated else None
    if ranking is None:
        return element("p", "The metrics are not defined for single samples, or the run can't be scored.")
    ordered = ranking.best_first
    worst = ordered[::-1][: min(SHOWN, len(ordered) // 2)]
    best = ordered[: min(SHOWN, len(ordered) - len(worst))]
    samples, split = run.samples({name for name, _ in (*best, *worst)})
    found = {name: _sample_figure(run, name, ranking.metric, value, samples, split, album) for name, value in (*best, *worst)}
    columns = (Column("id"), Column(ranking.metric, "number"))
    listed = dict.fromkeys((*ordered[:LISTED], *ordered[-LISTED:]))
    rows = [(cut(name), Cell(format_number(value), value)) for name, value in listed]
    text = (
        f"Samples are ranked by {ranking.metric} of each alone: what the set would score if it held this sample only. "
        "Pictures show the data as they are now, and the run file's predictions."
    )
    return join(
        element("p", text),
        *(
            join(element("h3", title), gallery([found[name] for name, _ in part], wide=True))
            for title, part in (("Worst", worst), ("Best", best))
        ),
        more(f"Values of the {LISTED} best and worst", table("Values of single samples", columns, rows)),
    )


def _sample_figure(
    run: RunFolder, name: str, metric: str, value: float, samples: dict[str, Any], split: Any, album: Album
) -> Markup:
    told = f"{metric} {value:.4f}"
    picture = _draw(run, name, samples, split) or _drawn_before(run, name)
    embedded = album.add(picture, f"{cut(name, 80)}: {told}", PICTURE_SIDE) if picture else None
    return figure(embedded or element("p", "no picture", class_="note"), (element("strong", cut(name, 80)), f" {told}"))


def _draw(run: RunFolder, name: str, samples: dict[str, Any], split: Any) -> Image.Image | None:
    """Draw a prediction beside the truth as the task does; ``None`` where it can't."""
    evaluated = run.evaluated
    if evaluated is None or name not in samples or name not in evaluated.predictions:
        return None
    draw = getattr(evaluated.card.module("score"), "draw", None)
    if draw is None:
        return None
    try:
        drawn: Image.Image = draw(samples[name], evaluated.predictions[name], _class_names(run, split))
    except (OSError, ValueError, KeyError, Image.DecompressionBombError):
        return None
    return drawn


def _class_names(run: RunFolder, split: Any) -> dict[int, str]:
    classes = run.card.get("classes")
    if isinstance(classes, dict):
        return {int(label): str(name) for label, name in classes.items() if str(label).isdecimal()}
    return dict(getattr(split.truth_set, "classes", {}))


def _drawn_before(run: RunFolder, name: str) -> Image.Image | None:
    """Return the picture of a sample that the training has left in the folder."""
    ending = "-" + re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80] + ".png"
    return next((_open(path) for path in run.pictures() if path.name.endswith(ending)), None)


def _open(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as image:
            return None if image.width * image.height > MAX_PIXELS else image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _pictures(run: RunFolder, album: Album) -> Markup:
    """Show the pictures of the whole run, such as a confusion matrix, then those of single samples."""
    ordered = sorted(run.pictures(), key=lambda path: (bool(_SAMPLE_PICTURE.match(path.name)), path.name))
    figures = []
    for path in ordered[:24]:
        picture = _open(path)
        name = printable(path.stem, 80)
        embedded = album.add(picture, name, PICTURE_SIDE) if picture else None
        if embedded:
            figures.append(figure(embedded, name))
    if not figures:
        return element("p", "There are no pictures.")
    return join(gallery(figures, wide=True), album.note())


# ---------------------------------------------------------------------------------------------------------------- origin


def _configuration(run: RunFolder) -> Markup:
    config = run.card.get("config")
    if isinstance(config, dict):
        rows = within_bytes((cut(key), cut(str(value))) for key, value in sorted(flatten(config).items()))
        return table("Configuration of the run", (Column("key"), Column("value")), rows)
    text = run.text(CONFIG)
    return preformatted(text) if text else element("p", "There is no configuration.")


def _provenance(run: RunFolder) -> Markup:
    pairs: list[tuple[str, Content]] = list(_versions(run))
    pairs += [(f"signature of {each.task}", element("span", each.signature, class_="path")) for each in run.scores]
    return facts(pairs) if pairs else element("p", "Nothing is known of them yet.")


def _versions(run: RunFolder) -> Iterator[tuple[str, Content]]:
    versions = run.card.get("versions")
    for name, value in islice(versions.items(), 40) if isinstance(versions, dict) else ():
        yield cut(str(name), 60), cut(str(value), 60)
    for name in ("git", "data_hash", "files_hash", "task_version", "device", "precision"):
        if run.card.get(name) not in (None, ""):
            yield name, cut(str(run.card[name]), 120)
