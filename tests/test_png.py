"""A PNG's chunks: what is beside the pixels may be damaged, huge or malformed and does not cost the image."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from fuzz.mixed import chunk, photo, png, with_chunks
from PIL import Image

from edge_scs.errors import InputError
from edge_scs.images import read_rgb
from edge_scs.imaging.scans import image_size, read_scan
from edge_scs.png import MAX_PROFILE, check, screen

PIXELS = photo(12, 3)
PLAIN = png(PIXELS)


def packed(size: int) -> bytes:
    """A zlib stream of ``size`` spaces."""
    squeeze = zlib.compressobj(9)
    parts = [squeeze.compress(b" " * min(1 << 20, size - at)) for at in range(0, size, 1 << 20)]
    return b"".join(parts) + squeeze.flush()


def damaged(kind: bytes, data: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    whole = chunk(kind, data)
    return whole[:-1] + bytes([whole[-1] ^ 1])


@pytest.mark.parametrize(
    ("name", "extra", "reason"),
    [
        ("zTXt", [chunk(b"zTXt", b"Comment\0\0" + packed(2 << 20))], "unpacks to more than 1 MB"),
        ("iTXt", [chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed(2 << 20))], "unpacks to more than 1 MB"),
        ("iCCP", [chunk(b"iCCP", b"name\0\0" + packed(9 << 20))], "unpacks to more than 8 MB"),
        ("tEXt", [damaged(b"tEXt", b"Comment\0nothing")], "wrong checksum"),
        ("tRNS", [damaged(b"tRNS", b"\0\1\0\1\0\1")], "wrong checksum"),
        ("gAMA", [chunk(b"gAMA", b"\0\1")], "malformed"),
        ("pHYs", [chunk(b"pHYs", b"\0\0\1")], "malformed"),
        ("zTXt", [chunk(b"zTXt", b"Comment\0\7" + packed(9))], "malformed"),
        ("iCCP", [chunk(b"iCCP", b"name\0\0no zlib")], "damaged"),
        ("tEXt", [chunk(b"tEXt", b"Comment\0" + b"x" * (7 << 20))] * 5, "more than 32 MB of text"),
        ("eXIf", [chunk(b"eXIf", b"x" * (9 << 20))], "larger than 8 MB"),
        ("fdAT", [chunk(b"acTL", b"\0\0\0\1\0\0\0\0"), damaged(b"fdAT", b"\0\0\0\0xxxx")], "wrong checksum"),
    ],
)  # fmt: skip
def test_what_is_beside_the_pixels_does_not_cost_them(tmp_path: Path, name: str, extra: list, reason: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(with_chunks(PLAIN, *extra))
    assert np.array_equal(read_rgb(path), PIXELS)
    assert image_size(path) == (12, 12)
    scan = read_scan(path, colour=True, scale=1.0)
    assert np.array_equal(scan.pixels, PIXELS)
    assert scan.alpha is None
    assert f"{name} left out: {reason}" in scan.notes


def control(number: int) -> bytes:
    """An fcTL chunk for the whole image."""
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 12, 12, 0, 0, 1, 10, 0, 0))


def frames(count: int) -> bytes:
    return chunk(b"acTL", struct.pack(">II", count, 0))


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ([frames(0), control(0)], [control(1), (2, b"fdAT")]),
        ([frames(2)], [(0, b"fdAT")]),
        ([frames(2), control(1)], [control(2), (3, b"fdAT")]),
        ([frames(2), control(0)], [control(1), (3, b"fdAT")]),
    ],
    ids=["none", "no control", "a start at 1", "a gap"],
)
def test_a_broken_animation_costs_its_frames_alone(tmp_path: Path, before: list, behind: list) -> None:
    """Pillow refuses the first two; the frames behind the first one are not read anyway."""
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in PIXELS))
    more = [x if isinstance(x, bytes) else chunk(x[1], struct.pack(">I", x[0]) + data) for x in behind]
    content = with_chunks(PLAIN, *before)
    (tmp_path / "a.png").write_bytes(content[:-12] + b"".join(more) + content[-12:])
    scan = read_scan(tmp_path / "a.png", colour=True, scale=1.0)
    assert np.array_equal(scan.pixels, PIXELS)
    assert scan.notes == ["animation left out: its frames are out of order or missing"]


def test_a_sound_animation_is_one(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(255 - PIXELS)] * 2)
    scan = read_scan(tmp_path / "a.png", colour=True, scale=1.0)
    assert np.array_equal(scan.pixels, PIXELS)
    assert scan.notes == ["the first of 3 frames"]


def test_it_may_also_stand_behind_the_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PLAIN[:-12] + damaged(b"tEXt", b"Comment\0nothing") + PLAIN[-12:])
    scan = read_scan(tmp_path / "a.png", colour=True, scale=1.0)
    assert np.array_equal(scan.pixels, PIXELS)
    assert scan.notes == ["tEXt left out: wrong checksum"]


def test_a_long_profile_is_handed_over_all_the_same() -> None:
    content = bytes(range(256)) * (1 << 13)  # 2 MB
    found = screen(io.BytesIO(with_chunks(PLAIN, chunk(b"iCCP", b"name\0\0" + zlib.compress(content)))))
    assert found.icc == content
    assert found.notes == []
    with Image.open(found.source) as image:
        assert np.array_equal(np.asarray(image), PIXELS)


def test_sound_files_are_decoded_as_they_are() -> None:
    file = io.BytesIO(with_chunks(PLAIN, chunk(b"tEXt", b"Title\0Harbour"), chunk(b"cICP", b"\1\x0d\0\1")))
    found = screen(file)
    assert found.source is file
    assert file.tell() == 0
    assert found.colour == {b"cICP": b"\1\x0d\0\1"}


def test_a_bomb_is_never_unpacked() -> None:
    content = with_chunks(PLAIN, chunk(b"zTXt", b"Comment\0\0" + packed(60 << 20)))
    assert len(content) < 1 << 17
    tracemalloc.start()
    screen(io.BytesIO(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * MAX_PROFILE


@pytest.mark.parametrize("cut", [20, 60, len(PLAIN) - 4])
def test_cut_files_are_not_whole(cut: int) -> None:
    with pytest.raises(ValueError, match="truncated"):
        check(io.BytesIO(PLAIN[:cut]))
    screen(io.BytesIO(PLAIN[:cut]))


def test_damaged_pixels_are_refused(tmp_path: Path) -> None:
    palette = damaged(b"PLTE", bytes(6))
    for name, content in [("a.png", with_chunks(PLAIN, palette)), ("b.png", with_chunks(PLAIN, chunk(b"0000", b"")))]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="damaged or cut off"):
            read_rgb(tmp_path / name)
