"""Every kind of truth of a scene, from its geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.data.world import facts, words
from saccade.data.world.chance import WORDS, Chance
from saccade.data.world.flow import flow
from saccade.data.world.pack import rounded
from saccade.data.world.render import Sight
from saccade.data.world.scene import Scene
from saccade.data.world.worlds.world import World
from saccade.targets import (
    Boxes,
    Boxes3D,
    Caption,
    DepthMap,
    FlowMap,
    Instances,
    Keypoints,
    Label,
    Labels,
    NormalMap,
    Number,
    Points,
    RegionCaptions,
    SceneGraph,
    SegmentationMap,
)


@dataclass
class Told:
    """What labels of one scene are made from. after: the same scene at the next frame, for the flow. key: (seed, index) of its words."""

    world: World
    scene: Scene
    sight: Sight
    key: tuple[int, int]
    after: Scene | None = None
    number: int = 0

    @cached_property
    def view(self) -> facts.View:
        return facts.view(self.sight, self.scene, self.number)

    @cached_property
    def classes(self) -> np.ndarray:
        """(m,) int64 class ids of the listed things."""
        return np.array([self.world.names.index(self.scene.things[i].name) for i in self.view.listed], dtype=np.int64)

    @cached_property
    def relations(self) -> list[tuple[int, int, int]]:
        return facts.relations(self.scene, self.view.listed)

    @cached_property
    def boxes(self) -> Boxes:
        v, (h, w) = self.view, self.view.size
        cut = (v.full_boxes[:, 0] <= 0) | (v.full_boxes[:, 1] <= 0) | (v.full_boxes[:, 2] >= w) | (v.full_boxes[:, 3] >= h)
        attributes = tuple(
            {"words": " ".join(self.scene.things[i].words), "occluded": round(1 - float(v.visible[row] / v.full[row]), 4), "truncated": bool(cut[row])}
            for row, i in enumerate(v.listed)
        )
        ids, areas = torch.from_numpy(v.listed), torch.from_numpy(v.visible.astype(np.float64))
        return Boxes(torch.from_numpy(v.boxes), torch.from_numpy(self.classes), areas=areas, ids=ids, attributes=attributes)


def _label(t: Told) -> Label:
    return Label(t.world.classes.index(t.scene.kind))


def _labels(t: Told) -> Labels:
    values = torch.zeros(len(t.world.names), dtype=torch.int8)
    values[torch.from_numpy(t.classes)] = 1
    return Labels(values)


def _number(t: Told) -> Number:
    return Number(float(len(t.view.listed)))


def _full_boxes(t: Told) -> Boxes:
    seen = t.boxes
    return Boxes(
        torch.from_numpy(t.view.full_boxes), seen.classes, areas=torch.from_numpy(t.view.full.astype(np.float64)), ids=seen.ids, attributes=seen.attributes
    )


def _instances(t: Told) -> Instances:
    return Instances(t.boxes, t.view.size, ids=torch.from_numpy(t.view.rows))


def _map(t: Told) -> SegmentationMap:
    regions = t.world.regions
    table = np.array([0, *(regions.index(thing.name) for thing in t.scene.things)], dtype=np.uint8)
    return SegmentationMap(torch.from_numpy(table[t.view.things + 1]))


def _depth(t: Told) -> DepthMap:
    return DepthMap(torch.from_numpy(t.view.depth))


def _normals(t: Told) -> NormalMap:
    return NormalMap(torch.from_numpy(t.view.normals))


def _points(t: Told) -> Points:
    """A dot on each thing: the middle of its visible pixel nearest to the middle of all of them."""
    found = np.zeros((len(t.view.listed), 2))
    for row in range(len(found)):
        y, x = np.nonzero(t.view.rows == row + 1)
        nearest = int(((x - x.mean()) ** 2 + (y - y.mean()) ** 2).argmin())
        found[row] = x[nearest] + 0.5, y[nearest] + 0.5
    return Points(torch.from_numpy(found), torch.from_numpy(t.classes))


def _keypoints(t: Told) -> Keypoints:
    v, k = t.view, len(t.world.keypoints)
    rows = [row for row, i in enumerate(v.listed) if t.scene.things[i].joints is not None]
    xy, visible = np.zeros((len(rows), k, 2)), np.zeros((len(rows), k), np.uint8)
    if rows:
        things = [t.scene.things[v.listed[row]] for row in rows]
        joints = np.stack([thing.joints for thing in things if thing.joints is not None])
        with np.errstate(invalid="ignore"):
            at, depth = facts.projected(t.scene.camera, rounded(joints), v.size)
        slack = np.repeat([thing.slack for thing in things], k)
        visible = facts.joint_visibility(t.sight, t.scene, t.number, at.reshape(-1, 2), depth.ravel(), slack).reshape(-1, k)
        xy = np.where(visible[..., None] > 0, at, 0.0)
    chosen = torch.tensor(rows, dtype=torch.int64)
    b = t.boxes
    attributes = tuple(b.attributes[row] for row in rows) if b.attributes is not None else None
    boxes = Boxes(
        b.xyxy[chosen],
        b.classes[chosen],
        areas=None if b.areas is None else b.areas[chosen],
        ids=None if b.ids is None else b.ids[chosen],
        attributes=attributes,
    )
    return Keypoints(torch.from_numpy(xy), torch.from_numpy(visible), boxes, pairs=t.world.pairs)


def _boxes3d(t: Told) -> Boxes3D:
    camera, listed = t.scene.camera, t.view.listed
    middle, size = facts.oriented(t.scene, listed)
    level = camera.level()
    centre = (middle - np.asarray(camera.place)) @ level.T
    yaw = np.array([t.scene.things[i].yaw for i in listed])
    heading = np.stack([np.cos(yaw), np.sin(yaw), np.zeros(len(yaw))], 1) @ level.T
    turned = np.arctan2(-heading[:, 2], heading[:, 0])
    turned[turned <= -np.pi] = np.pi
    return Boxes3D(
        centre=torch.from_numpy(centre),
        size=torch.from_numpy(size[:, [0, 2, 1]]),
        yaw=torch.from_numpy(turned),
        classes=torch.from_numpy(t.classes),
        camera=torch.from_numpy(facts.projection(camera, t.view.size)),
        boxes=t.boxes,
    )


def _graph(t: Told) -> SceneGraph:
    rows = torch.tensor(t.relations, dtype=torch.int64).reshape(-1, 3)
    return SceneGraph(t.boxes, tuple(t.scene.things[i].words for i in t.view.listed), rows)


def _caption(t: Told) -> Caption:
    v = t.view
    depths = [float(np.nanmin(v.depth[v.rows == row + 1])) for row in range(len(v.listed))]
    return Caption(words.captions(t.scene, v.listed.tolist(), t.relations, v.visible.tolist(), depths, Chance(*t.key, WORDS)))


def _regions(t: Told) -> RegionCaptions:
    return RegionCaptions(torch.from_numpy(t.view.boxes), words.regions(t.scene, t.view.listed.tolist(), t.relations))


def _flow(t: Told) -> FlowMap:
    if t.after is None:
        raise ValueError("flow needs the scene at the next frame")
    return FlowMap(torch.from_numpy(flow(t.sight, t.scene, t.after, t.number)))


HEADS: Mapping[str, Callable[[Told], Any]] = MappingProxyType(
    {
        "label": _label, "labels": _labels, "number": _number, "boxes": lambda t: t.boxes, "full_boxes": _full_boxes, "instances": _instances,
        "map": _map, "depth": _depth, "normals": _normals, "points": _points, "keypoints": _keypoints, "boxes3d": _boxes3d, "graph": _graph,
        "caption": _caption, "regions": _regions, "flow": _flow,
    }
)  # fmt: skip
"""Head -> the function that makes its target."""

_THINGS = frozenset({"labels", "boxes", "full_boxes", "instances", "points", "boxes3d", "graph", "keypoints"})


def space(world: World, head: str) -> LabelSpace:
    """What the numbers of a head mean in a world; without names for heads that have no classes."""
    if head == "label":
        return LabelSpace(world.classes)
    if head == "map":
        return LabelSpace(world.regions, background=0)
    if head in _THINGS:
        if head == "keypoints":
            return LabelSpace(world.names, keypoints=world.keypoints, skeleton=world.bones, pairs=world.pairs)
        return LabelSpace(world.names, relations=facts.RELATIONS if head == "graph" else ())
    return LabelSpace(())


def heads_of(world: World) -> Sequence[str]:
    """The heads that a world has truths for: key points where something has joints, flow where something moves."""
    return tuple(head for head in HEADS if (head != "keypoints" or world.keypoints) and (head != "flow" or world.frames > 1))
