"""The precision that a machine had best compute in."""

from __future__ import annotations

import pytest
import torch

from baselines.core.config import TrainerConfig
from baselines.training.devices import device_name, precision_of


def processor(monkeypatch: pytest.MonkeyPatch, **features: bool) -> None:
    """Make this a machine without a graphics card whose processor has these features."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)


def card(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    """Make this a machine with a graphics card of that compute capability, beside a processor without bfloat16."""
    processor(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_named_precision_is_kept_on_every_machine(precision, monkeypatch):
    processor(monkeypatch, avx512_bf16=precision == "32")
    assert precision_of(TrainerConfig(precision=precision)) == precision


@pytest.mark.parametrize(("features", "expected"), [
    ({"avx512_bf16": True}, "bf16"),
    ({"amx_bf16": True, "avx512_bf16": False}, "bf16"),
    ({"avx512_f": True, "avx512_bf16": False}, "32"),
    ({}, "32"),
])  # fmt: skip
def test_auto_is_bfloat16_on_processors_that_have_units_for_it(features, expected, monkeypatch):
    processor(monkeypatch, **features)
    assert precision_of(TrainerConfig(precision="auto")) == expected


def test_auto_is_float32_where_pytorch_cannot_tell_what_the_processor_has(monkeypatch):
    processor(monkeypatch)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert precision_of(TrainerConfig(precision="auto")) == "32"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_asks_the_graphics_card_where_one_is_used(capability, expected, monkeypatch):
    card(monkeypatch, capability)
    assert precision_of(TrainerConfig(precision="auto")) == expected
    assert precision_of(TrainerConfig(precision="auto", accelerator="cpu")) == "32"


def test_a_processor_is_named_with_its_threads():
    assert f"{torch.get_num_threads()} threads" in device_name(torch.device("cpu"))
