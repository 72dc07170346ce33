"""How a colour photograph becomes a small grey one: Pillow's ``convert("L")`` and antialiased bicubic, on tensors.

And how a bad one is made from a good one: ``degrade``.
"""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from edge_scs.data.wear import fade, wear


def grey(rgb: Tensor) -> Tensor:
    """uint8 RGB (..., 3, h, w) -> uint8 luma (..., 1, h, w), bit for bit Pillow's ``convert("L")`` (ITU-R 601-2)."""
    red, green, blue = rgb.unbind(-3)
    total = red.to(torch.int32).mul_(19595).add_(green, alpha=38470).add_(blue, alpha=7471).add_(32768)
    return total.bitwise_right_shift_(16).to(torch.uint8).unsqueeze(-3)


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Antialiased bicubic resize (a = -0.5), (n, c, h, w) -> (n, c, *size): floats, not clamped, or uint8.

    On uint8 it is ``pillow_bicubic`` to two grey levels in a third of its time, with weights of 16 bits: for scenes,
    and for what is degraded afterwards.
    """
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


def to_lr(hr: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 HR (n, c, H, W) -> float LR (n, c, h, w) in [0, 1] on the 256 levels of an 8-bit image."""
    return pillow_bicubic(hr, size).float() / 255


def degrade(hr: Tensor, size: tuple[int, int], kind: str, rngs: Sequence[np.random.Generator]) -> Tensor:
    """uint8 HR (n, c, H, W), c = 1 or 3 -> uint8 LR (n, c, *size).

    "clean" is ``pillow_bicubic``. "worn" and "old" are the presets of ``data.wear``: half of the images are reduced by
    ``bicubic``, the others by filters at random, then worn. "bsrgan" is in the manner of BSRGAN (Zhang et al.
    2021): blur, resize, noise and JPEG in a random order, each of a random kind and strength. CiaoSR 5.4 trains with
    BSRGAN's and Real-ESRGAN's own degradations, which are not here. All is drawn from the image's generator. Grey
    images get grey degradations, as an old photograph that was scanned.
    """
    if kind == "clean":
        return pillow_bicubic(hr, size)
    if kind == "bsrgan":
        return torch.stack([_bsrgan(image, size, rng) for image, rng in zip(hr, rngs, strict=True)])
    worn = []
    for image, rng in zip(hr, rngs, strict=True):
        small = bicubic(image[None], size)[0] if rng.random() < 0.5 else _resize(image, size, rng)
        pixels = small[0].numpy() if len(small) == 1 else small.permute(1, 2, 0).contiguous().numpy()
        worn.append(torch.from_numpy(wear(pixels, kind, rng).copy()).reshape(*small.shape[1:], -1).permute(2, 0, 1))
    return torch.stack(worn)


def faded(gray: Tensor, share: float, rngs: list[np.random.Generator]) -> Tensor:
    """uint8 (n, 1, h, w) -> the same, or floats of as many levels, a ``share`` of the images with a print's tones."""
    if not share:
        return gray
    return torch.stack(
        [
            torch.from_numpy(fade(image[0].numpy().astype(np.float32), rng))[None]
            if rng.random() < share
            else image.float()
            for image, rng in zip(gray, rngs, strict=True)
        ]
    )


def _bsrgan(image: Tensor, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    steps = {
        "blur": lambda x: _blur(x, 0.4 + 0.6 * x.shape[-1] / size[1], rng),
        "resize": lambda x: _resize(x, size, rng),
        "noise": lambda x: _noise(x, rng),
        "jpeg": lambda x: _jpeg(x, rng),
    }
    for name in rng.permutation(sorted(steps)):
        image = steps[str(name)](image)
    return image


def _blur(x: Tensor, widest: float, rng: np.random.Generator) -> Tensor:
    """A Gaussian of deviations 0.1 to ``widest`` pixels along two turned axes; round half of the time."""
    across, along = rng.uniform(0.1, widest, size=2)
    if rng.random() < 0.5:
        along = across
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = turn @ np.diag([across**-2.0, along**-2.0]) @ turn.T
    radius = min(int(np.ceil(3 * max(across, along))), min(x.shape[1:]) - 1)
    offsets = np.stack(np.meshgrid(*[np.arange(-radius, radius + 1)] * 2, indexing="ij"), axis=-1)
    kernel = np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", offsets, inverse, offsets))
    weights = torch.from_numpy(kernel / kernel.sum()).float()[None, None]
    padded = F.pad(x[:, None].float(), [radius] * 4, mode="reflect")
    return _bytes(F.conv2d(padded, weights)[:, 0])


def _resize(x: Tensor, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """To ``size`` by one of four filters; half of the time by way of a size in between and another filter."""
    filters = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    image = _to_pillow(x)
    if rng.random() < 0.5:
        share = rng.random()
        between = [max(1, round(small + share * (big - small))) for small, big in zip(size, x.shape[1:], strict=True)]
        image = image.resize((between[1], between[0]), filters[rng.integers(len(filters))])
    return _from_pillow(image.resize((size[1], size[0]), filters[rng.integers(len(filters))]))


def _noise(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Gaussian of 1 to 25 levels, in each channel or the same in all, or shot noise of 100 to 10,000 counts."""
    kind = rng.integers(3)
    if kind == 2:
        counts = 10 ** rng.uniform(2, 4)
        return _bytes(torch.from_numpy(rng.poisson(x.numpy() / 255 * counts) / counts * 255))
    shape = (1, *x.shape[1:]) if kind == 1 else tuple(x.shape)
    return _bytes(x + torch.from_numpy(rng.normal(0, rng.uniform(1, 25), size=shape)))


def _jpeg(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Through a JPEG of quality 30 to 95."""
    buffer = io.BytesIO()
    _to_pillow(x).save(buffer, "JPEG", quality=int(rng.integers(30, 96)))
    return _from_pillow(Image.open(buffer))


def _bytes(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255).to(torch.uint8)


def _to_pillow(x: Tensor) -> Image.Image:
    return Image.fromarray(x[0].numpy() if len(x) == 1 else x.permute(1, 2, 0).contiguous().numpy())


def _from_pillow(image: Image.Image) -> Tensor:
    array = np.array(image)
    return torch.from_numpy(array)[None] if array.ndim == 2 else torch.from_numpy(array).permute(2, 0, 1).contiguous()
