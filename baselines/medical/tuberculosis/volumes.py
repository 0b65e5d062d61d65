"""CT volumes and masks: read from ``.nii.gz`` in bounded memory, cropped to the lungs and resampled to one grid.

A CT is never held as a whole: slabs of slices are decompressed one after another, clipped, cropped and resampled within the
slice; what is left is resampled along the third axis. A header that promises a terabyte costs nothing, since its dimensions are
checked before anything is allocated.

The order of spec page tuberculosis.md 2 (fill, clip, reorient, resample) gives the same numbers: each step treats every voxel,
or every axis, alike, so that reorienting, which only permutes and flips axes, can come last, when there is least to move.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Shape = tuple[int, int, int]

LOWEST, HIGHEST = -1000.0, 400.0  # the window in HU: what is below is air, what is above is bone
MAX_SIDE = 4096  # voxels along an axis
MAX_VOXELS = 2**28  # of a volume; 512 by 512 by 1024
MAX_OFFSET = 2**24  # bytes before the voxels, extensions of the header
SLAB_BYTES = 2**23
LITRES = (0.3, 15.0)  # what a mask of two lungs can measure
MARGIN = 10.0  # kept around the lungs, in mm
COARSE = 4  # every so manieth pixel is looked at where the lungs have to be found without a mask
_FINGERPRINT = (
    *("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # by NIfTI's code of the unit: unknown, metre, millimetre, micron


class UnreadableVolume(ValueError):
    """A file that is no volume, or not a whole one; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a NIfTI file says.

    Attributes:
        shape: Voxels along the three axes of the array.
        dtype: Type of the voxels as stored, with its byte order.
        offset: Where the voxels begin, in bytes.
        slope: What stored values are multiplied by.
        intercept: What is added then.
        affine: ``(4, 4) float64``, from indices of voxels to mm in RAS+.
        fingerprint: SHA-256 of shape, type, pixel sizes and the fields of the affine: equal in scans that one patient's were
            copied or re-exported from.
        oddities: What had to be assumed, a clause each.
        pixdim: Sizes of a voxel as stored, beside the affine; they may be anything.
    """

    shape: Shape
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: NDArray[np.float64]
    fingerprint: str
    oddities: tuple[str, ...]
    pixdim: tuple[float, float, float]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Size of a voxel along the array's axes, ``(3,)`` in mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def voxel_bytes(self) -> int:
        """Bytes that the voxels take."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scan as it is trained on.

    Attributes:
        array: ``(2, D, H, W) uint8``: the CT, 0 for -1000 HU and 255 for 400, and how much of a voxel the lung mask covers, 255
            for all of it. D runs to the head, H to the front, W to the patient's right.
        spacing: Size of a voxel along D, H and W, in mm.
        notes: What was odd, as ``(rule, message, value)``.
    """

    array: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    notes: tuple[tuple[str, str, str], ...]


# ---- files


def read_header(path: Path) -> Header:
    """Read and check a header, without the voxels.

    Raises:
        UnreadableVolume: If there is none, or it describes no volume of a size that a CT has.
    """
    try:
        with _open(path) as stream:
            start = stream.read(540)
        return _parse(start)
    except UnreadableVolume:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableVolume(f"it can't be decompressed: {getattr(error, 'strerror', None) or error}") from error
    except Exception as error:  # whatever nibabel stumbles over in a hostile header
        raise UnreadableVolume(f"its header can't be understood: {error}") from error


def _open(path: Path) -> gzip.GzipFile | BinaryIO:
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_packed else path.open("rb")


def _parse(start: bytes) -> Header:
    if len(start) < 352:
        raise UnreadableVolume("it ends within its header")
    kinds = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
    order = next((mark for mark in "<>" if int(np.frombuffer(start[:4], f"{mark}i4")[0]) in kinds), None)
    if order is None:
        raise UnreadableVolume("it doesn't begin as NIfTI")
    kind = kinds[int(np.frombuffer(start[:4], f"{order}i4")[0])]
    header = kind(start[: kind.template_dtype.itemsize], endianness=order, check=False)
    dims = [int(count) for count in header["dim"]]
    if not 3 <= dims[0] <= 7 or any(count != 1 for count in dims[4 : dims[0] + 1]):
        raise UnreadableVolume(f"it has not three dimensions but {dims[1 : max(1, min(dims[0], 7)) + 1]}")
    shape = (dims[1], dims[2], dims[3])
    if min(shape) < 1 or max(shape) > MAX_SIDE or math.prod(shape) > MAX_VOXELS:
        raise UnreadableVolume(f"no CT has {' by '.join(map(str, shape))} voxels")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise UnreadableVolume(f"its voxels are of the type {dtype}")
    offset = float(header["vox_offset"])
    if not 348 <= offset <= MAX_OFFSET or b"n+" not in start[344:348] + start[4:8]:
        raise UnreadableVolume(f"its voxels are not in this file, or begin at byte {offset:g}")
    slope, intercept = (float(header[name]) for name in ("scl_slope", "scl_inter"))
    if not math.isfinite(slope) or not slope or not math.isfinite(intercept):
        slope, intercept = 1.0, 0.0  # as NIfTI has it
    affine, oddities = _affine(header)
    first, second, third = (float(size) for size in header["pixdim"][1:4])
    digest = hashlib.sha256(repr((shape, dtype.str)).encode())
    for name in _FINGERPRINT:
        digest.update(np.asarray(header[name], "<f8").tobytes())
    return Header(shape, dtype, int(offset), slope, intercept, affine, digest.hexdigest(), oddities, (first, second, third))


def _affine(header: Any) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return a usable affine in mm, and what had to be assumed."""
    oddities = []
    try:
        affine = np.array(header.get_best_affine(), np.float64)
    except Exception:  # noqa: BLE001  such as a quaternion that is none
        affine = np.full((4, 4), np.nan)
    if not np.isfinite(affine).all() or not 1e-9 < abs(np.linalg.det(affine[:3, :3])) < 1e9:
        zooms = np.array(header["pixdim"][1:4], np.float64)
        is_usable = bool((np.isfinite(zooms) & (zooms > 0)).all())
        affine = np.diag([*(zooms if is_usable else np.ones(3)), 1.0])
        oddities.append("the affine can't be used: the array's axes are taken for right, front and head")
        if not is_usable:
            oddities.append("neither affine nor pixel sizes say how large a voxel is: 1 mm is assumed")
    factor = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    if factor != 1:
        affine[:3] *= factor
        oddities.append("sizes are not in mm in the header: they are converted")
    return affine, tuple(oddities)


def check_whole(path: Path, header: Header) -> None:
    """Make sure that a file holds all of its voxels.

    The last four bytes of a gzip file say how long its content is; only where they don't fit everything is decompressed.

    Raises:
        UnreadableVolume: If it doesn't; the text says where it ends.
    """
    needed = header.offset + header.voxel_bytes
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(-4, 2)
        length = int.from_bytes(file.read(4), "little") if is_packed else path.stat().st_size
    if length != needed % 2**32:
        for _ in slabs(path, header):
            pass


def voxel_digest(path: Path) -> str:
    """Return the SHA-256 of a volume's voxels as stored.

    Raises:
        UnreadableVolume: If they can't be read.
    """
    digest = hashlib.sha256()
    for _, slab in slabs(path, read_header(path)):
        digest.update(slab.tobytes(order="F"))
    return digest.hexdigest()


def slabs(path: Path, header: Header) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the volume in slabs ``(X, Y, n)`` as stored, each with the index of its first slice."""
    width, height, slices = header.shape
    slice_bytes = width * height * header.dtype.itemsize
    thickness = max(1, SLAB_BYTES // slice_bytes)
    try:
        with _open(path) as stream:
            stream.seek(header.offset)
            for first in range(0, slices, thickness):
                count = min(thickness, slices - first)
                content = stream.read(count * slice_bytes)
                if len(content) < count * slice_bytes:
                    raise UnreadableVolume(f"it ends in slice {first + len(content) // slice_bytes + 1} of {slices}")
                yield first, np.frombuffer(content, header.dtype).reshape((width, height, count), order="F")
            stream.read(1)  # at its end, gzip compares the checksum
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableVolume(f"it can't be decompressed: {getattr(error, 'strerror', None) or error}") from error


# ---- preparation

RECIPE = 1  # counts up when the same scan would be prepared in another way, so that older caches are not used


def prepare_files(files: tuple[Path, ...], grid: Shape) -> tuple[NDArray[np.uint8] | None, dict[str, Any]]:
    """Prepare a CT, the first of the files, with its masks, the others; see :func:`prepare`.

    Returns:
        The array, and its ``spacing`` and ``notes``; without an array the ``error`` that says why there is none.
    """
    try:
        prepared = prepare(files[0], files[1:], grid)
    except UnreadableVolume as error:
        return None, {"error": str(error)}
    return prepared.array, {"spacing": prepared.spacing, "notes": prepared.notes}


def prepare(ct: Path, masks: Sequence[Path], grid: Shape, margin: float = MARGIN) -> Prepared:
    """Crop a CT to the lungs and resample it, and the mask with it.

    Masks are matched by the array's shape, not by their affines, and united; where none is usable, the lungs are looked for in
    the CT. The cropped volume is stretched to the grid, so that the size of a voxel differs between scans.

    Args:
        ct: The CT.
        masks: Its masks.
        grid: Voxels of the result towards head, front and right: D, H, W.
        margin: What is kept around the lungs, in mm.

    Raises:
        UnreadableVolume: If the CT can't be read.
    """
    header = read_header(ct)
    notes = _Notes([("GEOMETRY", oddity, "") for oddity in header.oddities])
    mask = _united(masks, header, notes)
    if mask is None:
        mask = _find_lungs(ct, header)
    box = _box(mask, header.spacing, margin)
    # For each axis of the array: which of RAS it runs along, and whether forwards.
    turns = nib.orientations.io_orientation(header.affine)
    if np.isnan(turns).any():  # an axis that lies on no axis: as stored
        turns = np.array([[0, 1], [1, 1], [2, 1]])
    sizes = tuple(grid[2 - int(axis)] for axis, _ in turns)
    operators = [_resampling(side.stop - side.start, size) for side, size in zip(box, sizes, strict=True)]
    volume = np.zeros((box[2].stop - box[2].start, sizes[0], sizes[1]), np.float32)
    for first, slab in slabs(ct, header):
        hu = _to_hu(slab, header, notes)
        inside = slice(max(box[2].start - first, 0), max(min(box[2].stop - first, hu.shape[2]), 0))
        if inside.start < inside.stop:
            place = first + inside.start - box[2].start
            volume[place : place + inside.stop - inside.start] = _within_slices(hu[box[0], box[1], inside], operators)
    notes.tell_values()
    coverage = _within_slices(mask[box].astype(np.float32), operators)
    volume -= np.float32(LOWEST)
    volume /= np.float32(HIGHEST - LOWEST)
    planes = [_along(each, operators[2]) for each in (volume, coverage)]
    order = np.argsort(-turns[:, 0])  # the array's axes in the order head, front, right
    flips = tuple(place for place, axis in enumerate(order) if turns[axis, 1] < 0)
    extents = [(box[axis].stop - box[axis].start) * header.spacing[axis] for axis in order]
    array = np.stack([np.flip(plane.transpose(*order), flips) for plane in planes])
    spacing = tuple(float(extent / size) for extent, size in zip(extents, grid, strict=True))
    return Prepared(np.rint(array * 255).astype(np.uint8), spacing, tuple(notes.notes))  # type: ignore[arg-type]


@dataclass(slots=True)
class _Notes:
    """What was odd about a scan: notes, and values that are no HU, counted."""

    notes: list[tuple[str, str, str]]
    strange: dict[str, int] = field(default_factory=lambda: {"NaN": 0, "-inf": 0, "inf": 0})

    def add(self, rule: str, message: str, value: object = "") -> None:
        self.notes.append((rule, message, str(value)))

    def tell_values(self) -> None:
        found = [f"{count} {name}" for name, count in self.strange.items() if count]
        if found:
            self.add("VOXEL-NAN", "voxels are no numbers: NaN and -inf become -1000 HU, inf 400", ", ".join(found))


def _to_hu(slab: NDArray[Any], header: Header, notes: _Notes) -> NDArray[np.float32]:
    """Return a slab in HU, clipped to the window; what is no number is counted and filled."""
    with np.errstate(over="ignore", invalid="ignore"):  # a hostile slope makes infinities of integers, too
        hu = slab.astype(np.float32)
        if (header.slope, header.intercept) != (1.0, 0.0):
            hu = hu * np.float32(header.slope) + np.float32(header.intercept)
    if not np.isfinite(hu).all():
        for name, is_so in (("NaN", np.isnan(hu)), ("-inf", np.isneginf(hu)), ("inf", np.isposinf(hu))):
            notes.strange[name] += int(is_so.sum())
        hu = np.nan_to_num(hu, nan=LOWEST, neginf=LOWEST, posinf=HIGHEST)
    return np.clip(hu, LOWEST, HIGHEST)


def _united(masks: Sequence[Path], header: Header, notes: _Notes) -> NDArray[np.bool_] | None:
    """Return the union ``(X, Y, Z)`` of the usable masks; ``None`` without any."""
    union: NDArray[np.bool_] | None = None
    for path in masks:
        where = f"{path.parent.name}/{path.name}"
        try:
            other = read_header(path)
            if other.shape != header.shape:
                notes.add("MASK-SHAPE", f"the mask {where} has another shape than the CT and is not used", other.shape)
                continue
            mask, corner = _read_mask(path, other)
        except UnreadableVolume as error:
            notes.add("MASK-UNREADABLE", f"the mask {where} is not used: {error}")
            continue
        if corner:
            notes.add("MASK-VALUES", f"the background of the mask {where} is not 0: above its corner is inside", corner)
        union = mask if union is None else union | mask
    if union is None:
        notes.add("MASK-MISSING", "there is no usable mask: the lungs are looked for in the CT")
        return None
    litres = float(union.sum() * header.spacing.prod() / 1e6)
    if not LITRES[0] <= litres <= LITRES[1]:
        message = (
            f"the masks can't be two lungs, which measure {LITRES[0]} to {LITRES[1]} litres: they are looked for in the CT"
        )
        notes.add("MASK-SIZE", message, f"{litres:.2f} litres")
        return None
    return union


def _read_mask(path: Path, header: Header) -> tuple[NDArray[np.bool_], float]:
    """Return where a mask is greater than its corner voxel, and that voxel's value."""
    mask, corner = np.zeros(header.shape, bool), 0.0
    for first, slab in slabs(path, header):
        if first == 0:
            corner = float(slab[0, 0, 0])
        mask[:, :, first : first + slab.shape[2]] = slab > slab.dtype.type(corner)
    return mask, corner


def _find_lungs(ct: Path, header: Header) -> NDArray[np.bool_]:
    """Look for the lungs: the two largest bodies of air that don't reach the sides of the slices; without any, everything."""
    step = COARSE if min(header.shape[:2]) >= 64 * COARSE else 1
    coarse = np.zeros((*(-(-side // step) for side in header.shape[:2]), header.shape[2]), bool)
    for first, slab in slabs(ct, header):
        hu = _to_hu(slab[::step, ::step], header, _Notes([]))
        coarse[:, :, first : first + slab.shape[2]] = hu < -400
    bodies, _ = ndimage.label(ndimage.binary_opening(coarse))
    outside = np.unique(np.concatenate([bodies[[0, -1]].ravel(), bodies[:, [0, -1]].ravel()]))
    sizes = np.bincount(bodies.ravel())
    sizes[outside] = 0
    sizes[0] = 0
    lungs = np.isin(bodies, [label for label in np.argsort(sizes)[-2:] if sizes[label]])
    if lungs.sum() * step**2 * header.spacing.prod() / 1e6 < LITRES[0]:
        return np.ones(header.shape, bool)
    return np.repeat(np.repeat(lungs, step, 0), step, 1)[: header.shape[0], : header.shape[1]]


def _box(mask: NDArray[np.bool_], spacing: NDArray[np.float64], margin: float) -> tuple[slice, slice, slice]:
    """Return what holds a mask but for a thousandth of it at either end, with a margin in mm, within the volume."""
    sides = []
    for axis in range(3):
        profile = mask.sum(tuple(other for other in range(3) if other != axis), dtype=np.int64).cumsum()
        low, high = np.searchsorted(profile, [profile[-1] * 0.001, profile[-1] * 0.999], side="right")
        extra = round(margin / spacing[axis])
        sides.append(slice(max(0, int(low) - extra), min(mask.shape[axis], int(high) + 1 + extra)))
    return sides[0], sides[1], sides[2]


def _resampling(count: int, size: int) -> NDArray[np.float32]:
    """Return the matrix ``(size, count)`` that resamples an axis: linear, and a mean over what a cell covers where it shrinks.

    The triangular kernel is as wide as the coarser of both grids, so that nothing aliases; its rows sum to 1.

    >>> _resampling(4, 2).round(2)
    array([[0.43, 0.43, 0.14, 0.  ],
           [0.  , 0.14, 0.43, 0.43]], dtype=float32)
    """
    scale = count / size
    centres = (np.arange(size) + 0.5) * scale - 0.5
    distances = np.abs(np.clip(centres, 0, count - 1)[:, None] - np.arange(count)) / max(scale, 1.0)
    weights = np.clip(1 - distances, 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _within_slices(slab: NDArray[np.float32], operators: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Resample a slab ``(X, Y, n)`` along x and y; return ``(n, x, y)``."""
    return np.asarray(operators[0] @ np.ascontiguousarray(slab.transpose(2, 0, 1)) @ operators[1].T)


def _along(volume: NDArray[np.float32], operator: NDArray[np.float32]) -> NDArray[np.float32]:
    """Resample ``(Z, x, y)`` along its first axis; return ``(x, y, z)`` in [0, 1]."""
    flat = operator @ volume.reshape(len(volume), -1)
    return np.asarray(flat.reshape(-1, *volume.shape[1:]).transpose(1, 2, 0).clip(0, 1))
