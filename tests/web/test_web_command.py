"""``edge-scs web``: bad input is one line and exit code 2, and a stopped server leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from fuzz.mixed import write_good
from test_cli import cli, refused
from web.client import Session

from edge_scs.files import try_lock
from edge_scs.web.workspace import Workspace


def test_a_port_in_use(weights):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refused(cli("web", "--port", taken.getsockname()[1], "--model", weights))
    assert "choose another with --port" in line


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--port", "65536"], "port 65536: must be 1 to 65535, or 0"),
        (["--port", "-1"], "port -1: must be 1 to 65535, or 0"),
        (["--host", "no.such.host.invalid"], "is no address of this machine"),
        (["--host", "192.0.2.1", "--port", "0"], "cannot be had"),
        (["--model", "edge_scs_mm", "--port", "0"], "did you mean edge_scs_m?"),
        (["--model", "pcarn", "--weights", "no.safetensors", "--port", "0"], "no such weights file"),
        (["--tile", "-1"], "--tile"),
    ],
)
def test_bad_input_is_one_line(arguments, why):
    assert why in refused(cli("web", *arguments))


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "anyio"])
def test_without_the_extra_the_line_names_it(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)  # what import then takes for a missing module
    assert "pip install 'edge-scs[web]'" in refused(cli("web"))


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_stopped_server_leaves_nothing(tmp_path, weights, number):
    command = [sys.executable, "-m", "edge_scs", "web", "--port", "0", "--no-browser", "--model", str(weights)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        page = Session(process.stdout.readline().strip())
        page.upload(write_good(tmp_path, "grey", 1))
        (folder,) = tmp_path.glob("edge-scs-web-*")
        assert folder.stat().st_mode & 0o077 == 0
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == ""
    assert err.splitlines()[-1] == "stopped; nothing of it is left"
    assert not folder.exists()


def test_the_next_server_removes_what_a_killed_one_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, foreign = tmp_path / "edge-scs-web-left", tmp_path / "edge-scs-web-link"
    left.mkdir()
    (left / "lock").touch()
    (left / "source.png").touch()
    elsewhere = tmp_path / "mine"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    foreign.symlink_to(elsewhere)
    with Workspace() as alive:
        assert not left.exists()
        assert elsewhere.exists()
        handle = os.open(alive / "lock", os.O_RDWR)
        assert not try_lock(handle)  # so that another server lets it be
        os.close(handle)
        with Workspace():
            assert alive.exists()
    assert not alive.exists()
