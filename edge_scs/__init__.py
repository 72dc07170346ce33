"""Edge-SCS: a small grey photograph in, a large colour one out, in one network that fits a phone.

>>> import edge_scs
>>> model = edge_scs.load("edge_scs_m")
>>> model
Model('edge_scs_m', float32)
>>> from PIL import Image
>>> large = model.enhance(Image.new("L", (32, 24), 128), scale=2.5)
>>> large.size, large.mode
((80, 60), 'RGB')

Importing this costs nothing: torch is imported with the first thing that is used.
"""

from typing import TYPE_CHECKING, Any

from edge_scs.errors import InputError

if TYPE_CHECKING:
    from edge_scs.api import Model, enhance, export, load, verify

__version__ = "0.2.0"
__all__ = ["InputError", "Model", "enhance", "export", "load", "verify"]


def __getattr__(name: str) -> Any:
    """PEP 562: the public names are imported when they are first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edge_scs import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
