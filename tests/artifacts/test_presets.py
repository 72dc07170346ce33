"""Presets are strict: what is wrong is named, with the nearest thing that is right."""

from pathlib import Path

import pytest

from edge_scs import presets
from edge_scs.artifacts.presets import known, load_preset
from edge_scs.errors import InputError

FILE = presets.find("export", "xnnpack-fp32")
TEXT = FILE.read_text()


def test_targets_names_and_files_mean_presets() -> None:
    assert load_preset("executorch") == load_preset("xnnpack-fp32") == load_preset(FILE)
    assert load_preset("coreml").precision == "fp16"
    assert load_preset("coreml").min_psnr_db == 50
    assert load_preset("executorch").min_psnr_db == 80
    assert load_preset("executorch").size == (720, 1280)


@pytest.mark.parametrize("name", known())
def test_every_shipped_preset_is_valid_and_named_after_its_file(name: str) -> None:
    assert load_preset(name).name == name


def test_replace_checks_again() -> None:
    preset = load_preset("executorch")
    assert preset.replace(lr=[24, 32], scale=2.5).size == (60, 80)
    with pytest.raises(InputError, match="lr must be"):
        preset.replace(lr=[24, 0])
    with pytest.raises(InputError, match="scale must be"):
        preset.replace(scale=float("nan"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("precision", "precison", "unknown key 'precison'; did you mean precision"),
        ('"fp32"', '"fp23"', "precision cannot be 'fp23'; did you mean fp32"),
        ('"fp32"', '"fp16"', "precision cannot be 'fp16'"),
        ('"executorch"', '"executorc"', "did you mean executorch"),
        ('"xnnpack"\n', '"mlprogram"\n', "backend cannot be 'mlprogram'; use xnnpack"),
        ('"xnnpack"\n', '"xnnpak"\n', "did you mean xnnpack"),
        ("scale = 4.0", 'sizes = ["x4_320", "x2_8x8"]', "write 'x4_320' as x4_320x180"),
        ("scale = 4.0", 'sizes = ["x2_8x8", "x4_8x8", "x4_8x8"]', "names one size twice"),
        ("scale = 4.0", "continuous = true\nsizes = ['x2_8x8']", "continuous goes with xnnpack"),
        ("scale = 4.0", "images = true", "images and compression are Core ML's"),
        ("[180, 320]", "[180]", "lr must be"),
        ("[180, 320]", '"180x320"', "lr must be a list"),
        ("[180, 320]", "[180.5, 320]", "lr must be a int"),
        ("scale = 4.0", "scale = 0.5", "scale must be between"),
        ("scale = 4.0", "scale = true", "scale must be a float"),
        ("reference = false", "reference = 1", "reference must be a bool"),
        ("min_psnr_db = 80.0", "", "lacks the key 'min_psnr_db'"),
        ("scale = 4.0", "scale = ", "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    path = tmp_path / "mine.toml"
    path.write_text(
        TEXT.replace(old, new, 1) if old != '"fp32"' else TEXT.replace(f"precision = {old}", f"precision = {new}")
    )
    with pytest.raises(InputError, match=words.replace("(", r"\(")) as caught:
        load_preset(path)
    assert "\n" not in str(caught.value)


def test_unknown_presets_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean coreml"):
        load_preset("core-ml")
    with pytest.raises(InputError, match=r"no such file; .* a name: executorch, coreml, .*coreml-fp16.*, xnnpack-fp32"):
        load_preset(tmp_path / "none.toml")
    with pytest.raises(InputError, match="known: executorch, coreml"):
        load_preset("qqq")


def test_several_sizes_are_methods_and_the_first_is_forward() -> None:
    preset = load_preset("xnnpack-sizes").replace(sizes=["x4_320x180", "x2.5_64x40"])
    assert [(s.method, s.lr, s.scale) for s in preset.shapes] == [
        ("forward", (180, 320), 4.0),
        ("x2_5_64x40", (40, 64), 2.5),
    ]
    assert preset.size == (720, 1280)
    assert preset.shapes[1].size == (100, 160)
    with pytest.raises(InputError, match="minimum_target = 'iOS18'"):
        load_preset("coreml-sizes").replace(minimum_target="iOS17")
