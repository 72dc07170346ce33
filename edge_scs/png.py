"""A PNG's chunks, looked at before a decoder sees them (ISO/IEC 15948, 5.3 and 11.3).

Pixels matter more than what a file says about them: an ancillary chunk that is damaged, malformed or would unpack to
more than a decoder accepts is left out, with a note, and the rest is decoded. Damage to the pixels themselves is an
error. Nothing here unpacks more than ``MAX_PROFILE`` bytes of a chunk, so that a few kilobytes cannot fill the memory.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PROFILE = 8 << 20  # of an ICC profile, unpacked; large tables of CMYK reach 3 MB
MAX_TEXT = 1 << 20  # of one text, unpacked: what Pillow accepts
MAX_TEXTS = 32 << 20  # of all texts together
_PIECE = 1 << 20
_COLOUR = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
# What these hold, in bytes, where the specification leaves no choice.
_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"pHYs": 9, b"acTL": 8, b"fcTL": 26}
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


class Chunk(NamedTuple):
    """``start``: of the length field; ``length``: of the data, which begins 8 bytes later and is followed by a CRC."""

    kind: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + 12 + self.length


@dataclass
class Screened:
    """``source`` is what to decode: the file itself, or a copy without what was left out, which ``notes`` name.

    ``icc``: a profile that is sound but longer than decoders accept. ``colour``: the chunks that say what the values
    mean (gAMA, cHRM, sRGB, cICP), as they are stored.
    """

    source: BinaryIO
    notes: list[str] = field(default_factory=list)
    icc: bytes | None = None
    colour: dict[bytes, bytes] = field(default_factory=dict)


def screen(file: BinaryIO) -> Screened:
    """Look at every ancillary chunk of a PNG. Never raises for a damaged file: decoding it, or ``check``, will."""
    found, dropped, texts = Screened(file), set[Chunk](), 0
    reasons: dict[str, str] = {}
    chunks = list(_chunks(file))
    for chunk in chunks:
        if not chunk.kind[0] & 0x20 or not chunk.kind.isalpha():
            continue  # critical, or no chunk at all
        try:
            content = _content(file, chunk)
            texts += len(content) if chunk.kind in _TEXTS else 0
            if texts > MAX_TEXTS:
                raise ValueError(f"more than {MAX_TEXTS >> 20} MB of text")
        except (ValueError, zlib.error) as error:
            dropped.add(chunk)
            reasons.setdefault(chunk.kind.decode(), str(error) if isinstance(error, ValueError) else "damaged")
            continue
        if chunk.kind in _COLOUR:
            found.colour.setdefault(chunk.kind, content)
        elif chunk.kind == b"iCCP" and len(content) > MAX_TEXT:
            found.icc = content  # not decoded there, yet not lost
            dropped.add(chunk)
    animation = [chunk for chunk in chunks if chunk.kind in _ANIMATION]
    if any(chunk in dropped for chunk in animation):  # frames are numbered: one that is missing spoils the others
        dropped |= set(animation)
    elif animation and not _is_animation(file, animation):
        dropped |= set(animation)
        reasons["animation"] = "its frames are out of order or missing"
    found.notes += [f"{kind} left out: {reason}" for kind, reason in reasons.items()]
    if dropped:
        found.source = _without(file, dropped)
    found.source.seek(0)
    return found


def _is_animation(file: BinaryIO, chunks: list[Chunk]) -> bool:
    """Whether these make an APNG whose first frame a decoder finds (PNG third edition, 11.3.6): a count that is not 0,
    a frame's control before its data, and both numbered from 0 on.
    """
    numbers, before = [], b""
    for chunk in chunks:
        file.seek(chunk.start + 8)
        number = int.from_bytes(file.read(min(4, chunk.length)))
        if chunk.kind == b"acTL":
            if number == 0:
                return False
            continue
        if chunk.kind == b"fdAT" and not before:
            return False
        numbers.append(number)
        before = chunk.kind
    return numbers == list(range(len(numbers)))


def check(file: BinaryIO) -> None:
    """Raise ValueError unless every chunk is whole, up to IEND, and every critical one has its checksum.

    Decoding alone does not notice all damage. Ancillary chunks are ``screen``'s business.
    """
    last = b""
    for chunk in _chunks(file):
        last = chunk.kind
        if not chunk.kind.isalpha():
            raise ValueError("broken PNG: no chunk where one should begin")
        if not chunk.kind[0] & 0x20 and not _sound(file, chunk):
            raise ValueError(f"broken PNG: {chunk.kind.decode()} has a wrong checksum")
    file.seek(0)
    if last != b"IEND":
        raise ValueError("truncated PNG")


def _chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Chunks whose data and checksum are there, up to and with IEND; the file may be read between them."""
    end = file.seek(0, 2)
    start = len(SIGNATURE)
    while start + 12 <= end:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        chunk = Chunk(kind, start, length)
        if chunk.end > end:
            return
        yield chunk
        if kind == b"IEND":
            return
        start = chunk.end


def _sound(file: BinaryIO, chunk: Chunk) -> bool:
    """Whether a chunk's checksum is right, read a piece at a time."""
    file.seek(chunk.start + 4)
    left, crc = chunk.length + 4, 0
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            return False
        left, crc = left - len(piece), zlib.crc32(piece, crc)
    return file.read(4) == struct.pack(">I", crc)


def _content(file: BinaryIO, chunk: Chunk) -> bytes:
    """What an ancillary chunk says: its text or profile unpacked, or its data; of others nothing is read.

    Raises ValueError or zlib.error for one that cannot be used.
    """
    if not _sound(file, chunk):
        raise ValueError("wrong checksum")
    if chunk.length != _LENGTHS.get(chunk.kind, chunk.length):
        raise ValueError("malformed")
    if chunk.kind not in (b"iCCP", b"eXIf", *_TEXTS, *_COLOUR):
        return b""
    if chunk.length > MAX_PROFILE:
        raise ValueError(f"larger than {MAX_PROFILE >> 20} MB")
    file.seek(chunk.start + 8)
    data = file.read(chunk.length)
    if chunk.kind in (b"eXIf", b"tEXt", *_COLOUR):
        return data
    name, _, rest = data.partition(b"\0")
    packed = True
    if chunk.kind == b"iTXt":  # two flags, then language and translated name, each ended by a zero
        packed, rest = rest[:1] != b"\0", rest[1:]
        rest = rest[:1] + rest[1:].split(b"\0", 2)[-1] if rest.count(b"\0", 1) >= 2 else b""
    if not name or not rest or (packed and rest[0] != 0):
        raise ValueError("malformed")
    return _unpacked(rest[1:], MAX_PROFILE if chunk.kind == b"iCCP" else MAX_TEXT) if packed else rest[1:]


def _unpacked(data: bytes, most: int) -> bytes:
    """A zlib stream, unpacked. Raises ValueError where that is more than ``most`` bytes, zlib.error where damaged."""
    content = zlib.decompressobj().decompress(data, most + 1)
    if len(content) > most:
        raise ValueError(f"unpacks to more than {most >> 20} MB")
    return content


def _without(file: BinaryIO, dropped: set[Chunk]) -> BinaryIO:
    """A copy of the file that lacks these chunks; it lies in memory, or on the disk where it is large."""
    copy: BinaryIO = SpooledTemporaryFile(max_size=64 << 20)  # type: ignore[assignment] # noqa: SIM115 -- lives as long as the image
    at, end = 0, file.seek(0, 2)
    for start, stop in [*sorted((chunk.start, chunk.end) for chunk in dropped), (end, end)]:
        file.seek(at)
        while file.tell() < start:
            copy.write(file.read(min(_PIECE, start - file.tell())))
        at = stop
    return copy
