"""References for evaluation, as SCSNet 4.2 has them: of the image itself, of another one, or given by the user.

"500 by self-referential elastic images; while 2,000 by randomly selecting other elastic images": a reference is made as
in training, 128 x 128, mirrored half of the time and elastically deformed. Drawn from the image's place in the folder,
so every evaluation of the same files sees the same references.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_scs.errors import InputError
from edge_scs.images import find_images, read_rgb

KINDS = ("self", "other")


class References:
    """``of(index)`` is the reference of ``files[index]``. ``kind`` is "self", "other" or a folder.

    A folder's images have the names of those they belong to, whatever their suffix, and are taken as they are. Raises
    InputError for a folder without an image for each file, and for "other" with a single one.
    """

    def __init__(self, kind: str, files: Sequence[Path]):
        self.kind, self.files = kind, files
        self.given: dict[str, Path] = {}
        if kind == "other" and len(files) < 2:
            raise InputError("--reference other: there is only one image; give self, or a folder of references")
        if kind not in KINDS:
            if not Path(kind).is_dir():
                raise InputError(f"--reference {kind}: no such folder; give one, or self or other")
            self.given = {path.stem: path for path in find_images([Path(kind)])}
            missing = [path.name for path in files if path.stem not in self.given]
            if missing:
                raise InputError(f"--reference {kind}: has no image for {missing[0]}; names must match (but suffixes)")

    def of(self, index: int) -> Tensor:
        """RGB (1, 3, h, w) in [0, 1]. Raises InputError when the image cannot be read."""
        if self.given:
            return _tensor(self.given[self.files[index].stem]).float() / 255
        from edge_scs.data.pairs import draw_references

        rng = np.random.default_rng([20220222, index])
        sources = [index]
        if self.kind == "other":
            sources = [(index + 1 + int(step)) % len(self.files) for step in rng.permutation(len(self.files) - 1)]
        plan = draw_references(1, 0.0, rng)
        for source in sources[:-1]:
            with contextlib.suppress(InputError):  # an image that cannot be read is nobody's reference
                return plan.make(_tensor(self.files[source]), slice(None))
        return plan.make(_tensor(self.files[sources[-1]]), slice(None))


def _tensor(file: Path) -> Tensor:
    return torch.from_numpy(read_rgb(file).copy()).permute(2, 0, 1)[None]
