"""The other rows of SCSNet's Table 5: without the pyramid and the valves, without CPM, without a reference."""

import pytest
import torch

from edge_scs.models import registry
from edge_scs.models.scsnet_attention import BCAttn


def test_table_5s_other_rows():
    """BCAttn is one scale without valves; without CPM there is x4 alone; neither changes the rest of the network."""
    small = {"channels": 4, "blocks": 1}
    whole = registry.create("scsnet", small)
    gray, reference = torch.rand(2, 1, 8, 12), torch.rand(2, 3, 8, 8)
    for options in ({"attention": "bcattn"}, {"head": "shuffle"}, {"attention": "bcattn", "head": "shuffle"}):
        model = registry.create("scsnet", small | options).eval()
        with torch.no_grad():
            guided, alone = model(gray, (32, 48), reference), model(gray, (32, 48))
        assert guided.shape == (2, 3, 32, 48)
        assert not torch.equal(guided, alone)
        shared = {name.split(".")[0] for name, _ in model.named_parameters()} - {"pvcattn", "cpm"}
        for name in shared:
            theirs = {key: value.shape for key, value in getattr(whole, name).state_dict().items()}
            assert {key: value.shape for key, value in getattr(model, name).state_dict().items()} == theirs
    about = registry.describe("scsnet", model)
    assert (about.scales, about.continuous, about.magnifications) == ((4,), None, "x4")
    with pytest.raises(ValueError, match="by 4, not to 24x16"):
        model(gray, (16, 24))
    with pytest.raises(ValueError, match="only pyramid valve cross-attention"):
        model.attention(gray, reference)
    for wrong in ({"attention": "valves"}, {"head": "meta"}):
        with pytest.raises(ValueError, match="must be"):
            registry.create("scsnet", wrong)


def test_table_5s_sizes() -> None:
    """Not printed in the paper; docs/papers/scsnet.md has them."""
    rows = (
        ({"reference": False, "head": "shuffle"}, 8_912_177),
        ({"attention": "bcattn", "head": "shuffle"}, 10_410_609),
        ({"head": "shuffle"}, 14_315_703),
        ({"reference": False}, 9_000_196),
        ({}, 14_403_722),
    )
    with torch.device("meta"):
        for options, size in rows:
            assert sum(p.numel() for p in registry.create("scsnet", options).parameters()) == size, options


def test_basic_cross_attention_literally(lively):
    attention = lively(BCAttn(4), noise=0.5)
    source, reference = torch.randn(1, 4, 3, 2), torch.randn(1, 4, 2, 5)
    query, key, value = attention.query(source), attention.key(reference), attention.value(reference)
    for i in range(3):
        for j in range(2):
            scores = torch.stack([query[0, :, i, j] @ key[0, :, u, v] for u in range(2) for v in range(5)]).softmax(0)
            found = sum(s * x for s, x in zip(scores, value[0].flatten(1).T, strict=True))
            torch.testing.assert_close(attention(source, reference)[0, :, i, j], source[0, :, i, j] + found)
