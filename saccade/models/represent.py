"""Models that learn a short code from pictures or vectors without labels. Each builder is `(inputs, space, **arguments) -> Model` with the head "image"."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade.core import Backbone, Chain, Inputs, LabelSpace, Model
from saccade.generative.autoencoder import Autoencoder
from saccade.generative.denoising_autoencoder import DenoisingAutoencoder, Noise
from saccade.generative.principal_components import PrincipalComponents
from saccade.generative.stacked_autoencoder import StackedAutoencoder
from saccade.models.arguments import Counts, Share, Width, Widths
from saccade.nn.backbones.mlp import MLP, Activation
from saccade.nn.backbones.pixels import Pixels
from saccade.nn.backbones.small import Small
from saccade.nn.blocks import Norm
from saccade.nn.heads.reconstruct import ConvolutionalDecoder, DenseDecoder, Likeness, Reconstruct
from saccade.nn.necks.codes import Codes

Kind = Literal["dense", "convolutional"]
CodeSize = Annotated[int, Field(ge=1, le=4096)]
Hidden = Annotated[tuple[Width, ...], Field(max_length=8)]
Deviation = Annotated[float, Field(gt=0, le=100)]


def pca(inputs: Inputs, space: LabelSpace, *, codes: CodeSize = 30, whiten: bool = False, standardise: bool = False) -> Model:
    """Principal components: the linear code of least squared error, exact and without training steps.

    codes: how many components. whiten: codes of unit variance. standardise: of values in units of each channel's (of vectors: each column's) deviation.
    On MNIST, 30 components leave 13.9 of the squared error summed over a picture's 784 values (Hinton and Salakhutdinov 2006, figure 3), 0.0177 a value.
    """
    return PrincipalComponents(inputs, codes, whiten=whiten, standardise=standardise)


def autoencoder(
    inputs: Inputs,
    space: LabelSpace,
    *,
    codes: CodeSize = 30,
    kind: Kind = "dense",
    hidden: Hidden = (1000, 500, 250),
    activation: Activation = "relu",
    widths: Widths = (32, 64, 128, 256),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    criterion: Likeness = "squared",
    standardise: bool = False,
) -> Model:
    """An autoencoder with any bottleneck: Hinton and Salakhutdinov, Science 313, 2006; 784-1000-500-250-30 as published.

    kind: dense, with `hidden` units and `activation`, none of them for a linear one; or convolutional, the encoder of the classifier `small` with `widths`,
    `blocks` and `norm`, and its mirror image. The encoder is that of the classifiers `mlp` and `small`, which begin with it by --from.
    criterion: squared, or logistic for values in [0, 1]. standardise: differences in units of each channel's (of vectors: each column's) deviation.
    Published with 30 codes on MNIST: a squared error of 3.00 summed over a picture, against 13.87 of PCA.
    """
    parts = _parts(inputs, codes, kind, hidden, activation, (widths, blocks, norm), (criterion, standardise))
    return Autoencoder(*parts)


def denoising_autoencoder(
    inputs: Inputs,
    space: LabelSpace,
    *,
    codes: CodeSize = 30,
    kind: Kind = "dense",
    hidden: Hidden = (1000, 500, 250),
    activation: Activation = "relu",
    widths: Widths = (32, 64, 128, 256),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    noise: Noise = "gaussian",
    sigma: Deviation = 0.3,
    criterion: Likeness = "squared",
    standardise: bool = False,
) -> Model:
    """An autoencoder that is shown noisy inputs and answers the clean ones: Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.

    noise: gaussian of deviation `sigma` in the inputs' units, or masking of the share `sigma` of the values. With Gaussian noise
    (r(x) - x) / sigma^2 is the score of the noisy data, and codes may be as many as the values. The rest as of `autoencoder`.
    """
    parts = _parts(inputs, codes, kind, hidden, activation, (widths, blocks, norm), (criterion, standardise))
    return DenoisingAutoencoder(*parts, noise=noise, sigma=sigma)


def stacked_autoencoder(
    inputs: Inputs,
    space: LabelSpace,
    *,
    codes: CodeSize = 30,
    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (1000, 500, 250),
    activation: Activation = "relu",
    noise: Noise = "gaussian",
    sigma: Deviation = 0.3,
    pretrain: Share = 0.5,
    criterion: Likeness = "squared",
) -> Model:
    """Dense layers learnt one after the other, each as a denoising autoencoder of the layers before it, then tuned together: Vincent et al., JMLR 11, 2010.

    pretrain: the share of the epochs that the layers get, evenly; what is left tunes all. A classifier `mlp` with the same `hidden` begins with it by --from.
    """
    kept = (32, 64, 128, 256), (1, 1, 1, 1), "batch"
    backbone, head = _parts(inputs, codes, "dense", hidden, activation, kept, (criterion, False))  # type: ignore[arg-type]
    return StackedAutoencoder(backbone, head, noise=noise, sigma=sigma, pretrain=pretrain)


def _parts(
    inputs: Inputs,
    codes: int,
    kind: Kind,
    hidden: tuple[int, ...],
    activation: Activation,
    layers: tuple[tuple[int, ...], tuple[int, ...], Norm],
    likeness: tuple[Likeness, bool],
) -> tuple[Backbone, Reconstruct]:
    """The encoder with its code, and the head that decodes it."""
    criterion, standardise = likeness
    if kind == "convolutional":
        if min(inputs.size) < 4:
            raise ValueError(f"kind = convolutional needs inputs of at least 4x4 px, got {inputs.size[0]}x{inputs.size[1]}; vectors need kind = dense")
        widths, blocks, norm = layers
        encoder: Backbone = Small(inputs, widths=widths, blocks=blocks, norm=norm)
        decoder: ConvolutionalDecoder | DenseDecoder = ConvolutionalDecoder(inputs, codes, encoder.levels[1:], norm=norm)
    else:
        encoder = MLP(inputs, hidden=hidden, activation=activation) if hidden else Pixels(inputs)
        decoder = DenseDecoder(inputs, codes, hidden=hidden, activation=activation)
    head = Reconstruct(inputs, decoder, criterion=criterion, standardise=standardise)
    return Chain(encoder, Codes(encoder.levels, inputs.size, codes)), head
