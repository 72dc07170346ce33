"""Latency on an Android phone that hangs on this machine: the sample app measures, adb carries.

The artifact and its manifest travel to the phone, the app's BenchActivity times it there, and the JSON that it leaves
in its own folder comes back, is checked like any stranger's file (``devices``) and stored. Everything goes through the
``adb`` program of the Android platform tools. A phone that goes away half-way is one line, and nothing is stored.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_scs.errors import InputError
from edge_scs.files import printable, write_atomically
from edge_scs.measure.programs import artifact_manifest
from edge_scs.phones.results import MAX_BYTES, parse_device_result, with_manifest

PACKAGE = "org.edgescs"
INBOX = "/data/local/tmp/edge-scs"  # where adb may write; the app's own folder takes a copy from there
FOLDER = "files/bench"  # of the app, which reads models there
RESULT = "files/latency.json"
ERROR = "files/latency.error"  # one line, in its place
THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
COMMAND_SECONDS = 120.0
SAY_EVERY = 10.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Phone:
    """What ``adb devices -l`` and getprop say of one phone."""

    serial: str
    model: str
    soc: str
    release: str
    abi: str

    def __str__(self) -> str:
        return f"{self.model} ({self.soc or 'SoC not reported'}, Android {self.release}, {self.abi})"


def measure(
    artifact: Path,
    serial: str | None = None,
    warmup: int = 10,
    runs: int = 50,
    threads: int | None = None,
    out: Path = Path("results"),
    limit_seconds: float = 600.0,
    poll_seconds: float = 1.0,
    sustained: int = 0,
    say: Say = lambda line: None,
) -> tuple[dict[str, Any], Path]:
    """Time a .pte on the phone and store what it says as ``out``/NAME.json; returns (the result, where it lies).

    ``serial`` chooses among several phones. ``threads``: None leaves them to the runtime. ``sustained``: minutes of one
    inference after the other when the timed runs are done; ``limit_seconds`` holds without them.
    Raises InputError, and stores nothing: no adb, no phone, several phones, one that does not allow debugging, an
    emulator, no sample app, a phone that went away, no result within ``limit_seconds``, or a result that ``results``
    refuses or that is of another file.
    """
    manifest = artifact_manifest(artifact)
    if artifact.suffix != ".pte":
        raise InputError(f"{artifact}: Android runs .pte artifacts; export one with --target executorch")
    bridge = Bridge(choose(list_devices(_adb()), serial))
    phone = bridge.phone()
    say(f"{phone}: {artifact.name}")
    before = bridge.thermal()
    say(f"thermal status before: {before}")
    bridge.install(artifact, say)
    bridge.start(artifact.name, warmup, runs, threads, sustained)
    content = bridge.wait(limit_seconds + 60 * sustained, poll_seconds, say)
    bridge.clean()
    say(f"thermal status after: {bridge.thermal()}")
    where = f"{phone.model}: latency.json"
    result = with_manifest(parse_device_result(content, where), {manifest["sha256"]: manifest}, where)
    name = re.sub(r"[^A-Za-z0-9]+", "_", phone.model).strip("_")
    path = out / f"{artifact.stem}-{name}-{result['created'].replace(':', '')}.json"
    write_atomically(path, content)
    return result, path


def _adb() -> str:
    path = shutil.which("adb")
    if path is None:
        raise InputError("adb: not found; install the Android platform tools (Debian: apt install adb)")
    return path


def list_devices(adb: str) -> dict[str, str]:
    """Serial number -> state, by ``adb devices -l``."""
    return parse_devices(_call([adb, "devices", "-l"]).stdout.decode(errors="replace"))


def parse_devices(text: str) -> dict[str, str]:
    """What ``adb devices -l`` prints -> serial number -> state: "device", "unauthorized", "offline", "no permissions".

    Lines of the daemon that is starting, and the heading, are no devices.
    """
    found = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"(\S+)\s+(no permissions|\w+)\b.*", line):
            if line.startswith(("List of devices", "* ", "adb ")):
                continue
            found[match[1]] = match[2]
    return found


def choose(devices: dict[str, str], serial: str | None) -> str:
    """The one phone that is meant. Raises InputError, with the fix, for none, several, or one that is not ready."""
    if serial is not None and serial not in devices:
        raise InputError(f"--serial {printable(serial)}: not connected; adb sees {', '.join(devices) or 'no phone'}")
    if not devices:
        raise InputError("adb: no phone is connected; plug one in and allow USB debugging in its developer options")
    if serial is None and len(devices) > 1:
        raise InputError(f"adb: several phones are connected ({', '.join(devices)}); choose one with --serial")
    chosen = serial or next(iter(devices))
    fixes = {
        "unauthorized": "unlock it and allow USB debugging for this computer",
        "authorizing": "unlock it and allow USB debugging for this computer",
        "offline": "unplug it and plug it in again",
        "no permissions": "add udev rules for it, then plug it in again",
    }
    if (state := devices[chosen]) != "device":
        raise InputError(f"adb: {chosen} is in state {state!r}; {fixes.get(state, 'start it normally and connect it')}")
    return chosen


def parse_thermal(text: str) -> str:
    """What ``dumpsys thermalservice`` prints -> one of THERMAL_STATUS, or "unknown"."""
    match = re.search(r"^\s*Thermal Status:\s*(\d+)\s*$", text, re.MULTILINE)
    status = int(match[1]) if match else len(THERMAL_STATUS)
    return THERMAL_STATUS[status] if status < len(THERMAL_STATUS) else "unknown"


class Bridge:
    """adb commands for one phone. Raises InputError, naming the phone, for what fails."""

    def __init__(self, serial: str):
        self.serial = serial
        self.command = [_adb(), "-s", serial]

    def phone(self) -> Phone:
        """Raises InputError for an emulator, whose times are not a phone's."""
        properties = self._properties()
        if "1" in (properties.get("ro.kernel.qemu"), properties.get("ro.boot.qemu")):
            raise InputError(f"adb: {self.serial} is an emulator; its times are no phone's, connect a phone")
        soc = " ".join(filter(None, map(properties.get, ("ro.soc.manufacturer", "ro.soc.model"))))
        release, abi = (properties.get(key, "unknown") for key in ("ro.build.version.release", "ro.product.cpu.abi"))
        return Phone(self.serial, properties.get("ro.product.model", self.serial), soc, release, abi)

    def thermal(self) -> str:
        """Of Android's thermal service (10 and later); "unknown" where there is none."""
        return parse_thermal(self._shell("dumpsys thermalservice", may_fail=True).stdout.decode(errors="replace"))

    def install(self, artifact: Path, say: Say) -> None:
        """Put the artifact and its manifest where the app reads them."""
        found = self._shell(f"run-as {PACKAGE} mkdir -p {FOLDER}", may_fail=True)
        if found.returncode:
            said = _line(found)
            raise InputError(f"adb: no {PACKAGE} on {self.serial} to measure with ({said}); install its debug build")
        self._shell(f"mkdir -p {INBOX}")
        say(f"copying {artifact.stat().st_size / 1e6:.1f} MB")
        for path in (artifact, artifact.with_name(artifact.name + ".json")):
            if not re.fullmatch(r"[\w.+-]+", path.name):
                raise InputError(f"{path}: a name for a phone has letters, digits, dots and dashes; rename it")
            self._run("push", str(path), f"{INBOX}/{path.name}")
            self._shell(f"cat {INBOX}/{path.name} | run-as {PACKAGE} sh -c 'cat > {FOLDER}/{path.name}'")
            self._shell(f"rm -f {INBOX}/{path.name}")

    def start(self, name: str, warmup: int, runs: int, threads: int | None, sustained: int) -> None:
        """Start BenchActivity on a model of its folder; what it measured before is removed first."""
        self._shell(f"run-as {PACKAGE} rm -f {RESULT} {ERROR}")
        home = self._shell(f"run-as {PACKAGE} pwd").stdout.decode().strip()
        extras = f"--es model {home}/{FOLDER}/{name} --ei warmup {warmup} --ei runs {runs}"
        extras += "" if threads is None else f" --ei threads {threads}"
        extras += f" --ei sustained {sustained}" if sustained else ""
        started = self._shell(f"am start -W -S -n {PACKAGE}/.BenchActivity {extras}")
        if b"Error" in started.stdout + started.stderr:
            raise InputError(
                f"adb: {self.serial} cannot start BenchActivity ({_line(started)}); install the sample app"
            )

    def wait(self, limit_seconds: float, poll_seconds: float, say: Say) -> bytes:
        """The JSON that the app leaves, once it is there."""
        begun = time.monotonic()
        gone, said = 0, -SAY_EVERY
        while (passed := time.monotonic() - begun) < limit_seconds:
            time.sleep(poll_seconds)
            found = self._shell(f"run-as {PACKAGE} cat {RESULT}", may_fail=True)
            if found.returncode == 0 and found.stdout:
                if len(found.stdout) > MAX_BYTES:
                    raise InputError(f"adb: {self.serial} sent more than {MAX_BYTES >> 20} MB as {RESULT}")
                return found.stdout
            failed = self._shell(f"run-as {PACKAGE} cat {ERROR}", may_fail=True)
            if failed.returncode == 0 and failed.stdout:
                raise InputError(f"adb: the app on {self.serial} could not measure: {_line(failed)}")
            gone = 0 if self._shell(f"pidof {PACKAGE}", may_fail=True).returncode == 0 else gone + 1
            if gone > 2:
                raise InputError(f"adb: {PACKAGE} on {self.serial} ended without a result; adb logcat says why")
            if passed - said >= SAY_EVERY:
                say(f"measuring, {passed:.0f} s")
                said = passed
        raise InputError(
            f"adb: no result from {self.serial} within {limit_seconds:.0f} s; keep its screen on, fewer runs"
        )

    def clean(self) -> None:
        """Take the pushed model from the phone again."""
        self._shell(f"run-as {PACKAGE} rm -rf {FOLDER}", may_fail=True)

    def _properties(self) -> dict[str, str]:
        text = self._shell("getprop").stdout.decode(errors="replace")
        return {name: printable(value)[:80] for name, value in re.findall(r"\[([^\]]+)\]: \[(.+)\]", text)}

    def _shell(self, line: str, may_fail: bool = False) -> "subprocess.CompletedProcess[bytes]":
        return self._run("shell", "-T", line, may_fail=may_fail)

    def _run(self, *arguments: str, may_fail: bool = False) -> "subprocess.CompletedProcess[bytes]":
        done = _call([*self.command, *arguments])
        if done.returncode:
            # Either the command failed on the phone, or the phone has gone.
            state = _call([*self.command, "get-state"])
            if state.returncode or state.stdout.strip() != b"device":
                raise InputError(f"adb: {self.serial} went away ({_line(done)}); plug it in and measure again")
            if not may_fail:
                raise InputError(f"adb: {' '.join(arguments)[:80]} failed on {self.serial} ({_line(done)})")
        return done


def _call(command: list[str]) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(command, capture_output=True, timeout=COMMAND_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"adb: no answer within {COMMAND_SECONDS:.0f} s; plug the phone in again") from error


def _line(done: "subprocess.CompletedProcess[bytes]") -> str:
    """The last line of what a command said, for a message."""
    lines = (done.stderr + b"\n" + done.stdout).decode(errors="replace").split("\n")
    return printable(next((line.strip() for line in lines if line.strip()), f"exit {done.returncode}"))[:120]
