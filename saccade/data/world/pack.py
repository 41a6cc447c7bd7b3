"""Scenes as columns of numbers: what the ray caster reads, for one scene or many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.data.world.scene import TEXTURES, Scene
from saccade.data.world.solids import CAPSULE, CONE, CYLINDER, ELLIPSOID, KINDS, PLANE

GRID = 2.0**20
"""Poses are rounded to 1 / GRID, so that the last digit of a machine's sine cannot change an image."""
NEAREST = 1e-3
THIN = 1.5
"""Pixels: what is narrower may pass between the middles of pixels."""
_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


@dataclass(frozen=True)
class Packed:
    """b scenes of one size with n solids and m things in all, solids sorted by kind. Camera coordinates: x right, y down, z forward.

    spans: first and last row of each kind. pixel: (15, n) float32: rows 0-8 the matrix from (x, y, 1) in pixels to the ray in the solid's
    own coordinates, row by row; 9-11 the camera there; 12-14 its size. matrix: (15, n): rows 0-8 camera -> own vectors, 9-11 as before, 12-14 metres of an
    own unit. bounds: (n, 4) int64 x0 y0 x1 y1 in pixels, the rays that may meet it. thin: (n,) whether it is a rod or a speck that may pass between
    the middles of pixels. scene, thing, material: (n,) int64 over the batch.
    """

    count: int
    size: tuple[int, int]
    spans: tuple[tuple[int, int], ...]
    pixel: Tensor
    matrix: Tensor
    bounds: np.ndarray
    thin: np.ndarray
    scene: Tensor
    thing: Tensor
    material: Tensor
    balls: Tensor  # (4, n) middle in camera coordinates and radius around each solid
    level: Tensor  # (n,) int64 0..3, which is seen before which
    row: Tensor  # (n,) int64: the place of the solid in the scenes' own order
    things: Things
    intrinsics: Tensor  # (4, b) 1 / focal, cx, cy, 0
    materials: Tensor  # (MATERIAL, number of materials)
    axes: Tensor  # (9, b) world -> camera vectors, row by row
    place: Tensor  # (3, b) the camera in the world

    @property
    def rays(self) -> int:
        return self.count * self.size[0] * self.size[1]

    @property
    def device(self) -> torch.device:
        return self.pixel.device


@dataclass(frozen=True)
class Things:
    """m things and the u balls that shadows are looked for in. before: how many things of the scenes before, for each scene and after the last.

    units: the same for the balls. balls: (4, u) middle and radius, around a thing or around one of its solids, whichever is cheaper. first, number:
    (u,) where the solids of each are in `solids`, rows of the packed solids.
    """

    before: tuple[int, ...]
    units: tuple[int, ...]
    balls: Tensor
    first: Tensor
    number: Tensor
    solids: Tensor


def pack(scenes: Sequence[Scene], size: tuple[int, int], device: torch.device | str = "cpu") -> Packed:
    """The columns of scenes that are drawn at one size."""
    parts = [_solids(scene, size) for scene in scenes]
    kinds = np.concatenate([p["kind"] for p in parts])
    order = np.argsort(kinds, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    edges = np.searchsorted(kinds[order], np.arange(len(KINDS) + 1))
    things = np.concatenate([[0], np.cumsum([len(scene.things) for scene in scenes])])
    materials = np.concatenate([[0], np.cumsum([len(scene.materials) for scene in scenes])])

    def column(name: str, offsets: np.ndarray | None = None) -> np.ndarray:
        columns = [p[name] if offsets is None else p[name] + offsets[i] for i, p in enumerate(parts)]
        return np.concatenate(columns)[order]

    def moved(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    matrix, start, sides = column("matrix"), column("start"), column("sides")
    flat = matrix @ column("inverse")
    pixel = np.concatenate([flat.reshape(-1, 9), start, sides], 1).T.astype(np.float32)
    own = np.concatenate([matrix.reshape(-1, 9), start, column("unit")], 1).T.astype(np.float32)
    balls = column("ball")
    owner = column("thing", things)
    cameras = [scene.camera for scene in scenes]
    focal = np.array([camera.focal * size[1] for camera in cameras])
    intrinsics = np.stack([1 / focal, np.full(len(focal), size[1] / 2), np.full(len(focal), size[0] / 2), focal]).astype(np.float32)
    return Packed(
        count=len(scenes),
        size=size,
        spans=tuple((int(edges[k]), int(edges[k + 1])) for k in range(len(KINDS))),
        pixel=moved(pixel),
        matrix=moved(own),
        bounds=column("bounds"),
        thin=column("thin"),
        scene=moved(np.repeat(np.arange(len(scenes)), [len(p["kind"]) for p in parts])[order]),
        thing=moved(owner),
        material=moved(column("material", materials)),
        balls=moved(balls.T.astype(np.float32)),
        level=moved(column("level")),
        row=moved(order),
        things=_things(scenes, things, owner, balls, (float(focal[0] ** 2), float(size[0] * size[1])), moved),
        intrinsics=moved(intrinsics),
        materials=moved(_materials(scenes)),
        axes=moved(np.stack([rounded(camera.axes()).ravel() for camera in cameras], 1).astype(np.float32)),
        place=moved(np.stack([rounded(camera.place) for camera in cameras], 1).astype(np.float32)),
    )


def rounded(values: object) -> np.ndarray:
    """Numbers on the grid that all machines agree on."""
    exact: np.ndarray = np.round(np.asarray(values, dtype=np.float64) * GRID) / GRID
    return exact


def _solids(scene: Scene, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The columns of one scene's solids, in camera coordinates."""
    listed = [(solid, number) for number, thing in enumerate(scene.things) for solid in thing.solids]
    kind = np.array([solid.kind for solid, _ in listed])
    centre = rounded([solid.centre for solid, _ in listed]).reshape(-1, 3)
    turn = rounded([solid.turn for solid, _ in listed]).reshape(-1, 3, 3)
    sides = rounded([solid.size for solid, _ in listed]).reshape(-1, 3)
    axes, place = rounded(scene.camera.axes()), rounded(scene.camera.place)
    middle = np.einsum("ij,nj->ni", axes, centre - place)
    turned = np.einsum("ij,njk->nik", axes, turn)
    ball = kind == ELLIPSOID
    unit = np.where(ball[:, None], sides, 1.0)
    matrix = turned.transpose(0, 2, 1) / unit[:, :, None]
    start = -np.einsum("nij,nj->ni", matrix, middle)
    reach = half_sides(kind, sides)
    radius = np.sqrt((reach * reach).sum(1))
    radius[ball] = sides[ball].max(1)
    radius[kind == CAPSULE] = reach[kind == CAPSULE, 2]
    radius[kind == PLANE] = 0.0
    corners = middle[:, None] + np.einsum("nij,ncj->nci", turned, _SIGNS * reach[:, None])
    return {
        "kind": kind,
        "matrix": matrix,
        "start": start,
        "sides": sides,
        "unit": unit,
        "inverse": np.broadcast_to(np.linalg.inv(scene.camera.pixels(size)), (len(kind), 3, 3)),
        "bounds": _bounds(corners, kind, scene.camera.pixels(size), size),
        "thin": (kind != PLANE) & (2 * np.sort(reach, 1)[:, 1] * scene.camera.focal * size[1] < THIN * np.maximum(middle[:, 2], NEAREST)),
        "ball": np.concatenate([middle, radius[:, None]], 1),
        "level": np.array([scene.things[number].level for _, number in listed], dtype=np.int64),
        "thing": np.array([number for _, number in listed]),
        "material": np.array([solid.material for solid, _ in listed]),
    }


def half_sides(kind: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(n, 3) half sides of the box around each solid along its own axes."""
    reach = sides.copy()
    round_ = (kind == CYLINDER) | (kind == CONE) | (kind == CAPSULE)
    reach[round_, 1] = sides[round_, 0]
    reach[kind == CAPSULE, 2] += sides[kind == CAPSULE, 0]
    return reach


def _bounds(corners: np.ndarray, kind: np.ndarray, camera: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, 4) int64: the whole frame for planes and for what reaches behind the camera; nothing for what lies behind it."""
    h, w = size
    depth = corners[..., 2]
    seen = np.maximum(depth, NEAREST)
    x = corners[..., 0] / seen * camera[0, 0] + camera[0, 2]
    y = corners[..., 1] / seen * camera[1, 1] + camera[1, 2]
    found = np.stack([np.floor(x.min(1) - 0.01), np.floor(y.min(1) - 0.01), np.ceil(x.max(1) + 0.01), np.ceil(y.max(1) + 0.01)], 1)
    found[(depth.min(1) <= NEAREST) | (kind == PLANE)] = (0, 0, w, h)
    found[(depth.max(1) <= NEAREST) & (kind != PLANE)] = 0
    return np.clip(found, 0, (w, h, w, h)).astype(np.int64)


def _things(
    scenes: Sequence[Scene], before: np.ndarray, owner: np.ndarray, balls: np.ndarray, frame: tuple[float, float], moved: Callable[[np.ndarray], Tensor]
) -> Things:
    """owner: (n,) the thing of each solid. balls: (n, 4). frame: squared focal length in pixels, and pixels of the image."""
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(int(before[-1]) + 1))
    around, casts = _around(owner, balls, int(before[-1])), [thing.casts for scene in scenes for thing in scene.things]
    rows: list[tuple[np.ndarray, int, int]] = []  # ball, first place in `order`, number of solids
    units = [0]
    for scene in range(len(scenes)):
        for thing in range(int(before[scene]), int(before[scene + 1])):
            first, last = int(starts[thing]), int(starts[thing + 1])
            own = order[first:last]
            if not casts[thing] or not len(own) or not balls[own, 3].all():
                continue
            n, (focal, full) = len(own), frame
            pixels = min(np.pi * around[thing, 3] ** 2 * focal / max((around[thing, :3] ** 2).sum(), 1e-6), full)
            each = np.minimum(np.pi * balls[own, 3] ** 2 * focal / np.maximum((balls[own, :3] ** 2).sum(1), 1e-6), full)
            if _BALL * full + _SOLID * pixels * n <= _BALL * full * n + _SOLID * each.sum():
                rows.append((around[thing], first, n))
            else:
                rows += [(balls[solid], first + i, 1) for i, solid in enumerate(own)]
        units.append(len(rows))
    spheres = np.stack([row[0] for row in rows], 1) if rows else np.zeros((4, 0))
    columns = np.array([(row[1], row[2]) for row in rows], dtype=np.int64).reshape(-1, 2)
    return Things(
        before=tuple(int(b) for b in before),
        units=tuple(units),
        balls=moved(spheres.astype(np.float32)),
        first=moved(columns[:, 0]),
        number=moved(columns[:, 1]),
        solids=moved(order),
    )


_BALL, _SOLID = 1.0, 12.0
"""What it costs to look whether a ray meets a ball, and a solid, in the same unit."""


def _around(owner: np.ndarray, balls: np.ndarray, total: int) -> np.ndarray:
    """(m, 4) the ball around all solids of each thing."""
    around = np.zeros((total, 4))
    low, high = np.full((total, 3), np.inf), np.full((total, 3), -np.inf)
    np.minimum.at(low, owner, balls[:, :3] - balls[:, 3:])
    np.maximum.at(high, owner, balls[:, :3] + balls[:, 3:])
    around[:, :3] = (low + high) / 2
    reach = np.sqrt(((balls[:, :3] - around[owner, :3]) ** 2).sum(1)) + balls[:, 3]
    np.maximum.at(around[:, 3], owner, reach)
    return around


MATERIAL = 14
"""Rows of the materials: 0-2 colour, 3-5 second colour, 6 texture, 7 scale, 8 gloss, 9 glow, 10-12 offset, 13 free."""


def _materials(scenes: Sequence[Scene]) -> np.ndarray:
    rows = [(*m.colour, *m.second, TEXTURES.index(m.texture), m.scale, m.gloss, m.glow, *m.offset, 0.0) for scene in scenes for m in scene.materials]
    table: np.ndarray = rounded(rows).reshape(-1, MATERIAL).T.astype(np.float32)
    return table
