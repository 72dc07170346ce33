"""Only this machine's own page is answered, its answers carry the headers, and no path leads to the disk."""

import re
from urllib.parse import urlsplit

import pytest
from fuzz.mixed import write_good
from web.client import call

from edge_scs.web.guard import HEADERS, host_name, is_loopback, names_of


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # a name that was rebound to this machine
        {"Host": "evil.example:8765"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.168.0.7"},
        {"Host": "127.0.0.1:x"},
        {"Host": ""},
    ],
)
def test_other_hosts_are_refused(served, headers):
    for method, path in (("GET", "/"), ("POST", "/sessions")):
        assert call(served.url, method, path, headers=headers).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://{own}", "http://localhost:1"])
def test_other_origins_are_refused(served, origin):
    own = urlsplit(served.url).netloc
    assert call(served.url, "POST", "/sessions", headers={"Origin": origin.format(own=own)}).status == 403
    assert call(served.url, "POST", "/sessions", headers={"Origin": f"http://{own}"}).status == 200


def test_other_sites_are_refused_where_browsers_say_so(served):
    for site in ("cross-site", "same-site"):
        assert call(served.url, "GET", "/page/main.js", headers={"Sec-Fetch-Site": site}).status == 403
        assert call(served.url, "GET", "/", headers={"Sec-Fetch-Site": site}).status == 403  # fetched or framed
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert call(served.url, "GET", "/", headers=link).status == 200
        framed = link | {"Sec-Fetch-Dest": "iframe"}
        assert call(served.url, "GET", "/", headers=framed).status == 403


def test_names_of_a_server_that_others_reach():
    ours = names_of("0.0.0.0")
    assert all(map(ours, ["192.168.0.7", "127.0.0.1", "localhost", "::1"]))
    assert not ours("evil.example")
    assert not names_of("127.0.0.1")("192.168.0.7")
    assert [is_loopback(host) for host in ("::1", "127.3.2.1", "localhost", "0.0.0.0", "x")] == [True] * 3 + [False] * 2
    assert host_name("[::1]:8765") == "::1"
    assert host_name("[::1]x") == host_name("a:b:c") == ""


def test_every_answer_has_the_headers(served, session):
    page = session()
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("GET", f"/s/{page.token}/state"), ("PUT", "/sessions")):
        answer = call(served.url, method, path)
        assert {key: answer.headers.get(key.lower()) for key in HEADERS} == HEADERS
        assert "server" not in answer.headers
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    ["/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/..%2F..%2F__init__.py", "/etc/passwd", "/page//etc/passwd",
     "/page/", "/s/x/../../page"],
)  # fmt: skip
def test_no_path_leads_to_the_disk(served, path):
    assert call(served.url, "GET", path).status in (404, 405)


@pytest.mark.parametrize(
    ("name", "result"),
    [("../../x.png", "x-restored.png"), ("..\\..\\x.jpg", "x-restored.png"), ("/etc/passwd", "passwd-restored.png"),
     ("..", "image-restored.png"), ("", "image-restored.png"), ("a\nb.png", "a%5Cnb-restored.png")],
)  # fmt: skip
def test_names_are_no_paths(tmp_path, served, session, name, result):
    page = session()
    answer = page.send(write_good(tmp_path, "colour", 1), name)
    if name == "..\\..\\x.jpg":  # a suffix that is not the content's: the suffix decides what is written, as in enhance
        result = "x-restored.jpg"
    assert answer.status == 200
    number = answer.json()["number"]
    folder = served.page.sessions.get(page.token).folder
    assert re.fullmatch(r"source(\.png|\.jpg)?", next((folder / str(number)).iterdir()).name)
    page.call("POST", f"images/{number}/job", page.settings())
    page.ended(number)
    assert result in page.call("GET", f"images/{number}/result").headers["content-disposition"]


def test_the_page_names_no_other_server(served):
    files = {"/": call(served.url, "GET", "/").content.decode()}
    files |= {path: call(served.url, "GET", path).content.decode()
              for path in re.findall(r'(?:src|href)="(/page/[^"]+)"', files["/"])}  # fmt: skip
    assert "/page/main.js" in files
    urls = [url for text in files.values() for url in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)]
    assert [url for url in urls if url != "http://www.w3.org"] == []
