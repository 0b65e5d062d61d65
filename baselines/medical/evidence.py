"""Where in an image or a volume the evidence for a prediction lies."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def grad_cam(features: Tensor, scores: Callable[[Tensor], Tensor]) -> Tensor:
    """Return where a map of features raises a score, the most evident place 1, and 0 where nothing does.

    Source: Grad-CAM (Selvaraju and others 2017, arXiv:1610.02391), here in any number of dimensions. It works under
    ``torch.inference_mode``, and leaves no gradient in the network.

    Args:
        features: ``(B, F, …)`` float, such as ``(B, F, h, w)`` of images or ``(B, F, d, h, w)`` of volumes.
        scores: From such features to the score ``(B,)`` that each row is to explain, without softmax: the logit of a class.

    Returns:
        ``(B, …) float32`` in [0, 1].

    >>> features = torch.tensor([[[0.0, 1.0, 4.0], [8.0, 0.0, 0.0]]])
    >>> grad_cam(features, lambda each: each[:, 0].sum(1) - each[:, 1].sum(1))
    tensor([[0.0000, 0.2500, 1.0000]])
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        leaf = features.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(scores(leaf).sum(), leaf)
    weights = gradient.mean(tuple(range(2, gradient.ndim)), keepdim=True)
    seen = (weights * features.detach()).sum(1).relu().float()
    return seen / seen.amax(tuple(range(1, seen.ndim)), keepdim=True).clamp_min(1e-12)
