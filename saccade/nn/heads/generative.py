"""A hidden Markov model with Gaussian emissions as a head: tags of frames or the label of a sequence, by Bayes' rule, learnt by EM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.chain import tag_matrix
from saccade.nn.heads.classify import labels
from saccade.structured import hidden, hmm
from saccade.structured.chain import Chain, log_partition, marginals
from saccade.structured.constraints import of_labels
from saccade.structured.hmm import HMM, Gaussian
from saccade.targets.label import Label
from saccade.targets.tag_sequence import TagSequence

Answer = Literal["tags", "label"]
PSEUDO = 0.5  # counts of a Dirichlet prior on steps
LEAST = 0.01  # variance, of features whose variance over the data is 1: what hardly ever moves must not decide
FORBIDDEN = -1e30


class GenerativeOut(NamedTuple):
    """unary: (N, T, S) log densities, the start in them; lengths: (N,)."""

    unary: Tensor
    lengths: Tensor


class GenerativeTagger(Head[GenerativeOut, Any]):
    """Gaussians with a variance a dimension over the last map (N, C, T), of stride 1; `states` hidden states a class, disjoint.

    answer: "tags", the states of all classes following one another; "label", each class with a chain of its own, and p(x, class) compared.
    Raises ValueError for another stride, or fewer than one class or state. Computes in float64, since log densities of many
    dimensions are large.
    """

    def __init__(self, level: Level, classes: int, *, answer: Answer = "tags", states: int = 3) -> None:
        super().__init__()
        if level.stride != 1 or classes < 1 or states < 1:
            raise ValueError(f"an HMM needs a map of stride 1, a class and a state, got stride {level.stride}, {classes} and {states}")
        self.classes, self.states, self.answer = classes, states, answer
        size = classes * states
        shapes = {"start": (size,), "transition": (size, size), "mean": (size, level.channels), "variance": (size, level.channels)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.ones(shape) if name == "variance" else torch.zeros(shape), requires_grad=False))
        self.register_buffer("owner", hidden.owners(classes, states), persistent=False)
        self.start: Tensor
        self.transition: Tensor
        self.mean: Tensor
        self.variance: Tensor
        self.owner: Tensor

    def model(self) -> HMM:
        """What was learnt, in float64. Forbidden steps are finite in the file and -inf here."""
        start, transition = (torch.where(t.double() < FORBIDDEN / 10, -torch.inf, t.double()) for t in (self.start, self.transition))
        return HMM(start, transition, Gaussian(self.mean.double(), self.variance.double(), torch.zeros_like(self.mean[0]).double()))

    def chain(self, out: GenerativeOut) -> Chain:
        return Chain(out.unary, self.model().transition, out.lengths)

    def forward(self, features: Features) -> GenerativeOut:
        x, lengths = features.maps[-1].transpose(1, 2).double(), features.sizes[:, 0]
        return GenerativeOut(self.model().chain(x, lengths).unary, lengths)

    def as_tags(self, targets: Sequence[Any], lengths: Tensor) -> list[TagSequence]:
        """Labels of sequences as tags of all their frames; tags as they are."""
        return [
            target if isinstance(target, TagSequence) else TagSequence(torch.full((n,), target.index))
            for target, n in zip(targets, lengths.tolist(), strict=True)
        ]

    def loss(self, out: GenerativeOut, targets: Sequence[Any]) -> dict[str, Tensor]:
        """{"nll"}: -log p(truth | x) by the joint model, in nats, a known frame or a known label. Raises ValueError for a truth of another length or class."""
        tags = tag_matrix(self.as_tags(targets, out.lengths), out.lengths, out.unary.shape[1], self.classes).to(out.unary.device)
        if self.answer == "tags":
            return {"nll": (hidden.label_loss(self.chain(out), self.owner, tags).sum() / max(1, int((tags >= 0).sum()))).float()}
        ids = torch.tensor([target.index for target in targets], device=out.unary.device)
        known = ids >= 0
        told = torch.log_softmax(self._joint(out), 1).gather(1, ids.clamp_min(0)[:, None])[:, 0]
        return {"nll": -(told[known].sum() / max(1, int(known.sum()))).float()}

    @torch.no_grad()
    def decode(self, out: GenerativeOut, meta: Sequence[Meta]) -> list[Any]:
        """Tags with their marginals, or labels with their posterior; on the CPU."""
        if self.answer == "tags":
            scores = of_labels(marginals(self.chain(out)).nodes, self.owner, self.classes).float().cpu()
            return [TagSequence(row[:n].argmax(1), row[:n]) for row, n in zip(scores, out.lengths.tolist(), strict=True)]
        found: list[Label] = labels(torch.softmax(self._joint(out), 1).float())
        return found

    def _joint(self, out: GenerativeOut) -> Tensor:
        """(N, K) log p(x, class): a chain of its own for each class."""
        k, own = self.classes, torch.arange(self.classes, device=self.owner.device)
        scores = out.unary.unflatten(2, (k, self.states)).permute(2, 0, 1, 3).flatten(0, 1)
        blocks = self.model().transition.view(k, self.states, k, self.states)[own, :, own][:, None]
        return log_partition(Chain(scores, blocks, out.lengths.repeat(k))).view(k, -1).T

    @torch.no_grad()
    def hidden_states(self, out: GenerativeOut) -> list[Tensor]:
        """The marginals (T, S) of the hidden states of each sequence, on the CPU; state s belongs to class s // states."""
        found = marginals(self.chain(out)).nodes.float().cpu()
        return [row[:n] for row, n in zip(found, out.lengths.tolist(), strict=True)]

    @torch.no_grad()
    def learn(self, rows: Sequence[Tensor], tags: Sequence[Tensor], *, steps: int, seed: int = 0) -> list[float]:
        """EM over sequences (T, C) with tags (T,); the log-likelihoods it went through. Raises ValueError where no frame has a tag."""
        if not any(bool((tag >= 0).any()) for tag in tags):
            raise ValueError("an HMM learns from labelled frames, there is none")
        lengths = torch.tensor([len(row) for row in rows])
        seen = torch.nn.utils.rnn.pad_sequence([row.cpu().double() for row in rows], batch_first=True)
        truth = torch.nn.utils.rnn.pad_sequence([tag.cpu() for tag in tags], batch_first=True, padding_value=-1)
        generator = torch.Generator().manual_seed(seed)
        if self.answer == "tags":
            found = self._fitted(seen, lengths, truth, self.owner.cpu(), steps, generator)
            self._keep(slice(None), found.model, 0.0)
            return found.log_likelihoods
        self.transition.fill_(FORBIDDEN)
        self.start.fill_(FORBIDDEN)  # a class without an example cannot be the answer
        label, totals = truth.amax(1), list[float]()
        for k in range(self.classes):
            mine = label == k
            if mine.any():
                found = self._fitted(seen[mine], lengths[mine], truth[mine].clamp_max(0), torch.zeros(self.states, dtype=torch.int64), steps, generator)
                self._keep(slice(k * self.states, (k + 1) * self.states), found.model, math.log(float(mine.double().mean())))
                totals.append(found.log_likelihoods[-1])
        return totals

    def _fitted(self, seen: Tensor, lengths: Tensor, truth: Tensor, owner: Tensor, steps: int, generator: torch.Generator) -> hmm.Learnt:
        first = hmm.first_gaussian(seen, lengths, owner, tags=truth, forwards=self.answer == "label", generator=generator)
        assert isinstance(first.emission, Gaussian)
        floor = first.emission.floor.clamp_min(LEAST)
        first = replace(first, emission=Gaussian(first.emission.mean, torch.maximum(first.emission.variance, floor), floor))
        return hmm.learn(first, seen, lengths, steps=steps, pseudo=PSEUDO, allowed=hidden.allowed_states(truth, owner))

    def _keep(self, states: slice, model: HMM, log_share: float) -> None:
        """Stores what was learnt of some states; log_share: of the class that they belong to."""
        assert isinstance(model.emission, Gaussian)
        self.start[states] = (model.start + log_share).clamp_min(FORBIDDEN).to(self.start)
        self.transition[states, states] = model.transition.clamp_min(FORBIDDEN).to(self.transition)
        self.mean[states], self.variance[states] = model.emission.mean.to(self.mean), model.emission.variance.to(self.variance)
