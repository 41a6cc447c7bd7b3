"""Layouts are recognised by content, their faults are named with code and path."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.data.formats import FORMATS
from saccade.data.formats.rows import parse_rows
from saccade.data.formats.source import natural, scan
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from tests.support.data_files import folder, found, picture


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


# folders ----------------------------------------------------------------------------------------------------------


def test_natural_order_of_classes_and_files(tmp_path):
    opened = open_dataset(folder(tmp_path, "10/a10.png", "2/a2.png", "2/a10.png", "1/x.png"))
    assert opened.spaces["label"].names == ("1", "2", "10")
    assert [record.id for record in opened.records] == ["1/x.png", "2/a2.png", "2/a10.png", "10/a10.png"]
    assert opened.labels.tolist() == [0, 1, 1, 2]
    assert opened.format == "folder" and "one folder a class" in opened.reason


def test_given_splits_nesting_and_loose_images(tmp_path):
    root = folder(tmp_path, "train/cat/deep/1.png", "train/dog/1.png", "valid/cat/2.png", "test/3.png", "Validation/dog/9.png")
    opened = open_dataset(root)
    assert [(r.id, r.split) for r in opened.records] == [
        ("Validation/dog/9.png", "val"),
        ("train/cat/deep/1.png", "train"),
        ("train/dog/1.png", "train"),
        ("valid/cat/2.png", "val"),
    ]
    assert found(opened) == {"IMG-LOOSE": "test/3.png"}
    assert opened.splits == ("train", "val") and opened.places("val") == (0, 3)


def test_a_class_named_train_is_a_class(tmp_path):
    assert open_dataset(folder(tmp_path, "car/1.png", "train/1.png")).spaces["label"].names == ("car", "train")


def test_one_wrapping_folder_is_looked_through(tmp_path):
    opened = open_dataset(folder(tmp_path, "images/cat/1.png", "images/dog/1.png"))
    assert opened.spaces["label"].names == ("cat", "dog") and "in images/" in opened.reason


def test_empty_class_other_files_and_silent_companions(tmp_path):
    root = folder(tmp_path, "cat/1.png", "dog/1.png")
    (root / "debris").mkdir()
    (root / ".cache").mkdir()
    for name in ("LICENSE", "README.md", "notes.txt", "cat/.DS_Store", "model.bin"):
        (root / name).write_bytes(b"x")
    opened = open_dataset(root)
    assert found(opened) == {"CLS-EMPTY": "debris", "IMG-OTHER": str(root)}
    assert opened.spaces["label"].names == ("cat", "dog")
    assert opened.problems[0].got == "1 .bin"


def test_files_without_suffix_are_sniffed(tmp_path):
    root = folder(tmp_path, "cat/one", "dog/1.png")
    (root / "cat" / "two").write_text("no image")
    assert [r.id for r in open_dataset(root).records] == ["cat/one", "dog/1.png"]


def test_links_loops_special_files_and_strange_names(tmp_path):
    root = folder(tmp_path / "data", "cat/1.png", "dog/1.png")
    outside = picture(tmp_path / "outside.png")
    (root / "cat" / "out.png").symlink_to(outside)
    (root / "cat" / "loop").symlink_to(root)
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "cat" / "in.png").symlink_to(root / "dog" / "1.png")
    (root / "cat" / "folder.png").mkdir()
    os.mkfifo(root / "dog" / "pipe.png")
    strange = os.fsencode(root / "dog") + b"/bad_\xff.png"
    os.link(root / "dog" / "1.png", strange)
    listing = scan(root)
    assert sorted(listing.files) == ["cat/1.png", "cat/in.png", "dog/1.png", "dog/bad_\udcff.png"]
    assert sorted((p.code, p.where) for p in listing.problems) == [
        ("IMG-LINK", "cat/loop"),
        ("IMG-LINK", "cat/out.png"),
        ("IMG-MISSING", "cat/gone.png"),
        ("IMG-SPECIAL", "cat/folder.png"),
        ("IMG-SPECIAL", "dog/pipe.png"),
    ]
    assert len(open_dataset(root).fingerprint) == 32


def test_images_without_labels_only_on_request(tmp_path):
    root = folder(tmp_path, "1.png", "2.png")
    with pytest.raises(DataError, match="DATA-LAYOUT") as caught:
        open_dataset(root)
    assert "2 images" in str(caught.value) and all(FORMATS[name].wants in str(caught.value) for name in ("table", "idx", "folder"))
    opened = open_dataset(root, format="images")
    assert len(opened) == 2 and opened.targets() == [None, None] and opened.labels.tolist() == [-1, -1]


def test_missing_paths_and_unknown_formats_are_named(tmp_path):
    (tmp_path / "digits").mkdir()
    with pytest.raises(DataError, match=r"DATA-MISSING(.|\n)*did you mean digits"):
        open_dataset(tmp_path / "digit")
    with pytest.raises(UsageError, match="did you mean folder"):
        open_dataset(tmp_path, format="foldr")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="DATA-LAYOUT"):
        open_dataset(tmp_path / "pipe")


def test_groups_by_expression(tmp_path):
    root = folder(tmp_path, "a/s1_1.png", "a/s2_1.png", "b/s1_2.png", "b/other.png")
    assert [(r.id, r.group) for r in open_dataset(root, group=r"s(\d+)_").records] == [
        ("a/s1_1.png", "1"),
        ("a/s2_1.png", "2"),
        ("b/other.png", None),
        ("b/s1_2.png", "1"),
    ]
    assert {r.group for r in open_dataset(root, group=r"s\d+_").records} == {"s1_", "s2_", None}
    for pattern in ("patient", "("):
        with pytest.raises(UsageError, match="USE-VALUE"):
            open_dataset(root, group=pattern)
    with pytest.raises(UsageError, match="USE-OPTION"):
        open_dataset(root, label="y")


@given(st.lists(st.text(max_size=8), max_size=8, unique=True))
def test_natural_order_is_total(names):
    assert len({natural(name) for name in names}) == len(names)
    assert sorted(names, key=natural) == sorted(reversed(names), key=natural)


# tables -----------------------------------------------------------------------------------------------------------


def table(root: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


@pytest.fixture
def images(tmp_path):
    return folder(tmp_path, *(f"img/{i}.png" for i in range(6)))


def test_columns_by_name(images):
    opened = open_dataset(table(images, "file,abnormal,patient\n" + "".join(f"img/{i}.png,{i % 2},p{i // 2}\n" for i in range(6))))
    assert opened.reason == "labels.csv: path=file, label=abnormal, group=patient"
    assert opened.spaces["label"].names == ("0", "1") and [r.group for r in opened.records] == ["p0", "p0", "p1", "p1", "p2", "p2"]


@pytest.mark.parametrize(
    ("line", "way"),
    [("img/{}.png", ""), ("{}.png", "file name"), ("img/{}", "path without extension"), ("img\\{}.png", ""), ("./img/{}.png", "")],
)
def test_ways_to_name_an_image(images, line, way):
    rows = "".join(f"{line.format(i)};{'cat' if i < 3 else 'dog'};{'training' if i < 4 else 'test'}\n" for i in range(6))
    opened = open_dataset(table(images, rows))
    assert "path=column 1, label=column 2, split=column 3" in opened.reason
    assert opened.reason.endswith(f"images found by {way}" if way else "split=column 3")
    assert [r.split for r in opened.records] == ["train"] * 4 + ["test"] * 2
    assert opened.spaces["label"].names == ("cat", "dog") and len(opened) == 6


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(images, encoding):
    text = "path,label\n" + "".join(f"img/{i}.png,{'Käfer' if i % 2 else 'Biene'}\n" for i in range(6))
    opened = open_dataset(table(images, text.encode(encoding)))
    assert opened.spaces["label"].names == ("Biene", "Käfer")
    assert found(opened) == ({} if encoding.startswith("utf-8") else {"ANN-ENCODING": "labels.csv"})


def test_faults_of_rows_are_named_by_line(images):
    rows = [
        "img/0.png,a",
        "img/1.png,b",
        "img/1.png,b",
        "img/2.png,a",
        "img/2.png,b",
        "../x.png,a",
        "/etc/passwd,a",
        "img/9.png,a",
        "img/3.png",
        "img/4.png,",
        ",a",
        "img/0\0.png,a",
    ]
    opened = open_dataset(table(images, "path,label\n" + "\n".join(rows) + "\n"))
    met = {(p.code, p.where) for p in opened.problems}
    assert met == {
        ("ANN-DUP", "labels.csv:4"),
        ("ANN-CONFLICT", "labels.csv:6"),
        ("ANN-PATH", "labels.csv:7"),
        ("ANN-PATH", "labels.csv:8"),
        ("IMG-MISSING", "img/9.png"),
        ("ANN-ROW", "labels.csv:10"),
        ("ANN-EMPTY", "labels.csv:11"),
        ("ANN-ROW", "labels.csv:12"),
        ("ANN-ROW", "labels.csv:13"),
        ("ANN-UNLISTED", "labels.csv"),
    }
    assert [r.id for r in opened.records] == ["img/0.png", "img/1.png", "img/4.png"] and opened.targets()[2] is None


def test_quoted_newlines_and_unknown_splits(images):
    text = 'path,label,split,note\nimg/0.png,a,train,"two\nlines"\nimg/1.png,b,fold7,x\n'
    opened = open_dataset(table(images, text))
    assert ("ANN-SPLIT", "labels.csv:4") in {(p.code, p.where) for p in opened.problems}
    assert [r.id for r in opened.records] == ["img/0.png"]


def test_special_files_in_a_table(images):
    os.mkfifo(images / "img" / "pipe.png")
    opened = open_dataset(table(images, "path,label\nimg/0.png,a\nimg/1.png,b\nimg/pipe.png,b\n"))
    assert "IMG-SPECIAL" in found(opened)


def test_the_user_says_which_column(images):
    root = table(images, "n,age,sex,file,who\n" + "".join(f"{i},{i // 3},{i % 2},img/{i}.png,w{i // 2}\n" for i in range(6)))
    with pytest.raises(DataError, match=r"ANN-COLUMNS(.|\n)*age(.|\n)*--label"):
        open_dataset(root)
    opened = open_dataset(root, label="sex", group="who", path_column="file")
    assert "path=file, label=sex, group=who" in opened.reason and {r.group for r in opened.records} == {"w0", "w1", "w2"}
    with pytest.raises(UsageError, match="did you mean sex"):
        open_dataset(root, label="sexx")
    assert [r.group for r in open_dataset(root, label="sex", group=r"img/(\d)").records] == list("012345")


def test_columns_by_number_without_a_header(images):
    root = table(images, "".join(f"img/{i}.png,{i % 2},{i % 3}\n" for i in range(6)))
    assert "label=column 3" in open_dataset(root, label="3").reason
    with pytest.raises(UsageError, match="1 to 3"):
        open_dataset(root, label="4")


def test_the_table_wins_over_folders_but_a_stray_csv_does_not(tmp_path):
    root = folder(tmp_path, "cat/1.png", "dog/1.png")
    table(root, "when,value\n1,2\n2,3\n", "measured.csv")
    assert open_dataset(root).format == "folder"
    table(root, "path,label\ncat/1.png,x\ndog/1.png,y\n")
    assert open_dataset(root).spaces["label"].names == ("x", "y")
    assert open_dataset(root, format="folder").spaces["label"].names == ("cat", "dog")


def test_a_table_alone_is_data(images):
    root = table(images, "path\tlabel\nimg/0.png\ta\nimg/1.png\tb\n", "mine.tsv")
    assert open_dataset(root / "mine.tsv").name == "mine"
    for text in ("", "a,b\n1,x\n3,y\n"):
        with pytest.raises(DataError, match="ANN-COLUMNS"):
            open_dataset(table(images, text, "bad.csv") / "bad.csv")
    with pytest.raises(DataError, match=r"ANN-UNREADABLE(.|\n)*line"):
        open_dataset(table(images, 'path,label\n"' + "x" * 200_000, "open.csv") / "open.csv")


def test_a_table_of_missing_images(tmp_path):
    opened = open_dataset(table(tmp_path, "path,label\na.png,x\nb.png,y\n"))
    assert [(p.code, p.where) for p in opened.problems] == [("IMG-MISSING", "a.png"), ("IMG-MISSING", "b.png")] and len(opened) == 0


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="a1.,;\t\"\n\r\0é\ufeff'", max_size=80).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_a_table_or_a_coded_error(data):
    try:
        rows = parse_rows(data, "t.csv")
    except DataError as error:
        assert error.code == "ANN-UNREADABLE"
    else:
        assert len({len(row) for row in rows.cells}) <= 1 and len(rows.cells) == len(rows.lines)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.sampled_from(["path", "label", "split", "img/0.png", "img/1.png", "../x", "train", "a", "", "NUL\0", "/", "."]), min_size=1, max_size=4),
        max_size=6,
    )
)
def test_any_table_opens_or_is_a_coded_error(images, rows):
    table(images, "\n".join(",".join(row) for row in rows))
    try:
        opened = open_dataset(images / "labels.csv")
    except DataError as error:
        assert error.code in ("ANN-COLUMNS", "ANN-UNREADABLE", "DATA-LAYOUT")
    else:
        assert all((images / record.id).is_file() for record in opened.records)


# IDX --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "layout", "images", "classes"),
    [
        ("classification/mnist_idx", "idx", 60_000, 10),
        ("classification/mnist_png", "folder", 600, 10),
        ("classification/fashion_mnist_idx", "idx", 450, 10),
        ("classification/sign_digits", "folder", 1333, 10),
        ("classification/caltech7", "folder", 337, 7),
        ("medical/cxr_nih", "table", 480, 2),
    ],
)
def test_shared_sets_open(shared_data, path, layout, images, classes):
    opened = open_dataset(shared_data / path)
    assert (opened.format, len(opened), len(opened.spaces["label"])) == (layout, images, classes) and not opened.problems
    if path.endswith("cxr_nih"):
        assert opened.reason == "labels.csv: path=file, label=abnormal, group=patient" and opened.class_counts() == {"0": 240, "1": 240}
    if path.endswith("fashion_mnist_idx"):
        assert opened.spaces["label"].names[0] == "T-shirt/top"


def test_numbers_name_images_only_in_a_column_of_that_name(images):
    rows = "".join(f"{i},{i % 2}\n" for i in range(6))
    opened = open_dataset(table(images, "image_id,target\n" + rows))
    assert opened.reason == "labels.csv: path=image_id, label=target; images found by file name without extension" and len(opened) == 6
    with pytest.raises(DataError, match="ANN-COLUMNS"):
        open_dataset(table(images, "time,target\n" + rows) / "labels.csv")


def test_a_class_may_be_named_by_its_whole_path(tmp_path):
    for name in ("greek/a/1.png", "greek/a/2.png", "greek/b/1.png", "latin/a/1.png"):
        picture(tmp_path / name)
    assert open_dataset(tmp_path).class_counts() == {"greek": 3, "latin": 1}
    whole = open_dataset(tmp_path, label="path")
    assert whole.class_counts() == {"greek/a": 2, "greek/b": 1, "latin/a": 1} and "named by its path" in whole.reason


def test_a_label_file_finds_its_images_above_it_and_not_others_of_their_names(tmp_path):
    for name in ("set/images/1.png", "set/images/2.png", "set/labels/masks/1.png"):
        picture(tmp_path / name)
    (tmp_path / "set" / "labels" / "all.csv").write_text("path,label\nimages/1.png,a\nimages/2.png,b\n")
    opened = open_dataset(tmp_path / "set" / "labels" / "all.csv")
    assert [record.id for record in opened.records] == ["images/1.png", "images/2.png"] and "above it, in set" in opened.reason
    (tmp_path / "set" / "labels" / "near.csv").write_text("path,label\nmasks/1.png,a\n")
    assert [record.id for record in open_dataset(tmp_path / "set" / "labels" / "near.csv").records] == ["masks/1.png"]
