"""The cards: ten tasks, as the design and the metrics page name them."""

import pytest

from baselines.core.findings import UsageError
from baselines.core.tasks import all_tasks, get_task

# Primary metric first, as in the table of the spec page metrics.md M0.
METRICS = {
    "coral-annotation": ("map50", "recall50", "map0", "iou.overall"),
    "coral-parsing": ("map50", "recall50", "map0", "iou.overall"),
    "caption-concepts": ("f1",),
    "caption-prediction": ("bleu", "bleu_nltk33", "rouge1_f"),
    "vqa": ("accuracy", "bleu", "bleu_nltk33"),
    "vqg": ("bleu", "bleu_nltk33"),
    "tuberculosis": ("kappa", "accuracy"),
    "drawnui-wireframe": ("map50", "recall50"),
    "drawnui-screenshot": ("map50", "recall50"),
    "aware": tuple(f"{kind}.{what}" for kind in ("pearson", "spearman") for what in ("mean", "acc", "bank", "it", "wait")),
}
CLASS_METRICS = {
    "coral-annotation": ("iou", "ap50"),
    "coral-parsing": ("iou", "ap50"),
    "drawnui-wireframe": ("ap50",),
    "drawnui-screenshot": ("ap50",),
}
CLASSES = {"coral-annotation": 13, "coral-parsing": 13, "tuberculosis": 5, "drawnui-wireframe": 21}


def own_tasks():
    return {name: card for name, card in all_tasks().items() if card.package.startswith("baselines.")}


def test_there_are_ten_tasks():
    assert own_tasks().keys() == METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_those_of_the_spec(name):
    card = get_task(name)
    assert tuple(metric.name for metric in card.metrics) == METRICS[name]
    assert tuple(metric.name for metric in card.class_metrics) == CLASS_METRICS.get(name, ())
    assert all(metric.higher_is_better for metric in card.metrics + card.class_metrics)


@pytest.mark.parametrize("name", METRICS)
def test_cards_are_complete(name):
    card = get_task(name)
    assert card.id == name
    assert len(card.classes) == CLASSES.get(name, 0)
    assert list(card.classes) == list(range(1, len(card.classes) + 1))
    assert {"train", "test"} <= set(card.splits)
    assert len(set(card.example_ids)) == 2
    assert all((card.version, card.predicts, card.baseline, card.unit, card.run_file))


@pytest.mark.parametrize("name", METRICS)
def test_the_state_says_what_is_there(name):
    card = get_task(name)
    assert card.state == ("baseline" if card.has("model") else "scorer" if card.has("score") else "planned")
    if card.state == "planned":
        with pytest.raises(UsageError, match=f"task {name} has no score yet"):
            card.module("score")


def test_an_unknown_task_is_wrong_usage_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean drawnui-wireframe"):
        get_task("drawnui-wirefame")
    with pytest.raises(UsageError, match=r"the tasks are .*tuberculosis"):
        get_task("zzz")
