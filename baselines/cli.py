"""The front door: ``imageclef VERB``.

Only the standard library is imported here, and a verb's module when the verb is called, so that help answers at once and
validating or scoring a run needs no torch.

Exit codes: 0 fine, 1 the input is invalid (run, data set, configuration, checkpoint), 2 wrong usage, 3 a bug in the project.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from baselines import __version__

OK, INVALID, USAGE, BUG = 0, 1, 2, 3
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE = 141  # 128 + SIGPIPE

LEAST_RESAMPLES = 100  # fewer say next to nothing about the ends of an interval
MOST = 1_000_000  # samples, resamples and the like: more are a slip, and would only run out of time or memory
MOST_SEED = 2**32 - 1  # as of the configuration
HASH_BITS = 256  # of the hashes by which images look alike
MOST_WORKERS = 1024

# Top-level modules by the extra that installs them, for the message when one is missing.
EXTRAS = {
    "train": frozenset(
        (
            *("torch", "torchvision", "torchmetrics", "pytorch_lightning", "hydra", "omegaconf", "timm", "transformers"),
            *("segmentation_models_pytorch", "monai", "albumentations", "cv2", "tensorboard", "safetensors"),
        )
    ),
    "slurm": frozenset(("submitit", "hydra_plugins")),
    "search": frozenset(("optuna",)),
    "trackers": frozenset(("mlflow", "wandb")),
}
REPORTED_PACKAGES = ("numpy", "scipy", "torch", "torchvision", "pytorch-lightning", "hydra-core")  # versions in a bug report


@dataclass(frozen=True)
class Verb:
    """One command of ``imageclef``.

    Attributes:
        summary: What it does, in one line of the list of verbs.
        handler: ``module:function``, imported when the verb is called. It takes the parsed arguments and returns an exit code
            or ``None``.
        add_arguments: Defines the verb's arguments.
        epilog: Examples and notes at the end of its help.
        forwards: Whether the handler takes the arguments as they are, a list; then the definitions are for help only.
    """

    summary: str
    handler: str
    add_arguments: Callable[[argparse.ArgumentParser], object]
    epilog: str = ""
    forwards: bool = False


def integer(least: int, most: int) -> Callable[[str], int]:
    """Return what parses an integer from ``least`` to ``most``, for argparse."""

    def parse(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {most}")
        return number

    parse.__name__ = "integer"  # argparse names what isn't one by it
    return parse


count, seed = integer(1, MOST), integer(0, MOST_SEED)


def resamples(text: str) -> int:
    """Parse a number of resamples, for argparse: none, or enough for an interval of 95 %."""
    number = int(text)
    if number and not LEAST_RESAMPLES <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is neither 0 (no intervals) nor from {LEAST_RESAMPLES} to {MOST}")
    return number


def output(text: str) -> Path:
    """Parse a file to write, for argparse; ``-`` stands for standard output."""
    return Path("/dev/stdout") if text == "-" else Path(text)


def _tasks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", nargs="?", metavar="TASK", help="show the card of this task: splits, metrics, examples")
    only = parser.add_mutually_exclusive_group()
    for flag, what, text in (
        ("--example", "run", "print a valid run of the task and nothing else"),
        ("--example-truth", "truth", "print a truth to that run and nothing else"),
    ):
        only.add_argument(flag, dest="example", action="store_const", const=what, help=text)
    test = "hold the check values of all metrics against what this installation gives; exit 3 if one differs"
    only.add_argument("--self-test", action="store_true", help=test)


def _sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="task ids (default: every task that has a generator)")
    parser.add_argument("--out", type=Path, default=Path("data/samples"), metavar="DIR", help="where to (default: %(default)s)")
    parser.add_argument("--size", type=count, metavar="N", help="how many samples (default: the task's own)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="random seed (default: %(default)s)")
    parser.add_argument(
        "--full", action="store_true", help="images as large as the campaign's, where samples are smaller (coral)"
    )
    what = "without what is wrong with the real data: imageclef check finds no error and no warning (default: with it)"
    parser.add_argument("--clean", action="store_true", help=what)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="experiment=NAME and any key=value of conf/")
    parser.add_argument("-m", "--multirun", action="store_true", help="sweep: one run for each combination of a=1,2 values")
    parser.add_argument("--cfg", choices=("job",), help="print the composed configuration and stop")


def _predict(parser: argparse.ArgumentParser) -> None:
    several = "a finished run folder; several are an ensemble, where the task can combine runs"
    parser.add_argument("run_dir", type=Path, nargs="+", metavar="RUN_DIR", help=several)
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="data root, laid out as data/README.md says")
    parser.add_argument("--split", default="test", help="the split to predict (default: %(default)s)")
    parser.add_argument("--out", type=output, required=True, metavar="FILE", help="the run file to write")
    parser.add_argument("--batch-size", type=count, metavar="N", help="samples at a time (default: the run's own)")
    parser.add_argument("--format", metavar="NAME", help="run format, where a task has several (default: that of 2021)")
    parser.add_argument("--task", metavar="TASK", help="another task that the fit serves (default: the one trained)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")


def _validate(parser: argparse.ArgumentParser) -> None:
    _run_arguments(parser)
    known = parser.add_mutually_exclusive_group(required=True)
    known.add_argument("--truth", type=Path, metavar="FILE", help="the ground truth as distributed")
    known.add_argument("--ids", type=Path, metavar="FILE", help="instead of the truth: the ids of the test set, one a line")


def _score(parser: argparse.ArgumentParser) -> None:
    _run_arguments(parser)
    _scoring_arguments(parser)
    parser.add_argument("--json", type=output, metavar="FILE", help="write the scores to this file as well")
    parser.add_argument("--codabench", type=output, metavar="FILE", help="write Codabench's scores.json: the metrics alone")
    parser.add_argument("--aicrowd", type=output, metavar="FILE", help="write AIcrowd's score and score_secondary")


def _scoring_arguments(parser: argparse.ArgumentParser, for_many: str = "") -> None:
    """Define what runs are scored against, and how the intervals are made; ``for_many`` says what many runs make of that."""
    parser.add_argument("--truth", type=Path, required=True, metavar="FILE", help="the ground truth as distributed")
    parser.add_argument("--ids", type=Path, metavar="FILE", help="score these ids of the truth alone, one a line")
    parser.add_argument(
        "--bootstrap",
        type=resamples,
        metavar="N",
        help=f"resamples for the intervals (default: 1000, aware 2000{for_many}; at least {LEAST_RESAMPLES}; 0: no intervals)",
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the bootstrap (default: %(default)s)")


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help=_TASK_HELP)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the run files")
    _scoring_arguments(parser, ", more for many runs, whose tests need them")
    _table_arguments(parser)
    _run_options(parser, "--run-format")


def _table_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "latex", "csv", "json"),
        default="table",
        help="of the table (default: %(default)s; LaTeX needs the package booktabs)",
    )
    parser.add_argument("--out", type=output, metavar="FILE", help="write the table to this file instead of printing it")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help=_TASK_HELP)
    parser.add_argument("--run", type=Path, required=True, metavar="FILE", help="the run file")
    _run_options(parser, "--format")


_TASK_HELP = "task id, such as drawnui-wireframe (`imageclef tasks` lists them)"


def _run_options(parser: argparse.ArgumentParser, format_flag: str) -> None:
    """Define the options of single tasks' run formats; those that are given are in ``run_options``, by name."""
    parser.set_defaults(run_options={})
    for flag, options, text in (
        (format_flag, {"metavar": "NAME"}, "drawnui: the run format, 2021 (default) or 2020"),
        (
            "--allow-missing",
            {"nargs": 0},
            "accept runs without some of the ids, which then score as wrong (drawnui always does)",
        ),
        (
            "--vocabulary",
            {"type": Path, "metavar": "FILE", "nargs": "+"},
            "caption-concepts: concept files of the development set; concepts that none of them has are a warning",
        ),
        ("--max-concepts", {"type": count, "metavar": "N"}, "caption-concepts: most concepts of an image (default: 100)"),
    ):
        dest = "run_format" if flag == format_flag else flag.removeprefix("--").replace("-", "_")
        parser.add_argument(flag, dest=dest, action=_RunOption, default=argparse.SUPPRESS, help=text, **options)


class _RunOption(argparse.Action):
    """Puts an option that is given into ``run_options``; one without a value is a switch."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        del parser, option_string
        namespace.run_options = namespace.run_options | {self.dest: True if self.nargs == 0 else values}


def _bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=("step", "data", "score", "check"),
        help="step: the training step; data: the loader alone; score: reading and scoring runs; check: checking a data set; "
        "the last two need no PyTorch",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="TASK | OVERRIDE", action=_SplitTask, help="a task id, and any key=value of conf/"
    )
    parser.add_argument("--json", type=output, metavar="FILE", help="write the figures to this file as well")
    parser.set_defaults(task=None)


class _SplitTask(argparse.Action):
    """Tells a task id from overrides, which all hold an ``=`` or start with ``~``."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        del option_string  # a positional has none
        overrides = [value for value in values if "=" in value or value.startswith("~")]
        tasks = [value for value in values if value not in overrides]
        if len(tasks) > 1:
            parser.error(f"one task at a time, not {', '.join(tasks)}")
        namespace.overrides = overrides
        namespace.task = tasks[0] if tasks else None


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help=_TASK_HELP)
    parser.add_argument("root", type=Path, metavar="ROOT", help="data root, laid out as data/README.md says")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="truth of the test split, which a data root doesn't hold")
    earlier = "data root of an earlier release: tell which ids, splits, classes and texts have changed since"
    parser.add_argument("--earlier", type=Path, metavar="ROOT", help=earlier)
    listed = "write the findings to this file as well: how many of each code, and the first 1,000 of them"
    parser.add_argument("--json", type=output, metavar="FILE", help=listed)
    page = "write a page to look at: findings, pictures of them, near duplicates, distributions; one file, without a network"
    parser.add_argument("--html", type=output, metavar="FILE", help=page)
    parser.add_argument("--ignore", metavar="CODE", nargs="+", default=[], help="codes that are not looked for")
    parser.add_argument("--accept", type=Path, metavar="FILE", help="findings that are known and accepted")
    accepted = "write the errors and warnings of this check, and what --accept holds, to this file, to be accepted from now on"
    parser.add_argument("--write-accepted", type=output, metavar="FILE", help=accepted)
    near = "most bits, of 256, in which two images that look alike differ (default: %(default)s)"
    parser.add_argument("--near-distance", type=integer(0, HASH_BITS), default=24, metavar="BITS", help=near)
    parser.add_argument(
        "--workers",
        type=integer(1, MOST_WORKERS),
        default=os.cpu_count() or 1,
        metavar="N",
        help="threads (default: all cores)",
    )
    remember = "forget what an earlier check found in each image, and remember nothing"
    parser.add_argument("--no-cache", dest="cache", action="store_false", help=remember)


def _results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a folder with run folders anywhere below it")
    _table_arguments(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a run folder, or a folder with run folders below it")
    page = "write a page to look at as well: one file, without a network"
    parser.add_argument("--html", type=output, metavar="FILE", help=page)


def _sweep(parser: argparse.ArgumentParser) -> None:
    space = "any key=value of conf/; those with several values, such as model.channels=64,128, span the space"
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDE", help=space)
    parser.add_argument("--trials", type=count, required=True, metavar="N", help="trials of the study, all processes together")
    parser.add_argument("--study", type=Path, metavar="FILE", help="file of the study (default: beside the runs)")
    parser.add_argument("--prune", action="store_true", help="end trials early that do worse than the median of the others")


def _fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="a file name of conf/experiment, without .yaml")


_EXAMPLES = """examples:
  imageclef tasks vqa
  imageclef tasks vqa --example > run.txt
  imageclef tasks vqa --example-truth > truth.txt
  imageclef score vqa --run run.txt --truth truth.txt"""

VERBS = {
    "tasks": Verb("list the ten tasks and what works for each", "baselines.core.commands:tasks", _tasks, _EXAMPLES),
    "sample": Verb(
        "write generated sample data, laid out as the campaign distributed its own",
        "baselines.core.commands:sample",
        _sample,
        "example: imageclef sample drawnui-wireframe --size 200",
    ),
    "check": Verb(
        "sanity-check a data set before it is released or trained on",
        "baselines.core.check:check",
        _check,
        "example: imageclef check drawnui-wireframe data --html findings.html",
    ),
    "train": Verb(
        "fit, predict, write the run file and score it",
        "baselines.training.main:train",
        _train,
        "The same command again resumes a run that was cut off, and skips one that is finished.\n\n"
        "examples:\n"
        "  imageclef train experiment=drawnui_wireframe data.root=/path/to/data\n"
        "  imageclef train experiment=drawnui_wireframe preset=demo      # two CPU cores, sample data\n"
        "  imageclef train experiment=drawnui_wireframe seed=1,2,3 -m    # a sweep",
        forwards=True,
    ),
    "predict": Verb(
        "predict a split with a finished run and write the run file",
        "baselines.training.predict:predict",
        _predict,
        "Decoded images and other prepared samples, some MB each, are kept in the temporary folder meanwhile;\n"
        "where that is small, or in memory, let TMPDIR name another that exists.\n\n"
        "examples:\n"
        "  imageclef predict runs/… --data data --split test --out submission.json\n"
        "  TMPDIR=/path/to/scratch imageclef predict runs/… --data data --out submission.json",
    ),
    "validate": Verb(
        "tell whether a run file is acceptable, listing every error",
        "baselines.core.commands:validate",
        _validate,
        "example: imageclef validate drawnui-wireframe --run submission.json --ids test_ids.txt",
    ),
    "score": Verb(
        "score a run file against the ground truth",
        "baselines.core.commands:score",
        _score,
        "example: imageclef score drawnui-wireframe --run submission.json --truth development_set.json --json scores.json",
    ),
    "compare": Verb(
        "rank many runs on one truth, with intervals and tests against the best",
        "baselines.core.commands:compare",
        _compare,
        "example: imageclef compare vqa --truth answers.txt team1.txt team2.txt team3.txt --format markdown",
    ),
    "results": Verb(
        "summarise the runs below a folder: a line for each configuration, over its seeds",
        "baselines.core.sweeps:results",
        _results,
        "example: imageclef results runs/vqa --format latex",
    ),
    "report": Verb(
        "tell what is known of a run (scores, best and worst samples), or of the runs of a sweep",
        "baselines.core.run_report:report_folder",
        _report,
        "The page of a run also has curves, pictures, configuration, versions, the end of the log; that of a sweep, charts.\n\n"
        "example: imageclef report runs/vqa/vqa/preset=demo --html run.html",
    ),
    "sweep": Verb(
        "search for a recipe's best values; any number of processes may share one study",
        "baselines.training.search:search",
        _sweep,
        "A study that was cut off goes on with the same command.\n\n"
        "example: imageclef sweep experiment=coral 'optimizer.lr=tag(log, interval(1e-5, 1e-2))' --trials 20 --prune",
    ),
    "bench": Verb(
        "measure the speed of a recipe's training step, of its data loader, of scoring, or of checking",
        "baselines.core.bench:bench",
        _bench,
        "example: imageclef bench step drawnui-wireframe preset=demo --json step.json",
    ),
    "fetch": Verb(
        "download the pretrained weights of an experiment, for jobs without a network",
        "baselines.training.weights:fetch",
        _fetch,
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``imageclef`` with these arguments (default: the process's own).

    Returns:
        The exit code.

    Raises:
        SystemExit: With 0 after printing a verb's help, with 2 on wrong arguments.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _dispatch(arguments)
        finally:
            if sys.stdout is not None:  # as it is where the caller closed it
                sys.stdout.flush()  # here, where a closed pipe can still be handled
    except KeyboardInterrupt as interrupt:
        print(f"imageclef: {str(interrupt) or 'interrupted'}", file=sys.stderr)  # `train` says how to go on
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's own flush is quiet, too
        return BROKEN_PIPE


def _dispatch(arguments: list[str]) -> int:
    name = arguments[0] if arguments else ""
    if name in VERBS:
        return _run(name, arguments[1:])
    if name in ("-h", "--help"):
        print(_help())
        return OK
    if name == "--version":
        print(f"imageclef {__version__}")
        return OK
    print(_unknown(name) if name else _help(), file=sys.stderr)
    return USAGE


def _run(name: str, arguments: list[str]) -> int:
    """Parse the verb's arguments, call its handler and turn what it raises into a message and an exit code."""
    verb = VERBS[name]
    parser = _parser(name, verb)
    forward = verb.forwards and not {"-h", "--help"} & set(arguments)
    parsed = arguments if forward else parser.parse_intermixed_args(arguments)
    module, _, function = verb.handler.partition(":")
    try:
        with _others_aside(parsed):
            code = getattr(importlib.import_module(module), function)(parsed)
    except BrokenPipeError:
        raise
    except Exception as error:  # the last place that can explain it
        if _is_interrupt(error):
            raise KeyboardInterrupt from error
        return _explain(error, name)
    return OK if code is None else int(code)


def _others_aside(parsed: argparse.Namespace | list[str]) -> AbstractContextManager[object]:
    """While a file to write is standard output, print everything else to standard error."""
    is_taken = isinstance(parsed, argparse.Namespace) and output("-") in vars(parsed).values()
    return redirect_stdout(sys.stderr) if is_taken else nullcontext()


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether the user stopped what failed then: some packages turn an interrupt of their import into an error of their own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _explain(error: Exception, verb: str) -> int:
    """Print what went wrong to stderr and return the exit code for it."""
    from baselines.core.findings import InvalidInput, UsageError  # imported late: help needs none of it

    if isinstance(error, InvalidInput):
        message, code = str(error), INVALID
    elif isinstance(error, UsageError):
        message, code = f"imageclef {verb}: {error}", USAGE
    elif extra := _missing_extra(error):
        message = f'imageclef {verb}: {error}; it comes with: pip install "imageclef-baselines[{extra}]"'
        code = USAGE
    elif isinstance(error, OSError) and error.strerror:  # a full disk, a folder without write permission
        message = f"imageclef {verb}: {f'{error.filename}: ' if error.filename else ''}{error.strerror}"
        code = INVALID
    else:
        message, code = _bug_report(error, error.__traceback__), BUG
    print(message, file=sys.stderr)
    return code


def _missing_extra(error: Exception) -> str | None:
    """Return the extra that would have brought the module that could not be imported."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    missing = error.name.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if missing in modules), None)


def _bug_report(error: Exception, trace: TracebackType | None) -> str:
    """Return the traceback, the versions it happened with, and what to do with both."""
    import platform
    import traceback
    from importlib.metadata import PackageNotFoundError, version

    def installed(package: str) -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return f"{package} not installed"

    return "\n".join(
        (
            "".join(traceback.format_exception(type(error), error, trace)),
            f"imageclef-baselines {__version__}, Python {platform.python_version()}, {platform.platform()}",
            ", ".join(installed(package) for package in REPORTED_PACKAGES),
            "",
            f"This is a bug in imageclef-baselines: imageclef {' '.join(sys.argv[1:])}",
            "Please report it to the project's issue tracker, with all of the text above.",
        )
    )


def _parser(name: str, verb: Verb) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"imageclef {name}",
        description=verb.summary[0].upper() + verb.summary[1:] + ".",
        epilog=verb.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_arguments(parser)
    return parser


def _help() -> str:
    width = max(map(len, VERBS)) + 2
    return "\n".join(
        (
            "usage: imageclef VERB [ARGUMENT ...]",
            "",
            "Reference baselines and the shared scorer for the ten subtasks of ImageCLEF 2021.",
            "",
            "verbs:",
            *(f"  {name:{width}}{verb.summary}" for name, verb in VERBS.items()),
            "",
            "`imageclef VERB --help` tells more about one of them, `imageclef --version` the version.",
            "exit codes: 0 fine, 1 the input is invalid, 2 wrong usage, 3 a bug in imageclef-baselines, 130 interrupted",
        )
    )


def _unknown(name: str) -> str:
    from baselines.core.findings import nearest  # imported late: help needs none of it

    return f"imageclef: no verb {name!r}: {nearest(name, VERBS, 'the verbs are')}"
