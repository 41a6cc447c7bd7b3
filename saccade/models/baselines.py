"""Probabilistic baselines: what a network must be better than. Each builder is `(inputs, space, **arguments) -> Model` with the head "label"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from saccade.classic.bernoulli import Beta, Estimate
from saccade.classic.naive_bayes import BernoulliNaiveBayes
from saccade.core import Estimated, Features, Feeds, Head, Inputs, LabelSpace, Meta, Model, Run
from saccade.errors import UsageError
from saccade.models.arguments import ClassWeights, Share
from saccade.nn.backbones.pixels import Pixels
from saccade.nn.heads.classify import Classify, ClassifyOut, full, labels, truth_matrix
from saccade.ops.losses import cross_entropy
from saccade.targets.label import Label

Threshold = Annotated[float, Field(ge=0, lt=1)]
Pseudo = Annotated[float, Field(gt=0, le=1e6)]
Cells = Annotated[int, Field(ge=1, le=4)]
NEVER = -1e4  # the score of a class without images


class NaiveBayes(Estimated):
    """Counts black and white pixels by class; its posterior is a logistic regression, which its last layer holds."""

    def __init__(self, backbone: Pixels, head: Classify, prior: Beta, how: Estimate) -> None:
        super().__init__(backbone, {"label": head})
        self.prior, self.how = prior, how

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """One pass. Raises UsageError USE-VALUE for `mle` where a pixel never changes within a class: its probability has no finite weight."""
        x, truth = _vectors(self, feeds)
        head = self.heads["label"]
        assert isinstance(head, Classify)
        found = BernoulliNaiveBayes.fit(x, truth, head.classes, prior=self.prior, how=self.how)
        try:
            weights, offsets = found.as_logistic()
        except ValueError as problem:
            raise UsageError("USE-VALUE", str(problem), where="--set how", fix="choose how=mean, or how=map with a and b above 1") from problem
        with torch.no_grad():
            head.output.weight.copy_(torch.from_numpy(weights.T))
            head.output.bias.copy_(torch.from_numpy(np.maximum(offsets, NEVER)))


class TableHead(Head[ClassifyOut, Label]):
    """A row of class scores for every configuration of d binary numbers: 2^d K of them."""

    def __init__(self, cells: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.scores = nn.Parameter(torch.zeros(2**cells, classes))
        self.register_buffer("places", 2 ** torch.arange(cells), persistent=False)
        self.places: Tensor

    def forward(self, features: Features) -> ClassifyOut:
        return ClassifyOut(self.scores[(features.maps[-1].flatten(1).long() * self.places).sum(1)])

    def loss(self, out: ClassifyOut, targets: Sequence[Label]) -> dict[str, Tensor]:
        """{"cross_entropy"}; ignored labels give 0."""
        truth = truth_matrix(targets, self.classes, out.logits.device)
        logits = full(out.logits)
        return {"cross_entropy": logits[:0].sum() if truth is None else cross_entropy(torch.log_softmax(logits, 1), truth, None)}

    def decode(self, out: ClassifyOut, meta: Sequence[Meta]) -> list[Label]:
        return labels(torch.softmax(full(out.logits), 1))


class TableModel(Estimated):
    """p(class, pixels) as a full table: log of the counts, with `pseudo` images of each configuration and class added."""

    def __init__(self, backbone: Pixels, head: TableHead, pseudo: float) -> None:
        super().__init__(backbone, {"label": head})
        self.pseudo = pseudo

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """One pass of counting."""
        x, truth = _vectors(self, feeds)
        head = self.heads["label"]
        assert isinstance(head, TableHead)
        counts = np.full(tuple(head.scores.shape), self.pseudo)
        np.add.at(counts, (x @ head.places.cpu().numpy(), truth), 1.0)
        with torch.no_grad():
            head.scores.copy_(torch.from_numpy(np.log(counts)))


class Frequencies(Estimated):
    """p(class) alone, whatever the picture shows: the posterior mean of the classes' shares, whose prior is `pseudo` images of each."""

    def __init__(self, backbone: Pixels, head: Classify, pseudo: float) -> None:
        super().__init__(backbone, {"label": head})
        self.pseudo = pseudo

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """One pass of counting."""
        _, truth = _vectors(self, feeds)
        head = self.heads["label"]
        assert isinstance(head, Classify)
        with torch.no_grad():
            head.output.weight.zero_()
            head.output.bias.copy_(torch.from_numpy(np.log(np.bincount(truth, minlength=head.classes) + self.pseudo)))


def naive_bayes(inputs: Inputs, space: LabelSpace, *, threshold: Threshold = 0.5, a: Pseudo = 1.0, b: Pseudo = 1.0, how: Estimate = "mean") -> Model:
    """Naive Bayes of black and white pixels: K - 1 + K d counts, no gradient; the generative floor (Ng and Jordan 2002).

    how: each pixel's probability is its share (mle), or the mode (map) or the mean of the posterior of a Beta(a, b) prior.
    threshold: values in [0, 1] above it are white.
    """
    backbone = Pixels(inputs, threshold=threshold)
    return NaiveBayes(backbone, Classify(backbone.levels[-1], len(space)), Beta(a, b), how)


def table(inputs: Inputs, space: LabelSpace, *, grid: Cells = 3, threshold: Threshold = 0.5, pseudo: Pseudo = 0.1) -> Model:
    """The full table p(class, cells) of a grid of black and white cells: 2^(grid^2) K numbers, every dependence and no picture of real size.

    A cell is the mean of its pixels over all channels, white above the threshold. pseudo: images of each configuration and class seen before.
    """
    return TableModel(Pixels(inputs, threshold=threshold, grid=grid), TableHead(grid * grid, len(space)), pseudo)


def frequencies(inputs: Inputs, space: LabelSpace, *, pseudo: Pseudo = 1.0) -> Model:
    """The classes' shares, whatever the picture shows: the least that any model must beat.

    pseudo: images of each class seen before: a Beta prior of two classes, a Dirichlet prior of more, of which this is the posterior's mean.
    """
    backbone = Pixels(inputs, grid=1)
    return Frequencies(backbone, Classify(backbone.levels[-1], len(space)), pseudo)


def logistic(inputs: Inputs, space: LabelSpace, *, dropout: Share = 0.0, label_smoothing: Share = 0.0, class_weights: ClassWeights = None) -> Model:
    """Logistic regression on the pixels: (d + 1) K numbers, the discriminative partner of naive Bayes.

    The loss is convex: `--fit linear` finds its least at once, the loop comes near it by steps.
    """
    backbone = Pixels(inputs)
    options: dict[str, Any] = {"dropout": dropout, "label_smoothing": label_smoothing, "class_weights": class_weights}
    return Model(backbone, {"label": Classify(backbone.levels[-1], len(space), **options)})


def _vectors(model: Model, feeds: Feeds) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) of 0 and 1 (or whatever the backbone gives) and (n,) class ids of all labelled training images."""
    rows, truth = [], []
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        for batch in feeds.train.epoch(0):
            keep = [i for i, target in enumerate(batch.targets.get("label", [])) if target is not None and target.known]
            features = model.backbone(batch.inputs.to(device), batch.sizes.to(device))
            rows.append(features.maps[-1].flatten(1)[keep].cpu().numpy())
            truth += [batch.targets["label"][i].index for i in keep]
    if not truth:
        raise UsageError("USE-VALUE", "no labelled image to count", where="DATA")
    return np.concatenate(rows).astype(np.int64 if set(np.unique(rows[0])) <= {0.0, 1.0} else np.float64), np.array(truth, np.int64)
