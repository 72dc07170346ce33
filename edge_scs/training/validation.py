"""How a run is steered: metrics on held-out photographs. Not the benchmark protocol (``evaluate`` has that)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.data.degradation import bicubic, grey, to_lr
from edge_scs.data.pairs import StepBatches
from edge_scs.data.photographs import Photographs


@torch.no_grad()
def validate(
    model: nn.Module, photographs: Photographs, colour: bool = False, side: int = 256, limit: int = 24
) -> dict[str, float]:
    """x4 on centre crops of held-out photographs, PSNR in dB.

    ``psnr_luma`` and ``psnr_rgb`` of the output; beside it, for networks that add colour, RGB with the output's luma
    alone (``psnr_rgb_if_grey``), and for RGB networks (``colour``) the luma of bicubic (``psnr_luma_bicubic``).
    """
    figures: dict[str, list[float]] = {}
    device = next(model.parameters()).device
    for index in range(min(limit, len(photographs))):
        hr, small = crop_pair(photographs[index], side, colour)
        size = (hr.shape[-2], hr.shape[-1])
        out = rgb_to_ycc(model(small.to(device), size))
        truth = rgb_to_ycc(hr.float().to(device) / 255)
        row = {
            "psnr_luma": _psnr(out[:, :1], truth[:, :1]),
            "psnr_rgb": _psnr(_as_rgb(out), hr.to(device) / 255),
        }
        if colour:
            enlarged = rgb_to_ycc(bicubic(small.to(device), size).clamp(0, 1))
            row["psnr_luma_bicubic"] = _psnr(enlarged[:, :1], truth[:, :1])
        else:
            uncoloured = torch.cat([out[:, :1], torch.zeros_like(out[:, 1:])], dim=1)
            row["psnr_rgb_if_grey"] = _psnr(_as_rgb(uncoloured), hr.to(device) / 255)
        for key, value in row.items():
            figures.setdefault(key, []).append(value)
    return {key: sum(values) / len(values) for key, values in figures.items()}


@torch.no_grad()
def held_out_loss(task: nn.Module, batches: StepBatches, device: torch.device, count: int, adversary: float) -> float:
    """The mean of a task's loss over ``count`` draws of held-out photographs, one by one, always the same ones.

    Without the adversarial term, which has weight ``adversary`` in it: a loss against a discriminator that learns says
    nothing about progress.
    """
    total = 0.0
    for step in range(count):
        losses = task(batches[step].to(device))
        total += float(losses["loss"]) - adversary * float(losses.get("adversarial", 0.0))
    return total / count


def crop_pair(image: Tensor, side: int, colour: bool) -> tuple[Tensor, Tensor]:
    """uint8 (3, h, w) -> its centre crop of at most ``side``, uint8 (1, 3, H, W); that made small by 4, in [0, 1]."""
    h, w = (min(side, extent) // 4 * 4 for extent in image.shape[1:])
    top, left = (image.shape[1] - h) // 2, (image.shape[2] - w) // 2
    hr = image[None, :, top : top + h, left : left + w]
    return hr, to_lr(hr if colour else grey(hr), (h // 4, w // 4))


def _as_rgb(ycc: Tensor) -> Tensor:
    return ycc_to_rgb(ycc).clamp(0, 1)


def _psnr(x: Tensor, y: Any) -> float:
    return float(-10 * torch.log10(F.mse_loss(x, y).clamp(min=1e-12)))
