"""Pages that are made from the code say what the code says."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from baselines.core.checks import CODES
from baselines.core.tasks import all_tasks

ROOT = Path(__file__).resolve().parent.parent


def run_codes():
    spec = importlib.util.spec_from_file_location("run_codes", ROOT / "scripts" / "run_codes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_codes_are_up_to_date():
    for path, text in run_codes().PAGES.items():
        assert path.read_text() == text(), "run: python scripts/run_codes.py"


TELLING = {"error", "warning", "info", "add", "tell", "_tell", "_tell_lines", "invalid", "Finding"}
NOT_OF_DATA = re.compile("(RUN|CONFIG|WEIGHTS|SAMPLE|MODEL|SCORES|CKPT)-")


def codes_told(path):
    """Return the codes that a module's calls name, without the prefix."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in TELLING:
            said = [argument.value for argument in node.args[:3] if isinstance(argument, ast.Constant)]
            codes = [text for text in said if isinstance(text, str) and re.fullmatch("[A-Z]{2,}(-[A-Z]+)*", text)]
            yield from (code.removeprefix("DATA-") for code in codes[:1] if not NOT_OF_DATA.match(code))


@pytest.mark.parametrize("task", [card.id for card in all_tasks().values() if card.has("runs")])
def test_every_finding_about_data_is_described(task):
    card = all_tasks()[task]
    files = Path(card.module("records").__file__).parent.glob("*.py")
    told = {code for path in files if path.name not in ("runs.py", "formats.py") for code in codes_told(path)}
    described = {*CODES, *getattr(card.module("records"), "CODES", {})}
    described |= set(card.module("checks").CHECKS.codes) if card.has("checks") else set()
    assert {"FIELDS"} <= told or task.startswith("drawnui")
    missing = {f"DATA-{code}" for code in told} - described
    assert not missing, "describe them in CODES of records.py, then run: python scripts/run_codes.py"


@pytest.mark.parametrize("task", [card.id for card in all_tasks().values() if card.has("runs")])
def test_every_code_has_a_meaning_and_an_example(task):
    codes = all_tasks()[task].module("runs").CODES
    assert all(name.startswith("RUN-") and code.meaning and code.example for name, code in codes.items())


def test_the_readme_says_of_each_task_what_works():
    said = {"baseline": "baseline and scorer", "scorer": "scorer", "planned": "planned"}
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    states = {cells[0].strip("`"): cells[-1] for cells in rows}
    assert states == {name: said[card.state] for name, card in all_tasks().items()}


@pytest.mark.slow
def test_the_commands_for_organisers_work_in_their_order(tmp_path):
    text = (ROOT / "docs" / "organisers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 10
    paths = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": paths, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for language, block in blocks:
        command = ["bash", "-euo", "pipefail", "-c", block] if language == "bash" else [sys.executable, "-c", block]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["n"] == {"expected": 8, "scored": 8, "missing": 0}
    assert (tmp_path / "findings.html").stat().st_size > 10_000
    assert "trivial" in (tmp_path / "leaderboard.md").read_text()
    assert len((tmp_path / "public_ids.txt").read_text().splitlines()) == 4
