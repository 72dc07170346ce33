"""Every network enlarges, is evaluated and is timed on a GPU that is not there (tests/device/fake.py)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from edge_scs.evaluate import metrics_of
from edge_scs.inference import predictor
from edge_scs.inference.predictor import Predictor
from edge_scs.measure import modes
from edge_scs.models import registry
from edge_scs.weights.loading import Loaded
from tests.device.fake import DEVICE, fake_gpu, real
from tests.test_models_end_to_end import SMALL

IMAGE = np.zeros((20, 24, 3), np.uint8)


def on_device(name: str, **options: Any) -> Predictor:
    with real():
        model = registry.create(name, SMALL[name])
    loaded = Loaded(name, model, registry.describe(name, model), "noise")
    return Predictor(loaded, device=DEVICE, **options)


def enlarge(engine: Predictor, scale: float, **options: Any) -> None:
    size = (round(IMAGE.shape[0] * scale), round(IMAGE.shape[1] * scale))
    reference = options.pop("reference", None)
    assert engine.enhance(IMAGE, size, reference, **options).shape == (*size, 3)


# Networks whose every line another one runs.
ALIKE = ("edge_scs_s", "pcarn_m", "carn", "carn_m", "rdn", "swinir", "ciaosr_rdn", "liif_rdn")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in registry.names()]
)
def test_a_network_stays_on_its_device(name: str) -> None:
    with fake_gpu() as gpu:
        engine = on_device(name, tile=16, batch=2)
        about = engine.loaded.description
        scale = float((*about.scales, 2)[0])
        enlarge(engine, scale)
        if about.reference:
            enlarge(engine, scale, reference=IMAGE)
        channels = 1 if about.input == "grey" else 3
        metrics_of(engine.model, about, np.zeros((48, 64, 3), np.uint8), scale, DEVICE)
        x = torch.zeros(1, channels, 12, 16, device=DEVICE)
        size = (round(12 * scale), round(16 * scale))
        for mode in ("channels_last", "bf16", "eager"):
            run = modes.prepare(mode, engine.model, x, size, _reference(about) if mode == "eager" else None)
            gpu.reads = gpu.sent = 0
            run()
            # A CUDA graph cannot capture either (bench's mode "graph").
            assert (gpu.reads, gpu.sent) == (0, 0), "forward waits for its device or copies constants to it"


def _reference(about: registry.Description) -> torch.Tensor | None:
    return torch.zeros(1, 3, 16, 16, device=DEVICE) if about.reference else None


def test_a_constant_from_the_host_is_counted() -> None:
    with fake_gpu() as gpu:
        x = torch.zeros(1, 1, 4, 4, device=DEVICE)
        x * torch.tensor([2.0], device=DEVICE)
        x + float(x.sum())
        assert (gpu.reads, gpu.sent) == (1, 1)


def test_edge_scs_at_decimal_scales_with_references_and_kept_colours() -> None:
    with fake_gpu():
        engine = on_device("edge_scs_m", tile=16, batch=2)
        enlarge(engine, 2.5)
        enlarge(engine, 2, keep_colour=True)
        enlarge(engine, 2.5, keep_colour=True)


@pytest.mark.parametrize("function", ["chroma_at", "resize_to_grid", "shrink_reference"])
def test_a_planted_mistake_is_found(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[..., Any] = getattr(predictor, function)
    if function == "shrink_reference":
        monkeypatch.setattr(predictor, "to_tensor", _forgetful(predictor.to_tensor))
    else:
        monkeypatch.setattr(predictor, function, lambda x, *rest: right(x + torch.zeros(x.shape), *rest))
    with fake_gpu(), pytest.raises(RuntimeError, match="two devices"):
        enlarge(on_device("edge_scs_m", tile=16), 2, reference=IMAGE)


def _forgetful(to_tensor: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """References stay on the CPU: they alone have three channels."""
    return lambda array, device: to_tensor(array, torch.device("cpu") if array.ndim == 3 else device)
