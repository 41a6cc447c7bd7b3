"""Loader threads that hang, epochs that are left early, budgets and seeds at their limits."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.data.augment import Policy, uniforms
from saccade.data.augment_mix import Mix
from saccade.data.crew import Crew
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError, UsageError
from tests.oracle.test_loader_batches import SIZE, Arrays

ROOT = Path(__file__).resolve().parents[2]
HUNG = """
import threading
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import ResourceError
from tests.oracle.test_loader_batches import SIZE, Arrays

class Gone(Arrays):
    def read(self, i, size=None):
        if i == 3:
            threading.Event().wait()  # a disk that never answers
        return super().read(i, size)

try:
    list(Loader(Gone(n=30), Preprocess(SIZE, 3), batch_size=2, threads=2, cache_bytes=0, patience_s=0.3).epoch(0))
except ResourceError as problem:
    print(problem.code, problem.where)
"""


class Slow(Arrays):
    """Every picture takes a while, none takes long."""

    def read(self, i, size=None):
        time.sleep(0.06)
        return super().read(i, size)


def test_a_program_ends_though_a_read_never_returns():
    done = subprocess.run([sys.executable, "-c", HUNG], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "RUN-WORKER 3.png", "")


def test_a_batch_may_take_longer_than_a_picture():
    loader = Loader(Slow(n=8), Preprocess(SIZE, 3), batch_size=8, threads=1, cache_bytes=0, patience_s=0.2)
    assert [len(b) for b in loader.epoch(0)] == [8]


def test_an_epoch_left_early_leaves_no_thread():
    batches = Loader(Arrays(), Preprocess(SIZE, 3), batch_size=4, threads=2).epoch(0)
    next(batches)
    batches.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("saccade-loader")]


def test_a_crew_hands_on_what_was_raised():
    crew = Crew[int](1)
    failing, fine = crew.submit(lambda: 1 // 0), crew.submit(lambda: 7)
    with pytest.raises(ZeroDivisionError):
        failing.result(5)
    assert fine.result(5) == 7
    crew.close()


@pytest.mark.parametrize("threads", [0, 2])
def test_in_order_a_batch_without_readable_images_is_left_out(threads):
    data = Arrays(n=15, broken=(14,))
    loader = Loader(data, Preprocess(SIZE, 3), batch_size=7, threads=threads)
    assert [len(b) for b in loader.epoch(0)] == [7, 7]
    assert [p.where for p in loader.problems] == ["14.png"]
    with pytest.raises(DataError, match="none of 15"):
        list(Loader(Arrays(n=15, broken=tuple(range(15))), Preprocess(SIZE, 3), batch_size=16, shuffle=True).epoch(0))


def test_the_cache_stays_within_its_budget_when_the_estimate_was_too_low():
    class Growing(Arrays):
        def read(self, i, size=None):
            wide = 10 if i in (0, 9, 19, 29, 39) else 400  # those five are what the estimate sees
            return np.full((12, wide, 3), i, np.uint8)

    data = Growing()
    loader = Loader(data, Preprocess(SIZE, 3), batch_size=7, threads=0, cache_bytes=20_000)
    assert loader.caches
    once, twice = list(loader.epoch(0)), list(loader.epoch(1))
    assert sum(p.nbytes for p in loader._pictures.values()) <= 20_000
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(once, twice, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64 - 1])
def test_any_whole_number_is_a_seed(seed):
    data = Arrays(n=6)
    data.records = [replace(r, targets={"label": data.records[1].targets["label"]}) for r in data.records]
    loader = Loader(data, Preprocess(SIZE, 3), batch_size=6, policy=Policy(noise=0.1), mix=Mix(0.5), shuffle=True, seed=seed, threads=0)
    first, second = next(loader.epoch(0)), next(loader.epoch(1))
    assert not torch.equal(first.inputs, second.inputs)
    assert 0 <= uniforms(seed, 0, np.arange(3)).min() and uniforms(seed, 0, np.arange(3)).max() < 1


def test_fewer_than_no_threads_are_refused():
    with pytest.raises(UsageError, match="expected 0 or more"):
        Loader(Arrays(), Preprocess(SIZE, 3), batch_size=7, threads=-1)


@pytest.mark.parametrize("name, value", [("rotate_deg", 200.0), ("shear_deg", 90.0), ("rotate_deg", float("nan"))])
def test_angles_out_of_range_are_refused(name, value):
    with pytest.raises(UsageError, match=f"{name} = .*expected 0 to"):
        Policy(**{name: value})
