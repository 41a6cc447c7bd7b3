"""A label for a whole sequence whose steps go through hidden states, or whose steps vote: hidden CRFs, and chain CRFs as their rival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.chain import ChainOut, ChainTagger
from saccade.nn.heads.classify import full, labels, truth_matrix
from saccade.ops.losses import cross_entropy
from saccade.structured import hidden
from saccade.structured.chain import marginals
from saccade.targets.label import Label
from saccade.targets.tag_sequence import TagSequence


class HiddenOut(NamedTuple):
    """logits: (N, K); unary: (N, T, H) of the hidden states; lengths: (N,)."""

    logits: Tensor
    unary: Tensor
    lengths: Tensor


class HiddenCRF(Head[HiddenOut, Label]):
    """The hidden CRF of Quattoni, Wang, Morency, Collins, Darrell, PAMI 2007, over the last map (N, C, T), of stride 1.

    All labels share H hidden states and their unary scores; each label has its own scores of a state and of two neighbouring states
    (equation 9). Over a network's features it is a hidden conditional neural field. Deviation: logits are divided by nothing, and the L2
    term of the paper is the optimiser's weight decay. Raises ValueError for another stride, or fewer than one class or state.
    """

    def __init__(self, level: Level, classes: int, *, states: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        if level.stride != 1 or classes < 1 or states < 1:
            raise ValueError(f"a hidden CRF needs a map of stride 1, a class and a state, got stride {level.stride}, {classes} and {states}")
        self.classes, self.states = classes, states
        self.dropout, self.output = nn.Dropout(dropout), nn.Linear(level.channels, states)
        self.compatible = nn.Parameter(0.1 * torch.randn(classes, states))
        self.pairwise = nn.Parameter(0.1 * torch.randn(classes, states, states))

    def forward(self, features: Features) -> HiddenOut:
        unary, lengths = full(self.output(self.dropout(features.maps[-1].transpose(1, 2)))), features.sizes[:, 0]
        return HiddenOut(hidden.hidden_logits(unary, full(self.compatible), full(self.pairwise), lengths), unary, lengths)

    def loss(self, out: HiddenOut, targets: Sequence[Label]) -> dict[str, Tensor]:
        """{"cross_entropy"}: -log p(label | x), the mean over the labelled; 0 with a gradient of 0 where there is none."""
        truth = truth_matrix(targets, self.classes, out.logits.device)
        if truth is None:
            return {"cross_entropy": out.logits[:0].sum()}
        return {"cross_entropy": cross_entropy(torch.log_softmax(out.logits, 1), truth, None)}

    def decode(self, out: HiddenOut, meta: Sequence[Meta]) -> list[Label]:
        """The most probable label with the whole distribution, on the CPU."""
        return labels(torch.softmax(out.logits.detach(), 1))

    @torch.no_grad()
    def hidden_states(self, out: HiddenOut) -> list[Tensor]:
        """The marginals (T, H) of the hidden states under each sequence's most probable label, on the CPU."""
        found = hidden.parts(out.unary, full(self.compatible), full(self.pairwise), out.lengths, out.logits.argmax(1)).cpu()
        return [row[:n] for row, n in zip(found, out.lengths.tolist(), strict=True)]


class ChainVote(Head[ChainOut, Label]):
    """A label for a whole sequence by a tagger that learns the label at every step: the mean of the steps' marginals.

    So CRFs were compared with hidden CRFs in Quattoni et al., section 5. Takes the arguments of `ChainTagger`.
    """

    def __init__(self, level: Level, classes: int, *, states: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.classes, self.tagger = classes, ChainTagger(level, classes, states=states, dropout=dropout)

    def forward(self, features: Features) -> ChainOut:
        out: ChainOut = self.tagger(features)
        return out

    def loss(self, out: ChainOut, targets: Sequence[Label]) -> dict[str, Tensor]:
        """{"nll"} of the tagger, every step having the sequence's label. Raises ValueError for a label outside -1..K-1."""
        ids = [target.index for target in targets]
        return self.tagger.loss(out, [TagSequence(torch.full((n,), i)) for i, n in zip(ids, out.lengths.tolist(), strict=True)])

    @torch.no_grad()
    def decode(self, out: ChainOut, meta: Sequence[Meta]) -> list[Label]:
        """The label of the largest mean marginal with the means, on the CPU; all alike for a sequence without steps."""
        nodes = hidden.label_marginals(out.chain(), self.tagger.owner)
        sums = nodes.sum(1)
        return labels(torch.where(sums.sum(1, keepdim=True) > 0, sums / sums.sum(1, keepdim=True).clamp_min(1e-30), 1 / self.classes))

    @torch.no_grad()
    def hidden_states(self, out: ChainOut) -> list[Tensor]:
        """As `ChainTagger.hidden_states`."""
        found = marginals(out.chain()).nodes.cpu()
        return [row[:n] for row, n in zip(found, out.lengths.tolist(), strict=True)]
