"""Pages that are made from the code say what the code says."""

import importlib.util
from pathlib import Path

import pytest

from baselines.core.tasks import all_tasks

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_of_codes_is_up_to_date():
    spec = importlib.util.spec_from_file_location("run_codes", ROOT / "scripts" / "run_codes.py")
    run_codes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run_codes)
    assert run_codes.PAGE.read_text() == run_codes.page(), "run: python scripts/run_codes.py"


@pytest.mark.parametrize("task", [card.id for card in all_tasks().values() if card.has("runs")])
def test_every_code_has_a_meaning_and_an_example(task):
    codes = all_tasks()[task].module("runs").CODES
    assert all(name.startswith("RUN-") and code.meaning and code.example for name, code in codes.items())


def test_the_readme_says_of_each_task_what_works():
    said = {"baseline": "baseline and scorer", "scorer": "scorer", "planned": "planned"}
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    states = {cells[0].strip("`"): cells[-1] for cells in rows}
    assert states == {name: said[card.state] for name, card in all_tasks().items()}
