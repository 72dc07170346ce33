"""How a colour photograph becomes a small grey one: Pillow's ``convert("L")`` and antialiased bicubic, on tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F


def grey(rgb: Tensor) -> Tensor:
    """uint8 RGB (..., 3, h, w) -> uint8 luma (..., 1, h, w), bit for bit Pillow's ``convert("L")`` (ITU-R 601-2)."""
    red, green, blue = rgb.to(torch.int32).unbind(-3)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).to(torch.uint8).unsqueeze(-3)


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Antialiased bicubic resize (a = -0.5) of floats, (n, c, h, w) -> (n, c, *size), not clamped."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size, mode="bicubic", antialias=True, align_corners=False)


def pillow_bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (n, c, h, w) -> uint8 (n, c, *size): Pillow's ``resize(..., BICUBIC)`` to one grey level.

    PyTorch's antialiased kernel is Pillow's. Pillow goes across first, then down, and rounds and clips to bytes in
    between, which at sharp edges matters by several levels; so do we.
    """
    for extent in ((x.shape[-2], size[1]), size):
        x = bicubic(x.float(), extent).round().clamp(0, 255).to(torch.uint8)
    return x


def to_lr(gray: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 grey HR (n, 1, H, W) -> float grey LR (n, 1, h, w) in [0, 1] on the 256 levels of an 8-bit picture."""
    return pillow_bicubic(gray, size).float() / 255
