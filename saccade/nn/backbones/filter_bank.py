"""A bank of fixed filters as a backbone: Gabor energies and dots at several octaves, nothing to learn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from saccade.core import Backbone, Features, Inputs, Level
from saccade.ops.padding import clear, through, valid_extent
from saccade.ops.pooling import max_pool
from saccade.ops.separable import blur, gabor_energy, shrink

Over = Literal["none", "orientation", "scale"]
Place = Literal["average", "max"]
FLOOR = 1e-6  # under the root of an energy, so that it has a slope at nought


class FilterBank(Backbone):
    """Gabor energies at several orientations, bright and dark dots, octave after octave of a Gaussian pyramid; no trainable number.

    At octave o the image is smoothed and halved o times. From it come, for each channel of the input, the magnitude of an even and
    an odd Gabor (Daugman 1985) of standard deviation `sigma` and `cycles` / sigma cycles a cell at every second cell, and the
    difference between the smoothed image and itself, its positive (dark dots) and negative part (bright dots). Each octave is a map of stride
    2^(o+1). The last map holds all of them at the coarsest stride, brought there by maxima or averages over 2x2 cells (`pool`), and the
    smoothed image itself; `over` takes the maximum over orientations, or over octaves.
    Like every network it sees zeros (the mean of the data) beyond the border.

    >>> FilterBank(Inputs(1, (28, 28), (0.1,), (0.3,))).levels[-1]
    Level(channels=31, stride=8)
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        orientations: int = 8,
        octaves: int = 3,
        sigma: float = 2.0,
        cycles: float = 0.56,
        over: Over = "none",
        pool: Place = "max",
    ) -> None:
        super().__init__(inputs)
        if orientations < 1 or octaves < 1 or not 0 < cycles / sigma <= 0.5:
            raise ValueError(f"orientations and octaves must be at least 1 and cycles / sigma at most 0.5, got {orientations}, {octaves}, {cycles / sigma:g}")
        self.orientations, self.octaves, self.sigma, self.frequency, self.over, self.pool = orientations, octaves, sigma, cycles / sigma, over, pool
        each = inputs.channels * (orientations + 2)
        kept = inputs.channels * ((1 if over == "orientation" else orientations) + 2) * (1 if over == "scale" else octaves)
        maps = [Level(each, 2 ** (octave + 1)) for octave in range(octaves)]
        self.levels = (Level(inputs.channels, 1), *maps[:-1], Level(kept + inputs.channels, 2**octaves))
        self.reach = 1

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        extent = valid_extent(inputs, sizes)
        image, maps = clear(self.normalise(inputs), extent), []
        for _ in range(self.octaves):
            after = through(extent, 3, 2, 1)
            maps.append((self.answers(image, extent, after), after))
            image, extent = clear(shrink(image), after), after
        return Features([inputs, *[self._flat(found) for found, _ in maps[:-1]], self._together(maps, image)], sizes)

    def answers(self, image: Tensor, extent: Tensor | None, after: Tensor | None) -> Tensor:
        """(N, C, H, W) -> (N, C, orientations + 2, H / 2, W / 2), zero beyond its extent `after`; `extent` is the image's."""
        bars = gabor_energy(image, sigma=self.sigma, frequency=self.frequency, orientations=self.orientations, eps=FLOOR)
        dots = clear(blur(image) - image, extent)  # above 0 where it is darker than around: its Laplacian, about
        found = torch.cat([bars, shrink(torch.stack([dots.clamp_min(0), (-dots).clamp_min(0)], 2))], 2)
        return clear(found.flatten(1, 2), after).unflatten(1, found.shape[1:3])

    def _flat(self, found: Tensor) -> Tensor:
        return found.flatten(1, 2)

    def _together(self, maps: list[tuple[Tensor, Tensor | None]], image: Tensor) -> Tensor:
        """(N, levels[-1].channels, *S / 2^octaves): every octave's answers at the coarsest stride, and the image itself."""
        coarse = []
        for found, own in maps:
            kinds, extent = found.shape[1:3], own
            if self.over == "orientation":
                found = torch.cat([found[:, :, :-2].amax(2, keepdim=True), found[:, :, -2:]], 2)
                kinds = found.shape[1:3]
            flat = self._flat(found)
            while flat.shape[-2:] != image.shape[-2:]:
                if self.pool == "max":
                    flat, extent = max_pool(flat, 2, stride=2, extent=extent, ceil=True)
                else:
                    extent = through(extent, 3, 2, 1)
                    flat = clear(shrink(flat), extent)
            coarse.append(flat.unflatten(1, kinds))
        stacked = torch.stack(coarse)  # (octaves, N, C, kinds, H, W)
        best = self._flat(stacked.amax(0)) if self.over == "scale" else torch.cat([self._flat(found) for found in coarse], 1)
        return torch.cat([best, image], 1)
