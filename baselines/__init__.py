"""Reference baselines and the shared scorer for the ten subtasks of ImageCLEF 2021."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from baselines.core.results import Scores

__version__ = "0.1.0"


def score(
    task: str,
    truth: str | PathLike[str],
    run: str | PathLike[str],
    *,
    bootstrap: int = 0,
    seed: int = 0,
    **run_options: Any,
) -> Scores:
    r"""Score one run file against the truth of a task, as ``imageclef score`` does.

    Args:
        task: A task id, such as ``"drawnui-wireframe"``.
        truth: The ground truth, a file as the campaign distributed it.
        run: The run file in the campaign's submission format.
        bootstrap: How many bootstrap resamples the 95 % intervals are made of; 0 gives no intervals.
        seed: Seed of the bootstrap.
        run_options: Options of the task's run format, such as ``allow_missing=True``.

    Returns:
        The scores, with ``metrics["map50"]`` and the like as attributes of one object.

    Raises:
        baselines.core.findings.InvalidInput: If the run or the truth has errors; it holds all of them.
        baselines.core.findings.UsageError: If there is no such task or option.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "answers.txt").write_text("synpic1|pulmonary embolism\nsynpic2|fracture|hip fracture\n")
    57
    >>> (folder / "run.txt").write_text("synpic2|Hip fracture.\nsynpic1|pneumonia\n")
    40
    >>> scores = score("vqa", folder / "answers.txt", folder / "run.txt")
    >>> scores.metrics["accuracy"], scores.primary, scores.n["missing"]
    (0.5, 'accuracy', 0)
    """
    from baselines.core.scorer import score_files  # imported late: ``import baselines`` must stay cheap

    return score_files(task, truth, run, bootstrap=bootstrap, seed=seed, **run_options)
