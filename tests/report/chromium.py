"""A page in headless Chromium, driven over its debugging pipe: nothing but Chromium itself is needed."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_CODES = {"Enter": 13, "Tab": 9, "Escape": 27, "Delete": 46, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
          "ArrowDown": 40}  # fmt: skip
ROOT = Path(__file__).parents[2]
AXE, AXE_SHA256 = "axe-core@4.10.3", "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
WAIT = 60  # for something that a page does
SECONDS = 240  # a busy machine takes its time over axe


def find_chromium() -> str | None:
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def axe_source() -> str:
    """axe-core's source, from npm: installed once into apps/.tools, which git ignores. Skips where it cannot be had."""
    sys.path.insert(0, str(ROOT / "apps"))
    try:
        import tools
    finally:
        sys.path.remove(str(ROOT / "apps"))
    try:
        return (tools.from_npm(tools.tools_folder(), AXE, AXE_SHA256) / "axe.min.js").read_text(encoding="utf-8")
    except tools.Skip as skip:
        pytest.skip(str(skip))


def serious(found: list[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Of axe's violations those that keep people out: (impact, rule, some elements)."""
    return [
        (each["impact"], each["id"], [node["html"][:120] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


class Chromium:
    """One tab. ``events`` collects what the page says: console messages, exceptions, requests.

    The DevTools protocol's pipe: messages end with a zero byte; the browser reads file 3 and writes file 4.
    """

    def __init__(self, binary: str, profile: Path):
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        for handle in (to_browser, from_browser):
            os.set_inheritable(handle, True)
        command = [
            binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        # The browser wants its ends as 3 and 4, which may be taken here: a shell moves them.
        move = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", move, "bash", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        os.set_blocking(self._from, False)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result; events that come meanwhile are kept."""
        self._send(method, params)
        number = self._number
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
            if answer.get("method") == "Page.javascriptDialogOpening":  # such as "Leave this page?": yes
                self._send("Page.handleJavaScriptDialog", {"accept": True})
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _send(self, method: str, params: dict[str, Any]) -> None:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")

    def open(self, page: Path | str, width: int, height: int, dark: bool = False) -> None:
        """Show a file or an address at this viewport, in CSS pixels, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression on the page, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of a JavaScript expression as soon as it is true."""
        end = time.monotonic() + WAIT
        while not (value := self.evaluate(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}")
            time.sleep(0.05)
        return value

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse at a point of the viewport."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """A key that writes nothing, such as "ArrowLeft", or one character; Enter presses what has the focus."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=_CODES.get(key, 0)
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def choose_files(self, ident: str, files: Sequence[Path]) -> None:
        """Give files to the page's file input of that id, as the user would in its dialog."""
        element = self.call("Runtime.evaluate", expression=f"document.getElementById({ident!r})")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(path) for path in files], objectId=element)

    def download_into(self, folder: Path) -> None:
        """What the page downloads from now on goes here."""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def screenshot(self, path: Path, whole: bool = True) -> Path:
        """The whole page as PNG, however long, or what is seen of it."""
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(image["data"]))
        return path

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            try:
                part = os.read(self._from, 1 << 20)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError("the browser does not answer") from None
                time.sleep(0.01)
                continue
            if not part:
                raise RuntimeError("the browser has ended")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
