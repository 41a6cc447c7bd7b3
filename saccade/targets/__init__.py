"""One file for each target type: the record, how it warps, draws and merges; and the table of them.

The keys of the table are the names of the heads under which a data set holds its truths.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from saccade.targets.boxes import Boxes
from saccade.targets.boxes3d import Boxes3D
from saccade.targets.caption import Caption
from saccade.targets.depth_map import DepthMap
from saccade.targets.flow_map import FlowMap
from saccade.targets.image_target import ImageTarget
from saccade.targets.instances import Instances
from saccade.targets.keypoints import Keypoints
from saccade.targets.label import Label
from saccade.targets.labels import Labels
from saccade.targets.normal_map import NormalMap
from saccade.targets.number import Number
from saccade.targets.points import Points
from saccade.targets.region_captions import RegionCaptions
from saccade.targets.scene_graph import SceneGraph
from saccade.targets.segmentation_map import SegmentationMap
from saccade.targets.tag_sequence import TagSequence

TARGETS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "label": Label,
        "labels": Labels,
        "number": Number,
        "boxes": Boxes,
        "instances": Instances,
        "keypoints": Keypoints,
        "map": SegmentationMap,
        "points": Points,
        "depth": DepthMap,
        "image": ImageTarget,
        "caption": Caption,
        "regions": RegionCaptions,
        "graph": SceneGraph,
        "boxes3d": Boxes3D,
        "tags": TagSequence,
        "normals": NormalMap,
        "flow": FlowMap,
    }
)

# fmt: off
__all__ = [
    "TARGETS", "Boxes", "Boxes3D", "Caption", "DepthMap", "FlowMap", "ImageTarget", "Instances", "Keypoints", "Label", "Labels", "NormalMap", "Number",
    "Points", "RegionCaptions", "SceneGraph", "SegmentationMap", "TagSequence",
]
# fmt: on
