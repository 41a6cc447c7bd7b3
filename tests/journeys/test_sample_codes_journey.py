"""Sampling from a density fitted to codes: `saccade sample` of a model of the task represent."""

import csv

import cv2
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import saccade
from saccade.classic.density import DENSITIES
from saccade.errors import DataError, UsageError
from saccade.jobs.sample_codes import rows_of

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, pictures = tmp_path_factory.mktemp("digits"), load_digits().images[:150]
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{i:03d}.png"), (picture * 255 / 16).astype(np.uint8))
    return saccade.train(folder, task="represent", model="pca", set=("codes=8",), out=folder.parent / "run", test=0.5, threads=1, floors=False)


def test_a_fitted_density_draws_pictures_as_varied_as_the_data(run, tmp_path):
    truth, found = load_digits().images / 16, {}
    for name in ("standard", "gaussian", "kernel"):
        found[name] = saccade.sample(run.path, number=40, density=name, seed=1, out=tmp_path / name, threads=1).pictures
    assert found["gaussian"].shape == (40, 1, 8, 8) and (tmp_path / "kernel" / "sheet.png").is_file() and len(list((tmp_path / "kernel").glob("0*.png"))) == 40
    spread = {name: float(pictures.var(0).mean()) for name, pictures in found.items()}
    assert 0.4 < spread["gaussian"] / truth.var(0).mean() < 1.2  # the codes of PCA are in pixels' units: N(0, I) is not where they are
    far = {name: float(((pictures.mean(0)[0] - torch.from_numpy(truth.mean(0))) ** 2).mean()) for name, pictures in found.items()}
    assert far["gaussian"] < 0.05 and far["kernel"] < 0.05
    few = saccade.sample(run.path, number=3, density="kernel", seed=1, batch=2, out=tmp_path / "few", threads=1)
    np.testing.assert_allclose(few.pictures, found["kernel"][:3], atol=1e-6)
    rows = list(csv.DictReader((tmp_path / "few" / "samples.csv").read_text().splitlines()))
    assert [row["density"] for row in rows] == ["kernel"] * 3 and rows[2]["number"] == "2"


@pytest.mark.parametrize("name", sorted(DENSITIES))
def test_a_row_of_a_seed_is_the_same_however_many_are_drawn(name):
    codes = np.random.default_rng(0).normal(size=(60, 3)) * [1, 2, 3]
    density = DENSITIES[name]().fit(codes)
    every = rows_of(density, 5, 0, 400)
    np.testing.assert_array_equal(every[7:9], rows_of(density, 5, 7, 2))
    if name != "standard":
        np.testing.assert_allclose(every.std(0), codes.std(0), rtol=0.35)


def test_codes_may_be_given_and_what_means_nothing_is_refused(run, tmp_path):
    np.save(tmp_path / "codes.npy", np.full((30, 8), 0.25, np.float32) + np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32) * 1e-4)
    own = saccade.sample(run.path, number=5, density="gaussian", codes=tmp_path / "codes.npy", out=tmp_path / "own", threads=1)
    assert float(own.pictures.std(0).max()) < 0.01  # all codes alike: all pictures alike
    np.save(tmp_path / "narrow.npy", np.zeros((30, 3), np.float32))
    with pytest.raises(DataError, match="expected codes"):
        saccade.sample(run.path, codes=tmp_path / "narrow.npy", out=tmp_path / "a")
    for given, code in (
        ({"codes": tmp_path / "nosuch.npy"}, "USE-MISSING"),
        ({"density": "gauss"}, "USE-VALUE"),
        ({"guidance": 2.0}, "USE-OPTION"),
        ({"label": "3"}, "USE-OPTION"),
    ):
        with pytest.raises(UsageError) as refused:
            saccade.sample(run.path, out=tmp_path / "b", **given)
        assert refused.value.code == code
