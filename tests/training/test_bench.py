"""What the benches measure and print; how fast anything is, no test can say."""

import errno
import json
import math

import numpy as np
import pytest
import torch

from baselines.cli import main
from baselines.core.findings import UsageError
from baselines.training import bench
from baselines.training.bench import OriginalPictures, PlainLoop, Plan
from baselines.training.loop import build, make_trainer

SHORT = Plan(warmup=1, block=2, rounds=2)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = tmp_path_factory.mktemp("bench")
    assert main(["sample", "drawnui-wireframe", "--size", "6", "--out", str(root)]) == 0
    return root


@pytest.fixture
def command(pages, tmp_path, monkeypatch):
    """Return a function that runs the verb on a few small pages and returns its exit code."""
    monkeypatch.setattr(bench, "Plan", lambda: SHORT)

    def run(what, *arguments, root=pages):
        overrides = ["preset=debug", "data.page_side=64", "data.crop=64", f"data.root={root}", f"runs_dir={tmp_path}/runs"]
        return main(["bench", what, "drawnui-wireframe", *overrides, *arguments])

    return run


def assert_is_ratio(figures):
    assert 0 < figures["ratio"] < math.inf
    low, high = figures["quartiles"]
    assert 0 < low <= high < math.inf
    assert figures["rounds"] == SHORT.rounds


def test_the_step_of_a_recipe(command, tmp_path, capsys):
    assert command("step", "trainer.precision=bf16", "--json", str(tmp_path / "step.json")) == 0
    report = json.loads((tmp_path / "step.json").read_text())
    assert {"what", "command", "date", "git", "versions", "results"} == report.keys()
    figures = report["results"]["drawnui-wireframe"]
    assert_is_ratio(figures)
    assert all(0 < number < math.inf for side in ("trainer", "loop") for number in figures[side].values())
    assert figures["flops_per_step"] > 0
    assert figures["device"]
    printed = capsys.readouterr().out
    assert "trainer / loop" in printed
    assert "images/s" in printed


def test_the_loader_of_a_recipe(command, tmp_path, capsys):
    assert command("data", "--json", str(tmp_path / "data.json")) == 0
    figures = json.loads((tmp_path / "data.json").read_text())["results"]["drawnui-wireframe"]
    assert_is_ratio(figures)
    assert all(0 < figures[side]["samples_per_second"] < math.inf for side in ("cached", "decoding"))
    assert "cached / decoding" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["step", "data"])
def test_missing_data_end_in_a_finding_and_no_file(what, command, tmp_path, capsys):
    assert command(what, "--json", str(tmp_path / "none.json"), root=tmp_path / "nowhere") == 1
    printed = capsys.readouterr()
    assert "DATA-" in printed.err
    assert "Traceback" not in printed.err
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize("what", ["step", "data"])
def test_an_empty_part_of_the_data_is_a_finding(what, command, tmp_path, capsys):
    assert main(["sample", "drawnui-wireframe", "--size", "1", "--out", str(tmp_path / "one")]) == 0
    assert command(what, root=tmp_path / "one") == 1
    assert "DATA-EMPTY the val split has no samples" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), ("drawnui-wireframe: RUN-NO-MEMORY", "data.batch_size")),
        (OSError(errno.ENOSPC, "No space left on device"), ("cache: RUN-NO-SPACE", "data.cache_dir")),
    ],
    ids=str,
)
@pytest.mark.parametrize("what", ["step", "data"])
def test_what_runs_out_is_told_with_what_to_do(what, command, monkeypatch, capsys, error, said):
    def fail(config):
        raise error

    monkeypatch.setattr(bench, "build", fail)
    assert command(what) == 1
    printed = capsys.readouterr().err
    assert all(text in printed for text in said)
    assert "Traceback" not in printed


def test_both_loops_train_alike(toy_config, tmp_path):
    """The hand-written loop ends at the Trainer's weights, or it wouldn't be the same work."""
    config = toy_config(trainer__max_steps=6, trainer__accumulate=2, trainer__validate_every=7)
    data, module = build(config)
    loop = PlainLoop(config, torch.device("cpu"))
    for network in (module.network, loop.module.network):
        network.body[3].p = 0.0  # dropout: the Trainer's side seeds it anew for every batch
    trainer = make_trainer(config, tmp_path, [])
    trainer.limit_val_batches = 0
    trainer.fit(module, datamodule=data)
    loop.run(6)
    torch.testing.assert_close(loop.module.network.state_dict(), module.network.state_dict())


def test_the_toy_step_counts_accumulated_batches(toy_config):
    config = toy_config(trainer__accumulate=3)
    figures = bench.measure_step(config, SHORT)
    assert_is_ratio(figures)
    speed = figures["loop"]
    assert speed["images_per_second"] * speed["step_seconds"] == pytest.approx(3 * config.data.batch_size)
    assert figures["busy"] is figures["flops_share"] is figures["peak_memory_bytes"] is None
    json.dumps(figures, allow_nan=False)


def test_a_task_without_a_cache_has_nothing_to_compare(toy_config):
    with pytest.raises(UsageError, match="keeps no cache of pictures"):
        bench.measure_data(toy_config(), SHORT)


def test_a_task_without_a_baseline_and_two_choices_are_refused(capsys):
    assert main(["bench", "step", "no-such-task"]) == 2
    assert "no task 'no-such-task'" in capsys.readouterr().err
    assert main(["bench", "step", "drawnui-wireframe", "experiment=drawnui_wireframe"]) == 2
    assert "not both" in capsys.readouterr().err


def test_original_pictures_are_prepared_at_each_access(tmp_path):
    seen = []

    def prepare(path):
        seen.append(path)
        return np.zeros((1, 1, 3), np.uint8)

    pictures = OriginalPictures.in_place_of_cache(tmp_path, {"a": tmp_path / "a.png"}, "recipe", prepare)
    assert pictures["a"].shape == pictures["a"].shape
    assert seen == [tmp_path / "a.png"] * 2


@pytest.mark.gpu
def test_figures_of_a_cuda_device(toy_config):
    figures = bench.measure_step(toy_config(trainer__accelerator="gpu"), SHORT)
    assert figures["busy"] > 0
    assert figures["peak_memory_bytes"] > 0
