"""Write docs/run-codes.md and docs/data-codes.md, all findings about runs and about data sets and truths, from the code.

python scripts/run_codes.py
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from baselines.core.checks import CODES
from baselines.core.outputs import write_atomic
from baselines.core.runs import FILE_CODES, ID_CODES, LINE_CODES, Code
from baselines.core.tasks import all_tasks, get_task

DOCS = Path(__file__).resolve().parent.parent / "docs"

INTRODUCTION = """# What `imageclef validate` can find in a run

Made from the code by `python scripts/run_codes.py`. A code never changes its meaning. An `error` makes a run invalid; a
`warning` or an `info` does not. Where the severity depends on the case, the worst is given, and the meaning says so.
`imageclef tasks TASK` prints a valid run.
"""

DATA_INTRODUCTION = """# What can be found in data sets and truths

Made from the code by `python scripts/run_codes.py`. `imageclef check` looks for all of it, for the tasks that it knows;
training, `validate`, `score` and `compare` find what shows in the files that they read. A code never changes its meaning.
The severity is that of `imageclef check`, which a release is held to: readers may tolerate what a release should not have,
and then say so as a warning or an info.
"""


def run_page() -> str:
    """Return the text of the page about runs: the codes that formats have in common, and each package's own."""
    codes = {package: get_task(names[0]).module("runs").CODES for package, names in packages().items()}
    return page(INTRODUCTION, "In several formats", FILE_CODES | ID_CODES | LINE_CODES, codes)


def data_page() -> str:
    """Return the text of the page about data: the codes of all tasks, and what each package's reader and checks add."""
    codes = {}
    for package, names in packages().items():
        card = get_task(names[0])
        checked = card.module("checks").CHECKS.codes if card.has("checks") else {}
        codes[package] = {**getattr(card.module("records"), "CODES", {}), **checked}
    return page(DATA_INTRODUCTION, "Of all tasks", CODES, codes)


def packages() -> dict[str, list[str]]:
    """Return the ids of the tasks by package."""
    tasks: dict[str, list[str]] = defaultdict(list)
    for card in all_tasks().values():
        if card.has("runs"):
            tasks[card.package].append(card.id)
    return tasks


def page(introduction: str, title: str, common: Mapping[str, Code], codes: Mapping[str, Mapping[str, Code]]) -> str:
    """Return the text of a page: a section of the common codes, and one of each package's own."""
    parts = [introduction, section(title, common)]
    for package, names in packages().items():
        own = {name: code for name, code in codes[package].items() if common.get(name) != code}
        if own:
            parts.append(section(", ".join(f"`{name}`" for name in names), own))
    return "\n".join(parts)


PAGES = {DOCS / "run-codes.md": run_page, DOCS / "data-codes.md": data_page}


def section(title: str, codes: Mapping[str, Code]) -> str:
    """Return a heading and a table of codes."""
    lines = [f"## {title}", "", "| code | severity | what is wrong | example |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {code.severity} | {cell(code.meaning)} | {cell(code.example)} |" for name, code in sorted(codes.items())
    ]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Return text that a Markdown table takes."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


if __name__ == "__main__":
    for path, text in PAGES.items():
        write_atomic(path, text())
        sys.stdout.write(f"{path}\n")
