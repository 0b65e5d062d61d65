"""Tables: what has to be in them, on a terminal and in a pipe."""

import io

import pytest

from baselines.core import report
from baselines.core.results import Scores
from baselines.core.tasks import all_tasks, get_task


def printed(renderable):
    return report.as_text(renderable)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Prints on a terminal of so many columns."""

    def show(renderable, columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "24")  # or rich takes 80 columns for granted of a terminal without colours
        monkeypatch.setenv("TERM", "dumb")
        file = Terminal()
        report.show(renderable, file)
        return file.getvalue()

    return show


def scores(**changes):
    values = {
        "task": "drawnui-wireframe",
        "scorer": "1.0.0",
        "primary": "map50",
        "metrics": {"recall50": 0.5, "map50": 0.41666666, "ap50.button": 0.41666666, "ap50.table": None, "ap50.list": None},
        "undefined": {"ap50.table": "no box of this class in the truth", "ap50.list": "no box of this class in the truth"},
        "per_class": {
            "button": {"ap50": 0.41666666, "truths": 12},
            "table": {"ap50": None, "truths": 0},
            "list": {"ap50": None, "truths": 0},
        },
        "intervals": {"map50": (0.25, 0.75), "ap50.button": (0.125, 0.875)},
        "n": {"expected": 9, "scored": 8, "missing": 1},
        "warnings": ("run.json:3: RUN-SCORE [red]odd[/red] (saw 2)",),
        "signature": "drawnui-wireframe|scorer:1.0.0",
        "inputs": {},
    }
    return Scores(**values | changes)


def test_the_primary_metric_comes_first():
    text = printed(report.scores_table(scores()))
    assert text.index("map50") < text.index("recall50")


def test_scores_intervals_counts_and_classes_are_shown():
    lines = [line.split() for line in printed(report.scores_table(scores())).splitlines()]
    assert ["map50", "0.4167", "0.2500", "to", "0.7500"] in lines
    assert ["recall50", "0.5000", "-"] in lines
    assert ["button", "0.4167", "0.1250", "to", "0.8750", "12"] in lines
    assert ["table", "-", "-", "0"] in lines
    assert "9 expected, 8 scored, 1 missing" in printed(report.scores_table(scores()))


def test_the_undefined_is_shown_with_its_reason():
    assert "undefined: ap50 of 2 classes: no box of this class in the truth" in printed(report.scores_table(scores()))


def test_warnings_are_shown_as_they_are():
    assert "warning: run.json:3: RUN-SCORE [red]odd[/red] (saw 2)" in printed(report.scores_table(scores()))


def test_metrics_of_classes_without_class_table_stay_metrics():
    text = printed(report.scores_table(scores(per_class={}, intervals={})))
    assert "ap50.button" in text


def test_outside_a_terminal_there_are_no_escape_codes():
    assert "\x1b" not in printed(report.scores_table(scores())) + printed(report.tasks_table())


def test_the_table_of_tasks_lists_all_with_their_state():
    lines = printed(report.tasks_table()).splitlines()
    for card in all_tasks().values():
        (line,) = (line for line in lines if line.split()[:1] == [card.id])
        assert line.split()[-2:] == [card.primary.name, card.state]


@pytest.mark.parametrize("task", ["coral-annotation", "aware", "drawnui-wireframe"])
def test_a_card_says_what_goes_in_and_what_comes_out(task):
    card = get_task(task)
    text = printed(report.card_text(card))
    for expected in (task, card.run_file, card.primary.description, *card.files):
        assert expected in text


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_no_terminal_is_so_narrow_that_names_and_numbers_are_cut(on_terminal, columns):
    text = on_terminal(report.tasks_table(), columns)
    assert "…" not in text
    words = set(text.split())
    assert all({card.id, card.primary.name, card.state} <= words for card in all_tasks().values())
    run = "team_of_a_university_with_a_long_name_run_1"
    row = ["1", run, "0.4167", "0.2500 to 0.7500", "tied with the best"]
    table = report.cells_table(["rank", "run", "map50", "95 % interval", "verdict"], [row], prose=("verdict",), whole=("run",))
    text = on_terminal(table, columns)
    assert run in text
    assert "0.2500 to 0.7500" in text
    assert "…" not in text


def test_prose_is_broken_where_it_has_to_be(on_terminal):
    assert max(map(len, on_terminal(report.tasks_table(), 80).splitlines())) <= 80


def test_nothing_is_broken_outside_a_terminal():
    long = "x" * 300 + " " + "y" * 300
    assert long in printed(report.cells_table(["run", "verdict"], [["a", long]], prose=("run", "verdict")))
    assert long in printed(report.scores_table(scores(warnings=(long,))))
