"""Stacked denoising autoencoders: each layer learns to denoise what the layers before it give, then all are tuned together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from saccade.core import Backbone, Batch
from saccade.generative.denoising_autoencoder import DenoisingAutoencoder, Noise
from saccade.nn.backbones.mlp import MLP
from saccade.nn.heads.reconstruct import DenseDecoder, Reconstruct
from saccade.nn.necks.codes import Codes
from saccade.phases import Phase, Stage, decay_groups

LAYER = "layer "


class StackedAutoencoder(DenoisingAutoencoder):
    """backbone: `core.Chain(MLP, Codes)`; head: with the `DenseDecoder` that mirrors it, each of whose layers belongs to one of the encoder's.

    Stage "layer k" trains the k-th layer and its partner alone, to give back what the layers before make of the clean input from a noisy copy of
    that, whose noise is `sigma` of its own deviation (of the inputs: `sigma` itself); the layers before stay as they are. Stage "all"
    tunes everything end to end. pretrain: the share of the epochs that the layers get, evenly.
    Vincent et al., JMLR 11, 2010, section 3.4; Bengio, Lamblin, Popovici, Larochelle, NIPS 2006. Deviation: the layers' decoders are kept
    and unrolled into one (Hinton and Salakhutdinov 2006) instead of being thrown away, so that the stack is an autoencoder too.
    """

    def __init__(self, backbone: Backbone, head: Reconstruct, *, noise: Noise = "gaussian", sigma: float = 0.3, pretrain: float = 0.5) -> None:
        super().__init__(backbone, head, noise=noise, sigma=sigma)
        self.pretrain = pretrain
        mirrored = [layer.out_features for layer in reversed(self.partners)]
        own = [layer.in_features for layer in self.encoders]
        if own != mirrored[::-1]:
            raise ValueError(f"the decoder's layers give {mirrored[::-1]}, the encoder's take {own}")

    @property
    def mlp(self) -> MLP:
        mlp = self.backbone.backbone
        assert isinstance(mlp, MLP)
        return mlp

    @property
    def encoders(self) -> list[nn.Linear]:
        """The encoder's layers from the input on, the code's the last."""
        neck = self.backbone.necks[0]  # type: ignore[union-attr, index]
        assert isinstance(neck, Codes)
        return [*self.mlp.layers, neck.layer]  # type: ignore[list-item]

    @property
    def partners(self) -> list[nn.Linear]:
        """The decoder's layer that belongs to each of `encoders`."""
        return list(reversed(self._decoder.layers))  # type: ignore[arg-type]

    @property
    def _decoder(self) -> DenseDecoder:
        decoder = self.head.decoder
        assert isinstance(decoder, DenseDecoder)
        return decoder

    def stages(self) -> Sequence[Stage]:
        count = len(self.encoders)
        greedy = [Stage(f"{LAYER}{k}", self.pretrain / count, (Phase(f"{LAYER}{k}", partial(self._groups, k)),)) for k in range(count)]
        return (*(greedy if self.pretrain > 0 else ()), Stage("all", 1 - self.pretrain, (Phase("all", lambda: decay_groups(self)),)))

    def _groups(self, k: int) -> list[dict[str, Any]]:
        return decay_groups(nn.ModuleList([self.encoders[k], self.partners[k]]))

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        if not phase.startswith(LAYER):
            return super().forward(batch, phase)
        return self.layer_loss(int(phase.removeprefix(LAYER)), batch)

    def layer_loss(self, k: int, batch: Batch) -> dict[str, Tensor]:
        """{"layer"}: the mean squared error of the k-th layer's answer, in units of the variance of what it is to give back."""
        with torch.no_grad():
            clean = self.below(k, batch.inputs)
        noisy = self.below(0, self.corrupted(batch.inputs)) if k == 0 else self._corrupted_values(clean)
        found = self._decoder.step(len(self.partners) - 1 - k, self._step(k, noisy)).float()
        return {"layer": (found - clean.float()).square().mean() / clean.float().var().clamp_min(1e-6)}

    def below(self, k: int, inputs: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, in): what the k-th layer is given."""
        values = self.mlp.normalise(inputs).flatten(1)
        for place in range(k):
            values = self._step(place, values)
        return values

    def _step(self, k: int, values: Tensor) -> Tensor:
        out: Tensor = self.encoders[k](values)
        return self.mlp.activations[k](out) if k < len(self.mlp.activations) else out  # type: ignore[no-any-return]

    def _corrupted_values(self, values: Tensor) -> Tensor:
        if self.noise == "gaussian":
            return values + self.sigma * values.std() * torch.randn_like(values)
        return torch.where(torch.rand_like(values) < self.sigma, torch.zeros_like(values), values)
