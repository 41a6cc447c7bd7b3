"""Classes that form a tree, such as animal/dog/beagle: a softmax among the children of every node, a class being a path from the root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Level, Meta
from saccade.nn.heads.classify import Classify, ClassifyOut, full, labels, truth_matrix
from saccade.ops.losses import cross_entropy
from saccade.targets.label import Label


class Tree(NamedTuple):
    """nodes: every name below the root, parents first. parent: (M,) its parent's place, -1 for the root. leaf: (K,) the place of each class.
    paths: (K, M) 1 where a node is on the way to the class."""

    nodes: tuple[str, ...]
    parent: tuple[int, ...]
    leaf: tuple[int, ...]
    paths: Tensor


def tree_of(names: Sequence[str], separator: str = "/") -> Tree:
    """The tree of names that are paths. Raises ValueError where one class lies on the way to another.

    >>> tree_of(("cat", "dog/beagle", "dog/husky")).nodes
    ('cat', 'dog', 'dog/beagle', 'dog/husky')
    """
    place: dict[str, int] = {}
    parent: list[int] = []
    for name in names:
        parts = name.split(separator)
        for depth in range(1, len(parts) + 1):
            node = separator.join(parts[:depth])
            if node not in place:
                place[node] = len(place)
                parent.append(place[separator.join(parts[: depth - 1])] if depth > 1 else -1)
    inner = {p for p in parent if p >= 0}
    if wrong := [name for name in names if place[name] in inner]:
        raise ValueError(f"{wrong[0]} is a class and also holds others; a class must be an end of the tree")
    paths = torch.zeros(len(names), len(place))
    for k, name in enumerate(names):
        at = place[name]
        while at >= 0:
            paths[k, at] = 1.0
            at = parent[at]
    return Tree(tuple(place), tuple(parent), tuple(place[name] for name in names), paths)


class TreeClassify(Classify):
    """log p(class) = the sum over its path of log softmax among siblings (Redmon and Farhadi, "YOLO9000", CVPR 2017, section 4).

    names: the K classes as paths. Options are those of `Classify`. `forward` gives log probabilities of the classes, (N, K), which sum to 1;
    a soft truth is a distribution of the classes. Raises ValueError as `tree_of` does.
    """

    def __init__(self, level: Level, names: Sequence[str], **options: Any) -> None:
        tree = tree_of(names)
        super().__init__(level, len(names), **options)
        self.tree = tree
        self.output = nn.Linear(self.output.in_features, len(tree.nodes))
        groups = sorted(set(tree.parent))
        self.register_buffer("paths", tree.paths, persistent=False)
        self.register_buffer("group", torch.tensor([groups.index(p) for p in tree.parent]), persistent=False)
        self.group: Tensor
        self.paths: Tensor

    def forward(self, features: Features) -> ClassifyOut:
        scores = full(self.output(self.hidden(self.dropout(self.pooled(features)))))
        return ClassifyOut(self.steps(scores) @ self.paths.T.to(scores.dtype))

    def steps(self, scores: Tensor) -> Tensor:
        """(N, M) scores of the nodes -> (N, M): log p(node | its parent)."""
        count = int(self.group.max()) + 1
        group = self.group.expand_as(scores)
        top = torch.full((len(scores), count), -torch.inf, dtype=scores.dtype, device=scores.device).scatter_reduce(1, group, scores.detach(), "amax")
        shifted = scores - top.gather(1, group)
        total = torch.zeros_like(top).scatter_add(1, group, shifted.exp())
        return shifted - total.log().gather(1, group)

    def loss(self, out: ClassifyOut, targets: Sequence[Label]) -> dict[str, Tensor]:
        """{"cross_entropy"}: minus the log probability of the true path, weighted by class where weights are given."""
        truth = truth_matrix(targets, self.classes, out.logits.device)
        if truth is None:
            return {"cross_entropy": out.logits[:0].sum()}
        if self.label_smoothing:
            truth = truth * (1 - self.label_smoothing) + truth.sum(1, keepdim=True) * (self.label_smoothing / self.classes)
        return {"cross_entropy": cross_entropy(out.logits, truth, self.weights)}

    def decode(self, out: ClassifyOut, meta: Sequence[Meta]) -> list[Label]:
        """The most probable class with the whole distribution, on the CPU."""
        return labels(torch.softmax(out.logits.detach(), 1))
