"""What is built and installed: the wheel's contents, its requirements, and the commands from another folder."""

import contextlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from baselines import __version__

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TRAINING_MODULES = ("torch", "torchvision", "pytorch_lightning", "hydra", "omegaconf", "timm", "albumentations", "transformers")


def run(*command, cwd, **changes):
    environment = (
        {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"} | changes
    )
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def build(kind, folder):
    run(sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A new environment with the wheel, which borrows everything else from this one; returns its folder of commands."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    # The borrowed folder's own .pth files are not read, so its editable install of the project isn't seen.
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "borrowed.pth").write_text("\n".join({sysconfig.get_path(name) for name in ("purelib", "platlib")}) + "\n")
    pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=folder)
    return folder / "bin"


def conf_files(below):
    return {path.relative_to(below).as_posix() for path in below.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_configuration(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.removeprefix("baselines/conf/") for name in names if name.startswith("baselines/conf/")} == conf_files(
        ROOT / "conf"
    )
    for name in names:
        top, suffix = name.partition("/")[0], Path(name).suffix
        assert top == f"imageclef_baselines-{__version__}.dist-info" or (
            top in {"baselines", "hydra_plugins"} and suffix in {".py", ".typed", ".yaml", ".css", ".js"}
        ), name
    folders, kinds = ("baselines", "hydra_plugins"), ("*.py", "*.css", "*.js")
    sources = {path.relative_to(ROOT).as_posix() for top in folders for kind in kinds for path in (ROOT / top).rglob(kind)}
    assert sources <= set(names)


@pytest.mark.slow
def test_the_base_install_needs_no_torch(wheel):
    with zipfile.ZipFile(wheel) as archive:
        described = Parser().parsestr(archive.read(f"imageclef_baselines-{__version__}.dist-info/METADATA").decode())
    required = [Requirement(line) for line in described.get_all("Requires-Dist")]
    assert {one.name for one in required if one.marker is None} == {"numpy", "scipy", "pillow", "rich", "nibabel"}
    assert described.get_all("Provides-Extra") == ["dev", "ray", "search", "slurm", "trackers", "train"]


@pytest.mark.slow
def test_the_source_distribution_builds_the_same(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "Makefile", "requirements.lock", "LICENSE", "README.md", "data/README.md"} <= names
    assert {f"conf/{name}" for name in conf_files(ROOT / "conf")} <= names
    allowed = {"baselines", "conf", "hydra_plugins", "docs", "scripts", "tests", "data"}
    assert {name.partition("/")[0] for name in names if "/" in name} <= allowed
    assert not [name for name in names if name.startswith("data/") and name != "data/README.md"]


@pytest.mark.slow
def test_the_installed_command_works_elsewhere(installed, tmp_path):
    command = str(installed / "imageclef")
    where = run(str(installed / "python"), "-c", "import baselines; print(baselines.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert "usage: imageclef VERB" in run(command, "--help", cwd=tmp_path)
    assert "drawnui-wireframe" in run(command, "tasks", cwd=tmp_path)


@pytest.mark.slow
def test_the_installed_command_trains_elsewhere(installed, tmp_path):
    command = str(installed / "imageclef")
    run(command, "sample", "drawnui-wireframe", "--size", "8", cwd=tmp_path)
    run(command, "train", "experiment=drawnui_wireframe", "preset=debug", cwd=tmp_path)
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("scores.json"))
    run_file, truth = str(folder / "submission.json"), str(folder / "truth.json")

    # What was trained is validated and scored without torch, as in the base install.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({TRAINING_MODULES}))\n")
    base = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    run(command, "validate", "drawnui-wireframe", "--run", run_file, "--truth", truth, **base)
    run(command, "score", "drawnui-wireframe", "--run", run_file, "--truth", truth, "--json", "scores.json", **base)
    assert (tmp_path / "scores.json").exists()


def locked():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_the_lock_file_holds_every_requirement_within_its_range(extra):
    pins = locked()
    for line in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), line


def requirements(names):
    """The requirements of those distributions that are installed, each with the name of the one that has it."""
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):  # an extra, or another Python's
            for each in map(Requirement, metadata.requires(name) or []):
                if not each.marker or each.marker.evaluate({"extra": ""}):
                    yield name, each


def test_the_versions_of_the_lock_file_agree_with_each_other():
    pins = locked()
    found = [(name, each) for name, each in requirements(pins) if canonicalize_name(each.name) in pins]
    assert found
    for name, each in found:
        version = pins[canonicalize_name(each.name)]
        assert each.specifier.contains(version, prereleases=True), f"{name} needs {each}, and {version} is in the lock file"


def test_the_lock_file_leaves_nothing_open_but_what_torch_pins_itself():
    pins = locked()
    left = [(name, canonicalize_name(each.name)) for name, each in requirements(pins)]
    assert any(name == "torch" for name, _ in left)
    open_ones = [(name, needed) for name, needed in left if needed not in pins]
    assert [pair for pair in open_ones if pair[0] != "torch" or not re.match("cuda-|nvidia-|triton$", pair[1])] == []


def test_every_bound_says_why():
    text = (ROOT / "pyproject.toml").read_text()
    section = text[text.index("\ndependencies = [") : text.index("\n[project.scripts]")]
    bounds = [line for line in section.splitlines() if line.lstrip().startswith('"')]
    assert bounds
    assert [line for line in bounds if "  # " not in line] == []


def test_the_change_log_has_this_version():
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
