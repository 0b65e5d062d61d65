"""Chests in Hounsfield units, drawn: what a CT volume of each type of tuberculosis looks like, in outline.

A chest is a few shapes in millimetres, rendered on whatever grid a scan has: a body with fat and bones, a mediastinum with the
heart, two lungs with airways and branching vessels. On top come the lesions by which the five types are defined. They are
schemes that a small network can tell apart, not simulations: nothing medical follows from them.

Axes are RAS+: x grows to the patient's right, y to his front, z to his head; the origin is the middle of the volume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Point = NDArray[np.float64]  # (3,) in mm
Volume = NDArray[np.float32]

RIGHT, LEFT = 1, 2  # labels of the lungs
AIR, LUNG, FAT, MUSCLE, BONE = -1000.0, -860.0, -95.0, 45.0, 320.0
BOTTOM, TOP = -125.0, 125.0  # of the lungs, in mm
HILA = {RIGHT: np.array([38.0, -5.0, 5.0]), LEFT: np.array([-38.0, -5.0, 10.0])}


@dataclass(frozen=True, slots=True)
class Geometry:
    """The grid of a scan: voxels along x, y and z, and their size in mm."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Chest:
    """A drawn chest.

    Attributes:
        hu: ``(X, Y, Z) float32`` Hounsfield units.
        lungs: ``(X, Y, Z) uint8``: 1 in the right lung, 2 in the left, 0 elsewhere; lesions in a lung belong to it.
    """

    hu: Volume
    lungs: NDArray[np.uint8]


def draw_chest(kind: int, geometry: Geometry, rng: np.random.Generator) -> Chest:
    """Draw a chest with the lesions of a type.

    Args:
        kind: Campaign class id: 1 Infiltrative, 2 Focal, 3 Tuberculoma, 4 Miliary, 5 Fibro-cavernous.
        geometry: The grid.
        rng: Decides everything that differs between two chests of a type.
    """
    shrunken = {RIGHT: 1.0, LEFT: 1.0}
    side = RIGHT if rng.random() < 0.55 else LEFT
    if kind == 5:
        shrunken[side] = rng.uniform(0.78, 0.88)  # fibrosis takes volume
    canvas = _Canvas(geometry, rng, shrunken)
    _LESIONS[kind](canvas, side)
    _scars(canvas)
    noise = rng.normal(0, rng.uniform(12, 28), canvas.hu.shape).astype(np.float32)
    return Chest(canvas.hu + noise, canvas.lungs)


class _Canvas:
    """A chest without lesions, and the brushes to draw them with."""

    def __init__(self, geometry: Geometry, rng: np.random.Generator, shrunken: dict[int, float]) -> None:
        self.rng, self.spacing = rng, np.array(geometry.spacing)
        self.axes = [
            (np.arange(count, dtype=np.float32) - (count - 1) / 2) * np.float32(step)
            for count, step in zip(geometry.shape, geometry.spacing, strict=True)
        ]
        self.softness = float(np.mean(self.spacing)) / 2
        self.hu, self.lungs = self._trunk(rng.uniform(0.93, 1.05), shrunken)
        self._airways()
        self._vessels()

    # ---- the chest

    def _trunk(self, size: float, shrunken: dict[int, float]) -> tuple[Volume, NDArray[np.uint8]]:
        """Return the body with bones and empty lungs, and the lungs' labels."""
        x, y, z = np.ix_(*self.axes)
        x, y, z = x / size, y / size, z / size
        body = np.abs(x / 162) ** 2.4 + np.abs(y / 112) ** 2.4 + 0 * z
        hu = np.where(body < 1, MUSCLE, AIR).astype(np.float32)
        hu[(body > 0.84) & (body < 1)] = FAT
        ribs = np.sin(2 * math.pi * (z - 0.5 * y) / 26) > 0.35
        hu[(body > 0.62) & (body < 0.75) & ribs & (z < TOP)] = BONE
        hu[(x / 17) ** 2 + ((y + 62) / 15) ** 2 + 0 * z < 1] = BONE - 90
        hu[((x / 18) ** 2 + ((y - 88) / 6) ** 2 + 0 * z < 1) & (z > -70)] = BONE - 120
        height = (z - BOTTOM) / (TOP - BOTTOM)
        wide = np.clip(1.02 - np.clip((height - 0.4) / 0.62, 0, None) ** 2.2, 0, 1)  # narrow at the apex
        cavity = np.abs(x / 132) ** 2.2 + np.abs((y + 4) / 90) ** 2.2
        heart = ((x + 22) / 58) ** 2 + ((y - 28) / 46) ** 2 + ((z + 55) / 62) ** 2
        middle = 15 + 12 * np.exp(-(((y - 12) / 38) ** 2))  # half the width of the mediastinum
        lungs = np.zeros(hu.shape, np.uint8)
        for side, sign, dome in ((RIGHT, 1, 52), (LEFT, -1, 40)):
            small = shrunken[side]
            floor = BOTTOM + dome * np.clip(1 - ((sign * x - 70) / 72) ** 2 - ((y + 2) / 95) ** 2, 0, None)
            inside = (cavity < wide * small) & (sign * x > middle / small) & (z > floor) & (heart > 1)
            lungs[inside] = side
        hu[lungs > 0] = (LUNG - 0.35 * y + 0 * (x + z))[lungs > 0]  # the blood is where gravity draws it: behind
        texture = self._smooth_noise(lungs.shape, 5.0, 22.0)
        hu[lungs > 0] += texture[lungs > 0]
        return hu, lungs

    def _airways(self) -> None:
        carina = np.array([0.0, -8.0, 40.0])
        self.tube(np.array([0.0, -4.0, 140.0]), carina, 9.0, AIR, everywhere=True)
        for hilum in HILA.values():
            self.tube(carina, hilum, 6.5, AIR, everywhere=True)

    def _vessels(self) -> None:
        for hilum in HILA.values():
            outwards = np.array([np.sign(hilum[0]), 0.0, 0.0])
            for _ in range(7):
                self._branch(hilum, _unit(outwards + self.rng.normal(0, 0.9, 3)), self.rng.uniform(3.2, 4.6), 42.0)

    def _branch(self, start: Point, direction: Point, radius: float, length: float) -> None:
        """Draw a vessel and those it divides into."""
        end = start + direction * length
        self.tube(start, end, radius, 30.0)
        if radius > 1.2:
            for _ in range(2):
                turned = _unit(direction + self.rng.normal(0, 0.55, 3))
                self._branch(end, turned, radius * 0.68, length * self.rng.uniform(0.6, 0.85))

    # ---- brushes

    def point(self, side: int, low: float = 0.0, high: float = 1.0) -> Point:
        """Return a random point in a lung, not at its very rim, between two heights as shares from base to apex."""
        inside = self.lungs == side
        levels = np.flatnonzero(inside.any((0, 1)))
        first, last = (levels[0] + share * (levels[-1] - levels[0]) for share in (low, high))
        inside[:, :, : math.ceil(first)] = False
        inside[:, :, math.floor(last) + 1 :] = False
        # Coverage of the neighbourhood rather than an erosion: near the apex a lung is thin.
        depth = ndimage.uniform_filter(inside.astype(np.float32), [max(1, round(18 / step)) for step in self.spacing])
        candidates = np.argwhere(inside & (depth > 0.7 * depth.max()))
        chosen = candidates[self.rng.integers(len(candidates))]
        return np.array([axis[index] for axis, index in zip(self.axes, chosen, strict=True)], np.float64)

    def ball(self, centre: Point, radius: float, hu: float, *, sharpness: float = 1.0, everywhere: bool = False) -> None:
        """Draw a ball; what is thinner than a voxel covers a part of it. Only in the lungs unless ``everywhere``."""
        soft = max(self.softness, radius * 0.15) / sharpness
        for place, distance in self._around(centre, radius + 2 * soft):
            cover = np.clip(0.5 + (radius - distance) / (2 * soft), 0, 1) * min(1.0, radius / soft)
            self._blend(place, cover, hu, everywhere)

    def tube(self, start: Point, end: Point, radius: float, hu: float, *, everywhere: bool = False) -> None:
        """Draw a straight tube with round ends."""
        length = float(np.linalg.norm(end - start))
        for share in np.linspace(0, 1, max(2, math.ceil(length / max(radius, self.softness)))):
            self.ball(start + share * (end - start), radius, hu, everywhere=everywhere)

    def cloud(self, centre: Point, radii: Point, hu: float, *, roughness: float = 0.5) -> None:
        """Draw an ellipsoid whose border is ill-defined and whose density varies."""
        for place, distance in self._around(centre, float(radii.max()) * 1.6, 1 / radii):
            wavy = distance + roughness * self._smooth_noise(distance.shape, 9.0)
            cover = 1 / (1 + np.exp(-(1 - wavy) * 7))
            density = hu + 130 * self._smooth_noise(distance.shape, 4.0)
            self._blend(place, cover, density, everywhere=False)

    def _around(
        self, centre: Point, reach: float, scale: Point | float = 1.0
    ) -> Iterator[tuple[tuple[slice, ...], NDArray[np.float32]]]:
        """Yield the box around a point and the distances in it from there, scaled by axis; nothing outside of the grid."""
        box = tuple(
            slice(*np.searchsorted(axis, (middle - reach, middle + reach)).tolist())
            for axis, middle in zip(self.axes, centre, strict=True)
        )
        if all(side.start < side.stop for side in box):
            parts = zip(self.axes, box, centre, np.broadcast_to(np.asarray(scale, np.float32), 3), strict=True)
            offsets = np.ix_(*((axis[side] - np.float32(middle)) * factor for axis, side, middle, factor in parts))
            yield box, np.sqrt(sum(offset**2 for offset in offsets))

    def _blend(
        self, place: tuple[slice, ...], cover: NDArray[np.floating], hu: float | NDArray[np.floating], everywhere: bool
    ) -> None:
        if not everywhere:
            cover = cover * (self.lungs[place] > 0)
        here = self.hu[place]
        here += (cover * (hu - here)).astype(np.float32)

    def _smooth_noise(self, shape: tuple[int, ...], length: float, strength: float = 1.0) -> NDArray[np.float32]:
        """Return noise ``shape`` of a standard deviation of ``strength`` that is alike over ``length`` mm."""
        noise = self.rng.standard_normal(shape, np.float32)
        smooth = ndimage.gaussian_filter(noise, length / self.spacing, mode="wrap", truncate=2)
        return np.asarray(smooth * (strength / max(float(smooth.std()), 1e-6)), np.float32)


def _unit(vector: Point) -> Point:
    return vector / np.linalg.norm(vector)


# ---- lesions, by what defines the types


def _infiltrative(canvas: _Canvas, side: int) -> None:
    """One to three ill-defined areas of consolidation and ground glass, mostly above, with small shadows around."""
    for number in range(canvas.rng.integers(1, 4)):
        lung = side if number == 0 or canvas.rng.random() < 0.6 else RIGHT + LEFT - side
        centre = canvas.point(lung, 0.3, 0.95)
        canvas.cloud(centre, canvas.rng.uniform(20, 42, 3), canvas.rng.uniform(-420, -60))
        for _ in range(canvas.rng.integers(4, 12)):
            canvas.ball(centre + canvas.rng.normal(0, 26, 3), canvas.rng.uniform(2, 4), -250.0, sharpness=0.5)


def _focal(canvas: _Canvas, side: int) -> None:
    """A few foci of at most 12 mm across, grouped in the upper part of one lung, sometimes of both."""
    sides = (side, RIGHT + LEFT - side) if canvas.rng.random() < 0.35 else (side,)
    for lung in sides:
        centre = canvas.point(lung, 0.55, 0.92)
        for _ in range(canvas.rng.integers(6, 13)):
            place = centre + canvas.rng.normal(0, 1, 3) * [22, 24, 24]
            canvas.ball(place, canvas.rng.uniform(3.2, 6.0), canvas.rng.uniform(-60, 60))


def _tuberculoma(canvas: _Canvas, side: int) -> None:
    """One round, well-defined nodule of 22 to 44 mm, often with calcium in it; at times a satellite."""
    centre, radius = canvas.point(side, 0.35, 0.9), canvas.rng.uniform(11, 22)
    canvas.ball(centre, radius, canvas.rng.uniform(30, 70), sharpness=2.0)
    if canvas.rng.random() < 0.6:
        canvas.ball(centre + canvas.rng.normal(0, radius * 0.3, 3), radius * 0.3, 420.0)
    if canvas.rng.random() < 0.3:
        canvas.ball(centre + _unit(canvas.rng.normal(0, 1, 3)) * radius * 1.9, 3.0, 0.0)


def _miliary(canvas: _Canvas, side: int) -> None:
    """Seeds of 1.5 to 4 mm all over both lungs, evenly and at random."""
    del side  # both
    volume = float(canvas.spacing.prod())
    share = np.float32(canvas.rng.uniform(1.4, 2.4) * volume / 1000)  # seeds per voxel; 1000 cubic mm are a cubic cm
    seeds = canvas.rng.poisson(share, canvas.hu.shape).astype(np.float32) * (canvas.lungs > 0)
    radius = canvas.rng.uniform(1.1, 1.8)
    spread = np.maximum(radius / 1.7 / canvas.spacing, 0.35)
    amount = seeds * np.float32(4.19 * radius**3 / volume)  # voxels that a seed fills
    canvas.hu += ndimage.gaussian_filter(amount, spread, truncate=3) * 900 * (canvas.lungs > 0)


def _fibro_cavernous(canvas: _Canvas, side: int) -> None:
    """A cavity of 36 to 70 mm with a thick uneven wall, fibrous strands from it, haze and foci around."""
    centre = canvas.point(side, 0.5, 0.85)
    radius, wall = canvas.rng.uniform(18, 35), canvas.rng.uniform(5, 10)
    canvas.cloud(centre, np.full(3, radius * 1.5), -560.0)
    for _ in range(canvas.rng.integers(9, 16)):
        direction = _unit(canvas.rng.normal(0, 1, 3))
        reach = radius * canvas.rng.uniform(1.6, 2.8)
        canvas.tube(centre + direction * radius * 0.9, centre + direction * reach, canvas.rng.uniform(1.5, 3.0), -30.0)
    canvas.tube(centre, HILA[side], 4.0, -20.0)
    canvas.cloud(centre, np.full(3, radius), 30.0, roughness=0.12)
    canvas.ball(centre + canvas.rng.normal(0, 1.5, 3), radius - wall, AIR + 30, sharpness=2.0)
    for _ in range(canvas.rng.integers(3, 9)):
        canvas.ball(canvas.point(RIGHT if canvas.rng.random() < 0.5 else LEFT), canvas.rng.uniform(2.5, 4.5), -80.0)


def _scars(canvas: _Canvas) -> None:
    """Old small calcifications, which any type may have."""
    for _ in range(canvas.rng.integers(0, 3)):
        canvas.ball(canvas.point(RIGHT if canvas.rng.random() < 0.5 else LEFT), canvas.rng.uniform(1.5, 2.5), 250.0)


_LESIONS: dict[int, Callable[[_Canvas, int], None]] = {
    1: _infiltrative,
    2: _focal,
    3: _tuberculoma,
    4: _miliary,
    5: _fibro_cavernous,
}
