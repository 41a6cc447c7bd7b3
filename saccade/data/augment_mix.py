"""Batches mixed with themselves: mixup and cutmix, for the heads where a mixture of truths is a truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from saccade.core import Batch, LabelSpace
from saccade.errors import UsageError
from saccade.targets import Label, Labels

MIXED = ("label", "labels")  # heads


@dataclass(frozen=True)
class Mix:
    """Mixing of a batch with itself: mixup (Zhang et al. 2018, section 2) and cutmix (Yun et al. 2019, equation 1), one of them a batch.

    The values are the parameters of the Beta distribution of the shares; 0 = off. Truths become distributions. Heads other than
    `label` and `labels` are refused: half a box is no box, and the mean of two maps or of two sentences is none.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.mixup or self.cutmix)

    def suits(self, heads: Iterable[str]) -> None:
        """Raises UsageError USE-OPTION when a mixture of the truths of a head means nothing."""
        if self and (others := [head for head in heads if head not in MIXED]):
            name = "mixup" if self.mixup else "cutmix"
            fix = "leave it out; mosaic combines images with boxes, masks or points"
            raise UsageError("USE-OPTION", f"{name} mixes labels of whole images, and the data have {', '.join(others)}", where=f"--{name}", fix=fix)

    def __call__(self, batch: Batch, spaces: Mapping[str, LabelSpace], seed: tuple[int, int, int]) -> Batch:
        """The mixed batch; seed is (seed, epoch, number of the batch). Raises UsageError as `suits` does."""
        self.suits(batch.targets)
        chance = np.random.default_rng([*(number % 2**64 for number in seed), 0x6D6978])
        if not self or len(batch) < 2:
            return batch
        partner = chance.permutation(len(batch))
        cuts = bool(self.cutmix) and (not self.mixup or chance.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share = float(chance.beta(alpha, alpha))
        inputs = batch.inputs
        if cuts:
            h, w = inputs.shape[-2:]
            side = np.sqrt(1 - share)
            cy, cx = chance.random() * h, chance.random() * w
            top, bottom = (int(np.clip(v, 0, h)) for v in (cy - side * h / 2, cy + side * h / 2))
            left, right = (int(np.clip(v, 0, w)) for v in (cx - side * w / 2, cx + side * w / 2))
            inputs = inputs.clone()
            inputs[..., top:bottom, left:right] = batch.inputs[partner][..., top:bottom, left:right]
            share = 1 - (bottom - top) * (right - left) / (h * w)
        else:
            inputs = torch.lerp(batch.inputs[partner], inputs, share)
        targets = {h: [_mixed(a, given[j], share, len(spaces[h])) for a, j in zip(given, partner, strict=True)] for h, given in batch.targets.items()}
        return Batch(inputs, batch.sizes, targets, batch.meta)


def _mixed(a: Any, b: Any, share: float, classes: int) -> Label | Labels | None:
    """The mixture of two truths; None where one is missing."""
    if a is None or b is None:
        return None
    if isinstance(a, Labels):
        return _mixed_labels(a, b, share)
    if not (a.known and b.known):
        return None
    whole = torch.zeros(classes)
    for label, weight in ((a, share), (b, 1 - share)):
        whole += weight * (label.probabilities if label.probabilities is not None else torch.nn.functional.one_hot(torch.tensor(label.index), classes))
    return Label(a.index if share >= 0.5 else b.index, whole)


def _mixed_labels(a: Labels, b: Labels, share: float) -> Labels:
    """Answer by answer; unknown where one of the two is."""
    known = (a.values >= 0) & (b.values >= 0)
    scores = torch.zeros(len(a.values))
    for labels, weight in ((a, share), (b, 1 - share)):
        scores += weight * (labels.scores if labels.scores is not None else labels.values.float())
    scores = torch.where(known, scores, 0.0)
    return Labels(torch.where(known, (scores >= 0.5).to(torch.int8), torch.full_like(a.values, -1)), scores)
