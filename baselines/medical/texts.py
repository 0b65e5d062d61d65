"""The modules that write texts about images: the captioner, and what it has to beat.

``captioner`` is the encoder-decoder of :mod:`baselines.medical.captioner`. The others are the bar: ``constant`` writes the same
text for every image, chosen for the highest expected BLEU over the training texts; ``words`` predicts which words occur and
writes them in their usual order; ``retrieval`` copies the texts of the nearest training images. ``constant`` is fitted without
training, and ``retrieval`` may be (``trainer.max_steps=0``), with the features that the backbone's weights give.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from baselines.core.config import Config
from baselines.core.findings import invalid
from baselines.core.metrics.text import best_bleu, clean
from baselines.medical.captioner import (
    IGNORED,
    Captioner,
    Hypothesis,
    described_decoder,
    published_decoder,
    small_decoder,
)
from baselines.medical.described import to_bytes, to_text
from baselines.medical.language import References, best_set, climb, in_order, precedence, surface_words
from baselines.medical.options import TextConfig
from baselines.training.data import BaselineDataModule
from baselines.training.module import BaselineModule
from baselines.training.weights import PRETRAINED, timm_backbone

MAX_WORDS = 2000  # that ``words`` predicts, the most frequent ones
SCALES = np.arange(0.5, 2.55, 0.1)  # tried for the number of words, as a multiple of the expected one

Attention = NDArray[np.float16]  # (W, h, w): a grid for each word
Texts = Mapping[str, Sequence[str]]  # what is true of an image, by id


@dataclass(frozen=True, kw_only=True)
class TextTask:
    """What a task wants to be written, and the texts there are.

    Attributes:
        train: The texts of the training images by id; empty where a trained model only predicts.
        val: Those of the held-out images.
        count: Most texts of an image.
        constant: Chooses texts for every image from those of each training image.
        prediction: Makes a prediction of an id, its texts, and where the model looked for each word of the first one.
        written: Returns the texts of a prediction.
    """

    train: Texts
    val: Texts
    count: int
    constant: Callable[[Sequence[Sequence[str]]], list[str]]
    prediction: Callable[[str, Sequence[str], Attention | None], Any]
    written: Callable[[Any], Sequence[str]]


def build_text_module(config: Config, task: TextTask) -> TextModule:
    """Return the module that the configuration names; ``config.model`` has a ``backbone`` and a ``text``.

    Raises:
        InvalidInput: If the model or its weights can't be had.
    """
    model: Any = config.model
    if model.name == "constant":
        return ConstantModule(config, task)
    encoder = timm_backbone(model.backbone, model.weights, config.experiment, num_classes=0)
    if model.name == "captioner":
        return CaptionerModule(config, task, encoder)
    return (RetrievalModule if model.name == "retrieval" else WordsModule)(config, task, encoder)


def published_sources(config: Config) -> list[str]:
    """Return the sources of published weights that the configuration asks for."""
    model: Any = config.model
    if model.name == "constant":
        return []
    decoder = model.text.decoder if model.name == "captioner" else None
    published = [f"transformers/{decoder}"] if decoder and not Path(decoder).is_dir() else []
    return [f"timm/{model.backbone}", *published]


class TextModule(BaselineModule):
    """What the modules have in common: images, true texts, and BLEU as the validation metric.

    A subclass writes texts in :meth:`write`.

    Args:
        config: The run's configuration.
        task: What is to be written.
        network: The network.
    """

    fitted = ("memory_",)

    def __init__(self, config: Config, task: TextTask, network: nn.Module) -> None:
        super().__init__(config, network)
        self.task = task
        self.options: TextConfig = cast("Any", config.model).text
        self._sums = torch.zeros(2, dtype=torch.float64)  # of BLEU, and of images

    def images(self, batch: Any) -> Tensor:
        """Return the images ``(B, 3, H, W) float`` as the backbone wants them, of ``uint8`` RGB."""
        images: Tensor = batch["images"].float() / 255
        statistics = cast("Any", self.network).encoder.pretrained_cfg
        mean, std = (images.new_tensor(statistics[name])[:, None, None] for name in ("mean", "std"))
        return (images - mean) / std

    def write(self, batch: Any) -> list[list[str]]:
        """Return the texts of each image of a batch, the best first."""
        raise NotImplementedError

    @override
    def decode(self, batch: Any) -> list[Any]:
        """Return the predictions of a batch."""
        return [self.task.prediction(name, texts, None) for name, texts in zip(batch["ids"], self.write(batch), strict=True)]

    @override
    def reset_validation(self) -> None:
        """Forget all scores."""
        self._sums.zero_()

    @override
    def update_validation(self, batch: Any, predictions: Sequence[Any]) -> None:
        """Add up the BLEU of a batch."""
        for name, prediction in zip(batch["ids"], predictions, strict=True):
            scores = best_bleu(map(clean, self.task.val[name]), map(clean, self.task.written(prediction)))
            self._sums += torch.tensor([scores.bleu, 1.0], dtype=torch.float64)

    @override
    def compute_validation(self) -> dict[str, float]:
        """Return ``bleu`` as the scorer computes it."""
        total, count = self.sum_over_processes(self._sums).tolist()
        return {"bleu": total / count if count else 0.0}

    def remember(self, name: str, value: Any) -> None:
        """Keep a value as JSON in a buffer of the network."""
        setattr(self.network, name, to_bytes(json.dumps(value)).to(self.device))

    def recall(self, name: str) -> Any:
        """Return what :meth:`remember` kept, lists of texts.

        Raises:
            InvalidInput: If a file has brought something else.
        """
        try:
            value = json.loads(to_text(getattr(self.active, name)))
            if not all(isinstance(text, str) for texts in value for text in ([texts] if isinstance(texts, str) else texts)):
                raise TypeError("not texts")  # noqa: TRY301
        except (ValueError, TypeError, RecursionError) as error:
            hint = "take the file from a copy, or train again"
            raise invalid("WEIGHTS-DAMAGED", f"{name} can't be read", value=str(error), hint=hint) from error
        return value


class ConstantModule(TextModule):
    """Writes the same texts for every image: the ones of the highest expected BLEU over the training texts."""

    def __init__(self, config: Config, task: TextTask) -> None:
        if config.trainer.max_steps:
            hint = "set trainer.max_steps=0"
            raise invalid("CONFIG-VALUE", "model.name=constant has nothing to train", value=config.trainer.max_steps, hint=hint)
        network = nn.Module()
        network.register_buffer("memory_texts", to_bytes("[]"))
        super().__init__(config, task, network)

    @override
    def calibrate(self, data: BaselineDataModule) -> None:
        """Choose the texts."""
        self.remember("memory_texts", self.task.constant(list(self.task.train.values())))

    @override
    def write(self, batch: Any) -> list[list[str]]:
        """Return them."""
        return [self.recall("memory_texts") for _ in batch["ids"]]


# ------------------------------------------------------------------------------------------------------- encoder-decoder


class CaptionerModule(TextModule):
    """Trains the encoder-decoder by likelihood, and decodes by likelihood or for the expected BLEU.

    Args:
        config: The run's configuration.
        task: What is to be written.
        encoder: The image encoder.
    """

    class_dependent = ("decoder.", "project.")

    def __init__(self, config: Config, task: TextTask, encoder: nn.Module) -> None:
        model: Any = config.model
        options: TextConfig = model.text
        if options.decoding == "climb" and task.count > 1:
            hint = "set model.text.questions=1, or model.text.decoding=risk"
            raise invalid("CONFIG-VALUE", "model.text.decoding=climb writes one text an image", value=task.count, hint=hint)
        decoder = None
        if task.train:
            if options.decoder:
                may_download = model.weights == PRETRAINED
                decoder = published_decoder(options.decoder, may_download=may_download, experiment=config.experiment)
            else:
                decoder = small_decoder((text for texts in task.train.values() for text in texts), options)
        super().__init__(config, task, Captioner(encoder, options.dropout, decoder))

    @property
    def is_validating(self) -> bool:
        """Whether this is a validation while training."""
        return self._trainer is not None and self.trainer.validating

    @property
    def captioner(self) -> Captioner:
        """The network in use."""
        return cast("Captioner", self.active)

    @override
    def fit_shapes(self, weights: Mapping[str, Tensor]) -> None:
        """Build the decoder that a file describes, where it isn't the own one."""
        network, prefix = cast("Captioner", self.network), "decoder."
        described = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
        own = getattr(network, "decoder", None)
        if own is None or not _same(own.architecture, described) or not _same(own.tokenizer_json, described, "tokenizer_json"):
            network.attach(described_decoder(described))

    @override
    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return the cross-entropy of a true text of each image, one of several at random."""
        texts = [self.task.train[name] for name in batch["ids"]]
        picked = [each[int(torch.randint(len(each), ()))] for each in texts]
        tokens, labels = self.captioner.decoder.encode(picked, self.options.max_tokens)
        logits = self(self.images(batch), tokens)
        smoothing = self.options.label_smoothing
        return {
            "text": F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, label_smoothing=smoothing)
        }

    @override
    def write(self, batch: Any) -> list[list[str]]:
        """Search for texts, or draw them, in float32 whatever the precision of training: the images beside must not matter.

        Draws take too long for a validation, so that searches with beams in any case.
        """
        with torch.autocast(self.device.type, enabled=False):
            images = self.images(batch)
            if self.options.decoding == "beam" or self.is_validating:
                return [self._distinct(found) for found in self.captioner.search(images, self.options, self.task.count)]
            return [self._choose(found) for found in self.captioner.sample(images, batch["ids"], self.options)]

    @staticmethod
    def _distinct(found: Sequence[Hypothesis]) -> list[str]:
        """Return the first of those texts that the score can't tell apart."""
        first = {clean(each.text): each.text for each in reversed(found)}
        return [first[tokens] for tokens in dict.fromkeys(clean(each.text) for each in found)]

    def _choose(self, drawn: Sequence[str]) -> list[str]:
        """Return the texts of the highest expected BLEU, if what is drawn may be true."""
        cleaned = [clean(text) for text in drawn]
        references = References(cleaned)
        chosen = best_set(references.distinct, references, self.task.count)
        if self.options.decoding == "risk":
            return [drawn[cleaned.index(references.distinct[index])] for index in chosen]
        counts = Counter(word for text in cleaned for word in set(text))
        words = sorted(word for word, count in counts.items() if count > 1)  # what is drawn once is mostly chance
        surfaces = surface_words(drawn)
        return [" ".join(surfaces[word] for word in climb(references.distinct[chosen[0]], references, words))]

    @override
    def predict_step(self, batch: Any, batch_idx: int) -> list[Any]:
        """Return the predictions of a batch, with where the model looked for the words of each first text."""
        found = self.write(batch)
        with torch.autocast(self.device.type, enabled=False):
            maps = self.captioner.attention(self.images(batch), [texts[0] for texts in found], self.options.max_tokens)
        return [self.task.prediction(*each) for each in zip(batch["ids"], found, maps, strict=True)]


def _same(own: Tensor, weights: Mapping[str, Tensor], name: str = "architecture") -> bool:
    return name in weights and torch.equal(own.cpu(), weights[name].cpu())


# ------------------------------------------------------------------------------------------------ words, and retrieval


class WordNetwork(nn.Module):
    """A backbone whose pooled features say which words occur.

    Args:
        encoder: A timm model without classifier.
        words: How many words there are.
    """

    def __init__(self, encoder: nn.Module, words: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(int(cast("Any", encoder.num_features)), words)
        self.register_buffer("memory_words", to_bytes("[]"))
        self.register_buffer("memory_order", torch.zeros(words, words))
        self.register_buffer("memory_scale", torch.ones(()))
        self.register_buffer("memory_index", torch.zeros(0, 0))
        self.register_buffer("memory_texts", to_bytes("[]"))

    def embed(self, images: Tensor) -> Tensor:
        """Return the pooled features ``(B, D)`` of images ``(B, 3, H, W)``."""
        encoder: Any = self.encoder
        return encoder.forward_head(encoder.forward_features(images), pre_logits=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, V)`` of the words."""
        return self.head(self.embed(images))


class WordsModule(TextModule):
    """Predicts which words occur in an image's text, and writes them in their usual order.

    After what is known of the system that won the captions of 2021: features of a residual network, and a classifier of words
    with several labels. How it chose and ordered the words is not known; here their number is the expected one times a factor
    that is best for BLEU on training images set aside, and each stands before those that it mostly precedes in training.

    Args:
        config: The run's configuration.
        task: What is to be written.
        encoder: The image encoder.
    """

    class_dependent = ("head.",)
    sets_aside = True

    def __init__(self, config: Config, task: TextTask, encoder: nn.Module) -> None:
        cleaned = {name: [clean(text) for text in texts] for name, texts in task.train.items()}
        counts = Counter(word for texts in cleaned.values() for word in {word for text in texts for word in text})
        repeated = [word for word in counts if counts[word] > 1] or list(counts) or [""]
        self.words = sorted(repeated, key=lambda word: (-counts[word], word))[:MAX_WORDS]
        network = WordNetwork(encoder, len(self.words))
        super().__init__(config, task, network)
        index = {word: number for number, word in enumerate(self.words)}
        self.occurring = {
            name: sorted({index[word] for text in texts for word in text if word in index}) for name, texts in cleaned.items()
        }
        if task.train:
            surfaces = surface_words(text for texts in task.train.values() for text in texts)
            for each in filter(None, (self.network, self.averaged)):
                cast("Any", each).memory_words = to_bytes(json.dumps([surfaces.get(word, word) for word in self.words]))
                order = precedence((text for texts in cleaned.values() for text in texts), self.words)
                cast("Any", each).memory_order = torch.from_numpy(order)

    @override
    def fit_shapes(self, weights: Mapping[str, Tensor]) -> None:
        """Make a head of as many words as the file has."""
        super().fit_shapes(weights)
        network = cast("WordNetwork", self.network)
        if "head.weight" in weights and weights["head.weight"].shape != network.head.weight.shape:
            network.head = nn.Linear(network.head.in_features, len(weights["head.weight"]))

    def is_set_aside(self, name: str) -> bool:
        """Whether a training image is left for tuning; its id alone decides."""
        return self.sets_aside and zlib.crc32(name.encode()) < self.options.set_aside * 2**32

    @override
    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return the binary cross-entropy of the words, over the images that are not set aside."""
        logits = self(self.images(batch))
        targets = torch.zeros_like(logits)
        for row, name in zip(targets, batch["ids"], strict=True):
            row[self.occurring[name]] = 1
        kept = targets.new_tensor([not self.is_set_aside(name) for name in batch["ids"]])
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
        return {"words": (losses * kept).sum() / kept.sum().clamp(min=1)}

    @override
    def calibrate(self, data: BaselineDataModule) -> None:
        """Choose the number of words, as a multiple of the expected number, on the images set aside."""
        found: dict[str, NDArray[np.float32]] = {}
        for batch in map(self.to_device, data.loader(data.predict_dataset("train"))):
            probabilities = self(self.images(batch)).float().sigmoid().cpu().numpy()
            found |= {name: row for name, row in zip(batch["ids"], probabilities, strict=True) if self.is_set_aside(name)}
        if found:
            references = {name: [clean(text) for text in self.task.train[name]] for name in found}
            words = self.recall("memory_words")
            means = [
                np.mean(
                    [
                        best_bleu(references[name], [clean(self._sentence(row, words, scale))]).bleu
                        for name, row in found.items()
                    ]
                )
                for scale in SCALES
            ]
            cast("Any", self.network).memory_scale = torch.tensor(float(SCALES[int(np.argmax(means))]), device=self.device)

    @override
    def write(self, batch: Any) -> list[list[str]]:
        """Return the most probable words in order."""
        probabilities = self(self.images(batch)).float().sigmoid().cpu().numpy()
        words, scale = self.recall("memory_words"), float(cast("Any", self.active).memory_scale)
        return [[self._sentence(row, words, scale)] for row in probabilities]

    def _sentence(self, probabilities: NDArray[np.float32], words: Sequence[str], scale: float) -> str:
        count = max(1, round(scale * float(probabilities.sum())))
        chosen = np.argsort(-probabilities, kind="stable")[:count].tolist()
        order = cast("Any", self.active).memory_order.cpu().numpy()
        return " ".join(words[index] for index in in_order(chosen, order))


class RetrievalModule(WordsModule):
    """Copies the texts of the nearest training images, by the cosine of the backbone's pooled features.

    Of several neighbours' texts it takes those of the highest expected BLEU, if the neighbours' texts are what may be true
    (Devlin and others, 2015, "Exploring nearest neighbor approaches for image captioning"). The words train the features.
    """

    sets_aside = False

    @override
    def calibrate(self, data: BaselineDataModule) -> None:
        """Remember features and texts of all training images."""
        batches = [self.to_device(batch) for batch in data.loader(data.predict_dataset("train"))]
        network: Any = self.network
        network.memory_index = torch.cat([self._embed(batch) for batch in batches])
        names = [name for batch in batches for name in batch["ids"]]
        self.remember("memory_texts", [list(self.task.train[name]) for name in names])

    @override
    def write(self, batch: Any) -> list[list[str]]:
        """Return texts of the neighbours; while training there is no index yet, and the words are written."""
        network: Any = self.active
        if not len(network.memory_index):
            return super().write(batch)
        texts = self.recall("memory_texts")
        near = (self._embed(batch) @ network.memory_index.T).topk(min(self.options.neighbours, len(texts)), 1).indices
        return [self._choose([text for index in row for text in texts[index]]) for row in near.tolist()]

    def _embed(self, batch: Any) -> Tensor:
        return F.normalize(cast("Any", self.active).embed(self.images(batch)).float(), dim=1)

    def _choose(self, texts: Sequence[str]) -> list[str]:
        cleaned = [clean(text) for text in texts]
        return [texts[index] for index in best_set(cleaned, References(cleaned), self.task.count)]
