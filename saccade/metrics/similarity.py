"""How alike answers and truths of one image are: overlaps of boxes and of masks, and the similarity of key points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from saccade.metrics.coco_matching import Objects
from saccade.ops import boxes as box_ops
from saccade.ops import masks as mask_ops
from saccade.ops.masks import Runs
from saccade.targets import Boxes, Instances, Keypoints
from saccade.targets.rows import array

Array = np.ndarray
Kind = Literal["boxes", "masks", "keypoints"]

# how far apart people place the same key point, as a share of the object's size: Lin et al., COCO key point evaluation
PERSON: Array = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
OTHER = 0.05  # of key points that COCO says nothing of


def boxes_of(target: Boxes | Instances | Keypoints) -> Boxes:
    """The boxes of any target that has some."""
    return target if isinstance(target, Boxes) else target.boxes


def objects(target: Boxes | Instances | Keypoints, kind: Kind) -> Objects:
    """What matching must know. Areas are those that the data give, else of the mask or of the box; of answered key points, of the box around them."""
    boxes = boxes_of(target)
    n = len(boxes)
    classes = boxes.classes.cpu().numpy().astype(np.int64)
    loose = classes < 0
    if boxes.crowd is not None:
        loose = loose | boxes.crowd.cpu().numpy()
    skipped = loose if boxes.difficult is None else loose | boxes.difficult.cpu().numpy()
    if kind == "keypoints":
        assert isinstance(target, Keypoints)
        if boxes.scores is None:  # a truth without a labelled point is nobody's to find
            skipped = skipped | ~(target.visible.cpu().numpy() > 0).any(1)
    scores = np.ones(n) if boxes.scores is None else array(boxes.scores)
    return Objects(classes, _areas(target, kind), scores, loose, skipped)


def _areas(target: Boxes | Instances | Keypoints, kind: Kind) -> Array:
    boxes = boxes_of(target)
    own = box_ops.area(array(boxes.xyxy))
    if kind == "masks":
        assert isinstance(target, Instances)
        own = np.array([float(runs.counts[1::2].sum()) for runs in runs_of(target)])
    elif kind == "keypoints" and boxes.scores is not None and len(target):
        assert isinstance(target, Keypoints)
        sides = np.ptp(array(target.xy), axis=1)
        own = sides[:, 0] * sides[:, 1]
    if boxes.areas is None or boxes.scores is not None:
        return own
    given = array(boxes.areas)
    return np.where(np.isnan(given), own, given)


def similarity(answers: Boxes | Instances | Keypoints, truths: Boxes | Instances | Keypoints, loose: Array, kind: Kind, spread: Array | None = None) -> Array:
    """(d, g) float64 in [0, 1]; of a loose truth (g,) the share of the answer that lies in it. spread: (K,) of key points, see `key_points`."""
    if not len(answers) or not len(truths):
        return np.zeros((len(answers), len(truths)))
    if kind == "masks":
        assert isinstance(answers, Instances) and isinstance(truths, Instances)
        return mask_overlaps(runs_of(answers), runs_of(truths), loose)
    if kind == "keypoints":
        assert isinstance(answers, Keypoints) and isinstance(truths, Keypoints)
        return key_points(answers, truths, spread)
    a, b = array(boxes_of(answers).xyxy), array(boxes_of(truths).xyxy)
    overlaps = box_ops.iou(a, b)
    if loose.any():
        overlaps[:, loose] = box_ops.intersection_over_area(a, b[loose])
    return overlaps


def mask_overlaps(answers: Sequence[Runs], truths: Sequence[Runs], loose: Array) -> Array:
    """(d, g) intersection over union of pixels, over the answer's pixels where the truth is loose."""
    from faster_coco_eval.core import mask  # type: ignore[import-untyped]

    coded = [[{"size": list(runs.size), "counts": mask_ops.runs_to_text(runs).encode()} for runs in side] for side in (answers, truths)]
    return np.asarray(mask.iou(coded[0], coded[1], [int(flag) for flag in loose])).reshape(len(answers), len(truths))


def runs_of(target: Instances) -> list[Runs]:
    """The mask of each object as run lengths; of an id map in one pass over it."""
    if target.shapes is not None:
        return [mask_ops.runs_of(shape) for shape in target.shapes]
    ids = target.id_map()
    flat = ids.ravel(order="F")
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1]) if flat.size else np.zeros(0, np.int64)
    ends, numbers = np.append(begins[1:], flat.size), flat[begins]
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(1, len(target) + 2))
    found = []
    for first, last in pairwise(bounds):
        rows = order[first:last]
        changes = np.stack([begins[rows], ends[rows]], 1).ravel()
        found.append(Runs((ids.shape[0], ids.shape[1]), np.diff(np.concatenate([[0], changes, [flat.size]]))))
    return found


def key_points(answers: Keypoints, truths: Keypoints, spread: Array | None = None) -> Array:
    """(d, g) object key point similarity: the mean over the labelled points of exp(-d^2 / (2 s^2 k^2)), s^2 the object's area, k twice the spread.

    spread: (K,) standard deviations as a share of sqrt(area); None: COCO's of the 17 points of a person, else 0.05. A truth without a labelled point
    is compared by how far the points lie outside of its box, doubled around its middle (COCO's "cocoeval").
    """
    count = truths.xy.shape[1]
    sigma = spread if spread is not None else PERSON if count == len(PERSON) else np.full(count, OTHER)
    variance = (2 * sigma) ** 2
    xy, goal, seen = array(answers.xy), array(truths.xy), truths.visible.cpu().numpy() > 0
    area, around = _areas(truths, "keypoints"), array(truths.boxes.xyxy)
    found = np.zeros((len(xy), len(goal)))
    for j, labelled in enumerate(seen):
        if labelled.any():
            apart = xy[:, labelled] - goal[j, labelled]
            own = variance[labelled]
        else:
            low, high = around[j, :2], around[j, 2:]
            apart, own = np.maximum(0, low - (high - low) - xy) + np.maximum(0, xy - high - (high - low)), variance
        distance = (apart**2).sum(2) / own / (area[j] + np.spacing(1)) / 2
        found[:, j] = np.exp(-distance).mean(1)
    return found
