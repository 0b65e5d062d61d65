"""The verbs that need no torch: ``imageclef tasks``, ``validate``, ``score``, ``compare`` and ``sample``.

Each takes the parsed arguments and returns the exit code. Results go to stdout, findings to stderr.
"""

from __future__ import annotations

import argparse
import inspect
import platform
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from baselines.core import compare as leaderboard
from baselines.core import report, scorer
from baselines.core.findings import Findings, InvalidInput, Severity, UsageError
from baselines.core.outputs import check_outputs, write_atomic
from baselines.core.tasks import TaskCard, all_tasks, get_task

LISTED = 20  # findings of a run that `compare` prints
SCORER_FAILED = 3  # as every bug of the project exits


def tasks(args: argparse.Namespace) -> int:
    """Print a table of all tasks, or the card of one, or one of its examples alone; or run the scorer's self-test.

    Args:
        args: ``task``: a task id, or ``None``; ``example``, ``run``, ``truth`` or ``None``; ``self_test``.

    Returns:
        0, or 3 if the self-test failed.

    Raises:
        UsageError: If there is no such task, an example is asked for without a task, or the task has none; or the self-test is
            asked for with one.
    """
    if args.self_test:
        return _self_test(args.task)
    if args.task is None:
        if args.example:
            raise UsageError("an example is that of a task: name one")
        report.show(report.tasks_table())
        return 0
    card = get_task(args.task)
    if args.example:
        sys.stdout.write(_example(card, args.example))
        return 0
    report.show(report.card_text(card))
    if card.has("runs") and card.example_truth:
        named = f"for {card.unit}s {' and '.join(card.example_ids)}"
        for title, flag, what in (("a truth", "--example-truth", "truth"), ("a valid run", "--example", "run")):
            print(f"\n{title}, {named} ({flag} prints it alone):\n\n{_example(card, what).rstrip()}")
    return 0


def _self_test(task: str | None) -> int:
    """Print whether all check values hold, and those that don't."""
    if task is not None:
        raise UsageError("the self-test is that of all tasks: name none")
    from baselines.core import self_test  # imported late: it imports all metrics, which no other verb does

    values = list(self_test.check_values())
    failed = [value for value in values if not value.holds]
    for value in failed:
        print(f"{value.name}: expected {value.expected!r}, got {value.seen!r}", file=sys.stderr)
    versions = f"scorer {scorer.SCORER_VERSION}, NumPy {np.__version__}, Python {platform.python_version()}"
    print(f"{len(values) - len(failed)} of {len(values)} check values hold ({versions})")
    return SCORER_FAILED if failed else 0


def _example(card: TaskCard, what: str) -> str:
    """Return the text of the task's example truth, or of a valid run on it."""
    records, runs = card.module("records"), card.module("runs")
    if not card.example_truth:
        raise UsageError(f"task {card.id} has no example")
    if what == "truth":
        return card.example_truth
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth"
        truth.write_text(card.example_truth, encoding="utf-8", newline="")
        example: str = runs.example_run(records.read_truth(truth, card.id, Findings()))
    return example


def validate(args: argparse.Namespace) -> int:
    """Print whether a run is acceptable, and everything there is to say about it.

    Args:
        args: ``task``; ``run``; ``truth`` or ``ids``, files; ``run_options``, by name.

    Returns:
        0 if the run has no errors, else 1.
    """
    card = get_task(args.task)
    beside, findings = Findings(), Findings()
    if args.truth is not None:
        truth_set = scorer.read_truth(card, args.truth, beside)
    else:
        ids = scorer.read_ids(args.ids, beside)
        truth_set = card.module("records").truths_of_ids(ids, card.id)
    options = scorer.read_options(card, args.run_options, beside)
    predictions = scorer.read_run(card, args.run, truth_set, findings, options)
    for line in beside.lines() + findings.lines():
        print(line, file=sys.stderr)
    if beside:
        print(f"{args.truth or args.ids}: usable; {_counts(beside)}")
    accepted = f"acceptable, with {len(predictions)} of {len(truth_set.truths)} {card.unit}s"
    print(f"{args.run}: {'not acceptable' if findings.error_count else accepted}; {_counts(findings)}")
    return 1 if findings.error_count else 0


def _counts(findings: Findings) -> str:
    """Say how many errors and warnings there are, and of what is only worth knowing if there is any."""
    counts = {severity: findings.count(severity) for severity in Severity}
    return ", ".join(
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity, count in counts.items()
        if count or severity != Severity.INFO
    )


def score(args: argparse.Namespace) -> int:
    """Score a run: print the table, and write ``scores.json`` where asked to.

    Args:
        args: ``task``; ``truth``; ``run``; ``ids``, a file or ``None``; ``bootstrap``, ``None`` for the task's;
            ``seed``; ``run_options``, by name; ``json``, ``codabench`` and ``aicrowd``, files to write or ``None``.

    Raises:
        InvalidInput: If the truth or the run has errors, or a file can't be written where it should; or a platform is to get an
            undefined score, after everything else is written: ``--json`` holds it as ``null``, with the reason.
        UsageError: If a file to write is one of the files to read, or the task lacks an option.
    """
    outputs = (("--json", args.json), ("--codabench", args.codabench), ("--aicrowd", args.aicrowd))
    check_outputs([*_inputs(args), ("--run", args.run)], outputs)
    settings = _settings(args)
    scores = scorer.Scorer(args.task, args.truth, args.ids, settings).score(args.run).scores
    exports = (
        (args.json, scores.to_json),
        (args.codabench, scores.to_codabench),
        (args.aicrowd, lambda: scores.to_aicrowd(get_task(args.task).secondary)),
    )
    refused = Findings()
    try:
        for path, export in exports:
            if path is not None:
                try:
                    write_atomic(path, export())
                except InvalidInput as error:  # a platform takes no undefined score; the other files do without it
                    refused.extend(error.findings)
    finally:
        report.show(report.scores_table(scores))  # last, since whoever reads it may stop reading; also where writing failed
    refused.raise_errors()
    return 0


def compare(args: argparse.Namespace) -> int:
    """Print the leaderboard of runs; what is wrong with invalid ones goes to stderr.

    Args:
        args: ``task``; ``truth``; ``runs``, files; ``ids``, a file or ``None``; ``format``, one of
            ``leaderboard.WRITERS``; ``out``, a file or ``None``; ``bootstrap``, ``None`` for the task's; ``seed``;
            ``run_options``, by name.

    Returns:
        0 if all runs are valid, else 1.

    Raises:
        InvalidInput: If the truth has errors, or the table can't be written where it should.
        UsageError: If a file to write is one of the files to read, the task lacks an option, or there are too few resamples.
    """
    check_outputs([*_inputs(args), *((f"the run {path}", path) for path in args.runs)], [("--out", args.out)])
    settings = _settings(args)
    least = leaderboard.least_resamples(len(args.runs))
    if args.bootstrap is None:  # twice, so that a run that is ahead on nearly all resamples can be told, too
        settings = replace(settings, bootstrap=max(settings.bootstrap, 2 * least))
    elif 0 < args.bootstrap < least:
        what = f"--bootstrap {args.bootstrap} can't tell {len(args.runs)} runs apart, however different they are"
        raise UsageError(f"{what}: give at least {least}, or 0 for no tests and no intervals")
    rows = leaderboard.compare_runs(scorer.Scorer(args.task, args.truth, args.ids, settings), args.runs)
    for row in rows:
        if row.findings:
            listed = row.findings.first_lines(LISTED)
            print(*listed, sep="\n", file=sys.stderr)
            if len(row.findings) > len(listed):
                command = shlex.join(["imageclef", "validate", args.task, "--run", str(row.path), "--truth", str(args.truth)])
                print(f"{row.path}: {len(row.findings) - len(listed)} more; `{command}` lists them", file=sys.stderr)
    if args.out is not None:
        write_atomic(args.out, leaderboard.WRITERS[args.format](rows))
    elif args.format == "table":
        report.show(leaderboard.as_table(rows))
    else:
        sys.stdout.write(leaderboard.WRITERS[args.format](rows))
    return 1 if any(row.scores is None for row in rows) else 0


def _settings(args: argparse.Namespace) -> scorer.Settings:
    bootstrap = get_task(args.task).resamples if args.bootstrap is None else args.bootstrap
    return scorer.Settings(bootstrap, args.seed, args.run_options)


def _inputs(args: argparse.Namespace) -> list[tuple[str, Path | None]]:
    """Return the files beside the runs that are read, with their flags."""
    vocabulary = args.run_options.get("vocabulary", ())
    return [("--truth", args.truth), ("--ids", args.ids), *(("--vocabulary", path) for path in vocabulary)]


def sample(args: argparse.Namespace) -> int:
    """Write sample data sets.

    Args:
        args: ``tasks``, ids, all that have samples if empty; ``out``, the data root; ``size``, or ``None``; ``seed``; ``full``,
            for images of the campaign's size; ``clean``, for samples without the quirks of the real data.

    Raises:
        UsageError: If there is no such task, or it has no samples, or none of full size; nothing is written then.
    """
    names = args.tasks or [card.id for card in all_tasks().values() if card.has("samples")]
    generators = {name: get_task(name).module("samples") for name in names}
    options = {"full": True} if args.full else {}
    for name, module in generators.items():
        if args.full and "full" not in inspect.signature(module.generate).parameters:
            raise UsageError(f"{name} has no samples of full size: leave --full out, or name the tasks that have")
    for name, module in generators.items():
        # A generator without the keyword puts in nothing that is wrong.
        has_quirks = "quirks" in inspect.signature(module.generate).parameters
        clean = {"quirks": False} if args.clean and has_quirks else {}
        module.generate(args.out, name, args.size, args.seed, **options, **clean)
        print(f"{name}: {args.out}")
    return 0
