"""Documents against a schema: what is wrong is named, with what it must be, in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_scs.schemas import parse, violation

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "size"],
    "properties": {
        "name": {"title": "a short text", "type": "string", "maxLength": 9},
        "size": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}},
        "kind": {"enum": ["a", "b", None]},
        "share": {"type": ["number", "null"], "minimum": 0},
        "most": {"type": "number", "maximum": 2},
        "version": {"const": 1},
        "inner": {"type": "object", "required": ["deep"], "properties": {"deep": {"type": "boolean"}}},
    },
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schema") / "a.schema.json"
    path.write_text(json.dumps(SCHEMA))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"name": "much too long"}, 'name is "much too long", must be a short text'),
        ({"size": 3}, "size is 3, must be a list"),
        ({"size": [2, 0]}, "size[1] is 0, must be a whole number, 1 to 9"),
        ({"size": [2.0]}, "size[0] is 2.0, must be a whole number, 1 to 9"),
        ({"size": [True]}, "size[0] is true, must be a whole number, 1 to 9"),
        ({"kind": "c"}, 'kind is "c", must be one of "a", "b", null'),
        ({"share": -1}, "share is -1, must be a number or null, at least 0"),
        ({"most": 3}, "most is 3, must be a number, at most 2"),
        ({"version": 2}, "version is 2, must be 1"),
        ({"inner": []}, "inner is [], must be an object with deep"),
        ({"inner": {}}, "lacks 'inner.deep'"),
        ({"inner": {"deep": None}}, "inner.deep is null, must be true or false"),
        ({"nam": "x"}, "unknown key 'nam'; did you mean name?"),
        ({"\n": 1}, "unknown key '\\\\n'; leave it out"),
    ],
)
def test_the_first_violation_is_named(schema: Path, change: dict[str, Any], message: str | None) -> None:
    assert violation({"name": "x", "size": [1]} | change, schema) == message


def test_what_is_no_object(schema: Path) -> None:
    assert violation([], schema) == "it is [], must be an object with name, size"
    assert violation({"size": []}, schema) == "lacks 'name'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "is no number"),
        ("{", "property name"),
    ],
)
def test_what_is_no_strict_json(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
    assert parse(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
