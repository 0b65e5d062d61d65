"""What a step sees is a function of seed and step alone."""

from collections import Counter

import pytest
import torch

from baselines.core.findings import MAX_KEPT_PER_CODE, Finding, InvalidInput, Severity
from baselines.training.data import StepBatches, ValidationBatches, padded_shard


def batches(first=0, rank=0, world_size=1, seed=3, count=10, size=4, total=20):
    return list(StepBatches(count, size, total, seed, first=first, rank=rank, world_size=world_size))


def test_a_resumed_sampler_goes_on_where_it_would_have_been():
    for first in range(20):
        assert batches(first) == batches()[first:]


def test_every_epoch_has_every_sample_once_with_another_augmentation():
    draws = [draw for batch in batches() for draw in batch]
    for epoch in range(8):
        assert {draw.index for draw in draws[10 * epoch : 10 * epoch + 10]} == set(range(10))
    assert max(Counter(draws).values()) == 1
    assert [draw.index for draw in draws[:10]] != [draw.index for draw in draws[10:20]]


def test_processes_share_the_batches_of_one():
    alone = batches(size=8)
    shared = zip(batches(rank=0, world_size=2), batches(rank=1, world_size=2), strict=True)
    assert [left + right for left, right in shared] == alone


def test_batches_larger_than_the_data_set_are_full():
    assert all(len(batch) == 7 for batch in batches(count=3, size=7))


def test_another_seed_gives_another_order():
    assert batches(seed=1) != batches(seed=2)


def test_shards_cover_everything_evenly():
    for count in range(1, 8):
        for world_size in range(1, 5):
            shards = [padded_shard(count, rank, world_size) for rank in range(world_size)]
            assert {index for shard in shards for index in shard} == set(range(count))
            assert len({len(shard) for shard in shards}) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_validation_counts_every_sample_once_in_equally_many_batches(size, world_size):
    for count in range(1, 12):
        shards = [ValidationBatches(count, size, rank, world_size) for rank in range(world_size)]
        counted = [index for shard in shards for batch in list(shard)[: shard.counted] for index in batch]
        assert sorted(counted) == list(range(count))
        assert len({len(list(shard)) for shard in shards}) == len({len(shard) for shard in shards}) == 1
        assert all(0 < len(batch) <= size for shard in shards for batch in shard)


def test_what_two_splits_readers_tolerate_of_one_file_is_told_once(toy_config):
    from imageclef_toy.data import build_data

    data, faults = build_data(toy_config()), MAX_KEPT_PER_CODE + 3

    def read(findings):
        findings.extend(Finding("DATA-IMAGE-SIZE", Severity.WARNING, "odd", "a.json", line) for line in range(faults))

    for name in ("train", "val"):
        data.read_once(name, read)
    (line,) = data.findings.summary()
    assert line.startswith(f"{faults} times DATA-IMAGE-SIZE")


def test_what_a_reader_finds_unusable_is_raised_at_every_call(toy_config):
    from imageclef_toy.data import build_data

    data, fault = build_data(toy_config()), Finding("DATA-NUMBER", Severity.ERROR, "no number", "a.json", 1)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="DATA-NUMBER"):
            data.read_once("train", lambda findings: findings.add(fault))


def test_loaders_leave_the_global_generator_alone(toy_config):
    from imageclef_toy.data import build_data

    data = build_data(toy_config())
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for _ in data.train_dataloader():
        pass
    for _ in data.val_dataloader():
        pass
    assert torch.equal(torch.rand(3), expected)
