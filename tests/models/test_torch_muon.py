"""Orthogonal steps for the matrices inside a network, AdamW's for the rest."""

import copy

import pytest
import torch
from torch import nn

from tenfold.config.params import PARAMS
from tenfold.models.torch.muon import MuonAdamW
from tenfold.models.torch.networks import NETWORKS, build_network, fit_components
from tenfold.models.torch.optimizer import make_optimizer, optimizer_tensors, restore_optimizer

LR = 0.01


def dense():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(9, 24), nn.ReLU(), nn.Linear(24, 40), nn.Linear(40, 5))


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3),
        nn.BatchNorm2d(12),
        nn.Conv2d(12, 8, 3),
        nn.Flatten(),
        nn.Linear(128, 4),
    )


def muon(network, *, lr=LR, weight_decay=0.0, momentum=0.9):
    return MuonAdamW(network, lr=lr, weight_decay=weight_decay, momentum=momentum, fused=True)


def learn(network, optimizer, inputs, steps=1):
    """Take some steps on random images; return the weights before the last one."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = network(torch.randn((30, *inputs), generator=generator)).square().mean()
        loss.backward()
        before = [weight.detach().clone() for weight in network.parameters()]
        optimizer.step()
    return before


def test_a_matrix_inside_takes_an_orthogonal_step_of_adamws_size():
    network = dense()
    matrix = network[2].weight
    before = matrix.detach().clone()
    left, _, right = torch.linalg.svd(torch.randn(40, 24), full_matrices=False)
    gradient = left @ torch.diag(torch.logspace(0, -1.3, 24)) @ right
    optimizer = muon(network)
    matrix.grad = gradient.clone()
    optimizer.step()
    step = (before - matrix.detach()) / LR
    # From 20 to 1 the directions are made alike, and none is turned.
    lengths = (left.T @ step @ right.T).diagonal()
    assert lengths.max() < 2 * lengths.min()
    assert torch.linalg.svdvals(step).max() < 1.1 * lengths.max()
    # AdamW's steps have a root mean square of about 0.2 learning rates (Liu et al. 2025).
    assert step.square().mean().sqrt() == pytest.approx(0.2, rel=0.25)


def test_weight_decay_and_momentum_reach_the_matrices():
    network = dense()
    before = learn(network, muon(network), (9,))
    decayed = dense()
    learn(decayed, muon(decayed, weight_decay=0.5), (9,))
    expected = network[2].weight - LR * 0.5 * before[2]
    assert torch.allclose(decayed[2].weight, expected, atol=1e-6)
    steps = []
    for momentum in (0.0, 0.9):
        other = dense()
        learn(other, muon(other, momentum=momentum), (9,), steps=3)
        steps.append(other[2].weight.detach())
    assert not torch.allclose(*steps, atol=LR / 10)


def test_all_that_is_no_matrix_inside_is_adamws_to_the_bit():
    network = convolutional()
    twin = copy.deepcopy(network)
    inner = network[2].weight
    optimizer = muon(network, weight_decay=0.1)
    adamw = torch.optim.AdamW(twin.parameters(), lr=LR, weight_decay=0.1, fused=True)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        for mine, theirs in zip(network.parameters(), twin.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            theirs.grad = mine.grad.clone()
        optimizer.step()
        adamw.step()
    for mine, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs) == (mine is not inner)


def test_convolutions_are_changed_where_they_lie_whatever_their_layout():
    changed = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network = convolutional().to(memory_format=layout)
        weight = network[2].weight
        place = weight.data_ptr()
        before = learn(network, muon(network), (1, 8, 8))
        assert weight.data_ptr() == place
        assert weight.is_contiguous(memory_format=layout)
        step = (before[4] - weight.detach()) / LR
        values = torch.linalg.svdvals(step.flatten(1))
        assert values.max() < 2 * values.min()
        changed.append(step)
    # The columns of the matrix are in another order: that changes nothing but the rounding.
    assert torch.allclose(*changed, atol=0.02)


def test_a_network_without_a_matrix_inside_is_all_adamws():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(9, 6), nn.Linear(6, 3))
    twin = copy.deepcopy(network)
    learn(network, muon(network), (9,), steps=3)
    learn(twin, torch.optim.AdamW(twin.parameters(), lr=LR, weight_decay=0, fused=True), (9,), 3)
    for mine, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_step_forgets_no_weight_and_zero_grad_every_gradient():
    network = dense()
    optimizer = muon(network)
    before = learn(network, optimizer, (9,))
    for old, new in zip(before, network.parameters(), strict=True):
        assert not torch.equal(old, new)
    optimizer.zero_grad()
    assert all(weight.grad is None for weight in network.parameters())


def test_rates_are_read_at_each_step():
    network = dense()
    optimizer = muon(network)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = learn(network, optimizer, (9,))
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(old, new)


def test_another_one_goes_on_with_its_memory_to_the_bit():
    network = dense()
    optimizer = muon(network)
    learn(network, optimizer, (9,), steps=3)
    twin = copy.deepcopy(network)
    other = muon(twin)
    memory = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()}
    restore_optimizer(other, memory)
    for one, its in ((network, optimizer), (twin, other)):
        learn(one, its, (9,), steps=2)
    for mine, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_takes_its_steps(name):
    params = PARAMS[name](optimizer="muon")
    torch.manual_seed(0)
    network = build_network(name, params, (12, 12), 3).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, params)
    assert isinstance(optimizer, MuonAdamW)
    images = torch.randint(0, 256, (8, 144), dtype=torch.uint8)
    fit_components(network, images)
    logits = network(images)
    nn.functional.cross_entropy(logits, torch.arange(8) % 3).backward()
    before = [weight.detach().clone() for weight in network.parameters()]
    optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.isfinite(new).all()
        assert not torch.equal(old, new)
