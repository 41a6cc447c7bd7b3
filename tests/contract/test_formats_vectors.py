"""Vectors as data: told from tables of pictures, with labels, ids and parts, and what is wrong with them told by code."""

import numpy as np
import pytest

import saccade
from saccade.data.columns import columns
from saccade.data.open import open_dataset
from saccade.errors import DataError

pytestmark = pytest.mark.contract
ROWS = np.arange(12, dtype=np.float64).reshape(4, 3) / 2


def write(path, text):
    path.write_text(text)
    return path


def test_a_table_of_numbers_is_rows_with_their_labels_and_parts(tmp_path):
    text = "id,a,b,c,label,split,group\n" + "".join(
        f"r{i},{','.join(map(str, row))},{'xy'[i % 2]},{'train' if i else 'test'},g{i // 2}\n" for i, row in enumerate(ROWS)
    )
    data = open_dataset(write(tmp_path / "t.csv", text))
    assert (data.format, len(data), data.channels) == ("vectors", 4, 3)
    assert [r.id for r in data.records] == ["r0", "r1", "r2", "r3"]
    assert data.spaces["label"].names == ("x", "y") and data.labels.tolist() == [0, 1, 0, 1]
    assert [r.split for r in data.records] == ["test", "train", "train", "train"] and data.records[3].group == "g1"
    np.testing.assert_array_equal(np.concatenate([data.read(i) for i in range(4)]), ROWS.astype(np.float32))
    assert columns(data).read(2).shape == (1, 1, 3)


def test_numbers_without_names_are_all_data(tmp_path):
    data = open_dataset(write(tmp_path / "plain.csv", "1,2\n3,4\n5,6\n"))
    assert len(data) == 3 and not data.spaces and data.records[1].id == "plain.csv#1"


def test_an_array_and_the_table_beside_it(tmp_path):
    np.save(tmp_path / "train.npy", ROWS.astype(np.float32))
    np.save(tmp_path / "test.npy", ROWS[:2])
    write(tmp_path / "train.csv", "id,label\na,u\nb,v\nc,u\nd,\n")
    data = open_dataset(tmp_path)
    assert data.format == "vectors" and [r.id for r in data.records] == ["test.npy#0", "test.npy#1", "a", "b", "c", "d"]
    assert [r.split for r in data.records] == ["test"] * 2 + ["train"] * 4
    assert [None if t is None else t.index for t in data.targets()] == [None, None, 0, 1, 0, None]


def test_a_wished_label_column_of_numbers(tmp_path):
    data = open_dataset(write(tmp_path / "t.csv", "a,b,kind\n1,2,7\n3,4,8\n"), label="kind")
    assert data.channels == 2 and data.spaces["label"].names == ("7", "8")


def test_rows_that_are_no_numbers_are_left_out_and_told(tmp_path):
    text = "a,b\n" + "".join(f"{i},{i}\n" for i in range(20)) + "x,1\n2,nan\n3,4\n"
    data = open_dataset(write(tmp_path / "t.csv", text))
    assert len(data) == 21 and [(p.code, p.where) for p in data.problems] == [("ANN-ROW", "t.csv:22"), ("ANN-ROW", "t.csv:23")]


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.full((3, 2), np.inf), "row 0 holds"), (np.zeros((3, 5000)), "at most 4096"), (np.array([["a", "b"]]), "NumPy arrays")],
    ids=["infinite", "wide", "texts"],
)
def test_arrays_that_are_no_vectors_are_refused(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "a.npy")


def test_rows_of_two_lengths_and_a_table_of_another_length_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    np.save(tmp_path / "b.npy", ROWS[:, :2])
    with pytest.raises(DataError, match=r"3 numbers in a\.npy and 2 numbers in b\.npy"):
        open_dataset(tmp_path)
    (tmp_path / "b.npy").unlink()
    write(tmp_path / "a.csv", "label\nu\n")
    with pytest.raises(DataError, match=r"4 rows, and 1 in a\.csv"):
        open_dataset(tmp_path)


def test_a_table_of_pictures_stays_one(tmp_path):
    import cv2

    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), i * 20, np.uint8))
    write(tmp_path / "labels.csv", "path,label\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(4)))
    assert open_dataset(tmp_path).format == "table" and open_dataset(tmp_path / "labels.csv").format == "table"
    write(tmp_path / "numbers.csv", "path,number,weight\n" + "".join(f"{i}.png,{i},{2 * i}\n" for i in range(4)))
    assert open_dataset(tmp_path / "numbers.csv", label="number").format == "table"


def test_pixels_without_names_are_no_vectors_but_named(tmp_path):
    (tmp_path / "digits.csv").write_text("\n".join(",".join(["5", *["1"] * 784]) for _ in range(4)))
    with pytest.raises(DataError) as refused:
        open_dataset(tmp_path)
    assert refused.value.code == "DATA-FORMAT" and "pixels in a CSV" in refused.value.got


def test_vectors_without_labels_have_no_classes(tmp_path):
    (tmp_path / "rows.csv").write_text("x,y,z\n" + "0.5,1,2\n" * 5)
    assert open_dataset(tmp_path).class_counts() == {}


def test_the_check_speaks_of_vectors(tmp_path):
    (tmp_path / "rows.csv").write_text("x,y,z\n" + "".join(f"0.5,{i},2\n" for i in range(5)))
    told = saccade.check(tmp_path).text()
    assert "5 vectors of 3" in told and "images" not in told and "RGB" not in told
