"""Ensembles: what several runs agree on."""

from baselines.medical.caption.records import Prediction
from baselines.medical.caption.score import combine


def together(*predictions):
    return combine([{"a": prediction} for prediction in predictions])["a"]


def test_a_concept_is_taken_where_half_of_the_runs_have_it_whatever_its_case():
    runs = [Prediction("a", concepts=concepts) for concepts in (("C1", "C2"), ("c2", "C3"), ("C2",), ("C1",))]
    assert together(*runs).concepts == ("C2", "C1")
    assert together(*runs[:3]).concepts == ("C2",)


def test_where_all_differ_one_concept_is_taken_and_of_none_none():
    runs = [Prediction("a", concepts=(concept,)) for concept in ("C3", "C1", "C2")]
    assert together(*runs).concepts == ("C3",)
    assert together(Prediction("a"), Prediction("a")).concepts == ()


def test_the_caption_that_is_most_like_the_others_is_taken():
    captions = ("MRI of the knee", "CT of the chest with a mass", "Ultrasound of the liver", "Chest CT with a mass")
    assert together(*(Prediction("a", caption=caption) for caption in captions)).caption in {captions[1], captions[3]}
    assert together(Prediction("a", caption="knee"), Prediction("a", caption="chest")).caption == "knee"


def test_one_run_is_itself():
    for prediction in (Prediction("a", concepts=("C1", "C2")), Prediction("a", caption="A knee")):
        assert together(prediction) == prediction
