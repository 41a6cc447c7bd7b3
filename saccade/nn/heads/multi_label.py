"""Several yes-or-no answers of a whole image: pooled features, a linear layer with a sigmoid an answer; unknown answers cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.classify import Pool, checked_weights, full, pooled
from saccade.ops.label_losses import asymmetric, binary
from saccade.targets.labels import Labels

Loss = Literal["binary", "asymmetric"]


class MultiLabelOut(NamedTuple):
    """logits: (N, K)."""

    logits: Tensor


class MultiLabel(Head[MultiLabelOut, Labels]):
    """The last map pooled over its valid cells and a linear layer to K logits, each answered for itself.

    level: the last map's, from the backbone's `levels`; reach: that map's (see `ops.padding.cells`). dropout: share of the features set to
    nought while training. loss: `ops.label_losses.binary`, with `positive_weights` (K factors of what a missed yes costs), or `asymmetric`
    with its gammas and its shift. Raises ValueError for a class count below 1, weights that are not K non-negative numbers, weights beside
    the asymmetric loss, or an unknown loss.
    """

    def __init__(
        self,
        level: Level,
        classes: int,
        *,
        pool: Pool = "average",
        reach: int = 1,
        dropout: float = 0.0,
        loss: Loss = "binary",
        gammas: tuple[float, float] = (0.0, 4.0),
        shift: float = 0.05,
        positive_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if loss not in ("binary", "asymmetric"):
            raise ValueError(f"loss must be binary or asymmetric, got {loss!r}")
        if loss == "asymmetric" and positive_weights is not None:
            raise ValueError("positive_weights are for the binary loss; the asymmetric one has its gammas")
        self.level, self.classes, self.pool, self.reach = level, classes, pool, reach
        self.criterion, self.gammas, self.shift = loss, gammas, shift
        self.weights: Tensor | None
        self.register_buffer("weights", checked_weights(positive_weights, classes), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.output = self.make_output(level.channels, 2 if pool == "average_max" else 1)

    def make_output(self, channels: int, poolings: int) -> nn.Module:
        """(N, poolings * channels) -> (N, K)."""
        return nn.Linear(channels * poolings, self.classes)

    def forward(self, features: Features) -> MultiLabelOut:
        return MultiLabelOut(self.output(self.dropout(pooled(features, self.level, self.pool, self.reach))))

    def loss(self, out: MultiLabelOut, targets: Sequence[Labels]) -> dict[str, Tensor]:
        """{"binary_cross_entropy"} or {"asymmetric"}: the mean over the known answers of the batch, in float32 at least."""
        logits = full(out.logits)
        truth, known = answers(targets, self.classes, logits)
        if self.criterion == "binary":
            return {"binary_cross_entropy": binary(logits, truth, known, self.weights)}
        positive, negative = self.gammas
        return {"asymmetric": asymmetric(logits, truth, known, positive=positive, negative=negative, shift=self.shift)}

    def decode(self, out: MultiLabelOut, meta: Sequence[Meta]) -> list[Labels]:
        """The probability of each answer, yes from 0.5 on, on the CPU."""
        scores = torch.sigmoid(full(out.logits.detach())).cpu()
        return [Labels((row >= 0.5).to(torch.int8), row) for row in scores.unbind()]


class Separate(MultiLabel):
    """As many classifiers as answers: the features are those of K encoders side by side, and answer k is made from the k-th alone.

    level.channels: of all encoders together, K times those of one. Raises ValueError where they cannot be divided by K.
    """

    def make_output(self, channels: int, poolings: int) -> nn.Module:
        if channels % self.classes:
            raise ValueError(f"{channels} channels are not those of {self.classes} encoders of one kind")
        return Apart(channels // self.classes, poolings, self.classes)


class Apart(nn.Module):
    """K linear layers to one number each, every one over its own channels: (N, poolings * K * C) -> (N, K)."""

    def __init__(self, channels: int, poolings: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(poolings * channels, 1) for _ in range(classes))
        self.poolings, self.classes = poolings, classes

    def forward(self, x: Tensor) -> Tensor:
        own = x.reshape(len(x), self.poolings, self.classes, -1).transpose(1, 2).flatten(2)  # (N, K, poolings * C)
        return torch.cat([layer(own[:, k]) for k, layer in enumerate(self.layers)], 1)


def answers(targets: Sequence[Labels], classes: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K) truths in [0, 1] of the kind of `like`, and (N, K) bool which of them are known; a mixed truth's `scores` stand for its values.

    Raises ValueError for truths of another number of classes.
    """
    for target in targets:
        if len(target) != classes:
            raise ValueError(f"a truth has {len(target)} answers, expected {classes}")
    values = torch.stack([target.values for target in targets]) if targets else torch.zeros((0, classes), dtype=torch.int8)
    truth = torch.stack([t.values.to(torch.float32) if t.scores is None else t.scores.to(torch.float32) for t in targets]) if targets else values.float()
    known = values >= 0
    return torch.where(known, truth, 0.0).to(like), known.to(like.device)
