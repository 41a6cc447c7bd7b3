"""The convex solids that everything is made of: where a ray is inside of each, the normal of the surface, the extent along a direction.

A solid lies in its own coordinates: an ellipsoid is the unit ball there (its radii are in its matrix), a box is |x_i| <= size_i, a
cylinder has the axis z with radius size_0 and half height size_2, a cone has its tip at z = size_2 and its base of radius size_0 at
z = -size_2, a capsule is all that is nearer than size_0 to the axis |z| <= size_2, a plane is z <= 0.

Only +, -, *, /, sqrt and comparisons are used, which every processor rounds alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

ELLIPSOID, BOX, CYLINDER, CONE, CAPSULE, PLANE = range(6)
KINDS = ("ellipsoid", "box", "cylinder", "cone", "capsule", "plane")
FAR = 1e9
_TINY = 1e-12

Vector = tuple[Tensor, Tensor, Tensor]
Interval = tuple[Tensor, Tensor]


def interval(kind: int, start: Vector, along: Vector, size: Vector) -> Interval:
    """Where start + t * along is inside: (t_in, t_out), each (K,), in the solid's own coordinates; empty where not t_in < t_out.

    The start is first moved to the point of the ray nearest to the middle, so that a small solid far away loses no digits.
    """
    if kind == PLANE:
        return _plane(start, along)
    moved = -dot(start, along) / (dot(along, along) + _TINY)
    near = (start[0] + moved * along[0], start[1] + moved * along[1], start[2] + moved * along[2])
    first, last = _INSIDE[kind](near, along, size)
    return first + moved, last + moved


def dot(a: Vector, b: Vector) -> Tensor:
    """The inner product of columns of vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def root(x: Tensor) -> Tensor:
    """The square root, 0 below 0. On the CPU NumPy's, which is exact everywhere and does not slow down at numbers below 0."""
    positive = x.clamp(min=0)
    return torch.from_numpy(np.sqrt(positive.numpy())) if x.device.type == "cpu" else positive.sqrt()


def _apart(d: Tensor) -> Tensor:
    """d with zeros replaced by something tiny."""
    return d + (d == 0).to(d.dtype) * 1e-20


def _ellipsoid(o: Vector, d: Vector, size: Vector) -> Interval:
    half = root((1 - dot(o, o)) / dot(d, d))  # o is at right angles to d
    return -half, half


def _slab(o: Tensor, d: Tensor, half: Tensor) -> Interval:
    inverse = 1 / _apart(d)
    one, two = (-half - o) * inverse, (half - o) * inverse
    return torch.minimum(one, two), torch.maximum(one, two)


def _box(o: Vector, d: Vector, size: Vector) -> Interval:
    first, last = _slab(o[0], d[0], size[0])
    for axis in (1, 2):
        entry, leave = _slab(o[axis], d[axis], size[axis])
        first, last = torch.maximum(first, entry), torch.minimum(last, leave)
    return first, last


def _round(o: Vector, d: Vector, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Inside of the infinite cylinder about z: the middle and half the length of the interval."""
    a = d[0] * d[0] + d[1] * d[1] + _TINY
    middle = -(o[0] * d[0] + o[1] * d[1]) / a
    x, y = o[0] + middle * d[0], o[1] + middle * d[1]
    return middle, root((radius * radius - (x * x + y * y)) / a)


def _cylinder(o: Vector, d: Vector, size: Vector) -> Interval:
    middle, half = _round(o, d, size[0])
    first, last = _slab(o[2], d[2], size[2])
    return torch.maximum(first, middle - half), torch.minimum(last, middle + half)


def _cone(o: Vector, d: Vector, size: Vector) -> Interval:
    """x^2 + y^2 <= k^2 w^2 with the depth below the tip w = h - z in [0, 2 h] and k = radius / (2 h)."""
    k = size[0] / (2 * size[2])
    w, dw = (size[2] - o[2]) * k, -d[2] * k
    a = _apart(d[0] * d[0] + d[1] * d[1] - dw * dw)
    b = o[0] * d[0] + o[1] * d[1] - w * dw
    c = o[0] * o[0] + o[1] * o[1] - w * w
    half = root(b * b - a * c) / a.abs()
    middle = -b / a
    low, high = middle - half, middle + half
    first, last = _slab(o[2], d[2], size[2])
    # a > 0: between the roots; a < 0: beyond the upper root where w grows, before the lower one where it falls
    flat, grows = a < 0, dw > 0
    shallow_first = torch.where(flat, torch.where(grows, high, -FAR), low)
    shallow_last = torch.where(flat, torch.where(grows, FAR, low), high)
    return torch.maximum(first, shallow_first), torch.minimum(last, shallow_last)


def _capsule(o: Vector, d: Vector, size: Vector) -> Interval:
    middle, half = _round(o, d, size[0])
    first, last = middle - half, middle + half
    ends = []
    for side, t in ((-1, first), (1, last)):
        z = o[2] + t * d[2]
        cap = torch.minimum(torch.maximum(z, -size[2]), size[2])
        rest = (o[0], o[1], o[2] - cap)
        dd = dot(d, d)
        nearest = -dot(rest, d) / dd
        p = (rest[0] + nearest * d[0], rest[1] + nearest * d[1], rest[2] + nearest * d[2])
        ball = nearest + side * root((size[0] * size[0] - dot(p, p)) / dd)
        ends.append(torch.where(z == cap, t, ball))
    return ends[0], ends[1]


def _plane(o: Vector, d: Vector) -> Interval:
    t = -o[2] / _apart(d[2])
    below = d[2] < 0
    return torch.where(below, t, -FAR), torch.where(below, FAR, t)


_INSIDE: Mapping[int, Callable[[Vector, Vector, Vector], Interval]] = MappingProxyType(
    {ELLIPSOID: _ellipsoid, BOX: _box, CYLINDER: _cylinder, CONE: _cone, CAPSULE: _capsule}
)


def gradient(kind: int, p: Vector, size: Vector) -> Vector:
    """A vector along the outward normal at points (K,) of the surface, in the solid's own coordinates, not of length 1."""
    zero = torch.zeros_like(p[0])
    if kind == PLANE:
        return zero, zero, zero + 1
    if kind == ELLIPSOID:
        return p
    if kind == BOX:
        reach = [p[axis] / size[axis] for axis in range(3)]
        most = torch.maximum(torch.maximum(reach[0].abs(), reach[1].abs()), reach[2].abs())
        x = (reach[0].abs() >= most).to(most.dtype)
        y = (reach[1].abs() >= most).to(most.dtype) * (1 - x)
        z = (1 - x) * (1 - y)
        return x * torch.sign(p[0]), y * torch.sign(p[1]), z * torch.sign(p[2])
    if kind == CAPSULE:
        return p[0], p[1], p[2] - torch.minimum(torch.maximum(p[2], -size[2]), size[2])
    if kind == CYLINDER:
        side = root(p[0] * p[0] + p[1] * p[1]) / size[0]
        cap = (p[2].abs() / size[2] >= side).to(side.dtype)
        return p[0] * (1 - cap), p[1] * (1 - cap), cap * torch.sign(p[2])
    # the base or the side, whichever surface is nearer: the side leans towards the tip
    k = size[0] / (2 * size[2])
    radius = root(p[0] * p[0] + p[1] * p[1])
    base = ((p[2] + size[2]) <= (k * (size[2] - p[2]) - radius).abs()).to(radius.dtype)
    return p[0] * (1 - base), p[1] * (1 - base), k * radius * (1 - base) - base


def reach(kind: np.ndarray, size: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far n solids reach along k directions each, from their middles: (lowest, highest), (n, k) each; planes without end.

    kind: (n,). size: (n, 3), with the radii of ellipsoids. axes: (n, k, 3) directions in each solid's own axes, of any length.
    """
    flat, size = np.hypot(axes[..., 0], axes[..., 1]), size[:, None]
    up = np.abs(axes[..., 2]) * size[..., 2]
    k = kind[:, None]
    high = np.where(k == CYLINDER, size[..., 0] * flat + up, np.inf)
    high = np.where(k == ELLIPSOID, np.sqrt((axes * axes * size * size).sum(-1)), high)
    high = np.where(k == BOX, (np.abs(axes) * size).sum(-1), high)
    high = np.where(k == CAPSULE, up + size[..., 0] * np.sqrt((axes * axes).sum(-1)), high)
    tip, base = size[..., 2] * axes[..., 2], size[..., 0] * flat
    low = np.where(k == CONE, np.minimum(tip, -tip - base), -high)
    return low, np.where(k == CONE, np.maximum(tip, -tip + base), high)
