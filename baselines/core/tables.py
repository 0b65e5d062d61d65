"""Tables as people hand them on: for the terminal, Markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence

from baselines.core import report

Cells = Sequence[Sequence[str]]

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",  # a dash in the encoding that LaTeX takes by default
    }
)
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # OWASP's list, "CSV Injection"; also as wide characters


def as_markdown(head: Sequence[str], rows: Cells, text: Collection[str]) -> str:
    r"""Return cells as a Markdown table.

    Args:
        head: Names of the columns.
        rows: The cells.
        text: Columns of text, set flush left; what is left are numbers, set flush right.

    >>> print(as_markdown(["run", "score"], [["a|b", "0.5"]], ["run"]), end="")
    | run | score |
    | --- | ---: |
    | a\|b | 0.5 |
    """
    aligned = ["---" if name in text else "---:" for name in head]
    lines = [head, aligned, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(head: Sequence[str], rows: Cells, text: Collection[str], bold: Collection[int] = ()) -> str:
    """Return cells as a LaTeX table, which needs the package booktabs.

    Args:
        head: Names of the columns.
        rows: The cells; a dash alone is set as one between numbers.
        text: Columns of text, set flush left.
        bold: Indices of rows to set in bold.
    """
    columns = "".join("l" if name in text else "r" for name in head)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_line(head, is_bold=False), r"\midrule"]
    lines += [_latex_line(row, is_bold=index in bold) for index, row in enumerate(rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_line(cells: Sequence[str], *, is_bold: bool) -> str:
    def cell(each: str) -> str:
        if each == report.NOTHING:
            return "--"
        escaped = each.translate(_LATEX)
        return rf"\textbf{{{escaped}}}" if is_bold else escaped

    return " & ".join(map(cell, cells)) + r" \\"


def as_csv(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    r"""Return values in full precision, separated by commas, with empty fields where there is nothing.

    Names of files are up to those who send them: a text that a spreadsheet would compute gets an apostrophe before it.

    >>> print(as_csv(["run", "change"], [["=1+1", -0.5], ["team 1", None]]), end="")
    run,change
    '=1+1,-0.5
    team 1,
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([head, *(map(_inert, row) for row in rows)])
    return buffer.getvalue()


def _inert(cell: object) -> object:
    """Return a cell so that no spreadsheet takes a text for a formula; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
