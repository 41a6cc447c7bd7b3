"""A system of a few hundred weights on real digits, with batch norm and dropout, that trains in a second: what the training tests run.

As a script it is the child that the kill tests shoot at:  python -m tests.support.training FOLDER [EPOCHS]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from saccade import storage
from saccade.core import Batch, Meta, System
from saccade.ops.geometry import Geometry
from saccade.targets import Label
from saccade.training.engine import Engine
from saccade.training.fit import Feeds, fit
from saccade.training.run_folder import RunFolder
from saccade.training.settings import Settings


class TinyNet(System):
    """Convolution, batch norm, dropout and a linear layer: every kind of state that a resumed run must restore."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8 * 36, 10))

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, Tensor]:
        truth = torch.tensor([t.index for t in batch.targets["label"]])
        return {"cross_entropy": nn.functional.cross_entropy(self.net(batch.inputs).float(), truth)}


@cache
def digits() -> tuple[Tensor, Tensor]:
    """The first 320 of scikit-learn's digits: (320, 1, 8, 8) in [0, 1] and their classes."""
    found = load_digits()
    return torch.tensor(found.images[:320, None] / 16, dtype=torch.float32), torch.tensor(found.target[:320])


class TinyFeed:
    """Batches of the digits in an order that follows from (seed, epoch); a place may be poisoned with NaN."""

    def __init__(self, rows: Sequence[int], batch: int = 32, poisoned: Sequence[int] = ()) -> None:
        self.rows, self.batch, self.poisoned = np.array(rows), batch, set(poisoned)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch)

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        order = self.rows[np.random.default_rng(epoch).permutation(len(self.rows))]
        images, truth = digits()
        for first in range(start * self.batch, len(order) if stop is None else min(len(order), stop * self.batch), self.batch):
            places = order[first : first + self.batch]
            inputs = images[places].clone()
            for i, place in enumerate(places):
                if int(place) in self.poisoned:
                    inputs[i] = float("nan")
            meta = [Meta(str(p), (8, 8), Geometry.identity((8, 8))) for p in places]
            labels: Any = [Label(int(truth[p])) for p in places]
            yield Batch(inputs, torch.full((len(places), 2), 8), {"label": labels}, meta)


def train(folder: Path, *, poisoned: Sequence[int] = (), rows: int = 256, **changes: Any) -> TinyNet:
    """Trains, or goes on training, in the folder; returns the net with the weights it ends with."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(**{"epochs": 4, "rate": 3e-3, "ema": 0.9, "save_every_steps": 3, **changes})
    net = TinyNet()
    data = Feeds(TinyFeed(range(rows), poisoned=poisoned), TinyFeed(range(256, 320)))
    fit(net, data, settings=settings, run=RunFolder(folder), engine=Engine("cpu"))
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    trained = train(Path(sys.argv[1]), epochs=int(sys.argv[2]) if len(sys.argv) > 2 else 4)
    print(storage.sha256_of(trained.state_dict()))
