"""SSD by name. Each builder is `(inputs, space, **arguments) -> Model` with the head "boxes"."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from saccade.core import Chain, Inputs, LabelSpace, Model
from saccade.models.arguments import Share, WidthFactor
from saccade.models.segment import BACKBONES, BackboneName
from saccade.models.two_stage import Many
from saccade.nn.backbones.ssd_vgg import SSDVGG, UnitLength
from saccade.nn.blocks import Norm
from saccade.nn.heads.ssd import SSD, DefaultBoxes
from saccade.nn.necks.fpn import Extend
from saccade.ops.anchors import default_scales
from saccade.ops.proposals import Answerer

SmallScale = Annotated[float, Field(gt=0, lt=1)]


def ssd(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    extra: Annotated[tuple[Annotated[int, Field(ge=2, le=4096)], ...], Field(max_length=6)] = (128, 128),
    norm: Norm = "batch",
    smallest: SmallScale = 0.05,
    largest: SmallScale = 0.8,
    detections: Many = 100,
    threshold: Share = 0.02,
) -> Model:
    """SSD over any backbone: Liu, Anguelov, Erhan, Szegedy, Reed, Fu, Berg, "SSD: single shot multibox detector", ECCV 2016.

    Published (VGG-16, PASCAL VOC 2007, trained on 2007 and 2012): SSD300 74.3 % mAP at 59 images a second on the GPU of 2016; its own net is `ssd300_vgg16`.
    The maps of strides 8 to 32 and one more for each width of `extra`, six default boxes a cell; scales grow from `smallest` to `largest` (shares of the
    image's sides) from map to map. Deviations: normalised throughout, any input size, steps of the default boxes by the maps' strides.
    """
    body = BACKBONES[backbone](inputs, width)
    neck = Extend(body.levels, extra, reach=body.reach, norm=norm)
    last = {level.stride: level for level in neck.levels[1:] if level.stride >= 8}
    levels = [last[stride] for stride in sorted(last)]
    if [id(level) for level in levels] != [id(level) for level in neck.levels[-len(levels) :]]:
        raise ValueError(f"one map of each stride from 8 on, got {[level.stride for level in neck.levels]}")
    scales = default_scales(len(levels), smallest=smallest, largest=largest)
    defaults = DefaultBoxes(tuple(scales), ((2.0, 3.0),) * len(levels), tuple(float(level.stride) for level in levels))
    head = SSD(levels, len(space), defaults, answerer=Answerer(least=threshold, overlap=0.45, most=detections, each=4000))
    return Model(Chain(body, neck), {"boxes": head})


def ssd300_vgg16(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: WidthFactor = 1.0,
    detections: Many = 200,
    threshold: Share = 0.01,
) -> Model:
    """SSD300 over VGG-16: Liu, Anguelov, Erhan, Szegedy, Reed, Fu, Berg, "SSD: single shot multibox detector", ECCV 2016, figure 2.

    Published: 74.3 % mAP on PASCAL VOC 2007 (trained on 2007 and 2012); 25.1 % AP on COCO val2017, weights of torchvision. For inputs of 300x300.
    """
    body = SSDVGG(inputs, width=width)
    neck = UnitLength(body.levels, 4)
    scales, ratios = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05), ((2.0,), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0,), (2.0,))
    defaults = DefaultBoxes(scales, ratios, (8.0, 16.0, 32.0, 64.0, 100.0, 300.0))
    head = SSD(neck.levels[1:], len(space), defaults, answerer=Answerer(least=threshold, overlap=0.45, most=detections, each=4000))
    return Model(Chain(body, neck), {"boxes": head})
