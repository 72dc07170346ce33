"""Images of 8 or 16 bits and the float tensors that networks see, and back."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edge_scs.color import RGB_TO_YCC
from edge_scs.errors import InputError

REFERENCE_SIDE = 128

ImageArray = NDArray[Any]  # uint8 or uint16: mypy cannot follow a union through numpy


def check_image(image: ImageArray) -> None:
    """Raise InputError unless this is a uint8 or uint16 image (h, w) or (h, w, 3) with at least one pixel."""
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype not in (np.uint8, np.uint16) or not shaped or 0 in image.shape:
        shapes = "of shape (h, w) or (h, w, 3)"
        raise InputError(f"image {image.dtype} {image.shape}: must be uint8 or uint16 {shapes}")


def as_grey(image: ImageArray) -> ImageArray:
    """Luma (h, w) of a grey or RGB image, rounded as Pillow's ``convert("L")`` rounds."""
    if image.ndim == 2:
        return image
    if image.dtype == np.uint8:
        return np.array(Image.fromarray(np.ascontiguousarray(image)).convert("L"))
    grey = np.full(image.shape[:2], 0x8000, np.uint32)
    for channel, weight in enumerate((19595, 38470, 7471)):
        grey += image[..., channel] * np.uint32(weight)
    return (grey >> 16).astype(np.uint16)


def as_rgb(image: ImageArray) -> ImageArray:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def shrink_reference(reference: ImageArray, size: tuple[int, int] = (REFERENCE_SIDE, REFERENCE_SIDE)) -> ImageArray:
    """A reference of any size and aspect -> uint8 RGB (128, 128, 3), what the networks were trained with."""
    reference = reference if reference.dtype == np.uint8 else (reference >> 8).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(as_rgb(reference)))
    return np.array(image.resize(size[::-1], Image.Resampling.BICUBIC))


def to_tensor(image: ImageArray, device: torch.device) -> Tensor:
    """(h, w) or (h, w, c) of either depth -> (1, c, h, w) in [0, 1], contiguous."""
    planes = image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0)
    if image.dtype == np.uint16:
        return torch.from_numpy(planes.astype(np.float32))[None].to(device) / 65535
    return torch.from_numpy(planes.copy())[None].to(device).float() / 255


def to_image(rgb: Tensor, dtype: type[np.generic] | np.dtype = np.uint8) -> ImageArray:
    """(1, 3, h, w) in [0, 1] -> uint8 or uint16 (h, w, 3), rounded to nearest."""
    levels = (rgb[0].float().clamp(0, 1) * int(np.iinfo(dtype).max)).round()
    if dtype == np.uint8:
        levels = levels.to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().numpy().astype(dtype, copy=False)


def strips_of(
    pieces: Iterator[tuple[slice, slice, Tensor]], stops: list[int], width: int, dtype: np.dtype
) -> Iterator[ImageArray]:
    """Pieces (HR rows, HR columns, RGB (1, 3, rows, cols)) as whole strips (rows, width, 3), from top to bottom.

    ``stops``: where a strip may end. Strips come one after another; within one its pieces come in any order.
    """
    start, strip = 0, np.empty((0, width, 3), dtype)
    for rows, cols, rgb in pieces:
        if rows.start >= start + len(strip):
            if len(strip):
                yield strip
            start = rows.start
            stop = max(rows.stop, min((stop for stop in stops if stop > start), default=0))
            strip = np.empty((stop - start, width, 3), dtype)
        strip[rows.start - start : rows.stop - start, cols] = to_image(rgb, dtype)
    yield strip


def saturated(strip: ImageArray, vividness: float) -> ImageArray:
    """RGB (rows, w, 3) with every colour's distance from grey of its luma (BT.601) times ``vividness``.

    What an app can do with any program's output: luma + vividness * (rgb - luma). At 1 nothing is touched.
    """
    if vividness == 1:
        return strip
    luma = strip @ np.array(RGB_TO_YCC[0], np.float32)[:, None]
    top = np.iinfo(strip.dtype).max
    return np.clip(np.rint(luma + vividness * (strip - luma)), 0, top).astype(strip.dtype)


def enlarge_part(
    plane: Image.Image, rows: slice, cols: slice, ratios: tuple[float, float], origin: tuple[int, int] = (0, 0)
) -> Tensor:
    """HR rows and columns of an LR plane (mode F) enlarged bicubically -> (rows, cols).

    Pillow's filter sees the pixels around the box, so a part is the crop of the whole; ``plane`` may itself be the
    part of the LR image that begins at ``origin`` (row, column) and reaches at least two pixels beyond the box.
    """
    top, left = origin
    right, bottom = min(cols.stop / ratios[1] - left, plane.width), min(rows.stop / ratios[0] - top, plane.height)
    box = (cols.start / ratios[1] - left, rows.start / ratios[0] - top, right, bottom)
    part = plane.resize((cols.stop - cols.start, rows.stop - rows.start), Image.Resampling.BICUBIC, box)
    return torch.from_numpy(np.array(part))
