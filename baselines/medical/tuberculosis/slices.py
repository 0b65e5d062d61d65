"""Pictures of a scan as it is stored, with the outlines of its masks: what a check shows of its findings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from baselines.core import pictures
from baselines.core.findings import show_id
from baselines.medical.tuberculosis.records import Sample
from baselines.medical.tuberculosis.volumes import HIGHEST, LOWEST, Header, UnreadableVolume, read_header, slabs

PANEL_SIDE = 314  # pixels of the longer side of a slice; two fit beside each other
PLACES = (0.35, 0.65)  # where the slices lie along the array's third axis, which mostly runs through the chest's height
MASK_STYLES = (pictures.style_of(2), pictures.style_of(6))
STRANGE = pictures.style_of(4).colour  # of voxels that are no finite number
_ACROSS = ("LR", "AP", "SI")  # the first of these that lies in a slice runs from left to right in its picture
_BACKWARDS = "RAS"  # where these lie is left or on top


def draw_slices(sample: Sample, marked: Collection[int] = ()) -> Image.Image:
    """Draw two slices of a scan in the lung window, -1000 to 400 HU, with the outlines of its masks.

    No more than a slab of the volume is held in memory. A mask that can't be read, or has another shape, is left out.

    Args:
        sample: The scan.
        marked: Places of the masks whose outlines are thick.

    Raises:
        UnreadableVolume: If the CT can't be read.
    """
    header = read_header(sample.ct)
    wanted = sorted({int(place * (header.shape[2] - 1)) for place in PLACES})
    view = _View.of(header)
    panels = [_grey(plane, header, view) for plane in _planes(sample.ct, header, wanted)]
    drawn = []
    for place, path in enumerate(sample.masks):
        masks = _mask_planes(path, header, wanted)
        if masks is None:
            continue
        style = MASK_STYLES[place % len(MASK_STYLES)]
        drawn.append((style, show_id(path.parent.name)[:30]))
        for panel, mask in zip(panels, masks, strict=True):
            _outline(panel, view.rows_and_columns(mask), style.colour, 4 if place in marked else 2)
    titles = [f"slice {number} of {header.shape[2]}" for number in wanted]
    page = pictures.beside(list(zip(titles, panels, strict=True)))
    return pictures.below([page, pictures.legend(drawn, page.width)]) if drawn else page


def _planes(path: Path, header: Header, wanted: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return slices ``(X, Y)`` of a volume, with its slope and intercept."""
    found: list[NDArray[np.float64]] = []
    for first, slab in slabs(path, header):
        inside = [number - first for number in wanted if first <= number < first + slab.shape[2]]
        with np.errstate(over="ignore", invalid="ignore"):  # of a hostile slope
            found += [slab[:, :, place].astype(np.float64) * header.slope + header.intercept for place in inside]
        if len(found) == len(wanted):  # what comes behind isn't looked at
            break
    return found


def _mask_planes(path: Path, ct: Header, wanted: Sequence[int]) -> list[NDArray[np.bool_]] | None:
    """Return what is inside of a mask in some slices; ``None`` if it can't be laid over the CT."""
    try:
        header = read_header(path)
        if header.shape != ct.shape:
            return None
        corner = _planes(path, header, [0])[0][0, 0]
        return [plane > corner for plane in _planes(path, header, wanted)]
    except (UnreadableVolume, OSError):
        return None


@dataclass(frozen=True, slots=True)
class _View:
    """How a slice is laid out: which axis of the array runs across, and which of rows and columns are flipped."""

    across: int
    flips: tuple[int, ...]

    @classmethod
    def of(cls, header: Header) -> Self:
        """Return the view from the feet, where the slices are axial: the patient's right is on the left, the front on top."""
        codes = [code or "R" for code in nib.aff2axcodes(header.affine)[:2]]
        across = next((codes.index(code) for pair in _ACROSS for code in pair if code in codes), 0)
        return cls(across, tuple(axis for axis, code in enumerate((codes[1 - across], codes[across])) if code in _BACKWARDS))

    def rows_and_columns(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a slice ``(X, Y)`` as rows and columns."""
        return np.flip(plane if self.across else plane.T, self.flips)


def _grey(plane: NDArray[np.float64], header: Header, view: _View) -> Image.Image:
    """Return a slice in the lung window, its pixels square."""
    rows = view.rows_and_columns(plane)
    is_finite = np.isfinite(rows)
    shares = (np.where(is_finite, rows, LOWEST).clip(LOWEST, HIGHEST) - LOWEST) / (HIGHEST - LOWEST)
    colours = np.repeat(np.rint(shares * 255).astype(np.uint8)[..., None], 3, axis=2)
    colours[~is_finite] = STRANGE
    sizes = np.array(rows.shape) * header.spacing[[1 - view.across, view.across]]
    height, width = np.maximum(np.rint(sizes * PANEL_SIDE / sizes.max()), 1).astype(int).tolist()
    return Image.fromarray(colours).resize((width, height), Image.Resampling.BILINEAR)


def _outline(panel: Image.Image, mask: NDArray[np.bool_], colour: tuple[int, int, int], thickness: int) -> None:
    """Draw the outline of a mask on its slice."""
    inside = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(panel.size, Image.Resampling.NEAREST)) > 0
    panel.paste(colour, (0, 0), Image.fromarray(inside & ~ndimage.binary_erosion(inside, iterations=thickness)))
