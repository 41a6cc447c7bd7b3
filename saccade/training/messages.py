"""The messages of backpropagation in a real network, layer by layer, and plain words where they vanish or explode.

They are those of `nn.message_passing`: what each layer sends forward, what comes back to it, and what that does to its weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from saccade.core import Batch, System
from saccade.training.alerts import Alert

FAINT, LOUD = 1e-4, 1e4  # the first layer's relative gradient over the last one's, beyond which a network hardly learns as a whole


class LayerMessage(NamedTuple):
    """Root mean squares of one layer: of what it sends, of the slope of the loss in it, of its weights; nan where there was none.

    update_ratio: the root mean square of the weights' gradient over that of the weights: the share of them that gradient descent with
    rate 1 would change; nan for frozen weights and weights of 0.
    """

    name: str
    forward_rms: float
    backward_rms: float
    weight_rms: float
    update_ratio: float


class _Mean:
    """The mean of squares over all tensors that it is given, on their own device until asked."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.count = 0

    def add(self, x: Tensor) -> None:
        self.total, self.count = self.total + x.detach().float().square().sum(), self.count + x.numel()

    def root(self) -> float:
        return math.sqrt(float(self.total) / self.count) if self.count and float(self.total) >= 0 else math.nan


class Recorder:
    """Listens to every layer that has a matrix or kernels of its own, from `with` on until its end; changes nothing.

    Layers are told in the order in which they were first called.
    """

    def __init__(self, system: nn.Module) -> None:
        self.system = system
        self.layers: dict[str, tuple[nn.Module, _Mean, _Mean]] = {}
        self.handles: list[Any] = []

    def __enter__(self) -> Self:
        for name, part in self.system.named_modules():
            if any(p.ndim > 1 for p in part.parameters(recurse=False)):
                self.handles.append(part.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _hook(self, name: str) -> Any:
        def hook(part: nn.Module, _: Any, output: Any) -> None:
            sent = output[0] if isinstance(output, tuple) else output
            if not isinstance(sent, Tensor):
                return
            _, forward, backward = self.layers.setdefault(name, (part, _Mean(), _Mean()))
            forward.add(sent)
            if sent.requires_grad:
                self.handles.append(sent.register_hook(backward.add))

        return hook

    def messages(self) -> list[LayerMessage]:
        """What was heard, with the gradients that the weights hold now."""
        found = []
        for name, (part, forward, backward) in self.layers.items():
            weights, slopes = _Mean(), _Mean()
            for p in part.parameters(recurse=False):
                if p.ndim > 1:
                    weights.add(p)
                    if p.grad is not None:
                        slopes.add(p.grad)
            ratio = slopes.root() / weights.root() if weights.root() > 1e-12 else math.nan
            found.append(LayerMessage(name, forward.root(), backward.root(), weights.root(), ratio))
        return found


def record(system: System, batch: Batch, phase: str = "all") -> list[LayerMessage]:
    """The messages of one batch; weights, gradients, running statistics and random numbers stay as they were."""
    kept = [(p, p.grad) for p in system.parameters()]
    buffers = [(b, b.clone()) for b in system.buffers()]
    for p, _ in kept:
        p.grad = None
    try:
        devices = [batch.inputs.device] if batch.inputs.is_cuda else []
        with torch.random.fork_rng(devices), torch.enable_grad(), Recorder(system) as recorder:
            terms = system(batch, phase)
            if terms:
                torch.stack([term.float() for term in terms.values()]).sum().backward()
            return recorder.messages()
    finally:
        for p, grad in kept:
            p.grad = grad
        for buffer, before in buffers:
            buffer.copy_(before)


def judge(messages: Sequence[LayerMessage]) -> list[Alert]:
    """RUN-VANISH where the layer nearest to the input is taught 10,000 times less than the last one, RUN-EXPLODE where as much more.

    Measured by the gradient relative to the weights; layers that are frozen or whose weights are all 0 are passed over.

    >>> layers = [LayerMessage("first", 1, 1e-9, 0.1, 1e-9), LayerMessage("last", 1, 0.1, 0.1, 0.1)]
    >>> [alert.code for alert in judge(layers)]
    ['RUN-VANISH']
    """
    known = [m for m in messages if math.isfinite(m.update_ratio)]
    if len(known) < 2 or known[-1].update_ratio == 0:
        return []
    first, last = known[0], known[-1]
    share = first.update_ratio / last.update_ratio
    words = f"the gradient is {first.update_ratio:.2g} of the weights in {first.name}, {last.update_ratio:.2g} in {last.name}, {len(known)} layers on"
    return [Alert("RUN-VANISH", words)] if share < FAINT else [Alert("RUN-EXPLODE", words)] if share > LOUD else []
