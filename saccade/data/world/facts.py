"""What is true of a scene whatever the light: which things are seen and how much of them, where they are, how they stand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from saccade.data.world.cast import NOTHING
from saccade.data.world.pack import rounded
from saccade.data.world.render import Sight
from saccade.data.world.scene import Camera, Scene
from saccade.data.world.solids import FAR, interval, reach

LEAST = 6
"""Pixels of a thing that must be seen for it to be listed."""
RELATIONS = ("left of", "behind", "on", "holding")
NEIGHBOURS = 1.5
"""Two things are left of or behind each other when the gap between them is at most so many times their mean size."""
_AXES = np.eye(3)


@dataclass(frozen=True)
class View:
    """One scene as its pixels see it. `listed` are the numbers of the m things that labels tell of, in the scene's order.

    things: (h, w) int32 the number of the thing that each pixel shows, -1 none. rows: (h, w) int32 the place in `listed` + 1, 0 none.
    depth: (h, w) float32, nan where nothing is. normals: (3, h, w) float32 in camera coordinates, nan there. visible, full: (m,) pixels
    seen, and pixels that would be seen if nothing were in the way. boxes, full_boxes: (m, 4) around them, xyxy.
    """

    scene: Scene
    size: tuple[int, int]
    listed: np.ndarray
    things: np.ndarray
    rows: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    visible: np.ndarray
    full: np.ndarray
    boxes: np.ndarray
    full_boxes: np.ndarray


def view(sight: Sight, scene: Scene, number: int = 0) -> View:
    """The number-th of the scenes that were looked at together."""
    packed, (h, w) = sight.packed, sight.packed.size
    before, after = packed.things.before[number], packed.things.before[number + 1]
    pixels = slice(number * h * w, (number + 1) * h * w)
    owner = packed.thing.cpu().numpy() - before
    solid = sight.hits.solid.cpu().numpy()[pixels]
    empty = solid == NOTHING
    things = owner[np.where(empty, 0, solid)].astype(np.int32)
    things[empty] = -1
    depth = sight.hits.depth.cpu().numpy()[pixels].astype(np.float32)
    depth[empty] = np.nan
    normals = np.full((3, h * w), np.nan, np.float32)
    at = sight.points.ray.cpu().numpy() - pixels.start
    mine = slice(None) if packed.count == 1 else (at >= 0) & (at < h * w)
    for axis in range(3):
        normals[axis, at[mine]] = sight.points.normal[axis].cpu().numpy()[mine]
    things = things.reshape(h, w)
    listed, visible, boxes = _listed(things, scene)
    covered = _covered(sight, listed, owner, pixels, (h, w))
    rank = np.zeros(after - before + 1, np.int32)
    rank[listed] = np.arange(1, len(listed) + 1)
    return View(
        scene=scene,
        size=(h, w),
        listed=listed,
        things=things,
        rows=rank[things],
        depth=depth.reshape(h, w),
        normals=normals.reshape(3, h, w),
        visible=visible,
        full=covered.sum((1, 2)),
        boxes=boxes,
        full_boxes=_tight(covered),
    )


def _listed(things: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The things that enough is seen of: their numbers, pixels and tight boxes."""
    counts = np.bincount(things.ravel() + 1, minlength=len(scene.things) + 1)[1:]
    listed = np.array([i for i, thing in enumerate(scene.things) if not thing.stuff and counts[i] >= LEAST], dtype=np.int64)
    masks = np.stack([things == i for i in listed]) if len(listed) else np.zeros((0, *things.shape), bool)
    return listed, counts[listed], _tight(masks)


def _tight(masks: np.ndarray) -> np.ndarray:
    """(m, h, w) bool -> (m, 4) the box around each, x1 y1 x2 y2."""
    if not len(masks):
        return np.zeros((0, 4))
    across, down = masks.max(1), masks.max(2)
    x1, y1 = across.argmax(1), down.argmax(1)
    x2, y2 = masks.shape[2] - across[:, ::-1].argmax(1), masks.shape[1] - down[:, ::-1].argmax(1)
    return np.stack([x1, y1, x2, y2], 1).astype(np.float64)


def _covered(sight: Sight, listed: np.ndarray, owner: np.ndarray, pixels: slice, size: tuple[int, int]) -> np.ndarray:
    """(m, h, w) bool: where each listed thing would be seen if it were alone."""
    met_solid, met_pixel = sight.met.solid.cpu().numpy(), sight.met.ray.cpu().numpy() - pixels.start
    rank = np.full(max(int(owner.max(initial=0)) + 2, 1), -1)
    rank[listed] = np.arange(len(listed))
    row = rank[np.where((owner >= 0) & (owner < len(rank) - 1), owner, -1)][met_solid]
    kept = row >= 0
    if sight.packed.count > 1:
        kept &= (met_pixel >= 0) & (met_pixel < size[0] * size[1])
    covered = np.zeros((len(listed), size[0] * size[1]), bool)
    covered[row[kept], met_pixel[kept]] = True
    return covered.reshape(len(listed), *size)


class Extents(NamedTuple):
    """(m, 3) the lowest and the highest coordinate of every thing along three directions."""

    low: np.ndarray
    high: np.ndarray


def extents(scene: Scene, axes: np.ndarray, numbers: Sequence[int] | np.ndarray) -> Extents:
    """How far things reach along directions of the world. axes: (3, 3) rows for all of them, or (m, 3, 3) for each."""
    low, high = np.full((len(numbers), 3), np.inf), np.full((len(numbers), 3), -np.inf)
    listed = [(row, solid) for row, number in enumerate(numbers) for solid in scene.things[number].solids]
    if not listed:
        return Extents(low, high)
    rows = np.array([row for row, _ in listed])
    kind = np.array([solid.kind for _, solid in listed])
    centre = rounded([solid.centre for _, solid in listed])
    turn, size = rounded([solid.turn for _, solid in listed]), rounded([solid.size for _, solid in listed])
    way = np.broadcast_to(axes, (len(numbers), 3, 3))[rows]
    own = np.einsum("nki,nij->nkj", way, turn)
    least, most = reach(kind, size, own)
    middle = np.einsum("nki,ni->nk", way, centre)
    np.minimum.at(low, rows, middle + least)
    np.maximum.at(high, rows, middle + most)
    return Extents(low, high)


def oriented(scene: Scene, numbers: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, 3) middles in the world and (m, 3) sizes (length along the heading, width, height) of the smallest upright boxes around things."""
    yaws = np.array([scene.things[i].yaw for i in numbers])
    axes = np.zeros((len(yaws), 3, 3))
    axes[:, 0, 0], axes[:, 0, 1] = np.cos(yaws), np.sin(yaws)
    axes[:, 1, 0], axes[:, 1, 1] = -np.sin(yaws), np.cos(yaws)
    axes[:, 2, 2] = 1
    low, high = extents(scene, axes, numbers)
    middle = np.einsum("nki,nk->ni", axes, (low + high) / 2)
    return middle, high - low


def projection(camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """(3, 4): coordinates of a camera that looks along the ground (x right, y down, z forward) -> homogeneous pixels of this camera."""
    turn = camera.axes() @ camera.level().T
    return np.concatenate([camera.pixels(size) @ turn, np.zeros((3, 1))], 1)


def projected(camera: Camera, points: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Points (..., 3) of the world -> pixels (..., 2) and depths (...)."""
    seen = (points - rounded(camera.place)) @ rounded(camera.axes()).T
    k = camera.pixels(size)
    depth = np.where(np.abs(seen[..., 2]) < 1e-9, 1e-9, seen[..., 2])
    return seen[..., :2] / depth[..., None] * k[0, 0] + k[:2, 2], seen[..., 2]


def relations(scene: Scene, numbers: np.ndarray) -> list[tuple[int, int, int]]:
    """(subject, place in RELATIONS, object) among things, by their places in `numbers`.

    left of: wholly to the left, seen along the ground, at overlapping depths. behind: wholly farther, at overlapping sides. Both only
    between neighbours. on: stands on it. holding: has it in its hands.
    """
    low, high = extents(scene, scene.camera.level(), numbers)
    sizes = (high - low).mean(1) if len(numbers) else np.zeros(0)
    found = []
    place = {int(number): row for row, number in enumerate(numbers)}
    for a in range(len(numbers)):
        for b in range(len(numbers)):
            if a == b:
                continue
            near = NEIGHBOURS * (sizes[a] + sizes[b]) / 2
            level = low[a, 1] < high[b, 1] and low[b, 1] < high[a, 1]
            beside = low[a, 2] < high[b, 2] and low[b, 2] < high[a, 2]
            across = low[a, 0] < high[b, 0] and low[b, 0] < high[a, 0]
            if level and beside and 0 <= low[b, 0] - high[a, 0] <= near:
                found.append((a, 0, b))
            if level and across and 0 <= low[a, 2] - high[b, 2] <= near:
                found.append((a, 1, b))
    for a, number in enumerate(numbers):
        thing = scene.things[number]
        if thing.on in place:
            found.append((a, 2, place[thing.on]))
        if thing.held_by in place:
            found.append((place[thing.held_by], 3, a))
    return found


def joint_visibility(sight: Sight, scene: Scene, number: int, xy: np.ndarray, depth: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """(k,) uint8 of key points at pixels xy (k, 2) and depths: 0 outside of the image or not there, 1 hidden, 2 visible.

    A point is visible when the ray to it meets nothing more than its slack before it (the flesh around a joint). xy may hold nan.
    """
    import torch

    packed, (h, w) = sight.packed, sight.packed.size
    with np.errstate(invalid="ignore"):
        inside = (depth > 0) & (xy[:, 0] >= 0) & (xy[:, 1] >= 0) & (xy[:, 0] < w) & (xy[:, 1] < h)
    found = inside.astype(np.uint8)
    rows = np.flatnonzero(inside)
    if not len(rows):
        return found
    first = torch.from_numpy(xy[rows].astype(np.float32)).to(packed.device)
    clear = torch.full((len(rows),), FAR, device=packed.device)
    for kind, (start, stop) in enumerate(packed.spans):
        if packed.count > 1:
            mine = torch.arange(start, stop, device=packed.device)[packed.scene[start:stop] == number]
        else:
            mine = torch.arange(start, stop, device=packed.device)
        if not len(mine):
            continue
        table = packed.pixel.index_select(1, mine)[:, None, :]
        x, y = first[:, :1], first[:, 1:]
        along = tuple(table[3 * i] * x + table[3 * i + 1] * y + table[3 * i + 2] for i in range(3))
        shape = along[0].shape
        o, s = [table[9 + i].expand(shape) for i in range(3)], [table[12 + i].expand(shape) for i in range(3)]
        near, far = interval(kind, (o[0], o[1], o[2]), (along[0], along[1], along[2]), (s[0], s[1], s[2]))
        near = torch.where((near < far) & (near > 1e-3), near, torch.full_like(near, FAR))
        clear = torch.minimum(clear, near.amin(1))
    found[rows] += (clear.cpu().numpy() >= depth[rows] - slack[rows]).astype(np.uint8)
    return found
