"""RDN with continuous pixel mapping in place of its head, and with Meta-SR's: SCSNet's Tables 6 and 7.

SCSNet (AAAI 2022), appendix B: "similar to Meta-SR, we replace the SR head of RDN with the CPM module". Meta-SR is by
Hu et al., "Meta-SR: a magnification-arbitrary network for super-resolution" (CVPR 2019), section 3.3: a perceptron
gives each HR pixel the weights of its own 3x3 convolution on the features. On 64 channels CPM has 346,371 parameters,
Meta-SR's upscaling 445,120: Table 7's 0.35 M and 0.45 M.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.models.scsnet import CHUNK_PIXELS, PixelMapping
from edge_scs.models.sr_encoders import create_encoder

# As SCSNet's Tables 6 and 7 print them, PSNR of "CPM-RDN"; the size is the head's alone. RDN's PSNR there is the PSNR-Y
# of CiaoSR's Table 2 on Set14 and B100; on DIV2K it is not CiaoSR's on RGB, and nothing says what it is of.
PUBLISHED: dict[str, object] = {
    "source": "SCSNet (AAAI 2022), Tables 6 and 7",
    "params": {"head": 0.35e6},
    "mult_adds_720p": {"2": None, "3": None, "4": None},
    "psnr_y": {
        "Set14": {"2": 34.00, "3": 30.61, "4": 28.91},
        "B100": {"2": 32.35, "3": 29.31, "4": 27.77},
    },
    "psnr": {"DIV2K": {"2": 35.18, "3": 31.45, "4": 29.38}},
}


@dataclass(frozen=True)
class ContinuousConfig:
    """What a checkpoint needs to rebuild its network. ``head`` is "cpm" or "meta"; ``hidden`` are its channels."""

    encoder: str = "rdn"
    encoder_options: dict[str, int] = field(default_factory=dict)
    head: str = "cpm"
    hidden: int = 256

    def __post_init__(self) -> None:
        if self.head not in ("cpm", "meta"):
            raise ValueError(f"head {self.head!r}: must be cpm or meta")


class MetaUpscale(nn.Module):
    """Meta-SR's upscaling (its eq. 2 to 5): HR pixel (i, j) is a 3x3 convolution, of its own, at LR (i / r, j / r).

    The weights' inputs are both fractions of (i / r, j / r) and 1 / r, with r the rows' magnification.

    Shapes: features (n, channels, h, w), size (H, W) -> (n, 3, H, W).
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.weights = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 9 * channels * 3))

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        n, _, h, w = features.shape
        unfolded = F.unfold(features, 3, padding=1).reshape(n, -1, h, w)
        (rows, down), (cols, right) = (_places(lr, hr, features) for lr, hr in ((h, size[0]), (w, size[1])))
        step = size[0] if self.training else max(1, CHUNK_PIXELS // (n * size[1]))
        bands = []
        for start in range(0, size[0], step):
            band = slice(start, start + step)
            asked = torch.stack(torch.meshgrid(down[band], right, indexing="ij"), dim=-1)
            asked = torch.cat([asked, torch.full_like(asked[..., :1], h / size[0])], dim=-1)
            kernels = self.weights(asked).unflatten(-1, (3, -1))  # (rows, W, 3, 9 channels)
            seen = unfolded[:, :, rows[band]][..., cols].permute(0, 2, 3, 1)  # (n, rows, W, 9 channels)
            bands.append((kernels @ seen[..., None]).squeeze(-1).permute(0, 3, 1, 2))
        return torch.cat(bands, dim=2)


def _places(lr: int, hr: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Whole parts and fractions of i lr / hr, in whole numbers: positions on an edge shall not depend on rounding."""
    at = torch.arange(hr, device=like.device) * lr
    return at // hr, (at % hr).to(like.dtype) / hr


class ContinuousRDN(nn.Module):
    """``forward(rgb_lr, size)`` -> RGB of any size."""

    def __init__(self, config: ContinuousConfig | None = None):
        super().__init__()
        self.config = config = config or ContinuousConfig()
        self.encoder = create_encoder(config.encoder, config.encoder_options)
        head = PixelMapping if config.head == "cpm" else MetaUpscale
        self.head: PixelMapping | MetaUpscale = head(self.encoder.out_channels, config.hidden)

    @property
    def halo(self) -> int:
        """Radius of the receptive field in LR pixels: the encoder's, a 3x3 convolution, and one to interpolate."""
        return self.encoder.halo + 2

    def forward(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """rgb (n, 3, h, w) in [0, 1], size (H, W) -> RGB (n, 3, H, W).

        In eval mode clamped to [0, 1]; in training not, so that no gradient is lost.
        """
        out = self.head(self.encoder(rgb), size)
        return out if self.training else out.clamp(0, 1)
