"""A class for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.components import separated
from saccade.ops.geometry import Geometry
from saccade.ops.resample import nearest
from saccade.targets import paint
from saccade.targets.rows import moved, planes, some

IGNORED = 255
RAMP = 32
"""Pixels from the border of a part within which it weighs less than inside."""


@dataclass(frozen=True)
class SegmentationMap:
    """ids: (h, w) uint8, 0..K-1 (a background is a class like others), 255 ignored. probabilities: (K, h, w) float, None for a truth.

    What may be known besides, else None. objects: (h, w) int32, the number of the object that a pixel is of, 0 for none: a truth's single objects.
    edges: (h, w) float, an answer's probability that a pixel lies where objects meet. allowed: (K, h, w) bool, the classes that a pixel of a weak
    truth may be of where its id is ignored.
    """

    ids: Tensor
    probabilities: Tensor | None = None
    objects: Tensor | None = None
    edges: Tensor | None = None
    allowed: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the plane."""
        return int(self.ids.shape[0]), int(self.ids.shape[1])

    @staticmethod
    def empty(size: tuple[int, int]) -> SegmentationMap:
        """A plane (h, w) of which nothing is known."""
        return SegmentationMap(torch.full(size, IGNORED, dtype=torch.uint8))

    def numbered(self, background: int | None = None, *, least: int = 1) -> np.ndarray:
        """(h, w) int32: the objects that are told; else the connected pixels of each class but the background, pulled apart at the edges where there
        are any, of `least` pixels. Numbers begin at 1."""
        if self.objects is not None:
            return self.objects.cpu().numpy()
        edges = None if self.edges is None else self.edges.float().cpu().numpy()
        return separated(self.ids.cpu().numpy(), edges, background, least=least)

    def warp(self, g: Geometry) -> SegmentationMap:
        """The classes of the nearest pixels, 255 outside; probabilities are resampled like a picture, and are all 0 outside."""
        device = self.ids.device
        ids = torch.from_numpy(nearest(self.ids.cpu().numpy(), g, IGNORED)).to(device)
        soft = None if self.probabilities is None else torch.from_numpy(planes(self.probabilities, g, 0.0)).to(device)
        edges = None if self.edges is None else torch.from_numpy(planes(self.edges[None], g, 0.0)[0]).to(device)
        objects = None if self.objects is None else torch.from_numpy(nearest(self.objects.cpu().numpy(), g, 0)).to(device)
        allowed = None
        if self.allowed is not None:
            layers = [nearest(layer, g, 1) > 0 for layer in self.allowed.cpu().numpy().astype(np.uint8)]
            allowed = torch.from_numpy(np.stack(layers)).to(device)
        return SegmentationMap(ids, soft, objects, edges, allowed)

    def to(self, device: torch.device | str) -> SegmentationMap:
        others = (moved(t, device) for t in (self.probabilities, self.objects, self.edges, self.allowed))
        return SegmentationMap(self.ids.to(device), *others)

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 under a veil of the classes' colours, the background left clear and the ignored grey, with the names
        below it; where objects are told or pulled apart, with white lines around them."""
        canvas = paint.Canvas(image)
        canvas.fits(self.size, "a map")
        ids = self.ids.cpu().numpy()
        table = np.array([paint.colour_of(labels, k) for k in range(IGNORED)] + [paint.GREY], np.uint8)
        canvas.veil(table[ids], ids != labels.background if labels.background is not None else np.ones(ids.shape, bool))
        if self.objects is not None or self.edges is not None:
            canvas.pixels[outlined(self.numbered(labels.background))] = paint.WHITE
        counts = np.bincount(ids.ravel(), minlength=256)
        present = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k] and k != labels.background]
        canvas.legend((paint.GREY, "ignored") if k == IGNORED else (paint.colour_of(labels, k), paint.name_of(labels, k)) for k in present)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[SegmentationMap], placements: Sequence[Geometry]) -> SegmentationMap:
        """One map of the whole. When all parts have probabilities: their mean over the parts that show a pixel, in which what is near a part's
        border (`RAMP`) weighs less because the network saw less around it, and the most probable class; else of the parts in order the first that
        knows a pixel, its allowed classes too. 255 where none does. Objects are found anew from the whole, because those of parts end at their
        borders. Raises ValueError without parts."""
        size, listed = placements[0].size if placements else (0, 0), list(zip(some(parts), placements, strict=True))
        if all(part.probabilities is not None for part in parts):
            return cls._averaged(listed, size)
        ids = torch.full(size, IGNORED, dtype=torch.uint8)
        masks = [part.allowed for part in parts if part.allowed is not None]
        allowed = torch.ones(len(masks[0]), *size, dtype=torch.bool) if masks else None
        for part, g in listed:
            warped = part.warp(g)
            if allowed is not None and warped.allowed is not None:
                allowed &= warped.allowed
            ids = torch.where(ids == IGNORED, warped.ids, ids)
        return cls(ids, allowed=allowed)

    @classmethod
    def _averaged(cls, listed: Sequence[tuple[SegmentationMap, Geometry]], size: tuple[int, int]) -> SegmentationMap:
        first = listed[0][0].probabilities
        assert first is not None
        with_edges = all(part.edges is not None for part, _ in listed)
        total = torch.zeros(len(first) + with_edges, *size)  # the edges are the last plane
        mass = torch.zeros(size)
        for part, g in listed:
            assert part.probabilities is not None
            layers = part.probabilities.float()
            if with_edges and part.edges is not None:
                layers = torch.cat([layers, part.edges[None].float()])
            if len(listed) > 1:
                layers = layers * ramp(part.size)
            at = _offset(g)
            if at is None:
                placed = torch.from_numpy(planes(layers, g, 0.0))
                total += placed
                mass += placed[: len(first)].sum(0)
            else:
                top, left = at
                inner = layers[:, max(0, -top) : size[0] - top, max(0, -left) : size[1] - left]
                rows, columns = slice(max(0, top), max(0, top) + inner.shape[1]), slice(max(0, left), max(0, left) + inner.shape[2])
                total[:, rows, columns] += inner
                mass[rows, columns] += inner[: len(first)].sum(0)
        total /= mass.clamp_min(1e-12)
        ids = torch.where(mass > 0, total[: len(first)].argmax(0), IGNORED).to(torch.uint8)
        return cls(ids, total[: len(first)], edges=total[-1] if with_edges else None)


def outlined(numbers: np.ndarray) -> np.ndarray:
    """(h, w) bool: the pixels of objects whose right or lower neighbour is of none or of another, or whose left or upper one is of none.

    >>> outlined(np.array([[1, 1, 2, 0]])).tolist()
    [[False, True, True, False]]
    """
    found = np.zeros(numbers.shape, bool)
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        found[a] |= (numbers[a] != numbers[b]) & (numbers[a] > 0)
        found[b] |= (numbers[a] == 0) & (numbers[b] > 0)
    return found


def ramp(size: tuple[int, int]) -> Tensor:
    """(h, w): the weight of a part's pixels in a mean of parts, rising evenly from the border to 1 at `RAMP` pixels from it."""
    lines = [torch.minimum(torch.arange(1, side + 1), torch.arange(side, 0, -1)).clamp_max(RAMP) / RAMP for side in size]
    return torch.outer(lines[0], lines[1])


def _offset(g: Geometry) -> tuple[int, int] | None:
    """(top, left) where a geometry only moves by whole pixels, else None."""
    if not g.affine or g.matrix[:, :2].tolist() != np.eye(2).tolist() or (g.matrix[:, 2] % 1).any():
        return None
    return int(g.matrix[1, 2]), int(g.matrix[0, 2])
