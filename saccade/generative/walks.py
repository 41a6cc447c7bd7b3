"""Ways through noise: strips between two samples, and sliders of single codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from saccade.generative.base import Generative
from saccade.generative.vae import Vae

SPAN = 3.0  # deviations that a slider goes each way


def between(first: Tensor, last: Tensor, n: int, *, spherical: bool) -> Tensor:
    """(n, ...) from `first` to `last` (...): along the straight line, or along the great circle, lengths changing evenly (Shoemake 1985).

    Noise in many dimensions lies near a sphere, which a straight line leaves; codes of pictures, which are means, are joined straight.
    Raises ValueError for fewer than 2.
    """
    if n < 2:
        raise ValueError(f"{n} steps; expected 2 at least")
    shares = torch.linspace(0, 1, n, dtype=torch.float64).view(-1, *(1,) * first.ndim)
    a, b = first.double().cpu(), last.double().cpu()
    long_a, long_b = a.norm(), b.norm()
    if not spherical or long_a == 0 or long_b == 0:
        return ((1 - shares) * a + shares * b).to(first.dtype)
    unit_a, unit_b = a / long_a, b / long_b
    angle = torch.arccos((unit_a * unit_b).sum().clamp(-1, 1))
    if angle < 1e-4 or angle > torch.pi - 1e-4:  # the same way, or the opposite one, for which there is no shortest arc
        return ((1 - shares) * a + shares * b).to(first.dtype)
    turned = (torch.sin((1 - shares) * angle) * unit_a + torch.sin(shares * angle) * unit_b) / torch.sin(angle)
    return (turned * ((1 - shares) * long_a + shares * long_b)).to(first.dtype)


def straight(system: Generative) -> bool:
    """Whether its codes are joined by straight lines: those of an autoencoder."""
    return isinstance(system, Vae)


@torch.no_grad()
def effects(system: Generative, told: Tensor | None = None, bases: int = 8) -> Tensor:
    """(codes,): the mean squared change of a value of the picture when one code goes from -2 to 2, the others being those of samples. Raises ValueError
    for noise that is a map."""
    if len(system.noise_shape) != 1:
        raise ValueError(f"noise of {'x'.join(map(str, system.noise_shape))} numbers has no single codes")
    noise, found = system.noise(bases, seed=0), []
    told = None if told is None else told[:1].expand(bases, -1)
    for place in range(system.noise_shape[0]):
        low, high = noise.clone(), noise.clone()
        low[:, place], high[:, place] = -2.0, 2.0
        found.append((system.draw(high, told) - system.draw(low, told)).square().mean())
    return torch.stack(found)


def sliders(base: Tensor, places: Sequence[int], n: int = 9) -> Tensor:
    """(len(places), n, codes): the codes `base` (codes,) with one of them going from -SPAN to SPAN in every row."""
    rows = base.expand(len(places), n, -1).clone()
    for row, place in zip(rows, places, strict=True):
        row[:, place] = torch.linspace(-SPAN, SPAN, n, dtype=base.dtype, device=base.device)
    return rows
