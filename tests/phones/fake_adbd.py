"""An Android phone's debug daemon on loopback, as far as Debian's real adb needs it: shell v2 and sync v1.

Written from AOSP's protocol.txt and SYNC.TXT: messages of a 24-byte head (command, two arguments, length, sum of bytes,
inverted command) and data; a stream is opened, written with an acknowledgement for each message, and closed.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

# A command line -> (exit code, stdout, stderr).
Shell = Callable[[str], tuple[int, bytes, bytes]]
MAX_DATA = 4096
BANNER = b"device::ro.product.name=fake;ro.product.model=Fake;ro.product.device=fake;features=shell_v2,cmd"


class FakePhone:
    """Listens on 127.0.0.1:``port``. ``files`` is what was pushed; ``unplug`` cuts the cable."""

    def __init__(self, shell: Shell, authorised: bool = True):
        self.shell, self.authorised = shell, authorised
        self.files: dict[str, bytes] = {}
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.serial = f"127.0.0.1:{self.port}"
        self.connection: socket.socket | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def unplug(self) -> None:
        for end in (self.server, self.connection):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connection, _ = self.server.accept()
                self._serve(self.connection)

    def _serve(self, connection: socket.socket) -> None:
        streams: dict[int, _Stream] = {}
        with contextlib.suppress(OSError, EOFError):
            while True:
                command, remote, local, data = _receive(connection)
                if command == b"CNXN" and self.authorised:
                    _send(connection, b"CNXN", 0x01000000, MAX_DATA, BANNER)
                elif command in (b"CNXN", b"AUTH"):
                    _send(connection, b"AUTH", 1, 0, b"t" * 20)  # asks for a signature, and accepts none
                elif command == b"OPEN":
                    stream = _Stream(connection, len(streams) + 1, remote)
                    streams[stream.local] = stream
                    service = data.rstrip(b"\0").decode()
                    stream.opened(service, self)
                elif command == b"WRTE" and local in streams:
                    _send(connection, b"OKAY", local, remote)
                    streams[local].written(data, self)
                elif command == b"OKAY" and local in streams:
                    streams[local].acknowledged()


class _Stream:
    def __init__(self, connection: socket.socket, local: int, remote: int):
        self.connection, self.local, self.remote = connection, local, remote
        self.waiting: list[bytes] = []  # to be sent, one for each acknowledgement
        self.sending = self.closing = self.closed = False
        self.sync = False
        self.buffer = self.content = b""
        self.path = ""

    def opened(self, service: str, phone: FakePhone) -> None:
        _send(self.connection, b"OKAY", self.local, self.remote)
        self.sync = service == "sync:"
        if not self.sync:
            code, out, err = phone.shell(service.partition(":")[2])
            for kind, data in ((1, out), (2, err)):
                for start in range(0, len(data), MAX_DATA - 5):
                    part = data[start : start + MAX_DATA - 5]
                    self.say(struct.pack("<BI", kind, len(part)) + part)
            self.say(struct.pack("<BIB", 3, 1, code))
            self.close()

    def written(self, data: bytes, phone: FakePhone) -> None:
        if not self.sync:
            return  # standard input, closed by the other side
        self.buffer += data
        while len(self.buffer) >= 8:
            request, number = struct.unpack("<4sI", self.buffer[:8])
            size = 0 if request in (b"DONE", b"QUIT") else number
            if len(self.buffer) < 8 + size:
                return
            body, self.buffer = self.buffer[8 : 8 + size], self.buffer[8 + size :]
            if request == b"STAT":
                self.say(struct.pack("<4sIII", b"STAT", 0, 0, 0))
            elif request == b"SEND":
                self.path, self.content = body.decode().rpartition(",")[0], b""
            elif request == b"DATA":
                self.content += body
            elif request == b"DONE":
                phone.files[self.path] = self.content
                self.say(struct.pack("<4sI", b"OKAY", 0))
            elif request == b"QUIT":
                self.close()

    def say(self, data: bytes) -> None:
        self.waiting.append(data)
        self._next()

    def close(self) -> None:
        self.closing = True
        self._next()

    def acknowledged(self) -> None:
        self.sending = False
        self._next()

    def _next(self) -> None:
        if self.sending or self.closed:
            return
        if self.waiting:
            self.sending = True
            _send(self.connection, b"WRTE", self.local, self.remote, self.waiting.pop(0))
        elif self.closing:
            self.closed = True
            _send(self.connection, b"CLSE", self.local, self.remote)


def _send(connection: socket.socket, command: bytes, first: int, second: int, data: bytes = b"") -> None:
    (number,) = struct.unpack("<I", command)
    head = struct.pack("<6I", number, first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF)
    connection.sendall(head + data)


def _receive(connection: socket.socket) -> tuple[bytes, int, int, bytes]:
    """(command, their stream, our stream, data)."""
    command, first, second, length, _, _ = struct.unpack("<4s5I", _exactly(connection, 24))
    return command, first, second, _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data
