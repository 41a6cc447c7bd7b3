"""The promise in full: kill -9 at 20 random moments, inside saving too, with 0, 1 and 2 loader threads; minutes, so `make slow` runs it."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from saccade import bundle, storage


def command(*words):
    return [sys.executable, "-m", "saccade", "train", *map(str, words)]


@pytest.mark.slow
@pytest.mark.parametrize("workers, kills", [(0, 7), (1, 7), (2, 6)])
def test_killed_runs_end_in_the_same_bytes(digits_folder, saccade_environment, tmp_path, workers, kills):
    settings = ["--epochs", "12", "--no-floors", "--no-selftest", "--threads", "1", "--workers", workers, "--save-every", "0", "--test", "0.2", "--size", "16"]
    chance, environment = random.Random(workers), saccade_environment()

    def start(*words):
        return subprocess.Popen(command(*words), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    began = time.monotonic()
    assert start(digits_folder, *settings, "--out", tmp_path / "whole").wait() == 0
    lasted = time.monotonic() - began
    expected = bundle.read_card(tmp_path / "whole" / "model.saccade").sha256
    run, killed = tmp_path / "killed", 0
    child = start(digits_folder, *settings, "--out", run)
    while killed < kills:
        marks = list((run / "checkpoints").glob("*")) if run.exists() else []
        time.sleep(chance.uniform(0.02, 0.5) if marks else 0.05)
        if marks and child.poll() is None:
            child.send_signal(signal.SIGKILL)
            child.wait()
            killed += 1
            child = start("--resume", run)
            time.sleep(chance.uniform(0.55, 0.95) * min(lasted, 8))
        elif child.poll() is not None:
            assert child.returncode == 0
            assert bundle.read_card(run / "model.saccade").sha256 == expected
            run = tmp_path / f"killed{killed}"
            child = start(digits_folder, *settings, "--out", run)
    assert child.wait() == 0
    assert bundle.read_card(run / "model.saccade").sha256 == expected
    assert storage.sha256_of(bundle.read(run / "model.saccade").model.state_dict()) == expected
    assert not [p for p in os.scandir(run) if p.name.endswith(".tmp")]
