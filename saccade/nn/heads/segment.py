"""A class for every pixel: scores of a map, enlarged to the input, with losses on what is known of the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.blocks import ConvNorm, Norm
from saccade.nn.heads.classify import checked_weights
from saccade.nn.refine import Refine, refiner_of
from saccade.ops import pixel_losses
from saccade.ops.components import touching
from saccade.ops.geometry import Geometry
from saccade.ops.padding import cells, valid_extent
from saccade.ops.upsampling import upsample
from saccade.targets.rows import planes
from saccade.targets.segmentation_map import IGNORED, SegmentationMap

Output = Literal["softmax", "sigmoid"]
Loss = Literal["cross_entropy", "cross_entropy_dice", "cross_entropy_lovasz", "focal", "dice", "lovasz"]
Enlarging = Literal["factor", "stretch"]

EDGE_RADIUS = 2  # pixels of the input from two objects within which a pixel lies between them
EDGE_WEIGHT = 4.0  # of the few pixels between objects against all others


class SegmentOut(NamedTuple):
    """logits: (N, K, H, W) at the input's resolution. edges: (N, 1, H, W) logits of lying between objects, or (N, 0, H, W) where none are learnt.
    auxiliary: (N, A, K, H, W) of A further classifiers, which enter the loss and no answer."""

    logits: Tensor
    edges: Tensor
    auxiliary: Tensor


class Segment(Head[SegmentOut, SegmentationMap]):
    """A 1x1 convolution of one map of a pyramid to K scores, enlarged to the input bilinearly.

    levels: the pyramid's; at: which of its maps, 1 is the finest after the input. scores: the map holds the K scores already, no convolution follows.
    hidden: channels of a 3x3 convolution with normalisation before, 0 for none. dropout: share of its channels set to nought while training.
    output: "sigmoid" learns one score, of the class that is not the background, for two classes; the other's is 0, so that all else stays the same.
    enlarging: "factor" by the map's stride (see `ops.upsampling.upsample`), "stretch" the whole map to the whole input, as the published FCN
    and DeepLab do; the two are the same where the stride divides the sides. reach: of the map, 1 or its stride.
    loss: which (see `ops.pixel_losses`), on known pixels alone; every image has the same voice in cross entropy, however many pixels of it are known.
    class_weights: K factors of cross entropy and focal loss. edges: learns besides where objects meet, from truths that tell single objects.
    auxiliary: pairs (place of a map, hidden channels) of further classifiers, whose losses count `share` each. refine: a random field over the pixels, by
    which the scores are refined before loss and answer.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        classes: int,
        *,
        background: int | None = None,
        at: int = 1,
        scores: bool = False,
        hidden: int = 0,
        dropout: float = 0.0,
        norm: Norm = "batch",
        output: Output = "softmax",
        enlarging: Enlarging = "factor",
        reach: int = 1,
        loss: Loss = "cross_entropy_dice",
        class_weights: Sequence[float] | None = None,
        edges: bool = False,
        auxiliary: Sequence[tuple[int, int]] = (),
        share: float = 0.5,
        refine: Refine = "none",
    ) -> None:
        super().__init__()
        if output == "sigmoid" and classes != 2:
            raise ValueError(f"a sigmoid output is for two classes, got {classes}")
        self.level, self.at, self.classes, self.background = levels[at], at, classes, background
        self.output_kind, self.enlarging, self.reach, self.kind, self.share = output, enlarging, reach, loss, share
        self.weights: Tensor | None
        self.register_buffer("weights", checked_weights(class_weights, classes), persistent=False)
        learnt = 1 if output == "sigmoid" else classes
        if scores and self.level.channels != learnt:
            raise ValueError(f"a map of scores has {learnt} channels, got {self.level.channels}")
        self.classifier: nn.Module = nn.Identity() if scores else Classifier(self.level.channels, learnt, hidden, dropout, norm)
        self.edge_classifier = nn.Conv2d(self.level.channels, 1, 1) if edges else None
        self.auxiliary = nn.ModuleList(Classifier(levels[place].channels, learnt, wide, dropout, norm) for place, wide in auxiliary)
        self.refine = refiner_of(refine, classes)
        self.auxiliary_places, self.strides = tuple(place for place, _ in auxiliary), tuple(level.stride for level in levels)

    def forward(self, features: Features) -> SegmentOut:
        x, extent = features.maps[self.at], valid_extent(features.maps[0], features.sizes)
        logits = self._enlarged(self.classifier(x), self.level.stride, features, extent)
        early = [
            self._enlarged(part(features.maps[i]), self.strides[i], features, extent) for part, i in zip(self.auxiliary, self.auxiliary_places, strict=True)
        ]
        if self.output_kind == "sigmoid":
            logits, early = self._both(logits), [self._both(found) for found in early]
        if self.refine is not None:
            logits = self.refine(logits, features.maps[0], extent)
        edges = logits[:, :0] if self.edge_classifier is None else self._enlarged(self.edge_classifier(x), self.level.stride, features, extent)
        return SegmentOut(logits, edges, torch.stack(early, 1) if early else logits[:, None][:, :0])

    def _both(self, score: Tensor) -> Tensor:
        """One score as two, the background's being 0."""
        parts = [score, torch.zeros_like(score)] if self.background == 1 else [torch.zeros_like(score), score]
        return torch.cat(parts, 1)

    def _enlarged(self, x: Tensor, stride: int, features: Features, extent: Tensor | None) -> Tensor:
        size = features.maps[0].shape[2:]
        inner = None if extent is None else cells(extent, stride, 1 if self.reach == 1 else stride)
        if self.enlarging == "factor":
            return upsample(x, stride, size=size, extent=inner) if stride > 1 else x
        if extent is None or inner is None:
            return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)
        out = x.new_zeros(*x.shape[:2], *size)
        for row, (h, w), (rows, columns) in zip(range(len(x)), inner.clamp_min(1).tolist(), extent.tolist(), strict=True):
            out[row, :, :rows, :columns] = F.interpolate(x[row : row + 1, :, :h, :w], (rows, columns), mode="bilinear", align_corners=False)[0]
        return out

    def loss(self, out: SegmentOut, targets: Sequence[SegmentationMap]) -> dict[str, Tensor]:
        """The terms of the loss by name; "bounds" where classes are forbidden, "edges" where objects are told, "auxiliary" times its share.

        Raises ValueError for a truth that is not as large as the input, or has a class that the head does not.
        """
        size, device = tuple(out.logits.shape[2:]), out.logits.device
        if wrong := next((t.size for t in targets if t.size != size), None):
            raise ValueError(f"a map of {wrong[0]}x{wrong[1]} for an input of {size[0]}x{size[1]}; warp it by the input's geometry")
        truth = torch.stack([t.ids for t in targets]).to(device).long()
        if bool(((truth >= self.classes) & (truth != IGNORED)).any()):
            raise ValueError(f"class ids must be 0..{self.classes - 1} or 255, got {sorted(set(truth.flatten().tolist()))[-5:]}")
        losses = self._terms(out.logits, truth)
        if len(self.auxiliary):
            early = [torch.stack(list(self._terms(logits, truth).values())).sum() for logits in out.auxiliary.unbind(1)]
            losses["auxiliary"] = self.share * torch.stack(early).sum()
        if any(t.allowed is not None for t in targets):
            everything = torch.ones(self.classes, *size, dtype=torch.bool, device=device)
            allowed = torch.stack([everything if t.allowed is None else t.allowed.to(device) for t in targets])
            losses["bounds"] = pixel_losses.set_cross_entropy(out.logits, allowed | (truth != IGNORED)[:, None])
        if self.edge_classifier is not None:
            losses["edges"] = self._edge_loss(out.edges[:, 0], targets)
        return losses

    def _terms(self, logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.kind.startswith("cross_entropy"):
            counts = pixel_losses.known(truth, self.classes).flatten(1).sum(1)
            voices = (1 / counts.clamp_min(1)).view(-1, 1, 1)
            terms["cross_entropy"] = pixel_losses.cross_entropy(logits, truth, self.weights, voices)
        if self.kind == "focal":
            terms["focal"] = pixel_losses.focal(logits, truth, weights=self.weights)
        if self.kind.endswith("dice"):
            terms["dice"] = pixel_losses.dice(logits, truth, background=self.background if self.classes > 1 else None)
        if self.kind.endswith("lovasz"):
            terms["lovasz"] = pixel_losses.lovasz(logits, truth)
        return terms

    def _edge_loss(self, edges: Tensor, targets: Sequence[SegmentationMap]) -> Tensor:
        told = [i for i, t in enumerate(targets) if t.objects is not None]
        if not told:
            return edges[:0].sum()
        objects = torch.stack([targets[i].objects for i in told if targets[i].objects is not None]).to(edges.device)  # type: ignore[misc]
        known = torch.stack([targets[i].ids for i in told]).to(edges.device) != IGNORED
        return pixel_losses.binary_cross_entropy(edges[told], touching(objects, EDGE_RADIUS), known, EDGE_WEIGHT)

    def decode(self, out: SegmentOut, meta: Sequence[Meta]) -> list[SegmentationMap]:
        """The most probable class of every pixel of the source with the whole distribution; 255 where the input shows nothing of it."""
        soft = torch.softmax(pixel_losses.wide(out.logits.detach()), 1)
        edges = torch.sigmoid(pixel_losses.wide(out.edges.detach()))
        found = torch.cat([soft, edges], 1).cpu()
        return [self._placed(layers, m) for layers, m in zip(found, meta, strict=True)]

    def _placed(self, layers: Tensor, meta: Meta) -> SegmentationMap:
        """(K, H, W) or (K + 1, H, W) of the input in the source's pixels."""
        h, w = meta.size
        if _is_same(meta.geometry) and layers.shape[1] >= h and layers.shape[2] >= w:
            layers = layers[:, :h, :w].clone()
            soft = layers[: self.classes]
            ids = soft.argmax(0)
        else:
            layers = torch.from_numpy(planes(layers, meta.geometry.inverse(meta.size), 0.0))
            soft = layers[: self.classes]
            ids = torch.where(soft.sum(0) > 0.5, soft.argmax(0), IGNORED)
        return SegmentationMap(ids.to(torch.uint8), soft, edges=layers[-1] if len(layers) > self.classes else None)


class Classifier(nn.Sequential):
    """An optional 3x3 convolution with normalisation and ReLU, dropout of channels, and a 1x1 convolution to scores (the head of the published FCN)."""

    def __init__(self, inputs: int, outputs: int, hidden: int, dropout: float, norm: Norm) -> None:
        first: list[nn.Module] = []
        if hidden:
            layer = ConvNorm(inputs, hidden, norm=norm)
            first = [layer.conv, layer.norm, nn.ReLU(inplace=True)]
        super().__init__(*first, nn.Dropout2d(dropout) if dropout else nn.Identity(), nn.Conv2d(hidden or inputs, outputs, 1))


def _is_same(g: Geometry) -> bool:
    """Whether the source's pixels are the input's, from the top left."""
    return g.affine and bool((g.matrix == np.eye(2, 3)).all())
