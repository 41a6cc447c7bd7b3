"""Networks that answer several yes-or-no questions of a whole image. Each builder is `(inputs, space, **arguments) -> Model` with the head "labels"."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from saccade.core import Inputs, LabelSpace, Model
from saccade.models.arguments import ClassWeights, Counts, Share, WidthFactor, Widths
from saccade.nn.backbones.mobilenet import MobileNetV2
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.backbones.several import Several
from saccade.nn.backbones.small import Small
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import Norm
from saccade.nn.heads.classify import Pool
from saccade.nn.heads.columns import Columns
from saccade.nn.heads.multi_label import Loss, MultiLabel, Separate

Gammas = tuple[Annotated[float, Field(ge=0, le=10)], Annotated[float, Field(ge=0, le=10)]]
MOST_ENCODERS = 100


def shared(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (32, 64, 128, 256),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    pool: Pool = "average_max",
    dropout: Share = 0.0,
    loss: Loss = "binary",
    gammas: Gammas = (0.0, 4.0),
    shift: Share = 0.05,
    class_weights: ClassWeights = None,
) -> Model:
    """The default: one encoder, the compact residual network of classification, and a sigmoid for each label.

    loss: binary cross entropy, in which `class_weights` (what a missed yes of each label costs) make up for labels that rarely hold; or the asymmetric loss of
    Ridnik et al., "Asymmetric loss for multi-label classification", ICCV 2021, with its `gammas` (of yes, of no) and its `shift`
    (published: 86.6 % mean average precision on MS-COCO with TResNet-L at 448 px). Answers that are unknown cost nothing.
    """
    backbone = Small(inputs, widths=widths, blocks=blocks, norm=norm)
    return _over(backbone, space, pool=pool, dropout=dropout, loss=loss, gammas=gammas, shift=shift, positive_weights=class_weights)


def residual(
    inputs: Inputs,
    space: LabelSpace,
    *,
    depth: int,
    width: WidthFactor = 1.0,
    pool: Pool = "average",
    dropout: Share = 0.0,
    loss: Loss = "binary",
    gammas: Gammas = (0.0, 4.0),
    shift: Share = 0.05,
    class_weights: ClassWeights = None,
) -> Model:
    """A ResNet (He, Zhang, Ren, Sun, CVPR 2016) with a sigmoid for each label. The loss is as for `small`."""
    backbone = ResNet(inputs, depth=depth, width=width)
    return _over(backbone, space, pool=pool, dropout=dropout, loss=loss, gammas=gammas, shift=shift, positive_weights=class_weights)


def mobile(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: WidthFactor = 1.0,
    pool: Pool = "average",
    dropout: Share = 0.0,
    loss: Loss = "binary",
    gammas: Gammas = (0.0, 4.0),
    shift: Share = 0.05,
    class_weights: ClassWeights = None,
) -> Model:
    """MobileNetV2 (Sandler et al., CVPR 2018) with a sigmoid for each label. The loss is as for `small`."""
    backbone = MobileNetV2(inputs, width=width)
    return _over(backbone, space, pool=pool, dropout=dropout, loss=loss, gammas=gammas, shift=shift, positive_weights=class_weights)


def independent(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (32, 64, 128, 256),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    pool: Pool = "average_max",
    dropout: Share = 0.0,
    loss: Loss = "binary",
    gammas: Gammas = (0.0, 4.0),
    shift: Share = 0.05,
    class_weights: ClassWeights = None,
) -> Model:
    """A classifier of its own for each label, trained side by side: what `small` is compared with. K labels have K encoders and K times the weights.

    Raises ValueError above 100 labels.
    """
    if len(space) > MOST_ENCODERS:
        raise ValueError(f"{len(space)} labels would be as many networks, at most {MOST_ENCODERS} are made; use small, which shares one")
    backbone = Several(inputs, lambda: Small(inputs, widths=widths, blocks=blocks, norm=norm), len(space))
    options: dict[str, Any] = {"loss": loss, "gammas": gammas, "shift": shift, "positive_weights": class_weights}
    return Model(backbone, {"labels": Separate(backbone.levels[-1], len(space), pool=pool, reach=backbone.reach, dropout=dropout, **options)})


def columns(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (32, 64, 128, 256),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    pool: Pool = "average_max",
    dropout: Share = 0.0,
) -> Model:
    """Several questions with one answer each: one encoder and a softmax for each question, for labels such as colour=red, colour=blue, shape=square.

    A table's columns are read so by `--label colour,shape`. Questions that an image does not answer cost nothing.
    """
    backbone = Small(inputs, widths=widths, blocks=blocks, norm=norm)
    return Model(backbone, {"labels": Columns(backbone.levels[-1], space.names, pool=pool, reach=backbone.reach, dropout=dropout)})


def _over(backbone: Staged, space: LabelSpace, **options: Any) -> Model:
    """A backbone with the head "labels"."""
    return Model(backbone, {"labels": MultiLabel(backbone.levels[-1], len(space), reach=backbone.reach, **options)})
