"""Colours in other coordinates: linear light, CIE XYZ, CIE L*a*b*, and the luma with two colour differences. All are differentiable.

Every function takes (..., 3, h, w), channels third from the end. RGB is sRGB in [0, 1]; white is D65 for the observer of 2 degrees. Values out of range
are not cut: a network's answer may have some.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WHITE = (0.95047, 1.0, 1.08883)  # XYZ of D65 for 2 degrees
XYZ_OF_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))  # ITU-R BT.709, to six digits
YCBCR_OF_RGB = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))  # ITU-R BT.601, in levels of 255
YCBCR_OFFSET = (16.0, 128.0, 128.0)
DELTA = 6 / 29


def linear_of_srgb(rgb: Tensor) -> Tensor:
    """sRGB -> linear light in [0, 1] (IEC 61966-2-1).

    >>> round(float(linear_of_srgb(torch.tensor(0.5))), 4)
    0.214
    """
    high = ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > 0.04045, high, rgb / 12.92)


def srgb_of_linear(linear: Tensor) -> Tensor:
    """Linear light -> sRGB, the inverse of `linear_of_srgb`."""
    high = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, high, linear * 12.92)


def lab_of_rgb(rgb: Tensor) -> Tensor:
    """(..., 3, h, w) sRGB -> L* in [0, 100], a* and b*, which sRGB fills from -86.2 to 98.3 and from -107.9 to 94.5 (CIE 1976).

    >>> [round(v) for v in lab_of_rgb(torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)).flatten().tolist()]
    [53, 80, 67]
    """
    xyz = _mixed(linear_of_srgb(rgb), XYZ_OF_RGB) / _column(WHITE, rgb)
    f = torch.where(xyz > DELTA**3, xyz.clamp_min(DELTA**3) ** (1 / 3), xyz / (3 * DELTA**2) + 4 / 29)
    x, y, z = f.unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -3)


def rgb_of_lab(lab: Tensor) -> Tensor:
    """L*, a*, b* -> sRGB, the inverse of `lab_of_rgb`; colours that sRGB does not have lie outside of [0, 1].

    >>> rgb_of_lab(torch.tensor([100.0, 0.0, 0.0]).view(3, 1, 1)).flatten().round(decimals=3).tolist()
    [1.0, 1.0, 1.0]
    """
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], -3)
    xyz = torch.where(f > DELTA, f**3, 3 * DELTA**2 * (f - 4 / 29)) * _column(WHITE, lab)
    inverse = torch.linalg.inv(torch.tensor(XYZ_OF_RGB, dtype=torch.float64))
    return srgb_of_linear(_mixed(xyz, inverse.tolist()))


def ycbcr_of_rgb(rgb: Tensor) -> Tensor:
    """sRGB -> Y' in [16, 235] / 255 and Cb, Cr in [16, 240] / 255 (ITU-R BT.601): what restoration is compared by in the literature.

    >>> (ycbcr_of_rgb(torch.ones(3, 1, 1)) * 255).round().flatten().tolist()
    [235.0, 128.0, 128.0]
    """
    return (_mixed(rgb, YCBCR_OF_RGB) + _column(YCBCR_OFFSET, rgb)) / 255


def rgb_of_ycbcr(ycbcr: Tensor) -> Tensor:
    """The inverse of `ycbcr_of_rgb`."""
    inverse = torch.linalg.inv(torch.tensor(YCBCR_OF_RGB, dtype=torch.float64))
    return _mixed(ycbcr * 255 - _column(YCBCR_OFFSET, ycbcr), inverse.tolist())


def luma(pixels: Tensor) -> Tensor:
    """(..., C, h, w) -> (..., 1, h, w): the Y' of `ycbcr_of_rgb` for three channels; a grey picture in the same range, [16, 235] / 255; else the mean of
    the channels as such a grey."""
    if pixels.shape[-3] == 3:
        return ycbcr_of_rgb(pixels)[..., :1, :, :]
    return (pixels.mean(-3, keepdim=True) * 219 + 16) / 255


def colour_difference(lab: Tensor, other: Tensor) -> Tensor:
    """(..., 3, h, w) twice -> (..., h, w): the Euclidean distance in L*a*b* (CIE 1976, Delta E*ab); about 2.3 is just noticeable."""
    distance: Tensor = torch.linalg.vector_norm(lab - other, dim=-3)
    return distance


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return like.new_tensor(values).view(3, 1, 1)


def _mixed(planes: Tensor, matrix: Sequence[Sequence[float]]) -> Tensor:
    """The channels under a 3x3 matrix."""
    return torch.einsum("ij,...jhw->...ihw", planes.new_tensor(matrix), planes)
