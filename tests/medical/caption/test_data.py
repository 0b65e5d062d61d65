"""Images to tensors: labels by concept, augmentation by the draw's seed, images set aside, prediction without training data."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from baselines.core.config import Config
from baselines.medical.caption.data import build_data
from baselines.medical.caption.records import CAPTIONS, CONCEPTS, concept_number
from baselines.medical.caption.task import DataConfig, ModelConfig
from baselines.training.data import Draw


@pytest.fixture
def config(caption_root, tmp_path):
    def make(task=CONCEPTS, root=caption_root, **changes):
        data = DataConfig(root=str(root), cache_dir=str(tmp_path / "cache"), image_side=64, workers=0, **changes)
        return Config(task=task, experiment="x", data=data, model=ModelConfig())

    return make


def test_labels_are_the_concepts_of_the_file_in_the_order_of_their_codes(config):
    data = build_data(config())
    numbers = sorted(data.classes)
    batch = data.collate([data.predict_dataset("val")[index] for index in range(7)])
    for name, row in zip(batch["ids"], batch["labels"].numpy(), strict=True):
        truth = {concept_number(concept) for concept in data.split("val").truth_set.truths[name].concepts}
        assert {numbers[column] for column in np.flatnonzero(row)} == truth & set(numbers)
    assert batch["images"].shape == (7, 3, 64, 64)


def test_captions_have_no_labels_and_all_images_are_trained_on(config):
    data = build_data(config(CAPTIONS))
    assert data.collate([data.predict_dataset("train")[0]])["labels"].shape == (1, 0)
    assert not data.classes
    assert len(data.train_dataset()) == 24


def test_a_draw_is_augmented_by_its_seed_alone(config):
    images = build_data(config()).train_dataset()
    first, again, other = images[Draw(3, 5)], images[Draw(3, 5)], images[Draw(3, 6)]
    np.testing.assert_array_equal(first["image"], again["image"])
    assert (first["image"] != other["image"]).any()
    assert (images[3]["image"] != first["image"]).any()
    np.testing.assert_array_equal(images[3]["labels"], first["labels"])


def test_the_images_set_aside_are_not_trained_on(config):
    data = build_data(config(set_aside=0.25))
    trained = {sample.id for sample in data.train_dataset().samples}
    assert len(data.set_aside()) == 6
    assert not trained & data.set_aside()
    assert trained | data.set_aside() == {sample.id for sample in data.split("train").samples}
    assert build_data(config(set_aside=0.25)).set_aside() == data.set_aside()


def test_a_trained_model_predicts_where_there_is_a_test_set_alone(config, caption_root, tmp_path):
    name = Path("medical", "caption", "ImageCLEF2021_CaptionConceptsTasks_TestSet_444_Images")
    shutil.copytree(caption_root / name, tmp_path / "root" / name)
    data = build_data(config(root=tmp_path / "root"), {5: "mass", 40398: "CT"})
    item = data.predict_dataset("test")[0]
    assert item["labels"].tolist() == [0, 0]
    assert data.columns == {5: 0, 40398: 1}


def test_exchanged_images_have_another_hash_of_files_alone(config, caption_root, tmp_path):
    before = build_data(config())
    shutil.copytree(caption_root, tmp_path / "exchanged")
    after = build_data(config(root=tmp_path / "exchanged"))
    assert after.files_hash == before.files_hash
    first, second, *_ = after.sources("val").values()
    shutil.copy(first, second)
    after = build_data(config(root=tmp_path / "exchanged"))
    assert after.files_hash != before.files_hash
    assert after.data_hash == before.data_hash


def test_the_hash_changes_with_the_data(config, caption_root, tmp_path):
    same = build_data(config()).data_hash
    assert build_data(config()).data_hash == same
    assert build_data(config(CAPTIONS)).data_hash != same
    shutil.copytree(caption_root, tmp_path / "changed")
    path = next((tmp_path / "changed").rglob("Training_Set_Concepts.csv"))
    path.write_text(path.read_text(encoding="utf-8-sig").replace("C9900", "C9901", 1))
    assert build_data(config(root=tmp_path / "changed")).data_hash != same
