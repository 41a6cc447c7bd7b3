"""The layers of any network in a table: shapes, parameters, multiply-adds, strides, exact receptive fields, memory."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Inputs, Model, System
from saccade.nn.blocks import AveragePool, MaxPool

Shape = tuple[int, ...]
BYTES = 4  # of a float32


@dataclass(frozen=True)
class Layer:
    """One layer that computes: its output for one image, what it holds and costs, and what a cell in the middle of it sees.

    field: the receptive field (h, w) in input pixels, None behind a layer that mixes all places (a global pooling, a dense layer).
    stride: input pixels from cell to cell (h, w), None likewise. multiply_adds: of one image, kernels and dense layers alone.
    """

    name: str
    kind: str
    output: Shape
    parameters: int
    multiply_adds: int
    stride: tuple[float, float] | None
    field: tuple[int, int] | None
    memory: int


@dataclass(frozen=True)
class Summary:
    """All layers in the order in which they compute, for one input size."""

    layers: tuple[Layer, ...]
    size: tuple[int, int]
    parameters: int
    multiply_adds: int
    memory: int  # bytes of all outputs, which training keeps, in float32

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_csv(self) -> str:
        """A row a layer."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["layer", "kind", "output", "parameters", "multiply_adds", "stride", "receptive_field", "bytes"])
        for row in self.layers:
            writer.writerow([row.name, row.kind, _by(row.output), row.parameters, row.multiply_adds, _by(row.stride), _by(row.field), row.memory])
        return out.getvalue()

    def text(self) -> str:
        """A table at most 100 columns wide, and the sums below it."""
        lines = [f"{'layer':<40}{'output':>14}{'parameters':>13}{'mult-adds':>13}{'stride':>8}{'sees':>11}"]
        for row in self.layers:
            name = row.name if len(row.name) <= 39 else f"...{row.name[-36:]}"
            lines.append(f"{name:<40}{_by(row.output):>14}{row.parameters:>13,}{row.multiply_adds:>13,}{_by(row.stride):>8}{_by(row.field):>11}")
        total = f"{self.parameters:,} parameters · {self.multiply_adds / 1e6:,.1f} M multiply-adds · {self.memory / 1e6:,.1f} MB of activations an image"
        return "\n".join([*lines, f"{total} at {self.size[0]}x{self.size[1]}"])


def summarise(model: System, inputs: Inputs) -> Summary:
    """The table of a network for inputs of its size. The model is left as it was.

    The receptive field is that of the network's graph, not of its weights: every kernel counts as ones, every activation and
    normalisation as the identity, and the gradient of a cell in the middle tells which pixels it sees (exact for any graph).
    """
    was_training = model.training
    model.eval()
    try:
        rows = _measured(model, inputs)
        fields = receptive_fields(model, inputs)
    finally:
        model.train(was_training)
    layers = []
    for name, kind, shape, held, adds in rows:
        stride, field = fields.get(name, (None, None))
        layers.append(Layer(name, kind, shape, held, adds, stride, field, BYTES * math.prod(shape)))
    parameters = sum(p.numel() for p in model.parameters())
    return Summary(tuple(layers), inputs.size, parameters, sum(row.multiply_adds for row in layers), sum(row.memory for row in layers))


def receptive_fields(model: System, inputs: Inputs) -> dict[str, tuple[tuple[float, float], tuple[int, int]]]:
    """Layer -> (stride, receptive field), both (h, w); layers that mix all places are not in it, nor those of a system without a backbone.

    Windows are rectangles, so each axis is measured alone, on a line long enough that no field is cut by its end. The stride is
    the distance of the fields of two neighbouring cells.
    """
    if not isinstance(model, Model):
        return {}
    down, across = _lines(model, 0, max(inputs.size)), _lines(model, 1, max(inputs.size))
    return {name: ((down[name][0], across[name][0]), (down[name][1], across[name][1])) for name in down if name in across}


def _lines(model: Model, axis: int, least: int) -> dict[str, tuple[float, int]]:
    """Layer -> (stride, receptive field) along one axis."""
    side = 4 * max(least, 64)
    while True:
        found, cut = _on_a_line(model, axis, side)
        if not cut or side >= 1 << 16:
            return found
        side *= 4


def _on_a_line(model: Model, axis: int, side: int) -> tuple[dict[str, tuple[float, int]], bool]:
    line = torch.ones(1, 1, side, 1, dtype=torch.float64, requires_grad=True)
    outputs: dict[str, Tensor] = {}
    with _ones(model, axis), torch.enable_grad(), _recording(model.backbone, outputs):
        try:
            model.backbone(line, torch.tensor([[side, 1]]))
        except (ValueError, RuntimeError):  # a network that takes one size only has no field to speak of
            return {}, False
    found, cut = {}, False
    for name, output in outputs.items():
        if output.ndim == 4 and output.shape[2] > 2:
            middle = output.shape[2] // 2
            (first, last), (after, _) = _seen(output, line, middle), _seen(output, line, middle + 1)
            found[f"backbone.{name}"] = (float(after - first), last - first + 1)
            cut |= first == 0 or last == side - 1
        elif output.ndim == 4:
            cut = True
    return found, cut


def _seen(output: Tensor, line: Tensor, place: int) -> tuple[int, int]:
    """The first and the last pixel that a cell sees."""
    (gradient,) = torch.autograd.grad(output[0, :, place].sum(), line, retain_graph=True)
    seen = torch.nonzero(gradient.flatten())
    return int(seen[0]), int(seen[-1])


@contextmanager
def _ones(model: nn.Module, axis: int) -> Iterator[None]:
    """While it lasts, every layer adds up all that it sees along one axis, with positive weights, on one map of any number of channels."""
    patched: list[nn.Module] = []
    try:
        for part in model.modules():
            for kind, replacement in ADDING.items():
                if isinstance(part, kind):
                    part.forward = replacement(part, axis)
                    patched.append(part)
        yield
    finally:
        for part in patched:
            del part.forward  # type: ignore[misc]


def _added(x: Tensor, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    """(1, C, n, 1) -> (1, 1, m, 1): the mean of each window."""
    weights = torch.full((1, 1, kernel, 1), 1.0 / kernel, dtype=x.dtype)
    return F.conv2d(x.mean(1, keepdim=True), weights, None, (stride, 1), (padding, 0), (dilation, 1))


def _convolution(part: Any, axis: int) -> Callable[..., Tensor]:
    return lambda x: _added(x, part.kernel_size[axis], part.stride[axis], part.padding[axis], part.dilation[axis])


def _window(part: Any, axis: int) -> Callable[..., Any]:
    def forward(x: Tensor, extent: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        more = part.stride - 1 if getattr(part, "ceil", False) else 0
        return _added(F.pad(x, (0, 0, 0, more)), part.kernel, part.stride, part.padding, part.rate), extent

    return forward


def _unchanged(_: Any, axis: int) -> Callable[..., Any]:
    return lambda x, *rest: (x, *rest) if rest else x


ADDING: Mapping[type[nn.Module], Callable[[Any, int], Callable[..., Any]]] = {
    nn.Conv2d: _convolution,
    MaxPool: _window,
    AveragePool: _window,
    nn.BatchNorm2d: _unchanged,
    nn.GroupNorm: _unchanged,
    nn.ReLU: _unchanged,
    nn.ReLU6: _unchanged,
}
"""What stands in for a layer while fields are measured."""


@contextmanager
def _recording(module: nn.Module, outputs: dict[str, Tensor]) -> Iterator[None]:
    """Keeps the output of every layer that computes, by name."""

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            outputs[name] = output[0] if isinstance(output, tuple) else output

        return hook

    hooks = [part.register_forward_hook(keep(name)) for name, part in module.named_modules() if _computes(part)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _computes(part: nn.Module) -> bool:
    """Layers with weights of their own, and poolings; activations and what only holds others are no rows."""
    own = any(True for _ in part.parameters(recurse=False)) and not isinstance(part, nn.BatchNorm2d | nn.GroupNorm)
    return own or isinstance(part, MaxPool | AveragePool)


def _measured(model: System, inputs: Inputs) -> list[tuple[str, str, Shape, int, int]]:
    """Name, kind, output shape, parameters and multiply-adds of every layer, in the order in which they compute."""
    outputs: dict[str, Tensor] = {}
    with torch.no_grad(), _recording(model, outputs):
        first = next(model.parameters())
        model.outputs(torch.zeros(1, inputs.channels, *inputs.size, dtype=first.dtype), torch.tensor([inputs.size]))
    parts = dict(model.named_modules())
    norms = {name.rpartition(".")[0] + ".conv": part for name, part in parts.items() if isinstance(part, nn.BatchNorm2d | nn.GroupNorm)}
    rows = []
    for name, output in outputs.items():
        part = parts[name]
        held = sum(p.numel() for p in part.parameters(recurse=False))
        held += sum(p.numel() for p in norms[name].parameters()) if name in norms else 0
        rows.append((name, type(part).__name__, tuple(output.shape[1:]), held, _multiply_adds(part, output)))
    return rows


def _multiply_adds(part: nn.Module, output: Tensor) -> int:
    """Of a convolution: its kernel at every cell; of a dense layer: its matrix; of anything else 0."""
    if isinstance(part, nn.Conv2d):
        return part.weight[0].numel() * output.numel() // len(output)
    if isinstance(part, nn.Linear):
        return part.weight.numel() * (output.numel() // output.shape[-1]) // len(output)
    return 0


def _by(shape: tuple[float, ...] | None) -> str:
    return "" if shape is None else "x".join(f"{side:g}" for side in shape)
