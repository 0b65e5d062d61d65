"""The scores of VQA-Med: check values, the trivial and adversarial runs, the bootstrap, and files from end to end."""

import random
import time

import numpy as np
import pytest

import baselines
from baselines.core.findings import InvalidInput
from baselines.core.metrics.text import bleu, clean
from baselines.core.statistics import draw_resamples
from baselines.medical.vqa.records import Prediction, Truth, TruthSet, truths_of_ids, write_truth
from baselines.medical.vqa.runs import write_run
from baselines.medical.vqa.score import evaluate, trivial_predictions

ANSWERS = {
    "synpic1": ("avascular necrosis", "Extensive degenerative changes.", "necrosis of femoral heads bilaterally"),
    "synpic2": ("pulmonary embolism",),
    "synpic3": ("internal fixation device", "placement of thoracic hardware at the T1 level"),
    "synpic4": ("dural \u00a0fistula, avf",),
}
QUESTIONS = {
    "synpic1": (
        "Is the appendix enlarged?",
        "Where is fat stranding located?",
        "What calcified deposits are seen in the CT scan?",
    ),
    "synpic2": ("Do all organs have normal appearance?", "Which blood vessels demonstrate thickening of the wall?"),
    "synpic3": ("Is a pericardial effusion present?",),
}


def truths(texts, task):
    return TruthSet({name: Truth(name, mine) for name, mine in texts.items()}, task)


VQA, VQG = truths(ANSWERS, "vqa"), truths(QUESTIONS, "vqg")


def predict(texts):
    return {name: Prediction(name, (mine,) if isinstance(mine, str) else tuple(mine)) for name, mine in texts.items()}


def everywhere(truth_set, *texts):
    return predict(dict.fromkeys(truth_set.truths, texts))


def scores(truth_set, predictions):
    return evaluate(truth_set, predictions).metrics


class TestAnswers:
    def test_a_perfect_run(self):
        found = scores(VQA, predict({name: texts[-1] for name, texts in ANSWERS.items()}))
        assert (found["accuracy"], found["bleu"]) == (1.0, 1.0)
        assert list(found) == ["accuracy", "bleu", "bleu_nltk33"]

    def test_any_reference_counts_and_the_best_bleu(self):
        found = scores(
            VQA, predict(dict.fromkeys(ANSWERS, "x") | {"synpic1": "extensive changes", "synpic4": "Dural fistula AVF."})
        )
        assert found["accuracy"] == 0.25
        # References of 3 words, 2 of them found, not in a row: brevity exp(1 - 3/2), precision 1.
        assert found["bleu"] == pytest.approx((np.exp(-0.5) + 1) / 4, abs=1e-12)

    def test_a_constant_answer_is_right_where_it_is(self):
        found = scores(VQA, everywhere(VQA, "pulmonary embolism"))
        assert (found["accuracy"], found["bleu"]) == (0.25, 0.25)

    def test_missing_answers_score_zero(self):
        truth_set = truths({"a": ("the",), "b": ("x y",)}, "vqa")
        empty = evaluate(truth_set, {})
        assert set(empty.metrics.values()) == {0.0}  # although nothing equals "the" after cleaning
        assert empty.missing == 2
        assert scores(truth_set, everywhere(truth_set, "..."))["accuracy"] == 0.5
        assert scores(truth_set, everywhere(truth_set, "..."))["bleu"] == 0.5

    def test_other_images_are_not_looked_at(self):
        assert scores(VQA, everywhere(VQA, "x") | predict({"other": "pulmonary embolism"}))["accuracy"] == 0

    def test_the_answers_of_all_images_at_once_are_no_answer(self):
        pasted = " ".join(text for texts in ANSWERS.values() for text in texts)
        found = scores(VQA, everywhere(VQA, pasted))
        assert found["accuracy"] == 0
        assert found["bleu"] < 0.75


class TestQuestions:
    def test_a_perfect_run(self):
        found = scores(VQG, predict(QUESTIONS))
        assert found["bleu"] == 1.0
        assert list(found) == ["bleu", "bleu_nltk33"]

    def test_the_best_pair_counts_and_more_questions_cost_nothing(self):
        alone = scores(VQG, predict({name: texts[:1] for name, texts in QUESTIONS.items()}))
        with_more = scores(
            VQG, predict({name: ("nonsense?", *texts[:1], "more nonsense?") for name, texts in QUESTIONS.items()})
        )
        assert alone["bleu"] == with_more["bleu"] == 1.0

    def test_each_metric_has_its_own_best_pair(self):
        truth_set = truths({"a": ("liver kidney", "mass lung brain node vessel")}, "vqg")
        candidates = ("liver kidney", "mass lung brain node")
        pairs = [bleu(clean(one), clean(other)) for one in truth_set.truths["a"].texts for other in candidates]
        assert scores(truth_set, everywhere(truth_set, *candidates)) == {
            "bleu": max(pair.bleu for pair in pairs),
            "bleu_nltk33": max(pair.bleu_nltk33 for pair in pairs),
        }

    def test_equals_all_pairs_one_by_one(self):
        generator = random.Random(0)
        words = "lung mass the is what CT image enlarged left liver, effusion? of".split()

        def texts(most):
            count = generator.randint(1, most)
            return tuple(" ".join(generator.choices(words, k=generator.randint(0, 8))) for _ in range(count))

        for _ in range(300):
            truth_set, candidates = truths({"a": texts(6)}, "vqg"), texts(10)
            pairs = [bleu(clean(one), clean(other)) for one in truth_set.truths["a"].texts for other in candidates]
            found = scores(truth_set, everywhere(truth_set, *candidates))
            assert tuple(found.values()) == tuple(map(max, zip(*pairs, strict=True)))

    def test_a_blank_question_equals_a_reference_of_stop_words(self):
        # The official code's trap (M9): both are empty after cleaning.
        truth_set = truths({"a": ("What is this?",), "b": ("Is it a mass?",)}, "vqg")
        assert scores(truth_set, everywhere(truth_set, "x?", ""))["bleu"] == 0.5
        assert scores(truth_set, everywhere(truth_set, "Where are they?"))["bleu"] == 0.5
        assert scores(truth_set, {})["bleu"] == 0

    def test_all_references_for_every_image_score_one_and_that_is_said(self):
        questions = [text for texts in QUESTIONS.values() for text in texts]
        few = evaluate(VQG, everywhere(VQG, *questions))
        assert few.metrics["bleu"] == 1.0
        assert few.warnings == ()
        (warning,) = evaluate(VQG, everywhere(VQG, *questions, "a?", "b?")).warnings
        assert warning.startswith("3 images have more than 7 questions, up to 8: ")

    def test_repeating_costs_and_gains_nothing(self):
        assert scores(VQG, everywhere(VQG, *["Is the heart enlarged?"] * 50)) == scores(
            VQG, everywhere(VQG, "Is the heart enlarged?")
        )

    @pytest.mark.parametrize("distinct", [1, pytest.param(100_000, marks=pytest.mark.slow)])
    def test_a_hundred_thousand_questions_for_an_image(self, distinct):
        generator = random.Random(0)
        words = "appendix enlarged fat stranding located calcified deposits seen CT scan heart lung mass node".split()
        questions = [" ".join(generator.choices(words, k=8)) for _ in range(distinct)] * (100_000 // distinct)
        start = time.monotonic()
        assert scores(VQG, predict({"synpic1": questions}))["bleu"] > 0
        assert time.monotonic() - start < 30  # 3 s on a quiet machine


@pytest.mark.parametrize("truth_set", [VQA, VQG], ids=["vqa", "vqg"])
class TestBoth:
    def test_the_order_of_anything_never_matters(self, truth_set):
        predictions = everywhere(truth_set, *list(QUESTIONS["synpic1"])[: 1 if truth_set.task == "vqa" else 3])
        shuffled = TruthSet(
            {name: Truth(name, truth_set.truths[name].texts[::-1]) for name in sorted(truth_set.truths)[::-1]}, truth_set.task
        )
        backwards = {name: Prediction(name, predictions[name].texts[::-1]) for name in sorted(predictions)[::-1]}
        assert scores(shuffled, backwards) == pytest.approx(scores(truth_set, predictions), rel=1e-15)

    def test_answers_of_other_images_score_little(self, truth_set):
        names = list(truth_set.truths)
        moved = predict(
            {name: truth_set.truths[other].texts[:1] for name, other in zip(names, names[1:] + names[:1], strict=True)}
        )
        assert scores(truth_set, moved)["bleu"] < 0.3

    def test_resamples_are_those_of_the_images(self, truth_set):
        predictions = predict(
            {name: texts.texts[0] + (" more" if name == "synpic1" else "") for name, texts in truth_set.truths.items()}
        )
        evaluation = evaluate(truth_set, predictions)
        weights = next(draw_resamples(len(evaluation.units), 20, seed=0))
        drawn = evaluation.resample(weights)
        for row in range(20):
            again = TruthSet(
                {
                    f"{name} {copy}": truth_set.truths[name]
                    for name, count in zip(evaluation.units, weights[row], strict=True)
                    for copy in range(count)
                },
                truth_set.task,
            )
            by_copy = {name: predictions[name.split()[0]] for name in again.truths}
            assert scores(again, by_copy) == pytest.approx({name: values[row] for name, values in drawn.items()})

    def test_no_truth_is_undefined_with_a_reason(self, truth_set):
        evaluation = evaluate(TruthSet({}, truth_set.task), {})
        assert set(evaluation.metrics.values()) == {None}
        assert evaluation.undefined.keys() == evaluation.metrics.keys() == scores(truth_set, {}).keys()

    def test_truths_of_ids_alone_score_nothing(self, truth_set):
        assert set(scores(truths_of_ids(["a"], truth_set.task), predict({"a": "x"})).values()) == {0.0}


class TestTrivial:
    def test_the_most_frequent_answer(self):
        train = truths({"a": ("cyst",), "b": ("mass",), "c": ("mass", "cyst"), "d": ("avm", "mass")}, "vqa")
        assert trivial_predictions(train, truths_of_ids(["x", "y"], "vqa")) == everywhere(
            truths_of_ids(["x", "y"], "vqa"), "mass"
        )

    def test_of_equals_the_first_by_alphabet_whatever_the_order(self):
        train = truths({"a": ("cyst",), "b": ("avm",)}, "vqa")
        assert trivial_predictions(train, VQA)["synpic1"].texts == ("avm",)

    def test_at_most_seven_questions_that_cover_the_images_best(self):
        train = truths(
            {f"synpic{number}": (f"word{number}?",) * 2 + ("frequent?",) * (number < 3) for number in range(12)}, "vqg"
        )
        texts = trivial_predictions(train, VQG)["synpic2"].texts
        assert texts[0] == "frequent?"
        assert len(set(texts)) == 7
        assert trivial_predictions(truths({"a": ("Which?", "what organ?")}, "vqg"), VQG)["synpic2"].texts == ("what organ?",)

    def test_nothing_to_learn_from(self):
        assert trivial_predictions(TruthSet({}, "vqa"), VQA) == {}


@pytest.fixture
def write(tmp_path):
    def write_both(truth_set, predictions):
        write_truth(tmp_path / "truth.txt", truth_set)
        write_run(tmp_path / "run.txt", predictions.values(), truth_set)
        return tmp_path / "truth.txt", tmp_path / "run.txt"

    return write_both


class TestFiles:
    def test_vqa(self, write):
        truth, run = write(VQA, everywhere(VQA, "pulmonary embolism"))
        found = baselines.score("vqa", truth, run, bootstrap=200)
        assert (found.primary, found.score) == ("accuracy", 0.25)
        assert found.intervals.keys() == found.metrics.keys()
        low, high = found.intervals["accuracy"]
        assert 0 <= low < 0.25 < high <= 1
        assert found.n == {"expected": 4, "scored": 4, "missing": 0}

    def test_vqg(self, write):
        truth, run = write(VQG, predict(QUESTIONS))
        assert baselines.score("vqg", truth, run).score == 1.0
        lines = run.read_text().splitlines(keepends=True)
        run.write_text("".join(lines[::-1]))
        assert baselines.score("vqg", truth, run).score == 1.0

    def test_missing_images_are_an_error_or_score_zero(self, write):
        truth, run = write(VQA, predict({name: texts[0] for name, texts in ANSWERS.items()}))
        run.write_text("".join(run.read_text().splitlines(keepends=True)[:3]))
        with pytest.raises(InvalidInput, match="RUN-MISSING-ID 1 of 4 images have no line"):
            baselines.score("vqa", truth, run)
        found = baselines.score("vqa", truth, run, allow_missing=True)
        assert found.score == 0.75
        assert found.n["missing"] == 1

    def test_invalid_runs_are_not_scored(self, write):
        truth, run = write(VQG, predict(QUESTIONS))
        run.write_text("synpic1\nsynpic9|x?\nsynpic2||\n")
        with pytest.raises(InvalidInput) as caught:
            baselines.score("vqg", truth, run)
        assert {
            "RUN-FIELDS",
            "RUN-UNKNOWN-ID",
            "RUN-EMPTY-QUESTION",
            "RUN-MISSING-ID",
        } == caught.value.findings.counts.keys() - {"DATA-LAYOUT", "DATA-QUESTION-FORM"}

    def test_a_file_of_questions_is_no_truth(self, write, tmp_path):
        _, run = write(VQA, everywhere(VQA, "x"))
        (tmp_path / "questions.txt").write_text("synpic1|what is abnormal in the mri?\n")
        with pytest.raises(InvalidInput, match=r"DATA-NO-TRUTH the file holds no truth of vqa: this looks like questions"):
            baselines.score("vqa", tmp_path / "questions.txt", run)
