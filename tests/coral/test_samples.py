"""The generated data set: its layout, its long tail and shift, touching colonies, and that it reads without a warning."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from baselines.cli import main
from baselines.coral.records import read_split, read_truth
from baselines.coral.reefs import BORDER, PLACES, draw_reef
from baselines.coral.samples import FILES, SMALL, TEST, TRAIN, generate, places_of
from baselines.core.findings import Findings, InvalidInput, UsageError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reefs")
    generate(folder, "coral-parsing", size=13, seed=2)
    return folder


def image_size(path):
    with Image.open(path) as image:
        return image.size


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_reads_as_a_data_set_of_both_tasks(root):
    for task in ("coral-annotation", "coral-parsing"):
        findings = Findings()
        split = read_split(root, task, "all", findings)
        assert len(split.samples) == 13
        assert {finding.code for finding in findings} <= {"DATA-IMAGE-SIZE", "DATA-FILE-CASE"}
        assert all(image_size(sample.image) == SMALL for sample in split.samples)
    assert len(read_split(root, "coral-parsing", "test", Findings()).samples) == 5


def test_boxes_are_the_extremes_of_polygons_inside_the_border(root):
    boxes = read_truth(root / "coral" / TRAIN / FILES[TRAIN][0], "coral-annotation", Findings())
    rings = read_truth(root / "coral" / TRAIN / FILES[TRAIN][1], "coral-parsing", Findings())
    assert boxes.truths.keys() == rings.truths.keys()
    for name, truth in rings.truths.items():
        np.testing.assert_array_equal(boxes.truths[name].shapes.boxes(), truth.shapes.boxes())
        np.testing.assert_array_equal(boxes.truths[name].labels, truth.labels)
        assert truth.shapes.points.min() >= BORDER
        assert (truth.shapes.points.max(axis=0) <= np.array(SMALL) - 1 - BORDER).all()


def test_the_test_set_has_a_truth_of_its_own_images(root):
    truths = read_truth(root / "coral" / TEST / FILES[TEST][1], "coral-parsing", Findings()).truths
    assert truths.keys() <= {sample.id for sample in read_split(root, "coral-parsing", "test", Findings()).samples}


def test_all_substrates_occur_with_a_long_tail():
    counts = Counter()
    for number in range(52):
        place = PLACES[number % len(PLACES)]
        counts.update(draw_reef(np.random.default_rng([0, number]), place, (256, 192), also=number % 13 + 1).labels)
    assert set(counts) == set(range(1, 14))
    assert counts[10] > 10 * min(counts.values())


def test_places_differ_in_colour_and_in_what_grows():
    colours = {}
    for place in PLACES:
        reefs = [draw_reef(np.random.default_rng(number), place, (128, 96)) for number in range(8)]
        colours[place.name] = np.mean([reef.picture.mean(axis=(0, 1)) for reef in reefs], axis=0)
        absent = {label for label, factor in place.factors.items() if not factor}
        assert not absent & {label for reef in reefs for label in reef.labels}
    means = np.array(list(colours.values()))
    gaps = np.abs(means[:, None] - means[None]).max(axis=-1) + 99 * np.eye(len(means))
    assert gaps.min() > 2


def test_neighbours_of_one_substrate_touch():
    touching = 0
    for number in range(6):
        reef = draw_reef(np.random.default_rng(number), PLACES[0], (512, 384))
        for one, (ring, label) in enumerate(zip(reef.rings, reef.labels, strict=True)):
            for other in range(one):
                gap = np.abs(ring[:, None] - reef.rings[other][None]).max(axis=-1).min()
                touching += label == reef.labels[other] and gap <= 2
    assert touching > 10


def test_subsets_are_in_the_campaigns_proportions():
    counts = Counter(place.name for place in places_of(879, 0))
    assert counts == {place.name: place.images[0] for place in PLACES}
    counts = Counter(place.name for place in places_of(485, 1))
    assert counts == {place.name: place.images[1] for place in PLACES if place.images[1]}


def test_the_same_request_changes_nothing_and_another_replaces(tmp_path):
    generate(tmp_path, "coral-annotation", size=2, seed=1)
    first = contents(tmp_path)
    generate(tmp_path, "coral-parsing", size=2, seed=1)
    assert contents(tmp_path) == first
    other = tmp_path / "other"
    generate(other, "coral-parsing", size=1, seed=1)
    assert len(contents(other)) < len(first)
    generate(other, "coral-parsing", size=2, seed=1)
    assert contents(other) == first


def test_real_data_are_left_alone_and_wrong_sizes_refused(tmp_path):
    (tmp_path / "coral" / TRAIN).mkdir(parents=True)
    with pytest.raises(InvalidInput, match="SAMPLE-FOREIGN-DATA"):
        generate(tmp_path, "coral-parsing", size=1)
    with pytest.raises(UsageError, match="size 0"):
        generate(tmp_path, "coral-parsing", size=0)


@pytest.mark.slow
def test_full_size_is_the_campaigns(tmp_path):
    generate(tmp_path, "coral-parsing", size=1, full=True)
    (sample,) = read_split(tmp_path, "coral-parsing", "all", Findings()).samples
    assert (sample.truth.width, sample.truth.height) == image_size(sample.image) == (4032, 3024)


def test_full_is_refused_for_a_task_that_has_no_such_samples(tmp_path, capsys):
    assert main(["sample", "coral-parsing", "drawnui-wireframe", "--full", "--out", str(tmp_path)]) == 2
    assert "no samples" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
