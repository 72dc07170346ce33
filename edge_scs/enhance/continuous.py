"""An exported continuous program applied to pictures: any size, any magnification, the same picture as torch's.

The program's methods are driven by ``export.continuous``; chroma is computed once for the whole picture and texture by
tiles that see what the whole picture would show them, as in ``predictor.Predictor``.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.enhance.enhancer import Progress
from edge_scs.enhance.pictures import (
    Picture,
    as_grey,
    as_rgb,
    check_picture,
    enlarge_part,
    shrink_reference,
    strips_of,
    to_tensor,
)
from edge_scs.enhance.sizes import DEFAULT_SCALE, MAX_SCALE, MIN_SCALE
from edge_scs.errors import InputError
from edge_scs.export.driver import ContinuousProgram
from edge_scs.export.executorch import PteProgram
from edge_scs.export.manifest import Manifest, artifact_sha256

_CPU = torch.device("cpu")


class ContinuousPredictor:
    """Runs a continuous .pte by ExecuTorch. The same calls as ``Predictor``.

    Raises InputError for a file that is no such program. ``threads`` sets ExecuTorch's pool, for the whole process.
    """

    def __init__(self, artifact: Path, manifest: Manifest, threads: int | None = None):
        if manifest.continuous is None:
            raise InputError(f"{artifact}: was exported for fixed sizes; export the preset xnnpack-continuous")
        if artifact_sha256(artifact) != manifest.sha256:
            raise InputError(f"{artifact}: differs from its manifest; export it again")
        self.artifact = artifact
        self.program = ContinuousProgram(PteProgram(artifact, threads), int(manifest.continuous["halo"]))

    @property
    def default_scale(self) -> float:
        return DEFAULT_SCALE

    @cached_property
    def identity(self) -> str:
        """The artifact's content."""
        return artifact_sha256(self.artifact)

    def enhance(
        self,
        picture: Picture,
        size: tuple[int, int],
        reference: Picture | None = None,
        keep_colour: bool = False,
        progress: Progress | None = None,
    ) -> Picture:
        """Grey (h, w) or RGB (h, w, 3) of 8 or 16 bits, size (H, W) -> RGB (H, W, 3) of the same depth.

        Options as in ``Predictor.enhance``. With ``keep_colour`` the luma of the program's answer is taken, which is
        clamped to RGB's range: strong colours may differ a little from torch's there.

        ``progress`` is called with (HR rows done, HR rows) as tiles are finished. Raises InputError for a size,
        reference or picture that the program cannot serve.
        """
        return np.concatenate(list(self.strips(picture, size, reference, keep_colour, progress)))

    def strips(
        self,
        picture: Picture,
        size: tuple[int, int],
        reference: Picture | None = None,
        keep_colour: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Picture]:
        """``enhance`` from top to bottom: RGB (rows, W, 3), which add up to H rows."""
        check_picture(picture)
        if reference is not None:
            check_picture(reference)
        self.check_options(reference is not None, keep_colour)
        h, w = picture.shape[:2]
        ratios = (size[0] / h, size[1] / w)
        if not all(MIN_SCALE <= ratio <= MAX_SCALE for ratio in ratios):
            raise InputError(
                f"{self.artifact}: magnifies by 1 to 8, not by {ratios[1]:.3g} across, {ratios[0]:.3g} down"
            )
        pieces = self._pieces(picture, size, ratios, reference, keep_colour, progress)
        yield from strips_of(pieces, self.program.row_stops(h, size[0]), size[1], picture.dtype)

    def _pieces(
        self,
        picture: Picture,
        size: tuple[int, int],
        ratios: tuple[float, float],
        reference: Picture | None,
        keep_colour: bool,
        progress: Progress | None,
    ) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        with torch.inference_mode():
            gray, chroma, own = self._inputs(picture, reference, keep_colour)
            for rows, cols, rgb in self.program.pieces(gray, chroma, size):
                if own:
                    parts = torch.stack([enlarge_part(plane, rows, cols, ratios) for plane in own])
                    rgb = ycc_to_rgb(torch.cat([rgb_to_ycc(rgb)[:, :1], parts[None]], dim=1))
                yield rows, cols, rgb
                if progress is not None and cols.stop == size[1]:
                    progress(rows.stop, size[0])

    def _inputs(
        self, picture: Picture, reference: Picture | None, keep_colour: bool
    ) -> tuple[torch.Tensor, torch.Tensor, list[Image.Image]]:
        """Luma, the chroma that the network sees, and the picture's own chroma planes where they are kept."""
        if keep_colour:
            ycc = rgb_to_ycc(to_tensor(as_rgb(picture), _CPU))
            return ycc[:, :1], ycc[:, 1:], [Image.fromarray(plane) for plane in ycc[0, 1:].numpy()]
        gray = to_tensor(as_grey(picture), _CPU)
        guide = None if reference is None else to_tensor(shrink_reference(reference), _CPU)
        return gray, self.program.chroma(gray, guide), []

    def check_options(self, reference: bool, keep_colour: bool, scale: float | None = None) -> None:
        """Raise InputError for what this program cannot do with any picture."""
        if reference and keep_colour:
            raise InputError("keep-colour and reference exclude each other: the colours are kept or borrowed")
        if reference and not self.program.takes_reference:
            raise InputError(
                f"{self.artifact}: was exported without its reference branch; set reference = true in the preset"
            )
        if scale is not None and not MIN_SCALE <= scale <= MAX_SCALE:
            raise InputError(f"{self.artifact}: magnifies by {MIN_SCALE:g} to {MAX_SCALE:g}, not by {scale:g}")
