"""The command line is a contract: stdout is for results, bad input is one line and exit code 2, start-up is light."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from edge_scs import __version__

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "edge_scs_m.toml"


def cli(*arguments, cwd="."):
    """A command as ``edge-scs`` runs it, in this process: importing torch again for each would take minutes."""
    from edge_scs.cli import main

    out, err, argv = io.StringIO(), io.StringIO(), ["edge-scs", *map(str, arguments)]
    with (
        contextlib.chdir(cwd),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(argv, ended.value.code or 0, out.getvalue(), err.getvalue())


def process(*arguments):
    """The same in a process of its own, where libraries may write to the terminal as well."""
    command = [sys.executable, "-m", "edge_scs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def refused(result):
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture
def image(tmp_path, photograph):
    path = tmp_path / "small.png"
    Image.fromarray(photograph).convert("L").resize((40, 30)).save(path)
    return path


def test_version_and_help():
    assert process("--version").stdout.strip() == f"edge-scs {__version__}"
    commands = cli("--help").stdout
    for command in (
        "demo",
        "enhance",
        "web",
        "train",
        "export",
        "verify",
        "evaluate",
        "inspect",
        "bench",
        "report",
        "models",
    ):
        assert f"\n  {command} " in commands
    assert cli().stdout.split() == commands.split()


def test_help_imports_nothing_heavy():
    code = "import sys, edge_scs.cli; print([m for m in ('torch', 'numpy', 'PIL', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_knows_few_letters_gets_the_others_as_escapes(monkeypatch, encoding):
    from edge_scs import cli as commands

    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(commands, "app", lambda **_: print("Łódź → \udcff.png"))
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 0
    streams["stdout"].flush()
    written = streams["stdout"].buffer.getvalue().decode(encoding)
    assert (
        written.strip()
        == ("\\u0141\\xf3d\\u017a" if encoding == "ascii" else "\\u0141ód\\u017a") + " \\u2192 \\udcff.png"
    )


def test_no_temporary_folder_is_one_line(monkeypatch, capsys):
    from edge_scs import cli as commands

    def nowhere(**_):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(commands, "app", nowhere)
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "edge-scs: no temporary folder can be written; set TMPDIR to one that can\n"


def test_enhance_writes_colour_at_the_size_asked(tmp_path, image):
    out = tmp_path / "large.png"
    result = cli("enhance", image, "-o", out, "--scale", "2.5")
    assert result.returncode == 0, result.stderr
    with Image.open(out) as large:
        assert (large.size, large.mode) == ((100, 75), "RGB")
        pixels = np.asarray(large).astype(int)
    assert np.abs(pixels[..., 0] - pixels[..., 2]).max() > 0, "some colour"
    assert cli("enhance", image, "-o", out, "--size", "80x60", "--reference", image).returncode == 0
    with Image.open(out) as large:
        assert large.size == (80, 60)


def test_models_json_is_json_alone(monkeypatch):
    from edge_scs.models import registry

    monkeypatch.setattr(registry, "names", lambda: ["edge_scs_m", "edge_scs_s"])  # all of them: test_mult_adds.py
    result = cli("models", "--json")
    rows = {row["name"]: row for row in json.loads(result.stdout)["models"]}
    assert rows["edge_scs_m"]["params"] <= 1.5e6
    assert rows["edge_scs_m"]["mult_adds_720p"]["4"] <= 10e9
    assert rows["edge_scs_s"]["mult_adds_720p"]["4"] <= 3e9
    assert set(rows["edge_scs_m"]) >= {
        "name",
        "variant",
        "params",
        "mult_adds_720p",
        "receptive_field",
        "weights",
        "published",
    }


@pytest.mark.parametrize("scale", ["0", "-1", "99", "abc", "nan"])
def test_impossible_scales(tmp_path, image, scale):
    assert "scale" in refused(cli("enhance", image, "-o", tmp_path / "x.png", "--scale", scale))
    assert not (tmp_path / "x.png").exists()


def test_images_that_are_none(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "torn.png")
    torn = (tmp_path / "torn.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(torn[: len(torn) // 2])
    (tmp_path / "folder").mkdir()
    for name in ("empty.png", "text.jpg", "torn.png", "missing.png", "folder"):
        assert name in refused(cli("enhance", tmp_path / name, "-o", tmp_path / "out.png"))
        assert not (tmp_path / "out.png").exists()
    assert not [p for p in tmp_path.rglob("*") if "partial" in p.name]


def test_a_folder_with_a_broken_image_is_finished_and_ends_with_3(tmp_path, image):
    folder = tmp_path / "in"
    folder.mkdir()
    image.rename(folder / "good.png")
    (folder / "bad.jpg").write_text("no image")
    result = cli("enhance", folder, "-o", tmp_path / "out", "--scale", "2")
    assert result.returncode == 3
    assert "bad.jpg" in result.stderr
    assert "1 done, 1 skipped" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".edge-scs", "failures.jsonl", "good.png"]


@pytest.mark.parametrize("side", [(1, 1), (1, 9)])
def test_one_pixel_is_an_image(tmp_path, side):
    Image.new("L", side, 128).save(tmp_path / "dot.png")
    assert cli("enhance", tmp_path / "dot.png", "-o", tmp_path / "out.png", "--scale", "3").returncode == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (side[0] * 3, side[1] * 3)


def test_output_that_cannot_be_written(tmp_path, image):
    (tmp_path / "file").touch()
    assert "file" in refused(cli("enhance", image, "-o", tmp_path / "file" / "x.png"))


def test_checkpoints_of_another_model(tmp_path, image):
    import torch

    from edge_scs.models import registry
    from edge_scs.weights.loading import save

    torch.manual_seed(0)
    save(tmp_path / "s.safetensors", "edge_scs_s", registry.create("edge_scs_s"))
    line = refused(cli("enhance", image, "-o", tmp_path / "x.png", "--weights", tmp_path / "s.safetensors"))
    assert "edge_scs_s, not of edge_scs_m" in line
    assert "did you mean edge_scs_m?" in refused(cli("evaluate", "edge_scs_mm", "--data", tmp_path))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", RECIPE], "--data"),
        (["train", "missing.toml", "--data", "."], "missing.toml"),
        (["train", RECIPE, "--data", ".", "--set", "sed=1"], "did you mean seed?"),
        (["train", RECIPE, "--data", ".", "--set", "stage.texture.steps=x"], "must be a int"),
        (["export", "edge_scs_m", "--target", "toaster"], "toaster"),
        (["verify", "missing.pte"], "missing.pte"),
        (["bench", "edge_scs_m", "--device", "toaster"], "toaster"),
        (["bench", "edge_scs_m", "--mode", "warp"], "warp"),
        (["bench", "a.pte", "--device", "adb", "--stages"], "--stages: not on a phone"),
        (["bench", "a.pte", "--device", "adb", "--reference"], "--reference: not on a phone"),
        (["bench", "a.pte", "--device", "ios", "--sustained", "5"], "--sustained: not with --device ios"),
        (["bench", "a.pte", "--sustained", "5"], "--sustained: not with --device cpu"),
        (["bench", "a.pte", "--device", "adb", "--sustained", "61"], "--sustained"),
        (["bench", "edge_scs_s", "--stages", "--reference"], "--reference: stages are timed without one"),
        (["bench", "edge_scs_s", "--stages", "--threads", "0"], "--threads"),
        (["train", RECIPE, "--data", ".", "--threads", "-1"], "--threads"),
        (["bench", "a.pte", "--stages"], "name the artifact's network"),
        (["import-weights", "missing.pth", "--as", "pcarn_m"], "missing.pth"),
        (["nonsense"], "nonsense"),
        (["enhance", "x.png"], "--out"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, arguments, says):
    assert says in refused(cli(*arguments, cwd=tmp_path))


# accelerate keeps the first precision that a process asks for, and other tests ask for float32.
TRAIN = ["train", "--set", "precision=no", "--set", "min_side=16"]


class Intruder:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def here(capsys, monkeypatch):
    """A command in this process, to be refused: torch need not be imported again for each."""
    from edge_scs.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["edge-scs", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return refused(subprocess.CompletedProcess([], stopped.value.code, captured.out, captured.err))

    return call


def test_weights_of_other_shapes_or_with_code_are_one_line_everywhere(here, tmp_path, image):
    import torch
    from safetensors.torch import save_file

    from edge_scs.models import registry
    from edge_scs.weights.loading import read_safetensors, save

    save(tmp_path / "good.safetensors", "pcarn_m", registry.create("pcarn_m"))
    state, spec = read_safetensors(tmp_path / "good.safetensors")
    bad, pickled = tmp_path / "bad.safetensors", tmp_path / "pickled.pth"
    save_file(state | {"entry.weight": torch.zeros(64, 1, 3, 3)}, bad, spec)
    torch.save({"entry.weight": Intruder(tmp_path / "boom")}, pickled)
    recipe = [*TRAIN, ROOT / "recipes" / "pcarn_m.toml", "--data", tmp_path, "--set", 'stages=["l1"]']
    for path, says in ((bad, "entry.weight has shape (64, 1, 3, 3)"), (pickled, "convert it with import-weights")):
        for command in (
            ["evaluate", path, "--data", tmp_path],
            ["enhance", image, "-o", tmp_path / "out.png", "--model", path],
            ["bench", path],
            ["export", path, "--target", "xnnpack-fp32", "--out", tmp_path],
            [*recipe, "--init", path, "--out", tmp_path / "run"],
        ):
            line = here(*command)
            assert says in line, command
            assert path.name in line
    line = here("import-weights", pickled, "--as", "pcarn_m", "-o", tmp_path / "out.safetensors")
    assert "holds more than weights" in line
    assert not [name for name in ("boom", "out.png", "out.safetensors") if (tmp_path / name).exists()]


def test_unknown_models_and_encoders_are_one_line_everywhere(here, tmp_path, image):
    recipe = [*TRAIN, ROOT / "recipes" / "ciaosr_edsr.toml", "--data", tmp_path]
    for command in (
        ["evaluate", "ciaosr_rdm", "--data", tmp_path],
        ["enhance", image, "-o", tmp_path / "out.png", "--model", "ciaosr_rdm"],
        ["bench", "ciaosr_rdm"],
        ["export", "ciaosr_rdm", "--target", "xnnpack-fp32", "--out", tmp_path],
        ["report", "--model", "ciaosr_rdm", "-o", tmp_path / "report"],
        [*recipe, "--set", "model=ciaosr_rdm", "--out", tmp_path / "run"],
    ):
        assert "did you mean ciaosr_rdn?" in here(*command), command
    assert "--all and --model: take one" in here("report", "--all", "--model", "pcarn", "-o", tmp_path / "report")
    for override, says in (
        ("config.encoder=rcan", "no encoder 'rcan'; known: edsr, rdn, swinir"),
        ("config.encoder_options.blocks=-1", "encoder option blocks is -1"),
    ):
        assert says in here(*recipe, "--set", override, "--out", tmp_path / "run")


SMALL = ("--set", "min_kb=0", "--set", "min_colourfulness=0")  # SCSNet leaves files under 80 KB out


@pytest.mark.parametrize(("recipe", "features"), [("pcarn_m", "vgg19"), ("scsnet", "vgg16")])
def test_missing_vgg_weights_are_one_line(here, tmp_path, image, monkeypatch, recipe, features):
    monkeypatch.setenv("EDGE_SCS_ASSETS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    line = here(*TRAIN, ROOT / "recipes" / f"{recipe}.toml", *SMALL, "--data", tmp_path, "--out", tmp_path / "r")
    assert f"no {features}*.pth in {tmp_path}" in line
    assert not (tmp_path / "r").exists()


def test_an_archive_is_planned_done_and_gone_on_with(tmp_path, image):
    folder = tmp_path / "in"
    folder.mkdir()
    image.rename(folder / "good\nname.png")
    (folder / "bad.jpg").write_text("no image")
    command = ["enhance", folder, "-o", tmp_path / "out", "--scale", "2", "--format", "tiff", "--model", "edge_scs_s"]
    plan = cli(*command, "--dry-run")
    assert plan.returncode == 3
    assert plan.stdout == f"{folder}/good\\nname.png -> {tmp_path}/out/good\\nname.tif 80x60\n"
    assert "1 to do, 0 settled before, 1 cannot be done" in plan.stderr
    assert not (tmp_path / "out").exists()
    first = cli(*command, "--jobs", "2")
    assert first.returncode == 3, first.stderr
    assert "1 done, 1 skipped" in first.stderr
    again = cli(*command, "--resume")
    assert again.returncode == 3
    assert "nothing to do: 1 done before, 1 skipped before" in again.stderr


def test_limits_and_formats_of_enhance(tmp_path, image):
    out = tmp_path / "out.png"
    assert "--max-output-pixels 4800" in refused(
        cli("enhance", image, "-o", out, "--scale", "2", "--max-output-pixels", 100)
    )
    assert "png, jpeg, webp or tiff" in refused(cli("enhance", image, "-o", out, "--format", "gif"))
    assert "not usable here" in refused(cli("enhance", image, "-o", out, "--device", "toaster"))
    assert not out.exists()
