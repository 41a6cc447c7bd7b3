"""Small detectors of every kind, and truths of one image with objects and one without."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from saccade.core import Batch, Features, Inputs, LabelSpace, Level, Meta, Model
from saccade.models import two_stage
from saccade.models.retina import retinanet
from saccade.models.ssd import ssd
from saccade.nn.heads.anchored import AnchorGrid
from saccade.nn.heads.retina import Retina
from saccade.nn.heads.ssd import SSD, DefaultBoxes
from saccade.ops.geometry import Geometry
from saccade.targets import Boxes, Instances, Keypoints

INPUTS = Inputs(3, (96, 128), (0.5,) * 3, (0.25,) * 3)
SPACE = LabelSpace(("a", "b", "c"), keypoints=("left", "right", "nose"), pairs=((0, 1),))
NARROW: dict[str, Any] = {"width": 0.125, "channels": 16}
TWO: dict[str, Any] = NARROW | {"hidden": 16, "samples": 16, "proposals": 30}
BUILDERS = {
    "faster_rcnn": lambda inputs=INPUTS, **o: two_stage.faster_rcnn(inputs, SPACE, **TWO | o),
    "c4": lambda inputs=INPUTS, **o: two_stage.faster_rcnn(inputs, SPACE, neck="c4", **TWO | o),
    "four_step": lambda inputs=INPUTS, **o: two_stage.faster_rcnn(inputs, SPACE, training="four_step", **TWO | o),
    "fast_rcnn": lambda inputs=INPUTS, **o: two_stage.fast_rcnn(inputs, SPACE, **{"width": 0.125, "hidden": 16, "proposals": "sliding"} | o),
    "rfcn": lambda inputs=INPUTS, **o: two_stage.rfcn(inputs, SPACE, **{"width": 0.125, "channels": 16, "bins": 3, "samples": 16, "proposals": 30} | o),
    "mask_rcnn": lambda inputs=INPUTS, **o: two_stage.mask_rcnn(inputs, SPACE, **TWO | {"mask_width": 8, "mask_layers": 1} | o),
    "keypoint_rcnn": lambda inputs=INPUTS, **o: two_stage.keypoint_rcnn(inputs, SPACE, **TWO | {"point_width": 8, "point_layers": 1} | o),
    "retinanet": lambda inputs=INPUTS, **o: retinanet(inputs, SPACE, **NARROW | {"layers": 1} | o),
    "ssd": lambda inputs=INPUTS, **o: ssd(inputs, SPACE, **{"width": 0.125, "extra": (8,)} | o),
}
BOXES = Boxes(torch.tensor([[8.0, 6, 60, 70], [70, 30, 128, 96], [0, 0, 20, 14]]), torch.tensor([0, 2, 1]))


def truths(head: str, size: tuple[int, int] = (96, 128)) -> list[Any]:
    """Some objects (one over the border of the image), then none."""
    ids = np.zeros(size, np.int32)
    for row, (x1, y1, x2, y2) in enumerate(BOXES.xyxy.int().tolist(), 1):
        ids[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2] = row
    xy = BOXES.xyxy[:, None, :2] + torch.tensor([[3.0, 4], [12, 5], [7, 9]])
    points = Keypoints(xy, torch.tensor([[2, 1, 0]] * 3, dtype=torch.uint8), BOXES, None, SPACE.pairs)
    found = {"boxes": [BOXES, Boxes.empty()], "instances": [Instances(BOXES, size, None, torch.from_numpy(ids)), Instances.empty(size)]}
    return (found | {"keypoints": [points, Keypoints.empty(3, SPACE.pairs)]})[head]


def batch(model: Model, size: tuple[int, int] = (96, 128)) -> Batch:
    head = next(iter(model.heads))
    inputs = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    meta = [Meta(str(i), size, Geometry.identity(size)) for i in range(2)]
    return Batch(inputs, torch.tensor([size] * 2), {head: truths(head, size)}, meta)


SHRUNK = Meta("", (192, 256), Geometry.letterbox((192, 256), (96, 128)))


def heads() -> dict[str, Any]:
    grid = AnchorGrid.of([Level(4, 16), Level(4, 32)], 3.0, octaves=2, ratios=(1.0,))
    defaults = DefaultBoxes((0.3, 0.5, 0.9), ((2.0,), (2.0,)), (16.0, 32.0))
    levels = [Level(4, 16), Level(4, 32)]
    return {
        "retina": Retina(levels, 3, grid, layers=1),
        "retina_giou": Retina(levels, 3, grid, layers=1, box="giou"),
        "cross_entropy": Retina(levels, 3, grid, layers=1, loss="cross_entropy"),
        "ssd": SSD(levels, 3, defaults),
    }


def pyramid(rows: int = 2) -> Features:
    chance = torch.Generator().manual_seed(3)
    maps = [torch.rand(rows, 4, 96 // s, 128 // s, generator=chance, dtype=torch.float64) for s in (16, 32)]
    return Features([torch.zeros(rows, 3, 96, 128, dtype=torch.float64), *maps], torch.tensor([[96, 128]] * rows))
