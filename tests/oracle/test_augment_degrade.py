"""Degraded pictures against other libraries, statistics of what is random, and pairs that any thread makes alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from saccade.core import LabelSpace
from saccade.data.augment import Policy
from saccade.data.augment_mix import Mix
from saccade.data.degrade import Degrade
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.whiten import Whitening
from saccade.errors import UsageError
from tests.oracle.test_augment_pixels import picture
from tests.oracle.test_loader_batches import Arrays

FLAT = np.full((64, 48, 3), 0.5, np.float32)


def chance(seed=0):
    return np.random.default_rng(seed)


def test_noise_has_the_deviation_that_was_drawn():
    found = Degrade(noise=(0.1, 0.1))(FLAT, chance())
    assert found.std() == pytest.approx(0.1, rel=0.05) and found.mean() == pytest.approx(0.5, abs=0.005) and found.dtype == np.float32


def test_photons_make_noise_that_grows_with_the_light():
    dark, bright = (Degrade(photons=(100, 100))(np.full((200, 200, 1), level, np.float32), chance()) for level in (0.1, 0.6))
    assert dark.var() == pytest.approx(0.1 / 100, rel=0.06) and bright.var() == pytest.approx(0.6 / 100, rel=0.06)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_shrink_is_pillows(factor):
    clean = picture(48, 60, 3)
    found = Degrade(shrink=factor, enlarge=False)(clean, chance())
    bands = [Image.fromarray(clean[..., i]).resize((60 // factor, 48 // factor), Image.Resampling.BICUBIC) for i in range(3)]
    np.testing.assert_allclose(found, np.clip(np.stack([np.asarray(band) for band in bands], -1), 0, 1), atol=1e-4)


def test_area_shrink_is_the_mean_of_each_block_and_enlarging_brings_the_size_back():
    clean = picture(32, 24, 1)
    found = Degrade(shrink=4, method="area", enlarge=False)(clean, chance())
    np.testing.assert_allclose(found[..., 0], clean.reshape(8, 4, 6, 4).mean((1, 3)), atol=1e-6)
    again = Degrade(shrink=4)(clean, chance())
    assert again.shape == clean.shape and 0 < np.abs(again - clean).mean() < 0.05


def test_grey_is_the_luma():
    clean = picture(9, 8, 3)
    found = Degrade(grey=True)(clean, chance())
    np.testing.assert_allclose(found[..., 0], np.asarray(clean @ np.array([0.299, 0.587, 0.114])), atol=1e-6)
    assert found.shape == (9, 8, 1)


@pytest.mark.parametrize("shape", ["rectangles", "pixels"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_mask_hides_exactly_its_share(shape, share):
    clean = picture(40, 30, 3) * 0.4
    found = Degrade(mask=share, shape=shape, tell=True)(clean, chance(3))
    hidden = found[..., 3] == 1
    assert hidden.sum() == round(share * 1200)
    np.testing.assert_array_equal(found[~hidden][:, :3], clean[~hidden])
    assert (found[hidden][:, :3] == 0.5).all()


def test_the_default_changes_nothing_and_one_change_does_not_move_another():
    clean = picture(20, 20, 3)
    np.testing.assert_array_equal(Degrade()(clean, chance()), clean)
    noisy = Degrade(noise=(0.0, 0.2))(clean, chance(5)) - clean
    both = Degrade(noise=(0.0, 0.2), shrink=2)(clean, chance(5)) - Degrade(shrink=2)(clean, chance(5))
    inside = (np.abs(clean - 0.5) < 0.2)[..., 0]
    np.testing.assert_allclose(noisy[inside], both[inside], atol=0.05)


BAD = [
    *[("noise", (0.2, 0.1)), ("noise", (0.1,)), ("noise", 0.1), ("jpeg", (0.5, 50)), ("jpeg", (10, 200)), ("shrink", 0), ("shrink", 2.0), ("shrink", 17)],
    *[("mask", 0.95), ("mask", float("nan")), ("method", "cubic"), ("shape", "holes"), ("grey", 1), ("tell", True), ("enlarge", False), ("photons", (0.1, 10))],
]


@pytest.mark.parametrize("name, value", BAD)
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(UsageError, match=f"degrade {name} = .*expected"):
        Degrade(**{name: value})


def test_stored_and_read_again():
    before = Degrade(noise=(0.0, 0.1), jpeg=(30, 90), shrink=2, mask=0.2, tell=True)
    assert Degrade.from_dict(before.to_dict()) == before
    with pytest.raises(UsageError, match="did you mean noise"):
        Degrade.from_dict({"noises": [0, 1]})


class Photos(Arrays):
    """Pictures without any label."""

    def __post_init__(self):
        super().__post_init__()
        self.spaces = {}
        self.records = [replace(r, targets={}) for r in self.records]


def pairs(degrade, *, policy=None, channels=3, size=(16, 12), start=0, **options):
    data = Photos(n=11, channels=channels)
    given = {"batch_size": 4, "shuffle": True, "seed": 9, "threads": 0, **options}
    return list(Loader(data, Preprocess(size, channels), policy=policy, degrade=degrade, **given).epoch(1, start))


@pytest.mark.parametrize("policy", [None, Policy.named("default")])
def test_the_answer_is_the_clean_picture_that_the_input_was_made_from(policy):
    degraded, clean = pairs(Degrade(noise=(0.05, 0.1)), policy=policy), pairs(None, policy=policy)
    for bad, good in zip(degraded, clean, strict=True):
        assert torch.equal(torch.stack([answer.pixels for answer in bad.targets["image"]]), good.inputs)
        assert 0.02 < float((bad.inputs - good.inputs).abs().mean()) < 0.1 and set(bad.targets) == {"image"}


def test_shapes_follow_what_is_done():
    batch = pairs(Degrade(shrink=4, enlarge=False, grey=True, mask=0.3, tell=True))[0]
    assert batch.inputs.shape == (4, 2, 4, 3) and batch.targets["image"][0].pixels.shape == (3, 16, 12)
    assert batch.sizes.tolist() == [[4, 3]] * 4
    h, w = batch.meta[0].size
    np.testing.assert_allclose(batch.meta[0].geometry.points(np.array([[w, h]])), [[3, 4]])


def test_the_same_pairs_from_any_number_of_threads_and_any_start():
    degrade = Degrade(noise=(0.0, 0.2), photons=(20, 200), blur=(0.0, 1.0), jpeg=(20, 90), mask=0.2)
    expected = pairs(degrade, policy=Policy.named("camera"))
    for options in ({"threads": 1}, {"threads": 2}, {"start": 1}):
        for a, b in zip(expected[options.get("start", 0) :], pairs(degrade, policy=Policy.named("camera"), **options), strict=True):
            assert torch.equal(a.inputs, b.inputs)
            assert all(torch.equal(p.pixels, q.pixels) for p, q in zip(a.targets["image"], b.targets["image"], strict=True))


def test_what_means_nothing_together_is_refused():
    with pytest.raises(UsageError, match="no multiple of the shrink"):
        pairs(Degrade(shrink=5))
    with pytest.raises(UsageError, match="neither whitened nor mixed"):
        pairs(Degrade(grey=True), mix=Mix(0.4))
    white = Whitening(np.zeros(3, np.float32), np.zeros((3, 3, 3, 3), np.float32), 3)
    with pytest.raises(UsageError, match="neither whitened nor mixed"):
        Loader(Photos(n=3), Preprocess((8, 8), 3, whitening=white), batch_size=2, degrade=Degrade(grey=True))
    paired = Photos(n=3)
    paired.spaces = {"image": LabelSpace(())}
    with pytest.raises(UsageError, match="clean pictures of their own"):
        Loader(paired, Preprocess((8, 8), 3), batch_size=2, degrade=Degrade(grey=True))
