"""CiaoSR: RGB at any magnification; attention ensembles the LR neighbours of a point, and non-local attention feeds it.

Cao et al., "CiaoSR: continuous implicit attention-in-attention network for arbitrary-scale image super-resolution"
(arXiv 2212.04362), section 4, on the features of any encoder of ``sr_encoders``. What the text says and what the
authors released are two networks: ``ciaosr_released.py``, the default, whose checkpoints can be imported, and
``ciaosr_paper.py``, equations 3 to 8 as printed. In both the residual to the bilinear enlargement is predicted, as in
the authors' code, and the mean colour of DIV2K is taken off before the encoder.

Queries of the non-local attention go in tiles of 48 x 48, the training patch, and each tile sees the 256 x 256 LR
pixels around it (section 4), moved inwards at borders. An image of up to 256 x 256 is searched whole. This reaches far
beyond ``halo``, which is the local path's radius.

The released head has 1,428,614 parameters with 64 channels, the text's 1,407,558; Table 7 prints 1.4 M. (Its 1.6 M for
LIIF fit only head and EDSR-baseline together.)
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from edge_scs.models.ciaosr_paper import ImplicitAttention, NonLocalAttention
from edge_scs.models.ciaosr_released import CrossScaleAttention, ReleasedAttention, region_as_released
from edge_scs.models.implicit import ImplicitNetwork, Region, Size
from edge_scs.models.pcarn import DIV2K_MEAN
from edge_scs.models.sr_encoders import create_encoder

# As printed: PSNR on RGB in Table 1, PSNR-Y in Tables 2 and 3, size of the head alone in Table 7. No MultAdds are.
_COMMON: dict[str, object] = {
    "source": "arXiv 2212.04362, Tables 1, 2, 3 and 7",
    "params": {"head": 1.4e6},
    "mult_adds_720p": {"2": None, "3": None, "4": None},
}


def _psnr(*values: float) -> dict[str, float]:
    return dict(zip(("2", "3", "4", "6", "8", "12"), values, strict=True))


def _psnr_div2k(*values: float) -> dict[str, dict[str, float]]:
    return {"DIV2K": dict(zip(("2", "3", "4", "6", "12", "18", "24", "30"), values, strict=True))}


PUBLISHED: dict[str, dict[str, object]] = {
    "ciaosr_edsr": _COMMON | {"psnr_rgb": _psnr_div2k(34.91, 31.15, 29.23, 26.95, 23.88, 22.32, 21.32, 20.59)},
    "ciaosr_rdn": _COMMON
    | {
        "psnr_rgb": _psnr_div2k(35.15, 31.42, 29.45, 27.16, 24.06, 22.48, 21.43, 20.70),
        "psnr_y": {
            "Set5": _psnr(38.29, 34.85, 32.66, 29.46, 27.36, 24.92),
            "Set14": _psnr(34.22, 30.65, 28.93, 26.79, 25.28, 23.37),
            "B100": _psnr(32.41, 29.34, 27.83, 26.07, 25.00, 23.64),
            "Urban100": _psnr(33.30, 29.17, 27.11, 24.58, 23.13, 21.42),
            "Manga109": _psnr(39.51, 34.57, 31.57, 27.70, 25.40, 22.63),
        },
    },
    "ciaosr_swinir": _COMMON
    | {
        "psnr_rgb": _psnr_div2k(35.29, 31.55, 29.59, 27.28, 24.15, 22.54, 21.51, 20.74),
        "psnr_y": {
            "Set5": _psnr(38.38, 34.91, 32.84, 29.62, 27.45, 24.96),
            "Set14": _psnr(34.33, 30.82, 29.08, 26.88, 25.42, 23.38),
            "B100": _psnr(32.47, 29.42, 27.90, 26.13, 25.07, 23.68),
            "Urban100": _psnr(33.65, 29.52, 27.42, 24.84, 23.34, 21.60),
            "Manga109": _psnr(39.67, 34.84, 31.91, 28.01, 25.61, 22.79),
        },
    },
}


@dataclass(frozen=True)
class CiaoSRConfig:
    """What a checkpoint needs to rebuild its network. ``encoder_options`` are arguments of the encoder's class.

    ``reading`` is "released" or "paper" (see above); ``nonlocal_scales`` are the s' of eq. 8, none: without non-local
    attention (Table 4, and the authors' real-world networks); ``window`` is in LR pixels. ``ensemble`` = "mlp" replaces
    the local attention as Table 4's first column does. Raises ValueError for anything else.
    """

    encoder: str = "edsr"
    encoder_options: dict[str, int] = field(default_factory=dict)
    hidden: int = 256
    nonlocal_scales: tuple[int, ...] = (2,)
    window: int = 256
    reading: str = "released"
    ensemble: str = "attention"

    def __post_init__(self) -> None:
        scales = tuple(self.nonlocal_scales)
        object.__setattr__(self, "nonlocal_scales", scales)  # JSON has no tuples
        if len(set(scales) & {2, 3, 4}) < len(scales):
            raise ValueError("nonlocal_scales: must be some of 2, 3 and 4, each once, or none")
        if scales and self.window < max(scales):
            raise ValueError(f"window {self.window}: must be at least {max(scales)}, one key wide")
        if self.reading not in ("released", "paper"):
            raise ValueError(f"reading {self.reading!r}: must be released or paper")
        if self.ensemble not in ("attention", "mlp") or (self.ensemble == "mlp" and self.reading == "paper"):
            raise ValueError(f"ensemble {self.ensemble!r}: must be attention, or mlp with the released reading")


class CiaoSR(ImplicitNetwork):
    """``forward(rgb, size)`` and ``points`` as any ``ImplicitNetwork``."""

    def __init__(self, config: CiaoSRConfig | None = None):
        config = config or CiaoSRConfig()
        super().__init__(create_encoder(config.encoder, config.encoder_options))
        self.config = config
        c, scales = self.encoder.out_channels, config.nonlocal_scales
        self.nonlocals: nn.ModuleList | CrossScaleAttention
        self.attention: ReleasedAttention | ImplicitAttention
        if config.reading == "released":
            self.nonlocals = CrossScaleAttention(c, scales, config.window) if scales else nn.ModuleList()
            self.attention = ReleasedAttention(c, c * len(scales), config.hidden, config.ensemble == "attention")
        else:
            self.nonlocals = nn.ModuleList(NonLocalAttention(c, scale, config.window) for scale in scales)
            self.attention = ImplicitAttention(c, c * len(scales), config.hidden)
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor

    def region(self, coordinates: Tensor, lr: tuple[int, int], size: Size) -> Region:
        if self.config.reading == "released":
            return region_as_released(coordinates, lr, size)
        return super().region(coordinates, lr, size)

    def maps(self, rgb: Tensor) -> tuple[Tensor, ...]:
        features = self.encoder(rgb - self.mean)
        if isinstance(self.nonlocals, CrossScaleAttention):
            found = self.nonlocals(features)
        else:
            found = torch.cat([features[:, :0], *(attention(features) for attention in self.nonlocals)], dim=1)
        return (*self.attention.maps(features, found), rgb)

    def decode(self, rows: tuple[Tensor, ...], region: Region) -> Tensor:
        *attended, rgb = rows
        bilinear = (region.area[..., None] * rgb[region.corners]).sum(2)
        return self.attention(*attended, region) + bilinear
