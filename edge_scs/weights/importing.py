"""Official checkpoints of the networks this project builds on, read safely and rewritten as safetensors of ours.

``layouts`` has the names; here is what else a file tells: how its tensors are nested, which options its network was
built with, and in which range its images are.
"""

import pickle
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.models.ciaosr import CiaoSRConfig
from edge_scs.models.edsr import EDSRConfig, ShuffleConfig
from edge_scs.models.liif import LIIFConfig
from edge_scs.models.pcarn import DIV2K_MEAN, PCARNConfig
from edge_scs.weights import layouts
from edge_scs.weights.layouts import Rules, State
from edge_scs.weights.loading import MAX_BYTES, Loaded, create, load, load_state, not_weights, save

# Where training programs put a state_dict among other things, and what wrappers write before its names; a file may have
# one in another. Averaged weights come first: they are the ones that are published.
_NESTS = (
    "params_ema", "model_ema", "ema", "params", "state_dict", "model_state_dict", "model", "sd", "net_g", "generator",
)  # fmt: skip
_PREFIXES = ("module.", "_orig_mod.", "model.", "net_g.")
_PARTS = ("generator_ema.", "generator.")  # the network among others of its training
Config = dict[str, object]


def importable() -> list[str]:
    """Names of the networks whose official checkpoints can be imported."""
    return [name for name, entry in registry.MODELS.items() if type(entry.config) in _CONVERTERS]


def import_weights(file: Path, as_name: str, out: Path) -> Loaded:
    """Convert the official checkpoint ``file`` of network ``as_name`` to the safetensors file ``out``, and load that.

    The pickle is read with ``weights_only=True``: it can hold tensors and plain containers, and cannot run code. The
    state_dict may be nested in what a training program saved ("params_ema", "state_dict", ...), its names may have a
    wrapper's prefix ("module."), its numbers half precision. Raises InputError for an unknown name, a file that is
    missing, unreadable or holds more than weights, a layout or encoder of another network, and for the first tensor
    that is missing, strange or of another shape. Nothing is written then.
    """
    if as_name not in importable():
        raise InputError(f"{as_name}: no official checkpoints to import; known: {', '.join(importable())}")
    if out.suffix != ".safetensors":
        raise InputError(f"{out}: weights are written as .safetensors; choose such a name")
    config, state = _CONVERTERS[type(registry.MODELS[as_name].config)](as_name, _unwrapped(file), file)
    network = create(as_name, config, str(file))
    load_state(network, state, file)
    save(out, as_name, network, {"imported_from": file.name})
    return load(str(out))


def _pcarn(name: str, official: State, file: Path) -> tuple[Config, State]:
    """Tied blocks are stored three times in PCARN-M's files and must be equal; the mean colour is a constant here."""
    config = registry.MODELS[name].config
    assert isinstance(config, PCARNConfig)
    rules = layouts.carn(config.tied) if config.gather_relu else layouts.pcarn(config.tied)
    for end, sign in (("sub", -1.0), ("add", 1.0)):
        _take_mean(official, f"{end}_mean.shifter", sign, file)
    return {}, _renamed(official, rules, name, file)


def _ciaosr(name: str, official: State, file: Path) -> tuple[Config, State]:
    rules = _encoder_rules(name, official, layouts.MM_ENCODERS, file)
    channels = next((len(official[key]) for key in ("conv_first.weight", "sfe1.weight") if key in official), 0)
    values = official.get("imnet_v.layers.0.weight")
    if values is None or not channels or values.dim() != 2:
        raise InputError(f"{file}: lacks imnet_v.layers.0.weight; it is no CiaoSR checkpoint")
    count, scales = (values.shape[1] - 4) // channels - 9, []
    if any(key.startswith("cs_attn.") for key in official):
        scales = [scale for scale in (3, 4) if f"cs_attn.downx{scale}.weight" in official]
        if len(scales) < count:
            scales = [2, *scales]
        else:  # `down` is made there for every network, and used at x2 alone
            official = {key: value for key, value in official.items() if not key.startswith("cs_attn.down.")}
    return {"nonlocal_scales": scales}, _renamed(official, (*rules, *layouts.CIAOSR_HEAD), name, file)


def _liif(name: str, official: State, file: Path) -> tuple[Config, State]:
    """Its EDSR keeps mean shifts that it never applies."""
    rules = _encoder_rules(name, official, layouts.LIIF_ENCODERS, file)
    for end, sign in (("sub", -1.0), ("add", 1.0)):
        _take_mean(official, f"encoder.{end}_mean", sign, file)
    inner = {key.removeprefix("encoder."): value for key, value in official.items()}
    return {}, _renamed(inner, (*rules, *layouts.LIIF_HEAD), name, file)


def _shuffle(name: str, official: State, file: Path) -> tuple[Config, State]:
    """A network of one scale, which the tail's shapes tell.

    EDSR-PyTorch's and BasicSR's EDSR see images in 0..255, and mean shifts say so or the layout does. Its first
    convolution times 255, and its last one by 255, is the same network in 0..1.
    """
    found = next((rules for kind, key, rules in layouts.SHUFFLE if kind == name and key in official), None)
    if found is None:
        others = sorted({kind for kind, key, _ in layouts.SHUFFLE if key in official} - {name})
        fix = f"import it as {others[0]}" if others else "see docs/papers.md for the layouts that are known"
        raise InputError(f"{file}: has no known layout of {name}; {fix}")
    of_basicsr = name == "edsr" and "upsample.0.weight" in official
    shift = max(_take_mean(official, f"{end}_mean", sign, file) for end, sign in (("sub", -1.0), ("add", 1.0)))
    state = _renamed(official, found, name, file)
    peak = 255.0 if of_basicsr else shift
    if peak != 1 and {"encoder.entry.weight", "exit.weight", "exit.bias"} <= set(state):
        state["encoder.entry.weight"] = state["encoder.entry.weight"] * peak
        state |= {key: state[key] / peak for key in ("exit.weight", "exit.bias")}
    first = state.get("upsamplers.0.weight")
    if first is None:
        raise InputError(f"{file}: lacks the tail that enlarges; it is no whole {name}")
    if "upsamplers.1.weight" in state:
        return {"scale": 4}, state
    return {"scale": 3 if len(first) == 9 * first.shape[1] else 2}, state


_CONVERTERS: dict[type, Callable[[str, State, Path], tuple[Config, State]]] = {
    PCARNConfig: _pcarn,
    CiaoSRConfig: _ciaosr,
    LIIFConfig: _liif,
    EDSRConfig: _shuffle,
    ShuffleConfig: _shuffle,
}


def _encoder_rules(name: str, official: State, encoders: dict[str, tuple[str, Rules]], file: Path) -> Rules:
    """The rules of the encoder that ``name`` has. Raises InputError when the file has another one, or none."""
    wanted = name.rpartition("_")[2]
    key, rules = encoders[wanted]
    if key not in official:
        others = [kind for kind, (mark, _) in encoders.items() if mark in official]
        if others:
            raise InputError(f"{file}: its encoder is {others[0]}; import it as {name.removesuffix(wanted)}{others[0]}")
        raise InputError(f"{file}: has no encoder of {name} ({key} is missing); it belongs to another network")
    return rules


def _renamed(official: State, rules: Iterable[tuple[str, str | None]], name: str, file: Path) -> State:
    """Tensors under our names. Raises InputError for the first name no rule knows, or a tied tensor that differs."""
    state: State = {}
    for key, value in official.items():
        known, ours = layouts.our_name(key, rules)
        if not known:
            raise InputError(f"{file}: has {key}, which no {name} has; it belongs to another network")
        if ours is None:
            continue
        if ours in state and not torch.equal(state[ours], value.to(state[ours])):
            raise InputError(f"{file}: {key} differs from the block it should be tied to; it is no {name}")
        state[ours] = value.float() if value.is_floating_point() else value
    return state


def _take_mean(official: State, prefix: str, sign: float, file: Path) -> float:
    """Drop a mean shift and return its range, 1 or 255 (1 where there is none).

    The shifts are 1x1 convolutions: the identity, and ``sign`` times the mean colour of DIV2K. Raises InputError for
    another colour.
    """
    weight, bias = official.pop(f"{prefix}.weight", None), official.pop(f"{prefix}.bias", None)
    if weight is not None and not _close(weight, torch.eye(3).reshape(3, 3, 1, 1)):
        raise InputError(f"{file}: {prefix}.weight is not the identity; it belongs to another network")
    if bias is None:
        return 1.0
    exact = max(1e-5, torch.finfo(bias.dtype).eps) if bias.is_floating_point() else 0.0  # as half precision is
    for peak in (1.0, 255.0):
        if _close(bias, sign * peak * torch.tensor(DIV2K_MEAN), exact * peak):
            return peak
    raise InputError(f"{file}: {prefix}.bias is not the mean colour of DIV2K; it belongs to another network")


def _close(value: Tensor, expected: Tensor, atol: float = 1e-5) -> bool:
    return value.shape == expected.shape and torch.allclose(value.float(), expected, atol=atol, rtol=0)


def _unwrapped(file: Path) -> State:
    """The tensors of a checkpoint by name, without wrappers and prefixes; averaged weights where there are any."""
    content = _read_pickle(file)
    while nest := next((key for key in _NESTS if isinstance(content.get(key), dict)), None):
        content = content[nest]
    for prefix in _PREFIXES:
        if content and all(isinstance(key, str) and key.startswith(prefix) for key in content):
            content = {key.removeprefix(prefix): value for key, value in content.items()}
    for prefix in _PARTS:
        inner = {key.removeprefix(prefix): value for key, value in content.items() if str(key).startswith(prefix)}
        content = inner or content
    if not content:
        raise InputError(f"{file}: is no state_dict (name -> tensor); save that alone")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{file}: {key!r} is no tensor; save the state_dict alone")
        if value.layout != torch.strided or value.numel() * value.element_size() > file.stat().st_size:
            raise InputError(f"{file}: {key} claims more numbers than the file holds; save the state_dict anew")
    return dict(content)


def _read_pickle(file: Path) -> dict[Any, Any]:
    if not file.is_file():
        raise InputError(f"{file}: no such checkpoint; give the official .pth file")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{file}: larger than {MAX_BYTES >> 30} GiB, not a checkpoint of these networks")
    with file.open("rb") as opened:
        if foreign := not_weights(opened.read(64)):
            raise InputError(f"{file}: is {foreign}, not a checkpoint; fetch the file itself")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: what cannot be read is an error anyway
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{file}: holds more than weights, so it is not opened; save its state_dict alone") from error
    except Exception as error:  # whatever a damaged archive makes torch raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{file}: not a readable PyTorch checkpoint ({reason})") from error
    if not isinstance(content, dict) or not content:
        raise InputError(f"{file}: is no state_dict (name -> tensor); save that alone")
    return content
