"""From maps to objects: neighbours are separated, holes opened, outlines in pixels of the file."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from baselines.coral.data import depth_map
from baselines.coral.instances import find_instances, outline
from baselines.coral.shapes import Shapes, cross_themselves
from baselines.coral.task import ModelConfig

SETTINGS = ModelConfig(min_area=4, tolerance=1.0)


def maps_of(objects, labels):
    """Maps that a perfect model would give: class probabilities and depth of objects numbered from 1."""
    classes = np.array([0, *labels])[objects]
    probabilities = np.full((14, *objects.shape), 0.005, np.float32)
    np.put_along_axis(probabilities, classes[None], 0.935, axis=0)
    return probabilities, depth_map(objects, 4.0)


def two_touching(width=64, height=48):
    objects = np.zeros((height, width), np.int32)
    objects[8:40, 8:32] = 1
    objects[8:40, 32:58] = 2
    return objects


def ious(found, objects, size):
    """IoU of each object found with each true one, ``(N, M)``."""
    found_masks = [filled(ring, size) for ring in found.shapes]
    true_masks = [
        cv2.resize((objects == index).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        for index in range(1, objects.max() + 1)
    ]
    return np.array([[(mine & true).sum() / (mine | true).sum() for true in true_masks] for mine in found_masks])


@pytest.mark.parametrize("scale", [1, 4])
def test_touching_neighbours_of_one_substrate_are_two_objects_by_cores_and_one_blob_by_components(scale):
    objects = two_touching()
    probabilities, depth = maps_of(objects, [10, 10])
    size = 64 * scale, 48 * scale
    found = find_instances(probabilities, depth, size, SETTINGS)
    assert found.labels.tolist() == [10, 10]
    assert (ious(found, objects, size).max(axis=1) > 0.9).all()
    blob = find_instances(probabilities, depth, size, replace(SETTINGS, instances="components"))
    assert len(blob.labels) == 1


def test_the_substrate_is_the_mean_over_the_object_and_scores_are_probabilities():
    objects = two_touching()
    probabilities, depth = maps_of(objects, [3, 12])
    probabilities[[3, 5], 10:14, 10:14] = probabilities[[5, 3], 10:14, 10:14]  # a patch that looks like another
    found = find_instances(probabilities, depth, (64, 48), SETTINGS)
    assert sorted(found.labels.tolist()) == [3, 12]
    assert ((found.scores > 0.7) & (found.scores <= 0.94)).all()
    assert found.scores[found.labels == 3] < found.scores[found.labels == 12]


def test_an_object_without_a_core_is_one_of_its_own_and_ranks_behind():
    objects = two_touching()
    objects[44:47, 2:6] = 3
    probabilities, depth = maps_of(objects, [4, 4, 4])
    depth[44:47] *= 0.4
    found = find_instances(probabilities, depth, (64, 48), SETTINGS)
    assert len(found.labels) == 3
    small = int(found.shapes.boxes()[:, 1].argmax())
    assert found.scores[small] == found.scores.min() < 0.5


def test_small_and_unsure_objects_are_left_out_and_nothing_gives_nothing():
    objects = two_touching()
    probabilities, depth = maps_of(objects, [4, 4])
    assert len(find_instances(probabilities, depth, (64, 48), replace(SETTINGS, min_area=5000)).labels) == 0
    assert len(find_instances(probabilities, depth, (64, 48), replace(SETTINGS, min_score=0.99)).labels) == 0
    for method in ("cores", "components"):
        empty = find_instances(*maps_of(objects * 0, [4, 4]), (64, 48), replace(SETTINGS, instances=method))
        assert len(empty.shapes) == len(empty.labels) == len(empty.scores) == 0


def ring_mask(hole):
    mask = np.zeros((80, 80), np.uint8)
    cv2.circle(mask, (40, 40), 36, 1, -1)
    cv2.circle(mask, (40, 40), hole, 0, -1)
    return mask


def filled(ring, size):
    picture = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(picture, [ring.round().astype(np.int32)], 1)
    return picture


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("tolerance", [0.0, 2.0])
def test_a_large_hole_is_opened_without_the_ring_meeting_itself_and_a_small_one_is_filled(scale, tolerance):
    size = int(80 * scale), int(80 * scale)
    for hole, is_open in ((22, True), (5, False)):
        mask = ring_mask(hole)
        ring = outline(mask, (scale, scale), tolerance=tolerance, hole=0.1)
        drawn = filled(ring, size)
        assert bool(drawn[size[1] // 2, size[0] // 2]) is not is_open
        target = cv2.resize(mask if is_open else ring_mask(0), size, interpolation=cv2.INTER_NEAREST)
        assert (drawn & target).sum() / (drawn | target).sum() > (0.88 if is_open else 0.95)
        assert not cross_themselves(Shapes.of_rings([ring.round().astype(int)]))[0].any()


def test_a_coarser_tolerance_gives_fewer_points_near_the_outline():
    mask = ring_mask(0)
    fine, coarse = (outline(mask, (4.0, 4.0), tolerance=tolerance, hole=0.1) for tolerance in (0.5, 4.0))
    assert len(coarse) < len(fine) / 2
    drawn = [filled(ring, (320, 320)) for ring in (fine, coarse)]
    assert (drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum() > 0.95


def test_of_two_parts_the_larger_one_counts_and_specks_have_no_outline():
    mask = np.zeros((20, 20), np.uint8)
    mask[2:5, 2:5] = mask[8:18, 8:18] = 1
    assert outline(mask, (1.0, 1.0), tolerance=0.0, hole=0.1).min(axis=0).tolist() == [8, 8]
    speck = np.zeros((5, 5), np.uint8)
    assert outline(speck, (1.0, 1.0), tolerance=0.0, hole=0.1) is None
    speck[2, 2] = 1
    assert outline(speck, (1.0, 1.0), tolerance=0.0, hole=0.1) is None


def test_an_enlarged_outline_reaches_the_edges_of_the_outermost_pixels():
    mask = np.ones((10, 10), np.uint8)
    ring = outline(mask, (4.0, 4.0), tolerance=0.0, hole=0.1)
    assert ring.min(axis=0).tolist() == [0, 0]
    assert ring.max(axis=0).tolist() == [39, 39]
