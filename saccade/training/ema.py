"""The exponential moving average of a system's weights (Polyak averaging in its discounted form)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """A running mean of every floating tensor of a module's state; whole numbers are copied.

    After step t (from 1) the decay is min(decay, (1 + t) / (10 + t)), so that the first steps are forgotten quickly.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.mean = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        own, new = [], []
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                own.append(self.mean[key])
                new.append(value.detach())
            else:
                self.mean[key].copy_(value)
        torch._foreach_lerp_(own, new, weight)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside, the module holds the mean; afterwards its own weights, bit for bit."""
        kept = {k: v.detach().clone() for k, v in module.state_dict().items()}
        module.load_state_dict(self.mean)
        try:
            yield
        finally:
            module.load_state_dict(kept)

    def state(self) -> dict[str, Tensor]:
        return self.mean

    def load(self, state: dict[str, Tensor], steps: int) -> None:
        self.steps = steps
        for key, value in self.mean.items():
            value.copy_(state[key])
