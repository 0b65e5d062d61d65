"""The modules of ``vqg``: those of :mod:`baselines.medical.texts` with several questions an image."""

from __future__ import annotations

from collections.abc import Sequence

from baselines.core.config import Config
from baselines.medical.language import constant_questions
from baselines.medical.texts import Attention, TextModule, Texts, TextTask, build_text_module
from baselines.medical.vqa.data import VqaData
from baselines.medical.vqa.records import Prediction
from baselines.medical.vqa.task import ModelConfig

FALLBACK = "what is shown in the image?"  # for an image about which a model says nothing: a run must not have a blank question


def build_questioner(config: Config, data: VqaData) -> TextModule:
    """Return the module that the configuration names.

    Raises:
        InvalidInput: If the model or its weights can't be had.
    """
    model = config.model
    assert isinstance(model, ModelConfig)
    count = model.text.questions
    task = TextTask(
        train={} if data.predicts_only else _questions(data, "train"),
        val={} if data.predicts_only else _questions(data, "val"),
        count=count,
        constant=lambda questions: constant_questions(questions, count),
        prediction=_prediction,
        written=lambda prediction: prediction.texts,
    )
    return build_text_module(config, task)


def _questions(data: VqaData, split: str) -> Texts:
    return {sample.id: sample.truth.texts for sample in data.split(split).samples if sample.truth is not None}


def _prediction(name: str, texts: Sequence[str], attention: Attention | None) -> Prediction:
    return Prediction(name, tuple(text for text in texts if text) or (FALLBACK,), attention)
