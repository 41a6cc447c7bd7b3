"""Generative systems by name. Each builder is `(inputs, space, **arguments) -> Generative`; `conditional` ones are told the class."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade.core import Inputs, LabelSpace
from saccade.generative.ddpm import Ddpm, LatentDdpm
from saccade.generative.diffusion import Prediction, ScheduleName
from saccade.generative.gan import Adversary, Gan
from saccade.generative.vae import Vae

Codes = Annotated[int, Field(ge=1, le=4096)]
Wide = Annotated[int, Field(ge=4, le=1024)]
Hidden = Annotated[int, Field(ge=4, le=8192)]
Strength = Annotated[float, Field(ge=0, le=1e4)]
Times = Annotated[int, Field(ge=1, le=10_000)]
Factors = Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=1, max_length=6)]
Few = Annotated[int, Field(ge=1, le=8)]
Patch = Literal[1, 2, 4]
Drop = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Columns = Annotated[tuple[str, ...], Field(max_length=64, description="of a table, whose numbers are told in place of classes: --condition sets them")]


def vae(
    inputs: Inputs,
    space: LabelSpace,
    *,
    codes: Codes = 20,
    kind: Literal["convolutional", "dense"] = "convolutional",
    width: Wide = 32,
    hidden: Hidden = 256,
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
    binarise: Literal["sample", "threshold"] = "sample",
    beta: Strength = 1.0,
    free_bits: Strength = 0.0,
    conditional: bool = False,
) -> Vae:
    """Variational autoencoder: Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.

    Published on binarised MNIST: a bound near -100 nats with 20 codes and dense layers of 500 (their figure 2). Deviations: convolutions unless kind is dense,
    SiLU, Adam with an annealed rate and averaged weights. binarise is of the likelihood bernoulli; free_bits are nats a code.
    """
    shape = {"codes": codes, "kind": kind, "width": width, "hidden": hidden}
    return Vae(inputs, space, **shape, likelihood=likelihood, binarise=binarise, beta=beta, free_bits=free_bits, conditional=conditional)  # type: ignore[arg-type]


def dcgan(
    inputs: Inputs,
    space: LabelSpace,
    *,
    codes: Codes = 64,
    width: Wide = 48,
    adversary: Adversary = "non_saturating",
    discriminator_steps: Few = 1,
    spectral: bool = True,
    gradient_penalty: Strength = 0.0,
    conditional: bool = False,
) -> Gan:
    """DCGAN: Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional generative adversarial networks", ICLR 2016.

    Deviations: as many halvings as the picture needs; spectral normalisation of the discriminator (Miyato et al. 2018) unless it is turned off, and batch
    normalisation then; decoupled Adam with beta1 0.5; the kept generator has averaged weights.
    """
    return Gan(
        inputs,
        space,
        codes=codes,
        width=width,
        adversary=adversary,
        discriminator_steps=discriminator_steps,
        spectral=spectral,
        gradient_penalty=gradient_penalty,
        conditional=conditional,
    )


def ddpm(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: Wide = 32,
    factors: Factors = (1, 2),
    blocks: Few = 1,
    patch: Patch = 2,
    schedule: ScheduleName = "cosine",
    times: Times = 1000,
    prediction: Prediction = "v",
    sampling_steps: Times = 50,
    conditional: bool = False,
    drop: Drop = 0.1,
    columns: Columns = (),
) -> Ddpm:
    """DDPM: Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020; sampled by DDIM (Song, Meng and Ermon, ICLR 2021).

    Published on CIFAR-10: FID 3.17 with 35.7 million parameters and 1000 steps. Deviations: small enough for two processor cores, on blocks of patch x patch
    pixels; the cosine schedule of Nichol and Dhariwal 2021 and the prediction of v (Salimans and Ho 2022) unless "linear" and "epsilon" are asked for.
    """
    return Ddpm(
        inputs,
        space,
        width=width,
        factors=factors,
        blocks=blocks,
        patch=patch,
        schedule=schedule,
        times=times,
        prediction=prediction,
        sampling_steps=sampling_steps,
        conditional=conditional,
        drop=drop,
        columns=columns,
    )


def latent_ddpm(
    inputs: Inputs,
    space: LabelSpace,
    *,
    depth: Few = 4,
    halvings: Annotated[int, Field(ge=1, le=5)] = 2,
    autoencoder_width: Wide = 32,
    kl_weight: Strength = 0.05,
    share: Share = 0.3,
    width: Wide = 64,
    factors: Factors = (1,),
    blocks: Few = 2,
    schedule: ScheduleName = "cosine",
    times: Times = 1000,
    prediction: Prediction = "v",
    sampling_steps: Times = 50,
    conditional: bool = False,
    drop: Drop = 0.1,
    columns: Columns = (),
) -> LatentDdpm:
    """Latent diffusion: Rombach, Blattmann, Lorenz, Esser and Ommer, "High-resolution image synthesis with latent diffusion models", CVPR 2022.

    An autoencoder is learnt in the first `share` of the epochs, and diffusion in its codes, depth maps of halved sides, in the others. See `LatentDdpm`.
    """
    own = {"depth": depth, "halvings": halvings, "autoencoder_width": autoencoder_width, "kl_weight": kl_weight, "share": share}
    common = {"width": width, "factors": factors, "blocks": blocks, "patch": 1, "schedule": schedule, "times": times, "prediction": prediction}
    return LatentDdpm(inputs, space, **own, **common, sampling_steps=sampling_steps, conditional=conditional, drop=drop, columns=columns)  # type: ignore[arg-type]
