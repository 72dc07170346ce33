"""Screenshots of the page for docs/web.md, by headless Chromium: python docs/figures/page_screenshots.py

The page shows freely licensed photographs with the shipped network. Hints have the colours of the photograph.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from edge_scs.api import make_engine
from edge_scs.samples import photograph

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from report.chromium import Chromium, find_chromium  # noqa: E402
from web.client import serving  # noqa: E402

IMAGES = ROOT / "docs" / "images"
READY = "document.getElementById('what').textContent === '{}'"
BOX = "(b => [b.left, b.top, b.width, b.height])(document.getElementById('world').getBoundingClientRect())"
CHOOSE = "(e => {{ e.value = '{}'; e.dispatchEvent(new Event('input')) }})(document.getElementById('own'))"
HINTS = ((0.67, 0.3), (0.635, 0.62))  # shares of the width and height: the sky, the water


def colour_at(image: Image.Image, across: float, down: float) -> str:
    """The mean of some pixels there, "#rrggbb"."""
    x, y = round(across * image.width), round(down * image.height)
    return "#{:02x}{:02x}{:02x}".format(*image.crop((x - 2, y - 2, x + 3, y + 3)).resize((1, 1)).getpixel((0, 0)))


def shoot(tab: Chromium, folder: Path, name: str, width: int) -> None:
    """What is seen now as a JPEG of that width."""
    with Image.open(io.BytesIO(tab.screenshot(folder / "shot.png", whole=False).read_bytes())) as image:
        size = (width, round(image.height * width / image.width))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(IMAGES / name, quality=88, optimize=True)


def hint(tab: Chromium, truth: Image.Image, across: float, down: float) -> None:
    left, top, wide, high = tab.evaluate(BOX)
    tab.click(left + across * wide, top + down * high)
    tab.wait("document.querySelectorAll('.swatch').length > 0")
    tab.evaluate(CHOOSE.format(colour_at(truth, across, down)))
    tab.wait(READY.format("Preview"))


def main() -> None:
    binary = find_chromium()
    if binary is None:
        sys.exit("no Chromium here (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = Image.fromarray(photograph("china"))
        files = [folder / "Summer Palace.png", folder / "Abraham Lincoln.jpg", folder / "Coffee.tif"]
        truth.convert("L").resize((320, 213)).save(files[0])
        Image.fromarray(photograph("lincoln")).save(files[1])
        Image.fromarray(photograph("coffee")).convert("L").resize((300, 200)).save(files[2])
        (folder / "workspace").mkdir()
        with serving(folder / "workspace", _engine) as server, Chromium(binary, folder / "profile") as tab:
            tab.open(server.url, 1280, 832)
            tab.choose_files("files", files)
            tab.wait(READY.format("Preview"))
            tab.wait("document.querySelectorAll('.card.new').length === 3")
            for place in HINTS:
                hint(tab, truth, *place)
            tab.evaluate("document.getElementById('restore').click()")
            tab.wait("document.querySelectorAll('.card.done').length === 1")
            tab.wait(READY.format("Result"))
            shoot(tab, folder, "web.jpg", 1280)
            tab.open(server.url, 390, 844)
            tab.choose_files("files", files[1:2])
            tab.wait(READY.format("Preview"))
            shoot(tab, folder, "web-narrow.jpg", 390)


def _engine(restoration: float | None):
    return make_engine("edge_scs_m", device="cpu", restoration=restoration)


if __name__ == "__main__":
    main()
