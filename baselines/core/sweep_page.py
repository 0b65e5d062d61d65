"""``imageclef report SWEEP_DIR --html``: the runs below a folder as one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from baselines.core.charts import parallel, scatter
from baselines.core.page import Cell, Column, Content, Markup, Section, cut, element, facts, join, render, table, within_bytes
from baselines.core.report import format_interval, format_number
from baselines.core.sweeps import Row, Run, left_out, summarise, varying_keys
from baselines.core.tasks import get_task

SCATTERS = 12  # keys with a chart of their own
AXES = 8  # keys among the parallel coordinates
POINTS = 2000  # runs in a chart


def sweep_page(folder: Path, runs: Sequence[Run]) -> str:
    """Return the page of a sweep.

    Args:
        folder: The folder.
        runs: The runs below it.
    """
    rows = summarise(runs)
    tasks = list(dict.fromkeys(row.task for row in rows))
    sections = [Section(task, task, _task([row for row in rows if row.task == task])) for task in tasks]
    if uncounted := left_out(runs):
        sections.append(Section("uncounted", "Runs that are not counted", _uncounted(folder, uncounted)))
    finished = sum(run.scores is not None for run in runs)
    lead = facts(
        (
            ("folder", cut(str(folder))),
            ("finished runs", f"{finished} of {len(runs)}"),
            ("hours of all runs", f"{sum(run.seconds for run in runs) / 3600:.2f}"),
        )
    )
    return render(f"Runs in {cut(folder.resolve().name, 120)}", lead, sections)


def _task(rows: Sequence[Row]) -> Markup:
    runs = [run for row in rows for run in row.runs]
    keys = varying_keys(runs)
    return join(_best(rows), _table(rows, keys), *_charts(rows, keys))


def _best(rows: Sequence[Row]) -> Markup | None:
    best = next((row for row in rows if row.is_best), None)
    if best is None:
        return None
    interval = f", 95 % interval {format_interval(best.interval)}" if best.interval else ""
    told = f"The best mean {best.metric} is {format_number(best.mean)}{interval}: {best.name}."
    return element("p", cut(told, 600))


def _table(rows: Sequence[Row], keys: Sequence[str]) -> Markup:
    metric = rows[0].metric
    columns = [
        Column("place", "number"),
        Column(f"mean {metric}", "number"),
        Column("95 % interval", "rank"),
        Column("std", "number"),
        Column("runs", "number"),
        *(Column(key, "rank" if _are_numbers(rows, key) else "text") for key in keys or ["configuration"]),
        Column("hours", "number"),
        Column("GPU hours", "number"),
        Column("most memory", "number"),
    ]
    kept = within_bytes(_cells(place, row, keys) for place, row in enumerate(rows, start=1))
    note = element("p", f"{len(rows) - len(kept)} more configurations are not listed.", class_="note")
    return join(
        table("A row for each configuration, over its seeds; the best first", columns, kept),
        note if len(kept) < len(rows) else None,
    )


def _are_numbers(rows: Sequence[Row], key: str) -> bool:
    return all(isinstance(row.runs[0].config.get(key), int | float) for row in rows)


def _cells(place: int, row: Row, keys: Sequence[str]) -> Sequence[Content | Cell]:
    interval = row.interval
    hours, gpu_hours = (sum(times) / 3600 for times in zip(*((run.seconds, run.gpu_seconds) for run in row.runs), strict=True))
    memory = max(run.peak_memory for run in row.runs) / 2**30
    return [
        Cell(place, place),
        Cell(element("strong", format_number(row.mean)) if row.is_best else format_number(row.mean), row.mean),
        Cell(format_interval(interval), interval and interval[0]),
        Cell(format_number(row.deviation), row.deviation),
        Cell(len(row.runs), len(row.runs)),
        *(_value(row.runs[0].config.get(key)) for key in keys),
        *(() if keys else (row.name,)),
        Cell(f"{hours:.2f}", hours),
        Cell(f"{gpu_hours:.2f}", gpu_hours),
        Cell(f"{memory:.1f} GiB", memory),
    ]


def _value(value: Any) -> Content | Cell:
    if isinstance(value, int | float):
        return Cell(str(value), float(value))
    return cut(str(value), 80)


def _charts(rows: Sequence[Row], keys: Sequence[str]) -> Iterator[Markup]:
    """Yield charts of single runs, so that the spread over seeds shows."""
    scored = [(run, run.scores.score) for row in rows for run in row.runs if run.scores and run.scores.score is not None]
    if not keys or len(scored) < 2:
        return
    metric = get_task(rows[0].task).primary
    scored.sort(key=lambda each: -each[1] if metric.higher_is_better else each[1])
    scored = scored[:POINTS]
    if len(keys) > 1:
        yield parallel(keys[:AXES], metric.name, [(run.config, score) for run, score in scored])
    drawn = [
        scatter(key, metric.name, [(run.config.get(key), score, _tip(run, keys, score)) for run, score in scored])
        for key in keys[:SCATTERS]
    ]
    yield element("div", drawn, class_="charts")
    if len(keys) > SCATTERS:
        yield element("p", f"{len(keys) - SCATTERS} more keys vary; the table has them.", class_="note")


def _tip(run: Run, keys: Sequence[str], score: float) -> str:
    values = ", ".join(f"{key}={run.config.get(key)}" for key in keys)
    return cut(f"{score:.4f}: {values}, seed={run.config.get('seed')}")


def _uncounted(folder: Path, uncounted: Sequence[tuple[Run, str]]) -> Markup:
    columns = (Column("run"), Column("why"), Column("hours", "number"))
    rows = within_bytes(
        (cut(str(run.folder.relative_to(folder))), cut(why), Cell(f"{run.seconds / 3600:.2f}", run.seconds))
        for run, why in uncounted
    )
    return table("Runs that are in no row above", columns, rows)
