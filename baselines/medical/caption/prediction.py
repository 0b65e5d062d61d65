"""The modules of ``caption-prediction``: those of :mod:`baselines.medical.texts` with one caption an image."""

from __future__ import annotations

from collections.abc import Sequence

from baselines.core.config import Config
from baselines.medical.caption.data import CaptionData
from baselines.medical.caption.records import Prediction
from baselines.medical.language import constant_caption
from baselines.medical.texts import Attention, TextModule, Texts, TextTask, build_text_module


def build_captioner(config: Config, data: CaptionData) -> TextModule:
    """Return the module that the configuration names.

    Raises:
        InvalidInput: If the model or its weights can't be had.
    """
    known = not data.predicts_only
    task = TextTask(
        train=_captions(data, "train") if known else {},
        val=_captions(data, "val") if known else {},
        count=1,
        constant=lambda captions: [constant_caption([text for texts in captions for text in texts])],
        prediction=_prediction,
        written=lambda prediction: [prediction.caption],
    )
    return build_text_module(config, task)


def _captions(data: CaptionData, split: str) -> Texts:
    return {truth.id: (truth.caption,) for truth in data.truths(split)}


def _prediction(name: str, texts: Sequence[str], attention: Attention | None) -> Prediction:
    return Prediction(name, caption=texts[0], attention=attention)
