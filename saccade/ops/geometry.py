"""The one geometry of a sample: an affine map of the plane and the size it maps into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Geometry:
    """A 2x3 matrix that takes source points (x, y) to target points, and the target size.

    Coordinates are continuous pixels, x in [0, W]; a flip is x -> W - x, not W - 1 - x.

    >>> g = Geometry.resize((100, 200), (50, 50))
    >>> g.points(np.array([[200.0, 100.0]])).tolist()
    [[50.0, 50.0]]
    """

    matrix: np.ndarray  # (2, 3) float64
    size: tuple[int, int]  # (h, w) of the target

    @staticmethod
    def identity(size: tuple[int, int]) -> Geometry:
        return Geometry(np.eye(2, 3), size)

    @staticmethod
    def resize(source: tuple[int, int], target: tuple[int, int]) -> Geometry:
        """Each axis by its own factor, so that the source fills the target."""
        return Geometry(np.array([[target[1] / source[1], 0.0, 0.0], [0.0, target[0] / source[0], 0.0]]), target)

    @staticmethod
    def letterbox(source: tuple[int, int], target: tuple[int, int]) -> Geometry:
        """One factor for both axes; the source is centred and the rest of the target is fill."""
        scale = min(target[0] / source[0], target[1] / source[1])
        left, top = (target[1] - scale * source[1]) / 2, (target[0] - scale * source[0]) / 2
        return Geometry(np.array([[scale, 0.0, left], [0.0, scale, top]]), target)

    @staticmethod
    def cover(source: tuple[int, int], target: tuple[int, int]) -> Geometry:
        """One factor for both axes; the target is filled and what stands over is cut evenly."""
        scale = max(target[0] / source[0], target[1] / source[1])
        left, top = (target[1] - scale * source[1]) / 2, (target[0] - scale * source[0]) / 2
        return Geometry(np.array([[scale, 0.0, left], [0.0, scale, top]]), target)

    @staticmethod
    def flip(size: tuple[int, int]) -> Geometry:
        """Left and right exchanged."""
        return Geometry(np.array([[-1.0, 0.0, size[1]], [0.0, 1.0, 0.0]]), size)

    def then(self, after: Geometry) -> Geometry:
        """This geometry first, `after` second: the matrix product."""
        square = np.vstack([self.matrix, [0.0, 0.0, 1.0]])
        return Geometry(after.matrix @ square, after.size)

    def inverse(self, size: tuple[int, int]) -> Geometry:
        """The way back, into a source of the given size. Raises numpy.linalg.LinAlgError when the matrix is singular."""
        square = np.linalg.inv(np.vstack([self.matrix, [0.0, 0.0, 1.0]]))
        return Geometry(square[:2], size)

    def points(self, xy: np.ndarray) -> np.ndarray:
        """(n, 2) source points -> (n, 2) target points."""
        moved: np.ndarray = np.asarray(xy, dtype=np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved
