"""The report of a run's folder: what it says, what it must not say, and that it needs nothing else."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from saccade import storage
from saccade.core import LabelSpace
from saccade.inference.classified import Classified
from saccade.report import write

HOSTILE = "<img onerror=alert(1)>"
VOID = {"meta", "img", "br"}


class Tags(HTMLParser):
    """Counts the elements, and fails where they are not nested."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []
        self.feed(page)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def digits():
    """Real digits, and what a linear model of half of them says of the others."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    data = load_digits()
    model = LogisticRegression(max_iter=300, C=0.01).fit(data.data[:150] / 16, data.target[:150])
    return data.images[1400:1600], data.target[1400:1600], model.predict_proba(data.data[1400:1600] / 16)


def make_run(folder: Path, digits, names=tuple("0123456789"), *, exif: bool = False) -> Path:
    """A run's folder as training leaves it, but for the network."""
    from PIL import Image

    images, truth, probabilities = digits
    root, run = folder / "home" / "jane" / "digits", folder / "home" / "jane" / "runs" / "first"
    paths = []
    for i, (pixels, k) in enumerate(zip(images, truth, strict=True)):
        path = root / f"class{k}" / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        tags = Image.Exif()
        tags[0x8825] = {1: "N", 2: (48.0, 51.0, 30.0)}
        tags[0x010F] = "SECRET-CAMERA"
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).resize((64, 64)).save(path, exif=tags if exif else b"")
        paths.append(path.relative_to(root).as_posix())
    space = LabelSpace(names)
    evaluation = Classified(space, tuple(paths), tuple(paths), truth.astype(np.int64), probabilities, (None,) * len(truth))
    evaluation.write(run / "eval")
    fields = {"status": "done", "task": "classify", "model": "lenet5", "monitor": "accuracy", "seed": 3, "threads": 1, "precision": "fp32"}
    argv = ["saccade", "train", str(root), "--out", str(run)]
    versions = {"saccade": "0.1.0", "torch": "2.10.0"}
    storage.write_json(run / "run.json", {**fields, "argv": argv, "versions": versions, "started": 1.0, "evaluated": "test", "best": {"epoch": 2}})
    counts = {"test": {name: int((truth == k).sum()) for k, name in enumerate(names)}}
    storage.write_json(
        run / "data.json", {"name": "digits", "root": str(root), "reason": "one folder a class", "classes": list(names), "counts": counts, "fingerprint": "abc"}
    )
    (run / "data_problems.csv").write_text(f"code,severity,where,got,fix\nIMG-TRUNC,error,{root}/class1/x.jpg,half of it,copy it again\n")
    same = {"lr": 0.1, "images_per_s": 100.0, "seconds": 2.0}
    rows = [{"epoch": e, "train_loss": 1 / e, "val_loss": 1.2 / e, "accuracy": 1 - 0.5 / e, **same} for e in (1, 2, 3)]
    (run / "metrics.jsonl").write_text("".join(json.dumps({**row, "best": row["epoch"] == 2}) + "\n" for row in rows))
    (run / "events.jsonl").write_text(json.dumps({"event": "alert", "code": "RUN-FLAT", "text": "the loss does not fall"}) + "\n")
    config = f'epochs = 3  # user\nlr = 0.1  # auto: found\nsplit = "{root}/split.csv"  # user\n'
    (run / "config.toml").write_text(f"# The effective configuration\n{config}")
    floor = {key: value._asdict() for key, value in evaluation.values.items()} | {"p": 0.4}
    floor["accuracy"] = {**floor["accuracy"], "value": 0.5}
    storage.write_json(run / "eval" / "floors.json", {"bayes": floor, "logistic": {"unfinished": "did not end within the 20 s"}})
    return run


def without_pictures(page: str) -> str:
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)


def test_every_section_is_there_and_says_what_the_files_say(tmp_path: Path, digits) -> None:
    run = make_run(tmp_path, digits)
    path = write(run)
    page = path.read_text()
    tags = Tags(page)
    assert path == run / "report.html"
    assert re.findall(r'<section id="(\w+)">', page) == ["verdict", "metrics", "confusion", "images", "calibration", "training", "data", "settings", "repeat"]
    value = json.loads((run / "eval" / "metrics.json").read_text())["accuracy"]
    assert f"It names {100 * value['value']:.1f} % of 200 test images rightly" in page
    assert "naive Bayes, reaches 50.0 %" in page
    assert "no more than chance would do (paired test, p = 0.4)" in page
    assert "unfinished: did not end within the 20 s" in page
    assert "RUN-FLAT: the loss does not fall" in page
    assert "3 epochs in 2 s" in page and "epoch 2" in page
    assert "IMG-TRUNC" in page
    assert "auto: found" in page
    assert "Data fingerprint abc" in page
    wrong = sum(not row["correct"] for row in map(json.loads, (run / "eval" / "predictions.jsonl").read_text().splitlines()))
    assert tags.seen.count("img") >= 24 + 12 + min(6, wrong)
    assert sum((tag, name) == ("img", "alt") and bool(value) for tag, name, value in tags.attributes) == tags.seen.count("img")
    assert tags.seen.count("caption") == tags.seen.count("table")


def test_it_needs_no_network_no_script_and_is_small(tmp_path: Path, digits) -> None:
    path = write(make_run(tmp_path, digits))
    page = without_pictures(path.read_text())
    assert path.stat().st_size < 5_000_000
    assert "<script" not in page and "http:" not in page and "https:" not in page and "url(" not in re.sub(r"url\(#[\w-]+\)", "", page)
    for tag, name, value in Tags(page).attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href"):
            assert value.startswith(("data:image/jpeg", "#")), value
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_names_are_never_html(tmp_path: Path, digits) -> None:
    names = (HOSTILE, "=1+1", "a & b", '"q"', "$x_1$", "ü", "6", "unknown", "8", "9")
    run = make_run(tmp_path, digits, names)
    page = write(run).read_text()
    tags = Tags(page)
    assert "<img onerror" not in page
    assert "&lt;img onerror=alert(1)&gt;" in page
    assert not [a for a in tags.attributes if a[1].startswith("on")]
    assert "\n'=1+1," in (run / "eval" / "per_class.csv").read_text()


def test_nothing_tells_of_the_machine_or_of_where_a_picture_was_taken(tmp_path: Path, digits, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, digits, exif=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "jane"))
    raw = write(run).read_bytes()
    page = without_pictures(raw.decode())
    assert "jane" not in page and str(tmp_path) not in page
    assert "saccade train digits --out runs/first" in page
    import base64

    pictures = [base64.b64decode(p) for p in re.findall(rb"base64,([A-Za-z0-9+/=]+)", raw)]
    assert len(pictures) >= 36
    assert all(b"Exif" not in p and b"SECRET" not in p for p in pictures)


def test_an_image_that_is_gone_or_outside_has_a_box_with_its_name(tmp_path: Path, digits) -> None:
    run = make_run(tmp_path, digits)
    rows = [json.loads(line) for line in (run / "eval" / "predictions.jsonl").read_text().splitlines()]
    worst = sorted(rows, key=lambda row: -row["loss"])
    data = Path(json.loads((run / "data.json").read_text())["root"])
    (data / worst[0]["path"]).unlink()
    secret = tmp_path / "secret.jpg"
    (data / worst[1]["path"]).rename(secret)
    worst[1]["path"] = "../../../secret.jpg"
    (run / "eval" / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = write(run).read_text()
    for row in worst[:2]:
        assert f"{row['id']} cannot be read any more" in page


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path, digits) -> None:
    run = make_run(tmp_path, digits)
    first = write(run).read_bytes()
    drawings = {p.name: p.read_bytes() for p in (run / "plots").iterdir()}
    assert write(run).read_bytes() == first
    assert {p.name: p.read_bytes() for p in (run / "plots").iterdir()} == drawings
    assert {p.rsplit(".")[0] for p in drawings} == {"loss", "metric", "lr", "classes", "calibration"}
    assert all(f"{Path(p).stem}.csv" in drawings for p in drawings if p.endswith(".svg"))
    assert (run / "plots" / "loss.csv").read_text().splitlines()[1] == "1,1.0,1.2"


@pytest.mark.parametrize("missing", ["eval", "metrics.jsonl", "data.json", "config.toml", "events.jsonl", "eval/floors.json", "data_problems.csv"])
def test_what_is_missing_is_said(tmp_path: Path, digits, missing: str) -> None:
    import shutil

    run = make_run(tmp_path, digits)
    (shutil.rmtree if (run / missing).is_dir() else Path.unlink)(run / missing)
    page = write(run).read_text()
    said = {
        "eval": "There is no evaluation yet",
        "metrics.jsonl": "No epoch was finished",
        "data.json": "The data were not read to the end",
        "config.toml": "The run ended before its plan was made",
        "events.jsonl": "3 epochs",
        "eval/floors.json": "no simple model was measured beside it",
        "data_problems.csv": "no problem was found",
    }
    assert said[missing] in page
    Tags(page)


def test_a_torn_last_line_is_left_out(tmp_path: Path, digits) -> None:
    run = make_run(tmp_path, digits)
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 4, "train_lo')
    assert "3 epochs in 2 s" in write(run).read_text()


def test_a_thousand_classes_are_listed_by_their_worst_pairs(tmp_path: Path, digits) -> None:
    run = make_run(tmp_path, digits, tuple(f"class {i}" for i in range(10)))
    names = [f"class {i}" for i in range(40)]
    (run / "eval" / "confusion.csv").write_text("\n".join([",".join(["truth", *names]), *(",".join([n, *["0"] * 40]) for n in names)]) + "\n")
    page = write(run).read_text()
    assert 'class="matrix"' not in page
    assert "The most frequent confusions" in page


def test_better_and_worse_than_a_simple_model_are_told_apart(tmp_path: Path, digits) -> None:
    run = make_run(tmp_path, digits)
    floors = json.loads((run / "eval" / "floors.json").read_text())
    floors["bayes"]["p"] = 0.001
    storage.write_json(run / "eval" / "floors.json", floors)
    assert "It is better than every simple model" in write(run).read_text()
    floors["bayes"]["accuracy"]["value"] = 0.99
    storage.write_json(run / "eval" / "floors.json", floors)
    assert "It is worse than a simple model" in write(run).read_text()


def test_cross_validation_has_its_folds_and_their_confusions(tmp_path: Path, digits) -> None:
    run = make_run(tmp_path, digits)
    values = json.loads((run / "eval" / "metrics.json").read_text())
    for k in range(2):
        (run / "folds" / str(k)).mkdir(parents=True)
    (run / "eval").rename(run / "folds" / "0" / "eval")
    (run / "folds" / "1" / "eval").mkdir()
    lines = (run / "folds" / "0" / "eval" / "predictions.jsonl").read_text().splitlines(keepends=True)
    (run / "folds" / "0" / "eval" / "predictions.jsonl").write_text("".join(lines[:100]))
    (run / "folds" / "1" / "eval" / "predictions.jsonl").write_text("".join(lines[100:]))
    means = {key: {"mean": 0.9, "std": 0.01} for key in values}
    test = {"difference": 0.05, "low": 0.01, "high": 0.09, "p": 0.02}
    cv = {"folds": [{"metrics": values}] * 2, "metrics": values, "means": means, "floors": {"bayes": means}, "paired": {"bayes.accuracy": test}}
    storage.write_json(run / "cv.json", cv)
    page = write(run).read_text()
    Tags(page)
    assert "200 cross-validated images" in page and "naive Bayes, reaches 90.0 %" in page and "p = 0.02" in page
    assert "fold 1" in page and "0.900 ± 0.010" in page and "+0.0500" in page
    assert 'class="matrix"' in page and 'aria-label="Calibration' in page
