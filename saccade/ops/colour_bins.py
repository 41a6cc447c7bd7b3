"""The colours of L*a*b* as classes: Zhang, Isola, Efros, "Colorful image colorization", ECCV 2016, section 2."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from saccade.ops.colour import lab_of_rgb

STEP = 10.0  # of the grid in a* and b*
NEAREST, SIGMA = 5, 5.0  # classes that share a colour, and the deviation of their weights
UNIFORM = 0.5  # lambda of eq. 4
TEMPERATURE = 0.38  # of the annealed mean, section 2.3
_FINE = 65  # steps a side of the cube of colours that is looked through


@cache
def centres() -> Tensor:
    """(Q, 2) float32 a*, b* of the classes: the points of a grid of 10 that are nearest to some colour of sRGB.

    Deviation: Q follows from sRGB itself and is not the 313 of the paper's own table.
    """
    steps = torch.linspace(0, 1, _FINE, device="cpu")
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(3, -1, 1)
    points = torch.round(lab_of_rgb(cube)[1:, :, 0].T / STEP)
    found: Tensor = torch.unique(points, dim=0)
    return found * STEP


def shares(ab: Tensor) -> Tensor:
    """(n, 2) colours -> (n, Q): Gaussian weights of the five nearest classes, summing to one."""
    distance = torch.cdist(ab, centres().to(ab))
    near, places = distance.topk(NEAREST, dim=1, largest=False)
    weights = torch.softmax(-(near**2) / (2 * SIGMA**2), 1)
    return torch.zeros_like(distance).scatter_(1, places, weights)


def rarity(spread: float) -> Tensor:
    """(Q,) float32: the weights of the classes, eq. 4, one in the mean over the prior.

    Deviation: the prior is exp(-chroma / spread) and not counted in ImageNet, so that it follows from one number.
    """
    prior = torch.softmax(-torch.linalg.vector_norm(centres(), dim=1) / spread, 0)
    weights = 1 / ((1 - UNIFORM) * prior + UNIFORM / len(prior))
    return weights / (weights * prior).sum()


def annealed_mean(logits: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """(N, Q, h, w) -> (N, 2, h, w): the mean colour under the distribution sharpened by the temperature, eq. 5: 1 is the mean, 0 the mode."""
    p = torch.softmax(logits / temperature, 1)
    return torch.einsum("nqhw,qc->nchw", p, centres().to(p))
