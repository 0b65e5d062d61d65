"""The cards of the two VQA-Med tasks, and their part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from baselines.core import config
from baselines.core.config import Count, NonNegative, PositiveInt, Range, Share
from baselines.core.tasks import Metric, TaskCard
from baselines.medical.options import ImageDataConfig as DataConfig
from baselines.medical.options import TextConfig

__all__ = ("CARDS", "DataConfig", "ModelConfig")

_EXAMPLE_IDS = ("synpic10001", "synpic10002")

CARDS = (
    TaskCard(
        id="vqa",
        package="baselines.medical.vqa",
        version="2021.1",
        predicts="answer to a question on an image",
        baseline="image + question fusion model",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(
            Metric("accuracy", "share of images whose answer equals a reference, both normalised"),
            Metric("bleu", "mean over images of the best BLEU over the references, as NLTK 3.2.2 computes it"),
            Metric("bleu_nltk33", "the same as NLTK computes it from 3.3 on"),
        ),
        run_file="run.txt",  # this project's name: the campaign prescribed none that is known
        secondary="bleu",
        example_ids=_EXAMPLE_IDS,
        example_truth="synpic10001|pulmonary embolism\nsynpic10002|brain aneurysm|cerebral aneurysm\n",
    ),
    TaskCard(
        id="vqg",
        package="baselines.medical.vqa",
        version="2021.1",
        predicts="questions about an image",
        baseline="the encoder-decoder captioner, on questions",
        unit="image",
        splits=("train", "val", "test"),
        metrics=(
            Metric("bleu", "mean over images of the best BLEU of any question and reference, as NLTK 3.2.2 computes it"),
            Metric("bleu_nltk33", "the same as NLTK computes it from 3.3 on"),
        ),
        run_file="run.txt",  # this project's name, as above
        example_ids=_EXAMPLE_IDS,
        example_truth="synpic10001|what is abnormal in the ct scan?\nsynpic10002|is this a ct scan?|what is the diagnosis?\n",
    ),
)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(config.ModelConfig):
    """The network.

    Attributes:
        name: ``fusion`` chooses among the training answers, ``generative`` writes any (``vqa``); ``captioner``, ``retrieval``,
            ``words`` and ``constant`` write questions (``vqg``, see :mod:`baselines.medical.texts`).
        backbone: Name of a timm backbone for the image.
        level: Which of the backbone's feature maps is attended to: 1 is the last, 2 the one before it, with more
            and smaller cells.
        question_encoder: ``None`` trains a small transformer with its own tokenizer; or a folder with a model of transformers,
            or the name of one on the Hugging Face Hub, which is only downloaded with ``weights=pretrained``.
        question_layers: Layers of the small question encoder.
        inputs: What the network sees: ``both``, or the ``image`` or the ``question`` alone, to know what each is worth.
        width: Width of the fusion, and of the small question encoder.
        layers: Layers of cross-attention between question and image.
        heads: Attention heads of a layer.
        dropout: Dropout of the fusion and before the classifier.
        label_smoothing: Share of the target that is spread over all answers that fit the question's form (this and what follows
            but for ``text``: ``fusion`` alone).
        mixup: Parameter of the Beta distribution that two images of a batch and their answers are mixed with; 0 mixes none.
        balance: How far rare answers are preferred: the share of the answers' log frequencies that the training adds to the
            scores and the prediction doesn't; 0 keeps the frequencies of training, 1 takes all answers for equally frequent.
        modality_candidates: How many of the best answers are looked through for one that was seen with the modality that the
            question names, where the best is doubtful; 0 looks at none.
        modality_doubt: Highest probability at which the best answer is doubtful.
        text: How texts are modelled and decoded where they are generated; see :class:`TextConfig`.
    """

    name: Literal["fusion", "generative", "captioner", "retrieval", "words", "constant"] = "fusion"
    backbone: str = "resnet50"
    level: Annotated[int, Range(1, 3)] = 1
    question_encoder: str | None = None
    question_layers: PositiveInt = 2
    inputs: Literal["both", "image", "question"] = "both"
    width: PositiveInt = 256
    layers: PositiveInt = 2
    heads: PositiveInt = 8
    dropout: Share = 0.1
    label_smoothing: Annotated[float, Range(0, 0.9)] = 0.1
    mixup: NonNegative = 0.2
    balance: Annotated[float, Range(0, 2)] = 0.0
    modality_candidates: Count = 8
    modality_doubt: Share = 0.5
    text: TextConfig = field(default_factory=TextConfig)
