"""Networks leave the CPU whole: tried on the meta device, which like a GPU takes no tensor from elsewhere."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edge_scs.lowering.deploy import absorb, deploy
from edge_scs.models import heads, registry


class NoFloat64(TorchDispatchMode):
    """Refuses float64 on the meta device, which then is like Apple's GPUs."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            assert not (isinstance(leaf, Tensor) and leaf.device.type == "meta" and leaf.dtype == torch.float64), func
        return out


@pytest.mark.parametrize(
    ("name", "config", "size"),
    [
        ("edge_scs_s", {}, (48, 64)),
        ("edge_scs_s", {}, (33, 44)),
        ("scsnet", {"channels": 4, "blocks": 1}, (132, 176)),  # so many pixels that it maps them in bands
    ],
)
def test_no_float64_where_there_is_none(
    name: str, config: dict[str, Any], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "NO_FLOAT64", ("mps", "meta"))
    model = registry.create(name, config).eval().to("meta")
    channels = 1 if registry.describe(name, model).input == "grey" else 3
    with NoFloat64(), torch.no_grad():
        out = model(torch.empty(1, channels, 12, 16, device="meta"), size)
    assert (out.device.type, out.shape) == ("meta", (1, 3, *size))


def test_tiles_of_the_continuous_head_neither() -> None:
    model = registry.create("edge_scs_s").eval().to("meta")
    features, base = torch.empty(1, 16, 8, 9, device="meta"), torch.empty(1, 3, 8, 9, device="meta")
    rows = torch.linspace(0, 7, 5, dtype=torch.float64)
    with NoFloat64(), torch.no_grad():
        out = model.continuous.at(features, base, rows, rows, (2.5, 2.5))
    assert (out.device.type, out.shape) == ("meta", (1, 3, 5, 5))


@pytest.mark.parametrize("size", [(48, 64), (33, 44)])
def test_deployed_networks_stay_where_the_network_is(size: tuple[int, int]) -> None:
    model = registry.create("edge_scs_s").to("meta")
    deployed = deploy(model, (12, 16), size, reference=True)
    assert {value.device.type for value in deployed.state_dict().values()} == {"meta"}
    with torch.no_grad():
        out = deployed(torch.empty(1, 1, 12, 16, device="meta"), torch.empty(1, 3, 12, 16, device="meta"))
    assert out.device.type == "meta"


def test_and_go_back_there() -> None:
    model = registry.create("edge_scs_s").to("meta")
    absorb(model, deploy(model, (12, 16), (48, 64)))
