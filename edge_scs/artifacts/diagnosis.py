"""What went wrong, by name: the classic mistakes of a deployment, recognised from a wrong image.

Called where an artifact's answer is too far from the network's. Each suspicion is tested: the answer with that mistake
undone (or the network's with it made) must come closer by at least ``GAIN_DB``.
"""

import itertools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

GAIN_DB = 6.0
MAX_SHIFT = 2  # HR pixels, besides one LR pixel


def psnr(answer: Tensor, expected: Tensor) -> float:
    """In dB, peak 1; 200 for equal images. Not finite where the answer is not."""
    error = (answer.double() - expected.double()).square().mean().detach()
    return float("nan") if not torch.isfinite(error) else min(200.0, float(-10 * torch.log10(error.clamp(min=1e-20))))


def diagnose(
    answer: Tensor,
    expected: Tensor,
    lr: tuple[int, int],
    run: Callable[[Mapping[str, Tensor]], Tensor] | None = None,
    inputs: Mapping[str, Tensor] | None = None,
    exact: Callable[[Mapping[str, Tensor]], Tensor] | None = None,
) -> list[str]:
    """Names of the faults that explain ``answer`` (1, 3, H, W), given the network's ``expected``.

    ``lr``: (h, w) of the small image. ``run`` and ``inputs`` let inputs be tried in other layouts; ``exact`` runs the
    artifact without rounding to float16, where that can be done.
    """
    if not bool(torch.isfinite(answer).all()):
        found = ["NaN or infinity"]
        if exact is not None and inputs is not None and bool(torch.isfinite(exact(inputs)).all()):
            found.append("fp16 drift: numbers beyond float16's range; keep those operations in float32")
        return found
    limit = psnr(answer, expected) + GAIN_DB
    found = []
    if exact is not None and inputs is not None and psnr(exact(inputs), expected) > limit:
        found.append("fp16 drift: right in float32, wrong in float16")
    orders = {o: psnr(answer[:, o], expected) for o in itertools.permutations(range(3)) if o != (0, 1, 2)}
    best = max(orders, key=lambda o: orders[o])
    if orders[best] > limit:
        found.append(f"wrong colour order: channels come as {''.join('RGB'[best.index(i)] for i in range(3))}")
    height, width = expected.shape[-2:]
    flat = answer.reshape(1, height, width, 3).permute(0, 3, 1, 2)
    turned = answer.reshape(1, 3, width, height).transpose(2, 3)
    if max(psnr(flat, expected), psnr(turned, expected)) > limit:
        found.append("dim-order trap: the output's memory is channels-last or transposed")
    if run is not None and inputs is not None:
        found += _inputs(run, inputs, expected, limit)
    found += _sampling_grid(answer, expected, lr, limit)
    return found


def _inputs(
    run: Callable[[Mapping[str, Tensor]], Tensor], inputs: Mapping[str, Tensor], expected: Tensor, limit: float
) -> list[str]:
    found = []
    for name, x in inputs.items():
        n, c, h, w = x.shape
        if c < 2:
            continue
        laid = x.permute(0, 2, 3, 1).reshape(n, c, h, w)
        if psnr(run({**inputs, name: laid}), expected) > limit:
            found.append(f"dim-order trap: {name} is read as channels-last")
        if c == 3 and psnr(run({**inputs, name: x.flip(1)}), expected) > limit:
            found.append(f"wrong colour order: {name} is read as BGR")
    return found


def _sampling_grid(answer: Tensor, expected: Tensor, lr: tuple[int, int], limit: float) -> list[str]:
    height, width = expected.shape[-2:]
    ratios = (height / lr[0], width / lr[1])
    steps = sorted({*range(-MAX_SHIFT, MAX_SHIFT + 1), *(sign * round(r) for r in ratios for sign in (-1, 1))})
    margin = max(map(abs, steps))
    if min(height, width) <= 2 * margin:
        return []
    inner = expected[..., margin : height - margin, margin : width - margin]
    shifted = {
        (down, right): psnr(
            answer[..., margin + down : height - margin + down, margin + right : width - margin + right], inner
        )
        for down in steps
        for right in steps
        if (down, right) != (0, 0)
    }
    down, right = max(shifted, key=lambda step: shifted[step])
    aligned = psnr(answer, _as_if_corners_aligned(expected, lr))
    if aligned > max(limit, shifted[down, right]):
        return ["sampling grid: corners are aligned, pixel centres should be at half-integers"]
    if shifted[down, right] > limit:
        return [f"sampling grid off by {down} rows and {right} columns"]
    return []


def _as_if_corners_aligned(expected: Tensor, lr: tuple[int, int]) -> Tensor:
    """The expected image as it would be with LR coordinate i * (lr - 1) / (hr - 1) instead of half-pixel centres."""
    axes = []
    for n, small in zip(expected.shape[-2:], lr, strict=True):
        seen = torch.arange(n, dtype=torch.float64) * (small - 1) / max(1, n - 1)
        axes.append(((seen + 0.5) * n / small - 0.5) * 2 / n + 1 / n - 1)  # grid_sample's coordinates
    rows, cols = torch.meshgrid(axes[0].float(), axes[1].float(), indexing="ij")
    grid = torch.stack([cols, rows], dim=-1)[None]
    return F.grid_sample(expected.float(), grid, mode="bicubic", padding_mode="border", align_corners=False)
