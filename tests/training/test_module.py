"""Optimiser groups, schedule, average and seeds."""

import copy
import itertools

import pytest
import torch
from torch import nn

from baselines.core.config import OptimizerConfig
from baselines.training.module import lr_factor, make_optimizer, mix_seed, update_average


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2)).eval()


def test_norms_and_biases_are_not_decayed():
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    network[2].weight.requires_grad_(requires_grad=False)
    decayed, plain = make_optimizer(OptimizerConfig(weight_decay=0.1), network, fused=False).param_groups
    assert [tuple(parameter.shape) for parameter in decayed["params"]] == [(4, 3)]
    assert len(plain["params"]) == 4
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)


def test_sgd():
    optimizer = make_optimizer(OptimizerConfig(name="sgd", momentum=0.0), nn.Linear(2, 2), fused=False)
    assert isinstance(optimizer, torch.optim.SGD)


def test_schedule_rises_falls_and_stays():
    factors = [lr_factor(step, steps=100, warmup=10, final=0.05) for step in range(150)]
    assert factors[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert all(earlier >= later for earlier, later in itertools.pairwise(factors[10:]))
    assert factors[100:] == pytest.approx([0.05] * 50)


def test_schedule_with_a_warm_up_longer_than_the_training_never_divides_by_zero():
    assert [lr_factor(step, steps=2, warmup=5, final=0.0) for step in range(2)] == pytest.approx([0.2, 0.4])


def test_average_follows_weights_and_statistics():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = copy.deepcopy(network)
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[1].num_batches_tracked.fill_(7)
    update_average(average, network, decay=0.5, updates=0)
    assert torch.equal(average[0].weight, network[0].weight)
    with torch.no_grad():
        network[0].weight.fill_(3.0)
        network[1].running_mean.fill_(2.0)
        network[1].num_batches_tracked.fill_(8)
    update_average(average, network, decay=0.5, updates=1000)
    assert torch.equal(average[0].weight, torch.full((2, 2), 2.0))
    assert torch.equal(average[1].running_mean, torch.ones(2))
    assert average[1].num_batches_tracked == 8


def test_seeds_differ():
    seeds = {mix_seed(seed, step, process) for seed in range(10) for step in range(100) for process in range(4)}
    assert len(seeds) == 4000
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_evaluation_uses_the_average(toy_config):
    from imageclef_toy.data import build_data
    from imageclef_toy.model import build_module

    config = toy_config()
    module = build_module(config, build_data(config))
    module.train()
    assert module.active is module.network
    assert not module.averaged.training
    module.eval()
    assert module.active is module.averaged
