"""IDX files: pairs, names, refusals, and any bytes at all."""

from __future__ import annotations

import gzip
import io
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.formats.idx import parse_idx, read_idx
from saccade.data.open import open_dataset
from saccade.errors import DataError


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_pairs_and_their_names(tmp_path, packed):
    def write(name, data):
        (tmp_path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data, mtime=0) if packed else data)

    pictures = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4)
    for part, n in (("train", 5), ("t10k", 2)):
        write(f"{part}-images-idx3-ubyte", idx(pictures[:n]))
        write(f"{part}-labels-idx1-ubyte", idx(np.array([3, 7, 3, 7, 9], np.uint8)[:n]))
    opened = open_dataset(tmp_path)
    suffix = ".gz" if packed else ""
    assert opened.format == "idx" and opened.channels == 1 and opened.splits == ("train", "test")
    assert opened.spaces["label"].names == ("3", "7", "9") and opened.labels.tolist() == [0, 1, 0, 1, 0, 1, 2]
    last = next(i for i, r in enumerate(opened.records) if r.id == f"train-images-idx3-ubyte{suffix}#4")
    assert np.array_equal(opened.read(last)[..., 0], pictures[4])
    (tmp_path / "classes.txt").write_text("\n".join(f"c{i}" for i in range(10)))
    assert open_dataset(tmp_path).spaces["label"].names[9] == "c9" and 9 in open_dataset(tmp_path).labels
    assert len(open_dataset(tmp_path / f"t10k-labels-idx1-ubyte{suffix}")) == 2
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"ANN-IDX(.|\n)*classes.txt(.|\n)*2 classes"):
        open_dataset(tmp_path)


def test_idx_without_or_with_other_labels(tmp_path):
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(np.zeros((3, 4, 4), np.uint8)))
    with pytest.raises(DataError, match="no file of labels"):
        open_dataset(tmp_path)
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(DataError, match="3 images and 4 labels"):
        open_dataset(tmp_path)
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(np.zeros((3, 2), np.uint8)))
    with pytest.raises(DataError, match="expected \\(n,\\)"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x01\0\0",
        b"\0\0\x08\x05" + bytes(20),
        b"\0\0\x77\x01" + bytes(4),
        idx(np.zeros(3, np.uint8))[:-1],
        idx(np.zeros(3, np.uint8)) + b"x",
        b"\0\0\x08\x03" + b"\xff" * 12,
        gzip.compress(idx(np.zeros(3, np.uint8)), mtime=0)[:-9],
        b"\x1f\x8b garbage",
    ],
)
def test_idx_files_that_are_refused(data, tmp_path):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DataError, match="ANN-IDX"):
        read_idx(tmp_path / "x")


def test_idx_files_that_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing"):
        with pytest.raises(DataError, match="ANN-UNREADABLE"):
            read_idx(tmp_path / name)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.booleans())
def test_any_bytes_are_idx_or_a_coded_error(tail, packed):
    data = b"\0\0\x08" + tail
    try:
        parse_idx(io.BytesIO(gzip.compress(data, mtime=0) if packed else data), "x")
    except DataError as error:
        assert error.code == "ANN-IDX"


@given(st.lists(st.integers(0, 255), max_size=40))
def test_idx_round_trip(values):
    array = np.array(values, np.uint8)
    assert np.array_equal(parse_idx(io.BytesIO(gzip.compress(idx(array))), "x"), array)


# shared sets ------------------------------------------------------------------------------------------------------
