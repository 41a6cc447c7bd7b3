"""The arithmetic of diffusion: noise schedules, the posterior of a step back, and samplers that take any network (Ho, Jain and Abbeel 2020)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

ScheduleName = Literal["linear", "cosine"]
Prediction = Literal["epsilon", "v"]
Network = Callable[[Tensor, Tensor], Tensor]  # (x_t (N, ...), t (N,) from 0) -> what it predicts
Chance = torch.Generator | Sequence[torch.Generator] | None  # of all rows, or one a row; none is torch's own


def betas_of(name: ScheduleName, steps: int) -> Tensor:
    """(T,) float64, the variances added at each step. "linear": from 1e-4 to 0.02 as in Ho et al. 2020 for 1000 steps, in proportion for others;
    "cosine": Nichol and Dhariwal 2021, eq. 17, at most 0.999.

    >>> [round(float(betas_of(name, 1000)[-1]), 4) for name in ("linear", "cosine")]
    [0.02, 0.999]
    """
    if name == "linear":
        return torch.linspace(min(0.999, 0.1 / steps), min(0.999, 20.0 / steps), steps, dtype=torch.float64)
    at = torch.arange(steps + 1, dtype=torch.float64) / steps
    kept = torch.cos((at + 0.008) / 1.008 * math.pi / 2).square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


class Schedule(nn.Module):
    """q(x_t | x_0) = N(sqrt(kept_t) x_0, 1 - kept_t) for t = 0 ... T - 1; kept_t, the papers' alpha bar of t + 1, is the product of 1 - beta up to t.

    Its numbers are float64 buffers of no model file: they follow from the name and the number of steps.
    """

    betas: Tensor
    kept: Tensor

    def __init__(self, name: ScheduleName = "linear", steps: int = 1000, prediction: Prediction = "epsilon") -> None:
        super().__init__()
        self.steps, self.prediction = steps, prediction
        betas = betas_of(name, steps)
        self.register_buffer("betas", betas, persistent=False)
        self.register_buffer("kept", torch.cumprod(1 - betas, 0), persistent=False)

    def signal(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(kept_t) and sqrt(1 - kept_t) in the type of x, broadcast to its axes."""
        kept = self.kept[t].view(-1, *(1,) * (x.ndim - 1))
        return kept.sqrt().to(x.dtype), (1 - kept).sqrt().to(x.dtype)

    def noised(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of clean x (N, ...), t (N,), noise as x."""
        signal, spread = self.signal(t, x)
        return signal * x + spread * noise

    def goal(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """What the network is to predict: the noise, or v = sqrt(kept) noise - sqrt(1 - kept) x (Salimans and Ho 2022, appendix D)."""
        if self.prediction == "epsilon":
            return noise
        signal, spread = self.signal(t, x)
        return signal * noise - spread * x

    def parts(self, x_t: Tensor, t: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """The clean picture and the noise that a prediction stands for."""
        signal, spread = self.signal(t, x_t)
        if self.prediction == "epsilon":
            return (x_t - spread * predicted) / signal, predicted
        return signal * x_t - spread * predicted, spread * x_t + signal * predicted

    def posterior(self, x: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (N, ...) and variance (N,) of q(x_(t-1) | x_t, x_0): Ho et al. 2020, eq. 6 and 7; of t = 0 the clean picture and 0."""
        kept, beta = self.kept[t], self.betas[t]
        before = torch.where(t > 0, self.kept[(t - 1).clamp_min(0)], torch.ones_like(kept))
        variance = beta * (1 - before) / (1 - kept)
        shape = (-1, *(1,) * (x.ndim - 1))
        of_clean = (before.sqrt() * beta / (1 - kept)).to(x.dtype).view(shape)
        of_noised = ((1 - beta).sqrt() * (1 - before) / (1 - kept)).to(x.dtype).view(shape)
        return of_clean * x + of_noised * x_t, variance.to(x.dtype)

    def spaced(self, steps: int) -> list[int]:
        """`steps` of the T times, evenly spread from the last to the first. Raises ValueError outside 1 to T.

        >>> Schedule(steps=10).spaced(4)
        [9, 6, 3, 0]
        """
        if not 1 <= steps <= self.steps:
            raise ValueError(f"{steps} steps; expected 1 to {self.steps}")
        if steps == 1:
            return [self.steps - 1]
        return [round(i * (self.steps - 1) / (steps - 1)) for i in reversed(range(steps))]


def fresh(x: Tensor, generator: Chance) -> Tensor:
    """Normal numbers like x (N, ...)."""
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    return torch.stack([torch.randn(row.shape, generator=own, dtype=x.dtype) for row, own in zip(x, generator, strict=True)]).to(x.device)


def ancestral(schedule: Schedule, network: Network, x: Tensor, generator: Chance = None, *, limit: float | None = None) -> Tensor:
    """Ho et al. 2020, algorithm 2: all T steps back from noise x (N, ...), each with the variance of the posterior.

    limit: the clean picture is kept within +-limit.
    """
    for step in reversed(range(schedule.steps)):
        t = torch.full((len(x),), step, dtype=torch.int64, device=x.device)
        clean, _ = schedule.parts(x, t, network(x, t))
        mean, variance = schedule.posterior(clean if limit is None else clean.clamp(-limit, limit), x, t)
        if step:
            x = mean + variance.sqrt().view(-1, *(1,) * (x.ndim - 1)) * fresh(x, generator)
        else:
            x = mean
    return x


def implicit(schedule: Schedule, network: Network, x: Tensor, *, steps: int, eta: float = 0.0, generator: Chance = None, limit: float | None = None) -> Tensor:
    """DDIM (Song, Meng and Ermon 2021, eq. 12): `steps` steps back from noise x (N, ...); eta 0 adds no noise, so that x alone decides; 1 is as ancestral.

    limit: the clean picture is kept within +-limit, and the noise follows from it. Raises ValueError for steps outside 1 to T.
    """
    times = schedule.spaced(steps)
    for step, after in zip(times, [*times[1:], -1], strict=True):
        t = torch.full((len(x),), step, dtype=torch.int64, device=x.device)
        clean, noise = schedule.parts(x, t, network(x, t))
        if limit is not None:
            signal, spread = schedule.signal(t, x)
            clean = clean.clamp(-limit, limit)
            noise = (x - signal * clean) / spread
        kept, later = float(schedule.kept[step]), float(schedule.kept[after]) if after >= 0 else 1.0
        sigma = eta * math.sqrt((1 - later) / (1 - kept) * (1 - kept / later))
        x = math.sqrt(later) * clean + math.sqrt(max(0.0, 1 - later - sigma**2)) * noise
        if sigma and after >= 0:
            x = x + sigma * fresh(x, generator)
    return x


def inverted(schedule: Schedule, network: Network, x: Tensor, *, steps: int) -> Tensor:
    """The noise that DDIM makes clean pictures x of, by its steps the other way (Song et al. 2021, section 4.3): the more steps, the nearer.

    Each step takes the prediction at the time that it comes from for that at the time that it goes to; the first is at the least noise there is.
    """
    times = list(reversed(schedule.spaced(steps)))
    clean, noise = x, network(x, torch.full((len(x),), times[0], dtype=torch.int64, device=x.device))
    if schedule.prediction == "v":
        noise = schedule.parts(x, torch.full((len(x),), times[0], dtype=torch.int64, device=x.device), noise)[1]
    for place, step in enumerate(times):
        t = torch.full((len(x),), step, dtype=torch.int64, device=x.device)
        x = schedule.noised(clean, t, noise)
        if place + 1 < len(times):
            clean, noise = schedule.parts(x, t, network(x, t))
    return x
