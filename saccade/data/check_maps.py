"""What can be wrong with the masks, maps and second pictures of one image."""

from __future__ import annotations

import numpy as np

from saccade.core import LabelSpace
from saccade.data.check_boxes import Size, told
from saccade.errors import Problem
from saccade.ops.masks import Polygons, Runs, checked_counts, tight_box
from saccade.targets import DepthMap, ImageTarget, Instances, SegmentationMap
from saccade.targets.segmentation_map import IGNORED

_LISTED = 10  # values of a map that are named
_OVERLAP = 0.7  # of a mask's tight box with the object's box
_APART = 3.0  # pixels between their edges

Box = tuple[float, float, float, float]


def plane(size: Size, image: Size, what: str) -> list[Problem]:
    """MAP-SIZE: a plane of another size than its image; the sides exchanged are said so."""
    if size == image:
        return []
    turned = "; the sides are exchanged, as when one of the two was turned (EXIF) and the other not" if size == image[::-1] else ""
    return [Problem("MAP-SIZE", "", f"{what} {size[1]} x {size[0]}, image {image[1]} x {image[0]}{turned}")]


def segmentation(target: SegmentationMap, size: Size, space: LabelSpace | None) -> list[Problem]:
    """MAP-SIZE; MAP-VALUES or, with more kinds of values than classes, MAP-SMOOTH; MAP-IGNORED."""
    ids = target.ids.numpy()
    problems = plane((ids.shape[0], ids.shape[1]), size, "map")
    pixels = np.bincount(ids.ravel(), minlength=256)
    known = pixels[:IGNORED]
    if pixels.any() and not known.any():
        problems.append(Problem("MAP-IGNORED", "", f"all {pixels[IGNORED]:,} pixels are {IGNORED}"))
    if space is None or not len(space):
        return problems
    foreign = np.flatnonzero(known[len(space) :]) + len(space)
    if len(foreign):
        common = sorted(foreign.tolist(), key=lambda value: -known[value])[:_LISTED]
        values = ", ".join(f"{value} ({known[value]:,})" for value in common) + (f" and {len(foreign) - _LISTED} more" if len(foreign) > _LISTED else "")
        smooth = np.count_nonzero(known) > max(len(space), 3)
        got = (
            f"{np.count_nonzero(known)} values for {len(space)} classes, such as {values}"
            if smooth
            else f"values (pixels) {values}; classes 0 to {len(space) - 1}"
        )
        problems.append(Problem("MAP-SMOOTH" if smooth else "MAP-VALUES", "", got))
    return problems


def instances(target: Instances, size: Size) -> list[Problem]:
    """MAP-SIZE, MASK-OUT, MASK-EMPTY and MASK-BOX (the box drawn around the mask is not the object's)."""
    problems, n = plane(target.size, size, "masks"), len(target)
    if problems:
        return problems
    if target.ids is not None:
        ids = target.ids.numpy()
        problems += plane((ids.shape[0], ids.shape[1]), target.size, "id map") if tuple(ids.shape) != tuple(target.size) else []
        seen = np.bincount(np.clip(ids.ravel(), 0, n + 1), minlength=n + 2)
        problems += told("MASK-EMPTY", seen[1 : n + 1] == 0, lambda row: "no pixel of the id map")
        if seen[n + 1]:
            problems.append(Problem("CLS-RANGE", "", f"the id map counts up to {int(ids.max())}; there are {n} objects"))
        return problems
    shapes = target.shapes or ()
    faults = [broken(shape, target.size) for shape in shapes]
    problems += told("MASK-RUNS", np.array(faults, bool), lambda row: faults[row])
    if any(faults):
        return problems
    tight = [extent(shape) for shape in shapes]
    problems += told("MASK-EMPTY", np.array([box is None for box in tight], bool), lambda row: "no pixel")
    around = np.array([box or (np.nan,) * 4 for box in tight], np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore"):
        outside = (around[:, 0] >= size[1]) | (around[:, 1] >= size[0]) | (around[:, 2] <= 0) | (around[:, 3] <= 0)
    problems += told("MASK-OUT", outside, lambda row: f"mask {_shown(around[row])}, image {size[1]} x {size[0]}")
    crowd = np.zeros(n, bool) if target.boxes.crowd is None else target.boxes.crowd.numpy().astype(bool)
    given = target.boxes.xyxy.numpy().astype(np.float64)
    apart = ~crowd & ~outside & disagree(np.clip(around, 0, [size[1], size[0], size[1], size[0]]), given)
    problems += told("MASK-BOX", apart, lambda row: f"mask {_shown(around[row])}, box {_shown(given[row])}")
    return problems


def disagree(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) whether two boxes (n, 4) overlap by less than 0.7 and have edges more than 3 pixels apart; a box of nan disagrees with none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
        common = np.prod(np.clip(sides, 0, None), axis=1)
        union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - common
        found: np.ndarray = (common < _OVERLAP * union) & (np.abs(a - b).max(1, initial=0) > _APART)
    return found


def broken(shape: Runs | Polygons, size: Size) -> str:
    """What is wrong with a mask for a plane (h, w), empty when nothing is."""
    if shape.size != size:
        return f"a mask for {shape.size[1]} x {shape.size[0]} among masks for {size[1]} x {size[0]}"
    if isinstance(shape, Runs):
        try:
            checked_counts(shape)
        except ValueError as error:
            return str(error)
    return ""


def extent(shape: Runs | Polygons) -> Box | None:
    """x1 y1 x2 y2 around a mask; of outlines around their points, wherever they are, without drawing them. None for a mask without area.

    >>> extent(Runs((4, 3), np.array([5, 2, 5])))
    (1, 1, 2, 3)
    """
    if isinstance(shape, Runs):
        return tight_box(shape)
    rings = [ring for ring in shape.rings if len(ring) > 2]
    if not rings:
        return None
    every = np.concatenate(rings)
    (x1, y1), (x2, y2) = every.min(0), every.max(0)
    return (float(x1), float(y1), float(x2), float(y2)) if x2 > x1 and y2 > y1 else None


def depth(target: DepthMap, size: Size) -> list[Problem]:
    """MAP-SIZE, DEPTH-NONE (nothing is known) and DEPTH-RANGE (a distance that is not above 0, or infinite)."""
    metres = target.metres.numpy()
    problems = plane((metres.shape[0], metres.shape[1]), size, "depth map")
    known = metres[~np.isnan(metres)]
    if not len(known):
        problems.append(Problem("DEPTH-NONE", "", f"all {metres.size:,} pixels are unknown"))
    wrong = int(np.count_nonzero((known <= 0) | np.isinf(known)))
    if wrong:
        problems.append(Problem("DEPTH-RANGE", "", f"{wrong:,} of {metres.size:,} pixels, from {known.min():.6g} to {known.max():.6g} m"))
    return problems


def picture(target: ImageTarget) -> list[Problem]:
    """ANN-NUMBER: a second picture without a finite pixel, or with values outside of 0 to 1."""
    pixels = target.pixels.numpy()
    known = pixels[np.isfinite(pixels)]
    if not len(known) or np.isinf(pixels).any():
        return [Problem("ANN-NUMBER", "", "the second picture has pixels that are not finite")]
    if known.min() < 0 or known.max() > 1:
        return [Problem("ANN-NUMBER", "", f"the second picture has values from {known.min():.6g} to {known.max():.6g}, expected 0 to 1")]
    return []


def _shown(box: np.ndarray) -> str:
    return " ".join(f"{v:.6g}" for v in box)
