"""The sample data set of the tuberculosis task: drawn chests in the layout of the campaign's files.

The chests come from :mod:`baselines.medical.tuberculosis.chests`. As in the campaign's data, spacing, number of slices, voxel
type and orientation differ between scans, the types are as unequally frequent, there are two sets of masks, one training file
can't be read, one has NaN voxels, and one patient is there twice.

The campaign kept the truth of its test set. The sample comes with it, in ``sample_truth.csv``, a file the real data don't have.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines.core.sample_sets import spread, write_sample_sets
from baselines.medical.tuberculosis.chests import LEFT, RIGHT, Chest, Geometry, draw_chest
from baselines.medical.tuberculosis.records import FAMILY, SUFFIX, Truth, TruthSet, write_truth
from baselines.medical.tuberculosis.task import TYPES

VERSION = 1  # of the generator; a change of what it draws counts up, and older samples are replaced
NOTE = (
    "A generated sample, not data of the campaign. sample_truth.csv has the truth of the test scans, which it never published."
)
DEFAULT_SIZE = 120
TEST_SHARE = 0.25
COUNTS = {1: 420, 2: 226, 3: 101, 4: 100, 5: 70}  # of the campaign's training scans
UUID = "4a7d1ed4-1474-4e4a-9c0d-5f2b6f0c2021"  # the platform puts such a prefix before the name of a file; this one is invented
PARTS = (("train", "TRN"), ("test", "TST"))
ORIENTATIONS = ("LPS", "RAS", "LAS", "RPS")  # which way the three array axes run in the files
UNREADABLE, WITH_NAN, AGAIN = 3, 5, 6  # numbers of the training scans that are so; the last is the patient of the next one


@dataclass(frozen=True, slots=True)
class Plan:
    """A scan to write: its split, its number from 1, its type, and the seed, size and quirks of everything."""

    part: str
    number: int
    label: int
    seed: int
    full_size: bool
    quirks: bool

    @property
    def id(self) -> str:
        """Its file name."""
        return f"{dict(PARTS)[self.part]}_{self.number:04d}{SUFFIX}"


def generate(
    root: Path, task: str, size: int | None = None, seed: int = 0, *, full_size: bool = False, quirks: bool = True
) -> None:
    """Write the sample data set under ``root/medical/tuberculosis`` as distributed (spec page tuberculosis.md 1).

    The same request again changes nothing; another one replaces what an earlier one wrote. Everything is finished in a
    temporary folder first, so an interrupted call leaves no half-written set.

    Args:
        root: The data root; made where it is missing.
        task: ``tuberculosis``.
        size: Number of training scans; the test set holds a quarter as many. The default of 120 takes about 110 MB.
        seed: Seed of everything random, not negative. The same seed and size give the same bytes.
        full_size: Scans of 512 by 512 pixels and 130 slices instead of about 96 by 96 and 40, to measure with: 35 MB each.
        quirks: Whether to put in what is wrong with the real data: a file that can't be read, one with NaN, a patient who is
            there twice, and values far below air outside the field of view.

    Raises:
        UsageError: If ``size`` is less than 1 or ``seed`` is negative.
        InvalidInput: If the folder exists and does not hold a sample.
    """
    size = DEFAULT_SIZE if size is None else size
    request = {"note": NOTE, "task": task, "size": size, "seed": seed, "full_size": full_size, "version": VERSION}
    request |= {} if quirks else {"quirks": False}
    family, name = root / FAMILY.parent, FAMILY.name
    write_sample_sets(family, (name,), request, lambda fresh: _write(fresh / name, size, seed, full_size, quirks))


def labels_of(size: int, seed: int, part: int) -> list[int]:
    """Return the types of a split's scans, shuffled: as frequent as the campaign's, and each there from ten scans on."""
    exact = {label: size * count / sum(COUNTS.values()) for label, count in COUNTS.items()}
    counts = {label: int(share) or int(size >= 2 * len(COUNTS)) for label, share in exact.items()}
    for label in sorted(exact, key=lambda label: counts[label] - exact[label]):
        counts[label] += sum(counts.values()) < size
    labels = [label for label, count in counts.items() for _ in range(count)]
    labels += [1] * (size - len(labels))
    return [int(label) for label in np.random.default_rng([seed, part]).permutation(labels[:size])]


def _write(folder: Path, size: int, seed: int, full_size: bool, quirks: bool) -> None:
    """Write all files below a folder."""
    plans: list[Plan] = []
    for place, (part, _) in enumerate(PARTS):
        for name in (part, f"{part}-masks1", f"{part}-masks2"):
            (folder / name).mkdir(parents=True)
        labels = labels_of(size if part == "train" else max(1, round(TEST_SHARE * size)), seed, place)
        if quirks and part == "train" and len(labels) > AGAIN:
            labels[AGAIN] = labels[AGAIN - 1]  # the same patient
        plans += [Plan(part, number, label, seed, full_size, quirks) for number, label in enumerate(labels, start=1)]
    spread(plans, lambda plan: _write_scan(folder, plan), "sample of tuberculosis")
    for part, name in (("train", f"{UUID}_TrainSet_metaData.csv"), ("test", "sample_truth.csv")):
        truths = {plan.id: Truth(plan.id, plan.label) for plan in plans if plan.part == part}
        write_truth(folder / name, TruthSet(truths, TYPES))


def _write_scan(folder: Path, plan: Plan) -> None:
    """Write a scan and its two masks."""
    is_odd, place = plan.quirks and plan.part == "train", PARTS.index((plan.part, dict(PARTS)[plan.part]))
    patient = plan.number - 1 if is_odd and plan.number == AGAIN + 1 else plan.number
    rng = np.random.default_rng([plan.seed, place, patient])
    geometry = _geometry(rng, full_size=plan.full_size)
    orientation, origin = ORIENTATIONS[rng.integers(len(ORIENTATIONS))], rng.uniform(-250, -150, 3)
    kind, codes = int(rng.integers(4)), ((1, 1), (1, 0), (0, 1))[rng.integers(3)]
    chest = draw_chest(plan.label, geometry, rng)
    hu = _as_scanned(chest, geometry, np.random.default_rng([plan.seed, place, plan.number, 1]), outside=plan.quirks)
    if is_odd and plan.number == WITH_NAN:
        kind = 3
        hu[10:14, 10:14, 2] = np.nan
    stored, affine = _reoriented(hu, geometry, orientation, origin)
    content = _nifti(stored, affine, codes, kind)
    packed = gzip.compress(content, 1, mtime=0)
    if is_odd and plan.number == UNREADABLE:
        packed = packed[: len(packed) // 3]  # as a broken download is
    (folder / plan.part / plan.id).write_bytes(packed)
    first, second = _masks(chest)
    mask_affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.diag([*geometry.spacing, 1.0])  # the second set lacks the origin
    for name, mask, own in (("masks1", first, affine), ("masks2", second, mask_affine)):
        as_stored, _ = _reoriented(mask, geometry, orientation, origin)
        data = gzip.compress(_nifti(as_stored, own, (1, 1), 0), 1, mtime=0)
        (folder / f"{plan.part}-{name}" / plan.id).write_bytes(data)


def _geometry(rng: np.random.Generator, *, full_size: bool) -> Geometry:
    """Return the grid of a scan, some 350 mm wide and 275 mm long."""
    side, slices = (512, 130) if full_size else (int(rng.integers(92, 101)), int(rng.integers(36, 49)))
    pixel, slice_step = rng.uniform(342, 368) / side, rng.uniform(268, 284) / slices
    return Geometry((side, side, slices), (pixel, pixel, slice_step))


def _as_scanned(chest: Chest, geometry: Geometry, rng: np.random.Generator, *, outside: bool) -> NDArray[np.float32]:
    """Return the HU as a scanner gives them: with noise, and in some scans a value of its own outside the field of view."""
    hu = chest.hu + rng.normal(0, 4, chest.hu.shape).astype(np.float32)
    if not outside:
        return np.maximum(hu, np.float32(-1024))
    if rng.random() < 0.3:
        x, y = (np.linspace(-1, 1, count) for count in geometry.shape[:2])
        hu[x[:, None] ** 2 + y**2 > 1] = -2048
    return hu


def _reoriented(
    array: NDArray[Any], geometry: Geometry, orientation: str, origin: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return a RAS+ volume as a file of another orientation stores it, and the affine that says so."""
    ras = np.diag([*geometry.spacing, 1.0])
    ras[:3, 3] = origin
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(orientation))
    turned = nib.orientations.apply_orientation(array, turn)
    return turned, ras @ nib.orientations.inv_ornt_aff(turn, array.shape)


def _nifti(array: NDArray[Any], affine: NDArray[np.float64], codes: tuple[int, int], kind: int) -> bytes:
    """Return the bytes of a NIfTI file.

    Args:
        array: What is in it.
        affine: Where it is.
        codes: Whether the header says so as sform and as qform.
        kind: 0 and 1 are int16, 2 is int16 with 1024 added and an intercept that takes them off, 3 is float32.
    """
    stored = array.astype(np.float32) if kind == 3 else np.rint(array + (1024 if kind == 2 else 0)).astype(np.int16)
    image = nib.Nifti1Image(stored, affine)
    image.header.set_sform(affine, code=codes[0])
    image.header.set_qform(affine, code=codes[1])
    if kind == 2:
        image.header.set_slope_inter(1, -1024)
    content = image.to_bytes()
    assert isinstance(content, bytes)
    return content


def _masks(chest: Chest) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return masks as the two programs make them.

    One finds the lungs by density, 1 right and 2 left, and misses what is dense in them; the other fits the lungs of other
    patients, so that its rim is wrong here and there.
    """
    aerated = chest.lungs * (ndimage.uniform_filter(chest.hu, 3) < -350)
    whole = (chest.lungs == RIGHT) | (chest.lungs == LEFT)
    registered = ndimage.gaussian_filter(whole.astype(np.float32), (2, 2, 1)) > 0.45
    return aerated.astype(np.uint8), np.roll(registered, 1, axis=1).astype(np.uint8)
