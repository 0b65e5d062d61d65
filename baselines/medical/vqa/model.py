"""The modules of the VQA-Med tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.medical.texts import published_sources
from baselines.medical.vqa.answering import AnsweringModule
from baselines.medical.vqa.data import VqaData
from baselines.medical.vqa.generating import GeneratingModule
from baselines.medical.vqa.generation import build_questioner
from baselines.medical.vqa.task import ModelConfig
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule

ANSWERING: dict[str, Callable[[Config, VqaData], BaselineModule]] = {"fusion": AnsweringModule, "generative": GeneratingModule}
QUESTIONING = dict.fromkeys(("captioner", "retrieval", "words", "constant"), build_questioner)


def build_module(config: Config, data: BaselineDataModule) -> BaselineModule:
    """Return the module that trains the network of the configuration.

    Raises:
        InvalidInput: If the network is one of the other task, or its weights can't be had.
    """
    assert isinstance(data, VqaData)
    name, modules = config.model.name, ANSWERING if config.task == "vqa" else QUESTIONING
    if name not in modules:
        hint = f"{config.task} has {', '.join(modules)}"
        raise invalid("CONFIG-VALUE", "model.name is a model of the other task", value=name, hint=hint)
    return modules[name](config, data)


def pretrained_weights(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    model = config.model
    assert isinstance(model, ModelConfig)
    if config.task == "vqg":
        return published_sources(config)
    decoder = model.text.decoder if model.name == "generative" else None
    asked = [model.question_encoder if model.inputs != "image" else None, decoder]
    texts = [f"transformers/{name}" for name in asked if name and not Path(name).is_dir()]
    return [f"timm/{model.backbone}", *texts] if model.inputs != "question" else texts
