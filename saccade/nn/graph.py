"""Graph convolution: Kipf and Welling, "Semi-supervised classification with graph convolutional networks", ICLR 2017."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Edges(nn.Module):
    """The edges of a graph made ready: sources, targets, and the factor of each message. A buffer holder, so that it moves with a model.

    links: (2, E) node numbers, each undirected edge once or in both directions; loops and doubles are taken away. nodes: N.
    Every node gets a loop, and an edge i-j the factor 1 / sqrt(d_i d_j), d the number of neighbours and oneself: the renormalised
    D^-1/2 (A + I) D^-1/2 of eq. 2. Several graphs are one graph with shifted numbers. Raises ValueError for numbers outside 0..N-1.

    >>> Edges(torch.tensor([[0], [1]]), 2).factors.tolist()
    [0.5, 0.5, 0.5, 0.5]
    """

    sources: Tensor
    targets: Tensor
    factors: Tensor

    def __init__(self, links: Tensor, nodes: int) -> None:
        super().__init__()
        if links.ndim != 2 or len(links) != 2:
            raise ValueError(f"links must be (2, E) node numbers, got shape {tuple(links.shape)}")
        if links.numel() and not 0 <= int(links.min()) <= int(links.max()) < nodes:
            raise ValueError(f"node numbers must be 0..{nodes - 1}, got {int(links.min())}..{int(links.max())}")
        loops = torch.arange(nodes, device=links.device).expand(2, -1)
        both = torch.unique(torch.cat([links, links.flip(0), loops], 1), dim=1)
        degrees = torch.bincount(both[0], minlength=nodes).to(torch.get_default_dtype())
        for name, value in (("sources", both[0]), ("targets", both[1]), ("factors", (degrees[both[0]] * degrees[both[1]]).rsqrt())):
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C): each node's weighted sum over its neighbours and itself."""
        messages = x[self.sources] * self.factors.to(x.dtype)[:, None]
        return torch.zeros_like(x).index_add(0, self.targets, messages)


class GraphConvolution(nn.Module):
    """H' = D^-1/2 (A + I) D^-1/2 H W + b (eq. 2, before its activation). Initialised by Glorot and Bengio 2010, as in the paper.

    Deviation: a bias, which eq. 2 leaves out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        return edges(F.linear(x, self.linear.weight)) + self.linear.bias


class GraphNet(nn.Module):
    """Graph convolutions with ReLU between and dropout before each: eq. 9 with one hidden layer. (N, C) features of nodes -> (N, K) logits.

    widths: C, hidden units, K. dropout: 0.5 in the paper.
    """

    def __init__(self, widths: Sequence[int], *, dropout: float = 0.5) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"widths must name the inputs and the outputs at least, got {list(widths)}")
        self.layers, self.dropout = nn.ModuleList(GraphConvolution(a, b) for a, b in pairwise(widths)), nn.Dropout(dropout)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        for place, layer in enumerate(self.layers):
            x = layer(self.dropout(F.relu(x) if place else x), edges)
        return x


def graph_means(x: Tensor, graphs: Tensor, count: int) -> Tensor:
    """(N, C) of nodes and (N,) the graph 0..count-1 of each -> (count, C): the mean over each graph's nodes, 0 for a graph without any."""
    totals = x.new_zeros(count, x.shape[1]).index_add(0, graphs, x)
    return totals / torch.bincount(graphs, minlength=count).clamp_min(1).to(x.dtype)[:, None]
