"""The models of the caption tasks by name."""

from __future__ import annotations

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.medical.caption.concepts import ConceptModule
from baselines.medical.caption.data import CaptionData
from baselines.medical.caption.prediction import build_captioner
from baselines.medical.caption.records import CONCEPTS
from baselines.medical.caption.task import ModelConfig
from baselines.medical.texts import published_sources
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule


def build_module(config: Config, data: BaselineDataModule) -> BaselineModule:
    """Return the module that trains the model of the configuration.

    Raises:
        InvalidInput: If the model is one of the other caption task, or its weights can't be had.
    """
    assert isinstance(data, CaptionData)
    assert isinstance(config.model, ModelConfig)
    if (config.model.name == "concepts") != (config.task == CONCEPTS):
        fitting = "concepts" if config.task == CONCEPTS else "captioner, retrieval, words or constant"
        hint = f"{config.task} has {fitting}"
        raise invalid("CONFIG-VALUE", "model.name is a model of the other caption task", value=config.model.name, hint=hint)
    return ConceptModule(config, data) if config.task == CONCEPTS else build_captioner(config, data)


def pretrained_weights(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    assert isinstance(config.model, ModelConfig)
    return [f"timm/{config.model.backbone}"] if config.task == CONCEPTS else published_sources(config)
