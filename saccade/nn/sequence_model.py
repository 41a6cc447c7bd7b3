"""A generator of sequences: what comes next, symbol by symbol. Mikolov et al. 2010; Graves 2013, "Generating sequences with recurrent neural networks"."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.nn.recurrent import Kind, Recurrent, State


class SequenceModel(nn.Module):
    """p(symbol | all before it), over a vocabulary of `symbols`. Symbol ids are 0..symbols-1; the start has an embedding of its own.

    Raises ValueError for fewer than one symbol.
    """

    def __init__(self, symbols: int, hidden: int, *, kind: Kind = "lstm", layers: int = 1, embedding: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        if symbols < 1:
            raise ValueError(f"a vocabulary has at least one symbol, got {symbols}")
        self.symbols = symbols
        self.embedding = nn.Embedding(symbols + 1, embedding)  # the last is the start
        self.recurrent = Recurrent(kind, embedding, hidden, layers=layers, dropout=dropout)
        self.output = nn.Linear(hidden, symbols)

    def forward(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """(N, T) ids, (N,) lengths -> logits (N, T, symbols); those at t see the symbols before t and no other (teacher forcing)."""
        start = sequences.new_full((len(sequences), 1), self.symbols)
        before = torch.cat([start, sequences[:, :-1]], 1) if sequences.shape[1] else sequences
        outputs, _ = self.recurrent(self.embedding(before), lengths)
        logits: Tensor = self.output(outputs)
        return logits

    def loss(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """Mean cross entropy a valid symbol, in nats; its exponential is the perplexity. Raises ValueError without any symbol."""
        if not int(lengths.sum()):
            raise ValueError("sequences without a symbol have no loss")
        valid = torch.arange(sequences.shape[1], device=sequences.device) < lengths[:, None]
        return F.cross_entropy(self(sequences, lengths)[valid], sequences[valid])

    @torch.no_grad()
    def sample(self, count: int, length: int, *, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """(count, length) ids drawn one after another; temperature 0 takes the most probable. Raises ValueError for one below 0."""
        if temperature < 0:
            raise ValueError(f"temperature must be 0 or more, got {temperature}")
        was_training = self.training
        self.eval()
        symbol, states, found = torch.full((count,), self.symbols, device=self.output.weight.device), None, []
        for _ in range(length):
            symbol, states = self._next(symbol, states, generator, temperature)
            found.append(symbol)
        self.train(was_training)
        return torch.stack(found, 1) if found else symbol.new_zeros(count, 0)

    def _next(self, symbol: Tensor, states: list[State] | None, generator: torch.Generator | None, temperature: float) -> tuple[Tensor, list[State]]:
        x, states = self.recurrent.step(self.embedding(symbol), states)
        logits = self.output(x)
        if temperature == 0:
            return logits.argmax(1), states
        return torch.multinomial(torch.softmax(logits / temperature, 1), 1, generator=generator)[:, 0], states
