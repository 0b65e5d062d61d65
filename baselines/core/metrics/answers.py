"""Accuracy of free-text answers as VQA-Med 2021 computed it: equal to a reference after a normalisation with many oddities.

The normalisation descends from that of the VQA challenge. It is neither that of BLEU nor what the campaign's page describes;
its oddities are kept, because the published numbers have them:

* whether a punctuation mark is deleted or becomes a blank depends on where it stands *anywhere* in the original text;
* a comma between digits anywhere makes all marks disappear;
* at most 32 periods are deleted, and "..." and "the" come out equal (both empty);
* apostrophes stay, so that "crohn's" is not "crohns".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32
_DIGITS = {"none": "0"} | {
    word: str(value) for value, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
_ARTICLES = frozenset({"a", "an", "the"})


def _contractions() -> dict[str, str]:
    """Build the table of contractions: word without, or with too few, apostrophes to word with them."""
    endings = {
        "n't": "ai are ca could did does do had has have is might must need ought sha should was were wo would",
        "'ve": "could might must not should they we what where who would you",
        "'d": "he how it someone something there they where who you",
        "'ll": "how it somebody someone something they what who why you",
        "'s": "he how somebody someone that there what when where who why",
        "'re": "there they what why you",
    }
    table = {stem + ending.replace("'", ""): stem + ending for ending, stems in endings.items() for stem in stems.split()}
    for stem in "could had might should would".split():
        table |= dict.fromkeys((f"{stem}nt've", f"{stem}n'tve"), f"{stem}n't've")
    for stem in "he it she somebody someone something there they we who you".split():
        table |= dict.fromkeys((f"{stem}d've", f"{stem}'dve"), f"{stem}'d've")
    table |= dict.fromkeys(("yall'll", "y'allll"), "y'all'll")
    table |= dict.fromkeys(("yall'd've", "y'alld've", "y'all'dve"), "y'all'd've")
    table |= dict.fromkeys(("ow's'at", "'ows'at", "'ow'sat"), "'ow's'at")
    table |= {"maam": "ma'am", "oclock": "o'clock", "twas": "'twas", "yall": "y'all"}
    # Kept for completeness: the wrong way round, nothing changed, and four that lower-case text never equals.
    table |= {"somebody'd": "somebodyd", "let's": "let's", "she's": "she's"}
    return table | {"Im": "I'm", "Ive": "I've", "Id've": "I'd've", "I'dve": "I'd've"}


CONTRACTIONS = _contractions()


def normalise_reference(text: str) -> str:
    r"""Return the form in which a reference answer is compared.

    >>> normalise_reference("The two-view x-ray (AP)"), normalise_reference("3,500 x-ray")
    ('2 view x ray ap', '3500 xray')
    """
    joins_all = _DIGIT_COMMA_DIGIT.search(text) is not None
    table = {ord(mark): "" if joins_all or f"{mark} " in text or f" {mark}" in text else " " for mark in _MARKS if mark in text}
    plain = _PERIOD.sub("", text.translate(table), count=_MOST_PERIODS)
    words = (_DIGITS.get(word, word) for word in plain.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def normalise_answer(text: str) -> str:
    """Return the form in which a predicted answer is compared: newlines and TABs are blanks, and outer ones don't count.

    >>> normalise_answer("an acl injury.") == normalise_answer("ACL Injury")
    True
    """
    return normalise_reference(text.replace("\n", " ").replace("\t", " ").strip())


def matches(answer: str, references: Iterable[str]) -> bool:
    """Whether an answer equals any of the references, all normalised.

    >>> matches("x ray", ["x-ray"]), matches("crohns", ["crohn's"])
    (True, False)
    """
    normalised = normalise_answer(answer)
    return any(normalise_reference(reference) == normalised for reference in references)
