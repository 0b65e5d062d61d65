"""Small CT volumes with everything that a test wants to be wrong with them."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np

SHAPE = (14, 12, 10)
SPACING = (20.0, 21.0, 25.0)  # so that two lungs have their litres


def lungs(shape=SHAPE):
    """Two boxes of lung, away from the rim; the right one, at high x in RAS, is longer."""
    inside = np.zeros(shape, bool)
    inside[2:6, 2:-2, 2:-3] = True
    inside[8:12, 2:-2, 2:-2] = True
    return inside


def chest(shape=SHAPE):
    """A body of some 40 HU with lungs of some -850 HU."""
    noise = np.random.default_rng(0).integers(-5, 6, shape)
    return (np.where(lungs(shape), -850, 40) + noise).astype(np.float32)


def write_nifti(path, array, *, axes="RAS", spacing=SPACING, origin=0.0, dtype=np.int16, slope=None, **fields):
    """Write an array given in RAS+ as a file whose axes run otherwise; ``fields`` overwrite those of the header."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes))
    turned = nib.orientations.apply_orientation(array, turn).astype(dtype)
    image = nib.Nifti1Image(turned, affine @ nib.orientations.inv_ornt_aff(turn, array.shape))
    if slope:
        image.header.set_slope_inter(*slope)
    content = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(bytes(content), 1, mtime=0) if path.name.endswith(".gz") else bytes(content))
    return path
