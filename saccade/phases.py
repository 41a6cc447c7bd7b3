"""Who learns when: the phases and stages of a training, and the parameter groups of a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn

NO_RATES: Mapping[str, float] = MappingProxyType({})


class Phase(NamedTuple):
    """One optimiser's share of a training step (a GAN has two)."""

    name: str
    groups: Callable[[], list[dict[str, Any]]]  # torch parameter groups: rates by layer, L2 by layer
    optimiser: Callable[..., torch.optim.Optimizer] | None = None  # its own, else the run's
    repeat: int = 1


class Stage(NamedTuple):
    """Epochs of training and the phases they train; a share of the run when `epochs` is below or equal to 1."""

    name: str
    epochs: float
    phases: tuple[Phase, ...]


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups of a module: weight decay for matrices and kernels, none for biases and normalisation.

    Where the module has `rates`, a group for each factor of the learning rate besides (its `rate_factor`), by the longest name that fits.
    """
    rates: Mapping[str, float] = getattr(module, "rates", NO_RATES)
    divided: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            fitting = [part for part in rates if name.startswith(f"{part}.")]
            divided.setdefault((rates[max(fitting, key=len)] if fitting else 1.0, parameter.ndim > 1), []).append(parameter)
    groups: list[dict[str, Any]] = []
    for (factor, decays), parameters in sorted(divided.items(), key=lambda item: (item[0][0], not item[0][1])):
        group: dict[str, Any] = {"params": parameters} | ({} if decays else {"weight_decay": 0.0})
        groups.append(group if factor == 1.0 else group | {"rate_factor": factor})
    return groups
