"""Running a Core ML package without Core ML: its graph and weights, read from the file, evaluated with PyTorch.

Core ML itself runs on Apple's systems only. What can be verified anywhere is that the saved file, graph and weights,
computes the right numbers at the precision it declares: every operation is evaluated in float32 and rounded to float16
where the graph says float16. It does not show how a Neural Engine adds up.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_scs.artifacts.mil_ops import OPERATIONS
from edge_scs.artifacts.optional_imports import quiet, require
from edge_scs.errors import InputError


class MilProgram:
    """A function of an ML program. ``inputs`` and ``outputs`` map names to shapes, in order."""

    def __init__(self, path: Path, function: str | None = None):
        """``function``: None for the only one. Raises InputError: no such package or function, coremltools missing."""
        if not path.is_dir():
            raise InputError(f"{path}: no such .mlpackage folder; name one made by export")
        ct, loader, types = require(
            "coremltools",
            "coremltools.converters.mil.frontend.milproto.load",
            "coremltools.converters.mil.mil.types",
        )
        self.path = path
        self._type_name = types.builtin_to_string
        try:
            with quiet():
                package = ct.models.MLModel(str(path), skip_model_load=True)
                spec = package.get_spec()
                program = loader.load(spec, spec.specificationVersion, package.weights_dir)
        except Exception as error:
            reason = str(error).strip().splitlines()[:1]
            raise InputError(f"{path}: not a readable ML program ({''.join(reason)}); export it again") from error
        functions = program.functions
        if function is None:
            function = next(iter(functions)) if len(functions) == 1 else "main"
        if function not in functions:
            raise InputError(f"{path}: has no function {function}, only {', '.join(functions)}")
        self._main = functions[function]
        self.spec = spec
        self.inputs = {name: tuple(var.shape) for name, var in self._main.inputs.items()}
        self.outputs = {var.name: tuple(var.shape) for var in self._main.outputs}
        self.operations = [op.op_type for op in self._main.operations if op.op_type != "const"]

    def run(self, inputs: Mapping[str, Tensor], exact: bool | Collection[str] = False) -> dict[str, Tensor]:
        """Named inputs of the declared shapes -> named outputs, as float32 holding what the declared precision can.

        ``exact``: True rounds nothing to float16; a set of operation types evaluates those in float32, as if the graph
        kept them there, with a cast on the way to every other one.

        Raises InputError for missing or misshapen inputs and for an operation that this evaluator does not know.
        """
        given = {name: tuple(x.shape) for name, x in inputs.items()}
        if given != self.inputs:
            raise InputError(f"{self.path}: takes inputs {self.inputs}, not {given}; resize, or export that size")
        self._exact = exact
        values: dict[Any, Any] = {
            var: self._round(inputs[name], var, exact is True) for name, var in self._main.inputs.items()
        }
        pending = self._uses()
        with torch.no_grad():
            for op in self._main.operations:
                if op.op_type != "const":
                    self._evaluate(op, values)
                for var in _variables(op):  # drop what nothing will read again: HR tensors are large
                    pending[var] -= 1
                    if pending[var] == 0:
                        values.pop(var, None)
        return {var.name: self._round(values[var], var, exact is True).float() for var in self._main.outputs}

    def _evaluate(self, op: Any, values: dict[Any, Any]) -> None:
        arguments = {name: _value(given, values) for name, given in op.inputs.items() if given is not None}
        keeps_float32 = self._exact is True or (self._exact is not False and op.op_type in self._exact)
        if self._exact not in (True, False) and not keeps_float32:
            arguments = {name: _half(value) for name, value in arguments.items()}
        if op.op_type.startswith("constexpr_"):
            results = torch.from_numpy(np.asarray(op.materialized_val_inference()))
        elif op.op_type in OPERATIONS:
            arguments["shape_of_result"] = tuple(op.outputs[0].shape)
            results = OPERATIONS[op.op_type](arguments)
        else:
            raise InputError(
                f"{self.path}: its operation {op.op_type!r} ({op.name}) is unknown to the evaluator; "
                "add it to edge_scs/artifacts/mil_ops.py, or check the package on a Mac"
            )
        listed = results if isinstance(results, list | tuple) else [results]
        for var, result in zip(op.outputs, listed, strict=True):
            if tuple(result.shape) != tuple(var.shape):
                raise InputError(f"{self.path}: {op.name} declares {tuple(var.shape)} and gives {tuple(result.shape)}")
            values[var] = self._round(result, var, keeps_float32)

    def _round(self, x: Tensor, var: Any, exact: bool = False) -> Tensor:
        """To the declared type; float16 stays in a float32 tensor, which CPUs compute with."""
        declared = self._type_name(var.dtype)
        if declared == "fp16" and not exact:
            return x.to(torch.float16).float()
        if declared in ("fp16", "fp32"):
            return x.float()
        return x.to({"int8": torch.int8, "uint8": torch.uint8, "bool": torch.bool}.get(declared, torch.int32))

    def _uses(self) -> dict[Any, int]:
        uses: dict[Any, int] = {}
        for op in self._main.operations:
            for var in _variables(op):
                uses[var] = uses.get(var, 0) + 1
        for var in self._main.outputs:
            uses[var] = uses.get(var, 0) + 1
        return uses


def _half(value: Any) -> Any:
    if isinstance(value, list):
        return [_half(item) for item in value]
    return value.to(torch.float16).float() if isinstance(value, Tensor) and value.is_floating_point() else value


def _variables(op: Any) -> list[Any]:
    found = []
    for given in op.inputs.values():
        found += list(given) if isinstance(given, list | tuple) else [given]
    return [var for var in found if var is not None]


def _value(given: Any, values: dict[Any, Any]) -> Any:
    """A MIL variable (or a list of them) -> a tensor, or a Python value for strings, booleans and other scalars."""
    if isinstance(given, list | tuple):
        return [_value(item, values) for item in given]
    if given in values:
        return values[given]
    value = given.val
    if isinstance(value, np.ndarray):
        if value.dtype == np.float16:
            value = value.astype(np.float32)
        return torch.from_numpy(np.array(value)) if value.dtype.kind in "fiub" else value.tolist()
    return value.item() if isinstance(value, np.generic) else value
