"""Prediction killed with SIGKILL at several moments and resumed: exactly one row an input, the bytes of a run that was never killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from saccade.inference import predict as predicting
from saccade.jobs.predict import PredictOptions, run_predict
from tests.support.bundle_files import write_tiny

ROOT = Path(__file__).resolve().parents[2]
N, BATCH = 60, 4
CHILD = """
import sys
from saccade.jobs.predict import PredictOptions, run_predict
print("ready", flush=True)
options = PredictOptions(batch=4, threads=1, top=3, resume=True)
run_predict(sys.argv[1], sys.argv[2], options, out=sys.argv[3], progress=lambda n, failed, total: print(n, flush=True))
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A model, 60 pictures of which every 17th is no picture, and the journal of an undisturbed run."""
    root, chance = tmp_path_factory.mktemp("killed"), np.random.default_rng(1)
    (root / "new").mkdir()
    for k in range(N):
        Image.fromarray(chance.integers(0, 255, (60, 80), np.uint8)).save(root / "new" / f"{k}.png")
        if k % 17 == 5:
            (root / "new" / f"{k}.png").write_bytes(b"no picture")
    write_tiny(root / "m.saccade")
    whole = run_predict(root / "m.saccade", root / "new", PredictOptions(batch=BATCH, threads=1, top=3), out=root / "whole")
    return root, whole.path.read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_costs_no_answer_and_doubles_none(seed, case, tmp_path, monkeypatch):
    root, expected = case
    chance, out = random.Random(seed), tmp_path / "out"
    mark = (0, 1, 3, 7, 14)[seed]  # batches that the parent has seen before it kills
    command = [sys.executable, "-c", CHILD, str(root / "m.saccade"), str(root / "new"), str(out)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for _ in range(mark + 1):
        assert child.stdout.readline()
    time.sleep(chance.random() * 0.02)
    child.send_signal(signal.SIGKILL)
    child.stdout.close()
    assert child.wait() in (-signal.SIGKILL, 0)

    journal = out / "predictions.jsonl"
    there = journal.read_bytes().count(b"\n") if journal.exists() else 0
    assert there >= mark * BATCH, "a batch that was told is on the disk"
    read, real = [], predicting.read_image
    monkeypatch.setattr(predicting, "read_image", lambda path, **wish: (read.append(path.name), real(path, **wish))[1])
    summary = run_predict(root / "m.saccade", root / "new", PredictOptions(batch=BATCH, threads=1, top=3, resume=True), out=out)
    assert (summary.n, summary.failed) == (N, 4)
    assert journal.read_bytes() == expected
    assert len(read) == N - there, "only the missing ones are decoded"
    assert len({json.loads(line)["id"] for line in expected.splitlines()}) == N
    assert (out / "failed.jsonl").read_bytes() == (root / "whole" / "failed.jsonl").read_bytes()
    assert not [name for name in os.listdir(out) if name.endswith(".tmp")]
