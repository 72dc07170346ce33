"""What runs a network on whole images: one contract for torch, for exported programs of one size, and of any size."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edge_scs.errors import InputError
from edge_scs.imaging.arrays import ImageArray, check_image, saturated
from edge_scs.imaging.sizes import DEFAULT_SCALE, check_size
from edge_scs.inference.hint_points import check_hints
from edge_scs.inference.request import Options, Request

Progress = Callable[[int, int], None]


class Engine(ABC):
    """The base of ``predictor.Predictor``, ``fixed.FixedPredictor`` and ``continuous.ContinuousPredictor``.

    They say what they are (``name`` in messages, ``identity`` in journals), what they can serve, and how rows are made.
    """

    name: str
    takes_reference: bool
    takes_hints: bool = False
    no_hints = "takes no colour hints; drop --hint or choose another model"
    no_reference = "has no reference branch; drop --reference or choose another model"

    @property
    @abstractmethod
    def identity(self) -> str:
        """The same for the same network with the same weights: results may be taken over from an earlier run."""

    @property
    def default_scale(self) -> float:
        """The magnification where none is requested."""
        return DEFAULT_SCALE

    def enhance(
        self,
        image: ImageArray,
        size: tuple[int, int],
        reference: ImageArray | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> ImageArray:
        """Grey (h, w) or RGB (h, w, 3) of 8 or 16 bits, size (H, W) -> RGB (H, W, 3) of the same depth.

        ``reference`` is an RGB image of any size, ``options`` are the fields of ``Options``. ``progress`` is called
        with what is done and what there is to do, in units of the engine. Raises InputError for a size, reference or
        option that the network cannot serve.
        """
        request = Request(image, size, reference, Options.of(options))
        self.check(request)
        out = np.empty((*size, 3), image.dtype)
        row = 0
        for strip in self.strips(request, progress):
            out[row : row + len(strip)] = strip
            row += len(strip)
        return out

    def strips(self, request: Request, progress: Progress | None = None) -> Iterator[ImageArray]:
        """``enhance`` from top to bottom: RGB (rows, W, 3), which add up to H rows."""
        self.check(request)
        for strip in self._strips(request, progress):
            yield saturated(strip, request.options.vividness)

    def check(self, request: Request) -> None:
        """Raise InputError for what this engine cannot do with this image."""
        check_image(request.image)
        check_size(request.size)
        if request.reference is not None:
            check_image(request.reference)
        self.check_options(request.options, request.reference is not None)
        h, w = request.image.shape[:2]
        check_hints(request.options.hints, (h, w))
        self._check_magnification((h, w), request.size)

    def check_options(self, options: Options, reference: bool, scale: float | None = None) -> None:
        """Raise InputError for what this engine cannot do with any image."""
        if reference and options.keep_colour:
            raise InputError("keep-colour and reference exclude each other: the colours are kept or borrowed")
        if options.hints and options.keep_colour:
            raise InputError("keep-colour and hints exclude each other: the colours are kept or given")
        if options.hints and not self.takes_hints:
            raise InputError(f"{self.name}: {self.no_hints}")
        if reference and not self.takes_reference:
            raise InputError(f"{self.name}: {self.no_reference}")
        if scale is not None:
            self._check_scale(scale)

    @abstractmethod
    def _check_scale(self, scale: float) -> None: ...

    @abstractmethod
    def _check_magnification(self, lr: tuple[int, int], size: tuple[int, int]) -> None: ...

    @abstractmethod
    def _strips(self, request: Request, progress: Progress | None) -> Iterator[ImageArray]: ...
