"""Classes of superpixels: what each looks like as a row of numbers, and a multinomial logistic regression on these. The floor of segmentation.

Fulkerson, Vedaldi, Soatto, "Class segmentation and object localization with superpixel neighborhoods", ICCV 2009, in small: there histograms of quantised
descriptors over a superpixel and its neighbours, and support vectors; here colour, texture and place, and a regression that ends in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from saccade.classic.floors import Array, Clock, fit_shares, softmax
from saccade.classic.superpixels import slic, touching_pixels

STEP = 8  # pixels between superpixels where nothing is said
FEW_ROUNDS = 5  # of SLIC: what later rounds move, the answers hardly tell
ORIENTATIONS = 8  # bins over half a turn
STRENGTHS = (1.0, 3.0, 9.0, 27.0)  # L* over two pixels: the bounds of the texture's bins
PENALTY = 1e-3  # of the squared weights, against the mean cross entropy of a pixel
CELLS = 6  # numbers of place and size


class Regions(NamedTuple):
    """ids: (h, w) int32 superpixels 0..n-1. features: (n, d) float32, see `feature_count`."""

    ids: Array
    features: Array


def feature_count(channels: int) -> int:
    """Numbers of a superpixel for images of so many channels, three of which are colours.

    Of each channel: mean, spread, difference to the picture's mean (in deviations of the picture, so that faint pictures are as others), difference to the
    neighbours' mean, and that mean; orientations and strengths of the gradient; place and size; and the squares of all.

    >>> feature_count(3), feature_count(1)
    (68, 48)
    """
    return 2 * (5 * channels + ORIENTATIONS + len(STRENGTHS) + 1 + CELLS)


def perceived(pixels: Array) -> Array:
    """(h, w, C) in [0, 1] -> (h, w, C) float32: L*a*b* of three channels, any others times 100, so that black and white are 100 apart."""
    from saccade.ops.colour import lab_of_rgb  # here, because it loads torch

    values = np.asarray(pixels, np.float32)
    if values.shape[2] != 3:
        return 100 * values
    import torch

    return lab_of_rgb(torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))).permute(1, 2, 0).contiguous().numpy()


def described(pixels: Array, *, step: float = STEP, compactness: float = 10.0, place: bool = True) -> Regions:
    """(h, w, C) in [0, 1] -> its superpixels, one a step x step pixels, with their features. place: False leaves the place out (it is 0 then).

    Values beyond [0, 1] are cut. Raises ValueError as `superpixels.slic` does.
    """
    image = perceived(np.clip(np.nan_to_num(np.asarray(pixels, np.float32)), 0, 1))
    h, w, channels = image.shape
    ids = slic(image, max(1, round(h * w / step**2)), compactness=compactness, rounds=FEW_ROUNDS)
    flat = ids.ravel()
    count = np.bincount(flat).astype(np.float64)
    mean = _sums(flat, image.reshape(-1, channels), len(count)) / count[:, None]
    spread = np.sqrt(np.maximum(_sums(flat, np.square(image.reshape(-1, channels) - mean[flat]), len(count)) / count[:, None], 0))
    around = neighbours(ids, mean)
    y, x = np.divmod(np.arange(flat.size), w)
    at = _sums(flat, np.stack([y, x], 1) * 2.0, len(count)) / count[:, None] + 1
    at = (at / (h, w) - 1) * place
    size = np.log(count / step**2)
    placed = np.column_stack([at, np.abs(at), np.hypot(*at.T), size])
    apart = (mean - image.mean((0, 1))) / (image.std((0, 1)) + 1)
    rows = np.column_stack([mean, spread, apart, mean - around, around, _texture(image.mean(2), flat, count), placed])
    return Regions(ids, np.column_stack([rows, np.square(rows)]).astype(np.float32))


def neighbours(ids: Array, values: Array) -> Array:
    """(n, C): the mean of the values (n, C) of the superpixels that touch each, by the length of the common border; its own where none does."""
    a, b = (ids.ravel()[place] for place in touching_pixels(ids))
    apart = a != b
    one, other = np.concatenate([a[apart], b[apart]]), np.concatenate([b[apart], a[apart]])
    length = np.bincount(one, minlength=len(values))[:, None]
    return np.where(length > 0, _sums(one, values[other], len(values)) / np.maximum(length, 1), values)


def _texture(grey: Array, flat: Array, count: Array) -> Array:
    """(n, ORIENTATIONS + len(STRENGTHS) + 1): strength of the gradient in each direction, and shares of pixels by strength."""
    padded = np.pad(grey, 1, mode="edge")
    down, across = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    strength = np.hypot(down, across).ravel()
    turn = np.floor(np.arctan2(down, across).ravel() / np.pi % 1 * ORIENTATIONS).astype(np.int64) % ORIENTATIONS
    n, bins = len(count), len(STRENGTHS) + 1
    directed = np.bincount(flat * ORIENTATIONS + turn, strength, minlength=n * ORIENTATIONS).reshape(n, -1)
    shares = np.bincount(flat * bins + np.digitize(strength, STRENGTHS), minlength=n * bins).reshape(n, -1)
    return np.column_stack([np.log1p(directed / count[:, None]), shares / count[:, None]])


def _sums(ids: Array, values: Array, n: int) -> Array:
    """(m,) ids and (m, C) values -> (n, C) float64."""
    return np.stack([np.bincount(ids, column, minlength=n) for column in values.T], 1)


def counted(ids: Array, truth: Array, classes: int, ignored: int = 255) -> Array:
    """(n, K) int64: how many pixels of each superpixel are known to be of each class; ids and truth (h, w).

    >>> counted(np.array([[0, 0, 1]]), np.array([[1, 255, 0]]), 2).tolist()
    [[0, 1], [1, 0]]
    """
    known, n = truth != ignored, int(ids.max()) + 1
    return np.bincount(ids[known].astype(np.int64) * classes + truth[known], minlength=n * classes).reshape(n, classes)


class Classifier(NamedTuple):
    """Logistic regression on (features - mean) / spread: weights (d, K), offsets (K,)."""

    mean: Array
    spread: Array
    weights: Array
    offsets: Array

    def probabilities(self, features: Array) -> Array:
        """(n, d) -> (n, K)."""
        return softmax((features - self.mean) / self.spread @ self.weights + self.offsets)


def fitted(features: Sequence[Array], counts: Sequence[Array], *, penalty: float = PENALTY, clock: Clock | None = None, steps: int = 100) -> Classifier:
    """Least mean cross entropy of all known pixels plus penalty |W|^2 / 2, every pixel answering with its superpixel; classes that no pixel has get no
    weight and the least offset.

    features: (n_i, d) of each image; counts: (n_i, K) known pixels by class, as `counted` gives them.
    Raises ValueError where no pixel is known, OutOfTime when the clock's time is over.
    """
    x, shares = np.concatenate(features), np.concatenate(counts)
    told = shares.sum(1) > 0
    if not told.any():
        raise ValueError("no pixel of any image is known")
    x, shares = x[told], shares[told]
    mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, 1.0)
    present = shares.sum(0) > 0
    found = fit_shares((x - mean) / spread, shares[:, present], 1 / (penalty * shares.sum()), clock or Clock(math.inf), steps=steps)
    weights, offsets = np.zeros((x.shape[1], shares.shape[1])), np.full(shares.shape[1], found[-1].min() - 30.0)
    weights[:, present], offsets[present] = found[:-1], found[-1]
    return Classifier(mean.astype(np.float32), spread.astype(np.float32), weights.astype(np.float32), offsets.astype(np.float32))
