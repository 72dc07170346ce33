"""Small ICC profiles for tests, of the kinds that files bring along."""

import struct

# Adobe RGB (1998): its colorants adapted to D50, and a gamma of 563/256.
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def profile(space: bytes, tags: dict[bytes, bytes], name: str = "test") -> bytes:
    """A small ICC profile, version 2."""
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78 + 67 - 67),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, start + len(data), len(content))
        data += content
    header = bytearray(128)
    struct.pack_into(">I4sI4s4s4s", header, 0, start + len(data), b"lcms", 0x02400000, b"mntr", space, b"XYZ ")
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return bytes(header) + struct.pack(">I", len(tags)) + table + data


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


def gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def adobe_rgb() -> bytes:
    tags = {name: xyz(*column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), ADOBE, strict=True)}
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(563 / 256)))


def matrix(columns: tuple, curve: bytes, name: str = "test") -> bytes:
    """An RGB profile of primaries (XYZ of red, green, blue, adapted to D50) and one curve."""
    tags = {tag: xyz(*column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve), name)


SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def srgb_curve() -> bytes:
    """The curve of sRGB by 1024 points."""
    values = [i / 1023 for i in range(1024)]
    light = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + struct.pack(">1024H", *(round(v * 65535) for v in light))


def one_way() -> bytes:
    """An RGB profile that is a table to Lab and nothing back, as scanners' are. lut8Type (ICC.1:2010, 10.9), 2x2x2."""
    table = b"".join(
        bytes([85 * (red + green + blue), 128 + 40 * (red - green), 128 + 40 * (green - blue)])
        for red in (0, 1)
        for green in (0, 1)
        for blue in (0, 1)
    )
    straight, unit = bytes(range(256)) * 3, struct.pack(">9i", *(65536 * v for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + unit + straight + table + straight
    content = bytearray(profile(b"RGB ", {b"A2B0": lut}))
    content[12:16], content[20:24] = b"scnr", b"Lab "
    return bytes(content)
