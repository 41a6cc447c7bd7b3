"""Reading in a child process: the same pictures and errors, and a crash or a hang costs one picture."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from saccade.data.image import Picture, read_image
from saccade.data.isolate import IsolatedReader, read_isolated
from saccade.errors import DataError, SaccadeError, UsageError
from tests.support.corpus import encoded, picture, png, zeros


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / os.fsdecode(b"odd\n\xff.jpg")
    path.write_bytes(encoded(picture(np.random.default_rng(1), 200, 300), "JPEG"))
    return path


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A picture that takes about a second to decode."""
    path = tmp_path / "slow.png"
    path.write_bytes(png(9500, 9500, colour=2, pixels=zeros(9500, 28501)))
    return path


def same(a: Picture, b: Picture) -> bool:
    return bool((a.pixels == b.pixels).all()) and a.pixels.dtype == b.pixels.dtype and a[1:] == b[1:]


def test_the_child_gives_what_the_reader_gives(photo: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.arange(60000, dtype=np.uint16).reshape(200, 300)).save(tmp_path / "deep.png")
    with IsolatedReader() as reader:
        assert same(reader.read(photo), read_image(photo))
        assert same(reader.read(photo, at_least=(20, 30), channels=1), read_image(photo, at_least=(20, 30), channels=1))
        assert same(reader.read(tmp_path / "deep.png", value_range=(9, 99)), read_image(tmp_path / "deep.png", value_range=(9, 99)))
        with pytest.raises(DataError) as caught:
            reader.read(tmp_path / "absent.png")
        assert caught.value.code == "IMG-MISSING" and caught.value.where.endswith("absent.png")
        with pytest.raises(UsageError):
            reader.read(photo, channels=2)
        with pytest.raises(DataError) as caught:
            reader.read(photo, max_pixels=100)
        assert caught.value.code == "IMG-BOMB"
    assert same(read_isolated(photo, channels=3), read_image(photo, channels=3))


def test_a_crash_costs_one_picture(photo: Path, slow: Path) -> None:
    with IsolatedReader() as reader:
        reader.read(photo)
        assert reader.process
        killer = threading.Timer(0.1, os.kill, (reader.process.pid, signal.SIGSEGV))
        killer.start()
        with pytest.raises(DataError) as caught:
            reader.read(slow)
        assert caught.value.code == "IMG-CRASH" and "Segmentation" in caught.value.got and caught.value.where.endswith("slow.png")
        assert reader.read(photo).size == (200, 300)
        last = reader.process
    assert last and last.returncode == 0


def test_a_hang_is_ended(photo: Path, slow: Path) -> None:
    with IsolatedReader(seconds=30) as reader:
        reader.read(photo)
        reader.seconds = 0.1
        start = time.monotonic()
        with pytest.raises(DataError) as caught:
            reader.read(slow)
        assert caught.value.code == "IMG-CRASH" and "no answer in 0.1 s" in caught.value.got and time.monotonic() - start < 5


def test_a_child_that_cannot_start_is_no_fault_of_the_picture(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(SaccadeError) as caught:
        read_isolated(photo)
    assert caught.value.code == "INTERNAL"
