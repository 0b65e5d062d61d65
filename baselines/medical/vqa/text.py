"""Text encoders for questions: a small transformer that is trained here, or a pretrained one, each with its tokenizer.

Both are models of the transformers library. Tokenizer and architecture are JSON texts in buffers of the module, so that they
are saved with its weights: a trained model needs neither the folder nor the repository that its text encoder came from.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # or the library warns when loader processes are forked

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from baselines.core.findings import InvalidInput, invalid
from baselines.medical.described import build_described, quiet, refuse_deep, to_bytes, to_text
from baselines.training.weights import network_errors_explained

MAX_TOKENS = 64  # of a question; the campaign's have some 15 words at most
SPECIAL = ("[PAD]", "[UNK]", "[CLS]")  # of the small encoder's tokenizer
ATTENTION = "sdpa"  # always said, since a description could name code on the network here
OWN_KEY = "model.question_encoder"


class TextEncoder(nn.Module):
    """Turns questions into vectors, one for each token.

    Args:
        model: A transformers encoder.
        tokenizer: Its tokenizer.
    """

    architecture: Tensor
    tokenizer_json: Tensor

    def __init__(self, model: PreTrainedModel, tokenizer: Tokenizer) -> None:
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # type: ignore[assignment]  # makes one vector of a text, which nobody asks for
        self.model = model
        self.register_buffer("architecture", to_bytes(model.config.to_json_string(use_diff=False)))
        self.register_buffer("tokenizer_json", to_bytes(tokenizer.to_str()))
        self.read_tokenizer()
        self.register_load_state_dict_post_hook(lambda module, _: module.read_tokenizer())

    @property
    def width(self) -> int:
        """Length of a token's vector."""
        return int(self.model.config.hidden_size)

    def forward(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Encode questions.

        Args:
            questions: B texts; what one has beyond :data:`MAX_TOKENS` tokens is not looked at.

        Returns:
            Vectors ``(B, L, width) float``, and which of the L are tokens and not padding, ``(B, L) bool``.
        """
        encoded = self._tokenizer.encode_batch(list(questions))
        device = self.architecture.device
        tokens = torch.tensor([item.ids for item in encoded]).to(device, non_blocking=True)
        mask = torch.tensor([item.attention_mask for item in encoded]).to(device, non_blocking=True)
        return self.model(input_ids=tokens, attention_mask=mask).last_hidden_state, mask.bool()

    def read_tokenizer(self) -> None:
        """Make the tokenizer that the buffer describes; called when weights have been loaded."""
        self._tokenizer = Tokenizer.from_str(to_text(self.tokenizer_json))
        pad = int(getattr(self.model.config, "pad_token_id", None) or 0)
        self._tokenizer.enable_padding(pad_id=pad, pad_token=self._tokenizer.id_to_token(pad) or SPECIAL[0])
        longest = int(getattr(self.model.config, "max_position_embeddings", None) or MAX_TOKENS)
        self._tokenizer.enable_truncation(min(MAX_TOKENS, longest))


def small_encoder(questions: Iterable[str], width: int, layers: int, heads: int, dropout: float = 0.1) -> TextEncoder:
    """Return a small encoder with random weights, its words those of the training questions (lower case).

    Args:
        questions: The training questions; with none it knows no word.
        width: Length of a token's vector.
        layers: Number of layers.
        heads: Attention heads of a layer.
        dropout: Dropout of its layers.
    """
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = {word for text in questions for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    numbers = {word: number for number, word in enumerate((*SPECIAL, *sorted(words - set(SPECIAL))))}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL[1]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    # A token of its own at the start, so that an empty question isn't without any.
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", numbers["[CLS]"])])
    config = BertConfig(
        vocab_size=len(numbers),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=0,
    )
    return TextEncoder(_from_config(config), tokenizer)


def pretrained_encoder(source: str, *, may_download: bool, experiment: str = "EXPERIMENT") -> TextEncoder:
    """Return a published encoder with its weights and tokenizer.

    Args:
        source: A folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, or a repository of the Hugging Face
            Hub, such as ``sentence-transformers/all-MiniLM-L6-v2``.
        may_download: Whether a repository that the cache lacks is downloaded.
        experiment: Named in the message when it can't be.

    Raises:
        InvalidInput: If the encoder can't be had, or is of a kind that can't be used here.
    """
    is_folder = Path(source).is_dir()
    where: dict[str, Any] = {"local_files_only": is_folder or not may_download, "trust_remote_code": False}
    remote = network_errors_explained(f"transformers/{source}", experiment, OWN_KEY, "/path/to/folder")
    with _folder_errors_explained(source) if is_folder else remote, quiet(warnings=True):
        config = AutoConfig.from_pretrained(source, **where)
        _refuse_unfit(config, source)
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
        options = {"use_safetensors": True, "attn_implementation": ATTENTION, "dtype": torch.float32}
        model = AutoModel.from_pretrained(source, **options, **where)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    # Without the files of a tokenizer, transformers makes one that knows no word.
    if backend is None or not len(tokenizer.all_special_tokens) < backend.get_vocab_size() <= config.vocab_size:
        hint = "choose one that has a tokenizer.json that goes with it"
        raise invalid("CONFIG-VALUE", "has no tokenizer that can be used", file=OWN_KEY, value=source, hint=hint)
    return TextEncoder(model, backend)


def described_encoder(weights: Mapping[str, Tensor], source: Path) -> TextEncoder:
    """Return an encoder of the architecture and with the tokenizer that a file of weights describes, its weights random.

    Args:
        weights: The file's tensors by the names of :class:`TextEncoder`.
        source: What messages name as the file.

    Raises:
        InvalidInput: If the description can't be used.
    """
    try:
        config = AutoConfig.for_model(**json.loads(to_text(weights["architecture"])))
        if not _is_encoder(config):
            raise ValueError(f"{config.model_type} is no plain text encoder")  # noqa: TRY301
        refuse_deep(config)
        model = build_described(lambda: _from_config(config), weights.values())
        return TextEncoder(model, Tokenizer.from_str(to_text(weights["tokenizer_json"])))
    except Exception as error:  # the libraries raise many kinds, plain `Exception` among them
        hint = "take the file from a copy, or train again"
        message = "the description of the text encoder can't be used"
        raise invalid("WEIGHTS-DAMAGED", message, file=source, value=str(error), hint=hint) from error


def _from_config(config: PretrainedConfig) -> PreTrainedModel:
    return AutoModel.from_config(config, attn_implementation=ATTENTION, trust_remote_code=False)


def _is_encoder(config: PretrainedConfig) -> bool:
    """Whether it is of the kind of BERT. Others may do more than encode text, or fetch parts of themselves."""
    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder


def _refuse_unfit(config: PretrainedConfig, source: str) -> None:
    if not _is_encoder(config):
        hint = "choose an encoder, such as sentence-transformers/all-MiniLM-L6-v2"
        raise invalid(
            "CONFIG-VALUE", "is no plain text encoder", file=OWN_KEY, value=f"{source} ({config.model_type})", hint=hint
        )


@contextlib.contextmanager
def _folder_errors_explained(source: str) -> Iterator[None]:
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:  # the libraries raise many kinds
        hint = "it needs config.json, tokenizer.json and model.safetensors that go together"
        message = "can't be read as a text encoder"
        raise invalid(
            "WEIGHTS-DAMAGED", message, file=source, value=str(error).strip() or type(error).__name__, hint=hint
        ) from error
