"""Every network by name: how to build it, and the description that callers read instead of special cases."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from edge_scs.models import ciaosr, cpm_rdn, edsr, implicit, liif, pcarn, scsnet
from edge_scs.models.ciaosr import CiaoSR, CiaoSRConfig
from edge_scs.models.cpm_rdn import ContinuousConfig, ContinuousRDN
from edge_scs.models.edge_scs import MAX_SCALE, SHUFFLE_SCALES, EdgeSCS, EdgeSCSConfig
from edge_scs.models.edsr import EDSR, EDSRConfig, PixelShuffleNetwork, ShuffleConfig, ShuffleNetwork
from edge_scs.models.implicit import ImplicitNetwork
from edge_scs.models.liif import LIIF, LIIFConfig
from edge_scs.models.pcarn import PCARN, PCARNConfig
from edge_scs.models.scsnet import SCSNet, SCSNetConfig
from edge_scs.models.swinir import SwinIR


@dataclass(frozen=True)
class Description:
    """What enhance, export, evaluate and report need to know about a network.

    ``input`` is "grey" (``forward(gray_lr, size, reference=None)``) or "rgb" (``forward(rgb_lr, size)``); every network
    returns RGB (n, 3, H, W) in [0, 1]. ``scales`` are the whole magnifications with a head of their own, and
    ``continuous`` the range of any others, or None. ``halo`` is the receptive field's radius in LR pixels.
    ``reference`` and ``hints``: whether it takes a colour image, or colours at points. ``no_export`` says why it cannot
    be lowered, or is empty.
    """

    name: str
    variant: str
    input: str
    scales: tuple[int, ...]
    continuous: tuple[float, float] | None
    halo: int
    reference: bool
    hints: bool = False
    published: dict[str, object] = field(default_factory=dict)
    no_export: str = ""

    def enlarges(self, scale: float) -> bool:
        """Whether the network has a way to magnify by ``scale``."""
        if scale in self.scales:
            return True
        return self.continuous is not None and self.continuous[0] <= scale <= self.continuous[1]

    @property
    def magnifications(self) -> str:
        """What it can do, in words: "x2, x3 or x4", "anything from 1 to 8"."""
        if self.continuous is not None:
            return f"anything from {self.continuous[0]:g} to {self.continuous[1]:g}"
        *others, last = (f"x{scale}" for scale in self.scales)
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True)
class Entry:
    """``config`` is any frozen dataclass; ``build`` takes one; ``describe`` fits a built network."""

    config: object
    build: Callable[..., nn.Module]
    describe: Callable[[str, nn.Module], Description]


def _describe_edge_scs(name: str, model: nn.Module) -> Description:
    assert isinstance(model, EdgeSCS)
    return Description(
        name=name,
        variant=name.removeprefix("edge_scs_"),
        input="grey",
        scales=SHUFFLE_SCALES,
        continuous=(1.0, MAX_SCALE),
        halo=model.halo,
        reference=model.config.reference,
        hints=model.config.hints,
    )


def _describe_pcarn(name: str, model: nn.Module) -> Description:
    assert isinstance(model, PCARN)
    return Description(
        name=name,
        variant="m" if name.endswith("_m") else "full",
        input="rgb",
        scales=model.config.scales,
        continuous=None,
        halo=model.halo,
        reference=False,
        published=pcarn.PUBLISHED.get(name, {}),
    )


def _describe_scsnet(name: str, model: nn.Module) -> Description:
    assert isinstance(model, SCSNet)
    shuffles = model.config.head == "shuffle"
    return Description(
        name=name,
        variant="full",
        input="grey",
        scales=(scsnet.ShuffleHead.SCALE,) if shuffles else (),
        continuous=None if shuffles else (1.0, MAX_SCALE),
        halo=model.halo,
        reference=model.config.reference,
        published=scsnet.PUBLISHED,
        no_export="its instance norms and LAB to sRGB stop the converters (docs/papers/scsnet.md)",
    )


def _describe_implicit(name: str, model: nn.Module) -> Description:
    """Without whole scales they always run whole: CiaoSR's non-local attention gathers from far beyond any halo."""
    assert isinstance(model, ImplicitNetwork)
    return Description(
        name=name,
        variant=name.rpartition("_")[2],
        input="rgb",
        scales=(),
        continuous=implicit.SCALES,
        halo=model.halo,
        reference=False,
        published=(ciaosr.PUBLISHED | liif.PUBLISHED).get(name, {}),
        no_export="it gathers features at computed indices, which XNNPACK does not take",
    )


def _describe_shuffle(name: str, model: nn.Module) -> Description:
    assert isinstance(model, PixelShuffleNetwork)
    scale = model.scale
    published = edsr.PUBLISHED.get(name, {})
    no_export = ""
    if isinstance(model.encoder, SwinIR):
        no_export = "its windows shift, which was not tried with the converters"
    return Description(
        name, f"x{scale}", "rgb", (scale,), None, model.halo, False, published=published, no_export=no_export
    )


def _describe_cpm_rdn(name: str, model: nn.Module) -> Description:
    assert isinstance(model, ContinuousRDN)
    return Description(
        name=name,
        variant=model.config.head,
        input="rgb",
        scales=(),
        continuous=(1.0, MAX_SCALE),
        halo=model.halo,
        reference=False,
        published=cpm_rdn.PUBLISHED,
        no_export="it maps HR pixels in bands of any size, which was not tried with the converters",
    )


MODELS: dict[str, Entry] = {
    "edge_scs_m": Entry(EdgeSCSConfig(), EdgeSCS, _describe_edge_scs),
    "edge_scs_s": Entry(EdgeSCSConfig(channels=16, blocks=2, repeats=2), EdgeSCS, _describe_edge_scs),
    "pcarn": Entry(PCARNConfig(), PCARN, _describe_pcarn),
    "pcarn_m": Entry(PCARNConfig(groups=4, tied=True), PCARN, _describe_pcarn),
    "carn": Entry(PCARNConfig(residual=False, gather_relu=True), PCARN, _describe_pcarn),
    "carn_m": Entry(PCARNConfig(groups=4, tied=True, residual=False, gather_relu=True), PCARN, _describe_pcarn),
    "scsnet": Entry(SCSNetConfig(), SCSNet, _describe_scsnet),
    "ciaosr_edsr": Entry(CiaoSRConfig(encoder="edsr"), CiaoSR, _describe_implicit),
    "ciaosr_rdn": Entry(CiaoSRConfig(encoder="rdn"), CiaoSR, _describe_implicit),
    "ciaosr_swinir": Entry(CiaoSRConfig("swinir", {"channels": 180}), CiaoSR, _describe_implicit),
    "edsr": Entry(EDSRConfig(), EDSR, _describe_shuffle),
    "rdn": Entry(ShuffleConfig("rdn", mean=False), ShuffleNetwork, _describe_shuffle),
    "cpm_rdn": Entry(ContinuousConfig(), ContinuousRDN, _describe_cpm_rdn),
    "swinir": Entry(ShuffleConfig("swinir"), ShuffleNetwork, _describe_shuffle),
    "liif_edsr": Entry(LIIFConfig(), LIIF, _describe_implicit),
    "liif_rdn": Entry(LIIFConfig("rdn"), LIIF, _describe_implicit),
}


def names() -> list[str]:
    return list(MODELS)


def create(name: str, config: dict[str, object] | None = None) -> nn.Module:
    """A freshly initialised network. ``config`` overrides fields of the registered one.

    Raises KeyError for an unknown name and TypeError for an unknown field.
    """
    entry = MODELS[name]
    fields = dict(vars(entry.config)) | (config or {})
    return entry.build(type(entry.config)(**fields))


def describe(name: str, model: nn.Module) -> Description:
    """The description of a built network, as its config made it."""
    return MODELS[name].describe(name, model)
