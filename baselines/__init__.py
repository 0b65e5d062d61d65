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
    ids: str | PathLike[str] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    **run_options: Any,
) -> Scores:
    r"""Score one run file against the truth of a task, as ``imageclef score`` does, but without intervals unless asked for.

    Args:
        task: A task id, such as ``"drawnui-wireframe"``.
        truth: The ground truth, a file as the campaign distributed it.
        run: The run file in the campaign's submission format.
        ids: A file of ids of the truth, one a line, that are scored alone; what the run says about the others is not used.
        bootstrap: How many bootstrap resamples the 95 % intervals are made of; 0 gives no intervals. The command's default is
            1,000 (aware 2,000), and fewer than 100 say next to nothing.
        seed: Seed of the bootstrap.
        run_options: Options of the task's runs: ``allow_missing=True`` accepts a run without some of the ids,
            ``run_format="2020"`` (drawnui), ``max_concepts=50`` and ``vocabulary=["train.csv"]`` (caption-concepts) are others.

    Returns:
        The scores: ``metrics``, ``intervals``, ``per_class``, ``undefined`` (why a metric is ``None``), ``n`` (samples
        expected, scored and missing), ``warnings`` and ``signature``; ``to_json()`` is what ``--json`` writes.

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

    A run with errors isn't scored. The exception lists them, each with its code, file, line, id, value and hint:

    >>> from baselines.core.findings import InvalidInput
    >>> (folder / "run.txt").write_text("synpic2|Hip fracture.\nsynpic3|pneumonia\n")
    40
    >>> try:
    ...     score("vqa", folder / "answers.txt", folder / "run.txt")
    ... except InvalidInput as error:
    ...     [(finding.code, finding.line) for finding in error.findings]
    [('RUN-MISSING-ID', None), ('RUN-UNKNOWN-ID', 2)]
    """
    from baselines.core.scorer import score_files  # imported late: ``import baselines`` must stay cheap

    return score_files(task, truth, run, ids=ids, bootstrap=bootstrap, seed=seed, **run_options)
