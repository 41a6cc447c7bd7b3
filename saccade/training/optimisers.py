"""torch's optimisers by name: one literal table of builders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from saccade.errors import UsageError, nearest
from saccade.training.settings import Settings

Groups = list[dict[str, Any]]


def adamw(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    return torch.optim.AdamW(groups, lr=s.rate, weight_decay=s.weight_decay, foreach=True)


def adam(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""
    return torch.optim.Adam(groups, lr=s.rate, weight_decay=s.weight_decay, foreach=True)


def sgd(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Stochastic gradient descent with heavy-ball momentum (Polyak 1964)."""
    return torch.optim.SGD(groups, lr=s.rate, momentum=s.momentum, weight_decay=s.weight_decay, foreach=True)


def nesterov(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov's momentum (Sutskever et al. 2013)."""
    return torch.optim.SGD(groups, lr=s.rate, momentum=s.momentum, nesterov=s.momentum > 0, weight_decay=s.weight_decay, foreach=True)


def rmsprop(groups: Groups, s: Settings) -> torch.optim.Optimizer:
    """RMSProp (Tieleman and Hinton 2012)."""
    return torch.optim.RMSprop(groups, lr=s.rate, momentum=s.momentum, weight_decay=s.weight_decay, foreach=True)


OPTIMISERS: dict[str, Callable[[Groups, Settings], torch.optim.Optimizer]] = {
    "adamw": adamw,
    "adam": adam,
    "sgd": sgd,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
}


def make_optimiser(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser that the settings name. A group's own `lr` and `weight_decay` win; its first `lr` is kept as `initial_lr` for the schedule."""
    if settings.optimiser not in OPTIMISERS:
        raise UsageError("USE-VALUE", f"{settings.optimiser}; {nearest(settings.optimiser, OPTIMISERS)}", where="--optimiser")
    optimiser = OPTIMISERS[settings.optimiser](groups, settings)
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return optimiser
