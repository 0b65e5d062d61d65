"""Photo profiles: what a detector found in the photos of each user, and the reader of these files as distributed."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.files import Report, Tally
from baselines.core.findings import Findings, Severity, shorten, show_id
from baselines.core.json_stream import JsonMember, read_json_members

_LAYOUT = 'a user is "id": {"image": ["concept confidence x0 y0 x1 y1", …], …}'


@dataclass(frozen=True, slots=True)
class Profile:
    """The detections in a user's photos; no pixels and no texts come with this task.

    Attributes:
        images: Ids of the photos, in ascending order.
        concepts: ``D`` names of what was detected.
        places: ``(D,) int64``, which of the photos each was detected in.
        confidences: ``(D,) float64`` in [0, 1].
        boxes: ``(D, 4) float64`` xyxy as shares of the photo, in [0, 1].
    """

    images: tuple[str, ...]
    concepts: tuple[str, ...]
    places: NDArray[np.int64]
    confidences: NDArray[np.float64]
    boxes: NDArray[np.float64]

    @classmethod
    def empty(cls) -> Profile:
        """Return a profile without photos."""
        return cls((), (), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)))


def read_profiles(path: Path, rated: Container[str], findings: Findings) -> dict[str, Profile]:
    """Read a file of detections, such as ``predictions_train.json`` of 2022 or 2023: user, image, list of strings.

    A detection that can't be read is left out with a warning, one that is there twice in an image counts once, and what leaves
    its range is clipped.

    Args:
        path: The file.
        rated: The concepts that have ratings; others are counted in a warning.
        findings: Where everything noteworthy is reported, with ``DATA`` codes.

    Returns:
        The profiles by user, in the order of the file; the order of photos and detections in it doesn't matter.
    """
    reader = _Reader(Report(findings, str(path), "DATA"), rated)
    profiles: dict[str, Profile] = {}
    for member in read_json_members(path, findings, "DATA"):
        shown = show_id(member.key)
        if member.key in profiles:
            what, hint = "the user has photos already", "keep one entry"
            reader.report.error("ID-DUPLICATE", what, line=member.key_line, id=shown, hint=hint)
        elif type(member.value) is not dict:
            what = "the user has no object of photos"
            reader.report.error("FIELDS", what, line=member.line, id=shown, value=member.source(), hint=_LAYOUT)
        else:
            profiles[member.key] = reader.profile(member)
    reader.tell()
    return profiles


class _Reader:
    """Reads detections; what concerns many of them is counted, and told once, at the first."""

    def __init__(self, report: Report, rated: Container[str]) -> None:
        self.report, self.rated = report, rated
        self.broken, self.twice, self.outside, self.unrated = Tally(), Tally(), Tally(), Tally()
        self.unrated_concepts: set[str] = set()

    def profile(self, member: JsonMember) -> Profile:
        """Return the profile of a user."""
        rows: list[tuple[int, str, float, tuple[float, ...]]] = []
        for place, image in enumerate(sorted(member.value)):
            found = member.value[image]
            if type(found) is not list:
                what = f"photo {show_id(image)} has no list of detections"
                line, seen = member.line_of(image), member.source(image)
                self.report.error("FIELDS", what, line=line, id=show_id(member.key), value=seen, hint=_LAYOUT)
                continue
            seen_here: set[tuple[Any, ...]] = set()
            for index, text in enumerate(found):
                self._add(rows, seen_here, text, place, member, image, index)
        rows.sort(key=lambda row: (row[0], -row[2], row[1:]))
        if not rows:
            what = "the user has no detections"
            self.report.info("EMPTY-RECORD", what, line=member.line, id=show_id(member.key))
        return Profile(
            tuple(sorted(member.value)),
            tuple(concept for _, concept, _, _ in rows),
            np.array([place for place, _, _, _ in rows], np.int64),
            np.array([confidence for _, _, confidence, _ in rows], np.float64),
            np.array([box for _, _, _, box in rows], np.float64).reshape(-1, 4),
        )

    def _add(
        self,
        rows: list[Any],
        seen_here: set[tuple[Any, ...]],
        text: object,
        place: int,
        member: JsonMember,
        image: str,
        index: int,
    ) -> None:
        detection = parse_detection(text)
        if detection is None:
            self.broken.add(member.line_of(image, index), f"{show_id(member.key)}: {shorten(text)}")
            return
        if detection in seen_here:
            self.twice.add(member.line_of(image, index), f"{show_id(member.key)}: {shorten(text)}")
            return
        seen_here.add(detection)
        concept, confidence, *box = detection
        clipped = [min(max(value, 0.0), 1.0) for value in (confidence, *box)]
        if clipped != [confidence, *box] or clipped[3] <= clipped[1] or clipped[4] <= clipped[2]:
            self.outside.add(member.line_of(image, index), f"{show_id(member.key)}: {shorten(text)}")
        if concept not in self.rated:
            self.unrated.add(member.line_of(image, index), shorten(concept))
            self.unrated_concepts.add(concept)
        rows.append((place, concept, clipped[0], tuple(clipped[1:])))

    def tell(self) -> None:
        """Report what was counted."""
        hint = "due are six fields, blank-separated: concept confidence x0 y0 x1 y1, with decimal points; it is left out"
        what = f"{self.broken.count} detections can't be read"
        self.broken.tell(self.report, Severity.WARNING, "DETECTION-FORM", what, hint)
        what = f"{self.twice.count} detections are there twice in an image"
        self.twice.tell(self.report, Severity.WARNING, "DUPLICATE-OBJECT", what, "they count once")
        what = f"{self.outside.count} detections have a confidence or a corner outside of 0 to 1, or a box without size"
        self.outside.tell(self.report, Severity.WARNING, "DETECTION-FORM", what, "they are clipped to it")
        what = f"{self.unrated.count} detections are of {len(self.unrated_concepts)} concepts without rating"
        self.unrated.tell(self.report, Severity.WARNING, "CONCEPT-NO-RATING", what, "their rating is unknown, not 0")


def parse_detection(text: object) -> tuple[str, float, float, float, float, float] | None:
    """Return concept, confidence and box ``(x0, y0, x1, y1)`` of a detection; ``None`` for what is no such string.

    >>> parse_detection("VC62 0.348204642534256 0.0 0.16885580122470856 1.0 0.3646084666252136")
    ('VC62', 0.348204642534256, 0.0, 0.16885580122470856, 1.0, 0.3646084666252136)
    >>> [parse_detection(text) for text in ("VC62 0.3 0 0 1", "VC62 0,3 0 0 1 1", "VC62 nan 0 0 1 1", None)]
    [None, None, None, None]
    """
    fields = text.split() if isinstance(text, str) else []
    if len(fields) != 6:
        return None
    try:
        confidence, x0, y0, x1, y1 = (float(field) for field in fields[1:])
    except ValueError:
        return None
    if not all(math.isfinite(value) for value in (confidence, x0, y0, x1, y1)):
        return None
    return fields[0], confidence, x0, y0, x1, y1
