"""RetinaNet by name. The builder is `(inputs, space, **arguments) -> Model` with the head "boxes"."""

from __future__ import annotations

from functools import partial

from saccade.core import Chain, Inputs, LabelSpace, Model
from saccade.models.arguments import Count, Share, Width, WidthFactor
from saccade.models.segment import BACKBONES, BackboneName
from saccade.models.two_stage import Geometry, Many, Scale, Strides
from saccade.nn.blocks import Norm
from saccade.nn.heads.anchored import AnchorGrid
from saccade.nn.heads.retina import BoxLoss, Loss, Retina
from saccade.nn.necks.fpn import FPN
from saccade.ops.proposals import Answerer


def retinanet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    strides: Strides = (8, 16, 32),
    channels: Width = 96,
    layers: Count = 2,
    norm: Norm = "batch",
    tower_norm: Norm = "group",
    anchor_scale: Scale = 4.0,
    loss: Loss = "focal",
    box: BoxLoss = "giou",
    detections: Many = 100,
    threshold: Share = 0.02,
    geometry: Geometry = "exact",
) -> Model:
    """RetinaNet: Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection", ICCV 2017.

    Published: ResNet-50, pyramid, COCO val2017, weights of torchvision (`retinanet_resnet50_fpn`): 36.4 % AP. Nine anchors a cell on the maps of `strides`
    and two coarser ones, two towers of `layers` convolutions shared by all maps. loss: "cross_entropy" to compare with the focal loss.
    box: "l1" is that of the published weights. Deviations: the defaults are a narrow network for two processor cores, normalised throughout.
    """
    body = BACKBONES[backbone](inputs, width)
    neck = FPN(body.levels, strides=strides, channels=channels, extra="convolutions", reach=body.reach, norm=norm)
    levels, published = neck.levels[1:], geometry == "published"
    grid = AnchorGrid.of(levels, anchor_scale, octaves=3, published=published)
    answerer = Answerer(least=threshold, most=detections, each=1000)
    head = Retina(levels, len(space), grid, layers=layers, norm=tower_norm, loss=loss, box=box, answerer=answerer)
    return Model(Chain(body, neck), {"boxes": head})


retinanet_resnet50_fpn = partial(
    retinanet,
    backbone="resnet50",
    channels=256,
    layers=4,
    norm="none",
    tower_norm="none",
    anchor_scale=4.0,
    box="l1",
    detections=300,
    threshold=0.05,
    geometry="published",
)
