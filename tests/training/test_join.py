"""Parts trained apart make one network."""

import pytest
import torch

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.training.join import join
from edge_scs.weights.loading import read_safetensors, save


def test_named_parts_come_from_the_other_file(tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        model, made = registry.create("edge_scs_s"), {"stages": "texture", "seed": str(seed)}
        save(tmp_path / f"{seed}.safetensors", "edge_scs_s", model, made)
    out = tmp_path / "joined.safetensors"
    join(tmp_path / "1.safetensors", [(tmp_path / "2.safetensors", ["colour"])], out)
    spec = read_safetensors(out)[1]
    assert {key: spec[key] for key in ("stages", "seed", "joined")} == {
        "stages": "texture",
        "seed": "1",
        "joined": "2.safetensors=colour",
    }
    one, two, joined = (read_safetensors(tmp_path / f"{name}.safetensors")[0] for name in ("1", "2", "joined"))
    for key in joined:
        assert torch.equal(joined[key], (two if key.startswith("colour.") else one)[key])
    assert not torch.equal(one["colour.classify.weight"], two["colour.classify.weight"])


def test_a_part_that_is_not_there_or_does_not_fit(tmp_path):
    save(tmp_path / "m.safetensors", "edge_scs_m", registry.create("edge_scs_m"))
    save(tmp_path / "s.safetensors", "edge_scs_s", registry.create("edge_scs_s"))
    for part, says in (("colours", "no part 'colours'"), ("texture", "belongs to another network")):
        with pytest.raises(InputError, match=says):
            join(tmp_path / "m.safetensors", [(tmp_path / "s.safetensors", [part])], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
