"""Official checkpoints of the networks this project builds on, read safely and rewritten as safetensors of ours."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.models import registry
from edge_scs.models.pcarn import DIV2K_MEAN, PCARN, PCARNConfig
from edge_scs.weights.loading import MAX_BYTES, Loaded, load, load_state, not_weights, save

# The published layout has three cascading blocks b1..b3 of three residual blocks each, and the gathers c1..c3.
_UNIT = re.compile(r"b([1-3])\.b([1-3])\.(conv1|conv2|pw)\.(weight|bias)")
_LOCAL_GATHER = re.compile(r"b([1-3])\.c([1-3])\.(weight|bias)")
_GLOBAL_GATHER = re.compile(r"c([1-3])\.(weight|bias)")
_UPSAMPLER = re.compile(r"upsample\.up([234])\.body\.([03])\.(weight|bias)")
_ENDS = re.compile(r"(entry|exit)\.(weight|bias)")
_MEAN = re.compile(r"(sub|add)_mean\.shifter\.(weight|bias)")
# Where training programs put a state_dict among other things, and what wrappers write before its names. Averaged
# weights come first: they are the ones that are published.
_NESTS = ("params_ema", "model_ema", "ema", "params", "state_dict", "model_state_dict", "model", "net_g", "generator")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net_g.", "generator.")


def importable() -> list[str]:
    """Names of the networks whose official checkpoints can be imported."""
    return [name for name, entry in registry.MODELS.items() if isinstance(entry.config, PCARNConfig)]


def import_weights(file: Path, as_name: str, out: Path) -> Loaded:
    """Convert the official checkpoint ``file`` of network ``as_name`` to the safetensors file ``out``, and load that.

    The pickle is read with ``weights_only=True``: it can hold tensors and plain containers, and cannot run code. The
    state_dict may be nested in what a training program saved ("params_ema", "state_dict", ...), its names may have a
    wrapper's prefix ("module."), its numbers half precision. Raises InputError for an unknown name, a file that is
    missing, unreadable or holds more than weights, and for the first tensor that is missing, strange or of another
    shape. Nothing is written then.
    """
    if as_name not in importable():
        raise InputError(f"{as_name}: no official checkpoints to import; known: {', '.join(importable())}")
    if out.suffix != ".safetensors":
        raise InputError(f"{out}: weights are written as .safetensors; choose such a name")
    network = registry.create(as_name)
    assert isinstance(network, PCARN)
    load_state(network, pcarn_state(_read_pickle(file), network.config, file), file)
    save(out, as_name, network, {"imported_from": file.name})
    return load(str(out))


def pcarn_state(official: dict[str, Tensor], config: PCARNConfig, file: Path) -> dict[str, Tensor]:
    """The official PCARN tensors under our names.

    Tied blocks are stored three times there and must be equal; the mean colour is a constant here and must be DIV2K's.
    Raises InputError that names the first tensor which is not as it should be.
    """
    state: dict[str, Tensor] = {}
    for key, value in official.items():
        if _MEAN.fullmatch(key):
            _check_mean(key, value, file)
            continue
        name = _our_name(key, config.tied)
        if name is None:
            raise InputError(f"{file}: has {key}, which no PCARN has; it belongs to another network")
        if name in state and not torch.equal(state[name], value.to(state[name])):
            raise InputError(f"{file}: {key} differs from the block it should be tied to; import it as pcarn")
        state[name] = value.float() if value.is_floating_point() else value
    return state


def _our_name(key: str, tied: bool) -> str | None:
    if _ENDS.fullmatch(key):
        return key
    if match := _UNIT.fullmatch(key):
        block, unit, part, kind = match.groups()
        part = "pointwise" if part == "pw" else part
        return f"body.units.{int(block) - 1}.units.{0 if tied else int(unit) - 1}.{part}.{kind}"
    if match := _LOCAL_GATHER.fullmatch(key):
        block, gather, kind = match.groups()
        return f"body.units.{int(block) - 1}.gathers.{int(gather) - 1}.{kind}"
    if match := _GLOBAL_GATHER.fullmatch(key):
        return f"body.gathers.{int(match[1]) - 1}.{match[2]}"
    if match := _UPSAMPLER.fullmatch(key):
        scale, position, kind = match.groups()
        return f"upsamplers.{scale}.convs.{int(position) // 3}.{kind}"
    return None


def _check_mean(key: str, value: Tensor, file: Path) -> None:
    """The shifts are 1x1 convolutions there: the identity, and minus or plus the mean colour."""
    if key.endswith("weight"):
        expected = torch.eye(3).reshape(3, 3, 1, 1)
    else:
        expected = torch.tensor(DIV2K_MEAN) * (-1 if key.startswith("sub") else 1)
    atol = (
        max(1e-5, torch.finfo(value.dtype).eps) if value.is_floating_point() else 0.0
    )  # as exact as half precision is
    if value.shape != expected.shape or not torch.allclose(value.float(), expected, atol=atol):
        raise InputError(f"{file}: {key} is not the mean colour of DIV2K; it belongs to another network")


def _read_pickle(file: Path) -> dict[str, Tensor]:
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
    content = _unwrapped(content)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{file}: is no state_dict (name -> tensor); save that alone")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{file}: {key!r} is no tensor; save the state_dict alone")
        if value.layout != torch.strided or value.numel() * value.element_size() > file.stat().st_size:
            raise InputError(f"{file}: {key} claims more numbers than the file holds; save the state_dict anew")
    return content


def _unwrapped(content: Any) -> Any:
    """The state_dict inside what training programs save, under its own names; anything else as it is."""
    for _ in range(3):
        if not isinstance(content, dict) or all(isinstance(value, Tensor) for value in content.values()):
            break
        nests = [name for name in _NESTS if isinstance(content.get(name), dict)]
        if not nests:
            return content
        content = content[nests[0]]
    if isinstance(content, dict) and content:
        for prefix in _PREFIXES:
            if all(isinstance(key, str) and key.startswith(prefix) for key in content):
                content = {key.removeprefix(prefix): value for key, value in content.items()}
    return content
