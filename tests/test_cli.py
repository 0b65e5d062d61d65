"""The command line: help without heavy imports, arguments as contracted, exit codes and messages."""

import importlib
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from baselines import __version__, cli
from baselines.core.findings import Finding, Findings, InvalidInput, Severity, UsageError
from baselines.core.outputs import write_atomic

HEAVY = ("torch", "torchvision", "pytorch_lightning", "hydra", "omegaconf", "numpy", "scipy", "PIL", "rich", "nibabel")


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "baselines", *arguments], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture
def handled(monkeypatch):
    """Replace every handler by one that records its arguments and then does what the test set as ``does``."""
    module = types.ModuleType("recording_handlers")
    record = types.SimpleNamespace(arguments=None, does=lambda: None)

    def handler(arguments):
        record.arguments = arguments
        return record.does()

    module.handler = handler
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, verb in cli.VERBS.items():
        replaced = cli.Verb(verb.summary, "recording_handlers:handler", verb.add_arguments, verb.epilog, verb.forwards)
        monkeypatch.setitem(cli.VERBS, name, replaced)
    return record


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in cli.VERBS)])
def test_help_imports_the_standard_library_only(arguments):
    program = f"""
import sys
from baselines.cli import main
try:
    code = main({arguments!r})
except SystemExit as stop:
    code = stop.code
imported = {{name.partition('.')[0] for name in sys.modules}}
project = sorted(name for name in sys.modules if name.startswith('baselines'))
print()
print(repr((code, sorted(imported & set({HEAVY!r})), project)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == repr((0, [], ["baselines", "baselines.cli"]))


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_names_the_verb(verb, capsys):
    try:
        code = cli.main([verb, "--help"])
    except SystemExit as stop:
        code = stop.code
    assert code == 0
    assert f"usage: imageclef {verb}" in capsys.readouterr().out


def test_overview_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    listed = capsys.readouterr().out
    for name, verb in cli.VERBS.items():
        assert name in listed
        assert verb.summary in listed


@pytest.mark.parametrize("name", cli.VERBS)
def test_handlers_exist(name):
    module, function = cli.VERBS[name].handler.split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_no_verb_is_wrong_usage(capsys):
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: imageclef VERB" in err


@pytest.mark.parametrize(("typed", "meant"), [("trian", "train"), ("valdiate", "validate"), ("scores", "score")])
def test_unknown_verb_suggests_the_nearest(typed, meant, capsys):
    assert cli.main([typed]) == 2
    assert f"no verb '{typed}': did you mean {meant}?" in capsys.readouterr().err


def test_unknown_verb_without_a_near_one_lists_them(capsys):
    assert cli.main(["xyzzy"]) == 2
    assert "the verbs are tasks, sample," in capsys.readouterr().err


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"imageclef {__version__}\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tasks", {"task": None, "example": None, "self_test": False}),
        ("tasks vqa --example-truth", {"task": "vqa", "example": "truth", "self_test": False}),
        ("tasks --example vqa", {"task": "vqa", "example": "run", "self_test": False}),
        ("sample", {"tasks": [], "out": Path("data/samples"), "size": None, "seed": 0, "full": False, "clean": False}),
        (
            "sample vqa --size 5 vqg --seed 3 --out d",
            {"tasks": ["vqa", "vqg"], "out": Path("d"), "size": 5, "seed": 3, "full": False, "clean": False},
        ),
        (
            "validate vqa --run r --ids i",
            {"task": "vqa", "run": Path("r"), "ids": Path("i"), "truth": None, "run_options": {}},
        ),
        (
            "score --truth t vqa --run r",
            {
                "task": "vqa",
                "run": Path("r"),
                "truth": Path("t"),
                "ids": None,
                "json": None,
                "codabench": None,
                "aicrowd": None,
                "bootstrap": None,
                "seed": 0,
                "run_options": {},
            },
        ),
        (
            "compare vqa a b --truth t --format csv --run-format 2020 --allow-missing --max-concepts 3 --out o --seed 4",
            {
                "task": "vqa",
                "runs": [Path("a"), Path("b")],
                "truth": Path("t"),
                "ids": None,
                "format": "csv",
                "out": Path("o"),
                "bootstrap": None,
                "seed": 4,
                "run_options": {"run_format": "2020", "allow_missing": True, "max_concepts": 3},
            },
        ),
        (
            "predict runs/x --data d --out f",
            {
                "run_dir": [Path("runs/x")],
                "data": Path("d"),
                "split": "test",
                "out": Path("f"),
                "batch_size": None,
                "format": None,
                "task": None,
                "device": "auto",
            },
        ),
        ("bench step", {"what": "step", "task": None, "overrides": [], "json": None}),
        ("bench data vqa", {"what": "data", "task": "vqa", "overrides": [], "json": None}),
        ("bench step preset=demo", {"what": "step", "task": None, "overrides": ["preset=demo"], "json": None}),
        ("bench score vqa", {"what": "score", "task": "vqa", "overrides": [], "json": None}),
        (
            "bench step a=1 --json f vqa ~b",
            {"what": "step", "task": "vqa", "overrides": ["a=1", "~b"], "json": Path("f")},
        ),
        ("fetch drawnui_wireframe", {"experiment": "drawnui_wireframe"}),
    ],
)
def test_arguments(line, expected, handled):
    assert cli.main(line.split()) == 0
    assert vars(handled.arguments) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("score vqa --run r", "--truth"),
        ("score vqa --truth t", "--run"),
        ("score --truth t --run r", "TASK"),
        ("score vqa --truth t --run r --bootstrap -1", "-1 is neither 0 (no intervals) nor from 100 to 1000000"),
        ("score vqa --truth t --run r --bootstrap 1", "1 is neither 0 (no intervals) nor from 100 to 1000000"),
        ("compare vqa r --truth t --bootstrap 99999999", "99999999 is neither"),
        ("score vqa --truth t --run r --max-concepts 0", "0 is not from 1 to 1000000"),
        ("score vqa --truth t --run r --seed -1", "-1 is not from 0 to 4294967295"),
        ("sample --seed 99999999999", "99999999999 is not from 0 to 4294967295"),
        ("check vqa d --near-distance 999", "999 is not from 0 to 256"),
        ("check vqa d --workers 0", "0 is not from 1 to 1024"),
        ("check vqa d --workers 100000", "100000 is not from 1 to 1024"),
        ("predict r --data d --out f --batch-size 0", "0 is not from 1 to 1000000"),
        ("sweep a=1,2 --trials 0", "0 is not from 1 to 1000000"),
        ("score vqa --truth t --run r --boot 5", "--boot"),
        ("validate vqa --run r", "one of the arguments --truth --ids is required"),
        ("validate vqa --run r --truth t --ids i", "not allowed with argument"),
        ("sample --size 0", "0 is not from 1 to 1000000"),
        ("sample --size many", "--size: invalid integer value: 'many'"),
        ("predict", "RUN_DIR"),
        ("bench walk", "walk"),
        ("bench step vqa vqg", "one task at a time, not vqa, vqg"),
        ("fetch", "EXPERIMENT"),
    ],
)
def test_wrong_arguments(line, said, handled, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(line.split())
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert handled.arguments is None


@pytest.mark.parametrize("arguments", [[], ["experiment=vqa", "-m", "seed=1,2"], ["--cfg", "job"], ["--no-such-flag", "+a=b"]])
def test_train_forwards_its_arguments(arguments, handled):
    assert cli.main(["train", *arguments]) == 0
    assert handled.arguments == arguments


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_handlers_choose_the_exit_code(code, handled):
    handled.does = lambda: code
    assert cli.main(["tasks"]) == code


def raising(error):
    def does():
        raise error

    return does


def test_invalid_input_is_one_finding_a_line(handled, capsys):
    lines = [Finding("RUN-A", Severity.ERROR, "wrong", "r.json", n, value="x", hint="write y") for n in (1, 2)]
    handled.does = raising(InvalidInput(Findings(lines)))
    assert cli.main(["tasks"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "r.json:1: RUN-A wrong (saw x; write y)\nr.json:2: RUN-A wrong (saw x; write y)\n"


def test_usage_error(handled, capsys):
    handled.does = raising(UsageError("no task 'vqq': did you mean vqa?"))
    assert cli.main(["tasks"]) == 2
    assert capsys.readouterr().err == "imageclef tasks: no task 'vqq': did you mean vqa?\n"


@pytest.mark.parametrize(("module", "extra"), [("torch", "train"), ("hydra.core.config_store", "train"), ("submitit", "slurm")])
def test_a_missing_extra_is_named(module, extra, handled, capsys):
    handled.does = raising(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert cli.main(["train"]) == 2
    assert f'pip install "imageclef-baselines[{extra}]"' in capsys.readouterr().err


def test_training_without_torch(tmp_path):
    """The real path: a torch that can't be imported, as in the base install."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules.update(torch=None, hydra=None)\n")
    done = run("train", "experiment=drawnui_wireframe", env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert 'pip install "imageclef-baselines[train]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written(handled, capsys):
    handled.does = raising(PermissionError(13, "Permission denied", "/x/y"))
    assert cli.main(["score", "vqa", "--run", "r", "--truth", "t"]) == 1
    assert capsys.readouterr().err == "imageclef score: /x/y: Permission denied\n"


@pytest.mark.parametrize("error", [ZeroDivisionError("oh"), ModuleNotFoundError("No module named 'left'", name="left")])
def test_a_bug_is_called_one(error, handled, capsys):
    handled.does = raising(error)
    assert cli.main(["tasks"]) == 3
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert f"{type(error).__name__}: {error}" in err
    assert f"imageclef-baselines {__version__}, Python 3." in err
    assert "numpy 2" in err
    assert "This is a bug" in err
    assert "issue tracker" in err


def test_interrupt(handled):
    handled.does = raising(KeyboardInterrupt())
    assert cli.main(["tasks"]) == 130


def test_an_interrupt_that_a_package_turns_into_its_own_error_stays_one(handled, capsys):
    error = ImportError("this package could not be imported")
    error.__context__ = KeyboardInterrupt()
    handled.does = raising(error)
    assert cli.main(["tasks"]) == 130
    assert capsys.readouterr().err == "imageclef: interrupted\n"


@pytest.mark.parametrize("imported", ["argparse", "baselines.core.scorer"])
def test_an_interrupt_of_the_imports_is_one_line(imported, tmp_path):
    """Of the front door's own, before it can hear anything, and of a verb's."""
    (tmp_path / "sitecustomize.py").write_text(f"""
import sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {imported!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
""")
    done = run("score", "vqa", "--truth", "t", "--run", "r", env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "imageclef: interrupted\n")


def test_while_a_file_to_write_is_standard_output_all_else_goes_to_standard_error(handled, capfd):
    def does():
        sys.stdout.write("a table\n")
        write_atomic(handled.arguments.json, "{}")

    handled.does = does
    assert cli.main(["score", "vqa", "--truth", "t", "--run", "r", "--json", "-"]) == 0
    assert capfd.readouterr() == ("{}", "a table\n")
    assert cli.main(["score", "vqa", "--truth", "t", "--run", "r", "--json", os.devnull]) == 0
    assert capfd.readouterr() == ("a table\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["tasks"]])
def test_a_closed_pipe_is_quiet(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        command = [sys.executable, "-m", "baselines", *arguments]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in (0, 1, 141)


def test_errors_of_real_commands_are_for_people(tmp_path):
    """A wrong task through the real command: exit 2, one line, a suggestion."""
    (tmp_path / "run.json").write_text(json.dumps([]))
    done = run("validate", "drawnui-wirefame", "--run", str(tmp_path / "run.json"), "--ids", str(tmp_path / "ids.txt"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean drawnui-wireframe?" in done.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "data/README.md"])
def test_pages_name_existing_verbs_only(page):
    text = (Path(__file__).resolve().parent.parent / page).read_text(encoding="utf-8")
    commands = re.findall(r"(?:^|`)imageclef (?!-)([a-z]+)", text, flags=re.MULTILINE)
    assert set(commands) <= set(cli.VERBS)
