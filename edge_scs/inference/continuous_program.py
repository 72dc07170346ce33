"""An exported continuous program applied to images: any size, any magnification, the same image as torch's.

The program's methods are driven by ``artifacts.driver``; chroma is computed once for the whole image and texture by
tiles that see what the whole image would show them, as in ``predictor.Predictor``.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image

from edge_scs.artifacts.driver import ContinuousProgram
from edge_scs.artifacts.manifest import Manifest, artifact_sha256, takes_hints
from edge_scs.artifacts.pte import PteProgram
from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.errors import InputError
from edge_scs.imaging.arrays import (
    ImageArray,
    as_grey,
    as_rgb,
    enlarge_part,
    shrink_reference,
    strips_of,
    to_tensor,
)
from edge_scs.imaging.sizes import MAX_SCALE, MIN_SCALE
from edge_scs.inference.engine import Engine, Progress
from edge_scs.inference.hint_points import planes_of
from edge_scs.inference.request import Request
from edge_scs.models.colour import answer_size

_CPU = torch.device("cpu")


class ContinuousPredictor(Engine):
    """Runs a continuous .pte by ExecuTorch.

    With ``keep_colour`` the luma of the program's answer is taken, which is clamped to RGB's range: strong colours may
    differ a little from torch's there. Progress counts HR rows.

    Raises InputError for a file that is no such program. ``threads`` sets ExecuTorch's pool, for the whole process.
    """

    no_hints = "was exported without an input for hints; set hints = true in the preset"
    no_reference = "was exported without its reference branch; set reference = true in the preset"

    def __init__(self, artifact: Path, manifest: Manifest, threads: int | None = None):
        if manifest.continuous is None:
            raise InputError(f"{artifact}: was exported for fixed sizes; export the preset xnnpack-continuous")
        if artifact_sha256(artifact) != manifest.sha256:
            raise InputError(f"{artifact}: differs from its manifest; export it again")
        self.name, self.artifact = str(artifact), artifact
        self.takes_hints = takes_hints(manifest)
        halo = int(manifest.continuous["halo"])
        self.program = ContinuousProgram(PteProgram(artifact, threads), halo, self.takes_hints)
        self.takes_reference = self.program.takes_reference

    @cached_property
    def identity(self) -> str:
        """The artifact's content."""
        return artifact_sha256(self.artifact)

    def _strips(self, request: Request, progress: Progress | None) -> Iterator[ImageArray]:
        rows, size = request.image.shape[0], request.size
        stops = self.program.row_stops(rows, size[0])
        yield from strips_of(self._pieces(request, progress), stops, size[1], request.image.dtype)

    def _pieces(self, request: Request, progress: Progress | None) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        size, (h, w) = request.size, request.image.shape[:2]
        ratios = (size[0] / h, size[1] / w)
        with torch.inference_mode():
            gray, chroma, own = self._inputs(request)
            for rows, cols, rgb in self.program.pieces(gray, chroma, size):
                if own:
                    parts = torch.stack([enlarge_part(plane, rows, cols, ratios) for plane in own])
                    rgb = ycc_to_rgb(torch.cat([rgb_to_ycc(rgb)[:, :1], parts[None]], dim=1))
                yield rows, cols, rgb
                if progress is not None and cols.stop == size[1]:
                    progress(rows.stop, size[0])

    def _inputs(self, request: Request) -> tuple[torch.Tensor, torch.Tensor, list[Image.Image]]:
        """Luma, the chroma that the network sees, and the image's own chroma planes where they are kept."""
        if request.options.keep_colour:
            ycc = rgb_to_ycc(to_tensor(as_rgb(request.image), _CPU))
            return ycc[:, :1], ycc[:, 1:], [Image.fromarray(plane) for plane in ycc[0, 1:].numpy()]
        gray = to_tensor(as_grey(request.image), _CPU)
        guide = None if request.reference is None else to_tensor(shrink_reference(request.reference), _CPU)
        hints = None
        if self.takes_hints:
            lr = (gray.shape[-2], gray.shape[-1])
            hints = planes_of(request.options.hints, lr, answer_size(lr))
        return gray, self.program.chroma(gray, guide, hints), []

    def _check_scale(self, scale: float) -> None:
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise InputError(f"{self.artifact}: magnifies by {MIN_SCALE:g} to {MAX_SCALE:g}, not by {scale:g}")

    def _check_magnification(self, lr: tuple[int, int], size: tuple[int, int]) -> None:
        ratios = (size[0] / lr[0], size[1] / lr[1])
        if not all(MIN_SCALE <= ratio <= MAX_SCALE for ratio in ratios):
            raise InputError(
                f"{self.artifact}: magnifies by 1 to 8, not by {ratios[1]:.3g} across, {ratios[0]:.3g} down"
            )
