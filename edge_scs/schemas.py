"""JSON documents from anywhere, read strictly and checked against their JSON Schema.

What is wrong becomes one line that names the key, what it holds and what it must hold. jsonschema decides; the words
are the schema's own: the "title" of a value's schema, or what its type, bounds and choices say.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from edge_scs.errors import did_you_mean
from edge_scs.files import printable

_SHOWN = 60  # characters of a value or a key in a message
_TYPES = {
    "string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "null",
    "array": "a list", "object": "an object",
}  # fmt: skip


def parse(content: bytes | str) -> Any:
    """JSON as the standard has it. Raises ValueError for anything else, for NaN and infinity, and for a key given
    twice; RecursionError for thousands of brackets."""
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)


def violation(document: Any, schema: Path, unknown: str = "leave it out") -> str | None:
    """The first thing in which ``document`` is not as the JSON Schema in a file says; None if it is.

    For example "lacks 'model.lr'", "unknown key 'median'; did you mean median_ms?" (or ``unknown``, if none is near) or
    "runs is 0, must be a whole number, 1 to 10000".
    """
    error = next(_validator(schema).iter_errors(document), None)
    if error is None:
        return None
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)[1:]
    inside = f"{place}." if place else ""
    known = error.schema.get("properties", {})
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"lacks '{printable(inside)[:_SHOWN]}{missing}'"
    if error.validator == "additionalProperties" and error.validator_value is False:
        key = next(key for key in error.instance if key not in known)
        return f"unknown key {printable(inside + key)[:_SHOWN]!r}; {did_you_mean(key, known, unknown)}"
    shown = printable(json.dumps(error.instance))[:_SHOWN]
    return f"{printable(place)[:_SHOWN] or 'it'} is {shown}, must be {_words(error.schema)}"


def _words(schema: dict[str, Any]) -> str:
    if "title" in schema:
        return str(schema["title"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    types = schema.get("type", [])
    text = " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types)) or "another value"
    if "required" in schema:
        text += f" with {', '.join(schema['required'])}"
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None:
        return f"{text}, {least} to {most}" if most is not None else f"{text}, at least {least}"
    return text if most is None else f"{text}, at most {most}"


@cache
def _validator(path: Path) -> Any:
    from jsonschema import Draft4Validator, Draft202012Validator, validators

    # Of draft 4: 4.0 is no integer, which readers use as a size.
    kind = validators.extend(Draft202012Validator, type_checker=Draft4Validator.TYPE_CHECKER)
    return kind(json.loads(path.read_text(encoding="utf-8")))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"{printable(key)[:_SHOWN]!r} is given twice")
        table[key] = value
    return table


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")
