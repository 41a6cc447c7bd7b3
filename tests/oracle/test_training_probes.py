"""The speed that a budget is planned by: pictures that are kept after the first epoch are read once, and counted once."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.core import Batch, Inputs, LabelSpace, Record
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.world.dataset import world
from saccade.models.table import build
from saccade.targets import Label
from saccade.training.engine import Engine
from saccade.training.probes import Speed, epochs_in, measure_speed
from saccade.training.settings import Settings

pytestmark = pytest.mark.oracle
SIZE = (16, 16)
INPUTS = Inputs(3, SIZE, (0.5,) * 3, (0.25,) * 3)


class Slow:
    """Pictures that take a while to read."""

    name, fingerprint, channels = "slow", "", 3

    def __init__(self, n: int, wait_s: float) -> None:
        self.spaces, self.reads, self.wait_s = {"label": LabelSpace(("a", "b"))}, [], wait_s
        self.records = [Record(f"{i}.png", Path(f"{i}.png"), None, {"label": Label(i % 2)}, size=SIZE) for i in range(n)]

    def __len__(self) -> int:
        return len(self.records)

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        time.sleep(self.wait_s)
        self.reads.append(i)
        return np.random.default_rng(i).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


class Watched(Loader):
    """A loader that notes how many pictures had been read whenever an epoch was begun."""

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        self.begun = [*getattr(self, "begun", []), len(self.dataset.reads)]
        return super().epoch(epoch, start, stop)


@pytest.mark.parametrize("threads", [0, 2])
def test_what_is_read_once_is_not_counted_for_every_epoch(threads):
    data = Slow(n=400, wait_s=0.03)
    loader = Watched(data, Preprocess(SIZE, 3), batch_size=8, shuffle=True, threads=threads)
    model = build("classify", "mlp", INPUTS, LabelSpace(("a", "b")), {"hidden": [8]})
    speed = measure_speed(model, loader, settings=Settings(epochs=1), engine=Engine("cpu"), seconds=1.0)
    assert len(loader.begun) == 4 and np.diff(loader.begun)[:2].tolist() == [8, 8]  # to warm up, and to see how long a batch takes: one each
    assert len(data.reads) == loader.begun[3] < 400  # the second time nothing new is read beside the steps that are timed
    assert speed.later_s < 0.7 * speed.first_s


def test_no_batch_beyond_the_last_one_asked_for_is_begun():
    data = Slow(n=80, wait_s=0.0)
    expected = list(Loader(data, Preprocess(SIZE, 3), batch_size=8, shuffle=True, threads=2).epoch(3))
    again = Loader(data, Preprocess(SIZE, 3), batch_size=8, shuffle=True, threads=2)
    del data.reads[:]  # the pictures that are looked at to plan the cache
    found = list(again.epoch(3, 2, 4))
    time.sleep(0.05)
    assert [m.id for b in found for m in b.meta] == [m.id for b in expected[2:4] for m in b.meta] and len(data.reads) == 16
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(found, expected[2:4], strict=True))
    assert list(again.epoch(3, 2, 2)) == []


def test_a_world_is_drawn_once():
    loader = Loader(world("digits", n=96, size=96, labels=["label"]), Preprocess(SIZE, 3), batch_size=16, shuffle=True, threads=2)
    model = build("classify", "mlp", INPUTS, LabelSpace(tuple("0123456789")), {"hidden": [8]})
    speed = measure_speed(model, loader, settings=Settings(epochs=1), engine=Engine("cpu"), seconds=1.0)
    assert speed.later_s < 0.5 * speed.first_s
    budget = 40 * 96 * speed.first_s
    assert epochs_in(budget, speed, train_images=96, val_images=0) > epochs_in(budget, speed._replace(later_s=speed.first_s), train_images=96, val_images=0)


def test_the_first_reading_of_both_parts_is_counted_once():
    slow = Speed(first_s=0.02, later_s=0.001, validate_s=0.001)
    assert epochs_in(100, slow, train_images=1000, val_images=200) == int((87.5 - 0.019 * 1200) / 1.2)
    assert epochs_in(1, slow, train_images=1000, val_images=200) == 1
