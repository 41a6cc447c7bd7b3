"""The floors against scikit-learn, and what is said of those that did not end."""

import time
from pathlib import Path

import numpy as np
import pytest

from saccade.classic.floors import FLOORS, SMOOTHING, Clock, OutOfTime, fit_logistic, floors, softmax


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target
    return x[:900], y[:900], x[900:1300], y[900:1300]


def test_each_floor_is_what_its_name_says(digits: tuple[np.ndarray, ...]) -> None:
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier

    x, truth, y, expected = digits
    found = floors(x, truth, y, 10)
    assert list(found) == list(FLOORS)
    for floor in found.values():
        assert floor.probabilities is not None
        assert floor.probabilities.shape == (400, 10)
        assert floor.probabilities.sum(1) == pytest.approx(1)
        assert floor.note == ""
    answers = {name: floor.probabilities.argmax(1) for name, floor in found.items()}
    assert set(answers["majority"]) == {int(np.bincount(truth).argmax())}
    assert (answers["nearest"] == KNeighborsClassifier(1).fit(x, truth).predict(y)).all()
    assert found["bayes"].probabilities == pytest.approx(GaussianNB(var_smoothing=SMOOTHING).fit(x.astype(float), truth).predict_proba(y), abs=1e-6)
    assert (answers["logistic"] == expected).mean() > 0.93


def test_logistic_regression_is_scikit_learns(digits: tuple[np.ndarray, ...]) -> None:
    from sklearn.linear_model import LogisticRegression

    x, truth, y, _ = digits
    weights = fit_logistic(x, truth, 0.05, Clock(60), steps=1000)
    other = LogisticRegression(C=0.05, max_iter=1000, tol=1e-6).fit(x, truth).predict_proba(y)
    assert softmax(y @ weights[:-1] + weights[-1]) == pytest.approx(other, abs=2e-3)


def test_a_class_that_training_lacks_gets_nothing() -> None:
    rng = np.random.default_rng(0)
    found = floors(rng.random((30, 4), np.float32), np.arange(30) % 2 * 2, rng.random((5, 4), np.float32), 3)
    for floor in found.values():
        assert (floor.probabilities[:, 1] == 0).all()
        assert np.isfinite(floor.probabilities).all()


def test_one_image_a_class_and_equal_pixels_are_no_trouble() -> None:
    x = np.ones((2, 4), np.float32)
    for floor in floors(x, np.array([0, 1]), np.ones((3, 4), np.float32), 2).values():
        assert floor.probabilities == pytest.approx(0.5)


def test_time_over_is_said_of_every_floor_and_none_is_left_out(digits: tuple[np.ndarray, ...]) -> None:
    x, truth, y, _ = digits
    found = floors(x, truth, y, 10, clock=Clock(0.0))
    assert list(found) == list(FLOORS)
    assert all(floor.probabilities is None and "within the 0 s" in floor.note for floor in found.values())


def test_a_floor_that_is_running_stops_when_the_time_is_over() -> None:
    rng = np.random.default_rng(0)
    x, truth = rng.random((3000, 1500), np.float32), rng.integers(0, 40, 3000)
    began = time.monotonic()
    with pytest.raises(OutOfTime, match=r"within the 0\.3 s"):
        fit_logistic(x, truth, 1e3, Clock(0.3), steps=10_000)
    assert time.monotonic() - began < 3


def test_a_search_cut_short_says_how_far_it_came(digits: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    from saccade.classic import floors as module

    x, truth, y, _ = digits
    plain, strengths = module.fit_logistic, []

    def slow(*given: object, **options: object) -> np.ndarray:
        strengths.append(given[2])
        if len(set(strengths)) == 3 and len(strengths) < 8:
            raise OutOfTime("over")
        return plain(*given, **options)

    monkeypatch.setattr(module, "fit_logistic", slow)
    found = floors(x, truth, y, 10)["logistic"]
    assert found.note == "the first 2 of 4 strengths were tried in the time"
    assert found.probabilities is not None


def test_groups_stay_together_when_the_strength_is_chosen() -> None:
    """Ten copies of noise with random labels: with copies on both sides a weak penalty would look best."""
    from saccade.classic.floors import STRENGTHS, Task, _strength

    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(60, 80)).astype(np.float32), 10, 0)
    ids = np.repeat(rng.integers(0, 2, 60), 10)
    groups = np.repeat(np.arange(60), 10).astype(str)
    assert _strength(x, ids, Task(x, ids, x, 2, groups, Clock(60)))[0] == STRENGTHS[0]
    assert _strength(x, ids, Task(x, ids, x, 2, None, Clock(60)))[0] == STRENGTHS[-1]


def test_floors_beside_an_evaluation_are_of_its_images(digits_folder: Path) -> None:
    from saccade.data.open import open_dataset
    from saccade.inference.classified import Classified
    from saccade.inference.floors import run_floors

    dataset = open_dataset(digits_folder)
    places = np.arange(len(dataset))
    train, test = places[places % 3 != 0].tolist(), places[places % 3 == 0].tolist()
    chosen = [dataset.records[i] for i in test[:80]]
    truth = np.array([record.targets["label"].index for record in chosen])
    sure = np.eye(10)[truth] * 0.9 + 0.01
    paths = tuple(str(record.path) for record in chosen)
    evaluation = Classified(dataset.spaces["label"], tuple(r.id for r in chosen), paths, truth, sure, (None,) * 80)
    found = run_floors(dataset, train, test, space=dataset.spaces["label"], evaluation=evaluation)
    assert set(found) == set(FLOORS)
    for name, floor in found.items():
        assert floor["accuracy"]["n"] == 80
        assert floor["trained_on"] == 200
        assert floor["paired"]["accuracy"]["difference"] == pytest.approx(1 - floor["accuracy"]["value"])
        assert floor["p"] == floor["paired"]["accuracy"]["p"]
        assert floor["p"] < 1e-6 if name == "majority" else floor["p"] <= 1
    none = run_floors(dataset, train, [], space=dataset.spaces["label"], evaluation=evaluation)
    assert none["majority"]["unfinished"] == "200 labelled images to learn from and 0 to be asked"


def test_the_linear_floor_of_the_xrays_is_where_it_should_be(shared_data: Path) -> None:
    """AUROC over one patient-grouped fold in five: about 0.8 (five folds, twice: 0.82)."""
    from saccade.data.open import open_dataset
    from saccade.inference.classified import Classified
    from saccade.inference.floors import run_floors

    dataset = open_dataset(shared_data / "medical" / "cxr_nih", group="patient")
    groups = np.unique([record.group for record in dataset.records], return_inverse=True)[1]
    test = np.flatnonzero(groups % 5 == 0).tolist()
    train = np.flatnonzero(groups % 5 != 0).tolist()
    chosen = [dataset.records[i] for i in test]
    truth = np.array([record.targets["label"].index for record in chosen])
    flat = np.full((len(test), 2), 0.5)
    space = dataset.spaces["label"]
    evaluation = Classified(space, tuple(r.id for r in chosen), tuple(str(r.path) for r in chosen), truth, flat, tuple(r.group for r in chosen))
    linear = run_floors(dataset, train, test, space=space, evaluation=evaluation)["logistic"]
    assert 0.72 < linear["auroc"]["value"] < 0.92
    assert linear["paired"]["auroc"]["test"] == "DeLong over groups"
    assert linear["paired"]["auroc"]["difference"] == pytest.approx(0.5 - linear["auroc"]["value"])
    assert linear["p_auroc"] < 1e-4
