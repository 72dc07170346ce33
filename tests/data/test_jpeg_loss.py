"""JPEG's loss against Pillow's files."""

import io

import numpy as np
import pytest
from PIL import Image

from edge_scs.data.jpeg_loss import through_jpeg


@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 95, 100])
@pytest.mark.parametrize("size", [(56, 64), (33, 41), (5, 3)])
def test_it_is_what_a_file_would_leave(photograph, quality, size):
    """But for coefficients near halfway between two steps, which libjpeg's whole numbers round elsewhere."""
    grey = np.ascontiguousarray(photograph[100 : 100 + size[0], 180 : 180 + size[1], 1])
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=quality)
    theirs = np.asarray(Image.open(buffer)).astype(float)
    off = through_jpeg(grey, quality) - theirs
    assert np.abs(off).mean() < max(0.12 * np.abs(theirs - grey).mean(), 0.4)
    assert (np.abs(off) > 1).mean() < 0.08
    assert abs(off.mean()) < 0.07
