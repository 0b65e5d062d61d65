"""Language models that a file describes: architecture and tokenizer are texts in the buffers of a network.

``model.safetensors`` then holds all of a model of transformers without pickle. A description is hostile input.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers.utils import logging

_Model = TypeVar("_Model", bound=nn.Module)

MAX_LAYERS = 200  # of a network that a file describes


def to_bytes(text: str) -> Tensor:
    """Return a text as a tensor, ``(N,) uint8``."""
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())


def to_text(encoded: Tensor) -> str:
    """Return the text of :func:`to_bytes`.

    Raises:
        UnicodeDecodeError: If it is none.
    """
    return encoded.to(torch.uint8).cpu().numpy().tobytes().decode()


def refuse_deep(config: Any) -> None:
    """Refuse a configuration of transformers with more than :data:`MAX_LAYERS` layers.

    Raises:
        ValueError: If it has.
    """
    layers = max(int(getattr(config, name, None) or 0) for name in ("num_hidden_layers", "encoder_layers", "decoder_layers"))
    if layers > MAX_LAYERS:
        raise ValueError(f"{layers} layers")


def build_described(build: Callable[[], _Model], weights: Iterable[Tensor]) -> _Model:
    """Build the network of a description, if its file holds as many weights; to measure it takes no memory.

    Args:
        build: Builds the network, with random weights.
        weights: What the file holds of it.

    Raises:
        ValueError: If the network has more than twice the weights; somewhat more, since what is never used isn't kept.
    """
    with torch.device("meta"):
        wanted = sum(each.numel() for each in build().parameters())
    if wanted > 2 * sum(each.numel() for each in weights):
        raise ValueError("the weights are those of a smaller one")
    return build()


@contextlib.contextmanager
def quiet(*, warnings: bool) -> Iterator[None]:
    """Keep transformers from progress bars and, without ``warnings``, from warnings."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    if not warnings:
        logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
