"""The input as the answer, from its code: dense and convolutional decoders, squared and logistic loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Inputs, Level, Meta
from saccade.nn.backbones.mlp import ACTIVATIONS, SATURATING, Activation
from saccade.nn.blocks import ConvNorm, Norm
from saccade.nn.heads.restore import in_source, stacked
from saccade.nn.necks.codes import cells_of
from saccade.targets.image_target import ImageTarget

Likeness = Literal["squared", "logistic"]
FIRST = 0.1  # deviation of a fresh decoder's answer, in those of the input


class Reconstructed(NamedTuple):
    """codes: (N, K). values: (N, C, H, W) before the last nonlinearity: deviations about the channels' means, or logits."""

    codes: Tensor
    values: Tensor


class DenseDecoder(nn.Module):
    """(N, codes) -> (N, C, H, W) by dense layers, the mirror image of a multilayer perceptron with these `hidden` units; it begins near the mean input."""

    def __init__(self, inputs: Inputs, codes: int, *, hidden: Sequence[int] = (1000, 500, 250), activation: Activation = "relu") -> None:
        super().__init__()
        self.shape = (inputs.channels, *inputs.size)
        widths = [codes, *reversed(hidden), math.prod(self.shape)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = ACTIVATIONS[activation]()
        for place, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            last = place == len(hidden)
            nn.init.normal_(layer.weight, 0.0, math.sqrt((FIRST**2 if last else 1 if activation in SATURATING else 2) / layer.in_features))
            nn.init.zeros_(layer.bias)

    def forward(self, codes: Tensor) -> Tensor:
        for place in range(len(self.layers)):
            codes = self.step(place, codes)
        return codes.unflatten(1, self.shape)

    def step(self, place: int, values: Tensor) -> Tensor:
        """One layer, with its nonlinearity unless it is the last: (N, in) -> (N, out)."""
        out: Tensor = self.layers[place](values)
        return out if place == len(self.layers) - 1 else self.activation(out)


class ConvolutionalDecoder(nn.Module):
    """(N, codes) -> (N, C, H, W): a dense layer to the coarsest map, then enlargement to each finer map and a 3x3 convolution, and one more to the channels.

    levels: of the encoder's maps, fine to coarse, without the input; sizes of maps are those that strides over `inputs.size` give.
    Enlargement is by the nearest cell, which leaves no chequers (Odena, Dumoulin, Olah 2016).
    """

    def __init__(self, inputs: Inputs, codes: int, levels: Sequence[Level], *, norm: Norm = "batch") -> None:
        super().__init__()
        coarse_to_fine = list(reversed(levels))
        first = coarse_to_fine[0]
        self.first = (first.channels, *cells_of(first, inputs.size))
        self.layer = nn.Linear(codes, math.prod(self.first))
        self.sizes = [cells_of(level, inputs.size) for level in coarse_to_fine[1:]] + [inputs.size]
        widths = [level.channels for level in coarse_to_fine]
        self.stages = nn.ModuleList(ConvNorm(a, b, norm=norm) for a, b in pairwise([*widths, widths[-1]]))
        self.output = nn.Conv2d(widths[-1], inputs.channels, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        x = F.relu(self.layer(codes)).unflatten(1, self.first)
        for size, stage in zip(self.sizes, self.stages, strict=True):
            if tuple(x.shape[2:]) != size:
                x = F.interpolate(x, size, mode="nearest")
            x, _ = stage(x)
        out: Tensor = self.output(x)
        return out


class Reconstruct(Head[Reconstructed, ImageTarget]):
    """The input again, decoded from the last map, which is its code (N, K, 1, 1).

    criterion: squared, the mean squared difference over all values; logistic, the mean cross entropy in nats of values in [0, 1] taken for
    probabilities (Hinton and Salakhutdinov 2006). standardise: differences are in units of each channel's deviation, for vectors of mixed units.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: Inputs, decoder: nn.Module, *, criterion: Likeness = "squared", standardise: bool = False) -> None:
        super().__init__()
        if criterion == "logistic" and standardise:
            raise ValueError("standardise is for squared differences; the logistic loss compares values in [0, 1]")
        self.decoder, self.criterion, self.standardise = decoder, criterion, standardise
        self.vectors = tuple(inputs.size) == (1, 1)
        self.register_buffer("mean", torch.tensor(inputs.mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(inputs.std, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, features: Features) -> Reconstructed:
        codes = features.maps[-1].flatten(1)
        return Reconstructed(codes, self.decoder(codes))

    def pictures(self, values: Tensor) -> Tensor:
        """The decoder's values (N, C, H, W) as inputs: not cut to [0, 1]."""
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        return torch.sigmoid(values) if self.criterion == "logistic" else self.mean + self.std * values

    def error(self, out: Reconstructed, truth: Tensor) -> dict[str, Tensor]:
        """{"squared"} or {"logistic"}: the mean over all values, with the truth (N, C, H, W); where the truth is nan, nothing is compared."""
        known = ~truth.isnan()
        truth = torch.where(known, truth, 0.0)
        if self.criterion == "logistic":
            each = F.binary_cross_entropy_with_logits(out.values.to(truth.dtype), truth, reduction="none")
        else:
            each = (self.pictures(out.values) - truth) / self.std if self.standardise else self.pictures(out.values) - truth
            each = each.square()
        return {self.criterion: torch.where(known, each, 0.0).sum() / known.sum().clamp_min(1)}

    def loss(self, out: Reconstructed, targets: Sequence[ImageTarget]) -> dict[str, Tensor]:
        """`error` against the pictures. Raises ValueError for one of another shape."""
        return self.error(out, stacked([target.pixels for target in targets], self.pictures(out.values)))

    def decode(self, out: Reconstructed, meta: Sequence[Meta]) -> list[ImageTarget]:
        """The reconstructions in the sources' pixels, on the CPU; not cut to [0, 1], so that errors are those of the model."""
        images = self.pictures(out.values.detach()).cpu()
        return [in_source(image, one, 1) for image, one in zip(images, meta, strict=True)]
