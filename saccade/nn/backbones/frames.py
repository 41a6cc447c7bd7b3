"""Encoders of sequences: frames as they are or through a convolutional network each, a window of neighbours, gates, recurrence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level, Neck
from saccade.nn.backbones.convnets import AxesBlock
from saccade.nn.backbones.small import Small
from saccade.nn.blocks import Norm
from saccade.nn.recurrent import Kind, Recurrent
from saccade.ops.padding import valid_extent
from saccade.ops.pooling import global_average

Activation = Literal["tanh", "sigmoid", "relu"]
ACTIVATIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}


def valid_steps(steps: int, sizes: Tensor) -> Tensor:
    """(N, T) bool: the frames within each length."""
    return torch.arange(steps, device=sizes.device) < sizes[:, :1]


class Frames(Backbone):
    """Frames of numbers -> maps of the input and of the normalised frames (N, C, T), 0 behind each length; both of stride 1.

    Inputs are (N, C, T) with sizes (N, 1), or a column of pixels (N, C, T, 1) with sizes (N, 2) as a loader gives them.
    """

    reach = 1

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.levels = (Level(inputs.channels, 1), Level(inputs.channels, 1))

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        lengths, x = sizes[:, :1], self.normalise(inputs).flatten(2)
        return Features([inputs, torch.where(valid_steps(x.shape[2], lengths)[:, None], x, 0.0)], lengths)


class FrameImages(Backbone):
    """Pictures in [0, 1] -> maps of the input and of each frame's pooled features (N, C', T), 0 behind each length.

    Inputs are (N, T, C, S, S) with sizes (N, 1), or a column of frames (N, C, T S, S) with sizes (N, 2), S the second side of the inputs.
    The network is `Small`; it sees valid frames only, so that its batch norm does not learn from padding.
    """

    reach = 1

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (32, 64, 128), blocks: Sequence[int] = (1, 1, 1), norm: Norm = "batch") -> None:
        super().__init__(inputs)
        self.side = inputs.size[1]
        self.network = Small(inputs._replace(size=(self.side, self.side)), widths=widths, blocks=blocks, norm=norm)
        self.levels = (Level(inputs.channels, 1), Level(self.network.levels[-1].channels, 1))

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        frames, lengths = inputs, sizes[:, :1]
        if inputs.ndim == 4:
            steps = inputs.shape[2] // self.side
            lengths = torch.div(lengths, self.side, rounding_mode="floor")
            frames = inputs[:, :, : steps * self.side].unflatten(2, (steps, self.side)).transpose(1, 2)
        n, steps = frames.shape[:2]
        valid = valid_steps(steps, lengths)
        chosen = frames[valid]
        found = frames.new_zeros(n, steps, self.levels[1].channels)
        if len(chosen):
            whole = torch.tensor(chosen.shape[2:], device=inputs.device).expand(len(chosen), 2)
            features = global_average(self.network(chosen, whole).maps[-1])
            found = found.to(features.dtype).masked_scatter(valid[..., None], features)
        return Features([inputs, found.transpose(1, 2)], lengths)


class Stacked(Neck):
    """Each frame with its `context` neighbours on both sides, one behind another: the window of a linear-chain CRF's features; 0 where there is none."""

    def __init__(self, levels: Sequence[Level], context: int) -> None:
        super().__init__()
        self.context, self.levels = context, (*levels[:-1], Level(levels[-1].channels * (2 * context + 1), 1))

    def forward(self, features: Features) -> Features:
        x, r = features.maps[-1], self.context
        steps = x.shape[2]
        padded = F.pad(x, (r, r))
        return Features([*features.maps[:-1], torch.cat([padded[:, :, i : i + steps] for i in range(2 * r + 1)], 1)], features.sizes)


class Gates(Neck):
    """Layers of units over a window of frames: the gates of a conditional neural field (Peng, Bo, Xu, NIPS 2009, equation 5).

    units: of each layer; context: neighbours on both sides that the first layer sees, the others one frame each. Deviation: tanh
    and ReLU may stand where the paper has the logistic function.
    """

    def __init__(self, levels: Sequence[Level], units: Sequence[int], *, context: int = 0, activation: Activation = "tanh", dropout: float = 0.0) -> None:
        super().__init__()
        widths = [levels[-1].channels, *units]
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, 2 * context + 1 if place == 0 else 1, padding=context if place == 0 else 0)
            for place, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.activation, self.dropout = activation, nn.Dropout(dropout)
        self.levels = (*levels[:-1], Level(widths[-1], 1))

    def forward(self, features: Features) -> Features:
        x = features.maps[-1]
        for layer in self.layers:
            x = ACTIVATIONS[self.activation](layer(self.dropout(x)))
        valid = valid_steps(x.shape[2], features.sizes)[:, None]
        return Features([*features.maps[:-1], torch.where(valid, x, 0.0)], features.sizes)


class Convolved(Neck):
    """Residual blocks of two convolutions over the frames, each seeing twice as far as the one before: (N, C, T) -> (N, widths[-1], T).

    Lea, Flynn, Vidal, Reiter, Hager, "Temporal convolutional networks for action segmentation and detection", CVPR 2017 (dilated form). Deviations:
    batch norm and residual connections of He et al. 2016. kernel: odd; a frame sees (kernel - 1) (2^(blocks + 1) - 2) frames around it.
    """

    def __init__(self, levels: Sequence[Level], widths: Sequence[int], *, kernel: int = 3, dropout: float = 0.0, norm: Norm = "batch") -> None:
        super().__init__()
        both = itertools.pairwise([levels[-1].channels, *widths])
        blocks = [AxesBlock(1, a, b, kernel=kernel, stride=1, dilation=2**place, norm=norm) for place, (a, b) in enumerate(both)]
        self.blocks, self.dropout = nn.ModuleList(blocks), nn.Dropout(dropout)
        self.levels = (*levels[:-1], Level(widths[-1], 1))

    def forward(self, features: Features) -> Features:
        x = features.maps[-1]
        extent = valid_extent(x, features.sizes)
        for block in self.blocks:
            x = block(self.dropout(x), extent)[0]
        return Features([*features.maps[:-1], x], features.sizes)


class Reading(Neck):
    """A recurrent net that reads the frames both ways: (N, C, T) -> (N, 2 H, T). Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997."""

    def __init__(self, levels: Sequence[Level], hidden: int, *, kind: Kind = "lstm", layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.recurrent = Recurrent(kind, levels[-1].channels, hidden, layers=layers, bidirectional=True, dropout=dropout)
        self.levels = (*levels[:-1], Level(self.recurrent.outputs, 1))

    def forward(self, features: Features) -> Features:
        outputs, _ = self.recurrent(features.maps[-1].transpose(1, 2), features.sizes[:, 0])
        return Features([*features.maps[:-1], outputs.transpose(1, 2)], features.sizes)
