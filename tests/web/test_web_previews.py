"""Previews: of the size a browser can hold, in the colours of the result, and no work done twice."""

import io

import numpy as np
import pytest
from fuzz.mixed import write_good
from PIL import Image

from edge_scs.errors import InputError
from edge_scs.imaging.arrays import as_grey
from edge_scs.inference.predictor import Predictor
from edge_scs.inference.request import Options
from edge_scs.models.pcarn import PCARN, PCARNConfig
from edge_scs.models.registry import describe
from edge_scs.web.engines import Engines
from edge_scs.web.previews import SHOWN, SMALL, VIEW, read_preview, view_of
from edge_scs.web.settings import Settings
from edge_scs.weights.loading import Loaded


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
        return image.size


def test_sizes(tmp_path, make):
    path = tmp_path / "wide.png"
    Image.new("L", (4000, 200), 120).save(path)
    preview, engine = read_preview(path), make(None)
    assert preview.size == (200, 4000)
    assert preview.small.shape == (26, SMALL)
    assert size_of(preview.view) == (VIEW, 150)
    assert size_of(view_of(path)) == (VIEW, 150)
    assert size_of(preview.restored(engine, Settings(8.0, Options()), None, preview.turn())) == (2 * SMALL, 52)
    small = tmp_path / "small.png"
    Image.new("L", (300, 200), 120).save(small)
    preview = read_preview(small)
    settings = Settings(2.5, Options())
    assert size_of(preview.restored(engine, settings, None, preview.turn())) == (750, 500)
    settings = Settings(8.0, Options())
    assert max(size_of(preview.restored(engine, settings, None, preview.turn()))) == SHOWN


@pytest.mark.parametrize("kind", ["grey16", "colour16", "alpha", "cmyk", "turned", "dot", "tall", "bilevel"])
def test_every_kind_has_a_preview(tmp_path, session, kind):
    page = session()
    answer = page.send(write_good(tmp_path, kind, 1)).json()
    assert answer["bits"] == (16 if "16" in kind else 8)
    for what in ("colours", "detail"):
        shown = page.call("POST", f"images/{answer['number']}/preview?kind={what}", page.settings())
        assert shown.status == 200
        assert size_of(shown.content)
    assert size_of(page.call("GET", f"images/{answer['number']}/view").content) == (answer["width"], answer["height"])


def test_a_small_image_is_previewed_as_it_will_be(tmp_path, make):
    preview, engine = read_preview(write_good(tmp_path, "grey", 1)), make(None)
    settings = Settings(2.0, Options(hints=("3,4=red",), vividness=1.3))
    preview.restored(engine, settings, None, preview.turn())
    plain, pixels = preview._made
    assert plain.options.vividness == 1
    assert np.array_equal(pixels, engine.enhance(as_grey(preview.small), (48, 48), hints=("3,4=red",)))


def test_vividness_needs_no_second_run(tmp_path, make):
    engine, ran = make(None), []
    preview = read_preview(write_good(tmp_path, "grey", 1))
    strips = engine.strips
    engine.strips = lambda request: ran.append(request) or strips(request)
    shown = [preview.restored(engine, Settings(2.0, Options(vividness=v)), None, preview.turn()) for v in (1.0, 0.0)]
    assert len(ran) == 1
    assert np.ptp(np.asarray(Image.open(io.BytesIO(shown[1]))).astype(int), axis=2).max() <= 8  # grey, but for JPEG
    assert shown[0] != shown[1]
    preview.restored(engine, Settings(3.0, Options()), None, preview.turn())
    assert len(ran) == 2


def test_an_older_preview_gives_way(tmp_path, make):
    preview = read_preview(write_good(tmp_path, "grey", 1))
    old = preview.turn()
    preview.turn()
    assert preview.restored(make(None), Settings(2.0, Options()), None, old) is None


def test_colours_do_not_need_the_detail(tmp_path, make):
    path = write_good(tmp_path, "colour", 1)
    preview, engine = read_preview(path), make(None)
    assert size_of(preview.coloured(engine, Settings(4.0, Options()), None)) == (24, 24)
    assert preview.coloured(engine, Settings(4.0, Options(keep_colour=True)), None) is None


@pytest.mark.parametrize(("side", "scale", "shown"), [(600, 4, 1024), (500, 4, 1500), (60, 2, 120)])
def test_a_network_of_few_magnifications_has_previews(tmp_path, side, scale, shown):
    model = PCARN(PCARNConfig(channels=8, blocks=1, repeats=1)).eval()
    engine = Predictor(Loaded("pcarn_m", model, describe("pcarn_m", model), "untrained"))
    path = tmp_path / "image.png"
    Image.new("RGB", (side, side // 20), "red").save(path)
    preview = read_preview(path)
    settings = Settings(float(scale), Options(keep_colour=True))
    assert size_of(preview.restored(engine, settings, None, preview.turn()))[0] == shown
    assert preview.coloured(engine, settings, None) is None
    abilities = Engines(lambda _: engine).abilities
    assert (abilities.scales, abilities.hints, abilities.restoration) == ([2.0, 3.0, 4.0], False, None)


def test_engines_are_made_once_for_each_amount(make):
    made = []
    engines = Engines(lambda amount: made.append(amount) or make(amount))
    assert engines.abilities.restoration == 1.0
    assert engines.at(1.0) is engines.at(None)
    assert engines.at(0.5) is engines.at(0.5)
    assert made == [None, 0.5]
    for step in range(10):
        engines.at(step / 100)
    assert len(engines._made) <= 6
    assert engines.at(None) is engines.at(1.0)
    with pytest.raises(InputError, match="choose 0"):
        engines.at(3.0)
    assert made.count(None) == 1
