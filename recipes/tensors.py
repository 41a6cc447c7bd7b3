"""Data of a recipe as tensors in memory, and short runs of `fit` over them: for claims about how a loss falls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claims import finish, folder, hold
from torch import Tensor

from saccade.core import Batch, Feeds, Inputs, LabelSpace, Meta, System
from saccade.data.loader import Loader
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.models.table import build
from saccade.ops.geometry import Geometry
from saccade.targets import Label
from saccade.training.engine import Engine
from saccade.training.fit import fit
from saccade.training.initialisations import initialise
from saccade.training.run_folder import RunFolder
from saccade.training.settings import Settings


@dataclass(frozen=True)
class Pictures:
    """(N, C, h, w) in [0, 1], (N,) class ids, and the class names."""

    images: Tensor
    truth: Tensor
    space: LabelSpace

    def __getitem__(self, places: Any) -> Pictures:
        return Pictures(self.images[places], self.truth[places], self.space)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def inputs(self) -> Inputs:
        """What a builder must know."""
        mean, std = self.images.mean((0, 2, 3)).tolist(), self.images.std((0, 2, 3)).tolist()
        return Inputs(self.images.shape[1], tuple(self.images.shape[2:]), tuple(mean), tuple(std))


def pictures(path: Path, count: int, side: int, *, seed: int = 0) -> Pictures:
    """So many labelled images of a data set, drawn at random, at a size of `side` pixels."""
    found = open_dataset(str(path))
    places = np.sort(np.random.default_rng(seed).permutation(len(found))[:count])
    chosen = found.subset(places.tolist())
    loader = Loader(chosen, Preprocess((side, side), chosen.channels), batch_size=256, threads=1)
    batches = list(loader.epoch(0))
    truth = torch.tensor([label.index for batch in batches for label in batch.targets["label"]])
    return Pictures(torch.cat([batch.inputs for batch in batches]), truth, chosen.spaces["label"])


class InMemory:
    """Batches of pictures, shuffled anew every epoch where asked. mirror: half of them left for right."""

    def __init__(self, data: Pictures, batch: int, *, shuffle: bool = True, mirror: bool = False) -> None:
        self.data, self.batch, self.shuffle, self.mirror = data, batch, shuffle, mirror

    def __len__(self) -> int:
        return -(-len(self.data) // self.batch)

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        n, (h, w) = len(self.data), self.data.images.shape[2:]
        chance = torch.Generator().manual_seed(epoch)
        order = torch.randperm(n, generator=chance) if self.shuffle else torch.arange(n)
        turned = torch.rand(n, generator=chance) < 0.5
        for first in range(start * self.batch, n if stop is None else min(n, stop * self.batch), self.batch):
            places = order[first : first + self.batch]
            meta = [Meta(str(int(p)), (h, w), Geometry.identity((h, w))) for p in places]
            labels = [Label(int(k)) for k in self.data.truth[places]]
            images = self.data.images[places]
            if self.mirror:
                images = torch.where(turned[places, None, None, None], images.flip(3), images)
            yield Batch(images, torch.tensor([[h, w]] * len(places)), {"label": labels}, meta)


def train(
    system: System,
    data: Pictures,
    folder: Path,
    *,
    batch: int = 64,
    val: Pictures | None = None,
    device: str = "cpu",
    mirror: bool = False,
    **given: Any,
) -> list[dict[str, Any]]:
    """Trains in place with these settings; the rows of metrics.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(**{"warmup": 0.0, "weight_decay": 0.0, "keep": "last", "save_every_s": 1e9, **given})
    feeds = Feeds(InMemory(data, batch, mirror=mirror), None if val is None else InMemory(val, 256, shuffle=False))
    run = fit(system, feeds, settings=settings, run=RunFolder(folder), engine=Engine(device), monitor="val_loss" if val is not None else "train_loss")
    return run.rows()


@torch.inference_mode()
def wrong(system: Any, data: Pictures) -> float:
    """The share of the pictures that are answered wrongly."""
    device = next(system.parameters()).device
    system.eval()
    answers = [system.outputs(b.inputs.to(device), b.sizes.to(device))["label"].logits.argmax(1).cpu() for b in InMemory(data, 256, shuffle=False).epoch(0)]
    return (torch.cat(answers) != data.truth).float().mean().item()


# -- pairs of runs that differ in one trick

PLACE: list[Path] = []


@cache
def digits() -> tuple[Pictures, Pictures]:
    """To learn from, and to watch."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    every = Pictures(torch.tensor(found.images[:, None] / 16, dtype=torch.float32), torch.tensor(found.target), LabelSpace(tuple("0123456789")))
    return every[order[:1197]], every[order[1197:]]


def few(n: int = 200) -> Pictures:
    """The first n to learn from."""
    return digits()[0][slice(n)]


def run(
    name: str,
    data: Pictures | None = None,
    *,
    seed: int = 0,
    model: str = "mlp",
    arguments: dict[str, Any] | None = None,
    init: str = "network",
    shift: float | None = None,
    **given: Any,
) -> tuple[Any, list[dict[str, Any]]]:
    """A net trained on digits, watched on the others; its rows. shift: the inputs are moved by so many deviations instead of centred."""
    data = digits()[0] if data is None else data
    inputs = data.inputs
    if shift is not None:
        inputs = inputs._replace(mean=(inputs.mean[0] - shift * inputs.std[0],))
    torch.manual_seed(seed)
    net = build("classify", model, inputs, data.space, arguments or {"hidden": [64]})
    initialise(net, init, seed=seed, batch=next(InMemory(data, 256).epoch(0)))
    folder = PLACE[0] / f"{name}_{seed}_{len(list(PLACE[0].iterdir()))}"
    return net, train(net, data, folder, val=digits()[1], seed=seed, **{"optimiser": "sgd", "momentum": 0.0, "rate": 0.05, "schedule": "constant", **given})


def last(key: str, *args: Any, seeds: int = 2, **given: Any) -> float:
    """The mean over seeds of the last epoch's value."""
    values = [run(*args, seed=seed, **given)[1][-1][key] for seed in range(seeds)]
    return float(np.mean([10.0 if v is None or not np.isfinite(v) else v for v in values]))


def ratio(what: str, with_it: float, without: float, low: float, high: float) -> bool:
    print(f"    {with_it:.4g} with, {without:.4g} without", flush=True)
    return hold(what, with_it / without, low, high)


def main_of(tricks: Sequence[Callable[[], list[bool]]]) -> None:
    """Runs the tricks named on the command line, or all, and ends with the recipe's exit code."""
    torch.set_num_threads(1)
    PLACE.append(folder())
    held = []
    for trick in tricks:
        if not sys.argv[1:] or trick.__name__ in sys.argv[1:]:
            began = time.monotonic()
            print(f"{trick.__name__}: {(trick.__doc__ or '').splitlines()[0]}", flush=True)
            held += trick()
            print(f"    {time.monotonic() - began:.0f} s", flush=True)
    finish(*held)
