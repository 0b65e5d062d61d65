"""Sample pictures of which none looks like one of another part, as a released data set should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from baselines.core.checks import NEAR_DISTANCE
from baselines.core.images import examine_image, hash_words, near_pairs
from baselines.core.sample_sets import spread

Job = tuple[int, int]  # the part and the number of a picture
_Row = TypeVar("_Row")


def draw_apart(jobs: Sequence[Job], draw: Callable[[Job, int], tuple[Path, _Row]], title: str) -> list[_Row]:
    """Draw pictures, and draw again those that look like one of another part, by the hash that the check compares.

    Args:
        jobs: What to draw.
        draw: Draws a picture, given how often it was drawn before; returns its file and what is to be kept of it.
        title: What is made, for the progress.

    Returns:
        What is kept of each picture, in the order of the jobs.
    """
    drawn = spread(jobs, lambda job: draw(job, 0), title)
    attempts = dict.fromkeys(jobs, 0)
    hashes = [examine_image(path).difference_hash for path, _ in drawn]
    while True:
        pairs = near_pairs(hash_words(hashes), NEAR_DISTANCE).tolist()
        again = {later for first, later in pairs if jobs[first][0] != jobs[later][0]}
        if not again:
            return [row for _, row in drawn]
        for place in again:
            attempts[jobs[place]] += 1
            drawn[place] = draw(jobs[place], attempts[jobs[place]])
            hashes[place] = examine_image(drawn[place][0]).difference_hash
