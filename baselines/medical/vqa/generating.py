"""The module that writes answers word by word, so that it can give some that training has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from baselines.core.config import Config
from baselines.medical.captioner import IGNORED, Decoder, described_decoder, published_decoder, small_decoder
from baselines.medical.images import normalised
from baselines.medical.vqa.answering import VqaModule, build_fusion
from baselines.medical.vqa.data import Batch, VqaData
from baselines.medical.vqa.fusion import FusionNetwork
from baselines.medical.vqa.records import Prediction
from baselines.medical.vqa.task import ModelConfig
from baselines.training.weights import PRETRAINED

FALLBACK = "unknown"  # for a text without a character that a run can hold: a run must not have a blank answer
DECODER = "decoder."


class GeneratingNetwork(nn.Module):
    """A language model that attends to the fused answer's token and to the cells of the image.

    Args:
        fusion: Fuses image and question.
        decoder: The language model; where it is not known yet, :meth:`attach` adds it.
    """

    decoder: Decoder
    project: nn.Sequential

    def __init__(self, fusion: FusionNetwork, decoder: Decoder | None = None) -> None:
        super().__init__()
        self.fusion = fusion
        if decoder is not None:
            self.attach(decoder)

    def attach(self, decoder: Decoder) -> None:
        """Take a language model, and project to its width."""
        self.decoder = decoder
        self.project = nn.Sequential(nn.Linear(len(self.fusion.answer), decoder.width), nn.LayerNorm(decoder.width))

    def memory(self, images: Tensor, questions: Sequence[str]) -> Tensor:
        """Return what the language model attends to, ``(B, 1 + cells, width)``.

        The question is there as the answer's token has taken it in: tokens of its own would come with padding, and the answer
        would depend on the longest question of the batch.
        """
        answer, cells = self.fusion.fuse(self.fusion.features(images), questions)
        answer = answer[:, None]
        return self.project(answer if cells is None else torch.cat([answer, cells], 1))

    def forward(self, images: Tensor, questions: Sequence[str], tokens: Tensor) -> Tensor:
        """Return the logits ``(B, L, V)`` of the tokens that follow ``tokens`` ``(B, L)``."""
        return self.decoder(tokens, self.memory(images, questions), use_cache=False).logits


class GeneratingModule(VqaModule):
    """Trains the language model on the answers by likelihood, and writes the most probable answer that beam search finds.

    Args:
        config: The run's configuration.
        data: The data module, for the answers and the training questions.

    Raises:
        InvalidInput: If the network can't be had.
    """

    prefix = "fusion."
    class_dependent = ("fusion.text.", DECODER, "project.")

    def __init__(self, config: Config, data: VqaData) -> None:
        model = config.model
        assert isinstance(model, ModelConfig)
        decoder = None
        if not data.predicts_only and model.text.decoder:
            may_download = model.weights == PRETRAINED
            decoder = published_decoder(model.text.decoder, may_download=may_download, experiment=config.experiment)
        elif not data.predicts_only:
            decoder = small_decoder((text for truth in data.train_truths() for text in truth.texts), model.text)
        super().__init__(config, GeneratingNetwork(build_fusion(config, data, 0), decoder))

    @property
    def writer(self) -> GeneratingNetwork:
        """The network in use."""
        return cast("GeneratingNetwork", self.active)

    @override
    def fusion_of(self, network: nn.Module) -> FusionNetwork:
        """Return the part that fuses image and question."""
        return cast("GeneratingNetwork", network).fusion

    @override
    def fit_shapes(self, weights: Mapping[str, Tensor]) -> None:
        """Build the question encoder and the language model that a file describes, where they aren't the own ones."""
        super().fit_shapes(weights)
        network = cast("GeneratingNetwork", self.network)
        described = {name.removeprefix(DECODER): tensor for name, tensor in weights.items() if name.startswith(DECODER)}
        own = getattr(network, "decoder", None)
        names = ("architecture", "tokenizer_json")
        if own is None or not all(name in described and own.get_buffer(name).cpu().equal(described[name]) for name in names):
            network.attach(described_decoder(described))

    @override
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy of a reference answer of each image."""
        options = self.model.text
        texts = [each[int(torch.randint(len(each), ()))] for each in batch["texts"]]
        tokens, labels = self.writer.decoder.encode(texts, options.max_tokens)
        logits = self(normalised(batch["images"]), batch["questions"], tokens).float()
        loss = F.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, label_smoothing=options.label_smoothing
        )
        return {"answer": loss}

    @override
    def decode(self, batch: Batch) -> list[Prediction]:
        """Return the answer to each question."""
        options = self.model.text
        search: dict[str, Any] = {"num_beams": options.beams}
        if options.beams > 1:
            search["length_penalty"] = options.length_penalty
        memory = self.writer.memory(normalised(batch["images"]), batch["questions"])
        found = self.writer.decoder.generate(memory, options, **search).sequences.tolist()
        texts = [self.writer.decoder.text(row[1:]) or FALLBACK for row in found]
        return [Prediction(name, (text,)) for name, text in zip(batch["ids"], texts, strict=True)]
