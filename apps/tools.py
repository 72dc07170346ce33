"""Tools for the apps' tests: found on the machine, installed by apt-get as root, or fetched into one folder.

What npm brings is held to the sha256 noted here; what apt brings is signed by Debian.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Skip(Exception):  # noqa: N818 - no error
    """This machine cannot run a check; the message says what it lacks."""


class Failed(Exception):  # noqa: N818 - a verdict
    """A check found something wrong; the message is what was said."""


def tools_folder() -> Path:
    """``EDGE_SCS_TOOLS``, or apps/.tools; made."""
    folder = Path(os.environ.get("EDGE_SCS_TOOLS") or Path(__file__).parent / ".tools").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def call(command: Sequence[str | Path], **options: object) -> str:
    """Run a command -> what it said, both streams. Raises Failed with that when it ends otherwise than with 0."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        **options,  # type: ignore[call-overload]
    )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))[:300]}\nended with {done.returncode}\n{done.stdout}")
    return done.stdout


def program(name: str, package: str) -> str:
    """The path of a program, installed if this is root on Debian. Raises Skip where it cannot be had."""
    if shutil.which(name) is None:
        _install(package, f"no {name}")
    found = shutil.which(name)
    if found is None:
        raise Skip(f"no {name}, even with the package {package}")
    return found


def file_of(path: Path, package: str) -> Path:
    """A file that a Debian package brings. Raises Skip where it cannot be had."""
    if not path.is_file():
        _install(package, f"no {path}")
    if not path.is_file():
        raise Skip(f"no {path}, even with the package {package}")
    return path


def _install(package: str, lacks: str) -> None:
    if os.geteuid() or shutil.which("apt-get") is None:
        raise Skip(f"{lacks}; install it (Debian: apt-get install {package})")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    try:
        call(["apt-get", "update", "-q"], env=environment)
        call(["apt-get", *wait, "install", "-y", "-q", "--no-install-recommends", package], env=environment)
    except Failed as failure:
        raise Skip(f"{lacks}, and apt-get install {package} failed: {str(failure).splitlines()[-1]}") from failure


def from_npm(folder: Path, package: str, sha256: str) -> Path:
    """The unpacked npm package ``name@version``, kept in ``folder``. Raises Skip without npm or network."""
    final = folder / package.replace("@", "-")
    if final.is_dir():
        return final
    npm = program("npm", "npm")
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        try:
            call([npm, "pack", "--silent", package], cwd=temporary)
        except Failed as failure:
            raise Skip(f"npm pack {package} failed: {str(failure).splitlines()[-1]}") from failure
        (archive,) = Path(temporary).glob("*.tgz")
        if (got := hashlib.sha256(archive.read_bytes()).hexdigest()) != sha256:
            raise Failed(f"{package}: sha256 {got}, not the noted {sha256}")
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        try:
            (Path(temporary) / "package").rename(final)
        except OSError:  # another process was first
            if not final.is_dir():
                raise
    return final


def from_old_debian(folder: Path, package: str, suite: str = "bullseye") -> Path:
    """A package of an older Debian, unpacked into ``folder`` and not installed. Raises Skip where it has vanished."""
    final = folder / package
    if final.is_dir():
        return final
    if not KEYRING.is_file() or shutil.which("apt-get") is None:
        raise Skip("needs Debian's apt-get and its archive keys")
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        home = Path(temporary)
        for name in ("lists/partial", "state", "cache/archives/partial"):
            (home / name).mkdir(parents=True)
        (home / "status").touch()
        (home / "sources").write_text(f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n")
        options = {
            "Dir::Etc::sourcelist": home / "sources", "Dir::Etc::sourceparts": "-", "Dir::State": home / "state",
            "Dir::State::lists": home / "lists", "Dir::State::status": home / "status", "Dir::Cache": home / "cache",
            "Acquire::Check-Valid-Until": "false", "APT::Sandbox::User": "",
        }  # fmt: skip
        own = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        try:
            call(["apt-get", *own, "update"], cwd=home)
            call(["apt-get", *own, "download", package], cwd=home)
            (deb,) = home.glob("*.deb")
        except (Failed, ValueError) as failure:
            raise Skip(f"{package} of Debian {suite} cannot be had any more") from failure
        call(["dpkg-deb", "-x", deb, home / "unpacked"])
        (home / "unpacked").rename(final)
    return final
