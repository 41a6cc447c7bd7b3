"""Counting by blobs, learnt from dots alone: LC-FCN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.density import dots_in_source, extent_of, require_ids, whole_extent
from saccade.ops import counting
from saccade.targets.points import Points

BACKGROUND_BIAS = 2.0


class BlobsOut(NamedTuple):
    """logits: (N, K + 1, h, w), the background first. extent: (N, 2) valid cells (h, w)."""

    logits: Tensor
    extent: Tensor


class LCFCN(Head[BlobsOut, Points]):
    """A 1x1 convolution of one map to K classes and background; every blob of a class is one object.

    Laradji, Rostamzadeh, Pinheiro, Vazquez, Schmidt, "Where are the blobs: counting by localization with point supervision", ECCV 2018. level: the
    map's; at: its place in the pyramid. The loss is the mean over images of the paper's four, `ops.counting.point_losses`, balanced or not.
    Deviations: blobs are those of the map's resolution; the background starts a little ahead, so that an untrained answer is not one blob.
    """

    def __init__(self, level: Level, classes: int, *, at: int = 1, balanced: bool = True) -> None:
        super().__init__()
        self.level, self.at, self.classes, self.balanced = level, at, classes, balanced
        self.output = nn.Conv2d(level.channels, classes + 1, 1)
        nn.init.normal_(self.output.weight, 0.0, 0.01)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.output.bias[0] = BACKGROUND_BIAS  # type: ignore[index]

    def forward(self, features: Features) -> BlobsOut:
        logits = self.output(features.maps[self.at])
        return BlobsOut(logits, whole_extent(logits, extent_of(features, self.level.stride)))

    def loss(self, out: BlobsOut, targets: Sequence[Points]) -> dict[str, Tensor]:
        """{"image", "point", "split", "false_positive"}: each the mean over images of a sum over cells; ignored dots (-1) do not enter."""
        terms = []
        for logits, (h, w), target in zip(out.logits, out.extent.tolist(), targets, strict=True):
            ids = require_ids(target, self.classes)
            told = ids >= 0
            xy = target.xy.cpu()[told].double().numpy() / self.level.stride
            terms.append(counting.point_losses(logits[:, :h, :w], xy, ids[told].numpy(), balanced=self.balanced))
        return {name: torch.stack([getattr(term, name) for term in terms]).mean() for name in counting.PointTerms._fields}

    def decode(self, out: BlobsOut, meta: Sequence[Meta]) -> list[Points]:
        """A dot for each blob, where its class is most probable, with that probability."""
        p = torch.softmax(out.logits.detach().float(), 1).cpu().numpy()
        return [self._dots(one[:, :h, :w], about) for one, (h, w), about in zip(p, out.extent.tolist(), meta, strict=True)]

    def _dots(self, p: np.ndarray, meta: Meta) -> Points:
        from scipy import ndimage

        ids, rows = p.argmax(0), []
        for k in range(1, len(p)):
            count, numbers = counting.blobs(ids, k)
            places = np.array(ndimage.maximum_position(p[k], numbers, np.arange(1, count + 1))).reshape(-1, 2)
            scores = p[k][places[:, 0], places[:, 1]] if count else np.zeros(0)
            found = np.column_stack([places[:, 1] + 0.5, places[:, 0] + 0.5, scores])
            rows.append(found[np.argsort(-scores, kind="stable")])
        return dots_in_source(rows, self.level.stride, meta)
