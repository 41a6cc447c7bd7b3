"""What the published files of detectors call our tensors: torchvision's Faster, Mask and Keypoint R-CNN, RetinaNet and SSD300."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from saccade.nn.backbones.vgg import DEPTHS as VGGS

HEADS = {"fasterrcnn": "boxes", "maskrcnn": "instances", "keypointrcnn": "keypoints"}


def detector(name: str, resnet: Callable[[str], Mapping[str, str]]) -> dict[str, str]:
    """Their modules and ours, for a name such as maskrcnn_resnet50_fpn; `resnet` gives those of a backbone alone."""
    family, _, rest = name.partition("_")
    if family == "ssd300":
        return _ssd300()
    depth = rest.removesuffix("_fpn").removeprefix("resnet")
    found = {f"backbone.body.{theirs}": ours.replace("backbone.", "backbone.backbone.", 1) for theirs, ours in resnet(depth).items() if theirs != "fc"}
    pyramid, neck = "backbone.fpn", "backbone.necks.0"
    for i in range(3 if family == "retinanet" else 4):
        found |= {f"{pyramid}.inner_blocks.{i}.0": f"{neck}.inner.{i}.conv", f"{pyramid}.layer_blocks.{i}.0": f"{neck}.outer.{i}.conv"}
    if family == "retinanet":
        found |= {f"{pyramid}.extra_blocks.p{6 + i}": f"{neck}.coarser.{i}.conv" for i in (0, 1)}
        return found | _retina()
    return found | _two_stage(family, f"heads.{HEADS[family]}")


def _two_stage(family: str, head: str) -> dict[str, str]:
    found = {"rpn.head.conv.0.0": f"{head}.regions.conv", "rpn.head.cls_logits": f"{head}.regions.objectness", "rpn.head.bbox_pred": f"{head}.regions.deltas"}
    found |= {f"roi_heads.box_head.fc{6 + i}": f"{head}.trunk.layers.{i}" for i in (0, 1)}
    found |= {"roi_heads.box_predictor.cls_score": f"{head}.scores", "roi_heads.box_predictor.bbox_pred": f"{head}.deltas"}
    if family == "maskrcnn":
        found |= {f"roi_heads.mask_head.{i}.0": f"{head}.masks.layers.{i}" for i in range(4)}
        found |= {"roi_heads.mask_predictor.conv5_mask": f"{head}.masks.up", "roi_heads.mask_predictor.mask_fcn_logits": f"{head}.masks.output"}
    if family == "keypointrcnn":
        found |= {f"roi_heads.keypoint_head.{2 * i}": f"{head}.points.layers.{i}" for i in range(8)}
        found |= {"roi_heads.keypoint_predictor.kps_score_lowres": f"{head}.points.up"}
    return found


def _retina() -> dict[str, str]:
    found = {"head.classification_head.cls_logits": "heads.boxes.scores.output", "head.regression_head.bbox_reg": "heads.boxes.deltas.output"}
    for i in range(4):
        found[f"head.classification_head.conv.{i}.0"] = f"heads.boxes.scores.layers.{i}.conv"
        found[f"head.regression_head.conv.{i}.0"] = f"heads.boxes.deltas.layers.{i}.conv"
    return found


def _ssd300() -> dict[str, str]:
    body, found, at = "backbone.backbone.stages", {"backbone.length": "backbone.necks.0"}, 0
    for stage, count in enumerate(VGGS[16][:4]):
        for i in range(count):
            found[f"backbone.features.{at}"] = f"{body}.{stage}.{i + (stage > 0)}.conv"
            at += 2
        at += 1  # the pooling
    found |= {f"backbone.extra.0.{1 + 2 * i}": f"{body}.4.{1 + i}.conv" for i in range(3)}
    found |= {"backbone.extra.0.7.1": f"{body}.4.5.conv", "backbone.extra.0.7.3": f"{body}.4.6.conv"}
    for step in range(4):
        found |= {f"backbone.extra.{step + 1}.{2 * i}": f"{body}.{5 + step}.{i}.conv" for i in (0, 1)}
    for i in range(6):
        found[f"head.classification_head.module_list.{i}"] = f"heads.boxes.scores.{i}"
        found[f"head.regression_head.module_list.{i}"] = f"heads.boxes.deltas.{i}"
    return found


def today(name: str) -> str:
    """A tensor's name in today's spelling; the published files are older. Names that are alike in both stay.

    >>> today("rpn.head.conv.weight"), today("roi_heads.mask_head.mask_fcn3.bias")
    ('rpn.head.conv.0.0.weight', 'roi_heads.mask_head.2.0.bias')
    >>> today("head.regression_head.conv.4.weight"), today("backbone.fpn.inner_blocks.1.bias")
    ('head.regression_head.conv.2.0.weight', 'backbone.fpn.inner_blocks.1.0.bias')
    """
    name = re.sub(r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1", name)
    name = re.sub(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", name)
    if match := re.fullmatch(r"roi_heads\.mask_head\.mask_fcn(\d+)\.(weight|bias)", name):
        return f"roi_heads.mask_head.{int(match[1]) - 1}.0.{match[2]}"
    if match := re.fullmatch(r"(head\.\w+_head\.conv)\.([0246])\.(weight|bias)", name):
        return f"{match[1]}.{int(match[2]) // 2}.0.{match[3]}"
    return "backbone.length.scale" if name == "backbone.scale_weight" else name
