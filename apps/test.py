"""Tests of the phone apps as far as Linux goes: ``make test-apps``, or ``python apps/test.py [android] [ios]``.

Runs in an environment with ``.[export,dev]``. Installs what it needs into ``apps/.tools`` (git-ignored;
``EDGE_SCS_TOOLS`` names another folder), and as root by apt-get. Prints one line a check, "pass", "skip" with its
reason, or "FAIL", and ends with 1 if anything failed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

APPS = Path(__file__).resolve().parent
sys.path[:0] = [str(APPS), str(APPS / "android"), str(APPS.parent)]

import checks  # noqa: E402
from tools import Failed, Skip, tools_folder  # noqa: E402


class Tally:
    """What passed, was skipped, failed; each said at once."""

    def __init__(self) -> None:
        self.passed = 0
        self.skipped: list[str] = []
        self.failed: list[str] = []

    def check(self, words: str, run: Callable[[], str | None]) -> bool:
        """Run one check; what it returns is said beside it."""
        start = time.monotonic()
        try:
            said = run()
        except Skip as skip:
            self.skipped.append(f"{words}: {skip}")
            print(f"skip  {self.skipped[-1]}", flush=True)
            return False
        except Failed as failure:
            self.failed.append(words)
            print(
                f"FAIL  {words}\n" + "\n".join(f"      {line}" for line in str(failure).splitlines()[-25:]), flush=True
            )
            return False
        self.passed += 1
        print(f"pass  {words}{f' ({said})' if said else ''}, {time.monotonic() - start:.0f} s", flush=True)
        return True

    def hear(self, script: Path) -> None:
        """Run the checks of a shell script, which says them in the same words."""
        command = subprocess.Popen(
            [str(script)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHON": sys.executable}
        )
        assert command.stdout is not None
        failed = len(self.failed)
        for line in command.stdout:
            print(line, end="", flush=True)
            kind, _, words = line.strip().partition("  ")
            self.passed += kind == "pass"
            if kind in ("skip", "FAIL"):
                (self.skipped if kind == "skip" else self.failed).append(words)
        if command.wait() and len(self.failed) == failed:
            self.failed.append(f"{script}: ended with {command.returncode}")


def main(wanted: list[str]) -> int:
    tally = Tally()
    if "android" in wanted:
        checks.run(tally.check, tools_folder())
    if "ios" in wanted:
        script = APPS / "ios" / "test.sh"
        if script.is_file():
            tally.hear(script)
        else:
            tally.skipped.append("ios: apps/ios/test.sh is not there")
    print(f"\n{tally.passed} passed, {len(tally.skipped)} skipped, {len(tally.failed)} failed")
    for words in tally.skipped:
        print(f"skipped: {words}")
    for words in tally.failed:
        print(f"failed: {words}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["android", "ios"]
    if not set(chosen) <= {"android", "ios"}:
        sys.exit("usage: python apps/test.py [android] [ios]")
    sys.exit(main(chosen))
