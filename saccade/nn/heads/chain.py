"""A tag for every step, knowing its neighbours: chain CRFs and latent-dynamic CRFs over the features of any network.

Over plain features it is a linear-chain CRF (Lafferty, McCallum, Pereira, ICML 2001); over a network's a conditional neural field (Peng, Bo,
Xu, NIPS 2009). With several hidden states a tag it is the latent-dynamic CRF (Morency, Quattoni, Darrell, CVPR 2007) or neural field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.classify import full
from saccade.structured import hidden
from saccade.structured.best_path import viterbi
from saccade.structured.chain import Chain, marginals, negative_log_likelihood, with_ends
from saccade.structured.constraints import of_labels
from saccade.structured.hmm import pieces
from saccade.targets.tag_sequence import TagSequence

Steps = Literal["shared", "position", "input"]
Decoding = Literal["marginals", "best_path"]


class ChainOut(NamedTuple):
    """unary: (N, T, S), the scores of the ends in it; pairwise: (N, 1 or T-1, S, S); lengths: (N,)."""

    unary: Tensor
    pairwise: Tensor
    lengths: Tensor

    def chain(self) -> Chain:
        """The scores as a chain, in float32 at least; pairwise scores that were only spread over the batch are one matrix again."""
        pairwise = self.pairwise[:1] if len(self.pairwise) > 1 and self.pairwise.stride(0) == 0 else self.pairwise
        return Chain(full(self.unary), full(pairwise), self.lengths)


class ChainTagger(Head[ChainOut, TagSequence]):
    """The last map (N, C, T), of stride 1, to scores of S = K * states hidden states, and of their steps.

    states: hidden states a tag; 1 is a CRF. steps: pairwise scores that are "shared" by all positions, of each "position" (sequences of at
    most `positions`), or a linear function of two neighbours' features ("input"). decoding: the tag of the largest marginal at each step, or
    the tags of the single best path of states. L2 is the optimiser's. Raises ValueError for another stride, a count below 1, or positions
    below 2 where they are needed.
    """

    owner: Tensor

    def __init__(
        self,
        level: Level,
        classes: int,
        *,
        states: int = 1,
        steps: Steps = "shared",
        positions: int = 0,
        decoding: Decoding = "marginals",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if level.stride != 1 or classes < 1 or states < 1:
            raise ValueError(f"a tagger needs a map of stride 1, a class and a state a class, got stride {level.stride}, {classes} and {states}")
        if steps not in ("shared", "position", "input") or decoding not in ("marginals", "best_path"):
            raise ValueError(f"steps must be shared, position or input and decoding marginals or best_path, got {steps!r} and {decoding!r}")
        if (steps == "position") != (positions >= 2):
            raise ValueError(f"positions (2 or more) belong to steps of each position, got {positions} with {steps}")
        self.classes, self.states, self.steps, self.decoding = classes, states, steps, decoding
        size = classes * states
        self.register_buffer("owner", hidden.owners(classes, states), persistent=False)
        self.dropout, self.output = nn.Dropout(dropout), nn.Linear(level.channels, size)
        self.start, self.end = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(size))
        self.pairwise = nn.Parameter(0.1 * torch.randn(max(1, positions - 1), size, size))
        self.edges = nn.Linear(2 * level.channels, size * size, bias=False) if steps == "input" else None
        if self.edges is not None:
            nn.init.zeros_(self.edges.weight)

    def forward(self, features: Features) -> ChainOut:
        """Raises ValueError for sequences longer than the positions."""
        x, lengths = self.dropout(features.maps[-1].transpose(1, 2)), features.sizes[:, 0]
        n, steps, size = len(x), x.shape[1], len(self.start)
        pairwise: Tensor = self.pairwise if torch.is_grad_enabled() else self.pairwise.detach()
        if self.steps == "position":
            if steps > len(pairwise) + 1:
                raise ValueError(f"a sequence of {steps} steps, the network was made for at most {len(pairwise) + 1}")
            pairwise = pairwise[: max(steps - 1, 0)]
        pairwise = pairwise[None].expand(n, -1, -1, -1)
        if self.edges is not None and steps > 1:
            pairwise = pairwise + self.edges(torch.cat([x[:, :-1], x[:, 1:]], 2)).view(n, steps - 1, size, size)
        return ChainOut(with_ends(self.output(x), lengths, self.start, self.end), pairwise, lengths)

    def loss(self, out: ChainOut, targets: Sequence[TagSequence]) -> dict[str, Tensor]:
        """{"nll"}: -log p(tags | x) a step, in nats; unknown tags are summed over. 0 with a gradient of 0 where no step is known.

        Raises ValueError for a truth of another length or a tag outside -1..K-1.
        """
        chain, tags = out.chain(), tag_matrix(targets, out.lengths, out.unary.shape[1], self.classes)
        tags = tags.to(chain.unary.device)
        known = int((tags >= 0).sum())
        if not known:
            return {"nll": 0 * chain.unary.sum()}
        complete = self.states == 1 and known == int(out.lengths.sum())
        total = negative_log_likelihood(chain, tags) if complete else hidden.label_loss(chain, self.owner, tags)
        return {"nll": total.sum() / known}

    def guess_loss(self, out: ChainOut, targets: Sequence[TagSequence]) -> dict[str, Tensor]:
        """{"nll"} where hidden states are those of a first guess: each stretch of a tag in as many equal pieces as the tag has states, in order.

        Without it the states of a tag hardly part from each other, since a log-linear start treats them alike. Raises as `loss` does.
        """
        tags = tag_matrix(targets, out.lengths, out.unary.shape[1], self.classes)
        guessed = pieces(tags, self.owner.cpu()).to(out.unary.device)
        known = int((guessed >= 0).sum())
        every = torch.arange(len(self.start), device=out.unary.device)
        return {"nll": hidden.label_loss(out.chain(), every, guessed).sum() / max(1, known)}

    @torch.no_grad()
    def decode(self, out: ChainOut, meta: Sequence[Meta]) -> list[TagSequence]:
        """The tags of each step with their marginals, on the CPU."""
        chain = out.chain()
        scores = of_labels(marginals(chain).nodes, self.owner, self.classes)
        tags = scores.argmax(2) if self.decoding == "marginals" else self.owner[viterbi(chain).states.clamp_min(0)]
        scores, tags = scores.cpu(), tags.cpu()
        return [TagSequence(tag[:n], row[:n]) for tag, row, n in zip(tags, scores, out.lengths.tolist(), strict=True)]

    @torch.no_grad()
    def hidden_states(self, out: ChainOut) -> list[Tensor]:
        """The marginals (T, S) of the hidden states of each sequence, on the CPU; state s belongs to tag s // states."""
        found = marginals(out.chain()).nodes.cpu()
        return [row[:n] for row, n in zip(found, out.lengths.tolist(), strict=True)]


def tag_matrix(targets: Sequence[TagSequence], lengths: Tensor, steps: int, classes: int) -> Tensor:
    """(N, T) int64 tags, -1 where unknown and behind the lengths. Raises ValueError for a truth of another length or a tag outside -1..K-1."""
    truth = torch.full((len(targets), steps), -1, dtype=torch.int64)
    for row, (target, length) in enumerate(zip(targets, lengths.tolist(), strict=True)):
        if len(target) != length:
            raise ValueError(f"a sequence of {length} steps has {len(target)} tags")
        truth[row, :length] = target.tags.cpu()
    if truth.numel() and not -1 <= int(truth.min()) <= int(truth.max()) < classes:
        raise ValueError(f"tags must be 0..{classes - 1}, or -1 for ignored, got {int(truth.min())}..{int(truth.max())}")
    return truth
