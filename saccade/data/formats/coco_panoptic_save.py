"""COCO's panoptic pictures written: the class of every pixel, things one by one."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from saccade.core import LabelSpace
from saccade.ops.masks import id_map
from saccade.targets import Instances, SegmentationMap
from saccade.targets.segmentation_map import IGNORED


class Segments:
    """Writes pictures below `annotations`. A thing's pixels are those that the map gives its class; what the map says beyond is a crowd."""

    def __init__(self, out: Path, spaces: Mapping[str, LabelSpace]) -> None:
        self.out, self.names = out, spaces["map"].names
        self.things = spaces["instances"].names if "instances" in spaces else ()

    def write(self, image: int, name: str, part: str, target: SegmentationMap, instances: Instances | None) -> dict[str, Any]:
        """Saves the picture of one image and returns its annotation."""
        ids = target.ids.numpy()
        numbers, segments = np.zeros(ids.shape, np.int64), list[dict[str, Any]]()
        objects = self._objects(instances, ids.shape)
        for label in [int(v) for v in np.unique(ids) if v != IGNORED]:
            here = ids == label
            thing = self.names[label] in self.things
            own = [row for row in np.unique(objects[here]).tolist() if row and thing and self._named(instances, row) == self.names[label]]
            parts = [(here & (objects == row), 0) for row in own]
            rest = here & ~np.isin(objects, own) if own else here
            parts += [(rest, int(thing))] if rest.any() else []
            for plane, crowd in parts:
                numbers[plane] = len(segments) + 1
                segments.append({"id": len(segments) + 1, "category_id": label + 1, "iscrowd": crowd, **_extent(plane)})
        file = posixpath.splitext(name)[0] + ".png"
        path = self.out / "annotations" / (f"panoptic_{part}" if part else "panoptic") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([numbers & 255, (numbers >> 8) & 255, numbers >> 16], -1).astype(np.uint8)).save(path)
        return {"image_id": image, "file_name": file, "segments_info": segments}

    def _objects(self, instances: Instances | None, size: tuple[int, ...]) -> np.ndarray:
        """(h, w) the row of the object seen at each pixel, from 1, 0 where there is none."""
        if instances is None or instances.size != size:
            return np.zeros(size, np.int32)
        if instances.ids is not None:
            found: np.ndarray = instances.ids.numpy()
            return found
        return id_map(instances.shapes or (), (size[0], size[1]))

    def _named(self, instances: Instances | None, row: int) -> str:
        return "" if instances is None else self.things[int(instances.boxes.classes[row - 1])]


def _extent(plane: np.ndarray) -> dict[str, Any]:
    """The area of a set of pixels and the box around them."""
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    x, y = int(columns[0]), int(rows[0])
    return {"area": int(plane.sum()), "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]}
