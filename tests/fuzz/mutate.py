"""Files with something wrong in them, the same ones for the same seed."""

import random

INTERESTING = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\1\0\0\0")
TOKENS = (
    b"{", b"}", b"[" * 3000, b"]", b'"', b"null", b"NaN", b"-1", b"1e999", b"99999999999999999999", b"true", b"[]",
    b"{}", b'""', b"0", b"\\ud800", b"\xff\xfe", b"=", b"[[a]]", b"'''", b"inf", b"../../etc/passwd",
)  # fmt: skip


def mutate(content: bytes, seed: int, text: bool = False) -> bytes:
    """One to eight edits: bytes changed, swapped, repeated, cut out or put in; now and then a file that just ends."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        if not data:
            break
        # Headers are short and decide most: half of all edits fall into the first 200 bytes.
        place = rng.randrange(min(len(data), 200 if rng.random() < 0.5 else len(data)))
        length = rng.choice((1, 1, 2, 4, 16, 64))
        match rng.randrange(8):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place : place + length] = rng.randbytes(length)
            case 2:
                piece = rng.choice(TOKENS if text else INTERESTING)
                data[place : place + len(piece)] = piece
            case 3:
                data[place:place] = rng.choice(TOKENS) if text else rng.randbytes(length)
            case 4:
                del data[place : place + length]
            case 5:
                data[place:place] = data[place : place + length] * rng.choice((1, 2, 50))
            case 6:
                other = rng.randrange(len(data))
                data[place], data[other] = data[other], data[place]
            case _:
                if rng.random() < 0.3:
                    del data[place:]
    return bytes(data)
