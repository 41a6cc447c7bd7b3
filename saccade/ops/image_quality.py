"""How like a picture is to another: mean squared error, peak signal-to-noise ratio, structural similarity."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5  # Wang et al. 2004, section III-B
K1, K2 = 0.01, 0.03


def mean_squared_error(picture: Tensor, other: Tensor) -> float:
    """(..., h, w) twice: the mean over all values, in float64. Raises ValueError when the shapes differ or nothing is there."""
    _require_alike(picture, other)
    return float((picture.double() - other.double()).square().mean())


def psnr(picture: Tensor, other: Tensor, *, peak: float = 1.0) -> float:
    """10 log10(peak^2 / MSE) in decibels; infinite for equal pictures. Raises as `mean_squared_error`.

    >>> round(psnr(torch.zeros(1, 4, 4), torch.full((1, 4, 4), 0.1)), 4)
    20.0
    """
    return decibels(mean_squared_error(picture, other), peak)


def decibels(error: float, peak: float = 1.0) -> float:
    """The PSNR that belongs to a mean squared error."""
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def ssim(picture: Tensor, other: Tensor, *, peak: float = 1.0) -> float:
    """The mean structural similarity of (C, h, w) pictures with values in [0, peak], in float64; 1 for equal ones.

    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", IEEE TIP 13 (4), 2004: equation 13 with a Gaussian window of 11 pixels and
    deviation 1.5, over the places where the window fits, and over the channels. Of pictures that are smaller the window is the largest odd
    number of pixels that fits. Raises ValueError when the shapes differ or nothing is there.

    >>> round(ssim(torch.zeros(1, 11, 11), torch.ones(1, 11, 11)), 6)
    0.0001
    """
    _require_alike(picture, other)
    side = min(WINDOW, *(length - 1 + length % 2 for length in picture.shape[-2:]))
    x, y = picture.double()[:, None], other.double()[:, None]
    means = [_windowed(values, side) for values in (x, y, x * x, y * y, x * y)]
    mx, my, xx, yy, xy = means
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    alike = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    return float((alike / ((mx**2 + my**2 + c1) * (xx - mx**2 + yy - my**2 + c2))).mean())


def _windowed(values: Tensor, side: int) -> Tensor:
    """(C, 1, h, w) -> its Gaussian means where the window fits."""
    at = torch.arange(side, dtype=values.dtype, device=values.device) - side // 2
    weights = torch.exp(-(at**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    return F.conv2d(F.conv2d(values, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


def _require_alike(picture: Tensor, other: Tensor) -> None:
    if picture.shape != other.shape or not picture.numel():
        raise ValueError(f"two pictures of one shape, with pixels, are compared; got {tuple(picture.shape)} and {tuple(other.shape)}")
