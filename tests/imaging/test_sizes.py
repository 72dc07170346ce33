"""Scales and sizes: what they become, and what is refused."""

import math

import pytest

from edge_scs.errors import InputError
from edge_scs.imaging.sizes import parse_size, target_size


@pytest.mark.parametrize(
    ("text", "size"), [("1280x720", (1280, 720)), (" 7X9 ", (7, 9)), ("640×480", (640, 480)), ("01x1", (1, 1))]
)
def test_sizes_are_width_by_height(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "1280", "x720", "1280x", "0x720", "12.5x7", "-3x4", "1280x720x3", "axb", "9999999x1"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="must be WIDTHxHEIGHT in pixels, like 1280x720"):
        parse_size(text)


@pytest.mark.parametrize(
    ("lr", "scale", "hr"),
    [
        ((180, 320), 4, (720, 1280)),
        ((180, 320), None, (720, 1280)),
        ((3, 5), 2.5, (8, 12)),
        ((1, 1), 1, (1, 1)),
        ((1, 1), 1.2, (1, 1)),
        ((1, 7), 8, (8, 56)),
        ((333, 500), 1.37, (456, 685)),
    ],
)
def test_scale_multiplies_both_sides(lr: tuple[int, int], scale: float | None, hr: tuple[int, int]) -> None:
    assert target_size(lr, scale) == hr


@pytest.mark.parametrize("scale", [0, -1, 0.99, 8.01, 99, math.nan, math.inf, -math.inf])
def test_other_scales_are_refused(scale: float) -> None:
    with pytest.raises(InputError) as caught:
        target_size((10, 10), scale)
    assert str(caught.value) == f"scale {scale:g}: must be between 1 and 8"


def test_size_is_taken_as_given() -> None:
    assert target_size((180, 320), size=(1280, 720)) == (720, 1280)
    assert target_size((10, 10), size=(80, 10)) == (10, 80)


@pytest.mark.parametrize("size", [(1280, 89), (159, 720), (1281, 720), (1280, 721)])
def test_sizes_out_of_range_are_refused_with_the_range(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"choose between 160x90 and 1280x720$"):
        target_size((90, 160), size=size)


def test_scale_and_size_exclude_each_other() -> None:
    with pytest.raises(InputError, match="not both"):
        target_size((10, 10), 2, (20, 20))
