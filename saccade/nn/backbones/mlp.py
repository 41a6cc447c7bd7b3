"""The multilayer perceptron: all pixels as one vector, dense layers between."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level
from saccade.ops.padding import clear, valid_extent

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid", "linear"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}
SATURATING = ("tanh", "sigmoid", "linear")  # whose layers keep their variance at 1 / fan-in; of the others half is cut away


class MLP(Backbone):
    """Dense layers over inputs of one size; the last map is (N, C, 1, 1), its stride the whole input.

    hidden: units of each layer. activation: after each, one for all or one a layer; "linear" makes a deep linear net. Smaller images are data in the upper
    left corner and zeros beside it (that is: the mean of the data). Raises ValueError in `forward` for inputs of another size.
    Initialisation: normal with variance 2 / fan-in for ReLU and its kin (He et al. 2015), 1 / fan-in else (LeCun et al. 1998), biases 0.
    """

    def __init__(self, inputs: Inputs, *, hidden: Sequence[int] = (300, 100), activation: Activation | Sequence[Activation] = "relu") -> None:
        super().__init__(inputs)
        if not hidden:
            raise ValueError("hidden must name at least one layer, got none")
        self.size = inputs.size
        widths = [inputs.channels * math.prod(inputs.size), *hidden]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        names = [activation] * len(hidden) if isinstance(activation, str) else list(activation)
        if len(names) != len(hidden):
            raise ValueError(f"activation must name one for each of {len(hidden)} layers, or one for all, got {len(names)}")
        self.activations = nn.ModuleList(ACTIVATIONS[name]() for name in names)
        self.levels = (Level(inputs.channels, 1), *(Level(width, max(inputs.size)) for width in hidden))
        self.reach = 1
        for layer, name in zip(self.layers, names, strict=True):
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, 0.0, math.sqrt((1 if name in SATURATING else 2) / layer.in_features))
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        if tuple(inputs.shape[-2:]) != self.size:
            raise ValueError(f"a multilayer perceptron for {self.size[0]}x{self.size[1]} px got {inputs.shape[-2]}x{inputs.shape[-1]}")
        x, maps = torch.flatten(clear(self.normalise(inputs), valid_extent(inputs, sizes)), 1), [inputs]
        for layer, activation in zip(self.layers, self.activations, strict=True):
            x = activation(layer(x))
            maps.append(x[:, :, None, None])
        return Features(maps, sizes)
