"""The cards of the two caption tasks, and their part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from baselines.core import config
from baselines.core.config import NonNegative, PositiveInt, Range, Share
from baselines.core.tasks import Metric, TaskCard
from baselines.medical.options import ImageDataConfig, TextConfig

_EXAMPLE_IDS = ("synpic101", "synpic102")

CARDS = (
    TaskCard(
        id="caption-concepts",
        package="baselines.medical.caption",
        version="2021.1",
        predicts="UMLS concepts of an image",
        baseline="multi-label classifier and retrieval",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(Metric("f1", "mean over images of the F1 between true and predicted concepts"),),
        run_file="run.csv",  # this project's name: the campaign prescribed none that is known
        files=(
            "medical/caption/ImageCLEF2021_ConceptDetection_Training-Set/Training-Images/*.jpg",
            "medical/caption/ImageCLEF2021_ConceptDetection_Training-Set/Training_Set_Concepts.csv",
            "medical/caption/ImageCLEF2021_ConceptDetection_Validation-Set/Validation-Images/*.jpg",
            "medical/caption/ImageCLEF2021_ConceptDetection_Validation-Set/Validation_Set_Concepts.csv",
            "medical/caption/ImageCLEF2021_CaptionConceptsTasks_TestSet_444_Images/*.jpg",
        ),
        example_ids=_EXAMPLE_IDS,
        example_truth="synpic101\tC0040398;C0006141\nsynpic102\tC0024485;C0040398\n",
        experiment="concepts",
    ),
    TaskCard(
        id="caption-prediction",
        package="baselines.medical.caption",
        version="2021.1",
        predicts="one caption of an image",
        baseline="encoder-decoder captioner",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(
            Metric("bleu", "mean over images of BLEU as NLTK 3.2.2 computes it"),
            Metric("bleu_nltk33", "the same as NLTK computes it from 3.3 on"),
            Metric("rouge1_f", "mean over images of the F1 between true and predicted words"),
        ),
        run_file="run.csv",  # this project's name, as above
        files=(  # the names of the caption files are not known: these are the sample's
            "medical/caption/ImageCLEF2021_ConceptDetection_Training-Set/Training-Images/*.jpg",
            "medical/caption/ImageCLEF2021_ConceptDetection_Training-Set/Training_Set_Captions.csv",
            "medical/caption/ImageCLEF2021_ConceptDetection_Validation-Set/Validation-Images/*.jpg",
            "medical/caption/ImageCLEF2021_ConceptDetection_Validation-Set/Validation_Set_Captions.csv",
            "medical/caption/ImageCLEF2021_CaptionConceptsTasks_TestSet_444_Images/*.jpg",
        ),
        example_ids=_EXAMPLE_IDS,
        example_truth="synpic101\taxial computed tomography of the chest\nsynpic102\tfrontal chest radiograph with a mass\n",
        experiment="caption",
    ),
)


@dataclass(frozen=True, kw_only=True)
class DataConfig(ImageDataConfig):
    """How images become tensors.

    Attributes:
        set_aside: Share of the training images that the classifier of ``caption-concepts`` isn't trained on: thresholds,
            neighbours and the mixture of the two are tuned on them. They join the index that is looked up afterwards.
    """

    set_aside: Annotated[float, Range(0.01, 0.5)] = 0.15


@dataclass(frozen=True, kw_only=True)
class ModelConfig(config.ModelConfig):
    """The model.

    Attributes:
        name: ``concepts`` (``caption-concepts``); or ``captioner``, ``retrieval``, ``words`` or ``constant``
            (``caption-prediction``, see :mod:`baselines.medical.texts`).
        backbone: Name of a timm backbone.
        predict_by: What predicts concepts: the ``classifier``, the concepts of the ``nearest`` training images, or ``both``.
        loss: ``asymmetric`` (Ridnik and others, 2021), ``focal`` (Lin and others, 2017) or ``bce``, binary cross-entropy.
        focus_positive: Exponent that takes weight off present concepts that are easy (``asymmetric``).
        focus_negative: The same for absent concepts; of ``focal`` for both.
        margin: Probability below which an absent concept costs nothing (``asymmetric``).
        dropout: Dropout before the classifier.
        neighbours: Most training images that are looked up for an image.
        thresholds: ``global`` is one threshold, ``per_label`` one for each concept that the tuning images have often enough.
        text: How captions are modelled and decoded; see :class:`~baselines.medical.options.TextConfig`.
    """

    name: Literal["concepts", "captioner", "retrieval", "words", "constant"] = "concepts"
    backbone: str = "resnet50"
    predict_by: Literal["classifier", "nearest", "both"] = "both"
    loss: Literal["asymmetric", "focal", "bce"] = "asymmetric"
    focus_positive: NonNegative = 0.0
    focus_negative: NonNegative = 2.0
    margin: Share = 0.05
    dropout: Share = 0.2
    neighbours: PositiveInt = 32
    thresholds: Literal["global", "per_label"] = "global"
    text: TextConfig = field(default_factory=TextConfig)
