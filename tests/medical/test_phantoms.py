"""The drawn studies: every view and finding draws, what a study says is to be seen, the same seed gives the same picture."""

from dataclasses import replace

import numpy as np
import pytest

from baselines.medical.phantoms import BOTH, LEFT, RIGHT, VIEWS, Study, draw_study, render


def picture(study, seed=0):
    return render(study, np.random.default_rng(seed))


def grey(study, seed=0):
    return np.asarray(picture(study, seed).convert("L"), np.int64)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.modality}-{view.organ}-{view.plane}")
def test_every_finding_of_a_view_changes_the_picture(view):
    is_sided = view.plane in {"axial", "coronal", "frontal"} and view.organ != "spine"
    normal = Study(view.modality, view.organ, view.plane, "", LEFT if is_sided else "", "t2" if view.modality == "mr" else "")
    before = grey(normal)
    assert before.std() > 15  # not blank
    for finding in view.findings:
        after = grey(replace(normal, finding=finding, size_mm=30))
        assert after.shape == before.shape
        assert (abs(after - before) > 25).sum() > 30, finding


@pytest.mark.parametrize(("organ", "plane", "finding"), [("brain", "axial", "hemorrhage"), ("chest", "axial", "effusion")])
def test_the_side_is_the_patients_which_is_mirrored_in_the_picture(organ, plane, finding):
    normal = grey(Study("ct", organ, plane))
    columns = {}
    for side in (LEFT, RIGHT):
        changed = abs(grey(Study("ct", organ, plane, finding, side, size_mm=30)) - normal) > 40
        columns[side] = np.flatnonzero(changed.any(0)).mean() / normal.shape[1]
    assert columns[RIGHT] < 0.5 < columns[LEFT]


def test_both_sides_have_more_than_one():
    normal = grey(Study("ct", "chest", "axial"))
    changed = [
        (abs(grey(Study("ct", "chest", "axial", "effusion", side, size_mm=30)) - normal) > 40).sum() for side in (LEFT, BOTH)
    ]
    assert changed[1] > 1.5 * changed[0]


def test_a_larger_finding_is_drawn_larger():
    normal = grey(Study("ct", "abdomen", "axial", technique="contrast"))
    sizes = [
        (abs(grey(Study("ct", "abdomen", "axial", "cyst", LEFT, "contrast", size_mm=size)) - normal) > 40).sum()
        for size in (15, 45)
    ]
    assert sizes[1] > 2 * sizes[0]


def test_the_same_seed_gives_the_same_picture_and_another_seed_another():
    study = draw_study(np.random.default_rng(3))
    assert picture(study).tobytes() == picture(study).tobytes()
    assert picture(study).tobytes() != picture(study, seed=1).tobytes()


def test_colour_is_where_flow_is():
    assert picture(Study("ultrasound", "abdomen", "transverse", technique="doppler")).mode == "RGB"
    assert picture(Study("ultrasound", "abdomen", "transverse")).mode == "L"


def test_studies_are_views_with_one_of_their_findings():
    views = {(view.modality, view.organ, view.plane): view for view in VIEWS}
    rng = np.random.default_rng(0)
    studies = [draw_study(rng) for _ in range(1500)]
    for study in studies:
        view = views[study.modality, study.organ, study.plane]
        assert study.finding in ("", *view.findings)
        assert bool(study.size_mm) == bool(study.finding)
        assert not study.arrow or study.finding
    assert {(study.modality, study.organ, study.plane) for study in studies} == set(views)
    assert 0.1 < np.mean([not study.finding for study in studies]) < 0.4
    counts = np.array([sum(study.finding == name for study in studies) for name in ("meningioma", "mass")])
    assert 0 < counts[0] * 8 < counts[1]  # some are rare
