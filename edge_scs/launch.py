"""What a launcher (torchrun, accelerate launch) says in the environment about this process and its fellows."""

import os

from edge_scs.errors import InputError

_FIX = "start by torchrun or accelerate launch, or unset it"


def number(name: str, default: int) -> int:
    """A variable of the environment as a number; ``default`` where it is unset or empty. Raises InputError."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal():
        raise InputError(f"{name}: {text!r} in the environment is no number; {_FIX}")
    return int(text)


def processes() -> int:
    """How many processes were started together: WORLD_SIZE, 1 without a launcher."""
    return max(1, number("WORLD_SIZE", 1))


def rank() -> int:
    """Which of them this is: RANK, 0 without a launcher."""
    return number("RANK", 0) if processes() > 1 else 0


def check() -> None:
    """Raise InputError where several processes were announced without what they need to find each other."""
    count = processes()
    if count == 1:
        return
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name, "").strip():
            raise InputError(f"WORLD_SIZE: is {count} in the environment, but {name} is not set; {_FIX}")
    if rank() >= count:
        raise InputError(f"RANK: is {rank()} in the environment, but WORLD_SIZE is {count}; {_FIX}")
