"""Weights of backbones: none, a local file, or published ones from a cache that is filled beforehand.

Only ``model.weights=pretrained`` ever reaches the network, and only where the cache lacks the weights. timm, torchvision and
transformers each keep their own cache (``HF_HUB_CACHE``, ``TORCH_HOME``).
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import timm
import torchvision
from huggingface_hub import errors as hub_errors
from rich.console import Console
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from baselines.core.findings import InvalidInput, UsageError, invalid
from baselines.core.tasks import get_task
from baselines.training.checkpoints import load_tensors, load_weights

PRETRAINED = "pretrained"
# What the three libraries raise when there is neither a cached copy nor a network.
OFFLINE_ERRORS = (OSError, hub_errors.HfHubHTTPError, hub_errors.LocalEntryNotFoundError, hub_errors.OfflineModeIsEnabled)


@contextlib.contextmanager
def network_errors_explained(
    source: str, experiment: str = "EXPERIMENT", key: str = "model.weights", local: str = "/path/to/weights.safetensors"
) -> Iterator[None]:
    """Turn a failed download into a finding that says both ways out.

    Args:
        source: What was to be downloaded.
        experiment: The experiment that ``imageclef fetch`` should be called with.
        key: The configuration's key that asked for it.
        local: What that key takes from the disk.

    Raises:
        InvalidInput: Instead of what the libraries raise when they reach no network.
    """
    try:
        yield
    except InvalidInput:
        raise
    except (*OFFLINE_ERRORS, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_offline(error):
            raise
        hint = (
            f"run `imageclef fetch {experiment}` on a machine with network and the same cache folder (HF_HOME, TORCH_HOME), "
            f"or set {key}={local}, or {key}=null to start from random ones"
        )
        raise invalid(
            "WEIGHTS-OFFLINE",
            "pretrained weights are not in the cache and can't be downloaded",
            file=source,
            value=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            hint=hint,
        ) from error


def _is_offline(error: BaseException) -> bool:
    """Whether a network error is among the causes of this one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OFFLINE_ERRORS):
            return True
        seen = seen.__cause__ or seen.__context__
    return "client has been closed" in str(error)


def timm_backbone(name: str, weights: str | None, experiment: str = "EXPERIMENT", **options: Any) -> nn.Module:
    """Build a timm model.

    Args:
        name: Model name of timm, such as ``resnet18.a1_in1k``.
        weights: As :class:`~baselines.core.config.ModelConfig` has it.
        experiment: Named in the message when weights can't be downloaded.
        options: Passed on to ``timm.create_model``, such as ``features_only=True``.

    Raises:
        InvalidInput: If the weights can't be had or don't fit, or timm has no such model.
    """
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.partition('.')[0]}*")[:5]
        raise invalid(
            "MODEL-NAME", "timm has no such model", value=name, hint=f"similar ones: {', '.join(near)}" if near else ""
        )
    with network_errors_explained(f"timm/{name}", experiment):
        network = timm.create_model(name, pretrained=weights == PRETRAINED, **options)
    if weights not in (None, PRETRAINED):
        load_backbone(network, Path(weights))
    return network


def load_backbone(network: nn.Module, path: Path) -> None:
    """Load a local file into a backbone: safetensors, or a plain state dictionary saved by PyTorch.

    The file may hold a classifier that the backbone lacks; everything that the backbone has must be there. A first convolution
    for RGB is adapted to other numbers of channels as timm adapts published weights (for one channel it is summed).

    Raises:
        InvalidInput: If the file can't be read or lacks weights of the backbone.
    """
    weights = _read_local(path)
    own = network.state_dict()
    # timm's features_only wrappers write `layer1_0` for what a whole model calls `layer1.0`.
    renamed = {name.replace(".", "_"): name for name in own}
    fitting = {renamed.get(name.replace(".", "_"), name): tensor for name, tensor in weights.items()}
    load_weights(network, {name: _adapted(tensor, own[name]) for name, tensor in fitting.items() if name in own}, path)


def _adapted(tensor: Tensor, own: Tensor) -> Tensor:
    """Return a first convolution's weights ``(O, 3, H, W)`` for the number of channels that the network's own have."""
    is_first = tensor.ndim == own.ndim == 4 and tensor.shape[1] == 3 != own.shape[1]
    return cast("Tensor", adapt_input_conv(own.shape[1], tensor)) if is_first else tensor


def _read_local(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        hint = "give a file, or `pretrained`, or null"
        raise invalid("WEIGHTS-MISSING", "model.weights names no file", file=path, hint=hint)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = load_tensors(path)
        return {str(name): tensor for name, tensor in loaded.items() if isinstance(tensor, Tensor)}
    except Exception as error:
        hint = "give a .safetensors file, or a state dictionary of tensors saved by torch.save"
        raise invalid("WEIGHTS-DAMAGED", "can't be read as weights", file=path, value=str(error), hint=hint) from error


def fetch_weights(source: str, experiment: str) -> None:
    """Fill the cache with the published weights that ``source`` names.

    Args:
        source: ``timm/NAME``, ``torchvision/NAME`` (with the default weights) or ``transformers/REPOSITORY``.
        experiment: Named in the message when there is no network.

    Raises:
        InvalidInput: If they can't be downloaded.
    """
    library, _, name = source.partition("/")
    with network_errors_explained(source, experiment):
        if library == "timm":
            timm.create_model(name, pretrained=True)
        elif library == "torchvision":
            torchvision.models.get_model(name, weights="DEFAULT")
        elif library == "transformers":
            from huggingface_hub import snapshot_download

            snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"])
        else:
            raise ValueError(f"{source}: no such library of weights")


def fetch(args: argparse.Namespace) -> int:
    """Download the pretrained weights of ``args.experiment`` into the caches of their libraries.

    Raises:
        InvalidInput: If there is no such experiment, or no network.
        UsageError: If downloads are forbidden by the environment.
    """
    from baselines.training.compose import compose

    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise UsageError("HF_HUB_OFFLINE is set, which forbids downloads: unset it for `imageclef fetch`")
    config = compose([f"experiment={args.experiment}"])
    console = Console(stderr=True, highlight=False)
    if config.model.weights != PRETRAINED:
        console.print(
            f"{args.experiment} uses no pretrained weights (model.weights is {config.model.weights}): nothing to fetch"
        )
        return 0
    for source in get_task(config.task).module("model").pretrained_weights(config):
        console.print(f"fetching {source}", markup=False)
        fetch_weights(source, args.experiment)
    return 0
