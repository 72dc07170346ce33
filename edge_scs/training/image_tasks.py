"""Tasks that compare whole images, or points of them: RGB super-resolution, CiaoSR's sampled points, SCSNet's SCS.

The loss is pixel_weight * L1 + perceptual.weight * perceptual + adversary.weight * adversarial, the last two where the
stage has them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_scs.data.pairs import Batch
from edge_scs.data.photographs import Photographs
from edge_scs.data.points import PointBatch
from edge_scs.models.lab import to_lab, to_rgb
from edge_scs.recipes import Stage
from edge_scs.training.adversarial import LOSSES
from edge_scs.training.perceptual import perceptual_loss


class ImageTask(nn.Module):
    """What the tasks share. A task says how output and target are made, and how its colour space becomes RGB.

    In a stage with an adversary the returned losses also hold ``real`` and ``fake``: the images, without gradients,
    that the discriminators learn from next. ``discriminators`` are those; they are no part of this module, as
    another optimizer trains them.
    """

    needs: tuple[str | None, tuple[str, ...]] = (None, ())
    whole = True  # whether there are whole images, for perceptual and adversarial losses

    def __init__(self, model: nn.Module, stage: Stage, photographs: Photographs):
        super().__init__()
        self.model, self.stage = model, stage
        wanted = stage.perceptual
        self.perceptual = perceptual_loss(wanted.features, wanted.file) if wanted.weight else None
        self.discriminators: tuple[nn.Module, ...] = ()

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Output and target (n, 3, H, W) in the task's colour space."""
        raise NotImplementedError

    def to_rgb(self, x: Tensor) -> Tensor:
        return x

    def pixel_error(self, out: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(out, target)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.judged(*self.compare(batch))

    def judged(self, out: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The losses of an output against its target, both (n, 3, H, W) in the task's colour space."""
        out = out.float()
        pixel = self.pixel_error(out, target)
        losses = {"pixel": pixel}
        total = self.stage.pixel_weight * pixel
        if self.perceptual is not None:
            losses["perceptual"] = self.perceptual(self.to_rgb(out), self.to_rgb(target))
            total = total + self.stage.perceptual.weight * losses["perceptual"]
        for discriminator in self.discriminators:
            loss = LOSSES[self.stage.adversary.loss]
            real: list[Tensor] = []
            if loss.relativistic:
                with torch.no_grad():
                    real = discriminator(target)
            losses["adversarial"] = loss.generator(real, discriminator(out))
            total = total + self.stage.adversary.weight * losses["adversarial"]
            losses |= {"real": target, "fake": out.detach()}
        return losses | {"loss": total}


class SuperResolutionTask(ImageTask):
    """RGB in, RGB out: PCARN at x2, x3 and x4, or any network that enlarges colour images."""

    needs = ("rgb", ())

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.model(batch.rgb, (batch.hr.shape[-2], batch.hr.shape[-1])), batch.hr


class PointsTask(ImageTask):
    """CiaoSR 5.1: L1 at ``data.points`` HR pixels of every image, so that a step costs the same at every scale."""

    needs = ("rgb", ("points",))
    whole = False

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if isinstance(batch, PointBatch):
            out = self.model.points(batch.rgb, batch.coordinates, batch.sizes)  # type: ignore[operator]
            assert batch.targets is not None
            return out, batch.targets
        assert batch.points is not None
        height, width = batch.hr.shape[-2:]
        rows, cols = batch.points // width, batch.points % width
        centres = torch.stack([(2 * rows + 1) / height - 1, (2 * cols + 1) / width - 1], dim=-1)
        out = self.model.points(batch.rgb, centres.to(batch.hr), (height, width))  # type: ignore[operator]
        target = batch.hr.flatten(2).gather(2, batch.points[:, None].expand(-1, 3, -1))
        return out, target.transpose(1, 2)


class SCSTask(ImageTask):
    """SCSNet 3.3 in normalised LAB: L1 and the discriminators see LAB, the perceptual loss sees RGB.

    Eq. 6 writes phi(I_lab), but the features are of a classifier of RGB images, so LAB is converted before them.
    """

    needs = ("grey", ("lab",))

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        size = (batch.hr.shape[-2], batch.hr.shape[-1])
        return self.model.lab(batch.gray, size, batch.reference), to_lab(batch.hr)  # type: ignore[operator]

    def to_rgb(self, x: Tensor) -> Tensor:
        return to_rgb(x)
