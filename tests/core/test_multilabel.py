"""The F1 between sets against scikit-learn's, and the cleaning in front of it."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from baselines.core.metrics.multilabel import concept_set, set_f1


def test_check_values():
    pairs = (({"C1", "C2", "C3"}, {"C1", "C9"}), ({"C4"}, {"C4", "C8"}), ({"C5", "C6"}, {"C7"}))
    scores = [set_f1(truth, predicted) for truth, predicted in pairs]
    assert scores == pytest.approx([0.4, 2 / 3, 0])
    assert np.mean(scores) == pytest.approx(0.355556, abs=1e-6)


def test_empty_sets():
    assert set_f1({"C1"}, set()) == 0
    assert set_f1(set(), {"C1"}) is None
    assert set_f1(set(), set()) is None


def test_as_the_official_code_computes_it():
    generator = np.random.default_rng(0)
    truth, predicted = generator.random((2, 3000, 9)) < generator.random((2, 3000, 1))
    truth[np.arange(3000), generator.integers(0, 9, 3000)] = True  # an image without a true concept has no F1
    sets = [[{str(label) for label in np.flatnonzero(row)} for row in side] for side in (truth, predicted)]
    scores = [set_f1(*pair) for pair in zip(*sets, strict=True)]
    for part in np.split(np.arange(3000), 10):
        ours = np.mean([scores[place] for place in part])
        assert ours == pytest.approx(f1_score(truth[part], predicted[part], average="samples"), abs=1e-12)


def test_concepts_are_compared_without_case_blanks_and_repeats():
    assert concept_set([" c1", "C1 ", "C1", "", " "]) == {"C1"}
    assert concept_set([]) == frozenset()
