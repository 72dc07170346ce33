"""The folded network equals the eager one, and leaves it alone."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_scs.artifacts.manifest import weights_sha256
from edge_scs.errors import InputError
from edge_scs.lowering.deploy import DeployedEdgeSCS, FoldedContinuousHead, deploy, share_chroma
from edge_scs.lowering.targets import export_targets
from edge_scs.models import registry
from edge_scs.models.edge_scs import EdgeSCS, EdgeSCSConfig
from edge_scs.models.hints import hint_cells, hint_planes
from edge_scs.weights.loading import Loaded

LR = (24, 32)
SIZES = [(96, 128), (48, 64), (72, 96), (60, 80), (37, 101)]


@pytest.fixture(scope="module")
def model(lively: Callable[..., nn.Module]) -> EdgeSCS:
    network = lively(registry.create("edge_scs_m", {"hints": True}))
    assert isinstance(network, EdgeSCS)
    network.colour.classify.weight.mul_(30)  # sure of its colours, as a trained network is; else they would all be grey
    network.colour.temperature, network.colour.vividness = 0.38, 1.2
    network.colour.side = 96  # cheaper than the shipped 240, folded just the same
    return network


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_eager_network(model: EdgeSCS, size: tuple[int, int], reference: bool) -> None:
    """In float64, where rounding cannot hide a wrong fold."""
    precise = copy.deepcopy(model).double()
    inputs = [torch.rand(1, 1, *LR).double(), *([torch.rand(1, 3, 40, 56).double()] if reference else [])]
    with torch.no_grad():
        expected = precise(inputs[0], size, *inputs[1:])
        answer = deploy(precise, LR, size, reference)(*inputs)
        shared = share_chroma(deploy(precise, LR, size, reference))(*inputs)
    torch.testing.assert_close(shared, expected, rtol=0, atol=1e-9)
    assert expected.std() > 0.05
    assert expected[:, 0].sub(expected[:, 2]).abs().mean() > 0.05
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("reference", [False, True])
def test_hints_fold_too(model: EdgeSCS, reference: bool) -> None:
    precise = copy.deepcopy(model).double()
    gray, guide = torch.rand(1, 1, *LR).double(), {"reference": torch.rand(1, 3, 40, 56).double()}
    cells = hint_cells(torch.tensor([[[0.3, 0.6]]]), torch.tensor([[2.0]]), precise.colour.answer_size(LR))
    guides = (guide if reference else {}) | {"hints": hint_planes(cells, torch.tensor([[[0.1, -0.2]]])).double()}
    with torch.no_grad():
        expected = precise(gray, SIZES[0], **guides)
        answer = deploy(precise, LR, SIZES[0], reference, hints=True)(gray, *guides.values())
        without = precise(gray, SIZES[0], **(guide if reference else {}))
    assert (expected - without).abs().mean() > 1e-3
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("config", [{}, {"tied": False, "widths": [[3], [5, 8], [4]]}], ids=["tied", "trimmed"])
@pytest.mark.parametrize("size", [(96, 128), (60, 80)])
def test_equals_the_eager_network_in_float32(
    lively: Callable[..., nn.Module], config: dict[str, object], size: tuple[int, int]
) -> None:
    model = lively(registry.create("edge_scs_m", config), noise=0.02)
    gray, reference = torch.rand(1, 1, *LR), torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        expected = model(gray, size, reference)
        answer = deploy(model, LR, size, reference=True)(gray, reference)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-5)


def test_hints_need_a_network_that_takes_them() -> None:
    with pytest.raises(ValueError, match="without colour hints"):
        deploy(EdgeSCS(EdgeSCSConfig(channels=4, blocks=1, repeats=1)), LR, SIZES[0], hints=True)


def test_the_reference_matters(model: EdgeSCS) -> None:
    gray, deployed = torch.rand(1, 1, *LR), deploy(model, LR, (96, 128), reference=True)
    answers = [deployed(gray, reference) for reference in (torch.full((1, 3, 32, 32), 0.1), torch.rand(1, 3, 32, 32))]
    assert (answers[0] - answers[1]).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(96, 128), (60, 80)])
def test_the_eager_network_is_untouched(model: EdgeSCS, size: tuple[int, int]) -> None:
    before, temperature = weights_sha256(model), model.colour.temperature
    deployed = deploy(model, LR, size)
    with torch.no_grad():
        for parameter in deployed.parameters():
            parameter.zero_()
    assert weights_sha256(model) == before
    assert model.colour.temperature == temperature
    assert model.colour.cross8 is not None
    assert hasattr(model.colour, "centres")


def test_tied_blocks_stay_one_module(model: EdgeSCS) -> None:
    deployed = deploy(model, LR, (96, 128))
    eager = sum(p.numel() for p in model.texture.parameters())
    assert isinstance(deployed, DeployedEdgeSCS)
    assert sum(p.numel() for p in deployed.texture.parameters()) == eager
    unit = deployed.texture.blocks[0].units[0]
    calls = []
    unit.register_forward_pre_hook(lambda *_: calls.append(1))
    deployed(torch.rand(1, 1, *LR))
    assert len(calls) == model.config.repeats > 1


def test_only_what_the_size_needs_is_kept(model: EdgeSCS) -> None:
    names = {name for name, _ in deploy(model, LR, (96, 128)).named_parameters()}
    assert not any("cross" in name or "continuous" in name for name in names)
    with_reference = {name for name, _ in deploy(model, LR, (96, 128), reference=True).named_parameters()}
    assert any("cross16" in name for name in with_reference)


def test_positions_are_thin_constants(model: EdgeSCS) -> None:
    head = deploy(model, LR, (60, 80)).head
    assert isinstance(head, FoldedContinuousHead)
    assert head.rows.shape == (1, 16, 60, 1)
    assert head.cols.shape == (1, 16, 1, 80)


def test_refuses_a_reference_where_there_is_no_branch() -> None:
    bare = EdgeSCS(EdgeSCSConfig(channels=4, blocks=1, repeats=1, reference=False))
    with pytest.raises(ValueError, match="without its reference branch"):
        deploy(bare, LR, (96, 128), reference=True)


def test_scsnet_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    network = registry.create("scsnet", {"channels": 4, "blocks": 1})
    loaded = Loaded("scsnet", network, registry.describe("scsnet", network), "untrained")
    with pytest.raises(InputError, match=r"instance norms .*LAB to sRGB") as refusal:
        export_targets(loaded, "executorch,coreml", tmp_path / "out", scale=2, lr="64x48")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_other_networks_are_wrapped_and_lose_idle_tails(lively: Callable[..., nn.Module]) -> None:
    network = lively(registry.create("pcarn_m"))
    deployed = deploy(network, LR, (48, 64))
    x = torch.rand(1, 3, *LR)
    with torch.no_grad():
        torch.testing.assert_close(
            deployed(x), network(x, (48, 64)), rtol=0, atol=1e-5
        )  # the folded mean rounds differently
    used = sum(p.numel() for p in deployed.parameters())
    idle = sum(p.numel() for p in network.upsamplers["3"].parameters())
    idle += sum(p.numel() for p in network.upsamplers["4"].parameters())
    assert used == sum(p.numel() for p in network.parameters()) - idle
    assert set(network.upsamplers) == {"2", "3", "4"}
    with pytest.raises(ValueError, match="no reference branch"):
        deploy(network, LR, (48, 64), reference=True)
