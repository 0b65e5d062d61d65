"""The schema: every mistake is listed, with its full name and the nearest right one."""

from dataclasses import dataclass

import pytest

from baselines.core import config
from baselines.core.config import Config, Range, defaults, flatten, parse_config, to_plain
from baselines.core.findings import InvalidInput
from baselines.core.outputs import write_atomically
from baselines.core.paths import run_name

TASK = "drawnui-wireframe"


def plain(**changes):
    """Return a valid plain configuration, changed by dotted keys written with two underscores."""
    values = {"task": TASK, "experiment": "e", **defaults(TASK)}
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        (values[section] if section else values)[name] = value
    return values


def complaints(values):
    with pytest.raises(InvalidInput) as caught:
        parse_config(values)
    return {(finding.id, finding.code): finding for finding in caught.value.findings}


def test_defaults_are_valid_and_round_trip():
    parsed = parse_config(plain())
    assert isinstance(parsed, Config)
    assert parse_config(to_plain(parsed)) == parsed


def test_all_mistakes_at_once():
    found = complaints(plain(trainer__max_step=1, trainer__log_every="often", seed=-1, optimzer=3, optimizer__name="adam"))
    assert found.keys() == {
        ("trainer.max_step", "CONFIG-UNKNOWN-KEY"),
        ("trainer.log_every", "CONFIG-TYPE"),
        ("seed", "CONFIG-VALUE"),
        ("optimzer", "CONFIG-UNKNOWN-KEY"),
        ("optimizer.name", "CONFIG-VALUE"),
    }
    assert found["trainer.max_step", "CONFIG-UNKNOWN-KEY"].hint == "did you mean trainer.max_steps?"
    assert found["optimzer", "CONFIG-UNKNOWN-KEY"].hint == "did you mean optimizer?"
    assert "adamw, sgd" in found["optimizer.name", "CONFIG-VALUE"].message


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("trainer__max_steps", True, "CONFIG-TYPE"),
        ("trainer__max_steps", 1.5, "CONFIG-TYPE"),
        ("trainer__max_steps", -1, "CONFIG-VALUE"),
        ("data__batch_size", 1_000_000, "CONFIG-VALUE"),
        ("trainer__compile", 1, "CONFIG-TYPE"),
        ("trainer__precision", "16", "CONFIG-VALUE"),
        ("optimizer__lr", "1e-3", "CONFIG-TYPE"),
        ("optimizer__lr", float("nan"), "CONFIG-VALUE"),
        ("optimizer__lr", float("inf"), "CONFIG-VALUE"),
        ("optimizer__lr", None, "CONFIG-TYPE"),
        ("optimizer__ema_decay", 1.0, "CONFIG-VALUE"),
        ("data__root", None, "CONFIG-TYPE"),
        ("data__val_share", 0, "CONFIG-VALUE"),
        ("data", 3, "CONFIG-TYPE"),
    ],
)
def test_wrong_types_and_values(key, value, code):
    assert complaints(plain(**{key: value})).keys() == {(key.replace("__", "."), code)}


def test_what_yaml_reads_differently_is_accepted():
    parsed = parse_config(plain(trainer__precision=32, optimizer__lr=1, optimizer__clip_norm=None))
    assert parsed.trainer.precision == "32"
    assert parsed.optimizer.lr == 1.0
    assert isinstance(parsed.optimizer.lr, float)


def test_missing_key():
    values = plain()
    del values["experiment"]
    assert complaints(values).keys() == {("experiment", "CONFIG-MISSING-KEY")}


@pytest.mark.parametrize("task", ["drawnui-wirefram", None, 3])
def test_unknown_task(task):
    found = complaints(plain(task=task))
    assert found.keys() == {("task", "CONFIG-VALUE")}


def test_tuples_and_nested_ranges(monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Nested(config.DataConfig):
        pair: tuple[int, float] = (1, 2.0)
        many: tuple[str, ...] = ()

    reader_findings = config.Findings()
    reader = config._Reader("f", reader_findings)
    assert reader.read(tuple[int, float], [1, 2], "p") == (1, 2.0)
    assert reader.read(tuple[str, ...], ["a", "b"], "p") == ("a", "b")
    assert not reader_findings.error_count
    reader.read(tuple[int, float], [1], "short")
    reader.read(tuple[str, ...], ["a", 2], "many")
    reader.read(tuple[str, ...], "text", "text")
    assert [finding.id for finding in reader_findings] == ["short", "many[1]", "text"]


def test_ranges_in_words():
    assert str(Range(1)) == "at least 1"
    assert str(Range(0, 1)) == "from 0 to 1"


def test_neutral_keys_exist():
    assert flatten({"task": TASK, **defaults(TASK)}).keys() >= config.NEUTRAL_KEYS


def test_run_names_ignore_order_and_what_changes_nothing():
    assert run_name(["seed=1", "preset=demo", "data.workers=3"]) == run_name(["preset=demo", "experiment=x", "seed=1"])
    assert run_name(["overwrite=true", "hydra.verbose=true", "hydra/launcher=slurm"]) == "default"


@pytest.mark.parametrize("override", ["data.root=../x", "data.root=/", "a=" + "x" * 300, "a=\n", "a=ä", "~a"])
def test_run_names_are_single_safe_folders(override, tmp_path):
    name = run_name([override])
    assert "/" not in name
    assert name not in (".", "..")
    (tmp_path / name).mkdir()


def test_run_names_differ_where_sanitising_would_merge_them():
    assert run_name(["data.root=a/b"]) != run_name(["data.root=a_b"])
    assert run_name(["a=" + "x" * 300]) != run_name(["a=" + "x" * 301])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
