"""The sample data set of the aware task: profiles with the statistics and the quirks of the release of 2023, in its layout.

What the generator aims at is on the spec page ``aware``, sections 1, 2, 6 and 7: how many users, photos and detections,
how sure and how large those are, how the ratings are distributed and correlated, and how much of them simple models
find. How it gets there is this project's invention: people have interests, photos show concepts of one interest, and a
viewer's impression of a profile adds up from what the concepts suggest, each up to a limit that a few photos reach,
plus what no detector sees. The crowd of the campaign rated concepts alone; the sign of such a rating tells little of
what the concept does in a profile, and next to nothing about ``wait``, as in the real data; its size tells more, as
focal ratings find there, which take good and bad ratings apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.aware.records import Truth, TruthSet, write_truth
from baselines.aware.task import SITUATIONS
from baselines.core.outputs import write_atomic
from baselines.core.sample_sets import write_sample_sets

VERSION = 2  # of the generator; a change of what it makes counts up, and older samples are replaced
DEFAULT_SIZE = 600  # training users, as released
SHARES = {"train": 1.0, "val": 1 / 3, "test": 1 / 3}  # users of each split per training user
CONCEPTS = 236
INTERESTS = 12
NOTE = (
    "A generated sample, not data of the campaign. sample_truth.json holds the ratings of the test users; "
    "the campaign never published such a file."
)

# Correlation of the situations in the truth of 2023 (acc, bank, it, wait).
CORRELATION = np.array([[1.0, 0.77, 0.51, 0.13], [0.77, 1.0, 0.52, 0.08], [0.51, 0.52, 1.0, 0.15], [0.13, 0.08, 0.15, 1.0]])
DEVIATION = np.array([0.57, 0.50, 0.48, 0.45])  # of the ratings of each situation
SEEN = np.array([0.64, 0.52, 0.67, 0.70])  # correlation of a rating with what the photos show of it: no model gets beyond
# How much of a concept's own rating is what it suggests by its kind; the rest is noise.
RATED = np.array([0.72, 0.55, 0.72, 0.08])
# Standard deviation of what the size of a concept's rating adds to what it suggests, for 1 of the rest: a strong opinion,
# good or bad, is about something that people notice.
NOTICED = np.array([0.9, 0.7, 1.1, 1.2])
ENOUGH = 0.7  # summed confidence of a concept in a profile, some two detections, after which more of it say nothing
TAIL = (1.8, 3.5)  # degrees of freedom and limit of what concepts suggest: few matter much, none alone

_Array = NDArray[np.float64]
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz0123456789", np.uint8)


@dataclass(frozen=True, slots=True)
class World:
    """What all users of a sample have in common.

    Attributes:
        frequency: ``(INTERESTS, CONCEPTS)``, how often photos of an interest show a concept; rows sum to 1.
        effects: ``(CONCEPTS, 4)``, what a concept suggests in each situation.
        ratings: ``(CONCEPTS, 4)``, how the crowd rated the concept alone.
        sizes: ``(CONCEPTS,)``, the usual share of the image that a concept covers.
    """

    frequency: _Array
    effects: _Array
    ratings: _Array
    sizes: _Array


@dataclass(frozen=True, slots=True)
class Profile:
    """A user: detection strings by image, and what the photos suggest in each situation, on no particular scale."""

    images: dict[str, list[str]]
    suggestion: _Array


def generate(root: Path, task: str, size: int | None = None, seed: int = 0, *, quirks: bool = True) -> None:
    """Write the sample data set under ``root/aware``, in the layout of the release of 2023.

    The same request again changes nothing; another size or seed replaces what an earlier one wrote.

    Args:
        root: The data root; made where it is missing.
        task: ``aware``.
        size: Number of training users; the other splits have a third as many each. By default 600, as released.
        seed: Seed of everything random, not negative. The same seed and size give the same bytes.
        quirks: Whether to put in what is wrong with the real data: repeated detections, users with few photos, tied ratings,
            and an example of a run that is no JSON and has unknown users.

    Raises:
        UsageError: If ``size`` is less than 1 or ``seed`` is negative.
        InvalidInput: If the folder exists and does not hold a sample.
    """
    size = DEFAULT_SIZE if size is None else size
    request = {"note": NOTE, "task": task, "size": size, "seed": seed, "version": VERSION}
    request |= {} if quirks else {"quirks": False}
    write_sample_sets(root, [task], request, lambda folder: _write(folder / task, size, seed, quirks=quirks))


def _write(folder: Path, size: int, seed: int, *, quirks: bool) -> None:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    world = make_world(rng)
    counts = {name: max(3, round(size * share)) for name, share in SHARES.items()}
    profiles = {name: _profiles(world, count, rng, name, quirks=quirks) for name, count in counts.items()}
    ratings = _rate([profile for users in profiles.values() for profile in users.values()], rng, ties=quirks)
    names = [name for users in profiles.values() for name in users]
    truths = {
        name: Truth(name, dict(zip(SITUATIONS, row, strict=True))) for name, row in zip(names, ratings.tolist(), strict=True)
    }
    for name, users in profiles.items():
        _write_json(folder / f"predictions_{name}.json", {user: profile.images for user, profile in users.items()})
        file = "sample_truth.json" if name == "test" else f"gt_{name}.json"
        write_truth(folder / file, TruthSet({user: truths[user] for user in users}))
    _write_json(folder / "class_scores.json", _class_scores(world.ratings, rng))
    known = None if quirks else list(profiles["test"])
    write_atomic(folder / "dummy_run.json", _dummy_run(counts["test"], rng, known))


def make_world(rng: np.random.Generator) -> World:
    """Invent concepts: how often they are photographed, what they suggest, how they were rated, how large they are."""
    popularity = np.exp(np.minimum(rng.normal(0, 1.35, CONCEPTS), 1.8))
    frequency = popularity * rng.gamma(0.35, 1 / 0.35, (INTERESTS, CONCEPTS))
    frequency /= frequency.sum(1, keepdims=True)
    mixing = np.linalg.cholesky(CORRELATION)
    tail = np.minimum(
        np.sqrt(TAIL[0] / rng.chisquare(TAIL[0], (CONCEPTS, 1))), TAIL[1]
    )  # shared: what matters, matters in all situations
    effects = rng.normal(size=(CONCEPTS, 4)) @ mixing.T * tail
    taste = rng.normal(size=(INTERESTS, 4)) @ mixing.T  # concepts of one interest suggest similar things
    share = frequency / frequency.sum(0)
    effects = effects + 0.5 * share.T @ taste
    effects -= frequency.mean(0) @ effects
    standard = effects / np.sqrt((effects**2).mean(0))
    noise = rng.normal(size=(CONCEPTS, 4)) @ mixing.T
    ratings = RATED * np.clip(standard, -2.5, 2.5) + np.sqrt(1 - RATED**2) * noise
    ratings = np.clip(np.round(0.75 * ratings + 0.1, 1), -2.8, 2.3)
    strong = np.abs(ratings)
    effects = standard + NOTICED * (strong - strong.mean(0)) / strong.std(0)
    effects -= frequency.mean(0) @ effects
    return World(frequency, effects, ratings, rng.beta(1.6, 1.2, CONCEPTS))


def _profiles(world: World, count: int, rng: np.random.Generator, split: str, *, quirks: bool) -> dict[str, Profile]:
    """Make the users of a split, each with a random id; with quirks the first of the test split has but three photos."""
    sizes = np.clip(np.round(rng.normal(35.6, 8.5, count)), 13 if quirks else 20, 68).astype(int)
    if split == "test" and quirks:
        sizes[0] = 3
    profiles = {_name(rng): _profile(world, int(photos), rng) for photos in sizes}
    for profile in list(profiles.values())[:: max(1, count // 9)] if quirks else ():  # some detections are there twice
        detections = next(iter(profile.images.values()))
        detections.insert(0, detections[0])
    names = sorted(profiles)
    return {name: profiles[name] for name in names}


def _profile(world: World, photos: int, rng: np.random.Generator) -> Profile:
    """Make a user: interests, photos with the concepts of one interest each, and what they suggest."""
    interests, reach = rng.dirichlet(np.full(INTERESTS, 0.45)), world.frequency.cumsum(1)
    images: dict[str, list[str]] = {}
    counts = np.zeros(CONCEPTS)
    for interest in rng.choice(INTERESTS, photos, p=interests).tolist():
        shown = np.searchsorted(reach[interest], reach[interest, -1] * rng.random(min(int(rng.geometric(0.84)), 8)))
        if len(shown) > 1 and rng.random() < 0.6:
            shown[1] = shown[0]
        sure = np.sort(np.clip(0.3 + rng.exponential(0.085, len(shown)), 0.3, 0.844))[::-1]
        if rng.random() < 0.005:
            sure = sure[::-1]
        np.add.at(counts, shown, sure)
        images[_name(rng)] = [_detection(int(c), float(s), world.sizes[c], rng) for c, s in zip(shown, sure, strict=True)]
    strength = np.minimum(counts / ENOUGH, 1)  # the tenth photo of a dog says nothing that the second didn't
    suggestion = strength @ world.effects / np.sqrt(photos) + 0.3 * (photos - 35) / 8.5 * np.abs(world.effects).mean()
    return Profile(images, suggestion)


def _detection(concept: int, confidence: float, usual: float, rng: np.random.Generator) -> str:
    """Write a detection as released: concept, confidence, and a box in shares of the image, blank-separated."""
    sides = rng.uniform(0.95, 1, 2) if rng.random() < 0.13 else np.clip(usual ** rng.uniform(0.3, 0.8, 2), 0.03, 0.95)
    width, height = max(1, round(sides[0] * 256)), max(1, round(sides[1] * 192))
    left, top = rng.integers(0, 256 - width + 1), rng.integers(0, 192 - height + 1)
    box = (left / 256, top / 192, (left + width) / 256, (top + height) / 192)
    return f"VC{concept} {float(np.float32(confidence))!r} {' '.join(repr(float(side)) for side in box)}"


def _rate(profiles: Sequence[Profile], rng: np.random.Generator, *, ties: bool) -> _Array:
    """Return ``(N, 4)`` ratings of nine raters' mean: what the photos suggest, and what no detector sees."""
    seen = np.array([profile.suggestion for profile in profiles])
    seen = (seen - seen.mean(0)) / np.maximum(seen.std(0), 1e-9)
    # The unseen part brings the correlations of the situations to those of the release.
    left = CORRELATION - np.outer(SEEN, SEEN) * (np.corrcoef(seen.T) if len(seen) > 4 else CORRELATION)
    values, vectors = np.linalg.eigh(left)
    root = vectors * np.sqrt(np.maximum(values, 1e-6))
    ratings: _Array = DEVIATION * (SEEN * seen + rng.normal(size=seen.shape) @ root.T)
    tied = rng.choice(len(ratings), len(ratings) // 60, replace=False)  # raters who agree give equal means
    for user in tied.tolist() if ties else ():
        situation = int(rng.integers(4))
        ratings[user, situation] = ratings[int(rng.integers(len(ratings))), situation]
    return ratings


def _class_scores(ratings: _Array, rng: np.random.Generator) -> dict[str, dict[str, str]]:
    """Return the concepts' ratings as released: strings, in another order of the situations than the truth's."""
    keys = list(SITUATIONS)
    return {
        f"VC{concept}": {key: str(float(ratings[concept, keys.index(key)])) for key in ("acc", "it", "bank", "wait")}
        for concept in rng.permutation(len(ratings)).tolist()
    }


def _dummy_run(users: int, rng: np.random.Generator, known: Sequence[str] | None) -> str:
    """Write the example of a run, for known users; else as released: a comma missing, another too many, and unknown users."""
    if known is not None:
        numbers = (dict(zip(SITUATIONS, row, strict=True)) for row in rng.uniform(-30, 30, (len(known), 4)).round(2).tolist())
        return json.dumps(dict(zip(known, numbers, strict=True)), indent=0) + "\n"
    rows = (
        f'"{_name(rng)}": {{"acc": {acc:.2f} "it": {it:.2f}, "bank": {bank:.2f}, "wait": {wait:.2f},}}'
        for acc, it, bank, wait in rng.uniform(-30, 30, (users, 4)).tolist()
    )
    return "{" + ",\n".join(rows) + "}\n"


def _name(rng: np.random.Generator) -> str:
    """Return an id of the release's form, 16 small letters and digits."""
    return str(_LETTERS[rng.integers(36, size=16)].tobytes(), "ascii")


def _write_json(path: Path, value: Any) -> None:
    write_atomic(path, json.dumps(value) + "\n")
