"""uint8 pictures and the float tensors that networks see, and back."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edge_scs.errors import InputError

REFERENCE_SIDE = 128

Picture = NDArray[np.uint8]


def check_picture(picture: Picture) -> None:
    """Raise InputError unless this is a uint8 picture (h, w) or (h, w, 3) with at least one pixel."""
    shaped = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
    if picture.dtype != np.uint8 or not shaped or 0 in picture.shape:
        raise InputError(f"picture {picture.dtype} {picture.shape}: must be uint8 of shape (h, w) or (h, w, 3)")


def as_grey(picture: Picture) -> Picture:
    """Luma (h, w) of a grey or RGB picture, rounded as Pillow's ``convert("L")`` rounds."""
    return picture if picture.ndim == 2 else np.array(Image.fromarray(np.ascontiguousarray(picture)).convert("L"))


def as_rgb(picture: Picture) -> Picture:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def shrink_reference(reference: Picture, size: tuple[int, int] = (REFERENCE_SIDE, REFERENCE_SIDE)) -> Picture:
    """A reference of any size and aspect -> uint8 RGB (128, 128, 3), what the networks were trained with."""
    image = Image.fromarray(np.ascontiguousarray(as_rgb(reference)))
    return np.array(image.resize(size[::-1], Image.Resampling.BICUBIC))


def to_tensor(picture: Picture, device: torch.device) -> Tensor:
    """uint8 (h, w) or (h, w, c) -> (1, c, h, w) in [0, 1], contiguous."""
    planes = picture[None] if picture.ndim == 2 else np.moveaxis(picture, 2, 0)
    return torch.from_numpy(planes.copy())[None].to(device).float() / 255


def to_picture(rgb: Tensor) -> Picture:
    """(1, 3, h, w) in [0, 1] -> uint8 (h, w, 3), rounded to nearest."""
    levels = (rgb[0].float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().numpy()


def enlarge_part(plane: Image.Image, rows: slice, cols: slice, ratios: tuple[float, float]) -> Tensor:
    """HR rows and columns of an LR plane (mode F) enlarged bicubically -> (rows, cols).

    Pillow's filter sees the pixels around the box, so a part is the crop of the whole.
    """
    right, bottom = min(cols.stop / ratios[1], plane.width), min(rows.stop / ratios[0], plane.height)
    box = (cols.start / ratios[1], rows.start / ratios[0], right, bottom)
    part = plane.resize((cols.stop - cols.start, rows.stop - rows.start), Image.Resampling.BICUBIC, box)
    return torch.from_numpy(np.array(part))
