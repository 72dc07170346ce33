"""Help texts speak the field's language: the documents' list of words holds for them as well."""

import pytest
import typer.main
from test_documents import WORDS

from edge_scs.cli import app


def texts() -> dict[str, str]:
    """{"enhance --scale": its help} of every command, option and argument, groups' commands included."""
    found: dict[str, str] = {}

    def collect(command, name: str) -> None:
        found[name] = command.help or ""
        for parameter in command.params:
            if getattr(parameter, "hidden", False):
                continue
            found[f"{name} {parameter.opts[-1]}"] = f"{getattr(parameter, 'help', '') or ''} {parameter.metavar or ''}"
        for sub, child in getattr(command, "commands", {}).items():
            collect(child, f"{name} {sub}")

    collect(typer.main.get_command(app), "edge-scs")
    return found


@pytest.mark.parametrize("name", texts())
def test_help(name: str) -> None:
    text = texts()[name]
    assert text.strip()
    assert not WORDS.search(text), text
