"""One class for a whole image: pooled features, a linear layer, cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.ops.losses import cross_entropy
from saccade.ops.padding import cells, valid_extent
from saccade.ops.pooling import global_average, global_max
from saccade.targets.label import Label

Pool = Literal["average", "max", "average_max"]


class ClassifyOut(NamedTuple):
    """logits: (N, K)."""

    logits: Tensor


class Classify(Head[ClassifyOut, Label]):
    """The last map pooled over its valid cells, optionally a hidden layer, and a linear layer to K logits.

    level: the last map's, from the backbone's `levels`; reach: that map's (see `ops.padding.cells`).
    hidden: units of a ReLU layer before the last, 0 for none. dropout: share of the features set to nought while training.
    label_smoothing: share of the truth spread over all K classes (Szegedy et al. 2016, section 7).
    class_weights: K factors of the loss, by truth; the mean is over the weights, so that their scale does not matter.
    Raises ValueError for a class count below 1, weights that are not K non-negative numbers, or an unknown pool.
    """

    def __init__(
        self,
        level: Level,
        classes: int,
        *,
        pool: Pool = "average",
        reach: int = 1,
        hidden: int = 0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if pool not in ("average", "max", "average_max"):
            raise ValueError(f"pool must be average, max or average_max, got {pool!r}")
        self.level, self.classes, self.pool, self.reach, self.label_smoothing = level, classes, pool, reach, label_smoothing
        self.weights: Tensor | None
        self.register_buffer("weights", checked_weights(class_weights, classes), persistent=False)
        width = level.channels * (2 if pool == "average_max" else 1)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)) if hidden else nn.Identity()
        self.output = nn.Linear(hidden or width, classes)

    def pooled(self, features: Features) -> Tensor:
        """(N, C) or, for average_max, (N, 2C)."""
        return pooled(features, self.level, self.pool, self.reach)

    def forward(self, features: Features) -> ClassifyOut:
        return ClassifyOut(self.output(self.hidden(self.dropout(self.pooled(features)))))

    def loss(self, out: ClassifyOut, targets: Sequence[Label]) -> dict[str, Tensor]:
        """{"cross_entropy"}: in float32 at least, soft truths included; a batch of ignored labels gives 0 with a gradient of 0."""
        logits, truth = full(out.logits), truth_matrix(targets, self.classes, out.logits.device)
        if truth is None:
            return {"cross_entropy": logits[:0].sum()}
        if self.label_smoothing:
            known = truth.sum(1, keepdim=True)  # an ignored row stays ignored
            truth = truth * (1 - self.label_smoothing) + known * (self.label_smoothing / self.classes)
        return {"cross_entropy": cross_entropy(torch.log_softmax(logits, 1), truth, self.weights)}

    def decode(self, out: ClassifyOut, meta: Sequence[Meta]) -> list[Label]:
        """The most probable class with the whole distribution, on the CPU."""
        return labels(torch.softmax(full(out.logits.detach()), 1))


def pooled(features: Features, level: Level, pool: Pool, reach: int) -> Tensor:
    """The last map's average, maximum, or both side by side, over the cells that are data."""
    last, extent = features.maps[-1], last_extent(features, level.stride, reach)
    parts = ([] if pool == "max" else [global_average(last, extent)]) + ([] if pool == "average" else [global_max(last, extent)])
    return torch.cat(parts, 1)


def last_extent(features: Features, stride: int, reach: int) -> Tensor | None:
    """The valid (h, w) of each sample in a map of this stride and reach (see `ops.padding.cells`); None when nothing is padded."""
    extent = valid_extent(features.maps[0], features.sizes)
    return extent if extent is None else cells(extent, stride, reach)


def full(x: Tensor) -> Tensor:
    """x in float32 at least: half precision is too coarse for a sum of exponentials."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def truth_matrix(targets: Sequence[Label], classes: int, device: torch.device) -> Tensor | None:
    """(N, K) float32 on `device`: one-hot, a soft truth's own distribution, or zeros where a label is ignored; None when all are.

    Raises ValueError for an id outside 0..K-1 (but -1) or a distribution of another length.

    >>> truth_matrix([Label(1), Label(-1)], 2, torch.device("cpu")).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    ids = [target.index for target in targets]
    if any(not -1 <= i < classes for i in ids):
        raise ValueError(f"class ids must be 0..{classes - 1}, or -1 for ignored, got {sorted({i for i in ids if not -1 <= i < classes})}")
    if all(i == -1 for i in ids):
        return None
    truth = torch.zeros(len(ids), classes + 1)
    truth[torch.arange(len(ids)), ids] = 1.0  # id -1 lands in the extra column
    truth = truth[:, :classes].to(device)
    for row, target in enumerate(targets):
        if target.known and target.probabilities is not None:
            if target.probabilities.shape != (classes,):
                raise ValueError(f"a soft truth has one probability a class ({classes}), got shape {tuple(target.probabilities.shape)}")
            truth[row] = target.probabilities
    return truth


def labels(probabilities: Tensor) -> list[Label]:
    """(N, K) probabilities -> N labels that carry them, copied to the CPU once."""
    on_cpu = probabilities.cpu()
    best = on_cpu.argmax(1).tolist() if len(on_cpu) else []
    return [Label(index, row) for index, row in zip(best, on_cpu.unbind(), strict=True)]


def checked_weights(weights: Sequence[float] | None, classes: int) -> Tensor | None:
    """(K,) class weights. Raises ValueError unless they are K non-negative numbers, one at least above nought."""
    if classes < 1:
        raise ValueError(f"a classifier needs at least one class, got {classes}")
    if weights is None:
        return None
    if len(weights) != classes or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise ValueError(f"class_weights must be {classes} non-negative numbers that are not all 0, got {list(weights)[:10]}")
    return torch.tensor(weights, dtype=torch.float32)
