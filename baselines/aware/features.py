"""Numbers that describe whole profiles: the bag of concepts, sums of concept ratings, and the photos' features of LERVUP."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.aware.data import Batch

MIN_RATING = 0.1  # photos whose mean positive and negative ratings add up to less say nothing (LERVUP)


def bag(batch: Batch, concepts: int) -> Tensor:
    """Return ``(B, C) float64``: of each concept the sum of its confidences over the number of photos."""
    sums = torch.zeros(len(batch["ids"]), concepts + 1, dtype=torch.float64, device=batch["images"].device)
    sums.scatter_add_(1, batch["concepts"], batch["confidences"].double())
    return sums[:, :concepts] / batch["images"].double()[:, None]


def rating_sums(batch: Batch, ratings: Tensor) -> Tensor:
    """Return ``(B, 4) float64``: ratings of what is detected times confidence, summed over a photo, mean over photos.

    Args:
        batch: The profiles.
        ratings: ``(C, 4)`` ratings of the concepts; where there is none (NaN) a concept counts as neutral.
    """
    return bag(batch, len(ratings)) @ ratings.double().nan_to_num()


def focal_rating(ratings: Tensor, limit: Tensor, gamma: Tensor) -> Tensor:
    """Return ratings with the strong ones emphasised, ``r / (1 - |r| / K)^gamma`` (Nguyen et al. 2020, arXiv:2012.13180).

    Args:
        ratings: Ratings, which stay below ``limit`` in size.
        limit: ``K``, larger than every ``|r|``.
        gamma: Emphasis; 0 leaves the ratings as they are.

    >>> ratings = torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    >>> focal_rating(ratings, torch.tensor(4.0), torch.tensor(1.0)).round(decimals=3).tolist()
    [0.0, 1.333, -4.0]
    """
    return ratings / (1 - ratings.abs() / limit) ** gamma


def photo_features(batch: Batch, ratings: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return what LERVUP describes a photo by, for one situation.

    Args:
        batch: The profiles.
        ratings: ``(C,) float64`` focal ratings of the concepts; NaN where there is none.
        threshold: Least confidence of a detection.

    Returns:
        ``(P, 3) float64``, the mean positive rating, the mean negative rating and the mean confidence of each photo that says
        anything, and ``(P,) int64``, whose photo it is.
    """
    known = torch.cat([ratings, ratings.new_tensor([torch.nan])])[batch["concepts"]]
    used = (batch["places"] >= 0) & known.isfinite() & (batch["confidences"] >= threshold)
    users = torch.arange(len(known), device=known.device)[:, None].expand_as(known)[used]
    photos = users * (int(batch["places"].max()) + 1) + batch["places"][used]
    each, owner = torch.unique(photos, return_inverse=True)
    rating, confidence = known[used], batch["confidences"].double()[used]
    columns = torch.stack(
        [rating.clamp(min=0), rating > 0, rating.clamp(max=0), rating < 0, confidence, used[used]], 1
    ).double()
    sums = torch.zeros(len(each), 6, dtype=torch.float64, device=known.device).index_add_(0, owner, columns)
    means = sums[:, ::2] / sums[:, 1::2].clamp(min=1)
    owners = torch.zeros(len(each), dtype=torch.int64, device=known.device).scatter_(0, owner, users)
    says = means[:, :2].abs().sum(1) >= MIN_RATING
    return means[says], owners[says]


def profile_features(photos: Tensor, owners: Tensor, users: int, centres: Tensor) -> Tensor:
    """Return what LERVUP describes a user by: of the photos nearest to each centre, the mean features and the spread.

    Args:
        photos: ``(P, 3)`` features of photos.
        owners: ``(P,)`` the users they belong to.
        users: Number of users.
        centres: ``(K, 3)`` centres of the clusters.

    Returns:
        ``(users, K * 4)``: for each cluster the three means, and the Frobenius norm of the deviations from them by the square
        root of the number of photos; zeros where a user has no photo in it.
    """
    cells = owners * len(centres) + torch.cdist(photos, centres).argmin(1)
    shape = users * len(centres)
    counts = torch.zeros(shape, dtype=photos.dtype, device=photos.device).index_add_(0, cells, torch.ones_like(photos[:, 0]))
    counts = counts.clamp(min=1)[:, None]
    means = photos.new_zeros(shape, 3).index_add_(0, cells, photos) / counts
    squares = photos.new_zeros(shape, 3).index_add_(0, cells, (photos - means[cells]) ** 2)
    spread = (squares.sum(1, keepdim=True) / counts).sqrt()
    return torch.cat([means, spread], 1).reshape(users, -1)
