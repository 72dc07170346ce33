"""Hints as users give them: every form, every refusal in one line, and that they reach the network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_scs.color import rgb_to_ycc
from edge_scs.errors import InputError
from edge_scs.inference.hint_points import MAX_HINTS, Hint, check_hints, parse_hint, parse_hints, planes_of, read_hints
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Options
from edge_scs.models.edge_scs import EdgeSCS, EdgeSCSConfig
from edge_scs.models.registry import describe
from edge_scs.weights.loading import Loaded


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = EdgeSCS(EdgeSCSConfig(channels=8, blocks=1, repeats=1, hints=True)).eval()
    return Predictor(Loaded("edge_scs_s", model, describe("edge_scs_s", model), "untrained"))


@pytest.mark.parametrize("given", ["12,7=#8a1c22", " 12 , 7 = #8a1c22 ", (12, 7, "#8a1c22"), Hint(12, 7, "#8a1c22")])
def test_every_form_means_the_same(given) -> None:
    hint = parse_hint(given)
    assert (hint.x, hint.y) == (12, 7)
    rgb = torch.tensor([0x8A, 0x1C, 0x22]).float().reshape(3, 1, 1) / 255
    assert hint.chroma == pytest.approx(rgb_to_ycc(rgb).flatten()[1:].tolist())


def test_names_and_neutral_are_colours() -> None:
    assert parse_hint("1,2=crimson").chroma == parse_hint("1,2=#dc143c").chroma
    assert parse_hint("1,2=neutral").chroma == (0, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("12,7", "write X,Y=COLOUR"),
        ("12;7=red", "write X,Y=COLOUR"),
        ("-1,7=red", "write X,Y=COLOUR"),
        ("12,7=rouge", "unknown colour 'rouge'"),
        ("12,7=#12", "unknown colour"),
        ((1, 2), "write X,Y=COLOUR"),
        ((1, -2, "red"), "pixels from 0 up"),
        ((1, float("nan"), "red"), "pixels from 0 up"),
        (("a", 2, "red"), "pixels from 0 up"),
        ((1, 2, 7), "unknown colour"),
        (5, "write X,Y=COLOUR"),
    ],
)
def test_what_is_no_hint_is_refused_in_one_line(given, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_hint(given)
    assert "\n" not in str(caught.value)


def test_too_many_are_refused() -> None:
    with pytest.raises(InputError, match="at most"):
        parse_hints(["1,2=red"] * (MAX_HINTS + 1))


def test_a_file_of_hints(tmp_path: Path) -> None:
    path = tmp_path / "hints.json"
    path.write_text(json.dumps([{"x": 3, "y": 4.5, "colour": "neutral"}]))
    assert read_hints(path) == (Hint(3, 4.5, "neutral"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"x": 1,', "not valid JSON"),
        ('{"x": 1}', "must be a list"),
        ('[{"x": 1, "y": 2}]', "must be a list"),
        ('[{"x": 1, "y": 2, "colour": "rouge"}]', "unknown colour"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "hints.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_hints(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_hints(tmp_path / "none.json")


def test_a_hint_outside_the_image_is_refused(predictor: Predictor) -> None:
    check_hints([Hint(23, 15, "red")], (16, 24))
    for outside in (Hint(24, 0, "red"), Hint(0, 16, "red")):
        with pytest.raises(InputError, match="outside the image, which is 24x16"):
            predictor.enhance(np.zeros((16, 24), np.uint8), (32, 48), hints=[outside])


def test_hints_and_kept_colours_exclude_each_other(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="exclude"):
        predictor.check_options(Options(keep_colour=True, hints=("1,2=red",)), False)


def test_a_network_that_takes_none_says_so() -> None:
    model = EdgeSCS(EdgeSCSConfig(channels=8, blocks=1, repeats=1)).eval()
    without = Predictor(Loaded("edge_scs_s", model, describe("edge_scs_s", model), "untrained"))
    with pytest.raises(InputError, match="takes no colour hints"):
        without.check_options(Options(hints=("1,2=red",)), False)


def test_a_hint_colours_its_place(predictor: Predictor) -> None:
    image = np.random.default_rng(0).integers(90, 160, (40, 60), np.uint8)
    plain = predictor.enhance(image, (80, 120)).astype(float)
    hinted = predictor.enhance(image, (80, 120), hints=["20,30=#c02020"]).astype(float)
    at = hinted[60:62, 40:42].mean((0, 1))
    assert at[0] - at[1] > 60, "red"
    assert abs(hinted - plain)[:, 100:].max() <= 1, "the votes alone reach no further"


def test_planes_mark_the_cells_around_the_pixel() -> None:
    planes = planes_of([Hint(0, 0, "red"), Hint(59, 39, "neutral")], (40, 60), (10, 15))
    assert planes.shape == (1, 3, 10, 15)
    assert planes[0, 2, :2, :2].all()
    assert planes[0, 2, 8:, 13:].all()
    assert planes[0, 2].sum() == 8
    assert planes[0, 1, 0, 0] > 0.4
    assert not planes[0, :2, 9, 14].any()
    assert not planes_of([], (40, 60), (10, 15)).any()
