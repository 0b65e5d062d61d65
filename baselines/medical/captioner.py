"""The encoder-decoder: a timm image encoder, and a language model of transformers that attends to what it sees.

The language model is a small GPT-2 with a tokenizer trained on the training texts, or a published one with its own. Either way
its configuration and its tokenizer are JSON in buffers of the network, so that a run folder is all that prediction needs.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # or the library warns when loader processes are forked

import numpy as np
import torch
from numpy.typing import NDArray
from timm.layers import build_sincos2d_pos_embed
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    LogitsProcessor,
    LogitsProcessorList,
    TopPLogitsWarper,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from baselines.core.findings import invalid
from baselines.medical.described import build_described, quiet, refuse_deep, to_bytes, to_text
from baselines.medical.options import TextConfig
from baselines.training.weights import network_errors_explained

IGNORED = -100  # label of padding, which F.cross_entropy leaves out
PAD, BEGIN, END = "<pad>", "<begin>", "<end>"
KINDS = frozenset(
    "bart bert bert-generation big_bird blenderbot blenderbot-small camembert data2vec-text electra ernie gpt2".split()
    + "marian mbart megatron-bert pegasus plbart rembert roberta roberta-prelayernorm roformer trocr".split()
    + "xlm-roberta xlm-roberta-xl".split()
)  # of transformers' models: those that write, and can attend to an image
SPARE_POSITIONS = 2  # of a published model's: RoBERTa counts positions from 2
ATTENTION = "eager"  # the one that gives its weights, for the pictures


class Hypothesis(NamedTuple):
    """A decoded text and its score: the log-probability over its length to the power of the length penalty."""

    text: str
    score: float


class Decoder(nn.Module):
    """A language model with its tokenizer.

    Args:
        model: A causal language model of transformers with cross-attention. Its configuration names the tokens for begin, end
            and padding.
        tokenizer: Its tokenizer.
    """

    architecture: Tensor
    tokenizer_json: Tensor

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model = model
        self.model.generation_config = GenerationConfig()  # a published model's own would fill in what a search leaves open
        self.tokenizer = tokenizer
        self.tokenizer.encode_special_tokens = True  # `<end>` in a caption is text
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.register_buffer("architecture", to_bytes(model.config.to_json_string(use_diff=False)))
        self.register_buffer("tokenizer_json", to_bytes(tokenizer.to_str()))
        config = model.config
        self.begin, self.end, self.pad = (int(each) for each in (config.bos_token_id, config.eos_token_id, config.pad_token_id))

    @property
    def width(self) -> int:
        """Length of a token's vector."""
        return int(self.model.config.hidden_size)

    def longest(self, wanted: int) -> int:
        """Return the most tokens of a text, end included, where ``wanted`` are asked for."""
        places = getattr(self.model.config, "max_position_embeddings", None)
        return min(wanted, int(places) - SPARE_POSITIONS) if places else wanted

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        """Return what the model reads and what it should say, padded on the right.

        Args:
            texts: B texts.
            max_tokens: Longer texts are cut.

        Returns:
            Tokens ``(B, L) int64`` that begin with the token for begin, and labels ``(B, L) int64`` that end with that for end;
            :data:`IGNORED` where the texts are over.
        """
        limit = self.longest(max_tokens) - 1
        rows = [item.ids[:limit] for item in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        tokens = torch.full((len(rows), max(map(len, rows)) + 1), self.pad)
        labels = torch.full_like(tokens, IGNORED)
        for number, row in enumerate(rows):
            tokens[number, : len(row) + 1] = torch.tensor([self.begin, *row])
            labels[number, : len(row) + 1] = torch.tensor([*row, self.end])
        device = self.architecture.device
        return tokens.to(device), labels.to(device)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens up to the end, on one line and without outer or double blanks."""
        kept = list(tokens)
        kept = kept[: kept.index(self.end)] if self.end in kept else kept
        return tidy(self.tokenizer.decode([token for token in kept if token != self.pad], skip_special_tokens=True))

    def forward(self, tokens: Tensor, memory: Tensor, **options: Any) -> Any:
        """Read tokens ``(B, L)`` and the image's vectors ``(B, N, width)``; return the model's output, logits ``(B, L, V)``."""
        mask = torch.ones_like(tokens)  # padding is on the right, where a causal model sees it too late to matter
        return self.model(input_ids=tokens, attention_mask=mask, encoder_hidden_states=memory, **options)

    def generate(self, memory: Tensor, options: TextConfig, processors: Sequence[LogitsProcessor] = (), **changes: Any) -> Any:
        """Call the library's generation for images, with a key/value cache for the text and for the image.

        Args:
            memory: The images' vectors, ``(B, N, width)``.
            options: The limits of a text.
            processors: Change the logits of each step.
            changes: Settings of the library's ``GenerationConfig``; without any the most probable token is taken each time.
        """
        settings: dict[str, Any] = {
            "max_new_tokens": self.longest(options.max_tokens),
            "min_new_tokens": min(options.min_tokens, self.longest(options.max_tokens)),
            "do_sample": False,
            "bos_token_id": self.begin,
            "eos_token_id": self.end,
            "pad_token_id": self.pad,
            "return_dict_in_generate": True,
            "use_cache": True,
        }
        begin = torch.full((len(memory), 1), self.begin, device=memory.device)
        config = self.model.config
        with quiet(warnings=False):  # the library leaves out a mask of ones, and then warns that there is none
            return self.model.generate(
                begin,
                generation_config=GenerationConfig(**(settings | changes)),
                logits_processor=LogitsProcessorList(processors),
                encoder_hidden_states=memory,
                attention_mask=torch.ones_like(begin),
                past_key_values=EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config)),
            )


class GumbelNoise(LogitsProcessor):
    """Makes the most probable token a draw from the distribution (Gumbel, 1954), with noise that each image's id seeds.

    Args:
        ids: The images.
        samples: Rows of each image.
    """

    def __init__(self, ids: Sequence[str], samples: int) -> None:
        self.generators = [torch.Generator().manual_seed(zlib.crc32(name.encode())) for name in ids]
        self.samples = samples

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  # the library's call
        """Return ``scores`` ``(B * samples, V)`` with noise."""
        size = self.samples, scores.shape[1]
        draws = [torch.empty(size).exponential_(generator=generator) for generator in self.generators]
        return scores - torch.cat(draws).log().to(scores.device)


class Captioner(nn.Module):
    """Image encoder, projection, and the language model that attends to the projected features.

    Args:
        encoder: A timm model without classifier: a convolutional network, or a vision transformer.
        dropout: Dropout of the projected features.
        decoder: The language model; where it is not known yet, :meth:`attach` adds it.
    """

    decoder: Decoder
    project: nn.Sequential

    def __init__(self, encoder: nn.Module, dropout: float, decoder: Decoder | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = dropout
        if decoder is not None:
            self.attach(decoder)

    def attach(self, decoder: Decoder) -> None:
        """Take a language model, and project to its width."""
        features = int(cast("Any", self.encoder.num_features))
        self.project = nn.Sequential(nn.Linear(features, decoder.width), nn.LayerNorm(decoder.width), nn.Dropout(self.dropout))
        self.decoder = decoder

    def look(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Encode images.

        Args:
            images: ``(B, 3, H, W) float``, normalised.

        Returns:
            Vectors ``(B, N, width)``, and the grid of the last h·w of them; a vision transformer has others before.
        """
        features = cast("Any", self.encoder).forward_features(images)
        if features.ndim == 4:
            if features.shape[1] != cast("Any", self.encoder).num_features:  # Swin and its kin put channels last
                features = features.permute(0, 3, 1, 2)
            grid = features.shape[2], features.shape[3]
            features = features.flatten(2).transpose(1, 2)
        else:
            prefix = int(getattr(self.encoder, "num_prefix_tokens", 0))
            side = round((features.shape[1] - prefix) ** 0.5)
            grid = side, side
        memory = self.project(features)
        places = build_sincos2d_pos_embed(list(grid), dim=-(-memory.shape[2] // 4) * 4, device=memory.device)
        positions = nn.functional.pad(places[:, : memory.shape[2]], (0, 0, memory.shape[1] - len(places), 0))
        return memory + positions.to(memory.dtype), grid

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Return logits ``(B, L, V)`` of the tokens that follow ``tokens`` ``(B, L)`` of the images ``(B, 3, H, W)``."""
        return self.decoder(tokens, self.look(images)[0], use_cache=False).logits

    @torch.no_grad()
    def search(self, images: Tensor, options: TextConfig, count: int) -> list[list[Hypothesis]]:
        """Return the texts of each image that a beam search finds, the best first, none twice.

        What is found for an image doesn't depend on the images beside it.

        Args:
            images: ``(B, 3, H, W) float``, normalised.
            options: Beams, length penalty and limits.
            count: Texts of an image at most, not more than beams.
        """
        count = min(count, options.beams)
        changes: dict[str, Any] = {"num_beams": options.beams, "num_return_sequences": count}
        if options.beams > 1:
            changes |= {"length_penalty": options.length_penalty, "output_scores": True}
        found = self.decoder.generate(self.look(images)[0], options, **changes)
        scores = found.sequences_scores.tolist() if options.beams > 1 else [0.0] * len(images)
        texts = [self.decoder.text(row[1:]) for row in found.sequences.tolist()]
        each = [Hypothesis(text, score) for text, score in zip(texts, scores, strict=True)]
        return [_distinct(each[start : start + count]) for start in range(0, len(each), count)]

    @torch.no_grad()
    def sample(self, images: Tensor, ids: Sequence[str], options: TextConfig) -> list[list[str]]:
        """Draw texts for each image from the nucleus of the model's distribution.

        What is drawn for an image depends on its id, and not on the images beside it.

        Args:
            images: ``(B, 3, H, W) float``, normalised.
            ids: Their ids, which seed the draws.
            options: How many texts to draw, and their limits.
        """
        memory = self.look(images)[0].repeat_interleave(options.samples, 0)
        processors = [TopPLogitsWarper(options.nucleus), GumbelNoise(ids, options.samples)]
        found = self.decoder.generate(memory, options, processors)
        texts = [self.decoder.text(row[1:]) for row in found.sequences.tolist()]
        return [texts[start : start + options.samples] for start in range(0, len(texts), options.samples)]

    @torch.no_grad()
    def attention(self, images: Tensor, texts: Sequence[str], max_tokens: int) -> list[NDArray[np.float16]]:
        """Return where the model looks for each word, the mean over layers and heads.

        Args:
            images: ``(B, 3, H, W) float``, normalised.
            texts: A text for each image.
            max_tokens: As in :meth:`Decoder.encode`; words beyond have no attention.

        Returns:
            For each text ``(W, h, w)``, a grid for each of its words between blanks; those on one image's grid that fall to
            prefix tokens are left out, so that a grid sums up to 1 at most.
        """
        memory, (height, width) = self.look(images)
        tokens, _ = self.decoder.encode(texts, max_tokens)
        layers = self.decoder(tokens, memory, use_cache=False, output_attentions=True).cross_attentions
        weights = torch.stack([layer.float().mean(1) for layer in layers]).mean(0)[:, :, -height * width :]
        maps = weights.reshape(len(texts), tokens.shape[1], height, width).cpu().numpy()
        encodings = self.decoder.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [_by_word(text, item.offsets, each) for text, item, each in zip(texts, encodings, maps, strict=True)]


def _by_word(text: str, offsets: Sequence[tuple[int, int]], maps: NDArray[np.float32]) -> NDArray[np.float16]:
    """Average the maps ``(L, h, w)`` of the tokens of each word; a token belongs to the word that its last character is in."""
    count = len(text.split(" ")) if text else 0
    sums, totals = np.zeros((count, *maps.shape[1:])), np.zeros(count)
    for (_, end), each in zip(offsets, maps, strict=False):  # what predicts a token is in the place before it
        word = text.count(" ", 0, max(0, end - 1))
        sums[word] += each
        totals[word] += 1
    return (sums / np.maximum(totals, 1)[:, None, None]).astype(np.float16)


def _distinct(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    first: dict[str, Hypothesis] = {}
    for each in hypotheses:
        first.setdefault(each.text, each)
    return list(first.values())


def tidy(text: str) -> str:
    r"""Return a text on one line, without what the run formats separate by, and without outer or double blanks.

    >>> tidy(" axial  ct|of the\nchest ")
    'axial ct of the chest'
    """
    return " ".join(text.replace("|", " ").replace("\0", " ").split())


# --------------------------------------------------------------------------------------------------- making a decoder


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Train a tokenizer: byte pairs (Sennrich and others, 2016) of lower-case texts, so that no character is unknown.

    >>> tokenizer = train_tokenizer(["Axial CT", "axial MRI"], 300)
    >>> tokenizer.decode(tokenizer.encode("Axial œdema").ids)
    ' axial œdema'
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def small_decoder(texts: Iterable[str], options: TextConfig) -> Decoder:
    """Return a GPT-2 of the configuration's size with random weights, and a tokenizer trained on texts.

    Raises:
        InvalidInput: If the width is no multiple of the heads.
    """
    if options.width % options.heads:
        value = f"model.text.width={options.width}, model.text.heads={options.heads}"
        raise invalid("CONFIG-VALUE", "the width has to be a multiple of the heads", value=value, hint="change either")
    tokenizer = train_tokenizer(texts, options.vocabulary)
    pad, begin, end = (tokenizer.token_to_id(token) for token in (PAD, BEGIN, END))
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=options.max_tokens + SPARE_POSITIONS,
        n_embd=options.width,
        n_layer=options.layers,
        n_head=options.heads,
        resid_pdrop=options.dropout,
        embd_pdrop=options.dropout,
        attn_pdrop=options.dropout,
        add_cross_attention=True,
        bos_token_id=begin,
        eos_token_id=end,
        pad_token_id=pad,
    )
    return Decoder(AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION), tokenizer)


def published_decoder(source: str, *, may_download: bool, experiment: str = "EXPERIMENT") -> Decoder:
    """Return a published language model with its weights and tokenizer; its attention to the image starts at random.

    Args:
        source: A folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, or a repository of the Hugging Face
            Hub.
        may_download: Whether a repository that the cache lacks is downloaded.
        experiment: Named in the message when it can't be.

    Raises:
        InvalidInput: If the model can't be had, or can't be used here.
    """
    where: dict[str, Any] = {"local_files_only": not may_download or Path(source).is_dir(), "trust_remote_code": False}
    try:
        # Quietly, or it warns of the new cross-attention, which is meant.
        with (
            quiet(warnings=False),
            network_errors_explained(f"transformers/{source}", experiment, "model.text.decoder", "/path/to/folder"),
        ):
            config = AutoConfig.from_pretrained(source, **where)
            _refuse_other(config)
            tokenizer = AutoTokenizer.from_pretrained(source, **where)
            config.is_decoder, config.is_encoder_decoder, config.add_cross_attention = True, False, True
            config.bos_token_id = _first(tokenizer.bos_token_id, tokenizer.cls_token_id, config.bos_token_id)
            config.eos_token_id = _first(tokenizer.eos_token_id, tokenizer.sep_token_id, config.eos_token_id)
            config.pad_token_id = _first(tokenizer.pad_token_id, config.pad_token_id, config.eos_token_id)
            backend = _backend(tokenizer, config)
            model = AutoModelForCausalLM.from_pretrained(
                source, config=config, use_safetensors=True, dtype=torch.float32, attn_implementation=ATTENTION, **where
            )
            _refuse_blind(model)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        hint = "choose one of the kind of BERT, RoBERTa, GPT-2 or BART with model.safetensors and tokenizer.json"
        message = f"can't be used as a decoder: {error}"
        raise invalid("CONFIG-VALUE", message, file="model.text.decoder", value=source, hint=hint) from error
    return Decoder(model, backend)


def described_decoder(weights: Mapping[str, Tensor]) -> Decoder:
    """Return a decoder of the architecture and with the tokenizer that a file describes, its weights random.

    Args:
        weights: Tensors by the names of :class:`Decoder`; nothing about them has been checked.

    Raises:
        InvalidInput: If the description can't be used.
    """
    try:
        config = AutoConfig.for_model(**json.loads(to_text(weights["architecture"])))
        _refuse_other(config)
        model = build_described(lambda: _from_config(config), weights.values())
        _refuse_blind(model)
        return Decoder(model, Tokenizer.from_str(to_text(weights["tokenizer_json"])))
    except Exception as error:  # the libraries raise many kinds, plain `Exception` among them
        hint = "take the file from a copy, or train again"
        message = "the description of the decoder can't be used"
        raise invalid("WEIGHTS-DAMAGED", message, value=str(error), hint=hint) from error


def _from_config(config: Any) -> Any:
    return AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION, trust_remote_code=False)


def _refuse_other(config: Any) -> None:
    """Refuse models of other kinds, which may do more than write or fetch parts of themselves, and endless ones."""
    if config.model_type not in KINDS:
        raise ValueError(f"{config.model_type} is none of the kinds that can attend to an image: {', '.join(sorted(KINDS))}")
    refuse_deep(config)


def _refuse_blind(model: Any) -> None:
    if not any(kind in name.lower() for name, _ in model.named_modules() for kind in ("crossattention", "encoder_attn")):
        raise ValueError(f"{type(model).__name__} can't attend to an image")


def _backend(tokenizer: Any, config: Any) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or config.bos_token_id is None or config.eos_token_id is None:
        raise ValueError("it has no tokenizer.json, or no tokens for begin and end")
    if backend.get_vocab_size() > config.vocab_size:
        raise ValueError("its tokenizer has more tokens than the model")
    return cast("Tokenizer", backend)


def _first(*tokens: int | None) -> int | None:
    return next((token for token in tokens if token is not None), None)
