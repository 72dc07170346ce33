"""What every port of an artifact means: the words of the manifest, by which a stranger can drive the artifact.

``docs/drive-it-yourself.md`` drives both kinds of program from the manifest alone.
"""

from typing import Any

# What holds for all ports of all artifacts: ``values`` of the manifest.
VALUES = {
    "colour_space": "sRGB, 8 or 16 bits divided by 255 or 65535; no gamma is removed",
    "layout": "tensors are contiguous float32 (float16 where a port says so), planes in the order n, c, h, w; R, G, B",
    "luma": "BT.601 of the encoded 8-bit sRGB values: (19595 R + 38470 G + 7471 B + 32768) >> 16, which is what "
    "Pillow's convert('L') gives; then divided by 255",
    "clamping": "the artifact clamps rgb to its range; nothing else is clamped",
    "rounding": "to 8 bits: 255 * rgb, rounded to nearest, halves to even",
    "pixel_centres": "half-integers (align_corners = False): HR pixel i looks at LR coordinate "
    "(i + 0.5) * lr / hr - 0.5",
}
UNIT = [0.0, 1.0]
CHROMA = [-0.5, 0.5]
WEIGHTS = "bilinear weights: row i has 1 - t at column floor(p) and t at floor(p) + 1, t = p - floor(p), where p is "
CLAMPED = "clamped to the border pixels and counted from the window's first"

Words = tuple[str, list[float] | None]
# Port -> meaning, range (None: unbounded). A port of a continuous program's method may mean something of its own.
PORTS: dict[str, Words] = {
    "gray": ("luma of the LR image", UNIT),
    "rgb_lr": ("the LR image in RGB", UNIT),
    "reference": (
        "RGB image whose colours to use, resized to this shape whatever its aspect (Pillow's BICUBIC on 8 bits)",
        UNIT,
    ),
    "hints": (
        "colour hints on the grid of the coarse chroma, a quarter of the colour grid, quotients rounded up: Cb and Cr "
        "in [-0.5, 0.5], then presence, 1 where there is a hint; 0 everywhere without hints. A hint covers the cells "
        "whose centres are closer to it than 1.5 cells on both axes; where hints overlap, their mean",
        [-0.5, 1.0],
    ),
    "rgb": ("the HR image in RGB, clamped", UNIT),
    "chroma": ("BT.601 chroma of the LR image: Cb, Cr, with grey at 0", CHROMA),
    "features": ("features of the LR tile: from encode to x2, x3, x4 and finest", None),
    "base": ("the LR tile in RGB, not clamped", None),
    "grid": ("features of the LR tile for decode", None),
    "fine": ("the tile's x4 image in RGB, not clamped", None),
    "rows": (WEIGHTS + f"the LR row of each HR row of the chunk, {CLAMPED}", UNIT),
    "cols": (WEIGHTS + f"the LR column of each HR column of the chunk, {CLAMPED}", UNIT),
    "fine_rows": (WEIGHTS + f"the row of fine, which is 4 times as fine as LR, of each HR row, {CLAMPED}", UNIT),
    "fine_cols": (WEIGHTS + f"the column of fine of each HR column, {CLAMPED}", UNIT),
    "row_positions": (
        "for the chunk's row k, which is row i of the HR image: [0, 0, 0, k] is the place inside its LR pixel, "
        "2 * frac((i + 0.5) * lr / hr + 1e-9) - 1, in [-1, 1): -1 is the upper edge, 0 the centre; [0, 1, 0, k] is "
        "lr / hr, in [0.125, 1]",
        [-1.0, 1.0],
    ),
    "col_positions": (
        "the same for the chunk's column k: [0, 0, k, 0] and [0, 1, k, 0]; -1 is the left edge",
        [-1.0, 1.0],
    ),
}
COLOUR_PORTS: dict[str, Words] = {
    "gray": (
        "luma of the whole image (h, w) on the colour grid, sides round(side * colour_side / sqrt(h w)), halves to "
        "even: where c = floor(sqrt(h w) / colour_side) is at least 2, first the mean over cells of c x c pixels, "
        "those at the border cut; then bilinear",
        UNIT,
    ),
    "rows8": (WEIGHTS + "the row of the 1/16 grid of each row of the 1/8 grid (quotients rounded up), clamped", UNIT),
    "rows4": (WEIGHTS + "the row of the 1/8 grid of each row of the 1/4 grid, clamped", UNIT),
    "cols8": (WEIGHTS + "the column of the 1/16 grid of each column of the 1/8 grid, clamped", UNIT),
    "cols4": (WEIGHTS + "the column of the 1/8 grid of each column of the 1/4 grid, clamped", UNIT),
    "chroma": ("BT.601 chroma of the whole image at 1/4 of the colour grid: Cb, Cr", CHROMA),
}
ENCODE_PORTS: dict[str, Words] = {
    "gray": ("luma of the LR tile with halo pixels around it, which end at the image's border", UNIT),
    "chroma": ("the whole image's coarse chroma, enlarged bilinearly to the LR grid, of the same tile", CHROMA),
}


def words(method: str, port: str, image: bool = False) -> dict[str, Any]:
    """``meaning`` and ``range`` of a method's port. ``image``: a pixel buffer, whose values are 0 to 255.

    Raises KeyError for a port that has no meaning yet: whoever adds one, says here what it is.
    """
    special = COLOUR_PORTS if method.startswith("colour") else ENCODE_PORTS if method == "encode" else {}
    meaning, bounds = special.get(port) or PORTS[port]
    if image:
        bounds = [0.0, 255.0]
    return {"meaning": meaning, "range": None if bounds is None else list(bounds)}
