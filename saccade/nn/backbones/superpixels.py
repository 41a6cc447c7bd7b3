"""No network at all: every pixel has the features of its superpixel. See `classic.superpixel_classes`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from saccade.classic.superpixel_classes import Regions, described, feature_count
from saccade.core import Backbone, Features, Inputs, Level


class Superpixels(Backbone):
    """(N, C, h, w) -> one map (N, d, h, w) of stride 1: what tells of a pixel's superpixel, standardised by buffers. Padding is 0.

    step: pixels between superpixels. compactness: the colour difference that counts as much as a step. place: whether the place in the picture is told.
    The map has no gradient with respect to the input.
    """

    def __init__(self, inputs: Inputs, *, step: int = 8, compactness: float = 10.0, place: bool = True) -> None:
        super().__init__(inputs)
        self.step, self.compactness, self.place = step, compactness, place
        count = feature_count(inputs.channels)
        self.levels = (Level(inputs.channels, 1), Level(count, 1))
        self.register_buffer("middle", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.middle: Tensor
        self.spread: Tensor

    def regions(self, image: Tensor) -> Regions:
        """The superpixels of one image (C, h, w) without padding, their features as they come."""
        pixels = image.detach().float().cpu().permute(1, 2, 0).numpy()
        return described(pixels, step=self.step, compactness=self.compactness, place=self.place)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        found = inputs.new_zeros(len(inputs), self.levels[1].channels, *inputs.shape[2:], dtype=torch.float32)
        for row, (image, (h, w)) in enumerate(zip(inputs, sizes.tolist(), strict=True)):
            ids, features = self.regions(image[:, :h, :w])
            standard = (torch.from_numpy(features).to(found.device) - self.middle) / self.spread
            found[row, :, :h, :w] = standard[torch.from_numpy(ids.astype(np.int64)).to(found.device)].permute(2, 0, 1)
        return Features([inputs, found], sizes)
