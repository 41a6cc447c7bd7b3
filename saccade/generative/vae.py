"""The variational autoencoder: pictures from codes, codes from pictures, and a lower bound of the likelihood of both (Kingma and Welling 2014)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Batch, Inputs, LabelSpace
from saccade.generative.base import Generative, chance_of, groups_of
from saccade.generative.networks import Decoder, Encoder
from saccade.phases import Phase, Stage

SPREAD = 8.0  # of the logarithm of a variance, at most, so that nothing overflows
ACTIVE = 0.01  # variance of a code's mean over pictures, above which the code is in use (Burda et al. 2016, section 5.2)


class Posterior(NamedTuple):
    """A normal distribution of codes for each picture, its coordinates independent: mean and logarithm of the variance, (N, ...) each."""

    mean: Tensor
    log_variance: Tensor

    def drawn(self, noise: Tensor) -> Tensor:
        """mean + deviation x noise: the reparameterisation."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """(N, D): the divergence from the standard normal distribution of every coordinate, in nats: (mean^2 + variance - 1 - log variance) / 2."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).flatten(1)

    def log_density(self, codes: Tensor) -> Tensor:
        """(N,): log q(codes)."""
        return normal(codes, self.mean, self.log_variance)

    @classmethod
    def of(cls, both: Tensor) -> Posterior:
        """Of a network's answer (N, 2D, ...)."""
        mean, log_variance = both.float().chunk(2, 1)
        return cls(mean, log_variance.clamp(-SPREAD, SPREAD))


def normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """(N,): the log density of independent normal numbers, in nats."""
    each = -0.5 * (math.log(2 * math.pi) + log_variance + (x - mean).square() * (-log_variance).exp())
    return each.flatten(1).sum(1)


def bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """(N,): the log probability of ones and noughts under independent coins, in nats."""
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def free_kl(kl: Tensor, free_bits: float) -> Tensor:
    """The mean over the pictures of (N, D) divergences, of which every coordinate counts at least `free_bits` nats (Kingma et al. 2016, eq. 15)."""
    return kl.mean(0).clamp_min(free_bits).sum() if free_bits else kl.sum(1).mean()


class Vae(Generative):
    """q(z | x) normal with independent coordinates, p(z) standard normal, p(x | z) coins ("bernoulli") or normal with one learnt variance ("gaussian").

    Coins are of binarised pictures: each pixel is 1 with a probability of its value, drawn anew whenever it is looked at ("sample", Salakhutdinov and
    Murray 2008), or where it is above a half ("threshold"). A density ("gaussian") is of values in [0, 1], and its nats are not those of coins.
    beta: factor of the divergence (Higgins et al. 2017). free_bits: nats that every coordinate has for nothing.
    """

    encodes = True

    def __init__(
        self,
        inputs: Inputs,
        space: LabelSpace,
        *,
        codes: int,
        kind: str,
        width: int,
        hidden: int,
        likelihood: str,
        binarise: str,
        beta: float,
        free_bits: float,
        conditional: bool,
    ) -> None:
        super().__init__(inputs, space, conditional=conditional)
        self.likelihood, self.binarise, self.beta, self.free_bits = likelihood, binarise, beta, free_bits
        self.noise_shape = (codes,)
        shape: dict[str, Any] = {"kind": kind, "width": width, "hidden": hidden, "told": self.classes}
        self.encoder = Encoder(inputs.channels, inputs.size, **shape, outputs=2 * codes)
        self.decoder = Decoder(inputs.channels, inputs.size, **shape, codes=codes)
        if likelihood == "gaussian":
            self.log_variance = nn.Parameter(torch.tensor(-2.0))

    def stages(self) -> Sequence[Stage]:
        return (Stage("all", 1.0, (Phase("all", lambda: groups_of(self)),)),)

    # -- the parts of the bound --------------------------------------------------------------------------------------

    def looked_at(self, pictures: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the likelihood is of: the pictures, or ones and noughts of them."""
        if self.likelihood != "bernoulli":
            return pictures.float()
        if self.binarise == "threshold":
            return (pictures > 0.5).float()
        drawn = torch.rand(pictures.shape, generator=generator) if generator is not None else torch.rand(pictures.shape, device=pictures.device)
        return (drawn.to(pictures.device) < pictures).float()

    def posterior(self, x: Tensor, told: Tensor | None = None) -> Posterior:
        return Posterior.of(self.encoder(2 * x - 1, told))

    def log_likelihood(self, x: Tensor, out: Tensor) -> Tensor:
        """(N,): log p(x | z) of what the decoder answers, in nats."""
        if self.likelihood == "bernoulli":
            return bernoulli(x, out.float())
        return normal(x, out.float(), self.log_variance.clamp(-SPREAD, SPREAD))

    def bound(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The reconstruction E log p(x | z) by one sample (N,), and the divergence of every coordinate (N, D), in nats."""
        told, x = self.told(batch), self.looked_at(batch.inputs, generator)
        posterior = self.posterior(x, told)
        noise = torch.randn(posterior.mean.shape, generator=generator) if generator is not None else torch.randn_like(posterior.mean)
        return self.log_likelihood(x, self.decoder(posterior.drawn(noise.to(x.device)), told)), posterior.kl()

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        reconstruction, kl = self.bound(batch)
        return {"reconstruction": -reconstruction.mean(), "kl": self.beta * free_kl(kl, self.free_bits)}

    def facts(self, batch: Batch) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        reconstruction, kl = self.bound(batch, chance_of(batch))
        losses = {"reconstruction": -reconstruction.mean(), "kl": self.beta * free_kl(kl, self.free_bits)}
        rows = zip(reconstruction.tolist(), kl.sum(1).tolist(), strict=True)
        return losses, [{"elbo": r - k, "reconstruction": r, "kl": k} for r, k in rows]

    @torch.no_grad()
    def importance_weighted(self, batch: Batch, samples: int = 50) -> Tensor:
        """(N,): log of the mean of p(x, z) / q(z | x) over samples of q, in nats: a bound that rises with their number to log p(x).

        Burda, Grosse and Salakhutdinov 2016, eq. 8.
        """
        generator, told = chance_of(batch, 1), self.told(batch)
        x = self.looked_at(batch.inputs, generator)
        posterior, weights = self.posterior(x, told), []
        for _ in range(samples):
            codes = posterior.drawn(torch.randn(posterior.mean.shape, generator=generator).to(x.device))
            prior = normal(codes, torch.zeros_like(codes), torch.zeros_like(codes))
            weights.append(self.log_likelihood(x, self.decoder(codes, told)) + prior - posterior.log_density(codes))
        return torch.stack(weights).logsumexp(0) - math.log(samples)

    # -- codes -------------------------------------------------------------------------------------------------------

    def outputs(self, inputs: Tensor, sizes: Tensor) -> Any:
        told = inputs.new_zeros(len(inputs), self.classes) if self.classes else None
        return self.decoder(self.posterior(inputs, told).mean, told)

    def encode(self, pictures: Tensor, told: Tensor | None = None) -> Tensor:
        """The means of q(z | x), (N, codes), of the pictures themselves: grey values are seen as they are."""
        if told is None and self.classes:
            told = pictures.new_zeros(len(pictures), self.classes)
        return self.posterior(pictures.float(), told).mean

    def draw(self, noise: Tensor, told: Tensor | None = None, **options: Any) -> Tensor:
        """The means of p(x | z) of codes (N, codes)."""
        out = self.decoder(noise, told).float()
        return torch.sigmoid(out) if self.likelihood == "bernoulli" else out.clamp(0, 1)

    @torch.no_grad()
    def use_of_codes(self, pictures: Tensor) -> Tensor:
        """(codes,): the variance over pictures of every code's mean; a code is in use where it is above `ACTIVE`."""
        return self.encode(pictures).var(0, unbiased=False)
