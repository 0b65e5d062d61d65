"""A large truth and run of coral polygons, to time the scorer with.

``python tests/coral/large.py FOLDER`` makes the two files there, scores them, and says what that took.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np

from baselines.coral.records import Prediction, Truth, TruthSet, write_truth
from baselines.coral.runs import write_run
from baselines.coral.shapes import Shapes
from baselines.coral.task import IMAGE_SIZE


def blob(rng, points, radius):
    """Return a ring such as annotators draw: around a centre, with some noise."""
    centre = rng.uniform((0, 0), IMAGE_SIZE)
    angles = np.sort(rng.uniform(0, 2 * np.pi, points))
    ring = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.7, 1.3, (points, 1)) * radius
    return np.clip(np.rint(ring), 0, np.array(IMAGE_SIZE) - 1).astype(np.int64)


def make_pair(truth_path, run_path, images=485, objects=20, points=40, seed=0):
    """Write a truth and a run of so many polygons an image; those of the run lie near those of the truth."""
    rng = np.random.default_rng(seed)
    truths, found = {}, []
    for image in range(images):
        name = f"2018_0712_{image:06d}_001"
        rings = [blob(rng, points, rng.uniform(40, 500)) for _ in range(objects)]
        labels = rng.integers(1, 14, objects)
        truths[name] = Truth(name, *IMAGE_SIZE, Shapes.of_rings(rings), labels, np.arange(objects))
        moved = [ring + rng.integers(-40, 41, 2) for ring in rings]
        found.append(Prediction(name, Shapes.of_rings(moved), labels, rng.random(objects)))
    truth_set = TruthSet(truths, "polygons")
    write_truth(truth_path, truth_set)
    write_run(run_path, found, truth_set)


def main(folder):
    import baselines

    truth, run = Path(folder) / "truth.txt", Path(folder) / "run.txt"
    make_pair(truth, run)
    for resamples in (0, 1000):
        started = time.process_time()
        scores = baselines.score("coral-parsing", truth, run, bootstrap=resamples)
        seconds = time.process_time() - started
        sys.stdout.write(f"{resamples} resamples: {seconds:.1f} s of a core, map50 {scores.metrics['map50']:.4f}\n")
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most\n")


if __name__ == "__main__":
    main(sys.argv[1])
