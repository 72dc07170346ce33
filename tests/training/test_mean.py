"""The mean of weights: shares count, and only one network's trainings have one."""

import pytest
import torch

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.training.mean import _parse, mean
from edge_scs.weights.loading import read_safetensors, save


@pytest.fixture
def two(tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        save(tmp_path / f"{seed}.safetensors", "edge_scs_s", registry.create("edge_scs_s"))
    return [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]


@pytest.mark.parametrize(("shares", "first"), [((1, 1), 0.5), ((3, 1), 0.75)])
def test_shares_count(tmp_path, two, shares, first):
    mean([*zip(two, shares, strict=True)], tmp_path / "mean.safetensors")
    (one, other, middle), _ = zip(*map(read_safetensors, [*two, tmp_path / "mean.safetensors"]), strict=True)
    assert middle.keys() == one.keys()
    for key in one:
        torch.testing.assert_close(middle[key], first * one[key] + (1 - first) * other[key], atol=1e-6, rtol=1e-6)
    assert not torch.equal(middle["texture.stem.weight"], one["texture.stem.weight"])


def test_what_has_no_mean(tmp_path, two):
    save(tmp_path / "m.safetensors", "edge_scs_m", registry.create("edge_scs_m"))
    with pytest.raises(InputError, match=r"m.safetensors: holds another network than .*1.safetensors"):
        mean([(two[0], 1.0), (tmp_path / "m.safetensors", 1.0)], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
    for text in ("a=0", "a=-1", "a=x", "a=inf", "a=nan"):
        with pytest.raises(InputError, match="a share is a number above 0"):
            _parse(text)
    assert _parse("a.safetensors")[1] == 1.0
