"""What a VQA-Med data set can have wrong with it, beyond what its reader and the common checks tell."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from baselines.core.checks import Checks, DataSet, Distribution, compare_counts, histogram, tally
from baselines.core.findings import Finding, Findings, InvalidInput, Severity, shorten, show_id
from baselines.core.metrics.answers import normalise_reference
from baselines.core.metrics.text import clean, content_words
from baselines.core.runs import Code
from baselines.medical import text_checks
from baselines.medical.archives import Archive, open_archive
from baselines.medical.text_checks import WORD_EDGES, draw_with_texts, shared_ids, short_texts, typos, words_of
from baselines.medical.vqa.records import ARCHIVE_MARKS, CODES, Sample, Split, Truth, read_truth

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

LISTED = 5
FEW = 3  # questions of one form, under which the form is no template
LOOKALIKES = frozenset({"none", "nan", "null", "na", "n/a", "true", "false"})  # what table readers take for something else
MAX_JSON_BYTES = 2**26

# Images per split (page `vqa` of the specification): training is that of 2020 with its validation set.
PUBLISHED = {
    "vqa": {"train": 4500, "val": 500, "test": 500},
    "vqg": {"train": 780 + 141, "val": 85, "test": 100},  # the README's number; 76 were found in the archive
}


def _texts(data_set: DataSet) -> dict[str, list[tuple[Truth, str]]]:
    """Return the texts of each split that has some, with their truths."""
    found = {
        split: [(truth, text) for truth in part.truth_set.truths.values() for text in truth.texts]
        for split, part in data_set.splits.items()
    }
    return {split: texts for split, texts in found.items() if texts}


def _told(data_set: DataSet, code: str, severity: Severity, message: str, name: str, value: str, hint: str = "") -> Finding:
    return Finding(code, severity, message, str(data_set.root), id=show_id(name), value=value, hint=hint)


def texts(data_set: DataSet) -> Iterator[Finding]:
    """Tell texts that are empty or too short when cleaned, likely slips, and what other programs read as something else."""
    found = _texts(data_set)
    for split, pairs in found.items():
        for truth, text in pairs:
            if text.strip().lower() in LOOKALIKES:
                hint = "readers of tables lose it: read the file as text"
                what = f"a text of {split} looks like a missing value"
                yield _told(data_set, "DATA-MISSING-LOOKALIKE", _INFO, what, truth.id, shorten(text), hint)
        empty: dict[str, list[str]] = defaultdict(list)
        for truth, text in pairs:
            if not clean(text):
                empty[text].append(truth.id)
        for text, names in empty.items():
            what, hint = f"a text of {split} that is empty when cleaned", "no run can score here by words"
            value = f"{shorten(text)}, {len(names)} times"
            yield _told(data_set, "DATA-EMPTY-REFERENCE", _WARNING, what, names[0], value, hint)
        odd = [(truth, text) for truth, text in pairs if re.search(r"#|\([^)]*\)", text)]
        if odd:
            what = f"texts of {split} with # or parentheses, which stood for alternatives in 2019"
            value = f"{len(odd)}, such as {shorten(odd[0][1])}"
            yield _told(data_set, "DATA-ALTERNATIVES", _INFO, what, odd[0][0].id, value)
        yield from short_texts(data_set.root, split, [(truth.id, text) for truth, text in pairs])
    yield from typos(data_set.root, [(truth.id, text) for pairs in found.values() for truth, text in pairs])


def normalised(data_set: DataSet) -> Iterator[Finding]:
    """Tell answers that accuracy takes for one: of one image, and of the whole set."""
    if data_set.card.id != "vqa":
        return
    forms: dict[str, set[str]] = defaultdict(set)
    for split, part in data_set.splits.items():
        for truth in part.truth_set.truths.values():
            if len({normalise_reference(text) for text in truth.texts}) < len(truth.texts):
                what, value = f"references of an image of {split} are equal for accuracy", shorten(" | ".join(truth.texts))
                yield _told(data_set, "DATA-NORMALISED-DUPLICATE", _INFO, what, truth.id, value)
            for text in truth.texts:
                forms[normalise_reference(text)].add(text.strip().lower())
    for written in forms.values():
        if len(written) > 1:
            one, *others = sorted(written)
            value = ", ".join(map(shorten, (one, *others[: LISTED - 1])))
            what = "answers that are written differently and equal for accuracy"
            yield _told(data_set, "DATA-NORMALISED-DUPLICATE", _INFO, what, one, value, "a classifier takes them for several")


def unseen_answers(data_set: DataSet) -> Iterator[Finding]:
    """Tell how many images ask for an answer that training hasn't, and what a classifier can reach at most."""
    if data_set.card.id != "vqa" or "train" not in data_set.splits:
        return
    trained = {normalise_reference(text) for _, text in _texts(data_set).get("train", ())}
    for split, part in data_set.splits.items():
        truths = [truth for truth in part.truth_set.truths.values() if truth.texts]
        unseen = [truth for truth in truths if not {normalise_reference(text) for text in truth.texts} & trained]
        if unseen and split != "train":
            reachable = 1 - len(unseen) / len(truths)
            what = f"images of {split} whose answers are none of training"
            value = f"{len(unseen)} of {len(truths)}, such as {shorten(unseen[0].texts[0])}"
            hint = f"a classifier over the training answers can't exceed an accuracy of {reachable:.3f}"
            yield _told(data_set, "DATA-ANSWER-UNSEEN", _INFO, what, split, value, hint)


def questions(data_set: DataSet) -> Iterator[Finding]:
    """Tell questions without question mark, those of a rare form, and those that hold their answer."""
    if data_set.card.id != "vqa":
        return
    counts = Counter(_template(sample.question) for _, sample in data_set.samples() if sample.question)
    for split, part in data_set.splits.items():
        asked = [(sample.id, sample.question) for sample in part.samples if sample.question]
        unmarked = [(name, text) for name, text in asked if not text.rstrip().endswith("?")]
        if unmarked:
            what, value = f"questions of {split} without question mark", f"{len(unmarked)}, such as {shorten(unmarked[0][1])}"
            yield _told(data_set, "DATA-QUESTION-FORM", _INFO, what, unmarked[0][0], value)
        rare = [(name, text) for name, text in asked if counts[_template(text)] < FEW]
        if rare:
            what, value = f"questions of {split} of a form that hardly occurs", f"{len(rare)}, such as {shorten(rare[0][1])}"
            yield _told(data_set, "DATA-QUESTION-FORM", _INFO, what, rare[0][0], value)
        leaking = [truth for truth in part.truth_set.truths.values() if truth.question and _leaks(truth)]
        if leaking:
            what = f"questions of {split} that hold their answer"
            value = f"{len(leaking)}, such as {shorten(leaking[0].question)}: {shorten(leaking[0].texts[0])}"
            yield _told(data_set, "DATA-ANSWER-IN-QUESTION", _INFO, what, leaking[0].id, value, "a model needs no image here")


def _label(sample: Sample) -> tuple[str, tuple[str, ...]] | None:
    """Return what copies of an image must share: the answers to a question, as accuracy takes them; not their questions."""
    if sample.truth is None or not sample.question:
        return None
    return _plain(sample.question), tuple(sorted({normalise_reference(text) for text in sample.truth.texts}))


def _template(question: str) -> str:
    return " ".join(re.sub(r"[^a-z ]", " ", question.lower()).split())


def _leaks(truth: Truth) -> bool:
    """Whether all words of an answer are in its question."""
    asked = set(content_words(truth.question))
    return any(words and set(words) <= asked for words in map(content_words, truth.texts))


# ----------------------------------------------------------------------------------------------------------------- files


def files(data_set: DataSet) -> Iterator[Finding]:
    """Tell file names that differ in case, and references in JSON that are not those in text."""
    try:
        archive = open_archive(data_set.root, data_set.card.id, "vqa", ARCHIVE_MARKS, Findings())
    except InvalidInput:
        return
    words = {word for path in archive.texts for word in re.findall(r"[A-Za-z]+", path.name)}
    spellings: dict[str, set[str]] = defaultdict(set)
    for word in words:
        spellings[word.lower()].add(word)
    for variants in sorted(map(sorted, spellings.values())):
        if len(variants) > 1:
            what, value = "names of files that spell a word differently", ", ".join(variants)
            yield Finding("DATA-FILE-CASE", _INFO, what, str(archive.folder), value=value, hint="match them in any case")
    yield from _reference_files(data_set, archive)


def _reference_files(data_set: DataSet, archive: Archive) -> Iterator[Finding]:
    """Compare references in JSON, as the evaluator has them, with those in text files."""
    told = [path for path in archive.texts if "reference" in path.name.lower()]
    written: dict[str, frozenset[str]] = {}
    for path in told:
        for name, truth in read_truth(path, data_set.card.id, Findings()).truths.items():
            written[name] = frozenset(map(_plain, truth.texts))
    for path in sorted(archive.folder.rglob("*.json")) if written else ():
        if "reference" not in path.name.lower():
            continue
        try:
            if path.stat().st_size > MAX_JSON_BYTES:
                yield Finding("DATA-TOO-LARGE", _ERROR, "the references are too large to be right", str(path))
                continue
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            yield Finding("DATA-JSON", _ERROR, "the references can't be read", str(path), value=shorten(str(error)))
            continue
        for name, found in sorted(_references(content, written).items()):
            if found != written[name]:
                value = f"{shorten(sorted(found))}; the text file has {shorten(sorted(written[name]))}"
                what = "references in JSON and in text differ"
                yield Finding("DATA-REFERENCE-DIFF", _WARNING, what, str(path), id=show_id(name), value=value)


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _references(content: Any, known: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the texts that objects of a JSON file have beside an image's id, whatever the keys' order and nesting.

    >>> found = _references({"annotations": [{"image_id": "a", "answers": [{"answer": "x"}, {"answer": "y"}]}]}, {"a": 0})
    >>> sorted(found["a"])
    ['x', 'y']
    """
    found: dict[str, set[str]] = defaultdict(set)
    waiting: list[tuple[Any, str]] = [(content, "")]
    while waiting:
        value, name = waiting.pop()
        if isinstance(value, list):
            waiting += [(each, name) for each in value]
        elif isinstance(value, dict):
            own = next((str(each) for each in value.values() if isinstance(each, str) and each in known), name)
            waiting += [(each, own) for each in value.values() if isinstance(each, dict | list)]
            if own:
                kept = (text for key, text in value.items() if "answer" in key.lower() or "question" in key.lower())
                found[own] |= {_plain(text) for text in kept if isinstance(text, str) and text != own}
    return {name: texts for name, texts in found.items() if texts}


def other_sets(data_set: DataSet) -> Iterator[Finding]:
    """Tell images that are in the caption sets, too."""
    yield from shared_ids(data_set, "caption", "(?i)caption|concept")


def counts(data_set: DataSet) -> Iterator[Finding]:
    """Compare the numbers of images with those published."""
    yield from compare_counts(data_set, PUBLISHED[data_set.card.id], _WARNING)


_KINDS = {
    "yes/no": re.compile(r"^(is|are|was|were|does|do|did|has|have|can|could) "),
    "abnormality": re.compile("abnormal|alarming|wrong"),
    "modality": re.compile("modality|how was this image taken|type of (image|scan)"),
    "plane": re.compile("plane"),
    "organ": re.compile("organ|part of the body"),
    "where": re.compile("^where|location|located"),
    "which": re.compile("^which"),
    "how": re.compile("^how"),
}


def kind_of(question: str) -> str:
    """Return what a question asks for, by its words.

    >>> kind_of("is this a normal chest image?"), kind_of("what is most alarming about this ct scan?"), kind_of("why?")
    ('yes/no', 'abnormality', 'other')
    """
    plain = question.strip().lower()
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(plain)), "other")


def _distributions(data_set: DataSet) -> Sequence[Distribution]:
    found = _texts(data_set)
    is_vqa = data_set.card.id == "vqa"
    if is_vqa:
        asked = {
            split: Counter(kind_of(sample.question) for sample in part.samples if sample.question)
            for split, part in data_set.splits.items()
        }
    else:
        asked = {split: Counter(kind_of(text) for _, text in pairs) for split, pairs in found.items()}
    per_image = {
        split: [len(truth.texts) for truth in part.truth_set.truths.values()]
        for split, part in data_set.splits.items()
        if split in found
    }
    noun = "answer" if is_vqa else "question"
    shown = [
        tally("kinds of questions", {split: counter for split, counter in asked.items() if counter}),
        histogram(
            f"words per {noun}", {split: words_of(text for _, text in pairs) for split, pairs in found.items()}, WORD_EDGES
        ),
        histogram(f"{noun}s per image", per_image, (1, 2, 3, 4, 5, 6, 7, 11)),
    ]
    if is_vqa:
        answers = {split: Counter(_plain(text) for _, text in pairs) for split, pairs in found.items()}
        shown.append(tally("answers", answers, limit=40))
    return shown


def _draw(_: Split, sample: Sample, __: frozenset[int]) -> Image.Image:
    """Draw an image with its question and its answers, or with its questions."""
    texts = sample.truth.texts if sample.truth else ()
    return draw_with_texts(sample.image, [text for text in (sample.question, *texts) if text])


CHECKS = Checks(
    rules=(texts, normalised, unseen_answers, questions, files, other_sets, counts),
    graded=frozenset({"DATA-ENCODING"}),  # that a text seems decoded wrongly is a warning
    label=_label,
    draw=_draw,
    distributions=_distributions,
    codes={
        **CODES,
        **text_checks.CODES,
        "DATA-ALTERNATIVES": Code(_INFO, "# or parentheses in answers, which stood for alternatives in 2019", "a#b (of c)"),
        "DATA-ANSWER-IN-QUESTION": Code(_INFO, "questions that hold their answer", "is this a ct or an mri?"),
        "DATA-ANSWER-UNSEEN": Code(_INFO, "answers that training hasn't, and the accuracy that follows", "216 of 500"),
        "DATA-MISSING-LOOKALIKE": Code(_INFO, "an answer that readers of tables take for a missing value", "none"),
        "DATA-NORMALISED-DUPLICATE": Code(_INFO, "answers that accuracy takes for one", "x-ray, xray"),
        "DATA-QUESTION-FORM": Code(_INFO, "questions without question mark, or of a form that hardly occurs", "is this a ct"),
        "DATA-REFERENCE-DIFF": Code(_WARNING, "references in JSON that are not those in text", '""drowned"" and drowned'),
    },
)
