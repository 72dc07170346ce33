"""RGB to luma and chroma and back, BT.601 full range (JFIF): what Pillow's ``convert("L")`` and ``"YCbCr"`` mean."""

import torch
from torch import Tensor

RGB_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
YCC_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def _mix(x: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    # Sums, not a matrix product: autocast would round that to bf16, and these are the targets of training.
    channels = x.unbind(-3)
    return torch.stack([sum(w * c for w, c in zip(row, channels, strict=True)) for row in matrix], dim=-3)  # type: ignore[misc]


def rgb_to_ycc(rgb: Tensor) -> Tensor:
    """(..., 3, h, w) in [0, 1] -> luma in [0, 1] and chroma in [-0.5, 0.5] in one tensor (..., 3, h, w)."""
    return _mix(rgb, RGB_TO_YCC)


def ycc_to_rgb(ycc: Tensor) -> Tensor:
    """The way back, not clamped."""
    return _mix(ycc, YCC_TO_RGB)


def luma(rgb: Tensor) -> Tensor:
    """(..., 3, h, w) in [0, 1] -> (..., 1, h, w) in [0, 1]."""
    return _mix(rgb, RGB_TO_YCC[:1])
