"""What a caption data set can have wrong with it, beyond what its reader and the common checks tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from PIL import Image

from baselines.core.checks import Checks, DataSet, Distribution, compare_counts, histogram, is_generated, tally
from baselines.core.findings import Finding, Severity, shorten, show_id
from baselines.core.runs import Code, list_ids
from baselines.medical import text_checks
from baselines.medical.caption.records import CODES, CONCEPT_FORM, CONCEPTS, Sample, Split, concept_code, concept_number
from baselines.medical.text_checks import WORD_EDGES, draw_with_texts, odd_characters, shared_ids, short_texts, typos, words_of

_WARNING, _INFO = Severity.WARNING, Severity.INFO

RARE_IMAGES = 2  # a concept in fewer training images can be neither learnt nor checked

# Images per split, and concepts of training and validation together (page `caption` of the specification, 1).
PUBLISHED = {"train": 2756, "val": 500, "test": 444}
PUBLISHED_CONCEPTS = 1585


def _concepts(data_set: DataSet, split: str) -> Counter[str]:
    """Return in how many images of a split each concept is, in upper case."""
    part = data_set.splits.get(split)
    truths = part.truth_set.truths.values() if part else ()
    return Counter(concept.upper() for truth in truths for concept in truth.concepts)


def _captions(data_set: DataSet) -> dict[str, list[tuple[str, str]]]:
    """Return the captions of each split, with their ids."""
    found = {
        split: [(truth.id, truth.caption) for truth in part.truth_set.truths.values() if truth.caption]
        for split, part in data_set.splits.items()
    }
    return {split: captions for split, captions in found.items() if captions}


def new_and_rare_concepts(data_set: DataSet) -> Iterator[Finding]:
    """Tell concepts of validation that training hasn't, and training concepts in hardly an image."""
    trained, root = _concepts(data_set, "train"), str(data_set.root)
    for split in data_set.splits.keys() - {"train"} if trained else ():
        for concept, count in sorted((_concepts(data_set, split) - Counter(dict.fromkeys(trained, 10**9))).items()):
            what = f"a concept of {split} is in no training image"
            value = f"{count} images"
            hint = "no model can have learnt it"
            yield Finding("DATA-CONCEPT-NEW", _WARNING, what, root, id=show_id(concept), value=value, hint=hint)
    rare = sorted(concept for concept, count in trained.items() if count < RARE_IMAGES)
    if rare:
        value = f"{len(rare)} of {len(trained)}: {list_ids(rare)}"
        what = f"concepts in fewer than {RARE_IMAGES} training images"
        yield Finding("DATA-CONCEPT-NEW", _WARNING, what, root, id="train", value=value, hint="the campaign left rare ones out")


def unnamed_concepts(data_set: DataSet) -> Iterator[Finding]:
    """Count concepts without a name, where a file of names is there."""
    names: dict[int, str] = {}
    for part in data_set.splits.values():
        names |= part.truth_set.classes
    unnamed = [concept_code(number) for number, name in sorted(names.items()) if name == concept_code(number)]
    if unnamed and len(unnamed) < len(names):
        value = f"{len(unnamed)} of {len(names)}: {list_ids(unnamed)}"
        yield Finding("DATA-CONCEPT-NO-NAME", _INFO, "concepts that the file of names lacks", str(data_set.root), value=value)


def captions(data_set: DataSet) -> Iterator[Finding]:
    """Tell captions of several images, odd characters, likely slips, and captions too short for BLEU."""
    root, found = data_set.root, _captions(data_set)
    for split, pairs in found.items():
        same: dict[str, list[str]] = defaultdict(list)
        for name, text in pairs:
            same[" ".join(text.lower().split())].append(name)
        repeated = sorted((names for names in same.values() if len(names) > 1), key=len, reverse=True)
        for names in repeated:
            what = f"{len(names)} images of {split} have the same caption"
            value = list_ids(names)
            yield Finding("DATA-CAPTION-DUPLICATE", _INFO, what, str(root), id=show_id(names[0]), value=value)
        yield from odd_characters(root, split, pairs)
        yield from short_texts(root, split, pairs)
    yield from typos(root, [pair for pairs in found.values() for pair in pairs])


def other_sets(data_set: DataSet) -> Iterator[Finding]:
    """Tell images that are in the sets of VQA-Med, too."""
    yield from shared_ids(data_set, "vqa", "(?i)vqa|vqg")


def counts(data_set: DataSet) -> Iterator[Finding]:
    """Compare the numbers of images and concepts with those of the campaign."""
    yield from compare_counts(data_set, PUBLISHED)
    if data_set.card.id == CONCEPTS:
        total = len(_concepts(data_set, "train") | _concepts(data_set, "val"))
        published = "" if is_generated(data_set) or total == PUBLISHED_CONCEPTS else f", published {PUBLISHED_CONCEPTS}"
        what = "training and validation have this many concepts"
        yield Finding("DATA-COUNT", _INFO, what, str(data_set.root), id="concepts", value=f"{total}{published}")


def _label(sample: Sample) -> tuple[str, tuple[str, ...]] | None:
    """Return what copies of an image must share: the concepts in any order, or the caption but for case and blanks."""
    if sample.truth is None:
        return None
    caption = " ".join(sample.truth.caption.lower().split())
    return "", (caption,) if caption else tuple(sorted(concept.upper() for concept in sample.truth.concepts))


def _distributions(data_set: DataSet) -> Sequence[Distribution]:
    if data_set.card.id != CONCEPTS:
        words = {split: words_of(text for _, text in pairs) for split, pairs in _captions(data_set).items()}
        return (histogram("words per caption", words, WORD_EDGES),)
    names: dict[int, str] = {}
    per_image: dict[str, list[float]] = {}
    frequencies: dict[str, list[float]] = {}
    by_name: dict[str, Counter[str]] = {}
    for split, part in data_set.splits.items():
        found = _concepts(data_set, split)
        if found:
            names |= part.truth_set.classes
            per_image[split] = [len(truth.concepts) for truth in part.truth_set.truths.values()]
            frequencies[split] = list(found.values())
            valid = {concept: count for concept, count in found.items() if CONCEPT_FORM.fullmatch(concept)}
            by_name[split] = Counter({_name(concept, names): count for concept, count in valid.items()})
    return (
        histogram("concepts per image", per_image, (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 101)),
        histogram("images per concept", frequencies, (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 10_000)),
        tally("images by concept", by_name),
    )


def _name(concept: str, names: dict[int, str]) -> str:
    name = names.get(concept_number(concept), concept)
    return concept if name == concept else f"{concept} {shorten(name, 30).strip(chr(39))}"


def _draw(split: Split, sample: Sample, _: frozenset[int]) -> Image.Image:
    """Draw an image with its caption or its concepts."""
    if sample.truth is None:
        return draw_with_texts(sample.image, ())
    names = dict(split.truth_set.classes)
    concepts = (
        _name(concept, names) if CONCEPT_FORM.fullmatch(concept) else concept
        for concept in map(str.upper, sample.truth.concepts)
    )
    return draw_with_texts(sample.image, [text for text in (sample.truth.caption, ", ".join(concepts)) if text])


CHECKS = Checks(
    rules=(new_and_rare_concepts, unnamed_concepts, captions, other_sets, counts),
    graded=frozenset({"DATA-ENCODING"}),  # that a text seems decoded wrongly is a warning
    label=_label,
    draw=_draw,
    distributions=_distributions,
    codes={
        **CODES,
        **text_checks.CODES,
        "DATA-CAPTION-DUPLICATE": Code(_INFO, "several images with the same caption", "chest x-ray."),
        "DATA-CONCEPT-NEW": Code(
            _WARNING, "a concept of validation that training lacks; concepts in hardly a training image", "C0040398"
        ),
        "DATA-CONCEPT-NO-NAME": Code(_INFO, "concepts that the file of names lacks", "3 of 1,585"),
    },
)
