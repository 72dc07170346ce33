"""Muon: orthogonal steps where a recipe asks for them, AdamW everywhere else."""

import copy

import pytest
import torch
from torch import nn

from edge_scs.recipes import DataSection, Stage
from edge_scs.training.optimizers import MuonAdamW, optimizer, orthogonalised, set_rate


def stage(**more):
    return Stage("texture", ["all"], steps=1, learning_rate=1e-2, data=DataSection(), **more)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 16, 1)))


def with_gradients(model, seed=1):
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("shape", [(5, 6, 40), (2, 40, 6)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    sizes = torch.tensor([1.0, 1e-3, 1e3, 1.0, 1.0])[: shape[0], None, None]
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * sizes
    result = orthogonalised(matrices)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inside = left.transpose(1, 2) @ result @ right.transpose(1, 2)
    values = inside.diagonal(dim1=1, dim2=2)
    assert 0.5 < values.min() <= values.max() < 1.4
    assert (inside - torch.diag_embed(values)).abs().max() < 1e-2
    assert torch.equal(orthogonalised(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def test_named_convolutions_take_orthogonal_steps_and_the_rest_adamws():
    ours, plain = with_gradients(network()), with_gradients(network())
    before = {name: p.detach().clone() for name, p in ours.named_parameters()}
    muon = optimizer(ours, stage(optimizer="muon", muon={"1": 2.0}, slow={"0": 0.5}))
    adamw = optimizer(plain, stage(slow={"0": 0.5}))
    for each in (muon, adamw):
        set_rate(each, 1e-2)
        each.step()
    for (name, p), q in zip(ours.named_parameters(), plain.parameters(), strict=True):
        if name in ("1.0.weight", "1.1.weight"):
            step = (before[name] - p.detach()).flatten(1) / (2e-2 * max(1, p.shape[0] / p[0].numel()) ** 0.5)
            expected = orthogonalised(p.grad.flatten(1)[None])[0]  # the first momentum has the gradient's direction
            assert torch.allclose(step, expected, atol=1e-3)
        else:
            assert torch.equal(p, q), name
        assert p.grad is not None


def test_a_share_of_nothing_learns_nothing():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3))
    before = [value.clone() for value in model.state_dict().values()]
    stage = Stage("texture", ["all"], 1, 0.1, slow={"0": 0.0})
    made = optimizer(model, stage)
    model(torch.rand(1, 2, 8, 8)).sum().backward()
    set_rate(made, 0.1)
    made.step()
    same = [torch.equal(old, new) for old, new in zip(before, model.state_dict().values(), strict=True)]
    assert same == [True, True, False, False]


def test_a_restored_optimizer_goes_on_exactly():
    one, two = network(), network()
    first = optimizer(one, stage(optimizer="muon", muon={"1": 2.0}))
    for seed in range(3):
        with_gradients(one, seed)
        first.step()
    two.load_state_dict(one.state_dict())
    second = optimizer(two, stage(optimizer="muon", muon={"1": 2.0}))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for model, each in ((one, first), (two, second)):
        with_gradients(model, 9)
        each.step()
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_muon_fits_a_convolution():
    torch.manual_seed(0)
    layer, truth = nn.Conv2d(8, 8, 3, bias=False), nn.Conv2d(8, 8, 3, bias=False)
    fit = optimizer(nn.Sequential(layer), stage(optimizer="muon", muon={"0": 1.0}))
    losses = []
    for _ in range(200):
        x = torch.randn(4, 8, 6, 6)
        loss = (layer(x) - truth(x).detach()).square().mean()
        fit.zero_grad()
        loss.backward()
        fit.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_no_closures():
    with pytest.raises(ValueError, match="closure"):
        MuonAdamW([nn.Parameter(torch.zeros(2))]).step(lambda: 0.0)
