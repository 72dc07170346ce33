"""A GPU that is not there: tensors on it have shapes, types, gradients and a device, and no values.

``FakeTensorMode`` follows every operator, forward and backward, and raises where tensors of two devices meet, as CUDA
would. The device is PyTorch's PrivateUse1, registered from Python, so that a CPU build needs no compiler. What a
program reads from the device comes out as ones (a number) or zeros (an array).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.fake_tensor import unset_fake_temporarily as real
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

__all__ = ["DEVICE", "fake_gpu", "real", "register"]  # ``with real():`` computes as if there were no fake device

NAME, DEVICE = "fakegpu", "fakegpu:0"
_on = [False]  # whether there is such a device now
_kept: list[Any] = []  # a library's kernels live as long as it does


def register() -> None:
    """Once a process, before its first backward pass, when autograd counts devices (tests/conftest.py).

    Outside ``fake_gpu`` the device says that it is not available.
    """
    if torch._C._get_privateuse1_backend_name() == NAME:
        return
    library = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    library.fallback(torch.library.fallthrough_kernel)  # autocast is entered, and casts nothing
    _kept.append(library)
    module = SimpleNamespace(
        is_available=lambda: _on[0], is_initialized=lambda: True, current_device=lambda: 0, device_count=lambda: 1,
        _is_in_bad_fork=lambda: False, manual_seed_all=lambda seed: None, manual_seed=lambda seed: None,
        get_amp_supported_dtype=lambda: [torch.bfloat16], synchronize=lambda *device: None, empty_cache=lambda: None,
        set_device=lambda device: None, get_rng_state=lambda device=0: torch.zeros(1, dtype=torch.uint8),
        set_rng_state=lambda state, device=0: None,  # ``torch.random.fork_rng`` asks whether the device is on or not
    )  # fmt: skip
    _setup_privateuseone_for_python_backend(NAME, backend_module=module)


@cache
def _is_view(func: Any) -> bool:
    """Whether an operation only looks at its input otherwise, or asks about it."""
    aliases = [value.alias_info for value in func._schema.returns]
    return func.namespace == "prim" or any(alias is not None and not alias.is_write for alias in aliases)


class _Mode(FakeTensorMode):
    """``reads`` counts what the program waits for: numbers and tensors that it takes from the device.

    ``sent`` counts what it copies to the device, ``launched`` the operations there that are no views, and
    ``traffic``, where ``weigh`` is set, the bytes that these read and write. ``moved`` has what became of parameters
    that moved, by the id of what they were.
    """

    avoid_device_init = True

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.reads, self.sent, self.launched, self.traffic, self.weigh = 0, 0, 0, 0, False
        self.moved = dict[int, nn.Parameter]()

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        on_device = bool(args) and isinstance(args[0], Tensor) and args[0].device.type == NAME
        if func is torch.ops.aten._local_scalar_dense.default:
            self.reads += on_device
            constant = getattr(args[0], "constant", None)
            with real():
                return (torch.ones((), dtype=args[0].dtype) if constant is None else constant).item()
        if func is torch.ops.aten.nonzero.default and on_device:  # its size is read: as if nothing were zero
            self.reads += 1
            with self:
                return torch.zeros(args[0].numel(), args[0].dim(), dtype=torch.int64, device=args[0].device)
        if func is torch.ops.aten._to_copy.default:
            target = (kwargs or {}).get("device")
            self.reads += on_device and target is not None and torch.device(target).type == "cpu"
            self.sent += not on_device and target is not None and torch.device(target).type == NAME
        if "_foreach_" in str(func) or "_fused_" in str(func):  # lists that FakeTensorMode does not compare
            tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            if len({x.device for x in tensors if x.dim()}) > 1:
                raise RuntimeError(f"{func}: Expected all tensors to be on the same device, but found two devices")
        launched = not _is_view(func)
        self.launched += launched
        out = super().dispatch(func, types, args, kwargs or {})
        if self.weigh and launched:
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
            self.traffic += sum(x.numel() * x.element_size() for x in tensors if x.device.type == NAME)
        return out


def _mover(moved: dict[int, nn.Parameter]) -> Callable[..., nn.Module]:
    """``Module._apply`` where fake parameters cannot be swapped: one that moves is replaced, wherever it is used."""

    def move(module: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
        for part in module.modules():
            for key, value in part._parameters.items():
                if value is not None and id(value) not in moved:
                    with torch.no_grad():
                        new = fn(value)
                    moved[id(value)] = value if new.device == value.device else nn.Parameter(new, value.requires_grad)
                    kept.append(value)  # its id must not come back
                part._parameters[key] = None if value is None else moved[id(value)]
            for key, buffer in part._buffers.items():
                part._buffers[key] = None if buffer is None else fn(buffer)
        return module

    kept: list[nn.Parameter] = []
    return move


def _numpy(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(self, FakeTensor):
        return _real_numpy(self, *args, **kwargs)
    if self.device.type != "cpu":
        raise TypeError(f"can't convert {self.device} tensor to numpy; use Tensor.cpu() first")
    return np.zeros(tuple(self.shape), str(self.dtype).removeprefix("torch."))


_real_numpy = Tensor.numpy


@contextmanager
def fake_gpu() -> Iterator[_Mode]:
    """Within it, tensors on ``DEVICE`` are followed, and none is computed."""
    register()
    _on[0] = True
    try:
        with ExitStack() as stack:
            mode = _Mode(allow_non_fake_inputs=True)
            stack.enter_context(patch.object(nn.Module, "_apply", _mover(mode.moved)))
            stack.enter_context(patch.object(Tensor, "numpy", _numpy))
            yield stack.enter_context(mode)
    finally:
        _on[0] = False
