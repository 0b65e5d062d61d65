"""The networks by name: MONAI's ResNets and DenseNets in 3D, and a transformer over slices that a timm encoder sees.

Each is in two parts, a map of features over the volume and a classifier of such maps, so that what a decision rests on can be
traced back to places in the volume.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import torch
from monai.networks.nets import DenseNet, ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.core.findings import invalid
from baselines.medical.tuberculosis.task import ModelConfig
from baselines.training.weights import PRETRAINED, load_backbone, timm_backbone

RESNETS = {
    10: ("basic", [1, 1, 1, 1]),
    18: ("basic", [2, 2, 2, 2]),
    34: ("basic", [3, 4, 6, 3]),
    50: ("bottleneck", [3, 4, 6, 3]),
    101: ("bottleneck", [3, 4, 23, 3]),
    152: ("bottleneck", [3, 8, 36, 3]),
}
DENSENETS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 264: (6, 12, 64, 48)}
TOKEN = 256  # width of the transformer over slices


class Classifier(nn.Module):
    """Features of a volume, and their classifier.

    Args:
        encoder: From ``(B, C, D, H, W)`` to a map of features ``(B, F, d, h, w)``.
        pool: From such a map to ``(B, F')``.
        width: F'.
        classes: Number of classes.
        dropout: Before the last layer.
    """

    rule_temperature: Tensor
    rule_weights: Tensor
    rule_prior: Tensor

    def __init__(self, encoder: nn.Module, pool: nn.Module, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.pool = encoder, pool
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
        # The decision rule, fitted after training: see ``TuberculosisModule.calibrate``.
        self.register_buffer("rule_temperature", torch.ones(()))
        self.register_buffer("rule_weights", torch.ones(classes))
        self.register_buffer("rule_prior", torch.full((classes,), 1 / classes))

    def features(self, volumes: Tensor) -> Tensor:
        """Return the map of features ``(B, F, d, h, w)`` of volumes ``(B, 2, D, H, W)`` in [-1, 1]."""
        return self.encoder(volumes)

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of a map of features."""
        return self.head(self.pool(features))

    def forward(self, volumes: Tensor) -> Tensor:
        """Return the logits of volumes."""
        return self.classify(self.features(volumes))


class Channels(nn.Module):
    """Gives an encoder the first channels of what it gets."""

    def __init__(self, encoder: nn.Module, count: int) -> None:
        super().__init__()
        self.encoder, self.count = encoder, count

    def forward(self, volumes: Tensor) -> Tensor:
        """Encode the first channels."""
        return self.encoder(volumes[:, : self.count])


class Mean(nn.Module):
    """The mean of a map of features over space."""

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, F)`` of ``(B, F, d, h, w)``."""
        return features.mean((2, 3, 4))


class SliceEncoder(nn.Module):
    """A 2D encoder that sees a volume as stacks of neighbouring slices.

    Args:
        backbone: A timm network with ``features_only`` and one output.
        stack: Slices in a stack; those left over at the upper end are not seen.
    """

    def __init__(self, backbone: nn.Module, stack: int) -> None:
        super().__init__()
        self.backbone, self.stack = backbone, stack

    def forward(self, volumes: Tensor) -> Tensor:
        """Return features ``(B, F, T, h, w)`` of T stacks of the CT, the first channel."""
        batch, _, depth, height, width = volumes.shape
        count = depth // self.stack
        slices = volumes[:, 0, : count * self.stack].reshape(batch * count, self.stack, height, width)
        (found,) = self.backbone(slices)
        return found.reshape(batch, count, *found.shape[1:]).transpose(1, 2)


class SliceTransformer(nn.Module):
    """Attention over the stacks of slices, from the base of the lungs to the apex.

    Args:
        width: Features of a stack.
        count: Number of stacks.
        layers: Layers of the transformer.
        heads: Heads of its attention.
        dropout: In its layers.
    """

    def __init__(self, width: int, count: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, TOKEN)
        self.start = nn.Parameter(torch.zeros(1, 1, TOKEN))
        self.places = nn.Parameter(torch.randn(1, count, TOKEN) * 0.02)
        layer = nn.TransformerEncoderLayer(TOKEN, heads, 2 * TOKEN, dropout, F.gelu, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(TOKEN), enable_nested_tensor=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, TOKEN)`` of ``(B, F, T, h, w)``."""
        tokens = self.project(features.mean((3, 4)).transpose(1, 2)) + self.places
        tokens = torch.cat([self.start.expand(len(tokens), -1, -1), tokens], 1)
        return self.layers(tokens)[:, 0]


def build_network(model: ModelConfig, grid: tuple[int, int, int], classes: int, experiment: str = "EXPERIMENT") -> Classifier:
    """Return the network of the configuration.

    Raises:
        InvalidInput: If there is no such depth or backbone, the weights can't be had, or sizes don't fit each other.
    """
    if model.name == "slices":
        return _slices(model, grid, classes, experiment)
    if model.weights == PRETRAINED:
        hint = "give a file of a state dictionary with MONAI's names, set model.weights=null, or take model=tuberculosis_slices"
        raise invalid(
            "CONFIG-VALUE", "no published weights of 3D networks are known to this project", value=PRETRAINED, hint=hint
        )
    channels = 2 if model.mask_channel else 1
    encoder, width = _resnet(model, channels) if model.name == "resnet" else _densenet(model, channels)
    if model.weights is not None:
        load_backbone(encoder, Path(model.weights))
    return Classifier(Channels(encoder, channels), Mean(), width, classes, model.dropout)


def _resnet(model: ModelConfig, channels: int) -> tuple[nn.Module, int]:
    if model.depth not in RESNETS:
        raise _no_depth(model, RESNETS)
    block, layers = RESNETS[model.depth]
    widths = [model.width * 2**stage for stage in range(4)]
    network = ResNet(block, layers, widths, 3, channels, 7, model.stem_stride, not model.stem_pool, feed_forward=False)
    names = ("conv1", "bn1", "act", *(("maxpool",) if model.stem_pool else ()), "layer1", "layer2", "layer3", "layer4")
    encoder = nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))
    return encoder, widths[-1] * (4 if block == "bottleneck" else 1)


def _densenet(model: ModelConfig, channels: int) -> tuple[nn.Module, int]:
    if model.depth not in DENSENETS:
        raise _no_depth(model, DENSENETS)
    network = DenseNet(3, channels, 1, model.width, model.width // 2, DENSENETS[model.depth])
    encoder = nn.Sequential(OrderedDict([*network.features.named_children(), ("relu", nn.ReLU(inplace=True))]))
    return encoder, network.class_layers.out.in_features


def _no_depth(model: ModelConfig, known: Iterable[int]) -> Exception:
    hint = f"a {model.name} has {', '.join(map(str, known))} layers"
    return invalid("CONFIG-VALUE", "model.depth is none that this network has", value=model.depth, hint=hint)


def _slices(model: ModelConfig, grid: tuple[int, int, int], classes: int, experiment: str) -> Classifier:
    if grid[0] < model.stack or TOKEN % model.heads:
        hint = f"model.stack is at most data.grid[0], and model.heads divides {TOKEN}"
        value = f"model.stack={model.stack}, data.grid={list(grid)}, model.heads={model.heads}"
        raise invalid("CONFIG-VALUE", "the transformer over slices can't be built", value=value, hint=hint)
    backbone = timm_backbone(
        model.backbone, model.weights, experiment, in_chans=model.stack, features_only=True, out_indices=(-1,)
    )
    width: int = backbone.feature_info.channels()[-1]  # type: ignore[union-attr, operator]
    pool = SliceTransformer(width, grid[0] // model.stack, model.layers, model.heads, model.dropout)
    return Classifier(SliceEncoder(backbone, model.stack), pool, TOKEN, classes, model.dropout)
