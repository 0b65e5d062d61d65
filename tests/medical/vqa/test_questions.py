"""The kinds of questions, and what training says about the answers to each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.metrics.answers import matches
from baselines.medical.vqa.questions import (
    FORMS,
    MODALITIES,
    AnswerVocabulary,
    form_of,
    form_table,
    kind_of,
    modality_of,
    modality_table,
)
from baselines.medical.vqa.records import Truth


@pytest.mark.parametrize(
    ("question", "form", "modality"),
    [
        ("what is the primary abnormality in this image?", "open", ""),
        ("what is abnormal in the ct scan?", "open", "ct"),
        ("what is most alarming about this x-ray?", "open", "x-ray"),
        ("what is most alarming about this mri?", "open", "mri"),
        ("is this a normal gastrointestinal image?", "yes/no", ""),
        ("is there an abnormality in the x-ray?", "yes/no", "x-ray"),
        ("Isn\u2019t this Mammogram normal", "yes/no", "mammography"),
        ("in the ultrasound image, is there a cyst?", "yes/no", "ultrasound"),
        ("is this a t1 weighted or a t2 weighted image?", "open", "mri"),
        ("is this an abnormal ct angiogram?", "yes/no", "angiography"),
        ("was a pet scan or a ct taken?", "open", ""),
        ("is it broken or not?", "yes/no", ""),
        ("what does the doctor see?", "open", ""),  # "doctor" is no ct
        ("", "open", ""),
    ],
)
def test_form_and_modality_of_a_question(question, form, modality):
    assert (form_of(question), modality_of(question)) == (form, modality)
    assert (FORMS[kind_of(question).form], MODALITIES[kind_of(question).modality]) == (form, modality)


@given(st.text())
def test_any_text_has_a_kind(question):
    kind = kind_of(question)
    assert 0 <= kind.form < len(FORMS)
    assert 0 <= kind.modality < len(MODALITIES)


def test_answers_that_the_accuracy_takes_for_equal_are_one_and_written_as_most_often():
    texts = [("ACL tear",), ("acl tear.",), ("acl tear.", "meniscus"), ("the",), ("a|b",), (" meniscus ",)]
    vocabulary = AnswerVocabulary.from_truths(Truth(str(number), answers) for number, answers in enumerate(texts))
    assert vocabulary.answers == ("acl tear.", "meniscus")
    assert vocabulary.indices_of(["an ACL-tear", "meniscus", "something else"]) == [0, 1]
    assert vocabulary.indices_of(["the", ""]) == []


@given(st.lists(st.lists(st.text(), max_size=3), max_size=8))
def test_every_answer_of_the_vocabulary_is_found_again_and_matches_what_it_stands_for(texts):
    truths = [Truth(str(number), tuple(answers)) for number, answers in enumerate(texts)]
    vocabulary = AnswerVocabulary.from_truths(truths)
    for index, answer in enumerate(vocabulary.answers):
        assert vocabulary.indices_of([answer]) == [index]
    for truth in truths:
        for index in vocabulary.indices_of(truth.texts):
            assert matches(vocabulary.answers[index], truth.texts)


def counts_of(*pairs):
    truths = [Truth(str(number), (answer,), question) for number, (question, answer) in enumerate(pairs)]
    vocabulary = AnswerVocabulary.from_truths(truths)
    return vocabulary, vocabulary.count(truths)


def test_counts_are_by_kind_of_question():
    vocabulary, counts = counts_of(
        ("is this x-ray normal?", "yes"), ("is this x-ray normal?", "yes"), ("what is abnormal in the mri?", "glioma")
    )
    assert counts.sum() == 3
    assert counts[FORMS.index("yes/no"), MODALITIES.index("x-ray"), vocabulary.answers.index("yes")] == 2
    assert counts[FORMS.index("open"), MODALITIES.index("mri"), vocabulary.answers.index("glioma")] == 1


def test_answers_fit_the_forms_they_were_given_to_and_everything_fits_an_unseen_form():
    vocabulary, counts = counts_of(("is it normal?", "yes"), ("is it normal?", "no"), ("what is wrong?", "glioma"))
    fits = {
        form: [vocabulary.answers[i] for i in np.flatnonzero(row)] for form, row in zip(FORMS, form_table(counts), strict=True)
    }
    assert fits == {"open": ["glioma"], "yes/no": ["no", "yes"]}
    _, counts = counts_of(("what is wrong?", "glioma"), ("what is wrong?", "cyst"))
    assert form_table(counts).all()


def test_answers_fit_the_modalities_they_were_named_with():
    vocabulary, counts = counts_of(
        ("what is abnormal in the mri?", "glioma"),
        ("what is abnormal in the ct scan?", "embolism"),
        ("what is abnormal in this image?", "glioma"),
        ("what is abnormal in this image?", "cyst"),
    )
    fits = dict(zip(MODALITIES, modality_table(counts), strict=True))
    assert [vocabulary.answers[i] for i in np.flatnonzero(fits["mri"])] == ["cyst", "glioma"]
    assert [vocabulary.answers[i] for i in np.flatnonzero(fits["ct"])] == ["cyst", "embolism"]
    assert fits[""].all()
    assert fits["ultrasound"].all()  # no training question names it
