"""Searches: the space, trials that are runs, studies that go on, pruning."""

import contextlib
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from baselines.core.config import to_plain
from baselines.core.findings import InvalidInput, UsageError
from baselines.training import search
from baselines.training.callbacks import Status


@pytest.fixture
def toy_search(toy_config, monkeypatch, tmp_path):
    """Return a function that searches the toy task; what Hydra would compose is put together here."""
    from baselines.core.config import parse_config

    def compose(overrides):
        plain = to_plain(toy_config(trainer__max_steps=4, trainer__validate_every=2))
        for override in overrides:
            path, _, value = override.partition("=")
            section, _, name = path.rpartition(".")
            old = (plain[section] if section else plain)[name]
            (plain[section] if section else plain)[name] = type(old)(float(value)) if isinstance(old, int | float) else value
        return parse_config(plain)

    monkeypatch.setattr(search, "compose", compose)

    def run(*overrides, trials=3, prune=False):
        study = tmp_path / "study.journal"
        code = search.search(Namespace(overrides=list(overrides), trials=trials, study=study, prune=prune))
        return code, search.open_study(study, compose([]), prune=False)

    return run


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.width=8,16", CategoricalDistribution((8, 16))),
        ("model.name=choice(a,b)", CategoricalDistribution(("a", "b"))),
        ("model.weights=null,x", CategoricalDistribution((None, "x"))),
        ("model.width=range(4,17,4)", IntDistribution(4, 16, step=4)),
        ("optimizer.lr=interval(0.1,0.5)", FloatDistribution(0.1, 0.5)),
        ("optimizer.lr=tag(log,interval(0.001,0.5))", FloatDistribution(0.001, 0.5, log=True)),
        ("model.width=int(interval(1,9))", IntDistribution(1, 9)),
    ],
)
def test_the_space_is_written_in_the_grammar_of_sweeps(override, expected):
    fixed, space = search.split_space(["seed=1", override])
    assert fixed == ["seed=1"]
    assert list(space.values()) == [expected]


@pytest.mark.parametrize("override", ["seed=1", "seed=glob(*)"])
def test_without_a_space_there_is_nothing_to_search(override):
    with pytest.raises(UsageError, match="choice"):
        search.split_space([override])


def test_trials_are_runs_and_the_study_goes_on(toy_search, capsys):
    code, study = toy_search("optimizer.lr=tag(log,interval(0.001,0.1))", "seed=3")
    assert code == 0
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    states = [Status.read(search.Path(trial.user_attrs["folder"]) / "status.json")["state"] for trial in study.trials]
    assert states == ["finished"] * 3
    best = max(trial.value for trial in study.trials)
    assert f"{best:.4f}" in capsys.readouterr().out
    code, study = toy_search("optimizer.lr=tag(log,interval(0.001,0.1))", "seed=3", trials=4)
    assert len(study.trials) == 4
    assert len({trial.params["optimizer.lr"] for trial in study.trials}) == 4


def test_a_trial_whose_process_was_killed_is_taken_up_again(toy_search):
    _, study = toy_search("model.width=4,8,16", trials=1)
    study.ask({"model.width": CategoricalDistribution((4, 8, 16))})  # by a process that is gone
    _, study = toy_search("model.width=4,8,16", trials=2)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials[2].params == study.trials[1].params


HOLD = """
import sys
from baselines.training.search import TrialLocks
locks = TrialLocks(open(sys.argv[1], "ab"))
print(locks.take(int(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def test_a_trial_of_a_process_at_work_is_left_to_it(toy_search, tmp_path):
    _, study = toy_search("model.width=4,8,16", trials=1)
    study.ask({"model.width": CategoricalDistribution((4, 8, 16))})
    command = [sys.executable, "-c", HOLD, tmp_path / "study.journal.running", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "True\n"
        with (tmp_path / "study.journal.running").open("ab") as file:
            assert not search.TrialLocks(file).take(1)
        _, study = toy_search("model.width=4,8,16", trials=3)
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING", "COMPLETE"]
        worker.kill()
    _, study = toy_search("model.width=4,8,16", trials=3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]


@contextlib.contextmanager
def at_work(study, space, values, folder, root):
    """Let another process try these values meanwhile, in this folder; gives the trial's number."""
    study.enqueue_trial(values)
    trial = study.ask(space)
    trial.set_user_attr(search.FOLDER, str(folder))
    command = [sys.executable, "-c", HOLD, root / "study.journal.running", str(trial.number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "True\n"
        yield trial.number
        worker.kill()


def test_values_that_were_tried_before_give_their_result_and_those_under_way_are_left_alone(toy_search, tmp_path, capsys):
    _, study = toy_search("model.width=4,8", trials=1)
    (first,) = study.trials
    folder = Path(first.user_attrs[search.FOLDER])
    other = 12 - first.params["model.width"]
    with at_work(
        study, first.distributions, {"model.width": other}, folder.with_name(f"model.width={other}"), tmp_path
    ) as busy:
        code, study = toy_search("model.width=4,8", trials=8)
    assert code == 0
    assert "RUN-BUSY" not in capsys.readouterr().err
    twins = study.trials[2:]
    assert {trial.user_attrs[search.TWIN] for trial in twins} == {0, busy}
    for trial in twins:
        is_done = trial.params == first.params
        assert (trial.state.name, trial.value) == (("COMPLETE", first.value) if is_done else ("FAIL", None))
    assert sum(trial.state.name == "COMPLETE" for trial in study.trials) == 7  # of 8, one is under way


def test_processes_that_start_together_try_different_values(toy_config, tmp_path):
    space = dict(search.split_space(["optimizer.lr=interval(0.001,0.1)"])[1])
    studies = [search.open_study(tmp_path / "study.journal", toy_config(), prune=False) for _ in range(2)]
    tried = [study.ask(space).params["optimizer.lr"] for study in (*studies, *studies)]
    assert len(set(tried)) == 4
    again = search.open_study(tmp_path / "again.journal", toy_config(), prune=False)
    assert [again.ask(space).params["optimizer.lr"] for _ in tried] == tried


def test_values_that_never_work_end_the_search(toy_search):
    with pytest.raises(InvalidInput, match="WEIGHTS-MISSING"):
        toy_search("model.width=4,8", "init_from=nothing", trials=50)


def test_a_run_that_does_worse_than_the_median_is_ended(toy_config, tmp_path):
    from baselines.training import loop
    from baselines.training.callbacks import PrunedRun

    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=0, n_warmup_steps=0))
    for _ in range(3):
        good = study.ask()
        good.report(2.0, 2)  # no accuracy is as high
        study.tell(good, 2.0)
    config = toy_config(trainer__max_steps=4, trainer__validate_every=2)
    with pytest.raises(PrunedRun, match="median"):
        loop.run(config, tmp_path / "run", [search.Pruning(study.ask())])
    status = Status.read(tmp_path / "run" / "status.json")
    assert (status["state"], status["traceback"]) == ("pruned", None)
