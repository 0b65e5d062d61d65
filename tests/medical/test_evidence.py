"""Grad-CAM, for images and volumes alike."""

from __future__ import annotations

import pytest
import torch

from baselines.medical.evidence import grad_cam


@pytest.mark.parametrize("space", [(4, 5), (3, 4, 5)], ids=["image", "volume"])
def test_it_is_the_weighted_sum_of_the_features_by_the_mean_gradients(space):
    """Against the formula, for a linear head whose gradients are known."""
    generator = torch.Generator().manual_seed(0)
    features, weights = torch.randn(2, 6, *space, generator=generator), torch.randn(6, generator=generator)
    seen = grad_cam(features, lambda each: each.flatten(2).mean(2) @ weights)
    expected = torch.einsum("bf...,f->b...", features, weights).clamp(min=0)
    torch.testing.assert_close(seen, expected / expected.flatten(1).amax(1).view(-1, *[1] * len(space)))


def test_it_works_in_inference_mode_and_leaves_no_gradient():
    head = torch.nn.Linear(3, 2)
    with torch.inference_mode():
        seen = grad_cam(torch.rand(1, 3, 2, 2), lambda each: head(each.mean((2, 3)))[:, 1])
    assert seen.shape == (1, 2, 2)
    assert all(parameter.grad is None for parameter in head.parameters())


def test_without_evidence_there_is_nothing_and_no_nan():
    assert not grad_cam(torch.ones(1, 3, 2, 2), lambda each: -each.sum((1, 2, 3))).any()


def test_half_precision_gives_full_precision():
    seen = grad_cam(torch.rand(2, 3, 2, 2).bfloat16(), lambda each: each.sum((1, 2, 3)))
    assert seen.dtype == torch.float32
    assert seen.max() == 1
