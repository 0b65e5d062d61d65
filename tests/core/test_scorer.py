"""Scoring files: intervals, warnings, signature, and errors that are all told at once."""

import hashlib
import json
import math

import numpy as np
import pytest

import baselines
from baselines.core.findings import InvalidInput, Severity, UsageError
from baselines.core.scorer import SCORER_VERSION, score_files

TASK = "drawnui-wireframe"


def record(name, *annotations):
    return {
        "file": name,
        "width": 100,
        "height": 200,
        "annotations": [
            {"box": box, "detectionClass": label, "detectionString": text, "score": score}
            for box, label, text, score in annotations
        ],
    }


def button(score=1, y=0.1):
    return ([y, 0.1, 0.2, 0.2], 16, "button", score)


def link(score=1):
    return ([0.6, 0.6, 0.2, 0.2], 20, "link", score)


@pytest.fixture
def files(tmp_path):
    """Write a truth of eight images and a run that finds some of it; return their paths."""
    truth = [record(f"{number}.jpg", button(), *([link()] if number % 2 else [])) for number in range(8)]
    run = [record(f"{number}.jpg", button(0.9 - number / 10), link(0.3)) for number in range(6)]
    paths = tmp_path / "truth.json", tmp_path / "run.json"
    for path, records in zip(paths, (truth, run), strict=True):
        path.write_text(json.dumps(records))
    return paths


def rewrite(path, change):
    records = json.loads(path.read_text())
    path.write_text(json.dumps(change(records)))


def test_scores_and_their_origin(files):
    truth, run = files
    scores = score_files(TASK, truth, run, bootstrap=50, seed=3)
    assert (scores.task, scores.scorer, scores.primary) == (TASK, SCORER_VERSION, "map50")
    assert scores.metrics["recall50"] == pytest.approx((6 / 8 + 3 / 4) / 2)
    assert scores.n == {"expected": 8, "scored": 6, "missing": 2}
    assert any("RUN-MISSING-ID" in line for line in scores.warnings)
    assert scores.inputs["run"] == {
        "name": "run.json",
        "bytes": run.stat().st_size,
        "sha256": hashlib.sha256(run.read_bytes()).hexdigest(),
    }
    assert scores.inputs["options"] == {"bootstrap": 50, "seed": 3}
    assert scores.inputs["versions"]["numpy"] == np.__version__


def test_the_signature_names_what_decides_the_numbers(files, tmp_path):
    truth, run = files
    parts = dict(part.split(":") for part in score_files(TASK, truth, run, bootstrap=50, seed=3).signature.split("|")[1:])
    assert parts.keys() == {"version", "scorer", "truth", "run", "bootstrap", "seed", "numpy"}
    assert parts["truth"] == hashlib.sha256(truth.read_bytes()).hexdigest()[: len(parts["truth"])]
    ids = tmp_path / "ids.txt"
    ids.write_text("".join(f"{number}.jpg\n" for number in range(6)))
    assert "|ids:" in score_files(TASK, truth, run, ids=ids).signature
    assert "|format:2021" in score_files(TASK, truth, run, run_format="2021").signature


def test_nothing_of_the_machine_gets_into_the_scores(files):
    assert str(files[0].parent) not in score_files(TASK, *files).to_json()


def test_intervals_enclose_the_score_and_depend_on_the_seed(files):
    scores = score_files(TASK, *files, bootstrap=200)
    assert scores.intervals.keys() == scores.metrics.keys() - scores.undefined.keys()
    for name, (low, high) in scores.intervals.items():
        assert 0 <= low <= scores.metrics[name] <= high <= 1
    assert score_files(TASK, *files, bootstrap=200).to_json() == scores.to_json()
    assert score_files(TASK, *files, bootstrap=200, seed=1).intervals != scores.intervals
    assert score_files(TASK, *files).intervals == {}


def test_the_order_of_the_records_does_not_matter(files):
    before = score_files(TASK, *files, bootstrap=20)
    for path in files:
        rewrite(path, lambda records: records[::-1])
    after = score_files(TASK, *files, bootstrap=20)
    assert (after.metrics, after.per_class, after.intervals) == (before.metrics, before.per_class, before.intervals)


def test_the_package_scores_too(files):
    assert baselines.score(TASK, *map(str, files)).metrics == score_files(TASK, *files).metrics


def test_a_missing_image_scores_as_one_without_detections(files):
    before = score_files(TASK, *files)
    rewrite(files[1], lambda records: [*records, record("6.jpg"), record("7.jpg")])
    after = score_files(TASK, *files)
    assert after.metrics == before.metrics
    assert after.n["missing"] == 0


def test_ids_restrict_the_truth(files, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("1.jpg\n\n 3.jpg \r\n")
    rewrite(files[1], lambda records: [records[1], records[3]])
    scores = score_files(TASK, *files, ids=ids)
    assert scores.n == {"expected": 2, "scored": 2, "missing": 0}
    assert scores.metrics["map50"] == pytest.approx(1.0)


def test_a_whole_run_is_scored_on_ids_as_one_of_these_alone(files, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("1.jpg\n3.jpg\n")
    whole = score_files(TASK, *files, ids=ids, bootstrap=50)
    rewrite(files[1], lambda records: [records[1], records[3]])
    part = score_files(TASK, *files, ids=ids, bootstrap=50)
    assert (whole.metrics, whole.intervals, whole.n) == (part.metrics, part.intervals, part.n)
    rewrite(files[0], lambda records: [records[1], records[3]])
    assert score_files(TASK, *files, bootstrap=50).metrics == part.metrics


@pytest.mark.parametrize(
    ("run", "codes", "said"),
    [
        ("s1|a cyst\ns2|no\ns3|mri\n", {}, ""),
        ("s2|no\ns1|a cyst\n", {}, ""),
        ("s1|a cyst\ns3|mri\n", {"RUN-MISSING-ID": 1}, "1 of the 2 images to score are missing: s2 (predict every image"),
        ("s1|a cyst\ns2|no\ns9|mri\n", {"RUN-UNKNOWN-ID": 1}, "s9: the image is not in the set"),
        ("s1|a cyst\ns2|no\ns3\n", {"RUN-FIELDS": 1}, "s3"),
    ],
)
def test_ids_beside_those_to_score_may_be_missing_but_not_wrong(tmp_path, run, codes, said):
    for name, text in {"truth": "s1|a cyst\ns2|yes\ns3|ct\n", "ids": "s1\ns2\n", "run": run}.items():
        (tmp_path / name).write_text(text)
    where = ("vqa", tmp_path / "truth", tmp_path / "run")
    if not codes:
        assert score_files(*where, ids=tmp_path / "ids").metrics["accuracy"] == 0.5
        return
    with pytest.raises(InvalidInput) as caught:
        score_files(*where, ids=tmp_path / "ids")
    assert caught.value.findings.counts == codes
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"1.jpg\nnone.jpg\nnor this.jpg\n", "DATA-ID-UNKNOWN"),
        (b"\n  \n", "DATA-EMPTY"),
        (b"", "DATA-FILE-EMPTY"),
        (b"\xff\xfe1\x00", "DATA-ENCODING"),
    ],
)
def test_broken_files_of_ids_are_refused(files, tmp_path, content, code):
    ids = tmp_path / "ids.txt"
    ids.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        score_files(TASK, *files, ids=ids)
    assert code in caught.value.findings.counts
    assert all(finding.file == str(ids) for finding in caught.value.findings.of(Severity.ERROR))


def test_every_unknown_id_is_named_with_its_line(files, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("x.jpg\n1.jpg\ny.jpg\n")
    with pytest.raises(InvalidInput) as caught:
        score_files(TASK, *files, ids=ids)
    assert [finding.line for finding in caught.value.findings.of(Severity.ERROR)] == [1, 3]


def test_all_errors_of_a_run_are_told_at_once(files):
    def spoil(records):
        records[0]["file"] = "none.jpg"
        records[1]["annotations"][0]["detectionString"] = "buton"
        records[2]["annotations"][0]["box"] = [0.9, 0.9, 0.5, 0.5]
        return records

    rewrite(files[1], spoil)
    with pytest.raises(InvalidInput) as caught:
        score_files(TASK, *files)
    assert {"RUN-UNKNOWN-ID", "RUN-UNKNOWN-CLASS", "RUN-OUT-OF-IMAGE"} <= caught.value.findings.counts.keys()


def test_a_nan_in_a_run_is_an_error_and_no_score(files):
    rewrite(files[1], lambda _: [record("0.jpg", button(math.nan))])
    with pytest.raises(InvalidInput) as caught:
        score_files(TASK, *files)
    assert caught.value.findings.error_count


@pytest.mark.parametrize("which", [0, 1])
def test_missing_files_are_findings(files, which):
    files[which].unlink()
    with pytest.raises(InvalidInput) as caught:
        score_files(TASK, *files)
    assert str(files[which]) in str(caught.value)


def test_a_truth_without_samples_is_refused(files):
    files[0].write_text("[]")
    with pytest.raises(InvalidInput):
        score_files(TASK, *files)


@pytest.mark.parametrize(
    "options", [{"bootstrap": -1}, {"seed": -1}, {"run_format": "1999"}], ids=["bootstrap", "seed", "run_format"]
)
def test_wrong_usage(files, options):
    with pytest.raises(UsageError):
        score_files(TASK, *files, **options)


def test_of_many_warnings_a_few_are_listed(files):
    rewrite(files[1], lambda records: [{**each, "width": 7} for each in records])
    listed = [line for line in score_files(TASK, *files).warnings if "RUN-SIZE-MISMATCH" in line]
    assert len(listed) == 4
    assert "3 more" in listed[-1]
