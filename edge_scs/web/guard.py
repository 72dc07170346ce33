"""Who may speak to the page's server: this machine's own browser, showing this very page.

A server on loopback is reached by every page that the browser shows. Three headers distinguish ours: ``Host`` names an
address and no foreign domain (DNS rebinding), ``Origin`` is our own (cross-site requests), and ``Sec-Fetch-Site`` says
the same where browsers send it. Answers may not be framed, cached or sniffed, and load nothing from anywhere else.
"""

import ipaddress
import socket
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",  # the browser keeps nothing either
}
NamesUs = Callable[[str], bool]


def is_loopback(host: str) -> bool:
    """Whether an address to listen at can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> NamesUs:
    """Which names in a ``Host`` header are ours, for a server that listens at ``host``.

    Loopback: "localhost" and loopback addresses. Elsewhere also any address, which no foreign domain can pass for, and
    this machine's own name.
    """
    if is_loopback(host):
        return is_loopback

    own = {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower(), "localhost"}

    def ours(name: str) -> bool:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in own
        return True

    return ours


def host_name(header: str) -> str:
    """The name or address in a ``Host`` header, without its port; "" for what is no such header."""
    if header.startswith("["):
        address, _, rest = header[1:].partition("]")
        return address if not rest or (rest[1:].isdecimal() and rest[0] == ":") else ""
    name, _, port = header.partition(":")
    return name.lower() if not port or port.isdecimal() else ""


class Guard:
    """ASGI middleware: refuses what does not come from our page (421 or 403), and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, names: NamesUs):
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(scope)
        await (self.app if refused is None else refused)(scope, receive, guarded)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.names(host_name(hosts[0])):
            return PlainTextResponse("this server answers to its own address only", 421)
        if any(origin != f"http://{hosts[0]}" for origin in headers.getlist("origin")):
            return PlainTextResponse("requests from other pages are refused", 403)
        opened = scope["path"] == "/" and headers.get("sec-fetch-dest") == "document"  # a link or a bookmark
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opened:
            return PlainTextResponse("requests from other pages are refused", 403)
        return None
