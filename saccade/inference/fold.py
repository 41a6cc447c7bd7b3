"""Batch normalisation folded into the convolution before it: the same function with one pass over memory less."""

from __future__ import annotations

import copy

import torch
from torch import nn

from saccade.core import Model
from saccade.inference.device import Mode
from saccade.nn.blocks import ConvNorm


def folded(model: Model) -> Model:
    """A copy of a network in eval mode whose every `ConvNorm` with batch normalisation is one convolution with a bias.

    y = g (Wx - m) / s + b = (g / s) W x + (b - g m / s), s = sqrt(v + eps); exact but for the rounding of float32.
    """
    own = copy.deepcopy(model).eval()
    for part in own.modules():
        if isinstance(part, ConvNorm) and isinstance(part.norm, nn.BatchNorm2d):
            part.conv, part.norm = _fold(part.conv, part.norm), nn.Identity()
    return own


def ready(model: Model, mode: Mode) -> Model:
    """A folded copy on its device, its kernels in channels_last and, for bfloat16, rounded once where autocast would at every call: the same bits."""
    own = folded(model).to(mode.device)
    if mode.precision == "bf16":
        for part in own.modules():
            if type(part) in (nn.Conv2d, nn.Linear):
                part.to(torch.bfloat16)
    return own.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's own annotation lacks it


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("batch normalisation without running statistics cannot be folded")
    factor = torch.rsqrt(variance.double() + norm.eps)
    shift = -mean.double() * factor
    if norm.affine:
        factor = factor * norm.weight.double()
        shift = shift * norm.weight.double() + norm.bias.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double() * factor
    conv.weight = nn.Parameter((conv.weight.double() * factor.view(-1, 1, 1, 1)).to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
    return conv
