"""Chains whose labels are sums over hidden states: hidden CRFs (a label a sequence) and latent-dynamic CRFs (a label a position).

Quattoni, Wang, Morency, Collins, Darrell, "Hidden conditional random fields", IEEE PAMI 29 (10), 2007; Morency, Quattoni, Darrell,
"Latent-dynamic discriminative models for continuous gesture recognition", CVPR 2007. The scores may come from any network
(Peng, Bo, Xu, "Conditional neural fields", NIPS 2009), which makes them hidden and latent-dynamic conditional neural fields.
"""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.structured.chain import Chain, log_partition, marginals
from saccade.structured.constraints import allow, of_labels


def owners(labels: int, states: int) -> Tensor:
    """(labels * states,) the label that each hidden state belongs to: disjoint sets of equal size. Raises ValueError below one of either.

    >>> owners(2, 3).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    if labels < 1 or states < 1:
        raise ValueError(f"there must be at least one label and one state a label, got {labels} and {states}")
    return torch.arange(labels).repeat_interleave(states)


def allowed_states(tags: Tensor, owner: Tensor) -> Tensor:
    """(N, T) tags, -1 where unknown, and (S,) owners -> (N, T, S) bool: the states that agree with the tags."""
    return (tags[..., None] == owner) | (tags[..., None] < 0)


def label_loss(chain: Chain, owner: Tensor, tags: Tensor) -> Tensor:
    """(N,) -log p(tags | x) = log Z - log Z of the states that belong to the tags (Morency et al., equation 3). tags: (N, T) int64, -1 unknown.

    Raises ValueError for another shape, and for tags above the labels.
    """
    if tags.shape != chain.unary.shape[:2]:
        raise ValueError(f"tags must be {tuple(chain.unary.shape[:2])}, got {tuple(tags.shape)}")
    inside = torch.where(chain.valid, tags, -1)
    if inside.numel() and not -1 <= int(inside.min()) <= int(inside.max()) <= int(owner.max()):
        raise ValueError(f"tags must be 0..{int(owner.max())} or -1, got {int(inside.min())}..{int(inside.max())}")
    clamped = log_partition(allow(chain, allowed_states(inside, owner)))
    return torch.where(torch.isneginf(clamped.detach()), torch.inf, log_partition(chain) - clamped)


def label_marginals(chain: Chain, owner: Tensor) -> Tensor:
    """(N, T, labels) p(label at t | x), the sum over its states (Morency et al., equation 6)."""
    return of_labels(marginals(chain).nodes, owner, int(owner.max()) + 1)


def hidden_chains(unary: Tensor, compatible: Tensor, pairwise: Tensor, lengths: Tensor) -> Chain:
    """One chain for each label and sequence, labels outermost, of the score that the label gives hidden states (Quattoni et al., equation 9).

    unary: (N, T, H) of the states; compatible: (Y, H) of a label and a state; pairwise: (Y, H, H) of a label and two neighbours.
    """
    h = unary.shape[2]
    labels = len(compatible)
    if compatible.shape != (labels, h) or pairwise.shape != (labels, h, h):
        raise ValueError(f"expected compatible (Y, {h}) and pairwise (Y, {h}, {h}), got {tuple(compatible.shape)} and {tuple(pairwise.shape)}")
    scores = (unary[None] + compatible[:, None, None]).flatten(0, 1)
    return Chain(scores, pairwise[:, None], lengths.repeat(labels))


def hidden_logits(unary: Tensor, compatible: Tensor, pairwise: Tensor, lengths: Tensor) -> Tensor:
    """(N, Y) log sum_h exp(score(y, h, x)): their softmax is p(y | x) (equation 1), and their cross entropy the loss."""
    return log_partition(hidden_chains(unary, compatible, pairwise, lengths)).view(len(compatible), len(unary)).T


def parts(unary: Tensor, compatible: Tensor, pairwise: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
    """(N, T, H) p(hidden state at t | label, x) for one label (N,) a sequence: the parts that were learnt."""
    n, t, h = unary.shape
    nodes = marginals(hidden_chains(unary, compatible, pairwise, lengths)).nodes.view(len(compatible), n, t, h)
    return nodes[labels, torch.arange(n, device=labels.device)]
