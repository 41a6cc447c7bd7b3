"""A tag for every step of a sequence, each by itself: a linear layer and cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.classify import full
from saccade.targets.tag_sequence import TagSequence


class TagOut(NamedTuple):
    """logits: (N, T, K); lengths: (N,) steps of each sequence."""

    logits: Tensor
    lengths: Tensor


class Tagger(Head[TagOut, TagSequence]):
    """The last map (N, C, T), of stride 1, to K logits at every step. Raises ValueError for another stride or a class count below 1."""

    def __init__(self, level: Level, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if level.stride != 1 or classes < 1:
            raise ValueError(f"a tagger needs a map of stride 1 and at least one class, got stride {level.stride} and {classes} classes")
        self.classes, self.dropout, self.output = classes, nn.Dropout(dropout), nn.Linear(level.channels, classes)

    def forward(self, features: Features) -> TagOut:
        return TagOut(self.output(self.dropout(features.maps[-1].transpose(1, 2))), features.sizes[:, 0])

    def loss(self, out: TagOut, targets: Sequence[TagSequence]) -> dict[str, Tensor]:
        """{"cross_entropy"}: the mean over all known steps; 0 with a gradient of 0 where there is none.

        Raises ValueError for a truth of another length or a tag outside -1..K-1.
        """
        logits = full(out.logits)
        truth = torch.full(logits.shape[:2], -1, dtype=torch.int64)
        for row, (target, length) in enumerate(zip(targets, out.lengths.tolist(), strict=True)):
            if len(target) != length:
                raise ValueError(f"a sequence of {length} steps has {len(target)} tags")
            truth[row, :length] = target.tags.cpu()
        if truth.numel() and not -1 <= int(truth.min()) <= int(truth.max()) < self.classes:
            raise ValueError(f"tags must be 0..{self.classes - 1}, or -1 for ignored, got {int(truth.min())}..{int(truth.max())}")
        known = int((truth >= 0).sum())
        total = F.cross_entropy(logits.flatten(0, 1), truth.flatten().to(logits.device), ignore_index=-1, reduction="sum")
        return {"cross_entropy": total / max(1, known)}

    def decode(self, out: TagOut, meta: Sequence[Meta]) -> list[TagSequence]:
        """The most probable tag of each step with the whole distribution, on the CPU."""
        scores, lengths = torch.softmax(full(out.logits.detach()), 2).cpu(), out.lengths.tolist()
        return [TagSequence(row[:length].argmax(1), row[:length]) for row, length in zip(scores, lengths, strict=True)]
