"""Two 3x3 convolutions see what one 5x5 sees, with 28 % fewer weights, and learn better (Simonyan and Zisserman 2015, section 2.3; system B2).

Command     python recipes/kernel_sizes.py
Data        1,000 MNIST digits at 16x16 pixels and 5,000 others as the test, 10 epochs, four seeds; three stages of 16, 32 and 64 channels,
            each either two 3x3 layers or one 5x5, all with batch norm and ReLU
Expected    weights of the 3x3 pairs after the first layer over those of the 5x5: 18/25 of each pair of equal width; test error of the pairs over
            that of the 5x5: 0.7 to 1; the middle of a map depends on the same 5x5 inputs
Measured    2026-11-21: weights 0.72, reach 5 and 5; test errors of the pairs 3.52, 3.80, 3.98, 3.30 %, of the 5x5 4.82, 4.86, 5.14, 4.40 %: 0.760
"""

from __future__ import annotations

import time

import numpy as np
import torch
from claims import data, finish, folder, hold
from tensors import Pictures, pictures, train, wrong
from torch import nn

from saccade.core import Inputs, Level, Model
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import ConvNorm, Flow
from saccade.nn.heads.classify import Classify

WIDTHS = (16, 32, 64)


def stage(before: int, width: int, kind: str) -> list[nn.Module]:
    """Two 3x3 layers or one 5x5."""
    return [ConvNorm(before, width, kernel=3), ConvNorm(width, width, kernel=3)] if kind == "3x3" else [ConvNorm(before, width, kernel=5)]


class Net(Staged):
    """Stages, each but the first after a maximum over 2x2."""

    def __init__(self, inputs: Inputs, kind: str) -> None:
        stages, levels, before = [], [], inputs.channels
        for place, width in enumerate(WIDTHS):
            parts = stage(before, width, kind)
            stages.append(Flow(*([Halved()] if place else []), *parts))
            levels.append(Level(width, 2**place))
            before = width
        super().__init__(inputs, stages, levels)


class Halved(nn.Module):
    """The maximum of every 2x2 cells; no input is padded here."""

    def forward(self, x, extent=None):
        return nn.functional.max_pool2d(x, 2), extent


def weights(parts: list[nn.Module]) -> int:
    return sum(m.weight.numel() for part in parts for m in part.modules() if isinstance(m, nn.Conv2d))


def reach(kind: str) -> int:
    """How many inputs along an axis the middle cell depends on, by its gradient."""
    x = torch.rand(1, 4, 15, 15, generator=torch.Generator().manual_seed(0)).requires_grad_()
    Flow(*(m for m in stage(4, 4, kind))).eval()(x)[0][0, :, 7, 7].abs().sum().backward()
    return int((x.grad.abs().sum((0, 1, 2)) > 0).sum())


def error(kind: str, learn: Pictures, test: Pictures, seed: int, place) -> float:
    """On the test, in per cent."""
    torch.manual_seed(seed)
    backbone = Net(learn.inputs, kind)
    net, began = Model(backbone, {"label": Classify(backbone.levels[-1], len(learn.space))}), time.monotonic()
    rows = train(
        net, learn, place / f"{kind}_{seed}", epochs=10, optimiser="heavy_ball", rate=0.05, weight_decay=5e-4, schedule="cosine", warmup=0.1, seed=seed
    )
    found = 100 * wrong(net, test)
    print(f"{kind}, seed {seed}: test error {found:.2f} %, training loss {rows[-1]['train_loss']:.3f}, {time.monotonic() - began:.0f} s", flush=True)
    return found


def main() -> None:
    every = pictures(data("classification/mnist_idx"), 6000, 16)
    order = torch.randperm(6000, generator=torch.Generator().manual_seed(0))
    learn, test, place = every[order[:1000]], every[order[1000:]], folder()
    found = {kind: np.mean([error(kind, learn, test, seed, place) for seed in range(4)]) for kind in ("3x3", "5x5")}
    finish(
        hold("weights of two 3x3 layers over those of one 5x5, of 64 channels", weights(stage(64, 64, "3x3")) / weights(stage(64, 64, "5x5")), 0.72, 0.72),
        hold("inputs along an axis that the middle of two 3x3 layers depends on, less those of one 5x5", reach("3x3") - reach("5x5"), 0, 0),
        hold("test error of 3x3 pairs over that of 5x5", found["3x3"] / found["5x5"], 0.7, 1.0),
    )


if __name__ == "__main__":
    main()
