"""Small ICC profiles made here: what a PNG says of its colours in its own words, gAMA, cHRM and cICP, as one of them.

A profile that is made is used like one that was embedded: pixels go through it to sRGB, and the result carries it.
ISO/IEC 15948, 11.3.2; the codes of cICP are those of ITU-T H.273; profiles by ICC.1:2010.
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

XY = tuple[float, float]
_D65: XY = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])  # the profile connection space's white
# Chromaticities of white, red, green, blue by the code of colour primaries.
_PRIMARIES: dict[int, tuple[XY, XY, XY, XY]] = {
    1: (_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    5: (_D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_SRGB = _PRIMARIES[1]
# Value -> light by the code of the transfer: ICC's parametric curve of kind 0 (g) or 3 (g, a, b, c, d).
_BT709 = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_TRANSFERS: dict[int, tuple[float, ...]] = {
    1: _BT709, 6: _BT709, 14: _BT709, 15: _BT709, 4: (2.2,), 5: (2.8,), 8: (1.0,),
    13: (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
}  # fmt: skip
_HDR = {16: "PQ", 18: "HLG"}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def described(info: Mapping[Any, Any], notes: list[str]) -> bytes | None:
    """The ICC profile of an opened image with Pillow's ``info``: embedded, or made from a PNG's own chunks.

    By the specification cICP comes first, then iCCP, sRGB, and gAMA with cHRM. None: sRGB, or nothing is said. What
    cannot be followed is named in ``notes``.
    """
    if cicp := info.get("cicp"):
        primaries, transfer, matrix, full = cicp
        if transfer in _HDR:
            notes.append(f"cICP says {_HDR[transfer]}, a high dynamic range, which is neither converted nor kept")
        elif primaries not in _PRIMARIES or transfer not in _TRANSFERS or matrix != 0 or full != 1:
            notes.append(f"cICP {primaries}/{transfer}/{matrix}/{full} is not known here and left out")
        elif (primaries, transfer) == (1, 13):
            return None
        else:
            return make_profile(f"cICP {primaries}/{transfer}", _PRIMARIES[primaries], _TRANSFERS[transfer])
    if "icc_profile" in info or "srgb" in info:
        return info.get("icc_profile")
    gamma, given = info.get("gamma"), info.get("chromaticity")
    if gamma is None and given is None:
        return None
    primaries = _SRGB if given is None else tuple(zip(given[::2], given[1::2], strict=True))
    power = 2.2 if gamma is None else 1 / gamma if gamma else 0.0
    near = np.abs(np.subtract(primaries, _SRGB)).max() < 0.002
    if near and 2.1 < power < 2.3:  # what encoders of sRGB write beside, or in place of, the chunk of that name
        return None
    if not 0.2 <= power <= 5:
        notes.append(f"gAMA left out: a gamma of {power:.3g} is no image's")
        return None
    try:
        return make_profile("gAMA and cHRM", primaries, (power,))
    except ValueError:
        notes.append("cHRM left out: its colours span no space")
        return None


def make_profile(name: str, primaries: Any, curve: tuple[float, ...]) -> bytes:
    """An RGB profile of version 4 of (white, red, green, blue) chromaticities and one parametric curve for all three.

    Raises ValueError for primaries that span no space.
    """
    columns = _to_d50(primaries)
    kind = {1: 0, 5: 3}[len(curve)]
    trc = b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(curve)
    tags = {b"desc": _text(name), b"cprt": _text("CC0"), b"wtpt": _xyz(_D50)}
    tags |= {tag: _xyz(column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), trc)
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), bytes(4), 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _to_d50(primaries: Any) -> NDArray[np.float64]:
    """RGB -> XYZ, adapted to D50 by Bradford's matrix."""
    if any(y <= 0 for _, y in primaries):
        raise ValueError("a chromaticity without luminance")
    white, red, green, blue = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
    colours = np.stack([red, green, blue], axis=1)
    if abs(np.linalg.det(colours)) < 1e-3 or white.min() <= 0:
        raise ValueError("the primaries span no space")
    colours = colours * np.linalg.solve(colours, white)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD
    columns = adapt @ colours
    if np.abs(columns).max() > 4:
        raise ValueError("the primaries span no space")
    return columns


def _fixed(values: Any) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _xyz(values: Any) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
