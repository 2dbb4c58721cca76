"""The moving average of weights."""

import torch
from torch import nn

from tenfold.models.torch.average import MovingAverage


def test_without_a_decay_the_trained_network_is_its_own_average():
    network = nn.Linear(2, 2)
    average = MovingAverage(network, None)
    average.update()
    assert average.network is network


def test_it_keeps_the_part_that_it_says_once_it_is_warm():
    network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1))
    average = MovingAverage(network, 0.5)
    weight = network[0].weight
    expected = weight.detach().clone()
    for step in range(1, 31):
        with torch.no_grad():
            weight += 1
        network[1].num_batches_tracked += 1
        network[1].running_mean += 1
        average.update()
        kept = min(0.5, step / (step + 10))
        expected = kept * expected + (1 - kept) * weight.detach()
    assert torch.allclose(average.network[0].weight, expected)
    assert average.network[1].num_batches_tracked == 30
    assert 28 < average.network[1].running_mean < 30
    assert weight.grad is None
