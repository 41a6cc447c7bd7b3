"""A truth and an answer of every kind on an image of any size, and one without anything."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.ops.masks import Polygons, runs_from_mask
from saccade.targets import (
    Boxes,
    Boxes3D,
    Caption,
    DepthMap,
    FlowMap,
    ImageTarget,
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
    TagSequence,
)

SPACE = LabelSpace(
    ("cat", "dog", "bird"),
    keypoints=("nose", "left hand", "right hand"),
    skeleton=((0, 1), (0, 2)),
    pairs=((1, 2),),
    relations=("beside", "on"),
)


def picture(size: tuple[int, int]) -> np.ndarray:
    """A smooth picture (h, w, 3) uint8."""
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    return np.stack([90 + 120 * x, 80 + 100 * y, 160 - 80 * x * y], -1).astype(np.uint8)


def _boxes(size: tuple[int, int], scored: bool) -> Boxes:
    h, w = size
    xyxy = torch.tensor([[0.05, 0.15, 0.45, 0.7], [0.3, 0.4, 0.8, 0.95], [0.6, 0.1, 0.95, 0.5]], dtype=torch.float64) * torch.tensor([w, h, w, h])
    return Boxes(
        xyxy,
        torch.tensor([0, 1, 2]),
        torch.tensor([0.9, 0.55, 0.7]) if scored else None,
        crowd=torch.tensor([False, False, True]),
        areas=torch.tensor([100.0, 200.0, float("nan")], dtype=torch.float64),
        ids=torch.tensor([7, 8, 9]),
        attributes=({"pose": "left"}, {}, {"truncated": True}),
    )


def example(head: str, size: tuple[int, int] = (64, 80), *, scored: bool = False) -> Any:
    """A truth of three objects, or an answer where `scored`."""
    h, w = size
    boxes = _boxes(size, scored)
    chance = np.random.default_rng(0)
    if head in ("boxes", "instances"):
        if head == "boxes":
            return boxes
        x1, y1, x2, y2 = boxes.xyxy.numpy().T
        rings = [np.array([[x1[i], y1[i]], [x2[i], (y1[i] + y2[i]) / 2], [(x1[i] + x2[i]) / 2, y2[i]]]) for i in range(2)]
        block = np.zeros(size, bool)
        block[int(y1[2]) : int(y2[2]), int(x1[2]) : int(x2[2])] = True
        return Instances(boxes, size, (*(Polygons(size, (ring,)) for ring in rings), runs_from_mask(block)))
    if head == "keypoints":
        middle = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2
        xy = middle[:, None] + torch.tensor([[0.0, -0.12], [-0.08, 0.1], [0.08, 0.1]], dtype=torch.float64)[None] * torch.tensor([w, h])
        visible = torch.tensor([[2, 2, 1], [2, 1, 2], [2, 0, 2]], dtype=torch.uint8)
        return Keypoints(torch.where(visible[..., None] > 0, xy, 0.0), visible, boxes, torch.rand(3, 3) if scored else None, SPACE.pairs)
    if head in ("map", "depth", "image", "normals", "flow"):
        return _plane(head, size, scored)
    if head == "points":
        xy = torch.from_numpy(chance.uniform(0, 1, (12, 2)) * (w, h))
        return Points(xy, torch.arange(12) % 3, torch.from_numpy(chance.random(12)) if scored else None)
    if head == "regions":
        return RegionCaptions(boxes.xyxy, ("a cat lies on the left", "a dog in the middle of the picture", "birds"), boxes.scores)
    if head == "graph":
        relations = torch.tensor([[0, 0, 1], [1, 1, 2], [2, 0, 0]])
        return SceneGraph(boxes, (("grey", "small"), (), ("flying",)), relations, torch.tensor([0.9, 0.3, 0.5]) if scored else None)
    if head == "boxes3d":
        camera = torch.tensor([[w, 0, w / 2, 0.5], [0, w, h / 2, 0.2], [0, 0, 1, 0]], dtype=torch.float64)
        centre = torch.tensor([[-2.0, 0.5, 9], [1, 0.4, 7], [3, 0, 14]], dtype=torch.float64)
        lengths = torch.tensor([[3.0, 1.5, 1.6], [2, 1.7, 1], [4, 1.6, 1.8]], dtype=torch.float64)
        yaw = torch.tensor([0.4, -1.2, 3.0], dtype=torch.float64)
        return Boxes3D(centre, lengths, yaw, torch.tensor([0, 1, 2]), camera, None, boxes.scores)
    return _whole(head, scored)


def _plane(head: str, size: tuple[int, int], scored: bool) -> Any:
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    if head == "depth":
        return DepthMap(torch.from_numpy(np.where(x + y > 0.2, 5 + 20 * y, np.nan).astype(np.float32)))
    if head == "normals":
        tilt = np.stack([0.6 * np.sin(3 * x), 0.6 * np.cos(4 * y) * (1 + 0 * x)])
        return NormalMap(torch.from_numpy(np.stack([*tilt, -np.sqrt(1 - (tilt * tilt).sum(0))]).astype(np.float32)))
    if head == "flow":
        return FlowMap(torch.from_numpy(np.where(x + y > 0.2, np.stack([2 + 3 * y, 1 - 2 * x]), np.nan).astype(np.float32)))
    if head == "image":
        return ImageTarget(torch.from_numpy(np.stack([x, y, x * y]).astype(np.float32)))
    probabilities = torch.from_numpy(np.stack([x, y, 0.4 + 0 * x]).astype(np.float32))
    ids = probabilities.argmax(0).to(torch.uint8)
    if scored:
        return SegmentationMap(ids, probabilities / probabilities.sum(0))
    ids[: size[0] // 8] = 255
    return SegmentationMap(ids)


def _whole(head: str, scored: bool) -> Any:
    """What belongs to the picture as a whole."""
    made = {
        "label": lambda: Label(1, torch.tensor([0.2, 0.7, 0.1]) if scored else None),
        "labels": lambda: Labels(torch.tensor([1, 0, -1], dtype=torch.int8), torch.tensor([0.8, 0.1, 0.4]) if scored else None),
        "number": lambda: Number(41.5, 2.0 if scored else None),
        "caption": lambda: Caption(("a cat and a dog stand in a wide field under a blue sky", "two animals"), (-3.0, -4.5) if scored else None),
        "tags": lambda: TagSequence(torch.tensor([0, 0, 1, 1, 1, -1, 2]), torch.rand(7, 3) if scored else None),
    }
    return made[head]()


def nothing(head: str, size: tuple[int, int] = (64, 80)) -> Any:
    """An empty one: no objects, no pixels known, no words."""
    made = {
        "label": lambda: Label(-1),
        "labels": lambda: Labels.empty(3),
        "number": lambda: Number(0.0),
        "boxes": Boxes.empty,
        "instances": lambda: Instances.empty(size),
        "keypoints": lambda: Keypoints.empty(3, SPACE.pairs),
        "map": lambda: SegmentationMap.empty(size),
        "points": Points.empty,
        "depth": lambda: DepthMap.empty(size),
        "image": lambda: ImageTarget.empty(size),
        "normals": lambda: NormalMap.empty(size),
        "flow": lambda: FlowMap.empty(size),
        "caption": Caption.empty,
        "regions": RegionCaptions.empty,
        "graph": SceneGraph.empty,
        "boxes3d": lambda: Boxes3D.empty(torch.eye(3, 4, dtype=torch.float64)),
        "tags": TagSequence.empty,
    }
    return made[head]()


def differences(a: Any, b: Any, tolerance: float = 1e-4, path: str = "") -> list[str]:
    """The fields in which two targets differ, by name; numbers by more than the tolerance, nan equals nan."""
    if is_dataclass(a):
        if type(a) is not type(b):
            return [f"{path}: {type(a).__name__} and {type(b).__name__}"]
        return [found for f in fields(a) for found in differences(getattr(a, f.name), getattr(b, f.name), tolerance, f"{path}.{f.name}")]
    if isinstance(a, Tensor | np.ndarray):
        first, second = (torch.as_tensor(v).double() for v in (a, b))
        same = first.shape == second.shape and torch.allclose(first, second, rtol=0, atol=tolerance, equal_nan=True)
        return [] if same else [f"{path}: {a} and {b}"]
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return [found for i, pair in enumerate(zip(a, b, strict=True)) for found in differences(*pair, tolerance, f"{path}[{i}]")]
    return [] if a == b else [f"{path}: {a} and {b}"]


def some_geometry(chance: np.random.Generator, source: tuple[int, int], kind: str = "affine") -> Geometry:
    """A random one that shows much of the source: turned, scaled, sheared, mirrored half of the time; with a perspective or a bend where asked."""
    h, w = source
    target = (int(chance.integers(40, 120)), int(chance.integers(40, 120)))
    turn, scale = chance.uniform(-0.5, 0.5), chance.uniform(0.7, 1.6) * min(target[0] / h, target[1] / w)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([chance.choice([-1, 1]) * chance.uniform(0.8, 1.2), 1.0])
    move = np.array(target[::-1]) / 2 - linear @ (np.array([w, h]) / 2) + chance.uniform(-5, 5, 2)
    matrix = np.concatenate([linear, move[:, None]], 1)
    if kind == "affine":
        return Geometry(matrix, target)
    square = np.vstack([matrix, [*(chance.uniform(-1, 1, 2) * 2e-3), 1.0]])
    if kind == "projective":
        return Geometry(square, target)
    return Geometry(matrix, target, chance.uniform(-2, 2, (4, 5, 2)))
