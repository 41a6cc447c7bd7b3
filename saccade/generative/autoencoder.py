"""The autoencoder: a network that answers its input through a short code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from saccade.core import Backbone, Batch, Features, Model
from saccade.errors import UsageError
from saccade.nn.heads.reconstruct import Reconstruct, Reconstructed


class Autoencoder(Model):
    """backbone: gives the code as its last map, (N, K, 1, 1). head: decodes it. The truth of a batch is its inputs, whatever targets it has.

    Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006. Deviation: trained end to end by
    an adaptive optimiser from He's first weights, which pre-training was needed for then.
    """

    def __init__(self, backbone: Backbone, head: Reconstruct) -> None:
        super().__init__(backbone, {"image": head})

    @property
    def head(self) -> Reconstruct:
        head = self.heads["image"]
        assert isinstance(head, Reconstruct)
        return head

    @property
    def codes(self) -> int:
        """Numbers of a code."""
        return int(self.backbone.levels[-1].channels)  # type: ignore[union-attr, index]

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        """{"squared"} or {"logistic"} of the batch. Raises UsageError USE-VALUE for values outside of [0, 1] under the logistic loss."""
        return self.head.error(self._through(self.corrupted(batch.inputs), batch.sizes), self._truth(batch))

    def evaluate(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, list[Any]]]:
        """The losses of the batch as it is learnt from, and the reconstructions of its inputs as they are."""
        outs = self.outputs(batch.inputs, batch.sizes)
        return self.head.error(self.watched(batch, outs["image"]), self._truth(batch)), self.decode(outs, batch.meta)

    def corrupted(self, inputs: Tensor) -> Tensor:
        """What the network is shown in training instead of the inputs: here themselves."""
        return inputs

    def watched(self, batch: Batch, out: Reconstructed) -> Reconstructed:
        """What the loss of validation is of."""
        return out

    def encode(self, inputs: Tensor, sizes: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, K) codes."""
        sizes = torch.tensor([list(inputs.shape[2:])] * len(inputs), device=inputs.device) if sizes is None else sizes
        features: Features = self.backbone(inputs, sizes)
        return features.maps[-1].flatten(1)

    def decoded(self, codes: Tensor) -> Tensor:
        """(N, K) -> (N, C, H, W): the inputs that have these codes, not cut to [0, 1]."""
        return self.head.pictures(self.head.decoder(codes))

    def reconstruct(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.decoded(self.encode(inputs))

    def _through(self, inputs: Tensor, sizes: Tensor) -> Reconstructed:
        out: Reconstructed = self.head(self.backbone(inputs, sizes))
        return out

    def _truth(self, batch: Batch) -> Tensor:
        truth = batch.inputs.to(torch.promote_types(batch.inputs.dtype, torch.float32))
        if self.head.criterion == "logistic" and bool(((truth < 0) | (truth > 1)).any()):
            got = f"values from {float(truth.min()):.4g} to {float(truth.max()):.4g} under the logistic loss, expected [0, 1]"
            raise UsageError("USE-VALUE", got, where="--set criterion", fix="leave criterion at squared, or bring the values into [0, 1]")
        return truth
