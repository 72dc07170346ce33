"""How an artifact becomes callable: by its target and backend, and with the verdict that its parity check deserves."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from edge_scs.artifacts import runnable as opening
from edge_scs.artifacts.manifest import Port
from edge_scs.artifacts.runnable import Run, open_artifact
from edge_scs.errors import InputError


def manifest(**more: Any) -> Any:
    given = {
        "target": "executorch", "backend": "xnnpack", "continuous": None, "precision": "fp32", "methods": [],
        "inputs": [Port("gray", [1, 1, 2, 2], "float32")],
    }  # fmt: skip
    return SimpleNamespace(**(given | more))


def test_rounding_can_be_switched_off_where_there_is_any() -> None:
    calls = []

    def call(inputs: Any, exact: bool) -> Tensor:
        calls.append(exact)
        return torch.zeros(1)

    assert Run(call, rounds=False).exact is None
    run = Run(call, rounds=True)
    run({})
    assert run.exact is not None
    run.exact({})
    assert calls == [False, True]


@pytest.mark.parametrize("more", [{"target": "tflite"}, {"backend": "qnn"}])
def test_unknown_targets_are_refused(more: dict) -> None:
    with pytest.raises(InputError, match=r"a: its manifest names the target .*; known: executorch, coreml"):
        open_artifact(Path("a"), manifest(**more))


def test_manifests_of_before_have_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_xnnpack", lambda artifact, manifest: "xnnpack")
    monkeypatch.setattr(opening, "_vulkan", lambda artifact, manifest: "vulkan")
    assert open_artifact(Path("a"), manifest(backend="")) == "xnnpack"
    assert open_artifact(Path("a"), manifest(backend="vulkan")) == "vulkan"


class Program:
    """Stands in for a program of either runtime; doubles its first input."""

    methods = frozenset({"forward"})

    def __init__(self, *given: Any):
        self.given = given

    def run(self, inputs: Any, *more: Any, **named: Any) -> Any:
        first = inputs[0] if isinstance(inputs, list) else next(iter(inputs.values()))
        last.update(first=first, more=more, named=named)
        return [2 * first] if isinstance(inputs, list) else {"rgb": 2 * first}


last: dict[str, Any] = {}


def test_xnnpack_is_executed_and_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edge_scs.artifacts.pte", SimpleNamespace(PteProgram=Program))
    opened = open_artifact(Path("a"), manifest())
    assert (opened.verdict, opened.continuous) == ("pass", None)
    assert float(opened.of("x3")({"gray": torch.ones(1)})) == 2
    assert last["more"] == ("x3",)
    assert opened.of("x3").exact is None


@pytest.mark.parametrize(("dtype", "levels"), [("float32", 1.0), ("image", 255.0)])
@pytest.mark.parametrize(("precision", "rounds"), [("fp16", True), ("fp32", False)])
def test_coreml_is_evaluated(
    monkeypatch: pytest.MonkeyPatch, dtype: str, levels: float, precision: str, rounds: bool
) -> None:
    monkeypatch.setitem(sys.modules, "edge_scs.artifacts.mil", SimpleNamespace(MilProgram=Program))
    port = Port("gray", [1, 1, 2, 2], dtype)
    opened = open_artifact(Path("a"), manifest(target="coreml", inputs=[port], precision=precision))
    assert opened.verdict == "pass"
    assert "not run by Core ML" in opened.execution
    run = opened.of("forward")
    assert float(run({"gray": torch.ones(1)})) == 2, "in [0, 1] on either side"
    assert float(last["first"]) == levels
    assert last["named"] == {"exact": False}
    assert (run.exact is not None) == rounds


def test_vulkan_is_not_said_to_have_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Vulkan(Program):
        def run(self, inputs: Any, half: bool = False) -> Any:
            last["half"] = half
            return inputs[0]

    monkeypatch.setitem(sys.modules, "edge_scs.artifacts.vulkan", SimpleNamespace(VulkanProgram=Vulkan))
    opened = open_artifact(Path("a"), manifest(backend="vulkan", precision="fp16"))
    assert opened.verdict == "not run here"
    run = opened.of("forward")
    run({"gray": torch.ones(1)})
    assert last["half"] is True
    assert run.exact is not None
    run.exact({"gray": torch.ones(1)})
    assert last["half"] is False
