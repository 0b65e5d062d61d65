"""What this machine computes on, and how precisely it had best do so."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path
from typing import Literal

import torch

from baselines.core.config import TrainerConfig

AMPERE = (8, 0)  # compute capability of the first graphics cards with units for bfloat16
BFLOAT16_FEATURES = ("avx512_bf16", "amx_bf16")  # of processors; without them bfloat16 is emulated, slower than float32


def device_name(device: torch.device) -> str:
    """Return the name of a graphics card, or of the processor with its number of usable cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {torch.get_num_threads()} threads"


def precision_of(settings: TrainerConfig) -> Literal["32", "bf16"]:
    """Return the precision to compute in: the configured one; of ``auto``, ``bf16`` where the device has units for it.

    Some releases of PyTorch do not tell what a processor has; with them ``auto`` is ``32`` on processors.
    """
    if settings.precision != "auto":
        return settings.precision
    if settings.accelerator != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.get_device_capability() >= AMPERE else "32"
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if any(features.get(name) for name in BFLOAT16_FEATURES) else "32"
