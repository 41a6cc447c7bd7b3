"""Batches are the same whatever the threads, the start and the cache; bad images are left out, hanging ones named."""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.core import LabelSpace, Record
from saccade.data.augment import Policy
from saccade.data.augment_mix import Mix
from saccade.data.dataset import ImageDataset
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError, ResourceError, UsageError
from saccade.targets import Label

SIZE = (12, 10)


@dataclass
class Arrays:
    """Random pictures of different sizes; `broken` places raise, `hanging` ones wait for ever."""

    n: int = 40
    channels: int = 3
    dtype: type = np.uint8
    broken: tuple[int, ...] = ()
    hanging: tuple[int, ...] = ()
    name: str = "arrays"
    fingerprint: str = ""
    reads: list[int] = field(default_factory=list)

    def __post_init__(self):
        self.spaces = {"label": LabelSpace(("a", "b", "c"))}
        self.records = [Record(f"{i}.png", Path(f"{i}.png"), None, {"label": Label(i % 3) if i % 7 else None}) for i in range(self.n)]

    def __len__(self):
        return self.n

    def read(self, i, size=None):
        self.reads.append(i)
        if i in self.broken:
            raise DataError("IMG-TRUNC", where=f"{i}.png")
        if i in self.hanging:
            threading.Event().wait(3)
        chance = np.random.default_rng(i)
        pixels = chance.integers(0, 256, (14 + i % 5, 11 + i % 3, self.channels)).astype(np.uint8)
        return pixels if self.dtype is np.uint8 else (pixels / 255).astype(np.float32)


def batches(data, epoch=2, start=0, **options):
    given = {"batch_size": 7, "policy": Policy.named("strong"), "shuffle": True, "seed": 3, "threads": 2, **options}
    loader = Loader(data, Preprocess(SIZE, data.channels), **given)
    return loader, list(loader.epoch(epoch, start))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_threads_start_and_cache_change_nothing(channels, dtype):
    data = Arrays(channels=channels, dtype=dtype)
    policy = replace(Policy.named("strong"), saturation=0.0, hue=0.0, grey=0.0) if channels == 4 else Policy.named("strong")
    _, expected = batches(data, threads=0, policy=policy)
    assert sum(len(b) for b in expected) == 40 and expected[0].inputs.shape == (7, channels, *SIZE)
    assert all(0 <= b.inputs.min() and b.inputs.max() <= 1 for b in expected)
    for options in ({"threads": 1}, {"threads": 2}, {"cache_bytes": 0}, {"start": 3}):
        _, found = batches(data, policy=policy, **options)
        for a, b in zip(expected[options.get("start", 0) :], found, strict=True):
            assert torch.equal(a.inputs, b.inputs)
            assert [m.id for m in a.meta] == [m.id for m in b.meta]
            assert a.targets == b.targets


def test_every_record_comes_once_an_epoch_and_the_order_changes():
    data = Arrays()
    orders = [[m.id for b in batches(data, epoch=e)[1] for m in b.meta] for e in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(r.id for r in data.records)
    assert orders[0] != orders[1]
    assert [m.id for b in batches(data, shuffle=False)[1] for m in b.meta] == [r.id for r in data.records]


@pytest.mark.parametrize("most", [7, 16, 39])
def test_parts_of_an_epoch_go_through_all_records_before_one_comes_again(most):
    loader = Loader(Arrays(), Preprocess(SIZE, 3), batch_size=8, shuffle=True, most=most, threads=0)
    drawn = [meta.id for epoch in range(40) for batch in loader.epoch(epoch) for meta in batch.meta]
    assert len(loader) == len(list(loader.epoch(3))) and len(drawn) == 40 * most
    for first in range(0, len(drawn) - 40, 40):
        assert len(set(drawn[first : first + 40])) == 40
    with pytest.raises(UsageError, match="only epochs of shuffled"):
        Loader(Arrays(), Preprocess(SIZE, 3), batch_size=8, most=most)


def test_labels_travel_with_their_images_and_missing_ones_stay_missing():
    data = Arrays()
    for batch in batches(data)[1]:
        for meta, target in zip(batch.meta, batch.targets["label"], strict=True):
            place = int(meta.id.removesuffix(".png"))
            assert (target is None) == (place % 7 == 0)
            assert target is None or target.index == place % 3


def test_unchanged_inputs_are_the_resized_picture():
    data = Arrays()
    loader, found = batches(data, policy=None, shuffle=False)
    first = loader.preprocess.apply(data.read(0), loader.preprocess.geometry((14, 11)))
    torch.testing.assert_close(found[0].inputs[0], first, atol=1e-6, rtol=0)
    assert found[0].inputs.is_contiguous(memory_format=torch.channels_last)


def test_a_bad_image_is_left_out_counted_and_named_once():
    loader, found = batches(Arrays(broken=(5, 6)))
    assert sum(len(b) for b in found) == 38
    list(loader.epoch(3))
    assert sorted((p.code, p.where) for p in loader.problems) == [("IMG-TRUNC", "5.png"), ("IMG-TRUNC", "6.png")]


def test_a_batch_without_any_readable_image_is_an_error():
    with pytest.raises(DataError, match="none of 7"):
        batches(Arrays(broken=tuple(range(40))))


def test_a_hanging_image_is_named():
    loader = Loader(Arrays(n=6, hanging=(3,)), Preprocess(SIZE, 3), batch_size=2, threads=2, cache_bytes=10**9, patience_s=0.3)
    with pytest.raises(ResourceError) as hung:
        list(loader.epoch(0))
    assert hung.value.code == "RUN-WORKER" and hung.value.where == "3.png"


def test_the_cache_reads_each_picture_once():
    data = Arrays()
    loader, _ = batches(data)
    data.reads.clear()
    list(loader.epoch(3))
    assert loader.caches and not data.reads and "kept" in loader.cache_note
    none = Loader(data, Preprocess(SIZE, 3), batch_size=7, cache_bytes=0)
    list(none.epoch(0))
    data.reads.clear()
    list(none.epoch(1))
    assert len(data.reads) == 40 and "decoded anew" in none.cache_note


def test_no_batch_of_one_while_training():
    sizes = [len(b) for b in batches(Arrays(n=15))[1]]
    assert sizes == [7, 8]
    assert [len(b) for b in batches(Arrays(n=15), shuffle=False)[1]] == [7, 7, 1]


def test_batch_size_below_one_is_refused():
    with pytest.raises(UsageError, match="expected 1 or more"):
        Loader(Arrays(), Preprocess(SIZE, 3), batch_size=0)


@pytest.mark.parametrize("mix", [Mix(mixup=0.4), Mix(cutmix=1.0), Mix(0.4, 1.0)])
def test_mixed_truths_are_the_shares_of_the_pixels(mix):
    data = Arrays(channels=1)
    data.records = [replace(r, targets={"label": Label(i % 3)}) for i, r in enumerate(data.records)]
    plain, mixed = batches(data, mix=None)[1], batches(data, mix=mix)[1]
    again = batches(data, mix=mix, threads=0)[1]
    for before, after, same in zip(plain, mixed, again, strict=True):
        assert torch.equal(after.inputs, same.inputs)
        assert not torch.equal(before.inputs, after.inputs)
        for own, target in zip(before.targets["label"], after.targets["label"], strict=True):
            assert target.probabilities.sum() == pytest.approx(1)
            assert (target.probabilities > 0).sum() <= 2 and target.probabilities[own.index] > 0


def test_numbers_outside_of_the_range_of_pictures_stay_as_they_are():
    rows = np.random.default_rng(0).normal(0, 3, (6, 1, 1, 5)).astype(np.float32)
    records = tuple(Record(f"r{i}", Path("rows"), i, {}) for i in range(6))
    data = ImageDataset("rows", Path(), "vectors", "", records, {"label": LabelSpace(("a",))}, channels=5, arrays={"rows": list(rows)})
    loader = Loader(data, Preprocess((1, 1), 5), batch_size=6, policy=Policy(), threads=0)
    batch = next(iter(loader.epoch(0)))
    np.testing.assert_array_equal(batch.inputs.numpy()[:, :, 0, 0], rows[:, 0, 0])
