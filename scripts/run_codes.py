"""Write docs/run-codes.md, the page of all findings that `imageclef validate` can give, from the code.

python scripts/run_codes.py
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from baselines.core.files import write_atomic
from baselines.core.runs import FILE_CODES, ID_CODES, LINE_CODES, Code
from baselines.core.tasks import all_tasks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "run-codes.md"

INTRODUCTION = """# What `imageclef validate` can find in a run

Made from the code by `python scripts/run_codes.py`. A code never changes its meaning. An `error` makes a run invalid; a
`warning` or an `info` does not. Where the severity depends on the case, the worst is given, and the meaning says so.
`imageclef tasks TASK` prints a valid run.
"""


def page() -> str:
    """Return the text of the page: the codes that formats have in common, and each package's own."""
    codes: dict[str, dict[str, Code]] = {}
    tasks: dict[str, list[str]] = defaultdict(list)
    for card in all_tasks().values():
        if card.has("runs"):
            codes[card.package] = card.module("runs").CODES
            tasks[card.package].append(card.id)
    common = FILE_CODES | ID_CODES | LINE_CODES
    parts = [INTRODUCTION, section("In several formats", common)]
    for package, names in tasks.items():
        own = {name: code for name, code in codes[package].items() if common.get(name) != code}
        parts.append(section(", ".join(f"`{name}`" for name in names), own))
    return "\n".join(parts)


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
    write_atomic(PAGE, page())
    sys.stdout.write(f"{PAGE}\n")
