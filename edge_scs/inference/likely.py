"""What the colour branch answers before anything is enlarged: the colours of an image, and the likely ones of a place.

Both take a fraction of a whole run: the branch works on about 240x240 pixels whatever the image's size.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_scs.color import ycc_to_rgb
from edge_scs.imaging.arrays import ImageArray, as_grey, saturated, shrink_reference, to_image, to_tensor
from edge_scs.inference.engine import Engine
from edge_scs.inference.hint_points import Hint, planes_of
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Request
from edge_scs.models.colour import chroma_classes
from edge_scs.models.edge_scs import EdgeSCS, enlarge_chroma

# Chroma by which two suggested colours differ at least: two steps of the grid of classes.
_APART = 0.1
# Luma that a suggestion is shown at, at least and at most: in deep shadow all colours look the same.
_LUMA = (0.25, 0.8)


def coloured(engine: Engine, request: Request) -> ImageArray | None:
    """The image (h, w) at its own size in the network's colours: uint8 RGB (h, w, 3), without restored detail.

    None for an engine whose colours cannot be had alone, and where the image keeps its own (``keep_colour``).
    """
    model, options = _network(engine), request.options
    if model is None or options.keep_colour:
        return None
    engine.check(request)
    with torch.inference_mode():
        gray = to_tensor(as_grey(request.image), engine.device)  # type: ignore[attr-defined]
        chroma = enlarge_chroma(model.colour(gray, *_guides(model, gray, request)), gray.shape[-2:])
        rgb = ycc_to_rgb(torch.cat([gray, chroma], dim=1))
    return saturated(to_image(rgb), options.vividness)


def likely_colours(engine: Engine, request: Request, x: float, y: float, count: int = 8) -> list[str]:
    """The likeliest colours of what is at pixel (x, y), "#rrggbb", the likeliest first: at most ``count``.

    They are the peaks of the branch's distribution over chroma classes, each at least two classes from those before
    it, at about the image's luma there and within RGB's range. A hint at this very pixel is not heard; others are.
    Empty for an engine that has no such distribution.
    """
    model = _network(engine)
    if model is None:
        return []
    others = tuple(hint for hint in request.options.hints if (hint.x, hint.y) != (x, y))
    with torch.inference_mode():
        gray = to_tensor(as_grey(request.image), engine.device)  # type: ignore[attr-defined]
        logits = model.colour.logits(gray, *_guides(model, gray, request, others)) / model.colour.temperature
        h, w = gray.shape[-2:]
        shares = F.avg_pool2d(torch.softmax(logits, dim=1), 3, 1, 1, count_include_pad=False)
        row, col = (min(int((at + 0.5) / n * cells), cells - 1) for at, n, cells in zip(
            (y, x), (h, w), shares.shape[-2:], strict=True))  # fmt: skip
        luma = gray[0, 0, max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2].mean().item()
    return [hexadecimal(luma, centre) for centre in _peaks(shares[0, :, row, col].cpu(), count)]


def hexadecimal(luma: float, chroma: Tensor) -> str:
    """ "#rrggbb" of a chroma (2,) at this luma, or at the nearest of _LUMA; paler where RGB has no such colour."""
    ycc = torch.cat([torch.tensor([min(max(luma, _LUMA[0]), _LUMA[1])]), chroma]).reshape(3, 1, 1)
    rgb = ycc_to_rgb(ycc)
    while rgb.min() < 0 or rgb.max() > 1:
        ycc[1:] *= 0.95
        rgb = ycc_to_rgb(ycc)
    return "#" + "".join(f"{level:02x}" for level in (rgb * 255).round().int().flatten().tolist())


def _peaks(shares: Tensor, count: int) -> list[Tensor]:
    """Chroma (2,) of the classes with the largest ``shares`` (classes,), none nearer than _APART to one before it."""
    centres = chroma_classes()
    left = shares.clone()
    found: list[Tensor] = []
    while len(found) < count and left.max() > 0:
        centre = centres[int(left.argmax())]
        found.append(centre)
        left[(centres - centre).norm(dim=1) < _APART - 1e-6] = 0
    return found


def _network(engine: Engine) -> EdgeSCS | None:
    model = engine.model if isinstance(engine, Predictor) else None
    return model if isinstance(model, EdgeSCS) else None


def _guides(
    model: EdgeSCS, gray: Tensor, request: Request, hints: tuple[Hint, ...] | None = None
) -> tuple[Tensor | None, Tensor | None]:
    """The reference and the planes of hints as the branch takes them; ``hints`` instead of the request's own."""
    reference = None if request.reference is None else to_tensor(shrink_reference(request.reference), gray.device)
    hints = request.options.hints if hints is None else hints
    if not hints:
        return reference, None
    lr = (gray.shape[-2], gray.shape[-1])
    return reference, planes_of(hints, lr, model.colour.answer_size(lr)).to(gray.device)
