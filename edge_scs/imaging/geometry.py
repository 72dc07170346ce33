"""Tags that count in the pixels of the old image, made true for the enlarged one or left out with a note.

GeoTIFF: OGC 19-008r4, 7.4 (ModelPixelScale, ModelTiepoint, ModelTransformation). EXIF 2.3: SubjectArea,
SubjectLocation, FocalPlaneXResolution. Descriptions that programs write for themselves, with the array's shape in them.
"""

import re
from typing import Any

_DESCRIPTION = 0x010E
_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, (34735, 34736, 34737)
_RATIONAL_POLYNOMIALS = 50844
_RASTER_TYPE, _IS_POINT = 1025, 2  # a key of the first of _GEO_KEYS, and its value
_SUBJECT_AREA, _SUBJECT_LOCATION, _FOCAL_X, _FOCAL_Y = 0x9214, 0xA214, 0xA20E, 0xA20F
# tifffile's JSON, ImageJ's list and OME's XML: the shape of the array that was written, and nothing for people.
_SHAPE = re.compile(r'\s*(\{\s*"(shape|axes)"|ImageJ=|<\?xml[^>]*\?>\s*(<!--.*?-->\s*)?<OME\b|<OME\b)', re.DOTALL)
_XMP_SIZES = {
    b"tiff:ImageWidth": 1, b"exif:PixelXDimension": 1, b"tiff:ImageLength": 0, b"exif:PixelYDimension": 0,
}  # fmt: skip


def corrected(tags: dict[int, Any], ratios: tuple[float, float], upright: bool, notes: list[str]) -> dict[int, Any]:
    """Tags (number -> value) for an image enlarged by ``ratios`` (down, across); ``upright``: it was not turned."""
    tags, (down, across) = dict(tags), ratios
    if (down, across) == (1.0, 1.0) and upright:
        return tags
    if isinstance(text := tags.get(_DESCRIPTION), str) and _SHAPE.match(text):
        del tags[_DESCRIPTION]
        notes.append("ImageDescription left out: it described the array of the source")
    geo = {_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION} & set(tags)
    if _RATIONAL_POLYNOMIALS in tags or (geo and not upright):
        for tag in (*geo, *_GEO_KEYS, _RATIONAL_POLYNOMIALS):
            tags.pop(tag, None)
        notes.append("GeoTIFF position left out: it is that of the source's pixels")
    elif geo:
        _place(tags, down, across)
    for tag in (_SUBJECT_AREA, _SUBJECT_LOCATION):
        if tag in tags and not upright:
            del tags[tag]
            notes.append("the subject's place left out: the image was turned")
        elif tag in tags:  # x, y, then nothing, a diameter, or width and height
            factors = (across, down, across, down)
            tags[tag] = tuple(min(65535, round(v * k)) for v, k in zip(tags[tag], factors, strict=False))
    for tag, ratio in ((_FOCAL_X, across if upright else down), (_FOCAL_Y, down if upright else across)):
        if tag in tags:
            tags[tag] = float(tags[tag]) * ratio
    return tags


def _place(tags: dict[int, Any], down: float, across: float) -> None:
    """The GeoTIFF tags of an image whose pixels have become smaller.

    Positions count from the upper left corner of the image, or, where the raster type is "pixel is point", from the
    centre of its first pixel, which the enlarged image has elsewhere.
    """
    keys = tags.get(_GEO_KEYS[0], ())
    centres = any(keys[n] == _RASTER_TYPE and keys[n + 3] == _IS_POINT for n in range(4, len(keys) - 3, 4))
    shifts = [(ratio - 1) / 2 if centres else 0.0 for ratio in (across, down)]  # new = old * ratio + shift
    if _PIXEL_SCALE in tags:
        x, y, *rest = (float(value) for value in tags[_PIXEL_SCALE])
        tags[_PIXEL_SCALE] = (x / across, y / down, *rest)
    if _TIE_POINTS in tags:  # (i, j, k, x, y, z) for each point, i and j in pixels
        factors, added = (across, down, 1, 1, 1, 1), (*shifts, 0, 0, 0, 0)
        tags[_TIE_POINTS] = tuple(float(v) * factors[n % 6] + added[n % 6] for n, v in enumerate(tags[_TIE_POINTS]))
    if _TRANSFORMATION in tags:  # 4 x 4, row by row: its first column multiplies i, its second j, its fourth is added
        old = [float(value) for value in tags[_TRANSFORMATION]]
        new = []
        for a, b, c, d in (old[n : n + 4] for n in range(0, 16, 4)):
            new += [a / across, b / down, c, d - a * shifts[0] / across - b * shifts[1] / down]
        tags[_TRANSFORMATION] = tuple(new)


def corrected_xmp(xmp: bytes, size: tuple[int, int], dpi: tuple[float, float] | None) -> bytes:
    """An XMP packet for an image of ``size`` (H, W): its sizes and resolutions are those of the result."""
    values = {name: b"%d" % size[axis] for name, axis in _XMP_SIZES.items()}
    if dpi is not None:
        values |= {b"tiff:XResolution": b"%d/10000" % round(dpi[0] * 10000)}
        values |= {b"tiff:YResolution": b"%d/10000" % round(dpi[1] * 10000), b"tiff:ResolutionUnit": b"2"}
    for name, value in values.items():
        pattern = rb"(%s\s*=\s*[\"']|<%s>\s*)[\d/.]+" % (name, name)

        def put(match: re.Match[bytes], value: bytes = value) -> bytes:
            return match[1] + value

        xmp = re.sub(pattern, put, xmp)
    return xmp
