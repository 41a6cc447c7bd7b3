"""Whitening against its definition and scikit-learn; as a part of preprocessing; what a model file may hold."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.whiten import STORED, Whitener, Whitening
from saccade.errors import ModelError, UsageError
from tests.oracle.test_augment_pixels import picture
from tests.oracle.test_loader_batches import Arrays


def grainy(*shape, seed=0):
    """Smooth shades with grain: neighbours are alike, and no direction is without variance."""
    return picture(*shape, seed=seed) * 0.8 + np.random.default_rng(seed + 1000).random(shape).astype(np.float32) * 0.1


def rows(n=400, d=12, seed=0):
    chance = np.random.default_rng(seed)
    return chance.normal(size=(n, d)) @ chance.normal(size=(d, d)) + chance.normal(size=d)


@pytest.mark.parametrize("kind", ["zca", "pca"])
def test_the_covariance_of_the_whitened_set_is_the_identity(kind):
    white = Whitener.fit(rows(), kind=kind, epsilon=0.0).transform(rows())
    np.testing.assert_allclose(np.cov(white.T), np.eye(12), atol=1e-8)
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("components", [None, 5])
def test_pca_whitening_is_scikit_learns_up_to_signs(components):
    theirs = PCA(components, whiten=True).fit_transform(rows())
    ours = Whitener.fit(rows(), kind="pca", epsilon=0.0, components=components).transform(rows())
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-7)


def test_zca_whitening_is_a_rotation_of_scikit_learns_and_the_nearest_to_the_data():
    theirs = PCA(whiten=True).fit_transform(rows())
    ours = Whitener.fit(rows(), epsilon=0.0).transform(rows())
    rotation, *_ = np.linalg.lstsq(theirs, ours, rcond=None)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(12), atol=1e-8)
    np.testing.assert_allclose(theirs @ rotation, ours, atol=1e-8)
    centred = rows() - rows().mean(0)
    assert ((ours - centred) ** 2).sum() < ((theirs - centred) ** 2).sum()
    matrix = Whitener.fit(rows(), epsilon=0.0).matrix
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)


def test_epsilon_damps_the_directions_of_little_variance():
    data = rows() * 1e-6
    assert np.abs(Whitener.fit(data, epsilon=1.0).transform(data)).max() < 1e-3
    flat = np.repeat(rows(50, 3), 2, axis=1)  # half of the directions have no variance at all
    assert np.isfinite(Whitener.fit(flat, epsilon=0.0).transform(flat)).all()


@pytest.mark.parametrize("options", [{"epsilon": -1.0}, {"components": 0}, {"components": 13}, {"kind": "ica"}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match="whitening"):
        Whitener.fit(rows(), **options)
    with pytest.raises(UsageError, match="2 rows or more"):
        Whitener.fit(rows()[:1])


def test_whole_images_are_white_and_come_back_from_the_dictionary():
    inputs = np.stack([grainy(6, 5, 3, seed=i) for i in range(500)])
    fitted = Whitening.fit(inputs, epsilon=1e-9)
    white = fitted.apply(inputs).reshape(500, -1)
    np.testing.assert_allclose(np.cov(white.T), np.eye(90), atol=0.02)
    preprocess = Preprocess((6, 5), 3, whitening=fitted)
    again = Preprocess.from_dict(preprocess.to_dict())
    assert again == preprocess and np.array_equal(again.whitening.apply(inputs), fitted.apply(inputs))


@pytest.mark.parametrize("depth", [1, 3])
def test_a_filter_does_what_zca_of_the_patch_does_to_its_middle(depth):
    inputs = np.stack([picture(20, 24, depth, seed=i) for i in range(40)])
    fitted = Whitening.fit(inputs, patch=5)
    patches = np.random.default_rng(0)
    image, y, x = (patches.integers(0, most, 20_000) for most in (40, 16, 20))
    sampled = np.stack([inputs[i, a : a + 5, b : b + 5].ravel() for i, a, b in zip(image, y, x, strict=True)])
    slow = Whitener.fit(sampled)
    cut = inputs[3, 7:12, 9:14]
    shift = np.tile(sampled.reshape(-1, depth).mean(0), 25)
    expected = (slow.matrix @ (cut.ravel() - shift)).reshape(5, 5, depth)[2, 2]
    np.testing.assert_allclose(fitted.apply(inputs[3:4])[0, 9, 11], expected, atol=2e-3)


def test_patches_take_the_correlation_of_neighbours_away():
    inputs = np.stack([grainy(32, 32, 1, seed=i) for i in range(60)])
    white = Whitening.fit(inputs, patch=7, epsilon=1e-6).apply(inputs)[:, 4:-4, 4:-4, 0]

    def neighbours(pixels):
        return np.corrcoef(pixels[:, :, 1:].ravel(), pixels[:, :, :-1].ravel())[0, 1]

    assert neighbours(inputs[..., 0]) > 0.6 and abs(neighbours(white)) < 0.1


@pytest.mark.parametrize("threads", [0, 2])
def test_batches_are_whitened_like_single_pictures(threads):
    data = Arrays(n=9)
    plain = Preprocess((12, 10), 3)
    inputs = np.concatenate([b.inputs.permute(0, 2, 3, 1).numpy() for b in Loader(data, plain, batch_size=9, threads=0).epoch(0)])
    preprocess = Preprocess((12, 10), 3, whitening=Whitening.fit(inputs, patch=3))
    batch = next(Loader(data, preprocess, batch_size=9, threads=threads).epoch(0))
    alone = preprocess.apply(data.read(4), preprocess.geometry(data.read(4).shape[:2]))
    torch.testing.assert_close(batch.inputs[4], alone, atol=1e-5, rtol=0)
    assert batch.inputs.mean().abs() < 0.1 and batch.inputs.min() < -0.5


def test_sizes_that_a_model_file_cannot_hold_are_refused():
    with pytest.raises(UsageError, match=f"expected at most {STORED}"):
        Whitening.fit(np.zeros((4, 28, 28, 1), np.float32))
    with pytest.raises(UsageError, match="odd number"):
        Whitening.fit(np.zeros((4, 28, 28, 1), np.float32), patch=4)
    with pytest.raises(ModelError, match="has the shapes"):
        Preprocess((8, 8), 3, whitening=Whitening.fit(np.zeros((4, 6, 5, 3), np.float32)))
    with pytest.raises(ModelError, match="inputs of one size"):
        Preprocess((6, 5), 3, "pad", whitening=Whitening.fit(np.zeros((4, 6, 5, 3), np.float32)))


@pytest.mark.parametrize("change", [{"patch": -1}, {"matrix": "@@"}, {"mean": ""}, {"shape": [2, 2]}, {"shape": "ab"}, {"more": 1}, {"mean": 3}])
def test_damaged_numbers_are_refused(change):
    stored = Whitening.fit(np.random.default_rng(0).random((9, 4, 4, 1)).astype(np.float32)).to_dict()
    with pytest.raises(ModelError) as refused:
        Preprocess.from_dict({"size": [4, 4], "channels": 1, "whitening": stored | change})
    assert refused.value.code == "MODEL-ARGS"
