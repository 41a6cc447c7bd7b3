"""Separable filtering as two matrix products: the fast form of a fixed bank on images of up to a few hundred pixels.

A filter along one axis is a band matrix (see `ops.convolution.convolution_matrix`). For short axes the whole band, zeros included, as a
dense matrix is several times faster than a convolution layer, because a matrix product is what processors do best; taking every second
column is subsampling, which then costs nothing but saves half; and many filters of one axis share one product.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from saccade.ops.filters import offsets

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@functools.lru_cache(maxsize=256)
def band(taps: tuple[float, ...], length: int, step: int = 1) -> Tensor:
    """(length, ceil(length / step)) float64: x @ band is the filter's answer at cells 0, step, 2 step ...; beyond the border is 0.

    taps: an odd number of them, the middle one at the cell. Shared between calls: not to be changed.

    >>> band((0.0, 1.0, 2.0), 3).tolist()
    [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 2.0, 1.0]]
    """
    if len(taps) % 2 == 0 or step < 1:
        raise ValueError(f"taps must be odd in number and step at least 1, got {len(taps)} and {step}")
    found = torch.zeros(length, math.ceil(length / step), dtype=torch.float64)
    for j, tap in enumerate(taps, -(len(taps) // 2)):
        cells = torch.arange(found.shape[1])
        pixels = cells * step + j
        inside = (pixels >= 0) & (pixels < length)
        found[pixels[inside], cells[inside]] = tap
    return found


def shrink(x: Tensor) -> Tensor:
    """(..., H, W) -> (..., ceil(H / 2), ceil(W / 2)): smoothed by the binomial 1 4 6 4 1, every second cell (Burt and Adelson 1983)."""
    rows, columns = band(BINOMIAL, x.shape[-1], 2).to(x), band(BINOMIAL, x.shape[-2], 2).to(x)
    return columns.T @ (x @ rows)


def blur(x: Tensor) -> Tensor:
    """(..., H, W), smoothed by the binomial 1 4 6 4 1."""
    return band(BINOMIAL, x.shape[-2]).to(x) @ (x @ band(BINOMIAL, x.shape[-1]).to(x))


@functools.lru_cache(maxsize=64)
def _waves(sigma: float, frequency: float, orientations: int, lengths: tuple[int, int]) -> tuple[tuple[Tensor, Tensor, float, int, int | None], ...]:
    """For each pair of frequencies along the axes: matrices (W, 2 W') and (2 H', H) with cosine and sine, the share of the Gaussian
    that makes the sum 0, and the orientations of the wave and of its mirror image (None where it is its own)."""
    t = offsets(sigma)
    smooth = torch.exp(-(t**2) / (2 * sigma**2))
    smooth = smooth / smooth.sum()
    found = []
    for own in range(orientations // 2 + 1):
        angle = math.pi * own / orientations
        mirror = (orientations - own) % orientations
        matrices, means = [], []
        for length, turn in zip(lengths, (math.sin(angle), math.cos(angle)), strict=True):
            w = 2 * math.pi * frequency * turn
            parts = [smooth * torch.cos(w * t), smooth * torch.sin(w * t)]
            matrices.append(torch.cat([band(tuple(part.tolist()), length, 2) for part in parts], 1))
            means.append(float(parts[0].sum()))
        found.append((matrices[1], matrices[0].T.contiguous(), means[0] * means[1], own, None if mirror == own else mirror))
    return tuple(found)


def gabor_energy(x: Tensor, *, sigma: float, frequency: float, orientations: int, eps: float = 1e-6) -> Tensor:
    """(N, C, H, W) -> (N, C, orientations, ceil(H / 2), ceil(W / 2)): the magnitude of the even and odd Gabor's answers, at every second cell.

    A Gabor under a round Gaussian is the real part of (g(x) e^{i u x}) (g(y) e^{i v y}), so that cosines and sines along each axis give it
    for angle a and -a at once: cos cos -+ sin sin, and sin cos +- cos sin. eps is added to the square, so that there is a slope at nought.

    >>> gabor_energy(torch.zeros(1, 1, 8, 8), sigma=1.5, frequency=0.3, orientations=4).shape
    torch.Size([1, 1, 4, 4, 4])
    """
    height, width = x.shape[-2:]
    h, w = -(-height // 2), -(-width // 2)
    taps = offsets(sigma)
    smooth = torch.exp(-(taps**2) / (2 * sigma**2))
    plain = tuple((smooth / smooth.sum()).tolist())
    mean = band(plain, height, 2).T.to(x) @ (x @ band(plain, width, 2).to(x))  # (N, C, h, w)
    answers: list[Tensor | None] = [None] * orientations
    for along_x, along_y, share, own, mirror in _waves(sigma, frequency, orientations, (height, width)):
        both = along_y.to(x) @ (x @ along_x.to(x))  # (N, C, 2h, 2w): cosine and sine of y, by cosine and sine of x
        cc, cs, sc, ss = both[..., :h, :w], both[..., :h, w:], both[..., h:, :w], both[..., h:, w:]
        flat = cc - share * mean
        answers[own] = _magnitude(flat - ss, sc + cs, eps)
        if mirror is not None:
            answers[mirror] = _magnitude(flat + ss, sc - cs, eps)
    return torch.stack([answer for answer in answers if answer is not None], 2)


def _magnitude(even: Tensor, odd: Tensor, eps: float) -> Tensor:
    return torch.addcmul(torch.addcmul(even.new_tensor(eps), even, even), odd, odd).sqrt()
