"""Filters learnt from image patches without labels: k-means, ICA, sparse coding or PCA, with or without whitening before.

scikit-learn learns (MiniBatchKMeans, FastICA, MiniBatchDictionaryLearning); here patches are cut, brought to one brightness and contrast, and
whitened, and what was learnt is shown as filters on pixels. Whitened patches give Gabor-like edges and Laplacian-like spots, and in colour
opponent colours (Bell and Sejnowski 1997; Olshausen and Field 1996; Coates and Ng 2012); unwhitened ones give blobs and waves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch

from saccade.classic.pca import PCA
from saccade.ops.filters import draw_bank

Array = np.ndarray[Any, Any]
Learner = Literal["kmeans", "ica", "sparse", "pca"]
CONTRAST = 10 / 255  # added to a patch's standard deviation before it is divided by it (Coates and Ng 2012)


def sample_patches(images: Sequence[Array], size: int, count: int, *, seed: int = 0) -> Array:
    """(count, size size C) float32 in [0, 1] of images (h, w) or (h, w, C) in [0, 1] or bytes, every image as likely, values row by row.

    Raises ValueError where an image is smaller than a patch, images differ in channels, or there are none.
    """
    chosen = [np.asarray(image)[..., None] if np.ndim(image) == 2 else np.asarray(image) for image in images]
    if not chosen or size < 1 or count < 1 or len({image.shape[2] for image in chosen}) > 1:
        raise ValueError(f"patches of 1 pixel or more from images of one depth, got {len(chosen)} images, size {size}, count {count}")
    if small := next((image.shape for image in chosen if min(image.shape[:2]) < size), None):
        raise ValueError(f"a patch of {size}x{size} does not fit into an image of {small[0]}x{small[1]}")
    chance = np.random.default_rng(seed)
    found = np.empty((count, size, size, chosen[0].shape[2]), np.float32)
    for row, place in enumerate(chance.integers(0, len(chosen), count)):
        image = chosen[place]
        y, x = (int(chance.integers(0, side - size + 1)) for side in image.shape[:2])
        found[row] = image[y : y + size, x : x + size].astype(np.float32) / (255 if image.dtype == np.uint8 else 1)
    return found.reshape(count, -1)


class PatchDictionary:
    """`atoms` filters of `size` x `size` patches of `channels`.

    learner: kmeans (centres), ica (independent components, FastICA), sparse (dictionary of a sparse code with penalty `penalty`), pca. whiten:
    patches are ZCA-whitened before, `epsilon` added to the variances of patches of unit contrast. normalise: mean 0 and unit contrast a patch first.
    After `fit`: atoms_ (atoms, size size C), unit length each, in the space that was learnt in; filters_, the same as what a patch of
    pixels is multiplied by: a whitened atom with the whitening joined to it. Raises ValueError for values out of range.
    """

    atoms_: Array
    filters_: Array

    def __init__(
        self,
        atoms: int = 64,
        *,
        size: int = 8,
        channels: int = 3,
        learner: Learner = "kmeans",
        whiten: bool = True,
        epsilon: float = 0.1,
        normalise: bool = True,
        penalty: float = 1.0,
        seed: int = 0,
    ) -> None:
        if learner not in ("kmeans", "ica", "sparse", "pca") or min(atoms, size, channels) < 1 or epsilon < 0 or penalty <= 0:
            raise ValueError(f"learner kmeans, ica, sparse or pca, sizes from 1, epsilon from 0, penalty above 0; got {learner!r}, {atoms}, {size}, {channels}")
        if learner in ("ica", "pca") and atoms > size * size * channels - 1:
            raise ValueError(f"{learner} finds at most {size * size * channels - 1} filters of {size}x{size}x{channels} patches, asked for {atoms}")
        self.atoms, self.size, self.channels, self.learner, self.whiten = atoms, size, channels, learner, whiten
        self.epsilon, self.normalise, self.penalty, self.seed = epsilon, normalise, penalty, seed

    def prepared(self, patches: Array) -> Array:
        """Rows of patches with mean 0 and nearly unit contrast, as they are learnt from before whitening."""
        if patches.ndim != 2 or patches.shape[1] != self.size**2 * self.channels:
            raise ValueError(f"patches are (n, {self.size**2 * self.channels}), got {patches.shape}")
        rows = np.asarray(patches, np.float64)
        if self.normalise:
            rows = rows - rows.mean(1, keepdims=True)
            rows = rows / (rows.std(1, keepdims=True) + CONTRAST)
        return rows

    def fit(self, patches: Array, truth: Any = None) -> Self:
        """From (n, size size C) rows, more of them than atoms."""
        rows = self.prepared(patches)
        if len(rows) <= self.atoms:
            raise ValueError(f"{self.atoms} filters need more patches than that, got {len(rows)}")
        self._whitener = PCA(whiten="zca", epsilon=self.epsilon).fit(rows).whitener() if self.whiten else None
        white = self._whitener.transform(rows) if self._whitener else rows - rows.mean(0)
        atoms = self._learnt(white)
        length = np.linalg.norm(atoms, axis=1, keepdims=True)
        self.atoms_ = atoms / np.where(length > 0, length, 1.0)
        self.filters_ = self.atoms_ @ self._whitener.matrix if self._whitener else self.atoms_
        return self

    def _learnt(self, white: Array) -> Array:
        if self.learner == "pca":
            return PCA(self.atoms).fit(white).components_
        if self.learner == "kmeans":
            from sklearn.cluster import MiniBatchKMeans

            centres: Array = MiniBatchKMeans(self.atoms, batch_size=4096, n_init=1, random_state=self.seed).fit(white).cluster_centers_
            return centres
        if self.learner == "ica":
            return self._independent(white)
        from sklearn.decomposition import MiniBatchDictionaryLearning

        learner = MiniBatchDictionaryLearning(
            self.atoms, alpha=self.penalty, batch_size=256, max_iter=20, max_no_improvement=None, tol=0, random_state=self.seed
        )
        found: Array = learner.fit(white).components_
        return found

    def _independent(self, white: Array) -> Array:
        """Unmixing rows of FastICA; it may stop before it has settled, which changes filters little and is no reason to warn."""
        import warnings

        from sklearn.decomposition import FastICA
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found: Array = FastICA(self.atoms, whiten="unit-variance", max_iter=200, tol=1e-3, random_state=self.seed).fit(white).components_
        return found

    def transform(self, patches: Array) -> Array:
        """(n, size size C) -> (n, atoms): what each filter says of each patch."""
        rows = self.prepared(patches)
        if self._whitener:
            rows = self._whitener.transform(rows)
        out: Array = rows @ self.atoms_.T
        return out

    def fit_transform(self, patches: Array, truth: Any = None) -> Array:
        return self.fit(patches).transform(patches)

    def planes(self) -> Array:
        """(atoms, C, size, size): the learnt atoms as pictures."""
        return self.atoms_.reshape(-1, self.size, self.size, self.channels).transpose(0, 3, 1, 2)

    def draw(self, *, columns: int = 8, zoom: int = 6) -> Array:
        """A sheet (H, W, 3) uint8 of all atoms, grey is 0, each scaled by its largest value; more than 3 channels or 2 are shown by their mean."""
        planes = self.planes()
        if self.channels == 3:
            return _coloured(planes, columns, zoom)
        return draw_bank([torch.from_numpy(plane.mean(0).copy()) for plane in planes], columns=columns, zoom=zoom)


def _coloured(planes: Array, columns: int, zoom: int) -> Array:
    shown = planes / np.abs(planes).max((1, 2, 3), keepdims=True).clip(1e-12)
    tiles = ((shown + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1).repeat(zoom, 1).repeat(zoom, 2)
    tiles = np.pad(tiles, ((0, -len(tiles) % columns), (1, 1), (1, 1), (0, 0)), constant_values=255)
    h, w = tiles.shape[1:3]
    sheet: Array = tiles.reshape(-1, columns, h, w, 3).transpose(0, 2, 1, 3, 4).reshape(-1, columns * w, 3)
    return sheet


def opponency(planes: Array) -> Array:
    """(n, 3, h, w) -> (n,): the share of each filter's energy that is in colour, not in grey: 0 for black and white, 1 where the channels cancel."""
    grey = planes.mean(1, keepdims=True)
    total = (planes**2).sum((1, 2, 3))
    found: Array = 1 - 3 * (grey**2).sum((1, 2, 3)) / np.where(total > 0, total, 1.0)
    return found


def gabor_likeness(planes: Array) -> Array:
    """(n, h, w) -> (n,) in [0, 1]: the share of each filter's energy that the best of many Gabors (any phase) or Laplacians of Gaussians explains.

    Envelopes of 0.12 to 0.3 of the side that lie within the patch, so that a wave that fills it, or a flat patch, is like none of them.
    """
    n, h, w = planes.shape
    centred = (planes - planes.mean((1, 2), keepdims=True)).reshape(n, -1)
    energy = (centred**2).sum(1)
    y, x = np.mgrid[:h, :w].astype(np.float64)
    best = np.zeros(n)
    for sigma in np.array([0.12, 0.18, 0.25, 0.3]) * h:
        for cy in np.linspace(0.1 * h, 0.9 * h - 1, 5):
            for cx in np.linspace(0.1 * w, 0.9 * w - 1, 5):
                r2 = ((x - cx) ** 2 + (y - cy) ** 2) / sigma**2
                hill = np.exp(-0.5 * r2)
                bases = [[(2 - r2) * hill]]
                for angle in np.arange(8) * np.pi / 8:
                    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
                    bases += [[hill * np.cos(2 * np.pi * f * along), hill * np.sin(2 * np.pi * f * along)] for f in (0.2 / sigma, 0.35 / sigma)]
                for basis in bases:
                    rows = np.stack([(b - b.mean()).ravel() for b in basis])
                    axes = np.linalg.qr(rows.T)[0]
                    best = np.maximum(best, ((centred @ axes) ** 2).sum(1))
    out: Array = best / np.where(energy > 0, energy, 1.0)
    return out
