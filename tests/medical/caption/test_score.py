"""The scores of the caption tasks by the spec's check values, adversarial runs, and from files to scores."""

import numpy as np
import pytest

import baselines
from baselines.core.findings import InvalidInput
from baselines.core.metrics.text import bleu, clean, rouge1_f
from baselines.core.statistics import bootstrap_values, percentile_intervals
from baselines.medical.caption.records import CAPTIONS, CONCEPTS, Prediction, Truth, TruthSet, truths_of_ids
from baselines.medical.caption.score import evaluate, trivial_predictions


def concept_truths(**concepts):
    return TruthSet({name: Truth(name, concepts=tuple(each.split())) for name, each in concepts.items()}, CONCEPTS)


def concept_run(**concepts):
    return {name: Prediction(name, concepts=tuple(each.split())) for name, each in concepts.items()}


def caption_truths(**captions):
    return TruthSet({name: Truth(name, caption=caption) for name, caption in captions.items()}, CAPTIONS)


def caption_run(**captions):
    return {name: Prediction(name, caption=caption) for name, caption in captions.items()}


TRUTHS = concept_truths(a="C1 C2 C3", b="C4", c="C5 C6")
CAPTION_TRUTHS = caption_truths(
    a="Chest x-ray showing a large left pleural effusion",
    b="Axial CT of the abdomen with a hepatic mass",
    c="Sagittal MRI of the lumbar spine",
)


def perfect(truth_set):
    return {name: Prediction(name, truth.concepts, truth.caption) for name, truth in truth_set.truths.items()}


class TestConcepts:
    def test_check_value(self):
        result = evaluate(TRUTHS, concept_run(a="C1 C9", b="C4 C8", c="C7"))
        assert result.metrics == {"f1": pytest.approx(0.355556, abs=1e-6)}
        assert result.n == {"expected": 3, "scored": 3, "missing": 0}
        assert result.warnings == ()

    def test_perfect_run(self):
        assert evaluate(TRUTHS, perfect(TRUTHS)).metrics == {"f1": 1.0}

    def test_case_and_repeats_make_no_difference(self):
        assert evaluate(TRUTHS, concept_run(a="c1 C1 C2 c3", b="c4", c="C6 c5")).metrics == {"f1": 1.0}

    def test_a_missing_image_scores_0(self):
        result = evaluate(TRUTHS, concept_run(b="C4"))
        assert result.metrics["f1"] == pytest.approx(1 / 3)
        assert result.n == {"expected": 3, "scored": 1, "missing": 2}

    def test_images_without_true_concepts_are_left_out(self):
        truth_set = concept_truths(a="C1", b="", c="")
        assert evaluate(truth_set, concept_run(a="C1", b="C1", c="")).metrics == {"f1": 1.0}
        assert evaluate(truth_set, {}).metrics == {"f1": 0.0}
        assert evaluate(truth_set, {}).warnings == ("2 of 3 images have no concept in the truth and are left out",)

    def test_without_any_true_concept_the_score_is_undefined(self):
        for truth_set in (truths_of_ids(["a", "b"], CONCEPTS), TruthSet({}, CONCEPTS)):
            result = evaluate(truth_set, concept_run(a="C1"))
            assert result.metrics == {"f1": None}
            assert result.undefined == {"f1": "no image of the truth has a concept"}
            assert result.resample is None

    def test_resamples(self):
        truth_set = concept_truths(a="C1 C2 C3", b="C4", c="")
        result = evaluate(truth_set, concept_run(a="C1 C9", b="C4 C8", c="C7"))
        values = result.resample(np.array([[1, 1, 1], [3, 0, 0], [1, 0, 2], [0, 0, 3]]))["f1"]
        assert values[:3] == pytest.approx([result.metrics["f1"], 0.4, 0.4])
        assert np.isnan(values[3])
        low, high = percentile_intervals(bootstrap_values(result.resample, 3, 500, 0))["f1"]
        assert low == pytest.approx(0.4)
        assert high == pytest.approx(2 / 3)


class TestCaptions:
    def test_means_over_images(self):
        run = caption_run(a="chest xray with pleural effusion", b="CT of the abdomen", c="lumbar spine MRI")
        pairs = [(CAPTION_TRUTHS.truths[name].caption, run[name].caption) for name in "abc"]
        scores = [bleu(clean(truth), clean(caption)) for truth, caption in pairs]
        result = evaluate(CAPTION_TRUTHS, run)
        assert list(result.metrics) == ["bleu", "bleu_nltk33", "rouge1_f"]
        assert result.metrics["bleu"] == pytest.approx(np.mean([score.bleu for score in scores]))
        assert result.metrics["bleu_nltk33"] == pytest.approx(np.mean([score.bleu_nltk33 for score in scores]))
        assert result.metrics["rouge1_f"] == pytest.approx(np.mean([rouge1_f(*pair) for pair in pairs]))
        assert result.resample(np.array([[1, 1, 1], [0, 3, 0]]))["bleu"] == pytest.approx(
            [result.metrics["bleu"], scores[1].bleu]
        )

    def test_perfect_run(self):
        metrics = evaluate(CAPTION_TRUTHS, perfect(CAPTION_TRUTHS)).metrics
        assert metrics["bleu"] == metrics["rouge1_f"] == 1.0

    def test_a_missing_caption_scores_0_even_where_the_truth_is_empty(self):
        truth_set = caption_truths(a="", b="lung")
        assert evaluate(truth_set, caption_run(b="lung")).metrics["bleu"] == 0.5
        assert evaluate(truth_set, caption_run(a="", b="lung")).metrics["bleu"] == 1.0
        assert evaluate(truth_set, caption_run(b="lung")).metrics["rouge1_f"] == 0.5
        assert evaluate(truth_set, {}).n == {"expected": 2, "scored": 0, "missing": 2}

    def test_of_nothing_the_scores_are_undefined(self):
        result = evaluate(TruthSet({}, CAPTIONS), {})
        assert set(result.metrics.values()) == {None}
        assert result.undefined.keys() == result.metrics.keys()


WORST = {
    "empty": lambda _: {},
    "nothing in every image": lambda truths: {name: Prediction(name) for name in truths.truths},
    "something else": lambda truths: {name: Prediction(name, ("C9",), "zebra") for name in truths.truths},
    "of other images": lambda _: {"zz": Prediction("zz", ("C1", "C4"), "chest x-ray")},
    "turned around": lambda truths: {
        name: Prediction(name, other.concepts, other.caption)
        for name, other in zip(truths.truths, [*truths.truths.values()][1:] + [*truths.truths.values()][:1], strict=True)
    },
}


@pytest.mark.parametrize("run", WORST)
@pytest.mark.parametrize("truth_set", [TRUTHS, CAPTION_TRUTHS], ids=["concepts", "captions"])
def test_adversarial_runs_score_nothing(run, truth_set):
    assert set(evaluate(truth_set, WORST[run](truth_set)).metrics.values()) == {0.0}


def test_every_concept_in_every_image_scores_little():
    everything = " ".join(f"C{number}" for number in range(1, 101))
    assert evaluate(TRUTHS, concept_run(a=everything, b=everything, c=everything)).metrics["f1"] < 0.05


def test_every_word_in_every_image_scores_less_than_the_captions():
    everything = " ".join(truth.caption for truth in CAPTION_TRUTHS.truths.values())
    metrics = evaluate(CAPTION_TRUTHS, caption_run(a=everything, b=everything, c=everything)).metrics
    assert metrics["bleu"] < 0.5
    assert metrics["rouge1_f"] < 0.6


@pytest.mark.parametrize("truth_set", [TRUTHS, CAPTION_TRUTHS], ids=["concepts", "captions"])
def test_order_makes_no_difference(truth_set):
    run = {"a": Prediction("a", ("C1", "C4"), "chest"), "b": Prediction("b", ("C4",), "hepatic mass of the abdomen")}
    turned = TruthSet(dict(reversed(truth_set.truths.items())), truth_set.task)
    assert evaluate(truth_set, run).metrics == evaluate(turned, dict(reversed(run.items()))).metrics


def test_the_trivial_concepts_are_the_most_frequent():
    train = concept_truths(a="C1 C2", b="c1 C3", c="C1 C2 C4", d="C5", e="")
    assert trivial_predictions(train, TRUTHS) == concept_run(a="C1 C2", b="C1 C2", c="C1 C2")


def test_the_trivial_caption_is_the_constant_one_of_the_highest_expected_bleu():
    train = caption_truths(a="CT of the chest", b="chest x-ray", c="CT of the abdomen, CT", d="chest CT")
    assert trivial_predictions(train, CAPTION_TRUTHS)["a"].caption == "ct xray chest"
    assert trivial_predictions(train, CAPTION_TRUTHS).keys() == CAPTION_TRUTHS.truths.keys()


def test_the_trivial_run_of_nothing_is_empty():
    assert trivial_predictions(TruthSet({}, CONCEPTS), TRUTHS)["a"] == Prediction("a")
    assert trivial_predictions(TruthSet({}, CAPTIONS), CAPTION_TRUTHS)["a"] == Prediction("a")


class TestFiles:
    @pytest.fixture
    def files(self, tmp_path):
        (tmp_path / "truth").write_text("a1\tC0000001;C0000002;C0000003\na2\tC0000004\na3\tC0000005;C0000006\n")
        (tmp_path / "run").write_text("a3|C0000007\na1|C0000001;C0000009\na2|C0000004;C0000008\n")
        (tmp_path / "captions").write_text("a1\tleft pleural effusion\na2\thepatic mass\n")
        return tmp_path

    def test_concepts(self, files):
        scores = baselines.score(CONCEPTS, files / "truth", files / "run", bootstrap=50)
        assert scores.metrics == {"f1": pytest.approx(0.355556, abs=1e-6)}
        assert scores.intervals.keys() == {"f1"}

    def test_captions(self, files):
        (files / "run").write_text("a2|a hepatic mass\na1|pleural effusion, left\n")
        scores = baselines.score(CAPTIONS, files / "captions", files / "run", bootstrap=50)
        assert scores.metrics["rouge1_f"] == 1.0
        assert 0 < scores.metrics["bleu_nltk33"] < scores.metrics["bleu"] <= 1
        assert scores.intervals.keys() == {"bleu", "bleu_nltk33", "rouge1_f"}

    def test_an_invalid_run_has_no_score(self, files):
        (files / "run").write_text("a1|C0000001;C0000001\na2|C0000001;\n")
        with pytest.raises(InvalidInput) as raised:
            baselines.score(CONCEPTS, files / "truth", files / "run")
        assert set(raised.value.findings.counts) == {"RUN-DUPLICATE-CONCEPT", "RUN-EMPTY-CONCEPT", "RUN-MISSING-ID"}

    def test_an_incomplete_run_can_be_scored(self, files):
        (files / "run").write_text("a1|C0000001;C0000002;C0000003\n")
        scores = baselines.score(CONCEPTS, files / "truth", files / "run", allow_missing=True)
        assert scores.metrics == {"f1": pytest.approx(1 / 3)}
        assert scores.n["missing"] == 2

    def test_a_broken_truth_has_no_score(self, files):
        (files / "truth").write_bytes(b"PK\3\4")
        with pytest.raises(InvalidInput, match="DATA-XLSX"):
            baselines.score(CONCEPTS, files / "truth", files / "run")
