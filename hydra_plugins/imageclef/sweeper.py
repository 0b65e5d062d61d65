"""The sweeper of ``imageclef train -m``, under the name that Hydra wants for it."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext


class ResumingSweeper(BasicSweeper):
    """Launches the jobs of a sweep that are not finished, after it has checked all of them.

    Which jobs there are, and what became of them, is kept by :mod:`baselines.training.sweep`: Hydra drops what a sweeper
    returns.
    """

    def sweep(self, arguments: list[str]) -> Any:
        """Launch what is left of the sweep.

        Args:
            arguments: The overrides, with several values where the sweep varies them.

        Raises:
            baselines.core.findings.InvalidInput: If a job's configuration can't be used; nothing is launched then.
        """
        from baselines.training import sweep  # here, since Hydra imports every plugin at each start

        assert isinstance(self.hydra_context, HydraContext)
        loader = self.hydra_context.config_loader
        overrides = OverridesParser.create(config_loader=loader).parse_overrides([*self._parse_config(), *arguments])
        (combinations,) = self.split_arguments(overrides, max_batch_size=None)
        jobs = sweep.plan(combinations, lambda each: loader.load_sweep_config(self.config, list(each)))
        sweep.check_resources(jobs, self.config.hydra.launcher)
        sweep.launch(jobs, self.launcher)


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="resuming",
    node={"_target_": "hydra_plugins.imageclef.sweeper.ResumingSweeper", "max_batch_size": None, "params": {}},
    provider="imageclef-baselines",
)
