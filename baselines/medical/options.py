"""The parts of the configuration that the tasks on single radiology images share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from baselines.core import config
from baselines.core.config import Count, NonNegative, PositiveInt, Range, Share


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How texts about an image are modelled and decoded; ``model.text`` of the configuration.

    Attributes:
        decoder: Name or folder of a published language model of transformers that can attend to an image (BERT, RoBERTa, GPT-2,
            BART, or a biomedical one of their kind), with its own tokenizer; ``None`` trains a small GPT-2 and a
            tokenizer from scratch. A name is downloaded only with ``model.weights=pretrained``.
        vocabulary: Most tokens of a tokenizer from scratch; at least the 256 bytes and three special ones.
        width: Width of the decoder from scratch, a multiple of ``heads``.
        layers: Its layers.
        heads: Its attention heads.
        dropout: Its dropout, and that of the image's features.
        label_smoothing: Share of the target probability that is spread over all tokens (Szegedy and others, 2016).
        max_tokens: Most tokens of a text; longer ones are cut in training.
        min_tokens: Fewest tokens of a decoded text.
        beams: Beams of the search; it finds at most as many texts.
        length_penalty: A text's log-probability is divided by its tokens to this power: 0 prefers short texts, more than 1 long
            ones.
        decoding: ``beam`` takes the most probable texts. ``risk`` draws texts and takes those of the highest expected BLEU, if
            all that are drawn may be true (Kumar and Byrne, 2004). ``climb`` changes the best of these word by word for as long
            as its expected BLEU rises (one text alone): a list of words that scores, and no sentence. Validations while
            training search with beams in any case.
        samples: Texts drawn for an image by ``risk`` and ``climb``.
        nucleus: Each token is drawn from the most probable ones that make up this share (Holtzman and others, 2020); the rest
            is mostly what label smoothing has put there.
        neighbours: How many of the nearest training images ``retrieval`` looks at; of their texts it takes those of the highest
            expected BLEU.
        questions: Most questions of an image (``vqg``).
        set_aside: Share of the training images that are not trained on where a part of the model is tuned after training: the
            number of words of ``words``.
    """

    decoder: str | None = None
    vocabulary: Annotated[int, Range(259, 200_000)] = 4000
    width: PositiveInt = 256
    layers: PositiveInt = 4
    heads: PositiveInt = 8
    dropout: Share = 0.1
    label_smoothing: Annotated[float, Range(0, 0.9)] = 0.1
    max_tokens: Annotated[int, Range(2, 1024)] = 64
    min_tokens: Count = 1
    beams: PositiveInt = 4
    length_penalty: NonNegative = 1.0
    decoding: Literal["beam", "risk", "climb"] = "beam"
    samples: Annotated[int, Range(1, 1000)] = 24
    nucleus: Annotated[float, Range(0.01, 1)] = 0.9
    neighbours: PositiveInt = 1
    questions: PositiveInt = 7
    set_aside: Annotated[float, Range(0.01, 0.5)] = 0.1


@dataclass(frozen=True, kw_only=True)
class ImageDataConfig(config.DataConfig):
    """How radiology images become tensors.

    Attributes:
        image_side: Side of the square that an image is scaled into, in pixels; what it lacks to a square is black.
        scale: Largest random change of size of a training image, as a share.
        shift: Largest random shift, as a share of the side.
        rotate: Largest random rotation, in degrees.
        flip: Probability of mirroring left and right; texts that name a side become wrong by it.
        contrast: Largest random change of brightness and contrast, as a share.
        cutout: Probability of blackening small rectangles.
    """

    image_side: Annotated[int, Range(32, 2048)] = 384
    scale: Annotated[float, Range(0, 0.5)] = 0.15
    shift: Annotated[float, Range(0, 0.5)] = 0.05
    rotate: Annotated[float, Range(0, 180)] = 10.0
    flip: Share = 0.0
    contrast: Annotated[float, Range(0, 0.9)] = 0.2
    cutout: Share = 0.0
