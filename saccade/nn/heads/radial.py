"""LeNet-5's output layer: one Euclidean radial basis function for each class. LeCun et al. 1998, section II-B and eq. 7 to 9."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.classify import ClassifyOut, checked_weights, full, labels, pooled, truth_matrix
from saccade.ops.losses import cross_entropy
from saccade.targets.label import Label

SEED = 1998


def codes(classes: int, width: int) -> Tensor:
    """(K, width) of +-1, different for each class: the targets of the F6 units, the same on every machine."""
    return torch.from_numpy(np.random.default_rng(SEED).choice(np.array([-1, 1], np.float32), (classes, width)))


class RadialBasis(Head[ClassifyOut, Label]):
    """y_k = |x - w_k|^2 to a fixed code w_k of each class (eq. 7); logits are -y. No trainable parameter.

    loss: eq. 9, y_truth + log(exp(-j) + sum_k exp(-y_k)): cross entropy with one more class, "rubbish", at a constant
    distance j, which keeps the network from pushing all classes away. j is half the width: what lies as far from a code
    as the point midway between two codes.

    Deviations: the codes are drawn at random, which the paper names as an alternative to its stylised bitmaps of ASCII
    characters, so that any classes can be told apart and not only printable characters; j is not given in the paper.
    """

    def __init__(self, level: Level, classes: int, *, reach: int = 1, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.level, self.classes, self.reach, self.rubbish = level, classes, reach, level.channels / 2
        self.codes: Tensor
        self.weights: Tensor | None
        self.register_buffer("weights", checked_weights(class_weights, classes), persistent=False)
        self.register_buffer("codes", codes(classes, level.channels))

    def forward(self, features: Features) -> ClassifyOut:
        x = full(pooled(features, self.level, "average", self.reach))  # (N, 84)
        return ClassifyOut(-(x[:, None] - self.codes).square().sum(2))

    def loss(self, out: ClassifyOut, targets: Sequence[Label]) -> dict[str, Tensor]:
        """{"cross_entropy"}; a batch of ignored labels gives 0 with a gradient of 0."""
        truth = truth_matrix(targets, self.classes, out.logits.device)
        if truth is None:
            return {"cross_entropy": out.logits[:0].sum()}
        rubbish = out.logits.new_full((len(out.logits), 1), -self.rubbish)
        log_probabilities = torch.log_softmax(torch.cat([out.logits, rubbish], 1), 1)[:, :-1]
        return {"cross_entropy": cross_entropy(log_probabilities, truth, self.weights)}

    def decode(self, out: ClassifyOut, meta: Sequence[Meta]) -> list[Label]:
        """The nearest code's class; the distribution is over the K classes, rubbish left out."""
        return labels(torch.softmax(out.logits.detach(), 1))
