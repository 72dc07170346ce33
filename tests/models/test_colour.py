"""The colour branch: classes, their annealed mean, votes, and the grid it works on."""

import copy

import pytest
import torch
from torch.nn import functional as F

from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.models.colour import (
    CHROMA_LIMIT,
    CHROMA_STEPS,
    VOTE_DEVIATION,
    ColourBranch,
    chroma_classes,
    to_colour_grid,
    vote_weights,
)
from edge_scs.models.edge_scs import EdgeSCSConfig


def test_chroma_classes_cover_the_grid_once() -> None:
    classes = chroma_classes()
    assert len(classes.unique(dim=0)) == CHROMA_STEPS**2
    assert classes.abs().max() == pytest.approx(CHROMA_LIMIT)
    assert classes[CHROMA_STEPS**2 // 2].abs().max() < 1e-6, "neutral grey is a class"
    assert classes[0].tolist() == pytest.approx([-CHROMA_LIMIT, -CHROMA_LIMIT])
    assert classes[1, 0] == classes[0, 0], "Cb slow, Cr fast"


@pytest.mark.parametrize("temperature", [0.38, 1.0])
def test_annealed_mean_is_the_tempered_expectation(temperature: float) -> None:
    """Zhang et al. 2016, eq. 5: f_T(z) = exp(log(z) / T) / sum exp(log(z) / T), then the mean."""
    branch, logits = ColourBranch(reference=False, temperature=temperature), torch.randn(2, CHROMA_STEPS**2, 3, 4)
    z = torch.softmax(logits.double(), 1).log() / temperature
    weights = z.exp() / z.exp().sum(1, keepdim=True)
    expected = torch.einsum("nkhw,kc->nchw", weights, chroma_classes().double())
    torch.testing.assert_close(branch.annealed_mean(logits).double(), expected, rtol=0, atol=1e-5)


def test_vividness_is_for_colours_that_nobody_gave() -> None:
    """What a reference and hints say comes out as they say it: it goes in paler by as much as all becomes vivid."""
    gray, reference = torch.rand(1, 1, 32, 32), torch.rand(1, 3, 32, 32)
    plain = ColourBranch().eval()
    vivid = ColourBranch(vividness=1.25).eval()
    vivid.load_state_dict(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(vivid(gray), 1.25 * plain(gray))
        ycc = rgb_to_ycc(reference)
        paler = ycc_to_rgb(torch.cat([ycc[:, :1], ycc[:, 1:] / 1.25], dim=1))
        torch.testing.assert_close(vivid(gray, reference), 1.25 * plain(gray, paler), rtol=1e-4, atol=1e-5)


def test_a_fresh_scene_level_adds_nothing_and_a_trained_one_speaks_to_every_cell() -> None:
    gray, plain, branch = torch.rand(1, 1, 48, 64), ColourBranch().eval(), ColourBranch(scene=True).eval()
    branch.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(branch(gray), plain(gray))
        assert branch.scene is not None
        branch.scene.weight.normal_(0, 1)
        changed = (branch.logits(gray) - plain.logits(gray)).abs().amax(1)
    assert changed.min() > 1e-4


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"vividness": 2.1}, {"vividness": 0.0}, {"exposure": 1.1}, {"exposure": -0.1}]
)
def test_colours_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EdgeSCSConfig(**wrong)


def test_a_folded_temperature_changes_nothing() -> None:
    branch, gray, reference = ColourBranch(temperature=0.4).eval(), torch.rand(1, 1, 32, 32), torch.rand(1, 3, 32, 32)
    folded = copy.deepcopy(branch)
    folded.fold_temperature()
    assert folded.temperature == 1
    with torch.no_grad():
        torch.testing.assert_close(folded(gray), branch(gray), rtol=0, atol=1e-5)
        torch.testing.assert_close(folded(gray, reference), branch(gray, reference), rtol=0, atol=1e-5)


def test_annealed_mean_of_a_certain_class_is_its_centre() -> None:
    logits = torch.zeros(1, CHROMA_STEPS**2, 1, 1)
    logits[0, 20] = 100
    chroma = ColourBranch(reference=False).annealed_mean(logits).flatten()
    torch.testing.assert_close(chroma, chroma_classes()[20], rtol=0, atol=1e-5)


def test_chroma_is_a_quarter_of_the_colour_grid_whatever_the_image() -> None:
    branch = ColourBranch(reference=False).eval()
    with torch.no_grad():
        assert branch(torch.rand(1, 1, 180, 320)).shape == (1, 2, 45, 80)
        assert branch(torch.rand(1, 1, 30, 30)).shape == (1, 2, 60, 60)
        assert branch(torch.rand(1, 1, 700, 700)).shape == (1, 2, 60, 60)


def test_the_colour_grid_leaves_its_own_size_untouched() -> None:
    for size in ((180, 320), (240, 240), (320, 180)):
        x = torch.rand(1, 1, *size)
        assert to_colour_grid(x) is x


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (100, 101), (481, 321), (1080, 1920), (50, 3000)])
def test_the_colour_grid_has_its_pixels_and_the_image_s_aspect(size: tuple[int, int]) -> None:
    h, w = to_colour_grid(torch.rand(1, 2, *size)).shape[-2:]
    assert h * w == pytest.approx(240**2, rel=0.02)
    assert h / w == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize("size", [(1, 500), (1, 9000), (9000, 1), (2, 40000)])
def test_the_colour_grid_takes_strips(size: tuple[int, int]) -> None:
    grid = to_colour_grid(torch.full((1, 1, *size), 0.25))
    assert 0.5 < grid.shape[-2] * grid.shape[-1] / 240**2 < 2
    assert (grid - 0.25).abs().max() < 1e-6


@pytest.mark.parametrize("factor", [2, 3, 12])
def test_whole_factors_are_averaged_exactly(factor: int) -> None:
    x = torch.rand(1, 1, 180 * factor, 320 * factor)
    torch.testing.assert_close(to_colour_grid(x), F.avg_pool2d(x, factor), rtol=0, atol=1e-6)


def test_shrinking_averages_pixels_instead_of_picking_them() -> None:
    """A one-pixel checkerboard is grey to whoever averages, and black or white to whoever picks."""
    board = (torch.arange(1000)[:, None] + torch.arange(1300)) % 2
    assert (to_colour_grid(board[None, None].float()) - 0.5).abs().max() < 0.1


def test_votes_are_log_densities_around_the_found_chroma() -> None:
    """Up to a term common to all classes: valve * log N(centre; chroma, deviation)."""
    from edge_scs.models.colour import chroma_classes

    chroma, valve = torch.tensor([0.12, -0.07]), 0.6
    votes = vote_weights()[:, :, 0, 0] @ torch.cat([valve * chroma, torch.tensor([valve])])
    densities = -((chroma_classes() - chroma) ** 2).sum(1) / (2 * VOTE_DEVIATION**2) * valve
    torch.testing.assert_close(votes - votes.max(), densities - densities.max(), rtol=0, atol=1e-4)
