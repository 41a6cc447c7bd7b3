"""Patch dictionaries: planted sources found again, filters that see what the atoms see, and how like a Gabor a filter is."""

import numpy as np
import pytest

from saccade.classic.patch_dictionary import PatchDictionary, gabor_likeness, opponency, sample_patches

pytestmark = pytest.mark.oracle


def sparse_rows(kind="laplace", n=2500):
    """Rows of 16 values mixed from 6 sparse sources, and the mixing (6, 16)."""
    chance = np.random.default_rng(0)
    mixing = np.linalg.qr(chance.normal(size=(16, 6)))[0].T
    strengths = chance.laplace(size=(n, 6)) if kind == "laplace" else (chance.random((n, 6)) < 0.15) * chance.normal(size=(n, 6)) * 3
    return strengths @ mixing + chance.normal(0, 0.01, (n, 16)), mixing


@pytest.mark.parametrize(("learner", "kind"), [("ica", "laplace"), ("sparse", "rare"), ("kmeans", "one")])
def test_planted_sources_are_found(learner, kind):
    rows, mixing = sparse_rows("laplace" if kind == "laplace" else "rare")
    if kind == "one":  # k-means looks for one source a row
        chance = np.random.default_rng(1)
        rows = mixing[chance.integers(0, 6, 3000)] * 3 + chance.normal(0, 0.05, (3000, 16))
    found = PatchDictionary(6, size=4, channels=1, learner=learner, whiten=False, normalise=False, penalty=0.1).fit(rows)
    atoms = found.atoms_
    if kind == "one":
        centred = mixing - mixing.mean(0)
        mixing = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    likeness = np.abs(atoms @ mixing.T)
    assert likeness.max(0).mean() > (0.88 if learner == "sparse" else 0.95) and likeness.max(0).min() > 0.7  # the penalty of a sparse code bends it


@pytest.mark.parametrize("whiten", [True, False])
def test_filters_on_pixels_say_what_atoms_say_of_whitened_patches(whiten):
    chance = np.random.default_rng(0)
    rows = chance.random((500, 27))
    found = PatchDictionary(5, size=3, learner="pca", whiten=whiten).fit(rows)
    said = found.transform(rows)
    direct = found.prepared(rows) @ found.filters_.T
    assert said.shape == (500, 5) and np.allclose(said - said.mean(0), direct - direct.mean(0))
    assert np.allclose(np.linalg.norm(found.atoms_, axis=1), 1) and found.planes().shape == (5, 3, 3, 3)
    sheet = found.draw(columns=3, zoom=2)
    assert sheet.shape == (16, 24, 3) and sheet.dtype == np.uint8
    again = PatchDictionary(5, size=3, learner="pca", whiten=whiten).fit(rows)
    assert np.array_equal(again.atoms_, found.atoms_)


def test_patches_are_parts_of_their_images():
    images = [np.arange(20.0).reshape(4, 5) / 20, np.arange(42.0).reshape(6, 7) / 42]
    found = sample_patches(images, 2, 50, seed=1)
    assert found.shape == (50, 4)
    windows = [image[y : y + 2, x : x + 2].ravel() for image in images for y in range(image.shape[0] - 1) for x in range(image.shape[1] - 1)]
    assert all(min(np.abs(patch - w).max() for w in windows) < 1e-6 for patch in found)
    assert sample_patches([np.full((3, 3, 3), 255, np.uint8)], 3, 1).max() == 1
    assert np.array_equal(found, sample_patches(images, 2, 50, seed=1))


def test_what_is_like_a_gabor_and_what_is_coloured():
    y, x = np.mgrid[:9, :9] - 4.0
    hill = np.exp(-(x**2 + y**2) / 2 / 1.6**2)
    wave = hill * np.sin(2 * np.pi * 0.2 * (x + 0.3 * y))
    noise = np.random.default_rng(0).normal(size=(9, 9))
    likeness = gabor_likeness(np.stack([wave, (2 - (x**2 + y**2) / 1.6**2) * hill, noise, np.ones((9, 9))]))
    assert (likeness[:2] > 0.8).all() and likeness[2] < 0.4 and likeness[3] == 0
    planes = np.stack([np.stack([wave] * 3), np.stack([wave, -wave, 0 * wave])])
    assert np.allclose(opponency(planes), [0, 1])


def test_what_cannot_be_learnt_is_refused():
    with pytest.raises(ValueError, match="learner kmeans"):
        PatchDictionary(learner="svd")
    with pytest.raises(ValueError, match="at most 8"):
        PatchDictionary(9, size=3, channels=1, learner="ica")
    with pytest.raises(ValueError, match="more patches"):
        PatchDictionary(9, size=2, channels=1).fit(np.random.default_rng(0).random((9, 4)))
    with pytest.raises(ValueError, match="patches are"):
        PatchDictionary(2, size=2, channels=1).fit(np.zeros((9, 5)))
    with pytest.raises(ValueError, match="does not fit"):
        sample_patches([np.zeros((3, 3))], 4, 1)
    with pytest.raises(ValueError, match="one depth"):
        sample_patches([], 2, 1)
