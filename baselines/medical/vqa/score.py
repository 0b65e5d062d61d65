"""The scores of the VQA-Med tasks (spec pages metrics.md M1 and M3, and vqa.md 6), and their trivial runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from baselines.core import pictures
from baselines.core.metrics.answers import matches, normalise_answer
from baselines.core.metrics.text import BleuScores, best_bleu, clean
from baselines.core.results import Evaluation
from baselines.core.statistics import resample_means
from baselines.medical.drawings import word_maps
from baselines.medical.language import constant_questions
from baselines.medical.vqa.records import Prediction, Sample, Truth, TruthSet
from baselines.medical.vqa.runs import MAX_QUESTIONS

PANEL_SIDE = 320  # of an image in a picture, in pixels
_GREEN, _RED = pictures.STYLES[2].colour, pictures.STYLES[1].colour

_clean = lru_cache(maxsize=1 << 16)(clean)  # answers and questions repeat from image to image


def evaluate(truth_set: TruthSet, predictions: Mapping[str, Prediction]) -> Evaluation:
    """Compute ``accuracy`` (``vqa``), ``bleu`` and ``bleu_nltk33``: means over the images, at full precision.

    An answer counts with the best of its image's references, and the questions of an image with the best pair of any of them
    and any reference; more questions cost nothing. An image without prediction scores 0.

    Args:
        truth_set: The truths; every image of it counts.
        predictions: The predictions by image id; images that the truth set doesn't have are not looked at.

    >>> truths = TruthSet({"a": Truth("a", ("acl injury", "torn ligament"))}, "vqa")
    >>> evaluate(truths, {"a": Prediction("a", ("Torn ligament.",))}).metrics["accuracy"]
    1.0
    """
    truths = truth_set.truths
    pairs = [(truth, predictions.get(name)) for name, truth in truths.items()]
    missing = sum(prediction is None for _, prediction in pairs)
    values: dict[str, NDArray[np.float64]] = {}
    if truth_set.task == "vqa":
        values["accuracy"] = np.array([_is_right(*pair) for pair in pairs], dtype=np.float64)
    scores = np.array([_best_bleu(*pair) for pair in pairs], dtype=np.float64).reshape(-1, 2)
    values |= {"bleu": scores[:, 0], "bleu_nltk33": scores[:, 1]}
    if not truths:
        return Evaluation(dict.fromkeys(values), dict.fromkeys(values, "no image in the truth"), ())
    metrics = {name: float(mine.mean()) for name, mine in values.items()}
    warnings = _warnings(predictions[name] for name in truths if name in predictions) if truth_set.task == "vqg" else ()
    return Evaluation(metrics, {}, tuple(truths), missing, resample=resample_means(values), warnings=warnings)


def _is_right(truth: Truth, prediction: Prediction | None) -> bool:
    return prediction is not None and any(matches(answer, truth.texts) for answer in prediction.texts[:1])


def _best_bleu(truth: Truth, prediction: Prediction | None) -> BleuScores:
    if prediction is None:
        return BleuScores(0.0, 0.0)
    # A set: cleaned alike is scored alike, and a run may repeat itself a hundred thousand times.
    return best_bleu([_clean(text) for text in truth.texts], {_clean(text) for text in prediction.texts})


def _warnings(predictions: Iterable[Prediction]) -> tuple[str, ...]:
    """Say how many questions a run asks, if they are many: the score rises with their number alone."""
    counts = [len(prediction.texts) for prediction in predictions]
    many = sum(count > MAX_QUESTIONS for count in counts)
    if not many:
        return ()
    images = "1 image has" if many == 1 else f"{many} images have"
    what = f"{images} more than {MAX_QUESTIONS} questions, up to {max(counts)}"
    return (f"{what}: bleu is that of an image's best pair of question and reference, so it rises with their number",)


def trivial_predictions(train: TruthSet, test: TruthSet) -> dict[str, Prediction]:
    """Predict the most frequent answer for every image, or the questions of the highest expected BLEU: what looks at no image.

    Args:
        train: The truths to count.
        test: The images to predict; their texts are not looked at.

    Returns:
        One answer, of equally frequent ones the first by alphabet; or at most ``MAX_QUESTIONS`` questions
        (:func:`baselines.medical.language.constant_questions`). They are the same for all images.
    """
    truths = train.truths.values()
    if test.task == "vqg":
        texts = tuple(constant_questions([truth.texts for truth in truths], MAX_QUESTIONS))
    else:
        counts = Counter(text for truth in truths for text in truth.texts)
        texts = tuple(sorted(counts, key=lambda text: (-counts[text], text))[:1])
    return {name: Prediction(name, texts) for name in test.truths} if texts else {}


def combine(runs: Sequence[Mapping[str, Prediction]]) -> dict[str, Prediction]:
    """Return the majority vote of several runs, image by image.

    An answer has the vote of every run that gives it, a question that of every run that asks it, compared as the scores compare
    them; of equally many votes the one that comes first in the runs wins, the first questions of all runs before their second.

    Args:
        runs: The predictions of each run by image id, all of the same images.

    Returns:
        One text an image where every run has one, else at most ``MAX_QUESTIONS``, the ones with the most votes first.

    >>> votes = combine([{"a": Prediction("a", (text,))} for text in ("cyst", "ACL tear", "acl tear.")])
    >>> votes["a"].texts
    ('ACL tear',)
    """
    return {name: _vote([run[name] for run in runs]) for name in runs[0]}


def _vote(predictions: Sequence[Prediction]) -> Prediction:
    ranks = max(len(prediction.texts) for prediction in predictions)
    texts = [each.texts[rank] for rank in range(ranks) for each in predictions if rank < len(each.texts)]
    if ranks == 1:
        keys: list[object] = [normalise_answer(text) for text in texts]
    else:
        keys = [tuple(_clean(text)) for text in texts]
    votes = Counter(keys)
    first = dict(zip(reversed(keys), reversed(texts), strict=True))
    ranked = sorted(votes, key=lambda key: -votes[key])  # stable, and a counter keeps the order of what it has met
    return Prediction(predictions[0].id, tuple(first[key] for key in ranked[: 1 if ranks == 1 else MAX_QUESTIONS]))


# -------------------------------------------------------------------------------------------------------------- pictures


def draw(sample: Sample, prediction: Prediction, classes: Mapping[int, str]) -> Image.Image:  # noqa: ARG001  # all tasks' call
    """Draw an image, and where the model looked, above the question, the answer and the truth; or the questions.

    Args:
        sample: The image, and its truth where it has one.
        prediction: Its answer or questions, and where the model looked.
        classes: Not used.

    Raises:
        OSError: If the image can't be read.
    """
    with Image.open(sample.image) as image:
        page = ImageOps.contain(image.convert("RGB"), (PANEL_SIDE, PANEL_SIDE))
    panels = [(sample.id, page)]
    if prediction.attention is not None and len(prediction.attention):
        title = "evidence for the answer" if sample.question else "attention of all words"
        panels.append((title, pictures.heat(page, _relative(prediction.attention))))
    shown = pictures.beside(panels)
    rows = _answer_rows(sample, prediction) if sample.question else _question_rows(sample, prediction)
    width = max(shown.width, 2 * PANEL_SIDE)
    maps = []
    if not sample.question and prediction.attention is not None and len(prediction.attention):
        maps = [word_maps(page, prediction.texts[0], prediction.attention, width)]
    return pictures.below([shown, pictures.lines(rows, width), *maps])


def _relative(attention: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean of grids ``(N, h, w)``, its highest place at 1."""
    mean: NDArray[np.float64] = attention.astype(np.float64).mean(0)
    return mean / max(float(mean.max()), 1e-12)


def _answer_rows(sample: Sample, prediction: Prediction) -> list[tuple[str, pictures.Colour]]:
    question = (f"question: {sample.question}", pictures.BLACK)
    if sample.truth is None:
        return [question, (f"answer: {prediction.texts[0]}", pictures.BLACK)]
    right = _is_right(sample.truth, prediction)
    answer = (f"answer: {prediction.texts[0]} ({'right' if right else 'wrong'})", _GREEN if right else _RED)
    return [question, answer, (f"true: {' | '.join(sample.truth.texts)}", pictures.BLACK)]


def _question_rows(sample: Sample, prediction: Prediction) -> list[tuple[str, pictures.Colour]]:
    true = [] if sample.truth is None else [("true:", _GREEN), *((f"  {text}", pictures.BLACK) for text in sample.truth.texts)]
    return [("asked:", _RED), *((f"  {text}", pictures.BLACK) for text in prediction.texts), *true]
