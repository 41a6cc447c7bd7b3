"""Oriented boxes in space, with the camera that sees them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.targets.boxes import Boxes


@dataclass(frozen=True)
class Boxes3D:
    """n boxes in the camera's coordinates: x right, y down, z forward, metres (KITTI; Geiger et al. 2012).

    centre: (n, 3) the middle of the box (KITTI files give the middle of its floor). size: (n, 3) length along the heading, height,
    width, all > 0. yaw: (n,) radians about the y axis, 0 = heading along x, pi/2 = towards the viewer's back (-z), in (-pi, pi].
    classes: (n,) int64. camera: (3, 4) projection, homogeneous camera coordinates -> pixels of this image.
    boxes: their n boxes in the image where the data give them, else None. scores: (n,) float, None for a truth.
    """

    centre: Tensor
    size: Tensor
    yaw: Tensor
    classes: Tensor
    camera: Tensor
    boxes: Boxes | None = None
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.centre)
