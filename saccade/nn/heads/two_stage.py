"""Detection in two stages: regions, and what is in each. Fast R-CNN (Girshick, ICCV 2015), Faster R-CNN (Ren et al., NIPS 2015), with a pyramid or C4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta, T
from saccade.nn.heads.anchored import Truth, boxes_of, in_source, truth_of
from saccade.nn.heads.classify import full
from saccade.nn.heads.rpn import RegionProposals, Regions
from saccade.ops.box_coders import DeltaCoder
from saccade.ops.focal import smooth_l1
from saccade.ops.matching import Matcher, Matching, Sampler, seeded
from saccade.ops.padding import cells
from saccade.ops.proposals import Answerer, Chosen
from saccade.ops.roi import Size, level_of, numbered, pyramid_align, roi_pool
from saccade.targets import Boxes

Propose = Callable[[Tensor], Tensor]
"""One image (C, h, w) in [0, 1], without its padding -> boxes (k, 4) x1 y1 x2 y2 in its pixels."""


class TwoStageOut(NamedTuple):
    """What follows from the input alone. maps: (N, C, h_i, w_i) that regions are taken from; regions: of the proposal network, empty lists where the
    proposals come from elsewhere; given: (N, k, 4) those, filled up with zeros, or (N, 0, 4); sizes: (N, 2) valid h, w of each image."""

    maps: list[Tensor]
    logits: list[Tensor]
    deltas: list[Tensor]
    given: Tensor
    sizes: Tensor


class Pooler(NamedTuple):
    """Regions of a pyramid as grids. strides: of its maps. kind: "align" (2 x 2 samples a bin) or "pool" (Fast R-CNN: the largest of whole cells, the first
    map alone). aligned: see `ops.roi`; False as published weights expect."""

    strides: tuple[int, ...]
    kind: str = "align"
    aligned: bool = True

    def __call__(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], output: Size, sizes: Tensor) -> Tensor:
        """Boxes (k_i, 4) of each image, whose valid sizes (N, 2) are where its maps end -> (sum k_i, C, *output)."""
        regions = numbered(boxes).to(maps[0].device)
        if self.kind == "pool":
            return roi_pool(maps[0], regions, output, scale=1 / self.strides[0])
        used = maps[: len(self.strides)]
        lowest, highest = self.strides[0].bit_length() - 1, self.strides[-1].bit_length() - 1
        levels = level_of(regions[:, 1:], lowest=lowest, highest=highest)
        extents = torch.stack([torch.minimum(cells(sizes, s), sizes.new_tensor(x.shape[-2:])) for s, x in zip(self.strides, used, strict=True)])
        scales = [1 / s for s in self.strides]
        return pyramid_align(used, regions, output, scales=scales, levels=levels, extents=extents, sampling=2, aligned=self.aligned)


class DenseTrunk(nn.Module):
    """(k, C, h, w) -> (k, width): dense layers with ReLU (two of 1,024 in FPN, section 5.2)."""

    def __init__(self, inputs: int, width: int, layers: int = 2) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(nn.Linear(inputs if i == 0 else width, width) for i in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = F.relu(layer(x))
        return x


class StageTrunk(nn.Module):
    """(k, C, h, w) -> (k, width): the stages that a backbone was cut before, and the mean of their map (C4: He et al. 2016, appendix A)."""

    def __init__(self, stages: Sequence[nn.Module], width: int) -> None:
        super().__init__()
        self.stages, self.width = nn.ModuleList(stages), width

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x, None)[0]
        return x.mean((2, 3))


class TwoStage(Head[TwoStageOut, T], Generic[T]):
    """Regions from a proposal network (or given), pooled, a trunk, and two linear layers: K classes and background (class 0 there), a box for each class.

    levels: of the maps, without the input; the pooler uses the first of them. trunk, pooler: None where a subclass answers without them.
    regions: the proposal network, or `propose` where there is none.
    Training: regions and truths, of which those with an IoU of at least 0.5 are objects; `sampler` takes some by chance. Losses: those of
    the proposal network, cross entropy of the classes, smooth L1 (beta 1/9) of the boxes of objects, over the number of samples.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        classes: int,
        *,
        trunk: DenseTrunk | StageTrunk | None,
        pooler: Pooler | None = None,
        regions: RegionProposals | None,
        propose: Propose | None = None,
        grid: Size = (7, 7),
        sampler: Sampler = Sampler(512, 0.25),  # noqa: B008 - a value that nobody can change
        answerer: Answerer = Answerer(),  # noqa: B008
    ) -> None:
        super().__init__()
        if classes < 1 or not levels or (regions is None) == (propose is None):
            raise ValueError(f"at least one class and one map, and one source of regions, got {classes} classes and {len(levels)} maps")
        self.level_count, self.classes, self.grid = len(levels), classes, grid
        self.regions, self.propose, self.sampler, self.answerer = regions, propose, sampler, answerer
        self.coder = DeltaCoder((10.0, 10.0, 5.0, 5.0))
        if trunk is None or pooler is None:
            return
        self.pooler, self.trunk = pooler, trunk
        self.scores, self.deltas = nn.Linear(trunk.width, classes + 1), nn.Linear(trunk.width, 4 * (classes + 1))
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        for part in (self.scores, self.deltas):
            nn.init.zeros_(part.bias)

    def forward(self, features: Features) -> TwoStageOut:
        maps = list(features.maps[-self.level_count :])
        given = features.maps[0].new_zeros(len(maps[0]), 0, 4)
        found = Regions([], [])
        if self.regions is not None:
            found = self.regions(self.region_maps(maps))
        elif self.propose is not None:
            own = [self.propose(image[:, : int(h), : int(w)]) for image, (h, w) in zip(features.maps[0], features.sizes, strict=True)]
            given = nn.utils.rnn.pad_sequence(own, batch_first=True).to(given)
        return TwoStageOut(maps, found.logits, found.deltas, given, features.sizes)

    def region_maps(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps that the proposal network sees: all."""
        return list(maps)

    def proposals(self, out: TwoStageOut) -> list[Tensor]:
        """The regions (k, 4) of each image, best first, in input pixels; without a gradient."""
        if self.regions is None or out.given.shape[1]:
            return [own[(own[:, 2:] > own[:, :2]).all(1)] for own in out.given]
        return self.regions.proposals(Regions(out.logits, out.deltas), self.regions.grid(self.region_maps(out.maps)), out.sizes)

    def answers(self, out: TwoStageOut, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (k, K + 1), the first that of background, and deltas (k, K + 1, 4) of all regions of all images."""
        hidden = self.trunk(self.pooler(out.maps, boxes, self.grid, out.sizes))
        return full(self.scores(hidden)), full(self.deltas(hidden)).view(len(hidden), -1, 4)

    def loss(self, out: TwoStageOut, targets: Sequence[T]) -> dict[str, Tensor]:
        """{"objectness", "region", "class", "box"} and those of further branches; all finite and with a gradient for images without objects."""
        truths = [truth_of(boxes_of(target), self.classes, out.sizes.device) for target in targets]
        terms = {}
        if self.regions is not None and out.logits:
            terms = self.regions.losses(Regions(out.logits, out.deltas), self.regions.grid(self.region_maps(out.maps)), truths, out.sizes)
        samples = self.samples(out, truths)
        return terms | self.box_losses(out, truths, samples) | self.further_losses(out, targets, samples)

    def samples(self, out: TwoStageOut, truths: Sequence[Truth]) -> list[tuple[Tensor, Tensor]]:
        """For each image the sampled regions (k, 4), and (k,) int64 the truth that each answers for, -1 background; objects first."""
        chance, found = seeded(*[m.detach()[:, 0] for m in out.maps]), []
        matcher = Matcher(0.5, 0.5)
        for own, truth in zip(self.proposals(out), truths, strict=True):
            boxes = torch.cat([own, truth.boxes[~truth.loose]])
            matching: Matching = matcher(boxes, truth.boxes, truth.loose)
            rows = torch.cat(self.sampler(matching, chance))
            found.append((boxes[rows], matching.truth[rows]))
        return found

    def box_losses(self, out: TwoStageOut, truths: Sequence[Truth], samples: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        boxes = [own for own, _ in samples]
        logits, deltas = self.answers(out, boxes)
        goals = [
            torch.where(row >= 0, truth.classes[row.clamp_min(0)] + 1, 0) if len(truth.classes) else row * 0
            for (_, row), truth in zip(samples, truths, strict=True)
        ]
        goal, count = torch.cat(goals), max(1, sum(len(own) for own in boxes))
        wanted = [self.coder.encode(own[row >= 0], truth.boxes[row[row >= 0]]) for (own, row), truth in zip(samples, truths, strict=True)]
        objects = torch.where(goal > 0)[0]
        moved = smooth_l1(deltas[objects, goal[objects]], torch.cat(wanted), 1 / 9).sum() + deltas.sum() * 0.0
        return {"class": F.cross_entropy(logits, goal, reduction="sum") / count, "box": moved / count}

    def further_losses(self, out: TwoStageOut, targets: Sequence[Any], samples: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Of branches beside the box: none here."""
        return {}

    @torch.no_grad()
    def chosen(self, out: TwoStageOut) -> list[Chosen]:
        """The answers of each image in input pixels: classes and boxes of its proposals, suppressed."""
        proposals = self.proposals(out)
        logits, deltas = self.answers(out, proposals)
        probabilities = torch.softmax(logits, 1)[:, 1:]
        boxes = self.coder.decode(torch.cat(proposals)[:, None], deltas[:, 1:])
        counts = [len(own) for own in proposals]
        parts = zip(probabilities.split(counts), boxes.split(counts), out.sizes, strict=True)
        return [self.answerer([p], [b], size)[0] for p, b, size in parts]

    def decode(self, out: TwoStageOut, meta: Sequence[Meta]) -> list[T]:
        """Boxes of the whole image in its pixels, best first, on the CPU."""
        return [in_source(found, where) for found, where in zip(self.chosen(out), meta, strict=True)]  # type: ignore[misc]


class TwoStageBoxes(TwoStage[Boxes]):
    """Boxes alone: Fast and Faster R-CNN."""
