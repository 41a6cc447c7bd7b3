"""Networks whose answer is a picture, trained on photographs alone. Each builder is `(inputs, space, **arguments) -> Model` with the head "image"."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade.core import Inputs, LabelSpace, Model
from saccade.models.arguments import Width
from saccade.nn.backbones.restoration import Pixels, Planes, dncnn, espcn, refining
from saccade.nn.blocks import Norm
from saccade.nn.heads.restore import Criterion, Srcnn, SubPixel

Factor = Literal[2, 3, 4]
Blocks = Annotated[int, Field(ge=1, le=64)]
Depth = Annotated[int, Field(ge=2, le=64)]
Level255 = Annotated[float, Field(ge=0, le=255)]
Sigma = tuple[Level255, Level255]
Quality = Annotated[int, Field(ge=0, le=100)]
Blur = Annotated[float, Field(ge=0, le=20)]
Hidden = Annotated[float, Field(ge=0, le=0.9)]
Fold = Literal[1, 2, 4]


def upscale_refine(
    inputs: Inputs,
    space: LabelSpace,
    *,
    factor: Factor = 2,
    width: Width = 32,
    blocks: Blocks = 6,
    criterion: Criterion = "l1",
) -> Model:
    """The default of super-resolution: residual blocks at the small picture's resolution and one sub-pixel convolution over bicubic interpolation.

    A small EDSR (Lim, Son, Kim, Nah, Lee, "Enhanced deep residual networks for single image super-resolution", CVPR workshops 2017). Published with
    width 256 and 32 blocks: 38.11 dB on Set5 x2 (43 million parameters), against 33.66 dB of bicubic interpolation. Deviations: small enough for two
    processor cores; one sub-pixel step for every factor, started as bicubic interpolation; no scaling of the residuals.
    """
    backbone = refining(inputs, width=width, blocks=blocks)
    return Model(backbone, {"image": SubPixel(backbone.levels[-1], inputs.channels, scale=factor, criterion=criterion)})


def upscale_espcn(
    inputs: Inputs, space: LabelSpace, *, factor: Factor = 2, planes: Planes = "luma", residual: bool = True, criterion: Criterion = "l2"
) -> Model:
    """ESPCN: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016.

    Published with 91 training pictures, x3: 32.55 dB on Set5 (bicubic 30.39), 29.08 dB on Set14. Deviation: unless residual is false the layers'
    values are added to bicubic interpolation, which a short training needs; the sub-pixel layer has the same 3x3 kernel.
    """
    backbone = espcn(inputs, planes=planes)
    head = SubPixel(backbone.levels[-1], inputs.channels, scale=factor, planes=planes, residual=residual, criterion=criterion)
    return Model(backbone, {"image": head})


def upscale_srcnn(inputs: Inputs, space: LabelSpace, *, factor: Factor = 2, planes: Planes = "luma", criterion: Criterion = "l2") -> Model:
    """SRCNN 9-1-5: Dong, Loy, He, Tang, "Image super-resolution using deep convolutional networks", TPAMI 38 (2), 2016.

    Published with 91 training pictures, x2, x3 and x4: 36.34, 32.39 and 30.09 dB on Set5 (bicubic 33.66, 30.39, 28.42). Deviations: layers keep the
    size by padding; their values are added to the enlarged picture (Kim et al. 2016), without which the first hour only learns to copy it.
    """
    return Model(Pixels(inputs), {"image": Srcnn(inputs.channels, scale=factor, planes=planes, criterion=criterion)})


def denoise_refine(
    inputs: Inputs,
    space: LabelSpace,
    *,
    sigma: Sigma = (0.0, 55.0),
    blur: Blur = 0.0,
    jpeg: Quality = 0,
    mask: Hidden = 0.0,
    width: Width = 48,
    blocks: Blocks = 6,
    fold: Fold = 2,
    criterion: Criterion = "l1",
) -> Model:
    """The default of denoising: residual blocks on blocks of 2x2 pixels, whose answer is added to the picture. Blind: it is told no level of noise.

    The trunk of EDSR (Lim et al. 2017) on folded pixels as FFDNet has them (Zhang, Zuo, Zhang, "FFDNet", TIP 27 (9), 2018; published 31.21 dB at
    sigma 25 on CBSD68, told the level). What the pictures suffer is said by the arguments, all of them ranges or limits that are drawn from: sigma, the
    deviation of Gaussian noise in levels of 255; blur, the largest deviation in pixels; jpeg, the lowest quality, 0 for none; mask, the share hidden.
    """
    backbone = refining(inputs, width=width, blocks=blocks, fold=fold)
    return Model(backbone, {"image": SubPixel(backbone.levels[-1], inputs.channels, criterion=criterion)})


def denoise_dncnn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    sigma: Sigma = (0.0, 55.0),
    blur: Blur = 0.0,
    jpeg: Quality = 0,
    mask: Hidden = 0.0,
    depth: Depth = 17,
    width: Width = 64,
    norm: Norm = "batch",
    criterion: Criterion = "l2",
) -> Model:
    """DnCNN: Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising", TIP 26 (7), 2017.

    Published on BSD68 in grey, sigma 15, 25 and 50: 31.73, 29.23 and 26.23 dB (BM3D 31.07, 28.57, 25.62); blind over [0, 55], DnCNN-B: 31.61, 29.16,
    26.23 with depth 20. The network answers the noise, and its last layer starts at nought. sigma, blur, jpeg and mask as in `refine`.
    """
    backbone = dncnn(inputs, depth=depth, width=width, norm=norm)
    return Model(backbone, {"image": SubPixel(backbone.levels[-1], inputs.channels, criterion=criterion)})
