"""The dense CRF behind a segmenter, set on validation images once the network is trained: fully connected CRFs as Chen et al. 2018 (DeepLab) tune theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from saccade.core import Batch, LabelSpace, Model, System
from saccade.metrics.segmentation import boundary
from saccade.nn.refine import STARTS, DenseCRF, tune, with_settings
from saccade.targets.segmentation_map import IGNORED

SIDE = 128  # pixels of the parts of windows that are looked at
MOST = 16  # of them
HEAD = "map"


class Refinement(NamedTuple):
    """settings: those that are set from now on. before, after: {"mean_iou", "boundary_iou"} of the parts of validation images without and with them.
    trials: all settings that were tried, with their scores. images: the number of parts."""

    settings: Mapping[str, float]
    before: Mapping[str, float]
    after: Mapping[str, float]
    trials: Sequence[Mapping[str, float]]
    images: int

    @property
    def used(self) -> bool:
        """Whether any setting was better than none."""
        return bool(self.settings["appearance"] or self.settings["smoothness"])


class Part(NamedTuple):
    """The scores (1, K, h, w) of a part of a window, its pixels (1, C, h, w), and the truth's class ids (h, w)."""

    logits: Tensor
    image: Tensor
    truth: np.ndarray


def tunable(model: System) -> DenseCRF | None:
    """The refiner of the model that is set after training, if it has one."""
    found = getattr(model.heads[HEAD], "refine", None) if isinstance(model, Model) and HEAD in model.heads else None
    return found if isinstance(found, DenseCRF) and not found.learnt else None


def refine(model: Model, batches: Iterable[Batch], space: LabelSpace, *, autocast: AbstractContextManager[Any] | None = None) -> Refinement | None:
    """Sets the model's dense CRF by the score mean IoU + boundary IoU, of settings that lower neither; None where the batches tell nothing of any pixel.

    batches: of validation images. The model's own refiner is off meanwhile; what is set is stored with its weights.
    """
    refiner = tunable(model)
    if refiner is None:
        return None
    refiner.set({"appearance": 0.0, "smoothness": 0.0})
    parts = parts_of(model, batches, autocast=autocast)
    if not parts:
        return None
    before = quality([part.logits[0] for part in parts], parts, space)

    def score(refined: list[Tensor]) -> float:
        found = quality(refined, parts, space)
        return sum(found.values()) if all(found[key] >= before[key] for key in before) else -1.0

    samples = [(part.logits, part.image) for part in parts]
    trials = tune(refiner, samples, score, starts=STARTS)
    best = max(trials, key=lambda trial: trial["score"])
    settings = {name: value for name, value in best.items() if name != "score"}
    after = quality(with_settings(samples, settings, refiner.rounds), parts, space)
    return Refinement(settings, before, after, trials, len(parts))


@torch.no_grad()
def parts_of(model: Model, batches: Iterable[Batch], *, autocast: AbstractContextManager[Any] | None = None) -> list[Part]:
    """Of every window the part of at most `SIDE` pixels a side whose truth has the most boundaries, at most `MOST` of them; on the CPU."""
    model.eval()
    device, found = next(model.parameters()).device, list[Part]()
    for batch in batches:
        with autocast or nullcontext():
            logits = model.outputs(batch.inputs.to(device), batch.sizes.to(device))[HEAD].logits
        for i, target in enumerate(batch.targets[HEAD]):
            if target is None or len(found) >= MOST:
                continue
            h, w = batch.sizes[i].tolist()
            truth = target.ids.cpu().numpy()[:h, :w]
            if (truth != IGNORED).any():
                rows, columns = _busiest(truth)
                found.append(Part(logits[i : i + 1, :, rows, columns].float().cpu(), batch.inputs[i : i + 1, :, rows, columns].float(), truth[rows, columns]))
    return found


def _busiest(truth: np.ndarray) -> tuple[slice, slice]:
    """The part of a map with the most neighbours of different classes; of equal ones the first."""
    h, w = truth.shape
    edges = np.zeros((h, w), bool)
    edges[:-1] |= truth[:-1] != truth[1:]
    edges[:, :-1] |= truth[:, :-1] != truth[:, 1:]
    best, chosen = -1, (slice(0, SIDE), slice(0, SIDE))
    for top in range(0, max(1, h - SIDE + 1), SIDE // 2):
        for left in range(0, max(1, w - SIDE + 1), SIDE // 2):
            place = slice(top, min(h, top + SIDE)), slice(left, min(w, left + SIDE))
            if (count := int(edges[place].sum())) > best:
                best, chosen = count, place
    return chosen


def quality(refined: Sequence[Tensor], parts: Sequence[Part], space: LabelSpace) -> dict[str, float]:
    """{"mean_iou", "boundary_iou"} of scores (K, h, w): of all parts together, means over the classes in truth or answer, the latter without background."""
    k = len(space)
    pixels, bands = np.zeros((k, k), np.int64), np.zeros((k, 2), np.int64)
    for scores, part in zip(refined, parts, strict=True):
        told, answer = part.truth != IGNORED, scores.argmax(0).numpy()
        pixels += np.bincount(part.truth[told].astype(np.int64) * k + answer[told], minlength=k * k).reshape(k, k)
        for c in range(k):
            if c != space.background:
                bands[c] += boundary(part.truth == c, answer == c, told)
    hits, union = pixels.diagonal(), pixels.sum(0) + pixels.sum(1) - pixels.diagonal()
    front = [c for c in range(k) if c != space.background and bands[c, 1]]
    return {"mean_iou": float((hits[union > 0] / union[union > 0]).mean()), "boundary_iou": float((bands[front, 0] / bands[front, 1]).mean()) if front else 0.0}
