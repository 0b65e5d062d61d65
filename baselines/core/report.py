"""Scores and task cards as a person reads them: tables on a terminal, the same as plain text elsewhere."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from baselines.core.results import Number, Scores
from baselines.core.tasks import TaskCard, all_tasks

PLAIN_WIDTH = 100_000  # columns where there is no terminal to fit into: a line is never broken there
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


def draws_bars() -> bool:
    """Whether progress is a bar on standard error: a job's or a CI's is a file even where it pretends to be a terminal."""
    return sys.stderr.isatty() and not {"CI", "SLURM_JOB_ID"} & os.environ.keys()


def show(renderable: RenderableType, file: TextIO | None = None) -> None:
    """Print tables and text so that nothing is cut, however narrow the terminal: what can't be broken runs over its edge.

    Args:
        renderable: What :func:`scores_table` and the like return.
        file: Where to print; by default standard output.
    """
    console = make_console(file)
    options = console.options.update(width=PLAIN_WIDTH)
    tables = [part for part in getattr(renderable, "renderables", [renderable]) if isinstance(part, Table)]
    # Without their cells: what columns of prose hold can be broken anywhere, the others have their least width.
    bare = [Table(*(column.copy() for column in table.columns), box=table.box) for table in tables]
    console.width = max(console.width, *(Measurement.get(console, options, table).minimum for table in bare), 1)
    console.print(renderable)


def scores_table(scores: Scores) -> RenderableType:
    """Arrange scores: the metrics with their intervals, the primary one first; the classes; what is undefined; warnings."""
    by_class = {f"{column}.{name}" for name, numbers in scores.per_class.items() for column in numbers}
    names = sorted(scores.metrics.keys() - by_class, key=[scores.primary, *scores.metrics].index)
    rows = [(name, format_number(scores.metrics[name]), format_interval(scores.intervals.get(name))) for name in names]
    metrics = cells_table(("metric", "score", "95 % interval"), rows, whole=("metric",), bold=scores.primary)
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
    head = ["class"]
    for column in columns:
        head += [column, "95 % interval"] if column in has_intervals else [column]
    rows = []
    for name, numbers in scores.per_class.items():
        cells = [name]
        for column in columns:
            cells.append(format_number(numbers.get(column)))
            if column in has_intervals:
                cells.append(format_interval(scores.intervals.get(f"{column}.{name}")))
        rows.append(cells)
    return cells_table(head, rows, whole=("class",))


def format_interval(interval: tuple[float, float] | None) -> str:
    """Return an interval as text, a dash where there is none.

    >>> format_interval((0.25, 0.5)), format_interval(None)
    ('0.2500 to 0.5000', '-')
    """
    return NOTHING if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def cells_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    prose: Collection[str] = (),
    whole: Collection[str] = (),
    bold: str = "",
) -> Table:
    """Arrange cells under a head.

    Args:
        head: Names of the columns.
        rows: The cells.
        prose: Columns of text, set flush left, that may be broken where the terminal is too narrow.
        whole: Columns of names, set flush left, that are never broken. What is left are numbers, set flush right.
        bold: First cell of the row to set in bold.
    """
    table = Table(box=box.SIMPLE_HEAD)
    rows = list(rows)
    for index, name in enumerate(head):
        justify: Literal["left", "right"] = "left" if name in (*prose, *whole) else "right"
        if name in prose:
            table.add_column(name, justify=justify, overflow="fold")
        else:
            cells = (row[index] for row in rows)
            width = max(cell_len(line) for cell in (name, *cells) for line in (cell.splitlines() or [""]))
            table.add_column(name, justify=justify, overflow="fold", no_wrap=True, min_width=width)
    for row in rows:
        table.add_row(*map(Text, row), style="bold" if bold and row[0] == bold else "")
    return table


def as_text(renderable: RenderableType) -> str:
    """Return what the console would print to a file."""
    buffer = io.StringIO()
    show(renderable, buffer)
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
    """Return a line for each reason, with the metrics it concerns; those of single classes, which have a table, are counted."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in scores.undefined.items():
        by_reason[reason].append(name)
    return [f"{_listed(names, scores.per_class)}: {reason}" for reason, names in by_reason.items()]


def _listed(names: Iterable[str], classes: Collection[str]) -> str:
    """Return metrics as text, those of classes in short: ``map50; ap50 of 2 classes``."""
    counts: Counter[str] = Counter()
    others = []
    for name in names:
        column, _, of = name.partition(".")
        if of in classes:
            counts[column] += 1
        else:
            others.append(name)
    by_count: dict[int, list[str]] = defaultdict(list)
    for column, count in counts.items():
        by_count[count].append(column)
    in_short = [f"{', '.join(columns)} of {count} class{'' if count == 1 else 'es'}" for count, columns in by_count.items()]
    return "; ".join(([", ".join(others)] if others else []) + in_short)


def tasks_table() -> RenderableType:
    """Arrange all tasks: what each predicts, its primary metric and what works today."""
    head = ("task", "predicts", "baseline", "primary metric", "state")
    rows = [(card.id, card.predicts, card.baseline, card.primary.name, card.state) for card in all_tasks().values()]
    states = "baseline: trains and scores; scorer: scores runs; planned: neither yet. `imageclef tasks TASK` tells more."
    table = cells_table(head, rows, prose=("predicts", "baseline"), whole=("task", "primary metric", "state"))
    return Group(table, Text(states))


def card_text(card: TaskCard) -> RenderableType:
    """Arrange a task's card: what goes in, the run file, the metrics."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (
        ("state", card.state),
        ("experiment", f"{card.experiment} (imageclef train experiment={card.experiment})" if card.has("model") else NOTHING),
        ("predicts", card.predicts),
        ("baseline", card.baseline),
        ("version", card.version),
        ("splits", ", ".join(card.splits)),
        ("unit", f"{card.unit} (intervals resample these)"),
        ("classes", ", ".join(f"{label} {name}" for label, name in card.classes.items()) or NOTHING),
        ("run file", card.run_file),
    ):
        facts.add_row(Text(name), Text(value))
    described = [(metric.name, metric) for metric in card.metrics]
    described += [(f"{metric.name}.<class>", metric) for metric in card.class_metrics]
    rows = [(name, metric.description, _better(metric.higher_is_better)) for name, metric in described]
    metrics = cells_table(("metric", "says", "better"), rows, prose=("says",), whole=("metric", "better"))
    parts: list[RenderableType] = [Text(card.id, style="bold"), facts, metrics]
    if card.files:
        parts.append(Text("files as distributed, below the data root:"))
        parts += [Text(f"  {file}", overflow="fold") for file in card.files]
    return Group(*parts)


def _better(higher_is_better: bool) -> str:
    return "higher" if higher_is_better else "lower"
