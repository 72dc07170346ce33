"""ImageNet features and LPIPS heads of other people: where they are looked for, and how they are read.

None is shipped. A name such as "vgg16" is looked up as ``vgg16*.pth`` in $EDGE_SCS_ASSETS/peers/features and in the
torch hub cache (where torchvision keeps its downloads); key names are torchvision's. LPIPS heads are
``$EDGE_SCS_ASSETS/peers/lpips_lin/v0.1/{alex,squeeze}.pth``, the ``lpips`` package's own files.
"""

import os
from pathlib import Path

import torch
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.models.features import LPIPS, Features
from edge_scs.weights.loading import feature_folders, load_state

# Networks by preference, and the layer that ends the last level.
_LAST_LEVELS = {"vgg16": 29, "vgg19": 35, "squeezenet1_1": 12, "alexnet": 11}
_LPIPS_HEADS = {"alexnet": "alex", "squeezenet1_1": "squeeze"}


def find_features(name: str, key: str = "features", others: str = "") -> Path:
    """The weights of a classifier by name, or a file as it is given.

    Raises InputError that says where they were looked for; ``key`` is the recipe's key it names, ``others`` a fix.
    """
    if name.endswith((".pth", ".pt")):
        if not Path(name).is_file():
            raise InputError(f"{key}: {name}: no such feature weights; give a file, or a name such as vgg16")
        return Path(name)
    for folder in feature_folders():
        found = [path for path in sorted(folder.glob(f"{name}[-_.]*pth")) if "_bn" not in path.name]  # batch-norm VGG
        if found:
            return found[0]
    places = " or ".join(str(folder) for folder in feature_folders())
    raise InputError(f"{key}: no {name}*.pth in {places}; put torchvision's file there{others}")


def load_features(name: str, taps: tuple[int, ...], path: Path) -> Features:
    """A frozen extractor with the weights in ``path``. Raises InputError when they are not ``name``'s."""
    network = Features(name, taps)
    own = network.state_dict()
    load_state(network, {key: value for key, value in _read(path).items() if key in own}, path)
    return network


def load_lpips() -> tuple[LPIPS, str] | None:
    """LPIPS and the files it stands on, as a label for reports; None where no features with heads are at hand.

    AlexNet is the published choice. SqueezeNet is taken where only that is there; unless it is torchvision's file, its
    figures are near the published ones of LPIPS-squeeze, not equal to them, so the label must stand beside the figure.
    """
    assets = os.environ.get("EDGE_SCS_ASSETS")
    if not assets:
        return None
    for name, short in _LPIPS_HEADS.items():
        heads = Path(assets) / "peers" / "lpips_lin" / "v0.1" / f"{short}.pth"
        try:
            features = find_features(name)
        except InputError:
            continue
        if not heads.is_file():
            continue
        network = LPIPS(name)
        state = {f"features.{key}": value for key, value in _read(features).items() if key.startswith("features.")}
        state |= {key.replace("lin", "heads.").replace(".model.1", ""): value for key, value in _read(heads).items()}
        load_state(network, state, f"{features} with {heads}")
        return network, f"{short} v0.1, {features.name}"
    return None


def load_pooled() -> tuple[Features, str] | None:
    """The features of the Frechet distance, and the file they stand on as a label; None where none are at hand.

    The last level of the first network that is there. FID's own, Inception's, are none of them.
    """
    for name, last in _LAST_LEVELS.items():
        try:
            path = find_features(name)
        except InputError:
            continue
        return load_features(name, (last,), path), f"pooled {path.name}, not FID's Inception"
    return None


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors of a .pth file, as float32. Raises InputError when it is anything else."""
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
        return {key: value.float() for key, value in raw.items()}
    except Exception as error:  # foreign files fail in many ways
        raise InputError(f"{path}: not a checkpoint of tensors ({type(error).__name__}); download it again") from error
