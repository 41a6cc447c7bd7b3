"""The numbers of tagged sequences, each with its 95 % interval: frames, segments, edits, whole sequences.

Segment F1 at overlaps and the edit score: Lea, Flynn, Vidal, Reiter, Hager, "Temporal convolutional networks for action segmentation and
detection", CVPR 2017, section 4.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from saccade.core import LabelSpace, Value
from saccade.errors import ModelError
from saccade.metrics import bootstrap
from saccade.metrics.bootstrap import Array, Statistic
from saccade.metrics.statistics import mean, nan_mean
from saccade.targets.tag_sequence import TagSequence

OVERLAPS = (0.10, 0.25, 0.50)


class Segment(NamedTuple):
    """Frames first..last - 1 of one tag."""

    first: int
    last: int
    tag: int


def segments(tags: Array, background: int | None = None) -> list[Segment]:
    """Runs of equal tags, in order, those of the background left out.

    >>> [s.tag for s in segments(np.array([0, 0, 2, 2, 2, 1]), background=0)]
    [2, 1]
    """
    cuts = np.flatnonzero(np.diff(tags)) + 1
    ends = [0, *cuts.tolist(), len(tags)] if len(tags) else [0]
    return [Segment(a, b, int(tags[a])) for a, b in itertools.pairwise(ends) if int(tags[a]) != background]


def matched(answer: Sequence[Segment], truth: Sequence[Segment], overlap: float) -> int:
    """How many answered segments hit a true one: the true segment of the same tag with the largest IoU, at least `overlap`, each taken once."""
    taken: set[int] = set()
    for one in answer:
        best, place = 0.0, -1
        for i, other in enumerate(truth):
            if other.tag == one.tag:
                common = min(one.last, other.last) - max(one.first, other.first)
                share = common / (max(one.last, other.last) - min(one.first, other.first))
                if share > best:
                    best, place = share, i
        if place >= 0 and best >= overlap and place not in taken:
            taken.add(place)
    return len(taken)


def edit_distance(one: Sequence[int], two: Sequence[int]) -> int:
    """Insertions, deletions and substitutions from one to the other (Levenshtein 1966).

    >>> edit_distance([1, 2, 3], [1, 3, 4])
    2
    """
    row = np.arange(len(two) + 1)
    second = np.asarray(two)
    for i, symbol in enumerate(one):
        best = np.minimum(row[1:] + 1, row[:-1] + (second != symbol))
        after = np.concatenate([[i + 1], best])
        row = np.minimum.accumulate(after - np.arange(len(after))) + np.arange(len(after))  # insertions from the left
    return int(row[-1])


class _Facts(NamedTuple):
    """Of one sequence: frames a class (K, 3) right, answered, true; segments (overlap, 3) matched, answered, true; edit score; wholly right."""

    frames: Array
    segments: Array
    edit: float
    whole: float


@dataclass
class SequenceTagging:
    """Metric of TagSequence: accuracy (frames), f1 (mean over classes), segment_f1 (overlap 0.5), segment_f1_25, segment_f1_10, edit, sequence_accuracy.

    Frames whose truth is -1 are cut out before anything is counted. Segments of `space.background` are not counted. Intervals are
    by bootstrap over sequences, or over groups where `update` is given them.

    >>> import torch
    >>> metric = SequenceTagging(LabelSpace(("a", "b")))
    >>> metric.update(TagSequence(torch.tensor([0, 0, 1, 1])), TagSequence(torch.tensor([0, 1, 1, 1])))
    >>> metric.compute()["accuracy"].value, metric.compute()["edit"].value
    (0.75, 1.0)
    """

    space: LabelSpace
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _facts: list[_Facts] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    def update(self, prediction: TagSequence, truth: TagSequence | None, group: str | None = None) -> None:
        """Takes one sequence in. Raises MODEL-CLASSES for an answer of another length or with a tag that is no class."""
        if truth is None:
            return
        answer, true = _known(prediction, truth, len(self.space))
        if len(true):
            self._facts.append(self._look(answer, true))
            self._groups.append(group)

    def _look(self, answer: Array, true: Array) -> _Facts:
        k = len(self.space)
        hits = np.bincount(true[answer == true], minlength=k)
        frames = np.stack([hits, np.bincount(answer, minlength=k), np.bincount(true, minlength=k)], 1)
        given, wanted = segments(answer, self.space.background), segments(true, self.space.background)
        counts = np.array([[matched(given, wanted, overlap), len(given), len(wanted)] for overlap in OVERLAPS])
        longest = max(len(given), len(wanted))
        edit = 1.0 - edit_distance([s.tag for s in given], [s.tag for s in wanted]) / longest if longest else 1.0
        return _Facts(frames, counts, edit, float((answer == true).all()))

    def of_image(self, prediction: TagSequence, truth: TagSequence) -> dict[str, float]:
        """accuracy, edit and segment_f1 of one sequence; nan where no frame is known."""
        answer, true = _known(prediction, truth, len(self.space))
        if not len(true):
            return {"accuracy": float("nan"), "edit": float("nan"), "segment_f1": float("nan")}
        facts = self._look(answer, true)
        hit, given, wanted = facts.segments[-1]
        return {"accuracy": float((answer == true).mean()), "edit": facts.edit, "segment_f1": 2 * hit / (given + wanted) if given + wanted else 1.0}

    def __add__(self, other: Self) -> Self:
        if self.space != other.space:
            raise ValueError("only statistics of the same classes can be added")
        total = type(self)(self.space, self.resamples, self.seed)
        total._facts, total._groups = self._facts + other._facts, self._groups + other._groups
        return total

    def __len__(self) -> int:
        return len(self._facts)

    @property
    def groups(self) -> Array | None:
        """Group ids (n,), or None when no sequence has a group."""
        return bootstrap.group_codes(self._groups)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals: what an epoch of training needs."""
        return {key: value.value for key, value in self._resampled(0).items()}

    def compute(self) -> dict[str, Value]:
        """{key: Value}; nan with n = 0 for no sequences."""
        return self._resampled(self.resamples)

    def _resampled(self, resamples: int) -> dict[str, Value]:
        keys = ("accuracy", "f1", "segment_f1", "segment_f1_25", "segment_f1_10", "edit", "sequence_accuracy")
        if not self._facts:
            return {key: Value(float("nan"), float("nan"), float("nan"), 0) for key in keys}
        frames = np.stack([facts.frames for facts in self._facts]).astype(np.float64)  # (n, K, 3)
        cuts = np.stack([facts.segments for facts in self._facts]).astype(np.float64)  # (n, 3, 3)
        statistics: dict[str, Statistic] = {
            "accuracy": lambda w: (frames[:, :, 0].sum(1) @ w) / (frames[:, :, 2].sum(1) @ w),
            "f1": lambda w: nan_mean(_f1(frames, w)),
            "segment_f1": lambda w: _f1(cuts, w)[:, 2],
            "segment_f1_25": lambda w: _f1(cuts, w)[:, 1],
            "segment_f1_10": lambda w: _f1(cuts, w)[:, 0],
            "edit": mean(np.array([facts.edit for facts in self._facts])),
            "sequence_accuracy": mean(np.array([facts.whole for facts in self._facts])),
        }
        found = bootstrap.evaluate(statistics, len(self), groups=self.groups, resamples=resamples, seed=self.seed)
        units = len(self) if self.groups is None else int(self.groups.max()) + 1
        return {key: bootstrap.interval(float(value), drawn, units)._replace(n=len(self)) for key, (value, drawn) in found.items()}

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class over frames: class, support, answered, precision, recall, f1, the last with f1_low and f1_high."""
        if not self._facts:
            return []
        frames = np.stack([facts.frames for facts in self._facts]).astype(np.float64)
        value, drawn = bootstrap.evaluate({"": lambda w: _f1(frames, w)}, len(self), groups=self.groups, resamples=self.resamples, seed=self.seed)[""]
        rows = []
        for k, (name, (hits, answered, support)) in enumerate(zip(self.space.names, frames.sum(0).tolist(), strict=True)):
            found = bootstrap.interval(float(value[k]), drawn[:, k], len(self))
            row: dict[str, Any] = {"class": name, "support": int(support), "answered": int(answered)}
            row |= {"precision": hits / answered if answered else float("nan"), "recall": hits / support if support else float("nan")}
            rows.append(row | {"f1": found.value, "f1_low": found.low, "f1_high": found.high})
        return rows


def _f1(counts: Array, w: Array) -> Array:
    """(n, C, 3) right, answered, true and weights (n, R) -> (R, C) F1; nan for what is neither true nor answered."""
    total = np.einsum("nci,nr->rci", counts, w)
    with np.errstate(invalid="ignore", divide="ignore"):
        score: Array = 2 * total[..., 0] / (total[..., 1] + total[..., 2])
    return score


def _known(prediction: TagSequence, truth: TagSequence, classes: int) -> tuple[Array, Array]:
    """The answered and the true tags of the frames whose truth is known."""
    answer, true = prediction.tags.cpu().numpy(), truth.tags.cpu().numpy()
    if len(answer) != len(true):
        raise ModelError("MODEL-CLASSES", f"{len(answer)} tags for a sequence of {len(true)} frames")
    known = true >= 0
    answer = answer[known]
    if len(answer) and not 0 <= answer.min() <= answer.max() < classes:
        raise ModelError("MODEL-CLASSES", f"a tag {int(answer.max())} of {classes} classes")
    return answer, true[known]
