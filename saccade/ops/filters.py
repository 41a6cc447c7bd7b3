"""Fixed filters: Gaussian, its derivatives, Laplacian of Gaussian and Gabor at a given scale, orientation and frequency, and pictures of them.

A kernel is a float64 tensor of odd sides, its middle cell the origin. Angles are in radians, of the direction in which the filter varies,
from the x axis (to the right) towards the y axis (down). A kernel reaches `TRUNCATE` standard deviations. Kernels are for the layers'
z_i = sum_j w_j x_{i+j} (see `ops.convolution`): the derivative of a ramp x -> x is +1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TRUNCATE = 4.0
Palette = Literal["grey", "red_blue"]


def offsets(sigma: float, truncate: float = TRUNCATE) -> Tensor:
    """The cells of a kernel's axis: -r..r with r = ceil(truncate sigma). Raises ValueError for a sigma that is not above 0.

    >>> offsets(0.5).tolist()
    [-2.0, -1.0, 0.0, 1.0, 2.0]
    """
    if not 0 < sigma < float("inf"):
        raise ValueError(f"sigma must be a number above 0, got {sigma}")
    radius = math.ceil(truncate * sigma)
    return torch.arange(-radius, radius + 1, dtype=torch.float64)


def gaussian(sigma: float, truncate: float = TRUNCATE) -> Tensor:
    """(k,): a Gaussian of standard deviation sigma (in cells), its sum 1. In more dimensions it is the outer product of these.

    Sampled at the cells; from about sigma = 0.8 on, its variance is sigma^2.

    >>> round(gaussian(1.0).max().item(), 4)
    0.3989
    """
    samples = torch.exp(-(offsets(sigma, truncate) ** 2) / (2 * sigma**2))
    return samples / samples.sum()


def gaussian_2d(sigma: float, truncate: float = TRUNCATE) -> Tensor:
    """(k, k): the Gaussian in two dimensions, its sum 1."""
    return torch.outer(gaussian(sigma, truncate), gaussian(sigma, truncate))


def gaussian_derivative(sigma: float, *, order: int = 1, angle: float = 0.0, truncate: float = TRUNCATE) -> Tensor:
    """(k, k): the first or second derivative of a Gaussian along a direction; its sum is 0.

    Scaled so that the answer is the derivative of the smoothed image: 1 for the ramp u of order 1, and for u^2 / 2 of order 2, u being the
    coordinate along `angle`. Raises ValueError for another order.

    >>> ramp = torch.arange(9.0, dtype=torch.float64).expand(9, 9)
    >>> round((gaussian_derivative(1.0) * ramp).sum().item(), 6)
    1.0
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order}")
    along, _ = _turned(sigma, angle, truncate)
    smooth = gaussian_2d(sigma, truncate)
    if order == 1:
        kernel = along * smooth  # odd, so that its sum is 0; its sign is that of correlation
        return kernel / (kernel * along).sum()
    kernel = (along**2 - sigma**2) * smooth
    kernel = kernel - kernel.sum() * smooth
    return kernel / (kernel * along**2 / 2).sum()


def laplacian_of_gaussian(sigma: float, *, normalised: bool = False, truncate: float = TRUNCATE) -> Tensor:
    """(k, k): the sum of the second derivatives of a Gaussian (Marr and Hildreth 1980); its sum is 0 and its middle is below 0.

    So dark dots answer above 0. A dark disc of radius r answers most at sigma = r / sqrt(2) where `normalised`, which multiplies
    by sigma^2 (Lindeberg 1998, section 4) and makes scales comparable.
    """
    kernel = gaussian_derivative(sigma, order=2, truncate=truncate) + gaussian_derivative(sigma, order=2, angle=math.pi / 2, truncate=truncate)
    return kernel * sigma**2 if normalised else kernel


def gabor(sigma: float, *, frequency: float, angle: float = 0.0, phase: float = 0.0, aspect: float = 1.0, truncate: float = TRUNCATE) -> Tensor:
    """(k, k): a wave cos(2 pi frequency u + phase) under a Gaussian (Daugman 1985), without its mean; a wave of its own answers 1/2.

    frequency: cycles a cell, above 0 and at most 1/2. u: along `angle`. aspect: sigma along u over sigma across, at most 1 for long bars.
    phase: 0 for a bright bar (even), -pi/2 for an edge (odd, sin). Raises ValueError for a frequency or aspect out of range.

    Deviation: a share of the Gaussian is taken away so that the sum is exactly 0, and the gain is 1/2 whatever the bandwidth.
    """
    if not 0 < frequency <= 0.5 or not 0 < aspect <= 1:
        raise ValueError(f"frequency must be above 0 and at most 0.5, aspect above 0 and at most 1, got {frequency} and {aspect}")
    along, across = _turned(sigma / aspect, angle, truncate)
    smooth = torch.exp(-(along**2 + (aspect * across) ** 2) / (2 * sigma**2))
    smooth = smooth / smooth.sum()
    wave = torch.cos(2 * math.pi * frequency * along + phase)
    kernel = smooth * wave
    kernel = kernel - kernel.sum() * smooth
    gain = (kernel * wave).sum()
    if gain < 1e-9:
        raise ValueError(f"a wave of frequency {frequency} and phase {phase:.3g} is constant or nought at the cells of sigma {sigma}")
    return kernel / (2 * gain)


def gabor_bank(sigmas: Sequence[float], orientations: int, *, cycles: float = 0.56) -> dict[str, Tensor]:
    """Even and odd Gabors of each scale at evenly spread orientations; `cycles` a standard deviation (0.56: one octave wide).

    Names tell scale, angle in degrees and phase.

    >>> list(gabor_bank([2.0], 2))
    ['2 px, 0°, even', '2 px, 0°, odd', '2 px, 90°, even', '2 px, 90°, odd']
    """
    phases = {"even": 0.0, "odd": -math.pi / 2}
    return {
        f"{sigma:g} px, {180 * k / orientations:g}°, {name}": gabor(sigma, frequency=cycles / sigma, angle=math.pi * k / orientations, phase=phase)
        for sigma in sigmas
        for k in range(orientations)
        for name, phase in phases.items()
    }


def noise_gain(kernel: Tensor) -> float:
    """By how much a filter changes the variance of white noise: the sum of its squares.

    >>> noise_gain(torch.full((3, 3), 1 / 9))
    0.1111111...
    """
    return float((kernel.double() ** 2).sum())


def smooth(image: Tensor, sigma: float) -> Tensor:
    """(..., H, W) smoothed by a Gaussian, by rows and then by columns; the border's pixels go on beyond it."""
    taps = gaussian(sigma).to(image.dtype)
    radius = len(taps) // 2
    flat = image.reshape(-1, 1, *image.shape[-2:])
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), taps.view(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="replicate"), taps.view(1, 1, -1, 1))
    return flat.reshape(image.shape)


def signed(image: Tensor | np.ndarray, *, palette: Palette = "grey", largest: float | None = None) -> np.ndarray:
    """(H, W) numbers of either sign as (H, W, 3) uint8 RGB: 0 is mid grey (128), or white between blue (below) and red (above).

    largest: what is shown as black or white (as full colour), the largest magnitude unless given; beyond it the colour is the same.
    Raises ValueError for an image without two axes or with numbers that are not finite.

    >>> signed(np.array([[-2.0, 0.0, 1.0]]))[0, :, 0].tolist()
    [1, 128, 192]
    """
    values = np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"a signed image is (H, W) of finite numbers, got shape {values.shape}")
    scale = float(np.abs(values).max(initial=0.0)) if largest is None else largest
    share = np.clip(values / scale, -1, 1) if scale > 0 else np.zeros_like(values)
    if palette == "grey":
        return np.asarray(np.repeat(np.rint(128 + 127 * share)[..., None], 3, -1), np.uint8)
    if palette != "red_blue":
        raise ValueError(f"palette must be grey or red_blue, got {palette!r}")
    faded = 1 - np.abs(share)
    colours = np.stack([np.where(share < 0, faded, 1), faded, np.where(share > 0, faded, 1)], -1)
    return np.asarray(np.rint(255 * colours), np.uint8)


def draw_bank(kernels: Sequence[Tensor], *, columns: int = 8, zoom: int = 4, palette: Palette = "grey") -> np.ndarray:
    """Kernels (k, k) side by side as (H, W, 3) uint8, each with its own scale and in the middle of a tile as large as the largest.

    Raises ValueError without a kernel.
    """
    if not kernels:
        raise ValueError("a bank to draw has at least one kernel, got none")
    side, gap = max(max(kernel.shape) for kernel in kernels) * zoom, 2
    columns = min(columns, len(kernels))
    rows = math.ceil(len(kernels) / columns)
    sheet = np.full((rows * (side + gap) + gap, columns * (side + gap) + gap, 3), 255, np.uint8)
    for place, kernel in enumerate(kernels):
        tile = np.kron(signed(kernel, palette=palette), np.ones((zoom, zoom, 1), np.uint8))
        top, left = gap + place // columns * (side + gap), gap + place % columns * (side + gap)
        sheet[top : top + side, left : left + side] = signed(np.zeros((1, 1)), palette=palette)[0, 0]
        top, left = top + (side - tile.shape[0]) // 2, left + (side - tile.shape[1]) // 2
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _turned(sigma: float, angle: float, truncate: float) -> tuple[Tensor, Tensor]:
    """(k, k) each: the coordinates along and across a direction."""
    cells = offsets(sigma, truncate)
    y, x = torch.meshgrid(cells, cells, indexing="ij")
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
