"""The torch-free verbs through the command line: exit codes, what goes to stdout and what to stderr."""

import json

import pytest

from baselines.cli import main
from baselines.core.results import Scores
from baselines.core.tasks import all_tasks, get_task

TASK = "drawnui-wireframe"
BOX = {"box": [0.1, 0.1, 0.2, 0.2], "detectionClass": 16, "detectionString": "button", "score": 1}


@pytest.fixture
def files(tmp_path):
    records = [{"file": f"{name}.jpg", "width": 100, "height": 100, "annotations": [BOX]} for name in "abcd"]
    for name, content in (("truth", records), ("run", records[:3])):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "ids.txt").write_text("a.jpg\nb.jpg\nc.jpg\n")
    return tmp_path


def spoil(path, **changes):
    records = json.loads(path.read_text())
    for record in records[:2]:
        record["annotations"][0] = BOX | changes
    path.write_text(json.dumps(records))


def test_tasks_lists_ten(capsys):
    assert main(["tasks"]) == 0
    output = capsys.readouterr().out
    assert sum(line.split()[-1:] in (["baseline"], ["scorer"], ["planned"]) for line in output.splitlines()) == 10


@pytest.mark.parametrize("task", [card.id for card in all_tasks().values() if card.has("runs")])
def test_the_examples_of_every_card_belong_together_and_are_valid(task, capsys, tmp_path):
    truth, run, ids = tmp_path / "truth", tmp_path / "run", tmp_path / "ids"
    for flag, path in (("--example-truth", truth), ("--example", run)):
        assert main(["tasks", task, flag]) == 0
        path.write_text(capsys.readouterr().out)
    ids.write_text("\n".join(get_task(task).example_ids))
    assert main(["tasks", task]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n\n{path.read_text().rstrip()}\n" in shown for path in (truth, run))
    for known in (("--truth", str(truth)), ("--ids", str(ids))):
        assert main(["validate", task, "--run", str(run), *known]) == 0
        assert f"{run}: acceptable, with 2 of 2 {get_task(task).unit}s; 0 errors, 0 warnings" in capsys.readouterr().out
    assert main(["score", task, "--run", str(run), "--truth", str(truth), "--bootstrap", "0"]) == 0
    assert "2 expected, 2 scored, 0 missing" in capsys.readouterr().out


def test_an_example_is_that_of_a_task(capsys):
    assert main(["tasks", "--example"]) == 2
    assert "name one" in capsys.readouterr().err


def test_a_task_without_scorer_is_wrong_usage(capsys, files):
    assert main(["tasks", "coral-annotations"]) == 2
    assert "did you mean coral-annotation?" in capsys.readouterr().err


def test_validate_accepts_a_run_and_tells_its_warnings(capsys, files):
    assert main(["validate", TASK, "--run", str(files / "run.json"), "--truth", str(files / "truth.json")]) == 0
    output = capsys.readouterr()
    assert "acceptable, with 3 of 4 images; 0 errors, 1 warning" in output.out
    assert f"\n{files / 'run.json'}: RUN-MISSING-ID warning:" in output.err


@pytest.mark.parametrize("known", [["--truth", "truth.json"], ["--ids", "ids.txt"]])
def test_validate_refuses_a_run_with_every_error(capsys, files, known):
    spoil(files / "run.json", detectionString="buton")
    assert main(["validate", TASK, "--run", str(files / "run.json"), known[0], str(files / known[1])]) == 1
    output = capsys.readouterr()
    assert "not acceptable; 2 errors" in output.out
    assert output.err.count("RUN-UNKNOWN-CLASS") == 2
    assert "did you mean button?" in output.err


def test_validate_tells_a_broken_truth_from_a_broken_run(capsys, files):
    (files / "truth.json").write_text("{")
    assert main(["validate", TASK, "--run", str(files / "run.json"), "--truth", str(files / "truth.json")]) == 1
    assert "truth.json" in capsys.readouterr().err


def test_scores_for_platforms(capsys, files):
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--bootstrap", "0"]
    outputs = ["--codabench", str(files / "codabench.json"), "--aicrowd", str(files / "aicrowd.json")]
    assert main(["score", TASK, *where, *outputs]) == 0
    scores = json.loads((files / "codabench.json").read_text())
    assert scores["recall50"] == 0.75
    assert all(isinstance(value, float) for value in scores.values())
    assert json.loads((files / "aicrowd.json").read_text()) == {"score": scores["map50"], "score_secondary": 0.75}


def test_a_platform_gets_no_undefined_score(capsys, files):
    truth = json.loads((files / "truth.json").read_text())
    (files / "truth.json").write_text(json.dumps([each | {"annotations": []} for each in truth]))
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json")]
    outputs = [f"--{name}={files / name}.json" for name in ("codabench", "aicrowd", "json")]
    assert main(["score", TASK, *where, *outputs]) == 1
    output = capsys.readouterr()
    assert "SCORES-UNDEFINED map50 is undefined (no box in the truth), and Codabench takes" in output.err
    assert "4 expected, 3 scored, 1 missing" in output.out
    assert output.err.count("SCORES-UNDEFINED") == 2
    assert not list(files.glob("*codabench*")) + list(files.glob("*aicrowd*"))
    scores = Scores.from_json((files / "json.json").read_text())
    assert (scores.score, scores.undefined["map50"]) == (None, "no box in the truth")


def test_concepts_outside_the_vocabulary_are_told_and_change_no_signature(capsys, tmp_path):
    for name, line in {"truth": "synpic1\tC0000001", "known": "synpic9\tC0000001", "run": "synpic1|C0000001;C0000002"}.items():
        (tmp_path / name).write_text(line + "\n")
    where = ["score", "caption-concepts", "--truth", str(tmp_path / "truth"), "--run", str(tmp_path / "run")]
    assert main([*where, "--json", str(tmp_path / "plain.json")]) == 0
    assert main([*where, "--vocabulary", str(tmp_path / "known"), "--json", str(tmp_path / "checked.json")]) == 0
    plain, checked = (Scores.from_json((tmp_path / f"{name}.json").read_text()) for name in ("plain", "checked"))
    assert plain.signature == checked.signature
    assert [line for line in checked.warnings if "RUN-UNKNOWN-CONCEPT" in line]
    assert main([*where, "--max-concepts", "1"]) == 1
    assert "RUN-TOO-MANY-CONCEPTS" in capsys.readouterr().err


def test_runs_that_lack_samples_are_scored_where_asked_to(capsys, tmp_path):
    (tmp_path / "truth").write_text("TST_0001.nii.gz,1\nTST_0002.nii.gz,2\nTST_0003.nii.gz,2\n")
    (tmp_path / "run").write_text("TST_0001.nii.gz,1\nTST_0002.nii.gz,2\n")
    where = ["score", "tuberculosis", "--truth", str(tmp_path / "truth"), "--run", str(tmp_path / "run")]
    assert main(where) == 1
    assert "RUN-MISSING-ID 1 of 3 scans have no line" in capsys.readouterr().err
    assert main([*where, "--allow-missing", "--json", str(tmp_path / "scores.json")]) == 0
    scores = Scores.from_json((tmp_path / "scores.json").read_text())
    assert scores.metrics["accuracy"] == pytest.approx(2 / 3)
    assert scores.n == {"expected": 3, "scored": 2, "missing": 1}
    assert "|allow_missing:True|" in scores.signature


@pytest.mark.parametrize("task", all_tasks())
def test_intervals_are_made_of_as_many_resamples_as_help_says(task, capsys, tmp_path):
    for flag, path in (("--example-truth", tmp_path / "truth"), ("--example", tmp_path / "run")):
        assert main(["tasks", task, flag]) == 0
        path.write_text(capsys.readouterr().out)
    files = ["--truth", str(tmp_path / "truth"), "--run", str(tmp_path / "run"), "--json", str(tmp_path / "scores.json")]
    assert main(["score", task, *files]) == 0
    used = Scores.from_json((tmp_path / "scores.json").read_text()).inputs["options"]["bootstrap"]
    assert used == get_task(task).resamples
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    assert ("1000" if used == 1000 else f"{task} {used}") in " ".join(capsys.readouterr().out.split())


def test_an_option_that_the_task_does_not_have_is_wrong_usage(capsys, files):
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json")]
    assert main(["score", TASK, *where, "--max-concepts", "5"]) == 2
    assert "runs of drawnui-wireframe have no option --max-concepts" in capsys.readouterr().err


def test_score_prints_a_table_and_writes_scores(capsys, files):
    target = files / "scores.json"
    arguments = ["score", TASK, "--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--json", str(target)]
    assert main([*arguments, "--bootstrap", "100", "--seed", "5"]) == 0
    output = capsys.readouterr()
    assert "map50" in output.out
    assert not output.err
    scores = Scores.from_json(target.read_text())
    assert scores.metrics["recall50"] == 0.75
    assert scores.intervals
    assert scores.inputs["options"] == {"bootstrap": 100, "seed": 5}


def test_score_restricts_the_truth_to_ids(capsys, files):
    arguments = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--ids", str(files / "ids.txt")]
    assert main(["score", TASK, *arguments]) == 0
    assert "3 expected, 3 scored, 0 missing" in capsys.readouterr().out


def test_an_invalid_run_gets_errors_and_no_scores(capsys, files):
    spoil(files / "run.json", score="high")
    target = files / "scores.json"
    arguments = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--json", str(target)]
    assert main(["score", TASK, *arguments]) == 1
    output = capsys.readouterr()
    assert not output.out
    assert output.err.count("RUN-") >= 2
    assert not target.exists()


def test_an_unknown_format_is_wrong_usage(capsys, files):
    arguments = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--format", "1999"]
    assert main(["score", TASK, *arguments]) == 2
    assert "1999" in capsys.readouterr().err


def test_sample_writes_what_can_be_scored(capsys, tmp_path):
    assert main(["sample", TASK, "--out", str(tmp_path), "--size", "2"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    truth = str(tmp_path / "drawnui" / "wireframe_development_set" / "development_set.json")
    assert main(["score", TASK, "--truth", truth, "--run", truth, "--bootstrap", "0"]) == 0  # the truth is its own best run
    assert "1.0000" in capsys.readouterr().out


def test_nothing_is_written_if_one_task_has_no_samples(capsys, tmp_path):
    assert main(["sample", TASK, "nosuchtask", "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def a_link(path, target):
    path.symlink_to(target)
    return path


def a_hard_link(path, target):
    path.hardlink_to(target)
    return path


@pytest.mark.parametrize("output", ["--json", "--codabench", "--aicrowd"])
@pytest.mark.parametrize("victim", ["truth.json", "run.json", "ids.txt"])
@pytest.mark.parametrize(
    "spell",
    [
        lambda folder, name: folder / name,
        lambda folder, name: folder / "nowhere" / ".." / name,
        lambda folder, name: a_link(folder / "link", name),
        lambda folder, name: a_hard_link(folder / "link", folder / name),
    ],
    ids=["itself", "dots", "link", "hard-link"],
)
def test_score_never_overwrites_what_it_reads(capsys, files, output, victim, spell):
    before = (files / victim).read_bytes()
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--ids", str(files / "ids.txt")]
    assert main(["score", TASK, *where, output, str(spell(files, victim))]) == 2
    captured = capsys.readouterr()
    assert f"{output} would overwrite --{victim.partition('.')[0]}" in captured.err
    assert not captured.out
    assert (files / victim).read_bytes() == before


def test_score_refuses_before_it_reads(capsys, tmp_path):
    where = ["--truth", str(tmp_path / "none"), "--run", str(tmp_path / "broken")]
    (tmp_path / "broken").write_text("[")
    assert main(["score", TASK, *where, "--json", str(tmp_path / "none")]) == 2
    assert "--json would overwrite --truth" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


def test_two_outputs_are_two_files(capsys, files):
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json")]
    new = str(files / "new.json")
    assert main(["score", TASK, *where, "--json", new, "--codabench", new]) == 2
    assert "--codabench would overwrite --json" in capsys.readouterr().err
    assert not (files / "new.json").exists()


def test_a_vocabulary_is_not_overwritten(capsys, tmp_path):
    for name, line in {"truth": "synpic1\tC0000001", "known": "synpic9\tC0000001", "run": "synpic1|C0000001"}.items():
        (tmp_path / name).write_text(line + "\n")
    truth, known, run = (str(tmp_path / name) for name in ("truth", "known", "run"))
    assert main(["score", "caption-concepts", "--truth", truth, "--run", run, "--vocabulary", known, "--json", known]) == 2
    assert "--json would overwrite --vocabulary" in capsys.readouterr().err
    assert (tmp_path / "known").read_text() == "synpic9\tC0000001\n"


@pytest.mark.parametrize("victim", ["truth.json", "run.json"])
def test_compare_never_overwrites_what_it_reads(capsys, files, victim):
    before = (files / victim).read_bytes()
    arguments = ["compare", TASK, "--truth", str(files / "truth.json"), str(files / "run.json"), "--out", str(files / victim)]
    assert main(arguments) == 2
    assert "--out would overwrite" in capsys.readouterr().err
    assert (files / victim).read_bytes() == before


def test_a_truth_with_classes_that_are_none_is_no_truth(capsys, tmp_path):
    (tmp_path / "truth.txt").write_text("a 0 c_sponge 1 0 0 9 9\na 1 sponge_barrel 1 20 20 40 40\n")
    (tmp_path / "run.txt").write_text("a;c_sponge 1:9x9+0+0\n")
    where = ["--truth", str(tmp_path / "truth.txt"), "--run", str(tmp_path / "run.txt")]
    assert main(["score", "coral-annotation", *where]) == 1
    captured = capsys.readouterr()
    assert "truth.txt:2: " in captured.err
    assert "did you mean c_sponge_barrel?" in captured.err
    assert not captured.out


def test_validate_counts_what_is_beside_the_run_apart(capsys, files):
    (files / "ids.txt").write_text("a.jpg\nb.jpg\nc.jpg\nb.jpg\n")
    assert main(["validate", TASK, "--run", str(files / "run.json"), "--ids", str(files / "ids.txt")]) == 0
    output = capsys.readouterr()
    assert output.err.startswith(f"{files / 'ids.txt'}:4: DATA-ID-DUPLICATE warning:")
    assert output.out.splitlines() == [
        f"{files / 'ids.txt'}: usable; 0 errors, 1 warning",
        f"{files / 'run.json'}: acceptable, with 3 of 3 images; 0 errors, 0 warnings, 1 info",
    ]


def test_validate_says_how_bad_each_finding_is(capsys, tmp_path):
    (tmp_path / "truth").write_bytes(b"\xef\xbb\xbfsynpic1|a cyst|what?\nsynpic2|yes\n")
    (tmp_path / "run").write_bytes(b"synpic1|cyst\r\nsynpic3|x\r\n")
    assert main(["validate", "vqa", "--run", str(tmp_path / "run"), "--truth", str(tmp_path / "truth")]) == 1
    output = capsys.readouterr()
    said = [line.split(": ")[1].split()[:2] for line in output.err.splitlines()]
    mild = sorted(line for line in said if line[1] in ("info", "warning"))
    assert mild == [["DATA-BOM", "info"], ["RUN-CRLF", "warning"]]
    assert {code for code, _ in said} == {"DATA-BOM", "RUN-CRLF", "RUN-UNKNOWN-ID", "RUN-MISSING-ID"}
    assert f"{tmp_path}/truth: usable; 0 errors, 0 warnings, 1 info\n" in output.out


@pytest.mark.parametrize("verb", ["validate", "score", "compare"])
def test_a_vocabulary_that_is_not_there_is_not_the_runs_fault(capsys, tmp_path, verb):
    for name, line in {"truth": "synpic1\tC0000001", "run": "synpic1|C0000001"}.items():
        (tmp_path / name).write_text(line + "\n")
    where = ["--truth", str(tmp_path / "truth"), "--vocabulary", str(tmp_path / "none")]
    runs = [str(tmp_path / "run")] if verb == "compare" else ["--run", str(tmp_path / "run")]
    assert main([verb, "caption-concepts", *runs, *where]) == 1
    output = capsys.readouterr()
    assert output.err == f"{tmp_path / 'none'}: DATA-FILE-MISSING there is no such file (check the path)\n"
    assert not output.out


def test_where_scores_cant_be_written_they_are_shown_all_the_same(capsys, files):
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json")]
    assert main(["score", TASK, *where, "--json", "/dev/full"]) == 1
    output = capsys.readouterr()
    assert "map50" in output.out
    assert output.err == "imageclef score: No space left on device\n"


@pytest.mark.parametrize("flag", ["--json", "--codabench", "--aicrowd"])
def test_the_folder_of_a_file_to_write_is_not_made(capsys, files, flag):
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json")]
    assert main(["score", TASK, *where, flag, str(files / "nowhere" / "typo" / "x.json")]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    place, said = f"{files / 'nowhere' / 'typo'}: OUTPUT-PATH", "needs this folder, and there is none"
    assert output.err == f"{place} {flag} {said} (make it, or check the path)\n"
    assert not (files / "nowhere").exists()


def test_scores_on_standard_output_are_alone_there(capfd, files):
    where = ["--truth", str(files / "truth.json"), "--run", str(files / "run.json"), "--bootstrap", "0"]
    assert main(["score", TASK, *where, "--json", "-"]) == 0
    output = capfd.readouterr()
    assert json.loads(output.out)["task"] == TASK
    assert "map50" in output.err
    assert main(["score", TASK, *where, "--json", "-", "--codabench", "-"]) == 2
    output = capfd.readouterr()
    assert output.out == ""
    assert "--codabench would overwrite --json" in output.err
    assert not list(files.glob("-"))


def test_compare_prints_the_first_findings_of_a_run(capsys, tmp_path):
    (tmp_path / "truth").write_text("".join(f"synpic{number}|a cyst\n" for number in range(50)))
    (tmp_path / "good").write_text("".join(f"synpic{number}|a cyst\n" for number in range(50)))
    (tmp_path / "bad").write_text("".join(f"synpic{number}|\r\n" for number in range(50)))
    runs = [str(tmp_path / "bad"), str(tmp_path / "good")]
    assert main(["compare", "vqa", "--truth", str(tmp_path / "truth"), *runs, "--bootstrap", "0"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert all(": RUN-EMPTY-ANSWER synpic" in line for line in lines[:20])
    command = f"imageclef validate vqa --run {runs[0]} --truth {tmp_path / 'truth'}"
    assert lines[20:] == [f"{runs[0]}: 31 more; `{command}` lists them"]


@pytest.mark.parametrize("blank", ["\u00a0", "\u200b", "\ufeff", "\u2060"])
def test_invisible_blanks_of_ids_are_shown(capsys, tmp_path, blank):
    (tmp_path / "truth").write_text("synpic1|a cyst\nsynpic2|yes\n")
    (tmp_path / "run").write_text(f"synpic1|a cyst\nsynpic2{blank}|yes\n")
    assert main(["validate", "vqa", "--truth", str(tmp_path / "truth"), "--run", str(tmp_path / "run")]) == 1
    shown = ascii(blank)[1:-1]
    assert f"RUN-UNKNOWN-ID synpic2{shown}: the image is not in the set (did you mean synpic2?)" in capsys.readouterr().err
