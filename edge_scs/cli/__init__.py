"""The command line: every command a few lines that call what is below. Heavy imports stay inside the commands."""

import errno
import io
import sys
from typing import Any

import typer

# In the order of --help; importing them is what registers them.
from edge_scs.cli import restoring, web, learning, deploying, measuring, apps  # isort: skip
from edge_scs.cli.app import app, emit, say
from edge_scs.errors import InputError

__all__ = ["app", "apps", "deploying", "emit", "learning", "main", "measuring", "restoring", "say", "web"]

# typer carries click inside it or beside it, as its version will: this finds the class either way.
_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main() -> None:
    """Run; every expected failure is one line on stderr and exit code 2."""
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a console of Windows or an ASCII locale does not know every name of a file
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error))
    except _ClickException as error:
        _fail(error.format_message())
    except OSError as error:
        if "No usable temporary directory" in str(error):
            _fail("no temporary folder can be written; set TMPDIR to one that can")
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        _fail(
            f"{error.filename or 'a file'}: cannot be written ({error.strerror}); make room, then resume with --resume"
        )
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    print("edge-scs: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
