"""How detectors of single regions learn: a network by warped regions, dense layers by regions of maps, then machines and boxes on features kept in a file."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from saccade.classic.linear_svm import calibrated, mined_svm, ridge
from saccade.core import Feeds, Run
from saccade.errors import UsageError
from saccade.nn.heads.anchored import truth_of
from saccade.nn.heads.regions import overlaps_by_class
from saccade.ops.iou import pairwise
from saccade.ops.matching import Matcher, Sampler
from saccade.targets import Boxes

if TYPE_CHECKING:
    from saccade.models.regions import RegionModel

NORM = 20.0
"""What the features' mean norm is brought to, so that one cost and one penalty fit all networks (R-CNN's published code)."""
NEGATIVE, NEAR = 0.3, 0.6
"""A region of a smaller IoU with every object of a class is no example of it; boxes are learnt from regions of at least the second."""
MOST_NEAR = 4000
"""Regions of a class, about, that boxes are learnt from: of more, every second, fourth ... one."""
TOLD_EVERY_S = 0.5


class Lesson(NamedTuple):
    """The arguments of training, see `models.regions.region_cnn`."""

    epochs: int
    minutes: float
    rate: float
    samples: int
    cost: float = 1e-3
    penalty: float = 1000.0
    passes: int = 1


class Region(NamedTuple):
    """One training image without its padding, its proposals with the objects' own boxes behind them, and its truth."""

    image: Tensor
    boxes: Tensor
    truth: Boxes
    objects: int


class Trainer:
    """The steps, one after another, over the same batches."""

    def __init__(self, model: RegionModel, lesson: Lesson, feeds: Feeds, run: Run | None) -> None:
        self.model, self.lesson, self.feeds, self.run = model, lesson, feeds, run
        self.device = next(model.parameters()).device
        self.chance, self.told = torch.Generator().manual_seed(0), 0.0

    def tell(self, phase: str, n: int, total: int, **more: Any) -> None:
        now = time.monotonic()
        if self.run is not None and (n == total or now - self.told > TOLD_EVERY_S):
            self.told = now
            self.run.event("step", phase=phase, n=n, total=total, **more)

    def images(self, epoch: int) -> Iterator[list[Region]]:
        """Batch by batch the images that have a truth."""
        for batch in self.feeds.train.epoch(epoch):
            found = []
            for image, size, truth in zip(batch.inputs, batch.sizes, batch.targets.get("boxes", ()), strict=True):
                if truth is not None:
                    plain = image[:, : int(size[0]), : int(size[1])].to(self.device)
                    own = truth_of(truth, self.model.head.classes, self.device)
                    objects = own.boxes[~own.loose]
                    found.append(Region(plain, torch.cat([self.model.propose(plain).to(objects), objects]), truth, len(objects)))
            yield found

    def sampled(self, region: Region) -> tuple[Tensor, Tensor]:
        """Rows of the regions that a step looks at, and the class of each: 0 background, k + 1. Objects are overlapped by half at least."""
        truth = truth_of(region.truth, self.model.head.classes, self.device)
        matching = Matcher(0.5, 0.5)(region.boxes, truth.boxes, truth.loose)
        rows = torch.cat(Sampler(self.lesson.samples, 0.25)(matching, self.chance))
        answer = matching.truth[rows]
        goal = torch.where(answer >= 0, truth.classes[answer.clamp_min(0)] + 1, 0) if len(truth.classes) else torch.zeros_like(rows)
        return rows, goal

    # -- the network ------------------------------------------------------------------------------------------------

    def on_crops(self) -> None:
        """The whole network as a classifier of warped regions, background being a class."""
        model = self.model

        def features(regions: list[Region], rows: list[Tensor]) -> Tensor:
            return model.of_crops(torch.cat([model.crops(own.image, own.boxes[row]) for own, row in zip(regions, rows, strict=True)]))

        model.train()
        self._descend("warped regions", list(model.parameters()), features)

    def on_maps(self, of_map: Callable[[Tensor, Tensor], Tensor]) -> None:
        """The dense layers alone, on regions of the maps of whole images."""
        model, head = self.model, self.model.head

        def features(regions: list[Region], rows: list[Tensor]) -> Tensor:
            with torch.no_grad():
                return torch.cat([of_map(model.last_map(own.image[None]), own.boxes[row]) for own, row in zip(regions, rows, strict=True)])

        model.eval()
        self._descend("regions of maps", [*head.trunk.parameters(), *head.scores.parameters()], features)

    def _descend(self, phase: str, weights: list[Tensor], features: Callable[[list[Region], list[Tensor]], Tensor]) -> None:
        """AdamW on the cross entropy, its rate falling as a cosine over the epochs, or over the minutes where they end first."""
        lesson, head, began = self.lesson, self.model.head, time.monotonic()
        optimiser = torch.optim.AdamW(weights, lr=lesson.rate, weight_decay=0.05)
        total, step = lesson.epochs * len(self.feeds.train), 0
        for epoch in range(lesson.epochs):
            for regions in self.images(epoch):
                step += 1
                spent = (time.monotonic() - began) / (60 * lesson.minutes) if lesson.minutes else 0.0
                done = min(1.0, max((step - 1) / total, spent))
                if regions and done < 1:
                    picked = [self.sampled(region) for region in regions]
                    for group in optimiser.param_groups:
                        group["lr"] = lesson.rate * 0.5 * (1 + math.cos(math.pi * done))
                    with torch.enable_grad():
                        logits = head.scores(head.hidden(features(regions, [rows for rows, _ in picked])))
                        loss = F.cross_entropy(logits, torch.cat([goal for _, goal in picked]))
                        optimiser.zero_grad(set_to_none=True)
                        loss.backward()
                    if not math.isfinite(loss.item()):
                        raise UsageError("USE-VALUE", f"the loss is {loss.item()} at step {step} of {phase}", where="--set rate", fix="choose a lower rate")
                    torch.nn.utils.clip_grad_norm_(weights, 10.0)
                    optimiser.step()
                    self.tell(phase, step, total, loss=loss.item(), epoch=epoch + 1)
                if done >= 1:
                    return

    # -- machines and boxes -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def machines(self) -> None:
        """Features of every proposal once, into a file; then for each class its machine, its scores as probabilities, and its boxes."""
        self.model.eval()
        head = self.model.head
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="features-", dir=self.run.path if self.run is not None else None)))
            kept = self._features(folder / "features.f16")
            head.hidden_factor.fill_(NORM / max(kept.norm, 1e-6))
            head.feature_factor.fill_(NORM / max(kept.pooled_norm, 1e-6))
            for k in range(head.classes):
                self._machine(kept, k)
                self._boxes(kept, k)
                self.tell("support vector machines", k + 1, head.classes)

    def _features(self, path: Path) -> Kept:
        model, head = self.model, self.model.head
        counts, overlaps, own = list[int](), list[np.ndarray](), list[np.ndarray]()
        near = [Thinned(MOST_NEAR) for _ in range(head.classes)]
        norms, done = [0.0, 0.0, 0.0], 0
        with path.open("wb") as stream:
            for regions in self.images(0):
                for region in regions:
                    features = model.pooled(region.image, region.boxes)
                    hidden = head.hidden(features)
                    hidden.half().cpu().numpy().tofile(stream)
                    shared = overlaps_by_class(region.boxes, region.truth, head.classes)
                    counts.append(len(hidden))
                    overlaps.append(shared.half().cpu().numpy())
                    own.append(np.arange(len(hidden)) >= len(hidden) - region.objects)
                    norms = [norms[0] + len(hidden), norms[1] + float(hidden.norm(dim=1).sum()), norms[2] + float(features.norm(dim=1).sum())]
                    self._near(region, features, shared, near)
                done += 1
                self.tell("features of proposals", done, len(self.feeds.train))
        every = np.concatenate(overlaps) if overlaps else np.zeros((0, head.classes), np.float16)
        table = np.memmap(path, np.float16, "r", shape=(len(every), head.trunk.width)) if len(every) else np.zeros((0, head.trunk.width), np.float16)
        ends = np.cumsum(counts).tolist()
        is_object = np.concatenate(own) if own else np.zeros(0, bool)
        return Kept(table, ends, every, is_object, near, norms[1] / max(1, norms[0]), norms[2] / max(1, norms[0]))

    def _near(self, region: Region, features: Tensor, shared: Tensor, near: list[Thinned]) -> None:
        """Features of proposals close to an object, and the way to it (appendix C)."""
        head, truth = self.model.head, truth_of(region.truth, self.model.head.classes, self.device)
        proposals = len(region.boxes) - region.objects
        for k in range(head.classes):
            rows = torch.where(shared[:proposals, k] >= NEAR)[0]
            objects = truth.boxes[(truth.classes == k) & ~truth.loose]
            if len(rows):
                nearest = pairwise(region.boxes[rows], objects).argmax(1)
                way = head.coder.encode(region.boxes[rows], objects[nearest])
                near[k].add(features[rows].half().cpu().numpy(), way.cpu().numpy())

    def _machine(self, kept: Kept, k: int) -> None:
        head = self.model.head
        factor, shared = float(head.hidden_factor), kept.overlaps[:, k]
        objects = np.flatnonzero(kept.is_object & (shared > 0.99))
        if not len(objects) or not (shared < NEGATIVE).any():  # a class without an object is never answered
            head.set_machine(k, np.zeros(head.trunk.width, np.float32), 0.0, 1.0, -20.0)
            return
        positives = kept.table[objects].astype(np.float32) * factor

        def negatives() -> Iterator[np.ndarray]:
            for start, end in zip([0, *kept.ends[:-1]], kept.ends, strict=True):
                yield kept.table[start:end][shared[start:end] < NEGATIVE].astype(np.float32) * factor

        found = mined_svm(positives, negatives, cost=self.lesson.cost, passes=self.lesson.passes)
        scores = np.concatenate([found(kept.table[start:end].astype(np.float32) * factor) for start, end in zip([0, *kept.ends[:-1]], kept.ends, strict=True)])
        plain = ~kept.is_object  # what is answered for later are proposals
        slope, offset = calibrated(scores[plain], shared[plain] >= 0.5) if plain.any() else (1.0, 0.0)
        head.set_machine(k, found.weight.astype(np.float32), found.bias, slope, offset)

    def _boxes(self, kept: Kept, k: int) -> None:
        head, near = self.model.head, kept.near[k]
        if not near.count:  # no proposal near an object: boxes stay where they are
            return
        features, ways = near.columns()
        found = ridge(features.astype(np.float64) * float(head.feature_factor), ways, self.lesson.penalty)
        head.set_box(k, found.weight.astype(np.float32), found.bias.astype(np.float32))


class Thinned:
    """Pairs of rows, at most twice `most` of them: every first one, and from when they become too many every second, fourth ... one."""

    def __init__(self, most: int) -> None:
        self.most, self.every, self.seen, self.count = most, 1, 0, 0
        self.parts: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """(n, d) and (n, t)."""
        start = -self.seen % self.every
        self.seen += len(first)
        self.parts.append((first[start :: self.every], second[start :: self.every]))
        self.count += len(self.parts[-1][0])
        if self.count > 2 * self.most:
            both = self.columns()
            self.parts, self.every = [(both[0][::2], both[1][::2])], 2 * self.every
            self.count = len(self.parts[0][0])

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """All that is left. Raises ValueError where nothing was added."""
        first, second = zip(*self.parts, strict=True)
        return np.concatenate(first), np.concatenate(second)


class Kept(NamedTuple):
    """table: (n, d) float16 features of all regions, in a file; ends: where each image's rows end; overlaps: (n, K); is_object: (n,) an object's own box;
    near: for each class features and ways of proposals close to an object; norm, pooled_norm: means of the features."""

    table: np.ndarray
    ends: list[int]
    overlaps: np.ndarray
    is_object: np.ndarray
    near: list[Thinned]
    norm: float
    pooled_norm: float
