"""The modules of the VQA-Med tasks by name."""

from __future__ import annotations

from pathlib import Path

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.medical.texts import published_sources
from baselines.medical.vqa.answering import AnsweringModule
from baselines.medical.vqa.data import VqaData
from baselines.medical.vqa.generation import build_questioner
from baselines.medical.vqa.task import ModelConfig
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule


def build_module(config: Config, data: BaselineDataModule) -> BaselineModule:
    """Return the module that trains the network of the configuration.

    Raises:
        InvalidInput: If the network is one of the other task, or its weights can't be had.
    """
    assert isinstance(data, VqaData)
    answers = config.task == "vqa"
    if (config.model.name == "fusion") != answers:
        hint = f"{config.task} has {'fusion' if answers else 'captioner, retrieval, words or constant'}"
        raise invalid("CONFIG-VALUE", "model.name is a model of the other task", value=config.model.name, hint=hint)
    return AnsweringModule(config, data) if answers else build_questioner(config, data)


def pretrained_weights(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    model = config.model
    assert isinstance(model, ModelConfig)
    if config.task == "vqg":
        return published_sources(config)
    encoder = model.question_encoder
    texts = [f"transformers/{encoder}"] if encoder and not Path(encoder).is_dir() and model.inputs != "image" else []
    return [f"timm/{model.backbone}", *texts] if model.inputs != "question" else texts
