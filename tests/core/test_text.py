"""BLEU and ROUGE-1 against check values, and against a transcription of what NLTK did."""

import math
import random
import sys
import time
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.metrics.text import STOP_WORDS, bleu, clean, content_words, rouge1_f, unigram_f1


class TestCleaning:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("X-ray, 3.5 cm", ["xray", "35", "cm"]),
            ("chest\u00a0x-ray\tof\nlung", ["chest", "xray", "lung"]),
            ("Cannot gimme gonna gotta lemme wanna", ["gim", "gon", "na", "got", "ta", "lem", "wan", "na"]),
            ("“lung” – ö", ["“lung”", "–", "ö"]),
            ("don't isn't", ["dont", "isnt"]),  # the stop words have the apostrophe, the text has lost it
            ("The this IS of", []),
            ("a\x85b\u2028lung", ["b", "lung"]),
            (r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""", []),
            ("", []),
        ],
    )
    def test_words(self, text, expected):
        assert content_words(text) == expected

    def test_stems_come_last(self):
        assert clean("Being images, does") == ("imag",)
        assert clean("hodgkin’s effusions") == ("hodgkin", "effus")

    def test_a_word_of_apostrophes_has_an_empty_stem(self):
        assert clean("’’s") == ("",)  # it counts as a word, as it did officially

    def test_the_stop_words(self):
        assert len(STOP_WORDS) == 153
        corpus = pytest.importorskip("nltk.corpus").stopwords
        try:
            words = set(corpus.words("english"))
        except LookupError:
            pytest.skip("NLTK's lists are not on this machine")
        assert words >= STOP_WORDS

    @given(st.text())
    def test_any_text(self, text):
        assert all(isinstance(word, str) for word in clean(text))


CHECKS = [
    ("a", "a", 1, 1.8e-231),
    ("a b", "a", 0.367879, 6.7e-232),
    ("a", "a b", 0.840896, 1.5e-231),
    ("a b c d e", "a b c x y", 0.562341, 6.9e-78),
    ("a b c d e", "a x b y c", 0.880112, 1.6e-231),
    ("a b c d", "a b c d", 1, 1),
    ("a b c d e f", "a b c d", 0.606531, 0.606531),
    ("a b", "c d", 0, 0),
    ("", "", 1, 1),
    ("a", "", 0, 0),
    ("", "a", 0, 0),
]


class TestBleu:
    @pytest.mark.parametrize(("reference", "candidate", "old", "new"), CHECKS)
    def test_check_values(self, reference, candidate, old, new):
        scores = bleu(reference.split(), candidate.split())
        assert scores.bleu == pytest.approx(old, abs=1e-6)
        assert scores.bleu_nltk33 == pytest.approx(new, rel=0.03)

    def test_transcription(self):
        for reference, candidate in random_pairs(5000):
            assert tuple(bleu(reference, candidate)) == (
                as_nltk_322(reference, candidate, lasts=False),
                as_nltk_322(reference, candidate, lasts=True),
            )

    @pytest.mark.filterwarnings("ignore")
    def test_todays_nltk(self):
        sentence_bleu = pytest.importorskip("nltk.translate.bleu_score").sentence_bleu
        for reference, candidate in random_pairs(2000):
            assert bleu(reference, candidate).bleu_nltk33 == pytest.approx(sentence_bleu([reference], candidate), abs=1e-12)

    @given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
    def test_range(self, reference, candidate):
        old, new = bleu(reference, candidate)
        assert 0 <= new <= old <= 1
        assert bleu(reference, reference).bleu == 1

    def test_repeating_words_does_not_help(self):
        reference = "pleural effusion left lung".split()
        assert bleu(reference, reference * 5).bleu < bleu(reference, reference).bleu

    def test_speed(self):
        drawn = random.Random(0)
        words = [f"{word}{number}ing" for word in ("effusion", "lateral", "the", "x-ray") for number in range(500)]
        texts = [" ".join(drawn.choices(words, k=20)) for _ in range(4000)]
        start = time.perf_counter()
        for reference, candidate in zip(texts[::2], texts[1::2], strict=True):
            bleu(clean(reference), clean(candidate))
        assert time.perf_counter() - start < 3  # 2,000 pairs; 10,000 take under 1.5 s on a quiet machine


def random_pairs(count):
    drawn = random.Random(1)
    for _ in range(count):
        words = "abcdefgh"[: drawn.randrange(1, 9)]
        yield drawn.choices(words, k=drawn.randrange(1, 12)), drawn.choices(words + "z", k=drawn.randrange(1, 12))


def as_nltk_322(reference, candidate, *, lasts):
    """The steps of NLTK's ``corpus_bleu`` on one pair; ``lasts`` keeps orders without a match, as from 3.3 on."""
    numerators, denominators = Counter(), Counter()
    for order in range(1, 5):
        counts = Counter(tuple(candidate[i : i + order]) for i in range(len(candidate) - order + 1))
        references = Counter(tuple(reference[i : i + order]) for i in range(len(reference) - order + 1))
        numerators[order] = sum(min(count, references[ngram]) for ngram, count in counts.items())
        denominators[order] = max(1, sum(counts.values()))
    if numerators[1] == 0:
        return 0
    penalty = 1 if len(candidate) > len(reference) else math.exp(1 - len(reference) / len(candidate))
    precisions = []
    for order in range(1, 5):
        precision = Fraction(numerators[order], denominators[order])
        if precision == 0:
            if not lasts:
                break
            precision = sys.float_info.min
        precisions.append(precision)
    return penalty * math.exp(math.fsum(0.25 * math.log(precision) for precision in precisions))


class TestRouge:
    @pytest.mark.parametrize(
        ("reference", "candidate", "expected"), [("a b c d e", "a b c x y", 0.6), ("a b", "a b b b", 2 / 3), ("a", "", 0)]
    )
    def test_check_values(self, reference, candidate, expected):
        assert unigram_f1(reference.split(), candidate.split()) == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("reference", "candidate", "expected"),
        [
            ("", "the", 1),  # nothing is left of either
            ("the", "lung", 0),
            ("lung", "", 0),
            ("Images of the LUNG.", "lung images", 1),
            ("image", "images", 0),  # no stemming
            ("lung’s", "lung s", 2 / 3),  # "s" is a stop word, but not yet where it stands behind the mark
            ("ö", "ö", 0),  # neither has a letter that counts, though neither is empty
        ],
    )
    def test_texts(self, reference, candidate, expected):
        assert rouge1_f(reference, candidate) == pytest.approx(expected)

    @given(st.text(), st.text())
    def test_symmetric_and_in_range(self, one, other):
        assert 0 <= rouge1_f(one, other) == rouge1_f(other, one) <= 1
