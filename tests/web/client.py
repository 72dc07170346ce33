"""The page's server in a thread, and what a page says to it, without a browser."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from edge_scs.web.engines import Engines

uvicorn = pytest.importorskip("uvicorn", reason="the extra [web] is not installed")
pytest.importorskip("starlette", reason="the extra [web] is not installed")

from edge_scs.web.app import Page  # noqa: E402
from edge_scs.web.server import configuration, listening, url  # noqa: E402


@dataclass
class Served:
    url: str
    page: Page
    folder: Path


@contextmanager
def serving(folder: Path, make: Callable[[float | None], Any], max_megabytes: int = 2048) -> Iterator[Served]:
    with listening("127.0.0.1", 0) as listener:
        page = Page(Engines(make), folder, max_megabytes)
        server = uvicorn.Server(configuration(page, "127.0.0.1"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Served(url("127.0.0.1", listener.getsockname()[1]), page, folder)
        finally:
            server.should_exit = True
            thread.join()
            page.close()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> str:
        return self.json()["message"]


def call(base: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """One request; a dict is sent as JSON."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    try:
        connection.request(method, path, content, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Session:
    """What one page does."""

    def __init__(self, base: str):
        self.base = base
        self.about = call(base, "POST", "/sessions").json()
        self.token = self.about["token"]

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        return call(self.base, method, f"/s/{self.token}/{path}", body)

    def send(self, path: Path, name: str | None = None, where: str = "images") -> Answer:
        return self.call(
            "POST", f"{where}?name={quote(path.name if name is None else name, safe='')}", path.read_bytes()
        )

    def upload(self, path: Path) -> int:
        answer = self.send(path)
        assert answer.status == 200, answer.content
        return answer.json()["number"]

    def settings(self, **changes: Any) -> dict[str, Any]:
        return {"scale": 2, "vividness": 1, "restoration": self.about["restoration"], "keep_colour": False,
                "hints": [], "reference": None, "format": None} | changes  # fmt: skip

    def state(self, number: int) -> dict[str, Any]:
        return self.call("GET", "state").json()["images"][str(number)]

    def ended(self, number: int) -> dict[str, Any]:
        """The job of an image once it has ended."""
        while (job := self.state(number))["state"] in ("waiting", "running"):
            time.sleep(0.02)
        return job

    def restore(self, path: Path, **changes: Any) -> Answer:
        """From file to file."""
        number = self.upload(path)
        queued = self.call("POST", f"images/{number}/job", self.settings(**changes))
        assert queued.status == 200, queued.content
        job = self.ended(number)
        assert job["state"] == "done", job
        return self.call("GET", f"images/{number}/result")
