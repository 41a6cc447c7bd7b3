"""Frames in files of their own: what NumPy, MATLAB and tables hold is read as it is; what is damaged, foreign or outside is named."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from saccade.data.check import check
from saccade.data.formats.sequences_files import csv, mat, npy
from saccade.data.open import open_dataset
from saccade.errors import DataError
from tests.support.data_files import picture

FRAMES = np.arange(6, dtype=np.float32).reshape(3, 2) / 4


def lines(root, *contents):
    (root / "train.jsonl").write_text("\n".join(json.dumps(each) for each in contents))
    return open_dataset(root)


def test_every_kind_of_file_gives_the_same_frames(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    np.save(tmp_path / "b.npy", np.asfortranarray(FRAMES.astype(np.float64)))
    savemat(tmp_path / "c.mat", {"frames": FRAMES, "other": np.zeros((2, 2))})
    savemat(tmp_path / "d.mat", {"x": FRAMES.astype(np.float64)})
    (tmp_path / "e.csv").write_text("x;y\n" + "\n".join(";".join(map(str, row)) for row in FRAMES.tolist()))
    opened = lines(tmp_path, *({"id": name, "frames_path": name, "labels": ["p", "q", None]} for name in ("a.npy", "b.npy", "c.mat", "d.mat", "e.csv")))
    assert [r.id for r in opened.records] == ["a.npy", "b.npy", "c.mat", "d.mat", "e.csv"] and opened.channels == 2
    for i in range(5):
        assert np.array_equal(opened.read(i), FRAMES) and opened.truth(i)["tags"].tags.tolist() == [0, 1, -1]
    assert len(check(opened).dataset) == 5


def test_a_folder_of_pictures_is_a_clip_in_natural_order(tmp_path):
    for i in (10, 2, 1):
        picture(tmp_path / "clip" / f"f{i}.png", i)
    opened = lines(tmp_path, {"id": "a", "frames_path": "clip", "label": "wave"}, {"id": "b", "frames_path": "clip/", "label": "rest"})
    held = opened.arrays["train.jsonl"][0]
    assert [path.name for path in held.files] == ["f1.png", "f2.png", "f10.png"] and opened.read(1).shape == (3, 12, 12, 1)


@pytest.mark.parametrize(
    "path", ["../x.npy", "/etc/passwd", "none.npy", "a.txt", "empty", "deep.npy", "nan.npy", "object.npy", "short.npy", "two.mat", "no.mat", "ragged.csv"]
)
def test_what_cannot_be_frames_is_named(tmp_path, path):
    root = tmp_path / "data"
    root.mkdir()
    np.save(tmp_path / "x.npy", FRAMES)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("1 2")
    np.save(root / "deep.npy", np.zeros((2, 2, 2)))
    np.save(root / "nan.npy", np.array([[1.0], [np.nan]]))
    np.save(root / "object.npy", np.array([[{}]]), allow_pickle=True)
    (root / "short.npy").write_bytes(stored(np.zeros((4, 4)))[:-8])
    savemat(root / "two.mat", {"a": FRAMES, "b": FRAMES})
    (root / "no.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    (root / "ragged.csv").write_text("1,2\n3")
    np.save(root / "good.npy", FRAMES)
    opened = lines(root, {"id": "bad", "frames_path": path}, {"id": "good", "frames_path": "good.npy"})
    assert [r.id for r in opened.records] == ["good"]
    assert [(p.code, p.where) for p in opened.problems if p.severity == "error"] == [("ANN-SEQ", "train.jsonl:1")]


def stored(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from([npy, mat, csv]))
def test_no_bytes_lead_to_another_error(noise, place, read):
    whole = stored(FRAMES)
    for content in (noise, whole[:place] + noise + whole[place + len(noise) :]):
        try:
            read(content)
        except DataError as error:
            assert error.code == "ANN-SEQ"
