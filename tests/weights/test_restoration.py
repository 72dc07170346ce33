"""Restoration: two ends of one network, every blend between them, and one line where there is none."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.weights import loading, restoration
from edge_scs.weights.restoring_end import write_end

TINY = {"channels": 8, "blocks": 1, "repeats": 1, "reference": False}


@pytest.fixture
def ends(lively, tmp_path):
    """A checkpoint with a restoring end beside it: (clean file, restoring file)."""
    torch.manual_seed(0)
    network = lively(registry.create("edge_scs_s", TINY))
    clean = tmp_path / "tiny.safetensors"
    loading.save(clean, "edge_scs_s", network)
    state = {key: value + 0.1 for key, value in network.state_dict().items() if key.startswith("texture.")}
    restoring = tmp_path / "tiny_restoring.safetensors"
    save_file(state, restoring, {"restoration": "1"})
    return clean, restoring


@pytest.mark.parametrize("amount", [0.0, 0.25, 1.0])
def test_weights_are_interpolated_linearly_and_the_colour_branch_stays(ends, amount):
    clean, restoring = (load_file(path) for path in ends)
    loaded = loading.load(str(ends[0]), amount=amount)
    assert loaded.restoration == amount
    for key, value in loaded.model.state_dict().items():
        expected = (1 - amount) * clean[key] + amount * restoring.get(key, clean[key])
        assert torch.allclose(value, expected, atol=1e-6), key


def test_none_is_the_default_where_there_is_a_restoring_end_and_clean_elsewhere(ends):
    assert loading.load(str(ends[0]), amount=None).restoration == restoration.DEFAULT
    ends[1].unlink()
    assert loading.load(str(ends[0]), amount=None).restoration == 0


@pytest.mark.parametrize("amount", [-0.1, 1.01, float("nan")])
def test_an_amount_out_of_range_is_refused(ends, amount):
    with pytest.raises(InputError, match="choose 0"):
        loading.load(str(ends[0]), amount=amount)


def test_weights_without_a_restoring_end_are_refused(ends):
    ends[1].unlink()
    with pytest.raises(InputError, match=r"no restoring end \(tiny_restoring.safetensors beside it\)"):
        loading.load(str(ends[0]), amount=0.5)


def test_a_restoring_end_alone_is_refused(ends):
    with pytest.raises(InputError, match="holds a restoring end alone"):
        loading.load(str(ends[1]))


@pytest.mark.parametrize(
    ("key", "shape", "reason"), [("texture.gather.bias", (3,), "has as"), ("other", (1,), "lacks")]
)
def test_ends_of_different_networks_are_refused(ends, key, shape, reason):
    save_file(load_file(ends[1]) | {key: torch.zeros(shape)}, ends[1], {"restoration": "1"})
    with pytest.raises(InputError, match=f"has {key}, which the clean weights {reason}"):
        loading.load(str(ends[0]), amount=1.0)


def test_the_end_that_is_written_holds_the_trained_parts_alone(ends, lively):
    clean, restoring = ends
    restoring.unlink()
    trained = loading.load(str(clean)).model
    with torch.no_grad():
        trained.texture.gather.bias.add_(1)
    loading.save(clean.with_name("trained.safetensors"), "edge_scs_s", trained)
    assert write_end(clean, clean.with_name("trained.safetensors")) == restoring
    assert {key.split(".")[0] for key in load_file(restoring)} == {"texture"}
    assert torch.equal(loading.load(str(clean), amount=1.0).model.texture.gather.bias, trained.texture.gather.bias)


def test_weights_that_learned_nothing_make_no_restoring_end(ends):
    ends[1].unlink()
    with pytest.raises(InputError, match="the same weights"):
        write_end(ends[0], ends[0])
