"""Chains by enumeration: every assignment with its score, and what follows from the table of them."""

import itertools

import torch

SHAPES = {"shared": "kk", "steps": "tkk", "groups": "g1kk", "each": "n1kk", "each step": "ntkk"}


def pairwise_shape(kind, n, t, k):
    return {"kk": (k, k), "tkk": (t - 1, k, k), "g1kk": (n // 2, 1, k, k), "n1kk": (n, 1, k, k), "ntkk": (n, t - 1, k, k)}[SHAPES[kind]]


def random_chain(kind, n, t, k, seed, scale=1.0, forbidden=0.0):
    """unary, pairwise, lengths in float64; a share of the scores is -inf."""
    generator = torch.Generator().manual_seed(seed)
    unary = torch.randn(n, t, k, generator=generator, dtype=torch.float64) * scale
    pairwise = torch.randn(*pairwise_shape(kind, n, t, k), generator=generator, dtype=torch.float64) * scale
    if forbidden:
        unary[torch.rand(unary.shape, generator=generator) < forbidden] = -torch.inf
        pairwise[torch.rand(pairwise.shape, generator=generator) < forbidden] = -torch.inf
    lengths = torch.randint(1, t + 1, (n,), generator=generator)
    lengths[0] = t
    return unary, pairwise, lengths


def matrix(pairwise, n, row, t):
    """The (K, K) scores of chain `row` of n from t to t + 1, by the definition of the shapes."""
    if pairwise.ndim == 2:
        return pairwise
    if pairwise.ndim == 3:
        return pairwise[t]
    own = pairwise[row * len(pairwise) // n]
    return own[t] if len(own) > 1 else own[0]


def assignments(length, k):
    return torch.tensor(list(itertools.product(range(k), repeat=length)))


def scores(unary, pairwise, lengths, row):
    """Every assignment (M, L) of a chain and its score (M,), term by term."""
    length, k = int(lengths[row]), unary.shape[2]
    states = assignments(length, k)
    total = unary.new_zeros(len(states))
    for t in range(length):
        total = total + unary[row, t, states[:, t]]
        if t:
            total = total + matrix(pairwise, len(unary), row, t - 1)[states[:, t - 1], states[:, t]]
    return states, total


def log_z(unary, pairwise, lengths):
    return torch.stack([torch.logsumexp(scores(unary, pairwise, lengths, row)[1], 0) for row in range(len(unary))])


def node_marginals(unary, pairwise, lengths):
    n, t, k = unary.shape
    found = unary.new_zeros(n, t, k)
    for row in range(n):
        states, total = scores(unary, pairwise, lengths, row)
        p = torch.softmax(total, 0)
        for place in range(int(lengths[row])):
            found[row, place] = unary.new_zeros(k).index_add(0, states[:, place], p)
    return found


def edge_marginals(unary, pairwise, lengths):
    n, t, k = unary.shape
    found = unary.new_zeros(n, t - 1, k * k)
    for row in range(n):
        states, total = scores(unary, pairwise, lengths, row)
        p = torch.softmax(total, 0)
        for place in range(int(lengths[row]) - 1):
            found[row, place].index_add_(0, states[:, place] * k + states[:, place + 1], p)
    return found.view(n, t - 1, k, k)
