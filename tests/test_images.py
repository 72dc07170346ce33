"""Images in and out: what every kind of file becomes, and what every kind of broken file says."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from edge_scs import images
from edge_scs.errors import InputError
from edge_scs.images import find_images, read_grey, read_rgb, write_image


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.astronaut()[40:136, 160:288]


def refused(call, path: Path, *words: str) -> None:
    """The call raises InputError: one line that names the file, and the words."""
    with pytest.raises(InputError) as caught:
        call(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
def test_lossless_formats_return_what_was_written(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, photo)
    assert np.array_equal(read_rgb(path), photo)
    write_image(path, photo[..., 1])
    assert np.array_equal(read_grey(path), photo[..., 1])
    assert np.array_equal(read_rgb(path)[..., 2], photo[..., 1])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_formats_stay_close_in_colour_too(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, photo)
    back = read_rgb(path)
    assert back.shape == photo.shape
    assert np.abs(back.astype(int) - photo).mean() < 4


def test_jpeg_keeps_whole_chroma_at_quality_95(tmp_path: Path, photo: np.ndarray) -> None:
    write_image(tmp_path / "a.jpg", photo)
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
        assert max(image.quantization[0]) <= 12


def test_grey_is_what_pillow_calls_luma(tmp_path: Path, photo: np.ndarray) -> None:
    write_image(tmp_path / "a.png", photo)
    assert np.array_equal(read_grey(tmp_path / "a.png"), np.array(Image.fromarray(photo).convert("L")))


def test_exif_orientation_turns_the_image(tmp_path: Path, photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held a quarter turn to the left
    for name in ("a.png", "a.tif", "a.jpg"):
        Image.fromarray(photo).save(tmp_path / name, exif=exif, quality=95, subsampling=0)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), np.rot90(photo, -1))
    assert np.array_equal(read_rgb(tmp_path / "a.tif"), np.rot90(photo, -1))
    assert np.abs(read_rgb(tmp_path / "a.jpg").astype(int) - np.rot90(photo, -1)).mean() < 4


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 257, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    assert read_grey(tmp_path / f"a{suffix}").tolist() == [[0, 0, 1, 128, 255]]
    assert read_rgb(tmp_path / f"a{suffix}").tolist() == [[[v] * 3 for v in (0, 0, 1, 128, 255)]]


def test_sixteen_bit_white_is_zero_is_inverted(tmp_path: Path) -> None:
    values = np.array([[0, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "a.tif") as image:
        assert image.tag_v2[262] == 0
    assert read_grey(tmp_path / "a.tif").tolist() == [[255, 0]]


def test_twelve_bit_grey_uses_its_own_range(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    packed = bytes([0xFF, 0xF0, 0x00])  # two pixels, 4095 and 0
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 1)]
    tags.append((279, 4, len(packed)))
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", 12) + packed + b"\0" + directory + struct.pack("<I", 0))
    assert read_grey(path).tolist() == [[255, 0]]


def test_transparency_becomes_white_paper(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = (0, 255, 128)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png")[0, :, 0].tolist() == [255, 0, 127]
    Image.fromarray(rgba[..., [0, 3]], "LA").save(tmp_path / "b.png")
    assert read_grey(tmp_path / "b.png").tolist() == [[255, 0, 127]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "c.png", transparency=1)
    assert read_rgb(tmp_path / "c.png").tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_palette_bilevel_and_cmyk_become_rgb(tmp_path: Path, photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    image.quantize(64).save(tmp_path / "p.png")
    assert np.array_equal(read_rgb(tmp_path / "p.png"), np.array(image.quantize(64).convert("RGB")))
    image.convert("1").save(tmp_path / "b.tif")
    assert np.array_equal(read_grey(tmp_path / "b.tif"), np.array(image.convert("1").convert("L")))
    image.convert("CMYK").save(tmp_path / "c.tif")
    assert np.abs(read_rgb(tmp_path / "c.tif").astype(int) - photo).max() <= 1


def test_of_several_frames_the_first_is_read(tmp_path: Path, photo: np.ndarray) -> None:
    first, second = Image.fromarray(photo), Image.fromarray(255 - photo)
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])
    assert np.array_equal(read_rgb(tmp_path / "pages.tif"), photo)
    first.save(tmp_path / "phone.mpo", save_all=True, append_images=[second], quality=95)
    (tmp_path / "phone.mpo").rename(tmp_path / "phone.jpg")  # what many telephones write
    assert np.abs(read_rgb(tmp_path / "phone.jpg").astype(int) - photo).mean() < 6


def test_ranges_nobody_knows_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "f.tif")
    refused(read_grey, tmp_path / "f.tif", "8 or 16 bits")


def test_sound_files_of_kinds_that_are_not_read_are_not_called_damaged(tmp_path: Path, photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    image.convert("LAB").save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="its colours are CIELAB, which is not read; save it as grey or RGB"):
        read_rgb(tmp_path / "a.tif")
    image.save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[30:34] = (4).to_bytes(4, "little")  # BI_JPEG
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(InputError, match=r"a kind that is not read \(Unsupported BMP compression \(4\)\); convert it"):
        read_rgb(tmp_path / "a.bmp")
    image.save(tmp_path / "a.tif", compression="tiff_adobe_deflate")
    content = (tmp_path / "a.tif").read_bytes()
    short = struct.pack("<HHIHxx", 259, 3, 1, 8)  # Compression, as Pillow writes it
    assert content.count(short) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(short, struct.pack("<HHIHxx", 259, 3, 1, 50001)))
    with pytest.raises(InputError, match="damaged, or its webp compression is not read; save it with deflate"):
        read_rgb(tmp_path / "a.tif")


def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path, photo: np.ndarray) -> None:
    refused(read_rgb, tmp_path / "none.png", "no such file")
    refused(read_rgb, tmp_path, "is a folder")
    (tmp_path / "empty.png").touch()
    refused(read_rgb, tmp_path / "empty.png", "empty (0 bytes)")
    (tmp_path / "text.jpg").write_text("not an image\nat all")
    refused(read_grey, tmp_path / "text.jpg", "convert it")
    Image.fromarray(photo).save(tmp_path / "a.tga")
    refused(read_rgb, tmp_path / "a.tga", "not a PNG, JPEG, WebP, TIFF, BMP or GIF")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused_never_half_read(
    tmp_path: Path, photo: np.ndarray, suffix: str, share: float
) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, photo)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(read_rgb, path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_damaged_bytes_never_raise_anything_else(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", photo[:24, :24])
    content = (tmp_path / f"a{suffix}").read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(60):
        damaged = bytearray(content)
        for position in rng.integers(0, min(len(content), 200), 4):
            damaged[position] = rng.integers(0, 256)
        path = tmp_path / f"{trial}{suffix}"
        path.write_bytes(bytes(damaged))
        try:
            answer = read_rgb(path).dtype.name
        except InputError as error:
            answer = str(error)
        assert answer == "uint8" or (answer.startswith(f"{path}: ") and "\n" not in answer)


def png_of_size(path: Path, w: int, h: int) -> None:
    """A PNG whose header claims w x h and which holds next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b""))


def test_bombs_and_images_without_pixels_are_refused(tmp_path: Path) -> None:
    for name, w, h in [("big.png", 16_000, 10_000), ("bomb.png", 60_000, 60_000)]:
        png_of_size(tmp_path / name, w, h)
        refused(read_grey, tmp_path / name, "150 megapixels", "shrink")
    png_of_size(tmp_path / "flat.png", 0, 7)
    refused(read_grey, tmp_path / "flat.png")


def test_writing_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    pixel = np.zeros((1, 1), np.uint8)
    refused(lambda path: write_image(path, pixel), tmp_path / "a.bmp", ".png", ".webp")
    refused(lambda path: write_image(path, pixel), tmp_path / "noname", ".png")
    wide = np.zeros((1, 16384), np.uint8)
    refused(lambda path: write_image(path, wide), tmp_path / "a.webp", "16383")
    refused(lambda path: images.check_writable(path, (30_000, 30_000)), tmp_path / "a.png", "smaller scale")
    assert list(tmp_path.iterdir()) == []


def test_writing_is_all_or_nothing(tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    write_image(path, photo)

    def fail(self: Image.Image, target: Path, *rest: object, **more: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    refused(lambda p: write_image(p, photo), path, "No space left")
    assert np.array_equal(read_rgb(path), photo)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path, photo: np.ndarray) -> None:
    (tmp_path / "file").write_text("x")
    refused(lambda p: write_image(p, photo), tmp_path / "file" / "a.png", "another output folder")


def test_find_images_is_recursive_sorted_and_unique(tmp_path: Path) -> None:
    names = ["b.PNG", "a.jpeg", "deep/er/c.tif", "deep/d.webp", "note.txt", ".hidden.png", ".cache/e.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_images([tmp_path, tmp_path / "b.PNG"])
    assert found == sorted(tmp_path / name for name in ["a.jpeg", "b.PNG", "deep/d.webp", "deep/er/c.tif"])
    assert find_images([str(tmp_path / "note.txt")]) == [tmp_path / "note.txt"]


def test_find_images_refuses_nothing_silently(tmp_path: Path) -> None:
    refused(lambda path: find_images([path]), tmp_path / "none", "no such")
    (tmp_path / "note.txt").touch()
    refused(lambda path: find_images([path]), tmp_path, "no images")


def test_reading_images_does_not_wait_for_torch() -> None:
    import subprocess
    import sys

    code = "import sys, edge_scs.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
