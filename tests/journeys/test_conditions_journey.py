"""Pictures made as numbers say: the columns of a table beside the pictures, through `train`, `evaluate` and `sample`."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import saccade
from saccade import bundle, storage
from saccade.data.conditions import Condition, columns_of, conditioned
from saccade.data.open import open_dataset
from saccade.data.told import Told
from saccade.errors import DataError, ModelError, UsageError

pytestmark = pytest.mark.journey
NETWORK = ("width=8", "times=20", "sampling_steps=4")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """80 digits of 8x8 px, drawn dark or light, and a table of how light each is, in 100 to 300 units, and of its number."""
    root, found, chance = tmp_path_factory.mktemp("digits"), load_digits(), np.random.default_rng(0)
    rows = ["path,light,ink"]
    for i in range(80):
        light = float(chance.uniform(0.2, 1.0))
        cv2.imwrite(str(root / f"{i:02d}.png"), (found.images[i] / 16 * 255 * light).astype(np.uint8))
        rows.append(f"{i:02d}.png,{50 + 250 * light:.2f},{found.images[i].sum():.1f}")
    (root / "table.csv").write_text("\n".join(rows))
    return root / "table.csv"


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    given = {"task": "generate", "model": "ddpm", "set": NETWORK, "epochs": "6", "lr": "0.005", "test": 0.2, "threads": 1, "floors": False, "selftest": False}
    return saccade.train(digits, condition=("light", "ink"), out=out, **given)


def test_the_numbers_are_in_deviations_from_the_training_parts_means(digits, run):
    card = bundle.read_card(run.model)
    told = Told.from_dict(card.preprocess["told"])
    ids = storage.read_json(run.path / "data.json")["split"]["train"]
    rows = {row["path"]: row for row in csv.DictReader(digits.read_text().splitlines())}
    values = np.array([[float(rows[name]["light"]), float(rows[name]["ink"])] for name in ids])
    np.testing.assert_allclose(told.means, values.mean(0), rtol=1e-9)
    np.testing.assert_allclose(told.deviations, values.std(0), rtol=1e-9)
    assert card.arguments["columns"] == ["light", "ink"] and told.columns == ("light", "ink")
    data = conditioned(open_dataset(digits, label="number:light"), told, columns_of(digits, told.columns))
    target = data.records[3].targets["label"]
    assert isinstance(target, Condition) and target.probabilities[0] == pytest.approx(
        (float(rows[data.records[3].id]["light"]) - told.means[0]) / told.deviations[0]
    )
    assert "columns" in (run.path / "config.toml").read_text() and (run.path / "eval" / "pictures" / "samples.png").is_file()


def test_samples_are_as_light_as_they_are_told(digits, run, tmp_path):
    """The least of learning: a model of 20 seconds tells dark from light."""
    means = []
    for light in (80, 300):
        found = saccade.sample(run.path, number=24, condition=(f"light={light}",), guidance=2.0, out=tmp_path / str(light), threads=1)
        rows = list(csv.DictReader((tmp_path / str(light) / "samples.csv").read_text().splitlines()))
        assert {(row["light"], row["ink"]) for row in rows} == {(str(light), "")}
        means.append(float(found.pictures.mean()))
    again = saccade.sample(run.path, number=4, condition=("light=300",), guidance=2.0, out=tmp_path / "again", threads=1)
    assert torch.equal(again.pictures, found.pictures[:4]) and means[1] > means[0]
    evaluated = saccade.evaluate(run.path, digits, split="all", out=tmp_path / "eval")
    assert np.isfinite(evaluated.metrics["denoising"]["value"]) and evaluated.metrics["denoising"]["n"] == 80


@pytest.mark.parametrize(
    ("condition", "text"), [(("height=3",), "height; "), (("light",), "COLUMN=NUMBER"), (("light=nan",), "finite"), (("light=much",), "COLUMN=NUMBER")]
)
def test_conditions_that_mean_nothing_are_refused(run, tmp_path, condition, text):
    with pytest.raises(UsageError) as refused:
        saccade.sample(run.path, number=1, condition=condition, out=tmp_path / "a")
    assert refused.value.code == "USE-VALUE" and text in str(refused.value)
    with pytest.raises(UsageError, match="without classes"):
        saccade.sample(run.path, number=1, label="3", out=tmp_path / "a")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"task": "generate", "model": "vae", "condition": ("light",)}, "USE-OPTION"),
        ({"task": "generate", "model": "ddpm", "condition": ("light",), "label": "ink"}, "USE-OPTION"),
        ({"task": "generate", "model": "ddpm", "set": ('columns=["light"]',), "label": "number:light"}, "USE-OPTION"),
        ({"task": "represent", "model": "pca", "condition": ("light",)}, "USE-OPTION"),
    ],
)
def test_trainings_that_tell_nothing_are_refused(digits, tmp_path, given, code):
    with pytest.raises(UsageError) as refused:
        saccade.train(digits, out=tmp_path / "run", epochs="1", threads=1, **given)
    assert refused.value.code == code


def test_what_is_told_is_stored_and_what_is_damaged_is_refused():
    told = Told.learnt(("a", "b"), [{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 5.0}, {"b": 5.0}])
    assert (told.means, told.deviations) == ((2.0, 5.0), (1.0, 1.0)) and Told.from_dict(json.loads(json.dumps(told.to_dict()))) == told
    with pytest.raises(DataError, match="DATA-SMALL"):
        Told.learnt(("a",), [{"b": 1.0}] * 3)
    for wrong in ({"means": [0.0]}, {"deviations": [0.0, 1.0]}, {"columns": ["a", "a"]}, {"means": ["1", 2.0]}, {"columns": "ab"}):
        with pytest.raises(ModelError, match="told"):
            Told.from_dict({**told.to_dict(), **wrong})
