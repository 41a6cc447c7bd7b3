"""Splits: groups whole, classes in proportion, the same from the same seed, given ones kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core import LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.data.duplicates import merge_groups, near_groups
from saccade.data.likeness import NEAR, near_pairs
from saccade.data.open import open_dataset
from saccade.data.split import make_folds, make_split, read_split, write_split
from saccade.data.stratify import quotas
from saccade.errors import DataError, UsageError
from saccade.targets.label import Label


def dataset(labels, groups=None, splits=None, names=None) -> ImageDataset:
    n = len(labels)
    ids = names or [f"{label}/img{i}.png" for i, label in enumerate(labels)]
    records = tuple(
        Record(ids[i], Path(ids[i]), None, {"label": None if labels[i] is None else Label(labels[i])}, (splits or [None] * n)[i], (groups or [None] * n)[i])
        for i in range(n)
    )
    classes = max((label for label in labels if label is not None), default=-1) + 1
    return ImageDataset("made", Path("made"), "folder", "", records, {"label": LabelSpace(tuple(f"c{k}" for k in range(classes)))})


def ids(data, places) -> set[str]:
    return {data.records[i].id for i in places}


labelled = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=8, max_size=60)


@settings(max_examples=150, deadline=None)
@given(labelled, st.integers(0, 5), st.sampled_from(["random", "last"]), st.floats(0.1, 0.4))
def test_groups_are_never_divided_and_nothing_is_lost(rows, seed, order, share):
    data = dataset([label for label, _ in rows], [f"g{group}" if group else None for _, group in rows])
    split = make_split(data, test=share, val=0.2, seed=seed, order=order)
    parts = split[:3]
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))
    groups = [{data.records[i].group for i in part} - {None} for part in parts]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert {label for label, _ in rows} == {int(data.labels[i]) for i in split.train}


@settings(max_examples=100, deadline=None)
@given(labelled, st.integers(2, 4), st.integers(0, 3))
def test_folds_test_everything_once(rows, k, seed):
    data = dataset([label for label, _ in rows], [f"g{i % 7}" for i in range(len(rows))])
    folds = make_folds(data, k, seed=seed)
    assert sorted(i for fold in folds for i in fold.test) == list(range(len(rows)))
    for fold in folds:
        assert sorted(fold.train + fold.val + fold.test) == list(range(len(rows)))
        assert not {data.records[i].group for i in fold.test} & {data.records[i].group for i in fold.train + fold.val}


@given(st.permutations(range(40)), st.sampled_from(["random", "last"]))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_records_does_not_matter(order, kind):
    data = dataset([i % 3 for i in range(40)], [f"g{i // 3}" if i < 20 else None for i in range(40)])
    shuffled = data.subset(order)
    for first, second in zip(make_split(data, test=0.2, order=kind)[:3], make_split(shuffled, test=0.2, order=kind)[:3], strict=True):
        assert ids(data, first) == ids(shuffled, second)
    assert [ids(data, f.test) for f in make_folds(data, 3)] == [ids(shuffled, f.test) for f in make_folds(shuffled, 3)]


def test_proportions_and_seeds():
    data = dataset([0] * 60 + [1] * 30 + [2] * 10)
    first, again, other = make_split(data, test=0.2, seed=1), make_split(data, test=0.2, seed=1), make_split(data, test=0.2, seed=2)
    assert first == again and first.test != other.test
    assert data.class_counts(first.test) == {"c0": 12, "c1": 6, "c2": 2} and len(first.val) == 12
    assert data.class_counts(make_split(data, test=50).test) == {"c0": 30, "c1": 15, "c2": 5}
    assert make_split(data, val=0).val == () and "everything" in make_split(data, val=0).reason


def test_small_classes_keep_one_to_train_on():
    data = dataset([0] * 40 + [1] * 3 + [2] * 2 + [3])
    split = make_split(data)
    assert data.class_counts(split.val) == {"c0": 6, "c1": 1, "c2": 0, "c3": 0}
    assert min(data.class_counts(split.train).values()) == 1
    assert quotas({0: 1, 1: 2}, 2) == {0: 0, 1: 1}


def test_the_last_of_each_class_by_number():
    names = [f"{label}/IMG_{number}.JPG" for label in "01" for number in (9, 10, 100, 2, 31)]
    data = dataset([0] * 5 + [1] * 5, names=names)
    split = make_split(data, test=0.4, val=0.2, order="last")
    assert ids(data, split.test) == {f"{label}/IMG_{n}.JPG" for label in "01" for n in (31, 100)}
    assert ids(data, split.val) == {"0/IMG_10.JPG"} or ids(data, split.val) == {"0/IMG_10.JPG", "1/IMG_10.JPG"}


def test_groups_from_the_end():
    data = dataset([0, 1] * 20, [f"student{i // 4}" for i in range(40)])
    split = make_split(data, test=0.2, val=0, order="last")
    assert {data.records[i].group for i in split.test} == {"student8", "student9"}


def test_given_splits_are_kept():
    data = dataset([0, 1] * 20, splits=["train"] * 20 + ["test"] * 20)
    split = make_split(data)
    assert split.test == tuple(range(20, 40)) and set(split.val) < set(range(20)) and "as the data gives" in split.reason
    with pytest.raises(UsageError, match="has a test split"):
        make_split(data, test=0.2)
    three = dataset([0, 1] * 3, splits=["train", "train", "val", "val", "test", "test"])
    assert make_split(three)[:3] == ((0, 1), (2, 3), (4, 5))
    only = dataset([0, 1] * 3, splits=["test"] * 6)
    assert make_split(only)[:3] == ((), (), (0, 1, 2, 3, 4, 5))
    assert set(i for fold in make_folds(data, 2) for i in fold.test) == set(range(20))
    assert set(i for fold in make_folds(only, 2, val=0) for i in fold.test) == set(range(6))


def test_unlabelled_records_are_in_no_part():
    split = make_split(dataset([0, 1, None] * 10), test=0.2)
    assert len(split.train + split.val + split.test) == 20


def test_wrong_wishes_are_refused():
    data = dataset([0, 1] * 5)
    with pytest.raises(UsageError, match="did you mean last"):
        make_split(data, order="lasst")  # type: ignore[arg-type]
    for wish in (-0.1, 1.5, float("inf")):
        with pytest.raises(UsageError, match="test="):
            make_split(data, test=wish)
    with pytest.raises(DataError, match="DATA-SMALL"):
        make_split(data, test=10)
    with pytest.raises(UsageError, match="folds=1"):
        make_folds(data, 1)
    with pytest.raises(DataError, match="DATA-SMALL"):
        make_folds(data, 11)


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=6).filter(lambda s: s.strip() == s)


@settings(max_examples=80, deadline=None)
@given(st.lists(cells | st.sampled_from(["=1", "'=1", "''", "-x", "+", "@a", "a,b", 'a"b', "a\udcff"]), min_size=3, max_size=12, unique=True))
def test_split_files_round_trip(tmp_path_factory, names):
    data = dataset([i % 2 for i in range(len(names))], [None if i % 3 else "g" for i in range(len(names))], names=names)
    split = make_split(data, test=1, val=0)
    path = tmp_path_factory.mktemp("split") / "split.csv"
    write_split(path, data, split)
    written = path.read_bytes()
    assert read_split(path, data)[:3] == split[:3]
    write_split(path, data.subset(range(len(names))), split)
    formulas = [line for line in written.splitlines() if line[:1] in (b"=", b"+", b"-", b"@") and not line[1:2].isdigit()]
    assert path.read_bytes() == written and not formulas


def test_split_files_that_do_not_fit(tmp_path):
    data = replace(dataset([0, 1, 0]), root=tmp_path)
    path = tmp_path / "split.csv"
    for text, code in [
        ("path,label\n0/img0.png,c0\n", "ANN-COLUMNS"),
        ("", "ANN-COLUMNS"),
        ("path,split\n0/img0.png,fold1\n", "ANN-SPLIT"),
        ("path,split\n0/img0.png,train\n0/img0.png,test\n", "LEAK-EXACT"),
        ("path,split\nnone.png,train\n", "DATA-CHANGED"),
        ("path,label,split\n0/img0.png,c1,train\n", "DATA-CHANGED"),
        ("path,split\n0/img0.png\n0/img2.png,train\n1/img1.png,test\n", "ANN-ROW"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError) as caught:
            read_split(path, data)
        assert caught.value.code == code
    with pytest.raises(DataError, match="ANN-UNREADABLE"):
        read_split(tmp_path / "missing.csv", data)
    (tmp_path / "bad.png").touch()  # there, but left out by check
    path.write_text("path,split\n0/img0.png,train\nbad.png,train\n1/img1.png,valid\n")
    assert read_split(path, data)[:3] == ((0,), (1,), ())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60))
def test_near_groups_equal_the_chains_of_all_pairs(seed, n):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(6, 256))
    copies = base[rng.integers(0, 6, n)] + rng.normal(size=(n, 256)) * rng.choice([0, 0.04, 0.06, 1], size=(n, 1))
    copies = (copies / np.linalg.norm(copies, axis=1, keepdims=True)).astype(np.float32)
    copies[rng.random(n) < 0.1] = 0
    groups = np.arange(n)
    for i, j in near_pairs(copies):
        if copies[i].any() and copies[j].any():
            groups[groups == groups[j]] = groups[i]
    found = near_groups(copies)
    margin = np.abs(np.linalg.norm(copies[:, None] - copies[None], axis=2) - NEAR) < 1e-4
    if not margin.any():
        assert all((found[i] == found[j]) == (groups[i] == groups[j]) for i in range(n) for j in range(n))
    assert all(found[root] == root for root in found)


def test_many_equal_pictures_cost_no_pairs():
    copies = np.zeros((3000, 256), np.float32)
    copies[:, 0] = 1
    copies[:1500, 1] = np.linspace(0, 0.05, 1500)
    assert set(near_groups(copies)) == {0} and set(merge_groups(np.arange(4), np.array([0, 0, 1, 1]))) == {0, 2}


def test_patients_of_the_x_rays_are_in_one_fold(shared_data):
    data = open_dataset(shared_data / "medical" / "cxr_nih")
    folds = make_folds(data, 5)
    where: dict[str, set[int]] = {}
    for number, fold in enumerate(folds):
        assert abs(Counter(data.labels[list(fold.test)])[1] - 48) <= 2
        for i in fold.test:
            where.setdefault(data.records[i].group or "", set()).add(number)
    assert all(len(numbers) == 1 for numbers in where.values())


def test_the_last_hands_are_the_highest_file_numbers(shared_data):
    data = open_dataset(shared_data / "classification" / "sign_digits")
    split = make_split(data, test=0.2, order="last")
    number = {i: int(data.records[i].id.split("_")[1].split(".")[0]) for i in range(len(data))}
    for label in range(10):
        own = [[number[i] for i in part if data.labels[i] == label] for part in split[:3]]
        assert max(own[0]) < min(own[1]) and max(own[1]) < min(own[2]) and len(own[2]) in (26, 27)
