"""Recurrent layers: plain (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), GRU (Cho et al. 2014)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level

Kind = Literal["rnn", "lstm", "gru"]
State = tuple[Tensor, ...]
Step = Callable[[Tensor, Tensor, State], State]


class Cell(NamedTuple):
    """Blocks of `hidden` rows that a cell's matrices have, the tensors of its state, and its step: (from the input, from the state, state) -> state."""

    blocks: int
    tensors: int
    step: Step


def plain_step(x: Tensor, h: Tensor, state: State) -> State:
    """h' = tanh(W x + b + U h + c)."""
    return (torch.tanh(x + h),)


def lstm_step(x: Tensor, h: Tensor, state: State) -> State:
    """i, f, o = sigmoid, g = tanh of W x + b + U h + c; c' = f c + i g; h' = o tanh(c')."""
    i, f, g, o = (x + h).chunk(4, -1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(x: Tensor, h: Tensor, state: State) -> State:
    """r, z = sigmoid(W x + b + U h + c); n = tanh(W x + b + r (U h + c)); h' = (1 - z) n + z h."""
    xr, xz, xn = x.chunk(3, -1)
    hr, hz, hn = h.chunk(3, -1)
    z = torch.sigmoid(xz + hz)
    return ((1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * state[0],)


CELLS: Mapping[str, Cell] = {"rnn": Cell(1, 1, plain_step), "lstm": Cell(4, 2, lstm_step), "gru": Cell(3, 1, gru_step)}


class Direction(nn.Module):
    """One layer in one direction. (N, T, inputs), (N,) lengths -> (N, T, hidden), 0 behind each length, and the state at each sequence's own end.

    weight_input (b H, inputs), weight_hidden (b H, H), bias_input, bias_hidden (b H,), in torch's order of blocks (i f g o; r z n), so that its
    weights can be copied. Initialised uniformly in +-1 / sqrt(H), as is usual. memory: of an LSTM, the longest lag in steps that is
    expected: forget biases log(u), input biases -log(u), u uniform in [1, memory - 1] (Tallec and Ollivier 2018, section 2).
    """

    def __init__(self, kind: Kind, inputs: int, hidden: int, *, backwards: bool = False, memory: int | None = None) -> None:
        super().__init__()
        self.cell, self.hidden, self.backwards = CELLS[kind], hidden, backwards
        rows, bound = self.cell.blocks * hidden, 1 / math.sqrt(hidden)
        self.weight_input, self.weight_hidden = nn.Parameter(torch.empty(rows, inputs)), nn.Parameter(torch.empty(rows, hidden))
        self.bias_input, self.bias_hidden = nn.Parameter(torch.empty(rows)), nn.Parameter(torch.empty(rows))
        for part in self.parameters():
            nn.init.uniform_(part, -bound, bound)
        if memory is not None:
            with torch.no_grad():
                log = torch.empty(hidden).uniform_(1.0, float(memory - 1)).log()
                self.bias_hidden.zero_()
                self.bias_input.copy_(torch.cat([-log, log, torch.zeros(2 * hidden)]))

    def start(self, x: Tensor) -> State:
        """The state before the first step: zeros."""
        return (x.new_zeros(len(x), self.hidden),) * self.cell.tensors

    def step(self, x: Tensor, state: State) -> State:
        """One step. x: (N, inputs)."""
        return self.cell.step(x @ self.weight_input.T + self.bias_input, state[0] @ self.weight_hidden.T + self.bias_hidden, state)

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        state = self.start(x) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros(len(x), 0, self.hidden), state
        turned = reverse(x, lengths) if self.backwards else x
        projected = turned @ self.weight_input.T + self.bias_input  # all steps at once
        valid = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]  # (N, T, 1)
        outputs, padded = [], bool((lengths < x.shape[1]).any())
        for t, row in enumerate(projected.unbind(1)):
            after = self.cell.step(row, state[0] @ self.weight_hidden.T + self.bias_hidden, state)
            state = tuple(torch.where(valid[:, t], new, old) for new, old in zip(after, state, strict=True)) if padded else after
            outputs.append(state[0])
        found = torch.where(valid, torch.stack(outputs, 1), 0.0)
        return (reverse(found, lengths) if self.backwards else found), state


def reverse(x: Tensor, lengths: Tensor) -> Tensor:
    """(N, T, C), each sequence backwards within its length; what lies behind stays.

    >>> reverse(torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([2])).flatten().tolist()
    [2.0, 1.0, 9.0]
    """
    places = torch.arange(x.shape[1], device=x.device)[None]  # (1, T)
    turned = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return x.gather(1, turned[..., None].expand(x.shape))


class Recurrent(nn.Module):
    """Layers of recurrence one above the other. (N, T, inputs), (N,) lengths -> outputs (N, T, H or 2H) of the top layer, and every direction's last state.

    bidirectional: each layer reads both ways and gives both, forwards first. dropout: between the layers. memory: see `Direction`.
    Raises ValueError for an unknown kind, no layer, or a memory that is not an LSTM's or below 2.
    """

    def __init__(
        self, kind: Kind, inputs: int, hidden: int, *, layers: int = 1, bidirectional: bool = False, dropout: float = 0.0, memory: int | None = None
    ) -> None:
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"kind must be one of {', '.join(CELLS)}, got {kind!r}")
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        if memory is not None and (kind != "lstm" or memory < 2):
            raise ValueError(f"memory is of an lstm and at least 2 steps, got {memory} for {kind}")
        ways = (False, True) if bidirectional else (False,)
        self.kind, self.outputs, self.dropout = kind, hidden * len(ways), nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.ModuleList(Direction(kind, inputs if layer == 0 else self.outputs, hidden, backwards=way, memory=memory) for way in ways)
            for layer in range(layers)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, list[State]]:
        states: list[State] = []
        for place, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleList)
            done = [direction(self.dropout(x) if place else x, lengths) for direction in layer]
            x = torch.cat([outputs for outputs, _ in done], 2)
            states += [state for _, state in done]
        return x, states

    def step(self, x: Tensor, states: list[State] | None) -> tuple[Tensor, list[State]]:
        """One step of a net that reads forwards: (N, inputs) -> (N, H), the new states. Raises ValueError for a bidirectional one."""
        after: list[State] = []
        for place, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleList)
            if len(layer) > 1:
                raise ValueError("a bidirectional net cannot go step by step: it reads the end first")
            direction = layer[0]
            assert isinstance(direction, Direction)
            after.append(direction.step(self.dropout(x) if place else x, direction.start(x) if states is None else states[place]))
            x = after[-1][0]
        return x, after


class RecurrentEncoder(Backbone):
    """(N, C, T) and sizes (N, 1) -> maps of the input, of the outputs at every step (N, H, T), both of stride 1.

    A tagger's head looks at every step; a classifier's pools over them, or takes `last`, the top layer's state at each end.
    """

    reach = 1

    def __init__(self, channels: int, hidden: int, *, kind: Kind = "lstm", layers: int = 1, bidirectional: bool = False, dropout: float = 0.0) -> None:
        super().__init__(Inputs(channels, (1, 1), (0.0,) * channels, (1.0,) * channels))
        self.recurrent = Recurrent(kind, channels, hidden, layers=layers, bidirectional=bidirectional, dropout=dropout)
        self.levels = (Level(channels, 1), Level(self.recurrent.outputs, 1))

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        outputs, _ = self.recurrent(self.normalise(inputs).transpose(1, 2), sizes[:, 0])
        return Features([inputs, outputs.transpose(1, 2)], sizes)

    def last(self, inputs: Tensor, sizes: Tensor) -> Tensor:
        """(N, H or 2H): the top layer's state where each sequence ends (and, backwards, where it begins)."""
        _, states = self.recurrent(self.normalise(inputs).transpose(1, 2), sizes[:, 0])
        top = states[-2:] if self.recurrent.outputs > states[-1][0].shape[1] else states[-1:]
        return torch.cat([state[0] for state in top], 1)
