"""First weights by name: one literal table of rules, applied to every matrix and kernel of a network.

Normalisation layers, recurrent weights and free parameters stay as their builder made them; the biases that go with a matrix or
kernels are 0 (torch's own default draws them), but for `alexnet2012`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Batch, System
from saccade.errors import UsageError, nearest

LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
LSUV_ROUNDS, LSUV_TOLERANCE = 10, 0.05  # Mishkin and Matas 2016, algorithm 1: T_max and Tol_var; the paper stops at 0.1


class Fans(NamedTuple):
    """How many numbers a unit of a layer reads, and how many units read one of its inputs."""

    reads: int
    feeds: int


def fans(layer: nn.Module) -> Fans:
    """Of a matrix or kernels, groups and transposed convolutions included.

    >>> fans(nn.Conv2d(8, 6, 3, groups=2)), fans(nn.ConvTranspose2d(8, 6, 3)), fans(nn.Linear(5, 7))
    (Fans(reads=36, feeds=27), Fans(reads=72, feeds=54), Fans(reads=5, feeds=7))
    """
    if isinstance(layer, nn.Linear):
        return Fans(layer.in_features, layer.out_features)
    assert isinstance(layer, nn.modules.conv._ConvNd)
    field = math.prod(layer.kernel_size)
    return Fans(layer.in_channels // layer.groups * field, layer.out_channels // layer.groups * field)


def _he_normal(w: Tensor, f: Fans) -> None:
    """He et al. 2015, equation 10: variance 2 / reads, which keeps the variance of ReLU layers."""
    w.normal_(0, math.sqrt(2 / f.reads))


def _he_uniform(w: Tensor, f: Fans) -> None:
    """He et al. 2015 with a uniform density of the same variance."""
    _uniform(w, math.sqrt(6 / f.reads))


def _xavier_normal(w: Tensor, f: Fans) -> None:
    """Glorot and Bengio 2010, equation 12: variance 2 / (reads + feeds)."""
    w.normal_(0, math.sqrt(2 / (f.reads + f.feeds)))


def _xavier_uniform(w: Tensor, f: Fans) -> None:
    """Glorot and Bengio 2010, equation 16: uniform within the root of 6 / (reads + feeds)."""
    _uniform(w, math.sqrt(6 / (f.reads + f.feeds)))


def _lecun_normal(w: Tensor, f: Fans) -> None:
    """LeCun, Bottou, Orr and Müller 1998, equation 16: variance 1 / reads."""
    w.normal_(0, math.sqrt(1 / f.reads))


def _fan_in_uniform(w: Tensor, f: Fans) -> None:
    """Uniform within 1 / root of reads: the common heuristic that Glorot and Bengio 2010 (equation 1) measure against; its variance is 1 / (3 reads)."""
    _uniform(w, math.sqrt(1 / f.reads))


def _gaussian(w: Tensor, f: Fans) -> None:
    """Krizhevsky et al. 2012: deviation 0.01 whatever the layer."""
    w.normal_(0, 0.01)


def _orthogonal(w: Tensor, f: Fans) -> None:
    """Saxe, McClelland and Ganguli 2014: orthonormal rows or columns, times the root of 2 for ReLU."""
    nn.init.orthogonal_(w, math.sqrt(2))


def _zeros(w: Tensor, f: Fans) -> None:
    """All units of a layer alike, which gradient descent cannot tell apart: what not to do."""
    w.zero_()


def _uniform(w: Tensor, limit: float) -> None:
    w.uniform_(-limit, limit)


RULES: dict[str, Callable[[Tensor, Fans], Any]] = {
    "he_normal": _he_normal,
    "he_uniform": _he_uniform,
    "xavier_normal": _xavier_normal,
    "xavier_uniform": _xavier_uniform,
    "lecun_normal": _lecun_normal,
    "fan_in_uniform": _fan_in_uniform,
    "orthogonal": _orthogonal,
    "gaussian": _gaussian,
    "zeros": _zeros,
}
NAMES = ("network", *RULES, "lsuv", "alexnet2012")


def layers(system: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.modules.conv._ConvNd]]:
    """The layers with a matrix or kernels that are trained, by name, in the order in which they were registered."""
    for name, module in system.named_modules():
        if isinstance(module, LAYERS) and module.weight.requires_grad:
            yield name, module


@torch.no_grad()
def initialise(system: System, name: str, *, seed: int, batch: Batch | None = None) -> int:
    """Draws the first weights of a system anew, from a generator of their own; returns how many layers were drawn.

    name: a key of `RULES`; `network` leaves what the builder chose; `lsuv` is orthogonal and then, layer after layer in the order in which
    `batch` meets them, scaled to outputs of unit variance (Mishkin and Matas 2016); `alexnet2012` is Gaussian with biases of 1 in the second,
    fourth and fifth convolution and in all hidden matrices (Krizhevsky et al. 2012, section 5).
    Raises UsageError USE-VALUE for an unknown name, and for lsuv without a batch.
    """
    if name not in NAMES:
        raise UsageError("USE-VALUE", f"{name}; {nearest(name, NAMES)}", where="--init")
    if name == "network":
        return 0
    drawn = list(layers(system))
    rule = RULES[{"lsuv": "orthogonal", "alexnet2012": "gaussian"}.get(name, name)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _, layer in drawn:
            fresh = torch.empty(layer.weight.shape)
            rule(fresh, fans(layer))
            layer.weight.copy_(fresh)
            if layer.bias is not None:
                layer.bias.zero_()
    if name == "alexnet2012":
        _krizhevsky_biases([layer for _, layer in drawn])
    if name == "lsuv":
        if batch is None:
            raise UsageError("USE-VALUE", "lsuv scales the layers by what they answer to a batch, and none was given", where="--init")
        _unit_variance(system, batch)
    return len(drawn)


def _krizhevsky_biases(found: list[nn.Linear | nn.modules.conv._ConvNd]) -> None:
    kernels = [layer for layer in found if not isinstance(layer, nn.Linear)]
    matrices = [layer for layer in found if isinstance(layer, nn.Linear)]
    for layer in [layer for i, layer in enumerate(kernels) if i in (1, 3, 4)] + matrices[:-1]:
        if layer.bias is not None:
            layer.bias.fill_(1.0)


class _Met(Exception):
    """The layer that was asked for has answered; the rest of the network need not."""


def _unit_variance(system: System, batch: Batch) -> None:
    """Scales every layer until its outputs have unit variance over the batch; a layer that is met twice is measured at the last meeting."""
    training = system.training
    system.eval()
    order: list[nn.Module] = []
    hooks = [layer.register_forward_hook(lambda m, i, o: order.append(m)) for _, layer in layers(system)]
    try:
        system(batch)
    finally:
        for hook in hooks:
            hook.remove()
    for layer in dict.fromkeys(order):
        for _ in range(LSUV_ROUNDS):
            variance = _output_variance(system, batch, layer)
            if not math.isfinite(variance) or variance <= 0 or abs(variance - 1) < LSUV_TOLERANCE:
                break
            layer.weight.div_(math.sqrt(variance))  # type: ignore[operator, union-attr]
    system.train(training)


def _output_variance(system: System, batch: Batch, layer: nn.Module) -> float:
    found: list[float] = []

    def measure(module: nn.Module, given: Any, out: Tensor) -> None:
        found.append(out.float().var().item())
        raise _Met

    hook = layer.register_forward_hook(measure)
    try:
        system(batch)
    except _Met:
        pass
    finally:
        hook.remove()
    return found[-1]
