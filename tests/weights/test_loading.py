"""Weights files: what is saved comes back, and whatever else a file may be is one line that names it."""

import hashlib
import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.weights import loading

TINY = {"channels": 8, "blocks": 1, "repeats": 1, "reference": False}


@pytest.fixture(scope="module")
def network(lively) -> torch.nn.Module:
    torch.manual_seed(0)
    return lively(registry.create("edge_scs_s", TINY))


@pytest.fixture
def checkpoint(network: torch.nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    loading.save(path, "edge_scs_s", network)
    return path


def rewrite(path: Path, state: dict[str, torch.Tensor] | None = None, **spec: str) -> None:
    """Replace tensors or metadata of a checkpoint."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() | spec
    save_file(load_file(path) if state is None else state, path, metadata)


def refused(path: Path, match: str = "", **arguments) -> str:
    """The one line that loading ``path`` ends in."""
    with pytest.raises(InputError, match=match) as caught:
        loading.load(**({"model": str(path)} | arguments))
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_round_trip_gives_the_same_network(network: torch.nn.Module, checkpoint: Path) -> None:
    gray = torch.rand(1, 1, 7, 9)
    for loaded in (loading.load(str(checkpoint)), loading.load("edge_scs_s", weights=checkpoint)):
        assert (loaded.name, loaded.source) == ("edge_scs_s", str(checkpoint))
        assert loaded.model.config == network.config
        assert not loaded.model.training
        assert loaded.description == registry.describe("edge_scs_s", network)
        for size in ((14, 18), (9, 11)):
            assert torch.equal(loaded.model(gray, size), network(gray, size))


@pytest.mark.parametrize("name", registry.names())
def test_every_network_s_config_survives_the_file(name: str, tmp_path: Path) -> None:
    model = registry.create(name)
    loading.save(tmp_path / "a.safetensors", name, model)
    loaded = loading.load(name, weights=tmp_path / "a.safetensors")
    assert loaded.model.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.model.parameters(), strict=True))


def test_metadata_holds_the_spec(network: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.safetensors"
    loading.save(path, "edge_scs_s", network, {"steps": "12"})
    _, spec = loading.read_safetensors(path)
    assert (spec["format"], spec["model"], spec["steps"]) == ("edge-scs", "edge_scs_s", "12")
    assert json.loads(spec["config"]) == vars(network.config)


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    stored = {}
    for tied in (True, False):
        model = registry.create("edge_scs_s", TINY | {"repeats": 3, "tied": tied})
        loading.save(tmp_path / f"{tied}.safetensors", "edge_scs_s", model)
        stored[tied] = sum(key.startswith("texture.blocks") for key in load_file(tmp_path / f"{tied}.safetensors"))
    assert stored == {True: 4, False: 12}


def test_a_wrong_model_is_refused_by_both_names(checkpoint: Path) -> None:
    message = refused(checkpoint, "not of edge_scs_m", model="edge_scs_m", weights=checkpoint)
    assert "holds weights of edge_scs_s" in message


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(checkpoint: Path, keep: int) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:keep])
    refused(checkpoint, "not a readable safetensors file")


def test_a_pickle_in_disguise_is_refused_and_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "boom",)

    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    refused(path, "not a readable safetensors file")
    path.rename(tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "not a readable safetensors file .*; convert it with import-weights")
    assert not (tmp_path / "boom").exists()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "no such weights file")
    refused(tmp_path / "none.safetensors", "no such", model="edge_scs_s", weights=tmp_path / "none.safetensors")
    refused(tmp_path, "no such weights file")


def test_an_enormous_file_is_refused_unread(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_BYTES", 1000)
    refused(checkpoint, "larger than")


@pytest.mark.parametrize(("typed", "meant"), [("edge_scs_n", "edge_scs_"), ("edge-scs-m", "edge_scs_m")])
def test_a_misspelt_name_gets_a_suggestion(typed: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"^{typed}: no such model or checkpoint; did you mean {meant}"):
        loading.load(typed)


def test_a_name_like_nothing_gets_the_list() -> None:
    with pytest.raises(InputError, match="known: edge_scs_m, "):
        loading.load("zzz")


def test_weights_go_with_a_name_only(checkpoint: Path) -> None:
    refused(checkpoint, "--weights goes with a model's name", weights=checkpoint)


def test_missing_extra_and_misshaped_tensors_are_named(network: torch.nn.Module, checkpoint: Path) -> None:
    whole = load_file(checkpoint)
    key = "texture.stem.weight"
    rewrite(checkpoint, {name: value for name, value in whole.items() if name != key})
    refused(checkpoint, f"lacks {key}")
    rewrite(checkpoint, whole | {"extra.weight": torch.zeros(1)})
    refused(checkpoint, "has extra.weight")
    rewrite(checkpoint, whole | {key: torch.zeros(8, 2, 3, 3)})
    refused(checkpoint, rf"{key} has shape \(8, 2, 3, 3\), expected \(8, 1, 3, 3\)")


def test_a_state_that_does_not_fit_changes_nothing(network: torch.nn.Module) -> None:
    model = registry.create("edge_scs_s", TINY)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InputError, match=r"^somewhere: has extra"):
        loading.load_state(model, network.state_dict() | {"extra": torch.zeros(1)}, "somewhere")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    "config",
    [
        '{"chanels": 8}',
        '{"channels": "8"}',
        '{"channels": -8}',
        '{"channels": 8, "groups": 3}',
        '{"channels": 8',
        "[1]",
        "8",
    ],
)
def test_a_spec_that_does_not_fit_is_refused(checkpoint: Path, config: str) -> None:
    rewrite(checkpoint, config=config)
    refused(checkpoint, "does not fit edge_scs_s")


def test_no_number_in_a_spec_may_be_huge_however_deep(checkpoint: Path) -> None:
    rewrite(checkpoint, model="ciaosr_edsr", config='{"encoder_options": {"channels": 100000000}}')
    refused(checkpoint, "a field is over 1024")


def test_create_names_what_does_not_fit() -> None:
    assert loading.create("edge_scs_s", TINY, "recipe").config.channels == TINY["channels"]
    for name, config, why in [
        ("edge_scs_z", {}, "recipe: model 'edge_scs_z': did you mean edge_scs_s?"),
        ("ciaosr_edsr", {"encoder": "rcan"}, "no encoder 'rcan'; known: edsr, rdn, swinir"),
        ("ciaosr_edsr", {"encodr": "rdn"}, "recipe: config does not fit ciaosr_edsr"),
    ]:
        with pytest.raises(InputError, match=re.escape(why)):
            loading.create(name, config, "recipe")


def test_foreign_metadata_is_refused(checkpoint: Path) -> None:
    rewrite(checkpoint, model="resnet50")
    refused(checkpoint, "names no network of ours")
    save_file(load_file(checkpoint), checkpoint)
    refused(checkpoint, "names no network of ours")


@pytest.fixture
def nothing_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "SHIPPED", tmp_path / "shipped")


@pytest.mark.usefixtures("nothing_shipped")
def test_untrained_weights_need_permission_and_are_always_the_same() -> None:
    with pytest.raises(InputError, match="edge_scs_s: no weights are shipped; give --weights FILE"):
        loading.load("edge_scs_s")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = loading.load("edge_scs_s", allow_untrained=True)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers go on undisturbed"
    second = loading.load("edge_scs_s", allow_untrained=True)
    assert first.source == "untrained"
    assert not first.model.training
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_every_shipped_file_is_registered_and_is_what_was_registered() -> None:
    sums = loading.registered_sums(loading.SHIPPED)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in loading.SHIPPED.glob("*.safetensors")}
    assert sums == files
    assert len(sums) == 8


def test_a_shipped_file_that_is_another_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "SHIPPED", tmp_path)
    shipped = checkpoint.rename(tmp_path / "edge_scs_s.safetensors")
    (tmp_path / loading.REGISTRY).write_text(f"{hashlib.sha256(shipped.read_bytes()).hexdigest()}  {shipped.name}\n")
    loading.load("edge_scs_s")
    content = bytearray(shipped.read_bytes())
    content[-1] ^= 1  # a weight: still a readable file
    shipped.write_bytes(content)
    with pytest.raises(InputError, match=r"edge_scs_s\.safetensors: not the file that was shipped .* again"):
        loading.load("edge_scs_s")
    assert loading.load("edge_scs_s", shipped).name == "edge_scs_s"  # named by hand it is anybody's file


def test_shipped_weights_are_found_by_name(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loading, "SHIPPED", tmp_path)
    assert loading.shipped_file("edge_scs_s") is None
    loading.save(tmp_path / "edge_scs_s.safetensors", "edge_scs_s", network)
    assert loading.load("edge_scs_s").source == str(tmp_path / "edge_scs_s.safetensors")


# ImageNet features


def feature_state() -> dict[str, torch.Tensor]:
    """The encoder's own shapes under torchvision's names."""
    from edge_scs.models.encoders import SqueezeEncoder

    indices = {"fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7, "fire6": 9, "fire7": 10, "fire8": 11, "fire9": 12}
    state = {"features.0.weight": torch.rand(64, 3, 3, 3), "features.0.bias": torch.rand(64)}
    for key, value in SqueezeEncoder().state_dict().items():
        name, _, rest = key.partition(".")
        if name in indices:
            state[f"features.{indices[name]}.{rest}"] = value
    return state


def features_refused(path: Path) -> None:
    from edge_scs.models.encoders import SqueezeEncoder

    with pytest.raises(InputError) as caught:
        loading.load_encoder(SqueezeEncoder(), str(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_feature_weights_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "features.pth"
    features_refused(path)
    path.write_bytes(b"not a checkpoint")
    features_refused(path)
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    features_refused(path)


def test_a_hostile_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "boom",)

    torch.save({"features.0.weight": Bomb()}, tmp_path / "features.pth")
    features_refused(tmp_path / "features.pth")
    assert not (tmp_path / "boom").exists()


def test_misshaped_feature_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "features.pth"
    torch.save(feature_state() | {"features.12.expand3x3.bias": torch.zeros(3)}, path)
    features_refused(path)


def test_feature_weights_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_scs.models.encoders import SqueezeEncoder

    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(InputError, match=r"^encoder_init: no squeezenet1_1.* in .*features or .*hub"):
        loading.load_encoder(SqueezeEncoder(), "squeezenet1_1")
    folder = tmp_path / "peers" / "features"
    folder.mkdir(parents=True)
    state = feature_state()
    torch.save(state, folder / "squeezenet1_1-b8a52dc0.pth")
    encoder = SqueezeEncoder()
    loading.load_encoder(encoder, "squeezenet1_1")
    assert torch.equal(encoder.fire9.squeeze1x1.weight, state["features.12.squeeze1x1.weight"])
