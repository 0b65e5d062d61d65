"""Concept detection: losses and neighbours against other libraries, the rule that is tuned, a model that overfits."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from timm.loss import AsymmetricLossMultiLabel
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from baselines.core.config import Config, OptimizerConfig, TrainerConfig
from baselines.core.findings import InvalidInput
from baselines.core.metrics.multilabel import set_f1
from baselines.medical.caption.concepts import (
    THRESHOLDS,
    choose,
    example_f1,
    multilabel_loss,
    nearest,
    tune_per_label,
    tune_rule,
    tune_threshold,
    vote,
)
from baselines.medical.caption.data import build_data
from baselines.medical.caption.model import build_module
from baselines.medical.caption.records import CAPTIONS, CONCEPTS
from baselines.medical.caption.task import DataConfig, ModelConfig
from baselines.training.data import Draw
from baselines.training.loop import restore_inference


@pytest.fixture
def scored():
    """Noisy scores of 60 images and 8 concepts, and the truth."""
    rng = np.random.default_rng(0)
    truth = rng.random((60, 8)) < np.linspace(0.05, 0.6, 8)
    scores = np.clip(0.5 * truth + rng.normal(0.25, 0.2, truth.shape), 0, 1).astype(np.float32)
    return scores, truth


class TestLoss:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 3
    labels = (torch.rand(5, 7, generator=torch.Generator().manual_seed(1)) < 0.3).float()

    def loss(self, **options):
        return multilabel_loss(self.logits, self.labels, ModelConfig(**options))

    def test_asymmetric_as_in_timm(self):
        for negative, positive, margin in ((4.0, 1.0, 0.05), (2.0, 0.0, 0.05), (2.0, 0.0, 0.0)):
            expected = AsymmetricLossMultiLabel(negative, positive, margin)(self.logits, self.labels)
            ours = self.loss(loss="asymmetric", focus_negative=negative, focus_positive=positive, margin=margin)
            assert ours.item() == pytest.approx(expected.item(), rel=1e-5)

    def test_focal_as_in_torchvision(self):
        expected = sigmoid_focal_loss(self.logits, self.labels, alpha=-1, gamma=2, reduction="sum") / 5
        assert self.loss(loss="focal", focus_negative=2.0).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_without_exponents_and_margin_all_are_cross_entropy(self):
        expected = F.binary_cross_entropy_with_logits(self.logits, self.labels, reduction="sum") / 5
        for options in ({"loss": "bce"}, {"loss": "focal", "focus_negative": 0.0}):
            assert self.loss(**options).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_certain_logits_give_finite_losses_and_gradients(self):
        for loss in ("asymmetric", "focal", "bce"):
            logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
            value = multilabel_loss(logits, torch.tensor([[0.0, 1.0]]), ModelConfig(loss=loss))
            value.backward()
            assert torch.isfinite(value)
            assert torch.isfinite(logits.grad).all()


class TestNeighbours:
    def test_as_in_scikit_learn(self):
        rng = np.random.default_rng(0)
        index, queries = rng.normal(size=(40, 6)), rng.normal(size=(9, 6))
        labels = rng.random((40, 3)) < 0.4
        found = nearest(torch.from_numpy(queries), F.normalize(torch.from_numpy(index).float(), dim=1), 5)
        reference = KNeighborsClassifier(5, metric="cosine", weights=lambda distances: 1 - distances, algorithm="brute")
        reference.fit(index, labels)
        expected = np.stack([column[:, 1] for column in reference.predict_proba(queries)], axis=1)
        np.testing.assert_allclose(vote(found, torch.from_numpy(labels)), expected, atol=1e-5)

    def test_fewer_than_asked_for(self):
        cosines, rows = nearest(torch.ones(1, 2), torch.tensor([[1.0, 0.0]]), 5)
        assert rows.tolist() == [[0]]
        assert vote((cosines, rows), torch.tensor([[1, 0]])).tolist() == [[1, 0]]


class TestRule:
    def test_f1_is_that_of_the_scorer(self, scored):
        scores, truth = scored
        predicted = scores > 0.5
        truth[:3] = False  # images without a concept don't count
        expected = [set_f1(set(np.flatnonzero(t)), set(np.flatnonzero(p))) for t, p in zip(truth, predicted, strict=True)]
        assert example_f1(predicted, truth) == pytest.approx(np.mean([value for value in expected if value is not None]))

    def test_the_threshold_is_the_best_of_the_grid(self, scored):
        scores, truth = scored
        kept = truth.any(1)
        threshold, at_least, f1 = tune_threshold(scores, truth)
        single = [f1_score(truth[kept], scores[kept] >= value, average="samples", zero_division=0) for value in THRESHOLDS]
        assert f1 >= max(single) - 1e-9
        assert example_f1(choose(scores, threshold, at_least=at_least), truth) == f1

    def test_at_least_one_concept_only_where_there_is_none(self, scored):
        scores, _ = scored
        chosen, forced = choose(scores, 0.9, at_least=False), choose(scores, 0.9, at_least=True)
        empty = ~chosen.any(1)
        assert empty.any()
        assert (forced[~empty] == chosen[~empty]).all()
        assert (forced[empty].sum(1) == 1).all()
        assert (forced[empty].argmax(1) == scores[empty].argmax(1)).all()

    def test_at_least_one_is_chosen_when_it_is_better(self):
        truth = np.eye(4, dtype=bool)
        scores = np.array([[0.9, 0, 0, 0], [0, 0.9, 0, 0], [0, 0, 0.4, 0.3], [0.45, 0.45, 0.1, 0.46]], np.float32)
        _, at_least, f1 = tune_threshold(scores, truth)
        assert at_least
        assert f1 == 1

    def test_the_better_of_classifier_and_neighbours_wins_and_both_are_no_worse(self, scored):
        scores, truth = scored
        noise = np.random.default_rng(1).random(scores.shape).astype(np.float32)
        for classified, votes, best in ((scores, noise, 1.0), (noise, scores, 0.0)):
            rules = {kind: tune_rule(classified, {1: votes}, truth, kind) for kind in ("classifier", "nearest", "both")}
            assert (rules["classifier"].share, rules["nearest"].share) == (1.0, 0.0)
            assert abs(rules["both"].share - best) < 0.5
            assert rules["both"].f1 >= max(rules["classifier"].f1, rules["nearest"].f1)

    def test_the_number_of_neighbours_is_the_best(self, scored):
        scores, truth = scored
        noise = np.random.default_rng(1).random(scores.shape).astype(np.float32)
        assert tune_rule(noise, {1: noise, 5: scores, 9: noise}, truth, "nearest").neighbours == 5

    def test_thresholds_of_their_own_help_where_a_concept_is_scored_too_low_and_rare_ones_keep_the_global_one(self):
        rng = np.random.default_rng(0)
        truth = rng.random((80, 3)) < [0.5, 0.5, 0.02]
        scores = np.where(truth, 0.8, 0.2).astype(np.float32)
        scores[:, 1] /= 4  # its positives lie at 0.2
        thresholds = tune_per_label(scores, truth, 0.5, at_least=False)
        assert thresholds[1] < 0.21
        assert thresholds[2] == np.float32(0.5)
        before, after = (example_f1(choose(scores, value, at_least=False), truth) for value in (0.5, thresholds))
        assert after > before


@pytest.fixture
def config(caption_root, tmp_path):
    def make(task=CONCEPTS, **model):
        return Config(
            task=task,
            experiment="x",
            data=DataConfig(root=str(caption_root), cache_dir=str(tmp_path / "cache"), image_side=64, workers=0),
            model=ModelConfig(**({"name": "concepts", "backbone": "test_resnet"} | model)),
            optimizer=OptimizerConfig(),
            trainer=TrainerConfig(accelerator="cpu", threads=1),
        )

    return make


@pytest.fixture
def one_thread():
    """Threads that wait for each other take minutes on a machine that is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_it_overfits_a_few_images_and_what_was_tuned_is_loaded_again(config, capsys):
    torch.manual_seed(0)
    settings = config(dropout=0.0)
    data = build_data(settings)
    module = build_module(settings, data)
    images = data.train_dataset()
    batch = data.collate([images[index] for index in range(12)])
    optimizer = torch.optim.AdamW(module.parameters(), 2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(module.losses(batch).values()).backward()
        optimizer.step()
    module.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):  # as the trainer does with trainer.precision=bf16
        module.calibrate(data)
        predictions = module.decode(batch)
        assert "set aside: F1" in capsys.readouterr().err
        truth_set = data.split("train").truth_set
        scores = [set_f1(set(truth_set.truths[each.id].concepts), set(each.concepts)) for each in predictions]
        assert np.mean(scores) > 0.9

        other = build_module(settings, build_data(settings, data.classes))
        restore_inference(other.eval(), module.network.state_dict(), "x")
        assert other.decode(batch) == predictions


def test_concepts_come_in_falling_score_and_validation_is_the_f1_of_the_best_threshold(config, monkeypatch):
    settings = config()
    data = build_data(settings)
    module = build_module(settings, data).eval()
    batch = data.collate([data.train_dataset()[Draw(0, 1)], data.predict_dataset("train")[1]])
    module.network.rule_thresholds.fill_(0.0)
    with torch.no_grad():
        predictions = module.decode(batch)
    assert all(len(prediction.concepts) == len(data.columns) for prediction in predictions)
    scores = module._scores.numpy()
    for row, prediction in zip(scores, predictions, strict=True):
        columns = [module.codes.index(concept) for concept in prediction.concepts]
        assert (np.diff(row[columns]) <= 0).all()
    monkeypatch.setattr(module, "sum_over_processes", lambda values: values)
    module.reset_validation()
    module.update_validation(batch, predictions)
    truth = batch["labels"].numpy() > 0
    expected = max(example_f1(scores >= threshold, truth) for threshold in THRESHOLDS)
    assert module.compute_validation()["f1"] == pytest.approx(expected, abs=1e-6)


def test_a_model_of_the_other_task_is_refused(config):
    for settings in (config(name="captioner"), config(CAPTIONS)):
        with pytest.raises(InvalidInput, match=r"CONFIG-VALUE.*other caption task"):
            build_module(settings, build_data(settings))
