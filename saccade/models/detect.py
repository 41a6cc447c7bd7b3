"""Detectors of one stage by name. Each builder is `(inputs, space, **arguments) -> Model` with the head "boxes"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from saccade.core import Chain, Inputs, LabelSpace, Model
from saccade.models.arguments import Count, Counts, Share, Width, WidthFactor, Widths
from saccade.models.segment import BACKBONES
from saccade.nn.backbones.csp import CSP
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import Norm, scaled
from saccade.nn.heads.boxes import Choice
from saccade.nn.heads.nano_detect import NanoDetect
from saccade.nn.heads.yolo import Yolo
from saccade.nn.necks.path_aggregation import PathAggregation
from saccade.ops.assignment import TaskAligned

AnyBackbone = Literal["csp", "small", "resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2"]
Overlap = Annotated[float, Field(gt=0, le=1)]
Detections = Annotated[int, Field(ge=1, le=10_000)]
Grid = Annotated[int, Field(ge=1, le=64)]
Units = Annotated[int, Field(ge=0, le=8192)]


def nano(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: AnyBackbone = "csp",
    widths: Widths = (16, 32, 64, 128, 192),
    blocks: Counts = (1, 1, 2, 1),
    neck: Widths = (64, 96, 128),
    head: Width = 64,
    width: WidthFactor = 1.0,
    norm: Norm = "batch",
    candidates: Count = 10,
    score_threshold: Share = 0.01,
    nms_overlap: Overlap = 0.65,
    detections: Detections = 300,
) -> Model:
    """The default: an anchor-free single-stage detector for training from scratch on two processor cores.

    A cross-stage partial backbone, path aggregation over the maps of stride 8, 16 and 32, and a head in two ways, one for the classes and one for the
    distances to the four sides. Cells are assigned by how well they already answer ("TOOD", Feng et al. 2021); no anchors, no distributions.
    1.6 million parameters and 0.5 billion multiply-adds at 320x320 as it stands. widths: stem and stages; width: a factor on all of them.
    backbone: "csp" is the one above, which alone has widths, blocks and another norm than its own.
    candidates: cells that answer for an object. detections: answers to an image at most.
    """
    body = body_of(backbone, inputs, widths, blocks, width, norm)
    aggregation = PathAggregation(body.levels, widths=[scaled(w, width, 8) for w in neck], norm=norm)
    choice = Choice(score_threshold, nms_overlap, max(1000, detections), detections)
    levels = aggregation.levels[1:]
    boxes = NanoDetect(levels, len(space), width=scaled(head, width, 8), norm=norm, assigner=TaskAligned(candidates), choice=choice)
    return Model(Chain(body, aggregation), {"boxes": boxes})


def yolo(
    inputs: Inputs,
    space: LabelSpace,
    *,
    grid: Grid = 7,
    boxes: Count = 2,
    units: Units = 0,
    backbone: AnyBackbone = "csp",
    widths: Widths = (16, 32, 64, 128, 256),
    blocks: Counts = (1, 1, 2, 1),
    width: WidthFactor = 1.0,
    dropout: Share = 0.5,
    score_threshold: Share = 0.01,
    nms_overlap: Overlap = 0.5,
    detections: Detections = 100,
) -> Model:
    """YOLO: Redmon, Divvala, Girshick, Farhadi, "You only look once: unified, real-time object detection", CVPR 2016.

    Published: VOC 2007 mAP 63.4 % at 45 frames a second, with 24 convolutional layers trained on ImageNet first, S = 7, B = 2, C = 20.
    grid, boxes: S and B. units: of the dense layer, 4096 in the paper (then dropout counts); 0 has none, see `nn.heads.yolo`.
    Deviations: a small cross-stage partial backbone that can be trained from scratch, and no dense layer unless asked for.
    """
    body = body_of(backbone, inputs, widths, blocks, width, "batch")
    choice = Choice(score_threshold, nms_overlap, 1000, detections)
    head = Yolo(body.levels[-1], len(space), grid=grid, boxes=boxes, units=units, dropout=dropout, width=scaled(256, width, 8), choice=choice)
    return Model(body, {"boxes": head})


def body_of(name: str, inputs: Inputs, widths: Sequence[int], blocks: Sequence[int], width: float, norm: Norm) -> Staged:
    """The backbone of a name; "csp" with these widths, blocks and norm."""
    return CSP(inputs, widths=[scaled(w, width, 8) for w in widths], blocks=blocks, norm=norm) if name == "csp" else BACKBONES[name](inputs, width)
