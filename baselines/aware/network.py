"""The network on sets: attention over the detections of a photo and over the photos of a profile, many members at once.

Members are networks of one shape that share no weight; all of them are evaluated as one batched network. Member ``m`` never
learns from the users of fold ``m mod folds``, so that its predictions there are honest.

Sources: Zaheer et al. 2017 (Deep Sets, arXiv:1703.06114); Lee et al. 2019 (Set Transformer, arXiv:1810.00825), of which the
pooling by attention with learned queries is used here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.aware.data import Batch

SIDES = 9  # numbers that describe a detection beside its concept: confidence, ratings, centre, width and height of its box


class MemberLinear(nn.Module):
    """A linear layer of each member, ``(M, …, in)`` to ``(M, …, out)``.

    Args:
        members: Number of members.
        inputs: Features in.
        outputs: Features out.
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each member's layer to its features."""
        flat = torch.baddbmm(self.bias[:, None], x.flatten(1, -2), self.weight)
        return flat.unflatten(1, x.shape[1:-1])


class SetNetwork(nn.Module):
    """Predicts z-scores of the four ratings from the sets of detections in the set of photos.

    A detection is the sum of what its concept is and of what its confidence, box and ratings say. Attention pools the
    detections of a photo, then ``heads`` learned queries pool the photos; the mean over all photos goes beside them. What
    follows is shared by the situations up to the last layer.

    Args:
        ratings: ``(C, 4)`` ratings of the concepts, NaN where there is none.
        members: Number of members.
        width: Features of a detection, a photo and a profile.
        heads: Queries over the photos.
        dropout: Dropout of photos' and profiles' features.
    """

    ratings: Tensor

    def __init__(self, ratings: Tensor, members: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.members, self.dropout = members, dropout
        known = torch.cat([ratings.nan_to_num(), torch.zeros(1, 4)])  # the last row: concepts that the model doesn't know
        self.register_buffer("ratings", known)
        self.concepts = nn.Embedding(len(known), members * width)
        nn.init.normal_(self.concepts.weight, std=0.3)
        self.sides = MemberLinear(members, SIDES, width)
        self.detection = MemberLinear(members, width, width + 1)  # the last output is the attention within the photo
        self.photo = MemberLinear(members, width, width + heads)  # the last outputs are the attention over photos
        self.profile = MemberLinear(members, (heads + 1) * width + 1, width)
        self.shared = MemberLinear(members, width, width)
        self.ratings_out = MemberLinear(members, width, 4)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``(M, B, 4)`` z-scores."""
        photos, exists = self._photos(batch)
        drop = F.dropout(photos, self.dropout, self.training)
        mixed = self.photo(drop)
        features, scores = F.gelu(mixed[..., : photos.shape[-1]]), mixed[..., photos.shape[-1] :]
        scores = scores.masked_fill(~exists[None, :, :, None], -1e4)
        weights = scores.softmax(2) * exists[None, :, :, None]
        pooled = torch.einsum("mbph,mbpw->mbhw", weights, features).flatten(2)
        count = batch["images"][None, :, None]
        mean = (features * exists[None, :, :, None]).sum(2) / count
        size = ((count - 35) / 10).expand(self.members, -1, -1)
        x = F.gelu(self.profile(torch.cat([pooled, mean, size], 2)))
        x = F.dropout(x, self.dropout, self.training)
        x = x + F.gelu(self.shared(x))
        return self.ratings_out(F.dropout(x, self.dropout, self.training))

    def _photos(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return features of the photos ``(M, B, P, width)``, and which of them exist ``(B, P)``."""
        concepts, boxes = batch["concepts"], batch["boxes"]
        sides = torch.cat(
            [
                batch["confidences"][..., None] * 2 - 1,
                self.ratings[concepts],
                boxes[..., :2] + boxes[..., 2:] - 1,
                (boxes[..., 2:] - boxes[..., :2]) * 2 - 1,
            ],
            -1,
        )
        kinds = self.concepts(concepts).unflatten(2, (self.members, -1)).permute(2, 0, 1, 3)
        x = F.gelu(kinds + self.sides(sides.expand(self.members, *sides.shape)))
        x = self.detection(F.dropout(x, self.dropout, self.training))
        features, score = x[..., :-1], x[..., -1]
        # One row per photo: where its detections are. A product with it adds up, in the same order every time.
        count = int(batch["places"].max()) + 1
        belongs = (batch["places"][:, None] == torch.arange(max(1, count), device=boxes.device)[None, :, None]).to(x.dtype)
        strength = (4 * torch.tanh(score / 4)).exp()[..., None]  # bounded, so that no maximum has to be taken out
        sums = torch.einsum("bpd,mbdw->mbpw", belongs, torch.cat([features * strength, strength], -1))
        return sums[..., :-1] / sums[..., -1:].clamp(min=1e-6), belongs.any(-1)


def set_losses(predicted: Tensor, targets: Tensor, learns: Tensor, pearson: float) -> dict[str, Tensor]:
    """Return the loss of all members: the squared error, and one minus Pearson's correlation within the batch.

    Args:
        predicted: ``(M, B, 4)`` z-scores.
        targets: ``(B, 4)`` true z-scores.
        learns: ``(M, B)`` bool, which users each member learns from.
        pearson: Weight of the second part.
    """
    weights = learns.to(predicted.dtype)[..., None]
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1)
    error = (weights * (predicted - targets) ** 2).sum(1)
    left, right = (x - (weights * x).sum(1, keepdim=True) for x in (predicted, targets.expand_as(predicted)))
    norm = ((weights * left**2).sum(1) * (weights * right**2).sum(1)).clamp(min=1e-6).sqrt()
    correlation = (weights * left * right).sum(1) / norm
    return {"error": error.mean(), "pearson": pearson * (1 - correlation).mean()}
