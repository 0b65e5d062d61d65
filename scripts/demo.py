"""``make demo``: train every baseline on generated sample data, and compare it with the trivial run.

The trivial run looks at no input: it predicts what is most frequent in the training data. A baseline that has learnt something
scores above it, with an interval that doesn't overlap. Started again, the demo skips the runs that are finished.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from baselines.core.findings import Findings
from baselines.core.paths import SCORES, STATUS, TRUTH, file_for, run_name
from baselines.core.report import show
from baselines.core.tasks import TaskCard, all_tasks

# What the demo changes of preset=demo, by experiment: enough steps to beat the trivial run clearly on two CPU cores.
OVERRIDES: dict[str, tuple[str, ...]] = {
    "drawnui_wireframe": ("trainer.max_steps=250", "trainer.validate_every=125"),
    "drawnui_screenshot": ("trainer.max_steps=200", "trainer.validate_every=100"),
}
SAMPLES = Path("data/samples")  # where preset=demo looks
RUNS = Path("runs/demo")
TRIVIAL, TRIVIAL_SCORES = "trivial", "trivial_scores.json"  # in a run folder: the trivial run's folder, and its scores

Row = dict[str, Any]


def main() -> int:
    """Run the demo in the project's folder; return 1 if a run failed."""
    os.chdir(Path(__file__).resolve().parent.parent)
    rows, failed = [], []
    for card in all_tasks().values():
        if card.state != "baseline":
            continue
        print(f"\n== {card.id}", flush=True)
        try:
            rows.append(demonstrate(card))
        except subprocess.CalledProcessError as error:
            print(f"{card.id} failed: `{' '.join(error.cmd[2:])}` ended with exit code {error.returncode}", file=sys.stderr)
            failed.append(card.id)
    RUNS.mkdir(parents=True, exist_ok=True)
    summary = RUNS / "summary.json"
    summary.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    show(table(rows))
    print(f"the same rows are in {summary}, each run in {RUNS}/TASK/EXPERIMENT/")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def demonstrate(card: TaskCard) -> Row:
    """Make the task's sample data, train on them, and score the run and the trivial one.

    Raises:
        subprocess.CalledProcessError: If one of the commands failed; it has printed why.
    """
    experiment = card.experiment
    overrides = ("preset=demo", f"runs_dir={RUNS}", *OVERRIDES.get(experiment, ()))
    # Where several tasks share a fit, the first one trains it.
    folder = RUNS / card.fitted_by / experiment / run_name(overrides)
    imageclef("sample", card.id, "--out", str(SAMPLES))
    imageclef("train", f"experiment={experiment}", *overrides)
    scores = json.loads((folder / file_for(SCORES, card.id, card.fitted_by)).read_text(encoding="utf-8"))
    trivial = score_trivial(card, folder)
    metric = scores["primary"]
    return {
        "task": card.id,
        "metric": metric,
        "score": scores["metrics"][metric],
        "interval": scores["intervals"].get(metric),
        "trivial": trivial["metrics"][metric],
        "trivial_interval": trivial["intervals"].get(metric),
        "seconds": seconds(folder),
    }


def imageclef(*arguments: str, quiet: bool = False) -> None:
    """Run the real command in a process of its own; ``quiet`` drops what it prints but for errors."""
    subprocess.run([sys.executable, "-m", "baselines", *arguments], check=True, stdout=subprocess.DEVNULL if quiet else None)


def score_trivial(card: TaskCard, folder: Path) -> Row:
    """Score, against the truth in a run folder, the run that predicts what is most frequent in the training data."""
    records, findings = card.module("records"), Findings()
    truth = folder / file_for(TRUTH, card.id, card.fitted_by)
    train = records.read_split(SAMPLES, card.id, "train", findings).truth_set
    held_out = records.read_truth(truth, card.id, findings)
    findings.raise_errors()
    run = folder / TRIVIAL / card.run_file
    run.parent.mkdir(exist_ok=True)
    predictions = card.module("score").trivial_predictions(train, held_out)
    card.module("runs").write_run(run, list(predictions.values()), held_out)
    out = folder / file_for(TRIVIAL_SCORES, card.id, card.fitted_by)
    imageclef("score", card.id, "--truth", str(truth), "--run", str(run), "--json", str(out), quiet=True)
    scores: Row = json.loads(out.read_text(encoding="utf-8"))
    return scores


def seconds(folder: Path) -> float:
    """Return how long a finished run took, from its data to its scores; of a resumed one, the part after the resume."""
    status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    return (datetime.fromisoformat(status["updated"]) - datetime.fromisoformat(status["started"])).total_seconds()


def table(rows: list[Row]) -> Table:
    """Lay the rows out for the terminal."""

    def number(value: float | None) -> str:
        return "none" if value is None else f"{value:.3f}"

    def interval(ends: list[float] | None) -> str:
        return "none" if ends is None else f"{ends[0]:.3f}–{ends[1]:.3f}"

    drawn = Table(
        title="Baselines on the generated samples, with 95 % intervals", box=box.SIMPLE, pad_edge=False, collapse_padding=True
    )
    drawn.add_column("task", no_wrap=True)
    drawn.add_column("metric")
    for heading in ("score", "interval", "trivial", "trivial interval", "time"):
        drawn.add_column(heading, justify="right")
    for row in rows:
        drawn.add_row(
            *(row["task"], row["metric"]),
            *(number(row["score"]), interval(row["interval"])),
            *(number(row["trivial"]), interval(row["trivial_interval"])),
            f"{row['seconds']:.0f} s",
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
