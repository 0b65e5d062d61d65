"""``imageclef check``: read a data set, apply every rule, tell what was found.

A check never repairs anything. It reads the released splits with the task's own reader, whose findings are findings of the
check, examines the image files, applies the common rules and the task's, and scores the trivial run, so that a split that is
too easy, or broken, shows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines.core.checks import CODES, Checks, DataSet, Distribution, Settings
from baselines.core.common_checks import common_distributions, common_rules
from baselines.core.files import MAX_FILE_BYTES
from baselines.core.findings import (
    DistinctFindings,
    Finding,
    Findings,
    InvalidInput,
    Severity,
    UsageError,
    invalid,
    nearest,
    printable,
    show_id,
    worst_severity,
)
from baselines.core.images import cache_folder, examine_images
from baselines.core.outputs import check_outputs, refuse_within, write_atomic, write_json_atomic
from baselines.core.report import cells_table, make_console, show
from baselines.core.runs import Code
from baselines.core.tasks import TaskCard, get_task

_ERROR, _INFO = Severity.ERROR, Severity.INFO
EXAMPLES = 10  # findings of a code that the table shows
# After these the rest of a truth has not been read, so nobody knows which ids it lacks.
CUT_SHORT = tuple(f"DATA-{rule}" for rule in "FILE-MISSING FILE-UNREADABLE FILE-EMPTY TOO-LARGE TOO-MANY-ERRORS JSON".split())
MAX_ACCEPTED = 500_000  # findings in a file of accepted ones: about 100 MB


def check(args: argparse.Namespace) -> int:
    """Check a data set and print what was found, a row a code.

    Args:
        args: ``task``; ``root``; ``truth``, a file or ``None``; ``earlier``, a folder or ``None``; ``json`` and ``html``, files
            to write or ``None``; ``ignore``, codes; ``accept`` and ``write_accepted``, files or ``None``; ``near_distance``;
            ``workers``; ``cache``, whether to remember what was found in each image.

    Returns:
        1 if there are errors, else 0.

    Raises:
        InvalidInput: If nothing of the data set is there, the file of accepted findings can't be read, or a file can't be
            written where it should.
        UsageError: If a file to write is one of the files to read, or a code to ignore is none.
    """
    inputs = [("--truth", args.truth), ("--accept", args.accept)]
    outputs = [("--json", args.json), ("--html", args.html)]
    for name, folder in (("ROOT", args.root), ("--earlier", args.earlier)):
        if folder is not None and not folder.is_dir():
            what = "a folder is due, and this is a file" if folder.exists() else "there is no such folder"
            hint = f"{name} is a data root, laid out as data/README.md says"
            raise invalid("DATA-FILE-MISSING", what, file=folder, hint=hint)
    check_outputs(inputs, outputs)
    # What was accepted may be written where it was read.
    check_outputs([inputs[0], *outputs], [("--write-accepted", args.write_accepted)])
    for folder in filter(None, (args.root, args.earlier)):
        refuse_within(folder, [*outputs, ("--write-accepted", args.write_accepted)])
    card = get_task(args.task)
    _refuse_unknown(args.ignore, {**CODES, **card.module("checks").CHECKS.codes})
    before = read_accepted(args.accept) if args.accept else frozenset()
    store = cache_folder() / "check" / f"{_root_key(args.root)}.jsonl" if args.cache else None
    settings = Settings(args.near_distance, args.workers, store, args.truth, args.earlier)
    outcome = check_data_set(card, args.root, settings, args.ignore, before)
    if args.json:
        write_json_atomic(args.json, outcome.to_dict())
    if args.html:
        from baselines.core.check_page import check_page  # it shows what this module finds

        write_atomic(args.html, check_page(outcome))
    show(findings_table(outcome))
    console = make_console()
    console.print(verdict(outcome))
    if args.write_accepted:
        count = write_accepted(args.write_accepted, outcome, before)
        errors = outcome.findings.error_count
        told = f", the {errors} error{'' if errors == 1 else 's'} of this check among them" if errors else ""
        console.print(f"{count} accepted findings are in {args.write_accepted}{told}")
    return 1 if outcome.findings.error_count else 0


def _refuse_unknown(ignored: Iterable[str], codes: Mapping[str, Code]) -> None:
    """Refuse to switch off what isn't there."""
    for code in ignored:
        if code not in codes:
            raise UsageError(f"--ignore {code}: there is no such code; {nearest(code, codes)} (docs/data-codes.md lists all)")


def _root_key(root: Path) -> str:
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]


def findings_table(outcome: Outcome) -> Any:
    """Return the findings as a table, a row a code, the worst first."""
    rows = []
    for code, found in outcome.findings.by_code().items():
        examples = "\n".join(_example(finding, outcome.data_set.root) for finding in found[:EXAMPLES])
        severity, count = worst_severity(found).value, str(outcome.findings.counts[code])
        rows.append((severity, code, count, outcome.meaning(code), examples))
    return cells_table(("severity", "code", "count", "what", "such as"), rows, ("what", "such as"), ("severity", "code"))


def _example(finding: Finding, root: Path) -> str:
    """Return where a finding is and what was seen there; its file as seen from the root."""
    file = finding.file.removeprefix(f"{root}/")
    place = ":".join(str(part) for part in (file, finding.line) if part not in ("", None))
    named = finding.id and not file.endswith(finding.id)
    parts = (place, show_id(finding.id) if named else "", finding.value or finding.message)
    return "  ".join(printable(part) for part in parts if part)


def verdict(outcome: Outcome) -> str:
    """Return one line: what was checked, and how many findings of each severity there are."""
    sizes = ", ".join(f"{name} {len(split.samples)}" for name, split in outcome.data_set.splits.items())
    counts = ", ".join(
        f"{count} {name}{'s' if count != 1 and name != 'info' else ''}" for name, count in outcome.counts.items()
    )
    accepted = f"; {sum(outcome.accepted.values())} accepted before" if outcome.accepted else ""
    return f"{outcome.data_set.root}: {counts}{accepted} ({sizes})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found.

    Attributes:
        data_set: What was checked.
        findings: All findings but those that were accepted or switched off.
        codes: What each code means.
        accepted: How many findings were accepted beforehand, by code.
        trivial: Metrics of the trivial run on each split with a truth; it predicts what is most frequent in training.
        distributions: Numbers to look at.
        fingerprints: Those of all errors and warnings, also of those that ``findings`` counts and doesn't keep; of more than
            ``MAX_ACCEPTED``, which can't be accepted, only the first.
    """

    data_set: DataSet
    findings: Findings
    codes: Mapping[str, Code]
    accepted: Mapping[str, int]
    trivial: Mapping[str, Mapping[str, float | None]]
    distributions: tuple[Distribution, ...]
    fingerprints: Set[str] = frozenset()

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        return {severity.value: self.findings.count(severity) for severity in Severity}

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-ready values; of each code at most ``MAX_KEPT_PER_CODE`` findings."""
        return {
            "task": self.data_set.card.id,
            "root": str(self.data_set.root),
            "counts": self.counts,
            "codes": {
                code: {
                    "count": self.findings.counts[code],
                    "severity": worst_severity(found).value,
                    "meaning": self.meaning(code),
                }
                for code, found in sorted(self.findings.by_code().items())
            },
            "accepted": dict(self.accepted),
            "splits": {name: len(split.samples) for name, split in self.data_set.splits.items()},
            "trivial": {name: dict(metrics) for name, metrics in self.trivial.items()},
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def meaning(self, code: str) -> str:
        """Return what a code means, in a clause."""
        if code in self.codes:
            return self.codes[code].meaning
        return next(finding.message for finding in self.findings if finding.code == code)


def check_data_set(
    card: TaskCard, root: Path, settings: Settings, ignore: Iterable[str] = (), accepted: frozenset[str] = frozenset()
) -> Outcome:
    """Check a data set.

    Args:
        card: The task.
        root: The data root, or a folder that the task's reader takes for one.
        settings: How to check.
        ignore: Codes that are switched off.
        accepted: Findings that are known and accepted, as :func:`read_accepted` returns them.

    Raises:
        InvalidInput: If nothing of the data set is there.
    """
    checks: Checks = card.module("checks").CHECKS
    codes = {**CODES, **checks.codes}
    severities = {name: code.severity for name, code in codes.items() if name not in checks.graded}
    collector = _Collector(root, severities, frozenset(ignore), accepted)
    splits = _read_splits(card, root, settings, checks, collector)
    earlier = _read_earlier(card, settings, checks)
    paths = {sample.image for split in splits.values() for sample in split.samples if getattr(sample, "image", None)}
    images = examine_images(paths, settings.store, settings.workers)
    data_set = DataSet(card, root, splits, images, settings, earlier)
    for rule in (*common_rules(checks), *checks.rules):
        collector.extend(rule(data_set))
    trivial = _score_trivial(data_set)
    collector.extend(_tell_trivial(data_set, trivial))
    own = checks.distributions(data_set) if checks.distributions else ()
    distributions = (*common_distributions(data_set, checks), *own)
    return Outcome(data_set, collector.findings, codes, collector.known.counts, trivial, distributions, collector.fingerprints)


class _Collector:
    """Takes findings once each, at the severity of the specification, without those accepted or switched off."""

    def __init__(
        self, root: Path, severities: Mapping[str, Severity], ignore: frozenset[str], accepted: frozenset[str]
    ) -> None:
        self.root, self.severities, self.ignore, self.accepted = root, severities, ignore, accepted
        self.findings = DistinctFindings()
        self.known = DistinctFindings()  # those that were accepted
        self.fingerprints: set[str] = set()

    def of_reader(self) -> Findings:
        """Return findings for a reader, passed on to here one by one: it keeps a part of them alone.

        The reader says how bad they are for it; here they are as bad as they are for a release.
        """
        return Findings(
            pass_on=lambda finding: self.add(replace(finding, severity=self.severities.get(finding.code, finding.severity)))
        )

    def extend(self, findings: Iterable[Finding]) -> None:
        """Take findings."""
        for finding in findings:
            self.add(finding)

    def add(self, finding: Finding) -> None:
        """Take a finding."""
        if finding.code in self.ignore:
            return
        mark = fingerprint(finding, self.root)
        if mark in self.accepted:
            self.known.add(finding)
            return
        if finding.severity is not _INFO and len(self.fingerprints) <= MAX_ACCEPTED:
            self.fingerprints.add(mark)
        self.findings.add(finding)


def _read_splits(card: TaskCard, root: Path, settings: Settings, checks: Checks, collector: _Collector) -> dict[str, Any]:
    """Read the released splits that are there."""
    records = card.module("records")
    splits: dict[str, Any] = {}
    missing: list[Finding] = []
    for name in checks.splits.get(card.id, ("train", "val", "test")):
        findings = collector.of_reader()
        try:
            splits[name] = records.read_split(root, card.id, name, findings)
        except InvalidInput as error:
            found = list(error.findings)
            if all(_is_unreleased(finding, root) for finding in found):
                missing += found
            else:
                findings.extend(found)
    if not splits and missing:
        raise InvalidInput(Findings(dict.fromkeys(missing)))
    for finding in missing:
        hint = "a set that is not released yet may be missing"
        collector.extend([replace(finding, code="DATA-SPLIT-MISSING", severity=_INFO, hint=hint)])
    if settings.truth is not None:
        splits["test"] = _with_truth(card, splits.get("test"), settings.truth, collector)
    return splits


def _is_unreleased(finding: Finding, root: Path) -> bool:
    """Whether a finding says that a whole set is not there; a reader that names a folder in the root means what that lacks."""
    file = Path(finding.file)
    return finding.code == "DATA-FILE-MISSING" and (file == root or not file.is_dir())


def _read_earlier(card: TaskCard, settings: Settings, checks: Checks) -> dict[str, Any]:
    """Read the release to compare with; what its readers tolerate is not told.

    Raises:
        InvalidInput: If nothing of it is there, or something can't be read.
    """
    if settings.earlier is None:
        return {}
    collector = _Collector(settings.earlier, {}, frozenset(), frozenset())
    splits = _read_splits(card, settings.earlier, replace(settings, truth=None), checks, collector)
    collector.findings.raise_errors()
    return splits


def _with_truth(card: TaskCard, split: Any, path: Path, collector: _Collector) -> Any:
    """Return the test split with the truths of a file."""
    if split is None:
        message = "the test split is not in the data root, so its truth can't be checked with it"
        raise invalid("DATA-FILE-MISSING", message, file=path, hint="put the test set where data/README.md says")
    findings = collector.of_reader()
    truth_set = card.module("records").read_truth(path, card.id, findings)
    ids = {sample.id for sample in split.samples}
    for name in sorted(truth_set.truths.keys() - ids):
        collector.add(Finding("DATA-ID-NO-IMAGE", _ERROR, "the truth has an id that the test split lacks", str(path), id=name))
    is_unusable = findings.error_count and not truth_set.truths
    if not is_unusable and not any(findings.counts[code] for code in CUT_SHORT):
        for name in sorted(ids - truth_set.truths.keys()):
            collector.add(Finding("DATA-ID-NO-LABEL", _ERROR, "the truth lacks an id of the test split", str(path), id=name))
    samples = tuple(
        replace(sample, truth=truth_set.truths.get(sample.id)) if hasattr(sample, "truth") else sample
        for sample in split.samples
    )
    return replace(split, samples=samples, truth_set=truth_set)


def _score_trivial(data_set: DataSet) -> dict[str, dict[str, float | None]]:
    """Score the run that predicts what is most frequent in training, on every split that has a truth."""
    score = data_set.card.module("score")
    train = data_set.splits.get("train", data_set.splits.get("all"))
    scores: dict[str, dict[str, float | None]] = {}
    for name, split in data_set.splits.items():
        labelled = train is not None and any(getattr(sample, "truth", None) is not None for sample in split.samples)
        if train is not None and labelled and train.truth_set.truths:
            predictions = score.trivial_predictions(train.truth_set, split.truth_set)
            metrics = score.evaluate(split.truth_set, predictions).metrics
            scores[name] = {
                metric: None if value is None or math.isnan(value) else float(value) for metric, value in metrics.items()
            }
    return scores


def _tell_trivial(data_set: DataSet, trivial: Mapping[str, Mapping[str, float | None]]) -> Iterator[Finding]:
    primary = data_set.card.primary.name
    for name, metrics in trivial.items():
        value = metrics.get(primary)
        told = f"{primary} {'undefined' if value is None else f'{value:.4f}'}"
        what = f"the run that predicts what is most frequent in training scores {told} on {name}"
        yield Finding("DATA-TRIVIAL", _INFO, what, str(data_set.root), id=name, value=told)


def fingerprint(finding: Finding, root: Path) -> str:
    """Return what makes a finding the same one in a later check: not its line, which moves, nor where the root lies."""
    file = finding.file
    if file.startswith(f"{root}/"):
        file = file[len(str(root)) :].lstrip("/")
    return f"{finding.code}\t{file}\t{finding.id}\t{finding.value}"


def write_accepted(path: Path, outcome: Outcome, before: frozenset[str]) -> int:
    """Write the errors and warnings of a check, and those accepted before, as accepted; return how many there are now.

    Raises:
        InvalidInput: If they are more than ``MAX_ACCEPTED``: a part would be no help.
    """
    accepted = outcome.fingerprints | before
    if len(accepted) > MAX_ACCEPTED:
        what = f"more than {MAX_ACCEPTED:,} findings are too many to accept"
        hint = "mend some, or switch codes off: --ignore CODE"
        raise invalid("CHECK-ACCEPTED", what, file=path, hint=hint)
    write_json_atomic(path, {"accepted": sorted(accepted)})
    return len(accepted)


def read_accepted(path: Path) -> frozenset[str]:
    """Read what :func:`write_accepted` wrote.

    Raises:
        InvalidInput: If it is none of these files.
    """
    hint = "make one with --write-accepted FILE"
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise invalid("CHECK-ACCEPTED", "is too large", file=path, hint=hint)
        accepted = json.loads(path.read_text(encoding="utf-8"))["accepted"]
        if not isinstance(accepted, list):
            raise invalid("CHECK-ACCEPTED", "what it accepts is no list", file=path, hint=hint)
        return frozenset(str(each) for each in accepted)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = "can't be read as a file of accepted findings"
        raise invalid("CHECK-ACCEPTED", message, file=path, value=str(error), hint=hint) from error
