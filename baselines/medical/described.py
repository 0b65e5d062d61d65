"""Architectures and tokenizers as texts in the buffers of a network, which ``model.safetensors`` then holds without pickle."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

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
