"""A hidden Markov model with Gaussian emissions as a head: tags of frames or the label of a sequence, by Bayes' rule, learnt by EM."""

from __future__ import annotations

from collections.abc import Sequence
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
        """{"nll"}: -log p(truth | x) a known frame, in nats, by the joint model. Raises ValueError for a truth of another length or class."""
        tags = tag_matrix(self.as_tags(targets, out.lengths), out.lengths, out.unary.shape[1], self.classes).to(out.unary.device)
        known = int((tags >= 0).sum())
        return {"nll": (hidden.label_loss(self.chain(out), self.owner, tags).sum() / max(1, known)).float()}

    @torch.no_grad()
    def decode(self, out: GenerativeOut, meta: Sequence[Meta]) -> list[Any]:
        """Tags with their marginals, or labels with their posterior; on the CPU."""
        if self.answer == "tags":
            scores = of_labels(marginals(self.chain(out)).nodes, self.owner, self.classes).float().cpu()
            return [TagSequence(row[:n].argmax(1), row[:n]) for row, n in zip(scores, out.lengths.tolist(), strict=True)]
        found: list[Label] = labels(torch.softmax(self._joint(out), 1).float())
        return found

    def _joint(self, out: GenerativeOut) -> Tensor:
        """(N, K) log p(x, class): the states of one class at a time."""
        allowed = self.owner == torch.arange(self.classes, device=self.owner.device)[:, None]  # (K, S)
        chain = self.chain(out)
        each = [log_partition(Chain(torch.where(own, chain.unary, -torch.inf), chain.pairwise, chain.lengths)) for own in allowed]
        return torch.stack(each, 1)

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
        owner, generator = self.owner.cpu(), torch.Generator().manual_seed(seed)
        first = hmm.first_gaussian(seen, lengths, owner, tags=truth, forwards=self.answer == "label", generator=generator)
        emission = first.emission
        assert isinstance(emission, Gaussian)
        floor = emission.floor.clamp_min(LEAST)
        first = HMM(first.start, first.transition, Gaussian(emission.mean, torch.maximum(emission.variance, floor), floor))
        if self.answer == "label":
            apart = owner[:, None] != owner
            first = HMM(first.start, torch.log_softmax(torch.where(apart, -torch.inf, first.transition), 1), first.emission)
        found = hmm.learn(first, seen, lengths, steps=steps, pseudo=PSEUDO, allowed=hidden.allowed_states(truth, owner))
        emission = found.model.emission
        assert isinstance(emission, Gaussian)
        for name, value in {"start": found.model.start, "transition": found.model.transition, "mean": emission.mean, "variance": emission.variance}.items():
            getattr(self, name).copy_(value.clamp_min(FORBIDDEN))
        return found.log_likelihoods
