"""Expected BLEU over many references is the scorer's, and what is chosen by it is best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.metrics.text import best_bleu, bleu, clean
from baselines.medical.language import (
    References,
    best_set,
    climb,
    constant_caption,
    constant_questions,
    in_order,
    precedence,
    surface_words,
)

TEXTS = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9).map(tuple), min_size=1, max_size=6)


@given(TEXTS, TEXTS)
def test_many_scores_at_once_are_those_of_the_scorer(texts, candidates):
    references = References(texts)
    expected = [[bleu(text, candidate).bleu for text in references.distinct] for candidate in candidates]
    assert references.table(candidates) == pytest.approx(np.array(expected), abs=1e-12)


def test_unknown_words_match_nothing_and_blocks_change_nothing(monkeypatch):
    references = References([("a", "b", "c"), ("c", "a")], [3, 1])
    candidates = [("a", "x", "y", "b"), ("x",), ("a", "b", "c", "c", "c"), ()]
    whole = references.table(candidates)
    assert whole[1].tolist() == [0, 0]
    assert references.expect(candidates) == pytest.approx(whole @ [0.75, 0.25])
    monkeypatch.setattr("baselines.medical.language.BLOCK", 1)
    assert (references.table(candidates) == whole).all()


def test_without_references_there_is_no_expectation():
    with pytest.raises(ValueError, match="no reference"):
        References([])


def test_a_climb_ends_where_no_single_change_helps():
    references = References([("a", "b"), ("b", "c", "d"), ("a", "d")])
    end = climb(("c",), references, ["a", "b", "c", "d"])
    best = references.expect([end])[0]
    assert best > references.expect([("c",)])[0]
    changes = [
        (*end[:place], word, *end[place + skip :]) for place in range(len(end) + 1) for word in "abcd" for skip in (0, 1)
    ]
    assert references.expect([*changes, *(end[:place] + end[place + 1 :] for place in range(len(end)))]).max() <= best + 1e-9


def test_the_constant_caption_beats_every_caption_of_the_set_and_the_most_frequent_words():
    rng = np.random.default_rng(0)
    words = [f"word{letter}" for letter in "abcdefghij"]
    captions = [" ".join(rng.choice(words, size=rng.integers(3, 8), p=np.arange(10, 0, -1) / 55)) for _ in range(40)]

    def mean(caption):
        return np.mean([bleu(clean(each), clean(caption)).bleu for each in captions])

    found = mean(constant_caption(captions))
    assert found > max(map(mean, captions))
    assert found > mean(" ".join(words[:5]))


def test_a_constant_caption_consists_of_words_not_of_stems():
    assert constant_caption(["internal hemorrhages"] * 3) == "internal hemorrhages"
    assert surface_words(["Hemorrhages, hemorrhage", "hemorrhages"]) == {"hemorrhag": "hemorrhages"}


def test_constant_questions_cover_the_images_best():
    questions = [["is it a ct?"], ["is it a ct?", "which organ?"], ["what plane is shown?"], ["which organ?"], ["the of?"]]
    one, two = constant_questions(questions, 1), constant_questions(questions, 7)
    assert len(one) == 1
    assert two[0] == one[0]
    assert len(two) == len(set(two)) == 3

    def mean(chosen):
        scores = [best_bleu(map(clean, texts), map(clean, chosen)).bleu for texts in questions[:-1]]
        return np.mean(scores)

    assert mean(two) == pytest.approx(1)
    assert mean(one) == max(mean([text]) for texts in questions for text in texts)
    assert constant_questions([["the?"]], 3) == ["the?"]


def test_the_best_set_has_no_two_that_say_the_same():
    references = References([("a", "b"), ("a", "c"), ("x", "y")], [2, 2, 1])
    assert best_set([("a", "b"), ("a", "b"), ("x", "y"), ("a", "c")], references, 3) == [0, 2, 3]
    assert best_set([("a", "b"), ("a", "b")], references, 2) == [0]


def test_words_follow_the_usual_order():
    words = ["chest", "ct", "axial"]
    counts = precedence([("axial", "ct", "chest"), ("axial", "ct"), ("ct", "chest")], words)
    assert [words[index] for index in in_order([0, 1, 2], counts)] == ["axial", "ct", "chest"]
    assert in_order([0, 1], np.zeros((2, 2), np.float32)) == [0, 1]
