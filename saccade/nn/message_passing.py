"""Backpropagation as message passing on any directed acyclic graph, without autograd: every message can be looked at.

A node c holds M_c (N, d_c). Inputs are given; every other node adds up what its parents p send it, and after the last node comes a loss:

    forward    M_c = b_c + sum_p W_cp h_p(M_p), where h of an input is the identity
    backward   V_c = dL/dM_c + h_c'(M_c) sum_c' W_c'c^T V_c'        (a loss's own slope where a loss looks at c)
    weights    dL/dW_cp = V_c^T h_p(M_p), dL/db_c = sum_n V_c

Several nodes may have a loss, and a node with one may have children too. A loss need not be made of sums: for a random field V is the
marginals less the truth. A stochastic node is one whose h holds the noise or the mask that was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

Loss = Callable[[Tensor], tuple[Tensor, Tensor]]
"""M_c -> (the loss, a scalar; its slope, like M_c)."""


class Activation(NamedTuple):
    """h and its derivative h', both elementwise on M."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda m: m, torch.ones_like),
    "sigmoid": Activation(torch.sigmoid, lambda m: torch.sigmoid(m) * (1 - torch.sigmoid(m))),
    "tanh": Activation(torch.tanh, lambda m: 1 - torch.tanh(m) ** 2),
    "relu": Activation(torch.relu, lambda m: (m > 0).to(m.dtype)),
}


@dataclass(frozen=True)
class Node:
    """weights: W_cp (d_c, d_p) by parent; bias (d_c,) or None; what is sent on: the activation of its own sum."""

    weights: Mapping[str, Tensor]
    bias: Tensor | None = None
    activation: Activation = ACTIVATIONS["relu"]


@dataclass
class Messages:
    """What went through the graph: M and V by node, the loss, and the slopes of every weight (child, parent) and bias."""

    forward: dict[str, Tensor]
    loss: Tensor
    backward: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    biases: dict[str, Tensor] = field(default_factory=dict)


class Graph:
    """Nodes by name, in any order; names that are only parents are the inputs.

    Raises ValueError for a cycle (named) or a node without parents.

    >>> one = torch.ones(1, 1)
    >>> net = Graph({"z": Node({"y": 3 * one}), "y": Node({"x": 2 * one})})
    >>> net.order, net.inputs
    (('y', 'z'), ('x',))
    >>> found = net.run({"x": one}, {"z": squared_error(torch.zeros(1, 1))})
    >>> found.forward["z"].item(), found.loss.item(), found.weights["y", "x"].item()
    (6.0, 18.0, 18.0)
    """

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        alone = [name for name, node in nodes.items() if not node.weights]
        if alone:
            raise ValueError(f"a node has at least one parent; {', '.join(alone)} has none (inputs are not nodes)")
        self.nodes = dict(nodes)
        parents = {parent for node in nodes.values() for parent in node.weights}
        self.inputs = tuple(sorted(parents - set(nodes)))
        self.order = _parents_first(nodes)
        self.children: dict[str, list[str]] = {name: [] for name in (*self.inputs, *nodes)}
        for name in self.order:
            for parent in nodes[name].weights:
                self.children[parent].append(name)

    def run(self, inputs: Mapping[str, Tensor], losses: Mapping[str, Loss]) -> Messages:
        """Forward, the losses added up, and backward. inputs: (N, d) by name. Raises ValueError for names that do not fit."""
        if set(inputs) != set(self.inputs):
            raise ValueError(f"the inputs are {list(self.inputs)}, got {sorted(inputs)}")
        unknown = set(losses) - set(self.nodes)
        if unknown or not losses:
            raise ValueError(f"losses are for some of the nodes {list(self.order)}, got {sorted(losses)}")
        m = dict(inputs)
        for name in self.order:
            node = self.nodes[name]
            sums = [self.sent(parent, m[parent]) @ w.T for parent, w in node.weights.items()]
            m[name] = torch.stack(sums).sum(0) if node.bias is None else torch.stack(sums).sum(0) + node.bias
        found = Messages(m, m[self.order[0]].new_zeros(()))
        for name, loss in losses.items():
            value, found.backward[name] = loss(m[name])
            found.loss = found.loss + value
        self._backward(found)
        return found

    def sent(self, name: str, m: Tensor) -> Tensor:
        """h(M): what a node sends to its children; an input sends itself."""
        return self.nodes[name].activation.value(m) if name in self.nodes else m

    def _backward(self, found: Messages) -> None:
        """V of every node, children first, then the slopes of weights and biases; inputs get their V too, without h'."""
        for name in (*reversed(self.order), *self.inputs):
            m = found.forward[name]
            heard = [found.backward[child] @ self.nodes[child].weights[name] for child in self.children[name]]
            if heard:
                total = torch.stack(heard).sum(0)
                total = total * self.nodes[name].activation.slope(m) if name in self.nodes else total
                found.backward[name] = found.backward[name] + total if name in found.backward else total
            found.backward.setdefault(name, torch.zeros_like(m))
        for name in self.order:
            v = found.backward[name]
            for parent in self.nodes[name].weights:
                found.weights[name, parent] = v.T @ self.sent(parent, found.forward[parent])
            if self.nodes[name].bias is not None:
                found.biases[name] = v.sum(0)


def _parents_first(nodes: Mapping[str, Node]) -> tuple[str, ...]:
    """The names so that every node comes after its parents. Raises ValueError that names a cycle."""
    order: list[str] = []
    left = dict(nodes)
    while left:
        ready = [name for name, node in left.items() if not any(parent in left for parent in node.weights)]
        if not ready:
            raise ValueError(f"the graph has a cycle: {' <- '.join(_cycle(left))}")
        for name in ready:
            order.append(name)
            del left[name]
    return tuple(order)


def _cycle(left: Mapping[str, Node]) -> Sequence[str]:
    path = [next(iter(left))]
    while path[-1] not in path[:-1]:
        path.append(next(parent for parent in left[path[-1]].weights if parent in left))
    return path[path.index(path[-1]) :]


def squared_error(truth: Tensor) -> Loss:
    """|M - truth|^2 / 2, added up over samples and units."""
    return lambda m: (((m - truth) ** 2).sum() / 2, m - truth)


def softmax_error(truth: Tensor) -> Loss:
    """Cross entropy of softmax(M) and class ids (N,), added up over the samples; its slope is the probabilities less the truth."""

    def loss(m: Tensor) -> tuple[Tensor, Tensor]:
        logs = torch.log_softmax(m, 1)
        rows = torch.arange(len(m), device=m.device)
        slope = logs.exp()
        slope[rows, truth] -= 1
        return -logs[rows, truth].sum(), slope

    return loss
