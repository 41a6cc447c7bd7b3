"""L1 and L2 penalties of the weights with a strength for each layer: loss + sum of l1 |w| + sum of l2 w^2 / 2.

L2 is in the gradient. L1 is taken after the step, by which a weight goes towards 0 and never past it (proximal gradient: Duchi and
Singer 2009, "FOBOS", equation 19), so that it makes weights exactly 0; a gradient of it would make them tremble about 0.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saccade.errors import UsageError

Table = tuple[tuple[str, float], ...]  # a pattern of names, "" for every matrix and kernel, and its strength; a later one wins
LISTED = 12


def read_table(texts: Sequence[str], where: str) -> Table:
    """A table from `0.0005` (every matrix and kernel) and `pattern=0.01`. Raises UsageError USE-VALUE.

    >>> read_table(["5e-4", "heads.*=0.01"], "--l2")
    (('', 0.0005), ('heads.*', 0.01))
    """
    rows = []
    for text in texts:
        pattern, equals, value = text.rpartition("=")
        try:
            strength = float(value)
        except ValueError:
            strength = -1.0
        if not 0 <= strength < float("inf") or (equals and not pattern):
            raise UsageError("USE-VALUE", f"{text}, expected a strength such as 0.0005, or layer=strength such as heads.*=0.01", where=where)
        rows.append((pattern, strength))
    return tuple(rows)


def strengths(module: nn.Module, table: Table, where: str) -> dict[str, float]:
    """Parameter name -> its strength, those without one left out.

    A row "" is about every matrix and kernel, as weight decay is; a pattern such as `backbone.*` or `heads.label.output` is about every
    parameter whose name it matches, or that of a layer above. Raises UsageError USE-VALUE for a pattern that matches none.
    """
    found: dict[str, float] = {}
    names = {name: p for name, p in module.named_parameters() if p.requires_grad}
    for pattern, strength in table:
        meant = [n for n, p in names.items() if p.ndim > 1] if not pattern else [n for n in names if _meets(n, pattern)]
        if not meant:
            layers = list(dict.fromkeys(n.rpartition(".")[0] for n in names))
            more = f" and {len(layers) - LISTED} more" if len(layers) > LISTED else ""
            raise UsageError("USE-VALUE", f"{pattern} is no layer; there are {', '.join(layers[:LISTED])}{more}", where=where)
        found |= dict.fromkeys(meant, strength)
    return {name: strength for name, strength in found.items() if strength}


def _meets(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")


class _Kind(NamedTuple):
    weights: list[Tensor]
    strengths: list[float]


class Penalty:
    """The penalties of a run. Raises UsageError USE-VALUE as `strengths` does."""

    def __init__(self, module: nn.Module, l1: Table = (), l2: Table = ()) -> None:
        weights = dict(module.named_parameters())
        self._l1, self._l2 = (self._kind(weights, strengths(module, table, f"--{name}")) for name, table in (("l1", l1), ("l2", l2)))

    @staticmethod
    def _kind(weights: Mapping[str, Tensor], by_name: Mapping[str, float]) -> _Kind:
        return _Kind([weights[name] for name in by_name], list(by_name.values()))

    def __bool__(self) -> bool:
        return bool(self._l1.weights or self._l2.weights)

    @torch.no_grad()
    def values(self) -> dict[str, float]:
        """{"l1", "l2"}: what each adds to the loss; what is not asked for is left out."""
        found = {}
        if self._l1.weights:
            found["l1"] = float(sum(s * w.abs().sum() for w, s in zip(*self._l1, strict=True)))
        if self._l2.weights:
            found["l2"] = float(sum(s / 2 * w.square().sum() for w, s in zip(*self._l2, strict=True)))
        return found

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Adds l2 w to the gradient of every weight that has one."""
        for w, strength in zip(*self._l2, strict=True):
            if w.grad is not None:
                w.grad.add_(w, alpha=strength)

    @torch.no_grad()
    def shrink(self, optimiser: torch.optim.Optimizer) -> None:
        """After a step of this optimiser: its weights go towards 0 by rate x l1, and stop there."""
        if not self._l1.weights:
            return
        rates = {id(w): group["lr"] for group in optimiser.param_groups for w in group["params"]}
        for w, strength in zip(*self._l1, strict=True):
            if w.grad is not None and id(w) in rates:
                w.copy_(torch.nn.functional.softshrink(w, strength * rates[id(w)]))
