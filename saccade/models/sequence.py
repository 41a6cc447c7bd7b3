"""Networks that tag every frame of a sequence, or name its label. Each builder is `(inputs, space, **arguments) -> Model` with the head "tags" or "label".

A sequence comes as a column: frames of numbers are one pixel wide, their numbers the channels; frames that are pictures are squares
below one another. Square frames of more than one pixel go through a small convolutional network each, whatever the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from saccade.core import Backbone, Batch, Chain, Estimated, Feeds, Head, Inputs, LabelSpace, Model, Phase, Run, Stage, decay_groups
from saccade.models.arguments import Share, Width, Widths
from saccade.nn.backbones.frames import Activation, Convolved, FrameImages, Frames, Gates, Reading, Stacked
from saccade.nn.heads.chain import ChainTagger, Decoding, tag_matrix
from saccade.nn.heads.classify import Classify
from saccade.nn.heads.generative import GenerativeTagger
from saccade.nn.heads.hidden_crf import ChainVote, HiddenCRF
from saccade.nn.heads.tag import Tagger
from saccade.nn.recurrent import Kind

Answer = Literal["tags", "label"]
Context = Annotated[int, Field(ge=0, le=32)]
States = Annotated[int, Field(ge=1, le=64)]
Gated = Annotated[tuple[Width, ...], Field(min_length=1, max_length=4)]
Rounds = Annotated[int, Field(ge=1, le=1000)]


def independent(
    inputs: Inputs,
    space: LabelSpace,
    *,
    answer: Answer = "tags",
    context: Context = 2,
    units: Widths = (64,),
    dropout: Share = 0.0,
    widths: Widths = (32, 64, 128),
) -> Model:
    """Every frame by itself: a perceptron over a window of `context` frames on both sides, and cross entropy. The floor of the chains."""
    encoder = _gated(inputs, context, units, "tanh", dropout, widths)
    return _model(encoder, answer, _tagger(encoder, space, answer))


def crf(
    inputs: Inputs,
    space: LabelSpace,
    *,
    answer: Answer = "tags",
    context: Context = 2,
    decoding: Decoding = "marginals",
    widths: Widths = (32, 64, 128),
) -> Model:
    """Linear-chain CRF: Lafferty, McCallum, Pereira, "Conditional random fields", ICML 2001, over a window of raw features.

    With frames that are pictures its features are those of the convolutional network. For labels of sequences every frame learns the label and
    their marginals vote. Deviation: trained by AdamW with weight decay instead of iterative scaling.
    """
    encoder = _stacked(inputs, context, widths)
    level = encoder.levels[-1]
    return _model(encoder, answer, ChainTagger(level, len(space), decoding=decoding) if answer == "tags" else ChainVote(level, len(space)))


def cnf(
    inputs: Inputs,
    space: LabelSpace,
    *,
    answer: Answer = "tags",
    context: Context = 2,
    units: Gated = (64,),
    activation: Activation = "tanh",
    decoding: Decoding = "marginals",
    dropout: Share = 0.0,
    widths: Widths = (32, 64, 128),
) -> Model:
    """Conditional neural field: Peng, Bo, Xu, "Conditional neural fields", NIPS 2009: a chain CRF over gates that are learnt with it.

    Deviation: several layers of gates and tanh are allowed; AdamW instead of L-BFGS.
    """
    encoder = _gated(inputs, context, units, activation, dropout, widths)
    level = encoder.levels[-1]
    return _model(encoder, answer, ChainTagger(level, len(space), decoding=decoding) if answer == "tags" else ChainVote(level, len(space)))


class LatentDynamic(Model):
    """A latent-dynamic chain that learns a first guess of its hidden states for a share of the run, and then sums over them."""

    def __init__(self, backbone: Backbone, head: ChainTagger, guess: float) -> None:
        super().__init__(backbone, {"tags": head})
        self.guess = guess

    def stages(self) -> Sequence[Stage]:
        if not self.guess:
            return super().stages()
        return tuple(Stage(name, share, (Phase(name, lambda: decay_groups(self)),)) for name, share in (("guess", self.guess), ("all", 1 - self.guess)))

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, torch.Tensor]:
        if phase != "guess":
            return super().forward(batch, phase)
        head, rows = self.heads["tags"], [i for i, target in enumerate(batch.targets.get("tags", ())) if target is not None]
        assert isinstance(head, ChainTagger)
        if not rows:
            return {}
        out = head(self.backbone(batch.inputs, batch.sizes)[torch.tensor(rows, device=batch.inputs.device)])
        return head.guess_loss(out, [batch.targets["tags"][i] for i in rows])


def ldcrf(inputs: Inputs, space: LabelSpace, *, states: States = 4, guess: Share = 0.3, context: Context = 2, widths: Widths = (32, 64, 128)) -> Model:
    """Latent-dynamic CRF: Morency, Quattoni, Darrell, "Latent-dynamic discriminative models for continuous gesture recognition", CVPR 2007.

    states: hidden states of each tag, disjoint. The tag of a frame is that of the largest sum of its states' marginals (equation 6).
    guess: the share of the run that learns a first guess of the states, every stretch of a tag in equal pieces; the paper has none.
    Deviation: that guess, and AdamW instead of BFGS.
    """
    encoder = _stacked(inputs, context, widths)
    return LatentDynamic(encoder, ChainTagger(encoder.levels[-1], len(space), states=states), guess)


def ldcnf(
    inputs: Inputs,
    space: LabelSpace,
    *,
    states: States = 4,
    guess: Share = 0.3,
    context: Context = 2,
    units: Gated = (64,),
    activation: Activation = "tanh",
    dropout: Share = 0.0,
    widths: Widths = (32, 64, 128),
) -> Model:
    """Latent-dynamic conditional neural field: the latent-dynamic CRF of Morency et al. 2007 over the gates of Peng et al. 2009.

    Levesque, Morency, Pelachaud, "Sequential emotion recognition using latent-dynamic conditional neural fields", FG 2013. guess: as for `ldcrf`.
    """
    encoder = _gated(inputs, context, units, activation, dropout, widths)
    return LatentDynamic(encoder, ChainTagger(encoder.levels[-1], len(space), states=states), guess)


def hcrf(
    inputs: Inputs,
    space: LabelSpace,
    *,
    states: States = 8,
    context: Context = 2,
    units: Widths | None = None,
    activation: Activation = "tanh",
    dropout: Share = 0.0,
    widths: Widths = (32, 64, 128),
) -> Model:
    """Hidden CRF: Quattoni, Wang, Morency, Collins, Darrell, "Hidden conditional random fields", PAMI 2007: a label for a whole sequence.

    states: hidden states, shared by all labels. units: of gates over the frames (a hidden conditional neural field), none for the paper's
    raw features.
    """
    encoder = _stacked(inputs, context, widths) if units is None else _gated(inputs, context, units, activation, dropout, widths)
    return Model(encoder, {"label": HiddenCRF(encoder.levels[-1], len(space), states=states, dropout=dropout)})


def bilstm(
    inputs: Inputs,
    space: LabelSpace,
    *,
    answer: Answer = "tags",
    hidden: Width = 64,
    layers: Annotated[int, Field(ge=1, le=8)] = 1,
    kind: Kind = "lstm",
    crf: bool = False,
    dropout: Share = 0.0,
    widths: Widths = (32, 64, 128),
) -> Model:
    """A bidirectional LSTM (Graves and Schmidhuber 2005), each frame by itself; with crf=true a chain above it (Huang, Xu, Yu, "Bidirectional LSTM-CRF
    models for sequence tagging", 2015)."""
    base = _frames(inputs, widths)
    encoder = Chain(base, Reading(base.levels, hidden, kind=kind, layers=layers, dropout=dropout))
    level = encoder.levels[-1]
    if crf:
        return _model(encoder, answer, ChainTagger(level, len(space), dropout=dropout) if answer == "tags" else ChainVote(level, len(space), dropout=dropout))
    return _model(encoder, answer, _tagger(encoder, space, answer, dropout))


def convolution(
    inputs: Inputs,
    space: LabelSpace,
    *,
    answer: Answer = "tags",
    channels: Widths = (64, 64, 64, 64),
    kernel: Literal[3, 5, 7, 9] = 3,
    dropout: Share = 0.0,
    widths: Widths = (32, 64, 128),
) -> Model:
    """A convolutional network along time: Lea et al., "Temporal convolutional networks for action segmentation and detection", CVPR 2017.

    channels: of residual blocks, each dilated twice as far as the one before; labels of sequences are of the mean over the frames. The network for sound, whose
    frames are bands of a spectrogram. Deviations: see `nn.backbones.frames.Convolved`.
    """
    base = _frames(inputs, widths)
    encoder = Chain(base, Convolved(base.levels, channels, kernel=kernel, dropout=dropout))
    return _model(encoder, answer, _tagger(encoder, space, answer, dropout))


class GenerativeModel(Estimated):
    """A hidden Markov model with Gaussian emissions as a network: learnt by EM from all batches at once."""

    def __init__(self, backbone: Backbone, head: GenerativeTagger, rounds: int) -> None:
        super().__init__(backbone, {head.answer: head})
        self.rounds = rounds

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """Raises ValueError where no frame has a label."""
        head = next(iter(self.heads.values()))
        assert isinstance(head, GenerativeTagger)
        parts: list[Batch] = [batch for batch in feeds.train.epoch(0) if any(t is not None for t in batch.targets.get(head.answer, ()))]
        rows, tags = list[torch.Tensor](), list[torch.Tensor]()
        with torch.no_grad():
            for batch in parts:
                found = self.backbone(batch.inputs.to(head.start.device), batch.sizes.to(head.start.device))
                there = [i for i, target in enumerate(batch.targets[head.answer]) if target is not None]
                features, lengths = found.maps[-1][there].transpose(1, 2), found.sizes[there, 0]
                truth = tag_matrix(head.as_tags([batch.targets[head.answer][i] for i in there], lengths), lengths, features.shape[1], head.classes)
                rows += [row[:n] for row, n in zip(features, lengths.tolist(), strict=True)]
                tags += [row[:n] for row, n in zip(truth, lengths.tolist(), strict=True)]
        told = head.learn(rows, tags, steps=self.rounds)
        run.event("em", log_likelihoods=[round(v, 3) for v in told], rounds=len(told))


def hmm(
    inputs: Inputs,
    space: LabelSpace,
    *,
    answer: Answer = "tags",
    states: States = 3,
    rounds: Rounds = 100,
    widths: Widths = (32, 64, 128),
) -> Model:
    """Hidden Markov model with Gaussian emissions, learnt by EM: Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 1989.

    states: of each class, in a chain of their own for labels of sequences; for tags the states of all classes follow one another, the
    labels confining them while learning. Takes frames of numbers only: raises ValueError for pictures.
    """
    if inputs.size[1] > 1:
        raise ValueError("an HMM takes frames of numbers; its Gaussians are no model of pictures")
    base = Frames(inputs)
    return GenerativeModel(base, GenerativeTagger(base.levels[-1], len(space), answer=answer, states=states), rounds)


def _frames(inputs: Inputs, widths: Any) -> Backbone:
    return Frames(inputs) if inputs.size[1] == 1 else FrameImages(inputs, widths=widths, blocks=(1,) * len(widths))


def _stacked(inputs: Inputs, context: int, widths: Any) -> Backbone:
    base = _frames(inputs, widths)
    return Chain(base, Stacked(base.levels, context)) if context else base


def _gated(inputs: Inputs, context: int, units: Any, activation: Activation, dropout: float, widths: Any) -> Backbone:
    base = _frames(inputs, widths)
    return Chain(base, Gates(base.levels, units, context=context, activation=activation, dropout=dropout))


def _tagger(encoder: Backbone, space: LabelSpace, answer: Answer, dropout: float = 0.0) -> Head[Any, Any]:
    level = encoder.levels[-1]
    return Tagger(level, len(space), dropout=dropout) if answer == "tags" else Classify(level, len(space), dropout=dropout)


def _model(encoder: Backbone, answer: Answer, head: Head[Any, Any]) -> Model:
    return Model(encoder, {answer: head})
