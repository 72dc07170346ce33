"""The window of CiaoSR's non-local attention: which keys the queries of a tile are compared with."""

from collections.abc import Iterator

# Side of a tile of queries in LR pixels, the training patch: 150 MB of scores in a full window.
TILE = 48


def tiles(pixels: int, keys: int, scale: int, window: int) -> Iterator[tuple[slice, slice]]:
    """Along one axis: a tile of LR pixels, and the keys (each ``scale`` pixels wide) in the window around it.

    A window is moved inwards at borders, so that it always has as many keys as fit: the whole axis where that is at
    most ``window`` LR pixels long.
    """
    seen = min(keys, window // scale)
    for start in range(0, pixels, TILE):
        stop = min(start + TILE, pixels)
        first = (start + stop) // (2 * scale) - seen // 2
        first = min(max(first, 0), keys - seen)
        yield slice(start, stop), slice(first, first + seen)
