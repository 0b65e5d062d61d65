"""What a check finds in VQA-Med data sets beyond the common rules: each finding has its planted fault."""

import functools
import json
import re
import shutil
from dataclasses import replace

import pytest

from baselines.core.check import check_data_set
from baselines.core.checks import Settings
from baselines.core.findings import Findings, Severity
from baselines.core.tasks import get_task
from baselines.medical.vqa import checks as checking
from baselines.medical.vqa.checks import CHECKS, PUBLISHED
from baselines.medical.vqa.records import read_split
from baselines.medical.vqa.samples import ANSWERING_TEST, PARTS, VALIDATION, generate

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
PAIRS = f"{PARTS[0].folder}/{PARTS[0].files[0]}"
VAL_PAIRS = f"{PARTS[2].folder}/{PARTS[2].files[0]}"
QUESTIONS = f"{PARTS[4].folder}/{PARTS[4].files[0]}"
REFERENCES = f"{ANSWERING_TEST}/{PARTS[3].files[1]}"


@pytest.fixture(scope="module")
def clean_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean")
    generate(root, "vqa", size=24, quirks=False)
    return root


@pytest.fixture
def root(clean_root, tmp_path):
    return shutil.copytree(clean_root, tmp_path / "root")


def edit(change, file=PAIRS):
    """Return what changes the lines of a file below ``medical/vqa``."""

    def plant(root):
        path = root / "medical" / "vqa" / file
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("".join(f"{line}\n" for line in lines))

    return plant


def answer(text, file=PAIRS, question=None, line=0):
    """Return what changes the answer of a line, and its question."""

    def change(lines):
        name, asked, _ = lines[line].split("|")
        lines[line] = f"{name}|{question or asked}|{text}"

    return edit(change, file)


def question(text):
    return edit(lambda lines: lines.__setitem__(0, f"{lines[0].partition('|')[0]}|{text}"), QUESTIONS)


def typo(lines):
    for place in range(12):
        lines[place] += " cystic"
    lines[13] += " cytsic"


def unlike_json(root):
    folder = root / "medical" / "vqa"
    name, *texts = (folder / REFERENCES).read_text().splitlines()[0].split("|")
    content = {"annotations": [{"image_id": name, "answers": [{"answer": text} for text in (*texts[1:], "drowned")]}]}
    (folder / ANSWERING_TEST / "ReferenceAnswers_mscoco_format_vqa.json").write_text(json.dumps(content))


def other_year(root):
    folder = root / "medical" / "vqa"
    (folder / "VQA-Med-2019-Train").mkdir()
    shutil.copy(folder / PAIRS, folder / "VQA-Med-2019-Train" / "All_QA_Pairs_train.txt")


def categories(lines):
    lines[:] = [re.sub(r"\|", "|abnormality|", line, count=1) for line in lines]


def no_validation(root):
    shutil.rmtree(root / "medical" / "vqa" / VALIDATION)


def repeat_line(lines):
    lines.append(f"{lines[0].partition('|')[0]}|Is it new?")


def unmarked(root):
    for marker in root.rglob("sample.json"):
        marker.unlink()


def shared_with_captions(root):
    image = next((root / "medical" / "vqa" / PARTS[0].folder / PARTS[0].images).iterdir())
    (root / "medical" / "caption" / "images").mkdir(parents=True)
    shutil.copy(image, root / "medical" / "caption" / "images")


def copied(question=None):
    """Return what makes two images of training one, which are asked the same question with different answers."""

    def plant(root):
        names = []
        for line, text in enumerate(("ct", "mri")):
            answer(text, question=question if line else "which modality is it?", line=line)(root)
            names.append((root / "medical" / "vqa" / PAIRS).read_text().splitlines()[line].partition("|")[0])
        source, target = (next(root.rglob(f"{name}.jpg")) for name in names)
        shutil.copy(source, target)

    return plant


PLANTED = {
    "DATA-ALTERNATIVES": ("vqa", answer("lymphangioma (lam)"), INFO),
    "DATA-ANSWER-IN-QUESTION": ("vqa", answer("ct", question="is this a ct or an mri?"), INFO),
    "DATA-ANSWER-UNSEEN": ("vqa", answer("never seen", VAL_PAIRS), INFO),
    "DATA-DIVIDED": ("vqa", no_validation, INFO),
    "DATA-EMPTY-REFERENCE": ("vqa", answer("the"), WARNING),
    "DATA-ID-BLANKS": ("vqa", edit(lambda lines: lines.__setitem__(0, lines[0].replace("|", " |", 1))), WARNING),
    "DATA-ID-REPEATED": ("vqg", edit(repeat_line, QUESTIONS), INFO),
    "DATA-LAYOUT": ("vqa", edit(categories), INFO),
    "DATA-MISSING-LOOKALIKE": ("vqa", answer("none"), INFO),
    "DATA-NORMALISED-DUPLICATE": ("vqa", lambda root: [answer("x-ray")(root), answer("x ray", line=1)(root)], INFO),
    "DATA-OTHER-YEAR": ("vqa", other_year, INFO),
    "DATA-QUESTION-DUPLICATE": ("vqg", question("Is it new?|Is it  new?"), WARNING),
    "DATA-QUESTION-FORM": ("vqg", question("Is it new?|Is it old"), INFO),
    "DATA-REFERENCE-DIFF": ("vqa", unlike_json, WARNING),
    "DATA-SHORT-REFERENCE": ("vqa", answer("mass", VAL_PAIRS), INFO),
    "DATA-TEXT-CASE": ("vqa", answer("a CT"), INFO),
    "DATA-TEXT-CHAR": ("vqa", answer("dural \u00a0fistula"), INFO),
    "DATA-TEXT-TYPO": ("vqa", edit(typo), INFO),
    # Of all tasks, with what is particular here.
    "DATA-COUNT": ("vqa", unmarked, WARNING),
    "DATA-ENCODING": ("vqa", answer("hodgkin\u00e2\u20ac\u2122s lymphoma"), WARNING),
    "DATA-LABEL-CONFLICT": ("vqa", copied("Which modality is it?"), ERROR),
    "DATA-QUOTING": ("vqa", answer('"mass, ""drowned"""'), WARNING),
    "DATA-SEPARATOR-IN-FIELD": ("vqa", answer("a|b"), ERROR),
    "DATA-SPLIT-ID": ("vqa", shared_with_captions, WARNING),
}
NEVER_READ = {"DATA-TEXT"}  # of writing a truth: a text that is read can be written


def check(root, task="vqa"):
    return check_data_set(get_task(task), root, Settings()).findings


check_once = functools.cache(check)  # of what doesn't change


@pytest.mark.parametrize(("code", "fault"), PLANTED.items(), ids=PLANTED)
def test_every_planted_fault_is_found(root, clean_root, code, fault):
    task, plant, severity = fault
    before = {(finding.id, finding.value) for finding in check_once(clean_root, task) if finding.code == code}
    plant(root)
    found = [finding for finding in check(root, task) if finding.code == code and (finding.id, finding.value) not in before]
    assert {finding.severity for finding in found} == {severity}


def test_every_code_has_a_fault_and_an_example():
    assert CHECKS.codes.keys() - NEVER_READ <= PLANTED.keys()
    assert all(code.meaning and code.example for code in CHECKS.codes.values())


@pytest.mark.parametrize("task", ["vqa", "vqg"])
def test_a_clean_set_yields_nothing_above_info(clean_root, task):
    assert [finding for finding in check(clean_root, task) if finding.severity is not INFO] == []


def test_copies_that_are_asked_something_else_may_have_other_answers(root):
    copied("which plane is it?")(root)
    counts = check(root).counts
    assert counts["DATA-CONTENT-DUPLICATE"] == 1
    assert "DATA-LABEL-CONFLICT" not in counts


def test_the_ceiling_follows_from_the_answers_that_training_lacks(root):
    def unseen(lines):
        for place, line in enumerate(lines):
            name, asked, _ = line.split("|")
            lines[place] = f"{name}|{asked}|{'never seen' if place < 2 else 'mass'}"

    answer("mass")(root)
    edit(unseen, VAL_PAIRS)(root)
    (found,) = [finding for finding in check(root) if finding.code == "DATA-ANSWER-UNSEEN"]
    assert found.value == "2 of 7, such as 'never seen'"
    assert found.hint.endswith("0.714")


def test_references_in_json_that_are_those_in_text_are_no_finding(root):
    unlike_json(root)
    rows = [line.split("|") for line in next(root.rglob("*ReferenceAnswers.txt")).read_text().splitlines()]
    rows = [{"image_id": name, "answers": [{"answer": text} for text in texts]} for name, *texts in rows]
    next(root.rglob("*mscoco*.json")).write_text(json.dumps({"annotations": rows}))
    assert "DATA-REFERENCE-DIFF" not in check(root).counts


def test_references_that_cannot_be_read_are_told(root, monkeypatch):
    monkeypatch.setattr(checking, "MAX_JSON_BYTES", 100)
    folder = root / "medical" / "vqa" / ANSWERING_TEST
    (folder / "references_lost.json").symlink_to("nowhere")
    (folder / "references_broken.json").write_text("{")
    (folder / "references_large.json").write_text("[" + " " * 100 + "]")
    found = [(finding.code, finding.file.rpartition("_")[2]) for finding in check(root) if finding.file.endswith(".json")]
    assert found == [("DATA-JSON", "broken.json"), ("DATA-TOO-LARGE", "large.json"), ("DATA-JSON", "lost.json")]


def test_counts_are_those_of_the_readme(root):
    unmarked(root)
    values = {each.value for each in check(root, "vqg") if each.code == "DATA-COUNT" and each.severity is WARNING}
    assert f"14, published {PUBLISHED['vqg']['train']}" in values


def test_distributions_count_what_is_there(clean_root):
    shown = {each.title: each for each in check_data_set(get_task("vqa"), clean_root, Settings()).distributions}
    assert sum(shown["kinds of questions"].series["train"]) == 27
    assert sum(shown["words per answer"].series["val"]) == 7


def test_an_image_is_drawn_with_its_question_and_answers(clean_root):
    sample = read_split(clean_root, "vqa", "train", Findings()).samples[0]
    alone = CHECKS.draw(None, replace(sample, question="", truth=None), frozenset())
    asked = CHECKS.draw(None, replace(sample, truth=None), frozenset())
    answered = CHECKS.draw(None, sample, frozenset())
    assert alone.height < asked.height < answered.height
