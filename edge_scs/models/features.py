"""ImageNet classifiers' convolutions as feature extractors, in torchvision's layer numbers and key names.

VGG-16 and VGG-19 (Simonyan, Zisserman 2014), SqueezeNet 1.1 (Iandola et al. 2016), AlexNet (Krizhevsky 2014, one
column); and LPIPS (Zhang et al. 2018), a distance between images that stands on such features.
"""

import torch
from torch import Tensor, nn

from edge_scs.models.blocks import Fire

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Channels of the 3x3 convolutions, "M" for a 2x2 max-pooling: configurations D and E.
_VGG: dict[str, tuple[int | str, ...]] = {
    "vgg16": (64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3),
    "vgg19": (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4),
}
# Layers that LPIPS compares and their channels: after the ReLU of each level.
LPIPS_LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "alexnet": ((1, 4, 7, 9, 11), (64, 192, 384, 256, 256)),
    "squeezenet1_1": ((1, 4, 7, 9, 10, 11, 12), (64, 128, 256, 384, 384, 512, 512)),
}
NETWORKS = (*_VGG, "squeezenet1_1", "alexnet")


class Features(nn.Module):
    """Activations of a frozen classifier at the layers ``taps`` (torchvision's indices in ``features``).

    Shapes: RGB (n, 3, h, w) in [0, 1] -> one (n, c, h', w') for each tap. What lies behind the last tap is not built.
    Raises KeyError for a name that is not in NETWORKS, and ValueError when the image is too small for the last tap.
    """

    def __init__(self, name: str, taps: tuple[int, ...]):
        super().__init__()
        self.name, self.taps = name, taps
        self.features = nn.Sequential(*_layers(name)[: max(taps) + 1])
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.eval().requires_grad_(False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        x, found = (rgb - self.mean) / self.std, []
        for index, layer in enumerate(self.features):
            if isinstance(layer, nn.MaxPool2d) and min(x.shape[-2:]) < layer.kernel_size:  # type: ignore[operator]
                raise ValueError(f"{rgb.shape[-1]}x{rgb.shape[-2]} pixels are too few for layer {index} of {self.name}")
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found


def _layers(name: str) -> list[nn.Module]:
    if name in _VGG:
        layers: list[nn.Module] = []
        channels = 3
        for width in _VGG[name]:
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        return layers
    if name == "squeezenet1_1":
        return [
            nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(64, 16, 64), Fire(128, 16, 64), nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(128, 32, 128), Fire(256, 32, 128), nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        ]  # fmt: skip
    if name == "alexnet":
        return [
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        ]  # fmt: skip
    raise KeyError(name)


class LPIPS(nn.Module):
    """Learned perceptual distance, 0 for equal images (Zhang et al. 2018, eq. 1, version 0.1 of its heads).

    Shapes: two RGB (n, 3, h, w) in [0, 1] -> (n,). The published scaling of inputs in [-1, 1] is ImageNet's mean and
    deviation, as ``Features`` has them.
    """

    def __init__(self, name: str):
        super().__init__()
        taps, channels = LPIPS_LAYERS[name]
        self.features = Features(name, taps)
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in channels)
        self.eval().requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        distance = torch.zeros(len(a), device=a.device)
        for head, x, y in zip(self.heads, self.features(a), self.features(b), strict=True):
            distance = distance + head((_unit(x) - _unit(y)) ** 2).mean((1, 2, 3))
        return distance


def _unit(x: Tensor) -> Tensor:
    """Every pixel's channels at length 1."""
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
