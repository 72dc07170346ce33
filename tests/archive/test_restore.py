"""One image from file to file where its axes grow by different ratios: nothing may take one axis for the other."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archive.repeat import Repeat
from fuzz.mixed import photo, png
from PIL import Image

from edge_scs.archive.restore import Wanted, restore
from edge_scs.errors import InputError
from edge_scs.inference.request import Options

KEEP = Options(keep_colour=True)


class Strips(Repeat):
    """Hands out the image in strips of three rows."""

    def _strips(self, *given: object) -> Iterator[np.ndarray]:
        for whole in super()._strips(*given):
            yield from (whole[top : top + 3] for top in range(0, len(whole), 3))


@pytest.mark.parametrize("size", [(20, 64), (40, 16), (30, 24)])
def test_alpha_grows_by_the_ratio_of_its_axis(tmp_path: Path, size: tuple[int, int]) -> None:
    alpha = np.tile(np.linspace(20, 250, 10), (16, 1)) * np.linspace(0.2, 1, 16)[:, None]
    rgba = np.dstack([photo(16, 1)[:, :10], alpha.astype(np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    restore(tmp_path / "a.png", tmp_path / "b.png", Strips(), Wanted(size=size, options=KEEP))
    with Image.open(tmp_path / "b.png") as image:
        out = np.asarray(image)
    expected = Image.fromarray(alpha.astype(np.uint8).astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    assert out.shape == (size[1], size[0], 4)
    assert np.abs(out[..., 3] - np.asarray(expected).clip(0, 255)).max() <= 1


@pytest.mark.parametrize("depth", [1, 257])
def test_opaque_pixels_are_untouched(tmp_path: Path, depth: int) -> None:
    pixels = photo(16, 1)[:12].astype(np.uint16 if depth > 1 else np.uint8) * depth
    opaque = np.full((*pixels.shape[:2], 1), 255 * depth, pixels.dtype)
    for planes in (pixels, np.dstack([pixels, opaque])):
        (tmp_path / "a.png").write_bytes(png(planes))
        restore(tmp_path / "a.png", tmp_path / "b.tif", Strips(), Wanted(size=(32, 36), options=KEEP))
        import tifffile

        out = tifffile.imread(tmp_path / "b.tif")
        assert out.shape == (36, 32, planes.shape[2])
        assert np.array_equal(out[::3, ::2], planes)


def test_nothing_is_written_where_anything_fails(tmp_path: Path) -> None:
    class Broken(Repeat):
        def _strips(self, *given: object) -> Iterator[np.ndarray]:
            for whole in super()._strips(*given):
                yield whole[:2]
                raise MemoryError

    Image.fromarray(photo(16, 1)).save(tmp_path / "a.png")
    for suffix in (".png", ".tif", ".jpg"):
        with pytest.raises(MemoryError):
            restore(tmp_path / "a.png", tmp_path / f"b{suffix}", Broken(), Wanted(scale=2.0))
    with pytest.raises(InputError, match="--max-output-pixels"):
        restore(tmp_path / "a.png", tmp_path / "b.png", Repeat(), Wanted(scale=2.0, max_output_pixels=1000))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_what_is_special_is_returned(tmp_path: Path) -> None:
    first = Image.fromarray(photo(8, 1))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[Image.fromarray(255 - photo(8, 1))])
    assert restore(tmp_path / "a.gif", tmp_path / "b.png", Repeat(), Wanted()) == ["the first of 2 frames"]
