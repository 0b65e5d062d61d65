"""What an aware data set can have wrong with it, beyond what its reader and the common checks tell."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment

from baselines.aware.profiles import Profile
from baselines.aware.records import CODES, Sample, Split, folder_of
from baselines.aware.task import SITUATIONS
from baselines.core import pictures
from baselines.core.checks import Checks, DataSet, Distribution, compare_counts, histogram
from baselines.core.findings import Finding, Severity, shorten, show_id
from baselines.core.metrics.correlation import pearson
from baselines.core.runs import Code

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

LARGE_BOX = 0.9  # of the photo
FEW_PHOTOS = 20  # with less than so many, a profile says little of its user; in 2023 seven users have
SCALE = 3.0  # raters gave -3 to +3
SHIFT = 0.2  # how far the mean of a situation may be from the others' median, in their standard deviations
SPREAD = 1.5  # factor between the standard deviation of a situation and the others' median
LEAST_USERS = 30  # from which correlations say anything
SIGNIFICANT = 2.58  # standard errors of a correlation, for 99 %
SWAP_GAIN = 0.1  # in the sum of four correlations, from which another order of the columns fits clearly better
SAME = 0.98  # correlation from which two situations are one column twice
MAX_LISTED = 5
MAX_EXAMPLE_BYTES = 2**24

# The picture of a user.
FRAMES, IN_ROW = 6, 3  # photos
FRAME_SIDE = 208  # pixels
FRAME_COLOUR = (244, 244, 244)
MAX_BOXES = 40  # in a frame, the surest ones
MAX_NAME = 24  # letters of a concept or a photo's id

# Users per split (page `aware` of the specification, release of 2023).
PUBLISHED = {"train": 600, "val": 200, "test": 200}

# Names that lead to a person: addresses, links, Flickr's user ids (12345678@N00), the bare numbers of its photos.
_ADDRESS = re.compile(r"@|://|www\.", re.IGNORECASE)
_PHOTO = re.compile(r"\d{6,}(?:_[0-9a-f]{10}(?:_[a-z])?)?(?:\.jpe?g)?", re.IGNORECASE)
_USER = re.compile(r'"([^"\\]{1,200})"\s*:\s*\{')


def shared_photos(data_set: DataSet) -> Iterator[Finding]:
    """Tell photos that two users share, by their id or by what was detected in them."""
    by_id: dict[str, tuple[str, str]] = {}
    by_content: dict[tuple[object, ...], tuple[str, str, str]] = {}
    root = str(data_set.root)
    for split, sample in data_set.samples():
        for image, content in _photos(sample.profile):
            other_split, other_user = by_id.setdefault(image, (split, sample.id))
            if other_user != sample.id:
                across = other_split != split
                code, severity = ("DATA-SPLIT-ID", _ERROR) if across else ("DATA-ID-DUPLICATE", _ERROR)
                what = f"the photo is one of {show_id(other_user)} of {other_split}, too"
                yield Finding(code, severity, what, root, id=sample.id, value=shorten(image), hint="keep one of them")
            elif content:
                place = (split, sample.id, image)
                first = by_content.setdefault(content, place)
                if first != place:
                    across = first[0] != split
                    code, severity = ("DATA-SPLIT-CONTENT", _ERROR) if across else ("DATA-CONTENT-DUPLICATE", _WARNING)
                    what = f"the photo has the detections of {show_id(first[2])} of {show_id(first[1])} in {first[0]}"
                    yield Finding(code, severity, what, root, id=sample.id, value=shorten(image), hint="is it the same photo?")


def _photos(profile: Profile) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the photos of a profile, each with its detections, which are in one order always."""
    contents: dict[int, list[object]] = defaultdict(list)
    rows = zip(profile.places.tolist(), profile.concepts, profile.confidences.tolist(), profile.boxes.tolist(), strict=True)
    for place, concept, confidence, box in rows:
        contents[place] += [concept, confidence, *box]
    for place, image in enumerate(profile.images):
        yield image, tuple(contents.get(place, ()))


def few_photos(data_set: DataSet) -> Iterator[Finding]:
    """Tell users of whom little is known."""
    for split, sample in data_set.samples():
        if 0 < len(sample.profile.images) < FEW_PHOTOS:
            what = f"a user of {split} has fewer than {FEW_PHOTOS} photos"
            value = str(len(sample.profile.images))
            yield Finding("DATA-FEW-IMAGES", _WARNING, what, str(data_set.root), id=sample.id, value=value)


def large_boxes(data_set: DataSet) -> Iterator[Finding]:
    """Count the boxes that cover nearly all of their photo."""
    for split, part in data_set.splits.items():
        areas = _areas(part.samples)
        count = int((areas > LARGE_BOX).sum())
        if count:
            what = f"boxes of {split} cover over {LARGE_BOX:.0%} of their photo"
            value = f"{count} of {len(areas)} ({count / len(areas):.0%})"
            yield Finding("DATA-BOX-LARGE", _INFO, what, str(data_set.root), id=split, value=value)


def _areas(samples: Sequence[Sample]) -> NDArray[np.float64]:
    boxes = np.concatenate([np.zeros((0, 4)), *(sample.profile.boxes for sample in samples)])
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1))


def unused_concepts(data_set: DataSet) -> Iterator[Finding]:
    """Count the rated concepts that no photo of a split shows."""
    for split, part in data_set.splits.items():
        seen = {concept for sample in part.samples for concept in sample.profile.concepts}
        unused = sorted(part.ratings.keys() - seen)
        if unused:
            listed = ", ".join(map(shorten, unused[:MAX_LISTED])) + (", …" if len(unused) > MAX_LISTED else "")
            value = f"{len(unused)} of {len(part.ratings)}: {listed}"
            what = f"rated concepts that no photo of {split} shows"
            yield Finding("DATA-CONCEPT-UNUSED", _INFO, what, str(data_set.root), id=split, value=value)


def concept_ratings(data_set: DataSet) -> Iterator[Finding]:
    """Tell ratings of concepts off the raters' scale, and situations in which all have the same."""
    ratings = next(iter(data_set.splits.values())).ratings
    file = str(folder_of(data_set.root) / "class_scores.json")
    for concept, mine in ratings.items():
        for situation, value in mine.items():
            if abs(value) > SCALE:
                what = f"the rating for {situation} is not in -3 to +3"
                yield Finding("DATA-RATING-RANGE", _WARNING, what, file, id=show_id(concept), value=f"{value:g}")
    for situation in SITUATIONS if len(ratings) > 1 else ():
        if len({mine[situation] for mine in ratings.values()}) == 1:
            what = f"all concepts have the same rating for {situation}"
            yield Finding("DATA-RATING-RANGE", _WARNING, what, file, id=situation)


def user_ratings(data_set: DataSet) -> Iterator[Finding]:
    """Tell situations whose ratings are constant, tied, on another scale, or those of another situation."""
    for split, values in _ratings(data_set).items():
        yield from _spread(data_set, split, values)
        if len(values) >= LEAST_USERS:
            yield from _scales(data_set, split, values)
            for (one, first), (other, second) in combinations(zip(SITUATIONS, values.T, strict=True), 2):
                r = _correlation(first, second)
                if r > SAME:
                    what, value = f"{one} and {other} are nearly the same ratings in {split}", f"correlation {r:.3f}"
                    hint = "was a column copied?"
                    yield _told(data_set, "DATA-RATING-CORRELATION", _WARNING, what, split, value, hint)


def _spread(data_set: DataSet, split: str, values: NDArray[np.float64]) -> Iterator[Finding]:
    for situation, column in zip(SITUATIONS, values.T, strict=True):
        different = len(np.unique(column))
        if different == 1 and len(column) > 1:
            what, value = f"all users of {split} have the same rating for {situation}", f"{column[0]:g}"
            yield _told(data_set, "DATA-RATING-RANGE", _WARNING, what, f"{split} {situation}", value, "it can't be scored")
        elif different < len(column):
            what, value = f"users of {split} share a rating for {situation}", f"{len(column) - different} ties"
            yield _told(data_set, "DATA-RATING-RANGE", _WARNING, what, f"{split} {situation}", value)


def _scales(data_set: DataSet, split: str, values: NDArray[np.float64]) -> Iterator[Finding]:
    means, spreads = values.mean(axis=0), values.std(axis=0)
    for place, situation in enumerate(SITUATIONS):
        others = np.arange(len(SITUATIONS)) != place
        mean, spread = float(np.median(means[others])), float(np.median(spreads[others]))
        ratio = spreads[place] / spread if spread else 1.0
        shift = max(SHIFT, 4 / len(values) ** 0.5)  # what chance moves a mean by is well below
        if spread and (abs(means[place] - mean) > shift * spread or not 1 / SPREAD < ratio < SPREAD):
            what = f"the ratings for {situation} in {split} are on another scale than the others'"
            value = f"mean {means[place]:.2f}, deviation {spreads[place]:.2f}; the others' {mean:.2f}, {spread:.2f}"
            yield _told(data_set, "DATA-RATING-SCALE", _INFO, what, f"{split} {situation}", value)


def biases(data_set: DataSet) -> Iterator[Finding]:
    """Tell situations whose ratings go with the number of photos, and columns that fit another situation better."""
    for split, values in _ratings(data_set).items():
        samples = [sample for sample in data_set.splits[split].samples if sample.truth is not None]
        if len(samples) < LEAST_USERS:
            continue
        photos = np.array([len(sample.profile.images) for sample in samples], np.float64)
        for situation, column in zip(SITUATIONS, values.T, strict=True):
            r = _correlation(photos, column)
            if abs(r) * len(samples) ** 0.5 > SIGNIFICANT:
                what = f"the ratings for {situation} in {split} go with the number of photos"
                yield _told(data_set, "DATA-LENGTH-BIAS", _INFO, what, f"{split} {situation}", f"correlation {r:.2f}")
        yield from _swaps(data_set, split, _expected(samples, data_set.splits[split].ratings), values)


def _expected(samples: Sequence[Sample], ratings: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    """Return ``(N, 4)``: the mean rating of the concepts that each user's photos show; 0 where there is none."""
    rows = []
    for sample in samples:
        known = [list(map(ratings[each].__getitem__, SITUATIONS)) for each in sample.profile.concepts if each in ratings]
        rows.append(np.mean(known, axis=0) if known else np.zeros(len(SITUATIONS)))
    return np.array(rows)


def _swaps(data_set: DataSet, split: str, expected: NDArray[np.float64], values: NDArray[np.float64]) -> Iterator[Finding]:
    """Find the order of the columns of ratings that goes best with what the concepts' ratings let expect."""
    fits = np.array([[_correlation(mine, theirs) for theirs in values.T] for mine in expected.T])
    rows, best = linear_sum_assignment(-fits)
    gain = float(fits[rows, best].sum() - fits.trace())
    names = list(SITUATIONS)
    moved = [
        f"{names[row]} as {names[column]}" for row, column in zip(rows.tolist(), best.tolist(), strict=True) if row != column
    ]
    if moved and gain > SWAP_GAIN:
        what = f"the concepts' ratings fit the users' of {split} better in another order of the situations"
        value = f"{', '.join(moved)}: {gain:.2f} more in the sum of correlations"
        yield _told(data_set, "DATA-COLUMN-SWAP", _INFO, what, split, value, "were columns exchanged?")


def privacy(data_set: DataSet) -> Iterator[Finding]:
    """Tell ids that lead to a person."""
    hint = "give users and photos random ids, and don't publish the list"
    for _, sample in data_set.samples():
        for name in (sample.id, *sample.profile.images):
            if _is_personal(name):
                what = "an id looks like that of an account or of a published photo"
                yield Finding("DATA-PRIVACY", _ERROR, what, str(data_set.root), id=sample.id, value=shorten(name), hint=hint)
                break


def _is_personal(name: str) -> bool:
    """Whether an id looks like an address, a link, or what Flickr calls a user or a photo.

    >>> [_is_personal(name) for name in ("pmod0my3lhbq5btb", "12345678@N00", "7051592189_0a1b2c3d4e_z.jpg", "8812345678")]
    [False, True, True, True]
    """
    return _ADDRESS.search(name) is not None or _PHOTO.fullmatch(name) is not None


def files(data_set: DataSet) -> Iterator[Finding]:
    """Tell file names of the other form, and whether the example of a run can be used."""
    folder = folder_of(data_set.root)
    for path in sorted(folder.glob("prediction_*.json")):
        what = f"the files are called predictions_*: {path.name}"
        yield Finding("DATA-FILE-CASE", _INFO, what, str(path), hint="the README of 2023 has the other name")
    example = folder / "dummy_run.json"
    if example.is_file():
        yield from _example_run(data_set, example)


def _example_run(data_set: DataSet, path: Path) -> Iterator[Finding]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_EXAMPLE_BYTES).decode("utf-8-sig")
        json.loads(text)
    except json.JSONDecodeError as error:
        what = f"the example of a run is no JSON: {error.msg} in column {error.colno}"
        hint = "whoever copies it has an invalid run"
        yield Finding("DATA-JSON", _ERROR, what, str(path), error.lineno, value=shorten(_around(text, error.pos)), hint=hint)
    except (OSError, ValueError, RecursionError) as error:
        yield Finding("DATA-JSON", _ERROR, "the example of a run can't be read", str(path), value=shorten(str(error)))
        return
    known = {sample.id for _, sample in data_set.samples()}
    unknown = [name for name in _USER.findall(text) if name not in known]
    if unknown:
        what = f"{len(unknown)} users of the example run are in no split"
        yield Finding("DATA-EXAMPLE-IDS", _WARNING, what, str(path), value=shorten(unknown[0]), hint="use ids of the test set")


def _around(text: str, position: int) -> str:
    return text[max(0, position - 30) : position + 10]


def counts(data_set: DataSet) -> Iterator[Finding]:
    """Compare the number of users with what was published in 2023."""
    yield from compare_counts(data_set, PUBLISHED, release="2023")


def _told(data_set: DataSet, code: str, severity: Severity, message: str, name: str, value: str, hint: str = "") -> Finding:
    """Return a finding about a split as a whole."""
    return Finding(code, severity, message, str(data_set.root), id=name, value=value, hint=hint)


def _ratings(data_set: DataSet) -> dict[str, NDArray[np.float64]]:
    """Return ``(N, 4)`` ratings of the users of each split that has some."""
    rows = {
        split: [[sample.truth.ratings[key] for key in SITUATIONS] for sample in part.samples if sample.truth is not None]
        for split, part in data_set.splits.items()
    }
    return {split: np.array(mine) for split, mine in rows.items() if mine}


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Pearson's correlation of two columns; 0 where it is undefined."""
    return float(np.nan_to_num(pearson(one, other))[0])


def _distributions(data_set: DataSet) -> Sequence[Distribution]:
    shown = []
    for place, situation in enumerate(SITUATIONS):
        ratings = {split: values[:, place].tolist() for split, values in _ratings(data_set).items()}
        shown.append(histogram(f"ratings for {situation}", ratings, (-4, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 4)))
    pairs = list(combinations(range(len(SITUATIONS)), 2))
    names = list(SITUATIONS)
    fits = {
        split: tuple(round(_correlation(values[:, one], values[:, other]), 3) for one, other in pairs)
        for split, values in _ratings(data_set).items()
        if len(values) > 1
    }
    parts = {split: part.samples for split, part in data_set.splits.items()}
    photos = {split: [len(sample.profile.images) for sample in samples] for split, samples in parts.items()}
    found = {
        split: [count for sample in samples for count in np.bincount(sample.profile.places).tolist()]
        for split, samples in parts.items()
    }
    sure = {
        split: [value for sample in samples for value in sample.profile.confidences.tolist()]
        for split, samples in parts.items()
    }
    return (
        *shown,
        Distribution("correlation of situations", tuple(f"{names[one]}–{names[other]}" for one, other in pairs), fits),
        histogram("photos per user", photos, (0, 5, 10, 20, 30, 40, 50, 60, 80, 101)),
        histogram("detections per photo", found, (0, 1, 2, 3, 4, 6, 8, 12, 21)),
        histogram("confidence of detections", sure, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)),
        histogram(
            "share of the photo that a box covers",
            {split: _areas(samples).tolist() for split, samples in parts.items()},
            (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1),
        ),
    )


def _draw(_: Split, sample: Sample, __: frozenset[int]) -> Image.Image | None:
    """Draw what was detected in a user's fullest photos: square frames with boxes, since nothing else is known of a photo."""
    profile = sample.profile
    fullest = np.argsort(-np.bincount(profile.places, minlength=len(profile.images)), kind="stable")[:FRAMES]
    if not len(fullest):
        return None
    styles = {concept: pictures.style_of(number) for number, concept in enumerate(sorted(set(profile.concepts)), start=1)}
    panels = []
    for place in fullest.tolist():
        (mine,) = np.nonzero(profile.places == place)
        surest = mine[np.argsort(-profile.confidences[mine], kind="stable")][:MAX_BOXES].tolist()
        names = [profile.concepts[index] for index in surest]
        frame = Image.new("RGB", (FRAME_SIDE, FRAME_SIDE), FRAME_COLOUR)
        boxes = profile.boxes[surest] * (FRAME_SIDE - 1)
        drawn = pictures.draw_boxes(frame, boxes, [styles[name] for name in names], [name[:MAX_NAME] for name in names], line=1)
        panels.append((show_id(profile.images[place])[:MAX_NAME], drawn))
    return pictures.below([pictures.beside(panels[start : start + IN_ROW]) for start in range(0, len(panels), IN_ROW)])


CHECKS = Checks(
    rules=(
        shared_photos,
        few_photos,
        large_boxes,
        unused_concepts,
        concept_ratings,
        user_ratings,
        biases,
        privacy,
        files,
        counts,
    ),
    graded=frozenset({"DATA-NUMBER"}),  # strings are the native form of some files
    distributions=_distributions,
    draw=_draw,
    codes={
        **CODES,
        "DATA-BOX-LARGE": Code(_INFO, f"boxes that cover over {LARGE_BOX:.0%} of their photo", "13 % of those of 2023"),
        "DATA-COLUMN-SWAP": Code(
            _INFO, "ratings of users that fit those of concepts better in another order of the situations", "acc as wait"
        ),
        "DATA-CONCEPT-UNUSED": Code(_INFO, "rated concepts that no photo of a split shows", "10 of 236"),
        "DATA-EXAMPLE-IDS": Code(_WARNING, "users of the example run that are in no split", "dummy_run.json of 2023"),
        "DATA-FEW-IMAGES": Code(_WARNING, f"a user with fewer than {FEW_PHOTOS} photos", "3 photos"),
        "DATA-LENGTH-BIAS": Code(_INFO, "ratings that go with the number of photos", "correlation 0.18"),
        "DATA-PRIVACY": Code(_ERROR, "an id that leads to a person", "12345678@N00"),
        "DATA-RATING-CORRELATION": Code(_WARNING, "two situations with nearly the same ratings", "a column copied"),
        "DATA-RATING-RANGE": Code(
            _WARNING, "a concept's rating outside -3 to +3; equal ratings of all or some users", "3.5; 12 ties"
        ),
        "DATA-RATING-SCALE": Code(_INFO, "a situation with another mean or spread than the others", "0 to 100"),
    },
)
