"""How fast a run is: throughput, waiting for batches, and what share of the device's peak its steps reach."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SPEED_EVERY = 50  # steps
# Dense peaks in FLOP/s, bf16 and TF32, as NVIDIA's data sheets print them; of names that begin alike the longest first.
PEAKS = {
    "NVIDIA H100 PCIe": (756e12, 378e12), "NVIDIA H100 NVL": (835e12, 417e12), "NVIDIA H100": (989e12, 495e12),
    "NVIDIA H200": (989e12, 495e12), "NVIDIA A100": (312e12, 156e12), "NVIDIA L40S": (362e12, 183e12),
    "NVIDIA L4": (121e12, 60e12), "NVIDIA A10": (125e12, 62.5e12), "NVIDIA GeForce RTX 4090": (165e12, 82.6e12),
}  # fmt: skip


def peak_of(device: str, precision: str) -> float | None:
    """FLOP/s of a device by its name, in bf16 or, with precision "no", in TF32; None where they are not known."""
    found = next((peaks for name, peaks in PEAKS.items() if device.startswith(name)), None)
    return None if found is None else found[precision == "no"]


class Speed:
    """Figures over SPEED_EVERY steps.

    ``images_per_second``; ``data_wait``, the share of time spent waiting for batches; and with a ``peak`` in FLOP/s
    ``model_flops_utilisation``: the convolutions and matrix products of a step, forward and backward, of all networks
    that it runs, over what the device could have computed meanwhile. One step of SPEED_EVERY is counted, by PyTorch.
    """

    def __init__(self, peak: float | None = None) -> None:
        self.steps, self.images, self.seconds, self.waited = 0, 0, 0.0, 0.0
        self.peak, self.flops, self.counted = peak, 0, 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Around a step."""
        if self.peak is None or self.steps % SPEED_EVERY:
            yield
            return
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            yield
        self.flops, self.counted = self.flops + counter.get_total_flops(), self.counted + 1

    def advance(self, images: int, seconds: float, waited: float) -> dict[str, float]:
        """One step done; ``waited`` are the seconds for batches since the beginning. Figures when they are due."""
        self.steps, self.images, self.seconds = self.steps + 1, self.images + images, self.seconds + seconds
        if self.steps % SPEED_EVERY:
            return {}
        share = (waited - self.waited) / self.seconds
        figures = {"images_per_second": self.images / self.seconds, "data_wait": share}
        if self.peak is not None and self.counted:
            # The mean of all counted steps: a step's cost depends on the magnification that it draws.
            rate = self.flops / self.counted * SPEED_EVERY / self.seconds
            figures["model_flops_utilisation"] = rate / self.peak
        self.images, self.seconds, self.waited = 0, 0.0, waited
        return figures


def device_peak(device: torch.device, precision: str, compiled: bool) -> float | None:
    """``peak_of`` a GPU; None elsewhere, and for compiled steps, whose operations cannot be counted one by one."""
    if device.type != "cuda" or compiled:
        return None
    return peak_of(torch.cuda.get_device_name(device), precision)
