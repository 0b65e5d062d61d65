"""The network that answers a question on an image: both attended to by one query for the answer.

The answer is a token in front of the question's. In each layer the tokens attend to each other and then to the cells of the
image's features (a decoder as Vaswani and others, 2017, arXiv:1706.03762, have it, over an image). What the answer's token has
become is classified over the answers of the training data.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import Tensor, nn

from baselines.medical.vqa.text import TextEncoder


class FusionNetwork(nn.Module):
    """Scores every answer of the vocabulary for images with questions.

    Args:
        backbone: Image network that returns a list of features, of which the last is used; ``None`` doesn't look at the image.
        text: Question encoder; ``None`` doesn't look at the question.
        channels: Channels of the backbone's features.
        answers: Number of answers to classify; 0 makes no classifier, for what uses :meth:`fuse` alone.
        width: Length of the vectors that are fused.
        layers: Layers of attention.
        heads: Attention heads of a layer.
        dropout: Dropout of the layers and before the classifier.

    Raises:
        ValueError: If there is neither backbone nor text encoder, or ``width`` is no multiple of 4 and of ``heads``.
    """

    def __init__(
        self,
        backbone: nn.Module | None,
        text: TextEncoder | None,
        *,
        channels: int,
        answers: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if backbone is None and text is None:
            raise ValueError("there is nothing to look at")
        if width % 4 or width % heads:
            raise ValueError(f"a width of {width} is no multiple of 4 and of {heads} heads")
        self.backbone, self.text = backbone, text
        self.channels_behind = getattr(backbone, "output_fmt", "NCHW") == "NHWC"  # Swin transformers
        self.answer = nn.Parameter(torch.randn(width) * 0.02)
        self.project_image = nn.Sequential(nn.Linear(channels, width), nn.LayerNorm(width)) if backbone is not None else None
        self.project_text = nn.Sequential(nn.Linear(text.width, width), nn.LayerNorm(width)) if text is not None else None
        # Without an image there is nothing behind the tokens to attend to.
        kind = nn.TransformerDecoderLayer if backbone is not None else nn.TransformerEncoderLayer
        self.layers = nn.ModuleList(
            kind(width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True) for _ in range(layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, answers)) if answers else None

    def forward(self, images: Tensor, questions: Sequence[str]) -> Tensor:
        """Return the scores of the answers, ``(B, answers) float``, for images ``(B, 3, H, W) float`` and B questions."""
        return self.scores(self.features(images), questions)

    def features(self, images: Tensor) -> Tensor | None:
        """Return the image's features ``(B, C, h, w)``; ``None`` where the network doesn't look at it."""
        if self.backbone is None:
            return None
        features: Tensor = self.backbone(images)[-1]
        return features.permute(0, 3, 1, 2) if self.channels_behind else features

    def attach(self, text: TextEncoder) -> None:
        """Take another question encoder, with random weights for what follows it."""
        self.text = text
        self.project_text = nn.Sequential(nn.Linear(text.width, len(self.answer)), nn.LayerNorm(len(self.answer)))

    def scores(self, features: Tensor | None, questions: Sequence[str]) -> Tensor:
        """Return the scores of the answers ``(B, answers)`` for features of images, as :meth:`features` returns them."""
        assert self.head is not None
        return self.head(self.fuse(features, questions)[0])

    def fuse(self, features: Tensor | None, questions: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """Return what the answer's token has become, ``(B, width)``, and the cells of the image, ``(B, h * w, width)``."""
        tokens = self.answer.expand(len(questions), 1, -1)
        padding = torch.zeros(len(questions), 1, dtype=torch.bool, device=tokens.device)
        cells = None
        if features is not None:
            assert self.project_image is not None
            cells = self.project_image(features.flatten(2).mT)
            # The answer starts from the mean of the cells: an image is classified before attention has learnt anything.
            tokens = tokens + cells.mean(1, keepdim=True)
            cells = cells + build_sincos2d_pos_embed(list(features.shape[2:]), cells.shape[-1]).to(cells)
        if self.text is not None:
            assert self.project_text is not None
            vectors, is_token = self.text(questions)
            tokens = torch.cat([tokens, self.project_text(vectors)], 1)
            padding = torch.cat([padding, ~is_token], 1)
        for layer in self.layers:
            if cells is None:
                tokens = layer(tokens, src_key_padding_mask=padding)
            else:
                tokens = layer(tokens, cells, tgt_key_padding_mask=padding)
        return tokens[:, 0], cells
