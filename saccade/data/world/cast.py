"""Rays against solids: the nearest surface of every pixel, what lies there, and which points a light cannot reach.

A solid is tested only where its box in the image is, a shadow only where the balls around a thing and around its solids are met, so
that the cost follows what is seen and not pixels times objects. Every operation is elementwise or a minimum: the result depends
neither on the number of threads nor on how many scenes are drawn together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from saccade.data.world.pack import NEAREST, Packed
from saccade.data.world.solids import KINDS, Vector, gradient, interval, root

_BITS = 20  # of the number of a solid, below the bits of its distance
NOTHING = (1 << _BITS) - 1
"""The solid of a ray that meets none."""
_FLOAT = 31  # bits of a positive float
_NONE = (((3 << _FLOAT) | 0x4E6E6B28) << _BITS) | NOTHING  # the last level, the bits of FAR
_LIFT = 1e-3  # of the distance: how far a point is lifted off its surface before it looks for the light


SUN, LAMP = 1, 2
"""Kinds of light, in row 7 of a column of `shade.Lighting`."""
Spot = tuple[float, float]
MIDDLE: Spot = (0.5, 0.5)


class Rays(NamedTuple):
    """R rays from the camera. x, y: (R,) float32 where they go through the image, in pixels. scene: (R,) int64, None for a single scene."""

    x: Tensor
    y: Tensor
    scene: Tensor | None


class Hits(NamedTuple):
    """The nearest surface along each of R rays. depth: (R,) metres along the optical axis, and solid: (R,) int64;
    FAR and NOTHING where there is none."""

    depth: Tensor
    solid: Tensor


class Candidates(NamedTuple):
    """Pairs of a ray and a solid that meet: number of the ray (K,) int64, solid (K,) int64, near and far (K,) depths."""

    ray: Tensor
    solid: Tensor
    near: Tensor
    far: Tensor


def where(mask: Tensor) -> Tensor:
    """The places (k,) int64 where a mask holds."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero().squeeze(1)


def above(values: Tensor) -> Tensor:
    """The places (k,) int64 of the numbers above 0."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(values.numpy() > 0))
    return (values > 0).nonzero().squeeze(1)


def take(values: Tensor, places: Tensor) -> Tensor:
    """The entries of a column at these places; several times faster than `values[places]`."""
    return values.index_select(0, places)


def owners(counts: Tensor) -> Tensor:
    """0 as often as counts[0] says, then 1 as often as counts[1] says, and so on: (sum of counts,) int64."""
    if counts.device.type == "cpu":
        return torch.from_numpy(np.repeat(np.arange(len(counts)), counts.numpy()))
    return torch.repeat_interleave(counts)


def _pairs(packed: Packed) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Every pixel inside of the bounds of every solid but those everywhere: (solid, column, row), and where those of each kind begin."""
    x0, y0, x1, y1 = np.where(_whole(packed)[:, None], 0, packed.bounds).T
    width = x1 - x0
    counts = width * (y1 - y0)
    ends = np.concatenate([[0], np.cumsum(counts)])
    table = torch.from_numpy(np.stack([ends[:-1], np.maximum(width, 1), x0, y0]).astype(np.int32)).to(packed.device)
    solid = owners(torch.from_numpy(counts).to(packed.device))
    before, wide, left, top = table.index_select(1, solid)
    place = torch.arange(len(solid), device=packed.device, dtype=torch.int32) - before
    row = ((place.to(torch.float32) + 0.5) / wide.to(torch.float32)).to(torch.int32)  # exact: fewer than 2^22 rays in a solid's bounds
    return solid, place - row * wide + left, row + top, [int(ends[first]) for first, _ in packed.spans] + [int(ends[-1])]


def rays(packed: Packed, pixels: Tensor | None = None, spots: Sequence[Spot] = (MIDDLE,)) -> Rays:
    """The rays through these places of each of P pixels (P,) int64, of all without `pixels`: ray s * P + p goes through spots[s] of pixels[p]."""
    h, w = packed.size
    if pixels is None:
        column = torch.arange(w, device=packed.device, dtype=torch.float32).repeat(h * packed.count)
        row = torch.arange(h, device=packed.device, dtype=torch.float32).repeat_interleave(w).repeat(packed.count)
        scene = torch.arange(packed.count, device=packed.device).repeat_interleave(h * w) if packed.count > 1 else None
    else:
        scene = pixels // (h * w) if packed.count > 1 else None
        inside = pixels if scene is None else pixels - scene * (h * w)
        line = inside // w
        column, row = (inside - line * w).to(torch.float32), line.to(torch.float32)
    x, y = (torch.cat([v + at[axis] for at in spots]) for axis, v in enumerate((column, row)))
    return Rays(x, y, None if scene is None else scene.repeat(len(spots)))


def meet(packed: Packed, through: Rays, pixels: Tensor | None = None, spots: Sequence[Spot] = (MIDDLE,)) -> Candidates:
    """All pairs of a ray and a solid that meet in front of the camera, hidden or not. through: `rays(packed, pixels, spots)`."""
    solid, column, row, edges = _pairs(packed)
    ray = row * packed.size[1] + column
    if packed.count > 1:
        ray = ray + take(packed.scene, solid).to(torch.int32) * (packed.size[0] * packed.size[1])
    if pixels is not None:
        rank = torch.full((packed.rays,), -1, dtype=torch.int32, device=packed.device)
        ray = take(rank.scatter_(0, pixels, torch.arange(len(pixels), dtype=torch.int32, device=packed.device)), ray)
        kept = where(ray >= 0)
        solid, column, row, ray = (take(values, kept) for values in (solid, column, row, ray))
        edges = np.searchsorted(kept.cpu().numpy(), edges).tolist()
    table = packed.pixel.index_select(1, solid)
    x, y = column.to(torch.float32), row.to(torch.float32)
    places = [(x + at[0], y + at[1]) for at in spots]
    along = [torch.stack([table[3 * i] * u + table[3 * i + 1] * v + table[3 * i + 2] for u, v in places]) for i in range(3)]  # (spots, pairs)
    near, far = (depth.reshape(-1) for depth in _intervals(edges, list(table[9:12]), along, list(table[12:15])))
    kept = above(torch.minimum(far - near, near - NEAREST))
    each = packed.rays if pixels is None else len(pixels)
    solid = solid.repeat(len(spots))
    ray = torch.cat([ray.to(torch.int64) + number * each for number in range(len(spots))])
    parts = [Candidates(take(ray, kept), take(solid, kept), take(near, kept), take(far, kept)), *_everywhere(packed, through)]
    return Candidates(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _everywhere(packed: Packed, through: Rays) -> list[Candidates]:
    """The pairs of the solids whose bounds are the whole frame, each with its numbers read once instead of once a ray."""
    found = []
    for row in np.flatnonzero(_whole(packed)).tolist():
        m, x, y = packed.pixel[:, row : row + 1], through.x, through.y
        mine = None if through.scene is None else where(through.scene == packed.scene[row])
        if mine is not None:
            x, y = take(x, mine), take(y, mine)
        along = (m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5], m[6] * x + m[7] * y + m[8])
        kind = next(k for k, (_, last) in enumerate(packed.spans) if row < last)
        near, far = interval(kind, (m[9], m[10], m[11]), along, (m[12], m[13], m[14]))
        kept = above(torch.minimum(far - near, near - NEAREST))
        ray = kept if mine is None else take(mine, kept)
        found.append(Candidates(ray, torch.full_like(kept, row), take(near, kept), take(far, kept)))
    return found


def _whole(packed: Packed) -> np.ndarray:
    """(n,) whether the bounds of each solid are the whole frame."""
    h, w = packed.size
    whole: np.ndarray = (packed.bounds == (0, 0, w, h)).all(1)
    return whole


def _intervals(edges: Sequence[int], start: list[Tensor], along: list[Tensor], size: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Where rays are inside of solids whose kinds follow each other, kind k at places edges[k]..edges[k + 1] of the last axis."""
    found = []
    for kind in range(len(KINDS)):
        span = slice(edges[kind], edges[kind + 1])
        if span.start < span.stop:
            o, d, s = ((v[0][..., span], v[1][..., span], v[2][..., span]) for v in (start, along, size))
            found.append(interval(kind, o, d, s))
    if not found:
        return along[0], along[0]
    return torch.cat([near for near, _ in found], -1), torch.cat([far for _, far in found], -1)


def _by_kind(packed: Packed, solid: Tensor) -> tuple[Tensor, list[int]]:
    """Places of the solids sorted by kind, and where each kind begins and ends. NOTHING is left out."""
    groups = [where((solid >= first) & (solid < last)) if last > first else solid[:0] for first, last in packed.spans]
    edges = np.cumsum([0, *(len(group) for group in groups)])
    return torch.cat(groups), edges.tolist()


def nearest(packed: Packed, met: Candidates, through: Rays) -> Hits:
    """The nearest of the pairs of the lowest level along each ray; of two at the same depth the solid with the lower number."""
    key = (met.near.view(torch.int32).to(torch.int64) << _BITS) | met.solid
    if bool(packed.level.any()):
        key = key | (take(packed.level, met.solid) << (_BITS + _FLOAT))
    best = torch.full((len(through.x),), _NONE, dtype=torch.int64, device=packed.device)
    best.scatter_reduce_(0, met.ray, key, "amin")
    depth = ((best >> _BITS) & ((1 << _FLOAT) - 1)).to(torch.int32).view(torch.float32)
    solid = best & ((1 << _BITS) - 1)
    return Hits(depth, solid)


class Surface(NamedTuple):
    """The k rays that meet something, grouped by kind of solid. ray, solid: (k,) int64. depth: (k,). point, normal: camera coordinates.
    own: the point in the solid's own coordinates, metres. scene: (k,) int64, None for a single scene."""

    ray: Tensor
    solid: Tensor
    depth: Tensor
    point: Vector
    normal: Vector
    own: Vector
    scene: Tensor | None


def surface(packed: Packed, hits: Hits, through: Rays) -> Surface:
    """Points and normals of what is seen."""
    ray, edges = _by_kind(packed, hits.solid)
    solid, depth = take(hits.solid, ray), take(hits.depth, ray)
    scene = None if through.scene is None else take(through.scene, ray)
    lens = packed.intrinsics[:, :1] if scene is None else packed.intrinsics.index_select(1, scene)
    x = (take(through.x, ray) - lens[1]) * lens[0] * depth
    y = (take(through.y, ray) - lens[2]) * lens[0] * depth
    m = packed.matrix.index_select(1, solid)
    size = packed.pixel[12:].index_select(1, solid)
    own = [m[3 * i] * x + m[3 * i + 1] * y + m[3 * i + 2] * depth + m[9 + i] for i in range(3)]
    g = _gradients(edges, own, list(size))
    n = [m[i] * g[0] + m[3 + i] * g[1] + m[6 + i] * g[2] for i in range(3)]
    short = 1 / root(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + 1e-30)
    normal = (n[0] * short, n[1] * short, n[2] * short)
    return Surface(ray, solid, depth, (x, y, depth), normal, (own[0] * m[12], own[1] * m[13], own[2] * m[14]), scene)


def _gradients(edges: Sequence[int], own: list[Tensor], size: list[Tensor]) -> list[Tensor]:
    """Directions of the normals at points of solids whose kinds follow each other."""
    found = []
    for kind in range(len(KINDS)):
        span = slice(edges[kind], edges[kind + 1])
        if span.start < span.stop:
            p, s = ((v[0][span], v[1][span], v[2][span]) for v in (own, size))
            found.append(gradient(kind, p, s))
    return [torch.cat(columns) for columns in zip(*found, strict=True)] if found else own


def shaded(packed: Packed, points: Surface, rows: Tensor, lamp: Tensor, toward: Vector, distance: Tensor | None) -> Tensor:
    """Which of the points at `rows` (r,) a light does not reach, as places in `rows`. lamp: (9, b) the light in each scene, as in `shade.Lighting`.

    toward: unit vectors to it, (r,) or (1,) each. distance: (r,) to a lamp, None where all are far away. A point is lifted off its surface by a
    thousandth of its depth.
    """
    lift = take(points.depth, rows) * _LIFT
    p = [take(points.point[i], rows) + take(points.normal[i], rows) * lift for i in range(3)]
    which, thing = _near_balls(packed, p, lamp, toward, distance, None if points.scene is None else take(points.scene, rows))
    things = packed.things
    number = take(things.number, thing)
    pair = owners(number)
    inside = torch.arange(len(pair), device=pair.device) - take(torch.cumsum(number, 0) - number, pair)
    ray, solid = take(which, pair), take(things.solids, take(take(things.first, thing), pair) + inside)
    balls = packed.balls.index_select(1, solid)
    o = [balls[i] - take(p[i], ray) for i in range(3)]
    d = [v if len(v) == 1 else take(v, ray) for v in toward]
    along = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    apart = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - along * along
    kept = above(torch.minimum(balls[3] * balls[3] - apart, along + balls[3]))
    ray, solid = take(ray, kept), take(solid, kept)
    order, edges = _by_kind(packed, solid)
    ray, solid = take(ray, order), take(solid, order)
    m, size = packed.matrix.index_select(1, solid), packed.pixel[12:].index_select(1, solid)
    q, u = [take(v, ray) for v in p], [v if len(v) == 1 else take(v, ray) for v in toward]
    start = [m[3 * i] * q[0] + m[3 * i + 1] * q[1] + m[3 * i + 2] * q[2] + m[9 + i] for i in range(3)]
    way = [m[3 * i] * u[0] + m[3 * i + 1] * u[1] + m[3 * i + 2] * u[2] for i in range(3)]
    near, far = _intervals(edges, start, way, list(size))
    dark = torch.minimum(far - near, far)
    return take(ray, above(dark if distance is None else torch.minimum(dark, take(distance, ray) - near)))


def _near_balls(packed: Packed, p: list[Tensor], lamp: Tensor, toward: Vector, distance: Tensor | None, scene: Tensor | None) -> tuple[Tensor, Tensor]:
    """Pairs (place in p, unit of `packed.things`) where the way to the light meets a ball."""
    things, which, owner = packed.things, [], []
    balls, lights = things.balls.cpu().numpy().astype(np.float64), lamp.cpu().numpy().astype(np.float64)
    for number in range(packed.count):
        here = None if scene is None else where(scene == number)
        numbers, kind, vector = range(things.units[number], things.units[number + 1]), int(lights[7, number]), lights[3:6, number]
        if not numbers or not kind or not lights[8, number] or (here is not None and not len(here)):
            continue
        q = p if here is None else [take(v, here) for v in p]
        if kind == SUN or distance is None:
            meets = _parallel(q, vector)
        else:
            meets = _spreading([v if here is None else take(v, here) for v in toward], distance if here is None else take(distance, here), vector)
        for thing in numbers:
            found = above(meets(balls[:, thing]))
            which.append(found if here is None else take(here, found))
            owner.append(torch.full_like(found, thing))
    if not which:
        return torch.zeros(0, dtype=torch.int64, device=p[0].device), torch.zeros(0, dtype=torch.int64, device=p[0].device)
    return torch.cat(which), torch.cat(owner)


Meets = Callable[[np.ndarray], Tensor]
"""A ball x, y, z, radius -> numbers above 0 where it is met (and perhaps where it is nearly met)."""


def _parallel(q: list[Tensor], way: np.ndarray) -> Meets:
    """Parallel light, seen along its direction: a ball is a disc, and before a point or not."""
    first = np.cross(way, (1.0, 0.0, 0.0) if abs(way[0]) < 0.7 else (0.0, 1.0, 0.0))
    first = first / np.sqrt((first * first).sum())
    flat = np.stack([first, np.cross(way, first)])
    u, v, along = (float(a[0]) * q[0] + float(a[1]) * q[1] + float(a[2]) * q[2] for a in (*flat, way))

    def meets(ball: np.ndarray) -> Tensor:
        radius, at, far = float(ball[3]) * 1.001 + 1e-4, flat @ ball[:3], float(way @ ball[:3])
        x, y = u - float(at[0]), v - float(at[1])
        return torch.minimum(radius * radius - (x * x + y * y), far + radius - along)

    return meets


def _spreading(d: list[Tensor], distance: Tensor, lamp: np.ndarray) -> Meets:
    """Light from a lamp: a ball is a cone of directions, and nearer than a point or not."""

    def meets(ball: np.ndarray) -> Tensor:
        v, radius = ball[:3] - lamp, float(ball[3]) * 1.001 + 1e-4
        rim = float((v * v).sum()) * (1 - 2e-6) - radius * radius  # a little wider, for directions are rounded
        if rim <= 0:
            return torch.ones_like(distance)
        along = d[0] * float(-v[0]) + d[1] * float(-v[1]) + d[2] * float(-v[2])
        return torch.minimum(along - float(np.sqrt(rim)), distance + radius - along)

    return meets
