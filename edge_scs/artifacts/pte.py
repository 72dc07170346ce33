"""Running a .pte on this machine's CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_scs.artifacts.optional_imports import quiet, require
from edge_scs.errors import InputError


class PteProgram:
    """A loaded .pte: ``run`` executes a method, ``forward`` if no other is named.

    The file is read into memory rather than mapped: ExecuTorch maps by path, and a path that is loaded, rewritten and
    loaded again in one process crashes it.
    """

    def __init__(self, path: Path, threads: int | None = None):
        """Raises InputError: no such file, not a program, executorch missing. ``threads`` sets the process's pool."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); name a .pte artifact") from error
        self.path = path
        runtime, bindings = require("executorch.runtime", "executorch.extension.pybindings.portable_lib")
        try:
            with quiet():
                if threads is not None:
                    bindings._unsafe_reset_threadpool(threads)
                self._program = runtime.Runtime.get().load_program(content)
                self.methods = frozenset(self._program.method_names)
                self._loaded = {"forward": self._load("forward")} if "forward" in self.methods else {}
                if threads is not None:  # loading may build the pool anew
                    bindings._unsafe_reset_threadpool(threads)
        except (RuntimeError, KeyError) as error:
            raise InputError(f"{path}: not a program this ExecuTorch can load; export it again ({error})") from error
        first = self._loaded.get("forward")
        self.inputs = first.inputs if first else []
        self.outputs = first.outputs if first else []

    def _load(self, name: str) -> "_PteMethod":
        method = self._program.load_method(name)
        meta = method.metadata
        return _PteMethod(
            method,
            [tuple(meta.input_tensor_meta(i).sizes()) for i in range(meta.num_inputs())],
            [tuple(meta.output_tensor_meta(i).sizes()) for i in range(meta.num_outputs())],
        )

    def run(self, inputs: Sequence[Tensor], method: str = "forward") -> list[Tensor]:
        """Float tensors of the method's input shapes -> its outputs.

        A method whose sizes are chosen at run time takes any up to the shapes that it was lowered for. Raises
        InputError on any other shape and for a method that the program does not have.
        """
        if method not in self._loaded:
            if method not in self.methods:
                raise InputError(f"{self.path}: has no method {method}, only {', '.join(sorted(self.methods))}")
            with quiet():
                self._loaded[method] = self._load(method)
        loaded = self._loaded[method]
        given = [tuple(x.shape) for x in inputs]
        misfit = InputError(
            f"{self.path}: takes inputs of shape {loaded.inputs}, not {given}; resize, or export that size"
        )
        if given != loaded.inputs and not loaded.fits(given):
            raise misfit
        try:
            outputs = loaded.method.execute([plain(x) for x in inputs])
        except RuntimeError as error:
            if given != loaded.inputs:  # smaller ones: only the runtime knows which axes may vary
                raise misfit from error
            raise InputError(f"{self.path}: ExecuTorch could not run it ({error}); export it again") from error
        return [x.clone() for x in outputs]


@dataclass(frozen=True)
class _PteMethod:
    method: Any
    inputs: list[tuple[int, ...]]
    outputs: list[tuple[int, ...]]

    def fits(self, given: list[tuple[int, ...]]) -> bool:
        """Whether no axis is longer than the program's memory plan allows."""
        return [len(shape) for shape in given] == [len(shape) for shape in self.inputs] and all(
            0 < size <= limit
            for shape, limits in zip(given, self.inputs, strict=True)
            for size, limit in zip(shape, limits, strict=True)
        )


def plain(x: Tensor) -> Tensor:
    """A float32 copy with the strides of a new tensor.

    Lowering bakes the example's dim order into the program and nothing checks it again; it is read from the strides.
    ``contiguous`` is not enough: one channel leaves them ambiguous, so a transposed grey image counts as contiguous
    and would still be taken for channels-last.
    """
    return torch.empty(x.shape).copy_(x.detach())


def run_pte(path: Path, inputs: Sequence[Tensor], threads: int | None = None) -> list[Tensor]:
    """Load and run once; see ``PteProgram`` to run the same program again."""
    return PteProgram(path, threads).run(inputs)
