"""Every shipped configuration composes, and what Hydra refuses is told in one line."""

import re

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from baselines.core.findings import InvalidInput, UsageError
from baselines.core.paths import conf_dir
from baselines.training.compose import compose, register_schemas
from baselines.training.main import train


def options(group):
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


EXPERIMENT = "experiment=drawnui_wireframe"


@pytest.mark.parametrize("experiment", options("experiment"))
@pytest.mark.parametrize("preset", options("preset"))
def test_every_experiment_composes_with_every_preset(experiment, preset):
    config = compose([f"experiment={experiment}", f"preset={preset}"])
    assert (config.experiment, config.preset) == (experiment, preset)
    assert config.trainer.validate_every <= config.trainer.max_steps


@pytest.mark.parametrize("experiment", options("experiment"))
@pytest.mark.parametrize("preset", ["demo", "debug"])
def test_small_presets_need_neither_gpu_nor_network_nor_real_data(experiment, preset):
    config = compose([f"experiment={experiment}", f"preset={preset}"])
    assert config.trainer.accelerator == "cpu"
    assert config.model.weights is None
    assert config.data.root == "data/samples"


def test_tunings_belong_to_experiments_and_presets():
    for path in (conf_dir() / "tuning").glob("*/*.yaml"):
        assert path.parent.name in options("experiment")
        assert path.stem in options("preset")


def test_the_command_line_wins_over_the_preset():
    assert compose([EXPERIMENT, "preset=demo", "data.root=elsewhere"]).data.root == "elsewhere"


@pytest.mark.parametrize("group", ["optimizer", "trainer", "hydra/launcher"])
def test_every_option_of_the_groups_composes(group):
    for option in options(group):
        compose([EXPERIMENT, f"{group}={option}"])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["experiment=drawnui_wirefram"], "experiment=drawnui_wirefram: no such option (did you mean drawnui_wireframe?)"),
        ([], "CONFIG-MISSING-KEY experiment: has to be chosen (give experiment=NAME; the choices are "),
        (
            [EXPERIMENT, "trainer.max_stepz=3"],
            "CONFIG-UNKNOWN-KEY trainer.max_stepz: no such key (did you mean trainer.max_steps?)",
        ),
        ([EXPERIMENT, "presett=demo"], "CONFIG-UNKNOWN-KEY presett: no such key (did you mean preset?)"),
        ([EXPERIMENT, "+data.rot=1"], "CONFIG-UNKNOWN-KEY data.rot: no such key (did you mean data.root?)"),
        ([EXPERIMENT, "+seed=1"], "CONFIG-"),
        ([EXPERIMENT, "~data.rot"], "CONFIG-"),
        ([EXPERIMENT, "preset=dmo"], "CONFIG-UNKNOWN-OPTION preset=dmo: no such option (did you mean demo?)"),
        ([EXPERIMENT, "a b"], "CONFIG-SYNTAX a b: can't be read as key=value"),
        ([EXPERIMENT, "seed=1,2"], "CONFIG-SYNTAX seed=1,2: has several values (add -m"),
        ([EXPERIMENT, "trainer=3"], "CONFIG-"),
        ([EXPERIMENT, "data=null"], "CONFIG-"),
        ([EXPERIMENT, "data.root=${nothing}"], "CONFIG-"),
        ([EXPERIMENT, "data.root=???"], "CONFIG-"),
        ([EXPERIMENT, "data.root.x=1"], "CONFIG-"),
        ([EXPERIMENT, "trainer.max_steps=many"], "CONFIG-TYPE trainer.max_steps: has to be a whole number (saw 'many')"),
    ],
    ids=str,
)
def test_mistakes_end_in_one_line_each(overrides, expected):
    with pytest.raises(InvalidInput) as caught:
        compose(overrides)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["drawnui-wireframe"], "experiment=drawnui_wireframe"),
        (["-m", "coral-parsing", "seed=1,2"], "experiment=coral"),
        (["preset=debug", "drawnui_wireframe"], "experiment=drawnui_wireframe"),
    ],
)
def test_the_name_of_a_task_or_an_experiment_alone_is_wrong_usage(arguments, meant):
    with pytest.raises(UsageError, match=f"give {meant}$"):
        train(arguments)


def test_a_slip_in_the_key_experiment_is_named():
    with pytest.raises(UsageError, match=r"^experimnt=vqa: no such key; did you mean experiment=NAME\?$"):
        train(["experimnt=vqa", "preset=debug"])


def test_an_unknown_flag_is_wrong_usage_of_imageclef(capsys):
    with pytest.raises(SystemExit) as stop:
        train([EXPERIMENT, "--nope"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: imageclef train ")
    assert said.endswith("imageclef train: error: unrecognized arguments: --nope\n")


def test_a_sweep_has_one_experiment():
    with pytest.raises(UsageError, match="a command for each"):
        train(["-m", "experiment=coral,vqa", "preset=debug"])


@pytest.mark.parametrize("key", ["hydra.run.dir", "++hydra.sweep.dir", "hydra.sweep.subdir"])
def test_a_folder_that_only_hydra_would_use_is_wrong_usage(tmp_path, key):
    with pytest.raises(UsageError, match="give runs_dir="):
        train([EXPERIMENT, f"{key}={tmp_path / 'mine'}"])
    assert not (tmp_path / "mine").exists()


def test_the_folder_of_one_s_own_options_is_searched_first(tmp_path, monkeypatch, capsys):
    for folder in ("conf_local", "experiments"):
        (tmp_path / folder / "trainer").mkdir(parents=True)
        (tmp_path / folder / "trainer" / "mine.yaml").write_text(f"accelerator: cpu\nthreads: {len(folder)}\n")
    monkeypatch.chdir(tmp_path)
    for flags, folder in (((), "conf_local"), (("--config-dir", "experiments"), "experiments")):
        train([EXPERIMENT, "trainer=mine", "--cfg", "job", *flags])
        assert yaml.safe_load(capsys.readouterr().out)["trainer"]["threads"] == len(folder)


def test_the_page_s_own_options_for_a_cluster_build_on_the_launcher(tmp_path):
    page = (conf_dir().parent / "docs/cluster.md").read_text()
    (tmp_path / "hydra/launcher").mkdir(parents=True)
    (tmp_path / "hydra/launcher/mine.yaml").write_text(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    register_schemas()
    GlobalHydra.instance().clear()
    overrides = [EXPERIMENT, "hydra/launcher=mine", "trainer.nodes=3", f"hydra.searchpath=[file://{tmp_path}]"]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        launcher = hydra.compose("config", overrides, return_hydra_config=True).hydra.launcher
    assert (launcher.partition, launcher.mem_gb, launcher.nodes) == ("gpu", 120, 3)
    assert launcher["_target_"].endswith("SlurmLauncher")
