"""The registry: names, descriptions, configs."""

import inspect

import pytest
import torch

from edge_scs.models import registry


@pytest.mark.parametrize("name", registry.names())
def test_every_network_builds_describes_itself_and_keeps_the_contract(name: str) -> None:
    with torch.device("meta"):
        model = registry.create(name)
    about = registry.describe(name, model)
    assert about.name == name
    assert about.input in ("grey", "rgb")
    assert about.halo > 0
    assert about.scales or about.continuous
    forward = list(inspect.signature(model.forward).parameters)
    assert (
        forward[1:]
        == {
            "rgb": ["size"],
            "grey": ["size", "reference", "hints"] if name.startswith("edge_scs") else ["size", "reference"],
        }[about.input]
    )
    with torch.no_grad():
        scale = about.scales[-1] if about.scales else 2
        lr = torch.empty(2, 1 if about.input == "grey" else 3, 12, 10, device="meta")
        assert model(lr, (12 * scale, 10 * scale)).shape == (2, 3, 12 * scale, 10 * scale)


def test_config_overrides_fields_and_reaches_the_description() -> None:
    model = registry.create("edge_scs_s", {"reference": False, "channels": 8})
    assert model.config.channels == 8
    assert model.config.blocks == registry.create("edge_scs_s").config.blocks
    assert not registry.describe("edge_scs_s", model).reference


def test_unknown_names_and_fields_are_errors() -> None:
    with pytest.raises(KeyError):
        registry.create("edge_scs_xl")
    with pytest.raises(TypeError):
        registry.create("edge_scs_s", {"chanels": 8})
