"""What a stage optimises: a module whose forward takes a batch and returns named losses, "loss" among them.

The loop hands this module to accelerate, so that a distributed wrapper sees one forward whatever parts it calls.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.color import luma, rgb_to_ycc
from edge_scs.data.pairs import Batch
from edge_scs.data.photographs import Photographs
from edge_scs.models.edge_scs import EdgeSCS, enlarge_chroma
from edge_scs.models.encoders import SqueezeEncoder
from edge_scs.recipes import Stage
from edge_scs.training.losses import chroma_cross_entropy, chroma_prior, class_weights
from edge_scs.weights.loading import load_encoder

PRIOR_PICTURES = 256
BALANCE_PICTURES = 16


class TextureTask(nn.Module):
    """Texture branch and heads: HR luma and chroma from LR luma and a *given* coarse chroma.

    The chroma comes from the photograph, made 1.5 to 8 times coarser than the LR grid. So the network learns to place
    colour along edges, and not to doubt the colour branch: trained end to end, L1 would pull every colour it is
    unsure of towards grey.
    """

    def __init__(self, model: EdgeSCS, stage: Stage, photographs: Photographs):
        super().__init__()
        self.model, self.stage = model, stage

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        target = rgb_to_ycc(batch.hr)
        lr = batch.gray.shape[-2:]
        coarse_size = (max(1, round(lr[0] / batch.chroma_ratio)), max(1, round(lr[1] / batch.chroma_ratio)))
        coarse = F.interpolate(target[:, 1:], coarse_size, mode="bilinear", antialias=True, align_corners=False)
        out = self.model.render(batch.gray, enlarge_chroma(coarse, lr), (batch.hr.shape[-2], batch.hr.shape[-1]))
        detail = F.l1_loss(out[:, :1].float(), target[:, :1])
        chroma = F.l1_loss(out[:, 1:].float(), target[:, 1:])
        return {"loss": detail + self.stage.chroma_weight * chroma, "luma": detail, "chroma": chroma}


class ColourTask(nn.Module):
    """Colour branch: class-rebalanced cross-entropy on the coarse chroma grid, and L1 on the mean of the classes."""

    def __init__(self, model: EdgeSCS, stage: Stage, photographs: Photographs):
        super().__init__()
        self.model, self.stage = model, stage
        self.model.colour.side = stage.colour_side
        sample = range(0, len(photographs), max(1, len(photographs) // PRIOR_PICTURES))
        if stage.encoder_init:
            load_encoder(self.model.colour.encoder, stage.encoder_init)
            lumas = [luma(photographs[i].float() / 255)[None] for i in sample[:BALANCE_PICTURES]]
            balance(self.model.colour.encoder, lumas)
        prior = chroma_prior([photographs[i][:, ::4, ::4].float() / 255 for i in sample])
        self.register_buffer("weights", class_weights(prior, stage.rebalance))
        self.weights: Tensor

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.model.colour.logits(batch.gray, batch.reference).float()
        chroma = rgb_to_ycc(batch.hr)[:, 1:]
        target = F.interpolate(chroma, logits.shape[-2:], mode="bilinear", antialias=True, align_corners=False)
        classes = chroma_cross_entropy(logits, target, self.weights)
        mean = F.l1_loss(self.model.colour.annealed_mean(logits), target)
        return {"loss": classes + self.stage.chroma_weight * mean, "classes": classes, "chroma": mean}


@torch.no_grad()
def balance(encoder: SqueezeEncoder, lumas: list[Tensor]) -> None:
    """Scale every layer to activations of deviation 1 on these pictures (1, 1, h, w); what it computes stays.

    ImageNet's SqueezeNet has activations of deviation 45 at 1/4 and 10 at 1/16: fresh layers on top would listen to
    texture five times more than to meaning. ReLU, max-pooling and convolution commute with positive factors, so each
    layer is divided by its deviation and the next one's weights are multiplied by it.
    """
    before = 1.0  # how much smaller the input of the next layer has become
    seen: list[Tensor] = []
    for layers in encoder.layers():
        for layer in layers:
            layer.weight.mul_(before)
        hooks = [
            layer.register_forward_hook(lambda _, __, output: seen.append(output.relu().flatten())) for layer in layers
        ]
        for picture in lumas:
            encoder(picture)
        for hook in hooks:
            hook.remove()
        before = float(torch.cat(seen).std())
        seen.clear()
        for layer in layers:
            layer.weight.div_(before)
            layer.bias.div_(before)  # type: ignore[union-attr]


TASKS: dict[str, type[TextureTask] | type[ColourTask]] = {"texture": TextureTask, "colour": ColourTask}


@torch.no_grad()
def validate(model: EdgeSCS, photographs: Photographs, side: int = 256, limit: int = 24) -> dict[str, float]:
    """x4 on centre crops of held-out photographs: PSNR of the luma (dB), and of RGB against the grey picture's.

    Figures to steer by, not the benchmark protocol (``evaluate`` has that).
    """
    from edge_scs.data.degradation import grey, to_lr

    luma_psnr, rgb_psnr, grey_psnr = [], [], []
    for index in range(min(limit, len(photographs))):
        picture = photographs[index]
        h, w = (min(side, extent) // 4 * 4 for extent in picture.shape[1:])
        top, left = (picture.shape[1] - h) // 2, (picture.shape[2] - w) // 2
        hr = picture[None, :, top : top + h, left : left + w]
        device = next(model.parameters()).device
        gray = to_lr(grey(hr), (h // 4, w // 4)).to(device)
        out = rgb_to_ycc(model(gray, (h, w)))
        truth = rgb_to_ycc(hr.float().to(device) / 255)
        uncoloured = torch.cat([out[:, :1], torch.zeros_like(out[:, 1:])], dim=1)
        luma_psnr.append(_psnr(out[:, :1], truth[:, :1]))
        rgb_psnr.append(_psnr(_as_rgb(out), hr.to(device) / 255))
        grey_psnr.append(_psnr(_as_rgb(uncoloured), hr.to(device) / 255))
    count = len(luma_psnr)
    return {
        "psnr_luma": sum(luma_psnr) / count,
        "psnr_rgb": sum(rgb_psnr) / count,
        "psnr_rgb_if_grey": sum(grey_psnr) / count,
    }


def _as_rgb(ycc: Tensor) -> Tensor:
    from edge_scs.color import ycc_to_rgb

    return ycc_to_rgb(ycc).clamp(0, 1)


def _psnr(x: Tensor, y: Tensor) -> float:
    return float(-10 * torch.log10(F.mse_loss(x, y).clamp(min=1e-12)))
