"""Classification with further classifiers half-way, which bring gradients to the early layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Level
from saccade.nn.blocks import ConvNorm, Flow
from saccade.nn.heads.classify import Classify, ClassifyOut, last_extent
from saccade.ops.padding import through
from saccade.ops.pooling import global_average, grid_average
from saccade.targets.label import Label


class AuxiliaryOut(NamedTuple):
    """logits: (N, K); auxiliary: (N, A, K), those of the A classifiers half-way."""

    logits: Tensor
    auxiliary: Tensor


class Early(nn.Module):
    """GoogLeNet's (section 5): the map averaged to 4x4, a 1x1 convolution to 128 channels, 1,024 dense units, dropout (0.7 in the paper)."""

    def __init__(self, level: Level, reach: int, classes: int, conv: Any, dropout: float) -> None:
        super().__init__()
        self.level, self.reach = level, reach
        self.convolution = conv(level.channels, 128, kernel=1)
        self.hidden, self.output = nn.Linear(128 * 16, 1024), nn.Linear(1024, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, features: Features) -> Tensor:
        cells, _ = self.convolution(grid_average(x, 4, last_extent(features, self.level.stride, self.reach)), None)
        logits: Tensor = self.output(self.dropout(F.relu(self.hidden(torch.flatten(cells, 1)))))
        return logits


class Late(nn.Module):
    """Inception-v3's (section 4): 5x5 averages of stride 3, a 1x1 and a 5x5 convolution, the mean, one linear layer.

    Maps below 17 cells, which the 5x5 does not fit, are padded with zeros at the lower right.
    """

    def __init__(self, level: Level, reach: int, classes: int, conv: Any, dropout: float) -> None:
        super().__init__()
        self.level, self.reach = level, reach
        self.convolutions = Flow(conv(level.channels, 128, kernel=1), conv(128, 768, kernel=5, padding=0))
        self.dropout, self.output = nn.Dropout(dropout), nn.Linear(768, classes)

    def forward(self, x: Tensor, features: Features) -> Tensor:
        extent = last_extent(features, self.level.stride, self.reach)
        x = F.pad(x, (0, max(0, 17 - x.shape[-1]), 0, max(0, 17 - x.shape[-2])))
        extent = extent if extent is None else through(extent.clamp_min(17), 5, 3, 0)
        y, extent = self.convolutions(F.avg_pool2d(x, 5, 3), extent)
        logits: Tensor = self.output(self.dropout(global_average(y, extent)))
        return logits


class AuxiliaryClassify(Classify):
    """A linear layer over the pooled last map, and classifiers over earlier maps whose losses count `share` each.

    places: of the earlier maps; reaches: theirs (see `ops.padding.cells`). The auxiliary classifiers enter the loss and no answer.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        classes: int,
        *,
        kind: type[Early] | type[Late],
        places: Sequence[int],
        reaches: Sequence[int],
        share: float,
        **options: Any,
    ) -> None:
        conv, dropout = options.pop("convolution", ConvNorm), options.pop("auxiliary_dropout", 0.0)
        super().__init__(levels[-1], classes, **options)
        self.places, self.share = tuple(places), share
        self.auxiliary = nn.ModuleList(kind(levels[place], reach, classes, conv, dropout) for place, reach in zip(places, reaches, strict=True))

    def forward(self, features: Features) -> AuxiliaryOut:  # type: ignore[override]
        logits = super().forward(features).logits
        return AuxiliaryOut(logits, torch.stack([part(features.maps[place], features) for part, place in zip(self.auxiliary, self.places, strict=True)], 1))

    def loss(self, out: AuxiliaryOut, targets: Sequence[Label]) -> dict[str, Tensor]:  # type: ignore[override]
        """{"cross_entropy", "auxiliary"}: the second is the sum over the auxiliary classifiers times `share`."""
        losses = super().loss(ClassifyOut(out.logits), targets)
        early = [super(AuxiliaryClassify, self).loss(ClassifyOut(logits), targets)["cross_entropy"] for logits in out.auxiliary.unbind(1)]
        return losses | {"auxiliary": self.share * torch.stack(early).sum()}
