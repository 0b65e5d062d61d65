"""From overrides to a checked configuration: Hydra composes, the dataclasses check; what is wrong is told a line each."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from baselines.core.config import Config, defaults, flatten, parse_config
from baselines.core.findings import Finding, InvalidInput, Severity, nearest
from baselines.core.paths import conf_dir, run_name
from baselines.core.tasks import all_tasks

CHOICES = ("experiment", "preset")  # keys of the configuration that Hydra's choices of groups say
COMMAND_LINE = "command line"
PLUGINS = {"hydra/launcher/submitit_slurm": "slurm", "hydra/launcher/joblib": "slurm"}  # options of Hydra's plugins: the extra


def register_schemas() -> None:
    """Tell Hydra every key of every task with its default, as the options of the group ``task``, and what conf/ computes."""
    store = ConfigStore.instance()
    for task in all_tasks():
        store.store(group="task", name=task, node={"task": task, **defaults(task)}, package="_global_")
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("gpus", lambda kind, devices: None if kind == "cpu" else devices, replace=True)
    OmegaConf.register_new_resolver("cpus", lambda workers, threads: workers + (threads or 1), replace=True)


def to_config(composed: DictConfig, choices: Mapping[str, Any]) -> Config:
    """Check a composed configuration.

    Args:
        composed: What Hydra composed.
        choices: The option chosen of each group.

    Raises:
        InvalidInput: With everything that is wrong with it.
    """
    # The sections are composed of several groups; interpolations between them are resolved here.
    plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return parse_config({str(key): value for key, value in plain.items()} | {name: choices[name] for name in CHOICES})


def compose(overrides: Sequence[str]) -> Config:
    """Compose the configuration that ``imageclef train`` would run with these overrides.

    Raises:
        InvalidInput: If it can't be composed or used.
    """
    register_schemas()
    GlobalHydra.instance().clear()
    with composition_errors_explained(), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = hydra.compose("config", [quoted(override) for override in overrides], return_hydra_config=True)
        return whole_to_config(composed)


def whole_to_config(composed: DictConfig) -> Config:
    """Check a composed configuration that has Hydra's own part, which knows the choices; see :func:`to_config`."""
    sections = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return to_config(sections, composed.hydra.runtime.choices)


def quoted(argument: str) -> str:
    """Quote the value of an override that holds ``=``, as the names of run folders do: Hydra's grammar refuses it bare.

    >>> quoted("init_from=runs/preset=demo,seed=1"), quoted("seed=1,2"), quoted("init_from='a=b'"), quoted("-m")
    ("init_from='runs/preset=demo,seed=1'", 'seed=1,2', "init_from='a=b'", '-m')
    """
    key, _, value = argument.partition("=")
    if "=" not in value or key.startswith("-") or set(value) & set("'\"[]{}()"):
        return argument
    return f"{key}='{value}'"


@contextlib.contextmanager
def composition_errors_explained() -> Iterator[None]:
    """Turn what Hydra raises while composing into findings that suggest the nearest name."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise InvalidInput(_explain(error)) from error
    except ValueError as error:
        # Hydra uses it for some mistakes in overrides; one from anywhere else is a bug and stays one.
        if "hydra" not in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parts:
            raise
        raise InvalidInput(_explain(error)) from error


def _explain(error: Exception) -> Finding:
    def finding(code: str, message: str, subject: str = "", hint: str = "") -> Finding:
        return Finding(code, Severity.ERROR, message, file=COMMAND_LINE, id=subject, hint=hint)

    text = str(error) or str(error.__cause__)
    if isinstance(error, OverrideParseException):
        return finding(
            "CONFIG-SYNTAX",
            "can't be read as key=value",
            error.override,
            "quote values with special characters twice: 'key=\"a b\"'",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        if extra := PLUGINS.get(error.missing_cfg_file):
            hint = f'pip install "imageclef-baselines[{extra}]"'
            return finding("CONFIG-NOT-INSTALLED", "the launcher needs a package", error.missing_cfg_file, hint)
        group, _, option = error.missing_cfg_file.rpartition("/")
        return finding(
            "CONFIG-UNKNOWN-OPTION", "no such option", f"{group}={option}", nearest(option, list(error.options or ()))
        )
    if match := re.search(r"You must specify '([^']+)'", text):
        options = re.findall(r"^\t(\S+)", text, re.MULTILINE)
        return finding(
            "CONFIG-MISSING-KEY", "has to be chosen", match[1], f"give {match[1]}=NAME; the choices are {', '.join(options)}"
        )
    if match := re.search(r"Could not (?:override|append to config[^']*|delete[^']*) ?'([^']+)'", text):
        known = {key for task in all_tasks() for key in flatten(defaults(task))} | {
            "experiment",
            "preset",
            "model",
            "optimizer",
            "trainer",
        }
        return finding("CONFIG-UNKNOWN-KEY", "no such key", match[1], nearest(match[1], sorted(known)))
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return finding(
            "CONFIG-SYNTAX", "has several values", match[1], "add -m for a run of each; or quote a value that has commas"
        )
    lines = [line for line in text.splitlines() if line.strip()]
    return finding("CONFIG-COMPOSE", lines[0] if lines else type(error).__name__)
