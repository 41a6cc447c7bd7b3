"""Sound truths of every kind, and the ways to break them in a `Bench`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from saccade.data.formats.stored import Coding, MaskFile
from saccade.ops.masks import Polygons, Runs
from saccade.targets import (
    Boxes3D,
    Caption,
    DepthMap,
    Instances,
    Keypoints,
    Points,
    RegionCaptions,
    SceneGraph,
    SegmentationMap,
)
from tests.support.faults import IMAGES, SIZE, TRAINED, Bench
from tests.support.made_data import boxes

H, W = SIZE
NAMES = ("ant", "bee", "cat")


def two(i: int):
    """Two boxes of different classes."""
    return boxes((i % 3, 5, 6, 25, 30), ((i + 1) % 3, 30, 10, 55 + i % 5, 40))


def ring(x1: float, y1: float, x2: float, y2: float) -> Polygons:
    return Polygons(SIZE, (np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], float),))


def masked(i: int) -> Instances:
    held = two(i)
    return Instances(held, SIZE, tuple(ring(*row) for row in held.xyxy.tolist()))


def person(i: int) -> Keypoints:
    """Two objects of three points; left is left of right."""
    xy = torch.tensor([[[10.0, 10], [20, 12], [15, 25]], [[35, 15], [50, 16], [40, 35]]], dtype=torch.float64) + 0.1 * (i % 7)
    return Keypoints(xy, torch.full((2, 3), 2, dtype=torch.uint8), two(i), pairs=((0, 1),))


def plane(i: int) -> SegmentationMap:
    ids = torch.zeros(H, W, dtype=torch.uint8)
    ids[5:20, 5 : 30 + i % 5] = 1
    ids[25:40, 10:40] = 2
    return SegmentationMap(ids)


def dots(i: int) -> Points:
    return Points(torch.tensor([[10.0, 10], [20 + i % 9, 30], [50, 40]], dtype=torch.float64), torch.tensor([0, 1, 2]))


def deep(i: int) -> DepthMap:
    return DepthMap(torch.full(SIZE, 2.0 + i / 10))


def solid(i: int) -> Boxes3D:
    centre, size = torch.tensor([[0.0, 1.0, 10.0 + i]]), torch.tensor([[4.0, 1.5, 1.8]])
    camera = torch.tensor([[50.0, 0, 32, 0], [0, 50, 24, 0], [0, 0, 1, 0]])
    return Boxes3D(centre, size, torch.tensor([0.3]), torch.tensor([i % 3]), camera)


def linked(i: int) -> SceneGraph:
    return SceneGraph(two(i), ((), ()), torch.tensor([[0, i % 2, 1]]))


def row_of(truth: Any, name: str, values: Any) -> Any:
    """The truth with the first row of one of its tensors replaced."""
    column = getattr(truth, name).clone()
    column[0] = torch.as_tensor(values, dtype=column.dtype)
    return replace(truth, **{name: column})


def box(*values: float) -> Callable[[Bench, int], None]:
    def plant(bench: Bench, i: int) -> None:
        truth = bench.truth(i)
        held = truth if isinstance(truth, RegionCaptions) else getattr(truth, "boxes", truth)
        mended = row_of(held, "xyxy", values)
        bench.put(i, mended if held is truth else replace(truth, boxes=mended))

    return plant


def changed(name: str, values: Any) -> Callable[[Bench, int], None]:
    return lambda bench, i: bench.put(i, row_of(bench.truth(i), name, values))


def foreign(bench: Bench, i: int) -> None:
    truth = bench.truth(i)
    bench.put(i, replace(truth, boxes=row_of(truth.boxes, "classes", 7)) if hasattr(truth, "boxes") else row_of(truth, "classes", 7))


def late(make: Callable[[int], Any]) -> Callable[[Bench, int], None]:
    """A class that only test has: `make` gives a truth with it."""

    def plant(bench: Bench, i: int) -> None:
        own = bench.spaces[bench.head]
        bench.spaces[bench.head] = replace(own, names=(*own.names, "late"))
        for j in range(TRAINED, IMAGES, 2):
            bench.put(j, make(len(own.names)))

    return plant


def unused(bench: Bench, i: int) -> None:
    own = bench.spaces[bench.head]
    bench.spaces[bench.head] = replace(own, names=(*own.names, "unused"))


def alike(bench: Bench, i: int) -> None:
    own = bench.spaces[bench.head]
    bench.spaces[bench.head] = replace(own, names=(*own.names, "Ant "))


def none(bench: Bench, i: int) -> None:
    bench.truths[i] = {bench.head: None}


def every(make: Callable[[Bench, int], Any]) -> Callable[[Bench, int], None]:
    def plant(bench: Bench, i: int) -> None:
        for j in range(IMAGES):
            bench.put(j, make(bench, j))

    return plant


def mask_file(data: bytes) -> Callable[[Bench, int], None]:
    def plant(bench: Bench, i: int) -> None:
        path = bench.root / f"mask{i}.png"
        path.write_bytes(data)
        bench.put(i, MaskFile(path, Coding("index", (0, 1, 2), (0, 1, 2))))

    return plant


def runs(*counts: int) -> Callable[[Bench, int], None]:
    def plant(bench: Bench, i: int) -> None:
        truth = bench.truth(i)
        bench.change(i, shapes=(Runs(SIZE, np.array(counts)), truth.shapes[1]))

    return plant


def shape(*corners: float) -> Callable[[Bench, int], None]:
    return lambda bench, i: bench.change(i, shapes=(ring(*corners), bench.truth(i).shapes[1]))


def filled(size: tuple[int, int], value: int = 0) -> Callable[[Bench, int], None]:
    return lambda bench, i: bench.put(i, SegmentationMap(torch.full(size, value, dtype=torch.uint8)))


def depth(value: float, size: tuple[int, int] = SIZE) -> Callable[[Bench, int], None]:
    return lambda bench, i: bench.put(i, DepthMap(torch.full(size, value)))


def text(*texts: str) -> Callable[[Bench, int], None]:
    return lambda bench, i: bench.put(i, Caption(texts))


def smooth(bench: Bench, i: int) -> None:
    ids = plane(i).ids.clone()
    ids[30:40, 5:45] = torch.arange(3, 43, dtype=torch.uint8)
    bench.put(i, SegmentationMap(ids))


def strange(bench: Bench, i: int) -> None:
    ids = plane(i).ids.clone()
    ids[ids == 0] = 9
    bench.put(i, SegmentationMap(ids))


def swap(bench: Bench, i: int) -> None:
    xy = bench.truth(i).xy.clone()
    xy[0, [0, 1]] = xy[0, [1, 0]]
    bench.change(i, xy=xy)
