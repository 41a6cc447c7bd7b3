"""A folder with every kind of bad file among good ones: check, train and predict finish, name each of them, stay below 1 GB and touch nothing."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpus import write_corpus


def tree(root: Path) -> dict[str, str]:
    """Every regular file by its bytes; links, pipes and sockets by what they are."""
    found = {}
    for base, _, names in os.walk(root):
        for name in names:
            path = Path(base, name)
            plain = path.is_file() and not path.is_symlink()
            key = os.fsencode(path.relative_to(root)).hex()
            small = plain and path.stat().st_size < 10**8 and os.access(path, os.R_OK)  # a sparse file of a terabyte is told by its size
            found[key] = hashlib.sha256(path.read_bytes()).hexdigest() if small else str((path.lstat().st_mode, path.lstat().st_size))
    return found


# A child counts the memory of the process it was forked from; so a small process stands between the tests and the command.
BETWEEN = """
import pathlib, resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "saccade", *sys.argv[2:]])
pathlib.Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def peak_of(words: list[str], environment: dict[str, str], out: Path, code: int) -> int:
    """Runs a command to its end and gives its largest memory in bytes."""
    peak = out.with_suffix(".peak")
    with out.open("wb") as stream:
        done = subprocess.run([sys.executable, "-c", BETWEEN, str(peak), *words], env=environment, stdout=stream, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == code, out.read_text(errors="replace")[-3000:]
    return int(peak.read_text()) * 1024


@pytest.fixture(scope="module")
def hostile(digits_folder, tmp_path_factory):
    data = tmp_path_factory.mktemp("hostile") / "data"
    for name in ("0", "1"):
        shutil.copytree(digits_folder / name, data / name)
    cases = write_corpus(data / "hostile")
    return data, cases


def test_check_train_and_predict_survive_and_name_every_bad_file(hostile, saccade_environment, tmp_path):
    data, cases = hostile
    before, environment = tree(data), saccade_environment()
    assert len(cases) >= 64
    bad = {Path(case.path) for case in cases if case.skip and "\0" not in case.path and len(Path(case.path).name) < 256 and os.path.lexists(case.path)}
    check = peak_of(["check", str(data), "--out", str(tmp_path / "check")], environment, tmp_path / "check.txt", 3)
    run = tmp_path / "run"
    options = ["--epochs", "1", "--max-bad", "1", "--size", "16", "--no-floors", "--threads", "1", "--out", str(run)]
    train = peak_of(["train", str(data), *options], environment, tmp_path / "train.txt", 0)
    answers = tmp_path / "answers.jsonl"
    predict = peak_of(["predict", str(run / "model.saccade"), str(data / "hostile"), "--out", str(answers)], environment, tmp_path / "predict.txt", 7)
    assert 5e7 < max(check, train, predict) < 1e9, (check, train, predict)
    print("peaks in MB:", check // 10**6, train // 10**6, predict // 10**6)
    assert tree(data) == before

    with (run / "data_problems.csv").open(newline="") as stream:
        named = " ".join(row["where"] for row in csv.DictReader(stream))
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    failed = {row["id"] for row in rows if row["status"] != "ok"}
    assert len({row["id"] for row in rows}) == len(rows)
    from saccade.errors import displayable

    listed = {path for path in bad if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")}
    for path in listed:
        shown = displayable(str(path.relative_to(data)))
        assert shown in named or path.name.startswith("."), f"{shown} is not in data_problems.csv"
    assert len(failed) >= 0.9 * len({p for p in listed if not p.is_dir()}), "failures are rows of the answers"
