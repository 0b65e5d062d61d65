"""The dense detector: targets, losses, decoding, and that it learns."""

from __future__ import annotations

import math

import pytest
import timm
import torch

from baselines.drawnui.center import STRIDE, CenterDetector, boxes_at, decode, detection_losses, gaussians, peak_loss
from baselines.drawnui.two_stage import TwoStageDetector

LIMITS = {"limit": 50, "iou": 0.6, "floor": 0.05}


def small_backbone():
    return timm.create_model("resnet10t", features_only=True, in_chans=1, channels=(8, 16, 16, 16), stem_width=8)


def two_pages():
    """Two pages of filled and empty rectangles: classes 0 and 1."""
    images = torch.zeros(2, 1, 64, 96)
    boxes = [torch.tensor([[8.0, 8, 56, 20], [10, 36, 34, 56]]), torch.tensor([[40.0, 30, 90, 44]])]
    labels = [torch.tensor([0, 1]), torch.tensor([0])]
    for image, page_boxes, page_labels in zip(images, boxes, labels, strict=True):
        for (x0, y0, x1, y1), label in zip(page_boxes.int().tolist(), page_labels.tolist(), strict=True):
            image[0, y0:y1, x0:x1] = 1.0
            if label:
                image[0, y0 + 3 : y1 - 3, x0 + 3 : x1 - 3] = 0.0
    return images, boxes, labels


def test_a_gaussian_is_one_at_the_cell_of_the_centre_and_follows_the_shape():
    bump = gaussians(torch.tensor([[0.0, 24, 96, 40]]), 16, 24)[0]
    assert (bump == 1).nonzero().tolist() == [[8, 12]]
    assert bump[8, 15] > bump[11, 12]  # wide and flat: it falls more slowly along x


def test_a_box_outside_the_map_keeps_its_peak_inside():
    bump = gaussians(torch.tensor([[90.0, 60, 140, 100]]), 16, 24)[0]
    assert bump[15, 23] == 1


def test_the_peak_loss_of_a_perfect_map_is_near_zero_and_a_miss_costs():
    target = torch.tensor([1.0, 0.0])
    assert peak_loss(torch.tensor([12.0, -12.0]), target) < 1e-6
    # One centre at probability 1/2: (1/2)^2 * ln 2.
    assert peak_loss(torch.tensor([0.0, -30.0]), target).item() == pytest.approx(0.25 * math.log(2), rel=1e-5)


def test_the_peak_loss_and_its_gradient_are_those_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.double, requires_grad=True)
    target = torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.double)
    target[0, 0, 1, 2] = target[1, 2, 7, 7] = 1
    p = logits.sigmoid()
    formula = torch.where(target == 1, (1 - p) ** 2 * p.log(), (1 - target) ** 4 * p**2 * (1 - p).log())
    torch.testing.assert_close(peak_loss(logits, target), -formula.sum())
    expected = torch.autograd.grad(-formula.sum(), logits)[0]
    torch.testing.assert_close(torch.autograd.grad(peak_loss(logits, target), logits)[0], expected)


def random_batch(sizes, height, width, classes, seed=0):
    """Return logits and extents with gradients, boxes and labels, for pages with as many elements as ``sizes`` says."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(sizes), classes, height, width, generator=generator, requires_grad=True)
    extents = torch.randn(len(sizes), classes, 4, height, width, generator=generator, requires_grad=True)
    corners = [torch.rand(size, 2, generator=generator) * 40 for size in sizes]
    boxes = [torch.cat((corner, corner + 40 + torch.rand(len(corner), 2, generator=generator)), 1) for corner in corners]
    return logits, extents, boxes, [torch.randint(0, classes, (size,), generator=generator) for size in sizes]


def test_a_batch_costs_what_its_pages_cost_by_their_elements():
    logits, extents, boxes, labels = random_batch((3, 0, 5), 24, 32, classes=2)
    together = detection_losses(logits, extents, boxes, labels)
    alone = [
        detection_losses(logits[page : page + 1], extents[page : page + 1], [boxes[page]], [labels[page]]) for page in range(3)
    ]
    for part, shares in {"peaks": (3, 1, 5), "boxes": (3, 0, 5)}.items():
        expected = sum(share * losses[part] for share, losses in zip(shares, alone, strict=True)) / 8
        torch.testing.assert_close(together[part], expected)


def test_cells_that_elements_share_get_the_same_gradient_each_time():
    def gradient():
        logits, extents, boxes, labels = random_batch((60, 60), 96, 96, classes=1)
        boxes = [torch.cat((box[:, :2], box[:, :2] + 300), 1) for box in boxes]  # large, and all over the same cells
        detection_losses(logits, extents, boxes, labels)["boxes"].backward()
        return extents.grad

    first = gradient()
    assert (first != 0).sum() > 4 * 1_000
    assert all(torch.equal(gradient(), first) for _ in range(3))


def test_extents_are_distances_from_the_cell_centre():
    box = boxes_at(torch.tensor([[0.0, 0.0, math.log(2), math.log(3)]]), torch.tensor([50.0]), torch.tensor([20.0]))
    torch.testing.assert_close(box, torch.tensor([[50.0 - STRIDE, 20.0 - STRIDE, 50.0 + 2 * STRIDE, 20.0 + 3 * STRIDE]]))


def test_nested_elements_of_two_classes_with_one_centre_are_both_decoded():
    logits = torch.full((1, 2, 8, 8), -9.0)
    logits[0, :, 4, 4] = 4.0
    extents = torch.zeros(1, 2, 4, 8, 8)
    extents[0, 0] = math.log(4)
    (boxes, labels, scores) = decode(logits, extents, limit=10, iou=0.6, floor=0.1)[0]
    assert sorted(labels.tolist()) == [0, 1]
    assert sorted((boxes[:, 2] - boxes[:, 0]).tolist()) == [2 * STRIDE, 8 * STRIDE]
    assert (scores > 0.9).all()


def test_overlapping_detections_of_a_class_are_suppressed_and_the_limit_holds():
    logits = torch.full((1, 1, 8, 8), -9.0)
    logits[0, 0, 2, 2], logits[0, 0, 2, 4], logits[0, 0, 6, 6] = 5.0, 4.0, 3.0
    extents = torch.full((1, 1, 4, 8, 8), math.log(6))
    found = decode(logits, extents, limit=10, iou=0.5, floor=0.1)[0]
    assert len(found[0]) == 2
    assert found[2].tolist() == sorted(found[2].tolist(), reverse=True)
    assert len(decode(logits, extents, limit=1, iou=0.5, floor=0.1)[0][0]) == 1


def test_a_page_without_boxes_has_a_finite_loss_with_gradients():
    logits = torch.zeros(1, 3, 8, 8, requires_grad=True)
    extents = torch.zeros(1, 3, 4, 8, 8, requires_grad=True)
    losses = detection_losses(logits, extents, [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.long)])
    sum(losses.values()).backward()
    assert torch.isfinite(logits.grad).all()
    assert torch.equal(
        extents.grad, torch.zeros_like(extents)
    )  # none would stop several processes: each waits for all gradients


def test_a_backbone_of_other_strides_is_refused():
    with pytest.raises(ValueError, match="strides"):
        CenterDetector(timm.create_model("resnet10t", features_only=True, out_indices=(1, 2)), 2, 8, **LIMITS)


def overfit(network, steps, lr):
    """Train on the two pages and return what is found on them, and what is there."""
    images, boxes, labels = two_pages()
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    network.train()
    for _ in range(steps):
        loss = sum(network.losses(images, boxes, labels).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    network.eval()
    with torch.no_grad():
        return network.detect(images), boxes, labels


def assert_found(found, boxes, labels):
    for (found_boxes, found_labels, found_scores), page_boxes, page_labels in zip(found, boxes, labels, strict=True):
        strong = found_scores > 0.3
        assert sorted(found_labels[strong].tolist()) == sorted(page_labels.tolist())
        for box, label in zip(page_boxes, page_labels, strict=True):
            nearest = (found_boxes[strong & (found_labels == label)] - box).abs().amax(1).min()
            assert nearest < 4


def test_the_dense_detector_overfits_two_pages():
    torch.manual_seed(0)
    assert_found(*overfit(CenterDetector(small_backbone(), 2, 16, **LIMITS), steps=150, lr=5e-3))


@pytest.mark.slow
def test_the_two_stage_detector_learns_two_pages():
    torch.manual_seed(0)
    network = TwoStageDetector(small_backbone(), 2, 16, anchor_sizes=(8, 16, 32, 64, 128), **LIMITS).train()
    images, boxes, labels = two_pages()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    course = []
    for _ in range(40):
        loss = sum(network.losses(images, boxes, labels).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        course.append(loss.item())
    assert sum(course[-5:]) < 0.5 * sum(course[:5])


def test_the_two_stage_detector_keeps_boxes_in_float32_under_autocast():
    network = TwoStageDetector(small_backbone(), 2, 16, anchor_sizes=(8, 16, 32, 64, 128), **LIMITS | {"floor": 0.0}).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        boxes, _, scores = network.detect(torch.rand(1, 1, 64, 64))[0]
    assert boxes.dtype == scores.dtype == torch.float32
