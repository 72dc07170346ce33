"""How a colour photograph becomes a small grey one: Pillow's ``convert("L")`` and Pillow's antialiased bicubic, on tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F


def grey(rgb: Tensor) -> Tensor:
    """uint8 RGB (..., 3, h, w) -> uint8 luma (..., 1, h, w), bit for bit Pillow's ``convert("L")`` (ITU-R 601-2)."""
    red, green, blue = rgb.to(torch.int32).unbind(-3)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).to(torch.uint8).unsqueeze(-3)


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Antialiased bicubic resize (a = -0.5) of floats in [0, 1], (n, c, h, w) -> (n, c, *size), not clamped.

    PyTorch's antialiased kernel is Pillow's; the results differ by Pillow's 8-bit rounding only (tested: one level).
    """
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size, mode="bicubic", antialias=True, align_corners=False)


def to_lr(gray: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 grey HR (n, 1, H, W) -> float grey LR (n, 1, h, w) in [0, 1] on the 256 levels of an 8-bit picture."""
    small = bicubic(gray.float() / 255, size)
    return (small * 255).round().clamp(0, 255) / 255
