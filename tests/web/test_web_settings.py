"""Settings from the page: every wrong one is one line, and none costs the server anything."""

import pytest
from fuzz.mixed import write_good

from edge_scs.errors import InputError
from edge_scs.web.settings import KEYS, parse_json, parse_settings, suffix_for

HINT = {"x": 1, "y": 2, "colour": "red"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"scal": 2}', "did you mean scale"),
        (b'{"vividness": 1}', "scale: is missing"),
        (b'{"scale": "2"}', "scale: must be a number"),
        (b'{"scale": true}', "scale: must be a number"),
        (b'{"scale": 1' + b"0" * 400 + b"}", "scale: must be a number"),
        (b'{"scale": 2, "vividness": 2}', "vividness 2: choose 0"),
        (b'{"scale": 2, "vividness": NaN}', "vividness nan: choose 0"),
        (b'{"scale": 2, "restoration": "x"}', "restoration: must be a number"),
        (b'{"scale": 2, "keep_colour": 1}', "keep_colour: must be true or false"),
        (b'{"scale": 2, "format": "bmp"}', "format bmp"),
        (b'{"scale": 2, "format": 1}', "format: must be a name"),
        (b'{"scale": 2, "reference": "a"}', "reference: must be the number"),
        (b'{"scale": 2, "hints": {}}', "hints: must be a list"),
        (b'{"scale": 2, "hints": [{"x": 1}]}', "hints: must be a list"),
        (b'{"scale": 2, "hints": [{"x": 1, "y": 1, "colour": 3}]}', "hints: must be a list"),
        (b'{"scale": 2, "hints": [{"x": -1, "y": 1, "colour": "red"}]}', "must be pixels from 0 up"),
        (b'{"scale": 2, "hints": [{"x": 1, "y": 1, "colour": "\\ud800"}]}', "unknown colour"),
    ],
)
def test_wrong_settings(given, why):
    with pytest.raises(InputError, match=why):
        parse_settings(parse_json(given, KEYS))


def test_right_ones():
    settings = parse_settings({"scale": 2.5, "hints": [HINT], "format": "jpeg", "restoration": 0, "reference": 3})
    assert (settings.scale, settings.restoration, settings.reference, settings.suffix) == (2.5, 0.0, 3, ".jpg")
    assert settings.options.hints[0].colour == "red"
    assert settings.options.vividness == 1
    half = settings.at_size((100, 200), (50, 100)).options.hints[0]
    assert (half.x, half.y) == (0.25, 0.75)


def test_suffixes_that_mean_a_format():
    assert [suffix_for(name) for name in ("A.JPG", "b.tif", "c.exe", "d", "e.png/../../f.sh")] == [
        ".jpg", ".tif", "", "", ""]  # fmt: skip


def test_the_server_says_so(tmp_path, session):
    page = session()
    number = page.upload(write_good(tmp_path, "grey", 1))
    for path in (f"images/{number}/job", f"images/{number}/preview?kind=detail", f"images/{number}/colours?x=1&y=1"):
        for settings, why in (
            (page.settings(scale=9), "scale"), (page.settings(restoration=2), "restoration 2"),
            (page.settings(reference=77), "reference: is not here"),
            (page.settings(hints=[{"x": 1, "y": 1, "colour": "\ud800"}]), "unknown colour"),
        ):  # fmt: skip
            if "colours" in path and why == "scale":  # which do not depend on it
                continue
            answer = page.call("POST", path, settings)
            assert answer.status == 422
            assert why in answer.message
    assert page.call("POST", f"images/{number}/job", b"x" * (1 << 21)).status == 422
    for place in ("x=24&y=0", "x=-1&y=0", "x=nan&y=0", "x=a&y=0", ""):
        assert page.call("POST", f"images/{number}/colours?{place}", page.settings()).status == 422
