"""A run that was killed, stopped or extended ends in the same bytes as one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from saccade import storage
from saccade.errors import InterruptedRun, ModelError, ResourceError
from saccade.training import checkpoint as checkpoints
from saccade.training.run_folder import RunFolder
from tests.support.training import TinyNet, train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict]]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("undisturbed")
    net = train(folder)
    return storage.sha256_of(net.state_dict()), rows(folder)


def rows(folder: Path) -> list[dict]:
    """The rows of metrics.jsonl without what depends on the clock."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in found]


def child(folder: Path) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.support.training", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Killed(BaseException):
    """Stands for the process that is gone: nothing catches it."""


def test_killed_at_any_write_the_resumed_run_ends_in_the_same_bytes(tmp_path, monkeypatch, undisturbed):
    """Every place where a run touches the disk is a moment to die at: here each of them is, in turn."""
    expected_hash, expected_rows = undisturbed
    names = ["rename", "replace", "fsync"]
    real = {name: getattr(os, name) for name in names}
    count = {"left": 10**9, "seen": 0}

    def counted(name):
        def call(*arguments, **options):
            count["seen"] += 1
            count["left"] -= 1
            if count["left"] < 0:
                raise Killed
            return real[name](*arguments, **options)

        return call

    for name in names:
        monkeypatch.setattr(os, name, counted(name))
    train(tmp_path / "count")
    moments = random.Random(0).sample(range(count["seen"]), 20)
    for number, moment in enumerate(moments):
        folder = tmp_path / str(number)
        count["left"] = moment
        with pytest.raises(Killed):
            train(folder)
        count["left"] = 10**9
        net = train(folder)
        assert storage.sha256_of(net.state_dict()) == expected_hash, f"killed at write {moment}"
        assert rows(folder) == expected_rows


def test_kill_nine_of_a_real_process(tmp_path, undisturbed):
    expected_hash, expected_rows = undisturbed
    chance = random.Random(1)
    for number in range(2):
        folder = tmp_path / str(number)
        running = child(folder)
        while not (folder / "checkpoints" / "last").exists():
            assert running.poll() is None, running.communicate()[1].decode()
            time.sleep(0.005)
        time.sleep(chance.random() * 0.3)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        net = train(folder)
        assert storage.sha256_of(net.state_dict()) == expected_hash
        assert rows(folder) == expected_rows


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_resumed_run_is_equal(tmp_path, undisturbed, number, code):
    with pytest.raises(InterruptedRun) as stopped:
        run = RunFolder(tmp_path)
        run_after(tmp_path, 5, lambda: os.kill(os.getpid(), number))
    assert stopped.value.exit == code and "--resume" in stopped.value.fix
    run = RunFolder(tmp_path)
    assert run.path == tmp_path
    net = train(tmp_path)
    assert storage.sha256_of(net.state_dict()) == undisturbed[0]
    assert rows(tmp_path) == undisturbed[1]


def run_after(folder: Path, step: int, act) -> TinyNet:
    """Trains, and does something when the given step begins."""
    seen = {"n": 0}
    original = TinyNet.forward

    def forward(self, batch, phase="all"):
        seen["n"] += self.training
        if seen["n"] == step and self.training:
            act()
        return original(self, batch, phase)

    TinyNet.forward = forward
    try:
        return train(folder)
    finally:
        TinyNet.forward = original


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, undisturbed, damage):
    with pytest.raises(InterruptedRun):
        run_after(tmp_path, 20, lambda: os.kill(os.getpid(), signal.SIGINT))
    file = tmp_path / "checkpoints" / "last" / "model.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[-3] ^= 1
        file.write_bytes(data)
    else:
        file.unlink()
    net = train(tmp_path)
    assert storage.sha256_of(net.state_dict()) == undisturbed[0]
    assert "RUN-FALLBACK" in (tmp_path / "events.jsonl").read_text()


def test_when_both_checkpoints_are_damaged_the_run_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    for name in ("last", "prev"):
        (tmp_path / "checkpoints" / name / "state.json").write_text("{")
    with pytest.raises(ModelError) as refused:
        train(tmp_path, epochs=1)
    assert refused.value.code == "RUN-CHECKPOINT" and refused.value.exit == 4


def test_an_extended_run_goes_on_from_the_finished_one(tmp_path, undisturbed):
    train(tmp_path)
    net = train(tmp_path, extensions=(2,))
    found = rows(tmp_path)
    assert [row["epoch"] for row in found] == [1, 2, 3, 4, 5, 6]
    assert found[:4] == undisturbed[1]
    assert found[4]["stage"] == "extension 1" and found[4]["lr"] > found[3]["lr"]
    assert storage.sha256_of(net.state_dict()) == storage.sha256_of(train(tmp_path, extensions=(2,)).state_dict())


def test_a_full_disk_stops_the_run_and_leaves_the_old_checkpoint(tmp_path, monkeypatch, undisturbed):
    import errno

    real, count = os.fsync, {"n": 0}

    def full(descriptor):
        count["n"] += 1
        if count["n"] > 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError) as stopped:
        train(tmp_path)
    assert stopped.value.code == "RUN-DISK" and stopped.value.exit == 6
    monkeypatch.setattr(os, "fsync", real)
    assert checkpoints.read(tmp_path / "checkpoints")[0] is not None
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]
    assert storage.sha256_of(train(tmp_path).state_dict()) == undisturbed[0]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path, undisturbed):
    again, other = train(tmp_path / "a"), train(tmp_path / "b", seed=1)
    assert storage.sha256_of(again.state_dict()) == undisturbed[0] != storage.sha256_of(other.state_dict())
