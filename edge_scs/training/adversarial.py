"""Adversarial losses on logits. Each has two sides, and takes one map per discriminator: (n, 1, h, w) in a list."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Adversarial(Protocol):
    """``real`` and ``fake`` are logits of the same discriminators -> a scalar that its side shall lower.

    ``relativistic``: the generator's side looks at ``real`` too; else it may be empty there.
    """

    relativistic: bool

    def generator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor: ...

    def discriminator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor: ...


class StandardGAN:
    """PCARN eq. 4 to 6: the logarithmic loss, summed over the scales.

    The generator raises log D(G(x)) instead of lowering log(1 - D(G(x))) (Goodfellow et al. 2014, section 3: the same
    fixed point with stronger gradients early on), as the paper's authors do.
    """

    relativistic = False

    def generator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        return torch.stack([F.softplus(-x.float()).mean() for x in fake]).sum()

    def discriminator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        return torch.stack(
            [F.softplus(-x.float()).mean() + F.softplus(y.float()).mean() for x, y in zip(real, fake, strict=True)]
        ).sum()


class RelativisticLSGAN:
    """Relativistic average least squares (Jolicoeur-Martineau 2018, RaLSGAN), which SCSNet names for its eq. 7.

    L_D = E_r[(D(r) - E_f D(f) - 1)^2] + E_f[(D(f) - E_r D(r) + 1)^2], L_G the same with r and f exchanged. SCSNet's
    eq. 7 as printed has only one term in L_D, and none but a plain square as L_G's second; the text says "the standard
    relativistic discriminator", so this is the standard form of its citation.
    """

    relativistic = True

    def generator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        return self.discriminator(fake, real)

    def discriminator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        terms = []
        for one, other in zip(real, fake, strict=True):
            r, f = one.float(), other.float()
            terms.append((r - f.mean() - 1).square().mean() + (f - r.mean() + 1).square().mean())
        return torch.stack(terms).sum()


LOSSES: dict[str, Adversarial] = {"standard": StandardGAN(), "relativistic": RelativisticLSGAN()}
