"""A subject of a latency measurement in a process of its own: this side of ``latency_worker``'s requests."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import edge_scs
from edge_scs.errors import InputError
from edge_scs.measure.modes import Unavailable


class Worker:
    """A subject's process. Every answer with an "error", and a process that ends early, becomes an InputError, and
    "unavailable" becomes Unavailable. ``guided``: with a reference."""

    def __init__(self, subject: str, mode: str, guided: bool = False):
        self.subject, self.mode, self.guided = subject, mode, guided
        self.log: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by close()
        package = str(Path(edge_scs.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge_scs.measure.latency_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={"OMP_WAIT_POLICY": "passive"} | os.environ | {"PYTHONPATH": path},
        )

    def send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # receive() says why the process has ended

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            lines = self.log.read().strip().splitlines() or ["no message"]
            code = self.process.wait()
            raise InputError(f"{self.subject}: stopped while it was timed (exit {code}: {lines[-1][:200]})")
        answer = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "error" in answer:
            raise InputError(answer["error"])
        return answer

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.send(request)
        return self.receive()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.log.close()
