"""The modules of the VQA-Med tasks by name."""

from __future__ import annotations

from pathlib import Path

from baselines.core.config import Config
from baselines.medical.vqa.answering import AnsweringModule
from baselines.medical.vqa.data import VqaData
from baselines.medical.vqa.task import ModelConfig
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule


def build_module(config: Config, data: BaselineDataModule) -> BaselineModule:
    """Return the module that trains the network of the configuration.

    Raises:
        InvalidInput: If the network or its weights can't be had.
    """
    assert isinstance(data, VqaData)
    return AnsweringModule(config, data)


def pretrained_weights(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    model = config.model
    assert isinstance(model, ModelConfig)
    encoder = model.question_encoder
    texts = [f"transformers/{encoder}"] if encoder and not Path(encoder).is_dir() and model.inputs != "image" else []
    return [f"timm/{model.backbone}", *texts] if model.inputs != "question" else texts
