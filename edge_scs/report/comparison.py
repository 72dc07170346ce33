"""Before and after for the page: images as data URIs, small enough to travel inside it."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_scs.samples import CREDITS, Restored

ImageArray = NDArray[np.uint8]
QUALITY = 86  # of WebP: below what a reader could mistake for the network's own faults


@dataclass(frozen=True)
class Comparison:
    """One photograph made small and grey, and what a network made of it.

    Shapes: ``before`` uint8 grey (h, w), ``after`` and ``truth`` uint8 RGB (H, W, 3), ``reference`` uint8 RGB of any
    size, or None where the colours are automatic. ``title`` is the caption, ``credit`` says whose the photograph is.
    """

    title: str
    before: ImageArray
    after: ImageArray
    truth: ImageArray
    reference: ImageArray | None = None
    credit: str = ""

    @classmethod
    def of(cls, restored: Restored, model: str) -> "Comparison":
        """A photograph restored by ``model``, with its caption and credit."""
        title, credit = f"{model}, {restored.job.title}", CREDITS[restored.job.name]
        return cls(title, restored.lr, restored.answer, restored.truth, restored.reference, credit)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the answer."""
        return self.after.shape[0], self.after.shape[1]

    @property
    def uris(self) -> dict[str, str]:
        """Data URIs: the grey image as it went in, lossless; the answer and the photograph as WebP."""
        found = {"before": _uri(self.before, lossless=True), "after": _uri(self.after), "truth": _uri(self.truth)}
        return found if self.reference is None else found | {"reference": _uri(self.reference)}


def _uri(image: ImageArray, lossless: bool = False) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=QUALITY, lossless=lossless, method=5)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
