"""Flat areas: what an Edge-SCS network's heads add where there is nothing to be seen, measured and taken away.

The last ReLU of the texture branch passes nothing in a flat area, whatever its level. There a PixelShuffle head adds
its bias; the continuous head adds what its perceptron makes of place and cell alone, which training pins down only at
the magnifications that it draws: below x1.4 the shipped networks lifted every level by up to 3 of 255.
Both are linear in the heads' last layers, so the correction is a closed form and needs no data.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from edge_scs.models.edge_scs import SHUFFLE_SCALES, EdgeSCS
from edge_scs.models.heads import ContinuousHead, PixelShuffleHead

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Magnifications between which the continuous head's answer is close to linear in the cell.
SCALES = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.7, 1.9, 2.3, 2.7, 3.3, 3.7, 4.5, 5.5, 6.5, 8.0)
PLACES = 17  # along each axis of an LR pixel
# Added to the mean squares of the hidden activations, among which the bias counts as a constant 1. With 1e-5 shipped
# networks are within 0.6 levels everywhere, and at x1.5 and x2.7 they answer as before, to 67 dB and more.
RIDGE = 1e-5


@torch.no_grad()
def flat_features(model: EdgeSCS, level: float) -> tuple[Tensor, Tensor]:
    """Features (1, c, 5, 5) and base (1, 3, 5, 5) inside a large flat grey area of this level."""
    side = 2 * model.halo + 5
    gray, chroma = torch.full((1, 1, side, side), level), torch.zeros(1, 2, side, side)
    at = next(model.parameters()).device
    features = model.texture(gray.to(at), chroma.to(at))
    inside = slice(model.halo, model.halo + 5)
    return features[..., inside, inside], torch.cat([gray, chroma], dim=1)[..., :5, :5].to(at)


@torch.no_grad()
def flat_error(model: EdgeSCS, scale: float, level: float) -> float:
    """Levels of 255 by which luma is off inside a flat area of ``level``, at most, without rounding."""
    return _off(model, scale, level, *flat_features(model, level))


def _off(model: EdgeSCS, scale: float, level: float, features: Tensor, base: Tensor) -> float:
    if scale in SHUFFLE_SCALES:
        out = model.shuffle_head(int(scale))(features, base)
    else:
        side = round(5 * scale)
        out = model.continuous(features, base, (side, side))
    margin = int(2 * scale)  # what its zero padding and its clamped sampling reach
    return 255 * float((out[:, :1] - level)[..., margin:-margin, margin:-margin].abs().max())


@torch.no_grad()
def level_out(model: EdgeSCS) -> None:
    """Correct the heads' last layers in place, so that flat areas stay as they are at every magnification.

    Changes ``heads.*.conv.bias`` and ``continuous.finest.conv.bias`` (exactly, where features vanish), and
    ``continuous.out.weight`` and ``.bias`` (by the least squares of smallest change).
    """
    flats = [flat_features(model, level) for level in LEVELS]
    for head in (*model.heads.values(), model.continuous.finest):
        assert isinstance(head, PixelShuffleHead)
        answers = torch.stack([head.conv(features)[0, :, 2, 2] for features, _ in flats])
        head.conv.bias -= answers.mean(0)  # type: ignore[operator]
    out = model.continuous.out
    hidden = torch.cat([_hidden(model.continuous, features, scale) for features, _ in flats for scale in SCALES])
    ones = torch.ones(len(hidden), 1, dtype=torch.float64, device=hidden.device)
    known = torch.cat([hidden, ones], dim=1)
    last = torch.cat([out.weight[:, :, 0, 0], out.bias[:, None]], dim=1).double()  # type: ignore[index]
    square = known.T @ known / len(known)
    ridge = RIDGE * torch.eye(len(square)).to(square)
    change = -torch.linalg.solve(square + ridge, square @ last.T).T
    out.weight += change[:, :-1, None, None].to(out.weight)
    out.bias += change[:, -1].to(out.weight)  # type: ignore[operator]


def _hidden(head: ContinuousHead, features: Tensor, scale: float) -> Tensor:
    """The last hidden activations (places, channels), float64, all over an LR pixel inside a flat area."""
    steps = torch.linspace(-1, 1, PLACES) if scale != 1 else torch.zeros(1)
    positions = torch.stack([steps, torch.full_like(steps, 1 / scale)]).to(features)
    seen: list[Tensor] = []
    hook = head.out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    grid = head.on_features(features)[..., 2:3, 2:3].expand(-1, -1, len(steps), len(steps))
    head.map(grid, positions, positions, torch.zeros_like(grid[:, :3]))
    hook.remove()
    return seen[0][0].flatten(1).T.double()


def worst(
    model: nn.Module, scales: Sequence[float] = (*SCALES, *map(float, SHUFFLE_SCALES))
) -> Iterator[tuple[float, float]]:
    """(scale, levels of 255) for each magnification: the worst of black, mid-grey and white."""
    assert isinstance(model, EdgeSCS)
    flats = [(level, *flat_features(model, level)) for level in (0.0, 128 / 255, 1.0)]
    with torch.no_grad():
        for scale in sorted(scales):
            yield scale, max(_off(model, scale, *flat) for flat in flats)
