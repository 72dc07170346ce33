"""Whether a reference has colours to give. One without is ignored with a warning: it would only remove colour."""

import numpy as np
from PIL import Image

from edge_scs.color import RGB_TO_YCC
from edge_scs.imaging.arrays import ImageArray

NO_COLOUR = "has no colours of its own (grey, or one tone such as sepia); ignored, colours are automatic"
# Levels (8 bits) that chroma deviates from a function of luma: 0 to 1.3 in grey and evenly toned scans, at least
# 1.57 in each of 1,150 colour photographs.
_DEVIATION, _SIDE, _DEGREE = 1.5, 128, 3


def is_monochrome(reference: ImageArray) -> bool:
    """Whether the chroma of RGB (h, w, 3), 8 or 16 bits, is nothing but a function of its luma: grey, sepia, duotone.

    The reference is averaged down to 128 pixels, which leaves no noise, and a cubic polynomial of luma is fitted.
    """
    if reference.dtype != np.uint8:
        reference = (reference >> 8).astype(np.uint8)
    small = Image.fromarray(reference)
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    luma, *chroma = np.array(RGB_TO_YCC) @ np.asarray(small, np.float64).reshape(-1, 3).T
    powers = np.vander(luma / 255, _DEGREE + 1)
    errors = [plane - powers @ np.linalg.lstsq(powers, plane, rcond=None)[0] for plane in chroma]
    return float(np.sqrt(np.mean(np.square(errors)) * len(errors))) < _DEVIATION
