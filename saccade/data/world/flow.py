"""Optical flow: where the point that each pixel sees will be in the next picture."""

from __future__ import annotations

import numpy as np

from saccade.data.world.pack import rounded
from saccade.data.world.render import Sight
from saccade.data.world.scene import Scene
from saccade.data.world.solids import ELLIPSOID


def flow(sight: Sight, now: Scene, after: Scene, number: int = 0) -> np.ndarray:
    """(2, h, w) float32 steps (x, y) in pixels, nan where nothing is seen or the point goes behind the camera.

    Each point stays where it is on its solid, whose pose at the next frame is known: x' = K (R' p + t'). The scenes have the same solids.
    """
    h, w = sight.packed.size
    points = sight.points
    pixel, solid = points.ray.cpu().numpy(), points.solid.cpu().numpy()
    first = number * h * w
    mine = np.flatnonzero((pixel >= first) & (pixel < first + h * w))
    owner = sight.packed.scene.cpu().numpy()
    earlier = int((owner < number).sum())  # solids are numbered over the batch, in the scenes' own order
    row = sight.packed.row.cpu().numpy()[solid[mine]] - earlier
    return _steps(np.stack([c.cpu().numpy()[mine] for c in points.point]).astype(np.float64), row, pixel[mine] - first, now, after, (h, w))


def _steps(seen: np.ndarray, row: np.ndarray, pixel: np.ndarray, now: Scene, after: Scene, size: tuple[int, int]) -> np.ndarray:
    one, two = _motion(now), _motion(after)
    if len(one[0]) != len(two[0]):
        raise ValueError(f"the next frame has {len(two[0])} solids, this one {len(one[0])}")
    turn, shift = np.einsum("nij,njk->nik", two[0], np.linalg.inv(one[0])), two[1]
    moved = np.einsum("nij,jn->in", turn[row], seen - one[1][row].T) + shift[row].T
    k = after.camera.pixels(size)
    found = np.full((2, size[0] * size[1]), np.nan, np.float32)
    ahead = moved[2] > 1e-3
    x, y = moved[:2, ahead] / moved[2, ahead] * k[0, 0] + k[:2, 2:]
    rows, columns = np.divmod(pixel[ahead], size[1])
    found[0, pixel[ahead]], found[1, pixel[ahead]] = x - (columns + 0.5), y - (rows + 0.5)
    return found.reshape(2, *size)


def _motion(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3, 3) and (n, 3): own -> camera coordinates of every solid, in the order of the things. An ellipsoid may change its radii."""
    solids = [solid for thing in scene.things for solid in thing.solids]
    turn = rounded([solid.turn for solid in solids])
    unit = rounded([solid.size if solid.kind == ELLIPSOID else (1.0, 1.0, 1.0) for solid in solids])
    axes = rounded(scene.camera.axes())
    centre = rounded([solid.centre for solid in solids]) - rounded(scene.camera.place)
    return np.einsum("ij,njk->nik", axes, turn) * unit[:, None, :], centre @ axes.T
