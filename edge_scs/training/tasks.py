"""What a stage optimises: a module whose forward takes a batch and returns named losses, "loss" among them.

The loop hands this module to accelerate, so that a distributed wrapper sees one forward whatever parts it calls. A task
says what it ``needs`` of a network: its input, or None for either, and methods or parts by name. Here are the tasks of
Edge-SCS, and the table of all.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.color import luma, rgb_to_ycc
from edge_scs.data.pairs import Batch
from edge_scs.data.photographs import Photographs
from edge_scs.models.edge_scs import EdgeSCS, enlarge_chroma
from edge_scs.models.encoders import SqueezeEncoder
from edge_scs.models.hints import true_hints
from edge_scs.recipes import Stage
from edge_scs.training.discriminators import LEAST_SIDE
from edge_scs.training.flats import flat_loss
from edge_scs.training.image_tasks import ImageTask, PointsTask, SCSTask, SuperResolutionTask
from edge_scs.training.losses import ERRORS, chroma_cross_entropy, chroma_prior, class_weights
from edge_scs.weights.loading import load_encoder

PRIOR_IMAGES = 256
BALANCE_IMAGES = 16


class TextureTask(nn.Module):
    """Texture branch and heads: HR luma and chroma from LR luma and a *given* coarse chroma.

    The chroma comes from the photograph, made 1.5 to 8 times coarser than the LR grid. So the network learns to place
    colour along edges, and not to doubt the colour branch: trained end to end, L1 would pull every colour it is
    unsure of towards grey.
    """

    needs = ("grey", ("texture", "render"))

    def __init__(self, model: EdgeSCS, stage: Stage, photographs: Photographs):
        super().__init__()
        self.model, self.stage = model, stage

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        out, target = rendered(self.model, batch)
        error = ERRORS[self.stage.error]
        ratio = batch.hr.shape[-1] / batch.gray.shape[-1]
        wanted = retained(sharpened(target[:, :1], self.stage.sharpen, ratio), target[:, :1], batch, self.stage.retain)
        detail = error(out[:, :1].float(), wanted)
        chroma = error(out[:, 1:].float(), target[:, 1:])
        losses = {"loss": detail + self.stage.chroma_weight * chroma, "luma": detail, "chroma": chroma}
        if self.stage.flat_weight:
            flat = flat_loss(self.model, ratio)
            losses |= {"flat": flat, "loss": losses["loss"] + self.stage.flat_weight * flat}
        return losses


def sharpened(luma: Tensor, amount: float, ratio: float) -> Tensor:
    """Unsharp masking of HR luma (n, 1, H, W) in [0, 1], by a Gaussian of 0.8 + 0.2 ``ratio`` HR pixels.

    Real-ESRGAN's authors train on sharpened photographs, with amount 0.5 and a wider Gaussian (Wang et al. 2021): the
    mean of all images that a degraded one may come from is soft. Below x2 the amount falls, to half of it at x1 (ours):
    there the input itself shows how sharp the image is.
    """
    if not amount:
        return luma
    from kornia.filters import gaussian_blur2d

    deviation = 0.8 + 0.2 * ratio
    side = 2 * round(3 * deviation) + 1
    blurred = gaussian_blur2d(luma, side, (deviation, deviation), border_type="replicate")
    return (luma + amount * min(1.0, ratio / 2) * (luma - blurred)).clamp(0, 1)


def retained(wanted: Tensor, true: Tensor, batch: Batch, amount: float) -> Tensor:
    """``wanted`` HR luma (n, 1, H, W) with ``amount`` of what the degradation did to the LR image, enlarged (ours).

    A network cannot tell dense texture, such as grass, from noise. Towards a clean target it learns to remove both;
    with a share of the noise in the target it keeps that share of both. A third of the noise is a ninth of its power.
    """
    if not amount:
        return wanted
    clean = F.interpolate(true, batch.gray.shape[-2:], mode="bicubic", antialias=True, align_corners=False)
    damage = F.interpolate(batch.gray - clean, true.shape[-2:], mode="bicubic", align_corners=False)
    return (wanted + amount * damage).clamp(0, 1)


def rendered(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Output and target of the texture branch and the heads: luma and chroma (n, 3, H, W)."""
    target = rgb_to_ycc(batch.hr)
    lr = batch.gray.shape[-2:]
    coarse_size = (max(1, round(lr[0] / batch.chroma_ratio)), max(1, round(lr[1] / batch.chroma_ratio)))
    coarse = F.interpolate(target[:, 1:], coarse_size, mode="bilinear", antialias=True, align_corners=False)
    size = (batch.hr.shape[-2], batch.hr.shape[-1])
    return model.render(batch.gray, enlarge_chroma(coarse, lr), size), target  # type: ignore[operator]


class RealisticTextureTask(ImageTask):
    """Texture branch and heads, photo-realistic: PCARN's losses (its section 3.5) on luma, ``TextureTask``'s on chroma.

    Luma is repeated to three channels, so that features of RGB images and the discriminators are used as they are; a
    discriminator of chroma would judge the photograph's own, which the network is given. A network in training is
    judged in a window that starts at random among the first ``GRID`` pixels: features and discriminators have strides
    of 2 to 8, and a PixelShuffle's phases would else always meet the same phases of theirs.

    L1 is weighted by how flat the photograph is, 1 / (1 + (s / 5)^2) with s its deviation in levels in windows of 7x7
    (ours). Where there is texture, L1 would blur it; where there is none, neither LPIPS nor the discriminators keep a
    network from printing the lattice of its PixelShuffle (docs/log/round-12-realistic.md).
    """

    needs = TextureTask.needs
    GRID = 8
    FLAT, WINDOW = 5 / 255, 7

    def pixel_error(self, out: Tensor, target: Tensor) -> Tensor:
        mean, square = (
            F.avg_pool2d(x, self.WINDOW, 1, self.WINDOW // 2, count_include_pad=False) for x in (target, target**2)
        )
        flatness = 1 / (1 + (square - mean**2).clamp(min=0) / self.FLAT**2)
        return (flatness * (out - target).abs()).mean()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        out, target = rendered(self.model, batch)
        chroma = F.l1_loss(out[:, 1:].float(), target[:, 1:])
        top = left = 0
        if self.model.training:
            spare = min(self.GRID, min(out.shape[-2:]) - LEAST_SIDE + 1)
            top, left = torch.randint(spare, (2,)).tolist() if spare > 1 else (0, 0)
        luma = [x[:, :1, top:, left:].expand(-1, 3, -1, -1) for x in (out, target)]
        losses = self.judged(*luma)
        return losses | {"chroma": chroma, "loss": losses["loss"] + self.stage.chroma_weight * chroma}


class ColourTask(nn.Module):
    """Colour branch: class-rebalanced cross-entropy on the coarse chroma grid, and L1 on the mean of the classes."""

    needs = ("grey", ("colour",))

    def __init__(self, model: EdgeSCS, stage: Stage, photographs: Photographs):
        super().__init__()
        self.model, self.stage = model, stage
        self.model.colour.side = stage.colour_side
        self.model.colour.vividness = 1.0  # is for the finished network; the saved configuration has it
        sample = range(0, len(photographs), max(1, len(photographs) // PRIOR_IMAGES))
        if stage.encoder_init:
            load_encoder(self.model.colour.encoder, stage.encoder_init)
            lumas = [luma(photographs[i].float() / 255)[None] for i in sample[:BALANCE_IMAGES]]
            balance(self.model.colour.encoder, lumas)
        prior = chroma_prior([photographs[i][:, ::4, ::4].float() / 255 for i in sample])
        self.register_buffer("weights", class_weights(prior, stage.rebalance))
        self.weights: Tensor

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        target = rgb_to_ycc(batch.hr)[:, 1:]
        size = self.model.colour.answer_size(batch.gray.shape[-2:])
        target = F.interpolate(target, size, mode="bilinear", antialias=True, align_corners=False)
        hints = None if batch.hints is None else true_hints(target, batch.hints)
        logits = self.model.colour.logits(batch.gray, batch.reference, hints).float()
        classes = chroma_cross_entropy(logits, target, self.weights)
        chroma = self.model.colour.annealed_mean(logits)
        mean = F.l1_loss(chroma, target)
        losses = {"loss": classes + self.stage.chroma_weight * mean, "classes": classes, "chroma": mean}
        if self.stage.consistency and batch.shifts is not None:
            # Both views of an image have hints, of other places, or neither has.
            # Places, not a mask: a GPU waits once to learn how many there are.
            free = slice(None) if hints is None else (hints[::2, 2].flatten(1).amax(1) == 0).nonzero()[:, 0]
            first, second, shifts = chroma[::2][free], chroma[1::2][free], batch.shifts[free]
            losses["consistency"] = disagreement(first, second, shifts) if len(shifts) else mean.new_zeros(())
            losses["loss"] = losses["loss"] + self.stage.consistency * losses["consistency"]
        return losses


def disagreement(first: Tensor, second: Tensor, shifts: Tensor) -> Tensor:
    """Mean difference in chroma (n, 2, h, w) between two views where they overlap.

    The second view is mirrored and lies ``shifts`` (n, 2), rows and columns in window extents, from the first
    (``data.pairs.second_views``). Its colours are sampled bilinearly where the first view's cells lie in it.
    """
    n = len(first)
    theta = first.new_zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = -1, 1
    theta[:, 0, 2], theta[:, 1, 2] = 2 * shifts[:, 1], -2 * shifts[:, 0]
    grid = F.affine_grid(theta, list(first.shape), align_corners=False)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    aligned = F.grid_sample(second, grid, padding_mode="border", align_corners=False)
    return ((first - aligned).abs() * inside).sum() / (inside.sum() * first.shape[1]).clamp(min=1)


@torch.no_grad()
def balance(encoder: SqueezeEncoder, lumas: list[Tensor]) -> None:
    """Scale every layer to activations of deviation 1 on these images (1, 1, h, w); what it computes stays.

    ImageNet's SqueezeNet has activations of deviation 45 at 1/4 and 10 at 1/16: fresh layers on top would listen to
    texture five times more than to meaning. ReLU, max-pooling and convolution commute with positive factors, so each
    layer is divided by its deviation and the next one's weights are multiplied by it.
    """
    device = next(encoder.parameters()).device
    before = 1.0  # how much smaller the input of the next layer has become
    for layers in encoder.layers():
        moments = np.zeros(3)  # number, sum and sum of squares: photographs' activations may be gigabytes

        def count(_: nn.Module, __: Any, output: Tensor, moments: NDArray[np.float64] = moments) -> None:
            x = output.relu()
            moments += [x.numel(), float(x.sum()), float(x.square().sum())]

        for layer in layers:
            layer.weight.mul_(before)
        hooks = [layer.register_forward_hook(count) for layer in layers]
        for image in lumas:
            encoder(image.to(device))
        for hook in hooks:
            hook.remove()
        number, total, squares = moments
        before = float(np.sqrt(squares / number - (total / number) ** 2))
        for layer in layers:
            layer.weight.div_(before)
            layer.bias.div_(before)  # type: ignore[union-attr]


TASKS: dict[str, type[TextureTask] | type[ColourTask] | type[ImageTask]] = {
    "texture": TextureTask,
    "realistic_texture": RealisticTextureTask,
    "colour": ColourTask,
    "super_resolution": SuperResolutionTask,
    "points": PointsTask,
    "scs": SCSTask,
}
