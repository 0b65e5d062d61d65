"""The scorer's self-test: it passes here, and tells when a number is another one."""

import pytest

from baselines.cli import main
from baselines.core import self_test
from baselines.core.self_test import CheckValue, check_values

VALUES = list(check_values())


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_check_value(value):
    assert value.holds, value


def test_every_value_has_a_name_of_its_own():
    assert len({value.name for value in VALUES}) == len(VALUES)


def test_what_holds_depends_on_the_value():
    assert not CheckValue("a", 0.5, 0.5001).holds
    assert not CheckValue("a", 0.5, "0.5").holds
    assert not CheckValue("a", "undefined", 0.0).holds
    assert not CheckValue("a", 0.0, float("nan")).holds


def test_the_command(capsys):
    assert main(["tasks", "--self-test"]) == 0
    assert f"{len(VALUES)} of {len(VALUES)} check values hold (scorer " in capsys.readouterr().out


def test_a_scorer_that_gives_other_numbers_is_told(capsys, monkeypatch):
    monkeypatch.setattr(self_test, "stem", lambda word: word)  # as a package that leaves "lateral" whole
    assert main(["tasks", "--self-test"]) == 3
    output = capsys.readouterr()
    assert "stem of lateral: expected 'later', got 'lateral'" in output.err
    assert f"{len(VALUES) - 10} of {len(VALUES)} check values hold" in output.out


def test_it_is_that_of_all_tasks(capsys):
    assert main(["tasks", "vqa", "--self-test"]) == 2
    assert "name none" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["tasks", "vqa", "--self-test", "--example"])
