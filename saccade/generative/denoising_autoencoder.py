"""The denoising autoencoder: it answers the clean input for a noisy one, and so knows which way the data are denser."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from saccade.core import Backbone, Batch
from saccade.generative.autoencoder import Autoencoder
from saccade.nn.heads.reconstruct import Reconstruct, Reconstructed

Noise = Literal["gaussian", "masking"]


class DenoisingAutoencoder(Autoencoder):
    """noise: gaussian of deviation `sigma` in the inputs' units, or masking, which sets the share `sigma` of the values to the channels' means.

    Vincent, Larochelle, Lajoie, Bengio, Manzagol, "Stacked denoising autoencoders", JMLR 11, 2010. The answer of least squared error is the
    posterior mean r(x) = E[clean | noisy x]; for Gaussian noise (r(x) - x) / sigma^2 is the score, the gradient of the log density of the noisy
    data (Alain and Bengio, JMLR 15, 2014, theorem 1; Vincent, Neural Computation 23, 2011), so that no bottleneck is needed.
    """

    def __init__(self, backbone: Backbone, head: Reconstruct, *, noise: Noise = "gaussian", sigma: float = 0.3) -> None:
        super().__init__(backbone, head)
        if noise == "masking" and sigma >= 1:
            raise ValueError(f"masking hides a share below 1 of the values, got sigma = {sigma}")
        self.noise, self.sigma = noise, sigma

    def corrupted(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) with noise from torch's generator."""
        return self.noisy(inputs, None)

    def noisy(self, inputs: Tensor, chance: torch.Generator | None) -> Tensor:
        """The same from a generator of one's own on the CPU."""
        if self.noise == "gaussian":
            return inputs + self.sigma * torch.randn(inputs.shape, generator=chance, dtype=inputs.dtype, device=_place(inputs, chance)).to(inputs.device)
        hidden = torch.rand(inputs.shape, generator=chance, device=_place(inputs, chance)).to(inputs.device) < self.sigma
        return torch.where(hidden, self.head.mean.to(inputs.dtype), inputs)

    def watched(self, batch: Batch, out: Reconstructed) -> Reconstructed:
        """Of noisy inputs, the same noise for a batch of the same size whenever it is asked."""
        chance = torch.Generator().manual_seed(0)
        return self._through(self.noisy(batch.inputs, chance), batch.sizes)

    def score(self, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape: the estimated gradient of the log density of the noisy data there. Raises ValueError for masking noise."""
        if self.noise != "gaussian":
            raise ValueError("the score follows from Gaussian noise, and this network was trained with masking noise")
        return (self.reconstruct(inputs) - inputs) / self.sigma**2


def _place(inputs: Tensor, chance: torch.Generator | None) -> torch.device:
    return inputs.device if chance is None else torch.device("cpu")
