"""The page in a real browser: a photograph in, a hint, a slider, and the file that ``enhance`` writes out.

Screenshots stay in EDGE_SCS_ARTEFACTS, or in pytest's own folder.
"""

import json
import re
import shlex
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from fuzz.mixed import write_broken
from PIL import Image
from test_cli import cli

from edge_scs.web.sessions import Upload
from edge_scs.web.settings import parse_settings
from tests.report.chromium import Chromium, axe_source, find_chromium, serious

PREVIEW = "document.getElementById('what').textContent === 'Preview'"
DONE = "document.querySelectorAll('.card.done').length"


@pytest.fixture
def old(tmp_path, photograph) -> Path:
    """A grey photograph, as a scanner leaves it."""
    path = tmp_path / "old photo.jpg"
    exif = Image.Exif()
    exif[0x010E] = "Harbour, 1912"
    Image.fromarray(photograph).convert("L").resize((120, 90)).save(path, dpi=(300, 300), exif=exif)
    return path


def quiet(tab: Chromium, url: str, expected: int = 0) -> None:
    """No message, no exception, and no request to anybody else. ``expected``: of the server's refusals are logged."""
    said = [e for e in tab.events if e["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
    logged = [e["params"]["entry"] for e in tab.events if e["method"] == "Log.entryAdded"]
    logged = [entry for entry in logged if entry["source"] != "intervention"]  # of the page that was left
    assert said == []
    assert len(logged) == expected, logged
    assert all("422" in entry["text"] for entry in logged)
    asked = {e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"}
    assert {urlsplit(each).netloc for each in asked if not each.startswith(("blob:", "data:"))} == {
        urlsplit(url).netloc
    }


def slide(tab: Chromium, ident: str, value: float) -> None:
    tab.evaluate(
        f"(e => {{ e.value = {value}; e.dispatchEvent(new Event('input')) }})(document.getElementById('{ident}'))"
    )


def at(tab: Chromium, across: float, down: float) -> tuple[float, float]:
    """A point of the photograph, as shares of its sides, in the viewport."""
    left, top, wide, high = tab.evaluate(
        "(b => [b.left, b.top, b.width, b.height])(document.getElementById('world').getBoundingClientRect())"
    )
    return left + wide * across, top + high * down


def test_a_photograph_with_a_hint_becomes_the_file_of_enhance(tab, served, old, weights, tmp_path):
    tab.open(served.url, 1440, 900)
    tab.download_into(tmp_path)
    tab.choose_files("files", [old])
    tab.wait(PREVIEW)
    before = tab.evaluate("document.getElementById('after').src")
    tab.click(*at(tab, 0.755, 0.505))
    tab.wait("document.querySelectorAll('.swatch').length > 0")
    colour = tab.evaluate("(s => { s.click(); return s.dataset.colour })(document.querySelectorAll('.swatch')[1])")
    slide(tab, "scale", 2.5)
    slide(tab, "vividness", 1.25)
    tab.wait(f"{PREVIEW} && document.getElementById('after').src !== {before!r}")
    tab.evaluate("document.getElementById('restore').click()")
    tab.wait(DONE)
    tab.wait("document.getElementById('what').textContent === 'Result'")
    assert tab.evaluate("document.getElementById('after').naturalWidth") == 300
    tab.evaluate("document.querySelector('.download').click()")
    made, end = tmp_path / "old photo-restored.jpg", time.monotonic() + 30
    while not made.exists() and time.monotonic() < end:
        time.sleep(0.05)
    written = tab.evaluate("document.getElementById('command').textContent")
    hint = f"90,45={colour}"
    assert f"--scale 2.5 --restoration 1 --vividness 1.25 --hint '{hint}'" in written
    expected = tmp_path / "enhance.jpg"
    cli("enhance", old, "-o", expected, "--scale", 2.5, "--vividness", 1.25, "--hint", hint, "--model", weights,
        "--tile", 64)  # fmt: skip
    assert made.read_bytes() == expected.read_bytes()
    plain = tmp_path / "plain.jpg"
    cli("enhance", old, "-o", plain, "--scale", 2.5, "--vividness", 1.25, "--model", weights, "--tile", 64)
    assert plain.read_bytes() != expected.read_bytes()
    with Image.open(made) as image:
        assert (image.size, image.getexif()[0x010E]) == ((300, 225), "Harbour, 1912")
    quiet(tab, served.url)


def test_leaving_the_page_is_questioned_and_removes_everything(tab, served, old):
    tab.open(served.url, 1440, 900)
    tab.choose_files("files", [old])
    tab.wait(PREVIEW)
    tab.click(*at(tab, 0.7, 0.5))  # browsers ask only where somebody has done something
    slide(tab, "scale", 2)
    tab.evaluate("document.getElementById('restore').click()")
    tab.wait(DONE)
    folders = list(served.folder.iterdir())
    assert any(folder.glob("*/result-*.jpg") for folder in folders)
    tab.open("about:blank", 1440, 900)
    assert any(event.get("method") == "Page.javascriptDialogOpening" for event in tab.events)
    end = time.monotonic() + 30
    while list(served.folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not list(served.folder.iterdir())


NAMES = (
    "old.jpg",
    "OLD.JPG",
    "a b.tiff",
    "it's.png",
    "scan.jfif",
    "c.bmp",
    "d.gif",
    "e",
    "f.v2",
    "g.tar.webp",
    "$(h).jpe",
)


def test_the_command_names_files_as_the_server_does_and_quotes_them(tab, served):
    tab.open(served.url, 1440, 900)
    settings = {"scale": 4, "restoration": 1, "vividness": 1, "keep_colour": False, "reference": None,
                "hints": [{"x": 1, "y": 2, "colour": "#8a1c22"}]}  # fmt: skip
    for form in (None, "png", "jpeg", "tiff", "webp"):
        given = settings | {"format": form}
        script = f"""import('/page/command.js').then(m => {json.dumps(NAMES)}.map(name =>
            m.command({{ name }}, {json.dumps(given)}, {{ model: 'edge_scs_m' }})))"""
        for name, text in zip(NAMES, tab.evaluate(script), strict=True):
            upload = Upload(1, name, Path(), Path(), None)
            words = shlex.split(text)
            assert words[:4] == ["edge-scs", "enhance", name, "-o"]
            assert words[4] == upload.result_name(parse_settings(given))
            assert words[-2:] == ["--hint", "1,2=#8a1c22"]


def test_everything_by_keyboard(tab, served, old):
    tab.open(served.url, 1440, 900)
    tab.choose_files("files", [old])
    tab.wait(PREVIEW)
    tab.evaluate("document.getElementById('stage').focus()")
    for key in ("+", "0", "ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        tab.press(key)
    tab.wait("document.activeElement.className === 'swatch'")
    tab.press("Enter")
    (text,) = tab.wait("[...document.querySelectorAll('#list .edit')].map(e => e.textContent)")
    assert text.endswith("at 64, 47")
    tab.press("Escape")
    assert tab.evaluate("document.activeElement.id") == "stage"
    tab.evaluate("document.querySelector('.marker').focus()")
    tab.press("ArrowLeft")
    assert tab.wait("document.querySelector('.marker').getAttribute('aria-label')").startswith("Hint 1 at 63, 47")
    tab.evaluate("document.querySelector('.marker').focus()")
    tab.press("Delete")
    assert tab.evaluate("document.querySelectorAll('.marker').length") == 0
    quiet(tab, served.url)


def test_everything_by_touch(tab, served, old):
    tab.open(served.url, 390, 844)
    tab.choose_files("files", [old])
    tab.wait(PREVIEW)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    x, y = at(tab, 0.75, 0.4)
    touch("touchStart", (x, y))
    touch("touchEnd")
    tab.wait("document.querySelectorAll('.swatch').length > 0")
    x, y = at(tab, 0.5, 0.2)
    touch("touchStart", (x - 30, y), (x + 30, y))
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchEnd")
    assert tab.evaluate("document.getElementById('factor').value") == "200 %"
    assert tab.evaluate("document.querySelectorAll('.marker').length") == 1
    quiet(tab, served.url)


def test_hostile_files_get_a_message_and_the_page_lives(tab, served, old, tmp_path):
    broken = [write_broken(tmp_path, kind, 1) for kind in ("empty", "text", "torn_jpeg", "bomb", "flipped")]
    named = tmp_path / "<img src=x onerror=alert(1)>.png"
    named.write_bytes(broken[1].read_bytes())
    tab.open(served.url, 1440, 900)
    tab.choose_files("files", [*broken[:3], named, old])
    tab.wait(PREVIEW)
    said = tab.evaluate("[...document.querySelectorAll('#trouble p')].map(e => e.textContent)")
    assert [text.split(":")[0] for text in said] == [*(path.name for path in broken[:3]), named.name]
    assert tab.evaluate("document.querySelectorAll('#trouble img').length") == 0
    tab.choose_files("files", broken[3:])
    tab.wait("[...document.querySelectorAll('#trouble p')].some(e => e.textContent.startsWith('flipped'))")
    assert tab.evaluate("document.querySelectorAll('.card').length") == 1
    quiet(tab, served.url, expected=6)


def test_two_pages_at_once_do_not_mix(tab, served, old, tmp_path, photograph):
    other = tmp_path / "other.png"
    Image.fromarray(np.ascontiguousarray(photograph[::-1])).convert("L").resize((60, 40)).save(other)
    binary = find_chromium()
    assert binary is not None
    with Chromium(binary, tmp_path / "second") as second:
        pages = ((tab, old, 2), (second, other, 3))
        for page, path, scale in pages:
            page.open(served.url, 1440, 900)
            page.choose_files("files", [path])
            page.wait(PREVIEW)
            slide(page, "scale", scale)
            page.evaluate("document.getElementById('restore').click()")
        for page, path, _ in pages:
            page.wait(DONE)
            assert page.evaluate("[...document.querySelectorAll('.card .name')].map(e => e.textContent)") == [path.name]
        sizes = [page.wait("document.getElementById('what').textContent === 'Result' && "
                           "document.getElementById('after').naturalWidth") for page, *_ in pages]  # fmt: skip
        assert sizes == [240, 180]


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, True)], ids=["390-light", "1440-dark"])
def test_the_page_fits_and_axe_has_nothing_serious_to_say(tab, served, old, artefacts, width, dark):
    tab.open(served.url, width, 844 if width < 600 else 900, dark)
    tab.wait("!document.getElementById('welcome').hidden && document.getElementById('limits').textContent")
    tab.evaluate(f"{axe_source()}; 0")
    assert serious(tab.evaluate("axe.run().then(r => r.violations)")) == []
    tab.choose_files("files", [old])
    tab.wait(PREVIEW)
    tab.click(*at(tab, 0.7, 0.4))
    tab.wait("document.querySelectorAll('.swatch').length > 0")
    tab.evaluate("document.querySelectorAll('.swatch')[0].click()")
    tab.wait(PREVIEW)
    found, passed = tab.evaluate("axe.run().then(r => [r.violations, r.passes.map(rule => rule.id)])")
    assert serious(found) == []
    assert {"color-contrast", "label", "button-name"} <= set(passed)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    wide = """[...document.querySelectorAll('body *:not(#world, #world *)')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert tab.evaluate(wide) == []
    small = """[...document.querySelectorAll('button, select, input[type=color], .download')].filter(e => e.offsetParent
        && !e.matches('.marker') && Math.min(e.offsetWidth, e.offsetHeight) < 24).map(e => e.outerHTML)"""
    assert tab.evaluate(small) == []
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == dark
    assert (
        tab.screenshot(artefacts / f"web-{width}-{'dark' if dark else 'light'}.png", whole=False).stat().st_size
        > 30_000
    )
    quiet(tab, served.url)
