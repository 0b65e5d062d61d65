"""What a tuberculosis data set can have wrong with it, beyond what its reader and the common checks tell.

Every volume is decompressed slab by slab, so that memory stays bounded; what was found is remembered, so that a check that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.core.checks import Checks, DataSet, Distribution, compare_counts, histogram, is_generated, tally
from baselines.core.findings import Finding, Severity, show_id
from baselines.core.images import FactStore, map_parallel
from baselines.core.runs import Code
from baselines.medical.tuberculosis.records import CODES, UUID_PREFIX, Sample, Split
from baselines.medical.tuberculosis.slices import draw_slices
from baselines.medical.tuberculosis.task import TYPES
from baselines.medical.tuberculosis.volumes import LITRES, Header, UnreadableVolume, read_header, slabs

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

LOWEST_HU, HIGHEST_HU = -1050.0, 3100.0  # "about" -1024 to 3071, what 12 bits hold
SIDE = 512  # of a slice, in voxels
FEW_SLICES = 20
LEAST_DICE = 0.7  # of the two masks of a scan
LEAST_HALF = 0.05  # share of a mask in each half of the chest
SPACING_RANGE = (0.2, 10.0)  # mm; what lies outside is told beside the spread
TOLERANCE = 1e-3  # of affines
MAX_VALUES = 6  # of a mask that are listed
MASKS = 2

# Scans per split (page `tuberculosis` of the specification, 1).
PUBLISHED = {"all": 917, "test": 421}

_NUMBERED = re.compile(r"(TRN|TST)_(\d{1,6})\.nii\.gz")


# --------------------------------------------------------------------------------------------------------------- volumes


def volumes(data_set: DataSet) -> Iterator[Finding]:
    """Read all scans and masks, and tell what is wrong with them, one by one and together."""
    samples = [sample for _, sample in data_set.samples() if sample.is_readable]
    is_of_campaign = not is_generated(data_set)
    digests: dict[str, list[Sample]] = defaultdict(list)
    with closing(FactStore(data_set.settings.store, "volume 1")) as store:
        work = functools.partial(_examined, store)
        for sample, (facts, is_new) in map_parallel(work, samples, data_set.settings.workers, "reading scans", len(samples)):
            if is_new:
                store.put(sample.ct, facts)
            yield from _of_scan(sample, facts, is_of_campaign=is_of_campaign)
            yield from _of_masks(sample, facts)
            if "digest" in facts:
                digests[facts["digest"]].append(sample)
    yield from _copies(data_set, digests)


def _examined(store: FactStore, sample: Sample) -> tuple[dict[str, Any], bool]:
    """Return what is known of a scan and its masks, and whether that had to be found out."""
    state = [_state(path) for path in sample.masks]
    known = store.get(sample.ct)
    if known is not None and known.get("state") == state:
        return known, False
    return {"state": state, **examine_scan(sample.ct, sample.masks)}, True


def _state(path: Path) -> list[Any]:
    try:
        status = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), status.st_size, status.st_mtime_ns]


def examine_scan(ct: Path, masks: Sequence[Path]) -> dict[str, Any]:
    """Read a CT and its masks; return what is known of them as JSON-ready values.

    Args:
        ct: The CT.
        masks: Its masks, none to two.

    Returns:
        ``shape``, ``spacing`` in mm, ``axes`` such as ``LPS``, ``oddities`` of the header, ``pixdim`` as stored; of the voxels
        ``strange``, how many are no finite number, ``lowest`` and ``highest`` in HU, and a ``digest``; ``masks``, for each of
        them the like; ``dice`` of the two. With ``error``, why the CT can't be read, nothing else.
    """
    try:
        header = read_header(ct)
        facts: dict[str, Any] = {
            "shape": list(header.shape),
            "spacing": header.spacing.round(5).tolist(),
            "axes": "".join(axis or "?" for axis in nib.aff2axcodes(header.affine)),
            "pixdim": list(header.pixdim),
            "oddities": list(header.oddities),
            **_voxels(ct, header),
        }
    except (UnreadableVolume, OSError) as error:
        return {"error": str(error)}
    facts["masks"] = [_mask(path, header) for path in masks]
    usable = [path for path, found in zip(masks, facts["masks"], strict=True) if found.get("shape") == facts["shape"]]
    if len(usable) == MASKS:
        facts["dice"] = _dice(*usable)
    return facts


def _voxels(path: Path, header: Header) -> dict[str, Any]:
    digest = hashlib.blake2b(repr((header.shape, header.dtype.str, header.slope, header.intercept)).encode(), digest_size=16)
    strange, lowest, highest = Counter[str](), np.inf, -np.inf
    for _, slab in slabs(path, header):
        digest.update(slab.tobytes(order="F"))
        if slab.dtype.kind == "f":
            strange += Counter({"NaN": int(np.isnan(slab).sum()), "infinite": int(np.isinf(slab).sum())})
            slab = slab[np.isfinite(slab)]  # noqa: PLW2901
        if slab.size:
            with np.errstate(over="ignore", invalid="ignore"):  # of a hostile slope
                ends = np.array([slab.min(), slab.max()], np.float64) * header.slope + header.intercept
            lowest, highest = min(lowest, float(ends.min())), max(highest, float(ends.max()))
    known = {"lowest": lowest, "highest": highest} if np.isfinite([lowest, highest]).all() else {}
    return {"digest": digest.hexdigest(), "strange": dict(strange), **known}


def _mask(path: Path, ct: Header) -> dict[str, Any]:
    """Return what is known of a mask; of its voxels only if it has the CT's shape."""
    try:
        header = read_header(path)
        facts: dict[str, Any] = {"shape": list(header.shape), "same_affine": _is_same(header.affine, ct.affine)}
        if header.shape != ct.shape:
            return facts
        across = next((axis for axis, code in enumerate(nib.aff2axcodes(ct.affine)) if code in ("L", "R")), 0)
        halves, values, corner = np.zeros(header.shape[across], np.int64), set[float](), 0.0
        for first, slab in slabs(path, header):
            if not first:
                corner = float(slab[0, 0, 0])
            values.update(np.unique(slab)[: MAX_VALUES + 2].astype(np.float64).tolist())
            values = set(sorted(values)[: MAX_VALUES + 2])
            inside = slab > corner
            if across == 2:  # slabs are slices of this axis
                halves[first : first + slab.shape[2]] += inside.sum(axis=(0, 1))
            else:
                halves += inside.sum(axis=(1 - across, 2))
    except (UnreadableVolume, OSError) as error:
        return {"error": str(error)}
    middle = len(halves) // 2
    sides = [int(halves[:middle].sum()), int(halves[middle:].sum())]
    litres = sum(sides) * float(ct.spacing.prod()) / 1e6
    stored = [value for value in sorted(values) if np.isfinite(value)]
    return {**facts, "values": stored, "corner": corner if np.isfinite(corner) else None, "sides": sides, "litres": litres}


def _is_same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.abs(one - other).max() <= TOLERANCE)


def _dice(one: Path, other: Path) -> float | None:
    """Return the overlap of two masks of one shape: 2 |A ∩ B| / (|A| + |B|); ``None`` if both are empty."""
    shared = total = 0
    for mine, theirs in zip(_slices(one), _slices(other), strict=True):
        shared, total = shared + int((mine & theirs).sum()), total + int(mine.sum()) + int(theirs.sum())
    return 2 * shared / total if total else None


def _slices(mask: Path) -> Iterator[NDArray[np.bool_]]:
    """Yield what is inside in each slice: slabs of two files are as thick only if their voxels have as many bytes."""
    corner = None
    for _, slab in slabs(mask, read_header(mask)):
        corner = slab[0, 0, 0] if corner is None else corner
        yield from np.moveaxis(slab > corner, 2, 0)


def _of_scan(sample: Sample, facts: dict[str, Any], *, is_of_campaign: bool) -> Iterator[Finding]:
    """Tell what is wrong with a scan."""
    if "error" in facts:
        told = [("DATA-FILE-UNREADABLE", _ERROR, "the scan can't be read", facts["error"], "fetch it again")]
    else:
        told = [*_of_values(facts), *_of_grid(facts, is_of_campaign=is_of_campaign)]
    for code, severity, message, value, hint in told:
        yield Finding(code, severity, message, str(sample.ct), id=show_id(sample.id), value=value, hint=hint)


_Told = tuple[str, Severity, str, str, str]


def _of_values(facts: dict[str, Any]) -> Iterator[_Told]:
    strange = {name: count for name, count in facts["strange"].items() if count}
    if strange:
        value = ", ".join(f"{count} {name}" for name, count in strange.items())
        yield "DATA-VOXEL-NAN", _ERROR, "voxels that are no finite numbers", value, "write what is outside as -1024"
    if "lowest" not in facts:
        return
    lowest, highest = facts["lowest"], facts["highest"]
    value, hint = f"{lowest:g} to {highest:g}", ""
    if lowest == highest:
        yield "DATA-VOXEL-RANGE", _WARNING, "all voxels have the same value", value, hint
    elif lowest >= 0:
        hint = "is 1024 added, and the intercept lost?"
        yield "DATA-VOXEL-RANGE", _WARNING, "no voxel is negative", value, hint
    elif lowest < LOWEST_HU or highest > HIGHEST_HU:
        hint = "clip what is outside the field of view"
        yield "DATA-VOXEL-RANGE", _WARNING, "values outside of about -1024 to 3071 HU", value, hint


def _of_grid(facts: dict[str, Any], *, is_of_campaign: bool) -> Iterator[_Told]:
    shape = "×".join(map(str, facts["shape"]))
    if is_of_campaign and facts["shape"][:2] != [SIDE, SIDE]:
        yield "DATA-SHAPE", _WARNING, f"the slices are not {SIDE}×{SIDE}", shape, ""
    if facts["shape"][2] < FEW_SLICES:
        yield "DATA-SHAPE", _WARNING, f"fewer than {FEW_SLICES} slices", shape, ""
    if any(oddity.startswith("the affine") for oddity in facts["oddities"]):
        yield "DATA-ORIENTATION", _ERROR, "the affine is singular: nobody knows where left is", "", "export it again"
    if not all(np.isfinite(size) and size > 0 for size in facts["pixdim"]):
        value = " ".join(f"{size:g}" for size in facts["pixdim"])
        yield "DATA-SPACING", _ERROR, "a voxel without size, or of negative size", value, "write it in mm"
    elif not all(SPACING_RANGE[0] <= size <= SPACING_RANGE[1] for size in facts["spacing"]):
        value = " ".join(f"{size:g}" for size in facts["spacing"])
        yield "DATA-SPACING", _INFO, "an unusual size of voxels, in mm", value, "is the unit right?"


def _of_masks(sample: Sample, facts: dict[str, Any]) -> Iterator[Finding]:
    """Tell what is wrong with the masks of a scan."""
    found = facts.get("masks", ())
    shown = show_id(sample.id)
    if len(sample.masks) < MASKS:
        value = ", ".join(path.parent.name for path in sample.masks) or "none"
        yield Finding("DATA-MASK-MISSING", _WARNING, "a scan with fewer than two masks", str(sample.ct), id=shown, value=value)
    for place, (path, mask) in enumerate(zip(sample.masks, found, strict=False)):
        for code, severity, message, value in _of_mask(mask, facts):
            yield Finding(code, severity, message, str(path), id=shown, value=value, objects=(place,))
    dice = facts.get("dice")
    if dice is not None and dice < LEAST_DICE:
        what = f"the two masks overlap by less than {LEAST_DICE:g}"
        yield Finding("DATA-MASK-DISAGREE", _WARNING, what, str(sample.ct), id=shown, value=f"Dice {dice:.2f}")


def _of_mask(mask: dict[str, Any], ct: dict[str, Any]) -> Iterator[tuple[str, Severity, str, str]]:
    if "error" in mask:
        yield "DATA-MASK-UNREADABLE", _WARNING, f"the mask can't be read: {mask['error']}", ""
        return
    if mask["shape"] != ct["shape"]:
        value = f"{'×'.join(map(str, mask['shape']))}, the CT {'×'.join(map(str, ct['shape']))}"
        yield "DATA-MASK-SHAPE", _ERROR, "the mask has another shape than the CT", value
        return
    if not mask["same_affine"]:
        yield "DATA-MASK-AFFINE", _INFO, "the mask has another affine than the CT", ""
    values = mask["values"]
    if set(values) - {0.0, 1.0, 2.0} or mask["corner"] != 0:
        listed = ", ".join(f"{value:g}" for value in values[:MAX_VALUES]) + (", …" if len(values) > MAX_VALUES else "")
        yield "DATA-MASK-VALUES", _WARNING, "values other than 0, 1 and 2, or a background that is not 0", listed
    total = sum(mask["sides"])
    if not total:
        yield "DATA-MASK-EMPTY", _WARNING, "the mask is empty", ""
        return
    if min(mask["sides"]) < LEAST_HALF * total:
        value = f"{max(mask['sides']) / total:.0%} in one half"
        yield "DATA-MASK-EMPTY", _WARNING, "the mask has one lung only", value
    if not LITRES[0] <= mask["litres"] <= LITRES[1]:
        yield "DATA-MASK-SIZE", _WARNING, "the lungs of the mask are too small or too large", f"{mask['litres']:.2f} litres"


def _copies(data_set: DataSet, digests: dict[str, list[Sample]]) -> Iterator[Finding]:
    """Tell scans with the same voxels, whatever their headers say, and those of them that have different labels."""
    splits = {sample.id: name for name, sample in data_set.samples()}
    for samples in digests.values():
        first, *others = samples
        for other in others:
            across = splits[first.id] != splits[other.id]
            what = f"the scan has the voxels of another{' in ' + splits[first.id] if across else ''}"
            value, shown, both = show_id(first.id), show_id(other.id), (str(other.ct), str(first.ct))
            hint = "keep one of them"
            yield Finding("DATA-SPLIT-GROUP", _ERROR, what, both[0], id=shown, value=value, hint=hint, other=both[1])
            if first.truth and other.truth and first.truth.label != other.truth.label:
                what = "a scan with the same voxels has another label"
                value = f"{other.truth.label}; {first.id} has {first.truth.label}"
                yield Finding("DATA-LABEL-CONFLICT", _ERROR, what, both[0], id=shown, value=value, other=both[1])


# --------------------------------------------------------------------------------------------------------------- headers


def geometry(data_set: DataSet) -> Iterator[Finding]:
    """Tell how the scans differ in orientation and spacing."""
    headers = [header for _, header in _headers(data_set)]
    axes = Counter("".join(axis or "?" for axis in nib.aff2axcodes(header.affine)) for header in headers)
    if len(axes) > 1:
        value = ", ".join(f"{count} {name}" for name, count in axes.most_common())
        what = "the scans' axes run in different directions"
        hint = "reorient them by their affines before stacking slices"
        yield Finding("DATA-ORIENTATION", _INFO, what, str(data_set.root), value=value, hint=hint)
    if headers:
        sizes = np.array([header.spacing for header in headers])
        low, high = sizes.min(axis=0), sizes.max(axis=0)
        if ((high - low) > TOLERANCE * high).any():
            value = "; ".join(f"{name} {one:.3g} to {other:.3g}" for name, one, other in zip("xyz", low, high, strict=True))
            what = "the scans differ in the size of a voxel, in mm"
            yield Finding("DATA-SPACING", _INFO, what, str(data_set.root), value=value, hint="resample them")


def _headers(data_set: DataSet) -> Iterator[tuple[str, Header]]:
    for split, sample in data_set.samples():
        if sample.is_readable:
            try:
                yield split, read_header(sample.ct)
            except (UnreadableVolume, OSError):
                continue  # which the rule about volumes tells


def names(data_set: DataSet) -> Iterator[Finding]:
    """Tell files with the platform's prefix, and gaps in the numbers of the scans."""
    prefixed = [sample for _, sample in data_set.samples() if UUID_PREFIX.match(sample.ct.name)]
    if prefixed:
        what, value = "files that still have the platform's UUID before their name", f"{len(prefixed)}"
        yield Finding("DATA-NAME", _INFO, what, str(prefixed[0].ct), value=value, hint="it is ignored")
    for split, part in data_set.splits.items():
        matches = [_NUMBERED.fullmatch(sample.id) for sample in part.samples]
        numbers = {int(match[2]) for match in matches if match}
        others = len(matches) - sum(map(bool, matches))
        missing = sorted(set(range(1, max(numbers, default=0) + 1)) - numbers)
        if missing or others:
            value = f"{len(missing)} numbers missing{', such as ' + str(missing[0]) if missing else ''}; {others} other names"
            what = f"the names of {split} are not a sequence"
            yield Finding("DATA-NAME", _INFO, what, str(data_set.root), id=split, value=value)


def counts(data_set: DataSet) -> Iterator[Finding]:
    """Compare the rows with the files that can be read, and the numbers of scans with those of the campaign."""
    yield from compare_counts(data_set, PUBLISHED, _WARNING)
    for split, part in data_set.splits.items():
        readable = sum(sample.is_readable for sample in part.samples)
        if readable != len(part.samples):
            what = f"scans of {split} that can't be used"
            value = f"{len(part.samples)} scans, {readable} readable"
            yield Finding("DATA-COUNT", _WARNING, what, str(data_set.root), id=split, value=value)


def _classes(split: Split, sample: Sample) -> Iterator[str]:
    if sample.truth is not None and sample.truth.label in split.truth_set.classes:
        yield split.truth_set.classes[sample.truth.label]


def _distributions(data_set: DataSet) -> Sequence[Distribution]:
    slices: dict[str, list[float]] = {}
    pixels: dict[str, list[float]] = {}
    steps: dict[str, list[float]] = {}
    axes: dict[str, Counter[str]] = {}
    for split, header in _headers(data_set):
        slices.setdefault(split, []).append(header.shape[2])
        pixels.setdefault(split, []).append(float(header.spacing[0]))
        steps.setdefault(split, []).append(float(header.spacing[2]))
        axes.setdefault(split, Counter())["".join(axis or "?" for axis in nib.aff2axcodes(header.affine))] += 1
    return (
        histogram("slices per scan", slices, (0, 20, 40, 60, 80, 100, 120, 150, 200, 300, 500)),
        histogram("size of a pixel, mm", pixels, (0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 5)),
        histogram("distance of slices, mm", steps, (0, 0.7, 1, 1.5, 2, 2.5, 3, 5, 8, 20)),
        tally("orientation", axes),
    )


def _draw(_: Split, sample: Sample, marked: frozenset[int]) -> Image.Image | None:
    return draw_slices(sample, marked) if sample.is_readable else None


CHECKS = Checks(
    rules=(volumes, geometry, names, counts),
    splits={"tuberculosis": ("all", "test")},
    classes=_classes,
    class_names=lambda _: list(TYPES.values()),
    group=lambda sample: str(sample.patient),
    distributions=_distributions,
    draw=_draw,
    codes={
        **CODES,
        "DATA-MASK-AFFINE": Code(_INFO, "a mask of another affine than its CT", "a mask without origin"),
        "DATA-MASK-DISAGREE": Code(_WARNING, f"the two masks of a scan overlap by less than {LEAST_DICE:g} (Dice)", "0.3"),
        "DATA-MASK-EMPTY": Code(_WARNING, "a mask that is empty, or has one lung only", "98 % in one half"),
        "DATA-ORIENTATION": Code(_INFO, "axes that run in different directions; a singular affine is an error", "LPS, RAS"),
        "DATA-SHAPE": Code(_WARNING, f"slices that are not {SIDE}×{SIDE}, or fewer than {FEW_SLICES}", "512×512×12"),
        "DATA-SPACING": Code(_ERROR, "a voxel without size; that sizes differ is an info", "0 0.7 2.5"),
        "DATA-VOXEL-RANGE": Code(
            _WARNING, "values outside of about -1024 to 3071 HU, none that is negative, or one value only", "-2048 to 3071"
        ),
    },
)
