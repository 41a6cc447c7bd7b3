"""Oriented boxes in space, with the camera that sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops import boxes as ops
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.boxes import Boxes
from saccade.targets.points import apart
from saccade.targets.rows import SMALLEST, Rows, array, chosen, column, moved, places, some

EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7), (0, 2), (1, 3))
"""The pairs of corners that are drawn: the twelve edges and a cross on the front."""
NEAR = 1.0
"""Metres between two middles below which the worse of two answers of one class is dropped when views are merged."""


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

    @staticmethod
    def empty(camera: Tensor) -> Boxes3D:
        """An image without objects, seen by a camera (3, 4)."""
        none = torch.zeros(0, 3, dtype=torch.float64)
        return Boxes3D(none, none, none[:, 0], torch.zeros(0, dtype=torch.int64), camera)

    def select(self, rows: Rows) -> Boxes3D:
        """The boxes at these row numbers, in this order, or where n yes-or-no values are set. Raises IndexError, ValueError."""
        at = places(rows, len(self))
        here = at.to(self.centre.device)
        boxes = None if self.boxes is None else self.boxes.select(at)
        return Boxes3D(self.centre[here], self.size[here], self.yaw[here], self.classes[here], self.camera, boxes, chosen(self.scores, at))

    def corners(self) -> Tensor:
        """(n, 8, 3) float64, metres: the front (in the heading's direction) floor left and right, top right and left; then the back likewise.

        Left and right as seen along the heading. With heading a = (cos yaw, 0, -sin yaw) and side b = (sin yaw, 0, cos yaw), which is to the
        left of it, a corner is centre +- length/2 a +- height/2 (0, 1, 0) +- width/2 b.
        """
        yaw, size = self.yaw.double(), self.size.double()
        zero = torch.zeros_like(yaw)
        heading = torch.stack([yaw.cos(), zero, -yaw.sin()], 1)
        side = torch.stack([yaw.sin(), zero, yaw.cos()], 1)
        down = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64, device=yaw.device).expand(len(yaw), 3)
        axes = torch.stack([heading, down, side], 1) * size[:, :, None] / 2  # (n, 3, 3)
        face = [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)]  # down, left
        signs = torch.tensor([(along, *rest) for along in (1.0, -1.0) for rest in face], dtype=torch.float64, device=yaw.device)
        return self.centre.double()[:, None] + torch.einsum("ka,nax->nkx", signs, axes)

    def project(self) -> Tensor:
        """(n, 8, 2) float64: the corners in the image, in the order of `corners`; nan for those that are not in front of the camera."""
        corners = self.corners()
        camera = self.camera.double()
        lifted = corners @ camera[:, :3].T + camera[:, 3]
        depth = torch.where(lifted[..., 2:] > 1e-6, lifted[..., 2:], torch.nan)
        return lifted[..., :2] / depth

    def around(self) -> Tensor:
        """(n, 4) float64 x1 y1 x2 y2 around the projected corners that are in front; all nan where none is."""
        points = self.project()
        unseen = points.isnan()
        found = torch.cat([points.masked_fill(unseen, torch.inf).amin(1), points.masked_fill(unseen, -torch.inf).amax(1)], 1)
        return torch.where(found.isinf(), torch.nan, found)

    def warp(self, g: Geometry) -> Boxes3D:
        """The same objects seen by another camera: G P for a geometry G and a camera P. A geometry that mirrors mirrors the world with it, so
        that right stays right: with S = diag(-1, 1, 1), the camera is G P S and every box is seen in S: x becomes -x, yaw becomes pi - yaw.

        Boxes in the image are moved and kept as `Boxes.warp` does; where there are none, an object stays when the rectangle around its
        corners has a pixel in the target. All float32, the camera float64. Raises ValueError for a bent geometry, which no camera has.
        """
        if g.bend is not None:
            raise ValueError("a bend is no camera: boxes in space can be warped by a matrix only")
        camera, centre, yaw = torch.from_numpy(g.square) @ self.camera.double().cpu(), self.centre.double(), self.yaw.double()
        if g.mirrored:
            mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
            camera, centre = camera * torch.cat([mirror, torch.ones(1, dtype=torch.float64)]), centre * mirror.to(centre.device)
            yaw = wrapped(torch.pi - yaw)
        boxes, kept = (None, torch.ones(len(self), dtype=torch.bool)) if self.boxes is None else self.boxes.moved(g)
        found = Boxes3D(centre.float(), self.size.float(), yaw.float(), self.classes, camera.to(self.camera.device), boxes, self.scores)
        if boxes is None:
            inside = ops.clip(np.nan_to_num(array(found.around()), nan=0.0), g.size)
            kept = torch.from_numpy(((inside[:, 2:] - inside[:, :2]) >= SMALLEST).all(1))
        return found.select(kept)

    def to(self, device: torch.device | str) -> Boxes3D:
        centre, size, yaw, classes, camera = (t.to(device) for t in (self.centre, self.size, self.yaw, self.classes, self.camera))
        boxes = None if self.boxes is None else self.boxes.to(device)
        return Boxes3D(centre, size, yaw, classes, camera, boxes, moved(self.scores, device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 with the edges of the boxes, a cross on the front, names, scores and distances; the far ones first."""
        canvas = paint.Canvas(image)
        points, corners, distance = array(self.project()), array(self.around()), array(self.centre)[:, 2]
        classes = self.classes.tolist()
        for row in np.argsort(-distance, kind="stable").tolist():
            colour = paint.colour_of(labels, classes[row])
            for a, b in EDGES:
                canvas.polyline(points[row][[a, b]], colour)
            score = "" if self.scores is None else f" {float(self.scores[row]):.2f}"
            canvas.tag(corners[row][:2], f"{paint.name_of(labels, classes[row])}{score} {distance[row]:.0f} m", colour)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Boxes3D], placements: Sequence[Geometry]) -> Boxes3D:
        """The objects of all parts as the whole's camera sees them (the first part's, placed): answers without those nearer than a metre to a
        better one of their class, best first; truths without copies (to a centimetre). Raises ValueError without parts."""
        warped = [part.warp(g) for part, g in zip(some(parts), placements, strict=True)]
        columns: dict[str, Any] = {name: column([(len(p), getattr(p, name)) for p in warped], 0.0) for name in ("centre", "size", "yaw", "classes")}
        boxes = None if any(part.boxes is None for part in warped) else Boxes.joined([part.boxes for part in warped if part.boxes is not None])
        scores = column([(len(p), p.scores) for p in warped], 1.0)
        whole = cls(**columns, camera=warped[0].camera, boxes=boxes, scores=scores)
        centre, classes = array(whole.centre), whole.classes.cpu().numpy()
        if scores is None:
            return whole.select(ops.first_copies(centre, array(whole.size), array(whole.yaw), classes))
        return whole.select(apart(centre, array(scores), classes, NEAR))


def wrapped(angle: Tensor) -> Tensor:
    """Radians in (-pi, pi].

    >>> wrapped(torch.tensor([-torch.pi, 1.5 * torch.pi])).tolist()
    [3.14159..., -1.57079...]
    """
    return torch.pi - (torch.pi - angle).remainder(2 * torch.pi)
