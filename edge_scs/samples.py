"""Photographs that need no download: those of scikit-image and scikit-learn, and one old photograph of our own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_scs.images import write_image

ImageArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """One photograph to restore: made small and grey by ``scale``, restored by the same."""

    name: str
    scale: float
    referential: bool

    @property
    def title(self) -> str:
        return f"{'reference-guided' if self.referential else 'automatic'}, x{self.scale:g}"


# A real old photograph: grey, scanned small, compressed. Nobody knows its colours, so nothing is measured on it.
# Abraham Lincoln, by Alexander Gardner, 8 November 1863, public domain.
OLD = "lincoln"
# Where the photographs come from: both packages carry them in their wheels.
CREDITS = {
    "china": "china.jpg of scikit-learn, CC BY 2.0, danielbuechele",
    "flower": "flower.jpg of scikit-learn, CC BY 2.0, vultilion",
    "astronaut": "astronaut of scikit-image, NASA, public domain",
    "chelsea": "chelsea of scikit-image, CC0, Stéfan van der Walt",
    "coffee": "coffee of scikit-image, CC0, Rachel Michetti",
    "rocket": "rocket of scikit-image, SpaceX, public domain",
}


def photograph(name: str) -> ImageArray:
    """uint8 RGB (h, w, 3): "china" and "flower" (scikit-learn), "lincoln" (ours), others from scikit-image's wheel."""
    if name == OLD:
        with Image.open(Path(__file__).with_name(f"{OLD}.jpg")) as image:
            return np.array(image.convert("RGB"))
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return np.array(load_sample_image(f"{name}.jpg"))
    from skimage import data

    return np.array(getattr(data, name)())


@dataclass
class Restored:
    """One row of the sheet: uint8 grey LR (h, w), and uint8 RGB (H, W, 3) answer and truth."""

    job: Job
    lr: ImageArray
    answer: ImageArray
    truth: ImageArray
    reference: ImageArray | None


def restore(job: Job, enhance: Callable[..., ImageArray], folder: Path | None = None) -> Restored:
    """Make a small grey image of a photograph and restore it; with a ``folder``, write both there."""
    truth = photograph(job.name)
    h, w = truth.shape[:2]
    grey = Image.fromarray(truth).convert("L")
    lr = np.array(grey.resize((round(w / job.scale), round(h / job.scale)), Image.Resampling.BICUBIC))
    reference = None
    if job.referential:
        # The same scene from the other side: where things are has to be found, not copied.
        reference = np.array(Image.fromarray(truth[:, ::-1]).resize((128, 128), Image.Resampling.BICUBIC))
    answer = enhance(lr, (h, w), reference)
    if folder is not None:
        if reference is not None:
            write_image(folder / f"{job.name}-reference.png", reference)
        write_image(folder / f"{job.name}-grey.png", lr)
        write_image(folder / f"{job.name}-x{job.scale:g}.png", answer)
    return Restored(job, lr, answer, truth, reference)
