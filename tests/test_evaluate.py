"""The protocols on images whose answer is known, and the published network on the published benchmarks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from edge_scs import metrics
from edge_scs.errors import InputError
from edge_scs.evaluate import evaluate, fit_to_scale, metrics_of, shrink
from edge_scs.models.features import LPIPS
from edge_scs.models.registry import Description
from edge_scs.weights.importing import import_weights
from edge_scs.weights.loading import Loaded

KEYS = {
    "model", "weights", "data", "scale", "border", "reference", "images", "skipped", "psnr_y", "ssim_y", "psnr_rgb",
    "ssim_rgb", "psnr_grey", "ab_error", "colourfulness", "colourfulness_real", "lpips", "lpips_network", "niqe",
    "frechet", "frechet_network", "bicubic",
}  # fmt: skip


class Repeat(nn.Module):
    """Nearest neighbour; keeps the inputs that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, size: tuple[int, int], reference: Tensor | None = None) -> Tensor:
        self.seen.append(x)
        return nn.functional.interpolate(x, size, mode="nearest").expand(-1, 3, -1, -1)


class Answer(nn.Module):
    """Knows the image."""

    def __init__(self, hr: np.ndarray):
        super().__init__()
        self.hr = hr

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.from_numpy(self.hr[: size[0], : size[1]].copy()).permute(2, 0, 1)[None].float() / 255


def loaded(model: nn.Module, kind: str = "grey") -> Loaded:
    continuous = (1.0, 8.0) if kind == "grey" else None
    return Loaded("toy", model, Description("toy", "", kind, (2, 3, 4), continuous, 1, False), "untrained")


@pytest.fixture
def folder(tmp_path: Path, photograph: np.ndarray) -> Path:
    """Two good images, one cut off, one too small to score, one no image."""
    Image.fromarray(photograph[:99, :131]).save(tmp_path / "a.png")
    Image.fromarray(photograph[200:290, 100:180]).save(tmp_path / "b.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    Image.fromarray(photograph[:13, :90]).save(tmp_path / "thin.png")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize(
    ("size", "scale", "lr", "hr"),
    [((99, 131), 4, (24, 32), (96, 128)), ((99, 131), 2.5, (39, 52), (98, 130)), ((90, 90), 3.6, (25, 25), (90, 90))],
)
def test_fit_to_scale(size, scale, lr, hr):
    cropped, lr_size = fit_to_scale(np.zeros((*size, 3), np.uint8), scale)
    assert (lr_size, cropped.shape[:2]) == (lr, hr)


@pytest.mark.parametrize("scale", [2, 4, 2.5])
def test_grey_networks(folder, scale):
    model = Repeat()
    result = evaluate(loaded(model), folder, scale)
    assert set(result) == KEYS
    assert result["scale"] == scale
    assert result["images"] == 2
    assert all(x.shape[1] == 1 for x in model.seen)
    assert result["psnr_y"] == result["psnr_grey"]
    assert result["colourfulness"] == 0
    assert result["colourfulness_real"] > 10
    assert result["ab_error"] > 1
    assert result["ab_error"] == pytest.approx(result["bicubic"]["ab_error"]), "neither has any colour"
    assert result["lpips"] is None
    assert result["bicubic"]["psnr_y"] == result["bicubic"]["psnr_grey"] > result["psnr_y"]
    json.dumps(result, allow_nan=False)


def test_rgb_networks_see_colour_once_and_grey_once(folder):
    model = Repeat()
    result = evaluate(loaded(model, "rgb"), folder, 3)
    assert set(result) == KEYS
    colour, grey = model.seen[:2]
    assert not torch.equal(colour[:, 0], colour[:, 2])
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(grey[:, 0], grey[:, 2])
    assert result["colourfulness"] is None
    # Colour in keeps the colours, grey in cannot.
    assert result["psnr_rgb"] > 20
    assert result["psnr_y"] != result["psnr_grey"]


def test_judging_by_hand(photograph):
    """One image, every step spelled out with Pillow alone."""
    hr = photograph[:101, :103]
    figures = metrics_of(Repeat(), loaded(Repeat()).description, hr, 4)
    crop = Image.fromarray(hr).crop((0, 0, 100, 100))
    lr = crop.convert("L").resize((25, 25), Image.Resampling.BICUBIC)
    nearest = np.asarray(lr.resize((100, 100), Image.Resampling.NEAREST).convert("RGB"))
    bicubic = np.asarray(lr.resize((100, 100), Image.Resampling.BICUBIC).convert("RGB"))
    assert figures["model"]["psnr_grey"] == pytest.approx(metrics.psnr_y(nearest, np.asarray(crop), 4))
    assert figures["model"]["ssim_y"] == pytest.approx(metrics.ssim_y(nearest, np.asarray(crop), 4))
    assert figures["model"]["psnr_rgb"] == pytest.approx(metrics.psnr_rgb(nearest, np.asarray(crop), 4))
    assert figures["bicubic"]["psnr_grey"] == pytest.approx(metrics.psnr_y(bicubic, np.asarray(crop), 4))


def test_lpips_where_weights_are_there(folder, tmp_path_factory, monkeypatch):
    """With random features and heads in the places where published ones are looked for, null without them."""
    assets = tmp_path_factory.mktemp("assets")
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(assets))
    monkeypatch.setenv("TORCH_HOME", str(assets))
    before = evaluate(loaded(Repeat()), folder, 4, lpips=True)
    others = ("lpips_network", "niqe", "frechet", "frechet_network")
    assert [before[key] for key in ("lpips", *others)] == [None] * 5
    torch.manual_seed(0)
    network = LPIPS("squeezenet1_1")
    with torch.no_grad():  # as they are initialised, activations fade to nothing in twelve layers
        for weight in network.features.parameters():
            weight.mul_(2.5)
    for place in ("features", "lpips_lin/v0.1"):
        (assets / "peers" / place).mkdir(parents=True)
    torch.save(network.features.state_dict(), assets / "peers" / "features" / "squeezenet1_1-x.pth")
    heads = {f"lin{index}.model.1.weight": head.weight.abs() for index, head in enumerate(network.heads)}
    torch.save(heads, assets / "peers" / "lpips_lin" / "v0.1" / "squeeze.pth")
    result = evaluate(loaded(Repeat()), folder, 4, lpips=True)
    assert result["lpips_network"] == "squeeze v0.1, squeezenet1_1-x.pth"
    assert result["frechet_network"] == "pooled squeezenet1_1-x.pth, not FID's Inception"
    assert 0 < result["bicubic"]["frechet"] != result["frechet"] > 0
    assert 0 < result["bicubic"]["lpips"] != result["lpips"] > 0
    assert {key: result[key] for key in ("psnr_y", "ssim_y")} == {key: before[key] for key in ("psnr_y", "ssim_y")}


def test_borders(folder):
    """Another border judges other pixels; LIIF's is scale + 6, and its PSNR is of outputs that are not rounded."""
    results = {border: evaluate(loaded(Repeat()), folder, 2, border=border) for border in (None, "2", "8", "liif")}
    assert [results[border]["border"] for border in results] == [2, 2, 8, "liif"]
    assert results[None]["psnr_y"] == results["2"]["psnr_y"] != results["8"]["psnr_y"]
    assert results["8"]["ssim_y"] == results["liif"]["ssim_y"]
    assert results["8"]["psnr_y"] == pytest.approx(results["liif"]["psnr_y"], abs=1e-4), (
        "whole levels, nothing to round"
    )

    class Half(Repeat):
        def forward(self, x: Tensor, size: tuple[int, int], reference: Tensor | None = None) -> Tensor:
            return super().forward(x, size) * 0.99

    rounded, exact = (evaluate(loaded(Half()), folder, 2, border=border) for border in ("8", "liif"))
    assert 0 < abs(rounded["psnr_y"] - exact["psnr_y"]) < 0.05
    assert rounded["ssim_y"] == exact["ssim_y"]
    for wrong in ("-1", "lif"):
        with pytest.raises(InputError, match=r"--border .*: give a number of pixels, or liif"):
            evaluate(loaded(Repeat()), folder, 2, border=wrong)


class Led(Repeat):
    """Keeps the references that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.led: list[Tensor | None] = []

    def forward(self, x: Tensor, size: tuple[int, int], reference: Tensor | None = None) -> Tensor:
        self.led.append(reference)
        return super().forward(x, size)


def test_references(folder, tmp_path_factory):
    """SCSNet's two kinds, and the user's own files by name."""
    about = replace(loaded(Repeat()).description, reference=True)
    seen = {}
    given = tmp_path_factory.mktemp("references")
    for name in ("a", "b", "broken", "thin"):
        Image.new("RGB", (20, 10), (10 * len(name), 0, 0)).save(given / f"{name}.webp", lossless=True)
    for kind in ("self", "other", str(given)):
        for _ in range(2):
            model = Led()
            result = evaluate(Loaded("toy", model, about, "untrained"), folder, 4, reference=kind)
            assert result["reference"] == kind
            assert kind not in seen or all(map(torch.equal, seen[kind], model.led)), "the same at every evaluation"
            seen[kind] = model.led
    a, b = (torch.from_numpy(np.array(Image.open(folder / f"{name}.png"))).float() / 255 for name in "ab")
    assert [x.shape for x in seen["self"][:2]] == [(1, 3, 128, 128)] * 2
    for index, image in enumerate((a, b)):
        assert (seen["self"][index].mean((0, 2, 3)) - image.mean((0, 1))).abs().max() < 0.06
    assert not torch.equal(seen["self"][0], seen["other"][0])
    assert [x.shape for x in seen[str(given)][:2]] == [(1, 3, 10, 20)] * 2
    assert float(seen[str(given)][0][0, 0, 0, 0]) == pytest.approx(10 / 255)
    (given / "b.webp").unlink()
    toy = Loaded("toy", Led(), about, "untrained")
    with pytest.raises(InputError, match=r"has no image for b\.png; names must match"):
        evaluate(toy, folder, 4, reference=str(given))
    with pytest.raises(InputError, match="no such folder; give one, or self or other"):
        evaluate(toy, folder, 4, reference="nowhere")
    with pytest.raises(InputError, match="there is only one image"):
        evaluate(toy, folder / "a.png", 4, reference="other")
    with pytest.raises(InputError, match="toy takes no reference"):
        evaluate(loaded(Repeat()), folder, 4, reference="self")


def test_a_perfect_answer_is_no_infinity(tmp_path, photograph):
    hr = photograph[:64, :64]
    Image.fromarray(hr).save(tmp_path / "a.png")
    result = evaluate(loaded(Answer(hr), "rgb"), tmp_path, 2)
    assert result["psnr_y"] is None
    assert result["ssim_y"] == pytest.approx(1)
    json.dumps(result, allow_nan=False)


def test_broken_images_are_skipped_by_name(folder):
    said: list[str] = []
    result = evaluate(loaded(Repeat()), folder, 4, say=said.append)
    assert len(result["skipped"]) == 2
    assert "broken.png" in result["skipped"][0]
    assert "thin.png" in result["skipped"][1]
    assert sum("skipped" in line for line in said) == 2
    assert said[-1] == "4 of 4 images"


def test_a_folder_of_broken_images(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"none of its 1 .*broken\.png"):
        evaluate(loaded(Repeat()), tmp_path, 4)


def test_no_images(tmp_path):
    with pytest.raises(InputError, match="no images"):
        evaluate(loaded(Repeat()), tmp_path, 4)
    with pytest.raises(InputError, match="no such file or folder"):
        evaluate(loaded(Repeat()), tmp_path / "nowhere", 4)


@pytest.mark.parametrize("scale", [1, 2.5, 5, float("nan")])
def test_scales_that_an_rgb_network_lacks(folder, scale):
    with pytest.raises(InputError, match="x2, x3 or x4"):
        evaluate(loaded(Repeat(), "rgb"), folder, scale)


@pytest.mark.parametrize("scale", [0.5, 8.5, float("nan"), -2])
def test_scales_beyond_a_grey_network(folder, scale):
    with pytest.raises(InputError, match="from 1 to 8"):
        evaluate(loaded(Repeat()), folder, scale)


def test_lr_is_pillows_bicubic(photograph):
    expected = Image.fromarray(photograph).resize((50, 40), Image.Resampling.BICUBIC)
    assert np.array_equal(shrink(photograph, (40, 50)), np.asarray(expected))


@pytest.fixture(scope="module")
def pcarn_m(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The official PCARN-M, L1-trained."""
    file = assets / "peers" / "pcarn" / "PCARN-M-L1.pth"
    if not file.is_file():
        pytest.skip(f"no {file}")
    return import_weights(file, "pcarn_m", tmp_path_factory.mktemp("pcarn") / "pcarn_m.safetensors")


def test_official_pcarn_m_on_set5(assets, pcarn_m):
    result = evaluate(pcarn_m, assets / "bench" / "Set5", 4)
    assert result["images"] == 5
    assert result["psnr_y"] == pytest.approx(31.904, abs=0.005)
    assert result["psnr_grey"] == pytest.approx(31.707, abs=0.005)
    assert result["bicubic"]["psnr_grey"] == pytest.approx(28.424, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "colour_in", "grey_in", "bicubic"),
    [(4, 27.452, 27.352, 25.959), (3, None, 28.868, 27.207), (2, 31.992, 31.943, 29.554)],
)
def test_official_pcarn_m_on_b100(assets, pcarn_m, scale, colour_in, grey_in, bicubic):
    result = evaluate(pcarn_m, assets / "bench" / "B100", scale)
    assert result["images"] == 100
    if colour_in is not None:
        assert result["psnr_y"] == pytest.approx(colour_in, abs=0.005)
    assert result["psnr_grey"] == pytest.approx(grey_in, abs=0.005)
    assert result["bicubic"]["psnr_grey"] == pytest.approx(bicubic, abs=0.005)
