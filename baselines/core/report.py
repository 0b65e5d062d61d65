"""Scores and task cards as a person reads them: tables on a terminal, the same as plain text elsewhere."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from baselines.core.results import Number, Scores
from baselines.core.tasks import TaskCard, all_tasks

PLAIN_WIDTH = 200  # columns where there is no terminal to fit into
NOTHING = "-"


def make_console(file: TextIO | None = None) -> Console:
    """Return a console that prints text as it is, without markup, and breaks lines on a terminal alone.

    Args:
        file: Where to print; by default standard output.
    """
    console = Console(file=file, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def scores_table(scores: Scores) -> RenderableType:
    """Arrange scores: the metrics with their intervals, the primary one first; the classes; what is undefined; warnings."""
    by_class = {f"{column}.{name}" for name, numbers in scores.per_class.items() for column in numbers}
    names = sorted(scores.metrics.keys() - by_class, key=[scores.primary, *scores.metrics].index)
    metrics = _table("metric")
    metrics.add_column("score", justify="right")
    metrics.add_column("95 % interval", justify="right")
    for name in names:
        style = "bold" if name == scores.primary else ""
        metrics.add_row(
            *_row(name, format_number(scores.metrics[name]), format_interval(scores.intervals.get(name))), style=style
        )
    parts: list[RenderableType] = [Text(f"{scores.task}: {_counts(scores.n)}"), metrics]
    if scores.per_class:
        parts.append(_class_table(scores))
    parts += [Text(f"undefined: {line}") for line in _undefined(scores)]
    parts += [Text(f"warning: {line}") for line in scores.warnings]
    parts.append(Text(scores.signature, style="dim", overflow="fold"))
    return Group(*parts)


def _class_table(scores: Scores) -> Table:
    columns = dict.fromkeys(column for numbers in scores.per_class.values() for column in numbers)
    has_intervals = {column for column in columns if any(f"{column}.{name}" in scores.intervals for name in scores.per_class)}
    table = _table("class")
    for column in columns:
        table.add_column(column, justify="right")
        if column in has_intervals:
            table.add_column("95 % interval", justify="right")
    for name, numbers in scores.per_class.items():
        cells = [name]
        for column in columns:
            cells.append(format_number(numbers.get(column)))
            if column in has_intervals:
                cells.append(format_interval(scores.intervals.get(f"{column}.{name}")))
        table.add_row(*_row(*cells))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column)
    return table


def _row(*cells: str) -> Iterable[Text]:
    return (Text(cell) for cell in cells)


def format_interval(interval: tuple[float, float] | None) -> str:
    """Return an interval as text, a dash where there is none.

    >>> format_interval((0.25, 0.5)), format_interval(None)
    ('0.2500 to 0.5000', '-')
    """
    return NOTHING if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def cells_table(head: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Sequence[str]) -> Table:
    """Arrange cells under a head; columns that are not text are set flush right."""
    table = _table()
    for name in head:
        table.add_column(name, justify="left" if name in text_columns else "right")
    for row in rows:
        table.add_row(*_row(*row))
    return table


def as_text(renderable: RenderableType) -> str:
    """Return what the console would print to a file."""
    buffer = io.StringIO()
    make_console(buffer).print(renderable)
    return buffer.getvalue()


def format_number(value: Number) -> str:
    """Return a count as it is, a score rounded to four decimals, and a dash for what is undefined.

    >>> format_number(12), format_number(0.66666), format_number(None)
    ('12', '0.6667', '-')
    """
    if value is None:
        return NOTHING
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _counts(n: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in n.items())


def _undefined(scores: Scores) -> list[str]:
    """Return a line for each reason, with the metrics it concerns."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in scores.undefined.items():
        by_reason[reason].append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def tasks_table() -> RenderableType:
    """Arrange all tasks: what each predicts, its primary metric and what works today."""
    table = _table("task", "predicts", "baseline", "primary metric", "state")
    for card in all_tasks().values():
        table.add_row(*_row(card.id, card.predicts, card.baseline, card.primary.name, card.state))
    states = "baseline: trains and scores; scorer: scores runs; planned: neither yet. `imageclef tasks TASK` tells more."
    return Group(table, Text(states))


def card_text(card: TaskCard, example_run: str | None) -> RenderableType:
    """Arrange a task's card: what goes in, the run file, the metrics.

    Args:
        card: The card.
        example_run: The text of a valid run, where the task has a run format yet.
    """
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("state", card.state),
        ("predicts", card.predicts),
        ("baseline", card.baseline),
        ("version", card.version),
        ("splits", ", ".join(card.splits)),
        ("unit", f"{card.unit} (intervals resample these)"),
        ("classes", ", ".join(f"{label} {name}" for label, name in card.classes.items()) or NOTHING),
        ("run file", card.run_file),
    ):
        facts.add_row(*_row(name, value))
    metrics = _table("metric", "says", "better")
    for metric in card.metrics:
        metrics.add_row(*_row(metric.name, metric.description, _better(metric.higher_is_better)))
    for metric in card.class_metrics:
        metrics.add_row(*_row(f"{metric.name}.<class>", metric.description, _better(metric.higher_is_better)))
    parts: list[RenderableType] = [Text(card.id, style="bold"), facts, metrics]
    if card.files:
        parts += [Text("files as distributed, below the data root:"), *_indented(card.files), Text()]
    if example_run is not None:
        ids = " and ".join(card.example_ids)
        parts += [Text(f"a valid run, for {card.unit}s {ids}:"), *_indented(example_run.splitlines())]
    return Group(*parts)


def _better(higher_is_better: bool) -> str:
    return "higher" if higher_is_better else "lower"


def _indented(lines: Sequence[str]) -> list[Text]:
    return [Text(f"  {line}", overflow="fold") for line in lines]
