"""Building the detectors from their configuration."""

from __future__ import annotations

import pytest
from huggingface_hub import errors as hub_errors

from baselines.core.findings import InvalidInput
from baselines.drawnui.model import build_network
from baselines.drawnui.task import DataConfig, ModelConfig


def test_a_backbone_of_other_strides_is_a_finding_that_names_it():
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*strides.*vit_tiny") as caught:
        build_network(DataConfig(input="rgb"), ModelConfig(backbone="vit_tiny_patch16_224"), classes=2)
    assert caught.value.findings.error_count == 1


@pytest.mark.parametrize("own", [{"widths": (8, 8, 8, 8)}, {"stem_width": 8}])
@pytest.mark.parametrize(
    "wrong", [{"weights": "pretrained"}, {"backbone": "mobilenetv3_small_100"}, {"backbone": "resnetv2_18"}]
)
def test_widths_and_a_stem_of_your_own_need_a_resnet_without_published_weights(own, wrong):
    model = ModelConfig(**({"backbone": "resnet10t"} | own | wrong))
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*widths"):
        build_network(DataConfig(), model, classes=2)


@pytest.mark.parametrize("convolutions", [1, 3])
def test_the_tower_is_as_high_as_asked_for(convolutions):
    network = build_network(DataConfig(), ModelConfig(backbone="resnet10t", channels=8, tower=convolutions), classes=2)
    assert len(network.tower) == convolutions


def test_the_offline_message_names_the_experiment(monkeypatch):
    def refuse(*arguments, **keywords):
        raise hub_errors.LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(InvalidInput, match="imageclef fetch drawnui_wireframe"):
        build_network(DataConfig(), ModelConfig(weights="pretrained"), 2, "drawnui_wireframe")
