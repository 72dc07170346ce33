"""``edge-scs web``: from a free port to an empty folder."""

import contextlib
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from edge_scs.api import make_engine
from edge_scs.errors import InputError
from edge_scs.inference.engine import Engine
from edge_scs.interrupts import interruptible
from edge_scs.web.app import Page
from edge_scs.web.engines import Engines
from edge_scs.web.guard import is_loopback, names_of
from edge_scs.web.workspace import Workspace

_BACKLOG = 128


def serve(
    model: str,
    weights: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    device: str = "auto",
    tile: int | None = 256,
    open_browser: bool = True,
    show: Callable[[str], None] = print,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; ``show`` gets its address, ``say`` remarks.

    ``port`` 0 takes a free one. Raises InputError for a port or an address that cannot be had, and for a model that
    cannot be loaded.
    """

    def make(restoration: float | None) -> Engine:
        return make_engine(model, weights, device=device, tile=tile, restoration=restoration)

    with interruptible(), contextlib.suppress(KeyboardInterrupt), listening(host, port) as listener:
        engines = Engines(make)
        with Workspace() as folder:
            page = Page(engines, folder)
            try:
                address = url(host, listener.getsockname()[1])
                show(address)
                if not is_loopback(host):
                    say(f"{host}: whoever reaches this address may use the page, unencrypted; Ctrl-C stops it")
                else:
                    say("only this machine can open it; Ctrl-C stops it and removes what was uploaded")
                if open_browser and _has_screen():
                    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
                uvicorn.Server(configuration(page, host)).run(sockets=[listener])
            finally:
                page.close()
    say("stopped; nothing of it is left")


def configuration(page: Page, host: str) -> uvicorn.Config:
    """uvicorn as this page needs it: quiet, without WebSockets, and quick to stop."""
    return uvicorn.Config(
        page.app(names_of(host)), http="h11", ws="none", lifespan="off", log_level="error", access_log=False,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
    )  # fmt: skip


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that accepts connections to the page. Raises InputError for an address that cannot be had."""
    if not 0 <= port <= 65535:
        raise InputError(f"port {port}: must be 1 to 65535, or 0 for a free one")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"host {host}: is no address of this machine ({error}); leave it out") from error
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the port of a server that just stopped
        try:
            listener.bind(place)
            listener.listen(_BACKLOG)
        except OSError as error:
            fix = "choose another with --port, or --port 0 for a free one"
            raise InputError(f"port {port} of {host}: cannot be had ({error.strerror}); {fix}") from error
        yield listener


def url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _has_screen() -> bool:
    """Whether a browser could open a window here; a text browser would take the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
