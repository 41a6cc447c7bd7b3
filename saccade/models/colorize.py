"""Networks that give grey pictures their colours. Each builder is `(inputs, space, **arguments) -> Model` with the head "image"."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from saccade.core import Chain, Inputs, LabelSpace, Model
from saccade.models.arguments import Width, WidthFactor
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.heads.colorize import Colorize
from saccade.nn.necks.global_fusion import GlobalFusion
from saccade.nn.necks.unet import UNetDecoder

Spread = Annotated[float, Field(gt=0, le=1000)]


def global_local(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: WidthFactor = 0.5,
    global_width: Width = 128,
    rebalanced: bool = False,
    spread: Spread = 12.0,
) -> Model:
    """Colourisation by local and global features: Iizuka, Simo-Serra, Ishikawa, "Let there be color!", SIGGRAPH 2016.

    Published: found natural by 92.6 % of users (the truth by 97.2 %). rebalanced: colours as classes, rare ones weighing more, and their annealed mean
    (Zhang, Isola, Efros, "Colorful image colorization", ECCV 2016; published: 32.3 % of its pictures taken for the truth). Deviations: a ResNet-18 of
    `width` with an expanding path and its skips in place of a chain of convolutions; no classification beside it, as photographs have no labels;
    the classes' prior is a function of their chroma, `spread`. Inputs have three channels, usually alike. Raises ValueError for other inputs.
    """
    if inputs.channels != 3:
        raise ValueError(f"pictures to be coloured come with three channels, which may be alike; got {inputs.channels}")
    body = ResNet(inputs, depth=18, stem="imagenet", width=width)
    fusion = GlobalFusion(body.levels, width=global_width)
    decoder = UNetDecoder(fusion.levels, reach=body.reach)
    chain = Chain(body, fusion, decoder)
    at = 2 if rebalanced else 1  # classes are many: a coarser map has them
    return Model(chain, {"image": Colorize(chain.levels[at], at=at, rebalanced=rebalanced, spread=spread)})
