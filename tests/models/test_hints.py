"""Colour hints in the colour branch: where they lie, what they add, and that none changes nothing."""

import pytest
import torch

from edge_scs.models.colour import ColourBranch, answer_size
from edge_scs.models.hints import hint_cells, hint_planes, true_hints


@pytest.fixture
def branch() -> ColourBranch:
    """A branch whose hint convolutions are no longer zero."""
    made = ColourBranch(hints=True).eval()
    assert made.hints is not None
    with torch.no_grad():
        for conv in (made.hints.at4, made.hints.at8, made.hints.at16):
            conv.weight.normal_(0, 0.1)
    return made


def test_a_hint_covers_the_cells_that_a_bilinear_sample_mixes() -> None:
    points = torch.tensor([[[0.5, 0.5], [0.0, 1.0], [0.3, 0.3]]])
    cells = hint_cells(points, torch.tensor([[1.0, 1.0, 0.0]]), (4, 6))[0]
    assert cells[0].nonzero().tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]
    assert cells[1].nonzero().tolist() == [[0, 5]], "in the corner one cell"
    assert not cells[2].any(), "radius 0: no hint"


def test_planes_hold_the_mean_of_what_overlaps_and_presence() -> None:
    cells = hint_cells(torch.tensor([[[0.125, 0.5], [0.125, 0.5]]]), torch.tensor([[0.6, 0.6]]), (4, 1))
    planes = hint_planes(cells, torch.tensor([[[0.2, 0.0], [0.0, -0.4]]]))
    assert planes[0, :, 0, 0].tolist() == pytest.approx([0.1, -0.2, 1.0])
    assert not planes[0, :, 1:].any()


def test_a_grey_hint_is_not_the_absence_of_one() -> None:
    cells = hint_cells(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[1.0]]), (8, 8))
    assert hint_planes(cells, torch.zeros(1, 1, 2))[0, 2].sum() == cells.sum() > 0


def test_true_hints_are_means_of_their_cells() -> None:
    chroma = torch.rand(1, 2, 6, 6) - 0.5
    planes = true_hints(chroma, torch.tensor([[[0.25, 0.5, 1.6], [0.0, 0.0, 0.0]]]))
    covered = planes[0, 2].bool()
    assert covered.sum() == 12
    torch.testing.assert_close(planes[0, :2, covered].unique(dim=1)[:, 0], chroma[0][:, covered].mean(1))


def test_without_hints_the_answer_is_the_automatic_one_bit_for_bit(branch: ColourBranch) -> None:
    gray, reference = torch.rand(2, 1, 40, 56), torch.rand(2, 3, 32, 32)
    none = torch.zeros(2, 3, *answer_size((40, 56)))
    with torch.no_grad():
        assert torch.equal(branch(gray, hints=none), branch(gray))
        assert torch.equal(branch(gray, reference, none), branch(gray, reference))


def test_a_hint_is_answered_where_it_lies_whatever_the_branch_believes(branch: ColourBranch) -> None:
    branch.vividness = 1.4
    gray, size = torch.rand(1, 1, 40, 56), answer_size((40, 56))
    cells = hint_cells(torch.tensor([[[0.4, 0.6]]]), torch.tensor([[1.0]]), size)
    wanted = torch.tensor([0.12, -0.2])
    with torch.no_grad():
        answer = branch(gray, hints=hint_planes(cells, wanted[None, None]))[0]
    found = answer[:, cells[0, 0].bool()]
    assert (found - wanted[:, None]).abs().max() < 0.02


def test_folding_the_vividness_changes_nothing(branch: ColourBranch) -> None:
    branch.vividness = 1.4
    gray, reference = torch.rand(1, 1, 40, 56), torch.rand(1, 3, 32, 32)
    cells = hint_cells(torch.tensor([[[0.4, 0.6]]]), torch.tensor([[1.0]]), answer_size((40, 56)))
    planes = hint_planes(cells, torch.tensor([[[0.12, -0.2]]]))
    with torch.no_grad():
        before = branch(gray), branch(gray, reference), branch(gray, reference, planes)
        branch.fold_vividness()
        after = branch(gray), branch(gray, reference), branch(gray, reference, planes)
    assert branch.vividness == 1
    for x, y in zip(before, after, strict=True):
        torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-5)


def test_hints_for_a_branch_without_them_are_refused() -> None:
    with pytest.raises(ValueError, match="without colour hints"):
        ColourBranch()(torch.rand(1, 1, 32, 32), hints=torch.zeros(1, 3, *answer_size((32, 32))))
