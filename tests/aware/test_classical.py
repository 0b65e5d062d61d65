"""Regressors kept as tensors predict what scikit-learn predicts; features of profiles are what their definitions say."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.svm import SVR

from baselines.aware.classical import (
    FocalRegressor,
    KernelRegressor,
    LinearRegressor,
    RatingSum,
    Trees,
    build_regressor,
    correlation,
    cross_validate,
)
from baselines.aware.data import Profiles, collate, folds_of
from baselines.aware.features import bag, photo_features, profile_features, rating_sums
from baselines.aware.records import read_split
from baselines.aware.task import SITUATIONS, DataConfig, ModelConfig
from baselines.core.findings import Findings

SMALL = ModelConfig(trees=4, leaf=2)


@pytest.fixture(scope="module")
def profiles(aware_root):
    """Training profiles, the ratings of the concepts, and folds."""
    split = read_split(aware_root, "aware", "train", Findings())
    numbers = {name: number for number, name in split.truth_set.classes.items()}
    dataset = Profiles(split.samples, numbers, folds_of(list(split.truth_set.truths), 3, seed=0), DataConfig())
    ratings = torch.full((len(numbers), 4), torch.nan)
    for name, mine in split.ratings.items():
        ratings[numbers[name]] = torch.tensor([mine[key] for key in SITUATIONS])
    batch = collate(dataset.items)
    return batch, ratings, batch["folds"].numpy()


def made(images, concepts, places, confidences):
    return collate(
        [
            {
                "id": "u",
                "concepts": np.array(concepts),
                "confidences": np.array(confidences),
                "boxes": np.zeros((len(concepts), 4)),
                "places": np.array(places),
                "images": images,
                "targets": np.zeros(4),
                "fold": 0,
            }
        ]
    )


def test_the_bag_sums_confidences_over_photos_and_leaves_out_unknown_concepts():
    batch = made(4, [0, 2, 0, 3], [0, 0, 1, 2], [0.5, 0.4, 0.7, 0.9])  # 3 is not known
    np.testing.assert_allclose(bag(batch, 3).numpy(), [[0.3, 0, 0.1]], atol=1e-7)


def test_sums_of_ratings_take_an_unrated_concept_as_neutral():
    batch = made(2, [0, 1, 1], [0, 0, 1], [0.5, 0.4, 0.6])
    ratings = torch.tensor([[1.0, -2, 0, 3], [torch.nan] * 4])
    np.testing.assert_allclose(rating_sums(batch, ratings).numpy(), [[0.25, -0.5, 0, 0.75]], atol=1e-7)


def test_photos_are_described_by_mean_ratings_of_each_sign_and_confidence():
    batch = made(3, [0, 1, 2, 3, 0], [0, 0, 0, 0, 2], [0.5, 0.6, 0.7, 0.8, 0.31])
    ratings = torch.tensor([1.0, 2.0, -1.0, torch.nan, 0.01], dtype=torch.float64)
    photos, owners = photo_features(batch, ratings, 0.4)  # the last detection is below the threshold
    np.testing.assert_allclose(photos.numpy(), [[1.5, -1.0, 0.6]], atol=1e-7)
    assert owners.tolist() == [0]


def test_profiles_are_described_by_the_photos_nearest_to_each_centre():
    photos = torch.tensor([[0.0, 0, 0], [2, 0, 0], [9, 9, 9]], dtype=torch.float64)
    centres = torch.tensor([[0.0, 0, 0], [9, 9, 9]], dtype=torch.float64)
    found = profile_features(photos, torch.tensor([0, 0, 1]), 3, centres).numpy()
    np.testing.assert_allclose(found, [[1, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 9, 9, 9, 0], [0] * 8])


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
def test_trees_predict_as_scikit_learn_does(kind):
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(60, 5)), rng.normal(size=(60, 4))
    forests = [
        kind(5, max_depth=depth, random_state=0).fit(features, y) for depth, y in zip((None, 1, 3, 5), targets.T, strict=True)
    ]
    trees = Trees()
    trees.set(forests)
    new = rng.normal(size=(40, 5))
    for column, forest in enumerate(forests):
        np.testing.assert_allclose(trees(torch.from_numpy(new), column).numpy(), forest.predict(new), rtol=1e-12)


def test_a_tree_that_is_one_leaf_predicts_the_mean():
    forest = RandomForestRegressor(2, bootstrap=False).fit(np.zeros((4, 2)), np.arange(4.0))
    trees = Trees()
    trees.set([forest] * 4)
    assert trees(torch.ones(1, 2, dtype=torch.float64), 3).tolist() == [1.5]


def test_ridge_and_svr_predict_as_scikit_learn_does(profiles):
    batch, ratings, folds = profiles
    bags, targets = bag(batch, len(ratings)).numpy(), batch["targets"].double().numpy()
    ridge, svr = LinearRegressor(len(ratings)), KernelRegressor(len(ratings))
    ridge.fit(batch, folds, 0)
    svr.fit(batch, folds, 0)
    for column in range(4):
        features = bags ** float(ridge.power[column])
        predictions = [Ridge(alpha).fit(features, targets[:, column]).predict(features) for alpha in (0.03, 0.1, 0.3, 1.0, 3.0)]
        assert any(np.allclose(ridge(batch)[:, column], each, atol=1e-9) for each in predictions)
        features = bags ** float(svr.power[column])
        y = targets[:, column] / targets[:, column].std()
        predictions = [SVR(C=cost, gamma="scale").fit(features, y).predict(features) for cost in (0.1, 0.3, 1.0)]
        assert any(np.allclose(svr(batch)[:, column], each, atol=1e-6) for each in predictions)


def test_the_sum_of_ratings_needs_no_fit(profiles):
    batch, ratings, _ = profiles
    np.testing.assert_array_equal(RatingSum(ratings)(batch), rating_sums(batch, ratings))


@pytest.mark.parametrize("name", ["ridge", "svr", "forest", "extra_trees", "focal"])
def test_a_regressor_learns_repeats_itself_and_survives_its_tensors(profiles, name):
    batch, ratings, folds = profiles
    first, second = (build_regressor(name, ratings, SMALL) for _ in range(2))
    first.fit(batch, folds, 3)
    second.fit(batch, folds, 3)
    said = first(batch)
    assert said.shape == (45, 4)
    np.testing.assert_array_equal(said, second(batch))
    assert all(correlation(said[:, column].numpy(), batch["targets"][:, column].double().numpy()) > 0.3 for column in range(4))
    fresh = build_regressor(name, torch.full_like(ratings, torch.nan), SMALL)
    for path, buffer in first.named_buffers():
        parent, _, leaf = path.rpartition(".")
        setattr(fresh.get_submodule(parent), leaf, buffer.clone())
    np.testing.assert_array_equal(said, fresh(batch))


def test_focal_ratings_stay_away_from_the_pole(profiles):
    batch, ratings, folds = profiles
    regressor = FocalRegressor(ratings * 40, SMALL)  # another scale than -3 to 3
    regressor.fit(batch, folds, 0)
    assert torch.isfinite(regressor(batch)).all()


def test_cross_validation_never_sees_what_it_predicts():
    rng = np.random.default_rng(0)
    features, y, folds = rng.normal(size=(90, 40)), rng.normal(size=90), np.arange(90) % 3
    assert correlation(Ridge(1e-6).fit(features, y).predict(features), y) > 0.6
    assert abs(cross_validate(Ridge(1e-6), features, y, folds)) < 0.35
    assert cross_validate(Ridge(), features, y, np.zeros(90)) == 0.0
