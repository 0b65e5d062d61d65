"""What the texts of a file look like: the truth of another task is then told, where it would otherwise be scored."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from enum import StrEnum

QUESTION_WORDS = frozenset(
    (
        *"what which where when who whose why how is are was were am do does did can could".split(),
        *"has have had will would should may might".split(),
    )
)
FEW = 10  # texts that are fewer don't say what is usual

_CONCEPTS = re.compile(r'"?\s*C[0-9]{7}(\s*;\s*C[0-9]{7})*\s*;?\s*"?', re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]*)?\s*")
_SHORT, _LONG = 3, 7  # words: answers have up to 3, captions 7 or more, both by their median


class Form(StrEnum):
    """What texts can be; the value says it in words."""

    CONCEPTS = "UMLS concepts"
    QUESTIONS = "questions"
    NUMBERS = "numbers"
    ANSWERS = "short answers"
    CAPTIONS = "captions"


def is_question(text: str) -> bool:
    """Whether a text looks like a question: by its question mark or its first word.

    >>> is_question("what is abnormal in the mri"), is_question("pulmonary embolism")
    (True, False)
    """
    words = text.split(None, 1)
    return bool(words) and (text.rstrip().endswith("?") or words[0].lower() in QUESTION_WORDS)


def form_of(texts: Sequence[str]) -> Form | None:
    """Return what most texts are, those that are blank left out.

    Concepts and questions (that start and end as such) show by their form, few or many. What else there is shows by its
    length, in ``FEW`` texts or more; ``None`` stands for what can't be told.

    >>> form_of(["C0040398;C0006141", "C0024485"]), form_of(["what is seen?", "ct"])
    (<Form.CONCEPTS: 'UMLS concepts'>, None)
    >>> form_of(["pulmonary embolism"] * 10), form_of(["pulmonary embolism"])
    (<Form.ANSWERS: 'short answers'>, None)
    """
    written = [text for text in texts if text.strip()]

    def most(are: int) -> bool:
        return 2 * are > len(written)

    if most(sum(_CONCEPTS.fullmatch(text) is not None for text in written)):
        return Form.CONCEPTS
    if most(sum(text.rstrip().endswith("?") and text.split()[0].lower() in QUESTION_WORDS for text in written)):
        return Form.QUESTIONS
    if len(written) < FEW:
        return None
    if most(sum(_NUMBER.fullmatch(text) is not None for text in written)):
        return Form.NUMBERS
    words = statistics.median(len(text.split()) for text in written)
    if words <= _SHORT:
        return Form.ANSWERS
    return Form.CAPTIONS if words >= _LONG else None
