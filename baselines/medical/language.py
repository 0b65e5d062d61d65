"""Texts as the campaign's BLEU sees them (spec page metrics.md M1): what is known of captions and questions without an image.

BLEU as NLTK 3.2.2 has it drops the orders without a match: a bag of the right words in an order in which no two neighbours
match scores the fourth root of its precision. A constant text, chosen well, is a strong bar for a model that looks at images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.core.metrics.stemmer import stem
from baselines.core.metrics.text import MAX_ORDER, clean, content_words

Tokens = tuple[str, ...]

CLIMB_WORDS = 80  # the most frequent words, of which a constant text is made
CLIMB_ROUNDS = 60  # changes of a text at most
CONSTANT_REFERENCES = 3000  # captions that a constant one is chosen at most, evenly spread
BLOCK = 1 << 23  # n-grams looked up at a time


class References:
    """References with weights, indexed by n-gram, so that many candidates are scored against all of them at once.

    Memory grows with the square of the number of references: some 150 MB for 3,000 captions of 8 content words.

    Args:
        texts: The references as :func:`baselines.core.metrics.text.clean` returns them; equal ones are counted together.
        weights: How much each counts; by default all the same. They are divided by their sum.

    Attributes:
        distinct: The references, none twice.
        weights: ``(R,)``, their shares of the whole.

    Raises:
        ValueError: If there is no reference, or no weight above 0.
    """

    def __init__(self, texts: Sequence[Sequence[str]], weights: Sequence[float] | None = None) -> None:
        totals: defaultdict[Tokens, float] = defaultdict(float)
        for text, weight in zip(texts, weights or [1.0] * len(texts), strict=True):
            totals[tuple(text)] += weight
        if not sum(totals.values()) > 0:
            raise ValueError("there is no reference")
        self.distinct = tuple(totals)
        self.weights = np.array(list(totals.values())) / sum(totals.values())
        self._lengths = np.array([len(text) for text in self.distinct])
        self._tokens = {token: number for number, token in enumerate(dict.fromkeys(each for text in totals for each in text))}
        # For each order the keys of its n-grams, ascending, and counts (n-grams + 1, R) whose last row is that of unknown ones.
        # A key is the number of the n-gram without its last token, times the number of tokens, plus the last token's.
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int8]] = []
        tokens = self._numbered(self.distinct)
        rows = np.zeros_like(tokens)
        for order in range(1, MAX_ORDER + 1):
            keys = self._keys_of(rows, tokens, order)
            self._keys.append(np.unique(keys[keys >= 0]))
            rows = self._find(keys, order)
            counts = np.zeros((len(self._keys[-1]) + 1, len(self.distinct)), np.int16)
            np.add.at(counts, (rows, np.arange(len(rows))[:, None]), 1)
            counts[-1] = 0
            self._counts.append(np.minimum(counts, 127).astype(np.int8))

    def _numbered(self, texts: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """Return tokens as numbers, ``(N, L)``; -1 for unknown ones and behind the end, at least three of which are there."""
        numbers = np.full((len(texts), max((len(text) for text in texts), default=0) + MAX_ORDER - 1), -1)
        for row, text in zip(numbers, texts, strict=True):
            row[: len(text)] = [self._tokens.get(token, -1) for token in text]
        return numbers

    def _keys_of(self, rows: NDArray[np.int64], tokens: NDArray[np.int64], order: int) -> NDArray[np.int64]:
        """Return the keys of n-grams by place, from the rows of those one token shorter; -1 where either is unknown."""
        last = tokens[:, order - 1 :]
        before = rows[:, : last.shape[1]]
        shorter = len(self._keys[order - 2]) if order > 1 else 1
        return np.where((last >= 0) & (before < shorter), before * len(self._tokens) + last, -1)

    def _find(self, keys: NDArray[np.int64], order: int) -> NDArray[np.int64]:
        """Return the row of each key among the n-grams of an order, and their number for unknown ones."""
        known = self._keys[order - 1]
        if not len(known):
            return np.zeros_like(keys)
        places = np.searchsorted(known, keys).clip(max=len(known) - 1)
        return np.where(known[places] == keys, places, len(known))

    def table(self, candidates: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Return the BLEU (of NLTK 3.2.2) of every candidate against every distinct reference, ``(N, R)`` in [0, 1].

        >>> References(["a b c d e".split(), "x z".split()]).table(["a b c x y".split(), []]).round(6).tolist()
        [[0.562341, 0.66874], [0.0, 0.0]]
        """
        step = max(1, BLOCK // (len(self.distinct) * max((len(each) for each in candidates), default=1) + 1))
        blocks = [self._block(candidates[start : start + step]) for start in range(0, len(candidates), step)]
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.distinct)))

    def _block(self, candidates: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        lengths = np.array([len(each) for each in candidates])[:, None]
        tokens = self._numbered(candidates)
        logarithms = np.zeros((len(candidates), len(self.distinct)))
        matched = np.ones(logarithms.shape, dtype=bool)  # in all orders so far
        any_match = np.zeros(logarithms.shape, dtype=bool)
        rows = np.zeros_like(tokens)
        for order, counts in enumerate(self._counts, start=1):
            rows = self._find(self._keys_of(rows, tokens, order), order)
            earlier = np.tril(rows[:, :, None] == rows[:, None, :], -1).sum(2)  # how often the candidate had it already
            matches = (counts[rows] > earlier[..., None]).sum(1)
            matched &= matches > 0
            any_match |= matched if order == 1 else False
            if not matched.any():
                break
            with np.errstate(divide="ignore"):
                logarithms += np.where(matched, np.log(matches / np.maximum(lengths - order + 1, 1)) / MAX_ORDER, 0.0)
        brevity = np.minimum(0.0, 1 - self._lengths / np.maximum(lengths, 1))
        scores = np.where(any_match, np.exp(np.where(any_match, logarithms + brevity, 0.0)), 0.0)
        return np.where((lengths == 0) & (self._lengths == 0), 1.0, scores)

    def expect(self, candidates: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Return the weighted mean ``(N,)`` of each candidate's BLEU: its expectation, if the references may be true."""
        return self.table(candidates) @ self.weights


def best_set(candidates: Sequence[Sequence[str]], references: References, count: int) -> list[int]:
    """Choose candidates so that the expected BLEU of the best of them is high.

    With one to choose this is the candidate of least Bayes risk (Kumar and Byrne, 2004); with more, each next one adds most to
    what those before it reach, which is within 1 - 1/e of the best choice (Nemhauser and others, 1978).

    Args:
        candidates: Texts as :func:`~baselines.core.metrics.text.clean` returns them.
        references: What may be true, with probabilities as weights.
        count: How many to choose at most.

    Returns:
        Their indices, the best first; of equally good ones the first. A candidate that adds nothing is not chosen, but for the
        first.

    >>> best_set(["a b".split(), "a c".split(), "x y".split()], References(["a b".split(), "a c".split(), "x y".split()]), 2)
    [0, 2]
    """
    return _cover(references.table(candidates), references.weights, count)


def _cover(table: NDArray[np.float64], weights: NDArray[np.float64], count: int) -> list[int]:
    """Choose rows greedily so that the weighted mean of the columns' maxima is high, until no row raises it."""
    reached = np.zeros(table.shape[1])
    chosen: list[int] = []
    while len(chosen) < min(count, len(table)):
        means = np.maximum(table, reached) @ weights
        best = int(np.argmax(np.round(means, 12)))  # rounding noise decides no tie
        if chosen and means[best] <= reached @ weights + 1e-12:
            break
        chosen.append(best)
        reached = np.maximum(reached, table[best])
    return chosen


def climb(start: Tokens, references: References, words: Sequence[str]) -> Tokens:
    """Change a text word by word for as long as its expected BLEU rises: insert, replace, delete, or move a word.

    Args:
        start: Where to start.
        references: What may be true.
        words: The words to use.

    Returns:
        A text that no single change makes better, or the one after ``CLIMB_ROUNDS`` changes.
    """
    best, score = start, references.expect([start])[0]
    for _ in range(CLIMB_ROUNDS):
        changed = list(dict.fromkeys(_neighbours(best, words)))
        if not changed:
            break
        reached = references.expect(changed)
        place = int(np.argmax(np.round(reached, 12)))  # rounding noise decides no tie
        if reached[place] <= score + 1e-12:
            break
        best, score = changed[place], reached[place]
    return best


def _neighbours(text: Tokens, words: Sequence[str]) -> Iterator[Tokens]:
    for place in range(len(text) + 1):
        before, after = text[:place], text[place:]
        for word in words:
            yield (*before, word, *after)
        if after:
            rest = after[1:]
            for word in words:
                yield (*before, word, *rest)
            if before or rest:
                yield (*before, *rest)
            without = (*before, *rest)
            for target in range(len(without) + 1):
                if target != place:
                    yield (*without[:target], after[0], *without[target:])


def constant_caption(captions: Sequence[str]) -> str:
    """Return the constant caption of the highest expected BLEU that a search finds, over captions of the training set.

    The search starts from the caption of the set that does best and from the most frequent words, and changes words one by one.

    Args:
        captions: The captions, as written.

    Raises:
        ValueError: If no caption has a content word.

    >>> constant_caption(["CT of the chest", "A chest CT", "chest x-ray"])
    'ct chest'
    """
    step = -(-len(captions) // CONSTANT_REFERENCES)
    references = References([text for text in map(clean, captions[::step]) if text])
    counts = Counter(word for text in references.distinct for word in set(text))
    words = sorted(counts, key=lambda word: (-counts[word], word))[:CLIMB_WORDS]
    start = references.distinct[best_set(references.distinct, references, 1)[0]]
    length = round(float(references.weights @ [len(text) for text in references.distinct]))
    ends = [climb(text, references, words) for text in (start, tuple(words[:length]))]
    found = ends[int(np.argmax(references.expect(ends)))]
    return " ".join(map(surface_words(captions).__getitem__, found))


def constant_questions(questions: Sequence[Sequence[str]], count: int) -> list[str]:
    """Return the questions that every image gets for the highest expected BLEU of the best pair.

    Args:
        questions: The reference questions of each image, as written.
        count: How many to choose at most.

    >>> constant_questions([["what is this?"], ["is this a ct?", "what is this?"], ["is this a ct?"], ["which plane?"]], 2)
    ['is this a ct?', 'which plane?']
    """
    written = dict.fromkeys(text for texts in questions for text in texts)
    candidates = {tokens: text for text in reversed(written) if (tokens := clean(text))}
    if not candidates:
        return list(written)[:count]
    cleaned = [[clean(text) for text in texts] for texts in questions]
    ranked = sorted(candidates)
    table = np.zeros((len(ranked), len(cleaned)))
    for column, texts in enumerate(filter(None, cleaned)):
        table[:, column] = References(texts).table(ranked).max(1)
    return [candidates[ranked[index]] for index in _cover(table, np.full(len(cleaned), 1 / len(cleaned)), count)]


def surface_words(texts: Iterable[str]) -> dict[str, str]:
    """Return the most frequent word of each stem: a stem alone may be stemmed further.

    >>> surface_words(["images of images", "image"])
    {'imag': 'images'}
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        for word in content_words(text):
            counts[stem(word)][word] += 1
    return {stemmed: min(found, key=lambda word: (-found[word], word)) for stemmed, found in counts.items()}


def precedence(texts: Iterable[Tokens], words: Sequence[str]) -> NDArray[np.float32]:
    """Count how often one word stands before another.

    Args:
        texts: Texts as :func:`~baselines.core.metrics.text.clean` returns them.
        words: The words that count, none twice.

    Returns:
        ``(V, V)``: in how many texts the first occurrence of the row's word is before that of the column's.

    >>> precedence([("ct", "chest"), ("chest", "ct"), ("ct", "of", "chest")], ["ct", "chest"]).tolist()
    [[0.0, 2.0], [1.0, 0.0]]
    """
    index = {word: number for number, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)), np.float32)
    for text in texts:
        known = [index[word] for word in dict.fromkeys(text) if word in index]
        for place, first in enumerate(known):
            counts[first, known[place + 1 :]] += 1
    return counts


def in_order(chosen: Sequence[int], counts: NDArray[np.float32]) -> list[int]:
    """Order words so that each stands before those that it mostly precedes.

    Words are ranked by the share of the others that they precede more often than not (Copeland's rule; half a point where the
    counts are equal), equal ones by the order they come in.

    Args:
        chosen: Indices of the words, the most probable first.
        counts: ``(V, V)`` as :func:`precedence` returns it.

    >>> in_order([1, 0], precedence([("ct", "chest"), ("ct", "of", "chest")], ["ct", "chest"]))
    [0, 1]
    """
    mutual = counts[np.ix_(chosen, chosen)]
    points = (np.sign(mutual - mutual.T) + 1).sum(1)
    return [chosen[place] for place in np.argsort(-points, kind="stable")]
