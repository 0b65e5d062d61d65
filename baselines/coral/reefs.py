"""Draw a reef: colonies of the 13 substrates on sand, under water, with the outline of each.

Colonies are star-shaped blobs. Where two come near each other, each ends at their common border (a power diagram, Aurenhammer
1987), so that neighbours touch as they do on a reef, also those of one substrate. Lengths are drawn as shares of the image's
width: an image of another size shows the same kind of reef, in more or less detail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage, special

from baselines.coral.shapes import Shapes, cross_themselves, tidy_ring

Field = NDArray[np.float32]
Random = np.random.Generator

ANGLES = 60  # rays that the outline of a colony is drawn with
BORDER = 10  # pixels along the image's border that the annotators left out
LEAST_SIDE = 0.006  # of an outline, as a share of the image's width; smaller pieces are not annotated
UNSEEN = 0.02  # share of the colonies that are not annotated, as in the real data
SHADE = 0.5  # of the light, in the creases between colonies


@dataclass(frozen=True, slots=True)
class Place:
    """A subset: where it was photographed, which shows in the water, in the light, and in what grows there.

    Attributes:
        name: Name of its folder.
        dates: What ids of its images begin with.
        extension: Of its image files.
        images: Images of the campaign's training and test set.
        water: Colour of the water, RGB in [0, 1].
        haze: Share of the water's colour in the middle of the image.
        blur: Standard deviation of the blur, as a share of the image's width.
        sand: Colour of the ground, RGB in [0, 1].
        size: Median diameter of a colony, as a share of the image's width.
        factors: How much more often than elsewhere a substrate grows here, by campaign index; 0 if not at all.
    """

    name: str
    dates: tuple[str, ...]
    extension: str
    images: tuple[int, int]
    water: tuple[float, float, float]
    haze: float
    blur: float
    sand: tuple[float, float, float]
    size: float
    factors: dict[int, float]


# Names, dates, numbers of images and which substrates Dominica lacks: spec pages coral.md 1.3 and 1.5. The rest is invented.
PLACES = (
    Place(
        "K1-20180712-01", ("2018_0712",), ".JPG", (173, 0), (0.10, 0.42, 0.55), 0.30, 0.0008, (0.78, 0.74, 0.62), 0.100,
        {10: 1.6, 12: 1.2, 1: 0.3},
    ),
    Place(
        "PK-20180714-01", ("2018_0714",), ".JPG", (234, 0), (0.08, 0.36, 0.58), 0.38, 0.0012, (0.72, 0.70, 0.62), 0.085,
        {10: 1.4, 4: 1.3, 9: 0.6},
    ),
    Place(
        "PK-20180729-02", ("2018_0729",), ".jpg", (172, 98), (0.12, 0.44, 0.48), 0.34, 0.0010, (0.74, 0.71, 0.58), 0.095,
        {10: 0.8, 8: 1.5, 6: 1.5},
    ),
    Place(
        "20170803-dominica-cabrits", ("2017_0803", "02_2017_0803"), ".JPG", (100, 201), (0.10, 0.48, 0.44), 0.30, 0.0010,
        (0.66, 0.66, 0.52), 0.105, {10: 0, 4: 0, 9: 0, 6: 0, 7: 0, 1: 3.0, 12: 1.6, 13: 2.0},
    ),
    Place(
        "20180406-spermonde-keke", ("2018_0406", "2018_0407"), ".jpg", (100, 166), (0.14, 0.46, 0.42), 0.42, 0.0016,
        (0.70, 0.68, 0.54), 0.090, {8: 2.0, 9: 2.0, 3: 1.2, 10: 0.4},
    ),
    Place(
        "20190417-seychelles-BL", ("2019_0417",), ".JPG", (100, 20), (0.09, 0.40, 0.60), 0.28, 0.0008,
        (0.80, 0.77, 0.68), 0.110, {3: 2.2, 4: 2.2, 10: 0.3, 12: 0.5, 5: 0.6},
    ),
)  # fmt: skip

# Objects of each substrate in the training set of 2020 (spec page coral.md 1.5): the long tail.
COUNTS = (92, 19, 1642, 1181, 946, 177, 223, 198, 21, 5663, 90, 1691, 139)
TAIL = 0.6  # the power that they are raised to: 300 to 1 becomes 30 to 1, so that a small sample has all


@dataclass(frozen=True, slots=True)
class Reef:
    """A picture ``(H, W, 3) uint8`` with the outline, ``(n, 2) int64`` x, y, and the campaign index of each object."""

    picture: NDArray[np.uint8]
    rings: list[NDArray[np.int64]]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class _Colony:
    """Where one grows: its centre and mean radius in pixels, its outline, and how high it is piled on the others."""

    label: int
    center: NDArray[np.float64]
    radius: float
    radii: NDArray[np.float64]  # (ANGLES,) from the centre to the outline

    @property
    def ring(self) -> NDArray[np.float64]:
        """The outline ``(ANGLES, 2)``."""
        return self.center + self.radii[:, None] * _RAYS


_TURNS = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
_RAYS = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)


def draw_reef(rng: Random, place: Place, size: tuple[int, int], *, also: int | None = None) -> Reef:
    """Draw one image.

    Args:
        rng: Source of everything random.
        place: Where it is taken.
        size: Width and height in pixels, at least 64.
        also: Campaign index of a substrate that has to be there, if it grows in this place.
    """
    width, height = size
    colonies = _grow(rng, place, size, also)
    drawn = _draw_ground(rng, place, size)
    for colony in colonies:
        _draw_colony(rng, drawn, colony)
    picture = _under_water(rng, drawn, place)
    rings, labels = [], []
    for colony in colonies:
        ring = np.clip(np.rint(colony.ring), BORDER, [width - 1 - BORDER, height - 1 - BORDER]).astype(np.int64)
        ring = tidy_ring(ring)  # what lies outside has been clipped to a line
        if len(ring) >= 3 and (np.ptp(ring, axis=0) >= max(3, LEAST_SIDE * width)).all() and rng.random() > UNSEEN:
            rings.append(ring)
            labels.append(colony.label)
    sound = np.flatnonzero(~cross_themselves(Shapes.of_rings(rings))[0]).tolist()
    return Reef(picture, [rings[index] for index in sound], [labels[index] for index in sound])


# ------------------------------------------------------------------------------------------------------------- growing


def _grow(rng: Random, place: Place, size: tuple[int, int], also: int | None) -> list[_Colony]:
    """Let clusters of colonies grow, then let neighbours meet."""
    width, height = size
    weights = np.array(COUNTS, np.float64) ** TAIL * [place.factors.get(label, 1.0) for label in range(1, 14)]
    wanted = [int(label) for label in rng.choice(13, int(rng.integers(7, 13)), p=weights / weights.sum()) + 1]
    if also is not None and place.factors.get(also, 1.0):
        wanted.append(also)
    colonies: list[_Colony] = []
    for label in wanted:
        kind = KINDS[label]
        radius = width * place.size / 2 * kind.size * float(np.exp(rng.normal(0, 0.35)))
        center = rng.uniform((0.0, 0.0), (width, height))
        for _ in range(1 + int(rng.poisson(kind.company))):
            colonies.append(_Colony(label, center, radius, _outline(rng, kind, radius)))
            # The next of the cluster grows so near that the two touch.
            turn = rng.uniform(0, 2 * np.pi)
            radius *= float(rng.uniform(0.75, 1.25))
            center = center + 1.25 * radius * np.array([np.cos(turn), np.sin(turn)])
    return [colony for colony in _meet(colonies) if _is_inside(colony, size)]


def _outline(rng: Random, kind: Kind, radius: float) -> NDArray[np.float64]:
    """Return radii ``(ANGLES,)``: an ellipse with ragged edges."""
    aspect, turn = float(np.exp(rng.normal(0, 0.18))), rng.uniform(0, np.pi)
    radii = radius / np.sqrt((np.cos(_TURNS - turn) / aspect) ** 2 + (np.sin(_TURNS - turn) * aspect) ** 2)
    for order in range(2, 12):
        radii *= 1 + kind.ragged * rng.normal() / order**0.7 * np.cos(order * _TURNS + rng.uniform(0, 2 * np.pi))
    return np.clip(radii, 0.3 * radius, 1.8 * radius)


def _meet(colonies: list[_Colony]) -> list[_Colony]:
    """End every colony at its borders with the others, in the power diagram of their circles; drop those without a place."""
    centers = np.array([colony.center for colony in colonies])
    powers = np.array([colony.radius**2 for colony in colonies])
    met = []
    for index, colony in enumerate(colonies):
        away = np.delete(centers, index, axis=0) - colony.center
        reach = ((away**2).sum(axis=1) - np.delete(powers, index) + powers[index]) / 2
        if (reach <= 0).any():
            continue
        along = _RAYS @ away.T
        limits = np.where(along > 1e-9, reach / np.maximum(along, 1e-9), np.inf).min(axis=1, initial=np.inf)
        radii = np.minimum(colony.radii, limits)
        if radii.mean() > 0.4 * colony.radius:
            met.append(_Colony(colony.label, colony.center, colony.radius, radii))
    return met


def _is_inside(colony: _Colony, size: tuple[int, int]) -> bool:
    """Whether the centre is in the image, so that enough of the colony is to be seen."""
    return bool(((colony.center > 0) & (colony.center < size)).all())


# ------------------------------------------------------------------------------------------------------------- drawing


def noise(rng: Random, shape: tuple[int, int], cell: float) -> Field:
    """Return smooth noise ``(H, W)`` with mean 0 and deviation 1, with hills some ``cell`` pixels wide."""
    rows, columns = (max(2, int(np.ceil(side / max(cell, 1.0))) + 2) for side in shape)
    grid = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
    size = round(columns * max(cell, 1.0)), round(rows * max(cell, 1.0))
    field = np.asarray(grid.resize(size, Image.Resampling.BICUBIC), np.float32)[: shape[0], : shape[1]]
    return (field - field.mean()) / (field.std() + 1e-6)


def _draw_ground(rng: Random, place: Place, size: tuple[int, int]) -> Field:
    """Return sand with rubble, RGB ``(H, W, 3)`` in [0, 1]."""
    width, height = size
    shape = height, width
    relief = 0.5 * noise(rng, shape, width / 9) + 0.25 * noise(rng, shape, width / 40) + 0.15 * noise(rng, shape, width / 250)
    grain = noise(rng, shape, width / 600)
    rubble = np.clip(noise(rng, shape, width / 60) + 0.4 * noise(rng, shape, width / 150) - 0.9, 0, 1)
    light = 0.62 + 0.07 * relief + 0.05 * grain
    picture = np.array(place.sand, np.float32) * light[..., None]
    stones = np.array((0.36, 0.34, 0.33), np.float32) * (0.9 + 0.25 * grain)[..., None]
    return (picture + rubble[..., None] * (stones - picture)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Patch:
    """What a texture is drawn on: the pixels around a colony.

    Attributes:
        rng: Source of everything random.
        unit: The colony's mean radius in pixels.
        rho: ``(H, W)`` distance from the centre over that to the outline: 0 in the centre, 1 at the outline.
        x: ``(H, W)`` offset from the centre, in radii.
        y: The same.
    """

    rng: Random
    unit: float
    rho: Field
    x: Field
    y: Field

    def noise(self, cell: float) -> Field:
        """Return noise with hills of ``cell`` radii."""
        return noise(self.rng, (self.rho.shape[0], self.rho.shape[1]), cell * self.unit)

    @property
    def turn(self) -> Field:
        """The direction from the centre, in radians."""
        return np.asarray(np.arctan2(self.y, self.x), np.float32)


Texture = Callable[[_Patch], Field]


def _draw_colony(rng: Random, picture: Field, colony: _Colony) -> None:
    """Draw a colony into a picture, with its shadow on what lies below."""
    kind = KINDS[colony.label]
    ring, shadow = colony.ring, 0.12 * colony.radius * kind.relief
    margin = 3 + 4 * shadow  # the shadow ends within it
    low = np.maximum(np.floor(ring.min(axis=0) - margin).astype(int), 0)
    high = np.minimum(np.ceil(ring.max(axis=0) + margin).astype(int), [picture.shape[1], picture.shape[0]])
    if (high - low < 3).any():
        return
    area = slice(low[1], high[1]), slice(low[0], high[0])
    columns, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    x, y = (columns - colony.center[0]).astype(np.float32), (rows - colony.center[1]).astype(np.float32)
    reach = np.interp(np.arctan2(y, x), _TURNS, colony.radii, period=2 * np.pi).astype(np.float32)
    rho = np.hypot(x, y) / np.maximum(reach, 1e-3)
    mask = _fill(ring - low, (int(high[0] - low[0]), int(high[1] - low[1])))
    if shadow >= 1:
        dark = ndimage.gaussian_filter(ndimage.shift(mask, round(shadow), order=0), shadow)
        picture[area] *= 1 - 0.55 * (dark * (1 - mask))[..., None]
    patch = _Patch(rng, max(colony.radius, 3.0), rho, x / colony.radius, y / colony.radius)
    texture = kind.texture(patch)
    dome = np.sqrt(np.clip(1 - 0.9 * rho**2, 0.05, 1)) - 0.25 * (patch.x + patch.y) * rho
    crease = 1 - SHADE * np.exp(-np.clip(1 - rho, 0, 1) * 14)  # neighbours shade each other
    lit = (1 + kind.relief * (dome - 0.7)) * crease * (1 + kind.contrast * texture)
    tint = np.array(kind.colour, np.float32) * np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    tint = tint + (np.array(kind.second, np.float32) - tint) * np.clip(0.5 * texture, 0, 1)[..., None]
    drawn = np.clip(tint * lit[..., None], 0, 1)
    picture[area] += mask[..., None] * (drawn - picture[area])


def _fill(ring: NDArray[np.float64], size: tuple[int, int]) -> Field:
    """Return the inside of a ring as 1 on 0, ``(H, W)``, with soft edges."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([tuple(point) for point in ring.tolist()], fill=255)
    return np.asarray(ndimage.gaussian_filter(np.asarray(mask, np.float32) / 255, 0.6), np.float32)


def _under_water(rng: Random, picture: Field, place: Place) -> NDArray[np.uint8]:
    """Put water between reef and camera: haze that takes the red first, uneven light, blur and noise (Jaffe 1990)."""
    height, width = picture.shape[:2]
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    depth = place.haze * (1 + 0.25 * rng.normal()) * (1 - 0.3 * rows + 0.15 * noise(rng, (height, width), width / 3))
    depth = np.clip(depth, 0.08, 0.75)[..., None]
    passes = (1 - depth) ** np.array((1.9, 0.8, 0.7), np.float32)  # red is taken first
    light = (1.12 + 0.08 * noise(rng, (height, width), width / 5))[..., None] * float(np.exp(rng.normal(0.1, 0.1)))
    seen = picture * light * passes + np.array(place.water, np.float32) * (1 - passes)
    blur = place.blur * width * float(np.exp(rng.normal(0, 0.2)))
    if blur > 0.2:
        seen = ndimage.gaussian_filter(seen, (blur, blur, 0))
    seen = seen + 0.012 * rng.standard_normal(seen.shape, np.float32)
    return (np.clip(seen, 0, 1) * 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------------- substrates


def _leaves(p: _Patch) -> Field:
    """Blades that lie over each other: streaks that bend."""
    return np.sin(9 * p.x + 6 * p.y + 2.2 * p.noise(0.35)) + 0.5 * p.noise(0.08)


def _plates(p: _Patch) -> Field:
    """Upright plates with pale rims."""
    across, along = np.sin(7 * p.x + 1.6 * p.noise(0.4)), np.sin(8 * p.y + 1.6 * p.noise(0.4))
    return np.asarray(1.2 * np.maximum(across, along) - 0.6, np.float32)


def _pits(p: _Patch) -> Field:
    """The corallites of a massive coral: fine pits, close together."""
    return 0.7 * (p.noise(0.07) - p.noise(0.12)) + 0.4 * p.noise(0.6)


def _branches(p: _Patch) -> Field:
    """A thicket of branches: bright ridges between dark gaps."""
    return 1.6 - 2.4 * np.abs(p.noise(0.22)) + 0.4 * p.noise(0.06)


def _crust(p: _Patch) -> Field:
    """A thin mottled crust."""
    return 0.8 * p.noise(0.3) + 0.5 * p.noise(0.1)


def _whorls(p: _Patch) -> Field:
    """Sheets around the centre, one above the other."""
    return 1.2 * np.sin(16 * p.rho + 1.5 * p.noise(0.5) + 2 * np.sin(p.turn * 2))


def _septa(p: _Patch) -> Field:
    """Plates from a central mouth to the rim."""
    return np.sin(26 * p.turn + 0.8 * p.noise(0.4)) - 1.6 * np.exp(-((p.rho / 0.15) ** 2))


def _knobs(p: _Patch) -> Field:
    """Lobes, each with light and shade."""
    lobes = p.noise(0.3)
    return 1.1 * np.maximum(lobes, -0.4) + 0.2 * p.noise(0.06)


def _table(p: _Patch) -> Field:
    """A flat plate of fine branches that run outwards."""
    return 0.8 * np.sin(40 * p.turn + 3 * p.noise(0.25)) * np.clip(p.rho, 0.2, 1) + 0.5 * p.rho + 0.4 * p.noise(0.08)


def _polyps(p: _Patch) -> Field:
    """A fleshy surface with many small polyps."""
    dots = p.noise(0.10)
    return 1.4 * np.clip(dots - 0.5, 0, 1.5) - 0.3 + 0.35 * np.sin(5 * p.turn + p.noise(0.6))


def _net(p: _Patch) -> Field:
    """A fan: a net of thin branches."""
    ridges = np.minimum(np.abs(p.noise(0.16)), np.abs(p.noise(0.2)))
    return np.asarray(1.6 - 5 * ridges, np.float32)


def _pores(p: _Patch) -> Field:
    """A smooth body with a few dark openings."""
    return 0.35 * p.noise(0.4) - 2.4 * np.clip(p.noise(0.2) - 1.35, 0, 1)


def _barrel(p: _Patch) -> Field:
    """Ribs down a barrel, and its dark mouth."""
    return 0.9 * np.sin(18 * p.turn + 0.8 * p.noise(0.3)) - 3.0 * special.expit((0.38 - p.rho) * 30) + 0.3 * p.noise(0.08)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a substrate looks like.

    Attributes:
        colour: RGB in [0, 1], above water.
        second: Colour of what stands out.
        texture: Its structure: values around 0, some -2 to 2.
        contrast: How much the structure changes the light.
        relief: How much it rises from the ground.
        ragged: How uneven its outline is.
        size: Its size, in sizes of the place.
        company: Mean number of further colonies that touch one.
    """

    colour: tuple[float, float, float]
    second: tuple[float, float, float]
    texture: Texture
    contrast: float
    relief: float
    ragged: float
    size: float
    company: float


KINDS: dict[int, Kind] = {
    1: Kind((0.30, 0.40, 0.16), (0.48, 0.52, 0.20), _leaves, 0.22, 0.3, 0.13, 0.9, 1.2),
    2: Kind((0.74, 0.56, 0.14), (0.97, 0.90, 0.70), _plates, 0.22, 0.6, 0.12, 0.8, 1.0),
    3: Kind((0.60, 0.50, 0.32), (0.70, 0.62, 0.44), _pits, 0.22, 0.9, 0.05, 1.2, 0.9),
    4: Kind((0.56, 0.44, 0.28), (0.88, 0.80, 0.66), _branches, 0.26, 0.4, 0.14, 1.2, 1.3),
    5: Kind((0.58, 0.34, 0.40), (0.72, 0.52, 0.50), _crust, 0.14, 0.1, 0.16, 0.9, 0.7),
    6: Kind((0.44, 0.46, 0.26), (0.72, 0.70, 0.48), _whorls, 0.15, 0.5, 0.10, 1.1, 1.0),
    7: Kind((0.66, 0.54, 0.42), (0.84, 0.74, 0.62), _septa, 0.20, 0.7, 0.03, 0.55, 1.0),
    8: Kind((0.52, 0.50, 0.22), (0.76, 0.72, 0.38), _knobs, 0.26, 0.8, 0.09, 1.1, 1.2),
    9: Kind((0.46, 0.40, 0.34), (0.74, 0.68, 0.60), _table, 0.26, 0.15, 0.06, 1.8, 0.5),
    10: Kind((0.76, 0.62, 0.58), (0.95, 0.88, 0.84), _polyps, 0.18, 0.5, 0.10, 1.0, 1.6),
    11: Kind((0.52, 0.24, 0.44), (0.74, 0.46, 0.62), _net, 0.20, 0.1, 0.12, 1.2, 0.5),
    12: Kind((0.82, 0.38, 0.16), (0.90, 0.56, 0.30), _pores, 0.24, 0.6, 0.10, 0.7, 1.2),
    13: Kind((0.52, 0.36, 0.30), (0.68, 0.50, 0.42), _barrel, 0.24, 0.7, 0.05, 1.2, 0.4),
}
