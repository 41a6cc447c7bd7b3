"""Views of a batch for test-time augmentation: mirrored, turned, cut out; each with the geometry that its answers are brought back by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from saccade.core import Geometry, Meta
from saccade.errors import UsageError, nearest

CROP = 7 / 8  # of a side: 224 of 256 pixels (Krizhevsky et al. 2012, section 4.1)
View = Callable[[Tensor], tuple[Tensor, Geometry]]  # (C, h, w) -> the view of one picture, and where its pixels went


def _plain(x: Tensor) -> tuple[Tensor, Geometry]:
    return x, Geometry.identity(_size(x))


def _flip(x: Tensor) -> tuple[Tensor, Geometry]:
    return x.flip(2), Geometry.flip(_size(x))


def _flip_vertical(x: Tensor) -> tuple[Tensor, Geometry]:
    h, w = _size(x)
    return x.flip(1), Geometry(np.array([[1.0, 0.0, 0.0], [0.0, -1.0, h]]), (h, w))


def _turned(turns: int) -> View:
    """So many right angles clockwise."""

    def view(x: Tensor) -> tuple[Tensor, Geometry]:
        geometry = Geometry.identity(_size(x))
        for _ in range(turns):
            h, w = geometry.size
            geometry = geometry.then(Geometry(np.array([[0.0, -1.0, h], [1.0, 0.0, 0.0]]), (w, h)))
        return x.rot90(-turns, (1, 2)), geometry

    return view


def _crop(right: float, down: float, mirrored: bool = False) -> View:
    """A window of `CROP` of each side, at such a share of the way to the right and down, enlarged to the whole."""

    def view(x: Tensor) -> tuple[Tensor, Geometry]:
        h, w = _size(x)
        rows, columns = max(1, round(CROP * h)), max(1, round(CROP * w))
        top, left = round(down * (h - rows)), round(right * (w - columns))
        window = x[:, top : top + rows, left : left + columns]
        large = torch.nn.functional.interpolate(window[None], (h, w), mode="bilinear", align_corners=False)[0]
        geometry = Geometry.crop(left, top, (rows, columns)).then(Geometry.resize((rows, columns), (h, w)))
        return (large.flip(2), geometry.then(Geometry.flip((h, w)))) if mirrored else (large, geometry)

    return view


_CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5))
VIEWS: dict[str, tuple[View, ...]] = {
    "none": (_plain,),
    "flip": (_plain, _flip),
    "flips": (_plain, _flip, _flip_vertical, _turned(2)),
    "turns": (_plain, _turned(1), _turned(2), _turned(3)),
    "five_crop": tuple(_crop(x, y) for x, y in _CORNERS),
    "ten_crop": tuple(_crop(x, y, m) for m in (False, True) for x, y in _CORNERS),  # Krizhevsky et al. 2012, section 4.1
}


def views_named(name: str) -> tuple[View, ...]:
    """The views of a name. Raises UsageError USE-VALUE."""
    if name not in VIEWS:
        raise UsageError("USE-VALUE", f"{name}; {nearest(name, VIEWS)}", where="--views")
    return VIEWS[name]


def seen(view: View, inputs: Tensor, sizes: Tensor, meta: Sequence[Meta]) -> tuple[Tensor, Tensor, list[Meta]]:
    """A batch as this view shows it: (N, C, h', w') inputs, (N, 2) sizes, and where everything went. Only what is valid of an input is moved,
    the padding stays at the right and at the bottom."""
    plane = view(inputs[0])[1].size
    found = [view(x[:, : int(h), : int(w)]) for x, (h, w) in zip(inputs, sizes.tolist(), strict=True)]
    out = inputs.new_zeros(len(inputs), inputs.shape[1], *plane)
    for row, (x, _) in zip(out, found, strict=True):
        row[:, : x.shape[1], : x.shape[2]] = x
    extents = torch.tensor([g.size for _, g in found], device=sizes.device, dtype=sizes.dtype)
    return out, extents, _told(meta, [Geometry(g.matrix, plane) for _, g in found])


def _told(meta: Sequence[Meta], geometries: Sequence[Geometry]) -> list[Meta]:
    return [replace(m, geometry=m.geometry.then(g)) for m, g in zip(meta, geometries, strict=True)]


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
