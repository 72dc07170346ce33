"""An exported artifact of one fixed size applied to images of any size.

The artifact contains the whole network, colour included, and sees one tile at a time: unlike ``predictor.Predictor``
it cannot compute chroma once for the whole image. Tiles therefore overlap and are blended linearly, which hides the
seams but not that two distant tiles may have chosen different colours for one wall. For an image of exactly the
artifact's size there is one tile, and nothing of this applies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edge_scs.artifacts.manifest import artifact_sha256, read_manifest, takes_hints
from edge_scs.artifacts.pte import PteProgram
from edge_scs.color import rgb_to_ycc, ycc_to_rgb
from edge_scs.errors import InputError
from edge_scs.imaging.arrays import (
    ImageArray,
    as_grey,
    as_rgb,
    enlarge_part,
    shrink_reference,
    to_image,
    to_tensor,
)
from edge_scs.inference.engine import Engine, Progress
from edge_scs.inference.hint_points import Hint, planes_of
from edge_scs.inference.request import Options, Request
from edge_scs.inference.tiles import fixed_axis, span_of
from edge_scs.models import registry
from edge_scs.models.colour import answer_size

_CPU = torch.device("cpu")


class FixedPredictor(Engine):
    """Runs a .pte (its manifest lies beside it) by ExecuTorch; one scale only.

    With ``keep_colour`` the luma of the artifact's answer is taken. A smaller image than the artifact's is continued
    by its border pixels. Progress counts tiles.

    Raises InputError for a file that is no such artifact, or when executorch is not installed. ``threads`` sets
    ExecuTorch's pool, for the whole process.
    """

    no_hints = "was exported without an input for hints; set hints = true in the preset"
    no_reference = "was exported without a reference input; drop --reference"

    def __init__(self, artifact: Path, threads: int | None = None):
        manifest = read_manifest(artifact)
        if manifest.target != "executorch":
            raise InputError(f"{artifact}: is a {manifest.target} artifact; give one exported for executorch")
        if manifest.backend not in ("", "xnnpack"):
            raise InputError(
                f"{artifact}: was lowered for {manifest.backend}, which does not run here; give an xnnpack one"
            )
        if manifest.model not in registry.MODELS:
            raise InputError(
                f"{artifact}: made from {manifest.model}, which this version does not know; export it again"
            )
        if artifact_sha256(artifact) != manifest.sha256:
            raise InputError(f"{artifact}: differs from its manifest; export it again")
        self.name, self.artifact = str(artifact), artifact
        self.network, self._manifest_halo = manifest.model, manifest.halo
        self.program = PteProgram(artifact, threads)
        try:
            (_, self.channels, *lr), *rest = self.program.inputs
            (_, three, *hr), *_ = self.program.outputs
            self.lr, self.hr = (lr[0], lr[1]), (hr[0], hr[1])
        except (ValueError, IndexError) as error:
            raise InputError(f"{artifact}: does not take and return images; export a model of ours") from error
        self.takes_hints = takes_hints(manifest)
        reference = rest[: len(rest) - self.takes_hints]
        if self.channels not in (1, 3) or three != 3 or len(reference) > 1:
            raise InputError(f"{artifact}: does not turn one image into an RGB image; export a model of ours")
        self.takes_reference = bool(reference)
        self.reference_size = (reference[0][-2], reference[0][-1]) if reference else None
        self.ratios = (Fraction(self.hr[0], self.lr[0]), Fraction(self.hr[1], self.lr[1]))

    @cached_property
    def halo(self) -> int:
        """Of the network that was exported, in LR pixels. Only images larger than the artifact's ask for it."""
        if self._manifest_halo is not None:
            return self._manifest_halo
        with torch.random.fork_rng(devices=[]):
            return registry.describe(self.network, registry.create(self.network)).halo

    @cached_property
    def identity(self) -> str:
        """The artifact's content."""
        return artifact_sha256(self.artifact)

    @property
    def default_scale(self) -> float:
        return float(self.ratios[0])

    def _strips(self, request: Request, progress: Progress | None) -> Iterator[ImageArray]:
        image, size, keep_colour = request.image, request.size, request.options.keep_colour
        seen = as_grey(image) if self.channels == 1 or not keep_colour else as_rgb(image)
        seen = seen if self.channels == 1 else as_rgb(seen)
        guide = []
        if request.reference is not None and self.reference_size is not None:
            guide = [to_tensor(shrink_reference(request.reference, self.reference_size), _CPU)]
        hints = request.options.hints if self.takes_hints else None
        own = image if keep_colour and self.channels == 1 else None
        ratios = (size[0] / image.shape[0], size[1] / image.shape[1])
        for start, strip in self._rows(seen, guide, hints, progress):
            rows = slice(start, min(start + strip.shape[0], size[0]))
            if rows.stop <= rows.start:
                continue
            rgb = torch.from_numpy(strip[: rows.stop - start, : size[1]]).permute(2, 0, 1)[None]
            if own is not None:
                rgb = _with_chroma(rgb, own, rows, ratios)
            yield to_image(rgb, image.dtype)

    def check_options(self, options: Options, reference: bool, scale: float | None = None) -> None:
        super().check_options(options, reference, scale)
        if self.takes_reference and not reference:
            raise InputError(f"{self.artifact}: was exported with a reference input; give --reference")

    def _check_scale(self, scale: float) -> None:
        if any(abs(scale - ratio) > 0.005 for ratio in self.ratios):
            raise self._other_scale()

    def _check_magnification(self, lr: tuple[int, int], size: tuple[int, int]) -> None:
        own = (round(lr[0] * self.ratios[0]), round(lr[1] * self.ratios[1]))
        if size != own:
            raise self._other_scale()

    def _other_scale(self) -> InputError:
        down, across = (f"x{float(ratio):.4g}" for ratio in self.ratios)
        way = down if down == across else f"{across} across and {down} down"
        return InputError(f"{self.artifact}: only magnifies by {way}, the scale it was exported for")

    def _rows(
        self,
        seen: ImageArray,
        guide: list[torch.Tensor],
        hints: Sequence[Hint] | None,
        progress: Progress | None,
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Finished HR rows from top to bottom: (first row, RGB (rows, at least W, 3) in [0, 1])."""
        (tops, weights_y), (lefts, weights_x) = self._axis(seen.shape[0], 0), self._axis(seen.shape[1], 1)
        reach = (tops[-1] + self.lr[0], lefts[-1] + self.lr[1])
        strip = np.zeros((self.hr[0], int(reach[1] * self.ratios[1]), 3), np.float32)
        for i, top in enumerate(tops):
            if i:
                done = int((top - tops[i - 1]) * self.ratios[0])
                yield int(tops[i - 1] * self.ratios[0]), strip[:done]
                strip = np.concatenate([strip[done:], np.zeros((done, *strip.shape[1:]), np.float32)])
            for j, left in enumerate(lefts):
                part = _continued(seen[top : top + self.lr[0], left : left + self.lr[1]], self.lr)
                inputs = [to_tensor(part, _CPU), *guide]
                if hints is not None:
                    inputs.append(self._planes(hints, top, left))
                rgb = self.program.run(inputs)[0][0].permute(1, 2, 0).numpy()
                x = int(left * self.ratios[1])
                strip[:, x : x + self.hr[1]] += rgb * weights_y[i][:, None, None] * weights_x[j][None, :, None]
                if progress is not None:
                    progress(i * len(lefts) + j + 1, len(tops) * len(lefts))
        yield int(tops[-1] * self.ratios[0]), strip

    def _planes(self, hints: Sequence[Hint], top: int, left: int) -> torch.Tensor:
        """The hints that lie in a tile, as the tile's own."""
        h, w = self.lr
        own = [
            replace(hint, x=hint.x - left, y=hint.y - top)
            for hint in hints
            if 0 <= hint.x - left < w and 0 <= hint.y - top < h
        ]
        return planes_of(own, self.lr, answer_size(self.lr))

    def _axis(self, length: int, axis: int) -> tuple[list[int], NDArray[np.float32]]:
        """Tile starts in LR pixels, whose HR positions are whole, and the tiles' HR weights."""
        found = fixed_axis(length, self.lr[axis], self.ratios[axis], self.halo if length > self.lr[axis] else 0)
        if found is None:
            h, w = self.lr
            raise InputError(f"{self.artifact}: only takes images up to {w}x{h} at this scale; export a whole scale")
        return found


def _with_chroma(rgb: torch.Tensor, own: ImageArray, rows: slice, ratios: tuple[float, float]) -> torch.Tensor:
    """HR rows (1, 3, rows, W) with the LR image's own chroma, enlarged, in place of what the artifact chose."""
    around = span_of(rows.start, rows.stop, own.shape[0], ratios[0], halo=2)
    chroma = rgb_to_ycc(to_tensor(as_rgb(own[around.low : around.high]), _CPU))[0, 1:]
    planes = [Image.fromarray(plane) for plane in chroma.numpy()]
    parts = [enlarge_part(plane, rows, slice(0, rgb.shape[-1]), ratios, (around.low, 0)) for plane in planes]
    return ycc_to_rgb(torch.cat([rgb_to_ycc(rgb)[:, :1], torch.stack(parts)[None]], dim=1))


def _continued(part: ImageArray, size: tuple[int, int]) -> ImageArray:
    """Repeat the last row and column until the image has this size."""
    missing = ((0, size[0] - part.shape[0]), (0, size[1] - part.shape[1]), (0, 0))
    return np.pad(part, missing[: part.ndim], mode="edge")
