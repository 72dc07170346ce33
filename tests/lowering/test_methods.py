"""What an artifact is asked for: names, shapes and limits, rows before columns."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from edge_scs.artifacts.presets import Preset
from edge_scs.errors import InputError
from edge_scs.lowering.methods import Method, UnsupportedError, check, example_inputs, fixed_methods, float_network
from edge_scs.models import registry
from edge_scs.weights.loading import Loaded, load


def preset(**more: object) -> Preset:
    given = {"name": "test", "target": "executorch", "backend": "xnnpack", "precision": "fp32", "min_psnr_db": 60.0}
    return Preset(**(given | {"lr": [12, 20]} | more))


@pytest.fixture(scope="module")
def grey() -> Loaded:
    return load("edge_scs_s", allow_untrained=True)


def named(name: str) -> Loaded:
    network = registry.create(name, {"channels": 8} if name == "pcarn" else {})
    return Loaded(name, network.eval(), registry.describe(name, network), "untrained")


def test_examples_are_seeded_and_rows_come_first(grey: Loaded) -> None:
    made = example_inputs(grey.description, preset())
    assert {name: tuple(x.shape) for name, x in made.items()} == {"gray": (1, 1, 12, 20)}
    assert torch.equal(made["gray"], example_inputs(grey.description, preset())["gray"])
    assert 0 <= made["gray"].min() < made["gray"].max() <= 1
    both = example_inputs(grey.description, preset(reference=True, reference_side=32))
    assert {name: tuple(x.shape) for name, x in both.items()} == {
        "gray": (1, 1, 12, 20), "reference": (1, 3, 32, 32),
    }  # fmt: skip
    rgb = named("pcarn")
    assert list(example_inputs(rgb.description, preset())) == ["rgb_lr"]
    assert example_inputs(rgb.description, preset())["rgb_lr"].shape == (1, 3, 12, 20)


def test_every_size_is_a_method_that_answers_it(grey: Loaded) -> None:
    wanted = preset(sizes=["x2_20x12", "x3_8x16"])
    methods = fixed_methods(grey, wanted)
    assert list(methods) == ["forward", "x3_8x16"]
    for name, small, large in (("forward", (12, 20), (24, 40)), ("x3_8x16", (16, 8), (48, 24))):
        method = methods[name]
        assert tuple(method.inputs["gray"].shape[2:]) == small
        with torch.no_grad():
            assert tuple(method.module(*method.inputs.values()).shape) == (1, 3, *large)
        assert method.dynamic_shapes is None
        assert method.limit("gray") == [1, 1, *small]


def test_what_varies_has_limits() -> None:
    method = Method(
        nn.Identity(),
        {"a": torch.zeros(1, 2, 8, 9), "b": torch.zeros(4, 8)},
        varying={"a": {2: "rows", 3: "columns"}, "b": {1: "rows"}},
        bounds={"rows": (2, 16), "columns": (3, 32)},
    )
    assert (method.limit("a"), method.limit("a", least=True)) == ([1, 2, 16, 32], [1, 2, 2, 3])
    assert (method.limit("b"), method.limit("b", least=True)) == ([4, 16], [4, 2])
    of_a, of_b = method.dynamic_shapes
    assert list(of_a) == [2, 3]
    assert list(of_b) == [1]
    assert of_a[2] is of_b[1], "one dimension under two names"
    assert (of_a[3].min, of_a[3].max) == (3, 32)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("pcarn", {"scale": 2.5}, "pcarn: cannot enlarge x2.5; it does x2, x3 or x4"),
        ("pcarn", {"reference": True}, "pcarn: takes no reference"),
        ("pcarn", {"continuous": True}, "needs a network of separate colour, texture and continuous parts"),
        ("edge_scs_s", {"precision": "int8"}, "int8 cannot be made of a float one"),
        ("edge_scs_s", {"scale": 12.0}, "cannot enlarge x12"),
    ],
)
def test_what_a_network_cannot_do_is_refused_before_any_work(name: str, more: dict, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        check(named(name), preset(**more))


def test_thresholds_that_prove_nothing_are_no_preset() -> None:
    with pytest.raises(InputError, match="min_psnr_db must be at least 25, not 0"):
        preset(min_psnr_db=0.0)


class Int8(nn.Module):
    """As much of a quantised network as exporting asks for."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def lowered(self, example: list[torch.Tensor], size: tuple[int, int]) -> nn.Module:
        return nn.Identity()


def test_what_is_counted_is_the_float_network(grey: Loaded) -> None:
    assert float_network(grey) is grey
    assert float_network(replace(grey, model=Int8(grey.model))).model is grey.model
    (method,) = fixed_methods(replace(grey, model=Int8(grey.model)), preset(precision="int8")).values()
    assert isinstance(method.module, nn.Identity)
