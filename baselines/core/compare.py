"""``imageclef compare``: a leaderboard of runs on one truth, with how sure its order is.

Runs are ordered by the primary metric. Every other run is held against the best one by a paired bootstrap test, and the
p-values are adjusted for their number by Holm's method. Runs with an undefined score come after the others, invalid ones last.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from baselines.core import report, tables
from baselines.core.findings import Findings, InvalidInput
from baselines.core.results import Scores
from baselines.core.scorer import Scored, Scorer
from baselines.core.statistics import CONFIDENCE, holm, paired_p_value

LEVEL = 1 - CONFIDENCE  # p-values from here on say that a run can't be told from the best


def least_resamples(runs: int) -> int:
    """Return how many resamples it takes for the clearest of differences to be told, when so many runs are compared.

    No p-value of ``R`` resamples is below ``2 / (R + 1)``, and Holm's method multiplies it by the number of tests.

    >>> least_resamples(2), least_resamples(31)
    (40, 1200)
    """
    return math.ceil(2 * max(1, runs - 1) / LEVEL - 1e-6)


@dataclass(frozen=True, slots=True)
class Row:
    """A run of the leaderboard.

    Attributes:
        name: The run, by the shortest end of its path that no other run has.
        path: The run file.
        scores: Its scores; ``None`` if it is invalid.
        findings: What is wrong with an invalid run.
        rank: 1 for the best; equal scores share a rank; ``None`` without a score.
        p_value: Adjusted p-value of the difference to the best run; ``None`` for the best, or where there is no test.
        is_best: Whether it is the run that the others are held against: the best one, of equals the first by name.
    """

    name: str
    path: Path
    scores: Scores | None = None
    findings: Findings | None = None
    rank: int | None = None
    p_value: float | None = None
    is_best: bool = False

    @property
    def verdict(self) -> str:
        """What the order is worth, in words."""
        if self.scores is None:
            errors = self.findings.error_count if self.findings else 0
            return f"invalid: {errors} error{'' if errors == 1 else 's'}"
        if self.rank is None:
            return "undefined: " + self.scores.undefined[self.scores.primary]
        if self.rank == 1:
            return "best" if self.is_best else "tied with the best, equal score"
        if self.p_value is None:
            return ""
        return "tied with the best" if self.p_value >= LEVEL else "worse than the best"


def compare_runs(scorer: Scorer, runs: Sequence[Path]) -> list[Row]:
    """Score runs and order them.

    Returns:
        A row for each run: those with a score, the best one first and of equals the one whose name comes first; those whose
        score is undefined; those that are invalid.
    """
    rows, scored = [], {}
    for name, path in zip(short_names(runs), runs, strict=True):
        try:
            scored[name] = scorer.score(path)
            rows.append(Row(name, path, scored[name].scores))
        except InvalidInput as error:
            rows.append(Row(name, path, findings=error.findings))
    sign = -1 if scorer.card.primary.higher_is_better else 1
    ranked = sorted(
        (row for row in rows if row.scores is not None and row.scores.score is not None),
        key=lambda row: (sign * _score(row), row.name),
    )
    values = [_score(row) for row in ranked]
    ranked = [
        replace(row, rank=1 + values.index(value), is_best=row is ranked[0]) for row, value in zip(ranked, values, strict=True)
    ]
    undefined = [row for row in rows if row.scores is not None and row.scores.score is None]
    invalid = [row for row in rows if row.scores is None]
    return _test_against_best(ranked, scored, sign) + undefined + invalid


def _score(row: Row) -> float:
    assert row.scores is not None
    assert row.scores.score is not None
    return row.scores.score


def _test_against_best(ranked: list[Row], scored: dict[str, Scored], sign: int) -> list[Row]:
    """Add the adjusted p-values, where there are resamples."""
    if not ranked or not scored[ranked[0].name].resampled:
        return ranked
    primary = scored[ranked[0].name].scores.primary
    best = -sign * scored[ranked[0].name].resampled[primary]
    units = ranked[0].scores.n["expected"] if ranked and ranked[0].scores else 0
    raw = [paired_p_value(best, -sign * scored[row.name].resampled[primary], units) for row in ranked[1:]]
    tested = [(row, p) for row, p in zip(ranked[1:], raw, strict=True) if p is not None]
    adjusted = dict(zip((row.name for row, _ in tested), holm([p for _, p in tested]), strict=True))
    return [replace(row, p_value=adjusted.get(row.name)) for row in ranked]


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart, without the extension where that is enough.

    >>> short_names([Path("a/run.txt"), Path("b/run.txt")])
    ['a/run.txt', 'b/run.txt']
    >>> short_names([Path("team1.json"), Path("runs/team2.json")])
    ['team1', 'team2']

    A file that is given several times is numbered.

    >>> short_names([Path("a.txt"), Path("b.txt"), Path("a.txt")])
    ['a (1)', 'b', 'a (2)']
    """
    files = list(dict.fromkeys(paths))
    names = dict(zip(files, _names_of_files(files), strict=True))
    given: Counter[Path] = Counter()
    numbered = []
    for path in paths:
        given[path] += 1
        numbered.append(f"{names[path]} ({given[path]})" if paths.count(path) > 1 else names[path])
    if len(set(numbered)) < len(numbered):  # another file is called as one with its number
        return [f"{path} ({number})" for number, path in enumerate(paths, start=1)]
    return numbered


def _names_of_files(paths: Sequence[Path]) -> list[str]:
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    deepest = max(len(path.parts) for path in paths)
    tails = (["/".join(path.parts[-depth:]) for path in paths] for depth in range(1, deepest + 1))
    return next((names for names in tails if len(set(names)) == len(names)), [str(path) for path in paths])


# -------------------------------------------------------------------------------------------------------------- formats


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return the metrics to show, the primary one first: those that are not about a single class."""
    for row in rows:
        if row.scores is not None:
            classes = {f"{column}.{name}" for name, numbers in row.scores.per_class.items() for column in numbers}
            names = [row.scores.primary, *(name for name in row.scores.metrics if name != row.scores.primary)]
            return [name for name in names if name not in classes]
    return []


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the cells of the leaderboard as text."""
    metrics = _columns(rows)
    head = ["rank", "run", *metrics[:1], *(["95 % interval"] if metrics else []), *metrics[1:], "p (Holm)", "verdict"]
    table = []
    for row in rows:
        numbers: list[str] = [report.NOTHING] * (len(metrics) + bool(metrics))
        if row.scores is not None:
            values = [report.format_number(row.scores.metrics[name]) for name in metrics]
            numbers = [values[0], report.format_interval(row.scores.intervals.get(metrics[0])), *values[1:]]
        p_value = report.NOTHING if row.p_value is None else f"{row.p_value:.3f}"
        table.append([report.NOTHING if row.rank is None else str(row.rank), row.name, *numbers, p_value, row.verdict])
    return head, table


def as_table(rows: Sequence[Row]) -> Table:
    """Return the leaderboard as a table for the console."""
    return report.cells_table(*cells(rows), prose=("verdict",), whole=("run",))


TEXT_COLUMNS = ("run", "verdict")


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the leaderboard as a Markdown table."""
    return tables.as_markdown(*cells(rows), TEXT_COLUMNS)


def as_latex(rows: Sequence[Row]) -> str:
    """Return the leaderboard as a LaTeX table, which needs the package booktabs; the best run is set in bold."""
    return tables.as_latex(*cells(rows), TEXT_COLUMNS, bold=[place for place, row in enumerate(rows) if row.rank == 1])


def as_csv(rows: Sequence[Row]) -> str:
    """Return the leaderboard as comma-separated values in full precision, with empty fields where there is nothing."""
    metrics = _columns(rows)
    head = ["rank", "run", *metrics, *(["low", "high"] if metrics else []), "p", "verdict"]
    lines = []
    for row in rows:
        numbers: list[float | None] = [None] * (len(metrics) + 2 * bool(metrics))
        if row.scores is not None:
            interval = row.scores.intervals.get(metrics[0], (None, None))
            numbers = [*(row.scores.metrics[name] for name in metrics), *interval]
        lines.append([row.rank, row.name, *numbers, row.p_value, row.verdict])
    return tables.as_csv(head, lines)


def as_json(rows: Sequence[Row]) -> str:
    """Return the leaderboard as a JSON list, a run with all of its scores, or its errors, in each element."""
    values: list[dict[str, Any]] = [
        {
            "rank": row.rank,
            "run": row.name,
            "p_value": row.p_value,
            "verdict": row.verdict,
            "scores": None if row.scores is None else row.scores.to_dict(),
            "errors": [] if row.findings is None else row.findings.lines(),
        }
        for row in rows
    ]
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


WRITERS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": lambda rows: report.as_text(as_table(rows)),
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "json": as_json,
}
