"""Perceptual losses: distances between the ImageNet features of two images, as the papers have them.

=============== ================================================ ==================================================
features        what is compared                                 source
=============== ================================================ ==================================================
vgg16           L1 at conv1_1 ... conv5_1 (after the ReLU),      SCSNet eq. 6 and 4.1
                weights 1/32, 1/16, 1/8, 1/4, 1
vgg19           L2 at relu5_4                                    PCARN eq. 5; its "i = j = 5" does not exist in VGG-19,
                                                                 whose fifth level has four convolutions
lpips           LPIPS (Zhang et al. 2018, eq. 1): unit-length    ours, in the place of the VGG terms: AlexNet where at
                activations, squared, by published heads         hand, else SqueezeNet (``weights.features.load_lpips``)
squeezenet1_1   L1 at the ends of its five levels (conv1, fire3, ours: a fallback that a recipe must name, where no VGG
                fire5, fire7, fire9), weighted as vgg16          weights are at hand
=============== ================================================ ==================================================

Every norm is a mean over pixels and channels. Inputs are RGB, normalised as ImageNet's; for vgg19 in [0, 1] as they
are, as PCARN's authors feed it. (They take conv5_4 before its ReLU, which the paper's text contradicts.)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.errors import InputError
from edge_scs.models.features import LPIPS
from edge_scs.weights.features import find_features, load_features, load_lpips

_LEVELS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
# name -> (taps, their weights, distance, whether images are normalised)
FEATURES = {
    "vgg16": ((1, 6, 11, 18, 25), _LEVELS, F.l1_loss, True),
    "vgg19": ((35,), (1.0,), F.mse_loss, False),
    "squeezenet1_1": ((1, 4, 7, 10, 12), _LEVELS, F.l1_loss, True),
}

LEARNED = "lpips"
FAINT = 1e-6  # a squared length of activations below which they count as none


def check_features(features: str, file: str, key: str) -> None:
    """Refuse early what ``PerceptualLoss`` would refuse. Raises InputError naming the recipe's ``key`` and the fix."""
    if features == LEARNED:
        if file:
            raise InputError(f'{key}.file: "{LEARNED}" is looked up in $EDGE_SCS_ASSETS/peers; remove the key')
        _lpips(f"{key}.features")
        return
    if features not in FEATURES:
        raise InputError(f"{key}.features: no features {features!r}; known: {', '.join([*FEATURES, LEARNED])}")
    others = f', name it with {key}.file, or set {key}.features = "squeezenet1_1"'
    find_features(file or features, f"{key}.{'file' if file else 'features'}", others)


def perceptual_loss(features: str, file: str = "") -> nn.Module:
    """The loss that a recipe names: RGB output and target (n, 3, h, w) in [0, 1] -> scalar. Raises InputError."""
    return LearnedDistance() if features == LEARNED else PerceptualLoss(features, file)


class LearnedDistance(nn.Module):
    """LPIPS as a loss: the mean over images. As the metric, but smooth where all activations of a pixel vanish: there
    the gradient of their length is infinite. Raises InputError where no features with heads are at hand.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = _lpips("features")

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.autocast(output.device.type, enabled=False):
            ours = self.network.features(output.float())
            with torch.no_grad():
                theirs = [_unit(x) for x in self.network.features(target.float())]
            heads = zip(self.network.heads, ours, theirs, strict=True)
            return torch.stack([head((_unit(x) - y) ** 2).mean() for head, x, y in heads]).sum()


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True) + FAINT).sqrt()


def _lpips(key: str) -> LPIPS:
    found = load_lpips()
    if found is None:
        raise InputError(
            f"{key}: no LPIPS at hand; put its heads into $EDGE_SCS_ASSETS/peers/lpips_lin/v0.1 and AlexNet or "
            "SqueezeNet 1.1 into $EDGE_SCS_ASSETS/peers/features"
        )
    return found[0]


class PerceptualLoss(nn.Module):
    """``features`` is a key of FEATURES, ``file`` its weights (torchvision's key names); empty: looked up by name.

    Shapes: RGB (n, 3, h, w) in [0, 1], output and target -> scalar. Raises InputError when there are no such weights.
    """

    def __init__(self, features: str, file: str = ""):
        super().__init__()
        taps, self.weights, self.distance, normalised = FEATURES[features]
        self.network = load_features(features, taps, find_features(file or features))
        if not normalised:
            self.network.mean.zero_()
            self.network.std.fill_(1)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        # Features of many layers in bf16 differ by more than two similar images do.
        with torch.autocast(output.device.type, enabled=False):
            ours = self.network(output.float())
            with torch.no_grad():
                theirs = self.network(target.float())
        terms = [w * self.distance(x, y) for w, x, y in zip(self.weights, ours, theirs, strict=True)]
        return torch.stack(terms).sum()
