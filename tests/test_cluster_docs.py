"""The page for clusters and the containers say what the configuration and the lock file say."""

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from baselines.core.paths import conf_dir
from baselines.training.compose import compose

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "cluster.md").read_text()
CONTAINERS = sorted((ROOT / "containers").iterdir())
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def needs():
    """Return the rows of the table of each experiment's needs, by experiment."""
    section = PAGE[PAGE.index("## What each experiment needs") :].split("\n## ")[0:2]
    lines = [line for line in "".join(section).splitlines() if line.startswith("| `") and "experiment=" not in line]
    return {cells[0].strip("`"): cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)}


def test_every_experiment_is_in_the_table_of_needs():
    assert sorted(needs()) == sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("experiment", sorted(needs()))
def test_the_table_of_needs_has_each_recipe_s_size_and_how_it_is_known(experiment):
    size, trainer, _, _, known = needs()[experiment]
    config = compose([f"experiment={experiment}"])
    assert size.startswith(f"{config.trainer.max_steps:,} × {config.data.batch_size} ")
    assert trainer == config.trainer.accelerator
    assert known.split()[0] in {"estimated", "measured"}


def test_the_page_s_launchers_and_extras_exist():
    launchers = set(re.findall(r"hydra/launcher=(\w+)", PAGE)) - {"mine"}
    assert launchers == {path.stem for path in (conf_dir() / "hydra" / "launcher").glob("*.yaml")}
    asked = re.findall(r'"\.\[([\w,]+)\]"', PAGE)
    assert asked
    assert {extra for each in asked for extra in each.split(",")} <= EXTRAS


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^imageclef train [^…\n]*?(?=  +#|$)", PAGE, re.MULTILINE))))
def test_the_page_s_commands_compose(line):
    overrides = [each for each in shlex.split(line)[2:] if each != "-m"]
    parsed = OverridesParser.create().parse_overrides(overrides)
    first = [f"{each.key_or_group}={next(iter(each.sweep_string_iterator()))}" for each in parsed if each.is_sweep_override()]
    fixed = [each.input_line for each in parsed if not each.is_sweep_override() and not each.input_line.startswith("+sweep=")]
    assert compose([*fixed, *first]).experiment in overrides[0]


def ignored(path):
    """Whether the engine leaves a path out: the last pattern that fits it, or a folder that it is in, decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if (
            line
            and not line.startswith("#")
            and any(fnmatch.fnmatch(str(each), pattern) for each in (path, *Path(path).parents))
        ):
            out = not line.startswith("!")
    return out


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.name)
def test_the_containers_install_what_the_lock_file_names(path):
    text = path.read_text()
    (install,) = re.findall(r"pip install .*", text)
    assert re.search(r"-c \S*requirements\.lock", install)
    (extras,) = re.findall(r"\[([\w,]+)\]", install)
    assert set(extras.split(",")) == EXTRAS - {"dev"}
    python = re.search(r"python:(\d\.\d+)-", text)[1]
    assert f"on Python {python}," in (ROOT / "requirements.lock").read_text()


def test_the_containers_get_every_file_that_the_wheel_is_built_of():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    needed = {*wheel, "pyproject.toml", "requirements.lock", project["project"]["readme"], *project["project"]["license-files"]}
    assert {path.name for path in ROOT.iterdir() if not ignored(path.name)} == needed
    assert [name for name in (".git", ".venv", ".mypy_cache", "runs", "conf_local", "data/x") if not ignored(name)] == []
    assert not ignored("baselines/core/paths.py")
    assert ignored("baselines/core/__pycache__/paths.cpython-311.pyc")
    copied = re.findall(r"^    (\S+) /opt/imageclef/(\S+)$", (ROOT / "containers" / "imageclef.def").read_text(), re.MULTILINE)
    assert {source for source, _ in copied} == needed
    assert all(source == target for source, target in copied)


def test_packages_of_a_mounted_home_folder_are_left_alone():
    definition = (ROOT / "containers" / "imageclef.def").read_text()
    assert re.search(r"^%environment\n(    .*\n)*    export PYTHONNOUSERSITE=1$", definition, re.MULTILINE)


@pytest.mark.slow
def test_what_the_containers_get_is_enough_to_build_the_package(tmp_path):
    definition = (ROOT / "containers" / "imageclef.def").read_text()
    skipped = shutil.ignore_patterns("__pycache__")
    for name, _ in re.findall(r"^    (\S+) /opt/imageclef/(\S+)$", definition, re.MULTILINE):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=skipped)
        else:
            shutil.copy(source, tmp_path / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "out").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert {"baselines/cli.py", "baselines/conf/config.yaml", "hydra_plugins/imageclef/ray_launcher.py"} <= set(names)
