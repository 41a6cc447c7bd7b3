"""A folder of pictures to a generative model, its samples, strips, sliders and report: the commands as a user types them."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest

import saccade
from saccade import bundle
from saccade.cli import main
from saccade.errors import UsageError
from saccade.models.table import MODELS

pytestmark = pytest.mark.journey
NETWORKS = {
    "vae": ("--set", "width=4", "--set", "hidden=16", "--set", "codes=4"),
    "dcgan": ("--set", "width=4", "--set", "codes=4", "--set", "discriminator_steps=2"),
    "ddpm": ("--set", "width=8", "--set", "times=20", "--set", "sampling_steps=4"),
    "latent_ddpm": ("--set", "width=8", "--set", "times=20", "--set", "sampling_steps=4", "--set", "autoencoder_width=4", "--set", "halvings=1"),
}

TOLD = ("vae", "ddpm")
SLOW = [pytest.param(name, marks=[] if name in TOLD else pytest.mark.slow) for name in NETWORKS]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Sixty of scikit-learn's digits, a folder a class."""
    from sklearn.datasets import load_digits

    folder, found = tmp_path_factory.mktemp("data") / "digits", load_digits()
    for place in range(60):
        file = folder / str(found.target[place]) / f"{place:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), (found.images[place] * 255 / 16).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def plain(digits, tmp_path_factory):
    """The same pictures in one folder, without any class."""
    folder = tmp_path_factory.mktemp("data") / "plain"
    folder.mkdir()
    for file in sorted(digits.rglob("*.png")):
        shutil.copy(file, folder / file.name)
    return folder


def trained(data, model, out):
    options = ("--epochs", "2", "--batch", "16", "--out", str(out), "--no-floors", *NETWORKS[model])
    task = () if model == "ddpm" else ("--task", "generate")  # which its model says as well
    assert main(["train", str(data), *task, "--model", model, *options]) == 0
    return out


@pytest.fixture(scope="module")
def runs(digits, plain, tmp_path_factory):
    """A run of each model, made when it is asked for: those of `TOLD` see the folders of classes, the others the plain pictures."""

    class Runs(dict):
        def __missing__(self, name):
            self[name] = trained(digits if name in TOLD else plain, name, tmp_path_factory.mktemp("runs") / name)
            return self[name]

    return Runs()


@pytest.mark.parametrize("name", SLOW)
def test_a_run_has_its_numbers_its_sheets_and_a_report(runs, name):
    run = runs[name]
    metrics, judge = json.loads((run / "eval/metrics.json").read_text()), json.loads((run / "eval/judge.json").read_text())
    assert {"fid", "kid", "precision", "recall", "variety", "copied"} <= set(metrics) and metrics["fid"]["n"] == judge["samples"] == 64
    assert ("elbo" in metrics) == (name == "vae") and ("denoising" in metrics) == (name in ("ddpm", "latent_ddpm"))
    own = name in TOLD
    assert judge["own"] is own and ("modes_covered" in metrics) is own and (run / "judge.saccade").is_file() is own
    assert judge["sha256"] == bundle.read_card(run / "model.saccade").extra["judge"]["sha256"]
    assert {file.name for file in (run / "samples").iterdir()} == {"train_batch.png", "epoch_0001.png", "epoch_0002.png"}
    sheets = {file.stem for file in (run / "eval/pictures").iterdir()}
    assert {"samples", "interpolation", "nearest"} <= sheets and ("sliders" in sheets) == (name in ("vae", "dcgan"))
    page = (run / "report.html").read_text()
    assert "What it makes" in page and judge["sha256"][:12] in page and ("Both players" in page) == (name == "dcgan")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    stages = {row["stage"] for row in rows}
    assert stages == ({"autoencoder", "diffusion"} if name == "latent_ddpm" else {"all"})
    assert json.loads((run / "run.json").read_text())["monitor"] == {"vae": "elbo", "dcgan": "fid"}.get(name, "val_loss")


@pytest.mark.slow
def test_losses_of_a_repeated_phase_are_its_means(runs):
    rows = [json.loads(line) for line in (runs["dcgan"] / "metrics.jsonl").read_text().splitlines()]
    assert 0.2 < rows[0]["train_discriminator"] < 2.2  # near 2 log 2, and not twice that for two steps


def test_every_model_of_the_table_makes_the_journey():
    assert set(NETWORKS) == set(MODELS["generate"])


@pytest.mark.parametrize("name", SLOW)
def test_samples_are_files_with_a_table_and_the_same_for_a_seed(runs, name, tmp_path):
    assert main(["sample", str(runs[name]), "-n", "5", "--seed", "4", "--batch", "2", "--out", str(tmp_path / "a")]) == 0
    result = saccade.sample(runs[name], number=3, seed=4, out=tmp_path / "b")
    with (tmp_path / "a/samples.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == [f"0000{i}.png" for i in range(5)]
    assert ([row["class"] for row in rows] == list("01234")) == (name == "ddpm")
    for row in rows[:3]:
        first, second = (cv2.imread(str(tmp_path / part / row["file"]), cv2.IMREAD_UNCHANGED) for part in "ab")
        assert first.shape == (8, 8) and np.abs(first.astype(int) - second).max() <= 1
    assert result.pictures.shape == (3, 1, 8, 8)


def test_samples_of_a_class_with_fewer_steps_and_guidance(runs, tmp_path):
    run = runs["ddpm"]
    assert main(["sample", str(run), "-n", "2", "--label", "7", "--steps", "2", "--guidance", "2", "--eta", "1", "--out", str(tmp_path / "a")]) == 0
    assert "7" in (tmp_path / "a/samples.csv").read_text()
    for words, code in ((["--label", "eleven"], "USE-VALUE"), (["--out", str(tmp_path / "a")], "RUN-EXISTS")):
        assert main(["sample", str(run), "-n", "1", *words]) == 2, code
    for name, option in (("vae", {"guidance": 2.0}), ("vae", {"steps": 3}), ("vae", {"eta": 0.5}), ("vae", {"label": "1"})):
        with pytest.raises(UsageError) as caught:
            saccade.sample(runs[name], out=tmp_path / "x", **option)
        assert caught.value.code == "USE-OPTION"


def test_strips_between_pictures_and_between_seeds(runs, digits, tmp_path):
    first, last = sorted(digits.rglob("*.png"))[:2]
    for name, ends in (("vae", (first, last)), ("ddpm", ("1", "2"))):
        out = tmp_path / name
        assert main(["interpolate", str(runs[name]), *map(str, ends), "--pictures", "4", "--out", str(out)]) == 0
        assert {"00003.png", "strip.png", "strip.csv"} <= {file.name for file in out.iterdir()}


@pytest.mark.slow
def test_a_generator_finds_no_codes_of_pictures(runs, digits, tmp_path):
    first, last = sorted(digits.rglob("*.png"))[:2]
    with pytest.raises(UsageError, match="seeds of two samples"):
        saccade.interpolate(runs["dcgan"], first, last, out=tmp_path / "none")
    assert len(saccade.interpolate(runs["dcgan"], 1, 2, out=tmp_path / "strip").pictures) == 11


def test_sliders_of_codes(runs, digits, tmp_path):
    picture = min(digits.rglob("*.png"))
    assert main(["traverse", str(runs["vae"]), str(picture), "--top", "3", "--pictures", "5", "--out", str(tmp_path / "a")]) == 0
    result = saccade.traverse(runs["vae"], codes=(3, 1), pictures=3, out=tmp_path / "b")
    assert [row["code"] for row in result.rows] == [3, 1] and result.pictures.shape == (6, 1, 8, 8)
    for model, codes in (("ddpm", ()), ("vae", (4,))):
        with pytest.raises(UsageError) as caught:
            saccade.traverse(runs[model], codes=codes, out=tmp_path / "c")
        assert caught.value.code == "USE-VALUE"


def test_evaluate_takes_the_judge_of_the_run_or_the_one_asked_for(runs, digits, tmp_path):
    run = runs["vae"]
    assert main(["evaluate", str(run), str(digits), "--split", "all", "--out", str(tmp_path / "own")]) == 0
    assert main(["evaluate", str(runs["ddpm"]), str(digits), "--split", "all", "--judge", str(run / "judge.saccade"), "--out", str(tmp_path / "asked")]) == 0
    told = [json.loads((tmp_path / name / "judge.json").read_text())["sha256"] for name in ("own", "asked")]
    assert told[0] == told[1] == bundle.read_card(run / "judge.saccade").sha256
    for words in (["--views", "flip"], ["--judge", str(run)]):
        assert main(["evaluate", str(run), str(digits), *words]) == 2
    assert main(["evaluate", str(run / "judge.saccade"), str(digits), "--judge", str(run / "judge.saccade")]) == 2


def test_what_a_generative_model_is_not_asked_for(runs, digits, tmp_path, capsys):
    assert main(["predict", str(runs["vae"]), str(digits), "--out", str(tmp_path / "p")]) == 2
    assert "saccade sample" in capsys.readouterr().err
    assert main(["sample", str(runs["vae"] / "judge.saccade"), "--out", str(tmp_path / "s")]) == 2
    assert main(["summary", str(runs["ddpm"])]) == 0 and "network.stem" in capsys.readouterr().out
    assert main(["train", str(digits), "--task", "generate", "--model", "vae", "--fit", "linear", "--out", str(tmp_path / "f"), *NETWORKS["vae"]]) == 2
    plain_folder = digits / "0"
    assert main(["train", str(plain_folder), "--task", "generate", "--model", "vae", "--set", "conditional=true", "--out", str(tmp_path / "c")]) == 2


def test_a_finished_run_is_extended_with_its_own_judge(runs, tmp_path):
    whole = runs["vae"]
    again = tmp_path / "again"
    shutil.copytree(whole, again)
    assert main(["train", "--resume", str(again), "--epochs", "+1"]) == 0
    rows = [json.loads(line) for line in (again / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 3 and (again / "samples/epoch_0003.png").is_file()
    assert bundle.read_card(again / "judge.saccade").sha256 == bundle.read_card(whole / "judge.saccade").sha256
