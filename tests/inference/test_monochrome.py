"""References without colours of their own are known by what they show, not by their mode."""

import io

import numpy as np
import pytest
from PIL import Image

from edge_scs.inference.monochrome import is_monochrome
from edge_scs.samples import photograph


def toned(image, *tint):
    luma = image @ np.array([0.299, 0.587, 0.114])
    return np.clip(np.rint(luma[..., None] * tint), 0, 255).astype(np.uint8)


def as_jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_colour_photographs_have_colours(name):
    image = np.asarray(photograph(name))
    assert not is_monochrome(image)
    assert not is_monochrome(as_jpeg(image, 75))
    assert not is_monochrome(image.astype(np.uint16) * 257)


@pytest.mark.parametrize("tint", [(1, 1, 1), (1.07, 0.99, 0.82), (0.9, 1.0, 1.05)])
@pytest.mark.parametrize("quality", [75, 95])
def test_grey_and_evenly_toned_scans_have_none(tint, quality):
    image = toned(np.asarray(photograph("astronaut")), *tint)
    assert is_monochrome(image)
    assert is_monochrome(as_jpeg(image, quality))
    assert is_monochrome(image.astype(np.uint16) * 257)


@pytest.mark.parametrize("chroma", [(0.0, -0.344136, 1.772), (1.402, -0.714136, 0.0)], ids=["Cb", "Cr"])
def test_colours_in_one_plane_of_chroma_are_colours(chroma):
    """Rows of one luma, columns of one chroma: luma says nothing about it."""
    luma = np.repeat(np.linspace(60, 200, 32)[:, None], 32, axis=1)
    signs = np.where(np.arange(32) < 16, 1, -1)
    image = luma[..., None] + 6 * signs[:, None] * np.array(chroma)
    assert not is_monochrome(np.rint(image).astype(np.uint8))
    assert is_monochrome(np.rint(luma[..., None] + 6 * np.array(chroma)).astype(np.uint8))
