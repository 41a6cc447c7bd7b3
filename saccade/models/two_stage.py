"""Detectors of two stages. Each builder is `(inputs, space, **arguments) -> Model` with the head "boxes", "instances" or "keypoints"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from saccade.classic.selective_search import Mode
from saccade.core import Backbone, Batch, Chain, Features, Inputs, LabelSpace, Level, Model, Phase, Stage, decay_groups
from saccade.models.arguments import Count, Share, Width, WidthFactor
from saccade.models.proposals import Searched
from saccade.models.segment import BACKBONES, BackboneName
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import Norm
from saccade.nn.heads.anchored import AnchorGrid, boxes_of, truth_of
from saccade.nn.heads.keypoint_branch import KeypointBranch, KeypointRCNN
from saccade.nn.heads.mask_branch import MaskBranch, MaskRCNN
from saccade.nn.heads.rfcn import RFCN
from saccade.nn.heads.rpn import RegionProposals, Regions
from saccade.nn.heads.two_stage import DenseTrunk, Pooler, StageTrunk, TwoStage, TwoStageBoxes
from saccade.nn.necks.fpn import FPN
from saccade.ops.matching import Sampler
from saccade.ops.proposals import Answerer, Proposer, sliding_boxes

Strides = Annotated[tuple[Annotated[int, Field(ge=2, le=64)], ...], Field(min_length=1, max_length=6)]
Scale = Annotated[float, Field(gt=0, le=64)]
Many = Annotated[int, Field(ge=1, le=10_000)]
Geometry = Literal["exact", "published"]
Bins = Annotated[int, Field(ge=1, le=15)]


class Parts(NamedTuple):
    """What two-stage heads are made of: the backbone, the levels and options of its head, and the channels of a pooled region."""

    backbone: Backbone
    levels: Sequence[Level]
    options: dict[str, Any]
    channels: int


def faster_rcnn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    neck: Literal["fpn", "c4"] = "fpn",
    strides: Strides = (8, 16, 32),
    channels: Width = 96,
    norm: Norm = "batch",
    hidden: Width = 256,
    anchor_scale: Scale = 4.0,
    proposals: Many = 300,
    samples: Many = 64,
    detections: Many = 100,
    threshold: Share = 0.02,
    geometry: Geometry = "exact",
    training: Literal["joint", "four_step"] = "joint",
) -> Model:
    """Faster R-CNN: Ren, He, Girshick, Sun, "Faster R-CNN: towards real-time object detection with region proposal networks", NIPS 2015.

    Published: 73.2 % mAP on PASCAL VOC 2007 (VGG-16, trained on 2007 and 2012), 5 images a second on the GPU of 2015; with ResNet-50 and a pyramid (Lin et al.
    2017) 37.0 % AP on COCO, weights of torchvision (`fasterrcnn_resnet50_fpn`). neck: "fpn" a feature pyramid of these `strides`; "c4" one map of
    stride 16, and the backbone's last stages on every region. anchor_scale: the side of an anchor in cells. proposals: regions that go on;
    samples: of them and the truths, that an image is trained on. geometry: "published" counts cells and pixels as torchvision's weights expect.
    training: "four_step" is the paper's section 3.2 with a proposal network and a backbone of its own in steps 1 and 2; it needs neck "fpn".
    Deviations: the defaults are a narrow network for two processor cores, normalised throughout, and for objects from 16 pixels on.
    """
    sizes: dict[str, Any] = {"strides": strides, "channels": channels, "norm": norm, "hidden": hidden, "anchor_scale": anchor_scale}
    counts = {"proposals": proposals, "samples": samples, "detections": detections, "threshold": threshold}
    if neck == "c4":
        if training == "four_step":
            raise ValueError("four_step training needs neck fpn: a trunk cut from the backbone is not shared by the first two steps")
        parts = _c4(inputs, backbone, width, anchor_scale, counts)
        return Model(parts.backbone, {"boxes": TwoStageBoxes(parts.levels, len(space), **parts.options)})
    parts = _pyramid(inputs, backbone, width, sizes, counts, geometry)
    head = TwoStageBoxes(parts.levels, len(space), **parts.options)
    if training == "joint":
        return Model(parts.backbone, {"boxes": head})
    first = _pyramid(inputs, backbone, width, sizes, counts, geometry)
    return FourStep(parts.backbone, head, first.backbone, first.options["regions"])


def fast_rcnn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    proposals: Literal["selective_search", "sliding"] = "selective_search",
    search: Mode = "fast",
    most: Many = 2000,
    hidden: Width = 256,
    samples: Many = 64,
    detections: Many = 100,
    threshold: Share = 0.02,
) -> Model:
    """Fast R-CNN: Girshick, "Fast R-CNN", ICCV 2015.

    Published: 66.9 % mAP on PASCAL VOC 2007 (VGG-16), training 9 times and testing 213 times as fast as R-CNN. One pass of the network over the whole
    image, RoI max pooling of 7x7 from a map of stride 16, two dense layers, class and box outputs, one loss.
    proposals: "selective_search" as in the paper, `search` its mode, the best `most`, each picture searched once; "sliding" are about 12,000 windows of
    several sizes and shapes all over the image, the same for each, which cost nothing.
    Deviations: defaults for two processor cores as for `faster_rcnn`.
    """
    body = BACKBONES[backbone](inputs, width)
    cut(body)
    channels = body.levels[-1].channels
    head = TwoStageBoxes(
        body.levels[-1:],
        len(space),
        trunk=DenseTrunk(channels * 49, hidden),
        pooler=Pooler((body.levels[-1].stride,), "pool"),
        regions=None,
        propose=sliding_boxes if proposals == "sliding" else Searched(most, search),
        sampler=Sampler(samples, 0.25),
        answerer=Answerer(least=threshold, most=detections),
    )
    return Model(body, {"boxes": head})


def rfcn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    bins: Bins = 7,
    channels: Width = 256,
    anchor_scale: Scale = 4.0,
    proposals: Many = 300,
    samples: Many = 64,
    detections: Many = 100,
    threshold: Share = 0.02,
) -> Model:
    """R-FCN: Dai, Li, He, Sun, "R-FCN: object detection via region-based fully convolutional networks", NIPS 2016.

    Published: 79.5 % mAP on PASCAL VOC 2007 (ResNet-101, trained on 2007 and 2012), 0.17 s an image where Faster R-CNN takes 0.42 s. Between one and two
    stages: a proposal network on the map of stride 16 before the last stage, and bins x bins position-sensitive score maps behind it, so that
    nothing is computed for single regions but means. The last stage keeps stride 16, its convolutions dilated. anchor_scale: the middle one of
    three sizes, each twice the one before, in cells. Deviations: see `nn.heads.rfcn`; the defaults are for two processor cores as for `faster_rcnn`.
    """
    body = BACKBONES[backbone](inputs, width).dilated(16)
    levels = body.levels[-2:]
    regions, answerer = _three_sizes(levels[0], anchor_scale, proposals), Answerer(least=threshold, most=detections)
    head = RFCN(levels, len(space), bins=bins, width=channels, regions=regions, sampler=Sampler(samples, 0.25), answerer=answerer)
    return Model(body, {"boxes": head})


def mask_rcnn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    strides: Strides = (8, 16, 32),
    channels: Width = 96,
    norm: Norm = "batch",
    hidden: Width = 256,
    mask_width: Width = 64,
    mask_layers: Count = 2,
    anchor_scale: Scale = 4.0,
    proposals: Many = 300,
    samples: Many = 64,
    detections: Many = 100,
    threshold: Share = 0.05,
    geometry: Geometry = "exact",
) -> Model:
    """Mask R-CNN: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017.

    Published (ResNet-50, pyramid, COCO val2017, weights of torchvision): box AP 37.9 %, mask AP 34.6 %. A mask of 28x28 in every answered box.
    Arguments and deviations as for `faster_rcnn`; the published net is `backbone="resnet50", strides=(4, 8, 16, 32), channels=256, norm="none",
    hidden=1024, mask_width=256, mask_layers=4`. detections: raise it where images show more objects.
    """
    sizes: dict[str, Any] = {"strides": strides, "channels": channels, "norm": norm, "hidden": hidden, "anchor_scale": anchor_scale}
    counts = {"proposals": proposals, "samples": samples, "detections": detections, "threshold": threshold}
    parts = _pyramid(inputs, backbone, width, sizes, counts, geometry)
    masks = MaskBranch(channels, len(space), width=mask_width, layers=mask_layers)
    return Model(parts.backbone, {"instances": MaskRCNN(parts.levels, len(space), masks=masks, **parts.options)})


def keypoint_rcnn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    strides: Strides = (8, 16, 32),
    channels: Width = 96,
    norm: Norm = "batch",
    hidden: Width = 256,
    point_width: Width = 64,
    point_layers: Count = 3,
    anchor_scale: Scale = 4.0,
    proposals: Many = 300,
    samples: Many = 64,
    detections: Many = 100,
    threshold: Share = 0.05,
    geometry: Geometry = "exact",
) -> Model:
    """Keypoint R-CNN: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017, section 5.

    Published (ResNet-50, pyramid, COCO val2017, weights of torchvision): box AP 54.6 %, key-point AP 65.0 %. A heat map of 56x56 for each key point in every
    answered box. Arguments and deviations as for `faster_rcnn`; the published net has point_width=512, point_layers=8.
    Raises ValueError where the space names no key points.
    """
    if not space.keypoints:
        raise ValueError("the label space names no key points")
    sizes: dict[str, Any] = {"strides": strides, "channels": channels, "norm": norm, "hidden": hidden, "anchor_scale": anchor_scale}
    counts = {"proposals": proposals, "samples": samples, "detections": detections, "threshold": threshold}
    parts = _pyramid(inputs, backbone, width, sizes, counts, geometry)
    points = KeypointBranch(channels, len(space.keypoints), width=point_width, layers=point_layers)
    return Model(parts.backbone, {"keypoints": KeypointRCNN(parts.levels, len(space), points=points, pairs=space.pairs, **parts.options)})


PUBLISHED: dict[str, Any] = {"backbone": "resnet50", "strides": (4, 8, 16, 32), "channels": 256, "norm": "none", "hidden": 1024, "anchor_scale": 8.0}
PUBLISHED |= {"proposals": 1000, "samples": 512, "threshold": 0.05, "geometry": "published"}
fasterrcnn_resnet50_fpn = partial(faster_rcnn, neck="fpn", training="joint", **PUBLISHED)
maskrcnn_resnet50_fpn = partial(mask_rcnn, mask_width=256, mask_layers=4, **PUBLISHED)
keypointrcnn_resnet50_fpn = partial(keypoint_rcnn, point_width=512, point_layers=8, **PUBLISHED)


def _pyramid(inputs: Inputs, backbone: str, width: float, sizes: Mapping[str, Any], counts: Mapping[str, Any], geometry: Geometry) -> Parts:
    body = BACKBONES[backbone](inputs, width)
    strides, channels, published = tuple(sizes["strides"]), sizes["channels"], geometry == "published"
    neck = FPN(body.levels, strides=strides, channels=channels, extra="pool", reach=body.reach, norm=sizes["norm"])
    chain = Chain(body, neck)
    grid = AnchorGrid.of(neck.levels[1:], sizes["anchor_scale"], published=published)
    regions = RegionProposals(channels, grid, proposer=Proposer(max(1000, counts["proposals"]), counts["proposals"]))
    trunk = DenseTrunk(channels * 49, sizes["hidden"])
    return Parts(chain, neck.levels[1:], _options(regions, trunk, Pooler(strides, aligned=not published), counts), channels)


def _three_sizes(level: Level, scale: float, proposals: int) -> RegionProposals:
    """A proposal network on one map: three sizes of anchors, each twice the one before."""
    grid = AnchorGrid((level.stride,), (tuple(scale * level.stride * 2**i / 2 for i in range(3)),))
    return RegionProposals(level.channels, grid, proposer=Proposer(max(1000, proposals), proposals))


def _options(regions: RegionProposals, trunk: nn.Module, pooler: Pooler, counts: Mapping[str, Any]) -> dict[str, Any]:
    answerer = Answerer(least=counts["threshold"], most=counts["detections"])
    return {"regions": regions, "trunk": trunk, "pooler": pooler, "sampler": Sampler(counts["samples"], 0.25), "answerer": answerer}


def _c4(inputs: Inputs, backbone: str, width: float, scale: float, counts: Mapping[str, Any]) -> Parts:
    """The stages up to stride 16 as backbone, those behind them as trunk; three sizes of anchors, each twice the one before."""
    body = BACKBONES[backbone](inputs, width)
    after = cut(body)
    trunk, last = StageTrunk(after.stages, after.channels), body.levels[-1]
    options = _options(_three_sizes(last, scale, counts["proposals"]), trunk, Pooler((last.stride,)), counts) | {"grid": (14, 14)}
    return Parts(body, [last], options, last.channels)


class _Cut(NamedTuple):
    stages: list[nn.Module]
    channels: int


def cut(body: Staged, stride: int = 16) -> _Cut:
    """Takes the stages beyond a stride out of a backbone, in place. Raises ValueError where there are none."""
    keep = sum(level.stride <= stride for level in body.levels[1:])
    stages, channels = list(body.stages)[keep:], body.levels[-1].channels
    if not stages or not keep:
        raise ValueError(f"a backbone with maps of stride {stride} and beyond it, got {[level.stride for level in body.levels]}")
    body.stages, body.levels = nn.ModuleList(list(body.stages)[:keep]), body.levels[: keep + 1]
    body.reach = body.reach if body.reach == 1 else body.levels[-1].stride
    return _Cut(stages, channels)


class FourStep(Model):
    """Alternating training (Ren et al. 2015, section 3.2): 1. a proposal network with a backbone of its own; 2. the detector and its backbone on those
    proposals; 3. the detector's backbone stays, and a proposal network learns on it; 4. the detector learns anew on its proposals, the backbone stays.

    What is predicted with is the second backbone with its own proposal network; the first ones are kept for training to go on.
    Each step takes a fourth of the epochs. What stays does so in every respect: its normalisation too.
    """

    def __init__(self, backbone: Backbone, head: TwoStage[Any], first_backbone: Backbone, first_regions: RegionProposals) -> None:
        super().__init__(backbone, {"boxes": head})
        self.first_backbone, self.first_regions = first_backbone, first_regions

    @property
    def head(self) -> TwoStage[Any]:
        head = self.heads["boxes"]
        assert isinstance(head, TwoStage)
        return head

    def stages(self) -> Sequence[Stage]:
        detector = nn.ModuleList([self.head.trunk, self.head.scores, self.head.deltas])
        parts: dict[str, nn.Module] = {
            "proposals": nn.ModuleList([self.first_backbone, self.first_regions]),
            "detector": nn.ModuleList([self.backbone, detector]),
            "shared_proposals": self.head.regions or nn.Identity(),
            "shared_detector": detector,
        }
        return tuple(Stage(name, 0.25, (Phase(name, _groups(part)),)) for name, part in parts.items())

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        """The losses of one step; those of joint training for any other phase."""
        if phase not in ("proposals", "detector", "shared_proposals", "shared_detector"):
            return super().forward(batch, phase)
        rows = [i for i, target in enumerate(batch.targets.get("boxes", ())) if target is not None]
        targets = [batch.targets["boxes"][i] for i in rows]
        inputs, sizes = batch.inputs[rows], batch.sizes[rows]
        truths = [truth_of(boxes_of(target), self.head.classes, inputs.device) for target in targets]
        if phase == "proposals":
            return self._proposal_losses(self.first_regions, self.first_backbone(inputs, sizes), truths)
        if phase == "detector":
            with fixed(self.first_backbone, self.first_regions):
                given = self._given(self.first_regions, self.first_backbone(inputs, sizes))
            features: Features = self.backbone(inputs, sizes)
        else:
            with fixed(self.backbone):
                features = self.backbone(inputs, sizes)
            regions = self.head.regions
            assert regions is not None
            if phase == "shared_proposals":
                return self._proposal_losses(regions, features, truths)
            with fixed(regions):
                given = self._given(regions, features)
        out = self.head(features)._replace(given=given, logits=[], deltas=[])
        return self.head.box_losses(out, truths, self.head.samples(out, truths))

    def _maps(self, features: Features) -> list[Tensor]:
        return list(features.maps[-self.head.level_count :])

    def _proposal_losses(self, regions: RegionProposals, features: Features, truths: Sequence[Any]) -> dict[str, Tensor]:
        maps = self._maps(features)
        return regions.losses(regions(maps), regions.grid(maps), truths, features.sizes)

    def _given(self, regions: RegionProposals, features: Features) -> Tensor:
        maps = self._maps(features)
        found: Regions = regions(maps)
        return nn.utils.rnn.pad_sequence(regions.proposals(found, regions.grid(maps), features.sizes), batch_first=True)


def _groups(part: nn.Module) -> Callable[[], list[dict[str, Any]]]:
    return lambda: decay_groups(part)


@contextmanager
def fixed(*modules: nn.Module) -> Iterator[None]:
    """Modules that neither learn nor count in here."""
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.train(training)
