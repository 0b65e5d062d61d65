"""The run format of aware: a planted fault for every code, round trips and garbage."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.aware.records import Prediction, Truth, TruthSet, is_complete, truths_of_ids
from baselines.aware.runs import CODES, example_run, read_run, write_run
from baselines.aware.task import SITUATIONS
from baselines.core import files
from baselines.core.findings import Findings, InvalidInput

RUN = {
    "u1": {"acc": 22.41, "it": 29.96, "bank": -0.98, "wait": 25.88},
    "u2": {"acc": 1, "bank": 2, "it": 3, "wait": 4},
    "u3": {"acc": 5.5, "bank": -6e-3, "it": 0, "wait": 1e300},
}
TRUTHS = TruthSet({name: Truth(name, dict.fromkeys(SITUATIONS, float(place))) for place, name in enumerate(RUN)})


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, truth_set=TRUTHS, **options):
        path = tmp_path / "run.json"
        if not isinstance(content, str | bytes):
            content = "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items()) + "\n}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = Findings()
        return read_run(path, truth_set, findings, **options), findings

    return write_and_read


def said(findings):
    return [(finding.code, finding.severity.value, finding.line) for finding in findings]


def text():
    """Return the run's text, a user a line from line 2 on."""
    lines = ["{", *(f"{json.dumps(name)}: {json.dumps(ratings)}," for name, ratings in RUN.items())]
    lines[-1] = lines[-1][:-1]
    return "\n".join([*lines, "}"])


def second(old, new):
    """Return the run's text with a change in the line of u2, the third."""
    lines = text().split("\n")
    assert old in lines[2]
    lines[2] = lines[2].replace(old, new)
    return "\n".join(lines)


def test_the_official_example(read):
    predictions, findings = read(RUN)
    assert {name: prediction.ratings for name, prediction in predictions.items()} == RUN
    assert all(name == prediction.id for name, prediction in predictions.items())
    assert len(findings) == 0


def test_any_layout_of_the_text_is_allowed(read):
    assert len(read(json.dumps(RUN))[1]) == 0
    assert len(read(json.dumps(RUN, indent=4).replace("\n", "\r\n"))[1]) == 0


def column(key, *values):
    return {name: ratings | {key: value} for (name, ratings), value in zip(RUN.items(), values, strict=True)}


BIG = "9" * 10**6
PLANTED = [
    ("RUN-FILE-EMPTY", "error", None, "", "the file is empty"),
    ("RUN-ENCODING", "error", 3, second("u2", "\xe9").encode("latin-1"), "this is not UTF-8"),
    ("RUN-BOM", "error", 1, b"\xef\xbb\xbf" + text().encode(), "the file starts with a byte order mark"),
    ("RUN-JSON", "error", 3, second('1, "bank"', '1 "bank"'), "in column 17: expecting ',' delimiter (saw \"bank\": 2"),
    ("RUN-JSON", "error", 3, second("4}", "4,}"), "a comma too many?"),
    ("RUN-JSON", "error", 5, text()[:-1], "the file ends too early"),
    ("RUN-JSON", "error", 3, second("4}", "None}"), "JSON has null, true and false"),
    ("RUN-JSON", "error", 3, second('"acc"', "'acc'"), "double quotes"),
    ("RUN-JSON", "error", 6, text() + "\n{}", "there is more behind the end of the object"),
    ("RUN-STRUCTURE", "error", 1, json.dumps([RUN]), "the top level is a list, not an object"),
    ("RUN-STRUCTURE", "error", 1, "3", "the top level is not an object"),
    *(
        ("RUN-STRUCTURE", "error", 3, RUN | {"u2": value}, f"u2: the user has no object of ratings (saw {shown}; a user is")
        for value, shown in ((None, "null"), ([1, 2, 3, 4], "[1, 2, 3, 4]"), (3, "3"), ("x", '"x"'))
    ),
    ("RUN-UNKNOWN-ID", "error", 5, RUN | {"U2": RUN["u2"]}, "U2: the user is not in the set (did you mean u2?)"),
    ("RUN-UNKNOWN-ID", "error", 5, RUN | {"": RUN["u2"]}, "the user is not in the set (is it the right set?)"),
    ("RUN-UNKNOWN-ID", "error", 5, RUN | {"x" * 10**6: RUN["u2"]}, "the user is not in the set"),
    ("RUN-UNKNOWN-ID", "error", 5, RUN | {"\ud800\0\x1b": RUN["u2"]}, "\\ud800\\x00\\x1b: the user is not in the set"),
    ("RUN-DUPLICATE-ID", "error", 4, text().replace("u3", "u2"), "u2: the user has a record already, on line 3"),
    ("RUN-MISSING-ID", "error", None, {"u1": RUN["u1"], "u3": RUN["u3"]}, "1 of 3 users have no record: u2 (predict every"),
    ("RUN-DUPLICATE-KEY", "error", 3, second('"acc": 1', '"acc": 1, "acc": 1'), 'u2: a key occurs twice in one object (saw'),
    ("RUN-SITUATION", "error", 3, second('"acc"', '"ACCOM"'), "u2: ACCOM is no situation (write acc)"),
    ("RUN-SITUATION", "error", 3, second('"it"', '"job_search_IT"'), "job_search_IT is no situation (write it)"),
    ("RUN-SITUATION", "error", 3, second('"bank"', '" Bank"'), "Bank is no situation (write bank)"),
    ("RUN-SITUATION", "error", 3, second("4}", '4, "x": 5}'), "x is no situation (the situations are acc, bank, it, wait)"),
    ("RUN-SITUATION", "error", 3, second(', "wait": 4}', "}"), "u2: no rating for wait (a user is"),
    ("RUN-SITUATION", "error", 3, RUN | {"u2": {}}, "u2: no rating for acc, bank, it, wait (a user is"),
    *(
        ("RUN-QUOTED-NUMBER", "error", 3, second("1", f'"{number}"'), f'u2: the rating for acc is in quotes (saw "{number}"')
        for number in ("1", "-0.5", ".5", "5.", "1e9", "+1", " 1 ")
    ),
    ("RUN-QUOTED-NUMBER", "error", 3, second('"acc": 1', '"acc": "0,5"'), "remove the quotes, and write a decimal point"),
    ("RUN-QUOTED-NUMBER", "error", 3, second('"acc": 1', f'"acc": "{BIG}"'), "u2: the rating for acc is in quotes"),
    *(
        ("RUN-NOT-A-NUMBER", "error", 3, second("1", shown), f"u2: the rating for acc is no number (saw {shown}; write")
        for shown in ("null", "true", '""', '"high"', '"NaN"', '"1_0"', '"١"', "[1]", '{"x": 1}', "[NaN]")
    ),
    *(
        ("RUN-NOT-FINITE", "error", 3, second("1", shown), f"u2: the rating for acc is not finite (saw {shown}; write")
        for shown in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999")
    ),
    *(
        ("RUN-NOT-FINITE", "error", 3, second('"acc": 1', f'"acc": {number}'), "u2: the rating for acc is not finite (saw ")
        for number in ("9" * 400, "-" + "9" * 5000, BIG)
    ),
    ("RUN-CONSTANT", "error", None, column("it", 2, 2, 2.0), "all ratings for it are equal (saw 2; no correlation is defined"),
    ("RUN-CONSTANT", "error", None, column("it", 0, -0.0, 0), "all ratings for it are equal"),
    ("RUN-LOW-VARIANCE", "warning", None, column("it", 2, 2, 3), "all ratings for it but one are equal (saw 2; one user alone"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "severity", "line", "content", "message"), PLANTED)
def test_planted_fault(read, code, severity, line, content, message):
    findings = read(content)[1]
    others = {"RUN-ENCODING": {"RUN-UNKNOWN-ID", "RUN-MISSING-ID"}, "RUN-STRUCTURE": {"RUN-MISSING-ID"}}.get(code, set())
    found = [finding for finding in findings if finding.code == code]
    assert {finding.code for finding in findings} <= others | {code, "RUN-MISSING-ID"}
    assert (found[0].severity, found[0].line) == (severity, line)
    assert message in str(found[0])
    assert all(str(finding).isprintable() and len(str(finding)) < 500 for finding in findings)
    assert len(found) == (2 if code == "RUN-SITUATION" and "no situation (write" in message else 1)


def test_every_code_is_planted_and_described():
    elsewhere = {"RUN-FILE-MISSING", "RUN-FILE-UNREADABLE", "RUN-TOO-LARGE", "RUN-TOO-MANY-ERRORS"}
    assert {code for code, *_ in PLANTED} | elsewhere == CODES.keys()
    assert all(CODES[code].severity == severity for code, severity, *_ in PLANTED)
    assert all(code.meaning and code.example for code in CODES.values())


def test_no_such_file_and_no_file(tmp_path):
    for path, code in ((tmp_path / "no", "RUN-FILE-MISSING"), (tmp_path, "RUN-FILE-UNREADABLE")):
        findings = Findings()
        assert read_run(path, TRUTHS, findings) == {}
        assert said(findings) == [(code, "error", None)]


def test_bounds(read, monkeypatch):
    monkeypatch.setattr(files, "MAX_ERRORS", 5)
    assert read({f"x{number}": RUN["u1"] for number in range(20)})[1].counts == {"RUN-UNKNOWN-ID": 5, "RUN-TOO-MANY-ERRORS": 1}
    keys = read({"u1": {f"x{number}": 1 for number in range(20)}})[1]
    assert keys.counts["RUN-TOO-MANY-ERRORS"] == 1
    assert keys.error_count <= 7
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    assert said(read(RUN)[1]) == [("RUN-TOO-LARGE", "error", None)]


def test_lines_are_those_of_the_values(read):
    content = '{\n"u1":\n {"acc":\n  "1",\n  "bank": null, "it": 1,\n  "wait":\n   NaN\n },\n"u2": {"acc": 1},\n"u9"\n: {}}'
    predictions, findings = read(content)
    assert predictions == {}
    assert said(findings) == [
        ("RUN-MISSING-ID", "error", None),
        ("RUN-QUOTED-NUMBER", "error", 4),
        ("RUN-NOT-A-NUMBER", "error", 5),
        ("RUN-NOT-FINITE", "error", 7),
        ("RUN-SITUATION", "error", 9),
        ("RUN-UNKNOWN-ID", "error", 10),
        ("RUN-SITUATION", "error", 11),
    ]


def test_a_duplicate_user_is_refused_though_the_official_reader_takes_the_last(read):
    content = '{"u1": {"acc": 7, "bank": 7, "it": 7, "wait": 7},\n' + text()[2:]
    predictions, findings = read(content)
    assert said(findings) == [("RUN-DUPLICATE-ID", "error", 2)]
    assert predictions["u1"].ratings["acc"] == 7


def test_missing_users_can_be_allowed(read):
    predictions, findings = read({"u1": RUN["u1"], "u2": RUN["u2"]}, allow_missing=True)
    assert predictions.keys() == {"u1", "u2"}
    assert said(findings) == [("RUN-MISSING-ID", "warning", None)]


def test_a_single_user_is_not_constant(read):
    assert len(read({"u1": RUN["u1"]}, truths_of_ids(["u1"], "aware"))[1]) == 0


def test_constant_columns_are_found_beside_other_faults(read):
    findings = read(column("it", 2, 2, 2) | {"u3": {"acc": "1", "bank": 1, "it": 2, "wait": 3}})[1]
    assert {code for code, *_ in said(findings)} == {"RUN-CONSTANT", "RUN-QUOTED-NUMBER"}


def test_the_order_of_users_and_keys_makes_no_difference(read):
    turned = {name: dict(reversed(ratings.items())) for name, ratings in reversed(RUN.items())}
    assert read(turned)[0] == read(RUN)[0]


@pytest.mark.parametrize("users", [0, 1, 2, 3, 7, 8, 20])
def test_the_example_is_valid(read, users):
    truth_set = truths_of_ids([f"user {number}" for number in range(users)], "aware")
    predictions, findings = read(example_run(truth_set), truth_set)
    assert predictions.keys() == truth_set.truths.keys()
    assert len(findings) == 0


def predictions_of(run):
    return [Prediction(name, ratings) for name, ratings in run.items()]


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (predictions_of(RUN | {"u4": RUN["u1"]}), "RUN-UNKNOWN-ID"),
        (predictions_of(RUN) * 2, "RUN-DUPLICATE-ID"),
        (predictions_of(RUN)[1:], "RUN-MISSING-ID"),
        (predictions_of(RUN | {"u2": {"acc": 1.0}}), "RUN-SITUATION"),
        (predictions_of(column("it", 1, float("nan"), 2)), "RUN-NOT-FINITE"),
        (predictions_of(column("it", 1, 2, float("-inf"))), "RUN-NOT-FINITE"),
        (predictions_of(column("it", 1, 1, 1)), "RUN-CONSTANT"),
    ],
)
def test_what_cant_be_written_is_listed_and_the_old_file_stays(tmp_path, run, code):
    (tmp_path / "run").write_text("old")
    with pytest.raises(InvalidInput) as raised:
        write_run(tmp_path / "run", run, TRUTHS)
    assert set(raised.value.findings.counts) == {code}
    assert (tmp_path / "run").read_text() == "old"


numbers = st.floats(allow_nan=False, allow_infinity=False)
ratings = st.fixed_dictionaries(dict.fromkeys(SITUATIONS, numbers))


@given(st.dictionaries(st.text(max_size=8), ratings, max_size=5), st.randoms())
def test_runs_survive_writing_and_reading(tmp_path_factory, drawn, random):
    path = tmp_path_factory.getbasetemp() / "run.json"
    truth_set = truths_of_ids(drawn, "aware")
    expected = {name: Prediction(name, mine) for name, mine in drawn.items()}
    shuffled = random.sample(predictions_of(drawn), len(drawn))
    is_constant = len(drawn) > 1 and any(len({mine[key] for mine in drawn.values()}) == 1 for key in SITUATIONS)
    if is_constant:
        with pytest.raises(InvalidInput, match="RUN-CONSTANT"):
            write_run(path, shuffled, truth_set)
        return
    write_run(path, shuffled, truth_set)
    findings = Findings()
    assert read_run(path, truth_set, findings) == expected
    assert set(findings.counts) <= {"RUN-LOW-VARIANCE"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["0,5", "1", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SITUATIONS, "ACCOM", "x"]), inner),
    max_leaves=12,
)


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text(alphabet='{}[]":, 1e-9.u2accNa\n', max_size=60).map(lambda text: f'{{"u1":{text}'.encode())
    | st.dictionaries(st.sampled_from([*RUN, "x"]) | st.text(max_size=3), values).map(lambda value: json.dumps(value).encode()),
    st.booleans(),
)
def test_garbage_is_only_ever_a_finding(tmp_path_factory, content, allow_missing):
    path = tmp_path_factory.getbasetemp() / "garbage-run"
    path.write_bytes(content)
    findings = Findings()
    for name, prediction in read_run(path, TRUTHS, findings, allow_missing=allow_missing).items():
        assert name in TRUTHS.truths
        assert is_complete(prediction.ratings)
    assert {finding.code for finding in findings} <= CODES.keys()
    assert all(str(finding).isprintable() for finding in findings)


GOOD = json.dumps(RUN["u1"])
HOSTILE = {
    "one user again and again": ("{", f'"u1": {GOOD},'),
    "unknown users": ("{", f'"x": {GOOD},'),
    "one huge key": ('{"', "x"),
    "one huge string": ('{"u1": {"acc": "', "x"),
    "one huge number": ('{"u1": {"acc": ', "9"),
    "one huge object": ('{"u1": {', '"acc": 1,'),
    "many keys": ('{"u1": {', '"a": {}, "b": [], '),
    "nested objects": ("", '{"u1":'),
    "nested lists": ('{"u1":', "["),
    "blanks": ("{", " "),
    "line ends": ("{", "\n"),
    "empty users": ("{", '"u1":{},'),
    "NaN in lists": ('{"u1":[', "NaN,"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_of_100_mb_are_read_in_seconds(tmp_path, case):
    start, repeated = HOSTILE[case]
    path = tmp_path / "run"
    path.write_text(start + repeated * (100 * 2**20 // len(repeated)))
    begin = time.process_time()
    findings = Findings()
    read_run(path, TRUTHS, findings)
    assert findings.error_count
    assert time.process_time() - begin < 10
