"""The drawn radiology-like world of the medical sample data sets: what a study shows, and the picture of it.

A :class:`Study` says what there is to see; :func:`render` draws it. An anatomy is a few shapes, each of a tissue; the modality
gives every tissue its grey value (slices paint over each other, projections add up) and the picture its look: noise, blur,
speckle, the fan of an ultrasound probe. Left and right are the patient's: his right side is on the left of the picture. These
are schemes that a small network can read, not simulations: nothing medical follows from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from baselines.core.pictures import font

Mask = NDArray[np.float64]  # (H, W) in [0, 1]: how much of a pixel a shape covers
Place = tuple[float, float, float]  # x, y and radius, in half sides of the picture

CT, MR, XRAY, ULTRASOUND, ANGIOGRAPHY = "ct", "mr", "xray", "ultrasound", "angiography"
LEFT, RIGHT, BOTH, MIDDLE = "left", "right", "bilateral", ""


@dataclass(frozen=True, slots=True)
class View:
    """A kind of picture: what is imaged, how and from where, with the findings it may show and how often it occurs."""

    modality: str
    organ: str
    plane: str
    findings: tuple[str, ...]
    share: float = 1.0


_BRAIN_LESIONS = ("mass", "hemorrhage", "infarction", "hydrocephalus", "meningioma")
_BONE_FINDINGS = ("fracture", "fixation")
VIEWS = (
    View(CT, "brain", "axial", ("hemorrhage", "infarction", "hydrocephalus", "mass"), 2.0),
    View(CT, "chest", "axial", ("nodule", "effusion", "pneumothorax", "mass"), 2.0),
    View(CT, "chest", "coronal", ("nodule", "effusion", "mass")),
    View(CT, "abdomen", "axial", ("cyst", "stone", "metastases", "mass"), 2.5),
    View(CT, "abdomen", "coronal", ("cyst", "stone", "mass")),
    View(CT, "pelvis", "axial", ("fracture", "fixation", "mass")),
    View(MR, "brain", "axial", _BRAIN_LESIONS, 1.5),
    View(MR, "brain", "sagittal", ("mass", "meningioma", "hydrocephalus")),
    View(MR, "brain", "coronal", ("mass", "hydrocephalus", "meningioma")),
    View(MR, "spine", "sagittal", ("herniation", "fracture", "mass"), 1.5),
    View(MR, "knee", "sagittal", ("effusion", "mass")),
    View(MR, "knee", "coronal", ("effusion", "fracture")),
    View(MR, "abdomen", "axial", ("cyst", "metastases", "mass")),
    View(XRAY, "chest", "frontal", ("effusion", "pneumothorax", "nodule", "cardiomegaly", "foreign body"), 3.0),
    View(XRAY, "chest", "lateral", ("nodule", "effusion")),
    View(XRAY, "pelvis", "frontal", _BONE_FINDINGS),
    View(XRAY, "knee", "frontal", _BONE_FINDINGS),
    View(XRAY, "knee", "lateral", (*_BONE_FINDINGS, "effusion")),
    View(XRAY, "hand", "frontal", (*_BONE_FINDINGS, "foreign body"), 1.2),
    View(XRAY, "spine", "lateral", _BONE_FINDINGS),
    View(ULTRASOUND, "abdomen", "longitudinal", ("cyst", "stone", "mass"), 1.5),
    View(ULTRASOUND, "abdomen", "transverse", ("cyst", "stone", "mass")),
    View(ANGIOGRAPHY, "brain", "frontal", ("aneurysm", "stenosis")),
    View(ANGIOGRAPHY, "brain", "lateral", ("aneurysm", "stenosis")),
    View(ANGIOGRAPHY, "abdomen", "frontal", ("aneurysm", "stenosis")),
)
NORMAL_SHARE, ARROW_SHARE, RARE_SHARE = 0.22, 0.25, 0.12
_RARE = frozenset({"foreign body", "meningioma"})  # chosen less often than the view's other findings
_UNSIDED_FINDINGS = frozenset({"hydrocephalus", "cardiomegaly", "herniation", "metastases"})
_UNSIDED_PLANES = frozenset({"sagittal", "lateral", "longitudinal", "transverse"})
_PAIRED_FINDINGS = frozenset({"effusion", "cyst"})  # may be on both sides


@dataclass(frozen=True, slots=True)
class Study:
    """What a picture shows, all of it visible.

    Attributes:
        modality: One of :data:`CT`, :data:`MR`, :data:`XRAY`, :data:`ULTRASOUND`, :data:`ANGIOGRAPHY`.
        organ: ``brain``, ``chest``, ``abdomen``, ``pelvis``, ``spine``, ``knee`` or ``hand``.
        plane: ``axial``, ``coronal``, ``sagittal``; of projections ``frontal``, ``lateral``; of ultrasound ``longitudinal``,
            ``transverse``.
        finding: What is abnormal, a name of :data:`VIEWS`; empty if nothing is.
        side: ``left``, ``right`` or ``bilateral``, the patient's; empty where the finding or the plane has none.
        technique: ``contrast`` (bright vessels, CT), ``t1`` or ``t2`` (MR), ``doppler`` (coloured flow, ultrasound), or empty.
        size_mm: Diameter of the finding, to scale within a kind of picture.
        arrow: Whether an arrow points at the finding.
    """

    modality: str
    organ: str
    plane: str
    finding: str = ""
    side: str = ""
    technique: str = ""
    size_mm: int = 0
    arrow: bool = False


def draw_study(rng: np.random.Generator) -> Study:
    """Choose a study at random: a view by its share, then what is to be seen in it."""
    shares = np.array([view.share for view in VIEWS])
    view = VIEWS[rng.choice(len(VIEWS), p=shares / shares.sum())]
    finding = ""
    if rng.random() >= NORMAL_SHARE:
        weights = np.array([RARE_SHARE if name in _RARE else 1.0 for name in view.findings])
        finding = view.findings[rng.choice(len(view.findings), p=weights / weights.sum())]
    is_limb = view.organ in {"knee", "hand"}  # which of the two is to be seen without a finding, too
    side = MIDDLE
    if (is_limb or (finding and finding not in _UNSIDED_FINDINGS)) and view.plane not in _UNSIDED_PLANES:
        is_paired = finding in _PAIRED_FINDINGS and not is_limb
        side = BOTH if is_paired and rng.random() < 0.25 else (LEFT, RIGHT)[rng.integers(2)]
    techniques = {CT: ("", "contrast"), MR: ("t1", "t2"), ULTRASOUND: ("", "", "doppler")}.get(view.modality, ("",))
    technique = techniques[rng.integers(len(techniques))]
    size = int(rng.integers(14, 46)) if finding else 0
    arrow = bool(finding and finding not in _UNSIDED_FINDINGS and rng.random() < ARROW_SHARE)
    return Study(view.modality, view.organ, view.plane, finding, side, technique, size, arrow)


# ------------------------------------------------------------------------------------------------------------- picture

# The grey value of each tissue from 0 to 1; of projections what it adds to the attenuation. In a projection lungs take away.
_TISSUES = (
    *("lung", "gas", "fat", "soft", "organ", "grey", "white", "fluid", "vessel"),
    *("bone", "marrow", "lesion", "blood", "edema", "calcium", "metal", "cord"),
)
_ROWS = {
    CT: (0.13, 0.02, 0.28, 0.46, 0.54, 0.50, 0.44, 0.30, 0.52, 0.95, 0.72, 0.66, 0.76, 0.30, 1.00, 1.00, 0.50),
    "t1": (0.04, 0.02, 0.88, 0.34, 0.46, 0.42, 0.60, 0.10, 0.15, 0.05, 0.70, 0.22, 0.80, 0.26, 0.02, 0.00, 0.55),
    "t2": (0.04, 0.02, 0.62, 0.24, 0.34, 0.52, 0.34, 0.97, 0.06, 0.05, 0.42, 0.78, 0.16, 0.86, 0.02, 0.00, 0.40),
    XRAY: (-0.50, -0.30, 0.20, 0.62, 0.22, 0.30, 0.00, 0.42, 0.10, 0.50, 0.05, 0.50, 0.40, 0.20, 0.90, 2.50, 0.00),
    ULTRASOUND: (0.10, 0.90, 0.40, 0.34, 0.46, 0.40, 0.50, 0.02, 0.04, 0.95, 0.40, 0.78, 0.30, 0.20, 1.00, 1.00, 0.40),
    ANGIOGRAPHY: (0.00, 0.00, 0.00, 0.34, 0.00, 0.00, 0.00, 0.00, -1.10, 0.10, 0.00, 0.00, 0.00, 0.00, 0.00, 1.20, 0.00),
}
_LEVELS = {name: dict(zip(_TISSUES, row, strict=True)) for name, row in _ROWS.items()}
_PROJECTIONS = frozenset({XRAY, ANGIOGRAPHY})
_MM_PER_HALF_SIDE = {"brain": 90, "chest": 170, "abdomen": 170, "pelvis": 170, "spine": 110, "knee": 80, "hand": 90}


class _Scene:
    """A picture in the making: coordinates from -1 to 1 along the shorter side, x to the right and y downwards.

    Args:
        study: What is drawn.
        size: Width and height in pixels.
        rng: Decides small differences of position, turn and size.
    """

    def __init__(self, study: Study, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.study, self.rng, self.size = study, rng, size
        width, height = size
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
        self.scale = 2 / min(size)
        x, y = (columns - (width - 1) / 2) * self.scale, (rows - (height - 1) / 2) * self.scale
        turn, zoom = rng.normal(0, 0.05), rng.uniform(0.94, 1.06)
        self.turn, self.zoom, self.shift = turn, zoom, rng.normal(0, 0.035, 2)
        x, y = x - self.shift[0], y - self.shift[1]
        self.x = (math.cos(turn) * x + math.sin(turn) * y) / zoom
        self.y = (-math.sin(turn) * x + math.cos(turn) * y) / zoom
        self.levels = _LEVELS[study.technique if study.modality == MR else study.modality]
        self.values = np.zeros((height, width))
        self.bones = np.zeros((height, width))  # where bone is drawn
        self.room: Mask = np.ones((height, width))  # what a finding stays within; an anatomy narrows it
        self.radius = 0.5 * study.size_mm / _MM_PER_HALF_SIDE[study.organ]

    def vary(self, value: float, share: float = 0.06) -> float:
        """Return a value changed a little."""
        return value * float(self.rng.uniform(1 - share, 1 + share))

    def add(self, tissue: str, mask: Mask, strength: float = 1.0) -> None:
        """Lay a tissue over what is there, or in a projection add what it attenuates."""
        level = self.levels[tissue]
        if tissue == "bone":
            self.bones = np.maximum(self.bones, mask)
        if self.study.modality in _PROJECTIONS:
            self.values += level * strength * mask
        else:
            self.values += strength * mask * (level - self.values)

    def _soft(self, distance: Mask) -> Mask:
        """Turn signed distances, negative inside, into coverage with an edge of two pixels."""
        return np.asarray(np.clip(0.5 - distance / (2 * self.scale), 0, 1))

    def ellipse(self, x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Mask:
        """Return an ellipse; its turn is in radians."""
        dx, dy = self.x - x, self.y - y
        u = (math.cos(turn) * dx + math.sin(turn) * dy) / rx
        v = (-math.sin(turn) * dx + math.cos(turn) * dy) / ry
        return self._soft((np.hypot(u, v) - 1) * min(rx, ry))

    def blob(self, x: float, y: float, radius: float) -> Mask:
        """Return an irregular round shape."""
        angle = np.arctan2(self.y - y, self.x - x)
        bumps = sum(self.rng.uniform(0.04, 0.16) * np.cos(k * angle + self.rng.uniform(0, 6.3)) for k in (2, 3, 5))
        return self._soft(np.hypot(self.x - x, self.y - y) - radius * (1 + bumps))

    def box(self, x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Mask:
        """Return a box with rounded corners."""
        dx, dy = self.x - x, self.y - y
        u = np.abs(math.cos(turn) * dx + math.sin(turn) * dy) / rx
        v = np.abs(-math.sin(turn) * dx + math.cos(turn) * dy) / ry
        return self._soft(((u**4 + v**4) ** 0.25 - 1) * min(rx, ry))

    def stroke(self, points: Sequence[tuple[float, float]], width: float) -> Mask:
        """Return a line through points, ``width`` to either side."""
        nearest = np.full(self.x.shape, np.inf)
        for (x0, y0), (x1, y1) in pairwise(points):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((self.x - x0) * dx + (self.y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
            nearest = np.minimum(nearest, np.hypot(self.x - x0 - along * dx, self.y - y0 - along * dy))
        return self._soft(nearest - width)

    def arc(self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float) -> Mask:
        """Return a part of an ellipse's outline; angles in radians, clockwise from the right."""
        angles = np.linspace(start, end, 14)
        return self.stroke([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles], width)

    def bone(self, mask: Mask, inner: Mask) -> None:
        """Draw a bone: cortex with marrow inside."""
        self.add("bone", mask)
        self.add("marrow", inner)

    def long_bone(self, start: tuple[float, float], end: tuple[float, float], width: float) -> None:
        """Draw a shaft of bone."""
        self.bone(self.stroke([start, end], width), self.stroke([start, end], width * 0.6))

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the scene lies in the picture."""
        u, v = x * self.zoom, y * self.zoom
        px = math.cos(self.turn) * u - math.sin(self.turn) * v + self.shift[0]
        py = math.sin(self.turn) * u + math.cos(self.turn) * v + self.shift[1]
        return px / self.scale + (self.size[0] - 1) / 2, py / self.scale + (self.size[1] - 1) / 2


# Anatomies draw themselves and return where findings go: by side, x, y and the radius of the part that is affected.
Places = dict[str, Place]


def _brain_axial(s: _Scene) -> Places:
    rx, ry = s.vary(0.68), s.vary(0.86)
    s.add("fat", s.ellipse(0, 0, rx + 0.06, ry + 0.06))
    s.add("bone", s.ellipse(0, 0, rx, ry))
    s.room = s.ellipse(0, 0, rx - 0.07, ry - 0.07)
    s.add("grey", s.room)
    for sign in (-1, 1):
        s.add("white", s.ellipse(sign * 0.26, 0, 0.22, 0.52))
    _ventricles(s, [(-0.11, -0.15, 0.35), (0.11, -0.15, -0.35), (-0.13, 0.22, -0.35), (0.13, 0.22, 0.35)])
    s.add("edema", s.stroke([(0, -ry + 0.1), (0, -0.42)], 0.012))
    s.add("edema", s.stroke([(0, 0.48), (0, ry - 0.1)], 0.012))
    return {RIGHT: (-0.34, 0.0, 0.3), LEFT: (0.34, 0.0, 0.3), MIDDLE: (0.3, 0.1, 0.3)}


def _ventricles(s: _Scene, horns: Sequence[tuple[float, float, float]]) -> None:
    grown = 2.1 if s.study.finding == "hydrocephalus" else 1.0
    for x, y, turn in horns:
        s.add("fluid", s.ellipse(x * (1 + 0.35 * (grown - 1)), y, 0.055 * grown, 0.2 * math.sqrt(grown), turn))


def _brain_coronal(s: _Scene) -> Places:
    s.add("soft", s.box(0, 0.62, 0.34, 0.5))
    s.add("fat", s.ellipse(0, -0.1, 0.80, 0.78))
    s.add("bone", s.ellipse(0, -0.1, 0.74, 0.72))
    s.room = s.ellipse(0, -0.1, 0.67, 0.65)
    s.add("grey", s.room)
    s.add("bone", s.stroke([(-0.62, 0.28), (-0.2, 0.34), (0.2, 0.34), (0.62, 0.28)], 0.03))
    s.add("white", s.ellipse(-0.28, -0.2, 0.2, 0.32))
    s.add("white", s.ellipse(0.28, -0.2, 0.2, 0.32))
    s.add("grey", s.ellipse(0, 0.46, 0.42, 0.16))
    s.add("white", s.box(0, 0.3, 0.09, 0.3))
    _ventricles(s, [(-0.12, -0.2, -0.9), (0.12, -0.2, 0.9)])
    s.add("edema", s.stroke([(0, -0.74), (0, -0.35)], 0.012))
    return {RIGHT: (-0.36, -0.15, 0.26), LEFT: (0.36, -0.15, 0.26), MIDDLE: (0.0, -0.1, 0.26)}


def _brain_sagittal(s: _Scene) -> Places:
    s.add("fat", s.ellipse(0.02, -0.16, 0.86, 0.74))
    s.add("soft", s.box(-0.42, 0.5, 0.34, 0.5, 0.15))  # the face looks to the left
    s.add("fat", s.ellipse(-0.86, 0.2, 0.1, 0.12))
    s.add("soft", s.box(0.2, 0.75, 0.32, 0.45))
    s.add("gas", s.ellipse(-0.5, 0.38, 0.2, 0.08))
    s.add("bone", s.ellipse(0.02, -0.16, 0.80, 0.68))
    s.room = s.ellipse(0.02, -0.16, 0.73, 0.61)
    s.add("grey", s.room)
    s.add("white", s.arc(0.0, 0.0, 0.34, 0.26, math.pi, 2 * math.pi, 0.05))
    grown = 0.12 if s.study.finding == "hydrocephalus" else 0.045
    s.add("fluid", s.arc(0.0, 0.06, 0.26, 0.2, math.pi * 1.05, math.pi * 1.95, grown))
    s.add("white", s.stroke([(0.02, 0.1), (0.14, 0.45), (0.16, 0.98)], 0.09))
    s.add("edema", s.ellipse(0.46, 0.26, 0.25, 0.2))
    s.add("grey", s.ellipse(0.46, 0.26, 0.22, 0.17))
    return {MIDDLE: (-0.3, -0.38, 0.26)}


def _chest_axial(s: _Scene) -> Places:
    s.add("fat", s.ellipse(0, 0, s.vary(0.94), 0.66))
    s.add("soft", s.ellipse(0, 0, 0.86, 0.59))
    _lungs(s, 0.44, -0.02, 0.34, 0.46, 0.12)
    for outer in (0, math.pi):
        for angle in (outer - 0.7, outer, outer + 0.7):
            s.add("bone", s.arc(0, 0, 0.84, 0.55, angle - 0.14, angle + 0.14, 0.03))
    s.add("organ", s.ellipse(0.1, -0.14, 0.27, 0.25, 0.4))
    s.add("vessel", s.ellipse(0.12, 0.2, 0.08, 0.08))
    s.add("gas", s.ellipse(-0.03, 0.08, 0.05, 0.05))
    s.bone(s.ellipse(0, 0.38, 0.14, 0.12), s.ellipse(0, 0.38, 0.1, 0.08))
    s.add("bone", s.stroke([(0, 0.5), (0, 0.6)], 0.03))
    s.add("bone", s.stroke([(-0.12, -0.53), (0.12, -0.53)], 0.03))
    return {RIGHT: (-0.5, 0.0, 0.27), LEFT: (0.52, 0.05, 0.27), MIDDLE: (-0.5, 0.0, 0.27)}


def _lungs(s: _Scene, x: float, y: float, rx: float, ry: float, turn: float) -> None:
    right, left = s.ellipse(-x, y, rx, ry, -turn), s.ellipse(x, y, rx, ry, turn)
    s.room = np.maximum(right, left)
    s.add("lung", s.room)


def _chest_frontal(s: _Scene) -> Places:
    s.add("soft", s.box(0, 0.3, 0.84, 1.05))
    s.add("soft", s.box(0, -0.85, 0.2, 0.35), 0.6)
    s.add("soft", s.ellipse(0, -0.55, 0.95, 0.3), 0.5)
    _lungs(s, 0.40, -0.05, 0.29, 0.64, -0.08)
    for sign, start, end in ((-1, math.pi + 1.4, math.pi - 0.3), (1, -1.4, 0.3)):
        for rib in range(7):
            s.add("bone", s.arc(sign * 0.2, -0.43 + 0.17 * rib, 0.5, 0.26, start, end, 0.016), 0.55)
        s.add("bone", s.stroke([(sign * 0.08, -0.66), (sign * 0.62, -0.76)], 0.03), 0.8)
    s.add("bone", s.stroke([(0, -1), (0, 1)], 0.07), 0.6)
    heart = 0.46 if s.study.finding == "cardiomegaly" else 0.27
    s.add("organ", s.ellipse(0.10, 0.26, heart, 0.27, 0.5), 2.6)
    s.add("organ", s.box(0, -0.2, 0.11, 0.4), 1.2)
    s.add("organ", s.ellipse(-0.42, 0.86, 0.42, 0.32), 2.0)
    s.add("organ", s.ellipse(0.42, 0.92, 0.42, 0.32), 1.6)
    return {RIGHT: (-0.44, -0.08, 0.22), LEFT: (0.46, -0.12, 0.22), MIDDLE: (0.0, 0.0, 0.22)}


def _chest_coronal(s: _Scene) -> Places:
    s.add("fat", s.box(0, 0.25, 0.9, 1.1))
    s.add("soft", s.box(0, 0.25, 0.82, 1.05))
    s.add("soft", s.box(0, -0.9, 0.22, 0.3))
    _lungs(s, 0.42, -0.1, 0.32, 0.62, -0.08)
    for sign in (-1, 1):
        for rib in range(6):
            s.add("bone", s.ellipse(sign * (0.76 - 0.02 * abs(rib - 3)), -0.55 + 0.2 * rib, 0.045, 0.06))
    s.add("organ", s.ellipse(0.08, 0.18, 0.24, 0.28, 0.5))
    s.add("vessel", s.stroke([(0.02, -0.45), (0.06, 0.0)], 0.07))
    s.add("gas", s.stroke([(0, -0.95), (0, -0.35)], 0.04))
    s.add("organ", s.ellipse(-0.38, 0.72, 0.42, 0.26))
    s.add("organ", s.ellipse(0.5, 0.76, 0.24, 0.2))
    return {RIGHT: (-0.45, -0.1, 0.24), LEFT: (0.47, -0.15, 0.24), MIDDLE: (0.45, -0.1, 0.24)}


def _chest_lateral(s: _Scene) -> Places:
    s.add("soft", s.box(0, 0.15, 0.66, 1.1))
    s.room = s.ellipse(-0.02, -0.08, 0.46, 0.66)
    s.add("lung", s.room)
    for rib in range(6):
        y = -0.6 + 0.2 * rib
        s.add("bone", s.stroke([(0.5, y), (-0.1, y + 0.22), (-0.5, y + 0.34)], 0.016), 0.6)
    for number in range(9):
        s.add("bone", s.box(0.52 + 0.05 * math.sin(number), -0.9 + 0.22 * number, 0.09, 0.085), 1.0)
    s.add("organ", s.ellipse(-0.24, 0.22, 0.25, 0.27, 0.4), 2.4)
    s.add("organ", s.ellipse(0.0, 0.88, 0.6, 0.32), 2.0)
    s.add("bone", s.stroke([(-0.58, -0.5), (-0.6, 0.3)], 0.03), 0.7)
    return {MIDDLE: (0.14, -0.22, 0.24)}


def _abdomen_axial(s: _Scene) -> Places:
    s.add("fat", s.ellipse(0, 0, s.vary(0.95), 0.7))
    s.add("soft", s.ellipse(0, 0, 0.87, 0.62))
    s.add("fat", s.ellipse(0.02, 0.02, 0.8, 0.55))
    s.add("organ", s.ellipse(-0.43, -0.1, 0.36, 0.36, -0.4))
    s.add("organ", s.ellipse(0.62, 0.02, 0.12, 0.24, -0.3))
    for sign in (-1, 1):
        _kidney(s, sign * 0.4, 0.3, 0.13, 0.16)
    for _ in range(4):
        x, y = s.rng.uniform(-0.05, 0.5), s.rng.uniform(-0.42, -0.12)
        s.add("soft", s.ellipse(x, y, 0.12, 0.09))
        s.add("gas", s.ellipse(x, y - 0.02, 0.06, 0.04))
    s.add("vessel", s.ellipse(0.05, 0.16, 0.065, 0.065))
    s.add("vessel", s.ellipse(-0.12, 0.15, 0.06, 0.05))
    s.bone(s.ellipse(0, 0.36, 0.15, 0.13), s.ellipse(0, 0.36, 0.11, 0.09))
    s.add("bone", s.stroke([(0, 0.48), (0, 0.6)], 0.03))
    return {RIGHT: (-0.4, 0.3, 0.14), LEFT: (0.4, 0.3, 0.14), MIDDLE: (-0.43, -0.1, 0.28)}


def _kidney(s: _Scene, x: float, y: float, rx: float, ry: float) -> None:
    s.add("organ", s.ellipse(x, y, rx, ry))
    s.add("vessel" if s.study.technique == "contrast" else "fat", s.ellipse(x * 0.93, y, rx * 0.4, ry * 0.45))


def _abdomen_coronal(s: _Scene) -> Places:
    s.add("fat", s.box(0, 0.1, 0.84, 1.2))
    s.add("soft", s.box(0, 0.1, 0.76, 1.15))
    s.add("fat", s.box(0, 0.1, 0.69, 1.1))
    s.add("lung", s.ellipse(-0.36, -0.95, 0.33, 0.28))
    s.add("lung", s.ellipse(0.38, -0.92, 0.3, 0.28))
    s.add("organ", s.ellipse(-0.34, -0.5, 0.34, 0.3, 0.4))
    s.add("organ", s.ellipse(0.5, -0.45, 0.14, 0.22))
    for number in range(8):
        y = -0.9 + 0.25 * number
        s.bone(s.box(0, y, 0.13, 0.1), s.box(0, y, 0.1, 0.07))
    for sign in (-1, 1):
        _kidney(s, sign * 0.42, 0.08, 0.14, 0.24)
        s.add("soft", s.stroke([(sign * 0.2, 0.1), (sign * 0.4, 0.75)], 0.09))
        s.add("bone", s.arc(sign * 0.45, 0.95, 0.26, 0.3, math.pi, 2 * math.pi, 0.05))
    s.add("vessel", s.stroke([(0.06, -0.8), (0.05, 0.45)], 0.05))
    return {RIGHT: (-0.42, 0.08, 0.17), LEFT: (0.42, 0.08, 0.17), MIDDLE: (-0.34, -0.5, 0.22)}


def _abdomen_ultrasound(s: _Scene) -> Places:
    s.add("soft", np.ones_like(s.x))
    s.add("fat", s.stroke([(-1, -0.72), (1, -0.66)], 0.1), 0.8)
    s.add("organ", s.ellipse(-0.15, -0.1, 0.75, 0.5))
    if s.study.plane == "longitudinal":
        s.add("soft", s.ellipse(0.1, 0.3, 0.52, 0.24, 0.2), 0.9)
        s.add("gas", s.ellipse(0.1, 0.3, 0.3, 0.07, 0.2), 0.9)
        place = (-0.05, 0.22, 0.2)
    else:
        s.add("soft", s.ellipse(0.22, 0.28, 0.25, 0.25), 0.9)
        s.add("gas", s.ellipse(0.22, 0.28, 0.09, 0.07), 0.9)
        s.add("vessel", s.ellipse(-0.35, 0.1, 0.11, 0.1))
        s.add("bone", s.arc(-0.1, 0.85, 0.25, 0.2, math.pi, 2 * math.pi, 0.03))
        place = (0.1, 0.22, 0.2)
    return {MIDDLE: place}


def _pelvis_frontal(s: _Scene) -> Places:
    s.add("soft", s.box(0, 0, 1.15, 1.1))
    s.add("bone", s.box(0, -0.5, 0.17, 0.42), 0.9)
    for sign in (-1, 1):
        wing = s.ellipse(sign * 0.52, -0.42, 0.36, 0.42, sign * 0.6)
        s.add("bone", wing, 0.7)
        s.add("bone", s.arc(sign * 0.2, 0.02, 0.26, 0.34, 0, 2 * math.pi, 0.05), 0.9)
        s.add("bone", s.ellipse(sign * 0.26, 0.42, 0.16, 0.14), 0.7)
        s.add("gas", s.ellipse(sign * 0.26, 0.42, 0.08, 0.07), 1.0)
        s.add("bone", s.ellipse(sign * 0.62, 0.1, 0.15, 0.15), 1.0)
        s.add("bone", s.stroke([(sign * 0.64, 0.12), (sign * 0.8, 0.3), (sign * 0.78, 1.1)], 0.1), 1.0)
    return {RIGHT: (-0.76, 0.5, 0.12), LEFT: (0.76, 0.5, 0.12), MIDDLE: (0.76, 0.5, 0.12)}


def _pelvis_axial(s: _Scene) -> Places:
    s.add("fat", s.ellipse(0, 0, s.vary(0.96), 0.66))
    s.add("soft", s.ellipse(0, 0.03, 0.86, 0.53))
    s.add("fat", s.ellipse(0, -0.02, 0.42, 0.42))
    s.add("fluid", s.ellipse(0, -0.16, 0.24, 0.19))
    s.add("organ", s.ellipse(0, 0.14, 0.2, 0.1))
    s.add("gas", s.ellipse(0.02, 0.32, 0.07, 0.06))
    for sign in (-1, 1):
        s.bone(s.ellipse(sign * 0.58, 0.0, 0.16, 0.17), s.ellipse(sign * 0.58, 0.0, 0.12, 0.13))
        s.add(
            "bone",
            s.arc(sign * 0.56, 0.0, 0.23, 0.24, (math.pi if sign > 0 else 0) - 1.2, (math.pi if sign > 0 else 0) + 1.2, 0.04),
        )
    s.bone(s.box(0, 0.48, 0.18, 0.07), s.box(0, 0.48, 0.13, 0.04))
    x = 0.36 if s.study.finding == "mass" else 0.58  # in the soft parts, or in the bone
    return {RIGHT: (-x, 0.0, 0.14), LEFT: (x, 0.0, 0.14), MIDDLE: (x, 0.0, 0.14)}


def _spine_sagittal(s: _Scene) -> Places:
    s.add("fat", s.box(0.1, 0, 0.8, 1.3))
    s.add("soft", s.box(-0.35, 0, 0.4, 1.3))
    s.add("soft", s.stroke([(0.55, -1.2), (0.62, 1.2)], 0.16))

    def centre(y: float) -> float:
        return 0.1 - 0.12 * math.cos(1.6 * y)

    s.add("fluid", s.stroke([(centre(y) + 0.26, y) for y in np.linspace(-1.2, 1.2, 12)], 0.07))
    s.add("cord", s.stroke([(centre(y) + 0.26, y) for y in np.linspace(-1.2, 0.3, 8)], 0.035))
    for number in range(8):
        y = -1.0 + 0.28 * number
        s.bone(s.box(centre(y), y, 0.17, 0.105), s.box(centre(y), y, 0.145, 0.08))
        s.add("fluid" if s.study.technique == "t2" else "soft", s.box(centre(y + 0.14), y + 0.14, 0.15, 0.025))
        s.bone(s.box(centre(y) + 0.47, y + 0.1, 0.12, 0.05, 0.5), s.box(centre(y) + 0.47, y + 0.1, 0.1, 0.03, 0.5))
    return {MIDDLE: (centre(0.12), 0.12, 0.14)}


def _knee_frontal(s: _Scene) -> Places:
    s.add("soft", s.box(0, 0, 0.62, 1.4))
    s.long_bone((0, -1.3), (0, -0.45), 0.2)
    for sign in (-1, 1):
        s.bone(s.ellipse(sign * 0.2, -0.3, 0.24, 0.24), s.ellipse(sign * 0.2, -0.3, 0.19, 0.19))
    s.bone(s.box(0, 0.14, 0.44, 0.12), s.box(0, 0.14, 0.4, 0.08))
    s.long_bone((-0.02, 0.25), (-0.02, 1.3), 0.2)
    fibula = -1 if s.study.side == RIGHT else 1  # the fibula is on the outer side: it says which knee this is
    s.long_bone((fibula * 0.42, 0.34), (fibula * 0.38, 1.3), 0.07)
    return dict.fromkeys((LEFT, RIGHT, MIDDLE), (-0.02, 0.55, 0.18))


def _knee_sagittal(s: _Scene) -> Places:
    s.add("fat", s.box(0, 0, 0.66, 1.4))
    s.add("soft", s.box(0.1, 0, 0.5, 1.4))
    s.long_bone((0.1, -1.3), (0.08, -0.45), 0.19)
    s.bone(s.ellipse(0.06, -0.26, 0.32, 0.28), s.ellipse(0.06, -0.26, 0.27, 0.23))
    s.bone(s.box(0.06, 0.2, 0.34, 0.13), s.box(0.06, 0.2, 0.3, 0.09))
    s.long_bone((0.04, 0.3), (0.06, 1.3), 0.18)
    s.bone(s.ellipse(-0.42, -0.28, 0.09, 0.18, 0.15), s.ellipse(-0.42, -0.28, 0.06, 0.14, 0.15))
    s.add("cord", s.stroke([(-0.42, -0.12), (-0.22, 0.3)], 0.03))
    return {MIDDLE: (0.05, 0.6, 0.17)}


def _hand(s: _Scene) -> Places:
    mirrored = -1 if s.study.side == LEFT else 1  # the thumb says which hand this is
    fingers = ((-0.36, -0.42), (-0.14, -0.62), (0.08, -0.68), (0.3, -0.56))
    s.add("soft", s.box(0, 0.38, 0.4, 0.42))
    s.add("soft", s.box(0, 1.0, 0.26, 0.5))
    thumb = [(mirrored * 0.32, 0.5), (mirrored * 0.58, 0.16), (mirrored * 0.72, -0.16)]
    for place, tip in fingers:
        x = -mirrored * place
        joints = [0.56, 0.12, tip + 0.34, tip + 0.14, tip]
        s.add("soft", s.stroke([(x, 0.2), (x * 1.15, tip)], 0.095))
        for lower, upper in pairwise(joints):
            s.long_bone((x * 1.1, lower - 0.05), (x * 1.1, upper + 0.05), 0.042)
    s.add("soft", s.stroke(thumb, 0.11))
    for start, end in pairwise(thumb):
        middle = ((start[0] + 2 * end[0]) / 3, (start[1] + 2 * end[1]) / 3)
        s.long_bone(start, middle, 0.045)
    for number in range(7):
        s.bone(s.ellipse(-0.2 + 0.13 * (number % 4), 0.68 + 0.12 * (number // 4), 0.07, 0.06), s.ellipse(0, 9, 0.1, 0.1))
    s.long_bone((-0.12, 0.92), (-0.12, 1.4), 0.1)
    s.long_bone((0.13, 0.92), (0.13, 1.4), 0.08)
    return dict.fromkeys((LEFT, RIGHT, MIDDLE), (fingers[1][0] * -mirrored * 1.1, 0.34, 0.1))


def _vessel_tree(s: _Scene, x: float, y: float, angle: float, length: float, width: float) -> None:
    """Draw a vessel and the two that it divides into, down to the thin ones."""
    if width < 0.007:
        return
    bend = angle + s.rng.normal(0, 0.25)
    middle = (x + 0.5 * length * math.cos(angle), y + 0.5 * length * math.sin(angle))
    end = (middle[0] + 0.5 * length * math.cos(bend), middle[1] + 0.5 * length * math.sin(bend))
    s.add("vessel", s.stroke([(x, y), middle, end], width), 0.75)
    for sign in (-1, 1):
        _vessel_tree(s, *end, bend + sign * s.rng.uniform(0.25, 0.75), length * s.rng.uniform(0.68, 0.85), width * 0.66)


def _brain_vessels(s: _Scene) -> Places:
    lateral = s.study.plane == "lateral"
    s.add("soft", s.ellipse(0, -0.1, 0.84 if lateral else 0.7, 0.78))
    s.add("bone", s.arc(0, -0.1, 0.82 if lateral else 0.68, 0.76, 0, 6.3, 0.03))
    side = -1 if s.study.side == RIGHT else 1
    x = 0.1 if lateral else 0.14 * side
    carotid = [(x, 1.1), (x + 0.06, 0.6), (x - 0.05, 0.4), (x, 0.22)]
    narrow = s.study.finding == "stenosis"
    s.add("vessel", s.stroke(carotid[:2], 0.045))
    s.add("vessel", s.stroke(carotid[1:3], 0.014 if narrow else 0.045))
    s.add("vessel", s.stroke(carotid[2:], 0.045))
    directions = (-2.3, -1.5, -0.5) if lateral else (-1.5, -0.35 if side > 0 else -2.8)
    for angle in directions:
        _vessel_tree(s, x, 0.22, angle, 0.34, 0.032)
    place = (x, 0.2, 0.1) if s.study.finding != "stenosis" else (x, 0.5, 0.1)
    return dict.fromkeys((LEFT, RIGHT, MIDDLE), place)


def _abdomen_vessels(s: _Scene) -> Places:
    s.add("soft", s.box(0, 0, 0.95, 1.3))
    for number in range(9):
        s.add("bone", s.box(0, -1.1 + 0.27 * number, 0.17, 0.1))
    s.add("vessel", s.stroke([(0.02, -1.2), (0.0, 0.45)], 0.09))
    places: Places = {}
    for side, sign in ((RIGHT, -1), (LEFT, 1)):
        s.add("vessel", s.stroke([(0, 0.42), (sign * 0.3, 1.2)], 0.06), 0.9)
        narrow = s.study.finding == "stenosis" and s.study.side == side
        s.add("vessel", s.stroke([(0.06 * sign, -0.28), (sign * 0.2, -0.22)], 0.03))
        s.add("vessel", s.stroke([(sign * 0.2, -0.22), (sign * 0.32, -0.2)], 0.01 if narrow else 0.03))
        s.add("vessel", s.stroke([(sign * 0.32, -0.2), (sign * 0.46, -0.18)], 0.03))
        for angle in (-0.5, 0.4):
            _vessel_tree(s, sign * 0.46, -0.18, angle if sign > 0 else math.pi - angle, 0.16, 0.02)
        places[side] = (sign * 0.27, -0.22, 0.1)
    return places | {MIDDLE: (0.0, 0.1, 0.1)}


_ANATOMIES: Mapping[tuple[str, str, str], Callable[[_Scene], Places]] = {
    ("slice", "brain", "axial"): _brain_axial,
    ("slice", "brain", "coronal"): _brain_coronal,
    ("slice", "brain", "sagittal"): _brain_sagittal,
    ("slice", "chest", "axial"): _chest_axial,
    ("slice", "chest", "coronal"): _chest_coronal,
    ("slice", "abdomen", "axial"): _abdomen_axial,
    ("slice", "abdomen", "coronal"): _abdomen_coronal,
    ("slice", "pelvis", "axial"): _pelvis_axial,
    ("slice", "spine", "sagittal"): _spine_sagittal,
    ("slice", "knee", "sagittal"): _knee_sagittal,
    ("slice", "knee", "coronal"): _knee_frontal,
    (XRAY, "chest", "frontal"): _chest_frontal,
    (XRAY, "chest", "lateral"): _chest_lateral,
    (XRAY, "pelvis", "frontal"): _pelvis_frontal,
    (XRAY, "knee", "frontal"): _knee_frontal,
    (XRAY, "knee", "lateral"): _knee_sagittal,
    (XRAY, "hand", "frontal"): _hand,
    (XRAY, "spine", "lateral"): _spine_sagittal,
    (ULTRASOUND, "abdomen", "longitudinal"): _abdomen_ultrasound,
    (ULTRASOUND, "abdomen", "transverse"): _abdomen_ultrasound,
    (ANGIOGRAPHY, "brain", "frontal"): _brain_vessels,
    (ANGIOGRAPHY, "brain", "lateral"): _brain_vessels,
    (ANGIOGRAPHY, "abdomen", "frontal"): _abdomen_vessels,
}


# Findings draw themselves at a place: x, y and the radius of the part that is affected.


def _lesion(s: _Scene, x: float, y: float, reach: float) -> None:
    x, y = x + s.rng.uniform(-0.4, 0.4) * reach, y + s.rng.uniform(-0.5, 0.5) * reach
    if s.study.finding == "infarction":
        s.add("edema", s.room * s.ellipse(x, y, 1.2 * s.radius + 0.06, s.radius + 0.1, math.copysign(0.6, x)))
        return
    if s.study.finding == "mass" and s.study.organ == "brain":
        s.add("edema", s.room * s.blob(x, y, s.radius + 0.1))
    s.add("lesion" if s.study.finding == "mass" else "blood", s.room * s.blob(x, y, s.radius + 0.03))


def _meningioma(s: _Scene, x: float, y: float, _reach: float) -> None:  # at the edge, smooth and round
    tissue = "blood" if s.study.technique == "t1" else "lesion"
    s.add(tissue, s.room * s.ellipse(1.35 * x, y - 0.25, s.radius + 0.06, s.radius + 0.06))


def _nodule(s: _Scene, x: float, y: float, _reach: float) -> None:
    x, size = x + math.copysign(0.1, x) * s.rng.random(), 0.4 * s.radius + 0.04
    s.add("lesion", s.room * s.ellipse(x, y - 0.1, size, size), 1.4 if s.study.modality == XRAY else 1.0)


def _metastases(s: _Scene, x: float, y: float, reach: float) -> None:
    for dx, dy in s.rng.uniform(-0.7, 0.7, (7, 2)) * reach:
        s.add("edema" if s.study.modality == CT else "lesion", s.ellipse(x + dx, y + dy, 0.045, 0.045))


def _cyst(s: _Scene, x: float, y: float, _reach: float) -> None:
    s.add("fluid", s.ellipse(x + math.copysign(0.06, x), y + 0.02, s.radius + 0.03, s.radius + 0.03))


def _stone(s: _Scene, x: float, y: float, _reach: float) -> None:
    s.add("calcium", s.ellipse(x, y, 0.3 * s.radius + 0.025, 0.25 * s.radius + 0.02))
    if s.study.modality == ULTRASOUND:  # nothing behind a stone returns an echo
        s.add("fluid", s.box(x * 1.2, y + 0.6, 0.3 * s.radius + 0.03, 0.55), 0.85)


def _effusion(s: _Scene, x: float, y: float, _reach: float) -> None:  # in a joint, or where it runs to in a lung
    amount = 0.5 * s.radius
    if s.study.organ == "knee":
        s.add("fluid", s.ellipse(0.0, -0.02, 0.42, 0.07 + amount))
        if s.study.plane != "coronal":
            s.add("fluid", s.ellipse(-0.36, -0.55, 0.1 + amount, 0.26))
    elif s.study.plane == "axial":  # the patient lies on his back
        s.add("fluid", s.room * s.ellipse(x, y + 0.38, 0.42, 0.2 + amount))
    else:
        s.add("fluid", s.room * s.ellipse(x, y + 0.58, 0.42, 0.3 + amount), 1.5 if s.study.modality == XRAY else 1.0)


def _pneumothorax(s: _Scene, x: float, y: float, _reach: float) -> None:  # air beside the edge of a collapsed lung
    outward = math.copysign(1.0, x)
    start, end = (-1.3, 1.3) if outward > 0 else (math.pi + 1.3, math.pi - 1.3)
    s.add("gas", s.room * s.ellipse(x + 0.13 * outward, y - 0.2, 0.12, 0.34), 1.2 if s.study.modality == XRAY else 1.0)
    s.add("bone", s.room * s.arc(x - 0.05 * outward, y - 0.15, 0.1, 0.4, start, end, 0.008), 0.6)


def _fracture(s: _Scene, x: float, y: float, _reach: float) -> None:
    gap = s.stroke([(x - 0.35, y - 0.1), (x + 0.35, y + 0.1)], 0.025) * s.bones
    s.add("gas" if s.study.modality == XRAY else "lung", gap, 2.5 if s.study.modality == XRAY else 1.0)


def _fixation(s: _Scene, x: float, y: float, _reach: float) -> None:  # a plate and its screws
    s.add("metal", s.stroke([(x + 0.05, y - 0.28), (x + 0.05, y + 0.28)], 0.028))
    for step in np.linspace(-0.22, 0.22, 5):
        s.add("metal", s.stroke([(x - 0.13, y + step), (x + 0.06, y + step)], 0.012))


def _herniation(s: _Scene, x: float, y: float, _reach: float) -> None:
    s.add("cord" if s.study.technique == "t2" else "soft", s.ellipse(x + 0.21, y + 0.02, 0.09 + 0.3 * s.radius, 0.07))


def _foreign_body(s: _Scene, x: float, y: float, _reach: float) -> None:
    s.add("metal", s.stroke([(x - 0.1, y - 0.12), (x + 0.12, y + 0.1)], 0.025))
    s.add("metal", s.ellipse(x - 0.1, y - 0.12, 0.05, 0.05))


def _aneurysm(s: _Scene, x: float, y: float, _reach: float) -> None:
    s.add("vessel", s.ellipse(x + math.copysign(0.04, x), y, s.radius * 0.5 + 0.07, s.radius * 0.5 + 0.07), 0.8)


# Hydrocephalus, cardiomegaly and stenosis are not here: the anatomies draw larger ventricles, a larger heart, a thinner vessel.
_FINDINGS: Mapping[str, Callable[[_Scene, float, float, float], None]] = {
    **dict.fromkeys(("mass", "hemorrhage", "infarction"), _lesion),
    "meningioma": _meningioma,
    "nodule": _nodule,
    "metastases": _metastases,
    "cyst": _cyst,
    "stone": _stone,
    "effusion": _effusion,
    "pneumothorax": _pneumothorax,
    "fracture": _fracture,
    "fixation": _fixation,
    "herniation": _herniation,
    "foreign body": _foreign_body,
    "aneurysm": _aneurysm,
}


def _finish(s: _Scene, values: Mask) -> Mask:
    """Give a picture the look of its modality; returns values in [0, 1]."""
    rng, modality = s.rng, s.study.modality
    if modality == CT:
        return ndimage.gaussian_filter(values, 0.6) + rng.normal(0, 0.025, values.shape)
    if modality == MR:
        bias = 1 + 0.18 * np.sin(s.x * rng.uniform(0.8, 1.5) + rng.uniform(0, 6)) * np.cos(s.y + rng.uniform(0, 6))
        smooth = ndimage.gaussian_filter(values, 1.0) * bias
        return np.asarray(np.hypot(smooth + rng.normal(0, 0.03, values.shape), rng.normal(0, 0.03, values.shape)))
    if modality == ULTRASOUND:
        return _fan(s, values)
    if modality == XRAY:
        picture = 1 - np.exp(-1.15 * ndimage.gaussian_filter(np.clip(values, 0, None), 0.8))
    else:
        picture = np.clip(0.78 + 0.75 * (ndimage.gaussian_filter(values, 0.7) - 0.34), 0.05, 0.9)
    return np.asarray(picture + rng.normal(0, 0.018, values.shape))


def _fan(s: _Scene, values: Mask) -> Mask:
    """Cut the fan of a probe out and add speckle, which is coarser with depth."""
    depth, angle = np.hypot(s.x, s.y + 1.35), np.arctan2(s.x, s.y + 1.35)
    speckle = ndimage.gaussian_filter(s.rng.rayleigh(1.0, values.shape), (0.7, 1.3))
    echo = ndimage.gaussian_filter(values, 1.2) * (0.25 + 0.75 * speckle / speckle.mean()) * (1.15 - 0.25 * depth)
    inside = (np.abs(angle) < 0.68) & (depth > 0.45) & (depth < 2.2)
    return np.where(inside, echo, 0.0)


def render(study: Study, rng: np.random.Generator) -> Image.Image:
    """Draw a study: a picture of 112 to 240 pixels a side, in mode ``L``, or ``RGB`` where there is colour in it."""
    short = int(rng.integers(112, 200))
    tall = study.organ in {"spine", "knee", "hand"} or (study.organ != "brain" and study.plane in {"coronal", "lateral"})
    wide = study.plane == "axial" and study.organ != "brain"
    size = (short, round(short * 1.2)) if tall else (round(short * 1.2), short) if wide else (short, short)
    scene = _Scene(study, size, rng)
    kind = "slice" if study.modality in {CT, MR} else study.modality
    if study.technique == "contrast":
        scene.levels = {**scene.levels, "vessel": 0.92, "organ": 0.64, "lesion": 0.80}
    places = _ANATOMIES[kind, study.organ, study.plane](scene)
    sides = [LEFT, RIGHT] if study.side == BOTH else [study.side]
    if study.finding in _FINDINGS:
        for side in sides:
            _FINDINGS[study.finding](scene, *places[side])
    values = np.clip(_finish(scene, scene.values), 0, 1) ** rng.uniform(0.85, 1.15)
    picture = Image.fromarray((values * 255).round().astype(np.uint8))
    return _annotate(scene, picture, places[sides[0]])


def _annotate(s: _Scene, picture: Image.Image, place: Place) -> Image.Image:
    """Add what is not anatomy: colour flow, an arrow at the finding, the marker of an X-ray."""
    study = s.study
    if study.technique == "doppler":
        picture = picture.convert("RGB")
        flow = np.array(picture, np.float64)
        for x, colour in ((-0.18, (230, 60, 40)), (0.14, (50, 90, 235))):
            mask = s.blob(place[0] + x, place[1] - 0.3, 0.12)[..., None]
            flow = flow * (1 - mask) + mask * np.array(colour) * s.rng.uniform(0.7, 1.0, flow.shape[:2])[..., None]
        picture = Image.fromarray(flow.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    white: object = 255 if picture.mode == "L" else (255, 255, 0)
    unit = min(picture.size) / 160
    if study.arrow:
        tip = np.array(s.pixel(place[0], place[1]))
        away = np.array([1.0 if place[0] <= 0 else -1.0, -0.8]) * (16 + 90 * s.radius) * unit * 0.7
        head, tail = tip + 0.55 * away, tip + 1.6 * away
        pen.line([*head, *tail], fill=white, width=max(2, round(2.2 * unit)))  # type: ignore[arg-type]
        normal = np.array([-away[1], away[0]]) * 0.22
        pen.polygon([*(head - 0.3 * away), *(head + 0.25 * away + normal), *(head + 0.25 * away - normal)], fill=white)  # type: ignore[arg-type]
    if study.modality == XRAY and study.plane == "frontal":
        letter = "L" if study.side == LEFT and study.organ in {"knee", "hand"} else "R"
        pen.text((5 * unit, 5 * unit), letter, fill=white, font=font(round(16 * unit)))  # type: ignore[arg-type]
    return picture
