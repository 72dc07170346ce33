"""What the page makes is what ``edge-scs enhance`` makes, byte for byte; whoever has no image there sees none."""

import io
import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from fuzz.mixed import BROKEN, write_broken, write_good
from PIL import Image
from test_cli import cli
from web.client import Session, call, serving

from edge_scs.web.sessions import MAX_UPLOADS

HINTS = [{"x": 5, "y": 7, "colour": "#8a1c22"}, {"x": 14.5, "y": 3, "colour": "neutral"}]


@pytest.mark.parametrize("kind", ["exif", "grey16", "alpha", "icc", "webp"])
def test_a_result_is_that_of_enhance(tmp_path, session, weights, kind):
    path = write_good(tmp_path, kind, 1)
    made = session().restore(path, scale=2.5, vividness=1.2, restoration=0.5, hints=HINTS)
    target = tmp_path / f"{path.stem}-restored{path.suffix}"
    hints = [word for hint in HINTS for word in ("--hint", f"{hint['x']:g},{hint['y']:g}={hint['colour']}")]
    done = cli("enhance", path, "-o", target, "--scale", 2.5, "--vividness", 1.2, "--restoration", 0.5, *hints,
               "--model", weights, "--tile", 64, "--device", "cpu")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert made.content == target.read_bytes()
    assert target.name in made.headers["content-disposition"]


def test_a_reference_and_a_format_are_those_of_enhance(tmp_path, session, weights, photograph):
    path = write_good(tmp_path, "grey", 1)
    postcard = tmp_path / "postcard.jpg"
    Image.fromarray(photograph).save(postcard)
    page = session()
    reference = page.send(postcard, where="references").json()["number"]
    made = page.restore(path, reference=reference, format="tiff")
    target = tmp_path / "large.tif"
    cli("enhance", path, "-o", target, "--scale", 2, "--reference", postcard, "--model", weights, "--tile", 64)
    assert made.content == target.read_bytes()
    automatic = page.restore(path, format="tiff")
    assert automatic.content != made.content


def test_a_reference_without_colours_is_refused_with_the_reason(tmp_path, session):
    answer = session().send(write_good(tmp_path, "grey", 1), where="references")
    assert answer.status == 422
    assert "has no colours of its own" in answer.message


def test_what_enhance_refuses_is_refused_here(tmp_path, session):
    page = session()
    number = page.upload(write_good(tmp_path, "grey", 1))
    outside = page.settings(hints=[{"x": 24, "y": 0, "colour": "red"}])
    page.call("POST", f"images/{number}/job", outside)
    job = page.ended(number)
    assert job["state"] == "failed"
    assert "lies outside the image, which is 24x24" in job["message"]
    assert page.call("GET", f"images/{number}/result").status == 410
    both = page.settings(keep_colour=True, hints=[{"x": 1, "y": 0, "colour": "red"}])
    assert "exclude each other" in page.call("POST", f"images/{number}/job", both).message


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind not in ("loop", "dangling")])
def test_a_broken_file_gets_one_line_and_the_server_lives(tmp_path, served, session, kind):
    page, path = session(), write_broken(tmp_path, kind, 1)
    for where in ("images", "references"):
        answer = page.send(path, where=where)
        assert answer.status == 422
        assert answer.message.startswith(f"{path.name}: ")
        assert str(served.folder) not in answer.message
        assert "\n" not in answer.message
    assert page.call("GET", "state").json() == {"images": {}}
    assert not list(page_folder(served, page).iterdir())
    assert page.upload(write_good(tmp_path, "grey", 1))


def page_folder(served, page):
    return served.page.sessions.get(page.token).folder


def test_two_at_once_do_not_mix(tmp_path, session):
    first, second = session(), session()
    one, two = write_good(tmp_path, "grey", 1), write_good(tmp_path, "colour", 2)
    a, b = first.upload(one), second.upload(two)
    first.call("POST", f"images/{a}/job", first.settings(hints=HINTS))
    second.call("POST", f"images/{b}/job", second.settings(scale=3))
    assert first.ended(a)["file"] == "grey-1-restored.jpg"
    assert second.ended(b)["file"] == "colour-2-restored.png"
    sizes = [Image.open(io.BytesIO(page.call("GET", f"images/{n}/result").content)).size
             for page, n in ((first, a), (second, b))]  # fmt: skip
    assert sizes == [(48, 48), (72, 72)]
    more = second.upload(one)  # a number that the first page has not
    assert first.call("GET", f"images/{more}/view").status == 410
    assert second.call("GET", f"images/{more}/view").status == 200
    first.token = "A" * 32
    assert first.call("GET", "state").status == 410
    assert first.call("GET", f"images/{a}/view").status == 410


@pytest.fixture
def large(tmp_path):
    """An image of some hundred tiles."""
    path = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 1600), np.uint8)).save(path)
    return path


def test_progress_cancel_and_the_queue(tmp_path, served, session, large):
    page = session()
    slow, waiting, given_up = page.upload(large), *(page.upload(write_good(tmp_path, "grey", n)) for n in (1, 2))
    for number in (slow, waiting, given_up):
        page.call("POST", f"images/{number}/job", page.settings())
    while not (job := page.state(slow))["share"]:
        time.sleep(0.01)
    assert job["state"] == "running"
    assert job["seconds"] > 0
    assert [page.state(number)["place"] for number in (waiting, given_up)] == [1, 2]
    assert page.call("DELETE", f"images/{given_up}/job").json()["state"] == "cancelled"
    page.call("DELETE", f"images/{slow}/job")
    assert page.ended(slow)["state"] == "cancelled"
    assert page.ended(waiting)["state"] == "done"
    assert page.state(given_up)["state"] == "cancelled"
    folder = page_folder(served, page) / str(slow)
    assert [path.name for path in folder.iterdir()] == ["source.png"]


def test_nothing_is_left_when_a_page_is_closed(tmp_path, served, session, large):
    page = session()
    folder = page_folder(served, page)
    done = page.upload(write_good(tmp_path, "grey", 1))
    page.call("POST", f"images/{done}/job", page.settings())
    page.ended(done)
    running = page.upload(large)
    page.call("POST", f"images/{running}/job", page.settings())
    while not page.state(running)["share"]:
        time.sleep(0.01)
    assert page.call("POST", "end").status == 204
    assert page.call("GET", "state").status == 410
    end = time.monotonic() + 20
    while folder.exists() and time.monotonic() < end:  # the running one lets go after its tile
        time.sleep(0.02)
    assert not folder.exists()


def test_an_upload_that_breaks_off_leaves_nothing(served, session):
    page = session()
    folder = page_folder(served, page)
    with socket.create_connection(urlsplit(served.url).netloc.split(":")) as line:
        head = f"POST /s/{page.token}/images?name=a.png HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
        line.sendall(head.encode() + b"abc")
        end = time.monotonic() + 20
        while not list(folder.iterdir()) and time.monotonic() < end:
            time.sleep(0.01)
        assert list(folder.iterdir())
    while list(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not list(folder.iterdir())


def test_a_removed_image_is_gone(tmp_path, served, session):
    page = session()
    number = page.upload(write_good(tmp_path, "grey", 1))
    assert page.call("DELETE", f"images/{number}").status == 204
    assert page.call("GET", f"images/{number}/view").status == 410
    assert not list(page_folder(served, page).iterdir())


def test_limits(tmp_path, make, monkeypatch):
    with serving(tmp_path, make, max_megabytes=1) as served:
        page = Session(served.url)
        assert page.about["max_megabytes"] == 1
        large = tmp_path / "large.tif"
        large.write_bytes(bytes((1 << 20) + 1))
        assert page.send(large).message == "large.tif: larger than 1 MB; crop or shrink it first"
        chunks = iter([bytes(1 << 19)] * 3)  # without a Content-Length
        assert page.call("POST", "images?name=a.png", chunks).message.startswith("a.png: larger than 1 MB")
        good = write_good(tmp_path, "grey", 1)
        monkeypatch.setattr("edge_scs.web.sessions.MAX_UPLOADS", 1)
        page.upload(good)
        assert "1 images are here already" in page.send(good).message
        monkeypatch.setattr("edge_scs.web.sessions.MAX_SESSIONS", 1)
        refused = call(served.url, "POST", "/sessions")
        assert refused.status == 422
        assert "pages are open already" in refused.message
        monkeypatch.setattr("edge_scs.web.sessions.IDLE", 0.0)
        assert Session(served.url).token  # the first one has expired
    assert MAX_UPLOADS > 1
