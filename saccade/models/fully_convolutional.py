"""A classifier as a score map: dense layers become convolutions, global poolings slide. Sermanet et al. 2014 (OverFeat), section 3.5; Long et al. 2015.

The scores are those of the classifier moved over the input in steps of the last map's stride, what all windows share computed once:

- at the size that the classifier was made for there is one window, and its scores are the classifier's, whatever the network;
- where no layer pads, the map equals `sliding_window` everywhere;
- where layers pad, it does not: a window cut out alone has zeros around it, and a window in its place sees its neighbours instead.
  The difference is that of cells near a window's border; `sliding_window` is there to measure it.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level, Model
from saccade.nn.backbones.mlp import MLP
from saccade.nn.heads.auxiliary import AuxiliaryClassify
from saccade.nn.heads.classify import Classify, Pool
from saccade.nn.heads.dense import DenseClassify, MapClassify
from saccade.nn.heads.radial import RadialBasis
from saccade.ops.padding import clear, valid_extent

Size = tuple[int, int]


class Scores(NamedTuple):
    """logits: (N, K, h, w), one column of K for each window, 0 beyond the extent; extent: (N, 2) windows of each sample, None when nothing is padded."""

    logits: Tensor
    extent: Tensor | None


class FullyConvolutional(nn.Module):
    """(N, C, H, W) of any size from the training size on -> Scores. For prediction: a copy of the model in eval mode, without dropout.

    model: with a head of `nn.heads.classify`, `dense`, `auxiliary` or `radial`, over any of our backbones; inputs: what it was built for.
    window: (h, w) the training size; stride: pixels between windows; window (i, j) begins at pixel (i * stride, j * stride).
    Raises ValueError for another head, or in `forward` for a sample smaller than the window.
    """

    def __init__(self, model: Model, inputs: Inputs, *, head: str = "label") -> None:
        super().__init__()
        model = copy.deepcopy(model).eval()
        if head not in model.heads:
            raise ValueError(f"the model has no head {head!r}; it has {sorted(model.heads)}")
        self.window: Size = inputs.size
        backbone, reach = model.backbone, getattr(model.backbone, "reach", 1)
        self.backbone = SlidingMLP(backbone, inputs) if isinstance(backbone, MLP) else backbone
        self.stride = self.backbone.levels[-1].stride
        self.reach: Size = inputs.size if isinstance(backbone, MLP) else (reach, reach)
        self.grid: Size = tuple((side - a) // self.stride + 1 for side, a in zip(self.window, self.reach, strict=True))  # type: ignore[assignment]
        self.scores = sliding_head(model.heads[head], self.grid)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Scores:
        extent = valid_extent(inputs, sizes)
        least = inputs.shape[-2:] if extent is None or not len(extent) else extent.amin(0).tolist()
        if least[0] < self.window[0] or least[1] < self.window[1]:
            raise ValueError(f"a sample of {least[0]}x{least[1]} px is smaller than the window, which is {self.window[0]}x{self.window[1]} px")
        logits = self.scores(self.backbone(inputs, sizes).maps[-1])
        if extent is not None:  # cells of each sample's map, less those that a window takes beside its first
            first = extent.new_tensor(self.reach)
            extent = torch.div(extent - first, self.stride, rounding_mode="floor") + 2 - extent.new_tensor(self.grid)
        return Scores(clear(logits, extent), extent)


def sliding_head(head: nn.Module, grid: Size) -> nn.Module:
    """The convolutional form of a head whose map has grid (h, w) cells at the training size. Raises ValueError for a head it does not know."""
    if isinstance(head, DenseClassify):
        layers = list(head.layers)
        first = layers[0]
        assert isinstance(first, nn.Linear)
        parts: list[nn.Module] = [_over_grid(first, head.grid, grid)]
        parts += [_pointwise(part) if isinstance(part, nn.Linear) else part for part in layers[1:] if not isinstance(part, nn.Dropout)]
        return nn.Sequential(*parts, _pointwise(head.output))
    if isinstance(head, MapClassify):
        return nn.Sequential(head.output, nn.ReLU(), SlidingPool("average", grid))
    if isinstance(head, RadialBasis):
        return nn.Sequential(SlidingPool("average", grid), Distances(head.codes))
    if type(head) in (Classify, AuxiliaryClassify):
        assert isinstance(head, Classify)
        hidden = [_pointwise(part) if isinstance(part, nn.Linear) else part for part in head.hidden.children() if not isinstance(part, nn.Dropout)]
        return nn.Sequential(SlidingPool(head.pool, grid), *hidden, _pointwise(head.output))
    raise ValueError(f"{type(head).__name__} has no convolutional form; Classify, DenseClassify, MapClassify, AuxiliaryClassify and RadialBasis have")


class SlidingPool(nn.Module):
    """The average, the maximum, or both of every grid of cells: a global pooling of each window."""

    def __init__(self, pool: Pool, grid: Size) -> None:
        super().__init__()
        self.pool, self.grid = pool, grid

    def forward(self, x: Tensor) -> Tensor:
        parts = [] if self.pool == "max" else [F.avg_pool2d(x, self.grid, 1)]
        parts += [] if self.pool == "average" else [F.max_pool2d(x, self.grid, 1)]
        return torch.cat(parts, 1)


class Distances(nn.Module):
    """-|x - w_k|^2 of each cell to each code (K, C): `nn.heads.radial` at every place."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.codes: Tensor
        self.register_buffer("codes", codes)

    def forward(self, x: Tensor) -> Tensor:
        return -(x.movedim(1, -1)[..., None, :] - self.codes).square().sum(-1).movedim(-1, 1)


class SlidingMLP(Backbone):
    """A multilayer perceptron as convolutions: its first layer sees a window, all others one cell. A window begins at every pixel."""

    def __init__(self, mlp: MLP, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.load_state_dict({"mean": mlp.mean, "std": mlp.std})
        first, *others = mlp.layers
        assert isinstance(first, nn.Linear)
        self.layers = nn.ModuleList([_convolution(first, first.weight.view(len(first.weight), inputs.channels, *inputs.size)), *map(_pointwise, others)])
        self.activations = mlp.activations
        self.levels = (Level(inputs.channels, 1), *(Level(level.channels, 1) for level in mlp.levels[1:]))

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        x, maps = clear(self.normalise(inputs), valid_extent(inputs, sizes)), [inputs]
        for layer, activation in zip(self.layers, self.activations, strict=True):
            x = activation(layer(x))
            maps.append(x)
        return Features(maps, sizes)


def _convolution(linear: nn.Linear, kernel: Tensor) -> nn.Conv2d:
    """A dense layer with its weights laid out as (outputs, channels, h, w)."""
    made = nn.Conv2d(kernel.shape[1], kernel.shape[0], tuple(kernel.shape[2:]), bias=linear.bias is not None)  # type: ignore[arg-type]
    made.weight, made.bias = nn.Parameter(kernel.detach()), linear.bias
    return made


def _pointwise(linear: nn.Module) -> nn.Conv2d:
    assert isinstance(linear, nn.Linear)
    return _convolution(linear, linear.weight[:, :, None, None])


def _over_grid(linear: nn.Linear, cells: int, grid: Size) -> nn.Conv2d:
    """A dense layer over cells x cells means of a map of `grid` cells as one convolution over the map: the means are linear, so they join the kernel."""
    weight = linear.weight.view(len(linear.weight), -1, cells, cells)
    if grid != (cells, cells):
        down, across = (_means(cells, side).to(weight) for side in grid)
        weight = torch.einsum("ocij,im,jn->ocmn", weight, down, across)
    return _convolution(linear, weight)


def _means(cells: int, side: int) -> Tensor:
    """(cells, side): the matrix of the adaptive average of `side` numbers to `cells`; row i averages from floor(i side / cells) to ceil((i + 1) side / cells).

    >>> _means(2, 3).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    matrix = torch.zeros(cells, side)
    for i in range(cells):
        begin, end = i * side // cells, -(-(i + 1) * side // cells)
        matrix[i, begin:end] = 1 / (end - begin)
    return matrix


@torch.no_grad()
def sliding_window(model: Model, inputs: Tensor, *, window: Size, stride: int, head: str = "label", batch: int = 64) -> Tensor:
    """The slow definition: the classifier on each window (h, w) by itself, in steps of `stride` pixels. (N, C, H, W) -> logits (N, K, rows, columns).

    Raises ValueError where the window does not fit.
    """
    (height, width), (h, w) = inputs.shape[-2:], window
    if height < h or width < w:
        raise ValueError(f"inputs of {height}x{width} px are smaller than the window, which is {h}x{w} px")
    rows, columns = range(0, height - h + 1, stride), range(0, width - w + 1, stride)
    crops = torch.stack([inputs[..., top : top + h, left : left + w] for top in rows for left in columns], 1).flatten(0, 1)
    was_training = model.training
    model.eval()
    found = [model.outputs(part, torch.tensor([window] * len(part), device=part.device))[head].logits for part in crops.split(batch)]
    model.train(was_training)
    return torch.cat(found).unflatten(0, (len(inputs), len(rows), len(columns))).permute(0, 3, 1, 2)
