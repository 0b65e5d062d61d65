"""The module around the detectors: decoding to image pixels, and the streaming average precision."""

from __future__ import annotations

import numpy as np
import pytest
from huggingface_hub import errors as hub_errors

from baselines.core.findings import InvalidInput
from baselines.core.metrics.detection import DetectionStatistics, match_boxes
from baselines.drawnui.model import SCORE_BINS, HistogramAveragePrecision, build_network
from baselines.drawnui.task import DataConfig, ModelConfig


def random_image(rng, classes):
    truths = rng.uniform(0, 60, (rng.integers(0, 6), 4))
    truths[:, 2:] = truths[:, :2] + rng.uniform(5, 40, (len(truths), 2))
    jitter = np.concatenate([truths + rng.normal(0, 3, truths.shape), rng.uniform(0, 60, (4, 4))])
    jitter[:, 2:] = np.maximum(jitter[:, 2:], jitter[:, :2] + 1)
    labels = rng.integers(0, classes, len(truths))
    found = np.concatenate([labels, rng.integers(0, classes, 4)])
    # Scores in the middle of distinct bins, so that binning loses nothing.
    scores = (rng.permutation(SCORE_BINS)[: len(found)] + 0.5) / SCORE_BINS
    return truths, labels, jitter, found, scores


@pytest.mark.parametrize("seed", range(5))
def test_the_streaming_precision_of_one_image_is_the_scorers(seed):
    rng = np.random.default_rng(seed)
    truths, labels, boxes, found, scores = random_image(rng, 3)
    counts = HistogramAveragePrecision(3)
    counts.update(truths, labels, boxes, found, scores)
    average, _ = DetectionStatistics({"a": match_boxes(truths, labels, boxes, found, scores)}).evaluate()
    expected = np.nanmean(average) if np.isfinite(average).any() else 0.0
    assert counts.compute(lambda tensor: tensor) == pytest.approx(expected, abs=1e-9)


def test_without_truth_the_streaming_precision_is_zero_and_reset_forgets():
    counts = HistogramAveragePrecision(2)
    assert counts.compute(lambda tensor: tensor) == 0.0
    box = np.array([[0.0, 0, 10, 10]])
    counts.update(box, np.array([1]), box, np.array([1]), np.array([0.9]))
    assert counts.compute(lambda tensor: tensor) == pytest.approx(1.0)
    counts.reset()
    assert counts.compute(lambda tensor: tensor) == 0.0


def test_a_backbone_of_other_strides_is_a_finding_that_names_it():
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*strides.*vit_tiny") as caught:
        build_network(DataConfig(input="rgb"), ModelConfig(backbone="vit_tiny_patch16_224"), classes=2)
    assert caught.value.findings.error_count == 1


@pytest.mark.parametrize("wrong", [{"weights": "pretrained"}, {"backbone": "mobilenetv3_small_100"}])
def test_widths_of_your_own_need_a_resnet_without_published_weights(wrong):
    model = ModelConfig(**({"backbone": "resnet10t", "widths": (8, 8, 8, 8)} | wrong))
    with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*widths"):
        build_network(DataConfig(), model, classes=2)


def test_the_offline_message_names_the_experiment(monkeypatch):
    def refuse(*arguments, **keywords):
        raise hub_errors.LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(InvalidInput, match="imageclef fetch drawnui_wireframe"):
        build_network(DataConfig(), ModelConfig(weights="pretrained"), 2, "drawnui_wireframe")
