"""Official checkpoints: read safely, all or nothing, and every stranger named."""

import pickle
from pathlib import Path

import pytest
import torch

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.models.pcarn import DIV2K_MEAN
from edge_scs.weights.importing import import_weights, importable
from edge_scs.weights.loading import load


def official(name: str = "pcarn_m", seed: int = 0) -> dict[str, torch.Tensor]:
    """A checkpoint in the published layout with random numbers: tied units three times, means as convolutions."""
    torch.manual_seed(seed)
    network = registry.create(name)
    eye, mean = torch.eye(3).reshape(3, 3, 1, 1), torch.tensor(DIV2K_MEAN)
    state = {
        "sub_mean.shifter.weight": eye,
        "sub_mean.shifter.bias": -mean,
        "add_mean.shifter.weight": eye,
        "add_mean.shifter.bias": mean,
    }
    for kind in ("weight", "bias"):
        for end in ("entry", "exit"):
            state[f"{end}.{kind}"] = getattr(getattr(network, end), kind)
        for b, local in enumerate(network.body.units, 1):
            state[f"c{b}.{kind}"] = getattr(network.body.gathers[b - 1], kind)
            for u in range(1, 4):
                unit = local.units[(u - 1) % len(local.units)]
                state[f"b{b}.c{u}.{kind}"] = getattr(local.gathers[u - 1], kind)
                state[f"b{b}.b{u}.conv1.{kind}"] = getattr(unit.conv1, kind)
                state[f"b{b}.b{u}.conv2.{kind}"] = getattr(unit.conv2, kind)
                if unit.pointwise is not None:
                    state[f"b{b}.b{u}.pw.{kind}"] = getattr(unit.pointwise, kind)
        for scale, positions in {2: (0,), 3: (0,), 4: (0, 3)}.items():
            for index, position in enumerate(positions):
                conv = network.upsamplers[str(scale)].convs[index]
                state[f"upsample.up{scale}.body.{position}.{kind}"] = getattr(conv, kind)
    return {key: value.detach().clone() for key, value in state.items()}


def refuse(tmp_path: Path, content: object, name: str = "pcarn_m") -> str:
    """The message with which this content is refused; nothing may be written."""
    file, out = tmp_path / "official.pth", tmp_path / "out.safetensors"
    torch.save(content, file)
    with pytest.raises(InputError) as caught:
        import_weights(file, name, out)
    assert not out.exists()
    message = str(caught.value)
    assert "\n" not in message
    assert str(file) in message
    return message


@pytest.mark.parametrize("name", ["pcarn", "pcarn_m"])
def test_round_trip(tmp_path, name):
    state = official(name)
    torch.save(state, tmp_path / "official.pth")
    loaded = import_weights(tmp_path / "official.pth", name, tmp_path / "ours.safetensors")
    assert (loaded.name, loaded.source) == (name, str(tmp_path / "ours.safetensors"))
    model = load(str(tmp_path / "ours.safetensors")).model
    assert torch.equal(model.entry.weight, state["entry.weight"])
    assert torch.equal(model.body.units[1].gathers[2].weight, state["b2.c3.weight"])
    assert torch.equal(model.body.units[2].units[-1].conv2.weight, state["b3.b3.conv2.weight"])
    assert torch.equal(model.upsamplers["4"].convs[1].bias, state["upsample.up4.body.3.bias"])


def test_wrapped_and_nested_checkpoints_are_unwrapped(tmp_path):
    plain = official()
    averaged = {key: value + 1 if "c1" in key else value for key, value in plain.items()}
    for content, expected in [
        ({f"module.{key}": value for key, value in plain.items()}, plain),
        ({"params": plain}, plain),
        ({"params": plain, "params_ema": averaged}, averaged),
        ({"state_dict": {f"module.{k}": v for k, v in plain.items()}, "epoch": 3, "optimizer": {"lr": 1.0}}, plain),
        ({"model": {"params_ema": averaged}}, averaged),
    ]:
        torch.save(content, tmp_path / "nested.pth")
        import_weights(tmp_path / "nested.pth", "pcarn_m", tmp_path / "ours.safetensors")
        state = load(str(tmp_path / "ours.safetensors")).model.state_dict()
        assert torch.equal(state["body.gathers.0.weight"], expected["c1.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    state = {key: value.to(dtype) for key, value in official().items()}
    torch.save(state, tmp_path / "half.pth")
    loaded = import_weights(tmp_path / "half.pth", "pcarn_m", tmp_path / "ours.safetensors")
    assert torch.equal(loaded.model.entry.weight, state["entry.weight"].float())
    assert loaded.model.entry.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n<!DOCTYPE html><html>not found</html>", "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of Git LFS"),
    ],
)
def test_what_came_instead_of_a_checkpoint_is_named(tmp_path, content, words):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(InputError, match=words):
        import_weights(tmp_path / "a.pth", "pcarn_m", tmp_path / "out.safetensors")
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=words):
        load(str(tmp_path / "a.safetensors"))


def test_nests_that_hold_no_tensors_are_refused_by_name(tmp_path):
    assert "'epoch' is no tensor" in refuse(tmp_path, {"epoch": 3, "weights": official()})
    assert "'lr' is no tensor" in refuse(tmp_path, {"params": official() | {"lr": 0.1}})


def test_a_missing_tensor_is_named(tmp_path):
    state = official()
    del state["b2.c3.weight"]
    assert "body.units.1.gathers.2.weight" in refuse(tmp_path, state)


def test_a_strange_tensor_is_named(tmp_path):
    assert "b4.b1.conv1.weight" in refuse(tmp_path, official() | {"b4.b1.conv1.weight": torch.zeros(1)})


def test_a_wrong_shape_is_named(tmp_path):
    message = refuse(tmp_path, official() | {"entry.weight": torch.zeros(64, 1, 3, 3)})
    assert "entry.weight" in message
    assert "(64, 3, 3, 3)" in message


def test_untied_blocks_are_no_pcarn_m(tmp_path):
    state = official()
    state["b1.b2.conv1.weight"] = state["b1.b2.conv1.weight"] + 1
    assert "b1.b2.conv1.weight" in refuse(tmp_path, state)


def test_another_mean_colour_is_refused(tmp_path):
    assert "add_mean" in refuse(tmp_path, official() | {"add_mean.shifter.bias": torch.zeros(3)})


def test_pcarn_m_is_not_pcarn(tmp_path):
    assert "shape" in refuse(tmp_path, official("pcarn_m"), "pcarn")


class Intruder:
    """Unpickling this would create a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_with_code_is_not_run(tmp_path):
    marker = tmp_path / "intruder-was-here"
    assert "more than weights" in refuse(tmp_path, official() | {"x": Intruder(marker)})
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Intruder(marker)))
    with pytest.raises(InputError, match=r"plain\.pth"):
        import_weights(tmp_path / "plain.pth", "pcarn_m", tmp_path / "out.safetensors")
    assert not marker.exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"entry.weight": 3}, torch.zeros(3)])
def test_other_pickles_are_refused(tmp_path, content):
    assert "state_dict" in refuse(tmp_path, content)


def test_damaged_and_missing_files(tmp_path):
    file = tmp_path / "cut.pth"
    torch.save(official(), file)
    file.write_bytes(file.read_bytes()[:5000])
    for path in (file, tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            import_weights(path, "pcarn_m", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_unknown_names_and_suffixes(tmp_path):
    assert importable() == [
        "pcarn", "pcarn_m", "carn", "carn_m", "ciaosr_edsr", "ciaosr_rdn", "ciaosr_swinir", "edsr", "rdn", "swinir",
        "liif_edsr", "liif_rdn",
    ]  # fmt: skip
    with pytest.raises(InputError, match="known: pcarn"):
        import_weights(tmp_path / "a.pth", "edge_scs_m", tmp_path / "out.safetensors")
    with pytest.raises(InputError, match=r"\.safetensors"):
        import_weights(tmp_path / "a.pth", "pcarn_m", tmp_path / "out.pth")
