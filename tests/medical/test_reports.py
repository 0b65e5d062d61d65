"""What is written about studies follows from them, with the quirks of real annotations."""

import re
from collections import Counter

import numpy as np
import pytest

from baselines.medical.phantoms import VIEWS, Study, draw_study
from baselines.medical.reports import (
    CODES,
    FINDINGS,
    MODALITIES,
    draw_answered_question,
    draw_caption,
    draw_concepts,
    draw_questions,
    finding_key,
)

NAMES = {code: name for name, code in CODES.items()}
RNG_COUNT = 800


@pytest.fixture(scope="module")
def studies():
    rng = np.random.default_rng(0)
    return [draw_study(rng) for _ in range(RNG_COUNT)]


def test_codes_have_the_campaigns_form_and_lie_above_those_of_umls():
    assert len(set(CODES.values())) == len(CODES)
    assert all(re.fullmatch("C99[0-9]{5}", code) for code in CODES.values())


def test_every_finding_has_words():
    for view in VIEWS:
        for finding in view.findings:
            assert finding_key(Study(view.modality, view.organ, view.plane, finding)) in FINDINGS


def test_concepts_follow_from_the_study(studies):
    rng = np.random.default_rng(1)
    findings = {words[0]: key for key, words in FINDINGS.items()}
    modalities = {words[0]: key for key, words in MODALITIES.items()}
    for study in studies:
        names = [NAMES[code] for code in draw_concepts(study, rng)]
        assert names
        assert len(set(names)) == len(names)
        assert {findings[name] for name in names if name in findings} <= {finding_key(study)}
        assert {modalities[name] for name in names if name in modalities} <= {study.modality}
        assert {"Left", "Right", "Bilateral"} & set(names) <= {study.side.capitalize()}


def test_concepts_are_one_or_many_and_some_are_rare(studies):
    rng = np.random.default_rng(2)
    lists = [draw_concepts(study, rng) for study in studies]
    lengths = Counter(map(len, lists))
    assert lengths[1] > 20
    assert max(lengths) >= 9
    counts = Counter(code for codes in lists for code in codes)
    assert min(counts.values()) <= 2
    assert max(counts.values()) > 100


def test_captions_have_the_quirks_of_real_ones(studies):
    rng = np.random.default_rng(3)
    captions = [draw_caption(study, rng) for study in studies]
    lengths = [len(caption.split()) for caption in captions]
    assert min(lengths) == 1
    assert max(lengths) > 20
    assert any(not caption.isascii() for caption in captions)
    assert any(re.search("[0-9]", caption) for caption in captions)
    assert any(re.search("[a-z]{3} [A-Z]", caption) for caption in captions)
    assert not any(re.search(r"[\t|\n]|  ", caption) for caption in captions)


def test_a_caption_names_what_is_drawn_in_one_of_its_words(studies):
    rng = np.random.default_rng(4)
    for study in studies:
        caption = draw_caption(study, rng).lower()
        for key, words in FINDINGS.items():
            named = any(re.search(rf"\b{re.escape(word.lower())}\b", caption) for word in words)
            if key == finding_key(study):
                assert named, caption


def test_questions_of_four_kinds_have_answers_that_follow(studies):
    rng = np.random.default_rng(5)
    kinds: Counter[str] = Counter()
    for study in studies:
        kind, question, answers = draw_answered_question(study, rng)
        (answer,) = answers
        kinds[kind if answer not in {"yes", "no"} else "yes/no"] += 1
        assert question.endswith("?")
        assert answer == answer.lower()
        assert "|" not in question + answer
        if question.startswith("is there an abnormality"):
            assert answer == ("yes" if study.finding else "no")
        if question.startswith("is this a normal"):
            assert answer == ("no" if study.finding else "yes")
        if kind == "abnormality" and answer not in {"yes", "no"}:
            assert answer == FINDINGS[finding_key(study)][0].lower()
    assert set(kinds) == {"abnormality", "modality", "plane", "organ", "yes/no"}
    assert min(kinds.values()) > 40


def test_references_may_be_several_with_the_signs_of_real_ones(studies):
    rng = np.random.default_rng(6)
    found = [draw_answered_question(study, rng, references=True)[2] for study in studies]
    assert {len(answers) for answers in found} == {1, 2, 3}
    texts = "".join(answer for answers in found for answer in answers)
    assert {"\u00a0", "’", "."} <= set(texts)
    assert any(letter.isupper() for letter in texts)


def test_an_image_has_one_to_six_distinct_questions(studies):
    rng = np.random.default_rng(7)
    found = [draw_questions(study, rng) for study in studies]
    assert {len(questions) for questions in found} == {1, 2, 3, 4, 5, 6}
    for questions in found:
        assert len(set(questions)) == len(questions)
        assert all(re.fullmatch(r"[A-Z][^|]*\?", question) for question in questions)
