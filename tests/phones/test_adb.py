"""Android phones: what adb prints is understood, and the real adb carries a measurement from a daemon on loopback."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from phones.fake_adbd import FakePhone

from edge_scs.artifacts.manifest import Port
from edge_scs.cli.phones import bench_on_phone
from edge_scs.errors import InputError
from edge_scs.measure.measurement import Latency
from edge_scs.phones import adb, results
from edge_scs.phones.adb import choose, measure, parse_devices, parse_thermal
from tests.manifests import manifest

SCHEMA = json.loads(results.SCHEMA.read_text())
LISTED = """* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
39181FDJG002QA         device usb:1-2 product:shiba model:Pixel_8 device:shiba transport_id:1
R3CN90         unauthorized usb:1-3 transport_id:2
127.0.0.1:5555         offline transport_id:3
X1   no permissions (user in plugdev group; are your udev rules wrong?); see [http://developer.android.com]

"""


def test_the_list_of_devices_is_understood():
    states = {"39181FDJG002QA": "device", "R3CN90": "unauthorized", "127.0.0.1:5555": "offline", "X1": "no permissions"}
    assert parse_devices(LISTED) == states
    assert parse_devices("List of devices attached\n\n") == {}


@pytest.mark.parametrize(
    ("devices", "serial", "message"),
    [
        ({}, None, "no phone is connected"),
        ({"a": "device", "b": "device"}, None, r"several phones are connected \(a, b\); choose one with --serial"),
        ({"a": "device"}, "c", "--serial c: not connected; adb sees a"),
        ({"a": "unauthorized"}, None, "unlock it and allow USB debugging"),
        ({"a": "offline"}, None, "plug it in again"),
        ({"a": "no permissions"}, None, "udev"),
        ({"a": "recovery", "b": "device"}, "a", "state 'recovery'"),
    ],
)
def test_phones_that_cannot_be_meant(devices, serial, message):
    with pytest.raises(InputError, match=message):
        choose(devices, serial)


def test_the_phone_that_is_meant():
    assert choose({"a": "device"}, None) == "a"
    assert choose({"a": "device", "b": "device"}, "b") == "b"


def test_thermal_status():
    assert parse_thermal("IsStatusOverride: false\nThermal Status: 0\nCached temperatures:") == "none"
    assert parse_thermal("\tThermal Status: 3\n") == "severe"
    assert parse_thermal("Thermal Status: 99") == parse_thermal("Can't find service: thermalservice") == "unknown"


def test_without_adb_it_says_so(tmp_path, artifact, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="adb: not found; install"):
        measure(artifact)


@pytest.mark.parametrize(("device", "message"), [("adb", "adb: not found; install"), ("ios", "needs a Mac with Xcode")])
def test_the_command_says_what_is_missing_in_one_line(tmp_path, artifact, device, message):
    if device == "ios" and sys.platform == "darwin":
        pytest.skip("a Mac")
    command = [sys.executable, "-m", "edge_scs", "bench", str(artifact), "--device", device]
    done = subprocess.run(command, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A .pte in name, 100 kB, and its manifest."""
    path = tmp_path / "edge_scs_m_x4.pte"
    path.write_bytes(bytes(range(256)) * 400)
    ports = {
        "inputs": [Port("gray", [1, 1, 180, 320], "float32")],
        "outputs": [Port("rgb", [1, 3, 720, 1280], "float32")],
    }
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest(path, bytes=path.stat().st_size, params=5, sha256=digest, mult_adds=7, preset="xnnpack-fp32", **ports)
    return path


class Android:
    """The shell of a phone with the sample app. ``changes`` are made to the result; ``script`` replaces answers."""

    def __init__(self, **changes: Any):
        self.changes = changes
        self.files: dict[str, bytes] = {}
        self.started: list[str] = []
        self.script: dict[str, Callable[[], tuple[int, bytes, bytes]]] = {}
        self.properties = {
            "ro.product.model": "Pixel 8", "ro.soc.manufacturer": "Google", "ro.soc.model": "Tensor G3",
            "ro.build.version.release": "15", "ro.product.cpu.abi": "arm64-v8a",
        }  # fmt: skip
        self.phone = FakePhone(self.shell)
        self.polls = 0
        self.cleaned = False

    def shell(self, line: str) -> tuple[int, bytes, bytes]:
        for pattern, answer in self.script.items():
            if re.match(pattern, line):
                return answer()
        if line == "getprop":
            return 0, "".join(f"[{key}]: [{value}]\n" for key, value in self.properties.items()).encode(), b""
        if line == "dumpsys thermalservice":
            return 0, b"Thermal Status: 1\n", b""
        if line == "run-as org.edgescs pwd":
            return 0, b"/data/user/0/org.edgescs\n", b""
        if copy := re.fullmatch(r"cat (\S+) \| run-as org\.edgescs sh -c 'cat > (\S+)'", line):
            self.files[copy[2]] = self.phone.files[copy[1]]
            return 0, b"", b""
        if line.startswith("am start "):
            self.started.append(line)
            return 0, b"Starting: Intent\nStatus: ok\n", b""
        if line == "run-as org.edgescs cat files/latency.json":
            self.polls += 1
            if self.polls < 3:
                return 1, b"", b"cat: files/latency.json: No such file or directory\n"
            return 0, self.result(), b""
        if line == "run-as org.edgescs cat files/latency.error":
            return 1, b"", b"cat: files/latency.error: No such file or directory\n"
        if line == "run-as org.edgescs rm -rf files/bench":
            self.cleaned = True
        if line == "pidof org.edgescs":
            return 0, b"4321\n", b""
        assert line.split()[0] in ("mkdir", "rm", "run-as"), line
        return 0, b"", b""

    def result(self) -> bytes:
        """What the app would write: the sha256 is that of the file that arrived."""
        model = re.search(r"--es model \S*/(files/bench/\S+)", self.started[-1])
        assert model is not None
        result = SCHEMA["examples"][0] | {"emulated": False, "device": "Google Pixel 8"}
        sha256 = hashlib.sha256(self.files[model[1]]).hexdigest()
        result["model"] = result["model"] | {"sha256": sha256}
        return json.dumps(result | self.changes).encode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an adb server of our own, on loopback, ended with the tests."""
    binary = shutil.which("adb")
    if binary is None:
        pytest.skip("no adb here (Debian: apt install adb)")
    home = str(tmp_path_factory.mktemp("home"))
    port = str(free_port())
    env = {"ANDROID_ADB_SERVER_PORT": port, "HOME": home, "ANDROID_USER_HOME": home, "ADB_MDNS": "0"}
    subprocess.run([binary, "start-server"], env=os.environ | env, check=True, capture_output=True, timeout=60)
    yield env
    subprocess.run([binary, "kill-server"], env=os.environ | env, check=False, capture_output=True, timeout=60)


@pytest.fixture
def connect(server, monkeypatch) -> Iterator[Callable[[FakePhone], None]]:
    """Connect phones to the adb of this test; they are disconnected afterwards."""
    for key, value in server.items():
        monkeypatch.setenv(key, value)
    phones: list[FakePhone] = []

    def plug(phone: FakePhone, state: str = "device") -> None:
        phones.append(phone)
        subprocess.run(["adb", "connect", phone.serial], check=False, capture_output=True, timeout=30)
        end = time.monotonic() + 10
        while (
            parse_devices(subprocess.run(["adb", "devices", "-l"], capture_output=True, text=True).stdout).get(
                phone.serial
            )
            != state
            and time.monotonic() < end
        ):
            time.sleep(0.05)

    yield plug
    for phone in phones:
        subprocess.run(["adb", "disconnect", phone.serial], check=False, capture_output=True, timeout=30)
        with contextlib.suppress(OSError):
            phone.unplug()


def test_a_phone_measures_and_the_result_is_stored(tmp_path, artifact, connect):
    android = Android()
    connect(android.phone)
    said: list[str] = []
    result, path = measure(
        artifact, warmup=3, runs=4, threads=2, out=tmp_path / "results", poll_seconds=0.05, sustained=5,
        say=said.append,
    )  # fmt: skip
    assert android.files["files/bench/edge_scs_m_x4.pte"] == artifact.read_bytes()
    assert json.loads(android.files["files/bench/edge_scs_m_x4.pte.json"])["model"] == "edge_scs_m"
    wanted = (
        "--es model /data/user/0/org.edgescs/files/bench/edge_scs_m_x4.pte --ei warmup 3 --ei runs 4 --ei threads 2 "
        "--ei sustained 5"
    )
    assert android.started == [f"am start -W -S -n org.edgescs/.BenchActivity {wanted}"]
    assert result["median_ms"] == 4.1875
    assert result["artifact"]["mult_adds"] == 7
    assert path.name == "edge_scs_m_x4-Pixel_8-2026-11-21T030000Z.json"
    assert path.read_bytes() == android.result()
    assert android.cleaned
    assert "Pixel 8 (Google Tensor G3, Android 15, arm64-v8a): edge_scs_m_x4.pte" in said
    assert "thermal status before: light" in said
    assert any(line.startswith("measuring, ") for line in said)


def gone(android: Android) -> tuple[int, bytes, bytes]:
    android.phone.unplug()
    raise OSError("the cable")


FAULTS: list[tuple[str, Callable[[Android], None], str]] = [
    ("emulated", lambda a: a.changes.update(emulated=True), "latency.json: emulated is true"),
    ("another file", lambda a: a.changes.update(model=SCHEMA["examples"][0]["model"]), r"model\.sha256 0000"),
    ("wrong figures", lambda a: a.changes.update(median_ms=1.0), "median_ms is 1, its samples say 4.188"),
    ("not JSON", lambda a: a.script.update({"run-as .* cat files": lambda: (0, b"{", b"")}), "not valid JSON"),
    ("too much", lambda a: a.script.update({"run-as .* cat files": lambda: (0, b" " * (1 << 21), b"")}), "than 1 MB"),
    ("no app", lambda a: a.script.update({"run-as": lambda: (1, b"", b"run-as: unknown package: org.edgescs\n")}),
     r"no org\.edgescs on .* to measure with \(run-as: unknown package"),
    ("old app", lambda a: a.script.update({"am start": lambda: (0, b"Error: Activity class {x}\n", b"")}),
     "cannot start BenchActivity"),
    ("an error of the app", lambda a: a.script.update(
        {".* cat .*error": lambda: (0, b"no method x\n", b""), "run-as .* cat .*latency.json": lambda: (1, b"", b"")}
     ), "could not measure: no method x"),
    ("ends early", lambda a: a.script.update({"run-as .* cat f|pidof": lambda: (1, b"", b"")}), "ended without"),
    ("never ends", lambda a: a.script.update({"run-as .* cat files": lambda: (1, b"", b"")}), "no result from .* with"),
    ("an emulator", lambda a: a.properties.update({"ro.kernel.qemu": "1"}), "is an emulator"),
    ("unplugged at the start", lambda a: a.script.update({"getprop": lambda: gone(a)}), "went away"),
    ("unplugged half-way", lambda a: a.script.update({"pidof": lambda: gone(a)}), "went away"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "message"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_what_goes_wrong_on_a_phone_is_one_line(tmp_path, artifact, connect, fault, message):
    android = Android()
    fault(android)
    connect(android.phone)
    with pytest.raises(InputError, match=message) as caught:
        measure(artifact, out=tmp_path / "results", poll_seconds=0.02, limit_seconds=1.5)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_none_two_and_unauthorised(artifact, connect):
    with pytest.raises(InputError, match="no phone is connected"):
        measure(artifact)
    first, second = Android(), Android()
    connect(first.phone)
    connect(second.phone)
    with pytest.raises(InputError, match="several phones are connected"):
        measure(artifact)
    stranger = FakePhone(first.shell, authorised=False)
    connect(stranger, "unauthorized")
    with pytest.raises(InputError, match="allow USB debugging"):
        measure(artifact, stranger.serial)


def test_the_daemon_of_the_tests_is_heard_on_loopback_only(server):
    """Nobody else on the network may speak to the server that the tests start."""
    port = int(server["ANDROID_ADB_SERVER_PORT"])
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    heard = {line.split()[1].split(":")[0] for line in lines if line.split()[1].endswith(f":{port:04X}")}
    assert heard == {"0100007F"}
    assert adb.INBOX.startswith("/data/local/tmp/")


def test_the_command_prints_the_rows_of_bench(tmp_path, artifact, monkeypatch, capsys):
    result = SCHEMA["examples"][0] | {"emulated": False, "device": "Google Pixel 8"}
    asked: dict[str, Any] = {}

    def fake(path: Path, serial: str | None, **more: Any) -> tuple[dict[str, Any], Path]:
        asked.update(more, serial=serial)
        return result, tmp_path / "results" / "x.json"

    monkeypatch.setattr(adb, "measure", fake)
    bench_on_phone([str(artifact)], "adb", "S1", 4, 20, json_=True, sustained=3)
    printed = json.loads(capsys.readouterr().out)
    assert (asked["serial"], asked["runs"], asked["threads"], asked["sustained"]) == ("S1", 20, 4, 3)
    row = printed["results"][0]
    assert row["subject"] == str(artifact)
    assert row["phone"] == "Google Pixel 8"
    assert row["stored"].endswith("x.json")
    keys = ("runtime", "threads", "lr", "hr", "warmup", "runs", "median_ms", "p90_ms", "min_ms")
    assert {field.name for field in fields(Latency)} <= set(row)
    assert row["rss_growth_mb"] is None
    shared = {key: row[key] for key in keys}
    assert shared == {key: result[key] for key in shared if key in result} | {"lr": [180, 320], "hr": [720, 1280]}
    bench_on_phone([str(artifact)], "adb", None, None, 20, json_=False)
    assert "median     4.19 ms" in capsys.readouterr().out
