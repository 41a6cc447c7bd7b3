"""Generative adversarial networks: one network draws, the other tells drawings from pictures (Goodfellow et al. 2014; DCGAN, Radford et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from saccade.core import Batch, Inputs, LabelSpace
from saccade.generative.base import Generative, chance_of, groups_of, noise_rows, pooled_sizes
from saccade.generative.networks import Size, down, halvings, up
from saccade.phases import Phase, Stage

BETAS = (0.5, 0.999)  # of Adam: Radford et al. 2016, section 4
Adversary = Literal["non_saturating", "minimax"]


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))) of logits (N,): both networks' definitions have it."""
    return F.softplus(-real.float()).mean() + F.softplus(drawn.float()).mean()


def generator_loss(drawn: Tensor, kind: Adversary = "non_saturating") -> Tensor:
    """Of the logits (N,) of drawings: -E log D(G(z)) ("non_saturating"), or E log(1 - D(G(z))) ("minimax"), whose gradient vanishes when D wins.

    >>> lost = torch.full((4,), -20.0, requires_grad=True)
    >>> [float(torch.autograd.grad(generator_loss(lost, kind), lost)[0].abs().sum()) > 1e-3 for kind in ("minimax", "non_saturating")]
    [False, True]
    """
    return F.softplus(-drawn.float()).mean() if kind == "non_saturating" else -F.softplus(drawn.float()).mean()


class Generator(nn.Module):
    """Noise (N, Z) and what is told (N, K) -> (N, C, h, w) in [-1, 1]: a dense layer, then transposed convolutions with batch normalisation and ReLU."""

    def __init__(self, channels: int, size: Size, *, noise: int, told: int, width: int) -> None:
        super().__init__()
        times = halvings(size)
        self.small = (width << (times - 1), *pooled_sizes(size, times)[-1])
        self.stem = nn.Linear(noise + told, prod(self.small), bias=False)
        self.first = nn.Sequential(nn.BatchNorm2d(self.small[0]), nn.ReLU())
        self.body = up(channels, size, width, times, act=nn.ReLU, norm=True)

    def forward(self, noise: Tensor, told: Tensor | None = None) -> Tensor:
        z = noise if told is None else torch.cat([noise, told.to(noise.dtype)], 1)
        return torch.tanh(self.body(self.first(self.stem(z).unflatten(1, self.small))))


class Discriminator(nn.Module):
    """Pictures in [-1, 1] and what is told of them -> logits (N,) of being real. What is told enters by a projection (Miyato and Koyama 2018)."""

    def __init__(self, channels: int, size: Size, *, told: int, width: int, spectral: bool) -> None:
        super().__init__()
        times = halvings(size)
        self.body = down(channels, size, width, times, act=lambda: nn.LeakyReLU(0.2), norm=not spectral, spectral=spectral)
        cells = (width << (times - 1)) * prod(pooled_sizes(size, times)[-1])
        output, project = nn.Linear(cells, 1), nn.Linear(told, cells, bias=False) if told else None
        self.output = spectral_norm(output) if spectral else output
        self.project = spectral_norm(project) if project is not None and spectral else project

    def forward(self, pictures: Tensor, told: Tensor | None = None) -> Tensor:
        found = self.body(pictures).flatten(1)
        logits = self.output(found).squeeze(1)
        return logits if told is None or self.project is None else logits + (self.project(told.to(found.dtype)) * found).mean(1)


def slope_penalty(discriminator: nn.Module, pictures: Tensor, told: Tensor | None) -> Tensor:
    """E |grad D(x)|^2 / 2 at real pictures: R1 of Mescheder, Geiger and Nowozin 2018, eq. 9; in float32 and with a graph of its own."""
    with torch.enable_grad(), torch.autocast(pictures.device.type, enabled=False):
        x = pictures.detach().float().requires_grad_(True)
        (slope,) = torch.autograd.grad(discriminator(x, told).sum(), x, create_graph=True)
    return 0.5 * slope.flatten(1).square().sum(1).mean()


class Gan(Generative):
    """DCGAN: phases "discriminator" (as often a step as `discriminator_steps` says) and "generator", each with an optimiser of its own.

    adversary: the generator's loss. spectral: spectral normalisation of the discriminator instead of its batch normalisation (Miyato et al. 2018).
    gradient_penalty: strength of `slope_penalty` in the discriminator's loss. Kernels start normal with deviation 0.02.
    """

    def __init__(
        self,
        inputs: Inputs,
        space: LabelSpace,
        *,
        codes: int,
        width: int,
        adversary: Adversary,
        discriminator_steps: int,
        spectral: bool,
        gradient_penalty: float,
        conditional: bool,
    ) -> None:
        super().__init__(inputs, space, conditional=conditional)
        self.adversary, self.discriminator_steps, self.gradient_penalty = adversary, discriminator_steps, gradient_penalty
        self.noise_shape = (codes,)
        self.generator = Generator(inputs.channels, inputs.size, noise=codes, told=self.classes, width=width)
        self.discriminator = Discriminator(inputs.channels, inputs.size, told=self.classes, width=width, spectral=spectral)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(dict(part.named_parameters()).get("parametrizations.weight.original", part.weight), 0.0, 0.02)

    def stages(self) -> Sequence[Stage]:
        players = (
            Phase("discriminator", lambda: groups_of(self.discriminator, betas=BETAS), repeat=self.discriminator_steps),
            Phase("generator", lambda: groups_of(self.generator, betas=BETAS)),
        )
        return (Stage("all", 1.0, players),)

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        noise = torch.randn(len(batch), *self.noise_shape, device=batch.inputs.device)
        return self.losses(batch, noise, phase)

    def losses(self, batch: Batch, noise: Tensor, phase: str = "all") -> dict[str, Tensor]:
        """The players' losses for this noise (N, codes): of the phase's player alone, or of both."""
        told, real, found = self.told(batch), 2 * batch.inputs - 1, dict[str, Tensor]()
        if phase in ("discriminator", "all"):
            with torch.no_grad():
                drawn = self.generator(noise, told)
            found["discriminator"] = discriminator_loss(self.discriminator(real, told), self.discriminator(drawn, told))
            if self.gradient_penalty and self.training:
                found["gradient_penalty"] = self.gradient_penalty * slope_penalty(self.discriminator, real, told)
        if phase in ("generator", "all"):
            found["generator"] = generator_loss(self.discriminator(self.generator(noise, told), told), self.adversary)
        return found

    def facts(self, batch: Batch) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        """Besides the losses, how sure the discriminator is that each picture is real."""
        seed = chance_of(batch).initial_seed()
        noise = noise_rows([(seed, i) for i in range(len(batch))], self.noise_shape).to(batch.inputs.device)
        told, real = self.told(batch), 2 * batch.inputs - 1
        return self.losses(batch, noise), [{"believed": p} for p in torch.sigmoid(self.discriminator(real, told).float()).tolist()]

    def outputs(self, inputs: Tensor, sizes: Tensor) -> Any:
        told = inputs.new_zeros(len(inputs), self.classes) if self.classes else None
        return self.discriminator(self.generator(inputs.new_zeros(len(inputs), *self.noise_shape), told), told)

    def draw(self, noise: Tensor, told: Tensor | None = None, **options: Any) -> Tensor:
        return (self.generator(noise, told).float() + 1) / 2
