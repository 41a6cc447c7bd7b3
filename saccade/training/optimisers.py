"""Optimisers by name: one literal table of builders, and what each starts from when nothing is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from saccade.errors import UsageError, nearest
from saccade.training.settings import Settings

Groups = list[dict[str, Any]]


class HeavyBall(torch.optim.Optimizer):
    """Polyak 1964, as Krizhevsky et al. 2012 (section 5) write it: v <- momentum v - rate (g + weight_decay w), w <- w + v.

    torch's SGD keeps the rate out of v. Both are the same while the rate is constant; when it falls, this ball still rolls at the old speed.
    Raises ValueError for a negative rate or weight decay, or a momentum outside [0, 1).
    """

    def __init__(self, groups: Groups, lr: float, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        if lr < 0 or weight_decay < 0 or not 0 <= momentum < 1:
            raise ValueError(f"rate {lr}, weight decay {weight_decay}, momentum {momentum}; expected at least 0, at least 0, and 0 to 1")
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; the closure, where there is one, is called first and gives the loss."""
        loss: float | None = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            if weights:
                self._move(weights, [w.grad for w in weights], group)
        return loss

    def _move(self, weights: list[Tensor], slopes: list[Tensor], group: dict[str, Any]) -> None:
        for w in weights:
            if not self.state[w]:
                self.state[w]["velocity"] = torch.zeros_like(w)
        velocities = [self.state[w]["velocity"] for w in weights]
        if group["weight_decay"]:
            slopes = list(torch._foreach_add(slopes, weights, alpha=group["weight_decay"]))
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, slopes, alpha=-group["lr"])
        torch._foreach_add_(weights, velocities)


class Aligned(torch.optim.Optimizer):
    """An optimiser of torch whose fused kernel goes through memory in order, and takes wrong neighbours without a word where a gradient or a running
    mean lies there in another order than its weights (channels last beside contiguous, as after reading a checkpoint): both are laid like the weights."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step, see torch's."""
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None and w.grad.stride() != w.stride():
                    w.grad = torch.empty_like(w).copy_(w.grad)
        return super().step(closure)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes a stored state, see torch's."""
        super().load_state_dict(state_dict)
        for w, state in self.state.items():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == w.shape and value.stride() != w.stride():
                    state[name] = torch.empty_like(w).copy_(value)


class FusedAdamW(Aligned, torch.optim.AdamW):
    """torch's AdamW by its fused kernel: one pass over each weight instead of several, which networks of many small layers gain most by."""


class FusedAdam(Aligned, torch.optim.Adam):
    """torch's Adam by its fused kernel."""


def adamw(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    return FusedAdamW(groups, lr=s.rate, weight_decay=s.weight_decay, fused=True)


def adam(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""
    return FusedAdam(groups, lr=s.rate, weight_decay=s.weight_decay, fused=True)


def nadam(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Adam with Nesterov's momentum (Dozat 2016); weight decay is added to the gradient."""
    return torch.optim.NAdam(groups, lr=s.rate, weight_decay=s.weight_decay, foreach=True)


def sgd(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Stochastic gradient descent (Robbins and Monro 1951), with a momentum where one is given: torch's form, v <- momentum v + g, w <- w - rate v."""
    return torch.optim.SGD(groups, lr=s.rate, momentum=s.momentum, weight_decay=s.weight_decay, foreach=True)


def heavy_ball(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum in the classical form (Polyak 1964)."""
    return HeavyBall(groups, s.rate, s.momentum, s.weight_decay)


def nesterov(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov's momentum (Sutskever et al. 2013)."""
    return torch.optim.SGD(groups, lr=s.rate, momentum=s.momentum, nesterov=s.momentum > 0, weight_decay=s.weight_decay, foreach=True)


def rmsprop(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """RMSProp (Tieleman and Hinton 2012)."""
    return torch.optim.RMSprop(groups, lr=s.rate, momentum=s.momentum, weight_decay=s.weight_decay, foreach=True)


def adagrad(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Adagrad (Duchi, Hazan and Singer 2011)."""
    return torch.optim.Adagrad(groups, lr=s.rate, weight_decay=s.weight_decay, foreach=True)


OPTIMISERS: dict[str, Callable[[Groups, Settings], torch.optim.Optimizer]] = {
    "adamw": adamw,
    "adam": adam,
    "nadam": nadam,
    "sgd": sgd,
    "heavy_ball": heavy_ball,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
}


class Start(NamedTuple):
    """What an optimiser starts from when nothing is said: its rate at 64 images a step (None: the network's own), its momentum (None: it
    has none), and its weight decay (None: the network's own)."""

    rate: float | None
    momentum: float | None
    weight_decay: float | None


_ADAPTIVE, _MOMENTUM = Start(None, None, None), Start(0.05, 0.9, 5e-4)
STARTS: dict[str, Start] = {
    "adamw": _ADAPTIVE,
    "adam": Start(None, None, 0.0),
    "nadam": Start(None, None, 0.0),
    "sgd": Start(0.1, 0.0, 5e-4),
    "heavy_ball": _MOMENTUM,
    "nesterov": _MOMENTUM,
    "rmsprop": Start(5e-4, 0.0, 0.0),
    "adagrad": Start(0.01, None, 0.0),
}


def start_of(name: str) -> Start:
    """What an optimiser starts from. Raises UsageError USE-VALUE for an unknown name."""
    if name not in STARTS:
        raise UsageError("USE-VALUE", f"{name}; {nearest(name, OPTIMISERS)}", where="--optimiser")
    return STARTS[name]


def make_optimiser(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser that the settings name. A group's own `lr` and `weight_decay` win; its first `lr` is kept as `initial_lr` for the schedule.

    A group's `rate_factor` is what its rate is of the run's.
    """
    start_of(settings.optimiser)
    own = [{k: v for k, v in g.items() if k != "rate_factor"} | ({"lr": settings.rate * g["rate_factor"]} if "rate_factor" in g else {}) for g in groups]
    optimiser = OPTIMISERS[settings.optimiser](own, settings)
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return optimiser
