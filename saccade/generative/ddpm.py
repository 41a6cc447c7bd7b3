"""Denoising diffusion: pictures from noise by a network that tells noise from picture; and the same in the codes of an autoencoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saccade.core import Batch, Inputs, LabelSpace
from saccade.generative.base import Generative, chance_of, groups_of, pooled_sizes
from saccade.generative.diffusion import Network, Prediction, Schedule, ScheduleName, ancestral, implicit, inverted
from saccade.generative.unet import UNet
from saccade.generative.vae import Posterior, free_kl, normal
from saccade.phases import Phase, Stage


class Ddpm(Generative):
    """A U-Net that predicts the noise in a picture, or v, at every strength of noise; all are weighted alike (Ho, Jain and Abbeel 2020, eq. 14).

    What is told is left out with the probability `drop`, so that samples can be guided (Ho and Salimans 2022): prediction without + guidance x (with -
    without), 1 being the plain conditional prediction, more than 1 more typical pictures. Pictures are scaled to [-1, 1].
    """

    encodes, guides = True, True
    judged = 0

    def __init__(
        self,
        inputs: Inputs,
        space: LabelSpace,
        *,
        width: int,
        factors: Sequence[int],
        blocks: int,
        patch: int,
        schedule: ScheduleName,
        times: int,
        prediction: Prediction,
        sampling_steps: int,
        conditional: bool,
        drop: float,
        columns: Sequence[str] = (),
    ) -> None:
        super().__init__(inputs, space, conditional=conditional, columns=columns)
        if sampling_steps > times:
            raise ValueError(f"sampling_steps = {sampling_steps} are more than times = {times}")
        self.drop, self.steps = drop, sampling_steps
        self.schedule = Schedule(schedule, times, prediction)
        self.noise_shape = self.spread_shape(inputs)
        told = self.classes + 1 if self.classes else 0  # the last says that nothing is told
        self.network = UNet(self.noise_shape[0], width=width, factors=factors, blocks=blocks, told=told, patch=patch)

    def spread_shape(self, inputs: Inputs) -> tuple[int, ...]:
        """(C, h, w) of what noise is added to."""
        return (inputs.channels, *inputs.size)

    def stages(self) -> Sequence[Stage]:
        return (Stage("all", 1.0, (Phase("all", lambda: groups_of(self.network)),)),)

    # -- learning ----------------------------------------------------------------------------------------------------

    def clean(self, pictures: Tensor) -> Tensor:
        """What noise is added to: the pictures in [-1, 1]."""
        return 2 * pictures.float() - 1

    def errors(self, clean: Tensor, told: Tensor | None, t: Tensor, noise: Tensor) -> Tensor:
        """(N,): the mean squared error of every prediction."""
        predicted = self.network(self.schedule.noised(clean, t, noise), t, told)
        return (predicted.float() - self.schedule.goal(clean, t, noise)).square().flatten(1).mean(1)

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        clean = self.clean(batch.inputs)
        t = torch.randint(self.schedule.steps, (len(clean),), device=clean.device)
        kept = (torch.rand(len(clean), 1, device=clean.device) >= self.drop).float()
        return {"denoising": self.errors(clean, self.vector(self.told(batch), kept), t, torch.randn_like(clean)).mean()}

    def vector(self, told: Tensor | None, kept: Tensor | float = 1.0) -> Tensor | None:
        """(N, K + 1): what is told where it is kept, and in the last place whether it is not."""
        if told is None:
            return None
        there = kept * (told.abs().sum(1, keepdim=True) > 0).float()
        return torch.cat([told * there, 1 - there], 1)

    def facts(self, batch: Batch) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        """Every picture's error at times spread evenly over the batch, by noise that follows from the ids."""
        generator, clean = chance_of(batch), self.clean(batch.inputs)
        t = ((torch.arange(len(clean)) + torch.rand((), generator=generator)) * self.schedule.steps / len(clean)).long() % self.schedule.steps
        noise = torch.randn(clean.shape, generator=generator).to(clean.device)
        errors = self.errors(clean, self.vector(self.told(batch)), t.to(clean.device), noise)
        return {"denoising": errors.mean()}, [{"denoising": error} for error in errors.tolist()]

    # -- sampling ----------------------------------------------------------------------------------------------------

    def outputs(self, inputs: Tensor, sizes: Tensor) -> Any:
        told = inputs.new_zeros(len(inputs), self.classes) if self.classes else None
        return self.network(inputs.new_zeros(len(inputs), *self.noise_shape), inputs.new_zeros(len(inputs)), self.vector(told))

    def predictor(self, told: Tensor | None, guidance: float = 1.0) -> Network:
        """The network as samplers take it, guided where that is asked for: then it works twice."""
        known = self.vector(told)
        if known is None or guidance == 1.0:
            return lambda x, t: self.network(x, t, known).float()
        blind = torch.zeros_like(known)
        blind[:, -1] = 1.0
        if guidance == 0.0:
            return lambda x, t: self.network(x, t, blind).float()
        both = torch.cat([blind, known])

        def guided(x: Tensor, t: Tensor) -> Tensor:
            without, with_ = self.network(torch.cat([x, x]), torch.cat([t, t]), both).float().chunk(2)
            return without + guidance * (with_ - without)

        return guided

    def draw(self, noise: Tensor, told: Tensor | None = None, **options: Any) -> Tensor:
        """Options: steps (default `sampling_steps`; all of them with eta 1 is the ancestral sampler), guidance (1), eta (0: the noise alone decides)."""
        return self.picture(self.cleaned(noise, told, 1.0, **options))

    def cleaned(self, noise: Tensor, told: Tensor | None, limit: float | None, *, steps: int | None = None, guidance: float = 1.0, eta: float = 0.0) -> Tensor:
        predict, steps = self.predictor(told, guidance), steps or self.steps or 1
        generator = [torch.Generator().manual_seed(bits) for bits in _bits(noise)] if eta else None
        if eta == 1.0 and steps == self.schedule.steps:
            return ancestral(self.schedule, predict, noise, generator, limit=limit)
        return implicit(self.schedule, predict, noise, steps=steps, eta=eta, generator=generator, limit=limit)

    def picture(self, clean: Tensor) -> Tensor:
        return ((clean + 1) / 2).clamp(0, 1)

    @torch.no_grad()
    def encode(self, pictures: Tensor, told: Tensor | None = None) -> Tensor:
        return inverted(self.schedule, self.predictor(told), self.clean(pictures), steps=self.steps or 1)


def _bits(noise: Tensor) -> list[int]:
    """(N,) seeds that follow from the rows of noise, so that a picture does not depend on those drawn beside it."""
    first = noise.detach().float().cpu().flatten(1)[:, 0].contiguous()
    return [value & 0x7FFFFFFF for value in first.view(torch.int32).tolist()]


class MapAutoencoder(nn.Module):
    """Pictures to a small map of codes (N, depth, h / 2^halvings, w / 2^halvings) and back, by convolutions of stride 2 and nearest neighbours."""

    def __init__(self, channels: int, size: tuple[int, int], *, width: int, halvings: int, depth: int) -> None:
        super().__init__()
        self.sizes = pooled_sizes(size, halvings)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1)]
        for _ in range(halvings):
            layers += [nn.SiLU(), nn.Conv2d(width, width, 3, 2, 1), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1)]
        self.encoder = nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(width, 2 * depth, 1))
        self.first = nn.Sequential(nn.Conv2d(depth, width, 3, 1, 1), nn.SiLU())
        self.steps = nn.ModuleList([nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.SiLU()) for _ in range(halvings)])
        self.last = nn.Conv2d(width, channels, 3, 1, 1)

    def posterior(self, pictures: Tensor) -> Posterior:
        return Posterior.of(self.encoder(pictures))

    def decode(self, codes: Tensor) -> Tensor:
        x = self.first(codes)
        for step, size in zip(self.steps, reversed(self.sizes[:-1]), strict=True):
            x = step(nn.functional.interpolate(x, size=size, mode="nearest"))
        return self.last(x)


class LatentDdpm(Ddpm):
    """Diffusion in the codes of an autoencoder of our own, learnt first (Rombach et al. 2022): stages "autoencoder" and "diffusion" of one training.

    The autoencoder is a VAE whose divergence counts `kl_weight`; its codes are divided by their deviation, measured while it learns (their section G.1).
    Deviations: no adversarial and no perceptual loss; pictures are normal with one learnt variance.
    """

    def __init__(
        self, inputs: Inputs, space: LabelSpace, *, depth: int, halvings: int, autoencoder_width: int, kl_weight: float, share: float, **diffusion: Any
    ) -> None:
        self.depth, self.small = depth, pooled_sizes(inputs.size, halvings)[-1]
        super().__init__(inputs, space, **diffusion)
        self.kl_weight, self.share = kl_weight, share
        self.autoencoder = MapAutoencoder(inputs.channels, inputs.size, width=autoencoder_width, halvings=halvings, depth=depth)
        self.log_variance = nn.Parameter(torch.tensor(-2.0))
        self.spread: Tensor
        self.register_buffer("spread", torch.ones(()))

    def spread_shape(self, inputs: Inputs) -> tuple[int, ...]:
        return (self.depth, *self.small)

    def stages(self) -> Sequence[Stage]:
        first = Phase("autoencoder", lambda: [*groups_of(self.autoencoder), {"params": [self.log_variance], "weight_decay": 0.0}])
        return (Stage("autoencoder", self.share, (first,)), Stage("diffusion", 1 - self.share, (Phase("diffusion", lambda: groups_of(self.network)),)))

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if phase in ("autoencoder", "all"):
            found |= self.autoencoding(batch.inputs, torch.randn)
        if phase in ("diffusion", "all"):
            found |= super().forward(batch, phase)
        return found

    def autoencoding(self, pictures: Tensor, randn: Callable[..., Tensor]) -> dict[str, Tensor]:
        """Nats a value of the picture, so that the rate suits both stages."""
        x = 2 * pictures.float() - 1
        posterior = self.autoencoder.posterior(x)
        codes = posterior.drawn(randn(posterior.mean.shape).to(x.device))
        if self.training and torch.is_grad_enabled():
            with torch.no_grad():
                self.spread.lerp_(codes.std().clamp_min(1e-3), 0.05)
        values = x[0].numel()
        out = self.autoencoder.decode(codes).float()
        told = -normal(x, out, self.log_variance.clamp(-8, 8)).mean() / values
        return {"reconstruction": told, "kl": self.kl_weight * free_kl(posterior.kl(), 0.0) / values}

    def facts(self, batch: Batch) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        losses, rows = super().facts(batch)
        generator = chance_of(batch, 1)
        return self.autoencoding(batch.inputs, lambda shape: torch.randn(shape, generator=generator)) | losses, rows

    def clean(self, pictures: Tensor) -> Tensor:
        """The codes' means, of deviation 1."""
        with torch.no_grad():
            return self.autoencoder.posterior(super().clean(pictures)).mean / self.spread

    def draw(self, noise: Tensor, told: Tensor | None = None, **options: Any) -> Tensor:
        return self.picture(self.cleaned(noise, told, None, **options))

    def picture(self, clean: Tensor) -> Tensor:
        return super().picture(self.autoencoder.decode(clean * self.spread).float())
