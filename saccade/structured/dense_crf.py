"""The fully connected CRF of an image: every pixel tied to every other by Gaussian kernels, answered by mean field (Krähenbühl and Koltun 2011).

    score(x) = sum_i unary_i(x_i) - sum_{i<j} compatibility(x_i, x_j) sum_m weight_m k_m(f_i, f_j)

A kernel is exp(-|p_i - p_j|^2 / 2 position^2 - |I_i - I_j|^2 / 2 colour^2), without the second term where `colour` is None (smoothness),
normalised to k / sqrt(d_i d_j), where d is its sum over all pixels. A round of mean field is

    q_i <- softmax(unary_i - sum_l' compatibility(., l') sum_m weight_m sum_{j != i} k_m(f_i, f_j) q_j(l')),   at first softmax(unary)

How the sums are made: smoothness is separable on the grid of pixels and exact, always. Appearance is exact too up to 4,096 pixels, by the matrix
of all pairs; above, the permutohedral lattice. On photographs of 64 x 64 pixels the lattice's marginals differ from the exact ones by 0.003 to 0.008 in
the mean (tests/oracle/test_dense_crf.py holds it), and more at single pixels. Everything is differentiable through its rounds: in the
unary scores, weights and compatibility always, in the widths and the image where the sums are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from saccade.structured.permutohedral import Lattice, gaussian_sum, lattice

EXACT_PIXELS = 4096
Sums = Literal["auto", "exact", "lattice"]


class Kernel(NamedTuple):
    """weight: how strongly it ties, a number or a scalar tensor. position: its width in pixels. colour: its width in the image's units ([0, 1]), or None."""

    weight: float | Tensor
    position: float | Tensor
    colour: float | Tensor | None = None


def potts(classes: int, like: Tensor) -> Tensor:
    """(K, K): 0 on the diagonal and 1 elsewhere; every difference costs the same."""
    return 1 - torch.eye(classes, dtype=like.dtype, device=like.device)


def dense_crf(unary: Tensor, image: Tensor, kernels: Sequence[Kernel], *, compatibility: Tensor | None = None, rounds: int = 5, sums: Sums = "auto") -> Tensor:
    """(N, K, H, W): the logarithms of the marginals after so many rounds.

    unary: (N, K, H, W) scores, such as logits. image: (N, C, H, W). compatibility: (K, K), what a pair of labels costs, Potts when None.
    sums: how appearance is summed; auto is exact up to 4,096 pixels. Raises ValueError for shapes that do not fit and values out of range.
    """
    if unary.ndim != 4 or image.ndim != 4 or unary.shape[::2] != (len(image), image.shape[2]) or unary.shape[3] != image.shape[3]:
        raise ValueError(f"unary scores are (N, K, H, W) and images (N, C, H, W), got {tuple(unary.shape)} and {tuple(image.shape)}")
    if rounds < 0 or not kernels or sums not in ("auto", "exact", "lattice"):
        raise ValueError(f"rounds of 0 or more, some kernels, and sums auto, exact or lattice; got {rounds}, {len(kernels)} and {sums!r}")
    for kernel in kernels:
        if not all(float(torch.as_tensor(width).detach()) > 0 for width in kernel[1:] if width is not None):
            raise ValueError(f"the widths of a kernel are above 0, got {kernel}")
    if compatibility is not None and compatibility.shape != (unary.shape[1],) * 2:
        raise ValueError(f"the compatibility of {unary.shape[1]} labels is square, got {tuple(compatibility.shape)}")
    cost = potts(unary.shape[1], unary) if compatibility is None else compatibility
    return torch.stack([_one(u, i.to(unary.dtype), kernels, cost, rounds, sums) for u, i in zip(unary, image, strict=True)])


def _one(unary: Tensor, image: Tensor, kernels: Sequence[Kernel], cost: Tensor, rounds: int, sums: Sums) -> Tensor:
    """(K, H, W) of one image."""
    return mean_field(unary, [(kernel.weight, Tie(kernel, image, sums)) for kernel in kernels], cost, rounds)


def mean_field(unary: Tensor, ties: Sequence[tuple[float | Tensor, Tie]], cost: Tensor, rounds: int) -> Tensor:
    """`dense_crf` of one image, (K, H, W), with ties that were made before and the weight of each."""
    k, h, w = unary.shape
    scores = unary.flatten(1).T.contiguous()  # (H W, K)
    log_q = torch.log_softmax(scores, 1)
    for _ in range(rounds):
        q = log_q.exp()
        heard = torch.zeros_like(q)
        for weight, tie in ties:
            heard = heard + weight * tie.others(q)
        log_q = torch.log_softmax(scores - heard @ cost.T, 1)
    return log_q.T.reshape(k, h, w)


class Tie:
    """One kernel on one image (C, H, W): the normalised sum over all other pixels. The kernel's weight does not enter: it is made once for many weights."""

    def __init__(self, kernel: Kernel, image: Tensor, sums: Sums = "auto") -> None:
        self.size = image.shape[1], image.shape[2]
        self.bands: tuple[Tensor, Tensor] | None = None
        self.matrix: Tensor | None = None
        self.lattice: Lattice | None = None
        n = image.shape[1] * image.shape[2]
        if kernel.colour is None:
            self.bands = _band(self.size[0], kernel.position, image), _band(self.size[1], kernel.position, image)
        elif sums == "exact" or (sums == "auto" and n <= EXACT_PIXELS):
            self.matrix = all_pairs(features(image, kernel))
        else:
            self.lattice = lattice(features(image, kernel))
        self.norm = self.everyone(image.new_ones(n, 1)).rsqrt()

    def everyone(self, x: Tensor) -> Tensor:
        """(H W, K) -> (H W, K): the kernel's sum over all pixels, the own one included."""
        if self.bands is not None:
            (h, w), k = self.size, x.shape[1]
            down = (self.bands[0] @ x.reshape(h, w * k)).view(h, w, k)
            return (self.bands[1] @ down.transpose(0, 1).reshape(w, h * k)).view(w, h, k).transpose(0, 1).reshape(h * w, k)
        if self.matrix is not None:
            return self.matrix @ x
        assert self.lattice is not None
        return gaussian_sum(x, self.lattice)

    def others(self, q: Tensor) -> Tensor:
        """(H W, K) -> (H W, K): sum_{j != i} k_ij q_j, normalised."""
        x = self.norm * q
        return self.norm * (self.everyone(x) - x)


def features(image: Tensor, kernel: Kernel) -> Tensor:
    """(H W, 2 or 2 + C): x and y over the kernel's width, and the colours over theirs."""
    h, w = image.shape[1:]
    y, x = torch.meshgrid(torch.arange(h, device=image.device), torch.arange(w, device=image.device), indexing="ij")
    place = torch.stack([x, y], -1).reshape(-1, 2).to(image.dtype) / kernel.position
    return place if kernel.colour is None else torch.cat([place, image.flatten(1).T / kernel.colour], 1)


def all_pairs(f: Tensor) -> Tensor:
    """(n, n): exp(-|f_i - f_j|^2 / 2)."""
    f = f - f.mean(0, keepdim=True)
    square = (f * f).sum(1)
    return _falling((0.5 * (square[:, None] + square[None]) - f @ f.T).clamp_min(0))


def _band(length: int, width: float | Tensor, like: Tensor) -> Tensor:
    """(length, length): exp(-(i - j)^2 / 2 width^2)."""
    place = torch.arange(length, dtype=like.dtype, device=like.device)
    return _falling(0.5 * ((place[:, None] - place[None]) / width) ** 2)


def _falling(x: Tensor) -> Tensor:
    """exp(-x), 0 from x = 60 on: numbers as small as those are slow to calculate with, and vanish in every sum."""
    return torch.exp(-x).masked_fill(x.detach() > 60, 0.0)


def naive_mean_field(unary: Tensor, image: Tensor, kernels: Sequence[Kernel], compatibility: Tensor, rounds: int) -> Tensor:
    """(K, H, W) log marginals of one image by the definition, pixel against pixel: memory and time grow with (H W)^2."""
    k, h, w = unary.shape
    ties = torch.zeros(h * w, h * w, dtype=unary.dtype, device=unary.device)
    for kernel in kernels:
        f = features(image, kernel)
        pairs = torch.exp(-0.5 * ((f[:, None] - f[None]) ** 2).sum(2))
        d = pairs.sum(1)
        ties = ties + kernel.weight * pairs / (d[:, None] * d[None]).sqrt()
    ties = ties - torch.diag(ties.diagonal())
    scores = unary.flatten(1)
    log_q = torch.log_softmax(scores, 0)
    for _ in range(rounds):
        log_q = torch.log_softmax(scores - compatibility @ (log_q.exp() @ ties.T), 0)
    return log_q.reshape(k, h, w)
