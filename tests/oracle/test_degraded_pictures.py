"""Photographs as pairs: pixel for pixel, padded pictures as if they were alone, answers finer than their image, windows put together exactly."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from saccade.core import Geometry, Record
from saccade.data.degrade import Degrade
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import Tiling, merged, windowed
from saccade.targets import ImageTarget


@dataclass(frozen=True)
class Photographs:
    """Random pictures of several sizes; a `core.Dataset` without any label."""

    sizes: tuple[tuple[int, int], ...]
    name: str = "photographs"
    spaces: object = None
    channels: int = 3
    fingerprint: str = "x"

    @property
    def records(self):
        return [Record(f"{i}.png", Path(f"{i}.png")) for i in range(len(self.sizes))]

    def __len__(self):
        return len(self.sizes)

    def read(self, i, size=None):
        return np.random.default_rng(i).integers(0, 256, (*self.sizes[i], 3), np.uint8)

    def size(self, i):
        return self.sizes[i]

    def truth(self, i):
        return {}

    def subset(self, indices):
        return replace(self, sizes=tuple(self.sizes[i] for i in indices))


SIZES = ((40, 70), (33, 21), (7, 90))


def batch_of(dataset, size=(64, 64), **options):
    loader = Loader(replace(dataset, spaces={}), Preprocess(size, 3, mode="keep"), batch_size=8, threads=0, **options)
    return next(loader.epoch(0))


def test_kept_pictures_are_pixel_for_pixel_and_cut_at_the_size():
    dataset = Photographs(SIZES)
    batch = batch_of(dataset)
    assert batch.sizes.tolist() == [[40, 64], [33, 21], [7, 64]] and batch.inputs.shape == (3, 3, 64, 64)
    for i, (h, w) in enumerate(batch.sizes.tolist()):
        expected = torch.from_numpy(dataset.read(i)[:h, :w]).permute(2, 0, 1) / 255
        torch.testing.assert_close(batch.inputs[i, :, :h, :w], expected)
        assert batch.meta[i].geometry.points(np.array([[3.0, 2.0]])).tolist() == [[3.0, 2.0]]
    assert Preprocess((64, 64), 3, mode="keep").shown((33, 21), Geometry.identity((64, 64))) == (33, 21)


@pytest.mark.parametrize("shrink", [2, 3])
@pytest.mark.parametrize("enlarge", [True, False])
def test_a_padded_picture_is_degraded_as_if_it_were_alone(shrink, enlarge):
    dataset, degrade = Photographs(SIZES), Degrade(shrink=shrink, enlarge=enlarge)
    batch = batch_of(dataset, degrade=degrade)
    for i, (full_h, full_w) in enumerate(((40, 64), (33, 21), (7, 64))):
        h, w = full_h // shrink * shrink, full_w // shrink * shrink
        clean = (dataset.read(i)[:h, :w] / np.float32(255)).astype(np.float32)
        expected = torch.from_numpy(degrade(clean, np.random.default_rng(0))).permute(2, 0, 1)
        rows, columns = batch.sizes[i].tolist()
        assert (rows, columns) == tuple(expected.shape[1:])
        torch.testing.assert_close(batch.inputs[i, :, :rows, :columns], expected)
        answer = batch.targets["image"][i]
        assert answer.scale == (1 if enlarge else shrink) and answer.size == (h, w)
        torch.testing.assert_close(answer.pixels, torch.from_numpy(clean).permute(2, 0, 1))
        corner = batch.meta[i].geometry.points(np.array([[float(w), float(h)]]))[0]
        np.testing.assert_allclose(corner, (columns, rows))


def test_noise_is_another_one_each_epoch_and_the_same_when_asked_again():
    loader = Loader(replace(Photographs(SIZES), spaces={}), Preprocess((64, 64), 3, mode="keep"), batch_size=8, threads=0, degrade=Degrade(noise=(0.1, 0.1)))
    first, second, again = (next(loader.epoch(epoch)).inputs for epoch in (0, 1, 0))
    assert torch.equal(first, again) and not torch.equal(first, second)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_windows_of_a_local_answer_put_together_are_the_answer_of_the_whole(scale):
    """A 5x5 mean of the enlarged picture reaches no further than the overlap's half: nothing shows where the windows meet."""
    chance = torch.Generator().manual_seed(scale)
    for size in ((50, 61), (20, 90), (33, 17)):
        whole, tiling = torch.rand(3, *size, generator=chance), Tiling((24, 28), overlap=10)

        def answer(pixels):
            fine = pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
            return ImageTarget(F.avg_pool2d(fine[None], 5, 1, 2)[0], scale)

        parts = [answer(whole[:, w.y : w.y + w.size[0], w.x : w.x + w.size[1]]) for w in tiling.windows(size)]
        found = merged(parts, size, tiling)
        assert found.scale == scale and found.size == (size[0] * scale, size[1] * scale)
        torch.testing.assert_close(found.pixels, answer(whole).pixels)


def test_a_finer_picture_warps_as_its_image_does():
    fine = ImageTarget(torch.rand(1, 12, 16), 2)
    assert torch.equal(fine.warp(Geometry.flip((6, 8))).pixels, fine.pixels.flip(2))
    assert torch.equal(fine.warp(Geometry.crop(2, 1, (3, 4))).pixels, fine.pixels[:, 2:8, 4:12])
    turned = fine.warp(Geometry(np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 8.0]]), (8, 6)))
    torch.testing.assert_close(turned.pixels, torch.rot90(fine.pixels, 1, (1, 2)))
    with pytest.raises(ValueError, match="one scale"):
        ImageTarget.merge([fine, ImageTarget(fine.pixels)], [Geometry.identity((6, 8))] * 2)


def test_parts_that_are_turned_or_partly_unknown_are_averaged_where_they_are_known():
    left = ImageTarget(torch.tensor([[[0.2, torch.nan, 0.4]]]))
    flipped = ImageTarget(torch.tensor([[[0.8, 0.6, 0.1]]]))
    found = ImageTarget.merge([left, flipped], [Geometry.identity((1, 3)), Geometry.flip((1, 3))])
    torch.testing.assert_close(found.pixels, torch.tensor([[[0.15, 0.6, 0.6]]]))


def test_windows_of_photographs_are_training_patches():
    dataset = replace(Photographs(SIZES), spaces={})
    tiled = windowed(dataset, Tiling((32, 32), 8))
    batch = next(Loader(tiled, Preprocess((32, 32), 3, mode="keep"), batch_size=64, threads=0, degrade=Degrade(shrink=2, enlarge=False)).epoch(0))
    assert len(batch) == len(tiled) and batch.inputs.shape[2:] == (16, 16)
    assert {tuple(size) for size in batch.sizes.tolist()} == {(16, 16), (16, 10), (3, 16)}
