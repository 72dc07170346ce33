"""How large the answer is to be: ``--scale`` and ``--size`` as numbers that make sense."""

import re

from edge_scs.errors import InputError

MIN_SCALE, MAX_SCALE = 1.0, 8.0
DEFAULT_SCALE = 4.0


def parse_size(text: str) -> tuple[int, int]:
    """``"1280x720"`` -> (1280, 720): width, height in pixels. Raises InputError for anything else."""
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*[xX×]\s*([0-9]{1,6})\s*", text)
    if not match or 0 in (int(match[1]), int(match[2])):
        raise InputError(f"size {text!r}: must be WIDTHxHEIGHT in pixels, like 1280x720")
    return int(match[1]), int(match[2])


def target_size(
    lr: tuple[int, int], scale: float | None = None, size: tuple[int, int] | None = None
) -> tuple[int, int]:
    """The HR size (H, W) of an LR image (h, w), by magnification or by size (W, H): one of the two.

    A size may stretch the image, as long as each axis stays within 1 to 8. Raises InputError otherwise.
    """
    if scale is not None and size is not None:
        raise InputError("scale and size exclude each other: give --scale or --size, not both")
    h, w = lr
    if size is None:
        check_scale(scale := DEFAULT_SCALE if scale is None else scale)
        return max(1, round(h * scale)), max(1, round(w * scale))
    check_size(size)
    wide, high = size
    if not (h <= high <= MAX_SCALE * h and w <= wide <= MAX_SCALE * w):
        times = f"magnifies {w}x{h} by {wide / w:.3g} across and {high / h:.3g} down"
        smallest, largest = f"{w}x{h}", f"{w * MAX_SCALE:.0f}x{h * MAX_SCALE:.0f}"
        raise InputError(f"size {wide}x{high}: {times}; for this image choose between {smallest} and {largest}")
    return high, wide


def check_size(size: tuple[int, int]) -> None:
    """Raise InputError unless this is a size of at least one pixel a side, in whole pixels."""
    if len(size) != 2 or any(side != int(side) or side < 1 for side in size):
        raise InputError(f"size {size}: must be two whole numbers of pixels, each at least 1")


def check_scale(scale: float) -> None:
    """Raise InputError unless the magnification is between 1 and 8 (decimals allowed)."""
    if not MIN_SCALE <= scale <= MAX_SCALE:  # false for nan as well
        raise InputError(f"scale {scale:g}: must be between {MIN_SCALE:g} and {MAX_SCALE:g}")
