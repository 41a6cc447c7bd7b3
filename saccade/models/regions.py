"""Detectors that look at one region after another. Each builder is `(inputs, space, **arguments) -> Model` with the head "boxes"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from saccade.classic.selective_search import Mode
from saccade.core import Batch, Estimated, Feeds, Inputs, LabelSpace, Model, Run
from saccade.errors import UsageError
from saccade.models.arguments import Share, Width, WidthFactor
from saccade.models.proposals import Searched
from saccade.models.region_training import Lesson, Trainer
from saccade.models.segment import BACKBONES, BackboneName
from saccade.models.two_stage import Many, cut
from saccade.nn.backbones.staged import Staged
from saccade.nn.heads.regions import Pooled, RegionHead, RegionsOut, batched
from saccade.ops.crops import warped_crops
from saccade.ops.proposals import Answerer, sliding_boxes
from saccade.ops.roi import numbered, roi_pool

Side = Annotated[int, Field(ge=16, le=512, multiple_of=16)]
Epochs = Annotated[int, Field(ge=0, le=1000)]
Minutes = Annotated[float, Field(ge=0, le=10_000)]
Rate = Annotated[float, Field(gt=0, le=1)]
Cost = Annotated[float, Field(gt=0, le=1e6)]
Passes = Annotated[int, Field(ge=1, le=10)]
TOGETHER = 256  # regions that go through the network at once
PYRAMID = (1, 2, 3, 6)
STRIDE = 16


class RegionModel(Estimated):
    """Proposals, features of each, and a `RegionHead`; learnt in steps: the network as a classifier of warped regions, then the machines.

    propose: one image (C, h, w) -> (k, 4) boxes. side, context: of the warped regions, see `ops.crops`.
    """

    def __init__(self, backbone: Staged, head: RegionHead, propose: Callable[[Tensor], Tensor], lesson: Lesson, *, side: int, context: float) -> None:
        super().__init__(backbone, {"boxes": head})
        self.propose, self.lesson, self.side, self.context = propose, lesson, side, context

    @property
    def head(self) -> RegionHead:
        head = self.heads["boxes"]
        assert isinstance(head, RegionHead)
        return head

    def crops(self, image: Tensor, boxes: Tensor) -> Tensor:
        """(k, C, side, side); what lies beyond the image has the data's mean colour."""
        mean = self.backbone.mean
        assert isinstance(mean, Tensor)
        return warped_crops(image, boxes, self.side, context=self.context, fill=mean)

    def last_map(self, images: Tensor) -> Tensor:
        """(n, C, h, w) -> the backbone's last map."""
        sizes = torch.tensor([images.shape[-2:]] * len(images), device=images.device).view(-1, 2)
        found: Tensor = self.backbone(images, sizes).maps[-1]
        return found

    def of_crops(self, crops: Tensor) -> Tensor:
        """(k, C, side, side) -> (k, D) features."""
        return self.last_map(crops).flatten(1)

    def pooled(self, image: Tensor, boxes: Tensor) -> Tensor:
        """One image (C, h, w) and its regions (k, 4) -> (k, D) features: one pass of the network for each region."""
        parts = [self.of_crops(self.crops(image, own)) for own in boxes.split(TOGETHER)]
        return torch.cat(parts) if parts else self.of_crops(self.crops(image, boxes))

    def outputs(self, inputs: Tensor, sizes: Tensor) -> dict[str, Any]:
        found: list[RegionsOut] = []
        for image, size in zip(inputs, sizes, strict=True):
            plain = image[:, : int(size[0]), : int(size[1])]
            boxes = self.propose(plain).to(inputs)
            found.append(self.head(Pooled(boxes, self.pooled(plain, boxes), size)))
        return {"boxes": batched(found)}

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        rows = [i for i, target in enumerate(batch.targets.get("boxes", ())) if target is not None]
        if not rows:
            return {}
        return self.head.loss(self.outputs(batch.inputs[rows], batch.sizes[rows])["boxes"], [batch.targets["boxes"][i] for i in rows])

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """The network on warped regions, then the machines and the regression of boxes.

        Raises UsageError USE-VALUE for epochs=0 of a network that begins by chance: features must have been learnt from something.
        """
        if not self.lesson.epochs and not self.warm:
            got = "epochs=0, and the network's weights are chance"
            raise UsageError("USE-VALUE", got, where="--set epochs", fix="give a trained model by --from, or let it train on warped regions")
        trainer = Trainer(self, self.lesson, feeds, run)
        if self.lesson.epochs:
            trainer.on_crops()
        self.further(trainer)
        if self.head.by == "machines":
            trainer.machines()

    def further(self, trainer: Trainer) -> None:
        """What is trained between the network and the machines: nothing here."""


class PyramidModel(RegionModel):
    """As R-CNN, but with one pass over the whole image: regions are cut out of its last map and pooled to a pyramid of 1, 4, 9 and 36 bins."""

    def of_crops(self, crops: Tensor) -> Tensor:
        maps = self.last_map(crops)
        return torch.cat([F.adaptive_max_pool2d(maps, n).flatten(1) for n in PYRAMID], 1)

    def pooled(self, image: Tensor, boxes: Tensor) -> Tensor:
        return self.of_map(self.last_map(image[None]), boxes)

    def of_map(self, last: Tensor, boxes: Tensor) -> Tensor:
        """(1, C, h, w) and (k, 4) in input pixels -> (k, 50 C)."""
        regions = numbered([boxes])
        return torch.cat([roi_pool(last, regions, (n, n), scale=1 / STRIDE).flatten(1) for n in PYRAMID], 1)

    def further(self, trainer: Trainer) -> None:
        """The dense layers once more, on what they will see: regions of maps. The layers before stay as they are (He et al. 2014, section 4.2)."""
        if self.lesson.epochs:
            trainer.on_maps(self.of_map)


def region_cnn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    once: bool,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    side: Side = 64,
    hidden: Width = 256,
    search: Mode = "fast",
    proposals: Many = 2000,
    epochs: Epochs = 10,
    minutes: Minutes = 0.0,
    rate: Rate = 1e-3,
    samples: Many = 32,
    cost: Cost = 1e-3,
    penalty: Cost = 1000.0,
    passes: Passes = 1,
    detections: Many = 100,
    threshold: Share = 0.02,
) -> Model:
    """Searched proposals, features of each by a network, support vector machines and boxes moved by ridge regression: `rcnn` and `spp`.

    rcnn, R-CNN: Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and semantic segmentation", CVPR 2014.
    Published: 58.5 % mAP on PASCAL VOC 2007 with box regression (AlexNet, from ImageNet), 66.0 % with VGG-16; 13 s an image on a GPU, 84 hours of training.
    Selective search (`search`: its mode), each of the `proposals` warped to side x side pixels and sent through the network, a linear support vector
    machine for each class against hard negatives (`cost`, `passes` over the images), boxes moved by ridge regression (`penalty`).
    The network is trained first as a classifier of `samples` warped regions of each image for so many `epochs`, or until `minutes` are over where that is
    not 0; epochs=0 takes the features of --from as they are. Deviations: 64 pixels a side and not 227, a backbone up to stride 16
    with two dense layers of `hidden`, trained from scratch unless told otherwise; scores are made probabilities (Platt 1999).

    spp, SPP-net: He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition", ECCV 2014.
    Published: 59.2 % mAP on PASCAL VOC 2007, 24 to 102 times as fast as R-CNN with the same network. The convolutions see each image `once`, and
    every proposal is pooled from their last map in a spatial pyramid of 1x1, 2x2, 3x3 and 6x6 bins. The convolutions are trained on warped regions,
    as above; then the dense layers, on regions of the maps. Deviations: one scale of the image; corners are rounded to cells as in Fast R-CNN.
    """
    body = _body(inputs, backbone, width)
    cells = sum(n * n for n in PYRAMID) if once else (side // STRIDE) ** 2
    head = RegionHead(body.levels[-1].channels * cells, len(space), hidden=hidden, by="machines", answerer=Answerer(threshold, 0.3, detections))
    lesson = Lesson(epochs, minutes, rate, samples, cost, penalty, passes)
    kind, context = (PyramidModel, 0.0) if once else (RegionModel, 16 / 227)
    return kind(body, head, Searched(proposals, search), lesson, side=side, context=context)


rcnn = partial(region_cnn, once=False)
spp = partial(region_cnn, once=True)


def sliding_window(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    side: Side = 64,
    hidden: Width = 256,
    epochs: Epochs = 10,
    minutes: Minutes = 0.0,
    rate: Rate = 1e-3,
    samples: Many = 32,
    overlap: Literal["none", "half", "two_thirds"] = "half",
    detections: Many = 100,
    threshold: Share = 0.02,
) -> Model:
    """A classifier at every place: windows of seven areas and three shapes all over the image, each one a pass of the network (Sermanet et al.,
    "OverFeat", ICLR 2014, section 3, say how it is made cheap; here it is not).

    About 5,500 passes an image: windows of one kind follow each other in steps of half their sides; 1,400 with `overlap` "none", 12,000 with "two_thirds".
    Correct and slow: what all later detectors are measured against. Training is that of the network of `rcnn`, on windows.
    """
    body = _body(inputs, backbone, width)
    cells = side // STRIDE
    head = RegionHead(body.levels[-1].channels * cells * cells, len(space), hidden=hidden, by="network", answerer=Answerer(threshold, 0.3, detections))
    lesson = Lesson(epochs, minutes, rate, samples)
    step = {"none": 1.0, "half": 1 / 2, "two_thirds": 1 / 3}[overlap]
    return RegionModel(body, head, lambda image: sliding_boxes(image, step), lesson, side=side, context=16 / 227)


def _body(inputs: Inputs, backbone: str, width: float) -> Staged:
    body = BACKBONES[backbone](inputs, width)
    cut(body)
    return body
