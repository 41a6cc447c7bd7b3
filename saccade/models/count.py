"""Networks that count by dots. Each builder is `(inputs, space, **arguments) -> Model` with the head "points"."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from saccade.core import Chain, Inputs, LabelSpace, Model
from saccade.models.arguments import WidthFactor, Widths
from saccade.models.segment import BACKBONES, UNetBackbone
from saccade.nn.backbones.staged import Staged
from saccade.nn.backbones.unet import UNetEncoder
from saccade.nn.blocks import Norm
from saccade.nn.heads.density import Density
from saccade.nn.heads.lcfcn import LCFCN
from saccade.nn.necks.unet import UNetDecoder

Sigma = Annotated[float, Field(gt=0, le=100)]
Stride = Annotated[int, Field(ge=1, le=8)]


def density(
    inputs: Inputs,
    space: LabelSpace,
    *,
    sigma: Sigma = 4.0,
    stride: Stride = 2,
    backbone: UNetBackbone = "plain",
    widths: Widths = (16, 32, 64, 128),
    width: WidthFactor = 1.0,
    norm: Norm = "batch",
) -> Model:
    """The default: a density map for each class by a U-Net, whose sum is the count.

    Lempitsky and Zisserman, "Learning to count objects in images", NIPS 2010, learnt by a network as in Zhang et al., "Single-image crowd counting via
    multi-column convolutional neural network", CVPR 2016 (published MAE 110.2 on ShanghaiTech A, 26.4 on B). sigma: deviation of a dot's kernel in
    pixels; stride: of the density map, a stride of the backbone. Deviations: one column of several scales, a U-Net, instead of three; a fixed kernel;
    a loss on the count beside the one on the map; the answer is as many dots as the density sums to.
    """
    body, at = _unet(inputs, backbone=backbone, widths=widths, width=width, norm=norm, stride=stride)
    return Model(body, {"points": Density(body.levels[at], len(space), at=at, sigma=sigma, norm=norm)})


def lcfcn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    stride: Stride = 2,
    backbone: UNetBackbone = "plain",
    widths: Widths = (16, 32, 64, 128),
    width: WidthFactor = 1.0,
    norm: Norm = "batch",
    balanced: bool = True,
) -> Model:
    """LC-FCN: Laradji, Rostamzadeh, Pinheiro, Vazquez, Schmidt, "Where are the blobs: counting by localization with point supervision", ECCV 2018.

    Published with ResNet-50 FCN-8s: MAE 0.21 on Penguins (mixed split), 0.97 on MIT Traffic, 13.14 on ShanghaiTech B. Every blob of the answer is an object.
    Deviations: a U-Net instead of FCN-8s; blobs at `stride` (a stride of the backbone), which the watersheds of the loss are quick at; balanced: the
    lines that part objects weigh as much as their dots (`ops.counting.point_losses`), which the published sums do not (`recipes/count_nuclei.py`).
    """
    body, at = _unet(inputs, backbone=backbone, widths=widths, width=width, norm=norm, stride=stride)
    return Model(body, {"points": LCFCN(body.levels[at], len(space), at=at, balanced=balanced)})


def _unet(inputs: Inputs, *, backbone: UNetBackbone, widths: Widths, width: float, norm: Norm, stride: int) -> tuple[Chain, int]:
    """A U-Net and the place of its map of a stride; the plain one begins at half the resolution unless a finer map is asked for. Raises ValueError
    where it has none."""
    body: Staged = UNetEncoder(inputs, widths=widths, norm=norm, stride=min(stride, 2)) if backbone == "plain" else BACKBONES[backbone](inputs, width)
    options: dict[str, Any] = {"reach": body.reach, "norm": norm}
    if stride > body.levels[-1].stride // 2:
        raise ValueError(f"stride must be below that of the coarsest map, {body.levels[-1].stride}, got {stride}")
    chain = Chain(body, UNetDecoder(body.levels, full=stride == 1, finest=stride, **options))
    strides = [level.stride for level in chain.levels]
    if stride not in strides[1:]:
        raise ValueError(f"stride must be one of the network's, {sorted(set(strides[1:]))}, got {stride}")
    return chain, strides.index(stride, 1)
