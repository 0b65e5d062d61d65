"""What a question asks for, and the answers that training has seen to questions of its kind."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from baselines.core.metrics.answers import normalise_answer, normalise_reference
from baselines.medical.vqa.records import Truth, is_writable

FORMS = ("open", "yes/no")
# Names of modalities as questions have them; the first that fits counts, so angiographies come before what they are made with.
_MODALITIES = {
    "angiography": r"angiogra|\bcta\b|\bmra\b",
    "mammography": r"mammogra",
    "nuclear": r"\bpet\b|\bspect\b|scintigra|nuclear",
    "ultrasound": r"ultraso|sonogra|doppler|echocardiogra",
    "mri": r"\bmri?s?\b|magnetic resonance|\bt[12]\b|\bflair\b",
    "ct": r"\bcts?\b|tomogra|\bcat scan",
    "x-ray": r"\bx[- ]?rays?\b|radiogra|plain film",
}
MODALITIES = ("", *_MODALITIES)  # the first: none is named
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _MODALITIES.items())
_AUXILIARIES = frozenset(
    "is isn't are aren't was wasn't were weren't am do don't does doesn't did didn't can can't could couldn't".split()
    + "has hasn't have haven't had hadn't will won't would wouldn't should shouldn't may might must".split()
)


def form_of(question: str) -> str:
    """Return the form of answer that a question wants: ``yes/no`` or ``open``.

    A question that begins with an auxiliary verb, after an introduction or not, wants yes or no, unless it offers a choice.

    >>> form_of("is this a normal chest x-ray?"), form_of("In this image, are there fractures?")
    ('yes/no', 'yes/no')
    >>> form_of("what is abnormal in the mri?"), form_of("is this a ct or an mri?")
    ('open', 'open')
    """
    text = question.lower().replace("\u2019", "'")
    if re.search(r"\bor\b(?! not\b)", text):
        return "open"
    starts = (clause.split(None, 1)[:1] for clause in text.split(","))
    return "yes/no" if any(start and start[0] in _AUXILIARIES for start in starts) else "open"


def modality_of(question: str) -> str:
    """Return the imaging modality that a question names, one of :data:`MODALITIES`; "" if it names none, or several.

    >>> modality_of("what is most alarming about this ct scan?"), modality_of("what is abnormal in the X-Ray?")
    ('ct', 'x-ray')
    >>> modality_of("what abnormality is seen in the image?"), modality_of("is this a ct or an mri?")
    ('', '')
    """
    text = question.lower()
    named = [name for name, pattern in _PATTERNS if pattern.search(text)]
    if "angiography" in named:  # "ct angiogram"
        return "angiography"
    return named[0] if len(named) == 1 else ""


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a question as indices into :data:`FORMS` and :data:`MODALITIES`."""

    form: int
    modality: int


def kind_of(question: str) -> Kind:
    """Return the kind of a question.

    >>> kind_of("what is abnormal in the ct scan?") == Kind(FORMS.index("open"), MODALITIES.index("ct"))
    True
    """
    return Kind(FORMS.index(form_of(question)), MODALITIES.index(modality_of(question)))


@dataclass(frozen=True)
class AnswerVocabulary:
    """The answers that a classifier chooses from. Answers that the campaign's accuracy takes for equal are one.

    Attributes:
        answers: How each is written: as training answers write it most often, of equally frequent ones the first by alphabet.
    """

    answers: tuple[str, ...]

    @classmethod
    def from_truths(cls, truths: Iterable[Truth]) -> AnswerVocabulary:
        """Collect all answers of these truths, sorted by what they are normalised to.

        Answers that a run can't hold are left out, and those that normalise to nothing, which any article would equal.
        """
        written: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for truth in truths:
            for text in truth.texts:
                if is_writable(text) and normalise_reference(text):
                    written[normalise_reference(text)][text.strip()] += 1
        return cls(tuple(min(forms, key=lambda text: (-forms[text], text)) for _, forms in sorted(written.items())))

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.answers)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {normalise_answer(answer): index for index, answer in enumerate(self.answers)}

    def indices_of(self, texts: Iterable[str]) -> list[int]:
        """Return the indices of the answers that these texts equal, ascending, each once.

        >>> AnswerVocabulary(("acl injury", "yes")).indices_of(["ACL Injury.", "torn ligament", "acl injury"])
        [0]
        """
        found = {self._indices.get(normalise_reference(text)) for text in texts}
        return sorted(index for index in found if index is not None)

    def count(self, truths: Iterable[Truth]) -> NDArray[np.int64]:
        """Count how often each answer was given to questions of each kind.

        Returns:
            ``(forms, modalities, answers) int64``.
        """
        counts = np.zeros((len(FORMS), len(MODALITIES), len(self)), np.int64)
        for truth in truths:
            kind = kind_of(truth.question)
            counts[kind.form, kind.modality, self.indices_of(truth.texts)] += 1
        return counts


def form_table(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which answers fit a question of each form: those that were given to one in training.

    Args:
        counts: What :meth:`AnswerVocabulary.count` returns.

    Returns:
        ``(forms, answers) bool``; all answers fit a form that no training question had.
    """
    seen: NDArray[np.bool_] = counts.sum(1) > 0
    return seen | ~seen.any(1, keepdims=True)


def modality_table(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which answers fit a question that names each modality: those that were given to one in training.

    An answer that was only ever given to questions that name no modality fits all of them, and every answer fits questions
    that name none, or one that no training question named.

    Args:
        counts: What :meth:`AnswerVocabulary.count` returns.

    Returns:
        ``(modalities, answers) bool``.
    """
    seen: NDArray[np.bool_] = counts.sum(0) > 0
    seen[0] = False
    return seen | ~seen.any(0, keepdims=True) | ~seen.any(1, keepdims=True)
