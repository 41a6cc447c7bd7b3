"""Where the pixels of one plane go in another: a matrix, the size it maps into, and perhaps a smooth bend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Geometry:
    """A matrix that takes source points (x, y) to target points, and the target size.

    Coordinates are continuous pixels, x in [0, W]; a flip is x -> W - x, not W - 1 - x. A bend (elastic deformation) is
    given on a coarse grid over the target in the direction of sampling: what the matrix sends to p + b(p) appears at p.

    >>> g = Geometry.resize((100, 200), (50, 50))
    >>> g.points(np.array([[200.0, 100.0]])).tolist()
    [[50.0, 50.0]]
    """

    matrix: np.ndarray  # (2, 3) affine, or (3, 3) projective, float64
    size: tuple[int, int]  # (h, w) of the target
    bend: np.ndarray | None = None  # (gh, gw, 2) offsets (x, y) in target pixels on a grid whose corners are the target's

    @property
    def affine(self) -> bool:
        """Whether straight parallels stay so: no perspective and no bend."""
        return len(self.matrix) == 2 and self.bend is None

    @property
    def square(self) -> np.ndarray:
        """The matrix as (3, 3)."""
        return self.matrix if len(self.matrix) == 3 else np.vstack([self.matrix, [0.0, 0.0, 1.0]])

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged: the determinant at the middle of the target's source is negative."""
        return bool(np.linalg.det(self.square) < 0)

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
    def crop(x: float, y: float, size: tuple[int, int]) -> Geometry:
        """The window of a size (h, w) whose upper left corner is (x, y); nothing is scaled."""
        return Geometry(np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]]), size)

    @staticmethod
    def flip(size: tuple[int, int]) -> Geometry:
        """Left and right exchanged."""
        return Geometry(np.array([[-1.0, 0.0, size[1]], [0.0, 1.0, 0.0]]), size)

    def then(self, after: Geometry) -> Geometry:
        """This geometry first, `after` second: the matrix product. Raises ValueError when this one is bent: a bend comes last."""
        if self.bend is not None:
            raise ValueError("a bend is the last geometry of a chain, nothing can follow it")
        product = after.square @ self.square
        whole = len(self.matrix) == 3 or len(after.matrix) == 3
        return Geometry(product if whole else product[:2], after.size, after.bend)

    def inverse(self, size: tuple[int, int]) -> Geometry:
        """The way back, into a source of the given size. Raises numpy.linalg.LinAlgError when the matrix is singular, ValueError when it is bent."""
        if self.bend is not None:
            raise ValueError("a bent geometry has no inverse matrix; use `back` for points")
        inverted = np.linalg.inv(self.square)
        return Geometry(inverted[:2] if len(self.matrix) == 2 else inverted, size)

    def points(self, xy: np.ndarray) -> np.ndarray:
        """(n, 2) source points -> (n, 2) target points; nan where a perspective puts a point behind the viewer."""
        moved = _mapped(self.square, xy) if len(self.matrix) == 3 else np.asarray(xy, dtype=np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        if self.bend is None:
            return moved
        found = moved.copy()  # p + b(p) = moved: b is small and smooth, so p <- moved - b(p) contracts
        for _ in range(50):
            found, before = moved - self.offsets(found), found
            if np.nanmax(np.abs(found - before), initial=0.0) < 1e-9:
                break
        return found

    def back(self, xy: np.ndarray) -> np.ndarray:
        """(n, 2) target points -> (n, 2) source points. Raises numpy.linalg.LinAlgError when the matrix is singular."""
        bent = np.asarray(xy, dtype=np.float64)
        if self.bend is not None:
            bent = bent + self.offsets(bent)
        return _mapped(np.linalg.inv(self.square), bent)

    def offsets(self, xy: np.ndarray) -> np.ndarray:
        """The bend at (n, 2) target points: bilinear between the grid's points, constant beyond its edge; zeros without a bend."""
        points = np.asarray(xy, dtype=np.float64)
        if self.bend is None:
            return np.zeros_like(points)
        rows, columns = self.bend.shape[:2]
        h, w = self.size
        x = np.nan_to_num(np.clip(points[:, 0] / w * (columns - 1), 0, columns - 1))
        y = np.nan_to_num(np.clip(points[:, 1] / h * (rows - 1), 0, rows - 1))
        x0, y0 = np.minimum(x.astype(int), columns - 2), np.minimum(y.astype(int), rows - 2)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        upper = self.bend[y0, x0] * (1 - fx) + self.bend[y0, x0 + 1] * fx
        lower = self.bend[y0 + 1, x0] * (1 - fx) + self.bend[y0 + 1, x0 + 1] * fx
        between: np.ndarray = upper * (1 - fy) + lower * fy
        return between


def _mapped(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Points under a (3, 3) matrix; nan where the third coordinate is not positive."""
    lifted = np.asarray(xy, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    depth = np.where(lifted[:, 2:] > 1e-9, lifted[:, 2:], np.nan)
    mapped: np.ndarray = lifted[:, :2] / depth
    return mapped
