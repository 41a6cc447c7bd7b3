"""The exponential moving average of a system's weights (Polyak averaging in its discounted form), and what every mean of weights has in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Another set of weights beside a system's own: the ones that are validated and kept. Floating tensors are averaged, whole numbers copied."""

    def __init__(self, module: nn.Module) -> None:
        self.steps = 0  # how many sets of weights have gone into the mean
        self.mean = {k: v.detach().clone() for k, v in module.state_dict().items()}

    def after_step(self, module: nn.Module) -> None:
        """Called after every step of the run."""

    def after_epoch(self, module: nn.Module, done: float) -> bool:
        """Called at the end of every epoch with the share of the run that is done. True when the statistics of normalisation layers must be
        measured anew (`averaging.refresh_norms`), because no network was trained with the weights of the mean."""
        return False

    @torch.no_grad()
    def move(self, module: nn.Module, weight: float) -> None:
        """The mean goes such a share of the way to what the module has."""
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

    @torch.no_grad()
    def take_buffers(self, module: nn.Module) -> None:
        """The module's buffers as they are, such as statistics that were measured with the mean's weights."""
        for key, value in module.named_buffers():
            if key in self.mean:
                self.mean[key].copy_(value)

    def state(self) -> dict[str, Tensor]:
        return self.mean

    def load(self, state: dict[str, Tensor], steps: int) -> None:
        self.steps = steps
        for key, value in self.mean.items():
            value.copy_(state[key])


class MovingAverage(Average):
    """A running mean over the steps: after step t (from 1) the decay is min(decay, (1 + t) / (10 + t)), so that the first are forgotten quickly."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__(module)
        self.decay = decay

    def update(self, module: nn.Module) -> None:
        """Takes in the weights after a step."""
        self.steps += 1
        self.move(module, 1 - min(self.decay, (1 + self.steps) / (10 + self.steps)))

    def after_step(self, module: nn.Module) -> None:
        self.update(module)
