"""The one exception that means "your input, and here is the fix", and how its message names what was meant."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that names the file or key and says what to do about it. The command line prints it on
    stderr and exits with code 2; library callers catch it like any other exception.
    """


def did_you_mean(given: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """The end of an error message: "did you mean NEAREST?", or ``otherwise`` (default: all of ``known``)."""
    known = list(known)
    near = difflib.get_close_matches(given, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(known)}" if otherwise is None else otherwise
