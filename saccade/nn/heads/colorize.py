"""Colours for a grey picture, whose lightness stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.blocks import ConvNorm, Norm, kaiming
from saccade.nn.heads.restore import in_source, stacked
from saccade.ops import colour_bins
from saccade.ops.colour import lab_of_rgb, rgb_of_lab
from saccade.ops.padding import cells, valid_extent
from saccade.ops.upsampling import upsample
from saccade.targets.image_target import ImageTarget

UNIT = 100.0  # of a* and b*


class ColourOut(NamedTuple):
    """lightness: (N, 1, H, W) L* of the input in [0, 100]. colours: (N, 2, H, W) a* and b*; with classes (N, Q, h, w) logits at the map's stride."""

    lightness: Tensor
    colours: Tensor


class Colorize(Head[ColourOut, ImageTarget]):
    """Two 3x3 convolutions of one map to a* and b*, enlarged to the input; or to the classes of `ops.colour_bins`, whose annealed mean is the answer.

    level: the map's; at: its place in the pyramid. rebalanced: classes, each pixel weighted by how rare its colour is (Zhang et al. 2016), which keeps
    colours vivid where the mean of what is possible (Iizuka et al. 2016) is greyish. spread: of the prior in units of chroma. The input has three
    channels, of which only the lightness is looked at.
    """

    def __init__(self, level: Level, *, at: int = 1, rebalanced: bool = False, spread: float = 12.0, norm: Norm = "batch") -> None:
        super().__init__()
        self.level, self.at, self.rebalanced = level, at, rebalanced
        self.hidden = ConvNorm(level.channels, level.channels, norm=norm)
        kaiming(self.hidden)
        self.output = nn.Conv2d(level.channels, len(colour_bins.centres()) if rebalanced else 2, 3, padding=1)
        nn.init.normal_(self.output.weight, 0.0, 0.001)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]
        self.rarity: Tensor | None
        self.register_buffer("rarity", colour_bins.rarity(spread) if rebalanced else None, persistent=False)

    def forward(self, features: Features) -> ColourOut:
        picture = features.maps[0][:, :3].float()
        whole = valid_extent(features.maps[0], features.sizes)
        inner = None if whole is None else cells(whole, self.level.stride)
        x, _ = self.hidden(features.maps[self.at], inner)
        found = self.output(x).float()
        if not self.rebalanced:
            found = upsample(found * UNIT, self.level.stride, size=picture.shape[2:], extent=inner)
        return ColourOut(lab_of_rgb(picture)[:, :1], found)

    def loss(self, out: ColourOut, targets: Sequence[ImageTarget]) -> dict[str, Tensor]:
        """{"colour": the mean squared difference of a* and b* in units of 100} or {"colour_classes": cross entropy by eq. 2 of Zhang et al., the mean
        over cells}, of what is known."""
        truth = stacked([target.pixels for target in targets], out.lightness.expand(-1, 3, -1, -1))
        if self.rebalanced:
            return {"colour_classes": self._classes(out.colours, truth)}
        known = ~truth.isnan().any(1, keepdim=True)
        right = lab_of_rgb(torch.where(known, truth, 0.0))[:, 1:]
        difference = torch.where(known, (out.colours - right) / UNIT, 0.0)
        return {"colour": difference.square().sum() / (2 * known.sum()).clamp_min(1)}

    def _classes(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Cells with a known pixel are compared by the mean of their known colours."""
        assert self.rarity is not None
        stride = self.level.stride
        missing = [-side % stride for side in truth.shape[2:]]
        truth = F.pad(truth, (0, missing[1], 0, missing[0]), value=torch.nan)
        known = (~truth.isnan().any(1, keepdim=True)).to(truth.dtype)
        share = F.avg_pool2d(known, stride)
        mean = F.avg_pool2d(torch.where(known > 0, truth, 0.0), stride) / share.clamp_min(1e-6)
        there = share[:, 0] > 0
        ab = lab_of_rgb(mean)[:, 1:].permute(0, 2, 3, 1)[there]
        if not len(ab):
            return logits[:, :1].sum() * 0
        wanted = colour_bins.shares(ab)
        log_p = torch.log_softmax(logits, 1).permute(0, 2, 3, 1)[there]
        return -(self.rarity[wanted.argmax(1)] * (wanted * log_p).sum(1)).mean()

    def decode(self, out: ColourOut, meta: Sequence[Meta]) -> list[ImageTarget]:
        """The picture in colours in [0, 1], with the lightness of the input, on the CPU."""
        colours = out.colours.detach()
        if self.rebalanced:
            colours = upsample(colour_bins.annealed_mean(colours), self.level.stride, size=out.lightness.shape[2:])
        pictures = rgb_of_lab(torch.cat([out.lightness.detach(), colours], 1)).clamp(0, 1).cpu()
        return [in_source(picture, one, 1) for picture, one in zip(pictures, meta, strict=True)]
