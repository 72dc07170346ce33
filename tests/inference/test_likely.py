"""Likely colours: those of the branch's distribution, each another colour, hints and references heard."""

import numpy as np
import pytest
import torch

from edge_scs.color import rgb_to_ycc
from edge_scs.inference.hint_points import Hint
from edge_scs.inference.likely import coloured, hexadecimal, likely_colours
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Options, Request
from edge_scs.models.colour import chroma_classes
from edge_scs.models.edge_scs import EdgeSCS, EdgeSCSConfig
from edge_scs.models.pcarn import PCARN, PCARNConfig
from edge_scs.models.registry import describe
from edge_scs.weights.loading import Loaded

IMAGE = np.full((40, 60), 140, np.uint8)


def predictor(model: torch.nn.Module, name: str = "edge_scs_s") -> Predictor:
    return Predictor(Loaded(name, model.eval(), describe(name, model), "untrained"))


def sure_of(chroma: list[tuple[float, float]]) -> Predictor:
    """A network for which these colours are likely everywhere, the first one the most."""
    model = EdgeSCS(EdgeSCSConfig(channels=8, blocks=1, repeats=1, hints=True))
    with torch.no_grad():
        model.colour.classify.weight.zero_()
        model.colour.classify.bias.zero_()
        for rank, one in enumerate(chroma):
            nearest = (chroma_classes() - torch.tensor(one)).norm(dim=1).argmin()
            model.colour.classify.bias[nearest] = 9.0 - rank
    return predictor(model)


def chroma_of(colour: str) -> list[float]:
    rgb = torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]).reshape(3, 1, 1)
    return rgb_to_ycc(rgb).flatten()[1:].tolist()


def test_the_likeliest_first_and_each_another_colour():
    wanted = [(-0.15, 0.1), (0.2, -0.05), (0.2, 0.0), (0.0, 0.0)]
    found = [chroma_of(colour) for colour in likely_colours(sure_of(wanted), Request(IMAGE, (40, 60)), 30, 20, 3)]
    for got, chroma in zip(found, [wanted[0], wanted[1], wanted[3]], strict=True):  # the third is too like the second
        assert got == pytest.approx(chroma, abs=0.01)


def test_a_hint_nearby_is_heard_and_the_one_at_this_pixel_is_not():
    engine = sure_of([(0.0, 0.0)])
    red = Options(hints=(Hint(30, 20, "#b03030"),))
    at = [likely_colours(engine, Request(IMAGE, (40, 60), None, red), x, y, 1)[0] for x, y in ((30, 20), (31, 20))]
    assert chroma_of(at[0]) == pytest.approx([0, 0], abs=0.01)
    assert chroma_of(at[1])[1] > 0.15


def test_colours_stay_within_rgb_and_can_be_seen():
    assert hexadecimal(0.0, torch.zeros(2)) == "#404040"
    assert hexadecimal(1.0, torch.zeros(2)) == "#cccccc"
    for centre in chroma_classes():
        got = torch.tensor(chroma_of(hexadecimal(0.5, centre)))
        if centre.norm() > 0.1:  # paler perhaps, but of the same hue
            assert torch.cosine_similarity(got, centre, dim=0) > 0.99


def test_colours_alone_are_those_of_the_whole_answer():
    model = EdgeSCS(EdgeSCSConfig(channels=8, blocks=1, repeats=1, hints=True))
    engine = predictor(model)
    request = Request(IMAGE, (40, 60), None, Options(hints=("10,10=#b08080",)))
    pixels = coloured(engine, request)
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    luma, _, cr = rgb_to_ycc(torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255)
    assert float(cr[10, 10]) > float(cr[39, 59])
    assert float((luma * 255 - 140).abs().max()) < 2


def test_networks_without_a_colour_branch_have_none():
    engine = predictor(PCARN(PCARNConfig(channels=8, blocks=1, repeats=1)), "pcarn_m")
    assert likely_colours(engine, Request(IMAGE, (80, 120)), 1, 1) == []
    assert coloured(engine, Request(IMAGE, (80, 120))) is None
