"""The numbers of key points: how far they are off in pixels, PCK at stated distances, OKS-AP; of each point too, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from saccade.core import LabelSpace, Value
from saccade.metrics import bootstrap
from saccade.metrics.coco_matching import Matched
from saccade.metrics.detection import Detection
from saccade.metrics.thresholds import Thresholds
from saccade.targets import Keypoints
from saccade.targets.rows import array

Array = np.ndarray
SHARES: dict[str, float] = {"pck": 0.1, "pck05": 0.05, "pck20": 0.2}
"""Key -> distance as a share of the longer side of the object's box, up to which a point is right."""
TORSO, HEAD = 0.2, 0.5
CURVE = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.4, 0.5)
PIXELS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0)


class _Seen(NamedTuple):
    """The objects of one image. apart: (n, K) pixels between answer and truth, inf where nothing was answered, nan where the truth is not labelled.
    box, torso, head: (n,) pixels that distances are compared with. visible: (n, K) 1 where the answer says rightly whether a point is hidden, nan as above
    or where nothing was answered."""

    apart: Array
    box: Array
    torso: Array
    head: Array
    visible: Array


@dataclass
class Pose:
    """Metric of Keypoints.

    Every truth with a labelled point is compared with one answer of its image at most: of the best-scored answers, as many as there are truths (and
    beyond those all that reach the threshold), pairs of one class are formed by the mean distance of the labelled points as a share of the box, the
    closest first.
    error: mean distance in pixels over the labelled points of the objects that have an answer; rmse: the root of the mean square of them.
    pck, pck05, pck20: share of the labelled points that are within 0.1 (0.05, 0.2) of the longer side of the object's box (Yang and Ramanan, "Articulated human
    detection with flexible mixtures of parts", TPAMI 2013, section 7); pck_torso: within 0.2 of the distance from the left shoulder to the right
    hip (Sapp and Taskar, "MODEC", CVPR 2013); pck_head: within 0.5 of the distance from the neck to the top of the head (PCKh, Andriluka et al. 2014,
    whose head is a box). Both only where points of these names exist. Points without an answer are wrong. found: share of the objects with an answer.
    visible: share of answered points whose hidden-or-visible is right. keypoint_map and the rest: OKS-AP, see `metrics.detection`.
    pixels: of `pck_pixels`, None leaves it out. threshold: of an object's score. spread: (K,) of the points, see `metrics.similarity.key_points`.

    >>> import torch
    >>> from saccade.targets import Boxes
    >>> space = LabelSpace(("fly",), keypoints=("head", "tail"))
    >>> box = Boxes(torch.tensor([[0.0, 0, 100, 50]]), torch.tensor([0]))
    >>> truth = Keypoints(torch.tensor([[[10.0, 10], [90, 40]]]), torch.tensor([[2, 2]], dtype=torch.uint8), box)
    >>> metric = Pose(space)
    >>> metric.update(Keypoints(torch.tensor([[[13.0, 14], [90, 70]]]), truth.visible, Boxes(box.xyxy, box.classes, torch.tensor([0.9]))), truth)
    >>> metric.points()["error"], metric.points()["pck"], metric.points()["pck05"]
    (17.5, 0.5, 0.5)
    """

    worst: ClassVar[str] = "high"

    space: LabelSpace
    threshold: Thresholds = None
    pixels: float | None = None
    spread: tuple[float, ...] | None = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _images: list[_Seen] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.detection = Detection(self.space, kind="keypoints", threshold=self.threshold, spread=self.spread, resamples=self.resamples, seed=self.seed)
        self._torso, self._head = ends_of(self.space.keypoints)

    def update(self, prediction: Keypoints, truth: Keypoints | None, group: str | None = None) -> None:
        """Takes one image in. Raises MODEL-CLASSES for an id that is no class and MODEL-NAN for a score or box that is not finite."""
        if truth is None:
            return
        self.detection.update(prediction, truth, group)
        self._images.append(self._look(prediction, truth))
        self._groups.append(group)

    def _look(self, prediction: Keypoints, truth: Keypoints) -> _Seen:
        counted = counted_objects(truth)
        goal = truth.select(counted) if not counted.all() else truth
        xy, seen = array(goal.xy), goal.visible.cpu().numpy() > 0
        apart = np.where(seen, np.inf, np.nan)
        right = np.full(seen.shape, np.nan)
        sides = array(goal.boxes.xyxy)[:, 2:] - array(goal.boxes.xyxy)[:, :2]
        box = np.maximum(1.0, sides.max(1, initial=0.0))
        rows = self._answers(prediction, len(goal))
        found = array(prediction.xy)
        for i, j in pairs_of(distances(found[rows], xy, seen) / box, prediction.boxes.classes.numpy()[rows], goal.boxes.classes.numpy()):
            own = found[rows[i]]
            apart[j] = np.where(seen[j], np.linalg.norm(own - xy[j], axis=1), np.nan)
            told = prediction.visible[rows[i]].cpu().numpy() == goal.visible[j].cpu().numpy()
            right[j] = np.where(seen[j], told, np.nan)
        return _Seen(apart, box, _length(xy, seen, self._torso), _length(xy, seen, self._head), right)

    def _answers(self, prediction: Keypoints, truths: int) -> Array:
        """Rows of the answers that are compared."""
        scores = np.ones(len(prediction)) if prediction.boxes.scores is None else array(prediction.boxes.scores)
        limits = np.array([self.detection.thresholds[name] for name in self.space.names])
        order = np.argsort(-scores, kind="stable")
        chosen = (np.arange(len(order)) < truths) | (scores[order] >= limits[prediction.boxes.classes.numpy()[order]])
        return order[chosen]

    def __add__(self, other: Self) -> Self:
        if (self.space, self.pixels) != (other.space, other.pixels):
            raise ValueError("only statistics of the same classes, key points and distances can be added")
        total = type(self)(self.space, self.threshold, self.pixels, self.spread, self.resamples, self.seed)
        total.detection = self.detection + other.detection
        total._images, total._groups = self._images + other._images, self._groups + other._groups
        return total

    def __len__(self) -> int:
        return len(self._images)

    # -- numbers ---------------------------------------------------------------------------------------------------

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals: what an epoch of training needs."""
        return {key: value.value for key, value in self._resampled(0)[0].items()} | self.detection.points()

    def compute(self) -> dict[str, Value]:
        """{error, rmse, pck, pck05, pck20, pck_torso, pck_head, pck_pixels, found, visible, keypoint_map and the rest of OKS-AP: Value}; nan where there is
        nothing to say."""
        return self._resampled(self.resamples)[0] | self.detection.compute()

    def per_joint(self) -> list[dict[str, Any]]:
        """A row a key point: point, labelled, error and pck each with _low and _high, pck05, pck20, rmse."""
        return self._resampled(self.resamples)[1]

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class of objects, by OKS: see `metrics.detection.Detection.per_class`."""
        return self.detection.per_class()

    def _columns(self) -> tuple[dict[str, tuple[Array, Array]], dict[str, tuple[Array, Array]]]:
        """Key -> what is counted (n,) and out of how much (n,); and for each point the same (n, K)."""
        k = len(self.space.keypoints)
        images = self._images
        counts: dict[str, list[Array]] = {}
        for one in images:
            labelled, near = ~np.isnan(one.apart), np.isfinite(one.apart)
            distance = np.where(near, one.apart, 0.0)
            row = {"labelled": labelled, "near": near, "error": distance, "rmse": distance**2}
            for key, share in SHARES.items():
                row[key] = labelled & near & (distance <= share * one.box[:, None])
            for key, share, length in (("pck_torso", TORSO, one.torso), ("pck_head", HEAD, one.head)):
                known = labelled & np.isfinite(length)[:, None]
                row[key], row[f"{key} of"] = known & near & (distance <= share * np.nan_to_num(length)[:, None]), known
            row["pck_pixels"] = near & (distance <= (self.pixels or 0.0))
            row["visible"], row["visible of"] = one.visible == 1, ~np.isnan(one.visible)
            for name, values in row.items():
                counts.setdefault(name, []).append(values.sum(0, dtype=np.float64) if len(values) else np.zeros(k))
        table = {name: np.stack(values) for name, values in counts.items()}
        pairs = {key: (table[key], table["near" if key in ("error", "rmse") else "labelled"]) for key in ("error", "rmse", *SHARES)}
        if self._torso is not None:
            pairs["pck_torso"] = table["pck_torso"], table["pck_torso of"]
        if self._head is not None:
            pairs["pck_head"] = table["pck_head"], table["pck_head of"]
        if self.pixels is not None:
            pairs["pck_pixels"] = table["pck_pixels"], table["labelled"]
        pairs["visible"] = table["visible"], table["visible of"]
        whole = {key: (a.sum(1), b.sum(1)) for key, (a, b) in pairs.items()}
        objects = np.array([len(one.apart) for one in images], dtype=np.float64)
        answered = np.array([np.isfinite(one.apart).any(1).sum() for one in images], dtype=np.float64)
        return whole | {"found": (answered, objects)}, pairs

    def _resampled(self, resamples: int) -> tuple[dict[str, Value], list[dict[str, Any]]]:
        n, names = len(self), self.space.keypoints
        if not n:
            empty = Value(float("nan"), float("nan"), float("nan"), 0)
            keys = ["error", "rmse", *SHARES, *(["pck_torso"] if self._torso else []), *(["pck_head"] if self._head else [])]
            return dict.fromkeys([*keys, *(["pck_pixels"] if self.pixels is not None else []), "found", "visible"], empty), []
        whole, single = self._columns()
        groups = bootstrap.group_codes(self._groups)

        def statistic(weights: Array) -> Array:
            with np.errstate(invalid="ignore", divide="ignore"):
                found = [_ratio(key, a @ weights, b @ weights)[:, None] for key, (a, b) in whole.items()]
                each = [_ratio(key, a.T @ weights, b.T @ weights).T for key, (a, b) in single.items() if key in ("error", "rmse", *SHARES)]
            return np.concatenate(found + each, 1)

        value, drawn = bootstrap.evaluate({"": statistic}, n, groups=groups, resamples=resamples, seed=self.seed)[""]
        units = n if groups is None else int(groups.max()) + 1
        found = [bootstrap.interval(float(v), drawn[:, i], units)._replace(n=n) for i, v in enumerate(value)]
        overall, rest = dict(zip(whole, found, strict=False)), found[len(whole) :]
        columns = [key for key in single if key in ("error", "rmse", *SHARES)]
        rows = []
        for j, name in enumerate(names):
            row: dict[str, Any] = {"point": name, "labelled": int(single["pck"][1][:, j].sum())}
            for i, key in enumerate(columns):
                one = rest[i * len(names) + j]
                row |= {key: one.value} | ({f"{key}_low": one.low, f"{key}_high": one.high} if key in ("error", "pck") else {})
            rows.append(row)
        return overall, rows

    def of_image(self, prediction: Keypoints, truth: Keypoints) -> dict[str, float]:
        """{missed, pck, found, objects, and error where something was answered} of one image. missed: the mean distance as a share of the box, at most 1,
        and 1 for what was not answered."""
        one = self._look(prediction, truth)
        labelled, near = ~np.isnan(one.apart), np.isfinite(one.apart)
        if not labelled.any():
            return {}
        share = np.minimum(1.0, one.apart / one.box[:, None])[labelled]
        told = {"missed": float(share.mean())} | ({"error": float(one.apart[near].mean())} if near.any() else {})
        return told | {"pck": float((share <= SHARES["pck"]).mean()), "found": float(near.any(1).sum()), "objects": float(len(near))}

    def best_thresholds(self, precision: float | None = None) -> dict[str, float]:
        """Of each class the score with the best F1 at an OKS of 0.5, see `Detection.best_thresholds`."""
        return self.detection.best_thresholds(precision)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """{joints, pck_curve, curves}: a row a key point; shares of right points by distance; precision and recall by OKS."""
        apart = np.concatenate([(one.apart / one.box[:, None]).ravel() for one in self._images] or [np.zeros(0)])
        pixels = np.concatenate([one.apart.ravel() for one in self._images] or [np.zeros(0)])
        rows = []
        for unit, values, steps in (("box", apart, CURVE), ("px", pixels, PIXELS)):
            labelled = values[~np.isnan(values)]
            rows += [{"unit": unit, "distance": step, "share": float((labelled <= step).mean()) if len(labelled) else float("nan")} for step in steps]
        return {"joints": self.per_joint(), "pck_curve": rows, "curves": self.detection.tables()["curves"]}

    @property
    def matched(self) -> list[Matched]:
        """What OKS says of every image."""
        return self.detection._images


def _ratio(key: str, of: Array, out_of: Array) -> Array:
    found: Array = of / out_of
    return np.sqrt(found) if key == "rmse" else found


def counted_objects(truth: Keypoints) -> Array:
    """(n,) bool: objects with a labelled point, of a known class, that are no crowd and not difficult."""
    counted: Array = (truth.visible.cpu().numpy() > 0).any(1) & (truth.boxes.classes.cpu().numpy() >= 0)
    for flags in (truth.boxes.crowd, truth.boxes.difficult):
        counted = counted if flags is None else counted & ~flags.cpu().numpy()
    return counted


def distances(found: Array, goal: Array, seen: Array) -> Array:
    """(d, K, 2), (n, K, 2), (n, K) -> (d, n) mean distance in pixels over the points that are labelled."""
    apart = np.linalg.norm(found[:, None] - goal[None], axis=3)
    total: Array = np.where(seen[None], apart, 0.0).sum(2) / np.maximum(1, seen.sum(1))
    return total


def pairs_of(cost: Array, classes: Array, goals: Array) -> list[tuple[int, int]]:
    """(answer, truth) pairs of the same class, the cheapest first, each in one pair at most."""
    cost = np.where(classes[:, None] == goals[None], cost, np.inf)
    pairs = list[tuple[int, int]]()
    taken: tuple[set[int], set[int]] = set(), set()
    for place in np.argsort(cost, axis=None, kind="stable"):
        i, j = divmod(int(place), cost.shape[1])
        if np.isfinite(cost[i, j]) and i not in taken[0] and j not in taken[1]:
            pairs.append((i, j))
            taken[0].add(i)
            taken[1].add(j)
    return pairs


def ends_of(names: Sequence[str]) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The points that a torso and a head are measured between: left shoulder and right hip, neck and top of the head; None where they are not named.

    >>> ends_of(["left shoulder", "right hip", "head top", "neck"])
    ((0, 1), (3, 2))
    """
    plain = ["".join(letter for letter in name.lower() if letter.isalnum()) for name in names]

    def found(one: Sequence[str], other: Sequence[str]) -> tuple[int, int] | None:
        a, b = (next((plain.index(name) for name in options if name in plain), None) for options in (one, other))
        return None if a is None or b is None else (a, b)

    return found(("leftshoulder", "lshoulder", "shoulderleft"), ("righthip", "rhip", "hipright")), found(("neck",), ("headtop", "topofhead", "tophead"))


def _length(xy: Array, seen: Array, ends: tuple[int, int] | None) -> Array:
    """(n,) pixels between two points of each object; nan where they are not both labelled."""
    if ends is None:
        return np.full(len(xy), np.nan)
    a, b = ends
    found: Array = np.where(seen[:, a] & seen[:, b], np.linalg.norm(xy[:, a] - xy[:, b], axis=1), np.nan)
    return found
