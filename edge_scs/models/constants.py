"""Numbers that a network needs on its device, made there.

``torch.tensor`` and ``new_tensor`` copy from the host: a CUDA graph cannot capture that, and eager code waits for it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def constant(values: float | Sequence[Any], like: Tensor) -> Tensor:
    """Numbers, nested as ``torch.tensor`` takes them, in the type and on the device of ``like``."""
    if isinstance(values, int | float):
        return like.new_full((), values)
    return torch.stack([constant(value, like) for value in values])
