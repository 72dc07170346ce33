"""Converters of the optional extras: whether they are installed, and their refusals in one line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from edge_scs.artifacts.optional_imports import quiet
from edge_scs.lowering.methods import Method, UnsupportedError


@contextmanager
def converting(method: Method, converter: str, extra: str, needs: Sequence[str]) -> Iterator[None]:
    """Around a call of ``converter``, which the ``extra`` installs with the packages that it ``needs``; silent.

    Raises UnsupportedError when one of them is not installed, or for whatever the converter raises.
    """
    for package in needs:
        if find_spec(package) is None:
            raise UnsupportedError(f"{package}: is not installed; run: pip install 'edge-scs[{extra}]'")
    try:
        with quiet():
            yield
    except Exception as error:  # converters' exceptions have no common type but Exception
        why = "".join(str(error).strip().splitlines()[:1])
        raise UnsupportedError(f"{type(method.module).__name__}: {converter} cannot convert it ({why})") from error
