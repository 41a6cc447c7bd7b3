"""Codes from end to end: learnt from pictures and from vectors without labels, measured beside PCA, embedded, mapped, searched for strange ones and copies."""

import csv
import json
import re

import cv2
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import saccade
from saccade import bundle
from saccade.errors import DataError, PartialError, UsageError
from saccade.jobs.options import make_options
from saccade.jobs.train import run_train

LABELS = load_digits().target[:150]
DIGITS = (load_digits().images[:150] * 255 / 16).round().astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """150 real digits as PNG, one folder a class."""
    folder = tmp_path_factory.mktemp("digits")
    for i, (picture, label) in enumerate(zip(DIGITS, LABELS, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / str(label) / f"{i:03d}.png"), picture)
    return folder


def train(data, out, model, *arguments, **options):
    given = {"data": str(data), "out": out, "task": "represent", "model": model, "test": 0.2, "threads": 1, "set": arguments, **options}
    return run_train(make_options(**given))


@pytest.fixture(scope="module")
def principal(digits, tmp_path_factory):
    return train(digits, tmp_path_factory.mktemp("pca") / "run", "pca", "codes=12")


@pytest.fixture(scope="module")
def learnt(digits, tmp_path_factory):
    return train(digits, tmp_path_factory.mktemp("autoencoder") / "run", "autoencoder", "codes=6", "hidden=[24]", epochs="20", lr="0.01")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read_json(path):
    return json.loads(path.read_text())


def test_principal_components_are_scikit_learns_from_the_folder_on(principal):
    parts = read_json(principal.path / "data.json")["split"]
    values = {name: np.stack([DIGITS[int(re.findall(r"(\d+)\.png", key)[0])] for key in parts[name]]).reshape(-1, 64) / 255 for name in ("train", "test")}
    peer = PCA(12).fit(values["train"])
    error = ((peer.inverse_transform(peer.transform(values["test"])) - values["test"]) ** 2).mean()
    found = read_json(principal.path / "eval" / "metrics.json")["reconstruction_error"]
    assert found["value"] == pytest.approx(error, rel=1e-4) and found["low"] < error < found["high"] and found["n"] == 30
    assert set(read_json(principal.path / "eval" / "floors.json")) == {"mean input"}


def test_an_autoencoder_is_measured_beside_pca_with_as_many_codes(learnt):
    floors = read_json(learnt.path / "eval" / "floors.json")
    assert set(floors) == {"mean input", "PCA with 6 codes"}
    own, linear = learnt.metrics["reconstruction_error"]["value"], floors["PCA with 6 codes"]
    assert linear["difference"]["value"] == pytest.approx(own - linear["reconstruction_error"]["value"], abs=1e-5)
    assert linear["reconstruction_error"]["value"] < floors["mean input"]["reconstruction_error"]["value"] and own < 0.1
    found = rows(learnt.path / "eval" / "map.csv")
    assert len(found) == 30 and {row["label"] for row in found} <= set("0123456789")  # named, though nothing was learnt from the names
    assert [row["density"] for row in rows(learnt.path / "eval" / "density.csv")] == ["standard", "gaussian", "mixture", "kernel"]
    report = learnt.report.read_text()
    for heading in ("Reconstruction error", "Reconstructions", "Map of the codes", "Densities of the codes", "Images: picture, reconstruction"):
        assert f"<h2>{heading}</h2>" in report
    pair = cv2.imread(str(learnt.path / "eval" / "pictures" / "typical_00.jpg"))
    assert pair.shape[1] == 2 * (8 + 4)  # the picture and its reconstruction, each with a white line
    assert "PCA with 6 codes" in report and report.count("data:image/png") == 5 and "<script" not in report


def test_codes_are_those_of_the_model_in_every_form(learnt, digits, tmp_path):
    found = saccade.embed(learnt.path, digits, out=tmp_path / "codes.npy")
    saved, table = np.load(tmp_path / "codes.npy"), rows(tmp_path / "codes.csv")
    assert np.array_equal(saved, found.codes) and saved.shape == (150, 6) and found.failed is None
    model = bundle.read(learnt.model).model
    place = int(re.findall(r"(\d+)\.png", table[7]["id"])[0])
    with torch.no_grad():
        own = model.encode(torch.from_numpy(DIGITS[place] / 255).float()[None, None])
    np.testing.assert_allclose(saved[7], own[0].numpy(), rtol=1e-5, atol=1e-6)
    assert table[7]["label"] == str(LABELS[place])
    saccade.embed(learnt.path, digits, out=tmp_path / "all.csv")
    again = rows(tmp_path / "all.csv")
    np.testing.assert_allclose([float(again[7][f"c{k}"]) for k in range(6)], saved[7], rtol=1e-6)
    for bad, code in (("codes.npy", "RUN-EXISTS"), ("codes.txt", "USE-VALUE")):
        with pytest.raises(UsageError, match=code):
            saccade.embed(learnt.path, digits, out=tmp_path / bad)


def test_parquet_needs_its_library(learnt, digits, tmp_path):
    try:
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(UsageError, match="USE-EXTRA"):
            saccade.embed(learnt.path, digits, out=tmp_path / "codes.parquet")
        return
    found = saccade.embed(learnt.path, digits, out=tmp_path / "codes.parquet")
    table = parquet.read_table(tmp_path / "codes.parquet").to_pydict()
    assert table["c3"] == pytest.approx(found.codes[:, 3].tolist()) and table["id"][0].endswith(".png")


def test_vectors_are_learnt_from_and_embedded(learnt, digits, tmp_path):
    saccade.embed(learnt.path, digits, out=tmp_path / "codes.csv")
    run = train(tmp_path / "codes.csv", tmp_path / "run", "pca", "codes=2")
    table = rows(tmp_path / "codes.csv")
    values = np.array([[float(row[f"c{k}"]) for k in range(6)] for row in table])
    parts = read_json(run.path / "data.json")["split"]
    train_, test = (np.array([row["id"] in set(parts[name]) for row in table]) for name in ("train", "test"))
    peer = PCA(2).fit(values[train_])
    left = ((peer.inverse_transform(peer.transform(values[test])) - values[test]) ** 2).mean()
    assert run.metrics["reconstruction_error"]["value"] == pytest.approx(left, rel=1e-3)
    found = saccade.embed(run.path, tmp_path / "codes.csv", out=tmp_path / "two.npy").codes
    np.testing.assert_allclose(np.abs(found), np.abs(peer.transform(values)), atol=1e-3)
    assert not (run.path / "eval" / "pictures" / "reconstructions.png").exists()  # vectors have no picture
    with pytest.raises(DataError, match="vectors of 2 numbers, the model takes 6"):
        saccade.embed(run.path, tmp_path / "two.npy", out=tmp_path / "three.npy")


def test_a_map_is_drawn_kept_and_extended(principal, digits, tmp_path):
    found = saccade.map(principal.path, digits, out=tmp_path / "map", method="pca", threads=1)
    assert found.points.shape == (150, 2) and found.kept["neighbours"] == 12 and 0.5 < found.kept["trustworthiness"] <= 1
    page = (tmp_path / "map" / "map.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert len(data["x"]) == 150 == len(data["id"]) and data["names"] == list("0123456789") and sum(data["counts"]) == 150
    assert "<noscript>" in page and page.count("<circle") >= 150 and not re.search(r'(?:src|href)="https?:', page) and max(data["t"]) == 149
    assert cv2.imread(str(tmp_path / "map" / "map.png")).shape == (1440, 1440, 3)
    grown = saccade.map(principal.path, digits / "3", onto=tmp_path / "map", out=tmp_path / "grown")
    same = [i for i, row in enumerate(rows(tmp_path / "map" / "map.csv")) if row["label"] == "3"]
    assert grown.new == len(same) and np.array_equal(grown.points[:150], np.round(found.points, 5))
    np.testing.assert_allclose(grown.points[150:], found.points[same], atol=1e-3)  # the same pictures land where they were
    assert sum(row["new"] == "new" for row in rows(tmp_path / "grown" / "map.csv")) == len(same)


def test_a_map_of_another_model_or_a_damaged_one_is_refused(principal, learnt, digits, tmp_path):
    saccade.map(principal.path, digits, out=tmp_path / "map", method="pca")
    with pytest.raises(UsageError, match="RUN-CONFIG"):
        saccade.map(learnt.path, digits, onto=tmp_path / "map", out=tmp_path / "new")
    with pytest.raises(UsageError, match="RUN-EXISTS"):
        saccade.map(principal.path, digits, out=tmp_path / "map")
    with pytest.raises(DataError, match="DATA-MISSING"):
        saccade.map(principal.path, digits, onto=tmp_path, out=tmp_path / "new")
    (tmp_path / "map" / "codes.npy").write_bytes((tmp_path / "map" / "codes.npy").read_bytes()[:-8])
    with pytest.raises(DataError, match="ANN-UNREADABLE"):
        saccade.map(principal.path, digits, onto=tmp_path / "map", out=tmp_path / "new")


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """Digits, two of them strange: noise and a chequered board; and a file that is no picture."""
    folder = tmp_path_factory.mktemp("strange")
    for name, pictures in (("digit", DIGITS[:60]), ("other", [np.indices((8, 8)).sum(0) % 2 * 255, np.random.default_rng(0).integers(0, 256, (8, 8))])):
        (folder / name).mkdir()
        for i, picture in enumerate(pictures):
            cv2.imwrite(str(folder / name / f"{i:03d}.png"), picture.astype(np.uint8))
    (folder / "digit" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def test_strange_pictures_come_first_and_what_cannot_be_read_is_told(principal, strange, digits, tmp_path):
    found = saccade.outliers(principal.path, strange, normal=str(digits), inliers="digit", out=tmp_path / "out")
    assert list(found.auroc) == ["all", "reconstruction", "density", "forest", "neighbours"]
    assert found.auroc["reconstruction"].value == 1 and found.auroc["reconstruction"].n == 62 and found.auroc["all"].value > 0.9
    written = rows(tmp_path / "out" / "outliers.csv")
    assert [row["rank"] for row in written] == [str(i) for i in range(1, 63)]
    alone = saccade.outliers(principal.path, strange, score="reconstruction", out=tmp_path / "alone")
    assert {row["label"] for row in alone.rows[:2]} == {"other"} and set(alone.rows[0]) == {"rank", "id", "label", "split", "path", "reconstruction"}
    assert isinstance(found.failed, PartialError) and rows(tmp_path / "out" / "failed.csv")[0]["where"].endswith("digit/broken.png")
    assert cv2.imread(str(tmp_path / "out" / "outliers.png")) is not None
    with pytest.raises(UsageError, match="digits; did you mean digit"):
        saccade.outliers(principal.path, strange, inliers="digits", out=tmp_path / "b")
    with pytest.raises(UsageError, match="62 of 62 inputs belong"):
        saccade.outliers(principal.path, strange, inliers="digit,other", out=tmp_path / "c")
    with pytest.raises(DataError, match="DATA-SMALL"):
        saccade.outliers(principal.path, strange / "other", score="density", out=tmp_path / "d")


def test_a_classifiers_features_are_codes_too(digits, tmp_path, learnt):
    run = run_train(make_options(data=str(digits), out=tmp_path / "run", from_=learnt.path, epochs="1", threads=1, floors=False, selftest=False))
    assert bundle.read_card(run.model).model == "mlp"  # the classifier with the autoencoder's encoder
    found = saccade.embed(run.path, digits, out=tmp_path / "codes.npy")
    assert found.codes.shape == (150, 24)
    with pytest.raises(UsageError, match="reconstructs nothing"):
        saccade.outliers(run.path, digits, score="reconstruction", out=tmp_path / "out")


def test_copies_are_grouped_within_and_between_parts(tmp_path):
    photograph = cv2.resize(cv2.cvtColor(cv2.imread(str(_photograph(tmp_path))), cv2.COLOR_BGR2RGB), (96, 80))
    for part, label, name, picture in (
        ("train", "a", "one", photograph),
        ("train", "a", "same", photograph),
        ("test", "b", "brighter", np.clip(photograph * 0.8 + 30, 0, 255).astype(np.uint8)),
        ("train", "b", "mirrored", np.ascontiguousarray(photograph[:, ::-1])),
        ("test", "a", "upside", np.ascontiguousarray(photograph[::-1])),
    ):
        (tmp_path / "data" / part / label).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "data" / part / label / f"{name}.png"), picture)
    found = saccade.duplicates(tmp_path / "data", out=tmp_path / "out")
    assert {(row["id"].rpartition("/")[2], row["kind"]) for row in found.rows} == {("one.png", "exact"), ("same.png", "exact"), ("brighter.png", "near")}
    assert (found.groups, found.across, found.doubtful, found.n) == (1, 1, 1, 5)
    assert found.rows[0]["across"] == "test train" and found.rows[0]["labels"] == "a, b"
    assert len(rows(tmp_path / "out" / "duplicates.csv")) == 3 and cv2.imread(str(tmp_path / "out" / "duplicates.png")) is not None
    exact = saccade.duplicates(tmp_path / "data", exact=True)
    assert {row["id"].rpartition("/")[2] for row in exact.rows} == {"one.png", "same.png"} and exact.path is None


def _photograph(folder):
    from sklearn.datasets import load_sample_images

    path = folder / "photograph.png"
    cv2.imwrite(str(path), load_sample_images().images[0][:300, :360])
    return path


def test_the_command_line_tells_what_was_done_and_ends_partially(saccade, principal, strange, tmp_path):
    told = saccade(
        "outliers", principal.path, strange, "--inliers", "digit", "--score", "reconstruction", "--out", tmp_path / "out", "--json", code=7, timeout=280
    )
    assert told.event("result")["auroc"]["reconstruction"]["value"] == 1 and told.event("error")["code"] == "PRED-FAILED"
