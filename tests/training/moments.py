"""Run the toy task uninterrupted, then killed at many moments and started again; print what each run left as JSON.

A script of its own, since it forks: importing torch once and forking before it computes makes a run take well under a second.

Usage: moments.py POINTS FOLDER, with the toy distribution on PYTHONPATH and overrides of the configuration as JSON on stdin.
"""

import hashlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import torch
from imageclef_toy import settings

from baselines.core.config import parse_config
from baselines.training import callbacks, loop
from baselines.training.module import BaselineModule

STEPS = settings("")["trainer"]["max_steps"]


def configure(points, changes):
    plain = settings(points)
    for section, values in changes.items():
        plain[section] |= values
    return parse_config(plain)


def die_at_call(owner, name, number, before=lambda *_: None):
    """Replace a function by one that kills the process when it is called for the ``number``-th time."""
    original, calls = getattr(owner, name), 0

    def counting(*arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls == number:
            before(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **keywords)

    setattr(owner, name, counting)


def half_a_file(_checkpoint, path):
    path.write_bytes(b"PK\3\4 and then the power went")


MOMENTS = {
    **{f"step {step}": lambda step=step: die_at_call(BaselineModule, "training_step", step + 1) for step in range(STEPS)},
    **{f"write {number}": lambda n=number: die_at_call(torch, "save", n, half_a_file) for number in range(1, 24, 2)},
    **{f"rename {number}": lambda n=number: die_at_call(os, "replace", n) for number in (1, 3, 8, 20, 26, 30)},
    **{f"validation {number}": lambda n=number: die_at_call(BaselineModule, "validation_step", n) for number in (1, 4, 6)},
    "predict": lambda: die_at_call(callbacks.RunWriter, "on_predict_batch_end", 2),
    "merge": lambda: die_at_call(loop, "merge_shards", 1),
    "score": lambda: die_at_call(loop, "score", 1),
    "pictures": lambda: die_at_call(loop, "draw_pictures", 1),
}


def in_child(work):
    """Run ``work`` in a forked process and return how it ended, as ``os.waitstatus_to_exitcode`` has it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001  nothing may leave the child
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def left(folder):
    """Return the digests of what has to be the same; times are left out."""
    metrics = [line for line in (folder / "metrics.csv").read_text().splitlines() if "steps_per_second" not in line]
    scores = json.loads((folder / "scores.json").read_text())["metrics"]
    return {
        "run": hashlib.sha256((folder / "run.csv").read_bytes()).hexdigest(),
        "weights": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "metrics": metrics,
        "scores": scores,
        "state": json.loads((folder / "status.json").read_text())["state"],
        "files": sorted(path.name for path in folder.iterdir()),
    }


def main(points, folder):
    changes = json.load(sys.stdin)
    config = configure(points, changes.get("config", {}))
    results = {}
    for name in ("uninterrupted", "again"):
        target = Path(folder) / name
        assert in_child(lambda target=target: loop.run(config, target)) == 0
        results[name] = left(target)
    for name in changes.get("moments") or MOMENTS:
        target = Path(folder) / name.replace(" ", "-")

        def killed(target=target, name=name):
            MOMENTS[name]()
            loop.run(config, target)

        ended = in_child(killed)
        assert in_child(lambda target=target: loop.run(config, target)) == 0, name
        results[name] = {"killed": ended == -signal.SIGKILL, **left(target)}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
