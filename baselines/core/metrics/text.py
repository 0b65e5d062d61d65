"""Scores of texts: BLEU as the campaign counts it, and ROUGE-1 (metrics.md M1 and M8).

BLEU (Papineni and others, ACL 2002) of one reference, with orders 1 to 4 of equal weight. NLTK changed at 3.3 what becomes of
an order without a match; the campaign's numbers need the older way, so both are computed. The cleaning in front of it is the
organisers' (VQA-Med 2021): punctuation, stop words, stems.
"""

from __future__ import annotations

import math
import re
import string
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from baselines.core.metrics.stemmer import stem

MAX_ORDER = 4

_PUNCTUATION = str.maketrans("", "", string.punctuation)
# Words that the Treebank tokeniser takes for two; the others it knows have an apostrophe, which is gone by then.
_TWO_WORDS = {
    "cannot": ("can", "not"),
    "gimme": ("gim", "me"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "wanna": ("wan", "na"),
}
# NLTK's English list of May 2021 without its entries with an apostrophe, which punctuation removal leaves nothing to match.
STOP_WORDS = frozenset(
    "i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its "
    "itself they them their theirs themselves "
    "what which who whom this that these those "
    "am is are was were be been being have has had having do does did doing can will just should now "
    "a an the and but if or because as until while "
    "of at by for with about against between into through during before after above below to from up down in out on off over "
    "under "
    "again further then once here there when where why how "
    "all any both each few more most other some such no nor not only own same so than too very "
    "s t d ll m o re ve y don ain aren couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan shouldn wasn weren won "
    "wouldn".split()
)
_NOT_ROUGE = re.compile("[^a-z0-9]")


class BleuScores(NamedTuple):
    """BLEU of one pair, in [0, 1].

    Attributes:
        bleu: As NLTK up to 3.2.5: the orders from the first without a match on are dropped, the weights stay as they are.
        bleu_nltk33: As NLTK from 3.3 on: the precision of an order without a match is the smallest normal float.
    """

    bleu: float
    bleu_nltk33: float


def content_words(text: str) -> list[str]:
    """Return a text's words in lower case, without ASCII punctuation and stop words.

    Punctuation is deleted, not replaced; other marks stay.

    >>> content_words("The chest X-ray (3.5 cm) cannot be read.")
    ['chest', 'xray', '35', 'cm', 'read']
    """
    words = text.lower().translate(_PUNCTUATION).split()
    return [part for word in words for part in _TWO_WORDS.get(word, (word,)) if part not in STOP_WORDS]


def clean(text: str) -> tuple[str, ...]:
    """Return the stems of a text's content words: what BLEU compares.

    >>> clean("Radiographic images of the hemorrhages")
    ('radiograph', 'imag', 'hemorrhag')
    """
    return tuple(map(stem, content_words(text)))


def bleu(reference: Sequence[str], candidate: Sequence[str]) -> BleuScores:
    """Compute both BLEU of a candidate against one reference.

    Args:
        reference: Tokens, as :func:`clean` returns them.
        candidate: Tokens of the prediction.

    Returns:
        The scores; 1 if both are empty, 0 if one is.

    >>> old, new = bleu("a b c d e".split(), "a b c x y".split())
    >>> f"{old:.6f} {new:.1e}"
    '0.562341 6.9e-78'
    """
    return _score(_count(reference), _count(candidate))


def best_bleu(references: Iterable[Sequence[str]], candidates: Iterable[Sequence[str]]) -> BleuScores:
    """Compute the largest of each BLEU over all pairs of a reference and a candidate; 0 if there is no pair.

    Args:
        references: Tokens of each reference.
        candidates: Tokens of each prediction; each one's n-grams are counted once, and given up before the next one.

    >>> best_bleu(["a b".split(), "c d e f".split()], ["x".split(), "c d e f".split()])
    BleuScores(bleu=1.0, bleu_nltk33=1.0)
    """
    counted = [_count(reference) for reference in references]
    best = BleuScores(0.0, 0.0)
    for tokens in candidates:
        candidate = _count(tokens)
        for reference in counted:
            best = BleuScores(*map(max, best, _score(reference, candidate)))
    return best


class _Counted(NamedTuple):
    """How many tokens a text has, and how often it has each n-gram, by order."""

    length: int
    ngrams: tuple[Counter[tuple[str, ...]], ...]


def _count(tokens: Sequence[str]) -> _Counted:
    orders = range(1, MAX_ORDER + 1)
    return _Counted(len(tokens), tuple(Counter(zip(*(tokens[start:] for start in range(n)), strict=False)) for n in orders))


def _score(reference: _Counted, candidate: _Counted) -> BleuScores:
    if not reference.length or not candidate.length:
        return BleuScores(1.0, 1.0) if reference.length == candidate.length else BleuScores(0.0, 0.0)
    logarithms: list[float] = []
    for place, (expected, found) in enumerate(zip(reference.ngrams, candidate.ngrams, strict=True)):
        matches = sum(min(expected[ngram], found[ngram]) for ngram in expected.keys() & found.keys())
        if not matches:  # then no higher order has one
            break
        logarithms.append(math.log(matches / (candidate.length - place)) / MAX_ORDER)
    if not logarithms:
        return BleuScores(0.0, 0.0)
    unmatched = (MAX_ORDER - len(logarithms)) * [math.log(sys.float_info.min) / MAX_ORDER]
    brevity = 1.0 if candidate.length > reference.length else math.exp(1 - reference.length / candidate.length)
    old, new = (brevity * math.exp(math.fsum(kept)) for kept in (logarithms, logarithms + unmatched))
    return BleuScores(old, new)


def rouge1_f(reference: str, candidate: str) -> float:
    """Compute the F1 between the content words of two texts, each counted as often as both have it.

    Words are not stemmed. Characters other than a to z and 0 to 9 separate words.

    Args:
        reference: A text as it stands in the file.
        candidate: The prediction, likewise.

    Returns:
        A number in [0, 1]; 1 if no content word is in either.

    >>> rouge1_f("Chest CT of the lung", "a lung CT")
    0.8
    """
    old, new = " ".join(content_words(reference)), " ".join(content_words(candidate))
    if not old and not new:
        return 1.0
    return unigram_f1(_NOT_ROUGE.sub(" ", old).split(), _NOT_ROUGE.sub(" ", new).split())


def unigram_f1(reference: Sequence[str], candidate: Sequence[str]) -> float:
    """Compute the F1 between two bags of tokens; 0 where they share none.

    >>> unigram_f1("a b c d e".split(), "a b c x y".split())
    0.6
    """
    overlap = (Counter(reference) & Counter(candidate)).total()
    return 2 * overlap / (len(reference) + len(candidate)) if overlap else 0.0
