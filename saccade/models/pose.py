"""Networks for the key points of one object. Each builder is `(inputs, space, **arguments) -> Model` with the head "keypoints"."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from saccade.core import Chain, Inputs, LabelSpace, Model
from saccade.models.arguments import Counts, Share, WidthFactor, Widths
from saccade.models.detect import AnyBackbone, body_of
from saccade.nn.blocks import Norm, scaled
from saccade.nn.heads.coordinates import Coordinates
from saccade.nn.heads.heat_maps import HeatMaps
from saccade.nn.necks.unet import UNetDecoder

View = Literal["whole", "objects"]
Context = Annotated[float, Field(ge=1, le=4)]
Sigma = Annotated[float, Field(ge=0.3, le=20)]
Grid = Annotated[int, Field(ge=1, le=32)]
Units = Annotated[int, Field(ge=1, le=8192)]
Stride = Literal[0, 2, 4, 8]
CONTEXT = 1.25  # sides of a crop for each side of the object's box
FINE = 48  # pixels of the shorter side, up to which heat maps have half of the input's cells a side and not a quarter


def heat_maps(
    inputs: Inputs,
    space: LabelSpace,
    *,
    view: View = "whole",
    context: Context = CONTEXT,
    absent: bool = False,
    backbone: AnyBackbone = "csp",
    widths: Widths = (16, 32, 64, 128, 192),
    blocks: Counts = (1, 1, 2, 1),
    width: WidthFactor = 1.0,
    norm: Norm = "batch",
    decoder: Widths = (16, 32, 48, 64),
    stride: Stride = 0,
    sigma: Sigma = 1.5,
) -> Model:
    """The default: a heat map for each key point of one object.

    A cross-stage partial backbone, the expanding path of a U-Net back to the stride of the heat maps, and a distribution over the cells for each point,
    decoded to fractions of a cell ("DARK", Zhang et al. 2020); see `nn.heads.heat_maps`. The published scheme of this kind is Xiao, Wu, Wei, "Simple
    baselines for human pose estimation", ECCV 2018, with a ResNet and three transposed convolutions.
    view: "whole" the image has one object, which may be anywhere; "objects" every object is cut out with `context` times its box and is an input of its
    own, at prediction by boxes that are given or detected. absent: points without a label are not there, and are learnt to be; else they say nothing.
    stride: pixels of the input to a cell of a heat map; 0 is 2 up to 48 px on the shorter side and 4 above. sigma: of the true heat, in cells.
    decoder: channels on the way back, fine to coarse. backbone: "csp" alone has widths, blocks and another norm than its own.
    Raises ValueError where the space names no key points.
    """
    body = body_of(backbone, inputs, widths, blocks, width, norm)
    wanted: int = stride or (2 if min(inputs.size) <= FINE else 4)
    fine = max(wanted, body.levels[1].stride)
    steps = len({level.stride for level in body.levels if level.stride >= fine}) - 1
    if steps > len(decoder):
        raise ValueError(f"decoder needs {steps} widths for heat maps of stride {fine}, got {len(decoder)}")
    neck = UNetDecoder(body.levels, reach=body.reach, widths=[scaled(w, width, 8) for w in decoder[len(decoder) - steps :]], norm=norm, finest=fine)
    options = _common(space, view, context, absent)
    head = HeatMaps(neck.levels[1], len(space.keypoints), len(space), last=neck.levels[-1], sigma=sigma, norm=norm, **options)
    return Model(Chain(body, neck), {"keypoints": head})


def regression(
    inputs: Inputs,
    space: LabelSpace,
    *,
    view: View = "whole",
    context: Context = CONTEXT,
    absent: bool = False,
    backbone: AnyBackbone = "csp",
    widths: Widths = (16, 32, 64, 128, 192),
    blocks: Counts = (1, 1, 2, 1),
    width: WidthFactor = 1.0,
    norm: Norm = "batch",
    grid: Grid = 4,
    units: Units = 256,
    dropout: Share = 0.0,
) -> Model:
    """The coordinates of each key point of one object, by a dense layer.

    Toshev and Szegedy, "DeepPose: human pose estimation via deep neural networks", CVPR 2014: the first stage of the paper, whose AlexNet is a
    cross-stage partial backbone here; see `nn.heads.coordinates`. grid, units: of the means of the last map and of the dense layer behind them.
    The other arguments are those of `heat_maps`. Raises ValueError where the space names no key points.
    """
    body = body_of(backbone, inputs, widths, blocks, width, norm)
    options = _common(space, view, context, absent)
    head = Coordinates(body.levels[-1], len(space.keypoints), len(space), grid=grid, units=units, dropout=dropout, reach=body.reach, **options)
    return Model(body, {"keypoints": head})


def _common(space: LabelSpace, view: View, context: float, absent: bool) -> dict[str, Any]:
    if not space.keypoints:
        raise ValueError("the label space names no key points")
    if view == "whole" and context != CONTEXT:
        raise ValueError(f"context = {context:g} is of crops of objects: view=objects; whole images have none")
    return {"pairs": space.pairs, "whole": view == "whole", "absent": absent}
