"""CIELAB (D65, 2 degrees), normalised, to and from sRGB.

kornia's arithmetic: the same bits on a CPU. It is here for GPUs, where kornia copies its matrices from the host at
every call, which no CUDA graph captures, and multiplies by them in TF32, 10 bits, wherever convolutions do.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from edge_scs.models.constants import constant

AB_RANGE = 110.0
_RANGE = ((100.0,), (AB_RANGE,), (AB_RANGE,))
_WHITE = ((0.95047,), (1.0,), (1.08883,))
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_FROM_XYZ = (
    (3.2404813432005266, -1.5371515162713185, -0.4985363261688878),
    (-0.9692549499965682, 1.8759900014898907, 0.0415559265582928),
    (0.0556466391351772, -0.2040413383665112, 1.0573110696453443),
)
_LEAST = 0.008856  # of a share of the white point, below which the cube root gives way to a line


def to_lab(rgb: Tensor) -> Tensor:
    """sRGB (n, 3, h, w) in [0, 1] -> normalised CIELAB (D65): L / 100 in [0, 1], a / 110 and b / 110 about [-1, 1].

    Autocast is kept out: bf16 would round the colours of a training target to 8 bits.
    """
    from kornia.color import rgb_to_linear_rgb

    with _without_autocast(rgb.device):
        xyz = _mixed(rgb_to_linear_rgb(rgb), _TO_XYZ) / _planes(_WHITE, rgb)
        x, y, z = torch.where(xyz > _LEAST, torch.pow(xyz.clamp(min=_LEAST), 1 / 3.0), 7.787 * xyz + 4.0 / 29.0).unbind(
            -3
        )
        return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=-3) / _planes(_RANGE, rgb)


def to_rgb(lab: Tensor) -> Tensor:
    """Normalised LAB (n, 3, h, w) -> sRGB clamped to [0, 1]."""
    from kornia.color import linear_rgb_to_rgb

    with _without_autocast(lab.device):
        lightness, a, b = (lab * _planes(_RANGE, lab)).unbind(-3)
        y = (lightness + 16.0) / 116.0
        roots = torch.stack([a / 500.0 + y, y, (y - b / 200.0).clamp(min=0.0)], dim=-3)
        xyz = torch.where(roots > 0.2068966, torch.pow(roots, 3.0), (roots - 4.0 / 29.0) / 7.787)
        return linear_rgb_to_rgb(_mixed(xyz * _planes(_WHITE, lab), _FROM_XYZ)).clamp(0, 1)


def _mixed(x: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """x (n, 3, h, w) by a matrix, as one product."""
    n, _, h, w = x.shape
    return (constant(matrix, x) @ x.transpose(0, 1).reshape(3, -1)).reshape(3, n, h, w).transpose(0, 1).contiguous()


def _planes(values: tuple[tuple[float], ...], like: Tensor) -> Tensor:
    return constant(values, like)[..., None]


def _without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """No autocast on this device, nor an error on one that has none (meta, where costs are counted)."""
    has_one = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if has_one else nullcontext()
